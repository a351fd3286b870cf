"""orchestrate.openstack through a real master: from the master itself, and through the minion that the table names."""

import json
import re

import pytest
import yaml

from tree import ROOT

LEAN = {"enable_gpu_grains": False, "enable_fqdns_grains": False}
SLS = "orchestrate.openstack"


@pytest.fixture(scope="module")
def estate(salt_factories, clone, tmp_path_factory):
    """A master that serves this checkout as docs/adopt says, its pillar root, and a minion of its own."""
    pillar = tmp_path_factory.mktemp("pillar")
    (pillar / "top.sls").write_text("base: {'*': [openstack]}")
    (pillar / "openstack.sls").write_text("{}")
    conf = (clone / "docs/adopt/file_roots.conf").read_text().replace("/srv/onepass", str(clone))
    served = yaml.safe_load(conf.replace("/srv/salt", str(pillar.with_name("files"))))
    pillar.with_name("files").mkdir()
    quiet = {"log_level_logfile": "warning", **LEAN}
    given = {**served, "pillar_roots": {"base": [str(pillar)]}, **quiet}
    master = salt_factories.salt_master_daemon("mcloud", overrides=given)
    with master.started():
        master.salt_run_cli(timeout=600).run("saltutil.sync_all")
        minion = master.salt_minion_daemon("api.dc", overrides=quiet)
        with minion.started():
            yield master, minion, pillar


@pytest.fixture(params=["master", "minion"])
def way(request, estate, site):
    """Give the estate a table, and orchestrate it; the states of the run are the answer, and whether it succeeded."""
    master, minion, pillar = estate
    via = {"minion": minion.id} if request.param == "minion" else {}

    def orchestrate(table, *words):
        (pillar / "openstack.sls").write_text(json.dumps({"openstack": {**table, **via}}))
        ran = master.salt_run_cli(timeout=600).run("state.orchestrate", SLS, *words)
        [steps] = ran.data["data"].values()
        return {step["__id__"]: step for step in steps.values()}, ran.returncode

    return orchestrate


def outcome(step, minion="api.dc"):
    """Result, changes and comment of the table, wherever it was applied."""
    states = step["changes"].get("ret", {}).get(minion) if step["__sls__"] and "ret" in step["changes"] else None
    if states is None:
        return step["result"], step["changes"], step["comment"]
    [table] = [state for state in states.values() if state["__id__"] == "openstack-vlans"]
    return table["result"], table["changes"], table["comment"]


def test_one_run_brings_the_table_and_the_next_one_nothing(site, way):
    before = site.count()
    steps, _ = way(site.table(2), "test=True")
    dry = outcome(steps["openstack-vlans"])
    assert dry[0] is None, dry
    assert site.since(before)[1] == []
    steps, code = way(site.table(2))
    done = outcome(steps["openstack-vlans"])
    assert (done[0], done[1], code) == (True, dry[1], 0), done
    assert [site.network(number).provider_segmentation_id for number in range(2)] == [site.first, site.first + 1]
    before = site.count()
    steps, code = way(site.table(2))
    assert [step["changes"] for step in steps.values()] == [{}, {}], steps
    assert (site.since(before)[1], code) == ([], 0)


def test_a_conflict_ends_the_run_with_its_owners_name(site, way):
    held = site.make_network(0, site.sdk.identity.find_project("demo").id, name="theirs")
    steps, code = way(site.table(2))
    said = json.dumps(steps["openstack-vlans"])
    assert (steps["openstack-vlans"]["result"], bool(code)) == (False, True)
    assert f"VLAN {site.first} on physnet1 belongs to network theirs ({held.id}) of project demo" in said
    assert not site.project(1), "all or nothing"


def test_a_bad_table_stops_before_the_cloud_is_asked(site, way):
    table = site.table(2)
    table["projects"][site.name(1)]["vlan"] = site.first
    before = site.calls()
    steps, code = way(table)
    said = steps["openstack-preflight"]["comment"]
    assert (steps["openstack-preflight"]["result"], bool(code)) == (False, True)
    assert f"openstack:projects:{site.name(1)}:vlan" in said and f"is {site.first}, which {site.name()} has" in said
    assert site.calls() == before


def test_a_project_moves_as_the_how_to_says(site, way):
    way(site.table(1))
    table = site.table(1)
    table["projects"][site.name()]["vlan"] = site.first + 5
    steps, code = way(table)
    refused = outcome(steps["openstack-vlans"])
    assert (refused[0], bool(code)) == (False, True) and f"{site.name()}-net" in refused[2], refused
    assert "on_drift" in refused[2], refused
    table["projects"][site.name()]["on_drift"] = "move"
    steps, code = way(table)
    assert (outcome(steps["openstack-vlans"])[0], code) == (True, 0), steps
    assert site.network().provider_segmentation_id == site.first + 5
    steps, code = way(table)
    assert (outcome(steps["openstack-vlans"])[:2], code) == ((True, {}), 0)


@pytest.mark.parametrize("way", ["master"], indirect=True)
def test_a_project_is_removed_as_the_how_to_says(estate, site, way):
    master, minion, pillar = estate
    way(site.table(2))
    way(site.table(1))
    assert site.network(1), "what leaves the pillar stays in the world"
    [sls] = re.findall(r"^# /srv/salt/vault_gone.sls\n(.*?)^```", (ROOT / "docs/howto.md").read_text(), re.S | re.M)
    (pillar.with_name("files") / "vault_gone.sls").write_text(sls.replace("vault", site.name(1)))
    salt_run = master.salt_run_cli(timeout=600)
    assert salt_run.run("state.orchestrate", "vault_gone", "test=True").returncode == 0
    assert site.network(1)
    for changed in (True, False):
        ran = salt_run.run("state.orchestrate", "vault_gone")
        [[step]] = [steps.values() for steps in ran.data["data"].values()]
        assert (step["result"], bool(step["changes"]), ran.returncode) == (True, changed, 0), step
    assert (site.project(1), bool(site.network(0))) == (None, True)


def test_a_highstate_of_the_minion_does_the_same(estate, site):
    master, minion, pillar = estate
    (pillar / "openstack.sls").write_text(json.dumps({"openstack": site.table(1)}))
    salt = master.salt_cli(timeout=600)
    salt.run("saltutil.sync_all", minion_tgt=minion.id)
    for changed in (True, False):
        states = salt.run("state.highstate", minion_tgt=minion.id).data
        assert all(state["result"] for state in states.values()), states
        assert any(state["changes"] for state in states.values()) is changed
    assert site.network().provider_segmentation_id == site.first
