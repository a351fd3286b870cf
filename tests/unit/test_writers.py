"""Files of another syntax: what the schema accepts, the program that reads the file takes, and reads the same in it."""

import re
import shutil
import subprocess

import jinja2
import pytest
import salt.serializers.yaml
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_branch_pillar import SALT

import tree

TEXTS, MODEL, SCHEMA = (tree.load(f"_modules/{name}.py") for name in ("dnsmasq_texts", "dnsmasq_model", "mongo_schema"))
XML = tree.load("_modules/dnsmasq_xml.py", __salt__=tree.functions("dnsmasq_texts"))
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


names = st.lists(fitting(MODEL.LABEL), min_size=1, max_size=3).map(".".join).filter(lambda name: len(name) < 200)
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
        "bridge": fitting(MODEL.DEVICE),
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
).filter(lambda network: not SALT["dnsmasq_model.faults"](network))
many = st.lists(networks, min_size=6, max_size=6).map(lambda each: [MODEL.complete(network) for network in each])


@needs("dnsmasq")
@few
@given(complete=many)
def test_dnsmasq_takes_the_files_of_a_network(complete):
    for network in complete:
        texts = TEXTS.files(network)
        [config] = [text for path, text in texts.items() if path.endswith("/dnsmasq.conf")]
        [servers] = [text for path, text in texts.items() if path.endswith("/servers")]
        lines = [line for line in config.splitlines() if not line.startswith("servers-file=")]
        code, words = said("dnsmasq", "--test", "--conf-file=-", stdin="\n".join([*lines, *servers.splitlines()]))
        assert code == 0, f"{words}: {network}"
        told = [each.split("/")[-1].split("#")[0] for each in TEXTS.forwarders(servers)]
        assert len(told) == len(network["forwarders"])
        [names_file] = [text for path, text in texts.items() if path.endswith("/addnhosts")]
        assert [line.split() for line in names_file.splitlines()] == [
            [host["address"], name] for name, host in network["hosts"].items()
        ]


@needs("nft")
@few
@given(complete=many)
def test_nft_takes_the_way_out_and_each_network_has_its_own_table(complete):
    tables = {network["name"]: TEXTS.nat(network) for network in complete}
    code, words = said("unshare", "-rn", "nft", "-f", "-", stdin="".join(tables.values()))
    if "Operation not permitted" in words:
        pytest.skip("no namespace can be made here")
    assert code == 0, words
    assert len(set(re.findall(r"^table ip (\S+)", "".join(tables.values()), re.M))) == len(tables)


@needs("systemd-analyze")
@few
@given(complete=many, programs=st.lists(fitting(SCHEMA.PROGRAMS[1:].removesuffix(SCHEMA.END)), min_size=6, max_size=6))
def test_systemd_takes_the_units_and_runs_the_program_that_is_meant(tmp_path_factory, complete, programs):
    root, meant = tmp_path_factory.mktemp("units"), {}
    for number, (network, directory) in enumerate(zip(complete, programs, strict=True)):
        program = f"{directory.rstrip('/')}/mongod"
        meant[f"mongodb-{number}.service"] = program
        (root / f"mongodb-{number}.service").write_text(UNIT.render(what="x", program=program, config="/etc/x.conf"))
        [unit] = [text for path, text in TEXTS.files(network).items() if path.endswith(".service")]
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
        text = XML.xml(network)
        assert XML.read(text)["frame"] == XML.frame(network)
        defined = connection.networkDefineXML(text)
        told = XML.read(defined.XMLDesc())
        defined.undefine()
        assert told["entries"] == XML.entries(network), text
        assert {**told["frame"], "options": None} == {**XML.frame(network), "options": None}, text


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
