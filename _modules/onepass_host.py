"""
What several modules ask of the host they run on: run a program, read a file, write one whole.

.. versionadded:: 0.1.0

Nothing goes through a shell::

    salt-call --local -m . onepass_host.run '[ip, -V]'
"""

import contextvars
import ctypes
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import salt.utils.path
from salt.exceptions import CommandExecutionError

CLONE_NEWNET = 0x40000000


def __virtual__():
    return "onepass_host"


def run(argv, stdin=""):
    """
    Run a program in the C locale and answer what it printed. No shell; administrators' programs are found too.

    argv
        List of words.
    stdin
        Its standard input. Default: nothing.

    Raises ``CommandExecutionError`` with what the program said, or that it is not installed.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass_host.run '[ip, -V]'

    .. versionadded:: 0.1.0
    """
    words = [str(word) for word in argv]
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C"}
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, encoding="utf-8", errors="replace", env=env)
    except FileNotFoundError:
        raise CommandExecutionError(f"{words[0]} is not installed") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise CommandExecutionError(f"{' '.join(words)}: {said}")
    return done.stdout


def read(path):
    """
    A file's text, or ``None`` if there is none.

    path
        The file.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass_host.read /etc/hostname

    .. versionadded:: 0.1.0
    """
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
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

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass_host.write /tmp/onepass.example 'text'

    .. versionadded:: 0.1.0
    """
    path = Path(path)
    if text is None:
        return path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "w") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


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


def _entered(work):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        reason = os.strerror(ctypes.get_errno())
        raise CommandExecutionError(f"No network namespace could be made: {reason}; root is needed")
    return work()
