"""The whole site by the runner's commands, on a lab of real hosts: areas side by side, plans, failures, Ctrl-C."""

import html

import pytest

MONGODB = [f"mongodb-{phase}" for phase in ("daemons", "replica-sets", "routers", "shards", "collections", "verify")]

GREEN, GREY = "#c9ecd6", "#d5dbe1"  # of what is as wanted, and of what is silent


@pytest.fixture(scope="module")
def site(site_lab):
    return site_lab


@pytest.fixture(scope="module")
def first_run(site):
    return site.seen("run")


def test_one_run_builds_all_areas(site, first_run):
    code, out, err = first_run
    assert code == 0, out + err
    assert "orchestrate.site is done" in out
    assert site.exec("r1.dc", "systemctl is-active mongos mongod-s1").split() == ["active", "active"]
    site.assert_all_areas_are_there()


def test_areas_run_side_by_side(first_run):
    said = first_run[2]
    assert said.index("] branches-preflight") < said.index("] mongodb-daemons: 1 host")


def test_status_and_a_second_run_find_all_as_wanted(site, first_run):
    code, status = site.onepass("status")
    assert code == 0
    assert status["mongodb"]["sets"]["s1"]["members"]["r1.dc:27018"]["state"] == "PRIMARY"
    assert list(status["branches"]["branches"]) == ["cordoba"]
    assert status["openstack"]["projects"]["tellers"]["result"] == "same"
    assert [status[kind] for kind in ("code", "faults", "silent", "behind")] == [0, 0, 0, 0]
    code, second = site.onepass("run")
    assert second["causes"] == []
    assert (code, second["changes"], second["failed"]) == (0, 0, [])


def test_a_picture_shows_what_is_there(site, first_run):
    code, told = site.onepass("graph", "/root/estate.html", "state=True")
    assert (code, told) == (0, {"written": "/root/estate.html"})
    page = html.unescape(site.exec("hq", "cat /root/estate.html"))
    assert [name for name in ("r1.dc", "tellers", "win-001") if name not in page] == []
    assert page.count(GREEN) > 5
    assert page.count(GREY) == 1  # the legend's


def test_a_plan_runs_as_long_as_the_world_has_not_moved(site, first_run):
    site.exec("r1.dc", "systemctl stop mongos")
    code, planned = site.onepass("plan", "orchestrate.mongodb")
    assert code == 0
    assert [(row["host"], row["state"]) for row in planned["rows"]][:1] == [("r1.dc", "mongodb-mongos")]
    code, watched = site.onepass("watch", planned["jid"])
    assert (code, watched["test"], watched["changes"]) == (0, True, len(planned["rows"]))
    site.exec("r1.dc", "chmod 644 /etc/mongodb/keyfile")
    code, out, _ = site.seen("run", "orchestrate.mongodb", f"plan={planned['hash']}")
    assert code == 1
    assert "The world has moved" in out
    assert "+ mongodb-daemons: r1.dc: " in out
    assert site.exec("r1.dc", "systemctl is-active mongos || true").strip() == "inactive"
    site.exec("r1.dc", "chmod 400 /etc/mongodb/keyfile")
    code, run = site.onepass("run", "orchestrate.mongodb", f"plan={planned['hash']}")
    assert (code, run["changes"]) == (0, 1)


def test_a_failing_gate_stops_what_stands_on_it_and_no_other_area(site, first_run):
    site.exec("r1.dc", "chmod a-x /opt/mongodb/*/bin/mongod; systemctl stop mongod-s2")
    code, run = site.onepass("run")
    site.exec("r1.dc", "chmod a+x /opt/mongodb/*/bin/mongod")
    assert code == 1
    assert run["failed"] == MONGODB[:1]
    assert run["not begun"] == MONGODB[1:]
    assert "branches-canary-hosts-confirmed" in run["done"]
    [cause] = run["causes"]
    assert (cause["hosts"], cause["state"], cause["tolerated"]) == (["r1.dc"], "mongodb-mongod-s2", False)


def test_ctrl_c_ends_the_watching_and_anybody_can_go_on(site, first_run):
    site.exec("r1.dc", "systemctl stop mongos")
    run = site.spawn("salt-run", "onepass.run")
    said = []
    for line in run.stdout:
        said.append(line)
        if "mongodb-daemons: 1 host" in line:
            site.exec("hq", "pkill -INT --oldest -f [o]nepass.run")
    assert run.wait() == 1
    assert "goes on, and so does what its hosts are doing" in "".join(said)
    assert "soft_kill" not in "".join(said)  # which lets phases side by side go on
    [jid] = {line.split()[-1] for line in said if "salt-run onepass.watch" in line}
    site.exec("hq", f"test -s /var/cache/salt/master/proc/{jid}")  # Salt's own record of what runs
    code, out, err = site.seen("watch", jid)
    assert code == 0, out + err
    assert "orchestrate.site is done: 1 change in" in out
    assert jid in out


@pytest.mark.parametrize(
    "words, said",
    [
        (("explain", "20200101000000000000"), "No job 20200101000000000000 in the master's job cache"),
        (("run", "orchestrate.nothing"), "The orchestration did not run"),
        (("status", "areas=mongdb"), "areas: mongdb is unknown"),
        (("watch", "timeout=1"), "No orchestration began within 1 s"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(site, first_run, words, said):
    code, out, _ = site.seen(*words)
    assert code == 1
    assert said in out
    assert "Traceback" not in out


@pytest.fixture(scope="module")
def silent(site, first_run):
    """A host of the branch whose minion is off, for the tests from here on."""
    site.exec("ws002.cordoba", "systemctl stop salt-minion")
    site.patience(15)
    return "ws002.cordoba"


def test_silent_hosts_are_named(site, silent):
    code, status = site.onepass("status", "areas=branches", "timeout=15")
    assert (code, status["code"], status["silent"]) == (2, 2, 1)
    assert status["branches"]["silent"] == [silent]
    assert status["branches"]["branches"]["cordoba"]["silent"] == 1
    code, out, _ = site.seen("status", "areas=branches", "timeout=15")
    assert (code, out.count(silent)) == (2, 1)
    code, told = site.onepass("graph", "/root/silent.svg", "state=True", "timeout=15")
    assert (code, told) == (0, {"written": "/root/silent.svg", "silent": silent})
    assert site.exec("hq", "cat /root/silent.svg").count(GREY) > 1


def test_a_failing_branch_does_not_stop_the_data_centre(site, silent):
    code, out, _ = site.seen("run")
    assert code == 1
    failed, rest = out.split("not begun, a gate before it failed")
    gated, done = rest.split("done, for it stands on nothing that failed")
    assert "branches-canary-modules" in failed
    assert "branches-canary-hosts" in gated
    for phase in MONGODB:
        assert phase in done
    code, told = site.onepass("explain")
    [cause] = told["causes"]
    assert (cause["phase"], cause["hosts"]) == ("branches-canary-modules", [silent])
    assert f"salt {silent} test.ping" in cause["next"]
    assert cause["next"] in out
