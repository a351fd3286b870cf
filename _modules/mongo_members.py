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


def _status(connection):
    """The code of what a server that is in no set answers to a question on its set."""
    try:
        __salt__["mongo_client.command"]({"replSetGetStatus": 1}, connection=connection)
    except CommandExecutionError as err:
        if getattr(err, "code", None) in (INVALID_CONFIG, NOT_YET_INITIALIZED, *LOGIN_REFUSED):
            return err.code
        raise
    return None
