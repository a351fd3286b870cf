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
        ``port`` and ``data``.

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
    return {
        "file": _configuration(unit),
        "files": files,
        "active": bool(files) and bool(__salt__["service.status"](unit)),
        "replset": _at(config, "replication", "replSetName"),
        "port": _at(config, "net", "port"),
        "data": _directory(_at(config, "storage", "dbPath")),
    }


def plan_absent(unit, observed, data=False):
    """
    The steps after which a unit is gone: its daemon, its files, and, if asked for, its data. Pure.

    unit
        The unit's name.
    observed
        What :py:func:`observe` answered.
    data
        Whether the data go too. Default ``False``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_units.plan_absent mongos '{files: [], active: false, data: null}'

    .. versionadded:: 0.1.0
    """
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
        _refuse_data(unit, step["path"])
        _delete(step["path"])
    else:
        ends = step["path"] == _unit_file(unit)
        if ends:  # one that does not run may be enabled all the same
            __salt__["service.disable"](unit)
        os.remove(step["path"])
        if ends:
            __salt__["service.systemctl_reload"]()


def _removed(do, what, path):
    return {"do": do, "what": what, "old": "present", "new": None, "path": path}


def _delete(path):
    """What tells that it is MongoDB's goes last, so that a cut leaves what the next run takes for the same."""
    for entry in sorted(_entries(path), key=lambda entry: entry.name in MARKS):
        shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.remove(entry.path)
    if not _is_others(path):
        os.rmdir(path)


def _refuse_data(unit, path):
    if _entries(path) and not any(os.path.exists(os.path.join(path, mark)) for mark in MARKS):
        raise CommandExecutionError(f"{path} holds no data of MongoDB's; look what it is, and delete it by hand")
    others = [name for name, each in there().items() if name != unit and each["data"] and _overlap(each["data"], path)]
    if others:
        raise CommandExecutionError(f"{path} is where {others[0]} has its data too; they are left alone")


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
