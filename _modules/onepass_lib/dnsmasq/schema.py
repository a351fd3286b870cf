"""
The form of a network with names: a JSON Schema with its faults in words.
"""

import copy
from typing import Any

from onepass_lib.core import form
from onepass_lib.core.parts import (
    DEVICE,
    IPV4,
    IPV6,
    LABEL,
    MAC,
    device,
    document,
    flag,
    listing,
    mapping,
    matching,
    number,
    one_of,
    or_null,
    record,
)
from onepass_lib.core.steps import Fault

NAME = rf"(?=.{{1,253}}$){LABEL}(\.{LABEL})*"
ALIASES = {
    "localOnly": "local_only",
    "forwarder": "forwarders",
    "addr": "address",
    "ip": "address",
    "cidr": "address",
    "range": "dhcp",
    "forward": "nat",
}
# An option's key ends with a blank or an equals sign: in s"erver"= dnsmasq would read another one. No line, and no XML
# of libvirt's, can hold the other characters.
OPTION = "[a-z0-9][a-z0-9-]*([ =][^\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]*)?"

ADDRESS = matching("an IPv4 address such as 192.168.150.20", IPV4)
DOMAIN = matching("letters, digits and hyphens between dots, such as lab.example", NAME)
FORWARDER = record(
    "a mapping with address and, where wanted, port and domain",
    {
        "address": matching("an IPv4 or IPv6 address of a nameserver", rf"{IPV4}|{IPV6}(%{DEVICE})?"),
        "port": number("1 to 65535, default 53", 1, 65535),
        "domain": matching("the domain that this nameserver is asked for; without it: all others", NAME),
    },
    required=("address",),
)
HOST = record(
    "a mapping with address and, for a reservation, mac",
    {
        "address": ADDRESS,
        "mac": MAC,
    },
    required=("address",),
)
DHCP = record(
    "a mapping with start, end and, where wanted, lease",
    {
        "start": ADDRESS,
        "end": ADDRESS,
        "lease": matching("a time such as 45m, 12h or 7d, two minutes at least; default 1h", "[1-9][0-9]{0,5}[mhd]"),
    },
    required=("start", "end"),
)
NETWORK = record(
    "a network with names",
    {
        "name": matching(
            "the network's name: letters, digits, dots, hyphens and underscores", r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,49}"
        ),
        "backend": one_of("network (libvirt's, default) or bridge (of our own)", "network", "bridge"),
        "bridge": or_null(device()),
        "domain": DOMAIN,
        "local_only": flag("True (names of the domain never leave this host, default) or False"),
        "address": matching(
            "the host's address with the network's length, such as 192.168.150.1/24",
            rf"{IPV4}/([0-9]|[12][0-9]|3[0-2])",
        ),
        "nat": flag("True (guests reach other networks by the host's address, default) or False (they reach none)"),
        "dhcp": or_null(DHCP),
        "forwarders": listing("a list of mappings with address, port, domain", FORWARDER),
        "hosts": mapping(
            "a mapping of name to address and mac",
            HOST,
            propertyNames=matching("letters, digits and hyphens, 63 at most, between dots", NAME),
        ),
        "options": listing(
            "a list of dnsmasq's options as its configuration file has them, such as no-ping",
            matching("one line as in dnsmasq's configuration file, without --, such as no-ping", OPTION),
            uniqueItems=True,
        ),
        "resolver": one_of(
            "auto, resolved, NetworkManager or resolv.conf: how the host's own names are looked up here",
            "auto",
            "resolved",
            "NetworkManager",
            "resolv.conf",
            None,
        ),
    },
    required=("name", "domain", "address"),
)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a network, each part with its ``description``."""
    return copy.deepcopy(document("dns", NETWORK))


def faults(network: Any) -> list[Fault]:
    """Where a network differs from the schema: all faults at once, in no order."""
    return form.faults(network, NETWORK, ALIASES)


def sound(network: Any) -> dict[str, Any]:
    """The network without what the schema refuses: unknown keys are left out, malformed values are ``None``."""
    return form.sound(network, NETWORK, ALIASES)
