"""
What 389 Directory Server writes into its attributes: change numbers, update vectors, statuses, times. Pure.

.. versionadded:: 0.1.0

A change has a number (CSN) that holds its second and the id of the replica where it was made; a replica's update vector
(RUV) has the last such number of every replica. Whoever reads two vectors knows how far one is behind::

    salt-call --local -m . ds_values.csn 6b0c1115000400010000
"""

import contextlib
import datetime
import json
import re

__virtualname__ = "ds_values"

CSN = re.compile(r"([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})", re.IGNORECASE)
PARTS = ("time", "sequence", "replica", "sub")
GENERATION = re.compile(r"\{replicageneration\} ?(\S+)")
ELEMENT = re.compile(r"\{replica (\d+)(?: ([^}\s]*))?\}(?: (\S+) (\S+))?.*")
UNESCAPED = re.compile(r'(\{"state": .*?)"message": "(.*)"\}', re.DOTALL)
PAIR = re.compile(r'"(\w+)": "([^"]*)"')
MESSAGE = re.compile(r"Error \((-?\d+)\)")
# Generations and times that mean: never.
NEVER = ("19700101000000Z", "0", "")


def __virtual__():
    return __virtualname__


def csn(text):
    """
    A change number's parts.

    text
        Twenty hexadecimal digits.

    Returns:
        ``time`` (seconds since 1970), ``sequence``, ``replica`` and ``sub``; ``None`` for any other text.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_values.csn 6b0c1115000400010000

    .. versionadded:: 0.1.0
    """
    found = CSN.fullmatch(str(text or ""))
    return {name: int(part, 16) for name, part in zip(PARTS, found.groups(), strict=True)} if found else None


def ruv(values):
    """
    An update vector's parts. What has no known form is left out.

    values
        The values of ``nsds50ruv``.

    Returns:
        ``generation`` (``None``: there is none) and ``replicas``: id to ``url`` and ``max`` (its last change's number,
        ``None``: it made none).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_values.ruv "['{replicageneration} 6b0c1115000000010000']"

    .. versionadded:: 0.1.0
    """
    found = {"generation": None, "replicas": {}}
    for value in values:
        if generation := GENERATION.fullmatch(value):
            found["generation"] = generation[1]
        elif element := ELEMENT.fullmatch(value):
            last = element[4] if csn(element[4]) else None
            found["replicas"][int(element[1])] = {"url": element[2] or None, "max": last and last.lower()}
    return found


def lag(source, target):
    """
    How many seconds of one vector's changes the other lacks.

    source, target
        Vectors, see :py:func:`ruv`.

    Returns:
        0 when the target has all; else the seconds, at least 1, between the newest change that it lacks and the newest
        one that it has of that replica. ``None`` where that cannot be said: another generation, or a replica of which
        the target tells no change at all, as after an initialisation, which brings changes without telling so.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_values.lag '{generation: g, replicas: {}}' '{generation: g, replicas: {}}'

    .. versionadded:: 0.1.0
    """
    if not source["generation"] or source["generation"] != target["generation"]:
        return None
    found, unknown = [0], False
    for number, each in source["replicas"].items():
        here, there = each["max"], target["replicas"].get(number, {}).get("max")
        if here and not there:
            unknown = True
        elif here and here > there:
            found.append(max(1, csn(here)["time"] - csn(there)["time"]))
    return None if unknown and not max(found) else max(found)


def status(text):
    """
    An agreement's status, as its JSON or its plain sentence has it.

    text
        The value of ``nsds5replicaLastUpdateStatusJSON`` or its like, or the plain one, ``Error (0) ...``. Nothing:
        ``None``.

    Returns:
        ``ldap`` and ``replication`` (the codes; ``None``: not told), ``connection`` (the same) and ``message``;
        ``None`` for nothing. The number in the sentence is one of the two codes, and does not say which.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_values.status 'Error (0) Total update succeeded'

    .. versionadded:: 0.1.0
    """
    if not text:
        return None
    if found := _json(text):
        codes = {"ldap": "ldap_rc", "replication": "repl_rc", "connection": "conn_rc"}
        told = {name: number(found.get(key)) for name, key in codes.items()}
        return {**told, "message": str(found.get("message", ""))}
    begins = MESSAGE.match(text)
    zero = 0 if begins and begins[1] == "0" else None
    return {"ldap": zero, "replication": zero, "connection": None, "message": text}


def moment(text):
    """
    A time of LDAP's in seconds since 1970.

    text
        ``20261129114842Z``; fractions are left out.

    Returns:
        The seconds; ``None`` for what means never, and for any other text.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_values.moment 20261129114842Z

    .. versionadded:: 0.1.0
    """
    if not text or text in NEVER or not re.fullmatch(r"[0-9]{14}([.,][0-9]+)?Z", text):
        return None
    with contextlib.suppress(ValueError):
        found = datetime.datetime.strptime(text[:14], "%Y%m%d%H%M%S")
        return int(found.replace(tzinfo=datetime.timezone.utc).timestamp())
    return None


def version(text):
    """
    A server's version as numbers that can be compared.

    text
        ``389-Directory/2.3.1 B2025.016.1616``.

    Returns:
        List of numbers, empty for any other server.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_values.version '389-Directory/2.3.1 B2025.016.1616'

    .. versionadded:: 0.1.0
    """
    found = re.match(r"389-Directory/([0-9]+(?:\.[0-9]+)*)", text or "")
    return [int(part) for part in found[1].split(".")] if found else []


def number(text):
    """
    A whole number.

    text
        Digits, with or without a sign.

    Returns:
        The number; ``None`` for anything else.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_values.number 389

    .. versionadded:: 0.1.0
    """
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", str(text)) else None


def dn(text):
    """
    A name in the form in which it is compared: small letters, no spaces around its parts, no quotes or escapes of
    commas.

    text
        A distinguished name as a configuration has it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_values.dn text='dc=Bank, dc=example'

    .. versionadded:: 0.1.0
    """
    return re.sub(r"\s*([,=+])\s*", r"\1", (text or "").strip().lower())


def _json(text):
    """A message is the last of its values, and may have quotes and line ends in it that the server does not escape."""
    with contextlib.suppress(ValueError):
        found = json.loads(text)
        return found if isinstance(found, dict) else None
    broken = UNESCAPED.fullmatch(text)
    return broken and {**dict(PAIR.findall(broken[1])), "message": " ".join(broken[2].split())}
