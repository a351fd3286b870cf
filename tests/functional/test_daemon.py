"""Turns to restart, on a real set; what a unit says of itself. Restarts themselves: test_mongodb, in the lab."""

import datetime
import os
import time
from types import SimpleNamespace

import pytest
from salt.exceptions import CommandExecutionError
from test_replset import ADMIN, KEYFILE, admin_client, arguments

from tree import functions, load


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


def instant(seconds=0):
    """A point in time as MongoDB keeps it."""
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


def clocked(modules, seconds, **fakes):
    """The module on a host whose clock is ahead."""
    tested = functions("mongo_daemon", __salt__={**modules, **fakes})
    clock = SimpleNamespace(time=lambda: time.time() + seconds, monotonic=time.monotonic)
    tested["mongo_daemon.take_turn"].__globals__["time"] = clock
    return tested


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_turn_lasts_as_long_whatever_a_hosts_clock_says(members, turns, modules, seconds):
    first, second, _ = turns
    clocked(modules, -seconds)["mongo_daemon.take_turn"](*first, timeout=5)
    [holder] = primary(members).admin.onepass.find()
    now = primary(members).admin.command("hello")["localTime"]
    assert 0 < (holder["until"] - now).total_seconds() <= 60
    with pytest.raises(CommandExecutionError, match=f"last seen: {members[0].address} has it"):
        clocked(modules, seconds)["mongo_daemon.take_turn"](*second, timeout=0)


def test_a_failure_is_seen_whatever_a_hosts_clock_says(members, turns, modules):
    _, fakes = unit(lambda: False)
    with pytest.raises(CommandExecutionError, match="does not start"):
        clocked(modules, -300, **fakes)["mongo_daemon.restart"]("mongod-s1", [], *turns[2], timeout=5)
    members[2].kill()
    with pytest.raises(CommandExecutionError, match=f"{members[2].address} did not serve again after its restart"):
        clocked(modules, 60)["mongo_daemon.take_turn"](*turns[0], timeout=0, written=time.time() + 60 - 30)


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
    primary(members).admin.onepass.update_one({}, {"$set": {"until": instant(-1)}})
    modules.mongo_daemon.take_turn(*second, timeout=5)
    with pytest.raises(CommandExecutionError, match="has it"):
        modules.mongo_daemon.take_turn(*first, timeout=0)


def test_a_turn_that_is_kept_as_a_number_is_over(members, turns, modules):
    first, second, _ = turns
    modules.mongo_daemon.take_turn(*first, timeout=5)
    primary(members).admin.onepass.update_one({}, {"$set": {"until": time.time() + 3600}})
    modules.mongo_daemon.take_turn(*second, timeout=5)
    assert [each["host"] for each in primary(members).admin.onepass.find()] == [members[1].address]


def test_nobody_restarts_while_another_member_is_down(members, turns, modules):
    members[2].kill()
    with pytest.raises(CommandExecutionError, match=f"last seen: {members[2].address} is DOWN"):
        modules.mongo_daemon.take_turn(*turns[0], timeout=1)
    assert list(primary(members[:2]).admin.onepass.find()) == []


def test_where_one_did_not_come_back_with_these_files_the_others_do_not_wait(members, turns, modules):
    modules.mongo_daemon.take_turn(*turns[2], timeout=5)
    at = instant()
    primary(members).admin.onepass.update_one({}, {"$set": {"failed": at}})
    failed = at.timestamp()
    members[2].kill()
    with pytest.raises(CommandExecutionError, match=f"{members[2].address} did not serve again after its restart"):
        modules.mongo_daemon.take_turn(*turns[0], timeout=60, written=failed - 1)
    with pytest.raises(CommandExecutionError, match=f"Waited . s .* {members[2].address} is DOWN"):
        modules.mongo_daemon.take_turn(*turns[0], timeout=1, written=failed + 1)
    members[2].start()
    modules.mongo_daemon.take_turn(*turns[0], timeout=60, written=failed + 1)


def test_a_failure_that_was_mended_is_nobodys_fault(members, turns, modules):
    modules.mongo_daemon.take_turn(*turns[2], timeout=5)
    primary(members).admin.onepass.update_one({}, {"$set": {"failed": instant()}})
    members[1].kill()
    with pytest.raises(CommandExecutionError, match=f"Waited . s .* {members[1].address} is DOWN"):
        modules.mongo_daemon.take_turn(*turns[0], timeout=1)


@pytest.fixture
def newcomer(members, mongods):
    """A turn of the set's first member, and one of a member that the set does not have yet."""
    [new] = mongods(1, replset="s1", role="shardsvr", keyfile=KEYFILE)
    addresses = [member.address for member in [*members, new]]
    turn = {"peers": addresses, "replset": "s1", "hosts": addresses}
    return [({**turn, "address": each.address}, arguments([each])["connection"]) for each in (members[0], new)]


def test_a_member_that_the_set_does_not_have_yet_is_not_waited_for(turns, newcomer, modules):
    modules.mongo_daemon.take_turn(*newcomer[0], timeout=5)


def unit(serves, pid=0):
    """Salt's functions for a unit that ``serves`` restarts; what it was asked is kept in ``asked``."""
    asked = []
    shown = {"ActiveState": "active", "SubState": "running", "MainPID": str(pid)}
    fakes = {"service.restart": lambda name: asked.append(name) or serves(), "service.show": lambda name: shown}
    return asked, fakes


def test_nobody_is_asked_where_nobody_can_be_disturbed(turns, newcomer, mongods, modules):
    """A set without this member, and one that is not initiated."""
    [blank] = mongods(1, replset="s9", role="shardsvr", keyfile=KEYFILE)
    alone = {"address": blank.address, "peers": [blank.address], "replset": "s9", "hosts": [blank.address]}
    for turn, connection in (newcomer[1], (alone, arguments([blank])["connection"])):
        asked, fakes = unit(lambda: True)
        tested = functions("mongo_daemon", __salt__={**modules, **fakes})
        tested["mongo_daemon.restart"]("mongod-s1", [], turn, connection, 5)
        assert asked == ["mongod-s1"]


def test_a_restart_holds_its_turn_until_it_serves(members, turns, modules):
    turn, connection = turns[1]

    def bounce():
        assert [each["host"] for each in primary(members).admin.onepass.find()] == [members[1].address]
        members[1].stop()
        members[1].start()
        return True

    asked, fakes = unit(bounce)
    tested = functions("mongo_daemon", __salt__={**modules, **fakes})
    tested["mongo_daemon.restart"]("mongod-s1", [], turn, connection, 60)
    assert asked == ["mongod-s1"]
    assert members[1].client().admin.command("hello")["setName"] == "s1"
    assert list(primary(members).admin.onepass.find()) == []


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


@pytest.mark.parametrize("written, takes_turns", [("mongod.conf", True), ("keyfile", False)])
def test_a_file_that_all_must_have_alike_leaves_no_time_for_turns(tmp_path, modules, written, takes_turns):
    paths = {name: str(tmp_path / name) for name in ("mongod.conf", "keyfile")}
    for name, path in paths.items():
        (tmp_path / name).write_text("")
        os.utime(path, (time.time() - (5 if name == written else 50),) * 2)
    shown, given = {"ActiveState": "active"}, []

    def start(seconds_ago):
        shown["ExecMainStartTimestampMonotonic"] = str(int((time.monotonic() - seconds_ago) * 1e6))

    def restart(unit, files, turn, connection, timeout):
        given.append(turn)
        start(0)

    start(20)
    units = functions("mongo_daemon", __salt__={"service.show": lambda unit: shown})
    salt = {**modules, **units, "mongo_daemon.restart": restart}
    state = load("_states/mongo_daemon.py", __salt__=salt, __opts__={"test": False})
    turn = {"address": "s1a.dc:27017", "peers": ["s1a.dc:27017"], "replset": "s1", "hosts": ["s1a.dc:27017"]}
    ret = state.current("mongod-s1", [paths["mongod.conf"]], [paths["keyfile"]], turn, {"host": "localhost"})
    assert (ret["result"], list(ret["changes"])) == (True, ["daemon mongod-s1"]), ret["comment"]
    assert given == [turn if takes_turns else None]
