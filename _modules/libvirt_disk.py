"""
Disk images of virtual machines: what is on them, and how to change it, without starting anything in between.

.. versionadded:: 0.1.0

An image is shown as a raw device by QEMU's own FUSE export; files of an ext2, ext3 or ext4 are read and written there
by debugfs, which needs neither a mount nor an appliance; XFS and Btrfs are mounted from it, away from the host's own
mounts. Nothing here knows libvirt::

    salt-call --local -m . libvirt_disk.header /var/lib/libvirt/images/debian12.qcow2

Requires root, ``qemu-img`` and ``qemu-storage-daemon`` 6 or later, ``/dev/fuse``, ``debugfs`` (e2fsprogs) and
``setpriv`` (util-linux).
"""

import contextlib
import io
import json
import os
import posixpath
import re
import shutil
import struct
import subprocess
import sys
import threading
from fnmatch import fnmatchcase
from pathlib import Path

from salt.exceptions import CommandExecutionError

__virtualname__ = "libvirt_disk"

SECTOR = 512
EXTENDED = (0x05, 0x0F, 0x85)
GPT = struct.Struct("<72xQII4x")  # where the table begins, its entries, bytes of each
LARGEST = 16 << 20  # bytes of a guest's file: a list of hosts may be long
PATIENCE = 60  # seconds that a program has to answer
PROGRAMS = ("qemu-img", "qemu-storage-daemon", "debugfs", "setpriv")
SEALED = re.compile(r"(?P<stem>.+)\.g(?P<generation>[1-9][0-9]*)(?P<suffix>\.[^.]+)?")


def __virtual__():
    missing = [program for program in PROGRAMS if not shutil.which(program, path=_path())]
    if missing:
        return False, f"libvirt_disk needs {', '.join(missing)}: on Debian, apt-get install qemu-utils e2fsprogs"
    return __virtualname__


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


# Images


def header(path: str) -> dict:
    """
    What an image's own header says; nothing is started for it.

    path
        The image. One that is not qcow2 is taken for raw.

    Returns:
        ``format``, ``size`` (bytes, as the guest sees it), ``backing`` (absolute path or ``None``), ``encrypted``,
        ``snapshots`` (how many are in it), and ``written``: whether anything was ever written to it (always true of a
        raw one).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_disk.header /var/lib/libvirt/images/debian12.qcow2

    .. versionadded:: 0.1.0
    """
    with __salt__["onepass_host.told"](path), open(path, "rb") as image:
        head = image.read(104)
        if not _is_qcow2(head):
            size, encrypted = os.stat(path).st_size, head.startswith(b"LUKS\xba\xbe")
            plain = {"backing": None, "snapshots": 0, "written": True}
            return {"format": "raw", "size": size, "encrypted": encrypted, **plain}
        at, length = struct.unpack_from(">QI", head, 8)
        size, cipher, entries, table = struct.unpack_from(">QIIQ", head, 24)
        (snapshots,) = struct.unpack_from(">I", head, 60)
        image.seek(at)
        backing = os.fsdecode(image.read(length)) if at else None
        image.seek(table)
        written = any(image.read(8 * entries))
    if backing:
        backing = posixpath.join(posixpath.dirname(path), backing.removeprefix("file:"))
    known = {"backing": backing, "encrypted": cipher != 0, "snapshots": snapshots, "written": written}
    return {"format": "qcow2", "size": size, **known}


def _is_qcow2(head: bytes) -> bool:
    """By its magic, and by numbers that QEMU takes: to a raw disk its guest's root writes what it likes."""
    if head[:4] != b"QFI\xfb" or len(head) < 72:
        return False
    name, length = struct.unpack_from(">QI", head, 8)
    entries, table = struct.unpack_from(">IQ", head, 36)
    return length < 1024 and entries <= 4 << 20 and max(name, table) < 1 << 62


def base(path: str, generation: int) -> str:
    """
    The path of a sealed generation of a template's disk: beside it, ``debian12.g1.qcow2``.

    path
        The template's disk.
    generation
        1 or more.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_disk.base /var/lib/libvirt/images/debian12.qcow2 1

    .. versionadded:: 0.1.0
    """
    stem, suffix = posixpath.splitext(path)
    return f"{stem}.g{generation}{suffix}"


def generations(path: str) -> dict:
    """
    The sealed generations that a template's disk has on this host: number to path.

    path
        The template's disk.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_disk.generations /var/lib/libvirt/images/debian12.qcow2

    .. versionadded:: 0.1.0
    """
    directory = posixpath.dirname(path)
    found = {}
    with __salt__["onepass_host.told"](directory):
        for file in os.listdir(directory):
            match = SEALED.fullmatch(file)
            if match and base(path, int(match["generation"])) == posixpath.join(directory, file):
                found[int(match["generation"])] = posixpath.join(directory, file)
    return dict(sorted(found.items()))


def seal(path: str, image_format: str, generation: int) -> str:
    """
    The disk's contents are an immutable generation, and the disk is an empty overlay over it, under its old path.

    At every moment there is a whole disk under ``path``. A first seal gives the file a second name; a later one copies
    what is on the disk, so that each generation stands alone.

    path
        The template's disk. No VM runs with it.
    image_format
        ``qcow2`` or ``raw``.
    generation
        The new generation's number.

    Returns:
        The generation's path.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_disk.seal

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    sealed, new = base(path, generation), f"{path}.new"
    kept_format = "qcow2"
    with __salt__["onepass_host.told"](path):
        if header(path)["backing"]:
            argv = ["qemu-img", "convert", "-O", "qcow2", "-f", image_format, path, new]
            __salt__["onepass_host.run"](argv, timeout=None)  # as long as the disk is large
            os.replace(new, sealed)
        else:
            kept_format = image_format
            if not (os.path.exists(sealed) and os.path.samefile(path, sealed)):
                os.link(path, sealed)
        owner = os.stat(path)
        os.chmod(sealed, 0o444)
        __salt__["onepass_host.run"](["qemu-img", "create", "-f", "qcow2", "-b", sealed, "-F", kept_format, new])
        os.chown(new, owner.st_uid, owner.st_gid)
        os.chmod(new, owner.st_mode & 0o777 | 0o600)
        os.replace(new, path)
    return sealed


def empty(base: str, base_format: str) -> bytes:
    """
    The file of an empty qcow2 overlay over a base image: any number of clones have the same.

    base, base_format
        The image below, and its format.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_disk.empty

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    with __salt__["onepass_host.workplace"]() as work:
        path = work / "overlay"
        __salt__["onepass_host.run"](["qemu-img", "create", "-f", "qcow2", "-b", base, "-F", base_format, path])
        return path.read_bytes()


def write(path: str, data: bytes):
    """
    A new file, readable by root and QEMU alone.

    path
        The file. One that is there already is an error.
    data
        Its contents.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_disk.write

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    with (
        __salt__["onepass_host.told"](path),
        open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file,
    ):
        file.write(data)


def flatten(path: str):
    """
    The image stands alone: everything that it had from the images below is copied into it.

    path
        The image. No VM runs with it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_disk.flatten

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    __salt__["onepass_host.run"](["qemu-img", "rebase", "-f", "qcow2", "-b", "", path], timeout=None)


def iso(path: str, files: dict):
    """
    An ISO image labelled ``cidata`` with these files, readable by root and QEMU alone. Requires ``pycdlib``.

    path
        The image.
    files
        Name to text.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_disk.iso

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    import pycdlib  # takes as long as a clone, and few templates need it

    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, text) in enumerate(files.items()):
        data = text.encode()
        image.add_fp(io.BytesIO(data), len(data), f"/FILE{number}.;1", rr_name=name, joliet_path=f"/{name}")
    with (
        __salt__["onepass_host.told"](path),
        open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file,
    ):
        image.write_fp(file)
    image.close()


# What is on a disk


def inspect(path: str, image_format: str = "qcow2", directories=(), texts=(), mount: bool = True) -> dict:
    """
    The system on a disk, read without changing anything; the disk may be in use.

    path
        The image.
    image_format
        ``qcow2`` or ``raw``. Default ``qcow2``.
    directories
        List of directories to list. Default none.
    texts
        List of files in them to read, or of patterns such as ``/etc/netplan/*.yaml``. Default none.
    mount
        Whether this host's kernel may mount what only it can read, XFS and btrfs. Default yes.

    Raises ``CommandExecutionError`` for a partition table that is none, and for more than 16 MiB in these files.

    Returns:
        ``offset`` (bytes, of the partition), ``filesystem``, ``clean`` (it was unmounted) and ``files``: path to
        mapping with ``kind`` (``file``, ``link``, ``directory``), and ``text`` and ``mode`` of one that was read.
        ``offset`` is ``None`` when there is no
        system that can be read, and ``why`` says what was seen instead.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_disk.inspect

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    seen = []
    with _export(path, image_format) as device:
        for offset in _partitions(device):
            filesystem, clean = _filesystem(device, offset)
            seen.append(filesystem or "nothing known")
            if filesystem in READERS and not mount and READERS[filesystem] is _mount_read:
                return {"offset": None, "why": f"its {filesystem} would have to be mounted here", "files": {}}
            if filesystem not in READERS:
                continue
            if not clean:
                return {"offset": offset, "filesystem": filesystem, "clean": False, "files": {}}
            files = READERS[filesystem](device, offset, {"/etc", *directories}, texts)
            if files.keys() & {"/etc/hostname", "/etc/os-release", "/etc/passwd"}:
                return {"offset": offset, "filesystem": filesystem, "clean": True, "files": files}
    return {"offset": None, "why": f"no system on it, but {', '.join(seen) or 'no partition'}", "files": {}}


def edit(path: str, offset: int, filesystem: str, edits: dict, files: dict):
    """
    Write and remove files on a disk that no VM runs with, and read them back.

    path
        The qcow2 image.
    offset, filesystem, files
        As :py:func:`inspect` answered them, of this disk or of the one that it is a copy of.
    edits
        ``write`` (path to mapping with ``text`` and ``mode``) and ``remove`` (list of paths).

    Raises ``CommandExecutionError`` that names the files which are not as wanted.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_disk.edit

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    with _export(path, "qcow2", writable=True) as device:
        directories = {posixpath.dirname(each) for each in (*edits["write"], *edits["remove"])}
        now = WRITERS[filesystem](device, offset, edits, files, directories)
    wrong = [each for each, held in edits["write"].items() if now.get(each, {}).get("text") != held["text"]]
    wrong += [each for each in edits["remove"] if each in now]
    if wrong:
        raise CommandExecutionError(f"{path}: not as written when read back: {', '.join(wrong)}; is the disk full?")


@contextlib.contextmanager
def serving():
    """
    Within this block, all images are shown by one ``qemu-storage-daemon``; else each has its own.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_disk.serving

    .. versionadded:: 0.1.0
    """
    if "libvirt_disk.server" in __context__:
        yield __context__["libvirt_disk.server"]
        return
    server = __context__["libvirt_disk.server"] = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "qemu-storage-daemon", "--chardev", "stdio,id=qmp", "--monitor", "qmp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PATH": _path()},
    )
    try:
        _ask(server, "qmp_capabilities")
        yield server
    finally:
        del __context__["libvirt_disk.server"]
        server.terminate()
        try:
            server.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()


def _ask(server, command: str, arguments: dict | None = None, event: str | None = None):
    """Have the server execute a QMP command, until it answers or the event comes."""
    asked = json.dumps({"execute": command, "arguments": arguments or {}, "id": command})
    limit = threading.Timer(PATIENCE, server.kill)
    limit.start()
    try:
        with contextlib.suppress(BrokenPipeError):
            print(asked, file=server.stdin, flush=True)
        for line in server.stdout:
            said = json.loads(line)
            if "error" in said:
                raise CommandExecutionError(said["error"]["desc"])
            if said.get("event") == event if event else said.get("id") == command:
                return
    finally:
        limit.cancel()
    raise CommandExecutionError(f"qemu-storage-daemon ended, or had no answer for {PATIENCE} s")


@contextlib.contextmanager
def _export(path: str, image_format: str, writable: bool = False):
    """The image as a raw device: a file that is one, until the end of the block. Its directory is for more files."""
    protocol = {"driver": "file", "filename": path, "locking": "on"}
    node = {"driver": image_format, "node-name": "image", "file": protocol}
    if not writable:
        node.update({"read-only": True, "force-share": True})
        protocol.update({"read-only": True, "force-share": True, "locking": "auto"})
    share = {"type": "fuse", "id": "device", "node-name": "image", "writable": writable}
    with (
        serving() as server,
        __salt__["onepass_host.workplace"]() as work,
        contextlib.ExitStack() as shown,
    ):
        device = work / "disk"
        device.touch()
        try:
            _ask(server, "blockdev-add", node)
            shown.callback(_ask, server, "blockdev-del", {"node-name": "image"})
            _ask(server, "block-export-add", {**share, "mountpoint": str(device)})
            shown.callback(_ask, server, "block-export-del", {"id": "device"}, "BLOCK_EXPORT_DELETED")
        except CommandExecutionError as err:
            raise CommandExecutionError(
                f"{path} cannot be opened: {err}. Is a VM running with it, and is there /dev/fuse?"
            ) from err
        yield device


def _partitions(device: Path) -> list:
    """Where filesystems may begin: the device itself, and the partitions of its MBR or GPT."""
    with open(device, "rb") as disk:
        first = disk.read(SECTOR)
        if first[510:512] != b"\x55\xaa":
            return [0]
        entries = [struct.unpack_from("<4xB3xI", first, 446 + 16 * number) for number in range(4)]
        if any(kind == 0xEE for kind, _ in entries):
            return [0, *_gpt(disk)]
        return [0, *(start * SECTOR for kind, start in entries if kind and kind not in EXTENDED)]


def _gpt(disk) -> list:
    """A guest's root wrote these numbers: of a table that no program makes nothing is taken."""
    disk.seek(SECTOR)
    start, count, size = GPT.unpack(disk.read(GPT.size).ljust(GPT.size, b"\0"))
    if count > 1024 or size not in (128, 256, 512) or start > disk.seek(0, os.SEEK_END) // SECTOR:
        raise CommandExecutionError(f"a partition table of {count} entries of {size} bytes at sector {start} is none")
    disk.seek(start * SECTOR)
    entries = [disk.read(size) for _ in range(count)]
    return [struct.unpack_from("<Q", each, 32)[0] * SECTOR for each in entries if len(each) == size and any(each[:16])]


def _filesystem(device: Path, offset: int):
    """What begins there, by its magic, and whether it was unmounted: ``(None, True)`` if it is not known."""
    with open(device, "rb") as disk:
        disk.seek(min(offset, disk.seek(0, os.SEEK_END)))
        head = disk.read(0x10048).ljust(0x10048, b"\0")
    magic, state = struct.unpack_from("<HH", head, 1024 + 56)
    if magic == 0xEF53:
        needs_recovery = struct.unpack_from("<I", head, 1024 + 96)[0] & 4
        return "ext", not needs_recovery and state & 1 == 1
    if head[:4] == b"XFSB":
        return "xfs", True
    if head[0x10040:0x10048] == b"_BHRfS_M":
        return "btrfs", True
    if head[512:520] == b"LABELONE":
        return "LVM", True
    return None, True


# ext2, ext3, ext4: debugfs. It exits with 0 whatever happens, so what it did is read back.


def _debugfs(device: Path, offset: int, commands: list, writable: bool) -> str:
    """No file that is taken from a disk becomes larger than what is read, whatever the disk says of its size."""
    way = ["debugfs", "-w"] if writable else ["prlimit", f"--fsize={LARGEST}", "debugfs"]
    argv = [*way, "-f", "-", f"{device}?offset={offset}"]
    script = "".join(f"{command}\n" for command in commands)
    return _run(argv, script).stdout


def _run(argv: list, stdin: str, **environment):
    env = {**os.environ, "PATH": _path(), **environment}
    try:
        return subprocess.run(
            argv, input=stdin, capture_output=True, text=True, errors="replace", env=env, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise CommandExecutionError(f"{argv[0]} was ended after {PATIENCE} s without an answer") from None


def _ext_read(device: Path, offset: int, directories, texts, changes=()) -> dict:
    """What is there, after the changes if there are any: it is opened once more then, to be read from the disk."""
    commands = [*changes, "close", f"open {device}?offset={offset}"] if changes else []
    commands += [f"ls -p {directory}" for directory in sorted(directories)]
    files = _ext_listed(_debugfs(device, offset, commands, writable=bool(changes)))
    dumps = {
        path: device.with_name(f"read{number}")
        for number, (path, held) in enumerate(files.items())
        if held["kind"] == "file" and '"' not in path and any(path == each or fnmatchcase(path, each) for each in texts)
    }
    sizes = {path: files[path]["size"] for path in dumps}  # without blocks they cost the guest nothing, and us all
    if sum(sizes.values()) > LARGEST:
        path = max(sizes, key=sizes.get)
        raise CommandExecutionError(f"its {path} has {sizes[path]} bytes; at most {LARGEST} are read of a disk")
    for held in files.values():
        held.pop("size", None)
    if dumps:
        _debugfs(device, offset, [f'dump "{path}" {dump}' for path, dump in dumps.items()], writable=False)
    for path, dump in dumps.items():
        if dump.exists():
            files[path]["text"] = dump.read_text(errors="replace")
    return files


def _ext_listed(output: str) -> dict:
    """Files by path, from what ``ls -p`` printed: ``/inode/mode/uid/gid/name/size/``."""
    kinds = {"04": "directory", "10": "file", "12": "link"}
    files, directory = {}, None
    for line in output.splitlines():
        if line.startswith("debugfs: "):
            directory = line.removeprefix("debugfs: ls -p ") if line.startswith("debugfs: ls -p ") else None
        elif directory and line.startswith("/") and line.count("/") >= 7:
            _, inode, mode, _, _, name, size, *_ = line.split("/")
            if name == "." and inode != "0":
                files[directory] = {"kind": "directory"}
            elif name not in ("", "..") and inode != "0":
                kind = kinds.get(mode[:2] if size.isdecimal() or mode[:2] != "10" else "", "other")
                more = {"mode": int(mode[-4:], 8), "size": int(size)} if kind == "file" else {}
                files[posixpath.join(directory, name)] = {"kind": kind, **more}
    return files


def _ext_write(device: Path, offset: int, edits: dict, files: dict, directories) -> dict:
    commands = [f'rm "{path}"' for path in edits["remove"]]
    made = set()
    for number, (path, held) in enumerate(edits["write"].items()):
        source = device.with_name(f"write{number}")
        source.touch(mode=0o600)
        source.write_text(held["text"])
        source.chmod(held["mode"])
        commands += [f"mkdir {each}" for each in _missing(path, files) if not (each in made or made.add(each))]
        commands += [f'rm "{path}"'] if path in files else []
        commands.append(f'write {source} "{path}"')
    return _ext_read(device, offset, directories, list(edits["write"]), changes=commands)


def _missing(path: str, files: dict) -> list:
    """The directories above a file that are not there, from the outermost."""
    parents = [str(each) for each in reversed(Path(path).parents)][2:]
    return [each for each in parents if each not in files]


# Other filesystems are mounted: from a loop device, in a mount namespace that ends with the program, which sees nothing
# but them, so that no link of the guest's leads to a file of the host's.

IN_MOUNT = """
import fnmatch, json, os, stat, sys
asked, files = json.load(sys.stdin), {}
os.chroot(sys.argv[1])
os.chdir("/")
kinds = {0o04: "directory", 0o10: "file", 0o12: "link"}
for path in asked["remove"]:
    os.unlink(path)
for path, held in asked["write"].items():
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(held["text"])
        os.fchmod(file.fileno(), held["mode"])
for directory in asked["directories"]:
    if os.path.isdir(directory):
        files[directory] = {"kind": "directory"}
        for each in os.scandir(directory):
            mode = each.stat(follow_symlinks=False).st_mode
            files[os.path.join(directory, each.name)] = {"kind": kinds.get(mode >> 12, "other")}
left = asked["largest"]
for path, held in files.items():
    if held["kind"] == "file" and any(path == each or fnmatch.fnmatchcase(path, each) for each in asked["texts"]):
        size = os.stat(path, follow_symlinks=False).st_size
        left -= size
        if left < 0:
            sys.exit(f"its {path} has {size} bytes; at most {asked['largest']} are read of a disk")
        with open(path, errors="replace") as file:
            held.update(text=file.read(), mode=stat.S_IMODE(os.fstat(file.fileno()).st_mode))
json.dump(files, sys.stdout)
"""
MOUNT = """
mount -t "$1" -o "loop,offset=$2,nodev,nosuid,noexec,$3" "$4" "$5"
shift 4
"$PYTHON" -I -c "$PROGRAM" "$1"
umount "$1"
"""


def _mount_read(device: Path, offset: int, directories, texts) -> dict:
    asked = {"directories": sorted(directories), "texts": list(texts), "write": {}, "remove": []}
    return _mounted(device, offset, "ro", asked)


def _mount_write(device: Path, offset: int, edits: dict, files: dict, directories) -> dict:
    _mounted(device, offset, "rw", {**edits, "directories": [], "texts": []})
    return _mount_read(device, offset, directories, list(edits["write"]))


def _mounted(device: Path, offset: int, mode: str, asked: dict) -> dict:
    kind = _filesystem(device, offset)[0]
    options = {("xfs", "ro"): "ro,norecovery,nouuid", ("xfs", "rw"): "rw,nouuid"}.get((kind, mode), mode)
    with __salt__["onepass_host.workplace"]() as work:
        script = ["sh", "-ec", MOUNT, "sh", kind, str(offset), options, str(device), str(work)]
        argv = ["unshare", "--mount", "--propagation", "private", *script]
        done = _run(argv, json.dumps({**asked, "largest": LARGEST}), PYTHON=sys.executable, PROGRAM=IN_MOUNT)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise CommandExecutionError(f"The {kind} on the disk cannot be mounted or changed: {said[-1]}")
    return json.loads(done.stdout)


READERS = {"ext": _ext_read, "xfs": _mount_read, "btrfs": _mount_read}
WRITERS = {"ext": _ext_write, "xfs": _mount_write, "btrfs": _mount_write}
