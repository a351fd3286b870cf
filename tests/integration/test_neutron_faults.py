"""neutron_vlan where somebody else is faster, or a service fails: what is said, and what is left behind."""

import contextlib
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


def salt_call(tmp_path, function, *words):
    """A second master: ``salt-call`` in a process of its own."""
    settings = {"root_dir": str(tmp_path), "id": "second", "enable_gpu_grains": False, "enable_fqdns_grains": False}
    (tmp_path / "minion").write_text(yaml.safe_dump(settings))
    salt = [Path(sys.executable).parent / "salt-call", "--local", "--config-dir", tmp_path, "-m", ROOT, "--out=json"]
    command = [str(word) for word in (*salt, function, *words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def overtaken(site, tmp_path):
    """Run a function as a second master, let something happen while a request of its is held, answer its return."""

    @contextlib.contextmanager
    def run(call, function, *words):
        answer = {}
        site.cloud.neutron.fault(call, do="hold")
        process = salt_call(tmp_path, function, *words)
        try:
            wait_until_held(site.cloud.neutron, process)
            yield answer
            site.cloud.neutron.release()
            answer.update(json.loads(process.communicate(timeout=120)[0])["local"])
        finally:
            process.kill()

    return run


def wait_until_held(api, process):
    deadline = time.monotonic() + 60
    while not api.held():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)


def table_of(site, count):
    return "neutron_vlan.apply", f"table={json.dumps(site.table(count))}"


def test_a_race_for_a_vlan_is_lost_with_the_winners_name(site, overtaken):
    with overtaken("POST /v2.0/networks", *table_of(site, 2)) as ret:
        winner = site.make_network(0, site.sdk.identity.find_project("demo").id, name="winner")
    assert ret["result"] is False
    assert f"VLAN {site.first} on physnet1 belongs to network winner ({winner.id}) of project demo" in ret["comment"]
    assert sorted(ret["changes"]) == [f"project {site.name(n)}" for n in range(2)]
    assert not site.network(0) and not site.network(1), "the request is executed as a whole or not at all"


@pytest.mark.parametrize("kind", ["networks", "subnets"])
def test_two_masters_with_one_table_both_arrive(site, overtaken, kind):
    with overtaken(f"POST /v2.0/{kind}", *table_of(site, 2)) as ret:
        assert site.apply(site.table(2)).result is True
    assert ret["result"] is True, ret["comment"]
    site.nothing_to_do(site.table(2))
    assert len(list(site.sdk.network.networks(project_id=site.project().id))) == 1


def test_a_quota_that_fills_in_the_last_moment(site, overtaken):
    with overtaken("POST /v2.0/networks", *table_of(site, 2)) as ret:
        site.sdk.network.update_quota(site.project(1).id, networks=0)
    assert ret["result"] is False
    assert f"{site.name(1)}: the quota is 0 networks, 0 are there and 1 more needed" in ret["comment"]
    assert "Nothing more was changed" in ret["comment"]
    assert not site.network(0) and not site.network(1)


def test_a_port_that_comes_while_its_network_goes(site, overtaken):
    site.has(site.table())
    words = [f"login={json.dumps(site.login)}", "remove_project=True"]
    with overtaken("DELETE /v2.0/subnets", "neutron_vlan.remove", site.name(), *words) as ret:
        port = site.sdk.network.create_port(network_id=site.network().id, device_owner="compute:nova")
    assert (ret["result"], ret["changes"]) == (False, {})
    assert f"Nothing more was changed:\nport {port.id}" in ret["comment"] and "compute:nova" in ret["comment"]
    assert site.subnet() and site.project()


DELETIONS = [
    ("neutron", "DELETE /v2.0/rbac-policies"),
    ("neutron", "PUT /v2.0/routers"),
    ("neutron", "DELETE /v2.0/routers"),
    ("neutron", "DELETE /v2.0/subnets"),
    ("neutron", "DELETE /v2.0/networks"),
    ("neutron", "DELETE /v2.0/quotas"),
    ("keystone", "DELETE /v3/projects"),
]


def test_a_removal_that_is_cut_anywhere_is_finished_by_the_next(site):
    """Each deletion in its turn is executed and its answer lost."""
    site.has(site.one(quota={"networks": 5}, router={}, share_with=["demo"]))
    for service, call in DELETIONS:
        getattr(site.cloud, service).fault(call, do="lose")
        cut = site.absent()
        assert cut.result is False, call
        assert "503" in cut.comment
    ended = site.absent()
    assert (ended.result, ended.changes) == (True, {})
    assert not site.project()
    assert not list(site.sdk.network.networks(name=f"{site.name()}-net"))


def test_keystone_ends_in_the_middle(site):
    table = site.table(2)
    site.cloud.keystone.fault("POST /v3/projects", skip=1, do="die")
    try:
        ret = site.apply(table)
    finally:
        site.cloud.keystone.kill()
        site.cloud.keystone.start()
    assert ret.result is False
    assert "Keystone does not serve POST /projects" in ret.comment
    assert list(ret.changes) == [f"project {site.name(0)}"], "exactly what was made"
    assert site.apply(table).result is True


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
            ret = site.apply(site.table())
        finally:
            api.start()
        assert (ret.result, ret.changes) == (False, {})
        assert words in ret.comment, ret.comment


@pytest.mark.parametrize("status", [500, 503, 504])
def test_a_list_that_fails_changes_nothing(site, status):
    site.cloud.neutron.fault("GET /v2.0/subnets", status=status)
    ret = site.apply(site.table())
    assert (ret.result, ret.changes) == (False, {})
    assert f"Neutron refuses GET /subnets ({status})" in ret.comment


def test_an_answer_that_is_not_the_apis_is_said(site):
    site.cloud.neutron.fault("GET /v2.0/subnets", status=200)
    ret = site.apply(site.table())
    assert (ret.result, ret.changes) == (False, {})
    assert ret.comment.startswith("Neutron answers GET /subnets with no JSON; look at its endpoint"), ret.comment


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


@pytest.mark.parametrize("role", clouds.ROLES)
def test_who_is_no_admin_is_told_that_one_is_needed(site, role):
    before = site.count()
    ret = site.apply({**site.table(), "cloud": role})
    assert (ret.result, ret.changes) == (False, {})
    assert "Keystone refuses GET /projects (403" in ret.comment
    assert "The login has to be an admin's" in ret.comment
    assert site.since(before)[1] == []


@pytest.mark.parametrize(
    "change,words",
    [
        ({"cloud": "nowhere"}, "; it has admin, manager, member, reader"),
        ({"clouds_yaml": "/nowhere/clouds.yaml"}, "There is no /nowhere/clouds.yaml"),
    ],
)
def test_a_cloud_that_is_not_there(site, change, words):
    ret = site.apply({**site.table(), **change})
    assert ret.result is False
    assert words in ret.comment


def by_another_login(site, tmp_path, auth=None, **more):
    """A table of one project, with a clouds.yaml of its own."""
    data = json.loads(site.cloud.clouds_yaml.read_text())
    data["clouds"]["admin"].update(more)
    data["clouds"]["admin"]["auth"].update({"password": "admin-secret", **(auth or {})})
    (tmp_path / "clouds.yaml").write_text(json.dumps(data))
    return {**site.table(), "clouds_yaml": str(tmp_path / "clouds.yaml")}


def test_a_region_that_is_not_there(site, tmp_path):
    before = site.count()
    ret = site.apply(by_another_login(site, tmp_path, region_name="Nowhere"))
    assert (ret.result, ret.changes) == (False, {})
    assert "in Nowhere region not found" in ret.comment
    assert "-secret" not in ret.comment
    assert site.since(before)[1] == []


@pytest.mark.parametrize(
    "key,service,words",
    [
        ("cacert", "keystone", "No login to cloud admin"),
        ("cacert", "neutron", "Neutron does not serve GET /networks"),
        ("cert", "keystone", "No login to cloud admin"),
        ("key", "keystone", "No login to cloud admin"),
    ],
)
def test_a_file_of_tls_that_is_not_there(site, tmp_path, key, service, words):
    files = {**({"cert": str(site.cloud.clouds_yaml)} if key == "key" else {}), key: "/nowhere/bank.pem"}
    url = getattr(site.cloud, service).url.replace("http:", "https:")
    auth, more = ({"auth_url": f"{url}/v3"}, {}) if service == "keystone" else ({}, {"network_endpoint_override": url})
    ret = site.apply(by_another_login(site, tmp_path, auth, **files, **more))
    assert (ret.result, ret.changes) == (False, {})
    assert words in ret.comment and "invalid path: /nowhere/bank.pem" in ret.comment, ret.comment


def test_a_wrong_password_is_said_and_not_shown(site, tmp_path):
    ret = site.apply(by_another_login(site, tmp_path, {"password": "kept-out-of-sight"}))
    assert ret.result is False
    assert "Keystone refuses the login of cloud admin" in ret.comment and "secure.yaml beside it" in ret.comment
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
