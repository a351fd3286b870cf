"""
The form of the ``branch`` pillar: a JSON Schema, and its faults in an administrator's words.

.. versionadded:: 0.1.0

``SCHEMA`` is all that a branch's pillar may hold. What no schema can say is told by :py:mod:`branch_pillar`, whose
``faults`` and ``check`` bring all of it together. To see the schema::

    salt-call --local -m . branch_schema.schema --out=json

Requires ``jsonschema`` 4 in Salt's Python.
"""

import copy
import re

END = r"$(?!\n)"
OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4 = rf"{OCTET}(\.{OCTET}){{3}}"
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
MAC = "([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}"
IPV6 = "[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*"
PORT = "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
# Keys that people know from elsewhere.
ALIASES = {"net": "cidr", "network": "cidr", "address": "ip", "hwaddr": "mac", "nat_port": "port", "domain": "name"}


def __virtual__():
    if "pillar_form.faults" not in __salt__:
        return False, "branch_schema needs jsonschema 4 in Salt's Python: salt-pip install 'jsonschema>=4.17'"
    return "branch_schema"


# Each part's description says what would be right, and is the remedy of its faults.


def _text(description: str, pattern: str) -> dict:
    return {"description": description, "type": "string", "pattern": f"^({pattern}){END}"}


def _number(description: str, lowest: int, highest: int) -> dict:
    return {"description": description, "type": "integer", "minimum": lowest, "maximum": highest}


def _object(description: str, properties: dict, required: tuple) -> dict:
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


DEVICE = "a device's name: 1 to 15 letters, digits, dots, hyphens and underscores"
DEVICE_PATTERN = r"(?!\.{1,2}$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}"
ADDRESS = _text("an IPv4 address such as 10.20.30.17, in plain decimal", IPV4)
LINK_LOCAL = _text("an address of 169.254.0.0/16, default 169.254.0.(10 + number)", IPV4)
ADDRESS6 = _text("an IPv6 address such as 2001:db8:5::17, in quotes", IPV6)

VM = _object(
    "the host's virtual machine",
    {
        "name": _text("the libvirt domain's name", r"[A-Za-z0-9_][A-Za-z0-9_.+:@-]{0,62}"),
        "ip": ADDRESS,
        "ip6": ADDRESS6,
        "mac": _text("six pairs of hex digits in quotes, such as '52:54:00:bf:57:bb'", MAC),
    },
    required=("name", "ip", "mac"),
)

GUEST = {
    "template": _text("the template's domain", r"[A-Za-z0-9_][A-Za-z0-9_.+:@-]{0,62}"),
    "memory": _number("MiB, at least 16", 16, 1 << 24),
    "vcpu": _number("1 or more", 1, 4096),
    "pool": _text("a storage pool's name", "[A-Za-z0-9_][A-Za-z0-9_.+-]{0,62}"),
    "linked": {"description": "true (thin, over the template; default) or false (a full copy)", "type": "boolean"},
    "autostart": {"description": "true (starts with the host, default) or false", "type": "boolean"},
    "identity": {
        "description": "auto (default), disk, nocloud, ssh or none",
        "enum": ["auto", "disk", "nocloud", "ssh", "none"],
    },
    "until": {
        "description": "what a run waits for: started, address, name or ssh",
        "enum": ["started", "address", "name", "ssh"],
    },
    "timeout": _number("seconds to wait for that, up to 86400, default 300", 0, 86400),
    "minion": _object(
        "a mapping with master: the guest is a Salt minion of the id <name>.<branch>",
        {"master": _text("the master's name or address", r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")},
        required=("master",),
    ),
}
CLONE = _object("how a virtual machine is cloned", GUEST, required=())
GUEST_NAME = _text("a hostname: 1 to 63 of a to z, 0 to 9 and -", "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

HOST = _object(
    "a workstation",
    {
        "number": _number("1 to 244, each host of a branch its own: 17 makes the host 169.254.0.27", 1, 244),
        "link_local": LINK_LOCAL,
        "bridge": _text(DEVICE + ", default branch:bridge", DEVICE_PATTERN),
        "uplink": _text(DEVICE + ", default branch:uplink", DEVICE_PATTERN),
        "vm": {
            **VM,
            "properties": {
                **VM["properties"],
                "clone": {
                    "description": "how it is cloned, where it differs from branch:guests; false: it is not",
                    "if": {"enum": [False]},
                    "else": CLONE,
                },
            },
        },
        "guests": {
            "description": "more guests of this host, on the network branch:dns, by name",
            "type": "object",
            "propertyNames": GUEST_NAME,
            "additionalProperties": _object(
                "how a guest is cloned, where it differs from branch:guests",
                {**GUEST, "mac": VM["properties"]["mac"]},
                required=(),
            ),
        },
        "gone": {
            "description": "list of guests that are to be destroyed",
            "type": "array",
            "items": GUEST_NAME,
            "uniqueItems": True,
        },
    },
    required=("number", "vm"),
)

GATEWAY = _object(
    "the branch's gateway",
    {
        "host": _text("the gateway's name in the branch, its minion id without .<branch>", LABEL),
        "lan": _text(DEVICE + ", the one towards the branch", DEVICE_PATTERN),
        "ip": ADDRESS,
        "ip6": ADDRESS6,
        "public": _text("the gateway's own IPv4 address towards headquarters", IPV4),
        "link_local": _text("an address of 169.254.0.0/16, default 169.254.0.1", IPV4),
    },
    required=("host", "lan", "ip", "public"),
)

CONFIRM = _object(
    "how a change proves that the host can still be reached",
    {
        "within": _number(
            "seconds until an unconfirmed change is taken back, up to 3600, default 120; 0: never", 0, 3600
        ),
        "reach": {
            "description": "list of address:port at headquarters; a new connection to one of them confirms a change",
            "type": "array",
            "items": _text(
                "address:port such as '192.0.2.10:22' or '[2001:db8::10]:22', in quotes",
                rf"({IPV4}|\[{IPV6}\]):{PORT}",
            ),
        },
    },
    required=(),
)

BRANCH = _object(
    "a branch office",
    {
        "name": _text("the branch's name, which its minions' ids end with: ws017.<name>", rf"{LABEL}(\.{LABEL})*"),
        "cidr": _text("the branch's network such as 10.20.30.0/24, /8 to /30", IPV4 + "/([89]|[12][0-9]|30)"),
        "cidr6": _text("the branch's IPv6 network such as 2001:db8:5::/64, in quotes", IPV6 + "/[0-9]{1,3}"),
        "port": _number("the TCP port that belongs to the host, 1 to 65535, default 22", 1, 65535),
        "bridge": _text(DEVICE + ", default virbr0", DEVICE_PATTERN),
        "uplink": _text(DEVICE + ", default eth0", DEVICE_PATTERN),
        "way": {"description": "auto (default), nft or ebtables", "enum": ["auto", "nft", "ebtables"]},
        "gateway": GATEWAY,
        "confirm": CONFIRM,
        "hosts": {
            "description": "the workstations, by name: a minion's id without .<branch>",
            "type": "object",
            "minProperties": 1,
            "propertyNames": _text("letters, digits and hyphens, 63 at most", LABEL),
            "additionalProperties": HOST,
        },
        "guests": {**CLONE, "description": "what the hosts' virtual machines are cloned from; without it, none is"},
        "dns": {"description": "the network of the hosts' guests as dnsmasq_model.schema has it", "type": "object"},
    },
    required=("name", "cidr", "gateway", "hosts"),
)

COMMON = {
    "name": _text(DEVICE, DEVICE_PATTERN),
    "link_local": _text("an address of 169.254.0.0/16", IPV4),
    "network": BRANCH["properties"]["cidr"],
    "network6": {"if": {"type": "null"}, "else": BRANCH["properties"]["cidr6"]},
    "port": BRANCH["properties"]["port"],
    "way": BRANCH["properties"]["way"],
    "within": CONFIRM["properties"]["within"],
}
ARGUMENTS = {
    "workstation": _object(
        "a workstation",
        {
            **COMMON,
            "uplink": _text(DEVICE, DEVICE_PATTERN),
            "gateway": _text("the gateway's address of 169.254.0.0/16", IPV4),
            "vms": {
                "description": "list of mappings with name, ip and mac",
                "type": "array",
                "minItems": 1,
                "items": VM,
            },
        },
        required=(),
    ),
    "gateway": _object(
        "a gateway",
        {
            **COMMON,
            "public": GATEWAY["properties"]["public"],
            "neighbours": {
                "description": "IPv6 address to MAC of virtual machines",
                "type": ["object", "null"],
                "propertyNames": ADDRESS6,
                "additionalProperties": VM["properties"]["mac"],
            },
        },
        required=(),
    ),
    "confirmed": _object(
        "a confirmation",
        {
            "name": {},
            "reach": {"if": {"type": "null"}, "else": CONFIRM["properties"]["reach"]},
            "timeout": {
                "description": "seconds, 0.1 to 3600, default 5",
                "type": "number",
                "minimum": 0.1,
                "maximum": 3600,
            },
        },
        required=(),
    ),
}
FAST = {key: re.compile(VM["properties"][key]["pattern"]).search for key in ("name", "ip", "mac")}

SCHEMA = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "branch", **BRANCH}


def schema() -> dict:
    """
    The JSON Schema (draft 2020-12) of the ``branch`` pillar, each part with its ``description``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_schema.schema --out=json

    .. versionadded:: 0.1.0
    """
    return copy.deepcopy(SCHEMA)


def faults(pillar) -> list:
    """
    Where the pillar differs from the schema: all faults at once, in no order.

    pillar
        The value of the pillar's key ``branch``.

    Returns:
        List of mappings with ``path`` (below ``branch``), ``fault`` and ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_schema.faults '{net: 10.20.30.0/24}'

    .. versionadded:: 0.1.0
    """
    return __salt__["pillar_form.faults"](pillar, SCHEMA, ALIASES)


def sound(pillar) -> dict:
    """
    The pillar without what the schema refuses: unknown keys are left out, a malformed value is ``None``.

    pillar
        The value of the pillar's key ``branch``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_schema.sound '{name: rosario, colour: red}'

    .. versionadded:: 0.1.0
    """
    return __salt__["pillar_form.sound"](pillar, SCHEMA, ALIASES)


def argument_faults(role: str, arguments: dict) -> list:
    """
    Where the arguments of a state differ from their form: all faults at once, in no order.

    role
        The state: ``workstation``, ``gateway`` or ``confirmed``.
    arguments
        Argument to value, ``name`` among them.

    Returns:
        List of mappings with ``path``, ``fault`` and ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_schema.argument_faults gateway '{port: 0}'

    .. versionadded:: 0.1.0
    """
    vms = arguments.get("vms")
    if isinstance(vms, list) and all(map(_is_plain, vms)):
        arguments = {**arguments, "vms": vms[:1]}  # a thousand of them are seen in a millisecond; words take longer
    return __salt__["pillar_form.faults"](arguments, ARGUMENTS[role], ALIASES)


def _is_plain(vm) -> bool:
    try:
        return len(vm) == len(FAST) and bool(
            FAST["name"](vm["name"]) and FAST["ip"](vm["ip"]) and FAST["mac"](vm["mac"])
        )
    except (KeyError, TypeError):
        return False
