"""
A change that is taken back by itself unless somebody proves that the host is still reachable.

.. versionadded:: 0.1.0

With the first step of a change a timer is started that lives on its own, by ``systemd-run`` where systemd runs, else as
a process of its own session; before each step what would undo it is written down. The timer executes a copy of this
file, which needs nothing of Salt. A reboot takes the change back as well (see :py:func:`bridge_nat_host.files`)::

    salt-call --local -m . bridge_nat_guard.pending
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

SYMLINK = "symlink to "
BOOT = Path("/proc/sys/kernel/random/boot_id")


def __virtual__():
    return "bridge_nat_guard"


def arm(what: str, undo: dict, within: float) -> None:
    """
    A timer runs, and then what undoes a step is written down, so that no step is ever without one. A run starts one
    timer for all its steps until the change is confirmed.

    what
        The step, for messages.
    undo
        ``commands`` (list of ``argv``, ``stdin`` and ``may_fail``) and ``files`` (path to text, ``None`` for none).
    within
        Seconds from the first step until the change is taken back.

    Raises ``CommandExecutionError`` when that cannot be written down; then the step must not be done.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc bridge_nat_guard.arm

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    home, now = _home(), time.time()
    # Of a change whose taking back was cut the steps are still to be undone, unless this one is confirmed.
    cut = (_read(home / "rolling") or {"steps": []})["steps"]
    change = _read(home / "pending") or {"token": uuid.uuid4().hex, "boot": _boot(), "deadline": now, "steps": cut}
    with __salt__["onepass_host.told"](home):
        if change.get("run") != os.getpid():  # what a killed run left may have no timer; a second one does no harm
            (home / "pending").mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(home / "guard.py", Path(__file__).read_text())
            left = change["deadline"] - now  # the clock may have been set back since
            change["deadline"] = now + (left if 0 < left < within else within)
            _write(home / "pending" / "change.json", json.dumps(change))
            _start_timer(home, change["token"], change["deadline"] - now)
        change |= {"run": os.getpid(), "steps": [*change["steps"], {"what": what, **undo}]}
        _write(home / "pending" / "change.json", json.dumps(change))


def pending() -> dict | None:
    """
    The change that waits to be confirmed, or ``None``.

    Returns:
        ``token``, ``seconds`` until it is taken back, and ``steps`` (their names).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_guard.pending

    .. versionadded:: 0.1.0
    """
    change = _read(_home() / "pending") or _read(_home() / "rolling")
    if not change:
        return None
    left = max(0.0, change["deadline"] - time.time())
    return {"token": change["token"], "seconds": round(left, 1), "steps": [step["what"] for step in change["steps"]]}


def confirm() -> bool:
    """
    The pending change stays; whether there was one that had not been taken back yet.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_guard.confirm

    .. versionadded:: 0.1.0
    """
    with __salt__["onepass_host.told"](_home()):
        return _taken(_home(), "confirmed")


def rollback() -> dict | None:
    """
    The pending change is taken back now.

    Returns:
        ``undone`` (the steps) and ``errors``, or ``None`` if nothing was pending.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_guard.rollback

    .. versionadded:: 0.1.0
    """
    return _take_back(_home())


def last() -> dict | None:
    """
    The last change that was taken back: ``at`` (seconds since 1970), ``undone``, ``errors``; ``None`` if none was.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_guard.last

    .. versionadded:: 0.1.0
    """
    with contextlib.suppress(OSError, ValueError):
        return json.loads((_home() / "taken-back.json").read_text())
    return None


def put(path: str, text: str | None) -> None:
    """
    A file has this text, or is gone; never half of it. One that is there keeps its owner and its mode.

    path
        Absolute path.
    text
        Its text; ``symlink to /path`` makes a symbolic link, ``None`` removes it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc bridge_nat_guard.put

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    _put(path, text)


def _home() -> Path:
    return Path(__opts__.get("root_dir") or "/", "var/lib/onepass/bridge_nat")


def _boot() -> str:
    return BOOT.read_text().strip()


def _take_back(home: Path, token: str = "") -> dict | None:
    """
    Undo a pending change, the last step first; whoever moves it away first, this or a confirmation, has won. Where the
    disk takes no change nobody can win, and it is undone. With a token only that change: another one that is pending by
    now is left alone.
    """
    change = _read(home / "pending")
    if token and (change or {}).get("token") != token:
        return None
    with contextlib.suppress(OSError):
        if change and not _taken(home, "rolling"):
            return None
        change = _read(home / "rolling")  # or one whose taking back was cut
    if not change:
        return None
    errors = [error for step in reversed(change["steps"]) for error in _undo(step)]
    done = {"at": time.time(), "undone": [step["what"] for step in reversed(change["steps"])], "errors": errors}
    with contextlib.suppress(OSError):
        _write(home / "taken-back.json", json.dumps(done))
    shutil.rmtree(home / "rolling", ignore_errors=True)
    return done


def _put(path: str, text: str | None) -> None:
    target = Path(path)
    beside = target.with_name(f".{target.name}.new")
    if text is None:
        beside.unlink(missing_ok=True)  # of a writer that was killed
        target.unlink(missing_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if text.startswith(SYMLINK):
        beside.unlink(missing_ok=True)
        beside.symlink_to(text.removeprefix(SYMLINK))
        beside.replace(target)
    else:
        _write(target, text)


def _read(directory: Path) -> dict | None:
    with contextlib.suppress(OSError, ValueError):
        change = json.loads((directory / "change.json").read_text())
        return change if isinstance(change, dict) else None
    return None


def _write(path: Path, text: str) -> None:
    """A file that is there keeps its owner and its mode."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with beside.open("x") as out:
        if path.exists():
            there = path.stat()
            os.fchown(out.fileno(), there.st_uid, there.st_gid)
            os.fchmod(out.fileno(), there.st_mode & 0o7777)
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    beside.replace(path)


def _taken(home: Path, name: str) -> bool:
    """Move the pending change away; ``False`` if somebody else did."""
    shutil.rmtree(home / name, ignore_errors=True)
    try:
        (home / "pending").rename(home / name)
    except FileNotFoundError:
        return False
    if name == "confirmed":
        for settled in (home / name, home / "rolling"):  # a run has repaired what a cut taking back left
            shutil.rmtree(settled, ignore_errors=True)
    return True


def _start_timer(home: Path, token: str, within: float) -> None:
    python = sys.executable or shutil.which("python3")
    program = [python, "-I", str(home / "guard.py"), str(home), token]
    if Path("/run/systemd/system").is_dir() and shutil.which("systemd-run"):
        unit = f"bridge-nat-{token[:12]}-{os.getpid()}"
        when = [f"--on-active={within}", "--timer-property=AccuracySec=100ms", f"--unit={unit}"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            if not subprocess.run(["systemd-run", "--quiet", "--collect", *when, *program, "0"], timeout=20).returncode:
                return
    null = subprocess.DEVNULL
    subprocess.Popen([*program, str(within)], stdin=null, stdout=null, stderr=null, start_new_session=True, cwd="/")


def _undo(step: dict) -> list:
    """What could not be undone; it keeps nothing else back."""
    errors = []
    for command in step.get("commands", ()):
        said = _run(command)
        if said is not None and not command.get("may_fail"):
            errors.append(f"{' '.join(command['argv'])}: {said}")
    for path, text in step.get("files", {}).items():
        try:
            _put(path, text)
        except OSError as err:
            errors.append(f"{path}: {err}")
    return errors


def _run(command: dict) -> str | None:
    """What a program complained of; ``None`` when it has done its work."""
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    stdin = command.get("stdin", "")
    try:
        done = subprocess.run(command["argv"], input=stdin, capture_output=True, text=True, env=env, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as err:
        return str(err)
    return done.stderr.strip() if done.returncode else None


def _sleep(home: Path, token: str, seconds: float) -> None:
    """Until the time is up, or the change was confirmed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and (_read(home / "pending") or {}).get("token") == token:
        time.sleep(min(0.5, max(0.0, deadline - time.monotonic())))


def _at_boot(home: Path) -> None:
    """A change that an earlier boot left unconfirmed has lost its timer."""
    change = _read(home / "pending") or _read(home / "rolling")
    if change and change["boot"] != _boot():
        _take_back(home)


if __name__ == "__main__":
    if sys.argv[2:] == ["boot"]:
        _at_boot(Path(sys.argv[1]))
    else:
        _sleep(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
        _take_back(Path(sys.argv[1]), sys.argv[2])
