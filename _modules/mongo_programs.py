"""
MongoDB's programs that the formula ``mongodb`` has unpacked on this host, and the end of those that nobody needs.

.. versionadded:: 0.1.0

Each archive has a directory of its own below ``/opt/mongodb``, named by its hash. What a unit, a process or a link in a
directory of programs leads to stays, and so does the one before; nothing with another name is looked at::

    salt-call --local -m . mongo_programs.observe /opt/mongodb/653ec6ffdd36
"""

import contextlib
import os
import re
import shutil
from pathlib import Path

from salt.exceptions import CommandExecutionError

__virtualname__ = "mongo_programs"

UNITS = "/etc/systemd/system"
LINKS = ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin")
HASH, PART = "[0-9a-fA-F]{12}", ".part"


def __virtual__():
    return __virtualname__


def observe(home):
    """
    The other directories of programs beside the one that is wanted.

    home
        The directory that is wanted, ``/opt/mongodb/<hash>``.

    Returns:
        List of mappings: ``path``, ``made`` (when it came to its place, in seconds), and ``used`` (a unit, a process,
        or the path of a link; ``""``: by nothing). One that is half unpacked or half removed ends with ``.part``.

    Raises ``CommandExecutionError`` for a directory that is none of the formula's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_programs.observe /opt/mongodb/653ec6ffdd36

    .. versionadded:: 0.1.0
    """
    root, name = os.path.split(home)
    if not os.path.isabs(home) or not re.fullmatch(HASH, name):
        raise CommandExecutionError(f"{home!r} is no directory of the formula's programs, /opt/mongodb/<12 hex digits>")
    there = [each for each in sorted(Path(root).glob("*")) if _is_ours(each) and each.name not in (name, name + PART)]
    users = _users() if there else {}
    return [{"path": str(each), "made": each.stat().st_ctime, "used": _used(str(each), users)} for each in there]


def plan(observed):
    """
    The steps after which only programs that are used are there, and those before them. Pure.

    observed
        What :py:func:`observe` answered.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_programs.plan '[]'

    .. versionadded:: 0.1.0
    """
    whole = [each for each in observed if not each["path"].endswith(PART)]
    running = [each for each in whole if each["used"] and not each["used"].startswith("/")]
    idle = sorted((each for each in whole if not each["used"]), key=lambda each: each["made"])
    before = running or idle[-1:]
    return [
        {"do": "remove", "what": f"programs {each['path']}", "old": "present", "new": None, "path": each["path"]}
        for each in observed
        if each not in before and not each["used"]
    ]


def act(step):
    """
    Execute one step of :py:func:`plan`. What is cut off in the middle has a name by which the next run goes on.

    step
        The step.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc mongo_programs.act

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    path = step["path"]
    part = path if path.endswith(PART) else path + PART
    if path != part:
        shutil.rmtree(part, ignore_errors=True)
        os.rename(path, part)
    shutil.rmtree(part)


def _is_ours(path):
    """A directory in its place, not a link or a filesystem of somebody's, that has MongoDB's programs or is a part."""
    if not re.fullmatch(f"{HASH}({re.escape(PART)})?", path.name) or path.is_symlink() or not path.is_dir():
        return False
    programs = path.name.endswith(PART) or any((path / "bin" / name).exists() for name in ("mongod", "mongos"))
    return programs and not path.is_mount()


def _used(path, users):
    return next((by for by, leads in users.items() if f"{path}/" in leads), "")


def _users():
    """Units, processes and links of this host, each to where it leads."""
    found = {}
    for folder, _, names in os.walk(UNITS):
        for name in names:
            with contextlib.suppress(OSError):
                found[name] = Path(folder, name).read_text(errors="replace")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found[f"process {process.name}"] = os.readlink(process / "exe")
    for folder in filter(os.path.isdir, LINKS):
        for link in (each.path for each in os.scandir(folder) if each.is_symlink()):
            found[link] = os.path.realpath(link)
    return found
