"""Members that are neither up nor down; two masters at one set; a turn whose keeper has another clock."""

import os
import traceback

import pytest
from pymongo.errors import PyMongoError
from salt.exceptions import CommandExecutionError
from test_daemon import instant
from test_replset import ADMIN, KEYFILE, admin_client, arguments, run

from segments import wait_until
from tree import functions

RECOVERING = 3


@pytest.fixture
def living(mongods, pillar, states):
    """A set of three; its members, and the state's arguments."""
    pillar(ADMIN)
    members = mongods(3, replset="s1", keyfile=KEYFILE)
    wanted = arguments(members)
    assert states.mongo_replset.replset_present(**wanted).result is True
    for member in members:
        assert ready(states, wanted, member).result is True
    return members, wanted


def ready(states, wanted, member, **more):
    connection = {**wanted["connection"], "port": member.port}
    return states.mongo_replset.member_ready(name="s1", connection=connection, **{"timeout": 60, **more})


def state_of(member):
    try:
        return admin_client(member).admin.command("replSetGetStatus")["myState"]
    except PyMongoError:
        return None


def primary_of(members):
    return next((each for each in members if each.client().admin.command("hello")["isWritablePrimary"]), None)


def turn_of(wanted, members, number):
    turn = {"address": members[number].address, "peers": wanted["members"], "replset": "s1"}
    return {**turn, "hosts": wanted["members"]}, {**wanted["connection"], "port": members[number].port}


def test_a_change_that_too_few_members_have_is_no_success(living, modules):
    """The server answers ok, with the error inside, and PyMongo hands that on."""
    members, wanted = living
    connection = {**wanted["connection"], "port": primary_of(members).port}
    write = {"insert": "transfers", "documents": [{"_id": 1}], "writeConcern": {"w": 5}}
    fault = r"insert is on fewer members than asked for: .* \(code 100 Unsatisfiable"
    with pytest.raises(CommandExecutionError, match=fault) as told:
        modules.mongo_client.command(write, db="bank", connection=connection)
    assert told.value.code == 100
    write = {**write, "documents": [{"_id": 2}], "writeConcern": {"w": "majority"}}
    assert modules.mongo_client.command(write, db="bank", connection=connection)["n"] == 1


def test_a_member_in_maintenance_is_named_and_costs_nobody_else(living, modules, states):
    members, wanted = living
    paused = admin_client(members[2])
    paused.admin.command("replSetMaintenance", True)
    assert wait_until(lambda: state_of(members[2]) == RECOVERING)
    ret = ready(states, wanted, members[2], timeout=1)
    assert ret.result is False
    assert ret.comment.endswith("to be primary or secondary of s1; last seen: RECOVERING of s1")
    assert ready(states, wanted, members[1]).result is True
    with pytest.raises(CommandExecutionError, match=f"last seen: {members[2].address} is RECOVERING"):
        modules.mongo_daemon.take_turn(*turn_of(wanted, members, 1), timeout=1)
    changed = {**wanted, "settings": {"electionTimeoutMillis": 9000}}
    assert list(run(states, changed)) == ["settings of s1"]
    paused.admin.command("replSetMaintenance", False)
    assert ready(states, wanted, members[2]).result is True
    modules.mongo_daemon.take_turn(*turn_of(wanted, members, 1), timeout=10)


def test_a_turn_ends_though_another_clock_keeps_it_by_now(living, modules):
    """Taken from a primary whose clock is an hour ahead, before another member was elected."""
    members, wanted = living
    modules.mongo_daemon.take_turn(*turn_of(wanted, members, 2), timeout=5)
    kept = admin_client(primary_of(members)).admin.onepass
    kept.update_one({}, {"$set": {"until": instant(3600)}})
    tested = functions("mongo_daemon", __salt__=modules)
    tested["mongo_daemon.take_turn"].__globals__["TURN_SECONDS"] = 3
    with pytest.raises(CommandExecutionError, match=f"last seen: {members[2].address} has it"):
        tested["mongo_daemon.take_turn"](*turn_of(wanted, members, 1), timeout=1)
    tested["mongo_daemon.take_turn"](*turn_of(wanted, members, 1), timeout=20)
    assert [each["host"] for each in kept.find()] == [members[1].address]


def test_two_masters_bring_one_set_about_at_once(mongods, pillar, states):
    """Each by a process of its own on the first member, as two minions of two masters would be."""
    pillar(ADMIN)
    members = mongods(3, replset="s1", keyfile=KEYFILE)
    wanted = arguments(members)
    runs = [in_process(lambda: succeeds(states.mongo_replset.replset_present(**wanted))) for _ in range(2)]
    assert [os.waitpid(run, 0)[1] for run in runs] == [0, 0]
    for member in members:
        assert ready(states, wanted, member).result is True
    assert states.mongo_replset.replset_present(**wanted).changes == {}
    config = admin_client(members[0]).admin.command("replSetGetConfig")["config"]
    assert [entry["host"] for entry in config["members"]] == wanted["members"]


def succeeds(ret):
    assert ret.result is True, ret.comment


def in_process(work):
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return child
