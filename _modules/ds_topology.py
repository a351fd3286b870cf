"""
Where a replicated directory differs from what the pillar says that it should be. Pure.

.. versionadded:: 0.1.0

``seen`` is what :py:func:`ds_read.all_of` answered, ``wanted`` what :py:func:`ds_pillar.wanted` made of the pillar.
Only servers that were read are judged::

    salt-call --local -m . ds_topology.differences '[]' '{suffix: "dc=bank", replicas: {}, edges: []}'
"""

__virtualname__ = "ds_topology"

MOST_SUPPLIERS = 20
TRANSPORTS = {"SSL": "LDAPS", "TLS": "STARTTLS"}


def __virtual__():
    return __virtualname__


def differences(seen, wanted):
    """
    What is not as the pillar has it, and is broken by that; and what only differs, which is marked as ``soon``.

    seen
        List of observations, see :py:func:`ds_read.observe`.
    wanted
        See :py:func:`ds_pillar.wanted`.

    Returns:
        As :py:func:`ds_rules.conditions`; what is as wanted is not told, but for one line of each server.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_topology.differences '[]' '{suffix: "dc=bank", replicas: {}, edges: []}'

    .. versionadded:: 0.1.0
    """
    known, found = placed(seen, wanted), []
    for server, one in known.items():
        place = {"server": __salt__["ds_rules.named"](one), "suffix": wanted["suffix"]}
        mine = [*_replica(server, one, wanted), *_fed(server, known, wanted), *_agreements(server, one, known, wanted)]
        found += [{**place, **each} for each in mine or [_as_wanted(wanted["replicas"][server])]]
    return [*found, *_strangers(seen, known, wanted)]


def placed(seen, wanted):
    """
    The servers of the pillar that were read.

    seen, wanted
        As for :py:func:`differences`.

    Returns:
        Server, ``host:port`` as the pillar has it, to its observation.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_topology.placed '[]' '{replicas: {}}'

    .. versionadded:: 0.1.0
    """
    found = {}
    for server, replica in wanted["replicas"].items():
        one = __salt__["ds_rules.target_of"](replica, seen)
        if one:
            found[server] = one
    return found


def agreements(one, server, known, wanted):
    """
    The agreements by which an observed server feeds another one of the pillar.

    one
        The feeding server's observation.
    server
        The server that is fed, as the pillar names it.
    known
        What :py:func:`placed` answered.
    wanted
        As for :py:func:`differences`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_topology.agreements '{suffixes: {}}' ds2.dc:636 '{}' '{suffix: "dc=bank"}'

    .. versionadded:: 0.1.0
    """
    held, target = one["suffixes"].get(wanted["suffix"]), known.get(server)
    host, _, port = server.rpartition(":")
    return [
        each
        for each in (held["agreements"] if held else ())
        if (each["host"], str(each["port"])) == (host, port)
        or target
        and __salt__["ds_rules.target_of"](each, [target])
    ]


def _as_wanted(replica):
    role = f"{replica['role']}, id {replica['id']}" if replica["id"] else replica["role"]
    return {"what": "pillar", "state": "ok", "evidence": f"as the pillar has it: {role}"}


def _broken(what, evidence, remedy):
    return {"what": f"pillar: {what}", "state": "broken", "evidence": evidence, "remedy": remedy}


def _differs(what, evidence, remedy="ds_replica.plan tells how"):
    return {**_broken(what, evidence, remedy), "soon": True}


def _replica(server, one, wanted):
    held, replica = one["suffixes"].get(wanted["suffix"]), wanted["replicas"][server]
    if held is None and one["settings"] is not None:
        yield _broken("suffix", "it does not have it", "ds_replica.plan tells how")
    elif held is not None and held["replica"] is None:
        yield _broken(
            "replica", f"it is not replicated; the pillar has a {replica['role']}", "ds_replica.plan tells how"
        )
    elif held is not None:
        yield from _settings(held["replica"], replica, wanted)


def _settings(there, replica, wanted):
    if there["role"] != replica["role"]:
        evidence = f"it is a {there['role']}; the pillar has a {replica['role']}"
        yield _differs("role", evidence, "dsconf INSTANCE replication promote or demote, or correct the pillar")
    elif replica["id"] and there["id"] != replica["id"]:
        evidence = f"it has {there['id']}; the pillar has {replica['id']}"
        remedy = "correct the pillar: an id that is changed in place leaves a ghost in every vector"
        yield _broken("replica id", evidence, remedy)
    plain = __salt__["ds_values.dn"]
    if plain(wanted["bind_dn"]) not in map(plain, there["managers"]) and _is_target(replica, wanted):
        yield _differs("manager", f"{wanted['bind_dn']} may not replicate to it")
    if wanted["purge_delay"] and (there.get("purge_delay") or 604800) != wanted["purge_delay"]:
        evidence = f"changes are kept {there.get('purge_delay') or 604800} s; the pillar has {wanted['purge_delay']} s"
        yield _differs("purge delay", evidence)


def _is_target(replica, wanted):
    return any(target == f"{replica['host']}:{replica['port']}" for _, target in wanted["edges"])


def _fed(server, known, wanted):
    """Whether anybody feeds it; said when all that should were read."""
    feeders = [source for source, target in wanted["edges"] if target == server]
    if not feeders or not all(each in known for each in feeders):
        return
    there = [each for one in known.values() for each in agreements(one, server, known, wanted)]
    if not any(each["enabled"] for each in there):
        shown = f", of {', '.join(feeders[:3])}" + (", ..." if len(feeders) > 3 else "")
        evidence = f"nobody feeds it: there is no agreement that is switched on{shown}"
        yield _broken("fed", evidence, "ds_replica.plan tells how")


def _agreements(server, one, known, wanted):
    held = one["suffixes"].get(wanted["suffix"])
    if not held or not held["replica"]:
        return
    targets = [target for source, target in wanted["edges"] if source == server]
    mine = {target: agreements(one, target, known, wanted) for target in targets}
    for target, there in mine.items():
        if not there:
            yield _differs("agreement", f"it has none with {target}")
        for each in there:
            yield from _agreement(each, wanted)
        if len(there) > 1:
            names = ", ".join(sorted(each["name"] for each in there))
            yield _differs("agreement", f"it has {len(there)} with {target}: {names}", "delete all but one of them")
    named = [each["name"] for there in mine.values() for each in there]
    for each in held["agreements"]:
        if each["name"] not in named:
            evidence = f"the pillar has none of it with {each['host']}:{each['port']}"
            remedy = "add it to the pillar, or dsconf INSTANCE repl-agmt delete"
            yield {"agreement": each["name"], **_differs("agreement", evidence, remedy)}


def _agreement(each, wanted):
    transport = TRANSPORTS.get(each["transport"], each["transport"])
    if transport != wanted["transport"]:
        evidence = f"it speaks {transport}; the pillar has {wanted['transport']}"
        yield {"agreement": each["name"], **_differs("transport", evidence)}


def _strangers(seen, known, wanted):
    """Replicas that the pillar does not have, and more of them than are sane."""
    suffix, suppliers = wanted["suffix"], []
    for one in seen:
        held = one["suffixes"].get(suffix)
        place = {"server": __salt__["ds_rules.named"](one), "suffix": suffix}
        if held and held["replica"] and held["replica"]["role"] == "supplier":
            suppliers.append(place["server"])
        if held and held["replica"] and one not in known.values():
            evidence = f"it replicates the suffix as a {held['replica']['role']}, and the pillar does not have it"
            yield {**place, **_differs("server", evidence, "add it to the pillar, or take it out of the replication")}
    ids = {each["id"] for each in wanted["replicas"].values()} - {None}
    yield from _unknown_ids(known, suffix, ids)
    if len(suppliers) > MOST_SUPPLIERS:
        evidence = f"there are {len(suppliers)}; the vendor supports {MOST_SUPPLIERS}"
        remedy = "make the others hubs and readers: dsconf INSTANCE replication demote"
        yield {"server": suppliers[0], "suffix": suffix, **_differs("suppliers", evidence, remedy)}


def _unknown_ids(known, suffix, ids):
    """Ids in a vector that the pillar has not: of replicas that are gone, or that nobody told of; each told once."""
    found = {}
    for one in known.values():
        held = one["suffixes"].get(suffix)
        for number, each in (held["ruv"]["replicas"] if held and held["ruv"] else {}).items():
            if number not in ids and each["max"] and number != 65535:
                found.setdefault(number, (__salt__["ds_rules.named"](one), each["url"]))
    for number, (server, url) in sorted(found.items()):
        remedy = "add that supplier to the pillar; if it is gone for ever: dsconf INSTANCE repl-tasks cleanallruv"
        evidence = f"id {number} ({url or 'no address'}) is in the vector, and the pillar does not have it"
        yield {"server": server, "suffix": suffix, **_differs(f"id {number}", evidence, remedy)}
