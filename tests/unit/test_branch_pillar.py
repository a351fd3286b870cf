"""The pillar of branches: a table of bad ones, each with exactly its faults; what follows from good ones; the fleet."""

import copy
import ipaddress
import json
import random
import time
from pathlib import Path

import jsonschema
import pytest
import yaml
from onepass_lib.core import form, pillar_file
from salt.exceptions import CommandExecutionError

import tree
from fleets import BRANCH_TOP, branch, calls_to_compile, compiled, fleet

CASES = yaml.safe_load(Path(__file__).with_name("cases").joinpath("bad_branch_pillar.yaml").read_text())
BRANCHES = tree.ROOT / "pillar" / "branch"
GOOD = yaml.safe_load((BRANCHES / "rosario.sls").read_text())["branch"]


SALT = tree.functions("onepass", __pillar__={})
SALT.update(tree.functions("pillar_form", __salt__=SALT))
SALT.update(tree.functions("dnsmasq_model", __salt__=SALT))
SALT.update(tree.functions("dnsmasq_fwd", __salt__=SALT))
SALT.update(tree.functions("branch_schema", __salt__=SALT))
SALT.update(tree.functions("branch_guests", __salt__=SALT, __grains__={"id": "hq"}))
SALT.update(tree.functions("branch_pillar", __salt__=SALT, __grains__={"id": "hq"}, __pillar__={}))
SALT.update(tree.functions("branch_fleet", __salt__=SALT, __opts__={}, __pillar__={}))
faults, node = SALT["branch_pillar.faults"], SALT["branch_pillar.node"]


def patched(case):
    return case["pillar"] if "pillar" in case else tree.patched(GOOD, case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_bad_pillar_has_exactly_its_faults(case):
    found = {each["path"]: f"{each['fault']}; {each['remedy']}" for each in faults(patched(case))}
    assert sorted(found) == sorted(f"branch:{path}".rstrip(":") for path in case["faults"]), found
    for path, part in case["faults"].items():
        assert part in found[f"branch:{path}".rstrip(":")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_nobody_has_a_role_while_there_is_a_fault(case):
    assert node("ws017.rosario", patched(case))["role"] is None


def test_the_table_is_as_long_as_promised():
    assert len({case["case"] for case in CASES}) == len(CASES) >= 40


def test_all_faults_are_told_at_once():
    with pytest.raises(CommandExecutionError) as caught:
        SALT["branch_pillar.check"]({**GOOD, "port": 0, "bridge": "eth0"})
    assert str(caught.value).splitlines() == [
        "branch pillar: 2 faults",
        "  branch:bridge: is eth0, the uplink as well; a bridge's own name, such as virbr0",
        "  branch:port: is the number 0; the TCP port that belongs to the host, 1 to 65535, default 22",
    ]


def test_without_jsonschema_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(form, "HAS_JSONSCHEMA", False)
    states = tree.load("_states/bridge_nat.py", __salt__=SALT, __opts__={"test": False})
    for ret in (states.gateway("eth0", "169.254.0.1", "192.0.2.30", "10.20.30.0/24"), states.confirmed("x")):
        assert (ret["result"], ret["changes"]) == (False, {})
        assert "salt-pip install 'jsonschema" in ret["comment"]


def test_schema_is_legal_and_explains_itself():
    schema = SALT["branch_schema.schema"]()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert all(each.get("description") for each in schema["properties"].values())


@pytest.mark.parametrize("name", ["rosario", "salta"])
def test_the_examples_are_good(name):
    assert faults(yaml.safe_load((BRANCHES / f"{name}.sls").read_text())["branch"]) == []


def test_a_workstation_is_derived_from_number_and_vm():
    vm = {"name": "win-017", "ip": "10.20.30.17", "mac": "52:54:00:bf:57:bb"}
    assert node("ws017.rosario", GOOD) == {
        "role": "workstation",
        "name": "virbr0",
        "arguments": {
            "uplink": "eth0",
            "link_local": "169.254.0.27",
            "gateway": "169.254.0.1",
            "vms": [vm],
            "network": "10.20.30.0/24",
            "network6": None,
            "port": 22,
            "way": "auto",
        },
        "confirm": {"within": 120, "reach": []},
    }


def test_the_gateway_is_derived():
    found = node("gw.rosario", GOOD)
    assert (found["role"], found["name"]) == ("gateway", "eth0")
    assert found["arguments"]["link_local"] == "169.254.0.1"
    assert found["arguments"]["public"] == "192.0.2.30"


def test_a_host_can_differ_from_its_branch():
    own = {"bridge": "br1", "uplink": "enp3s0", "link_local": "169.254.255.9"}
    pillar = copy.deepcopy(GOOD)
    pillar["hosts"]["ws017"].update(own)
    found = node("ws017.rosario", pillar)
    assert (found["name"], found["arguments"]["uplink"]) == ("br1", "enp3s0")
    assert found["arguments"]["link_local"] == "169.254.255.9"


@pytest.mark.parametrize("stranger", ["ws017", "ws017.salta", "ws099.rosario", "rosario", "xws017.rosario", "hq"])
def test_a_stranger_has_no_role(stranger):
    assert node(stranger, GOOD)["role"] is None


# All branches together


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_700_branches_of_5000_hosts_are_checked_in_seconds(tmp_path):
    fleet(tmp_path, 700)
    began = time.process_time()
    assert SALT["branch_fleet.check"](str(tmp_path)) == {"branches": 700, "hosts": 5000}
    assert time.process_time() - began < 15


def test_every_clash_is_named_with_file_and_line(tmp_path):
    fleet(tmp_path, 12)
    edit(tmp_path / "b003.sls", "cidr: 10.0.3.0/24", "cidr: 10.0.2.0/23")
    edit(tmp_path / "b005.sls", "52:54:00:05:00:02", "52:54:00:04:00:07")
    edit(tmp_path / "b006.sls", "public: 192.0.2.7", "public: 192.0.2.2")
    edit(tmp_path / "b007.sls", "ip: 10.0.7.13", "ip: 10.0.1.13")
    edit(tmp_path / "b008.sls", "name: b008", "name: b009")
    edit(tmp_path / "b010.sls", "    ws002:", "    ws001:")
    edit(tmp_path / "b011.sls", "branch:", "{% set x = 1 %}\nbranch:")
    found = [(each["path"], each["fault"]) for each in SALT["branch_fleet.clashes"](str(tmp_path))]
    assert sorted(found) == [
        ("b002.sls:3: branch:cidr", "10.0.2.0/24 overlaps 10.0.2.0/23 at b003.sls:3: branch:cidr"),
        (
            "b005.sls:7: branch:hosts:ws002:vm:mac",
            "the MAC 52:54:00:04:00:07 is at b004.sls:12: branch:hosts:ws007:vm:mac already",
        ),
        (
            "b006.sls:4: branch:gateway:public",
            "the public address 192.0.2.2 is at b001.sls:4: branch:gateway:public already",
        ),
        ("b007.sls:8: branch:hosts:ws003:vm:ip", "is 10.0.1.13, outside of 10.0.7.0/24"),
        (
            "b007.sls:8: branch:hosts:ws003:vm:ip",
            "the address 10.0.1.13 is at b001.sls:8: branch:hosts:ws003:vm:ip already",
        ),
        ("b008.sls:2: branch:name", "is 'b009', but minions of *.b009 are not given this file"),
        ("b009.sls:2: branch:name", "the name b009 is at b008.sls:2: branch:name already"),
        ("b010.sls:6: branch:hosts:ws001", "is there twice, again in line 7"),
        ("b011.sls:1:2", "is no plain YAML: found character that cannot start any token"),
    ]


def test_an_id_that_another_area_names_is_no_branchs(tmp_path):
    text = (BRANCHES / "cordoba.sls").read_text().replace("name: cordoba", "name: dc")
    text = text.replace("name: win-001", "name: s1a").replace("    ws002:", "    r2:")
    (tmp_path / "dc.sls").write_text(text.replace("till-1:", "r1:").replace("host: gw", "host: CFG1"))
    fleet(tmp_path, 2)
    others = {f"{name}.dc": f"mongodb:at:{name}" for name in ("s1a", "s1b", "r1", "r2", "cfg1")}
    pillar = {"rings": [["b000", "b001", "dc"]], "directory": str(tmp_path)}
    assert SALT["branch_fleet.faults"](pillar) == []
    found = [(each["path"].partition(": ")[2], each["fault"]) for each in SALT["branch_fleet.faults"](pillar, others)]
    assert sorted(found) == [
        ("branch:gateway:host", "is the minion CFG1.dc, as mongodb:at:cfg1 is"),
        ("branch:hosts:r2", "is the minion r2.dc, as mongodb:at:r2 is"),
        ("branch:hosts:ws001:guests:r1", "is the minion r1.dc, as mongodb:at:r1 is"),
        ("branch:hosts:ws001:vm:name", "is the minion s1a.dc, as mongodb:at:s1a is"),
    ]
    hosts = SALT["branch_fleet.hosts"](["dc", "b009"], pillar)
    assert sorted(hosts) == ["CFG1.dc", "r2.dc", "ws001.dc"]
    assert hosts["r2.dc"].startswith("dc.sls:")


def test_overlaps_are_found_as_if_each_pair_were_compared(tmp_path):
    draw = random.Random(3)
    networks = [
        f"10.{draw.randrange(3)}.{draw.randrange(0, 256, 8)}.0/{draw.choice([21, 22, 23, 24])}" for _ in "x" * 40
    ]
    parsed = [ipaddress.ip_network(each) for each in networks]
    clashing = {
        max(a, b, key=lambda each: (int(each.network_address), each.prefixlen))
        for n, a in enumerate(parsed)
        for b in parsed[n + 1 :]
        if a.overlaps(b)
    }
    for number, network in enumerate(networks):
        text = branch(number, 1).split("  hosts:")[0]
        cidr = f"10.{number // 250}.{number % 250}.0/24"
        (tmp_path / f"b{number:03}.sls").write_text(text.replace(cidr, network))
    found = [each for each in SALT["branch_fleet.clashes"](str(tmp_path)) if " overlaps " in each["fault"]]
    assert {each["fault"].split()[0] for each in found} == {str(each) for each in clashing}


def test_rings_know_their_minions():
    pillar = {"rings": [["rosario"], ["salta"]], "failures": 2, "directory": str(BRANCHES)}
    assert SALT["branch_fleet.faults"](pillar) == []
    canary, ring = SALT["branch_fleet.rings"](pillar)
    assert canary == {
        "name": "canary",
        "gateways": ["gw.rosario"],
        "workstations": ["ws017.rosario", "ws018.rosario", "ws019.rosario"],
        "guests": [],
        "keys": {},
        "failures": 0,
    }
    assert (ring["name"], ring["gateways"], ring["failures"]) == ("ring-1", ["gw.salta"], 2)


@pytest.mark.parametrize(
    "pillar,path",
    [
        ({}, "branches:rings"),
        ({"rings": ["rosario"]}, "branches:rings"),
        ({"rings": [["rosario"]], "failures": -1}, "branches:failures"),
        ({"rings": [["rosaria"]]}, "branches:rings:0:0"),
        ({"rings": [["rosario"], ["rosario"]]}, "branches:rings:1:0"),
    ],
)
def test_bad_rings(pillar, path):
    assert path in [each["path"] for each in SALT["branch_fleet.faults"]({**pillar, "directory": str(BRANCHES)})]


@pytest.mark.parametrize(
    "pillar, paths",
    [
        (["rosario"], ["branches"]),
        (5, ["branches"]),
        ({"rings": None}, ["branches:rings"]),
        ({"rings": 5, "failures": "x: y"}, ["branches:failures", "branches:rings"]),
        ({"rings": [[["salta"]]]}, ["branches:rings:0:0"]),
        ({"rings": [["rosario", {"salta": None}]]}, ["branches:rings:0:1"]),
        ({"rings": [["rosario"]], "directory": 5}, ["branches:directory"]),
        ({"rings": [["rosario"]], "directory": "/nowhere"}, ["branches:directory"]),
    ],
)
def test_a_malformed_pillar_is_told_and_keeps_no_other_area_from_its_run(pillar, paths, modules):
    pillar = {"directory": str(BRANCHES), **pillar} if isinstance(pillar, dict) else pillar
    found = modules["branch_fleet.faults"](pillar)
    assert [each["path"] for each in found] == paths
    assert all(each["fault"] and each["remedy"] for each in found)
    sound = [each["name"] for each in modules["branch_fleet.branches"](pillar)]
    assert sound == (["rosario"] if paths == ["branches:rings:0:1"] else [])
    kept = (
        (tree.ROOT / "orchestrate/branches.sls").read_text().replace("_fleet.rings']()", f"_fleet.rings']({pillar!r})")
    )
    phases = modules["slsutil.renderer"](string=kept, default_renderer="jinja|yaml")
    assert ("branches-canary-hosts" in phases, "branches-preflight" in phases) == (bool(sound), True)
    asked = modules["branch_estate.questions"](pillar)
    seen = modules["branch_estate.seen"]([{}] * len(asked), pillar)
    assert (len(asked), bool(seen["fault"])) == ((1, False) if sound else (0, True))
    modules["branch_estate.drawn"](pillar)


def test_a_directory_of_everything_is_a_fault(tmp_path, monkeypatch):
    fleet(tmp_path, 3)
    monkeypatch.setattr(pillar_file, "MOST", 2)
    pillar = {"rings": [["b000"]], "directory": str(tmp_path)}
    [found] = SALT["branch_fleet.faults"](pillar)
    assert found["path"] == "branches:directory"
    assert found["fault"] == f"{tmp_path} holds more than 2 files and folders: it is no folder of pillar files alone"
    assert SALT["branch_fleet.branches"](pillar) == []


def test_a_file_that_cannot_be_read_is_a_fault_of_its_own(tmp_path):
    fleet(tmp_path, 3)
    (tmp_path / ".#b001.sls").symlink_to("somebody@a.dc.4711")
    (tmp_path / "b002.sls").write_bytes(branch(2).encode() + "# Café\n".encode("latin-1"))
    (tmp_path / "b003.sls").write_text("branch: {name: 2026-13-45}")
    pillar = {"rings": [["b000"], ["b002", "b001"]], "directory": str(tmp_path)}
    assert [(each["path"], each["fault"]) for each in SALT["branch_fleet.faults"](pillar)] == [
        ("b002.sls:13", "is no UTF-8, with the byte 0xe9"),
        ("b003.sls:1", "is no plain YAML: a value that is not what it looks like"),
    ]
    assert [ring["gateways"] for ring in SALT["branch_fleet.rings"](pillar)] == [["gw.b000"], ["gw.b001"]]


# What one minion is given does not grow with the number of branches


def test_of_other_branches_a_minions_pillar_lists_the_file_and_reads_none(tmp_path, minion_opts):
    found = {}
    for count in (10, 700):
        root = tmp_path / str(count)
        fleet(root / "branch", count)
        (root / "top.sls").write_text(BRANCH_TOP)
        pillar = compiled(minion_opts, root, "ws003.b005")
        assert pillar["branch"]["name"] == "b005"
        assert len(json.dumps(pillar)) < 4000
        found[count] = calls_to_compile(minion_opts, root, "ws003.b005")
    assert (found[700] - found[10]) / 690 < 200  # Salt lists its pillar's folder; reading one is 2,000 calls and more


def test_a_minion_is_given_its_own_branch_only(minion_opts):
    for minion, name in {"ws017.rosario": "rosario", "gw.salta": "salta", "ws017": None, "s1a.dc": None}.items():
        pillar = compiled(minion_opts, tree.ROOT / "pillar", minion)
        assert pillar.get("branch", {}).get("name") == name
