"""The lab's stand-in router before a real cluster: config servers, shards, elections and balancer are MongoDB's own.

What is asserted is the world as PyMongo sees it through the router, and as shards and config servers see it themselves.
"""

import concurrent.futures
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import bson
import pymongo
import pytest
import router as program
from bson import Int64, MaxKey, MinKey, ObjectId, Timestamp
from pymongo.errors import OperationFailure, PyMongoError

import mongods

ROUTER = Path(program.__file__)
KEY = "bGFiIGtleSwgdGhyb3duIGF3YXkgYWZ0ZXIgdGhlIHRlc3Q="
SYSTEM = {
    "username": "__system",
    "password": KEY,
    "authSource": "local",
    "authMechanism": "SCRAM-SHA-256",
}
SETS = {"cfg": 3, "s1": 3, "s2": 1, "s3": 1}  # members
USERS = {
    "admin": ("admin", "root"),
    "teller": ("bank", "readWrite"),
    "auditor": ("bank", "read"),
    "idler": ("shop", "read"),
}


def eventually(check, seconds=60, pause=0.05):
    """The first true answer of `check`; an error of PyMongo's counts as not yet."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            last = check()
        except PyMongoError as err:
            last = err
        if last and not isinstance(last, Exception):
            return last
        time.sleep(pause)
    raise AssertionError(f"still {last!r} after {seconds} s")


class Cluster:
    """The members of SETS, and a router in front of them."""

    def __init__(self, directory, start_members):
        self.log, self.keyfile, self.config = (directory / name for name in ("log", "keyfile", "mongos.conf"))
        self.start_members, self.sets, self.router = start_members, {}, None
        with socket.create_server(("localhost", 0)) as free:
            self.port = free.getsockname()[1]

    def start_set(self, name):
        role = "configsvr" if name == "cfg" else "shardsvr"
        self.sets[name] = self.start_members(SETS[name], replset=name, role=role, keyfile=KEY)

    def initiate(self, name):
        """One member first, the others added to it: so no election can come in between."""
        members = [{"_id": i, "host": member.address} for i, member in enumerate(self.sets[name])]
        config = {"_id": name, "version": 1, "members": members[:1], "settings": {"electionTimeoutMillis": 4000}}
        config |= {"configsvr": True} if name == "cfg" else {}
        with self.sets[name][0].client() as client:
            eventually(lambda: client.admin.command("replSetInitiate", config))
        with self.inside(name) as client:
            for number in range(2, len(members) + 1):
                grown = config | {"version": number, "members": members[:number]}
                eventually(lambda grown=grown: client.admin.command("replSetReconfig", grown))
            # A new member has no vote until it has caught up, although the configuration says so.
            eventually(lambda: client.admin.command("replSetGetStatus")["votingMembersCount"] == SETS[name])

    def start_router(self):
        self.keyfile.write_text(KEY)
        self.config.write_text(
            f"net: {{port: {self.port}, bindIp: localhost}}\n"
            f"sharding: {{configDB: '{self.uri('cfg')}'}}\n"
            f"security: {{keyFile: {self.keyfile}}}\n"
            f"systemLog: {{destination: file, path: {self.log}}}\n"
        )
        command = ["setpriv", "--pdeathsig", "KILL", sys.executable, ROUTER, "--config", self.config]
        self.router = subprocess.Popen(command)

    def said(self, words):
        return self.log.exists() and words in self.log.read_text()

    def uri(self, name):
        return f"{name}/" + ",".join(member.address for member in self.sets[name])

    def client(self, user="admin", **options):
        """A client of the router."""
        login = {"username": user, "password": f"{user}-pw", "authSource": USERS[user][0]} if user else {}
        return pymongo.MongoClient("localhost", self.port, socketTimeoutMS=45_000, **login, **options)

    def inside(self, name):
        """A client of a set itself, as the cluster's own user."""
        hosts = [member.address for member in self.sets[name]]
        return pymongo.MongoClient(hosts, replicaSet=name, **SYSTEM)

    def kill_primary(self, name):
        with self.inside(name) as client:
            address = "{}:{}".format(*eventually(lambda: client.primary))
        next(member for member in self.sets[name] if member.address == address).kill()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, mongod_binary):
    """A router that was started before its config servers were a set; shards s1 and s2, bank.transfers sharded."""
    with mongods.factory(mongod_binary) as start_members:
        lab = Cluster(tmp_path_factory.mktemp("router"), start_members)
        lab.start_set("cfg")
        lab.start_router()
        try:
            build(lab)
            yield lab
        finally:
            lab.router.kill()
            lab.router.wait()


def build(lab):
    for name in SETS:
        if name != "cfg":
            lab.start_set(name)
    assert eventually(lambda: lab.said("waiting for the config servers"))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lab.initiate, SETS))
    with lab.sets["cfg"][0].client() as loopback:
        eventually(lambda: loopback.admin.command("createUser", "admin", pwd="admin-pw", roles=["root"]))
    with lab.client() as client:
        for user, (database, role) in list(USERS.items())[1:]:
            client[database].command("createUser", user, pwd=f"{user}-pw", roles=[role])
        for name in ("s1", "s2"):
            eventually(lambda name=name: client.admin.command("addShard", lab.uri(name)))
        client.admin.command("shardCollection", "bank.transfers", key={"account": "hashed"})


@pytest.fixture(scope="module")
def admin(cluster):
    with cluster.client() as client:
        yield client


@pytest.fixture(scope="module")
def shards(cluster, admin):
    """Clients of the shards themselves."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(cluster.inside(name)) for name in ("s1", "s2")}


def code_of(function):
    """The error code a call ends with, 0 if with none, and its message."""
    try:
        function()
    except OperationFailure as err:
        return err.code, str(err)
    return 0, ""


# --- What it says it is


def test_says_what_it_is():
    said = subprocess.run([sys.executable, ROUTER, "--version"], capture_output=True, text=True, check=True).stdout
    assert "stand-in" in said
    assert "not MongoDB's mongos" in said


def test_listened_only_after_it_could_read_the_config_servers(cluster):
    log = cluster.log.read_text()
    assert log.index("waiting for the config servers") < log.index("the primary of cfg") < log.index("listening")


@pytest.mark.parametrize("command", ["hello", "isMaster", "ismaster"])
def test_hello_is_a_mongos_hello(cluster, command):
    with cluster.client(None) as client:
        said = client.admin.command(
            command, topologyVersion={"processId": ObjectId(), "counter": Int64(0)}, maxAwaitTimeMS=9000
        )
    assert said["msg"] == "isdbgrid"
    assert said["isWritablePrimary"] is True
    assert said["maxWireVersion"] == 17
    assert not {"setName", "hosts", "me", "primary", "secondary", "topologyVersion", "configsvr", "compression"} & set(
        said
    )


def test_pymongo_sees_a_sharded_cluster(admin):
    admin.admin.command("ping")
    assert admin.is_mongos
    assert admin.topology_description.topology_type_name == "Sharded"


def test_login_mechanisms_come_from_the_config_servers(cluster):
    with cluster.client(None) as client:
        assert "SCRAM-SHA-256" in client.admin.command("hello", saslSupportedMechs="admin.admin")["saslSupportedMechs"]


# --- Who may do what

COMMANDS = [  # database, command, users who may
    ("admin", {"addShard": "s1/localhost:1"}, {"admin"}),
    ("admin", {"removeShard": "nosuch"}, {"admin"}),
    ("admin", {"listShards": 1}, {"admin"}),
    ("admin", {"enableSharding": "bank"}, {"admin"}),
    ("admin", {"shardCollection": "bank.transfers", "key": {"account": "hashed"}}, {"admin"}),
    ("admin", {"movePrimary": "nosuch", "to": "s1"}, {"admin"}),
    ("admin", {"balancerStatus": 1}, {"admin"}),
    ("admin", {"balancerStart": 1}, {"admin"}),
    ("admin", {"setDefaultRWConcern": 1, "defaultReadConcern": {"level": "local"}}, {"admin"}),
    ("admin", {"usersInfo": 1}, {"admin"}),
    ("admin", {"find": "system.users"}, {"admin"}),
    ("config", {"find": "shards"}, {"admin"}),
    ("config", {"insert": "settings", "documents": [{"_id": "probe"}]}, {"admin"}),
    ("bank", {"createUser": "x", "pwd": "y", "roles": []}, {"admin"}),
    ("bank", {"insert": "transfers", "documents": [{"account": "probe"}]}, {"admin", "teller"}),
    ("bank", {"update": "transfers", "updates": [{"q": {"account": 0}, "u": {"$set": {"x": 1}}}]}, {"admin", "teller"}),
    ("bank", {"delete": "transfers", "deletes": [{"q": {"account": "probe"}, "limit": 0}]}, {"admin", "teller"}),
    ("bank", {"find": "transfers", "limit": 1}, {"admin", "teller", "auditor"}),
    ("bank", {"aggregate": "transfers", "pipeline": [], "cursor": {}}, {"admin", "teller", "auditor"}),
    ("bank", {"aggregate": "transfers", "pipeline": [{"$indexStats": {}}], "cursor": {}}, {"admin"}),
    ("bank", {"count": "transfers"}, {"admin", "teller", "auditor"}),
    ("bank", {"collStats": "transfers"}, {"admin", "teller", "auditor"}),
    ("bank", {"listIndexes": "transfers"}, {"admin", "teller", "auditor"}),
    ("bank", {"listCollections": 1}, {"admin", "teller", "auditor"}),
    ("bank", {"find": "system.views"}, set()),
    ("bank", {"createIndexes": "transfers", "indexes": [{"key": {"p": 1}, "name": "p_1"}]}, {"admin", "teller"}),
    ("bank", {"dropIndexes": "transfers", "index": "p_1"}, {"admin", "teller"}),
    ("bank", {"collMod": "transfers"}, {"admin"}),
    ("bank", {"create": "drafts"}, {"admin", "teller"}),
    ("bank", {"drop": "drafts"}, {"admin", "teller"}),
    ("nowhere", {"dropDatabase": 1}, {"admin"}),
    ("admin", {"listDatabases": 1}, {"admin", "teller", "auditor", "idler"}),
    ("bank", {"connectionStatus": 1}, {"admin", "teller", "auditor", "idler", None}),
    ("admin", {"ping": 1}, {"admin", "teller", "auditor", "idler", None}),
    ("bank", {"getMore": Int64(1), "collection": "transfers"}, {"admin", "teller", "auditor", "idler"}),
]


@pytest.mark.parametrize("user", [*USERS, None])
def test_a_user_may_do_what_his_roles_say(cluster, user):
    with cluster.client(user, retryWrites=False) as client:
        answers = [
            (database, command, code_of(lambda d=database, c=command: client[d].command(c))[0] != 13, user in may)
            for database, command, may in COMMANDS
        ]
    assert [(d, c, did) for d, c, did, may in answers if did != may] == []


@pytest.mark.parametrize(
    ("user", "password", "source"),
    [
        ("admin", "wrong", "admin"),
        ("nobody", "admin-pw", "admin"),
        ("teller", "teller-pw", "admin"),
        ("__system", "wrong", "local"),
    ],
)
def test_a_wrong_login_is_refused(cluster, user, password, source):
    with pymongo.MongoClient("localhost", cluster.port, username=user, password=password, authSource=source) as client:
        assert code_of(lambda: client.bank.transfers.find_one())[0] == 18


def test_the_clusters_own_user_gets_nothing_through_a_router(cluster):
    with pymongo.MongoClient("localhost", cluster.port, **SYSTEM) as client:
        assert code_of(lambda: client.bank.transfers.find_one())[0] == 13


def test_revoked_roles_and_cursors_of_others_are_of_no_use(cluster, admin):
    admin.bank.command("createUser", "temp", pwd="temp-pw", roles=["read"])
    admin.bank.cursors.insert_many([{"n": n} for n in range(10)])
    login = {"username": "temp", "password": "temp-pw", "authSource": "bank"}
    with pymongo.MongoClient("localhost", cluster.port, **login) as client:
        open_cursor = admin.bank.command("find", "cursors", batchSize=2)["cursor"]["id"]
        assert open_cursor
        assert code_of(lambda: client.bank.command("getMore", open_cursor, collection="cursors"))[0] == 43
        assert client.bank.cursors.count_documents({}) == 10
        admin.bank.command("revokeRolesFromUser", "temp", roles=["read"])
        assert code_of(lambda: client.bank.cursors.find_one())[0] == 13
    admin.bank.command("dropUser", "temp")


# --- Commands on the cluster


def test_shards_are_added_once_and_only_truly(cluster, admin):
    assert [s["_id"] for s in admin.admin.command("listShards")["shards"]] == ["s1", "s2"]
    assert admin.admin.command("addShard", cluster.uri("s1"))["shardAdded"] == "s1"
    assert code_of(lambda: admin.admin.command("addShard", cluster.uri("s1"), name="other"))[0] == 20
    assert code_of(lambda: admin.admin.command("addShard", cluster.uri("cfg")))[0] == 96


def test_sharding_again_is_no_change_and_with_another_key_refused(admin):
    before = list(admin.config.chunks.find())
    assert admin.admin.command("shardCollection", "bank.transfers", key={"account": "hashed"})["ok"]
    assert code_of(lambda: admin.admin.command("shardCollection", "bank.transfers", key={"when": 1}))[0] == 23
    assert list(admin.config.chunks.find()) == before
    assert {chunk["shard"] for chunk in before} == {"s1", "s2"}


def test_the_balancer_is_stopped_and_started(admin):
    for action, mode in (("balancerStop", "off"), ("balancerStart", "full")):
        admin.admin.command(action)
        assert admin.admin.command("balancerStatus")["mode"] == mode


def test_a_database_moves_to_another_primary_shard(admin, shards):
    admin.admin.command("enableSharding", "moving", primaryShard="s1")
    admin.moving.things.insert_one({"_id": 1})
    admin.admin.command("movePrimary", "moving", to="s2")
    assert admin.moving.things.count_documents({}) == 1
    admin.moving.things.insert_one({"_id": 2})
    assert [len(list(shards[name].moving.things.find())) for name in ("s1", "s2")] == [0, 2]
    admin.drop_database("moving")
    assert "moving" not in admin.list_database_names()
    assert "moving" not in shards["s2"].list_database_names()


def test_indexes_are_on_every_shard(admin, shards):
    admin.bank.transfers.create_index([("account", 1), ("when", -1)])
    for client in (admin, *shards.values()):
        assert set(client.bank.transfers.index_information()) == {"_id_", "account_hashed", "account_1_when_-1"}
    admin.bank.command("collMod", "transfers", index={"name": "account_1_when_-1", "hidden": True})
    for client in (admin, *shards.values()):
        assert client.bank.transfers.index_information()["account_1_when_-1"]["hidden"]
    admin.bank.transfers.drop_index("account_1_when_-1")
    for client in (admin, *shards.values()):
        assert "account_1_when_-1" not in client.bank.transfers.index_information()


def test_the_default_write_concern_reaches_the_shards(admin, shards):
    admin.admin.command("setDefaultRWConcern", 1, defaultWriteConcern={"w": "majority", "wtimeout": 4321})
    admin.concern.things.insert_one({"_id": 1})
    home = shards[admin.config.databases.find_one({"_id": "concern"})["primary"]]
    home.concern.command("profile", 2)
    admin.concern.things.insert_one({"_id": 2})
    admin.concern.things.update_many({}, {"$set": {"x": 1}})
    admin.get_database("concern", write_concern=pymongo.WriteConcern(1)).things.insert_one({"_id": 3})
    seen = [
        entry["command"]["writeConcern"]
        for entry in home.concern.system.profile.find({"command.$db": "concern"})
        if set(entry["command"]) & {"insert", "updates"}
    ]
    home.concern.command("profile", 0)
    assert [(concern["w"], concern.get("wtimeout")) for concern in seen if concern["w"] == "majority"]
    admin.admin.command("setDefaultRWConcern", 1, defaultWriteConcern={"w": "majority"})
    assert {(c["w"], c.get("wtimeout", 0)) for c in seen} >= {("majority", 4321), (1, 0)}


# --- Data


def owner(admin, namespace, key):
    """The shard of a shard key's value, found by MongoDB's own hash and order."""
    entry = admin.config.collections.find_one({"_id": namespace})
    ((name, kind),) = entry["key"].items()
    if kind == "hashed":
        (row,) = admin.admin.aggregate(
            [{"$documents": [{}]}, {"$set": {"h": {"$toHashedIndexKey": {"$literal": key}}}}]
        )
        key = row["h"]
    found = admin.config.chunks.find_one(
        {"uuid": entry["uuid"], "min": {"$lte": {name: key}}, "max": {"$gt": {name: key}}}
    )
    return found["shard"]


VALUES = [
    1,
    Int64(1),
    1.0,
    1.9,
    -1.9,
    -0.5,
    0,
    -7,
    2**40,
    1e300,
    -1e300,
    float("nan"),
    float("inf"),
    "abc",
    "",
    "é",
    True,
    False,
    None,
    ObjectId("0123456789abcdef01234567"),
    datetime(2026, 1, 2, 3, 4, 5),
    Timestamp(3, 4),
    MinKey(),
    MaxKey(),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_hash_is_mongodbs(admin, value):
    (row,) = admin.admin.aggregate([{"$documents": [{}]}, {"$set": {"h": {"$toHashedIndexKey": {"$literal": value}}}}])
    raw = bson.decode(bson.encode({"v": value}), program.CODEC)["v"]
    assert program.hashed(raw) == row["h"]


COLLECTIONS = {"hashed": {"account": "hashed"}, "ranged": {"account": 1}, "plain": None}


@pytest.fixture(scope="module", params=COLLECTIONS)
def accounts(request, cluster, admin):
    """A collection of 100 documents: sharded by hash, by range (split in the middle), or not at all."""
    collection, key = admin.data[request.param], COLLECTIONS[request.param]
    if key:
        admin.admin.command("shardCollection", f"data.{request.param}", key=key)
    if request.param == "ranged":
        home = admin.config.databases.find_one({"_id": "data"})["primary"]
        move_upper_half(cluster, "data.ranged", "s2" if home == "s1" else "s1")
    documents = [{"_id": i, "account": i, "kind": i % 3, "balance": 10} for i in range(100)]
    collection.insert_many(documents[:50])
    collection.insert_many(documents[50:], ordered=False)
    return collection


def move_upper_half(cluster, collection, shard):
    """What a mongos has done for moveRange."""
    move = {"_configsvrMoveRange": collection, "toShard": shard, "min": {"account": 50}, "max": {"account": MaxKey()}}
    with cluster.inside("cfg") as client:
        eventually(lambda: client.admin.command(move | {"writeConcern": {"w": "majority"}}))  # one at a time


def in_shards(shards, collection):
    """(shard, document), as the shards themselves hold them."""
    return [
        (name, doc)
        for name, client in shards.items()
        for doc in client[collection.database.name][collection.name].find()
    ]


def test_documents_are_on_the_shard_where_mongodb_looks_for_them(admin, shards, accounts):
    held = {(doc["_id"], name) for name, doc in in_shards(shards, accounts)}
    if accounts.name == "plain":
        home = admin.config.databases.find_one({"_id": "data"})["primary"]
        assert held == {(i, home) for i in range(100)}
    else:
        assert held == {(i, owner(admin, accounts.full_name, i)) for i in range(100)}
        assert len({name for _, name in held}) == 2


READS = [  # what is asked, what is answered: the same on all three kinds of collection
    (lambda c: c.count_documents({}), 100),
    (lambda c: c.estimated_document_count(), 100),
    (lambda c: c.count_documents({"kind": 1}, skip=3, limit=50), 30),
    (lambda c: c.find_one({"account": 42})["_id"], 42),
    (lambda c: c.find_one({"account": -1}), None),
    (lambda c: sorted(d["_id"] for d in c.find({}, batch_size=7)), list(range(100))),
    (lambda c: len(list(c.find({}, limit=12))), 12),
    (lambda c: [d["_id"] for d in c.find({"kind": 2}, {"_id": 1}).sort("account", -1).skip(2).limit(3)], [92, 89, 86]),
    (lambda c: [d["account"] for d in c.find(batch_size=9).sort([("kind", 1), ("_id", -1)])][:3], [99, 96, 93]),
    (
        lambda c: list(
            c.aggregate(
                [{"$group": {"_id": "$kind", "n": {"$sum": 1}, "avg": {"$avg": "$_id"}}}, {"$sort": {"_id": 1}}]
            )
        ),
        [{"_id": 0, "n": 34, "avg": 49.5}, {"_id": 1, "n": 33, "avg": 49.0}, {"_id": 2, "n": 33, "avg": 50.0}],
    ),
    (lambda c: c.database.command("collStats", c.name)["count"], 100),
    (
        lambda c: len({row["shard"] for row in c.aggregate([{"$indexStats": {}}])}) == (1 if c.name == "plain" else 2),
        True,
    ),
    (lambda c: c.name in c.database.list_collection_names(), True),
]


@pytest.mark.parametrize(("ask", "answer"), READS, ids=range(len(READS)))
def test_reads(accounts, ask, answer):
    assert ask(accounts) == answer


WRITES = [  # a write that a driver retries, one that it does not: its raw result
    (lambda c: c.update_one({"account": 7}, {"$inc": {"balance": 1}}).raw_result["nModified"], 1),
    (lambda c: c.update_one({"_id": 8}, {"$inc": {"balance": 1}}).raw_result["nModified"], 1),
    (lambda c: c.update_one({"account": {"$eq": 9}, "kind": 0}, {"$inc": {"balance": 1}}).raw_result["nModified"], 1),
    (lambda c: c.update_many({"kind": 1}, {"$inc": {"balance": 1}}).modified_count, 33),
    (lambda c: c.replace_one({"account": 3}, {"account": 3, "kind": 0, "balance": 10}).matched_count, 1),
    (lambda c: c.update_one({"account": 500}, {"$set": {"kind": 5}}, upsert=True).upserted_id is None, False),
    (lambda c: len(c.insert_many([{"_id": 600 + i, "account": 600 + i} for i in range(20)]).inserted_ids), 20),
    (
        lambda c: c.bulk_write(
            [
                pymongo.InsertOne({"_id": 700, "account": 700}),
                pymongo.UpdateOne({"account": 700}, {"$set": {"x": 1}}),
                pymongo.DeleteOne({"account": 700}),
            ]
        ).bulk_api_result["nRemoved"],
        1,
    ),
]


@pytest.mark.parametrize("retry", [True, False])
@pytest.mark.parametrize(("act", "result"), WRITES, ids=range(len(WRITES)))
def test_writes(cluster, shards, accounts, act, result, retry):
    before = {doc["_id"]: doc for _, doc in in_shards(shards, accounts)}
    with cluster.client(retryWrites=retry) as client:
        collection = client.data[accounts.name]
        assert act(collection) == result
        collection.delete_many({"account": {"$gte": 500}})
        collection.update_many({"balance": {"$ne": 10}}, {"$set": {"balance": 10}})
    assert {doc["_id"]: doc for _, doc in in_shards(shards, accounts)} == before


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("retry", [True, False])
def test_errors_of_a_batch_keep_their_places(cluster, accounts, ordered, retry):
    with cluster.client(retryWrites=retry) as client, pytest.raises(pymongo.errors.BulkWriteError) as caught:
        client.data[accounts.name].insert_many(
            [{"_id": i, "account": i} for i in (800, 5, 801, 6, 802)], ordered=ordered
        )
    assert [error["index"] for error in caught.value.details["writeErrors"]] == ([1] if ordered else [1, 3])
    assert accounts.delete_many({"_id": {"$gte": 800}}).deleted_count == (1 if ordered else 3)


RETRIED = [
    {"insert": "retried", "documents": [{"_id": i, "account": i, "n": 0} for i in range(10)], "ordered": False},
    {"insert": "retried", "documents": [{"_id": i, "account": i, "n": 0} for i in range(10, 20)]},
    {
        "update": "retried",
        "updates": [{"q": {"account": 3}, "u": {"$inc": {"n": 1}}}, {"q": {"_id": 4}, "u": {"$inc": {"n": 1}}}],
    },
    {"delete": "retried", "deletes": [{"q": {"account": 19}, "limit": 1}]},
]


def test_a_write_that_is_sent_twice_happens_once(cluster, admin):
    admin.admin.command("shardCollection", "data.retried", key={"account": "hashed"})
    with cluster.client() as client, client.start_session() as session:
        for number, command in enumerate(RETRIED, 1):
            replies = [client.data.command(command | {"txnNumber": Int64(number)}, session=session) for _ in range(2)]
            assert replies[0]["n"] == replies[1]["n"] == len(list(command.values())[1])
            assert replies[1]["retriedStmtIds"]
    assert {doc["_id"]: doc["n"] for doc in admin.data.retried.find()} == {i: int(i in (3, 4)) for i in range(19)}


REFUSED = [
    (
        "bank",
        {"aggregate": "transfers", "pipeline": [{"$lookup": {"from": "x", "pipeline": [], "as": "y"}}], "cursor": {}},
    ),
    ("bank", {"aggregate": "transfers", "pipeline": [{"$out": "stolen"}], "cursor": {}}),
    ("bank", {"aggregate": 1, "pipeline": [{"$documents": []}], "cursor": {}}),
    ("bank", {"create": "view", "viewOn": "transfers", "pipeline": []}),
    ("bank", {"findAndModify": "transfers", "query": {}, "remove": True}),
    ("bank", {"distinct": "transfers", "key": "x"}),
    ("bank", {"mapReduce": "transfers"}),
    ("bank", {"renameCollection": "bank.transfers", "to": "bank.x"}),
    ("bank", {"_configsvrCreateDatabase": "x"}),
    ("admin", {"shutdown": 1}),
    ("admin", {"replSetReconfig": {}}),
    ("admin", {"create": "x"}),
    ("config", {"drop": "chunks"}),
    ("local", {"find": "oplog.rs"}),
]


@pytest.mark.parametrize(("database", "command"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_it_does_not_route_it_refuses_by_name(admin, database, command):
    code, message = code_of(lambda: admin[database].command(command))
    assert code == 115
    assert "stand-in" in message


def test_transactions_are_refused(admin):
    with (
        admin.start_session() as session,
        pytest.raises(OperationFailure, match="stand-in router.*transactions"),
        session.start_transaction(),
    ):
        admin.bank.transfers.insert_one({"account": 1}, session=session)


def test_a_write_to_one_document_must_say_which(admin):
    code, message = code_of(lambda: admin.bank.transfers.update_one({"kind": 1}, {"$set": {"x": 1}}))
    assert (code, "whole shard key" in message) == (61, True)


def test_unacknowledged_writes_arrive(admin):
    quiet = admin.get_database("data", write_concern=pymongo.WriteConcern(0)).quiet
    quiet.insert_one({"_id": 1})
    assert eventually(lambda: admin.data.quiet.count_documents({}))


def test_no_user_data_is_on_the_config_servers(cluster, admin):
    admin.fresh.things.insert_one({"_id": 1})
    with cluster.inside("cfg") as client:
        assert set(client.list_database_names()) == {"admin", "config", "local"}


# --- While the cluster changes


class Writer(threading.Thread):
    """Inserts documents all the time; remembers what was acknowledged, and every error."""

    def __init__(self, cluster, collection, padding):
        super().__init__(daemon=True)
        self.client, self.padding, self.done = cluster.client("teller", w="majority"), padding, threading.Event()
        self.collection, self.acknowledged, self.errors = self.client.bank[collection], [], []

    def run(self):
        for number in itertools.count():
            if self.done.is_set():
                return
            try:
                self.collection.insert_one({"_id": number, "account": number, "padding": self.padding})
                self.acknowledged.append(number)
            except PyMongoError as err:
                self.errors.append(err)

    @contextlib.contextmanager
    def writing(self):
        self.start()
        try:
            yield self
        finally:
            self.done.set()
            self.join()
            self.client.close()

    def wrote_more(self, count=20):
        """Wait until that many more writes were acknowledged."""
        target = len(self.acknowledged) + count
        eventually(lambda: len(self.acknowledged) >= target)


def found_once(collection, numbers):
    found = [doc["_id"] for doc in collection.find({}, {"_id": 1})]
    return len(found) == len(set(found)) and set(numbers) <= set(found)


def test_nothing_is_lost_while_a_new_shard_takes_chunks(cluster, admin):
    admin.config.settings.update_one({"_id": "chunksize"}, {"$set": {"value": 1}}, upsert=True)
    admin.admin.command("shardCollection", "bank.moving", key={"account": "hashed"})
    admin.bank.moving.insert_many(
        [{"_id": -n, "account": -n, "padding": "x" * 16_000} for n in range(1, 600)], ordered=False
    )
    with Writer(cluster, "moving", "x" * 2000).writing() as writer, cluster.inside("s3") as third:
        writer.wrote_more()
        admin.admin.command("addShard", cluster.uri("s3"))
        for action in ("balancerStop", "balancerStart"):  # wakes it
            admin.admin.command(action)
        uuid = admin.config.collections.find_one({"_id": "bank.moving"})["uuid"]
        eventually(lambda: admin.config.chunks.count_documents({"uuid": uuid, "shard": "s3"}) >= 2, seconds=40)
        writer.wrote_more(100)
        assert third.bank.moving.count_documents({}) > 0
    assert writer.errors == []
    assert found_once(admin.bank.moving, [*writer.acknowledged, *range(-599, 0)])
    assert admin.bank.moving.count_documents({}) == len(writer.acknowledged) + 599
    assert cluster.said("bank.moving is stale")


def test_reads_follow_chunks_from_shard_to_shard(cluster, admin):
    admin.admin.command("balancerStop")
    admin.admin.command("addShard", cluster.uri("s3"))
    admin.admin.command("enableSharding", "hops", primaryShard="s1")
    admin.admin.command("shardCollection", "hops.hops", key={"account": 1})
    admin.hops.hops.insert_many([{"_id": n, "account": n} for n in range(100)])
    for shard in ("s2", "s3"):  # the second time, s1 has no part in it
        move_upper_half(cluster, "hops.hops", shard)
        assert admin.hops.hops.count_documents({}) == 100
        assert admin.hops.hops.find_one({"account": 99})["_id"] == 99
        assert list(admin.hops.hops.aggregate([{"$match": {"account": 98}}])) == [{"_id": 98, "account": 98}]
        assert admin.hops.hops.update_many({}, {"$inc": {"hops": 1}}).matched_count == 100
        assert admin.hops.hops.update_one({"account": 97}, {"$inc": {"hops": 1}}).matched_count == 1
        admin.hops.hops.update_many({}, {"$unset": {"hops": 1}})


@pytest.mark.parametrize("name", ["cfg", "s1"])
def test_nothing_is_lost_when_a_primary_is_killed(cluster, admin, name):
    admin.bank.failing.drop()
    admin.admin.command("shardCollection", "bank.failing", key={"account": "hashed"})
    with Writer(cluster, "failing", "").writing() as writer:
        writer.wrote_more()
        cluster.kill_primary(name)
        writer.wrote_more(200)
        index = pymongo.IndexModel([("when", 1)])
        admin.bank.failing.create_indexes([index], commitQuorum="majority")  # by default it waits for the dead one
    assert writer.errors == []
    assert found_once(admin.bank.failing, writer.acknowledged)
    with cluster.client() as client:  # a new login
        assert eventually(lambda: client.bank.failing.count_documents({})) == len(writer.acknowledged)
        eventually(lambda: client.bank.command("createUser", f"after-{name}", pwd="x", roles=[]))


# --- Its own life


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def test_it_is_small_idles_and_stops_at_once(cluster):
    pid = cluster.router.pid
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert int(status["VmRSS"].split()[0]) < 80_000
    before = cpu_seconds(pid)
    time.sleep(1)
    assert cpu_seconds(pid) - before < 0.1
    cluster.router.send_signal(signal.SIGTERM)
    assert cluster.router.wait(2) == 0


def test_its_log_holds_no_secret(cluster):
    log = cluster.log.read_text()
    assert "stopped" in log
    assert [secret for secret in (KEY, *(f"{user}-pw" for user in USERS)) if secret in log] == []
    assert "Traceback" not in log
