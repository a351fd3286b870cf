"""
What the formula ``salt/mongodb`` writes on a host: daemons, their configuration files, the arguments of its states.

.. versionadded:: 0.1.0

Pure: everything follows from the pillar and the minion's id. SLS files are rendered before a check can stop the run, so
what is malformed is left out. See what a host of the example site would get::

    salt-call --local -m . --pillar-root pillar mongo_config.settings s1a.dc
"""

import hashlib

import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.core import form
from onepass_lib.mongo import schema

__virtualname__ = "mongo_config"

DEFAULT_TIMEOUT = 300
LOGIN_PATH = "mongodb:auth:admin"
# MongoDB 8.0 was built for transparent huge pages; before it they cost memory and latency.
HUGE_PAGES_FROM = (8, 0)


def __virtual__():
    return __virtualname__


def settings(minion_id=None, pillar=None):
    """
    All that the SLS files need for one minion.

    minion_id
        The minion. Default: this one.
    pillar
        The value of the pillar's key ``mongodb``. Default: this minion's.

    Returns:
        ``method``, ``version``, ``source``, ``source_hash``, ``home``, ``programs`` (installation); ``kernel``,
        ``huge_pages`` (tuning); ``daemons`` (``name``, ``what``, ``program``, ``file``, ``config``, ``secret`` (options
        of the site's own may hold one), ``log`` (that logrotate is told of; ``None``: the site's own, or none),
        ``data``, ``replsets`` (whose members have to be in their places), ``turn``, ``connection``); ``gone``
        (``unit``, ``data``, ``host``, ``hosts``, ``connection``, ``whole``: daemons that are needed here no more);
        ``replsets``, ``router``, ``cluster``, ``shards``, ``all_members``, ``databases``, ``collections``, ``users``,
        ``default_rw_concern``, ``admin``, ``timeout`` (arguments of the states).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar mongo_config.settings s1a.dc

    .. versionadded:: 0.1.0
    """
    pillar = _sound(__salt__["onepass.given"]("mongodb", pillar))
    node = __salt__["mongo_pillar.node"](minion_id, pillar)
    site = __salt__["mongo_pillar.site"](pillar)
    router = node["router"] or {}
    return {
        **installation(pillar),
        "timeout": pillar.get("timeout", DEFAULT_TIMEOUT),
        "admin": _at(pillar, "auth", "admin").get("username"),
        "daemons": _daemons(pillar, node, site),
        "gone": _gone(pillar, minion_id or __grains__["id"], site),
        "replsets": [_replset(pillar, replset) for replset in node["replsets"]],
        "router": connection(pillar, router["port"]) if router else None,
        "cluster": bool(router.get("cluster")),
        "default_rw_concern": {"write": None, "read": None, **_at(pillar, "default_rw_concern")},
        "shards": [each for each in site["sets"] if each["role"] == "shard"],
        "all_members": _all_members(site),
        "databases": site["databases"],
        "collections": __salt__["mongo_pillar.collections"](pillar)["collections"],
        "users": [_user(key, user) for key, user in _at(pillar, "users").items() if isinstance(user, dict)],
    }


def installation(pillar):
    """
    Where MongoDB's programs come from and where they are then.

    pillar
        The value of the pillar's key ``mongodb``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_config.installation '{install: {method: package}}'

    .. versionadded:: 0.1.0
    """
    install = _at(pillar, "install")
    method = install.get("method", "package")
    version = str(pillar.get("version", "8.0"))
    source_hash = str(install.get("source_hash", ""))
    # A directory for each archive: another archive is another program for the units, and so a restart.
    home = f"/opt/mongodb/{_digest(str(install.get('source')), source_hash)[:12]}"
    directory = f"{home}/bin" if method == "archive" else install.get("path", "/usr/bin")
    recent = tuple(int(part) for part in version.split(".") if part.isdigit()) >= HUGE_PAGES_FROM
    return {
        "method": method,
        "version": version,
        "source": install.get("source"),
        "source_hash": source_hash,
        "home": home,
        "programs": {name: f"{directory}/{name}" for name in ("mongod", "mongos")},
        "kernel": _at(pillar, "tuning").get("kernel", True),
        "huge_pages": "always" if recent else "never",
    }


def mongod(pillar, replset):
    """
    The configuration file of a member.

    pillar
        The value of the pillar's key ``mongodb``.
    replset
        The member's set as :py:func:`mongo_pillar.node` answers it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_config.mongod '{}' '{name: s1, role: shard, port: 27017}'

    .. versionadded:: 0.1.0
    """
    name = replset["name"]
    cache, oplog, shutdown = (pillar.get(key) for key in ("cache_gib", "oplog_mb", "shutdown_timeout_ms"))
    config = {
        **_common(pillar, f"mongod-{name}", replset["port"]),
        "storage": {"dbPath": f"/var/lib/mongodb/{name}"},
        "replication": {"replSetName": name},
        "sharding": {"clusterRole": {"config": "configsvr", "shard": "shardsvr"}[replset["role"]]},
    }
    if cache:
        config["storage"]["wiredTiger"] = {"engineConfig": {"cacheSizeGB": cache}}
    if oplog:
        config["replication"]["oplogSizeMB"] = oplog
    if shutdown is not None:
        config["setParameter"] = {"shutdownTimeoutMillisForSignaledShutdown": shutdown}
    return _laid_over(config, _at(pillar, "options"))


def mongos(pillar, router):
    """
    The configuration file of a router.

    pillar
        The value of the pillar's key ``mongodb``.
    router
        The router as :py:func:`mongo_pillar.node` answers it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_config.mongos '{}' '{port: 27017, config_db: cfg/cfg1.dc:27017}'

    .. versionadded:: 0.1.0
    """
    config = {**_common(pillar, "mongos", router["port"]), "sharding": {"configDB": router["config_db"]}}
    return _laid_over(config, _at(pillar, "router_options"))


def connection(pillar, port):
    """
    How this host's states reach its own daemon: over loopback, the password by its path.

    pillar
        The value of the pillar's key ``mongodb``.
    port
        The daemon's port.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_config.connection '{}' 27017

    .. versionadded:: 0.1.0
    """
    tls = _at(pillar, "tls")
    given = {"tlsCAFile": tls.get("CAFile"), "tlsCertificateKeyFile": tls.get("certificateKeyFile")}
    wanted = tls.get("mode", "disabled") in ("preferTLS", "requireTLS")
    options = {"tls": True, **{key: path for key, path in given.items() if path}} if wanted else {}
    return {"host": "localhost", "port": port, "credentials": LOGIN_PATH, **options}


def _all_members(site):
    return {each["name"]: each["members"] for each in site["sets"]}


def _daemons(pillar, node, site):
    programs = installation(pillar)["programs"]
    daemons = [
        {
            "name": f"mongod-{replset['name']}",
            "what": f"member of replica set {replset['name']}",
            "program": programs["mongod"],
            "config": mongod(pillar, replset),
            "secret": bool(_at(pillar, "options")),
            "data": _at(mongod(pillar, replset), "storage").get("dbPath"),
            "replsets": {replset["name"]: replset["members"]},
            "turn": _turn(replset["host"], None, replset["name"], [each["host"] for each in replset["members"]]),
            "connection": connection(pillar, replset["port"]),
        }
        for replset in node["replsets"]
    ]
    if node["router"]:
        keeper, _, hosts = node["router"]["config_db"].partition("/")
        router = {
            "name": "mongos",
            "what": "router",
            "program": programs["mongos"],
            "config": mongos(pillar, node["router"]),
            "secret": bool(_at(pillar, "router_options")),
            "data": None,
            "replsets": _all_members(site),
            "turn": _turn(node["router"]["host"], site["routers"], keeper, hosts.split(",")),
            "connection": connection(pillar, node["router"]["port"]),
        }
        daemons.append(router)
    return [
        {**daemon, "file": f"/etc/mongodb/{daemon['name']}.conf", "log": _rotated(daemon["name"], daemon["config"])}
        for daemon in daemons
    ]


def _rotated(name, config):
    """The daemon's log, if it is where the formula has it and is opened anew when logrotate has taken it away."""
    log = _log(name)
    given = config.get("systemLog")
    return log["path"] if isinstance(given, dict) and {**given, **log} == given else None


def _log(name):
    return {
        "destination": "file",
        "path": f"/var/log/mongodb/{name}.log",
        "logAppend": True,
        "logRotate": "reopen",
    }


def _gone(pillar, here, site):
    members = {f"mongod-{each['name']}": [one["host"] for one in each["members"] if one] for each in site["sets"]}
    keepers = [one["host"] for each in site["sets"] if each["role"] == "config" for one in each["members"] if one]
    named = {each["unit"]: each for each in reversed(site["gone"]) if each["host"] == here}
    options = {key: value for key, value in connection(pillar, 0).items() if key not in ("host", "port")}
    return [
        {
            "unit": each["unit"],
            "data": each.get("data") is True,
            "host": here,
            "hosts": members.get(each["unit"], []),
            "connection": {key: value for key, value in options.items() if key != "credentials"},
            "whole": _whole(each["unit"], site, keepers, options) if each["unit"] not in members else None,
        }
        for each in reversed(named.values())
    ]


def _whole(unit, site, keepers, options):
    """A set that the pillar does not have any more: where all of it is to go, and who knows the cluster's shards."""
    if unit == "mongos":
        return None
    hosts = sorted({each["host"] for each in site["gone"] if each["unit"] == unit})
    return {"hosts": hosts, "config_servers": keepers, "connection": options}


def _turn(address, peers, replset, hosts):
    """Whom a daemon takes turns with when it is restarted, see :py:func:`mongo_daemon.restart`."""
    return {"address": address, "peers": peers or hosts, "replset": replset, "hosts": hosts}


def _common(pillar, name, port):
    common = {
        "net": {"port": port, "bindIpAll": True},
        "security": {"keyFile": "/etc/mongodb/keyfile"},
        "systemLog": _log(name),
    }
    if _at(pillar, "tls"):
        common["net"]["tls"] = _at(pillar, "tls")
    return common


def _replset(pillar, replset):
    return {
        "name": replset["name"],
        "first": replset["initiates"],
        "holds_data": not any(m["host"] == replset["host"] and m.get("arbiterOnly") for m in replset["members"]),
        "oplog_mb": _at(mongod(pillar, replset), "replication").get("oplogSizeMB"),
        "members": replset["members"],
        "config_server": replset["role"] == "config",
        "settings": replset.get("settings", {}),
        "remove_extra": replset["remove_extra"],
        "connection": connection(pillar, replset["port"]),
    }


def _user(key, user):
    path = ["mongodb", "users", key, "password"]
    return {
        "key": key,
        "name": user.get("name", key),
        "database": user.get("database"),
        "roles": user.get("roles"),
        "password": None if user.get("database") == "$external" else path if ":" in key else ":".join(path),
    }


def _digest(source, source_hash):
    """What tells one archive from another: its hash, or that of both URLs where a file has the hash."""
    if "://" not in source_hash:
        return source_hash.rpartition("=")[2]
    return hashlib.sha256(f"{source} {source_hash}".encode()).hexdigest()


def _sound(pillar):
    if form.HAS_JSONSCHEMA:
        return schema.sound(pillar)
    return pillar if isinstance(pillar, dict) else {}


def _at(pillar, *path):
    """The mapping at a path of the pillar, empty where there is none."""
    for key in path:
        pillar = pillar.get(key, {}) if isinstance(pillar, dict) else {}
    return pillar if isinstance(pillar, dict) else {}


def _laid_over(config, options):
    return __salt__["mongo_options.settled"](_merged(config, options), options)


def _merged(config, more):
    """``config`` with ``more`` laid over it, mapping by mapping."""
    both = [key for key in config if isinstance(config[key], dict) and isinstance(more.get(key), dict)]
    return {**config, **more, **{key: _merged(config[key], more[key]) for key in both}}
