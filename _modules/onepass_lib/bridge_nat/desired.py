"""
The rules of the branch trick as texts: for nft, and for ebtables and iptables where nft cannot; and a gateway's
settings and neighbours.

On a workstation three things have to happen to a packet for the host's port of a VM's address: ARP for the address is
answered with the VM's MAC though the VM be down, the frame is pulled out of the bridge, and its destination becomes the
host. On the gateway both directions are translated. All of it lives in tables and chains called ``bridge_nat``; nobody
else's are written to.
"""

import hashlib
import ipaddress
from collections.abc import Iterable

NAME = "bridge_nat"
FAMILIES = ("netdev", "bridge", "ip", "ip6")
XT = ("iptables", "ip6tables", "ebtables")  # in this order, so that a frame that is pulled out finds its redirect
HOOKS = {"workstation": "PREROUTING", "gateway": "POSTROUTING"}
LINK_LOCAL = "169.254.0.0/16"
LINK_LOCAL6 = "fe80::1"
ASKED, SCRATCH = "@nh,192,32", "@nh,144,32"  # of an ARP request: arp daddr ip, and four bytes of arp daddr ether
REMEMBERED = "30d"  # how long the address of an answered request or of a login stays in its set
OURS = "169"  # the routing protocol number that marks neighbour entries as ours
# Program to text.
Rules = dict[str, str]


def texts(role: str, name: str, arguments: dict, way: str, mac: str | None = None) -> Rules:
    """
    The wanted rules, as the programs take them.

    role
        ``workstation`` or ``gateway``.
    name
        The bridge, or the gateway's device towards the branch.
    arguments
        Those of the state, with defaults filled in: see the states of ``bridge_nat``.
    way
        ``nft`` or ``ebtables``.
    mac
        The uplink's MAC; a workstation's rules for nft write it into the frames.

    Returns:
        Program to text: ``nft``; or ``ebtables``, ``iptables`` and ``ip6tables``, without those that have no rules.
        What a chain holds, without the jump to it.
    """
    made = {
        ("workstation", "nft"): lambda: {"nft": _workstation_nft(name, arguments, mac)},
        ("workstation", "ebtables"): lambda: _workstation_ebtables(name, arguments),
        ("gateway", "nft"): lambda: {"nft": _gateway_nft(name, arguments)},
        ("gateway", "ebtables"): lambda: _gateway_iptables(name, arguments),
    }[role, way]()
    return {program: text for program, text in made.items() if text}


def digest(wanted: Rules) -> str:
    """
    A hash of texts, by which their normal form is found again.

    wanted
        What ``texts`` answered.
    """
    return hashlib.sha256("\0".join(f"{program}\0{wanted[program]}" for program in sorted(wanted)).encode()).hexdigest()


def with_jumps(wanted: Rules, role: str) -> Rules:
    """The same with the jump to each chain of ours."""
    return {
        program: text if program == "nft" else f"-A {HOOKS[role]} -j {NAME}\n{text}" for program, text in wanted.items()
    }


def emptied(families: Iterable[str]) -> str:
    """A table is there, thus can be deleted, thus can be made anew: all in the transaction of what follows."""
    return "".join(f"table {family} {NAME}\ndelete table {family} {NAME}\n" for family in families)


def sysctls(lan: str, six: bool = False) -> dict[str, str]:
    """
    Kernel settings of a gateway: it forwards, names its branch address in ARP, and tells hosts of no shorter way.

    lan
        The gateway's device towards the branch.
    six
        Whether the branch has IPv6. Default ``False``.
    """
    return {
        "net.ipv4.ip_forward": "1",
        f"net.ipv4.conf.{lan.replace('.', '/')}.arp_announce": "2",
        "net.ipv4.conf.all.send_redirects": "0",
        f"net.ipv4.conf.{lan.replace('.', '/')}.send_redirects": "0",
        **({"net.ipv6.conf.all.forwarding": "1"} if six else {}),
    }


def neighbours(name: str, wanted: dict[str, str]) -> list[dict[str, str]]:
    """
    A gateway's permanent neighbour entries, as ``ip -j`` has them, with the mark that they are ours.

    name
        The gateway's device towards the branch.
    wanted
        IPv6 address to MAC.
    """
    said = {str(ipaddress.ip_address(address)): mac.lower() for address, mac in wanted.items()}
    return [{"dst": address, "lladdr": mac, "dev": name, "protocol": OURS} for address, mac in said.items()]


def neighbour_words(entry: dict[str, str]) -> list[str]:
    """The command that makes a neighbour entry."""
    words = ["ip", "neighbour", "replace", entry["dst"], "lladdr", entry["lladdr"], "dev", entry["dev"]]
    return [*words, "nud", "permanent", *(["protocol", entry["protocol"]] if "protocol" in entry else [])]


# nft


def _table(family: str, *parts: str) -> str:
    return f"table {family} {NAME} {{\n" + "\n".join(parts) + "\n}\n"


def _chain(name: str, *lines: str) -> str:
    return f"\tchain {name} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}"


def _set(kind: str, name: str, type_: str, elements: list[str]) -> str:
    return f"\t{kind} {name} {{\n\t\ttype {type_}\n\t\telements = {{ {', '.join(elements)} }}\n\t}}"


def _memory(name: str, type_: str) -> str:
    """A set that the rules themselves fill: what an address did last can be told from when it will be forgotten."""
    return f"\tset {name} {{\n\t\ttype {type_}\n\t\tflags dynamic,timeout\n\t\ttimeout {REMEMBERED}\n\t}}"


def _workstation_nft(bridge: str, arguments: dict, mac: str | None) -> str:
    vms, uplink, port = arguments["vms"], arguments["uplink"], arguments["port"]
    with6 = [vm["ip6"] for vm in vms if vm.get("ip6")]
    ips = _set("set", "vms", "ipv4_addr", [vm["ip"] for vm in vms])
    ip6s = [_set("set", "vms6", "ipv6_addr", with6)] if with6 else []
    pull = f"tcp dport {port} meta pkttype set host ether daddr set {mac} counter accept"
    pulls = [f'iifname "{uplink}" ip daddr @vms {pull}'] + [f'iifname "{uplink}" ip6 daddr @vms6 {pull}' for _ in ip6s]
    tables = [
        _responder(uplink, vms, ips),
        _table(
            "bridge", ips, *ip6s, _chain("pre", "type filter hook prerouting priority -310; policy accept;", *pulls)
        ),
        _table("ip", ips, _memory("logins", "ipv4_addr"), _redirect(bridge, "ip daddr", "@vms", port)),
    ]
    if with6:
        tables.append(
            _table("ip6", *ip6s, _memory("logins", "ipv6_addr"), _redirect(bridge, "ip6 daddr", "@vms6", port))
        )
    return "".join(tables)


def _redirect(bridge: str, field: str, vms: str, port: int) -> str:
    rule = f'iifname "{bridge}" {field} {vms} tcp dport {port} update @logins {{ {field} }} counter redirect'
    return _chain("pre", "type nat hook prerouting priority dstnat - 5; policy accept;", rule)


def _responder(uplink: str, vms: list[dict], ips: str) -> str:
    """The request is turned round in place; the asked address waits where the answer will have the asker's MAC.

    ``fwd to iif``, never to the device's name: that would be frozen as an index, and lost when the device is made anew.
    """
    asked = "arp htype 1 arp ptype ip arp operation request arp daddr ip @vms jump answer"
    taken = 'arp operation reply arp saddr ip @vms counter comment "somebody else has the address"'
    hook = f'type filter hook ingress device "{uplink}" priority 0; policy accept;'
    turn = (
        "update @answered { arp daddr ip }",
        f"{SCRATCH} set {ASKED}",
        "arp daddr ip set arp saddr ip",
        f"arp saddr ip set {SCRATCH}",
        "arp daddr ether set arp saddr ether",
        "ether daddr set arp saddr ether",
        "arp saddr ether set arp saddr ip map @mac_of",
        "ether saddr set arp saddr ether",
        "arp operation set reply",
        "counter fwd to iif",
    )
    return _table(
        "netdev",
        _set("map", "mac_of", "ipv4_addr : ether_addr", [f"{vm['ip']} : {vm['mac']}" for vm in vms]),
        ips,
        _memory("answered", "ipv4_addr"),
        _chain("uplink", hook, asked, taken),
        _chain("answer", *turn),
    )


def _gateway_nft(lan: str, arguments: dict) -> str:
    port, elsewhere = arguments["port"], f'oifname != {{ "lo", "{lan}" }}'
    to_host = f"tcp dport {port} counter snat to"
    tables = _table(
        "ip",
        _chain(
            "post",
            "type nat hook postrouting priority srcnat - 5; policy accept;",
            f'oifname "{lan}" ip daddr {arguments["network"]} {to_host} {arguments["link_local"]}',
            f"{elsewhere} ip saddr {LINK_LOCAL} counter snat to {arguments['public']}",
        ),
        _chain(
            "leak",
            "type filter hook postrouting priority srcnat + 10; policy accept;",
            f"{elsewhere} ip saddr {LINK_LOCAL} counter drop",
        ),
    )
    if arguments.get("network6"):
        rule = f'oifname "{lan}" ip6 daddr {arguments["network6"]} {to_host} {LINK_LOCAL6}'
        tables += _table("ip6", _chain("post", "type nat hook postrouting priority srcnat - 5; policy accept;", rule))
    return tables


# ebtables and iptables: one chain of our own in each nat table


def _own_chain(policy: str, rules: list[str]) -> str:
    return "".join(f"{line}\n" for line in ["*nat", f":{NAME} {policy}", *rules, "COMMIT"]) if rules else ""


def _workstation_ebtables(bridge: str, arguments: dict) -> Rules:
    uplink, port, vms = arguments["uplink"], arguments["port"], arguments["vms"]
    frames: list[str] = []
    packets: list[str] = []
    packets6: list[str] = []
    to_host = f"--dport {port} -j REDIRECT"
    for vm in vms:
        arp = f"-p ARP --arp-op Request --arp-ip-dst {vm['ip']} -j arpreply --arpreply-mac {vm['mac']}"
        pull = f"-p IPv4 --ip-dst {vm['ip']} --ip-proto tcp --ip-dport {port} -j redirect --redirect-target ACCEPT"
        frames += [f"-A {NAME} -i {uplink} {arp}", f"-A {NAME} -i {uplink} {pull}"]
        packets.append(f"-A {NAME} -i {bridge} -d {vm['ip']}/32 -p tcp -m tcp {to_host}")
        if vm.get("ip6"):
            pull = f"-p IPv6 --ip6-dst {vm['ip6']} --ip6-proto tcp --ip6-dport {port} -j redirect"
            frames.append(f"-A {NAME} -i {uplink} {pull} --redirect-target ACCEPT")
            packets6.append(f"-A {NAME} -i {bridge} -d {vm['ip6']}/128 -p tcp -m tcp {to_host}")
    return {
        "ebtables": _own_chain("RETURN", frames),
        "iptables": _own_chain("- [0:0]", packets),
        "ip6tables": _own_chain("- [0:0]", packets6),
    }


def _gateway_iptables(lan: str, arguments: dict) -> Rules:
    to_host = f"-A {NAME} -o {lan} -p tcp -m tcp --dport {arguments['port']}"
    rules = [
        f"{to_host} -d {arguments['network']} -j SNAT --to-source {arguments['link_local']}",
        f"-A {NAME} -o lo -j RETURN",
        f"-A {NAME} ! -o {lan} -s {LINK_LOCAL} -j SNAT --to-source {arguments['public']}",
    ]
    network6 = arguments.get("network6")
    rules6 = [f"{to_host} -d {network6} -j SNAT --to-source {LINK_LOCAL6}"] if network6 else []
    return {"iptables": _own_chain("- [0:0]", rules), "ip6tables": _own_chain("- [0:0]", rules6)}
