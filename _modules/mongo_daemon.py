"""
A MongoDB daemon's systemd unit: does it run with its files as they are, and whose turn is it to restart?

.. versionadded:: 0.1.0

A daemon reads its files once, when it starts. One that started before its file was written is restarted, and of those
that can replace each other one at a time: a set's members, a cluster's routers. Whose turn it is stands in a document
of ``admin.onepass`` on the set's primary (for routers: on the config servers'), and so it holds in an orchestration as
well as in a highstate of all hosts at once::

    salt-call --local -m . mongo_daemon.observe mongod-s1 '[/etc/mongodb/mongod-s1.conf]'

Requires systemd, and PyMongo (see :py:mod:`mongo_client`).
"""

import contextlib
import os
import time

import psutil
from salt.exceptions import CommandExecutionError

__virtualname__ = "mongo_daemon"

COLLECTION = "onepass"
# From "the others are healthy" to "this one is seen to be down"; longer restarts are seen by the others' look.
TURN_SECONDS = 60
# A daemon that has just been started listens after some seconds.
LISTEN_SECONDS = 30
READY = ("PRIMARY", "SECONDARY", "ARBITER", "ROUTER")


def __virtual__():
    return __virtualname__


def observe(unit, files):
    """
    Whether a unit runs, and which of its files were written after its process had started.

    unit
        The systemd unit's name.
    files
        List of absolute paths. One that does not exist counts as older, one from the future too.

    Returns:
        ``running`` and ``newer`` (a list of paths; empty while the unit does not run).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_daemon.observe mongod-s1 '[/etc/mongodb/mongod-s1.conf]'

    .. versionadded:: 0.1.0
    """
    shown = _shown(unit)
    running = shown.get("ActiveState") == "active"
    now = time.time()
    started = now - time.monotonic() + int(shown.get("ExecMainStartTimestampMonotonic") or 0) / 1e6
    newer = [path for path in files if running and started < _written(path) <= now]
    return {"running": running, "newer": newer}


def plan(unit, observed, changed=False):
    """
    The step from a daemon that runs with its former files to one that has read them, or none. Pure.

    unit
        The systemd unit's name.
    observed
        What :py:func:`observe` answered.
    changed
        Whether a file is about to be written, as a dry run knows it. Default ``False``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_daemon.plan mongod-s1 '{running: true, newer: [/etc/mongodb/mongod-s1.conf]}'

    .. versionadded:: 0.1.0
    """
    if not observed["running"] or not (observed["newer"] or changed):
        return []
    step = {"do": "restart", "what": f"daemon {unit}", "old": "with its former files", "new": "restarted"}
    return [{**step, "newer": observed["newer"]}]


def set_of(file, connection=None):
    """
    The replica set that the daemon of this configuration is a member of; ``None`` when it is in none, or does not run.

    file
        Absolute path of its configuration: it has port and TLS.
    connection
        Further options, see :py:mod:`mongo_client`; no login is needed.

    Raises ``CommandExecutionError`` when it listens and does not say it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_daemon.set_of /etc/mongodb/mongod-s1.conf

    .. versionadded:: 0.1.0
    """
    here = __salt__["mongo_place.loopback"](file, connection)
    if not here or not __salt__["mongo_place.listens"](here):
        return None
    return __salt__["mongo_client.hello"](__salt__["mongo_client.anonymous"](here)).get("setName")


def extras(sets, connection=None):
    """
    Which members the sets have beside the wanted ones, as far as this host has a set's primary.

    sets
        Replica set to the ``host:port`` of its wanted members.
    connection
        Further options, see :py:mod:`mongo_client`; no login is needed.

    Returns:
        Replica set to a list of ``host:port``; sets whose primary is not here are left out. Hidden ones do not show.

    CLI Example:

    .. code-block:: bash

        salt-call mongo_daemon.extras '{s1: ["s1a.dc:27017"]}'

    .. versionadded:: 0.1.0
    """
    found = {}
    for unit, each in __salt__["mongo_units.there"]().items():
        if not each["active"] or each["replset"] not in sets or not each["port"]:
            continue
        here = __salt__["mongo_place.loopback"](__salt__["mongo_units.observe"](unit)["file"], connection)
        [said] = __salt__["mongo_replset.hellos"]([f"localhost:{each['port']}"], here).values()
        if said and said.get("isWritablePrimary") and said.get("setName") == each["replset"]:
            members = __salt__["mongo_members.visible"](said)
            known = __salt__["mongo_members.named"](sets[each["replset"]], members, here).values()
            found[each["replset"]] = [host for host in members if host not in known]
    return found


def restart(unit, files=(), turn=None, connection=None, timeout=120):
    r"""
    Restart a unit; with ``turn`` only when the others are healthy and none of them is at it, and until it serves again.
    One that listens nowhere has nobody to lose, and waits for nobody.

    unit
        The systemd unit's name.
    files
        As for :py:func:`observe`; a peer that failed before they were written failed with other ones.
    turn
        Whom it takes turns with: a mapping of ``address`` (its own ``host:port``), ``peers`` (``host:port`` of all that
        can replace each other), ``replset`` and ``hosts`` (the set, and its members, whose primary keeps the turns).
        Default ``None``: it is restarted at once.
    connection
        The daemon over loopback, with an administrator's credentials.
    timeout
        Seconds in which the others have to get ahead, and for the daemon to serve again. Default 120.

    Raises ``CommandExecutionError`` when the turn does not come, when the daemon is a living member at another port, or
    when it does not serve again; then the others are not restarted.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_daemon.restart

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    ports = None if not turn or __salt__["mongo_place.listens"](connection) else _ports(unit)
    if ports:
        _refuse_elsewhere(ports, turn, connection)
    if not turn or ports == [] or _alone(turn, connection):
        _restart(unit)
        return
    take_turn(turn, connection, timeout, max(map(_written, files), default=0), ports or ())
    try:
        _restart(unit)
        __salt__["mongo_client.wait"](lambda: _serves(unit, connection), f"{turn['address']} to serve again", timeout)
    except CommandExecutionError:
        with contextlib.suppress(CommandExecutionError):
            _write(turn, connection, {"host": turn["address"]}, {**_claim(turn), "failed": "$$NOW"})
        raise
    with contextlib.suppress(CommandExecutionError):  # it ends by itself after a minute
        end_turn(turn, connection)


def take_turn(turn, connection=None, timeout=120, written=0, ports=()):
    r"""
    Wait until all peers are healthy and none of them has the turn, and take it, for a minute. A member that the set has
    not yet is not waited for.

    turn, connection
        As for :py:func:`restart`.
    timeout
        Seconds in which what is seen of the others has to change. Default 120.
    written
        When the files were written, in seconds since 1970. Default 0.
    ports
        Where a router may still serve that is to have another port, as this one does. Default none.

    Raises ``CommandExecutionError`` when the time is up, and at once when a peer did not serve again after a restart
    later than ``written``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_daemon.take_turn \
            '{address: "s1a.dc:27017", peers: ["s1a.dc:27017"], replset: s1, hosts: ["s1a.dc:27017"]}'

    .. versionadded:: 0.1.0
    """
    what, last = f"the turn of {turn['address']} to restart", {"seen": None, "at": time.monotonic()}
    watched = {}

    def taken():
        value, seen = _taken(turn, connection, written, ports, watched)
        if seen != last["seen"]:
            last.update(seen=seen, at=time.monotonic())
        elif not value and time.monotonic() - last["at"] >= timeout:
            raise CommandExecutionError(f"Waited {timeout} s for {what}; last seen: {seen}")
        return value, seen

    __salt__["mongo_client.wait"](taken, what, timeout * len(turn["peers"]))


def end_turn(turn, connection=None):
    r"""
    Let the next one have its turn.

    turn, connection
        As for :py:func:`restart`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_daemon.end_turn \
            '{address: "s1a.dc:27017", peers: ["s1a.dc:27017"], replset: s1, hosts: ["s1a.dc:27017"]}'

    .. versionadded:: 0.1.0
    """

    def ended():
        _write(turn, connection, {"host": turn["address"]}, None)
        return True, ""

    __salt__["mongo_client.wait"](ended, f"the turn of {turn['address']} to end", TURN_SECONDS)


def _written(path):
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0


def _restart(unit):
    if not __salt__["service.restart"](unit):
        raise CommandExecutionError(f"{unit} does not start; journalctl -u {unit} says why")


def _shown(unit):
    """What systemd tells of a unit."""
    if "service.show" not in __salt__:
        raise CommandExecutionError(f"{unit}: this host is not run by systemd, which keeps the daemons")
    return __salt__["service.show"](unit)


def _serves(unit, connection):
    state = _state(connection)
    unit_state = _shown(unit).get("SubState")
    if state == "DOWN" and unit_state != "running":
        raise CommandExecutionError(f"{unit} does not stay up; its own log or journalctl -u {unit} says why")
    return state in READY, state


def _state(connection):
    try:
        said = __salt__["mongo_client.hello"](connection)
    except CommandExecutionError as err:
        if hasattr(err, "argument"):  # what is wrong with a connection is no answer of a server's
            raise
        return "DOWN"
    return "ROUTER" if said.get("msg") == "isdbgrid" else __salt__["mongo_members.own_state"](said, connection)


def _refuse_elsewhere(ports, turn, connection):
    """A living member at another port would come back as a stranger to its set, as would all others."""
    host, _, wanted = __salt__["mongo_client.address"](connection).rpartition(":")
    for port in ports if _kind(turn) == "members" else ():
        there = __salt__["mongo_place.set_at"](__salt__["mongo_client.at"](f"{host}:{port}", connection))
        if there and str(port) != wanted:
            __salt__["mongo_place.refuse_move"](there, "this host", port, wanted)


def _ports(unit):
    """Where a unit's process listens, as soon as it does; none when it never does, and then nobody has need of it."""
    pid = int(_shown(unit).get("MainPID") or 0)

    def listening():
        own = [each for each in psutil.net_connections("tcp") if (each.pid, each.status) == (pid, psutil.CONN_LISTEN)]
        return {each.laddr.port for each in own}, "nothing"

    with contextlib.suppress(CommandExecutionError):
        return sorted(__salt__["mongo_client.wait"](listening, f"{unit} to listen", LISTEN_SECONDS if pid else 0))
    return []


def _alone(turn, connection):
    """
    Nobody can be disturbed, or asked: the set is not initiated, or without this member, or has no user yet (an arbiter
    never has one); or none of it answers by these settings (TLS).
    """
    said = __salt__["mongo_replset.hellos"](turn["hosts"], connection)
    if not any(each and each.get("setName") for each in said.values()):
        return True
    own = said.get(turn["address"])
    if not own or own.get("arbiterOnly"):
        return False
    return not own.get("setName") or __salt__["mongo_user.userless"](connection)


def _taken(turn, connection, written, ports, watched):
    """Who has the turn is read first, and what is taken at the end is taken from exactly that one."""
    # What has passed since then by this host's clock, and since a failure by the keeper's, both of this moment.
    age, found = time.time() - written, _holder(turn, connection)
    holder = found.get("holder", {})
    states = {peer: _peer_state(peer, turn, connection, ports) for peer in _peers(turn, connection)}
    sick = {peer: state for peer, state in states.items() if state not in READY}
    others = holder and holder["host"] != turn["address"]
    if others and holder["host"] in sick and found["failed"] is not None and found["failed"] < age:
        raise CommandExecutionError(
            f"{holder['host']} did not serve again after its restart, so {turn['address']} was not restarted; mend "
            "that one, then run again"
        )
    if sick:
        return False, ", ".join(f"{peer} is {state}" for peer, state in sick.items())
    if others and found["failed"] is None and _left(found, watched) > 0:
        return False, f"{holder['host']} has it"
    return _write(turn, connection, holder, _claim(turn)), "another one was faster"


def _left(found, watched):
    """Of a turn; one whose keeper has changed may be of another clock, so it ends a turn after we first saw it, too."""
    if watched.get("holder") != found["holder"]:
        watched.update(holder=found["holder"], since=time.monotonic())
    return min(found["left"], TURN_SECONDS - (time.monotonic() - watched["since"]))


def _peer_state(peer, turn, connection, ports):
    """A member is looked for where its set has it; routers whose port changes serve at either until all have moved."""
    places = [peer]
    if _kind(turn) == "routers":
        places += [f"{peer.rpartition(':')[0]}:{port}" for port in ports]
    states = (_state(__salt__["mongo_client.at"](place, connection)) for place in places)
    return next((state for state in states if state != "DOWN"), "DOWN")


def _peers(turn, connection):
    """The others; of a set's members those that it has, under its own spelling where one that is down has another."""
    others = [peer for peer in turn["peers"] if peer != turn["address"]]
    if _kind(turn) == "routers":
        return others
    config = _at_keeper(turn, connection, {"replSetGetConfig": 1})["config"]
    hosts = [entry["host"] for entry in config["members"]]
    names = __salt__["mongo_members.named"](turn["peers"], hosts, connection)
    strangers = [peer for peer in others if peer not in names]
    silent = [peer for peer, said in __salt__["mongo_replset.hellos"](strangers, connection).items() if not said]
    unsure = [host for host in hosts if host not in names.values()] if silent else []
    return [peer for peer in others if peer in names] + unsure


def _kind(turn):
    """A set's members take turns with each other, and so do a cluster's routers."""
    return "members" if turn["address"] in turn["hosts"] else "routers"


def _holder(turn, connection):
    """Who has the turn: ``holder``, the seconds ``left`` and those since it ``failed``; empty where nobody has it."""
    until, since = ({"$toDate": field} for field in ("$until", "$failed"))  # once they were numbers, long ago as dates
    left, failed = ({"$divide": [{"$subtract": pair}, 1000]} for pair in ([until, "$$NOW"], ["$$NOW", since]))
    found = [{"$match": {"_id": _kind(turn)}}, {"$project": {"holder": "$$ROOT", "left": left, "failed": failed}}]
    reply = _at_keeper(turn, connection, {"aggregate": COLLECTION, "pipeline": found, "cursor": {}})
    return next(iter(reply["cursor"]["firstBatch"]), {})


def _claim(turn):
    """By the keeper's clock: hosts' clocks may differ by more than a turn takes."""
    return {"host": {"$literal": turn["address"]}, "until": {"$add": ["$$NOW", TURN_SECONDS * 1000]}}


def _write(turn, connection, former, claim):
    """Put ``claim`` in the place of the former one, if that is still there; whether it was."""
    mine = [{"$replaceWith": {"_id": _kind(turn), **(claim or {})}}]
    place = {"_id": _kind(turn), **(former or {"host": {"$exists": False}})}
    if claim:  # one that somebody else has made in the meantime has the same _id, and is left alone
        command = {"update": COLLECTION, "updates": [{"q": place, "u": mine, "upsert": not former}]}
    else:
        command = {"delete": COLLECTION, "deletes": [{"q": place, "limit": 1}]}
    return _at_keeper(turn, connection, {**command, "writeConcern": {"w": "majority"}})["n"] == 1


def _at_keeper(turn, connection, command):
    primary = __salt__["mongo_members.find_primary"](turn["replset"], turn["hosts"], connection)
    return __salt__["mongo_client.command"](command, connection=__salt__["mongo_client.at"](primary, connection))
