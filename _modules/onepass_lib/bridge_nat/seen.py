"""
What the programs list, read: rules of ours and of others, counters, devices, flows.
"""

import ipaddress
import re
from typing import Any

from onepass_lib.bridge_nat.desired import HOOKS, LINK_LOCAL, NAME, REMEMBERED, Rules

FORGETFUL = re.compile(r"(\t\ttimeout \w+\n)\t\telements = \{[^}]*\}\n")
POLICY_COUNTERS = re.compile(r" \[[0-9:]+\]$")


def link(said: dict) -> dict[str, Any]:
    """A device, of what ``ip -j -d address show`` says of it."""
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


# nft


def remembering_nothing(text: str) -> str:
    """A listing without what its rules remember of addresses: that is no part of them."""
    return FORGETFUL.sub(r"\1", text)


def by_family(text: str) -> Rules:
    """Family to text of the table."""
    parts = re.split(r"^(?=table )", text, flags=re.MULTILINE)
    return {part.split()[1]: part for part in parts if part}


def nft_counters(text: str) -> dict[str, Any]:
    """What our rules have counted, and what their sets remember, of a listing with counters."""
    packets = {
        "arp": r"counter packets (\d+) bytes \d+ fwd to iif",
        "pulled": r"ether daddr set \S+ counter packets (\d+)",
        "redirected": r"counter packets (\d+) bytes \d+ redirect",
        "squatters": r"counter packets (\d+) bytes \d+ comment",
    }
    counted = {name: sum(map(int, re.findall(pattern, text))) for name, pattern in packets.items()}
    return {**counted, "answered": _remembered(text, "answered"), "logins": _remembered(text, "logins")}


def _remembered(text: str, name: str) -> dict[str, int]:
    """Address to seconds since the set was last given it."""
    sets = re.findall(rf"\tset {name} \{{\n(.*?)\n\t\}}", text, flags=re.DOTALL)
    entries = re.findall(r"([0-9a-f.:]+)(?: timeout \w+)? expires (\w+)", "\n".join(sets))
    whole = _seconds(REMEMBERED)
    return {address: max(0, whole - _seconds(left)) for address, left in entries}


def _seconds(text: str) -> int:
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)(ms|[dhms])", text))


def foreign_chains(text: str, role: str) -> list[str]:
    """Base chains at our hooks with a priority before ours."""
    ours = {
        "workstation": {("netdev", "ingress"): 0, ("bridge", "prerouting"): -310, ("ip", "nat prerouting"): -105},
        "gateway": {("ip", "nat postrouting"): 95},
    }[role]
    found: list[str] = []
    table, chain = ("", ""), ""
    for line in text.splitlines():
        if match := re.match(r"table (\S+) (\S+) \{", line):
            table = (match[1], match[2])
        elif match := re.match(r"\tchain (\S+) \{", line):
            chain = match[1]
        elif match := re.search(r"type (\w+) hook (\w+).* priority (-?\d+);", line):
            kind, hook, priority = match.groups()
            limit = ours.get((table[0], hook), ours.get((table[0], f"{kind} {hook}")))
            if table[1] != NAME and limit is not None and int(priority) <= limit:
                found.append(f"table {' '.join(table)}, chain {chain}: {kind} {hook}, priority {priority}")
    return found


# ebtables and iptables


def own_lines(text: str) -> str:
    """Our chain, its rules and the jumps to it, of what ``*-save`` printed."""
    kept = [line for line in text.splitlines() if _is_own(line)]
    return "".join(f"{POLICY_COUNTERS.sub('', line).rstrip()}\n" for line in kept)


def _is_own(line: str) -> bool:
    return line.startswith((f":{NAME} ", f"-A {NAME} ")) or line.split()[-2:] == ["-j", NAME]


def jumps(text: str) -> dict[str, int]:
    """How often each hook jumps to our chain."""
    hooks = [line.split()[1] for line in text.splitlines() if line.split()[-2:] == ["-j", NAME]]
    return {hook: hooks.count(hook) for hook in hooks}


def chain_lines(text: str, program: str) -> list[str]:
    """Our chain and its rules, as a restore takes them."""
    policy = f":{NAME} {'RETURN' if program == 'ebtables' else '-'}"
    return [policy, *(line for line in text.splitlines() if line.startswith(f"-A {NAME} "))]


def xt_counters(saved: Rules) -> dict[str, Any]:
    """What our rules have counted, of the nat tables with counters."""
    frames = saved["ebtables"]

    def packets(text: str, target: str) -> int:
        rules = [line for line in text.splitlines() if f"-A {NAME} " in line and f"-j {target}" in line]
        return sum(map(_counted, rules))

    return {
        "arp": packets(frames, "arpreply"),
        "pulled": packets(frames, "redirect"),
        "redirected": packets(saved["iptables"], "REDIRECT") + packets(saved["ip6tables"], "REDIRECT"),
        "squatters": None,
        "answered": {},
        "logins": {},
    }


def _counted(line: str) -> int:
    found = re.search(r"\[(\d+):|-c (\d+) |pcnt = (\d+)", line)
    return int(found[1] or 0) if found and "[" in line else 0


def before_ours(text: str, role: str) -> list[str]:
    """The rules at our hook that stand before the jump to our chain, of a nat table."""
    lines = _at_hook(text, role)
    return lines[: next((number for number, line in enumerate(lines) if line.split()[-2:] == ["-j", NAME]), 0)]


def loose(program: str, text: str, role: str, arguments: dict) -> list[dict[str, Any]]:
    """
    The blog's rules for these VMs or this branch, or those made like them, in a nat table.

    Returns:
        List of mappings: ``program``, ``line`` (``-A PREROUTING ...``) and ``number`` (its place in the chain).
    """
    numbered = enumerate(_at_hook(text, role), 1)
    each = [{"program": program, "line": line, "number": number} for number, line in numbered]
    return [rule for rule in each if _is_loose(str(rule["line"]), role, arguments)]


def _at_hook(text: str, role: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"-A {HOOKS[role]} ")]


def _is_loose(line: str, role: str, arguments: dict) -> bool:
    if role == "gateway":
        ours = (f"-d {arguments['network']} ", f"-s {LINK_LOCAL} ")
        return " -j SNAT " in line and any(each in line for each in ours)
    addresses = {vm["ip"] for vm in arguments["vms"]} & {word.removesuffix("/32") for word in line.split()}
    return bool(addresses and re.search(r"-j (arpreply|redirect|REDIRECT)\b", line))


# conntrack


def untranslated(family: str, text: str) -> list[dict[str, str]]:
    """The flows of a listing that are not translated."""
    found = []
    for line in text.splitlines():
        fields = re.findall(r"(src|dst|sport|dport)=(\S+)", line)
        there, back = dict(fields[: len(fields) // 2]), dict(fields[len(fields) // 2 :])
        if back["dst"] == there["src"]:
            found.append({"family": family, "protocol": line.split()[0], **there})
    return found


def stale(leaving: list[dict], coming: list[dict], links: dict[str, dict]) -> list[dict[str, str]]:
    """
    Flows that are to be translated: of hosts that leave the branch, and to the hosts' port.

    leaving, coming
        Flows that are not translated.
    links
        The gateway's devices: what ends at itself is never translated.
    """
    found = [flow for flow in leaving if _is_elsewhere(flow["dst"])]
    found += [flow for flow in coming if not ipaddress.ip_address(flow["src"]).is_link_local]
    own = {address for each in links.values() for address in _addresses(each)}
    return [flow for flow in found if flow["dst"] not in own]


def _addresses(each: dict) -> list[str]:
    return [address for address, *_ in each["addresses"]] + each["addresses6"]


def _is_elsewhere(address: str) -> bool:
    target = ipaddress.ip_address(address)
    return not (target.is_link_local or target.is_multicast or address == "255.255.255.255")
