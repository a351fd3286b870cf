"""What an orchestration's return says: its plan and hash, its end, the first causes of its failures."""

import copy
import os
import sys

import pytest

import tree

SALT = tree.functions("orchestration_changes")
orchestration = tree.load("_modules/orchestration.py", __salt__=SALT)
text = tree.load("_modules/orchestration_text.py")

GATE = "One or more requisite failed: orchestrate.mongodb.mongodb-daemons"


def state(number, name, result, changes=None, comment="", **more):
    found = {"__run_num__": number, "__id__": name, "name": name, "__sls__": "mongodb.daemon", "result": result}
    return {**found, "changes": changes or {}, "comment": comment, **more}


def step(number, name, result, answers=None, changes=None, comment="", sls="orchestrate.mongodb", **more):
    changes = {"ret": answers, "out": "highstate"} if answers is not None else changes
    timed = {"duration": 1500.0, "start_time": f"23:59:5{number}.500000"}
    return {**state(number, name, result, changes, comment), "__sls__": sls, **timed, **more}


def tag(module, name, function):
    return f"{module}_|-{name}_|-{name}_|-{function}"


CREATED = {"replica set s1": {"old": None, "new": "initiated"}}
STARTED = state(1, "mongod-s1", None, comment="Service is set to be started\nmore")
WAITS = state(
    2, "ready", None, comment="Would wait for s1a.dc to be primary; now: Waited 0 s for it; last seen: nothing"
)
DRY = {
    "a": step(0, "preflight", True, changes={"modules of s1a.dc": {"old": "others", "new": "the master's"}}),
    "b": step(
        1,
        "daemons",
        None,
        {
            "s1a.dc": {
                tag("x", "set", "present"): state(0, "set", None, CREATED),
                tag("service", "mongod-s1", "running"): STARTED,
                tag("x", "ready", "gate"): WAITS,
            },
            "s1b.dc": {tag("service", "mongod-s1", "running"): STARTED},
            "s1c.dc": False,
        },
    ),
    "c": step(2, "notify", None, comment="Runner function 'x' would be executed."),
    "d": step(3, "shards", False, comment=GATE),
}


def changes(found, part="rows"):
    return [(row["phase"], row["host"], row["state"], row["change"]) for row in found[part]]


def test_a_plan_has_a_row_for_each_change_of_each_host():
    found = orchestration.plan(DRY)
    assert changes(found) == [
        ("daemons", "s1a.dc", "set", "replica set s1: initiated"),
        ("daemons", "s1a.dc", "mongod-s1", "start mongod-s1"),
        ("daemons", "s1b.dc", "mongod-s1", "start mongod-s1"),
    ]
    assert changes(found, "done") == [("preflight", "", "preflight", "modules of s1a.dc: others -> the master's")]


def test_a_plan_says_what_a_dry_run_cannot_know():
    assert [tuple(each.values()) for each in orchestration.plan(DRY)["unknown"]] == [
        ("daemons", "s1c.dc", "", "did not look: no answer; the minion is off, cut off, or busy"),
        ("daemons", "s1a.dc", "ready", "would wait for s1a.dc to be primary"),
        ("notify", "", "", "Runner function 'x' would be executed."),
        ("shards", "", "", "not looked at, since a phase before it failed"),
    ]


def test_a_plan_says_what_it_assumed():
    assumed = "Would add shard s1 (if there is nothing yet: r1.dc:27017: nothing answers (Errno 111))"
    steps = {"a": step(0, "shards", None, {"r1.dc": {"x": state(0, "shard", None, CREATED, assumed)}})}
    [unknown] = orchestration.plan(steps)["unknown"]
    assert unknown["change"] == "shard, if there is nothing yet: r1.dc:27017: nothing answers (Errno 111)"


def other_times(steps):
    for each in steps.values():
        each.update(duration=9.0, start_time="01:02:03.000000")


def other_order(steps):
    answers = steps["b"]["changes"]["ret"]
    steps["b"]["changes"]["ret"] = dict(reversed(answers.items()))


def modules_are_there(steps):
    steps["a"]["changes"] = {}


def other_change(steps):
    steps["b"]["changes"]["ret"]["s1a.dc"][tag("x", "set", "present")]["changes"] = {"s1": {"old": 1, "new": 2}}


def other_host(steps):
    answers = steps["b"]["changes"]["ret"]
    answers["s1d.dc"] = answers.pop("s1b.dc")


@pytest.mark.parametrize(
    "change, same",
    [(other_times, True), (other_order, True), (modules_are_there, True), (other_change, False), (other_host, False)],
)
def test_a_plans_hash_is_one_over_what_would_be_changed(change, same):
    steps = copy.deepcopy(DRY)
    change(steps)
    assert (orchestration.plan(steps)["hash"] == orchestration.plan(DRY)["hash"]) is same


def test_a_hash_is_a_word_on_every_command_line():
    assert orchestration.plan(DRY)["hash"].isalpha()


SEEN = "Waited 60 s for {} to be primary; last seen: {}:27017 SECONDARY. Left to do: create user admin."
FAILED = {
    "a": step(0, "preflight", True),
    "b": step(
        1,
        "daemons",
        False,
        {
            host: {
                tag("x", "later", "present"): state(5, "later", False, comment=GATE),
                tag("x", "after", "present"): state(4, "after", False, comment="no"),
                tag("x", "ready", "gate"): state(3, "ready", False, comment=SEEN.format(host, host)),
            }
            for host in ("s1a.dc", "s1b.dc")
        }
        | {"s1c.dc": False, "s1d.dc": {tag("x", "ready", "gate"): state(3, "ready", True, CREATED)}},
    ),
    "c": step(2, "shards", False, comment=GATE),
    "d": step(
        3, "branches", True, {"ws1.salta": {"y": state(0, "rules", False, comment="no nft")}}, sls="orchestrate.b"
    ),
}


def test_the_end_tells_apart_what_failed_what_was_not_begun_and_what_went_on():
    found = orchestration.summary(FAILED)
    assert {kind: found[kind] for kind in ("failed", "not begun", "done")} == {
        "failed": ["daemons"],
        "not begun": ["shards"],
        "done": ["preflight", "branches"],
    }
    assert found["changes"] == 1


def test_what_changed_is_counted_on_minions_and_on_the_master():
    kept, new = state(0, "x", True), state(1, "y", True, CREATED)
    steps = {
        "a": step(0, "preflight", True, changes={"modules of s1a.dc": {"old": "others", "new": "the master's"}}),
        "b": step(1, "daemons", True, {"s1a.dc": {"x": kept, "y": new}, "s1b.dc": {"x": new}}),
        "c": step(2, "verify", True),
    }
    found = orchestration.summary(steps)
    assert [(each["phase"], each["seconds"], each["changes"]) for each in found["phases"]] == [
        ("preflight", 1.5, 1),
        ("daemons", 1.5, 2),
        ("verify", 1.5, 0),
    ]
    assert found["changes"] == 3


def test_first_causes_alike_are_one():
    silent, alike, tolerated = orchestration.causes(FAILED)
    assert (alike["hosts"], alike["state"], alike["function"]) == (["s1a.dc", "s1b.dc"], "ready", "x.gate")
    assert alike["wanted"] == "s1a.dc to be primary"
    assert alike["seen"].startswith("s1a.dc:27017 SECONDARY")
    assert alike["next"].startswith("salt -L s1a.dc,s1b.dc state.sls_id ready mongodb.daemon test=True")
    assert (silent["hosts"], silent["wanted"]) == (["s1c.dc"], "an answer")
    assert (tolerated["phase"], tolerated["tolerated"]) == ("branches", True)


def test_seven_hundred_hosts_that_fail_alike_are_one_paragraph():
    answers = {
        f"ws{number:03d}.salta": {"x": state(0, "rules", False, comment=f"ws{number:03d} has no nft")}
        for number in range(700)
    }
    [cause] = orchestration.causes({"a": step(0, "hosts", False, answers)})
    assert len(cause["hosts"]) == 700
    said = text.causes([cause])
    assert "and 694 more (700 hosts alike)" in said
    assert len(said.splitlines()) == 5


def test_a_step_of_the_master_is_its_own_cause():
    [cause] = orchestration.causes({"a": step(0, "preflight", False, comment="2 faults, no host was touched\n  a: b")})
    assert (cause["hosts"], cause["seen"]) == ([], "2 faults, no host was touched\n  a: b")


@pytest.mark.parametrize(
    "answer, seen",
    [
        (["pillar: broken", "see there"], "pillar: broken; see there"),
        ("The function is running as PID 7", "The function is running as PID 7"),
        (None, "no answer; the minion is off, cut off, or busy"),
    ],
)
def test_a_host_without_states_says_what_it_said(answer, seen):
    steps = orchestration.job("state.highstate", {"s1a.dc": answer, "s1b.dc": {"x": state(0, "y", True)}})
    [cause] = orchestration.causes(steps)
    assert (cause["hosts"], cause["seen"]) == (["s1a.dc"], seen)


def test_a_run_over_midnight_lasts_seconds():
    steps = {"a": step(8, "a", True), "b": {**step(9, "b", True), "start_time": "00:00:01.000000"}}
    assert orchestration.span(steps) == 4.0


def test_files_side_by_side_are_told_one_after_another():
    steps = {name: step(number, name, True, sls=name[0]) for number, name in enumerate(["a1", "b1", "a2", "b2"])}
    assert orchestration.summary(steps)["done"] == ["a1", "a2", "b1", "b2"]


# Words


def test_what_moved_is_told():
    rows = orchestration.plan(DRY)["rows"]
    assert text.moved(rows[:2], rows[1:]) == [
        "  - daemons: s1a.dc: replica set s1: initiated",
        "  + daemons: s1b.dc: start mongod-s1",
    ]


def test_a_footer_is_drawn_over_the_one_before():
    drawn = text.screen(["[1.0 s] begins"], ["x" * 100], 2, 20)
    assert drawn == "\x1b[2F\x1b[J[1.0 s] begins\n\x1b[2m" + "x" * 16 + "...\x1b[0m\n"


@pytest.mark.parametrize(
    "environment, drawn",
    [
        ({"TERM": "xterm"}, "\x1b[1F\x1b[J[   1.0 s] begins\n\x1b[2mdaemons: 0 of 2 hosts\x1b[0m\n"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "\x1b[1F\x1b[J[   1.0 s] begins\ndaemons: 0 of 2 hosts\n"),
        ({"TERM": "dumb"}, "[   1.0 s] begins\n[   1.0 s] daemons: 0 of 2 hosts\n"),
    ],
)
def test_a_terminal_is_given_what_it_can_show(monkeypatch, environment, drawn):
    """This one does not know how wide it is, as a serial console."""
    jobs = tree.load("_runners/onepass_jobs.py", __salt__=tree.functions("onepass_answers", "_runners"))
    monkeypatch.setattr(jobs, "_execution_modules", lambda: tree.functions("orchestration_text"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ours, theirs = os.openpty()
    with open(theirs, "w") as terminal, open(ours, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", terminal)
        jobs._show(["begins"], ["daemons: 0 of 2 hosts"], 1.0, {"below": 1, "told": -100}, 1)
        assert screen.read(4096).decode().replace("\r\n", "\n") == drawn


@pytest.mark.parametrize(
    "comment",
    [
        "Waited 300 s for m1.bcn:27118 to be primary or secondary of s1; last seen: not yet a member of any set",
        "x1.eu:27118, which brings the members into s1, refuses: Replica set s1 has members that are not wanted",
    ],
)
def test_a_cause_stands_before_what_waited_for_it(comment):
    """Hosts are told by the alphabet; m1, which waited for x1, stood first."""
    cause = "Replica set s1 has members that are not wanted: x2.eu:27117"
    answers = {
        "m1.bcn": {tag("mongo_replset", "ready", "member_ready"): state(1, "ready", False, comment=comment)},
        "x1.eu": {tag("mongo_replset", "s1", "replset_present"): state(1, "s1", False, comment=cause)},
    }
    found = orchestration.causes({"a": step(0, "sets", False, answers)})
    assert [each["hosts"] for each in found] == [["x1.eu"], ["m1.bcn"]]
