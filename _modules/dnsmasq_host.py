"""
This host's devices, files and processes, as both backends of :py:mod:`dnsmasq_fwd` need them.

.. versionadded:: 0.1.0

Requires iproute2 and root::

    salt-call --local -m . dnsmasq_host.links
"""

import contextlib
import ipaddress
import json
import os
import signal
from pathlib import Path

from salt.exceptions import CommandExecutionError

LISTENS = {"udp": "07", "tcp": "0A"}


def __virtual__():
    return "dnsmasq_host"


def links():
    """
    All devices of this host.

    Returns:
        Name to ``kind``, ``master``, ``up``, ``carrier`` and ``addresses`` (IPv4, with length).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_host.links

    .. versionadded:: 0.1.0
    """
    found = {}
    for each in json.loads(__salt__["onepass_host.run"](["ip", "-j", "-d", "address", "show"]) or "[]"):
        if each:
            addresses = [f"{a['local']}/{a['prefixlen']}" for a in each.get("addr_info", []) if a["family"] == "inet"]
            found[each["ifname"]] = {
                "kind": each.get("linkinfo", {}).get("info_kind"),
                "master": each.get("master"),
                "up": "UP" in each["flags"],
                "carrier": "LOWER_UP" in each["flags"],
                "addresses": addresses,
            }
    return found


def others(network, bridge):
    """
    Which other devices of this host have an address in a network, or a route to just this one, as a VPN has.

    network
        Its addresses: ``192.168.150.0/24``. A wider network stays beside it.
    bridge
        Its own device.

    Returns:
        A text: ``eth1 (192.168.150.7/24)``; empty when there is none.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_host.others 192.168.150.0/24 virbr7

    .. versionadded:: 0.1.0
    """
    own = ipaddress.ip_network(network)
    routes = json.loads(__salt__["onepass_host.run"](["ip", "-j", "-4", "route", "show"]) or "[]")
    found = {each.get("dev", each.get("type")): f"route to {own}" for each in routes if each.get("dst") == str(own)}
    for device, link in links().items():
        inside = [each for each in link["addresses"] if ipaddress.ip_interface(each).ip in own]
        found.update({device: inside[0]} if inside else {})
    return ", ".join(f"{device} ({what})" for device, what in found.items() if device != bridge)


def attach(device, bridge):
    """
    The device is a port of the bridge, and up; proven by looking again.

    device, bridge
        Their names.

    Raises ``CommandExecutionError`` when it is not.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc dnsmasq_host.attach

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    __salt__["onepass_host.run"](["ip", "link", "set", "dev", device, "master", bridge, "up"])
    seen = links()[device]
    if seen["master"] != bridge or not seen["up"]:
        raise CommandExecutionError(f"{device} is not a port of {bridge} after all: its master is {seen['master']}")


def process(pid_file, words=()):
    """
    The process that a pid file tells of, if it is a dnsmasq; else ``None``.

    pid_file
        The file.
    words
        Words that its command line must have, so that a number that was used again is not taken for it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_host.process /run/libvirt/network/default.pid

    .. versionadded:: 0.1.0
    """
    text = (__salt__["onepass_host.read"](pid_file) or "").strip()
    line = __salt__["onepass_host.read"](f"/proc/{text}/cmdline") if text.isdecimal() else None
    seen = (line or "").split("\0")
    fits = seen[0].endswith("dnsmasq") and all(word in seen for word in words)
    return int(text) if fits else None


def has_ended(pid):
    """
    Whether a process is gone, with all its sockets.

    pid
        Its number.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_host.has_ended 1

    .. versionadded:: 0.1.0
    """
    stat = __salt__["onepass_host.read"](f"/proc/{pid}/stat")
    return stat is None or stat.rpartition(")")[2].split()[0] in "ZX"


def hang_up(pid):
    """
    Tell dnsmasq to read its files again.

    pid
        Its process.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc dnsmasq_host.hang_up

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGHUP)


def syntax(options, beside=()):
    """
    Refuse options that dnsmasq itself does not take. Starts nothing.

    options
        Lines of its configuration.
    beside
        Lines that will stand before them. Default: none.

    Raises ``CommandExecutionError`` with what dnsmasq said.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc dnsmasq_host.syntax

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    with __salt__["onepass_host.workplace"]() as work:
        lines = [each for each in (*beside, *options) if not each.startswith("servers-file=")]
        (work / "dnsmasq.conf").write_text("".join(f"{line}\n" for line in lines))
        try:
            __salt__["onepass_host.run"](["dnsmasq", "--test", f"--conf-file={work}/dnsmasq.conf"])
        except CommandExecutionError as err:
            said = str(err).rpartition("dnsmasq: ")[2]
            number = said.partition(" at line ")[2].split(" ")[0]
            which = f" {lines[int(number) - 1]!r}" if number.isdecimal() else ""
            raise CommandExecutionError(f"dnsmasq does not take the option{which}: {said}") from None


def listeners(port=53):
    """
    Who listens on a port of this host.

    port
        Default 53.

    Returns:
        Sorted list of mappings: ``protocol``, ``address``, ``pid`` and ``program`` (``None`` when it is not ours to
        see).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_host.listeners

    .. versionadded:: 0.1.0
    """
    sockets = {}
    for protocol, state in LISTENS.items():
        for line in (__salt__["onepass_host.read"](f"/proc/net/{protocol}") or "").splitlines()[1:]:
            fields = line.split()
            address, _, hexport = fields[1].partition(":")
            if int(hexport, 16) == port and fields[3] == state:
                sockets[fields[9]] = (protocol, ".".join(str(each) for each in reversed(bytes.fromhex(address))))
    owners = _owners(set(sockets)) if sockets else {}
    found = [
        {
            "protocol": protocol,
            "address": address,
            "pid": owners.get(inode, (None, None))[0],
            "program": owners.get(inode, (None, None))[1],
        }
        for inode, (protocol, address) in sockets.items()
    ]
    return sorted(found, key=lambda each: (each["address"], each["protocol"]))


def _owners(inodes):
    found = {}
    for place in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            target = os.readlink(place)
            inode = target.removeprefix("socket:[").removesuffix("]")
            if target.startswith("socket:[") and inode in inodes:
                pid = place.parts[2]
                found[inode] = int(pid), (__salt__["onepass_host.read"](f"/proc/{pid}/comm") or "").strip()
    return found
