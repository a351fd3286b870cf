"""
The pillar of a MongoDB cluster: everything that is wrong with it, and what follows from it for each minion.

.. versionadded:: 0.1.0

Nothing here asks the world. :py:mod:`mongo_schema` knows the pillar's form, :py:mod:`mongo_rules` what MongoDB refuses;
here both are put together. ``check`` and ``faults`` judge. ``node``, ``hosts`` and ``collections`` derive and never
fail: SLS files are rendered before a check can stop the run, so what is malformed is left out. To check a pillar
without a master::

    salt-call --local -m . --pillar-root pillar --id s1a.dc mongo_pillar.check
"""

import difflib
import re
from collections.abc import Iterable, Iterator

import onepass_lib
from salt.exceptions import CommandExecutionError

onepass_lib.look(__file__)

from onepass_lib.core import form
from onepass_lib.mongo import schema

DEFAULT_PORT = 27017
ONE_ARBITER_FROM = 5.3
DATABASE_ROLES = ("read", "readWrite", "dbAdmin", "dbOwner", "userAdmin")
CLUSTER_ROLES = (
    "__system",
    "backup",
    "clusterAdmin",
    "clusterManager",
    "clusterMonitor",
    "dbAdminAnyDatabase",
    "directShardOperations",
    "hostManager",
    "readAnyDatabase",
    "readWriteAnyDatabase",
    "restore",
    "root",
    "userAdminAnyDatabase",
)


def __virtual__():
    return "mongo_pillar"


def check(pillar: dict | None = None) -> dict:
    """
    Refuse a bad pillar with all its faults at once, or answer what a good one describes.

    A minion that is no router is not given the users' passwords and does not miss them.

    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.

    Returns:
        How many ``replica sets``, ``members``, ``routers``, ``databases``, ``collections`` and ``users``.

    Raises ``CommandExecutionError`` with one line per fault: path, fault and remedy, never a secret.

    CLI Example:

    .. code-block:: bash

        salt-call mongo_pillar.check

    .. versionadded:: 0.1.0
    """
    pillar = _pillar(pillar)
    here = node(pillar=pillar)
    found = faults(pillar, passwords=bool(here["router"]) or not here["replsets"])
    if found:
        raise CommandExecutionError(report(found))
    return summary(pillar)


def faults(pillar: dict | None = None, passwords: bool = True) -> list:
    """
    Everything that is wrong with the pillar, sorted by path; an empty list for a good one.

    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.
    passwords
        Whether every user has to have a password. Default ``True``.

    Returns:
        List of mappings: ``path`` (``mongodb:replsets:s1:members:2``), ``fault`` and ``remedy``, without any secret.

    Requires ``jsonschema`` 4 in Salt's Python.

    CLI Example:

    .. code-block:: bash

        salt-call mongo_pillar.faults

    .. versionadded:: 0.1.0
    """
    pillar = _pillar(pillar)
    if pillar is None:
        return _faults([("mongodb", "is missing", "this key in a pillar file that top.sls gives to this minion")])
    found = schema.faults(pillar)
    if isinstance(pillar, dict):
        found += _cross_faults(schema.sound(pillar), passwords)
    return form.ordered("mongodb", found)


def report(found: list) -> str:
    """
    Faults as one readable block, a line for each.

    found
        What :py:func:`faults` answered.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_pillar.report '[{path: "mongodb:port", fault: is 0, remedy: 1 to 65535}]'

    .. versionadded:: 0.1.0
    """
    return form.report("mongodb", found)


def node(minion_id: str | None = None, pillar: dict | None = None) -> dict:
    """
    What one minion is in the cluster. A host can be in several sets, on a port of its own each, and a router as well.

    minion_id
        The host's name in the pillar. Default: this minion's id.
    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.

    Returns:
        ``roles`` (of ``config``, ``shard``, ``router``), ``replsets`` (a list) and ``router`` (a mapping or ``None``).
        A set has ``name``, ``role``, ``host`` (``host:port`` of this member), ``port``, ``members`` (mappings with
        ``host`` as ``host:port`` and what the pillar says of them), ``initiator`` (``host:port`` of the first member),
        ``initiates`` (whether that is this one), ``remove_extra`` and ``settings``. The router has ``host``, ``port``,
        ``config_db`` (``cfg/host:port,...``) and ``cluster`` (whether it is the first, which sets the cluster up).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id s1a.dc mongo_pillar.node

    .. versionadded:: 0.1.0
    """
    here = minion_id or __grains__["id"]
    described = site(_pillar(pillar))
    replsets = [place for each in _whole_sets(described) for place in _places(each, here)]
    router = next((_router(described, address) for address in _routers(described) if _host(address) == here), None)
    roles = {each["role"] for each in replsets} | ({"router"} if router else set())
    return {"roles": sorted(roles), "replsets": replsets, "router": router}


def hosts(pillar: dict | None = None) -> dict:
    """
    The cluster's minions by what they are: targets of an orchestration.

    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.

    Returns:
        Sorted lists of minion ids: ``members`` (of any set), ``config``, ``shard``, ``routers``, ``initiators`` (the
        first members), ``cluster`` (the first router), ``all``, and ``gone`` (with a daemon that is to be removed).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id s1a.dc mongo_pillar.hosts

    .. versionadded:: 0.1.0
    """
    described = site(_pillar(pillar))
    sets, routers = _whole_sets(described), _routers(described)
    config, shard = _addresses(sets, "config"), _addresses(sets, "shard")
    named = {
        "members": config + shard,
        "config": config,
        "shard": shard,
        "routers": routers,
        "initiators": [each["members"][0]["host"] for each in sets],
        "cluster": routers[:1],
        "all": config + shard + routers,
    }
    found = {name: sorted({_host(address) for address in addresses}) for name, addresses in named.items()}
    return {**found, "gone": sorted({each["host"] for each in described["gone"]})}


def collections(pillar: dict | None = None) -> dict:
    """
    Databases and collections as flat lists, in the pillar's order.

    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.

    Returns:
        ``databases``: list of ``name`` and ``primary_shard`` (or ``None``). ``collections``: list of ``name``
        (``bank.transfers``), ``key`` (empty when not sharded), ``unique``, ``indexes`` and ``arrays``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id s1a.dc mongo_pillar.collections

    .. versionadded:: 0.1.0
    """
    described = site(_pillar(pillar))
    flat = [
        {
            "name": f"{each['database']}.{each['collection']}",
            "key": each["shard_key"] or {},
            "unique": each["unique"],
            "indexes": [index for index in each["indexes"] if index],
            "arrays": each["arrays"],
        }
        for each in described["collections"]
    ]
    return {"databases": described["databases"], "collections": flat}


def places(pillar: dict | None = None) -> dict:
    """
    Where the pillar names each minion: minion id to the path of its first place, of malformed sets too.

    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id s1a.dc mongo_pillar.places

    .. versionadded:: 0.1.0
    """
    described, found = site(_pillar(pillar)), {}
    groups = {f"replsets:{each['name']}:members": each["members"] for each in described["sets"]}
    groups["routers"] = [{"host": address} if address else None for address in described["routers"]]
    for group, entries in groups.items():
        for number, entry in enumerate(entries):
            if entry:
                found.setdefault(_host(entry["host"]), f"mongodb:{group}:{number}")
    for number, each in enumerate(described["gone"]):
        found.setdefault(each["host"], f"mongodb:gone:{number}")
    return found


def summary(pillar: dict | None = None) -> dict:
    """
    How much a pillar describes: ``replica sets``, ``members``, ``routers``, ``databases``, ``collections``, ``users``.

    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id s1a.dc mongo_pillar.summary

    .. versionadded:: 0.1.0
    """
    described = site(_pillar(pillar))
    return {
        "replica sets": len(described["sets"]),
        "members": sum(len(each["members"]) for each in described["sets"]),
        **{kind: len(described[kind]) for kind in ("routers", "databases", "collections", "users")},
    }


# The pillar in one form, whatever short forms it is written in and however malformed it is


def site(pillar: dict | None = None) -> dict:
    """
    The cluster that a pillar describes, in one form: no short forms, ports filled in, no secrets. A malformed member,
    router, index, role or key is ``None``.

    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.

    Returns:
        ``sets`` (``name``, ``role``, ``members``, ``remove_extra``, ``settings``), ``routers`` (``host:port``),
        ``gone`` (``host``, ``unit``, ``data``), ``databases`` (``name``, ``primary_shard``), ``collections``
        (``database``, ``collection``, ``shard_key``, ``unique``, ``indexes``, ``arrays``) and ``users`` (``key``,
        ``name``, ``database``, ``roles``, ``password``: whether there is one).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id s1a.dc mongo_pillar.site

    .. versionadded:: 0.1.0
    """
    pillar = _mapping(_pillar(pillar))
    port = pillar.get("port")
    port = port if isinstance(port, int) else DEFAULT_PORT
    databases = _mapping(pillar.get("databases"))
    return {
        "sets": [_set(name, _mapping(each), port) for name, each in _mapping(pillar.get("replsets")).items()],
        "routers": [(_member(each, port) or {}).get("host") for each in _list(pillar.get("routers"))],
        "gone": [each for each in _list(pillar.get("gone")) if _mapping(each).get("host") and each.get("unit")],
        "databases": [
            {"name": name, "primary_shard": _mapping(each).get("primary_shard")} for name, each in databases.items()
        ],
        "collections": [
            _collection(database, name, _mapping(spec))
            for database, each in databases.items()
            for name, spec in _mapping(_mapping(each).get("collections")).items()
        ],
        "users": [_user(key, each) for key, each in _mapping(pillar.get("users")).items() if isinstance(each, dict)],
    }


def _pillar(pillar):
    return __salt__["onepass.given"]("mongodb", pillar)


def _mapping(value) -> dict:
    return value if isinstance(value, dict) else {}


def _list(value) -> list:
    return value if isinstance(value, list) else []


def _set(name: str, spec: dict, port: int) -> dict:
    return {
        "name": name,
        "role": spec.get("role") if spec.get("role") in ("config", "shard") else None,
        "members": [_member(each, port) for each in _list(spec.get("members"))],
        "remove_extra": spec.get("remove_extra") is True,
        "settings": _mapping(spec.get("settings")),
    }


def _member(entry, port: int) -> dict | None:
    """A member or router with ``host`` as ``host:port``; ``None`` for what is none."""
    entry = {"host": entry} if isinstance(entry, str) else dict(_mapping(entry))
    if not isinstance(entry.get("host"), str):
        return None
    host, _, own = entry["host"].partition(":")
    port = str(entry.pop("port", own or port))
    return {**entry, "host": f"{host}:{port}"} if host and port.isdecimal() and len(port) < 6 else None


def _collection(database: str, name: str, spec: dict) -> dict:
    key = spec.get("shard_key", {})
    return {
        "database": database,
        "collection": name,
        "shard_key": key if isinstance(key, dict) and None not in key.values() else None,
        "unique": spec.get("unique") is True,
        "indexes": [each if _mapping(_mapping(each).get("keys")) else None for each in _list(spec.get("indexes"))],
        "arrays": [each for each in _list(spec.get("arrays")) if isinstance(each, str)],
    }


def _user(key: str, spec: dict) -> dict:
    return {
        "key": key,
        "name": spec.get("name", key),
        "database": spec.get("database"),
        "roles": [_role(each, spec.get("database")) for each in _list(spec.get("roles"))],
        "password": "password" in spec,
    }


def _role(role, database: str | None) -> dict | None:
    if isinstance(role, str):
        return {"role": role, "db": database}
    return role if isinstance(role, dict) and {"role", "db"} <= set(role) else None


# What follows for a minion


def _host(address: str) -> str:
    return address.rpartition(":")[0]


def _whole_sets(described: dict) -> list:
    """The sets of which everything is known; one with a malformed member is left out rather than cut short."""
    return [each for each in described["sets"] if each["role"] and each["members"] and None not in each["members"]]


def _addresses(sets: list, role: str) -> list:
    return [member["host"] for each in sets if each["role"] == role for member in each["members"]]


def _routers(described: dict) -> list:
    return [address for address in described["routers"] if address]


def _places(each: dict, here: str) -> list:
    """The place of a host in a set; of several, which the check refuses, the first."""
    first = each["members"][0]["host"]
    places = [
        {
            **each,
            "host": member["host"],
            "port": int(member["host"].rpartition(":")[2]),
            "initiator": first,
            "initiates": member["host"] == first,
        }
        for member in each["members"]
        if _host(member["host"]) == here
    ]
    return places[:1]


def _router(described: dict, address: str) -> dict:
    config = next((each for each in _whole_sets(described) if each["role"] == "config"), None)
    seeds = ",".join(member["host"] for member in config["members"]) if config else ""
    return {
        "host": address,
        "port": int(address.rpartition(":")[2]),
        "config_db": f"{config['name']}/{seeds}" if config else "",
        "cluster": address == _routers(described)[0],
    }


# What is wrong; a rule yields (path, fault, remedy)


def _faults(found: Iterable) -> list:
    return [{"path": path, "fault": fault, "remedy": remedy} for path, fault, remedy in found]


def _below(prefix: str, found: list) -> list:
    return [dict(each, path=f"{prefix}:{each['path']}".rstrip(":")) for each in found]


def _did_you_mean(name: str, known: list, otherwise: str) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise


def _cross_faults(sound: dict, passwords: bool) -> list:
    """What no schema can say, of all that the schema has let through."""
    described = site(sound)
    rules = (
        _settings_rule(sound),
        _need_rule(sound, described),
        _rw_concern_rule(sound, described),
        _arbiters_rule(sound, described),
        _primary_shard_rule(described),
        _user_rule(sound, described, passwords),
        _gone_rule(described),
    )
    found = (
        _topology_faults(described) + _database_faults(described, _version(sound)) + _option_faults(sound, described)
    )
    return found + [each for rule in rules for each in _faults(rule)]


def _topology_faults(described: dict) -> list:
    found = __salt__["mongo_rules.cluster"](described["sets"], described["routers"])
    for each in described["sets"]:
        if each["members"]:
            wrong = __salt__["mongo_rules.replset"](each["members"], role=each["role"] or "shard")
            found += _below(f"replsets:{each['name']}:members", wrong)
    return found


def _option_faults(sound: dict, described: dict) -> list:
    servers = [each["host"] for one in described["sets"] for each in one["members"] if each]
    servers += [each for each in described["routers"] if each]
    alone = {_host(each) for each in servers} <= {"localhost", "127.0.0.1"}
    hosts = [{_host(each["host"]) for each in one["members"] if each} for one in described["sets"]]
    shared = sum(map(len, hosts)) > len(set().union(*hosts))
    return __salt__["mongo_options.faults"](sound, alone, shared)


def _version(sound: dict) -> str | None:
    """MongoDB's series as the pillar says it, or its archive's name; empty where neither does, None for a bad one."""
    if "version" in sound:
        return sound["version"]
    named = re.search(r"-([0-9]+\.[0-9]+)\.[0-9]+[^/]*$", _mapping(sound.get("install")).get("source") or "")
    return named[1] if named else ""


def _database_faults(described: dict, version: str | None) -> list:
    found = []
    for each in described["databases"]:
        found += _below(f"databases:{each['name']}", __salt__["mongo_rules.namespace"](each["name"]))
    for each in described["collections"]:
        found += _below(
            f"databases:{each['database']}:collections:{each['collection']}", _collection_faults(each, version)
        )
    return found


def _collection_faults(each: dict, version: str | None) -> list:
    key, arrays = each["shard_key"], each["arrays"]
    found = __salt__["mongo_rules.namespace"](each["database"], each["collection"], sharded=bool(key))
    if key:
        found += __salt__["mongo_rules.shard_key"](key, each["unique"], arrays)
    elif each["unique"] and key == {}:
        found += _faults([("unique", "is true without a shard_key", "a shard_key, or unique on an index")])
    return found + _below("indexes", __salt__["mongo_rules.indexes"](each["indexes"], key, arrays, version))


def _primary_shard_rule(described: dict) -> Iterator[tuple]:
    shards = [each["name"] for each in described["sets"] if each["role"] != "config"]
    lower = {}
    for each in described["databases"]:
        name, shard = each["name"], each["primary_shard"]
        if shard is not None and shard not in shards:
            remedy = _did_you_mean(shard, shards, "a set with role: shard")
            yield f"databases:{name}:primary_shard", f"is {shard!r}, which is no shard", remedy
        if lower.setdefault(name.lower(), name) != name:
            found = f"differs from {lower[name.lower()]!r} in case only, which MongoDB refuses"
            yield f"databases:{name}", found, "another name"


def _settings_rule(sound: dict) -> Iterator[tuple]:
    install, tls = _mapping(sound.get("install")), _mapping(sound.get("tls"))
    method = install.get("method", "package")
    if method == "package" and "version" not in sound:
        yield "version", "is missing, but install:method is package", "a MongoDB series in quotes, such as '8.0'"
    for key in ("source", "source_hash") if method == "archive" else ():
        if key not in install:
            yield f"install:{key}", "is missing, but install:method is archive", f"{key} of MongoDB's archive"
    for key in ("certificateKeyFile", "CAFile") if tls.get("mode", "disabled") not in ("disabled", None) else ():
        if key not in tls:
            yield f"tls:{key}", f"is missing, but tls:mode is {tls['mode']}", "an absolute path on each host"


def _need_rule(sound: dict, described: dict) -> Iterator[tuple]:
    shards = [each["name"] for each in described["sets"] if each["role"] == "shard"]
    needs = {"shards": shards, **{key: sound.get(key) for key in ("databases", "users", "default_rw_concern")}}
    needs = [name for name, there in needs.items() if there]
    if needs and sound.get("routers", []) == []:
        yield "routers", f"no router, but there are {', '.join(needs)}", "one router at least"
    roles = [each["role"] for each in described["sets"]]
    if sound.get("databases") and roles and not shards and all(roles):
        yield "databases", "no set has role: shard to hold them", "one shard at least"


def _rw_concern_rule(sound: dict, described: dict) -> Iterator[tuple]:
    concern = sound.get("default_rw_concern", {})
    for each in _whole_sets(described) if concern is not None else ():
        data = [member for member in each["members"] if not member.get("arbiterOnly")]
        write = concern.get("write", 0)
        if isinstance(write, int) and write > len(data):
            found = f"is {write}, but {each['name']} has {len(data)} members with data: no write could be acknowledged"
            yield "default_rw_concern:write", found, "majority"
        if "write" not in concern and each["role"] == "shard" and _needs_write_concern(each["members"], data):
            found = f"is missing, and {each['name']} has an arbiter: MongoDB then wants the write concern to be said"
            yield "default_rw_concern:write", found, "write: majority"


def _arbiters_rule(sound: dict, described: dict) -> Iterator[tuple]:
    parameters = _mapping(_mapping(sound.get("options")).get("setParameter"))
    old = 0 < float(_version(sound) or 0) < ONE_ARBITER_FROM
    allowed = old or str(parameters.get("allowMultipleArbiters")).lower() in ("true", "1")
    for each in described["sets"] if not allowed else ():
        count = sum(bool(member and member.get("arbiterOnly")) for member in each["members"])
        if count > 1 and each["role"] != "config":
            remedy = (
                "one at most; more need options:setParameter:allowMultipleArbiters, and make it easier to lose writes"
            )
            yield f"replsets:{each['name']}:members", f"{count} arbiters, which MongoDB does not take", remedy


def _needs_write_concern(members: list, data: list) -> bool:
    """Whether the set's own default would be to acknowledge writes by one member; such a set is refused as a shard."""
    voters, writers = (sum(member.get("votes", 1) for member in group) for group in (members, data))
    return writers < voters and writers <= voters // 2 + 1


def _gone_rule(described: dict) -> Iterator[tuple]:
    there = {(_host(member["host"]), f"mongod-{each['name']}"): each for each, member in _members_of(described)}
    routers, named = {_host(address) for address in _routers(described)}, {}
    for number, each in enumerate(described["gone"]):
        daemon = (each["host"], each["unit"])
        if daemon in there or (each["unit"] == "mongos" and each["host"] in routers):
            fault = f"{each['unit']} on {each['host']} is to go and to be there"
            yield f"gone:{number}", fault, "take it from the set's members or the routers, or from gone"
        if named.setdefault(daemon, number) != number:
            fault = f"{each['unit']} on {each['host']} is to go as entry {named[daemon]} says already"
            yield f"gone:{number}", fault, "each daemon once"


def _members_of(described: dict) -> list:
    return [(each, member) for each in described["sets"] for member in each["members"] if member]


def _user_rule(sound: dict, described: dict, passwords: bool) -> Iterator[tuple]:
    admin = _mapping(_mapping(sound.get("auth")).get("admin")).get("username")
    databases = [each["name"] for each in described["databases"]] + ["admin", "$external"]
    seen = {}
    for user in described["users"]:
        path, database = f"users:{user['key']}", user["database"]
        first = seen.setdefault((user["name"], database), user["key"])
        if first != user["key"]:
            yield path, f"is the user that users:{first} is, of the same name and database", "another name or database"
        if passwords and not user["password"] and database != "$external":
            yield f"{path}:password", "is missing", "a password from the secrets pillar"
        if database is not None and database not in databases:
            remedy = _did_you_mean(database, databases, "one of mongodb:databases, or admin")
            yield f"{path}:database", f"is {database!r}, which is not in mongodb:databases", remedy
        if database == "admin" and user["name"] == admin:
            yield path, "is the cluster's administrator (mongodb:auth:admin) as well", "another name"
        for number, role in enumerate(user["roles"]):
            if role:
                yield from _role_rule(f"{path}:roles:{number}", role, database, databases)


def _role_rule(path: str, role: dict, home: str | None, databases: list) -> Iterator[tuple]:
    name, database = role["role"], role["db"]
    known = {each.lower(): each for each in DATABASE_ROLES + CLUSTER_ROLES}
    meant = known.get(name.lower(), name)
    if meant != name:
        yield path, f"is {name!r}", f"did you mean {meant!r}?"
    elif name in CLUSTER_ROLES and database not in ("admin", None):
        yield path, f"is {name!r} in {database!r}, a role that only database admin has", f"{{role: {name}, db: admin}}"
    if database != home and database not in (*databases, "config", "local"):
        remedy = _did_you_mean(database, databases, "one of mongodb:databases, admin, config or local")
        yield f"{path}:db", f"is {database!r}, which is not in mongodb:databases", remedy
