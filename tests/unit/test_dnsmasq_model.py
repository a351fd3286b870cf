"""Networks with names: all that can be wrong with one, and the texts that a good one becomes."""

import re
from pathlib import Path

import pytest
import yaml
from onepass_lib.dnsmasq import definition, desired, texts

from tree import load

GOOD = {
    "name": "lab",
    "domain": "Lab.example",
    "address": "192.168.150.1/24",
    "dhcp": {"start": "192.168.150.10", "end": "192.168.150.200"},
    "hosts": {"web.lab.example": {"address": "192.168.150.5", "mac": "52:54:00:BF:57:BB"}},
    "forwarders": [{"address": "9.9.9.9"}, {"address": "10.0.0.53", "port": 5353, "domain": "bank.example"}],
    "options": ["no-ping"],
}
CASES = yaml.safe_load((Path(__file__).parent / "cases" / "bad_networks.yaml").read_text())
OF_ANY_KIND = [None, True, -0.5, "", "x", [], [None], ["x"], [{}], [[]], {}, {"x": None}, {5: 5}, {"x": {"y": [5]}}]


def changed(change):
    hosts = {"web": {"address": "192.168.150.5", "mac": "52:54:00:bf:57:bb"}}
    whole = {**GOOD, "hosts": hosts, **change}
    return {key: value for key, value in whole.items() if value != "gone"}


def said(found):
    return [": ".join(filter(None, [each["path"], f"{each['fault']}; {each['remedy']}"])) for each in found]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["said"].splitlines()[0])
def test_everything_that_is_wrong_is_said_at_once(modules, case):
    lines, begins = said(modules.dnsmasq_fwd.faults(changed(case["change"]))), case["said"].splitlines()
    assert len(lines) == len(begins), lines
    for line, begin in zip(lines, begins, strict=True):
        assert repr(line)[1:-1].startswith(repr(begin)[1:-1]) or line.startswith(begin)


def test_the_table_is_long_enough_and_the_good_one_is_good(modules):
    assert len(CASES) >= 40
    assert modules.dnsmasq_fwd.faults(GOOD) == []
    assert modules.dnsmasq_fwd.faults(changed({})) == []


@pytest.mark.parametrize("key", [*GOOD, "backend", "bridge", "local_only", "nat", "resolver"])
def test_no_value_makes_it_raise(modules, key):
    for value in OF_ANY_KIND:
        modules.dnsmasq_fwd.faults({**GOOD, key: value})


SOUND = [
    {"domain": "home.arpa"},
    {"domain": "lab.home.arpa"},
    {"domain": "internal"},
    {"hosts": {"api": {"address": "192.168.150.1"}, "registry": {"address": "10.0.0.5"}}},
    {"hosts": {"metadata": {"address": "169.254.169.254"}}},
    {"hosts": {name: {"address": "192.168.150.5"} for name in ("api", "api-int")}},
    {"hosts": {"web": {"address": "192.168.150.5", "mac": "52:54:00:bf:57:bb"}, "w": {"address": "192.168.150.5"}}},
    {"forwarders": [{"address": "127.0.0.1"}]},
    {"forwarders": [{"address": "fe80::1%eth0"}]},
    {"options": ["dhcp-lease-max=500", "dhcp-script=/bin/true"], "backend": "bridge"},
    {"options": ["resolv-file=/etc/other.conf"], "forwarders": []},
]


@pytest.mark.parametrize("change", SOUND, ids=str)
def test_what_dnsmasq_serves_is_not_refused(modules, change):
    assert modules.dnsmasq_fwd.faults({**GOOD, **change}) == []


def test_no_network_makes_it_raise(modules):
    for value in OF_ANY_KIND:
        assert modules.dnsmasq_fwd.faults(value)


@pytest.mark.parametrize("state", ["network", "bridge"])
def test_a_state_says_all_of_it_too(states, testmode, state):
    arguments = {**GOOD, "domain": "my lab", "forwarders": [{"address": "192.168.150.1"}], "nat": 5}
    ret = getattr(states.dnsmasq_fwd, state)(**arguments, test=testmode)
    assert (ret.result, ret.changes) == (False, {})
    assert [line.partition(": is ")[0] for line in ret.comment.splitlines()] == [
        "Network lab: domain",
        "Network lab: forwarders:0:address",
        "Network lab: nat",
    ]


@pytest.mark.parametrize(
    "function, arguments, wrong",
    [
        ("network", {"domain": "lab.example", "address": "10.0.0.1/24", "restart": "yes"}, ["restart"]),
        ("resolver", {"domain": "my lab", "address": "10.0.0.1/24", "way": "dns"}, ["domain", "way"]),
        ("resolver_absent", {"domain": "my lab", "address": 5}, ["address", "domain"]),
        ("absent", {"backend": "libvirt", "force": 1}, ["backend", "force"]),
        ("absent", {"name": "../../etc", "force": 1}, ["name", "force"]),
    ],
)
def test_the_other_arguments_are_judged(states, testmode, function, arguments, wrong):
    ret = getattr(states.dnsmasq_fwd, function)(**{"name": "lab", **arguments}, test=testmode)
    assert (ret.result, ret.changes) == (False, {})
    assert [line.split(": ")[1] for line in ret.comment.splitlines()] == wrong


@pytest.mark.parametrize("name", ["", [], {"x": 5}, "é", "../lab"])
def test_no_name_is_taken_for_another(modules, name):
    for function in ("status", "forwarders", "hosts", "check", "absence"):
        with pytest.raises(Exception, match="network:? .*\n  name: is "):
            modules[f"dnsmasq_fwd.{function}"](name, "bridge")


@pytest.mark.parametrize("value", ["dns", 5, [], {}])
def test_a_backend_and_a_way_are_one_of_some(modules, value):
    with pytest.raises(Exception, match="^backend is .*; network or bridge"):
        modules.dnsmasq_fwd.absence("lab", value)
    with pytest.raises(Exception, match="^way is .*; auto, resolved, NetworkManager, resolv.conf or nss"):
        modules.dnsmasq_fwd.resolver(GOOD, value)


# What a good one becomes


@pytest.fixture
def lab():
    return desired.complete(GOOD)


def test_values_are_in_normal_form(lab):
    assert (lab["domain"], lab["gateway"], lab["network"]) == ("lab.example", "192.168.150.1", "192.168.150.0/24")
    assert lab["hosts"] == {"web": {"address": "192.168.150.5", "mac": "52:54:00:bf:57:bb"}}
    assert lab["forwarders"][0] == {"address": "9.9.9.9", "port": 53, "domain": None}


@pytest.mark.parametrize(
    "address, reverse",
    [("10.1.2.3/8", "10.in-addr.arpa"), ("10.1.2.3/16", "1.10.in-addr.arpa"), ("10.1.2.3/20", None)],
)
def test_the_reverse_zone_is_local_where_it_is_one(address, reverse):
    lab = desired.complete({"name": "lab", "domain": "lab.example", "address": address})
    assert lab["reverse"] == reverse
    assert definition.frame(lab)["local_reverse"] is bool(reverse)


def test_the_mark_of_a_generation_follows_from_all_that_is_read_again(lab):
    made = [
        texts.servers(lab),
        texts.servers({**lab, "forwarders": lab["forwarders"][::-1]}),
        texts.servers(lab, "192.168.150.5 web\n"),
    ]
    marks = [texts.marked(text) for text in made]
    assert len(set(marks)) == 3
    assert all(re.fullmatch(r"127\.\d+\.\d+\.\d+#\d+", mark) for mark in marks)
    assert texts.forwarders(made[0]) == ["9.9.9.9#53", "10.0.0.53#5353 for bank.example"]


def test_xml_reads_back_as_what_it_was_made_from(lab):
    read = definition.read(definition.xml(lab))
    assert read["frame"] == definition.frame(lab)
    assert read["entries"] == definition.entries(lab)
    assert read["own"] == ["web"]


OTHERS = """
<network ipv6='yes'>
  <name>lab</name><uuid>6c7be0e4-8c7d-4c7c-9a5e-2f1a1c0f3c55</uuid>
  <forward mode='nat'><nat><port start='1024' end='65535'/></nat></forward>
  <bridge name='virbr7' stp='on' delay='0'/><mac address='52:54:00:aa:bb:cc'/>
  <domain name='old.example'/>
  <dns><forwarder addr='8.8.8.8'/><txt name='x' value='y'/>
    <host ip='192.168.150.77'><hostname>clone</hostname><hostname>web</hostname></host></dns>
  <ip address='192.168.150.1' netmask='255.255.255.0'>
    <tftp root='/srv/tftp'/>
    <dhcp><range start='192.168.150.2' end='192.168.150.254'/>
      <host mac='52:54:00:00:00:77' name='clone' ip='192.168.150.77'/></dhcp></ip>
  <ip family='ipv6' address='2001:db8::1' prefix='64'/>
  <portgroup name='slow'/>
</network>
"""


def test_what_others_put_into_a_network_stays(lab):
    xml = definition.xml(lab, OTHERS)
    for kept in (
        "6c7be0e4",
        "1024",
        "virbr7",
        'stp="on"',
        "52:54:00:aa:bb:cc",
        "/srv/tftp",
        "2001:db8::1",
        "slow",
        "txt",
    ):
        assert kept in xml
    assert "8.8.8.8" not in xml
    read = definition.read(xml)
    assert read["entries"]["names"] == {"clone": ["192.168.150.77"], "web": ["192.168.150.5"]}
    assert set(read["entries"]["reservations"]) == {"52:54:00:00:00:77", "52:54:00:bf:57:bb"}
    assert read["entries"]["ranges"] == [["192.168.150.10", "192.168.150.200", 3600]]
    assert definition.read(definition.xml(lab, xml)) == read


def test_a_name_of_ours_goes_when_it_is_not_wanted_any_more(lab):
    before = definition.xml(lab, OTHERS)
    after = definition.read(definition.xml({**lab, "hosts": {}}, before))
    assert after["entries"]["names"] == {"clone": ["192.168.150.77"]}
    assert set(after["entries"]["reservations"]) == {"52:54:00:00:00:77"}


def test_a_reservation_without_a_name_is_an_entry_too():
    ((mac, each),) = definition.read(OTHERS.replace(" name='clone'", ""))["entries"]["reservations"].items()
    xml = definition.host_xml("reservations", mac, *each)
    assert xml == '<host mac="52:54:00:00:00:77" ip="192.168.150.77" />'


SHARED = """
<network><name>lab</name><forward mode='nat'/><bridge name='virbr7'/>
  <metadata><o:own xmlns:o='urn:onepass:dnsmasq_fwd'>["web"]</o:own></metadata>
  <dns enable='no'>
    <host ip='192.168.150.5'><hostname>api</hostname><hostname>web</hostname></host>
    <host ip='fd00::9'><hostname>web</hostname></host></dns>
  <ip family='ipv6' address='fd00:7::1' prefix='64'><dhcp><range start='fd00:7::100' end='fd00:7::1ff'/>
    <host id='0:3:0:1:52:54:0:8e:ab:76' name='n1' ip='fd00:7::10'/></dhcp></ip>
  <ip address='192.168.150.1' netmask='255.255.255.0'><dhcp>
    <host name='printer' ip='192.168.150.9'/><host name='scanner' ip='192.168.150.8'/></dhcp></ip>
</network>
"""


@pytest.mark.parametrize(
    "hosts, names",
    [
        ({}, {"api": ["192.168.150.5"]}),
        ({"web": {"address": "192.168.150.6"}}, {"api": ["192.168.150.5"], "web": ["192.168.150.6"]}),
        (
            {"web": {"address": "192.168.150.5"}, "www": {"address": "192.168.150.5"}},
            {name: ["192.168.150.5"] for name in ("api", "web", "www")},
        ),
    ],
)
def test_names_that_share_an_address_are_one_element_and_others_keep_theirs(hosts, names):
    xml = definition.xml(desired.complete({**GOOD, "hosts": hosts}), SHARED)
    read = definition.read(xml)
    assert read["entries"]["names"] == names
    assert set(read["entries"]["reservations"]) == {"printer", "scanner"}
    assert read["frame"]["dns"] is True
    assert xml.count('ip="192.168.150.5"') == 1
    assert definition.names_of(xml, "fd00::9") == ["web"]
    for kept in ("fd00:7::100", "n1", "fd00:7::10"):
        assert kept in xml
    assert definition.place(xml) == 1


@pytest.mark.parametrize("nat, forward", [(True, "nat"), (False, None)])
def test_without_nat_there_is_no_way_out(nat, forward):
    lab = desired.complete({**GOOD, "nat": nat, "backend": "bridge", "bridge": "virbr7"})
    assert definition.frame(lab)["forward"] == forward
    files = texts.files(lab)
    assert any(path.endswith("nat.nft") for path in files) is nat
    unit = next(text for path, text in files.items() if path.endswith(".service"))
    assert ("nft -f" in unit) is nat


# What is planned, from what is observed


def planned_by(modules):
    """The plan is pure: it needs no binding of libvirt's."""
    return load("_modules/dnsmasq_libvirt.py", __salt__=modules).plan


def observed(given, **more):
    """A running libvirt network as this model makes it."""
    whole = desired.complete(given)
    xml = definition.xml({**whole, "bridge": "virbr7"})
    read = definition.read(xml)
    seen = {
        "xml": xml,
        "defined": read,
        "live": read,
        "unfit": None,
        "others": "",
        "autostart": True,
        "answers": True,
        "served": True,
    }
    return {**seen, "servers": texts.servers(whole), "detached": {}, "ports": ["vnet0"], **more}


PLANS = [
    ({}, []),
    ({"forwarders": [{"address": "1.1.1.1"}]}, [("change", "forwarders of lab", "nothing")]),
    (
        {"hosts": {"db": {"address": "192.168.150.6"}}},
        [
            ("change", "reservations in lab", "nothing"),
            ("add", "name db in lab", "nothing"),
            ("remove", "name web in lab", "nothing"),
            ("change", "definition of lab", "nothing"),
        ],
    ),
    (
        {"dhcp": {"start": "192.168.150.10", "end": "192.168.150.99"}},
        [("change", "dhcp range of lab", "a restart of dnsmasq"), ("change", "definition of lab", "nothing")],
    ),
    (
        {"domain": "other.example", "hosts": {}},
        [("change", "definition of lab", "nothing"), ("restart", "network lab", "a restart of the network")],
    ),
    (
        {"options": [], "forwarders": []},
        [
            ("change", "forwarders of lab", "nothing"),
            ("change", "definition of lab", "nothing"),
            ("restart", "network lab", "a restart of the network"),
        ],
    ),
]


@pytest.mark.parametrize("change, steps", PLANS, ids=lambda value: str(value)[:40])
def test_a_plan_says_what_each_step_needs(modules, change, steps):
    wanted = desired.complete({**GOOD, **change})
    planned = planned_by(modules)(wanted, observed(GOOD), restart=True)
    assert [(step["do"], step["what"], step["needs"]) for step in planned] == steps


def test_what_is_given_up_goes_last_where_libvirt_lets_it(modules):
    hosts = {"web": {"address": "192.168.150.6", "mac": "52:54:00:bf:57:bb"}}
    dhcp = {"start": "192.168.150.10", "end": "192.168.150.99"}
    wanted = desired.complete({**GOOD, "hosts": hosts, "dhcp": dhcp})
    planned = planned_by(modules)(wanted, observed(GOOD))
    verbs = {step["what"]: [each[0] for each in step["updates"]] for step in planned if "updates" in step}
    assert verbs == {
        "reservations in lab": ["remove", "add"],  # an address is reserved once
        "name web in lab": ["add", "remove"],
        "dhcp range of lab": ["add", "remove"],
    }


OTHER_KINDS = [
    ("<forward mode='bridge'/><bridge name='br0'/>", "is a network of the kind bridge"),
    ("<forward mode='bridge'><interface dev='eth0'/></forward>", "is a network of the kind bridge"),
    ("<forward mode='hostdev' managed='yes'><pf dev='eth3'/></forward>", "is a network of the kind hostdev"),
    ("<forward mode='route'/><ip address='192.168.150.1' prefix='24'/>", "is a network of the kind route"),
    ("<forward mode='open'/><ip address='192.168.150.1' prefix='24'/>", "is a network of the kind open"),
    ("<forward mode='private'><interface dev='eth0'/></forward>", "is a network of the kind private"),
    ("<forward mode='vepa'><interface dev='eth0'/></forward>", "is a network of the kind vepa"),
    ("<forward mode='passthrough'><interface dev='eth0'/></forward>", "is a network of the kind passthrough"),
    (
        "<forward mode='nat'/><ip address='10.0.0.1' prefix='24'/><ip address='192.168.150.1' prefix='24'/>",
        r"has several IPv4 addresses \(10.0.0.1/24, 192.168.150.1/24\)",
    ),
    (
        "<forward/><ip address='192.168.150.1' prefix='24'><dhcp><host mac='52:54:00:00:00:99' ip='192.168.150.5'/>"
        "</dhcp></ip>",
        "192.168.150.5 of web is reserved for 52:54:00:00:00:99 in lab by somebody else",
    ),
    (
        "<forward/><ip address='192.168.150.1' prefix='24'><dhcp><host name='printer' ip='192.168.150.5'/></dhcp></ip>",
        "192.168.150.5 of web is reserved for printer in lab by somebody else",
    ),
]


@pytest.mark.parametrize("inside, said", OTHER_KINDS, ids=lambda value: value[:60])
@pytest.mark.parametrize("place", ["defined", "live"])
def test_a_network_of_another_kind_is_refused(modules, inside, said, place):
    read = definition.read(f"<network><name>lab</name>{inside}</network>")
    seen = observed(GOOD, **{place: read})
    with pytest.raises(Exception, match=said):
        planned_by(modules)(desired.complete(GOOD), seen, restart=True)


def test_what_libvirts_parser_refuses_is_refused_before_anything_is_written(modules):
    seen = observed(GOOD, unfit="XML error: no")
    with pytest.raises(Exception, match="libvirt does not take the definition of lab: XML error: no"):
        planned_by(modules)(desired.complete(GOOD), seen)


def test_a_restart_is_refused_while_guests_are_there(modules):
    wanted = desired.complete({**GOOD, "domain": "other.example", "hosts": {}})
    with pytest.raises(
        Exception, match=r"vnet0 lose their link.*domain: 'lab.example', not 'other.example'.*restart: T"
    ):
        planned_by(modules)(wanted, observed(GOOD))
    planned = planned_by(modules)(wanted, observed(GOOD, ports=[]))
    assert "restart" in [step["do"] for step in planned]


def test_a_tap_that_is_off_the_bridge_is_attached(modules):
    wanted = desired.complete(GOOD)
    for live in ({}, {"live": None, "served": False}):
        seen = observed(GOOD, detached={"vnet3": "vm1"}, **live)
        step = planned_by(modules)(wanted, seen)[-1]
        assert (step["do"], step["what"], step["new"]) == ("attach", "vnet3 of vm1", "virbr7")


def test_a_network_whose_dnsmasq_does_not_answer_is_restarted(modules):
    seen, wanted = observed(GOOD, answers=False, served=False), desired.complete(GOOD)
    with pytest.raises(Exception, match="dnsmasq: 'does not answer', not 'running'"):
        planned_by(modules)(wanted, seen)
    (step,) = planned_by(modules)(wanted, seen, restart=True)
    assert (step["do"], step["old"]) == ("restart", {"dnsmasq": "does not answer"})


def test_without_libvirts_binding_the_state_says_what_to_install(modules, testmode):
    salt = {key: value for key, value in dict(modules).items() if not key.startswith("dnsmasq_libvirt.")}
    module = load("_modules/dnsmasq_fwd.py", __salt__=salt)
    salt = {**salt, "dnsmasq_fwd.steps": module.steps}
    state = load("_states/dnsmasq_fwd.py", __salt__=salt, __opts__={"test": testmode})
    ret = state.network(**GOOD)
    assert (ret["result"], ret["changes"]) == (False, {})
    assert "salt-pip install libvirt-python" in ret["comment"]


# The host's resolver


RESOLV_CONF = (
    "# by hand\nsearch bank.example\nnameserver 10.0.0.53\nnameserver 10.0.0.54\nnameserver 10.0.0.55\noptions edns0\n"
)


def made(modules, way, there):
    return modules.dnsmasq_resolver.texts(way, "lab", "lab.example", "192.168.150.1", "192.168.150.0/24", there)


def test_resolv_conf_asks_the_network_first_and_keeps_the_rest(modules):
    wanted = made(modules, "resolv.conf", {"/etc/resolv.conf": RESOLV_CONF})["wanted"]["/etc/resolv.conf"]
    assert wanted.splitlines() == [
        "# by hand",
        "search lab.example bank.example",
        "nameserver 192.168.150.1",
        "nameserver 10.0.0.53",
        "nameserver 10.0.0.54",
        "nameserver 10.0.0.55",
        "options edns0",
    ]
    again = made(modules, "resolv.conf", {"/etc/resolv.conf": wanted})
    assert again["wanted"]["/etc/resolv.conf"] == wanted
    without = again["without"]["/etc/resolv.conf"]
    assert sorted(without.splitlines()) == sorted(RESOLV_CONF.splitlines())


@pytest.mark.parametrize(
    "text",
    [
        "# by hand\nsearch lab.example\nnameserver 10.0.0.53\n# last\n",
        "search  bank.example lab.example\nnameserver\t10.0.0.53",
        "",
    ],
)
def test_a_resolv_conf_with_nothing_of_ours_stays_as_it_is(modules, text):
    assert made(modules, "resolv.conf", {"/etc/resolv.conf": text})["without"]["/etc/resolv.conf"] == text


def test_of_resolv_conf_our_own_lines_go_from_their_places(modules):
    text = "nameserver 192.168.150.1\n# by hand\nsearch bank.example lab.example\n# last\nnameserver 10.0.0.53\n"
    without = made(modules, "resolv.conf", {"/etc/resolv.conf": text})["without"]["/etc/resolv.conf"]
    assert without == "# by hand\nsearch bank.example\n# last\nnameserver 10.0.0.53\n"


@pytest.mark.parametrize(
    "last", ["mdns4_minimal [NOTFOUND=return] {}dns", "myhostname {}resolve [!UNAVAIL=return] dns"]
)
def test_nsswitch_asks_libvirt_before_dns(modules, last):
    """And before systemd-resolved, where that is asked: nothing after it is."""
    text = f"passwd:         files\nhosts:          files {last.format('')}\n"
    wanted = made(modules, "nss", {"/etc/nsswitch.conf": text})["wanted"]["/etc/nsswitch.conf"]
    assert f"hosts:          files {last.format('libvirt libvirt_guest ')}\n" in wanted
    again = made(modules, "nss", {"/etc/nsswitch.conf": wanted})
    assert again["wanted"]["/etc/nsswitch.conf"] == wanted
    assert again["without"]["/etc/nsswitch.conf"] == text


def test_resolved_and_networkmanager_get_a_file_each(modules):
    ((path, text),) = made(modules, "resolved", {})["wanted"].items()
    assert path == "/etc/systemd/system/onepass-resolver-lab@.service"
    for line in ("dns %I 192.168.150.1", "domain %I lab.example ~150.168.192.in-addr.arpa", "default-route %I no"):
        assert f"ExecStart=resolvectl {line}\n" in text
    texts = made(modules, "NetworkManager", {})["wanted"]
    assert "server=/lab.example/192.168.150.1" in texts["/etc/NetworkManager/dnsmasq.d/onepass-lab.conf"]
    assert "dns=dnsmasq" in texts["/etc/NetworkManager/conf.d/onepass-dnsmasq.conf"]


def test_systemd_is_told_of_a_device_in_its_own_spelling_and_of_no_other(tmp_path):
    for device in ("virbr1", "br\\x2dlab"):
        wants = tmp_path / f"sys-subsystem-net-devices-{device}.device.wants"
        wants.mkdir()
        (wants / f"onepass-resolver-lab@{device}.service").touch()
    ran = []
    salt = {
        "onepass_host.run": ran.append,
        "onepass_host.has_systemd": lambda: True,
        "dnsmasq_host.links": lambda: {"br-lab": {"addresses": ["192.168.150.1/24"]}},
    }
    module = load("_modules/dnsmasq_resolver.py", __salt__=salt)
    module.UNITS, module.UDEV = tmp_path, tmp_path
    module.act({"name": "lab", "address": "192.168.150.1", "way": "resolved", "path": None, "sought": None})
    unit = "onepass-resolver-lab@br\\x2dlab.service"
    assert ran == [
        ["systemctl", *words]
        for words in (
            ["daemon-reload"],
            ["disable", "--now", "onepass-resolver-lab@virbr1.service"],
            ["enable", unit],
            ["restart", unit],
        )
    ]


# The branch's pillar


@pytest.mark.parametrize(
    "given, states",
    [
        ({}, ["pkg.installed", "service.running", "dnsmasq_fwd.network"]),
        ({"backend": "bridge"}, ["pkg.installed", "dnsmasq_fwd.bridge"]),
        ({"backend": "bridge", "resolver": "auto"}, ["pkg.installed", "dnsmasq_fwd.bridge", "dnsmasq_fwd.resolver"]),
    ],
)
def test_the_sls_follows_the_pillar(modules, pillar, given, states):
    network = {**GOOD, **given}
    pillar({"branch": {"dns": network}})
    chunks = modules.state.show_low_sls("branch.dns")
    assert [f"{chunk['state']}.{chunk['fun']}" for chunk in chunks] == ["onepass.pillar_valid", *states]
    state = next(chunk for chunk in chunks if chunk["__id__"] == "branch-dns-network")
    passed = {key: state[key] for key in GOOD}
    assert passed == GOOD
    assert modules.dnsmasq_fwd.render() == modules.dnsmasq_fwd.render(network)


def test_without_a_network_in_the_pillar_the_sls_is_empty(modules, pillar):
    pillar({"branch": {"name": "rosario"}})
    assert modules.state.show_low_sls("branch.dns") == []
    assert modules.dnsmasq_fwd.settings() is None


def test_a_bad_network_in_the_pillar_is_refused_by_a_state_with_all_its_faults(modules, states, pillar):
    pillar({"branch": {"dns": {**GOOD, "domain": "my lab", "nat": "no"}}})
    assert modules.dnsmasq_fwd.settings() == {}
    assert list(modules.state.show_sls("branch.dns")) == ["branch-dns-pillar"]
    ret = states.onepass.pillar_valid(name="branch:dns")
    assert ret.result is False
    assert re.match(r"branch:dns pillar: 2 faults\n  branch:dns:domain: .*\n  branch:dns:nat: ", ret.comment)
