"""onepass_host on files and programs, and what a state says when the system refuses one of its steps."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

import kills
import tree

HOST = tree.load("_modules/onepass_host.py")
ONEPASS = tree.load("_modules/onepass.py")


def test_a_program_that_does_not_end_is_ended_and_named():
    begun = time.monotonic()
    with pytest.raises(CommandExecutionError, match="^sleep 60 was ended after 0.3 s without an answer$"):
        HOST.run(["sleep", 60], timeout=0.3)
    assert time.monotonic() - begun < 30


def test_a_program_that_cannot_be_run_is_named(tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    with pytest.raises(CommandExecutionError, match=f"^{program} cannot be run: Permission denied$"):
        HOST.run([program])
    with pytest.raises(CommandExecutionError, match="^no-such-program is not installed$"):
        HOST.run(["no-such-program"])


def test_any_bytes_come_back_as_they_were(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_bytes(b"# b\xfcro\nnameserver 192.0.2.1\n")
    HOST.write(path, HOST.read(path).replace("192.0.2.1", "192.0.2.2"))
    assert path.read_bytes() == b"# b\xfcro\nnameserver 192.0.2.2\n"
    changes = ONEPASS.changes([{"do": "change", "what": "it", "old": None, "new": HOST.read(path).splitlines()}])
    assert changes == {"it": {"old": None, "new": ["# b?ro", "nameserver 192.0.2.2"]}}


def test_what_is_not_there_is_none_and_what_cannot_be_read_is_told(tmp_path):
    (tmp_path / "file").touch()
    assert HOST.read(tmp_path / "none") is HOST.read(tmp_path / "file" / "below") is None
    with pytest.raises(CommandExecutionError, match=f"^{tmp_path}: Is a directory$"):
        HOST.read(tmp_path)


def test_what_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    with pytest.raises(CommandExecutionError, match="^" + str(tmp_path / "file")):
        HOST.write(tmp_path / "file" / "below", "text")
    for text in ("text", None):
        with pytest.raises(CommandExecutionError, match="Is a directory$"):
            HOST.write(tmp_path / "directory", text)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file"]


def test_what_killed_writers_left_is_swept_and_a_living_ones_is_not(tmp_path):
    for name, age in (("old", 7200), ("young", 60)):
        part = tmp_path / f".note.part-{name}"
        part.touch()
        os.utime(part, (time.time() - age,) * 2)
    (tmp_path / ".others.part-old").touch()
    os.utime(tmp_path / ".others.part-old", (0, 0))
    HOST.write(tmp_path / "note", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".note.part-young", ".others.part-old", "note"]


@pytest.mark.parametrize("there", [True, False])
def test_a_writer_that_is_killed_anywhere_leaves_the_old_text_or_the_new_one(tmp_path, there):
    old, new = ("old\n" * 99 if there else None), "new\n" * 500

    def make():
        place = tmp_path / str(len(list(tmp_path.iterdir()))) / "etc"
        if there:
            HOST.write(place / "note", old)
        return place

    for place in kills.everywhere(make, lambda place: HOST.write(place / "note", new, mode=0o640)):
        assert HOST.read(place / "note") in (old, new)
        for part in place.glob(".note.part-*") if place.exists() else []:
            assert part.stat().st_mode & 0o077 in (0, 0o040)
            os.utime(part, (time.time() - 7200,) * 2)
        HOST.write(place / "note", new, mode=0o640)
        assert [each.name for each in place.iterdir()] == ["note"]
        assert ((place / "note").read_text(), (place / "note").stat().st_mode & 0o777) == (new, 0o640)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounts are root's, by mount")
def test_a_file_that_is_mounted_by_itself_is_written_in_place(tmp_path):
    path, other = tmp_path / "resolv.conf", tmp_path / "other"
    path.touch()
    other.write_text("a much longer text than the new one\n")
    HOST.run(["mount", "--bind", other, path])
    try:
        HOST.write(path, "short\n")
    finally:
        HOST.run(["umount", path])
    assert (other.read_text(), path.read_text()) == ("short\n", "")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other", "resolv.conf"]


def test_what_the_system_refuses_in_a_step_keeps_the_changes_before_it():
    steps = [{"do": "change", "what": what, "old": 1, "new": 2} for what in ("one", "two", "three")]

    def act(step):
        if step["what"] == "two":
            raise OSError(28, "No space left on device", "/etc/two")

    ret = ONEPASS.converge("it", lambda: None, lambda _: steps, act, None)
    assert (ret["result"], ret["changes"]) == (False, {"one": {"old": 1, "new": 2}})
    said = "[Errno 28] No space left on device: '/etc/two'. Done before: changed one. Left to do: change two, change "
    assert ret["comment"] == f"{said}three."


HELD = f"""
import sys
sys.path.insert(0, {str(tree.ROOT / "tests")!r})
import tree
with tree.load("_modules/onepass_host.py").workplace() as work:
    (work / "key").write_text("private")
    print(work, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def at_work(tmp_path, monkeypatch):
    """Processes that have a workplace below the test's directory: (process, its workplace), as if for an hour."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(HOST.tempfile, "tempdir", str(tmp_path))
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", HELD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        work = Path(process.stdout.readline().strip())
        os.utime(work, (time.time() - 3600,) * 2)
        return process, work

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_workplace_goes_with_its_block_and_a_killed_ones_with_the_next(at_work, tmp_path):
    (killed, left), (_, held) = at_work(), at_work()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    others = tmp_path / "onepass-work-place", tmp_path / "onepass-main"
    others[0].symlink_to(tmp_path / "elsewhere")
    others[1].mkdir()
    (tmp_path / "elsewhere").mkdir()
    os.utime(tmp_path / "elsewhere", (0, 0))
    os.utime(others[1], (0, 0))
    assert (left / "key").exists()
    with HOST.workplace() as work:
        assert work.stat().st_mode & 0o777 == 0o700
        there = {path.name for path in tmp_path.iterdir()}
        assert there == {work.name, held.name, "onepass-work-place", "onepass-main", "elsewhere"}
        (work / "file").touch()
    assert not work.exists() and (held / "key").exists()


def test_a_workplace_that_was_just_made_is_nobodys_left_over(at_work, tmp_path):
    made = tmp_path / "onepass-work-made"
    made.mkdir()  # its process has not locked it yet
    with HOST.workplace():
        assert made.exists()


def test_where_there_can_be_no_workplace_it_is_told(monkeypatch):
    monkeypatch.setattr(HOST.tempfile, "tempdir", "/nowhere")
    with pytest.raises(CommandExecutionError, match="^/nowhere.*: No such file or directory$"), HOST.workplace():
        pass
