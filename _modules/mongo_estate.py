"""
The MongoDB area as it is: what to ask of whom, what the answers mean, and how the cluster is drawn.

.. versionadded:: 0.1.0

Every area has a module of these three functions; the runner ``onepass`` asks for all of them. Nothing here asks::

    salt-call --local -m . --pillar-root pillar --id r1.dc mongo_estate.drawn
"""

import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.mongo import schema

__virtualname__ = "mongo_estate"

GOOD = ("PRIMARY", "SECONDARY", "ARBITER")
# Seconds behind the primary from which on a secondary is told of; a set that nobody writes to has a write each ten.
MOST_LAG = 30


def __virtual__():
    return __virtualname__


def questions(pillar=None):
    """
    What the master has to ask in order to know how the cluster is.

    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.

    Returns:
        List of mappings: ``minions`` (none: the master itself), ``function`` and ``arg``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id r1.dc mongo_estate.questions

    .. versionadded:: 0.1.0
    """
    hosts, pillar = __salt__["mongo_pillar.hosts"](pillar), __salt__["onepass.given"]("mongodb", pillar)
    there = sorted({*hosts["all"], *hosts["gone"]})
    asked = [{"minions": there, "function": "mongo_units.there", "arg": []}]
    for router in hosts["cluster"]:
        connection = __salt__["mongo_config.settings"](router, pillar)["router"]
        asked.append({"minions": [router], "function": "mongo_shard.topology", "arg": [connection]})
    return asked


def seen(answers, pillar=None):
    """
    What the answers mean: the cluster's sets and collections in a line each.

    answers
        Minion to answer, for each question.
    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.

    Returns:
        ``lines`` (what is looked at, to words), ``states`` (to ``ok``, ``changed``, ``broken`` or ``silent``),
        ``silent`` (minions), ``fault`` (why the area cannot be looked at, or ``None``), ``broken`` and ``behind``
        (sentences: what is a fault; what a run, or time, brings), ``named`` (what of these is in the lines already) and
        ``data``: ``sets`` (set to ``role``, ``primary`` and ``members``, each with ``state`` and ``lag`` in seconds),
        ``collections`` (to ``key`` and ``chunks``) and ``units`` (minion to the units that serve nothing).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar mongo_estate.seen '[{}, {}]'

    .. versionadded:: 0.1.0
    """
    asked, site = questions(pillar), __salt__["mongo_pillar.site"](pillar)
    told, minions = answers[0], asked[0]["minions"]
    silent = [minion for minion in minions if told.get(minion) is None or told.get(minion) is False]
    unneeded = {minion: names for minion in minions if (names := _unneeded(minion, told.get(minion), pillar))}
    found = {"lines": {}, "states": dict.fromkeys(silent, "silent"), "silent": silent, "fault": None}
    old = [minion for minion in minions if isinstance(told.get(minion), str)]
    behind = [f"{minion}: its units are not known ({told[minion]}); a run brings the modules" for minion in old]
    behind += [f"{minion}: {_left(each)}" for minion, each in unneeded.items()]
    found.update({"broken": [], "behind": behind, "named": []})
    found["data"] = {"sets": {}, "collections": {}, "units": {minion: list(each) for minion, each in unneeded.items()}}
    router = asked[1]["minions"][0] if asked[1:] else "any router"
    topology = answers[1].get(router, f"{router} does not answer") if asked[1:] else "the pillar has no router"
    if not isinstance(topology, dict) and _is_blank(told):
        return {**found, "behind": ["nothing is built yet: salt-run onepass.run orchestrate.mongodb"]}
    if not isinstance(topology, dict):
        return {**found, "fault": f"the cluster cannot be looked at from {router}: {topology}"}
    _take_sets(found, topology, site)
    found["data"]["collections"] = topology["collections"]
    found["lines"].update({f"collection {name}": _sharding(each) for name, each in topology["collections"].items()})
    found["states"].update({minion: "ok" for minion in minions if minion not in silent})
    return found


def _is_blank(told):
    """Whether no host that answers has a unit of the formula's, or so much as the modules to look for one."""
    heard = [each for each in told.values() if each is not None and each is not False]
    return bool(heard) and all(each == {} or __salt__["estate_status.lacks"](each) for each in heard)


def doubts(pillar=None):
    """
    What the master has to ask in order to know whether a run would refuse the pillar: sets that would lose a member.

    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.

    Returns:
        As for :py:func:`questions`; none where each set may lose members.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id r1.dc mongo_estate.doubts

    .. versionadded:: 0.1.0
    """
    hosts, site = __salt__["mongo_pillar.hosts"](pillar), __salt__["mongo_pillar.site"](pillar)
    sets = {
        each["name"]: [m["host"] for m in each["members"] if m] for each in site["sets"] if not each["remove_extra"]
    }
    return [{"minions": hosts["members"], "function": "mongo_daemon.extras", "arg": [sets]}] if sets else []


def refused(answers, pillar=None):
    """
    What a run would refuse: faults as :py:func:`mongo_pillar.faults` has them.

    answers
        Minion to answer, for each question of :py:func:`doubts`.
    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar mongo_estate.refused '[{s1a.dc: {s1: ["s1x.dc:27017"]}}]'

    .. versionadded:: 0.1.0
    """
    found = {}
    for told in answers:
        for answer in told.values():
            found.update({name: extra for name, extra in answer.items() if extra} if isinstance(answer, dict) else {})
    site = __salt__["mongo_pillar.site"](__salt__["onepass.given"]("mongodb", pillar))
    hosts = {each["name"]: {_name(member["host"]) for member in each["members"] if member} for each in site["sets"]}
    return [fault for name, extra in sorted(found.items()) for fault in _unlisted(name, extra, hosts.get(name, ()))]


def _unlisted(name, extra, hosts):
    """A host's member at another port is one that would move, and none to be removed."""
    moved = [member for member in extra if _name(member) in hosts]
    gone = [member for member in extra if member not in moved]
    path = f"mongodb:replsets:{name}:members"
    if moved:
        fault = f"the living members are at {', '.join(moved)}, and their set knows them by these ports only"
        remedy = "put the ports back, or change each host in the set first, one at a time (onepass.solution tells how)"
        yield {"path": path, "fault": fault, "remedy": remedy}
    if gone:
        fault = f"the set has members that are not listed: {', '.join(gone)}"
        remedy = "add them, or remove_extra: true at the set, which removes them once the others have all data"
        yield {"path": path, "fault": fault, "remedy": remedy}


def _name(address):
    return address.rpartition(":")[0].lower()


def _take_sets(found, topology, site):
    """The sets as they tell of themselves, beside what the pillar says of them."""
    wanted = {each["name"]: each for each in site["sets"]}
    config = next((name for name, each in wanted.items() if each["role"] == "config"), "config")
    there = [("config", "config servers", config, topology["config"])]
    there += [("shard", f"shard {name}", name, each) for name, each in topology["shards"].items()]
    for role, title, called, each in there:
        name = each.get("replset", called)
        members = [member for member in wanted.pop(name, {}).get("members", ()) if member]
        found["lines"][title] = _members(each)
        found["data"]["sets"][name] = {"role": role, "primary": each.get("primary"), "members": _numbers(each)}
        found["states"].update({host: "ok" if state in GOOD else "broken" for host, state in each["members"].items()})
        found["broken"] += [f"{title}: {fault}" for fault in _faults(each)]
        found["behind"] += [f"{title}: {line}" for line in [*_late(each, members), *_other(each, members)]]
        found["behind"] += [f"{title}: config.shards: {line}" for line in each.get("unlike", ()) if role == "shard"]
    found["behind"] += [f"{each['role']} {name} is not in the cluster yet" for name, each in wanted.items()]


def _faults(each):
    bad = [f"{host} is {state}" for host, state in each["members"].items() if state not in GOOD]
    return bad + ([] if "PRIMARY" in each["members"].values() else ["no member is primary"])


def _late(each, members):
    """Secondaries that are further behind than they are meant to be."""
    delays = {member["host"].lower(): member.get("secondaryDelaySecs", 0) for member in members}
    lag = {host: seconds - delays.get(host.lower(), 0) for host, seconds in each.get("lag", {}).items()}
    return [f"{host} lags {seconds} s behind the primary" for host, seconds in lag.items() if seconds > MOST_LAG]


def _other(each, members):
    """Where the set's members are not the pillar's; a hidden one does not show."""
    there = {host.lower() for host in each["members"]}
    wanted = {member["host"].lower() for member in members}
    come = [m["host"] for m in members if not m.get("hidden") and m["host"].lower() not in there]
    gone = [host for host in each["members"] if host.lower() not in wanted]
    return [f"{host} is not a member yet" for host in come] + [f"{host} is not in the pillar" for host in gone]


def _numbers(each):
    return {host: {"state": state, "lag": each.get("lag", {}).get(host)} for host, state in each["members"].items()}


def _unneeded(minion, units, pillar):
    """Units of the formula's that serve nothing that the pillar has on that host, to what was seen of each."""
    node = __salt__["mongo_pillar.node"](minion, pillar)
    wanted = {f"mongod-{each['name']}" for each in node["replsets"]} | ({"mongos"} if node["router"] else set())
    return {name: each for name, each in units.items() if name not in wanted} if isinstance(units, dict) else {}


def _left(units):
    said = [f"{name} ({'runs' if each['active'] else 'does not run'})" for name, each in units.items()]
    return f"{', '.join(said)}: serves nothing in the pillar; mongodb:gone removes it"


def drawn(pillar=None):
    """
    The cluster as tables and links between them.

    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.

    Returns:
        ``title``, ``tables`` and ``links``, see :py:func:`estate_graph.dot`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id r1.dc mongo_estate.drawn

    .. versionadded:: 0.1.0
    """
    # It is drawn whether it was checked or not: without what is malformed.
    pillar = schema.sound(__salt__["onepass.given"]("mongodb", pillar))
    site, port = __salt__["mongo_pillar.site"](pillar), 27017
    sets = [
        {"id": each["name"], "title": _title(each), "rows": [[_host(each, port)] for each in each["members"] if each]}
        for each in site["sets"]
    ]
    cells = [_host({"host": router}, port) for router in site["routers"] if router]
    routers = {"id": "routers", "title": "routers", "rows": [cells] if cells else []}
    names = [f"{each['database']}.{each['collection']}" for each in site["collections"]]
    keys = [
        ", ".join(f"{field}: {kind}" for field, kind in (c["shard_key"] or {}).items()) for c in site["collections"]
    ]
    rows = [[{"lines": [name, key or "not sharded"]}] for name, key in zip(names, keys, strict=True)]
    data = [{"id": "collections", "title": "collections", "rows": rows}] if rows else []
    links = [["collections", "routers"]] * bool(rows) + [["routers", each["name"]] for each in site["sets"]]
    return {"title": "Data centre: MongoDB", "tables": [*data, routers, *sets], "links": links}


def _title(each):
    return f"config servers {each['name']}" if each["role"] == "config" else f"shard {each['name']}"


def _host(member, port):
    """A member or router; the usual port is not written. Its state is that of ``host:port``, else that of the host."""
    host, _, own = member["host"].partition(":")
    return {"lines": [host if own == str(port) else member["host"]], "ids": [member["host"], host]}


def _members(each):
    return ", ".join(f"{host} {state}" for host, state in each["members"].items())


def _sharding(each):
    key = ", ".join(f"{field}: {kind}" for field, kind in each["key"].items())
    chunks = ", ".join(f"{count} on {shard}" for shard, count in each["chunks"].items())
    return f"sharded on {key}; chunks: {chunks}"
