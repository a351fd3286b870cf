"""The branch trick on a workstation that has docker, firewalld and libvirt: real daemons, both ways."""

import contextlib
import os
import re
from pathlib import Path

import branches
import pytest
from branches import HOST1, VM1, Branch, conditions

import neighbours
import networks
from networks import until
from segments import Segment

BRIDGE = "br0"  # virbr0 is that of libvirt's own network here, as on any host with libvirt
NETWORK = "<network><name>{name}</name><forward mode='{mode}'/><bridge name='{bridge}'/>{more}</network>"
ADDRESS = "<ip address='192.168.122.1' netmask='255.255.255.0'/>"
DAEMONS = {"firewalld": neighbours.firewalld, "docker": neighbours.dockerd, "libvirt": networks.libvirtd}
CONTAINER = "the container"


@pytest.fixture(scope="module", autouse=True)
def machine(tmp_path_factory):
    if os.geteuid():
        pytest.fail("These tests make namespaces: run them as root", pytrace=False)
    with networks.host(tmp_path_factory.mktemp("host")):
        neighbours.lay_over()
        with neighbours.bus():
            yield


@pytest.fixture(scope="module")
def minions(machine, minion_opts, tmp_path_factory):
    """The workstation is this very machine, the private one."""
    return branches.minions(minion_opts, {"gw": tmp_path_factory.mktemp("gw"), "h1": "/"})


class Workstation:
    """h1 of a segment with its daemons; ``restart("docker")``."""

    def __init__(self, segment):
        self.segment, self.running = segment, {}

    def start(self, name):
        self.running[name] = contextlib.ExitStack()
        with self.segment.inside("h1"):
            self.running[name].enter_context(DAEMONS[name]())

    def restart(self, name):
        self.running[name].close()
        self.start(name)

    def stop(self):
        for name in reversed(self.running):
            self.running[name].close()


@pytest.fixture(scope="module")
def workstation(machine):
    """It has a container at a published port, and libvirt's default network."""
    with Segment() as segment:
        host = Workstation(segment)
        try:
            for name in DAEMONS:
                host.start(name)
            with segment.inside("h1"):
                neighbours.docker("network", "create", "other")
                neighbours.container("greeter", 8080, CONTAINER)
                network("default", "nat", "virbr0", ADDRESS)
            yield host
        finally:
            host.stop()


def network(name, mode, bridge, more=""):
    file = Path(f"/run/{name}.xml")
    file.write_text(NETWORK.format(name=name, mode=mode, bridge=bridge, more=more))
    networks.run("virsh", "-q", "net-create", file)


@pytest.fixture(params=["nft", "ebtables"])
def branch(request, workstation, minions):
    made = Branch(workstation.segment, minions, request.param)
    yield made
    for name, device in {"gw": "eth0", "h1": BRIDGE}.items():
        gone = made.state(name, "absent", name=device, bridge=name == "h1")
        assert gone.result is True, gone.comment
        made.next_job(name)
    made.segment.run("h1", "ip", "link", "del", "vnet0", check=False)


@pytest.fixture
def up(branch):
    return branch.up(BRIDGE)


nft_only = pytest.mark.parametrize("branch", ["nft"], indirect=True)


def works(branch):
    """Who answers: at the VM's port 22, at its 3389, and at the container's."""
    get = branch.segment.get
    return get("hq", "10.1.5.11", 22), get("hq", "10.1.5.11", 3389), get("gw", "169.254.0.11", 8080)


def rules(branch):
    return branch.call("h1", "bridge_nat_tables.loaded", "ebtables")


def settled(branch):
    """The others' rules, once they have answered each other's reloads: the same for some looks in a row."""
    seen = [branch.others("h1")]

    def is_quiet():
        seen.append(branch.others("h1"))
        return all(each == seen[-1] for each in seen[-6:]) and len(seen) > 6

    until(is_quiet)
    return seen[-1]


# Side by side


def test_their_rules_are_untouched_byte_for_byte(branch):
    before = settled(branch)
    text = "\n".join(before)
    for theirs in (
        "-A FORWARD -j DOCKER-USER",
        "--to-destination 172.17.0.2:80",
        "LIBVIRT_PRT",
        "chain filter_FORWARD",
    ):
        assert theirs in text
    branch.up(BRIDGE)
    assert branch.others("h1") == before
    assert works(branch) == (HOST1, VM1, CONTAINER)
    branch.segment.vm_down(1)
    assert works(branch) == (HOST1, None, CONTAINER)
    again = branch.present("h1", name=BRIDGE)
    assert (again.result, again.changes) == (True, {})
    assert branch.others("h1") == before
    assert branch.state("h1", "absent", name=BRIDGE).result is True
    assert branch.others("h1") == before
    assert rules(branch) == {}


@pytest.mark.parametrize("event", ["firewall-cmd --reload", "firewalld restarts", "docker restarts"])
def test_what_others_take_is_brought_back_by_the_unit(up, workstation, event):
    ours = rules(up)
    if event.startswith("firewall-cmd"):
        networks.run(*event.split())
    else:
        workstation.restart(event.split()[0])
    until(lambda: works(up)[2] == CONTAINER)
    theirs = settled(up)
    # A firewalld that others asked for rules of iptables empties the tables of iptables whenever it loads its own.
    taken = up.way == "ebtables" and "firewall" in event
    assert rules(up) == ({} if taken else ours)
    up.unit("h1", "ExecReload")
    assert (rules(up), up.others("h1")) == (ours, theirs)
    assert works(up) == (HOST1, VM1, CONTAINER)
    assert up.present("h1", name=BRIDGE).changes == {}


@nft_only
def test_check_names_each_who_would_drop_the_vms_frames(up):
    """With br_netfilter's hook on, as it is wherever its module is loaded and nobody said otherwise."""

    def forwarding():
        role, _, arguments, host = conditions(up, "h1")
        found = up.call("h1", "bridge_nat_check.conditions", role, BRIDGE, arguments, host)["forwarding of the VM"]
        return found["state"], found["evidence"]

    def iptables(*words):
        up.segment.run("h1", "iptables", *words)

    assert forwarding()[0] == "ok"
    up.segment.set("h1", **{"net__bridge__bridge-nf-call-iptables": 1})
    try:
        state, evidence = forwarding()
        assert (state, works(up)) == ("broken", (HOST1, None, CONTAINER))
        assert "FORWARD policy DROP, set by docker" in evidence
        assert "table inet firewalld" in evidence
        iptables("-I", "FORWARD", "-m", "physdev", "--physdev-is-bridged", "-j", "ACCEPT")
        state, evidence = forwarding()
        assert (state, "docker" in evidence, works(up)[1]) == ("broken", False, None)
        networks.run("firewall-cmd", "--zone=trusted", f"--change-interface={BRIDGE}")
        assert (forwarding()[0], works(up)) == ("ok", (HOST1, VM1, CONTAINER))
    finally:
        networks.run("firewall-cmd", "--zone=trusted", f"--remove-interface={BRIDGE}", check=False)
        iptables("-D", "FORWARD", "-m", "physdev", "--physdev-is-bridged", "-j", "ACCEPT")
        up.segment.set("h1", **{"net__bridge__bridge-nf-call-iptables": 0})


@nft_only
def test_a_zone_that_drops_all_does_not_close_the_hosts_port(up):
    """firewalld accepts what was redirected."""
    networks.run("firewall-cmd", "--set-default-zone=drop")
    try:
        assert works(up) == (HOST1, VM1, CONTAINER)
    finally:
        networks.run("firewall-cmd", "--set-default-zone=public")


@nft_only
def test_a_zone_that_is_not_permanent_ends_with_a_reload(up):
    words = ["firewall-cmd", "--zone=trusted", f"--change-interface={BRIDGE}"]
    for more, after in (([], ""), (["--permanent"], "trusted")):
        networks.run(*words)
        networks.run(*words, *more)
        networks.run("firewall-cmd", "--reload")
        assert neighbours.said("firewall-cmd", f"--get-zone-of-interface={BRIDGE}") == after
    for more in ([], ["--permanent"]):
        networks.run("firewall-cmd", "--zone=trusted", f"--remove-interface={BRIDGE}", *more)


# libvirt


def refused(branch, words, **more):
    for test in (True, False):
        ret = branch.present("h1", test=test, **more)
        assert (ret.result, ret.changes) == (False, {})
        assert words in ret.comment
    assert rules(branch) == {}


@nft_only
def test_the_bridge_of_libvirts_own_network_is_refused(branch):
    refused(branch, "virbr0 is the bridge of a libvirt network with a NAT of its own; virsh net-destroy", name="virbr0")


@nft_only
def test_a_network_of_libvirt_may_name_our_bridge(up):
    with up.segment.inside("h1"):
        network("office", "bridge", BRIDGE)
    try:
        ret = up.present("h1", name=BRIDGE)
        assert (ret.result, ret.changes) == (True, {}), ret.comment
    finally:
        networks.run("virsh", "-q", "net-destroy", "office")


@nft_only
def test_a_mac_that_the_domain_does_not_have_is_refused(branch):
    with networks.domain("win-1", "default"):
        mac = re.search(r"52:54:00\S+", networks.run("virsh", "-q", "domiflist", "win-1")).group()
        wrong = branch.segment.mac(1)
        refused(branch, f"win-1: {wrong}, but its libvirt domain has {mac}. Correct vm:mac", name=BRIDGE)
        vm = {"name": "win-1", "ip": branch.segment.ip(1), "mac": mac}
        ret = branch.present("h1", name=BRIDGE, vms=[vm])
        assert ret.result is True, ret.comment
    # Nobody knows the VM any more.
    assert branch.present("h1", name=BRIDGE).result is True
