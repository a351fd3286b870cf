"""
Onepass from the master: what can be known before any host is touched.

.. versionadded:: 0.1.0

To check the whole site, from the master::

    salt-run onepass.check

Requires on the master what the execution modules of the areas require (``mongo_schema``: ``jsonschema`` 4).
"""

import difflib
import hashlib
import sys
import time

import salt.exceptions
import salt.fileclient
import salt.key
import salt.loader
import salt.pillar
import salt.utils.cloud
import salt.utils.event
from salt.exceptions import CommandExecutionError
from salt.utils.stringutils import to_str

# A part of the pillar, and the execution module that judges it by faults, places and summary.
AREAS = {"mongodb": "mongo_pillar", "openstack": "neutron_rules", "branches": "branch_fleet"}
KEY_STATES = {
    "minions_pre": ("is not accepted yet", "salt-key -a {}"),
    "minions_rejected": ("is rejected", "salt-key -d {}, then restart that minion"),
    "minions_denied": ("is denied, another minion has its id", "salt-key -d {}, then restart the right minion"),
}
# What minions fetch from the master's file server, and the function of theirs that fetches it.
SYNCED = {"modules": "saltutil.sync_modules", "states": "saltutil.sync_states"}


class Refusal(CommandExecutionError, salt.exceptions.NotImplemented):
    """A runner's error that Salt shows as it is; of any other it shows a traceback first."""


def __virtual__():
    return "onepass"


def check(areas: str | list | None = None, sync: bool = False, timeout: int = 15) -> dict:
    """
    Refuse a site that cannot be built, with all that is wrong at once; nothing is changed anywhere.

    The pillar is the one that an orchestration has: inside of one its own (``pillar=`` included), else that of the
    master (``<master's host name>_master``). The areas' modules check it; then it is seen whether the master has an
    accepted key for every host in it, whether these answer, and whether they have the custom modules and states that
    the master serves.

    areas
        Parts of the pillar to check, such as ``mongodb`` or a list. Default: all that are there.
    sync
        Bring the master's modules and states to the hosts that have others, once no fault is left. Default ``False``.
    timeout
        Seconds that minions have for their answer. Default 15.

    Returns:
        For each area ``ok`` and what it describes; ``modules``: ``ok``, or the hosts that have others than the master
        (``differ on``) or had (``brought to``).

    Raises ``CommandExecutionError`` with one line per fault: path, fault, remedy; never a secret. So ``salt-run`` ends
    with an exit code other than 0, and the step of an orchestration fails.

    CLI Example:

    .. code-block:: bash

        salt-run onepass.check
        salt-run onepass.check sync=True

    .. code-block:: yaml

        preflight:
          salt.runner:
            - name: onepass.check

    .. versionadded:: 0.1.0
    """
    pillar = _pillar()
    wanted = _areas(areas, pillar)
    modules = _execution_modules()
    faults, places = [], {}
    for area in wanted:
        faults += _ask(modules, area, "faults", pillar.get(area))
        places = {**_ask(modules, area, "places", pillar.get(area)), **places}
    known = salt.key.get_key(__opts__).list_keys()
    accepted = [minion for minion in places if minion in known["minions"]]
    answers = _execute(accepted, "onepass.fingerprint", timeout) if accepted else {}
    faults += _minion_faults(places, known, answers, timeout)
    if faults:
        raise Refusal(_report(_located(faults, modules)))
    counted = {area: f"ok: {_counted(_ask(modules, area, 'summary', pillar[area]))}" for area in wanted}
    return {**counted, "modules": _modules(answers, sync)}


# The pillar and the modules as an orchestration has them


def _pillar() -> dict:
    pillar = __opts__.get("pillar") or _master_pillar()
    if pillar.get("_errors"):
        raise Refusal("\n  ".join(["the pillar cannot be compiled", *map(str, pillar["_errors"])]))
    return pillar


def _master_pillar() -> dict:
    opts = _opts()
    return salt.pillar.get_pillar(
        opts, opts["grains"], opts["id"], saltenv=opts.get("saltenv"), pillarenv=opts.get("pillarenv")
    ).compile_pillar()


def _opts() -> dict:
    opts = {**__opts__, "enable_fqdns_grains": False}
    return opts if opts.get("grains") else {**opts, "grains": salt.loader.grains(opts)}


def _execution_modules():
    return salt.loader.minion_mods(_opts())


def _ask(modules, area, function, pillar):
    name = f"{AREAS[area]}.{function}"
    if name not in modules:
        raise Refusal(f"The master lacks the bundle's execution modules ({name}): salt-run saltutil.sync_modules")
    try:
        return modules[name](pillar)
    except CommandExecutionError as err:
        raise Refusal(f"{area}: {err}") from None


def _areas(areas: str | list | None, pillar: dict) -> list:
    wanted = [areas] if isinstance(areas, str) else areas or [area for area in AREAS if area in pillar]
    unknown = [area for area in wanted if area not in AREAS]
    if unknown:
        raise Refusal(f"areas: {', '.join(unknown)} is unknown; known are {', '.join(AREAS)}")
    if not wanted:
        raise Refusal(
            f"The pillar of {__opts__['id']} has none of {', '.join(AREAS)}; the pillar's top.sls gives that id none"
        )
    return wanted


# What only a master knows: keys, who answers, and who has which modules


def _execute(minions: list, function: str | list, timeout: int, arg: tuple | list = ()) -> dict:
    return __salt__["salt.execute"](minions, function, arg=arg, tgt_type="list", timeout=timeout)


def _minion_faults(places: dict, keys: dict, answers: dict, timeout: int) -> list:
    free = sorted(set(keys["minions"]) - set(places))
    unknown = [minion for minion in places if minion not in keys["minions"]]
    silent = [minion for minion in places if minion not in unknown and not answers.get(minion)]
    return [_key_fault(places[minion], minion, keys, free) for minion in unknown] + [
        _silent_fault(places[minion], minion, timeout) for minion in silent
    ]


def _key_fault(path: str, minion: str, keys: dict, free: list) -> dict:
    for state, (fault, remedy) in KEY_STATES.items():
        if minion in keys.get(state, ()):
            return {"path": path, "fault": f"the key of minion {minion} {fault}", "remedy": remedy.format(minion)}
    close = difflib.get_close_matches(minion, free, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else "a minion of that id, its key accepted"
    return {"path": path, "fault": f"no minion has the id {minion!r}", "remedy": remedy}


def _silent_fault(path: str, minion: str, timeout: int) -> dict:
    fault = f"minion {minion} does not answer within {timeout} s"
    return {"path": path, "fault": fault, "remedy": "a running salt-minion on that host, connected to this master"}


def _modules(answers: dict, sync: bool) -> str | dict:
    """Who has other modules than the master serves; a minion that has none cannot tell a fingerprint, only an error."""
    served = _fingerprint()
    others = sorted(minion for minion, answer in answers.items() if answer != served)
    if not others:
        return "ok"
    if not sync:
        return {"differ on": others}
    arguments = [[__opts__.get("saltenv") or "base", True]] * len(SYNCED)
    synced = _execute(others, list(SYNCED.values()), 60, arguments)
    failed = {minion: synced.get(minion) for minion in others if not _is_synced(synced.get(minion))}
    if failed:
        raise Refusal("\n  ".join(["The master's modules did not reach", *(f"{m}: {e}" for m, e in failed.items())]))
    return {"brought to": others}


def _fingerprint() -> str:
    """:py:func:`onepass.fingerprint` of a minion that has all that the master serves."""
    saltenv = __opts__.get("saltenv") or "base"
    with salt.fileclient.FSClient(_opts()) as client:
        files = {
            path.removeprefix("_"): to_str(client.hash_file(f"salt://{path}", saltenv)["hsum"])
            for kind in SYNCED
            for path in client.file_list(saltenv, prefix=f"_{kind}/")
            if path.endswith(".py")
        }
    return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()


def _is_synced(answer) -> bool:
    return isinstance(answer, dict) and all(isinstance(names, list) for names in answer.values())


# Keys of guests that are minions


def guest_keys(keys: dict | None = None, test: bool = False, timeout: int = 30) -> dict:
    """
    The master has accepted the keys of the branches' guests, and has none of guests that are no longer there.

    A host makes its guest's key pair and writes the private half onto the guest's disk; here the public half is read
    from the host's libvirt and accepted, before the guest boots for the first time. Only ids that the branches' pillar
    gives to that host are touched. A host that does not answer leaves its guests' keys as they are.

    keys
        What :py:func:`branch_guests.keys` answers. Default: of all branches in the master's rings.
    test
        Say what would be done; guests that are still to be made count as made. Default ``False``.
    timeout
        Seconds that hosts have for their answer. Default 30.

    Returns:
        ``steps`` (list of mappings with ``do``, ``what``, ``old``, ``new``) and ``silent`` (list of hosts).

    CLI Example:

    .. code-block:: bash

        salt-run onepass.guest_keys
        salt-run onepass.guest_keys test=True

    .. versionadded:: 0.1.0
    """
    modules = _execution_modules()
    if keys is None:
        rings = _ask(modules, "branches", "rings", _pillar().get("branches"))
        keys = {minion: each for ring in rings for minion, each in ring["keys"].items()}
    hosts = sorted({each["host"] for each in keys.values()})
    told = _execute(hosts, "libvirt_clone.list", timeout) if hosts else {}
    told = {host: clones for host, clones in told.items() if isinstance(clones, dict)}
    known = salt.key.get_key(__opts__)
    steps = modules["branch_guests.key_steps"](keys, told, _held(known, keys), test)
    for step in [] if test else steps:
        _hold(known, step)
    shown = [{part: step[part] for part in ("do", "what", "old", "new")} for step in steps]
    return {"steps": shown, "silent": sorted(set(hosts) - set(told))}


def _held(known, keys: dict) -> dict:
    """What the master holds for each id: the key's state and its text."""
    listed = known.list_keys()
    return {
        minion: {"state": kind, "key": known.key_str(minion)[kind][minion]}
        for kind in ("minions_denied", "minions_rejected", "minions_pre", "minions")
        for minion in listed.get(kind, ())
        if minion in keys
    }


def _hold(known, step: dict) -> None:
    """The key is the accepted one of this id, or none of this id is left."""
    minion, listed = step["id"], known.list_keys()
    known.delete_key(match_dict={kind: [minion] for kind, ids in listed.items() if minion in ids})
    if step["do"] == "accept" and hasattr(known, "cache"):  # Salt 3008
        known.cache.store("keys", minion, {"pub": step["key"], "state": "accepted"})
    elif step["do"] == "accept":
        salt.utils.cloud.accept_key(__opts__["pki_dir"], step["key"], minion)


# Words


def _located(faults: list, modules) -> list:
    """Faults with file and line, where the pillar's files are plain YAML and tell."""
    if "pillar_files.located" not in modules:
        return faults
    roots = [root for places in __opts__.get("pillar_roots", {}).values() for root in places]
    return modules["pillar_files.located"](faults, modules["pillar_files.below"](roots))


def _report(faults: list) -> str:
    lines = [f"  {each['path']}{_at(each)}: {each['fault']}; {each['remedy']}" for each in faults]
    return "\n".join([f"{len(faults)} fault{'s' if len(faults) > 1 else ''}, no host was touched", *lines])


def _at(fault: dict) -> str:
    return f" ({fault['place']})" if "place" in fault else ""


def _counted(summary: dict) -> str:
    return ", ".join(f"{number} {what[:-1] if number == 1 else what}" for what, number in summary.items())


# What is there


def status():
    """
    The site as it is: replica sets with their members' states, shards, chunks per shard.

    Returns:
        For each area a mapping of things to one line each.

    Raises ``CommandExecutionError`` when the router through which the cluster is looked at does not answer.

    CLI Example:

    .. code-block:: bash

        salt-run onepass.status

    .. versionadded:: 0.1.0
    """
    pillar, modules = _pillar().get("mongodb"), _execution_modules()
    router = modules["mongo_pillar.hosts"](pillar)["cluster"][0]
    connection = modules["mongo_config.settings"](router, pillar)["router"]
    answer = __salt__["salt.execute"]([router], "mongo_shard.topology", arg=[connection], tgt_type="list")
    seen = answer.get(router, f"{router} does not answer")
    if not isinstance(seen, dict):
        raise Refusal(f"The cluster cannot be looked at from {router}: {seen}")
    return {"mongodb": _described(seen)}


def _described(seen: dict) -> dict:
    sets = {"config servers": seen["config"], **{f"shard {name}": each for name, each in seen["shards"].items()}}
    lines = {
        name: ", ".join(f"{host} {state}" for host, state in each["members"].items()) for name, each in sets.items()
    }
    for name, each in seen["collections"].items():
        key = ", ".join(f"{field}: {kind}" for field, kind in each["key"].items())
        chunks = ", ".join(f"{count} on {shard}" for shard, count in each["chunks"].items())
        lines[f"collection {name}"] = f"sharded on {key}; chunks: {chunks}"
    return lines


# What is happening


def watch(timeout=3600, every=10):
    """
    Follow the next orchestration on this master until it ends: a line when a phase begins, and who is still waited for.

    timeout
        Seconds to wait for its beginning and, after that, for its end. Default 3600.
    every
        Seconds between two lines on a phase that goes on. Default 10.

    Returns:
        ``orchestration``, ``seconds``, ``phases`` (a line each), ``changes`` (how many states changed
        something) and ``failures``: the first cause on each host. The lines go to standard error.

    Raises ``CommandExecutionError`` when the time is up.

    CLI Example:

    .. code-block:: bash

        salt-run onepass.watch

    .. versionadded:: 0.1.0
    """
    with salt.utils.event.get_master_event(__opts__, __opts__["sock_dir"], listen=True) as bus:
        _say(time.monotonic(), "waiting for an orchestration to begin")
        begun = _next(bus, timeout, _is_beginning)
        jid, name = begun["data"]["jid"], begun["data"]["fun_args"][0]
        start = time.monotonic()
        _say(start, f"{name} begins")
        steps = _follow(bus, jid, start, timeout, every)
    return {"orchestration": name, "seconds": round(time.monotonic() - start, 1), **summary(steps)}


def summary(steps):
    """
    An orchestration's result in short.

    steps
        Its states as ``state.orchestrate`` returns them for the master.

    Returns:
        ``phases``, ``changes`` and ``failures``, see :py:func:`watch`.

    CLI Example:

    .. code-block:: bash

        salt-run onepass.summary '{}'

    .. versionadded:: 0.1.0
    """
    ordered = sorted(steps.values(), key=lambda step: step["__run_num__"])
    changed = [_changes(step) for step in ordered]
    lines = [
        f"{step['__id__']}: {step['duration'] / 1000:.1f} s, {count} changes"
        for step, count in zip(ordered, changed, strict=True)
    ]
    failures = [failure for step in ordered if step["result"] is False for failure in _failures(step)]
    return {"phases": lines, "changes": sum(changed), "failures": failures}


def _changes(step):
    """How many states of minions changed something; of a step on the master itself, how many things it changed."""
    if "ret" in step["changes"]:
        return sum(bool(state["changes"]) for _, state in _states_of(step))
    return len(step["changes"])


def _states_of(step):
    """Host and state for each state that ran in a step of an orchestration."""
    minions = step["changes"].get("ret", {})
    return [
        (host, state)
        for host, states in minions.items()
        if isinstance(states, dict)
        for state in states.values()
        if isinstance(state, dict) and "changes" in state
    ]


def _failures(step):
    failed = [(host, state) for host, state in _states_of(step) if state["result"] is False]
    first = {}
    for host, state in sorted(failed, key=lambda each: each[1].get("__run_num__", 0)):
        first.setdefault(host, f"{host}: {state.get('__id__')}: {state['comment']}")
    return list(first.values()) or [f"{step['__id__']}: {step['comment']}"]


def _follow(bus, jid, start, timeout, every):
    """Say what happens until the run's return is there, and answer its states."""
    phase, hosts, waiting, told = None, 0, set(), time.monotonic()
    deadline = start + timeout
    while time.monotonic() < deadline:
        event = bus.get_event(wait=1, full=True)
        tag, data = (event["tag"], event["data"]) if event else ("", {})
        if tag == f"salt/run/{jid}/args":
            phase, waiting, told = data["name"], set(data.get("tgt") or []), time.monotonic()
            hosts = len(waiting)
            _say(start, f"{phase}" + (f": {hosts} host{'s' if hosts > 1 else ''}" if hosts else ""))
        elif tag.startswith("salt/job/") and "/ret/" in tag and str(data.get("fun")).startswith("state."):
            waiting.discard(data["id"])
        elif tag == f"salt/run/{jid}/ret":
            _say(start, "done")
            return _returned(data)
        if waiting and time.monotonic() - told > every:
            told = time.monotonic()
            names = ", ".join(sorted(waiting)) if len(waiting) < hosts else f"all {hosts}"
            _say(start, f"{phase}: waiting for {names}")
    raise Refusal(
        f"The orchestration {jid} has not ended within {timeout} s; salt-run jobs.lookup_jid {jid} tells when it has"
    )


def _returned(data):
    """The states of the master in an orchestration's return; one that failed to render has none."""
    answered = data["return"].get("data", {}) if isinstance(data["return"], dict) else {}
    states = next(iter(answered.values()), {})
    if not isinstance(states, dict):
        raise Refusal(f"The orchestration did not run: {states or data['return']}")
    return states


def _is_beginning(event):
    fun = event["data"].get("fun", "")
    return event["tag"].endswith("/new") and fun in (
        "runner.state.orchestrate",
        "runner.state.orch",
        "runner.state.sls",
    )


def _next(bus, timeout, wanted):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        event = bus.get_event(wait=1, tag="salt/run/", full=True)
        if event and wanted(event):
            return event
    raise Refusal(f"No orchestration began within {timeout} s")


def _say(start, text):
    print(f"[{time.monotonic() - start:6.1f} s] {text}", file=sys.stderr, flush=True)
