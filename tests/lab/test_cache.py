"""What labs share is complete and of these sources, or is not used; and what is said of folders that do not do."""

import contextlib
import fcntl
import glob
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import cache
import machine
import pytest
import yaml
from labtool import HERE, command, lab, traces

from segments import wait_until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
LABELS = {"image": "image", "archive": "MongoDB archive", "kvm": "KVM hosts"}
BUILD = """#!/bin/sh
set -eu
for target; do true; done
mkdir -p "$target/root" "$target/mongodb/bin"
env > "$target/environment"
echo "at work"
slow="$(dirname "$0")/../slow"
if [ -e "$slow" ]; then
    mount -t tmpfs tmpfs "$target/root"
    sleep 300 & sleep 300
fi
"""


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def part(tmp_path, monkeypatch):
    """A function that gives a part whose build is this shell script, in a cache of the test's own."""
    monkeypatch.setattr(cache, "CACHE", tmp_path / "onepass-lab")

    def of(text, name="0123456789ab"):
        build = script(tmp_path / "build", f"#!/bin/sh\nset -eu\n{text}\n")
        return cache.Part("thing", cache.CACHE / name, [build], 0.1)

    return of


# --- Builds ---


@needs_root
def test_a_build_whose_check_fails_leaves_nothing_and_says_all_that_is_missing(part):
    check = "".join(f"echo 'missing in it: {name} --version (not found)' >&2; " for name in "abcdefgh")
    for _ in range(2):
        with pytest.raises(machine.Trouble) as trouble:
            cache.make_ready(part(f'echo noise >&2; mkdir "$1/root"; {check} exit 1'))
        assert re.findall(r"missing in it: (\w)", str(trouble.value)) == list("abcdefgh")
        assert "noise" not in str(trouble.value)
        assert os.listdir(cache.CACHE) == ["build.log"]
    assert cache.make_ready(part('mkdir "$1/root"')).joinpath("root").is_dir()
    assert cache.make_ready(part("exit 1")).is_dir()  # which is not built again


@needs_root
@pytest.mark.parametrize("leave", [Path.mkdir, Path.touch])
def test_what_a_build_was_killed_in_is_thrown_away(part, leave):
    cache.CACHE.mkdir()
    leave(cache.CACHE / "unfinished")
    folder = cache.make_ready(part('[ -z "$(ls "$1")" ] && touch "$1/new"'))
    assert os.listdir(folder) == ["new"]
    assert sorted(os.listdir(cache.CACHE)) == ["0123456789ab", "build.log"]


@needs_root
def test_older_parts_go_and_what_is_used_or_not_of_the_lab_stays(part, tmp_path):
    names = ["mongodb-" + 12 * digit for digit in "abc"] + ["kvm-" + 12 * "a", 12 * "f", "lost+found", "mongodb-notes"]
    for name in names:
        (cache.CACHE / name).mkdir(parents=True)
    (cache.CACHE / f"mongodb-{12 * 'd'}.tgz").touch()
    held = os.open(cache.CACHE / names[1], os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    cache.make_ready(part("true", names[0]))
    cache.make_ready(part("true", "mongodb-" + 12 * "e"))
    os.close(held)
    assert not list(cache.CACHE.glob("*.tgz"))
    assert set(names) - set(os.listdir(cache.CACHE)) == {names[2]}


def sources():
    """Each part's name, and the folders that it is built from."""
    return {"image": [HERE / "image"], "kvm": [HERE / "kvm", HERE.parent / "guest"], "archive": [HERE / "archive"]}


@pytest.mark.parametrize("name", sources())
def test_another_source_is_another_key(name, tmp_path, monkeypatch):
    checkout = shutil.copytree(HERE.parent, tmp_path / "tests", ignore=shutil.ignore_patterns("test_*", "__pycache__"))
    monkeypatch.setattr(cache, "HERE", checkout / "lab")
    folders = [checkout / folder.relative_to(HERE.parent) for folder in sources()[name]]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files += [checkout / "lab/router.py"] if name == "archive" else []
    keys = [cache.parts(archive=True, kvm=True)[name].folder.name]
    for file in files:
        file.write_bytes(file.read_bytes() + b"#")
        keys.append(cache.parts(archive=True, kvm=True)[name].folder.name)
        file.rename(file.with_name(f"{file.name}2") if file.name != "router.py" else file)
        keys.append(cache.parts(archive=True, kvm=True)[name].folder.name)
    assert len(files) >= (2 if name == "archive" else 5)
    assert len(set(keys)) == len(keys) - (name == "archive")  # a router's name is its part of the checkout


def test_the_parts_within_an_image_go_with_it():
    parts = cache.parts(archive=True, kvm=True)
    assert {parts[name].folder.parent for name in ("archive", "kvm")} == {parts["image"].folder}
    assert list(cache.parts(archive=False, kvm=False)) == ["image"]


@needs_root
def test_the_archive_is_the_same_each_time_and_carries_the_mongos_that_was_asked_for(monkeypatch, tmp_path):
    mongos = script(tmp_path / "real-mongos", "a router")
    monkeypatch.setenv("ONEPASS_MONGOS", str(mongos))
    archives = []
    for copy in ("one", "two"):
        monkeypatch.setattr(cache, "CACHE", tmp_path / copy)
        part = cache.parts(archive=True, kvm=False)["archive"]
        script(part.folder.parent / "mongodb/bin/mongod", "a server")
        archives.append(cache.make_ready(part) / "mongodb.tgz")
        assert os.listdir(part.folder) == ["mongodb.tgz"]
    assert len({hashlib.sha256(archive.read_bytes()).hexdigest() for archive in archives}) == 1
    subprocess.run(["tar", "--extract", f"--file={archives[0]}", f"--directory={tmp_path}"], check=True)
    unpacked = tmp_path / "mongodb-lab-6.0.5/bin/mongos"
    assert (unpacked.read_text(), stat.S_IMODE(unpacked.stat().st_mode)) == ("a router", 0o755)
    assert unpacked.with_name("mongod").read_text() == "a server"
    monkeypatch.setenv("ONEPASS_MONGOS", str(tmp_path / "none"))
    with pytest.raises(machine.Trouble, match="needs a router: .*/none is not a file"):
        cache.parts(archive=True, kvm=False)


# --- The real checks ---


@pytest.mark.lab
@needs_root
@pytest.mark.parametrize(
    ("name", "removed", "missing"),
    [
        ("image", "usr/sbin/nft opt/salt/lib/python3.*/site-packages/pymongo", ["import pymongo", "nft --version"]),
        (
            "kvm",
            "usr/bin/virsh usr/lib/python3/dist-packages/libvirt.py usr/share/onepass-guest/vmlinux",
            ["import libvirt", "import libvirt_qemu", "virsh --version", "qemu-system"],
        ),
    ],
)
def test_a_real_check_names_what_is_missing_and_nothing_else(name, removed, missing, tmp_path):
    parts = cache.parts(archive=False, kvm=name == "kvm")
    layers = [str(cache.make_ready(part) / "root") for part in parts.values()]
    mongodb = parts["image"].folder / "mongodb"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-euc", CHECK, "sh", tmp_path, ":".join(reversed(layers)), mongodb, removed],
        stdin=(HERE / name / "check").open(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    said = re.findall("^missing in it: (.*)", done.stderr, re.MULTILINE)
    assert len(said) == len(missing), done.stderr
    assert all(expected in line for line, expected in zip(said, missing, strict=True)), said


CHECK = """
mount -t tmpfs tmpfs "$1"; cd "$1"; mkdir upper work root
mount -t overlay -o "lowerdir=$2,upperdir=upper,workdir=work" overlay root
mount -t proc proc root/proc; mount --bind "$3" root/mnt
cd root; rm -r $4; cd ..
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot root sh -s
"""

# --- The command, with small builds ---


@pytest.fixture
def stand_in(tmp_path):
    """A copy of the tool whose builds do nothing, or, if there is a file "slow", nothing for ever."""
    tool = tmp_path / "tests/lab"
    for name in ("image", "archive", "kvm"):
        script(tool / name / "build", BUILD)
    for name in ("lab", "cache.py", "machine.py", "router.py"):
        shutil.copy(HERE / name, tool)
    (tool.parent / "guest").mkdir()
    hosts = {"hq": {"roles": ["master", "kvm"]}}
    site = {"network": "10.77.0.0/24", "mongodb": {"archive": True}, "hosts": hosts}
    (tool / "site.yaml").write_text(yaml.safe_dump(site))
    return tool


@contextlib.contextmanager
def upping(tool, name):
    """An "up" of the stand-in. Unless it has ended by then, it is killed in the end."""
    words = [tool / "lab", "--name", name, "up", "--site", tool / "site.yaml"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tool.parent), "PYTHONPATH": "/none", "CDPATH": "/none"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(words, env=environment, start_new_session=True, **pipes) as up:
        try:
            yield up
        finally:
            up.kill()


def read_until(up, word):
    lines = []
    for line in up.stdout:
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError("".join(lines))


def left(word):
    """The processes that have to do with a folder: by their words, their environment, or the mounts that they see."""
    found = []
    for process in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError):
            files = (Path(process, name).read_text(errors="replace") for name in ("cmdline", "environ", "mountinfo"))
            if any(word in text for text in files):
                found.append(f"{process} {Path(process, 'cmdline').read_text()}")
    return found


@pytest.mark.lab
@needs_root
@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing_and_the_next_up_goes_on(stand_in, fresh, name, number):
    before = list(LABELS)[: list(LABELS).index(name)]
    if before:
        with upping(stand_in, fresh) as up:
            read_until(up, f"{LABELS[before[-1]]}: ready")
    (stand_in / "slow").touch()
    with upping(stand_in, fresh) as up:
        read_until(up, f"{LABELS[name]}: at work")
        (os.killpg if number == signal.SIGINT else os.kill)(up.pid, number)
        rest = up.communicate(timeout=30)[0]
    assert up.returncode == (-9 if number == signal.SIGKILL else 130)
    assert wait_until(lambda: left(str(stand_in.parent)) == []), left(str(stand_in.parent))
    folders = {path.name for path in stand_in.parent.glob("onepass-lab/**/*") if path.is_dir()}
    if number != signal.SIGKILL:
        assert "lab up goes on from here" in rest
        assert "unfinished" not in folders
    (stand_in / "slow").unlink()
    with upping(stand_in, fresh) as up:
        said = "".join(read_until(up, "KVM hosts: ready"))
    assert [label for label in LABELS.values() if f"{label}: at work" in said] == list(LABELS.values())[len(before) :]
    lab(fresh, "down")
    assert traces(fresh) == []


@pytest.mark.lab
@needs_root
def test_a_build_gets_nothing_of_the_callers_environment_but_what_the_machine_needs(stand_in, fresh):
    with upping(stand_in, fresh) as up:
        read_until(up, "image: ready")
    environment = next(stand_in.parent.glob("onepass-lab/*/environment")).read_text()
    names = set(re.findall("^([A-Za-z_]+)=", environment, re.MULTILINE))
    assert not names & {"PYTHONPATH", "CDPATH", "PYTEST_CURRENT_TEST"}
    assert {"PATH", "LC_ALL", "HOME", "XDG_CACHE_HOME"} <= names


# --- Folders that do not do ---


def apart(prelude, cache_home, *words):
    """A command in a mount namespace of its own, after this piece of shell; its cache is below ``$1``."""
    text = f'cache=$1/onepass-lab; disks=/var/lib/onepass-lab; {prelude}\nshift; exec "$@"'
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache_home)}
    return subprocess.run(
        ["unshare", "--mount", "sh", "-ec", text, "sh", cache_home, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


SMALL = "-t tmpfs -o size=20m tmpfs"
OVERLAY = (
    f"mount {SMALL} $1; mkdir -p $1/upper $1/work $disks;"
    " mount -t overlay -o lowerdir=/etc,upperdir=$1/upper,workdir=$1/work overlay $disks"
)


@pytest.mark.lab
@needs_root
@pytest.mark.parametrize(
    ("prelude", "expected"),
    [
        (
            f"mkdir $cache; mount {SMALL} $cache",
            r"disk space: {cache} need 1\.\d GiB, and 0\.0 are free: ",
        ),
        (f"mkdir -p $disks; mount {SMALL} $disks", r"disk space: \S+ need 0\.\d GiB, and 0\.0 are free: make room"),
        (OVERLAY, "/var/lib/onepass-lab/{name} cannot be the upper part of an overlay: .*: mount a file system there"),
        (
            f"mkdir -p $disks; mount {SMALL} $disks; mount -o remount,ro $disks",
            "/var/lib/onepass-lab/{name} cannot be the upper part of an overlay: .*[Rr]ead-only file system",
        ),
        (f"mkdir $cache; mount {SMALL} $cache; mount -o remount,ro $cache", "{cache} is read-only, and has no image:"),
        ("touch $cache", "{cache} is not a folder: move it away"),
        ("mkdir $cache; touch $cache/{image}", "{cache}/{image} is not a folder: move it away"),
        (
            "mkdir -m 777 $cache",
            "others than root can change {cache}, .*is user 0, its mode 777: remove it",
        ),
        (
            "mkdir -p $cache/{image}; chown 1000 $cache/{image}",
            "others than root can change {cache}/{image}, .* 1000",
        ),
        ("export XDG_CACHE_HOME='{home}/a b'", "no overlay can be made of {home}/a b/onepass-lab"),
    ],
)
def test_a_folder_that_does_not_do_stops_up_at_once_and_never_down(fresh, site, tmp_path, prelude, expected):
    own = {"name": fresh, "cache": tmp_path / "onepass-lab", "home": tmp_path}
    own["image"] = cache.parts(archive=False, kvm=False)["image"].folder.name
    ran = prelude.format(**own)
    done = apart(f"{ran}; {HERE}/lab --name {fresh} up --site {site} && exit 9", tmp_path, *command(fresh, "down"))
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert re.search(expected.format(**own), done.stderr), done.stderr
    assert "building" not in done.stdout
    assert traces(fresh) == []


@pytest.mark.lab
@needs_root
def test_a_file_in_the_place_of_a_labs_disks_is_named_and_left(fresh, site):
    disks = Path("/var/lib/onepass-lab", fresh)
    disks.parent.mkdir(exist_ok=True)
    disks.write_text("mine")
    try:
        for words in (["up", "--site", site], ["down"]):
            done = lab(fresh, *words)
            assert (done.returncode, "Traceback" in done.stderr, str(disks) in done.stderr) == (1, False, True)
        assert disks.read_text() == "mine"
    finally:
        disks.unlink()


@pytest.mark.lab
@needs_root
def test_down_does_not_reach_through_a_mount_though_the_disks_are_elsewhere_by_a_link(fresh, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/note").write_text("mine")
    prelude = (
        f'big="$1/a b"; mkdir -p "$big/{fresh}/hq/root"; mount --bind $1/precious "$big/{fresh}/hq/root";'
        ' mount -t tmpfs tmpfs /var/lib; ln -s "$big" $disks'
    )
    done = apart(prelude, tmp_path, *command(fresh, "down"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "precious/note").read_text() == "mine"
    assert not (tmp_path / f"a b/{fresh}").exists()


FILL = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import cache, machine
for size, name in (("8m", 12 * "a"), ("1m", 12 * "b")):
    part = cache.Part("thing", cache.CACHE / name, [Path(sys.argv[2]), size], 0.3)
    try:
        print(cache.make_ready(part))
    except machine.Trouble as trouble:
        print(trouble)
"""


@pytest.mark.lab
@needs_root
@pytest.mark.parametrize(
    "text", ['head -c "$1" /dev/zero > "$2/file"', '[ "$1" = 1m ] || head -c 1 /dev/zero > /dev/full']
)
def test_a_cache_that_runs_full_is_named_and_has_room_again(tmp_path, text):
    build = script(tmp_path / "build", f"#!/bin/sh\nset -eu\n{text}\n")
    words = ["/usr/bin/python3", "-c", FILL, HERE, build]
    done = apart("mkdir $cache; mount -t tmpfs -o size=4m tmpfs $cache", tmp_path, *words)
    folder = tmp_path / "onepass-lab"
    failed = f"thing: could not be built for want of disk space: it needs 0.3 GiB in {folder}: make room"
    assert failed in done.stdout, done.stdout + done.stderr
    assert done.stdout.endswith(f"thing: ready\n{folder}/bbbbbbbbbbbb\n")


@pytest.mark.lab
@needs_root
def test_a_read_only_cache_that_holds_what_the_site_needs_is_used_as_it_is(fresh, site, tmp_path):
    for part in cache.parts(archive=True, kvm=False).values():
        cache.make_ready(part)
    bind = f"mkdir $cache; mount --bind {cache.CACHE} $cache; mount -o remount,bind,ro $cache; ! touch $cache/x"
    tool = f"{HERE}/lab --name {fresh}"
    done = apart(f"{bind}; {tool} up --site {site}; {tool} run mount", tmp_path, *command(fresh, "down"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"lowerdir={tmp_path}/onepass-lab/" in done.stdout
    assert traces(fresh) == []
