"""
MongoDB replica sets: what a set is, what it should be, and the legal steps between the two.

.. versionadded:: 0.1.0

Observing works on any server, without a login where MongoDB asks for none::

    salt-call --local -m . mongo_replset.members connection=mongodb://localhost:27017

A set is born with one member and then grown: a set of three has a writable primary after 0.2 seconds instead of eleven.
Every further change is one member at a time, member ids are kept, and each step is sent to whichever member is primary
at that moment.

Requires PyMongo (see :py:mod:`mongo_client`).
"""

from salt.exceptions import CommandExecutionError

__virtualname__ = "mongo_replset"

DEFAULTS = {
    "priority": 1,
    "votes": 1,
    "hidden": False,
    "arbiterOnly": False,
    "buildIndexes": True,
    "tags": {},
    "secondaryDelaySecs": 0,
}
FIXED = ("arbiterOnly", "buildIndexes")
LOGIN_REFUSED = (11, 13, 18)
MOST_VOTES = 7
ALREADY_INITIALIZED, INCOMPATIBLE = 23, 103
MODES = "getLastErrorModes"


def __virtual__():
    return __virtualname__


# What is there


def hellos(hosts, connection=None):
    """
    What each host says of itself before any login; ``None`` for one that does not answer.

    hosts
        List of ``host:port``.
    connection
        Options for all of them (TLS...), see :py:mod:`mongo_client`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_replset.hellos '[s1a.dc:27017, s1b.dc:27017]'

    .. versionadded:: 0.1.0
    """
    return {host: _hello(host, connection)[0] for host in hosts}


def members(connection=None):
    """
    The members of the set that the server belongs to, each with its state, as every member answers for itself.

    connection
        Any member, see :py:mod:`mongo_client`. No login is needed.

    Returns:
        ``replset``, ``primary`` and ``members``: a mapping of ``host:port`` to ``PRIMARY``, ``SECONDARY``, ``ARBITER``,
        ``OTHER`` (starting, recovering, removed) or ``DOWN``.

    Raises ``CommandExecutionError`` for a router, and for a server that is in no set, with what it is.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_replset.members

    .. versionadded:: 0.1.0
    """
    __salt__["mongo_members.refuse_kind"]("member", connection)
    own = __salt__["mongo_client.hello"](connection)
    return {
        "replset": own.get("setName"),
        "primary": own.get("primary"),
        "members": {
            host: member_state(said)
            for host, said in hellos(__salt__["mongo_members.visible"](own), connection).items()
        },
    }


def member_state(said):
    """
    A member's state from what it says of itself.

    said
        The reply to ``hello``, or ``None`` when there was none.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_replset.member_state '{setName: s1, secondary: true}'

    .. versionadded:: 0.1.0
    """
    if not said:
        return "DOWN"
    flags = {"isWritablePrimary": "PRIMARY", "secondary": "SECONDARY", "arbiterOnly": "ARBITER"}
    return next((state for flag, state in flags.items() if said.get(flag) and said.get("setName")), "OTHER")


def is_new(said, entry):
    """
    Whether a member has no vote yet: it counts as passive although its priority is not 0 (MongoDB's ``newlyAdded``).

    said, entry
        The reply to ``hello``, or ``None``; the member, as :py:func:`member` answers it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_replset.is_new '{passive: true}' '{priority: 1}'

    .. versionadded:: 0.1.0
    """
    return bool(said and said.get("passive") and entry["priority"])


def config(connection=None):
    """
    The set's configuration as its primary has it (``replSetGetConfig``).

    connection
        A member, with credentials where the set asks for them.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_replset.config

    .. versionadded:: 0.1.0
    """
    return __salt__["mongo_client.jsonable"](_raw_config(connection))


def observe(name, wanted, connection=None, concern=False):
    """
    All that a plan for the set needs: is it born, who is primary, what is its configuration, has it a user yet.

    name
        The replica set's name.
    wanted
        The wanted members, as for :py:func:`plan`.
    connection
        The member that the caller runs on, with the credentials to use.
    concern
        Whether the set's default write concern is looked at too. Default ``False``.

    Returns:
        ``hellos`` (``{host: reply or None}``), ``silent`` (``{host: why it does not answer}``), ``born``, ``primary``
        (``host:port`` or ``None``), ``config`` (``None`` while there is none), ``names`` (wanted hosts to the set's own
        spelling), ``userless`` (the set has no user, so that our login has still to be created), ``primary_here`` and
        ``concern`` (as :py:func:`mongo_shard.rw_concern` answers; empty before the set is born).

    Raises ``CommandExecutionError`` when a host belongs to another set or was started without ``--replSet``, when two
    hosts are one server, and when the set has users but does not let ours in.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_replset.observe s1 '[s1a.dc:27017, s1b.dc:27017]'

    .. versionadded:: 0.1.0
    """
    wanted = [member(entry) for entry in wanted]
    asked = {entry["host"]: _hello(entry["host"], connection) for entry in wanted}
    said = {host: answer for host, (answer, _) in asked.items()}
    for host, answer in said.items():
        _refuse_foreign(name, host, answer)
    __salt__["mongo_members.refuse_twice"](name, said)
    alive = [answer for answer in said.values() if answer and answer.get("setName")]
    primary = next((answer["primary"] for answer in alive if answer.get("primary")), None)
    found = {"hellos": said, "born": bool(alive), "primary": primary}
    found.update({"config": None, "names": {}, "userless": False, "primary_here": False, "concern": {}})
    found["silent"] = {host: why for host, (answer, why) in asked.items() if not answer}
    if not alive and not found["silent"]:
        __salt__["mongo_members.refuse_lost"](name, connection)
    if not primary:
        return found
    found.update(_inside(primary, alive[0], wanted, connection))
    if concern and not found["userless"]:
        found["concern"] = __salt__["mongo_shard.rw_concern"](__salt__["mongo_client.at"](primary, connection))
    return found


def _inside(primary, said, wanted, connection):
    """What a login at the primary shows, or what is to be known while there is no user."""
    found = {}
    try:
        found["config"] = config(__salt__["mongo_client.at"](primary, connection))
    except CommandExecutionError as err:
        refused = getattr(err, "code", None) in LOGIN_REFUSED
        if not refused or not __salt__["mongo_user.userless"](connection):
            raise
        here = bool(__salt__["mongo_client.hello"](connection).get("isWritablePrimary"))
        found.update({"config": _config_from_hello(said, wanted), "userless": True, "primary_here": here})
    hosts = [entry["host"] for entry in wanted]
    found["names"] = __salt__["mongo_members.named"](hosts, _hosts(found["config"]), connection)
    return found


def refusal(name, wanted, connection=None, settings=None, remove_extra=False):
    """
    Why the set will never become as it is wanted, as a sentence; ``""`` when it will, or nobody can know yet.

    name, wanted
        As for :py:func:`plan`.
    connection
        Any server that is to be a member, with the credentials to use.
    settings, remove_extra
        As for :py:func:`plan`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_replset.refusal s1 '[s1a.dc:27017, s1b.dc:27017]'

    .. versionadded:: 0.1.0
    """
    try:
        others = hellos([member(entry)["host"] for entry in wanted], connection)
        if not any(said and said.get("setName") == name for said in others.values()):
            return ""
        observed = observe(name, wanted, connection)
        if not unsettled(observed):
            plan(name, wanted, observed, settings, remove_extra=remove_extra)
    except CommandExecutionError as err:
        # What a server answered, or that none did, may be another thing in a moment; what we refuse stays.
        return "" if hasattr(err, "code") else str(err)
    return ""


def unsettled(observed):
    """
    What keeps a plan from being made, or from being executed, as a sentence; ``""`` when nothing does. Pure.

    observed
        What :py:func:`observe` answered.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_replset.unsettled '{born: false, silent: {"s1a.dc:27017": connection refused}}'

    .. versionadded:: 0.1.0
    """
    silent = observed["silent"]
    if not observed["born"]:
        return f"{', '.join(silent)} must answer before the set is born{_reasons(silent)}" if silent else ""
    if not observed["config"]:
        return "the set has no primary"
    known = {**__salt__["mongo_members.spelled"](silent, _hosts(observed["config"])), **observed.get("names", {})}
    new = {host: why for host, why in silent.items() if host not in known}
    if new:
        return f"{', '.join(new)} must answer before it is added{_reasons(new)}"
    if observed["userless"] and not observed["primary_here"]:
        return (
            f"the set has no user yet, and only on its primary {observed['primary']} one can be created (admin_present)"
        )
    return ""


# What is to be done (pure)


def plan(name, wanted, observed, settings=None, admin=None, remove_extra=False, write_concern=None):
    """
    The steps from the observed set to the wanted one: pure, one member a step, ids kept.

    name
        The replica set's name.
    wanted
        The members: ``host:port``, or mappings with ``host`` and MongoDB's member fields. A set is born on the first.
    observed
        What :py:func:`observe` answered.
    settings
        Replica set settings to compare (``electionTimeoutMillis``...); others are left alone. Default none.
    admin
        Name of the user that a new set is born with. Default none.
    remove_extra
        Remove members that are not wanted. Default ``False``: they are named in an error.
    write_concern
        The set's default write concern; it is set before the first arbiter is added. Default: it is left alone.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_replset.plan s1 '[s1a.dc:27017, s1b.dc:27017]' '{born: false, config: null}'

    .. versionadded:: 0.1.0
    """
    # MongoDB refuses a second electable member beside an arbiter, unless the cluster's write concern is set.
    wanted = sorted(map(member, wanted), key=lambda entry: entry["arbiterOnly"])
    concern = __salt__["mongo_shard.plan_rw_concern"]({"write": write_concern}, observed.get("concern", {}))
    if not observed["born"]:
        return _with_concern(_plan_birth(name, wanted, settings, admin), concern)
    have = {entry["host"]: member(entry) for entry in observed["config"]["members"]}
    names = __salt__["mongo_members.spelled"]([entry["host"] for entry in wanted], have)
    names.update(observed.get("names", {}))
    wanted = [{**entry, "host": names.get(entry["host"], entry["host"])} for entry in wanted]
    _refuse_fixed(name, wanted, have)
    extra = [host for host in have if host not in {entry["host"] for entry in wanted}]
    if extra and not remove_extra:
        raise CommandExecutionError(
            f"Replica set {name} has members that are not wanted: {', '.join(extra)}; add them to members, or say "
            "remove_extra: True"
        )
    first = [_admin_step(admin)] if admin and observed.get("userless") else []
    steps = _member_steps(wanted, have, extra, observed.get("primary"))
    settings = _settings_steps(name, observed["config"].get("settings", {}), settings)
    return first + _with_concern(_with_settings(steps, settings), concern)


def member(entry):
    """
    A member in the one form that is compared: every field with MongoDB's default where none is given. Fields that are
    not compared are left out; ``host`` stays as it is spelled, see :py:mod:`mongo_members`.

    entry
        ``host:port``, or a mapping with ``host`` and any of ``priority``, ``votes``, ``hidden``, ``arbiterOnly``,
        ``buildIndexes``, ``tags``, ``secondaryDelaySecs``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_replset.member '{host: s1c.dc:27017, priority: 0.5}'

    .. versionadded:: 0.1.0
    """
    entry = {"host": entry} if isinstance(entry, str) else entry
    implied = {"priority": 0} if entry.get("arbiterOnly") else {}
    return {
        "host": entry["host"],
        **DEFAULTS,
        **implied,
        **{key: entry[key] for key in DEFAULTS if key in entry},
    }


# What is done


def act(name, step, hosts, connection=None, config_server=False, timeout=60):
    r"""
    Execute one step of :py:func:`plan` and wait until the set has taken it.

    name
        The replica set's name.
    step
        The step.
    hosts
        ``host:port`` of members to ask for the primary.
    connection
        The member that the caller runs on, with the credentials to use.
    config_server
        The set holds a cluster's configuration. Default ``False``.
    timeout
        Seconds for the step, elections included. Default 60.

    Raises ``CommandExecutionError`` with the server's words, or with what was waited for and last seen.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_replset.act

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    if step["do"] == "initiate":
        initiate(name, step["entry"], connection, step["settings"], config_server, timeout)
    elif step["do"] == "create":
        __salt__["mongo_user.create_first"](connection, timeout)
    elif "kind" in step:
        primary = __salt__["mongo_members.find_primary"](name, hosts, connection)
        __salt__["mongo_shard.set_rw_concern"](step, __salt__["mongo_client.at"](primary, connection), timeout)
    else:
        reconfigure(name, step, hosts, connection, timeout)


def initiate(name, first, connection=None, settings=None, config_server=False, timeout=60):
    """
    Let the set be born with one member, this one, and wait until it is a writable primary.

    name
        The replica set's name.
    first
        The member, as for :py:func:`member`.
    connection
        This member over loopback (a server without users lets nobody else in).
    settings, config_server, timeout
        As for :py:func:`plan` and :py:func:`act`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_replset.initiate

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    born = {"_id": name, "version": 1, "members": [{"_id": 0, **member(first)}]}
    born.update({"configsvr": True} if config_server else {}, **({"settings": settings} if settings else {}))
    local = __salt__["mongo_client.anonymous"](connection)
    try:
        __salt__["mongo_client.command"]({"replSetInitiate": born}, connection=local, timeout=timeout)
    except CommandExecutionError as err:
        if getattr(err, "code", None) != ALREADY_INITIALIZED:
            raise
    __salt__["mongo_client.wait"](
        lambda: _is_primary(local),
        f"{member(first)['host']} to be the writable primary of {name}",
        timeout,
        0.02,
    )


def reconfigure(name, step, hosts, connection=None, timeout=60):
    r"""
    Change one member, or the settings, through whichever member is primary; tried again when an election comes between.

    A member is removed only when those of ``hosts`` that are in the set and answer have all data and their votes. A
    primary that is removed, or may be primary no longer, steps down before.

    name, step, hosts, connection, timeout
        As for :py:func:`act`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_replset.reconfigure

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()

    def taken():
        primary = __salt__["mongo_members.find_primary"](name, hosts, connection)
        at_primary = __salt__["mongo_client.at"](primary, connection)
        current = _raw_config(at_primary)
        if __salt__["mongo_reconfig.is_taken"](current, step):
            return True, ""
        behind = _behind(current, hosts, connection) if step["do"] == "remove" else []
        if behind:
            return None, f"{', '.join(behind)} to be synchronised before {step['host']} is removed"
        if step.get("host") == primary and not (step.get("entry") or {}).get("priority"):
            _step_down(at_primary)
            return None, f"{primary} steps down before that"
        _send(__salt__["mongo_reconfig.following"](current, step), at_primary)
        return True, ""

    __salt__["mongo_client.wait"](taken, f"replica set {name} to {step['do']} {step['what']}", timeout, 0.02)


def _send(config, primary):
    """Another configuration may have come first; any other incompatibility would be one for ever."""
    try:
        __salt__["mongo_client.command"]({"replSetReconfig": config}, connection=primary, timeout=20)
    except CommandExecutionError as err:
        if getattr(err, "code", None) != INCOMPATIBLE or "greater than" in str(err):
            raise
        if "implicit default write concern" not in str(err):
            raise CommandExecutionError(str(err)) from None
        raise CommandExecutionError(
            f"{config['_id']} gets no arbiter before the default write concern is set, as MongoDB would change it "
            "unasked; say write_concern: majority, or a number, and run again"
        ) from None


def _step_down(primary, seconds=30):
    """Ask a primary to hand over: for some seconds another member is elected instead."""
    __salt__["mongo_client.command"]({"replSetStepDown": seconds}, connection=primary, timeout=20)


def _hosts(found):
    return [entry["host"] for entry in found["members"]]


def _raw_config(connection):
    """With the server's own types: what is sent back must keep them (``replicaSetId`` is an ObjectId)."""
    return __salt__["mongo_client.command"]({"replSetGetConfig": 1}, connection=connection)["config"]


def _hello(host, connection):
    """The reply, or ``None`` with the reason."""
    try:
        return __salt__["mongo_client.hello"](__salt__["mongo_client.at"](host, connection)), ""
    except CommandExecutionError as err:
        if hasattr(err, "argument"):
            raise
        return None, str(err)


def _reasons(silent):
    return f" ({'; '.join(dict.fromkeys(silent.values()))})"


def _is_primary(connection):
    said = __salt__["mongo_client.hello"](connection)
    return said.get("isWritablePrimary"), member_state(said)


def _behind(current, hosts, connection):
    """Those of the hosts that are members and answer, but hold not all data yet, or have no vote yet."""
    stay = __salt__["mongo_members.named"](hosts, _hosts(current), connection).values()
    have = {entry["host"]: entry for entry in map(member, current["members"]) if entry["host"] in stay}
    said = {host: answer for host, answer in hellos(have, connection).items() if answer}
    return [host for host in said if member_state(said[host]) == "OTHER" or is_new(said[host], have[host])]


def _config_from_hello(said, wanted):
    """A configuration without the options that only a login shows: known members count as they are wanted."""
    options, seen = {entry["host"]: entry for entry in wanted}, __salt__["mongo_members.visible"](said)
    known = {there: options[host] for host, there in __salt__["mongo_members.spelled"](options, seen).items()}
    return {"members": [{**known.get(host, {}), "host": host} for host in seen], "settings": None}


def _plan_birth(name, wanted, settings, admin):
    first = {
        "do": "initiate",
        "what": f"replica set {name}",
        "old": None,
        "new": f"initiated on {wanted[0]['host']}",
        "entry": wanted[0],
        "settings": settings,
    }
    return (
        [first]
        + ([_admin_step(admin)] if admin else [])
        + [_step("add", entry["host"], None, entry) for entry in wanted[1:]]
    )


def _member_steps(wanted, have, extra, primary):
    """Who comes, who changes, who goes, each time the primary last; a vote that is needed before is freed before."""
    adds = [_step("add", entry["host"], None, entry) for entry in wanted if entry["host"] not in have]
    rest = [
        _step("change", entry["host"], have[entry["host"]], entry)
        for entry in sorted(wanted, key=lambda entry: entry["host"] == primary)
        if have.get(entry["host"], entry) != entry
    ]
    rest += [_step("remove", host, have[host], None) for host in sorted(extra, key=lambda host: host == primary)]
    ordered, votes = [], sum(entry["votes"] for entry in have.values())
    for add in adds:
        freeing = [step for step in rest if have[step["host"]]["votes"] > (step["entry"] or {}).get("votes", 0)]
        if freeing and votes + add["entry"]["votes"] > MOST_VOTES:
            rest.remove(freeing[0])
            ordered.append(freeing[0])
            votes -= 1
        ordered.append(add)
        votes += add["entry"]["votes"]
    return ordered + rest


def _admin_step(admin):
    return {"do": "create", "what": f"user {admin}", "old": None, "new": "present"}


def _step(do, host, old, new):
    return {"do": do, "what": f"member {host}", "host": host, "old": _shown(old), "new": _shown(new), "entry": new}


def _shown(entry):
    """A member as ``changes`` show it: only what differs from MongoDB's defaults."""
    if entry is None:
        return None
    return {key: entry[key] for key in DEFAULTS if entry[key] != DEFAULTS[key]} or "default options"


def _settings_steps(name, have, settings):
    drift = {key: value for key, value in (settings or {}).items() if (have or {}).get(key) != value}
    if not drift:
        return []
    old = "not to be seen without a login" if have is None else {key: have.get(key) for key in drift}
    return [{"do": "set", "what": f"settings of {name}", "old": old, "new": drift, "settings": drift}]


def _with_settings(steps, settings):
    """
    The settings first; but the modes of write concerns speak of members' tags, and a configuration must have both: they
    come when new members are there, and with the tags of the others.
    """
    if not settings or MODES not in settings[0]["settings"]:
        return settings + steps
    adds = [number for number, step in enumerate(steps, 1) if step["do"] == "add"]
    place = max(adds, default=0)
    tags = {step["host"]: step["entry"]["tags"] for step in steps if step["do"] == "change"}
    return [*steps[:place], {**settings[0], "tags": tags}, *steps[place:]]


def _with_concern(steps, concern):
    """MongoDB takes no arbiter that would change the default write concern, while nobody has set one."""
    arbiters = [number for number, step in enumerate(steps) if (step.get("entry") or {}).get("arbiterOnly")]
    place = min(arbiters, default=len(steps))
    return [*steps[:place], *concern, *steps[place:]]


def _refuse_foreign(name, host, said):
    if said and said.get("setName", name) != name:
        raise CommandExecutionError(
            f"{host} is a member of replica set {said['setName']}, not of {name}; take it from one of the two"
        )
    if said and not said.get("setName") and not said.get("isreplicaset"):
        raise CommandExecutionError(
            f"{host} was started without a replica set; set replication.replSetName: {name} in its configuration"
        )


def _refuse_fixed(name, wanted, have):
    for entry in wanted:
        for key in FIXED:
            if entry["host"] in have and have[entry["host"]][key] != entry[key]:
                raise CommandExecutionError(
                    f"Replica set {name}: {key} of {entry['host']} is {have[entry['host']][key]} and cannot be changed "
                    "in place; remove the member from the list, run, and add it again"
                )
