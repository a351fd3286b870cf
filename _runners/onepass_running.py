"""
The orchestrations that run on this master, by files of the form in which Salt 3007 and later keep what runs.

.. versionadded:: 0.1.0

Salt 3006 keeps no such files of what ``salt-run`` runs, so there Onepass writes them: ``onepass.run`` and
``onepass.plan`` at once, a plain ``state.orchestrate`` at its first step ``onepass.checked``. A file counts for as long
as its process runs, so nobody has to clean up after a run that was killed::

    salt-run onepass_running.found
"""

import contextlib
from pathlib import Path

import psutil
import salt.payload
import salt.utils.jid
from salt.exceptions import SaltDeserializationError

ORCHESTRATIONS = ("runner.state.orchestrate", "runner.state.orch", "runner.state.sls")
EMPTY = salt.payload.dumps({})


def __virtual__():
    return "onepass_running"


def found() -> list:
    """
    What the files of running jobs tell of orchestrations: ``jid``, ``fun``, ``fun_args``, ``user`` and ``pid``.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_running.found

    .. versionadded:: 0.1.0
    """
    # Salt's own function removes a file that it finds still empty, and the job that begins just now is lost.
    told = [_told(path) for path in _folder().glob("[0-9]*")]
    return [each for each in told if each.get("fun") in ORCHESTRATIONS]


def mark(jid: str, name: str, pid: int, user: str, test: bool = False) -> None:
    """
    There is a file of an orchestration that runs, and none of ended processes; one that is there stays as it is.

    jid
        The orchestration's job id.
    name
        The orchestration.
    pid
        Its process.
    user
        Who began it.
    test
        Whether it is a dry run. Default ``False``.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_running.mark 20261128163803855314 orchestrate.site 4711 root

    .. versionadded:: 0.1.0
    """
    folder, path = _folder(), _folder() / str(jid)
    if not salt.utils.jid.is_jid(jid) or path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for other in folder.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # Salt removes its own meanwhile
            if other.stat().st_size and not _told(other):
                other.unlink()
    options = {"orchestration_jid": jid, **({"test": True} if test else {})}
    told = {"fun": ORCHESTRATIONS[0], "jid": jid, "user": user, "fun_args": [name, options], "pid": pid}
    new = path.with_name(f".{jid}")  # nobody reads half a file
    new.write_bytes(salt.payload.dumps(told))
    new.replace(path)


def _folder() -> Path:
    return Path(__opts__["cachedir"], "proc")


def _told(path: Path) -> dict:
    """What a file tells of a process that runs; of others nothing."""
    with contextlib.suppress(OSError, SaltDeserializationError):
        told = salt.payload.loads(path.read_bytes() or EMPTY)
        if told.get("pid") and _is_process(told["pid"], path.stat().st_mtime):
            return told
    return {}


def _is_process(pid: int, since: float) -> bool:
    """
    Whether a process runs that was there when its file was written; later another one can have its number. When a
    process began is known to a second or two only, by the clock as it is now.
    """
    try:
        return psutil.Process(pid).create_time() < since + 2
    except psutil.Error:
        return False
