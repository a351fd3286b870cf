"""Guests of a branch's hosts: what follows from the pillar, and the steps from a master's keys to the guests'."""

import cProfile
import pstats
from pathlib import Path

import pytest
import salt.config
import salt.key
import yaml
from test_branch_pillar import BRANCHES, GOOD, SALT

import tree

CORDOBA = yaml.safe_load((BRANCHES / "cordoba.sls").read_text())["branch"]
node, keys, concerned, key_steps = (
    SALT[f"branch_guests.{name}"] for name in ("node", "keys", "concerned", "key_steps")
)
SALT_IDENTITY = tree.functions("libvirt_identity")
DNS = {"name": "guests", "domain": "guests.example", "address": "192.168.150.1/24"}


def guests(changes, minion="ws001.cordoba"):
    return {each["name"]: each for each in node(minion, tree.patched(CORDOBA, {"set": changes}))["guests"]}


def test_the_vm_is_on_the_branchs_bridge_and_further_guests_are_on_the_network_with_names():
    found = guests({"guests:memory": 512, "hosts:ws001:bridge": "br7"})
    minion = {"master": "hq"}
    assert found["win-001"] == {
        "name": "win-001",
        "clone": {
            "template": "desktop",
            "bridge": "br7",
            "mac": "52:54:00:32:00:01",
            "memory": 512,
            "autostart": True,
            "minion": {**minion, "id": "win-001.cordoba"},
        },
        "wait": {"until": "started"},
    }
    till = {"template": "desktop", "network": "guests", "memory": 128, "autostart": True}
    assert found["till-1"]["clone"] == {**till, "minion": {**minion, "id": "till-1.cordoba"}}
    assert found["till-1"]["wait"] == {"until": "name"}


def test_on_a_bridge_of_our_own_a_guest_is_told_its_domain():
    clone = guests({"dns:backend": "bridge", "dns:bridge": "br9"})["till-2"]["clone"]
    assert (clone["bridge"], clone["domain"]) == ("br9", "guests.example")
    assert "network" not in clone


@pytest.mark.parametrize(
    "changes, names",
    [
        ({"hosts:ws001:vm:clone": False}, ["till-1", "till-2"]),
        ({"hosts:ws001:vm:clone": {"template": "other"}, "hosts:ws001:guests": {}}, ["win-001"]),
        ({"hosts:ws001:port": 0}, []),
    ],
    ids=["not cloned", "from another template", "a fault"],
)
def test_who_is_cloned(changes, names):
    assert sorted(guests(changes)) == names


def test_a_branch_without_guests_concerns_nobody():
    assert node("ws017.rosario", GOOD) == {"templates": [], "guests": [], "gone": []}
    assert (keys(GOOD), concerned(GOOD)) == ({}, [])
    one = tree.patched(GOOD, {"set": {"hosts:ws018:vm:clone": {"template": "debian12"}}})
    assert (keys(one), concerned(one)) == ({}, ["ws018.rosario"])
    assert concerned(tree.patched(GOOD, {"set": {"dns": DNS}})) == [f"ws0{number}.rosario" for number in (17, 18, 19)]


def test_keys_are_those_of_guests_that_are_minions_and_of_guests_that_are_gone():
    gone = tree.patched(CORDOBA, {"set": {"hosts:ws002:gone": ["till-9"], "hosts:ws002:vm:clone": False}})
    assert keys(gone) == {
        **{
            f"{name}.cordoba": {"host": "ws001.cordoba", "name": name, "wanted": True}
            for name in ("win-001", "till-1", "till-2")
        },
        "till-9.cordoba": {"host": "ws002.cordoba", "name": "till-9", "wanted": False},
    }


@pytest.mark.parametrize("old, new", [("ws001", "ws002"), ("ws002", "ws001")])
def test_the_key_of_a_guest_that_moves_is_its_new_hosts(old, new):
    moved = tree.patched(CORDOBA, {"set": {f"hosts:{old}:gone": ["till-9"], f"hosts:{new}:guests": {"till-9": {}}}})
    assert keys(moved)["till-9.cordoba"] == {"host": f"{new}.cordoba", "name": "till-9", "wanted": True}


READY = {"state": "ready", "minion_key": "KEY"}
ACCEPTED = {"state": "minions", "key": "KEY\n", "own": True}
OTHER = {"state": "minions", "key": "OLD", "own": True}
PENDING = {"state": "minions_pre", "key": "KEY", "own": False}
# wanted, what the host says of the clone, what the master holds, the old and new value of the step, and of a dry run's
STEPS = [
    (True, READY, None, (None, "accepted"), (None, "accepted")),
    (True, READY, ACCEPTED, None, None),
    (True, READY, OTHER, ("another's", "accepted"), ("another's", "accepted")),
    (True, READY, PENDING, ("pending", "accepted"), ("pending", "accepted")),
    (True, {"state": "ready"}, ACCEPTED, None, None),
    (True, None, None, None, (None, "accepted")),
    (True, None, ACCEPTED, ("accepted", None), ("another's", "accepted")),
    (True, {**READY, "state": "unfinished"}, None, None, (None, "accepted")),
    (False, None, None, None, None),
    (False, None, ACCEPTED, ("accepted", None), ("accepted", None)),
    (False, READY, ACCEPTED, None, ("accepted", None)),
]


@pytest.mark.parametrize("wanted, clone, held, real, dry", STEPS)
def test_the_steps_of_a_key(wanted, clone, held, real, dry):
    by = {"vm1.b": {"host": "ws1.b", "name": "vm1", "wanted": wanted}}
    told, known = {"ws1.b": {"vm1": clone} if clone else {}}, {"vm1.b": held} if held else {}
    for test, expected in ((False, real), (True, dry)):
        steps = key_steps(by, told, known, test)
        assert [(step["old"], step["new"]) for step in steps] == ([expected] if expected else [])
    assert key_steps(by, {}, known) == [], "a silent host's guests keep their keys"


STRANGE = {"state": "minions", "key": "OLD", "own": False}


@pytest.mark.parametrize("test", [False, True])
@pytest.mark.parametrize("wanted, clone", [(True, READY), (True, None), (False, None)])
def test_an_accepted_key_that_the_guest_never_had_stays(wanted, clone, test):
    by = {"vm1.b": {"host": "ws1.b", "name": "vm1", "wanted": wanted}}
    (step,) = key_steps(by, {"ws1.b": {"vm1": clone} if clone else {}}, {"vm1.b": STRANGE}, test)
    assert step["refused"] == (
        "the accepted key of vm1.b was never the guest's; if nothing else uses it: salt-key -d vm1.b"
    )


@pytest.mark.parametrize("held", [{}, {"r1.dc": PENDING}, {"r1.dc": OTHER}])
def test_an_id_that_another_part_of_the_pillar_names_is_no_guests(held):
    by = {"r1.dc": {"host": "ws1.dc", "name": "r1", "wanted": True}}
    (step,) = key_steps(by, {"ws1.dc": {"r1": READY}}, held, named={"r1.dc": "mongodb:routers:0"})
    assert step["refused"] == "r1.dc is no guest's id, as mongodb:routers:0 has it; another name for the guest"


def test_guests_have_places_in_the_pillar():
    gone = tree.patched(CORDOBA, {"set": {"hosts:ws002:gone": ["till-9"], "hosts:ws002:vm:clone": False}})
    assert SALT["branch_guests.places"](gone) == {
        "till-9.cordoba": "branch:hosts:ws002:gone:0",
        "win-001.cordoba": "branch:hosts:ws001:vm:name",
        "till-1.cordoba": "branch:hosts:ws001:guests:till-1",
        "till-2.cordoba": "branch:hosts:ws001:guests:till-2",
    }


# On a master's own store of keys


def public_key():
    return SALT_IDENTITY["libvirt_identity.new"]("vm1", None, {"master": "hq"})["minion"]["key_public"]


@pytest.fixture
def master(tmp_path):
    """The runner of a master with an empty store, whose one host tells what ``master.told`` holds."""
    opts = salt.config.master_config(None)
    directories = {name: str(tmp_path / name) for name in ("pki_dir", "cachedir", "sock_dir")}
    opts.update(directories, root_dir=str(tmp_path), __role="master", id="hq.dc_master", pillar={"any": {}})
    for place in (*directories.values(), *(tmp_path / "pki_dir" / kind for kind in ("minions", "minions_pre"))):
        Path(place).mkdir(exist_ok=True)
    hosts = tree.load("_runners/onepass_hosts.py", __opts__=opts)
    own = tree.load("_runners/onepass_keys.py", __opts__=opts)
    beside = {"onepass_hosts.ask": hosts.ask, "onepass_keys.held": own.held, "onepass_keys.hold": own.hold}
    answers = tree.functions("onepass_answers", "_runners")
    runner = tree.load("_runners/onepass.py", __opts__=opts, __salt__=beside)
    runner.told = {}
    runner.answer = lambda minions: dict.fromkeys(minions, runner.told)
    hosts.__salt__ = answers
    hosts._gathered = lambda minions, *_: (runner.answer(minions), {})
    runner._execution_modules = lambda: SALT
    return runner


def test_a_masters_keys_follow_those_of_its_guests(master):
    keys = {"vm1.b": {"host": "ws1.b", "name": "vm1", "wanted": True}}
    store = salt.key.get_key(master.__opts__)

    def accepted():
        return store.key_str("vm1.b").get("minions", {}).get("vm1.b", "").strip()

    first, second = public_key(), public_key()
    for key, old in ((first, None), (second, "another's")):
        master.told = {"vm1": {"state": "ready", "minion_key": key}}
        step = {"do": "accept", "what": "key of vm1.b", "old": old, "new": "accepted"}
        assert master.guest_keys(keys, test=True)["steps"] == [step]
        assert accepted() != key
        assert master.guest_keys(keys) == {"steps": [step], "silent": [], "failed": {}, "refused": {}}
        assert accepted() == key
        assert master.guest_keys(keys)["steps"] == []
    master.told = "'libvirt_clone.list' is not available."
    assert master.guest_keys(keys)["failed"] == {"ws1.b": master.told}
    master.answer = lambda minions: {}
    assert master.guest_keys(keys) == {"steps": [], "silent": ["ws1.b"], "failed": {}, "refused": {}}
    master.answer = lambda minions: dict.fromkeys(minions, {})
    assert [step["do"] for step in master.guest_keys(keys)["steps"]] == ["withdraw"]
    assert "vm1.b" not in store.list_keys()["minions"]


def accept(master, minion, key):
    """As an administrator's ``salt-key -a`` does."""
    store = salt.key.get_key(master.__opts__)
    if hasattr(store, "cache"):
        store.cache.store("keys", minion, {"pub": key, "state": "accepted"})
    else:
        (Path(master.__opts__["pki_dir"]) / "minions" / minion).write_text(key)


def accepted(master):
    store = salt.key.get_key(master.__opts__)
    return {minion: key.strip() for minion, key in store.key_str_all().get("minions", {}).items()}


@pytest.mark.parametrize("taken", ["s1a.dc", "hq.dc", "gw.dc", "ws001.dc", "api.dc"])
def test_a_branch_cannot_take_an_id_that_is_named_elsewhere(master, tmp_path, taken):
    name, key = taken.partition(".")[0], public_key()
    text = (BRANCHES / "cordoba.sls").read_text().replace("name: cordoba", "name: dc")
    (tmp_path / "dc.sls").write_text(text)
    sets = {"s1": {"role": "shard", "members": ["s1a.dc"]}}
    areas = {"mongodb": {"replsets": sets}, "openstack": {"minion": "api.dc"}}
    master.__opts__["pillar"] = {**areas, "branches": {"rings": [["dc"]], "directory": str(tmp_path)}}
    places = {"mongo_pillar.places": {"s1a.dc": "mongodb:replsets:s1:members:0"}}
    places["neutron_rules.places"] = {"api.dc": "openstack:minion"}
    known = {name: lambda _, found=found: found for name, found in places.items()}
    master._execution_modules = lambda: {**SALT, **known}
    accept(master, taken, key)
    for wanted, told in ((True, {name: {"state": "ready", "minion_key": public_key()}}), (True, {}), (False, {})):
        master.told = told
        said = master.guest_keys({taken: {"host": "ws002.dc", "name": name, "wanted": wanted}})
        assert (said["steps"], list(said["refused"])) == ([], [taken])
        assert f"{taken} is no guest's id, as " in said["refused"][taken]
        assert accepted(master) == {taken: key}


def test_a_key_that_somebody_accepted_is_a_guests_once_its_host_tells_it(master):
    keys = {"vm1.b": {"host": "ws1.b", "name": "vm1", "wanted": True}}
    first, second, third = public_key(), public_key(), public_key()
    accept(master, "vm1.b", first)
    master.told = {"vm1": {"state": "ready", "minion_key": second}}
    for test in (True, False):
        said = master.guest_keys(keys, test=test)
        assert (said["steps"], list(said["refused"])) == ([], ["vm1.b"])
    assert accepted(master) == {"vm1.b": first}
    master.told = {"vm1": {"state": "ready", "minion_key": first}}
    assert master.guest_keys(keys) == {"steps": [], "silent": [], "failed": {}, "refused": {}}
    for key in (second, third):
        master.told = {"vm1": {"state": "ready", "minion_key": key}}
        assert [step["old"] for step in master.guest_keys(keys)["steps"]] == ["another's"]
        assert accepted(master) == {"vm1.b": key}


WRONG = [
    {"vm1": "text"},
    {"vm1": {}},
    {"vm1": {"state": "ready", "minion_key": ["a"]}},
    {"vm1": {"state": "ready", "minion_key": "no key"}},
    {"vm1": {"state": "ready", "minion_key": public_key() + "\n" * 4096}},
    {5: {"state": "ready"}},
    {f"vm{number}": {"state": "ready"} for number in range(10001)},
    [{"vm1": {"state": "ready"}}],
    5,
]


@pytest.mark.parametrize("answer", WRONG, ids=lambda answer: repr(answer)[:40])
def test_a_host_that_answers_in_another_form_costs_no_other(master, answer):
    """A whole ring's step ended in a traceback, and anything was taken for a key."""
    key = public_key()
    keys = {f"vm1.b{n}": {"host": f"ws{n}.b", "name": "vm1", "wanted": True} for n in (1, 2)}
    told = {"ws1.b": answer, "ws2.b": {"vm1": {"state": "ready", "minion_key": key}}}
    master.answer = lambda minions: told
    said = master.guest_keys(keys)
    assert [step["what"] for step in said["steps"]] == ["key of vm1.b2"]
    assert (said["silent"], list(said["failed"])) == ([], ["ws1.b"])
    assert said["failed"]["ws1.b"].startswith("its answer to libvirt_clone.list has not the form of one: ")
    assert accepted(master) == {"vm1.b2": key}


@pytest.mark.parametrize("failed, failures, result", [(0, 0, False), (0, 1, True), (1, 1, False), (1, 2, True)])
def test_a_key_that_must_stay_is_a_failure_of_the_step(failed, failures, result):
    step = {"do": "accept", "what": "key of vm2.b", "old": None, "new": "accepted"}
    said = {"steps": [step], "silent": ["ws3.b"]}
    said |= {
        "failed": {"ws4.b": "its answer is none"} if failed else {},
        "refused": {"vm1.b": "the key of vm1.b stays"},
    }
    salt = {
        **SALT,
        "onepass.step": tree.load("_modules/onepass.py").step,
        "saltutil.runner": lambda *_, **__: {"success": True, "return": said},
    }
    state = tree.load("_states/onepass.py", __salt__=salt, __opts__={"test": False})
    ret = state.guest_keys("keys", {}, failures=failures)
    assert (ret["result"], ret["changes"]) == (result, {"key of vm2.b": {"old": None, "new": "accepted"}})
    assert ret["comment"].splitlines() == [
        "1 accepted or withdrawn",
        "not asked, as they are silent: ws3.b",
        *["ws4.b: its answer is none"] * failed,
        "the key of vm1.b stays",
    ]
    said["steps"] = []
    ret = state.guest_keys("keys", {}, failures=failures)
    assert (ret["result"], ret["comment"].splitlines()[0]) == (result, "No key is to be accepted or withdrawn")


@pytest.mark.parametrize("stop", ["delete_key", "list_keys"])
def test_a_run_that_is_ended_between_note_and_key_is_repaired_by_the_next(master, monkeypatch, stop):
    keys = {"vm1.b": {"host": "ws1.b", "name": "vm1", "wanted": True}}
    first, second = public_key(), public_key()
    master.told = {"vm1": {"state": "ready", "minion_key": first}}
    master.guest_keys(keys)
    master.told = {"vm1": {"state": "ready", "minion_key": second}}
    with monkeypatch.context() as patch:
        patch.setattr(type(salt.key.get_key(master.__opts__)), stop, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            master.guest_keys(keys)
    assert accepted(master) == {"vm1.b": first}
    assert master.guest_keys(keys)["refused"] == {}
    assert accepted(master) == {"vm1.b": second}


def test_all_keys_are_read_once_and_who_is_known_already_need_not_authenticate_anew(master):
    """Salt's sign for a new AES key, upon which all minions authenticate, is a file in the master's cache."""
    cache, key = Path(master.__opts__["cachedir"]), public_key()
    counted = {}
    for count in (10, 100):
        names = [f"vm{number}" for number in range(count)]
        keys = {f"{name}.b{count}": {"host": "ws1.b", "name": name, "wanted": True} for name in names}
        master.told = {name: {"state": "ready", "minion_key": key} for name in names}
        with cProfile.Profile() as profile:
            assert len(master.guest_keys(keys)["steps"]) == count
        counted[count] = pstats.Stats(profile).total_calls
        assert master.guest_keys(keys)["steps"] == []
    assert not list(cache.glob(".dfn*"))
    assert counted[100] < 20 * counted[10]
    master.told = {}
    assert len(master.guest_keys(dict([keys.popitem()]))["steps"]) == 1
    assert list(cache.glob(".dfn*"))
