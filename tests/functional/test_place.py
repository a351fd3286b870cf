"""A daemon stays where its set, its data and its cluster know it: on real mongods, and on the formula's files."""

import contextlib
import os
import re
import shutil
import signal
import time

import pytest
import yaml
from pymongo.errors import OperationFailure
from salt.exceptions import CommandExecutionError
from test_daemon import unit
from test_replset import ADMIN, KEYFILE, admin_client, arguments, replset, run  # noqa: F401

from segments import wait_until
from tree import functions


@pytest.fixture
def living(replset, states):  # noqa: F811
    members, wanted = replset(3)
    run(states, wanted)
    for member in members:
        connection = {**wanted["connection"], "port": member.port}
        assert states.mongo_replset.member_ready(name="s1", connection=connection, timeout=60).result is True
    return members, wanted


def elsewhere(members, mongods):
    """Ports on which nothing listens."""
    spare = mongods(len(members), replset="s1")
    for each in spare:
        each.kill()
    return [each.port for each in spare]


def member_at(port, name="s1", **more):
    """A member's configuration, as far as it tells a place."""
    return {"net": {"port": port}, "replication": {"replSetName": name}, **more}


class Place:
    """A daemon's file, and the state that judges another configuration; what it said."""

    def __init__(self, states, file, connection):
        self.states, self.file, self.connection = states, file, connection

    def said(self, former, config, replsets, tests=(True, False)):
        self.file.write_text(yaml.safe_dump(former)) if former else self.file.unlink(missing_ok=True)
        found = set()
        for test in tests:
            ret = self.states.mongo_daemon.in_place(
                name="daemon",
                file=str(self.file),
                configuration=config,
                replsets=replsets,
                connection={**self.connection, "port": config["net"]["port"]},
                test=test,
            )
            assert ret.changes == {}
            found.add((ret.result, ret.comment))
        [(result, comment)] = found
        return None if result else comment


@pytest.fixture
def place(states, tmp_path):
    return Place(states, tmp_path / "daemon.conf", {"host": "127.0.0.1"})


# A living member keeps its port and its set's name


def test_another_port_or_name_for_a_living_member_is_refused(living, mongods, place):
    members, _ = living
    addresses, (port, *_) = [member.address for member in members], elsewhere(members[:1], mongods)
    former = {"net": {"port": members[0].port, "bindIpAll": True}}
    here, there = ({"s1": [first, *addresses[1:]]} for first in (addresses[0], f"127.0.0.1:{port}"))
    assert place.said(former, member_at(members[0].port), here) is None
    assert place.said(former, member_at(members[0].port, "shard1"), {"shard1": addresses}) == (
        f"At port {members[0].port} is a living member of replica set s1, so shard1 cannot be there; call the set s1 "
        "again, or take this member out of it and stop its daemon first"
    )
    moved = f"The living member of s1 on .* is at port {members[0].port}, not {port}"
    assert matches(moved, place.said(former, member_at(port), there))
    members[0].stop()
    assert matches(moved, place.said(former, member_at(port), there)), "its set waits for it where it was"
    for member in members[1:]:
        member.stop()
    began = time.monotonic()
    assert place.said(former, member_at(port), there) is None, "a set that does not live may move"
    assert time.monotonic() - began < 10, "a blank host is not waited for"


def matches(pattern, text):
    return re.match(pattern, text or "")


def test_a_frozen_member_is_known_by_its_set(living, mongods, place):
    members, _ = living
    addresses, [port] = [member.address for member in members], elsewhere(members[:1], mongods)
    os.kill(members[2].pid, signal.SIGSTOP)
    there = {"s1": [*addresses[:2], f"127.0.0.1:{port}"]}
    said = place.said(member_at(members[2].port), member_at(port), there)
    os.kill(members[2].pid, signal.SIGCONT)
    assert matches(f"The living member of s1 on 127.0.0.1 is at port {members[2].port}, not {port}", said)


# A router stays with its cluster


@pytest.fixture
def cluster(mongods, pillar, states):
    """Config servers and a shard; a router's configuration, and the members that it needs, as the pillar says them."""
    pillar(ADMIN)
    sets = {name: mongods(1, name, role, KEYFILE) for name, role in (("cfg", "configsvr"), ("s1", "shardsvr"))}
    for name, members in sets.items():
        run(states, arguments(members, name), config_server=name == "cfg")
    return {name: member for name, [member] in sets.items()}


def router_at(port, **config):
    [(name, servers)] = config.items()
    return {"net": {"port": port}, "sharding": {"configDB": f"{name}/{','.join(servers)}"}}


def test_a_router_changes_its_port_but_not_where_its_cluster_is(cluster, mongods, place):
    cfg, s1 = cluster["cfg"], cluster["s1"]
    [port, other] = elsewhere([cfg, s1], mongods)
    former, there = router_at(s1.port, cfg=[cfg.address]), f"127.0.0.1:{port}"
    nobody = {"cfg": ["127.0.0.1:1"]}
    assert place.said(former, former, nobody) is None, "nobody is asked where nothing changes"
    assert place.said(None, router_at(port, cfg=[there]), {"cfg": [there]}) is None, "a new router is nobody's loss"
    stay = {"cfg": [cfg.address], "s1": [s1.address]}
    assert place.said(former, router_at(port, cfg=[cfg.address]), stay) is None
    more = router_at(port, cfg=[cfg.address, f"127.0.0.1:{other}"])
    assert place.said(former, more, {**stay, "cfg": [cfg.address, f"127.0.0.1:{other}"]}) is None
    for name, replsets in {"cfg": {**stay, "cfg": [there]}, "s1": {**stay, "s1": [there]}}.items():
        said = place.said(former, router_at(port, cfg=replsets["cfg"]), replsets)
        assert matches(f"The living member of {name} on 127.0.0.1 is at port {cluster[name].port}, not {port}", said)
    said = place.said(former, router_at(s1.port, conf=[cfg.address]), {"conf": [cfg.address]})
    assert said.startswith(f"At {cfg.address} is a living member of replica set cfg, so conf cannot be there")
    cfg.stop()
    assert place.said(former, router_at(port, cfg=[there]), {"cfg": [there]}) is None, "nobody lives there any more"


# A member keeps its data


@pytest.mark.parametrize("options, made", [([], False), (["--directoryperdb"], True)])
def test_a_members_data_stay_as_they_were_made(mongods, place, tmp_path, options, made):
    [member] = mongods(1, replset="s1", args=options)
    member.stop()
    path, other = str(member.dbpath), tmp_path / "other"

    def with_storage(**storage):
        return member_at(member.port, storage=storage)

    def said(config):
        return place.said(with_storage(dbPath=path, directoryPerDB=made), config, {"s1": [member.address]})

    right, wrong = (with_storage(dbPath=path, directoryPerDB=each) for each in (made, not made))
    assert said(right) is None
    assert said(wrong).startswith(f"The data of s1 here was made with storage:directoryPerDB {str(made).lower()}, not ")
    by_index = with_storage(
        dbPath=path, directoryPerDB=made, wiredTiger={"engineConfig": {"directoryForIndexes": True}}
    )
    assert "storage:wiredTiger:engineConfig:directoryForIndexes false, not true" in said(by_index)
    moved = with_storage(dbPath=str(other), directoryPerDB=made)
    assert said(moved) == (
        f"The data of s1 here is in {path}, not in {other}; put {path} back, or stop its daemon and move the directory "
        "there first"
    )
    shutil.copytree(path, other)
    assert said(moved) is None
    (other / "storage.bson").write_bytes(b"\xff" * 100)
    assert said(moved) is None, "what cannot be read is mongod's to judge"
    shutil.rmtree(path)
    shutil.rmtree(other)
    assert said(moved) is None


# A restart


def test_the_ports_of_a_living_set_are_moved_as_the_explanation_says(living, mongods, states, modules, place):
    """One member after another, the primary last: its host in the set first, then the run; each keeps its data."""
    members, wanted = living
    ports, addresses = elsewhere(members, mongods), list(wanted["members"])
    admin_client(members[0]).bank.transfers.insert_one({"_id": 1})
    for number in (1, 2, 0):
        member, port, connection = members[number], ports[number], {**wanted["connection"], "port": ports[number]}
        there = {"s1": [*addresses[:number], f"127.0.0.1:{port}", *addresses[number + 1 :]]}
        judged = member_at(member.port), member_at(port), there
        assert f"at port {member.port}, not {port}" in place.said(*judged)
        if number == 0:
            admin_client(member).admin.command("replSetStepDown", 60)
        assert wait_until(lambda: primary_of(members), 60)
        addresses[number] = f"127.0.0.1:{port}"
        rename(admin_client(primary_of(members)), number, addresses[number])
        assert wait_until(lambda judged=judged: place.said(*judged, tests=(True,)) is None, 30)
        assert place.said(*judged) is None

        def bounce(member=member, port=port):
            member.stop()
            member.move(port)
            member.start()
            return True

        asked, fakes = unit(bounce, member.pid)
        turn = {"address": addresses[number], "peers": addresses, "replset": "s1", "hosts": addresses}
        tested = functions("mongo_daemon", __salt__={**modules, **fakes})
        tested["mongo_daemon.restart"]("mongod-s1", [], turn, connection, 60)
        assert (asked, primary_of(members) is not None) == (["mongod-s1"], True)
        again = states.mongo_replset.replset_present(**{**wanted, "members": addresses, "connection": connection})
        assert (again.result, again.changes) == (True, {}), again.comment
    for member in members:
        assert admin_client(member).bank.transfers.count_documents({}) == 1


def rename(client, number, address):
    """What a person types, again while the set is busy with a configuration of its own."""

    def taken():
        config = client.admin.command("replSetGetConfig")["config"]
        config["members"][number]["host"] = address
        config["version"] += 1
        with contextlib.suppress(OperationFailure):
            return client.admin.command("replSetReconfig", config)["ok"]

    assert wait_until(taken, 30)


def primary_of(members):
    running = [member for member in members if member.running]
    return next((each for each in running if each.client().admin.command("hello")["isWritablePrimary"]), None)


def test_a_turn_at_other_ports_restarts_nobody(living, mongods, modules):
    """As one more daemon that does not answer where the pillar says; and with one that has moved there alone."""
    members, wanted = living
    ports = elsewhere(members, mongods)
    addresses = [f"127.0.0.1:{port}" for port in ports]
    [moved] = mongods(1, replset="s1", keyfile=KEYFILE)
    for hosts_there in (addresses, [moved.address, *addresses[1:]]):
        asked, fakes = unit(lambda: True, members[1].pid)
        turn = {"address": addresses[1], "peers": hosts_there, "replset": "s1", "hosts": hosts_there}
        tested = functions("mongo_daemon", __salt__={**modules, **fakes})
        with pytest.raises(
            CommandExecutionError, match=f"The living member of s1 on this host is at port {members[1].port}"
        ):
            tested["mongo_daemon.restart"]("mongod-s1", [], turn, {**wanted["connection"], "port": ports[1]}, 1)
        assert asked == []


def test_a_member_that_is_still_starting_is_in_its_place(living, modules):
    members, wanted = living
    members[1].kill()
    members[1].launch()
    addresses = [member.address for member in members]
    turn = {"address": addresses[1], "peers": addresses, "replset": "s1", "hosts": addresses}
    asked, fakes = unit(lambda: True, members[1].pid)
    tested = functions("mongo_daemon", __salt__={**modules, **fakes})
    tested["mongo_daemon.restart"]("mongod-s1", [], turn, {**wanted["connection"], "port": members[1].port}, 60)
    assert asked == ["mongod-s1"]


def test_whoever_is_in_no_set_may_listen_elsewhere_or_nowhere(mongods, modules):
    """A blank member whose port was mended before the set was born, and a router that waits for its config servers."""
    [blank, other] = mongods(2, replset="s1", keyfile=KEYFILE)
    other.kill()
    member = {"address": other.address, "peers": [other.address], "replset": "s1", "hosts": [other.address]}
    router = {**member, "address": "127.0.0.1:1", "peers": ["127.0.0.1:1"]}
    for turn, pid in ((member, blank.pid), (router, 0)):
        asked, fakes = unit(lambda: True, pid)
        tested = functions("mongo_daemon", __salt__={**modules, **fakes})
        tested["mongo_daemon.restart"]("mongod-s1", [], turn, {"host": "127.0.0.1", "port": other.port}, 1)
        assert asked == ["mongod-s1"]


def test_a_server_whose_set_does_not_know_its_address_is_not_initiated(living, mongods, states, mongod_binary):
    """As after a change of ports by hand: three members that think themselves alone."""
    members, wanted = living
    ports = elsewhere(members, mongods)
    for member, port in zip(members, ports, strict=True):
        member.stop()
        member.move(port)
        member.start()
    moved = {**wanted, **arguments(members), "timeout": 5}
    for test in (True, False):
        ret = states.mongo_replset.replset_present(**moved, test=test)
        assert (ret.result, ret.changes) == (False, {})
        assert "does not know it by its address" in ret.comment
