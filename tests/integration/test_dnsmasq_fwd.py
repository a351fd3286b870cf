"""Networks with names, on real parts: a libvirtd of our own, dnsmasqs, nameservers, and guests that ask for leases.

All of it in network and mount namespaces that this process makes for itself: see tests/networks.py. What is asserted is
what nameservers answer and what guests see. Both backends pass the same tests.
"""

import contextlib
import copy
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

import neighbours
import networks
import tree

BRIDGE = "virbr7"
GATEWAY = "192.168.150.1"
MAC = "52:54:00:bf:57:bb"
RESOLVED = tree.ROOT / ".venv/resolved"
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
def test_a_libvirtd_that_freezes_in_the_middle_is_waited_for_no_longer(lab, running, libvirt, modules):
    def frozen(xml):
        libvirt.send_signal(signal.SIGSTOP)
        return modules.dnsmasq_xml.read(xml)

    module = tree.load("_modules/dnsmasq_libvirt.py", __salt__={**dict(modules), "dnsmasq_xml.read": frozen})
    begun = time.monotonic()
    try:
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


# The host's own resolver


@pytest.fixture
def resolv_conf():
    """A resolv.conf of the administrator's, for the test only."""
    path = Path("/etc/resolv.conf")
    before = path.read_text()
    path.write_text("# by hand\nnameserver 198.51.100.250\n")
    yield path
    path.unlink()
    path.write_text(before)


WHERE = {"name": "lab", "domain": "lab.example", "address": f"{GATEWAY}/24"}
TOLD = {"dns": GATEWAY, "domain": "lab.example ~150.168.192.in-addr.arpa"}


def test_programs_of_the_host_find_guests_by_their_names(running, states, resolv_conf):
    text = resolv_conf.read_text()
    dry, real = (states.dnsmasq_fwd.resolver(**WHERE, test=test) for test in (True, False))
    assert (dry.result, real.result) == (None, True), real.comment
    assert dry.changes == real.changes
    assert networks.run("getent", "ahostsv4", "web").split()[0] == "192.168.150.5"
    assert networks.run("getent", "ahostsv4", "www.example.org").split()[0] == "203.0.113.9"
    assert states.dnsmasq_fwd.resolver(**WHERE).changes == {}
    gone = states.dnsmasq_fwd.resolver_absent(**WHERE)
    assert gone.result, gone.comment
    assert resolv_conf.read_text() == text
    assert states.dnsmasq_fwd.resolver_absent(**WHERE).changes == {}


@pytest.fixture
def resolved(resolv_conf, monkeypatch):
    """A systemd-resolved of an administrator's: ``resolved("DNS=198.51.100.8")``, in charge of resolv.conf."""
    assert (RESOLVED / "lib/systemd/systemd-resolved").exists(), "make test fetches it"
    monkeypatch.setenv("PATH", f"{RESOLVED}/usr/bin:{os.environ['PATH']}")
    conf, stub = Path("/etc/systemd/resolved.conf"), Path("/run/systemd/resolve/stub-resolv.conf")
    stub.parent.mkdir(parents=True, exist_ok=True)
    resolv_conf.unlink()
    resolv_conf.symlink_to(stub)

    @contextlib.contextmanager
    def start(*lines):
        conf.write_text("\n".join(["[Resolve]", "LLMNR=no", "MulticastDNS=no", *lines, ""]))
        with networks.resolved(RESOLVED / "lib/systemd/systemd-resolved"):
            networks.until(stub.exists)
            yield

    with neighbours.bus():
        yield start
    shutil.rmtree("/run/dbus")
    conf.unlink()
    stub.unlink(missing_ok=True)


def has_carrier(modules):
    """A port as a running guest's; it goes with the bridge."""
    networks.run("ip", "link", "add", "port0", "type", "veth", "peer", "name", "port1")
    for port in ("port0", "port1"):
        networks.run("ip", "link", "set", port, "up")
    networks.run("ip", "link", "set", "port0", "master", BRIDGE)
    networks.until(lambda: modules.dnsmasq_host.links()[BRIDGE]["carrier"])


@pytest.fixture
def port():
    yield
    networks.run("ip", "link", "delete", "port0", check=False)


@pytest.mark.parametrize(
    "settings",
    [
        ("DNS=198.51.100.8",),
        ("DNS=198.51.100.8", "DNSSEC=yes", "DNSOverTLS=opportunistic"),
    ],
    ids=str,
)
def test_systemd_resolved_asks_the_network_for_its_names_and_for_no_other(
    lab, states, modules, resolved, port, settings
):
    """Beside nameservers of the administrator's, and with a network that itself has none for other names."""
    assert lab(forwarders=[]).result
    with resolved(*settings):
        has_carrier(modules)
        before = modules.dnsmasq_query.upstreams(GATEWAY)
        dry, real = (states.dnsmasq_fwd.resolver(**WHERE, test=test) for test in (True, False))
        assert (dry.result, real.result) == (None, True), real.comment
        assert dry.changes == real.changes
        assert set(real.changes) == {
            "/etc/systemd/system/onepass-resolver-lab@.service",
            "lookup of onepass-test.lab.example",
        }
        for _ in range(2):
            assert networks.dig("web.lab.example", "127.0.0.53") == ["192.168.150.5"]
            assert networks.dig("nobody.lab.example", "127.0.0.53") == "NXDOMAIN"
            assert networks.dig("5.150.168.192.in-addr.arpa", "127.0.0.53", "PTR") == ["web.lab.example."]
            assert networks.run("getent", "ahostsv4", "web").split()[0] == "192.168.150.5"
        if "DNSSEC=yes" not in settings:
            assert networks.dig("www.example.org", "127.0.0.53") == ["203.0.113.8"]
        assert modules.dnsmasq_query.upstreams(GATEWAY) == before
        assert states.dnsmasq_fwd.resolver(**WHERE).changes == {}
        networks.run("resolvectl", "revert", BRIDGE)  # as if the link had been made anew
        again = {f"{BRIDGE} in systemd-resolved", "lookup of onepass-test.lab.example"}
        dry, real = (states.dnsmasq_fwd.resolver(**WHERE, test=test) for test in (True, False))
        assert dry.changes == real.changes and set(real.changes) == again
        dry, gone = (states.dnsmasq_fwd.resolver_absent(**WHERE, test=test) for test in (True, False))
        assert (gone.result, gone.changes) == (True, dry.changes)
        assert networks.dig("web.lab.example", "127.0.0.53") != ["192.168.150.5"]
    assert not list(Path("/etc/systemd/system").glob("onepass-resolver-*"))


@pytest.mark.usefixtures("running")
def test_systemd_resolved_keeps_its_last_resort(states, resolved, testmode):
    with resolved("FallbackDNS=198.51.100.8"):
        ret = states.dnsmasq_fwd.resolver(**WHERE, test=testmode)
        assert (ret.result, ret.changes) == (False, {})
        assert "give it DNS= in /etc/systemd/resolved.conf first" in ret.comment
        assert networks.dig("www.example.org", "127.0.0.53") == ["203.0.113.8"]
    assert not list(Path("/etc/systemd/system").glob("onepass-resolver-*"))


def test_a_laptop_without_any_network_asks_for_its_guests_names(running, states, modules, resolved, port):
    """It has no nameserver to lose; and what is as wanted stays so when it goes offline."""
    with resolved("FallbackDNS="):
        has_carrier(modules)
        real = states.dnsmasq_fwd.resolver(**WHERE)
        assert real.result, real.comment
    with resolved("FallbackDNS=198.51.100.8"):
        networks.run("resolvectl", "dns", BRIDGE, GATEWAY)
        networks.run("resolvectl", "domain", BRIDGE, *TOLD["domain"].split())
        again = states.dnsmasq_fwd.resolver(**WHERE)
        assert (again.result, again.changes) == (True, {}), again.comment
        assert states.dnsmasq_fwd.resolver_absent(**WHERE).result


def test_the_unit_alone_tells_systemd_resolved_of_a_bridge(running, states, modules, resolved, port):
    unit = Path("/etc/systemd/system/onepass-resolver-lab@.service")
    one = unit.with_name(f"onepass-resolver-lab@{BRIDGE}.service")
    with resolved("DNS=198.51.100.8"):
        has_carrier(modules)
        assert states.dnsmasq_fwd.resolver(**WHERE).result
        networks.run("resolvectl", "revert", BRIDGE)
        for line in unit.read_text().splitlines():
            if line.startswith("ExecStart="):
                networks.run(*shlex.split(line.removeprefix("ExecStart=").replace("%I", BRIDGE)))
        assert networks.dig("web.lab.example", "127.0.0.53") == ["192.168.150.5"]
        one.symlink_to(unit)
        said = subprocess.run(["systemd-analyze", "verify", "--man=no", one], capture_output=True, text=True).stderr
        one.unlink()
        assert [line for line in said.splitlines() if "onepass" in line and "resolvectl is not exec" not in line] == []
        assert states.dnsmasq_fwd.resolver_absent(**WHERE).result


def test_before_the_first_guest_systemd_resolved_is_told_already(lab, states, modules, resolved, port, backend):
    """It asks nobody on a bridge without a carrier: what is not reached yet is not looked up."""
    assert lab().result
    has_carrier(modules)
    networks.run("ip", "link", "delete", "port0")
    networks.until(lambda: not modules.dnsmasq_host.links()[BRIDGE]["carrier"])
    with resolved("DNS=198.51.100.8"):
        real = states.dnsmasq_fwd.resolver(**WHERE)
        assert real.result, real.comment
        assert states.dnsmasq_fwd.resolver(**WHERE).changes == {}
        networks.run("resolvectl", "revert", BRIDGE)  # an interrupted run, or a restart of the network
        told = {f"{BRIDGE} in systemd-resolved": {"old": {"dns": "", "domain": ""}, "new": TOLD}}
        assert states.dnsmasq_fwd.resolver(**WHERE).changes == told
        assert states.dnsmasq_fwd.resolver(**WHERE).changes == {}
        has_carrier(modules)
        networks.until(lambda: networks.dig("web.lab.example", "127.0.0.53") == ["192.168.150.5"])
        assert states.dnsmasq_fwd.resolver(**WHERE).changes == {}
        assert states.dnsmasq_fwd.resolver_absent(**WHERE).result


@pytest.mark.usefixtures("running")
def test_systemd_resolved_in_charge_is_respected(states, resolved, resolv_conf):
    with resolved("DNS=198.51.100.8"):
        text = resolv_conf.read_text()
        refused = states.dnsmasq_fwd.resolver(**WHERE, way="resolv.conf")
        assert refused.result is False
        assert "resolved is in charge" in refused.comment
        assert states.dnsmasq_fwd.resolver_absent(**WHERE).changes == {}
        assert resolv_conf.read_text() == text


@pytest.mark.usefixtures("running", "resolv_conf")
def test_names_that_this_host_does_not_find_are_a_failure(states):
    """A lookup counts, not the file: here something else answers first."""
    conf = Path("/etc/nsswitch.conf")
    before = conf.read_text()
    conf.write_text(re.sub(r"^hosts:.*$", "hosts: files", before, flags=re.M))
    try:
        ret = states.dnsmasq_fwd.resolver(**WHERE)
        assert ret.result is False
        assert "onepass-test.lab.example to be 192.168.150.1 by resolv.conf" in ret.comment
        assert "this host finds nothing" in ret.comment
    finally:
        conf.write_text(before)
    ret = states.dnsmasq_fwd.resolver(**WHERE)
    assert ret.result, ret.comment
    assert states.dnsmasq_fwd.resolver_absent(**WHERE).result


@pytest.mark.usefixtures("resolv_conf")
def test_a_network_that_does_not_run_is_told(states):
    dry, real = (states.dnsmasq_fwd.resolver(**WHERE, test=test) for test in (True, False))
    assert (dry.result, real.result) == (None, False)
    assert "The dnsmasq at 192.168.150.1 does not know onepass-test.lab.example itself" in real.comment
    assert states.dnsmasq_fwd.resolver_absent(**WHERE).result


WRITERS = [
    (
        "resolvconf",
        "# Dynamic resolv.conf(5) file for glibc resolver(3) generated by resolvconf(8)\n#     DO NOT EDIT\n",
        None,
    ),
    ("resolvconf", "nameserver 10.0.0.1\n", "/run/resolvconf/resolv.conf"),
    ("resolvconf", "# Generated by resolvconf\nnameserver 10.0.0.1\n", None),
    ("netconfig", "### /etc/resolv.conf is a symlink\n### autogenerated by netconfig!\n", "/run/netconfig/resolv.conf"),
    ("dhcpcd", "# Generated by dhcpcd from eth0.dhcp\nnameserver 10.0.0.1\n", None),
    ("dhclient", "; generated by /usr/sbin/dhclient-script\nnameserver 10.0.0.1\n", None),
    ("dhclient", "domain bank.example\nnameserver 10.0.0.1\n", None),
]


@pytest.mark.parametrize("writer, text, target", WRITERS)
def test_whoever_writes_resolv_conf_is_recognised_and_told_of(
    states, resolv_conf, testmode, tmp_path, writer, text, target
):
    with contextlib.ExitStack() as running:
        if text.startswith("domain"):  # a dhclient without a mark of its own
            program = tmp_path / "dhclient"
            shutil.copy(shutil.which("sleep"), program)
            daemon = subprocess.Popen([program, "60"])
            running.callback(daemon.wait)
            running.callback(daemon.kill)
            networks.until(lambda: Path(f"/proc/{daemon.pid}/comm").read_text().strip() == "dhclient")
        if target:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            resolv_conf.unlink()
            resolv_conf.symlink_to(target)
        resolv_conf.write_text(text)
        for way in ("auto", "resolv.conf"):
            ret = states.dnsmasq_fwd.resolver(**WHERE, way=way, test=testmode)
            assert (ret.result, ret.changes) == (False, {})
            assert (
                f"{writer} writes /etc/resolv.conf here and would undo any change: give it 192.168.150.1" in ret.comment
            )
        assert resolv_conf.read_text() == text
