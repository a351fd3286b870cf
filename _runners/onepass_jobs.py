"""
Orchestrations as jobs of the master: begin one, follow it, find an earlier one.

.. versionadded:: 0.1.0

One way to follow serves an orchestration that is begun here and somebody else's that runs already. What ran before is
known from the master's job cache alone, so as far back as ``keep_jobs`` reaches::

    salt-run onepass_jobs.list

A job is a mapping: ``jid``, ``name`` (of the orchestration), ``test`` (whether it is a dry run), ``user``, ``family``
(the job id of the orchestration that it is a part of, or its own) and, when it has ended, ``steps`` (the states of the
master), ``seconds``, ``success`` and ``restarted`` (whether the master was restarted meanwhile).
"""

import contextlib
import datetime
import itertools
import os
import re
import signal
import sys
import time

import salt.exceptions
import salt.loader
import salt.runner
import salt.utils.event
import salt.utils.jid
import salt.utils.user
from salt.exceptions import CommandExecutionError

__func_alias__ = {"list_": "list"}

ORCHESTRATIONS = ("runner.state.orchestrate", "runner.state.orch", "runner.state.sls")
# Seconds after which an orchestration that was begun must be seen running, in which one that ended has told so, and
# after which it is looked again whether it runs.
START_SECONDS, END_SECONDS, LOOK_SECONDS = 30, 10, 1
# Seconds after which it is told once more what goes on unchanged; the times in that; columns of a line's time.
MINUTE, TIME, STAMP = 60, re.compile(r"\d[\d.]* (min|s)\b"), 11
# How many orchestrations of the job cache are looked at.
RECENT = 50
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
NOTHING = {"tag": "", "data": {}}
# What the master's own return of an orchestration has.
TOLD = {"jid", "fun_args", "return", "success"}


class Refusal(CommandExecutionError, salt.exceptions.NotImplemented):
    """A runner's error that Salt shows as it is; of any other it shows a traceback first."""


def __virtual__():
    return "onepass_jobs"


def run(name: str, test: bool = False, every: int = 10, compares: bool = False, pillar: dict | None = None) -> dict:
    """
    Begin an orchestration that runs on by itself, follow it to its end, and answer the job.

    name
        The orchestration: ``orchestrate.site``.
    test
        A dry run. Default ``False``.
    every
        Seconds between two lines on what goes on, where no terminal is; what stays the same is told once a minute.
        Default 10.
    compares
        This dry run comes before a run, which Ctrl-C keeps from beginning. Default ``False``.
    pillar
        Values above the master's pillar, as ``state.orchestrate`` takes them. Default: none.

    Raises ``CommandExecutionError`` when it does not render, when it ends in an error of Salt's, when it is killed, and
    on Ctrl-C, which ends the watching alone. A phase that failed is no error here.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_jobs.run orchestrate.mongodb test=True

    .. versionadded:: 0.1.0
    """
    jid = salt.utils.jid.gen_jid(__opts__)
    given = {"test": True} if test else {}
    low = {"arg": [name], "kwarg": {"orchestration_jid": jid, **given, **({"pillar": pillar} if pillar else {})}}
    with Tracked(__opts__) as client:
        user = salt.utils.user.get_specific_user()
        client.asynchronous("state.orchestrate", low, user=user, pub=client._gen_async_pub(jid))
    with _bus() as bus:  # not before: the new process would inherit it
        return _followed({"jid": jid, "name": name, "test": test, "compares": compares}, bus, every)


def follow(jid: str | None = None, timeout: int = 3600, every: int = 10) -> dict:
    """
    Follow somebody's orchestration to its end, and answer the job; one that has ended is answered at once.

    jid
        Its job id. Default: the one that is running, else the next one that begins on this master.
    timeout
        Seconds to wait for its beginning. Default 3600.
    every
        Seconds between two lines on what goes on, where no terminal is; what stays the same is told once a minute.
        Default 10.

    Raises ``CommandExecutionError`` when none begins, and for what :py:func:`run` raises it.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_jobs.follow timeout=60

    .. versionadded:: 0.1.0
    """
    with _bus() as bus:
        job = get(jid) if jid else next(iter(running()), None) or _next(bus, timeout)
        return job if "steps" in job else _followed(job, bus, every)


def get(jid: str | None = None) -> dict:
    """
    A job by its id: an orchestration, running or in the job cache, or states that minions applied, as one step.

    jid
        Its job id. Default: the last orchestration in the job cache.

    Raises ``CommandExecutionError`` when the job cache does not have it, when it is neither an orchestration nor
    states, and for an orchestration that did not render or ended in an error of Salt's.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_jobs.get

    .. versionadded:: 0.1.0
    """
    jid = str(jid or next(_ids(), ""))
    own = [job for job in running() if job["jid"] == jid]
    if own:
        return own[0]
    answers = _cache("get_jid", jid) if jid else {}
    if not answers:
        last = ", ".join(itertools.islice(_ids(), 3)) or "none"
        raise Refusal(f"No job {jid} in the master's job cache (keep_jobs in its configuration); the last ones: {last}")
    load = _cache("get_load", jid)
    if load["fun"] in ORCHESTRATIONS:
        return _of_master(answers)
    if str(load["fun"]).startswith("state."):
        return _of_minions(jid, load, answers)
    function = load["fun"] if isinstance(load["fun"], str) else ", ".join(load["fun"])
    raise Refusal(f"Job {jid} is {function}, no orchestration and no states of minions")


def running() -> list:
    """
    The orchestrations that run on this master, the newest first; those that another one has begun as a step too.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_jobs.running

    .. versionadded:: 0.1.0
    """
    return sorted(map(_named, _tracked()), key=lambda job: job["jid"], reverse=True)


def list_(name: str | None = None, test: bool | None = None) -> list:
    """
    The 50 last orchestrations in the job cache, the newest first; those that did not render are left out.

    name
        Only those of this name.
    test
        Only dry runs (``True``), or only others (``False``). Default: all.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_jobs.list orchestrate.mongodb

    .. versionadded:: 0.1.0
    """
    return list(_earlier(name, test))


# The job cache


def _ids():
    """The ids of all orchestrations in the job cache, the newest first."""
    jobs = _cache("get_jids")
    return iter(sorted((jid for jid, job in jobs.items() if job["Function"] in ORCHESTRATIONS), reverse=True))


def _earlier(name: str | None = None, test: bool | None = None):
    for jid in itertools.islice(_ids(), RECENT):
        with contextlib.suppress(Refusal):
            job = get(jid)
            if "steps" in job and name in (None, job["name"]) and test in (None, job["test"]):
                yield job


def _of_master(answers: dict) -> dict:
    told = _own(answers)
    if not isinstance(told, dict) or not told.keys() >= TOLD:
        raise Refusal("The job cache has no return of the master's own for this job")
    return _with_end(_named(told), told)


def _own(answers: dict):
    """What the master itself returned, of a job's answers; a minion can return anything under any job's id."""
    return (answers.get(__opts__["id"]) or {}).get("return")


def _of_minions(jid: str, load: dict, answers: dict) -> dict:
    returned = __salt__["onepass_answers.states"]({**dict.fromkeys(load.get("Minions") or ()), **_returns(answers)})
    steps = _execution_modules()["orchestration.job"](load["fun"], returned)
    return {"jid": jid, "name": load["fun"], "test": _is_dry(load), "steps": steps, "seconds": 0.0}


def _is_dry(load: dict) -> bool:
    return any(isinstance(each, dict) and each.get("test") is True for each in load.get("arg") or ())


def _returns(answers: dict) -> dict:
    return {minion: answer.get("return") for minion, answer in answers.items()}


def _named(told: dict) -> dict:
    """An orchestration's job id, name and ``test``, from its event."""
    options = {key: value for each in told["fun_args"] if isinstance(each, dict) for key, value in each.items()}
    [mods, *_] = [*(each for each in told["fun_args"] if not isinstance(each, dict)), options.get("mods"), ""]
    name = ",".join(map(str, mods)) if isinstance(mods, (list, tuple)) else str(mods or "")
    job = {"jid": told["jid"], "name": name, "test": options.get("test") is True}
    return {**job, "user": told.get("user"), "family": str(options.get("orchestration_jid") or told["jid"])}


def _with_end(job: dict, told: dict) -> dict:
    steps = _steps(told["return"])
    steps = {tag: _judged(_completed(step) if job["test"] else step) for tag, step in steps.items()}
    seconds = _execution_modules()["orchestration.span"](steps)
    restarted = 0 < _master_began() - _began(job["jid"]) < seconds
    return {**job, "steps": steps, "seconds": seconds, "success": told["success"], "restarted": restarted}


def _completed(step: dict) -> dict:
    """A step of a dry run with all its hosts; Salt leaves out those that say only in words what they would do."""
    answers = _returns(_cache("get_jid", step["__jid__"])) if "__jid__" in step else {}
    if not answers:
        return step
    return {**step, "changes": {"out": "highstate", "ret": {**answers, **step["changes"].get("ret", {})}}}


def _judged(step: dict) -> dict:
    """A step with what its hosts returned as far as that has the form of states."""
    changes = step["changes"]
    if not isinstance(changes.get("ret"), dict):
        return step
    return {**step, "changes": {**changes, "ret": __salt__["onepass_answers.states"](changes["ret"])}}


def _steps(returned) -> dict:
    """The states of the master in an orchestration's return; one that did not render, or broke off, has none."""
    steps = next(iter(returned.get("data", {}).values()), {}) if isinstance(returned, dict) else returned
    if isinstance(steps, dict):
        return steps
    if isinstance(steps, list):
        raise Refusal("\n  ".join(["The orchestration did not run", *map(str, steps)]))
    raise Refusal(f"The orchestration ended in an error of Salt's: {str(steps or returned).strip()}")


def _tracked() -> list:
    """What runs, by its files; the process of one, such as a reactor's, may outlive its job."""
    return [told for told in __salt__["onepass_running.found"]() if not _own(_cache("get_jid", told["jid"]))]


class Tracked(salt.runner.RunnerClient):
    """A client whose orchestration has a file of running jobs from its first moment on."""

    def low(self, fun, low, **kwargs):
        """As Salt's own, with the file written first."""
        given = low["kwarg"]
        test = {"test": given.get("test", False)}
        self.functions["onepass_running.mark"](low["__jid__"], low["arg"][0], os.getpid(), low["__user__"], **test)
        return super().low(fun, low, **kwargs)


# Following


def _next(bus, timeout: int) -> dict:
    _say(0, "waiting for an orchestration to begin")
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        event = _heard(bus, 1, "salt/run/")
        if event and event["tag"].endswith("/new") and event["data"].get("fun") in ORCHESTRATIONS:
            return _named(event["data"])
    raise Refusal(f"No orchestration began within {timeout} s")


def _followed(job: dict, bus, every: int) -> dict:
    """The job with its end; what happens until then is shown."""
    try:
        return _until_end(job, _progress(job), bus, every)
    except (KeyboardInterrupt, SystemExit):
        raise Refusal(_execution_modules()["orchestration_text.interrupted"](job)) from None


def _progress(job: dict) -> dict:
    modules, phases = _execution_modules(), _phases(job["name"])
    progress = modules["orchestration_progress.begin"](job["jid"], phases, _expected(job))
    _say(_age(job["jid"]), modules["orchestration_text.begins"](job))
    for tag, data, moment in _missed(job, phases):
        modules["orchestration_progress.take"](progress, tag, data, moment)
    return progress


def _until_end(job: dict, progress: dict, bus, every: int) -> dict:
    modules, screen = _execution_modules(), {"below": 0, "told": time.monotonic(), "looked": time.monotonic()}
    while not progress["ended"]:
        tag, data = _event(job, bus, screen)
        now = _age(job["jid"])
        lines = modules["orchestration_progress.take"](progress, tag, data, now) + _restart(job, screen)
        _show(lines, modules["orchestration_progress.running"](progress, now), now, screen, every)
    _say(now, "done")
    return {**_with_end(job, data), "seconds": round(now, 1)}


def _event(job: dict, bus, screen: dict) -> tuple:
    """Tag and data of the next event within a second; a job that is gone without telling its end is an error."""
    end = f"salt/run/{job['jid']}/ret"
    event = _heard(bus, LOOK_SECONDS) or NOTHING
    if event["tag"] == end:
        event = _true_end(job, event)
    if event["tag"] == end or time.monotonic() - screen["looked"] < LOOK_SECONDS:
        return event["tag"], event["data"]
    screen["looked"], modules = time.monotonic(), _execution_modules()
    if _age(job["jid"]) < START_SECONDS or job["jid"] in [each["jid"] for each in _tracked()]:
        return event["tag"], event["data"]
    told = _told_end(job, bus)
    if not told:
        raise Refusal(
            f"{modules['orchestration_text.named'](job)} (job {job['jid']}) does not run any more and has not told its "
            f"end: it was killed, or the master was. Once more: salt-run onepass.{'plan' if job['test'] else 'run'} "
            f"{job['name']} (what is done has nothing to do)"
        )
    return end, told


def _restart(job: dict, screen: dict) -> list:
    """That the master was restarted, once."""
    if screen.get("restarted") or _master_began() <= _began(job["jid"]):
        return []
    screen["restarted"] = True
    return [
        "the master was restarted; what hosts answered meanwhile may be lost to this run, which then ends with "
        '"no answer": run again'
    ]


def _true_end(job: dict, event: dict) -> dict:
    """An end as the job cache has it, where Salt writes it before it tells: a minion can send an event of any name."""
    told = _own(_cache("get_jid", job["jid"]))
    if told:
        return {**event, "data": told}
    return NOTHING if job["jid"] in [each["jid"] for each in _tracked()] else event


def _heard(bus, seconds: int, tag: str = "") -> dict | None:
    """The next event within some seconds, unless it has not the form that its tag promises."""
    began = time.monotonic()
    event = bus.get_event(wait=seconds, tag=tag, full=True)
    if not event and time.monotonic() - began < seconds / 2:  # the master was stopped, and its bus with it
        bus.close_pub()  # so that the next look connects anew, which Salt 3006 does not by itself
        time.sleep(seconds / 2)
    return event if event and __salt__["onepass_answers.is_event"](event["tag"], event["data"]) else None


def _told_end(job: dict, bus) -> dict | None:
    """What an orchestration that runs no more told at its end, while we did not listen or a moment later."""
    event = _heard(bus, END_SECONDS, f"salt/run/{job['jid']}/ret")
    cached = _cache("get_jid", job["jid"])
    return _own(cached) or (event["data"] if event else None)


def _phases(name: str) -> list:
    """The orchestration's phases in order, each with those that it needs; none when it does not render."""
    chunks = _execution_modules()["state.show_low_sls"](name)
    if not all(isinstance(chunk, dict) for chunk in chunks):
        return []
    names = {chunk["__id__"]: chunk["name"] for chunk in chunks}
    return [
        {
            "name": chunk["name"],
            "needs": [names[need] for each in chunk.get("require", ()) for need in each.values() if need in names],
            "tgt": chunk.get("tgt"),
            "sls": ",".join(chunk["sls"]) if isinstance(chunk.get("sls"), list) else chunk.get("sls"),
        }
        for chunk in chunks
    ]


def _expected(job: dict) -> dict:
    """Phase to seconds as in the last run of the same kind that went well; ``""`` for the whole."""
    earlier = next((each for each in _earlier(job["name"], job["test"]) if each["success"]), None)
    if not earlier:
        return {}
    phases = {step["name"]: step["duration"] / 1000 for step in earlier["steps"].values()}
    return {**phases, "": earlier["seconds"]}


def _missed(job: dict, phases: list):
    """What the bus told of a running job before we listened, from the job cache: tag, data and moment."""
    for jid, cached in sorted(_cache("get_jids").items()):
        arguments = [each for each in cached["Arguments"] if isinstance(each, str)]
        found = [each for each in phases if [each["sls"]] == arguments and each["tgt"] == cached["Target"]]
        if jid > job["jid"] and found:
            moment = (_moment(jid) - _moment(job["jid"])).total_seconds()
            data = {"name": found[0]["name"], "tgt": found[0]["tgt"], "args": {"arg": arguments}}
            yield f"salt/run/{job['jid']}/args", data, moment
            for minion in _cache("get_jid", jid):
                yield f"salt/job/{jid}/ret/{minion}", {"id": minion, "fun": "state.sls", "fun_args": arguments}, moment


def _age(jid: str) -> float:
    """Seconds since a job began, by the clock that gives jobs their ids."""
    return (_moment(salt.utils.jid.gen_jid(__opts__)) - _moment(jid)).total_seconds()


def _began(jid: str) -> float:
    return time.time() - _age(jid)


def _master_began() -> float:
    """When the master was started, or 0 where its file does not tell."""
    try:
        return os.stat(__opts__["pidfile"]).st_mtime
    except OSError:
        return 0.0


def _moment(jid: str):
    return datetime.datetime.strptime(jid[:20], "%Y%m%d%H%M%S%f")


def _cache(function: str, *arguments):
    """The job cache by its own functions; the runner ``jobs`` makes a whole minion for each look at it."""
    if "onepass_jobs.cache" not in __context__:
        __context__["onepass_jobs.cache"] = salt.loader.returners(__opts__, _execution_modules())
    name = __opts__.get("ext_job_cache") or __opts__["master_job_cache"]
    return __context__["onepass_jobs.cache"][f"{name}.{function}"](*arguments)


def _execution_modules():
    if "onepass_jobs" not in __context__:
        # Without multiprocessing Salt takes the files of running jobs for those of its own threads, and removes them.
        opts = {**__opts__, "file_client": "local", "enable_fqdns_grains": False, "multiprocessing": True}
        opts["grains"] = opts.get("grains") or salt.loader.grains(opts)
        __context__["onepass_jobs"] = salt.loader.minion_mods(opts, utils=salt.loader.utils(opts))
    return __context__["onepass_jobs"]


def _bus():
    return salt.utils.event.get_master_event(__opts__, __opts__["sock_dir"], listen=True)


# Words


def _show(lines: list, below: list, now: float, screen: dict, every: int) -> None:
    """Lines that stay; on a terminal, below them what goes on, drawn anew; elsewhere that is said when it changes."""
    printable = __salt__["onepass_answers.printable"]
    lines, below = _stamped(map(printable, lines), now), list(map(printable, below))
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        dim = not os.environ.get("NO_COLOR")
        _print(_execution_modules()["orchestration_text.screen"](lines, below, screen["below"], _columns(), dim))
        screen["below"] = len(below)
    else:
        timeless, passed = [TIME.sub("", each) for each in below], time.monotonic() - screen["told"]
        due = below and (passed > MINUTE or (passed > every and timeless != screen.get("said")))
        _print("".join(f"{line}\n" for line in [*lines, *(_stamped(below, now) if due else [])]))
        screen["told"] = time.monotonic() if lines or due else screen["told"]
        screen["said"] = timeless if due else screen.get("said")


def _say(now: float, text: str) -> None:
    lines = _stamped([__salt__["onepass_answers.printable"](text)], now)
    _print("".join(f"{line}\n" for line in lines))


def _print(text: str) -> None:
    """Whole: Salt writes a line of its own on Ctrl-C, which Python refuses in the middle of another one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        print(text, end="", file=sys.stderr, flush=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stamped(lines, now: float) -> list:
    """Lines with their time; on a terminal no word of them is broken."""
    lines = [f"[{now:6.1f} s] {line}" for line in lines]
    if not lines or not sys.stderr.isatty():
        return lines
    fitting = _execution_modules()["orchestration_text.fitting"]
    return [part for line in lines for part in fitting(line, _columns(), STAMP)]


def _columns() -> int:
    return os.get_terminal_size(sys.stderr.fileno()).columns or 80  # a serial console does not know
