"""
States for sharded MongoDB clusters: routers, shards, databases, collections, indexes, users; for replica sets see
:py:mod:`mongo_replset`.

.. versionadded:: 0.1.0

Each state reads what is there, plans, acts, and reads again; ``test=True`` shows the plan that a real run executes.
States that need another host wait for a named condition until ``timeout`` (seconds), so that a highstate on blank
hosts, all at once, converges in one pass. All take ``connection``, which is explained in :py:mod:`mongo_client`;
passwords are named by their path in the pillar.

Requires PyMongo 4.6 or later in Salt's Python.
"""

from salt.exceptions import CommandExecutionError

__virtualname__ = "mongo_shard"


def __virtual__():
    if "mongo_client.command" not in __salt__:
        return False, "The MongoDB states need PyMongo in Salt's Python: salt-pip install 'pymongo>=4.6'"
    return __virtualname__


def router_ready(name, connection=None, timeout=120):
    """
    The router serves the cluster and lets the connection's user in. Changes nothing; waits.

    name
        Any text.
    connection
        The router, with credentials.
    timeout
        Seconds. Default 120.

    .. code-block:: yaml

        mongos:
          mongo_shard.router_ready

        mongodb-router:
          mongo_shard.router_ready:
            - connection: {credentials: mongodb:auth:admin}
            - require:
              - service: mongos

    .. versionadded:: 0.1.0
    """
    refused = __salt__["mongo_arguments.refusal"](name, "router", {"connection": connection, "timeout": timeout})
    if refused:
        return refused

    def condition():
        said = __salt__["mongo_client.hello"](connection)
        if said.get("msg") != "isdbgrid":
            raise CommandExecutionError(
                f"{where} is no router: {said.get('setName') or 'a single server'} answers there"
            )
        return __salt__["mongo_client.login_works"](connection), "the router answers, but refuses the login"

    where = __salt__["mongo_client.address"](connection)
    return __salt__["mongo_client.gate"](name, condition, f"router {where} to let us in", timeout, __opts__["test"])


def default_rw_concern(name, write=None, read=None, connection=None):
    """
    The cluster's default write and read concern are set to these. They reach every client that names none of its own.

    name
        Any text.
    write
        ``majority`` or a number of members. ``None`` leaves it alone.
    read
        ``local``, ``available`` or ``majority``. ``None`` leaves it alone.
    connection
        A router, with credentials.

    .. code-block:: yaml

        cluster:
          mongo_shard.default_rw_concern:
            - write: majority

        mongodb-concern:
          mongo_shard.default_rw_concern:
            - write: majority
            - read: local
            - require:
              - mongo_shard: mongodb-router

    .. versionadded:: 0.1.0
    """
    wanted = {"write": write, "read": read}
    return _converge(
        name,
        "default concerns",
        {**wanted, "connection": connection},
        read=lambda: __salt__["mongo_shard.rw_concern"](connection),
        blank={"write": None, "read": None},
        plan=lambda observed: __salt__["mongo_shard.plan_rw_concern"](wanted, observed),
        act=lambda step: __salt__["mongo_shard.set_rw_concern"](step, connection),
        fact=lambda observed: f"The default write concern is {observed['write']}, the read concern {observed['read']}",
    )


def shard_present(name, members, replset=None, connection=None, timeout=120):
    """
    The replica set is a shard of this cluster. Waits until the set has a primary and these members.

    A shard is known by its hosts, however they are spelled, and by the identity that its set holds, not by its name: a
    set of another cluster, a name that is taken and hosts that belong to another shard are refused, with who has them.

    name
        The shard's name.
    members
        The set's members: ``host:port`` or mappings with ``host``.
    replset
        The replica set's name. Default: the shard's.
    connection
        A router, with credentials that the shard accepts too.
    timeout
        Seconds. Default 120.

    .. code-block:: yaml

        s1:
          mongo_shard.shard_present:
            - members: [s1a.dc:27017, s1b.dc:27017, s1c.dc:27017]

        mongodb-shard-s1:
          mongo_shard.shard_present:
            - name: s1
            - members: [s1a.dc:27017, s1b.dc:27017, s1c.dc:27017]
            - require:
              - mongo_shard: mongodb-router

    .. versionadded:: 0.1.0
    """
    given = {"members": members, "replset": replset, "connection": connection, "timeout": timeout}
    replset = replset or name

    def hosts():
        wanted = [__salt__["mongo_replset.member"](entry) for entry in members]
        return [entry["host"] for entry in wanted if not entry["hidden"]]

    def in_set(shards):
        return __salt__["mongo_shard.shard_hosts"](shards, replset)

    def look():
        shards = __salt__["mongo_shard.shards"](connection)
        return {
            "shards": shards,
            "names": __salt__["mongo_members.named"](hosts(), in_set(shards), connection),
            "cluster_id": __salt__["mongo_shard.cluster_id"](connection),
            "identity": __salt__["mongo_shard.shard_identity"](replset, hosts(), connection),
        }

    def grown():
        missing = __salt__["mongo_members.missing"](replset, hosts(), connection)
        return not missing, f"{', '.join(missing)} not in the set yet"

    def act(step):
        __salt__["mongo_client.wait"](grown, f"replica set {replset} with a primary and {', '.join(hosts())}", timeout)
        spelled = __salt__["mongo_members.names"](replset, hosts(), connection)
        __salt__["mongo_shard.add_shard"](name, replset, list(spelled.values()), connection, timeout)

    return _converge(
        name,
        f"shard {name}",
        given,
        read=look,
        blank={"shards": {}, "cluster_id": None, "identity": None},
        plan=lambda observed: __salt__["mongo_shard.plan_shard"](name, replset, hosts(), observed),
        act=act,
        fact=lambda observed: f"Shard {name} is {observed['shards'][name]}",
    )


def database_present(name, primary_shard=None, connection=None):
    """
    The database exists in the cluster. One that lives on another shard than wanted is refused: moving it interrupts its
    clients.

    name
        The database.
    primary_shard
        The shard for its unsharded collections. Default: the cluster chooses.
    connection
        A router, with credentials.

    .. code-block:: yaml

        bank:
          mongo_shard.database_present

        mongodb-database-bank:
          mongo_shard.database_present:
            - name: bank
            - primary_shard: s1
            - require:
              - mongo_shard: mongodb-shard-s1

    .. versionadded:: 0.1.0
    """
    return _converge(
        name,
        f"database {name}",
        {"new_database": name, "primary_shard": primary_shard, "connection": connection},
        read=lambda: __salt__["mongo_shard.databases"](connection),
        blank={},
        plan=lambda observed: __salt__["mongo_shard.plan_database"](name, primary_shard, observed),
        act=lambda step: __salt__["mongo_shard.create_database"](name, primary_shard, connection),
        fact=lambda observed: f"Database {name} has its primary on {observed[name]}",
    )


def collection_sharded(name, key, unique=False, connection=None, timeout=120):
    """
    The collection is sharded on this key. Another key is refused with what to do; a key is never changed by a run.

    One that holds documents needs an index that begins with the key: let this state require ``indexes_present``.

    name
        ``database.collection``.
    key
        The fields in order, each ``1`` or, at most one of them, ``hashed``.
    unique
        The key's values are unique. Default ``False``.
    connection
        A router, with credentials.
    timeout
        Seconds. Default 120.

    .. code-block:: yaml

        bank.transfers:
          mongo_shard.collection_sharded:
            - key: {account: hashed}

        mongodb-collection-bank.transfers:
          mongo_shard.collection_sharded:
            - name: bank.transfers
            - key: {account: hashed}
            - require:
              - mongo_shard: mongodb-indexes-bank.transfers

    .. versionadded:: 0.1.0
    """
    given = {"collection": name, "key": key, "unique": unique, "connection": connection, "timeout": timeout}
    return _converge(
        name,
        f"collection {name}",
        given,
        read=lambda: __salt__["mongo_shard.collections"](connection),
        blank={},
        plan=lambda observed: __salt__["mongo_shard.plan_collection"](name, key, unique, observed),
        act=lambda step: __salt__["mongo_shard.shard_collection"](name, key, unique, connection, timeout),
        fact=lambda observed: f"{name} is sharded on {observed[name]['key']}",
    )


def indexes_present(name, indexes, connection=None, timeout=3600):
    """
    The collection has these indexes. Let the load of data require this state: an index on a loaded collection is an
    outage.

    Compared by key and options, never by name alone; an index without a collation has its collection's.
    ``hidden``, ``expireAfterSeconds`` and ``unique`` are set in place, as far as the server can; any other difference
    is refused. So is an index that a document there could not be held in, because two of its fields are arrays in it:
    the document is named before the build fails with code 171. One that is still being built, by whomever, is waited
    for. Other indexes are left alone.

    name
        ``database.collection``.
    indexes
        List of mappings: ``keys`` (fields in order, each ``1``, ``-1``, ``hashed``, ``text``, ``2d``, ``2dsphere``) and
        any of MongoDB's options (``name``, ``unique``, ``sparse``, ``expireAfterSeconds``,
        ``partialFilterExpression``...). What YAML has no type for is said in MongoDB's extended JSON, a date as
        ``{$date: '2026-01-01T00:00:00Z'}``; values and filters are compared as MongoDB does.
    connection
        A router (or, for a plain replica set, its primary), with credentials.
    timeout
        Seconds for the build. Default 3600.

    .. code-block:: yaml

        bank.transfers:
          mongo_shard.indexes_present:
            - indexes: [{keys: {account: 1, when: -1}}]

        mongodb-indexes-bank.transfers:
          mongo_shard.indexes_present:
            - name: bank.transfers
            - indexes:
              - keys: {account: 1, when: -1}
              - {keys: {created: 1}, expireAfterSeconds: 86400}
            - require:
              - mongo_shard: mongodb-database-bank

    .. versionadded:: 0.1.0
    """

    def plan(observed):
        steps = __salt__["mongo_index.plan"](name, indexes, observed["indexes"])
        for step in steps if not observed.get("assumed") else []:
            _refuse_parallel_arrays(name, step, connection)
        return steps

    return _converge(
        name,
        f"collection {name}",
        {"collection": name, "indexes": indexes, "connection": connection, "timeout": timeout},
        read=lambda: {"indexes": __salt__["mongo_index.indexes"](name, connection)},
        blank={"indexes": []},
        plan=plan,
        act=lambda step: __salt__["mongo_index.act"](name, step, connection, timeout),
        fact=lambda observed: f"{name} has its indexes: {', '.join(index['name'] for index in observed['indexes'])}",
    )


def indexes_absent(name, indexes, connection=None):
    """
    The collection has no such indexes. The index on ``_id`` and the one of the shard key are the server's.

    name
        ``database.collection``.
    indexes
        List of mappings with ``keys``, as for :py:func:`indexes_present`. All indexes on these keys go, or, where
        ``name`` or options are given too, those that have them.
    connection
        A router, with credentials.

    .. code-block:: yaml

        bank.transfers:
          mongo_shard.indexes_absent:
            - indexes: [{keys: {reference: 1}}]

        mongodb-old-index:
          mongo_shard.indexes_absent:
            - name: bank.transfers
            - indexes: [{keys: {reference: 1}}]
            - require:
              - mongo_shard: mongodb-indexes-bank.transfers

    .. versionadded:: 0.1.0
    """
    return _converge(
        name,
        f"collection {name}",
        {"collection": name, "indexes": indexes, "connection": connection},
        read=lambda: {"indexes": __salt__["mongo_index.indexes"](name, connection, unfinished=True)},
        blank={"indexes": []},
        plan=lambda observed: __salt__["mongo_index.plan_absent"](name, indexes, observed["indexes"]),
        act=lambda step: __salt__["mongo_index.act"](name, step, connection),
        fact=lambda observed: f"{name} has none of these indexes",
    )


def user_present(name, database="admin", roles=None, password=None, connection=None):
    """
    The user exists with these roles and this password.

    The password is compared with what the server keeps of it, so that a run with nothing to do writes nothing;
    ``authenticationRestrictions`` and ``mechanisms`` are left as they are.

    name
        The user.
    database
        The database that it is defined on. Default ``admin``.
    roles
        List of roles on that database, or of ``{role: read, db: audit}``. ``None`` leaves an existing user's alone.
    password
        The password's path in the pillar, for example ``mongodb:users:teller:password``, or, where a key in it has a
        colon, the list of its keys: ``[mongodb, users, 'app:ro', password]``. ``None`` leaves an existing user's alone;
        a new user needs one, unless its database is ``$external`` (certificates, LDAP, Kerberos).
    connection
        A router (or a replica set's primary), with credentials.

    .. code-block:: yaml

        teller:
          mongo_shard.user_present:
            - database: bank
            - roles: [readWrite]
            - password: mongodb:users:teller:password

        mongodb-user-teller:
          mongo_shard.user_present:
            - name: teller
            - database: bank
            - roles: [readWrite, {role: read, db: audit}]
            - password: mongodb:users:teller:password
            - require:
              - mongo_shard: mongodb-router

    .. versionadded:: 0.1.0
    """
    given = {"database": database, "roles": roles, "password": password, "connection": connection}
    return _converge(
        name,
        f"user {name}",
        given,
        read=lambda: __salt__["mongo_user.observe"](name, database, password, connection),
        blank={"user": None},
        plan=lambda observed: __salt__["mongo_user.plan"](name, database, roles, observed, password),
        act=lambda step: __salt__["mongo_user.act"](name, step, database, roles, password, connection),
        fact=lambda observed: f"User {name}@{database} has {', '.join(observed['user']['roles']) or 'no role'}",
    )


def user_absent(name, database="admin", connection=None):
    """
    There is no such user on that database.

    name, database
        The user. ``database`` is ``admin`` by default.
    connection
        A router (or a replica set's primary), with credentials.

    .. code-block:: yaml

        teller:
          mongo_shard.user_absent:
            - database: bank

        mongodb-user-gone:
          mongo_shard.user_absent:
            - name: teller
            - database: bank
            - require:
              - mongo_shard: mongodb-router

    .. versionadded:: 0.1.0
    """
    gone = {"do": "remove", "what": f"user {name}@{database}", "new": None}
    return _converge(
        name,
        f"user {name}",
        {"database": database, "connection": connection},
        read=lambda: {"user": __salt__["mongo_user.find"](name, database, connection)},
        blank={"user": None},
        plan=lambda observed: [{**gone, "old": observed["user"]}] if observed["user"] else [],
        act=lambda step: __salt__["mongo_user.act"](name, step, database, connection=connection),
        fact=lambda observed: f"There is no user {name}@{database}",
    )


def cluster_healthy(name, replsets, connection=None, timeout=120):
    """
    Every set has a primary, every member is ready and has its vote. Changes nothing; waits. The last state of a run,
    and a gate for a load.

    name
        Any text.
    replsets
        ``{name: [members]}``, members as for :py:func:`replset_present`.
    connection
        Options for all members (TLS...); no login is needed.
    timeout
        Seconds. Default 120.

    .. code-block:: yaml

        cluster:
          mongo_shard.cluster_healthy:
            - replsets: {s1: [s1a.dc:27017, s1b.dc:27017, s1c.dc:27017]}

        mongodb-healthy:
          mongo_shard.cluster_healthy:
            - replsets: {s1: [s1a.dc:27017, s1b.dc:27017, s1c.dc:27017]}
            - require:
              - mongo_shard: mongodb-router

    .. versionadded:: 0.1.0
    """
    given = {"replsets": replsets, "connection": connection, "timeout": timeout}
    return _gate(name, given, "mongo_shard.unhealthy", "every member to be ready")


def shards_current(name, replsets, connection=None, timeout=120):
    """
    The cluster's list of shards (``config.shards``) names the members that the sets have. Changes nothing; waits.

    A client or a router that starts finds a shard through that list. After members were replaced MongoDB corrects it by
    itself: a router within half a minute, from 8.0 on the shard's primary. Where it does not, all old members may be
    replaced one day, and the shard is not found any more.

    name
        Any text.
    replsets
        ``{name: [members]}``, members as for :py:func:`mongo_replset.replset_present`; other sets are not looked at.
    connection
        A router, with credentials.
    timeout
        Seconds. Default 120.

    .. code-block:: yaml

        cluster:
          mongo_shard.shards_current:
            - replsets: {s1: [s1a.dc:27017, s1b.dc:27017, s1c.dc:27017]}

        mongodb-shards-current:
          mongo_shard.shards_current:
            - replsets: {s1: [s1a.dc:27017, s1b.dc:27017, s1c.dc:27017]}
            - require:
              - mongo_shard: mongodb-healthy

    .. versionadded:: 0.1.0
    """
    given = {"replsets": replsets, "connection": connection, "timeout": timeout}
    what = "MongoDB (its routers; from 8.0 on the shard's primary) to write a changed set's members to config.shards"
    return _gate(name, given, "mongo_shard.stale_shards", what)


def _gate(name, given, function, what):
    """A wait until the function finds no fault of the sets, unless the given arguments are wrong."""
    refused = __salt__["mongo_arguments.refusal"](name, "cluster", given)
    if refused:
        return refused

    def condition():
        faults = __salt__[function](given["replsets"], given["connection"])
        return not faults, "; ".join(faults)

    return __salt__["mongo_client.gate"](name, condition, what, given["timeout"], __opts__["test"])


def _converge(name, what, given, read, blank, plan, act, fact):
    """``onepass.converge`` for what lives behind a router, unless the given arguments are wrong."""

    def look():
        return __salt__["mongo_client.look"](read, blank, __opts__["test"])

    def insist(step):
        __salt__["mongo_client.insist"](lambda: act(step), step["what"])

    refused = __salt__["mongo_arguments.refusal"](name, what, given)
    return refused or __salt__["onepass.converge"](name, look, plan, insist, fact, __opts__["test"])


def _refuse_parallel_arrays(name, step, connection):
    for index in step.get("indexes", []):
        found = __salt__["mongo_index.parallel_arrays"](name, index["keys"], connection)
        if found:
            raise CommandExecutionError(
                f"{name} cannot have the index {index['name']}: in the document with _id {found['id']} both "
                f"{found['fields'][0]} and {found['fields'][1]} are arrays, and an index holds one array a document "
                "(code 171); index one of the two"
            )
