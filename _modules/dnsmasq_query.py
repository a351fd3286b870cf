"""
What nameservers really answer: every claim of :py:mod:`dnsmasq_fwd` is proven by one of these queries.

.. versionadded:: 0.1.0

Requires ``dnspython`` in Salt's Python::

    salt-call --local -m . dnsmasq_query.ask web.lab.example 192.168.150.1
"""

import time

try:
    import dns.exception
    import dns.flags
    import dns.message
    import dns.query
    import dns.rcode
    import dns.reversename

    HAS_DNS = True
except ImportError:
    HAS_DNS = False

MARK = "onepass.test"


def __virtual__():
    if not HAS_DNS:
        return False, "dnsmasq_query needs dnspython in Salt's Python: salt-pip install dnspython"
    return "dnsmasq_query"


def ask(name, server, kind="A", port=53, timeout=2.0, class_="IN"):
    """
    One question to one nameserver, over UDP, and over TCP where the answer does not fit.

    name
        What is asked for. An address becomes its reverse name if ``kind`` is ``PTR``.
    server
        The nameserver's address.
    kind
        The record type. Default ``A``.
    port
        Default 53.
    timeout
        Seconds. Default 2.
    class_
        ``IN`` (default) or ``CH``.

    Returns:
        ``code`` (``NOERROR``, ``NXDOMAIN``, ``REFUSED``..., or ``None`` when nothing came), ``answers`` (sorted texts),
        ``seconds``, ``error``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_query.ask web.lab.example 127.0.0.1 timeout=0.5

    .. versionadded:: 0.1.0
    """
    qname = dns.reversename.from_address(name) if kind == "PTR" and name[-1:].isdigit() else name
    query = dns.message.make_query(qname, kind, class_, use_edns=0)
    started = time.monotonic()
    try:
        said, _ = dns.query.udp_with_fallback(query, server, timeout=timeout, port=port)
    except (dns.exception.DNSException, OSError) as err:
        error = "no answer" if isinstance(err, dns.exception.Timeout) else str(err)
        return {"code": None, "answers": [], "seconds": _since(started), "error": error}
    answers = sorted(item.to_text().strip('"') for rrset in said.answer for item in rrset)
    return {"code": dns.rcode.to_text(said.rcode()), "answers": answers, "seconds": _since(started), "error": None}


def upstreams(server, timeout=1.0):
    """
    The forwarders that a running dnsmasq really has, by its own answer, with what it counted.

    server
        The address that dnsmasq listens on.
    timeout
        Seconds. Default 1.

    Returns:
        ``None`` when nothing answers, else a mapping of ``address#port`` to ``queries`` and ``failed``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_query.upstreams 127.0.0.1 timeout=0.5

    .. versionadded:: 0.1.0
    """
    said = ask("servers.bind", server, "TXT", timeout=timeout, class_="CH")
    if said["code"] != "NOERROR":
        return None
    found = {}
    for line in said["answers"]:
        for text in line.split('" "'):
            address, *counted = text.split()
            found[address] = dict(zip(("queries", "failed"), map(int, counted), strict=False))
    return found


def config(server, timeout=1.0):
    """
    The mark of the configuration that a stand-alone dnsmasq of ours was started with; ``None`` from any other.

    server
        The address that dnsmasq listens on.
    timeout
        Seconds. Default 1.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_query.config 127.0.0.1 timeout=0.5

    .. versionadded:: 0.1.0
    """
    answers = ask(MARK, server, "TXT", timeout=timeout)["answers"]
    return answers[0] if len(answers) == 1 else None


def health(address, port=53, name=".", timeout=2.0):
    """
    Whether a forwarder lives, by a question that every nameserver can answer.

    address, port
        The nameserver.
    name
        A name that it is there for; asked for is its address, which need not exist. Default: the root.
    timeout
        Seconds. Default 2.

    Returns:
        ``alive`` (it answered anything but a failure), ``evidence`` (a text) and ``seconds``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_query.health 127.0.0.1 timeout=0.5

    .. versionadded:: 0.1.0
    """
    said = ask(name, address, port=port, timeout=timeout)
    evidence = said["code"] or said["error"]
    return {"alive": said["code"] in ("NOERROR", "NXDOMAIN"), "evidence": evidence, "seconds": said["seconds"]}


def _since(started):
    return round(time.monotonic() - started, 3)
