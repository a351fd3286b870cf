"""The MongoDB formula: what follows from the pillar for one host."""

import copy
import fnmatch

import pytest
import yaml
from onepass_lib.core import form

from tree import ROOT, functions, load

PILLAR = yaml.safe_load((ROOT / "pillar/mongodb.sls").read_text())["mongodb"]
SALT = {**functions("onepass", __pillar__={}), **functions("mongo_options")}
SALT.update(
    {
        f"mongo_pillar.{name}": getattr(load("_modules/mongo_pillar.py", __salt__=SALT), name)
        for name in ("node", "site", "collections")
    }
)
mongo_config = load("_modules/mongo_config.py", __salt__=SALT)


def settings(minion, **changes):
    return mongo_config.settings(minion, {**copy.deepcopy(PILLAR), **changes})


def test_a_member_has_its_whole_configuration():
    [daemon] = settings("s1b.dc", oplog_mb=64, shutdown_timeout_ms=500)["daemons"]
    assert daemon["name"] == "mongod-s1"
    assert daemon["config"] == {
        "net": {"port": 27017, "bindIpAll": True},
        "security": {"keyFile": "/etc/mongodb/keyfile"},
        "systemLog": {
            "destination": "file",
            "path": "/var/log/mongodb/mongod-s1.log",
            "logAppend": True,
            "logRotate": "reopen",
        },
        "storage": {"dbPath": "/var/lib/mongodb/s1", "wiredTiger": {"engineConfig": {"cacheSizeGB": 1.0}}},
        "replication": {"replSetName": "s1", "oplogSizeMB": 64},
        "sharding": {"clusterRole": "shardsvr"},
        "setParameter": {"shutdownTimeoutMillisForSignaledShutdown": 500},
    }


def test_a_router_knows_all_config_servers_and_only_the_first_sets_up_the_cluster():
    first, second = settings("r1.dc"), settings("r2.dc")
    assert first["daemons"][0]["config"]["sharding"] == {"configDB": "cfg/cfg1.dc:27017,cfg2.dc:27017,cfg3.dc:27017"}
    assert (first["cluster"], second["cluster"]) == (True, False)
    assert first["router"] == {"host": "localhost", "port": 27017, "credentials": "mongodb:auth:admin"}


@pytest.mark.parametrize(
    "changes, size",
    [({}, None), ({"oplog_mb": 2048}, 2048), ({"options": {"replication": {"oplogSizeMB": 4096}}}, 4096)],
)
def test_each_member_that_holds_data_has_its_oplog(modules, pillar, changes, size):
    s1 = {"role": "shard", "members": ["a", {"host": "minion", "arbiterOnly": False}, "c"]}
    found = {}
    for arbiter in (False, True):
        s1["members"][1]["arbiterOnly"] = arbiter
        pillar({"mongodb": {**PILLAR, "replsets": {**PILLAR["replsets"], "s1": s1}, **changes}})
        shown = modules["state.show_sls"]("mongodb.replset")
        found[arbiter] = [arguments(body)["size_mb"] for id, body in shown.items() if id == "mongodb-oplog-s1"]
    assert found == {False: [size] if size else [], True: []}


def test_a_set_is_born_on_its_first_member():
    assert [settings(f"s1{letter}.dc")["replsets"][0]["first"] for letter in "abc"] == [True, False, False]


def test_options_are_laid_over_what_the_formula_writes():
    [daemon] = settings(
        "cfg1.dc", options={"net": {"maxIncomingConnections": 500}, "storage": {"directoryPerDB": True}}
    )["daemons"]
    assert daemon["config"]["net"] == {"port": 27017, "bindIpAll": True, "maxIncomingConnections": 500}
    assert daemon["config"]["storage"]["dbPath"] == "/var/lib/mongodb/cfg"
    assert daemon["config"]["sharding"] == {"clusterRole": "configsvr"}


@pytest.mark.parametrize("given, net", [({"bindIp": "localhost"}, {}), ({"ipv6": True}, {"bindIpAll": True})])
def test_bound_to_the_addresses_that_are_given(given, net):
    [daemon] = settings("cfg1.dc", options={"net": given})["daemons"]
    assert daemon["config"]["net"] == {"port": 27017, **net, **given}


def test_the_data_directory_that_is_given_is_made():
    [daemon] = settings("cfg1.dc", options={"storage": {"dbPath": "/data/db"}})["daemons"]
    assert daemon["data"] == daemon["config"]["storage"]["dbPath"] == "/data/db"


def test_a_log_that_goes_to_syslog_has_no_file():
    [daemon] = settings("cfg1.dc", options={"systemLog": {"destination": "syslog", "quiet": True}})["daemons"]
    assert daemon["config"]["systemLog"] == {"destination": "syslog", "quiet": True}
    assert daemon["log"] is None


@pytest.mark.parametrize("given", [{"path": "/srv/x.log"}, {"logAppend": False}, {"logRotate": "rename"}])
def test_a_log_of_the_sites_own_is_rotated_by_the_site(given):
    [daemon] = settings("cfg1.dc", options={"systemLog": given})["daemons"]
    assert daemon["log"] is None
    assert daemon["config"]["systemLog"].get("logRotate") == given.get("logRotate")


@pytest.mark.parametrize("has_jsonschema, left", [(True, None), (False, 5)])
def test_options_that_are_no_sections_are_left_to_the_check(monkeypatch, has_jsonschema, left):
    monkeypatch.setattr(form, "HAS_JSONSCHEMA", has_jsonschema)
    [daemon] = settings("s1a.dc", options={"net": 5, "storage": {"wiredTiger": None}})["daemons"]
    assert daemon["config"]["net"] == left
    assert daemon["config"]["storage"] == {"dbPath": "/var/lib/mongodb/s1", "wiredTiger": None}


@pytest.mark.parametrize(
    "install,programs,home",
    [
        ({"method": "package"}, "/usr/bin/mongod", None),
        ({"method": "present", "path": "/opt/mongo/bin"}, "/opt/mongo/bin/mongod", None),
        (
            {"method": "archive", "source": "salt://m.tgz", "source_hash": "sha256=0123456789abcdef" + 48 * "0"},
            "/opt/mongodb/0123456789ab/bin/mongod",
            "/opt/mongodb/0123456789ab",
        ),
        (
            {"method": "archive", "source": "https://files/m.tgz", "source_hash": "https://files/m.tgz.sha256?v=1"},
            "/opt/mongodb/ff5edacdd35d/bin/mongod",
            "/opt/mongodb/ff5edacdd35d",
        ),
    ],
)
def test_where_the_programs_are(install, programs, home):
    found = mongo_config.installation({"install": install})
    assert found["programs"]["mongod"] == programs
    assert home in (None, found["home"])


@pytest.mark.parametrize(
    "version,huge_pages", [("6.0", "never"), ("7.0", "never"), ("8.0", "always"), ("10.0", "always")]
)
def test_huge_pages_go_by_the_version(version, huge_pages):
    assert mongo_config.installation({"version": version})["huge_pages"] == huge_pages


def test_tls_reaches_servers_and_states():
    tls = {"mode": "requireTLS", "certificateKeyFile": "/etc/ssl/me.pem", "CAFile": "/etc/ssl/ca.pem"}
    found = settings("s1a.dc", tls=tls)
    assert found["daemons"][0]["config"]["net"]["tls"] == tls
    assert found["replsets"][0]["connection"] == {
        "host": "localhost",
        "port": 27017,
        "credentials": "mongodb:auth:admin",
        "tls": True,
        "tlsCAFile": "/etc/ssl/ca.pem",
        "tlsCertificateKeyFile": "/etc/ssl/me.pem",
    }


def test_the_order_of_fields_survives_the_sls(modules, pillar):
    """An index on (when, account) is another one than on (account, when); Salt's json filter would sort them."""
    indexes = [{"keys": {"when": -1, "account": 1}}]
    bank = {"collections": {"transfers": {"shard_key": {"when": 1, "account": 1}, "indexes": indexes}}}
    routers = {**PILLAR, "routers": ["minion"], "databases": {"bank": bank}}
    pillar({"mongodb": routers})
    shown = modules["state.show_sls"]("mongodb.collections")
    found = {id: arguments(body) for id, body in shown.items()}
    assert list(found["mongodb-collection-bank.transfers"]["key"]) == ["when", "account"]
    assert list(found["mongodb-indexes-bank.transfers"]["indexes"][0]["keys"]) == ["when", "account"]


@pytest.mark.parametrize(
    "missing, phases",
    [
        ((), "daemons replica-sets routers shards collections verify"),
        (("databases", "users"), "daemons replica-sets routers shards collections verify"),
        (("routers", "databases", "users"), "daemons replica-sets"),
    ],
)
def test_an_orchestration_has_no_phase_without_a_host_or_a_state(modules, pillar, missing, phases):
    pillar({"mongodb": {**{key: value for key, value in PILLAR.items() if key not in missing}, "routers": ["minion"]}})
    assert modules["state.show_low_sls"]("mongodb.collections")
    pillar({"mongodb": {key: value for key, value in PILLAR.items() if key not in missing}})
    chunks = [chunk for chunk in modules["state.show_low_sls"]("orchestrate.mongodb") if chunk["state"] == "salt"]
    names = [chunk["__id__"] for chunk in chunks]
    assert names == [f"mongodb-{phase}" for phase in phases.split()]
    required = [one for chunk in chunks for each in chunk["require"] for one in each.values()]
    assert required == ["mongodb-preflight", *names[:-1]]
    assert all(chunk["tgt"] for chunk in chunks)


def test_nothing_is_written_on_a_host_where_one_of_its_daemons_would_be_lost(modules, pillar):
    """Neither the key file, which its other daemons share."""
    shard = {"role": "shard", "members": ["minion:27018"]}
    replsets = {"cfg": {"role": "config", "members": ["minion:27019"]}, "s1": shard}
    pillar({"mongodb": {**PILLAR, "replsets": replsets, "routers": ["minion"]}})
    chunks = {chunk["__id__"]: chunk for chunk in modules["state.show_low_sls"]("mongodb.daemon")}
    places = {id for id in chunks if id.endswith("-place")}
    assert places == {f"mongodb-{name}-place" for name in ("mongod-cfg", "mongod-s1", "mongos")}
    assert set(chunks["mongodb-mongos-place"]["replsets"]) == {"cfg", "s1"}

    def named(id, *kinds):
        return {one for kind in kinds for each in chunks[id].get(kind, []) for one in each.values()}

    def needed(id):
        own = named(id, "require", "watch") | {other for other in chunks if id in named(other, "require_in")}
        return own.union(*map(needed, own))

    for id in set(chunks) - places:
        assert places <= needed(id), id


def test_names_that_look_like_numbers_or_truth_stay_names(modules, pillar):
    auth = {"keyfile": "a" * 8, "admin": {"username": "007", "password": "kept-out-of-sight"}}
    shard = {"role": "shard", "members": ["minion:27018"]}
    replsets = {"cfg": {"role": "config", "members": ["minion:27019"]}, "1": shard, "on": {**shard, "members": ["b"]}}
    databases = {"2024": {"collections": {"1": {"shard_key": {"a": 1}}}}}
    users = {"0": {"database": "2024", "roles": []}, "CN=t": {"database": "$external", "roles": []}}
    cluster = {"routers": ["minion"], "replsets": replsets, "databases": databases, "users": users, "auth": auth}
    pillar({"mongodb": {**PILLAR, **cluster}})
    given = [
        arguments(body)
        for sls in ("replset", "shards", "collections")
        for body in modules["state.show_sls"](f"mongodb.{sls}").values()
    ]
    names = [each.get("name", "") for each in given]
    assert {"1", "on", "cfg", "2024", "2024.1", "007", "0", "CN=t"} <= set(names)
    assert {each["name"]: (each["database"], each["password"]) for each in given if "password" in each} == {
        "0": ("2024", "mongodb:users:0:password"),
        "CN=t": ("$external", None),
    }


@pytest.mark.parametrize(
    "malformed",
    [
        {"replsets": {**PILLAR["replsets"], "s2": {"role": "shard", "members": "x: y"}}},
        {"replsets": {**PILLAR["replsets"], "s2": {"role": ["shard"], "members": [-1]}}},
        {"replsets": "x", "users": {"teller": {"database": {"a": b"x"}, "roles": 5}}},
        {"tls": {(1, 2): "requireTLS"}},
        {"install": {"method": "archive", "source_hash": ["a"]}},
        {"version": "8.0x: y", "install": "x: y"},
        {"default_rw_concern": {"read": {"a": {1}}}},
        {"timeout": "a: b", "databases": {"bank": 5}},
        {"gone": [{"host": "minion", "unit": "mongod-s9"}, {"host": "minion", "unit": "mongod-s9", "data": True}]},
    ],
)
def test_a_malformed_pillar_is_rendered_so_that_its_faults_are_what_is_told(modules, pillar, malformed):
    given = {**PILLAR, "routers": ["minion"], **malformed}
    pillar({})
    modules.pack["__pillar__"]["mongodb"] = given
    assert modules["mongo_pillar.faults"](given)
    assert "mongodb-pillar" in modules["state.show_sls"]("mongodb")


def test_a_host_that_only_has_a_daemon_to_lose_installs_nothing(modules, pillar):
    """Nor does one that has the pillar, and no part in it."""
    gone = [{"host": "minion", "unit": "mongod-s9"}, {"host": "other", "unit": "mongod-s9"}]
    pillar({"mongodb": {**PILLAR, "gone": gone}})
    shown = modules["state.show_sls"]("mongodb")
    assert set(shown) == {"mongodb-pillar", "mongodb-gone-mongod-s9"}
    given = arguments(shown["mongodb-gone-mongod-s9"])
    assert given["whole"]["hosts"] == ["minion", "other"]
    assert given["whole"]["config_servers"] == [f"cfg{number}.dc:27017" for number in (1, 2, 3)]
    pillar({"mongodb": PILLAR})
    assert set(modules["state.show_sls"]("mongodb")) == {"mongodb-pillar"}


def test_a_member_that_goes_alone_waits_for_its_set():
    gone = [{"host": "s9.dc", "unit": "mongod-s1"}]
    [daemon] = settings("s9.dc", gone=gone)["gone"]
    assert (daemon["whole"], daemon["hosts"], "credentials" in daemon["connection"]) == (
        None,
        [f"s1{letter}.dc:27017" for letter in "abc"],
        False,
    )


ODD = [
    "app:ro",
    "app #1",
    "app: ro",
    "CN=app,OU=Team #1",
    "{{ b }}",
    "'o'neil\"",
    "- x",
    "{x}",
    "- ",
    "t\u00e9ller",
    "\U0001f600",
]


def test_names_are_data_to_the_sls(modules, pillar):
    """Whatever YAML, Jinja or a pillar path would read as its own, in a highstate too."""
    users = {name: {"database": "bank", "roles": [], "password": f"of {name}"} for name in ODD}
    users["twice"] = {"name": ODD[0], "database": "admin", "roles": [], "password": "x"}
    names = [name.replace("$", "") for name in ODD]
    databases = {"bank": {"collections": {name: {"shard_key": {"a": 1}} for name in names}}}
    pillar({"mongodb": {**PILLAR, "routers": ["minion"], "databases": databases, "users": users}})
    for shown in (modules["state.show_sls"]("mongodb.collections"), modules["state.show_sls"]("mongodb")):
        assert {f"mongodb-user-{key}" for key in users} <= set(shown), shown
        assert {f"mongodb-{kind}-bank.{name}" for kind in ("collection", "indexes") for name in names} <= set(shown)
    given = [arguments(body) for id, body in shown.items() if id.startswith("mongodb-user-")]
    assert sorted(each["name"] for each in given) == sorted([*ODD, ODD[0]])
    user = load("_modules/mongo_user.py", __salt__=modules)
    assert {user._password(each["password"]) for each in given} == {each["password"] for each in users.values()}


def test_a_requisite_is_the_state_that_is_meant(modules, pillar):
    """Salt takes a requisite for a pattern: [1] would be the character 1."""
    collections = {name: {"shard_key": {"a": 1}} for name in ("a[1]", "a1", "a*", "a?", "a[!b]")}
    pillar(
        {"mongodb": {**PILLAR, "routers": ["minion"], "databases": {"b[1]": {"collections": collections}, "b1": {}}}}
    )
    shown = modules["state.show_sls"]("mongodb.collections")
    for id, body in shown.items():
        for [wanted] in (each.values() for each in arguments(body).get("require", [])):
            kind = "indexes" if id.startswith("mongodb-collection") else "database"
            meant = id.replace("collection", kind, 1) if kind == "indexes" else "mongodb-database-b[1]"
            assert fnmatch.filter(shown, wanted) == [meant]


def arguments(body):
    """A rendered state's arguments."""
    [state] = [body[module] for module in body if module.startswith("mongo_")]
    return {key: value for part in state if isinstance(part, dict) for key, value in part.items()}
