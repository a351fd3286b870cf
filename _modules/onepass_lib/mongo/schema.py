"""
The form of the ``mongodb`` pillar: a JSON Schema with its faults in words.

No message holds a secret: below ``auth``, ``users``, ``connection`` and the free options a value's kind is named,
never the value.
"""

import copy
from typing import Any

from onepass_lib.core import form
from onepass_lib.core.parts import (
    END,
    LABEL,
    PORT,
    Part,
    document,
    flag,
    listing,
    mapping,
    number,
    one_of,
    part,
    record,
    text,
)
from onepass_lib.core.steps import Fault

NAME = rf"(?=[^:]{{1,253}}(:|$)){LABEL}(\.{LABEL})*"
HASH = "sha256=[0-9a-fA-F]{64}|sha384=[0-9a-fA-F]{96}|sha512=[0-9a-fA-F]{128}|(https?|ftp|salt|file)://.+"
SERIES = r"[0-9]{1,3}\.[0-9]{1,3}"
# Keys that people know from elsewhere.
ALIASES = {"shards": "replsets", "mongos": "routers", "ssl": "tls", "slaveDelay": "secondaryDelaySecs"}
# Below these no value is shown, and a strange key only if it looks like a known one: it may be a secret gone astray.
SECRET_PLACES = ("auth", "users", "connection", "options", "router_options")
# But these keys of an entry there are no secret.
SHOWN = {"users": ["name", "database", "roles"]}


# The schema, from the inside out.


def _short_or_long(short: Part, long: Part) -> Part:
    """A string or a mapping, with the faults of the one that is meant."""
    return {"if": {"type": "object"}, "then": long, "else": short}


HOST = text("a host name of letters, digits, hyphens and dots, without a port", pattern=f"^{NAME}{END}")
ADDRESS = text("host or host:port, or a mapping with host", pattern=f"^{NAME}(:{PORT})?{END}")
OWN_PORT = number("a port, 1 to 65535, default mongodb:port", 1, 65535)
PASSWORD = text("a password that is not empty, in quotes, from the secrets pillar")
FILE = text("an absolute path on each host, without control characters", pattern=rf"^/[^\x00-\x1f\x7f]*{END}")
# A systemd unit's ExecStart: blanks part it, % and $ stand for something else, quotes and backslashes are its own.
PROGRAMS = rf"^/[A-Za-z0-9._/+@:,=~-]*{END}"

MAX_INT = 2**31 - 1

MEMBER = record(
    "a member of a replica set",
    {
        "host": HOST,
        "port": OWN_PORT,
        "priority": number("0 (never primary) to 1000, default 1", 0, 1000, whole=False),
        "votes": one_of("0 or 1, default 1", 0, 1),
        "hidden": flag("true for a member that clients do not see, default false"),
        "arbiterOnly": flag("true for a member that votes and holds no data, default false"),
        "buildIndexes": flag("false for a member without indexes, default true"),
        "secondaryDelaySecs": number("seconds to lag behind, up to 31622400 (366 days), default 0", 0, 31622400),
        "tags": mapping("tags of the member", part("a string, in quotes", type="string")),
    },
    required=("host",),
)

REPLSET = record(
    "a replica set",
    {
        "role": one_of("config (one set of them) or shard", "config", "shard"),
        "members": listing("list of members; the set is born on the first", {"$ref": "#/$defs/member"}, minItems=1),
        "remove_extra": flag("true removes members that are not listed here, default false"),
        "settings": record(
            "the set's own settings",
            {
                "chainingAllowed": flag("whether secondaries may copy from secondaries, default true"),
                "electionTimeoutMillis": number("ms without a primary until an election, default 10000", 1, MAX_INT),
                "heartbeatIntervalMillis": number("ms between two heartbeats, default 2000", 1, MAX_INT),
                "heartbeatTimeoutSecs": number("seconds until a heartbeat counts as lost, default 10", 1, MAX_INT),
                "catchUpTimeoutMillis": number("ms that a new primary catches up, -1: no limit", -1, MAX_INT),
                "catchUpTakeoverDelayMillis": number("ms until a fresher member takes over, -1: never", -1, MAX_INT),
            },
        ),
    },
    required=("role", "members"),
)

COLLATION = record(
    "the language rules of comparison",
    {
        "locale": text("a locale such as de or fr_CA, or simple"),
        "strength": one_of("1 to 5, default 3", 1, 2, 3, 4, 5),
        "caseLevel": flag("true compares case at strength 1 and 2, default false"),
        "caseFirst": one_of("upper, lower or off, default off", "upper", "lower", "off"),
        "numericOrdering": flag("true compares digits as numbers, default false"),
        "alternate": one_of("non-ignorable or shifted, default non-ignorable", "non-ignorable", "shifted"),
        "maxVariable": one_of("punct or space, default punct", "punct", "space"),
        "backwards": flag("true compares accents from the end, default false"),
        "normalization": flag("true normalizes text first, default false"),
    },
    required=("locale",),
)

INDEX_KINDS = one_of("1, -1, hashed, text, 2d or 2dsphere", 1, -1, "hashed", "text", "2d", "2dsphere")
INDEX = record(
    "an index",
    {
        "keys": mapping("1 to 32 fields, in their order", INDEX_KINDS, minProperties=1, maxProperties=32),
        "name": text("the index's name, default made of its keys"),
        "unique": flag("true allows each value once, default false"),
        "sparse": flag("true leaves out documents without the fields, default false"),
        "hidden": flag("true hides the index from queries, default false"),
        "expireAfterSeconds": number("seconds until a document expires, 0 to 2147483647", 0, MAX_INT),
        "partialFilterExpression": mapping(
            "a filter; only documents that match it are indexed; dates and the like in MongoDB's extended JSON", {}
        ),
        "collation": COLLATION,
        "weights": mapping("weights of text fields", number("1 to 99999, default 1", 1, 99999)),
        "default_language": text("language of a text index, default english"),
        "language_override": text("field that holds a document's language, default language"),
        "wildcardProjection": mapping("fields of a wildcard index, each 0 or 1", {}),
    },
    required=("keys",),
)

COLLECTION = record(
    "a collection; without a shard_key it is not sharded",
    {
        "shard_key": mapping(
            "fields, in their order, each 1 (ascending) or hashed",
            one_of("1 (ascending) or hashed", 1, "hashed"),
            minProperties=1,
        ),
        "unique": flag("true for a unique shard key, default false"),
        "indexes": listing("list of indexes", {"$ref": "#/$defs/index"}),
        "arrays": listing("fields that hold arrays; an index can have one", text("a field's name"), uniqueItems=True),
    },
)

DATABASE = record(
    "a database",
    {
        "primary_shard": text("the shard that holds what is not sharded, default MongoDB's choice"),
        "collections": mapping("collections, by name", {"$ref": "#/$defs/collection"}),
    },
)

ROLES = listing(
    "list of roles, each a name or a mapping with role and db",
    _short_or_long(
        text("a role's name such as readWrite, or a mapping with role and db"),
        record("a role", {"role": text("a role's name"), "db": text("a database")}, required=("role", "db")),
    ),
    uniqueItems=True,
)

USER = record(
    "a user",
    {
        "name": text("the user's name where the key is another, as for one name on two databases; default the key"),
        "database": text("the database that the user logs in to"),
        "roles": ROLES,
        "password": PASSWORD,
    },
    required=("database", "roles"),
)

AUTH = record(
    "authentication; the formula needs it",
    {
        "keyfile": text(
            "6 to 1024 base64 characters (openssl rand -base64 756) from the secrets pillar",
            pattern=r"^\s*([A-Za-z0-9+/=]\s*){6,1024}$",
        ),
        "admin": record(
            "the cluster's administrator",
            {"username": text("a name that is not empty"), "password": PASSWORD, "roles": ROLES},
            required=("username", "password"),
        ),
    },
    required=("keyfile", "admin"),
)

INSTALL = record(
    "where MongoDB comes from",
    {
        "method": one_of(
            "package (MongoDB's repository, default), archive, or present (nothing is installed)",
            "package",
            "archive",
            "present",
        ),
        "source": text(
            "URL, salt:// or absolute path of MongoDB's archive",
            pattern=rf"^((https?|ftp|s3|swift|salt|file):/)?/[^\x00-\x1f\x7f]+{END}",
        ),
        "path": text(
            "directory of MongoDB's programs for method present, of letters, digits and ._+@:,=~-, default /usr/bin",
            pattern=PROGRAMS,
        ),
        "source_hash": text(
            "sha256=<64 hex digits>, sha384=<96>, sha512=<128>, or the URL of a hash file", pattern=f"^({HASH}){END}"
        ),
    },
)

TLS_MODES = ("disabled", "allowTLS", "preferTLS", "requireTLS")
TLS = record(
    "TLS of members and routers; each certificate names localhost too, as the states use that",
    {
        "mode": one_of("disabled, allowTLS, preferTLS or requireTLS", *TLS_MODES),
        "certificateKeyFile": FILE,
        "CAFile": FILE,
    },
    required=("mode",),
)

SECTION = part("a section, itself a mapping", type="object")

WRITE = "majority, or a number of members from 1"
RW_CONCERN = record(
    "the cluster's default write and read concern",
    {
        "write": {"if": {"type": "integer"}, "then": part(WRITE, minimum=1), "else": one_of(WRITE, "majority")},
        "read": one_of("local, available or majority", "local", "available", "majority"),
    },
)

GONE = record(
    "a daemon that is needed no more",
    {
        "host": HOST,
        "unit": text("mongod-SET or mongos", pattern=rf"^(mongos|mongod-[A-Za-z0-9][A-Za-z0-9_-]{{0,62}}){END}"),
        "data": flag("true deletes its data too, default false"),
    },
    required=("host", "unit"),
)

CLUSTER = record(
    "a MongoDB cluster",
    {
        "version": text("the MongoDB series to install, in quotes: '8.0'", pattern=rf"^{SERIES}{END}"),
        "install": INSTALL,
        "port": number("the port of members and routers, 1 to 65535, default 27017", 1, 65535),
        "cache_gib": number("WiredTiger's cache in GiB, 0.25 to 10000, default MongoDB's", 0.25, 10000, whole=False),
        "oplog_mb": number("the oplog's size in MB, 1 to 1073741824, default MongoDB's", 1, 2**30),
        "shutdown_timeout_ms": number("ms that a stopping member waits for others, default 15000", 0, MAX_INT),
        "timeout": number("seconds that a state waits for a condition, 1 to 86400", 1, 86400, whole=False),
        "tuning": record(
            "operating system tuning",
            {"kernel": flag("whether kernel settings are made (huge pages, swappiness), default true")},
        ),
        "options": mapping("a mapping that is merged into mongod.conf", SECTION),
        "router_options": mapping("a mapping that is merged into mongos.conf", SECTION),
        "tls": TLS,
        "connection": mapping("default connection of the modules: PyMongo's options and credentials (a path)", {}),
        "replsets": mapping(
            "the replica sets, by name",
            {"$ref": "#/$defs/replset"},
            minProperties=1,
            propertyNames=part("up to 63 letters, digits, - and _", pattern=f"^[A-Za-z0-9][A-Za-z0-9_-]{{0,62}}{END}"),
        ),
        "routers": listing("list of routers (mongos)", {"$ref": "#/$defs/router"}),
        "gone": listing("list of daemons that a run removes from hosts, by host and unit", GONE),
        "auth": AUTH,
        "default_rw_concern": RW_CONCERN,
        "users": mapping("users, by name", USER),
        "databases": mapping("databases, by name", DATABASE),
    },
    required=("replsets", "auth"),
)

SCHEMA = document(
    "mongodb",
    CLUSTER,
    **{
        "$defs": {
            "member": _short_or_long(ADDRESS, MEMBER),
            "router": _short_or_long(ADDRESS, record("a router", {"host": HOST, "port": OWN_PORT}, required=("host",))),
            "replset": REPLSET,
            "collection": COLLECTION,
            "index": INDEX,
        }
    },
)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the ``mongodb`` pillar, each part with its ``description``."""
    return copy.deepcopy(SCHEMA)


def faults(pillar: Any) -> list[Fault]:
    """
    Where the pillar differs from the schema: all faults at once, in no order; no secret in any of them.

    pillar
        The value of the pillar's key ``mongodb``.

    Returns:
        List of mappings with ``path`` (below ``mongodb``), ``fault`` and ``remedy``.
    """
    return form.faults(pillar, SCHEMA, ALIASES, SECRET_PLACES, SHOWN)


def sound(pillar: Any) -> dict[str, Any]:
    """
    The pillar without what the schema refuses: unknown keys are left out; a malformed entry of a list is ``None``, and
    so is any other malformed value. Holds the pillar's secrets.

    pillar
        The value of the pillar's key ``mongodb``.
    """
    return form.sound(pillar, SCHEMA, ALIASES, SECRET_PLACES, SHOWN)
