"""
A table applied, and a project's network taken away: what is read, planned and written, and what a refusal takes back.
"""

from typing import Any

from salt.exceptions import CommandExecutionError

from onepass_lib.core.steps import Step, converge
from onepass_lib.neutron import desired, refuse, removal, report, seen
from onepass_lib.neutron import plan as planned
from onepass_lib.neutron.client import Client

OPTIONS = ("create_projects", "overlap", "projects")
CONFLICT, BAD_REQUEST = 409, 400
# Networks, or subnets, in one request: as a whole or not at all, and done long before any timeout.
BATCH = 50


def apply(table: dict, client: Client, name: str, test: bool) -> dict[str, Any]:
    """A state's return for a whole table without faults, with ``warnings`` if there are any."""
    run = Run(table, client)
    ret = converge(name, run.read, run.plan, run.act, run.fact, test)
    if ret["result"] is False and run.made and (run.refused or table.get("rollback")):
        ret = {**ret, "changes": run.undo(ret["changes"]), "comment": f"{ret['comment']} {run.undone}"}
    return {**ret, "warnings": run.warnings} if run.warnings else ret


def remove(
    project: str,
    network: str | None,
    remove_project: bool,
    force: bool,
    login: dict,
    client: Client,
    name: str,
    test: bool,
) -> dict[str, Any]:
    """A state's return for a project's network that is to be gone; ``login`` may have the project's ``domain``."""
    row = {"project": project, "network": network or f"{project}-net"}

    def read() -> dict:
        found = seen.base(client, login.get("domain"))
        return {**found, **seen.more(client, removal.needs(row, found))}

    def steps(observed: dict, begun: str = "Nothing was changed") -> list[Step]:
        found = removal.plan(row, observed, remove_project, force)
        if found["refusals"]:
            raise CommandExecutionError("\n".join([f"{begun}:", *found["refusals"]]))
        return found["steps"]

    def act(step: Step) -> None:
        try:
            if step["do"] == "detach":
                client.interface(step["id"], step["subnet"], False)
            else:
                client.remove(step["kind"], step["id"])
        except CommandExecutionError as err:
            if getattr(err, "status", 0) == CONFLICT:
                steps(read(), "Nothing more was changed")  # somebody uses it by now: who?
            raise

    fact = f"Project {project} has no network {row['network']}"
    return converge(name, read, steps, act, lambda _: fact, test)


class Run:
    """One application of a table: what it reads, plans and writes, and what it has made."""

    def __init__(self, table: dict, client: Client) -> None:
        self.table, self.rows, self.client = table, desired.rows(table), client
        self.options = {**{key: table[key] for key in OPTIONS if key in table}, "projects": list(table["projects"])}
        self.ids: dict[tuple[str, str], str] = {}
        self.steps: list[Step] = []
        self.sent: set[int] = set()
        self.made: list[tuple[str, Any]] = []
        self.warnings: list[str] = []
        self.undone, self.refused = "", False

    def read(self) -> dict:
        """What is there, as far as these rows need it."""
        found = seen.base(self.client, self.table.get("domain"))
        while more := planned.needs(self.rows, found, self.options):
            found.update(seen.more(self.client, more, found["networks"]))
        self._remember(found)
        return found

    def planned(self) -> dict[str, dict]:
        """What the table would change, per project."""
        return self.report(self.read())["rows"]

    def report(self, observed: dict) -> dict:
        """The plan with its verdicts."""
        return planned.plan(self.rows, observed, self.options)

    def plan(self, observed: dict) -> list[Step]:
        """The steps, or all that is in their way."""
        found = self.report(observed)
        self.warnings = refuse.warnings(self.table) + found["warnings"]
        if found["refusals"]:
            begun = "Nothing more was changed" if self.sent else "Nothing was changed"
            raise CommandExecutionError(
                "\n".join([f"{begun}, {len(found['refusals'])} in the way:", *found["refusals"]])
            )
        if not self.sent:
            self.steps = found["steps"]
        return found["steps"]

    def fact(self, _: dict) -> str:
        """Why there is nothing to do."""
        vlans = ", ".join(f"{ids} on {wire}" for wire, ids in report.compressed(self.rows).items())
        whose = (
            f"All {len(self.rows)} projects have their networks"
            if len(self.rows) > 1
            else "The project has its network"
        )
        return f"{whose}: VLAN {vlans}"

    def act(self, step: Step) -> None:
        """Execute a step, and with it all that go in the same request."""
        if id(step) in self.sent:
            return
        group = [step]
        if (step["kind"], step["do"]) in (("network", "create"), ("subnet", "create")):
            alike = [each for each in self.steps if (each["kind"], each["do"]) == (step["kind"], "create")]
            group = [each for each in alike if id(each) not in self.sent][:BATCH]
        self.sent.update(map(id, group))
        try:
            self._send(group)
        except CommandExecutionError as err:
            if getattr(err, "status", 0) not in (CONFLICT, BAD_REQUEST):
                raise
            self.refused = err.status == BAD_REQUEST
            self._look_again(group, err)
            self.refused = False

    def _look_again(self, group: list[Step], err: CommandExecutionError) -> None:
        """Somebody was faster: what is still to be done is done, what is taken is told with its owner."""
        left = {(each["kind"], each["do"], each["what"]) for each in self.plan(self.read())}
        rest = [each for each in group if (each["kind"], each["do"], each["what"]) in left]
        if len(rest) == len(group):
            raise err
        if rest:
            self._send(rest)

    def _send(self, group: list[Step]) -> None:
        step = group[0]
        kind, row = step["kind"], step["row"]
        if kind in ("network", "subnet", "project") and step["do"] == "create":
            bodies = [{**each["body"], **self._parents(each)} for each in group]
            made = self.client.create(f"{kind}s", bodies)
            for each, answer in zip(group, made, strict=True):
                self._made(f"{kind}s", kind, each["row"], answer)
        elif kind == "tag":
            self.client.tag(step["on"], step.get("id") or self.ids["network", row])
        elif kind == "quota":
            self._quota(step)
        elif kind == "share":
            self._share(step)
        elif kind == "router":
            self._router(step)
        else:
            changed = {"move": "networks", "change": "networks", "subnet change": "subnets", "gateway": "routers"}[kind]
            self.client.update(changed, step["id"], step["body"])

    def _parents(self, step: Step) -> dict[str, str]:
        row = step["row"]
        if step["kind"] == "project":
            return {}
        inside = {"network_id": self.ids["network", row]} if step["kind"] == "subnet" else {}
        return {"project_id": self.ids["project", row], **inside}

    def _quota(self, step: Step) -> None:
        project = self.ids["project", step["row"]]
        self.client.update("quotas", project, step["body"])
        if step["old"] is None:
            self.made.append(("quotas", project))

    def _router(self, step: Step) -> None:
        row = step["row"]
        if step["do"] == "create":
            body = {**step["body"], "project_id": self.ids["project", row]}
            self._made("routers", "router", row, self.client.create("routers", [body])[0])
            return
        router, subnet = step.get("id") or self.ids["router", row], self.ids["subnet", row]
        if "tag" in step["new"]:
            self.client.tag("routers", router)
        self.client.interface(router, subnet)
        self.made.append(("interface", (router, subnet)))

    def _share(self, step: Step) -> None:
        target = "*" if step["target"] == "*" else self.ids["project", step["target"]]
        body = {
            "object_type": "network",
            "object_id": self.ids["network", step["row"]],
            "action": "access_as_shared",
            "target_tenant": target,
        }
        self.made.append(("shares", self.client.create("shares", [body])[0]["id"]))

    def _made(self, kind: str, name: str, row: str, answer: dict) -> None:
        self.ids[name, row] = answer["id"]
        self.made.append((kind, answer["id"]))

    def _remember(self, observed: dict) -> None:
        """The ids of what is there: a network is ours by its name, or, while it is adopted, by its VLAN."""
        ours = {each["name"]: each["id"] for each in observed["projects"] if each["domain_id"] == observed["domain_id"]}
        named = {(each["project_id"], each["name"]): each["id"] for each in observed["networks"]}
        held = {(each["project_id"], each["vlan"]): each["id"] for each in observed["networks"]}
        subnets = {(each["network_id"], each["cidr"]): each["id"] for each in observed["subnets"]}
        self.ids.update({("project", name): number for name, number in ours.items()})
        for row in self.rows:
            project = ours.get(row["project"])
            network = named.get((project, row["network"]), held.get((project, row["vlan"])))
            subnet = subnets.get((network, row["cidr"]))
            found = {"network": network, "subnet": subnet} if project else {}
            self.ids.update({(kind, row["project"]): number for kind, number in found.items() if number})

    def undo(self, changes: dict) -> dict:
        """Remove what this run has created, the last first; what cannot be removed stays told in the changes."""
        try:
            for kind, number in reversed(self.made):
                if kind == "interface":
                    router, subnet = number
                    self.client.interface(router, subnet, False)
                else:
                    self.client.remove(kind, number)
        except CommandExecutionError as err:
            self.undone = f"Rolling back failed: {err}"
            return changes
        self.undone = f"Rolled back: {len(self.made)} objects that this run had created are removed."
        return {what: change for what, change in changes.items() if change["old"] is not None}
