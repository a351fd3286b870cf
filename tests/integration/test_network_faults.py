"""Replica sets over a network that is slow, or loses frames, and by names that resolve wrongly."""

import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

import mongods as real
import networks
from wires import HERE, THERE, Wire

KEYFILE = "a2VwdC1vdXQtb2Ytc2lnaHQ="
ADMIN = {"mongodb": {"auth": {"admin": {"username": "admin", "password": "kept-out-of-sight"}}}}


@pytest.fixture
def wire():
    with Wire() as built:
        yield built


@pytest.fixture
def members(wire, mongod_binary, pillar):
    """The first member of a set on this side of the wire, and two on the other."""
    pillar(ADMIN)
    with real.factory(mongod_binary) as start:
        given = {"replset": "s1", "keyfile": KEYFILE}
        with wire.inside("here"):
            [first] = start(1, **given, host=HERE)
        with wire.inside("there"):
            others = start(2, **given, host=THERE)
        yield [first, *others]


def wanted(members, **more):
    connection = {"host": "127.0.0.1", "port": members[0].port, "credentials": "mongodb:auth:admin"}
    addresses = [member.address for member in members]
    return {"name": "s1", "members": addresses, "connection": connection, "timeout": 60, **more}


def written(member, *documents):
    """Documents that the set has acknowledged by majority; all that are there."""
    client = member.client(username="admin", password="kept-out-of-sight", w="majority", serverSelectionTimeoutMS=20000)
    with client:
        for each in documents:
            client.bank.transfers.insert_one({"_id": each})
        return sorted(each["_id"] for each in client.bank.transfers.find())


def timed(function, **arguments):
    began = time.monotonic()
    ret = function(**arguments)
    return ret, time.monotonic() - began


@pytest.mark.parametrize("seconds, loss", [(0.25, 0), (0.002, 0.3), (0.25, 0.3)])
def test_over_a_bad_wire_a_set_is_born_or_it_is_told_why_not(wire, members, states, seconds, loss):
    """A round trip of 500 ms; of a hundred frames thirty are lost; both at once."""
    with wire.inside("here"):
        wire.is_bad(seconds, loss)
        ret, took = timed(states.mongo_replset.replset_present, **wanted(members))
        print(f"{seconds} s, {loss}: {took:.1f} s, {ret.result}, {list(ret.changes)}, {ret.comment}")
        assert took < 4 * 60, "a wait for the members, and one for each step"
        if not ret.result:
            how = ": nothing answers| takes connections, but does not answer|: .* was not answered"
            assert re.search(rf"{re.escape(THERE)}:\d+({how})", ret.comment)
        wire.is_good()
        ret = states.mongo_replset.replset_present(**wanted(members))
        assert ret.result is True, ret.comment
        assert states.mongo_replset.replset_present(**wanted(members)).changes == {}


def test_a_set_is_looked_at_and_changed_over_a_bad_wire_and_loses_nothing(wire, members, states):
    with wire.inside("here"):
        assert states.mongo_replset.replset_present(**wanted(members)).result is True
        written(members[0], *range(20))
        wire.is_bad(0.1, 0.1)
        changed = wanted(members, settings={"electionTimeoutMillis": 8000})
        ret, took = timed(states.mongo_replset.replset_present, **changed)
        print(f"{took:.1f} s, {ret.result}, {ret.comment}")
        assert ret.result is True, ret.comment
        assert took < 2 * 60
        wire.is_good()
        assert states.mongo_replset.replset_present(**changed).changes == {}
        assert written(members[0]) == list(range(20))


# Names


@pytest.fixture
def named(tmp_path, mongod_binary, pillar):
    """Three members that are known by names, on a host of their own; ``resolves(s1a=..., s1b=...)`` says to what."""
    pillar(ADMIN)
    with networks.host(tmp_path), real.factory(mongod_binary) as start:
        Path("/etc/nsswitch.conf").write_text("hosts: files dns\n")
        Path("/etc/resolv.conf").write_text("nameserver 127.0.0.53\n")
        members = start(3, replset="s1", keyfile=KEYFILE)
        for member, name in zip(members, "abc", strict=True):
            member.host, member.address = f"s1{name}.test", f"s1{name}.test:{member.port}"
        yield members


def resolves(**names):
    lines = ["127.0.0.1 localhost", *(f"{address} {name}.test" for name, address in names.items())]
    Path("/etc/hosts").write_text("".join(f"{line}\n" for line in lines))


RIGHT = dict.fromkeys(("s1a", "s1b", "s1c"), "127.0.0.1")


def test_a_name_that_resolves_late_is_waited_for(named, states):
    resolves(s1a="127.0.0.1", s1b="127.0.0.1")
    short = states.mongo_replset.replset_present(**wanted(named, timeout=1))
    assert short.result is False
    assert f"{named[2].address} must answer before the set is born" in short.comment
    assert "Name or service not known" in short.comment or "name resolution" in short.comment
    threading.Timer(5, resolves, kwargs=RIGHT).start()
    ret, took = timed(states.mongo_replset.replset_present, **wanted(named))
    assert ret.result is True, ret.comment
    assert 2 < took < 60
    assert states.mongo_replset.replset_present(**wanted(named)).changes == {}


def test_a_name_that_resolves_to_where_nobody_is_or_to_another_member(named, states):
    resolves(**{**RIGHT, "s1b": "127.0.0.9"})
    ret = states.mongo_replset.replset_present(**wanted(named, timeout=2))
    assert (ret.result, ret.changes) == (False, {})
    assert f"{named[1].address} must answer before the set is born" in ret.comment and "refused" in ret.comment
    resolves(**RIGHT)
    twice = wanted(named)
    twice["members"][1] = f"s1b.test:{named[2].port}"  # the name of one, and there is another
    ret = states.mongo_replset.replset_present(**twice)
    assert (ret.result, ret.changes) == (False, {})
    assert "are one server" in ret.comment
    assert states.mongo_replset.replset_present(**wanted(named)).result is True


def test_a_resolver_that_does_not_answer_is_told_and_bounded(named, states):
    """A nameserver that swallows its questions; each look-up takes libc's own patience."""
    rules = "add table ip sink\nadd chain ip sink in { type filter hook input priority 0; }\n"
    subprocess.run(["nft", "-f", "-"], input=f"{rules}add rule ip sink in udp dport 53 drop\n", text=True, check=True)
    Path("/etc/resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:3 attempts:2\n")
    resolves(s1a="127.0.0.1", s1b="127.0.0.1")
    ret, took = timed(states.mongo_replset.replset_present, **wanted(named, timeout=5))
    assert ret.result is False
    assert f"{named[2].address} must answer before the set is born" in ret.comment
    assert "name resolution" in ret.comment, ret.comment
    assert took < 60
    resolves(**RIGHT)
    assert states.mongo_replset.replset_present(**wanted(named)).result is True
