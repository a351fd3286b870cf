"""A cluster one of whose members is replaced: who tells of the set, what config.shards has, which kind a server is."""

import pytest
from salt.exceptions import CommandExecutionError
from test_shard import ADMIN, KEYFILE, PATH, _initiate, _router

import mongods as real
from segments import wait_until


@pytest.fixture(scope="module")
def servers(mongod_binary, tmp_path_factory):
    """A config server, a shard of two members, a third one beside it, and a server without a set; a router in front."""
    with real.factory(mongod_binary) as start:
        [config] = start(1, replset="cfg", role="configsvr", keyfile=KEYFILE)
        first, second, third = start(3, replset="s1", role="shardsvr", keyfile=KEYFILE)
        [alone] = start(1)
        _initiate("cfg", config)
        _initiate("s1", first)
        _reconfigured(first, [first, second])
        with _router(tmp_path_factory.mktemp("router"), config) as port:
            yield {"cfg": config, "s1": [first, second, third], "alone": alone, "port": port}


def _reconfigured(primary, members):
    """The set has exactly these members, one change at a time, and all are ready."""
    admin = primary.client(**ADMIN).admin
    config = admin.command("replSetGetConfig")["config"]
    number = max(each["_id"] for each in config["members"]) + 1
    known = {each["host"]: each for each in config["members"]}
    wanted = [known.get(each.address, {"_id": number, "host": each.address}) for each in members]
    for now in (list(known.values()) + [each for each in wanted if each["host"] not in known], wanted):
        version = admin.command("replSetGetConfig")["config"]["version"] + 1
        admin.command("replSetReconfig", {**config, "members": now, "version": version})
        assert wait_until(lambda: all(_is_ready(each) for each in members), 60)


def _is_ready(member):
    said = member.client().admin.command("hello")
    return said["isWritablePrimary"] or said["secondary"] and not said.get("passive")


@pytest.fixture
def cluster(servers, states, pillar):
    pillar({"mongodb": {"auth": {"admin": ADMIN}}})
    connection = {"host": "127.0.0.1", "port": servers["port"], "credentials": PATH}
    members = [each.address for each in servers["s1"][:2]]
    ret = states.mongo_shard.shard_present(name="s1", members=members, connection=connection)
    assert ret.result is True, ret.comment
    return connection


def test_a_replaced_member_is_seen_while_the_cluster_still_has_the_old_one_in_its_list(
    servers, modules, states, cluster
):
    first, second, third = servers["s1"]
    rows = servers["cfg"].client(**ADMIN).config.shards
    assert modules.mongo_shard.stale_shards({"s1": [first.address, second.address]}, cluster) == []
    old = rows.find_one({"_id": "s1"})["host"]
    _reconfigured(first, [first, third])
    wanted = {"replsets": {"s1": [first.address, third.address]}, "connection": cluster}
    stale = [f"{second.address} is no member any more", f"{third.address} is missing"]

    def with_the_old_row(look, is_seen):
        """The router corrects the row every five seconds, perhaps just then."""

        def seen():
            rows.update_one({"_id": "s1"}, {"$set": {"host": old}})
            found.append(look())
            return is_seen(found[-1])

        found = []
        assert wait_until(seen, 60)
        return found[-1]

    def topology():
        return modules.mongo_shard.topology(cluster)["shards"]["s1"]

    seen = with_the_old_row(topology, lambda seen: seen["unlike"])
    assert seen["members"] == {first.address: "PRIMARY", third.address: "SECONDARY"}
    assert set(seen["lag"]) == {third.address}
    assert all(isinstance(each, int) for each in seen["lag"].values())
    assert seen["unlike"] == stale
    found = with_the_old_row(lambda: modules.mongo_shard.stale_shards(**wanted), bool)
    assert found == [f"shard s1: {each}" for each in stale]
    now = with_the_old_row(
        lambda: states.mongo_shard.shards_current(name="cluster", **wanted, timeout=0), lambda now: now.result is False
    )
    assert f"last seen: shard s1: {stale[0]}" in now.comment
    # A router writes it by itself, as the lab's does.
    assert states.mongo_shard.shards_current(name="cluster", **wanted, timeout=60).result is True
    assert topology()["unlike"] == []


def test_a_server_of_another_kind_is_named(servers, modules, cluster):
    first, _, third = servers["s1"]
    by_hand = {"host": "127.0.0.1", "credentials": PATH}
    for port, kind in ((first.port, "a member of s1"), (servers["cfg"].port, "a member of cfg")):
        with pytest.raises(CommandExecutionError, match=f"is no router .mongos. but {kind}"):
            modules.mongo_shard.topology({**by_hand, "port": port})
    with pytest.raises(CommandExecutionError, match="is no router .mongos. but a member of s1"):
        modules.mongo_shard.create_database("bank", connection={**by_hand, "port": first.port})
    with pytest.raises(CommandExecutionError, match="is a router .mongos., which is in no replica set"):
        modules.mongo_replset.members(cluster)
    with pytest.raises(CommandExecutionError, match="is a server that was started without a set"):
        modules.mongo_replset.members({"host": "127.0.0.1", "port": servers["alone"].port})


def test_a_member_that_was_not_initiated_is_named(mongods, modules):
    [blank] = mongods(1, replset="s9")
    with pytest.raises(CommandExecutionError, match="is not yet a member of any set"):
        modules.mongo_replset.members({"host": "127.0.0.1", "port": blank.port})


@pytest.mark.parametrize(
    "name, hint",
    [
        ("user", "did you mean 'username'"),
        ("authenticationDatabase", "did you mean 'authSource'"),
        ("connectTimeoutM", "did you mean 'connecttimeoutms'"),
        ("colour", "its documentation of MongoClient lists all"),
    ],
)
def test_another_drivers_option_is_told_apart(modules, name, hint):
    with pytest.raises(CommandExecutionError, match=f"{name} is no option of PyMongo's; {hint}") as caught:
        modules.mongo_client.hello({"host": "127.0.0.1", "port": 1, name: "bob"})
    assert "docstring" not in str(caught.value)
