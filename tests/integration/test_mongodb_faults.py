"""The same cluster by a plain highstate, and after every kind of cut: the next single run converges."""

from functools import partial

import pytest
from labs import PHASES, Lab, changed, failed

INSERT = "router.bank.transfers.insert_many([{'_id': n, 'account': n} for n in range(500)]); print(1)"
COUNT = "print(len({each['_id'] for each in router.bank.transfers.find({}, {'_id': 1})}))"
SHARDS = "print(json.dumps(sorted(shard['_id'] for shard in router.admin.command('listShards')['shards'])))"


@pytest.fixture(scope="module")
def blank():
    """A lab without a cluster."""
    with Lab("cut", "datacentre.yaml") as lab:
        yield lab


def assert_converged(lab):
    """One run that succeeds; the cluster is there."""
    code, states = lab.orchestrate()
    assert (code, failed(states)) == (0, {}), lab.run("salt-run", "onepass.explain")[1]
    assert lab.python(SHARDS) == ["s1", "s2"]


def test_a_plain_highstate_on_all_blank_hosts_at_once_converges_in_one_pass(blank):
    code, states = blank.highstate()
    assert (code, failed(states)) == (0, {})
    assert blank.python(SHARDS) == ["s1", "s2"]
    code, states = blank.highstate()
    assert (code, failed(states), changed(states)) == (0, {}, {})


def test_a_run_cut_as_each_phase_begins_is_finished_by_the_next(blank):
    blank.blank()
    for phase in PHASES:
        cut = {f"mongodb-{phase}": lambda: blank.exec("hq", "pkill -KILL -f [s]tate.orchestrate")}
        assert blank.disturb(cut)[1] == []
    assert_converged(blank)


def kill_primary(lab):
    lab.exec("s1a.dc", "systemctl kill --signal=KILL mongod-s1")


def kill_minion(lab):
    lab.exec("s2b.dc", "systemctl kill --signal=KILL salt-minion; sleep 1; systemctl start salt-minion")


def kill_master(lab):
    lab.exec("hq", "systemctl kill --signal=KILL salt-master; sleep 1; systemctl start salt-master")
    lab.up("datacentre.yaml")


# What meets a run that begins with blank hosts, and one on a cluster with documents: a step, and a fault as it begins.
BUILT = {"daemons": kill_minion, "replica-sets": kill_primary, "shards": kill_primary, "collections": kill_master}
AT_WORK = {"daemons": kill_primary, "replica-sets": kill_minion, "shards": kill_master}


def disturb(lab, faults):
    """One run meets all faults; one that is ended by them is begun again until it has met them all."""
    while faults:
        armed = {f"mongodb-{phase}": partial(fault, lab) for phase, fault in faults.items()}
        missed = lab.disturb(armed)[1]
        assert len(missed) < len(faults)
        faults = {phase: fault for phase, fault in faults.items() if f"mongodb-{phase}" in missed}


def test_the_run_after_kills_converges(blank):
    blank.blank()
    disturb(blank, BUILT)
    assert_converged(blank)


def test_a_daemon_that_failed_again_and_again_is_started_by_the_next_run(blank):
    """As on a host that booted without its configuration."""
    fails = "systemctl restart mongod-s2; sleep 0.1; " * 8
    blank.exec("s2c.dc", f"rm -r /etc/mongodb; {fails}")
    assert_converged(blank)


def test_documents_survive_faults_and_runs(blank):
    assert_converged(blank)
    blank.python(INSERT)
    disturb(blank, AT_WORK)
    assert_converged(blank)
    assert blank.python(COUNT) == 500
