"""
What every Onepass state does in the same way: plan, act and check again; wait for a named condition.

.. versionadded:: 0.1.0

A state hands in three functions and gets its return back, so that a dry run shows the steps that a real run executes::

    salt-call --local -m . sys.doc onepass
"""

import contextlib
import hashlib
import time
from pathlib import Path

import onepass_lib
import salt.utils.event
import salt.utils.hashutils
from salt.exceptions import CommandExecutionError

onepass_lib.look(__file__)

import onepass_lib.core.plain
import onepass_lib.core.steps

__virtualname__ = "onepass"

# After these seconds a wait tells the master of itself; again after 5 times, 25 times..., when something else is seen.
TELL_SECONDS = 2


def __virtual__():
    return __virtualname__


def converge(name, read, plan, act, fact, test=False):
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

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc onepass.converge

    .. versionadded:: 0.1.0
    """
    return onepass_lib.core.steps.converge(name, read, plan, act, fact, test)


def changes(steps):
    """
    The ``changes`` of a state's return for a list of steps: the same for a dry run and a real one.

    steps
        Steps as ``converge`` takes them. Several for one object become one change, from the first ``old`` to the last
        ``new``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass.changes "[{do: add, what: shard s1, old: null, new: s1/s1a.dc:27017}]"

    .. versionadded:: 0.1.0
    """
    return onepass_lib.core.steps.changes(steps)


def refuse(name, what, faults):
    """
    The return of a state whose arguments cannot be right: all their faults, a line each; nothing was read or changed.

    name
        The state's ``name``.
    what
        The object that the state is about, for the message: ``replica set s1``.
    faults
        List of mappings with ``path`` (the argument and the place in it), ``fault`` and ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass.refuse s1 'replica set s1' '[{path: members, fault: is 5, remedy: a list}]'

    .. versionadded:: 0.1.0
    """
    return onepass_lib.core.steps.refuse(name, what, faults)


def wait(condition, what, timeout, interval=0.1, retry=()):
    """
    Wait until a condition holds, and answer its value; the one place of the bundle that sleeps.

    condition
        Function without arguments that answers ``(value, seen)``: a true value ends the wait, ``seen`` is the text of
        what the world looked like.
    what
        The condition's name, for the error: ``a writable primary of s1``.
    timeout
        Seconds until the error; ``0`` looks once.
    interval
        Seconds between two looks at first, later a tenth of the time waited, up to one second. Default ``0.1``.
    retry
        Error codes (an error's attribute ``code``) that mean "not yet"; any other error ends the wait. Default none.

    A wait of a minion's job that is not short tells the master's bus (``onepass/wait``), for who follows the run.

    Raises ``CommandExecutionError`` that says what was waited for, how long, and what was seen last.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc onepass.wait

    .. versionadded:: 0.1.0
    """
    started, told = time.monotonic(), []
    while True:
        try:
            value, seen = condition()
        except CommandExecutionError as err:
            if getattr(err, "code", None) not in retry:
                raise
            value, seen = None, str(err)
        waited = time.monotonic() - started
        if value or waited >= timeout:
            break
        if waited > TELL_SECONDS * 5 ** len(told) and seen not in told:
            _tell(what, seen)
            told.append(seen)
        time.sleep(min(max(interval, waited / 10), 1.0, timeout - waited))
    if told:
        _tell(None, None)
    if value:
        return value
    raise CommandExecutionError(f"Waited {timeout} s for {what}; last seen: {seen}")


def gate(name, condition, what, timeout, test=False, retry=()):
    """
    The return of a state that waits for a condition and changes nothing. A dry run looks once and says what it would
    wait for.

    name
        The state's ``name``.
    condition, what, timeout, retry
        As for :py:func:`wait`.
    test
        Look once. Default ``False``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc onepass.gate

    .. versionadded:: 0.1.0
    """
    ret = {"name": name, "result": True, "changes": {}, "comment": f"No need to wait any longer for {what}"}
    try:
        wait(condition, what, 0 if test else timeout, retry=retry)
    except CommandExecutionError as err:
        if test and not getattr(err, "argument", False):
            return dict(ret, result=None, comment=f"Would wait for {what}; now: {err}")
        return dict(ret, result=False, comment=str(err))
    return ret


@contextlib.contextmanager
def step(name, jid):
    """
    A context in which a state of the master is at work; who follows the orchestration is told its begin and its end.

    name
        The state's ``name``.
    jid
        The orchestration's job id, a state module's ``__orchestration_jid__``; ``None``: there is none, nobody is told.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc onepass.step

    .. versionadded:: 0.1.0
    """
    try:
        if jid:
            salt.utils.event.fire_args(__opts__, jid, {"name": name}, "run")
        yield
    finally:
        if jid:
            salt.utils.event.fire_args(__opts__, jid, {"name": name, "ends": True}, "run")


def given(area, pillar=None):
    """
    An area's pillar in plain types; those of Salt 3008's own pillar do not show what they hold.

    area
        The pillar's key: ``mongodb``.
    pillar
        A value to take instead. Default: this minion's, ``None`` when there is none.

    CLI Example:

    .. code-block:: bash

        salt-call onepass.given branches

    .. versionadded:: 0.1.0
    """
    # Not pillar.get: in Salt 3008 it may answer masked values.
    return plain(__pillar__.get(area) if pillar is None else pillar)


def plain(value):
    """
    A value in plain types. What is too deep, too large, in a circle, or one of too many is no value: the form of a
    pillar refuses it.

    value
        Any value.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass.plain '{a: [1]}'

    .. versionadded:: 0.1.0
    """
    return onepass_lib.core.plain.plain(value)


def quoted(value):
    """
    A value as it stands in an SLS file, on one line: YAML reads it back as it was, whatever characters are in it. Half
    of a character, a surrogate by itself, is none to YAML: it becomes U+FFFD.

    value
        Text, number, list, mapping, true, false or null. What YAML alone knows, such as a date, is written as text.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass.quoted '{name: "mongodb-user-x: y"}'

    .. versionadded:: 0.1.0
    """
    return onepass_lib.core.plain.quoted(value)


def fingerprint():
    """
    The bundle's modules and states that this minion runs, as one number to compare with what the master has.

    They are those that it has fetched, with whatever else it has fetched; where none of the bundle is among these,
    those that pip installed.

    Returns:
        The SHA-256 of their paths and contents.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass.fingerprint

    .. versionadded:: 0.1.0
    """
    home = Path(__file__).parents[1]
    files = {
        f"{kind}/{path.relative_to(folder)}": salt.utils.hashutils.get_hash(str(path), __opts__["hash_type"])
        for kind in ("modules", "states")
        for folder in (home / kind, home / f"_{kind}")
        for path in folder.rglob("*.py")
    }
    return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()


def solution(message):
    """
    What a message of the bundle means, and what to do, where there is no master: as ``salt-run onepass.solution``.

    message
        The message, or any text with it inside.

    Returns:
        As :py:func:`onepass_solution.find`, of the explanation that fits best.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass.solution 'virtual1 is not sealed; libvirt_clone.seal virtual1'

    .. versionadded:: 0.1.0
    """
    return __salt__["onepass_solution.find"](message)[0]


def _tell(what, seen):
    """Through the minion's own connection, which takes no time; salt-call has none."""
    if __opts__.get("__cli") != "salt-call" and __opts__.get("file_client") != "local":
        __salt__["event.fire_master"]({"what": what, "seen": seen}, "onepass/wait")
