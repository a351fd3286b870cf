"""
What follows from a table of projects and VLANs: its rows in one form, ids that nobody may have, the minion named.

The table is the pillar's key ``openstack``: defaults on top, a row per project below ``projects``.
"""

import difflib
import ipaddress
from collections.abc import Iterable
from typing import Any

OVERRIDABLE = ("physical_network", "dns_nameservers", "dhcp", "mtu", "on_drift", "adopt")
OWN = ("vlan", "cidr", "pools", "ipv6", "router", "quota")


def rows(table: dict) -> list[dict[str, Any]]:
    """
    The rows of a table in one form, the defaults filled in; what is not said is ``None`` and is left alone in the
    cloud.

    table
        A table without faults.

    Returns:
        List of mappings, one per project: ``project``, ``network``, ``subnet``, ``vlan``, ``physical_network``,
        ``cidr``, ``gateway`` (``None``: not said; ``""``: none), ``dns_nameservers``, ``pools`` (lists of two
        addresses), ``dhcp``, ``ipv6``, ``mtu``, ``router`` (``name``, ``external``), ``quota``, ``share_with``,
        ``on_drift``, ``adopt``.
    """
    return [_row(name, row, table) for name, row in table["projects"].items()]


def reserved(table: dict) -> list[int]:
    """
    The VLAN ids that no project may have, as a sorted list; VLAN 1 is one of them unless ``allow_vlan_1`` is true.

    table
        The table.
    """
    ids = set() if table.get("allow_vlan_1") else {1}
    for entry in table.get("reserved") or []:
        if entry is not None:
            first, last = ends(entry)
            ids.update(range(first, last + 1))
    return sorted(ids)


def summary(table: Any) -> dict[str, int]:
    """How much a table describes: ``projects``."""
    return {"projects": len(_mapping(_mapping(table).get("projects")))}


def places(table: Any) -> dict[str, str]:
    """Where the table names each minion: minion id to path."""
    minion = _mapping(table).get("minion")
    return {minion: "openstack:minion"} if isinstance(minion, str) else {}


def meant(name: str, known: Iterable[str]) -> str:
    """The known name that is most like a given one, as a question; ``""`` when none is."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def ends(entry: int | str) -> tuple[int, int]:
    """The first and the last id of an entry: ``7`` or ``4000-4094``."""
    first, _, last = str(entry).partition("-")
    return int(first), int(last or first)


def _mapping(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _row(name: str, row: dict, table: dict) -> dict[str, Any]:
    merged = {**{key: table.get(key) for key in OVERRIDABLE}, **{key: row.get(key) for key in OWN}}
    merged.update({key: row[key] for key in OVERRIDABLE if row.get(key) is not None})
    router, servers = merged["router"], merged["dns_nameservers"]
    return {
        **merged,
        "dns_nameservers": None if servers is None else [str(ipaddress.ip_address(each)) for each in servers],
        "project": name,
        "network": row.get("network") or f"{name}-net",
        "subnet": f"{name}-subnet",
        "cidr": str(ipaddress.ip_network(row["cidr"], strict=False)),
        "gateway": _gateway(row),
        "pools": sorted((_pool(pool) for pool in row["pools"]), key=_first) if row.get("pools") else None,
        "router": None if router is None else {"name": f"{name}-router", "external": None, **router},
        "quota": merged["quota"] or {},
        "share_with": list(row.get("share_with") or []),
        "on_drift": merged["on_drift"] or "refuse",
        "adopt": bool(merged["adopt"]),
    }


def _gateway(row: dict) -> str | None:
    if "gateway" not in row:
        return None
    return str(ipaddress.ip_address(row["gateway"])) if row["gateway"] else ""


def _first(pool: list[str]) -> Any:
    return ipaddress.ip_address(pool[0])


def _pool(text: str) -> list[str]:
    return [str(ipaddress.ip_address(part.strip())) for part in text.split("-")]
