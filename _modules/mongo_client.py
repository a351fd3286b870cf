"""
The one way from Onepass to a MongoDB server: run a command, read a collection, try a login.

.. versionadded:: 0.1.0

Everything else (:py:mod:`mongo_replset`, :py:mod:`mongo_shard`) builds commands and compares answers. Try it on any
server::

    salt-call --local -m . mongo_client.hello connection=mongodb://localhost:27017

**The connection.** Every function and state of the MongoDB area takes ``connection``:

* a mapping of PyMongo's ``MongoClient`` options: ``host`` (default ``localhost``), ``port`` (default 27017), ``tls``,
  ``tlsCAFile``, ``tlsCertificateKeyFile``, ``authMechanism: MONGODB-X509`` and so on. One key is ours: ``credentials``
  is the path in the pillar (or the minion's configuration) of a mapping with ``username``, ``password`` and, if need
  be, ``authSource`` and ``authMechanism``. So a password stands in no SLS, no command line and no job;
* a string with ``://``: a URI such as ``mongodb://r1.dc:27017,r2.dc:27017/?tls=true``, taken apart into such a mapping;
  no ``mongodb+srv://``;
* another string: the path of such a mapping in the pillar or the minion's configuration;
* nothing: the mapping at ``mongodb:connection`` if there is one, else ``localhost:27017``.

One host is asked itself, primary or not, unless ``replicaSet`` or ``directConnection`` says otherwise.

Requires PyMongo 4.6 or later in Salt's Python.
"""

import atexit
import contextlib
import difflib
import json
import os
import re
import socket
import time

from salt.exceptions import CommandExecutionError

try:
    import bson.errors
    import bson.json_util
    import pymongo
    import pymongo.errors
    import pymongo.uri_parser

    HAS_PYMONGO = True
except ImportError:
    HAS_PYMONGO = False

if HAS_PYMONGO:
    # At exit PyMongo waits half a second for its monitors to wake up. They are daemon threads: they end without that.
    with contextlib.suppress(AttributeError):
        atexit.unregister(pymongo.synchronous.monitor._shutdown_resources)

__virtualname__ = "mongo_client"

HOST_UNREACHABLE, MAX_TIME_EXPIRED = 6, 50
# A certificate's user that does not exist is not found, any other is refused.
LOGIN_REFUSED = USER_NOT_FOUND, UNAUTHORIZED, AUTHENTICATION_FAILED = (11, 13, 18)
# What a server answers while it starts, elects or shuts down: 6 HostUnreachable, 50 MaxTimeMSExpired,
# 89 NetworkTimeout, 91 ShutdownInProgress, 94 NotYetInitialized, 103 another configuration came first,
# 109 ConfigurationInProgress, 133 FailedToSatisfyReadPreference, 189 PrimarySteppedDown, 211 the cluster time's keys
# are not read yet, 262 nobody has caught up to take over, 308 CurrentConfigNotCommittedYet, 10107 NotWritablePrimary,
# 11600 and 11602 interrupted, 13435 and 13436 not readable yet.
NOT_YET = (6, 50, 89, 91, 94, 103, 109, 133, 189, 211, 262, 308, 10107, 11600, 11602, 13435, 13436)
# What a server answers when it has done nothing of what was asked, and will do it in a moment.
BUSY = (109, 133, 211, 10107)
# Commands that change nothing: one whose connection is closed before the answer is sent again.
READS = (
    *("hello", "ping", "connectionStatus", "find", "listIndexes", "usersInfo"),
    *("replSetGetConfig", "replSetGetStatus", "getShardMap", "getDefaultRWConcern"),
)
# A server whose disk hangs for longer costs a run no more than this.
FROZEN_SECONDS = 60
# A server as it is written in a URI: a name with a dot, an address, or whatever has a port.
LIKE_A_SERVER = re.compile(r"([\w-]+(\.[\w-]+)+(:\d+)?|(localhost|\[[\da-fA-F:]+\]|[\w-]+)(:\d{2,5})|localhost)(/.*)?")
# Options as other drivers, mongosh and MongoDB's configuration call them.
OTHER_NAMES = {
    **dict.fromkeys(("user", "login", "login_user"), "username"),
    **dict.fromkeys(("pwd", "pass", "passwd", "login_password"), "password"),
    **dict.fromkeys(("authenticationdatabase", "authdb", "login_database"), "authSource"),
    **dict.fromkeys(("cafile", "sslcafile", "ssl_ca_certs"), "tlsCAFile"),
    **dict.fromkeys(("certificatekeyfile", "sslpemkeyfile", "ssl_certfile"), "tlsCertificateKeyFile"),
    **dict.fromkeys(("authenticationmechanism", "mechanism"), "authMechanism"),
}
LOGIN_KEYS = ("username", "password", "authSource", "authMechanism")
# A dead host costs two seconds and no more; a connection may say otherwise.
DEFAULTS = {
    "host": "localhost",
    "appname": "onepass",
    "connectTimeoutMS": 2000,
    "serverSelectionTimeoutMS": 2000,
    "socketTimeoutMS": 20000,
}


class ServerError(CommandExecutionError):
    """A server's refusal, or its silence, with MongoDB's error code in ``code``; ``frozen``: it listens, though."""

    def __init__(self, message, code, frozen=False):
        super().__init__(message)
        self.code = code
        self.frozen = frozen


class Unusable(CommandExecutionError):
    """A connection, an address or a value that no server is needed for to see that it is wrong: no wait brings it."""

    argument = True


def __virtual__():
    if not HAS_PYMONGO:
        return False, "The MongoDB modules need PyMongo in Salt's Python: salt-pip install 'pymongo>=4.6'"
    return __virtualname__


def command(cmd, db="admin", connection=None, timeout=10):
    """
    Run one database command and answer the server's reply.

    cmd
        The command as a mapping, its name first: ``{ping: 1}``.
    db
        The database it is run on. Default ``admin``.
    connection
        The server, see the head of this module.
    timeout
        Seconds for the whole exchange. Default 10.

    Raises ``CommandExecutionError`` with the server, the command's name and the server's words; its ``code`` is
    MongoDB's error code (6 HostUnreachable when nothing answers, 18 when the login is refused, 50 when the time is up),
    ``None`` when the command could not be sent. So it is for options that PyMongo refuses, which have no code.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_client.command

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    return _talk(connection, next(iter(cmd)), timeout, lambda client: _kept(client[db].command(cmd)))


def rows(cmd, db="admin", connection=None, timeout=30):
    """
    Run a command that answers with a cursor (``find``, ``aggregate``, ``listIndexes``) and answer all its documents.

    cmd, db, connection, timeout
        As for :py:func:`command`; ``timeout`` is 30 seconds by default.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_client.rows

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    return _talk(connection, next(iter(cmd)), timeout, lambda client: list(client[db].cursor_command(cmd)))


def hello(connection=None, timeout=2):
    """
    What a server says of itself before any login: replica set, members, primary, whether it is a router.

    connection
        The server, see the head of this module; credentials are not used.
    timeout
        Seconds. Default 2.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_client.hello

    .. versionadded:: 0.1.0
    """
    return jsonable(command({"hello": 1}, connection=anonymous(connection), timeout=timeout))


def login_works(connection=None, timeout=5):
    """
    Whether the server accepts the connection's credentials. A server that does not answer is an error, not ``False``.

    connection, timeout
        As for :py:func:`command`; ``timeout`` is 5 seconds by default.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_client.login_works

    .. versionadded:: 0.1.0
    """
    try:
        command({"connectionStatus": 1}, connection=connection, timeout=timeout)
    except ServerError as err:
        if err.code in LOGIN_REFUSED:
            return False
        raise
    return True


def wait(condition, what, timeout, interval=0.1, also=()):
    """
    :py:func:`onepass.wait`, with the errors that a starting or electing server gives counted as "not yet". A server
    that takes connections and answers nobody for a minute ends the wait.

    condition, what, timeout, interval
        As there.
    also
        Further error codes that mean "not yet". Default none.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_client.wait

    .. versionadded:: 0.1.0
    """
    return __salt__["onepass.wait"](_thawing(condition), what, timeout, interval, (*NOT_YET, *also))


def insist(act, what, timeout=30):
    """
    Have something done that a server may refuse while it elects or takes a new configuration; it is asked again then.

    act
        Function without arguments that has it done.
    what
        Its name, for the error.
    timeout
        Seconds. Default 30.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_client.insist

    .. versionadded:: 0.1.0
    """

    def done():
        act()
        return True, ""

    __salt__["onepass.wait"](done, f"the servers to take {what}", timeout, retry=BUSY)


def gate(name, condition, what, timeout, test=False):
    """
    :py:func:`onepass.gate`, with the errors that a starting or electing server gives counted as "not yet"; see
    :py:func:`wait`.

    name, condition, what, timeout, test
        As there.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_client.gate

    .. versionadded:: 0.1.0
    """
    return __salt__["onepass.gate"](name, _thawing(condition), what, timeout, test, NOT_YET)


def look(read, blank, test=False):
    """
    What a function reads from a server. In a dry run a server that does not answer counts as blank, which is then said.

    read
        Function without arguments.
    blank
        What is there when nothing is.
    test
        Whether this is a dry run. Default ``False``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_client.look

    .. versionadded:: 0.1.0
    """
    try:
        return read()
    except CommandExecutionError as err:
        if not test or getattr(err, "code", None) != HOST_UNREACHABLE:
            raise
        return {**blank, "assumed": f"if there is nothing yet: {err}"}


def resolve(connection=None):
    """
    The connection as a mapping, whatever form it came in; credentials stay a path.

    connection
        See the head of this module.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_client.resolve mongodb://localhost:27018

    .. versionadded:: 0.1.0
    """
    found = connection
    if isinstance(connection, str) and "://" in connection:
        found = {"host": connection}
    elif connection is None:
        found = __salt__["config.get"]("mongodb:connection", default={})
    elif isinstance(connection, str):
        found = __salt__["config.get"](connection, default=None)
    if not isinstance(found, dict):
        shown = repr(connection or "mongodb:connection") if found is not connection else f"a {type(found).__name__}"
        meant = _meant(connection) if isinstance(connection, str) else ""
        if "@" in shown:  # it may hold a password
            shown = "the text"
        raise Unusable(
            f"{shown} is no connection; {meant}a mapping of MongoClient options, a mongodb:// URI, or the path of such "
            "a mapping in the pillar or the minion's configuration is wanted"
        )
    host = found.get("host")
    if isinstance(host, str) and "://" in host:
        return {**_from_uri(host), **{key: value for key, value in found.items() if key != "host"}}
    return dict(found)


def at(address, connection=None):
    """
    The same connection to another server: ``host:port`` instead of the connection's own, and that one alone.

    address
        ``host:port``.
    connection
        See the head of this module.

    Raises ``CommandExecutionError`` for any other address.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_client.at s1a.dc:27017

    .. versionadded:: 0.1.0
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise Unusable(f"{address!r} is no server's address; host:port is wanted, for example s1a.dc:27017")
    return dict(_without(("replicaSet", "directConnection"), connection), host=host, port=int(port))


def anonymous(connection=None):
    """
    The same connection without a login, as the localhost exception wants it.

    connection
        See the head of this module.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_client.anonymous

    .. versionadded:: 0.1.0
    """
    return _without(("credentials", *LOGIN_KEYS), connection)


def address(connection=None):
    """
    The server's name for messages: ``host:port``, never a password.

    connection
        See the head of this module.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_client.address

    .. versionadded:: 0.1.0
    """
    connection = resolve(connection)
    host = str(connection.get("host", DEFAULTS["host"]))
    whole = "/" in host or host.rpartition(":")[2].isdecimal()
    return host if whole else f"{host}:{connection.get('port', 27017)}"


def login(connection=None):
    """
    The connection's login as its ``credentials`` path has it, with ``authSource`` and ``roles`` (what its user is to
    have, by default ``root``); ``{}`` for a connection without one.

    connection
        See the head of this module.

    Raises ``CommandExecutionError`` that names the path when nothing usable is there. Holds the password: mind where
    you print it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_client.login

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    path = resolve(connection).get("credentials")
    if not path:
        return {}
    found = __salt__["config.get"](path, default=None)
    if not isinstance(found, dict) or not found.get("username"):
        raise CommandExecutionError(
            f"No credentials at {path}: a mapping with username and password is wanted there, in the pillar or the "
            "minion's configuration; where the pillar has it, this minion has an older one: saltutil.refresh_pillar"
        )
    source = "$external" if found.get("authMechanism") == "MONGODB-X509" else "admin"
    given = {key: found[key] for key in (*LOGIN_KEYS, "roles") if key in found}
    return {"authSource": source, "roles": [{"role": "root", "db": "admin"}], **given}


def jsonable(document):
    """
    A server's document in plain types (MongoDB's relaxed extended JSON), fit for Salt's outputters and job cache.

    document
        What a server answered.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_client.jsonable '{ok: 1}'

    .. versionadded:: 0.1.0
    """
    return json.loads(bson.json_util.dumps(document, json_options=bson.json_util.RELAXED_JSON_OPTIONS))


def from_extended(value):
    """
    A value with MongoDB's own types for what it says in extended JSON: ``{$date: '2026-01-01T00:00:00Z'}`` is a date.

    value
        Any value in plain types, as a pillar has them.

    Raises ``CommandExecutionError`` for what no type of MongoDB's is.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_client.from_extended '{$numberLong: "5"}'

    .. versionadded:: 0.1.0
    """
    if isinstance(value, (list, tuple)):
        return [from_extended(each) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {key: from_extended(each) for key, each in value.items()}
    try:
        return bson.json_util.object_hook(inner)
    except (TypeError, ValueError, ArithmeticError, bson.errors.BSONError) as err:
        raise Unusable(f"{value} is no value in MongoDB's extended JSON: {err}") from None


def _meant(text):
    """What a text may have been meant to be that is no path of anything."""
    if "@" in text:
        return "did you leave out mongodb:// before it? "
    return f"did you mean mongodb://{text}? " if LIKE_A_SERVER.fullmatch(text) else ""


def _thawing(condition):
    """The condition, until its server has been frozen for too long."""
    since = []

    def look():
        try:
            found = condition()
        except ServerError as err:
            since[:] = since or [time.monotonic()] if err.frozen else []
            if since and time.monotonic() - since[0] >= FROZEN_SECONDS:
                raise CommandExecutionError(f"{err}; so it has been for {FROZEN_SECONDS} s") from None
            raise
        since.clear()
        return found

    return look


def _from_uri(uri):
    """A URI's options as MongoClient takes them; no message has a part of it, as any may be one of a password."""
    try:
        if not uri.startswith("mongodb://"):
            raise ValueError(uri)
        parsed = pymongo.uri_parser.parse_uri(uri, validate=False, normalize=False)
    except (ValueError, pymongo.errors.PyMongoError):
        raise Unusable(
            "the URI is no connection; mongodb://user:password@host:port/?option=value is wanted, special characters "
            "in user and password as %XX"
        ) from None
    hosts = [_host_port(*node) for node in parsed["nodelist"]]
    login = {"username": parsed["username"], "password": parsed["password"]}
    login["authSource"] = parsed["username"] and parsed["database"]
    return {"host": ",".join(hosts), **{key: each for key, each in login.items() if each}, **parsed["options"]}


def _host_port(host, port):
    """As PyMongo takes them together; a socket file has no port."""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


def _without(dropped, connection):
    """The connection without some options, however they are written: PyMongo does not mind capitals."""
    dropped = [key.lower() for key in dropped]
    return {key: value for key, value in resolve(connection).items() if str(key).lower() not in dropped}


def _talk(connection, name, timeout, exchange):
    where, kept = address(connection), _key(_options(connection)) in __context__
    try:
        client = _client(connection)
        with pymongo.timeout(timeout):
            return exchange(client)
    except pymongo.errors.PyMongoError as err:
        error = _server_error(err, where, name, timeout)
        if not isinstance(err, pymongo.errors.OperationFailure) or error.code in (
            USER_NOT_FOUND,
            AUTHENTICATION_FAILED,
        ):
            _forget(connection)
        # A router that has changed its config server, a server that was restarted: the connection is gone, not they.
        if kept and name in READS and type(err) is pymongo.errors.AutoReconnect:
            return _talk(connection, name, timeout, exchange)
        raise error from None
    except (bson.errors.BSONError, OverflowError, UnicodeError) as err:
        # Some releases of PyMongo put the whole document, with its secrets, before the reason.
        reason = str(err).rpartition(" | ")[2]
        raise ServerError(f"{where}: {name} holds what MongoDB cannot: {reason}", None) from None


def _kept(reply):
    """A reply, unless fewer members have the change than the write concern asks for; PyMongo takes it for a success."""
    missed = reply.get("writeConcernError")
    if missed:
        raise pymongo.errors.WriteConcernError(missed.get("errmsg", ""), missed.get("code"), missed)
    return reply


def _client(connection):
    """
    One client per server and login, kept for the run of the loader.

    Its first ``ping`` is outside of ``pymongo.timeout``, which would let it look for a dead server all that time.
    """
    options = _options(connection)
    key = _key(options)
    if key not in __context__:
        options = {**DEFAULTS, **options}
        given = [str(key).lower() for key in options]
        if "," not in str(options["host"]) and "replicaset" not in given and "directconnection" not in given:
            options["directConnection"] = True
        try:
            client = pymongo.MongoClient(**options)
        except (TypeError, ValueError, OSError, pymongo.errors.ConfigurationError) as err:
            _refuse_unknown(err, connection)
            raise Unusable(f"connection to {address(connection)}: {err}") from None
        try:
            client.admin.command("ping")
        except pymongo.errors.PyMongoError:
            client.close()
            raise
        __context__[key] = client
    return __context__[key]


def _refuse_unknown(err, connection):
    """PyMongo's own words speak of a docstring; and of another driver's names it knows none."""
    found = re.match(r"Unknown option:? (\w+)", str(err))
    if not found:
        return
    known = {name.lower(): name for name in pymongo.common.VALIDATORS}
    close = difflib.get_close_matches(found[1].lower(), known, n=1)
    meant = OTHER_NAMES.get(found[1].lower()) or (known[close[0]] if close else "")
    hint = f"did you mean {meant!r}?" if meant else "its documentation of MongoClient lists all"
    raise Unusable(f"connection to {address(connection)}: {found[1]} is no option of PyMongo's; {hint}")


def _forget(connection):
    """Close a client that lost its server: PyMongo would look again only after its heartbeat of ten seconds."""
    client = __context__.pop(_key(_options(connection)), None)
    if client:
        client.close()


def _options(connection):
    options = resolve(connection)
    options.pop("credentials", None)
    return {**options, **{key: value for key, value in login(connection).items() if key in LOGIN_KEYS}}


def _key(options):
    return "mongo_client:" + json.dumps([os.getpid(), options], sort_keys=True, default=str)


def _server_error(err, where, name, timeout):
    details = getattr(err, "details", None) or {}
    code = getattr(err, "code", None) or (details.get("code") if isinstance(details, dict) else None)
    said = details.get("errmsg") if isinstance(details, dict) else None
    found = not isinstance(err, pymongo.errors.ServerSelectionTimeoutError)
    if code is None and found and getattr(err, "timeout", False):
        return ServerError(f"{where}: {name} was not answered within {timeout} s", MAX_TIME_EXPIRED)
    if code is None and said:  # some refusals have no code
        return ServerError(f"{where}: {name} refused: {said}", None)
    if code is None and not isinstance(err, pymongo.errors.ConnectionFailure):
        return ServerError(f"{where}: {name}: {err}", None)
    if code is None:
        frozen, cause = _silence(err, where)
        fault = (
            f"{where} takes connections, but does not answer {name}: "
            "it is frozen, its disk hangs, or the network loses much"
        )
        said = fault if frozen else f"{where}: nothing answers {name} ({cause})"
        return ServerError(said, HOST_UNREACHABLE, frozen)
    label = details.get("codeName", "") if isinstance(details, dict) else ""
    if isinstance(err, pymongo.errors.WriteConcernError):
        fault = f"{where}: {name} is on fewer members than asked for: {said}"
        return ServerError(f"{fault} (code {code} {label})", code)
    return ServerError(f"{where}: {name} refused: {said or err} (code {code} {label})".replace(" )", ")"), code)


def _silence(err, where):
    """Whether nothing came in time from a port that somebody listens on; and PyMongo's reason, or a slow resolver's."""
    host, _, port = where.rpartition(":")
    cause = _cause(err)
    if not port.isdecimal() or "," in where or not re.search("No servers found yet|timed out", cause):
        return False, cause
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except socket.gaierror as unknown:
        return False, f"{host}: {unknown}"
    except OSError:
        return False, cause
    return True, cause


def _cause(err):
    """PyMongo's reason without its topology dump: ``s1a.dc:27017: [Errno 111] Connection refused``."""
    return str(err).split(" (configured timeouts")[0].split(", Timeout:")[0]
