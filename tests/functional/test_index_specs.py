"""
Index specs that nobody thought of: what the rules pass, a real mongod takes, and what it takes, the rules pass.

Generated is what people use: fields of documents and their parts, every kind, and every option with values that are
right, or nearly.
"""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pymongo.errors import OperationFailure

FIELDS = ("a", "b", "a.b", "c.d", "_id", "a.0", "$**", "a.$**")
KINDS = (1, -1, "hashed", "text", "2d", "2dsphere")
DATE = {"$date": "2026-01-01T00:00:00Z"}
TRIANGLE = {"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [0, 0]]]}
REGULAR = {"$regularExpression": {"pattern": "^x", "options": "i"}}
VALUES = (
    *(None, True, 0, 1.5, "x", [], [1, "x"], {}, {"b": 1}, DATE, REGULAR),
    *({"$numberDecimal": "9.99"}, {"$oid": "5f" * 12}, {"$minKey": 1}, {"$gt": 1}, {"b": {"$gt": 1}}),
)
COMPARISONS = ("$eq", "$gt", "$gte", "$lt", "$lte", "$ne")


def few(strategy, most=2, least=0):
    return st.lists(strategy, min_size=least, max_size=most)


values = st.sampled_from(VALUES)
conditions = st.one_of(
    values,
    st.dictionaries(st.sampled_from(COMPARISONS), values, min_size=1, max_size=2),
    st.fixed_dictionaries({"$exists": st.sampled_from([True, False, 1, 0, "x"])}),
    st.fixed_dictionaries({"$type": st.sampled_from(["string", "number", 2, 19, 99, ["int", "date"], []])}),
    st.builds(lambda name, listed: {name: listed}, st.sampled_from(["$in", "$nin", "$all"]), few(values)),
    st.sampled_from(
        [
            {"$geoWithin": {"$geometry": TRIANGLE}},
            {"$geoIntersects": {"$geometry": TRIANGLE}},
            {"$near": [0, 0]},
            {"$regex": "^x"},
            {"$not": {"$gt": 1}},
            {"$elemMatch": {"b": 1}},
            {"$size": 1},
        ]
    ),
)
fields = st.dictionaries(st.sampled_from(["a", "a.b", "c", "$comment"]), conditions, max_size=2)
filters = st.recursive(
    fields,
    lambda below: st.builds(
        lambda name, listed, more: {name: listed, **more},
        st.sampled_from(["$and", "$or", "$nor"]),
        few(below),
        st.one_of(st.just({}), fields),
    ),
    max_leaves=4,
)
LOCALES = ("simple", "de", "en_US", "fr_CA", "da", "th", "xx", "de_DE", "DE", "zh@collation=zhuyin", "zh@collation=x")
collations = st.fixed_dictionaries(
    {"locale": st.sampled_from(LOCALES)},
    optional={
        "strength": st.sampled_from([1, 2, 3, 4, 5]),
        "caseLevel": st.booleans(),
        "caseFirst": st.sampled_from(["upper", "lower", "off"]),
        "numericOrdering": st.booleans(),
        "alternate": st.sampled_from(["non-ignorable", "shifted"]),
        "maxVariable": st.sampled_from(["punct", "space"]),
        "backwards": st.booleans(),
        "normalization": st.booleans(),
    },
)
projections = st.recursive(
    st.dictionaries(st.sampled_from(["_id", "a", "a.b", "b", "c.$**"]), st.sampled_from([0, 1, True, False, 2, "x"])),
    lambda below: st.dictionaries(st.sampled_from(["_id", "a", "c"]), st.one_of(st.sampled_from([0, 1]), below)),
    max_leaves=3,
)
OPTIONS = {
    "name": st.sampled_from(["one", "a_1", "_id_", "x.y", "x$y", "*"]),
    "unique": st.booleans(),
    "sparse": st.booleans(),
    "hidden": st.booleans(),
    "expireAfterSeconds": st.sampled_from([0, 60, 2**31 - 1, 2**31, -1]),
    "partialFilterExpression": filters,
    "collation": collations,
    "weights": st.dictionaries(st.sampled_from(["a", "b", "c.d", "$**", "$x"]), st.sampled_from([0, 1, 5, 10**5])),
    "default_language": st.sampled_from(["german", "German", "de", "none", "english", "klingon"]),
    "language_override": st.sampled_from(["language", "speech", "a.b"]),
    "wildcardProjection": projections,
    "bits": st.sampled_from([0, 1, 26, 32, 33]),
    "min": st.sampled_from([-180, 0, 5.5]),
    "max": st.sampled_from([180, 0, 5.5]),
}
# Most indexes have one kind of fields, and options that belong to it; the others have anything.
FITTING = {
    1: ("unique", "sparse", "expireAfterSeconds", "partialFilterExpression", "collation"),
    "hashed": ("sparse", "partialFilterExpression", "collation", "unique"),
    "text": ("weights", "default_language", "language_override", "partialFilterExpression", "collation"),
    "2d": ("bits", "min", "max", "sparse"),
    "2dsphere": ("sparse", "partialFilterExpression", "collation"),
}


# MongoDB does not look at these beside other kinds, and Onepass refuses what would count for nothing.
OWN = {
    **dict.fromkeys(("weights", "default_language", "language_override"), "text"),
    **dict.fromkeys(("bits", "min", "max"), "2d"),
}


@st.composite
def specs(draw):
    kind = draw(st.sampled_from(list(FITTING)))
    names = draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3, unique=True))
    kinds = st.one_of(st.sampled_from([kind, 1, -1]), st.just(kind), st.sampled_from(KINDS))
    common = ("name", "hidden", *FITTING[kind], *(["wildcardProjection"] if "$**" in names else []))
    options = draw(st.lists(st.sampled_from(common), max_size=3, unique=True))
    options += draw(st.one_of(st.just([]), st.lists(st.sampled_from(list(OPTIONS)), max_size=1)))
    keys = {name: draw(kinds) for name in names}
    assume(keys not in ({"_id": 1}, {"_id": -1}))
    assume(len(keys) == 1 or not any(name.endswith("$**") and keys[name] != "text" for name in keys) or whole(keys))
    found = {option: draw(OPTIONS[option]) for option in options if OWN.get(option) in (None, *keys.values())}
    return {"keys": keys, **found}


@st.composite
def twins(draw):
    """Two indexes on the same keys, under two names, that may differ in an option or in none."""
    one = draw(specs())
    options = [option for option in FITTING[1] if option in one] or ["partialFilterExpression"]
    other = {**one, draw(st.sampled_from([*options, "name"])): None}
    changed = next(option for option, value in other.items() if value is None)
    return [{**one, "name": "one"}, {**other, changed: draw(OPTIONS[changed]), "name": "other"}]


def whole(keys):
    return all(isinstance(kind, int) for kind in keys.values())


def refusal(collection, indexes, from_extended):
    """What a server without any index says of these; empty when it takes them."""
    wanted = [
        {"key": index["keys"], **from_extended({name: value for name, value in index.items() if name != "keys"})}
        for index in indexes
    ]
    names = [{"name": "_".join(f"{field}_{kind}" for field, kind in index["key"].items()), **index} for index in wanted]
    try:
        collection.database.command("createIndexes", collection.name, indexes=names)
    except OperationFailure as err:
        return str(err)
    finally:
        collection.drop_indexes()
    return ""


def judged(modules, indexes, version):
    """What the state finds, and what the pillar's check does, which does not know the options of a plane."""
    arguments = modules.mongo_arguments.faults({"indexes": indexes})
    yield arguments or modules.mongo_rules.indexes(indexes, version=version)
    if not {"bits", "min", "max"} & {option for index in indexes for option in index}:
        pillar = {"version": version, "databases": {"bank": {"collections": {"specs": {"indexes": indexes}}}}}
        found = modules.mongo_pillar.faults(pillar)
        yield [each for each in found if each["path"].startswith("mongodb:databases")]


@pytest.fixture(scope="module")
def collection(module_mongods):
    [member] = module_mongods(1)
    return member.client().bank.create_collection("specs")


@settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(indexes=st.one_of(st.builds(lambda spec: [spec], specs()), st.lists(specs(), min_size=2, max_size=3), twins()))
def test_the_rules_judge_as_the_server_does(modules, collection, indexes):
    version = ".".join(collection.database.client.server_info()["version"].split(".")[:2])
    said = refusal(collection, indexes, modules.mongo_client.from_extended)
    for found in judged(modules, indexes, version):
        assert bool(found) is bool(said), f"{indexes}: found {found or 'nothing'}; the server says {said or 'nothing'}"
