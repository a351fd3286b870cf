"""
The size of a MongoDB member's oplog: the option ``oplogSizeMB`` counts when the oplog is made, and never again.

.. versionadded:: 0.1.0

How large the oplog of a member is::

    salt-call --local -m . mongo_oplog.observe s1

Requires PyMongo (see :py:mod:`mongo_client`).
"""

from salt.exceptions import CommandExecutionError

__virtualname__ = "mongo_oplog"

MIB = 2**20
SMALLEST_MB = 990  # of replSetResizeOplog; a new oplog may be smaller


def __virtual__():
    return __virtualname__


def observe(name, connection=None):
    """
    How large the oplog of a replica set's member is. Each member has its own.

    name
        The replica set.
    connection
        The member, with credentials.

    Returns:
        ``size_mb`` (``None`` while there is no oplog yet, or nobody who may look at it), ``member`` (its address in the
        set) and ``seen``, all of it as a sentence.

    Raises ``CommandExecutionError`` for a server that is no member of the set, for an arbiter, and for a storage engine
    whose oplog cannot be resized.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_oplog.observe s1

    .. versionadded:: 0.1.0
    """
    said, where = __salt__["mongo_client.hello"](connection), __salt__["mongo_client.address"](connection)
    if said.get("isreplicaset"):
        return {"size_mb": None, "member": where, "seen": f"{where} is in no replica set yet"}
    if said.get("setName") != name:
        raise CommandExecutionError(
            f"{where} is a member of {said.get('setName') or 'no replica set'}, not of {name}, whose oplog is meant"
        )
    if said.get("arbiterOnly"):
        raise CommandExecutionError(f"{where} is an arbiter of {name}, which has no oplog; leave its size out there")
    stats = _stats(connection)
    if not stats:
        return {"size_mb": None, "member": said["me"], "seen": f"{where} has no user yet"}
    if "wiredTiger" not in stats:
        raise CommandExecutionError(f"The oplog of {where} is not WiredTiger's, and MongoDB resizes no other")
    size = stats["maxSize"] / MIB
    return {"size_mb": size, "member": said["me"], "seen": f"The oplog of {said['me']} has {size:g} MB"}


def plan(name, size_mb, observed):
    """
    The step to an oplog of this size, or none; none while there is no oplog yet, as it is made with its size. Pure.

    name
        The replica set.
    size_mb
        MB (of 1048576 bytes).
    observed
        What :py:func:`observe` answered.

    Raises ``CommandExecutionError`` for a size that MongoDB gives to new oplogs only.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_oplog.plan s1 2048 '{size_mb: 1024, member: "s1a.dc:27017"}'

    .. versionadded:: 0.1.0
    """
    size = observed["size_mb"]
    if size is None or size == size_mb:
        return []
    if size_mb < SMALLEST_MB:
        raise CommandExecutionError(
            f"The oplog of {observed['member']} in {name} has {size:g} MB; MongoDB makes none smaller than "
            f"{SMALLEST_MB} MB of it, so not {size_mb:g}: give {SMALLEST_MB} or more, or {size:g} as it is"
        )
    what = f"oplog of {observed['member']}"
    return [{"do": "change", "what": what, "old": f"{size:g} MB", "new": f"{size_mb:g} MB", "size_mb": size_mb}]


def act(step, connection=None, timeout=60):
    """
    Execute the step of :py:func:`plan`, while the member serves.

    step
        The step.
    connection
        The member, with credentials.
    timeout
        Seconds. Default 60.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_oplog.act

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    command = {"replSetResizeOplog": 1, "size": float(step["size_mb"])}
    __salt__["mongo_client.command"](command, connection=connection, timeout=timeout)


def _stats(connection):
    """``None`` for a member without a user: it is about to get the connection's own."""
    try:
        return __salt__["mongo_client.command"]({"collStats": "oplog.rs"}, db="local", connection=connection)
    except CommandExecutionError:
        if not __salt__["mongo_client.login_works"](connection) and __salt__["mongo_user.userless"](connection):
            return None
        raise
