"""
All areas by a plain highstate; then disasters while one run works on all of them: the next single run converges.

Each step of the orchestration meets a disaster that a run survives, and one step the end of the run. With
--every-phase each step meets every disaster, the master's death too, which takes an hour or two.
"""

import json
import threading
import time
from functools import partial

import pytest
from labs import OVERLAY, PHASES, failed

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
def site(site_lab):
    return site_lab


@pytest.fixture(scope="module")
def highstate(site):
    """A plain highstate on blank hosts, and what the client writes from then on."""
    overlay = json.loads(site.exec("hq", f"cat {OVERLAY}"))
    site.command("run", "sh", "-c", f"cat > {OVERLAY}", input=OVERLAY_BY_ROLE % json.dumps(overlay))
    found = site.highstate("*")
    site.pillar(overlay)
    site.write("hq", router="r1.dc", concern="1", every=0.1)
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


ONE_AT_A_TIME = threading.Lock()  # `lab up` starts what is off, and on a host that boots nothing can be killed


def kill(unit, host):
    dead = f"systemctl kill --signal=KILL {unit} || true; sleep 1"  # by the fault before, it may be so already
    again = f"{{ systemctl reset-failed {unit} || true; systemctl start {unit}; }}"

    def fault(site):
        with ONE_AT_A_TIME:
            site.exec(host, f"{dead}; {again} || {{ sleep 2; {again}; }}")  # which systemd may be doing, too

    return fault


def upgrade(host):
    """As the postinst of a new salt-minion does: the unit's own KillMode leaves a job that runs."""

    def fault(site):
        with ONE_AT_A_TIME:
            site.exec(host, "systemctl restart salt-minion")

    return fault


def exhaust(host):
    """As the kernel does where memory ends: it kills the largest process, a job's, and the minion goes on."""

    def fault(site):
        with ONE_AT_A_TIME:
            site.exec(host, "for n in $(seq 50); do pkill -KILL -f '[P]rocessPayload' && break; sleep 0.1; done")

    return fault


def repillar(site):
    """Somebody saves another pillar: one more project, and a setting of a replica set's."""
    overlay = json.loads(site.exec("hq", f"cat {OVERLAY}"))
    projects = overlay.setdefault("openstack", {}).setdefault("projects", {})
    number = len(projects)
    projects[f"new-{number}"] = {"vlan": 100 + number, "cidr": f"10.99.{number}.0/24"}
    overlay["mongodb"]["replsets"]["s1"]["settings"] = {"electionTimeoutMillis": 9000 + number}
    site.pillar(overlay)


def reboot(host):
    def fault(site):
        with ONE_AT_A_TIME:
            site.command("kill", host)
            site.up("site.yaml")
            if host == "gw.cordoba":  # whose addresses and DHCP server are no configuration of the lab's
                site.world("wan")
                site.world("dhcp", "cordoba")

    return fault


def cut(host):
    def fault(site):
        site.command("cut", host)
        time.sleep(30)
        site.command("mend", host)

    return fault


def kill_run(site):
    site.exec("hq", "pkill -KILL -f [s]tate.orch")


OPENSTACK = ["openstack-preflight", "openstack-vlans"]
# Each step of an area with hosts, and the host that a fault meets then. The preflight of the branches and the keys of
# their guests do not wait for every host, so the next step has another.
MONGODB = dict.fromkeys([f"mongodb-{phase}" for phase in ("preflight", *PHASES)], "r1.dc")
BRANCHES = {
    "branches-preflight": "gw.cordoba",
    "branches-canary-modules": "ws001.cordoba",
    "branches-canary-gateways": "gw.cordoba",
    "branches-canary-gateways-confirmed": "gw.cordoba",
    "branches-canary-hosts": "ws001.cordoba",
    "branches-canary-hosts-confirmed": "ws001.cordoba",
    "branches-canary-guests-made": "ws001.cordoba",
    "branches-canary-guests-keys": "ws002.cordoba",
    "branches-canary-guests": "ws001.cordoba",
}
HOSTS = {**MONGODB, **BRANCHES}
STEPS = [*HOSTS, *OPENSTACK]
PROCESSES = {
    **{step: kill("mongod-s1", MONGODB[step]) for step in list(MONGODB)[2:]},  # before, there is none
    **dict.fromkeys(OPENSTACK, lambda site: site.cloud("kill")),
    **{step: kill("libvirtd", host) for step, host in BRANCHES.items()},
}
# A disaster's fault at each step.
DISASTERS = {
    "processes die": PROCESSES,
    "minions die": {step: kill("salt-minion", host) for step, host in HOSTS.items()},
    "minions are upgraded": {step: upgrade(host) for step, host in HOSTS.items()},
    "memory ends": {step: exhaust(host) for step, host in HOSTS.items()},
    "the pillar changes": dict.fromkeys(STEPS, repillar),
    "hosts reboot": {step: reboot(host) for step, host in HOSTS.items()},
    "links are cut for 30 s": {step: cut(host) for step, host in HOSTS.items()},
    "the master dies": dict.fromkeys(STEPS, kill("salt-master", "hq")),
    "the run is killed": dict.fromkeys(STEPS, kill_run),
}
# How many one run has of those that end it, or after which Salt's minion itself may stay deaf when there are more.
AT_ONCE = {"links are cut for 30 s": 2, "the master dies": 1, "the run is killed": 1}
# What the steps meet without --every-phase: one disaster each of those that a run survives.
MET = {
    "mongodb-preflight": "minions die",
    "mongodb-daemons": "hosts reboot",
    "mongodb-replica-sets": "processes die",
    "mongodb-routers": "minions die",
    "mongodb-shards": "links are cut for 30 s",
    "mongodb-collections": "processes die",
    "mongodb-verify": "minions die",
    "branches-preflight": "processes die",
    "branches-canary-modules": "minions die",
    "branches-canary-gateways": "links are cut for 30 s",
    "branches-canary-gateways-confirmed": "minions die",
    "branches-canary-hosts": "processes die",
    "branches-canary-hosts-confirmed": "hosts reboot",
    "branches-canary-guests-made": "processes die",
    "branches-canary-guests-keys": "minions die",
    "branches-canary-guests": "hosts reboot",
    "openstack-preflight": "processes die",
    "openstack-vlans": "processes die",
}
CHOSEN = {
    "one at each step": {step: DISASTERS[disaster][step] for step, disaster in MET.items()},
    "the run is killed": {"branches-canary-guests-made": kill_run},
}


def assert_converges(site):
    code, run = site.onepass("run")
    assert (code, run["failed"], run["causes"]) == (0, [], [])
    site.assert_all_areas_are_there()


def pytest_generate_tests(metafunc):
    if "disaster" in metafunc.fixturenames:
        disasters = DISASTERS if metafunc.config.getoption("--every-phase") else CHOSEN
        metafunc.parametrize("disaster, faults", disasters.items(), ids=list(disasters))


def test_the_run_after_a_disaster_converges(site, highstate, disaster, faults):
    left = list(faults)
    while left:
        damage(site)
        armed = left[: AT_ONCE.get(disaster)]
        _, missed = site.disturb({step: partial(faults[step], site) for step in armed}, "orchestrate.site")
        print(f"{disaster}: {', '.join(step for step in armed if step not in missed)}", flush=True)
        assert missed != armed
        left = missed + left[len(armed) :]
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
    assert len(acknowledged) > 300
    assert set(acknowledged) <= set(there)
    code, run = site.onepass("run")
    assert (code, run["changes"]) == (0, 0)
