"""
389 Directory Server: who replicates with whom, how far behind, what is wrong and what to do. Nothing is ever written.

.. versionadded:: 0.1.0

On a host with a server, as root, without any password; and of other servers by a login::

    salt-call --local -m . ds_replica.status
    salt-call ds_replica.status '[ldaps://ds1.dc, ldaps://ds2.dc]' login=ds389:login

The pillar's key ``ds389`` may say what the replication should be. Then ``check`` tells what differs, and ``plan`` what
an administrator would type.

An agreement's own words are no proof. They are green on a target that was rebuilt and lacks everything, on an
agreement that is switched off, and beside clocks that keep servers apart; and red where the next try will do. So each
target that is read too is judged by what it has: its generation, and the last change of every replica
(:py:mod:`ds_rules` has all conditions).

The functions take ``servers``, ``login`` and ``timeout``, which :py:mod:`ds_client` explains. The least account that
can see everything, and its ACIs, stand in ``docs/ds_replica.md``. They require ldap3 in Salt's Python.
"""

import contextlib
import time
from pathlib import Path

from salt.exceptions import CommandExecutionError

__virtualname__ = "ds_replica"

# Seconds in which a change gets everywhere in a sound estate.
SETTLE = 3
# Codes of LDAP by which an agreement says that it cannot connect, whatever the cause.
NO_CONTACT = (-1, -11, 81, 91)


def __virtual__():
    if "ds_client.session" not in __salt__:
        return False, "ds_replica needs ldap3 in Salt's Python: salt-pip install 'ldap3>=2.9'"
    return __virtualname__


def status(servers=None, login=None, timeout=5):
    """
    The servers with their replicas and agreements, and a line per thing that needs somebody.

    ``salt-call`` ends with exit code 1 when there is such a line. A server that is off, frozen or late costs
    ``timeout`` seconds, all of them together once.

    servers
        List of addresses. Default: all servers of this host, by ldapi.
    login
        Path of a mapping with ``bind_dn``, ``password`` and ``ca_file``, for addresses other than ldapi. Default: none.
    timeout
        Seconds for each server. Default 5.

    Returns:
        ``servers``: name to ``address``, ``version``, ``clock`` (seconds ahead of this host), ``certificate`` (days
        that it has), and ``suffixes``: name to ``role``, ``id``, ``generation``, ``entries`` and ``conflicts`` (how
        many) and ``agreements``: name to ``to``, ``enabled``, ``lag`` (seconds by what the target has; ``None``: it was
        not read), ``initialisation`` (``None``, ``armed``, ``running`` or ``stopped``) and ``says``, the agreement's
        own words. ``needs``: list of lines.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_replica.status

    .. versionadded:: 0.1.0
    """
    seen = _seen(servers, login, timeout)
    found = __salt__["ds_rules.conditions"](seen, time.time())
    needs = [_line(each) for each in found if each["state"] == "broken"]
    if needs:
        __context__["retcode"] = 1
    return {"servers": __salt__["ds_report.servers"](seen), "needs": needs}


def check(servers=None, login=None, timeout=5, pillar=None):
    """
    Every condition of a sound replication, each ``ok``, ``broken`` or ``unseen``, with the evidence and what to do; and
    where it is not as the pillar has it.

    Where an agreement says that it has no contact, the target's port is asked from here, which tells a server that is
    off from one whose certificate has another name or an unknown signer, and from TLS that is spoken to a plain port.
    No login is tried.

    servers, login, timeout
        As for :py:func:`status`.
    pillar
        What the replication should be. Default: this minion's key ``ds389``; where it names no replica nothing is
        compared.

    Returns:
        Name of the object and condition, ``ds1.dc:389: dc=bank,dc=example: to ds2: in sync``, to ``state``,
        ``evidence`` and, unless it is ok, ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_replica.check

    .. versionadded:: 0.1.0
    """
    seen = _seen(servers, login, timeout)
    found = [*__salt__["ds_rules.conditions"](seen, time.time()), *_contacts(seen, timeout)]
    if wanted := __salt__["ds_pillar.topology"](pillar):
        found += __salt__["ds_topology.differences"](seen, wanted)
    if any(each["state"] == "broken" for each in found):
        __context__["retcode"] = 1
    return {_name(each): {key: each[key] for key in ("state", "evidence", "remedy") if key in each} for each in found}


def plan(servers=None, login=None, timeout=5, pillar=None):
    """
    What an administrator would type so that the replication becomes what the pillar says, in an order in which nobody's
    data are lost. Nothing of it is run.

    Where data would be lost, or not all servers of the pillar could be read, the reasons are told instead. From the
    master, for servers of which each is asked by its own minion: ``salt-run ds_replica.plan``.

    servers, login, timeout
        As for :py:func:`status`; all servers of the pillar have to be among them.
    pillar
        What the replication should be. Default: this minion's key ``ds389``.

    Returns:
        ``refused`` (list of sentences) and ``commands`` (list of lines, each to be typed on the host that is named at
        its end). Passwords are in none: the commands read them from the pillar's ``password_file``.

    Raises ``CommandExecutionError`` with all faults of the pillar.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_replica.plan

    .. versionadded:: 0.1.0
    """
    wanted = _wanted(pillar)
    return __salt__["ds_plan.lines"](__salt__["ds_plan.steps"](_seen(servers, login, timeout), wanted))


def graph(servers=None, login=None, timeout=5):
    """
    A page for a browser: the servers, suppliers in the middle, and who feeds whom, each with its state.

    servers, login, timeout
        As for :py:func:`status`.

    Returns:
        The page as one text. It needs no network.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_replica.graph | sed 1d > replication.html

    .. versionadded:: 0.1.0
    """
    seen = _seen(servers, login, timeout)
    found = __salt__["ds_rules.conditions"](seen, time.time())
    drawn = __salt__["ds_estate.observed_rings"](seen)
    states = __salt__["ds_estate.states"](seen, found)
    pictures = [__salt__["estate_ring.picture"](each, states) for each in drawn]
    return __salt__["estate_graph.page"]("\n".join(pictures), "389 Directory Server")


def observed(timeout=5):
    """
    What this host's own servers say, asked by ldapi, in a form that goes from minion to master.

    timeout
        Seconds for each server. Default 5.

    Returns:
        List of observations, see :py:func:`ds_read.observe`, with ``now``, this host's time; see
        :py:func:`ds_report.packed`.

    Raises ``CommandExecutionError`` when there is no server.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_replica.observed

    .. versionadded:: 0.1.0
    """
    seen = __salt__["ds_read.all_of"](__salt__["ds_client.local"](), None, _seconds(timeout))
    return [__salt__["ds_report.packed"](one, time.time()) for one in seen]


def _wanted(pillar):
    faults = __salt__["ds_pillar.faults"](pillar)
    if faults:
        raise CommandExecutionError(__salt__["pillar_form.report"]("ds389", faults))
    return __salt__["ds_pillar.wanted"](__salt__["ds_pillar.given"](pillar))


def _seconds(timeout):
    if not isinstance(timeout, (int, float)) or isinstance(timeout, bool) or not 0 < timeout <= 600:
        raise CommandExecutionError(f"timeout is {timeout!r}; seconds are wanted, more than 0 and up to 600")
    return timeout


def _seen(servers, login, timeout):
    _seconds(timeout)
    if servers is None:
        servers = __salt__["ds_client.local"]()
    servers = [servers] if isinstance(servers, str) else servers
    if not isinstance(servers, list) or not servers or not all(isinstance(each, str) for each in servers):
        raise CommandExecutionError(f"servers is {servers!r}; a list of addresses is wanted, such as [ldaps://ds1.dc]")
    seen = __salt__["ds_rules.distinct"](__salt__["ds_read.all_of"](list(dict.fromkeys(servers)), login, timeout))
    return _settled(seen, login, timeout) if __salt__["ds_rules.behind"](seen) else seen


def _settled(seen, login, timeout):
    """What was written just now is on its way: those that answer are read again, for some seconds."""
    living, last = [each["server"] for each in seen if not each["fault"]], [seen]

    def look():
        last[:] = [__salt__["ds_rules.again"](seen, __salt__["ds_read.all_of"](living, login, timeout))]
        return not __salt__["ds_rules.behind"](last[0]), "a target is behind"

    with contextlib.suppress(CommandExecutionError):
        __salt__["onepass.wait"](look, "all targets to have all", SETTLE, interval=0.5)
    return last[0]


def _contacts(seen, timeout):
    """What the ports answer whose agreements have no contact, each asked once and all side by side."""
    places = [*_without_contact(seen)]
    asked = list(dict.fromkeys(port for _, port in places))
    answers = dict(zip(asked, __salt__["ds_probe.ports"](asked, timeout), strict=True))
    return [{**place, "what": "contact", **_contact(answers[port])} for place, port in places]


def _without_contact(seen):
    """Agreements and their ports; a signer is trusted as their own server trusts it."""
    for one in seen:
        trust = (one["settings"] or {}).get("certificates")
        trust = trust if trust and Path(trust).is_dir() else None
        for suffix, held in one["suffixes"].items():
            for each in held["agreements"]:
                if each["update"] and each["update"]["ldap"] in NO_CONTACT:
                    place = {"server": __salt__["ds_rules.named"](one), "suffix": suffix, "agreement": each["name"]}
                    yield place, (each["host"], each["port"], each["transport"], trust)


def _contact(probed):
    if probed["kind"] == "ok":
        return {"state": "ok", "evidence": probed["evidence"]}
    remedy = __salt__["ds_rules.remedy_of_port"](probed["kind"])
    return {"state": "broken", "evidence": probed["evidence"], "remedy": remedy}


def _line(each):
    return f"{_name(each)}: {each['evidence']}; {each['remedy']}"


def _name(each):
    return ": ".join(each[key] for key in ("server", "suffix", "agreement", "what") if each.get(key))
