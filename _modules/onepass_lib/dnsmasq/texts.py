"""
The files that a network with names becomes: forwarders, dnsmasq's configuration, names, NAT, the unit. Texts only.

All functions take a network as ``desired.complete`` answers it.

A file that dnsmasq reads again at SIGHUP says in itself which generation it is: a nameserver of loopback that is asked
for ``onepass.test`` only, its address made from the contents. What dnsmasq answers to ``servers.bind`` tells then
whether the running one has read the file: no memory is kept, an interrupted change is seen by the next run.
"""

import hashlib

from onepass_lib.dnsmasq.desired import MARK

FILES = "/etc/onepass/dnsmasq_fwd"
UNITS = "/etc/systemd/system"


# Forwarders, for both backends


def servers(network: dict, *beside: str) -> str:
    """
    The file of forwarders, with the mark of its generation.

    network
        A complete network.
    beside
        Texts that dnsmasq reads again at the same time; they are part of the generation.
    """
    lines = [f"server={_upstream(each)}\n" for each in network["forwarders"]]
    text = "# Written by Onepass: changes are lost.\n" + "".join(lines)
    return text + f"server=/{MARK}/{mark(''.join([text, *beside]))}\n"


def mark(text: str) -> str:
    """The address of loopback that stands for a text, as dnsmasq shows a nameserver: ``127.93.12.7#40112``."""
    digest = hashlib.sha256(text.encode()).digest()
    port = 1024 + int.from_bytes(digest[3:7], "big") % 64000
    return f"127.{digest[0]}.{digest[1]}.{1 + digest[2] % 254}#{port}"


def marked(text: str | None) -> str | None:
    """The mark in a file of forwarders, or ``None``."""
    begin = f"server=/{MARK}/"
    return next((line.removeprefix(begin) for line in (text or "").splitlines() if line.startswith(begin)), None)


def forwarders(text: str | None) -> list[str]:
    """What a file of forwarders says, as lines: ``10.0.0.53#5353 for bank.example``; without the mark."""
    found = []
    for line in (text or "").splitlines():
        if line.startswith("server=") and MARK not in line:
            *domain, address = line.removeprefix("server=").split("/")
            found.append(f"{address} for {domain[1]}" if domain else address)
    return found


def _upstream(forwarder: dict) -> str:
    address = f"{forwarder['address']}#{forwarder['port']}"
    return f"/{forwarder['domain']}/{address}" if forwarder["domain"] else address


# The stand-alone backend


def place(name: str) -> str:
    """Where the stand-alone backend's files are."""
    return f"{FILES}/{name}"


def unit_name(name: str) -> str:
    """The systemd unit of a stand-alone network."""
    return f"onepass-dnsmasq-{name}.service"


def files(network: dict) -> dict[str, str]:
    """All files of a stand-alone network: path to text. The unit alone brings back bridge, NAT and dnsmasq at boot."""
    root, hosts = place(network["name"]), network["hosts"].items()
    names = "".join(f"{host['address']} {name}\n" for name, host in hosts)
    reservations = "".join(f"{host['mac']},{host['address']},{name}\n" for name, host in hosts if host["mac"])
    return {
        f"{root}/addnhosts": names,
        f"{root}/hostsfile": reservations,
        f"{root}/servers": servers(network, names, reservations),
        f"{root}/dnsmasq.conf": _config(network, root),
        **({f"{root}/nat.nft": nat(network)} if network["nat"] else {}),
        f"{UNITS}/{unit_name(network['name'])}": _unit(network, root),
    }


def config_mark(text: str | None) -> str | None:
    """
    What a stand-alone dnsmasq answers to a TXT query of ``onepass.test`` if it was started with this configuration.

    text
        The configuration's text; ``None`` if there is no file.
    """
    begin = f"txt-record={MARK},"
    return next((line.removeprefix(begin) for line in (text or "").splitlines() if line.startswith(begin)), None)


def nat(network: dict) -> str:
    """The table that translates what guests send to other networks."""
    subnet = network["network"]
    outside = f"ip daddr != {{ {subnet}, 224.0.0.0/24, 255.255.255.255 }}"
    rules = f"\t\tip saddr {subnet} {outside} masquerade\n"
    hook = "\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
    return f"table ip {table(network['name'])} {{\n\tchain postrouting {{\n{hook}{rules}\t}}\n}}\n"


def table(name: str) -> str:
    """The nft table of a stand-alone network."""
    return f"dnsmasq_fwd_{name}"


def commands(network: dict) -> list[list[str]]:
    """What makes the bridge, its address, and the way out: argument lists, each harmless when it was done before."""
    bridge, name = network["bridge"], table(network["name"])
    out = [
        ["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"],
        ["nft", "add", "table", "ip", name],
        ["nft", "delete", "table", "ip", name],
        ["nft", "-f", f"{place(network['name'])}/nat.nft"],
    ]
    return [
        ["ip", "link", "add", "name", bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0"],
        ["ip", "address", "replace", network["address"], "dev", bridge],
        ["ip", "link", "set", "dev", bridge, "up"],
        *(out if network["nat"] else []),
    ]


def _config(network: dict, root: str) -> str:
    dhcp, domain, reverse = network["dhcp"], network["domain"], network["reverse"]
    lines = [
        f"interface={network['bridge']}",
        "except-interface=lo",
        "bind-dynamic",
        f"pid-file=/run/onepass-dnsmasq-{network['name']}.pid",
        f"addn-hosts={root}/addnhosts",
        f"hostsdir={root}/hosts.d",
        f"servers-file={root}/servers",
        f"domain={domain}",
        "expand-hosts",
    ]
    if network["local_only"]:
        lines += [f"local=/{zone}/" for zone in (domain, reverse) if zone]
    if dhcp:
        lines += [
            f"dhcp-range={dhcp['start']},{dhcp['end']},{network['netmask']},{dhcp['seconds']}",
            f"dhcp-hostsfile={root}/hostsfile",
            f"dhcp-hostsdir={root}/dhcp-hosts.d",
            f"dhcp-leasefile=/var/lib/misc/onepass-dnsmasq-{network['name']}.leases",
            "dhcp-authoritative",
            "dhcp-no-override",
        ]
    if not network["nat"]:
        lines += [*(["dhcp-option=3"] if dhcp else []), *([] if "no-resolv" in network["lines"] else ["no-resolv"])]
    text = "# Written by Onepass: changes are lost.\n" + "\n".join([*lines, *network["lines"]]) + "\n"
    return text + f"txt-record={MARK},{hashlib.sha256(text.encode()).hexdigest()[:32]}\n"


def _unit(network: dict, root: str) -> str:
    def run(words: list[str]) -> str:
        may_fail = "-" if words[1:3] == ["link", "add"] else ""
        return f"ExecStartPre={may_fail}{' '.join(words)}\n"

    before = "".join(run(words) for words in commands(network))
    return (
        "# Written by Onepass: changes are lost.\n"
        "[Unit]\n"
        f"Description=Names, addresses and forwarders of the network {network['name']}\n"
        "After=network.target\n"
        "Before=libvirtd.service libvirt-guests.service\n\n"
        "[Service]\n"
        f"{before}"
        f"ExecStart=dnsmasq --keep-in-foreground --conf-file={root}/dnsmasq.conf\n"
        "ExecReload=kill -HUP $MAINPID\n"
        "Restart=on-failure\n\n"
        "[Install]\n"
        "WantedBy=multi-user.target\n"
    )
