"""
The backend ``bridge`` of :py:mod:`dnsmasq_fwd`: a bridge, NAT and dnsmasq of our own, without libvirt's.

.. versionadded:: 0.1.0

The files are all there is: a configuration, names, reservations, forwarders, NAT and a systemd unit that brings all of
it back at boot. Where systemd does not run the host, dnsmasq is started as the daemon that it is. Names and
reservations of others (clones) are files in ``hosts.d`` and ``dhcp-hosts.d`` beside ours, which dnsmasq sees at once::

    salt-call --local -m . dnsmasq_bridge.card lab

Requires root, iproute2, procps, dnsmasq and, for NAT, nft.
"""

import difflib
import os
import signal
from pathlib import Path

import onepass_lib
import salt.utils.path
from salt.exceptions import CommandExecutionError

onepass_lib.look(__file__)

from onepass_lib.dnsmasq import texts

WITHIN = 5
FORWARD = "/proc/sys/net/ipv4/ip_forward"


def __virtual__():
    return "dnsmasq_bridge"


def observe(network):
    """
    All that a plan needs of a stand-alone network.

    network
        A complete network with its ``bridge``: :py:func:`dnsmasq_model.complete`.

    Returns:
        ``link`` (of the bridge, or ``None``), ``ports``, ``files`` (path to text of those that are there), ``nat`` and
        ``wanted_nat`` (in nft's normal form), ``forwards``, ``pid`` (of our dnsmasq), ``config`` (the mark of what it
        was started with), ``upstreams`` (what it has read), ``enabled`` (the unit, where systemd runs), ``others``
        (what :py:func:`dnsmasq_host.others` answered).

    Raises ``CommandExecutionError`` when dnsmasq does not take the options.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc dnsmasq_bridge.observe

    .. versionadded:: 0.1.0
    """
    name, links = network["name"], __salt__["dnsmasq_host.links"]()
    files = {path: __salt__["onepass_host.read"](path) for path in _paths(name)}
    wanted = texts.files(network)
    if files.get(_config(name)) != wanted[_config(name)]:
        __salt__["dnsmasq_host.syntax"](wanted[_config(name)].splitlines())
    pid = _pid(name)
    address = _address(files.get(_config(name)), links.get(network["bridge"])) if pid else None
    return {
        "link": links.get(network["bridge"]),
        "ports": [device for device, link in links.items() if link["master"] == network["bridge"]],
        "files": {path: text for path, text in files.items() if text is not None},
        "nat": _loaded(name),
        "wanted_nat": _normal(name, texts.nat(network)) if network["nat"] else None,
        "forwards": (__salt__["onepass_host.read"](FORWARD) or "").strip() == "1",
        "pid": pid,
        "config": __salt__["dnsmasq_query.config"](address) if address else None,
        "upstreams": __salt__["dnsmasq_query.upstreams"](address) if address else None,
        "enabled": _enabled(name),
        "others": __salt__["dnsmasq_host.others"](network["network"], network["bridge"]),
    }


def plan(network, observed, restart=False):
    """
    The steps to the wanted network. Pure. A restart of dnsmasq cuts off no guest: the bridge stays.

    network
        A complete network with its ``bridge``.
    observed
        What :py:func:`observe` answered.
    restart
        Not needed by this backend.

    Returns:
        List of steps: ``do``, ``what``, ``old``, ``new``, ``needs`` (``nothing`` or ``a restart of dnsmasq``), ``act``
        and what that needs.

    Raises ``CommandExecutionError`` when the bridge's name is that of another kind of device, or of a bridge that has
    addresses and is not ours, when the network is on another bridge already, and before it takes addresses that another
    device of this host has or reaches.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc dnsmasq_bridge.plan

    .. versionadded:: 0.1.0
    """
    _refuse_other(network, observed)
    name, files = network["name"], texts.files(network)
    # Files first: what is there of an interrupted run is told by them.
    steps = _file_steps(files, observed["files"]) + _bridge_steps(network, observed["link"])
    if network["nat"] and not observed["forwards"]:
        steps.append(_step("set", "net.ipv4.ip_forward", "0", "1", "commands", commands=[_forwarding(network)]))
    if observed["nat"] != observed["wanted_nat"]:
        steps.append(_nat_step(network, observed))
    steps += _daemon_steps(network, files, observed)
    if observed["enabled"] is False:
        steps.append(_step("set", f"start of {name} at boot", False, True, "enable"))
    return [{"name": name, **step} for step in steps]


def plan_absence(name, force=False):
    """
    The steps after which nothing of a stand-alone network is there.

    name
        The network.
    force
        Although guests are on its bridge. Default ``False``.

    Returns:
        List of steps as of :py:func:`plan`.

    Raises ``CommandExecutionError`` when guests are on it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_bridge.plan_absence lab

    .. versionadded:: 0.1.0
    """
    files = {path: __salt__["onepass_host.read"](path) for path in [*_paths(name), _leases(name)]}
    files = {path: text for path, text in files.items() if text is not None}
    links = __salt__["dnsmasq_host.links"]()
    bridge = _setting(files.get(_config(name)), "interface")
    ports = [device for device, link in links.items() if bridge and link["master"] == bridge]
    if ports and not force:
        raise CommandExecutionError(f"{', '.join(ports)} are on the network {name}: move them first, or force: True")
    steps = []
    if _pid(name) or _enabled(name):
        steps.append(_step("stop", f"dnsmasq of {name}", "running", None, "stop"))
    if _loaded(name):
        table = texts.table(name)
        argv = ["nft", "delete", "table", "ip", table]
        steps.append(_step("remove", f"NAT of {name}", "loaded", None, "commands", commands=[argv]))
    if links.get(bridge, {}).get("kind") == "bridge":
        argv = ["ip", "link", "delete", "dev", bridge]
        steps.append(_step("remove", f"bridge {bridge}", "present", None, "commands", commands=[argv]))
    # The configuration goes last: it alone says which bridge is ours.
    last = sorted(files, key=lambda path: path == _config(name))
    steps += [_step("remove", path, "present", None, "write", path=path, text=None) for path in last]
    return [{"name": name, **step} for step in steps]


def act(step):
    """
    Execute a step of a plan.

    step
        One of a plan's steps.

    Raises ``CommandExecutionError`` with what the program said.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc dnsmasq_bridge.act

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    ACTS[step["act"]](step)


def card(name):
    """
    What a stand-alone network is at this moment.

    name
        The network.

    Returns:
        As :py:func:`dnsmasq_libvirt.card`.

    Raises ``CommandExecutionError`` when there is no such network.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_bridge.card lab

    .. versionadded:: 0.1.0
    """
    text = __salt__["onepass_host.read"](_config(name))
    if text is None:
        raise CommandExecutionError(f"There is no network {name} of ours: no {_config(name)}")
    root, bridge = texts.place(name), _setting(text, "interface")
    address = _address(text, __salt__["dnsmasq_host.links"]().get(bridge))
    lines = (__salt__["onepass_host.read"](f"{root}/addnhosts") or "").splitlines()
    reserved = [line.split(",") for line in (__salt__["onepass_host.read"](f"{root}/hostsfile") or "").splitlines()]
    leases = [line.split() for line in (__salt__["onepass_host.read"](_leases(name)) or "").splitlines()]
    pid = _pid(name)
    seen = __salt__["dnsmasq_query.config"](address) if pid and address else None
    stale = seen != texts.config_mark(text)
    return {
        "running": bool(pid),
        "address": address,
        "bridge": bridge,
        "domain": _setting(text, "domain"),
        "names": {each.split()[1]: [each.split()[0]] for each in lines},
        "reservations": {mac: [host, ip] for mac, ip, host in reserved},
        "pending": {"configuration": "dnsmasq was started with another one"} if pid and stale else {},
        "servers": __salt__["onepass_host.read"](f"{root}/servers"),
        "leases": [
            {"name": each[3] if each[3] != "*" else None, "address": each[2], "mac": each[1]}
            for each in leases
            if len(each) == 5 and each[0] != "duid"
        ],
    }


def leases(mac):
    """
    The IPv4 leases that dnsmasqs of our own gave to a MAC.

    mac
        The guest's, in small letters.

    Returns:
        List of mappings: ``address``, ``client_id`` (or ``None``), ``device`` (the bridge) and ``server``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_bridge.leases 52:54:00:bf:57:bb

    .. versionadded:: 0.1.0
    """
    found = []
    for file in sorted(Path(_leases("*")).parent.glob(Path(_leases("*")).name)):
        name = file.name.removeprefix(Path(_leases("")).stem).removesuffix(".leases")
        held = [line.split() for line in (__salt__["onepass_host.read"](file) or "").splitlines()]
        own = [each for each in held if len(each) == 5 and each[1] == mac]
        now = card(name) if own and __salt__["onepass_host.read"](_config(name)) else {"running": False}
        if now["running"]:  # else nobody is there to take a lease back
            place = {"device": now["bridge"], "server": now["address"]}
            found += [{"address": each[2], "client_id": each[4] if each[4] != "*" else None, **place} for each in own]
    return found


# What is there


def _config(name):
    return f"{texts.place(name)}/dnsmasq.conf"


def _unit(name):
    return f"/etc/systemd/system/{_service(name)}"


def _service(name):
    return texts.unit_name(name)


def _paths(name):
    root = texts.place(name)
    return [
        *(f"{root}/{each}" for each in ("addnhosts", "hostsfile", "servers", "nat.nft", "dnsmasq.conf")),
        _unit(name),
    ]


def _leases(name):
    return f"/var/lib/misc/onepass-dnsmasq-{name}.leases"


def _setting(config, key):
    begin = f"{key}="
    return next((line.removeprefix(begin) for line in (config or "").splitlines() if line.startswith(begin)), None)


def _address(config, link):
    """Where our dnsmasq listens: the bridge's own address."""
    return link["addresses"][0].partition("/")[0] if config and link and link["addresses"] else None


def _pid(name):
    return __salt__["dnsmasq_host.process"](f"/run/onepass-dnsmasq-{name}.pid", [f"--conf-file={_config(name)}"])


def _enabled(name):
    """Whether it starts at boot; ``None`` where systemd does not run the host."""
    if not __salt__["onepass_host.has_systemd"]():
        return None
    return Path(f"/etc/systemd/system/multi-user.target.wants/{_service(name)}").is_symlink()


def _loaded(name):
    """Our nft table as nft lists it, or ``None``."""
    if not salt.utils.path.which("nft"):
        return None
    table = texts.table(name)
    if f"ip {table}" not in __salt__["onepass_nft.tables"]():
        return None
    return __salt__["onepass_nft.run"](f"list table ip {table}")


def _normal(name, text):
    """The same text as nft would list it: loaded into a network namespace that nobody sees."""

    def loaded():
        __salt__["onepass_nft.run"](text)
        return _loaded(name)

    return __salt__["onepass_host.in_new_network"](loaded)


# Steps


def _step(verb, what, old, new, how, needs="nothing", **more):
    return {"do": verb, "what": what, "old": old, "new": new, "needs": needs, "act": how, **more}


def _forwarding(network):
    return next(argv for argv in texts.commands(network) if argv[0] == "sysctl")


def _refuse_other(network, observed):
    """The host's own bridge loses no address to us, and no bridge of ours is forgotten."""
    name, bridge, link = network["name"], network["bridge"], observed["link"]
    if link and link["kind"] != "bridge":
        raise CommandExecutionError(f"{bridge} is a device already, and no bridge ({link['kind']}): give another name")
    had = _setting(observed["files"].get(_config(name)), "interface")
    if had and had != bridge:
        raise CommandExecutionError(f"{name} is on the bridge {had}: give bridge: {had}, or dnsmasq_fwd.absent first")
    if link and link["addresses"] and not had:
        theirs = ", ".join(link["addresses"])
        raise CommandExecutionError(f"{bridge} is somebody else's bridge, with {theirs}: give another name")
    if observed["others"] and network["address"] not in (link or {"addresses": []})["addresses"]:
        raise CommandExecutionError(
            f"{network['network']} of {name} is in use on this host already, by {observed['others']}: "
            f"give another address"
        )


def _bridge_steps(network, link):
    bridge, address = network["bridge"], network["address"]
    make, give, up = texts.commands(network)[:3]
    had = link["addresses"] if link else []
    steps = [] if link else [_step("create", f"bridge {bridge}", None, "present", "commands", commands=[make])]
    if had != [address]:
        gone = [["ip", "address", "delete", each, "dev", bridge] for each in had if each != address]
        step = _step("set", f"address of {bridge}", had, [address], "commands", commands=[*gone, give])
        steps.append(step)
    if not link or not link["up"]:
        steps.append(_step("set", f"state of {bridge}", "down", "up", "commands", commands=[up]))
    return steps


def _file_steps(wanted, there):
    steps = []
    for path, text in wanted.items():
        if there.get(path) != text:
            verb, (old, new) = ("change" if path in there else "create"), _lines(there.get(path), text)
            steps.append(_step(verb, path, old, new, "write", path=path, text=text))
    gone = [path for path in there if path not in wanted]
    return steps + [_step("remove", path, "present", None, "write", path=path, text=None) for path in gone]


def _lines(old, new):
    """The lines that go and those that come."""
    difference = list(difflib.unified_diff((old or "").splitlines(), new.splitlines(), n=0, lineterm=""))[2:]
    gone, come = ([line[1:] for line in difference if line[0] == sign] for sign in "-+")
    return (gone if old is not None else None), come


def _nat_step(network, observed):
    name, what = network["name"], f"NAT of {network['name']}"
    table = texts.table(name)
    gone = [["nft", "add", "table", "ip", table], ["nft", "delete", "table", "ip", table]]
    if not network["nat"]:
        return _step("remove", what, "loaded", None, "commands", commands=gone)
    old, new = _lines(observed["nat"], observed["wanted_nat"])
    load = [argv for argv in texts.commands(network) if argv[0] == "nft"]
    return _step("load", what, old, new, "commands", commands=load)


def _daemon_steps(network, files, observed):
    name, root = network["name"], texts.place(network["name"])
    mark = texts.config_mark(files[_config(name)])
    generation = texts.marked(files[f"{root}/servers"])
    more = {"config": mark, "mark": generation, "address": network["gateway"]}
    what = f"dnsmasq of {name}"
    if not observed["pid"]:
        return [_step("start", what, "stopped", "running", "start", **more)]
    if observed["config"] != mark:
        old, new = "an earlier configuration", "this configuration"
        return [_step("restart", what, old, new, "start", "a restart of dnsmasq", **more)]
    if generation not in (observed["upstreams"] or {}):
        new = "forwarders, names and reservations as in its files"
        return [_step("load", what, "an earlier generation", new, "reload", **more)]
    return []


# Acts


def _commands(step):
    for argv in step["commands"]:
        __salt__["onepass_host.run"](argv)


def _write(step):
    for folder in ("hosts.d", "dhcp-hosts.d") if step["text"] is not None else ():
        root = Path(texts.place(step["name"]))
        (root / folder).mkdir(parents=True, exist_ok=True)
    __salt__["onepass_host.write"](step["path"], step["text"])
    if step["path"].endswith(".service") and __salt__["onepass_host.has_systemd"]():
        __salt__["onepass_host.run"](["systemctl", "daemon-reload"])
    if step["text"] is None and step["path"] == _config(step["name"]):
        for folder in ("hosts.d", "dhcp-hosts.d", "."):
            _remove_empty(Path(step["path"]).parent / folder)


def _remove_empty(folder):
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _start(step):
    """Running with this configuration, proven by what it answers."""
    name = step["name"]
    Path(_leases(name)).parent.mkdir(parents=True, exist_ok=True)
    if __salt__["onepass_host.has_systemd"]():
        __salt__["onepass_host.run"](["systemctl", "restart", _service(name)])
    else:
        _kill(name)
        __salt__["onepass_host.run"](["dnsmasq", f"--conf-file={_config(name)}"])

    def answers():
        seen = __salt__["dnsmasq_query.config"](step["address"], timeout=0.5)
        return seen == step["config"], seen or f"nothing answers at {step['address']}"

    __salt__["onepass.wait"](answers, f"the dnsmasq of {name} to answer", WITHIN, interval=0.01)
    _served(step)


def _reload(step):
    __salt__["dnsmasq_host.hang_up"](_pid(step["name"]))
    _served(step)


def _served(step):
    def served():
        seen = __salt__["dnsmasq_query.upstreams"](step["address"]) or {}
        return step["mark"] in seen, f"{len(seen)} forwarders of an earlier generation"

    __salt__["onepass.wait"](served, f"the dnsmasq of {step['name']} to have its files", WITHIN, interval=0.01)


def _enable(step):
    __salt__["onepass_host.run"](["systemctl", "enable", _service(step["name"])])


def _stop(step):
    if __salt__["onepass_host.has_systemd"]():
        __salt__["onepass_host.run"](["systemctl", "disable", "--now", _service(step["name"])])
    _kill(step["name"])


def _kill(name):
    pid = _pid(name)
    if not pid:
        return
    os.kill(pid, signal.SIGTERM)
    ended = __salt__["dnsmasq_host.has_ended"]
    __salt__["onepass.wait"](lambda: (ended(pid), "it still runs"), f"dnsmasq {pid} to end", WITHIN, 0.01)


ACTS = {
    "commands": _commands,
    "write": _write,
    "start": _start,
    "reload": _reload,
    "enable": _enable,
    "stop": _stop,
}
