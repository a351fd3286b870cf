"""A branch with a minion on each of its hosts, for the tests of its trick."""

import re
import shlex
from pathlib import Path

from saltfactories.utils.functional import Loaders

NETWORK = {"network": "10.1.5.0/24"}
GATEWAY = {"link_local": "169.254.0.1", "public": "192.0.2.1", **NETWORK}
XT_TABLES = [[family, kind] for family in ("ip", "ip6", "bridge") for kind in ("nat", "filter", "mangle", "raw")]
NO_RULE = re.compile(r"#|\*|COMMIT|:\w+ ACCEPT|$")  # a table's frame; a chain of the kernel's that lets all pass
POLICY = re.compile(r" \[[0-9:]+\]$")
HOST1, VM1 = "H1:22 from 169.254.0.1", "VM1:3389 from 192.0.2.10"


def minions(opts, roots):
    """Salt's loaders for each host, ``{name: root directory}``."""
    made = {}
    for name, root in roots.items():
        own = {"id": f"{name}.rosario", "root_dir": str(root), "master_uri": "tcp://192.0.2.10:4506"}
        own["__cli"] = "salt-minion"
        made[name] = Loaders({**opts, **own}, loaded_base_name=f"salt.{name}")
    return made


class Branch:
    """The segment with a minion on each host; ``present("h1")`` is its state, in the host's own namespace."""

    def __init__(self, segment, minions, way):
        self.segment, self.minions, self.way = segment, minions, way

    def wanted(self, name, /, **more):
        if name == "gw":
            return {"name": "eth0", **GATEWAY, "way": self.way, "within": 0, **more}
        number = int(name[1])
        vm = {"name": f"win-{number}", "ip": self.segment.ip(number), "mac": self.segment.mac(number)}
        own = {"uplink": "eth0", "link_local": f"169.254.0.1{number}", "gateway": "169.254.0.1", "vms": [vm]}
        return {"name": "virbr0", **own, **NETWORK, "way": self.way, "within": 0, **more}

    def present(self, name, /, test=False, **more):
        states = self.minions[name].states.bridge_nat
        state = states.gateway if name == "gw" else states.workstation
        with self.segment.inside(name):
            return state(**self.wanted(name, **more), test=test)

    def state(self, host, function, /, test=False, **arguments):
        with self.segment.inside(host):
            return getattr(self.minions[host].states.bridge_nat, function)(**arguments, test=test)

    def call(self, host, function, /, *arguments, **named):
        with self.segment.inside(host):
            return self.minions[host].modules[function](*arguments, **named)

    def root(self, name):
        return Path(self.minions[name].opts["root_dir"])

    def next_job(self, name):
        """What a job remembers is gone with it."""
        self.minions[name].reset_state()

    def others(self, name):
        """All rules but ours, byte for byte, as whoever made them would list them; without counters."""
        saved = [self.segment.run(name, f"{program}-save") for program in ("iptables", "ip6tables", "ebtables")]
        lines = [line for text in saved for line in text.splitlines() if NO_RULE.match(line) is None]
        tables = [line.split()[1:] for line in self.segment.run(name, "nft", "list", "tables").splitlines()]
        native = [table for table in tables if table[1] != "bridge_nat" and table not in XT_TABLES]
        return [POLICY.sub("", line) for line in lines if "bridge_nat" not in line] + [
            uncounted(self.segment.run(name, "nft", "-s", "list", "table", *table)) for table in native
        ]

    def unit(self, name, verb):
        """The boot unit's own lines, ``ExecStart`` or ``ExecReload``."""
        root = str(self.root(name))
        unit = Path(root, "etc/systemd/system/bridge-nat.service").read_text()
        lines = [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{verb}=")]
        assert len(lines) >= 3
        for line in lines:
            words = [
                re.sub("/(etc/onepass|etc/sysctl.d|var/lib)/", rf"{root}\g<0>", word) for word in shlex.split(line)
            ]
            self.segment.run(name, words[0].lstrip("-"), *words[1:], check=not line.startswith("-"))

    def up(self, bridge="virbr0"):
        """Everything applied, the VMs running."""
        hosts = [name for name in self.minions if name != "gw"]
        for name in ("gw", *hosts):
            ret = self.present(name, **({} if name == "gw" else {"name": bridge}))
            assert ret.result is True, ret.comment
        for name in hosts:
            self.segment.vm_up(int(name[1]), bridge)
        return self


def conditions(branch, name):
    arguments = branch.wanted(name)
    host = branch.call(name, "bridge_nat_host.observe")
    return "workstation", arguments.pop("name"), {**arguments, "port": 22}, host


def uncounted(text):
    """Some frames always go by."""
    return re.sub(r"packets \d+ bytes \d+", "", text)
