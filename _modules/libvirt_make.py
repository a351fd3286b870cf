"""
Making and removing single clones, whole or not at all.

.. versionadded:: 0.1.0

The domain is defined first, and its metadata lists its files and says that it is unfinished: undoing, destroying and
repairing are one and the same removal. Called by :py:mod:`libvirt_clone`, which judges the arguments::

    salt-call --local -m . libvirt_clone.plan debian12 virtual1

Requires what :py:mod:`libvirt_clone` requires.
"""

import contextlib
import functools
import importlib.util
import os
import posixpath
import shutil
import uuid

from salt.exceptions import CommandExecutionError

__virtualname__ = "libvirt_make"


def __virtual__():
    if "libvirt_host.domains" not in __salt__ or "libvirt_disk.header" not in __salt__:
        return False, "libvirt_make needs what libvirt_host and libvirt_disk need"
    return __virtualname__


def prepare(template, names, options):
    """
    Everything that clones of one template have in common, read once; raises all that speaks against making them.

    template, names, options
        As for :py:func:`libvirt_clone.clone`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_make.prepare

    .. versionadded:: 0.1.0
    """
    found = __salt__["libvirt_template.source"](template)
    number = _generation(template, found, options["generation"])
    known = {disk["target"]: __salt__["libvirt_disk.generations"](disk["path"]).get(number) for disk in found["disks"]}
    absent = [target for target, path in known.items() if path is None]
    if absent:
        raise CommandExecutionError(f"{template} has no generation {number} of {', '.join(absent)}; seal it")
    bases = {target: {**__salt__["libvirt_disk.header"](path), "path": path} for target, path in known.items()}
    _refuse_images({**known, "nvram": found["nvram"]})
    asked = options["network"] or options["bridge"] or options["mac"]
    if asked and not found["interfaces"]:
        raise CommandExecutionError(f"{template} has no network interface for {asked}")
    way, why, system = _identity_way(template, bases, options)
    if way == "nocloud" and not importlib.util.find_spec("pycdlib"):
        raise CommandExecutionError("NoCloud needs pycdlib in Salt's Python: salt-pip install pycdlib")
    prepared = {
        "template": found,
        "xml": __salt__["libvirt_host.xml"](template, secrets=True),
        "overlays": {
            target: __salt__["libvirt_disk.empty"](base["path"], base["format"]) for target, base in bases.items()
        },
        "generation": number,
        "way": way,
        "why": why,
        "system": system,
        "host_keys": __salt__["libvirt_ssh.host_keys"](template, list(bases.values())) if way == "ssh" else [],
        "pool": __salt__["libvirt_host.pool"](options["pool"], found["disks"][0]["path"]),
        "domain": options["domain"] or _network_domain(found, options),
        "host": __salt__["libvirt_host.uuid"](),
        "options": options,
    }
    _refuse_collisions(prepared, names)
    __salt__["libvirt_xml.resize"](prepared["xml"], options["memory"], options["vcpu"])
    first = __salt__["libvirt_xml.derive"](prepared["xml"], wanted(prepared, names[0]))
    __salt__["libvirt_host.refuse"](first, prepared["xml"], f"{names[0]} of {template}")
    return prepared


def _refuse_images(paths):
    """Images that no overlay, or no copy, can be made of."""
    for what, path in paths.items():
        head = __salt__["libvirt_disk.header"](path) if path and os.path.exists(path) else {}
        if head.get("encrypted"):
            raise CommandExecutionError(f"{what}: {path} is encrypted; use an image without encryption")
        if what == "nvram" and head.get("backing"):
            raise CommandExecutionError(f"{what}: {path} is an overlay over {head['backing']}; virsh blockcommit it")


def _generation(template, found, asked):
    if asked is not None:
        return asked
    newest = found["generation"]
    if not newest:
        raise CommandExecutionError(f"{template} is not sealed; libvirt_clone.seal {template}")
    older = f"or clone what was sealed: generation={newest}"
    if found["active"]:
        raise CommandExecutionError(
            f"{template} is running; shut it down and seal it: libvirt_clone.seal {template}, {older}"
        )
    if found["changed"] or found["saved"]:
        raise CommandExecutionError(
            f"{template} was changed since it was sealed; seal it again: libvirt_clone.seal {template}, {older}"
        )
    return newest


def _identity_way(template, bases, options):
    """The way, why, and the system on the disk: ``(way, why, {target, offset, filesystem, files})``."""
    asked = options["identity"]
    if asked == "ssh" and not __salt__["libvirt_ssh.key"]():
        raise CommandExecutionError("This host's root has no ssh key to log in with: ssh-keygen -t ed25519")
    if asked in ("none", "ssh"):
        return asked, "as asked", None
    seen = {}
    for target, image in bases.items():
        found = __salt__["libvirt_disk.inspect"](
            image["path"],
            image["format"],
            __salt__["libvirt_identity.directories"](),
            __salt__["libvirt_identity.texts"](),
        )
        if found["offset"] is not None:
            cloud = "/etc/cloud/cloud.cfg" in found["files"]
            way = asked if asked != "auto" else ("nocloud" if cloud else "disk")
            why = f"{'cloud-init and ' if cloud else ''}{found['filesystem']} at {found['offset']} of {target}"
            return way, why, {**found, "target": target}
        seen[target] = found["why"]
    if asked == "nocloud":
        return "nocloud", "as asked", None
    unread = "; ".join(f"{target}: {why}" for target, why in seen.items())
    if asked == "auto" and __salt__["libvirt_ssh.key"]():
        return "ssh", unread, None
    raise CommandExecutionError(
        f"{template}: no disk to write an identity on ({unread}); identity=nocloud if cloud-init is in it, "
        "identity=ssh if it lets this host's root in (ssh-keygen), identity=none if it is to keep the template's"
    )


def _network_domain(found, options):
    first = next(iter(found["interfaces"]), {"type": None})
    own = first["source"] if first["type"] == "network" and not options["bridge"] else None
    name = options["network"] or own
    network = name and __salt__["libvirt_host.network"](name)
    return network["domain"] if network else None


def _refuse_collisions(prepared, names):
    """Files and MACs that the clones would have, and others have."""
    there = __salt__["libvirt_host.domains"]()
    macs = {
        interface["mac"]: name
        for name, found in there.items()
        for interface in found["interfaces"]
        if name not in names
    }
    wrong = []
    taken, others = {}, _others(there, names)
    for name in names:
        planned = wanted(prepared, name)
        wrong += [
            f"{name}: the MAC {mac} is {macs[mac]}'s; give another by mac" for mac in planned["macs"] if mac in macs
        ]
        vm = there.get(name)
        own = vm["ours"]["files"] if vm and vm["ours"] else []
        for path in planned["ours"]["files"]:
            if os.path.lexists(path) and path not in own:
                wrong.append(f"{name}: {path} is there already, and no clone's; remove it or use another name or pool")
            elif place(path) in others:
                wrong.append(f"{name}: {path} is {others[place(path)]}'s; use another name or pool")
            if taken.setdefault(path, name) != name:
                wrong.append(f"{name}: {path} would be {taken[path]}'s as well; choose another name")
    if wrong:
        raise CommandExecutionError("\n".join(wrong))


def wanted(prepared, name):
    """
    The clone as :py:func:`libvirt_xml.derive` takes it.

    prepared
        What :py:func:`prepare` answered.
    name
        The clone.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_make.wanted

    .. versionadded:: 0.1.0
    """
    found, options, directory = prepared["template"], prepared["options"], prepared["pool"]["directory"]
    paths = {
        disk["target"]: posixpath.join(directory, f"{name}-{disk['target']}.qcow2" if number else f"{name}.qcow2")
        for number, disk in enumerate(found["disks"])
    }
    own_path, old = __salt__["libvirt_xml.own_path"], found["name"]
    cidata = posixpath.join(directory, f"{name}-cidata.iso") if prepared["way"] == "nocloud" else None
    nvram = own_path(found["nvram"], old, name) if found["nvram"] else None
    consoles = [own_path(path, old, name) for path in found["written"]]
    mac = __salt__["libvirt_identity.mac"]
    macs = [mac(prepared["host"], name, number) for number, _ in enumerate(found["interfaces"])]
    if options["mac"]:
        macs[0] = options["mac"].lower()
    return {
        "name": name,
        "uuid": str(uuid.uuid4()),
        "macs": macs,
        "place": next(((kind, options[kind]) for kind in ("network", "bridge") if options[kind]), None),
        "disks": paths,
        "nvram": nvram,
        "cidata": cidata,
        "memory": options["memory"],
        "vcpu": options["vcpu"],
        "ours": {
            "template": old,
            "generation": prepared["generation"],
            "state": "unfinished",
            "identity": f"{prepared['way']} ({prepared['why']})",
            "files": [path for path in (*paths.values(), nvram, cidata, *consoles) if path],
        },
    }


def make(prepared, name, timeout):
    """
    The clone is defined and has its identity; it is off. With an error, nothing of it is left. One that is finished is
    an error, and stays as it is.

    prepared
        What :py:func:`prepare` answered for a list of names that this one is in.
    name
        The clone: absent, or unfinished.
    timeout
        Seconds for its boot, if it gets its identity over ssh.

    Returns:
        How it got its identity, and why so.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_make.make

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    found = __salt__["libvirt_host.domain"](name)
    if found and found["ours"] and found["ours"]["state"] == "ready":
        raise CommandExecutionError(f"{name} is a clone already; libvirt_clone.destroy {name} first")
    if found:
        remove(name)
    vm = wanted(prepared, name)
    identity = new_identity(prepared, vm)
    public = {key: identity[key] for key in ("fqdn", "machine_id", "host_key_public")}
    ours = {**vm["ours"], **(public if prepared["way"] != "none" else {"fqdn": identity["fqdn"]})}
    if identity.get("minion"):
        ours.update(minion_id=identity["minion"]["id"], minion_key=identity["minion"]["key_public"])
    xml = __salt__["libvirt_xml.derive"](prepared["xml"], {**vm, "ours": ours})
    try:
        __salt__["libvirt_host.define"](xml)
        _fill(prepared, vm, identity)
        if prepared["way"] == "ssh":
            __salt__["libvirt_ssh.identify"](name, identity, timeout, prepared["host_keys"])
            _release(own(name))
        if prepared["options"]["autostart"]:
            __salt__["libvirt_host.change"](name, "autostart", True)
        _trust(name, ours)
        __salt__["libvirt_host.mark"](name, {**ours, "state": "ready"})
    except CommandExecutionError as err:
        _undo(name, err)
        raise
    return ours["identity"]


def new_identity(prepared, vm):
    """
    A new identity for a clone, with the MACs that it has for its template's, and the instance id on its ISO. It holds
    private keys.

    prepared, vm
        What :py:func:`prepare` and :py:func:`wanted` answered.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_make.new_identity

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    identity = __salt__["libvirt_identity.new"](vm["name"], prepared["domain"], prepared["options"]["minion"])
    old = [interface["mac"] for interface in prepared["template"]["interfaces"]]
    instance = vm["uuid"] if vm["cidata"] else None
    return {**identity, "macs": dict(zip(old, vm["macs"], strict=True)), "instance": instance}


def _fill(prepared, vm, identity):
    for target, path in vm["disks"].items():
        __salt__["libvirt_disk.write"](path, prepared["overlays"][target])
        if not prepared["options"]["linked"]:
            __salt__["libvirt_disk.flatten"](path)
    if vm["nvram"] and os.path.exists(prepared["template"]["nvram"]):
        with __salt__["onepass_host.told"](vm["nvram"]):
            shutil.copy2(prepared["template"]["nvram"], vm["nvram"])
    if prepared["system"]:
        system = prepared["system"]
        edits = __salt__["libvirt_identity.edits"](identity, system["files"])
        path = vm["disks"][system["target"]]
        __salt__["libvirt_disk.edit"](path, system["offset"], system["filesystem"], edits, system["files"])
    if vm["cidata"]:
        __salt__["libvirt_disk.iso"](vm["cidata"], __salt__["libvirt_identity.cidata"](identity, vm["uuid"]))


def _undo(name, err):
    """libvirtd may be what failed, and be back in a moment."""

    def removed():
        if __salt__["libvirt_host.domain"](name):
            remove(name)
        return True, ""

    try:
        __salt__["onepass.wait"](removed, "libvirt", 10, retry=(None,))
    except CommandExecutionError as again:
        raise CommandExecutionError(f"{err}. Not undone, the next run will: {again}") from err


# Removing


def own(name):
    """
    A domain that was made here, as :py:func:`libvirt_host.domain` answers it; any other is an error.

    name
        The domain.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_make.own

    .. versionadded:: 0.1.0
    """
    found = __salt__["libvirt_host.domain"](name)
    if found is None:
        raise CommandExecutionError(f"There is no domain {name}")
    if not found["ours"]:
        raise CommandExecutionError(f"{name} is a domain that was not made here; it stays as it is")
    return found


def remove(name):
    """
    One clone is gone, finished or not. Interrupted anywhere, it is an unfinished one that lists what is left of it.

    A file that another domain names too, or has below one of its disks, stays, whatever says that it is the clone's.

    name
        The clone.

    Returns:
        List of the files that stay.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_make.remove

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    found = own(name)
    removed, spared = removable(found, _others(__salt__["libvirt_host.domains"](), [name]))
    if found["ours"]["state"] == "ready":
        __salt__["libvirt_host.mark"](name, {**found["ours"], "state": "unfinished"})
    __salt__["libvirt_host.power"](name, False)
    _release(found)
    _trust(name, None)
    for path in removed:
        with __salt__["onepass_host.told"](path), contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    __salt__["libvirt_host.undefine"](name, nvram=found["nvram"] in removed, tpm=found["tpm"])
    for directory in {posixpath.dirname(path) for path in removed}:
        __salt__["libvirt_host.forget_files"](directory)
    return spared


def removable(found, others):
    """
    The files that go with a clone, and those that stay because they are somebody else's as well.

    found
        What :py:func:`libvirt_host.domain` answered.
    others
        The places (see :py:func:`place`) that are other domains'.

    Returns:
        ``(removed, spared)``: lists of paths. They are the files in the clone's metadata, and its NVRAM if it is one of
        them, or is named after the clone as libvirt does.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_make.removable

    .. versionadded:: 0.1.0
    """
    files = [path for path in found["ours"]["files"] if posixpath.isabs(path)]
    nvram = found["nvram"]
    if nvram and posixpath.basename(nvram).partition(".")[0] == f"{found['name']}_VARS":
        files.append(nvram)
    spared = [path for path in files if place(path) in others]
    return [path for path in dict.fromkeys(files) if path not in spared], spared


def place(path):
    """
    A file's place whatever its directory is called: two paths of one place are one file to who deletes it.

    path
        The path.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_make.place /var/run/../lib/libvirt/images/debian12.qcow2

    .. versionadded:: 0.1.0
    """
    directory, name = posixpath.split(path)
    return posixpath.join(os.path.realpath(directory), name)


def _others(there, names):
    """Places that domains other than these name, or have below their disks: place to one of the domains."""
    paths = [*((name, found["paths"]) for name, found in there.items()), *__salt__["libvirt_host.opened"]().items()]
    named = {place(path): name for name, held in paths if name not in names for path in held}
    below = __salt__["libvirt_template.users"](there)
    return {**{place(path): min(users - {*names}) for path, users in below.items() if users - {*names}}, **named}


def _release(found):
    for interface in found["interfaces"]:
        what = f"the DHCP server of {interface['source']} to take back the lease of {interface['mac']}"
        __salt__["onepass.wait"](functools.partial(_given_back, interface), what, 10, 0.02)


def _given_back(interface):
    """Whether no lease is left; what is left is given back once more, as nobody acknowledges a DHCPRELEASE."""
    left = __salt__["libvirt_guest.leases"](interface)
    for lease in left:
        where = lease["device"], lease["server"], lease["address"]
        __salt__["libvirt_guest.release"](*where, interface["mac"], lease["client_id"])
    return not left, ", ".join(lease["address"] for lease in left)


def line(name, ours):
    """
    A clone's line in the known_hosts file.

    name
        The clone.
    ours
        Our element in its metadata.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_make.line

    .. versionadded:: 0.1.0
    """
    return __salt__["libvirt_identity.known_hosts"](name, ours["fqdn"], ours["host_key_public"], f"onepass:{name}")


def _trust(name, ours):
    """The known_hosts file has the clone's line, or with ``None`` has none of it."""
    path = __salt__["config.get"]("libvirt_clone:known_hosts", "/etc/ssh/ssh_known_hosts")
    if not path:
        return
    text = __salt__["onepass_host.read"](path) or ""
    # Not splitlines(), which parts others' lines at characters that are part of them.
    old = text.removesuffix("\n").split("\n") if text else []
    new = [each for each in old if not each.endswith(f" onepass:{name}")]
    new += [line(name, ours)] if ours and ours.get("host_key_public") else []
    if new != old:
        __salt__["onepass_host.write"](path, "".join(f"{each}\n" for each in new))
