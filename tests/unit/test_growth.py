"""Nothing grows for ever: a year of daily runs leaves as many files as a day, and who writes is in the docs' table."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from onepass_lib.dnsmasq import desired, texts
from salt.exceptions import CommandExecutionError

import tree

YEAR = 365
WRITES = re.compile(
    r'onepass_host\.write"\]|\.write_(text|bytes)\(|tempfile\.|os\.(replace|link)\(|copyfile\(|symlink_to\(|cache\.store\('
    r'|atomic_open\(|\.touch\(|open\([^)]*"[wax]b?"'
)
# It packs in memory.
NO_FILES = {"libvirt_ssh"}
HOST = tree.functions("onepass_host")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A year of waiting for a disk is no part of it."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def files(root):
    return sorted(str(path.relative_to(root)) for path in Path(root).rglob("*") if not path.is_dir())


def test_the_table_of_what_is_written_is_complete():
    writers = {path.stem for kind in tree.KINDS for path in tree.sources(kind) if WRITES.search(path.read_text())}
    text = (tree.ROOT / "docs/architecture.md").read_text().partition("## What is written")[2]
    told = {word for line in text.splitlines() for word in re.findall(r"`(\w+)`", (line.split("|") * 3)[2])}
    assert writers - NO_FILES - told == set()


def test_the_guard_keeps_one_change_and_the_last_that_was_taken_back(tmp_path, monkeypatch):
    salt = {"onepass_host.told": HOST["onepass_host.told"]}
    guard = tree.load("_modules/bridge_nat_guard.py", __opts__={"root_dir": str(tmp_path)}, __salt__=salt)
    monkeypatch.setattr(guard, "_start_timer", lambda *_: None)
    own, counts = str(tmp_path / "rules"), []
    for day in range(YEAR):
        for number in range(3):
            guard.arm(f"step {number} of day {day}", {"commands": [], "files": {own: f"day {day}"}}, 120)
        guard.rollback() if day % 7 == 0 else guard.confirm()
        assert not guard.confirm()  # nothing is pending, as after a run without changes
        counts.append((files(tmp_path), sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())))
    assert counts[-1][0] == counts[0][0] == counts[7][0]
    assert abs(counts[-1][1] - counts[0][1]) < 100


def test_a_networks_files_are_the_same_ones_every_day_and_gone_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "FILES", str(tmp_path / "etc"))
    monkeypatch.setattr(texts, "UNITS", str(tmp_path / "units"))
    bridge = tree.load("_modules/dnsmasq_bridge.py")
    names, there = [], {}
    for day in range(YEAR):
        hosts = {f"guest-{day}-{number}": {"address": f"192.168.150.{9 + number}"} for number in range(day % 5)}
        given = {"name": "lab", "bridge": "br7", "domain": "lab.example", "address": "192.168.150.1/24", "hosts": hosts}
        network = desired.complete({**given, "nat": day % 2 == 0, "forwarders": [{"address": f"9.9.9.{day % 250}"}]})
        wanted = texts.files(network)
        for step in bridge._file_steps(wanted, there):
            HOST["onepass_host.write"](step["path"], step["text"])
        there = {path: HOST["onepass_host.read"](path) for path in {**wanted, **there}}
        there = {path: text for path, text in there.items() if text is not None}
        assert bridge._file_steps(wanted, there) == []
        names.append(files(tmp_path))
    assert {len(each) for each in names} == {5, 6}, "with and without a way out"
    for path in there:
        HOST["onepass_host.write"](path, None)
    assert files(tmp_path) == []


@pytest.fixture
def trusting(tmp_path):
    path = tmp_path / "ssh_known_hosts"
    salt = {**HOST, "config.get": lambda key, default: str(path)}
    salt["libvirt_identity.known_hosts"] = lambda name, fqdn, key, mark: f"{name},{fqdn} {key} {mark}"
    return path, tree.load("_modules/libvirt_make.py", __salt__=salt)


def test_a_clones_line_of_known_hosts_goes_with_it(trusting):
    path, make = trusting
    theirs = b"another ssh-ed25519 AAAA theirs\n# caf\xe9\x85 \x0b\xe2\x80\xa8\n"
    path.write_bytes(theirs)
    for day in range(YEAR):
        ours = {"fqdn": "vm.lab.test", "host_key_public": f"ssh-ed25519 {day}"}
        make._trust("vm", ours)
        assert path.read_bytes() == theirs + f"vm,vm.lab.test ssh-ed25519 {day} onepass:vm\n".encode()
        if day % 2:
            make._trust("vm", None)
            assert path.read_bytes() == theirs
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_what_writers_left_that_were_killed_every_day_is_swept(tmp_path):
    path = tmp_path / "file"
    for day in range(YEAR):
        left = tmp_path / f".file.part-{day}"
        left.write_text("half")
        os.utime(left, (day * 86400, day * 86400))
        HOST["onepass_host.write"](path, f"day {day}")
        assert files(tmp_path) == ["file"]


def test_of_each_days_archive_the_one_in_use_and_the_one_before_are_kept(tmp_path, monkeypatch):
    programs = tree.load("_modules/mongo_programs.py")
    root, units = tmp_path / "mongodb", tmp_path / "units"
    monkeypatch.setattr(programs, "UNITS", str(units))
    monkeypatch.setattr(programs, "LINKS", [str(tmp_path / "links")])
    for name in ("mongodb/653ec6ffdd3/bin", "mongodb/data/bin", "mongodb/linked0linke/bin", "units", "links"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "mongod").touch()
    (root / ("f" * 12)).symlink_to("data")
    kept = {each.name for each in root.iterdir()}
    (root / "eeeeeeeeeeee/bin").mkdir(parents=True)
    (root / "eeeeeeeeeeee/bin/mongod").touch()
    (tmp_path / "links/mongosh").symlink_to(root / "eeeeeeeeeeee/bin/mongod")
    for day in range(YEAR):
        home = root / f"{day:012x}"
        (home / "bin").mkdir(parents=True)
        (home / "bin/mongod").touch()
        if day % 9 == 0:
            (root / f"{'d' * 8}{day:04x}.part").mkdir()
        for turn in ("before the restart", "after it"):
            if turn == "after it":
                (units / "mongod-s1.service").write_text(f"ExecStart={home}/bin/mongod --config x")
            for step in programs.plan(programs.observe(str(home))):
                programs.act(step)
            assert programs.plan(programs.observe(str(home))) == []
        there = {each.name for each in root.iterdir()} - kept - {"eeeeeeeeeeee"}
        assert there == {f"{each:012x}" for each in (day - 1, day) if each >= 0}


def test_programs_that_a_process_runs_and_half_of_a_removal(tmp_path, monkeypatch):
    programs = tree.load("_modules/mongo_programs.py")
    monkeypatch.setattr(programs, "UNITS", str(tmp_path / "none"))
    for name in "abc":
        (tmp_path / (name * 12) / "bin").mkdir(parents=True)
        shutil.copy(shutil.which("sleep"), tmp_path / (name * 12) / "bin/mongod")
    running = subprocess.Popen([tmp_path / ("a" * 12) / "bin/mongod", "60"])
    try:
        steps = programs.plan(programs.observe(str(tmp_path / ("c" * 12))))
        assert [step["path"] for step in steps] == [str(tmp_path / ("b" * 12))]
    finally:
        running.kill()
        running.wait()
    monkeypatch.setattr(programs.shutil, "rmtree", lambda path, **_: None)
    programs.act(steps[0])
    monkeypatch.undo()
    [again] = [step for step in programs.plan(programs.observe(str(tmp_path / ("c" * 12)))) if "bbb" in step["path"]]
    assert again["path"].endswith("b.part")
    programs.act(again)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a" * 12, "c" * 12]


def test_another_directory_is_none_of_the_formulas():
    programs = tree.load("_modules/mongo_programs.py")
    with pytest.raises(CommandExecutionError, match="^'/usr/bin' is no directory of the formula's programs"):
        programs.observe("/usr/bin")
