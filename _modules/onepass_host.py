"""
What several modules ask of the host they run on: run a program, read a file, write one whole.

.. versionadded:: 0.1.0

Nothing goes through a shell, and nothing is run or written for a caller from outside of the bundle::

    salt-call --local -m . onepass_host.has_systemd
"""

import contextlib
import contextvars
import ctypes
import errno
import fcntl
import glob
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import salt.utils.path
from salt.exceptions import CommandExecutionError

CLONE_NEWNET = 0x40000000
# Whatever bytes a file of others holds.
AS_IT_IS = {"encoding": "utf-8", "errors": "surrogateescape"}
WORK = "onepass-work-"
# Where the bundle's own functions are: beside this file's directory, in each way to install them. Not all that is
# below it, as a checkout has Salt itself in its .venv.
HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KINDS = ("modules", "states", "runners")
OWN = tuple(os.path.join(HOME, name, "") for name in (*KINDS, *(f"_{kind}" for kind in KINDS), "tests"))


def __virtual__():
    return "onepass_host"


def internal():
    """
    What the function that calls this would do, it does for the bundle's own modules, states and runners only: a job of
    a master's (``salt '*' ...``), ``salt-call``, ``module.run``, Jinja and other modules are refused.

    Raises ``CommandExecutionError`` that names the function.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc onepass_host.internal

    .. versionadded:: 0.1.0
    """
    called = _caller(sys._getframe())
    by = _caller(called)
    if not by or not _is_own(os.path.abspath(by.f_code.co_filename)):
        name = f"{Path(called.f_code.co_filename).stem}.{called.f_code.co_name}"
        raise CommandExecutionError(f"{name} is not for callers from outside: only Onepass's own functions may call it")


def run(argv, stdin="", timeout=60):
    """
    Run a program in the C locale and answer what it printed. No shell; administrators' programs are found too.

    argv
        List of words.
    stdin
        Its standard input. Default: nothing.
    timeout
        Seconds until it is ended, ``None`` for as long as it takes. Default 60.

    Raises ``CommandExecutionError`` with what the program said, or that it is not installed or did not end.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc onepass_host.run

    .. versionadded:: 0.1.0
    """
    internal()
    words = [str(word) for word in argv]
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C"}
    text = {"encoding": "utf-8", "errors": "replace"}
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, env=env, timeout=timeout, **text)
    except FileNotFoundError:
        raise CommandExecutionError(f"{words[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise CommandExecutionError(f"{' '.join(words)} was ended after {timeout} s without an answer") from None
    except OSError as err:
        raise CommandExecutionError(f"{words[0]} cannot be run: {err.strerror}") from err
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise CommandExecutionError(f"{' '.join(words)}: {said}")
    return done.stdout


def read(path):
    """
    A file's text, or ``None`` if there is none. Bytes that are no UTF-8 go back by :py:func:`write` as they were.

    path
        The file.

    Raises ``CommandExecutionError`` with the reason why it cannot be read.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc onepass_host.read

    .. versionadded:: 0.1.0
    """
    internal()
    with told(path), contextlib.suppress(FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return Path(path).read_text(**AS_IT_IS)
    return None


def write(path, text, mode=0o644):
    """
    The file has this text, whole at any moment and with its mode from the first byte; or is gone.

    path
        The file; its directory is made.
    text
        Its text; ``None`` removes it.
    mode
        Its mode. Default ``0o644``.

    Raises ``CommandExecutionError`` with the reason why it cannot be written.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc onepass_host.write

    .. versionadded:: 0.1.0
    """
    internal()
    path = Path(path)
    with told(path):
        if text is None:
            return path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.part-")
        try:
            with os.fdopen(handle, "w", **AS_IT_IS) as file:
                os.fchmod(file.fileno(), mode)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            _replace(part, path, text)
        finally:
            Path(part).unlink(missing_ok=True)


@contextlib.contextmanager
def told(path):
    """
    A context in which what the system refuses is an error of Salt's that names the file.

    path
        The file, where the system's error names none.

    Raises ``CommandExecutionError`` instead of ``OSError``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc onepass_host.told

    .. versionadded:: 0.1.0
    """
    try:
        yield
    except OSError as err:
        raise CommandExecutionError(f"{err.filename2 or err.filename or path}: {err.strerror}") from err


@contextlib.contextmanager
def workplace():
    """
    A directory of the caller's own, until the end of a block: in it are files that programs are given.

    What is left of blocks whose process was killed is removed by the next one; a lock tells them from living ones.

    Raises ``CommandExecutionError`` when there can be none.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc onepass_host.workplace

    .. versionadded:: 0.1.0
    """
    for left in glob.glob(os.path.join(tempfile.gettempdir(), f"{WORK}*")):
        _remove_left(left)
    with told(tempfile.gettempdir()):
        work = tempfile.mkdtemp(prefix=WORK)
    held = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield Path(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(held)


def has_systemd():
    """
    Whether systemd runs this host.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass_host.has_systemd

    .. versionadded:: 0.1.0
    """
    return Path("/run/systemd/system").is_dir() and bool(salt.utils.path.which("systemctl"))


def in_new_network(work):
    """
    Answer what a function answers in a network namespace of its own, which nobody else sees and which is gone with it.
    What it starts is in there too.

    work
        Function without arguments.

    Raises ``CommandExecutionError`` when no namespace can be made, and whatever the function raises.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc onepass_host.in_new_network

    .. versionadded:: 0.1.0
    """
    context = contextvars.copy_context()  # by which Salt's loader finds __salt__
    with ThreadPoolExecutor(1) as pool:  # a namespace belongs to a thread, and ends with it
        return pool.submit(context.run, _entered, work).result()


def _caller(frame):
    """The frame that called, not Salt's loader between the two; ``None`` where a thread begins."""
    frame = frame.f_back
    while frame and frame.f_globals.get("__name__", "").startswith("salt.loader."):
        frame = frame.f_back
    return frame


def _is_own(path):
    """Whether a file is the bundle's: one beside this one, or of its name in another copy that Salt loads from."""
    if path.startswith(OWN):
        return True
    folder, library, name = path.rpartition("/onepass_lib/")
    folder, name = (folder, f"onepass_lib/{name}") if library else os.path.split(path)
    kind = os.path.basename(folder).removeprefix("_")
    beside = any(os.path.exists(os.path.join(HOME, each, name)) for each in (kind, f"_{kind}"))
    return kind in KINDS and beside and folder in _copies(kind)


def _copies(kind):
    """Where else Salt loads the bundle from: what it has synced, folders that it is given, an installed package."""
    opts = globals().get("__opts__", {})
    roots = [root for root in (opts.get("extension_modules"), *opts.get("module_dirs", ())) if root]
    found = {os.path.join(os.path.abspath(root), name) for root in roots for name in (kind, f"_{kind}")}
    with contextlib.suppress(ImportError, AttributeError):  # not installed, or without that kind
        found.update(importlib.util.find_spec(f"saltext.onepass.{kind}").submodule_search_locations)
    return found


def _remove_left(work):
    """A workplace that nobody holds any more; one that is a minute old has been locked, if its process lives."""
    with contextlib.suppress(OSError):
        held = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            there = os.fstat(held)
            if there.st_uid == os.geteuid() and there.st_mtime < time.time() - 60:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(work, ignore_errors=True)
        finally:
            os.close(held)


def _sweep(path):
    """What writers that were killed left beside a file; one that is at work is younger."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.part-*"):
        with contextlib.suppress(FileNotFoundError):
            if part.stat().st_mtime < time.time() - 3600:
                part.unlink()


def _replace(part, path, text):
    """A file that is mounted by itself, a container's, is written in place: it cannot be replaced."""
    try:
        os.replace(part, path)
    except OSError as err:
        if err.errno != errno.EBUSY:
            raise
        path.write_text(text, **AS_IT_IS)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _entered(work):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        reason = os.strerror(ctypes.get_errno())
        raise CommandExecutionError(f"No network namespace could be made: {reason}; root is needed")
    return work()
