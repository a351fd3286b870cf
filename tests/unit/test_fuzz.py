"""
Pillars that nobody thought of: no check ends in a traceback or takes long, and what passes is rendered and drawn.

``FUZZ=2000 pytest tests/unit/test_fuzz.py`` tries other pillars than the usual ones, and as many of each area.
"""

import copy
import os
import time
from pathlib import Path

import pytest
import salt.state
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from salt.exceptions import CommandExecutionError
from test_mongo_pillar import SECRET_PILLAR, merged

import mutations
from tree import ROOT

EXAMPLES = int(os.environ.get("FUZZ") or 0)
# Of the processor's time, on a machine ten times as slow as one on which two seconds are the most.
SECONDS = 20
ALONE = ("install", "tuning", "daemon", "replset", "router", "shards", "collections", "verify")
SITE = {"orchestrate.mongodb", "orchestrate.site"}
fuzzed = settings(
    max_examples=EXAMPLES or 12,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    phases=list(Phase) if EXAMPLES else [Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def example(file, key):
    return yaml.safe_load((ROOT / f"pillar/{file}.sls").read_text())[key]


MONGODB = merged(example("mongodb", "mongodb"), SECRET_PILLAR)
MORE = {
    "options": {"net": {"maxIncomingConnections": 500}},
    "tls": {"mode": "requireTLS", "certificateKeyFile": "/etc/ssl/me.pem", "CAFile": "/etc/ssl/ca.pem"},
    "oplog_mb": 64,
    "timeout": 60,
    "install": {"method": "archive", "source": "salt://m.tgz", "source_hash": "sha256=" + "ab" * 32},
    "replsets": {"s1": {"members": [{"host": "s1a.dc", "tags": {"dc": "east"}, "port": 27020}, "s1b.dc", "s1c.dc"]}},
    "databases": {"bank": {"primary_shard": "s1"}},
}
CORDOBA = example("branch/cordoba", "branch")
CORDOBA["dns"].update(
    forwarders=[{"address": "9.9.9.9", "domain": "x.example"}],
    hosts={"a": {"address": "192.168.150.7", "mac": "52:54:00:00:00:07"}},
    resolver="auto",
    backend="bridge",
    bridge="br7",
)


class Estate:
    """A minion that becomes another one with another pillar, in one process."""

    def __init__(self, opts):
        self.opts = copy.deepcopy(opts)
        self.high = salt.state.HighState(self.opts, initial_pillar={"given": True})
        self.high.push_active()
        self.modules = self.high.state.functions

    def rendered(self, minion, pillar, *slses):
        """The states of each SLS for a minion, or what Salt says against it."""
        for opts in (self.opts, self.high.opts, self.high.state.opts):
            opts["id"] = opts["grains"]["id"] = minion
            opts["pillar"].clear()
            opts["pillar"].update(pillar)
        for sls in slses:
            self.high.building_highstate = type(self.high.building_highstate)()
            high, errors = self.high.render_highstate({"base": [sls]})
            errors += self.high.state.verify_high(high)
            assert not errors, f"{sls} on {minion}: {errors}"

    def asked(self, function, *arguments):
        """What a function answers within a time that no check may take; its refusal is a text."""
        began = time.process_time()
        try:
            answer = self.modules[function](*arguments)
        except CommandExecutionError as err:
            answer = str(err)
        assert time.process_time() - began < SECONDS, function
        assert str(answer).encode() is not None
        return answer

    def judged(self, area, *arguments):
        """An area's faults, each of which can be printed on a line."""
        found = self.asked(f"{area}.faults", *arguments)
        said = self.asked("pillar_form.report", area, found)
        assert said.isprintable() or len(said.splitlines()) <= len(found) + 1
        return found

    def drawn(self, area, pillar):
        assert self.asked("estate_graph.dot", "estate", [self.asked(f"{area}.drawn", pillar)]).startswith("digraph")


@pytest.fixture(scope="module")
def estate(minion_opts, module_loaders):
    made = Estate({**minion_opts, "grains": dict(module_loaders.grains)})
    Path(minion_opts["pillar_roots"]["base"][0], "branch").symlink_to(ROOT / "pillar/branch")
    yield made
    made.high.pop_active()
    made.high.destroy()


def mongodb(estate, pillar):
    found = estate.judged("mongo_pillar", pillar)
    estate.asked("mongo_pillar.places", pillar)
    estate.drawn("mongo_estate", pillar)
    hosts = estate.asked("mongo_pillar.hosts", pillar)
    minions = {*hosts["cluster"], *hosts["initiators"][:1], *hosts["members"][-1:]}
    for minion in [*minions][: None if not found else 1]:
        estate.rendered(minion, {"mongodb": pillar}, "mongodb", *(f"mongodb.{each}" for each in ALONE if not found))
    estate.rendered("hq_master", {"mongodb": pillar}, *SITE)
    return found


def openstack(estate, pillar):
    found = estate.judged("neutron_rules", pillar)
    assert isinstance(estate.asked("neutron_vlan.lint", pillar), str) is bool(found)
    estate.drawn("neutron_estate", pillar)
    estate.rendered("api.dc", {"openstack": pillar}, "openstack")
    estate.rendered("hq_master", {"openstack": pillar}, "orchestrate.openstack")
    return found


def branch(estate, pillar):
    found = estate.judged("branch_pillar", pillar)
    hosts = {"gateway": "gw.cordoba", "workstations": ["ws001.cordoba"]}
    hosts = hosts if found else estate.asked("branch_pillar.hosts", pillar)
    for minion in (hosts["gateway"], *hosts["workstations"][:2]):
        estate.rendered(minion, {"branch": pillar}, "branch", "branch.guests.made")
    return found


def branches(estate, pillar):
    found = estate.asked("branch_fleet.faults", pillar)
    estate.drawn("branch_estate", pillar)
    estate.rendered("hq_master", {"branches": pillar}, "orchestrate.branches")
    return found


@pytest.mark.parametrize(
    "judge, good",
    [
        (mongodb, MONGODB),
        (mongodb, merged(MONGODB, MORE)),
        (openstack, example("openstack", "openstack")),
        (branch, CORDOBA),
        (branch, example("branch/rosario", "branch")),
        (branches, example("branches", "branches")),
    ],
    ids=["mongodb", "mongodb-more", "openstack", "branch-with-guests", "branch", "branches"],
)
def test_any_pillar_is_judged_and_what_passes_is_rendered(estate, judge, good):
    assert judge(estate, good) == []

    @fuzzed
    @given(pillar=mutations.mutated(good))
    def tried(pillar):
        judge(estate, pillar)

    tried()
