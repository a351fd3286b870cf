"""A plan for people: what is alike is told once, in a terminal's columns and as a ticket's text."""

import html
import re

import pytest
import test_orchestration_changes as changes
from test_orchestration import orchestration, state, step, tag

import tree

plan = tree.load("_modules/orchestration_plan.py")
SITE = {"m1.dc": ["cfg", "gold"], "m2.dc": ["cfg", "gold", "silver"], "x1.eu": ["bronze"]}


def setting(number, unit):
    """A daemon that gets another cache, and a restart for it."""
    file, service = (
        f"/etc/mongodb/{unit}.conf",
        {f"daemon {unit}": {"old": "with its former files", "new": "restarted"}},
    )
    return {
        tag("file", f"mongodb-{unit}-config", "serialize"): {
            **state(number, f"mongodb-{unit}-config", None, changes.CACHE),
            "name": file,
        },
        tag("mongo_daemon", f"mongodb-{unit}-current", "current"): state(
            number + 1, f"mongodb-{unit}-current", None, service
        ),
    }


def planned(answers, **more):
    found = orchestration.plan({"a": step(0, "mongodb-daemons", None, answers)})
    return {**found, "hash": "abc", **more}


def host_of(sets):
    parts = [setting(2 * number, f"mongod-{name}") for number, name in enumerate(sets)]
    return {key: each for part in parts for key, each in part.items()}


CACHE = planned({host: host_of(sets) for host, sets in SITE.items()})
WIDE = """orchestrate.mongodb would make 12 changes on 3 hosts

phase            hosts                change
mongodb-daemons  m1.dc, m2.dc, x1.eu  mongod-*.conf: cacheSizeGB 0.25 -> 0.3 (* is cfg, gold, silver, bronze)
  12 changes                          restart: mongod-* (* is cfg, gold, silver, bronze)

To run exactly this: salt-run onepass.run orchestrate.mongodb plan=abc"""
NARROW = """orchestrate.mongodb would make 12 changes on 3 hosts

mongodb-daemons: 12 changes
  m1.dc, m2.dc, x1.eu
    mongod-*.conf: cacheSizeGB 0.25 -> 0.3 (* is cfg, gold,
      silver, bronze)
    restart: mongod-* (* is cfg, gold, silver, bronze)

To run exactly this:
  salt-run onepass.run orchestrate.mongodb plan=abc"""
MARKDOWN = r"""**orchestrate.mongodb would make 12 changes on 3 hosts**

| phase | hosts | change |
| --- | --- | --- |
| mongodb-daemons: 12 changes | m1.dc, m2.dc, x1.eu | mongod-\*.conf: cacheSizeGB 0.25 -\> 0.3 {names} |
|  |  | restart: mongod-\* {names} |

To run exactly this: `salt-run onepass.run orchestrate.mongodb plan=abc`""".replace(
    "{names}", r"(\* is cfg, gold, silver, bronze)"
)


@pytest.mark.parametrize(
    "width, form, said", [(120, "text", WIDE), (60, "text", NARROW), *((n, "markdown", MARKDOWN) for n in (60, 120))]
)
def test_a_changed_setting(width, form, said):
    assert plan.told("orchestrate.mongodb", CACHE, width, form) == said


def test_all_of_it_on_request():
    lines = plan.told("orchestrate.mongodb", CACHE, 120, full=True).splitlines()
    assert "mongodb-mongod-cfg-config: mongod-cfg.conf: cacheSizeGB 0.25 -> 0.3" in lines[3]
    assert len([line for line in lines if "0.25 -> 0.3" in line]) == 6


def test_a_value_is_no_name():
    """Sets whose settings differ are not told together, and neither are hosts."""
    answers = {}
    for host, value in (("m1.dc", "0.3"), ("m2.dc", "0.4")):
        given = setting(0, f"mongod-{host[:2]}")
        given[next(iter(given))]["changes"] = changes.diff(changes.GONE, [f"      cacheSizeGB: {value}"])
        answers[host] = given
    said = plan.told("orchestrate.mongodb", planned(answers), 120)
    assert "mongod-m1.conf: cacheSizeGB 0.25 -> 0.3" in said
    assert "mongod-m2.conf: cacheSizeGB 0.25 -> 0.4" in said
    assert "restart: mongod-* (* is m1, m2)" in said or "restart: mongod-HOST" in said


def test_hosts_that_differ_in_an_address_of_their_own_are_one_where_they_are_many():
    def host(number):
        given = {
            "bridge virbr0": {"old": None, "new": f"MAC 02:fc:00:00:00:0{number}"},
            f"169.254.0.{number}/16 on virbr0": {"old": None, "new": "present"},
        }
        return {tag("bridge_nat", "branch-workstation", "workstation"): state(0, "branch-workstation", None, given)}

    four = plan.told("orchestrate.branches", planned({f"ws00{n}.salta": host(n) for n in range(1, 5)}), 120)
    assert "bridge virbr0: MAC ADDRESS\n" in four
    assert "new: ADDRESS/16 on virbr0\n" in four
    two = plan.told("orchestrate.branches", planned({f"ws00{n}.salta": host(n) for n in (1, 2)}), 120)
    assert "MAC 02:fc:00:00:00:02" in two


def test_what_is_of_a_kind_is_a_line():
    blank = {
        tag("user", "account", "present"): state(0, "account", None, comment="User mongodb set to be added"),
        tag("file", "a", "managed"): {**state(1, "a", None, {"newfile": "/etc/a"}), "name": "/etc/a"},
        tag("file", "b", "managed"): {**state(2, "b", None, {"newfile": "/etc/b"}), "name": "/etc/b"},
        tag("service", "c", "running"): state(3, "c", None, comment="Service is set to be started"),
    }
    said = plan.told("orchestrate.mongodb", planned({"m1.dc": blank}), 60).splitlines()
    assert said[4:6] == ["    new: account account; files a, b", "    start: c"]


HOSTILE = "<b>|`x`_*\n# y</td>"


def hostile():
    given = {HOSTILE: {"old": "a\nb", "new": HOSTILE}}
    return planned({"m1.dc": {tag("x", "y", "z"): state(0, "y", None, given)}})


@pytest.mark.parametrize("form", plan.forms())
@pytest.mark.parametrize("full", [False, True])
def test_no_cell_has_a_newline_of_its_own(form, full):
    said = plan.told("x", hostile(), 400, form, full)
    assert "-> <b>" in html.unescape(said.replace("\\", ""))
    assert not [line for line in said.splitlines() if line.startswith("#")]


def test_a_ticket_shows_signs_and_does_not_obey_them():
    page = plan.told("x", hostile(), form="html")
    assert re.findall("<(/?[a-z]+)", page).count("b") == 1  # the heading's
    row = next(line for line in plan.told("x", hostile(), form="markdown").splitlines() if line.startswith("| m"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 4
    assert not re.findall(r"(?<!\\)[`*_<>#]", row)


def test_a_plan_of_nothing_is_a_line():
    assert plan.told("orchestrate.site", planned({}), 120) == "orchestrate.site would change nothing"


def test_a_plan_that_saw_nothing_does_not_say_that_nothing_would_change():
    silent = plan.told("orchestrate.site", planned({"m1.dc": "no answer"}), 120)
    assert silent.splitlines()[0] == "orchestrate.site would change nothing of what was looked at"
    assert "m1.dc: did not look: no answer" in silent


def row(host, change, state="s"):
    return {"phase": "p", "host": host, "state": state, "object": change, "change": change}


@pytest.mark.parametrize(
    "given, said",
    [
        ({"beside": "x is going on"}, "x is going on"),
        ({"done": [row("", "modules of m1.dc"), row("m2.dc", "modules")]}, "the master's modules, to m1.dc, m2.dc"),
        ({"done": [row("m1.dc", "a")]}, "Done already, in spite of the dry run: a on m1.dc"),
        (
            {"unknown": [row("m1.dc", "wait for gold", "member-gold"), row("m2.dc", "wait for iron", "member-iron")]},
            "p: m1.dc, m2.dc: wait for * (* is gold, iron)",
        ),
    ],
)
def test_what_is_told_beside_the_table(given, said):
    for form in plan.forms():
        text = html.unescape(plan.told("x", planned({}, **given), 120, form).replace("\\", ""))
        assert said.strip() in text
