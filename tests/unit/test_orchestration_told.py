"""What is told of a job to people and programs: a dry run is never taken for a run, and a restarted master is named."""

import pytest
from test_orchestration import CREATED, DRY, FAILED, state, step, tag

import tree

PURE = ("orchestration_changes", "orchestration_plan", "orchestration_text")
SALT = {name: function for module in PURE for name, function in tree.functions(module).items()}
SALT |= tree.functions("orchestration", __salt__=SALT)
told = tree.load("_modules/orchestration_told.py", __salt__=SALT)
text = tree.load("_modules/orchestration_text.py")

JID = "20261128163803855314"


def job(steps, test, **more):
    return {"jid": JID, "name": "orchestrate.site", "test": test, "steps": steps, "seconds": 88.3, **more}


DONE = {"a": step(0, "daemons", True, {"s1a.dc": {tag("x", "y", "z"): state(0, "y", True, CREATED)}})}
WOULD = {"a": step(0, "daemons", None, {"s1a.dc": {tag("x", "y", "z"): state(0, "y", None, CREATED)}})}
WAITS = {tag("x", "y", "z"): state(0, "y", None, comment="Would wait for s1; now: nothing")}


@pytest.mark.parametrize(
    "steps, test, head",
    [
        (DONE, False, f"orchestrate.site is done: 1 change in 88.3 s (job {JID})"),
        (
            WOULD,
            True,
            f"the dry run of orchestrate.site is done: it would make 1 change; nothing was changed (88.3 s, job {JID})",
        ),
        (FAILED, False, f"orchestrate.site failed: 1 change in 88.3 s (job {JID})"),
        (
            FAILED,
            True,
            f"the dry run of orchestrate.site failed: it would make 0 changes; nothing was changed (88.3 s, job {JID})",
        ),
    ],
)
def test_the_end_says_whether_it_was_a_dry_run(steps, test, head):
    found = told.ended(job(steps, test), width=200)
    assert found["text"].splitlines()[0] == head
    assert found["data"]["test"] is test
    assert found["failed"] is (steps is FAILED)


def test_a_plan_and_its_own_job_count_alike():
    planned, ended = told.planned(job(DRY, True), 200), told.ended(job(DRY, True), 200)
    assert len(planned["data"]["rows"]) == ended["data"]["changes"] == 3
    assert "would make 3 changes on 2 hosts" in planned["text"]
    assert "would make 3 changes;" in ended["text"]


def test_a_wait_is_no_change():
    assert told.ended(job({"a": step(0, "daemons", None, {"s1a.dc": WAITS})}, True))["data"]["changes"] == 0


@pytest.mark.parametrize(
    "steps, test, said",
    [
        (DONE, False, f"orchestrate.site (job {JID}): nothing failed"),
        (
            WOULD,
            True,
            f"the dry run of orchestrate.site (job {JID}): nothing failed; it was a dry run, so nothing was changed",
        ),
    ],
)
def test_an_explanation_says_whether_it_was_a_dry_run(steps, test, said):
    assert told.explained(job(steps, test), width=200)["text"] == said


@pytest.mark.parametrize(
    "given, begins, interrupted",
    [
        (
            {"test": False},
            f"orchestrate.site begins (job {JID})",
            "Watching ended; orchestrate.site goes on, and so does what its hosts are doing\n"
            f"  watch it again:\n  salt-run onepass.watch {JID}",
        ),
        (
            {"test": True},
            f"the dry run of orchestrate.site begins (job {JID})",
            "Watching ended; the dry run of orchestrate.site goes on; it changes nothing\n"
            f"  watch it again:\n  salt-run onepass.watch {JID}",
        ),
        (
            {"test": True, "compares": True},
            f"looking whether the world is still as planned (dry run, job {JID}); then the run begins",
            "Stopped before the run began: nothing was begun, and nothing was changed\n"
            f"  the dry run (job {JID}) ends by itself",
        ),
    ],
)
def test_begin_and_interruption_say_what_it_is(given, begins, interrupted):
    given = {"jid": JID, "name": "orchestrate.site", **given}
    assert (text.begins(given), text.interrupted(given)) == (begins, interrupted)


@pytest.mark.parametrize("test", [False, True])
@pytest.mark.parametrize("words", [text.begins, text.interrupted, lambda given: text.end(given, END, 60)])
def test_no_jobs_id_is_broken_at_60_columns(words, test):
    lines = words({"jid": JID, "name": "orchestrate.site", "test": test, "seconds": 1.0}).splitlines()
    fit = [part for line in lines for part in text.fitting(f"[   0.3 s] {line}", 60, 11)]
    assert [line for line in fit if JID in line] and max(map(len, fit)) <= 60


END = {"phases": [], "changes": 198, "failed": [], "not begun": [], "done": []}


def test_after_a_restart_of_the_master_a_silent_host_is_no_sick_host():
    silent = {"a": step(0, "daemons", False, {"s1a.dc": False, "s1b.dc": False})}
    [before] = told.ended(job(silent, False))["data"]["causes"]
    [after] = told.ended(job(silent, False, restarted=True))["data"]["causes"]
    assert before["seen"] == "no answer; the minion is off, cut off, or busy"
    assert after["seen"].startswith("no answer; the master was restarted during the run")
    assert after["next"].startswith("run again")
    assert after["hosts"] == ["s1a.dc", "s1b.dc"]


def test_a_restart_explains_no_failure_of_a_state():
    causes = told.ended(job(FAILED, False, restarted=True))["data"]["causes"]
    assert [each["seen"] for each in causes if each["seen"].startswith("s1a")]
