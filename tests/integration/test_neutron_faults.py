"""neutron_vlan where somebody else is faster, or a service fails: what is said, and what is left behind."""

import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import clouds
from tree import ROOT


def salt_call(site, tmp_path, table):
    """A second master: ``salt-call`` in a process of its own."""
    settings = {"root_dir": str(tmp_path), "id": "second", "enable_gpu_grains": False, "enable_fqdns_grains": False}
    (tmp_path / "minion").write_text(yaml.safe_dump(settings))
    words = [Path(sys.executable).parent / "salt-call", "--local", "--config-dir", tmp_path, "-m", ROOT, "--out=json"]
    words += ["neutron_vlan.apply", f"table={json.dumps(table)}"]
    return subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def returned(process):
    out, err = process.communicate(timeout=60)
    return json.loads(out)["local"], err


def wait_until_held(api, process):
    deadline = time.monotonic() + 30
    while not api.held():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)


def test_a_race_for_a_vlan_is_lost_with_the_winners_name(site, tmp_path):
    site.cloud.neutron.fault("POST /v2.0/networks", do="hold")
    process = salt_call(site, tmp_path, site.table(2))
    try:
        wait_until_held(site.cloud.neutron, process)
        winner = site.make_network(0, site.sdk.identity.find_project("demo").id, name="winner")
        site.cloud.neutron.release()
        ret, _ = returned(process)
    finally:
        process.kill()
    assert ret["result"] is False
    assert f"VLAN {site.first} on physnet1 belongs to network winner ({winner.id}) of project demo" in ret["comment"]
    assert sorted(ret["changes"]) == [f"project {site.name(n)}" for n in range(2)]
    assert not site.network(0) and not site.network(1), "the request is executed as a whole or not at all"


def test_two_masters_with_one_table_both_arrive(site, tmp_path):
    site.cloud.neutron.fault("POST /v2.0/networks", do="hold")
    process = salt_call(site, tmp_path, site.table(2))
    try:
        wait_until_held(site.cloud.neutron, process)
        assert site.apply(site.table(2)).result is True
        site.cloud.neutron.release()
        ret, _ = returned(process)
    finally:
        process.kill()
    assert ret["result"] is True, ret["comment"]
    site.nothing_to_do(site.table(2))
    assert len(list(site.sdk.network.networks(project_id=site.project().id))) == 1


def test_neutron_ends_in_the_middle(site):
    table = site.table(2)
    site.cloud.neutron.fault("POST /v2.0/subnets", do="die")
    try:
        ret = site.apply(table)
    finally:
        site.cloud.neutron.kill()
        site.cloud.neutron.start()
    assert ret.result is False
    assert "Neutron does not serve POST /subnets" in ret.comment
    assert sorted(what.split()[0] for what in ret.changes) == ["network", "network", "project", "project"]
    assert "Left to do: create subnet" in ret.comment
    assert site.network(1) and not site.subnet(1)
    assert site.apply(table).result is True
    site.nothing_to_do(table)


def test_neutron_and_keystone_are_down(site):
    for api, words in ((site.cloud.neutron, "Neutron does not serve GET /networks"), (site.cloud.keystone, "No login")):
        api.kill()
        try:
            began = time.monotonic()
            ret = site.apply(site.table())
        finally:
            api.start()
        assert (ret.result, ret.changes) == (False, {})
        assert words in ret.comment, ret.comment
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("status", [500, 503, 504])
def test_a_list_that_fails_changes_nothing(site, status):
    site.cloud.neutron.fault("GET /v2.0/subnets", status=status)
    ret = site.apply(site.table())
    assert (ret.result, ret.changes) == (False, {})
    assert f"Neutron refuses GET /subnets ({status})" in ret.comment


def test_a_token_that_expires_in_the_middle_is_renewed(site):
    site.cloud.neutron.fault("POST /v2.0/networks", status=401)
    assert site.apply(site.table()).result is True


def test_a_token_that_is_gone_is_said(site, tmp_path):
    token = site.sdk.authorize()
    site.sdk.identity.delete("/auth/tokens", headers={"X-Subject-Token": token})
    auth = {"auth_url": f"{site.cloud.keystone.url}/v3", "token": token, "project_name": "admin"}
    data = {"clouds": {"stale": {"auth_type": "token", "auth": {**auth, "project_domain_name": "Default"}}}}
    (tmp_path / "clouds.yaml").write_text(json.dumps(data))
    ret = site.apply({**site.table(), "cloud": "stale", "clouds_yaml": str(tmp_path / "clouds.yaml")})
    assert (ret.result, ret.changes) == (False, {})
    assert "No login to cloud stale" in ret.comment and "Failed to validate token" in ret.comment
    assert token not in ret.comment


def test_a_member_is_told_that_an_admin_is_needed(site):
    before = site.count()
    ret = site.apply({**site.table(), "cloud": "member"})
    assert (ret.result, ret.changes) == (False, {})
    assert "Keystone refuses GET /projects (403" in ret.comment
    assert "The login has to be an admin's" in ret.comment
    assert site.since(before)[1] == []


@pytest.mark.parametrize(
    "change,words",
    [
        ({"cloud": "nowhere"}, "nowhere"),
        ({"clouds_yaml": "/nowhere/clouds.yaml"}, "There is no /nowhere/clouds.yaml"),
    ],
)
def test_a_cloud_that_is_not_there(site, change, words):
    ret = site.apply({**site.table(), **change})
    assert ret.result is False
    assert words in ret.comment


def test_a_wrong_password_is_said_and_not_shown(site, tmp_path):
    data = json.loads(site.cloud.clouds_yaml.read_text())
    data["clouds"]["admin"]["auth"]["password"] = "kept-out-of-sight"
    (tmp_path / "clouds.yaml").write_text(json.dumps(data))
    ret = site.apply({**site.table(), "clouds_yaml": str(tmp_path / "clouds.yaml")})
    assert ret.result is False
    assert "Keystone refuses the login of cloud admin" in ret.comment
    assert "kept-out-of-sight" not in ret.comment


def test_the_process_environment_is_not_looked_at(site, monkeypatch):
    """In Ansible and with openstack.connect(), OS_USERNAME wins over a part of clouds.yaml."""
    for name, value in {"USERNAME": "member", "PASSWORD": "wrong", "PROJECT_NAME": "demo", "CLOUD": "member"}.items():
        monkeypatch.setenv(f"OS_{name}", value)
    site.converges(site.one())


def test_no_password_is_ever_logged(site, caplog):
    with caplog.at_level(logging.DEBUG):
        ret = site.apply(site.table())
        site.cloud.neutron.fault("GET /v2.0/subnets", status=503)
        failed = site.apply(site.table())
    everything = caplog.text + json.dumps([ret.changes, ret.comment, failed.comment])
    assert not [secret for secret in clouds.SECRETS if secret in everything]
