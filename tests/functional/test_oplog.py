"""The oplog's size, on real members: what MongoDB resizes, and what is refused beforehand."""

import pytest
from test_replset import ADMIN, KEYFILE, PATH, admin_client

from segments import wait_until


@pytest.fixture(scope="module")
def members(module_mongods):
    """A member that holds data, an arbiter, one that is in no set, and one that cannot be in one."""
    data, arbiter, blank = module_mongods(3, replset="s1", role="shardsvr", keyfile=KEYFILE)
    [alone] = module_mongods(1)
    client, config = data.client(), {"_id": "s1", "members": [{"_id": 0, "host": data.address}]}
    client.admin.command("replSetInitiate", config)
    assert wait_until(lambda: client.admin.command("hello")["isWritablePrimary"], 60)
    client.admin.command("createUser", "admin", pwd="kept-out-of-sight", roles=["root"])
    config["members"].append({"_id": 1, "host": arbiter.address, "arbiterOnly": True})
    admin_client(data).admin.command("replSetReconfig", {**config, "version": 2})
    assert wait_until(lambda: arbiter.client().admin.command("hello").get("arbiterOnly"), 60)
    return {"data": data, "arbiter": arbiter, "blank": blank, "alone": alone}


@pytest.fixture
def sized(members, states, pillar):
    pillar(ADMIN)

    def call(size_mb, member="data", **more):
        connection = {"host": "127.0.0.1", "port": members[member].port, "credentials": PATH}
        given = {"name": "s1", "connection": connection, "timeout": 0, **more}
        return states.mongo_replset.oplog_sized(size_mb=size_mb, **given)

    return call


def oplog(member):
    return admin_client(member).local.command("collStats", "oplog.rs")["maxSize"] // 2**20


@pytest.mark.parametrize("size_mb", [1024, 990, 1000.0])
def test_the_oplog_of_a_living_member_is_resized(members, sized, size_mb):
    before = oplog(members["data"])
    dry = sized(size_mb, test=True)
    assert (dry.result, oplog(members["data"])) == (None, before)
    real = sized(size_mb)
    assert real.result is True, real.comment
    assert real.changes == dry.changes
    assert real.changes == {f"oplog of {members['data'].address}": {"old": f"{before} MB", "new": f"{size_mb:g} MB"}}
    assert oplog(members["data"]) == size_mb
    again = sized(size_mb)
    assert (again.result, again.changes) == (True, {})
    assert f"has {size_mb:g} MB" in again.comment


@pytest.mark.parametrize(
    "size_mb, member, name, said",
    [
        (989, "data", "s1", "MongoDB makes none smaller than 990 MB of it, so not 989"),
        (2048, "data", "s2", "is a member of s1, not of s2, whose oplog is meant"),
        (2048, "arbiter", "s1", "is an arbiter of s1, which has no oplog"),
        (2048, "alone", "s1", "is a member of no replica set, not of s1"),
    ],
)
def test_what_cannot_be_resized_is_refused_beforehand(members, sized, testmode, size_mb, member, name, said):
    before = oplog(members["data"])
    ret = sized(size_mb, member, name=name, test=testmode)
    assert (ret.result, ret.changes) == (False, {})
    assert said in ret.comment
    assert oplog(members["data"]) == before


def test_the_size_that_it_was_made_with_may_be_any(members, sized, mongods):
    """The tests' members are made with 64 MB; one that is in no set yet will be made with the wanted size."""
    [born] = mongods(1, replset="s1")
    born.client().admin.command("replSetInitiate", {"_id": "s1", "members": [{"_id": 0, "host": born.address}]})
    ret = sized(64, connection={"host": "127.0.0.1", "port": born.port}, timeout=60)
    assert (ret.result, ret.changes) == (True, {}), ret.comment
    ret = sized(64, "blank", test=True)
    assert (ret.result, ret.changes) == (True, {}), ret.comment
    ret = sized(64, "blank")
    assert "is in no replica set yet" in ret.comment
    assert ret.result is False
    nowhere = {"host": "127.0.0.1", "port": 1, "serverSelectionTimeoutMS": 20}
    assert sized(64, connection=nowhere, test=True).result is True


def test_a_member_without_a_user_is_waited_for(members, sized, mongods):
    [member] = mongods(1, replset="s1", keyfile=KEYFILE)
    client = member.client()
    client.admin.command("replSetInitiate", {"_id": "s1", "members": [{"_id": 0, "host": member.address}]})
    assert wait_until(lambda: client.admin.command("hello")["isWritablePrimary"], 60)
    connection = {"host": "127.0.0.1", "port": member.port, "credentials": PATH}
    assert sized(1024, connection=connection, test=True).changes == {}
    ret = sized(1024, connection=connection)
    assert (ret.result, ret.changes) == (False, {})
    assert "has no user yet" in ret.comment
