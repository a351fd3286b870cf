"""
Who answers at an address: which member of a replica set it is, however the address is spelled.

.. versionadded:: 0.1.0

A set knows each member by one spelling. Capitals, an alias, or an address in place of a name reach the same process,
and one that a set has already must never be added to it a second time. So who is not known by its spelling is asked::

    salt-call --local -m . mongo_members.named '[S1A.dc:27017]' '[s1a.dc:27017]'

Requires PyMongo (see :py:mod:`mongo_client`).
"""

from salt.exceptions import CommandExecutionError

__virtualname__ = "mongo_members"

INVALID_CONFIG, NOT_YET_INITIALIZED, NOT_WRITABLE_PRIMARY = 93, 94, 10107
LOGIN_REFUSED = (11, 13, 18)


def __virtual__():
    return __virtualname__


def named(hosts, members, connection=None):
    """
    Which of the members each host is: by its spelling, capitals apart, or else by what answers at both.

    hosts
        List of ``host:port``.
    members
        List of ``host:port`` as a set, or several, have them.
    connection
        Options for all of them (TLS...), see :py:mod:`mongo_client`. No login is needed.

    Returns:
        Mapping of host to member; without those that are none.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.named '[S1A.dc:27017]' '[s1a.dc:27017]'

    .. versionadded:: 0.1.0
    """
    names = spelled(hosts, members)
    new = [host for host in hosts if host not in names]
    left = [each for each in members if each not in names.values()]
    if not new or not left:
        return names
    hellos = __salt__["mongo_replset.hellos"](new, connection)
    for host, said in hellos.items():
        if said and said.get("setName") and said.get("me") in left:
            names[host] = said["me"]
    unsure = {identity(said): host for host, said in hellos.items() if host not in names and identity(said)}
    for each, said in __salt__["mongo_replset.hellos"](left if unsure else [], connection).items():
        if identity(said) in unsure:
            names[unsure[identity(said)]] = each
    return names


def spelled(hosts, members):
    """
    Which of the members each host is by its spelling, capitals apart. Pure.

    hosts, members
        As for :py:func:`named`, which also tells what is returned.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.spelled '[S1A.dc:27017]' '[s1a.dc:27017]'

    .. versionadded:: 0.1.0
    """
    known = {each.lower(): each for each in members}
    return {host: known[host.lower()] for host in hosts if host.lower() in known}


def identity(said):
    """
    What tells one process from another, whatever address it was asked at. Pure.

    said
        The reply to ``hello``, or ``None``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.identity '{topologyVersion: {processId: {$oid: 5f}}}'

    .. versionadded:: 0.1.0
    """
    return str(((said or {}).get("topologyVersion") or {}).get("processId") or "")


def own_state(said, connection=None):
    """
    As :py:func:`mongo_replset.member_state`; for what it calls ``OTHER`` MongoDB's own word, where the member lets us
    in: ``STARTUP2`` (it copies), ``RECOVERING`` (in maintenance, or too far behind), ``ROLLBACK``...

    said
        The reply to ``hello``, or ``None`` when there was none.
    connection
        The member, with credentials where it asks for them.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.own_state '{setName: s1}' mongodb://localhost:27017

    .. versionadded:: 0.1.0
    """
    state = __salt__["mongo_replset.member_state"](said)
    if state != "OTHER":
        return state
    try:
        status = __salt__["mongo_client.command"]({"replSetGetStatus": 1}, connection=connection, timeout=2)
    except CommandExecutionError:
        return state
    return next((each["stateStr"] for each in status["members"] if each.get("self")), state)


def refuse_twice(name, hellos):
    """
    Refuse a list of members that names one server twice, by two spellings.

    name
        The replica set's name.
    hellos
        Mapping of host to its reply to ``hello``, or ``None``.

    Raises ``CommandExecutionError`` with the two.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.refuse_twice s1 '{"s1a.dc:27017": null}'

    .. versionadded:: 0.1.0
    """
    seen = {}
    for host, said in hellos.items():
        if identity(said) and seen.setdefault(identity(said), host) != host:
            raise CommandExecutionError(
                f"Replica set {name}: {seen[identity(said)]} and {host} are one server; name each server once"
            )


def refuse_lost(name, connection=None):
    """
    Refuse to give birth to a set on a server that is in one already, or on one that would not have its first user.

    name
        The replica set's name.
    connection
        The server over loopback, with the credentials to use.

    Raises ``CommandExecutionError`` when it holds the configuration of a set that does not know it by its address (its
    port was changed, or it was removed), and when it lets nobody create the first user.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.refuse_lost s1

    .. versionadded:: 0.1.0
    """
    where = __salt__["mongo_client.address"](connection)
    code = _status(__salt__["mongo_client.anonymous"](connection))
    code = _status(connection) if code in LOGIN_REFUSED else code
    if code == INVALID_CONFIG:
        raise CommandExecutionError(
            f"{where} has the configuration of a replica set that does not know it by its address; give it its former "
            f"port and name again, or empty its data before it becomes {name}"
        )
    if code in LOGIN_REFUSED:
        raise CommandExecutionError(
            f"{where} is in no replica set and lets us not in: it has users of another set, or its option "
            "setParameter:enableLocalhostAuthBypass is false, and then a set cannot get its first user; leave that "
            "option out until the set is born"
        )


def visible(said):
    """
    The members that a member shows to everybody: all but the hidden ones. Pure.

    said
        The reply to ``hello``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.visible '{hosts: [s1a.dc:27017]}'

    .. versionadded:: 0.1.0
    """
    return [host for kind in ("hosts", "passives", "arbiters") for host in said.get(kind, [])]


def seen(name, seeds, connection=None):
    """
    A replica set as its own members tell it, found through some of them; of those that it has no more it knows nothing.

    name
        The replica set's name.
    seeds
        ``host:port`` of members as others know them: a shard's row, a router's configuration.
    connection
        Options for all of them (TLS...); no login is needed.

    Returns:
        ``replset``, ``primary``, ``members`` (``host:port`` to state, see :py:func:`mongo_replset.members`; the seeds
        when none of them is in the set), ``lag`` (secondary to whole seconds behind the primary), ``seeds``, and
        ``unlike``, see :py:func:`unlike`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.seen s1 '[s1a.dc:27017]'

    .. versionadded:: 0.1.0
    """
    asked = __salt__["mongo_replset.hellos"](seeds, connection)
    told = knowing(name, asked)
    hosts = visible(told) if told else list(seeds)
    asked.update(__salt__["mongo_replset.hellos"]([host for host in hosts if host not in asked], connection))
    said = {host: asked[host] for host in hosts}
    states = {host: __salt__["mongo_replset.member_state"](each) for host, each in said.items()}
    primary = next((host for host, state in states.items() if state == "PRIMARY"), None)
    found = {"replset": name, "primary": primary, "members": states, "lag": _lag(said, states, primary)}
    return {**found, "seeds": list(seeds), "unlike": unlike(seeds, told)}


def knowing(name, hellos):
    """
    What the member says that knows its set best: the primary, else one that knows a primary; ``None``: nobody. Pure.

    One that was removed while it was cut off still tells of the set as it was.

    name
        The replica set's name.
    hellos
        Mapping of host to its reply to ``hello``, or ``None``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.knowing s1 '{"s1a.dc:27017": null}'

    .. versionadded:: 0.1.0
    """
    inside = [said for said in hellos.values() if said and said.get("setName") == name]
    return max(inside, key=lambda said: (bool(said.get("isWritablePrimary")), bool(said.get("primary"))), default=None)


def unlike(seeds, said, wanted=()):
    """
    Where a list of a set's members differs from what the set itself says: sentences; none where it fits. Pure.

    Hidden members and arbiters may be missing in such a list.

    seeds
        ``host:port`` in the list.
    said
        A member's reply to ``hello``; ``None``: nobody knows, and nothing is said.
    wanted
        ``host:port`` that may be in the list too: hidden members, whom no reply names. Default none.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.unlike '[s1a.dc:27017]' '{hosts: [s1a.dc:27017, s1b.dc:27017]}'

    .. versionadded:: 0.1.0
    """
    if not said:
        return []
    listed, known = {each.lower() for each in seeds}, {each.lower() for each in [*visible(said), *wanted]}
    gone = [f"{host} is no member any more" for host in seeds if host.lower() not in known]
    holders = [host for kind in ("hosts", "passives") for host in said.get(kind, [])]
    return gone + [f"{host} is missing" for host in holders if host.lower() not in listed]


def refuse_kind(wanted, connection=None):
    """
    Refuse a server of another kind than is asked for: a member that is taken for a router, or the reverse.

    wanted
        ``router`` or ``member``.
    connection
        The server; no login is needed.

    Raises ``CommandExecutionError`` with what the server is.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.refuse_kind router mongodb://r1.dc:27017

    .. versionadded:: 0.1.0
    """
    said, where = __salt__["mongo_client.hello"](connection), __salt__["mongo_client.address"](connection)
    is_router = said.get("msg") == "isdbgrid"
    if wanted == "router" and not is_router:
        raise CommandExecutionError(
            f"{where} is no router (mongos) but {_kind(said)}; give a router's address, or ask this one by "
            "mongo_replset.members"
        )
    if wanted == "member" and is_router:
        raise CommandExecutionError(
            f"{where} is a router (mongos), which is in no replica set; give a member's address, or see all sets by "
            "mongo_shard.topology"
        )
    if wanted == "member" and not said.get("setName"):
        raise CommandExecutionError(f"{where} is {_kind(said)}; a member of a replica set is wanted")


def find_primary(name, hosts, connection=None):
    """
    The set's writable primary as ``host:port``, asked of each host until one knows.

    name
        The replica set's name.
    hosts
        ``host:port`` of members.
    connection
        Options for all of them (TLS...).

    Raises ``CommandExecutionError`` (code 10107) when none of them knows a primary.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.find_primary s1 '[s1a.dc:27017, s1b.dc:27017]'

    .. versionadded:: 0.1.0
    """
    return _ask(name, hosts, connection)["primary"]


def missing(name, hosts, connection=None):
    """
    Which of these hosts the set, as its primary's clients see it, does not have; see also :py:func:`names`.

    name, hosts, connection
        As for :py:func:`find_primary`, which also tells what is raised.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.missing s1 '[s1a.dc:27017, s1b.dc:27017]'

    .. versionadded:: 0.1.0
    """
    known = names(name, hosts, connection)
    return [host for host in hosts if host not in known]


def names(name, hosts, connection=None):
    """
    How the set spells each of these hosts, which it has as its primary's clients see it.

    name, hosts, connection
        As for :py:func:`find_primary`, which also tells what is raised.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_members.names s1 '[S1A.dc:27017]'

    .. versionadded:: 0.1.0
    """
    return named(hosts, visible(_ask(name, hosts, connection)), connection)


def _ask(name, hosts, connection):
    """What the first member that knows a primary says of the set."""
    for host in hosts:
        [said] = __salt__["mongo_replset.hellos"]([host], connection).values()
        if said and said.get("primary") and said.get("setName") == name:
            return said
    error = CommandExecutionError(f"Replica set {name} has no primary that {', '.join(hosts)} would know of")
    error.code = NOT_WRITABLE_PRIMARY
    raise error


def _kind(said):
    """What a server that is no router says that it is."""
    if said.get("setName"):
        return f"a member of {said['setName']}"
    return "not yet a member of any set" if said.get("isreplicaset") else "a server that was started without a set"


def _lag(said, states, primary):
    """Whole seconds by which the last write of each secondary is older than the primary's."""
    written = {host: _written(each) for host, each in said.items() if states[host] in ("PRIMARY", "SECONDARY")}
    newest = written.get(primary)
    if newest is None:
        return {}
    return {host: max(0, newest - at) for host, at in written.items() if host != primary and at is not None}


def _written(said):
    """When a member's last write was made, in seconds, by the clock of the primary of that time."""
    return (((said.get("lastWrite") or {}).get("opTime") or {}).get("ts") or {}).get("$timestamp", {}).get("t")


def _status(connection):
    """The code of what a server that is in no set answers to a question on its set."""
    try:
        __salt__["mongo_client.command"]({"replSetGetStatus": 1}, connection=connection)
    except CommandExecutionError as err:
        if getattr(err, "code", None) in (INVALID_CONFIG, NOT_YET_INITIALIZED, *LOGIN_REFUSED):
            return err.code
        raise
    return None
