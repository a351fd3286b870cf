"""``salt-run onepass.check``: the pillar's faults, and what only a master knows of minions; all at once."""

import contextlib

import pytest
import salt.exceptions
from salt.exceptions import CommandExecutionError

import tree

HOSTS = ("s1a.dc", "s1b.dc", "r1.dc")
KEYS = {"minions": ["hq", *HOSTS], "minions_pre": [], "minions_rejected": [], "minions_denied": []}
PILLAR = {"mongodb": {"auth": {"keyfile": "hush"}}}
SERVED, NOT_THERE = "5e17ed", "'onepass.fingerprint' is not available."


class Modules(dict):
    """The execution modules as the runner asks them; ``told`` is what it handed in."""

    def __init__(self, faults=(), hosts=HOSTS):
        self.told = []
        places = {host: f"mongodb:replsets:s1:members:{number}" for number, host in enumerate(hosts)}
        answers = {"faults": list(faults), "places": places, "summary": {"replica sets": 1, "members": 3, "routers": 2}}
        super().__init__({f"mongo_pillar.{name}": self.answer(answer) for name, answer in answers.items()})
        self.update({"mongo_estate.doubts": lambda pillar: [], "mongo_estate.refused": lambda answers, pillar: []})

    def answer(self, answer):
        def called(pillar):
            self.told.append(pillar)
            return answer

        return called


@pytest.fixture
def master(monkeypatch):
    """A master: ``master(keys=..., modules=..., silent=..., pillar=...)`` is the runner beside it."""

    def runner(keys=KEYS, modules=None, silent=(), pillar=PILLAR, blank=(), unreached=(), busy=(), serves=True):
        asked = []

        def gathered(minions, function, arg, timeout):
            asked.append((minions, function, arg, timeout))
            if function[0] == "onepass.fingerprint":
                told = {minion: NOT_THERE if minion in blank else SERVED for minion in minions}
                there = [minion for minion in minions if minion not in [*silent, *busy]]
                told = {minion: {**dict.fromkeys(function, True), function[0]: told[minion]} for minion in there}
                return told, dict.fromkeys(busy, f"is busy with {', '.join(function)} since 60 s")
            done = {"saltutil.sync_modules": ["modules.onepass"], "saltutil.sync_states": []}
            return {minion: done for minion in minions if minion not in unreached}, {}

        opts = {"id": "hq_master", "pillar": pillar}
        answers = tree.functions("onepass_answers", "_runners")
        hosts = tree.load("_runners/onepass_hosts.py", __opts__=opts, __salt__={**answers})
        monkeypatch.setattr(hosts, "_gathered", gathered)
        monkeypatch.setattr(hosts, "_fingerprint", lambda: SERVED)
        monkeypatch.setattr(hosts, "_is_served", lambda: serves)
        key = type("Key", (), {"list_keys": lambda self: keys})
        monkeypatch.setattr(hosts.salt.key, "get_key", lambda opts: key())
        beside = answers | {f"onepass_hosts.{name}": getattr(hosts, name) for name in ("look", "sync", "ask")}
        beside["onepass_hosts.refuse_outdated"] = lambda: None
        module = tree.load("_runners/onepass.py", __opts__=opts, __salt__=beside)
        module.asked = asked
        monkeypatch.setattr(module, "_execution_modules", lambda: modules if modules is not None else Modules())
        return module

    return runner


def refusal(module, **arguments):
    with pytest.raises(CommandExecutionError) as caught:
        module.check(**arguments)
    return str(caught.value).splitlines()


def test_good_site(master):
    modules = Modules()
    module = master(modules=modules)
    assert module.check() == {"mongodb": "ok: 1 replica set, 3 members, 2 routers", "modules": "ok"}
    assert modules.told == [PILLAR["mongodb"]] * 3


def test_one_question_to_all(master):
    module = master()
    module.check(timeout=7)
    assert module.asked == [(list(HOSTS), ["onepass.fingerprint"], [[]], 7)]


def test_with_the_modules_the_pillar_is_brought_too(master):
    """A minion that had its pillar before it was written was asked for the cluster's status with the old one."""
    module = master()
    module.check(timeout=7, sync=True)
    both = ["onepass.fingerprint", "saltutil.refresh_pillar"]
    assert module.asked == [(list(HOSTS), both, [[], []], 7)]


def test_what_a_run_would_refuse_is_refused_before_it(master):
    """A member was left out without remove_extra: only the run said so, after minutes of waiting."""
    modules, told = Modules(), []
    question = {"minions": ["s1a.dc"], "function": "mongo_daemon.extras", "arg": []}
    fault = {"path": "mongodb:replsets:s1:members", "fault": "the set has members", "remedy": "remove_extra"}
    modules["mongo_estate.doubts"] = lambda pillar: [question]
    modules["mongo_estate.refused"] = lambda answers, pillar: told.append(answers) or [fault]
    assert refusal(master(modules=modules))[1:] == ["  mongodb:replsets:s1:members: the set has members; remove_extra"]
    assert len(told) == 1
    assert len(refusal(master(modules=modules, silent=["r1.dc"]))) == 2
    assert len(told) == 1  # nobody is asked about the world while the pillar or a host is at fault


def test_who_fetches_modules_is_waited_for_longer_than_who_answers_a_question(monkeypatch):
    """A host under load was given up after a minute, while it was at it."""
    hosts, limits = tree.load("_runners/onepass_hosts.py", __opts__={"conf_file": None}), []
    monkeypatch.setattr(hosts.salt.client, "get_local_client", lambda conf: contextlib.nullcontext())
    monkeypatch.setattr(hosts, "_returned", lambda *given: (limits.append(given[-1]), (None, {}))[1])
    hosts._gathered(["s1a.dc"], ["saltutil.sync_modules", "saltutil.sync_states"], [[], []], 15)
    hosts._gathered(["s1a.dc"], "onepass.fingerprint", [], 15)
    assert limits == [600, 60]


def test_other_modules_are_told(master):
    module = master(blank=["s1b.dc"])
    assert module.check()["modules"] == {"to be brought by the run to": ["s1b.dc"]}
    assert len(module.asked) == 1


def test_other_modules_are_replaced_on_request(master):
    module = master(blank=["s1b.dc", "r1.dc"])
    assert module.check(sync=True)["modules"] == {"brought to": ["r1.dc", "s1b.dc"]}
    (minions, functions, *_) = module.asked[1]
    assert (minions, functions) == (["r1.dc", "s1b.dc"], ["saltutil.sync_modules", "saltutil.sync_states"])


def test_modules_that_do_not_arrive_are_a_failure(master):
    module = master(blank=["s1b.dc", "r1.dc"], unreached=["r1.dc"])
    assert refusal(module, sync=True) == ["The master's modules did not reach", "  r1.dc: None"]


def test_where_the_master_serves_no_modules_a_minion_with_others_is_a_fault(master):
    """A run said that it had brought the modules, and ended at a state that nobody had."""
    assert refusal(master(blank=["s1b.dc"], serves=False), sync=True)[1:] == [
        "  mongodb:replsets:s1:members:1: minion s1b.dc has not the modules that the master has, "
        "and the master serves none; the same version there by salt-pip, "
        "then saltutil.sync_all and a restart of its salt-minion"
    ]
    assert master(serves=False).check(sync=True)["modules"] == "ok"


def test_a_fault_keeps_the_modules_where_they_are(master):
    module = master(blank=["s1b.dc"], silent=["r1.dc"])
    refusal(module, sync=True)
    assert len(module.asked) == 1


def test_faults_by_the_thousand_are_counted(master):
    faults = [{"path": f"mongodb:{n}", "fault": "is the number 0", "remedy": "none"} for n in range(1000)]
    told = refusal(master(modules=Modules(faults)))
    assert (told[0], told[100], told[101]) == (
        "1000 faults, no host was touched",
        "  mongodb:99: is the number 0; none",
        "  and 900 more",
    )


def test_everything_is_told_at_once(master):
    keys = {
        "minions": ["hq", "s1a.dc", "s1bb.dc", "r1.dc"],
        "minions_pre": ["new.dc"],
        "minions_rejected": ["old.dc"],
        "minions_denied": ["twin.dc"],
    }
    fault = {"path": "mongodb:port", "fault": "is the number 0", "remedy": "a port, 1 to 65535"}
    hosts = ("s1a.dc", "s1b.dc", "new.dc", "old.dc", "twin.dc", "nobody", "r1.dc")
    module = master(keys=keys, modules=Modules([fault], hosts), silent=["r1.dc"])
    assert refusal(module) == [
        "7 faults, no host was touched",
        "  mongodb:port: is the number 0; a port, 1 to 65535",
        "  mongodb:replsets:s1:members:1: no minion has the id 's1b.dc'; did you mean 's1bb.dc'?",
        "  mongodb:replsets:s1:members:2: the key of minion new.dc is not accepted yet; salt-key -a new.dc",
        "  mongodb:replsets:s1:members:3: the key of minion old.dc is rejected; "
        "salt-key -d old.dc, then restart that minion",
        "  mongodb:replsets:s1:members:4: the key of minion twin.dc is denied, another minion has its id; "
        "salt-key -d twin.dc, then restart the right minion",
        "  mongodb:replsets:s1:members:5: no minion has the id 'nobody'; a minion of that id, its key accepted",
        "  mongodb:replsets:s1:members:6: minion r1.dc does not answer within 15 s; "
        "a running salt-minion on that host, connected to this master",
    ]


def test_a_program_is_given_numbers_and_lists(master):
    fault = {"path": "mongodb:port", "fault": "is the number 0", "remedy": "a port, 1 to 65535"}
    for module, told in (
        (master(modules=Modules([fault])), {"code": 1, "faults": [fault], "retcode": 1}),
        (
            master(blank=["r1.dc"]),
            {
                "code": 0,
                "faults": [],
                "mongodb": {"replica sets": 1, "members": 3, "routers": 2},
                "modules": {"others": ["r1.dc"]},
            },
        ),
    ):
        module.__opts__.update(fun="onepass.check", output="json")
        assert module.check() == told
        module.__opts__["fun"] = "onepass.run"
        if told["faults"]:
            refusal(module)
        else:
            assert module.check()["mongodb"].startswith("ok: 1 replica set")


def test_a_host_that_is_busy_without_end_is_told_from_one_that_is_off(master):
    module = master(busy=["r1.dc"])
    assert refusal(module, sync=True)[1:] == [
        "  mongodb:replsets:s1:members:2: minion r1.dc is busy with onepass.fingerprint, saltutil.refresh_pillar since "
        "60 s; "
        "what hangs on that host: salt r1.dc saltutil.running, its log",
    ]
    assert len(module.asked) == 1


def test_who_typed_the_command_is_told_how_to_go_on(master):
    module = master(silent=["r1.dc"])
    module.__opts__["fun"] = "onepass.check"
    assert refusal(module)[-1].endswith("salt-run onepass.solution 'the message'")


def test_an_id_of_the_pillar_is_no_suggestion(master):
    module = master(modules=Modules(hosts=(*HOSTS, "s1c.dc")))
    assert refusal(module)[1].endswith("no minion has the id 's1c.dc'; a minion of that id, its key accepted")


def test_salt_shows_a_refusal_without_a_traceback(master):
    """Salt's runner client does so for this class of its own."""
    assert issubclass(master().Refusal, salt.exceptions.NotImplemented)


def test_no_key_accepted_no_question(master):
    module = master(keys={**KEYS, "minions": []})
    assert len(refusal(module)) == 4
    assert module.asked == []


@pytest.mark.parametrize("areas", ["mongodb", ["mongodb"]])
def test_areas_asked_for(master, areas):
    assert list(master().check(areas=areas)) == ["mongodb", "modules"]


def test_an_area_is_told_the_minions_of_those_before_it(master):
    modules, told = Modules(hosts=("r1.dc",)), []
    fault = {"path": "dc.sls:7: branch:hosts:r1", "fault": "is the minion r1.dc, as mongodb:at is", "remedy": "one"}
    modules["branch_fleet.faults"] = lambda pillar, others: told.append(others) or [fault]
    modules["branch_fleet.places"] = lambda pillar: {}
    assert refusal(master(modules=modules, pillar={**PILLAR, "branches": {}}), areas="branches")[1:] == [
        "  dc.sls:7: branch:hosts:r1: is the minion r1.dc, as mongodb:at is; one"
    ]
    assert told == [{"r1.dc": "mongodb:replsets:s1:members:0"}]


def test_unknown_area(master):
    assert refusal(master(), areas="mongdb") == [
        "areas: mongdb is unknown; known are mongodb, openstack, ds389, branches"
    ]


def test_pillar_without_any_area(master):
    (line,) = refusal(master(pillar={"branch": {}}))
    assert line.startswith("The pillar of hq_master has none of mongodb, openstack, ds389, branches")


@pytest.mark.parametrize("command", ["check", "status"])
def test_an_area_that_the_pillar_does_not_have(master, command):
    with pytest.raises(CommandExecutionError, match=r"The pillar of hq_master has none of openstack; .*top\.sls"):
        getattr(master(), command)(areas=["mongodb", "openstack"])


def test_pillar_that_does_not_compile(master):
    broken = {"_errors": ["Specified SLS 'secrets.mongodb' in environment 'base' is not available on the salt master"]}
    assert refusal(master(pillar=broken)) == ["the pillar cannot be compiled", f"  {broken['_errors'][0]}"]


def test_master_without_the_modules(master):
    (line,) = refusal(master(modules={}))
    assert line.endswith("salt-run saltutil.sync_all")


def test_what_a_module_needs_is_told(master):
    def faults(pillar):
        raise CommandExecutionError("This needs jsonschema 4 in Salt's Python")

    assert refusal(master(modules={"mongo_pillar.faults": faults})) == [
        "mongodb: This needs jsonschema 4 in Salt's Python"
    ]


def test_outside_of_an_orchestration_the_masters_pillar_is_compiled(master, monkeypatch):
    module = master(pillar={})
    asked = []

    class Compiler:
        def __init__(self, opts, grains, minion, **kwargs):
            asked.append((minion, grains))

        def compile_pillar(self):
            return PILLAR

    monkeypatch.setattr(module.salt.loader, "grains", lambda opts: {"os": "Debian"})
    monkeypatch.setattr(module.salt.pillar, "get_pillar", Compiler)
    assert list(module.check()) == ["mongodb", "modules"]
    assert asked == [("hq_master", {"os": "Debian"})]


def test_a_pillar_that_is_no_yaml_is_told_with_file_line_and_column(master, tmp_path):
    (tmp_path / "site.sls").write_text("mongodb:\n  auth: {}\n\tport: 0\n")
    (tmp_path / "jinja.sls").write_text("{% if x %}\n\ta: 1\n{% endif %}")
    files = tree.load("_modules/pillar_files.py")
    modules = Modules([])
    modules.update({"pillar_files.unread": files.unread, "pillar_files.below": files.below})
    module = master(pillar={"_errors": ["Rendering SLS 'site' failed."]}, modules=modules)
    module.__opts__["pillar_roots"] = {"base": [str(tmp_path)]}
    assert refusal(module) == [
        "the pillar cannot be compiled",
        f"  {tmp_path}/site.sls:3:1: YAML cannot read this: a tab, where blanks are wanted",
        "  Rendering SLS 'site' failed.",
    ]


def test_a_fault_is_told_with_its_file_and_line(master, tmp_path):
    (tmp_path / "site.sls").write_text("mongodb:\n  auth: {}\n  port: 0\n")
    files = tree.load("_modules/pillar_files.py")
    modules = Modules([{"path": "mongodb:port", "fault": "is the number 0", "remedy": "a port, 1 to 65535"}])
    modules.update({"pillar_files.located": files.located, "pillar_files.below": files.below})
    module = master(modules=modules)
    module.__opts__["pillar_roots"] = {"base": [str(tmp_path)]}
    expected = f"  mongodb:port ({tmp_path}/site.sls:3): is the number 0; a port, 1 to 65535"
    assert refusal(module)[1] == expected


def test_an_id_in_other_capitals_is_named(master):
    keys = {**KEYS, "minions": ["hq", "S1A.DC", "s1b.dc", "r1.dc"]}
    assert "no minion has the id 's1a.dc'; did you mean 'S1A.DC'?" in "\n".join(refusal(master(keys=keys)))


AREAS = {
    "mongodb": {"replsets": {"s1": {"role": "shard", "members": ["s1a.dc"]}}, "routers": ["r1.dc"]},
    "branch": {"name": "rosario", "gateway": {"host": "gw"}, "hosts": {"ws017": {}}},
    "openstack": {"minion": "api.dc"},
}


@pytest.mark.parametrize(
    "area, minion, other, path",
    [
        ("mongodb", "s1a.dc", "S1A.dc", "mongodb:replsets:s1:members:0"),
        ("mongodb", "r1.dc", "r1.DC", "mongodb:routers:0"),
        ("branch", "ws017.rosario", "WS017.rosario", "branch:hosts:ws017"),
        ("openstack", "api.dc", "API.dc", "openstack:minion"),
    ],
)
def test_a_minion_that_its_pillar_names_in_other_capitals_is_refused_and_not_passed_over(area, minion, other, path):
    salt = tree.functions("onepass", __pillar__=AREAS)
    for name in ("mongo_pillar", "branch_pillar", "neutron_rules"):
        salt.update(tree.functions(name, __salt__=salt, __pillar__=AREAS, __grains__={"id": "hq"}))
    salt.update(dict.fromkeys(("mongo_pillar.check", "branch_pillar.check", "neutron_vlan.lint"), lambda: None))
    for here, good in ((minion, True), (other, False), (f"other-{minion}", True)):
        state = tree.load("_states/onepass.py", __salt__=salt, __grains__={"id": here})
        ret = state.pillar_valid(area)
        assert ret["result"] is good, ret["comment"]
        said = f"{path} names {minion}, and this minion's id is {other}: the capitals of an id count; "
        assert good or ret["comment"].startswith(said)
