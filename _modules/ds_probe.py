"""
What a directory server's port answers, and with which certificate: a probe that logs in nowhere.

.. versionadded:: 0.1.0

An agreement says "Can't contact LDAP server" of a server that is off, of one with another name in its certificate, of
one whose signer is not trusted, and of TLS that is spoken to a plain port. Here they are told apart::

    salt-call --local -m . ds_probe.port ds1.dc 636 LDAPS
"""

import contextlib
import datetime
import socket
import ssl
import time
from pathlib import Path

from cryptography import x509

__virtualname__ = "ds_probe"

# The request for StartTLS, whole: message 1, an extended request of that name.
STARTTLS = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
WORDS = {
    "ok": "answers",
    "unknown": "the name of that host is not known here",
    "off": "nothing listens at that port, or a firewall refuses it",
    "silent": "connections or packets are taken, and nothing answers",
    "plain": "the port does not speak TLS",
    "name": "the certificate is of another name",
    "untrusted": "the certificate's signer is not trusted here",
    "expired": "the certificate is out of its time",
    "broken": "the connection was broken",
}
VERIFY = {62: "name", 64: "name", 9: "expired", 10: "expired"}  # OpenSSL's numbers of what is wrong with a certificate


def __virtual__():
    return __virtualname__


def port(host, number, transport="LDAP", trust=None, timeout=3):
    """
    What a port answers.

    host, number
        The host and its port.
    transport
        ``LDAP``, ``LDAPS``, or ``STARTTLS`` (``TLS`` is the same). Default ``LDAP``: only that something listens.
    trust
        Directory of signers' certificates in PEM, as a server has them beside its configuration. Default: what the
        system trusts.
    timeout
        Seconds. Default 3.

    Returns:
        ``kind`` (``ok``, ``unknown``, ``off``, ``silent``, ``plain``, ``name``, ``untrusted``, ``expired`` or
        ``broken``) and ``evidence``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_probe.port ds1.dc 636 LDAPS

    .. versionadded:: 0.1.0
    """
    kind, said = _tried(host, number, transport, _trusting(trust), timeout)
    evidence = f"{host}:{number} ({transport}): {WORDS[kind]}"
    return {"kind": kind, "evidence": f"{evidence}: {said}" if said else evidence}


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
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        contextlib.suppress(OSError, ValueError),
        socket.create_connection((host, number), timeout) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        found = x509.load_der_x509_certificate(wrapped.getpeercert(binary_form=True))
        return {"days": _days(found), "subject": found.subject.rfc4514_string()}
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
    try:
        with socket.create_connection((host, number), timeout) as plain:
            if transport == "LDAP":
                return "ok", ""
            if transport not in ("LDAPS", "SSL") and not _begun(plain):
                return "plain", "it refuses StartTLS"
            with context.wrap_socket(plain, server_hostname=host):
                return "ok", ""
    except socket.gaierror as err:
        return "unknown", err.strerror
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


def _begun(plain):
    """Whether StartTLS is granted: the result's code, an enumeration of one byte, is 0."""
    plain.sendall(STARTTLS)
    return b"\x0a\x01\x00" in plain.recv(4096)
