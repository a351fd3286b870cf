"""
Hosts of a branch reachable through the address of their virtual machine: look, plan, apply, confirm, take back.

.. versionadded:: 0.1.0

In a branch without spare addresses the routable one belongs to the VM, and its host has a link-local one only. One TCP
port of the VM's address (22) leads to the host, whether the VM runs or not; all others to the VM. What the minion is
(workstation or gateway) follows from the pillar ``branch``; see :py:func:`branch_pillar.node`::

    salt '*.rosario' bridge_nat.check
    salt 'ws017.rosario' bridge_nat.status

Rules are loaded by :py:mod:`bridge_nat_tables`; :py:mod:`bridge_nat_host` knows the bridge, :py:mod:`bridge_nat_flows`
a gateway's connections, and :py:mod:`bridge_nat_guard` takes back what nobody confirmed. Requires root, iproute2, and
nft, or ebtables and iptables; on a gateway conntrack.
"""

import contextlib
import socket
import xml.etree.ElementTree as ET
from pathlib import Path

import onepass_lib
import salt.utils.path
from salt.exceptions import CommandExecutionError

onepass_lib.look(__file__)

from onepass_lib.bridge_nat import boot, desired, report
from onepass_lib.bridge_nat import plan as plans

__virtualname__ = "bridge_nat"

WAYS = ("nft", "ebtables")
LIBVIRT = ("libvirt-sock", "virtqemud-sock")


def __virtual__():
    return __virtualname__


def capabilities():
    """
    What this host can do, probed by loading real rules into a network namespace that nobody sees.

    Returns:
        ``way`` (the one that ``auto`` takes, or ``None``), ``nft`` and ``ebtables`` (``works``, or what stands against
        it), ``conntrack``, ``virsh`` and ``systemd`` (whether they are there).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat.capabilities

    .. versionadded:: 0.1.0
    """
    probed = __salt__["bridge_nat_tables.probe"]()
    return {
        "way": next((way for way in WAYS if not probed[way]), None),
        **{way: probed[way] or "works" for way in WAYS},
        **{program: bool(salt.utils.path.which(program)) for program in ("conntrack", "virsh")},
        "systemd": Path("/run/systemd/system").is_dir(),
    }


def observe(role, name, arguments):
    """
    All that a plan needs, each kind read once.

    role
        ``workstation`` or ``gateway``.
    name
        The bridge, or the gateway's device towards the branch.
    arguments
        Those of the state, with defaults filled in: see :py:func:`branch_pillar.node`.

    Returns:
        ``host`` (:py:func:`bridge_nat_host.observe`), ``loaded`` and ``wanted`` (rules in normal form), ``files``
        there, ``boot`` (files wanted), ``flows`` (older than the rules) and ``way``.

    Raises ``CommandExecutionError`` when neither way works, and when a VM's MAC is not that of its libvirt domain.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc bridge_nat.observe

    .. versionadded:: 0.1.0
    """
    keys = list(desired.sysctls(name, True)) if role == "gateway" else []
    host = __salt__["bridge_nat_host.observe"](keys)
    plans.host(role, name, arguments, host)  # refuses a host that has not even the device
    loaded = __salt__["bridge_nat_tables.loaded"](arguments["way"] if arguments["way"] != "auto" else "nft")
    way = _way(arguments["way"], loaded)
    device = arguments.get("uplink", name)
    mac = host["links"].get(device, {}).get("mac")
    files = __salt__["bridge_nat_host.read_files"]()
    texts = desired.texts(role, name, arguments, way, mac)
    kept = {path.rpartition("/")[2]: text for path, text in files.items() if "/onepass/bridge_nat/" in path}
    wanted = __salt__["bridge_nat_tables.normal"](texts, role, device, kept)
    rules = boot.rules(wanted, texts)
    if wanted != loaded:
        _refuse_wrong_macs(arguments.get("vms", ()))
    return {
        "host": host,
        "way": way,
        "loaded": loaded,
        "wanted": wanted,
        "files": files,
        "boot": boot.files(role, name, arguments, rules, salt.utils.path.which, mac),
        "flows": __salt__["bridge_nat_flows.stale"](arguments, host["links"]) if role == "gateway" else [],
    }


def plan(role, name, arguments, observed):
    """
    The steps to the wanted world. Pure.

    role, name, arguments
        As for :py:func:`observe`.
    observed
        What :py:func:`observe` answered.

    Returns:
        List of steps, each with ``do``, ``what``, ``old``, ``new`` and how it is done.

    Raises ``CommandExecutionError`` when the host cannot be brought there.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc bridge_nat.plan

    .. versionadded:: 0.1.0
    """
    return plans.steps(role, name, arguments, observed)


def plan_absence(name=None):
    """
    The steps that remove all that is ours: rules, boot files, and the bridge with its address.

    The uplink gets no address back: what it had before is not known any more.

    name
        The bridge to remove. Default: none is removed.

    Returns:
        List of steps as of :py:func:`plan`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat.plan_absence

    .. versionadded:: 0.1.0
    """
    loaded, there = __salt__["bridge_nat_tables.loaded"]("ebtables"), __salt__["bridge_nat_host.read_files"]()
    return plans.absence(name, loaded, there, __salt__["bridge_nat_host.observe"]())


def act(step, within=0):
    """
    Execute a step of a plan; with a guard, what undoes it is written down before.

    step
        One of a plan's steps.
    within
        Seconds until the change is taken back unless it is confirmed. Default 0: no guard.

    Raises ``CommandExecutionError`` with what the program said.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc bridge_nat.act

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    if within:
        undo = __salt__["bridge_nat_host.undo"](step)
        if "rules" in step:
            undo["commands"] = plans.replay(step["loaded"], step["rules"])
        __salt__["bridge_nat_guard.arm"](step["what"], undo, within)
    if "rules" in step:
        return __salt__["bridge_nat_tables.load"](step["rules"], step["loaded"])
    if "flows" in step:
        return __salt__["bridge_nat_flows.delete"](step["flows"])
    return __salt__["bridge_nat_host.act"](step)


def apply(within=None, test=False):
    """
    This minion is what the pillar says: the bridge, the rules in one transaction, the boot files; a timer takes all of
    it back unless it is confirmed. To be run from the master, not through a connection that the change might cut.

    within
        Seconds until it is taken back. Default: the pillar's ``branch:confirm:within``; 0 for no timer.
    test
        Answer what would be changed. Default ``False``.

    Returns:
        ``{object: {old, new}}``, empty when nothing had to be done.

    Raises ``CommandExecutionError`` when this minion is no part of a branch, or a step fails; the timer then runs on.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws017.rosario bridge_nat.apply test=True

    .. versionadded:: 0.1.0
    """
    node = _node()
    steps = plan(*_place(node), observe(*_place(node)))
    if not test:
        for step in steps:
            act(step, node["confirm"]["within"] if within is None else within)
    return __salt__["onepass.changes"](steps)


def proof(reach=None, timeout=5):
    """
    What proves that this host is still reachable, as a text.

    A *new* connection does: to any of the addresses, or without addresses to the master. That a job of the master's
    came in does not: it may have come through a connection that is older than the change, or from a schedule.

    reach
        List of ``address:port`` at headquarters. Default: the master.
    timeout
        Seconds for each connection. Default 5.

    Raises ``CommandExecutionError`` when nothing does.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat.proof '["127.0.0.1:22"]'

    .. versionadded:: 0.1.0
    """
    tried = []
    for address in reach or _master():
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout):
                return f"a new connection to {address}"
        except (OSError, ValueError) as err:
            tried.append(f"{address}: {err}")
    raise CommandExecutionError(
        f"Nothing proves that this host is reachable ({'; '.join(tried) or 'no address to try'}); name "
        "branch:confirm:reach"
    )


def confirm(reach=None, timeout=5, force=False):
    """
    The pending change stays, once something proves that the host is still reachable.

    reach, timeout
        As for :py:func:`proof`; default of ``reach``: the pillar's ``branch:confirm:reach``, else the master.
    force
        Take your word for it. Default ``False``.

    Returns:
        The proof, or that nothing was pending.

    Raises ``CommandExecutionError`` when nothing proves it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat.confirm

    .. versionadded:: 0.1.0
    """
    if not __salt__["bridge_nat_guard.pending"]():
        return "nothing is pending"
    given = reach or (__pillar__.get("branch") or {}).get("confirm", {}).get("reach")
    said = "confirmed by hand" if force else proof(given, timeout)
    if not __salt__["bridge_nat_guard.confirm"]():
        raise CommandExecutionError("Too late: the change has just been taken back")
    return said


def rollback():
    """
    The pending change is taken back now.

    Returns:
        ``undone`` and ``errors``, or ``None`` if nothing was pending.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat.rollback

    .. versionadded:: 0.1.0
    """
    return __salt__["bridge_nat_guard.rollback"]()


def remove(bridge=None, test=False):
    """
    Nothing of ours is left: rules, boot files and, if it is named, the bridge. Not undone by any timer.

    bridge
        The bridge to remove as well. Default: it stays.
    test
        Answer what would be removed. Default ``False``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat.remove test=True

    .. versionadded:: 0.1.0
    """
    steps = plan_absence(bridge)
    for step in () if test else steps:
        act(step)
    return __salt__["onepass.changes"](steps)


def explain():
    """
    The rules of this minion in words, the blog's loose commands for the same, and the rules as the programs take them.

    Returns:
        ``role``, ``words``, ``blog`` and ``rules`` (program to text).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws017.rosario bridge_nat.explain

    .. versionadded:: 0.1.0
    """
    node = _node()
    role, name, arguments = _place(node)
    way = arguments["way"] if arguments["way"] != "auto" else "nft"
    return {
        "role": role,
        "words": report.words(role, name, arguments),
        "blog": report.blog(role, name, arguments),
        "rules": desired.texts(role, name, arguments, way, "the uplink's MAC"),
    }


def status():
    """
    The support card of this minion: what it is, whether its VM is up, what the rules counted, what is pending.

    ``last ARP`` and ``last login`` are known with nft only, for 30 days, and since the rules were last loaded; a login
    is a new connection to the port, whether or not anybody was let in.

    Returns:
        ``role``, ``way``, ``counters`` (packets), ``vms`` (name to ``address``, ``up``, ``last ARP`` and ``last login``
        in seconds ago), ``pending``, ``taken back``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws017.rosario bridge_nat.status

    .. versionadded:: 0.1.0
    """
    node = _node()
    role, name, arguments = _place(node)
    loaded = __salt__["bridge_nat_tables.loaded"]("ebtables")
    counted = __salt__["bridge_nat_tables.counters"]()
    answered, logins = counted.pop("answered"), counted.pop("logins")
    vms = {
        vm["name"]: {
            "address": vm["ip"],
            "up": _is_up(name, arguments["uplink"], vm),
            "last ARP": answered.get(vm["ip"]),
            "last login": logins.get(vm["ip"]),
        }
        for vm in arguments.get("vms", ())
    }
    way = "nft" if "nft" in loaded else "ebtables" if loaded else None
    pending, last = __salt__["bridge_nat_guard.pending"](), __salt__["bridge_nat_guard.last"]()
    return {"role": role, "way": way, "counters": counted, "vms": vms, "pending": pending, "taken back": last}


def check():
    """
    Every condition that the trick needs on this minion, each ``ok``, ``repairable`` (by the state) or ``broken``.

    By the pillar that the minion has: after an edit, ``saltutil.refresh_pillar`` first, as for any function.

    Returns:
        Condition to ``state``, ``evidence`` and, unless it is ok, ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws017.rosario bridge_nat.check

    .. versionadded:: 0.1.0
    """
    node = _node()
    role, name, arguments = _place(node)
    observed, found = None, {}
    try:
        observed = observe(role, name, arguments)
        found.update(_planned(role, plan(role, name, arguments, observed), observed))
    except CommandExecutionError as err:
        found["plan"] = _broken(str(err), "see there")
    host = observed["host"] if observed else __salt__["bridge_nat_host.observe"]()
    found.update(__salt__["bridge_nat_check.conditions"](role, name, arguments, host, observed and observed["way"]))
    pending = __salt__["bridge_nat_guard.pending"]()
    if pending:
        evidence = f"{', '.join(pending['steps'])} will be taken back in {pending['seconds']} s"
        found["confirmed"] = _broken(evidence, "bridge_nat.confirm, from a new connection")
    return found


def adopt(take=False):
    """
    The blog's loose rules that are on this host; taken over, ours are loaded first and then the loose ones deleted.

    Loose are arpreply, redirect and REDIRECT rules for this host's VMs, and SNAT rules for the branch, in the nat
    tables of ebtables and iptables. No other rule is touched.

    take
        Take them over; taken back as a whole unless it is confirmed, see :py:func:`apply`. Default ``False``: only show
        them.

    Returns:
        ``loose`` (commands that would make them) and ``changes``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws017.rosario bridge_nat.adopt

    .. versionadded:: 0.1.0
    """
    node = _node()
    changes = apply() if take else {}
    loose = __salt__["bridge_nat_tables.loose"](node["role"], node["arguments"])
    for step in plans.loose(loose) if take else ():
        act(step, node["confirm"]["within"])
        changes.update(__salt__["onepass.changes"]([step]))
    return {"loose": [f"{rule['program']} -t nat {rule['line']}" for rule in loose], "changes": changes}


# What this minion is


def _node():
    node = __salt__["branch_pillar.node"]()
    if not node["role"]:
        __salt__["branch_pillar.check"]()
        raise CommandExecutionError(f"{__grains__['id']} is neither a workstation nor the gateway of its branch")
    return node


def _place(node):
    return node["role"], node["name"], node["arguments"]


def _way(asked, loaded):
    """What runs is kept; else what works is taken."""
    if asked != "auto":
        return asked
    if loaded:
        return "nft" if "nft" in loaded else "ebtables"
    can = capabilities()
    if not can["way"]:
        raise CommandExecutionError(f"Neither way works here. nft: {can['nft']}; ebtables: {can['ebtables']}")
    return can["way"]


def _master():
    uri, port = __opts__.get("master_uri") or "", __opts__.get("master_port", 4506)
    host = uri.removeprefix("tcp://").rpartition(":")[0]
    return [f"{host}:{port}"] if host else []


# Virtual machines


def _virsh(*words):
    """What virsh said; nothing when libvirtd is off, or hangs."""
    with contextlib.suppress(CommandExecutionError):
        return __salt__["onepass_host.run"](["virsh", "--readonly", "--connect", "qemu:///system", *words], timeout=10)
    return ""


def _refuse_wrong_macs(vms):
    """Where libvirt knows a VM, the MAC is that of one of its interfaces."""
    sockets = [Path(__opts__.get("root_dir") or "/", "run/libvirt", name) for name in LIBVIRT]
    there = vms and any(place.exists() for place in sockets) and salt.utils.path.which("virsh")
    domains = _virsh("list", "--all", "--name").split() if there else []
    wrong = []
    for vm in [each for each in vms if each["name"] in domains]:
        described = _virsh("dumpxml", vm["name"])
        macs = [mac.get("address") for mac in ET.fromstring(described or "<none/>").iterfind("devices/interface/mac")]
        if described and vm["mac"] not in macs:
            wrong.append(f"{vm['name']}: {vm['mac']}, but its libvirt domain has {', '.join(macs) or 'none'}")
    if wrong:
        raise CommandExecutionError(
            f"A wrong MAC would take the VM off the network. {'; '.join(wrong)}. Correct vm:mac"
        )


def _is_up(bridge, uplink, vm):
    """Whether the VM's MAC was learned on another port than the uplink; one that is silent is forgotten after 300 s."""
    entries = __salt__["bridge_nat_check.learned"](bridge)
    return any(port != uplink for port in entries.get(vm["mac"], ()))


# Conditions


def _broken(evidence, remedy):
    return {"state": "broken", "evidence": evidence, "remedy": remedy}


def _planned(role, steps, observed):
    """What the state would do is repairable; the rest of what it looks after is ok."""
    groups = {"rules": ("load",), "host": ("create", "add", "remove", "set"), "flows": ("delete",), "boot": ("write",)}
    found = {}
    for group, verbs in groups.items():
        mine = [step for step in steps if step["do"] in verbs]
        if group == "flows" and role != "gateway":
            continue
        if group == "flows" and not salt.utils.path.which("conntrack"):
            found[group] = _broken(
                "conntrack is not installed: flows older than the rules cannot be seen", "install conntrack"
            )
        elif mine:
            evidence = "; ".join(f"{step['what']}: {step['old']!r}, not {step['new']!r}"[:200] for step in mine)
            found[group] = {"state": "repairable", "evidence": evidence, "remedy": f"state.apply branch.{_sls(role)}"}
        else:
            found[group] = {
                "state": "ok",
                "evidence": f"as wanted, by {observed['way']}" if group == "rules" else "as wanted",
            }
    return found


def _sls(role):
    return "host" if role == "workstation" else "gateway"
