"""Users and their passwords, on a real server: what it keeps of a password tells whether it is the wanted one."""

import pymongo
import pytest
from test_replset import ADMIN, KEYFILE, PATH, admin_client
from test_shard import run

from segments import wait_until
from tree import functions

PASSWORDS = ["first", "p x:@/%", "pässwörd™", "\u2168 \xad", "\x07bell"]
ELSEWHERE = [{"clientSource": ["10.0.0.0/8"]}]


@pytest.fixture(scope="module")
def member(module_mongods):
    [member] = module_mongods(1, replset="s1", keyfile=KEYFILE)
    client = member.client()
    client.admin.command("replSetInitiate", {"_id": "s1", "members": [{"_id": 0, "host": member.address}]})
    assert wait_until(lambda: client.admin.command("hello")["isWritablePrimary"], 60)
    client.admin.command("createUser", "admin", pwd="kept-out-of-sight", roles=["root"])
    return member


@pytest.fixture
def bank(member, pillar):
    passwords = {f"u{number}": {"password": password} for number, password in enumerate(PASSWORDS)}
    pillar({"mongodb": {**ADMIN["mongodb"], "users": passwords}})
    database = admin_client(member).bank
    database.command("dropAllUsersFromDatabase")
    return database


def user(member, number=0, **more):
    connection = {"host": "127.0.0.1", "port": member.port, "credentials": PATH}
    given = {"name": "teller", "database": "bank", "roles": ["read"], "connection": connection}
    return {**given, "password": f"mongodb:users:u{number}:password", **more}


def kept(bank):
    [found] = bank.command("usersInfo", "teller", showCredentials=True, showAuthenticationRestrictions=True)["users"]
    return found


MECHANISMS = [["SCRAM-SHA-1"], ["SCRAM-SHA-256"], ["SCRAM-SHA-1", "SCRAM-SHA-256"]]


@pytest.mark.parametrize("mechanisms", MECHANISMS, ids=" ".join)
def test_a_restricted_user_with_the_right_password_is_left_alone(member, states, bank, mechanisms):
    bank.command(
        "createUser", "teller", pwd="first", roles=["read"], authenticationRestrictions=ELSEWHERE, mechanisms=mechanisms
    )
    before = kept(bank)
    assert run(states.mongo_shard.user_present, **user(member)) == {}
    assert kept(bank) == before
    assert list(run(states.mongo_shard.user_present, **user(member, 1))) == ["user teller@bank"]
    after = kept(bank)
    assert after["credentials"] != before["credentials"]
    for key in ("mechanisms", "authenticationRestrictions", "roles"):
        assert after[key] == before[key]


@pytest.mark.parametrize("number", range(4))
def test_any_password_is_known_again(member, states, bank, number):
    run(states.mongo_shard.user_present, **user(member, number))
    login = {"username": "teller", "password": PASSWORDS[number], "authSource": "bank"}
    pymongo.MongoClient("127.0.0.1", member.port, directConnection=True, **login).bank.command("ping")
    for other in set(range(4)) - {number}:
        ret = states.mongo_shard.user_present(**user(member, other), test=True)
        assert ret.changes["user teller@bank"]["new"] == {"password": "the wanted one"}


def test_a_path_with_a_colon_is_found_beside_the_minions_own_options(member, states, bank, pillar, modules):
    pillar({"mongodb": {**ADMIN["mongodb"], "users": {"app:ro": {"password": PASSWORDS[0]}}}})
    path = ["mongodb", "users", "app:ro", "password"]
    assert list(run(states.mongo_shard.user_present, **user(member, password=path))) == ["user teller@bank"]

    def shadowed(key, **more):
        return {"connection": {}} if key == "mongodb" else modules.config.get(key, **more)

    tested = functions("mongo_user", __salt__={**modules, "config.get": shadowed})
    assert tested["mongo_user.observe"]("teller", "bank", path, user(member)["connection"])["user"]["password"] is True


def test_a_password_that_the_server_does_not_take_is_its_refusal(member, states, bank):
    ret = states.mongo_shard.user_present(**user(member, 4))
    assert (ret.result, ret.changes) == (False, {})
    assert "createUser refused" in ret.comment
    assert "bell" not in ret.comment


def test_an_idle_run_asks_for_the_user_once(member, states, bank):
    run(states.mongo_shard.user_present, **user(member))
    asked = []
    for _ in range(2):
        asked.append(bank.client.admin.command("serverStatus")["metrics"]["commands"]["usersInfo"]["total"])
        assert states.mongo_shard.user_present(**user(member)).changes == {}
    assert asked[1] - asked[0] == 1
