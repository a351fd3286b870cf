"""
The systemd units that the formula ``mongodb`` has made on this host, and the end of one that is needed no more.

.. versionadded:: 0.1.0

A unit is the formula's when its file starts a daemon with the configuration of its own name below ``/etc/mongodb``;
what anybody else has made is not seen here, and never touched::

    salt-call --local -m . mongo_units.there
"""

import os
import re
import shutil
from pathlib import Path

import salt.utils.yaml
from salt.exceptions import CommandExecutionError

__virtualname__ = "mongo_units"

UNITS, CONFIGURATIONS = "/etc/systemd/system", "/etc/mongodb"
NAME = re.compile(r"mongos|mongod-[A-Za-z0-9][A-Za-z0-9_-]*")
# What MongoDB's own data directory has, and hardly any other.
MARKS = ("WiredTiger", "storage.bson")
# A filesystem's own, in its top directory.
LOST = "lost+found"
# Where Linux tells what is mounted, blanks and the like as octal numbers.
MOUNTS, ESCAPED = "/proc/self/mountinfo", re.compile(r"\\([0-7]{3})")
AS_IT_IS = {"encoding": "utf-8", "errors": "surrogateescape"}


def __virtual__():
    return __virtualname__


def there():
    """
    The formula's units on this host, whether they are needed or not.

    Returns:
        Unit to ``active``, ``replset``, ``port`` and ``data`` (a directory); each ``None`` where there is none.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_units.there

    .. versionadded:: 0.1.0
    """
    names = [path.stem for path in sorted(Path(UNITS).glob("mongo*.service"))]
    found = {name: observe(name) for name in names if NAME.fullmatch(name) and _is_ours(name)}
    parts = ("active", "replset", "port", "data")
    return {name: {part: each[part] for part in parts} for name, each in found.items()}


def observe(unit):
    """
    What is there of one unit of the formula's.

    unit
        Its name: ``mongod-s1`` or ``mongos``.

    Returns:
        ``file`` (its configuration), ``files`` (those of unit and configuration that exist), ``active``, ``replset``,
        ``port``, ``data``, and ``kept``: why its data may not be deleted, or ``None``.

    Raises ``CommandExecutionError`` for a unit that somebody else has made.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_units.observe mongod-s1

    .. versionadded:: 0.1.0
    """
    if not NAME.fullmatch(unit):
        raise CommandExecutionError(f"{unit} is no unit of the formula's; mongod-SET or mongos is wanted")
    files = [path for path in (_unit_file(unit), _configuration(unit)) if os.path.exists(path)]
    if _unit_file(unit) in files and not _is_ours(unit):
        raise CommandExecutionError(
            f"{_unit_file(unit)} does not start a daemon with {_configuration(unit)}: somebody else has made it; it is "
            "left alone"
        )
    config = _config(unit)
    data = _directory(_at(config, "storage", "dbPath"))
    return {
        "file": _configuration(unit),
        "files": files,
        "active": bool(files) and bool(__salt__["service.status"](unit)),
        "replset": _at(config, "replication", "replSetName"),
        "port": _at(config, "net", "port"),
        "data": data,
        "kept": _why_kept(unit, data) if data else None,
    }


def needed(observed, whole, connection=None):
    """
    Why a set of which no member is to stay is needed still, as a sentence; ``""``: it is not.

    observed
        What :py:func:`observe` answered of this host's member.
    whole
        ``hosts``: the names of all hosts on which it is to go; ``config_servers``: the ``host:port`` of those of its
        cluster, and ``connection`` with the login there. Without any nobody is asked for shards.
    connection
        Options (TLS...) for the daemon here, see :py:mod:`mongo_client`; no login is needed.

    Raises ``CommandExecutionError`` when none of the config servers answers.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_units.needed

    .. versionadded:: 0.1.0
    """
    name, servers = observed["replset"], whole.get("config_servers") or []
    if not observed["files"] or not name:
        return ""
    here = __salt__["mongo_place.loopback"](observed["file"], connection) if observed["active"] else None
    members = __salt__["mongo_members.visible"](__salt__["mongo_client.hello"](here) if here else {})
    going = {host.lower() for host in whole["hosts"]}
    stay = [each for each in members if each.rpartition(":")[0].lower() not in going]
    if stay:
        return f"{name} has members that mongodb:gone does not name: {', '.join(stay)}"
    if servers and _is_shard(name, servers, whole.get("connection")):
        return f"{name} is a shard of the cluster; removeShard on a router drains it"
    return ""


def plan_absent(unit, observed, data=False):
    """
    The steps after which a unit is gone: its daemon, its files, and, if asked for, its data. Pure.

    unit
        The unit's name.
    observed
        What :py:func:`observe` answered.
    data
        Whether the data go too. Default ``False``.

    Raises ``CommandExecutionError`` for data that may not be deleted: before the daemon is stopped.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_units.plan_absent mongos '{files: [], active: false, data: null, kept: null}'

    .. versionadded:: 0.1.0
    """
    if data and observed["kept"]:
        raise CommandExecutionError(observed["kept"])
    steps = [{"do": "stop", "what": f"daemon {unit}", "old": "running", "new": None}] if observed["active"] else []
    if data and observed["data"]:
        steps.append(_removed("delete", f"data {observed['data']}", observed["data"]))
    return steps + [_removed("remove", f"file {path}", path) for path in observed["files"]]


def act_absent(unit, step):
    """
    Execute one step of :py:func:`plan_absent`.

    unit, step
        The unit's name; the step.

    Raises ``CommandExecutionError`` for data that are none of MongoDB's, or that another unit has.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_units.act_absent

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    if step["do"] == "stop":
        __salt__["service.disable"](unit)
        if not __salt__["service.stop"](unit):
            raise CommandExecutionError(f"{unit} does not stop; journalctl -u {unit} says why")
    elif step["do"] == "delete":
        if kept := _why_kept(unit, step["path"]):
            raise CommandExecutionError(kept)
        _delete(step["path"])
    else:
        ends = step["path"] == _unit_file(unit)
        if ends:  # one that does not run may be enabled all the same
            __salt__["service.disable"](unit)
        os.remove(step["path"])
        if ends:
            __salt__["service.systemctl_reload"]()


def _is_shard(name, servers, connection):
    """By the first config server that answers."""
    for address in servers:
        try:
            shards = __salt__["mongo_shard.shards"](__salt__["mongo_client.at"](address, connection))
        except CommandExecutionError:
            if address == servers[-1]:
                raise
        else:
            return bool(__salt__["mongo_shard.shard_hosts"](shards, name))
    return False


def _removed(do, what, path):
    return {"do": do, "what": what, "old": "present", "new": None, "path": path}


def _delete(path):
    """What tells that it is MongoDB's goes last, so that a cut leaves what the next run takes for the same."""
    for entry in sorted(_entries(path), key=lambda entry: entry.name in MARKS):
        shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.remove(entry.path)
    if not _is_others(path):
        os.rmdir(path)


def _why_kept(unit, path):
    """Why nothing of a data directory may be deleted, or ``None``."""
    fault, below = None, _mounts_below(path)
    if _entries(path) and not any(os.path.exists(os.path.join(path, mark)) for mark in MARKS):
        fault = f"{path} holds no data of MongoDB's; look what it is, and delete it by hand"
    elif below:
        fault = f"{below[0]} is a filesystem of its own in {path}; umount it first, or delete the data by hand"
    elif others := [name for name, held in _held() if name != unit and _overlap(held, path)]:
        fault = f"{path} is where {others[0]} has its data too; they are left alone"
    return fault


def _held():
    """The formula's units and their data directories, as they are configured."""
    for path in sorted(Path(UNITS).glob("mongo*.service")):
        held = _directory(_at(_config(path.stem), "storage", "dbPath"))
        if held and NAME.fullmatch(path.stem) and _is_ours(path.stem):
            yield path.stem, held


def _mounts_below(path):
    """Filesystems that are mounted somewhere in a directory, the deepest first."""
    try:
        lines = Path(MOUNTS).read_text(**AS_IT_IS).splitlines()
    except OSError:
        return []
    points = [ESCAPED.sub(lambda found: chr(int(found[1], 8)), line.split()[4]) for line in lines]
    return sorted((each for each in points if each.startswith(f"{os.path.realpath(path)}/")), reverse=True)


def _overlap(*paths):
    real = [os.path.realpath(path) for path in paths]
    return os.path.commonpath(real) in real


def _directory(path):
    """A directory that is there; of a link, or a filesystem's top directory, only what is inside counts."""
    there = isinstance(path, str) and os.path.isdir(path)
    return path if there and not (_is_others(path) and not _entries(path)) else None


def _is_others(path):
    """Somebody has led the data elsewhere: by a link, or by a filesystem of their own. That stays."""
    return os.path.islink(path) or os.path.ismount(path)


def _entries(path):
    own = (LOST,) if os.path.ismount(os.path.realpath(path)) else ()
    return [entry for entry in os.scandir(path) if entry.name not in own]


def _unit_file(unit):
    return f"{UNITS}/{unit}.service"


def _configuration(unit):
    return f"{CONFIGURATIONS}/{unit}.conf"


def _is_ours(unit):
    try:
        text = Path(_unit_file(unit)).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return False
    return bool(re.search(rf"^ExecStart=\S+ --config {re.escape(_configuration(unit))}$", text, re.MULTILINE))


def _config(unit):
    try:
        return salt.utils.yaml.safe_load(Path(_configuration(unit)).read_text(encoding="utf-8"))
    except (OSError, UnicodeError, salt.utils.yaml.YAMLError):
        return None


def _at(config, *path):
    for key in path:
        config = config.get(key) if isinstance(config, dict) else None
    return config
