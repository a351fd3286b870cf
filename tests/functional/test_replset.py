"""Replica sets on real mongods: born fast, grown, shrunk, repaired; seen through pymongo."""

import base64
import os

import pytest

KEYFILE = base64.b64encode(os.urandom(96)).decode()
ADMIN = {"mongodb": {"auth": {"admin": {"username": "admin", "password": "kept-out-of-sight"}}}}
PATH = "mongodb:auth:admin"


@pytest.fixture
def replset(mongods, pillar):
    """Members with auth on, the administrator's login in the pillar, and the arguments of a state for the first of them."""
    pillar(ADMIN)

    def start(count, name="s1"):
        members = mongods(count, replset=name, role="shardsvr", keyfile=KEYFILE)
        return members, arguments(members, name)

    return start


def arguments(members, name="s1"):
    return {
        "name": name,
        "members": [member.address for member in members],
        "connection": {"host": "127.0.0.1", "port": members[0].port, "credentials": PATH},
        "timeout": 20,
    }


def admin_client(member):
    return member.client(username="admin", password="kept-out-of-sight")


def seen_config(member):
    return admin_client(member).admin.command("replSetGetConfig")["config"]


def test_a_blank_set_is_born_in_one_run(replset, states):
    members, wanted = replset(3)
    dry = states.mongo_replset.replset_present(**wanted, test=True)
    assert dry.result is None
    assert "setName" not in members[0].client().admin.command("hello")
    real = states.mongo_replset.replset_present(**wanted)
    assert real.result is True, real.comment
    assert real.changes == dry.changes
    assert list(real.changes) == ["replica set s1", "user admin"] + [f"member {member.address}" for member in members[1:]]
    assert [entry["host"] for entry in seen_config(members[0])["members"]] == wanted["members"]
    for member in members:
        connection = {**wanted["connection"], "port": member.port}
        ready = states.mongo_replset.member_ready(name="s1", connection=connection, timeout=20)
        assert ready.result is True, ready.comment
        assert states.mongo_replset.admin_present(name="admin", connection=connection, timeout=20).changes == {}
    again = states.mongo_replset.replset_present(**wanted)
    assert (again.result, again.changes) == (True, {})
