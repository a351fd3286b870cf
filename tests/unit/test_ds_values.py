"""389 Directory Server's values: what a real server wrote, and whatever else could stand there."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from tree import load

values = load("_modules/ds_values.py")
STATUSES = yaml.safe_load((Path(__file__).parent / "cases" / "ds_statuses.yaml").read_text())
RUV = [
    "{replicageneration} 6b0c1115000000010000",
    "{replica 1 ldap://one.dc:389} 6b0c1115000400010000 6b0c1115000400010000",
    "{replica 2 ldap://two.dc:389} 6b0c1118000100020000 6b0c111a000100020000",
    "{replica 65534 ldap://three.dc:389}",
]
CSNS = some.builds("{:08x}{:04x}{:04x}{:04x}".format, some.integers(0, 2**32 - 1), *[some.integers(0, 2**16 - 1)] * 3)
VECTORS = some.fixed_dictionaries(
    {
        "generation": some.just("6b0c1115000000010000"),
        "replicas": some.dictionaries(
            some.integers(1, 5), some.fixed_dictionaries({"url": some.none(), "max": some.none() | CSNS})
        ),
    }
)


def test_a_change_number_has_its_second_and_its_replica():
    assert values.csn("6b0c111a000100020003") == {"time": 1795952922, "sequence": 1, "replica": 2, "sub": 3}


@pytest.mark.parametrize("text", ["", None, "6b0c111a00010002000", "6b0c111a0001000200000", "zb0c111a000100020000"])
def test_what_is_no_change_number_is_none(text):
    assert values.csn(text) is None


def test_a_vector_has_a_generation_and_each_replicas_last_change():
    found = values.ruv([*RUV, "{something new} 1"])
    assert found["generation"] == "6b0c1115000000010000"
    assert found["replicas"] == {
        1: {"url": "ldap://one.dc:389", "max": "6b0c1115000400010000"},
        2: {"url": "ldap://two.dc:389", "max": "6b0c111a000100020000"},
        65534: {"url": "ldap://three.dc:389", "max": None},
    }


LAGS = [
    ({1: "6b0c1115000400010000"}, {1: "6b0c1115000400010000"}, 0),
    ({1: "6b0c1117000000010000"}, {1: "6b0c1115000400010000"}, 2),
    ({1: "6b0c1115000500010000"}, {1: "6b0c1115000400010000"}, 1),
    ({1: "6b0c1115000400010000"}, {1: "6b0c1117000000010000"}, 0),
    ({1: "6b0c1115000400010000"}, {}, None),
    ({1: "6b0c1115000400010000", 2: "6b0c111f000000020000"}, {2: "6b0c1115000000020000"}, 10),
    ({1: None}, {}, 0),
    (
        {1: "6b0c1115000400010000", 2: "6b0c111f000000020000"},
        {1: "6b0c1115000400010000", 2: "6b0c1115000000020000"},
        10,
    ),
]


def vector(changes, generation="6b0c1115000000010000"):
    return {
        "generation": generation,
        "replicas": {number: {"url": None, "max": last} for number, last in changes.items()},
    }


@pytest.mark.parametrize("source, target, seconds", LAGS)
def test_lag_is_what_the_other_vector_lacks(source, target, seconds):
    assert values.lag(vector(source), vector(target)) == seconds


def test_another_generation_has_no_lag():
    assert values.lag(vector({}), vector({}, "6b0c1115000000020000")) is None
    assert values.lag(vector({}, None), vector({}, None)) is None


@given(VECTORS, VECTORS)
def test_nobody_is_behind_itself_and_lag_is_never_negative(one, other):
    assert values.lag(one, one) == 0
    assert (values.lag(one, other) or 0) >= 0


@pytest.mark.parametrize("case", STATUSES, ids=lambda case: case["text"][:60])
def test_a_status(case):
    assert values.status(case["text"]) == case["means"]


TIMES = {
    "20261129114842Z": 1795952922,
    "20261129114842.5Z": 1795952922,
    "19700101000000Z": None,
    "20261399000000Z": None,
}


@pytest.mark.parametrize("text, seconds", [*TIMES.items(), (None, None), ("yesterday", None)])
def test_a_time(text, seconds):
    assert values.moment(text) == seconds


def test_versions_are_compared_as_numbers():
    assert values.version("389-Directory/2.3.1 B2025.016.1616") == [2, 3, 1] < values.version("389-Directory/2.10")
    assert values.version("OpenLDAP") == values.version(None) == []


@given(some.lists(some.text()), some.text())
def test_any_text_is_read_without_an_error(texts, text):
    values.ruv(texts)
    for read in (values.csn, values.status, values.moment, values.version, values.dn):
        read(text)
