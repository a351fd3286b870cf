"""
The host around the rules: the bridge, addresses, routes, kernel settings, and what brings all of it back at boot.

.. versionadded:: 0.1.0

``observe`` reads, the plans are pure, and every step is a list of commands together with those that undo it::

    salt-call --local -m . bridge_nat_host.observe

Requires iproute2 and root. The uplink must not be configured by another tool as well (ifupdown, NetworkManager).
"""

import ipaddress
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import salt.utils.path
from salt.exceptions import CommandExecutionError

LINK_LOCAL = ipaddress.ip_network("169.254.0.0/16")
GATEWAY6 = "fe80::1"
OURS = "169"  # the routing protocol number that marks neighbour entries as ours
ETC = "/etc/onepass/bridge_nat"
UNIT = "/etc/systemd/system/bridge-nat.service"
SYSCTL = "/etc/sysctl.d/60-bridge-nat.conf"
# Those that empty the rules when they start or reload.
FLUSHERS = ("nftables.service", "firewalld.service", "docker.service")
WANTS = [f"/etc/systemd/system/{unit}.wants/bridge-nat.service" for unit in ("multi-user.target", *FLUSHERS)]
RULES = ("rules.nft", "uplink.nft", "rules.iptables", "rules.ip6tables", "rules.ebtables")
PATHS = [f"{ETC}/{name}" for name in ("links.ip", *RULES)] + [SYSCTL, UNIT, *WANTS]


def __virtual__():
    return "bridge_nat_host"


# What is there


def observe(keys: list | None = None) -> dict:
    """
    Devices, addresses, routes and kernel settings of this host, in this network namespace.

    keys
        Kernel settings to read, ``net.ipv4.ip_forward``. Default none.

    Returns:
        ``links`` (name to ``mac``, ``kind``, ``master``, ``up``, ``addresses``: lists of address, length and scope),
        ``routes`` (IPv4) and ``neighbours`` (IPv6, permanent ones) as ``ip -j`` has them, ``sysctl``, ``libvirt``
        (bridges of libvirt's networks that are active).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_host.observe '[net.ipv4.ip_forward]'

    .. versionadded:: 0.1.0
    """
    links, routes, neighbours = _listed("address show", "route show", "neighbour show nud permanent")
    return {
        "links": {each["ifname"]: _link(each) for each in links},
        "routes": routes,
        "neighbours": [each for each in neighbours if ":" in each["dst"]],
        "sysctl": {key: _sysctl(key) for key in keys or ()},
        "libvirt": _libvirt_bridges(),
    }


def sysctls(lan: str, six: bool = False) -> dict:
    """
    Kernel settings of a gateway: it forwards, names its branch address in ARP, and tells hosts of no shorter way.

    lan
        The gateway's device towards the branch.
    six
        Whether the branch has IPv6. Default ``False``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_host.sysctls eth0

    .. versionadded:: 0.1.0
    """
    return {
        "net.ipv4.ip_forward": "1",
        f"net.ipv4.conf.{lan.replace('.', '/')}.arp_announce": "2",
        "net.ipv4.conf.all.send_redirects": "0",
        f"net.ipv4.conf.{lan.replace('.', '/')}.send_redirects": "0",
        **({"net.ipv6.conf.all.forwarding": "1"} if six else {}),
    }


def read_files() -> dict:
    """
    Our files that are there: path to text; a symbolic link as ``symlink to /path``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_host.read_files

    .. versionadded:: 0.1.0
    """
    found = {path: _read(_rooted(path)) for path in PATHS}
    return {path: text for path, text in found.items() if text is not None}


# What is to be done


def plan_workstation(name: str, arguments: dict, observed: dict) -> list:
    """
    The steps to the bridge with its port, its address and its routes. Pure.

    name
        The bridge.
    arguments
        Those of the state, see :py:func:`branch_pillar.node`.
    observed
        What :py:func:`observe` answered.

    Returns:
        List of steps: ``do``, ``what``, ``old``, ``new``, ``commands`` and ``undo`` (lists of argument lists).

    Raises ``CommandExecutionError`` when the uplink is not there or belongs to another bridge, and when the bridge is
    that of a libvirt network.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_host.plan_workstation virbr0 '{uplink: eth0, link_local: 169.254.0.27,
            gateway: 169.254.0.1, network: 10.20.30.0/24}' '{links: {eth0: {mac: "02:00:00:00:00:01", kind: null,
            master: null, up: true, addresses: []}}, routes: [], libvirt: []}'

    .. versionadded:: 0.1.0
    """
    links = observed["links"]
    _refuse(name, arguments["uplink"], links, observed["libvirt"])
    uplink = links[arguments["uplink"]]
    bridge = links.get(name) or {"mac": None, "up": False, "addresses": []}
    return [
        *_bridge_steps(name, uplink["mac"], bridge),
        *_port_steps(name, arguments["uplink"], uplink, observed["routes"]),
        *_address_steps(name, arguments["link_local"], bridge["addresses"], observed["routes"]),
        *_route_steps(name, arguments, bridge["addresses"], observed["routes"]),
    ]


def plan_gateway(name: str, arguments: dict, observed: dict) -> list:
    """
    The steps to the gateway's link-local address and kernel settings. Pure.

    name
        The device towards the branch.
    arguments
        Those of the state, see :py:func:`branch_pillar.node`.
    observed
        What :py:func:`observe` answered for the keys of :py:func:`sysctls`.

    Returns:
        List of steps as of :py:func:`plan_workstation`.

    Raises ``CommandExecutionError`` when the device is not there.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_host.plan_gateway eth0 '{link_local: 169.254.0.1}' '{links: {eth0: {mac: null,
            kind: null, master: null, up: true, addresses: []}}, routes: [], neighbours: [], libvirt: [], sysctl: {}}'

    .. versionadded:: 0.1.0
    """
    links = observed["links"]
    if name not in links:
        raise CommandExecutionError(f"Device {name} is not there; there are {', '.join(links)}. Correct gateway:lan")
    steps = _address_steps(name, arguments["link_local"], links[name]["addresses"], observed["routes"])
    if arguments.get("network6") and GATEWAY6 not in links[name].get("addresses6", ()):
        words = [f"{GATEWAY6}/64", "dev", name]
        add, back = ["ip", "address", "add", *words, "nodad"], ["ip", "address", "del", *words]
        steps.append(_step("add", f"{GATEWAY6}/64 on {name}", None, "present", [add], [back]))
    steps += plan_neighbours(name, arguments.get("neighbours") or {}, observed["neighbours"])
    for key, value in sysctls(name, bool(arguments.get("network6"))).items():
        old = observed["sysctl"].get(key)
        if old != value:
            undo = [["sysctl", "-qw", f"{key}={old}"]] if old is not None else []
            steps.append(_step("set", key, old, value, [["sysctl", "-qw", f"{key}={value}"]], undo))
    return steps


def plan_neighbours(name: str, wanted: dict, there: list) -> list:
    """
    The steps to the permanent neighbour entries of virtual machines; none that somebody else made is removed. Pure.

    name
        The gateway's device towards the branch.
    wanted
        IPv6 address to MAC; ``{}`` removes all of ours.
    there
        The ``neighbours`` of :py:func:`observe`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_host.plan_neighbours eth0 '{"2001:db8:5::17": "52:54:00:bf:57:bb"}' '[]'

    .. versionadded:: 0.1.0
    """
    wanted = {str(ipaddress.ip_address(address)): mac.lower() for address, mac in wanted.items()}
    seen = {entry["dst"]: entry for entry in there if entry["dev"] == name}
    steps = []
    for address, mac in wanted.items():
        old = seen.get(address, {}).get("lladdr")
        if old != mac:
            undo = _neighbour(seen[address]) if old else _no_neighbour(address, name)
            made = _neighbour({"dst": address, "lladdr": mac, "dev": name, "protocol": OURS})
            steps.append(_step("set", f"neighbour {address} on {name}", old, mac, [made], [undo]))
    for entry in [each for each in there if each.get("protocol") == OURS]:
        if entry["dev"] != name or entry["dst"] not in wanted:
            what, gone = f"neighbour {entry['dst']} on {entry['dev']}", _no_neighbour(entry["dst"], entry["dev"])
            steps.append(_step("remove", what, entry["lladdr"], None, [gone], [_neighbour(entry)]))
    return steps


def files(role: str, name: str, arguments: dict, rules: dict, mac: str | None = None) -> dict:
    """
    All that is loaded at boot: path to text. Pure but for where programs are.

    role, name, arguments
        What the host is, see :py:func:`branch_pillar.node`.
    rules
        File name to text, see :py:func:`bridge_nat_tables.files`.
    mac
        A workstation's bridge has this MAC, that of its uplink.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_host.files gateway eth0 '{link_local: 169.254.0.1}' '{}'

    .. versionadded:: 0.1.0
    """
    links = _boot_links(role, name, arguments, mac)
    found = {f"{ETC}/links.ip": "".join(f"{line}\n" for line in links)}
    found.update({f"{ETC}/{file}": text for file, text in rules.items()})
    if role == "gateway":
        found[SYSCTL] = "".join(
            f"{key} = {value}\n" for key, value in sysctls(name, bool(arguments.get("network6"))).items()
        )
    found[UNIT] = _unit(found)
    return {**found, **dict.fromkeys(WANTS, f"symlink to {UNIT}")}


def plan_files(wanted: dict, there: dict) -> list:
    """
    The step to these files, one for all of them; none when they are as wanted. Pure.

    wanted
        What :py:func:`files` answered; ``{}`` removes all.
    there
        What :py:func:`read_files` answered.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_host.plan_files '{}' '{}'

    .. versionadded:: 0.1.0
    """
    different = [path for path in PATHS if wanted.get(path) != there.get(path)]
    if not different:
        return []
    old = {path: "other" if path in there else None for path in different}
    new = {path: "written" if path in wanted else None for path in different}
    change = {"files": {path: wanted.get(path) for path in different}}
    back = {"files": {path: there.get(path) for path in different}}
    return [
        {"do": "write" if wanted else "remove", "what": "boot files", "old": old, "new": new, **change, "back": back}
    ]


def act(step: dict) -> None:
    """
    Execute a step of a plan.

    step
        One of a plan's steps.

    Raises ``CommandExecutionError`` with what the program said.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc bridge_nat_host.act

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    for argv in step.get("commands", ()):
        __salt__["onepass_host.run"](argv)
    for path, text in step.get("files", {}).items():
        __salt__["bridge_nat_guard.put"](_rooted(path), text)
    if "files" in step and __salt__["onepass_host.has_systemd"]() and _rooted("/") == "/":
        __salt__["onepass_host.run"](["systemctl", "daemon-reload"])
        gone = all(text is None for text in step["files"].values())
        # A pattern, as one that systemd does not know any more is none to complain of.
        words = ["stop", "bridge-nat.servic[e]"] if gone else ["start", "bridge-nat.service"]
        __salt__["onepass_host.run"](["systemctl", *words])


def undo(step: dict) -> dict:
    """
    What takes a step back, for :py:func:`bridge_nat_guard.arm`.

    step
        One of a plan's steps.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_host.undo '{undo: [[ip, link, del, virbr0]]}'

    .. versionadded:: 0.1.0
    """
    commands = [{"argv": argv, "stdin": ""} for argv in step.get("undo", ())]
    back = step.get("back", {}).get("files", {})
    return {"commands": commands, "files": {_rooted(path): text for path, text in back.items()}}


# Reading


def _listed(*commands: str) -> list:
    """What each of ip's commands lists, by one process."""
    batch = "".join(f"{command}\n" for command in commands)
    text = __salt__["onepass_host.run"](["ip", "-j", "-d", "-batch", "-"], batch)
    found, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        entries, end = decoder.raw_decode(text)
        found.append([entry for entry in entries if entry])
        text = text[end:]
    return found


def _link(said: dict) -> dict:
    return {
        "mac": said.get("address"),
        "kind": said.get("linkinfo", {}).get("info_kind"),
        "master": said.get("master"),
        "up": "UP" in said["flags"],
        "addresses": [
            [each["local"], each["prefixlen"], each["scope"]]
            for each in said["addr_info"]
            if each["family"] == "inet" and "local" in each
        ],
        "addresses6": [each["local"] for each in said["addr_info"] if each["family"] == "inet6" and "local" in each],
    }


def _sysctl(key: str) -> str | None:
    # A slash stands for a dot that is part of a device's name.
    path = Path("/proc/sys", *[part.replace("/", ".") for part in key.split(".")])
    return path.read_text().strip() if path.exists() else None


def _libvirt_bridges() -> list:
    """Those that libvirt made; a network with the mode ``bridge`` only names one that is there."""
    status = Path(_rooted("/run/libvirt/network"))
    networks = [ET.parse(path).find("network") for path in sorted(status.glob("*.xml"))]
    made = [each for each in networks if each is not None and each.find("forward[@mode='bridge']") is None]
    return [bridge.get("name") for each in made for bridge in each.iterfind("bridge")]


def _rooted(path: str) -> str:
    return str(Path(__opts__.get("root_dir") or "/", path.lstrip("/")))


def _read(path: str) -> str | None:
    place = Path(path)
    if place.is_symlink():
        return f"symlink to {place.readlink()}"
    return place.read_text() if place.exists() else None


# Steps


def _step(do: str, what: str, old, new, commands: list, undo: list) -> dict:
    return {"do": do, "what": what, "old": old, "new": new, "commands": commands, "undo": undo}


def _refuse(name: str, uplink: str, links: dict, libvirt: list) -> None:
    if uplink not in links:
        raise CommandExecutionError(
            f"Uplink {uplink} is not there; there are {', '.join(links)}. Correct branch:uplink"
        )
    if name in libvirt:
        raise CommandExecutionError(
            f"{name} is the bridge of a libvirt network with a NAT of its own; virsh net-destroy and net-autostart "
            "--disable that network, or choose another branch:bridge"
        )
    if name in links and links[name]["kind"] != "bridge":
        raise CommandExecutionError(f"{name} is there and is no bridge; choose another branch:bridge")
    if links[uplink]["master"] not in (None, name):
        raise CommandExecutionError(
            f"{uplink} is a port of {links[uplink]['master']} already; free it, or name that one"
        )


def _bridge_steps(name: str, mac: str, bridge: dict) -> list:
    up = ["ip", "link", "set", "dev", name, "up"]
    if not bridge["mac"]:
        make = ["ip", "link", "add", "name", name, "address", mac, "type", "bridge"]
        return [_step("create", f"bridge {name}", None, f"MAC {mac}", [make, up], [["ip", "link", "del", "dev", name]])]
    steps = []
    if bridge["mac"] != mac:
        pin, back = (["ip", "link", "set", "dev", name, "address", each] for each in (mac, bridge["mac"]))
        steps.append(_step("set", f"MAC of {name}", bridge["mac"], mac, [pin], [back]))
    if not bridge["up"]:
        steps.append(_step("set", f"state of {name}", "down", "up", [up], [["ip", "link", "set", "dev", name, "down"]]))
    return steps


def _port_steps(name: str, port: str, uplink: dict, routes: list) -> list:
    """The uplink becomes a port; addresses that it had as a device of its own would be dead there."""
    if uplink["master"] == name and uplink["up"] and not uplink["addresses"]:
        return []
    lost = [f"{address}/{length}" for address, length, _ in uplink["addresses"]]
    commands = [["ip", "address", "del", each, "dev", port] for each in lost]
    commands += [["ip", "link", "set", "dev", port, "master", name], ["ip", "link", "set", "dev", port, "up"]]
    undo = [] if uplink["up"] else [["ip", "link", "set", "dev", port, "down"]]
    undo += [] if uplink["master"] == name else [["ip", "link", "set", "dev", port, "nomaster"]]
    undo += [["ip", "address", "add", each, "dev", port] for each in lost]
    undo += [["ip", "route", "replace", *_route_words(route)] for route in routes if _is_lost(route, port)]
    old = {"master": uplink["master"], "up": uplink["up"], "addresses": lost}
    return [_step("add", f"port {port}", old, {"master": name, "up": True, "addresses": []}, commands, undo)]


def _is_lost(route: dict, device: str) -> bool:
    return route.get("dev") == device and route.get("protocol") != "kernel"


def _route_words(route: dict) -> list:
    words = [route["dst"]]
    for key, word in (("gateway", "via"), ("dev", "dev"), ("prefsrc", "src"), ("metric", "metric")):
        words += [word, str(route[key])] if key in route else []
    return words


def _strangers(wanted: str, there: list) -> list:
    """Link-local addresses that are not to be there; with scope link a host would not choose its own to send from."""
    ours = [each for each in there if ipaddress.ip_address(each[0]) in LINK_LOCAL]
    return [each for each in ours if each != [wanted, LINK_LOCAL.prefixlen, "global"]]


def _neighbour(entry: dict) -> list:
    mark = ["protocol", entry["protocol"]] if "protocol" in entry else []
    return [
        "ip",
        "neighbour",
        "replace",
        entry["dst"],
        "lladdr",
        entry["lladdr"],
        "dev",
        entry["dev"],
        "nud",
        "permanent",
        *mark,
    ]


def _no_neighbour(address: str, device: str) -> list:
    return ["ip", "neighbour", "del", address, "dev", device]


def _address_steps(device: str, wanted: str, there: list, routes: list) -> list:
    target = [wanted, LINK_LOCAL.prefixlen, "global"]
    steps = []
    for address, length, scope in _strangers(wanted, there):
        words = [f"{address}/{length}", "dev", device]
        undo = [["ip", "address", "add", *words, "scope", scope]]
        undo += [["ip", "route", "replace", *_route_words(route)] for route in routes if _is_lost(route, device)]
        what = f"{address}/{length}, scope {scope}, on {device}"
        steps.append(_step("remove", what, "present", None, [["ip", "address", "del", *words]], undo))
    if target not in there:
        words = [f"{wanted}/{LINK_LOCAL.prefixlen}", "dev", device]
        what = f"{wanted}/{LINK_LOCAL.prefixlen} on {device}"
        add, back = ["ip", "address", "add", *words], ["ip", "address", "del", *words]
        steps.append(_step("add", what, None, "present", [add], [back]))
    return steps


def _route_steps(name: str, arguments: dict, addresses: list, routes: list) -> list:
    """Routes through the bridge; those of a device that loses its address are lost with it."""
    loses = [arguments["uplink"], *([name] if _strangers(arguments["link_local"], addresses) else [])]
    kept = [route for route in routes if route.get("dev") not in loses]
    wanted = [[arguments["network"], "dev", name]]
    if not any(route["dst"] == "default" and route.get("dev") != name for route in kept):
        wanted.append(["default", "via", arguments["gateway"], "dev", name])
    steps = []
    for words in wanted:
        if not any(_route_words(route)[: len(words)] == words for route in kept):
            new = " ".join(words[1:])
            there = [" ".join(_route_words(route)[1:]) for route in routes if route["dst"] == words[0]]
            old = next((each for each in there if each != new), None)
            commands, undo = [["ip", "route", "replace", *words]], [["ip", "route", "del", *words]]
            undo += [["ip", "route", "replace", *_route_words(route)] for route in kept if route["dst"] == words[0]]
            steps.append(_step("set", f"route {words[0]}", old, new, commands, undo))
    return steps


# Boot


def _boot_links(role: str, name: str, arguments: dict, mac: str | None) -> list:
    """For ``ip -force -batch``: what is there already only complains."""
    address = f"address replace {arguments['link_local']}/{LINK_LOCAL.prefixlen} dev {name}"
    if role == "gateway":
        own = [f"address replace {GATEWAY6}/64 dev {name} nodad"] if arguments.get("network6") else []
        steps = plan_neighbours(name, arguments.get("neighbours") or {}, [])
        return [address, *own, *(" ".join(argv[1:]) for step in steps for argv in step["commands"])]
    return [
        f"link add name {name} address {mac} type bridge",
        f"link set dev {name} address {mac} up",
        f"link set dev {arguments['uplink']} master {name} up",
        address,
        f"route replace {arguments['network']} dev {name}",
        f"route add default via {arguments['gateway']} dev {name}",
    ]


def _unit(paths: dict) -> str:
    lines = _unit_commands(paths)
    start = "\n".join(f"ExecStart={line}" for line in lines)
    again = "\n".join(f"ExecReload={line}" for line in lines)
    return f"""[Unit]
Description=Hosts reachable through the addresses of their virtual machines
After=network-pre.target networking.service {" ".join(FLUSHERS)}
Before=network-online.target
PartOf={" ".join(FLUSHERS)}
ReloadPropagatedFrom={" ".join(FLUSHERS)}

[Service]
Type=oneshot
RemainAfterExit=yes
{start}
{again}

[Install]
WantedBy=multi-user.target {" ".join(FLUSHERS)}
"""


def _unit_commands(paths: dict) -> list:
    """First, a change that was not confirmed before the host went down is taken back."""
    which = salt.utils.path.which
    home = "/var/lib/onepass/bridge_nat"
    lines = [f"-{sys.executable} -I {home}/guard.py {home} boot"]
    lines += [f"-{which('sysctl')} -q -p {SYSCTL}"] if SYSCTL in paths else []
    lines.append(f"-{which('ip')} -force -batch {ETC}/links.ip")
    for name in [each for each in RULES if f"{ETC}/{each}" in paths]:
        program = name.partition(".")[2]
        if program == "nft":
            # The uplink may be missing, which older kernels do not take; all else works without it.
            lines.append(f"{'-' if name == 'uplink.nft' else ''}{which('nft')} -f {ETC}/{name}")
            continue
        for hook in ("PREROUTING", "POSTROUTING"):
            lines.append(f"-{which(program)} -t nat -D {hook} -j bridge_nat")
        lines.append(f"/bin/sh -c 'exec {which(program + '-restore')} --noflush < {ETC}/{name}'")
    return lines
