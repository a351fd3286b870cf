"""
What is loaded at boot: links, settings, the unit, and the rules in normal form, each file with a hash of what it was
made from.
"""

import hashlib
import re
import sys
from collections.abc import Callable

from onepass_lib.bridge_nat.desired import (
    HOOKS,
    LINK_LOCAL6,
    NAME,
    XT,
    Rules,
    digest,
    emptied,
    neighbour_words,
    neighbours,
    sysctls,
)
from onepass_lib.bridge_nat.seen import by_family, chain_lines, jumps

ETC = "/etc/onepass/bridge_nat"
UNIT = "/etc/systemd/system/bridge-nat.service"
SYSCTL = "/etc/sysctl.d/60-bridge-nat.conf"
# Those that empty the rules when they start or reload.
FLUSHERS = ("nftables.service", "firewalld.service", "docker.service")
WANTS = [f"/etc/systemd/system/{unit}.wants/bridge-nat.service" for unit in ("multi-user.target", *FLUSHERS)]
# Where a program is, by its name; ``None`` if it is not there.
Which = Callable[[str], str | None]
PREFIX = 16  # of link-local addresses
FILES = {"rules.nft": "nft", "uplink.nft": "nft", **{f"rules.{program}": program for program in XT}}
PATHS = [f"{ETC}/{name}" for name in ("links.ip", *FILES)] + [SYSCTL, UNIT, *WANTS]


def files(
    role: str, name: str, arguments: dict, rules: dict[str, str], which: Which, mac: str | None = None
) -> dict[str, str]:
    """
    All that is loaded at boot: path to text.

    role, name, arguments
        What the host is, see the states of ``bridge_nat``.
    rules
        File name to text, as ``rules`` answers it.
    which
        Where a program is, by its name.
    mac
        A workstation's bridge has this MAC, that of its uplink.
    """
    links = _boot_links(role, name, arguments, mac)
    found = {f"{ETC}/links.ip": "".join(f"{line}\n" for line in links)}
    found.update({f"{ETC}/{file}": text for file, text in rules.items()})
    if role == "gateway":
        found[SYSCTL] = "".join(
            f"{key} = {value}\n" for key, value in sysctls(name, bool(arguments.get("network6"))).items()
        )
    found[UNIT] = _unit(found, which)
    return {**found, **dict.fromkeys(WANTS, f"symlink to {UNIT}")}


def rules(new: Rules, wanted: Rules) -> dict[str, str]:
    """
    The rules that are loaded at boot: file name to text, with the hashes by which ``normal`` trusts it.

    new
        The normal form.
    wanted
        What it was made from.
    """
    parts = {f"rules.{program}": from_nothing(text, program) for program, text in new.items() if program != "nft"}
    if "nft" in new:
        tables = by_family(new["nft"])
        for name, families in {"uplink.nft": ("netdev",), "rules.nft": ("bridge", "ip", "ip6")}.items():
            own = {family: tables[family] for family in families if family in tables}
            if own:
                parts[name] = emptied(own) + "".join(own.values())
    return {name: f"{_head(wanted)}{_hash(text)}\n{text}" for name, text in parts.items()}


def normal(wanted: Rules, role: str, texts: dict[str, str]) -> Rules | None:
    """The normal form that files hold, or ``None`` if one is missing or made from other input or by other hands."""
    head = _head(wanted)
    bodies: dict[str, dict[str, str]] = {}
    for name, program in FILES.items():
        if name not in texts:
            continue
        first, _, body = texts[name].partition("\n")
        if first != head + _hash(body):
            return None
        bodies.setdefault(program, {})[name] = body
    whole = {"rules.nft", "uplink.nft"} if role == "workstation" else {"rules.nft"}
    if set(bodies) != set(wanted) or "nft" in wanted and set(bodies["nft"]) != whole:
        return None
    return {program: _body(program, role, parts) for program, parts in bodies.items()}


def from_nothing(text: str, program: str) -> str:
    """What a restore takes for a start from nothing, or after the jump was removed."""
    to_ours = [f"-I {hook} 1 -j {NAME}" for hook in jumps(text)]
    return "\n".join(["*nat", *chain_lines(text, program), *to_ours, "COMMIT", ""])


def _body(program: str, role: str, parts: dict[str, str]) -> str:
    if program != "nft":
        policy, *lines = chain_lines(parts[f"rules.{program}"], program)
        return "\n".join([policy, f"-A {HOOKS[role]} -j {NAME}", *lines, ""])
    text = "".join(parts[name] for name in ("uplink.nft", "rules.nft") if name in parts)
    return re.sub(rf"^(delete )?table \w+ {NAME}\n", "", text, flags=re.MULTILINE)


def _head(wanted: Rules) -> str:
    return f"# {NAME} {digest(wanted)} "


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _boot_links(role: str, name: str, arguments: dict, mac: str | None) -> list[str]:
    """For ``ip -force -batch``: what is there already only complains."""
    address = f"address replace {arguments['link_local']}/{PREFIX} dev {name}"
    if role == "gateway":
        own = [f"address replace {LINK_LOCAL6}/64 dev {name} nodad"] if arguments.get("network6") else []
        entries = neighbours(name, arguments.get("neighbours") or {})
        return [address, *own, *(" ".join(neighbour_words(entry)[1:]) for entry in entries)]
    return [
        f"link add name {name} address {mac} type bridge",
        f"link set dev {name} address {mac} up",
        f"link set dev {arguments['uplink']} master {name} up",
        address,
        f"route replace {arguments['network']} dev {name}",
        f"route add default via {arguments['gateway']} dev {name}",
    ]


def _unit(paths: dict[str, str], which: Which) -> str:
    lines = _unit_commands(paths, which)
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


def _unit_commands(paths: dict[str, str], which: Which) -> list[str]:
    """First, a change that was not confirmed before the host went down is taken back."""
    home = "/var/lib/onepass/bridge_nat"
    lines = [f"-{sys.executable} -I {home}/guard.py {home} boot"]
    lines += [f"-{which('sysctl')} -q -p {SYSCTL}"] if SYSCTL in paths else []
    lines.append(f"-{which('ip')} -force -batch {ETC}/links.ip")
    for name in [each for each in FILES if f"{ETC}/{each}" in paths]:
        program = name.partition(".")[2]
        if program == "nft":
            # The uplink may be missing, which older kernels do not take; all else works without it.
            lines.append(f"{'-' if name == 'uplink.nft' else ''}{which('nft')} -f {ETC}/{name}")
            continue
        for hook in ("PREROUTING", "POSTROUTING"):
            lines.append(f"-{which(program)} -t nat -D {hook} -j bridge_nat")
        lines.append(f"/bin/sh -c 'exec {which(program + '-restore')} --noflush < {ETC}/{name}'")
    return lines
