"""
Whether a run may begin: nobody else's of the same areas goes on, and the world is still as it was planned for.

.. versionadded:: 0.1.0

A run concerns the areas that its steps ``onepass.checked`` check, so an orchestration of one's own that includes
``orchestrate.mongodb`` concerns ``mongodb``. Dry runs are in nobody's way::

    salt-run onepass_begin.others orchestrate.mongodb
"""

import sys
import time

import salt.exceptions
import salt.loader
from salt.exceptions import CommandExecutionError

AREAS = ("mongodb", "openstack", "branches")
HOUR, LOOK_SECONDS = 3600, 1


class Refusal(CommandExecutionError, salt.exceptions.NotImplemented):
    """A runner's error that Salt shows as it is; of any other it shows a traceback first."""


def __virtual__():
    return "onepass_begin"


def others(name: str | None = None, areas: list | None = None, family: str | None = None) -> list:
    """
    The runs of some areas that go on, the newest first.

    name
        An orchestration, whose areas these are. Default: ``areas`` says which.
    areas
        Areas of the pillar. Default: all.
    family
        Only those that began before this orchestration, a job id, and are no part of it. Default: all.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_begin.others
        salt-run onepass_begin.others orchestrate.mongodb

    .. versionadded:: 0.1.0
    """
    runs = [job for job in __salt__["onepass_jobs.running"]() if not job["test"]]
    runs = [job for job in runs if not family or job["family"] < str(family)]
    wanted = set(areas_of(name) if name and runs else areas or AREAS)
    return [job for job in runs if wanted & set(areas_of(job["name"]))]


def areas_of(name: str) -> list:
    """
    The areas that an orchestration concerns.

    name
        The orchestration: ``orchestrate.site``.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_begin.areas_of orchestrate.site

    .. versionadded:: 0.1.0
    """
    known = __context__.setdefault("onepass_begin.areas", {})
    if name not in known:
        chunks = [chunk for chunk in _execution_modules()["state.show_low_sls"](name) if isinstance(chunk, dict)]
        steps = [chunk for chunk in chunks if (chunk["state"], chunk["fun"]) == ("onepass", "checked")]
        named = {area for step in steps for area in step.get("areas") or AREAS}
        known[name] = [area for area in AREAS if area in named]
    return known[name]


def refuse(name: str | None = None, areas: list | None = None, family: str | None = None, hint: str = "") -> None:
    """
    No run of these areas goes on; else this is an error that tells since when, by whom, and how to follow it.

    name, areas, family
        See :py:func:`others`.
    hint
        How to begin all the same. Default: nothing is said of that.

    Raises ``CommandExecutionError``.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_begin.refuse orchestrate.mongodb

    .. versionadded:: 0.1.0
    """
    for job in others(name, areas, family)[:1]:
        follow = f"  follow it:\n  salt-run onepass.watch {job['jid']}"
        raise Refusal(f"{since(job)};\nnothing was begun beside it\n{follow}{hint}")


def enter(job: dict, areas: list | None = None, beside: bool = False, hint: str = "") -> None:
    """
    An orchestration is at its first step: others are told that it runs, and it ends here beside one that began before.

    job
        ``jid``, ``name``, ``pid``, ``user`` and ``test``, see :py:func:`onepass_running.mark`.
    areas
        Areas of the pillar that it concerns. Default: all.
    beside
        It goes on beside another one; a dry run does always. Default ``False``.
    hint
        See :py:func:`refuse`.

    Raises ``CommandExecutionError``.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_begin.enter '{jid: "20261128163803855314", name: x, pid: 1, user: root, test: true}'

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_running.mark"](**job)
    if not job["test"] and not beside:
        refuse(None, areas, job["jid"], hint)


def wait(name: str, seconds: int = HOUR) -> None:
    """
    The runs of an orchestration's areas that went on have ended.

    name
        The orchestration.
    seconds
        How long they are waited for. Default 3600.

    Raises ``CommandExecutionError`` when the time is up, and on Ctrl-C.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_begin.wait orchestrate.mongodb 60

    .. versionadded:: 0.1.0
    """
    told, deadline = None, time.monotonic() + seconds
    while found := others(name):
        if time.monotonic() > deadline:
            raise Refusal(f"{since(found[0])}, still after {seconds} s of waiting for its end: nothing was begun")
        if found[0]["jid"] != told:
            print(f"{since(found[0])}; waiting for its end (job {found[0]['jid']})", file=sys.stderr, flush=True)
            told = found[0]["jid"]
        try:
            time.sleep(LOOK_SECONDS)
        except (KeyboardInterrupt, SystemExit):
            raise Refusal(f"Stopped while waiting for the end of job {told}: nothing was begun") from None


def as_planned(name: str, plan: str, every: int = 10, width: int = 120) -> None:
    """
    A dry run would change what a plan says; else this is an error that tells what has moved.

    name
        The orchestration.
    plan
        The plan's hash.
    every
        Seconds between two lines on what goes on, where no terminal is. Default 10.
    width
        Columns of the terminal. Default 120.

    Raises ``CommandExecutionError``, and for what :py:func:`onepass_jobs.run` raises it.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_begin.as_planned orchestrate.site cghpidgnajbl

    .. versionadded:: 0.1.0
    """
    modules, job = _execution_modules(), __salt__["onepass_jobs.run"](name, test=True, every=every, compares=True)
    found = modules["orchestration.plan"](job["steps"])
    if found["hash"] == plan:
        return
    earlier = __salt__["onepass_jobs.list"](name, test=True)
    dry = (modules["orchestration.plan"](each["steps"]) for each in earlier)
    old = next((each["rows"] for each in dry if each["hash"] == plan), None)
    lines = modules["orchestration_text.moved"](old, found["rows"], width)
    head = f"The world has moved: {name} would change other things now (plan {found['hash']}), nothing was run"
    raise Refusal("\n".join([head, *lines, f"To see all of it: salt-run onepass.plan {name}"]))


def since(job: dict) -> str:
    """
    That a run goes on, since when, and who began it.

    job
        A job of the runner ``onepass_jobs``.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_begin.since '{jid: "20261128163803855314", name: orchestrate.site, user: root}'

    .. versionadded:: 0.1.0
    """
    jid = job["jid"]
    day = f"{jid[:4]}-{jid[4:6]}-{jid[6:8]} " if jid[:8] != time.strftime("%Y%m%d") else ""
    who = f", by {user}" if (user := (job.get("user") or "UNKNOWN").removeprefix("sudo_")) != "UNKNOWN" else ""
    return f"{job['name']} is going on since {day}{jid[8:10]}:{jid[10:12]}:{jid[12:14]}{who}"


def _execution_modules():
    if "onepass_begin" not in __context__:
        opts = {**__opts__, "file_client": "local", "enable_fqdns_grains": False, "multiprocessing": True}
        opts["grains"] = opts.get("grains") or salt.loader.grains(opts)
        __context__["onepass_begin"] = salt.loader.minion_mods(opts, utils=salt.loader.utils(opts))
    return __context__["onepass_begin"]
