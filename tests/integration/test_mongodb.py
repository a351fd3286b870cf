"""The bank's cluster on a lab of real hosts, by one orchestration: blank, dry, real, again, disturbed, grown."""

import contextlib
import json
import re
import threading

import pytest
from labs import Lab, changed, command_lines, failed, flat

SEEN = """
shards = router.admin.command("listShards")["shards"]
members = {"cfg": "cfg2.dc", "s1": "s1b.dc", "s2": "s2b.dc"}
def electable(host):
    primary = connect(host).admin.command("hello")["primary"].split(":")[0]
    return connect(primary).admin.command("hello")["hosts"]
indexes = {host: connect(host).bank.transfers.list_indexes() for host in ("s1a.dc", "s2a.dc")}
print(json.dumps({
    "shards": {shard["_id"]: shard["host"] for shard in shards},
    "sets": {name: electable(host) for name, host in members.items()},
    "key": dict(router.config.collections.find_one({"_id": "bank.transfers"})["key"]),
    "indexes": {host: [dict(index["key"]) for index in found] for host, found in indexes.items()},
    "users": [user["user"] for user in router.bank.command("usersInfo")["users"]],
    "concern": router.admin.command("getDefaultRWConcern")["defaultWriteConcern"]["w"],
    "auth": connect("s1a.dc").admin.command("getCmdLineOpts")["parsed"]["security"],
}))
"""
CACHE = """
storage = connect("s2b.dc").admin.command("getCmdLineOpts")["parsed"]["storage"]
print(json.dumps(storage["wiredTiger"]["engineConfig"]["cacheSizeGB"]))
"""
GROWN = """
config = connect("s1b.dc").admin.command("replSetGetConfig")["config"]
print(json.dumps({
    "ids": [each["_id"] for each in router.bank.transfers.find({}, {"_id": 1})],
    "shards": sorted(shard["_id"] for shard in router.admin.command("listShards")["shards"]),
    "ids of s1": [entry["_id"] for entry in config["members"]],
}))
"""
DOWN = """
import socket, sys, time
def listens(host):
    try:
        return socket.create_connection((host, 27017), 0.5).close() is None
    except OSError:
        return False
while True:
    print(*[host for host in sys.argv[1:] if not listens(host)], flush=True)
    time.sleep(0.05)
"""
SECRETS = """
auth, users = secrets[0]["auth"], secrets[1]["users"]
print(json.dumps([auth["admin"]["password"], auth["keyfile"].split()[0][:60], users["teller"]["password"]]))
"""


@pytest.fixture(scope="module")
def bank():
    with Lab("bank", "datacentre.yaml") as lab:
        yield lab


@pytest.fixture(scope="module")
def first_run(bank):
    """A dry run and the real one on blank hosts, with all that they let be seen."""
    seen, done = set(), threading.Event()

    def look():
        while not done.wait(0.2):
            seen.update(command_lines())

    watcher = threading.Thread(target=look)
    watcher.start()
    events = bank.spawn("sh", "-c", "salt-run state.event > /root/events")
    dry = bank.orchestrate("test=True")
    untouched = bank.exec("s1a.dc", "ls -A /etc/mongodb /opt/mongodb /var/lib/mongodb 2>/dev/null || true")
    real = bank.orchestrate()
    done.set()
    watcher.join()
    events.kill()
    return {"dry": dry, "real": real, "untouched": untouched, "command lines": seen}


def test_a_dry_run_on_blank_hosts_touches_nothing(first_run):
    assert first_run["untouched"] == ""


def test_one_run_builds_the_cluster(bank, first_run):
    code, states = first_run["real"]
    assert (code, failed(states)) == (0, {})
    seen = bank.python(SEEN)
    assert {name: sorted(host.split("/")[1].split(",")) for name, host in seen["shards"].items()} == {
        name: [f"{name}{letter}.dc:27017" for letter in "abc"] for name in ("s1", "s2")
    }
    assert {name: len(hosts) for name, hosts in seen["sets"].items()} == {"cfg": 3, "s1": 3, "s2": 3}
    assert seen["key"] == {"account": "hashed"}
    for keys in seen["indexes"].values():
        assert {"account": 1, "when": -1} in keys
        assert {"reference": 1} in keys
    assert seen["users"] == ["teller"]
    assert seen["concern"] == "majority"
    assert seen["auth"]["keyFile"] == "/etc/mongodb/keyfile"


OUR_STATES = ("replset", "member", "admin", "router", "concern", "shard", "database", "collection", "indexes", "user")


def test_the_dry_run_told_what_the_real_one_did(first_run):
    """Of this bundle's own states, on every minion; Salt's file states say less of a file in a dry run."""
    ours = tuple(f"mongodb-{kind}-" for kind in OUR_STATES)
    dry, real = (
        {key: changes for key, changes in changed(first_run[kind][1]).items() if f"{key[1]}-".startswith(ours)}
        for kind in ("dry", "real")
    )
    assert {id for _, id in real} >= {
        "mongodb-replset-cfg",
        "mongodb-concern",
        "mongodb-shard-s2",
        "mongodb-user-teller",
    }
    assert dry == real


def test_the_second_run_changes_nothing(bank, first_run):
    code, states = bank.orchestrate()
    assert (code, failed(states), changed(states)) == (0, {}, {})


def test_keyfiles_are_their_owners_alone(bank, first_run):
    for host in ("cfg1.dc", "s2c.dc", "r2.dc"):
        assert bank.exec(host, "stat -c '%U %a' /etc/mongodb/keyfile").split() == ["mongodb", "400"]


def test_no_secret_can_be_read_anywhere(bank, first_run):
    secrets = bank.python(SECRETS)
    for secret in secrets:
        assert not [line for line in first_run["command lines"] if secret in line]
        assert secret not in str(first_run["dry"]) + str(first_run["real"])
        bank.command("run", "sh", "-c", "cat > /root/secret", input=secret)
        places = "/root/events /var/cache/salt/master/jobs /var/log/salt"
        assert bank.exec("hq", f"grep -rlaF -f /root/secret {places} || true") == ""
    assert bank.exec("hq", "grep -c salt/job /root/events").strip() != "0"
    for host in ("s1a.dc", "r1.dc"):
        found = bank.command(
            "exec", host, "sh", "-c", "grep -raF -f /dev/stdin /var/log /var/cache/salt || true", input=secrets[0]
        )
        assert found == ""


def test_status_shows_the_cluster(bank, first_run):
    code, out, err = bank.run("salt-run", "onepass.status", "areas=mongodb")
    assert code == 0, err
    for words in ("shard s1", "s2c.dc:27017 SECONDARY", "sharded on account: hashed", "on s2"):
        assert words in out


def test_a_failing_host_fails_the_run_with_its_cause(bank, first_run):
    bank.exec("s2c.dc", "chmod a-x /opt/mongodb/*/bin/mongod; systemctl stop mongod-s2")
    code, out, _ = bank.run("salt-run", "state.orchestrate", "orchestrate.mongodb")
    bank.exec("s2c.dc", "chmod a+x /opt/mongodb/*/bin/mongod")
    assert code == 1
    assert "Run failed on minions: s2c.dc" in out
    assert "ID: mongodb-mongod-s2" in out
    assert out.count("Function: service.running") == 1
    code, states = bank.orchestrate()
    assert (code, failed(states)) == (0, {})


def test_a_bad_pillar_and_a_missing_host_are_refused_before_anything_is_touched(bank, first_run):
    before = bank.exec("s1a.dc", "stat -c %Y /etc/mongodb/*.conf")
    bank.overlay(prot=27018, routers=["r1.dc", "r9.dc"])
    code, out, _ = bank.run("salt-run", "state.orchestrate", "orchestrate.mongodb")
    bank.overlay(routers=["r1.dc", "r2.dc"])
    bank.exec("hq", "sed -i 's/\"prot\": 27018, //' /srv/lab/pillar/local.sls")
    assert code == 1
    assert "mongodb:prot" in out
    assert "did you mean 'port'" in out
    assert "mongodb:routers:1" in out
    assert "no minion has the id 'r9.dc'" in out
    assert bank.exec("s1a.dc", "stat -c %Y /etc/mongodb/*.conf") == before


KINDS = {"cfg": ["cfg1.dc", "cfg2.dc", "cfg3.dc"], "routers": ["r1.dc", "r2.dc"]}
KINDS.update({name: [f"{name}{letter}.dc" for letter in "abc"] for name in ("s1", "s2")})
CURRENT = re.compile("mongodb-.*-current")


@contextlib.contextmanager
def downs(lab):
    """All that is seen of hosts that are down at the same time, while the block runs."""
    seen, hosts = set(), " ".join(host for hosts in KINDS.values() for host in hosts)
    lab.command("run", "sh", "-c", "cat > /root/downs.py", input=DOWN)
    lab.exec("hq", f"systemd-run --quiet --unit=downs sh -c 'python3 /root/downs.py {hosts} > /root/downs'")
    yield seen
    lab.exec("hq", "systemctl stop downs")
    seen.update(frozenset(line.split()) for line in lab.exec("hq", "cat /root/downs").splitlines())


def assert_one_at_a_time(seen):
    for down in seen:
        assert not [kind for kind, hosts in KINDS.items() if len(down & set(hosts)) > 1], down


def restarts(states):
    return {key: changes for key, changes in changed(states).items() if CURRENT.match(key[1])}


def test_new_settings_restart_one_member_of_a_set_at_a_time(bank, first_run):
    bank.overlay(cache_gib=0.3, router_options={"net": {"maxIncomingConnections": 5000}})
    _, dry = bank.orchestrate("test=True")
    with downs(bank) as seen:
        code, real = bank.orchestrate()
    assert (code, failed(real)) == (0, {})
    assert restarts(real) == restarts(dry)
    assert {host for host, _ in restarts(real)} == set().union(*KINDS.values())
    assert set().union(*seen), "nobody was seen to be down"
    assert_one_at_a_time(seen)
    assert bank.python(CACHE) == 0.3
    code, states = bank.orchestrate()
    assert (code, failed(states), changed(states)) == (0, {}, {})


def test_a_setting_that_mongod_refuses_costs_each_set_one_member(bank, first_run):
    bank.overlay(options={"setParameter": {"noSuchParameter": 1}})
    with downs(bank) as seen:
        code, states = bank.orchestrate()
    assert_one_at_a_time(seen)
    assert code == 1
    comments = list(failed(states).values())
    assert len([each for each in comments if "does not stay up" in each]) == 3, comments
    assert len([each for each in comments if "did not serve again after its restart" in each]) == 6, comments
    bank.overlay(options={})
    with downs(bank) as seen:
        code, states = bank.highstate()
    assert (code, failed(states)) == (0, {})
    assert_one_at_a_time(seen)
    code, states = bank.orchestrate()
    assert (code, failed(states), changed(states)) == (0, {}, {})


def test_a_run_that_was_cut_before_a_restart_is_made_up_for(bank, first_run):
    """A file that is newer than the process is enough; one that has only another mode restarts nobody."""
    bank.exec("s1b.dc", "touch /etc/mongodb/mongod-s1.conf")
    bank.exec("s2b.dc", "chmod 644 /etc/mongodb/mongod-s2.conf")
    wanted = {("s1b.dc", "mongodb-mongod-s1-current"), ("s2b.dc", "mongodb-mongod-s2-config")}
    for words in (["test=True"], []):
        code, states = bank.orchestrate(*words)
        assert (code, failed(states), set(changed(states))) == (0, {}, wanted)


UNITS = "systemctl show --value --property=MainPID 'mongod-*' mongos; find /etc/mongodb -type f | sort | xargs md5sum"


def untouched(lab):
    """Which process each daemon of each host is, and the files that they read."""
    return json.loads(lab.run("salt", "--out=json", "--static", "*.dc", "cmd.run", UNITS)[1])


REFUSED = {
    "fork": ({"options": {"processManagement": {"fork": True}}}, "is true, but systemd runs the daemon"),
    "loopback only": ({"options": {"net": {"bindIp": "127.0.0.1"}}}, "lets nobody in but this host itself"),
    "another port": ({"port": 27117}, "their set knows them by these ports only"),
    "another directory": (
        {"options": {"storage": {"dbPath": "/data/db"}}},
        "is in /var/lib/mongodb/s1, not in /data/db",
    ),
}
BEFORE = {"port": 27017, "options": {}}


@pytest.mark.parametrize("pillar, words", REFUSED.values(), ids=REFUSED)
def test_what_would_cost_a_living_set_its_members_is_refused_before_a_daemon_is_touched(bank, first_run, pillar, words):
    before = untouched(bank)
    bank.overlay(**pillar)
    code, out, _ = bank.run("salt-run", "state.orchestrate", "orchestrate.mongodb")
    bank.overlay(**BEFORE)
    assert (code, words in out) == (1, True), out[-3000:]
    assert untouched(bank) == before


def test_a_port_for_all_is_refused_by_each_host_in_a_plain_highstate_too(bank, first_run):
    """By the routers as well: in the cluster that they would look for there is nobody."""
    before = untouched(bank)
    bank.overlay(port=27117)
    _, states = bank.highstate()
    bank.overlay(**BEFORE)
    refused = {host for (host, _), words in failed(states).items() if "its set knows it by that port only" in words}
    assert refused == set().union(*KINDS.values())
    assert untouched(bank) == before


def test_a_set_with_another_name_is_refused_where_its_members_live(bank, first_run):
    members = ["s1a.dc:27017", "s1b.dc:27017", "s1c.dc:27017"]
    renamed = {
        "name": "mongod-shard1",
        "file": "/etc/mongodb/mongod-shard1.conf",
        "configuration": {"net": {"port": 27017}, "replication": {"replSetName": "shard1"}},
        "replsets": {"shard1": members},
        "connection": {"port": 27017},
    }
    words = [f"{key}={json.dumps(value)}" for key, value in renamed.items()]
    out = bank.run("salt", "s1b.dc", "state.single", "mongo_daemon.in_place", *words)[1]
    assert "At port 27017 is a living member of replica set s1, so shard1 cannot be there" in out


def test_routers_move_to_another_port_by_themselves_and_back(bank, first_run):
    """One after the other, in one run; what was refused before has left nothing to do."""
    for routers in (["r1.dc:27117", "r2.dc:27117"], KINDS["routers"]):
        bank.overlay(routers=routers)
        code, states = bank.orchestrate()
        assert (code, failed(states)) == (0, {})
        files = {(host, f"mongodb-mongos-{kind}") for host in KINDS["routers"] for kind in ("config", "current")}
        assert set(changed(states)) == files


def test_who_looks_at_jobs_and_a_highstate_beside_it_disturb_no_run(bank, first_run):
    bank.exec("s1b.dc", "touch /etc/mongodb/mongod-s1.conf")
    looking = bank.spawn("sh", "-c", "while salt-run --out=quiet jobs.active; do :; done")
    beside = bank.spawn("salt", "--out=json", "--static", "--timeout=300", "s1b.dc", "state.highstate", "queue=True")
    code, states = bank.orchestrate()
    bank.exec("hq", "pkill -f [j]obs.active || true")
    looking.communicate()
    other = flat(json.loads(beside.communicate()[0]))
    assert (code, failed(states), failed(other), beside.returncode) == (0, {}, {}, 0)
    restarted = [key for key in (*restarts(states), *restarts(other)) if key[0] == "s1b.dc"]
    assert restarted == [("s1b.dc", "mongodb-mongod-s1-current")]


def test_growth_under_load_loses_nothing(bank, first_run):
    """A third set, a fourth member and a new setting, while a client writes all the time and a primary is killed."""
    bank.write("r2.dc", router="r2.dc", concern="majority")
    bank.up("growth.yaml")
    bank.overlay(
        cache_gib=0.35,
        replsets={
            "s3": {"role": "shard", "members": ["s3a.dc", "s3b.dc", "s3c.dc"]},
            "s1": {"role": "shard", "members": ["s1a.dc", "s1b.dc", {"host": "s1c.dc", "priority": 0.5}, "s1d.dc"]},
        },
    )
    kill = {"mongodb-replica-sets": lambda: bank.exec("s2a.dc", "systemctl kill --signal=KILL mongod-s2")}
    assert bank.disturb(kill)[1] == []
    code, states = bank.orchestrate()
    assert (code, failed(states)) == (0, {})
    acknowledged = bank.acknowledged("r2.dc")
    seen = bank.python(GROWN)
    assert len(acknowledged) > 200
    assert set(acknowledged) <= set(seen["ids"])
    assert len(seen["ids"]) == len(set(seen["ids"]))
    assert seen["shards"] == ["s1", "s2", "s3"]
    assert seen["ids of s1"] == [0, 1, 2, 3]
    code, states = bank.orchestrate()
    assert (code, failed(states), changed(states)) == (0, {}, {})
