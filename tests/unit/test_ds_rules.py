"""What is wrong with a replicated directory: each trouble of two servers that are well, as data."""

import copy
from pathlib import Path

import pytest
import yaml

from tree import functions, load

VALUES = functions("ds_values")
RULES = functions("ds_rules", __salt__=VALUES)
REPORT = functions("ds_report", __salt__={**VALUES, **RULES})
READ = load("_modules/ds_read.py", __salt__=VALUES)
CASES = yaml.safe_load((Path(__file__).parent / "cases" / "ds_troubles.yaml").read_text())
NOW = 1795952930
SUFFIX = "dc=bank,dc=example"
VECTOR = {
    "generation": "6b0c1115000000010000",
    "replicas": {
        1: {"url": "ldap://one.dc:389", "max": "6b0c1115000400010000"},
        2: {"url": "ldap://two.dc:389", "max": "6b0c111a000100020000"},
    },
}


def server(name, number, other):
    """A supplier that is well, as it is read."""
    agreement = {
        "name": f"to {other}",
        "host": f"{other}.dc",
        "port": 389,
        "transport": "LDAP",
        "enabled": True,
        "refresh": None,
        "update": {"ldap": 0, "replication": 0, "connection": None, "message": "Error (0) Replica acquired"},
        "initial": None,
        "update_began": None,
        "initial_began": None,
    }
    held = {
        "state": "backend",
        "fault": None,
        "readonly": False,
        "replica": {
            "id": number,
            "role": "supplier",
            "managers": ["cn=rm,cn=config"],
            "cleaning": [],
            "purge_delay": None,
        },
        "ruv": copy.deepcopy(VECTOR),
        "conflicts": [],
        "entries": 10,
        "empty": False,
        "agreements": [agreement],
    }
    settings = {"host": f"{name}.dc", "port": "389", "secure_port": "636", "security": "on", "certificates": None}
    settings.update(expiry="off", lockout="off", ignore_skew="off")
    return {
        "server": f"ldaps://{name}.dc",
        "fault": None,
        "kind": None,
        "version": "389-Directory/2.4.5 B2024",
        "clock": 0,
        "started": NOW - number,
        "settings": settings,
        "ports": {},
        "certificate": {"days": 300, "subject": f"CN={name}.dc"},
        "managers": {"cn=rm,cn=config": {"expires": None, "locked": False}},
        "suffixes": {SUFFIX: held},
    }


def estate(case=None):
    """Both servers, the first one with a case's changes: paths below ``one``, ``held``, ``agreement`` or ``two``."""
    one, two = server("one", 1, "two"), server("two", 2, "one")
    places = {"one": one, "two": two, "held": one["suffixes"][SUFFIX], "their": two["suffixes"][SUFFIX]}
    places["agreement"] = places["held"]["agreements"][0]
    for path, value in (case or {}).get("set", {}).items():
        first, *steps = path.split(":")
        holder = places[first]
        for step in steps[:-1]:
            holder = holder[int(step) if step.isdecimal() else step]
        holder[steps[-1]] = value
    return [one, two]


def test_a_suffix_has_one_name_however_its_server_spells_it():
    spelled, asked = "dc=Bank, dc=Example", []
    replica = {"nsds5replicatype": ["3"], "nsds5flags": ["1"], "nsds5replicaid": ["7"]}
    tree = [
        {"cn": [f'"{spelled}"'], "nsslapd-state": ["Backend"], "nsslapd-backend": ["userRoot"]},
        {"objectclass": ["nsDS5Replica"], "nsds5replicaroot": ["dc=bank,dc=example"], **replica},
    ]

    def ask(base, *_):
        asked.append(base)
        return [{"dn": "", "values": each} for each in tree] if base == READ.MAPPING else [], None

    found = READ._suffixes(ask)
    assert {name: (each["state"], each["replica"]["id"]) for name, each in found.items()} == {SUFFIX: ("backend", 7)}
    assert spelled in asked


def test_two_servers_that_are_well():
    found = RULES["ds_rules.conditions"](estate(), NOW)
    assert {each["state"] for each in found} == {"ok"}
    assert not [each for each in found if "remedy" in each]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_trouble(case):
    found = RULES["ds_rules.conditions"](estate(case), NOW)
    here = [each for each in found if each["server"] in ("one.dc:389", "ldaps://one.dc") and each["state"] != "ok"]
    assert [f"{each['state']} {each['what']}" for each in here] == case["found"]
    assert not case.get("says") or case["says"] in " ".join(each["evidence"] for each in here)
    assert all(each["remedy"] for each in here)
    assert case.get("remedy", "") in " ".join(each["remedy"] for each in here)
    assert not case.get("soon") or all(each["soon"] for each in here)


def test_two_servers_that_call_themselves_the_same_are_two():
    """As after a copied disk; the last one's state was told as that of both."""
    both = estate({"set": {"two:settings:host": "One.dc", "two:suffixes": {}}})
    found = RULES["ds_rules.conditions"](both, NOW)
    assert [each["server"] for each in found if each["what"] == "name"] == ["ldaps://one.dc", "ldaps://two.dc"]
    assert list(REPORT["ds_report.servers"](both)) == ["ldaps://one.dc", "ldaps://two.dc"]


def test_what_is_on_its_way_is_no_fault():
    """A target that lacks something is read again, with those that answered; one that is off is not asked twice."""
    late = estate({"set": {"their:ruv:replicas": {1: {"url": None, "max": "6b0c0115000400010000"}}}})
    off = {**server("three", 3, "one"), "server": "ldaps://three.dc", "fault": "does not run", "kind": "refused"}
    off.update(version=None, settings=None, suffixes={})
    answers, asked = [[*late, off], late, estate()], []

    def all_of(servers, login, timeout):
        asked.append(len(servers))
        return copy.deepcopy(answers.pop(0))

    waits = functions("onepass", __salt__={}, __opts__={"__cli": "salt-call"})
    salt = {**VALUES, **RULES, **REPORT, **waits, "ds_read.all_of": all_of}
    status = load("_modules/ds_replica.py", __salt__=salt, __context__={}).status
    needs = status(["ldaps://one.dc", "ldaps://two.dc", "ldaps://three.dc"])["needs"]
    assert (len(needs), asked) == (1, [3, 2, 2])
    assert needs[0].startswith("ldaps://three.dc: answers: does not run")


def test_a_server_of_two_addresses_is_one():
    """By its name and its start; two that only call themselves the same are two."""
    one, two = estate()
    again, other = {**copy.deepcopy(one), "server": "ldapi:///run/one"}, {**copy.deepcopy(one), "started": 1}
    late = {**copy.deepcopy(one), "server": "ldap://one.dc:390", "fault": "is there, but does not answer in 5 s"}
    distinct = RULES["ds_rules.distinct"]
    assert distinct([one, two, again]) == [one, two]
    assert distinct([one, other]) == [one, other]
    found = distinct([late, one, two])
    assert found[1:] == [one, two]
    said = [each for each in RULES["ds_rules.conditions"](found, NOW) if each["state"] != "ok"]
    assert [(each["server"], each["what"]) for each in said] == [("ldap://one.dc:390", "answers")]
    nobody = {**copy.deepcopy(one), "settings": None, "suffixes": {}}
    assert len(distinct([one, nobody, {**nobody, "server": "ldap://one.dc"}])) == 3


def test_each_remedy_is_a_thing_to_do():
    kinds = ("unknown", "off", "silent", "plain", "name", "untrusted", "expired", "broken")
    assert RULES["ds_rules.remedy_of_port"]("tls") == RULES["ds_rules.remedy_of_port"]("plain")
    assert len({RULES["ds_rules.remedy_of_port"](kind) for kind in kinds}) == len(kinds)


def test_a_report_names_each_server_and_agreement():
    servers = REPORT["ds_report.servers"](estate({"set": {"agreement:refresh": "start"}}))
    said = servers["one.dc:389"]["suffixes"][SUFFIX]["agreements"]["to two"]
    assert (said["to"], said["lag"], said["initialisation"]) == ("two.dc:389", 0, "armed")
    assert servers["two.dc:389"]["certificate"] == 300


def test_a_hundred_and_fifty_replicas_are_judged_in_no_time():
    """Each of 4 feeds all others; a case as large as the largest estates."""
    many = [server(f"ds{number}", number, "ds1") for number in range(150)]
    for one in many[:4]:
        held = one["suffixes"][SUFFIX]
        pattern = held["agreements"][0]
        held["agreements"] = [{**pattern, "name": f"to ds{n}", "host": f"ds{n}.dc"} for n in range(150)]
        held["ruv"]["replicas"] = {
            n: {"url": f"ldap://ds{n}.dc:389", "max": "6b0c1115000400010000"} for n in range(150)
        }
    found = RULES["ds_rules.conditions"](many, NOW)
    assert len([each for each in found if each["what"] == "in sync"]) == 4 * 150 + 146
    assert len(REPORT["ds_report.servers"](many)) == 150
