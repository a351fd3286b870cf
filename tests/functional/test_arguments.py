"""Arguments that cannot be right: every state refuses them at once, all of them, and asks no server."""

import inspect
from pathlib import Path

import pytest
import yaml

import tree

STATES = {name: tree.load(f"_states/{name}.py") for name in ("mongo_daemon", "mongo_replset", "mongo_shard")}
NOWHERE = {"host": "127.0.0.1", "port": 1, "serverSelectionTimeoutMS": 20, "connectTimeoutMS": 20}
CASES = yaml.safe_load(Path(__file__).with_name("bad_arguments.yaml").read_text())


def called(states, name, arguments, test):
    module, function = name.split(".")
    return getattr(getattr(states, module), function)(**arguments, test=test)


@pytest.fixture(autouse=True)
def site(pillar):
    pillar(
        {"mongodb": {"bad_roles": {"username": "admin", "password": "kept-out-of-sight", "roles": [{"role": 5}, 5]}}}
    )


def case_id(case):
    return f"{case['state']}: {case['said'].splitlines()[0]}"


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_everything_that_is_wrong_is_said_at_once(states, testmode, case):
    ret = called(states, case["state"], case["arguments"], testmode)
    assert (ret.result, ret.changes) == (False, {})
    lines, said = ret.comment.splitlines(), case["said"].splitlines()
    assert len(lines) == len(said), ret.comment
    for line, begin in zip(lines, said, strict=True):
        assert line.startswith(f"{case['object']}: {begin}" if "object" in case else begin)
    assert not [secret for secret in ("kept-out-of-sight", "42424242") if secret in ret.comment]


def test_the_table_knows_every_state():
    known = {f"{module}.{name}" for module, loaded in STATES.items() for name in functions(loaded)}
    assert known == {case["state"] for case in CASES}
    assert len(CASES) > 25


def functions(loaded):
    return {name: function for name, function in inspect.getmembers(loaded, inspect.isfunction) if name[0] != "_"}


def every_argument():
    return [
        pytest.param(f"{module}.{name}", argument, id=f"{module}.{name}:{argument}")
        for module, loaded in STATES.items()
        for name, function in functions(loaded).items()
        for argument in inspect.signature(function).parameters
        if argument != "name"
    ]


GOOD = {
    "file": "/etc/mongodb/mongod-s1.conf",
    "configuration": {"net": {"port": 1}, "replication": {"replSetName": "s1"}, "storage": {"dbPath": 5}},
    "files": [],
    "members": ["s1a.dc:27017"],
    "key": {"account": 1},
    "indexes": [{"keys": {"account": 1}}],
    "replsets": {"s1": ["s1a.dc:27017"]},
    "size_mb": 990,
    "connection": NOWHERE,
    "timeout": 0,
}
OF_ANY_KIND = [
    None,
    True,
    -0.5,
    "",
    "x",
    "x:y",
    [],
    [None],
    ["x"],
    [{}],
    [[]],
    {},
    {"x": None},
    {5: 5},
    {"x": {"y": [5]}},
]


@pytest.mark.parametrize("name,argument", every_argument())
def test_no_value_makes_a_state_raise(modules, name, argument):
    """Whatever an argument is, a state returns: what is wrong, or what nothing answered to."""
    module, function = name.split(".")
    state = vars(tree.load(f"_states/{module}.py", __salt__=modules, __opts__={"test": True}))[function]
    taken = inspect.signature(state).parameters
    good = {"name": "bank.transfers", **{each: value for each, value in GOOD.items() if each in taken}}
    for value in OF_ANY_KIND if argument != "connection" else [each for each in OF_ANY_KIND if each]:
        assert state(**{**good, argument: value})["name"] == "bank.transfers"
