"""What the lab does on this machine, and what the machine must offer it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

NO_SUCH_PROGRAM = 127
INOTIFY_LIMIT, INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances"), 1024
PACKAGES = ["iproute2", "mmdebstrap", "python3-venv", "python3-yaml", "systemd-container"]
KERNEL = {
    "overlayfs": "unshare --mount mount -t overlay -o lowerdir=/etc:/usr overlay /mnt",
    "bridge": "unshare --net ip link add lab type bridge",
    "veth": "unshare --net ip link add lab type veth peer name peer",
    "process namespaces": "unshare --pid --fork true",
}
PROBE = """cd "$1"; mkdir upper work merged
mount -t overlay -o "lowerdir=$2,upperdir=upper,workdir=work,volatile" overlay merged
cp /bin/true merged/; merged/true"""
ELSEWHERE = "name another folder for the cache in XDG_CACHE_HOME"
ROOM = f"make room, mount a disk there, or {ELSEWHERE}"
# What runs like this dies with the command that began it, whatever ends that, and its mounts go with it.
MORTAL = ["setpriv", "--pdeathsig", "KILL"]
CONTAINED = [*MORTAL, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
STARTED = time.monotonic()


class Trouble(Exception):
    """What stops the lab, worded for its user."""


# --- Telling, running, waiting ---


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:5.1f} s] {text}", flush=True)


def run(*argv: object, stdin: str | None = None) -> None:
    """Run a command that must succeed."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise Trouble(f"{' '.join(words)} failed: {(done.stderr or done.stdout).strip()}")


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (happened := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(happened)


@contextlib.contextmanager
def alone(work: str) -> Iterator[None]:
    """Hold the machine-wide lock on some work: a socket's name, which ends with this process by itself."""
    with socket.socket(socket.AF_UNIX) as lock:
        for attempt in range(sys.maxsize):
            with contextlib.suppress(OSError):
                lock.bind(f"\0onepass-lab {work}")
                break
            if not attempt:
                say(f"waiting for another lab command to finish with {work}")
            time.sleep(0.2)
        yield


def end(contained: subprocess.Popen) -> None:
    """The first process in its namespaces dies, and all others before it does; then this one ends by itself."""
    while contained.poll() is None:
        for child in Path(f"/proc/{contained.pid}/task/{contained.pid}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        time.sleep(0.02)


# --- Debian, its packages, the kernel ---


def prepare_machine() -> None:
    """Missing packages are installed, a low limit is raised, and all else that the machine lacks is named at once."""
    with alone("this machine's packages"):
        packages = missing_packages(PACKAGES)
        if lacks := missing_features():
            refuse(lacks + [f"package {name}: apt-get install {name}" for name in packages])
        if packages:
            install(packages)
            if lacks := missing_features():  # what could not be asked without a program of these packages
                refuse(lacks)
    if int(INOTIFY_LIMIT.read_text()) < INOTIFY_INSTANCES:
        raise_inotify_limit()


def install(packages: list[str]) -> None:
    say(f"installing {' '.join(packages)}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-qq", "-o", "DPkg::Lock::Timeout=600", "--no-install-recommends", *packages)


def refuse(lacks: list[str]) -> None:
    raise Trouble("\n  ".join(["this machine lacks", *lacks]))


def raise_inotify_limit() -> None:
    """All hosts share root's inotify instances; a systemd that gets none never finishes its boot."""
    say(f"raising {INOTIFY_LIMIT} to {INOTIFY_INSTANCES}, until this machine reboots")
    try:
        INOTIFY_LIMIT.write_text(str(INOTIFY_INSTANCES))
    except OSError as error:
        raise Trouble(f"{error}: set it where this machine's kernel is configured") from error


def missing_packages(wanted: list[str]) -> list[str]:
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *wanted]
    shown = subprocess.run(query, capture_output=True, text=True).stdout if shutil.which(query[0]) else ""
    return [name for name in wanted if f"{name} installed" not in shown.splitlines()]


def missing_features() -> list[str]:
    lacks = []
    if "\nVERSION_CODENAME=bookworm\n" not in Path("/etc/os-release").read_text():
        lacks.append("Debian 12 (bookworm): run the lab on one, or in a virtual machine")
    if os.geteuid():
        return [*lacks, "root: run this as root"]
    for feature, probe in KERNEL.items():
        if subprocess.run(probe.split(), capture_output=True).returncode not in (0, NO_SUCH_PROGRAM):
            lacks.append(f"{feature} in the kernel: load the module, or boot a kernel that has it")
    return lacks


def cgroup_mounts() -> dict[Path, set[str]]:
    """Where control groups are, and of which controllers; none where systemd runs the machine and makes them itself."""
    if Path("/run/systemd/system").exists():
        return {}
    fields = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    mounts = [(each[4], each[-3], each[-1]) for each in fields if each[-3] in ("cgroup", "cgroup2")]
    return {Path(place): set(options.split(",")) if kind == "cgroup" else {""} for place, kind, options in mounts}


def cgroup_roots() -> list[Path]:
    """Where each host's systemd needs a control group of its own."""
    return [mount for mount, controllers in cgroup_mounts().items() if controllers & {"", "name=systemd"}]


def remove_group(top: Path) -> None:
    """The dead leave their control groups by and by."""

    def gone() -> bool:
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        return not top.exists()

    if not wait_until(gone, 20):
        raise Trouble(f"control group {top} is not empty")


# --- Folders ---


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def unsafe(folders: Iterable[Path]) -> list[str]:
    """Why nothing may be run from there: what is no folder, and what others than root could exchange."""
    faults = []
    for path in sorted({path for folder in folders for path in (folder, *folder.parents) if os.path.lexists(path)}):
        status = path.lstat()
        open_to_others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
        if not stat.S_ISDIR(status.st_mode):
            faults.append(f"{path} is not a folder: move it away")
        elif status.st_uid or open_to_others:
            rights = f"its owner is user {status.st_uid}, its mode {status.st_mode & 0o7777:o}"
            danger = f"others than root can change {path}, and so what runs as root"
            faults.append(f"{danger}: {rights}: remove it, or {ELSEWHERE}")
    return faults


def short_of_space(needs: dict[Path, float]) -> list[str]:
    """The file systems that have less than the folders on them need together, in GiB."""
    faults, devices = [], {}
    for folder in filter(needs.get, needs):
        devices.setdefault(existing(folder).stat().st_dev, []).append(folder)
    for folders in devices.values():
        needed, free = sum(needs[each] for each in folders), shutil.disk_usage(existing(folders[0])).free / 2**30
        if free < needed:
            names = " and ".join(map(str, folders))
            faults.append(f"disk space: {names} need {needed:.1f} GiB, and {free:.1f} are free: {ROOM}")
    return faults


def unfit_for_overlays(folder: Path, lower: Path) -> list[str]:
    """Why a folder cannot take what is written to an overlay above another folder, and run it; it is tried."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="probe-", dir=folder) as place:
            above = lower if lower.exists() else "/usr"
            command = ["unshare", "--mount", "sh", "-ec", PROBE, "sh", place, above]
            tried = subprocess.run(command, capture_output=True, text=True)
            reason = tried.returncode and f"{tried.stderr}\n".splitlines()[0]
    except OSError as error:
        reason = str(error)
    remedy = "mount a file system there that can, such as ext4, XFS or tmpfs"
    return [f"{folder} cannot be the upper part of an overlay: {reason}: {remedy}"] if reason else []
