"""
OpenStack tenants on VLANs: one project, one VLAN, one network, one subnet, all from one table.

.. versionadded:: 0.1.0

The table is the pillar's key ``openstack`` (:py:mod:`neutron_schema` describes it). It can be judged without any cloud,
planned against a living one, and applied; and the cloud can be asked who has a VLAN, which ones are free, and for a
table of what is there::

    salt-call --local -m . neutron_vlan.lint path=pillar/openstack.sls
    salt-call --local -m . neutron_vlan.owner 12 cloud=bank clouds_yaml=/etc/openstack/clouds.yaml

The VLAN id is compulsory: a network that is made without one gets whatever id Neutron has left, which may be 1. All
three provider fields are always sent, everything is checked before the first write, and nothing is deleted in order to
change it.

The functions that talk to a cloud take ``cloud`` and ``clouds_yaml``, which are explained in :py:mod:`neutron_cloud`;
they need the cloud's admin, because nobody else sees VLAN ids. They require openstacksdk in Salt's Python.
"""

from salt.exceptions import CommandExecutionError, SaltRenderError

__virtualname__ = "neutron_vlan"

LOGIN = ("cloud", "clouds_yaml")
OPTIONS = ("create_projects", "overlap", "projects")
CONFLICT, BAD_REQUEST = 409, 400
# Networks, or subnets, in one request: as a whole or not at all, and done long before any timeout.
BATCH = 50


def __virtual__():
    return __virtualname__


# The table


def lint(table=None, path=None):
    """
    Refuse a bad table with all its faults at once, or answer what a good one describes. No cloud is asked.

    table
        The table. Default: the pillar's key ``openstack``.
    path
        A pillar file instead: it is rendered by Salt, each fault is told with its line, and so is what YAML reads
        otherwise than it is written (``vlan: 012`` is 10). Default none.

    Returns:
        ``projects`` (how many) and ``vlans``: physical network to its ids, ``12-13,100``. ``warnings``, if there are
        any: CIDRs that overlap where ``overlap`` is ``warn``.

    Raises ``CommandExecutionError`` with a line per fault: place, path, fault and remedy.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_vlan.lint path=pillar/openstack.sls

    .. versionadded:: 0.1.0
    """
    found = []
    if isinstance(table, str) and not path:
        raise CommandExecutionError(f"{table!r} is no table; did you mean path={table}?")
    if path:
        table = _rendered(path)
        found = __salt__["pillar_files.oddities"](path)
    faults = __salt__["neutron_rules.faults"]({} if table is None and path else table)
    found += __salt__["pillar_files.located"](faults, [path] if path else [])
    if found:
        raise CommandExecutionError(_report(sorted(found, key=_line)))
    table = __salt__["neutron_rules.given"](table)
    rows, warnings = _rows(table), __salt__["neutron_rules.warnings"](table)
    return {"projects": len(rows), "vlans": _compressed(rows), **({"warnings": warnings} if warnings else {})}


def plan(table=None):
    """
    What the table would change in the cloud, per project and field; nothing is changed.

    table
        The table. Default: the pillar's key ``openstack``.

    Returns:
        Project to ``result`` (``create``, ``same``, ``drift``, ``conflict`` or ``adopt``), ``fields`` (field to ``old``
        and ``new``), ``why`` (the reasons for which the whole table would be refused) and ``warnings``.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.plan

    .. versionadded:: 0.1.0
    """
    run = _Run(_sound(table))
    return run.report(run.read())["rows"]


def apply(table=None, name="openstack", test=None):
    """
    The cloud has every project of the table with its VLAN; or nothing is changed, and all that is in the way is said.

    Compared are the VLAN, its physical network, the CIDR, and what else the table says; what it does not say is left
    alone. When Neutron refuses what no rule foresees (an MTU above its limit, which no API tells), the run takes back
    what it has made. A changed VLAN id (``on_drift: move``) interrupts the project's traffic until its ports are wired
    anew.

    table
        The table. Default: the pillar's key ``openstack``.
    name
        The name in the return. Default ``openstack``.
    test
        Show the steps and execute none. Default: the minion's ``test``.

    Returns:
        A state's return: ``name``, ``result``, ``changes``, ``comment``, and ``warnings`` if there are any.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.apply test=True

    .. versionadded:: 0.1.0
    """
    run = _Run(_sound(table))
    test = __opts__["test"] if test is None else test
    ret = __salt__["onepass.converge"](name, run.read, run.plan, run.act, run.fact, test)
    if ret["result"] is False and run.made and (run.refused or run.table.get("rollback")):
        ret = {**ret, "changes": run.undo(ret["changes"]), "comment": f"{ret['comment']} {run.undone}"}
    return {**ret, "warnings": run.warnings} if run.warnings else ret


def remove(project, network=None, remove_project=False, force=False, login=None, name=None, test=None):
    """
    The project's network is gone, with its subnets, router and shares; foreign ports are named, and nothing is done.

    Removed are only a network, a router and a project that carry our tag; a router of the project goes when it serves
    nothing else. One that was there before us never has our tag. A project can hold servers and volumes, which Neutron
    does not know of: it stays unless ``remove_project`` is true, and never goes before its networks.

    project
        The project's name.
    network
        The network's name. Default ``<project>-net``.
    remove_project
        Remove the project as well. Default ``False``.
    force
        Remove what does not carry our tag, too; such a router only loses its interface. Default ``False``.
    login
        Mapping with ``cloud``, ``clouds_yaml`` and ``domain``. Default: those of the pillar's key ``openstack``.
    name
        The name in the return. Default: the project.
    test
        Show the steps and execute none. Default: the minion's ``test``.

    Returns:
        A state's return: ``name``, ``result``, ``changes`` and ``comment``.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.remove tellers test=True

    .. versionadded:: 0.1.0
    """
    login = login or _login(__salt__["neutron_rules.given"]() or {})
    domain = login.get("domain")
    login = {key: login.get(key) for key in LOGIN}
    row = {"project": project, "network": network or f"{project}-net"}

    def read():
        seen = __salt__["neutron_read.base"](domain=domain, **login)
        kinds = __salt__["neutron_removal.needs"](row, seen)
        return {**seen, **__salt__["neutron_read.more"](kinds, **login)}

    def steps(seen, begun="Nothing was changed"):
        found = __salt__["neutron_removal.plan"](row, seen, remove_project, force)
        if found["refusals"]:
            raise CommandExecutionError("\n".join([f"{begun}:", *found["refusals"]]))
        return found["steps"]

    def act(step):
        try:
            if step["do"] == "detach":
                __salt__["neutron_cloud.interface"](step["id"], step["subnet"], False, **login)
            else:
                __salt__["neutron_cloud.remove"](step["kind"], step["id"], **login)
        except CommandExecutionError as err:
            if getattr(err, "status", 0) == CONFLICT:
                steps(read(), "Nothing more was changed")  # somebody uses it by now: who?
            raise

    test = __opts__["test"] if test is None else test
    fact = f"Project {project} has no network {row['network']}"
    return __salt__["onepass.converge"](name or project, read, steps, act, lambda _: fact, test)


# Questions to the cloud


def owner(vlan, physical_network=None, cloud=None, clouds_yaml=None):
    """
    Who has a VLAN.

    vlan
        The VLAN id.
    physical_network
        Only on this one. Default: on all.
    cloud, clouds_yaml
        The login, see :py:mod:`neutron_cloud`.

    Returns:
        List of mappings: ``physical_network``, ``vlan``, ``network``, ``id``, ``project`` (its name, or ``deleted
        project``), ``project_id``, ``cidrs``, ``ports`` (a line each), ``created_at``. Empty when nobody has it.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.owner 12

    .. versionadded:: 0.1.0
    """
    login = {"cloud": cloud, "clouds_yaml": clouds_yaml}
    seen = __salt__["neutron_read.base"](**login)
    held = __salt__["neutron_report.owners"](seen, vlan, physical_network)
    numbers = [each["id"] for each in held]
    ports = __salt__["neutron_read.more"]({"ports": {"network_id": numbers}}, **login)["ports"] if held else []
    for each in held:
        mine = [port for port in ports if port["network_id"] == each["id"]]
        each["ports"] = [f"{port['owner'] or 'unowned'} {', '.join(port['addresses'])}".strip() for port in mine]
    return held


def free(physical_network=None, start=2, end=4094, count=10, table=None, cloud=None, clouds_yaml=None):
    """
    The next VLAN ids that nobody has: neither in the cloud, nor in the table, nor reserved there.

    physical_network
        Default: the table's.
    start, end
        The first and the last id to look at. Default 2 and 4094.
    count
        How many to answer. Default 10.
    table
        The table. Default: the pillar's key ``openstack``; there may be none.
    cloud, clouds_yaml
        The login, see :py:mod:`neutron_cloud`. Default: the table's.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.free physnet1 start=100 count=3

    .. versionadded:: 0.1.0
    """
    table = __salt__["neutron_rules.given"](table) or {}
    physical_network = physical_network or table.get("physical_network")
    if not physical_network:
        raise CommandExecutionError("physical_network is needed: physnet1")
    login = {"cloud": cloud or table.get("cloud"), "clouds_yaml": clouds_yaml or table.get("clouds_yaml")}
    seen = __salt__["neutron_read.base"](**login)
    taken = {wire["vlan"] for wire in _wires(seen) if wire["physical_network"] == physical_network}
    taken.update(__salt__["neutron_rules.reserved"](table))
    rows = _rows(_sound(table)) if table.get("projects") else []
    taken.update(row["vlan"] for row in rows if row["physical_network"] == physical_network)
    return [vlan for vlan in range(max(start, 1), min(end, 4094) + 1) if vlan not in taken][:count]


def orphans(cloud=None, clouds_yaml=None):
    """
    Networks whose project is deleted. Their VLANs stay taken.

    cloud, clouds_yaml
        The login, see :py:mod:`neutron_cloud`.

    Returns:
        List of mappings as of :py:func:`owner`, without ``ports``, and with ``free``: the command that frees it.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.orphans

    .. versionadded:: 0.1.0
    """
    return __salt__["neutron_report.orphans"](__salt__["neutron_read.base"](cloud, clouds_yaml))


def audit(table=None):
    """
    What an administrator should know of the cloud's VLANs: orphans, VLAN 1, reserved ids, networks that the table does
    not list, networks without a subnet or shared with all, subnets of another project, explicit ids that Neutron may
    give to anybody first.

    table
        The table. Default: the pillar's key ``openstack``.

    Returns:
        A list of sentences, empty when there is nothing to say.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.audit

    .. versionadded:: 0.1.0
    """
    table = _sound(table)
    login = {key: table.get(key) for key in LOGIN}
    seen = __salt__["neutron_read.base"](domain=table.get("domain"), **login)
    reserved, ranges = __salt__["neutron_rules.reserved"](table), __salt__["neutron_read.ranges"](**login)
    return __salt__["neutron_report.audit"](seen, _rows(table), reserved, ranges)


def export(physical_network=None, cloud=None, clouds_yaml=None):
    """
    A table of what is there, to begin with in a living cloud: a plan of it has nothing to do but to set our tag.

    physical_network
        Only this one. Default: all.
    cloud, clouds_yaml
        The login, see :py:mod:`neutron_cloud`.

    Returns:
        ``openstack``: the table. ``left_out``: network to the reason for which no row can describe it.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.export --out=yaml

    .. versionadded:: 0.1.0
    """
    exported = __salt__["neutron_report.table"](__salt__["neutron_read.base"](cloud, clouds_yaml), physical_network)
    given = {"cloud": cloud, "clouds_yaml": clouds_yaml}
    above = {**_login(__salt__["neutron_rules.given"]() or {}), **{key: each for key, each in given.items() if each}}
    return _without_refused({**above, **exported["openstack"]}, exported["left_out"])


def _without_refused(table, left_out):
    """What Neutron lets be and a table does not say, such as a gateway that is no host's, is left out as well."""
    refused = {}
    for each in __salt__["neutron_rules.faults"](table):
        for name in table["projects"]:
            if each["path"].startswith(f"openstack:projects:{name}:"):
                refused.setdefault(name, f"a table refuses its {each['path'].split(':')[-1]}: {each['fault']}")
    rows = {name: row for name, row in table["projects"].items() if name not in refused}
    more = {table["projects"][name]["network"]: why for name, why in refused.items()}
    return {"openstack": {**table, "projects": rows}, "left_out": {**left_out, **more}}


def trunk_list(physical_network=None, cloud=None, clouds_yaml=None):
    """
    The VLANs in use, as switches take them: ``12-13,100``.

    physical_network
        Only this one. Default: all.
    cloud, clouds_yaml
        The login, see :py:mod:`neutron_cloud`.

    Returns:
        Physical network to its list.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.trunk_list

    .. versionadded:: 0.1.0
    """
    lists = _compressed(_wires(__salt__["neutron_read.base"](cloud, clouds_yaml)))
    return lists if physical_network is None else {physical_network: lists.get(physical_network, "")}


# Executing


class _Run:
    """One application of a table: what it reads, plans and writes, and what it has made."""

    def __init__(self, table):
        self.table, self.rows, self.login = table, _rows(table), {key: table.get(key) for key in LOGIN}
        self.options = {**{key: table[key] for key in OPTIONS if key in table}, "projects": list(table["projects"])}
        self.ids, self.steps, self.sent, self.made, self.undone = {}, [], set(), [], ""
        self.warnings, self.refused = [], False

    def read(self):
        """What is there, as far as these rows need it."""
        seen = __salt__["neutron_read.base"](domain=self.table.get("domain"), **self.login)
        while more := __salt__["neutron_plan.needs"](self.rows, seen, self.options):
            seen.update(__salt__["neutron_read.more"](more, seen["networks"], **self.login))
        self._remember(seen)
        return seen

    def report(self, seen):
        """The plan with its verdicts."""
        return __salt__["neutron_plan.plan"](self.rows, seen, self.options)

    def plan(self, seen):
        """The steps, or all that is in their way."""
        found = self.report(seen)
        self.warnings = __salt__["neutron_rules.warnings"](self.table) + found["warnings"]
        if found["refusals"]:
            begun = "Nothing more was changed" if self.sent else "Nothing was changed"
            raise CommandExecutionError(
                "\n".join([f"{begun}, {len(found['refusals'])} in the way:", *found["refusals"]])
            )
        if not self.sent:
            self.steps = found["steps"]
        return found["steps"]

    def fact(self, _):
        """Why there is nothing to do."""
        vlans = ", ".join(f"{ids} on {wire}" for wire, ids in _compressed(self.rows).items())
        whose = (
            f"All {len(self.rows)} projects have their networks"
            if len(self.rows) > 1
            else "The project has its network"
        )
        return f"{whose}: VLAN {vlans}"

    def act(self, step):
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

    def _look_again(self, group, err):
        """Somebody was faster: what is still to be done is done, what is taken is told with its owner."""
        left = {(each["kind"], each["do"], each["what"]) for each in self.plan(self.read())}
        rest = [each for each in group if (each["kind"], each["do"], each["what"]) in left]
        if len(rest) == len(group):
            raise err
        if rest:
            self._send(rest)

    def _send(self, group):
        step = group[0]
        kind, row = step["kind"], step["row"]
        if kind in ("network", "subnet", "project") and step["do"] == "create":
            bodies = [{**each["body"], **self._parents(each)} for each in group]
            made = self._call("create", f"{kind}s", bodies)
            for each, answer in zip(group, made, strict=True):
                self._made(f"{kind}s", kind, each["row"], answer)
        elif kind == "tag":
            self._call("tag", step["on"], step.get("id") or self.ids["network", row])
        elif kind == "quota":
            self._quota(step)
        elif kind == "share":
            self._share(step)
        elif kind == "router":
            self._router(step)
        else:
            changed = {"move": "networks", "change": "networks", "subnet change": "subnets", "gateway": "routers"}[kind]
            self._call("update", changed, step["id"], step["body"])

    def _call(self, function, *words):
        return __salt__[f"neutron_cloud.{function}"](*words, **self.login)

    def _parents(self, step):
        row = step["row"]
        if step["kind"] == "project":
            return {}
        inside = {"network_id": self.ids["network", row]} if step["kind"] == "subnet" else {}
        return {"project_id": self.ids["project", row], **inside}

    def _quota(self, step):
        project = self.ids["project", step["row"]]
        self._call("update", "quotas", project, step["body"])
        if step["old"] is None:
            self.made.append(("quotas", project))

    def _router(self, step):
        row = step["row"]
        if step["do"] == "create":
            body = {**step["body"], "project_id": self.ids["project", row]}
            self._made("routers", "router", row, self._call("create", "routers", [body])[0])
            return
        router, subnet = step.get("id") or self.ids["router", row], self.ids["subnet", row]
        if "tag" in step["new"]:
            self._call("tag", "routers", router)
        self._call("interface", router, subnet)
        self.made.append(("interface", (router, subnet)))

    def _share(self, step):
        target = "*" if step["target"] == "*" else self.ids["project", step["target"]]
        body = {
            "object_type": "network",
            "object_id": self.ids["network", step["row"]],
            "action": "access_as_shared",
            "target_tenant": target,
        }
        self.made.append(("shares", self._call("create", "shares", [body])[0]["id"]))

    def _made(self, kind, name, row, answer):
        self.ids[name, row] = answer["id"]
        self.made.append((kind, answer["id"]))

    def _remember(self, seen):
        """The ids of what is there: a network is ours by its name, or, while it is adopted, by its VLAN."""
        ours = {each["name"]: each["id"] for each in seen["projects"] if each["domain_id"] == seen["domain_id"]}
        named = {(each["project_id"], each["name"]): each["id"] for each in seen["networks"]}
        held = {(each["project_id"], each["vlan"]): each["id"] for each in seen["networks"]}
        subnets = {(each["network_id"], each["cidr"]): each["id"] for each in seen["subnets"]}
        self.ids.update({("project", name): number for name, number in ours.items()})
        for row in self.rows:
            project = ours.get(row["project"])
            network = named.get((project, row["network"]), held.get((project, row["vlan"])))
            subnet = subnets.get((network, row["cidr"]))
            found = {"network": network, "subnet": subnet} if project else {}
            self.ids.update({(kind, row["project"]): number for kind, number in found.items() if number})

    def undo(self, changes):
        """Remove what this run has created, the last first; what cannot be removed stays told in the changes."""
        try:
            for kind, number in reversed(self.made):
                if kind == "interface":
                    self._call("interface", *number, False)
                else:
                    self._call("remove", kind, number)
        except CommandExecutionError as err:
            self.undone = f"Rolling back failed: {err}"
            return changes
        self.undone = f"Rolled back: {len(self.made)} objects that this run had created are removed."
        return {what: change for what, change in changes.items() if change["old"] is not None}


# Forms


def _sound(table):
    found = __salt__["neutron_rules.faults"](table)
    if found:
        raise CommandExecutionError(_report(found))
    return __salt__["neutron_rules.given"](table)


def _rows(table):
    return __salt__["neutron_rules.rows"](table)


def _login(table):
    return {key: table[key] for key in (*LOGIN, "domain") if table.get(key)}


def _wires(seen):
    return __salt__["neutron_report.wires"](seen)


def _compressed(wires):
    return __salt__["neutron_report.compressed"](wires)


def _rendered(path):
    """The table of a pillar file, rendered as a minion's pillar is."""
    try:
        with open(path, encoding="utf-8") as text:
            pillar = __salt__["slsutil.renderer"](string=text.read() or "{}", default_renderer="jinja|yaml")
    except OSError as err:
        raise CommandExecutionError(f"{path} cannot be read: {err.strerror}") from None
    except (CommandExecutionError, SaltRenderError) as err:
        for line in __salt__["pillar_files.unread"]([path]):
            raise CommandExecutionError(line) from None
        raise CommandExecutionError(f"{path} cannot be rendered: {err}") from None
    if not isinstance(pillar, dict) or "openstack" not in pillar:
        there = (
            f"its keys are {', '.join(map(str, pillar))}" if isinstance(pillar, dict) and pillar else "it has no key"
        )
        raise CommandExecutionError(f"{path} has no key openstack, which holds the table; {there}")
    return pillar["openstack"]


def _line(fault):
    return int(fault.get("place", ":0").rpartition(":")[2])


def _report(found):
    lines = [f"{each['path']}: {each['fault']}; {each['remedy']}" for each in found]
    places = [f"  {each['place']}: " if "place" in each else "  " for each in found]
    said = [place + line for place, line in zip(places, lines, strict=True)]
    return "\n".join([f"openstack table: {len(found)} fault{'s' if len(found) > 1 else ''}", *said])
