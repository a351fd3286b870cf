"""
The form of the ``openstack`` pillar, which is the table of projects and VLANs: a JSON Schema with its faults in words.

What no schema can say (two projects on one VLAN, a gateway outside its CIDR) is told by ``refuse``, whose
``faults`` brings both together.
"""

import copy
from typing import Any

from onepass_lib.core import form
from onepass_lib.core.parts import END, document, flag, listing, number, one_of, or_null, part, record, text
from onepass_lib.core.steps import Fault

SHORT, LONG = f"(?s)^.{{1,64}}{END}", f"(?s)^.{{1,255}}{END}"
# Keys that people know from elsewhere.
ALIASES = {
    "vlan_id": "vlan",
    "segmentation_id": "vlan",
    "provider_segmentation_id": "vlan",
    "physnet": "physical_network",
    "subnet": "cidr",
    "dns": "dns_nameservers",
    "gateway_ip": "gateway",
    "allocation_pools": "pools",
    "enable_dhcp": "dhcp",
    "ipv6_ra_mode": "ipv6",
    "ipv6_address_mode": "ipv6",
    "tenants": "projects",
    "shared_with": "share_with",
}
QUOTAS = (
    "networks",
    "subnets",
    "ports",
    "routers",
    "floating_ips",
    "security_groups",
    "security_group_rules",
    "rbac_policies",
)


# The schema, from the inside out.

VLAN = number("a VLAN id, 1 to 4094, a plain decimal number without quotes", 1, 4094)
RANGE = text("ids in quotes: '4000-4094'", pattern=f"^[0-9]{{1,4}}-[0-9]{{1,4}}{END}")
ADDRESS = text("an IP address")
NAME = text("a name of up to 255 characters", pattern=LONG)
POOL = text(
    "the first and the last address: 10.0.12.10-10.0.12.99", pattern=rf"^[0-9A-Fa-f:.]+ *- *[0-9A-Fa-f:.]+{END}"
)

ROUTER = record(
    "a router whose interface is the gateway",
    {
        "name": text("the router's name, default <project>-router", pattern=LONG),
        "external": text("the external network that it leads to, by name; without it it leads nowhere"),
    },
)
QUOTA = record(
    "the project's quota in Neutron", {name: number("how many, -1: no limit", -1, 2**31 - 1) for name in QUOTAS}
)

# What stands above the projects as a default, or in a project's row.
EITHER = {
    "physical_network": text("the physical network that carries the VLANs, such as physnet1", pattern=SHORT),
    "dns_nameservers": listing("up to five addresses, in the order in which they are asked", ADDRESS),
    "dhcp": flag("whether Neutron serves DHCP, default true"),
    "mtu": number("bytes, 68 to 65535, default the physical network's", 68, 65535),
    "on_drift": one_of(
        "refuse (default), or move: the VLAN id of a living network is changed in place", "refuse", "move"
    ),
    "adopt": flag("true takes over, and renames, the project's network that has the VLAN already, default false"),
}

ROW = record(
    "a project's row",
    {
        **EITHER,
        "vlan": VLAN,
        "cidr": text("the subnet with its prefix: 10.0.12.0/24"),
        "network": text("the network's name, default <project>-net", pattern=LONG),
        "gateway": or_null(text("the gateway's address, default the first of the CIDR; null for none")),
        "pools": listing("list of address ranges: [10.0.12.10-10.0.12.99]", POOL, minItems=1),
        "ipv6": one_of(
            "slaac, dhcpv6-stateless or dhcpv6-stateful: how guests get their IPv6 addresses; without it Neutron tells "
            "them nothing",
            "slaac",
            "dhcpv6-stateless",
            "dhcpv6-stateful",
        ),
        "router": ROUTER,
        "quota": QUOTA,
        "share_with": listing("projects that may use the network, by name; '*' for all", NAME, uniqueItems=True),
    },
    required=("vlan", "cidr"),
)

TABLE = record(
    "the table of projects",
    {
        **EITHER,
        "cloud": text("the cloud's name in clouds.yaml"),
        "clouds_yaml": text(
            "path of clouds.yaml, default /etc/openstack/clouds.yaml", pattern=rf"^/[^\x00-\x1f\x7f]*{END}"
        ),
        "minion": text(
            "the id of the minion that talks to the cloud, default the master itself", pattern=rf"^[A-Za-z0-9._-]+{END}"
        ),
        "domain": text("the projects' domain, by name or id, default that of the login's project"),
        "overlap": one_of("deny (default), warn of, or allow CIDRs that overlap", "deny", "warn", "allow"),
        "reserved": listing(
            "VLAN ids that no project may have: [1, '4000-4094']",
            {"if": {"type": "string"}, "then": RANGE, "else": VLAN},
        ),
        "allow_vlan_1": flag("true allows VLAN 1, the switches' default, default false"),
        "create_projects": flag("false: a project has to be there already, default true"),
        "rollback": flag("true: a run that fails, not only by a refusal, removes what it has created, default false"),
        "projects": part(
            "the projects, by name",
            type="object",
            additionalProperties=ROW,
            minProperties=1,
            propertyNames=part("a name of 1 to 64 characters", pattern=SHORT),
        ),
    },
    required=("cloud", "projects"),
)

SCHEMA = document("openstack", TABLE)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the ``openstack`` pillar, each part with its ``description``."""
    return copy.deepcopy(SCHEMA)


def faults(table: Any) -> list[Fault]:
    """
    Where a table differs from the schema: all faults at once, in no order.

    table
        The value of the pillar's key ``openstack``.

    Returns:
        List of mappings with ``path`` (below ``openstack``), ``fault`` and ``remedy``.
    """
    return form.faults(table, SCHEMA, ALIASES)


def sound(table: Any) -> dict[str, Any]:
    """
    The table without what the schema refuses: unknown keys are left out, malformed values are ``None``.

    table
        The value of the pillar's key ``openstack``.
    """
    return form.sound(table, SCHEMA, ALIASES)
