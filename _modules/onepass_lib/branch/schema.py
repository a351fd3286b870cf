"""
The form of the ``branch`` pillar, and of the arguments of its states: JSON Schemas with their faults in words.
"""

import copy
import re
from typing import Any

from onepass_lib.core import form
from onepass_lib.core.parts import (
    IPV4,
    IPV6,
    LABEL,
    MAC,
    PORT,
    device,
    document,
    flag,
    listing,
    mapping,
    matching,
    number,
    one_of,
    or_null,
    part,
    record,
)
from onepass_lib.core.steps import Fault

# Keys that people know from elsewhere.
ALIASES = {"net": "cidr", "network": "cidr", "address": "ip", "hwaddr": "mac", "nat_port": "port", "domain": "name"}

ADDRESS = matching("an IPv4 address such as 10.20.30.17, in plain decimal", IPV4)
LINK_LOCAL = matching("an address of 169.254.0.0/16, default 169.254.0.(10 + number)", IPV4)
ADDRESS6 = matching("an IPv6 address such as 2001:db8:5::17, in quotes", IPV6)

VM = record(
    "the host's virtual machine",
    {
        "name": matching("the libvirt domain's name", r"[A-Za-z0-9_][A-Za-z0-9_.+:@-]{0,62}"),
        "ip": ADDRESS,
        "ip6": ADDRESS6,
        "mac": MAC,
    },
    required=("name", "ip", "mac"),
)

GUEST = {
    "template": matching("the template's domain", r"[A-Za-z0-9_][A-Za-z0-9_.+:@-]{0,62}"),
    "memory": number("MiB, at least 16", 16, 1 << 24),
    "vcpu": number("1 or more", 1, 4096),
    "pool": matching("a storage pool's name", "[A-Za-z0-9_][A-Za-z0-9_.+-]{0,62}"),
    "linked": flag("true (thin, over the template; default) or false (a full copy)"),
    "autostart": flag("true (starts with the host, default) or false"),
    "identity": one_of("auto (default), disk, nocloud, ssh or none", "auto", "disk", "nocloud", "ssh", "none"),
    "until": one_of("what a run waits for: started, address, name or ssh", "started", "address", "name", "ssh"),
    "timeout": number("seconds to wait for that, up to 86400, default 300", 0, 86400),
    "minion": record(
        "a mapping with master: the guest is a Salt minion of the id <name>.<branch>",
        {"master": matching("the master's name or address", r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")},
        required=("master",),
    ),
}
CLONE = record("how a virtual machine is cloned", GUEST)
GUEST_NAME = matching("a hostname: 1 to 63 of a to z, 0 to 9 and -", "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

HOST = record(
    "a workstation",
    {
        "number": number("1 to 244, each host of a branch its own: 17 makes the host 169.254.0.27", 1, 244),
        "link_local": LINK_LOCAL,
        "bridge": device(", default branch:bridge"),
        "uplink": device(", default branch:uplink"),
        "vm": {
            **VM,
            "properties": {
                **VM["properties"],
                "clone": {
                    **part("how it is cloned, where it differs from branch:guests; false: it is not"),
                    "if": {"enum": [False]},
                    "else": CLONE,
                },
            },
        },
        "guests": mapping(
            "more guests of this host, on the network branch:dns, by name",
            record("how a guest is cloned, where it differs from branch:guests", {**GUEST, "mac": MAC}),
            propertyNames=GUEST_NAME,
        ),
        "gone": listing("list of guests that are to be destroyed", GUEST_NAME, uniqueItems=True),
    },
    required=("number", "vm"),
)

GATEWAY = record(
    "the branch's gateway",
    {
        "host": matching("the gateway's name in the branch, its minion id without .<branch>", LABEL),
        "lan": device(", the one towards the branch"),
        "ip": ADDRESS,
        "ip6": ADDRESS6,
        "public": matching("the gateway's own IPv4 address towards headquarters", IPV4),
        "link_local": matching("an address of 169.254.0.0/16, default 169.254.0.1", IPV4),
    },
    required=("host", "lan", "ip", "public"),
)

CONFIRM = record(
    "how a change proves that the host can still be reached",
    {
        "within": number(
            "seconds until an unconfirmed change is taken back, up to 3600, default 120; 0: never", 0, 3600
        ),
        "reach": listing(
            "list of address:port at headquarters; a new connection to one of them confirms a change",
            matching(
                "address:port such as '192.0.2.10:22' or '[2001:db8::10]:22', in quotes",
                rf"({IPV4}|\[{IPV6}\]):{PORT}",
            ),
        ),
    },
)

BRANCH = record(
    "a branch office",
    {
        "name": matching("the branch's name, which its minions' ids end with: ws017.<name>", rf"{LABEL}(\.{LABEL})*"),
        "cidr": matching("the branch's network such as 10.20.30.0/24, /8 to /30", IPV4 + "/([89]|[12][0-9]|30)"),
        "cidr6": matching("the branch's IPv6 network such as 2001:db8:5::/64, in quotes", IPV6 + "/[0-9]{1,3}"),
        "port": number("the TCP port that belongs to the host, 1 to 65535, default 22", 1, 65535),
        "bridge": device(", default virbr0"),
        "uplink": device(", default eth0"),
        "way": one_of("auto (default), nft or ebtables", "auto", "nft", "ebtables"),
        "gateway": GATEWAY,
        "confirm": CONFIRM,
        "hosts": mapping(
            "the workstations, by name: a minion's id without .<branch>",
            HOST,
            minProperties=1,
            propertyNames=matching("letters, digits and hyphens, 63 at most", LABEL),
        ),
        "guests": {**CLONE, "description": "what the hosts' virtual machines are cloned from; without it, none is"},
        "dns": part("the network of the hosts' guests as dnsmasq_model.schema has it", type="object"),
    },
    required=("name", "cidr", "gateway", "hosts"),
)

COMMON = {
    "name": device(),
    "link_local": matching("an address of 169.254.0.0/16", IPV4),
    "network": BRANCH["properties"]["cidr"],
    "network6": or_null(BRANCH["properties"]["cidr6"]),
    "port": BRANCH["properties"]["port"],
    "way": BRANCH["properties"]["way"],
    "within": CONFIRM["properties"]["within"],
}
ARGUMENTS = {
    "workstation": record(
        "a workstation",
        {
            **COMMON,
            "uplink": device(),
            "gateway": matching("the gateway's address of 169.254.0.0/16", IPV4),
            "vms": listing("list of mappings with name, ip and mac", VM, minItems=1),
        },
    ),
    "gateway": record(
        "a gateway",
        {
            **COMMON,
            "public": GATEWAY["properties"]["public"],
            "neighbours": part(
                "IPv6 address to MAC of virtual machines",
                type=["object", "null"],
                propertyNames=ADDRESS6,
                additionalProperties=MAC,
            ),
        },
    ),
    "confirmed": record(
        "a confirmation",
        {
            "name": {},
            "reach": or_null(CONFIRM["properties"]["reach"]),
            "timeout": number("seconds, 0.1 to 3600, default 5", 0.1, 3600, whole=False),
        },
    ),
}
FAST = {key: re.compile(VM["properties"][key]["pattern"]).search for key in ("name", "ip", "mac")}

SCHEMA = document("branch", BRANCH)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the ``branch`` pillar, each part with its ``description``."""
    return copy.deepcopy(SCHEMA)


def faults(pillar: Any) -> list[Fault]:
    """
    Where the pillar differs from the schema: all faults at once, in no order.

    pillar
        The value of the pillar's key ``branch``.

    Returns:
        List of mappings with ``path`` (below ``branch``), ``fault`` and ``remedy``.
    """
    return form.faults(pillar, SCHEMA, ALIASES)


def sound(pillar: Any) -> dict[str, Any]:
    """
    The pillar without what the schema refuses: unknown keys are left out, a malformed value is ``None``.

    pillar
        The value of the pillar's key ``branch``.
    """
    return form.sound(pillar, SCHEMA, ALIASES)


def argument_faults(role: str, arguments: dict) -> list[Fault]:
    """
    Where the arguments of a state differ from their form: all faults at once, in no order.

    role
        The state: ``workstation``, ``gateway`` or ``confirmed``.
    arguments
        Argument to value, ``name`` among them.

    Returns:
        List of mappings with ``path``, ``fault`` and ``remedy``.
    """
    vms = arguments.get("vms")
    if isinstance(vms, list) and all(map(_is_plain, vms)):
        arguments = {**arguments, "vms": vms[:1]}  # a thousand of them are seen in a millisecond; words take longer
    return form.faults(arguments, ARGUMENTS[role], ALIASES)


def _is_plain(vm: Any) -> bool:
    try:
        return len(vm) == len(FAST) and bool(
            FAST["name"](vm["name"]) and FAST["ip"](vm["ip"]) and FAST["mac"](vm["mac"])
        )
    except (KeyError, TypeError):
        return False
