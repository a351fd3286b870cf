"""
The form of the ``mongodb`` pillar: a JSON Schema, and its faults in an administrator's words.

.. versionadded:: 0.1.0

``SCHEMA`` is all that the pillar may hold. What no schema can say is told by :py:mod:`mongo_rules` (MongoDB's own
limits) and :py:mod:`mongo_pillar`, whose ``faults`` and ``check`` bring all of it together. To see the schema::

    salt-call --local -m . mongo_schema.schema --out=json

No message holds a secret: below ``auth``, ``users``, ``connection`` and the free options a value's kind is named,
never the value. Requires ``jsonschema`` 4 in Salt's Python.
"""

import copy

LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
NAME = rf"(?=[^:]{{1,253}}(:|$)){LABEL}(\.{LABEL})*"
END = r"$(?!\n)"
PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
HASH = "sha256=[0-9a-fA-F]{64}|sha384=[0-9a-fA-F]{96}|sha512=[0-9a-fA-F]{128}|(https?|ftp|salt|file)://.+"
SERIES = r"[0-9]{1,3}\.[0-9]{1,3}"
# Keys that people know from elsewhere.
ALIASES = {"shards": "replsets", "mongos": "routers", "ssl": "tls", "slaveDelay": "secondaryDelaySecs"}
# Below these no value is shown, and a strange key only if it looks like a known one: it may be a secret gone astray.
SECRET_PLACES = ("auth", "users", "connection", "options", "router_options")
# But these keys of an entry there are no secret.
SHOWN = {"users": ["name", "database", "roles"]}


def __virtual__():
    if "pillar_form.faults" not in __salt__:
        return False, "mongo_schema needs jsonschema 4 in Salt's Python: salt-pip install 'jsonschema>=4.17'"
    return "mongo_schema"


# The schema, from the inside out. Each part's description says what would be right, and is the remedy of its faults.


def _a(description: str, **constraints) -> dict:
    return {"description": description, **constraints}


def _text(description: str, **constraints) -> dict:
    return _a(description, type="string", **{"minLength": 1, **constraints})


def _number(description: str, lowest: float, highest: float, whole: bool = True) -> dict:
    return _a(description, type="integer" if whole else "number", minimum=lowest, maximum=highest)


def _flag(description: str) -> dict:
    return _a(description, type="boolean")


def _one_of(description: str, *values) -> dict:
    return _a(description, enum=list(values))


def _list(description: str, items: dict, **constraints) -> dict:
    return _a(description, type="array", items=items, **constraints)


def _mapping(description: str, values: dict, **constraints) -> dict:
    return _a(description, type="object", additionalProperties=values, **constraints)


def _object(description: str, properties: dict, required: tuple = ()) -> dict:
    return _a(description, type="object", properties=properties, required=list(required), additionalProperties=False)


def _short_or_long(short: dict, long: dict) -> dict:
    """A string or a mapping, with the faults of the one that is meant."""
    return {"if": {"type": "object"}, "then": long, "else": short}


HOST = _text("a host name of letters, digits, hyphens and dots, without a port", pattern=f"^{NAME}{END}")
ADDRESS = _text("host or host:port, or a mapping with host", pattern=f"^{NAME}(:{PORT})?{END}")
OWN_PORT = _number("a port, 1 to 65535, default mongodb:port", 1, 65535)
PASSWORD = _text("a password that is not empty, in quotes, from the secrets pillar")
FILE = _text("an absolute path on each host, without control characters", pattern=rf"^/[^\x00-\x1f\x7f]*{END}")
# A systemd unit's ExecStart: blanks part it, % and $ stand for something else, quotes and backslashes are its own.
PROGRAMS = rf"^/[A-Za-z0-9._/+@:,=~-]*{END}"

MAX_INT = 2**31 - 1

MEMBER = _object(
    "a member of a replica set",
    {
        "host": HOST,
        "port": OWN_PORT,
        "priority": _number("0 (never primary) to 1000, default 1", 0, 1000, whole=False),
        "votes": _one_of("0 or 1, default 1", 0, 1),
        "hidden": _flag("true for a member that clients do not see, default false"),
        "arbiterOnly": _flag("true for a member that votes and holds no data, default false"),
        "buildIndexes": _flag("false for a member without indexes, default true"),
        "secondaryDelaySecs": _number("seconds to lag behind, up to 31622400 (366 days), default 0", 0, 31622400),
        "tags": _mapping("tags of the member", _a("a string, in quotes", type="string")),
    },
    required=("host",),
)

REPLSET = _object(
    "a replica set",
    {
        "role": _one_of("config (one set of them) or shard", "config", "shard"),
        "members": _list("list of members; the set is born on the first", {"$ref": "#/$defs/member"}, minItems=1),
        "remove_extra": _flag("true removes members that are not listed here, default false"),
        "settings": _object(
            "the set's own settings",
            {
                "chainingAllowed": _flag("whether secondaries may copy from secondaries, default true"),
                "electionTimeoutMillis": _number("ms without a primary until an election, default 10000", 1, MAX_INT),
                "heartbeatIntervalMillis": _number("ms between two heartbeats, default 2000", 1, MAX_INT),
                "heartbeatTimeoutSecs": _number("seconds until a heartbeat counts as lost, default 10", 1, MAX_INT),
                "catchUpTimeoutMillis": _number("ms that a new primary catches up, -1: no limit", -1, MAX_INT),
                "catchUpTakeoverDelayMillis": _number("ms until a fresher member takes over, -1: never", -1, MAX_INT),
            },
        ),
    },
    required=("role", "members"),
)

COLLATION = _object(
    "the language rules of comparison",
    {
        "locale": _text("a locale such as de or fr_CA, or simple"),
        "strength": _one_of("1 to 5, default 3", 1, 2, 3, 4, 5),
        "caseLevel": _flag("true compares case at strength 1 and 2, default false"),
        "caseFirst": _one_of("upper, lower or off, default off", "upper", "lower", "off"),
        "numericOrdering": _flag("true compares digits as numbers, default false"),
        "alternate": _one_of("non-ignorable or shifted, default non-ignorable", "non-ignorable", "shifted"),
        "maxVariable": _one_of("punct or space, default punct", "punct", "space"),
        "backwards": _flag("true compares accents from the end, default false"),
        "normalization": _flag("true normalizes text first, default false"),
    },
    required=("locale",),
)

INDEX_KINDS = _one_of("1, -1, hashed, text, 2d or 2dsphere", 1, -1, "hashed", "text", "2d", "2dsphere")
INDEX = _object(
    "an index",
    {
        "keys": _mapping("1 to 32 fields, in their order", INDEX_KINDS, minProperties=1, maxProperties=32),
        "name": _text("the index's name, default made of its keys"),
        "unique": _flag("true allows each value once, default false"),
        "sparse": _flag("true leaves out documents without the fields, default false"),
        "hidden": _flag("true hides the index from queries, default false"),
        "expireAfterSeconds": _number("seconds until a document expires, 0 to 2147483647", 0, MAX_INT),
        "partialFilterExpression": _mapping(
            "a filter; only documents that match it are indexed; dates and the like in MongoDB's extended JSON", {}
        ),
        "collation": COLLATION,
        "weights": _mapping("weights of text fields", _number("1 to 99999, default 1", 1, 99999)),
        "default_language": _text("language of a text index, default english"),
        "language_override": _text("field that holds a document's language, default language"),
        "wildcardProjection": _mapping("fields of a wildcard index, each 0 or 1", {}),
    },
    required=("keys",),
)

COLLECTION = _object(
    "a collection; without a shard_key it is not sharded",
    {
        "shard_key": _mapping(
            "fields, in their order, each 1 (ascending) or hashed",
            _one_of("1 (ascending) or hashed", 1, "hashed"),
            minProperties=1,
        ),
        "unique": _flag("true for a unique shard key, default false"),
        "indexes": _list("list of indexes", {"$ref": "#/$defs/index"}),
        "arrays": _list("fields that hold arrays; an index can have one", _text("a field's name"), uniqueItems=True),
    },
)

DATABASE = _object(
    "a database",
    {
        "primary_shard": _text("the shard that holds what is not sharded, default MongoDB's choice"),
        "collections": _mapping("collections, by name", {"$ref": "#/$defs/collection"}),
    },
)

ROLES = _list(
    "list of roles, each a name or a mapping with role and db",
    _short_or_long(
        _text("a role's name such as readWrite, or a mapping with role and db"),
        _object("a role", {"role": _text("a role's name"), "db": _text("a database")}, required=("role", "db")),
    ),
    uniqueItems=True,
)

USER = _object(
    "a user",
    {
        "name": _text("the user's name where the key is another, as for one name on two databases; default the key"),
        "database": _text("the database that the user logs in to"),
        "roles": ROLES,
        "password": PASSWORD,
    },
    required=("database", "roles"),
)

AUTH = _object(
    "authentication; the formula needs it",
    {
        "keyfile": _text(
            "6 to 1024 base64 characters (openssl rand -base64 756) from the secrets pillar",
            pattern=r"^\s*([A-Za-z0-9+/=]\s*){6,1024}$",
        ),
        "admin": _object(
            "the cluster's administrator",
            {"username": _text("a name that is not empty"), "password": PASSWORD, "roles": ROLES},
            required=("username", "password"),
        ),
    },
    required=("keyfile", "admin"),
)

INSTALL = _object(
    "where MongoDB comes from",
    {
        "method": _one_of(
            "package (MongoDB's repository, default), archive, or present (nothing is installed)",
            "package",
            "archive",
            "present",
        ),
        "source": _text(
            "URL, salt:// or absolute path of MongoDB's archive",
            pattern=rf"^((https?|ftp|s3|swift|salt|file):/)?/[^\x00-\x1f\x7f]+{END}",
        ),
        "path": _text(
            "directory of MongoDB's programs for method present, of letters, digits and ._+@:,=~-, default /usr/bin",
            pattern=PROGRAMS,
        ),
        "source_hash": _text(
            "sha256=<64 hex digits>, sha384=<96>, sha512=<128>, or the URL of a hash file", pattern=f"^({HASH}){END}"
        ),
    },
)

TLS_MODES = ("disabled", "allowTLS", "preferTLS", "requireTLS")
TLS = _object(
    "TLS of members and routers; each certificate names localhost too, as the states use that",
    {
        "mode": _one_of("disabled, allowTLS, preferTLS or requireTLS", *TLS_MODES),
        "certificateKeyFile": FILE,
        "CAFile": FILE,
    },
    required=("mode",),
)

SECTION = _a("a section, itself a mapping", type="object")

WRITE = "majority, or a number of members from 1"
RW_CONCERN = _object(
    "the cluster's default write and read concern",
    {
        "write": {"if": {"type": "integer"}, "then": _a(WRITE, minimum=1), "else": _one_of(WRITE, "majority")},
        "read": _one_of("local, available or majority", "local", "available", "majority"),
    },
)

GONE = _object(
    "a daemon that is needed no more",
    {
        "host": HOST,
        "unit": _text("mongod-SET or mongos", pattern=rf"^(mongos|mongod-[A-Za-z0-9][A-Za-z0-9_-]{{0,62}}){END}"),
        "data": _flag("true deletes its data too, default false"),
    },
    required=("host", "unit"),
)

CLUSTER = _object(
    "a MongoDB cluster",
    {
        "version": _text("the MongoDB series to install, in quotes: '8.0'", pattern=rf"^{SERIES}{END}"),
        "install": INSTALL,
        "port": _number("the port of members and routers, 1 to 65535, default 27017", 1, 65535),
        "cache_gib": _number("WiredTiger's cache in GiB, 0.25 to 10000, default MongoDB's", 0.25, 10000, whole=False),
        "oplog_mb": _number("the oplog's size in MB, 1 to 1073741824, default MongoDB's", 1, 2**30),
        "shutdown_timeout_ms": _number("ms that a stopping member waits for others, default 15000", 0, MAX_INT),
        "timeout": _number("seconds that a state waits for a condition, 1 to 86400", 1, 86400, whole=False),
        "tuning": _object(
            "operating system tuning",
            {"kernel": _flag("whether kernel settings are made (huge pages, swappiness), default true")},
        ),
        "options": _mapping("a mapping that is merged into mongod.conf", SECTION),
        "router_options": _mapping("a mapping that is merged into mongos.conf", SECTION),
        "tls": TLS,
        "connection": _mapping("default connection of the modules: PyMongo's options and credentials (a path)", {}),
        "replsets": _mapping(
            "the replica sets, by name",
            {"$ref": "#/$defs/replset"},
            minProperties=1,
            propertyNames=_a("up to 63 letters, digits, - and _", pattern=f"^[A-Za-z0-9][A-Za-z0-9_-]{{0,62}}{END}"),
        ),
        "routers": _list("list of routers (mongos)", {"$ref": "#/$defs/router"}),
        "gone": _list("list of daemons that a run removes from hosts, by host and unit", GONE),
        "auth": AUTH,
        "default_rw_concern": RW_CONCERN,
        "users": _mapping("users, by name", USER),
        "databases": _mapping("databases, by name", DATABASE),
    },
    required=("replsets", "auth"),
)

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "mongodb",
    **CLUSTER,
    "$defs": {
        "member": _short_or_long(ADDRESS, MEMBER),
        "router": _short_or_long(ADDRESS, _object("a router", {"host": HOST, "port": OWN_PORT}, required=("host",))),
        "replset": REPLSET,
        "collection": COLLECTION,
        "index": INDEX,
    },
}


def schema() -> dict:
    """
    The JSON Schema (draft 2020-12) of the ``mongodb`` pillar, each part with its ``description``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_schema.schema --out=json

    .. versionadded:: 0.1.0
    """
    return copy.deepcopy(SCHEMA)


def faults(pillar) -> list:
    """
    Where the pillar differs from the schema: all faults at once, in no order.

    pillar
        The value of the pillar's key ``mongodb``.

    Returns:
        List of mappings with ``path`` (below ``mongodb``), ``fault`` and ``remedy``; no secret in any of them.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_schema.faults '{replset: {}}'

    .. versionadded:: 0.1.0
    """
    return __salt__["pillar_form.faults"](pillar, SCHEMA, ALIASES, SECRET_PLACES, SHOWN)


def sound(pillar) -> dict:
    """
    The pillar without what the schema refuses: unknown keys are left out; a malformed entry of a list is ``None``, and
    so is any other malformed value. Holds the pillar's secrets.

    pillar
        The value of the pillar's key ``mongodb``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_schema.sound '{routers: [r1.dc, 5], replset: {}}'

    .. versionadded:: 0.1.0
    """
    return __salt__["pillar_form.sound"](pillar, SCHEMA, ALIASES, SECRET_PLACES, SHOWN)
