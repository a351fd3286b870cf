"""
What an orchestration's return says: its phases, what it would change, and the first causes of its failures.

.. versionadded:: 0.1.0

All functions take the steps of an orchestration as ``state.orchestrate`` returns them for the master, and ask nothing
of the world. The runner ``onepass`` gets the steps from a run or from the master's job cache::

    salt-call --local -m . orchestration.summary '{}'

A plain job of minions (``salt '*' state.highstate``) is read as an orchestration of one step.
"""

import hashlib
import json
import re

__virtualname__ = "orchestration"

GATED = "One or more requisite failed"
WAIT = "Would wait for"
WAITED = re.compile(r"Waited [\d.]+ s for (?P<wanted>.+?); last seen: (?P<seen>.*)", re.DOTALL)
BRINGS = ", which brings the members into "  # of mongo_replset.member_ready
DAY = 86400
LETTERS = str.maketrans("0123456789", "ghijklmnop")
ASSUMED = re.compile(r"\((?P<assumed>(if|before) [^()]*(\([^()]*\)[^()]*)*)\)$")


def __virtual__():
    return __virtualname__


def summary(steps, test=False):
    """
    An orchestration's result in short, with what failed apart from what was not begun and from what went on.

    steps
        The states of the master in an orchestration's return.
    test
        It was a dry run: what is counted are the changes that it would make. Default ``False``.

    Returns:
        ``phases`` (list of mappings: ``phase``, ``result``, ``seconds``, ``changes``, ``comment``), ``changes`` (how
        many, counted as :py:func:`orchestration_changes.rows` does) and the names of the phases that ``failed``, were
        ``not begun`` because a gate before them failed, and are ``done``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration.summary '{}'

    .. versionadded:: 0.1.0
    """
    phases = [_phase(step, test) for step in _ordered(steps)]
    by_result = {kind: [each["phase"] for each in phases if each["result"] == kind] for kind in RESULTS}
    return {"phases": phases, "changes": sum(each["changes"] for each in phases), **by_result}


def plan(steps):
    """
    What a dry run would change, one row per host and change, with a hash over all of them.

    The hash is one over phases, hosts, states and changes; times and the order of answers are left out. A dry run
    looks at the world as it is before the run: what a phase would find after the one before it, it can only assume.

    steps
        The states of the master in the return of an orchestration with ``test=True``.

    Returns:
        ``hash``, ``rows`` (list of mappings: ``phase``, ``host``, ``state``, and what
        :py:func:`orchestration_changes.rows` has of a change), ``done`` (rows of what was done in spite of the dry run,
        such as bringing modules) and ``unknown`` (what it cannot know: ``phase``, ``host``, ``state``, ``change``).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration.plan '{}'

    .. versionadded:: 0.1.0
    """
    found = [each for step in _ordered(steps) for each in _looked_at(step)]
    rows = [row for phase, host, state in found if state["result"] is None for row in _rows(phase, host, state)]
    done = [row for phase, host, state in found if state["result"] is True for row in _rows(phase, host, state)]
    parts = ("phase", "host", "state", "change")
    unknown = dict.fromkeys((step["__id__"], *each) for step in _ordered(steps) for each in _unknown(step))
    unknown = [dict(zip(parts, each, strict=True)) for each in unknown]
    return {"hash": _hash(rows), "rows": rows, "done": done, "unknown": unknown}


def causes(steps, restarted=False):
    """
    The first cause of failure on each host, hosts that fail alike together.

    A state that only waited for one that failed is no cause. In each phase what waited for another host comes after
    that one's own failure. Two causes are alike when they differ in nothing but the
    host's name.

    steps
        The states of the master in an orchestration's return.
    restarted
        The master was restarted meanwhile, so that a host without an answer may well have given one. Default ``False``.

    Returns:
        List of mappings: ``phase``, ``hosts`` (none for a step of the master), ``state`` (its id), ``function``,
        ``wanted``, ``seen``, ``next``, and ``tolerated`` (the phase allows as many failures).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration.causes '{}'

    .. versionadded:: 0.1.0
    """
    groups = {}
    for step in _ordered(steps):
        for host, cause in _first_causes(step).items():
            cause = _unheard(cause) if restarted and cause["seen"] == _returned(None) else cause
            key = (step["__id__"], *(_without(host, cause[part]) for part in ("state", "wanted", "seen")))
            tolerated = step["result"] is not False
            group = groups.setdefault(key, {"phase": step["__id__"], "hosts": [], **cause, "tolerated": tolerated})
            group["hosts"] += [host] if host else []
    return [{**group, "next": group.get("next") or _next(group)} for group in _causes_first(groups.values())]


def job(function, answers):
    """
    A job of minions as the one step of an orchestration, for the other functions here.

    function
        The job's function: ``state.highstate``.
    answers
        Minion to what it returned.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration.job state.highstate '{}'

    .. versionadded:: 0.1.0
    """
    step = {"__id__": function, "__run_num__": 0, "duration": 0, "comment": "", "changes": {"ret": answers}}
    return {function: {**step, "result": not _first_causes({**step, "result": True})}}


def span(steps):
    """
    How many seconds lie between the beginning of the first step and the end of the last one.

    steps
        The states of the master in an orchestration's return.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration.span '{}'

    .. versionadded:: 0.1.0
    """
    begun = [(_seconds(step["start_time"]), step["duration"] / 1000) for step in steps.values() if "start_time" in step]
    # Steps side by side are told in any order, and a run may go past midnight.
    since = [((at - begun[0][0] + DAY / 2) % DAY - DAY / 2, seconds) for at, seconds in begun] or [(0, 0)]
    return round(max(at + seconds for at, seconds in since) - min(at for at, _ in since), 1)


# Steps, hosts and their states

RESULTS = ("failed", "not begun", "done")


def _ordered(steps):
    """In the order of running; those of one file together, for files that run side by side."""
    in_turn = sorted(steps.values(), key=lambda step: step["__run_num__"])
    files = list(dict.fromkeys(step.get("__sls__") for step in in_turn))
    return sorted(in_turn, key=lambda step: files.index(step.get("__sls__")))


def _seconds(time):
    """Seconds of a day from a state's ``start_time``."""
    hours, minutes, seconds = time.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _phase(step, test):
    return {
        "phase": step["__id__"],
        "result": _result(step),
        "seconds": round(step.get("duration", 0) / 1000, 1),
        "changes": _changes(step, test),
        "comment": step["comment"],
    }


def _result(step):
    if step["result"] is not False:
        return "done"
    return "not begun" if _is_gated(step) else "failed"


def _is_gated(state):
    return str(state.get("comment", "")).startswith(GATED)


def _changes(step, test):
    """How many changes were made on minions or on the master; of a dry run, how many would be."""
    return sum(
        len(_rows(phase, host, state))
        for phase, host, state in _looked_at(step)
        if (state["result"] is None if test else bool(state["changes"]))
    )


def _states(step):
    """Host and state for each state that ran on a minion, each with its ``function``, in the order of running."""
    for host, states in sorted(step["changes"].get("ret", {}).items()):
        for tag, state in sorted(_mappings(states), key=lambda each: each[1].get("__run_num__", 0)):
            parts = tag.split("_|-")
            yield host, {**state, "function": f"{parts[0]}.{parts[-1]}" if len(parts) == 4 else ""}


def _mappings(states):
    return [(tag, each) for tag, each in _items(states) if isinstance(each, dict) and "changes" in each]


def _items(states):
    return states.items() if isinstance(states, dict) else ()


# A plan


def _looked_at(step):
    """Phase, host and state for all that a step looked at; one of the master's own is its state itself."""
    if "ret" in step["changes"]:
        return [(step["__id__"], host, state) for host, state in _states(step)]
    return [(step["__id__"], "", step)] if step["changes"] else []


def _rows(phase, host, state):
    named = {"phase": phase, "host": host, "state": state.get("__id__") or phase}
    return [{**named, **row} for row in __salt__["orchestration_changes.rows"](state)]


def _hash(rows):
    """Letters only: a command line would read some hashes with digits as numbers."""
    parts = ("phase", "host", "state", "object", "change")
    told = [[*(row[part] for part in parts), json.dumps([row["old"], row["new"]], sort_keys=True)] for row in rows]
    lines = sorted("\0".join(row) for row in told)
    return hashlib.sha256("\1".join(lines).encode()).hexdigest()[:12].translate(LETTERS)


def _unknown(step):
    """What a dry run of this step could not see, of each host and state, in words."""
    states = list(_states(step))
    if _is_gated(step):
        yield "", "", "not looked at, since a phase before it failed"
    elif step["result"] is None and not step["changes"]:
        yield "", "", step["comment"] or "not looked at"
    for host, answer in sorted(step["changes"].get("ret", {}).items()):
        if not isinstance(answer, dict):
            yield host, "", f"did not look: {_returned(answer)}"
    for host, state in states:
        comment, name = str(state.get("comment", "")), str(state.get("__id__"))
        assumed = ASSUMED.search(comment)
        if state["result"] is None and comment.startswith(WAIT):
            yield host, name, f"w{comment.partition('; now:')[0][1:]}"
        elif state["result"] is None and assumed:
            yield host, name, f"{name}, {assumed['assumed']}"


# Causes


def _first_causes(step):
    """Host to the cause why it failed; ``""`` for a step that failed by itself."""
    found = {}
    for host, state in _states(step):
        if state["result"] is False and not _is_gated(state) and host not in found:
            found[host] = _cause(state)
    for host, answer in sorted(step["changes"].get("ret", {}).items()):
        if not isinstance(answer, dict):
            found[host] = {"state": "", "sls": "", "function": "", "wanted": "an answer", "seen": _returned(answer)}
    if not found and step["result"] is False and not _is_gated(step):
        found[""] = _cause({**step, "function": "", "sls": ""})
    return found


def _causes_first(groups):
    """In the order of the phases, and in each those that waited for others after these."""
    phases = list(dict.fromkeys(group["phase"] for group in groups))
    return sorted(groups, key=lambda group: (phases.index(group["phase"]), _is_consequence(group)))


def _is_consequence(group):
    """Whether it waited for what another host was to bring, or was told that this will not."""
    waited = group["function"] and not group["wanted"].startswith(group["function"])
    return bool(waited) or BRINGS in group["seen"]


def _cause(state):
    comment = state.get("comment", "")
    waited = WAITED.search(comment) if isinstance(comment, str) else None
    does = f"{state['function']} {state.get('name') or state.get('__id__')}".strip()
    return {
        "state": state.get("__id__", ""),
        "sls": state.get("__sls__", ""),
        "function": state["function"],
        "wanted": waited["wanted"] if waited else does,
        "seen": waited["seen"] if waited else _lines(comment),
    }


def _unheard(cause):
    return {**cause, "seen": _lost(), "next": "run again; what is done has nothing to do"}


def _lost():
    return "no answer; the master was restarted during the run, and what hosts answered meanwhile did not reach it"


def _lines(comment):
    return "\n".join(map(str, comment)) if isinstance(comment, list) else str(comment).strip()


def _returned(answer):
    if answer is False or answer is None:
        return "no answer; the minion is off, cut off, or busy"
    return "; ".join(map(str, answer)) if isinstance(answer, (list, tuple)) else str(answer)


def _without(host, text):
    """A text in which a host's name, whole or short, is a blank."""
    for name in [name for name in (host, host.partition(".")[0]) if name]:
        text = re.sub(rf"\b{re.escape(name)}\b", "{host}", text)
    return text


def _next(group):
    target = f"-L {','.join(group['hosts'][:3])}" if len(group["hosts"]) > 1 else "".join(group["hosts"])
    if group["hosts"] and not group["state"]:
        return f"salt {target} test.ping; when it answers, run again"
    if not group["hosts"] or not group["sls"]:
        return "mend that, then run again"
    return f"salt {target} state.sls_id {group['state']} {group['sls']} test=True; when that is well, run again"
