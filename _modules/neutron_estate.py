"""
The OpenStack area as it is: what to ask of whom, what the answer means, and how the tenants are drawn.

.. versionadded:: 0.1.0

The three functions that every area has, see :py:mod:`mongo_estate`. Nothing here asks::

    salt-call --local -m . --pillar-root pillar --id hq_master neutron_estate.drawn
"""

__virtualname__ = "neutron_estate"

ACROSS = 8
STATES = {"same": "ok", "create": "changed", "adopt": "changed", "drift": "changed", "conflict": "broken"}


def __virtual__():
    return __virtualname__


def questions(pillar=None):
    """
    What the master has to ask in order to know how the tenants' networks are.

    pillar
        The value of the pillar's key ``openstack``. Default: this minion's.

    Returns:
        As for :py:func:`mongo_estate.questions`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_estate.questions '{cloud: bank, projects: {}}'

    .. versionadded:: 0.1.0
    """
    table = __salt__["neutron_rules.given"](pillar)
    minions = list(__salt__["neutron_rules.places"](table))
    # With the table: the pillar that the minion has may be an older one, with other projects.
    return [{"minions": minions, "function": "neutron_vlan.plan", "arg": [table]}]


def seen(answers, pillar=None):
    """
    What the answer means: each project in a line.

    answers
        Minion (``""`` is the master) to answer, for each question.
    pillar
        The value of the pillar's key ``openstack``. Default: this minion's.

    Returns:
        As for :py:func:`mongo_estate.seen`. ``data`` has ``projects``: project to its ``vlan`` and ``result``
        (``same``, ``create``, ``adopt``, ``drift`` or ``conflict``).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_estate.seen '[{}]' '{cloud: bank, projects: {}}'

    .. versionadded:: 0.1.0
    """
    minion = (questions(pillar)[0]["minions"] or [""])[0]
    plan = answers[0].get(minion)
    found = {"lines": {}, "states": {}, "silent": [minion] if minion and plan is None else [], "fault": None}
    found.update({"broken": [], "behind": [], "named": [], "data": {"projects": {}}})
    if found["silent"]:
        return found
    if __salt__["estate_status.lacks"](plan):
        run = "salt-run onepass.run orchestrate.openstack"
        return {**found, "behind": [f"nothing is built yet, {minion} has no modules to look with: {run}"]}
    if not isinstance(plan, dict):
        who = minion or "the master"
        return {**found, "fault": f"the cloud cannot be looked at from {who}: {plan or 'no answer'}"}
    projects = _projects(pillar)
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


def drawn(pillar=None):
    """
    The tenants as a table of VLAN, project and network.

    pillar
        The value of the pillar's key ``openstack``. Default: this minion's.

    Returns:
        ``title``, ``tables`` and ``links``, see :py:func:`estate_graph.dot`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id hq_master neutron_estate.drawn

    .. versionadded:: 0.1.0
    """
    projects = sorted(_projects(pillar).items(), key=lambda each: each[1]["vlan"])
    rows = __salt__["estate_graph.grid"]([_cell(name, row) for name, row in projects], ACROSS)
    title = f"cloud {_sound(pillar).get('cloud') or ''}"
    tables = [{"id": "tenants", "title": f"{title}: {len(projects)} projects", "rows": rows}] if rows else []
    return {"title": "OpenStack: a VLAN per project", "tables": tables, "links": []}


def _sound(pillar):
    """The table without what is malformed: it is drawn whether it was checked or not."""
    return __salt__["neutron_schema.sound"](__salt__["neutron_rules.given"](pillar))


def _projects(pillar):
    return {name: row for name, row in (_sound(pillar).get("projects") or {}).items() if row and row.get("vlan")}


def _cell(name, row):
    return {"lines": [f"{row['vlan']}  {name}", row.get("cidr") or ""], "ids": [f"project {name}"]}


def _words(row):
    fields = ", ".join(f"{field} {each['old']} -> {each['new']}" for field, each in (row.get("fields") or {}).items())
    why = "; ".join(row["why"]) if isinstance(row.get("why"), list) else row.get("why")
    parts = [{"same": "as wanted"}.get(row["result"], row["result"]), fields if row["result"] != "create" else "", why]
    return ": ".join(filter(None, parts))
