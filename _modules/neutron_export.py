"""
A table of projects and VLANs from what is in a cloud, so that a plan of it finds nothing to change. Pure.

.. versionadded:: 0.1.0

Used by :py:func:`neutron_vlan.export`.
"""

import ipaddress

__virtualname__ = "neutron_export"


def __virtual__():
    return __virtualname__


def table(seen, physical_network=None):
    """
    The table that describes the cloud's VLAN networks, as far as a table can.

    seen
        What is there, see :py:mod:`neutron_plan`.
    physical_network
        Only this one. Default: all.

    Returns:
        ``openstack``: the table. ``left_out``: network to the reason for which no row describes it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_export.table '{domain_id: default, projects: [], networks: [], subnets: []}'

    .. versionadded:: 0.1.0
    """
    wires = [each for each in seen["networks"] if physical_network in (None, each["physical_network"])]
    vlans = [each for each in wires if each["segments"] or each["type"] == "vlan"]
    reasons = {each["id"]: _reason(each, vlans, seen) for each in vlans}
    rows = {_project(each, seen)["name"]: _row(each, seen) for each in vlans if not reasons[each["id"]]}
    left_out = {each["name"] or each["id"]: reasons[each["id"]] for each in vlans if reasons[each["id"]]}
    ones = {"allow_vlan_1": True} if any(row["vlan"] == 1 for row in rows.values()) else {}
    return {"openstack": {"overlap": "allow", **ones, "projects": dict(sorted(rows.items()))}, "left_out": left_out}


def _project(one, seen):
    mine = [each for each in seen["projects"] if each["id"] == one["project_id"]]
    return mine[0] if mine else None


def _reason(one, vlans, seen):
    project, subnets = _project(one, seen), _subnets(one, seen)
    others = [each for each in vlans if each["project_id"] == one["project_id"] and not each["external"]]
    reasons = {
        "is external": one["external"],
        "has several segments": bool(one["segments"]),
        "its project is deleted": project is None,
        "its project is in another domain": bool(project) and project["domain_id"] != seen["domain_id"],
        "its project is disabled": bool(project) and not project["enabled"],
        "its project has several VLAN networks": len(others) > 1,
        "has no name": not one["name"],
        f"has {len(subnets)} subnets": len(subnets) != 1,
        "its subnet belongs to another project": any(each["project_id"] != one["project_id"] for each in subnets),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _subnets(one, seen):
    return [each for each in seen["subnets"] if each["network_id"] == one["id"]]


def _row(one, seen):
    [subnet] = _subnets(one, seen)
    first = str(ipaddress.ip_network(subnet["cidr"])[1])
    return {
        "vlan": one["vlan"],
        "cidr": subnet["cidr"],
        "physical_network": one["physical_network"],
        "network": one["name"],
        **({} if subnet["gateway"] == first else {"gateway": subnet["gateway"] or None}),
        **({"dns_nameservers": subnet["dns_nameservers"]} if subnet["dns_nameservers"] else {}),
        **({} if subnet["dhcp"] else {"dhcp": False}),
    }
