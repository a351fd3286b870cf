"""
A network with names: the one data model that both backends of :py:mod:`dnsmasq_fwd` are made from, and all that can be
wrong with it.

.. versionadded:: 0.1.0

Nothing here asks the world. To judge a network without any host::

    salt-call --local -m . dnsmasq_model.faults '{name: lab, domain: lab.example, address: 192.168.150.1/24}'

Requires ``jsonschema`` 4 in Salt's Python.
"""

import ipaddress
import re
from collections.abc import Iterator

END = r"$(?!\n)"
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
NAME = rf"(?=.{{1,253}}$){LABEL}(\.{LABEL})*"
DEVICE = r"(?!\.{1,2}$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}"
OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4 = rf"{OCTET}(\.{OCTET}){{3}}"
DNS_PORT = 53
PROOF = "onepass-test"  # the name below the domain by which a host proves that it asks here
SECONDS = {"m": 60, "h": 3600, "d": 86400}
ALIASES = {
    "localOnly": "local_only",
    "forwarder": "forwarders",
    "addr": "address",
    "ip": "address",
    "cidr": "address",
    "range": "dhcp",
    "forward": "nat",
}
DEFAULTS = {
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
# An option's key ends with a blank or an equals sign: in s"erver"= dnsmasq would read another one. No line, and no XML
# of libvirt's, can hold the other characters.
OPTION = "[a-z0-9][a-z0-9-]*([ =][^\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]*)?"
# The host's own stub resolver asks here.
STUBS = ("127.0.0.53", "127.0.0.54")


def __virtual__():
    if "pillar_form.faults" not in __salt__:
        return False, "dnsmasq_model needs jsonschema 4 in Salt's Python: salt-pip install 'jsonschema>=4.17'"
    return "dnsmasq_model"


# Each part's description says what would be right, and is the remedy of its faults.


def _text(description: str, pattern: str) -> dict:
    return {"description": description, "type": "string", "pattern": f"^({pattern}){END}"}


def _object(description: str, properties: dict, required: tuple) -> dict:
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _flag(description: str) -> dict:
    return {"description": description, "type": "boolean"}


def _optional(schema: dict) -> dict:
    return {"description": schema["description"], "if": {"type": "null"}, "else": schema}


ADDRESS = _text("an IPv4 address such as 192.168.150.20", IPV4)
DOMAIN = _text("letters, digits and hyphens between dots, such as lab.example", NAME)
FORWARDER = _object(
    "a mapping with address and, where wanted, port and domain",
    {
        "address": _text(
            "an IPv4 or IPv6 address of a nameserver", rf"{IPV4}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(%{DEVICE})?"
        ),
        "port": {"description": "1 to 65535, default 53", "type": "integer", "minimum": 1, "maximum": 65535},
        "domain": _text("the domain that this nameserver is asked for; without it: all others", NAME),
    },
    required=("address",),
)
HOST = _object(
    "a mapping with address and, for a reservation, mac",
    {
        "address": ADDRESS,
        "mac": _text(
            "six pairs of hex digits in quotes, such as '52:54:00:bf:57:bb'", "([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}"
        ),
    },
    required=("address",),
)
DHCP = _object(
    "a mapping with start, end and, where wanted, lease",
    {
        "start": ADDRESS,
        "end": ADDRESS,
        "lease": _text("a time such as 45m, 12h or 7d, two minutes at least; default 1h", "[1-9][0-9]{0,5}[mhd]"),
    },
    required=("start", "end"),
)
NETWORK = _object(
    "a network with names",
    {
        "name": _text(
            "the network's name: letters, digits, dots, hyphens and underscores", r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,49}"
        ),
        "backend": {
            "description": "network (libvirt's, default) or bridge (of our own)",
            "enum": ["network", "bridge"],
        },
        "bridge": _optional(_text("a device's name: 1 to 15 letters, digits, dots, hyphens and underscores", DEVICE)),
        "domain": DOMAIN,
        "local_only": _flag("True (names of the domain never leave this host, default) or False"),
        "address": _text(
            "the host's address with the network's length, such as 192.168.150.1/24",
            rf"{IPV4}/([0-9]|[12][0-9]|3[0-2])",
        ),
        "nat": _flag("True (guests reach other networks by the host's address, default) or False (they reach none)"),
        "dhcp": _optional(DHCP),
        "forwarders": {
            "description": "a list of mappings with address, port, domain",
            "type": "array",
            "items": FORWARDER,
        },
        "hosts": {
            "description": "a mapping of name to address and mac",
            "type": "object",
            "propertyNames": _text("letters, digits and hyphens, 63 at most, between dots", NAME),
            "additionalProperties": HOST,
        },
        "options": {
            "description": "a list of dnsmasq's options as its configuration file has them, such as no-ping",
            "type": "array",
            "items": _text("one line as in dnsmasq's configuration file, without --, such as no-ping", OPTION),
            "uniqueItems": True,
        },
        "resolver": {
            "description": "auto, resolved, NetworkManager or resolv.conf: how the host's own names are looked up here",
            "enum": ["auto", "resolved", "NetworkManager", "resolv.conf", None],
        },
    },
    required=("name", "domain", "address"),
)


def schema() -> dict:
    """
    The JSON Schema (draft 2020-12) of a network, each part with its ``description``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_model.schema --out=json

    .. versionadded:: 0.1.0
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "dns", **NETWORK}


def faults(network) -> list:
    """
    Everything that is wrong with a network, sorted by path; an empty list for a good one.

    network
        Mapping with ``name``, ``domain`` and ``address``, and any of ``backend``, ``bridge``, ``local_only``, ``nat``,
        ``dhcp``, ``forwarders``, ``hosts``, ``options`` and ``resolver``: see the states of :py:mod:`dnsmasq_fwd`.

    Returns:
        List of mappings: ``path`` (``forwarders:1:address``), ``fault`` and ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_model.faults '{name: lab, domain: my lab, address: 192.168.150.0/24}'

    .. versionadded:: 0.1.0
    """
    found = __salt__["pillar_form.faults"](network, NETWORK, ALIASES)
    sound = __salt__["pillar_form.sound"](network, NETWORK, ALIASES) if found else network
    found += [dict(zip(("path", "fault", "remedy"), each, strict=True)) for each in _rules({**DEFAULTS, **sound})]
    ordered = __salt__["pillar_form.ordered"]("", found)
    return [dict(each, path=each["path"].removeprefix(":")) for each in ordered]


def complete(network: dict) -> dict:
    """
    A good network with its defaults filled in and its values in normal form: lower case, hosts without the domain.

    network
        As for :py:func:`faults`, which found nothing.

    Returns:
        The same keys, all of them, and ``network`` (``192.168.150.0/24``), ``gateway`` (``192.168.150.1``),
        ``netmask``, ``reverse`` (the reverse zone, or ``None``) and ``lines`` (dnsmasq's options, ours among them).
        Each of ``hosts`` has ``address`` and ``mac`` (or ``None``), each of ``forwarders`` ``address``, ``port`` and
        ``domain`` (or ``None``).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_model.complete '{name: lab, domain: lab.example, address: 192.168.150.1/24}'

    .. versionadded:: 0.1.0
    """
    whole = {**DEFAULTS, **network}
    interface = ipaddress.ip_interface(whole["address"])
    domain = whole["domain"].lower()
    hosts = {
        _short(name, domain): {"address": host["address"], "mac": (host.get("mac") or "").lower() or None}
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
        lines=[*_always(whole["forwarders"]), f"address=/{PROOF}.{domain}/{interface.ip}", *whole["options"]],
    )
    return whole


def _always(forwarders: list) -> list:
    """One forwarder's answer is enough: a dead one delays nobody. A loop is refused at once.

    The host's /etc/hosts is not served: its names and addresses are the host's own. With a forwarder for every name,
    the host's own resolv.conf is not read: it may well lead back here.
    """
    for_all = any(not each.get("domain") for each in forwarders)
    return ["no-hosts", "all-servers", "dns-loop-detect", *(["no-resolv"] if for_all else [])]


def _reverse(network) -> str | None:
    """The reverse zone, where it is one: a length of 8, 16 or 24."""
    octets = str(network.network_address).split(".")[: network.prefixlen // 8]
    return None if network.prefixlen % 8 else ".".join(reversed(octets)) + ".in-addr.arpa"


def _seconds(lease: str) -> int:
    return int(lease[:-1]) * SECONDS[lease[-1]]


def _forwarder(given: dict) -> dict:
    address = str(ipaddress.ip_address(given["address"]))
    domain = given["domain"].lower() if given.get("domain") else None
    return {"address": address, "port": given.get("port", DNS_PORT), "domain": domain}


def _short(name: str, domain: str | None) -> str:
    return name.lower().removesuffix(f".{(domain or '').lower()}")


# What no schema can say, of all that it has let through; a rule yields (path, fault, remedy)


def _rules(sound: dict) -> Iterator[tuple]:
    interface = _interface(sound)
    yield from _address_rule(sound)
    yield from _domain_rule(sound)
    yield from _dhcp_rule(sound, interface)
    yield from _host_rule(sound, interface)
    yield from _once_rule(sound)
    yield from _forwarder_rule(sound, interface)
    yield from _option_rule(sound)
    yield from _resolver_rule(sound)


def _interface(sound: dict):
    try:
        return ipaddress.ip_interface(sound.get("address") or "")
    except ValueError:
        return None


def _address(value):
    try:
        return ipaddress.ip_address(value or "")
    except ValueError:
        return None


def _mapping(value) -> dict:
    return value if isinstance(value, dict) else {}


def _list(value) -> list:
    return value if isinstance(value, list) else []


def _unfit(address) -> str | None:
    kinds = ("multicast", "loopback", "unspecified", "link_local")
    return next((kind.replace("_", "-") for kind in kinds if getattr(address, f"is_{kind}")), None)


def _address_rule(sound: dict) -> Iterator[tuple]:
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


def _domain_rule(sound: dict) -> Iterator[tuple]:
    """Below home.arpa are names of a site such as this one (RFC 8375)."""
    domain = (sound.get("domain") or "").lower()
    if domain == "local" or domain.endswith(".local"):
        yield "domain", f"is {domain!r}, which belongs to multicast DNS", "another domain, such as lab.example"
    elif domain.split(".")[-1] in ("invalid", "arpa", "localhost") and not f".{domain}".endswith(".home.arpa"):
        yield "domain", f"is {domain!r}, which is reserved", "another domain, such as lab.example"


def _outside(address, interface) -> str | None:
    network = interface.network
    if address not in network:
        return f"is {address}, outside of {network}"
    if address == interface.ip:
        return f"is {address}, the host's own"
    if address in (network.network_address, network.broadcast_address):
        return f"is {address}, the first or last of {network}"
    return None


def _dhcp_rule(sound: dict, interface) -> Iterator[tuple]:
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


def _host_rule(sound: dict, interface) -> Iterator[tuple]:
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


def _once_rule(sound: dict) -> Iterator[tuple]:
    """A name, a MAC, and a reservation's address: each once."""
    seen = {}
    for name, host in _mapping(sound.get("hosts")).items():
        host, path = _mapping(host), f"hosts:{name}"
        values = [("name", path, _short(name, sound.get("domain")))]
        keys = ("address", "mac") if host.get("mac") else ()
        values += [(key, f"{path}:{key}", (host.get(key) or "").lower()) for key in keys]
        for what, place, value in values:
            if value and seen.setdefault((what, value), place) != place:
                yield place, f"has the {what} {value}, as {seen[what, value]} has", "one of its own"


def _forwarder_rule(sound: dict, interface) -> Iterator[tuple]:
    seen = {}
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


def _option_rule(sound: dict) -> Iterator[tuple]:
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
        elif key == "resolv-file" and "no-resolv" in _always(forwarders):
            yield f"options:{number}", f"is {option!r}, which no forwarder leaves anything to ask", "no such option"


def _resolver_rule(sound: dict) -> Iterator[tuple]:
    """A host whose every name is looked up here needs somebody else to be asked for the others."""
    everything = sound.get("resolver") == "resolv.conf"
    others = [each for each in _list(sound.get("forwarders")) if each and not _mapping(each).get("domain")]
    if everything and not others:
        yield "resolver", "is resolv.conf, but no forwarder is without a domain: a loop", "such a forwarder"
