"""
What is in a cloud, in the words in which it is compared: each kind of object read once, however many there are.

A plan is made of what is read here.
"""

import ipaddress
from collections.abc import Iterable
from typing import Any

from salt.exceptions import CommandExecutionError

from onepass_lib.neutron.client import Client


def base(client: Client, domain: str | None = None) -> dict[str, Any]:
    """
    Projects, networks and subnets: three lists, which are all when there is nothing to do.

    client
        The cloud.
    domain
        The domain of the projects that are ours, by name or id. Default: that of the login's project.

    Returns:
        ``domain_id``, ``projects`` (of all domains), ``networks`` and ``subnets``, see :py:func:`network` and its like.
    """
    keys = ("id", "name", "domain_id", "enabled", "tags")
    projects, networks, subnets = map(client.rows, ("projects", "networks", "subnets"))
    return {
        "domain_id": _domain_id(domain, client),
        "projects": [{key: each.get(key) for key in keys} for each in projects],
        "networks": [network(each) for each in networks],
        "subnets": [subnet(each) for each in subnets],
    }


def more(client: Client, kinds: dict[str, dict], networks: Iterable[dict] = ()) -> dict[str, Any]:
    """
    Further kinds that only some plans need, one list each.

    kinds
        Kind to what it is asked with, see ``plan.needs``.
    networks
        The networks of :py:func:`base`: their physical networks are known ones. Default none.
    client
        The cloud.

    Returns:
        Kind to objects. With ``quotas`` (project id to quota) comes ``default_quota``.
    """
    found: dict[str, Any] = {}
    for kind, query in kinds.items():
        if kind in ("ports", "router_ports"):
            short = {} if len(query.get("network_id", ())) > 100 else query  # an address has no room for more
            found[kind] = [port(each) for each in client.rows("ports", short)]
        elif kind == "quotas":
            found[kind] = {each["project_id"]: each for each in client.rows("quotas")}
            found["default_quota"] = client.default_quota()
        elif kind == "physical_networks":
            found[kind] = _physical_networks(networks, client)
        else:
            found[kind] = client.rows(kind, query)
    return found


def ranges(client: Client) -> list[dict]:
    """
    The ranges from which Neutron gives VLAN ids by itself; none where it does not tell.

    client
        The cloud.

    Returns:
        List of mappings: ``physical_network``, ``minimum``, ``maximum``, ``shared``.
    """
    fields = ["physical_network", "minimum", "maximum", "shared", "network_type"]
    try:
        found = client.rows("ranges", {"fields": fields})
    except CommandExecutionError as err:
        if getattr(err, "status", 0) not in (403, 404):
            raise
        return []
    return [each for each in found if each["network_type"] == "vlan"]


def _domain_id(wanted: str | None, client: Client) -> str:
    who = client.login()
    if wanted in (None, who["domain_id"], who["domain"]):
        return who["domain_id"]
    domains = client.rows("domains")
    found = [each["id"] for each in domains if wanted in (each["id"], each["name"])]
    if not found:
        known = ", ".join(sorted(each["name"] for each in domains))
        raise CommandExecutionError(f"There is no domain {wanted}; known are {known}")
    return found[0]


def _physical_networks(networks: Iterable[dict], client: Client) -> list[str]:
    """Empty when the cloud tells none: then nothing can be said of a name."""
    known = {each["physical_network"] for each in ranges(client)}
    for agent in client.rows("agents"):
        known.update(agent.get("configurations", {}).get("bridge_mappings") or {})
    used = {each["physical_network"] for each in networks} - {None}
    return sorted(known | used) if known else []


# What the API answers, as far as it is compared


def network(answer: dict) -> dict:
    """
    A network in our words: ``segments`` is empty for one with a single segment.

    answer
        The API's mapping.
    """
    segments = [_segment(each) for each in answer.get("segments") or []]
    single = segments[0] if len(segments) == 1 else _segment(answer)
    return {
        **{key: answer.get(key) for key in ("id", "name", "project_id", "mtu", "created_at", "shared")},
        **single,
        "segments": segments if len(segments) > 1 else [],
        "external": bool(answer.get("router:external")),
        "tags": answer.get("tags") or [],
    }


def subnet(answer: dict) -> dict:
    """
    A subnet in our words; no gateway is ``""``.

    answer
        The API's mapping.
    """
    pools = sorted(
        ([pool["start"], pool["end"]] for pool in answer.get("allocation_pools") or []),
        key=lambda pool: ipaddress.ip_address(pool[0]),
    )
    return {
        **{key: answer.get(key) for key in ("id", "name", "network_id", "project_id", "cidr")},
        "gateway": answer.get("gateway_ip") or "",
        "dns_nameservers": answer.get("dns_nameservers") or [],
        "dhcp": answer.get("enable_dhcp"),
        "ipv6": _mode(answer.get("ipv6_ra_mode"), answer.get("ipv6_address_mode")),
        "pools": pools,
    }


def _mode(advertised: str | None, given: str | None) -> str | None:
    """How guests get IPv6 addresses: one word, where routers advertise and Neutron gives in the same way."""
    return advertised if advertised == given else f"{advertised or 'none'} advertised, {given or 'none'} given"


def port(answer: dict) -> dict:
    """
    A port in our words.

    answer
        The API's mapping.
    """
    return {
        **{key: answer.get(key) for key in ("id", "name", "network_id", "project_id", "device_id")},
        "owner": answer.get("device_owner") or "",
        "host": answer.get("binding:host_id") or "",
        "vif_type": answer.get("binding:vif_type") or "",
        "subnets": [each["subnet_id"] for each in answer.get("fixed_ips") or []],
        "addresses": [each["ip_address"] for each in answer.get("fixed_ips") or []],
    }


def _segment(answer: dict) -> dict:
    return {
        "type": answer.get("provider:network_type"),
        "physical_network": answer.get("provider:physical_network"),
        "vlan": answer.get("provider:segmentation_id"),
    }
