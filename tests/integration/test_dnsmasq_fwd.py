"""Networks with names, on real parts: a libvirtd of our own, dnsmasqs, nameservers, and guests that ask for leases.

All of it in network and mount namespaces that this process makes for itself: see tests/networks.py. What is asserted is
what nameservers answer and what guests see. Both backends pass the same tests.
"""

import copy
import os
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from onepass_lib.dnsmasq import definition
from salt.exceptions import CommandExecutionError

import networks
import tree

BRIDGE = "virbr7"
GATEWAY = "192.168.150.1"
MAC = "52:54:00:bf:57:bb"
LAB = {
    "name": "lab",
    "bridge": BRIDGE,
    "domain": "lab.example",
    "address": f"{GATEWAY}/24",
    "dhcp": {"start": "192.168.150.10", "end": "192.168.150.200"},
    "hosts": {"web": {"address": "192.168.150.5", "mac": MAC}},
    "forwarders": [{"address": "198.51.100.9"}, {"address": "198.51.100.8", "domain": "bank.example"}],
    "options": ["no-ping"],
}


@pytest.fixture(scope="module", autouse=True)
def host(tmp_path_factory):
    if os.geteuid():
        pytest.fail("These tests make namespaces: run them as root", pytrace=False)
    with networks.host(tmp_path_factory.mktemp("host")):
        yield


@pytest.fixture(scope="module")
def libvirt(host):
    with networks.libvirtd() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def wire(host, tmp_path_factory):
    return networks.Nameservers(tmp_path_factory.mktemp("upstreams"))


@pytest.fixture
def upstreams(wire):
    """Two nameservers: .9 for all names, .8 for the bank's; each answers with 203.0.113.<its own number>."""
    for number in (8, 9):
        if number not in wire.running:
            wire.start(number)
    return wire


@pytest.fixture(params=["network", "bridge"])
def backend(request):
    return request.param


@pytest.fixture
def lab(backend, libvirt, upstreams, states):
    """The network as LAB and some changes say: ``lab(restart=False, test=False, **changes)``. Gone at last."""

    def apply(restart=False, test=False, **changes):
        arguments = {**copy.deepcopy(LAB), **changes, **({"restart": restart} if backend == "network" else {})}
        return getattr(states.dnsmasq_fwd, backend)(**arguments, test=test)

    yield apply
    gone = states.dnsmasq_fwd.absent(name="lab", backend=backend, force=True)
    assert gone.result, gone.comment


@pytest.fixture
def running(lab):
    """The network as LAB says."""
    assert lab().result
    return lab


@pytest.fixture
def guest(running):
    """Guests on the network: ``guest("one")``, gone at last."""
    made = []

    def make(name, mac=None):
        made.append(networks.Guest(name, BRIDGE, mac))
        return made[-1]

    yield make
    for each in made:
        each.remove()


def ask(name, kind="A"):
    return networks.dig(name, GATEWAY, kind)


def devices():
    return networks.run("ip", "-o", "link")


def traces():
    """What there is of networks of ours."""
    files = [
        path
        for root in ("/etc/onepass", "/etc/systemd/system", "/var/lib/libvirt/dnsmasq", "/etc/libvirt/qemu/networks")
        for path in Path(root).rglob("*")
        if "lab" in path.name and path.is_file()
    ]
    tables = [line for line in networks.run("nft", "list", "tables").splitlines() if "dnsmasq_fwd" in line]
    return files + tables + list(networks.dnsmasqs()) + ([BRIDGE] if f" {BRIDGE}:" in devices() else [])


# The state contract


def test_from_nothing_to_the_network_and_back(lab, states, backend):
    assert traces() == []
    dry = lab(test=True)
    assert (dry.result, traces()) == (None, [])
    real = lab()
    assert real.result, real.comment
    assert dry.changes == real.changes
    for test in (True, False):
        again = lab(test=test)
        assert (again.result, again.changes) == (True, {}), again.comment
    gone = [states.dnsmasq_fwd.absent(name="lab", backend=backend, test=test) for test in (True, False)]
    assert [each.result for each in gone] == [None, True]
    assert gone[0].changes == gone[1].changes
    assert traces() == []
    nothing = states.dnsmasq_fwd.absent(name="lab", backend=backend)
    assert (nothing.result, nothing.changes) == (True, {})


@pytest.mark.parametrize("backend", ["network"], indirect=True)
def test_libvirt_chooses_the_bridge_where_none_is_named(lab):
    assert lab(bridge=None).result
    chosen = networks.run("virsh", "-q", "net-info", "lab").split()[-1]
    assert chosen in devices() and chosen != BRIDGE
    assert lab(bridge=None).changes == {}
    assert ask("web.lab.example") == ["192.168.150.5"]


@pytest.mark.parametrize("backend", ["network"], indirect=True)
def test_a_network_that_runs_already_is_taken_over_with_what_it_has(lab, states):
    file = Path("/run/lab.xml")
    file.write_text(
        f"<network><name>lab</name><forward mode='nat'/><bridge name='{BRIDGE}' stp='on'/><domain name='old.example'/>"
        f"<dns><forwarder addr='198.51.100.8'/><txt name='x.old.example' value='kept'/></dns>"
        f"<ip address='{GATEWAY}' netmask='255.255.255.0'/></network>"
    )
    networks.run("virsh", "-q", "net-create", file)
    uuid = networks.run("virsh", "-q", "net-uuid", "lab")
    ret = lab()
    assert ret.result, ret.comment
    assert lab().changes == {}
    assert networks.run("virsh", "-q", "net-uuid", "lab") == uuid
    assert ask("x.old.example", "TXT") == ["kept"]
    assert ask("www.example.org") == ["203.0.113.9"]


@pytest.mark.parametrize("backend", ["network"], indirect=True)
def test_a_reservation_without_a_name_that_is_ours_now_gets_one(lab, running):
    host = "<host mac='52:54:00:bf:57:bc' ip='192.168.150.8'/>"
    networks.run("virsh", "-q", "net-update", "lab", "add", "ip-dhcp-host", host, "--live", "--config")
    change = {"hosts": {**LAB["hosts"], "db": {"address": "192.168.150.9", "mac": "52:54:00:bf:57:bc"}}}
    dry, real = lab(test=True, **change), lab(**change)
    assert real.result, real.comment
    assert dry.changes == real.changes
    xml = networks.run("virsh", "-q", "net-dumpxml", "lab")
    assert "192.168.150.8" not in xml
    assert "<host mac='52:54:00:bf:57:bc' name='db' ip='192.168.150.9'/>" in xml
    assert lab(**change).changes == {}


OTHER = {
    "domain": "other.example",
    "hosts": {"db": {"address": "192.168.150.6"}},
    "forwarders": [{"address": "198.51.100.8"}],
    "options": [],
}


def test_stopped_after_any_step_the_next_run_repairs_it(lab, running, modules, backend):
    steps = modules.dnsmasq_fwd.plan({**LAB, **OTHER, "backend": backend})
    assert len(steps) > 2
    for number in range(len(steps)):
        assert lab(restart=True).result
        interrupted(modules, backend, number)
        ret = lab(restart=True, **OTHER)
        assert ret.result, ret.comment
        assert lab(**OTHER).changes == {}
        assert ask("db.other.example") == ["192.168.150.6"]
        assert ask("web.other.example") == "NXDOMAIN"
        assert ask("www.example.org") == ["203.0.113.8"]


def test_born_in_steps_too(lab, modules, states, backend):
    steps = modules.dnsmasq_fwd.plan({**LAB, "backend": backend})
    for number in range(len(steps)):
        interrupted(modules, backend, number, {})
        assert lab().result
        assert ask("web.lab.example") == ["192.168.150.5"]
        assert states.dnsmasq_fwd.absent(name="lab", backend=backend).result
        assert traces() == []


def interrupted(modules, backend, number, changes=OTHER):
    """The state, stopped after some steps as if it had been killed."""
    done = []

    def act(step, *rest):
        if len(done) == number:
            raise CommandExecutionError("stopped here")
        modules.dnsmasq_fwd.act(step, *rest)
        done.append(step)

    salt = {**dict(modules), "dnsmasq_fwd.act": act}
    state = tree.load("_states/dnsmasq_fwd.py", __salt__=salt, __opts__={"test": False})
    restart = {"restart": True} if backend == "network" else {}
    ret = getattr(state, backend)(**{**LAB, **changes}, **restart)
    assert (ret["result"], len(done)) == (False, number)
    assert "stopped here" in ret["comment"]


# Names


def test_names_are_answered_by_whoever_knows_them(running):
    assert ask("web.lab.example") == ask("web") == ["192.168.150.5"]
    assert ask("5.150.168.192.in-addr.arpa", "PTR") == ["web.lab.example."]
    assert ask("nobody.lab.example") == "NXDOMAIN"  # local only: .9 would have answered
    assert ask("77.150.168.192.in-addr.arpa", "PTR") == "NXDOMAIN"
    assert ask("www.example.org") == ["203.0.113.9"]
    assert ask("www.bank.example") == ["203.0.113.8"]


def test_a_domain_that_is_not_local_only_is_asked_of_forwarders_too(lab):
    assert lab(local_only=False).result
    assert ask("web.lab.example") == ["192.168.150.5"]
    assert ask("nobody.lab.example") == ["203.0.113.9"]


def test_a_guest_is_known_by_name_as_soon_as_it_has_its_address(guest):
    one, web = guest("one"), guest("web", MAC)
    address = one.lease()
    assert ask("one.lab.example") == [address]
    assert web.lease() == "192.168.150.5"
    assert "192.168.150.5" in networks.within("one", "busybox", "nslookup", "web.lab.example", GATEWAY)
    assert address in networks.within("web", "busybox", "nslookup", "one.lab.example", GATEWAY)
    networks.within("one", "ping", "-c", "1", "-W", "2", "198.51.100.9")  # it has no way back but by NAT


def test_without_nat_guests_have_names_and_no_way_out(lab, guest):
    assert lab(restart=True, nat=False).result
    one = guest("one")
    one.lease()
    assert "default" not in networks.within("one", "ip", "route")
    assert ask("one.lab.example") and ask("www.example.org") == ["203.0.113.9"]
    assert lab(nat=False).changes == {}
    assert lab(restart=True).result
    one.lease()
    networks.within("one", "ping", "-c", "1", "-W", "2", "198.51.100.9")


def test_what_others_gave_a_name_stays(lab, running, backend):
    if backend == "network":
        words = ["dns-host", "<host ip='192.168.150.77'><hostname>clone</hostname></host>", "--live", "--config"]
        networks.run("virsh", "-q", "net-update", "lab", "add", *words)
    else:
        Path("/etc/onepass/dnsmasq_fwd/lab/hosts.d/clone").write_text("192.168.150.77 clone\n")
    networks.until(lambda: ask("clone.lab.example") == ["192.168.150.77"])
    assert lab().changes == {}
    assert lab(hosts={}).result
    assert (ask("clone.lab.example"), ask("web.lab.example")) == (["192.168.150.77"], "NXDOMAIN")
    if backend == "bridge":
        Path("/etc/onepass/dnsmasq_fwd/lab/hosts.d/clone").unlink()


# Changed under running guests


LIVE = [
    ({"forwarders": [{"address": "198.51.100.8"}]}, "www.example.org", ["203.0.113.8"]),
    ({"forwarders": [*LAB["forwarders"][:1], {"address": "198.51.100.8", "domain": "shop.example"}]},
     "www.shop.example", ["203.0.113.8"]),
    ({"hosts": {}}, "web.lab.example", "NXDOMAIN"),
    ({"hosts": {"web": {"address": "192.168.150.6", "mac": MAC}}}, "web.lab.example", ["192.168.150.6"]),
    ({"hosts": {**LAB["hosts"], "db": {"address": "192.168.150.7"}}}, "db.lab.example", ["192.168.150.7"]),
    ({"hosts": {"web": {"address": "192.168.150.7"}, "db": {"address": "192.168.150.5", "mac": MAC}}},
     "db.lab.example", ["192.168.150.5"]),
]  # fmt: skip


@pytest.mark.parametrize("change, name, answer", LIVE, ids=lambda value: str(value)[:60])
def test_what_changes_live_costs_no_guest_a_packet(lab, guest, modules, backend, change, name, answer):
    one = guest("one")
    one.lease()
    before = networks.dnsmasqs()
    result = one.ping(GATEWAY)
    assert {step["needs"] for step in modules.dnsmasq_fwd.plan({**LAB, "backend": backend, **change})} == {"nothing"}
    dry, real = lab(test=True, **change), lab(**change)
    assert real.result, real.comment
    assert dry.changes == real.changes
    assert ask(name) == answer
    received, lost = result()
    assert (lost, received > 5) == (0, True)
    assert networks.dnsmasqs() == before  # the same processes
    assert lab(**change).changes == {}


def test_a_range_changes_with_a_restart_of_dnsmasq_alone(lab, guest, modules, backend):
    one, change = guest("one"), {"dhcp": {"start": "192.168.150.30", "end": "192.168.150.39", "lease": "2h"}}
    one.lease()
    result = one.ping(GATEWAY)
    planned = modules.dnsmasq_fwd.plan({**LAB, "backend": backend, **change})
    assert {step["needs"] for step in planned} == {"nothing", "a restart of dnsmasq"}
    ret = lab(**change)
    assert ret.result, ret.comment
    received, lost = result()
    assert (lost, received > 5) == (0, True)
    assert 30 <= int(guest("two").lease().rpartition(".")[2]) <= 39
    assert lab(**change).changes == {}


def test_a_change_that_dnsmasq_was_not_told_of_is_seen(lab, running, backend):
    """As if a run had been killed between the file and the signal."""
    there = {"network": "/var/lib/libvirt/dnsmasq/lab.servers", "bridge": "/etc/onepass/dnsmasq_fwd/lab/servers"}[
        backend
    ]
    wanted = Path(there).read_text()
    assert lab(forwarders=[{"address": "198.51.100.8"}]).result
    Path(there).write_text(wanted)
    assert ask("www.example.org") == ["203.0.113.8"]
    ret = lab()
    assert ret.result and "oaded " in ret.comment
    assert ask("www.example.org") == ["203.0.113.9"]


def test_options_that_dnsmasq_refuses_change_nothing(lab, running, testmode):
    before = traces()
    ret = lab(test=testmode, options=["no-pong"])
    assert (ret.result, ret.changes) == (False, {})
    assert "dnsmasq does not take the option 'no-pong'" in ret.comment
    assert traces() == before
    assert ask("web.lab.example") == ["192.168.150.5"]


# A restart of libvirt's network


@pytest.mark.parametrize("backend", ["network"], indirect=True)
def test_a_restart_is_refused_then_allowed_and_every_guest_is_back(lab, guest, modules):
    one, change = guest("one"), {"domain": "other.example"}
    address = one.lease()
    with networks.domain("vm1", "lab") as tap:
        assert networks.master(tap) == networks.master(one.tap) == BRIDGE
        before = networks.dnsmasqs()
        for test in (True, False):
            ret = lab(test=test, **change)
            assert (ret.result, ret.changes) == (False, {})
            assert "domain: 'lab.example', not 'other.example'" in ret.comment
            assert one.tap in ret.comment and tap in ret.comment
        assert networks.dnsmasqs() == before
        dry, real = lab(test=True, restart=True, **change), lab(restart=True, **change)
        assert real.result, real.comment
        assert dry.changes == real.changes
        assert networks.dnsmasqs() != before
        assert networks.master(tap) == networks.master(one.tap) == BRIDGE
        networks.within("one", "ping", "-c", "1", "-W", "2", GATEWAY)
        assert ask("one.other.example") == [address]  # its lease has survived
        assert lab(**change).changes == {}


@pytest.mark.parametrize("backend", ["network"], indirect=True)
def test_guests_that_somebody_elses_restart_cut_off_are_brought_back(lab, running, modules):
    with networks.domain("vm1", "lab") as tap:
        for word in ("net-destroy", "net-start"):
            networks.run("virsh", "-q", word, "lab")
        assert networks.master(tap) is None
        assert modules.dnsmasq_fwd.check("lab", "network")["guest vm1"]["state"] == "broken"
        ret = lab()
        assert (ret.result, ret.changes) == (True, {f"{tap} of vm1": {"old": "on no bridge", "new": BRIDGE}})
        assert networks.master(tap) == BRIDGE
        networks.run("virsh", "-q", "net-destroy", "lab")
        ret = lab()
        assert ret.result, ret.comment
        assert networks.master(tap) == BRIDGE
        assert modules.dnsmasq_fwd.check("lab", "network")["guest vm1"]["state"] == "ok"


@pytest.mark.parametrize("backend", ["network"], indirect=True)
def test_a_restart_that_fails_leaves_the_network_as_it_was(lab, guest):
    """dnsmasq takes the option when it only reads it, and cannot start with it."""
    one = guest("one")
    one.lease()
    ret = lab(restart=True, options=["log-facility=/nowhere/at/all"])
    assert ret.result is False
    assert "runs as before, for it did not start" in ret.comment
    assert networks.master(one.tap) == BRIDGE
    networks.within("one", "ping", "-c", "1", "-W", "2", GATEWAY)
    assert ask("www.example.org") == ["203.0.113.9"]
    assert lab().result


@pytest.mark.parametrize("backend", ["network"], indirect=True)
def test_an_absent_network_is_refused_while_guests_are_on_it(guest, states, testmode):
    one = guest("one")
    ret = states.dnsmasq_fwd.absent(name="lab", test=testmode)
    assert (ret.result, ret.changes) == (False, {})
    assert f"{one.tap} are on the network lab" in ret.comment


@pytest.mark.parametrize("backend", ["network"], indirect=True)
def test_a_dnsmasq_that_died_is_brought_back_by_a_restart(lab, guest):
    one = guest("one")
    one.lease()
    networks.kill_dnsmasqs()
    refused = lab()
    assert (refused.result, refused.changes) == (False, {})
    assert "does not answer" in refused.comment
    assert lab(restart=True).result
    assert ask("www.example.org") == ["203.0.113.9"]
    assert networks.master(one.tap) == BRIDGE


@pytest.mark.parametrize("backend", ["network"], indirect=True)
def test_a_libvirtd_that_is_down_is_told(lab, running, testmode):
    socket_ = Path("/run/libvirt/libvirt-sock")
    socket_.rename("/run/libvirt/away")
    try:
        ret = lab(test=testmode, hosts={})
    finally:
        Path("/run/libvirt/away").rename(socket_)
    assert (ret.result, ret.changes) == (False, {})
    assert "libvirt, network lab: Failed to connect socket" in ret.comment


@pytest.mark.parametrize("backend", ["network"], indirect=True)
def test_a_libvirtd_that_freezes_in_the_middle_is_waited_for_no_longer(lab, running, libvirt, modules, monkeypatch):
    def frozen(xml, read=definition.read):
        libvirt.send_signal(signal.SIGSTOP)
        return read(xml)

    module = tree.load("_modules/dnsmasq_libvirt.py", __salt__=dict(modules))
    begun = time.monotonic()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(definition, "read", frozen)
            with pytest.raises(CommandExecutionError, match="libvirt, network lab: .*(keepalive|connection)"):
                module.observe(modules.dnsmasq_model.complete(LAB))
    finally:
        libvirt.send_signal(signal.SIGCONT)
    assert time.monotonic() - begun < 60
    assert lab().changes == {}


# Without libvirt


@pytest.mark.parametrize("backend", ["bridge"], indirect=True)
def test_the_unit_alone_brings_everything_back_at_boot(lab, running):
    unit = Path("/etc/systemd/system/onepass-dnsmasq-lab.service")
    text = unit.read_text()
    networks.run("systemd-analyze", "verify", "--man=no", unit)
    networks.kill_dnsmasqs()
    networks.run("ip", "link", "delete", BRIDGE)
    networks.run("nft", "delete", "table", "ip", "dnsmasq_fwd_lab")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
    for _twice in range(2):
        for line in text.splitlines():
            if line.startswith("ExecStartPre="):
                words = line.removeprefix("ExecStartPre=")
                networks.run(*shlex.split(words.removeprefix("-")), check=not words.startswith("-"))
    start = next(line.removeprefix("ExecStart=") for line in text.splitlines() if line.startswith("ExecStart="))
    daemon = subprocess.Popen(shlex.split(start))
    networks.until(lambda: f"{GATEWAY}:53" in networks.run("ss", "-Hlnu"))
    assert ask("web.lab.example") == ["192.168.150.5"]
    assert lab().changes == {}
    daemon.terminate()
    daemon.wait(120)


@pytest.mark.parametrize("backend", ["bridge"], indirect=True)
def test_what_somebody_else_undid_is_done_again(lab, running):
    networks.run("nft", "flush", "table", "ip", "dnsmasq_fwd_lab")
    networks.run("ip", "address", "replace", "10.9.9.9/24", "dev", BRIDGE)
    networks.run("ip", "link", "set", BRIDGE, "down")
    Path("/etc/onepass/dnsmasq_fwd/lab/addnhosts").write_text("")
    dry, real = lab(test=True), lab()
    assert real.result, real.comment
    assert dry.changes == real.changes
    assert {"NAT of lab", f"address of {BRIDGE}", f"state of {BRIDGE}"} < set(real.changes)
    assert ask("web.lab.example") == ["192.168.150.5"]
    assert "10.9.9.9" not in networks.run("ip", "address")


@pytest.mark.parametrize("backend", ["bridge"], indirect=True)
def test_a_device_of_another_kind_is_not_taken(lab, testmode):
    networks.run("ip", "link", "add", BRIDGE, "type", "veth", "peer", "name", "other0")
    ret = lab(test=testmode)
    networks.run("ip", "link", "delete", BRIDGE)
    assert (ret.result, ret.changes) == (False, {})
    assert f"{BRIDGE} is a device already, and no bridge (veth)" in ret.comment


@pytest.mark.parametrize("backend", ["bridge"], indirect=True)
@pytest.mark.parametrize("theirs", ["10.9.9.9/24", f"{GATEWAY}/24"])
def test_a_bridge_of_somebody_elses_keeps_its_address(lab, testmode, theirs):
    networks.run("ip", "link", "add", BRIDGE, "type", "bridge")
    networks.run("ip", "address", "add", theirs, "dev", BRIDGE)
    before = traces()
    ret = lab(test=testmode)
    after, address = traces(), networks.run("ip", "-o", "-4", "address", "show", "dev", BRIDGE)
    networks.run("ip", "link", "delete", BRIDGE)
    assert (ret.result, ret.changes) == (False, {})
    assert f"{BRIDGE} is somebody else's bridge, with {theirs}" in ret.comment
    assert after == before
    assert theirs in address


@pytest.mark.parametrize(
    "what, words, said",
    [
        ("address", "192.168.150.7/24 dev eth9", "eth9 (192.168.150.7/24)"),
        ("address", "192.168.150.129/25 dev eth9", "eth9 (192.168.150.129/25)"),
        ("address", f"{GATEWAY}/32 dev eth9", f"eth9 ({GATEWAY}/32)"),
        ("route", "192.168.150.0/24 dev eth9", "eth9 (route to 192.168.150.0/24)"),
        ("route", "blackhole 192.168.150.0/24", "blackhole (route to 192.168.150.0/24)"),
        ("address", "192.167.0.7/8 dev eth9", None),
    ],
)
def test_addresses_that_another_device_has_are_not_taken_twice(lab, what, words, said):
    networks.run("ip", "link", "add", "eth9", "up", "type", "bridge")
    try:
        networks.run("ip", what, "add", *words.split())
        before = traces()
        ret = [lab(test=test) for test in (True, False)]
        if said:
            assert [(each.result, each.changes) for each in ret] == [(False, {})] * 2
            assert f"192.168.150.0/24 of lab is in use on this host already, by {said}" in ret[1].comment
            assert traces() == before
        else:
            assert ret[1].result, ret[1].comment
    finally:
        networks.run("ip", what, "delete", *words.split())
        networks.run("ip", "link", "delete", "eth9")


def test_a_network_that_runs_stays_when_another_device_comes_with_its_addresses(lab, running):
    networks.run("ip", "link", "add", "eth9", "up", "type", "bridge")
    networks.run("ip", "address", "add", "192.168.150.7/24", "dev", "eth9")
    again = lab()
    networks.run("ip", "link", "delete", "eth9")
    assert (again.result, again.changes) == (True, {}), again.comment


def test_a_network_that_runs_does_not_move_to_addresses_that_another_device_has(lab, running):
    moved = {"address": "192.168.151.1/24", "dhcp": {"start": "192.168.151.10", "end": "192.168.151.20"}, "hosts": {}}
    networks.run("ip", "link", "add", "eth9", "up", "type", "bridge")
    networks.run("ip", "address", "add", "192.168.151.7/24", "dev", "eth9")
    try:
        before = traces()
        ret = [lab(restart=True, test=test, **moved) for test in (True, False)]
        assert [(each.result, each.changes) for each in ret] == [(False, {})] * 2
        assert "192.168.151.0/24 of lab is in use on this host already, by eth9 (192.168.151.7/24)" in ret[1].comment
        assert traces() == before
        assert ask("web.lab.example") == ["192.168.150.5"]
    finally:
        networks.run("ip", "link", "delete", "eth9")


@pytest.mark.parametrize("backend", ["bridge"], indirect=True)
def test_no_bridge_of_ours_is_forgotten(lab, running, testmode):
    ret = lab(test=testmode, bridge="virbr8")
    assert (ret.result, ret.changes) == (False, {})
    assert f"lab is on the bridge {BRIDGE}: give bridge: {BRIDGE}" in ret.comment
    assert lab().changes == {}
    assert "virbr8" not in devices()


def test_the_other_backend_waits_until_the_first_ones_network_is_absent(lab, running, states, testmode, backend):
    other = next(each for each in ("network", "bridge") if each != backend)
    wanted = {**copy.deepcopy(LAB), "bridge": "virbr8"}
    before = traces()
    ret = getattr(states.dnsmasq_fwd, other)(**wanted, test=testmode)
    assert (ret.result, ret.changes) == (False, {})
    assert f"lab is there with the backend {backend} (/" in ret.comment
    assert traces() == before
    assert ask("web.lab.example") == ["192.168.150.5"]
    assert states.dnsmasq_fwd.absent(name="lab", backend=backend).result
    real = getattr(states.dnsmasq_fwd, other)(**wanted, test=testmode)
    assert real.changes, real.comment
    assert states.dnsmasq_fwd.absent(name="lab", backend=other).result


# What is told of a network


def conditions(modules, backend):
    return {name: seen["state"] for name, seen in modules.dnsmasq_fwd.check("lab", backend).items()}


def test_a_healthy_network_is_ok_in_every_respect(guest, modules, backend):
    guest("web", MAC).lease()
    found = conditions(modules, backend)
    assert set(found.values()) == {"ok"}
    assert {"dnsmasq", "port", "name web", "forwarder 198.51.100.9#53"} <= set(found)
    status = modules.dnsmasq_fwd.status("lab", backend)
    assert (status["answers"], status["read"], status["pending"]) == (True, True, {})
    assert status["leases"] == [{"name": "web", "address": "192.168.150.5", "mac": MAC}]
    told = modules.dnsmasq_fwd.hosts("lab", backend)["web"]
    assert told == {"given": "192.168.150.5", "lease": "192.168.150.5", "mac": MAC, "answer": ["192.168.150.5"]}


def test_a_dead_forwarder_is_told_and_delays_nobody(lab, upstreams, modules, backend):
    assert lab(forwarders=[{"address": "198.51.100.8"}, {"address": "198.51.100.9"}]).result
    upstreams.stop(8)
    found = modules.dnsmasq_fwd.check("lab", backend)
    assert found["forwarder 198.51.100.8#53"]["state"] == "broken"
    assert found["forwarder 198.51.100.9#53"]["state"] == "ok"
    for number in range(5):
        assert networks.dig(f"www{number}.example.org", GATEWAY, timeout=0.5) == ["203.0.113.9"]


def test_a_forwarder_that_sends_everything_back_is_told(lab, upstreams, modules, backend):
    looping = upstreams.start(1, f"--server={GATEWAY}")
    assert lab(forwarders=[{"address": looping}, {"address": "198.51.100.9"}]).result
    found = modules.dnsmasq_fwd.check("lab", backend)
    assert "loop" in found[f"forwarder {looping}#53"]["evidence"]
    assert found["forwarder 198.51.100.9#53"]["state"] == "ok"
    assert ask("www.example.org") == ["203.0.113.9"]
    upstreams.stop(1)


def test_a_name_whose_address_nobody_has_is_told(guest, modules, backend):
    one = guest("one")
    address = one.lease()
    assert conditions(modules, backend)["name one"] == "ok"
    networks.within("one", "ip", "link", "set", "eth0", "down")
    networks.run("ip", "neigh", "flush", "dev", BRIDGE)
    assert modules.dnsmasq_fwd.check("lab", backend)["name one"]["evidence"] == f"nobody has {address}"


def test_a_program_that_has_taken_the_port_is_told(running, modules, backend):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taker.bind(("0.0.0.0", 53))
        found = modules.dnsmasq_fwd.check("lab", backend)["port"]
    assert found["state"] == "broken"
    assert f"({os.getpid()}) listens on 0.0.0.0 port 53" in found["evidence"]


def test_a_network_that_does_not_start_says_why(lab, backend):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
        taker.bind(("0.0.0.0", 53))
        ret = lab()
        assert ret.result is False
        assert "in use" in ret.comment, ret.comment
    assert lab().result
    assert ask("web.lab.example") == ["192.168.150.5"]
