"""The estate by area: what to ask of whom, what the answers mean, and the picture of it all."""

import re
import subprocess

import pytest
import yaml

from tree import ROOT, functions

SALT = {}
for name in (
    "onepass",
    "pillar_form",
    "estate_graph",
    "mongo_pillar",
    "mongo_options",
    "mongo_config",
    "neutron_rules",
    "dnsmasq_fwd",
    "estate_status",
    "estate_ring",
    *("ds_values", "ds_rules", "ds_report", "ds_pillar", "ds_topology"),
):
    SALT.update(functions(name, __salt__=SALT, __pillar__={}, __opts__={}))
for name in (
    "branch_guests",
    "branch_pillar",
    "branch_fleet",
    "mongo_estate",
    "neutron_estate",
    "branch_estate",
    "ds_estate",
):
    SALT.update(functions(name, __salt__=SALT, __opts__={}))

PILLAR = {
    key: yaml.safe_load((ROOT / f"pillar/{file}.sls").read_text())[key]
    for key, file in (("mongodb", "mongodb"), ("openstack", "openstack"), ("branches", "branches"))
}
PILLAR["branches"]["directory"] = str(ROOT / "pillar/branch")
PILLAR["ds389"] = {"suffix": "dc=bank", "suppliers": {"ds1.dc": 1, "ds2.dc": 2}, "readers": {"ds3.dc": ["ds1.dc"]}}
AREAS = {"mongodb": "mongo_estate", "openstack": "neutron_estate", "branches": "branch_estate", "ds389": "ds_estate"}
MEMBERS = {"s1a.dc:27017": "PRIMARY", "s1b.dc:27017": "SECONDARY", "s1c.dc:27017": "(not reachable/healthy)"}
TOPOLOGY = {
    "config": {"primary": "cfg1.dc:27017", "members": {"cfg1.dc:27017": "PRIMARY"}},
    "shards": {"s1": {"primary": "s1a.dc:27017", "members": MEMBERS}},
    "collections": {"bank.transfers": {"key": {"account": "hashed"}, "chunks": {"s1": 2}}},
}
OK, REPAIRABLE = (
    {"state": "ok", "evidence": "as wanted"},
    {"state": "repairable", "evidence": "gone", "remedy": "apply"},
)
BROKEN = {"state": "broken", "evidence": "no device has 192.0.2.30", "remedy": "see there"}


WELL = {
    "config": {"primary": "cfg1.dc:27017", "members": {f"cfg{n}.dc:27017": "SECONDARY" for n in (2, 3)}},
    "shards": {
        name: {
            "primary": f"{name}a.dc:27017",
            "members": {f"{name}{letter}.dc:27017": "SECONDARY" for letter in "bc"},
            "lag": {f"{name}{letter}.dc:27017": 0 for letter in "bc"},
        }
        for name in ("s1", "s2")
    },
    "collections": {},
}
for each in (WELL["config"], *WELL["shards"].values()):
    each["members"][each["primary"]] = "PRIMARY"


def unit(**other):
    return {"active": True, "replset": "s9", "port": 27017, "data": "/var/lib/mongodb/s9", **other}


def asked(area):
    return SALT[f"{AREAS[area]}.questions"](PILLAR[area])


def seen(area, *answers):
    return SALT[f"{AREAS[area]}.seen"](list(answers), PILLAR[area])


def drawn():
    return [SALT[f"{module}.drawn"](PILLAR[area]) for area, module in AREAS.items()]


@pytest.mark.parametrize(
    "area, malformed",
    [
        ("openstack", {"projects": "x"}),
        ("openstack", {"projects": {"a": {"vlan": 12, "cidr": [[]]}, "b": {"vlan": True}, 7: {"vlan": 5}}}),
        ("openstack", {"cloud": {"a": 1}, "projects": {"a": {"vlan": 12, "cidr": "10.0.0.0/24"}}}),
        ("mongodb", {"replsets": {1: {"members": ["a"]}, "s1": {"members": [5]}}, "databases": {2: {}}}),
        ("branches", {"rings": [["a", 5]]}),
        ("ds389", {"suppliers": {1: 1, "a": "b"}, "readers": {"c": ["d", 5]}, "topology": [[5]]}),
        ("branches", None),
    ],
)
def test_a_pillar_that_nobody_has_checked_is_drawn_as_far_as_it_goes(area, malformed):
    assert SALT["estate_graph.dot"]("t", [SALT[f"{AREAS[area]}.drawn"](malformed)]).startswith("digraph")


# MongoDB


def test_the_first_router_is_asked_for_the_cluster_and_every_host_for_its_units():
    units, topology = asked("mongodb")
    assert (len(units["minions"]), units["function"]) == (11, "mongo_units.there")
    assert (topology["minions"], topology["function"]) == (["r1.dc"], "mongo_shard.topology")
    assert topology["arg"] == [{"host": "localhost", "port": 27017, "credentials": "mongodb:auth:admin"}]


def test_a_clusters_sets_are_told_with_their_members():
    found = seen("mongodb", {**EVERYBODY, "s2a.dc": False}, {"r1.dc": TOPOLOGY})
    assert found["lines"] == {
        "config servers": "cfg1.dc:27017 PRIMARY",
        "shard s1": "s1a.dc:27017 PRIMARY, s1b.dc:27017 SECONDARY, s1c.dc:27017 (not reachable/healthy)",
        "collection bank.transfers": "sharded on account: hashed; chunks: 2 on s1",
    }
    assert (found["silent"], found["fault"]) == (["s2a.dc"], None)
    assert found["broken"] == ["shard s1: s1c.dc:27017 is (not reachable/healthy)"]
    assert found["data"]["sets"]["s1"]["members"]["s1a.dc:27017"] == {"state": "PRIMARY", "lag": None}
    states = [found["states"][thing] for thing in ("s1a.dc:27017", "s1c.dc:27017", "s2a.dc", "r1.dc")]
    assert states == ["ok", "broken", "silent", "ok"]


EVERYBODY = {minion: {} for minion in asked("mongodb")[0]["minions"]}


def changed(**shard):
    return {**WELL, "shards": {**WELL["shards"], "s1": {**WELL["shards"]["s1"], **shard}}}


S1 = {"s1a.dc:27017": "PRIMARY", "s1b.dc:27017": "SECONDARY"}
BEHIND = [
    ({}, changed(members={**S1, "S1C.dc:27017": "SECONDARY"}), []),
    (
        {},
        changed(members={**S1, "s1d.dc:27017": "SECONDARY"}),
        ["shard s1: s1c.dc:27017 is not a member yet", "shard s1: s1d.dc:27017 is not in the pillar"],
    ),
    ({}, changed(lag={"s1b.dc:27017": 31}), ["shard s1: s1b.dc:27017 lags 31 s behind the primary"]),
    ({}, changed(lag={"s1b.dc:27017": 30}), []),
    (
        {},
        changed(unlike=["s1x.dc:27017 is no member any more"]),
        ["shard s1: config.shards: s1x.dc:27017 is no member any more"],
    ),
    ({}, {**WELL, "shards": {"s1": WELL["shards"]["s1"]}}, ["shard s2 is not in the cluster yet"]),
    ({"s1a.dc": {"mongod-s1": unit()}, "r1.dc": {"mongos": unit(replset=None)}}, WELL, []),
    (
        {"s1a.dc": {"mongod-s9": unit(), "mongos": unit(active=False)}},
        WELL,
        [
            "s1a.dc: mongod-s9 (runs), mongos (does not run): serves nothing in the pillar; mongodb:gone removes it",
        ],
    ),
    (
        {"s1a.dc": "'mongo_units.there' is not available."},
        WELL,
        [
            "s1a.dc: its units are not known ('mongo_units.there' is not available.); a run brings the modules",
        ],
    ),
]


@pytest.mark.parametrize("units, topology, behind", BEHIND)
def test_what_is_not_as_the_pillar_has_it_is_behind(units, topology, behind):
    found = seen("mongodb", {**EVERYBODY, **units}, {"r1.dc": topology})
    assert (found["behind"], found["broken"], found["silent"]) == (behind, [], [])


def test_sets_that_may_not_lose_a_member_are_asked_about():
    [question] = SALT["mongo_estate.doubts"](PILLAR["mongodb"])
    assert (question["function"], len(question["minions"]), list(question["arg"][0])) == (
        "mongo_daemon.extras",
        9,
        ["cfg", "s1", "s2"],
    )
    free = {name: {**each, "remove_extra": True} for name, each in PILLAR["mongodb"]["replsets"].items()}
    assert SALT["mongo_estate.doubts"]({**PILLAR["mongodb"], "replsets": free}) == []


def test_a_member_that_is_not_listed_is_refused():
    answers = [{"s1a.dc": {"s1": ["s1x.dc:27017"], "s2": []}, "s2a.dc": "'mongo_daemon.extras' is not available."}]
    [fault] = SALT["mongo_estate.refused"](answers, PILLAR["mongodb"])
    assert fault["path"] == "mongodb:replsets:s1:members"
    assert "s1x.dc:27017" in fault["fault"]
    assert "remove_extra: true" in fault["remedy"]


def test_a_member_at_another_port_is_not_to_be_removed():
    answers = [{"s1a.dc": {"s1": ["S1A.dc:27018", "s1x.dc:27017"]}}]
    moved, gone = SALT["mongo_estate.refused"](answers, PILLAR["mongodb"])
    assert ("S1A.dc:27018" in moved["fault"], "remove_extra" in moved["remedy"]) == (True, False)
    assert "s1x.dc:27017" in gone["fault"]


def test_a_set_without_a_primary_is_a_fault():
    found = seen("mongodb", EVERYBODY, {"r1.dc": changed(members={"s1b.dc:27017": "SECONDARY"})})
    assert "shard s1: no member is primary" in found["broken"]


def test_a_host_whose_daemon_is_to_go_is_asked_too():
    gone = [{"host": "x2.dc", "unit": "mongod-s1"}]
    questions = SALT["mongo_estate.questions"]({**PILLAR["mongodb"], "gone": gone})
    assert "x2.dc" in questions[0]["minions"]


@pytest.mark.parametrize(
    "answer, words", [({}, "r1.dc does not answer"), ({"r1.dc": "no login"}, "from r1.dc: no login")]
)
def test_a_cluster_that_cannot_be_looked_at_is_a_fault(answer, words):
    assert words in seen("mongodb", {}, answer)["fault"]


# Before the first run

LACKS = "'{}' is not available."


def told(area, *answers):
    found = seen(area, *answers)
    status = SALT["estate_status.told"]({area: found})
    return status["data"]["code"], status["data"][area], status["text"]


@pytest.mark.parametrize("units", [LACKS.format("mongo_units.there"), {}])
@pytest.mark.parametrize("topology", [LACKS.format("mongo_shard.topology"), "localhost:27017: refused"])
def test_a_cluster_that_no_run_has_built_is_no_fault(units, topology):
    code, data, text = told("mongodb", dict.fromkeys(EVERYBODY, units), {"r1.dc": topology})
    assert (code, data["faults"], data["silent"]) == (3, [], [])
    assert data["behind"] == ["nothing is built yet: salt-run onepass.run orchestrate.mongodb"]
    assert text.splitlines() == ["mongodb", f"  behind  {data['behind'][0]}"]


def test_a_cluster_of_which_one_host_has_a_unit_is_built():
    units = {**dict.fromkeys(EVERYBODY, {}), "s1a.dc": {"mongod-s1": unit()}}
    assert told("mongodb", units, {"r1.dc": "localhost:27017: refused"})[0] == 1


def test_hosts_of_a_branch_without_modules_are_not_built_yet():
    lacks = LACKS.format("bridge_nat.check")
    code, data, text = told("branches", {"gw.salta": lacks, "ws001.salta": lacks, "ws002.salta": None})
    assert (code, data["faults"], "ws002.salta" in data["silent"]) == (2, [], True)
    assert data["branches"]["salta"] == {"ok": 0, "changed": 0, "blank": 2, "silent": 1, "broken": 0}
    run = "salt-run onepass.run orchestrate.branches"
    assert f"2 not built yet (gw.salta, ws001.salta): {run}, 1 silent (ws002.salta)" in text


def test_a_cloud_whose_minion_has_no_modules_is_not_looked_at_yet():
    pillar = {**PILLAR["openstack"], "minion": "api.dc"}
    found = SALT["neutron_estate.seen"]([{"api.dc": LACKS.format("neutron_vlan.plan")}], pillar)
    assert (found["fault"], found["broken"], found["silent"]) == (None, [], [])
    assert "nothing is built yet, api.dc has no modules" in found["behind"][0]


# All areas in one: the exit code


LOOKED_AT = {
    "lines": {},
    "states": {},
    "silent": [],
    "fault": None,
    "broken": [],
    "behind": [],
    "named": [],
    "data": {},
}


@pytest.mark.parametrize(
    "parts, code, numbers",
    [
        ([{}], 0, (0, 0, 0)),
        ([{"fault": "the cluster cannot be looked at"}], 1, (1, 0, 0)),
        ([{"behind": ["a lags"]}, {"broken": ["b is DOWN"], "silent": ["c.dc"]}], 1, (1, 1, 1)),
        ([{"silent": ["c.dc", "d.dc"]}, {"behind": ["a lags"]}], 2, (0, 2, 1)),
        ([{"behind": ["a lags", "b lags"]}], 3, (0, 0, 2)),
    ],
)
def test_the_worst_of_all_areas_is_the_code(parts, code, numbers):
    areas = {f"area {number}": {**LOOKED_AT, **part} for number, part in enumerate(parts)}
    data = SALT["estate_status.told"](areas)["data"]
    assert (data["code"], tuple(data[kind] for kind in ("faults", "silent", "behind"))) == (code, numbers)
    assert sum(len(data[area]["silent"]) for area in areas) == data["silent"]


def test_who_is_named_in_a_line_stands_there_only():
    found = seen("branches", {"gw.salta": {"a": OK}, "ws001.salta": {"a": OK}, "ws002.salta": None})
    text = SALT["estate_status.told"]({"branches": found})["text"]
    assert text.count("ws002.salta") == 1
    mongodb = seen("mongodb", {**EVERYBODY, "s2a.dc": False}, {"r1.dc": WELL})
    text = SALT["estate_status.told"]({"mongodb": mongodb})["text"]
    assert re.search(r"^  silent +s2a.dc$", text, re.MULTILINE)


# Branches

IN_WORDS = ("as wanted", "to be repaired", "not built", "silent", "broken")


@pytest.mark.parametrize(
    "answers, line, state",
    [
        ({"ws001.salta": {"a": OK}, "ws002.salta": {"a": OK}}, "3 as wanted", "ok"),
        (
            {"ws001.salta": {"a": OK, "b": REPAIRABLE}, "ws002.salta": None},
            "1 as wanted, 1 to be repaired by the state (ws001.salta), 1 silent (ws002.salta)",
            "silent",
        ),
        (
            {"ws001.salta": {"a": REPAIRABLE, "public address": BROKEN}, "ws002.salta": "no such function"},
            "1 as wanted, 2 broken (ws001.salta, ws002.salta; ws001.salta: public address: no device has 192.0.2.30)",
            "broken",
        ),
        (
            {"ws001.salta": {"retcode": "none"}, "ws002.salta": {"a": OK}},
            "2 as wanted, 1 broken (ws001.salta; ws001.salta: {'retcode': 'none'})",
            "broken",
        ),
    ],
)
def test_a_branch_is_told_in_a_line(answers, line, state):
    found = seen("branches", {"gw.salta": {"a": OK}, **answers})
    assert found["lines"]["salta"] == line
    assert found["states"]["branch salta"] == state
    assert "ws017.rosario" in found["silent"]
    counts = found["data"]["branches"]["salta"]
    assert sum(counts.values()) == 3
    assert [number > 0 for number in counts.values()] == [words in line for words in IN_WORDS]


def test_no_branch_to_look_at_is_a_fault_and_no_question_to_the_master():
    pillar = {**PILLAR["branches"], "rings": [["nobody"]]}
    assert SALT["branch_estate.questions"](pillar) == []
    assert "salt-run onepass.check branches" in SALT["branch_estate.seen"]([], pillar)["fault"]


# OpenStack


@pytest.mark.parametrize("minion, asked", [({}, []), ({"minion": "api.dc"}, ["api.dc"])])
def test_whoever_is_asked_is_given_the_table_that_the_answer_is_read_by(minion, asked):
    [question] = SALT["neutron_estate.questions"]({**PILLAR["openstack"], **minion})
    assert (question["minions"], question["arg"]) == (asked, [{**PILLAR["openstack"], **minion}])


def test_the_master_itself_is_asked_when_the_table_names_no_minion():
    [question] = asked("openstack")
    assert (question["minions"], question["function"]) == ([], "neutron_vlan.plan")
    assert question["arg"][0]["cloud"] == "bank"


def test_projects_are_told_with_what_differs():
    plan = {
        "tellers": {"result": "same", "fields": {}, "why": []},
        "vault": {"result": "drift", "fields": {"vlan": {"old": 10, "new": 13}}, "why": ["on_drift is refuse"]},
        "cashpoints": {"result": "create", "fields": {"vlan": {"old": None, "new": 14}}, "why": []},
    }
    found = seen("openstack", {"": plan})
    assert found["lines"] == {
        "tellers": "VLAN 12, as wanted",
        "vault": "VLAN 13, drift: vlan 10 -> 13: on_drift is refuse",
        "cashpoints": "VLAN 14, create",
    }
    assert list(found["states"].values()) == ["ok", "changed", "changed"]


def test_a_cloud_that_cannot_be_looked_at_is_a_fault():
    assert "from the master: no clouds.yaml" in seen("openstack", {"": "no clouds.yaml"})["fault"]


# The picture


def picture(areas, states=None):
    """What dot makes of it; a word of dot's own is a failure."""
    source = SALT["estate_graph.dot"]("The <bank> & co", areas, states)
    done = subprocess.run(["dot", "-Tsvg"], input=source, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return SALT["estate_graph.page"](done.stdout, "The <bank> & co")


def test_everything_in_the_pillar_is_in_the_picture():
    page = picture(drawn()).replace("&#160;", " ")
    for words in (
        "cfg1.dc",
        "s2c.dc",
        "r1.dc",
        "bank.transfers",
        "12  tellers",
        "10.14.0.0/22",
        "ws017",
        "10.20.31.12",
    ):
        assert words in page


def test_a_cluster_of_config_servers_alone_is_drawn():
    mongodb = {"replsets": {"cfg": PILLAR["mongodb"]["replsets"]["cfg"]}}
    assert "config servers cfg" in picture([SALT["mongo_estate.drawn"](mongodb)]).replace("&#160;", " ")


def test_the_page_asks_nothing_of_the_network():
    assert set(re.findall(r"https?://[^\s\"<]*", picture(drawn()))) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_what_was_seen_colours_what_is_drawn():
    colour = SALT["estate_graph.dot"].__globals__["STATES"]["broken"][0]
    plain, seen_broken = picture(drawn()), picture(drawn(), {"s1a.dc:27017": "broken", "gw.salta": "broken"})
    assert colour not in plain
    assert seen_broken.count(f'fill="{colour}"') == 3  # both, and the legend


def test_many_branches_are_a_cell_each(tmp_path):
    for number in range(50):
        (tmp_path / f"b{number:02d}.sls").write_text(
            f"branch: {{name: b{number:02d}, cidr: 10.20.{number}.0/24,"
            f" hosts: {{ws1: {{number: 1,"
            f" vm: {{name: w, ip: 10.20.{number}.9, mac: '52:54:00:00:00:{number:02x}'}}}}}},"
            f" gateway: {{host: gw, lan: eth0, ip: 10.20.{number}.1, public: 192.0.2.{number + 1}}}}}"
        )
    rings = [[path.stem for path in sorted(tmp_path.glob("*.sls"))]]
    area = SALT["branch_estate.drawn"]({"rings": rings, "directory": str(tmp_path)})
    [table] = area["tables"]
    assert table["title"] == "50 branches, 50 hosts"
    assert len({len(row) for row in table["rows"]}) == 1
    assert picture([area], {"branch b07": "silent"})


def test_pictures_one_under_the_other_are_one():
    """Each at its own size: the whole is as wide as the widest, and as high as all of them."""
    one = '<svg width="30pt" height="10pt" viewBox="0 0 30 10" xmlns="x"><rect width="5pt"/></svg>'
    rings = SALT["ds_estate.drawn"](PILLAR["ds389"])["rings"]
    other = SALT["estate_ring.picture"](rings)
    wide, high = (float(re.search(rf'{side}="([0-9]+)pt', other)[1]) for side in ("width", "height"))
    whole = SALT["estate_graph.stacked"]([one, other])
    assert f'viewBox="0 0 {wide} {high + 10}"' in whole
    assert '<svg y="0" width="30" height="10" viewBox' in whole
    assert '<svg y="10.0" ' in whole
    assert SALT["estate_graph.stacked"]([one]) == one
