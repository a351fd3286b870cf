#!/opt/salt/bin/python
"""The lab's stand-in for mongos. It is NOT MongoDB's mongos, and nothing to keep real data behind.

The lab's config servers and shards are real mongods, but no package registry carries a mongos. This takes its place,
started the same way (`mongos --config FILE`), for mongod 6.0. Wherever a real mongos is given, the lab uses that.
Like a real one it listens only once it has read the config servers, follows elections, and never lets user data land
on the config servers.

- Passed on to the config primary, on a connection of the client's own and so with the client's own rights: SCRAM
  logins, users and roles, default read and write concern, getParameter, data commands on the databases admin, config.
- Reads, and writes that are not retryable, are routed by MongoDB's own code: a mongod 6.0 that is a shard has the
  router inside, as the commands clusterFind, clusterAggregate, clusterInsert and so on. Served by it: find, getMore,
  aggregate, count, collStats, insert, update, delete.
- Retryable writes, the drivers' default, are routed here: mongod 6.0.5 aborts on a clusterInsert with a txnNumber.
  Each carries the shardVersion and databaseVersion it was routed by; when a shard calls them stale, config.collections
  and config.chunks are read again and the write is repeated. So chunks can move while clients write.
- Members that came or went in a shard's set are written to config.shards, as a mongos does.
- Translated into what a mongos sends to config servers and shards: addShard removeShard listShards getShardMap
  enableSharding shardCollection movePrimary balancerStart balancerStop balancerStatus listDatabases dropDatabase
  create drop collMod createIndexes dropIndexes listIndexes listCollections.
- Refused, by an error that names this program: transactions, views, time series, $lookup and other stages that touch
  a second collection, shard keys of unusual types, compression, and all that is not listed above.
- Not there: the localhost exception, TLS, reads from secondaries, causal consistency, killing a shard's cursor before
  it times out.

What runs as the cluster's own user __system is first checked here against the privileges of the client's user.
"""

import argparse
import asyncio
import base64
import bisect
import contextlib
import functools
import hashlib
import hmac
import itertools
import logging
import math
import os
import signal
import socket
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import bson
import yaml
from bson import CodecOptions, DatetimeMS, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.codec_options import DatetimeConversion
from bson.raw_bson import RawBSONDocument

NAME = "the lab's stand-in router"
VERSION = f"{NAME}, version 1: not MongoDB's mongos; for mongod 6.0"
CODEC = CodecOptions(document_class=RawBSONDocument, datetime_conversion=DatetimeConversion.DATETIME_MS)
NETWORK = (OSError, EOFError, asyncio.TimeoutError)
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
PATIENCE, FRESH, IDLE_CURSOR = 20, 5, 600  # seconds: for an election, of what is cached, of a cursor on the shards
SETS_SEEN = 5  # seconds between two looks at the shards' members; a mongos looks each ten
ROUNDS = 20  # how often stale routing is read again for one command
MAJORITY = {"writeConcern": {"w": "majority"}}
CODES = {
    6: "HostUnreachable",
    8: "UnknownError",
    13: "Unauthorized",
    26: "NamespaceNotFound",
    43: "CursorNotFound",
    61: "ShardKeyNotFound",
    70: "ShardNotFound",
    115: "CommandNotSupported",
    13388: "StaleConfig",
}
REJECTED = {10107, 13435, 10058}  # by a member that is not primary, before anything was done
INTERRUPTED = {11600, 11602, 189, 91}  # by the primary's going away
STALE = {13388, 249, 150, 63}  # by a shard that knows a newer routing
log = logging.getLogger("router")


class CommandError(Exception):
    """A command's failure, as the reply that tells the client."""

    def __init__(self, reply: Mapping):
        super().__init__(reply.get("errmsg"))
        self.reply = reply


class Stale(CommandError):
    """A shard refused the routing that a command was sent by."""


def failure(code: int, message: str) -> dict:
    return {"ok": 0.0, "errmsg": message, "code": code, "codeName": CODES[code]}


def refusal(what: str) -> CommandError:
    return CommandError(failure(115, f"{NAME} (not MongoDB's mongos) does not route {what}"))


def checked(reply: Mapping) -> Mapping:
    if reply.get("ok"):
        return reply
    raise (Stale if reply.get("code") in STALE else CommandError)(reply)


# --- The wire protocol


def op_msg(document: Mapping, response_to: int = 0) -> bytes:
    body = bson.encode(document)
    return struct.pack("<iiiiIb", 21 + len(body), 1, response_to, OP_MSG, 0, 0) + body


def parse_op_msg(payload: bytes) -> tuple[dict, bool]:
    """The command, document sequences folded in; and whether an answer is wanted."""
    (flags,) = struct.unpack_from("<I", payload)
    if flags & 0xFFFC:
        raise ConnectionError("unknown OP_MSG flags")
    end, at, command = len(payload) - 4 * (flags & 1), 4, {}
    while at < end:
        kind, size = struct.unpack_from("<bi", payload, at)
        section = payload[at + 1 : at + 1 + size]
        at += 1 + size
        if kind:
            name, documents = section[4:].split(b"\0", 1)
            command = {**command, name.decode(): bson.decode_all(documents, CODEC)}
        else:
            command = {**RawBSONDocument(section, CODEC), **command}
    return command, not flags & 2


async def read_message(reader) -> tuple[int, int, bytes]:
    size, request, _, opcode = struct.unpack("<iiii", await reader.readexactly(16))
    if not 16 <= size <= 48_000_000:
        raise ConnectionError("a message of impossible size")
    return opcode, request, await reader.readexactly(size - 16)


# --- The cluster's members


@functools.lru_cache
def salted_password(password: str, salt: str, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), iterations)


class Connection:
    """A connection to a mongod; one command at a time."""

    def __init__(self, address, reader, writer):
        self.address, self.reader, self.writer, self.close = address, reader, writer, writer.close

    @classmethod
    async def open(cls, address: str) -> "Connection":
        host, port = address.rsplit(":", 1)
        connection = cls(address, *await asyncio.wait_for(asyncio.open_connection(host, int(port)), 3))
        tcp = connection.writer.get_extra_info("socket")  # hosts may vanish without a word
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("KEEPIDLE", 5), ("KEEPINTVL", 2), ("KEEPCNT", 3), ("USER_TIMEOUT", 10_000)):
            tcp.setsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{option}"), value)
        return connection

    async def run(self, database: str, command: Mapping) -> dict:
        self.writer.write(op_msg({**command, "$db": database}))
        await self.writer.drain()
        return parse_op_msg((await read_message(self.reader))[2])[0]

    async def login(self, key: str) -> None:
        """Log in as the cluster's members do: __system, by SCRAM-SHA-256, with the keyfile's content."""
        mine = "n=__system,r=" + base64.b64encode(os.urandom(18)).decode()
        start = {"saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": f"n,,{mine}".encode()}
        reply = checked(await self.run("local", {**start, "options": {"skipEmptyExchange": True}}))
        theirs = bytes(reply["payload"]).decode()
        nonce, salt, iterations = (part[2:] for part in theirs.split(","))
        client = hmac.digest(salted_password(key, salt, int(iterations)), b"Client Key", "sha256")
        signed = f"{mine},{theirs},c=biws,r={nonce}".encode()
        signature = hmac.digest(hashlib.sha256(client).digest(), signed, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client, signature, strict=True))).decode()
        final = {"saslContinue": 1, "payload": f"c=biws,r={nonce},p={proof}".encode()}
        checked(await self.run("local", {**final, "conversationId": reply["conversationId"]}))


class ReplicaSet:
    """A replica set, used as the cluster's own __system; its primary is found, and followed through elections."""

    def __init__(self, uri: str, key: str):
        self.name, _, seeds = uri.partition("/")
        self.key, self.members, self.primary, self.idle = key, set(seeds.split(",")), None, []

    async def hello(self, member: str) -> Mapping:
        with contextlib.suppress(*NETWORK), contextlib.closing(await Connection.open(member)) as connection:
            return await asyncio.wait_for(connection.run("admin", {"hello": 1}), 3)
        return {}

    async def find_primary(self) -> str:
        if not self.primary:
            answers = await asyncio.gather(*map(self.hello, self.members))
            primaries = [a for a in answers if a.get("isWritablePrimary") and a.get("setName") == self.name]
            if not primaries:
                raise ConnectionError("no primary answers")
            newest = max(primaries, key=lambda a: a["electionId"])
            self.members |= set(newest["hosts"])
            self.primary = newest["me"]
            log.info("the primary of %s is %s", self.name, self.primary)
        return self.primary

    def forget(self, primary: str | None) -> None:
        if primary == self.primary:
            self.primary = None
            while self.idle:
                self.idle.pop().close()

    async def borrow(self) -> Connection:
        while self.idle:
            connection = self.idle.pop()
            if not connection.reader.at_eof():
                return connection
            connection.close()
        connection = await Connection.open(await self.find_primary())
        await asyncio.wait_for(connection.login(self.key), 10)
        return connection

    async def attempt(self, database: str, command: Mapping, repeatable: bool) -> tuple[Mapping, bool]:
        """The primary's reply, and whether it should be asked for again."""
        connection = None
        try:
            connection = await self.borrow()
            reply = await connection.run(database, command)
        except (*NETWORK, CommandError) as err:  # the command itself raises none: a login was refused
            self.forget(connection.address if connection else self.primary)
            labels = {"errorLabels": ["RetryableWriteError"]} if "txnNumber" in command else {}
            reply = failure(6, f"{NAME}: {self.name}: {err or type(err).__name__}")
            return {**reply, **labels}, repeatable or not connection
        codes = REJECTED | INTERRUPTED if repeatable else REJECTED
        again = reply.get("code") in codes or "RetryableWriteError" in reply.get("errorLabels", ())
        if again:
            self.forget(connection.address)
        if connection.address == self.primary:
            self.idle.append(connection)
        else:
            connection.close()
        return reply, again

    async def call(self, database: str, command: Mapping, repeatable: bool = True) -> Mapping:
        return (await first_answer([self], database, command, repeatable))[1]


async def first_answer(sets, database: str, command: Mapping, repeatable: bool = True) -> tuple[ReplicaSet, Mapping]:
    """The reply of the first set whose primary answers; a command that may be repeated outlives an election."""
    deadline = time.monotonic() + PATIENCE
    while True:
        for replica_set in sorted(sets, key=lambda s: not s.primary):
            reply, again = await replica_set.attempt(database, command, repeatable or "txnNumber" in command)
            if not again or time.monotonic() > deadline:
                return replica_set, reply
        await asyncio.sleep(0.1)


# --- Shard keys

SIMPLE = {"locale": "simple"}
ORDER = (
    (MinKey, -1, lambda v: 0),
    (type(None), 5, lambda v: 0),
    (bool, 40, bool),
    ((int, float), 10, lambda v: v),
    (str, 15, str),
    (ObjectId, 35, lambda v: v.binary),
    (DatetimeMS, 45, int),
    (Timestamp, 47, lambda v: (v.time, v.inc)),
    (MaxKey, 127, lambda v: 0),
)


def rank(value) -> tuple:
    """What Python compares as MongoDB compares the value: its type's place in BSON's order, then itself."""
    for kinds, place, comparable in ORDER:
        if isinstance(value, kinds):
            return place, comparable(value)
    raise refusal(f"by shard key values of type {type(value).__name__}")


def hashed(value) -> int:
    """MongoDB's hash of a shard key's value: all numbers count as 64-bit integers."""
    place, _ = rank(value)
    if place == 10:
        whole = 0 if math.isnan(value) else max(-(1 << 63), min((1 << 63) - 1, value))
        content = struct.pack("<q", int(whole))
    else:
        content = bson.encode({"": value})[6:-1]
    return struct.unpack("<q", hashlib.md5(struct.pack("<ii", 0, place) + content).digest()[:8])[0]


def at_path(document: Mapping, path: str):
    """A document's value at a dotted path; where there is none, None, as shard keys have it."""
    for part in path.split("."):
        document = document.get(part) if isinstance(document, Mapping) else None
    return document


def equality(condition) -> tuple:
    """The one value that a condition asks for, in a tuple; an empty one if it asks for anything else."""
    if isinstance(condition, Mapping) and any(name.startswith("$") for name in condition):
        return (condition["$eq"],) if list(condition) == ["$eq"] else ()
    return () if isinstance(condition, (Regex, list)) else (condition,)


UNSHARDED = {"e": ObjectId("0" * 24), "t": Timestamp(0, 0), "v": Timestamp(0, 0)}
UNCHECKED = {"e": ObjectId("0" * 8 + "f" * 16), "t": Timestamp(2**32 - 1, 2**32 - 1), "v": Timestamp(0, 0)}


@dataclass
class Table:
    """Where a collection's documents are: on the database's primary shard or, by shard key, in chunks on several."""

    database: Mapping
    key: Mapping = field(default_factory=dict)
    bounds: list = field(default_factory=list)  # the chunks' lower bounds, ascending
    owners: list = field(default_factory=list)  # the chunks' shards
    versions: dict = field(default_factory=dict)
    collation: Mapping = field(default_factory=lambda: SIMPLE)

    @classmethod
    def read(cls, database: Mapping, rows: list[Mapping]) -> "Table":
        """From rows of config.collections, each joined with one of config.chunks."""
        if not rows:
            return cls(database)
        chunks = [([rank(v) for v in row["chunk"]["min"].values()], row["chunk"]["shard"]) for row in rows]
        bounds, owners = zip(*sorted(chunks), strict=True)
        entry = rows[0]
        last = {s: max(r["chunk"]["lastmod"] for r in rows if r["chunk"]["shard"] == s) for s in set(owners)}
        versions = {s: {"e": entry["lastmodEpoch"], "t": entry["timestamp"], "v": v} for s, v in last.items()}
        return cls(database, entry["key"], bounds, owners, versions, entry.get("defaultCollation", SIMPLE))

    @property
    def shards(self) -> list[str]:
        return sorted(self.versions) if self.key else [self.database["primary"]] if self.database else []

    def owner(self, values: list) -> tuple:
        bound = [rank(hashed(v) if kind == "hashed" else v) for v, kind in zip(values, self.key.values(), strict=True)]
        return (self.owners[bisect.bisect_right(self.bounds, bound) - 1],)

    def holder(self, document: Mapping) -> tuple:
        """The shard that a new document belongs to."""
        return self.owner([at_path(document, path) for path in self.key]) if self.key else tuple(self.shards)

    def targets(self, operation: Mapping) -> tuple:
        """The shard that a write to one document goes to, or all, if it names the _id alone."""
        query, simple = operation["q"], operation.get("collation", self.collation).get("locale") == "simple"
        found = [equality(query[path]) if path in query else () for path in self.key]
        if self.key and all(found) and simple:
            return self.owner([value for (value,) in found])
        if not self.key or equality(query.get("_id", {"$": 0})) and not operation.get("upsert"):
            return tuple(self.shards)
        raise CommandError(failure(61, f"{NAME}: to write one document takes the whole shard key, or _id, by equality"))

    def stamped(self, shard: str, command: Mapping) -> dict:
        """The command with the versions by which the shard can tell that it was routed by a stale table."""
        if self.key:
            return {**command, "shardVersion": self.versions[shard]}
        return {**command, "shardVersion": UNSHARDED, "databaseVersion": self.database["version"]}


# --- Routing


@dataclass
class Request:
    """A logged-in user's command, to be routed."""

    command: dict
    user: tuple

    def __post_init__(self):
        self.name, self.database = next(iter(self.command)), self.command["$db"]
        self.value = self.command[self.name]
        self.collection = self.value if isinstance(self.value, str) else self.command.get("collection", "")
        self.rest = {k: v for k, v in self.command.items() if k[0] != "$"}  # what goes to the shards
        own = ("lsid", "txnNumber", self.name)
        self.options = {k: v for k, v in self.rest.items() if k not in own}  # what goes into another command


class Router:
    """The cluster, as its config servers describe it; what is cached is thrown away when a shard disagrees."""

    def __init__(self, config_uri: str, key: str):
        self.config, self.key, self.hello = ReplicaSet(config_uri, key), key, {}
        self.known, self.tables, self.cached, self.cursors = {}, {}, {}, {}

    async def start(self) -> None:
        """Wait until the config servers can be read, for as long as it takes."""
        said = None
        while not self.hello:
            try:
                self.hello = await self.config.hello(await self.config.find_primary())
                await self.read_config("shards")
            except (*NETWORK, CommandError) as err:
                self.hello = {}
                if str(err) != said:
                    log.info("waiting for the config servers: %s", said := str(err))
                await asyncio.sleep(0.5)

    async def read_config(self, collection: str, *stages: Mapping, level: str = "majority") -> list[Mapping]:
        """The documents, in one batch of up to 16 MB."""
        command = {"aggregate": collection, "pipeline": stages, "cursor": {"batchSize": 1_000_000}}
        reply = checked(await self.config.call("config", {**command, "readConcern": {"level": level}}))
        if reply["cursor"]["id"]:
            raise refusal(f"by more of config.{collection} than fits into one answer")
        return reply["cursor"]["firstBatch"]

    async def shards(self, fresh: bool = False) -> dict[str, ReplicaSet]:
        if fresh or not self.known:
            hosts = {shard["_id"]: shard["host"] for shard in await self.read_config("shards")}
            self.known = {n: self.known.get(n) or ReplicaSet(host, self.key) for n, host in hosts.items()}
        return self.known

    async def follow_sets(self) -> None:
        """Write what a set's members have become to config.shards, as a mongos does when it sees that they changed."""
        while True:
            await asyncio.sleep(SETS_SEEN)
            with contextlib.suppress(*NETWORK, CommandError, LookupError):
                known = await self.shards()
                for row in await self.read_config("shards"):
                    if row["_id"] in known:
                        await self.follow_set(row, known[row["_id"]])

    async def follow_set(self, row: Mapping, shard: ReplicaSet) -> None:
        said = await shard.hello(await shard.find_primary())
        if not said.get("isWritablePrimary"):
            shard.forget(shard.primary)
            return
        hosts = f"{shard.name}/{','.join(sorted([*said['hosts'], *said.get('passives', ())]))}"
        if hosts == row["host"]:
            return
        log.info("config.shards: %s is %s", row["_id"], hosts)
        update = {"q": {"_id": row["_id"], "host": row["host"]}, "u": {"$set": {"host": hosts}}}
        checked(await self.config.call("config", {"update": "shards", "updates": [update], **MAJORITY}))

    def forget_shards(self) -> None:
        for shard in self.known.values():
            shard.forget(shard.primary)
        self.known = {}

    async def table(self, database: str, collection: str, create: bool = False) -> Table:
        """A collection's routing; a table without shards while its database does not exist."""
        namespace = f"{database}.{collection}"
        if namespace in self.tables:
            return self.tables[namespace]
        entries = await self.read_config("databases", {"$match": {"_id": database}})
        if create and not entries:
            checked(await self.config.call("admin", {"_configsvrCreateDatabase": database, **MAJORITY}))
            entries = await self.read_config("databases", {"$match": {"_id": database}})
        join = {"from": "chunks", "localField": "uuid", "foreignField": "uuid", "as": "chunk"}
        rows = await self.read_config(
            "collections", {"$match": {"_id": namespace}}, {"$lookup": join}, {"$unwind": "$chunk"}, level="snapshot"
        )
        table = Table.read(entries[0] if entries else {}, rows)
        if entries:
            self.tables[namespace] = table
        return table

    async def stale(self, request: Request, times: int) -> None:
        """Throw the routing away, and say so; give up when that has not helped."""
        namespace = f"{request.database}.{request.collection}"
        log.info("the routing of %s is stale", namespace)
        self.tables.clear()
        if times >= ROUNDS:
            raise CommandError(failure(13388, f"{NAME}: the routing of {namespace} is still stale"))
        await asyncio.sleep(0.02 * times)

    async def routed(self, request: Request, work, create: bool = False) -> Mapping:
        """The answer of `work(table)`, repeated with a new table while shards call the old one stale."""
        times = 0
        while True:
            table = await self.table(request.database, request.collection, create)
            with contextlib.suppress(Stale):
                return await work(table)
            times += 1
            await self.stale(request, times)

    async def ask(self, names, database: str, commands: list[Mapping], repeatable: bool = True) -> list[Mapping]:
        """Each shard's reply to its command."""
        shards = await self.shards(fresh=not set(names) <= set(self.known))

        async def one(name, command):
            gone = failure(13388, f"shard {name} is gone")
            return await shards[name].call(database, command, repeatable) if name in shards else gone

        replies = await asyncio.gather(*map(one, names, commands))
        if any(reply.get("code") == 6 for reply in replies):
            self.forget_shards()
        return replies

    async def by_mongodb(self, request: Request, command: Mapping, repeatable: bool = True) -> Mapping:
        """Let the router inside some shard's mongod run a command. One with a txnNumber would be its end."""
        shards = await self.shards()
        if not shards:
            raise CommandError(failure(70, "no shards found"))
        for times in range(ROUNDS):
            shard, reply = await first_answer(shards.values(), request.database, command, repeatable)
            if reply.get("code") not in STALE:
                break
            await asyncio.sleep(0.02 * times)  # clusterAggregate does not read stale routing again by itself
            checked(await shard.call("admin", {"flushRouterConfig": 1}))
        if reply.get("code") == 6:
            self.forget_shards()
        cursor = checked(reply).get("cursor", {}).get("id")
        if cursor:
            now = time.monotonic()
            self.cursors = {n: c for n, c in self.cursors.items() if c[2] > now - IDLE_CURSOR}
            self.cursors[cursor] = shard, request.user, now
        return reply

    async def remembered(self, command: Mapping) -> Mapping:
        """The config primary's answer, at most some seconds old."""
        until, reply = self.cached.get(str(command), (0, {}))
        if until < time.monotonic():
            reply = checked(await self.config.call("admin", command))
            self.cached[str(command)] = time.monotonic() + FRESH, reply
        return reply

    async def privileges(self, user: tuple) -> list[Mapping]:
        asked = {"usersInfo": {"user": user[0], "db": user[1]}, "showPrivileges": True}
        return [p for entry in (await self.remembered(asked))["users"] for p in entry["inheritedPrivileges"]]

    async def concern(self, kind: str) -> dict:
        """The cluster's default, as a field for a command that names no read or write concern."""
        default = (await self.remembered({"getDefaultRWConcern": 1})).get(f"default{kind[0].upper()}{kind[1:]}")
        return {kind: default} if default else {}


# --- Commands: what each needs, and what becomes of it

ROUTES = {}
RESOURCES = {  # what a command acts on: (database, collection), or None for the cluster
    "cluster": lambda request: None,
    "database": lambda request: (request.database, ""),
    "collection": lambda request: (request.database, request.collection),
    "value": lambda request: str(request.value).partition(".")[::2],
    "balancer": lambda request: ("config", "settings"),
}


def route(kind: str, concern: str = "", **needs):
    """Register a handler: the commands it answers, and the actions each needs on a resource of that kind."""

    def register(handler):
        ROUTES.update({name: (kind, actions.split(), concern, handler) for name, actions in needs.items()})
        return handler

    return register


def covers(granted: Mapping, resource: tuple | None) -> bool:
    """Whether a privilege's resource includes this one."""
    if granted.get("anyResource") or resource is None or "db" not in granted:
        return bool(granted.get("anyResource") or resource is None and granted.get("cluster"))
    (database, collection), named = resource, granted["collection"]
    ordinary = not collection.startswith("system.") and (granted["db"] or database not in ("config", "local"))
    return granted["db"] in ("", database) and (named == collection or not named and bool(ordinary))


def allowed(privileges: list[Mapping], action: str, resource: tuple | None) -> bool:
    return any(covers(p["resource"], resource) and {action, "anyAction"} & set(p["actions"]) for p in privileges)


@route("cluster", addShard="addShard", removeShard="removeShard")
@route("value", enableSharding="enableSharding")
@route("balancer", balancerStart="update", balancerStop="update", balancerStatus="find")
async def on_config_servers(router, request):
    name = {"enableSharding": "createDatabase"}.get(request.name, request.name)
    options = {{"primaryShard": "primaryShardId"}.get(k, k): v for k, v in request.options.items()}
    command = {f"_configsvr{name[0].upper()}{name[1:]}": request.value, **options}
    reply = checked(await router.config.call("admin", command | ({} if name.startswith("balancer") else MAJORITY)))
    if name in ("addShard", "removeShard"):
        router.forget_shards()
    return reply


@route("cluster", listShards="listShards", getShardMap="getShardMap")
async def list_shards(router, request):
    shards = await router.read_config("shards")
    if request.name == "listShards":
        return {"shards": shards, "ok": 1.0}
    config = f"{router.config.name}/{','.join(sorted(router.config.members))}"
    return {"map": {"config": config, **{shard["_id"]: shard["host"] for shard in shards}}, "ok": 1.0}


def missing(request) -> dict:
    return failure(26, f"database {request.database} not found")


async def coordinated(router, request, command: Mapping, create: bool = False, on: str = "") -> Mapping:
    """Let the database's primary shard change metadata; it tells the others."""

    async def work(table):
        if not table.database:
            return checked({"ok": 1.0} if request.name == "dropDatabase" else missing(request))
        stamped = {**command, **MAJORITY, "databaseVersion": table.database["version"]}
        return checked((await router.ask([table.database["primary"]], on or request.database, [stamped]))[0])

    reply = await router.routed(request, work, create)
    router.tables.clear()
    return reply


@route("value", shardCollection="enableSharding")
async def shard_collection(router, request):
    request.database, request.collection = RESOURCES["value"](request)
    options = {"shardKey" if k == "key" else k: v for k, v in request.options.items()}
    await coordinated(router, request, {"_shardsvrCreateCollection": request.collection, **options}, create=True)
    return {"collectionsharded": request.value, "ok": 1.0}


@route("value", movePrimary="moveChunk")
async def move_primary(router, request):
    request.database, _ = RESOURCES["value"](request)
    return await coordinated(router, request, {"_shardsvrMovePrimary": request.value, **request.options}, on="admin")


@route("collection", create="createCollection", drop="dropCollection", collMod="collMod")
@route("database", dropDatabase="dropDatabase")
async def change_collection(router, request):
    if {"viewOn", "timeseries"} & set(request.command):
        raise refusal("views and time series")
    name = request.name if request.name == "create" else f"_shardsvr{request.name[0].upper()}{request.name[1:]}"
    name = {"_shardsvrDrop": "_shardsvrDropCollection"}.get(name, name)
    return await coordinated(router, request, {name: request.value, **request.options}, create=name == "create")


@route("collection", "writeConcern", createIndexes="createIndex", dropIndexes="dropIndex")
async def change_indexes(router, request):
    """On every shard that owns chunks."""

    async def work(table):
        if not table.shards:
            raise CommandError(missing(request))
        stamped = [table.stamped(shard, request.rest) for shard in table.shards]
        return [checked(reply) for reply in await router.ask(table.shards, request.database, stamped)][0]

    return await router.routed(request, work, create=request.name == "createIndexes")


@route("collection", listIndexes="listIndexes")
@route("database", listCollections="listCollections")
async def list_things(router, request):
    request.collection = request.collection or "$cmd.listCollections"

    async def work(table):
        command = {**request.rest, "cursor": {"batchSize": 10_000}}
        shards = table.shards[:1]
        replies = await router.ask(shards, request.database, [table.stamped(shard, command) for shard in shards])
        cursor = checked(replies[0])["cursor"] if replies else {"id": Int64(0), "ns": "", "firstBatch": []}
        if cursor["id"]:
            raise refusal("so long a list")
        return {"cursor": {**cursor, "ns": f"{request.database}.{request.collection}"}, "ok": 1.0}

    return await router.routed(request, work)


@route("cluster", listDatabases="")
async def list_databases(router, request):
    """All the shards' databases; for a user without that privilege, those he may read."""
    found, rights = defaultdict(int), await router.privileges(request.user)
    for replica_set in (router.config, *(await router.shards(fresh=True)).values()):
        for entry in checked(await replica_set.call("admin", {"listDatabases": 1, **request.options}))["databases"]:
            if entry["name"] != "local" and (entry["name"] in ("admin", "config")) == (replica_set is router.config):
                found[entry["name"]] += entry.get("sizeOnDisk", 0)
    everything = allowed(rights, "listDatabases", None)
    seen = {name: found[name] for name in sorted(found) if everything or allowed(rights, "find", (name, ""))}
    if request.command.get("nameOnly"):
        return {"databases": [{"name": name} for name in seen], "ok": 1.0}
    entries = [{"name": name, "sizeOnDisk": size, "empty": False} for name, size in seen.items()]
    return {"databases": entries, "totalSize": sum(seen.values()), "ok": 1.0}


ORDINARY = """$match $project $addFields $set $unset $replaceRoot $replaceWith $unwind $redact $group $sort $limit $skip
$count $sortByCount $bucket $bucketAuto $sample"""
STAGES = {"$indexStats": "indexStats", "$collStats": "collStats", **dict.fromkeys(ORDINARY.split(), "find")}


@route("collection", "readConcern", find="find", aggregate="")
async def read(router, request):
    stages = [next(iter(stage), "{}") for stage in request.rest.get("pipeline", ())]
    for stage in stages:
        if stage not in STAGES:
            raise refusal(f"the stage {stage}")
    for action in {STAGES[stage] for stage in stages} or {"find"}:
        if not allowed(await router.privileges(request.user), action, (request.database, request.collection)):
            raise CommandError(failure(13, f"not authorized on {request.database} for {action}"))
    inside = {"find": "clusterFind", "aggregate": "clusterAggregate"}[request.name]
    return await router.by_mongodb(request, {inside: request.value, **request.options})


async def summary(router, request, stages: list) -> list[Mapping]:
    options = {k: v for k, v in request.options.items() if k in ("hint", "collation", "readConcern", "maxTimeMS")}
    command = {"clusterAggregate": request.collection, "pipeline": stages, "cursor": {}, **options}
    return (await router.by_mongodb(request, command))["cursor"]["firstBatch"]


@route("collection", "readConcern", count="find")
async def count(router, request):
    """By aggregation: so documents on the move are not counted twice."""
    window = [{f"${k}": abs(request.rest[k])} for k in ("skip", "limit") if request.rest.get(k)]
    found = await summary(router, request, [{"$match": request.rest.get("query") or {}}, *window, {"$count": "n"}])
    return {"n": found[0]["n"] if found else 0, "ok": 1.0}


@route("collection", collStats="collStats")
async def coll_stats(router, request):
    rows = await summary(router, request, [{"$collStats": {"storageStats": {}}}])
    names = ("count", "size", "storageSize", "totalIndexSize", "totalSize")
    sums = {name: sum(row["storageStats"][name] for row in rows) for name in names}
    return {**sums, "shards": {row["shard"]: row["storageStats"] for row in rows}, "ok": 1.0}


@route("cluster", getMore="")
async def get_more(router, request):
    shard, owner, _ = router.cursors.get(request.value, (None, None, 0))
    if owner != request.user:
        raise CommandError(failure(43, f"cursor id {request.value} not found"))
    command = {"clusterGetMore": request.value, **request.options}
    reply = checked(await shard.call(request.database, command, repeatable=False))
    if not reply["cursor"]["id"]:
        router.cursors.pop(request.value, None)
    return reply


@route("cluster", killCursors="")
async def kill_cursors(router, request):
    """Forgotten here; the shards drop it when it has been idle for ten minutes."""
    known = [n for n in request.rest["cursors"] if router.cursors.get(n, (None, None))[1] == request.user]
    for number in known:
        del router.cursors[number]
    unknown = [n for n in request.rest["cursors"] if n not in known]
    return {"cursorsKilled": known, "cursorsNotFound": unknown, "cursorsAlive": [], "cursorsUnknown": [], "ok": 1.0}


class Batch:
    """The operations of a retryable write: each goes to its shards, and the answers are added up."""

    def __init__(self, request: Request):
        self.field = {"insert": "documents", "update": "updates", "delete": "deletes"}[request.name]
        self.operations, self.ordered = list(request.rest[self.field]), request.rest.get("ordered", True)
        self.command = {k: v for k, v in request.rest.items() if k not in (self.field, "stmtIds")}
        self.statements = request.rest.get("stmtIds") or range(len(self.operations))
        self.todo = list(range(len(self.operations)))
        self.sums, self.lists, self.errors, self.concern = defaultdict(int), defaultdict(list), {}, {}

    def groups(self, table: Table) -> dict[tuple, list[int]]:
        """Operations by the shards to send them to; in order, only as many as go to the same ones."""
        find = table.holder if self.field == "documents" else table.targets
        groups = defaultdict(list)
        for index in self.todo:
            shards = find(self.operations[index])
            if self.ordered and groups and shards not in groups:
                break
            groups[shards].append(index)
        return groups

    def part(self, indexes: list[int]) -> dict:
        statements = [self.statements[i] for i in indexes]
        return {**self.command, self.field: [self.operations[i] for i in indexes], "stmtIds": statements}

    def absorb(self, indexes: list[int], reply: Mapping) -> set[int]:
        """Add up a shard's answer; what it refused as stale, and what it therefore left undone, is returned."""
        if reply.get("code") in STALE:
            return set(indexes)
        failed = {e["index"]: e for e in checked(reply).get("writeErrors", ())}
        stale = {i for i, e in failed.items() if e["code"] in STALE}
        self.errors |= {indexes[i]: {**e, "index": indexes[i]} for i, e in failed.items() if i not in stale}
        self.lists["upserted"] += [{**u, "index": indexes[u["index"]]} for u in reply.get("upserted", ())]
        self.lists["retriedStmtIds"] += reply.get("retriedStmtIds", ())
        self.concern |= {k: reply[k] for k in ("writeConcernError", "errorLabels") if k in reply}
        for name in {"n", "nModified"} & set(reply):
            self.sums[name] += reply[name]
        return set(indexes[min(stale) :]) if stale and self.ordered else {indexes[i] for i in stale}

    async def send(self, router: Router, request: Request, table: Table, shards: tuple, indexes: list[int]) -> set[int]:
        """What was left undone. What goes to several shards goes to all, unchecked, as a real mongos has it."""
        command = self.part(indexes)
        commands = [table.stamped(shard, command) for shard in shards]
        if len(shards) > 1:
            shards = list(await router.shards(fresh=True))
            commands = [{**command, "shardVersion": UNCHECKED}] * len(shards)
        replies = await router.ask(shards, request.database, commands, repeatable=False)
        return set().union(*(self.absorb(indexes, reply) for reply in replies))

    async def advance(self, router: Router, request: Request, table: Table) -> bool:
        """Send what can be sent now; whether a shard called the routing stale."""
        groups = self.groups(table)
        undone = await asyncio.gather(*(self.send(router, request, table, *group) for group in groups.items()))
        done = set().union(*groups.values()).difference(*undone)
        self.todo = [] if self.ordered and self.errors else [index for index in self.todo if index not in done]
        return any(undone)

    def reply(self) -> dict:
        errors = {"writeErrors": [self.errors[i] for i in sorted(self.errors)]} if self.errors else {}
        return {"n": 0, **self.sums, **{k: v for k, v in self.lists.items() if v}, **errors, **self.concern, "ok": 1.0}


@route("collection", "writeConcern", insert="insert", update="update", delete="remove")
async def write(router, request):
    if "txnNumber" not in request.rest:
        inside = f"cluster{request.name.capitalize()}"
        return await router.by_mongodb(request, {inside: request.value, **request.options}, repeatable=False)
    batch, times = Batch(request), 0
    while batch.todo:
        table = await router.table(request.database, request.collection, create=True)
        if await batch.advance(router, request, table):
            times += 1
            await router.stale(request, times)
    return batch.reply()


# --- Clients

HELLO, LOGIN = {"hello", "isMaster", "ismaster"}, {"saslStart", "saslContinue", "logout"}
ANYONE = LOGIN | {"connectionStatus", "buildInfo", "buildinfo"}
OF_USERS = """createUser updateUser dropUser dropAllUsersFromDatabase grantRolesToUser revokeRolesFromUser usersInfo
createRole updateRole dropRole dropAllRolesFromDatabase grantRolesToRole revokeRolesFromRole grantPrivilegesToRole
revokePrivilegesFromRole rolesInfo"""
OF_CONFIG = """find getMore killCursors aggregate count distinct insert update delete findAndModify createIndexes
listIndexes listCollections getParameter setDefaultRWConcern getDefaultRWConcern"""


class Client:
    """A client's connection, with one behind it to the config primary: there it logs in, and what is passed on runs."""

    numbers = itertools.count(1)

    def __init__(self, router: Router, reader, writer):
        self.router, self.reader, self.writer, self.backend, self.user = router, reader, writer, None, None
        self.number = next(self.numbers)

    async def serve(self) -> None:
        try:
            while True:
                opcode, request, payload = await read_message(self.reader)
                answer = {OP_QUERY: self.legacy, OP_MSG: self.modern}[opcode]
                self.writer.write(await answer(request, payload))
                await self.writer.drain()
        except (*NETWORK, LookupError, struct.error, bson.errors.BSONError) as err:
            if not isinstance(err, asyncio.IncompleteReadError):
                log.info("a client's connection is closed: %s", err or type(err).__name__)
        except asyncio.CancelledError:
            pass  # the program ends
        finally:
            for connection in filter(None, (self.backend, self.writer)):
                connection.close()

    async def legacy(self, request: int, payload: bytes) -> bytes:
        """OP_QUERY, which only a client's first hello may still use."""
        start = payload.index(b"\0", 4) + 9
        command = bson.decode(payload[start : start + struct.unpack_from("<i", payload, start)[0]], CODEC)
        known = next(iter(command), "") in HELLO
        body = bson.encode(await self.hello({**command, "$db": "admin"}) if known else refusal("OP_QUERY").reply)
        return struct.pack("<iiiiiqii", 36 + len(body), 0, request, OP_REPLY, 0, 0, 0, 1) + body

    async def modern(self, request: int, payload: bytes) -> bytes:
        command, wanted = parse_op_msg(payload)
        reply = await self.answer(next(iter(command)), command)
        told = {k: v for k, v in reply.items() if k[0] != "$" and k not in ("operationTime", "lastCommittedOpTime")}
        return op_msg(told, request) if wanted else b""

    async def answer(self, name: str, command: dict) -> Mapping:
        try:
            return await self.dispatch(name, command)
        except CommandError as err:
            if err.reply.get("code") in CODES:
                log.info("%s: %s", name, err)
            return err.reply
        except NETWORK:
            raise
        except Exception:
            log.exception("%s", name)
            return failure(8, f"{NAME}: a fault of its own, see its log")

    async def dispatch(self, name: str, command: dict) -> Mapping:
        if name in HELLO:
            return await self.hello(command)
        if name in ("ping", "endSessions"):
            return {"ok": 1.0}
        if name in ANYONE:
            return await self.passed_on(name, command)
        if not self.user:
            raise CommandError(failure(13, f"command {name} requires authentication"))
        if "autocommit" in command:
            raise refusal("transactions")
        if name in OF_USERS.split() or name in OF_CONFIG.split() and command["$db"] in ("admin", "config"):
            return await self.passed_on(name, command)
        return await self.routed(name, Request(command, self.user))

    async def routed(self, name: str, request: Request) -> Mapping:
        kind, actions, concern, handler = ROUTES.get(name, ("", [], "", None))
        of_users = kind not in ("collection", "database") or request.database not in ("admin", "config", "local")
        if not handler or not of_users or kind == "collection" and not request.collection:
            raise refusal(f"{name} on database {request.database}")
        privileges = await self.router.privileges(self.user)
        if not all(allowed(privileges, action, RESOURCES[kind](request)) for action in actions):
            raise CommandError(failure(13, f"not authorized on {request.database} to execute command {name}"))
        if concern and concern not in request.rest:
            default = await self.router.concern(concern)
            request.rest, request.options = request.rest | default, request.options | default
        return await handler(self.router, request)

    async def hello(self, command: Mapping) -> Mapping:
        """What a mongos says of itself; how a user may log in, the config primary knows."""
        asked = {k: command[k] for k in ("saslSupportedMechs", "speculativeAuthenticate") if k in command}
        told = await self.on_backend(command["$db"], {"hello": 1, **asked}) if asked else {}
        own = {"localTime": DatetimeMS(int(time.time() * 1000)), "connectionId": self.number}
        return {**as_mongos(self.router.hello), **own, **{k: told[k] for k in asked if k in told}, "ok": 1.0}

    async def on_backend(self, database: str, command: Mapping) -> Mapping:
        """The config primary's reply to the client itself; when that is lost, the client's connection is closed too."""
        config = self.router.config
        if not self.backend:
            checked(await config.call("admin", {"ping": 1}))  # an election is waited for
            self.backend = await Connection.open(await config.find_primary())
        try:
            reply = await self.backend.run(database, command)
            if reply.get("code") in REJECTED | INTERRUPTED:
                raise ConnectionError("the config primary has changed")
        except NETWORK:
            config.forget(self.backend.address)
            raise
        return reply

    async def passed_on(self, name: str, command: dict) -> Mapping:
        reply = await self.on_backend(command["$db"], {k: v for k, v in command.items() if k[0] != "$"})
        if name in LOGIN and (reply.get("done") or name == "logout"):
            status = await self.on_backend("admin", {"connectionStatus": 1})
            self.user = next(((u["user"], u["db"]) for u in status["authInfo"]["authenticatedUsers"]), None)
        if name in OF_USERS.split() or name == "setDefaultRWConcern":
            self.router.cached.clear()
        return reply


def as_mongos(hello: Mapping) -> dict:
    """A config server's hello without all that speaks of a replica set, or could be waited for."""
    limits = ("maxBsonObjectSize", "maxMessageSizeBytes", "maxWriteBatchSize", "logicalSessionTimeoutMinutes")
    kept = {k: hello[k] for k in (*limits, "minWireVersion", "maxWireVersion", "readOnly")}
    return {"ismaster": True, "isWritablePrimary": True, "msg": "isdbgrid", "helloOk": True, **kept}


# --- The program


async def listen(router: Router, net: Mapping) -> None:
    if {"tls", "ssl"} & set(net):
        sys.exit(f"{NAME} has no TLS")
    await router.start()
    everywhere = net.get("bindIpAll") or net.get("bindIp") in ("*", "0.0.0.0")
    hosts = None if everywhere else net.get("bindIp", "localhost").split(",")
    await asyncio.start_server(lambda r, w: Client(router, r, w).serve(), hosts, net.get("port", 27017))
    log.info("%s: listening on %s, port %s", VERSION, hosts or "all addresses", net.get("port", 27017))
    await router.follow_sets()


async def run(config: Mapping) -> None:
    """Serve until SIGTERM or SIGINT."""
    with open(config["security"]["keyFile"], encoding="ascii") as file:
        router = Router(config["sharding"]["configDB"], "".join(file.read().split()))
    serving = asyncio.create_task(listen(router, config.get("net", {})))
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    log.info("stopped")


def main() -> None:
    parser = argparse.ArgumentParser(prog="mongos", description=VERSION)
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument("--config", "-f", required=True, metavar="FILE")
    with open(parser.parse_args().config, encoding="utf-8") as file:
        config = yaml.safe_load(file)
    log_path = config.get("systemLog", {}).get("path")
    logging.basicConfig(filename=log_path, format="%(asctime)s %(message)s", level=logging.INFO)
    asyncio.run(run(config))


if __name__ == "__main__":
    main()
