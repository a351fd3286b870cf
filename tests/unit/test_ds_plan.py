"""What an administrator would type, by a pillar and what its servers say; and no plan loses anybody's data."""

import copy
import itertools
import re
import time
from pathlib import Path

import pytest
import test_ds_rules
import yaml
from hypothesis import given
from hypothesis import strategies as some

from tree import functions

SALT = {}
NAMES = ("onepass", "pillar_form", "estate_graph", "estate_ring", "ds_values", "ds_rules", "ds_report")
for name in (*NAMES, "ds_pillar", "ds_topology", "ds_plan", "ds_estate", "estate_status"):
    SALT.update(functions(name, __salt__=SALT, __pillar__={}, __opts__={}))
CASES = yaml.safe_load((Path(__file__).parent / "cases" / "ds_plans.yaml").read_text())
SUFFIX, MANAGER = "dc=bank,dc=example", "cn=replication manager,cn=config"
PILLAR = {
    "suffix": SUFFIX,
    "suppliers": {"one.dc": 1, "two.dc": 2},
    "readers": {"three.dc": ["one.dc", "two.dc"]},
    "replication": {"transport": "LDAP"},
}
ROLES = {"one": ("supplier", 1), "two": ("supplier", 2), "three": ("consumer", 65535)}
FEEDS = {"one": ("two", "three"), "two": ("one", "three"), "three": ()}


@pytest.fixture(autouse=True)
def now(monkeypatch):
    """The changes of the cases are of a moment ago."""
    monkeypatch.setattr(time, "time", lambda: test_ds_rules.NOW)


def server(name, generation="common", entries=10, **other):
    """A server as it is read: of a generation, ``None``: no replica, ``...``: no suffix."""
    one = test_ds_rules.server(name, ROLES[name][1], "nobody")
    one["settings"]["certificates"] = f"/etc/dirsrv/slapd-{name}"
    held = one["suffixes"][SUFFIX]
    agreement = held["agreements"][0]
    held["agreements"] = [{**agreement, "name": f"to {to}", "host": f"{to}.dc"} for to in FEEDS[name]]
    held["replica"].update(role=ROLES[name][0], managers=[MANAGER])
    held["ruv"].update(generation=generation)
    held.update(entries=entries)
    if generation is None:
        held.update(replica=None, ruv=None, agreements=[])
    if generation == "no suffix":
        one["suffixes"] = {}
    held["agreements"] = [] if other.pop("lonely", generation != "common") else held["agreements"]
    for path, value in other.items():
        holder = next(each for each in (held, held["replica"] or {}, one) if path in each)
        holder[path] = value
    held["agreements"] = [{**agreement, **each} for each in held["agreements"]]
    return one


def planned(seen, pillar=PILLAR):
    return SALT["ds_plan.steps"](seen, SALT["ds_pillar.wanted"](pillar))


def brief(step):
    """A command without what it always has."""
    text = step["command"].replace("dsconf ", "").replace(f"--suffix {SUFFIX} ", "").replace(f" --suffix {SUFFIX}", "")
    return re.sub(
        r" --bind-(dn|passwd|method) ('[^']*'|\"[^\"]*\"|\S+)| --conn-protocol LDAP| --(host|port) \S+", "", text
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_a_plan(case):
    seen = [server(name, **(each or {})) for name, each in case["seen"].items()]
    pillar = {**PILLAR, **case.get("pillar", {})}
    assert SALT["ds_pillar.faults"](pillar) == []
    found = planned(seen, pillar)
    if "refused" in case:
        assert found["steps"] == []
        assert len(found["refused"]) == len(case["refused"]), found["refused"]
        assert all(part in line for part, line in zip(case["refused"], found["refused"], strict=True)), found["refused"]
    else:
        assert found["refused"] == []
        assert [brief(step) for step in found["steps"]] == case["steps"]


def test_a_command_has_a_password_only_where_it_is_typed():
    pillar = {**PILLAR, "replication": {"transport": "STARTTLS", "password_file": "/etc/a file"}}
    first = planned([server("one", None), server("two", None, 1), server("three", None, 1)], pillar)["steps"]
    words = "\"$(cat '/etc/a file')\""
    assert first[0]["command"] == (
        f"dsconf one replication enable --suffix {SUFFIX} --role supplier --replica-id 1 "
        f"--bind-dn '{MANAGER}' --bind-passwd {words}"
    )
    assert first[3]["command"] == (
        f"dsconf one repl-agmt create --suffix {SUFFIX} --host two.dc --port 389 --conn-protocol StartTLS "
        f"--bind-method SIMPLE --bind-dn '{MANAGER}' --bind-passwd {words} 'to two.dc:389'"
    )
    lines = SALT["ds_plan.lines"]({"refused": [], "steps": first})["commands"]
    assert lines[5].endswith(
        "  # on one.dc: whether two.dc:389 has them; again until it says 'successfully initialized'"
    )


STATES = some.fixed_dictionaries(
    {
        "generation": some.sampled_from(["common", "other", "third", None, "no suffix"]),
        "entries": some.sampled_from([0, 1, 2, 10, None]),
    }
)


@given(
    some.fixed_dictionaries(dict.fromkeys(ROLES, STATES)),
    some.sets(some.sampled_from(["one.dc", "two.dc", "three.dc"])),
)
def test_no_plan_replaces_data_or_initialises_who_has_them_already(world, discard):
    """Whatever the servers hold: who is initialised has no entries of its own, or is named."""
    seen = [server(name, **each) for name, each in world.items()]
    pillar = {**PILLAR, **({"discard": sorted(discard)} if discard else {})}
    commands = [step["command"] for step in planned(seen, pillar)["steps"]]
    targets = [re.search(r"to (\w+)", each)[1] for each in commands if " repl-agmt init " in each]
    assert len(targets) == len(set(targets))
    generations = [each["generation"] for each in world.values() if each["generation"] not in (None, "no suffix")]
    for target in targets:
        state = world[target]
        blank = state["generation"] == "no suffix" or state["entries"] in (0, 1)
        assert blank or f"{target}.dc" in discard
        assert state["generation"] in (None, "no suffix") or generations.count(state["generation"]) == 1


def test_differences_are_those_that_are_made():
    """Each is made in an estate that is as the pillar has it, where there is none."""
    wanted = SALT["ds_pillar.wanted"]({**PILLAR, "purge_delay": "7d"})
    good = [server(name) for name in ROLES]
    assert {each["state"] for each in SALT["ds_topology.differences"](good, wanted)} == {"ok"}
    for change, what, said in DIFFERENCES:
        seen = copy.deepcopy(good)
        change({one["settings"]["host"].partition(".")[0]: one["suffixes"][SUFFIX] for one in seen}, seen)
        found = [each for each in SALT["ds_topology.differences"](seen, wanted) if each["state"] != "ok"]
        assert [each["what"] for each in found] == [f"pillar: {each}" for each in what], found
        assert said in str(found)
        assert all(each["remedy"] for each in found)


def cut(held, *names):
    for name in names:
        held[name]["agreements"] = [each for each in held[name]["agreements"] if each["name"] != "to three"]


def alike(number):
    return {**server("one"), "settings": {**server("one")["settings"], "host": f"ds{number}.dc"}}


DIFFERENCES = [
    (lambda held, seen: cut(held, "one"), ["agreement"], "none with three.dc:389"),
    (lambda held, seen: cut(held, "one", "two"), ["agreement", "agreement", "fed"], "nobody feeds it"),
    (
        lambda held, seen: held["one"]["agreements"][0].update(host="four.dc"),
        ["agreement", "agreement", "fed"],
        "none of it with four.dc",
    ),
    (lambda held, seen: held["one"]["agreements"][0].update(transport="SSL"), ["transport"], "speaks LDAPS"),
    (
        lambda held, seen: held["one"]["agreements"].append({**held["one"]["agreements"][0], "name": "b"}),
        ["agreement"],
        "has 2",
    ),
    (lambda held, seen: held["two"]["replica"].update(id=7), ["replica id"], "it has 7; the pillar has 2"),
    (lambda held, seen: held["two"]["replica"].update(role="hub"), ["role"], "it is a hub"),
    (lambda held, seen: held["two"]["replica"].update(managers=[]), ["manager"], "may not replicate"),
    (lambda held, seen: held["two"]["replica"].update(purge_delay=60), ["purge delay"], "kept 60 s"),
    (lambda held, seen: held["two"].update(replica=None), ["replica"], "not replicated"),
    (lambda held, seen: seen[1]["suffixes"].clear(), ["fed", "suffix"], "does not have it"),
    (
        lambda held, seen: held["one"]["ruv"]["replicas"].update(
            {9: {"url": "ldap://x:389", "max": "6b0c1115000400090000"}}
        ),
        ["id 9"],
        "ldap://x:389",
    ),
    (lambda held, seen: seen.append(alike(9)), ["server"], "as a supplier, and the pillar does not"),
    (lambda held, seen: seen.extend(map(alike, range(9, 28))), ["server"] * 19 + ["suppliers"], "there are 21"),
]


# 150 replicas


def large():
    """4 suppliers in a mesh, 8 hubs, 138 readers, each of them fed by two: the pillar, and an answer of each minion."""
    suppliers, hubs = [f"ds{n}.dc" for n in range(1, 5)], [f"hub{n}.dc" for n in range(1, 9)]
    pillar = {
        "suffix": SUFFIX,
        "suppliers": {name: number for number, name in enumerate(suppliers, 1)},
        "hubs": {name: [suppliers[n % 4], suppliers[(n + 1) % 4]] for n, name in enumerate(hubs)},
        "readers": {f"ro{n:03}.branch.dc": [hubs[n % 8], hubs[(n + 1) % 8]] for n in range(138)},
    }
    wanted = SALT["ds_pillar.wanted"](pillar)
    answers = {}
    for number, (name, replica) in enumerate(wanted["replicas"].items()):
        one = server("one")
        held = one["suffixes"][SUFFIX]
        one["settings"].update(host=replica["host"])
        held["replica"].update(role=replica["role"], id=replica["id"] or 65535)
        agreement = {**held["agreements"][0], "port": 636, "transport": "LDAPS"}
        fed = [target for source, target in wanted["edges"] if source == name]
        held["agreements"] = [{**agreement, "name": f"to {to}", "host": to.partition(":")[0]} for to in fed]
        held["ruv"]["replicas"] = {
            n: {"url": f"ldap://ds{n}.dc:389", "max": f"6b0c1115000400{n:02x}0000"[:20]} for n in range(1, 5)
        }
        answers[replica["host"]] = [SALT["ds_report.packed"](one, 1795952930.0 + number % 3)]
    return pillar, answers


def test_a_hundred_and_fifty_replicas_have_their_status_and_their_picture():
    """What it costs is counted in the processor's time: the machine's load is no part of it."""
    pillar, answers = large()
    answers["ro007.branch.dc"] = False
    answers["ro008.branch.dc"][0]["suffixes"][SUFFIX]["ruv"]["replicas"][0]["max"] = "6b0b1115000400010000"
    hub = answers["hub1.dc"][0]["suffixes"][SUFFIX]["agreements"]
    hub.pop()
    began = time.process_time()
    assert len(SALT["ds_estate.again"]([answers], pillar)[0]["minions"]) == 149
    found = SALT["ds_estate.seen"]([answers, answers], pillar)
    told = SALT["estate_status.told"]({"ds389": found})
    picture = SALT["estate_ring.picture"](SALT["ds_estate.drawn"](pillar)["rings"], found["states"])
    assert time.process_time() - began < 3
    assert (told["data"]["code"], found["silent"], found["fault"]) == (1, ["ro007.branch.dc"], None)
    assert len([line for line in found["broken"] if "65536 s behind" in line]) == 2
    assert len(found["broken"]) == 2
    assert [line for line in found["behind"] if "it has none with ro" in line] == found["behind"]
    assert len(told["text"].splitlines()) < 20
    assert picture.count("<circle") == 138
    assert picture.count("stroke-dasharray") == 1
    assert "\u2717" in picture


def test_states_are_signed_as_well_as_coloured():
    drawn = SALT["ds_estate.drawn"](PILLAR)["rings"]
    signs = {"ok": "\u2713", "changed": "!", "broken": "\u2717", "silent": "?"}
    for state, sign in signs.items():
        picture = SALT["estate_ring.picture"](drawn, {"one.dc:389": state, "one.dc:389 > two.dc:389": state})
        assert f">{sign} one.dc (1)<" in picture
    plain = SALT["estate_ring.picture"](drawn)
    assert ">one.dc (1)<" in plain
    assert not [sign for sign in signs.values() if sign in plain]


def test_names_of_a_picture_do_not_lie_on_each_other():
    """Whatever their number: boxes of a ring have room beside each other, and radial names a line's height."""
    for count in (1, 2, 3, 24, 25, 60, 150):
        nodes = [{"id": str(n), "text": f"ro{n:03}.branch.dc"} for n in range(count)]
        [ring] = SALT["estate_ring.picture"].__globals__["_placed"]([nodes], [])
        places = [at for _, at in ring["nodes"]]
        nearest = min((abs(a - b) for a, b in itertools.combinations(places, 2)), default=1000)
        assert nearest >= (100 if ring["boxed"] and count > 2 else 13)


def test_clocks_are_compared_with_each_other():
    answers = {name: [SALT["ds_report.packed"](server(name), 1000.0 + 300 * (name == "two"))] for name in ROLES}
    found = SALT["ds_estate.seen"]([{f"{name}.dc": each for name, each in answers.items()}], PILLAR)
    assert [line for line in found["broken"] if "clock" in line] == [
        "two.dc:389: clock: 300 s ahead of most of the others; correct the clock before anything else is written "
        "there: see chronyc tracking"
    ]


def test_what_a_source_had_before_is_what_counts():
    """At the second look it has more: that is on its way, however long ago the change before was."""
    first = [server(name) for name in ROLES]
    then = copy.deepcopy(first)
    for one in then[:1]:
        one["suffixes"][SUFFIX]["ruv"]["replicas"][1]["max"] = "6b0d1115000400010000"
    assert SALT["ds_rules.behind"](then) is True
    assert SALT["ds_rules.behind"](SALT["ds_rules.again"](first, then)) is False
    assert SALT["ds_rules.behind"](SALT["ds_rules.again"](then, then)) is True


@pytest.mark.parametrize(
    "told, words",
    [
        ("This host has no 389 Directory Server", "two.dc: This host has no 389"),
        ([], "two.dc:389: no server of its host has that name and port"),
    ],
)
def test_a_host_without_its_server_is_named(told, words):
    answers = {f"{name}.dc": [SALT["ds_report.packed"](server(name), 1.0)] for name in ROLES}
    found = SALT["ds_estate.seen"]([{**answers, "two.dc": told}], PILLAR)
    assert [line for line in found["broken"] if line.startswith(words)]
    assert found["states"]["two.dc:389"] == "broken"


def test_a_silent_host_is_silent():
    found = SALT["ds_estate.seen"](
        [{"one.dc": [SALT["ds_report.packed"](server("one"), 1.0)], "two.dc": False}], PILLAR
    )
    assert found["silent"] == ["two.dc", "three.dc"]
    assert (found["states"]["two.dc:389"], found["states"]["one.dc:389"]) == ("silent", "ok")


def test_a_pillar_that_is_none_is_a_fault_of_the_look():
    assert "onepass.check ds389" in SALT["ds_estate.seen"]([], {"suffix": 5})["fault"]
    assert SALT["ds_estate.drawn"]({"suffix": 5})["rings"]["rings"]
