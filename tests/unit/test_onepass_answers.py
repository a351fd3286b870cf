"""What minions return is judged before it is used: forms, sizes, and characters that would drive a terminal."""

import copy

import pytest
import test_ds_rules
from test_estate import OK, PILLAR, SALT, TOPOLOGY, asked, seen
from test_orchestration import step

import tree

ANSWERS = tree.functions("onepass_answers", "_runners")
judged, states, is_event, printable = (
    ANSWERS[f"onepass_answers.{name}"] for name in ("judged", "states", "is_event", "printable")
)
ORCHESTRATION = tree.load("_modules/orchestration.py", __salt__=tree.functions("orchestration_changes"))
JID = "20261124152928023148"
GOOD_STATE = {"result": True, "changes": {}, "comment": "", "__run_num__": 0, "__id__": "a", "name": "a"}
TAG = "test_|-a_|-a_|-nop"
# What an answer's parts are replaced by, one after another.
STRANGE = [None, 5, 1.5, True, "text", "\x1b[2Jtext", "x" * 20000, [], [5], {}, {"a": 5}, {5: "a"}, {"a": {"b": []}}]


def paths(value, where=()):
    yield where
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(each, (*where, key))


def replaced(value, where, new):
    if not where:
        return new
    value = copy.deepcopy(value)
    holder = value
    for part in where[:-1]:
        holder = holder[part]
    holder[where[-1]] = new
    return value


def variants(value):
    return [replaced(value, where, new) for where in paths(value) for new in STRANGE]


@pytest.mark.parametrize("answer", [True, "'bridge_nat.check' is not available.", {"rules": OK}, {}, None, False])
def test_a_good_answer_and_an_error_of_the_minions_stay(answer):
    assert judged("bridge_nat.check", {"ws1.b": answer})["ws1.b"] in (
        answer,
        judged("bridge_nat.check", {0: answer})[0],
    )
    assert judged("test.version", {"ws1.b": answer}) == {"ws1.b": answer}


def test_of_several_functions_each_answer_is_judged():
    told = judged(["onepass.fingerprint", "test.ping"], {"a": {"onepass.fingerprint": 5, "test.ping": True}, "b": "no"})
    assert told["b"] == {"onepass.fingerprint": None, "test.ping": None}
    assert told["a"]["test.ping"] is True
    assert told["a"]["onepass.fingerprint"].endswith("has not the form of one: is no text")


def test_what_is_wrong_is_told_with_its_place():
    answer = replaced(TOPOLOGY, ("shards", "s1", "members", "s1b.dc:27017"), {"x": 1})
    assert judged("mongo_shard.topology", {"r1.dc": answer}) == {
        "r1.dc": "its answer to mongo_shard.topology has not the form of one: shards:s1:members:s1b.dc:27017 is no text"
    }


PLAN = {"tellers": {"result": "drift", "fields": {"vlan": {"old": 1, "new": 2}}, "why": ["a reason"], "warnings": []}}
DIRECTORY = test_ds_rules.server("ds1", 1, "ds2")
DIRECTORY["suffixes"]["dc=bank"] = DIRECTORY["suffixes"].pop(test_ds_rules.SUFFIX)
STATUS = {
    "mongodb": ("mongo_shard.topology", TOPOLOGY),
    "openstack": ("neutron_vlan.plan", PLAN),
    "ds389": ("ds_replica.observed", [SALT["ds_report.packed"](DIRECTORY, 1795952930.5)]),
    "branches": ("bridge_nat.check", {"rules": OK, "confirmed": {"state": "broken", "evidence": "not"}}),
}


@pytest.mark.parametrize("area", STATUS)
def test_no_answer_ends_a_look_at_the_estate(area):
    """Nor does it bring a terminal's control characters, or a text without an end, into a line."""
    function, good = STATUS[area]
    questions = asked(area)
    for answer in variants(good):
        told = [judged(each["function"], dict.fromkeys(each["minions"] or [""], answer)) for each in questions]
        found = seen(area, *told)
        words = [*found["lines"], *found["lines"].values(), found["fault"] or ""]
        assert all(isinstance(line, str) for line in words)
        assert not [line for line in words if "\x1b" in line or len(line) > 20000 * len(questions[0]["minions"] or "x")]
        assert set(found["states"].values()) <= {"ok", "changed", "broken", "silent"}
    assert PILLAR[area]
    assert len(variants(good)) > 90


def test_no_return_of_states_ends_a_plan_a_summary_or_an_explanation():
    failed = {**GOOD_STATE, "result": False, "comment": ["a", 5], "changes": {1: "a", "b": {"old": None, "new": 2}}}
    good = {"s1a.dc": {TAG: {**GOOD_STATE, "result": None, "comment": "Would wait for it; now: x"}, "other": failed}}
    for answers in variants(good):
        told = states(answers if isinstance(answers, dict) and {str} == set(map(type, answers)) else {})
        steps = {"one": step(0, "daemons", False, told), "two": step(1, "more", None, told)}
        assert ORCHESTRATION.plan(steps)["hash"].isalpha()
        assert ORCHESTRATION.summary(steps)["phases"]
        assert all(isinstance(cause["seen"], str) for cause in ORCHESTRATION.causes(steps))


def test_a_return_that_is_none_of_states_is_that_hosts_failure():
    told = states({"a": {TAG: {**GOOD_STATE, "result": 5}}, "b": {TAG: GOOD_STATE}, "c": False, "d": ["no such SLS"]})
    assert told["b"] == {TAG: GOOD_STATE}
    causes = ORCHESTRATION.causes({"one": step(0, "daemons", False, told)})
    assert {cause["hosts"][0]: cause["seen"] for cause in causes} == {
        "a": f"its return has not the form of states: {TAG}:result is not true or false",
        "c": "no answer; the minion is off, cut off, or busy",
        "d": "no such SLS",
    }
    assert len(states({"a": {TAG: {**GOOD_STATE, "comment": "x" * 10**6}}})["a"][TAG]["comment"]) < 20000


def test_changes_that_cannot_be_written_down_are_said_to_be_such():
    changes = {"mixed": {1: 2, "a": 3}, "shown": nested(100)}
    changes |= {"deep": nested(101), "deeper": nested(5000), "within": {"a": (nested(5000),)}}
    changes = {what: {"old": None, "new": value} for what, value in changes.items()}
    told = states({"a": {TAG: {**GOOD_STATE, "result": None, "changes": changes}}})
    rows = ORCHESTRATION.plan({"one": step(0, "daemons", None, told)})["rows"]
    assert [row["change"] for row in rows] == [
        'mixed: {"1": 2, "a": 3}',
        "shown: 1 line",
        "deep: a list that cannot be shown",
        "deeper: a list that cannot be shown",
        "within: a dict that cannot be shown",
    ]


def nested(deep):
    """A list of lists, that deep."""
    held = []
    for _ in range(deep - 1):
        held = [held]
    return held


RUN = f"salt/run/{JID}"
EVENTS = {
    "onepass/wait": {"id": "s1a.dc", "data": {"what": "a primary", "seen": "none"}, "_stamp": "now"},
    f"salt/job/{JID}/ret/s1a.dc": {"id": "s1a.dc", "fun": "state.sls", "fun_args": ["mongodb.daemon"], "return": {}},
    f"{RUN}/args": {"name": "mongodb-daemons", "tgt": ["s1a.dc"], "args": {"arg": ["mongodb.daemon"]}},
    f"{RUN}/ret": {"jid": JID, "fun_args": ["a"], "return": {"data": {}}, "success": True},
    f"{RUN}/new": {"jid": JID, "fun": "runner.state.orchestrate", "fun_args": ["a"]},
}


def test_no_event_ends_the_watching():
    progress = tree.load("_modules/orchestration_progress.py")
    for tag, good in EVENTS.items():
        assert is_event(tag, good), tag
        for data in variants(good):
            if not is_event(tag, data):
                continue
            known = progress.begin(JID, [{"name": "mongodb-daemons", "needs": []}])
            progress.take(known, f"{RUN}/args", EVENTS[f"{RUN}/args"], 0.0)
            lines = [*progress.take(known, tag, data, 1.0), *progress.running(known, 2.0)]
            assert all(isinstance(line, str) for line in lines)
    assert not is_event(f"{RUN}/ret", {"id": "s1a.dc", "data": {}})
    assert not is_event("salt/run/5/new", {**EVENTS[f"{RUN}/new"], "jid": "5"})
    assert is_event("salt/auth", {"id": 5})
    assert not is_event("salt/auth", None)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("two\n\tlines, Zoë, 😀", "two\n\tlines, Zoë, 😀"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\rb", r"a\rb"),
        ("\x9b31m\u202eabc\ud800", "\\x9b31m\\u202eabc\\ud800"),
    ],
)
def test_what_drives_a_terminal_is_written_as_its_number(text, shown):
    assert printable(text) == shown


def test_a_page_holds_no_control_character():
    dot = SALT["estate_graph.dot"]("a\x1bb", [{"title": "t\x00", "tables": [], "links": []}])
    assert "a\ufffdb" in dot
    assert not set(map(chr, range(9))) & set(dot)
