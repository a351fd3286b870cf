"""
All branches together: what no branch's own pillar can show, and in which rings they are changed.

.. versionadded:: 0.1.0

Reads the branches' pillar files, without a master and without a minion; each is plain YAML with the key ``branch``.
700 branches take seconds::

    salt-call --local -m . branch_fleet.check pillar/branch

The order of an orchestration is the pillar's key ``branches`` on the master: ``rings`` (the first one is the canary)
and ``failures``, how many hosts of a ring may fail before no further ring is begun.
"""

import contextlib
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import onepass_lib
import yaml
from salt.exceptions import CommandExecutionError

onepass_lib.look(__file__)

from onepass_lib.branch import schema
from onepass_lib.core import form, pillar_file

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
KINDS = {"name": "name", "public": "public address", "address": "address", "mac": "MAC"}


def __virtual__():
    return "branch_fleet"


def check(directory: str | None = None) -> dict:
    """
    Refuse the branches with all their faults and clashes at once, each with file and line.

    directory
        Where the branches' pillar files are. Default: ``branch`` in the first of ``pillar_roots`` that has it.

    Returns:
        How many ``branches`` and ``hosts``.

    Raises ``CommandExecutionError`` with one line per fault.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_fleet.check pillar/branch

    .. versionadded:: 0.1.0
    """
    files = list(_files(directory))
    found = _all_faults(files)
    if found:
        raise CommandExecutionError(form.report("branch", found))
    return {"branches": len(files), "hosts": sum(len(each["sound"]["hosts"]) for each in files)}


def clashes(directory: str | None = None) -> list:
    """
    Everything that is wrong in any branch's file, and everything that two branches both have.

    directory
        As for :py:func:`check`.

    Returns:
        List of mappings: ``path`` (``rosario.sls:12: branch:hosts:ws017:vm:ip``), ``fault`` and ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_fleet.clashes pillar/branch

    .. versionadded:: 0.1.0
    """
    return _all_faults(list(_files(directory)))


def faults(pillar: dict | None = None, others: dict | None = None) -> list:
    """
    Everything that is wrong with the rings, and with any branch's file.

    pillar
        The value of the pillar's key ``branches``. Default: this minion's.
    others
        Minion ids that other areas of the pillar name, to the path there: no branch can have them. Default: none.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_fleet.faults '{rings: [[rosario], [salta]]}'

    .. versionadded:: 0.1.0
    """
    pillar = _pillar(pillar)
    if not isinstance(pillar, dict):
        return [{"path": "branches", "fault": "is no mapping", "remedy": "rings and failures"}]
    try:
        files = list(_files(pillar.get("directory")))
    except CommandExecutionError as err:
        found = {
            "path": "branches:directory",
            "fault": str(err),
            "remedy": "the folder that has a file for each branch",
        }
        return [*_ring_rule(pillar, None), found]
    known = {_branch(each["name"]) for each in files}
    return [*_ring_rule(pillar, known), *_all_faults(files), *_taken(files, others or {})]


def hosts(names: list, pillar: dict | None = None) -> dict:
    """
    Where the files of some branches name their gateways and workstations: minion id to file, line and path.

    names
        The branches. One without a file, or whose file has a fault, names nobody.
    pillar
        The value of the pillar's key ``branches``. Default: this minion's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_fleet.hosts '[rosario]' '{directory: pillar/branch}'

    .. versionadded:: 0.1.0
    """
    pillar, found = _pillar(pillar), {}
    with contextlib.suppress(CommandExecutionError):  # no directory, which is a fault
        for each in _files(pillar.get("directory") if isinstance(pillar, dict) else None, set(names)):
            places = __salt__["branch_pillar.places"](each["sound"]) if each["sound"] else {}
            found.update({minion: _located(each["name"], each["node"], path) for minion, path in places.items()})
    return found


def places(pillar: dict | None = None) -> dict:
    """
    Minions without which nothing may begin: none. Among thousands of workstations some are always off.

    pillar
        The value of the pillar's key ``branches``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_fleet.places '{}'

    .. versionadded:: 0.1.0
    """
    return {}


def summary(pillar: dict | None = None) -> dict:
    """
    How much the master's pillar describes: ``rings`` and ``branches``.

    pillar
        The value of the pillar's key ``branches``. Default: this minion's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_fleet.summary '{rings: [[rosario], [salta]]}'

    .. versionadded:: 0.1.0
    """
    rings = _rings(_pillar(pillar))
    return {"rings": len(rings), "branches": sum(map(len, rings))}


def rings(pillar: dict | None = None) -> list:
    """
    The rings with their minions: targets of an orchestration. What :py:func:`faults` refuses is left out.

    pillar
        The value of the pillar's key ``branches``. Default: this minion's.

    Returns:
        List of mappings: ``name`` (``canary``, ``ring-1``...), ``gateways``, ``workstations``, ``guests`` (those of the
        workstations that have any, or a network for them), ``keys`` (see :py:func:`branch_guests.keys`) and
        ``failures``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_fleet.rings '{rings: [[rosario], [salta]], directory: pillar/branch}'

    .. versionadded:: 0.1.0
    """
    pillar, found = _pillar(pillar), []
    for number, branches in enumerate(_sound(pillar)):
        targets = [__salt__["branch_pillar.hosts"](each) for each in branches]
        found.append(
            {
                "name": f"ring-{number}" if number else "canary",
                "gateways": [each["gateway"] for each in targets],
                "workstations": [host for each in targets for host in each["workstations"]],
                "guests": [host for each in branches for host in __salt__["branch_guests.concerned"](each)],
                "keys": {key: by for each in branches for key, by in __salt__["branch_guests.keys"](each).items()},
                "failures": (_failures(pillar) or 0) if number else 0,
            }
        )
    return found


def branches(pillar: dict | None = None) -> list:
    """
    The pillars of the branches in the rings, in the rings' order. What :py:func:`faults` refuses is left out.

    pillar
        The value of the pillar's key ``branches``. Default: this minion's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_fleet.branches '{rings: [[rosario], [salta]], directory: pillar/branch}'

    .. versionadded:: 0.1.0
    """
    return [branch for ring in _sound(_pillar(pillar)) for branch in ring]


def _pillar(pillar):
    return __salt__["onepass.given"]("branches", pillar)


def _rings(pillar) -> list:
    """The rings as far as they are lists of names."""
    given = pillar.get("rings") if isinstance(pillar, dict) else None
    rings = [ring for ring in given if isinstance(ring, list)] if isinstance(given, list) else []
    return [[name for name in ring if isinstance(name, str)] for ring in rings]


def _sound(pillar) -> list:
    """The branches of each ring that have no fault."""
    rings, by_name = _rings(pillar), {}
    with contextlib.suppress(CommandExecutionError):  # no directory, which is a fault
        files = _files(pillar.get("directory")) if rings else ()
        by_name = {each["sound"]["name"]: each["sound"] for each in files if each["sound"]}
    return [[by_name[name] for name in ring if name in by_name] for ring in rings]


def _failures(pillar: dict) -> int | None:
    """How many hosts of a ring may fail; ``None`` when what is said is no such number."""
    failures = pillar.get("failures", 0)
    return failures if isinstance(failures, int) and not isinstance(failures, bool) and failures >= 0 else None


def _ring_rule(pillar: dict, known: set | None) -> Iterator[dict]:
    """Faults of the rings; whether there are such branches, only when it is known which there are."""
    given, seen = pillar.get("rings"), {}
    if _failures(pillar) is None:
        remedy = "how many hosts of a ring may fail, 0 or more"
        yield {"path": "branches:failures", "fault": f"is {pillar['failures']!r}", "remedy": remedy}
    if not isinstance(given, list) or not all(isinstance(ring, list) and ring for ring in given) or not given:
        remedy = "a list of lists of branches; the first is the canary"
        yield {"path": "branches:rings", "fault": f"is {given!r}", "remedy": remedy}
        return
    for number, ring in enumerate(given):
        for place, name in enumerate(ring):
            path = f"branches:rings:{number}:{place}"
            if not isinstance(name, str):
                yield {"path": path, "fault": f"is {name!r}", "remedy": "a branch's name: text, without a colon"}
            elif known is not None and name not in known:
                yield {"path": path, "fault": f"is {name!r}, which no branch's file describes", "remedy": "its file"}
            elif seen.setdefault(name, path) != path:
                yield {"path": path, "fault": f"is {name}, as {seen[name]} is", "remedy": "each branch once"}


# The files


def _directory(directory: str | None) -> Path:
    roots = (__opts__.get("pillar_roots") or {}).get("base", [])
    places = [Path(str(directory))] if directory else [Path(root) / "branch" for root in roots]
    found = next((place for place in places if place.is_dir()), None)
    if not found:
        raise CommandExecutionError(f"No directory of branches: {', '.join(map(str, places))}")
    return found


def _files(directory: str | None, names: set | None = None) -> Iterator[dict]:
    """Each file with its ``faults``, what it ``holds`` for itself and, if it has no fault, its ``sound`` pillar."""
    root = _directory(directory)
    for path in map(Path, pillar_file.below([str(root)])):
        name = str(path.relative_to(root))
        if names is None or _branch(name) in names:
            yield _file(name, path)


def _branch(name: str) -> str:
    """The branch whose minions are given a file."""
    return name.removesuffix(".sls").replace("/", ".")


def _file(name: str, path: Path) -> dict:
    try:
        loader = LOADER(path.read_bytes().decode())
        node = loader.get_single_node()
        data = loader.construct_document(node) if node else None
        twice = list(_repeated(node, "branch", set()))
    except (OSError, yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as err:
        return {"name": name, "faults": [_unread(name, err)], "holds": {}, "sound": None, "node": None}
    given = data.get("branch") if isinstance(data, dict) else None
    pillar = given if given is None else __salt__["onepass.given"]("branch", given)
    found = __salt__["branch_pillar.faults"](pillar if pillar is not None else {})
    found = [dict(each, path=_located(name, node, each["path"])) for each in [*twice, *found]]
    expected = _branch(name)
    if not found and pillar["name"] != expected:
        fault = f"is {pillar['name']!r}, but minions of *.{pillar['name']} are not given this file"
        path = _located(name, node, "branch:name")
        found.append({"path": path, "fault": fault, "remedy": f"{expected!r}, or another file name"})
    sound = pillar if not found else schema.sound(pillar)
    holds = __salt__["branch_pillar.addresses"](sound)
    return {"name": name, "faults": found, "holds": holds, "sound": None if found else pillar, "node": node}


def _unread(name: str, err: Exception) -> dict:
    if isinstance(err, OSError):
        return {"path": name, "fault": f"cannot be read: {err.strerror}", "remedy": "a file that Salt's user can read"}
    if isinstance(err, UnicodeDecodeError):
        line, byte = err.object.count(b"\n", 0, err.start) + 1, err.object[err.start]
        fault = f"is no UTF-8, with the byte {byte:#x}"
        return {"path": f"{name}:{line}", "fault": fault, "remedy": "a file saved as UTF-8"}
    if isinstance(err, RecursionError):
        return {"path": name, "fault": "is nested too deep, or holds itself", "remedy": "no alias of what is around it"}
    mark = getattr(err, "problem_mark", None)
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else f"{name}:1"
    fault = f"is no plain YAML: {pillar_file.reason(err)}"
    return {"path": where, "fault": fault, "remedy": "data only, no Jinja"}


def _located(name: str, node, path: str) -> str:
    """A pillar path with its file and the line of what it leads to, or of what is nearest to it."""
    line = node.start_mark.line if node else 0
    for step in path.split(":"):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((key, value) for key, value in pairs if key.value == step), None)
        if isinstance(node, yaml.SequenceNode) and step.isdecimal() and len(step) < 9 and int(step) < len(node.value):
            found = node.value[int(step)], node.value[int(step)]
        if not found:
            break
        line, node = found[0].start_mark.line, found[1]
    return f"{name}:{line + 1}: {path}"


def _repeated(node, path: str, told: set) -> Iterator[dict]:
    """Keys that are there twice, of which YAML would silently take the last; a node is looked at in one place."""
    pairs = node.value if isinstance(node, yaml.MappingNode) and id(node) not in told else []
    told.add(id(node))
    seen = set()
    for key, value in pairs:
        here = key.value if path == "branch" and key.value == "branch" else f"{path}:{key.value}"
        if key.value in seen:
            yield {"path": here, "fault": f"is there twice, again in line {key.start_mark.line + 1}", "remedy": "once"}
        seen.add(key.value)
        yield from _repeated(value, here, told)


# What two branches both have


def _all_faults(files: list) -> list:
    return [fault for each in files for fault in each["faults"]] + _shared(files) + _overlaps(files)


def _taken(files: list, others: dict) -> list:
    """Minions that another area of the pillar names too; an id in other letters is the same host."""
    taken = {minion.lower(): path for minion, path in others.items()}
    return [
        {
            "path": _located(each["name"], each["node"], path),
            "fault": f"is the minion {minion}, as {taken[minion.lower()]} is",
            "remedy": "each minion in one area of the pillar",
        }
        for each in files
        for minion, path in (_minions(each["sound"]) if each["sound"] else {}).items()
        if minion.lower() in taken
    ]


def _minions(sound: dict) -> dict:
    return {**__salt__["branch_guests.places"](sound), **__salt__["branch_pillar.places"](sound)}


def _claims(files: list, kind: str) -> list:
    return [(value, each, path) for each in files for value, path in each["holds"].get(kind, ())]


def _shared(files: list) -> list:
    found = []
    for kind, what in KINDS.items():
        first = {}
        for value, each, path in _claims(files, kind):
            other, place = first.setdefault(value, (each, path))
            if other is not each:
                found.append(_clash(each, path, f"the {what} {value} is at {_place(other, place)} already"))
    return found


def _overlaps(files: list) -> list:
    """Sorted by their first address, a network can only overlap one that began before it and has not ended yet."""
    claims = [(ipaddress.ip_network(value), each, path) for value, each, path in _claims(files, "network")]
    found, last = [], None
    for claim in sorted(claims, key=lambda each: (each[0].version, int(each[0].network_address), each[0].prefixlen)):
        network, each, path = claim
        if last and last[0].version == network.version and network.overlaps(last[0]):
            found.append(_clash(each, path, f"{network} overlaps {last[0]} at {_place(last[1], last[2])}"))
        if not last or last[0].version != network.version or network.broadcast_address > last[0].broadcast_address:
            last = claim
    return found


def _place(each: dict, path: str) -> str:
    return _located(each["name"], each["node"], f"branch:{path}")


def _clash(each: dict, path: str, fault: str) -> dict:
    return {"path": _place(each, path), "fault": fault, "remedy": "each branch its own"}
