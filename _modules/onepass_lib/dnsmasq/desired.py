"""
What follows from a network with names: its defaults, and its values in normal form.
"""

import ipaddress
from typing import Any

DNS_PORT = 53
PROOF = "onepass-test"  # the name below the domain by which a host proves that it asks here
MARK = "onepass.test"  # the name by which dnsmasq tells what it has read
SECONDS = {"m": 60, "h": 3600, "d": 86400}
DEFAULTS: dict[str, Any] = {
    "backend": "network",
    "bridge": None,
    "local_only": True,
    "nat": True,
    "dhcp": None,
    "forwarders": [],
    "hosts": {},
    "options": [],
    "resolver": None,
}


def complete(network: dict) -> dict[str, Any]:
    """
    A good network with its defaults filled in and its values in normal form: lower case, hosts without the domain.

    network
        One without faults: see ``refuse``.

    Returns:
        The same keys, all of them, and ``network`` (``192.168.150.0/24``), ``gateway`` (``192.168.150.1``),
        ``netmask``, ``reverse`` (the reverse zone, or ``None``) and ``lines`` (dnsmasq's options, ours among them).
        Each of ``hosts`` has ``address`` and ``mac`` (or ``None``), each of ``forwarders`` ``address``, ``port`` and
        ``domain`` (or ``None``).
    """
    whole = {**DEFAULTS, **network}
    interface = ipaddress.ip_interface(whole["address"])
    domain = whole["domain"].lower()
    hosts = {
        short(name, domain): {"address": host["address"], "mac": (host.get("mac") or "").lower() or None}
        for name, host in whole["hosts"].items()
    }
    whole.update(
        domain=domain,
        network=str(interface.network),
        gateway=str(interface.ip),
        netmask=str(interface.netmask),
        reverse=_reverse(interface.network),
        dhcp=whole["dhcp"] and {**whole["dhcp"], "seconds": _seconds(whole["dhcp"].get("lease", "1h"))},
        hosts=dict(sorted(hosts.items())),
        forwarders=[_forwarder(each) for each in whole["forwarders"]],
        lines=[*always(whole["forwarders"]), f"address=/{PROOF}.{domain}/{interface.ip}", *whole["options"]],
    )
    return whole


def always(forwarders: list[dict]) -> list[str]:
    """
    The options that every network has.

    One forwarder's answer is enough: a dead one delays nobody. A loop is refused at once.

    The host's /etc/hosts is not served: its names and addresses are the host's own. With a forwarder for every name,
    the host's own resolv.conf is not read: it may well lead back here.
    """
    for_all = any(not each.get("domain") for each in forwarders)
    return ["no-hosts", "all-servers", "dns-loop-detect", *(["no-resolv"] if for_all else [])]


def short(name: str, domain: str | None) -> str:
    """A host's name without the network's domain, in lower case."""
    return name.lower().removesuffix(f".{(domain or '').lower()}")


def _reverse(network: Any) -> str | None:
    """The reverse zone, where it is one: a length of 8, 16 or 24."""
    octets = str(network.network_address).split(".")[: network.prefixlen // 8]
    return None if network.prefixlen % 8 else ".".join(reversed(octets)) + ".in-addr.arpa"


def _seconds(lease: str) -> int:
    return int(lease[:-1]) * SECONDS[lease[-1]]


def _forwarder(given: dict) -> dict[str, Any]:
    address = str(ipaddress.ip_address(given["address"]))
    domain = given["domain"].lower() if given.get("domain") else None
    return {"address": address, "port": given.get("port", DNS_PORT), "domain": domain}
