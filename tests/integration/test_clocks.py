"""A set whose hosts' clocks are minutes apart: each mongod has a clock of its own, by a library before libc's."""

import pymongo.errors
import pytest
from salt.exceptions import CommandExecutionError

import clocks
import mongods as real
from segments import wait_until
from tree import functions

KEYFILE = "a2VwdC1vdXQtb2Ytc2lnaHQ="
ADMIN = {"mongodb": {"auth": {"admin": {"username": "admin", "password": "kept-out-of-sight"}}}}
MINUTES = (0, 20, -20)


@pytest.fixture
def members(mongod_binary, tmp_path, pillar):
    """Three, whose clocks are as many minutes before or behind this host's."""
    pillar(ADMIN)
    library = clocks.library(tmp_path)
    with real.factory(mongod_binary) as start:
        found = start(3, replset="s1", keyfile=KEYFILE)
        for member, minutes in zip(found, MINUTES, strict=True):
            member.stop()
            changed = [f"{name}={value}" for name, value in clocks.apart(library, minutes * 60).items()]
            member._command[:0] = ["env", *changed]
            member.start()
        yield found


def preferred(client, number):
    """Whether the set prefers that member from now on; it takes no configuration while it writes another one."""
    config = client.admin.command("replSetGetConfig")["config"]
    for entry in config["members"]:
        entry["priority"] = 9 if entry["_id"] == number else 1
    try:
        return client.admin.command("replSetReconfig", {**config, "version": config["version"] + 1})["ok"]
    except pymongo.errors.OperationFailure as err:
        if err.code != 109:  # ConfigurationInProgress
            raise
        return False


def login(member):
    return member.client(username="admin", password="kept-out-of-sight")


def primary_of(members):
    return next((each for each in members if each.client().admin.command("hello")["isWritablePrimary"]), None)


def test_a_set_whose_clocks_are_apart_is_born_grows_and_takes_turns(members, modules, states):
    addresses = [member.address for member in members]
    connection = {"host": "127.0.0.1", "port": members[0].port, "credentials": "mongodb:auth:admin"}
    wanted = {"name": "s1", "members": addresses, "connection": connection, "timeout": 60}
    ret = states.mongo_replset.replset_present(**wanted)
    assert ret.result is True, ret.comment
    for member in members:
        at = {**connection, "port": member.port}
        assert states.mongo_replset.member_ready(name="s1", connection=at, timeout=60).result is True
    here, ahead, behind = (member.client().admin.command("hello")["localTime"].timestamp() for member in members)
    assert 1000 < ahead - here < 1400 and 1000 < here - behind < 1400, "their clocks are apart"
    assert set(modules.mongo_members.seen("s1", addresses, connection)["lag"].values()) <= set(range(30))

    def turn(number):
        return {"address": addresses[number], "peers": addresses, "replset": "s1", "hosts": addresses}, connection

    tested = functions("mongo_daemon", __salt__=modules)
    tested["mongo_daemon.take_turn"].__globals__["TURN_SECONDS"] = 5

    # Taken by the clock that is ahead, and still kept when the one that is behind has become the keeper.
    for number in (1, 2):
        assert wait_until(lambda number=number: preferred(login(primary_of(members)), number))
        assert wait_until(lambda number=number: primary_of(members) is members[number])
        if number == 1:
            tested["mongo_daemon.take_turn"](*turn(0), timeout=10)
    with pytest.raises(CommandExecutionError, match=f"last seen: {addresses[0]} has it"):
        tested["mongo_daemon.take_turn"](*turn(1), timeout=0)
    tested["mongo_daemon.take_turn"](*turn(1), timeout=30)
    tested["mongo_daemon.end_turn"](*turn(1))
    ret = states.mongo_replset.replset_present(**wanted)
    assert ret.result is True, ret.comment
    assert states.mongo_replset.replset_present(**wanted).changes == {}
