"""
The MongoDB area as it is: what to ask of whom, what the answers mean, and how the cluster is drawn.

.. versionadded:: 0.1.0

Every area has a module of these three functions; the runner ``onepass`` asks for all of them. Nothing here asks::

    salt-call --local -m . --pillar-root pillar --id r1.dc mongo_estate.drawn
"""

__virtualname__ = "mongo_estate"

GOOD = ("PRIMARY", "SECONDARY", "ARBITER")


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
    asked = [{"minions": hosts["all"], "function": "test.ping", "arg": []}]
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
        ``lines`` (what is looked at, to words), ``states`` (to ``ok``, ``broken`` or ``silent``), ``silent`` (minions)
        and ``fault`` (why the area cannot be looked at, or ``None``).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id r1.dc mongo_estate.seen '[{}, {}]'

    .. versionadded:: 0.1.0
    """
    asked = questions(pillar)
    silent = [minion for minion in asked[0]["minions"] if not answers[0].get(minion)]
    router = asked[1]["minions"][0] if asked[1:] else "any router"
    topology = answers[1].get(router, f"{router} does not answer") if asked[1:] else "the pillar has no router"
    found = {"lines": {}, "states": dict.fromkeys(silent, "silent"), "silent": silent, "fault": None}
    if not isinstance(topology, dict):
        return {**found, "fault": f"the cluster cannot be looked at from {router}: {topology}"}
    sets = {"config servers": topology["config"], **{f"shard {name}": s for name, s in topology["shards"].items()}}
    members = {host: state for each in sets.values() for host, state in each["members"].items()}
    found["lines"] = {name: _members(each) for name, each in sets.items()}
    found["lines"].update({f"collection {name}": _sharding(each) for name, each in topology["collections"].items()})
    found["states"].update({host: "ok" if state in GOOD else "broken" for host, state in members.items()})
    found["states"].update({minion: "ok" for minion in asked[0]["minions"] if minion not in silent})
    return found


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
    pillar = __salt__["mongo_schema.sound"](__salt__["onepass.given"]("mongodb", pillar))
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
