"""
The site's hosts as the master knows them: whose keys it has, who answers, and who has which modules.

.. versionadded:: 0.1.0

The other runners of the bundle, and its states in orchestrations, ask here; a silent host is an answer, and no error::

    salt-run onepass_hosts.look '{s1a.dc: the first member of s1}'
"""

import difflib
import hashlib
import logging
import time
from pathlib import Path

import salt.client
import salt.exceptions
import salt.fileclient
import salt.key
from salt.exceptions import CommandExecutionError, SaltClientError
from salt.utils.hashutils import get_hash
from salt.utils.stringutils import to_str

KEY_STATES = {
    "minions_pre": ("is not accepted yet", "salt-key -a {}"),
    "minions_rejected": ("is rejected", "salt-key -d {}, then restart that minion"),
    "minions_denied": ("is denied, another minion has its id", "salt-key -d {}, then restart the right minion"),
}
# What minions fetch from the master's file server, and the function of theirs that fetches it.
SYNCED = {"modules": "saltutil.sync_modules", "states": "saltutil.sync_states"}
KINDS = (*SYNCED, "runners")
BUNDLE = "_modules/onepass.py"  # served by a master that does not leave the modules to pip
# Seconds that a minion has at least: for an answer, to fetch modules, for an answer while it says that it is at work,
# the same for a hundred modules on a host under load, and to say that.
ANSWER_SECONDS, SYNC_SECONDS, BUSY_SECONDS, FETCH_SECONDS, TELL_SECONDS = 15, 60, 60, 600, 5
BUSY = "is busy with "
log = logging.getLogger(__name__)


class Refusal(CommandExecutionError, salt.exceptions.NotImplemented):
    """A runner's error that Salt shows as it is; of any other it shows a traceback first."""


def __virtual__():
    return "onepass_hosts"


def ask(minions: list, function: str | list, arg: tuple | list = (), timeout: int | None = None) -> dict:
    """
    What minions answer; one that is silent has no answer.

    A minion that says that it is still at work is waited for a minute in all, or for ``timeout`` if that is longer.
    Then its answer is a text, ``is busy with libvirt_clone.list since 60 s``, as an error of its own is one. An answer
    that has not the form of the function's is a text that says so, see :py:func:`onepass_answers.judged`.

    minions
        Ids.
    function
        The execution function, or a list of several.
    arg
        Its arguments; of several functions, a list for each. Default: none.
    timeout
        Seconds that minions have for their answer. Default: the master's ``timeout``, and 15 at least.

    Returns:
        Minion to answer; of several functions, to a mapping of function to answer.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_hosts.ask '[s1a.dc, s1b.dc]' test.version

    .. versionadded:: 0.1.0
    """
    told, busy = _gathered(minions, function, arg, _patience(timeout))
    judged = __salt__["onepass_answers.judged"](function, told)
    several = isinstance(function, list)
    return judged | {minion: dict.fromkeys(function, words) if several else words for minion, words in busy.items()}


def look(places: dict, timeout: int | None = None, refresh: bool = False) -> dict:
    """
    Hosts without an accepted key, hosts that do not answer, and hosts that have other modules than the master serves.

    places
        Minion to the place in the pillar that names it.
    timeout
        Seconds that minions have for their answer. Default: the master's ``timeout``, and 15 at least.
    refresh
        They read their pillar anew too: one that they had before it was written would be asked with. Default ``False``.

    Returns:
        ``faults`` (list of mappings with ``path``, ``fault`` and ``remedy``) and ``others`` (list of minions).

    CLI Example:

    .. code-block:: bash

        salt-run onepass_hosts.look '{s1a.dc: "mongodb:replsets:s1:members:0"}'

    .. versionadded:: 0.1.0
    """
    keys = salt.key.get_key(__opts__).list_keys()
    accepted = [minion for minion in places if minion in keys["minions"]]
    functions = ["onepass.fingerprint", *["saltutil.refresh_pillar"] * refresh]
    told = ask(accepted, functions, [[]] * len(functions), timeout) if accepted else {}
    answers = {minion: answer["onepass.fingerprint"] for minion, answer in told.items()}
    served = _fingerprint()  # of which a minion that has no modules of ours says an error
    others = sorted(each for each, answer in answers.items() if answer != served and not _is_busy(answer))
    faults = _faults(places, keys, answers, _patience(timeout))
    if others and not _is_served():
        return {"faults": faults + [_pip_fault(places[minion], minion) for minion in others], "others": []}
    return {"faults": faults, "others": others}


def refuse_outdated() -> None:
    """
    What the master itself runs of the bundle is what it serves, or this raises: by its old rules it would judge what
    minions do by the new ones. After each change of what it serves it is so, until ``salt-run saltutil.sync_all``.

    Raises ``CommandExecutionError`` that names the files.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_hosts.refuse_outdated

    .. versionadded:: 0.1.0
    """
    own, served = _own(KINDS), _served(KINDS)
    old = sorted(path for path, number in own.items() if served.get(path, number) != number)
    if old:
        some = ", ".join([*old[:3], *[f"{len(old) - 3} more"] * (len(old) > 3)])
        raise Refusal(f"The master itself runs other files than it serves ({some}): salt-run saltutil.sync_all")


def sync(minions: list) -> dict:
    """
    Minions fetch the modules and states that the master serves; those that say that they do are waited for ten minutes.

    minions
        Ids.

    Returns:
        Those that these did not reach, to what they answered.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_hosts.sync '[s1a.dc, s1b.dc]'

    .. versionadded:: 0.1.0
    """
    arguments = [[__opts__.get("saltenv") or "base", True]] * len(SYNCED)
    synced = ask(minions, list(SYNCED.values()), arguments, _patience(None, SYNC_SECONDS))
    return {minion: synced.get(minion) for minion in minions if not _is_synced(synced.get(minion))}


def bring(minions: list, timeout: int | None = None) -> dict:
    """
    Minions have the modules and states that the master serves, and their pillar anew; a silent one is no error.

    minions
        Ids.
    timeout
        Seconds that minions have for their answer. Default: the master's ``timeout``, and 15 at least.

    Returns:
        ``brought`` (list of those that had others), ``silent`` (list) and ``failed`` (minion to what it answered).

    CLI Example:

    .. code-block:: bash

        salt-run onepass_hosts.bring '[ws001.salta, ws002.salta]'

    .. versionadded:: 0.1.0
    """
    told = ask(minions, ["onepass.fingerprint", "saltutil.refresh_pillar"], [[], []], timeout)
    told = {minion: answer for minion, answer in told.items() if not _is_busy(answer["onepass.fingerprint"])}
    served = _fingerprint()
    others = sorted(minion for minion, answer in told.items() if answer["onepass.fingerprint"] != served)
    failed = _refreshed(others) if others else {}
    silent = sorted(set(minions) - set(told))
    return {"brought": sorted(set(others) - set(failed)), "silent": silent, "failed": failed}


def _refreshed(minions: list) -> dict:
    """Minions fetch the master's modules; of a master that serves none each is told to have others."""
    if _is_served():
        return sync(minions)
    faults = {minion: _pip_fault("", minion) for minion in minions}
    return {minion: f"{fault['fault']}; {fault['remedy']}" for minion, fault in faults.items()}


def _gathered(minions: list, function: str | list, arg: tuple | list, timeout: int) -> tuple:
    """
    What minions returned, and of those that had not yet returned when the time was over and say that they are at work,
    a sentence. Salt itself waits for as long as a minion says so: for ever, where a daemon hangs that it asks.
    """
    limit = max(timeout, FETCH_SECONDS if SYNCED["modules"] in function else BUSY_SECONDS)
    try:
        with salt.client.get_local_client(__opts__["conf_file"]) as client:
            jid, told = _returned(client, minions, function, arg, timeout, limit)
            left = [minion for minion in minions if minion not in told] if jid else []
            at_work = _returned(client, left, "saltutil.find_job", [jid], *[TELL_SECONDS] * 2)[1] if left else {}
    except SaltClientError as err:
        log.error("The master could not be asked for %s: %s", function, err)
        return {}, {}
    what = function if isinstance(function, str) else ", ".join(function)
    return told, {minion: f"{BUSY}{what} since {limit} s" for minion in left if at_work.get(minion)}


def _returned(client, minions: list, function: str | list, arg: tuple | list, timeout: int, limit: int) -> tuple:
    """The id of a job that was not at its end after so many seconds, else ``None``; and what minions returned."""
    told, deadline = {}, time.monotonic() + limit
    job = client.run_job(minions, function, arg, tgt_type="list", timeout=timeout, listen=True)
    if not job:
        return None, told
    given = {"tgt": minions, "tgt_type": "list", "timeout": timeout, "block": False}
    for part in client.get_iter_returns(job["jid"], job["minions"], **given):
        if time.monotonic() > deadline:
            return job["jid"], told
        told |= {minion: each["ret"] for minion, each in (part or {}).items() if minion in minions and "ret" in each}
        if not part:
            time.sleep(0.02)
    return None, told


def _patience(timeout: int | None, least: int = ANSWER_SECONDS) -> int:
    return timeout or max(least, __opts__.get("timeout") or 0)


def _faults(places: dict, keys: dict, answers: dict, timeout: int) -> list:
    free = sorted(set(keys["minions"]) - set(places))
    unknown = [minion for minion in places if minion not in keys["minions"]]
    silent = [minion for minion in places if minion not in unknown and not answers.get(minion)]
    busy = {minion: answers[minion] for minion in places if _is_busy(answers.get(minion))}
    return [
        *(_key_fault(places[minion], minion, keys, free) for minion in unknown),
        *(_silent_fault(places[minion], minion, timeout) for minion in silent),
        *(_busy_fault(places[minion], minion, answer) for minion, answer in busy.items()),
    ]


def _key_fault(path: str, minion: str, keys: dict, free: list) -> dict:
    for state, (fault, remedy) in KEY_STATES.items():
        if minion in keys.get(state, ()):
            return {"path": path, "fault": f"the key of minion {minion} {fault}", "remedy": remedy.format(minion)}
    twin = [each for each in free if each.lower() == minion.lower()]  # an id's capitals count
    close = twin or difflib.get_close_matches(minion, free, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else "a minion of that id, its key accepted"
    return {"path": path, "fault": f"no minion has the id {minion!r}", "remedy": remedy}


def _silent_fault(path: str, minion: str, timeout: int) -> dict:
    fault = f"minion {minion} does not answer within {timeout} s"
    return {"path": path, "fault": fault, "remedy": "a running salt-minion on that host, connected to this master"}


def _busy_fault(path: str, minion: str, answer: str) -> dict:
    fault = f"minion {minion} is busy with {answer.removeprefix(BUSY)}"
    return {"path": path, "fault": fault, "remedy": f"what hangs on that host: salt {minion} saltutil.running, its log"}


def _pip_fault(path: str, minion: str) -> dict:
    fault = f"minion {minion} has not the modules that the master has, and the master serves none"
    remedy = "the same version there by salt-pip, then saltutil.sync_all and a restart of its salt-minion"
    return {"path": path, "fault": fault, "remedy": remedy}


def _fingerprint() -> str:
    """:py:func:`onepass.fingerprint` of a minion that has all that the master has for it."""
    files = _served(SYNCED) if _is_served() else _own(SYNCED)
    return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()


def _is_served() -> bool:
    """Whether minions fetch the bundle's modules from the master; else pip brought them to each."""
    with salt.fileclient.FSClient(__opts__) as client:
        return bool(client.file_list(_saltenv(), prefix=BUNDLE))


def _served(kinds) -> dict:
    """Path to hash of the Python files that the master serves."""
    with salt.fileclient.FSClient(__opts__) as client:
        return {
            path.removeprefix("_"): to_str(client.hash_file(f"salt://{path}", _saltenv())["hsum"])
            for kind in kinds
            for path in client.file_list(_saltenv(), prefix=f"_{kind}/")
            if path.endswith(".py")
        }


def _own(kinds) -> dict:
    """The same of those beside this one, which the master itself runs."""
    home = Path(__file__).parents[1]
    return {
        f"{kind}/{path.relative_to(folder)}": get_hash(str(path), __opts__["hash_type"])
        for kind in kinds
        for folder in (home / kind, home / f"_{kind}")
        for path in folder.rglob("*.py")
    }


def _saltenv() -> str:
    return __opts__.get("saltenv") or "base"


def _is_busy(answer) -> bool:
    return isinstance(answer, str) and answer.startswith(BUSY)


def _is_synced(answer) -> bool:
    return isinstance(answer, dict) and all(isinstance(names, list) for names in answer.values())
