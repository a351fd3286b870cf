"""Networks with names beside what others do: dual stack, shared addresses, the host's own names, kinds of networks that
are not managed. On the same real parts as test_dnsmasq_fwd.py.
"""

import re
from pathlib import Path

import pytest
from onepass_lib.dnsmasq import definition
from salt.exceptions import CommandExecutionError
from test_dnsmasq_fwd import BRIDGE, GATEWAY, LAB, MAC, ask, backend, host, lab, libvirt, running, upstreams, wire

import networks
import tree

__all__ = ["backend", "host", "lab", "libvirt", "running", "upstreams", "wire"]
only_libvirt = pytest.mark.parametrize("backend", ["network"], indirect=True)
RANGE = "<range start='192.168.150.10' end='192.168.150.200'/>"
SIX = (
    "<ip family='ipv6' address='fd00:7::1' prefix='64'><dhcp><range start='fd00:7::100' end='fd00:7::1ff'/>"
    "<host id='0:3:0:1:52:54:0:8e:ab:76' name='n1' ip='fd00:7::10'/>"
    "<host id='0:3:0:1:52:54:0:8e:ab:77' name='n2' ip='fd00:7::11'/></dhcp></ip>"
)
OTHER_MAC = "52:54:00:8e:ab:99"


def start(*inside, head=f"<forward mode='nat'/><bridge name='{BRIDGE}' stp='off'/>"):
    file = Path("/run/lab.xml")
    file.write_text(f"<network><name>lab</name>{head}{''.join(inside)}</network>")
    networks.run("virsh", "-q", "net-define", file)
    networks.run("virsh", "-q", "net-start", "lab", check=False)


def four(*inside):
    return f"<ip address='{GATEWAY}' netmask='255.255.255.0'><dhcp>{RANGE}{''.join(inside)}</dhcp></ip>"


def update(verb, section, xml):
    networks.run("virsh", "-q", "net-update", "lab", verb, section, xml, "--live", "--config")


def dump(*more):
    return networks.run("virsh", "-q", "net-dumpxml", *more, "lab")


def refused(lab, said, **changes):
    """Nothing is changed, neither by a dry run nor by a real one."""
    before = dump(), dump("--inactive"), sorted(Path("/var/lib/libvirt/dnsmasq").glob("lab.servers"))
    for test in (True, False):
        ret = lab(test=test, restart=True, **changes)
        assert (ret.result, ret.changes) == (False, {}), ret.comment
        assert said in ret.comment
    assert (dump(), dump("--inactive"), sorted(Path("/var/lib/libvirt/dnsmasq").glob("lab.servers"))) == before


def converged(lab, **changes):
    """A dry run tells what the real one does, and afterwards nothing is left to do."""
    dry, real = lab(test=True, **changes), lab(**changes)
    assert real.result, real.comment
    assert dry.changes == real.changes
    assert lab(**changes).changes == {}
    return real


# Two families


@only_libvirt
@pytest.mark.parametrize("order", [(SIX, four()), (four(), SIX)], ids=["IPv6 first", "IPv4 first"])
def test_entries_of_ipv4_go_to_ipv4_in_a_network_of_two_families(lab, order):
    start(*order)
    assert lab(restart=True, hosts={}).result
    changes = {"dhcp": {"start": "192.168.150.20", "end": "192.168.150.90"}}
    converged(lab, **changes, hosts={"web": {"address": "192.168.150.5", "mac": MAC}})
    assert ask("web.lab.example") == ["192.168.150.5"]
    converged(lab, **changes, hosts={"web": {"address": "192.168.150.6", "mac": MAC}})
    converged(lab, **changes, hosts={})
    for xml in (dump(), dump("--inactive")):
        assert sorted(re.findall(r"<range start='(\S+)'", xml)) == ["192.168.150.20", "fd00:7::100"]
        assert re.findall(r"<host [^>]*name='(\S+)'", xml) == ["n1", "n2"]


@only_libvirt
def test_a_change_that_libvirt_refuses_halfway_comes_back(lab, running, modules):
    """Somebody reserves the address between the plan and the act."""
    hosts = {"web": {"address": "192.168.150.6", "mac": MAC}}
    change = {**LAB, "hosts": hosts, "dhcp": {"start": "192.168.150.20", "end": "192.168.150.90"}}
    step = next(each for each in modules.dnsmasq_fwd.steps(change) if "reservations" in each["what"])
    update("add", "ip-dhcp-host", f"<host mac='{OTHER_MAC}' ip='192.168.150.6'/>")
    with pytest.raises(CommandExecutionError, match="existing dhcp host entry"):
        modules.dnsmasq_fwd.act(step)
    assert f"<host mac='{MAC}' name='web' ip='192.168.150.5'/>" in dump()
    refused(lab, f"192.168.150.6 of web is reserved for {OTHER_MAC} in lab by somebody else", hosts=hosts)
    update("delete", "ip-dhcp-host", f"<host mac='{OTHER_MAC}' ip='192.168.150.6'/>")
    converged(lab, hosts=hosts)


# Shared addresses


@only_libvirt
def test_a_name_comes_to_an_address_that_others_named_already_and_goes_alone(lab, running):
    update("add", "dns-host", "<host ip='192.168.150.7'><hostname>api</hostname><hostname>API2</hostname></host>")
    converged(lab, hosts={"api-int": {"address": "192.168.150.7"}})
    assert ask("api.lab.example") == ask("api2.lab.example") == ask("api-int.lab.example") == ["192.168.150.7"]
    converged(lab, hosts={"api-int": {"address": "192.168.150.8"}})
    assert (ask("api.lab.example"), ask("api-int.lab.example")) == (["192.168.150.7"], ["192.168.150.8"])
    converged(lab, hosts={"api-int": {"address": "192.168.150.7"}})
    converged(lab, hosts={})
    assert (ask("api.lab.example"), ask("api-int.lab.example")) == (["192.168.150.7"], "NXDOMAIN")
    for xml in (dump(), dump("--inactive")):
        assert re.findall(r"<hostname>(.*)<", xml) == ["api", "API2"]


def test_names_of_ours_may_share_an_address_and_lie_anywhere(lab):
    hosts = {
        "api": {"address": GATEWAY},
        "api-int": {"address": GATEWAY},
        "registry": {"address": "10.0.0.5"},
        "web": {"address": "192.168.150.5", "mac": MAC},
        "www": {"address": "192.168.150.5"},
    }
    converged(lab, hosts=hosts, domain="home.arpa", local_only=True)
    assert {name: ask(f"{name}.home.arpa") for name in hosts} == {n: [h["address"]] for n, h in hosts.items()}


@only_libvirt
def test_an_ipv6_address_that_others_gave_our_name_stays(lab, running):
    update("add", "dns-host", "<host ip='fd00::9'><hostname>web</hostname></host>")
    assert lab().changes == {}
    converged(lab, hosts={"web": {"address": "192.168.150.6", "mac": MAC}})
    assert (ask("web.lab.example"), ask("web.lab.example", "AAAA")) == (["192.168.150.6"], ["fd00::9"])


@only_libvirt
def test_a_name_that_others_gave_a_second_address_has_one_again(lab, running):
    update("add", "dns-host", "<host ip='192.168.150.9'><hostname>web</hostname></host>")
    assert ask("web.lab.example") == ["192.168.150.5", "192.168.150.9"]
    converged(lab)
    assert ask("web.lab.example") == ["192.168.150.5"]


# The host's own names


def test_a_guest_never_gets_the_hosts_own_hosts_file(lab, modules, backend):
    own = Path("/etc/hosts")
    before = own.read_text()
    own.write_text(f"{before}127.0.1.1 laptop.bank.example laptop\n192.168.150.77 till-9\n0.0.0.0 www.example.org\n")
    try:
        converged(lab, hosts={"till-9": {"address": "192.168.150.9"}})
        assert ask("till-9.lab.example") == ask("till-9") == ["192.168.150.9"]
        assert ask("laptop.lab.example") == ask("77.150.168.192.in-addr.arpa", "PTR") == "NXDOMAIN"
        assert ask("laptop.bank.example") == ["203.0.113.8"]
        assert ask("www.example.org") == ["203.0.113.9"]
    finally:
        own.write_text(before)


def test_an_answer_that_is_too_much_is_told(lab, modules, backend):
    assert lab(options=["host-record=web.lab.example,192.168.150.77"]).result
    told = modules.dnsmasq_fwd.check("lab", backend)["name web"]
    assert told["state"] == "broken"
    assert "is answered with ['192.168.150.5', '192.168.150.77'], not 192.168.150.5" in told["evidence"]


# What libvirt or dnsmasq would refuse, and what is somebody else's


@only_libvirt
def test_a_network_whose_dns_is_off_gets_it(lab):
    start("<dns enable='no'/>", four())
    converged(lab, restart=True)
    assert ask("web.lab.example") == ["192.168.150.5"]


@only_libvirt
@pytest.mark.parametrize("mode", ["bridge", "route", "open"])
def test_a_network_of_another_kind_stays_as_it_is(lab, mode):
    networks.run("ip", "link", "add", "br0", "type", "bridge")
    try:
        bridged = "<forward mode='bridge'/><bridge name='br0'/>"
        routed = f"<forward mode='{mode}'/><bridge name='{BRIDGE}'/>"
        start(*([] if mode == "bridge" else [four()]), head=bridged if mode == "bridge" else routed)
        refused(lab, f"lab is a network of the kind {mode}, which is not managed")
    finally:
        networks.run("ip", "link", "delete", "br0")


@only_libvirt
def test_a_network_with_a_second_ipv4_address_stays_as_it_is(lab):
    start("<ip address='10.77.0.1' prefix='24'/>", four())
    refused(lab, "lab has several IPv4 addresses (10.77.0.1/24, 192.168.150.1/24)")


@only_libvirt
def test_an_address_that_others_reserved_is_refused(lab):
    start(four(f"<host mac='{OTHER_MAC}' ip='192.168.150.5'/>"))
    refused(lab, f"192.168.150.5 of web is reserved for {OTHER_MAC}")


@pytest.mark.usefixtures("libvirt")
def test_what_libvirts_parser_refuses_is_told_by_the_dry_run(modules, monkeypatch):
    whole = modules.dnsmasq_model.complete(LAB)
    xml = definition.xml(whole).replace("<dns>", "<dns enable='no'>")
    for text, said in (
        (xml, "XML error: Extra data in disabled network 'lab'"),
        (xml.replace(" enable='no'", ""), None),
    ):
        monkeypatch.setattr(definition, "xml", lambda *_, text=text: text)
        module = tree.load("_modules/dnsmasq_libvirt.py", __salt__=dict(modules))
        assert module.observe(whole)["unfit"] == said


def test_options_are_tried_among_those_that_stand_beside_them(lab, running, backend):
    option = {"network": "dhcp-lease-max=500", "bridge": "cache-size=1"}[backend]
    more = ["no-ping", option] if backend == "network" else ["no-ping", option, "cache-size=2"]
    for test in (True, False):
        ret = lab(test=test, options=more)
        assert (ret.result, ret.changes) == (False, {}), ret.comment
    assert ask("web.lab.example") == ["192.168.150.5"]
