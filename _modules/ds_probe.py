"""
What a directory server's port answers, and with which certificate: a probe that logs in nowhere.

.. versionadded:: 0.1.0

An agreement says "Can't contact LDAP server" of a server that is off, of one with another name in its certificate, of
one whose signer is not trusted, and of TLS that is spoken to a plain port. Here they are told apart::

    salt-call --local -m . ds_probe.port ds1.dc 636 LDAPS
"""

import contextlib
import contextvars
import datetime
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography import x509

__virtualname__ = "ds_probe"

# Message 1, whole: an extended request for StartTLS, and a search for the server's own entry, without attributes.
STARTTLS = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
SEARCH = bytes.fromhex("302a020101632504000a01000a0100020101020101010100870b") + b"objectClass" + b"0\x05\x04\x031.1"
WORDS = {
    "ok": "answers",
    "unknown": "the name of that host is not known here",
    "off": "nothing listens at that port, or a firewall refuses it",
    "silent": "connections or packets are taken, and nothing answers",
    "plain": "the port does not speak TLS",
    "tls": "the port speaks TLS, and no plain LDAP",
    "name": "the certificate is of another name",
    "untrusted": "the certificate's signer is not trusted here",
    "expired": "the certificate is out of its time",
    "broken": "the connection was broken",
}
VERIFY = {62: "name", 64: "name", 9: "expired", 10: "expired"}  # OpenSSL's numbers of what is wrong with a certificate


def __virtual__():
    return __virtualname__


def port(host, number, transport="TCP", trust=None, timeout=3):
    """
    What a port answers.

    host, number
        The host and its port.
    transport
        ``LDAP``, ``LDAPS``, or ``STARTTLS`` (``TLS`` is the same). Default ``TCP``: only that something listens.
    trust
        Directory of signers' certificates in PEM, as a server has them beside its configuration. Default: what the
        system trusts.
    timeout
        Seconds. Default 3.

    Returns:
        ``kind`` (``ok``, ``unknown``, ``off``, ``silent``, ``plain``, ``tls``, ``name``, ``untrusted``, ``expired``
        or ``broken``) and ``evidence``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_probe.port ds1.dc 636 LDAPS

    .. versionadded:: 0.1.0
    """
    kind, said = _tried(host, number, transport, _trusting(trust), timeout)
    evidence = f"{host}:{number} ({transport}): {WORDS[kind]}"
    return {"kind": kind, "evidence": f"{evidence}: {said}" if said else evidence}


def ports(wanted, timeout=3):
    """
    What several ports answer, up to 32 asked at a time.

    wanted
        List of (host, number, transport, trust), see :py:func:`port`.
    timeout
        Seconds for each. Default 3.

    Returns:
        List of answers, in that order.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_probe.ports '[[ds1.dc, 389, LDAP, null], [ds1.dc, 636, LDAPS, null]]'

    .. versionadded:: 0.1.0
    """
    with ThreadPoolExecutor(max(1, min(32, len(wanted)))) as pool:
        asked = [pool.submit(contextvars.copy_context().run, port, *each, timeout) for each in wanted]
        return [each.result() for each in asked]


def certificate(host, number, timeout=3):
    """
    The certificate of a TLS port, whoever signed it.

    host, number
        The host and its port.
    timeout
        Seconds. Default 3.

    Returns:
        ``days`` until its end (negative: it is over) and ``subject``; ``None`` when there is none to be seen.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_probe.certificate ds1.dc 636

    .. versionadded:: 0.1.0
    """
    look = addresses(host, number, timeout)
    return None if look["fault"] else _certificate(look["found"], host, timeout)


def addresses(host, number, timeout=3):
    """
    Where a host's name leads, looked up once and within a time: the system's own look-up knows none.

    host, number
        The host and its port.
    timeout
        Seconds. Default 3.

    Returns:
        ``fault`` (``None``, or why there is no address) and ``found``, as ``socket.getaddrinfo`` answers it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_probe.addresses ds1.dc 636

    .. versionadded:: 0.1.0
    """
    answers = [{"fault": f"the name service does not answer in {timeout} s", "found": []}]
    look = threading.Thread(target=_look_up, args=[host, number, answers], daemon=True)
    look.start()
    look.join(timeout)
    return answers[-1]


def _look_up(host, number, answers):
    try:
        found = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as err:
        answers.append({"fault": getattr(err, "strerror", None) or str(err), "found": []})
    else:
        answers.append({"fault": None, "found": [(int(each[0]), int(each[1]), *each[2:]) for each in found]})


def _connected(found, timeout):
    """By the first address that takes a connection; all of them share the time."""
    fault = None
    for *_, place in found:
        try:
            plain = socket.create_connection(place[:2], timeout / len(found))
        except OSError as err:
            fault = err
        else:
            plain.settimeout(timeout)
            return plain
    raise fault


def _certificate(found, host, timeout):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        contextlib.suppress(OSError, ValueError),
        _connected(found, timeout) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        shown = x509.load_der_x509_certificate(wrapped.getpeercert(binary_form=True))
        return {"days": _days(shown), "subject": shown.subject.rfc4514_string()}
    return None


def _days(found):
    """cryptography before 42 has no time zone in it."""
    end = getattr(found, "not_valid_after_utc", None) or found.not_valid_after.replace(tzinfo=datetime.timezone.utc)
    return int((end.timestamp() - time.time()) // 86400)


def _trusting(directory):
    context = ssl.create_default_context()
    for file in sorted([*Path(directory).glob("*.pem"), *Path(directory).glob("*.crt")]) if directory else ():
        with contextlib.suppress(OSError, ssl.SSLError):
            context.load_verify_locations(cafile=str(file))
    return context


def _tried(host, number, transport, context, timeout):
    look = addresses(host, number, timeout)
    if look["fault"]:
        return "unknown", look["fault"]
    try:
        with _connected(look["found"], timeout) as plain:
            if transport == "TCP":
                return "ok", ""
            if transport == "LDAP":
                return _answered(plain, look["found"], host, timeout)
            if transport not in ("LDAPS", "SSL") and not _begun(plain):
                return "plain", "it refuses StartTLS"
            with context.wrap_socket(plain, server_hostname=host):
                return "ok", ""
    except ssl.SSLCertVerificationError as err:
        return VERIFY.get(err.verify_code, "untrusted"), err.verify_message
    except (TimeoutError, BlockingIOError):
        return "silent", f"{timeout} s"
    except ssl.SSLError as err:
        return ("plain" if "WRONG_VERSION" in str(err) or "EOF" in str(err) else "broken"), err.reason or ""
    except ConnectionResetError:
        return "plain" if transport == "LDAPS" else "broken", ""
    except OSError as err:
        return "off", err.strerror or str(err)


def _answered(plain, found, host, timeout):
    """A port of TLS ends such a talk without a word, or waits for more."""
    plain.sendall(SEARCH)
    try:
        said = plain.recv(1)
    except TimeoutError:
        said = None
    if said == SEARCH[:1]:
        return "ok", ""
    if _certificate(found, host, timeout):
        return "tls", ""
    return ("silent", f"{timeout} s") if said is None else ("broken", "")


def _begun(plain):
    """Whether StartTLS is granted: the result's code, an enumeration of one byte, is 0."""
    plain.sendall(STARTTLS)
    return b"\x0a\x01\x00" in plain.recv(4096)
