"""Turns to restart, on a real set; what a unit says of itself. Restarts themselves: test_mongodb, in the lab."""

import os
import time

import pytest
from salt.exceptions import CommandExecutionError
from test_replset import ADMIN, KEYFILE, admin_client, arguments

from tree import functions


@pytest.fixture(scope="module")
def members(module_mongods):
    return module_mongods(3, replset="s1", role="shardsvr", keyfile=KEYFILE)


@pytest.fixture
def turns(members, pillar, states):
    """A turn and a connection for each member of a set that is there."""
    pillar(ADMIN)
    for member in members:
        if not member.running:
            member.start()
    assert states.mongo_replset.replset_present(**arguments(members), test=False).result is True
    for member in members:
        connection = arguments([member])["connection"]
        assert states.mongo_replset.member_ready(name="s1", connection=connection, timeout=60).result is True
    addresses = [member.address for member in members]
    turn = {"peers": addresses, "replset": "s1", "hosts": addresses}
    yield [({**turn, "address": member.address}, arguments([member])["connection"]) for member in members]
    primary(members).admin.onepass.drop()


def primary(members):
    known = members[0].client().admin.command("hello")["primary"]
    return admin_client(next(member for member in members if member.address == known))


def test_one_at_a_time(members, turns, modules):
    first, second, _ = turns
    modules.mongo_daemon.take_turn(*first, timeout=5)
    with pytest.raises(CommandExecutionError, match=f"last seen: {members[0].address} has it"):
        modules.mongo_daemon.take_turn(*second, timeout=1)
    modules.mongo_daemon.end_turn(*first)
    modules.mongo_daemon.take_turn(*second, timeout=5)
    assert [each["host"] for each in primary(members).admin.onepass.find()] == [members[1].address]
    modules.mongo_daemon.end_turn(*second)
    assert list(primary(members).admin.onepass.find()) == []


def test_routers_have_turns_of_their_own(turns, modules):
    first, second, _ = turns
    modules.mongo_daemon.take_turn(*first, timeout=5)
    router = {**first[0], "address": "127.0.0.1:1", "peers": ["127.0.0.1:1"]}
    modules.mongo_daemon.take_turn(router, second[1], timeout=5)


def test_one_that_was_cut_takes_its_turn_again_and_the_others_after_a_minute(members, turns, modules):
    first, second, _ = turns
    modules.mongo_daemon.take_turn(*first, timeout=5)
    modules.mongo_daemon.take_turn(*first, timeout=0)
    primary(members).admin.onepass.update_one({}, {"$set": {"until": time.time() - 1}})
    modules.mongo_daemon.take_turn(*second, timeout=5)
    with pytest.raises(CommandExecutionError, match="has it"):
        modules.mongo_daemon.take_turn(*first, timeout=0)


def test_nobody_restarts_while_another_member_is_down(members, turns, modules):
    members[2].kill()
    with pytest.raises(CommandExecutionError, match=f"last seen: {members[2].address} is DOWN"):
        modules.mongo_daemon.take_turn(*turns[0], timeout=1)
    assert list(primary(members[:2]).admin.onepass.find()) == []


def test_where_one_did_not_come_back_the_others_do_not_wait(members, turns, modules):
    modules.mongo_daemon.take_turn(*turns[2], timeout=5)
    primary(members).admin.onepass.update_one({}, {"$set": {"failed": True}})
    members[2].kill()
    started = time.monotonic()
    with pytest.raises(CommandExecutionError, match=f"{members[2].address} did not serve again after its restart"):
        modules.mongo_daemon.take_turn(*turns[0], timeout=60)
    assert time.monotonic() - started < 30
    members[2].start()
    modules.mongo_daemon.take_turn(*turns[0], timeout=60)


def daemon(tmp_path, **shown):
    """The module on a unit that says this of itself; the path of a file that was written just now."""
    file = tmp_path / "mongod.conf"
    file.write_text("")
    return functions("mongo_daemon", __salt__={"service.show": lambda unit: shown}), str(file)


@pytest.mark.parametrize(
    "state, started, newer",
    [("active", -5, True), ("active", 5, False), ("inactive", -5, False), ("activating", -5, False), (None, 0, False)],
)
def test_files_newer_than_the_process(tmp_path, state, started, newer):
    shown = {"ActiveState": state, "ExecMainStartTimestampMonotonic": str(int((time.monotonic() + started) * 1e6))}
    module, file = daemon(tmp_path, **(shown if state else {}))
    missing = str(tmp_path / "missing")
    assert module["mongo_daemon.observe"]("mongod-s1", [file, missing])["newer"] == ([file] if newer else [])


def test_a_file_from_the_future_restarts_nothing(tmp_path):
    module, file = daemon(tmp_path, ActiveState="active", ExecMainStartTimestampMonotonic="1")
    os.utime(file, (time.time() + 3600,) * 2)
    assert module["mongo_daemon.observe"]("mongod-s1", [file]) == {"running": True, "newer": []}
