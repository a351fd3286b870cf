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
import difflib
import re
from collections import namedtuple
from collections.abc import Iterable

try:
    import jsonschema

    HAS_JSONSCHEMA = True
except ImportError:
    HAS_JSONSCHEMA = False

LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
NAME = rf"(?=[^:]{{1,253}}(:|$)){LABEL}(\.{LABEL})*"
END = r"$(?!\n)"
PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
HASH = "sha256=[0-9a-fA-F]{64}|sha384=[0-9a-fA-F]{96}|sha512=[0-9a-fA-F]{128}|(https?|ftp|salt|file)://.+"
# Keys that people know from elsewhere.
ALIASES = {"shards": "replsets", "mongos": "routers", "ssl": "tls", "slaveDelay": "secondaryDelaySecs"}
# Below these no value is shown, and a strange key only if it looks like a known one: it may be a secret gone astray.
SECRET_PLACES = ("auth", "users", "connection", "options", "router_options")

Finding = namedtuple("Finding", "where fault remedy stray", defaults=[False])


def __virtual__():
    if not HAS_JSONSCHEMA:
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
FILE = _text("an absolute path on each host", pattern="^/")

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
        "partialFilterExpression": _mapping("a filter; only documents that match it are indexed", {}),
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
    {"database": _text("the database that the user logs in to"), "roles": ROLES, "password": PASSWORD},
    required=("database", "roles"),
)

AUTH = _object(
    "authentication; without it everybody may do everything",
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
            "URL, salt:// or absolute path of MongoDB's archive", pattern="^((https?|ftp|s3|swift|salt|file):/)?/."
        ),
        "path": _text("directory of MongoDB's programs for method present, default /usr/bin", pattern="^/"),
        "source_hash": _text(
            "sha256=<64 hex digits>, sha384=<96>, sha512=<128>, or the URL of a hash file", pattern=f"^({HASH}){END}"
        ),
    },
)

TLS_MODES = ("disabled", "allowTLS", "preferTLS", "requireTLS")
TLS = _object(
    "TLS of members and routers",
    {
        "mode": _one_of("disabled, allowTLS, preferTLS or requireTLS", *TLS_MODES),
        "certificateKeyFile": FILE,
        "CAFile": FILE,
    },
    required=("mode",),
)

WRITE = "majority, or a number of members from 1"
RW_CONCERN = _object(
    "the cluster's default write and read concern",
    {
        "write": {"if": {"type": "integer"}, "then": _a(WRITE, minimum=1), "else": _one_of(WRITE, "majority")},
        "read": _one_of("local, available or majority", "local", "available", "majority"),
    },
)

CLUSTER = _object(
    "a MongoDB cluster",
    {
        "version": _text("the MongoDB series to install, in quotes: '8.0'", pattern=rf"^[0-9]+\.[0-9]+{END}"),
        "install": INSTALL,
        "port": _number("the port of members and routers, 1 to 65535, default 27017", 1, 65535),
        "cache_gib": _number("WiredTiger's cache in GiB, 0.25 to 10000, default MongoDB's", 0.25, 10000, whole=False),
        "oplog_mb": _number("the oplog's size in MB, 1 or more, default MongoDB's", 1, 2**40),
        "shutdown_timeout_ms": _number("ms that a stopping member waits for others, default 15000", 0, MAX_INT),
        "timeout": _number("seconds that a state waits for a condition, 1 to 86400", 1, 86400, whole=False),
        "tuning": _object(
            "operating system tuning",
            {"kernel": _flag("whether kernel settings are made (huge pages, swappiness), default true")},
        ),
        "options": _mapping("a mapping that is merged into mongod.conf", {}),
        "router_options": _mapping("a mapping that is merged into mongos.conf", {}),
        "tls": TLS,
        "connection": _mapping("default connection of the modules: PyMongo's options and credentials (a path)", {}),
        "replsets": _mapping(
            "the replica sets, by name",
            {"$ref": "#/$defs/replset"},
            minProperties=1,
            propertyNames=_a("up to 63 letters, digits, - and _", pattern=f"^[A-Za-z0-9][A-Za-z0-9_-]{{0,62}}{END}"),
        ),
        "routers": _list("list of routers (mongos)", {"$ref": "#/$defs/router"}),
        "auth": AUTH,
        "default_rw_concern": RW_CONCERN,
        "users": _mapping("users, by name", USER),
        "databases": _mapping("databases, by name", DATABASE),
    },
    required=("replsets",),
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
    return [
        {"path": ":".join(map(str, finding.where)), "fault": finding.fault, "remedy": finding.remedy}
        for finding in _findings(pillar)
    ]


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
    if not isinstance(pillar, dict):
        return {}
    kept = _with_string_keys(pillar, (), [])
    for finding in _findings(pillar):
        _drop(kept, finding)
    return kept


def _findings(pillar) -> list:
    found = []
    checked = _with_string_keys(pillar, (), found)
    for error in _validator().iter_errors(checked):
        found += EXPLAIN[error.validator](error)
    return list(dict.fromkeys(found))


def _validator():
    """JSON Schema takes 27017.0 for an integer; MongoDB's configuration files do not."""
    base = jsonschema.Draft202012Validator
    types = base.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    return jsonschema.validators.extend(base, type_checker=types)(SCHEMA)


def _with_string_keys(value, where: tuple, found: list):
    """A copy in which every key is a string; the others are told in ``found``."""
    if isinstance(value, list):
        return [_with_string_keys(each, (*where, number), found) for number, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    copied = {}
    for key, each in value.items():
        if isinstance(key, str):
            copied[key] = _with_string_keys(each, (*where, key), found)
        elif _is_secret(where):
            found.append(Finding(where, f"has a key that is {_kind(key)}, not a string", "the key in quotes"))
        else:
            fault = f"is {_kind(key, shown=True)} as a key, not a string"
            found.append(Finding((*where, key), fault, "the key in quotes", stray=True))
    return copied


def _drop(kept: dict, finding: Finding) -> None:
    """Take a malformed value out of the pillar, with the entry of the innermost list that it is a part of."""
    *parents, last = finding.where
    holder, item = kept, None
    for step in parents:
        if isinstance(holder, list):
            item = holder, step
        holder = holder[step] if isinstance(holder, list) else (holder or {}).get(step)
    if finding.stray:
        if isinstance(holder, dict):
            holder.pop(last, None)
    elif isinstance(holder, list):
        holder[last] = None
    elif item:
        item[0][item[1]] = None
    elif holder is not None:
        holder[last] = None


# The schema's faults in words; each function takes jsonschema's error and answers a list of findings


def _wrong_type(error) -> list:
    known = error.schema.get("properties")
    remedy = f"a mapping with {', '.join(sorted(known))}" if known else None
    return [_finding(error, f"is {_seen(error)}, not {TYPES[error.validator_value]}", remedy)]


def _wrong_value(error) -> list:
    if _is_secret(error.absolute_path):
        return [_finding(error, "does not fit")]
    close = None
    if error.validator == "enum" and isinstance(error.instance, str):
        close = _closest(error.instance, [each for each in error.validator_value if isinstance(each, str)])
    remedy = error.schema["description"]
    return [_finding(error, f"is {_seen(error)}", f"did you mean {close!r}? {remedy}" if close else remedy)]


def _wrong_size(error) -> list:
    size = len(error.instance)
    return [_finding(error, f"has {size} entries" if size else "is empty")]


def _missing(error) -> list:
    known = error.schema["properties"]
    meant = {_closest(key, known) for key in _strange(error)}
    return [
        Finding((*error.absolute_path, key), "is missing", known[key].get("description", "to be given"))
        for key in error.validator_value
        if key not in error.instance and key not in meant
    ]


def _unknown(error) -> list:
    known, where = error.schema["properties"], tuple(error.absolute_path)
    return [_unknown_key(where, key, _closest(key, known), known) for key in _strange(error)]


def _unknown_key(where: tuple, key: str, close: str | None, known: dict) -> Finding:
    if close:
        return Finding((*where, key), "is an unknown key", f"did you mean {close!r}?", stray=True)
    remedy = f"known are {', '.join(sorted(known))}"
    if _is_secret(where):
        return Finding(where, "has an unknown key", remedy)
    return Finding((*where, key), "is an unknown key", remedy, stray=True)


def _repeated(error) -> list:
    again = next(each for number, each in enumerate(error.instance) if each in error.instance[:number])
    shown = _kind(again, shown=not _is_secret(error.absolute_path))
    return [_finding(error, f"lists {shown} twice", "each entry once")]


EXPLAIN = {
    "type": _wrong_type,
    "enum": _wrong_value,
    "pattern": _wrong_value,
    "minimum": _wrong_value,
    "maximum": _wrong_value,
    "minLength": _wrong_size,
    "minItems": _wrong_size,
    "minProperties": _wrong_size,
    "maxProperties": _wrong_size,
    "required": _missing,
    "additionalProperties": _unknown,
    "uniqueItems": _repeated,
}
TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
}


def _finding(error, fault: str, remedy: str | None = None) -> Finding:
    where = tuple(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        where = (*where, error.instance)
    return Finding(where, fault, remedy or error.schema["description"])


def _strange(error) -> list:
    return [key for key in error.instance if key not in error.schema["properties"]]


def _closest(key: str, known: Iterable[str]) -> str | None:
    by_lower = {each.lower(): each for each in (*known, *(old for old, new in ALIASES.items() if new in known))}
    close = difflib.get_close_matches(key.lower(), by_lower, n=1)
    return ALIASES.get(by_lower[close[0]], by_lower[close[0]]) if close else None


def _is_secret(where: Iterable) -> bool:
    """Whether a value there is not to be shown; a user's database and roles are."""
    place, *below = *where, None
    return place in SECRET_PLACES and not (place == "users" and below[1:2] in (["database"], ["roles"]))


def _seen(error) -> str:
    where = error.absolute_path
    return _kind(error.instance, shown=bool(where) and not _is_secret(where))


def _kind(value, shown: bool = False) -> str:
    """A value in words: what kind it is and, where it may be shown, the value itself."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower() if shown else "true or false"
    if isinstance(value, (int, float)):
        return f"the number {value}" if shown else "a number"
    if not isinstance(value, str):
        return f"the {type(value).__name__} {value}" if shown else f"a {type(value).__name__}"
    return _quoted(value) if shown else "a string"


def _quoted(value: str) -> str:
    """A string in quotes, cut short, without the password of a URL."""
    value = re.sub("://[^/@]*@", "://***@", value)
    return repr(value if len(value) <= 60 else value[:57] + "...")
