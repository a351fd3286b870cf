"""What one state changes: what is counted, with old and new, and in words on one line."""

import json
from pathlib import Path

import pytest
import yaml

import tree

changes = tree.load("_modules/orchestration_changes.py")

CASES = yaml.safe_load((Path(__file__).parent / "cases/changes.yaml").read_text())
GONE, COME = ["      cacheSizeGB: 0.25"], ["      cacheSizeGB: 0.3"]
RULES = ["table ip bridge_nat {", "chain post {", "oifname eth0 counter snat to 169.254.0.1", "}", "}"]
CONF = "/etc/mongodb/mongod-cfg.conf"


def diff(gone, come):
    around = ["--- ", "+++ ", "@@ -12,7 +12,7 @@", "   dbPath: /var/lib/mongodb/cfg", "   wiredTiger:"]
    lines = [*around, *(f"-{line}" for line in gone), *(f"+{line}" for line in come), " systemLog:"]
    return {"diff": "\n".join(lines)}


CACHE = diff(GONE, COME)


def state(given=None, result=None, **more):
    return {"changes": given or {}, "comment": "", "function": "", "name": "x", "result": result, **more}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_words(case):
    given = diff(case["gone"], case["come"]) if "gone" in case else case.get("changes")
    parts = {part: case[part] for part in ("name", "function", "comment") if part in case}
    assert [row["change"] for row in changes.rows(state(given, **parts))] == case["said"]


PAIRS = {"a": {"old": 1, "new": 2}, "b": {"old": 1, "new": 2}}


@pytest.mark.parametrize(
    "before, comment, after, count",
    [
        ({}, "User mongodb set to be added", {"uid": 999, "gid": 999, "home": "/var/lib/mongodb"}, 1),
        ({"newfile": CONF}, "", {"diff": "New file", "mode": "0640"}, 1),
        (CACHE, "", CACHE, 1),
        ({}, "Service is set to be started", {"mongod-s1": True}, 1),
        (PAIRS, "", PAIRS, 2),
    ],
)
def test_a_change_counts_alike_before_and_after(before, comment, after, count):
    dry, real = state(before, comment=comment), state(after, True)
    assert (len(changes.rows(dry)), len(changes.rows(real))) == (count, count)


def test_nothing_to_do_is_no_change():
    assert changes.rows(state(result=True, comment="All is well")) == []


def test_old_and_new_are_whole():
    [row] = changes.rows(state(CACHE, name=CONF))
    assert (row["object"], row["old"], row["new"]) == (CONF, GONE, COME)
    [row] = changes.rows(state({"rules": {"old": None, "new": RULES}}))
    assert (row["object"], row["old"], row["new"]) == ("rules", None, RULES)


def nested(levels):
    value = "x"
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "value", [nested(5), nested(200), nested(5000), {None: 1, "a": 2}, [[["a"]]], b"\xff", {1: {2: [3]}}, "a\nb"]
)
def test_whatever_a_minion_returns_has_a_line_and_is_json(value):
    for given in ({"a": value}, {"a": {"old": None, "new": value}}, {"a": {"old": value, "new": "b"}}):
        [row] = changes.rows(state(given))
        assert "\n" not in json.loads(json.dumps(row, sort_keys=True))["change"]
