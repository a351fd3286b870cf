"""
What a 389 Directory Server says of itself and of its replication, in the words in which it is judged. Nothing is
written.

.. versionadded:: 0.1.0

The conditions (:py:mod:`ds_rules`) are made of what is read here. To see it, on a host with a server::

    salt-call --local -m . ds_read.observe ldapi:///run/slapd-bank.socket
"""

import contextvars
import time
from concurrent.futures import ThreadPoolExecutor

from salt.exceptions import CommandExecutionError

__virtualname__ = "ds_read"

SETTINGS = {
    "host": "nsslapd-localhost",
    "port": "nsslapd-port",
    "secure_port": "nsslapd-secureport",
    "security": "nsslapd-security",
    "certificates": "nsslapd-certdir",
    "expiry": "passwordexp",
    "lockout": "passwordlockout",
    "ignore_skew": "nsslapd-ignore-time-skew",
}
MAPPING = "cn=mapping tree,cn=config"
# Never among them: nsds5ReplicaCredentials.
TREE = (
    *(
        "cn",
        "objectclass",
        "nsslapd-state",
        "nsslapd-backend",
        "nsds5replicaroot",
        "nsds5replicaid",
        "nsds5replicatype",
    ),
    *("nsds5flags", "nsds5replicabinddn", "nsds5replicacleanruv", "nsds5replicahost", "nsds5replicaport"),
    "nsds5replicapurgedelay",
    *("nsds5replicatransportinfo", "nsds5replicabindmethod", "nsds5replicaenabled", "nsds5beginreplicarefresh"),
    *("nsds5replicalastupdatestatus", "nsds5replicalastupdatestatusjson", "nsds5replicalastinitstatus"),
    *("nsds5replicalastinitstatusjson", "nsds5replicalastinitstart", "nsds5replicalastinitend"),
    *("nsds5replicalastupdatestart", "nsds5replicachangessentsincestartup"),
)
VECTOR = "(&(nsuniqueid=ffffffff-ffffffff-ffffffff-ffffffff)(objectClass=nsTombstone))"
# Without its class an entry that lost a name is not found; a parent that replication had to make anew has another one.
CONFLICTS = "(&(objectClass=ldapSubEntry)(nsds5ReplConflict=*))", "(&(objectClass=glue)(nsds5ReplConflict=*))"
KEPT_ALIVE = "(&(objectClass=ldapSubEntry)(cn=repl keep alive*))"  # entries that suppliers make for themselves
ROLES = {("3", "1"): "supplier", ("2", "1"): "hub", ("2", "0"): "consumer"}


def __virtual__():
    return __virtualname__


def all_of(servers, login=None, timeout=5):
    """
    What several servers say, asked side by side: a silent one costs its time once.

    servers
        List of addresses, see :py:mod:`ds_client`.
    login
        See :py:mod:`ds_client`. Default: none.
    timeout
        Seconds for each server. Default 5.

    Returns:
        List of observations, see :py:func:`observe`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_read.all_of '[ldaps://ds1.dc, ldaps://ds2.dc]' login=ds389:login

    .. versionadded:: 0.1.0
    """
    for server in servers:
        __salt__["ds_client.address"](server)
    with ThreadPoolExecutor(max(1, min(32, len(servers)))) as pool:
        # Salt's loader finds __salt__ by a context of the thread's own.
        asked = [pool.submit(contextvars.copy_context().run, observe, server, login, timeout) for server in servers]
        return [each.result() for each in asked]


def observe(server, login=None, timeout=5):
    """
    What a server says.

    server, login
        See :py:mod:`ds_client`.
    timeout
        Seconds. Default 5.

    Returns:
        ``server``; ``fault`` and ``kind`` (``None``, or why it could not be asked); ``version``; ``clock`` (seconds
        that it is ahead of this host); ``started`` (when, by its own clock); ``settings``; ``ports`` (on its own host:
        what they answer); ``certificate``; ``managers`` (who may replicate to it: ``expires``, ``locked``) and
        ``suffixes``, by names in small letters, each with ``state``, ``replica``, ``ruv``, ``agreements``,
        ``conflicts`` (``hidden``: why not all of them), ``entries`` (how many), ``empty`` and ``readonly``. What the
        login may not see is ``None``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_read.observe ldapi:///run/slapd-bank.socket

    .. versionadded:: 0.1.0
    """
    seen = {"server": server, "fault": None, "kind": None, "version": None, "clock": None, "settings": None}
    seen.update(started=None, managers={}, suffixes={}, ports={}, certificate=None)
    known = __salt__["ds_client.credentials"](login) if not server.startswith("ldapi:") else {}
    try:
        with __salt__["ds_client.session"](server, known, timeout) as ask:
            for part in _itself(ask):
                seen.update(part)
            if seen["fault"]:
                return seen
            seen["suffixes"] = _suffixes(ask)
            seen["managers"] = _managers(ask, seen["suffixes"])
        if seen["settings"]:
            seen.update(_ports(seen["settings"], server.startswith("ldapi:"), timeout))
    except CommandExecutionError as err:
        seen.update(fault=str(err), kind=getattr(err, "kind", "broken"))
    return seen


def _itself(ask):
    """In parts, so that of a server that is late those are known that came."""
    answer, mute = ask("", "(objectClass=*)", "base", ["vendorversion"])
    if mute:  # which is there for everybody
        yield {"fault": f"it lets the login in, and answers it nothing: {mute}", "kind": "mute"}
        return
    version = _first(_one((answer, mute)), "vendorversion")
    yield {"version": version}
    monitor = _one(ask("cn=monitor", "(objectClass=*)", "base", ["currenttime", "starttime", "version"]))
    clock, started = (__salt__["ds_values.moment"](_first(monitor, name)) for name in ("currenttime", "starttime"))
    yield {"clock": None if clock is None else round(clock - time.time()), "started": started}
    yield {"version": version or _first(monitor, "version")}
    config = _one(ask("cn=config", "(objectClass=*)", "base", [*SETTINGS.values()]))
    yield {"settings": {key: _first(config, name) for key, name in SETTINGS.items()} if config else None}


def _ports(settings, here, timeout):
    """Whether it listens where its settings say, which only its own host can know, and with which certificate."""
    secure = _whole(settings["secure_port"]) if settings["security"] == "on" else 0
    ports = [number for number in (_whole(settings["port"]), secure) if number and here]
    probed = {number: __salt__["ds_probe.port"](settings["host"], number, timeout=timeout) for number in ports}
    certificate = __salt__["ds_probe.certificate"](settings["host"], secure, timeout) if secure else None
    return {"ports": probed, "certificate": certificate}


def _suffixes(ask):
    """By the mapping tree, in one search; a login that may not see it sees no suffix. Each server has its spelling."""
    tree, _ = ask(MAPPING, "(objectClass=*)", "subtree", TREE)
    readonly = _readonly(ask)
    found = {}
    for entry in tree:
        values = entry["values"]
        if {"cn", "nsslapd-state", "nsslapd-backend"} <= set(values):
            suffix = _first(values, "cn").strip('"')
            backend = (_first(values, "nsslapd-backend") or "").lower()
            seen = {"state": _first(values, "nsslapd-state").lower(), "readonly": readonly.get(backend)}
            found[_dn(suffix)] = {**seen, **_held(ask, suffix), "replica": None, "agreements": []}
    for entry in tree:
        _place(entry, found)
    return found


def _place(entry, suffixes):
    """A replica, or an agreement, at the suffix that it belongs to."""
    values = entry["values"]
    classes = {each.lower() for each in values.get("objectclass", [])}
    suffix = suffixes.get(_dn(_first(values, "nsds5replicaroot")))
    if suffix and "nsds5replica" in classes:
        suffix["replica"] = _replica(values)
    elif suffix and any("agreement" in each for each in classes):
        suffix["agreements"].append(_agreement(values))


def _held(ask, suffix):
    """What the suffix itself tells: its vector, its conflicts, and whether there is anything below its entry."""
    vectors, fault = ask(suffix, VECTOR, "subtree", ["nsds50ruv"])
    values = vectors[0]["values"].get("nsds50ruv", []) if vectors else []
    (conflicts, hidden), (glue, more) = (ask(suffix, each, "subtree", ["nsds5replconflict"]) for each in CONFLICTS)
    top = _one(ask(suffix, "(objectClass=*)", "base", ["numsubordinates"]))
    return {
        "entries": _entries(ask, suffix, top),
        "fault": fault or hidden if top is None else None,  # else it is served, and a limit was met
        "hidden": hidden or more,
        "ruv": __salt__["ds_values.ruv"](values) if values else None,
        "conflicts": list(dict.fromkeys(each["dn"] for each in [*conflicts, *glue])),
        "empty": top is None or _first(top, "numsubordinates") in (None, "0"),
    }


def _entries(ask, suffix, top):
    """By what each says that is below it, so that only those are read that have any; without replication's own."""
    above, fault = ask(suffix, "(numSubordinates=*)", "subtree", ["numsubordinates"])
    if top is None or fault or "numsubordinates" in top and not above:
        return None
    own, _ = ask(suffix, KEPT_ALIVE, "subtree", [])
    return 1 + sum(_whole(_first(each["values"], "numsubordinates")) for each in above) - len(own)


def _readonly(ask):
    backends, _ = ask(
        "cn=ldbm database,cn=plugins,cn=config", "(objectClass=nsBackendInstance)", "level", ["cn", "nsslapd-readonly"]
    )
    return {
        (_first(each["values"], "cn") or "").lower(): _is_on(each["values"], "nsslapd-readonly") for each in backends
    }


def _replica(values):
    kind = (_first(values, "nsds5replicatype"), _first(values, "nsds5flags") or "0")
    return {
        "id": _whole(_first(values, "nsds5replicaid")),
        "role": ROLES.get(kind, "supplier" if kind[0] == "3" else "consumer"),
        "managers": values.get("nsds5replicabinddn", []),
        "cleaning": values.get("nsds5replicacleanruv", []),
        "purge_delay": _whole(_first(values, "nsds5replicapurgedelay")) or None,
    }


def _agreement(values):
    read = __salt__["ds_values.status"]
    update, initial = (f"nsds5replicalast{kind}status" for kind in ("update", "init"))
    return {
        "name": _first(values, "cn"),
        "host": (_first(values, "nsds5replicahost") or "").lower(),
        "port": _whole(_first(values, "nsds5replicaport")),
        "transport": (_first(values, "nsds5replicatransportinfo") or "LDAP").upper(),
        "enabled": (_first(values, "nsds5replicaenabled") or "on").lower() == "on",
        "refresh": _first(values, "nsds5beginreplicarefresh"),
        "update": read(_first(values, f"{update}json") or _first(values, update)),
        "initial": read(_first(values, f"{initial}json") or _first(values, initial)),
        "update_began": __salt__["ds_values.moment"](_first(values, "nsds5replicalastupdatestart")),
        "skipped": _skipped(values),
        "initial_began": __salt__["ds_values.moment"](_first(values, "nsds5replicalastinitstart")),
    }


def _skipped(values):
    """How many changes it left out, told as ``1:8/2``: of replica 1, eight were sent."""
    told = _first(values, "nsds5replicachangessentsincestartup") or ""
    return sum(int(each.rpartition("/")[2]) for each in told.split() if each.rpartition("/")[2].isdecimal())


def _managers(ask, suffixes):
    names = {name for each in suffixes.values() if each["replica"] for name in each["replica"]["managers"]}
    found, now = {}, time.time()
    for name in sorted(names):
        values = _one(ask(name, "(objectClass=*)", "base", ["passwordexpirationtime", "accountunlocktime", "cn"]))
        if values is None:
            found[name] = None
            continue
        expires, unlocks = (
            __salt__["ds_values.moment"](_first(values, key)) for key in ("passwordexpirationtime", "accountunlocktime")
        )
        found[name] = {"expires": expires, "locked": "accountunlocktime" in values and (unlocks or now + 1) > now}
    return found


def _one(answer):
    entries, _ = answer
    return entries[0]["values"] if entries else None


def _first(values, name):
    return next(iter((values or {}).get(name, [])), None)


def _whole(text):
    """A number that a server tells; what is none counts as 0."""
    return __salt__["ds_values.number"](text) or 0


def _is_on(values, name):
    return (_first(values, name) or "off").lower() == "on"


def _dn(text):
    return __salt__["ds_values.dn"](text)
