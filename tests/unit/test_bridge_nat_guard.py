"""The guard of a branch host: whoever is killed, and whatever its disk takes, its change can be taken back."""

import contextlib
import os
import shutil
import subprocess
import time
from types import SimpleNamespace

import pytest
from salt.exceptions import CommandExecutionError

import kills
import tree

OLD, NEW = "the old text\n" * 20, "the new text\n" * 30
HOUR = 3600
STEPS = ("one", "two")
root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounts are root's, by mount")


class Host:
    """A host with two files and the guard of their change; ``home`` is the guard's own place, ``timers`` it started."""

    def __init__(self, place):
        self.place, self.home, self.timers = place, place / "var/lib/onepass/bridge_nat", place / "timers"
        self.guard = tree.load("_modules/bridge_nat_guard.py", __opts__={"root_dir": str(place)})
        self.guard.__salt__ = {"onepass_host.internal": lambda: None, "onepass_host.told": HOST.told}
        self.guard._start_timer = self._note_timer
        (place / "etc").mkdir(parents=True)
        self.file("one").write_text(OLD)

    def _note_timer(self, home, token, within):
        assert 0 < within <= HOUR
        with self.timers.open("a") as timers:
            timers.write(f"{token}\n")

    def file(self, name):
        return self.place / "etc" / name

    def files(self):
        texts = {path.name: path.read_text() for path in (self.place / "etc").iterdir()}
        assert not [name for name, text in texts.items() if name in STEPS and text not in (OLD, NEW)], "half a file"
        return texts

    def run(self):
        """Both files become new; each step as bridge_nat executes it."""
        for name in STEPS:
            path = self.file(name)
            if not path.exists() or path.read_text() != NEW:
                undo = {"files": {str(path): path.read_text() if path.exists() else None}}
                self.guard.arm(name, undo, HOUR)
                self.guard.put(str(path), NEW)

    def timer(self):
        """What the timer of the pending change does, or the boot that comes before it."""
        return self.guard._take_back(self.home)


HOST = tree.load("_modules/onepass_host.py")
BEFORE, AFTER = {"one": OLD}, {"one": NEW, "two": NEW}


@pytest.fixture
def host(tmp_path):
    """Hosts of the tests' own, one after another."""
    made = []

    def make():
        made.append(Host(tmp_path / str(len(made))))
        return made[-1]

    return make


def killed(host, work, *before):
    """Hosts on which some work was killed, at each place of it, after what came before."""

    def make():
        one = host()
        for each in before:
            each(one)
        return one

    return kills.everywhere(make, work)


def run(one):
    one.run()


def test_a_run_that_is_killed_anywhere_is_taken_back_or_finished_by_the_next(host):
    for one in killed(host, run):
        changed = one.files() != BEFORE
        assert not changed or one.timers.read_text(), "no change is without a timer"
        one.timer()
        assert {name: text for name, text in one.files().items() if name in STEPS} == BEFORE
    for one in killed(host, run):
        one.run()
        assert one.files() == AFTER
        assert one.guard.confirm() is True
        assert (one.guard.pending(), sorted(each.name for each in one.home.iterdir())) == (None, ["guard.py"])
        assert one.home.joinpath("guard.py").read_text() == (tree.ROOT / "_modules/bridge_nat_guard.py").read_text()


def test_the_program_that_takes_a_change_back_is_whole_while_another_run_writes_it(host):
    for one in killed(host, run, run, lambda one: one.file("two").unlink()):
        compile(one.home.joinpath("guard.py").read_text(), "guard.py", "exec")
        one.timer()
        assert one.files() == BEFORE


def test_a_run_after_a_killed_one_is_taken_back_to_the_beginning(host):
    for one in killed(host, run):
        one.run()
        one.timer()
        assert one.files() == BEFORE


def test_a_taking_back_that_is_killed_is_finished_by_a_boot_and_by_a_run_that_nobody_confirms(host):
    for one in killed(host, Host.timer, run):
        one.timer()
        assert (one.files(), one.guard.pending()) == (BEFORE, None)
    for one in killed(host, Host.timer, run):
        one.run()
        one.timer()
        assert (one.files(), one.guard.pending()) == (BEFORE, None)


def test_a_confirmation_that_is_killed_is_one_or_none(host):
    for one in killed(host, lambda one: one.guard.confirm(), run):
        stays = one.guard.pending() is None
        assert bool(one.guard.confirm()) is not stays
        assert (one.timer(), one.files()) == (None, AFTER)


@contextlib.contextmanager
def disk(one, full):
    """The guard's place takes nothing more: it is full, or read-only."""
    place = one.place / "var/lib/onepass"
    place.mkdir(parents=True, exist_ok=True)
    kept = shutil.copytree(place, one.place / "kept", dirs_exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "disk", place], check=True)
    try:
        shutil.copytree(kept, place, dirs_exist_ok=True)
        if full:
            with contextlib.suppress(OSError), (place / "zeros").open("wb", buffering=0) as zeros:
                while True:
                    zeros.write(bytes(4096))
        else:
            subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        yield
        kept = shutil.copytree(place, one.place / "after", ignore=shutil.ignore_patterns("zeros"))
    finally:
        subprocess.run(["umount", place], check=True)
    shutil.rmtree(place)
    shutil.copytree(kept, place)


@root
@pytest.mark.parametrize("full, words", [(True, "No space left on device"), (False, "Read-only file system")])
def test_without_a_place_to_write_down_what_undoes_it_nothing_is_done(host, full, words):
    one = host()
    with disk(one, full), pytest.raises(CommandExecutionError, match=f"^{one.home}.*: {words}$"):
        one.run()
    assert (one.files(), one.timers.exists()) == (BEFORE, False)
    one.run()
    assert (one.files(), one.guard.confirm()) == (AFTER, True)


@root
@pytest.mark.parametrize("full", [True, False])
def test_a_change_is_taken_back_though_its_disk_takes_nothing_more(host, full):
    one = host()
    one.run()
    with disk(one, full):
        assert one.timer()["undone"] == ["two", "one"]
        assert one.files() == BEFORE
    one.timer()
    assert (one.files(), one.guard.pending()) == (BEFORE, None)
    one.run()
    assert (one.files(), one.guard.confirm(), one.guard.pending()) == (AFTER, True, None)


@root
def test_what_cannot_be_confirmed_is_told(host):
    one = host()
    one.run()
    with disk(one, full=False), pytest.raises(CommandExecutionError, match="Read-only file system$"):
        one.guard.confirm()
    assert (one.guard.confirm(), one.files()) == (True, AFTER)


@pytest.mark.parametrize("seconds", [-86400, 86400])
def test_a_clock_that_is_set_while_a_change_is_pending_puts_nothing_off(host, seconds):
    one = host()
    kills.killed_before(10**6, one.run)  # a run that ended, and another process than the next
    one.file("two").unlink()
    one.guard.time = SimpleNamespace(time=lambda: time.time() + seconds, monotonic=time.monotonic)
    one.run()
    assert 0 < one.guard.pending()["seconds"] <= HOUR
    one.timer()
    assert one.files() == BEFORE
