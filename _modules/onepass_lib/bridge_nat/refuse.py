"""
What a host cannot become, and why.
"""

from salt.exceptions import CommandExecutionError


def workstation(name: str, uplink: str, links: dict, libvirt: list[str]) -> None:
    """
    Raises ``CommandExecutionError`` when the uplink is not there or belongs to another bridge, and when the bridge is
    that of a libvirt network.
    """
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


def gateway(name: str, links: dict) -> None:
    """Raises ``CommandExecutionError`` when the device towards the branch is not there."""
    if name not in links:
        raise CommandExecutionError(f"Device {name} is not there; there are {', '.join(links)}. Correct gateway:lan")
