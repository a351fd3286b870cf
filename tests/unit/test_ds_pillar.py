"""The pillar ``ds389``: everything that can be wrong with it is told at once, and a good one has one form."""

import copy
from pathlib import Path

import pytest
import yaml

import tree

SALT = {}
for name in ("onepass", "pillar_form", "ds_values", "ds_pillar"):
    SALT.update(tree.functions(name, __salt__=SALT, __pillar__={}, __opts__={}))
rules = tree.load("_modules/ds_pillar.py", __salt__=SALT)
CASES = yaml.safe_load((Path(__file__).parent / "cases/bad_ds389_pillar.yaml").read_text())
SECRET = "kept-out-of-sight"
GOOD = {
    "suffix": "dc=bank,dc=example",
    "suppliers": {"ds1.dc": 1, "ds2.dc": 2, "ds3.dc": 3},
    "hubs": {"hub1.dc": ["ds1.dc", "ds2.dc"]},
    "readers": {"ro1.dc": ["hub1.dc"], "ro2.dc": ["hub1.dc"]},
    "replication": {"transport": "LDAPS"},
    "topology": "mesh",
    "seed": "ds1.dc",
    "discard": ["ds3.dc"],
    "purge_delay": "7d",
    "login": {"bind_dn": "cn=onepass,cn=config", "password": SECRET},
}


def patched(case):
    if "pillar" in case:
        return case["pillar"]
    if "literal" in case:  # names with a colon in them
        return {**GOOD, **{kind: {**GOOD[kind], **more} for kind, more in case["literal"].items()}}
    if "many" in case:
        return {**GOOD, "suppliers": {f"ds{number}.dc": number for number in range(1, case["many"] + 1)}}
    return tree.patched(GOOD, case)


def test_a_good_pillar_has_no_fault():
    assert rules.faults(GOOD) == []
    assert rules.summary(GOOD) == {"suppliers": 3, "hubs": 1, "readers": 2}
    assert rules.places(GOOD)["hub1.dc"] == "ds389:hubs:hub1.dc"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_all_that_is_wrong_is_told_at_once(case):
    found = {each["path"]: f"{each['fault']}; {each['remedy']}" for each in rules.faults(patched(case))}
    assert sorted(found) == sorted(f"ds389:{path}".removesuffix(":") for path in case["faults"])
    for path, part in case["faults"].items():
        assert part in found[f"ds389:{path}".removesuffix(":")]
    assert SECRET not in str(found)
    assert "123456" not in str(found)


def test_there_are_enough_cases():
    assert len(CASES) >= 30


def test_a_mesh_and_its_readers_in_one_form():
    found = rules.wanted(
        {"suffix": "dc=Bank, dc=Example", "suppliers": {"DS1.dc": 1, "ds2.dc:1636": 2}, "readers": {"r": ["ds1.dc"]}}
    )
    assert found["suffix"] == "dc=bank,dc=example"
    assert found["replicas"]["ds1.dc:636"] == {"host": "ds1.dc", "port": 636, "role": "supplier", "id": 1}
    assert found["edges"] == [("ds1.dc:636", "ds2.dc:1636"), ("ds2.dc:1636", "ds1.dc:636"), ("ds1.dc:636", "r:636")]
    assert (found["bind_dn"], found["purge_delay"], found["seed"]) == ("cn=replication manager,cn=config", None, None)


def test_pairs_feed_each_other_and_a_plain_transport_has_its_port():
    pillar = {**GOOD, "topology": [["ds1.dc", "ds2.dc"], ["ds2.dc", "ds3.dc"]], "replication": {"transport": "LDAP"}}
    found = rules.wanted(pillar)
    assert rules.faults(pillar) == []
    assert found["edges"][:2] == [("ds1.dc:389", "ds2.dc:389"), ("ds2.dc:389", "ds1.dc:389")]
    assert ("ds1.dc:389", "ds3.dc:389") not in found["edges"]
    assert (found["purge_delay"], found["discard"]) == (604800, ["ds3.dc:389"])


def test_a_pillar_with_a_login_only_says_nothing_of_replicas():
    assert rules.topology({"login": GOOD["login"]}) is None
    assert rules.topology(None) is None
    assert len(rules.topology({**GOOD, "suppliers": {"ds1.dc": "x"}})["replicas"]) == 4


def test_judging_leaves_the_pillar_as_it_is():
    before = copy.deepcopy(GOOD)
    rules.faults(GOOD)
    assert before == GOOD
