"""
What an administrator would type so that a replicated directory becomes what the pillar says, in an order in which
nobody's data are lost; or why not. Pure, and nothing of it is ever run by Onepass.

.. versionadded:: 0.1.0

Who has the data is told by generations, the origin of a server's data: servers of one generation are joined. The others
are initialised from there, which replaces all that they have, so a server that has entries of its own is refused unless
``discard`` of the pillar names it. ``seen`` is what :py:func:`ds_read.all_of` answered, ``wanted`` what
:py:func:`ds_pillar.wanted` made of the pillar::

    salt-call --local -m . ds_plan.steps '[]' '{suffix: "dc=bank", replicas: {}, edges: [], discard: []}'
"""

import re
import shlex

__virtualname__ = "ds_plan"

SKEW = 60
ROLES = ("supplier", "hub", "consumer")
DONE = "successfully initialized"
PROTOCOLS = {"STARTTLS": "StartTLS"}  # as dsconf has them


def __virtual__():
    return __virtualname__


def steps(seen, wanted):
    """
    The commands, or the reasons why there are none; where there is one reason, there is no command at all.

    seen
        List of observations, see :py:func:`ds_read.observe`.
    wanted
        See :py:func:`ds_pillar.wanted`.

    Returns:
        ``refused`` (list of sentences) and ``steps``: list of mappings with ``host``, ``command``, ``why`` and, where a
        command is to be repeated before the next, ``until``: the words that it says at last.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_plan.steps '[]' '{suffix: "dc=bank", replicas: {}, edges: [], discard: []}'

    .. versionadded:: 0.1.0
    """
    known = __salt__["ds_topology.placed"](seen, wanted)
    refused = [*_unready(seen, known, wanted)]
    joined, foreign = ([], []) if refused else origin(known, wanted)
    refused += foreign
    ways, lost = ([], []) if refused else _ways(joined, known, wanted)
    refused += lost
    if refused:
        return {"refused": refused, "steps": []}
    world = {"known": known, "wanted": wanted}
    first = [*joined, *(each for each in known if each not in joined)]
    done = [step for server in first for step in _replica(server, world)]
    done += [step for way in ways for step in _initialised(*way, world)]
    done += [step for edge in wanted["edges"] if edge not in ways for step in _agreement(*edge, world)]
    return {"refused": [], "steps": done}


def lines(found):
    """
    Commands to copy, each with its host and its reason behind it.

    found
        What :py:func:`steps` answered.

    Returns:
        ``refused`` and ``commands``, both lists of texts.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_plan.lines '{refused: [], steps: []}'

    .. versionadded:: 0.1.0
    """
    return {"refused": found["refused"], "commands": [_line(each) for each in found["steps"]]}


def _line(step):
    again = f"; again until it says {step['until']!r}" if step.get("until") else ""
    return f"{step['command']}  # on {step['host']}: {step['why']}{again}"


# Why not


def _unready(seen, known, wanted):
    """What has to be so before anything is written."""
    for server in wanted["replicas"]:
        if server not in known:
            yield f"{server} was not read: no server that answers has that name and port in its settings"
    for one in seen:
        for agreement in _all_agreements(one, wanted):
            state = __salt__["ds_rules.initialisation"](agreement)
            if state in ("armed", "running"):
                to = f"{agreement['host']}:{agreement['port']}"
                yield f"{_name(one)}: an initialisation of {to} is {state}; wait for it, or stop it, and plan again"
    for server, one in known.items():
        yield from (f"{server}: {why}" for why in _unfit(server, one, seen, wanted))


def _unfit(server, one, seen, wanted):
    held, replica = one["suffixes"].get(wanted["suffix"]), wanted["replicas"][server]
    if one["fault"] or one["settings"] is None:
        yield one["fault"] or "its settings cannot be read by that login"
    elif not _instance(one):
        yield f"its instance is not known by its nsslapd-certdir, {one['settings']['certificates']}"
    if abs(one["clock"] or 0) > SKEW:
        yield f"its clock is {one['clock']} s off; correct it first, or its changes will keep it apart"
    if held and (held["fault"] or held["state"] in ("referral", "disabled") or held["replica"] and not held["ruv"]):
        yield f"its suffix is not served or cannot be read: {held['fault'] or held['state']}"
    if held and held["replica"]:
        yield from _other(held["replica"], replica)
    elif replica["id"]:
        yield from _taken(server, replica["id"], seen, wanted)


def _other(there, replica):
    """What is not changed in place."""
    if there["role"] != replica["role"]:
        yield (
            f"it is a {there['role']}, the pillar has a {replica['role']}: dsconf INSTANCE replication promote or "
            "demote first, or correct the pillar"
        )
    elif replica["id"] and there["id"] != replica["id"]:
        yield f"its id is {there['id']}, the pillar has {replica['id']}: correct the pillar; it is not changed in place"


def _taken(server, number, seen, wanted):
    """A new supplier's id that a vector has already, of another address than its own."""
    own = __salt__["ds_rules.target_of"](wanted["replicas"][server], seen)["settings"]
    for one in seen:
        held = one["suffixes"].get(wanted["suffix"])
        there = held["ruv"]["replicas"].get(number) if held and held["ruv"] else None
        if there and (there["url"] or "").lower() != f"ldap://{own['host']}:{own['port']}".lower():
            known = f"is in the vector of {_name(one)} already ({there['url']})"
            yield f"its id {number} {known}: another one in the pillar"
            return


def origin(known, wanted):
    """
    Whose data count.

    known
        What :py:func:`ds_topology.placed` answered.
    wanted
        As for :py:func:`steps`.

    Returns:
        The servers that have these data already, and a list of reasons why that cannot be said.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_plan.origin '{}' '{suffix: "dc=bank", replicas: {}, discard: []}'

    .. versionadded:: 0.1.0
    """
    held = {server: one["suffixes"].get(wanted["suffix"]) for server, one in known.items()}
    alike = {}
    for server, each in held.items():
        if each and each["replica"]:
            alike.setdefault(each["ruv"]["generation"], []).append(server)
    shared = [servers for generation, servers in alike.items() if generation and len(servers) > 1]
    full = {server: each["entries"] for server, each in held.items() if each and has_data(each)}
    if len(shared) > 1:
        halves = "; ".join(_counted(servers, held) for servers in shared)
        return [], [f"the servers are split, each part has data of its own: {halves}; decide, and take one part out"]
    joined = shared[0] if shared else _seed(full, held, wanted)
    if not joined:
        remedy = "seed: one of them, and discard: the others, says whose data count"
        return [], [f"{len(full)} servers have entries, and no two the same: {_counted(full, held)}; {remedy}"]
    if not any(wanted["replicas"][server]["role"] == "supplier" for server in joined):
        return [], [f"no supplier has the data, only {_counted(joined, held)}: they cannot give them to anybody"]
    own = [server for server in full if server not in joined and server not in wanted["discard"]]
    remedy = "discard: names it, if they may be replaced"
    return joined, [f"{server} has entries of its own ({_counted([server], held)}); {remedy}" for server in own]


def has_data(held):
    """
    Whether there is anything below a suffix that an initialisation would replace. What cannot be counted counts.

    held
        What a server holds of a suffix.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_plan.has_data '{entries: 1}'

    .. versionadded:: 0.1.0
    """
    return held["entries"] is None or held["entries"] > 1


def _seed(full, held, wanted):
    """The one that counts, where no two are joined: who alone has data, else the pillar's seed, else the first one."""
    suppliers = [server for server, each in wanted["replicas"].items() if each["role"] == "supplier"]
    if len(full) == 1:
        return [*full]
    if full:
        others = set(full) - {wanted["seed"]}
        return [wanted["seed"]] if wanted["seed"] in full and others <= set(wanted["discard"]) else []
    return [wanted["seed"] or suppliers[0]]


def _counted(servers, held):
    return ", ".join(f"{each} {_entries(held[each])}" for each in servers)


def _entries(held):
    return "entries unknown" if not held or held["entries"] is None else f"{held['entries']} entries"


def _ways(joined, known, wanted):
    """Who initialises whom, one each, in an order in which the first has the data; and whom nobody can."""
    have, ways = [*joined], []
    left = [each for role in ROLES for each in known if wanted["replicas"][each]["role"] == role and each not in joined]
    while left:
        fed = ((target, _first(have, target, wanted)) for target in left)
        target, source = next((way for way in fed if way[1]), (None, None))
        if not target:
            return [], [f"{each} is reached by no agreement of the pillar from {', '.join(joined)}" for each in left]
        ways.append((source, target))
        have.append(target)
        left.remove(target)
    return ways, []


def _first(have, target, wanted):
    """Of those that feed a server, the one that has had the data for longest."""
    return next((each for each in have if (each, target) in wanted["edges"]), None)


# Commands


def _replica(server, world):
    """The suffix, the replica and who may replicate to it."""
    one, wanted = world["known"][server], world["wanted"]
    held, replica = one["suffixes"].get(wanted["suffix"]), wanted["replicas"][server]
    there = held["replica"] if held else None
    if held is None:
        name = re.sub("[^a-z0-9]", "", wanted["suffix"].partition(",")[0].partition("=")[2]) or "data"
        words = ["backend", "create", "--suffix", wanted["suffix"], "--be-name", name, "--create-suffix"]
        yield _step(server, world, "it does not have the suffix", *words)
    if there is None:
        number = ["--replica-id", replica["id"]] if replica["id"] else []
        words = ["replication", "enable", *_suffix(wanted), "--role", replica["role"], *number]
        why = f"it becomes a {replica['role']}"
        yield _step(server, world, why, *words, *_login(wanted))
    elif __salt__["ds_values.dn"](wanted["bind_dn"]) not in map(__salt__["ds_values.dn"], there["managers"]):
        yield from _manager(server, world)
    if wanted["purge_delay"] and ((there or {}).get("purge_delay") or 604800) != wanted["purge_delay"]:
        words = ["replication", "set", *_suffix(wanted), "--repl-purge-delay", wanted["purge_delay"]]
        yield _step(server, world, "how long it keeps changes", *words)


def _manager(server, world):
    wanted = world["wanted"]
    if not any(target == server for _, target in wanted["edges"]):
        return
    name = re.fullmatch(r"cn=([^,]+),cn=config", __salt__["ds_values.dn"](wanted["bind_dn"]))
    if name:
        words = ["replication", "create-manager", "--name", name[1], *_suffix(wanted)]
        yield _step(server, world, "who may replicate to it", *words, "--passwd", _password(wanted))
    else:
        words = ["replication", "set", *_suffix(wanted), "--repl-add-bind-dn", wanted["bind_dn"]]
        yield _step(server, world, "who may replicate to it; the entry has to be there", *words)


def _initialised(source, target, world):
    """An agreement, the initialisation, and the wait for its end: never two to one server, never in a chain."""
    yield from _agreement(source, target, world)
    name, wanted = _named(source, target, world), world["wanted"]
    why = f"{target} gets the data, and loses its own"
    yield _step(source, world, why, "repl-agmt", "init", *_suffix(wanted), name)
    words = ["repl-agmt", "init-status", *_suffix(wanted), name]
    yield {**_step(source, world, f"whether {target} has them", *words), "until": DONE}


def _agreement(source, target, world):
    """The agreement, on, and of the right transport."""
    wanted, there = world["wanted"], _there(source, target, world)
    replica = wanted["replicas"][target]
    port = ["--port", replica["port"], "--conn-protocol", PROTOCOLS.get(wanted["transport"], wanted["transport"])]
    if there is None:
        words = ["repl-agmt", "create", *_suffix(wanted), "--host", replica["host"], *port, "--bind-method", "SIMPLE"]
        yield _step(source, world, f"it feeds {target}", *words, *_login(wanted), _named(source, target, world))
        return
    name, kind = there["name"], {"SSL": "LDAPS", "TLS": "STARTTLS"}.get(there["transport"], there["transport"])
    if kind != wanted["transport"]:
        yield _step(source, world, f"it speaks {kind}", "repl-agmt", "set", *_suffix(wanted), *port, name)
    stopped = __salt__["ds_rules.initialisation"](there) == "stopped"
    if stopped and there["enabled"]:
        why = "a stopped initialisation has stopped it"
        yield _step(source, world, why, "repl-agmt", "disable", *_suffix(wanted), name)
    if stopped or not there["enabled"]:
        yield _step(source, world, f"it feeds {target} again", "repl-agmt", "enable", *_suffix(wanted), name)


def _there(source, target, world):
    """The agreement that is there, one that is switched on rather than another."""
    known = world["known"]
    found = __salt__["ds_topology.agreements"](known[source], target, known, world["wanted"])
    return min(found, key=lambda each: (not each["enabled"], each["name"]), default=None)


def _named(source, target, world):
    there = _there(source, target, world)
    return there["name"] if there else f"to {target}"


def _step(server, world, why, *words):
    text = " ".join(word if str(word).startswith('"$(') else shlex.quote(str(word)) for word in words)
    host = world["wanted"]["replicas"][server]["host"]
    return {"host": host, "command": f"dsconf {_instance(world['known'][server])} {text}", "why": why}


def _suffix(wanted):
    return ["--suffix", wanted["suffix"]]


def _login(wanted):
    return ["--bind-dn", wanted["bind_dn"], "--bind-passwd", _password(wanted)]


def _password(wanted):
    """Read where the command is typed: the plan has none in it."""
    return f'"$(cat {shlex.quote(wanted["password_file"])})"'


def _instance(one):
    found = re.search(r"/slapd-([A-Za-z0-9_@:%#-]+)/*$", one["settings"]["certificates"] or "")
    return found and found[1]


def _name(one):
    return __salt__["ds_rules.named"](one)


def _all_agreements(one, wanted):
    held = one["suffixes"].get(wanted["suffix"])
    return held["agreements"] if held else []
