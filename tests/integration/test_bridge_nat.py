"""The branch trick on real kernels' rules: a branch in network namespaces, both ways, seen from everywhere."""

import contextlib
import json
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import branches
import pytest
import yaml
from branches import HOST1, VM1, Branch, conditions, uncounted
from labs import command_lines
from salt.exceptions import CommandExecutionError

from segments import Segment, wait_until
from tree import ROOT

SILENCE = 0.5  # seconds after which nobody will answer: who does, does so in milliseconds


@pytest.fixture(params=["nft", "ebtables"])
def way(request):
    return request.param


@pytest.fixture
def segment():
    with Segment() as built:
        yield built


@pytest.fixture(scope="module")
def minions(minion_opts, tmp_path_factory):
    """Each host has a root directory of its own."""
    return branches.minions(minion_opts, {name: tmp_path_factory.mktemp(name) for name in ("gw", "h1", "h2")})


@pytest.fixture
def branch(segment, minions, way):
    yield Branch(segment, minions, way)
    for name in minions:
        minions[name].reset_state()
        for place in ("etc", "var/lib", "run"):
            shutil.rmtree(Path(minions[name].opts["root_dir"]) / place, ignore_errors=True)


@pytest.fixture
def up(branch):
    return branch.up()


# End to end


def test_every_path_with_the_vm_up_down_and_up_again(up):
    get, segment = up.segment.get, up.segment
    assert get("hq", "10.1.5.11", 22) == HOST1
    assert get("hq", "10.1.5.12", 22) == "H2:22 from 169.254.0.1"
    assert get("hq", "10.1.5.11", 3389) == VM1
    assert get("vm2", "10.1.5.11", 22) == "H1:22 from 10.1.5.12"
    assert get("vm2", "10.1.5.11", 3389) == "VM1:3389 from 10.1.5.12"
    assert get("vm1", "192.0.2.10", 80) == "HQ:80 from 10.1.5.11"
    assert get("h1", "192.0.2.10", 80) == "HQ:80 from 192.0.2.1"
    assert get("h1", "169.254.0.12", 22) == "H2:22 from 169.254.0.11"
    segment.vm_down(1)
    assert get("hq", "10.1.5.11", 22) == HOST1
    assert segment.mac(1) in segment.link("gw", "neigh", "show", "10.1.5.11")
    assert get("hq", "10.1.5.11", 3389, SILENCE) is None
    segment.vm_up(1)
    assert get("hq", "10.1.5.11", 3389) == VM1
    assert get("hq", "10.1.5.11", 22) == HOST1


def test_without_our_rules_nothing_of_it_works(up):
    """So that the tests above cannot pass for another reason."""
    for name in ("h1", "h2"):
        assert up.state(name, "absent", name="virbr0").result is True
    assert up.segment.get("hq", "10.1.5.11", 22) == "VM1:22 from 169.254.0.1"
    up.segment.vm_down(1)
    assert up.segment.get("hq", "10.1.5.11", 22, SILENCE) is None


def test_strict_filters_do_not_matter(up):
    for name in ("h1", "h2", "gw"):
        for device in ("all", "default", "eth0"):
            up.segment.set(name, **{f"net__ipv4__conf__{device}__rp_filter": 1})
    up.segment.set("h1", net__ipv4__conf__all__arp_ignore=2)
    assert up.segment.get("hq", "10.1.5.11", 22) == HOST1
    assert up.segment.get("hq", "10.1.5.11", 3389) == VM1


def test_a_forward_policy_of_drop_does_not_matter_while_frames_do_not_cross_iptables(up):
    up.segment.run("h1", "iptables", "-P", "FORWARD", "DROP")
    assert up.segment.get("hq", "10.1.5.11", 22) == HOST1
    assert up.segment.get("hq", "10.1.5.11", 3389) == VM1
    assert up.call("h1", "bridge_nat_check.conditions", *conditions(up, "h1"))["forwarding of the VM"]["state"] == "ok"
    up.segment.set("h1", **{"net__bridge__bridge-nf-call-iptables": 1})
    assert up.segment.get("hq", "10.1.5.11", 22) == HOST1
    assert up.segment.get("hq", "10.1.5.11", 3389, SILENCE) is None
    found = up.call("h1", "bridge_nat_check.conditions", *conditions(up, "h1"))["forwarding of the VM"]
    assert (found["state"], "FORWARD policy DROP" in found["evidence"]) == ("broken", True)


FIREWALLD = """table inet firewalld {
    chain filter_FORWARD {
        type filter hook forward priority 10; policy accept;
        ct state established,related accept
        reject with icmpx admin-prohibited
    }
    chain filter_INPUT {
        type filter hook input priority 10; policy accept;
        iifname "virbr0" accept
    }
}
"""
# iptables-save tells the first of these rules without its set, and says of the second that it cannot.
IN_A_TABLE_OF_IPTABLES = """table ip filter {{
    set others {{
        type ipv4_addr
        elements = {{ 192.0.2.1 }}
    }}
    chain FORWARD {{
        type filter hook forward priority filter; policy {policy};
        {rule}
    }}
}}
"""
# Rules in the forms that docker, minikube, ufw, firewalld and old libvirts have, and whether the VM is reached.
OTHERS = {
    "policy alone": (["-P FORWARD DROP"], False),
    "DOCKER-USER": (
        [
            "-N DOCKER-USER",
            "-A DOCKER-USER -i virbr0 -o virbr0 -j ACCEPT",
            "-A FORWARD -j DOCKER-USER",
            "-P FORWARD DROP",
        ],
        True,
    ),
    "minikube": (
        ["-N DOCKER-USER", "-A DOCKER-USER -i virbr+ -j ACCEPT", "-A FORWARD -j DOCKER-USER", "-P FORWARD DROP"],
        True,
    ),
    "wildcards": (["-A FORWARD -i virbr+ -o virbr+ -j ACCEPT", "-P FORWARD DROP"], True),
    "ufw": (
        [
            "-N ufw-before-forward",
            "-A ufw-before-forward -i virbr0 -o virbr0 -j ACCEPT",
            "-A FORWARD -j ufw-before-forward",
            "-P FORWARD DROP",
        ],
        True,
    ),
    "physdev below FORWARD": (
        ["-N MYFW", "-A MYFW -m physdev --physdev-is-bridged -j ACCEPT", "-A FORWARD -j MYFW", "-P FORWARD DROP"],
        True,
    ),
    "pings only": (["-A FORWARD -i virbr0 -p {icmp} -j ACCEPT", "-P FORWARD DROP"], False),
    "answers only": (
        ["-A FORWARD -o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-P FORWARD DROP"],
        False,
    ),
    "another network": (["-A FORWARD -s {other} -i virbr0 -j ACCEPT", "-P FORWARD DROP"], False),
    "a drop below FORWARD": (["-N MYFW", "-A FORWARD -j MYFW", "-A MYFW -j DROP"], False),
    "firewalld": (FIREWALLD, False),
    "nothing": ([], True),
}
nft_only = pytest.mark.parametrize("way", ["nft"], indirect=True)


def load(segment, rules, program, **words):
    if isinstance(rules, str):
        return segment.run("h1", "nft", "-f", "-", text=rules)
    return [segment.run("h1", program, *rule.format(**words).split()) for rule in rules]


def forwarding(branch, **more):
    role, name, arguments, host = conditions(branch, "h1")
    return branch.call("h1", "bridge_nat_check.conditions", role, name, {**arguments, **more}, host)[
        "forwarding of the VM"
    ]


@nft_only
@pytest.mark.parametrize("rules, passes", OTHERS.values(), ids=OTHERS)
def test_others_rules_are_judged_as_the_kernel_does(up, rules, passes):
    up.segment.set("h1", **{"net__bridge__bridge-nf-call-iptables": 1})
    load(up.segment, rules, "iptables", icmp="icmp", other="192.168.122.0/24")
    assert up.segment.get("hq", "10.1.5.11", 3389, 5 if passes else SILENCE) == (VM1 if passes else None)
    found = forwarding(up)
    assert found["state"] == ("ok" if passes else "broken"), found


@nft_only
@pytest.mark.parametrize(
    "policy, rule, passes",
    [
        ("accept", "ip daddr @others drop", True),
        ("drop", "ip daddr @others accept", False),
        ("drop", "ct state new,established accept", True),
        ("accept", "ct state new drop", False),
    ],
)
def test_nfts_own_rules_in_a_table_of_iptables_are_judged_whole(up, policy, rule, passes):
    up.segment.set("h1", **{"net__bridge__bridge-nf-call-iptables": 1})
    load(up.segment, IN_A_TABLE_OF_IPTABLES.format(policy=policy, rule=rule), "nft")
    assert up.segment.get("hq", "10.1.5.11", 3389, 5 if passes else SILENCE) == (VM1 if passes else None)
    found = forwarding(up)
    assert found["state"] == ("ok" if passes else "broken"), found


@nft_only
@pytest.mark.parametrize("rules, passes", OTHERS.values(), ids=OTHERS)
def test_others_rules_for_ipv6_are_judged_as_the_kernel_does(branch6, rules, passes):
    for name, more in branch6.six.items():
        assert branch6.present(name, **more).result
    vm6_up(branch6)
    assert wait_until(lambda: branch6.segment.get("hq", VM6, 3389) == "VM1:3389 from 2001:db8:2::10")
    switches = {"net__bridge__bridge-nf-call-ip6tables": 1, "net__bridge__bridge-nf-call-iptables": 0}
    branch6.segment.set("h1", **switches)
    # Neighbours are found by ICMPv6, which is forwarded as well.
    load(branch6.segment, ["-I FORWARD -p ipv6-icmp -j ACCEPT"] if isinstance(rules, list) else [], "ip6tables")
    load(branch6.segment, rules, "ip6tables", icmp="ipv6-icmp", other="2001:db8:99::/48")
    assert bool(branch6.segment.get("hq", VM6, 3389, 5 if passes else SILENCE)) is passes
    found = forwarding(branch6, vms=branch6.six["h1"]["vms"])
    assert found["state"] == ("ok" if passes else "broken"), found


# firewalld has this by default (IPv6_rpfilter), others in a table of its own.
FILTER6 = """table inet rpfilter {
    chain prerouting {
        type filter hook prerouting priority filter + 10; policy accept;
        icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
        meta nfproto ipv6 fib saddr . mark . iif oif missing drop
    }
}
"""
XT_FILTER6 = ["-t raw -A PREROUTING -p ipv6-icmp -j ACCEPT", "-t raw -A PREROUTING -m rpfilter --invert -j DROP"]
ON_THE_BRANCH = ["address add 2001:db8:5::2/64 dev virbr0 nodad", "route add default via 2001:db8:5::1 dev virbr0"]


@nft_only
@pytest.mark.parametrize("rules", [FILTER6, XT_FILTER6], ids=["nft", "ip6tables"])
@pytest.mark.parametrize("links, passes", [(ON_THE_BRANCH, True), ([], False)], ids=["routed", "no address"])
def test_a_filter_of_where_answers_would_go_is_judged_by_the_hosts_routes(branch6, rules, links, passes):
    for name, more in branch6.six.items():
        assert branch6.present(name, **more).result
    vm6_up(branch6)
    assert wait_until(lambda: branch6.segment.get("hq", VM6, 3389) == "VM1:3389 from 2001:db8:2::10")
    branch6.segment.set("h1", **{"net__bridge__bridge-nf-call-ip6tables": 1})
    branch6.segment.links("h1", *links)
    load(branch6.segment, rules, "ip6tables")
    assert bool(branch6.segment.get("hq", VM6, 3389, 5 if passes else SILENCE)) is passes
    found = forwarding(branch6, vms=branch6.six["h1"]["vms"])
    assert found["state"] == ("ok" if passes else "broken"), found
    assert "could not be tried" not in found["evidence"]


@nft_only
def test_rules_that_name_another_device_of_the_host_are_tried(up):
    up.segment.set("h1", **{"net__bridge__bridge-nf-call-iptables": 1})
    up.segment.run("h1", "ip", "link", "add", "name", "docker0", "type", "bridge")
    load(up.segment, FIREWALLD.replace("ct state established,related accept", 'iif "docker0" accept'), "nft")
    assert "firewalld drops them" in forwarding(up)["evidence"]
    load(
        up.segment,
        "flush ruleset inet\ntable inet a {\nchain f {\ntype filter hook forward priority 0;\n"
        'iif "docker0" drop\n}\n}\n',
        "nft",
    )
    assert forwarding(up)["state"] == "ok"


@nft_only
@pytest.mark.parametrize("listed, state", [("192.0.2.1", "ok"), ("10.1.5.11", "broken")])
def test_rules_that_name_a_set_are_tried(up, listed, state):
    if subprocess.run(["ipset", "list"], capture_output=True).returncode:
        pytest.skip("this kernel has no sets")
    up.segment.set("h1", **{"net__bridge__bridge-nf-call-iptables": 1})
    up.segment.run("h1", "ipset", "create", "blocked", "hash:ip")
    up.segment.run("h1", "ipset", "add", "blocked", listed)
    load(up.segment, ["-A FORWARD -m set --match-set blocked dst -j DROP"], "iptables")
    found = forwarding(up)
    assert (found["state"], "could not be tried" in found["evidence"]) == (state, False), found


@pytest.mark.parametrize("vm", ["up", "down"])
def test_a_new_uplink_device_is_served_as_the_old_one(up, vm):
    if vm == "down":
        up.segment.vm_down(1)
    up.segment.new_uplink(1)
    if up.way == "nft":
        # The frame is given the old uplink's MAC, which the bridge keeps as its own.
        assert up.segment.get("hq", "10.1.5.11", 22) == HOST1
    assert up.present("h1").result is True
    assert up.segment.get("hq", "10.1.5.11", 22) == HOST1
    assert (up.segment.get("hq", "10.1.5.11", 3389) == VM1) is (vm == "up")


def test_a_session_with_traffic_loses_nothing_through_forty_replacements(up):
    loaded = up.call("h1", "bridge_nat_tables.loaded", up.way)
    with up.segment.connect("hq", "10.1.5.11", 22, timeout=5) as session:
        assert session.recv(99)
        trips, stop = [], threading.Event()
        talker = threading.Thread(target=talk, args=(session, trips, stop))
        talker.start()
        for _ in range(40):
            up.call("h1", "bridge_nat_tables.load", loaded, loaded)
        stop.set()
        talker.join()
    assert trips[-1] is not None, "the session died"
    assert len(trips) > 100
    assert max(trips) < 1


def talk(session, trips, stop):
    while not stop.is_set():
        began = time.monotonic()
        try:
            session.sendall(b"x")
            assert session.recv(9) == b"x"
        except (OSError, AssertionError):
            trips.append(None)
            return
        trips.append(time.monotonic() - began)
        time.sleep(0.002)


SIX = "2001:db8:5::/64"
VM6 = "2001:db8:5::11"


@pytest.fixture
def branch6(branch):
    """The branch with IPv6 as well; ``wanted6(name)`` is what its state takes more."""
    branch.segment.set("gw", net__ipv6__conf__all__forwarding=1)
    for name, device, number in (("hq", "wan0", "2::10"), ("gw", "wan0", "2::1"), ("gw", "eth0", "5::1")):
        branch.segment.link(name, "address", "add", f"2001:db8:{number}/64", "dev", device, "nodad")
    branch.segment.link("hq", "route", "add", SIX, "via", "2001:db8:2::1")
    vm = {**branch.wanted("h1")["vms"][0], "ip6": VM6}
    branch.six = {
        "gw": {"network6": SIX, "neighbours": {VM6: vm["mac"]}},
        "h1": {"network6": SIX, "vms": [vm]},
    }
    return branch


def vm6_up(branch):
    branch.segment.vm_up(1)
    branch.segment.link("vm1", "address", "add", f"{VM6}/64", "dev", "eth0", "nodad")
    branch.segment.link("vm1", "route", "add", "default", "via", "2001:db8:5::1")


def lands_on_host6(branch):
    return wait_until(lambda: (branch.segment.get("hq", VM6, 22) or "").startswith("H1:22 from fe80::1"))


def test_ipv6_needs_no_address_on_the_host_and_works_while_the_vm_is_down(branch6):
    for name, more in branch6.six.items():
        dry = branch6.present(name, test=True, **more)
        real = branch6.present(name, **more)
        assert (real.result, real.changes) == (True, dry.changes), real.comment
        assert branch6.present(name, **more).changes == {}
    assert lands_on_host6(branch6)
    vm6_up(branch6)
    assert wait_until(lambda: branch6.segment.get("hq", VM6, 3389) == "VM1:3389 from 2001:db8:2::10")
    assert lands_on_host6(branch6)
    branch6.segment.vm_down(1)
    assert lands_on_host6(branch6)


def neighbours(branch):
    lines = branch.segment.link("gw", "-6", "neighbour", "show", "nud", "permanent").splitlines()
    return {line.split()[0]: line.split()[4] for line in lines}


def test_only_our_neighbour_entries_come_and_go(branch6):
    foreign = {"2001:db8:5::99": "52:54:00:00:00:99"}
    for address, mac in {**foreign, VM6: "52:54:00:00:00:98"}.items():
        branch6.segment.link("gw", "neighbour", "add", address, "lladdr", mac, "dev", "eth0", "nud", "permanent")
    present = branch6.present("gw", **branch6.six["gw"])
    assert present.changes[f"neighbour {VM6} on eth0"] == {"old": "52:54:00:00:00:98", "new": branch6.segment.mac(1)}
    assert neighbours(branch6) == {**foreign, VM6: branch6.segment.mac(1)}
    other = {"2001:db8:5::12": branch6.segment.mac(2)}
    moved = branch6.present("gw", network6=SIX, neighbours=other)
    assert moved.result is True, moved.comment
    assert neighbours(branch6) == {**foreign, **other}
    assert branch6.state("gw", "absent", name="eth0").result is True
    assert neighbours(branch6) == foreign


@pytest.mark.parametrize("way", ["nft"], indirect=True)
def test_a_gateway_asks_in_vain_for_a_vm_that_is_down_without_an_entry(branch6):
    """So that the test above cannot pass for another reason."""
    branch6.present("h1", **branch6.six["h1"])
    branch6.present("gw", network6=SIX)
    assert branch6.segment.get("hq", VM6, 22, SILENCE) is None


# The state contract


@pytest.mark.parametrize("name", ["h1", "gw"])
def test_dry_run_real_run_second_run_and_absence(branch, name):
    before = seen(branch, name)
    dry = branch.present(name, test=True)
    assert dry.result is None
    assert seen(branch, name) == before
    assert not (branch.root(name) / "etc").exists()
    real = branch.present(name)
    assert real.result is True, real.comment
    assert real.changes == dry.changes != {}
    loaded, written = uncounted(branch.segment.ruleset(name)), times(branch, name)
    for test in (True, False):
        again = branch.present(name, test=test)
        assert (again.result, again.changes) == (True, {}), again.comment
    assert (uncounted(branch.segment.ruleset(name)), times(branch, name)) == (loaded, written)
    gone = {"name": branch.wanted(name)["name"], "bridge": name == "h1"}
    dry = branch.state(name, "absent", **gone, test=True)
    real = branch.state(name, "absent", **gone)
    assert (real.result, real.changes) == (True, dry.changes), real.comment
    assert "bridge_nat" not in branch.segment.ruleset(name)
    assert not [path for path in (branch.root(name) / "etc").rglob("*") if path.is_file() or path.is_symlink()]
    assert branch.state(name, "absent", **gone).changes == {}


def times(branch, name):
    """When each of our files was written."""
    return {path: path.lstat().st_mtime_ns for path in (branch.root(name) / "etc").rglob("*")}


def seen(branch, name):
    return uncounted(branch.segment.ruleset(name)), *(
        branch.segment.link(name, "-4", kind) for kind in ("address", "route")
    )


@pytest.mark.parametrize("name", ["h1", "gw"])
def test_a_run_that_was_cut_anywhere_is_finished_by_the_next(branch, name):
    arguments = branch.wanted(name)
    role, device = ("gateway" if name == "gw" else "workstation"), arguments.pop("name")
    arguments = {"port": 22, "network6": None, **arguments}
    observed = branch.call(name, "bridge_nat.observe", role, device, arguments)
    total = len(branch.call(name, "bridge_nat.plan", role, device, arguments, observed))
    for cut in range(1, total):
        for step in branch.call(name, "bridge_nat.plan", role, device, arguments, observed)[:cut]:
            branch.call(name, "bridge_nat.act", step)
        ret = branch.present(name)
        assert ret.result is True, (cut, ret.comment)
        assert branch.present(name).changes == {}
        branch.state(name, "absent", name=device, bridge=name == "h1")
        if name == "gw":
            branch.segment.link(name, "address", "del", "169.254.0.1/16", "dev", "eth0")
        observed = branch.call(name, "bridge_nat.observe", role, device, arguments)


def test_counters_survive_a_run_that_has_nothing_to_do(up):
    assert up.segment.get("hq", "10.1.5.11", 22) == HOST1
    before = up.call("h1", "bridge_nat_tables.counters")
    assert before["redirected"] >= 1
    assert before["pulled"] >= 1
    assert before["arp"] >= 1
    assert up.present("h1").changes == {}
    after = up.call("h1", "bridge_nat_tables.counters")
    assert after["redirected"] == before["redirected"]
    assert after["pulled"] >= before["pulled"]  # the last packets of the session may still have come


def by_hand(branch):
    """Somebody changes a rule of ours, by the programs' own commands."""
    if branch.way == "nft":
        branch.segment.run("h1", "nft", "delete element ip bridge_nat vms { 10.1.5.11 }")
        branch.segment.run("h1", "nft", "add element ip bridge_nat vms { 10.1.5.99 }")
    else:
        branch.segment.run("h1", "iptables", "-t", "nat", "-F", "bridge_nat")
        branch.segment.run("h1", "ebtables", "-t", "nat", "-A", "bridge_nat", "-i", "eth0", "-j", "DROP")


def test_a_rule_that_was_changed_by_hand_is_seen_and_repaired(up):
    by_hand(up)
    dry = up.present("h1", test=True)
    assert list(dry.changes) == ["rules"]
    assert up.present("h1").changes == dry.changes
    assert up.segment.get("hq", "10.1.5.11", 22) == HOST1
    assert up.present("h1").changes == {}


def test_files_that_were_changed_by_hand_are_not_believed(up):
    names = {"nft": "rules.nft", "ebtables": "rules.iptables"}
    rules = up.root("h1") / "etc/onepass/bridge_nat" / names[up.way]
    good = rules.read_text()
    rules.write_text(good.replace("10.1.5.11", "10.1.5.99"))
    ret = up.present("h1")
    assert (ret.result, list(ret.changes)) == (True, ["boot files"])
    assert rules.read_text() == good


def test_a_boot_file_that_is_lost_comes_back_and_no_rule_goes_with_it(up):
    loaded = up.call("h1", "bridge_nat_tables.loaded", up.way)
    for lost in sorted((up.root("h1") / "etc/onepass/bridge_nat").iterdir()):
        lost.unlink()
        ret = up.present("h1")
        assert (ret.result, list(ret.changes)) == (True, ["boot files"]), lost
        assert lost.exists()
        assert up.call("h1", "bridge_nat_tables.loaded", up.way) == loaded


@pytest.mark.parametrize("lost", ["address", "route", "port", "mac", "rules", "down"])
def test_whatever_is_lost_comes_back(up, lost):
    mac = up.segment.link("h1", "-br", "link", "show", "eth0").split()[2]
    commands = {
        "address": ["ip", "address", "flush", "dev", "virbr0"],
        "route": ["ip", "route", "del", "default"],
        "port": ["ip", "link", "set", "eth0", "nomaster"],
        "mac": ["ip", "link", "set", "virbr0", "address", "02:00:00:00:00:77"],
        "rules": ["nft", "flush", "ruleset"],
        "down": ["ip", "link", "set", "virbr0", "down"],
    }
    up.segment.run("h1", *commands[lost])
    dry = up.present("h1", test=True)
    assert dry.result is None
    real = up.present("h1")
    assert (real.result, real.changes) == (True, dry.changes), real.comment
    assert up.segment.get("hq", "10.1.5.11", 22) == HOST1
    assert up.segment.get("h1", "192.0.2.10", 80) == "HQ:80 from 192.0.2.1"
    assert up.segment.link("h1", "-br", "link", "show", "virbr0").split()[2] == mac


OTHERS = """
table inet firewalld {
    chain filter_INPUT { type filter hook input priority filter + 10; ct state established accept; }
}
table ip mine {
    chain pre { type nat hook prerouting priority dstnat; tcp dport 8080 redirect to :80; }
}
table bridge guard {
    chain forward { type filter hook forward priority 0; ether type ip accept; }
}
"""
DOCKER = """*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
COMMIT
*filter
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -i virbr1 -j REJECT --reject-with icmp-port-unreachable
COMMIT
"""
FRAMES = ["ebtables", "-t", "nat", "-A", "PREROUTING", "-p", "IPv4", "--ip-dst", "10.9.9.9", "-j", "DROP"]


def test_rules_of_others_are_untouched_byte_for_byte(branch):
    branch.segment.run("h1", "nft", "-f", "-", text=OTHERS)
    branch.segment.run("h1", "iptables-restore", "--noflush", text=DOCKER)
    branch.segment.run("h1", *FRAMES)
    before = branch.others("h1")
    branch.up()
    assert branch.others("h1") == before
    assert branch.segment.get("hq", "10.1.5.11", 22) == HOST1
    by_hand(branch)
    assert branch.present("h1").result is True
    assert branch.others("h1") == before
    assert branch.state("h1", "absent", name="virbr0").result is True
    assert branch.others("h1") == before


def test_a_rule_that_comes_before_ours_is_named(up):
    if up.way == "nft":
        early = (
            "table ip early { chain pre { type nat hook prerouting priority -150; tcp dport 22 redirect to :23; }; }"
        )
        up.segment.run("h1", "nft", "-f", "-", text=early)
    else:
        words = ["-p", "tcp", "--dport", "22", "-j", "REDIRECT", "--to-ports", "23"]
        up.segment.run("h1", "iptables", "-t", "nat", "-I", "PREROUTING", *words)
    found = up.call("h1", "bridge_nat_check.conditions", *conditions(up, "h1"), up.way)["other rules"]
    assert found["state"] == "broken"
    assert ("table ip early" if up.way == "nft" else "--to-ports 23") in found["evidence"]


def test_the_way_can_be_changed_and_nothing_of_the_other_is_left(up):
    other = {"nft": "ebtables", "ebtables": "nft"}[up.way]
    dry = up.present("h1", way=other, test=True)
    real = up.present("h1", way=other)
    assert (real.result, real.changes) == (True, dry.changes), real.comment
    assert (
        list(up.call("h1", "bridge_nat_tables.loaded", "ebtables"))
        == {
            "nft": ["nft"],
            "ebtables": ["iptables", "ebtables"],
        }[other]
    )
    assert up.segment.get("hq", "10.1.5.11", 22) == HOST1
    up.segment.vm_down(1)
    assert up.segment.get("hq", "10.1.5.11", 22) == HOST1
    assert up.present("h1", way="auto").changes == {}


# Taken back unless confirmed


def test_a_change_that_cuts_the_host_off_is_taken_back_by_itself(up):
    """A wrong gateway address and another port: headquarters cannot reach the host until the timer has run."""
    before = up.segment.link("h1", "route"), up.call("h1", "bridge_nat_tables.loaded", up.way)
    ret = up.present("h1", port=2222, gateway="169.254.0.99", within=6)
    assert ret.result is True, ret.comment
    assert up.segment.get("hq", "10.1.5.11", 22) != HOST1
    refused = up.state("h1", "confirmed", name="x", reach=["192.0.2.10:80"], timeout=0.5)
    assert refused.result is False
    assert wait_until(lambda: not up.call("h1", "bridge_nat_guard.pending"))
    assert up.segment.get("hq", "10.1.5.11", 22) == HOST1
    assert (up.segment.link("h1", "route"), up.call("h1", "bridge_nat_tables.loaded", up.way)) == before
    assert up.present("h1").changes == {}
    assert up.call("h1", "bridge_nat_guard.last")["errors"] == []


def test_a_blank_host_is_blank_again_when_nobody_confirms(branch):
    branch.segment.link("h1", "address", "add", "10.1.5.200/24", "dev", "eth0")
    branch.segment.link("h1", "route", "add", "default", "via", "10.1.5.1")
    routes = branch.segment.link("h1", "route")
    assert branch.present("h1", within=1).result is True
    assert branch.segment.link("h1", "route") != routes
    assert wait_until(lambda: not branch.call("h1", "bridge_nat_guard.pending"))
    assert "bridge_nat" not in branch.segment.ruleset("h1")
    assert "virbr0" not in branch.segment.link("h1", "-br", "link")
    assert branch.segment.link("h1", "route") == routes
    assert not (branch.root("h1") / "etc/systemd/system/bridge-nat.service").exists()


@pytest.mark.parametrize("proof", ["an address at headquarters", "the master"])
def test_a_confirmed_change_stays(branch, proof):
    for name in ("gw", "h2"):
        branch.present(name)
    ret = branch.present("h1", within=60)
    assert ret.result is True, ret.comment
    assert "s unless it is confirmed" in ret.comment
    pending = branch.call("h1", "bridge_nat_guard.pending")
    assert 0 < pending["seconds"] <= 60
    if proof == "the master":
        branch.segment.serve("hq", 4506)
        confirm = {"name": "x"}
    else:
        confirm = {"name": "x", "reach": ["192.0.2.10:81", "192.0.2.10:80"], "timeout": 1}
    dry = branch.state("h1", "confirmed", **confirm, test=True)
    assert (dry.result, bool(branch.call("h1", "bridge_nat_guard.pending"))) == (None, True)
    real = branch.state("h1", "confirmed", **confirm)
    assert (real.result, real.changes) == (True, dry.changes), real.comment
    assert wait_until(lambda: not any(pending["token"] in line for line in command_lines())), "the timer still runs"
    assert branch.segment.get("hq", "10.1.5.11", 22) == HOST1
    assert branch.state("h1", "confirmed", **confirm).changes == {}


def test_a_job_is_no_proof(branch):
    """Neither the one that made the change, nor a later one: it may be the minion's own schedule's."""
    branch.present("gw")
    present = [{key: value} for key, value in branch.wanted("h1", within=30).items()]
    proof = [{"require": [{"bridge_nat": "host"}]}]
    high = {"host": {"bridge_nat.workstation": present}, "proof": {"bridge_nat.confirmed": proof}}
    states = branch.call("h1", "state.template_str", yaml.safe_dump(high))
    [applied, confirmed] = sorted(states.raw.values(), key=lambda each: each["__run_num__"])
    assert applied["result"] is True
    branch.next_job("h1")
    later = branch.state("h1", "confirmed", name="x")
    for result, comment in ((confirmed["result"], confirmed["comment"]), (later.result, later.comment)):
        assert result is False
        assert "Nothing proves that this host is reachable (192.0.2.10:4506: " in comment
    assert branch.call("h1", "bridge_nat.rollback")["errors"] == []
    assert "bridge_nat" not in branch.segment.ruleset("h1")


def test_what_was_taken_back_before_its_confirmation_is_done_again(branch):
    """As in a ring whose slowest host takes longer than the timer."""
    branch.present("gw")
    assert branch.present("h1", within=60).result is True
    assert branch.call("h1", "bridge_nat.rollback")["errors"] == []
    pillar = {"branch": {**pillar_for(branch), "confirm": {"within": 60, "reach": ["192.0.2.10:80"]}}}
    states = branch.call("h1", "state.sls", "branch.confirmed", pillar=pillar)
    assert [each["comment"] for each in states.raw.values() if each["result"] is not True] == []
    assert branch.call("h1", "bridge_nat_guard.pending") is None
    assert branch.segment.get("hq", "10.1.5.11", 22) == HOST1


def test_a_second_change_under_one_timer_is_taken_back_to_the_beginning(up):
    before = up.call("h1", "bridge_nat_tables.loaded", up.way), up.segment.link("h1", "address")
    assert up.present("h1", port=2222, within=30).result is True
    assert up.present("h1", port=2223, link_local="169.254.0.77", within=30).result is True
    assert up.call("h1", "bridge_nat.rollback")["errors"] == []
    after = up.call("h1", "bridge_nat_tables.loaded", up.way), up.segment.link("h1", "address")
    assert strip_lifetimes(after) == strip_lifetimes(before)


def strip_lifetimes(seen):
    return seen[0], sorted(line.strip() for line in seen[1].splitlines() if "inet " in line)


# Refused


def refused(branch, words, name="h1", **more):
    for test in (True, False):
        ret = branch.present(name, test=test, **more)
        assert (ret.result, ret.changes) == (False, {})
        assert words in ret.comment
    assert "bridge_nat" not in branch.segment.ruleset(name)
    assert "virbr0" not in branch.segment.link(name, "-br", "link") or name == "gw"


def test_hosts_that_cannot_be_brought_there_are_refused(branch):
    refused(branch, "Uplink eth7 is not there", uplink="eth7")
    branch.segment.link("h1", "link", "add", "br7", "type", "bridge")
    branch.segment.link("h1", "link", "set", "eth0", "master", "br7")
    refused(branch, "eth0 is a port of br7")
    branch.segment.link("h1", "link", "set", "eth0", "nomaster")


def test_all_bad_arguments_are_named_at_once(branch):
    vms = [
        {"name": "a", "ip": "10.1.5.11", "mac": "01:00:5e:00:00:01"},
        {"name": "b", "ip": "10.1.5.255", "mac": "52:54:00:00:00:02"},
    ]
    ret = branch.present("h1", vms=vms, link_local="10.1.5.7", uplink="virbr0")
    assert ret.result is False
    assert sorted(line.split(": ")[1] for line in ret.comment.splitlines()) == [
        "link_local",
        "name",
        "vms:0:mac",
        "vms:1:ip",
    ]
    ret = branch.present("h1", vms="x; reboot", uplink="!eth0", port=0, way="blog")
    assert sorted(line.split(": ")[1] for line in ret.comment.splitlines()) == ["port", "uplink", "vms", "way"]
    ret = branch.state("h1", "confirmed", name="x", reach=["x", "192.0.2.10:70000", "192.0.2.10:22"], timeout=0)
    assert ret.result is False
    assert sorted(line.split(": ")[1] for line in ret.comment.splitlines()) == ["reach:0", "reach:1", "timeout"]
    ret = branch.present("gw", public="169.254.0.7", network="10.1.5.1/24")
    assert sorted(line.split(": ")[1] for line in ret.comment.splitlines()) == ["network", "public"]
    wrong = {"2001:db8:6::11": "52:54:00:00:00:01", "2001:db8:5::12": "01:00:5e:00:00:01"}
    ret = branch.present("gw", network6=SIX, neighbours=wrong)
    assert sorted(ret.comment.splitlines()) == [
        "Gateway eth0: neighbours:2001:db8:5::12: is 01:00:5e:00:00:01, a multicast address; the MAC of the domain's "
        "interface (virsh domiflist)",
        f"Gateway eth0: neighbours:2001:db8:6::11: is 2001:db8:6::11, outside of {SIX}; an address of {SIX}",
    ]
    assert "neighbours" in branch.present("gw", network6=SIX, neighbours=["x"]).comment


# The gateway


def test_a_flow_that_began_before_the_rules_is_not_lost_for_ever(branch):
    branch.present("h1")
    branch.segment.link("gw", "address", "add", "169.254.0.1/16", "dev", "eth0")
    branch.segment.set("gw", net__ipv4__ip_forward=1)
    branch.segment.run("gw", "iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "172.16.0.0/12", "-j", "MASQUERADE")
    with branch.segment.inside("h1"), contextlib.closing(udp()) as flow:
        for _ in range(2):  # two flows that conntrack's words cannot tell apart
            branch.segment.run("h1", "ping", "-c", "1", "-W", "0.1", "192.0.2.10", check=False)
        flow.sendto(b"x", ("192.0.2.10", 5353))
        assert wait_until(lambda: "169.254.0.11" in branch.segment.run("gw", "conntrack", "-L"))
        dry = branch.present("gw", test=True)
        real = branch.present("gw")
        assert (real.result, real.changes) == (True, dry.changes), real.comment
        old = [f"169.254.0.11 to 192.0.2.10, {protocol}" for protocol in ("icmp", "udp")]
        assert real.changes["flows older than the rules"]["old"] == old
        flow.sendto(b"x", ("192.0.2.10", 5353))
        assert wait_until(lambda: "dst=192.0.2.1 " in branch.segment.run("gw", "conntrack", "-L"))


def test_a_login_that_was_tried_before_the_rules_lands_on_the_host_after_them(branch6):
    """Both families; a flow to another port, and one that was translated, are left alone."""
    branch6.segment.set("gw", net__ipv4__ip_forward=1)
    branch6.segment.run("gw", "iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "172.16.0.0/12", "-j", "MASQUERADE")
    branch6.segment.run("gw", "ip6tables", "-t", "nat", "-A", "POSTROUTING", "-s", "fd00::/8", "-j", "MASQUERADE")
    for address in ("10.1.5.11", VM6):
        for port in (22, 3389):
            with contextlib.suppress(OSError):
                branch6.segment.connect("hq", address, port, timeout=0.2)
    dry = branch6.present("gw", test=True, **branch6.six["gw"])
    real = branch6.present("gw", **branch6.six["gw"])
    assert (real.result, real.changes) == (True, dry.changes), real.comment
    flows = ["192.0.2.10 to 10.1.5.11, tcp", f"2001:db8:2::10 to {VM6}, tcp"]
    assert real.changes["flows older than the rules"]["old"] == flows
    left = [branch6.segment.run("gw", "conntrack", "-L", "-f", family, "-p", "tcp") for family in ("ipv4", "ipv6")]
    assert "dport=22 " not in "".join(left)
    assert all("dport=3389 " in each for each in left)
    branch6.present("h1", **branch6.six["h1"])
    assert branch6.segment.get("hq", "10.1.5.11", 22) == HOST1
    assert branch6.present("gw", **branch6.six["gw"]).changes == {}


def test_what_ends_at_the_gateway_itself_is_no_flow_to_delete(up):
    for port in (22, 53):
        with up.segment.inside("h1"), contextlib.closing(udp()) as flow:
            flow.sendto(b"x", ("10.1.5.1", port))
    up.segment.serve("gw", 22)
    assert up.segment.get("hq", "10.1.5.1", 22) == "GW:22 from 192.0.2.10"
    assert up.segment.run("gw", "conntrack", "-L", "--orig-dst", "10.1.5.1").count(" dst=10.1.5.1 ") == 3
    assert up.present("gw").changes == {}


def test_a_flow_that_ended_before_it_was_deleted_is_no_error(up):
    gone = {"family": "ipv4", "protocol": "tcp", "src": "10.9.9.9", "dst": "10.1.5.11", "sport": "9", "dport": "22"}
    assert up.call("gw", "bridge_nat_flows.delete", [gone]) is None
    with pytest.raises(CommandExecutionError, match="conntrack -D"):
        up.call("gw", "bridge_nat_flows.delete", [{**gone, "protocol": "none"}])


def udp():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def test_the_gateways_settings(up):
    read = {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.conf.eth0.arp_announce": "2",
        "net.ipv4.conf.eth0.send_redirects": "0",
    }
    for key, value in read.items():
        assert up.segment.run("gw", "sysctl", "-n", key).strip() == value
    up.segment.set("gw", net__ipv4__ip_forward=0)
    assert up.segment.get("hq", "10.1.5.11", 22, SILENCE) is None
    assert list(up.present("gw").changes) == ["net.ipv4.ip_forward"]
    assert up.segment.get("hq", "10.1.5.11", 22) == HOST1


# Boot files


def test_what_is_loaded_at_boot_makes_a_blank_host_work(up):
    """The unit's own lines, on hosts whose bridge and rules are gone."""
    for name in ("h1", "gw"):
        up.segment.run(name, "nft", "flush", "ruleset")
    up.segment.vm_down(1)
    up.segment.link("h1", "link", "del", "virbr0")
    for name in ("h1", "gw"):
        for _ in range(2):  # a reload of theirs is a reload of ours
            up.unit(name, "ExecStart")
    assert up.segment.get("hq", "10.1.5.11", 22) == HOST1
    up.segment.vm_up(1)
    assert up.segment.get("hq", "10.1.5.11", 3389) == VM1
    for name in ("h1", "gw"):
        ret = up.present(name)
        assert (ret.result, ret.changes) == (True, {}), ret.comment


# Looking


def test_adopt_takes_over_the_blogs_loose_rules(branch, pillar_of):
    pillar_of("h1", branch)
    branch.segment.link("h1", "link", "add", "virbr0", "type", "bridge")
    for line in branch.call("h1", "bridge_nat.explain")["blog"]:
        branch.segment.run("h1", *line.split())
    branch.segment.run("h1", *FRAMES)
    shown = branch.call("h1", "bridge_nat.adopt")
    assert len(shown["loose"]) == 2
    assert shown["changes"] == {}
    assert branch.call("h1", "bridge_nat.adopt", take=True)["changes"]
    left = branch.segment.run("h1", "ebtables-save", "-t", "nat") + branch.segment.run(
        "h1", "iptables-save", "-t", "nat"
    )
    assert [line for line in left.splitlines() if line.startswith("-A PREROUTING") and "bridge_nat" not in line] == [
        "-A PREROUTING -p IPv4 --ip-dst 10.9.9.9 -j DROP"
    ]
    assert branch.call("h1", "bridge_nat.adopt")["loose"] == []


def test_loose_rules_that_were_taken_over_come_back_unless_that_is_confirmed(branch, pillar_of):
    """Else a host would have neither theirs nor ours after the timer."""
    pillar_of("h1", branch)["confirm"]["within"] = 60
    branch.segment.link("h1", "link", "add", "virbr0", "type", "bridge")
    for line in branch.call("h1", "bridge_nat.explain")["blog"] * 2:
        branch.segment.run("h1", *FRAMES)
        branch.segment.run("h1", *line.split())
        branch.segment.run("h1", "iptables", "-t", "nat", "-A", "PREROUTING", "-d", "10.9.9.9", "-j", "ACCEPT")
    before = branch.others("h1")
    taken = branch.call("h1", "bridge_nat.adopt", take=True)
    assert taken["changes"]["loose rules"]["old"] == [line.replace(" -t nat", "") for line in taken["loose"]]
    assert len(taken["loose"]) == 4
    assert branch.call("h1", "bridge_nat.adopt")["loose"] == []
    assert branch.call("h1", "bridge_nat.rollback")["errors"] == []
    assert branch.others("h1") == before


def test_the_support_card(up, pillar_of):
    pillar_of("h1", up)
    up.segment.get("hq", "10.1.5.11", 3389)
    up.segment.get("hq", "10.1.5.11", 22)
    card = up.call("h1", "bridge_nat.status")
    assert (card["role"], card["way"], card["pending"]) == ("workstation", up.way, None)
    assert card["counters"]["redirected"] >= 1
    vm = card["vms"]["win-1"]
    assert (vm["address"], vm["up"]) == ("10.1.5.11", True)
    if up.way == "nft":
        assert 0 <= vm["last ARP"] < 30
        assert 0 <= vm["last login"] < 30
    up.segment.vm_down(1)
    assert up.call("h1", "bridge_nat.status")["vms"]["win-1"]["up"] is False


def test_check_says_what_is_repairable_and_what_is_broken(up, pillar_of):
    for name in ("h1", "gw"):
        pillar_of(name, up)
    for name in ("h1", "gw"):
        found = up.call(name, "bridge_nat.check")
        assert {key: each for key, each in found.items() if each["state"] != "ok"} == {}
    by_hand(up)
    up.segment.link("gw", "address", "del", "192.0.2.1/24", "dev", "wan0")
    up.segment.link("gw", "link", "add", "zc0", "up", "type", "bridge")
    up.segment.link("gw", "route", "add", "169.254.0.0/17", "dev", "zc0")
    for server in up.segment.servers["h1"]:
        server.kill()
        server.wait()
    states = {
        name: {key: each["state"] for key, each in up.call(name, "bridge_nat.check").items()} for name in ("h1", "gw")
    }
    assert (states["h1"]["rules"], states["h1"]["server"], states["h1"]["host"]) == ("repairable", "broken", "ok")
    assert (states["gw"]["public address"], states["gw"]["link-local routes"]) == ("broken", "broken")


@pytest.mark.parametrize("way", ["nft"], indirect=True)
def test_check_says_what_cannot_be_seen_without_conntrack(branch, tmp_path):
    (tmp_path / "minion").write_text(json.dumps({"root_dir": str(tmp_path), "id": "gw.rosario"}))
    (tmp_path / "top.sls").write_text("base: {'*': [branch]}")
    (tmp_path / "branch.sls").write_text(json.dumps({"branch": pillar_for(branch)}))
    words = ["--local", "-c", tmp_path, "-m", ROOT, "--pillar-root", tmp_path, "--out=json", "bridge_nat.check"]
    call = shlex.join(map(str, [Path(sys.executable).parent / "salt-call", *words]))
    hidden = "mount --bind /dev/null $(command -v conntrack)"  # in the mount namespace of this command alone
    found = json.loads(branch.segment.run("gw", "sh", "-c", f"{hidden} && exec {call}"))["local"]["flows"]
    assert (found["state"], found["remedy"]) == ("broken", "install conntrack")


@pytest.fixture
def pillar_of():
    """Give a host the pillar of the branch that the segment is."""
    given = []

    def give(name, branch):
        seen = branch.minions[name].modules.pack["__pillar__"]
        seen["branch"] = {**pillar_for(branch), "confirm": {"within": 0}}
        given.append(seen)
        return seen["branch"]

    yield give
    for seen in given:
        seen.clear()


def pillar_for(branch):
    hosts = {f"h{number}": {"number": number, "vm": branch.wanted(f"h{number}")["vms"][0]} for number in (1, 2)}
    for number in (1, 2):
        hosts[f"h{number}"]["link_local"] = f"169.254.0.1{number}"
    gateway = {"host": "gw", "lan": "eth0", "ip": "10.1.5.1", "public": "192.0.2.1"}
    return {"name": "rosario", "cidr": "10.1.5.0/24", "gateway": gateway, "hosts": hosts, "way": branch.way}
