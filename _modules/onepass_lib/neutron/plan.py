"""
From the table and what is in the cloud to the steps between the two, or to the reasons why there are none. Pure.

``act`` reads the cloud, asks for a plan and executes it; ``row`` judges each row. Nothing
is ever deleted in order to change it; what the API cannot change in place, and what somebody else has, is refused with
the owner's name, all refusals at once.

**What is there** (``seen``) is a mapping: ``domain_id``; ``projects``, ``networks`` and ``subnets`` as
``seen.network`` and its like make them of the API's answers; and what only some tables need, ``None`` if
it has not been read: ``router_ports``, ``routers``, ``ports`` (of the networks that a refusal names),
``physical_networks``, ``shares``, ``quotas`` and ``default_quota``.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from onepass_lib.core.steps import Step
from onepass_lib.neutron.row import judge, router_owners

PHASES = (
    "project",
    "quota",
    "move",
    "network",
    "change",
    "tag",
    "subnet",
    "subnet change",
    "router",
    "gateway",
    "share",
)


# What has to be read


def needs(rows: list[dict], seen: dict[str, Any], options: dict | None = None) -> dict[str, dict]:
    """
    Which further kinds have to be read before a plan can be made, those that have been read left out. Ports come last,
    when it is known which networks are in the way.

    rows
        The wanted rows, see ``desired.rows``.
    seen
        What is there.
    options
        As for :py:func:`plan`.

    Returns:
        A mapping: kind to what it has to be asked with.
    """
    judged = judge(rows, seen, options)
    fresh = {step["kind"] for each in judged for step in each["steps"] if step["do"] == "create"}
    wanted: dict[str, dict] = {}
    if any(row["router"] for row in rows):
        wanted["router_ports"] = {"device_owner": router_owners()}
    if seen.get("router_ports") is not None and "router" in fresh:
        wanted["routers"] = {}
    if "network" in fresh:
        wanted["physical_networks"] = {}
    if fresh & {"network", "subnet", "router"} or any(row["quota"] for row in rows):
        wanted["quotas"] = {}
    if any(row["share_with"] for row in rows):
        wanted["shares"] = {"object_type": "network"}
    missing = {kind: query for kind, query in wanted.items() if seen.get(kind) is None}
    ports_of = sorted({number for each in judged for number in each["ports_of"]})
    if ports_of and not missing and seen.get("ports") is None:
        return {"ports": {"network_id": ports_of}}
    return missing


# The plan


def plan(rows: list[dict], seen: dict[str, Any], options: dict | None = None) -> dict[str, Any]:
    """
    What is to be done for all rows, or why it is not.

    rows
        The wanted rows, see ``desired.rows``.
    seen
        What is there.
    options
        Mapping: ``create_projects`` (default ``True``), ``overlap`` (``deny``, ``warn`` or ``allow``, default
        ``deny``), ``projects`` (all names of the table).

    Returns:
        ``rows``: project to ``result`` (``create``, ``same``, ``drift``, ``conflict`` or ``adopt``), ``fields``
        (``{field: {old, new}}``), ``why`` (list of refusals) and ``warnings``. ``steps``: as
        ``converge`` takes them, in the order in which they can be executed; empty when anything is
        refused. ``refusals`` and ``warnings``: all of them.
    """
    judged = judge(rows, seen, options)
    refusals = [*_blind(seen), *_cycles(judged), *_said(judged, "refusals")]
    return {
        "rows": {each["project"]: _verdict(each) for each in judged},
        "steps": [] if refusals else _ordered([step for each in judged for step in each["steps"]]),
        "refusals": refusals,
        "warnings": _said(judged, "warnings"),
    }


def _said(judged: list[dict], kind: str) -> list[str]:
    return [f"{each['project']}: {said}" for each in judged for said in each[kind]]


def _verdict(row: dict) -> dict[str, Any]:
    return {"result": row["result"], "fields": row["fields"], "why": row["refusals"], "warnings": row["warnings"]}


# What no row can tell alone


def _blind(seen: dict[str, Any]) -> Iterator[str]:
    """An admin sees every network's type; who sees none of any must not conclude that a VLAN is free."""
    networks = seen["networks"]
    if networks and all(each["type"] is None and not each["segments"] for each in networks):
        yield "The login does not see the networks' VLANs: it is no admin's; use a cloud of clouds.yaml that is"


def _cycles(judged: list[dict]) -> Iterator[str]:
    """Rows that wait for each other's VLAN."""
    moves = {step["id"]: step for each in judged for step in each["steps"] if step["kind"] == "move"}
    left = _move_order(moves.values())[1]
    if left:
        names = ", ".join(step["row"] for step in left)
        yield f"{names}: these exchange VLANs; move one of them to a free id first"


def _move_order(moves: Iterable[Step]) -> tuple[list[Step], list[Step]]:
    """The moves in an order in which each finds its VLAN free, and those that never will."""
    pending, ordered = list(moves), []
    while pending:
        held = {step["old"]["vlan"] for step in pending}
        ready = [step for step in pending if step["new"]["vlan"] not in held]
        if not ready:
            break
        ordered += ready
        pending = [step for step in pending if step not in ready]
    return ordered, pending


def _ordered(steps: list[Step]) -> list[Step]:
    moves = _move_order([step for step in steps if step["kind"] == "move"])[0]
    rank = {id(step): number for number, step in enumerate(moves)}
    return sorted(steps, key=lambda step: (PHASES.index(step["kind"]), rank.get(id(step), 0)))
