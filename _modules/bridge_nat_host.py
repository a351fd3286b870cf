"""
The host around the rules: the bridge, addresses, routes, kernel settings, and what brings all of it back at boot.

.. versionadded:: 0.1.0

``observe`` reads; a plan's step is a list of commands together with those that undo it::

    salt-call --local -m . bridge_nat_host.observe

Requires iproute2 and root. The uplink must not be configured by another tool as well (ifupdown, NetworkManager).
"""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.bridge_nat import boot, plan, seen


def __virtual__():
    return "bridge_nat_host"


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
        "links": {each["ifname"]: seen.link(each) for each in links},
        "routes": routes,
        "neighbours": [each for each in neighbours if ":" in each["dst"]],
        "sysctl": {key: _sysctl(key) for key in keys or ()},
        "libvirt": _libvirt_bridges(),
    }


def read_files() -> dict:
    """
    Our files that are there: path to text; a symbolic link as ``symlink to /path``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_host.read_files

    .. versionadded:: 0.1.0
    """
    found = {path: _read(_rooted(path)) for path in boot.PATHS}
    return {path: text for path, text in found.items() if text is not None}


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
    back = plan.undo(step)
    return {**back, "files": {_rooted(path): text for path, text in back["files"].items()}}


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
