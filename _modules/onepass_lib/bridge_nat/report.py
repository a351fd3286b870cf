"""
The rules in words, and as the loose commands that did the same before.
"""

from onepass_lib.bridge_nat.desired import LINK_LOCAL


def words(role: str, name: str, arguments: dict) -> list[str]:
    """
    What the rules do, a sentence each.

    role, name, arguments
        As for ``desired.texts``.
    """
    port = arguments["port"]
    if role == "gateway":
        seen = f"comes to the host from {arguments['link_local']}, the only kind of address that a host can answer to"
        known = [
            f"{address} has the MAC {mac}: nobody is asked, for nobody answers while the VM is down."
            for address, mac in (arguments.get("neighbours") or {}).items()
        ]
        return known + [
            f"A connection through {name} to port {port} of {arguments['network']} {seen}.",
            f"What a host sends to anywhere but {name} leaves with {arguments['public']}: headquarters has no route to "
            f"{LINK_LOCAL}.",
            f"What would still leave with an address of {LINK_LOCAL} is dropped: it began before the rules did.",
        ]
    told: list[str] = []
    for vm in arguments["vms"]:
        told += [
            f"ARP for {vm['ip']} that arrives on {arguments['uplink']} is answered with {vm['mac']}, also while "
            f"{vm['name']} is down.",
            f"A frame from {arguments['uplink']} for port {port} of {vm['ip']} is pulled out of the bridge {name}, and "
            f"the host ({arguments['link_local']}) answers in place of {vm['name']}; all other ports are the VM's.",
        ]
    return told


def blog(role: str, name: str, arguments: dict) -> list[str]:
    """
    The loose commands of 2013 that did the same, for comparison; not executed by anybody.

    role, name, arguments
        As for ``desired.texts``.
    """
    port = arguments["port"]
    if role == "gateway":
        to_host = f"-o {name} -d {arguments['network']} -p tcp --dport {port} -j SNAT --to {arguments['link_local']}"
        from_host = f"! -o {name} -s {LINK_LOCAL} -j SNAT --to {arguments['public']}"
        return [f"iptables -t nat -A POSTROUTING {rest}" for rest in (to_host, from_host)]
    told: list[str] = []
    for vm in arguments["vms"]:
        arp = f"-p arp --arp-opcode Request --arp-ip-dst {vm['ip']} -j arpreply --arpreply-mac {vm['mac']}"
        told += [
            f"ebtables -t nat -A PREROUTING {arp}",
            f"iptables -t nat -A PREROUTING -i {name} -p tcp -d {vm['ip']} --dport {port} -j REDIRECT",
        ]
    return told
