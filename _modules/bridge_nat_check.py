"""
What the branch trick needs of a host beyond what its state looks after: each condition with evidence and remedy.

.. versionadded:: 0.1.0

Only looks. Each condition was found by leaving it out and seeing what breaks::

    salt-call --local -m . --pillar-root pillar --id ws017.rosario bridge_nat.check

Requires iproute2, and root for a trial of the rules that the VM's frames cross.
"""

import ipaddress
import json
import re
from pathlib import Path

import salt.utils.path
from salt.exceptions import CommandExecutionError

LINK_LOCAL = ipaddress.ip_network("169.254.0.0/16")
# Whether frames that a bridge forwards cross the rules of a family.
SWITCHES = {
    "ip": "/proc/sys/net/bridge/bridge-nf-call-iptables",
    "ip6": "/proc/sys/net/bridge/bridge-nf-call-ip6tables",
}
PROGRAMS = {"ip": "iptables", "ip6": "ip6tables"}


def __virtual__():
    return "bridge_nat_check"


def conditions(role: str, name: str, arguments: dict, host: dict, way: str | None = None) -> dict:
    """
    The conditions, each ``ok`` or ``broken``.

    role, name, arguments
        What the host is, see :py:func:`branch_pillar.node`.
    host
        What :py:func:`bridge_nat_host.observe` answered.
    way
        ``nft`` or ``ebtables``, for rules of others that come before ours. Default: these are not looked for.

    Returns:
        Condition to ``state``, ``evidence`` and, unless it is ok, ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc bridge_nat_check.conditions

    .. versionadded:: 0.1.0
    """
    found = {"other rules": _foreign(way, role), "link-local routes": _routes(name, host)}
    if role == "gateway":
        return {**found, "public address": _public(name, arguments["public"], host)}
    return {
        **found,
        "server": _listening(arguments["link_local"], arguments["port"]),
        "forwarding of the VM": _forwarding(name, arguments),
        "MAC of the VM": _macs(name, arguments),
    }


def learned(bridge: str) -> dict:
    """
    Which MACs the bridge has learned, and on which ports.

    bridge
        The bridge.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_check.learned virbr0

    .. versionadded:: 0.1.0
    """
    done = _run(["bridge", "-j", "fdb", "show", "br", bridge])
    entries = json.loads(done["stdout"] or "[]") if not done["retcode"] else []
    found = {}
    for entry in entries:
        if entry.get("state") != "permanent" and "mac" in entry:
            found.setdefault(entry["mac"], []).append(entry["ifname"])
    return found


def _run(argv: list) -> dict:
    return __salt__["cmd.run_all"](argv, python_shell=False, output_loglevel="quiet", ignore_retcode=True)


def _ok(evidence: str) -> dict:
    return {"state": "ok", "evidence": evidence}


def _broken(evidence: str, remedy: str) -> dict:
    return {"state": "broken", "evidence": evidence, "remedy": remedy}


def _foreign(way: str | None, role: str) -> dict:
    found = __salt__["bridge_nat_tables.foreign"](way, role) if way else []
    if not found:
        return _ok("none comes before ours")
    return _broken(f"before ours: {'; '.join(found)}", "see that they let pass what is meant for the host")


def _routes(name: str, host: dict) -> dict:
    """A second link-local route that is as long or longer takes the answers away (zeroconf, cloud metadata)."""
    wrong = [
        f"{route['dst']} dev {route.get('dev')}"
        for route in host["routes"]
        if route["dst"] != "default" and route.get("dev") != name and _is_link_local(route["dst"])
    ]
    if not wrong:
        return _ok(f"only through {name}")
    return _broken(f"also {', '.join(wrong)}", "remove it (zeroconf: NOZEROCONF=yes; avahi-autoipd)")


def _is_link_local(network: str) -> bool:
    return ipaddress.ip_network(network, strict=False).overlaps(LINK_LOCAL) and network != "0.0.0.0/0"


def _public(name: str, public: str, host: dict) -> dict:
    on = [link for link, each in host["links"].items() if public in [address[0] for address in each["addresses"]]]
    if any(link != name for link in on):
        return _ok(f"{public} is on {', '.join(on)}")
    fault = f"{public} is on {name}, the branch's side" if on else f"no device has {public}"
    return _broken(fault, "gateway:public is to be the address towards headquarters")


def _listening(address: str, port: int) -> dict:
    lines = _run(["ss", "-Hltn", f"sport = :{port}"])["stdout"].splitlines()
    on = sorted({line.split()[3].rpartition(":")[0].partition("%")[0].strip("[]") for line in lines if line.split()})
    if {"0.0.0.0", "*", "::", address} & set(on):
        return _ok(f"port {port} on {', '.join(on)}")
    fault = f"port {port} only on {', '.join(on)}" if on else f"nothing listens on port {port}"
    return _broken(fault, f"sshd on 0.0.0.0 or {address}")


def _forwarding(bridge: str, arguments: dict) -> dict:
    """With br_netfilter's hook on, all traffic of the VM crosses the host's own chains for what it forwards."""
    on = [
        family for family, switch in SWITCHES.items() if (__salt__["onepass_host.read"](switch) or "0").strip() != "0"
    ]
    vms = {
        family: [vm[key] for vm in arguments["vms"] if vm.get(key)] for family, key in (("ip", "ip"), ("ip6", "ip6"))
    }
    crossing = [family for family in on if vms[family]]
    if not crossing:
        return _ok("frames of the VM do not cross the host's own rules")
    uplink, own = arguments["uplink"], _nft()
    tried = [
        (what, _tried(bridge, uplink, vms[family], rules))
        for family in crossing
        for what, rules in (*_iptables(family, own), *_tables(family, own))
    ]
    blocking = list(dict.fromkeys(f"{what}{how}" for what, how in tried if how))
    if not blocking:
        return _ok("frames of the VM cross the host's own rules, which let them pass")
    hooks = " and ".join(Path(SWITCHES[family]).name for family in crossing)
    return _broken(
        f"{', '.join(blocking)}, {hooks} 1: ports of the VM but the host's are dead",
        f"sysctl net.bridge.{Path(SWITCHES[crossing[0]]).name}=0, or have each of them accept what {bridge} forwards",
    )


def _tried(bridge: str, uplink: str, addresses: list, rules: dict) -> str:
    """How frames of the VMs fare under some rules; empty when they pass."""
    try:
        return "" if __salt__["bridge_nat_trial.passes"](bridge, uplink, addresses, rules) else " drops them"
    except CommandExecutionError as err:
        return f" could not be tried ({err})"


def _nft() -> dict:
    """
    The tables that nft lists by itself, by family and name: not those with rules of iptables.

    A rule of nft's own can be in a table that iptables lists, too; iptables-save then tells it without its sets.
    """
    if not salt.utils.path.which("nft"):
        return {}
    listed = _run(["nft", "-s", "list", "ruleset"])
    shared = set(re.findall(r"table (ip6? \S+) is managed by iptables", listed["stderr"] + listed["stdout"]))
    tables = re.findall(r"^(table ((?:ip|ip6|inet) \S+) \{$.*?^\})$", listed["stdout"], re.MULTILINE | re.DOTALL)
    return {name: f"{text}\n" for text, name in tables if name not in shared or not _saved(*name.split())}


def _iptables(family: str, own: dict) -> list:
    """The rules of iptables or ip6tables, with whom they are of; none where nothing is filtered."""
    program = PROGRAMS[family]
    texts = {f"{family} {table}": _saved(family, table) for table in ("filter", "mangle", "raw")}
    saved = "".join(text for name, text in texts.items() if not (name in own and "(nf_tables)" in text))
    if not re.search(r"^(-A|:FORWARD DROP)", saved, re.MULTILINE):
        return []
    policy = " policy DROP" if re.search(r"^:FORWARD DROP", saved, re.MULTILINE) else ""
    by = next((tool for tool, mark in {"docker": ":DOCKER", "ufw": ":ufw"}.items() if mark in saved), "somebody")
    rules = {**_sets(saved), f"{program}-restore": saved}
    return [(f"{'' if family == 'ip' else 'IPv6: '}FORWARD{policy}, set by {by},", rules)]


def _sets(saved: str) -> dict:
    """The sets that rules of iptables name: without them they cannot be loaded."""
    if "-set " not in saved or not salt.utils.path.which("ipset"):
        return {}
    return {"ipset": _run(["ipset", "save"])["stdout"] + "\n"}


def _saved(family: str, table: str) -> str:
    """A table of iptables or ip6tables; none if nft's own of that name is there instead."""
    program = f"{PROGRAMS[family]}-save"
    if not salt.utils.path.which(program):
        return ""
    text = _run([program, "-t", table])["stdout"]
    return "" if "incompatible" in text or not text else f"{text}\n"


def _tables(family: str, own: dict) -> list:
    """Tables of nft's own that filter what is forwarded, or all that comes in, as firewalld's."""
    return [
        (f"table {name}{_policy(text)}", {"nft": text})
        for name, text in own.items()
        if name.split()[0] in (family, "inet") and re.search("type filter hook (pre|post|for)", text)
    ]


def _policy(text: str) -> str:
    drops = re.search(r"chain (\S+) \{\n\s+type filter hook forward .*policy drop", text)
    return f", {drops[1]} policy DROP," if drops else ""


def _macs(bridge: str, arguments: dict) -> dict:
    """A MAC that the bridge has learned on the uplink is another machine's."""
    ports = learned(bridge)
    outside = [vm for vm in arguments["vms"] if arguments["uplink"] in ports.get(vm["mac"], ())]
    if outside:
        said = ", ".join(f"{vm['mac']} ({vm['name']})" for vm in outside)
        return _broken(f"{said} sends from beyond {arguments['uplink']}", "find the second machine with that MAC")
    up = [vm["name"] for vm in arguments["vms"] if vm["mac"] in ports]
    return _ok(f"heard of on the bridge: {', '.join(up)}" if up else "no VM has sent for a while")
