"""What the labs share: the hosts' image, the KVM hosts' layer and the MongoDB archive. Each is built once, and kept.

A part that has its name is complete, on the disk as well. One that is being built is called "unfinished", and whatever
bears that name, or the key of other sources, is of no use to anybody.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from machine import CONTAINED, ELSEWHERE, ROOM, Trouble, alone, end, existing, run, say, unfit_for_overlays

HERE = Path(__file__).resolve().parent
CACHE = Path(os.path.realpath(os.environ.get("XDG_CACHE_HOME") or "/var/cache"), "onepass-lab")
# Measured while they were built; what is kept of them is less: 0.7, 0.2 and 0.05.
IMAGE_GIB, KVM_GIB, ARCHIVE_GIB = 1.0, 0.4, 0.05
KEY = "[0-9a-f]{12}"
FULL = re.compile("No space left on device|Disk quota exceeded|enough free space")


class Part(NamedTuple):
    """Its name for the user, the folder that it fills, the command that does so, and the GiB which that needs."""

    what: str
    folder: Path
    build: list[Path]
    gib: float


def parts(archive: bool, kvm: bool) -> dict[str, Part]:
    """What a site needs: the image, and within its folder what is asked for of the others."""
    image = CACHE / key_of(HERE / "image")
    found = {"image": Part("image", image, [HERE / "image/build"], IMAGE_GIB)}
    if archive:
        router = router_of_archive()
        folder = image / f"mongodb-{key_of(HERE / 'archive', router)}"
        found["archive"] = Part("MongoDB archive", folder, [HERE / "archive/build", image, router], ARCHIVE_GIB)
    if kvm:
        folder = image / f"kvm-{key_of(HERE / 'kvm', HERE.parent / 'guest')}"
        found["kvm"] = Part("KVM hosts", folder, [HERE / "kvm/build", image], KVM_GIB)
    return found


def router_of_archive() -> Path:
    """The mongos of the archive: the one that ONEPASS_MONGOS names, or else the stand-in."""
    router = Path(os.environ.get("ONEPASS_MONGOS") or HERE / "router.py")
    if not router.is_file():
        raise Trouble(f"the MongoDB archive needs a router: {router} is not a file")
    return router


def key_of(*sources: Path) -> str:
    """A hash of all that something cached is built from."""
    files = sorted(path for source in sources for path in (source, *source.rglob("*")) if path.is_file())
    parts = [f"{os.path.relpath(path, HERE)}\n".encode() + path.read_bytes() for path in files]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def unfit(missing: dict[str, Part]) -> list[str]:
    """Why the cache cannot take the parts that are missing in it."""
    if missing and re.search(r"[\s:,\\]", str(CACHE)):
        return [f"no overlay can be made of {CACHE}, for a blank, comma, colon or backslash in it: {ELSEWHERE}"]
    faults = [
        f"{CACHE} is read-only, and has no {part.what}: make it writable, or {ELSEWHERE}"
        for part in missing.values()
        if not os.access(existing(part.folder), os.W_OK)
    ]
    return faults or (unfit_for_overlays(CACHE, Path("/usr")) if "kvm" in missing else [])


def make_ready(part: Part) -> Path:
    """The part's folder, which stays while this process is; older parts of its kind that nobody uses go."""
    with alone("the image"):
        if not part.folder.exists():
            build(part)
            drop_old(part.folder)
        fcntl.flock(os.open(part.folder, os.O_RDONLY), fcntl.LOCK_SH)
    say(f"{part.what}: ready")
    return part.folder


def build(part: Part) -> None:
    unfinished = part.folder.with_name("unfinished")
    remove(unfinished)
    unfinished.mkdir(parents=True)
    say(f"{part.what}: building it, this once")
    try:
        run_build(part, unfinished, CACHE / "build.log")
        run("sync", "--file-system", unfinished)
        unfinished.rename(part.folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def run_build(part: Part, target: Path, log: Path) -> None:
    command = [*CONTAINED, *map(str, part.build), str(target)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True, "errors": "replace"}
    with log.open("w") as errors, subprocess.Popen(command, stderr=errors, **pipes) as building:
        try:
            for line in building.stdout:
                say(f"{part.what}: {line.strip()}")
        except BaseException:
            end(building)
            raise
    if building.returncode:
        raise Trouble(why_failed(part, log))


def why_failed(part: Part, log: Path) -> str:
    """What the build's check misses, or else how its log ends. A full disk is named, though it took no log any more."""
    said = log.read_text(errors="replace").splitlines()
    full = FULL.search("\n".join(said)) or shutil.disk_usage(CACHE).free < 2**20
    reason = f" for want of disk space: it needs {part.gib} GiB in {CACHE}: {ROOM}" if full else ""
    lines = [line for line in said if line.startswith("missing in it:")] or said[-5:]
    return "\n  ".join([f"{part.what}: could not be built{reason}; {log} ends", *lines])


def drop_old(current: Path) -> None:
    """What is beside the current one and has such a name, but for the key."""
    old = re.compile(re.sub(f"{KEY}$", KEY, current.name) + r"(\.tgz)?")
    for path in current.parent.iterdir():
        if path != current and old.fullmatch(path.name) and not in_use(path):
            remove(path)


def in_use(folder: Path) -> bool:
    """A host has it below its disk, or a lab command that is about to do so holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return f"lowerdir={folder}/" in Path("/proc/self/mountinfo").read_text()


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
