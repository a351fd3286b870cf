"""
The OpenStack area as it is: what to ask of whom, what the answer means, and how the tenants are drawn. It asks nobody.
"""

from collections.abc import Callable
from typing import Any

from onepass_lib.neutron.desired import places
from onepass_lib.neutron.schema import sound

ACROSS = 8
STATES = {"same": "ok", "create": "changed", "adopt": "changed", "drift": "changed", "conflict": "broken"}


def questions(table: Any) -> list[dict]:
    """What the master has to ask in order to know how the tenants' networks are."""
    minions = list(places(table))
    # With the table: the pillar that the minion has may be an older one, with other projects.
    return [{"minions": minions, "function": "neutron_vlan.plan", "arg": [table]}]


def seen(answers: list[dict], table: Any, lacks: Callable[[Any], bool]) -> dict[str, Any]:
    """
    What the answer (minion, ``""`` is the master, to what it said) means: each project in a line; ``lacks`` tells of an
    answer that it is a minion's without our modules.
    """
    minion = (questions(table)[0]["minions"] or [""])[0]
    plan = answers[0].get(minion)
    silent = [minion] if minion and plan is None else []
    found: dict[str, Any] = {"lines": {}, "states": {}, "silent": silent, "fault": None}
    found.update({"broken": [], "behind": [], "named": [], "data": {"projects": {}}})
    if found["silent"]:
        return found
    if lacks(plan):
        run = "salt-run onepass.run orchestrate.openstack"
        return {**found, "behind": [f"nothing is built yet, {minion} has no modules to look with: {run}"]}
    if not isinstance(plan, dict):
        who = minion or "the master"
        return {**found, "fault": f"the cloud cannot be looked at from {who}: {plan or 'no answer'}"}
    projects = _projects(table)
    vlans = {name: f"VLAN {row['vlan']}" for name, row in projects.items()}
    found["lines"] = {name: f"{vlans.get(name, 'in no row')}, {_words(row)}" for name, row in plan.items()}
    states = {name: STATES.get(row["result"], "broken") for name, row in plan.items()}
    found["states"] = {f"project {name}": state for name, state in states.items()}
    for kind, state in (("broken", "broken"), ("behind", "changed")):
        found[kind] = [f"project {name}: {_words(row)}" for name, row in plan.items() if states[name] == state]
    found["data"]["projects"] = {
        name: {"vlan": projects.get(name, {}).get("vlan"), "result": row["result"]} for name, row in plan.items()
    }
    return {**found, "named": [*found["broken"], *found["behind"]]}


def drawn(table: Any, grid: Callable) -> dict[str, Any]:
    """The tenants as a table of VLAN, project and network; ``grid`` puts cells in rows."""
    projects = sorted(_projects(table).items(), key=lambda each: each[1]["vlan"])
    rows = grid([_cell(name, row) for name, row in projects], ACROSS)
    title = f"cloud {sound(table).get('cloud') or ''}"
    tables = [{"id": "tenants", "title": f"{title}: {len(projects)} projects", "rows": rows}] if rows else []
    return {"title": "OpenStack: a VLAN per project", "tables": tables, "links": []}


def _projects(table: Any) -> dict[str, dict]:
    return {name: row for name, row in (sound(table).get("projects") or {}).items() if row and row.get("vlan")}


def _cell(name: str, row: dict) -> dict[str, list[str]]:
    return {"lines": [f"{row['vlan']}  {name}", row.get("cidr") or ""], "ids": [f"project {name}"]}


def _words(row: dict) -> str:
    fields = ", ".join(f"{field} {each['old']} -> {each['new']}" for field, each in (row.get("fields") or {}).items())
    why = "; ".join(row["why"]) if isinstance(row.get("why"), list) else row.get("why")
    parts = [{"same": "as wanted"}.get(row["result"], row["result"]), fields if row["result"] != "create" else "", why]
    return ": ".join(filter(None, parts))
