"""
What is in a cloud, in the words in which it is compared: each kind of object read once, however many there are.

.. versionadded:: 0.1.0

A plan (:py:mod:`neutron_plan`) is made of what is read here. To see it::

    salt-call --local -m . neutron_read.base cloud=bank clouds_yaml=/etc/openstack/clouds.yaml
"""

import ipaddress

from salt.exceptions import CommandExecutionError

__virtualname__ = "neutron_read"


def __virtual__():
    return __virtualname__


def base(cloud=None, clouds_yaml=None, domain=None):
    """
    Projects, networks and subnets: three lists, which are all when there is nothing to do.

    cloud, clouds_yaml
        The login, see :py:mod:`neutron_cloud`.
    domain
        The domain of the projects that are ours, by name or id. Default: that of the login's project.

    Returns:
        ``domain_id``, ``projects`` (of all domains), ``networks`` and ``subnets``, see :py:func:`network` and its like.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_read.base cloud=bank

    .. versionadded:: 0.1.0
    """
    keys = ("id", "name", "domain_id", "enabled", "tags")
    projects, networks, subnets = (_rows(kind, cloud, clouds_yaml) for kind in ("projects", "networks", "subnets"))
    return {
        "domain_id": _domain_id(domain, cloud, clouds_yaml),
        "projects": [{key: each.get(key) for key in keys} for each in projects],
        "networks": [network(each) for each in networks],
        "subnets": [subnet(each) for each in subnets],
    }


def more(kinds, networks=(), cloud=None, clouds_yaml=None):
    """
    Further kinds that only some plans need, one list each.

    kinds
        Kind to what it is asked with, see :py:func:`neutron_plan.needs`.
    networks
        The networks of :py:func:`base`: their physical networks are known ones. Default none.
    cloud, clouds_yaml
        The login, see :py:mod:`neutron_cloud`.

    Returns:
        Kind to objects. With ``quotas`` (project id to quota) comes ``default_quota``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_read.more '{routers: {}}' cloud=bank

    .. versionadded:: 0.1.0
    """
    login, found = {"cloud": cloud, "clouds_yaml": clouds_yaml}, {}
    for kind, query in kinds.items():
        if kind in ("ports", "router_ports"):
            short = {} if len(query.get("network_id", ())) > 100 else query  # an address has no room for more
            found[kind] = [port(each) for each in _rows("ports", query=short, **login)]
        elif kind == "quotas":
            found[kind] = {each["project_id"]: each for each in _rows("quotas", **login)}
            found["default_quota"] = __salt__["neutron_cloud.default_quota"]("any", **login)
        elif kind == "physical_networks":
            found[kind] = _physical_networks(networks, **login)
        else:
            found[kind] = _rows(kind, query=query, **login)
    return found


def ranges(cloud=None, clouds_yaml=None):
    """
    The ranges from which Neutron gives VLAN ids by itself; none where it does not tell.

    cloud, clouds_yaml
        The login, see :py:mod:`neutron_cloud`.

    Returns:
        List of mappings: ``physical_network``, ``minimum``, ``maximum``, ``shared``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_read.ranges cloud=bank

    .. versionadded:: 0.1.0
    """
    fields = ["physical_network", "minimum", "maximum", "shared", "network_type"]
    try:
        found = _rows("ranges", cloud, clouds_yaml, {"fields": fields})
    except CommandExecutionError as err:
        if getattr(err, "status", 0) not in (403, 404):
            raise
        return []
    return [each for each in found if each["network_type"] == "vlan"]


def _rows(kind, cloud, clouds_yaml, query=None):
    return __salt__["neutron_cloud.rows"](kind, query, cloud, clouds_yaml)


def _domain_id(wanted, cloud, clouds_yaml):
    who = __salt__["neutron_cloud.login"](cloud, clouds_yaml)
    if wanted in (None, who["domain_id"], who["domain"]):
        return who["domain_id"]
    domains = _rows("domains", cloud, clouds_yaml)
    found = [each["id"] for each in domains if wanted in (each["id"], each["name"])]
    if not found:
        known = ", ".join(sorted(each["name"] for each in domains))
        raise CommandExecutionError(f"There is no domain {wanted}; known are {known}")
    return found[0]


def _physical_networks(networks, cloud, clouds_yaml):
    """Empty when the cloud tells none: then nothing can be said of a name."""
    known = {each["physical_network"] for each in ranges(cloud, clouds_yaml)}
    for agent in _rows("agents", cloud, clouds_yaml):
        known.update(agent.get("configurations", {}).get("bridge_mappings") or {})
    used = {each["physical_network"] for each in networks} - {None}
    return sorted(known | used) if known else []


# What the API answers, as far as it is compared


def network(answer):
    """
    A network in our words: ``segments`` is empty for one with a single segment.

    answer
        The API's mapping.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_read.network '{id: n1, name: tellers-net, project_id: p1}'

    .. versionadded:: 0.1.0
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


def subnet(answer):
    """
    A subnet in our words; no gateway is ``""``.

    answer
        The API's mapping.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_read.subnet '{id: s1, network_id: n1, cidr: 10.0.12.0/24}'

    .. versionadded:: 0.1.0
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


def _mode(advertised, given):
    """How guests get IPv6 addresses: one word, where routers advertise and Neutron gives in the same way."""
    return advertised if advertised == given else f"{advertised or 'none'} advertised, {given or 'none'} given"


def port(answer):
    """
    A port in our words.

    answer
        The API's mapping.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_read.port '{id: a1, network_id: n1, device_owner: "network:dhcp"}'

    .. versionadded:: 0.1.0
    """
    return {
        **{key: answer.get(key) for key in ("id", "name", "network_id", "project_id", "device_id")},
        "owner": answer.get("device_owner") or "",
        "host": answer.get("binding:host_id") or "",
        "vif_type": answer.get("binding:vif_type") or "",
        "subnets": [each["subnet_id"] for each in answer.get("fixed_ips") or []],
        "addresses": [each["ip_address"] for each in answer.get("fixed_ips") or []],
    }


def _segment(answer):
    return {
        "type": answer.get("provider:network_type"),
        "physical_network": answer.get("provider:physical_network"),
        "vlan": answer.get("provider:segmentation_id"),
    }
