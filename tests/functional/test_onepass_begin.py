"""Two operators on one master of the test's own, its restart during a run, and dry runs, by what each of them types."""

import os
import signal
import time

import pytest
import salt.version

from masters import Master, ended

AREA = "openstack: {cloud: bank, physical_network: physnet1, projects: {tellers: {vlan: 12, cidr: 10.12.0.0/24}}}\n"
WORK = """
openstack-preflight:
  onepass.checked:
    - areas: [openstack]

work:
  cmd.run:
    - name: echo begun >> {root}/begun; while test -e {root}/hold; do sleep 0.2; done
    - require:
      - onepass: openstack-preflight
"""
# What is slow in a dry run too.
SLOW = """
slow:
  cmd.run:
    - name: echo begun >> {root}/begun
    - onlyif: sleep 8
"""
# An orchestration that begins another one, after a check of its own.
NESTED = """
openstack-preflight:
  onepass.checked:
    - areas: [openstack]

inner:
  salt.runner:
    - name: state.orchestrate
    - mods: work
    - require:
      - onepass: openstack-preflight
"""
GOES_ON = "work is going on since "
outlives = pytest.mark.skipif(
    salt.version.__saltstack_version__.major < 3007, reason="Salt 3006's salt-run ends with the bus of its master"
)
SECONDS = 600


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    root = tmp_path_factory.mktemp("m")
    other = "greeting:\n  test.succeed_with_changes\n"
    files = {"work.sls": WORK.format(root=root), "slow.sls": SLOW.format(root=root)}
    files |= {"nested.sls": NESTED, "other.sls": other}
    master = Master(root, files, {"top.sls": "base: {'*': [site]}", "site.sls": AREA})
    master.start()
    try:
        master.wait()
        yield master
    finally:
        master.stop()


@pytest.fixture
def hold(master):
    """The file that keeps ``work`` going on, with none begun so far."""
    (master.root / "begun").write_text("")
    (master.root / "hold").touch()
    yield master.root / "hold"
    (master.root / "hold").unlink(missing_ok=True)


def until(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def begun(master):
    return (master.root / "begun").read_text().count("begun")


@pytest.fixture
def first(master, hold):
    """A run of one operator that goes on."""
    process = master.spawn("onepass.run", "work")
    until(lambda: begun(master) == 1 or process.poll() is not None)
    assert process.poll() is None, process.stdout.read()
    yield process
    hold.unlink(missing_ok=True)
    if process.poll() is None:
        ended(process)


def test_a_second_run_of_the_area_is_told_of_the_first_and_does_not_begin(master, first):
    code, said = master.run("onepass.run", "work")
    assert code == 1
    assert GOES_ON in said and ", by root;\nnothing was begun beside it" in said
    jid = said.split("onepass.watch ")[1].split()[0]
    assert max(len(line) for line in said.splitlines() if "unclosed" not in line) <= 60
    code, said = master.run("state.orchestrate", "work")
    assert code == 1
    assert GOES_ON in said and f"onepass.watch {jid}" in said and "to run beside it, on purpose: pillar=" in said
    assert begun(master) == 1


def test_a_run_begins_beside_another_by_an_explicit_word(master, first, hold):
    others = [
        master.spawn("onepass.run", "work", "beside=True"),
        master.spawn("state.orchestrate", "work", "pillar={onepass: {beside: True}}"),
    ]
    until(lambda: begun(master) == 3)
    hold.unlink()
    assert [ended(each)[0] for each in others] == [0, 0]


def test_a_run_waits_for_another_on_request(master, first, hold):
    waits = master.spawn("onepass.run", "work", "wait=True")
    assert GOES_ON in waits.stdout.readline()
    assert begun(master) == 1
    hold.unlink()
    assert ended(waits)[0] == 0
    assert begun(master) == 2
    assert ended(first)[0] == 0


def test_a_wait_ends(master, first):
    code, said = master.run("onepass.run", "work", "wait=1")
    assert code == 1
    assert "still after 1 s of waiting for its end: nothing was begun" in said


def test_a_dry_run_beside_a_run_says_so_and_is_no_run(master, first, hold):
    code, said = master.run("onepass.plan", "work")
    assert code == 0, said
    assert GOES_ON in said and "is in this plan too" in said
    assert "the dry run of work begins" in said


def test_orchestrations_of_other_areas_and_parts_of_one_are_in_nobodys_way(master, first, hold):
    assert master.run("state.orchestrate", "other")[0] == 0
    hold.unlink()
    ended(first)
    code, said = master.run("state.orchestrate", "nested")
    assert code == 0, said
    assert begun(master) == 2


def test_ctrl_c_before_the_run_begins_says_that_nothing_was_begun(master, hold):
    run = master.spawn("onepass.run", "slow", "plan=abc")
    line = ""
    while "looking whether the world is still as planned (dry run, job " not in line:
        line = run.stdout.readline()
        assert line
    os.kill(run.pid, signal.SIGINT)
    code, said = ended(run)
    assert code == 1
    assert "Stopped before the run began: nothing was begun, and nothing was changed" in said
    assert begun(master) == 0


def test_a_world_that_has_moved_is_told_and_nothing_begun(master, hold):
    code, said = master.run("onepass.run", "work", "plan=abc")
    assert code == 1
    assert "The world has moved: work would change other things now" in said
    assert begun(master) == 0


@outlives
def test_a_run_whose_master_is_restarted_is_told_so_and_ends(master, first, hold):
    master.stop()
    master.start()
    master.wait()
    hold.unlink()
    code, said = ended(first)
    assert code == 0, said
    assert "the master was restarted; what hosts answered meanwhile may be lost to this run" in said
    assert "work is done" in said
    code, said = master.run("onepass.run", "work")
    assert code == 0, said
    assert "restarted" not in said
