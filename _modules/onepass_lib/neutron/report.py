"""
What there is to say of the VLANs in a cloud: who has one, what is odd, a table of all of them. Pure.

``seen`` is what ``seen.base`` answers.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any


def wires(seen: dict[str, Any]) -> list[dict]:
    """
    The VLANs in use; a network with several segments has several.

    seen
        What is there.

    Returns:
        List of mappings: ``physical_network``, ``vlan`` and ``network`` (its id).
    """
    return [
        {"physical_network": wire["physical_network"], "vlan": wire["vlan"], "network": one["id"]}
        for one in seen["networks"]
        for wire in one["segments"] or [one]
        if wire["type"] == "vlan"
    ]


def compressed(wires: list[dict]) -> dict[str, str]:
    """
    VLAN ids as switches take them: ``12-13,100``.

    wires
        List of mappings with ``physical_network`` and ``vlan``.

    Returns:
        Physical network to its ids.
    """
    grouped: dict[str, set] = {}
    for each in wires:
        grouped.setdefault(each["physical_network"], set()).add(each["vlan"])
    return {name: ",".join(_spans(sorted(ids))) for name, ids in sorted(grouped.items())}


def owners(seen: dict[str, Any], vlan: int | None = None, physical_network: str | None = None) -> list[dict]:
    """
    The networks that have a VLAN, each with its project and CIDRs.

    seen
        What is there.
    vlan
        The id. Default: any.
    physical_network
        Only on this one. Default: any.

    Returns:
        List of mappings, see :py:func:`neutron_vlan.owner`.
    """
    networks = {each["id"]: each for each in seen["networks"]}
    return [
        _owned(networks[wire["network"]], wire, seen)
        for wire in wires(seen)
        if vlan in (None, wire["vlan"]) and physical_network in (None, wire["physical_network"])
    ]


def orphans(seen: dict[str, Any]) -> list[dict]:
    """
    Networks whose project is deleted.

    seen
        What is there.

    Returns:
        List of mappings, see :py:func:`neutron_vlan.orphans`.
    """
    known = {each["id"] for each in seen["projects"]} | {"", None}
    lost = [each for each in owners(seen) if each["project_id"] not in known]
    return [{**each, "free": f"openstack network delete {each['id']}"} for each in lost]


def audit(seen: dict[str, Any], rows: list[dict], reserved: list[int], ranges: list[dict]) -> list[str]:
    """
    What an administrator should know of, a sentence each.

    seen
        What is there.
    rows
        The table's rows, see ``desired.rows``.
    reserved
        List of VLAN ids.
    ranges
        See ``seen.ranges``.
    """
    networks = {each["id"]: each for each in seen["networks"]}
    listed = {(row["physical_network"], row["vlan"]): row["project"] for row in rows}
    said: list[str] = []
    for wire in wires(seen):
        said += _audited(networks[wire["network"]], wire, seen, listed, reserved)
    return said + list(_in_shared_ranges(rows, ranges))


def table(seen: dict[str, Any], physical_network: str | None = None) -> dict[str, Any]:
    """
    The table that describes the cloud's VLAN networks, as far as a table can.

    seen
        What is there, see ``plan``.
    physical_network
        Only this one. Default: all.

    Returns:
        ``openstack``: the table. ``left_out``: network to the reason for which no row describes it.
    """
    wires = [each for each in seen["networks"] if physical_network in (None, each["physical_network"])]
    vlans = [each for each in wires if each["segments"] or each["type"] == "vlan"]
    reasons = {each["id"]: _reason(each, vlans, seen) for each in vlans}
    rows = {_project(each, seen)["name"]: _row(each, seen) for each in vlans if not reasons[each["id"]]}
    left_out = {each["name"] or each["id"]: reasons[each["id"]] for each in vlans if reasons[each["id"]]}
    ones = {"allow_vlan_1": True} if any(row["vlan"] == 1 for row in rows.values()) else {}
    return {"openstack": {"overlap": "allow", **ones, "projects": dict(sorted(rows.items()))}, "left_out": left_out}


def _project(one: dict, seen: dict[str, Any]) -> Any:
    mine = [each for each in seen["projects"] if each["id"] == one["project_id"]]
    return mine[0] if mine else None


def _reason(one: dict, vlans: list[dict], seen: dict[str, Any]) -> str:
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
        "advertises IPv6 in another way than it gives addresses": any(" " in (each["ipv6"] or "") for each in subnets),
        "its subnet belongs to another project": any(each["project_id"] != one["project_id"] for each in subnets),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _subnets(one: dict, seen: dict[str, Any]) -> list[dict]:
    return [each for each in seen["subnets"] if each["network_id"] == one["id"]]


def _row(one: dict, seen: dict[str, Any]) -> dict[str, Any]:
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
        **({"ipv6": subnet["ipv6"]} if subnet["ipv6"] else {}),
    }


def _project_name(one: dict, seen: dict[str, Any]) -> str:
    project = _project(one, seen)
    return project["name"] if project else "deleted project"


def _owned(one: dict, wire: dict, seen: dict[str, Any]) -> dict[str, Any]:
    return {
        "physical_network": wire["physical_network"],
        "vlan": wire["vlan"],
        "network": one["name"],
        "id": one["id"],
        "project": _project_name(one, seen),
        "project_id": one["project_id"],
        "cidrs": [each["cidr"] for each in _subnets(one, seen)],
        "created_at": one["created_at"],
    }


def _audited(one: dict, wire: dict, seen: dict[str, Any], listed: dict, reserved: list[int]) -> list[str]:
    project, subnets = _project_name(one, seen), _subnets(one, seen)
    strangers = [each["cidr"] for each in subnets if each["project_id"] != one["project_id"]]
    key = (wire["physical_network"], wire["vlan"])
    notes = {
        "is an orphan, its project is deleted": bool(one["project_id"]) and _project(one, seen) is None,
        "is the switches' default VLAN": wire["vlan"] == 1,
        "is reserved": wire["vlan"] != 1 and wire["vlan"] in reserved,
        "is not in the table": key not in listed and not one["external"],
        f"is {listed.get(key)}'s in the table": listed.get(key, project) != project,
        "has no subnet": not subnets,
        "is shared with all projects": bool(one["shared"]),
        f"has a subnet of another project, {', '.join(strangers)}": bool(strangers),
    }
    where = f"VLAN {wire['vlan']} on {wire['physical_network']} (network {one['name']} of {project})"
    return [f"{where} {note}" for note, holds in notes.items() if holds]


def _in_shared_ranges(rows: list[dict], ranges: list[dict]) -> Iterator[str]:
    """Ids that Neutron may give to anybody's network before the table's project gets it."""
    for row in rows:
        for each in ranges:
            inside = each["minimum"] <= row["vlan"] <= each["maximum"]
            if each["shared"] and inside and each["physical_network"] == row["physical_network"]:
                where = f"VLAN {row['vlan']} on {row['physical_network']} ({row['project']} in the table)"
                yield f"{where} is inside of {each['minimum']}-{each['maximum']}, from which Neutron serves anybody"


def _spans(ids: list[int]) -> Iterator[str]:
    """Runs of consecutive ids."""
    start = 0
    for number, vlan in enumerate(ids):
        if number + 1 == len(ids) or ids[number + 1] != vlan + 1:
            yield str(vlan) if start == number else f"{ids[start]}-{vlan}"
            start = number + 1
