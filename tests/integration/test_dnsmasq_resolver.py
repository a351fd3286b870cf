"""The host's own resolver: resolv.conf, systemd-resolved, nscd. On the same real parts as test_dnsmasq_fwd.py."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from test_dnsmasq_fwd import BRIDGE, GATEWAY, backend, host, lab, libvirt, running, upstreams, wire

import neighbours
import networks
import tree

__all__ = ["backend", "host", "lab", "libvirt", "running", "upstreams", "wire"]
RESOLVED = tree.ROOT / ".venv/resolved"


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


@pytest.fixture
def nscd(monkeypatch):
    """A cache of lookups that failed too, for 20 s."""
    place = neighbours.PACKAGES / "usr/sbin"
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    Path("/run/nscd").mkdir()
    words = ["nscd", "--foreground", f"--config-file={neighbours.PACKAGES / 'etc/nscd.conf'}"]
    with neighbours.started(words, Path("/run/nscd/socket").exists):
        yield
    shutil.rmtree("/run/nscd")


@pytest.mark.usefixtures("running", "nscd", "port")
def test_what_nscd_remembers_of_before_is_not_waited_for(states, modules, wire, resolved):
    """It looks at resolv.conf itself, which stays as it is with systemd-resolved."""
    wire.start(7, "--local=/example/")
    with resolved("DNS=198.51.100.7"):
        has_carrier(modules)
        dry, real = (states.dnsmasq_fwd.resolver(**WHERE, test=test) for test in (True, False))
        assert (real.result, real.changes) == (True, dry.changes), real.comment
        assert states.dnsmasq_fwd.resolver(**WHERE).changes == {}
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
