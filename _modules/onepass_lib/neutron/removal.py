"""
The steps that take a project's network away, or the reasons why it stays. Pure.

What is not ours, and what is in use, is never removed.
"""

from collections.abc import Iterator
from typing import Any

from onepass_lib.core.steps import Step
from onepass_lib.neutron.client import TAG
from onepass_lib.neutron.row import router_owners


def needs(row: dict, seen: dict[str, Any]) -> dict[str, dict]:
    """
    What has to be read beside projects, networks and subnets.

    row
        Mapping with ``project`` and ``network``.
    seen
        What is there, see ``seen.base``.
    """
    if not _project(row, seen):
        return {}
    numbers = [each["id"] for each in _named(row, seen)]
    routers = {"routers": {}, "router_ports": {"device_owner": router_owners()}}
    return {**routers, **({"ports": {"network_id": numbers}, "shares": {"object_type": "network"}} if numbers else {})}


def plan(row: dict, seen: dict[str, Any], remove_project: bool = False, force: bool = False) -> dict[str, list]:
    """
    The steps, or the refusals.

    row
        Mapping with ``project`` and ``network``.
    seen
        What is there, with all that :py:func:`needs` asks for.
    remove_project
        Remove the project as well, if we have created it and nothing else of Neutron is in it. Default ``False``.
    force
        Remove what has not our tag, too; such a router only loses its interface. Default ``False``.

    Returns:
        ``steps`` and ``refusals``; one of them is empty.
    """
    project, named = _project(row, seen), _named(row, seen)
    if len(named) > 1:
        numbers = ", ".join(each["id"] for each in named)
        return {"steps": [], "refusals": [f"{row['project']} has {len(named)} networks {row['network']}: {numbers}"]}
    refusals: list[str] = []
    steps: list[Step] = []
    for one in named:
        refusals += _refusals(row, one, seen, force)
        steps += _steps(row, one, seen)
    if project:
        steps = [*_idle_routers(project, seen, [step["id"] for step in steps]), *steps]
    if remove_project and project:
        refusals += _project_refusals(project, seen, steps, force)
        steps.append(_remove("quotas", f"quota {project['name']}", "set", project["id"]))
        steps.append(_remove("projects", f"project {project['name']}", "present", project["id"]))
    return {"steps": [] if refusals else steps, "refusals": refusals}


def _project(row: dict, seen: dict[str, Any]) -> dict | None:
    mine = [
        each for each in seen["projects"] if (each["name"], each["domain_id"]) == (row["project"], seen["domain_id"])
    ]
    return mine[0] if mine else None


def _named(row: dict, seen: dict[str, Any]) -> list[dict]:
    project = _project(row, seen)
    wanted = (project["id"], row["network"]) if project else None
    return [each for each in seen["networks"] if (each["project_id"], each["name"]) == wanted]


def _refusals(row: dict, one: dict, seen: dict[str, Any], force: bool) -> Iterator[str]:
    if TAG not in one["tags"] and not force:
        remedy = "it is not ours; force: true removes it all the same"
        yield f"network {row['project']}/{one['name']} ({one['id']}) has not the tag {TAG}: {remedy}"
    for each in _foreign_ports(one, seen, force):
        address = ", ".join(each["addresses"]) or "no address"
        used = f"{each['owner'] or 'nobody that it names'} {each['device_id'] or ''}".strip()
        remedy = "remove it first"
        if "interface" in each["owner"]:
            remedy += ", or force: true takes it away; the router is not ours and stays"
        yield f"port {each['id']} ({address}) of network {one['name']} is used by {used}; {remedy}"


def _foreign_ports(one: dict, seen: dict[str, Any], force: bool) -> Iterator[dict]:
    """Ports that do not go with the network: all but those of DHCP and of our routers."""
    ours = {each["id"] for each in seen["routers"] if force or TAG in (each.get("tags") or [])}
    for each in seen["ports"]:
        of_router = each["owner"] in router_owners() and each["device_id"] in ours
        if (
            each["network_id"] == one["id"]
            and not of_router
            and each["owner"] not in ("network:dhcp", "network:distributed")
        ):
            yield each


def _steps(row: dict, one: dict, seen: dict[str, Any]) -> list[Step]:
    project, network = row["project"], f"{row['project']}/{one['name']}"
    subnets = {each["id"]: each for each in seen["subnets"] if each["network_id"] == one["id"]}
    steps = [
        _remove("shares", f"share {network} with {_target(each, seen)}", "access_as_shared", each["id"])
        for each in seen["shares"]
        if each["object_id"] == one["id"]
    ]
    steps += _router_steps(project, one, subnets, seen)
    steps += [
        _remove("subnets", f"subnet {project}/{each['cidr']}", {"cidr": each["cidr"]}, each["id"])
        for each in subnets.values()
    ]
    old = {"vlan": one["vlan"], "physical_network": one["physical_network"]}
    return [*steps, _remove("networks", f"network {network}", old, one["id"])]


def _target(share: dict, seen: dict[str, Any]) -> str:
    named = {each["id"]: each["name"] for each in seen["projects"]}
    return named.get(share["target_tenant"], share["target_tenant"])


def _router_steps(project: dict, one: dict, subnets: dict, seen: dict[str, Any]) -> Iterator[Step]:
    """Interfaces are taken away; a router that has no other one goes with its last."""
    inside = [each for each in seen["ports"] if each["network_id"] == one["id"] and each["owner"] in router_owners()]
    for number in dict.fromkeys(each["device_id"] for each in inside):
        router = next((each for each in seen["routers"] if each["id"] == number), {"name": number})
        what = f"router {project}/{router['name']}"
        for at in (at for each in inside if each["device_id"] == number for at in each["subnets"]):
            old = {"interface": subnets[at]["cidr"]}
            yield {"do": "detach", "kind": "routers", "what": what, "old": old, "new": None, "id": number, "subnet": at}
        if TAG in (router.get("tags") or []) and not _inside(number, seen) - {one["id"]}:
            yield _remove("routers", what, None, number)


def _idle_routers(project: dict, seen: dict[str, Any], going: list[str]) -> Iterator[Step]:
    """Our routers of the project that serve nothing, such as one whose removal was cut after its interface's."""
    for each in seen["routers"]:
        ours = each["project_id"] == project["id"] and TAG in (each.get("tags") or [])
        if ours and each["id"] not in going and not _inside(each["id"], seen):
            yield _remove("routers", f"router {project['name']}/{each['name']}", None, each["id"])


def _inside(router: str, seen: dict[str, Any]) -> set[str]:
    """The networks on which the router has interfaces; the way out of the cloud is none."""
    outside = {each["id"] for each in seen["networks"] if each["external"]}
    return {each["network_id"] for each in seen["router_ports"] if each["device_id"] == router} - outside


def _project_refusals(project: dict, seen: dict[str, Any], steps: list[Step], force: bool) -> Iterator[str]:
    if TAG not in (project["tags"] or []) and not force:
        remedy = "it is not ours; force: true removes it all the same"
        yield f"project {project['name']} has not the tag {TAG}: {remedy}"
    going = {step["id"] for step in steps}
    left = [("network", each) for each in seen["networks"]] + [("router", each) for each in seen["routers"]]
    for kind, each in left:
        if each["project_id"] == project["id"] and each["id"] not in going:
            yield f"project {project['name']} has {kind} {each['name']} ({each['id']}), which would be an orphan"


def _remove(kind: str, what: str, old: Any, number: str) -> Step:
    return {"do": "remove", "kind": kind, "what": what, "old": old, "new": None, "id": number}
