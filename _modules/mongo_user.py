"""
MongoDB users: the first one, which only loopback may create, and all others.

.. versionadded:: 0.1.0

Passwords are named by their path in the pillar; no function takes or answers one::

    salt-call --local -m . mongo_user.find teller bank

Requires PyMongo (see :py:mod:`mongo_client`).
"""

import base64
import contextlib
import hashlib
import hmac

from salt.exceptions import CommandExecutionError

with contextlib.suppress(ImportError):  # then mongo_client, and with it every use of this module, says so
    import pymongo.saslprep

__virtualname__ = "mongo_user"

HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
UNAUTHORIZED, AUTHENTICATION_FAILED, USER_EXISTS = 13, 18, 51003


class Unusable(CommandExecutionError):
    """A connection that cannot do this; no wait brings it."""

    argument = True


def __virtual__():
    return __virtualname__


def userless(connection=None):
    """
    Whether the server has no user: then, and only then, it answers ``replSetGetStatus`` over loopback without a login.

    connection
        A replica set member over loopback, see :py:mod:`mongo_client`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_user.userless

    .. versionadded:: 0.1.0
    """
    try:
        __salt__["mongo_client.command"](
            {"replSetGetStatus": 1}, connection=__salt__["mongo_client.anonymous"](connection)
        )
    except CommandExecutionError as err:
        if getattr(err, "code", None) == UNAUTHORIZED:
            return False
        raise
    return True


def create_first(connection=None, timeout=60):
    """
    Create the connection's own user by the localhost exception: only while there is no user, only on the primary.

    connection
        The primary over loopback, with ``credentials``; the ``roles`` found there are granted, by default ``root``.
    timeout
        Seconds. Default 60.

    Raises ``CommandExecutionError`` when another user exists already and ours is not let in, and for a connection
    without ``credentials``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_user.create_first

    .. versionadded:: 0.1.0
    """
    login = _login(connection)
    command = {"createUser": login["username"], "roles": login["roles"]}
    command.update({"pwd": login["password"]} if "password" in login else {})
    anonymous = __salt__["mongo_client.anonymous"](connection)
    try:
        __salt__["mongo_client.command"](command, db=login["authSource"], connection=anonymous, timeout=timeout)
    except CommandExecutionError as err:
        # Somebody made a user in the meantime (an interrupted run, another minion). If it is ours, it lets us in.
        taken = getattr(err, "code", None) in (UNAUTHORIZED, USER_EXISTS)
        if not taken or not __salt__["mongo_client.login_works"](connection):
            raise


def find(name, database="admin", connection=None):
    """
    A user's roles, or ``None`` when there is no such user.

    name, database
        The user and the database it is defined on.
    connection
        A router for a cluster's users, a primary for a replica set's own.

    Returns:
        ``roles``: a sorted list of ``role@database``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_user.find teller bank

    .. versionadded:: 0.1.0
    """
    user = _info(name, database, connection)
    return _roles(user) if user else None


def observe(name, database="admin", password=None, connection=None):
    """
    A user as it is: roles, and whether the wanted password is its own. That is computed from what the server keeps of
    the password, and tried by a login only where that is not shown: a login may be refused for another reason.

    name, database, connection
        As for :py:func:`find`.
    password
        The password's path in the pillar; ``None`` does not look at it.

    Returns:
        ``user``: ``None`` or ``{roles, password}`` with ``password`` ``True`` when it is right (or was not asked for).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_user.observe teller bank mongodb:users:teller:password

    .. versionadded:: 0.1.0
    """
    user = _info(name, database, connection, **({"showCredentials": True} if password else {}))
    if not user:
        return {"user": None}
    if not password:
        return {"user": {**_roles(user), "password": True}}
    kept = user.get("credentials", {})
    right = [is_password(_password(password), name, how, kept[how]) for how in HASHES if how in kept]
    works = all(right) if right else _lets_in(name, database, password, connection)
    return {"user": {**_roles(user), "password": works}}


def is_password(password, name, mechanism, kept):
    """
    Whether a password is the one of which a server keeps this. Pure; takes a password: mind where you write it.

    password, name
        The password and its user.
    mechanism
        ``SCRAM-SHA-256`` or ``SCRAM-SHA-1``.
    kept
        ``salt``, ``iterationCount`` and ``storedKey``, as ``usersInfo`` shows them with ``showCredentials``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_user.is_password

    .. versionadded:: 0.1.0
    """
    kind = HASHES[mechanism]
    if kind == "sha1":  # MongoDB's own: what is hashed is not the password but its digest
        text = hashlib.md5(f"{name}:mongo:{password}".encode(), usedforsecurity=False).hexdigest()
    else:
        text = _prepared(password)
    salted = hashlib.pbkdf2_hmac(kind, text.encode(), base64.b64decode(kept["salt"]), kept["iterationCount"])
    key = hashlib.new(kind, hmac.digest(salted, b"Client Key", kind)).digest()
    return hmac.compare_digest(key, base64.b64decode(kept["storedKey"]))


def _prepared(password):
    try:
        return pymongo.saslprep.saslprep(password)
    except ValueError:  # the server will say why it takes no such password
        return password


def _info(name, database, connection, **more):
    """The server's own words of a user, ``None`` where there is none; with ``showCredentials`` mind where they go."""
    shown = {"usersInfo": {"user": name, "db": database}, **more}
    return next(iter(__salt__["mongo_client.command"](shown, connection=connection)["users"]), None)


def _roles(user):
    return {"roles": sorted(f"{role['role']}@{role['db']}" for role in user["roles"])}


def _lets_in(name, database, password, connection):
    login = {"username": name, "password": _password(password), "authSource": database}
    return __salt__["mongo_client.login_works"]({**__salt__["mongo_client.anonymous"](connection), **login})


def observe_admin(connection=None):
    """
    The connection's own user on a replica set member, as the bootstrap has to know it.

    connection
        This member over loopback, with ``credentials``.

    Returns:
        ``born`` (the member is in a set), ``primary_here``, ``user`` (``None`` while the set has no user, else
        ``{roles, password}``) and ``seen``, all of it as a sentence.

    Raises ``CommandExecutionError`` (code 18) when the set has users and does not let ours in, and for a connection
    without ``credentials``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_user.observe_admin

    .. versionadded:: 0.1.0
    """
    login, said = _login(connection), __salt__["mongo_client.hello"](connection)
    found = {"born": bool(said.get("setName")), "primary_here": bool(said.get("isWritablePrimary")), "user": None}
    state = __salt__["mongo_replset.member_state"](said)
    if not found["born"]:
        return {**found, "seen": "the replica set is not initiated"}
    if __salt__["mongo_client.login_works"](connection):
        user = {**find(login["username"], login["authSource"], connection), "password": True}
        return {**found, "user": user, "seen": f"{state}, the user has {', '.join(user['roles'])}"}
    if userless(connection):
        return {**found, "seen": f"{state}, no user yet"}
    where = __salt__["mongo_client.address"](connection)
    error = CommandExecutionError(
        f"{where} has users, but refuses ours; put the right password at the credentials' path, or let one of them "
        "change it, or its authenticationRestrictions"
    )
    error.code = AUTHENTICATION_FAILED
    raise error


def plan(name, database, roles, observed, password=None):
    """
    The steps from the observed user to the wanted one. Pure.

    name, database
        The user.
    roles
        List of roles: ``readWrite`` (on the user's own database) or ``{role: readWrite, db: bank}``. ``None`` leaves
        them alone.
    observed
        What :py:func:`observe` answered.
    password
        The password's path in the pillar, which a new user needs, unless ``$external`` is its database.

    Raises ``CommandExecutionError`` for a new user without a password.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_user.plan teller bank '[readWrite]' '{user: null}' mongodb:users:teller:password

    .. versionadded:: 0.1.0
    """
    user, what = observed["user"], f"user {name}@{database}"
    wanted = None if roles is None else role_names(roles, database)
    if not user:
        if not password and database != "$external":
            raise CommandExecutionError(
                f"There is no {what} yet; to create it, password is needed: the password's path in the pillar"
            )
        return [{"do": "create", "what": what, "old": None, "new": {"roles": wanted or []}}]
    old, new = {}, {}
    if wanted is not None and user["roles"] != wanted:
        old["roles"], new["roles"] = user["roles"], wanted
    if not user["password"]:
        old["password"], new["password"] = "another one", "the wanted one"
    return [{"do": "change", "what": what, "old": old, "new": new}] if new else []


def plan_admin(name, login, observed):
    """
    The steps to a replica set's own administrator; none while the set is not born, for it is born with this user. Pure.

    name
        The user.
    login
        What :py:func:`mongo_client.login` answered.
    observed
        What :py:func:`observe_admin` answered.

    Raises ``CommandExecutionError`` when the login is another user's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_user.plan_admin admin '{username: admin}' '{born: false}'

    .. versionadded:: 0.1.0
    """
    if not observed["born"]:
        return []
    if login.get("username") != name:
        raise CommandExecutionError(
            f"admin_present {name}: the connection's credentials are those of {login.get('username')}"
        )
    return plan(name, login["authSource"], login["roles"], observed, "password" in login)


def act(name, step, database="admin", roles=None, password=None, connection=None, timeout=30):
    r"""
    Execute one step of :py:func:`plan`.

    name, database, roles, connection
        As for :py:func:`plan` and :py:func:`find`.
    step
        The step.
    password
        The password's path in the pillar; ``None`` for a user of ``$external``.
    timeout
        Seconds. Default 30.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_user.act

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    if step["do"] == "remove":
        command = {"dropUser": name}
    elif step["do"] == "create":
        command = {"createUser": name, "roles": roles or [], **({"pwd": _password(password)} if password else {})}
    else:
        command = {"updateUser": name}
        command.update({"roles": roles} if "roles" in step["new"] else {})
        if "password" in step["new"]:
            # Without them the server would give it its default ones.
            kept = (_info(name, database, connection, showCredentials=True) or {}).get("credentials", {})
            mechanisms = [each for each in HASHES if each in kept]
            command.update({"pwd": _password(password), **({"mechanisms": mechanisms} if mechanisms else {})})
    __salt__["mongo_client.command"](command, db=database, connection=connection, timeout=timeout)


def act_admin(step, connection=None, timeout=60):
    """
    Execute one step of :py:func:`plan_admin`.

    step
        The step.
    connection
        The primary over loopback, with ``credentials``.
    timeout
        Seconds. Default 60.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_user.act_admin

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    if step["do"] == "create":
        return create_first(connection, timeout)
    login = _login(connection)
    return act(login["username"], step, login["authSource"], login["roles"], None, connection, timeout)


def role_names(roles, database):
    """
    Roles in the one form that is compared: a sorted list of ``role@database``. Pure.

    roles
        Strings or mappings with ``role`` and ``db``.
    database
        The database of those that name none.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_user.role_names '[readWrite, {role: read, db: audit}]' bank

    .. versionadded:: 0.1.0
    """
    pairs = [(role, database) if isinstance(role, str) else (role["role"], role["db"]) for role in roles]
    return sorted({f"{role}@{db}" for role, db in pairs})


def _login(connection):
    """The connection's login by its path: what is to be created cannot be in the connection itself."""
    login = __salt__["mongo_client.login"](connection)
    if not login:
        raise Unusable(
            "the connection needs credentials: the path of a mapping with username and password in the pillar"
        )
    return login


def _password(path):
    between = ":" if isinstance(path, str) else "\n"  # which no key has
    whole = path if isinstance(path, str) else between.join(path)
    password = __salt__["config.get"](whole, default=None, delimiter=between)
    if not isinstance(password, str) or not password:
        where = whole.replace(between, ":")
        raise CommandExecutionError(
            f"No password at {where}: a text is wanted there, in the pillar or the minion's configuration"
        )
    return password
