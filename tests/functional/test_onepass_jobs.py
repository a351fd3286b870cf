"""Orchestrations as jobs of a master of the test's own: its event bus, its job cache and its files of running jobs."""

import datetime
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
import salt.payload
import salt.runner
import salt.utils.event
from salt.exceptions import CommandExecutionError

from masters import Master
from tree import functions, load

END_SECONDS, BUSY_SECONDS = 1, 20


@pytest.fixture(scope="module")
def opts(tmp_path_factory):
    """The configuration of a master that runs."""
    good = "greeting:\n  test.succeed_with_changes:\n    - parallel: True\n"
    master = Master(tmp_path_factory.mktemp("m"), {"good.sls": good})
    master.start()
    try:
        yield master.opts
    finally:
        master.stop()


@pytest.fixture(scope="module")
def bus(opts):
    """The master's event bus, when it can be heard."""
    with salt.utils.event.get_master_event(opts, opts["sock_dir"], listen=True) as bus:
        deadline = time.monotonic() + 60
        while not bus.connect_pub(timeout=1) or not bus.fire_event({}, "test"):
            assert time.monotonic() < deadline
        yield bus


@pytest.fixture
def runner():
    """A process that Salt takes for one of its own, by its name; it removes the files of others from time to time."""
    with subprocess.Popen(["salt-run", "300"], executable="/bin/sleep") as process:
        yield process
        process.kill()


@pytest.fixture
def jobs(opts, bus):
    others = {name: functions(name, "_runners", __opts__=opts) for name in ("onepass_answers", "onepass_running")}
    others = others["onepass_answers"] | others["onepass_running"]
    module = load("_runners/onepass_jobs.py", __opts__=opts, __context__={}, __salt__=others)
    module.END_SECONDS = END_SECONDS
    return module


def jid(seconds_ago=0):
    return f"{datetime.datetime.now() - datetime.timedelta(seconds=seconds_ago):%Y%m%d%H%M%S%f}"


def job(jobs, function, answers):
    """A job in the cache, as the master writes it."""
    number = jid()
    load = {"jid": number, "fun": function, "tgt": "*", "tgt_type": "glob", "arg": [], "user": "root"}
    jobs._cache("save_load", number, load, list(answers))
    for minion, answer in answers.items():
        jobs._cache("returner", {"jid": number, "id": minion, "fun": function, "return": answer})
    return number


def test_a_run_is_followed_to_its_end(jobs):
    told = jobs.run("good")
    assert (told["name"], told["success"], [each["__id__"] for each in told["steps"].values()]) == (
        "good",
        True,
        ["greeting"],
    )
    assert jobs.get(told["jid"])["steps"] == told["steps"]


@pytest.mark.parametrize(
    "given, name",
    [
        (["work", {"test": True}], "work"),
        ([["work", "other"]], "work,other"),
        ([{"mods": ["work", "other"]}], "work,other"),
        ([{"mods": "work"}], "work"),
        ([{}], ""),
    ],
)
def test_a_run_has_the_names_of_all_that_it_was_given(jobs, opts, runner, given, name):
    told = {"jid": jid(), "fun": "runner.state.orchestrate", "fun_args": given, "pid": runner.pid}
    path = Path(opts["cachedir"], "proc", told["jid"])
    path.write_bytes(salt.payload.dumps(told))
    try:
        assert [(each["name"], each["test"]) for each in jobs.running()] == [(name, given[-1] == {"test": True})]
    finally:
        path.unlink()


def test_a_run_that_has_returned_runs_no_more_though_its_process_does(jobs, opts, runner):
    """As a reactor's on Salt 3006."""
    number = job(jobs, "runner.state.orchestrate", {opts["id"]: {"data": {}}})
    mark = jobs.__salt__["onepass_running.mark"]
    mark(number, "good", runner.pid, "root")
    mark(going := jid(), "good", runner.pid, "root", test=True)
    try:
        assert [(each["jid"], each["test"]) for each in jobs.running()] == [(going, True)]
    finally:
        [Path(opts["cachedir"], "proc", each).unlink() for each in (number, going)]


def test_files_of_ended_processes_go_and_what_is_there_stays(jobs, opts, runner):
    folder, mark = Path(opts["cachedir"], "proc"), jobs.__salt__["onepass_running.mark"]
    ended = subprocess.Popen(["true"])
    ended.wait()
    mark(old := jid(60), "good", ended.pid, "root")
    mark(first := jid(), "good", runner.pid, "root")
    mark(first, "other", runner.pid, "nobody")
    try:
        assert not (folder / old).exists()
        assert [(each["name"], each["user"]) for each in jobs.running()] == [("good", "root")]
    finally:
        (folder / first).unlink()
    mark("../../evil", "good", runner.pid, "root")
    assert not (folder / "../../evil").exists()


def test_a_run_that_is_killed_is_missed_though_the_master_is_busy(jobs, opts, runner):
    told = {"jid": jid(60), "fun": "runner.state.orchestrate", "fun_args": ["good"], "pid": runner.pid}
    (Path(opts["cachedir"], "proc") / told["jid"]).write_bytes(salt.payload.dumps(told))
    begun = time.monotonic()

    def others():
        """What a busy master's bus carries, events of minions in the run's own name too; it is killed meanwhile."""
        with salt.utils.event.get_master_event(opts, opts["sock_dir"], listen=False) as bus:
            while time.monotonic() < begun + BUSY_SECONDS and not missed.wait(0.2):
                bus.fire_event({}, "busy")
                for tag in ("args", "ret"):
                    bus.fire_event({"id": "s1a.dc", "data": {}}, f"salt/run/{told['jid']}/{tag}")
                bus.fire_event({"id": ["s1a.dc"], "data": 5}, "onepass/wait")
                if time.monotonic() > begun + 1 and runner.poll() is None:
                    runner.kill()
                    runner.wait()

    missed, thread = threading.Event(), threading.Thread(target=others)
    thread.start()
    try:
        with pytest.raises(CommandExecutionError, match="has not told its end"):
            jobs.follow(told["jid"])
    finally:
        missed.set()
        thread.join()
    assert time.monotonic() - begun < BUSY_SECONDS


def test_an_end_that_a_minion_tells_is_none(jobs, opts, runner):
    """Nor is what it returned under the run's job id the run's own return."""
    told = {"jid": jid(60), "fun": "runner.state.orchestrate", "fun_args": ["good"], "pid": runner.pid}
    (Path(opts["cachedir"], "proc") / told["jid"]).write_bytes(salt.payload.dumps(told))
    forged = {**told, "return": {"data": {"hq_master": {"forged": {}}}}, "success": True}
    real = {**told, "return": {"data": {"hq_master": {}}}, "success": False}
    load = {"jid": told["jid"], "fun": told["fun"], "tgt": "hq_master", "tgt_type": "list", "arg": [], "user": "root"}

    def others():
        with salt.utils.event.get_master_event(opts, opts["sock_dir"], listen=False) as bus:
            for _ in range(10):
                time.sleep(0.3)
                bus.fire_event(forged, f"salt/run/{told['jid']}/ret")
            jobs._cache("save_load", told["jid"], load, ["hq_master"])
            for minion, each in (("a.dc", forged), ("hq_master", real)):
                jobs._cache("returner", {"jid": told["jid"], "id": minion, "fun": told["fun"], "return": each})
            bus.fire_event(forged, f"salt/run/{told['jid']}/ret")

    thread = threading.Thread(target=others)
    thread.start()
    try:
        ended = jobs.follow(told["jid"])
    finally:
        thread.join()
    assert (ended["steps"], ended["success"]) == ({}, False)
    assert jobs.get(told["jid"])["success"] is False


def test_an_error_of_salts_is_no_run_that_is_done(jobs, opts):
    salt.runner.RunnerClient(opts).cmd("state.orchestrate", ["good"], kwarg={"pillar": 5}, print_event=False)
    with pytest.raises(CommandExecutionError, match=r"(?s)ended in an error of Salt's: .*must be formatted as a dict"):
        jobs.get()


@pytest.mark.parametrize(
    "function, answer, name",
    [
        ("test.ping", True, "test.ping"),
        (["state.apply", "test.ping"], {"state.apply": {}, "test.ping": True}, "state.apply, test.ping"),
    ],
)
def test_a_job_that_is_no_states_is_not_explained(jobs, function, answer, name):
    number = job(jobs, function, {"s1a.dc": answer})
    with pytest.raises(CommandExecutionError, match=f"Job {number} is {name}, no orchestration and no states"):
        jobs.get(number)


def test_a_minion_that_returns_no_states_costs_no_other(jobs):
    good = {"result": True, "changes": {}, "comment": "\x1b[2J"}
    number = job(jobs, "state.apply", {"s1a.dc": {"x": {"result": 5, "changes": {}}}, "s1b.dc": {"x": good}})
    (step,) = jobs.get(number)["steps"].values()
    assert step["changes"]["ret"]["s1b.dc"] == {"x": good}
    assert step["changes"]["ret"]["s1a.dc"].startswith("its return has not the form of states: x:result ")


def test_what_is_shown_of_a_run_drives_no_terminal(jobs, capsys):
    jobs._show(["\x1b[2Jcleared"], ["a\rb"], 1.0, {"below": 0, "told": -100}, 1)
    assert capsys.readouterr().err.splitlines() == [r"[   1.0 s] \x1b[2Jcleared", r"[   1.0 s] a\rb"]


def test_states_of_minions_are_one_step(jobs):
    number = job(jobs, "state.apply", {"s1a.dc": {}})
    assert list(jobs.get(number)["steps"]) == ["state.apply"]


@pytest.mark.parametrize("test", [False, True])
def test_a_dry_run_is_known_as_one(test, jobs, capsys):
    told = jobs.run("good", test=test)
    assert (told["test"], jobs.get(told["jid"])["test"]) == (test, test)
    assert f"] {'the dry run of ' * test}good begins (job {told['jid']})" in capsys.readouterr().err


def test_another_process_with_the_number_of_a_dead_runs_is_no_run(jobs, opts, runner):
    told = {"jid": jid(60), "fun": "runner.state.orchestrate", "fun_args": ["good"], "pid": runner.pid}
    path = Path(opts["cachedir"], "proc") / told["jid"]
    try:
        path.write_bytes(salt.payload.dumps(told))
        assert told["jid"] in [each["jid"] for each in jobs.running()]
        os.utime(path, (time.time() - 60, time.time() - 60))
        assert told["jid"] not in [each["jid"] for each in jobs.running()]
    finally:
        path.unlink()


def test_in_a_pipe_a_wait_is_told_when_it_changes_else_once_a_minute(jobs, capsys, monkeypatch):
    clock, screen = [0.0], {"below": 0, "told": 0.0, "looked": 0.0}
    monkeypatch.setattr(jobs.time, "monotonic", lambda: clock[0])
    for second in range(0, 150, 2):
        clock[0] = float(second)
        wait = "  s1a.dc waits for s1" if second < 90 else "  s1b.dc waits for s1"
        jobs._show([], [f"daemons: 0 of 2 hosts, {second} s of about 2 min 3 s", wait], clock[0], screen, 10)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines if "daemons" in line] == ["12.0", "74.0", "90.0"]
