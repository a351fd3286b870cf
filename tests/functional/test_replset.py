"""Replica sets on real mongods: born fast, grown, shrunk, repaired; seen through pymongo."""

import base64
import os
import signal
import threading
import time

import pytest
from salt.exceptions import CommandExecutionError
from saltfactories.utils.functional import Loaders

from segments import wait_until
from tree import functions

KEYFILE = base64.b64encode(os.urandom(96)).decode()
ADMIN = {"mongodb": {"auth": {"admin": {"username": "admin", "password": "kept-out-of-sight"}}}}
PATH = "mongodb:auth:admin"


@pytest.fixture
def replset(mongods, pillar):
    """Members with auth on, the administrator's login in the pillar, and a state's arguments for the first of them."""
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
        "timeout": 60,
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
    assert list(real.changes) == ["replica set s1", "user admin"] + [
        f"member {member.address}" for member in members[1:]
    ]
    assert [entry["host"] for entry in seen_config(members[0])["members"]] == wanted["members"]
    for member in members:
        connection = {**wanted["connection"], "port": member.port}
        ready = states.mongo_replset.member_ready(name="s1", connection=connection, timeout=60)
        assert ready.result is True, ready.comment
        assert states.mongo_replset.admin_present(name="admin", connection=connection, timeout=60).changes == {}
    again = states.mongo_replset.replset_present(**wanted)
    assert (again.result, again.changes) == (True, {})


def run(states, wanted, **more):
    """A dry run and a real one, which must say the same; then a second one, which must do nothing."""
    dry = states.mongo_replset.replset_present(**wanted, **more, test=True)
    real = states.mongo_replset.replset_present(**wanted, **more)
    assert real.result is True, real.comment
    assert real.changes == dry.changes
    again = states.mongo_replset.replset_present(**wanted, **more)
    assert (again.result, again.changes) == (True, {}), again.comment
    return real.changes


def test_a_set_grows_and_shrinks_and_keeps_its_ids(replset, mongods, states):
    members, wanted = replset(3)
    run(states, wanted)
    assert [entry["_id"] for entry in seen_config(members[0])["members"]] == [0, 1, 2]
    [fourth] = mongods(1, replset="s1", role="shardsvr", keyfile=KEYFILE)
    without_second = [members[0].address, members[2].address, fourth.address]
    refused = states.mongo_replset.replset_present(**{**wanted, "members": without_second})
    assert refused.result is False
    assert members[1].address in refused.comment
    assert "remove_extra" in refused.comment
    changes = run(states, {**wanted, "members": without_second}, remove_extra=True)
    assert set(changes) == {f"member {fourth.address}", f"member {members[1].address}"}
    assert [(entry["_id"], entry["host"]) for entry in seen_config(members[0])["members"]] == [
        (0, members[0].address),
        (2, members[2].address),
        (3, fourth.address),
    ]


def test_options_and_settings_drift_is_mended(replset, states):
    members, wanted = replset(2)
    run(states, wanted)
    client = admin_client(members[0])
    config = seen_config(members[0])
    config["members"][1].update(priority=0, tags={"room": "b"})
    client.admin.command("replSetReconfig", {**config, "version": config["version"] + 1})
    changes = run(states, wanted, settings={"electionTimeoutMillis": 5000})
    assert changes == {
        "settings of s1": {"old": {"electionTimeoutMillis": 10000}, "new": {"electionTimeoutMillis": 5000}},
        f"member {members[1].address}": {"old": {"priority": 0, "tags": {"room": "b"}}, "new": "default options"},
    }
    config = seen_config(members[0])
    assert config["members"][1]["priority"] == 1
    assert config["settings"]["electionTimeoutMillis"] == 5000


def test_a_configuration_without_a_term_is_changed_like_any_other(replset, states):
    """That of a set whose configuration somebody forced has none."""
    members, wanted = replset(1)
    run(states, wanted)
    config = seen_config(members[0])
    admin_client(members[0]).admin.command("replSetReconfig", {**config, "version": config["version"] + 1}, force=True)
    assert "term" not in seen_config(members[0])
    assert list(run(states, wanted, settings={"electionTimeoutMillis": 5000})) == ["settings of s1"]
    assert seen_config(members[0])["settings"]["electionTimeoutMillis"] == 5000


def test_the_primary_can_be_removed(replset, states):
    members, wanted = replset(3)
    run(states, wanted)
    keep = {**wanted, "members": wanted["members"][1:], "connection": {**wanted["connection"], "port": members[1].port}}
    for member in members:
        states.mongo_replset.member_ready(
            name="s1", connection={**wanted["connection"], "port": member.port}, timeout=60
        )
    assert list(run(states, keep, remove_extra=True)) == [f"member {members[0].address}"]
    assert [entry["_id"] for entry in seen_config(members[1])["members"]] == [1, 2]


def test_a_member_stays_until_the_one_in_its_place_has_all_data(mongods, states):
    """Without a login, as a member that copies has no user yet who could let it go on."""
    test_commands = ["--setParameter", "enableTestCommands=1"]
    hung = [*test_commands, "--setParameter", "failpoint.initialSyncHangBeforeCopyingDatabases={mode: 'alwaysOn'}"]
    members = mongods(2, replset="s1", role="shardsvr")
    [new] = mongods(1, replset="s1", role="shardsvr", args=hung)
    wanted = {**arguments(members), "connection": {"host": "127.0.0.1", "port": members[0].port}}
    run(states, wanted)
    replaced = {**wanted, "members": [members[0].address, new.address], "remove_extra": True}
    waits = states.mongo_replset.replset_present(**{**replaced, "timeout": 2})
    assert waits.result is False
    assert f"{new.address} to be synchronised before {members[1].address} is removed" in waits.comment
    primary = members[0].client()
    hosts = [member["host"] for member in primary.admin.command("replSetGetConfig")["config"]["members"]]
    assert hosts == [*wanted["members"], new.address]
    new.client().admin.command("configureFailPoint", "initialSyncHangBeforeCopyingDatabases", mode="off")
    assert list(run(states, {**replaced, "timeout": 60})) == [f"member {members[1].address}"]
    assert primary.admin.command("hello")["hosts"] == replaced["members"]
    assert new.client().admin.command("hello")["secondary"] is True


@pytest.mark.parametrize(
    "have, wanted, steps",
    [
        ("abc", "cfg", "add f, add g, remove b, remove a"),
        ("abcde", "efghi", "add f, add g, remove b, add h, remove c, add i, remove d, remove a"),
        ("abcdefg", "gh", "remove b, add h, remove c, remove d, remove e, remove f, remove a"),
        ("abcdefg", "abcdef0gh", "change g, add h"),
        ("ab", "0ab", "change a"),
        ("ab", "0a0bc", "add c, change b, change a"),
        ("a", "a*bc", "add c, add b"),
    ],
)
def test_members_come_before_others_go_and_the_primary_is_last(modules, have, wanted, steps):
    """A letter is a member, ``a`` the primary; one after a ``0`` has no vote, one after a ``*`` is an arbiter."""
    entries, options = [], {}
    for letter in wanted:
        if letter in "0*":
            options = {"0": {"priority": 0, "votes": 0}, "*": {"arbiterOnly": True}}[letter]
        else:
            entries.append({"host": f"{letter}:1", **options})
            options = {}
    config = {"members": [{"host": f"{letter}:1"} for letter in have]}
    observed = {"born": True, "primary": "a:1", "config": config}
    planned = modules.mongo_replset.plan("s1", entries, observed, remove_extra=True)
    assert ", ".join(f"{step['do']} {step['host'][0]}" for step in planned) == steps


def test_a_primary_that_may_be_it_no_longer_steps_down(replset, states):
    members, wanted = replset(2)
    run(states, wanted)
    [first, second] = wanted["members"]
    connection = {**wanted["connection"], "port": members[1].port}
    assert states.mongo_replset.member_ready(name="s1", connection=connection, timeout=60).result is True
    turned = {**wanted, "connection": connection, "members": [second, {"host": first, "priority": 0, "hidden": True}]}
    assert list(run(states, turned)) == [f"member {first}"]
    assert admin_client(members[1]).admin.command("hello")["primary"] == second
    assert [(entry["priority"], entry["hidden"]) for entry in seen_config(members[1])["members"]] == [
        (0, True),
        (1, False),
    ]


@pytest.mark.parametrize("cut", range(4))
def test_a_run_that_was_cut_is_finished_by_the_next(replset, states, modules, cut):
    """Steps: initiate, create the administrator, add the second, add the third."""
    members, wanted = replset(3)
    observed = modules.mongo_replset.observe("s1", wanted["members"], wanted["connection"])
    steps = modules.mongo_replset.plan("s1", wanted["members"], observed, admin="admin")
    assert len(steps) == 4
    for step in steps[:cut]:
        modules.mongo_replset.act("s1", step, wanted["members"], wanted["connection"])
    assert len(run(states, wanted)) == 4 - cut


def test_a_mongod_killed_during_initiate(replset, states, modules):
    members, wanted = replset(3)
    observed = modules.mongo_replset.observe("s1", wanted["members"], wanted["connection"])
    settings = {"electionTimeoutMillis": 5000}
    first = modules.mongo_replset.plan("s1", wanted["members"], observed, settings, "admin")[0]
    modules.mongo_replset.act("s1", first, wanted["members"], wanted["connection"])
    members[0].kill()
    failed = states.mongo_replset.replset_present(**{**wanted, "timeout": 1})
    assert failed.result is False
    assert f"{members[0].address} must answer" in failed.comment
    assert "Connection refused" in failed.comment
    members[0].start()
    changes = run(states, wanted, settings=settings)
    assert len(changes) == 4
    assert changes["settings of s1"] == {"old": "not to be seen without a login", "new": settings}


def test_a_wrong_password_is_named_at_once(replset, states, pillar):
    members, wanted = replset(1)
    run(states, wanted)
    pillar({"mongodb": {"auth": {"admin": {"username": "admin", "password": "another"}}}})
    refused = states.mongo_replset.replset_present(**wanted)
    assert refused.result is False
    assert "Authentication failed" in refused.comment
    assert "another" not in refused.comment


def test_a_uri_is_the_same_connection(replset, states, modules):
    members, wanted = replset(2)
    run(states, wanted)
    second = {**wanted["connection"], "port": members[1].port}
    assert states.mongo_replset.member_ready(name="s1", connection=second, timeout=60).result is True
    first, second = (f"mongodb://admin:kept-out-of-sight@{member.address}/" for member in members)
    assert modules.mongo_client.hello(second)["me"] == members[1].address
    assert modules.mongo_user.userless(first) is False
    assert states.mongo_replset.replset_present(**{**wanted, "connection": first}).changes == {}
    either = f"{first[:-1]},{members[1].address}/?replicaSet=s1"
    assert modules.mongo_client.command({"hello": 1}, connection=either)["isWritablePrimary"]
    assert modules.mongo_client.hello(modules.mongo_client.at(members[1].address, either))["me"] == members[1].address


@pytest.mark.parametrize("address", ["s1a.dc", ":27017", "s1a.dc:x"])
def test_an_address_without_a_port_is_refused(modules, address):
    with pytest.raises(CommandExecutionError, match="host:port is wanted"):
        modules.mongo_client.at(address, {})


def test_members_of_another_set_and_of_none_are_refused(replset, mongods, states):
    members, wanted = replset(1)
    run(states, wanted)
    [lonely] = mongods(1)
    for name, host, words in [
        ("s9", members[0], "is a member of replica set s1, not of s9"),
        ("s9", lonely, "was started without a replica set"),
    ]:
        refused = states.mongo_replset.replset_present(**arguments([host], name))
        assert refused.result is False
        assert words in refused.comment


def test_a_dry_run_where_nothing_answers_yet(states, pillar):
    pillar({"mongodb": {"auth": {"admin": {"username": "admin", "password": "secret"}}}})
    nowhere = {"host": "127.0.0.1", "port": 1, "credentials": "mongodb:auth:admin", "serverSelectionTimeoutMS": 50}
    admin = states.mongo_replset.admin_present(name="admin", connection=nowhere, test=True)
    assert (admin.result, admin.changes) == (True, {})
    assert admin.comment == "The replica set will be born with this user"
    ready = states.mongo_replset.member_ready(name="s1", connection=nowhere, test=True)
    assert (ready.result, ready.changes) == (None, {})


def test_the_administrator_of_a_set_that_somebody_initiated(replset, states):
    members, wanted = replset(1)
    members[0].client().admin.command(
        "replSetInitiate", {"_id": "s1", "members": [{"_id": 0, "host": members[0].address}]}
    )
    connection = wanted["connection"]
    assert wait_until(lambda: members[0].client().admin.command("hello")["isWritablePrimary"], 60)
    dry = states.mongo_replset.admin_present(name="admin", connection=connection, test=True)
    real = states.mongo_replset.admin_present(name="admin", connection=connection, timeout=60)
    assert (dry.result, real.result) == (None, True), real.comment
    assert real.changes == dry.changes != {}
    admin_client(members[0]).admin.command("updateUser", "admin", roles=["clusterAdmin", "userAdminAnyDatabase"])
    mended = states.mongo_replset.admin_present(name="admin", connection=connection, timeout=60)
    assert mended.changes == {
        "user admin@admin": {
            "old": {"roles": ["clusterAdmin@admin", "userAdminAnyDatabase@admin"]},
            "new": {"roles": ["root@admin"]},
        }
    }


def test_the_formula_on_a_set_with_an_arbiter(replset, minion_opts, pillar):
    """Each host by its own name; an arbiter knows no user, so nothing waits for one there."""
    members, _ = replset(3)
    names = ("127.0.0.1", "localhost", "127.1")
    first, arbiter, second = (f"{name}:{member.port}" for name, member in zip(names, members, strict=True))
    replsets = {
        "s1": {
            "role": "shard",
            "members": [first, {"host": names[1], "port": members[1].port, "arbiterOnly": True}, second],
        }
    }
    pillar({"mongodb": {**ADMIN["mongodb"], "timeout": 20, "replsets": replsets}})
    for address in (first, arbiter):
        minion = Loaders({**minion_opts, "id": address.split(":")[0]}).modules
        applied = minion.state.sls("mongodb.replset")
        assert {state.result for state in applied} == {True}, applied
    client = admin_client(members[0])
    assert wait_until(lambda: client.admin.command("hello")["hosts"] == [first, second], 30), "once it has its vote"
    assert client.admin.command("hello")["arbiters"] == [arbiter]
    assert members[1].client().admin.command("hello")["arbiterOnly"] is True


BAD_MEMBERS = [
    (["s1a.dc"], "members:0: is 's1a.dc'; host:port is wanted"),
    (["s1a.dc:0"], "members:0: is 's1a.dc:0'; host:port is wanted"),
    ([{"host": "s1a.dc:27017", "prority": 2}], "members:0:prority: is an unknown field; did you mean 'priority'?"),
    (["s1a.dc:27017", "S1A.dc:27017"], "members:1: S1A.dc:27017 is member 0 already"),
    ([], "members: no member has a vote"),
    ([f"h{n}:1" for n in range(8)], "members: 8 voting members"),
    ([{"host": "s1a.dc:27017", "priority": 0}], "members: no member can become primary"),
    (
        [{"host": "s1a.dc:27017", "arbiterOnly": True}, "s1b.dc:27017"],
        "members:0: s1a.dc:27017 cannot become primary, but a set is born on its first member",
    ),
    ([{"host": "s1a.dc:27017"}, {"host": "s1b.dc:27017", "hidden": True}], "members:1:priority: is not given, thus 1,"),
    (["h:1", "h:2", "h:2"], "members:2: h:2 is member 1 already"),
]


@pytest.mark.parametrize("members,words", BAD_MEMBERS)
def test_bad_members_are_refused_before_any_host_is_asked(states, members, words):
    for test in (True, False):
        ret = states.mongo_replset.replset_present(name="s1", members=members, test=test, timeout=0)
        assert ret.result is False
        assert f"Replica set s1: {words}" in ret.comment


def test_a_server_that_is_frozen_is_told_from_one_that_is_off(mongods, modules):
    [member] = mongods(1)
    talk = {"host": "127.0.0.1", "port": member.port}
    assert modules.mongo_client.hello(talk)
    os.kill(member.pid, signal.SIGSTOP)
    for told in (  # by the connection that is there, and then by a new one
        f"{member.address}: hello was not answered within 2 s",
        f"{member.address} takes connections, but does not answer hello: it is frozen, its disk hangs, or ",
    ):
        with pytest.raises(CommandExecutionError, match=told):
            modules.mongo_client.hello(talk)
    os.kill(member.pid, signal.SIGCONT)
    assert modules.mongo_client.hello(talk)
    member.kill()
    with pytest.raises(CommandExecutionError, match="nothing answers"):
        modules.mongo_client.hello(talk)


@pytest.mark.parametrize("role", ["member", "config server"])
def test_a_server_that_stays_frozen_ends_a_wait_before_its_time(mongods, states, modules, role, monkeypatch):
    """One that thaws does not."""
    [member] = mongods(1, replset="s1", role="configsvr" if role == "config server" else "shardsvr")
    wanted = {**arguments([member]), "connection": {"host": "127.0.0.1", "port": member.port}}
    assert states.mongo_replset.replset_present(**wanted, config_server=role == "config server").result is True
    tested = functions("mongo_client", __salt__=modules, __context__={})
    monkeypatch.setitem(tested["mongo_client.gate"].__globals__, "FROZEN_SECONDS", 3)

    def ready():
        return tested["mongo_client.hello"](wanted["connection"]).get("setName") == "s1", "blank"

    os.kill(member.pid, signal.SIGSTOP)
    began = time.monotonic()
    ret = tested["mongo_client.gate"]("s1", ready, "s1", 300)
    assert (ret["result"], ret["changes"]) == (False, {})
    assert f"{member.address} takes connections, but does not answer hello: it is frozen" in ret["comment"]
    assert "so it has been for 3 s" in ret["comment"]
    assert time.monotonic() - began < 60
    monkeypatch.setitem(tested["mongo_client.gate"].__globals__, "FROZEN_SECONDS", 300)
    threading.Timer(4, os.kill, (member.pid, signal.SIGCONT)).start()
    assert tested["mongo_client.gate"]("s1", ready, "s1", 300)["result"] is True


def test_a_question_whose_connection_is_closed_is_asked_again_and_an_order_is_not(mongods, modules):
    [member] = mongods(1, args=["--setParameter", "enableTestCommands=1"])
    talk = {"connection": {"host": "127.0.0.1", "port": member.port}}
    modules.mongo_client.command({"insert": "box", "documents": [{"_id": 1}]}, db="bank", **talk)

    def closed(*names):
        data = {"failCommands": list(names), "closeConnection": True}
        member.client().admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=data)

    closed("find")
    assert modules.mongo_client.rows({"find": "box"}, db="bank", **talk) == [{"_id": 1}]
    closed("insert")
    with pytest.raises(CommandExecutionError, match="nothing answers insert .*connection closed"):
        modules.mongo_client.command({"insert": "box", "documents": [{"_id": 2}]}, db="bank", **talk)


def test_a_member_stops_waiting_for_what_the_sets_first_one_refuses(replset, states):
    """A member was replaced without remove_extra: the new one waited five minutes for what could not come."""
    members, wanted = replset(4)
    first, second, _, new = members
    old = {**wanted, "members": wanted["members"][:3]}
    assert states.mongo_replset.replset_present(**old).result is True
    replaced = {**wanted, "members": [first.address, second.address, new.address]}
    refused = states.mongo_replset.replset_present(**replaced, test=True)
    assert (refused.result, refused.changes) == (False, {})
    waiting = {**replaced, "connection": {**wanted["connection"], "port": new.port}}
    began = time.monotonic()
    ret = states.mongo_replset.member_ready(**waiting)
    assert ret.result is False
    assert time.monotonic() - began < 30
    assert ret.comment == f"{first.address}, which brings the members into s1, refuses: {refused.comment.rstrip('.')}"
    asked = states.mongo_replset.member_ready(**{**waiting, "timeout": 1})
    assert asked.comment.endswith(f"last seen: not yet a member of any set; {first.address} brings it into s1")
    alone = {key: value for key, value in waiting.items() if key != "members"}
    assert "not yet a member of any set" in states.mongo_replset.member_ready(**{**alone, "timeout": 1}).comment
