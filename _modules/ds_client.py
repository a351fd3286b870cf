"""
The one way from Onepass to a directory server: searches, within a time, and no write.

.. versionadded:: 0.1.0

Everything else of the area (:py:mod:`ds_read`) asks through it. This host's own servers::

    salt-call --local -m . ds_client.local

**The server** is an address, ``ldapi:///run/slapd-bank.socket``, ``ldaps://ds1.dc`` or ``ldap://ds1.dc:389``. By ldapi
root is the directory's manager by EXTERNAL, without any password. By ``ldap://`` StartTLS comes before the login, and a
certificate is always judged.

**The login** for the other two is the path, in the pillar or the minion's configuration, of a mapping with
``bind_dn``, ``password`` and, if the system does not trust the certificates' signer, ``ca_file``. So a password stands
on no command line. Without a login nobody is anybody: version and clock are all that a server then tells.

Requires ldap3 in Salt's Python.
"""

import contextlib
import re
import ssl
import threading
import time
import urllib.parse
from pathlib import Path

from salt.exceptions import CommandExecutionError

try:
    import ldap3
    from ldap3.core.exceptions import LDAPCertificateError, LDAPException, LDAPExceptionError, LDAPOperationResult

    class Found(ldap3.Server):
        """A server whose name was looked up already, and is not looked up again."""

        address_info = ()

    HAS_LDAP3 = True
except ImportError:
    HAS_LDAP3 = False

__virtualname__ = "ds_client"

NO_SERVER = ("refused", "No such file", "Name or service", "unreachable", "invalid server address")
SCHEMES = {"ldapi": None, "ldap": 389, "ldaps": 636}
LOGIN = ("bind_dn", "password", "ca_file")
# What a search answers where there is nothing, where the login may not look, and where a suffix is being initialised.
GONE, REFUSED, ELSEWHERE = 32, (1, 50, 53), (10, 11, 51, 52)
# Limits of time and number: ldap3 raises nothing for them, and has a part of the entries.
CUT = (3, 4)


class Silence(CommandExecutionError):
    """A server that could not be asked; ``kind`` says in a word why."""

    def __init__(self, message, kind):
        super().__init__(message)
        self.kind = kind


def __virtual__():
    if not HAS_LDAP3:
        return False, "The modules of 389 Directory Server need ldap3 in Salt's Python: salt-pip install 'ldap3>=2.9'"
    return __virtualname__


def credentials(login=None):
    """
    The login that a path leads to; ``{}`` for none.

    login
        See the head of this module.

    Raises ``CommandExecutionError`` that names the path when nothing usable is there. Holds the password: mind where
    you print it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc ds_client.credentials

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    if login is None:
        return {}
    if not isinstance(login, str) or not login:
        raise CommandExecutionError(
            "The login is the path of a mapping in the pillar or the configuration, such as ds389:login"
        )
    found = __salt__["config.get"](login, default=None)
    if not isinstance(found, dict) or not all(_is_text(found.get(key)) for key in LOGIN[:2]):
        raise CommandExecutionError(f"No login at {login}: a mapping with bind_dn and password is wanted there")
    if wrong := [str(key) for key in found if key not in LOGIN or not _is_text(found[key])]:
        raise CommandExecutionError(
            f"The login at {login} has {', '.join(wrong)}; {', '.join(LOGIN)} are known, all texts"
        )
    return found


def _is_text(value):
    return isinstance(value, str) and value != ""


def address(server):
    """
    An address's parts.

    server
        See the head of this module.

    Returns:
        ``scheme``, ``host`` (of ldapi: the socket's path) and ``port`` (of ldapi: ``None``).

    Raises ``CommandExecutionError`` for what is no address.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_client.address ldaps://ds1.dc

    .. versionadded:: 0.1.0
    """
    scheme, host, port, more = None, None, None, ""
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(server if isinstance(server, str) else "")
        scheme, host, port = parts.scheme, parts.hostname, parts.port
        more = f"{parts.path.strip('/')}{parts.query}{parts.fragment}{parts.username or ''}"
    if scheme == "ldapi":
        host, port, more = urllib.parse.unquote(server.partition("://")[2]), None, ""
    if scheme not in SCHEMES or not _is_place(scheme, host) or port == 0 or more:
        shown = re.sub("//.*@", "//...@", str(server))  # there may be a password in it
        raise CommandExecutionError(
            f"{shown!r} is no directory server's address; ldaps://ds1.dc, ldap://ds1.dc:389 or "
            "ldapi:///run/slapd-bank.socket is wanted"
        )
    return {"scheme": scheme, "host": host, "port": port or SCHEMES[scheme]}


def _is_place(scheme, host):
    """Whether a socket's path, or a host's name or address, can be there."""
    if scheme == "ldapi":
        return host.startswith("/")
    with contextlib.suppress(UnicodeError):
        return bool(host) and not re.search(r"[\s,;*'\"]", host) and bool(host.encode("idna"))
    return False


@contextlib.contextmanager
def session(server, login, timeout=5):
    """
    A context in which a server is asked: a function of base, filter, scope and attributes, which answers the entries
    and a fault (``None``, or why there are none). After the time is up nothing is waited for any more.

    server
        The address, see the head of this module.
    login
        What :py:func:`credentials` answered.
    timeout
        Seconds for all of it. Default 5.

    Raises ``CommandExecutionError``, with the attribute ``kind``: ``refused``, ``silent``, ``untrusted``, ``login`` or
    ``broken``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc ds_client.session

    .. versionadded:: 0.1.0
    """
    where, deadline = address(server), time.monotonic() + timeout
    if "ca_file" in login:
        _refuse_unreadable(login["ca_file"])
    connection = _connection(_place(server, where, login, timeout), login, timeout)
    watch = threading.Timer(max(0, deadline - time.monotonic()), _cut, [connection])
    watch.daemon = True
    watch.start()
    try:
        with _explained(server, deadline, timeout):
            _open(connection, where, login)
            yield lambda *search: _search(connection, *search)
    finally:
        watch.cancel()
        watch.join()
        with contextlib.suppress(LDAPException, OSError):
            connection.strategy.close()


def local():
    """
    The addresses of this host's own servers, by ldapi.

    Returns:
        List of addresses, also of those that do not run.

    Raises ``CommandExecutionError`` when there is none, or its configuration cannot be read.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_client.local

    .. versionadded:: 0.1.0
    """
    found = []
    for file in sorted(Path("/etc/dirsrv").glob("slapd-*/dse.ldif")):
        text = __salt__["onepass_host.read"](file) or ""
        lines = [line.partition(": ") for line in text.partition("\n\n")[0].replace("\n ", "").splitlines()]
        settings = {key.lower(): value for key, _, value in lines}
        usual = f"/run/{file.parent.name}.socket"
        found.append(f"ldapi://{settings.get('nsslapd-ldapifilepath') or usual}")
    if not found:
        raise CommandExecutionError("This host has no 389 Directory Server: there is no /etc/dirsrv/slapd-*/dse.ldif")
    return found


def _refuse_unreadable(file):
    try:
        ssl.create_default_context(cafile=file)
    except OSError as err:  # which an error of OpenSSL's is too
        raise Silence(f"{file}, the login's ca_file, is no file of certificates: {err}", "untrusted") from err


def _place(server, where, login, timeout):
    """What ldap3 connects to; its certificate is judged by the name that was given."""
    if where["scheme"] == "ldapi":
        return ldap3.Server(f"ldapi://{where['host']}", get_info=ldap3.NONE, connect_timeout=timeout)
    look = __salt__["ds_probe.addresses"](where["host"], where["port"], timeout)
    if look["fault"]:
        raise Silence(f"{server} does not run, or takes no connection: {look['fault']}", "refused")
    trust = {"ca_certs_file": login["ca_file"]} if "ca_file" in login else {}
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, sni=where["host"], **trust)
    how = {"use_ssl": where["scheme"] == "ldaps", "tls": tls, "get_info": ldap3.NONE, "connect_timeout": timeout}
    place = Found(where["host"], where["port"], **how)
    place.address_info = [[*each, None, None] for each in look["found"]]
    return place


def _connection(place, login, timeout):
    how = {"authentication": ldap3.ANONYMOUS}
    if place.ipc:
        how = {"authentication": ldap3.SASL, "sasl_mechanism": ldap3.EXTERNAL, "sasl_credentials": ""}
    elif "bind_dn" in login:
        how = {"authentication": ldap3.SIMPLE, "user": login["bind_dn"], "password": login["password"]}
    # Referrals are never followed: they lead to other servers, with this one's login.
    quiet = {
        "raise_exceptions": True,
        "check_names": False,
        "auto_referrals": False,
        "auto_range": False,
        "return_empty_attributes": False,
    }
    return ldap3.Connection(place, **how, **quiet, read_only=True, receive_timeout=max(1, int(timeout)))


def _open(connection, where, login):
    with _of_ldap():
        connection.open(read_server_info=False)
        if where["scheme"] == "ldap" and login:
            _begin_tls(connection, where)
        connection.bind(read_server_info=False)


@contextlib.contextmanager
def _of_ldap():
    """Another protocol's bytes end in errors of ldap3's own decoder."""
    try:
        yield
    except (LDAPException, OSError):  # some of which are ValueErrors too
        raise
    except (IndexError, KeyError, TypeError, ValueError) as err:
        raise LDAPExceptionError("what it answers is no LDAP") from err


def _begin_tls(connection, where):
    """No login is sent in clear text."""
    try:
        connection.start_tls(read_server_info=False)
    except LDAPOperationResult as err:
        server = f"ldap://{where['host']}:{where['port']}"
        raise Silence(
            f"{server} offers no StartTLS, so no login is sent to it: {err.description}", "untrusted"
        ) from err


def _cut(connection):
    """Whoever waits for a byte is told that none comes any more; no other address of the server has its turn."""
    connection.server.connect_timeout = 0.01
    with contextlib.suppress(OSError, AttributeError):
        connection.socket.shutdown(2)


def _search(connection, base, filter="(objectClass=*)", scope="base", attributes=()):
    try:
        with _of_ldap():
            connection.search(base, filter, scope.upper(), attributes=[*attributes] or [ldap3.NO_ATTRIBUTES])
    except LDAPOperationResult as err:
        if err.result in ELSEWHERE:
            return [], f"{err.description}, the suffix is not served now"
        return [], None if err.result == GONE else f"{err.description} {err.message or ''}".strip()
    if connection.result["result"] in ELSEWHERE:
        return [], f"{connection.result['description']}, the suffix is not served now"
    if connection.result["result"] in CUT:
        return [], f"{connection.result['description']}: more than this login may read"
    found = [each for each in connection.response if each["type"] == "searchResEntry"]
    return [{"dn": each["dn"], "values": _texts(each["raw_attributes"])} for each in found], None


def _texts(attributes):
    return {
        name.lower(): [each.decode("utf-8", "replace") for each in found] for name, found in attributes.items() if found
    }


@contextlib.contextmanager
def _explained(server, deadline, timeout):
    try:
        yield
    except LDAPCertificateError as err:
        names = str(err).rpartition("} ")[2]  # after the whole certificate
        raise Silence(f"{server} has a certificate of another name: it {names}", "untrusted") from err
    except LDAPOperationResult as err:
        said = f"{err.description} {err.message or ''}".strip()
        raise Silence(f"{server} refuses the login: {said}", "login") from err
    except (LDAPException, OSError) as err:
        if time.monotonic() >= deadline - 0.05 or "timed out" in str(err):
            raise Silence(f"{server} is there, but does not answer in {timeout} s", "silent") from err
        if "CERTIFICATE_VERIFY_FAILED" in str(err):
            raise Silence(f"{server} has a certificate that is not trusted: {err}", "untrusted") from err
        if any(word in str(err) for word in NO_SERVER):
            raise Silence(f"{server} does not run, or takes no connection: {err}", "refused") from err
        raise Silence(f"{server} broke the connection: {err}", "broken") from err
