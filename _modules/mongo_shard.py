"""
MongoDB sharded clusters, through a router: shards, databases, sharded collections, indexes, default concerns.

.. versionadded:: 0.1.0

Look at any cluster, from a clone of the repository::

    salt-call --local -m . mongo_shard.topology connection=mongodb://router.example:27017

Every resource has the same three verbs: what is there (``shards``, ``collections``, ``indexes``...), ``plan_...``
(pure) and ``act``, which executes one step of a plan. The states of the same name put them together.

Requires PyMongo (see :py:mod:`mongo_client`).
"""

from salt.exceptions import CommandExecutionError

__virtualname__ = "mongo_shard"

# What a member says to a router's command: it has none of that name, is not readable, or is in no cluster.
NO_ROUTER = (59, 203, 13435, 13436)
ON_A_SHARD = 51301  # of MongoDB: getDefaultRWConcern and setDefaultRWConcern


def __virtual__():
    return __virtualname__


# What is there


def shards(connection=None):
    """
    The cluster's shards as ``{name: replset/host:port,...}``.

    connection
        A router, with credentials; see :py:mod:`mongo_client`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.shards

    .. versionadded:: 0.1.0
    """
    return {row["_id"]: row["host"] for row in _config_rows("shards", connection)}


def shard_hosts(shards, replset):
    """
    The ``host:port`` that the cluster has of a replica set. Pure.

    shards
        What :py:func:`shards` answered.
    replset
        The set.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.shard_hosts '{s1: "s1/s1a.dc:27017"}' s1

    .. versionadded:: 0.1.0
    """
    return [each for host in shards.values() if host.split("/")[0] == replset for each in _hosts(host)]


def shard_identity(replset, hosts, connection=None):
    """
    The cluster that a shard's set says it belongs to (``shardIdentity``); ``None`` when it is in none, or does not let
    us look.

    replset, hosts
        The shard's replica set and its members' ``host:port``.
    connection
        Credentials and options for the shard.

    Returns:
        ``shard`` and ``cluster_id``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.shard_identity s1 '[s1a.dc:27017]'

    .. versionadded:: 0.1.0
    """
    find = {"find": "system.version", "filter": {"_id": "shardIdentity"}}
    try:
        primary = __salt__["mongo_members.find_primary"](replset, hosts, connection)
        found = __salt__["mongo_client.rows"](
            find, connection=__salt__["mongo_client.at"](primary, connection), timeout=5
        )
    except CommandExecutionError as err:
        if hasattr(err, "argument"):
            raise
        return None
    return {"shard": found[0]["shardName"], "cluster_id": str(found[0]["clusterId"])} if found else None


def cluster_id(connection=None):
    """
    The id that the config servers gave this cluster.

    connection
        A router, with credentials.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.cluster_id

    .. versionadded:: 0.1.0
    """
    return next((str(row["clusterId"]) for row in _config_rows("version", connection) if "clusterId" in row), None)


def rw_concern(connection=None):
    """
    The cluster's default read and write concern, ``None`` for one that nobody has set.

    connection
        A router, with credentials.

    Returns:
        ``read`` (a level such as ``majority``) and ``write`` (``majority`` or a number).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.rw_concern

    .. versionadded:: 0.1.0
    """
    reply = _concern({"getDefaultRWConcern": 1}, connection)
    is_set = {kind: reply.get(f"default{kind}ConcernSource", "global") == "global" for kind in ("Read", "Write")}
    return {
        "read": reply.get("defaultReadConcern", {}).get("level") if is_set["Read"] else None,
        "write": reply.get("defaultWriteConcern", {}).get("w") if is_set["Write"] else None,
    }


def databases(connection=None):
    """
    The cluster's databases and the shard that each has as its primary.

    connection
        A router, with credentials.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.databases

    .. versionadded:: 0.1.0
    """
    return {row["_id"]: row["primary"] for row in _config_rows("databases", connection)}


def collections(connection=None):
    """
    The sharded collections, each with its ``key`` and whether that key is ``unique``.

    connection
        A router, with credentials.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.collections

    .. versionadded:: 0.1.0
    """
    return {
        row["_id"]: {"key": dict(row["key"]), "unique": row.get("unique", False)}
        for row in _sharded(connection)
        if not row["_id"].startswith("config.")
    }


def distribution(name, connection=None):
    """
    How many chunks of a sharded collection each shard holds.

    name
        ``database.collection``.
    connection
        A router, with credentials.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.distribution bank.transfers

    .. versionadded:: 0.1.0
    """
    rows = [row for row in _sharded(connection) if row["_id"] == name]
    if not rows:
        raise CommandExecutionError(f"{name} is not sharded; mongo_shard.collections lists those that are")
    return _chunks(rows, shards(connection), connection)[name]


def topology(connection=None):
    """
    The cluster at a glance: config servers and shards with their members' states, and the sharded collections.

    connection
        A router, with credentials.

    Returns:
        ``config`` and ``shards`` (shard to its set, each as :py:func:`mongo_members.seen` answers) and ``collections``
        (``{name: {key, chunks: {shard: count}}}``).

    Raises ``CommandExecutionError`` for a server that is no router, with what it is.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.topology

    .. versionadded:: 0.1.0
    """
    __salt__["mongo_members.refuse_kind"]("router", connection)
    options, sets = __salt__["mongo_client.anonymous"](connection), shards(connection)
    rows = [row for row in _sharded(connection) if not row["_id"].startswith("config.")]
    chunks = _chunks(rows, sets, connection)
    return {
        "config": _seen(_config_string(connection), options),
        "shards": {name: _seen(host, options) for name, host in sorted(sets.items())},
        "collections": {row["_id"]: {"key": dict(row["key"]), "chunks": chunks[row["_id"]]} for row in rows},
    }


def stale_shards(replsets, connection=None):
    """
    Where the cluster's list of shards (``config.shards``) differs from what the shards' sets say of themselves.

    MongoDB's routers write that list when they see that a set has changed, from 8.0 on the set's primary does.

    replsets
        ``{name: [members]}``, members as for :py:func:`mongo_replset.plan`: a hidden one is in a set that does not show
        it. Shards of other sets are not looked at.
    connection
        A router, with credentials.

    Returns:
        Sentences; none where the list fits, and for a set of which no member answers.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.stale_shards '{s1: [s1a.dc:27017, s1b.dc:27017]}'

    .. versionadded:: 0.1.0
    """
    found, options = [], __salt__["mongo_client.anonymous"](connection)
    for name, host in sorted(shards(connection).items()):
        replset, seeds = host.split("/")[0], _hosts(host)
        wanted = [__salt__["mongo_replset.member"](each)["host"] for each in replsets.get(replset, ())]
        said = __salt__["mongo_replset.hellos"](list(dict.fromkeys([*wanted, *seeds])) if wanted else [], options)
        told = __salt__["mongo_members.knowing"](replset, said)
        found += [f"shard {name}: {each}" for each in __salt__["mongo_members.unlike"](seeds, told, wanted)]
    return found


def unhealthy(replsets, connection=None):
    """
    What is wrong with the members of some sets, as sentences; none when every set has a primary, all are ready, and
    each that may be elected can be.

    A member that was added gets its vote from the primary only after its first synchronisation, at its next heartbeat.

    replsets
        ``{name: [members]}``, members as for :py:func:`mongo_replset.plan`.
    connection
        Options for all of them (TLS...).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.unhealthy '{s1: [s1a.dc:27017, s1b.dc:27017]}'

    .. versionadded:: 0.1.0
    """
    faults, options = [], __salt__["mongo_client.anonymous"](connection)
    is_new = __salt__["mongo_replset.is_new"]
    for name, members in sorted(replsets.items()):
        wanted = {entry["host"]: entry for entry in map(__salt__["mongo_replset.member"], members)}
        said = __salt__["mongo_replset.hellos"](list(wanted), options)
        states = {host: __salt__["mongo_replset.member_state"](answer) for host, answer in said.items()}
        faults += [f"{host} of {name} is {state}" for host, state in states.items() if state in ("DOWN", "OTHER")]
        faults += [f"{host} of {name} has no vote yet" for host in wanted if is_new(said[host], wanted[host])]
        faults += [] if "PRIMARY" in states.values() else [f"{name} has no primary"]
    return faults


# What is to be done (pure)


def plan_rw_concern(wanted, observed):
    """
    The steps to the wanted default concerns.

    wanted, observed
        ``{read, write}`` as :py:func:`rw_concern` answers; what is ``None`` in ``wanted`` is left alone.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.plan_rw_concern '{write: majority}' '{write: null}'

    .. versionadded:: 0.1.0
    """
    return [
        {"do": "set", "kind": kind, "what": f"default {kind} concern", "old": observed.get(kind), "new": wanted[kind]}
        for kind in ("write", "read")
        if wanted.get(kind) is not None and wanted[kind] != observed.get(kind)
    ]


def plan_shard(name, replset, hosts, observed):
    r"""
    The step that adds a shard, or none; a shard is known by its hosts and its identity, not by its name.

    name
        The shard's name.
    replset, hosts
        Its replica set and members' ``host:port``.
    observed
        ``shards`` and ``cluster_id`` as the functions of those names answer, ``identity`` as :py:func:`shard_identity`,
        ``names`` (hosts to the shards' own spelling) as :py:func:`mongo_members.named`.

    Raises ``CommandExecutionError`` when the name, the hosts or the set's identity belong to something else.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.plan_shard s1 s1 '[s1a.dc:27017]' \
            '{shards: {}, cluster_id: null, identity: null}'

    .. versionadded:: 0.1.0
    """
    identity = observed["identity"]
    if identity and identity != {"shard": name, "cluster_id": observed["cluster_id"]}:
        raise CommandExecutionError(
            f"Shard {name}: the set {replset} says that it is shard {identity['shard']} of cluster "
            f"{identity['cluster_id']}, not {name} of {observed['cluster_id']}; name the set that you mean, or empty "
            "its members before they join"
        )
    names = observed.get("names", {})
    known = {names.get(each, each) for each in hosts}
    for other, host in observed["shards"].items():
        shared = sorted(known.intersection(_hosts(host)))
        if other == name and (host.split("/")[0] != replset or not shared):
            raise CommandExecutionError(
                f"Shard {name} is {host}, which shares no member with {replset}/{','.join(hosts)}; give the new shard "
                "another name"
            )
        if other != name and shared:
            raise CommandExecutionError(
                f"Shard {name}: {', '.join(shared)} belongs to shard {other} already; use that name"
            )
    if name in observed["shards"]:
        return []
    return [{"do": "add", "what": f"shard {name}", "old": None, "new": f"{replset}/{','.join(hosts)}"}]


def plan_database(name, primary_shard, observed):
    """
    The step that creates a database in the cluster, or none.

    name
        The database.
    primary_shard
        The shard for its unsharded collections; ``None`` lets the cluster choose.
    observed
        What :py:func:`databases` answered.

    Raises ``CommandExecutionError`` when it lives on another shard: moving it interrupts its clients.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.plan_database bank s1 '{}'

    .. versionadded:: 0.1.0
    """
    if name not in observed:
        return [
            {
                "do": "create",
                "what": f"database {name}",
                "old": None,
                "new": primary_shard or "on a shard of the cluster's choice",
            }
        ]
    if primary_shard and observed[name] != primary_shard:
        raise CommandExecutionError(
            f"Database {name} has its primary on {observed[name]}, not on {primary_shard}; move it in a quiet hour "
            f'with movePrimary: "{name}", to: "{primary_shard}"'
        )
    return []


def plan_collection(name, key, unique, observed):
    """
    The step that shards a collection, or none.

    name
        ``database.collection``.
    key
        The shard key in order: ``{account: hashed}``.
    unique
        Whether the key is unique.
    observed
        What :py:func:`collections` answered.

    Raises ``CommandExecutionError`` for another key than the collection has, with what to do.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.plan_collection bank.transfers '{account: hashed}' False '{}'

    .. versionadded:: 0.1.0
    """
    have = observed.get(name)
    if not have:
        return [{"do": "shard", "what": f"collection {name}", "old": None, "new": {"key": key, "unique": unique}}]
    if list(have["key"].items()) != list(key.items()):
        longer = list(key.items())[: len(have["key"])] == list(have["key"].items())
        way = (
            "refineCollectionShardKey appends fields"
            if longer
            else "reshardCollection (MongoDB 5.0 and later) rewrites all of it"
        )
        raise CommandExecutionError(
            f"{name} is sharded on {have['key']}, not on {key}; a shard key is never changed by a run: {way}, by hand, "
            "then run again"
        )
    if have["unique"] != unique:
        raise CommandExecutionError(
            f"{name} is sharded with unique: {have['unique']}, not {unique}; only a new collection can change that"
        )
    return []


# What is done


def set_rw_concern(step, connection=None, timeout=30):
    """
    Execute a step of :py:func:`plan_rw_concern`; ``j`` and ``wtimeout`` stay as they are.

    step, connection, timeout
        The step; a router, with credentials; seconds (default 30).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_shard.set_rw_concern

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    value = {**_beside(connection), "w": step["new"]} if step["kind"] == "write" else {"level": step["new"]}
    command = {"setDefaultRWConcern": 1, f"default{step['kind'].title()}Concern": value}
    # By itself it waits for the very default that it replaces, which may be more members than there are.
    _concern({**command, "writeConcern": {"w": "majority"}}, connection, timeout)


def _concern(command, connection, timeout=30):
    """A shard has none of its own."""
    try:
        return __salt__["mongo_client.command"](command, connection=connection, timeout=timeout)
    except CommandExecutionError as err:
        if getattr(err, "code", None) != ON_A_SHARD:
            raise
        raise CommandExecutionError(
            f"{__salt__['mongo_client.address'](connection)} is a shard, which has its cluster's default concerns; set "
            "them on a router (mongo_shard.default_rw_concern), not here"
        ) from None


def _beside(connection):
    """What somebody has set of the write concern beside the number of members; that is left alone."""
    reply = _concern({"getDefaultRWConcern": 1}, connection)
    if reply.get("defaultWriteConcernSource", "global") != "global":
        return {}
    return {key: value for key, value in reply.get("defaultWriteConcern", {}).items() if key in ("j", "wtimeout")}


def add_shard(name, replset, hosts, connection=None, timeout=60):
    """
    Add a replica set to the cluster as a shard.

    name, replset, hosts
        As for :py:func:`plan_shard`.
    connection, timeout
        A router, with credentials; seconds (default 60).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.add_shard s1 s1 '[s1a.dc:27017]'

    .. versionadded:: 0.1.0
    """
    _route({"addShard": f"{replset}/{','.join(hosts)}", "name": name}, connection, timeout)


def create_database(name, primary_shard=None, connection=None, timeout=60):
    """
    Create a database in the cluster.

    name, primary_shard
        As for :py:func:`plan_database`.
    connection, timeout
        A router, with credentials; seconds (default 60).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.create_database bank

    .. versionadded:: 0.1.0
    """
    _route({"enableSharding": name, **({"primaryShard": primary_shard} if primary_shard else {})}, connection, timeout)


def shard_collection(name, key, unique=False, connection=None, timeout=120):
    """
    Shard a collection. One that holds documents needs an index that begins with the key first, with
    ``collation: {locale: simple}`` where the collection has a collation of its own: shard keys are compared without.

    name, key, unique
        As for :py:func:`plan_collection`.
    connection, timeout
        A router, with credentials; seconds (default 120).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_shard.shard_collection bank.transfers '{account: hashed}'

    .. versionadded:: 0.1.0
    """
    command = {"shardCollection": name, "key": key, "collation": {"locale": "simple"}}
    command.update({"unique": True} if unique else {})
    _route(command, connection, timeout)


def _route(command, connection, timeout):
    """A command that only routers have; a server of another kind has never heard of it, and is named."""
    try:
        __salt__["mongo_client.command"](command, connection=connection, timeout=timeout)
    except CommandExecutionError as err:
        if getattr(err, "code", None) in NO_ROUTER:
            __salt__["mongo_members.refuse_kind"]("router", connection)
        raise


def _config_rows(collection, connection):
    try:
        return __salt__["mongo_client.rows"]({"find": collection}, db="config", connection=connection)
    except CommandExecutionError as err:
        if getattr(err, "code", None) in NO_ROUTER:
            __salt__["mongo_members.refuse_kind"]("router", connection)
        raise


def _sharded(connection):
    """Rows of the sharded collections; 8.0 keeps unsharded ones that were moved among them, as not to be split."""
    rows = _config_rows("collections", connection)
    return [row for row in rows if not row.get("dropped") and not row.get("unsplittable")]


def _chunks(rows, sets, connection):
    """``{collection: {shard: chunks}}``, counted by the server; up to 4.4 a chunk has no UUID, but the name."""
    names = {row[key]: row["_id"] for row in rows for key in ("_id", "uuid") if key in row}
    where = {"$or": [{key: {"$in": list(names)}} for key in ("uuid", "ns")]}
    group = {"_id": {"of": {"$ifNull": ["$uuid", "$ns"]}, "shard": "$shard"}, "chunks": {"$sum": 1}}
    count = {"aggregate": "chunks", "pipeline": [{"$match": where}, {"$group": group}], "cursor": {}}
    found = {row["_id"]: dict.fromkeys(sorted(sets), 0) for row in rows}
    for row in __salt__["mongo_client.rows"](count, db="config", connection=connection):
        found[names[row["_id"]["of"]]][row["_id"]["shard"]] = row["chunks"]
    return found


def _config_string(connection):
    """``cfg/host:port,...`` as the router has it: in the config shard's own map of the cluster."""
    return __salt__["mongo_client.command"]({"getShardMap": 1}, connection=connection)["map"]["config"]


def _seen(host, options):
    return __salt__["mongo_members.seen"](host.split("/")[0], _hosts(host), options)


def _hosts(host):
    return host.split("/")[-1].split(",")
