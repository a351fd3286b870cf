"""The lab's command, as its tests run it, and what it leaves on the machine."""

import contextlib
import glob
import itertools
import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
NUMBERS = itertools.count()


def command(name, *words):
    return [str(HERE / "lab"), "--name", name, *map(str, words)]


def lab(name, *words, **options):
    return subprocess.run(command(name, *words), capture_output=True, text=True, timeout=900, **options)


def succeed(name, *words, **options):
    done = lab(name, *words, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def traces(word):
    """Everything on this machine that bears a word: files of the lab and of what it uses, mounts, locks, processes."""
    folders = ("/run", "/run/systemd/nspawn", "/var/lib", "/tmp", "/sys/fs/cgroup")
    found = [path for folder in folders for depth in ("*", "*/*") for path in glob.glob(f"{folder}/{depth}{word}*")]
    for table in ("/proc/self/mountinfo", "/proc/net/unix"):
        found += [line for line in Path(table).read_text().splitlines() if word in line]
    for process in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError):
            command_line, groups, status = (
                Path(process, file).read_text(errors="replace") for file in ("cmdline", "cgroup", "status")
            )
            if word in command_line + groups and "State:\tZ" not in status:  # ended, and not yet reaped
                found.append(f"{process} {command_line} {groups}")
    return found


def new_name():
    return f"t{os.getpid()}n{next(NUMBERS)}"
