"""
Whether a host's own rules let the frames of a VM pass: tried by frames, on a copy of the rules in a network namespace.

.. versionadded:: 0.1.0

Rules can be read in many wrong ways (a jump, a wildcard, a state, an address that is not the VM's); the kernel reads
them right. The namespace has a bridge and ports of the same names, with this host's addresses and routes on the bridge;
nobody sees it, and it is gone with the trial::

    salt-call --local -m . sys.doc bridge_nat_trial.passes

Requires root, iproute2, the module ``br_netfilter``, and what loads the rules.
"""

import contextlib
import ipaddress
import json
import re
import select
import socket
import struct
import time
from pathlib import Path

from salt.exceptions import CommandExecutionError

SWITCHES = "/proc/sys/net/bridge"
PORT = 3389
MACS = (b"\x02\x00\x00\x00\x00\x01", b"\x02\x00\x00\x00\x00\x02")
ETHER_TYPES = {4: 0x0800, 6: 0x86DD}
LOAD = {"nft": ["-f", "-"], "ipset": ["restore"]}
ALL = 3
FAMILIES = ("-4", "-6")
SYN = 2
# Seconds: a frame passes a bridge at once, but a bridge's ports need a while to come up.
AGAIN, WITHIN, READY = 0.1, 1, 5


def __virtual__():
    return "bridge_nat_trial"


def passes(bridge: str, uplink: str, addresses: list, rules: dict) -> bool:
    """
    Whether new connections to and from each address pass a bridge under some rules.

    bridge, uplink
        The names of the bridge and of its port to the outside; the other port is ``vnet0``.
    addresses
        The VMs' addresses, of IPv4 or IPv6; the other end of a connection is a neighbour.
    rules
        Program (``nft``, or ``iptables-restore`` and ``ip6tables-restore``, before them ``ipset`` for sets that they
        name) to the text that it loads. Other devices of this host that the text names are there as well.

    Raises ``CommandExecutionError`` when the rules cannot be loaded, or a frame does not pass without any.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc bridge_nat_trial.passes

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    text = "\n".join(rules.values())
    here = [name for _, name in socket.if_nameindex()]
    named = [each for each in here if re.search(rf"(?<![\w.-]){re.escape(each)}(?![\w.-])", text)]
    ways = [way for family in FAMILIES for way in _ways(bridge, family)] if bridge in here else []
    with __salt__["onepass_host.told"](bridge):
        return __salt__["onepass_host.in_new_network"](lambda: _tried(bridge, uplink, addresses, rules, named, ways))


def _ways(bridge: str, family: str) -> list:
    """This host's addresses on the bridge and routes by it, as commands: rules may look where an answer would go."""
    links, routes = (
        json.loads(__salt__["onepass_host.run"](["ip", "-j", family, what, "show", "dev", bridge]) or "[]")
        for what in ("address", "route")
    )
    held = [each for link in links for each in link.get("addr_info", []) if each["scope"] == "global"]
    own = [["address", "add", f"{each['local']}/{each['prefixlen']}"] for each in held]
    more = [
        ["route", "replace", each["dst"], *(["via", each["gateway"], "onlink"] if "gateway" in each else [])]
        for each in routes
        if each.get("protocol") != "kernel"
    ]
    return [["ip", family, *words, "dev", bridge] for words in own + more]


def _tried(bridge: str, uplink: str, addresses: list, rules: dict, named: list, ways: list) -> bool:
    run = __salt__["onepass_host.run"]
    run(["ip", "link", "add", "name", bridge, "type", "bridge", "stp_state", "0"])
    run(["ip", "link", "set", "dev", bridge, "up"])
    ends = []
    for number, port in enumerate((uplink, "vnet0")):
        run(["ip", "link", "add", "name", port, "type", "veth", "peer", "name", f"trial{number}"])
        run(["ip", "link", "set", "dev", port, "master", bridge, "up"])
        run(["ip", "link", "set", "dev", f"trial{number}", "up"])
        ends.append(f"trial{number}")
    for device in {*named} - {"lo", bridge, uplink, "vnet0", *ends}:  # nft takes rules for devices that are there
        run(["ip", "link", "add", "name", device, "type", "bridge"])
    for way in ways:
        with contextlib.suppress(CommandExecutionError):  # of a kind that leads nowhere here
            run(way)
    _cross()
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(_listening(end)) for end in ends]
        if not all(_connects(sockets, address, 1024, READY) for address in addresses):
            raise CommandExecutionError(f"No frame passes a bridge {bridge} even without any rules")
        for program, text in rules.items():
            run([program, *LOAD.get(program, ["-w"])], stdin=text)
        return all(_connects(sockets, address, 2048, WITHIN) for address in addresses)


def _cross():
    """Frames cross the rules; before Linux 5.3 all namespaces have the host's switches, and none of their own."""
    for switch in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"):
        path = Path(f"{SWITCHES}/{switch}")
        if path.exists() and path.read_text().strip() != "1":
            path.write_text("1")


def _listening(device: str) -> socket.socket:
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    one.bind((device, 0))
    return one


def _connects(sockets: list, address: str, port: int, within: float) -> bool:
    """Both ways, each a connection of its own; a frame that is lost is sent again."""
    outside, inside = sockets
    vm = ipaddress.ip_address(address)
    other = vm + 1 if int(vm) % 256 < 128 else vm - 1
    ways = ((outside, inside, other, vm, port), (inside, outside, vm, other, port + 1))
    return all(_arrives(*way, within) for way in ways)


def _arrives(sender, receiver, source, target, port: int, within: float) -> bool:
    packet, end = _packet(source, target, port), time.monotonic() + within
    while time.monotonic() < end:
        sender.send(MACS[1] + MACS[0] + struct.pack("!H", ETHER_TYPES[source.version]) + packet)
        while select.select([receiver], [], [], AGAIN)[0]:
            if receiver.recv(2048)[14:].startswith(packet):
                return True
    return False


def _packet(source, target, port: int) -> bytes:
    """The first packet of a TCP connection."""
    pseudo = source.packed + target.packed + struct.pack("!II", 20, socket.IPPROTO_TCP)
    body = struct.pack("!HHIIBBHHH", port, PORT, 1, 0, 5 << 4, SYN, 64240, 0, 0)
    body = body[:16] + struct.pack("!H", _sum(pseudo + body)) + body[18:]
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28, 20, socket.IPPROTO_TCP, 64) + source.packed + target.packed + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, socket.IPPROTO_TCP, 0) + source.packed + target.packed
    return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + body


def _sum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
