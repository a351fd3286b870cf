"""
What can be asked of a living cloud: who has a VLAN, which are free, what is odd, a table of what is there.
"""

from typing import Any

from salt.exceptions import CommandExecutionError

from onepass_lib.neutron import desired, refuse, report, seen
from onepass_lib.neutron.client import Client


def owner(client: Client, vlan: int, physical_network: str | None) -> list[dict]:
    """The networks that have a VLAN, with their ports, a line each."""
    held = report.owners(seen.base(client), vlan, physical_network)
    numbers = [each["id"] for each in held]
    ports = seen.more(client, {"ports": {"network_id": numbers}})["ports"] if held else []
    for each in held:
        mine = [port for port in ports if port["network_id"] == each["id"]]
        each["ports"] = [f"{port['owner'] or 'unowned'} {', '.join(port['addresses'])}".strip() for port in mine]
    return held


def free(client: Client, table: dict, physical_network: str | None, start: int, end: int, count: int) -> list[int]:
    """The next VLAN ids that nobody has: neither in the cloud, nor in the table, nor reserved there."""
    physical_network = physical_network or table.get("physical_network")
    if not physical_network:
        raise CommandExecutionError("physical_network is needed: physnet1")
    wires = report.wires(seen.base(client))
    taken = {wire["vlan"] for wire in wires if wire["physical_network"] == physical_network}
    taken.update(desired.reserved(table))
    rows = desired.rows(refuse.checked(table)) if table.get("projects") else []
    taken.update(row["vlan"] for row in rows if row["physical_network"] == physical_network)
    return [vlan for vlan in range(max(start, 1), min(end, 4094) + 1) if vlan not in taken][:count]


def audit(client: Client, table: dict) -> list[str]:
    """What an administrator should know of, a sentence each."""
    observed, ranges = seen.base(client, table.get("domain")), seen.ranges(client)
    return report.audit(observed, desired.rows(table), desired.reserved(table), ranges)


def export(client: Client, above: dict, physical_network: str | None) -> dict[str, Any]:
    """
    ``openstack``: a table of what is there, below the values ``above``; ``left_out``: network to the reason for which
    no row describes it.
    """
    exported = report.table(seen.base(client), physical_network)
    return _without_refused({**above, **exported["openstack"]}, exported["left_out"])


def trunk_list(client: Client, physical_network: str | None) -> dict[str, str]:
    """Physical network to the VLANs in use, as switches take them: ``12-13,100``."""
    lists = report.compressed(report.wires(seen.base(client)))
    return lists if physical_network is None else {physical_network: lists.get(physical_network, "")}


def _without_refused(table: dict, left_out: dict[str, str]) -> dict[str, Any]:
    """What Neutron lets be and a table does not say, such as a gateway that is no host's, is left out as well."""
    refused: dict[str, str] = {}
    for each in refuse.faults(table):
        for name in table["projects"]:
            if each["path"].startswith(f"openstack:projects:{name}:"):
                refused.setdefault(name, f"a table refuses its {each['path'].split(':')[-1]}: {each['fault']}")
    rows = {name: row for name, row in table["projects"].items() if name not in refused}
    more = {table["projects"][name]["network"]: why for name, why in refused.items()}
    return {"openstack": {**table, "projects": rows}, "left_out": {**left_out, **more}}
