"""Jobs of a real master on a real minion: one that does not end, and one that asks for what is the bundle's own."""

import time

import pytest
from salt.config import master_config

import tree
from tree import ROOT

LEAN = {"enable_gpu_grains": False, "enable_fqdns_grains": False, "module_dirs": [str(ROOT)]}


@pytest.fixture(scope="module")
def master(salt_factories):
    daemon = salt_factories.salt_master_daemon("mjobs", overrides={"log_level_logfile": "warning"})
    with daemon.started():
        yield daemon


@pytest.fixture(scope="module")
def minion(master):
    daemon = master.salt_minion_daemon("njobs", overrides={**LEAN, "log_level_logfile": "warning"})
    with daemon.started():
        yield daemon.id


@pytest.fixture
def hosts(master, monkeypatch):
    answers = tree.functions("onepass_answers", "_runners")
    module = tree.load("_runners/onepass_hosts.py", __opts__=master_config(master.config_file), __salt__=answers)
    monkeypatch.setattr(module, "BUSY_SECONDS", 8)
    return module


def test_a_minion_that_does_not_come_to_an_end_counts_as_busy(hosts, master, minion):
    assert hosts.ask([minion, "nobody"], "test.arg", [1])[minion]["args"] == [1]
    begun = time.monotonic()
    try:
        assert hosts.ask([minion, "nobody"], "test.sleep", [300], timeout=3) == {
            minion: "is busy with test.sleep since 8 s"
        }
        several = hosts.ask([minion], ["test.sleep", "test.ping"], [[300], []], timeout=3)
        assert several == {
            minion: dict.fromkeys(["test.sleep", "test.ping"], "is busy with test.sleep, test.ping since 8 s")
        }
        assert time.monotonic() - begun < 60
    finally:
        master.salt_cli(timeout=60).run("saltutil.term_all_jobs", minion_tgt=minion)


def test_a_slow_minion_is_waited_for_while_it_says_that_it_is_at_work(hosts, minion):
    assert hosts.ask([minion], "test.sleep", [7], timeout=2) == {minion: True}


def test_a_job_of_a_masters_runs_and_writes_nothing(master, minion, tmp_path):
    salt, path = master.salt_cli(timeout=60), tmp_path / "written"
    for function, arguments in (("run", [["touch", str(path)]]), ("write", [str(path), "text"])):
        said = salt.run(f"onepass_host.{function}", *arguments, minion_tgt=minion)
        assert f"onepass_host.{function} is not for callers from outside" in said.stdout
        assert "Traceback" not in said.stdout
    assert not path.exists()
    assert "lo" in salt.run("dnsmasq_host.links", minion_tgt=minion).data
