"""
A running virtual machine seen from its host's network: its address, its name in DNS, its host key, its lease.

.. versionadded:: 0.1.0

Every answer is the network's own: the DHCP server's lease for this MAC, a query to the DNS server that the guests use,
the key that sshd shows::

    salt-call --local -m . libvirt_guest.query virtual1.lab.test 192.168.122.1

Requires ``dnspython``, ``ssh-keyscan`` (openssh-client) for :py:func:`shows_key`, and root for :py:func:`release`.
"""

import contextlib
import os
import shutil
import socket
import struct
import subprocess

from salt.exceptions import CommandExecutionError

__virtualname__ = "libvirt_guest"

DHCP_COOKIE = b"\x63\x82\x53\x63"


def __virtual__():
    return __virtualname__


def address(vm: dict) -> str | None:
    """
    The IPv4 address that a clone has now: its lease, or on a bridge its agent's or ARP's word.

    vm
        What :py:func:`libvirt_host.domain` answered.

    Returns:
        The address, or ``None`` while it has none.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_guest.address

    .. versionadded:: 0.1.0
    """
    if not vm["active"] or not vm["interfaces"]:
        return None
    first = vm["interfaces"][0]
    held = [each["address"] for each in leases(first)]
    if not held and first["type"] != "network":
        held = __salt__["libvirt_host.addresses"](vm["name"], first["mac"])
    return held[-1] if held else None


def leases(interface: dict) -> list:
    """
    The IPv4 leases of an interface, from the DHCP servers of this host: libvirt's, and :py:mod:`dnsmasq_bridge`'s.

    interface
        One of ``interfaces``, as :py:func:`libvirt_host.domain` answers them.

    Returns:
        List of mappings: ``address``, ``client_id``, ``device`` (the bridge) and ``server``; the youngest is last.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_guest.leases '{type: network, source: default, mac: "52:54:00:00:00:01"}'

    .. versionadded:: 0.1.0
    """
    if interface["type"] != "network":
        return __salt__["dnsmasq_bridge.leases"](interface["mac"])
    network = __salt__["libvirt_host.network"](interface["source"])
    if not network or not network["active"]:
        return []
    held = __salt__["libvirt_host.leases"](interface["source"], interface["mac"])
    return [{**each, "device": network["bridge"], "server": network["server"]} for each in held]


def reached(name: str, stage: str) -> tuple:
    """
    How far a clone has come.

    name
        The clone.
    stage
        ``started``, ``address``, ``name`` (DNS answers with its address) or ``ssh`` (sshd shows its own host key).

    Returns:
        What to say of the stage when it is reached, else ``None``; and what was seen instead.

    Raises ``CommandExecutionError`` when it will never be reached: the clone is off, or has no network interface, or no
    host key of ours.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_guest.reached virtual1 name

    .. versionadded:: 0.1.0
    """
    found = __salt__["libvirt_make.own"](name)
    if not found["active"]:
        raise CommandExecutionError(f"{name} is off: it was not started, or its system stopped")
    if stage == "started":
        return "started", ""
    if not found["interfaces"]:
        raise CommandExecutionError(f"{name} has no network interface; wait until=started")
    held = address(found)
    if not held:
        return None, f"it runs, and no DHCP server gave {found['interfaces'][0]['mac']} an address"
    if stage == "address":
        return f"has the address {held}", ""
    return _named(found, held) if stage == "name" else _logged_into(found, held)


def _named(found: dict, held: str) -> tuple:
    fqdn, given = found["ours"]["fqdn"], leases(found["interfaces"][0])
    server = given[-1]["server"] if given else None
    answered = query(fqdn, server)
    seen = f"{fqdn} is {', '.join(answered) or 'unknown'} at {server or 'this host'}, its address is {held}"
    return answered == [held] and f"{fqdn} answers", seen


def _logged_into(found: dict, held: str) -> tuple:
    if not found["ours"].get("host_key_public"):
        raise CommandExecutionError(
            f"{found['name']} has no host key of ours, as its identity is 'none'; wait until=name"
        )
    shown, seen = shows_key(held, found["ours"]["host_key_public"])
    return shown and "ssh answers with its own host key", seen


def query(name: str, server: str | None = None, timeout: float = 0.5) -> list:
    """
    The IPv4 addresses that a name has in DNS; an empty list when it has none or nobody answers.

    name
        The name, whole.
    server
        The server's address. Default: the host's own resolver.
    timeout
        Seconds for the answer. Default 0.5.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_guest.query virtual1.lab.test 192.168.122.1

    .. versionadded:: 0.1.0
    """
    if server is None:
        try:
            return sorted({found[4][0] for found in socket.getaddrinfo(name, None, socket.AF_INET)})
        except OSError:
            return []
    return __salt__["dnsmasq_query.ask"](name, server, timeout=timeout)["answers"]


def shows_key(address: str, key: str) -> tuple:
    """
    Whether the sshd at an address has this host key, and what was seen.

    address
        The guest's IPv4 address.
    key
        The public key, ``ssh-ed25519 AAAA...``.

    Returns:
        ``True`` or ``False``, and the text of what was seen.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_guest.shows_key 192.168.122.20 'ssh-ed25519 AAAA'

    .. versionadded:: 0.1.0
    """
    if not shutil.which("ssh-keyscan"):
        raise CommandExecutionError("No ssh-keyscan on this host: on Debian, apt-get install openssh-client")
    said = ""
    with contextlib.suppress(subprocess.TimeoutExpired):
        argv = ["ssh-keyscan", "-T", "2", "-t", key.split()[0], address]
        said = subprocess.run(argv, capture_output=True, text=True, timeout=20).stdout
    shown = [line.partition(" ")[2] for line in said.splitlines() if not line.startswith("#")]
    if key in shown:
        return True, "its key"
    return False, "another host key than ours" if shown else f"no sshd at {address}"


def release(device: str, server: str, address: str, mac: str, client_id: str | None = None):
    """
    Give a lease back in the guest's stead: the DHCP server forgets the address, and the name with it.

    device
        The bridge.
    server
        The DHCP server's address, which is this host's own.
    address, mac
        The guest's.
    client_id
        The client id of the lease, ``01:52:54:...``, if it has one. Default: none.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_guest.release

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    packet = struct.pack(">BBBBIHH4s4s4s4s", 1, 1, 6, 0, int.from_bytes(os.urandom(4), "big"), 0, 0, *_quads(address))
    packet += _octets(mac).ljust(16, b"\0") + bytes(192) + DHCP_COOKIE
    packet += b"\x35\x01\x07" + b"\x36\x04" + socket.inet_aton(server)
    if client_id:
        packet += bytes([0x3D, len(_octets(client_id))]) + _octets(client_id)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        try:
            sock.sendto(packet + b"\xff", (server, 67))
        except OSError as err:
            raise CommandExecutionError(f"Cannot give the lease of {address} back at {server}: {err.strerror}") from err


def _quads(address: str) -> list:
    return [socket.inet_aton(address), bytes(4), bytes(4), bytes(4)]


def _octets(text: str) -> bytes:
    return bytes(int(part, 16) for part in text.split(":"))
