"""
Everything that is wrong with a network with names, known without any host.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from onepass_lib.core import form
from onepass_lib.core.steps import Fault
from onepass_lib.dnsmasq import schema
from onepass_lib.dnsmasq.desired import DEFAULTS, DNS_PORT, always, short

# A path, a fault and its remedy.
Rule = tuple[str, str, str]
# Options that follow from an argument; dnsmasq or libvirt would refuse them a second time, or they would contradict it.
# Without its ident dnsmasq does not tell what it has read; in the foreground its start never ends.
TAKEN = {
    **dict.fromkeys(("server", "servers-file", "rev-server", "no-resolv", "all-servers"), "forwarders"),
    **dict.fromkeys(("domain", "local", "expand-hosts"), "domain and local_only"),
    **dict.fromkeys(("addn-hosts", "dhcp-host", "dhcp-hostsfile", "hostsdir", "dhcp-hostsdir"), "hosts"),
    **dict.fromkeys(("dhcp-range", "dhcp-leasefile", "dhcp-authoritative"), "dhcp"),
    **dict.fromkeys(("interface", "listen-address", "bind-dynamic", "bind-interfaces", "port"), "bridge and address"),
    **dict.fromkeys(("conf-file", "pid-file", "user", "dns-loop-detect", "strict-order"), "nothing of yours"),
    **dict.fromkeys(("no-ident", "no-daemon", "keep-in-foreground"), "nothing of yours"),
}
# Those that libvirt writes too: a second time dnsmasq refuses them, or libvirt's command line wins.
LIBVIRTS = ("dhcp-lease-max", "dhcp-script", "leasefile-ro")
# The host's own stub resolver asks here.
STUBS = ("127.0.0.53", "127.0.0.54")


def faults(network: Any) -> list[Fault]:
    """
    Everything that is wrong with a network, sorted by path; an empty list for a good one.

    network
        The network.

    Returns:
        List of mappings: ``path`` (``forwarders:1:address``), ``fault`` and ``remedy``.
    """
    found = schema.faults(network)
    sound = schema.sound(network) if found else network
    found += [{"path": path, "fault": fault, "remedy": remedy} for path, fault, remedy in _rules({**DEFAULTS, **sound})]
    return [dict(each, path=each["path"].removeprefix(":")) for each in form.ordered("", found)]


# What no schema can say, of all that it has let through


def _rules(sound: dict) -> Iterator[Rule]:
    interface = _interface(sound)
    yield from _address_rule(sound)
    yield from _domain_rule(sound)
    yield from _dhcp_rule(sound, interface)
    yield from _host_rule(sound, interface)
    yield from _once_rule(sound)
    yield from _forwarder_rule(sound, interface)
    yield from _option_rule(sound)
    yield from _resolver_rule(sound)


def _interface(sound: dict) -> Any:
    try:
        return ipaddress.ip_interface(sound.get("address") or "")
    except ValueError:
        return None


def _address(value: Any) -> Any:
    try:
        return ipaddress.ip_address(value or "")
    except ValueError:
        return None


def _mapping(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def _unfit(address: Any) -> str | None:
    kinds = ("multicast", "loopback", "unspecified", "link_local")
    return next((kind.replace("_", "-") for kind in kinds if getattr(address, f"is_{kind}")), None)


def _address_rule(sound: dict) -> Iterator[Rule]:
    given, interface = sound.get("address"), _interface(sound)
    remedy = "the host's address in the network, such as 192.168.150.1/24"
    if not interface:
        return
    if not 8 <= interface.network.prefixlen <= 30:
        yield "address", f"is {given}, a network of {interface.network.num_addresses} addresses", "a length of 8 to 30"
    elif _unfit(interface.ip):
        yield "address", f"is {given}, which is {_unfit(interface.ip)}", remedy
    elif interface.ip == interface.network.network_address:
        yield "address", f"is {given}, the network itself", remedy
    elif interface.ip == interface.network.broadcast_address:
        yield "address", f"is {given}, the broadcast address", remedy


def _domain_rule(sound: dict) -> Iterator[Rule]:
    """Below home.arpa are names of a site such as this one (RFC 8375)."""
    domain = (sound.get("domain") or "").lower()
    if domain == "local" or domain.endswith(".local"):
        yield "domain", f"is {domain!r}, which belongs to multicast DNS", "another domain, such as lab.example"
    elif domain.split(".")[-1] in ("invalid", "arpa", "localhost") and not f".{domain}".endswith(".home.arpa"):
        yield "domain", f"is {domain!r}, which is reserved", "another domain, such as lab.example"


def _outside(address: Any, interface: Any) -> str | None:
    network = interface.network
    if address not in network:
        return f"is {address}, outside of {network}"
    if address == interface.ip:
        return f"is {address}, the host's own"
    if address in (network.network_address, network.broadcast_address):
        return f"is {address}, the first or last of {network}"
    return None


def _dhcp_rule(sound: dict, interface: Any) -> Iterator[Rule]:
    given = _mapping(sound.get("dhcp"))
    start, end = _address(given.get("start")), _address(given.get("end"))
    for key, address in (("start", start), ("end", end)):
        wrong = address and interface and _outside(address, interface)
        if wrong:
            yield f"dhcp:{key}", wrong, f"an address of {interface.network} for guests"
    if start and end and start > end:
        yield "dhcp:end", f"is {end}, before the start {start}", "the range's last address"
    elif start and end and interface and start < interface.ip < end:
        yield "dhcp", f"is {start} to {end}, with the host's own {interface.ip} in it", "a range beside it"
    if given.get("lease") == "1m":
        yield "dhcp:lease", "is '1m'", "two minutes or more"


def _host_rule(sound: dict, interface: Any) -> Iterator[Rule]:
    """A reservation is an address for a guest; a name alone may be that of any host."""
    for name, host in _mapping(sound.get("hosts")).items():
        host = _mapping(host)
        address, mac = _address(host.get("address")), host.get("mac")
        wrong = address and interface and _outside(address, interface)
        if wrong and (mac or "first or last" in wrong):
            yield f"hosts:{name}:address", wrong, f"another address of {interface.network}"
        elif address and not address.is_link_local and _unfit(address):
            yield f"hosts:{name}:address", f"is {address}, which is {_unfit(address)}", "the address of a host"
        if mac and (int(mac[1], 16) & 1 or set(mac) <= {"0", ":"}):
            kind = "a multicast address" if int(mac[1], 16) & 1 else "no card's"
            yield f"hosts:{name}:mac", f"is {mac}, {kind}", "the MAC of the guest's interface (virsh domiflist)"
        if mac and not sound.get("dhcp"):
            yield f"hosts:{name}:mac", "is given, but the network has no dhcp", "dhcp, or no mac"


def _once_rule(sound: dict) -> Iterator[Rule]:
    """A name, a MAC, and a reservation's address: each once."""
    seen: dict[tuple, str] = {}
    for name, host in _mapping(sound.get("hosts")).items():
        host, path = _mapping(host), f"hosts:{name}"
        values = [("name", path, short(name, sound.get("domain")))]
        keys = ("address", "mac") if host.get("mac") else ()
        values += [(key, f"{path}:{key}", (host.get(key) or "").lower()) for key in keys]
        for what, place, value in values:
            if value and seen.setdefault((what, value), place) != place:
                yield place, f"has the {what} {value}, as {seen[what, value]} has", "one of its own"


def _forwarder_rule(sound: dict, interface: Any) -> Iterator[Rule]:
    seen: dict[tuple, str] = {}
    for number, given in enumerate(_list(sound.get("forwarders"))):
        given, path = _mapping(given), f"forwarders:{number}"
        address, port, domain = _address(given.get("address")), given.get("port") or DNS_PORT, given.get("domain")
        own_loop = address and (str(address) in STUBS or sound.get("resolver") == "resolv.conf")
        if given.get("address") and not address:
            yield f"{path}:address", f"is {given['address']!r}, which is no address", "an address such as 9.9.9.9"
        if not address:
            continue
        if interface and address == interface.ip:
            yield f"{path}:address", f"is {address}, this network's own dnsmasq: a loop", "another nameserver"
        elif address.is_loopback and port == DNS_PORT and own_loop:
            yield f"{path}:address", f"is {address}, the host itself, which asks here: a loop", "the host's nameserver"
        elif not address.is_loopback and (address.is_multicast or address.is_unspecified):
            yield f"{path}:address", f"is {address}, which is {_unfit(address)}", "a nameserver's address"
        elif address.version == 6 and bool(address.is_link_local) != bool(address.scope_id):
            wrong = "without its interface" if address.is_link_local else "with an interface"
            yield f"{path}:address", f"is {address}, {wrong}", "fe80::1%eth0, or an address that is not link-local"
        key = (address, port, (domain or "").lower())
        if seen.setdefault(key, path) != path:
            yield path, f"is {address} again, as {seen[key]} is", "each forwarder once"
        if domain and sound.get("local_only") and domain.lower() == (sound.get("domain") or "").lower():
            yield f"{path}:domain", f"is {domain}, which is local only", "local_only: False, or no such forwarder"


def _option_rule(sound: dict) -> Iterator[Rule]:
    forwarders = [_mapping(each) for each in _list(sound.get("forwarders"))]
    for number, option in enumerate(_list(sound.get("options"))):
        key = re.split(r"[=\s]", option or "", maxsplit=1)[0]
        if key in TAKEN:
            yield f"options:{number}", f"is {option!r}, which follows from {TAKEN[key]}", "no such option"
        elif key in LIBVIRTS and sound.get("backend") == "network":
            yield (
                f"options:{number}",
                f"is {option!r}, which libvirt decides by itself",
                "backend: bridge, or without it",
            )
        elif key == "resolv-file" and "no-resolv" in always(forwarders):
            yield f"options:{number}", f"is {option!r}, which no forwarder leaves anything to ask", "no such option"


def _resolver_rule(sound: dict) -> Iterator[Rule]:
    """A host whose every name is looked up here needs somebody else to be asked for the others."""
    everything = sound.get("resolver") == "resolv.conf"
    others = [each for each in _list(sound.get("forwarders")) if each and not _mapping(each).get("domain")]
    if everything and not others:
        yield "resolver", "is resolv.conf, but no forwarder is without a domain: a loop", "such a forwarder"
