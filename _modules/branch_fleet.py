"""
All branches together: what no branch's own pillar can show, and in which rings they are changed.

.. versionadded:: 0.1.0

Reads the branches' pillar files, without a master and without a minion; each is plain YAML with the key ``branch``.
700 branches take seconds::

    salt-call --local -m . branch_fleet.check pillar/branch

The order of an orchestration is the pillar's key ``branches`` on the master: ``rings`` (the first one is the canary)
and ``failures``, how many hosts of a ring may fail before no further ring is begun.
"""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

import yaml
from salt.exceptions import CommandExecutionError, SaltInvocationError

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

    Raises ``SaltInvocationError`` with one line per fault.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_fleet.check pillar/branch

    .. versionadded:: 0.1.0
    """
    files = list(_files(directory))
    found = _all_faults(files)
    if found:
        raise SaltInvocationError(__salt__["pillar_form.report"]("branch", found))
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


def faults(pillar: dict | None = None) -> list:
    """
    Everything that is wrong with the rings, and with any branch's file.

    pillar
        The value of the pillar's key ``branches``. Default: this minion's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_fleet.faults '{rings: [[rosario], [salta]]}'

    .. versionadded:: 0.1.0
    """
    pillar = _pillar(pillar)
    if not isinstance(pillar, dict):
        return [{"path": "branches", "fault": "is no mapping", "remedy": "rings and failures"}]
    files = list(_files(pillar.get("directory")))
    known = {each["sound"]["name"] for each in files if each["sound"]}
    return list(_ring_rule(pillar, known)) + _all_faults(files)


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
    rings = _pillar(pillar)["rings"]
    return {"rings": len(rings), "branches": sum(map(len, rings))}


def rings(pillar: dict | None = None) -> list:
    """
    The rings with their minions: targets of an orchestration. A branch whose file has a fault is left out.

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
    pillar = _pillar(pillar) or {}
    wanted = _rings(pillar)
    by_name = {each["sound"]["name"]: each["sound"] for each in _files(pillar.get("directory")) if each["sound"]}
    found = []
    for number, ring in enumerate(wanted):
        branches = [by_name[name] for name in ring if name in by_name]
        targets = [__salt__["branch_pillar.hosts"](each) for each in branches]
        found.append(
            {
                "name": f"ring-{number}" if number else "canary",
                "gateways": [each["gateway"] for each in targets],
                "workstations": [host for each in targets for host in each["workstations"]],
                "guests": [host for each in branches for host in __salt__["branch_guests.concerned"](each)],
                "keys": {key: by for each in branches for key, by in __salt__["branch_guests.keys"](each).items()},
                "failures": pillar.get("failures", 0) if number else 0,
            }
        )
    return found


def branches(pillar: dict | None = None) -> list:
    """
    The pillars of the branches in the rings, in the rings' order. A branch whose file has a fault is left out.

    pillar
        The value of the pillar's key ``branches``. Default: this minion's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_fleet.branches '{rings: [[rosario], [salta]], directory: pillar/branch}'

    .. versionadded:: 0.1.0
    """
    pillar = _pillar(pillar) or {}
    by_name = {each["sound"]["name"]: each["sound"] for each in _files(pillar.get("directory")) if each["sound"]}
    return [by_name[name] for ring in _rings(pillar) for name in ring if name in by_name]


def _pillar(pillar):
    return __salt__["onepass.given"]("branches", pillar)


def _rings(pillar):
    return [ring for ring in pillar.get("rings", []) if isinstance(ring, list)]


def _ring_rule(pillar: dict, known: set) -> Iterator[dict]:
    given, failures, seen = pillar.get("rings"), pillar.get("failures", 0), {}
    if not isinstance(given, list) or not all(isinstance(ring, list) and ring for ring in given) or not given:
        remedy = "a list of lists of branches; the first is the canary"
        yield {"path": "branches:rings", "fault": f"is {given!r}", "remedy": remedy}
        return
    if not isinstance(failures, int) or isinstance(failures, bool) or failures < 0:
        remedy = "how many hosts of a ring may fail, 0 or more"
        yield {"path": "branches:failures", "fault": f"is {failures!r}", "remedy": remedy}
    for number, ring in enumerate(given):
        for place, name in enumerate(ring):
            path = f"branches:rings:{number}:{place}"
            if name not in known:
                yield {"path": path, "fault": f"is {name!r}, which no branch's file describes", "remedy": "its file"}
            elif seen.setdefault(name, path) != path:
                yield {"path": path, "fault": f"is {name}, as {seen[name]} is", "remedy": "each branch once"}


# The files


def _directory(directory: str | None) -> Path:
    roots = (__opts__.get("pillar_roots") or {}).get("base", [])
    places = [Path(directory)] if directory else [Path(root) / "branch" for root in roots]
    found = next((place for place in places if place.is_dir()), None)
    if not found:
        raise CommandExecutionError(f"No directory of branches: {', '.join(map(str, places))}")
    return found


def _files(directory: str | None) -> Iterator[dict]:
    """Each file with its ``faults``, what it ``holds`` for itself and, if it has no fault, its ``sound`` pillar."""
    root = _directory(directory)
    for path in sorted(root.rglob("*.sls")):
        yield _file(str(path.relative_to(root)), path.read_text())


def _file(name: str, text: str) -> dict:
    try:
        loader = LOADER(text)
        node = loader.get_single_node()
        data = loader.construct_document(node) if node else None
    except yaml.YAMLError as err:
        fault = {"path": f"{name}:{_mark_line(err)}", "fault": "is no plain YAML", "remedy": "data only, no Jinja"}
        return {"name": name, "faults": [fault], "holds": {}, "sound": None, "node": None}
    pillar = data.get("branch") if isinstance(data, dict) else None
    found = __salt__["branch_pillar.faults"](pillar if pillar is not None else {})
    found = [dict(each, path=_located(name, node, each["path"])) for each in [*_repeated(node, "branch"), *found]]
    expected = name.removesuffix(".sls").replace("/", ".")
    if not found and pillar["name"] != expected:
        fault = f"is {pillar['name']!r}, but minions of *.{pillar['name']} are not given this file"
        path = _located(name, node, "branch:name")
        found.append({"path": path, "fault": fault, "remedy": f"{expected!r}, or another file name"})
    sound = pillar if not found else __salt__["branch_schema.sound"](pillar)
    holds = __salt__["branch_pillar.addresses"](sound)
    return {"name": name, "faults": found, "holds": holds, "sound": None if found else pillar, "node": node}


def _mark_line(err) -> int:
    mark = getattr(err, "problem_mark", None)
    return mark.line + 1 if mark else 1


def _located(name: str, node, path: str) -> str:
    """A pillar path with its file and the line of what it leads to, or of what is nearest to it."""
    line = node.start_mark.line if node else 0
    for step in path.split(":"):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((key, value) for key, value in pairs if key.value == step), None)
        if isinstance(node, yaml.SequenceNode) and step.isdecimal() and int(step) < len(node.value):
            found = node.value[int(step)], node.value[int(step)]
        if not found:
            break
        line, node = found[0].start_mark.line, found[1]
    return f"{name}:{line + 1}: {path}"


def _repeated(node, path: str) -> Iterator[dict]:
    """Keys that are there twice, of which YAML would silently take the last."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    seen = set()
    for key, value in pairs:
        here = key.value if path == "branch" and key.value == "branch" else f"{path}:{key.value}"
        if key.value in seen:
            yield {"path": here, "fault": f"is there twice, again in line {key.start_mark.line + 1}", "remedy": "once"}
        seen.add(key.value)
        yield from _repeated(value, here)


# What two branches both have


def _all_faults(files: list) -> list:
    return [fault for each in files for fault in each["faults"]] + _shared(files) + _overlaps(files)


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
