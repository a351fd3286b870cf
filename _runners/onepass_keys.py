"""
The keys that a master holds of the branches' guests: which of them are whose, and how they follow what hosts tell.

.. versionadded:: 0.1.0

The runner ``onepass`` has the command; here a key is read, accepted and withdrawn::

    salt-run onepass.guest_keys test=True

A key that was accepted for a guest is noted in the master's cache (``onepass/guest_keys``, as a hash): another one
takes its place only where the note says that the one before was that guest's.
"""

import hashlib

import salt.cache
import salt.key
import salt.utils.cloud

NOTES = "onepass/guest_keys"
# A guest's last keys that are noted: the one that is accepted, and those that were to take its place.
NOTED = 4
KINDS = ("minions_denied", "minions_rejected", "minions_pre", "minions")


def __virtual__():
    return "onepass_keys"


def held(keys: dict, told: dict, write: bool = False) -> dict:
    """
    What the master holds for guests' ids; of several keys, the accepted one.

    keys
        What :py:func:`branch_guests.keys` answers.
    told
        Host to what its ``libvirt_clone.list`` answered. An accepted key that its guest's host tells is the guest's.
    write
        Note such a key as the guest's, where a master is without its notes. Default ``False``.

    Returns:
        Id to ``state`` (``minions``, ``minions_pre``...), ``key`` (its text) and ``own``: whether the guest of this id
        has it, or had it.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_keys.held '{win-001.cordoba: {host: ws001.cordoba, name: win-001}}' '{}'

    .. versionadded:: 0.1.0
    """
    texts, notes = salt.key.get_key(__opts__).key_str_all(), _notes()
    kinds = {minion: kind for kind in KINDS for minion in texts.get(kind, ()) if minion in keys}
    found = {}
    for minion, kind in kinds.items():
        text, noted = str(texts[kind][minion]), _noted(notes, minion)
        same = text.strip() == _told_key(keys[minion], told)
        if write and same and kind == "minions" and _hash(text) not in noted:
            _note(notes, minion, text)
        found[minion] = {"state": kind, "key": text, "own": same or _hash(text) in noted}
    return found


def hold(steps: list) -> None:
    """
    Accept and withdraw keys: afterwards the keys are the accepted ones of their ids, or none of these ids is left.

    steps
        What :py:func:`branch_guests.key_steps` answers, those that are refused left out.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_keys.hold '[]'

    .. versionadded:: 0.1.0
    """
    known, notes = salt.key.get_key(__opts__), _notes()
    accepted = [step for step in steps if step["do"] == "accept"]
    for step in accepted:  # first: a run that ends after this finds both keys to be the guest's
        _note(notes, step["id"], step["key"])
    ids = {step["id"] for step in steps}
    old = {kind: sorted(ids.intersection(listed)) for kind, listed in known.list_keys().items()}
    if any(old.values()):  # Salt makes all minions authenticate anew, even if there is nothing to delete
        known.delete_key(match_dict=old)
    for step in accepted:
        if hasattr(known, "cache"):  # Salt 3008
            known.cache.store("keys", step["id"], {"pub": step["key"], "state": "accepted"})
        else:
            salt.utils.cloud.accept_key(__opts__["pki_dir"], step["key"], step["id"])
    for minion in ids.difference(step["id"] for step in accepted):
        notes.flush(NOTES, minion)


def _told_key(guest: dict, told: dict) -> str | None:
    return told.get(guest["host"], {}).get(guest["name"], {}).get("minion_key")


def _notes():
    return salt.cache.factory(__opts__)


def _noted(notes, minion: str) -> list:
    found = notes.fetch(NOTES, minion)
    return found if isinstance(found, list) else []


def _note(notes, minion: str, key: str) -> None:
    """The last ones: what is accepted now is among them."""
    others = [each for each in _noted(notes, minion) if each != _hash(key)]
    notes.store(NOTES, minion, [*others, _hash(key)][-NOTED:])


def _hash(key: str) -> str:
    return hashlib.sha256(str(key).strip().encode()).hexdigest()
