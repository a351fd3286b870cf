"""A server is who it is, not how it is spelled: on real mongods that are reached by several names of loopback."""

import socket
import time

import pytest
from salt.exceptions import CommandExecutionError
from test_replset import ADMIN, KEYFILE, admin_client, arguments, replset, run, seen_config  # noqa: F401

from segments import wait_until


def hosts(client):
    return [entry["host"] for entry in client.admin.command("replSetGetConfig")["config"]["members"]]


def otherwise(address, name):
    return f"{name}:{address.rpartition(':')[2]}"


@pytest.fixture(scope="module")
def initiated(module_mongods):
    members = module_mongods(3, replset="up", role="shardsvr")
    spelled = [otherwise(member.address, "LocalHost") for member in members]
    entries = [{"_id": n, "host": host} for n, host in enumerate(spelled)]
    entries[0]["priority"] = 5
    client = members[0].client()
    client.admin.command("replSetInitiate", {"_id": "up", "members": entries[:1]})
    assert wait_until(lambda: client.admin.command("hello")["isWritablePrimary"], 60)
    for count in (2, 3):
        config = client.admin.command("replSetGetConfig")["config"]
        config.update(version=config["version"] + 1, members=config["members"] + entries[count - 1 : count])
        client.admin.command("replSetReconfig", config)
    return members, spelled


@pytest.fixture
def capitals(initiated):
    """A set that somebody initiated with capitals, which MongoDB keeps; its members, and how it spells them."""
    members, spelled = initiated
    for member in members:
        if not member.running:
            member.start()
    assert wait_until(lambda: all(each.client().admin.command("hello").get("secondary") for each in members[1:]), 60)
    assert wait_until(lambda: members[0].client().admin.command("hello").get("hosts") == spelled, 60)
    return members, spelled


@pytest.mark.parametrize(
    "name, order", [("LocalHost", (0, 1, 2)), ("localhost", (1, 0, 2)), ("127.0.0.1", (1, 0, 2)), ("127.1", (0, 1, 2))]
)
def test_another_spelling_is_no_other_member(capitals, states, name, order):
    """A member that may change its options does so under the set's own spelling; nobody is added or removed."""
    members, spelled = capitals
    client, listed = members[0].client(), [otherwise(members[n].address, name) for n in order]
    priorities = [{"host": host, "priority": 5 if host.endswith(spelled[0][9:]) else 1} for host in listed]
    connection = {"host": "127.0.0.1", "port": members[order[0]].port}
    wanted = {"name": "up", "members": priorities, "connection": connection, "timeout": 10}
    before = client.admin.command("replSetGetConfig")["config"]
    assert run(states, wanted) == {}
    assert run(states, wanted, remove_extra=True) == {}
    assert client.admin.command("replSetGetConfig")["config"] == before
    priorities[2]["tags"] = {"said": name}
    assert list(run(states, wanted, remove_extra=True)) == [f"member {spelled[2]}"]
    del priorities[2]["tags"]
    assert list(run(states, wanted)) == [f"member {spelled[2]}"]
    assert hosts(client) == spelled


def test_a_member_of_another_spelling_that_is_down_is_waited_for(capitals, states):
    members, spelled = capitals
    members[2].kill()
    listed = [otherwise(member.address, "127.0.0.1") for member in members]
    connection = {"host": "127.0.0.1", "port": members[0].port}
    wanted = {"name": "up", "members": listed, "connection": connection, "timeout": 1, "remove_extra": True}
    ret = states.mongo_replset.replset_present(**wanted)
    assert (ret.result, ret.changes) == (False, {})
    assert f"{listed[2]} must answer before it is added" in ret.comment
    assert hosts(members[0].client()) == spelled


@pytest.mark.parametrize("born", [False, True])
def test_one_server_by_two_names_is_refused(replset, states, born):  # noqa: F811
    members, wanted = replset(2)
    if born:
        run(states, wanted)
    twice = [*wanted["members"], otherwise(members[1].address, "localhost")]
    for test in (True, False):
        ret = states.mongo_replset.replset_present(**{**wanted, "members": twice}, test=test)
        assert (ret.result, ret.changes) == (False, {})
        assert f"{twice[1]} and {twice[2]} are one server" in ret.comment


def test_the_members_of_a_shard_are_known_by_any_name(capitals, modules):
    members, spelled = capitals
    listed = [otherwise(member.address, "127.0.0.1") for member in members]
    assert modules.mongo_members.missing("up", [*listed, "127.0.0.1:1"], {}) == ["127.0.0.1:1"]
    assert list(modules.mongo_members.names("up", listed, {}).values()) == spelled
    shards = {"s1": f"up/{','.join(spelled)}", "s2": "other/127.0.0.1:1"}
    assert modules.mongo_shard.shard_hosts(shards, "up") == spelled, "members of other sets are not asked"
    names = modules.mongo_members.named(listed, spelled, {})
    seen = {"shards": shards, "cluster_id": "x", "identity": None, "names": names}
    assert modules.mongo_shard.plan_shard("s1", "up", listed, seen) == []
    with pytest.raises(CommandExecutionError, match="belongs to shard s1 already"):
        modules.mongo_shard.plan_shard("s3", "up", listed, seen)


def test_a_turn_waits_for_members_of_any_spelling(capitals, modules):
    members, spelled = capitals
    listed = [otherwise(member.address, "127.0.0.1") for member in members]
    members[2].kill()
    turn = {"address": listed[1], "peers": listed, "replset": "up", "hosts": listed}
    with pytest.raises(CommandExecutionError, match=f"last seen: {spelled[2]} is DOWN"):
        modules.mongo_daemon.take_turn(turn, {"host": "127.0.0.1", "port": members[1].port}, timeout=1)


def test_a_member_that_was_lost_and_is_replaced_takes_no_turn(capitals, modules, mongods):
    """The one that is added in its place answers, so it is not the one that is down by another name."""
    members, spelled = capitals
    [new] = mongods(1, replset="up", role="shardsvr")
    members[1].kill()
    listed = [spelled[0], spelled[2], new.address]
    turn = {"address": spelled[0], "peers": listed, "replset": "up", "hosts": listed}
    modules.mongo_daemon.take_turn(turn, {"host": "127.0.0.1", "port": members[0].port}, timeout=5)


def test_a_member_goes_under_the_sets_own_spelling(capitals, states):
    members, spelled = capitals
    listed = [{"host": members[0].address, "priority": 5}, members[1].address]
    connection = {"host": "127.0.0.1", "port": members[0].port}
    wanted = {"name": "up", "members": listed, "connection": connection, "timeout": 30}
    assert list(run(states, wanted, remove_extra=True)) == [f"member {spelled[2]}"]
    assert hosts(members[0].client()) == spelled[:2]


def test_a_blank_server_that_lets_nobody_make_its_first_user_is_refused_at_once(mongods, states, pillar):
    pillar(ADMIN)
    [member] = mongods(1, replset="s1", keyfile=KEYFILE, args=["--setParameter", "enableLocalhostAuthBypass=0"])
    for test in (True, False):
        ret = states.mongo_replset.replset_present(**arguments([member]), test=test)
        assert (ret.result, ret.changes) == (False, {})
        assert "enableLocalhostAuthBypass is false, and then a set cannot get its first user" in ret.comment


# Orders inside one run


@pytest.fixture
def two(mongods, states):
    """A set of two without users, and a third mongod that it does not have."""
    members = mongods(3, replset="gl")
    connection = {"host": "127.0.0.1", "port": members[0].port}
    wanted = {"name": "gl", "members": [each.address for each in members[:2]], "connection": connection, "timeout": 20}
    run(states, wanted)
    return members, wanted


def test_tags_and_the_modes_that_need_them_change_in_one_run(two, states):
    members, wanted = two
    for keys, modes in [
        ("ab", {"both": {"a": 1, "b": 1}}),
        ("cd", {"both": {"c": 1, "d": 1}}),
        ("cde", {"all": {"c": 1, "d": 1, "e": 1}}),
        ("cd", {"both": {"c": 1}}),
    ]:
        listed = [{"host": each.address, "tags": {key: "x"}} for each, key in zip(members, keys, strict=False)]
        run(states, {**wanted, "members": listed}, settings={"getLastErrorModes": modes}, remove_extra=True)
    config = members[0].client().admin.command("replSetGetConfig")["config"]
    assert config["settings"]["getLastErrorModes"] == {"both": {"c": 1}}


def test_an_arbiter_is_refused_at_once_until_the_write_concern_is_set(two, states):
    members, wanted = two
    listed = [*wanted["members"], {"host": members[2].address, "arbiterOnly": True}]
    began = time.monotonic()
    ret = states.mongo_replset.replset_present(**{**wanted, "members": listed, "timeout": 120})
    assert ret.result is False
    assert "gl gets no arbiter before the default write concern is set" in ret.comment
    assert "say write_concern: majority, or a number" in ret.comment
    assert time.monotonic() - began < 30
    changes = run(states, {**wanted, "members": listed}, write_concern=1)
    assert list(changes) == ["default write concern", f"member {members[2].address}"]
    changes = run(states, {**wanted, "members": listed}, write_concern="majority")
    assert changes == {"default write concern": {"old": 1, "new": "majority"}}


@pytest.mark.parametrize("keyfile", [None, KEYFILE])
def test_a_blank_set_with_an_arbiter_is_born_in_one_run(mongods, pillar, states, keyfile):
    pillar(ADMIN)
    members = mongods(3, replset="s1", keyfile=keyfile)
    wanted = arguments(members)
    wanted["members"].insert(1, {"host": wanted["members"].pop(), "arbiterOnly": True})
    if not keyfile:
        del wanted["connection"]["credentials"]
    changes = run(states, wanted, write_concern="majority")
    new = ["replica set s1", *(["user admin"] if keyfile else []), f"member {members[1].address}"]
    assert list(changes) == [*new, "default write concern", f"member {members[2].address}"]
    client = admin_client(members[0]) if keyfile else members[0].client()
    assert client.admin.command("getDefaultRWConcern")["defaultWriteConcern"]["w"] == "majority"


def test_a_shards_write_concern_is_its_clusters(replset, states):  # noqa: F811
    members, wanted = replset(1)
    for _ in range(2):
        ret = states.mongo_replset.replset_present(**wanted, write_concern="majority")
        assert ret.result is False
        assert f"{members[0].address} is a shard, which has its cluster's default concerns; set them" in ret.comment


def test_what_can_never_be_one_configuration_is_refused_at_once(two, modules):
    """Some of its members on localhost and some not."""
    members, wanted = two
    listed = [*wanted["members"], f"{socket.gethostname()}:{members[2].port}"]
    began = time.monotonic()
    client = members[0].client()
    config = client.admin.command("replSetGetConfig")["config"]
    step = {"do": "add", "what": "member", "host": listed[2], "entry": {"host": listed[2], "priority": 0, "votes": 0}}
    with pytest.raises(CommandExecutionError, match="localhost"):
        modules.mongo_replset.reconfigure("gl", step, listed[:1], wanted["connection"], 120)
    assert time.monotonic() - began < 30
    assert client.admin.command("replSetGetConfig")["config"] == config


# What people reported of other tools


def test_a_member_that_was_left_without_a_vote_gets_it(two, states):
    members, wanted = two
    client = members[0].client()
    config = client.admin.command("replSetGetConfig")["config"]
    config["members"][1].update(priority=0, votes=0)
    client.admin.command("replSetReconfig", {**config, "version": config["version"] + 1})
    assert list(run(states, wanted)) == [f"member {members[1].address}"]


def test_a_member_with_data_does_not_become_an_arbiter(two, states):
    members, wanted = two
    listed = [members[0].address, {"host": members[1].address, "arbiterOnly": True}]
    ret = states.mongo_replset.replset_present(**{**wanted, "members": listed})
    assert (ret.result, ret.changes) == (False, {})
    assert f"arbiterOnly of {members[1].address} is False and cannot be changed in place" in ret.comment
