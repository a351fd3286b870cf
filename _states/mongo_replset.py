"""
States for MongoDB replica sets: the set, its members, first user and oplogs. Clusters of sets: :py:mod:`mongo_shard`.

.. versionadded:: 0.1.0

Each state reads what is there, plans, acts, and reads again; ``test=True`` shows the plan that a real run executes.
States that need another host wait for a named condition until ``timeout`` (seconds), so that a highstate on blank
hosts, all at once, converges in one pass. All take ``connection``, which is explained in :py:mod:`mongo_client`.

Requires PyMongo 4.6 or later in Salt's Python.
"""

import time

from salt.exceptions import CommandExecutionError

__virtualname__ = "mongo_replset"

READY = ("PRIMARY", "SECONDARY", "ARBITER")
AUTHENTICATION_FAILED = 18
LOOK_SECONDS = 3  # between two looks whether what a member waits for is refused


def __virtual__():
    if "mongo_client.command" not in __salt__:
        return False, "The MongoDB states need PyMongo in Salt's Python: salt-pip install 'pymongo>=4.6'"
    return __virtualname__


def replset_present(
    name,
    members,
    connection=None,
    config_server=False,
    settings=None,
    remove_extra=False,
    timeout=120,
    write_concern=None,
):
    """
    The replica set exists with these members; a new one is born on the first member, which is where this state runs.

    A set is born with one member and its administrator (the connection's user), and grown one member at a time.
    Compared are the members by ``host:port``, their options (MongoDB's default where none is given) and the given
    settings. An election can interrupt writes for some seconds only when the primary itself is removed, or may be
    primary no longer. Waits until all new members answer, and before it removes a member, until the wanted ones that
    answer have all data and their votes: with much data, ``timeout`` has to allow for that.

    name
        The replica set's name.
    members
        List of ``host:port``, or of mappings with ``host`` and any of ``priority``, ``votes``, ``hidden``,
        ``arbiterOnly``, ``buildIndexes``, ``tags``, ``secondaryDelaySecs``.
    connection
        This node over loopback, with the credentials to use. A set that is born gets that user, with the role ``root``.
    config_server
        The set holds a sharded cluster's configuration. Default ``False``.
    settings
        Replica set settings, for example ``{electionTimeoutMillis: 5000}``; others are left alone.
    remove_extra
        Remove members that are not listed. Default ``False``: the state refuses and names them.
    timeout
        Seconds for all waiting, and for each step. Default 120.
    write_concern
        The default write concern of a set that is no part of a sharded cluster: ``majority``, or a number of members.
        MongoDB wants it decided before an arbiter is added that would change it: beside two members with data, for
        example. Default: it is left alone; a cluster's is :py:func:`mongo_shard.default_rw_concern`'s.

    .. code-block:: yaml

        s1:
          mongo_replset.replset_present:
            - members: [s1a.dc:27017, s1b.dc:27017, s1c.dc:27017]

        s2:
          mongo_replset.replset_present:
            - members: [s2a.dc:27017, s2b.dc:27017, {host: 's2c.dc:27017', arbiterOnly: True}]
            - write_concern: majority

        mongodb-replset-s1:
          mongo_replset.replset_present:
            - name: s1
            - members: [s1a.dc:27017, {host: 's1b.dc:27017', priority: 0.5}, s1c.dc:27017]
            - connection: {port: 27017, credentials: mongodb:auth:admin}
            - require:
              - service: mongod

    .. versionadded:: 0.1.0
    """
    given = {"members": members, "config_server": config_server, "settings": settings, "remove_extra": remove_extra}
    given.update({"connection": connection, "timeout": timeout, "write_concern": write_concern})
    refused = __salt__["mongo_arguments.refusal"](name, f"replica set {name}", given)
    if refused:
        return refused
    test = __opts__["test"]

    def look():
        observed = __salt__["mongo_replset.observe"](name, members, connection, write_concern is not None)
        return observed, __salt__["mongo_replset.unsettled"](observed)

    def settled():
        observed, obstacle = look()
        return (None if obstacle else observed), obstacle

    def read():
        if not test:
            return __salt__["mongo_client.wait"](settled, f"replica set {name}", timeout)
        observed, obstacle = look()
        if observed["born"] and not observed["config"]:
            raise CommandExecutionError(f"Replica set {name} cannot be looked at: {obstacle}")
        return {**observed, "assumed": obstacle and f"before that, {obstacle}"}

    def plan(observed):
        admin = __salt__["mongo_client.login"](connection).get("username")
        return __salt__["mongo_replset.plan"](name, members, observed, settings, admin, remove_extra, write_concern)

    def act(step):
        hosts = [__salt__["mongo_replset.member"](entry)["host"] for entry in members]
        __salt__["mongo_replset.act"](name, step, hosts, connection, config_server, timeout)

    def fact(observed):
        return (
            f"Replica set {name} has its {len(observed['config']['members'])} members; {observed['primary']} is primary"
        )

    return __salt__["onepass.converge"](name, read, plan, act, fact, test)


def member_ready(name, connection=None, timeout=120, members=None, settings=None, remove_extra=False):
    """
    This member of the replica set is primary, secondary or arbiter. Changes nothing; waits.

    name
        The replica set's name.
    connection
        The member, see :py:mod:`mongo_client`; no login is needed.
    timeout
        Seconds. Default 120; a first synchronisation of much data takes longer.
    members, settings, remove_extra
        Those of the set's :py:func:`replset_present`, which brings this member into it. What that refuses for good is
        refused here too, instead of being waited for. Default: nobody is looked at but this member.

    .. code-block:: yaml

        s1:
          mongo_replset.member_ready

        mongodb-member-s1:
          mongo_replset.member_ready:
            - name: s1
            - timeout: 600
            - require:
              - mongo_replset: mongodb-replset-s1

    .. versionadded:: 0.1.0
    """
    wanted = [] if members is None else members
    given = {"connection": connection, "timeout": timeout, "members": wanted}
    given.update({"settings": settings, "remove_extra": remove_extra})
    refused = __salt__["mongo_arguments.refusal"](name, f"member of {name}", given)
    if refused:
        return refused

    first = __salt__["mongo_replset.member"](wanted[0])["host"] if wanted else ""
    look = {"next": time.monotonic() + LOOK_SECONDS}

    def condition():
        said = __salt__["mongo_client.hello"](connection)
        if said.get("setName"):
            state = __salt__["mongo_members.own_state"](said, connection)
            return said["setName"] == name and state in READY, f"{state} of {said['setName']}"
        if wanted and time.monotonic() > look["next"]:
            look["next"] = time.monotonic() + LOOK_SECONDS
            why = __salt__["mongo_replset.refusal"](name, wanted, connection, settings, remove_extra)
            if why:
                raise CommandExecutionError(f"{first}, which brings the members into {name}, refuses: {why}")
        return False, "not yet a member of any set" + (f"; {first} brings it into {name}" if wanted else "")

    what = f"{__salt__['mongo_client.address'](connection)} to be primary or secondary of {name}"
    return __salt__["mongo_client.gate"](name, condition, what, timeout, __opts__["test"])


def admin_present(name, connection=None, timeout=120):
    """
    The replica set's own administrator exists with its roles, and its password works.

    The first user is created by the localhost exception on whichever member is primary, so let this state run on every
    member; on the others it waits. A set that ``replset_present`` gives birth to has the user already.

    name
        The user; the same as in the connection's credentials.
    connection
        This member over loopback, with ``credentials``; the ``roles`` found there are wanted, by default ``root``.
    timeout
        Seconds. Default 120.

    .. code-block:: yaml

        admin:
          mongo_replset.admin_present:
            - connection: {credentials: mongodb:auth:admin}

        mongodb-admin-s1:
          mongo_replset.admin_present:
            - name: admin
            - connection: {port: 27018, credentials: mongodb:auth:admin}
            - require:
              - service: mongod

    .. versionadded:: 0.1.0
    """
    refused = __salt__["mongo_arguments.refusal"](
        name, f"administrator {name}", {"connection": connection, "timeout": timeout}
    )
    if refused:
        return refused
    test = __opts__["test"]

    def settled():
        observed = __salt__["mongo_user.observe_admin"](connection)
        steps = plan(observed)
        done_here = observed["primary_here"] or not steps
        return (observed if observed["born"] and done_here else None), observed["seen"]

    def read():
        if not test:
            return __salt__["mongo_client.wait"](
                settled, f"administrator {name}", timeout, also=[AUTHENTICATION_FAILED]
            )
        return __salt__["mongo_client.look"](
            lambda: __salt__["mongo_user.observe_admin"](connection), {"born": False, "primary_here": False}, test
        )

    def plan(observed):
        if test and not observed["primary_here"]:
            return []
        return __salt__["mongo_user.plan_admin"](name, __salt__["mongo_client.login"](connection), observed)

    def act(step):
        __salt__["mongo_user.act_admin"](step, connection, timeout)

    def fact(observed):
        return f"Administrator {name} is let in" if observed["born"] else "The replica set will be born with this user"

    return __salt__["onepass.converge"](name, read, plan, act, fact, test)


def oplog_sized(name, size_mb, connection=None, timeout=120):
    """
    The oplog of this member has this size. It is resized while the member serves; nothing is restarted.

    MongoDB reads ``oplogSizeMB`` when it makes the oplog, and never again: to change it later, let this state run on
    each member that holds data. An oplog that gets smaller loses its oldest entries, which a member that is behind may
    need; the disk has its room back only after ``compact``. Of an arbiter, which has no oplog, the state says so.

    name
        The replica set's name.
    size_mb
        Whole MB (of 1048576 bytes). To resize, at least 990; less only as the oplog was made.
    connection
        This member, see :py:mod:`mongo_client`, with credentials that may resize (the role ``clusterManager``).
    timeout
        Seconds to wait for the member to be in its set. Default 120.

    .. code-block:: yaml

        s1:
          mongo_replset.oplog_sized:
            - size_mb: 51200

        mongodb-oplog-s1:
          mongo_replset.oplog_sized:
            - name: s1
            - size_mb: 51200
            - connection: {port: 27017, credentials: mongodb:auth:admin}
            - require:
              - mongo_replset: mongodb-admin-s1

    .. versionadded:: 0.1.0
    """
    given = {"size_mb": size_mb, "connection": connection, "timeout": timeout}
    refused = __salt__["mongo_arguments.refusal"](name, f"oplog of {name}", given)
    if refused:
        return refused
    test = __opts__["test"]

    def look():
        return __salt__["mongo_oplog.observe"](name, connection)

    def settled():
        observed = look()
        return (None if observed["size_mb"] is None else observed), observed["seen"]

    def read():
        if test:
            nothing = {"size_mb": None, "seen": "The oplog will be made with its size"}
            return __salt__["mongo_client.look"](look, nothing, test)
        return __salt__["mongo_client.wait"](settled, f"the oplog of {name}", timeout)

    return __salt__["onepass.converge"](
        name,
        read,
        plan=lambda observed: __salt__["mongo_oplog.plan"](name, size_mb, observed),
        act=lambda step: __salt__["mongo_oplog.act"](step, connection, max(timeout, 1)),
        fact=lambda observed: observed["seen"],
        test=test,
    )
