"""All areas by a plain highstate; then disasters while one run works on all of them: the next single run converges."""

import json
import time

import pytest
from labs import OVERLAY, SiteLab, failed

# In a highstate nobody but a minion talks to the cloud, here hq's; and who has an area's pillar has that role.
OVERLAY_BY_ROLE = """
{%% set overlay = %s %%}
{%% if opts.id == 'hq' %%}
{%%   do overlay.update({'include': ['openstack'], 'openstack': {'minion': 'hq'}}) %%}
{%% endif %%}
{%% if not opts.id.endswith('.dc') %%}
{%%   do overlay.pop('mongodb') %%}
{%% endif %%}
{{ overlay | tojson }}
"""


@pytest.fixture(scope="module")
def site():
    with SiteLab("faults", "site.yaml") as lab:
        yield lab


@pytest.fixture(scope="module")
def highstate(site):
    """A plain highstate on blank hosts, and what the client writes from then on."""
    overlay = json.loads(site.exec("hq", f"cat {OVERLAY}"))
    site.command("run", "sh", "-c", f"cat > {OVERLAY}", input=OVERLAY_BY_ROLE % json.dumps(overlay))
    found = site.highstate("*")
    site.pillar(overlay)
    site.write("hq", router="r1.dc", concern="1")
    return found


def test_a_plain_highstate_on_blank_hosts_converges_in_one_pass(site, highstate):
    code, states = highstate
    assert (code, failed(states)) == (0, {})
    site.assert_all_areas_are_there()


def damage(site):
    """Every area has something to do."""
    site.exec("r1.dc", "systemctl stop mongos 'mongod-*'; rm -rf /etc/mongodb")
    site.exec("gw.cordoba", "nft flush ruleset")
    site.exec("ws001.cordoba", "nft flush ruleset; salt-call --retcode-passthrough libvirt_clone.destroy till-1")
    overlay = json.loads(site.exec("hq", f"cat {OVERLAY}"))
    projects = overlay.setdefault("openstack", {}).setdefault("projects", {})
    number = len(projects)
    projects[f"new-{number}"] = {"vlan": 100 + number, "cidr": f"10.99.{number}.0/24"}
    site.pillar(overlay)


def kill(unit, host):
    return lambda site: site.exec(host, f"systemctl kill --signal=KILL {unit}; sleep 1; systemctl start {unit}")


def reboot(host):
    def fault(site):
        site.command("kill", host)
        site.up("site.yaml")

    return fault


def cut(host):
    def fault(site):
        site.command("cut", host)
        time.sleep(30)
        site.command("mend", host)

    return fault


DISASTERS = {
    "processes die": {
        "mongodb-replica-sets": kill("mongod-s1", "r1.dc"),
        "openstack-vlans": lambda site: site.cloud("kill"),
        "branches-canary-guests-made": kill("libvirtd", "ws001.cordoba"),
    },
    "minions die": {
        "mongodb-daemons": kill("salt-minion", "r1.dc"),
        "branches-canary-hosts:": kill("salt-minion", "ws001.cordoba"),
    },
    "hosts reboot": {"mongodb-routers": reboot("r1.dc"), "branches-canary-guests:": reboot("ws001.cordoba")},
    "links are cut for 30 s": {"mongodb-shards": cut("r1.dc"), "branches-canary-gateways": cut("gw.cordoba")},
    "the master dies while hosts work": {"branches-canary-hosts:": kill("salt-master", "hq")},
    "the master dies at the end": {"branches-canary-guests:": kill("salt-master", "hq")},
    "the run is killed": {"branches-canary-guests-made": lambda site: site.exec("hq", "pkill -KILL -f [s]tate.orch")},
}


def assert_converges(site):
    code, run = site.onepass("run")
    assert (code, run["failed"], run["causes"]) == (0, [], [])
    site.assert_all_areas_are_there()


@pytest.mark.parametrize("disasters", DISASTERS.values(), ids=DISASTERS)
def test_the_run_after_a_disaster_converges(site, highstate, disasters):
    damage(site)
    site.disturb({step: lambda fault=fault: fault(site) for step, fault in disasters.items()}, "orchestrate.site")
    site.up("site.yaml")
    assert_converges(site)


def test_full_disks_are_named_and_the_run_after_them_converges(site, highstate):
    damage(site)
    places = {"r1.dc": "/etc/mongodb", "ws001.cordoba": "/etc/onepass"}
    for host, folder in places.items():
        full = f"mkdir -p {folder}; mount -t tmpfs -o size=4k full {folder}; cat /dev/zero > {folder}/zeros || true"
        site.exec(host, full)
    code, run = site.onepass("run")
    for host, folder in places.items():
        site.exec(host, f"umount {folder}")
    assert code == 1
    assert {host for cause in run["causes"] for host in cause["hosts"]} == set(places)
    assert "No space left" in str(run["causes"])
    assert_converges(site)


def test_nothing_acknowledged_was_lost(site, highstate):
    acknowledged = site.acknowledged("hq")
    there = site.python("print(json.dumps([each['_id'] for each in router.bank.transfers.find({}, {'_id': 1})]))")
    assert len(acknowledged) > 1000
    assert set(acknowledged) <= set(there)
    code, run = site.onepass("run")
    assert (code, run["changes"]) == (0, 0)
