"""
The steps to the wanted world, each with what does it and what undoes it.
"""

import difflib
import ipaddress
import shlex
from typing import Any

from onepass_lib.bridge_nat import desired, refuse
from onepass_lib.bridge_nat.boot import PATHS, from_nothing
from onepass_lib.bridge_nat.desired import (
    FAMILIES,
    LINK_LOCAL6,
    NAME,
    OURS,
    XT,
    Rules,
    emptied,
    neighbour_words,
    sysctls,
)
from onepass_lib.bridge_nat.seen import by_family, chain_lines, jumps
from onepass_lib.core.steps import Step

LINK_LOCAL = ipaddress.ip_network("169.254.0.0/16")


def steps(role: str, name: str, arguments: dict, observed: dict) -> list[Step]:
    """
    The steps to the wanted world.

    role, name, arguments
        What the host is to be, and the arguments of its state.
    observed
        ``host``, ``loaded`` and ``wanted`` (rules in normal form), ``files`` there, ``boot`` (files wanted), ``flows``.

    Returns:
        List of steps, each with ``do``, ``what``, ``old``, ``new`` and how it is done.

    Raises ``CommandExecutionError`` when the host cannot be brought there: see ``refuse``.
    """
    return [
        *host(role, name, arguments, observed["host"]),
        *rules(observed["wanted"], observed["loaded"]),
        *flows(observed["flows"]),
        *files(observed["boot"], observed["files"]),
    ]


def absence(name: str | None, loaded: Rules, there: dict[str, str], observed: dict) -> list[Step]:
    """
    The steps that remove all that is ours: rules, boot files, neighbour entries, and the bridge with its address.

    The uplink gets no address back: what it had before is not known any more.

    name
        The bridge to remove; ``None``: none is.
    loaded
        Our rules, of both ways.
    there
        Our files.
    observed
        The host.
    """
    found = [*rules({}, loaded), *files({}, there), *neighbours(None, {}, observed["neighbours"])]
    if name and observed["links"].get(name, {}).get("kind") == "bridge":
        commands = [["ip", "link", "del", "dev", name]]
        found.append({"do": "remove", "what": f"bridge {name}", "old": "present", "new": None, "commands": commands})
    return found


# The host


def host(role: str, name: str, arguments: dict, observed: dict) -> list[Step]:
    """The steps of ``workstation`` or of ``gateway``."""
    return (workstation if role == "workstation" else gateway)(name, arguments, observed)


def workstation(name: str, arguments: dict, observed: dict) -> list[Step]:
    """
    The steps to the bridge with its port, its address and its routes.

    name
        The bridge.
    arguments
        Those of the state, see the states of ``bridge_nat``.
    observed
        The host.

    Returns:
        List of steps: ``do``, ``what``, ``old``, ``new``, ``commands`` and ``undo`` (lists of argument lists).

    Raises ``CommandExecutionError`` when the uplink is not there or belongs to another bridge, and when the bridge is
    that of a libvirt network.
    """
    links = observed["links"]
    refuse.workstation(name, arguments["uplink"], links, observed["libvirt"])
    uplink = links[arguments["uplink"]]
    bridge = links.get(name) or {"mac": None, "up": False, "addresses": []}
    return [
        *_bridge_steps(name, uplink["mac"], bridge),
        *_port_steps(name, arguments["uplink"], uplink, observed["routes"]),
        *_address_steps(name, arguments["link_local"], bridge["addresses"], observed["routes"]),
        *_route_steps(name, arguments, bridge["addresses"], observed["routes"]),
    ]


def gateway(name: str, arguments: dict, observed: dict) -> list[Step]:
    """
    The steps to the gateway's link-local address and kernel settings.

    name
        The device towards the branch.
    arguments
        Those of the state, see the states of ``bridge_nat``.
    observed
        The host, with the settings of ``desired.sysctls``.

    Returns:
        List of steps as of ``workstation``.

    Raises ``CommandExecutionError`` when the device is not there.
    """
    links = observed["links"]
    refuse.gateway(name, links)
    steps = _address_steps(name, arguments["link_local"], links[name]["addresses"], observed["routes"])
    if arguments.get("network6") and LINK_LOCAL6 not in links[name].get("addresses6", ()):
        words = [f"{LINK_LOCAL6}/64", "dev", name]
        add, back = ["ip", "address", "add", *words, "nodad"], ["ip", "address", "del", *words]
        steps.append(_step("add", f"{LINK_LOCAL6}/64 on {name}", None, "present", [add], [back]))
    steps += neighbours(name, arguments.get("neighbours") or {}, observed["neighbours"])
    for key, value in sysctls(name, bool(arguments.get("network6"))).items():
        old = observed["sysctl"].get(key)
        if old != value:
            undo = [["sysctl", "-qw", f"{key}={old}"]] if old is not None else []
            steps.append(_step("set", key, old, value, [["sysctl", "-qw", f"{key}={value}"]], undo))
    return steps


def neighbours(name: str | None, wanted: dict[str, str], there: list[dict]) -> list[Step]:
    """
    The steps to the permanent neighbour entries of virtual machines; none that somebody else made is removed.

    name
        The gateway's device towards the branch.
    wanted
        IPv6 address to MAC; ``{}`` removes all of ours.
    there
        The entries that the host has.
    """
    entries = desired.neighbours(name, wanted) if name else []
    seen = {entry["dst"]: entry for entry in there if entry["dev"] == name}
    steps = []
    for made in entries:
        address, old = made["dst"], seen.get(made["dst"], {}).get("lladdr")
        if old != made["lladdr"]:
            undo = neighbour_words(seen[address]) if old else _no_neighbour(address, made["dev"])
            what = f"neighbour {address} on {name}"
            steps.append(_step("set", what, old, made["lladdr"], [neighbour_words(made)], [undo]))
    kept = {entry["dst"] for entry in entries}
    for entry in [each for each in there if each.get("protocol") == OURS]:
        if entry["dev"] != name or entry["dst"] not in kept:
            what, gone = f"neighbour {entry['dst']} on {entry['dev']}", _no_neighbour(entry["dst"], entry["dev"])
            steps.append(_step("remove", what, entry["lladdr"], None, [gone], [neighbour_words(entry)]))
    return steps


# Rules, flows and files


def rules(wanted: Rules, loaded: Rules) -> list[Step]:
    """The step that replaces the rules that are loaded by the wanted ones."""
    if wanted == loaded:
        return []
    old, new = ("".join(each.values()).splitlines() for each in (loaded, wanted))
    lines = list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]
    gone, come = ([line[1:].strip() for line in lines if line[0] == sign and line[1:].strip()] for sign in "-+")
    step = {"do": "load" if wanted else "remove", "what": "rules", "old": gone or None, "new": come or None}
    return [{**step, "rules": wanted, "loaded": loaded}]


def flows(stale: list[dict]) -> list[Step]:
    """
    The step that deletes flows, so that their next packet begins one that is translated.

    stale
        What ``seen.stale`` answered.
    """
    if not stale:
        return []
    old = sorted({f"{flow['src']} to {flow['dst']}, {flow['protocol']}" for flow in stale})
    return [{"do": "delete", "what": "flows older than the rules", "old": old, "new": None, "flows": stale}]


def loose(found: list[dict[str, Any]]) -> list[Step]:
    """
    The step that deletes loose rules; undone, each is where it was.

    found
        What ``seen.loose`` answered.
    """
    if not found:
        return []
    commands, undo = [], []
    for rule in found:
        argv = [rule["program"], *_wait(rule["program"]), "-t", "nat"]
        _, chain, *words = shlex.split(rule["line"])
        commands.append([*argv, "-D", chain, *words])
        undo.append([*argv, "-I", chain, str(rule["number"]), *words])
    old = [f"{rule['program']} {rule['line']}" for rule in found]
    return [{"do": "remove", "what": "loose rules", "old": old, "new": None, "commands": commands, "undo": undo}]


def files(wanted: dict[str, str], there: dict[str, str]) -> list[Step]:
    """
    The step to these files, one for all of them; none when they are as wanted.

    wanted
        What ``boot.files`` answered; ``{}`` removes all.
    there
        Our files that are there.
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


def undo(step: Step) -> dict[str, Any]:
    """
    What takes a step back: ``commands`` and ``files``.

    step
        One of a plan's steps.
    """
    commands = [{"argv": argv, "stdin": ""} for argv in step.get("undo", ())]
    return {"commands": commands, "files": step.get("back", {}).get("files", {})}


# Rules


def transaction(new: Rules, old: Rules) -> Rules:
    """Program to the text that brings our rules from the old to the new ones."""
    texts = {}
    if "nft" in new or "nft" in old:
        texts["nft"] = emptied(by_family(old.get("nft", ""))) + new.get("nft", "")
    for program in XT:
        if program in new or program in old:
            texts[program] = _xt_change(new.get(program, ""), old.get(program, ""), program)
    return texts


def _xt_change(new: str, old: str, program: str) -> str:
    """A restore that fills our chain anew, or removes it, and leaves exactly the wanted jumps."""
    wanted, there = jumps(new), jumps(old)
    lines = [f"-D {hook} -j {NAME}" for hook in there for _ in range(there[hook] - wanted.get(hook, 0))]
    lines += [f"-I {hook} 1 -j {NAME}" for hook in wanted for _ in range(wanted[hook] - there.get(hook, 0))]
    if not wanted:
        return "\n".join(["*nat", *lines, f"-F {NAME}", f"-X {NAME}", "COMMIT", ""])
    return "\n".join(["*nat", *chain_lines(new, program), *lines, "COMMIT", ""])


def replay(old: Rules, new: Rules) -> list[dict[str, Any]]:
    """
    Commands that bring our rules back to the old ones, whatever is loaded by then: for a rollback.

    old
        Program to text in normal form.
    new
        Program to text of what is going to be loaded.

    Returns:
        List of mappings: ``argv``, ``stdin`` and ``may_fail``.
    """
    commands: list[dict[str, Any]] = []
    if "nft" in old or "nft" in new:
        commands.append({"argv": ["nft", "-f", "-"], "stdin": emptied(FAMILIES) + old.get("nft", "")})
    for program in [each for each in XT if each in old or each in new]:
        nat = [program, "-t", "nat"]
        words = [[*nat, "-D", hook, "-j", NAME] for hook in jumps(old.get(program, new.get(program, "")))]
        words += [] if program in old else [[*nat, "-F", NAME], [*nat, "-X", NAME]]
        commands += [{"argv": argv, "stdin": "", "may_fail": True} for argv in words]
        if program in old:
            commands.append({"argv": restore(program), "stdin": from_nothing(old[program], program)})
    return commands


def restore(program: str) -> list[str]:
    """The command that takes a text, and leaves what is not in it."""
    return [f"{program}-restore", "--noflush", *_wait(program)]


def _wait(program: str) -> list[str]:
    """For who else is changing the tables; ebtables has no word for it."""
    return ["-w"] if program != "ebtables" else []


# The host


def _step(do: str, what: str, old: Any, new: Any, commands: list[list[str]], undo: list[list[str]]) -> Step:
    return {"do": do, "what": what, "old": old, "new": new, "commands": commands, "undo": undo}


def _bridge_steps(name: str, mac: str, bridge: dict) -> list[Step]:
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


def _port_steps(name: str, port: str, uplink: dict, routes: list[dict]) -> list[Step]:
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


def _route_words(route: dict) -> list[str]:
    words = [route["dst"]]
    for key, word in (("gateway", "via"), ("dev", "dev"), ("prefsrc", "src"), ("metric", "metric")):
        words += [word, str(route[key])] if key in route else []
    return words


def _strangers(wanted: str, there: list) -> list[list]:
    """Link-local addresses that are not to be there; with scope link a host would not choose its own to send from."""
    ours = [each for each in there if ipaddress.ip_address(each[0]) in LINK_LOCAL]
    return [each for each in ours if each != [wanted, LINK_LOCAL.prefixlen, "global"]]


def _no_neighbour(address: str, device: str) -> list[str]:
    return ["ip", "neighbour", "del", address, "dev", device]


def _address_steps(device: str, wanted: str, there: list, routes: list[dict]) -> list[Step]:
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


def _route_steps(name: str, arguments: dict, addresses: list, routes: list[dict]) -> list[Step]:
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
