"""
OpenStack tenants on VLANs: one project, one VLAN, one network, one subnet, all from one table.

.. versionadded:: 0.1.0

The table is the pillar's key ``openstack`` (:py:mod:`neutron_schema` describes it). It can be judged without any cloud,
planned against a living one, and applied; and the cloud can be asked who has a VLAN, which ones are free, and for a table
of what is there::

    salt-call --local -m . neutron_vlan.lint path=pillar/openstack.sls
    salt-call --local -m . neutron_vlan.owner 12 cloud=bank clouds_yaml=/etc/openstack/clouds.yaml

The VLAN id is compulsory: a network that is made without one gets whatever id Neutron has left, which may be 1. All three
provider fields are always sent, everything is checked before the first write, and nothing is deleted in order to change it.

The functions that talk to a cloud take ``cloud`` and ``clouds_yaml``, which are explained in :py:mod:`neutron_cloud`;
they need the cloud's admin, because nobody else sees VLAN ids. They require openstacksdk in Salt's Python.
"""

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "neutron_vlan"

TAG = "managed-by=salt"
OPTIONS = ("create_projects", "overlap", "projects")
CONFLICT, BAD_REQUEST = 409, 400


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
        ``projects`` (how many) and ``vlans``: physical network to its ids, ``12-13,100``.

    Raises ``SaltInvocationError`` with a line per fault: place, path, fault and remedy.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_vlan.lint path=pillar/openstack.sls

    .. versionadded:: 0.1.0
    """
    found = []
    if path:
        table = _rendered(path)
        found = __salt__["pillar_files.oddities"](path)
    faults = __salt__["neutron_rules.faults"]({} if table is None and path else table)
    found += __salt__["pillar_files.located"](faults, [path] if path else [])
    if found:
        raise SaltInvocationError(_report(found))
    rows = _rows(__salt__["neutron_rules.given"](table))
    return {"projects": len(rows), "vlans": _vlans(rows)}


def plan(table=None):
    """
    What the table would change in the cloud, per project and field; nothing is changed.

    table
        The table. Default: the pillar's key ``openstack``.

    Returns:
        Project to ``result`` (``create``, ``same``, ``drift``, ``conflict`` or ``adopt``), ``fields`` (field to ``old``
        and ``new``) and ``why`` (the reasons for which the whole table would be refused).

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
    alone. A changed VLAN id (``on_drift: move``) interrupts the project's traffic until its ports are wired anew.

    table
        The table. Default: the pillar's key ``openstack``.
    name
        The name in the return. Default ``openstack``.
    test
        Show the steps and execute none. Default: the minion's ``test``.

    Returns:
        A state's return: ``name``, ``result``, ``changes`` and ``comment``.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.apply test=True

    .. versionadded:: 0.1.0
    """
    run = _Run(_sound(table))
    test = __opts__["test"] if test is None else test
    ret = __salt__["onepass.converge"](name, run.read, run.plan, run.act, run.fact, test)
    if ret["result"] is False and run.made and run.table.get("rollback"):
        return {**ret, "changes": run.undo(ret["changes"]), "comment": f"{ret['comment']} {run.undone}"}
    return ret


def remove(project, network=None, remove_project=False, force=False, table=None, name=None, test=None):
    """
    The project's network is gone, with its subnets, router and shares; foreign ports are named, and then nothing is done.

    Removed are only a network, a router and a project that carry our tag. A project can hold servers and volumes, which
    Neutron does not know of: it stays unless ``remove_project`` is true, and never goes before its networks.

    project
        The project's name.
    network
        The network's name. Default ``<project>-net``.
    remove_project
        Remove the project as well. Default ``False``.
    force
        Remove what does not carry our tag, too. Default ``False``.
    table
        Mapping with ``cloud``, ``clouds_yaml`` and ``domain``. Default: the pillar's key ``openstack``.
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
    cloud = _Reader(__salt__["neutron_rules.given"](table) or {})
    row = {"project": project, "network": network or f"{project}-net"}

    def read():
        seen = cloud.base()
        mine = [each["id"] for each in seen["projects"] if each["name"] == project]
        nets = [n["id"] for n in seen["networks"] if n["project_id"] in mine and n["name"] == row["network"]]
        more = {"routers": {}, "router_ports": {"device_owner": cloud.interfaces()}}
        more.update({"ports": {"network_id": nets}, "shares": {"object_type": "network"}} if nets else {})
        return {**seen, **cloud.more(more if mine else {}, seen)}

    def steps(seen):
        found = __salt__["neutron_plan.removal"](row, seen, remove_project, force)
        if found["refusals"]:
            raise CommandExecutionError("Nothing was changed:\n" + "\n".join(found["refusals"]))
        return found["steps"]

    def act(step):
        if step["do"] == "detach":
            return cloud.call("interface", step["id"], step["subnet"], False)
        return cloud.call("remove", step["kind"], step["id"])

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
    reader = _Reader({"cloud": cloud, "clouds_yaml": clouds_yaml})
    seen = reader.base()
    held = [
        (one, wire)
        for one, wire in _wires(seen)
        if wire["vlan"] == vlan and physical_network in (None, wire["physical_network"])
    ]
    ports = reader.more({"ports": {"network_id": [one["id"] for one, _ in held]}}, seen)["ports"] if held else []
    return [_owned(one, wire, seen, [each for each in ports if each["network_id"] == one["id"]]) for one, wire in held]


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
        The login, see :py:mod:`neutron_cloud`.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.free physnet1 start=100 count=3

    .. versionadded:: 0.1.0
    """
    table = __salt__["neutron_rules.given"](table) or {}
    physical_network = physical_network or table.get("physical_network")
    if not physical_network:
        raise SaltInvocationError("physical_network is needed: physnet1")
    seen = _Reader({"cloud": cloud, "clouds_yaml": clouds_yaml, **_login(table)}).base()
    taken = {wire["vlan"] for _, wire in _wires(seen) if wire["physical_network"] == physical_network}
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
    seen = _Reader({"cloud": cloud, "clouds_yaml": clouds_yaml}).base()
    return [
        {**_owned(one, wire, seen), "free": f"openstack network delete {one['id']}"}
        for one, wire in _wires(seen)
        if _is_orphan(one, seen)
    ]


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
    run = _Run(_sound(table))
    seen = run.reader.base()
    listed = {(row["physical_network"], row["vlan"]): row["project"] for row in run.rows}
    reserved = __salt__["neutron_rules.reserved"](run.table)
    said = []
    for one, wire in _wires(seen):
        said += _audited(one, wire, seen, listed, reserved)
    return said + list(_in_shared_ranges(run.rows, run.reader.ranges()))


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
    reader = _Reader({"cloud": cloud, "clouds_yaml": clouds_yaml})
    seen = reader.base()
    exported = __salt__["neutron_export.table"](seen, physical_network)
    who = {"cloud": cloud or reader.login["cloud"], **({"clouds_yaml": clouds_yaml} if clouds_yaml else {})}
    return {**exported, "openstack": {**who, **exported["openstack"]}}


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
    wires = [wire for _, wire in _wires(_Reader({"cloud": cloud, "clouds_yaml": clouds_yaml}).base())]
    lists = _compressed((wire["physical_network"], wire["vlan"]) for wire in wires)
    return lists if physical_network is None else {physical_network: lists.get(physical_network, "")}


# Reading


class _Reader:
    """The cloud of a table, read: each kind of object once."""

    def __init__(self, table):
        given = __salt__["neutron_rules.given"]() or {}
        self.table = table
        self.login = {key: table.get(key) or given.get(key) for key in ("cloud", "clouds_yaml")}

    def call(self, function, *words):
        """A function of neutron_cloud, with our login."""
        return __salt__[f"neutron_cloud.{function}"](*words, **self.login)

    def base(self):
        """Projects, networks, subnets: three lists, which are all when there is nothing to do."""
        keys = ("id", "name", "domain_id", "enabled", "tags")
        return {
            "domain_id": self._domain(),
            "projects": [{key: each.get(key) for key in keys} for each in self.call("rows", "projects")],
            "networks": [__salt__["neutron_plan.network"](each) for each in self.call("rows", "networks")],
            "subnets": [__salt__["neutron_plan.subnet"](each) for each in self.call("rows", "subnets")],
        }

    def more(self, kinds, seen):
        """Further kinds, see :py:func:`neutron_plan.needs`."""
        return {name: part for kind, query in kinds.items() for name, part in self._kind(kind, query, seen).items()}

    def ranges(self):
        """The ranges from which Neutron gives ids by itself; none where it does not tell."""
        fields = ["physical_network", "minimum", "maximum", "shared", "network_type"]
        try:
            found = self.call("rows", "ranges", {"fields": fields})
        except CommandExecutionError as err:
            if getattr(err, "status", 0) not in (403, 404):
                raise
            return []
        return [each for each in found if each["network_type"] == "vlan"]

    def interfaces(self):
        """Who owns ports of routers."""
        return __salt__["neutron_plan.router_owners"]()

    def _domain(self):
        wanted, who = self.table.get("domain"), self.call("login")
        if wanted in (None, who["domain_id"], who["domain"]):
            return who["domain_id"]
        domains = self.call("rows", "domains")
        found = [each["id"] for each in domains if wanted in (each["id"], each["name"])]
        if not found:
            raise CommandExecutionError(
                f"There is no domain {wanted}; known are {', '.join(d['name'] for d in domains)}"
            )
        return found[0]

    def _kind(self, kind, query, seen):
        if kind in ("ports", "router_ports"):
            short = {} if len(query.get("network_id", ())) > 100 else query  # an address has no room for more
            return {kind: [__salt__["neutron_plan.port"](each) for each in self.call("rows", "ports", short)]}
        if kind == "quotas":
            own = {each["project_id"]: each for each in self.call("rows", "quotas")}
            return {"quotas": own, "default_quota": self.call("default_quota", "any")}
        if kind == "physical_networks":
            return {kind: self._physical_networks(seen)}
        return {kind: self.call("rows", kind, query)}

    def _physical_networks(self, seen):
        """Empty when the cloud tells none: then nothing can be said of a name."""
        known = {each["physical_network"] for each in self.ranges()}
        for agent in self.call("rows", "agents"):
            known.update(agent.get("configurations", {}).get("bridge_mappings") or {})
        used = {wire["physical_network"] for _, wire in _wires(seen)}
        return sorted(known | used) if known else []


class _Run:
    """One application of a table: what it reads, plans and writes, and what it has made."""

    def __init__(self, table):
        self.table, self.rows, self.reader = table, _rows(table), _Reader(table)
        self.options = {**{key: table[key] for key in OPTIONS if key in table}, "projects": list(table["projects"])}
        self.ids, self.steps, self.sent, self.made, self.undone = {}, [], set(), [], ""

    def read(self):
        """What is there, as far as these rows need it."""
        seen = self.reader.base()
        while more := __salt__["neutron_plan.needs"](self.rows, seen, self.options):
            seen.update(self.reader.more(more, seen))
        self._remember(seen)
        return seen

    def report(self, seen):
        """The plan with its verdicts."""
        return __salt__["neutron_plan.plan"](self.rows, seen, self.options)

    def plan(self, seen):
        """The steps, or all that is in their way."""
        found = self.report(seen)
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
        vlans = ", ".join(f"{ids} on {wire}" for wire, ids in _vlans(self.rows).items())
        return f"All {len(self.rows)} projects have their networks: VLAN {vlans}"

    def act(self, step):
        """Execute a step, and with it all that go in the same request."""
        if id(step) in self.sent:
            return
        if (step["kind"], step["do"]) in (("network", "create"), ("subnet", "create")):
            group = [each for each in self.steps if (each["kind"], each["do"]) == (step["kind"], "create")]
        else:
            group = [step]
        self.sent.update(map(id, group))
        try:
            self._send(group)
        except CommandExecutionError as err:
            if getattr(err, "status", 0) not in (CONFLICT, BAD_REQUEST):
                raise
            self._look_again(group, err)

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
            made = self.reader.call("create", f"{kind}s", bodies)
            for each, answer in zip(group, made, strict=True):
                self._made(f"{kind}s", kind, each["row"], answer)
        elif kind == "tag":
            self.reader.call("tag", step["on"], step.get("id") or self.ids["network", row])
        elif kind == "quota":
            self.reader.call("update", "quotas", self.ids["project", row], step["body"])
        elif kind == "share":
            self._share(step)
        elif kind == "router":
            self._router(step)
        else:
            changed = {"move": "networks", "change": "networks", "subnet change": "subnets", "gateway": "routers"}[kind]
            self.reader.call("update", changed, step["id"], step["body"])

    def _parents(self, step):
        row = step["row"]
        if step["kind"] == "project":
            return {}
        inside = {"network_id": self.ids["network", row]} if step["kind"] == "subnet" else {}
        return {"project_id": self.ids["project", row], **inside}

    def _router(self, step):
        row = step["row"]
        if step["do"] == "create":
            body = {**step["body"], "project_id": self.ids["project", row]}
            self._made("routers", "router", row, self.reader.call("create", "routers", [body])[0])
            return
        router, subnet = step.get("id") or self.ids["router", row], self.ids["subnet", row]
        self.reader.call("tag", "routers", router)
        self.reader.call("interface", router, subnet)
        self.made.append(("interface", (router, subnet)))

    def _share(self, step):
        target = "*" if step["target"] == "*" else self.ids["project", step["target"]]
        body = {
            "object_type": "network",
            "object_id": self.ids["network", step["row"]],
            "action": "access_as_shared",
            "target_tenant": target,
        }
        self.made.append(("shares", self.reader.call("create", "shares", [body])[0]["id"]))

    def _made(self, kind, name, row, answer):
        self.ids[name, row] = answer["id"]
        self.made.append((kind, answer["id"]))

    def _remember(self, seen):
        """The ids of what is there."""
        self.ids.update(
            {("project", p["name"]): p["id"] for p in seen["projects"] if p["domain_id"] == seen["domain_id"]}
        )
        for row in self.rows:
            project = self.ids.get(("project", row["project"]))
            for one in seen["networks"]:
                mine = one["project_id"] == project and one["name"] == row["network"]
                held = one["project_id"] == project and one["vlan"] == row["vlan"]
                if project and (mine or held):
                    self.ids["network", row["project"]] = one["id"]
            number = self.ids.get(("network", row["project"]))
            for each in seen["subnets"]:
                if number and (each["network_id"], each["cidr"]) == (number, row["cidr"]):
                    self.ids["subnet", row["project"]] = each["id"]

    def undo(self, changes):
        """Remove what this run has created, the last first; what cannot be removed stays told in the changes."""
        try:
            for kind, number in reversed(self.made):
                if kind == "interface":
                    self.reader.call("interface", *number, False)
                else:
                    self.reader.call("remove", kind, number)
        except CommandExecutionError as err:
            self.undone = f"Rolling back failed: {err}"
            return changes
        self.undone = f"Rolled back: {len(self.made)} objects that this run had created are removed."
        return {what: change for what, change in changes.items() if change["old"] is not None}


# Words and forms


def _vlans(rows):
    return _compressed((row["physical_network"], row["vlan"]) for row in rows)


def _sound(table):
    found = __salt__["neutron_rules.faults"](table)
    if found:
        raise SaltInvocationError(_report(found))
    return __salt__["neutron_rules.given"](table)


def _rows(table):
    return __salt__["neutron_rules.rows"](table)


def _login(table):
    return {key: table[key] for key in ("cloud", "clouds_yaml") if table.get(key)}


def _rendered(path):
    """The table of a pillar file, rendered as a minion's pillar is."""
    try:
        with open(path, encoding="utf-8") as text:
            return (__salt__["slsutil.renderer"](string=text.read(), default_renderer="jinja|yaml") or {}).get(
                "openstack"
            )
    except OSError as err:
        raise SaltInvocationError(f"{path} cannot be read: {err.strerror}") from None
    except CommandExecutionError as err:
        raise SaltInvocationError(f"{path} cannot be rendered: {err}") from None


def _report(found):
    lines = [
        f"  {each['place'] + ': ' if 'place' in each else ''}{each['path']}: {each['fault']}; {each['remedy']}"
        for each in found
    ]
    return "\n".join([f"openstack table: {len(found)} fault{'s' if len(found) > 1 else ''}", *lines])


def _wires(seen):
    """Each network with each of its VLANs."""
    for one in seen["networks"]:
        for wire in one["segments"] or [one]:
            if wire["type"] == "vlan":
                yield one, wire


def _project_name(one, seen):
    return next((each["name"] for each in seen["projects"] if each["id"] == one["project_id"]), "deleted project")


def _is_orphan(one, seen):
    return bool(one["project_id"]) and one["project_id"] not in {each["id"] for each in seen["projects"]}


def _owned(one, wire, seen, ports=None):
    said = {
        "physical_network": wire["physical_network"],
        "vlan": wire["vlan"],
        "network": one["name"],
        "id": one["id"],
        "project": _project_name(one, seen),
        "project_id": one["project_id"],
        "cidrs": [each["cidr"] for each in seen["subnets"] if each["network_id"] == one["id"]],
        "created_at": one["created_at"],
    }
    lines = [f"{each['owner'] or 'unowned'} {', '.join(each['addresses'])}".strip() for each in ports or []]
    return said if ports is None else {**said, "ports": lines}


def _audited(one, wire, seen, listed, reserved):
    where = f"VLAN {wire['vlan']} on {wire['physical_network']}, network {one['name']} of {_project_name(one, seen)}"
    subnets = [each for each in seen["subnets"] if each["network_id"] == one["id"]]
    strangers = [each["cidr"] for each in subnets if each["project_id"] != one["project_id"]]
    key = (wire["physical_network"], wire["vlan"])
    notes = {
        "is an orphan: its project is deleted": _is_orphan(one, seen),
        "is the switches' default VLAN": wire["vlan"] == 1,
        "is reserved": wire["vlan"] != 1 and wire["vlan"] in reserved,
        "is not in the table": key not in listed and not one["external"],
        "is the table's of another project": key in listed and listed[key] != _project_name(one, seen),
        "has no subnet": not subnets,
        "is shared with all projects": bool(one["shared"]),
        f"has a subnet of another project: {', '.join(strangers)}": bool(strangers),
    }
    return [f"{where}: {note}" for note, holds in notes.items() if holds]


def _in_shared_ranges(rows, ranges):
    """Ids that Neutron may give to anybody's network before the table's project gets it."""
    for row in rows:
        for each in ranges:
            inside = each["minimum"] <= row["vlan"] <= each["maximum"]
            if each["shared"] and inside and each["physical_network"] == row["physical_network"]:
                span = f"{each['minimum']}-{each['maximum']}"
                yield f"VLAN {row['vlan']} of {row['project']} is inside of {span}, from which Neutron serves any project"


def _compressed(wires):
    """Physical network to its ids: ``12-13,100``."""
    grouped = {}
    for physical_network, vlan in wires:
        grouped.setdefault(physical_network, set()).add(vlan)
    return {name: ",".join(_spans(sorted(ids))) for name, ids in sorted(grouped.items())}


def _spans(ids):
    start = previous = None
    for vlan in [*ids, None]:
        if previous is not None and vlan != previous + 1:
            yield str(start) if start == previous else f"{start}-{previous}"
            start = vlan
        start = vlan if start is None else start
        previous = vlan
