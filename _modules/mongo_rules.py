"""
What MongoDB refuses, known beforehand: replica sets, shard keys, indexes and names that no server would take.

.. versionadded:: 0.1.0

Pure functions of their arguments: no server is asked, PyMongo is not needed. :py:mod:`mongo_pillar` applies them to a
whole pillar, a state can apply them to its arguments. Each answers a list of faults, empty when there is none::

    salt-call --local -m . mongo_rules.indexes '[{keys: {a: hashed, b: hashed}}]'

A fault is a mapping: ``path`` (where, below what was handed in), ``fault`` (what is wrong, with the value found) and
``remedy`` (what would be right). An entry that is ``None`` stands for a malformed one: it is passed over, and what
can be said of all entries only together is not said.
"""

from collections.abc import Iterable, Iterator

MAX_MEMBERS, MAX_VOTERS = 50, 7
MAX_DATABASE_BYTES, MAX_NAMESPACE_BYTES, MAX_SHARDED_NAMESPACE_BYTES = 63, 255, 235
RESERVED = ("admin", "config", "local")
LOCAL_NAMES = ("localhost", "127.0.0.1")
DATA_OPTIONS = ("tags", "hidden", "secondaryDelaySecs", "buildIndexes")
TEXT_OPTIONS = ("weights", "default_language", "language_override")
REFERENCES = ("$id", "$ref", "$db")
MAX_FIELDS = 32
DISTINGUISHING = ("unique", "sparse", "partialFilterExpression", "collation")


def __virtual__():
    return "mongo_rules"


def replset(members: list, role: str = "shard", apart: bool = True) -> list:
    """
    Why MongoDB would refuse these members as one replica set.

    members
        List of mappings: ``host`` (``host:port``) and any of ``priority``, ``votes``, ``hidden``, ``arbiterOnly``,
        ``tags``, ``secondaryDelaySecs``, ``buildIndexes``.
    role
        ``shard`` or ``config``: config servers have no arbiters, no delayed members and none without indexes.
        Default ``shard``.
    apart
        Whether each member has to be on a host of its own, which MongoDB does not ask for. Default ``True``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_rules.replset '[{host: "s1a.dc:27017"}, {host: "s1b.dc:27017", hidden: true}]'

    .. versionadded:: 0.1.0
    """
    found = []
    for number, member in enumerate(members):
        if member:
            found += _below(number, _member_rule(member, role))
    found += _one_host_each(members, apart)
    return _faults(found if None in members else [*found, *_election_rule(members)])


def cluster(sets: list, routers: list) -> list:
    """
    Why these replica sets and routers cannot be one sharded cluster; what is wrong inside a set is told by
    :py:func:`replset`.

    sets
        List of mappings: ``name``, ``role`` (``shard`` or ``config``) and ``members`` as :py:func:`replset` takes them.
    routers
        List of ``host:port``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_rules.cluster '[{name: s1, role: shard, members: [{host: "s1a.dc:27017"}]}]' '[]'

    .. versionadded:: 0.1.0
    """
    servers = list(_servers(sets, routers))
    return _faults(
        [*_config_set_rule(sets), *_set_name_rule(sets), *_address_rule(servers), *_router_host_rule(routers)]
        + _localhost_rule(servers)
    )


def namespace(database: str, collection: str | None = None, sharded: bool = False) -> list:
    """
    Why MongoDB would refuse a database's name or, with ``collection``, that collection's name in it.

    database
        Name of the database.
    collection
        Name of the collection, without the database. Default: judge the database's name.
    sharded
        Whether the collection is sharded: its name with the database's may then have 235 bytes instead of 255.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_rules.namespace bank system.transfers

    .. versionadded:: 0.1.0
    """
    if collection is None:
        whys = [f"the database name {_short(database)} {why}" for why in _database_name_rule(database)]
    else:
        whys = [f"the name {_short(collection)} {why}" for why in _collection_name_rule(database, collection, sharded)]
    return _faults(("", why, "another name") for why in whys)


def shard_key(key: dict, unique: bool = False, arrays: Iterable[str] = ()) -> list:
    """
    Why MongoDB would refuse to shard a collection by this key.

    key
        Mapping of field to ``1`` or ``hashed``.
    unique
        Whether the key is to be unique. Default ``False``.
    arrays
        Fields that hold arrays.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_rules.shard_key '{account: hashed, teller: hashed}'

    .. versionadded:: 0.1.0
    """
    return _faults(_shard_key_rule(key, unique, arrays))


def indexes(
    wanted: list, shard_key: dict | None = None, arrays: Iterable[str] = (), version: str | None = None
) -> list:
    """
    Why MongoDB would refuse these indexes of one collection, or later the documents that they are for.

    wanted
        List of mappings: ``keys`` (mapping of field to ``1``, ``-1``, ``hashed``, ``text``, ``2d`` or ``2dsphere``)
        and the options of createIndexes: ``name``, ``unique``, ``sparse``, ``expireAfterSeconds`` and so on.
    shard_key
        The collection's shard key; a unique index has to begin with it. Default: not sharded.
    arrays
        Fields that hold arrays: no document can be indexed on two of them by one index (MongoDB's error 171).
    version
        MongoDB's series, such as ``8.0``; empty when it is not known. Default: any.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_rules.indexes '[{keys: {tags: 1, notes: 1}}]' arrays='[tags, notes]'

    .. versionadded:: 0.1.0
    """
    found = []
    for number, index in enumerate(wanted):
        if index:
            more = __salt__["mongo_index_options.faults"](index, version)
            found += _below(number, _index_rule(index, shard_key or {}, arrays))
            found += _below(number, [(each["path"], each["fault"], each["remedy"]) for each in more])
    return _faults([*found, *_clash_rule(wanted)])


def index_name(index: dict) -> str:
    """
    The name of an index: its own, or the one that drivers make of its keys, such as ``account_1_when_-1``.

    index
        Mapping with ``keys`` and perhaps ``name``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_rules.index_name '{keys: {account: 1, when: -1}}'

    .. versionadded:: 0.1.0
    """
    return index.get("name") or "_".join(f"{field}_{kind}" for field, kind in index["keys"].items())


def distinguishing() -> list:
    """
    The options that make two indexes on the same keys different ones, for MongoDB 5 and later.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_rules.distinguishing

    .. versionadded:: 0.1.0
    """
    return list(DISTINGUISHING)


# The rules; each yields (path, fault, remedy)


def _faults(found: Iterable[tuple]) -> list:
    return [{"path": path, "fault": fault, "remedy": remedy} for path, fault, remedy in found]


def _below(prefix: int, found: Iterable[tuple]) -> list:
    return [(f"{prefix}:{path}".rstrip(":"), fault, remedy) for path, fault, remedy in found]


def _short(name: str) -> str:
    return repr(name if len(name) <= 40 else name[:37] + "...")


# Members of one set


def _member_rule(member: dict, role: str) -> Iterator[tuple]:
    if role == "config":
        yield from _config_server_rule(member)
    if not member.get("arbiterOnly"):
        yield from _priority_rule(member)
    elif role != "config":
        yield from _arbiter_rule(member)


def _priority_rule(member: dict) -> Iterator[tuple]:
    reasons = {
        "hidden": member.get("hidden"),
        "delayed": member.get("secondaryDelaySecs"),
        "without indexes": member.get("buildIndexes") is False,
        "without a vote": member.get("votes") == 0,
    }
    given = [reason for reason, holds in reasons.items() if holds]
    if given and member.get("priority", 1):
        found = f"is {member['priority']}" if "priority" in member else "is not given, thus 1,"
        yield "priority", f"{found} on a member that is {' and '.join(given)}", "priority: 0, it is never to be primary"


def _arbiter_rule(member: dict) -> Iterator[tuple]:
    for option in DATA_OPTIONS:
        if option in member:
            yield option, "is given for an arbiter, which holds no data", f"no {option}, or no arbiterOnly"
    if member.get("priority"):
        yield "priority", f"is {member['priority']} on an arbiter, which is never to be primary", "no priority"
    if member.get("votes") == 0:
        yield "votes", "is 0 on an arbiter, which is there only to vote", "no votes, or no such member"


def _config_server_rule(member: dict) -> Iterator[tuple]:
    if member.get("arbiterOnly"):
        yield "arbiterOnly", "is true in a config set, which has no arbiters", "a member that holds data"
    if member.get("secondaryDelaySecs"):
        found = f"is {member['secondaryDelaySecs']} in a config set, which has no delayed members"
        yield "secondaryDelaySecs", found, "no secondaryDelaySecs"
    if member.get("buildIndexes") is False:
        yield "buildIndexes", "is false in a config set, whose members need their indexes", "no buildIndexes"


def _one_host_each(members: list, apart: bool) -> Iterator[tuple]:
    """Two members of a set on one host: the same server twice, or two that one failure takes away."""
    seen = {}
    for number, member in enumerate(members):
        if not member:
            continue
        host, _, port = member["host"].lower().rpartition(":")
        first, first_port = seen.setdefault(host if apart else (host, port), (number, port))
        if first != number and port == first_port:
            yield str(number), f"{member['host']} is member {first} already", "each server once"
        elif first != number:
            found = f"is on {host}, as member {first} is: the loss of one host would take both"
            yield str(number), found, "a host of its own for each member of a set"


def _election_rule(members: list) -> Iterator[tuple]:
    voters = sum(member.get("votes", 1) for member in members)
    able = [_electable(member) for member in members]
    if len(members) > MAX_MEMBERS:
        yield "", f"{len(members)} members", f"{MAX_MEMBERS} at most"
    if voters > MAX_VOTERS:
        yield "", f"{voters} voting members", f"{MAX_VOTERS} at most; votes: 0 and priority: 0 for the others"
    if not any(able):
        found = "no member can become primary" if voters else "no member has a vote"
        yield "", found, "a member that holds data, with a vote and a priority above 0"
    elif not able[0]:
        found = f"{members[0]['host']} cannot become primary, but a set is born on its first member"
        yield "0", found, "a member that can become primary in the first place"


def _electable(member: dict) -> bool:
    return bool(not member.get("arbiterOnly") and member.get("priority", 1) and member.get("votes", 1))


# Sets and routers together


def _servers(sets: list, routers: list) -> Iterator[tuple]:
    """Every server as (path, the group it belongs to, host:port)."""
    for each in sets:
        for number, member in enumerate(each["members"]):
            if member:
                yield f"replsets:{each['name']}:members:{number}", each["name"], member["host"].lower()
    for number, router in enumerate(routers):
        if router:
            yield f"routers:{number}", "", router.lower()


def _config_set_rule(sets: list) -> Iterator[tuple]:
    names = [each["name"] for each in sets if each["role"] == "config"]
    if not names and sets and all(each["role"] for each in sets):
        yield "replsets", "no set has role: config", "exactly one config set"
    for name in names[1:]:
        yield f"replsets:{name}:role", f"is config, as that of {names[0]} is", "exactly one config set"


def _set_name_rule(sets: list) -> Iterator[tuple]:
    for each in sets:
        if each["role"] == "shard" and each["name"] in RESERVED:
            yield f"replsets:{each['name']}", f"a shard cannot be called {each['name']!r}", "another name, such as s1"


def _address_rule(servers: list) -> Iterator[tuple]:
    seen = {}
    for path, group, address in servers:
        first, first_group = seen.setdefault(address, (path, group))
        if first_group != group:
            yield path, f"{address} is at {first} already", "a port or a host of its own for each server"


def _router_host_rule(routers: list) -> Iterator[tuple]:
    seen = {}
    for number, router in enumerate(routers):
        host = router and router.lower().rpartition(":")[0]
        if host and seen.setdefault(host, number) != number:
            yield f"routers:{number}", f"is on {host}, as router {seen[host]} is", "one router on a host"


def _localhost_rule(servers: list) -> list:
    local = [(path, address) for path, _, address in servers if address.rpartition(":")[0] in LOCAL_NAMES]
    if len(local) == len(servers):
        return []
    remedy = "a name that every host resolves"
    return [(path, f"{address} is another server on each host", remedy) for path, address in local]


# Names


def _database_name_rule(name: str) -> Iterator[str]:
    size = len(name.encode())
    if name.lower() in RESERVED:
        yield "is MongoDB's own"
    if not name:
        yield "is empty"
    if size > MAX_DATABASE_BYTES:
        yield f"has {size} bytes, {MAX_DATABASE_BYTES} are allowed"
    for char in '/\\. "$\0':
        if char in name:
            yield f"holds {char!r}"


def _collection_name_rule(database: str, name: str, sharded: bool) -> Iterator[str]:
    size = len(f"{database}.{name}".encode())
    limit = MAX_SHARDED_NAMESPACE_BYTES if sharded else MAX_NAMESPACE_BYTES
    if name.startswith("system."):
        yield "begins with 'system.', which is MongoDB's own"
    if not name:
        yield "is empty"
    if size > limit:
        yield f"has {size} bytes together with its database, {limit} are allowed{' when sharded' if sharded else ''}"
    if name[:1] == "." or name[-1:] == ".":
        yield "begins or ends with '.'"
    for part in ("$", "\0", ".."):
        if part in name:
            yield f"holds {part!r}"


def _field_name_rule(keys: Iterable[str], wild: bool = False) -> Iterator[str]:
    """With ``wild`` the last part of a field may be ``$**``."""
    for field in keys:
        parts = field.split(".")
        if wild and parts[-1] == "$**":
            parts.pop()
        if "" in parts:
            yield f"{_short(field)} has an empty part"
        if any(part.startswith("$") and (part not in REFERENCES or not place) for place, part in enumerate(parts)):
            yield f"{_short(field)} has a part that begins with '$'"
        if "\0" in field:
            yield f"{_short(field)} holds '\\0'"


# Shard keys and indexes


def _shard_key_rule(key: dict, unique: bool, arrays: Iterable[str]) -> Iterator[tuple]:
    hashed = [field for field, kind in key.items() if kind == "hashed"]
    wrong = [f"{field}: {kind!r}" for field, kind in key.items() if kind != "hashed" and (kind is True or kind != 1)]
    if not key:
        yield "shard_key", "is empty", "a field at least, such as account: hashed"
    if wrong:
        yield "shard_key", f"has {', '.join(wrong)}", "1 (ascending) or hashed for each field"
    if len(hashed) > 1:
        found = f"has {len(hashed)} hashed fields ({', '.join(hashed)})"
        yield "shard_key", found, "at most one hashed field, 1 for the others"
    if hashed and unique:
        found = f"is true, but a shard key with a hashed field ({hashed[0]}) cannot be unique"
        yield "unique", found, "unique: false, or a key without hashed"
    for why in _field_name_rule(key):
        yield "shard_key", why, "a field's name, dots between its parts"
    for field in key:
        if _arrays_on(field, arrays):
            yield "shard_key", f"{field!r} is listed in arrays", "a field that holds one value; a shard key is no array"


def _index_rule(index: dict, shard_key: dict, arrays: Iterable[str]) -> Iterator[tuple]:
    yield from _key_field_rule(index)
    yield from _kind_rule(index["keys"])
    yield from _hashed_rule(index, arrays)
    yield from _text_rule(index)
    yield from _wildcard_rule(index)
    yield from _option_rule(index)
    yield from _filter_rule(index)
    yield from _parallel_array_rule(index["keys"], arrays)
    yield from _unique_rule(index, list(shard_key))


def _key_field_rule(index: dict) -> Iterator[tuple]:
    for why in _field_name_rule(index["keys"], wild=True):
        yield "keys", why, "a field's name, dots between its parts"
    if len(index["keys"]) > MAX_FIELDS:
        yield "keys", f"has {len(index['keys'])} fields", f"{MAX_FIELDS} at most"
    if list(index["keys"]) == ["_id"] and not isinstance(index["keys"]["_id"], str):
        yield "keys", "an index on _id alone is made by MongoDB itself", "no such index here"
    elif index.get("name") in ("_id_", "*"):
        yield "name", f"is {index['name']!r}, which MongoDB keeps for itself", "another name, or none"
    elif "\0" in index.get("name", ""):
        yield "name", "holds '\\0'", "another name, or none"


def _kind_rule(keys: dict) -> Iterator[tuple]:
    kinds = [kind for kind in keys.values() if isinstance(kind, str)]
    if len(set(kinds)) > 1:
        yield "keys", f"has {' and '.join(dict.fromkeys(kinds))} in one index", "one special kind in an index"
    elif len(kinds) > 1 and kinds[0] in ("hashed", "2d"):
        fields = ", ".join(field for field, kind in keys.items() if kind == kinds[0])
        yield "keys", f"has {len(kinds)} {kinds[0]} fields ({fields})", f"at most one {kinds[0]} field"
    elif "2d" in kinds and next(iter(keys.values())) != "2d":
        yield "keys", "has a 2d field that is not the first", "the 2d field first"


def _hashed_rule(index: dict, arrays: Iterable[str]) -> Iterator[tuple]:
    hashed = [field for field, kind in index["keys"].items() if kind == "hashed"]
    if hashed and index.get("unique"):
        found = f"is true, but an index with a hashed field ({hashed[0]}) cannot be unique"
        yield "unique", found, "unique: false, or an index without hashed"
    for field in hashed:
        if _arrays_on(field, arrays):
            yield "keys", f"{field!r} is hashed, but listed in arrays, and arrays cannot be hashed", f"{field}: 1"


def _text_rule(index: dict) -> Iterator[tuple]:
    places = [place for place, kind in enumerate(index["keys"].values()) if kind == "text"]
    for option in () if places else TEXT_OPTIONS:
        if option in index:
            yield option, "is given for an index without a text field", f"no {option}"
    fields = list(index["keys"])
    inner = "_fts" in fields and (index["keys"]["_fts"] != "text" or "_ftsx" not in fields or not index.get("weights"))
    if inner:
        yield "keys", "has '_fts', under which MongoDB keeps a text index", "the fields of the text, each text"
    for field in fields:
        if field.endswith(".$**") and index["keys"][field] == "text":
            yield "keys", f"has {field!r} as text", "'$**' for all fields, or the fields by name"
    if places and places[-1] - places[0] + 1 != len(places):
        yield "keys", "has text fields that are not side by side", "the text fields next to each other"
    if places and _locale(index) != "simple":
        yield "collation", f"is {_locale(index)!r}, but text indexes have none", "no collation, or locale: simple"


def _wildcard_rule(index: dict) -> Iterator[tuple]:
    wild = [kind for field, kind in index["keys"].items() if field.split(".")[-1] == "$**" and kind != "text"]
    if not wild and "wildcardProjection" in index:
        yield "wildcardProjection", "is given for an index without a field '$**'", "no wildcardProjection"
    for option in ("unique", "sparse", "expireAfterSeconds") if wild else ():
        if index.get(option, False) is not False:
            yield option, "is given for a wildcard index", f"no {option}, or an index on named fields"
    if wild and wild != [1]:
        yield "keys", f"has '$**': {wild[-1]!r}", "1, for one field"


def _option_rule(index: dict) -> Iterator[tuple]:
    fields = len(index["keys"])
    if "expireAfterSeconds" in index and fields > 1:
        found = f"is {index['expireAfterSeconds']} on an index of {fields} fields, but MongoDB expires by one only"
        yield "expireAfterSeconds", found, "an index of its own on the field that holds the date"
    if index.get("sparse") and "partialFilterExpression" in index:
        yield "sparse", "is given together with partialFilterExpression", "partialFilterExpression alone, with $exists"


def _filter_rule(index: dict) -> Iterator[tuple]:
    for each in __salt__["mongo_values.filter_faults"](index.get("partialFilterExpression", {})):
        yield f"partialFilterExpression:{each['path']}".strip(":"), each["fault"], each["remedy"]


def _parallel_array_rule(keys: dict, arrays: Iterable[str]) -> Iterator[tuple]:
    fields = list(keys)
    pairs = [(one, other) for place, one in enumerate(fields) for other in fields[place + 1 :]]
    for one, other in pairs:
        if _arrays_on(one, arrays) - _arrays_on(other, arrays) and _arrays_on(other, arrays) - _arrays_on(one, arrays):
            found = f"{one!r} and {other!r} are both listed in arrays; MongoDB cannot index such documents (error 171)"
            yield "keys", found, "at most one array in an index"
            return


def _arrays_on(field: str, arrays: Iterable[str]) -> set:
    """The arrays on the way to a field; two fields below the same array are no parallel arrays."""
    return {array for array in arrays if field == array or field.startswith(array + ".")}


def _unique_rule(index: dict, shard_key: list) -> Iterator[tuple]:
    fields = list(index["keys"])
    if index.get("unique") and shard_key and fields[0] != "_id" and fields[: len(shard_key)] != shard_key:
        key = ", ".join(shard_key)
        found = f"is true for {', '.join(fields)}, but the collection is sharded by {key}"
        yield "unique", found, f"{key} as the index's first fields, or unique: false"


def _clash_rule(wanted: list) -> Iterator[tuple]:
    """Two indexes that MongoDB takes for one, or that have one name, or are both the collection's text index."""
    by_signature, by_name, text = {}, {}, {}
    for number, index in enumerate(wanted):
        if not index:
            continue
        name = index_name(index)
        same, named = by_signature.setdefault(_signature(index), number), by_name.setdefault(name, number)
        if same != number:
            yield str(number), f"is the same index as number {same}", "each index once"
        elif "text" in index["keys"].values() and text.setdefault("first", number) != number:
            yield str(number), f"is a second text index, after number {text['first']}", "one text index in a collection"
        elif named != number:
            yield str(number), f"has the name {name!r}, as number {named} has", "a name of its own"


def _signature(index: dict) -> tuple:
    """What MongoDB goes by when it compares two indexes of a collection; options that are false do not count."""
    options = {option: index[option] for option in DISTINGUISHING if index.get(option)}
    options["collation"] = None
    if _locale(index) != "simple":
        options["collation"] = __salt__["mongo_index_options.collation"](index["collation"])
    condition = options.pop("partialFilterExpression", None)
    if "partialFilterExpression" in index:  # an empty one is one too
        condition = __salt__["mongo_values.comparable_filter"](index["partialFilterExpression"])
    return tuple(index["keys"].items()), _frozen(options), condition


def _locale(index: dict) -> str:
    return index.get("collation", {}).get("locale", "simple")


def _frozen(value):
    if isinstance(value, dict):
        return tuple(sorted((key, _frozen(each)) for key, each in value.items()))
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value
