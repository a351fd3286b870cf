"""The formula's units on a host, and one that is needed no more: real mongods, a folder in the place of systemd's."""

import os
import subprocess

import pytest
import yaml
from salt.exceptions import CommandExecutionError

from segments import wait_until
from tree import functions, load

UNIT = "[Service]\nExecStart=/usr/bin/mongod --config {}\n"


class Host:
    """A host's units as systemd would answer for them; ``state`` calls mongo_daemon.absent there."""

    def __init__(self, home, modules):
        self.units, self.etc = home / "units", home / "etc"
        self.units.mkdir()
        self.etc.mkdir()
        self.running, self.done = {}, []
        salt = {**dict(modules), **{f"service.{name}": getattr(self, f"_{name}") for name in ("status", "stop")}}
        salt["service.disable"] = lambda unit: self.done.append(f"disable {unit}")
        salt["service.systemctl_reload"] = lambda: self.done.append("reload")
        self.modules = functions("mongo_units", __salt__=salt)
        salt.update(self.modules)
        vars_ = self.modules["mongo_units.there"].__globals__
        vars_.update(UNITS=str(self.units), CONFIGURATIONS=str(self.etc))
        self.salt = salt

    def _status(self, unit):
        return unit in self.running and self.running[unit].running

    def _stop(self, unit):
        self.done.append(f"stop {unit}")
        self.running[unit].stop()
        return True

    def add(self, unit, member=None, start=None, **config):
        (self.units / f"{unit}.service").write_text(start or UNIT.format(self.etc / f"{unit}.conf"))
        if member:
            self.running[unit] = member
            config = {"net": {"port": member.port}, "storage": {"dbPath": str(member.dbpath)}, **config}
        (self.etc / f"{unit}.conf").write_text(yaml.safe_dump(config))

    def state(self, name, test=False, **arguments):
        state = load("_states/mongo_daemon.py", __salt__=self.salt, __opts__={"test": test})
        return state.absent(name, **{"timeout": 0, **arguments})

    def files(self):
        return sorted(os.listdir(self.units) + os.listdir(self.etc))


@pytest.fixture
def host(tmp_path, modules):
    return Host(tmp_path, modules)


def replset(name):
    return {"replication": {"replSetName": name}}


@pytest.fixture
def pair(mongods, host):
    """A set of two; the second is this host's."""
    first, second = mongods(2, replset="s1")
    members = [
        {"_id": number, "host": each.address, "priority": 1 - number} for number, each in enumerate((first, second))
    ]
    first.client().admin.command("replSetInitiate", {"_id": "s1", "members": members})
    assert wait_until(lambda: first.client().admin.command("hello")["isWritablePrimary"])
    assert wait_until(lambda: second.client().admin.command("hello")["secondary"])
    host.add("mongod-s1", second, **replset("s1"))
    return first, second


def let_go(first, second):
    config = first.client().admin.command("replSetGetConfig")["config"]
    left = [each for each in config["members"] if each["host"] != second.address]
    first.client().admin.command("replSetReconfig", {**config, "members": left, "version": config["version"] + 1})


def test_members_that_nobody_wants_are_told_by_the_host_of_the_primary(host, pair):
    first, second = pair
    tested = functions("mongo_daemon", __salt__=host.salt)["mongo_daemon.extras"]
    wanted = {"s1": [second.address.replace("127.0.0.1", "localhost")], "s2": []}
    assert tested(wanted) == {}
    host.add("mongod-s1", first, **replset("s1"))
    assert tested(wanted) == {"s1": [first.address]}
    assert tested({"s1": [first.address, second.address]}) == {"s1": []}
    assert tested({"s2": []}) == {}


def test_the_formulas_units_and_nobody_elses(host):
    host.add("mongod-s1", **replset("s1"))
    host.add("mongod-mine", start="[Service]\nExecStart=/usr/bin/mongod --config /etc/mongod.conf\n")
    host.add("mongodb-huge-pages")
    host.add("mongos", net={"port": 27018})
    nothing = {"active": False, "replset": None, "port": None, "data": None}
    assert host.modules["mongo_units.there"]() == {
        "mongod-s1": {**nothing, "replset": "s1"},
        "mongos": {**nothing, "port": 27018},
    }


@pytest.mark.parametrize("unit, words", [("mongod-mine", "somebody else has made it"), ("ssh", "is no unit of the")])
def test_somebody_elses_unit_is_refused(host, unit, words):
    host.add("mongod-mine", start="[Service]\nExecStart=/usr/bin/mongod --config /etc/mongod.conf\n")
    before = host.files()
    ret = host.state(unit)
    assert (ret["result"], ret["changes"], host.files(), host.done) == (False, {}, before, [])
    assert words in ret["comment"]


def test_a_member_is_stopped_when_its_set_has_let_it_go(host, pair):
    first, second = pair
    kept = host.state("mongod-s1")
    assert (kept["result"], kept["changes"]) == (False, {})
    assert "last seen: it is a member of s1" in kept["comment"]
    assert second.running
    dry = host.state("mongod-s1", test=True)
    assert "before that, it has to leave its set: it is a member of s1" in dry["comment"]
    let_go(first, second)
    assert wait_until(lambda: not second.client().admin.command("hello").get("setName"))
    gone = host.state("mongod-s1", hosts=[first.address], host="127.0.0.1")
    assert gone["result"] is True, gone["comment"]
    assert gone["changes"] == dry["changes"]
    assert (second.running, host.files()) == (False, [])
    assert host.done == ["disable mongod-s1", "stop mongod-s1", "disable mongod-s1", "reload"]
    assert (second.dbpath / "WiredTiger").exists()
    again = host.state("mongod-s1")
    assert (again["result"], again["changes"], again["comment"]) == (True, {}, "There is no unit mongod-s1")


def test_a_member_that_is_down_is_its_sets_until_that_lets_it_go(host, pair):
    first, second = pair
    second.stop()
    asked = {"hosts": [first.address], "host": "127.0.0.1"}
    kept = host.state("mongod-s1", **asked)
    assert f"last seen: s1 has {second.address} as a member" in kept["comment"]
    assert len(host.files()) == 2
    assert host.state("mongod-s1")["result"] is True  # nobody was to be asked


def test_a_whole_set_goes_when_all_its_hosts_are_named_and_no_cluster_has_it_as_a_shard(host, pair, mongods):
    _, second = pair
    [keeper] = mongods(1)  # in the place of a config server
    shards = keeper.client().config.shards
    shards.insert_one({"_id": "one", "host": f"s1/{second.address}"})
    whole = {"hosts": [], "config_servers": ["127.0.0.1:1", keeper.address], "connection": {}}
    kept = host.state("mongod-s1", whole=whole)
    assert "s1 has members that mongodb:gone does not name: " in kept["comment"]
    whole["hosts"] = ["127.0.0.1"]
    kept = host.state("mongod-s1", whole=whole)
    assert "last seen: s1 is a shard of the cluster" in kept["comment"]
    assert (kept["changes"], second.running) == ({}, True)
    shards.delete_one({"_id": "one"})
    gone = host.state("mongod-s1", whole=whole)
    assert gone["result"] is True, gone["comment"]
    assert (second.running, host.files()) == (False, [])


def test_a_whole_set_stays_while_no_config_server_answers(host, pair):
    _, second = pair
    kept = host.state("mongod-s1", whole={"hosts": ["127.0.0.1"], "config_servers": ["127.0.0.1:1"]})
    assert (kept["result"], kept["changes"], second.running) == (False, {}, True)


def test_data_go_only_if_they_are_named_and_are_mongodbs(host, mongods):
    [member] = mongods(1)
    host.add("mongod-s1", member)
    ret = host.state("mongod-s1", data=True)
    assert ret["result"] is True, ret["comment"]
    assert ret["changes"][f"data {member.dbpath}"] == {"old": "present", "new": None}
    assert not member.dbpath.exists()


@pytest.mark.parametrize("others, words", [({}, "holds no data of MongoDB's"), ({"WiredTiger": ""}, "its data too")])
def test_data_of_others_are_left_alone(host, tmp_path, others, words):
    data = tmp_path / "data"
    (data / "more").mkdir(parents=True)
    for name, text in others.items():
        (data / name).write_text(text)
    host.add("mongod-s1", storage={"dbPath": str(data)})
    host.add("mongod-s2", storage={"dbPath": str(data / "more")})
    ret = host.state("mongod-s1", data=True)
    assert (ret["result"], ret["changes"]) == (False, {})
    assert words in ret["comment"]
    assert (data / "more").exists()
    assert len(host.files()) == 4


def test_a_cut_while_data_are_deleted_is_gone_on_with(host, tmp_path, monkeypatch):
    data = tmp_path / "data"
    (data / "journal").mkdir(parents=True)
    for name in ("WiredTiger", "storage.bson", "zz.wt", "aa.wt"):
        (data / name).write_text("")
    host.add("mongod-s1", storage={"dbPath": str(data)})
    step, remove, left = {"do": "delete", "path": str(data)}, os.remove, list(range(2))

    def cut(path):
        if not left:
            raise CommandExecutionError("cut")
        left.pop()
        remove(path)

    monkeypatch.setattr(os, "remove", cut)
    with pytest.raises(CommandExecutionError, match="cut"):
        host.modules["mongo_units.act_absent"]("mongod-s1", step)
    monkeypatch.undo()
    assert host.state("mongod-s1", data=True)["result"] is True
    assert not data.exists()


@pytest.fixture(params=["a link", "a mount", "a cut"])
def led(request, tmp_path):
    """A data directory that is led elsewhere, or that a cut has left empty; and where the data are."""
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    elsewhere.mkdir()
    if request.param == "a cut":
        data.mkdir()
        yield data, data
    elif request.param == "a link":
        data.symlink_to(elsewhere)
        yield data, elsewhere
    else:
        if os.geteuid() != 0:
            pytest.skip("mounts are root's")
        data.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", data], check=True)
        (data / "lost+found").mkdir()
        try:
            yield data, data
        finally:
            subprocess.run(["umount", data], check=True)


def test_data_that_are_led_elsewhere_go_and_the_way_there_stays(host, led):
    data, elsewhere = led
    is_led = data.is_symlink() or data.is_mount()
    for name in ("WiredTiger", "a.wt") if is_led else ():
        (elsewhere / name).write_text("")
    host.add("mongod-s1", storage={"dbPath": str(data)})
    ret = host.state("mongod-s1", data=True)
    assert ret["result"] is True, ret["comment"]
    assert ret["changes"][f"data {data}"] == {"old": "present", "new": None}
    assert not is_led or [path.name for path in elsewhere.iterdir()] in ([], ["lost+found"])
    assert (data.exists(), host.files()) == (is_led, [])
    host.add("mongod-s1", storage={"dbPath": str(data)})
    assert host.modules["mongo_units.there"]()["mongod-s1"]["data"] is None


def test_data_with_another_filesystem_in_them_are_refused_before_the_daemon_is_stopped(host, mongods):
    if os.geteuid() != 0:
        pytest.skip("mounts are root's")
    [member] = mongods(1)
    host.add("mongod-s1", member)
    inside = member.dbpath / "a journal"
    inside.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", inside], check=True)
    try:
        (inside / "mine").write_text("")
        ret = host.state("mongod-s1", data=True)
        assert (ret["result"], ret["changes"], member.running) == (False, {}, True)
        assert f"{inside} is a filesystem of its own in {member.dbpath}; umount it first" in ret["comment"]
        assert (inside / "mine").exists()
        assert host.state("mongod-s1", data=True, test=True)["result"] is False
    finally:
        subprocess.run(["umount", inside], check=True)


def test_a_unit_that_does_not_run_is_disabled_too(host):
    host.add("mongod-s1")
    assert host.state("mongod-s1")["result"] is True
    assert host.done == ["disable mongod-s1", "reload"]


def test_data_that_another_units_link_leads_to_are_left_alone(host, tmp_path):
    (tmp_path / "real" / "more").mkdir(parents=True)
    (tmp_path / "real" / "WiredTiger").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    host.add("mongod-s1", storage={"dbPath": str(tmp_path / "link")})
    host.add("mongod-s2", storage={"dbPath": str(tmp_path / "real" / "more")})
    ret = host.state("mongod-s1", data=True)
    assert (ret["result"], ret["changes"]) == (False, {})
    assert "its data too" in ret["comment"]
