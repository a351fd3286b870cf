"""
Onepass from the master: check, plan, run, watch and explain; the estate's status and picture; what errors mean.

.. versionadded:: 0.1.0

To check the whole site, from the master::

    salt-run onepass.check

Requires on the master what the execution modules of the areas require (``mongo_pillar``: ``jsonschema`` 4).
"""

import contextlib
import os
import shutil
import textwrap

import salt.exceptions
import salt.loader
import salt.pillar
from salt.exceptions import CommandExecutionError, SaltInvocationError

# A part of the pillar, and the execution module that judges it by faults, places and summary.
AREAS = {"mongodb": "mongo_pillar", "openstack": "neutron_rules", "ds389": "ds_pillar", "branches": "branch_fleet"}
# The module of each area that knows what to ask and how to draw it, by questions, seen and drawn.
ESTATES = {"mongodb": "mongo_estate", "openstack": "neutron_estate", "ds389": "ds_estate", "branches": "branch_estate"}
# Which of them look for what a run would refuse (doubts, refused), and which ask once more after the answers (again). A
# function that is looked for and missing makes Salt's loader load all modules, with an error for each that cannot be.
DOUBTING, ASKING_AGAIN = ("mongodb",), ("ds389",)
SITE = "orchestrate.site"
MOST, HOUR = 100, 3600  # faults that are written out; seconds that another run is waited for
ALL_THE_SAME = "\n  to run after it: wait=True\n  to run beside it, on purpose: beside=True"
BESIDE = {"onepass": {"beside": True}}  # what an orchestration's pillar then says to its first steps
HINT = "What a message means, and what to do: salt-run onepass.solution 'the message'"


class Refusal(CommandExecutionError, salt.exceptions.NotImplemented):
    """A runner's error that Salt shows as it is; of any other it shows a traceback first."""


def __virtual__():
    return "onepass"


def check(areas: str | list | None = None, sync: bool = False, timeout: int | None = None) -> dict:
    """
    Refuse a site that cannot be built, with all that is wrong at once; nothing is changed anywhere.

    The pillar is the one that an orchestration has: inside of one its own (``pillar=`` included), else that of the
    master (``<master's host name>_master``). The areas' modules check it; then it is seen whether the master has an
    accepted key for every host in it, whether these answer, and whether they have the custom modules and states that
    the master serves. Branches' hosts are not asked: some are always off; their rings bring modules.

    areas
        Parts of the pillar to check, such as ``mongodb`` or a list. Default: all that are there.
    sync
        Bring the master's modules and states to the hosts that have others, once no fault is left, and have all of them
        read their pillar anew. Default ``False``.
    timeout
        Seconds that minions have for their answer. Default: the master's ``timeout``, and 15 at least.

    Returns:
        For each area ``ok`` and what it describes; ``modules``: ``ok``, or the hosts that have others than the master
        (``to be brought by the run to``) or had (``brought to``). With ``--out=json`` numbers and lists instead:
        ``code`` (0, or 1: there are faults), ``faults`` (each with ``path``, ``fault``, ``remedy`` and, where it is
        known, ``place``), each area's counts, and ``modules`` with ``others``.

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
    __salt__["onepass_hosts.refuse_outdated"]()
    pillar = _pillar()
    wanted = _areas(areas, pillar)
    modules = _execution_modules()
    faults, named = _judged(modules, wanted, pillar)
    places = {minion: path for area in reversed(wanted) for minion, path in named[area].items()}
    hosts = __salt__["onepass_hosts.look"](places, timeout, refresh=sync)
    faults = faults + hosts["faults"] or _refused(modules, wanted, pillar, timeout)
    faults = _read("located", faults)
    if faults and _wants_data():
        return {"code": 1, "faults": faults, "retcode": 1}
    if faults:
        raise Refusal(_report(faults))
    counts = {area: _ask(modules, area, "summary", pillar[area]) for area in wanted}
    said = _modules(hosts["others"], sync)
    if _wants_data():
        return {"code": 0, "faults": [], **counts, "modules": {"others": [] if sync else hosts["others"]}}
    return {**{area: f"ok: {_counted(each)}" for area, each in counts.items()}, "modules": said}


def _judged(modules, wanted: list, pillar: dict) -> tuple:
    """What is wrong with the wanted areas, and area to the minions that it names; a branch has none of another area."""
    faults, named = [], {}
    for area in [area for area in AREAS if pillar.get(area) is not None]:
        others = {minion: path for each in named.values() for minion, path in each.items()}
        if area in wanted:
            faults += _ask(modules, area, "faults", pillar[area], *[others] * (area == "branches"))
        named[area] = _ask(modules, area, "places", pillar[area])
    return faults, named


def _refused(modules, wanted: list, pillar: dict, timeout: int | None) -> list:
    """What a run would refuse, as the areas that look at the world for that find it."""
    faults = []
    for area in DOUBTING:
        if area in wanted:
            asked = modules[f"{ESTATES[area]}.doubts"](pillar[area])
            told = [_answer(each, timeout, modules) for each in asked]
            faults += modules[f"{ESTATES[area]}.refused"](told, pillar[area])
    return faults


# The pillar and the modules as an orchestration has them


def _pillar() -> dict:
    pillar = __opts__.get("pillar") or _master_pillar()
    if pillar.get("_errors"):
        raise Refusal("\n  ".join(["the pillar cannot be compiled", *_read("unread"), *map(str, pillar["_errors"])]))
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
    opts = _opts()
    return salt.loader.minion_mods(opts, utils=salt.loader.utils(opts))


def _ask(modules, area, function, *arguments):
    name = f"{AREAS[area]}.{function}"
    if name not in modules:
        raise Refusal(f"The master lacks the bundle's execution modules ({name}): salt-run saltutil.sync_all")
    try:
        return modules[name](*arguments)
    except CommandExecutionError as err:
        raise Refusal(f"{area}: {err}") from None


def _areas(areas: str | list | None, pillar: dict) -> list:
    wanted = [areas] if isinstance(areas, str) else areas or [area for area in AREAS if pillar.get(area) is not None]
    unknown = [area for area in wanted if area not in AREAS]
    if unknown:
        raise Refusal(f"areas: {', '.join(unknown)} is unknown; known are {', '.join(AREAS)}")
    missing = [area for area in wanted or AREAS if pillar.get(area) is None]
    if missing:
        raise Refusal(
            f"The pillar of {__opts__['id']} has none of {', '.join(missing)}; the pillar's top.sls gives that id none"
        )
    return wanted


def _modules(others: list, sync: bool) -> str | dict:
    """Who has other modules than the master serves, or had."""
    if not others:
        return "ok"
    if not sync:
        return {"to be brought by the run to": others}
    failed = __salt__["onepass_hosts.sync"](others)
    if failed:
        said = "\n  ".join(f"{minion}: {answer}" for minion, answer in failed.items())
        raise Refusal(f"The master's modules did not reach\n  {__salt__['onepass_answers.printable'](said)}")
    return {"brought to": others}


# Keys of guests that are minions


def guest_keys(keys: dict | None = None, test: bool = False, timeout: int | None = None) -> dict:
    """
    The master has accepted the keys of the branches' guests, and has none of guests that are no longer there.

    A host makes its guest's key pair and writes the private half onto the guest's disk; here the public half is read
    from the host's libvirt and accepted, before the guest boots for the first time. Only ids that the branches' pillar
    gives to that host are touched. A host that does not answer leaves its guests' keys as they are.

    An id that another part of the pillar names (a member, a router, a gateway, a workstation, the cloud's minion), and
    the master's own, is no guest's; and an accepted key that the guest never had stays. Such a step is refused.

    keys
        What :py:func:`branch_guests.keys` answers. Default: of all branches in the master's rings.
    test
        Say what would be done; guests that are still to be made count as made. Default ``False``.
    timeout
        Seconds that hosts have for their answer. Default: the master's ``timeout``, and 15 at least.

    Returns:
        ``steps`` (list of mappings with ``do``, ``what``, ``old``, ``new``), ``silent`` (list of hosts), ``failed``
        (host to what it answered instead, or the reason why that counts for nothing) and ``refused`` (minion id to the
        reason).

    CLI Example:

    .. code-block:: bash

        salt-run onepass.guest_keys
        salt-run onepass.guest_keys test=True

    .. versionadded:: 0.1.0
    """
    modules, pillar = _execution_modules(), _pillar()
    if keys is None:
        rings = _ask(modules, "branches", "rings", pillar.get("branches"))
        keys = {minion: each for ring in rings for minion, each in ring["keys"].items()}
    hosts = {each["host"] for each in keys.values()}
    told = __salt__["onepass_hosts.ask"](sorted(hosts), "libvirt_clone.list", timeout=timeout) if hosts else {}
    failed = {host: answer for host, answer in told.items() if not isinstance(answer, dict)}
    told = {host: clones for host, clones in told.items() if host not in failed}
    held = __salt__["onepass_keys.held"](keys, told, write=not test)
    steps = modules["branch_guests.key_steps"](keys, told, held, test, _strangers(keys, pillar, modules))
    wanted = [step for step in steps if not step["refused"]]
    if not test:
        __salt__["onepass_keys.hold"](wanted)
    shown = [{part: step[part] for part in ("do", "what", "old", "new")} for step in wanted]
    refused = {step["id"]: step["refused"] for step in steps if step["refused"]}
    return {"steps": shown, "silent": sorted(hosts - set(told) - set(failed)), "failed": failed, "refused": refused}


def _strangers(keys: dict, pillar: dict, modules) -> dict:
    """Whose ids no guest can have, in small letters, to who has them."""
    named = {__opts__["id"].removesuffix("_master"): "the master"}
    for places in _judged(modules, [], pillar)[1].values():
        named |= places
    if keys and pillar.get("branches") is not None:
        branches = sorted({minion.partition(".")[2] for minion in keys})
        named |= modules["branch_fleet.hosts"](branches, pillar["branches"])
    return {minion.lower(): path for minion, path in named.items()}


# Words


def _read(function: str, *given) -> list:
    """What the pillar's files tell: the places of given faults, or what is no YAML."""
    modules = _execution_modules()
    if "pillar_files.below" not in modules:
        return next(iter(given), [])
    roots = [root for places in __opts__.get("pillar_roots", {}).values() for root in places]
    with contextlib.suppress(CommandExecutionError):  # so many files that none is read
        return modules[f"pillar_files.{function}"](*given, modules["pillar_files.below"](roots))
    return next(iter(given), [])


def _report(faults: list) -> str:
    at = [f" ({each['place']})" if "place" in each else "" for each in faults]
    lines = [f"  {each['path']}{at}: {each['fault']}; {each['remedy']}" for each, at in zip(faults, at, strict=True)]
    if len(lines) > MOST:
        lines[MOST:] = [f"  and {len(lines) - MOST} more"]
    head = f"{len(faults)} fault{'s' * (len(faults) > 1)}, no host was touched"
    return "\n".join([head, *lines, *[HINT] * _typed()])


def _counted(summary: dict) -> str:
    return ", ".join(f"{number} {_one(what) if number == 1 else what}" for what, number in summary.items())


def _one(what: str) -> str:
    return what.removesuffix("es" if what.endswith("ches") else "s")


# What is there


def status(areas: str | list | None = None, timeout: int | None = None):
    """
    The estate as it is, all areas in one call: sets with their members, tenants, replicas, branches; and who is silent.

    Each area's minions are asked by the master; nothing is changed.

    areas
        Parts of the pillar to look at, such as ``mongodb`` or a list. Default: all that are there.
    timeout
        Seconds that minions have for their answer. Default: the master's ``timeout``, and 15 at least.

    Returns:
        A table; with ``--out=json`` or for another function numbers and lists, see :py:func:`estate_status.told`, whose
        ``code`` is the command's exit code: 0 all is as wanted, 1 there is a fault, 2 a host is silent, 3 something is
        behind, or a run would change it.

    Raises ``CommandExecutionError`` for areas that the pillar does not have.

    CLI Example:

    .. code-block:: bash

        salt-run onepass.status
        salt-run onepass.status mongodb --out=json

    .. versionadded:: 0.1.0
    """
    modules = _execution_modules()
    seen = _seen(areas, timeout, modules)
    found = modules["estate_status.told"](seen)
    return _coded(found["data"], found["text"], found["data"]["code"])


def graph(path: str = "estate.html", title: str = "The estate", state: bool = False, timeout: int | None = None):
    """
    The estate as one page for a browser or a wall: data centre, tenants, branches, and who replicates with whom; on
    request with their state.

    What is drawn is what the pillar describes. Many branches are drawn as a cell each. The page needs no network.

    path
        The file to write: an SVG if its name ends so, else an HTML page. Default ``estate.html``.
    title
        What stands above it. Default ``The estate``.
    state
        Look at everything as :py:func:`status` does, and colour it. Default ``False``.
    timeout
        Seconds that minions have for their answer. Default: the master's ``timeout``, and 15 at least.

    Returns:
        ``written``: the file. With ``state``, ``silent`` and ``fault`` as far as there are any.

    Raises ``CommandExecutionError`` without ``dot``, which lays it out (Debian's package ``graphviz``), for a file that
    cannot be written, and, with the page written, when an area cannot be looked at.

    CLI Example:

    .. code-block:: bash

        salt-run onepass.graph /srv/www/estate.html title='The bank' state=True

    .. versionadded:: 0.1.0
    """
    pillar, modules = _pillar(), _execution_modules()
    drawn = [modules[f"{ESTATES[area]}.drawn"](pillar[area]) for area in _areas(None, pillar)]
    seen = _seen(None, timeout, modules) if state else {}
    states = {thing: how for each in seen.values() for thing, how in each["states"].items()}
    dot = _laid_out(modules["estate_graph.dot"](title, drawn, states if state else None), modules)
    rings = [
        modules["estate_ring.picture"](each["rings"], states if state else None) for each in drawn if "rings" in each
    ]
    svgs = [modules["estate_graph.picture"](dot), *rings]
    is_svg = path.endswith(".svg")
    made = modules["estate_graph.stacked"](svgs) if is_svg else modules["estate_graph.page"]("\n".join(svgs), title)
    try:
        with modules["onepass_host.told"](path):
            modules["onepass_host.write"](path, made)
    except CommandExecutionError as err:
        raise Refusal(f"The picture cannot be written: {err}") from None
    silent = [minion for each in seen.values() for minion in each["silent"]]
    faults = [each["fault"] for each in seen.values() if each["fault"]]
    told = {"written": os.path.abspath(path), **_only("silent", silent), **_only("fault", faults)}
    return _told(told, "\n".join(_aligned(told)), True) if faults else told


def _laid_out(picture: str, modules) -> str:
    try:
        return modules["onepass_host.run"](["dot", "-Tsvg"], picture)
    except CommandExecutionError as err:
        raise Refusal(f"{err}; Graphviz lays the picture out: apt-get install graphviz") from None


def _seen(areas: str | list | None, timeout: int | None, modules) -> dict:
    """Area to what its module makes of the answers."""
    pillar, found = _pillar(), {}
    for area in _areas(areas, pillar):
        estate = ESTATES[area]
        answers = [_answer(each, timeout, modules) for each in modules[f"{estate}.questions"](pillar[area])]
        more = modules[f"{estate}.again"](answers, pillar[area]) if area in ASKING_AGAIN else []
        answers += [_answer(each, timeout, modules) for each in more]
        found[area] = modules[f"{estate}.seen"](answers, pillar[area])
    return found


def _answer(question: dict, timeout: int | None, modules) -> dict:
    """Minion to answer; a question to no minion is the master's own, ``""``."""
    function, arg = question["function"], question["arg"]
    if question["minions"]:
        return __salt__["onepass_hosts.ask"](question["minions"], function, arg, timeout)
    if function not in modules:
        return {"": f"{function} is not available: {modules.missing_fun_string(function)}"}
    try:
        return {"": modules[function](*arg)}
    except (CommandExecutionError, SaltInvocationError) as err:
        return {"": str(err)}
    except KeyError as err:  # of Salt's loader: a module that needs what this master's Python does not have
        return {"": f"{function} needs {err.args[0]}, which this master's Python cannot load"}


def _only(name: str, things: list) -> dict:
    return {name: ", ".join(things)} if things else {}


def _aligned(lines: dict) -> list:
    wide = max(map(len, lines), default=0)
    return [f"  {what:{wide}}  {words}" for what, words in lines.items()]


# What would happen, what happens, what happened


def plan(name: str = SITE, every: int = 10, format: str = "text", full: bool = False):
    """
    An orchestration's dry run as a table of phase, hosts and change, with a hash over what would be changed.

    The pillar is checked first. A dry run asks each host, and sees the world as it is before the run: what it had to
    assume, and what it did not see at all, is said. It is a job of its own, and it does what an orchestration does in
    a dry run too: it brings the master's modules to hosts that have others. Beside a run that goes on it says so.

    Changes that differ in nothing but the name of a host or of a set are told once.

    name
        The orchestration. Default ``orchestrate.site``.
    every
        Seconds between two lines on what goes on, where no terminal is; what stays the same is told once a minute.
        Default 10.
    format
        ``text``, or ``markdown`` or ``html`` for a ticket. Default ``text``.
    full
        A line for each change of each host. Default ``False``.

    Returns:
        A table; with ``--out=json`` or for another function ``jid``, ``hash``, ``rows`` (each change with ``old`` and
        ``new``), ``done``, ``unknown`` and ``causes``, see :py:func:`orchestration.plan`; and ``beside`` when a run
        goes on. The progress goes to standard error.

    Raises ``CommandExecutionError`` for a pillar with faults, and, with the plan and the causes, for a dry run that
    failed somewhere.

    CLI Example:

    .. code-block:: bash

        salt-run onepass.plan
        salt-run onepass.plan orchestrate.mongodb format=markdown
        salt-run onepass.plan orchestrate.mongodb --out=json

    .. versionadded:: 0.1.0
    """
    modules = _execution_modules()
    if format not in (known := modules["orchestration_plan.forms"]()):
        raise Refusal(f"format: {format!r} is unknown; known are {', '.join(known)}")
    check(areas=_areas_of(name))
    beside = _beside(__salt__["onepass_begin.others"](name))
    job = __salt__["onepass_jobs.run"](name, test=True, every=every)
    return _told(**modules["orchestration_told.planned"]({**job, "beside": beside}, _width(), format, full))


def run(name: str = SITE, plan: str | None = None, every: int = 10, wait: bool | int = False, beside: bool = False):
    """
    Check the pillar, run an orchestration, and say all the while how far it is.

    The orchestration is a job of the master's own: Ctrl-C ends the watching and not the run, and says so. While
    another run of the same area goes on none is begun, and it is told how to follow that one.

    name
        The orchestration. Default ``orchestrate.site``.
    plan
        The hash of a plan: look again, by a dry run, and stop before the first write if something else would be changed
        by now. Ctrl-C meanwhile keeps the run from beginning. Default: do not look.
    every
        Seconds between two lines on what goes on, where no terminal is; what stays the same is told once a minute.
        Default 10.
    wait
        Seconds to wait for the end of another run of the same area; ``True`` is an hour. Default ``False``.
    beside
        Run beside another run of the same area. Default ``False``.

    Returns:
        The phases with their seconds and changes; with ``--out=json`` or for another function ``jid``, ``name``,
        ``test``, ``seconds``, ``causes`` and what :py:func:`orchestration.summary` answers. The progress goes to
        standard error.

    Raises ``CommandExecutionError`` for a pillar with faults, beside another run, for a world that has moved, and for a
    run that failed: with what failed, what was not begun because of that, and what went on.

    CLI Example:

    .. code-block:: bash

        salt-run onepass.run
        salt-run onepass.run orchestrate.mongodb plan=cghpidgnajbl
        salt-run onepass.run orchestrate.mongodb wait=True

    .. versionadded:: 0.1.0
    """
    if wait:
        __salt__["onepass_begin.wait"](name, HOUR if wait is True else wait)
    elif not beside:
        __salt__["onepass_begin.refuse"](name, hint=ALL_THE_SAME)
    check(areas=_areas_of(name))
    if plan:
        __salt__["onepass_begin.as_planned"](name, plan, every, _width())
    job = __salt__["onepass_jobs.run"](name, every=every, pillar=BESIDE if beside else None)
    return _told(**_execution_modules()["orchestration_told.ended"](job, _width()))


def watch(jid: str | None = None, timeout: int = 3600, every: int = 10):
    """
    Follow somebody's orchestration until it ends, as :py:func:`run` follows its own.

    jid
        Its job id. Default: the one that is running, else the next one that begins on this master.
    timeout
        Seconds to wait for its beginning. Default 3600.
    every
        Seconds between two lines on what goes on, where no terminal is; what stays the same is told once a minute.
        Default 10.

    Returns:
        What :py:func:`run` returns.

    Raises ``CommandExecutionError`` when none begins, and for a run that failed.

    CLI Example:

    .. code-block:: bash

        salt-run onepass.watch

    .. versionadded:: 0.1.0
    """
    job = __salt__["onepass_jobs.follow"](jid, timeout, every)
    return _told(**_execution_modules()["orchestration_told.ended"](job, _width()))


def explain(jid: str | None = None):
    """
    Why a run failed: the first cause on each host with what was wanted, what was seen, and what to do next.

    Hosts that failed alike are one paragraph. It is read from the master's job cache.

    jid
        The job id of an orchestration, or of states that minions applied. Default: the last orchestration.

    Returns:
        A paragraph per cause; with ``--out=json`` or for another function ``jid``, ``name``, ``test`` and ``causes``,
        see :py:func:`orchestration.causes`.

    Raises ``CommandExecutionError`` when the job cache does not have that job.

    CLI Example:

    .. code-block:: bash

        salt-run onepass.explain

    .. versionadded:: 0.1.0
    """
    modules = _execution_modules()
    job = __salt__["onepass_jobs.get"](jid)
    if "steps" not in job:
        raise Refusal(f"{modules['orchestration_text.named'](job)} still runs: salt-run onepass.watch {job['jid']}")
    return _told(**modules["orchestration_told.explained"](job, _width()))


def solution(message: str):
    """
    What a message of the bundle means, and what to do: the errors and solutions of its documentation.

    message
        The message, or any text with it inside, such as a state's whole comment.

    Returns:
        The explanation that fits best; with ``--out=json`` or for another function a list of all, see
        :py:func:`onepass_solution.find`.

    Raises ``CommandExecutionError`` when no message of the bundle is in the text.

    CLI Example:

    .. code-block:: bash

        salt-run onepass.solution 'mongodb:routers:1: no minion has the id r9.dc'

    .. versionadded:: 0.1.0
    """
    try:
        found = _execution_modules()["onepass_solution.find"](message)
    except CommandExecutionError as err:
        raise Refusal(str(err)) from None
    return _told(found, _explanation(found[0]))


def _explanation(entry: dict) -> str:
    parts = {"means": entry["meaning"], "to do": entry["solution"]}
    wrap = textwrap.TextWrapper(_width(), initial_indent="  ", subsequent_indent=" " * 9)
    head = f"{entry['area']}: {entry['error'].replace('*', '…')}"
    return "\n".join([head, *(wrap.fill(f"{name}  {words}") for name, words in parts.items())])


# Ends


def _beside(runs: list) -> str:
    """What a plan says of a run that goes on."""
    if not runs:
        return ""
    return (
        f"{__salt__['onepass_begin.since'](runs[0])} (job {runs[0]['jid']}); what it still changes is in this plan too"
    )


def _areas_of(name: str) -> list | None:
    """The area that an orchestration is of, when it has its name; else all that are there."""
    area = name.rpartition(".")[2]
    return [area] if area in AREAS else None


def _told(data: dict | list, text: str, failed: bool = False):
    """A command's answer: text for somebody at a terminal, else data. What failed ends with an exit code of 1."""
    if _typed() and __opts__.get("output"):
        return {**data, "retcode": 1} if failed else data
    if isinstance(data, dict) and data.get("causes"):
        text = f"{text}\n\n{HINT}"
    text = __salt__["onepass_answers.printable"](text)
    if failed:
        raise Refusal(text)
    return text if _typed() else data


class Screen(str):
    """A text with an exit code, which salt-run takes from an answer's data, as if these were a mapping."""

    def __new__(cls, text: str, code: int):
        made = super().__new__(cls, text)
        made.code = code
        return made

    def __contains__(self, part) -> bool:
        return part == "retcode" or super().__contains__(part)

    def __getitem__(self, part):
        return self.code if part == "retcode" else super().__getitem__(part)


def _coded(data: dict, text: str, code: int):
    """A command's answer with an exit code that tells more than whether it failed."""
    if not code or not _typed():
        return _told(data, text)
    if __opts__.get("output"):
        return {**data, "retcode": code}
    return {"outputter": "nested", "data": Screen(__salt__["onepass_answers.printable"](text), code)}


def _wants_data() -> bool:
    """Whether somebody typed ``onepass.check --out=...``; the other commands check too, and answer something else."""
    return __opts__.get("fun") == "onepass.check" and bool(__opts__.get("output"))


def _typed() -> bool:
    """Whether somebody typed a command of this runner; else a state or another program has called it."""
    return str(__opts__.get("fun", "")).startswith("onepass.")


def _width() -> int:
    return shutil.get_terminal_size((120, 40)).columns
