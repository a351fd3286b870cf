"""
A clone's identity, given to it by itself: it boots as its template, is logged into as root, and is shut down again.

.. versionadded:: 0.1.0

For templates whose disks cannot be written from outside: a filesystem that nobody here knows, LVM, encryption. The
template has an sshd that trusts a key of this host's root. What is written is what would be written on the disk. It
goes to nobody but who has the template's host key: private keys go through that connection, in no argument and no file
of this host::

    salt-call --local -m . libvirt_clone.clone debian12 virtual1 identity=ssh

Configuration: ``libvirt_clone:ssh_key``, a private key of this host. Default: the first of root's own. Requires ``ssh``
and ``ssh-keygen`` here, and GNU ``find``, ``tar`` and ``poweroff`` in the template.
"""

import contextlib
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
    *("StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", "HostKeyAlias=template"),
)
HOST_KEY = re.compile(r"(?:ssh|ecdsa|sk)-[\w.@-]+ [A-Za-z0-9+/]+=*")
ROOTS_OWN = "~root/.ssh/known_hosts"
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


def host_keys(template: str, images: list) -> list:
    """
    The host keys of a template: those on its disk, else those that this host's root trusts under the template's name.

    template
        The domain.
    images
        The disks that clones are made of: mappings with ``path`` and ``format``.

    Returns:
        List of lines such as ``ssh-ed25519 AAAA...``.

    Raises ``CommandExecutionError`` when they cannot be known.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_ssh.host_keys

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    trusted = __salt__["config.get"]("libvirt_clone:known_hosts", None) or "/etc/ssh/ssh_known_hosts"
    places = (trusted, os.path.expanduser(ROOTS_OWN))
    found = [key for image in images for key in _on_disk(image)] or [
        key for path in places for key in _trusted(template, path)
    ]
    if not found:
        raise CommandExecutionError(
            f"{template}: its host key is not known here, and a clone's private keys go to nobody else over ssh; read "
            f"/etc/ssh/ssh_host_ed25519_key.pub on its console and add to {trusted}: {template} ssh-ed25519 AAAA..."
        )
    return list(dict.fromkeys(found))


def identify(name: str, identity: dict, timeout: float, trusted: list):
    """
    The clone has this identity, and is off again; its lease as the template is given back.

    name
        The clone, off and with its disks.
    identity
        What :py:func:`libvirt_identity.new` answered.
    timeout
        Seconds for its boot, and again for its shutdown.
    trusted
        What :py:func:`host_keys` answered of its template.

    Raises ``CommandExecutionError`` when nobody lets us in, another answers, or a file is not as wanted.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_ssh.identify

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    __salt__["libvirt_host.power"](name, True)
    with _ssh([*trusted, identity["host_key_public"]]) as ssh:  # once written, its sshd shows the new one
        what = f"root's login on {name} as its template"
        address, files = __salt__["onepass.wait"](lambda: _look(name, ssh), what, timeout)
        edits = __salt__["libvirt_identity.edits"](identity, files)
        wrong = _wrong(edits, _write(ssh, address, edits))
        if wrong:
            raise CommandExecutionError(f"{name}: not as written when read back: {', '.join(wrong)}")
        _run(ssh, address, "sync; (sleep 1; poweroff) >/dev/null 2>&1 </dev/null &")
    __salt__["onepass.wait"](lambda: _is_off(name), f"the shutdown of {name}", timeout)


def _on_disk(image: dict) -> list:
    """Host keys on an image; of one that cannot be read none are known."""
    with contextlib.suppress(CommandExecutionError):
        texts = ["/etc/ssh/ssh_host_*_key.pub"]
        files = __salt__["libvirt_disk.inspect"](image["path"], image["format"], ["/etc/ssh"], texts)["files"]
        return [found[0] for held in files.values() if (found := HOST_KEY.match(held.get("text") or ""))]
    return []


def _trusted(name: str, path: str) -> list:
    """Host keys that a known_hosts file has of a name, hashed or not; none of an authority, and no revoked one."""
    with contextlib.suppress(CommandExecutionError):
        lines = __salt__["onepass_host.run"](["ssh-keygen", "-F", name, "-f", path]).splitlines()
        rest = [line.partition(" ")[2] for line in lines if not line.startswith(("#", "@"))]
        return [found[0] for each in rest if (found := HOST_KEY.match(each))]
    return []


@contextlib.contextmanager
def _ssh(trusted: list):
    """The beginning of a command line, until the end of the block: a session with who has one of these host keys."""
    with __salt__["onepass_host.workplace"]() as work:
        (work / "known_hosts").write_text("".join(f"template {key}\n" for key in trusted))
        options = [f"-o{option}" for option in (*OPTIONS, f'UserKnownHostsFile="{work}/known_hosts"')]
        yield ["ssh", "-F", "none", "-i", key(), *options]


def _look(name: str, ssh: list) -> tuple:
    """Address and files as soon as we are let in; until then, what was seen."""
    vm = __salt__["libvirt_make.own"](name)
    if not vm["active"]:
        raise CommandExecutionError(f"{name} went off while it booted as its template")
    address = __salt__["libvirt_guest.address"](vm)
    if not address:
        return None, "no DHCP server gave it an address"
    directories, texts = __salt__["libvirt_identity.directories"](), __salt__["libvirt_identity.texts"]()
    try:
        return (address, _read(ssh, address, directories, texts)), ""
    except CommandExecutionError as err:
        if "Permission denied" in str(err):
            raise CommandExecutionError(f"{name}: {err}; the template's root must trust {key()}.pub") from err
        if "Host key verification failed" in str(err):
            raise CommandExecutionError(
                f"{name}: who answers at {address} has not its template's host key, and was told nothing; see who has "
                "that address, and whether the template makes new host keys when it boots"
            ) from err
        return None, str(err)


def _is_off(name: str) -> tuple:
    return not __salt__["libvirt_host.domain"](name)["active"], "it runs"


def _run(ssh: list, address: str, script: str, stdin: bytes = b"") -> bytes:
    """A shell script of ours in the guest, as root; what it prints."""
    argv = [*ssh, f"root@{address}", script]
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise CommandExecutionError(f"ssh root@{address} was ended after {PATIENCE} s without an answer") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit {done.returncode}"]
        raise CommandExecutionError(f"ssh root@{address}: {said[-1]}")
    return done.stdout


def _read(ssh: list, address: str, directories, texts) -> dict:
    """The guest's files, as :py:func:`libvirt_disk.inspect` has them."""
    return _files(_run(ssh, address, _reading(directories, texts)))


def _write(ssh: list, address: str, edits: dict) -> dict:
    """Files take the place of what is there, with their modes from the first byte, others go; as read afterwards."""
    removed = f"rm -f -- {shlex.join(edits['remove'])}" if edits["remove"] else "true"
    written = f"set -e; umask 022; tar -xf - -C / --unlink-first --no-same-owner; {removed}; set +e"
    places = {posixpath.dirname(path) for path in (*edits["write"], *edits["remove"])}
    script = f"{written}; {_reading(places, edits['write'])}"
    return _files(_run(ssh, address, script, _archive(edits["write"])))


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
