"""
What there is to say of a replicated directory: servers, replicas and agreements in few words. Pure.

.. versionadded:: 0.1.0

Used by :py:mod:`ds_replica`. ``seen`` is what :py:func:`ds_read.all_of` answered::

    salt-call --local -m . ds_report.servers '[]'
"""

__virtualname__ = "ds_report"


def __virtual__():
    return __virtualname__


def servers(seen):
    """
    Each server with its suffixes and agreements.

    seen
        List of observations, see :py:func:`ds_read.observe`.

    Returns:
        See :py:func:`ds_replica.status`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_report.servers '[]'

    .. versionadded:: 0.1.0
    """
    return {name: _server(one, seen) for name, one in zip(__salt__["ds_rules.names"](seen), seen, strict=True)}


def packed(one, now):
    """
    An observation as it goes from minion to master: what has numbers for names is a list.

    one
        An observation.
    now
        Seconds since 1970, by the clock of the host that observed.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_report.packed '{ports: {}, suffixes: {}}' 0

    .. versionadded:: 0.1.0
    """
    suffixes = {name: {**held, "ruv": _listed(held["ruv"])} for name, held in one["suffixes"].items()}
    ports = [{"number": number, **each} for number, each in one["ports"].items()]
    return {**one, "now": now, "ports": ports, "suffixes": suffixes}


def unpacked(told):
    """
    What :py:func:`packed` was given, and ``now``.

    told
        Its answer.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_report.unpacked '{ports: [], suffixes: {}, now: 0}'

    .. versionadded:: 0.1.0
    """
    suffixes = {name: {**held, "ruv": _mapped(held["ruv"])} for name, held in told["suffixes"].items()}
    return {**told, "ports": {each["number"]: each for each in told["ports"]}, "suffixes": suffixes}


def _listed(ruv):
    return ruv and {**ruv, "replicas": [{"id": number, **each} for number, each in ruv["replicas"].items()]}


def _mapped(ruv):
    return ruv and {**ruv, "replicas": {each["id"]: each for each in ruv["replicas"]}}


def _server(one, seen):
    suffixes = {
        suffix: _suffix(suffix, held, seen) for suffix, held in sorted(one["suffixes"].items()) if held["replica"]
    }
    return {
        "address": one["server"],
        "version": one["version"],
        "clock": one["clock"],
        "certificate": one["certificate"] and one["certificate"]["days"],
        "suffixes": suffixes,
    }


def _suffix(suffix, held, seen):
    return {
        "role": held["replica"]["role"],
        "id": held["replica"]["id"],
        "generation": held["ruv"] and held["ruv"]["generation"],
        "entries": held["entries"],
        "conflicts": len(held["conflicts"]),
        "agreements": {each["name"]: _agreement(each, suffix, held, seen) for each in held["agreements"]},
    }


def _agreement(each, suffix, held, seen):
    return {
        "to": f"{each['host']}:{each['port']}",
        "enabled": each["enabled"],
        "lag": __salt__["ds_rules.lag"](each, suffix, held, seen),
        "initialisation": __salt__["ds_rules.initialisation"](each),
        "says": each["update"] and each["update"]["message"],
    }
