"""``salt-run onepass.status`` as a monitor calls it: its exit codes, its JSON, and the two recipes of docs/adopt."""

import json
import os
import socketserver
import subprocess
import sys
import tempfile
import threading

import pytest
import yaml

from tree import ROOT

# salt-run with another client in the place of the one that asks minions: what they would answer is a file.
PROGRAM = """#!{python}
import json, sys
import salt.client
from salt.scripts import salt_run

class Client:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run_job(self, minions, function, arg, **more):
        self.function = function
        return {{"jid": "20261129000000000000", "minions": minions}}

    def get_iter_returns(self, jid, minions, **more):
        told = json.loads(open({path!r}).read())[self.function]
        yield {{each: {{"ret": told.get(each, told.get("*"))}} for each in minions if each in told or "*" in told}}

salt.client.get_local_client = lambda *_, **more: Client()
sys.argv[1:1] = ["--config-dir={conf}"]
salt_run()
"""


def replset(name, letters="abc", **other):
    hosts = [f"{name}{letter}.dc:27017" for letter in letters]
    states = dict(zip(hosts, ["PRIMARY", "SECONDARY", "SECONDARY"], strict=True))
    return {"replset": name, "primary": hosts[0], "members": states, "lag": {hosts[1]: 2, hosts[2]: 0}, **other}


def topology(**s1):
    return {
        "config": replset("cfg", "123"),
        "shards": {"s1": replset("s1", **s1), "s2": replset("s2")},
        "collections": {},
    }


def told(units=None, **s1):
    """What minions answer: all of them have no unit that is not needed, unless told otherwise."""
    units = {"*": {}} if units is None else units
    return {"mongo_units.there": units, "mongo_shard.topology": {"r1.dc": topology(**s1)}}


DOWN = {"s1a.dc:27017": "PRIMARY", "s1b.dc:27017": "DOWN", "s1c.dc:27017": "SECONDARY"}
SILENT = {f"{name}.dc": {} for name in ("cfg1", "cfg2", "cfg3", "r1", "r2", "s1a", "s1b", "s1c", "s2a", "s2b")}
SEEN = {
    "all is well": (told(), 0, ""),
    "a member is down": (told(members=DOWN), 1, "fault           shard s1: s1b.dc:27017 is DOWN"),
    "a host is silent": (told(units=SILENT), 2, "silent          s2c.dc"),
    "a member lags": (
        told(lag={"s1b.dc:27017": 600, "s1c.dc:27017": 0}),
        3,
        "behind          shard s1: s1b.dc:27017 lags 600 s behind the primary",
    ),
}


DIRECTORY = """
ds389:
  suffix: dc=bank
  suppliers: {ds1.dc: 1, ds2.dc: 2}
"""
SETTINGS = {"port": "389", "secure_port": "636", "security": "on", "certificates": "/etc/dirsrv/slapd-bank"}


def replica(number, last="5f0c1115000400010000", days=300, feeds=True):
    """What a minion answers that has one of the two suppliers."""
    agreement = {"name": "to the other", "host": f"ds{3 - number}.dc", "port": 636, "transport": "SSL", "enabled": True}
    held = {
        "state": "backend",
        "fault": None,
        "readonly": False,
        "entries": 10,
        "empty": False,
        "conflicts": [],
        "replica": {"id": number, "role": "supplier", "managers": ["cn=replication manager,cn=config"], "cleaning": []},
        "ruv": {"generation": "5f0c1115000000010000", "replicas": [{"id": 1, "url": "ldap://ds1.dc:389", "max": last}]},
        "agreements": [{**agreement, **dict.fromkeys(("refresh", "update", "initial"))}] * feeds,
    }
    held["replica"]["purge_delay"] = None
    off = dict.fromkeys(("expiry", "lockout", "ignore_skew"), "off")
    one = {"server": "ldapi:///run/slapd-bank.socket", "fault": None, "kind": None, "version": "389-Directory/2.4.5"}
    one.update(now=1.5, clock=0, ports=[], certificate={"days": days, "subject": f"CN=ds{number}.dc"}, managers={})
    return [{**one, "settings": {"host": f"ds{number}.dc", **SETTINGS, **off}, "suffixes": {"dc=bank": held}}]


REPLICAS = {
    "all is well": (
        {"ds1.dc": replica(1), "ds2.dc": replica(2)},
        0,
        "ds1.dc:389  supplier 1, 10 entries, feeds 1, at most 0 s",
    ),
    "one is behind": (
        {"ds1.dc": replica(1), "ds2.dc": replica(2, "5f0c10b5000400010000")},
        1,
        "fault       ds1.dc:389: to the other: in sync: its target is 96 s behind",
    ),
    "one is silent": ({"ds1.dc": replica(1)}, 2, "silent      ds2.dc"),
    "a certificate will end": (
        {"ds1.dc": replica(1, days=29), "ds2.dc": replica(2)},
        3,
        "behind      ds1.dc:389: certificate: that of CN=ds1.dc ends in 29 days; renew it",
    ),
}


class Bus(socketserver.StreamRequestHandler):
    """In the place of the master's event bus, which salt-run looks for a minute for where no master runs."""

    def handle(self):
        while self.rfile.read(1):
            pass


@pytest.fixture(scope="module")
def bus():
    with (
        tempfile.TemporaryDirectory(prefix="bus-") as folder,
        socketserver.ThreadingUnixStreamServer(f"{folder}/master_event_pull.ipc", Bus) as server,
    ):
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder
        server.shutdown()


@pytest.fixture(scope="module")
def master(tmp_path_factory, bus):
    """``master(told)`` is the environment of a master whose minions answer so; salt-run is on its PATH."""
    root = tmp_path_factory.mktemp("master")
    for folder in ("conf", "bin", "pillar", "cache/proc"):
        (root / folder).mkdir(parents=True)
    (root / "pillar/top.sls").write_text("base: {'*': [site]}")
    (root / "pillar/site.sls").write_text((ROOT / "pillar/mongodb.sls").read_text() + DIRECTORY)
    config = {
        "root_dir": str(root),
        "user": "root",
        "cachedir": str(root / "cache"),
        "sock_dir": bus,
        "module_dirs": [str(ROOT)],
        "pillar_roots": {"base": [str(root / "pillar")]},
        "log_level": "quiet",
        "enable_fqdns_grains": False,
    }
    (root / "conf/master").write_text(yaml.safe_dump(config))
    program = root / "bin/salt-run"
    paths = {"python": sys.executable, "path": str(root / "told.json"), "conf": root / "conf"}
    program.write_text(PROGRAM.format(**paths))
    program.chmod(0o755)

    def given(answers):
        (root / "told.json").write_text(json.dumps(answers))
        return {**os.environ, "PATH": f"{root}/bin:{os.environ['PATH']}"}

    return given


def run(*words, env, **options):
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=300, check=False, **options)


@pytest.mark.parametrize("answers, code, line", SEEN.values(), ids=SEEN)
def test_the_exit_code_tells_what_is_wrong(master, answers, code, line):
    env = master(answers)
    ended = run("salt-run", "onepass.status", "mongodb", env=env)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "  config servers  cfg1.dc:27017 PRIMARY, cfg2.dc:27017 SECONDARY, cfg3.dc:27017 SECONDARY" in ended.stdout
    assert f"  {line}".rstrip() in ended.stdout.splitlines() or not line
    for words in ("retcode", "Traceback", "{"):
        assert words not in ended.stdout


@pytest.mark.parametrize("answers, code, line", REPLICAS.values(), ids=REPLICAS)
def test_directory_servers_have_the_same_codes(master, answers, code, line):
    ended = run("salt-run", "onepass.status", "ds389", env=master({"ds_replica.observed": answers}))
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert f"\n  {line}" in ended.stdout, ended.stdout
    assert "Traceback" not in ended.stdout


def test_what_would_be_typed(master):
    env = master({"ds_replica.observed": {"ds1.dc": replica(1), "ds2.dc": replica(2, feeds=False)}})
    ended = run("salt-run", "ds_replica.plan", "--out=json", env=env)
    found = json.loads(ended.stdout)
    assert found["refused"] == []
    [line] = found["commands"]
    assert line.startswith(
        "dsconf bank repl-agmt create --suffix dc=bank --host ds1.dc --port 636 --conn-protocol LDAPS"
    )
    assert line.endswith("  # on ds2.dc: it feeds ds1.dc:636")


@pytest.mark.parametrize(
    "code, word, of_plugin", [(0, "OK", 0), (1, "CRITICAL", 2), (2, "WARNING", 1), (3, "WARNING", 1)]
)
def test_a_plugin_has_the_codes_of_one(tmp_path, code, word, of_plugin):
    (tmp_path / "salt-run").write_text(f"#!/bin/sh\necho $* seen\nexit {code}\n")
    (tmp_path / "salt-run").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = run(str(ROOT / "docs/adopt/check_onepass"), "mongodb", env=env)
    first, *more = ended.stdout.splitlines()
    assert (ended.returncode, first.split(":")[0], more) == (of_plugin, word, ["onepass.status mongodb seen"])


def test_a_program_counts_and_a_collector_collects(master):
    env = master(told(units=SILENT, members=DOWN))
    ended = run("salt-run", "onepass.status", "mongodb", "--out=json", env=env)
    data = json.loads(ended.stdout)
    assert ended.returncode == data["code"] == 1
    assert (data["faults"], data["silent"], data["behind"]) == (1, 1, 0)
    assert data["mongodb"]["silent"] == ["s2c.dc"]
    assert data["mongodb"]["sets"]["s2"]["members"]["s2b.dc:27017"] == {"state": "SECONDARY", "lag": 2}
    metrics = run(sys.executable, str(ROOT / "docs/adopt/onepass_metrics.py"), env=env, input=ended.stdout)
    lines = metrics.stdout.splitlines()
    assert [line for line in lines if not line.startswith("onepass_")] == []
    for line in (
        "onepass_status_code 1",
        'onepass_silent{area="mongodb"} 1',
        'onepass_mongodb_member_ready{set="s1",member="s1b.dc:27017"} 0',
        'onepass_mongodb_member_ready{set="s1",member="s1a.dc:27017"} 1',
        'onepass_mongodb_member_lag_seconds{set="s2",member="s2b.dc:27017"} 2',
    ):
        assert line in lines


def test_a_command_that_is_refused_has_the_code_of_a_fault(master):
    env = master(told())
    ended = run("salt-run", "onepass.status", "openstack", env=env)
    assert (ended.returncode, "has none of openstack" in ended.stdout) == (1, True)
