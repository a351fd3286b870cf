"""dnsmasq_fwd beside its peers, on a private host; writes docs/benchmarks-names.md. Needs root.

    .venv/3008/bin/python tests/bench/names.py --rounds 3

All contenders take their turn in each round, each on a host of its own: network and mount namespaces, libvirtd,
nameservers. What a contender claims is checked by real queries. A target that is missed is reported as missed.
"""

import argparse
import contextlib
import datetime
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

import bench

sys.path.insert(0, str(bench.ROOT / "tests"))
import networks  # noqa: E402
from networks import dig, until  # noqa: E402

REPORT = bench.ROOT / "docs/benchmarks-names.md"
TURNS = {"first": "first apply", "change": "other forwarder", "again": "nothing to do"}
NETWORK, BRIDGE, VIRSH = "dnsmasq_fwd.network", "dnsmasq_fwd.bridge", "virsh by hand"
BY_HAND, PEER = "ip, nft and dnsmasq by hand", "community.libvirt"
GATEWAY, WEB = "192.168.150.1", "192.168.150.5"
LAB = {
    "bridge": "virbr7",
    "domain": "lab.example",
    "address": f"{GATEWAY}/24",
    "dhcp": {"start": "192.168.150.10", "end": "192.168.150.200"},
    "hosts": {"web": {"address": WEB}},
}
XML = """<network><name>lab</name><uuid>7f6e0d9a-3c52-4a0f-9d52-0f4f7f3f1a11</uuid><forward mode='nat'/>
<bridge name='virbr7' stp='on' delay='0'/><mac address='52:54:00:bf:57:bb'/><domain name='lab.example' localOnly='yes'/>
<dns><forwarder addr='{forwarder}'/><host ip='192.168.150.5'><hostname>web.lab.example</hostname></host></dns>
<ip address='192.168.150.1' netmask='255.255.255.0'>
<dhcp><range start='192.168.150.10' end='192.168.150.200'/></dhcp></ip></network>"""
NAT = """table ip lab { chain post { type nat hook postrouting priority srcnat;
ip saddr 192.168.150.0/24 ip daddr != 192.168.150.0/24 masquerade; }; }"""
CONFIG = """interface=virbr7
bind-dynamic
except-interface=lo
no-hosts
no-resolv
servers-file=/run/servers
domain=lab.example,192.168.150.0/24,local
host-record=web.lab.example,192.168.150.5
dhcp-range=192.168.150.10,192.168.150.200
pid-file=/run/lab.pid
"""
VIRSH_LINES = {
    "first": "virsh net-define /run/lab.xml; virsh net-autostart lab; virsh net-start lab",
    "change": "virsh net-define /run/lab.xml; virsh net-destroy lab; virsh net-start lab",
    "again": "virsh net-dumpxml lab; virsh net-info lab",
}
LINES = {
    "first": "ip link add virbr7 type bridge; ip address add 192.168.150.1/24 dev virbr7; ip link set virbr7 up; "
    "sysctl -qw net.ipv4.ip_forward=1; nft -f /run/lab.nft; dnsmasq -C /run/lab.conf",
    "change": "kill -HUP $(cat /run/lab.pid)",
    "again": "ip address show dev virbr7; nft list table ip lab; kill -0 $(cat /run/lab.pid)",
}
HEAD = """# Benchmarks: networks with names

Written by `make bench` on {date}; not edited by hand. A figure is the median, with the least and the most, of {rounds}
rounds. {cores} cores, load at the end {load:.1f}.

One network with NAT, DHCP, a name and a forwarder; then another forwarder; then nothing to do. Whole commands:
`{network}` and `{bridge}` by `salt-call --local state.apply`, {peer}'s `virt_net` by a play
without facts.

{virsh} and {peer} start a network again to change its forwarder, which takes the link of every guest;
`virt_net` takes another definition only where there is none. `{network}` and `{bridge}` change it live."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    rounds = parser.parse_args().rounds
    figures = bench.gather(a_round() for _ in bench.counted("networks", rounds))
    REPORT.write_text(report(figures, rounds))
    print(f"Written: {REPORT.relative_to(bench.ROOT)}")


def a_round():
    """``{(turn, contender): seconds}``."""
    figures = {}
    for contender in CONTENDERS:
        with host() as home:
            figures.update(turns(contender, home))
    with host() as home:
        figures.update({(turn, bench.EMPTY): bench.seconds(bench.salt_call(home, "empty")) for turn in TURNS})
    return figures


@contextlib.contextmanager
def host():
    """A host with libvirtd and two nameservers; its directory, where Salt's caches are warm."""
    with tempfile.TemporaryDirectory(prefix="onepass-bench-") as name:
        home = Path(name)
        with networks.host(home), networks.libvirtd():
            upstreams = networks.Nameservers(home)
            for number in (8, 9):
                upstreams.start(number)
            (home / "minion").write_text(json.dumps({"root_dir": name, **bench.MINION}))
            bench.output(bench.salt_call(home, "empty"))
            yield home


def turns(contender, home):
    figures = {}
    for turn, number in {"first": 9, "change": 8, "again": 8}.items():
        words = CONTENDERS[contender](home, turn, f"{networks.UPSTREAM}.{number}")
        figures[turn, contender] = bench.seconds(words)
        assert dig("web.lab.example", GATEWAY) == [WEB]
        until(lambda number=number: dig("www.example.org", GATEWAY) == [f"203.0.113.{number}"])
    return figures


def onepass(backend):
    def words(home, turn, forwarder):
        network = {**LAB, "forwarders": [{"address": forwarder}]}
        return bench.salt_call(home, "names", f"pillar={json.dumps({'backend': backend, 'network': network})}")

    return words


def virsh(home, turn, forwarder):
    Path("/run/lab.xml").write_text(XML.format(forwarder=forwarder))
    return ["sh", "-ec", VIRSH_LINES[turn]]


def by_hand(home, turn, forwarder):
    for name, text in {"lab.nft": NAT, "lab.conf": CONFIG, "servers": f"server={forwarder}\n"}.items():
        Path("/run", name).write_text(text)
    return ["sh", "-ec", LINES[turn]]


def peer(home, turn, forwarder):
    more = {"ansible_python_interpreter": str(bench.PEER / "python"), "turn": turn}
    more["xml"] = XML.format(forwarder=forwarder)
    return [bench.PEER / "ansible-playbook", "--extra-vars", json.dumps(more), bench.HERE / "play_names.yaml"]


CONTENDERS = {NETWORK: onepass("network"), VIRSH: virsh, PEER: peer, BRIDGE: onepass("bridge"), BY_HAND: by_hand}


def report(figures, rounds):
    middle = {figure: median(values) for figure, values in figures.items()}

    def net(turn, contender):
        return middle[turn, contender] - middle[turn, bench.EMPTY]

    targets = []
    for turn, words in TURNS.items():
        times = middle[turn, PEER] / middle[turn, NETWORK]
        targets.append(bench.target(f"{PEER} / {NETWORK}, {words}", "at least", 2, times))
    for ours, theirs in ((NETWORK, VIRSH), (BRIDGE, BY_HAND)):
        more = net("first", ours) - middle["first", theirs]
        targets.append(bench.target(f"{ours} beyond {theirs} and Salt's start, first apply, s", "at most", 0.5, more))
        words = f"{ours} beyond Salt's start, nothing to do, s"
        targets.append(bench.target(words, "at most", 0.2, net("again", ours)))
    names = {"network": NETWORK, "bridge": BRIDGE, "peer": PEER, "virsh": VIRSH}
    load = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    head = HEAD.format(date=datetime.date.today(), rounds=rounds, **names, **load)
    targets_table = bench.table(["target", "wanted", "found", ""], targets)
    return "\n\n".join([head, bench.grid("seconds", TURNS, figures), targets_table]) + "\n"


if __name__ == "__main__":
    main()
