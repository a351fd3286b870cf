"""
Does a MongoDB daemon stay where its set, its data and its cluster know it? What a new configuration would lose.

.. versionadded:: 0.1.0

A set knows a member by its address alone, and a member's data is where it was made, as it was made. A configuration
that says otherwise makes a stranger of a member, or a blank one. A router that is given it looks for its cluster where
that is not. So a daemon's new configuration is judged before it is written::

    salt-call --local -m . mongo_place.refuse /etc/mongodb/mongod-s1.conf '{net: {port: 27017}}' '{}'

Requires PyMongo (see :py:mod:`mongo_client`).
"""

import os
import socket

import salt.utils.yaml
from salt.exceptions import CommandExecutionError

try:
    import bson
    import bson.errors
except ImportError:
    bson = None

PORT, REPLSET, CONFIG_DB, DB_PATH = "net:port", "replication:replSetName", "sharding:configDB", "storage:dbPath"
DEFAULT_DB_PATH = "/data/db"
# What a server keeps of how its data was made, in the data's directory.
METADATA = "storage.bson"
AT_BIRTH = {
    "storage:directoryPerDB": "directoryPerDB",
    "storage:wiredTiger:engineConfig:directoryForIndexes": "directoryForIndexes",
}


def __virtual__():
    return "mongo_place"


def refuse(file: str, config: dict, replsets: dict, connection=None) -> None:
    """
    Refuse a daemon's new configuration where a living member, or its data, would no longer be found.

    file
        Absolute path of its configuration, as it was written last.
    config
        The configuration that it is to have.
    replsets
        Mapping of replica set to its members (``host:port``), as they are to be: a member's own set, all that a router
        knows. They are asked, without a login, where they are to be and where they may have been, when the
        configuration has another port, set or config servers than the file. Other files are only read.
    connection
        The daemon over loopback, at the port that it is to have.

    Raises ``CommandExecutionError`` with what is where.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_place.refuse /etc/mongodb/mongod-s1.conf '{net: {port: 27017}}' '{}'

    .. versionadded:: 0.1.0
    """
    former = _read(file)
    if _at(config, REPLSET):
        _refuse_data(former, config)
    if all(_at(former, option) == _at(config, option) for option in (PORT, REPLSET, CONFIG_DB)):
        return
    ways = [connection]
    if former and _with_tls(former, connection) != __salt__["mongo_client.resolve"](connection):
        ways.append(_with_tls(former, connection))
    if _at(config, REPLSET):
        _refuse_own(_at(former, PORT), _at(config, REPLSET), ways)
    for name, members in replsets.items() if former else ():
        _refuse_members(name, members, _ports(former), ways)


def set_at(connection) -> str | None:
    """
    The replica set of what answers there, as a living member says it; ``None`` when nothing does.

    connection
        The server, see :py:mod:`mongo_client`. No login is needed.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_place.set_at mongodb://localhost:27017

    .. versionadded:: 0.1.0
    """
    return (_hello(connection) or {}).get("setName")


def loopback(file: str, connection=None):
    """
    The daemon of a configuration file over loopback, with the TLS that it has; ``None`` when the file names no port.

    file
        Absolute path of its configuration, as it was written last.
    connection
        Further options, see :py:mod:`mongo_client`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_place.loopback /etc/mongodb/mongod-s1.conf

    .. versionadded:: 0.1.0
    """
    former = _read(file)
    port = _at(former, PORT)
    return _with_tls(former, __salt__["mongo_client.at"](f"localhost:{port}", connection)) if port else None


def listens(connection) -> bool:
    """
    Whether the port is open; PyMongo would look for two seconds for one that is not.

    connection
        The server, see :py:mod:`mongo_client`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_place.listens mongodb://localhost:27017

    .. versionadded:: 0.1.0
    """
    host, _, port = __salt__["mongo_client.address"](connection).rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except (ConnectionRefusedError, TimeoutError):
        return False
    except (OSError, ValueError):  # a socket file, or several hosts: not a daemon of the formula
        pass
    return True


def refuse_move(replset: str, host: str, port, wanted) -> None:
    """
    The refusal of a living member's other port.

    replset, host, port, wanted
        Its set; its host, for the message; where it is, and where it would be.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_place.refuse_move s1 s1a.dc 27017 27117

    .. versionadded:: 0.1.0
    """
    raise CommandExecutionError(
        f"The living member of {replset} on {host} is at port {port}, not {wanted}; its set knows it by that port "
        f"only: put {port} back, or change its host in the set first, one member at a time (onepass.solution tells how)"
    )


# A member's data


def _refuse_data(former: dict, config: dict) -> None:
    name, path, before = _at(config, REPLSET), _data(config), _data(former)
    if former and before != path and _metadata(before) is not None and _metadata(path) is None:
        raise CommandExecutionError(
            f"The data of {name} here is in {before}, not in {path}; put {before} back, or stop its daemon and move "
            "the directory there first"
        )
    made = _metadata(path) or {}
    for option, key in AT_BIRTH.items():
        wanted = _at(config, option) or False
        if isinstance(made.get(key), bool) and made[key] != wanted:
            raise CommandExecutionError(
                f"The data of {name} here was made with {option} {_yaml(made[key])}, not {_yaml(wanted)}, which counts "
                f"at birth only; put it back, or empty {path} while the daemon is stopped, one member after another"
            )


def _data(config: dict) -> str:
    return str(_at(config, DB_PATH) or DEFAULT_DB_PATH)


def _metadata(path: str) -> dict | None:
    """How the data in a directory was made; ``None`` where there is none, empty where nobody can tell."""
    try:
        with open(os.path.join(path, METADATA), "rb") as file:
            return bson.decode(file.read(2**16))["storage"]["options"]
    except FileNotFoundError:
        return None
    except (OSError, AttributeError, KeyError, TypeError, ValueError, bson.errors.BSONError):
        return {}


def _yaml(value: bool) -> str:
    return str(value).lower()


# Where members are


def _refuse_own(port: int | None, replset: str, ways: list) -> None:
    """A living member answers at its port over loopback, whatever the name that its set has for it."""
    host, _, wanted = __salt__["mongo_client.address"](ways[0]).rpartition(":")
    _refuse_other_set(next(filter(None, map(set_at, ways)), None), replset, f"port {wanted}")
    there = port and str(port) != wanted and _ask(f"{host}:{port}", ways).get("setName")
    if there:
        refuse_move(there, "this host", port, wanted)


def _refuse_members(name: str, members: list, ports: set, ways: list) -> None:
    known = None
    for address in members:
        host, _, port = address.lower().rpartition(":")
        said = _ask(address, ways).get("setName")
        _refuse_other_set(said, name, address)
        if said:
            continue
        known = _known(name, members, ports, ways) if known is None else known
        were = {was for was in known.get(host, ()) if f"{host}:{was}" not in map(str.lower, members)}
        if were and port not in known[host]:
            refuse_move(name, host, min(were), port)


def _refuse_other_set(there: str | None, replset: str, where: str) -> None:
    if there and there != replset:
        raise CommandExecutionError(
            f"At {where} is a living member of replica set {there}, so {replset} cannot be there; call the set {there} "
            "again, or take this member out of it and stop its daemon first"
        )


def _known(name: str, members: list, ports: set, ways: list) -> dict:
    """The ports at which a set has members, by host: as they tell, and where they answer under the names asked."""
    found = {}
    for address in members:
        host, _, wanted = address.rpartition(":")
        for port in {*ports, wanted}:
            said = _ask(f"{host}:{port}", ways)
            if said.get("setName") == name:
                for each in (*__salt__["mongo_members.visible"](said), f"{host}:{port}"):
                    place = each.lower().rpartition(":")
                    found.setdefault(place[0], set()).add(place[2])
    return found


def _ask(address: str, ways: list) -> dict:
    for way in ways:
        said = _hello(__salt__["mongo_client.at"](address, way))
        if said:
            return said
    return {}


def _hello(connection) -> dict | None:
    if not listens(connection):
        return None
    try:
        return __salt__["mongo_client.hello"](connection)
    except CommandExecutionError as err:
        if hasattr(err, "argument"):
            raise
        return None


def _ports(former: dict) -> set:
    """Where a cluster's daemons may have been: where the daemon itself was, and the config servers that it had."""
    servers = str(_at(former, CONFIG_DB) or "").rpartition("/")[2].split(",")
    ports = [str(_at(former, PORT)), *(server.rpartition(":")[2] for server in servers)]
    return {port for port in ports if port.isdecimal()}


# A daemon's configuration


def _read(file: str) -> dict:
    try:
        with open(file, encoding="utf-8") as text:
            found = salt.utils.yaml.safe_load(text)
    except (OSError, UnicodeError, salt.utils.yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _at(config: dict, option: str):
    for key in option.split(":"):
        config = config.get(key) if isinstance(config, dict) else None
    return config


def _with_tls(former: dict, connection) -> dict:
    """The connection with the TLS that a daemon's configuration has, in the place of its own."""
    own = {key: value for key, value in __salt__["mongo_client.resolve"](connection).items() if key[:3] != "tls"}
    options = __salt__["mongo_config.connection"]({"tls": _at(former, "net:tls")}, None)
    return {**own, **{key: value for key, value in options.items() if key[:3] == "tls"}}
