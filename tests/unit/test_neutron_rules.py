"""The table of projects and VLANs without any cloud: what is wrong with bad ones, what follows from good ones."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from onepass_lib.core import form
from onepass_lib.neutron import desired, refuse, schema
from salt.exceptions import CommandExecutionError

import tree

EXAMPLE = tree.ROOT / "pillar/openstack.sls"
GOOD = yaml.safe_load(EXAMPLE.read_text())["openstack"]
CASES = yaml.safe_load(Path(__file__).with_name("cases").joinpath("bad_openstack_pillar.yaml").read_text())


def patched(case):
    return case["pillar"] if "pillar" in case else tree.patched(GOOD, case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_a_bad_table_has_exactly_its_faults(case):
    found = {each["path"]: f"{each['fault']}; {each['remedy']}" for each in refuse.faults(patched(case))}
    assert sorted(found) == sorted(
        f"openstack:{path}".removesuffix(":") if not path else f"openstack:{path}" for path in case["faults"]
    ), found
    for path, part in case["faults"].items():
        assert part in found[f"openstack:{path}" if path else "openstack"]


def test_the_cases_are_as_many_as_promised():
    assert len({case["case"] for case in CASES}) == len(CASES) >= 50


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"allow_vlan_1": True, "reserved": [], "projects": {"old": {"vlan": 1, "cidr": "10.1.0.0/24"}}},
        {"overlap": "allow", "projects": {n: {"vlan": v, "cidr": "10.1.0.0/24"} for n, v in (("a", 2), ("b", 3))}},
        {
            "projects": {
                n: {"vlan": 9, "cidr": c, "physical_network": n}
                for n, c in (("a", "10.1.0.0/24"), ("b", "10.2.0.0/24"))
            }
        },
        {
            "projects": {"six": {"vlan": 4094, "cidr": "2001:db8::/64", "gateway": "2001:db8::1", "ipv6": "slaac"}},
            "dns_nameservers": ["2620:fe::fe"],
            "reserved": [],
        },
        {"projects": {"a": {"vlan": 2, "cidr": "10.1.0.0/30", "gateway": None}}},
    ],
    ids=["example", "VLAN 1 allowed", "overlap allowed", "one id on two physical networks", "IPv6", "smallest"],
)
def test_a_good_table_has_no_fault(changes):
    assert refuse.faults({**GOOD, **changes}) == []


def test_rows_have_one_form():
    tellers, vault, cashpoints = desired.rows(GOOD)
    assert tellers["network"] == "tellers-net"
    assert tellers["router"] == {"name": "tellers-router", "external": "internet"}
    assert (tellers["gateway"], vault["gateway"], cashpoints["gateway"]) == (None, "", "10.14.0.254")
    assert tellers["dns_nameservers"] == ["10.12.0.53", "9.9.9.9"]
    assert cashpoints["pools"] == [["10.14.1.0", "10.14.3.254"]]
    assert cashpoints["cidr"] == "10.14.0.0/22"


def test_overlaps_that_are_let_pass_are_told():
    projects = {n: {"vlan": v, "cidr": c} for n, v, c in (("a", 2, "10.1.0.0/16"), ("b", 3, "10.1.2.0/24"))}
    table = {"cloud": "bank", "physical_network": "physnet1", "projects": projects}
    assert [each["path"] for each in refuse.faults(table)] == ["openstack:projects:b:cidr"]
    assert refuse.faults({**table, "overlap": "warn"}) == []
    assert refuse.warnings({**table, "overlap": "warn"}) == ["b: 10.1.2.0/24 overlaps 10.1.0.0/16 of a"]
    assert refuse.warnings({**table, "overlap": "allow"}) == []


def test_what_is_reserved():
    assert desired.reserved({"reserved": [7, "4093-4094"]}) == [1, 7, 4093, 4094]
    assert desired.reserved({"allow_vlan_1": True}) == []


JUNK = [None, True, 7, -0.5, "", "junk", [], [None], [[]], {}, {"junk": {}}, {7: None}]


def places(value, where=()):
    yield where
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in below:
        yield from places(each, (*where, key))


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_junk_anywhere_is_a_fault_at_worst(junk):
    for where in places(GOOD):
        bad = copy.deepcopy(GOOD)
        holder = bad
        for step in where[:-1]:
            holder = holder[step]
        if where:
            holder[where[-1]] = copy.deepcopy(junk)
        else:
            bad = junk
        assert isinstance(refuse.faults(bad), list)
        desired.summary(bad)
        desired.places(bad)


# What is written in a file


@pytest.fixture
def vlan():
    """``neutron_vlan`` with a renderer that reads plain YAML as Salt does."""

    def renderer(string, default_renderer):
        from salt.utils.yamlloader import SaltYamlSafeLoader

        return yaml.load(string, Loader=SaltYamlSafeLoader)

    return tree.load(
        "_modules/neutron_vlan.py", __salt__={**tree.functions("onepass", __pillar__={}), "slsutil.renderer": renderer}
    )


def test_lint_answers_what_a_good_file_describes(vlan):
    assert vlan.lint(path=str(EXAMPLE)) == {"projects": 3, "vlans": {"physnet1": "12-14"}}


@pytest.mark.parametrize(
    "written,words",
    [
        ("012", "is written 012, which YAML reads as 10; 12, or 10, as a plain decimal number"),
        ("12:30", "is written 12:30, which YAML reads as 750; 750"),
        ("0x0c", "is written 0x0c, which YAML reads as 12; 12"),
        ("1_2", "is written 1_2, which YAML reads as 12; 12"),
    ],
)
def test_lint_tells_what_yaml_reads_otherwise(vlan, tmp_path, written, words):
    path = tmp_path / "openstack.sls"
    path.write_text(EXAMPLE.read_text().replace("vlan: 12\n", f"vlan: {written}\n"))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if written in text)
    with pytest.raises(CommandExecutionError) as caught:
        vlan.lint(path=str(path))
    assert str(caught.value).splitlines()[1] == f"  {path}:{line}: openstack:projects:tellers:vlan: {words}"


def test_lint_tells_the_line_of_each_fault(vlan, tmp_path):
    path = tmp_path / "openstack.sls"
    text = (
        EXAMPLE.read_text().replace("gateway: 10.14.0.254", "gateway: 10.99.0.1").replace("cloud: bank", "clowd: bank")
    )
    path.write_text(text)
    with pytest.raises(CommandExecutionError) as caught:
        vlan.lint(path=str(path))
    lines = dict(enumerate(text.splitlines(), 1))
    said = str(caught.value).splitlines()[1:]
    numbers = [int(line.split(":")[1]) for line in said]
    assert len(said) == 2
    assert "clowd" in lines[numbers[0]] and "10.99.0.1" in lines[numbers[1]]


@pytest.mark.parametrize(
    "text, words",
    [
        (None, "cannot be read"),
        ("openstack: {", r"broken.sls:1:13: YAML cannot read this: expected the node content"),
        ("openstack:\n  cloud: bank\n\tprojects: {}\n", r"broken.sls:3:1: YAML cannot read this: a tab, where blanks"),
        ("openstack: {{ nobody.knows }}\n  a: b", "cannot be rendered"),
        ("cloud: bank\nprojects: {}\n", "has no key openstack, which holds the table; its keys are cloud, projects"),
        ("", "has no key openstack, which holds the table; it has no key"),
    ],
)
def test_lint_of_a_file_that_holds_no_table_says_where_and_why(modules, tmp_path, text, words):
    path = tmp_path / "broken.sls"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CommandExecutionError, match=words):
        modules.neutron_vlan.lint(path=str(path))


def test_a_file_in_the_place_of_the_table_is_named(modules):
    with pytest.raises(CommandExecutionError, match=r"'/srv/os.sls' is no table; did you mean path=/srv/os.sls\?"):
        modules.neutron_vlan.lint("/srv/os.sls")


def test_without_jsonschema_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(form, "HAS_JSONSCHEMA", False)
    with pytest.raises(CommandExecutionError, match="salt-pip install 'jsonschema"):
        refuse.faults(GOOD)


# The schema itself


def parts(value):
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(each)


def test_schema_is_legal_and_explains_itself():
    whole = schema.schema()
    jsonschema.Draft202012Validator.check_schema(whole)
    named = [each for part in parts(whole) for each in part.get("properties", {}).values()]
    assert len(named) >= 40
    assert all(each.get("description") for each in named)
    json.dumps(whole)
