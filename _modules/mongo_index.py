"""
MongoDB indexes: compared by key and options, built before the load, refused where a document could not be held.

.. versionadded:: 0.1.0

Look at any collection, from a clone of the repository::

    salt-call --local -m . mongo_index.indexes bank.transfers connection=mongodb://router.example:27017

Requires PyMongo (see :py:mod:`mongo_client`).
"""

import itertools

from salt.exceptions import CommandExecutionError

__virtualname__ = "mongo_index"

# What the server adds to an index by itself; compared only where the wanted index names it.
SERVER_OPTIONS = (
    "v",
    "ns",
    "background",
    "textIndexVersion",
    "2dsphereIndexVersion",
    "prepareUnique",
    "default_language",
    "language_override",
    "weights",
)
TWO_D_DEFAULTS = {"bits": 26, "min": -180, "max": 180}
# On a collection that has a collation, MongoDB wants SIMPLE with these, and shows none.
WITHOUT_COLLATION = ("text", "2d")
SIMPLE = {"locale": "simple"}
INDEX_DEFAULTS = {"unique": False, "sparse": False, "hidden": False}
ID_INDEX = "_id_"
MAX_TIME_EXPIRED, NAMESPACE_NOT_FOUND = 50, 26


def __virtual__():
    return __virtualname__


def indexes(name, connection=None, unfinished=False):
    """
    A collection's indexes, each as ``{name, keys, ...options}``; an empty list for a collection that does not exist.

    name
        ``database.collection``.
    connection
        A router or any primary, with credentials.
    unfinished
        With those that are still being built. Default ``False``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_index.indexes bank.transfers

    .. versionadded:: 0.1.0
    """
    database, collection = _split(name)
    try:
        listed = {"listIndexes": collection, "includeBuildUUIDs": True}
        found = __salt__["mongo_client.rows"](listed, db=database, connection=connection)
    except CommandExecutionError as err:
        if getattr(err, "code", None) == NAMESPACE_NOT_FOUND:
            return []
        raise
    rows = [row.get("spec", row) for row in found if unfinished or "buildUUID" not in row]
    return [
        {
            "keys": dict(row["key"]),
            **{key: value for key, value in __salt__["mongo_client.jsonable"](row).items() if key != "key"},
        }
        for row in rows
    ]


def collation(observed):
    """
    The collation that a collection gives to every index without one of its own; ``None`` if it has none. Pure: it is
    that of its index on ``_id``, which never has another.

    observed
        What :py:func:`indexes` answered.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_index.collation '[{name: _id_, keys: {_id: 1}}]'

    .. versionadded:: 0.1.0
    """
    return next((index.get("collation") for index in observed if index["name"] == ID_INDEX), None)


def parallel_arrays(name, keys, connection=None, timeout=5):
    """
    A document that the index could not hold, as two of its fields are arrays there (server error 171); ``None`` if
    there is none.

    name
        ``database.collection``.
    keys
        The index's fields in order: ``{tags: 1, owners: 1}``.
    connection
        A router or any primary, with credentials.
    timeout
        Seconds to look for one. Default 5.

    Returns:
        ``id`` and ``fields``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_index.parallel_arrays bank.transfers '{tags: 1, owners: 1}'

    .. versionadded:: 0.1.0
    """
    database, collection = _split(name)
    for first, second in array_pairs(keys):
        both = {"$and": [{first: {"$type": "array"}}, {second: {"$type": "array"}}]}
        find = {"find": collection, "filter": both, "projection": {"_id": 1}, "limit": 1}
        try:
            found = __salt__["mongo_client.rows"](find, db=database, connection=connection, timeout=timeout)
        except CommandExecutionError as err:
            if getattr(err, "code", None) != MAX_TIME_EXPIRED:
                raise
            continue
        if found:
            return {"id": str(found[0]["_id"]), "fields": [first, second]}
    return None


def plan(name, wanted, observed):
    """
    The steps to the wanted indexes, compared by key and options: one of another name, but the same key and options, is
    the same. One that differs in ``unique``, ``sparse``, ``partialFilterExpression`` or ``collation`` is made beside
    it, if it has a name of its own. Changed in place are ``hidden``, ``expireAfterSeconds`` (MongoDB 5.1 and later for
    an index that had none) and, from false to true, ``unique`` (6.0 and later).

    name
        ``database.collection``.
    wanted
        List of ``{keys: {field: 1, ...}, ...options}``.
    observed
        What :py:func:`indexes` answered.

    Raises ``CommandExecutionError`` when a key exists with other options, or a name with another key.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_index.plan bank.transfers '[{keys: {account: 1}}]' '[]'

    .. versionadded:: 0.1.0
    """
    names, inherited = {index["name"]: index for index in observed}, collation(observed)
    creates, changes = [], []
    for index in [{**index, "name": __salt__["mongo_rules.index_name"](index)} for index in wanted]:
        none = {*index["keys"].values()} & {*WITHOUT_COLLATION}
        whole = {"collation": SIMPLE if none else inherited, **index} if inherited else index
        found = _counterpart(whole, observed)
        if found:
            changes += _plan_change(name, whole, found)
            continue
        _refuse_second_text(name, index, observed)
        if index["name"] in names:
            raise CommandExecutionError(
                f"{name} has an index {index['name']} on {names[index['name']]['keys']}, not on {index['keys']}; give "
                "the new one another name"
            )
        creates.append(whole if none else index)
    if creates:
        listed = [index["name"] for index in creates]
        changes.append({"do": "create", "what": f"indexes of {name}", "old": None, "new": listed, "indexes": creates})
    return changes


def plan_absent(name, unwanted, observed):
    """
    The steps that drop indexes: those with the keys, and with the name and the options that are given beside them.

    name, unwanted, observed
        As for :py:func:`plan`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_index.plan_absent bank.transfers '[{keys: {account: 1}}]' '[]'

    .. versionadded:: 0.1.0
    """
    return [
        {
            "do": "remove",
            "what": f"index {index['name']} of {name}",
            "old": dict(index["keys"]),
            "new": None,
            "index": index["name"],
        }
        for index in observed
        if any(_is_meant(each, index) for each in unwanted)
    ]


def array_pairs(keys):
    """
    The pairs of paths of which only one may be an array in any document, for an index on these fields. Pure.

    keys
        The index's fields.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_index.array_pairs '{tags: 1, owners.name: 1}'

    .. versionadded:: 0.1.0
    """
    pairs = []
    for one, other in itertools.combinations(keys, 2):
        for first, second in itertools.product(_prefixes(one), _prefixes(other)):
            nested = f"{first}.".startswith(f"{second}.") or f"{second}.".startswith(f"{first}.")
            if not nested and (first, second) not in pairs:
                pairs.append((first, second))
    return pairs


def act(name, step, connection=None, timeout=3600):
    r"""
    Execute a step of :py:func:`plan`: all missing indexes in one build, or one option of one index.

    name, step
        ``database.collection`` and the step.
    connection, timeout
        A router, with credentials; seconds (default 3600: an index on a loaded collection takes its time).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_index.act

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    database, collection = _split(name)
    if step["do"] == "create":
        specs = [_spec(index) for index in step["indexes"]]
        # By default the build waits for every voting member, and so for ever while one is down.
        command = {"createIndexes": collection, "indexes": specs, "commitQuorum": "majority"}
    elif step["do"] == "remove":
        command = {"dropIndexes": collection, "index": step["index"]}
    else:
        command = {"collMod": collection, "index": {"name": step["index"], **step["new"]}}
        if step["new"].get("unique"):
            return _make_unique(command, database, connection, timeout)
    return __salt__["mongo_client.command"](command, db=database, connection=connection, timeout=timeout)


def _spec(index):
    """An index as createIndexes takes it, its values in MongoDB's own types."""
    options = {key: value for key, value in index.items() if key != "keys"}
    return {"key": index["keys"], **__salt__["mongo_client.from_extended"](options)}


def _split(name):
    database, _, collection = str(name).partition(".")
    if not database or not collection:
        raise CommandExecutionError(f"{name!r}: database.collection is wanted, for example bank.transfers")
    return database, collection


def _prefixes(path):
    parts = path.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _key(index):
    """Fields in order; those of a text index, whose order does not count, by their names."""
    fields = []
    for field, kind in index["keys"].items():
        if kind == "text":
            fields.append(("text", *sorted(_weights(index))))
        elif field != "_ftsx":
            fields.append((field, kind))
    return tuple(dict.fromkeys(fields))


def _weights(index):
    """Every field of a text index with its weight, as the server keeps it."""
    texts = [field for field, kind in index["keys"].items() if kind == "text" and field != "_fts"]
    return {**dict.fromkeys(texts, 1), **index.get("weights", {})}


def _options(index, beside=()):
    """An index's options with their defaults; what only the server adds counts where the wanted index names it."""
    skipped = {"keys", "name"} | (set(SERVER_OPTIONS) - set(beside))
    defaults = {**INDEX_DEFAULTS, **(TWO_D_DEFAULTS if "2d" in index["keys"].values() else {})}
    options = {**defaults, **{key: value for key, value in index.items() if key not in skipped}}
    if "weights" in options:
        options["weights"] = _weights(index)
    if options.get("collation"):
        whole = __salt__["mongo_index_options.collation"](options.pop("collation"))
        if whole["locale"] != "simple":  # which the server does not keep
            options["collation"] = {key: value for key, value in whole.items() if key != "version"}
    return options


def _drift(wanted, found):
    """Options that differ, each with what it is and what is wanted."""
    want, have = _options(_plain(wanted), wanted), _options(found, wanted)
    pairs = {key: (have.get(key), want.get(key)) for key in sorted({*want, *have})}
    return {key: pair for key, pair in pairs.items() if _compared(key, pair[0]) != _compared(key, pair[1])}


def _is_meant(unwanted, found):
    """Whether all that is said of an unwanted index holds for this one."""
    named = unwanted.get("name", found["name"]) == found["name"]
    return _key(unwanted) == _key(found) and named and not set(_drift(unwanted, found)).intersection(unwanted)


def _plain(index):
    """An index as the server would answer it: its values are compared in one spelling of MongoDB's extended JSON."""
    return __salt__["mongo_client.jsonable"](__salt__["mongo_client.from_extended"](index))


def _compared(option, value):
    """What is compared of an option, so that ``true`` is not ``1`` and the order of a filter's conditions is none."""
    if option == "partialFilterExpression" and isinstance(value, dict):
        return __salt__["mongo_values.comparable_filter"](value)
    return __salt__["mongo_values.comparable"](value) if option == "storageEngine" else value


def _counterpart(wanted, observed):
    """The index that is to be the wanted one, the nearest to it; ``None`` where MongoDB keeps both."""
    apart = set(_apart())
    candidates = [
        index
        for index in observed
        if _key(index) == _key(wanted) and (index["name"] == wanted["name"] or not apart & set(_drift(wanted, index)))
    ]
    return min(candidates, key=lambda index: len(_drift(wanted, index)), default=None)


def _plan_change(name, wanted, found):
    drift = _drift(wanted, found)
    if not drift:
        return []
    old, new = ({key: pair[place] for key, pair in drift.items()} for place in (0, 1))
    if _is_changeable(new):
        return [
            {"do": "change", "what": f"index {found['name']} of {name}", "old": old, "new": new, "index": found["name"]}
        ]
    beside = "give the new one a name of its own, or " if drift.keys() & {*_apart()} else ""
    raise CommandExecutionError(
        f"{name} has an index on {dict(found['keys'])} with {old}, not {new}; MongoDB does not change that in place: "
        f"{beside}drop {found['name']} in a quiet hour and run again"
    )


def _refuse_second_text(name, index, observed):
    text = next((each for each in observed if "text" in each["keys"].values()), None)
    if text and "text" in index["keys"].values():
        raise CommandExecutionError(
            f"{name} has its text index already, {text['name']} on {', '.join(_weights(text))}; a collection can have "
            f"one only: drop {text['name']} in a quiet hour and run again, or leave the other one out"
        )


def _apart():
    return __salt__["mongo_rules.distinguishing"]()


def _is_changeable(new):
    """What collMod can do: an expiry is never taken away, and a unique index never made another."""
    return (
        set(new) <= {"expireAfterSeconds", "hidden", "unique"} and None not in new.values() and new.get("unique", True)
    )


def _make_unique(command, database, connection, timeout):
    """New duplicates are refused first; if there are old ones, that ends again and the server's words are told."""

    def modify(**option):
        index = {"name": command["index"]["name"], **option}
        __salt__["mongo_client.command"](
            {**command, "index": index}, db=database, connection=connection, timeout=timeout
        )

    rest = {key: value for key, value in command["index"].items() if key not in ("name", "unique")}
    modify(prepareUnique=True)
    try:
        modify(unique=True)
    except CommandExecutionError:
        modify(prepareUnique=False)
        raise
    if rest:
        modify(**rest)
