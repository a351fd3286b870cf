"""
The state of a MongoDB daemon that runs with its files as they are.

.. versionadded:: 0.1.0

Requires systemd, and PyMongo 4.6 or later in Salt's Python.
"""

import salt.utils.state
from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "mongo_daemon"

METADATA = {"mode", "user", "group", "attrs"}


def __virtual__():
    if "mongo_client.command" not in __salt__:
        return False, "The MongoDB states need PyMongo in Salt's Python: salt-pip install 'pymongo>=4.6'"
    return __virtualname__


def current(name, files, together=None, turn=None, connection=None, timeout=120):
    """
    The running daemon has read its files: it is restarted when it started before one of them was written.

    Members of a set, and routers of a cluster, are restarted one at a time, each when all others are healthy; one that
    does not serve again is the only one. A restart of the primary is an election. One that does not run is left to
    ``service.running``.

    name
        The systemd unit.
    files
        List of the files that it reads: configuration, unit.
    together
        Files that all must have alike, so that one that has another cannot speak to the others (a key file); after a
        change of these there are no turns. Default none.
    turn
        Whom it takes turns with, see :py:func:`mongo_daemon.restart`. Default ``None``: it is restarted at once.
    connection
        The daemon over loopback, see :py:mod:`mongo_client`, with an administrator's credentials.
    timeout
        Seconds in which the others have to get ahead, and for the daemon to serve again. Default 120.

    .. code-block:: yaml

        mongod-s1:
          mongo_daemon.current:
            - files: [/etc/mongodb/mongod-s1.conf]

        mongodb-mongod-s1-current:
          mongo_daemon.current:
            - name: mongod-s1
            - files: [/etc/mongodb/mongod-s1.conf, /etc/systemd/system/mongod-s1.service]
            - turn:
                address: s1a.dc:27017
                peers: [s1a.dc:27017, s1b.dc:27017, s1c.dc:27017]
                replset: s1
                hosts: [s1a.dc:27017, s1b.dc:27017, s1c.dc:27017]
            - connection: {port: 27017, credentials: mongodb:auth:admin}
            - watch:
              - file: mongodb-mongod-s1-config

    .. versionadded:: 0.1.0
    """
    # A real run sees what was written; only a dry run has to be told of what would be.
    return dict(_current(name, files, together, turn, connection, timeout), skip_watch=not __opts__["test"])


def in_place(name, file, configuration, replsets, connection=None):
    """
    A daemon's new configuration leaves it where its set, its data and its cluster know it. Changes nothing; refuses.

    A member is known by its address alone, and its data is where it was made. One that comes back at another port, with
    another set's name or on an empty directory is a stranger to its set, and a set whose members all do has lost its
    data to its clients. A router may have another port, as long as the cluster's members stay. Let all that is written
    for the daemon require this state.

    name
        The systemd unit.
    file
        The daemon's configuration; as it was written last, it tells where the daemon and its cluster have been.
    configuration
        The configuration that it is to have, see :py:func:`mongo_config.mongod` and :py:func:`mongo_config.mongos`.
    replsets
        Mapping of replica set to its members as they are to be: a member's own set; for a router all sets.
    connection
        The daemon over loopback, at the port that it is to have.

    .. code-block:: yaml

        mongod-s1:
          mongo_daemon.in_place:
            - file: /etc/mongodb/mongod-s1.conf
            - configuration: {net: {port: 27017}, replication: {replSetName: s1}}
            - replsets: {s1: [s1a.dc:27017, s1b.dc:27017, s1c.dc:27017]}

        mongodb-mongos-place:
          mongo_daemon.in_place:
            - name: mongos
            - file: /etc/mongodb/mongos.conf
            - configuration: {net: {port: 27017}, sharding: {configDB: 'cfg/cfg1.dc:27017'}}
            - replsets: {cfg: [cfg1.dc:27017], s1: [s1a.dc:27017, s1b.dc:27017, s1c.dc:27017]}
            - connection: {port: 27017}
            - require_in:
              - file: mongodb-mongos-config

    .. versionadded:: 0.1.0
    """
    given = {"file": file, "configuration": configuration, "replsets": replsets, "connection": connection}
    refused = __salt__["mongo_arguments.refusal"](name, f"daemon {name}", given)
    if refused:
        return refused
    sets = {replset: [_host(each) for each in members] for replset, members in replsets.items()}
    ret = {"name": name, "result": True, "changes": {}, "comment": f"{name} stays where it is known"}
    try:
        __salt__["mongo_place.refuse"](file, configuration, sets, connection)
    except (CommandExecutionError, SaltInvocationError) as err:
        return {**ret, "result": False, "comment": str(err)}
    return ret


def absent(name, data=False, host=None, hosts=None, connection=None, whole=None, timeout=120):
    """
    There is no such unit on this host, nor its configuration; its data stay unless they are named.

    A unit is one of the formula's: ``mongod-SET`` or ``mongos``; one that somebody else has made is refused. A member
    is stopped when its set has let it go, which is waited for: no set loses a member by this. Its log stays.

    name
        The systemd unit.
    data
        Delete its data directory too. Default ``False``. Refused where it holds no data of MongoDB's, or another's too.
        Of a directory that is a link, or where a filesystem is mounted, what is inside goes.
    host
        The host's name in the set, as in its member's ``host:port``. Default: only the daemon itself is asked.
    hosts
        ``host:port`` of members that stay in the set; they are asked whether they still have this one. Default: none.
    connection
        Options (TLS...), see :py:mod:`mongo_client`; no login is needed.
    whole
        The whole set goes: ``hosts`` (names; each member's is wanted, else the set is waited for), and, of a sharded
        cluster, ``config_servers`` (``host:port``) with a ``connection`` that has the login, which are asked whether
        the set is a shard still. Default: the set stays, and lets this member go.
    timeout
        Seconds to wait for the set. Default 120.

    .. code-block:: yaml

        mongod-s1:
          mongo_daemon.absent

        mongodb-gone-mongod-s1:
          mongo_daemon.absent:
            - name: mongod-s1
            - data: True
            - host: s1d.dc
            - hosts: [s1a.dc:27017, s1b.dc:27017, s1c.dc:27017]
            - require:
              - mongo_replset: mongodb-replset-s1

        mongod-s3:
          mongo_daemon.absent:
            - whole: {hosts: [s3a.dc, s3b.dc, s3c.dc], config_servers: [cfg1.dc:27017]}

    .. versionadded:: 0.1.0
    """
    hosts = [] if hosts is None else hosts
    given = {"data": data, "host": host, "hosts": hosts, "connection": connection, "timeout": timeout, "whole": whole}
    refused = __salt__["mongo_arguments.refusal"](name, f"daemon {name}", given)
    if refused:
        return refused
    test, what = __opts__["test"], f"the set to let {name} go"

    def look():
        observed = __salt__["mongo_units.observe"](name)
        if whole:
            return observed, __salt__["mongo_units.needed"](observed, whole, connection)
        return observed, _membership(observed, host, hosts, connection)

    def settled():
        observed, member = look()
        return (None if member else observed), member

    def read():
        observed, member = look()
        if test or not member:
            return {**observed, "assumed": member and f"before that, it has to leave its set: {member}"}
        return __salt__["mongo_client.wait"](settled, what, timeout)

    return __salt__["onepass.converge"](
        name,
        read=read,
        plan=lambda observed: __salt__["mongo_units.plan_absent"](name, observed, data),
        act=lambda step: __salt__["mongo_units.act_absent"](name, step),
        fact=lambda observed: f"There is no unit {name}",
        test=test,
    )


def former_programs_absent(name):
    """
    Of the archives of MongoDB's programs that were unpacked beside each other, those that nobody needs are gone.

    What a unit, a process, or a link in ``/usr/bin``, ``/usr/local/bin`` and their ``sbin`` leads to stays, and so do
    the programs before those that are wanted: the ones that daemons still run, or else the last ones that were put
    there. What has another name than such a directory is never touched.

    name
        The directory of the wanted programs, ``/opt/mongodb/<hash>``; the others are beside it.

    .. code-block:: yaml

        /opt/mongodb/653ec6ffdd36:
          mongo_daemon.former_programs_absent

        mongodb-former-programs:
          mongo_daemon.former_programs_absent:
            - name: /opt/mongodb/653ec6ffdd36
            - require:
              - file: mongodb-programs

    .. versionadded:: 0.1.0
    """
    return __salt__["onepass.converge"](
        name,
        read=lambda: __salt__["mongo_programs.observe"](name),
        plan=__salt__["mongo_programs.plan"],
        act=__salt__["mongo_programs.act"],
        fact=lambda observed: f"No programs are beside {name} that nobody needs",
        test=__opts__["test"],
    )


def _membership(observed, host, hosts, connection):
    """Where the unit's daemon is still a member, as a sentence; ``""``: nowhere."""
    if not observed["files"] or not observed["replset"]:
        return ""
    own = __salt__["mongo_daemon.set_of"](observed["file"], connection) if observed["active"] else None
    if own:
        return f"it is a member of {own}"
    options = __salt__["mongo_client.anonymous"](connection)
    told = __salt__["mongo_members.knowing"](observed["replset"], __salt__["mongo_replset.hellos"](hosts, options))
    members = [each.lower() for each in __salt__["mongo_members.visible"](told or {})]
    address = f"{host}:{observed['port']}"
    return f"{observed['replset']} has {address} as a member" if address.lower() in members else ""


def mod_watch(name, files, together=None, turn=None, connection=None, timeout=120, **more):
    """
    What a dry run of :py:func:`current` shows when a watched file would be written; its owner and mode do not count.

    name, files, together, turn, connection, timeout
        As there; Salt passes more, the watched states among it.

    .. versionadded:: 0.1.0
    """
    watched = more.get("__reqs__", {}).get("watch", ())
    changes = [__running__[salt.utils.state.gen_tag(chunk)]["changes"] for chunk in watched]
    return _current(name, files, together, turn, connection, timeout, any(set(each) - METADATA for each in changes))


def _current(name, files, together, turn, connection, timeout, changed=False):
    together = [] if together is None else together
    given = {"files": files, "together": together, "turn": turn, "connection": connection, "timeout": timeout}
    refused = __salt__["mongo_arguments.refusal"](name, f"daemon {name}", given)
    if refused:
        return refused

    def act(step):
        alike = set(together).intersection(step["newer"])
        __salt__["mongo_daemon.restart"](name, files, None if alike else turn, connection, timeout)

    return __salt__["onepass.converge"](
        name,
        read=lambda: __salt__["mongo_daemon.observe"](name, [*files, *together]),
        plan=lambda observed: __salt__["mongo_daemon.plan"](name, observed, changed),
        act=act,
        fact=lambda observed: f"{name} runs with its files" if observed["running"] else f"{name} does not run",
        test=__opts__["test"],
    )


def _host(member):
    return member if isinstance(member, str) else member["host"]
