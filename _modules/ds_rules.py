"""
What is wrong with a replicated directory, by what its servers say: each condition ok, broken or not to be seen. Pure.

.. versionadded:: 0.1.0

``seen`` is what :py:func:`ds_read.all_of` answered. An agreement is judged by what its target *has*, where the target
was read too: its own words are green on a target that lacks everything, and red on one that has all::

    salt-call --local -m . ds_rules.conditions '[]' 0
"""

__virtualname__ = "ds_rules"

# Seconds that clocks may differ, days in which somebody has to act, seconds of lag that need nobody.
SKEW, DAYS, LAG = 60, 30, 60
FIXED = [2, 3, 5]  # from this version on, three administrative operations on replication do not end the server any more
# Codes of replication after which an agreement tries by itself, and after which it has stopped until it is kicked.
BUSY, RETRIED, STOPPED = (1,), (3, 16), (2, 4, 6, 8, 11)
KICK = "switch it off and on: dsconf INSTANCE repl-agmt disable, then enable"
CLEAN = "when all replicas are reachable: dsconf INSTANCE repl-tasks cleanallruv, for an id that no server has now"
FIT = "the agreement's transport and port do not fit: LDAP with 389, LDAPS with 636, STARTTLS with 389"
SINCE = "of some replica the target tells no change since it was initialised"
NOTHING = {"version": None, "settings": None, "managers": {}, "suffixes": {}, "ports": {}}
LIMITS = "give the login's entry limits of its own: nsSizeLimit, nsLookThroughLimit, nsTimeLimit: -1"
LOGIN = (
    "passwordLockout is on: a login that failed here does that, until the next write here; "
    "passwordIsGlobalPolicy: on, on all servers, sends such counts"
)
NOT_READ = "its target was not read; name it among the servers"


def __virtual__():
    return __virtualname__


def conditions(seen, now):
    """
    Every condition of every server, replica and agreement.

    seen
        List of observations, see :py:func:`ds_read.observe`.
    now
        Seconds since 1970.

    Returns:
        List of mappings: ``server``, ``suffix``, ``agreement`` (the last two where they apply), ``what``, ``state``
        (``ok``, ``broken`` or ``unseen``), ``evidence``, unless it is ok ``remedy``, and ``soon``, true of what is
        broken and stops nothing yet.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_rules.conditions '[]' 0

    .. versionadded:: 0.1.0
    """
    found = []
    for one, name in zip(seen, names(seen), strict=True):
        place = {"server": name}
        found += [{**place, **each} for each in (*_name(one, name), *_server(one, now))]
        for suffix, held in sorted(one["suffixes"].items()):
            where, others = {**place, "suffix": suffix}, _others(one, suffix, seen)
            found += [{**where, **each} for each in _replica(one, held, others, now)]
            for agreement in held["agreements"]:
                mine = _agreement(agreement, suffix, held, seen, one)
                found += [{**where, "agreement": agreement["name"], **each} for each in mine]
    return found


def named(one):
    """
    A server's name: as it knows itself, else its address.

    one
        An observation.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_rules.named '{server: "ldaps://ds1.dc", settings: null}'

    .. versionadded:: 0.1.0
    """
    settings = one["settings"] or {}
    return f"{settings['host']}:{settings['port']}" if settings.get("host") and settings.get("port") else one["server"]


def names(seen):
    """
    What each server is called: as :py:func:`named` says, or by its address where two servers call themselves the same.

    seen
        List of observations.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_rules.names '[]'

    .. versionadded:: 0.1.0
    """
    own = [named(one).lower() for one in seen]
    return [named(one) if own.count(name) == 1 else one["server"] for one, name in zip(seen, own, strict=True)]


def distinct(seen):
    """
    Each server once, however many addresses of it were asked: those of one name and one start are one server.

    seen
        List of observations. Of one server's the first without a fault stays; another's fault stays, without what else
        it told.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_rules.distinct '[]'

    .. versionadded:: 0.1.0
    """
    first = {}
    for one in sorted(seen, key=lambda one: bool(one["fault"])):
        first.setdefault(_identity_of(one), one)
    told = [(one, first[_identity_of(one)] is one) for one in seen]
    return [one if counts else {**one, **NOTHING} for one, counts in told if counts or one["fault"]]


def _identity_of(one):
    return (named(one).lower(), one["started"]) if one["settings"] and one["started"] else one["server"]


def target_of(agreement, seen):
    """
    The server that an agreement feeds, by the name and the ports that it has in its own settings.

    agreement
        An agreement of an observation.
    seen
        List of observations.

    Returns:
        The observation; ``None`` when that server was not read.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_rules.target_of '{host: ds2.dc, port: 636}' '[]'

    .. versionadded:: 0.1.0
    """
    for one in seen:
        settings = one["settings"] or {}
        ports = {str(settings.get(key)) for key in ("port", "secure_port")}
        if (settings.get("host") or "").lower() == agreement["host"] and str(agreement["port"]) in ports:
            return one
    return None


def lag(agreement, suffix, held, seen):
    """
    How many seconds the target of an agreement is behind, see :py:func:`ds_values.lag`.

    agreement
        An agreement of an observation.
    suffix
        The suffix's name.
    held
        What its source holds of the suffix.
    seen
        List of observations.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_rules.lag '{host: ds2.dc, port: 636}' suffix=dc=bank held='{ruv: null}' seen='[]'

    .. versionadded:: 0.1.0
    """
    target = _held(target_of(agreement, seen), suffix)
    both = target and target["ruv"] and held["ruv"]
    return __salt__["ds_values.lag"](held.get("had") or held["ruv"], target["ruv"]) if both else None


def again(before, seen):
    """
    Observations that were made once more: what a source had at the first look a target has at the second one, however
    much is written meanwhile.

    before, seen
        List of observations, the first and the second ones; of what was not observed again the first one holds.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_rules.again '[]' '[]'

    .. versionadded:: 0.1.0
    """
    then = {one["server"]: one for one in seen}
    return [_with_past(one, then[one["server"]]) if one["server"] in then else one for one in before]


def _with_past(before, one):
    had = {suffix: held["ruv"] for suffix, held in before["suffixes"].items()}
    suffixes = {suffix: {**held, "had": had.get(suffix)} for suffix, held in one["suffixes"].items()}
    return {**one, "suffixes": suffixes}


def behind(seen):
    """
    Whether a target lacks something that its source has had for long, or may have had.

    seen
        List of observations.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_rules.behind '[]'

    .. versionadded:: 0.1.0
    """
    feeds = [
        (each, suffix, held)
        for one in seen
        for suffix, held in one["suffixes"].items()
        for each in held["agreements"]
        if held["ruv"]
    ]
    return any(
        _lacks(held, _held(target_of(each, seen), suffix), lag(each, suffix, held, seen))
        for each, suffix, held in feeds
    )


def remedy_of_port(kind):
    """
    What to do about a port's answer.

    kind
        See :py:func:`ds_probe.port`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_rules.remedy_of_port name

    .. versionadded:: 0.1.0
    """
    return {
        "unknown": "correct the agreement's host, or the name service of this host",
        "off": "start the server there (systemctl status dirsrv@INSTANCE), or correct the agreement's port",
        "silent": "ps -o stat,wchan -C ns-slapd there: T is stopped, D waits for its disk; or a firewall drops packets",
        "plain": FIT,
        "tls": FIT,
        "name": "name the target in the agreement as its certificate does, or give it a certificate of that name",
        "untrusted": "dsconf INSTANCE security ca-certificate add, here, with the signer of the target's certificate",
        "expired": "renew the target's certificate; are both clocks right?",
    }.get(kind, "see the error logs of both servers")


def initialisation(agreement):
    """
    How an agreement's initialisation of its target stands.

    agreement
        An agreement of an observation.

    Returns:
        ``None``, ``running``, ``armed`` (it could not begin, and will by itself) or ``stopped``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_rules.initialisation '{refresh: null, initial: null}'

    .. versionadded:: 0.1.0
    """
    refresh, initial = agreement["refresh"], agreement["initial"]
    if not refresh:
        return None
    if refresh == "stop":  # which stays there, also when the agreement was switched off and on and sends again
        return None if (agreement["update_began"] or 0) > (agreement["initial_began"] or 0) else "stopped"
    return "running" if initial and "in progress" in initial["message"] else "armed"


def _ok(what, evidence):
    return {"what": what, "state": "ok", "evidence": evidence}


def _broken(what, evidence, remedy):
    return {"what": what, "state": "broken", "evidence": evidence, "remedy": remedy}


def _soon(what, evidence, remedy):
    """What needs somebody, and stops nothing yet."""
    return {**_broken(what, evidence, remedy), "soon": True}


def _unseen(what, evidence, remedy):
    return {"what": what, "state": "unseen", "evidence": evidence, "remedy": remedy}


def _others(one, suffix, seen):
    return [other["suffixes"][suffix] for other in seen if other is not one and suffix in other["suffixes"]]


# A server


def _name(one, name):
    if name != named(one):
        evidence = f"it calls itself {named(one)}, as another server does"
        remedy = "when the others have all its changes: its own host in nsslapd-localhost, then dsctl INSTANCE restart"
        yield _broken("name", evidence, remedy)


def _server(one, now):
    if one["fault"]:
        yield _broken("answers", one["fault"], _remedy_of_silence(one["kind"]))
        if not one["version"]:
            return
    else:
        yield _ok("answers", one["version"] or "its version is not told")
    yield from _version(one)
    yield from _clock(one)
    if one["settings"] is None:
        yield _unseen("settings", "the login may not read cn=config", "give it the ACIs of docs/ds_replica.md")
        return
    yield from _ports(one)
    yield from _passwords(one, now)


def _ports(one):
    for number, probed in one["ports"].items():
        if probed["kind"] == "off":
            evidence = f"nothing listens at {number}, which its settings name"
            yield _broken("port", evidence, "it waits for a restart: dsctl INSTANCE restart; or the port is another's")
    found = one["certificate"]
    if found and found["days"] < DAYS:
        left = found["days"]
        evidence = f"that of {found['subject']} " + (f"ends in {left} days" if left >= 0 else "has ended")
        tell = _soon if left >= 0 else _broken
        yield tell("certificate", evidence, "renew it: dsctl INSTANCE tls import-server-key-cert, then restart")
    elif found:
        yield _ok("certificate", f"ends in {found['days']} days")


def _remedy_of_silence(kind):
    return {
        "refused": "see whether it runs: systemctl status dirsrv@INSTANCE; a crashed one is not restarted by itself",
        "silent": "ps -o stat,wchan -C ns-slapd on its host: T is stopped (kill -CONT), D waits for its disk",
        "untrusted": "give the login the signer's certificate (ca_file), and the name that stands in the certificate",
        "mute": "change the login's password, if passwordMustChange is on; or nsslapd-minssf is more than this "
        "connection has: nsslapd-localssf is what ldapi counts for",
        "login": "correct bind_dn and password; is the account locked, or its password expired?",
    }.get(kind, "see the server's own log, /var/log/dirsrv/slapd-INSTANCE/errors")


def _version(one):
    numbers = __salt__["ds_values.version"](one["version"])
    if numbers and numbers < FIXED:
        evidence = f"{one['version']} can end by itself during changes to replication, and stays down"
        yield _soon("version", evidence, f"upgrade to {'.'.join(map(str, FIXED))} or later")
    elif numbers:
        yield _ok("version", one["version"])


def _clock(one):
    if one["clock"] is None:
        return
    if abs(one["clock"]) > SKEW:
        side = "ahead of" if one["clock"] > 0 else "behind"
        evidence = f"{abs(one['clock'])} s {side} {one.get('beside') or 'the host that asks'}"
        yield _broken(
            "clock", evidence, "correct the clock before anything else is written there: see chronyc tracking"
        )
    else:
        yield _ok("clock", f"{one['clock']} s apart")


def _passwords(one, now):
    """A replication manager's password ends like any other, and shows only when a connection is made anew."""
    for name, manager in one["managers"].items():
        if manager is None:
            yield _broken(f"manager {name}", "there is no such entry", "make it, or correct the replica's bind DN")
            continue
        left = None if manager["expires"] is None else int((manager["expires"] - now) // 86400)
        remedy = f"give {name} a new password here and in the agreements, or a policy of its own without an end"
        if manager["locked"]:
            yield _broken(f"manager {name}", "is locked", f"dsidm INSTANCE account unlock, or {remedy}")
        elif left is not None and left < DAYS:
            tell = _soon if left >= 0 else _broken
            told = f"ends in {left} days" if left >= 0 else "has ended"
            yield tell(f"manager {name}", f"its password {told}", remedy)
        else:
            yield _ok(f"manager {name}", "can log in" if left is None else f"its password ends in {left} days")
    for key, setting in (("expiry", "passwordExp"), ("lockout", "passwordLockout")):
        if one["managers"] and one["settings"][key] == "on":
            evidence = f"{setting} is on, and holds for replication managers too"
            yield _soon(setting, evidence, "exempt the managers by a policy of their own: dsconf INSTANCE localpwp")


# A replica


def _replica(one, held, others, now):
    if held["state"] == "referral" or held["fault"]:
        said = held["fault"] or "its searches are referred elsewhere"
        yield _broken(
            "served", f"{said}: it is being initialised, or was taken out of service", "wait for its end, look again"
        )
    if held["replica"] is None:
        yield _ok("replica", "is not replicated")
        return
    if held["ruv"] is None:
        yield _unseen("data", "its update vector cannot be read", "give the login the ACIs of docs/ds_replica.md")
    else:
        yield from _generation(held, others)
        yield from _vector(one, held, now)
    yield from _identity(held, others)
    yield from _tidy(one, held)


def _generation(held, others):
    mine = held["ruv"]["generation"]
    known = [each["ruv"]["generation"] for each in others if each["ruv"] and each["replica"]]
    foreign = [each for each in known if each != mine]
    if not foreign:
        yield _ok("generation", f"{mine}, as all that were read")
        return
    evidence = f"{mine} here, {', '.join(sorted(set(map(str, foreign))))} elsewhere"
    blank = ", and it has no entries but the suffix" if held["empty"] else ""
    remedy = "decide whose data count; initialise the others from there (it replaces all that they have)"
    yield _broken("generation", evidence + blank, remedy)


def _vector(one, held, now):
    """Changes that are ahead of time, and ids that an address had before its present one."""
    ahead = max((_time(each["max"]) for each in held["ruv"]["replicas"].values() if each["max"]), default=0) - now
    if ahead > SKEW:
        evidence = f"it has changes from {int(ahead)} s in the future"
        remedy = "correct the clock where they were made; nsslapd-ignore-time-skew: on where writes are refused since"
        yield _broken("changes", evidence, remedy)
    urls = {}
    for number, each in held["ruv"]["replicas"].items():
        urls.setdefault(each["url"], []).append(number)
    for url, numbers in urls.items():
        if url and len(numbers) > 1:
            evidence = f"ids {', '.join(map(str, sorted(numbers)))} are of {url}, which can have one"
            yield _broken("ghosts", evidence, CLEAN)
        elif url is None:
            evidence = f"id {numbers[0]} has no address" if len(numbers) == 1 else f"ids {numbers} have no address"
            yield _broken("ghosts", evidence, CLEAN)


def _time(csn):
    return __salt__["ds_values.csn"](csn)["time"]


def _identity(held, others):
    mine = held["replica"]
    same = [each for each in others if each["replica"] and each["replica"]["id"] == mine["id"]]
    if mine["role"] == "supplier" and same:
        evidence = f"id {mine['id']} is another server's too"
        yield _broken(
            "replica id", evidence, "give one of them an id of its own: disable its replication, enable it anew"
        )
    else:
        yield _ok("replica", f"{mine['role']}, id {mine['id']}")


def _tidy(one, held):
    if held["conflicts"]:
        shown = "; ".join(held["conflicts"][:3]) + ("; ..." if len(held["conflicts"]) > 3 else "")
        evidence = f"{len(held['conflicts'])}: {shown}"
        remedy = "dsconf INSTANCE repl-conflict list and list-glue, compare, then swap, convert or delete"
        yield _broken("conflicts", evidence, remedy)
    elif held.get("hidden"):
        yield _unseen("conflicts", held["hidden"], LIMITS)
    else:
        yield _ok("conflicts", "none")
    if held["replica"]["cleaning"]:
        evidence = f"goes on: {', '.join(held['replica']['cleaning'])}"
        yield _broken("cleaning", evidence, "it ends when all replicas are reachable: find the one that is not")
    if held["readonly"]:
        yield _broken("writable", "the backend is read-only: replication to it fails too", "nsslapd-readonly: off")
    if one["settings"] and one["settings"]["ignore_skew"] == "on":
        yield _soon(
            "time skew", "nsslapd-ignore-time-skew is on: clocks count no more", "off, once changes are in the past"
        )


# An agreement


def _agreement(agreement, suffix, held, seen, one):
    yield from _initialisation(agreement)
    if not agreement["enabled"]:
        yield _broken("enabled", "is disabled: nothing is sent", "dsconf INSTANCE repl-agmt enable, or delete it")
    server, seconds = target_of(agreement, seen), lag(agreement, suffix, held, seen)
    if server:
        yield from _transport(agreement, server["settings"])
    found = [_sync(agreement, held, _held(server, suffix), seconds), *_session(agreement, seconds)]
    yield from map(_of_a_login, found) if _may_be_a_login(agreement, one) else found


def _transport(agreement, settings):
    """LDAP that is spoken to a port of TLS is green until something has to be sent."""
    secure = settings["security"] == "on" and str(agreement["port"]) == settings["secure_port"]
    if secure != (agreement["transport"] in ("LDAPS", "SSL")):
        evidence = f"{agreement['transport']} is spoken to port {agreement['port']}, which is the other kind"
        yield _broken("transport", evidence, remedy_of_port("plain"))


def _held(server, suffix):
    return server and server["suffixes"].get(suffix)


def _lacks(held, target, seconds):
    """Of the same generation, and behind."""
    same = target and target["ruv"] and target["ruv"]["generation"] == held["ruv"]["generation"]
    return bool(same and seconds and seconds > LAG)


def _sync(agreement, held, target, seconds):
    """What counts is what the target has."""
    if target is not None and target["replica"] is None:  # its vector may still be there
        return _broken("in sync", "its target has no replica of the suffix", "enable replication there")
    if target is None or target["ruv"] is None or held["ruv"] is None:
        return _unseen("in sync", NOT_READ if target is None else "a vector cannot be read", "see there")
    if target["ruv"]["generation"] != held["ruv"]["generation"]:
        remedy = "initialise the target, if its data may be replaced: dsconf INSTANCE repl-agmt init"
        last = agreement["initial"] and agreement["initial"]["message"]
        told = f"; of the last initialisation it is said: {last}" if last else ""
        return _broken("in sync", f"its target has data of another generation{told}", remedy)
    if _lacks(held, target, seconds) and _left_out(agreement, held):
        evidence = f"{seconds} s behind, by changes that its agreement leaves out (nsDS5ReplicatedAttributeList)"
        return _unseen("in sync", evidence, "write an entry here, and look again")
    if _lacks(held, target, seconds):
        remedy = KICK if _is_green(agreement) else "see the agreement's session"
        return _broken("in sync", f"its target is {seconds} s behind", remedy)
    if seconds is None:
        return _unseen("in sync", SINCE, "write an entry at that replica, and look again")
    return _ok("in sync", f"{seconds} s behind")


def _left_out(agreement, held):
    """A session left changes out, and began after the last one of all."""
    changes = (held.get("had") or held["ruv"])["replicas"].values()
    last = max((_time(each["max"]) for each in changes if each["max"]), default=0)
    return bool(agreement.get("skipped")) and _is_green(agreement) and (agreement["update_began"] or 0) >= last


def _may_be_a_login(agreement, one):
    """A failed login that its server counted: the vector tells of it, the changelog does not."""
    update, settings = agreement["update"], one["settings"]
    here = settings is not None and settings["lockout"] == "on"
    return bool(update) and here and update["replication"] == 16 and update["ldap"] in (0, None)


def _of_a_login(condition):
    return {**condition, "remedy": LOGIN, "soon": True} if condition["state"] == "broken" else condition


def _is_green(agreement):
    update = agreement["update"]
    return bool(update) and update["ldap"] in (0, None) and update["replication"] in (0, None)


def _initialisation(agreement):
    state = initialisation(agreement)
    if state == "running":
        yield _ok("initialisation", "runs")
    elif state == "stopped":
        yield _broken("initialisation", "was stopped; since then nothing is sent at all", KICK)
    elif state == "armed":
        evidence = "is armed: it could not begin, and will, by itself, replacing all that the target has then"
        remedy = (
            "stop it (nsds5BeginReplicaRefresh: stop), switch the agreement off and on, mend its session, decide anew"
        )
        yield _broken("initialisation", evidence, remedy)


def _session(agreement, seconds):
    """By the codes, never by the number in the sentence, which may be either of them."""
    update = agreement["update"]
    if not update or not agreement["enabled"]:
        return
    ldap, replication, said = update["ldap"], update["replication"], update["message"]
    if _is_green(agreement) or replication in BUSY and not ldap:
        yield _ok("session", said)
    elif replication == 19 and not ldap and seconds is not None:
        yield _ok("session", f"{said} (no longer so: the generations are the same)")
    else:
        yield _broken("session", said, _remedy_of_session(agreement, ldap, replication))


def _remedy_of_session(agreement, ldap, replication):
    if ldap == 49:
        return "bind DN or password are wrong there, or the password expired: set both anew, in the target and here"
    if ldap == 19:
        return "the target has locked the replication manager: unlock it, and correct the password here first"
    if ldap in (-1, -11, 81, 91):
        return "ds_replica.check tells what that port answers"
    if replication == 19:
        return "initialise the target, if its data may be replaced: dsconf INSTANCE repl-agmt init"
    if replication == 3:
        return f"the target's replica does not let the bind DN of {agreement['name']} in: nsDS5ReplicaBindDN there"
    if replication in STOPPED:
        causes = "2, 8: clocks, 4: nsslapd-minssf, 6: no replica, 11: the same id"
        return f"mend the cause at the target ({causes}); then {KICK}"
    return "see the error logs of both servers"
