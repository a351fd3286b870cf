"""
The site's own options of mongod and mongos: which of them the formula cannot lay over what it writes itself.

.. versionadded:: 0.1.0

Pure: no daemon is asked. What is wrong with the options of a pillar::

    salt-call --local -m . mongo_options.faults '{options: {net: {port: 5}}}'
"""

import difflib
import re
from collections.abc import Iterator

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("*", "0.0.0.0", "::")
MAX_OPLOG_MB = 2**30  # of replSetResizeOplog
ENGINES = ("wiredTiger", "inMemory")  # the other one of MongoDB Enterprise and of Percona's
# WiredTiger's own language: name=value, a comma between them, brackets around a value that is such a list.
PAIR = r"\s*([a-z][a-z0-9_]*\s*[=:].*)?"
WIRED_TIGER = ("engineConfig", "collectionConfig", "indexConfig")
# What the formula itself writes into mongod.conf and mongos.conf.
OWN = {
    "net:port": "port",
    "replication:replSetName": "replsets",
    "security:keyFile": "auth:keyfile",
    "sharding:clusterRole": "replsets",
    "sharding:configDB": "replsets",
}
# What it writes where the pillar has the key.
OWN_KEYS = {
    "replication:oplogSizeMB": "oplog_mb",
    "setParameter:shutdownTimeoutMillisForSignaledShutdown": "shutdown_timeout_ms",
    "storage:wiredTiger:engineConfig:cacheSizeGB": "cache_gib",
}
BOTH = ("systemLog", "net", "security", "setParameter", "replication", "sharding", "processManagement", "auditLog")
SECTIONS = {
    "options": (*BOTH, "storage", "operationProfiling", "cloud", "snmp"),
    "router_options": (*BOTH, "operationProfiling"),
}


def __virtual__():
    return "mongo_options"


def faults(pillar: dict, alone: bool = False, shared: bool = False) -> list:
    """
    Which options of the site's own mongod or mongos would refuse, or would work against what the formula writes.

    pillar
        The value of the pillar's key ``mongodb``.
    alone
        Whether all servers are reached over loopback. Default ``False``.
    shared
        Whether a host has members of several sets. Default ``False``.

    Returns:
        List of mappings: ``path``, ``fault`` and ``remedy``; no value of an option, as it may be a secret.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_options.faults '{options: {net: {port: 5}}}'

    .. versionadded:: 0.1.0
    """
    found = []
    for place, sections in SECTIONS.items():
        given = _mapping(pillar.get(place))
        rules = [
            _section_rule(given, sections),
            _dotted_rule(given),
            _own_rule(given),
            _net_rule(given, alone),
            _log_rule(given),
        ]
        rules += [_fork_rule(given), _path_rule(given, shared), _oplog_rule(given)]
        if place == "options":
            rules += [_twice_rule(given, pillar), _engine_rule(given), _bypass_rule(given)]
        for path, fault, remedy in (each for rule in rules for each in rule):
            found.append({"path": f"{place}:{path}", "fault": fault, "remedy": remedy})
    return found


def settled(config: dict, given: dict) -> dict:
    """
    A daemon's configuration without what the formula writes as its default and the site's own options contradict.

    config
        The configuration, the site's options laid over it.
    given
        The site's options.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_options.settled '{net: {bindIpAll: true}}' '{net: {bindIp: localhost}}'

    .. versionadded:: 0.1.0
    """
    dropped = {"net": [], "systemLog": []}
    net, log = _mapping(given.get("net")), _mapping(given.get("systemLog"))
    if "bindIp" in net and "bindIpAll" not in net:
        dropped["net"] = ["bindIpAll"]
    if log.get("destination") == "syslog":
        dropped["systemLog"] = [key for key in ("path", "logAppend", "logRotate") if key not in log]
    elif "logRotate" not in log and ("path" in log or log.get("logAppend") is False):
        dropped["systemLog"] = ["logRotate"]  # a log of the site's own is rotated as it has been
    return {
        section: {key: value for key, value in options.items() if key not in dropped[section]}
        if section in dropped and isinstance(options, dict)
        else options
        for section, options in config.items()
    }


def _mapping(value) -> dict:
    return value if isinstance(value, dict) else {}


def _section_rule(given: dict, sections: tuple) -> Iterator[tuple]:
    for section in given:
        if section not in sections and "." not in str(section):
            close = difflib.get_close_matches(str(section), sections, n=1)
            remedy = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(sections)}"
            yield section, "is a section that MongoDB does not have", remedy


def _dotted_rule(given: dict, above: str = "") -> Iterator[tuple]:
    """MongoDB takes them, beside what the formula writes below the same section. A parameter may have dots."""
    for name, value in given.items():
        first, *more = str(name).split(".")
        if more:
            nested = ": {".join([first, *more]) + ": ..." + "}" * len(more)
            yield f"{above}{name}", "is written with dots", nested
        elif name != "setParameter":
            yield from _dotted_rule(_mapping(value), f"{above}{name}:")


def _own_rule(given: dict) -> Iterator[tuple]:
    for option, key in OWN.items():
        section, name = option.split(":")
        if name in _mapping(given.get(section)):
            yield option, f"is set by mongodb:{key}", f"mongodb:{key} alone"


def _net_rule(given: dict, alone: bool) -> Iterator[tuple]:
    net = _mapping(given.get("net"))
    if "bindIp" not in net:
        return
    addresses = [each.strip() for each in str(net["bindIp"]).split(",")]
    local = [each for each in addresses if each in LOOPBACK]
    if net.get("bindIpAll"):
        yield "net:bindIpAll", "is true beside bindIp, which then counts for nothing", "one of the two"
    elif not local and not set(addresses).intersection(EVERYWHERE):
        yield "net:bindIp", "is without localhost, over which the states reach the daemon", "localhost among them"
    elif len(local) == len(addresses) and not alone:
        yield "net:bindIp", "lets nobody in but this host itself", "an address that the other members reach too"


def _log_rule(given: dict) -> Iterator[tuple]:
    log = _mapping(given.get("systemLog"))
    if "path" in log and log.get("destination", "file") != "file":
        yield "systemLog:path", "is given for a log that goes to no file", "no path, or destination: file"
    elif "path" in log and not str(log["path"]).startswith("/"):
        yield "systemLog:path", "does not fit", "an absolute path on each host, in a directory that mongodb may write"


def _path_rule(given: dict, shared: bool) -> Iterator[tuple]:
    path = _mapping(given.get("storage")).get("dbPath")
    if path is not None and not str(path).startswith("/"):
        yield "storage:dbPath", "does not fit", "an absolute path on each host"
    elif path is not None and shared:
        found = "is one directory, but a host has members of several sets, each of which needs its own"
        yield "storage:dbPath", found, "no dbPath: the formula makes /var/lib/mongodb/SET for each"


def _engine_rule(given: dict) -> Iterator[tuple]:
    storage = _mapping(given.get("storage"))
    if storage.get("engine", "wiredTiger") not in ENGINES:
        yield "storage:engine", "is an engine that MongoDB does not have", " or ".join(ENGINES)
    for section in WIRED_TIGER:
        said = _mapping(_mapping(storage.get("wiredTiger")).get(section)).get("configString", "")
        if not isinstance(said, str) or not _is_pairs(said):
            path = f"storage:wiredTiger:{section}:configString"
            yield path, "does not fit", "name=value, a comma between them, such as eviction=(threads_max=4)"


def _is_pairs(said: str) -> bool:
    """Whether a text is of WiredTiger's form; which names it knows differs from version to version."""
    depth, items = 0, [""]
    for sign in re.sub('"[^"]*"', "", said):
        depth += (sign in "([") - (sign in ")]")
        if depth < 0:
            return False
        items = [*items, ""] if sign == "," and not depth else [*items[:-1], items[-1] + sign]
    return not depth and all(re.fullmatch(PAIR, item) for item in items)


def _bypass_rule(given: dict) -> Iterator[tuple]:
    """It ends by itself with the first user; members that join a set, and routers, have theirs from there."""
    allowed = _mapping(given.get("setParameter")).get("enableLocalhostAuthBypass", True)
    if str(allowed).lower() in ("false", "0"):
        found = "is false, and then a new replica set cannot get its first user"
        yield "setParameter:enableLocalhostAuthBypass", found, "no such parameter: that way in ends with the first user"


def _fork_rule(given: dict) -> Iterator[tuple]:
    if _mapping(given.get("processManagement")).get("fork"):
        found = "is true, but systemd runs the daemon and would take it for ended"
        yield "processManagement:fork", found, "no fork"


def _twice_rule(given: dict, pillar: dict) -> Iterator[tuple]:
    for option, key in OWN_KEYS.items():
        *sections, name = option.split(":")
        holder = given
        for section in sections:
            holder = _mapping(holder.get(section))
        if name in holder and pillar.get(key) is not None:
            yield option, f"is set by mongodb:{key}", "one of the two"


def _oplog_rule(given: dict) -> Iterator[tuple]:
    replication = _mapping(given.get("replication"))
    size = replication.get("oplogSizeMB", 1)
    if isinstance(size, bool) or not isinstance(size, (int, float)) or size % 1 or not 1 <= size <= MAX_OPLOG_MB:
        yield "replication:oplogSizeMB", "does not fit", f"whole MB, 1 to {MAX_OPLOG_MB}"
