"""The MongoDB pillar: a table of bad ones, each with exactly its faults, and what follows from good ones."""

import copy
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from onepass_lib.core import form
from onepass_lib.mongo import schema
from salt.exceptions import CommandExecutionError

import tree

CASES = Path(__file__).with_name("cases")
EXAMPLE = tree.ROOT / "pillar" / "mongodb.sls"
SECRETS = ("hush", "42424242")
SECRET_PILLAR = {
    "auth": {"keyfile": "hush" * 8, "admin": {"password": "hush-admin"}},
    "users": {"teller": {"password": "hush-teller"}},
}
TRANSFERS = "databases:bank:collections:transfers"


def merged(one, other):
    both = dict(one)
    for key, value in other.items():
        both[key] = merged(both[key], value) if isinstance(both.get(key), dict) else value
    return both


PLAIN = yaml.safe_load(EXAMPLE.read_text())["mongodb"]
GOOD = merged(PLAIN, SECRET_PILLAR)


def table(name):
    return [pytest.param(case, id=case["case"]) for case in yaml.safe_load((CASES / name).read_text())]


def patched(case):
    """The pillar of a case, see the head of cases/bad_mongodb_pillar.yaml."""
    if "pillar" in case:
        return case["pillar"]
    wanted = case.get("set", {})
    if "arrays" in case:
        wanted = {**wanted, f"{TRANSFERS}:arrays": case["arrays"]}
    pillar = tree.patched(GOOD, {**case, "set": wanted})
    if "index" in case:
        pillar["databases"]["bank"]["collections"]["transfers"]["indexes"].append(case["index"])
    return pillar


def expected(case):
    """What a case expects, as sorted pairs of path and part of the message."""
    below = f"mongodb:{TRANSFERS}:indexes:2" if "index" in case else "mongodb"
    pairs = [
        (f"{below}:{path}".rstrip(":"), part)
        for path, parts in case["faults"].items()
        for part in (parts if isinstance(parts, list) else [parts])
    ]
    return sorted(pairs)


@pytest.fixture(scope="module")
def pillar():
    own = tree.functions("onepass", __pillar__={})
    rules = tree.functions(
        "mongo_rules", __salt__={**tree.functions("mongo_values"), **tree.functions("mongo_index_options")}
    )
    salt = {**rules, **tree.functions("mongo_options"), **own}
    return tree.load("_modules/mongo_pillar.py", __salt__=salt, __grains__={"id": "hq"}, __pillar__={})


# Bad pillars


@pytest.mark.parametrize("case", table("bad_mongodb_pillar.yaml"))
def test_bad_pillar_has_exactly_its_faults(pillar, case):
    found = sorted((each["path"], f"{each['fault']}; {each['remedy']}") for each in pillar.faults(patched(case)))
    wanted = expected(case)
    assert [path for path, _ in found] == [path for path, _ in wanted], found
    for path, part in wanted:
        assert any(part in message for place, message in found if place == path), (part, found)


@pytest.mark.parametrize("case", table("bad_mongodb_pillar.yaml"))
def test_no_message_shows_a_secret(pillar, case):
    with pytest.raises(CommandExecutionError) as caught:
        pillar.check(patched(case))
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


def test_the_table_is_as_long_as_promised():
    cases = table("bad_mongodb_pillar.yaml")
    assert len(cases) >= 60
    assert len({case.id for case in cases}) == len(cases)


def test_fifty_one_members(pillar):
    bad = copy.deepcopy(GOOD)
    bad["replsets"]["s1"]["members"] += [{"host": f"s1-{n}.dc", "priority": 0, "votes": 0} for n in range(48)]
    (found,) = pillar.faults(bad)
    assert (found["path"], found["fault"]) == ("mongodb:replsets:s1:members", "51 members")


def test_name_too_long_for_a_sharded_collection(pillar):
    bad = copy.deepcopy(GOOD)
    bad["databases"]["bank"]["collections"] = {"x" * 231: {"shard_key": {"a": 1}}, "x" * 232: {}}
    assert [each["fault"] for each in pillar.faults(bad)] == [
        f"the name '{'x' * 37}...' has 236 bytes together with its database, 235 are allowed when sharded"
    ]


def test_an_archives_name_says_what_its_server_takes(pillar):
    """No good case of the table: those are tried on a server that does not take it."""
    archive = "https://mirror.dc/mongodb-linux-x86_64-debian12-8.0.4.tgz"
    index = {"keys": {"tenant": 1, "attr.$**": 1}}
    good = merged(
        copy.deepcopy(GOOD), {"install": {"method": "archive", "source": archive, "source_hash": f"{archive}.sha256"}}
    )
    del good["version"]
    good["databases"]["bank"]["collections"]["transfers"]["indexes"] = [index]
    assert pillar.faults(good) == []


def test_faults_are_sorted_as_people_count(pillar):
    bad = copy.deepcopy(GOOD)
    bad["replsets"]["s1"]["members"] = [{"host": f"s1-{n}.dc", "votes": 3} for n in range(11)]
    numbers = [int(each["path"].split(":")[4]) for each in pillar.faults(bad)]
    assert numbers == list(range(11))


def test_report_is_one_block(pillar):
    bad = {**GOOD, "port": 0, "version": 8.0}
    with pytest.raises(CommandExecutionError) as caught:
        pillar.check(bad)
    assert str(caught.value).splitlines() == [
        "mongodb pillar: 2 faults",
        "  mongodb:port: is the number 0; the port of members and routers, 1 to 65535, default 27017",
        "  mongodb:version: is the number 8.0, not a string; the MongoDB series to install, in quotes: '8.0'",
    ]


def test_a_list_of_thousands_is_no_report_of_thousands(pillar):
    with pytest.raises(CommandExecutionError) as caught:
        pillar.check({**GOOD, "routers": list(range(5000))})
    lines = str(caught.value).splitlines()
    assert (lines[0], len(lines), lines[-1]) == ("mongodb pillar: 5000 faults", 102, "  and 4900 more")


def test_the_example_without_its_secrets_misses_just_them(pillar):
    assert [each["path"] for each in pillar.faults(PLAIN)] == [
        "mongodb:auth:admin:password",
        "mongodb:auth:keyfile",
        "mongodb:users:teller:password",
    ]


def test_without_jsonschema_it_is_said_what_to_install(pillar, monkeypatch):
    monkeypatch.setattr(form, "HAS_JSONSCHEMA", False)
    with pytest.raises(CommandExecutionError, match="salt-pip install 'jsonschema"):
        pillar.faults(GOOD)
    assert pillar.node("r1.dc", GOOD)["roles"] == ["router"]


# Good pillars


@pytest.mark.parametrize("case", table("good_mongodb_pillar.yaml"))
def test_good_pillar_has_no_fault(pillar, case):
    assert pillar.faults(patched(case)) == []


def test_summary(pillar):
    assert pillar.check(GOOD) == {
        "replica sets": 3,
        "members": 9,
        "routers": 2,
        "databases": 1,
        "collections": 1,
        "users": 1,
    }


@pytest.mark.parametrize(("minion", "missed"), [("s1a.dc", False), ("r2.dc", True), ("hq", True)])
def test_only_routers_and_strangers_need_the_users_passwords(pillar, monkeypatch, minion, missed):
    monkeypatch.setattr(pillar, "__grains__", {"id": minion})
    members = copy.deepcopy(GOOD)
    del members["users"]["teller"]["password"]
    if not missed:
        assert pillar.check(members)["users"] == 1
        return
    with pytest.raises(CommandExecutionError, match="mongodb:users:teller:password: is missing"):
        pillar.check(members)


def test_the_minions_own_pillar_is_the_default(pillar, monkeypatch):
    own = tree.functions("onepass", __pillar__={"mongodb": GOOD})
    monkeypatch.setattr(pillar, "__salt__", {**pillar.__salt__, **own})
    monkeypatch.setattr(pillar, "__grains__", {"id": "s1a.dc"})
    assert pillar.check()["members"] == 9
    assert pillar.node()["replsets"][0]["host"] == "s1a.dc:27017"


# What follows for minions


@pytest.mark.parametrize("case", table("mongodb_nodes.yaml"))
def test_node(pillar, case):
    got = pillar.node(case["minion"], patched(case))
    assert got["roles"] == case["roles"]
    for have, want in zip(got["replsets"], case.get("replsets", []), strict=True):
        assert {key: have[key] for key in want} == want
    assert (got["router"] or {}).items() >= case.get("router", {}).items()


def test_node_is_all_that_an_sls_needs(pillar):
    assert pillar.node("s1c.dc", GOOD) == {
        "roles": ["shard"],
        "replsets": [
            {
                "name": "s1",
                "role": "shard",
                "host": "s1c.dc:27017",
                "port": 27017,
                "members": [
                    {"host": "s1a.dc:27017"},
                    {"host": "s1b.dc:27017"},
                    {"host": "s1c.dc:27017", "priority": 0.5},
                ],
                "initiator": "s1a.dc:27017",
                "initiates": False,
                "remove_extra": False,
                "settings": {},
            }
        ],
        "router": None,
    }


def test_hosts(pillar):
    config, shard = ["cfg1.dc", "cfg2.dc", "cfg3.dc"], ["s1a.dc", "s1b.dc", "s1c.dc", "s2a.dc", "s2b.dc", "s2c.dc"]
    assert pillar.hosts(GOOD) == {
        "members": config + shard,
        "config": config,
        "shard": shard,
        "routers": ["r1.dc", "r2.dc"],
        "initiators": ["cfg1.dc", "s1a.dc", "s2a.dc"],
        "cluster": ["r1.dc"],
        "all": config + ["r1.dc", "r2.dc"] + shard,
        "gone": [],
    }


def test_places(pillar):
    more = copy.deepcopy(GOOD)
    more["routers"] += [7, {"host": "s1c.dc", "port": 1}]
    places = pillar.places(more)
    assert sorted(places) == pillar.hosts(GOOD)["all"]
    assert places["s1c.dc"] == "mongodb:replsets:s1:members:2"
    assert places["r2.dc"] == "mongodb:routers:1"


def test_collections(pillar):
    more = copy.deepcopy(GOOD)
    more["databases"]["audit"] = {"primary_shard": "s2", "collections": {"log": {"arrays": ["tags"]}}}
    assert pillar.collections(more) == {
        "databases": [{"name": "bank", "primary_shard": None}, {"name": "audit", "primary_shard": "s2"}],
        "collections": [
            {
                "name": "bank.transfers",
                "key": {"account": "hashed"},
                "unique": False,
                "indexes": [{"keys": {"account": 1, "when": -1}}, {"keys": {"reference": 1}}],
                "arrays": [],
            },
            {"name": "audit.log", "key": {}, "unique": False, "indexes": [], "arrays": ["tags"]},
        ],
    }


def test_nothing_derived_holds_a_secret(pillar):
    derived = [pillar.site(GOOD), pillar.node("r1.dc", GOOD), pillar.hosts(GOOD), pillar.collections(GOOD)]
    assert "hush" not in json.dumps(derived)


def places(value, where=()):
    """Every path of a pillar, itself first."""
    yield where
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in below:
        yield from places(each, (*where, key))


JUNK = [None, True, 7, -0.5, "", "junk", [], [None], [[]], {}, {"junk": {}}, {7: None}]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_junk_anywhere_is_a_fault_at_worst(pillar, junk):
    """Derivations never fail, and faults are told without a secret whatever stands wherever."""
    for where in places(GOOD):
        bad = copy.deepcopy(GOOD)
        holder = bad
        for step in where[:-1]:
            holder = holder[step]
        if where:
            holder[where[-1]] = copy.deepcopy(junk)
        else:
            bad = junk
        for derive in (pillar.site, pillar.hosts, pillar.collections, pillar.places, pillar.summary):
            derive(bad if bad is not None else {})
        assert set(pillar.node("s1a.dc", bad or {})) == {"roles", "replsets", "router"}
        assert "hush" not in json.dumps(pillar.faults(bad if bad is not None else {}))


# The schema itself


def parts(value):
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(each)


def test_schema_is_legal_and_explains_itself():
    jsonschema.Draft202012Validator.check_schema(schema.SCHEMA)
    named = [each for part in parts(schema.SCHEMA) for each in part.get("properties", {}).values()]
    assert len(named) > 60
    assert all("$ref" in each or "if" in each or each.get("description") for each in named)


def test_every_kind_of_fault_has_its_words():
    silent = {"$schema", "$defs", "title", "description", "properties", "items", "propertyNames"}
    used = {key for part in parts(schema.SCHEMA) if "description" in part for key in part}
    assert used - silent <= set(form.EXPLAIN)


def test_the_other_site_of_the_how_tos_has_no_fault_and_renders(module_loaders):
    modules = module_loaders.modules
    page = (tree.ROOT / "docs/howto.md").read_text()
    [block] = re.findall(
        r"^```yaml\n(# /srv/pillar/mongodb.sls of a small site\n.*?)^```", page, re.DOTALL | re.MULTILINE
    )
    site = yaml.safe_load(block)["mongodb"]
    site["auth"] = {"keyfile": "c2VjcmV0", "admin": {**site["auth"]["admin"], "password": "x"}}
    site["users"]["teller"]["password"] = "y"
    assert modules.mongo_pillar.faults(site) == []
    hosts = modules.mongo_pillar.hosts(site)["all"]
    assert len({host.partition(".")[2] for host in hosts}) == 2
    daemons = {host: modules.mongo_config.settings(host, site)["daemons"] for host in hosts}
    assert [each["name"] for each in daemons["x1.eu.corp"]] == ["mongod-cfg", "mongod-bronze", "mongos"]
    for each in daemons.values():
        ports = [daemon["config"]["net"]["port"] for daemon in each]
        assert len(set(ports)) == len(ports)
