"""A sharded cluster on real config servers and shards, behind the lab's router; seen through pymongo."""

import base64
import os
import random
import subprocess
import sys
import threading
import time

import bson
import pymongo
import pytest
import yaml
from pymongo.errors import PyMongoError
from salt.exceptions import CommandExecutionError

import mongods as real
from segments import wait_until
from tree import ROOT

KEYFILE = base64.b64encode(os.urandom(96)).decode()
ADMIN = {"username": "admin", "password": "kept-out-of-sight"}
USERS = {"teller": {"password": "first"}, "auditor": {"password": "other"}}
PATH = "mongodb:auth:admin"


@pytest.fixture(scope="module")
def servers(mongod_binary, tmp_path_factory):
    """One config server and three shards of one member each, with auth on; a router in front. No shard yet."""
    with real.factory(mongod_binary) as start:
        failing = ["--setParameter", "enableTestCommands=1"]
        sets = {"cfg": start(1, replset="cfg", role="configsvr", keyfile=KEYFILE, args=failing)[0]}
        sets.update({name: start(1, replset=name, role="shardsvr", keyfile=KEYFILE)[0] for name in ("s1", "s2", "s3")})
        for name, member in sets.items():
            _initiate(name, member)
        with _router(tmp_path_factory.mktemp("router"), sets["cfg"]) as port:
            yield {**sets, "port": port}


def _initiate(name, member):
    client = member.client()
    config = {
        "_id": name,
        "members": [{"_id": 0, "host": member.address}],
        **({"configsvr": True} if name == "cfg" else {}),
    }
    client.admin.command("replSetInitiate", config)
    while not client.admin.command("hello")["isWritablePrimary"]:
        time.sleep(0.02)
    client.admin.command("createUser", ADMIN["username"], pwd=ADMIN["password"], roles=["root"])


class _router:
    """The lab's router on a port of loopback, until the end of the block."""

    def __init__(self, folder, config):
        self.port = random.choice(range(18000, 20000))
        (folder / "keyfile").write_text(KEYFILE)
        (folder / "keyfile").chmod(0o400)
        settings = {
            "net": {"port": self.port, "bindIp": "127.0.0.1"},
            "sharding": {"configDB": f"cfg/{config.address}"},
            "security": {"keyFile": str(folder / "keyfile")},
        }
        (folder / "mongos.conf").write_text(yaml.safe_dump(settings))
        program = [sys.executable, str(ROOT / "tests/lab/router.py"), "--config", str(folder / "mongos.conf")]
        self.command = ["setpriv", "--pdeathsig", "KILL", *program]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        client, deadline = pymongo.MongoClient("127.0.0.1", self.port), time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                client.admin.command("ping")
                return self.port
            except PyMongoError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.command} does not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(120)


@pytest.fixture
def connection(servers, pillar):
    pillar({"mongodb": {"auth": {"admin": ADMIN}, "users": USERS}})
    return {"host": "127.0.0.1", "port": servers["port"], "credentials": PATH}


@pytest.fixture
def router(servers):
    return pymongo.MongoClient("127.0.0.1", servers["port"], **ADMIN)


@pytest.fixture
def cluster(servers, states, connection):
    """The connection to a cluster with the shards s1 and s2."""
    for name in ("s1", "s2"):
        ret = states.mongo_shard.shard_present(name=name, members=[servers[name].address], connection=connection)
        assert ret.result is True, ret.comment
    return connection


def run(state, **arguments):
    """A dry run and a real one, which must say the same; then a second one, which must do nothing."""
    dry = state(**arguments, test=True)
    real_run = state(**arguments)
    assert real_run.result is True, real_run.comment
    assert real_run.changes == dry.changes
    assert dry.result is (None if dry.changes else True)
    again = state(**arguments)
    assert (again.result, again.changes) == (True, {}), again.comment
    return real_run.changes


def test_the_router_is_waited_for(states, connection, servers):
    assert states.mongo_shard.router_ready(name="router", connection=connection, timeout=60).result is True
    silent = states.mongo_shard.router_ready(name="router", connection={**connection, "port": 1}, timeout=1)
    assert silent.result is False
    assert "Waited 1 s for router 127.0.0.1:1" in silent.comment
    no_router = states.mongo_shard.router_ready(
        name="router", connection={**connection, "port": servers["s1"].port}, timeout=5
    )
    assert no_router.result is False
    assert "is no router" in no_router.comment


def test_routers_whose_port_changes_take_turns_wherever_they_still_serve(modules, connection, servers):
    """None of them serves at the new port before it has had its turn."""
    keeper = {"replset": "cfg", "hosts": [servers["cfg"].address]}
    turn = {"address": "127.0.0.1:1", "peers": ["127.0.0.1:1", "127.0.0.1:2"], **keeper}
    with pytest.raises(CommandExecutionError, match="127.0.0.1:2 is DOWN"):
        modules.mongo_daemon.take_turn(turn, connection, timeout=0)
    modules.mongo_daemon.take_turn(turn, connection, timeout=5, ports=[servers["port"]])
    modules.mongo_daemon.end_turn(turn, connection)


def test_default_concerns(states, connection, router):
    arguments = {"name": "cluster", "write": "majority", "read": "local", "connection": connection}
    assert run(states.mongo_shard.default_rw_concern, **arguments) == {
        "default write concern": {"old": None, "new": "majority"},
        "default read concern": {"old": None, "new": "local"},
    }
    assert router.admin.command("getDefaultRWConcern")["defaultWriteConcern"]["w"] == "majority"


def test_servers_that_reconfigure_or_elect_just_then_are_asked_again(states, connection, servers, router):
    config = servers["cfg"].client(**ADMIN)
    for code, write in ((109, 1), (133, "majority")):
        config.admin.command(
            "configureFailPoint",
            "failCommand",
            mode={"times": 2},
            data={"failCommands": ["setDefaultRWConcern"], "errorCode": code},
        )
        ret = states.mongo_shard.default_rw_concern(name="cluster", write=write, connection=connection)
        assert ret.result is True, ret.comment
        assert router.admin.command("getDefaultRWConcern")["defaultWriteConcern"]["w"] == write


def test_a_shard_is_added_once(states, connection, servers, router):
    address = servers["s1"].address
    changes = run(states.mongo_shard.shard_present, name="s1", members=[address], connection=connection)
    assert changes == {"shard s1": {"old": None, "new": f"s1/{address}"}}
    assert [shard["host"] for shard in router.admin.command("listShards")["shards"]] == [f"s1/{address}"]


def test_a_shard_is_known_by_its_hosts_and_identity_not_its_name(states, cluster, servers):
    one, two, three = (servers[name].address for name in ("s1", "s2", "s3"))
    for arguments, words in [
        ({"name": "s1", "replset": "s3", "members": [three]}, f"Shard s1 is s1/{one}, which shares no member"),
        ({"name": "again", "replset": "s2", "members": [two]}, "says that it is shard s2 of cluster"),
    ]:
        for test in (True, False):
            ret = states.mongo_shard.shard_present(**arguments, connection=cluster, timeout=3, test=test)
            assert ret.result is False
            assert words in ret.comment


def test_a_shard_of_another_cluster_is_refused(states, cluster, servers, modules):
    stranger = servers["s3"].client(**ADMIN)
    identity = {
        "_id": "shardIdentity",
        "clusterId": "somebody else's",
        "shardName": "s3",
        "configsvrConnectionString": "cfg/x:1",
    }
    seen = {"shards": {}, "cluster_id": "ours", "identity": {"shard": "s3", "cluster_id": identity["clusterId"]}}
    with pytest.raises(Exception, match="somebody else's"):
        modules.mongo_shard.plan_shard("s3", "s3", [servers["s3"].address], seen)
    assert modules.mongo_shard.shard_identity("s3", [servers["s3"].address], cluster) is None
    assert "system.version" not in stranger.config.list_collection_names()


def test_databases(states, cluster, router):
    changes = run(states.mongo_shard.database_present, name="bank", primary_shard="s2", connection=cluster)
    assert changes == {"database bank": {"old": None, "new": "s2"}}
    assert router.config.databases.find_one({"_id": "bank"})["primary"] == "s2"
    moved = states.mongo_shard.database_present(name="bank", primary_shard="s1", connection=cluster)
    assert moved.result is False
    assert "movePrimary" in moved.comment


def test_a_collection_is_sharded_on_a_hashed_key(states, cluster, router, servers):
    changes = run(
        states.mongo_shard.collection_sharded, name="hash.transfers", key={"account": "hashed"}, connection=cluster
    )
    assert changes == {
        "collection hash.transfers": {"old": None, "new": {"key": {"account": "hashed"}, "unique": False}}
    }
    entry = router.config.collections.find_one({"_id": "hash.transfers"})
    assert dict(entry["key"]) == {"account": "hashed"}
    router.hash.transfers.insert_many([{"account": n} for n in range(200)])
    counts = [servers[name].client(**ADMIN).hash.transfers.count_documents({}) for name in ("s1", "s2")]
    assert sum(counts) == 200
    assert min(counts) > 40


def test_the_formula_shards_a_collection_with_documents_and_spreads_a_new_one(modules, cluster, router, pillar):
    """The order of indexes and sharding: documents need an index first, and a new collection has chunks everywhere."""
    router.old.transfers.insert_many([{"account": n} for n in range(50)])
    spec = {"shard_key": {"account": "hashed"}, "indexes": [{"keys": {"account": "hashed"}}, {"keys": {"when": -1}}]}
    databases = {name: {"collections": {"transfers": spec}} for name in ("old", "new")}
    pillar({"mongodb": {"auth": {"admin": ADMIN}, "routers": [f"minion:{cluster['port']}"], "databases": databases}})
    for changes in (True, False):
        applied = modules.state.sls("mongodb.collections")
        assert {state.result for state in applied} == {True}, applied
        assert any(state.changes for state in applied) is changes
    assert router.old.transfers.count_documents({}) == 50
    assert sum(modules.mongo_shard.distribution("old.transfers", cluster).values()) >= 1
    assert modules.mongo_shard.distribution("new.transfers", cluster) == {"s1": 2, "s2": 2}
    router.new.transfers.insert_many([{"account": n} for n in range(50)])
    found = router.new.transfers.aggregate([{"$indexStats": {}}, {"$match": {"name": "when_-1"}}])
    assert sorted(row["shard"] for row in found) == ["s1", "s2"]


@pytest.mark.parametrize(
    "key,unique,words",
    [
        ({"account": 1}, False, "reshardCollection"),
        ({"account": "hashed", "when": 1}, False, "refineCollectionShardKey"),
        (
            {"account": "hashed"},
            True,
            "unique: is true, but a shard key with a hashed field (account) cannot be unique",
        ),
        ({"a": "hashed", "b": "hashed"}, False, "key: has 2 hashed fields (a, b); at most one hashed field"),
        ({"a": -1}, False, "key: has a: -1; 1 (ascending) or hashed for each field"),
        ({}, False, "key: is empty; a field at least"),
        ("account", False, "key: is 'account'; a mapping of fields"),
    ],
)
def test_another_shard_key_is_refused(states, cluster, key, unique, words):
    sharded = {"name": "other.transfers", "key": {"account": "hashed"}, "connection": cluster}
    assert states.mongo_shard.collection_sharded(**sharded).result is True
    for test in (True, False):
        ret = states.mongo_shard.collection_sharded(**{**sharded, "key": key, "unique": unique}, test=test)
        assert ret.result is False
        assert words in ret.comment


@pytest.fixture
def collection(states, cluster, router, request):
    """The name of an empty sharded collection of this test's own."""
    name = f"indexed.{request.node.originalname}"
    router.drop_database("indexed")
    states.mongo_shard.collection_sharded(name=name, key={"account": "hashed"}, connection=cluster)
    return name


def keys(router, name):
    database, collection = name.split(".")
    return [dict(index["key"]) for index in router[database][collection].list_indexes()]


def test_indexes_by_key_and_options(states, cluster, router, collection):
    wanted = [
        {"keys": {"account": 1, "when": -1}},
        {"keys": {"when": 1, "account": 1}},
        {"keys": {"created": 1}, "expireAfterSeconds": 3600},
        {"keys": {"note": "text"}},
    ]
    arguments = {"name": collection, "indexes": wanted, "connection": cluster}
    changes = run(states.mongo_shard.indexes_present, **arguments)
    names = ["account_1_when_-1", "when_1_account_1", "created_1", "note_text"]
    assert changes == {f"indexes of {collection}": {"old": None, "new": names}}
    assert {"account": 1, "when": -1} in keys(router, collection)
    renamed = [{**wanted[0], "name": "another_name"}]
    assert run(states.mongo_shard.indexes_present, **{**arguments, "indexes": renamed}) == {}
    longer = [{**wanted[2], "expireAfterSeconds": 7200}]
    changes = run(states.mongo_shard.indexes_present, **{**arguments, "indexes": longer})
    assert changes == {
        f"index created_1 of {collection}": {"old": {"expireAfterSeconds": 3600}, "new": {"expireAfterSeconds": 7200}}
    }


@pytest.mark.parametrize(
    "index,words",
    [
        ({"keys": {"reference": 1}, "sparse": True}, "does not change that in place"),
        ({"keys": {"amount": 1}, "name": "reference_1"}, "give the new one another name"),
        ({"keys": {"amount": 2}}, "indexes:0:keys:amount: is 2; 1, -1, hashed, text, 2d or 2dsphere"),
        ({"key": {"amount": 1}}, "indexes:0:key: is an unknown field; did you mean 'keys'?"),
    ],
)
def test_an_index_that_would_be_another_is_refused(states, cluster, collection, index, words):
    arguments = {"name": collection, "connection": cluster}
    assert states.mongo_shard.indexes_present(**arguments, indexes=[{"keys": {"reference": 1}}]).result is True
    for test in (True, False):
        ret = states.mongo_shard.indexes_present(**arguments, indexes=[index], test=test)
        assert ret.result is False
        assert words in ret.comment


def test_an_index_of_two_array_fields_is_refused_on_evidence(states, cluster, router, collection):
    database, name = collection.split(".")
    router[database][name].insert_many(
        [{"_id": 1, "account": 7, "tags": ["a"]}, {"_id": 2, "account": 8, "tags": [], "owners": []}]
    )
    wanted = [{"keys": {"tags": 1, "owners": 1}}]
    for test in (True, False):
        ret = states.mongo_shard.indexes_present(name=collection, indexes=wanted, connection=cluster, test=test)
        assert ret.result is False
        assert "_id 2 both tags and owners are arrays" in ret.comment
        assert "171" in ret.comment
    router[database][name].delete_one({"_id": 2, "account": 8})
    assert run(states.mongo_shard.indexes_present, name=collection, indexes=wanted, connection=cluster) != {}


@pytest.fixture
def building(mongods):
    """A set of one that builds an index on ``account`` and does not get ahead; it may when the test says so."""
    [member] = mongods(1, replset="s1", args=["--setParameter", "enableTestCommands=1"])
    client, fail_point = member.client(), "hangAfterStartingIndexBuild"
    client.admin.command("replSetInitiate", {"_id": "s1", "members": [{"_id": 0, "host": member.address}]})
    assert wait_until(lambda: client.admin.command("hello")["isWritablePrimary"], 60)
    client.bank.transfers.insert_one({"account": 1})
    client.admin.command("configureFailPoint", fail_point, mode="alwaysOn")
    build = threading.Thread(target=lambda: client.bank.transfers.create_index([("account", 1)]))
    build.start()

    def go_on():
        client.admin.command("configureFailPoint", fail_point, mode="off")
        build.join()

    assert wait_until(lambda: "account_1" in client.bank.transfers.index_information(), 60)
    yield member, go_on
    go_on()


def test_an_index_is_there_when_it_has_been_built(states, building):
    member, go_on = building
    connection = {"host": "127.0.0.1", "port": member.port}
    wanted = {"name": "bank.transfers", "indexes": [{"keys": {"account": 1}}], "connection": connection}
    assert states.mongo_shard.indexes_present(**wanted, test=True).result is None
    waits = states.mongo_shard.indexes_present(**wanted, timeout=1)
    assert waits.result is False, waits.comment
    assert states.mongo_shard.indexes_absent(**wanted, test=True).result is None
    go_on()
    done = states.mongo_shard.indexes_present(**wanted)
    assert (done.result, done.changes) == (True, {}), done.comment


GOOD = yaml.safe_load((ROOT / "tests/unit/cases/good_mongodb_pillar.yaml").read_text())
GOOD = [case["index"] for case in GOOD if "index" in case and case["case"] != "an index of the shard key itself"]
TEXTS = [index for index in GOOD if "text" in index["keys"].values()]


@pytest.mark.parametrize("indexes", [[index for index in GOOD if index not in TEXTS], *([index] for index in TEXTS)])
def test_the_indexes_of_good_pillars_are_made_once(states, cluster, router, collection, indexes):
    """All of them together; of text indexes a collection has one."""
    before = keys(router, collection)
    arguments = {"name": collection, "indexes": [{"keys": {"reference": 1}}, *indexes], "connection": cluster}
    run(states.mongo_shard.indexes_present, **arguments)
    assert len(keys(router, collection)) == len(before) + 1 + len(indexes)
    run(states.mongo_shard.indexes_absent, **arguments)
    assert keys(router, collection) == before


def test_a_collection_with_a_collation_is_sharded(states, cluster, router):
    """Its index on the key is one without, as MongoDB compares shard keys so."""
    router.drop_database("spoken")
    router.spoken.create_collection("words", collation={"locale": "de"})
    router.spoken.words.insert_one({"account": "a"})
    simple = [{"keys": {"account": 1}, "collation": {"locale": "simple"}}, {"keys": {"word": 1}}]
    run(states.mongo_shard.indexes_present, name="spoken.words", indexes=simple, connection=cluster)
    run(states.mongo_shard.collection_sharded, name="spoken.words", key={"account": 1}, connection=cluster)
    assert router.config.collections.find_one({"_id": "spoken.words"})["key"] == {"account": 1}


@pytest.mark.parametrize(
    "made,wanted,words",
    [
        ({"keys": {"note": "text", "body": "text"}, "weights": {"note": 3}}, {"weights": {"note": 4}}, "'note': 3"),
        ({"keys": {"reference": 1}}, {"collation": {"locale": "de"}}, "with {'collation': None}, not {'collation'"),
        (
            {"keys": {"reference": 1}, "collation": {"locale": "de"}},
            {"collation": {"locale": "simple"}},
            "'locale': 'de'",
        ),
    ],
)
def test_what_tells_two_indexes_apart_is_not_changed_in_place(states, cluster, collection, made, wanted, words):
    arguments = {"name": collection, "connection": cluster}
    assert states.mongo_shard.indexes_present(**arguments, indexes=[made]).result is True
    ret = states.mongo_shard.indexes_present(**arguments, indexes=[{**made, **wanted}])
    assert ret.result is False
    assert words in ret.comment
    assert "does not change that in place" in ret.comment


def test_an_index_beside_one_on_the_same_keys_is_found_by_its_options(states, cluster, router, collection):
    plain, german = {"keys": {"reference": 1}}, {"keys": {"reference": 1}, "collation": {"locale": "de"}, "name": "de"}
    expiring = {**german, "expireAfterSeconds": 60}
    arguments = {"name": collection, "connection": cluster}
    run(states.mongo_shard.indexes_present, **arguments, indexes=[plain])
    assert list(run(states.mongo_shard.indexes_present, **arguments, indexes=[expiring])) == [
        f"indexes of {collection}"
    ]
    changes = run(
        states.mongo_shard.indexes_present, **arguments, indexes=[plain, {**expiring, "expireAfterSeconds": 90}]
    )
    assert list(changes) == [f"index de of {collection}"]
    assert run(states.mongo_shard.indexes_present, **arguments, indexes=[{**plain, "name": "again"}]) == {}
    assert keys(router, collection).count({"reference": 1}) == 2


def test_absent_undoes_present(states, cluster, router, collection):
    indexes = {"name": collection, "indexes": [{"keys": {"reference": 1}}], "connection": cluster}
    before = keys(router, collection)
    run(states.mongo_shard.indexes_present, **indexes)
    run(states.mongo_shard.indexes_absent, **indexes)
    assert keys(router, collection) == before
    user = {"name": "auditor", "database": "bank", "connection": cluster}
    run(states.mongo_shard.user_present, **user, roles=["read"], password="mongodb:users:auditor:password")
    run(states.mongo_shard.user_absent, **user)
    assert router.bank.command("usersInfo", "auditor")["users"] == []


def test_users_roles_and_passwords(states, cluster, router, servers, pillar):
    arguments = {
        "name": "teller",
        "database": "bank",
        "roles": ["readWrite"],
        "password": "mongodb:users:teller:password",
        "connection": cluster,
    }
    assert run(states.mongo_shard.user_present, **arguments) == {
        "user teller@bank": {"old": None, "new": {"roles": ["readWrite@bank"]}}
    }
    router.bank.command("updateUser", "teller", roles=["read"], pwd="changed by hand")
    assert run(states.mongo_shard.user_present, **arguments) == {
        "user teller@bank": {
            "old": {"roles": ["read@bank"], "password": "another one"},
            "new": {"roles": ["readWrite@bank"], "password": "the wanted one"},
        }
    }
    login = {"username": "teller", "password": "first", "authSource": "bank"}
    pymongo.MongoClient("127.0.0.1", servers["port"], **login).bank.command("ping")


def test_a_user_by_certificate_has_no_password(states, cluster, router):
    user = {"name": "CN=teller,O=bank", "database": "$external", "connection": cluster}
    roles = [{"role": "read", "db": "bank"}]
    assert run(states.mongo_shard.user_present, **user, roles=roles) == {
        "user CN=teller,O=bank@$external": {"old": None, "new": {"roles": ["read@bank"]}}
    }
    assert router["$external"].command("usersInfo", user["name"])["users"][0]["roles"] == roles
    run(states.mongo_shard.user_absent, **user)


def test_only_a_new_user_needs_a_password(states, cluster):
    user = {"name": "auditor", "database": "bank", "connection": cluster}
    for test in (True, False):
        ret = states.mongo_shard.user_present(**user, roles=["read"], test=test)
        assert ret.result is False
        assert "There is no user auditor@bank yet; to create it, password is needed" in ret.comment
    run(states.mongo_shard.user_present, **user, roles=["read"], password="mongodb:users:auditor:password")
    assert list(run(states.mongo_shard.user_present, **user, roles=["readWrite"])) == ["user auditor@bank"]
    run(states.mongo_shard.user_absent, **user)


def test_what_cannot_be_sent_is_no_silence(states, modules, cluster, collection, pillar):
    """A dry run assumes nothing then, and a real one does not wait."""
    with pytest.raises(CommandExecutionError, match="ping: database names cannot contain the character '.'"):
        modules.mongo_client.command({"ping": 1}, db="my.db", connection=cluster)
    large = {"keys": {"amount": 1}, "partialFilterExpression": {"amount": {"$gt": 2**70}}}
    ret = states.mongo_shard.indexes_present(name=collection, indexes=[large], connection=cluster)
    assert (ret.result, ret.changes) == (False, {})
    assert "createIndexes holds what MongoDB cannot: MongoDB can only handle up to 8-byte ints" in ret.comment
    pillar({"mongodb": {"auth": {"admin": {**ADMIN, "authMechanism": "GSSAPI", "authSource": "$external"}}}})
    assert states.mongo_shard.user_absent(name="teller", connection=cluster, test=True).result is False
    began = time.monotonic()
    ret = states.mongo_shard.router_ready(name="router", connection=cluster, timeout=60)
    assert ret.result is False
    assert 'The "kerberos" module must be installed' in ret.comment
    assert time.monotonic() - began < 30


def test_what_is_not_in_the_pillar_is_named_by_its_path(states, cluster):
    ret = states.mongo_shard.user_present(name="nobody", password="mongodb:users:nobody:password", connection=cluster)
    assert ret.result is False
    assert "No password at mongodb:users:nobody:password" in ret.comment
    ret = states.mongo_shard.database_present(name="bank", connection={**cluster, "credentials": "mongodb:auth:nobody"})
    assert ret.result is False
    assert "No credentials at mongodb:auth:nobody" in ret.comment


def test_a_dry_run_without_a_server_says_what_it_assumes(states, cluster):
    ret = states.mongo_shard.database_present(name="bank", connection={**cluster, "port": 1}, test=True)
    assert (ret.result, list(ret.changes)) == (None, ["database bank"])
    assert "if there is nothing yet: 127.0.0.1:1: nothing answers" in ret.comment


def test_the_cluster_at_a_glance(states, modules, cluster, servers):
    states.mongo_shard.collection_sharded(name="glance.transfers", key={"account": "hashed"}, connection=cluster)
    seen = modules.mongo_shard.topology(cluster)
    assert seen["config"]["members"] == {servers["cfg"].address: "PRIMARY"}
    assert {name: found["primary"] for name, found in seen["shards"].items()} == {
        name: servers[name].address for name in ("s1", "s2")
    }
    chunks = seen["collections"]["glance.transfers"]["chunks"]
    assert chunks == modules.mongo_shard.distribution("glance.transfers", cluster) == {"s1": 2, "s2": 2}


def test_a_collection_that_is_only_kept_among_the_sharded_ones(states, modules, cluster, servers, router):
    """From 8.0 on one that was moved to another shard; here its row is written by hand."""
    states.mongo_shard.collection_sharded(name="kept.transfers", key={"account": "hashed"}, connection=cluster)
    rows = servers["cfg"].client(**ADMIN).config.collections
    moved = {**rows.find_one({"_id": "kept.transfers"}), "_id": "kept.moved", "key": {"_id": 1}, "unsplittable": True}
    rows.insert_one({**moved, "uuid": bson.Binary(os.urandom(16), 4)})
    try:
        assert "kept.moved" not in modules.mongo_shard.topology(cluster)["collections"]
        sharded = {"name": "kept.moved", "key": {"account": "hashed"}, "connection": cluster}
        assert states.mongo_shard.collection_sharded(**sharded, test=True).result is None
    finally:
        rows.delete_one({"_id": "kept.moved"})


def test_health(states, cluster, servers):
    healthy = {"s1": [servers["s1"].address]}
    assert (
        states.mongo_shard.cluster_healthy(name="cluster", replsets=healthy, connection=cluster, timeout=60).result
        is True
    )
    ill = states.mongo_shard.cluster_healthy(
        name="cluster", replsets={"s1": ["127.0.0.1:1"]}, connection=cluster, timeout=0
    )
    assert ill.result is False
    assert "127.0.0.1:1 of s1 is DOWN" in ill.comment
