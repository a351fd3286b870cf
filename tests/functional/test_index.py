"""Indexes as MongoDB compares them, on a real server: BSON's values, and what the server adds by itself."""

import datetime

import bson
import pytest
from pymongo.errors import OperationFailure
from salt.exceptions import CommandExecutionError
from test_shard import run

import tree
from segments import wait_until


@pytest.fixture(scope="module")
def client(module_mongods):
    """A set of one member without users."""
    [member] = module_mongods(1, replset="s1")
    client = member.client()
    client.admin.command("replSetInitiate", {"_id": "s1", "members": [{"_id": 0, "host": member.address}]})
    assert wait_until(lambda: client.admin.command("hello")["isWritablePrimary"], 60)
    return client


@pytest.fixture
def wanted(client):
    """A state's arguments, without the indexes, for a collection of this test's own."""
    client.drop_database("bank")
    host, port = client.address
    return {"name": "bank.transfers", "connection": {"host": host, "port": port}}


def made(client):
    return list(client.bank.transfers.list_indexes())[1:]


DATE = datetime.datetime(2026, 1, 1)
VALUES = [
    ({"$date": "2026-01-01T00:00:00Z"}, DATE),
    ({"$date": "2026-01-01T01:00:00.000+01:00"}, DATE),
    ({"$date": {"$numberLong": "1767225600000"}}, DATE),
    ({"$numberLong": "5"}, bson.Int64(5)),
    ({"$numberDecimal": "9.99"}, bson.Decimal128("9.99")),
    ({"$oid": "5f" * 12}, bson.ObjectId("5f" * 12)),
    ("2026-01-01", "2026-01-01"),
]


@pytest.mark.parametrize("said,meant", VALUES, ids=lambda value: str(value))
def test_a_value_in_extended_json_is_mongodbs(states, client, wanted, said, meant):
    """The index holds what is meant, one made by an application with the real value is the same, and later runs too."""
    if type(meant) is not str:
        client.bank.transfers.create_index("other", partialFilterExpression={"when": {"$gt": meant}})
    spec = {"partialFilterExpression": {"when": {"$gt": said}}}
    indexes = [{"keys": {"other": 1}, **spec}, {"keys": {"k": 1}, **spec}]
    run(states.mongo_shard.indexes_present, **wanted, indexes=indexes)
    assert [index["partialFilterExpression"] for index in made(client)] == [{"when": {"$gt": meant}}] * 2


def test_an_index_with_a_date_holds_the_documents_after_it(states, client, wanted):
    client.bank.transfers.insert_many([{"when": datetime.datetime(2026, 5, 1), "k": k} for k in range(5)])
    index = {
        "keys": {"k": 1},
        "unique": True,
        "partialFilterExpression": {"when": {"$gt": {"$date": "2026-01-01T00:00:00Z"}}},
    }
    run(states.mongo_shard.indexes_present, **wanted, indexes=[index])
    assert client.bank.command("validate", "transfers")["keysPerIndex"]["k_1"] == 5


APART = [
    ({"active": True}, {"active": 1}),
    ({"a": {"$gt": 0}}, {"a": {"$gt": False}}),
    ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}),
    ({"a": [1, 2]}, {"a": [2, 1]}),
    ({"a": {"$gt": {"$date": "2026-01-01T00:00:00Z"}}}, {"a": {"$gt": "2026-01-01T00:00:00Z"}}),
]
SAME = [
    ({"a": 1}, {"a": 1.0}),
    ({"a": 1}, {"a": {"$numberDecimal": "1.0"}}),
    ({"a": 1, "b": 1}, {"b": 1, "a": 1}),
    ({"a": {"$gt": 1, "$lt": 5}}, {"a": {"$lt": 5, "$gt": 1}}),
    ({"a": {"$eq": 1}}, {"a": 1}),
    ({"a": {"$in": [1]}}, {"a": 1}),
    ({"$and": [{"a": 1}, {"b": 1}]}, {"a": 1, "b": 1}),
    ({"$or": [{"a": 1}, {"b": 1}]}, {"$or": [{"b": 1}, {"a": 1}]}),
    ({"$or": [{"a": 1}]}, {"a": 1}),
    ({"a": {"$in": [1, 2]}}, {"a": {"$in": [2, 1]}}),
    ({"a": {"$exists": True}}, {"a": {"$exists": 1}}),
    ({"a": {"$type": 2}}, {"a": {"$type": "string"}}),
]


def two(filters):
    return [{"keys": {"k": 1}, "name": f"k{n}", "partialFilterExpression": each} for n, each in enumerate(filters)]


@pytest.mark.parametrize("filters", APART, ids=str)
def test_filters_that_are_two_to_mongodb(states, client, wanted, filters):
    run(states.mongo_shard.indexes_present, **wanted, indexes=two(filters)[:1])
    run(states.mongo_shard.indexes_present, **wanted, indexes=two(filters))
    assert len(made(client)) == 2


@pytest.mark.parametrize("filters", SAME, ids=str)
def test_filters_that_are_one_to_mongodb(states, client, wanted, filters):
    first, second = two(filters)
    run(states.mongo_shard.indexes_present, **wanted, indexes=[first])
    assert run(states.mongo_shard.indexes_present, **wanted, indexes=[second]) == {}
    both = states.mongo_shard.indexes_present(**wanted, indexes=[first, second])
    assert "indexes:1: is the same index as number 0" in both.comment
    assert len(made(client)) == 1


TRIANGLE = {"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [0, 0]]]}
REGULAR = {"$regularExpression": {"pattern": "x", "options": "i"}}
TAKEN = [
    *[{"a": {name: 1}} for name in ("$eq", "$gt", "$gte", "$lt", "$lte", "$exists")],
    *[{"a": {"$type": kind}} for kind in ("number", "date", 19, -1, ["string", "int"])],
    *[{"a": {"$in": values}} for values in ([], [1], [None, "x", REGULAR])],
    *[{"a": {name: {"$geometry": TRIANGLE}}} for name in ("$geoWithin", "$within", "$geoIntersects")],
    {"$or": [{"$and": [{"a": 1}, {"b": 1}]}, {"c": {"$gt": 1}}]},
    {"a": {"$uuid": "00112233-4455-6677-8899-aabbccddeeff"}},
    {"a": {"$binary": {"base64": "aGk=", "subType": "00"}}},
    {"a": {"$gt": {"$timestamp": {"t": 1, "i": 1}}, "$lt": {"$maxKey": 1}}},
    {"a": {"$gt": {"$numberDouble": "NaN"}}},
    {"a": None},
    {"$comment": "why", "a": {"b": [1]}},
    {},
    *[{"a": {"$all": values}} for values in ([1], [None], [[1]], [{}])],
    {"a": {"$eq": REGULAR}},
    {"a": {"$gt": [REGULAR]}},
    {"a": {"b": REGULAR}},
    {"a": {"b": {"$gt": 1}}},
    {"a": {"$id": 1, "$ref": "x"}},
    {"a": {"$in": [{"$ref": "x", "$id": 1, "$db": "y"}, {"b": {"$gt": 1}}]}},
    {"a": {"$geoWithin": {"$box": [[0, 0], [1, 1]]}}},
    {"a": {"$geoWithin": {"$center": [[0, 0], 1]}}},
    {"a": {"$geoIntersects": {"$geometry": {"type": "Point", "coordinates": [0, 0]}}}},
    *[{"$or": [{"$or": [{"$or": [below]}]}]} for below in ({"a": 1}, {"a": {"$in": [1, 2]}, "$comment": "why"}, {})],
    {"x": 1, "$or": [{"$and": [{"a": 1}]}]},
    {"$or": [{"$comment": {"$ne": 1}}]},
]
REFUSED = [
    *[{"a": {name: 1}} for name in ("$ne", "$regex", "$size", "$near", "$grt", "$bitsAllSet", "$in", "$geoWithin")],
    *[{"a": {"$exists": value}} for value in (False, 0, None)],
    *[{"a": {"$type": kind}} for kind in ("strin", 200, [])],
    *[{name: [{"a": 1}]} for name in ("$nor", "$expr", "$where")],
    *[{name: value} for name in ("$and", "$or") for value in ([], 5, [5])],
    {"a": {"$nin": [1]}},
    {"a": {"$not": {"$gt": 1}}},
    {"a": {"$elemMatch": {"b": 1}}},
    {"a": {"$mod": [2, 1]}},
    {"$or": [{"a": 1}, {"b": {"$ne": None}}]},
    *[{"a": {"$all": values}} for values in ([], [REGULAR], [1, {"$elemMatch": {"b": 1}}], [{"$gt": 1}])],
    *[{"a": {name: REGULAR}} for name in ("$gt", "$gte", "$lt", "$lte")],
    *[{"a": {"$in": [value]}} for value in ({"$gt": 1}, {"$ref": "x"})],
    *[{"a": value} for value in ({"$ref": "x"}, {"$id": 1}, {"$db": "x"}, {"$gt": 1, "b": 1}, REGULAR)],
    *[{"a": {"$geoWithin": value}} for value in ({}, {"$geometry": {}}, {"$nonsense": 1})],
    {"a": {"$geoWithin": {"$geometry": {"type": "Point", "coordinates": [0, 0]}}}},
    {"a": {"$geoWithin": {"$geometry": {"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1]]]}}}},
    {"a": {"$geoIntersects": {"$box": [[0, 0], [1, 1]]}}},
    *[
        {"$or": [{"$or": [{"$or": [below]}]}]}
        for below in ({"a": 1, "b": 1}, {"a": {"$gt": 1, "$lt": 5}}, {"a": {"$all": [1]}}, {"$or": [{"a": 1}]})
    ],
    {"x": 1, "$or": [{"$or": [{"$and": [{"a": 1}]}]}]},
]


@pytest.mark.parametrize("condition", [*TAKEN, *REFUSED], ids=str)
def test_filters_are_judged_as_the_server_judges_them(modules, client, wanted, condition):
    real = modules.mongo_client.from_extended(condition)
    try:
        client.bank.transfers.create_index("k", partialFilterExpression=real)
        taken = True
    except OperationFailure:
        taken = False
    assert taken is (condition in TAKEN)
    assert bool(modules.mongo_values.filter_faults(condition)) is not taken


@pytest.mark.parametrize(
    "value",
    [
        *[{"$date": date} for date in ("yesterday", "2026-01-01", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", True)],
        *[{"$oid": value} for value in (5, "5f")],
        *[{"$numberLong": value} for value in ("x", "9" * 20, None)],
        *[{"$numberDecimal": value} for value in (9.99, "x")],
        {"$date": "2026-01-01T00:00:00Z", "$gt": 1},
        {"$binary": "aGk="},
        {"$minKey": 0},
        {"$uuid": "5"},
    ],
    ids=str,
)
def test_what_no_value_is_is_refused_before_anything_is_asked(states, client, wanted, value):
    index = {"keys": {"k": 1}, "partialFilterExpression": {"when": {"$gt": value}}}
    ret = states.mongo_shard.indexes_present(**wanted, indexes=[index])
    assert ret.result is False
    place = f"indexes:0:partialFilterExpression:when:$gt:{next(iter(value))}: is no value that MongoDB has"
    assert place in ret.comment
    assert made(client) == []


def test_a_refusal_without_a_code_is_the_servers_words(modules, client, wanted):
    client.bank.transfers.insert_one({})
    with pytest.raises(CommandExecutionError) as caught:
        modules.mongo_client.command({"compact": "transfers"}, db="bank", connection=wanted["connection"])
    assert "compact refused: will not run compact on an active replica set primary" in str(caught.value)
    assert "full error" not in str(caught.value)


def test_a_default_write_concern_keeps_what_is_not_asked_for(states, client, wanted):
    concern = {"w": "majority", "j": True, "wtimeout": 5000}
    client.admin.command("setDefaultRWConcern", defaultWriteConcern=concern)
    assert run(states.mongo_shard.default_rw_concern, **{**wanted, "write": 1}) == {
        "default write concern": {"old": "majority", "new": 1}
    }
    assert client.admin.command("getDefaultRWConcern")["defaultWriteConcern"] == {**concern, "w": 1}


def test_a_default_that_no_write_can_meet_is_replaced_in_one_run(states, client, wanted):
    """The server takes it, and answers what replaces it by the error of the old one."""
    client.admin.command("setDefaultRWConcern", defaultWriteConcern={"w": 3})
    assert run(states.mongo_shard.default_rw_concern, **{**wanted, "write": "majority"}) == {
        "default write concern": {"old": 3, "new": "majority"}
    }


# What the server adds by itself


GERMAN = {"locale": "de", "strength": 2}


def test_an_index_without_a_collation_has_its_collections(states, client, wanted):
    client.bank.create_collection("transfers", collation=GERMAN)
    indexes = [{"keys": {"a": 1}}, {"keys": {"$**": 1}}, {"keys": {"h": "hashed"}}, {"keys": {"p": "2dsphere"}}]
    run(states.mongo_shard.indexes_present, **wanted, indexes=indexes)
    simple = {"keys": {"a": 1}, "collation": {"locale": "simple"}, "name": "simple"}
    run(states.mongo_shard.indexes_present, **wanted, indexes=[simple])
    found = {index["name"]: index.get("collation", {}).get("locale") for index in made(client)}
    assert found == {"a_1": "de", "$**_1": "de", "h_hashed": "de", "p_2dsphere": "de", "simple": None}
    assert run(states.mongo_shard.indexes_present, **wanted, indexes=[{**indexes[0], "collation": GERMAN}]) == {}


@pytest.mark.parametrize("index", [{"strength": 2}, {"caseLevel": True}, {"numericOrdering": True}], ids=str)
def test_a_collation_is_all_of_it(states, client, wanted, index):
    """MongoDB keeps two indexes whose collations differ in anything; a default that is said is no difference."""
    spelled = {"locale": "th", "strength": 3, "alternate": "shifted", "normalization": True, "backwards": False}
    client.bank.transfers.create_index("a", name="other", collation={"locale": "th", **index})
    plain = {"keys": {"a": 1}, "collation": {"locale": "th"}}
    run(states.mongo_shard.indexes_present, **wanted, indexes=[plain])
    assert [each["name"] for each in made(client)] == ["other", "a_1"]
    assert run(states.mongo_shard.indexes_present, **wanted, indexes=[{**plain, "collation": spelled}]) == {}
    both = states.mongo_shard.indexes_present(**wanted, indexes=[plain, {**plain, "collation": spelled, "name": "b"}])
    assert "indexes:1: is the same index as number 0" in both.comment


def test_an_empty_filter_is_a_filter(states, client, wanted):
    indexes = [{"keys": {"a": 1}}, {"keys": {"a": 1}, "name": "partial", "partialFilterExpression": {}}]
    run(states.mongo_shard.indexes_present, **wanted, indexes=indexes)
    assert [each.get("partialFilterExpression") for each in made(client)] == [None, {}]


def test_the_defaults_of_every_locale_are_known(modules, client, wanted):
    own = tree.load("_modules/mongo_index_options.py")
    variants = {**own.OWN_VARIANTS, **dict.fromkeys(("da", "fr_CA", "th", "vi"), own.VARIANTS)}
    locales = [*own.LOCALES, *(f"{base}@collation={each}" for base, listed in variants.items() for each in listed)]
    locales.remove("simple")
    specs = [{"key": {"k": 1}, "name": locale, "collation": {"locale": locale}} for locale in locales]
    for first in range(0, len(specs), 60):
        some = specs[first : first + 60]
        client.bank.command("createIndexes", "transfers", indexes=some)
        for index in made(client):
            whole = {**modules.mongo_index_options.collation({"locale": index["name"]}), "version": "57.1"}
            assert whole == {**index["collation"]}
        client.bank.transfers.drop_indexes()


def test_what_has_no_collation_has_not_its_collections(states, client, wanted):
    client.bank.create_collection("transfers", collation=GERMAN)
    simple = {"collation": {"locale": "simple"}}
    client.bank.transfers.create_index([("note", "text")], **simple)
    client.bank.transfers.create_index([("place", "2d")], **simple)
    indexes = [{"keys": {"note": "text"}}, {"keys": {"place": "2d"}}]
    assert run(states.mongo_shard.indexes_present, **wanted, indexes=indexes) == {}


def test_a_new_index_that_can_have_no_collation_is_made_without_its_collections(states, client, wanted):
    client.bank.create_collection("transfers", collation=GERMAN)
    indexes = [{"keys": {"a": 1, "note": "text"}}, {"keys": {"place": "2d"}}, {"keys": {"b": 1}}]
    assert list(run(states.mongo_shard.indexes_present, **wanted, indexes=indexes)) == ["indexes of bank.transfers"]
    found = {index["name"]: index.get("collation", {}).get("locale") for index in made(client)}
    assert found == {"a_1_note_text": None, "place_2d": None, "b_1": "de"}


def test_a_clustered_collection_has_its_collation_too(states, client, wanted):
    client.bank.create_collection("transfers", collation=GERMAN, clusteredIndex={"key": {"_id": 1}, "unique": True})
    run(states.mongo_shard.indexes_present, **wanted, indexes=[{"keys": {"a": 1}}])
    assert run(states.mongo_shard.indexes_present, **wanted, indexes=[{"keys": {"a": 1}}]) == {}


def test_the_defaults_of_a_plane_are_no_drift(states, client, wanted):
    client.bank.transfers.create_index([("place", "2d")], bits=26, min=-180, max=180)
    client.bank.transfers.create_index([("home", "2d")])
    indexes = [{"keys": {"place": "2d"}}, {"keys": {"home": "2d"}, "bits": 26}]
    assert run(states.mongo_shard.indexes_present, **wanted, indexes=indexes) == {}
    other = states.mongo_shard.indexes_present(**wanted, indexes=[{"keys": {"home": "2d"}, "bits": 20}])
    assert "with {'bits': 26}, not {'bits': 20}" in other.comment


# What people reported of other tools


FIELDS = dict.fromkeys(("title", "brand", "note", "story"), "text")


@pytest.mark.parametrize(
    "index",
    [
        {"keys": FIELDS, "weights": {"note": 8, "title": 6}, "name": "search"},
        {"keys": {"$**": "text"}, "name": "$**"},
        {
            "keys": {"number": 1, "title": "text", "note": "text"},
            "weights": {"title": 1, "note": 1},
            "default_language": "english",
            "language_override": "language",
        },
        {"keys": {"when": 1}, "expireAfterSeconds": 0},
    ],
    ids=str,
)
def test_an_index_is_made_as_it_is_said(states, client, wanted, index):
    run(states.mongo_shard.indexes_present, **wanted, indexes=[index])
    [found] = made(client)
    weights = {**dict.fromkeys(FIELDS if index["keys"] is FIELDS else (), 1), **index.get("weights", {})}
    assert found.get("weights", {}).items() >= weights.items()
    assert found["name"] == index.get("name", found["name"])
    assert found.get("expireAfterSeconds") == index.get("expireAfterSeconds")


@pytest.mark.parametrize(
    "more", [{"keys": {"note": "text"}}, {"keys": {**FIELDS, "x": "text"}, "name": "search"}], ids=str
)
def test_a_second_text_index_is_refused_before_it_is_promised(states, client, wanted, testmode, more):
    run(states.mongo_shard.indexes_present, **wanted, indexes=[{"keys": FIELDS, "name": "search"}])
    ret = states.mongo_shard.indexes_present(**wanted, indexes=[{"keys": {"a": 1}}, more], test=testmode)
    assert (ret.result, ret.changes) == (False, {})
    assert "has its text index already, search on" in ret.comment
    assert len(made(client)) == 1


# Indexes that go


PARTIAL = {"partialFilterExpression": {"when": {"$gt": {"$date": "2026-01-01T00:00:00Z"}}}}
THREE = [
    {"keys": {"a": 1}},
    {"keys": {"a": 1}, "collation": GERMAN, "name": "a_ci"},
    {"keys": {"a": 1}, "unique": True, "expireAfterSeconds": 60, "name": "once", **PARTIAL},
]


@pytest.mark.parametrize(
    "said, stay",
    [
        ({}, []),
        ({"name": "a_ci"}, ["a_1", "once"]),
        ({"name": "a_ci", "collation": GERMAN}, ["a_1", "once"]),
        ({"name": "a_ci", "unique": True}, ["a_1", "a_ci", "once"]),
        ({"collation": {"locale": "simple"}}, ["a_ci"]),
        ({"collation": {"locale": "fr"}}, ["a_1", "a_ci", "once"]),
        ({"unique": True}, ["a_1", "a_ci"]),
        ({"unique": False}, ["once"]),
        ({"expireAfterSeconds": 61}, ["a_1", "a_ci", "once"]),
        (PARTIAL, ["a_1", "a_ci"]),
    ],
    ids=str,
)
def test_all_that_is_said_of_an_index_that_goes_counts(states, client, wanted, said, stay):
    run(states.mongo_shard.indexes_present, **wanted, indexes=THREE)
    run(states.mongo_shard.indexes_absent, **wanted, indexes=[{"keys": {"a": 1}, **said}])
    assert [index["name"] for index in made(client)] == stay


# What is changed in place


def test_an_index_gets_an_expiry_and_becomes_unique_in_place(states, client, wanted):
    plain = {"keys": {"d": 1}}
    run(states.mongo_shard.indexes_present, **wanted, indexes=[plain])
    what = f"index d_1 of {wanted['name']}"
    for more, old, new in [
        ({"expireAfterSeconds": 60}, None, 60),
        ({"expireAfterSeconds": 90, "hidden": True}, 60, 90),
    ]:
        changes = run(states.mongo_shard.indexes_present, **wanted, indexes=[{**plain, **more}])
        pair = changes[what]
        assert (pair["old"]["expireAfterSeconds"], pair["new"]["expireAfterSeconds"]) == (old, new)
    unique = {**plain, "expireAfterSeconds": 30, "unique": True}
    changes = run(states.mongo_shard.indexes_present, **wanted, indexes=[unique])
    assert changes[what]["new"] == {"expireAfterSeconds": 30, "hidden": False, "unique": True}
    [index] = made(client)
    assert (index["unique"], index["expireAfterSeconds"], "prepareUnique" in index) == (True, 30, False)
    for more, words in [({"unique": True}, "MongoDB does not change that in place: drop d_1"), ({}, "name of its own")]:
        ret = states.mongo_shard.indexes_present(**wanted, indexes=[{**plain, **more}])
        assert ret.result is False
        assert words in ret.comment


def test_an_index_with_duplicates_does_not_become_unique(states, client, wanted):
    client.bank.transfers.insert_many([{"d": 1}, {"d": 1}])
    run(states.mongo_shard.indexes_present, **wanted, indexes=[{"keys": {"d": 1}}])
    ret = states.mongo_shard.indexes_present(**wanted, indexes=[{"keys": {"d": 1}, "unique": True}])
    assert (ret.result, ret.changes) == (False, {})
    assert "code 359" in ret.comment
    client.bank.transfers.insert_one({"d": 1})


# Options


TEXT, WILD = {"keys": {"a": "text"}}, {"keys": {"$**": 1}}
SPECS = [
    *[
        {"keys": {"a": 1}, "collation": {"locale": name}}
        for name in ("de", "de_DE", "de_AT", "xx_YY", "zh_Hant", "DE", "bo")
    ],
    {"keys": {"a": 1}, "collation": {"locale": "simple", "strength": 1, "caseFirst": "upper"}},
    {"keys": {"a": 1}, "collation": {"locale": "de@collation=phonebook"}},
    *[
        {"keys": {"a": 1}, "collation": {"locale": "de", **more}}
        for more in (
            {"strength": 1, "caseFirst": "upper"},
            {"strength": 2, "caseFirst": "lower", "caseLevel": True},
            {"strength": 1, "caseFirst": "off"},
            {"caseFirst": "upper"},
            {"strength": 1, "backwards": True},
            {"strength": 2, "backwards": True},
        )
    ],
    *[
        {"keys": {"a": 1}, "collation": {"locale": locale, "strength": strength, **more}}
        for locale, strength, more in (
            ("da", 2, {}),
            ("mt", 1, {}),
            ("da", 2, {"caseFirst": "off"}),
            ("da@collation=emoji", 2, {}),
            ("fr_CA", 1, {}),
            ("fr_CA", 1, {"backwards": False}),
        )
    ],
    *[{"keys": {"a": kind}, "collation": {"locale": "de"}} for kind in ("2d", "text", "2dsphere", "hashed")],
    *[{**TEXT, "default_language": name} for name in ("German", "nb", "none", "klingon", "arabic")],
    *[{**TEXT, "language_override": name} for name in ("speech", "a.b", "$x")],
    *[
        {**WILD, "wildcardProjection": fields}
        for fields in (
            {},
            {"a": 1, "b": 0},
            {"a": 1, "_id": 0},
            {"a": 0, "_id": 1},
            {"a.b": 0},
            {"a.$**": 1},
            {"a": "x"},
            {"a": True, "b": 1},
            {"_id": 1},
            {"a": {"b": 0, "c": 0}, "d": 0},
            {"a": {"b": 0}, "d": 1},
        )
    ],
    *[
        {**WILD, "wildcardProjection": fields}
        for fields in (
            {"a": {"$meta": "textScore"}},
            {"a": {"b": 1, "$slice": 1}},
            {"a": {}},
            {"a": {"b": {}}},
            {"_id": {}},
            {"a": {"b": "x"}},
            {"a": None},
            {"a": [1]},
            {"a": {"": 1}},
            {"a.$": 1},
            {"a": 1, "a.b": 1},
            {"_id": 1, "_id.x": 1},
            {"a.b": 1, "a": {"b": 1}},
            {"a.b": 1, "a": {"c": 1}, "ab": 1},
            {"a": {"_id": 0}, "b": 1},
            {"_id": {"x": 0}, "a": 1},
            {"_id": {"x": 1}, "a": -1.5},
        )
    ],
    *[
        {"keys": {"a": 1}, "collation": {"locale": name}}
        for name in (
            "de@collation=phonebk",
            "zh@collation=pinyin",
            "zh_Hant@collation=pinyin",
            "fr_CA@collation=search",
        )
    ],
    *[
        {"keys": {"a": 1}, "collation": {"locale": f"de@{rest}"}}
        for rest in ("", "x", "collation=", "colStrength=primary")
    ],
    *[{"keys": {"a": "2d"}, **more} for more in ({"bits": 0}, {"bits": 32}, {"bits": 33}, {"min": 5, "max": 1})],
    *[{"keys": {"a": "2d"}, **more} for more in ({"min": "x"}, {"min": 180}, {"max": 5.5})],
    *[{**TEXT, "weights": weights} for weights in ({}, {"b": 5}, {"$**": 5}, {"$x": 5}, {"b..c": 5}, {"a": 0})],
    *[{"keys": {field: 1}} for field in ("a$", "$a", "a.$id", "$id", "a.$x", "a.", ".a", "_fts", "a.$**.b")],
    *[{"keys": keys} for keys in ({"a.$**": "text"}, {"$**": "text", "a": 1}, {"$**": "hashed"}, {"a.$**": -1})],
    *[{"keys": dict.fromkeys(map(str, range(count)), 1)} for count in (32, 33)],
    *[{"keys": {"_id": kind}} for kind in ("hashed", "text", "2d", "2dsphere", -1)],
    *[{"keys": {"_fts": "text", "_ftsx": 1}, **more} for more in ({}, {"weights": {"a": 2}})],
    *[{"keys": {"a": 1}, "v": number} for number in (0, 1, 2, 3)],
    *[{"keys": {"a": kind}, f"{kind}IndexVersion": number} for kind in ("text", "2dsphere") for number in (2, 3, 9)],
    *[{"keys": {"a": 1}, "storageEngine": options} for options in ({}, {"wiredTiger": {}})],
    {"keys": {"a": 1}, "bucketSize": 1},
    {"keys": {"a.$**": 1}, "wildcardProjection": {"b": 1}},
    *[{**WILD, "expireAfterSeconds": seconds} for seconds in (0, 60)],
    {"keys": {"tenant": 1, "a.$**": 1}},
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_options_are_judged_as_the_server_judges_them(modules, client, wanted, spec):
    more = {key: value for key, value in spec.items() if key != "keys"}
    version = ".".join(client.server_info()["version"].split(".")[:2])
    found = modules.mongo_rules.indexes([spec], version=version) or modules.mongo_arguments.faults({"indexes": [spec]})
    try:
        client.bank.transfers.create_index(list(spec["keys"].items()), **more)
    except OperationFailure as err:
        assert found, err
    else:
        assert found == []
