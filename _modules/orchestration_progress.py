"""
How far an orchestration is: what the master's events tell, one after another.

.. versionadded:: 0.1.0

A progress is a mapping that :py:func:`begin` makes, :py:func:`take` changes by each event and :py:func:`running`
describes. Nothing here listens; the runner ``onepass`` does, and for a run that began before, it tells what the job
cache holds as if it came in now::

    salt-call --local -m . orchestration_progress.begin 20261124152928023148

Seconds are those since the orchestration's beginning.
"""

__virtualname__ = "orchestration_progress"

WAIT_TAG = "onepass/wait"
GATED, LONGEST = "One or more requisite failed", 200


def __virtual__():
    return __virtualname__


def begin(jid, phases=(), expected=None):
    """
    The progress of an orchestration of which nothing is known yet.

    jid
        The orchestration's job id.
    phases
        List of mappings in the order of the orchestration: ``name`` and ``needs``, the phases that have to end before.
    expected
        Phase to seconds, from an earlier run; ``""`` for the whole. Default: nothing is known.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_progress.begin 20261124152928023148

    .. versionadded:: 0.1.0
    """
    needs = {phase["name"]: phase["needs"] for phase in phases}
    return {"jid": str(jid), "needs": needs, "expected": expected or {}, "begun": {}, "waits": {}, "ended": False}


def take(progress, tag, data, now):
    """
    Let one event of the master's bus change the progress, and answer the lines that are worth saying.

    progress
        What :py:func:`begin` made.
    tag, data
        The event.
    now
        Seconds since the beginning.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc orchestration_progress.take

    .. versionadded:: 0.1.0
    """
    own = f"salt/run/{progress['jid']}/"
    if tag == f"{own}args":
        return _phase_ends(progress, data["name"], now) if data.get("ends") else _phase_begins(progress, data, now)
    if tag == f"{own}ret":
        progress["ended"] = True
        return []
    if tag == WAIT_TAG:
        _host_waits(progress, data.get("id"), data.get("data") or {})
    elif tag.startswith("salt/job/") and "/ret/" in tag:
        return _host_returns(progress, data, now)
    return []


def running(progress, now, lines=8):
    """
    What goes on: each running phase with its hosts and time, and under it who waits for what.

    progress
        What :py:func:`begin` made.
    now
        Seconds since the beginning.
    lines
        How many lines at most. Default 8.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc orchestration_progress.running

    .. versionadded:: 0.1.0
    """
    phases = [(name, each) for name, each in progress["begun"].items() if each["ended"] is None]
    if not phases or progress["ended"]:
        return []
    found = [line for name, phase in phases for line in _described(progress, name, phase, now)]
    left = found[lines - 1 :]
    shown = found if len(left) < 2 else [*found[: lines - 1], f"  and {len(left)} lines more"]
    return [*shown, _whole(progress, now)]


def _phase_begins(progress, data, now):
    name, hosts = data["name"], data.get("tgt") if isinstance(data.get("tgt"), list) else []
    said = [line for need in progress["needs"].get(name, ()) for line in _phase_ends(progress, need, now)]
    arguments = (data.get("args") or {}).get("arg") or [None]
    phase = {"waiting": set(hosts), "hosts": len(hosts), "sls": arguments[0], "since": now, "ended": None}
    progress["begun"][name] = phase
    parts = [_count(len(hosts))] * bool(hosts) + [f"about {_seconds(each)}" for each in _expected(progress, name)]
    return [*said, f"{name}: {', '.join(parts)}" if parts else name]


def _phase_ends(progress, name, now):
    phase = progress["begun"].get(name)
    if not phase or phase["ended"] is not None:
        return []
    phase["ended"] = now
    silent = f"; no answer from {_names(phase['waiting'])}" if phase["waiting"] else ""
    return [f"{name}: ended after {_seconds(now - phase['since'])}{silent}"]


def _host_waits(progress, host, wait):
    progress["waits"].pop(host, None)
    if wait.get("what"):
        progress["waits"][host] = f"{wait['what']}; last seen: {wait.get('seen')}"


def _host_returns(progress, data, now):
    """A return belongs to the phase that has that host and applies those SLS."""
    sls = (data.get("fun_args") or [None])[0]
    for name, phase in progress["begun"].items():
        if str(data.get("fun")).startswith("state.") and data["id"] in phase["waiting"] and phase["sls"] == sls:
            phase["waiting"].discard(data["id"])
            progress["waits"].pop(data["id"], None)
            failed = [f"{name}: {data['id']} failed: {why}" for why in _failure(data.get("return"))]
            return failed + ([] if phase["waiting"] else _phase_ends(progress, name, now))
    return []


def _failure(returned):
    """The first line of what failed first in a host's return of states, in a list; a return may have any form."""
    states = returned.values() if isinstance(returned, dict) else ()
    failed = [each for each in states if isinstance(each, dict) and each.get("result") is False]
    failed = [each for each in failed if isinstance(each.get("comment"), str) and GATED not in each["comment"]]
    in_turn = sorted(failed, key=lambda each: each["__run_num__"] if isinstance(each.get("__run_num__"), int) else 0)
    if in_turn:
        return [_short(in_turn[0]["comment"])]
    return [_short(returned)] if isinstance(returned, str) else []


def _short(text):
    line = text.strip().partition("\n")[0]
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."


def _described(progress, name, phase, now):
    time = _of_about(now - phase["since"], _expected(progress, name))
    hosts = f"{phase['hosts'] - len(phase['waiting'])} of {_count(phase['hosts'])}, " if phase["hosts"] else ""
    yield f"{name}: {hosts}{time}"
    waits = {}
    for host in sorted(phase["waiting"]):
        waits.setdefault(progress["waits"].get(host, ""), []).append(host)
    for wait, hosts in sorted(waits.items(), reverse=True):
        yield (
            f"  {_names(hosts)} {'wait' if len(hosts) > 1 else 'waits'} for {wait}"
            if wait
            else (f"  {_names(hosts)} at work")
        )


def _whole(progress, now):
    needed = {need for name in progress["begun"] for need in progress["needs"].get(name, ())}
    ahead = [name for name in progress["needs"] if name not in progress["begun"] and name not in needed]
    then = f"; then {_names(ahead, 3, in_order=True)}" if ahead else ""
    return _of_about(now, _expected(progress, "")) + then


def _expected(progress, name):
    return [progress["expected"][name]] if progress["expected"].get(name) else []


def _of_about(seconds, expected):
    """An expectation that the world has passed by twice says nothing any more."""
    return " of about ".join(map(_seconds, [seconds, *(each for each in expected if seconds <= 2 * each)]))


def _seconds(seconds):
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _count(hosts):
    return f"{hosts} host{'s' * (hosts != 1)}"


def _names(names, most=6, in_order=False):
    names = list(names) if in_order else sorted(names)
    return ", ".join(names if len(names) <= most + 1 else [*names[:most], f"{len(names) - most} more"])
