"""
What every state does in the same way: plan, act and check again; and how its return says it.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from salt.exceptions import CommandExecutionError, SaltInvocationError

# One thing to do: ``do`` (a verb of PAST), ``what`` (the object), ``old``, ``new``, and whatever its ``act`` needs.
Step = dict[str, Any]
# What is wrong with one value: ``path`` (its place: openstack:projects:tellers:vlan), ``fault``, ``remedy``.
Fault = dict[str, str]

PAST = {
    "initiate": "initiated",
    "create": "created",
    "add": "added",
    "change": "changed",
    "set": "set",
    "remove": "removed",
    "step down": "stepped down",
    "shard": "sharded",
    "write": "written",
    "load": "loaded",
    "delete": "deleted",
    "confirm": "confirmed",
    "tag": "tagged",
    "attach": "attached",
    "detach": "detached",
    "start": "started",
    "stop": "stopped",
    "restart": "restarted",
    "clone": "cloned",
    "seal": "sealed",
    "destroy": "destroyed",
    "accept": "accepted",
    "withdraw": "withdrawn",
}
# More steps of a kind than these are counted in a comment; their names stand in the changes.
MANY = 8


def converge(
    name: str,
    read: Callable[[], Any],
    plan: Callable[[Any], list[Step]],
    act: Callable[[Step], Any],
    fact: Callable[[Any], str],
    test: bool = False,
) -> dict[str, Any]:
    """
    Bring one object of the world to its wanted state and answer with a state's return.

    Reads, plans, acts and reads again. What is still planned after acting is a failure that names it; an error keeps
    the changes that were done before it and says what is left. Called by the states of the bundle; the arguments are
    functions.

    name
        The state's ``name``.
    read
        Function without arguments; answers what is there.
    plan
        Function of what ``read`` answered; the list of steps, each a mapping with ``do`` (a verb, see ``PAST``),
        ``what`` (the object), ``old``, ``new``, and whatever ``act`` needs. An empty list: nothing to do.
    act
        Function of one step; executes it, and raises an error of Salt's or of the system's when it cannot.
    fact
        Function of what ``read`` answered; the sentence that explains why there is nothing to do.
    test
        Show the steps and execute none. Default ``False``.

    Returns:
        ``name``, ``result``, ``changes`` (``{object: {old, new}}``) and ``comment``.
    """
    ret: dict[str, Any] = {"name": name, "result": False, "changes": {}, "comment": ""}
    steps: list[Step] = []
    done: list[Step] = []
    try:
        observed = read()
        steps = plan(observed)
        if not steps:
            return dict(ret, result=True, comment=fact(observed))
        if test:
            return dict(ret, result=None, changes=changes(steps), comment=_sentence("would ", steps, observed))
        for step in steps:
            act(step)
            done.append(step)
        left = plan(read())
    except (CommandExecutionError, SaltInvocationError, OSError) as err:
        return dict(ret, changes=changes(done), comment=_failure(err, done, steps))
    if left:
        return dict(ret, changes=changes(done), comment="Still to do after acting: " + _phrases("", left))
    return dict(ret, result=True, changes=changes(done), comment=_sentence("", done))


def changes(steps: list[Step]) -> dict[str, dict[str, Any]]:
    """
    The ``changes`` of a state's return for a list of steps: the same for a dry run and a real one.

    steps
        Steps as ``converge`` takes them. Several for one object become one change, from the first ``old`` to the last
        ``new``.
    """
    merged: dict[str, dict[str, Any]] = {}
    for step in steps:
        old = merged.get(step["what"], step)["old"]
        merged[step["what"]] = {"old": old, "new": step["new"]}
    return _sayable(merged)


def refuse(name: str, what: str, faults: list[Fault]) -> dict[str, Any]:
    """
    The return of a state whose arguments cannot be right: all their faults, a line each; nothing was read or changed.

    name
        The state's ``name``.
    what
        The object that the state is about, for the message: ``replica set s1``.
    faults
        List of mappings with ``path`` (the argument and the place in it), ``fault`` and ``remedy``.
    """
    what = what[0].upper() + what[1:]
    said = [filter(None, [what, each["path"], f"{each['fault']}; {each['remedy']}"]) for each in faults]
    return {"name": name, "result": False, "changes": {}, "comment": "\n".join(map(": ".join, said))}


def _phrases(prefix: str, steps: list[Step]) -> str:
    verb = (lambda step: step["do"]) if prefix else (lambda step: PAST.get(step["do"], step["do"]))
    return ", ".join(f"{prefix}{verb(step)} {what}" for step, what in _counted(steps))


def _counted(steps: list[Step]) -> Iterator[tuple[Step, str]]:
    """Step and object, or the number of objects where one verb meets many of a kind (the first word of ``what``)."""
    for (_, kind), group in itertools.groupby(steps, lambda step: (step["do"], step["what"].split()[0])):
        alike = list(group)
        if len(alike) > MANY:
            yield alike[0], f"{len(alike)} {kind}s"
        else:
            yield from ((step, step["what"]) for step in alike)


def _sentence(prefix: str, steps: list[Step], observed: Any = None) -> str:
    """What is said of the steps; a dry run adds what it had to assume of a world that it could not see."""
    text = _phrases(prefix, steps)
    assumed = isinstance(observed, dict) and observed.get("assumed")
    return text[0].upper() + text[1:] + (f" ({assumed})" if assumed else "")


def _sayable(value: Any) -> Any:
    """Bytes of a file that are no UTF-8 are question marks: what a minion returns must be text."""
    if isinstance(value, dict):
        return {_sayable(key): _sayable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sayable(each) for each in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _failure(err: Exception, done: list[Step], steps: list[Step]) -> str:
    parts = [str(err)]
    if done:
        parts.append("Done before: " + _phrases("", done))
    if steps[len(done) :]:
        parts.append("Left to do: " + ", ".join(f"{step['do']} {what}" for step, what in _counted(steps[len(done) :])))
    return ". ".join(part.rstrip(".") for part in parts) + "."
