"""
The 389 Directory Servers of the estate as they are: what to ask of whom, what the answers mean, and how they are drawn.

.. versionadded:: 0.1.0

The three functions that every area has, see :py:mod:`mongo_estate`, and ``again``: what is asked once more. Nothing
here asks::

    salt-call --local -m . ds_estate.drawn '{suffix: "dc=bank", suppliers: {ds1.dc: 1}, readers: {ds2.dc: [ds1.dc]}}'
"""

import itertools
import statistics
import time

__virtualname__ = "ds_estate"

FUNCTION = "ds_replica.observed"
ROLES = {"supplier": "suppliers", "hub": "hubs", "consumer": "readers"}
WORST = ("broken", "silent", "changed", "ok")
# More replicas than these have no line each, but those that need somebody.
MANY = 20


def __virtual__():
    return __virtualname__


def questions(pillar=None):
    """
    What the master has to ask in order to know how the directory is: each host of its own servers.

    pillar
        The value of the pillar's key ``ds389``. Default: this minion's.

    Returns:
        As for :py:func:`mongo_estate.questions`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_estate.questions '{suffix: "dc=bank", suppliers: {ds1.dc: 1}}'

    .. versionadded:: 0.1.0
    """
    minions = sorted(__salt__["ds_pillar.places"](pillar))
    return [{"minions": minions, "function": FUNCTION, "arg": []}] if minions else []


def again(answers, pillar=None):
    """
    What has to be asked once more: where a target lacks something that may be on its way.

    answers
        Minion to answer, for each question.
    pillar
        The value of the pillar's key ``ds389``. Default: this minion's.

    Returns:
        As for :py:func:`questions`; none where nobody lacks anything.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_estate.again '[{}]' '{suffix: "dc=bank", suppliers: {ds1.dc: 1}}'

    .. versionadded:: 0.1.0
    """
    told = _told(answers[:1])
    minions = sorted(minion for minion, each in told.items() if isinstance(each, list))
    asked = [{"minions": minions, "function": FUNCTION, "arg": []}]
    return asked if __salt__["ds_rules.behind"](_observations(told)) else []


def seen(answers, pillar=None):
    """
    What the answers mean: each replica in a line, and what needs somebody.

    answers
        Minion to answer, for each question.
    pillar
        The value of the pillar's key ``ds389``. Default: this minion's.

    Returns:
        As for :py:func:`mongo_estate.seen`. ``data`` has ``suffix``, ``servers`` (see :py:func:`ds_replica.status`) and
        ``counts`` (how many suppliers, hubs and readers there are).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_estate.seen '[{}]' '{suffix: "dc=bank", suppliers: {ds1.dc: 1}}'

    .. versionadded:: 0.1.0
    """
    wanted = __salt__["ds_pillar.topology"](pillar)
    found = {
        "lines": {},
        "states": {},
        "silent": [],
        "fault": None,
        "broken": [],
        "behind": [],
        "named": [],
        "data": {},
    }
    if not wanted or not wanted["replicas"]:
        return {**found, "fault": "the pillar names no replica: salt-run onepass.check ds389"}
    told = _told(answers)
    minions = list(__salt__["ds_pillar.places"](pillar))
    found["silent"] = [minion for minion in minions if told.get(minion) is None or told.get(minion) is False]
    looked = _looked(answers)
    conditions = _conditions(looked, wanted)
    found["broken"] = [*_unanswered(minions, told), *_absent(told, looked, wanted)]
    found["broken"] += [_line(each) for each in conditions if each["state"] == "broken" and not each.get("soon")]
    found["behind"] = [_line(each) for each in conditions if each["state"] == "broken" and each.get("soon")]
    found["states"] = {**states(looked, conditions), **_unread(found["silent"], looked, wanted)}
    servers = __salt__["ds_report.servers"](looked)
    found["lines"] = _lines(servers, wanted, found["states"])
    found["data"] = {"suffix": wanted["suffix"], "servers": servers, "counts": _counts(servers, wanted["suffix"])}
    return found


def states(observations, conditions):
    """
    How each server and each agreement is: ``ok``, ``changed`` or ``broken``.

    observations
        List of observations, see :py:func:`ds_read.observe`.
    conditions
        See :py:func:`ds_rules.conditions`.

    Returns:
        ``ds1.dc:389``, by each port that a server has in its settings, and ``ds1.dc:389 > ds2.dc:389``, to the state.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_estate.states '[]' '[]'

    .. versionadded:: 0.1.0
    """
    own, pairs, found = {}, {}, {}
    for each in conditions:
        if each["state"] == "broken":
            state = "changed" if each.get("soon") else "broken"
            _worse(own if not each.get("agreement") else pairs, (each["server"], each.get("agreement")), state)
    for one in observations:
        name = __salt__["ds_rules.named"](one)
        for each in _names(one):
            found[each] = own.get((name, None), "ok")
        for held in one["suffixes"].values():
            for agreement in held["agreements"]:
                target = __salt__["ds_rules.target_of"](agreement, observations)
                ends = _names(target) if target else [f"{agreement['host']}:{agreement['port']}"]
                for pair in itertools.product(_names(one), ends):
                    _worse(found, " > ".join(pair), pairs.get((name, agreement["name"]), "ok"))
    return found


def drawn(pillar=None):
    """
    The replication as rings: suppliers in the middle, hubs, readers.

    pillar
        The value of the pillar's key ``ds389``. Default: this minion's.

    Returns:
        ``title``, ``tables`` and ``links`` (none), and ``rings``, see :py:func:`estate_ring.picture`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_estate.drawn '{suffix: "dc=bank", suppliers: {ds1.dc: 1}}'

    .. versionadded:: 0.1.0
    """
    wanted = __salt__["ds_pillar.topology"](pillar) or {"suffix": "", "replicas": {}, "edges": []}
    nodes = {server: (each["role"], each["host"], each["id"]) for server, each in wanted["replicas"].items()}
    title = f"389 Directory Server: {wanted['suffix']}"
    return {"title": title, "tables": [], "links": [], "rings": _rings(title, nodes, wanted["edges"])}


def observed_rings(observations):
    """
    The replication as rings, by what was observed, for each suffix.

    observations
        List of observations, see :py:func:`ds_read.observe`.

    Returns:
        List of what :py:func:`estate_ring.picture` takes.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_estate.observed_rings '[]'

    .. versionadded:: 0.1.0
    """
    suffixes = {suffix for one in observations for suffix, held in one["suffixes"].items() if held["replica"]}
    return [_of_suffix(suffix, observations) for suffix in sorted(suffixes)]


def planned(answers, pillar):
    """
    What an administrator would type, see :py:func:`ds_replica.plan`.

    answers
        Minion to answer, for each question.
    pillar
        The value of the pillar's key ``ds389``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_estate.planned '[{}]' '{suffix: "dc=bank", suppliers: {ds1.dc: 1}}'

    .. versionadded:: 0.1.0
    """
    wanted = __salt__["ds_pillar.wanted"](pillar)
    return __salt__["ds_plan.lines"](__salt__["ds_plan.steps"](_looked(answers), wanted))


# Answers


def _told(answers):
    """Minion to its last answer; what an answer says that is none holds only where there was no other."""
    found = {}
    for each in answers:
        found.update({minion: answer for minion, answer in each.items() if answer or minion not in found})
    return found


def _observations(told):
    """With clocks by each other's: they are asked at one time, and the middle one is the measure."""
    found = [
        {**__salt__["ds_report.unpacked"](one), "server": f"{minion} {one['server']}"}
        for minion, answer in told.items()
        for one in (answer if isinstance(answer, list) else ())
    ]
    middle = statistics.median_low([one["now"] for one in found]) if found else 0
    return [
        {
            **one,
            "clock": None if one["clock"] is None else round(one["now"] + one["clock"] - middle),
            "beside": "most of the others",
        }
        for one in found
    ]


def _looked(answers):
    """The observations, the second look of those that were asked again."""
    first, second = _told(answers[:1]), _told(answers[1:])
    both = [{minion: told.get(minion) or first[minion] for minion in first} for told in (first, second)]
    before, then = (_observations(each) for each in both)
    return __salt__["ds_rules.again"](before, then) if second else before


def _conditions(observations, wanted):
    found = __salt__["ds_rules.conditions"](observations, time.time())
    return found + __salt__["ds_topology.differences"](observations, wanted)


def _unanswered(minions, told):
    return [f"{minion}: {told[minion]}" for minion in minions if isinstance(told.get(minion), str)]


def _absent(told, observations, wanted):
    """Servers of the pillar whose minion answered, and has no such server."""
    known = __salt__["ds_topology.placed"](observations, wanted)
    there = {minion.lower() for minion, each in told.items() if isinstance(each, list) and not _dumb(each)}
    for server, each in wanted["replicas"].items():
        if server not in known and each["host"] in there:
            remedy = "correct the pillar, or nsslapd-localhost and the ports there"
            yield f"{server}: no server of its host has that name and port in its settings; {remedy}"


def _dumb(answer):
    """Whether a server of that minion told no settings: it may be the one that is missing."""
    return any(one["settings"] is None for one in answer)


def _line(each):
    name = ": ".join(each[key] for key in ("server", "agreement", "what") if each.get(key))
    return f"{name}: {each['evidence']}; {each['remedy']}"


# States


def _worse(found, key, state):
    if WORST.index(state) < WORST.index(found.get(key, "ok")) or key not in found:
        found[key] = state


def _names(one):
    settings = one["settings"] or {}
    ports = {settings.get("port"), settings.get("secure_port")} - {None}
    return [f"{settings['host'].lower()}:{port}" for port in ports] if settings.get("host") else [one["server"]]


def _unread(silent, observations, wanted):
    """Servers of the pillar that were not read: of a silent minion, or broken."""
    known = __salt__["ds_topology.placed"](observations, wanted)
    mute = {minion.lower() for minion in silent}
    return {
        server: "silent" if each["host"] in mute else "broken"
        for server, each in wanted["replicas"].items()
        if server not in known
    }


# Lines


def _lines(servers, wanted, states):
    """A line for all, and one for each replica; of many, for those only that are not as wanted."""
    suffix = wanted["suffix"]
    rows = {name: each["suffixes"][suffix] for name, each in servers.items() if suffix in each["suffixes"]}
    shown = [name for name in rows if len(rows) <= MANY or states.get(name.lower()) != "ok"]
    return {suffix: _all(rows, wanted), **{name: _one(rows[name]) for name in shown}}


def _all(rows, wanted):
    wants = len(wanted["replicas"])
    counted = [each["entries"] for each in rows.values() if each["entries"] is not None]
    entries = f"{min(counted)}" + (f" to {max(counted)}" if min(counted) != max(counted) else "") if counted else "?"
    return f"{len(rows)} of {wants} replicas read; entries: {entries}; at most {_most(rows)} s behind"


def _most(rows):
    lags = [each["lag"] for row in rows.values() for each in row["agreements"].values()]
    return max(filter(None, lags), default=0)


def _one(row):
    words = [f"{row['role']} {row['id']}" if row["role"] == "supplier" else row["role"]]
    words.append("entries unknown" if row["entries"] is None else f"{row['entries']} entries")
    words += [f"{row['conflicts']} conflicts"] * bool(row["conflicts"])
    if row["agreements"]:
        lag = max(filter(None, (each["lag"] for each in row["agreements"].values())), default=0)
        words.append(f"feeds {len(row['agreements'])}, at most {lag} s behind")
    return ", ".join(words)


def _counts(servers, suffix):
    roles = [each["suffixes"][suffix]["role"] for each in servers.values() if suffix in each["suffixes"]]
    return {name: roles.count(role) for role, name in ROLES.items()}


# Rings


def _of_suffix(suffix, observations):
    nodes, edges = {}, []
    for one in observations:
        held = one["suffixes"].get(suffix)
        if held and held["replica"]:
            name = __salt__["ds_rules.named"](one)
            nodes[name] = (held["replica"]["role"], name.rpartition(":")[0], held["replica"]["id"])
            edges += [(name, each) for each in _targets(held, observations)]
    for _, target in edges:
        nodes.setdefault(target, ("consumer", target, None))
    return _rings(f"389 Directory Server: {suffix}", nodes, edges)


def _targets(held, observations):
    for agreement in held["agreements"]:
        target = __salt__["ds_rules.target_of"](agreement, observations)
        yield __salt__["ds_rules.named"](target) if target else f"{agreement['host']}:{agreement['port']}"


def _rings(title, nodes, edges):
    """Nodes by role; a node is named by its host, and by its port too where a host has several."""
    hosts = [host for _, host, _ in nodes.values()]
    rings = []
    for role in ROLES:
        own = {server: each for server, each in nodes.items() if each[0] == role}
        ring = [
            {"id": server, "text": _text(server if hosts.count(host) > 1 else host, role, number)}
            for server, (_, host, number) in own.items()
        ]
        rings.append({"title": ROLES[role], "nodes": ring})
    return {"title": title, "rings": rings, "links": [list(edge) for edge in edges]}


def _text(name, role, number):
    return f"{name} ({number})" if role == "supplier" else name
