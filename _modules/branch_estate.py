"""
The branches as they are: what to ask of whom, what the answers mean, and how they are drawn.

.. versionadded:: 0.1.0

The three functions that every area has, see :py:mod:`mongo_estate`. Nothing here asks::

    salt-call --local -m . branch_estate.drawn '{rings: [[rosario], [salta]], directory: pillar/branch}'
"""

__virtualname__ = "branch_estate"

# More branches than these are drawn as one cell each; more minions than these are counted in a line.
MANY, MANY_NAMES = 8, 4
WORST = ("broken", "silent", "blank", "changed", "ok")
STATES = {"ok": "ok", "repairable": "changed", "broken": "broken"}


def __virtual__():
    return __virtualname__


def questions(pillar=None):
    """
    What the master has to ask in order to know how the branches' gateways and hosts are.

    pillar
        The value of the pillar's key ``branches``. Default: this minion's.

    Returns:
        As for :py:func:`mongo_estate.questions`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_estate.questions '{rings: [[rosario]], directory: pillar/branch}'

    .. versionadded:: 0.1.0
    """
    minions = [minion for each in _branches(pillar) for minion in _minions(each)]
    return [{"minions": minions, "function": "bridge_nat.check", "arg": []}] if minions else []


def seen(answers, pillar=None):
    """
    What the answers mean: each branch in a line.

    answers
        Minion to answer, for each question.
    pillar
        The value of the pillar's key ``branches``. Default: this minion's.

    Returns:
        As for :py:func:`mongo_estate.seen`. ``states`` has minions and branches, ``data`` has ``branches``: branch to
        how many of its hosts are ``ok``, ``changed`` (a run would repair them), ``blank`` (no run has been there yet),
        ``silent`` and ``broken``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_estate.seen '[{}]' '{rings: [[rosario]], directory: pillar/branch}'

    .. versionadded:: 0.1.0
    """
    found = {"lines": {}, "states": {}, "silent": [], "fault": None, "broken": [], "behind": [], "named": []}
    found["data"] = {"branches": {}}
    branches, told = _branches(pillar), answers[0] if answers else {}
    if not branches:
        return {**found, "fault": "the rings have no branch without a fault: salt-run onepass.check branches"}
    for branch in branches:
        states = {minion: _state(told.get(minion)) for minion in _minions(branch)}
        worst = min(states.values(), key=WORST.index)
        both = {**states, f"branch {branch['name']}": worst}
        found["states"].update({each: "changed" if state == "blank" else state for each, state in both.items()})
        own = {kind: [minion for minion, state in states.items() if state == kind] for kind in WORST}
        found["silent"] += own["silent"]
        found["broken"] += [f"{minion}: {_why(minion, told)}" for minion in own["broken"]]
        found["behind"] += [f"{minion} is to be repaired by the state" for minion in own["changed"]]
        found["behind"] += [f"{minion} is not built yet" for minion in own["blank"]]
        found["lines"][branch["name"]] = _line(states, told)
        found["data"]["branches"][branch["name"]] = {kind: len(own[kind]) for kind in reversed(WORST)}
    return {**found, "named": [*found["silent"], *found["broken"], *found["behind"]]}


def drawn(pillar=None):
    """
    The branches: a table with gateway, hosts and virtual machines for each, or, when they are many, a cell for each.

    pillar
        The value of the pillar's key ``branches``. Default: this minion's.

    Returns:
        ``title``, ``tables`` and ``links``, see :py:func:`estate_graph.dot`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_estate.drawn '{rings: [[rosario], [salta]], directory: pillar/branch}'

    .. versionadded:: 0.1.0
    """
    branches = _branches(pillar)
    tables = [_table(each) for each in branches] if len(branches) <= MANY else [_many(branches)]
    return {"title": "Branches", "tables": tables, "links": []}


def _branches(pillar):
    return __salt__["branch_fleet.branches"](pillar)


def _minions(branch):
    hosts = __salt__["branch_pillar.hosts"](branch)
    return [hosts["gateway"], *hosts["workstations"]]


def _state(answer):
    """The worst of a minion's conditions; an answer that is no conditions is an error of its own."""
    if answer is None or answer is False:
        return "silent"
    if __salt__["estate_status.lacks"](answer):
        return "blank"
    if not _is_conditions(answer):
        return "broken"
    return min((STATES.get(each["state"], "broken") for each in answer.values()), key=WORST.index, default="ok")


def _is_conditions(answer):
    return isinstance(answer, dict) and all(isinstance(each, dict) for each in answer.values())


def _line(states, answers):
    words = {"ok": "as wanted", "changed": "to be repaired by the state", "blank": "not built yet"}
    parts = []
    for state in reversed(WORST):
        minions = [minion for minion, own in states.items() if own == state]
        if minions:
            why = f"; {minions[0]}: {_why(minions[0], answers)}" if state == "broken" else ""
            names = "" if state == "ok" else f" ({_names(minions)}{why})"
            run = ": salt-run onepass.run orchestrate.branches" if state == "blank" else ""
            parts.append(f"{len(minions)} {words.get(state, state)}{names}{run}")
    return ", ".join(parts)


def _names(minions):
    return ", ".join(minions[:MANY_NAMES]) + (f" and {len(minions) - MANY_NAMES} more" if minions[MANY_NAMES:] else "")


def _why(minion, answers):
    answer = answers[minion]
    if not _is_conditions(answer):
        return str(answer)
    name, each = next(each for each in answer.items() if STATES.get(each[1]["state"], "broken") == "broken")
    return f"{name}: {each['evidence']}"


def _table(branch):
    gateway, name = branch["gateway"], branch["name"]
    top = {"lines": [gateway["host"], gateway["public"]], "ids": [f"{gateway['host']}.{name}"]}
    rows = [[top], *([_host(name, host), _vm(each["vm"])] for host, each in branch["hosts"].items())]
    return {"id": f"branch {name}", "title": f"{name}  {branch['cidr']}", "rows": rows}


def _host(branch, host):
    return {"lines": [host], "ids": [f"{host}.{branch}"]}


def _vm(vm):
    return {"lines": [vm["name"], vm["ip"]], "ids": []}


def _many(branches):
    cells = [_cell(each) for each in branches]
    rows = __salt__["estate_graph.grid"](cells, max(8, round((len(cells) * 1.4) ** 0.5)))
    hosts = sum(len(each["hosts"]) for each in branches)
    return {"id": "branches", "title": f"{len(cells)} branches, {hosts} hosts", "rows": rows}


def _cell(branch):
    hosts = len(branch["hosts"])
    lines = [branch["name"], branch["cidr"], f"{hosts} host{'s' * (hosts != 1)}"]
    return {"lines": lines, "ids": [f"branch {branch['name']}"]}
