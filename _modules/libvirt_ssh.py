"""
A clone's identity, given to it by itself: it boots as its template, is logged into as root, and is shut down again.

.. versionadded:: 0.1.0

For templates whose disks cannot be written from outside: a filesystem that nobody here knows, LVM, encryption. The
template has an sshd that trusts a key of this host's root. What is written is what would be written on the disk. The
first connection trusts whoever has the address that this host's DHCP server gave to the clone's MAC; private keys go
through it, in no argument and no file of this host::

    salt-call --local -m . libvirt_clone.clone debian12 virtual1 identity=ssh

Configuration: ``libvirt_clone:ssh_key``, a private key of this host. Default: the first of root's own. Requires ``ssh``
here, and GNU ``find``, ``tar`` and ``poweroff`` in the template.
"""

import io
import os
import posixpath
import re
import shlex
import subprocess
import tarfile
from pathlib import Path

from salt.exceptions import CommandExecutionError

__virtualname__ = "libvirt_ssh"

KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
OPTIONS = (
    *("BatchMode=yes", "ConnectTimeout=30", "ServerAliveInterval=5"),
    *("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"),
)
PATIENCE = 120  # seconds that a guest, emulated on a busy host, has for one of our scripts
KINDS = {"d": "directory", "f": "file", "l": "link"}


def __virtual__():
    return __virtualname__


def key() -> str | None:
    """
    The private key that this host logs in with: its path, or ``None``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_ssh.key

    .. versionadded:: 0.1.0
    """
    given = __salt__["config.get"]("libvirt_clone:ssh_key", None)
    places = [given] if given else [os.path.expanduser(f"~root/.ssh/{name}") for name in KEYS]
    return next((place for place in places if Path(place).is_file()), None)


def identify(name: str, identity: dict, timeout: float):
    """
    The clone has this identity, and is off again; its lease as the template is given back.

    name
        The clone, off and with its disks.
    identity
        What :py:func:`libvirt_identity.new` answered.
    timeout
        Seconds for its boot, and again for its shutdown.

    Raises ``CommandExecutionError`` when nobody lets us in, or a file is not as wanted.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_ssh.identify

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    __salt__["libvirt_host.power"](name, True)
    address, files = __salt__["onepass.wait"](lambda: _look(name), f"root's login on {name} as its template", timeout)
    edits = __salt__["libvirt_identity.edits"](identity, files)
    wrong = _wrong(edits, _write(address, edits))
    if wrong:
        raise CommandExecutionError(f"{name}: not as written when read back: {', '.join(wrong)}")
    _run(address, "sync; (sleep 1; poweroff) >/dev/null 2>&1 </dev/null &")
    __salt__["onepass.wait"](lambda: _is_off(name), f"the shutdown of {name}", timeout)


def _look(name: str) -> tuple:
    """Address and files as soon as we are let in; until then, what was seen."""
    vm = __salt__["libvirt_make.own"](name)
    if not vm["active"]:
        raise CommandExecutionError(f"{name} went off while it booted as its template")
    address = __salt__["libvirt_guest.address"](vm)
    if not address:
        return None, "no DHCP server gave it an address"
    directories, texts = __salt__["libvirt_identity.directories"](), __salt__["libvirt_identity.texts"]()
    try:
        return (address, _read(address, directories, texts)), ""
    except CommandExecutionError as err:
        if "Permission denied" in str(err):
            raise CommandExecutionError(f"{name}: {err}; the template's root must trust {key()}.pub") from err
        return None, str(err)


def _is_off(name: str) -> tuple:
    return not __salt__["libvirt_host.domain"](name)["active"], "it runs"


def _run(address: str, script: str, stdin: bytes = b"") -> bytes:
    """A shell script of ours in the guest, as root; what it prints."""
    options = [f"-o{option}" for option in OPTIONS]
    argv = ["ssh", "-F", "none", "-i", key(), *options, f"root@{address}", script]
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise CommandExecutionError(f"ssh root@{address} was ended after {PATIENCE} s without an answer") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit {done.returncode}"]
        raise CommandExecutionError(f"ssh root@{address}: {said[-1]}")
    return done.stdout


def _read(address: str, directories, texts) -> dict:
    """The guest's files, as :py:func:`libvirt_disk.inspect` has them."""
    return _files(_run(address, _reading(directories, texts)))


def _write(address: str, edits: dict) -> dict:
    """Files take the place of what is there, with their modes from the first byte, others go; as read afterwards."""
    removed = f"rm -f -- {shlex.join(edits['remove'])}" if edits["remove"] else "true"
    written = f"set -e; umask 022; tar -xf - -C / --unlink-first --no-same-owner; {removed}; set +e"
    places = {posixpath.dirname(path) for path in (*edits["write"], *edits["remove"])}
    return _files(_run(address, f"{written}; {_reading(places, edits['write'])}", _archive(edits["write"])))


def _reading(directories, texts) -> str:
    """A script that lists directories, each entry ended by NUL, and after one NUL more packs texts."""
    names = [path.lstrip("/") for path in texts]
    places = shlex.join(sorted(directories))
    wanted = " ".join(name if re.fullmatch(r"[\w./*-]+", name) else shlex.quote(name) for name in names)
    listed = f"find {places} -maxdepth 1 -printf '%y %p\\0' 2>/dev/null; printf '\\0'"
    return f"{listed}; cd / && tar -cf - --ignore-failed-read {wanted} 2>/dev/null; true"


def _files(printed: bytes) -> dict:
    listed, _, packed = printed.partition(b"\0\0")
    entries = [each.partition(" ") for each in listed.decode(errors="replace").split("\0") if each]
    files = {path: {"kind": KINDS.get(kind, "other")} for kind, _, path in entries}
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member in archive:
                if member.isfile():
                    text = archive.extractfile(member).read().decode(errors="replace")
                    files[f"/{member.name}"] = {"kind": "file", "text": text, "mode": member.mode}
    except tarfile.TarError as err:
        raise CommandExecutionError(f"No archive of the guest's files came back ({err}); it needs GNU tar") from err
    return files


def _archive(files: dict) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, held in files.items():
            data = held["text"].encode()
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(data), held["mode"]
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def _wrong(edits: dict, now: dict) -> list:
    wrong = [path for path, held in edits["write"].items() if now.get(path, {}).get("text") != held["text"]]
    return wrong + [path for path in edits["remove"] if path in now]
