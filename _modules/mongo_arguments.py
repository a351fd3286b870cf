"""
The arguments of the MongoDB states: everything that is wrong with them, told before any server is asked.

.. versionadded:: 0.1.0

An argument means the same in every state, so it is known here by its name. Judged are its form and, where that is
sound, what MongoDB would refuse (:py:mod:`mongo_rules`)::

    salt-call --local -m . mongo_arguments.faults '{members: [s1a.dc, {host: "s1b.dc:27017", prority: 2}]}'
"""

import difflib
import json

from salt.exceptions import CommandExecutionError

__virtualname__ = "mongo_arguments"


def __virtual__():
    return __virtualname__


def refusal(name, what, arguments):
    """
    The return of a state whose arguments cannot be right, with all that is wrong, a line each; ``None`` if nothing is.

    name
        The state's ``name``.
    what
        The object that the state is about, for the message: ``replica set s1``.
    arguments
        As for :py:func:`faults`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_arguments.refusal s1 'replica set s1' '{members: s1a.dc}'

    .. versionadded:: 0.1.0
    """
    found = faults(arguments)
    return __salt__["onepass.refuse"](name, what, found) if found else None


def faults(arguments):
    """
    All that is wrong with the arguments of one state; an empty list when nothing is.

    arguments
        Mapping of argument to value, each with the name that it has in the states. A state's own ``name`` is given as
        ``collection`` (``database.collection``) or ``new_database`` where it is one. ``members`` are judged as one set
        when ``config_server`` is there too.

    Returns:
        List of mappings: ``path`` (``members:2:host``), ``fault`` and ``remedy``, without any secret.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_arguments.faults '{collection: bank.transfers, key: {account: -1}}'

    .. versionadded:: 0.1.0
    """
    malformed = {name: FORMS[name](value) for name, value in arguments.items()}
    found = [each for name, wrong in malformed.items() for each in _below("" if name in NAMES else name, wrong)]
    sound = {name: value for name, value in arguments.items() if not malformed[name]}
    return found + _name_faults(sound) + _key_faults(sound) + _list_faults(arguments)


# What MongoDB would refuse


def _name_faults(sound):
    namespace = __salt__["mongo_rules.namespace"]
    if "new_database" in sound:
        return namespace(sound["new_database"])
    if "collection" not in sound:
        return []
    database, _, collection = sound["collection"].partition(".")
    return namespace(database) + namespace(database, collection, sharded="key" in sound)


def _key_faults(sound):
    if "key" not in sound:
        return []
    found = __salt__["mongo_rules.shard_key"](sound["key"], sound.get("unique", False))
    return [dict(each, path=each["path"].replace("shard_key", "key")) for each in found]


def _list_faults(arguments):
    """Of lists, in which a sound entry is judged beside a malformed one."""
    members, indexes, config = (arguments.get(name) for name in ("members", "indexes", "config_server"))
    found = []
    if isinstance(members, list) and config is not None:
        entries = [{"host": each} if isinstance(each, str) else each for each in members]
        role = "config" if config is True else "shard"
        found += _below("members", __salt__["mongo_rules.replset"](_sound(entries, _member), role, apart=False))
        data = [each for each in entries if isinstance(each, dict) and not each.get("arbiterOnly")]
        found += _concern_faults(arguments.get("write_concern"), len(data))
    if isinstance(indexes, list):
        found += _below("indexes", __salt__["mongo_rules.indexes"](_sound(indexes, _index)))
    return found


def _concern_faults(concern, data):
    if not _is_number(concern) or not _is_write_concern(concern) or concern <= data:
        return []
    fault = f"is {concern}, but the set has {data} members with data: no write could be acknowledged"
    return _below("write_concern", [_fault(fault, "majority")])


def _sound(entries, form):
    return [None if form(each) else each for each in entries]


# Forms: functions of a value that answer what is wrong with it


def _fault(fault, remedy, path=""):
    return {"path": path, "fault": fault, "remedy": remedy}


def _below(prefix, found):
    return [dict(each, path=f"{prefix}:{each['path']}".strip(":")) for each in found]


def _shown(value):
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str, skipkeys=True)
    return text if len(text) <= 60 else text[:57] + "..."


def _any(_):
    return []


def _one(is_right, remedy):
    return lambda value: [] if is_right(value) else [_fault(f"is {_shown(value)}", remedy)]


def _one_of(*values):
    remedy = f"{', '.join(map(str, values[:-1]))} or {values[-1]}"
    return _one(lambda value: value in values and not isinstance(value, bool), remedy)


def _number(remedy, lowest, highest=float("inf")):
    return _one(lambda value: _is_number(value) and lowest <= value <= highest, remedy)


def _whole(remedy, lowest, highest=float("inf")):
    return _one(lambda value: _is_number(value) and value % 1 == 0 and lowest <= value <= highest, remedy)


def _or_none(form):
    return lambda value: [] if value is None else form(value)


def _list(form, remedy):
    def wrong(value):
        if not isinstance(value, list):
            return [_fault(f"is {_shown(value)}", remedy)]
        return [fault for number, each in enumerate(value) for fault in _below(number, form(each))]

    return wrong


def _mapping(form, remedy, least=0):
    def wrong(value):
        if not isinstance(value, dict) or len(value) < least:
            return [_fault(f"is {_shown(value)}", remedy)]
        strange = [_fault(f"has the key {_shown(key)}, which is no text", remedy) for key in value if not _is_text(key)]
        return strange or [fault for key, each in value.items() for fault in _below(key, form(each))]

    return wrong


def _fields(forms, required, remedy):
    """A mapping of fields that are known by name; an unknown one is told with the one that may be meant."""

    def wrong(value):
        strange = _mapping(_any, remedy)(value)
        if strange:
            return strange
        meant = {field: _meant(field, forms) for field in value if field not in forms}
        missing = [field for field in required if field not in value and field not in meant.values()]
        found = [_fault(f"has no {field}", remedy) for field in missing]
        found += [_unknown(field, close, forms) for field, close in meant.items()]
        return found + _in_fields(forms, value)

    return wrong


def _in_fields(forms, value):
    return [each for field in forms if field in value for each in _below(field, forms[field](value[field]))]


def _meant(field, known):
    return next(iter(difflib.get_close_matches(field, known, n=1, cutoff=0.7)), None)


def _unknown(field, close, known):
    remedy = f"did you mean {close!r}?" if close else f"known are {', '.join(known)}"
    return _fault("is an unknown field", remedy, field)


def _is_text(value):
    return isinstance(value, str) and value != ""


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_address(value):
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    return bool(host) and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65536


def _is_path(value):
    return isinstance(value, str) and value.startswith("/")


def _is_collection(value):
    database, _, collection = value.partition(".") if isinstance(value, str) else ("", "", "")
    return bool(database and collection)


def _is_write_concern(value):
    return value == "majority" or (isinstance(value, int) and not isinstance(value, bool) and value > 0)


# The arguments


_flag = _one(lambda value: isinstance(value, bool), "True or False")
_text = _one(_is_text, "a text that is not empty")
_options = _mapping(_any, "a mapping")
_address = _one(_is_address, "host:port is wanted, for example s1a.dc:27017")
_member_fields = _fields(
    {
        "host": _address,
        "priority": _number("0 (never primary) to 1000", 0, 1000),
        "votes": _one_of(0, 1),
        "hidden": _flag,
        "arbiterOnly": _flag,
        "buildIndexes": _flag,
        "tags": _mapping(_text, "a mapping of texts"),
        "secondaryDelaySecs": _number("seconds to lag behind, 0 or more", 0),
    },
    ["host"],
    "host:port, or a mapping with host",
)
_settings = _fields(
    {
        "chainingAllowed": _flag,
        "electionTimeoutMillis": _whole("milliseconds, 1 or more", 1),
        "heartbeatIntervalMillis": _whole("milliseconds, 1 or more", 1),
        "heartbeatTimeoutSecs": _whole("seconds, 1 or more", 1),
        "catchUpTimeoutMillis": _whole("milliseconds, or -1 for no limit", -1),
        "catchUpTakeoverDelayMillis": _whole("milliseconds, or -1 for never", -1),
        "getLastErrorModes": _mapping(
            _mapping(_whole("how many of its values, 1 or more", 1), "a mapping of tag to a number"),
            "a mapping of mode to its tags",
        ),
    },
    [],
    "a mapping",
)
_collation = _fields(
    {
        "locale": _text,
        "strength": _one_of(1, 2, 3, 4, 5),
        "caseFirst": _one_of("upper", "lower", "off"),
        "alternate": _one_of("non-ignorable", "shifted"),
        "maxVariable": _one_of("punct", "space"),
        **dict.fromkeys(("caseLevel", "numericOrdering", "backwards", "normalization"), _flag),
    },
    ["locale"],
    "a mapping with locale",
)
_index = _fields(
    {
        "keys": _mapping(
            _one_of(1, -1, "hashed", "text", "2d", "2dsphere"), "a mapping of fields in their order", least=1
        ),
        "name": _text,
        "expireAfterSeconds": _whole("whole seconds until a document expires", 0, 2**31 - 1),
        "collation": _collation,
        "weights": _mapping(_whole("1 to 99999", 1, 99999), "a mapping of text fields to their weights"),
        **dict.fromkeys(("unique", "sparse", "hidden", "background"), _flag),
        **dict.fromkeys(("partialFilterExpression", "wildcardProjection"), _options),
        "storageEngine": _mapping(_options, "a mapping of storage engine to its options", least=1),
        **dict.fromkeys(("default_language", "language_override"), _text),
        "v": _one_of(1, 2),
        **dict.fromkeys(("textIndexVersion", "2dsphereIndexVersion"), _one_of(1, 2, 3)),
        **dict.fromkeys(("bits", "min", "max"), _any),
    },
    ["keys"],
    "a mapping with keys, for example {keys: {account: 1, when: -1}}",
)
_role_fields = _fields({"role": _text, "db": _text}, ["role", "db"], "a role's name, or a mapping with role and db")


def _member(value):
    return _address(value) if isinstance(value, str) else _member_fields(value)


def _role(value):
    return [] if _is_text(value) else _role_fields(value)


def _connection(value):
    """Also one that a path in the pillar leads to. No value is shown: it may hold a password."""
    try:
        found = __salt__["mongo_client.resolve"](value)
    except CommandExecutionError as err:
        fault, _, remedy = str(err).partition("; ")
        return [_fault(fault, remedy)]
    wrong = _mapping(_any, "MongoClient's options, each by its name")(found) or _in_fields(CONNECTION, found)
    path = found.get("credentials")
    login = __salt__["config.get"](path, default=None) if _is_text(path) else None
    if isinstance(login, dict):
        wrong += _below("credentials", _in_fields({"roles": _roles}, login))
    return [dict(each, fault="does not fit") for each in wrong]


def _password(value):
    whole = [value] if isinstance(value, str) else value
    fits = value is None or (isinstance(whole, list) and whole and all(map(_is_text, whole)))
    return [] if fits else [_fault("does not fit", "the password's path in the pillar, as a text or a list of keys")]


_roles = _list(_role, "list of roles, each a name or a mapping with role and db")
_members = _list(_member, "list of host:port, or of mappings with host")
_addresses = _list(_address, "list of host:port")
_files = _list(_one(_is_path, "an absolute path"), "list of absolute paths")
_turn_fields = {"address": _address, "peers": _addresses, "replset": _text, "hosts": _addresses}
CONNECTION = {"host": _text, "port": _number("1 to 65535", 1, 65535), "credentials": _or_none(_text)}
# Whose value is the object's own name.
NAMES = ("collection", "new_database")
FORMS = {
    "collection": _one(_is_collection, "database.collection is wanted, for example bank.transfers"),
    "new_database": _text,
    "connection": _connection,
    "timeout": _number("seconds, 0 or more", 0),
    "members": _members,
    "config_server": _flag,
    "data": _flag,
    "host": _or_none(_text),
    "hosts": _addresses,
    "whole": _or_none(
        _fields(
            {"hosts": _list(_text, "a list of host names"), "config_servers": _addresses, "connection": _connection},
            ["hosts"],
            "hosts of the set, config_servers and connection",
        )
    ),
    "settings": _or_none(_settings),
    "remove_extra": _flag,
    "replsets": _mapping(_members, "a mapping of replica set to its members"),
    "replset": _or_none(_text),
    "size_mb": _whole("whole MB, 1 to 1073741824", 1, 2**30),
    **dict.fromkeys(
        ("write", "write_concern"), _or_none(_one(_is_write_concern, "majority, or a number of members from 1"))
    ),
    "read": _or_none(_one_of("local", "available", "majority")),
    "primary_shard": _or_none(_text),
    "key": _mapping(_any, "a mapping of fields in their order, each 1 or, at most one of them, hashed"),
    "unique": _flag,
    "indexes": _list(_index, "list of mappings with keys"),
    "database": _text,
    "roles": _or_none(_roles),
    "password": _password,
    "file": _one(_is_path, "an absolute path"),
    "files": _files,
    "configuration": _options,
    "together": _files,
    "turn": _or_none(_fields(_turn_fields, list(_turn_fields), "a mapping with address, peers, replset and hosts")),
}
