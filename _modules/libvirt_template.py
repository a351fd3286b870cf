"""
Template virtual machines: what they are, and the immutable generations of their disks that clones are made of.

.. versionadded:: 0.1.0

Sealing gives each disk another name and an empty overlay in its place, so that the template can be started and changed
without touching a clone; sealed again it becomes a new generation, and older clones keep theirs::

    salt-call --local -m . libvirt_template.source debian12 --out json

Requires what :py:mod:`libvirt_clone` requires.
"""

import os
import posixpath

from salt.exceptions import CommandExecutionError

__virtualname__ = "libvirt_template"


def __virtual__():
    if "libvirt_host.domains" not in __salt__ or "libvirt_disk.header" not in __salt__:
        return False, "libvirt_template needs what libvirt_host and libvirt_disk need"
    return __virtualname__


def source(template):
    """
    What a template is: its disks and the generation that they are sealed as.

    template
        The domain.

    Returns:
        What :py:func:`libvirt_host.domain` answers, and ``generation`` (0: never sealed), ``changed`` (something was
        written since), and per own disk ``generation``, ``written``, ``backing``.

    Raises ``CommandExecutionError`` when there is no such domain, or its disks are no files.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_template.source debian12 --out json

    .. versionadded:: 0.1.0
    """
    found = __salt__["libvirt_host.domain"](template)
    if found is None:
        there = ", ".join(sorted(__salt__["libvirt_host.domains"]())) or "none"
        raise CommandExecutionError(f"There is no domain {template} to clone; there are: {there}")
    if found["ours"] and found["ours"]["state"] != "ready":
        raise CommandExecutionError(f"{template} is an unfinished clone; clone or destroy it")
    refused = __salt__["libvirt_forms.refusals"](__salt__["libvirt_host.xml"](template))
    if refused:
        raise CommandExecutionError(
            "\n".join(f"{template}: {each['path']} {each['fault']}; {each['remedy']}" for each in refused)
        )
    found["disks"] = [_sealed(disk) for disk in found["disks"] if disk["own"]]
    if not found["disks"]:
        raise CommandExecutionError(f"{template} has no disk of its own to clone")
    numbers = {disk["generation"] for disk in found["disks"]}
    found["generation"] = max(numbers)
    found["changed"] = len(numbers) > 1 or any(disk["written"] or _is_undeclared(disk) for disk in found["disks"])
    return found


def _is_undeclared(disk):
    """An overlay that the domain still takes for raw: sealing was stopped before its last step."""
    return disk["generation"] and disk["format"] != "qcow2"


def _sealed(disk):
    head = __salt__["libvirt_disk.header"](disk["path"])
    known = __salt__["libvirt_disk.generations"](disk["path"])
    number = next((number for number, path in known.items() if path == head["backing"]), 0)
    return {**disk, **head, "format": disk["format"], "generation": number}


def seal(template):
    """
    A template is sealed, see :py:func:`libvirt_clone.seal`.

    template
        The domain.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_template.seal

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    found = sealable(template)
    if found["next"] is None:
        return {"generation": found["generation"], "changed": False, "pinned": []}
    number = found["next"]
    for disk in found["disks"]:
        if disk["generation"] != number or disk["written"]:
            __salt__["libvirt_disk.seal"](disk["path"], disk["format"], number)
    overlays = {disk["target"]: disk["path"] for disk in found["disks"] if disk["format"] != "qcow2"}
    if overlays:
        text = __salt__["libvirt_host.xml"](template, secrets=True)
        __salt__["libvirt_host.define"](__salt__["libvirt_xml.reformat"](text, overlays))
    for directory in {posixpath.dirname(disk["path"]) for disk in found["disks"]}:
        __salt__["libvirt_host.forget_files"](directory)
    return {"generation": number, "changed": True, "pinned": found["pinned"]}


def sealable(template):
    """
    A template as :py:func:`source` answers it, with ``next``: the generation that sealing would make, or ``None`` when
    there is nothing to seal, and ``pinned``: what of it every clone would have (see :py:func:`pinned`).

    template
        The domain.

    Raises ``CommandExecutionError`` when it has to be sealed, but runs, was not shut down cleanly, or has snapshots in
    its disks, which nobody could return to afterwards.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_template.sealable debian12 --out json

    .. versionadded:: 0.1.0
    """
    found = source(template)
    if found["generation"] and not found["changed"]:
        return {**found, "next": None, "pinned": []}
    refuse_in_use(template, found)
    directories, texts = __salt__["libvirt_identity.directories"](), __salt__["libvirt_identity.texts"]()
    said = []
    for disk in found["disks"]:
        if disk["snapshots"]:
            remedy = f"delete them first: virsh snapshot-delete {template} NAME, or seal a copy of it"
            raise CommandExecutionError(
                f"{template}: snapshots are in {disk['path']}, and sealing would leave them behind; {remedy}"
            )
        seen = __salt__["libvirt_disk.inspect"](disk["path"], disk["format"], directories, texts)
        said += [each for each in pinned(found, seen["files"]) if each not in said]
        if seen.get("clean") is False:
            raise CommandExecutionError(
                f"{template}: the filesystem on {disk['target']} was not unmounted; start it and shut it down cleanly"
            )
    return {**found, "next": _next_generation(found["disks"]), "pinned": said}


def pinned(found, files):
    """
    What a template has that no clone can have as well, and is not refused: in sentences.

    found
        What :py:func:`libvirt_host.domain` answered.
    files
        What :py:func:`libvirt_disk.inspect` found on a disk of it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_template.pinned

    .. versionadded:: 0.1.0
    """
    macs = [interface["mac"] for interface in found["interfaces"]]
    tpm = "A clone's TPM is new: what is sealed to the template's (BitLocker, LUKS) asks it for the recovery key"
    return [*([tpm] if found["tpm"] else []), *__salt__["libvirt_identity.pins"](files, macs)]


def refuse_in_use(name, found):
    """
    Raise ``CommandExecutionError`` if a domain's disks are in use, or will be when its saved state goes on.

    name
        The domain.
    found
        What :py:func:`libvirt_host.domain` answered.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_template.refuse_in_use

    .. versionadded:: 0.1.0
    """
    if found["active"]:
        raise CommandExecutionError(f"{name} is running; shut it down: virsh shutdown {name}")
    if found["saved"]:
        raise CommandExecutionError(f"{name} has a saved state; start it and shut it down: virsh start {name}")


def _next_generation(disks):
    """One that was begun is gone on with, unless that would change a file that clones may have."""
    newest = max(disk["generation"] for disk in disks)
    known = {number for disk in disks for number in __salt__["libvirt_disk.generations"](disk["path"])}
    begun = [number for number in sorted(known) if number >= newest and all(_is_free(disk, number) for disk in disks)]
    return begun[0] if begun else 1 + max(known, default=0)


def _is_free(disk, number):
    """Whether the disk is of this generation, can become so, or has its second name already."""
    if disk["generation"] == number:
        return not disk["written"]
    sealed = __salt__["libvirt_disk.base"](disk["path"], number)
    return not os.path.exists(sealed) or os.path.samefile(disk["path"], sealed)


def gc(template):
    """
    Generations that nobody needs are gone, see :py:func:`libvirt_clone.gc`.

    template
        The domain.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_template.gc

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    needed = users()
    removed, kept = [], {}
    for disk in source(template)["disks"]:
        for number, path in __salt__["libvirt_disk.generations"](disk["path"]).items():
            if path in needed or number == disk["generation"]:
                kept[path] = sorted(needed.get(path, []))
            else:
                os.unlink(path)
                removed.append(path)
    for directory in {posixpath.dirname(path) for path in removed}:
        __salt__["libvirt_host.forget_files"](directory)
    return {"removed": removed, "kept": kept}


def users(there=None) -> dict:
    """
    Every image that is below a domain's disk: path to the set of the domains' names.

    there
        What :py:func:`libvirt_host.domains` answered. Default: what it answers now.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_template.users

    .. versionadded:: 0.1.0
    """
    found_users = {}
    for name, found in (there or __salt__["libvirt_host.domains"]()).items():
        for disk in found["disks"]:
            path, passed = disk["path"], set()
            while path and os.path.exists(path) and os.path.realpath(path) not in passed:
                passed.add(os.path.realpath(path))
                path = __salt__["libvirt_disk.header"](path)["backing"]
                if path:
                    found_users.setdefault(path, set()).add(name)
    return found_users
