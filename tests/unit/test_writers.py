"""Files of another syntax: what the schema accepts, the program that reads the file takes, and reads the same in it."""

import ipaddress
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import dns.resolver
import jinja2
import pytest
import salt.serializers.yaml
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from onepass_lib.bridge_nat import boot
from onepass_lib.bridge_nat import desired as rules
from onepass_lib.core.parts import DEVICE, END, LABEL
from onepass_lib.dnsmasq import definition, desired, refuse, texts
from onepass_lib.mongo.schema import PROGRAMS
from salt.utils.path import which
from test_branch_pillar import SALT

import tree

DOMAIN = tree.load("_modules/libvirt_xml.py", __salt__=tree.functions("libvirt_forms"))
IDENTITY = tree.load("_modules/libvirt_identity.py", __salt__={})
RESOLVER = tree.load("_modules/dnsmasq_resolver.py", __salt__={})
UNIT = jinja2.Template((tree.ROOT / "salt/mongodb/files/mongodb.service").read_text(), keep_trailing_newline=True)
few = settings(
    max_examples=3,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def fitting(pattern):
    return st.from_regex(f"^(?:{pattern})$", fullmatch=True, alphabet=st.characters(codec="ascii"))


def needs(program):
    return pytest.mark.skipif(not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"), reason=f"no {program}")


def said(*words, stdin=None):
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


names = st.lists(fitting(LABEL), min_size=1, max_size=3).map(".".join).filter(lambda name: len(name) < 200)
macs = st.integers(0, 2**40 - 1).map(lambda number: ":".join(re.findall("..", f"52{number:010x}")))
hosts = st.fixed_dictionaries(
    {"address": st.integers(10, 99).map(lambda n: f"192.168.150.{n}")}, optional={"mac": macs}
)
forwarders = st.fixed_dictionaries(
    {"address": st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))},
    optional={"port": st.integers(1, 65535), "domain": names},
)
networks = st.fixed_dictionaries(
    {
        "name": fitting(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,49}"),
        "bridge": fitting(DEVICE),
        "domain": names,
        "address": st.just("192.168.150.1/24"),
        "hosts": st.dictionaries(names, hosts, max_size=4),
        "forwarders": st.lists(forwarders, max_size=3),
        "nat": st.booleans(),
        "local_only": st.booleans(),
        "dhcp": st.one_of(
            st.none(), st.just({"start": "192.168.150.100", "end": "192.168.150.199", "lease": "999999d"})
        ),
    }
).filter(lambda network: not refuse.faults(network))
many = st.lists(networks, min_size=6, max_size=6).map(lambda each: [desired.complete(network) for network in each])


@needs("dnsmasq")
@few
@given(complete=many)
def test_dnsmasq_takes_the_files_of_a_network(complete):
    for network in complete:
        files = texts.files(network)
        [config] = [text for path, text in files.items() if path.endswith("/dnsmasq.conf")]
        [servers] = [text for path, text in files.items() if path.endswith("/servers")]
        lines = [line for line in config.splitlines() if not line.startswith("servers-file=")]
        code, words = said("dnsmasq", "--test", "--conf-file=-", stdin="\n".join([*lines, *servers.splitlines()]))
        assert code == 0, f"{words}: {network}"
        told = [each.split("/")[-1].split("#")[0] for each in texts.forwarders(servers)]
        assert len(told) == len(network["forwarders"])
        [names_file] = [text for path, text in files.items() if path.endswith("/addnhosts")]
        assert [line.split() for line in names_file.splitlines()] == [
            [host["address"], name] for name, host in network["hosts"].items()
        ]


@needs("nft")
@few
@given(complete=many)
def test_nft_takes_the_way_out_and_each_network_has_its_own_table(complete):
    tables = {network["name"]: texts.nat(network) for network in complete}
    code, words = said("unshare", "-rn", "nft", "-f", "-", stdin="".join(tables.values()))
    if "Operation not permitted" in words:
        pytest.skip("no namespace can be made here")
    assert code == 0, words
    assert len(set(re.findall(r"^table ip (\S+)", "".join(tables.values()), re.M))) == len(tables)


@needs("systemd-analyze")
@few
@given(complete=many, programs=st.lists(fitting(PROGRAMS[1:].removesuffix(END)), min_size=6, max_size=6))
def test_systemd_takes_the_units_and_runs_the_program_that_is_meant(tmp_path_factory, complete, programs):
    root, meant = tmp_path_factory.mktemp("units"), {}
    for number, (network, directory) in enumerate(zip(complete, programs, strict=True)):
        program = f"{directory.rstrip('/')}/mongod"
        meant[f"mongodb-{number}.service"] = program
        (root / f"mongodb-{number}.service").write_text(UNIT.render(what="x", program=program, config="/etc/x.conf"))
        [unit] = [text for path, text in texts.files(network).items() if path.endswith(".service")]
        (root / f"dnsmasq-{number}.service").write_text(unit)
        where = network["name"], network["domain"], network["gateway"], network["network"]
        [resolver] = RESOLVER.texts("resolved", *where, {})["wanted"].values()
        (root / f"resolver-{number}@.service").write_text(resolver)
    _, words = said("systemd-analyze", "verify", "--man=no", *(str(path) for path in sorted(root.iterdir())))
    wrong = [line for line in words.splitlines() if str(root) in line]
    assert not wrong, wrong
    for unit, program in meant.items():
        found = re.search(rf"{unit}: Command (\S+) is not executable", words)
        assert found and found[1] == re.sub("/+", "/", program), words


@few
@given(complete=many)
def test_libvirts_parser_reads_the_network_that_is_meant(complete):
    connection = pytest.importorskip("libvirt").open("test:///default")
    for network in complete:
        text = definition.xml(network)
        assert definition.read(text)["frame"] == definition.frame(network)
        defined = connection.networkDefineXML(text)
        told = definition.read(defined.XMLDesc())
        defined.undefine()
        assert told["entries"] == definition.entries(network), text
        assert {**told["frame"], "options": None} == {**definition.frame(network), "options": None}, text


@needs("ssh-keygen")
@few
@given(lines=st.lists(st.tuples(fitting("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"), names), min_size=3, max_size=3))
def test_ssh_finds_a_guests_key_by_each_of_its_names(tmp_path_factory, lines):
    root = tmp_path_factory.mktemp("ssh")
    said("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "key"))
    key = " ".join((root / "key.pub").read_text().split()[:2])
    known = [IDENTITY.known_hosts(name, f"{name}.{domain}", key, f"onepass:{name}") for name, domain in lines]
    (root / "known").write_text("".join(f"{line}\n" for line in known))
    for name, domain in lines:
        for each in (name, f"{name}.{domain}"):
            code, words = said("ssh-keygen", "-F", each, "-f", str(root / "known"))
            assert code == 0 and key in words, each


scalars = st.one_of(
    st.text(max_size=20), st.integers(-(2**63), 2**63), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
)
options = st.recursive(scalars, lambda below: st.dictionaries(st.text(min_size=1, max_size=20), below, max_size=4))


@settings(few, max_examples=60)
@given(given_options=st.dictionaries(st.text(min_size=1, max_size=20), options, max_size=4))
def test_yaml_reads_the_options_of_a_daemon_as_they_were(given_options):
    """As file.serialize writes them, by way of the SLS."""
    through = yaml.safe_load(SALT["onepass.quoted"](given_options))
    assert through == given_options
    assert yaml.safe_load(salt.serializers.yaml.serialize(through, default_flow_style=False)) == given_options


# A branch's host and gateway


v4 = st.integers(int(ipaddress.ip_address("10.0.0.1")), int(ipaddress.ip_address("10.255.255.254")))
v6 = st.integers(1, 2**64 - 1).map(lambda number: str(ipaddress.IPv6Address((0x20010DB8 << 96) + number)))
# What iproute2 would take for a word of its own, but for "dev" before it.
WORDS = ("up", "down", "br", "a", "master", "type", "dev", "m", "vf", "n")
devices = st.one_of(st.sampled_from(WORDS), fitting(DEVICE)).filter(lambda name: name not in ("lo", "all", "default"))
workstations = st.fixed_dictionaries(
    {
        "names": st.lists(devices, min_size=2, max_size=2, unique=True),
        "port": st.integers(1, 65535),
        "ips": st.lists(v4, min_size=1, max_size=4, unique=True),
        "ip6": st.one_of(st.none(), v6),
        "mac": macs,
    }
)
SOME = st.lists(workstations, min_size=3, max_size=3)


def workstation(given):
    """A bridge, and the arguments of its state."""
    vms = [
        {"name": f"vm{number}", "ip": str(ipaddress.ip_address(ip)), "mac": f"52:54:00:00:01:{number:02x}"}
        for number, ip in enumerate(given["ips"])
    ]
    vms[0].update({"ip6": given["ip6"]} if given["ip6"] else {})
    bridge, uplink = given["names"]
    own = {"link_local": "169.254.0.27", "gateway": "169.254.0.1", "network": "10.0.0.0/8", "network6": None}
    return bridge, {**own, "uplink": uplink, "port": given["port"], "vms": vms}


def gateway(given):
    six = "2001:db8::/32" if given["ip6"] else None
    own = {"link_local": "169.254.0.1", "public": "192.0.2.30", "network": "10.0.0.0/8", "network6": six}
    return given["names"][0], {**own, "port": given["port"], "neighbours": {given["ip6"]: given["mac"]} if six else {}}


def apart(script, *words, stdin=""):
    """What a shell prints in a network namespace of its own, where its first word is a device."""
    script = f'ip link add name "$1" type veth peer name onepass-peer && {script}'
    code, printed = said("unshare", "-rn", "bash", "-c", script, "bash", *words, stdin=stdin)
    if "Operation not" in printed:
        pytest.skip(f"no such namespace can be made here: {printed}")
    assert code == 0, f"{printed}: {words} {stdin}"
    return printed


def holds(tree, part):
    """Whether a part, a mapping, is somewhere in nested mappings and lists."""
    if isinstance(tree, list):
        return any(holds(each, part) for each in tree)
    if isinstance(tree, dict):
        return part.items() <= tree.items() or any(holds(each, part) for each in tree.values())
    return False


@needs("nft")
@needs("ip")
@few
@given(some=SOME)
def test_nft_has_the_addresses_ports_and_devices_that_are_meant(some):
    for given_values in some:
        name, arguments = workstation(given_values)
        text = rules.texts("workstation", name, arguments, "nft", given_values["mac"])["nft"]
        show = "nft -f - && nft -j list ruleset && nft list chain netdev bridge_nat uplink"
        listed, chain = apart(show, arguments["uplink"], stdin=text).split("\n", 1)
        listed = json.loads(listed)["nftables"]
        sets = {
            (each[kind]["family"], each[kind]["name"]): each[kind].get("elem")
            for each in listed
            for kind in ("set", "map")
            if kind in each
        }
        wanted = {vm["ip"]: vm["mac"] for vm in arguments["vms"]}
        for family in ("netdev", "bridge", "ip"):
            assert set(sets[family, "vms"]) == set(wanted)
        assert dict(sets["netdev", "mac_of"]) == wanted
        assert sets.get(("ip6", "vms6")) == ([given_values["ip6"]] if given_values["ip6"] else None)
        assert re.search(rf'hook ingress device\S* .*"?{re.escape(arguments["uplink"])}"? ', chain), chain
        assert holds(listed, {"left": {"meta": {"key": "iifname"}}, "op": "==", "right": name})
        assert holds(listed, {"left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": arguments["port"]})
        name, arguments = gateway(given_values)
        text = rules.texts("gateway", name, arguments, "nft")["nft"]
        listed = json.loads(apart("nft -f - && nft -j list ruleset", name, stdin=text))["nftables"]
        assert holds(listed, {"left": {"meta": {"key": "oifname"}}, "op": "==", "right": name})
        assert holds(listed, {"left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": arguments["port"]})
        assert holds(listed, {"snat": {"addr": "169.254.0.1"}}) and holds(listed, {"snat": {"addr": "192.0.2.30"}})


@needs("ip")
@needs("sysctl")
@few
@given(some=SOME)
def test_at_boot_devices_and_settings_are_the_ones_that_are_meant(some):
    links, settings_file = f"{boot.ETC}/links.ip", boot.SYSCTL
    for given_values in some:
        name, arguments = workstation(given_values)
        text = boot.files("workstation", name, arguments, {}, which, given_values["mac"])[links]
        show = 'ip -force -batch - && ip -j link show dev "$2" && ip -j link show dev "$1"'
        bridge, port = map(json.loads, apart(show, arguments["uplink"], name, stdin=text).splitlines())
        assert (bridge[0]["address"], "UP" in bridge[0]["flags"]) == (given_values["mac"], True), text
        assert (port[0].get("master"), "UP" in port[0]["flags"]) == (name, True), text
        name, arguments = gateway(given_values)
        text = boot.files("gateway", name, arguments, {}, which)[settings_file]
        show = (
            'sysctl -q -p /dev/stdin && cd /proc/sys/net/ipv4 && cat ip_forward "conf/$1/"{arp_announce,send_redirects}'
        )
        assert apart(show, name, stdin=text).split() == ["1", "2", "0"], text


@needs("systemd-analyze")
@few
@given(some=SOME)
def test_systemd_takes_the_unit_of_a_branchs_host(tmp_path_factory, some):
    root = tmp_path_factory.mktemp("bridge")
    for number, given_values in enumerate(some):
        for role, made in (("workstation", workstation(given_values)), ("gateway", gateway(given_values))):
            files = dict.fromkeys(("rules.nft", "uplink.nft", "rules.iptables", "rules.ebtables"), "")
            unit = boot.files(role, *made, files, which, given_values["mac"])[boot.UNIT]
            (root / f"{role}-{number}.service").write_text(unit)
    _, words = said("systemd-analyze", "verify", "--man=no", *(str(path) for path in sorted(root.iterdir())))
    wrong = [line for line in words.splitlines() if str(root) in line]
    assert not wrong, wrong


# The host's resolver


words = fitting("[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?")
resolv_lines = st.one_of(
    st.ip_addresses(v=4).map(lambda address: f"nameserver {address}"),
    st.lists(names, min_size=1, max_size=3).map(lambda each: f"search {' '.join(each)}"),
    names.map(lambda name: f"domain {name}"),
    st.sampled_from(["options ndots:2", "# a comment", "; another", "sortlist 10.0.0.0", "", "  "]),
)


@settings(few, max_examples=40)
@given(lines=st.lists(resolv_lines, max_size=8), domain=names)
def test_a_resolver_asks_and_searches_ours_first_and_all_others_after_it(tmp_path_factory, lines, domain):
    path, address = tmp_path_factory.mktemp("resolv") / "resolv.conf", "192.168.150.1"

    def read(text):
        path.write_text(f"{text}nameserver 192.0.2.99\n")  # without any, dnspython refuses the file
        found = dns.resolver.Resolver(str(path))
        return found.nameservers, [str(each).rstrip(".") for each in found.search or [found.domain]]

    before = "".join(f"{line}\n" for line in lines)
    servers, search = read(before)
    named = any(line.split()[:1] in (["search"], ["domain"]) for line in lines)
    made = RESOLVER.texts("resolv.conf", "lab", domain, address, "192.168.150.0/24", {"/etc/resolv.conf": before})
    [wanted] = made["wanted"].values()
    others = [each for each in search if each != domain] if named else []
    assert read(wanted) == ([address, *servers], [domain, *others]), wanted
    [again] = RESOLVER.texts("resolv.conf", "lab", domain, address, "", {"/etc/resolv.conf": wanted})["wanted"].values()
    assert again == wanted
    [without] = RESOLVER.texts("resolv.conf", "lab", domain, address, "", {"/etc/resolv.conf": wanted})[
        "without"
    ].values()
    assert read(without)[0] == servers and (not others or read(without)[1] == others), without


@needs("dnsmasq")
@few
@given(complete=many)
def test_network_managers_dnsmasq_takes_the_names_of_a_network(complete):
    for network in complete:
        where = network["name"], network["domain"], network["gateway"], network["network"]
        text, main = RESOLVER.texts("NetworkManager", *where, {})["wanted"].values()
        code, words = said("dnsmasq", "--test", "--conf-file=-", stdin=text)
        assert code == 0 and main.endswith("[main]\ndns=dnsmasq\n"), f"{words}: {text}"


# Clones


TEMPLATE = (tree.ROOT / "tests/unit/cases/template.xml").read_text()
clones = st.fixed_dictionaries(
    {
        "name": st.one_of(
            fitting("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"), fitting("[A-Za-z0-9_][A-Za-z0-9_.+:@-]{0,62}")
        ),
        "uuid": st.uuids().map(str),
        "mac": macs,
        "pool": fitting("[A-Za-z0-9_][A-Za-z0-9_.+-]{0,62}"),
        "memory": st.one_of(st.none(), st.integers(16, 1 << 20)),
        "vcpu": st.one_of(st.none(), st.integers(1, 64)),
        "network": fitting(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,49}"),
    }
)


@few
@given(some=st.lists(clones, min_size=6, max_size=6))
def test_libvirts_parser_reads_the_clone_that_is_meant(some):
    connection = pytest.importorskip("libvirt").open("test:///default")
    for given_values in some:
        template = ET.fromstring(TEMPLATE)
        macs_wanted = [
            f"{given_values['mac'][:-2]}{number:02x}" for number in range(len(template.findall("devices/interface")))
        ]
        disks = {each: f"/{given_values['pool']}/{given_values['name']}-{each}.qcow2" for each in ("vda", "vdb")}
        ours = {"template": "debian12", "state": "ready", "files": [*disks.values()]}
        clone = {**given_values, "macs": macs_wanted, "place": ("network", given_values["network"]), "disks": disks}
        text = DOMAIN.derive(
            TEMPLATE, {**clone, "nvram": f"/nvram/{given_values['name']}.fd", "cidata": None, "ours": ours}
        )
        test = text.replace('type="kvm"', 'type="test"', 1).replace("type='kvm'", 'type="test"', 1)
        defined = connection.defineXML(test)
        told = DOMAIN.read(defined.XMLDesc())
        defined.undefine()
        assert [told[key] for key in ("name", "uuid", "ours")] == [clone["name"], clone["uuid"], ours]
        assert [each["mac"] for each in told["interfaces"]] == macs_wanted
        assert told["interfaces"][0]["source"] == given_values["network"]
        assert {each["target"]: each["path"] for each in told["disks"] if each["target"] in disks} == disks
        assert told["memory"] == (given_values["memory"] or 1024) and told["vcpu"] == (given_values["vcpu"] or 2)
