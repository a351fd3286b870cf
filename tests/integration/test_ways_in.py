"""The three ways to use Onepass, each from a fresh clone's twin: in place, served (file roots, gitfs), installed."""

import getpass
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from salt.config import master_config

import mongods
import tree

SALT_SCRIPTS = Path(sys.executable).parent
REMOTE = "https://git.example.com/onepass.git"
LEAN = {"enable_gpu_grains": False, "enable_fqdns_grains": False}
PARTS = {*tree.KINDS, "orchestrate"}  # linked in salt/: file roots follow the links, gitfs lists them as files


@pytest.fixture(scope="module")
def mongod(mongod_binary):
    with mongods.factory(mongod_binary) as start:
        yield start()[0]


def names(kind):
    return {path.stem for path in tree.sources(kind)}


def loadable():
    """The states that this Python can have: one of them needs a library that is compiled."""
    return names("_states") - ({"libvirt_clone"} if importlib.util.find_spec("libvirt") is None else set())


def run(*command, cwd=None):
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


# In place: salt-call --local -m .


@pytest.fixture(scope="module")
def config_dir(tmp_path_factory):
    """A configuration that keeps what Salt writes in a temporary directory, so that the tests need no root."""
    root = tmp_path_factory.mktemp("local")
    settings = {"root_dir": str(root), "id": "local", "user": getpass.getuser(), **LEAN}
    for program in ("minion", "master"):
        (root / program).write_text(yaml.safe_dump(settings))
    return root


@pytest.fixture(scope="module")
def salt_call(config_dir):
    """Run ``salt-call --local`` and answer what the function returned."""

    def call(*words, cwd, python=sys.executable):
        script = [python, SALT_SCRIPTS / "salt-call", "--local", "--config-dir", config_dir, "--out=json"]
        return json.loads(run(*script, *words, cwd=cwd))["local"]

    return call


def test_in_place_modules_reach_a_server(salt_call, clone, mongod):
    said = salt_call("-m", ".", "mongo_client.hello", f"connection=mongodb://{mongod.address}", cwd=clone)
    assert said["isWritablePrimary"] is True


def test_in_place_states_are_there(salt_call, clone):
    assert loadable() <= set(salt_call("-m", ".", "sys.list_state_modules", cwd=clone))


# Served by a master


def from_checkout(clone):
    text = (clone / "docs/adopt/file_roots.conf").read_text().replace("/srv/onepass", str(clone))
    return yaml.safe_load(text.replace("/srv/", f"{clone.parent}/yours/"))


def from_git(clone):
    commit(clone)
    text = (clone / "docs/adopt/gitfs.conf").read_text().replace(REMOTE, f"file://{clone}/.git")
    return {**yaml.safe_load(text), "gitfs_provider": "gitpython", "file_roots": {"base": []}}


def from_pip(clone):
    """Modules, states and runners by pip; of the repository the formulas and the orchestrations alone."""
    served = from_git(clone)
    remotes = [entry for remote in served["gitfs_remotes"] for entry in remote.values()]
    kept = [not any(part.get("mountpoint", "").startswith("salt://_") for part in entry) for entry in remotes]
    return {**served, "gitfs_remotes": [each for each, keep in zip(served["gitfs_remotes"], kept, strict=True) if keep]}


def commit(clone):
    anybody = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    for words in (
        ["init", "-q", "-b", "main"],
        ["add", "--all"],
        ["commit", "-q", "--no-verify", "--allow-empty", "--message=all"],
    ):
        run("git", *anybody, *words, cwd=clone)


QUIET = {"log_level_logfile": "warning"}


@pytest.fixture(scope="module", params=[from_checkout, from_git, from_pip], ids=["file_roots", "gitfs", "pip"])
def estate(request, salt_factories, clone, tmp_path_factory):
    """A master configured as docs/adopt says, a minion of its own, and the pillar of both."""
    way, pillar = request.param.__name__[-3:], tmp_path_factory.mktemp("pillar")
    (pillar / "top.sls").write_text("base: {'*': [given]}")
    (pillar / "given.sls").write_text("{}")
    served = {**request.param(clone), **QUIET, "pillar_roots": {"base": [str(pillar)]}}
    master = salt_factories.salt_master_daemon(f"m{way}", overrides=served)
    if request.param is from_pip:
        master.python_executable = str(request.getfixturevalue("installed"))
    with master.started():
        minion = master.salt_minion_daemon(f"n{way}", overrides={**LEAN, **QUIET})
        minion.python_executable = master.python_executable
        with minion.started():
            yield master, minion, pillar / "given.sls"


@pytest.fixture
def onepass(estate):
    """A command of the runner as a program calls it: exit code and what it answered."""

    def typed(function, *words):
        ran = estate[0].salt_run_cli(timeout=600).run(f"onepass.{function}", *words)
        assert isinstance(ran.data, dict), ran
        return ran.returncode, ran.data

    return typed


def test_one_run_with_what_the_page_prints_before_it(estate, onepass, site):
    """A master that has fetched nothing, a minion that nobody has brought anything, a real Keystone and Neutron."""
    master, minion, given = estate
    given.write_text(json.dumps({"openstack": {**site.table(2), "minion": minion.id}}))
    for function in printed("README.md"):
        assert master.salt_run_cli(timeout=600).run(function).returncode == 0
    code, checked = onepass("check")
    by_pip = "pip" in minion.id
    assert (code, checked["code"], checked["modules"]["others"]) == (0, 0, [] if by_pip else [minion.id])
    code, plan = onepass("plan", "orchestrate.openstack")
    assert code == 0 and plan["rows"] and bool(plan["done"]) is not by_pip
    code, done = onepass("run", "orchestrate.openstack", f"plan={plan['hash']}")
    assert (code, done["failed"]) == (0, []) and done["changes"] > 0
    assert [site.network(number).provider_segmentation_id for number in range(2)] == [site.first, site.first + 1]
    code, again = onepass("run", "orchestrate.openstack")
    assert (code, again["changes"], again["failed"]) == (0, 0, [])
    code, status = onepass("status")
    assert (code, status["code"], status["silent"]) == (0, 0, 0)


def files_below(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_served_files_are_the_bundle_and_never_its_pillar(estate, clone):
    master, minion, _ = estate
    found = set(master.salt_cli(timeout=600).run("cp.list_master", minion_tgt=minion.id).data)
    parts = PARTS - (set(tree.KINDS) if "pip" in minion.id else set())
    wanted = {str(path) for path in files_below(clone / "salt") if path.parts[0] not in PARTS}
    wanted |= {f"{part}/{path}" for part in parts for path in files_below(clone / part)}
    assert found - PARTS == wanted
    assert {"top.sls", "orchestrate/mongodb.sls"} <= found
    assert not [name for name in found if "pillar" in Path(name).parts]


SERVED = pytest.mark.parametrize("estate", [from_checkout, from_git], ids=["file_roots", "gitfs"], indirect=True)


@SERVED
def test_served_modules_and_states_arrive(estate, mongod):
    master, minion, _ = estate
    salt = master.salt_cli(timeout=600)
    salt.run("saltutil.sync_all", minion_tgt=minion.id)
    arrived = Path(minion.config["extension_modules"])
    for kind in ("_modules", "_states"):
        assert {path.stem for path in (arrived / kind[1:]).glob("*.py")} == names(kind)
    fetched = {path.relative_to(arrived / "modules") for path in (arrived / "modules/onepass_lib").rglob("*.py")}
    assert fetched == {path.relative_to(tree.ROOT / "_modules") for path in tree.library()}
    assert salt.run("onepass.fingerprint", minion_tgt=minion.id).data == served_fingerprint(master)
    said = salt.run("mongo_client.hello", connection=f"mongodb://{mongod.address}", minion_tgt=minion.id).data
    assert said["isWritablePrimary"] is True
    assert loadable() <= set(salt.run("sys.list_state_modules", minion_tgt=minion.id).data)


def served_fingerprint(master):
    """What ``onepass.check`` holds a minion's own fingerprint against."""
    return tree.load("_runners/onepass_hosts.py", __opts__=master_config(master.config_file))._fingerprint()


@SERVED
def test_served_runners_arrive(estate):
    master, *_ = estate
    salt_run = master.salt_run_cli(timeout=600)
    salt_run.run("saltutil.sync_all")
    arrived = Path(master.config["extension_modules"]) / "runners"
    assert {path.stem for path in arrived.glob("*.py")} == names("_runners")
    assert "onepass.check:" in salt_run.run("--doc", "onepass").stdout


@pytest.mark.parametrize("estate", [from_pip], ids=["pip"], indirect=True)
def test_a_minion_that_pip_did_not_reach_is_named_before_a_run(estate, onepass, site):
    master, _, given = estate
    blank = master.salt_minion_daemon("blank", overrides={**LEAN, **QUIET})
    blank.python_executable = sys.executable
    with blank.started():
        given.write_text(json.dumps({"openstack": {**site.table(1), "minion": "blank"}}))
        code, said = onepass("check")
        [fault] = said["faults"]
    assert (code, fault["path"]) == (1, "openstack:minion")
    assert fault["fault"].startswith("minion blank has not the modules that the master has, and the master serves none")


PRINTED = {
    "README.md": ("Then, on the master:", "2. "),
    "docs/howto.md": ("## Adopt it", "\n## "),
    "docs/howto.md, Upgrade": ("## Upgrade Onepass", "\n## "),
    "docs/tutorial.md": ("Either way the master", "\n## "),
}


def printed(place):
    """The functions by which a page has the master fetch what it serves, in its order."""
    begin, end = PRINTED[place]
    part = (tree.ROOT / place.partition(",")[0]).read_text().split(begin)[1].split(end)[0]
    return re.findall(r"salt-run ((?:fileserver|saltutil)\.\w+)", part)


def test_every_page_prints_the_same_commands_to_fetch_what_is_served():
    assert {place: printed(place) for place in PRINTED} == dict.fromkeys(PRINTED, printed("README.md"))


@pytest.mark.parametrize("way", [from_checkout, from_git], ids=["file_roots", "gitfs"])
def test_printed_commands_fetch_all_from_a_cold_cache_and_what_is_new_later(way, clone, tmp_path):
    mine = shutil.copytree(clone, tmp_path / "onepass", symlinks=True, ignore=shutil.ignore_patterns(".git"))
    settings = {
        "root_dir": str(tmp_path),
        "user": getpass.getuser(),
        "fileserver_list_cache_time": 3600,
    }  # not by waiting
    (tmp_path / "master").write_text(yaml.safe_dump({**settings, **way(mine)}))
    (tmp_path / "var/cache/salt/master/proc").mkdir(parents=True)  # a master that has run once has it

    def salt_run(function):
        return run(SALT_SCRIPTS / "salt-run", "--config-dir", tmp_path, "--out=json", function)

    salt_run("saltutil.sync_all")  # too early, as somebody who does not read
    for function in printed("README.md"):
        salt_run(function)
    arrived = tmp_path / "var/cache/salt/master/extmods"
    for kind in tree.KINDS:
        assert {path.stem for path in (arrived / kind[1:]).glob("*.py")} == names(kind)
    (mine / "_modules/later.py").write_text('"""One more."""\n\n\ndef one():\n    return 1\n')
    if way is from_git:
        commit(mine)
    synced = json.loads([salt_run(function) for function in printed("docs/howto.md, Upgrade")][-1])
    assert synced["modules"] == ["modules.later"]


# Installed


@pytest.fixture(scope="module")
def wheel(clone, tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--wheel-dir", out, clone)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The Python of a new environment with the wheel in it, and Salt by way of the environment that runs the tests."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    site_packages = [
        run(path, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))") for path in (python, sys.executable)
    ]
    (Path(site_packages[0].strip()) / "salt.pth").write_text(site_packages[1])
    run(sys.executable, "-m", "pip", "-q", "--python", python, "install", "--no-deps", "--no-index", wheel)
    return python


def test_wheel_holds_the_three_packages_only(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {
        f"saltext/onepass/{str(path.relative_to(tree.ROOT)).removeprefix('_')}"
        for path in (*tree.library(), *(path for kind in tree.KINDS for path in tree.sources(kind)))
    }


def test_installed_it_shows_as_an_extension(installed, config_dir):
    report = run(installed, SALT_SCRIPTS / "salt-call", "--local", "--config-dir", config_dir, "--versions-report")
    assert "saltext.onepass: 0.1.0" in report


def test_installed_modules_and_states_are_there(installed, salt_call, mongod, tmp_path):
    said = salt_call("mongo_client.hello", f"connection=mongodb://{mongod.address}", cwd=tmp_path, python=installed)
    assert said["isWritablePrimary"] is True
    assert loadable() <= set(salt_call("sys.list_state_modules", cwd=tmp_path, python=installed))


def test_installed_runners_are_there(installed, config_dir, tmp_path):
    command = [installed, SALT_SCRIPTS / "salt-run", "--config-dir", config_dir, "--doc", "onepass"]
    assert "onepass.check:" in run(*command, cwd=tmp_path)
