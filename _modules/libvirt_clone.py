"""
Clones of template virtual machines on this host, each with an identity of its own before its first boot.

.. versionadded:: 0.1.0

A template is sealed: its disks become an immutable generation, and clones are thin overlays over it. A clone's
hostname, hosts file, machine-id and ssh host key are written onto its disk while it is off (or, if nobody here can read
that disk, by the clone itself in a boot of its own), so it boots as itself, and this host trusts its key before the
first connection::

    salt-call --local -m . libvirt_clone.clone debian12 virtual1 virtual2 virtual3
    ssh virtual1

A clone is made whole or not at all. Its domain is defined first, with our own element in its metadata that lists its
files and says that it is unfinished; so what is interrupted is known to the next run, which makes that VM again. A
domain without that element is never touched.

Configuration: ``libvirt_clone:uri`` (default ``qemu:///system``); ``libvirt_clone:known_hosts`` (default
``/etc/ssh/ssh_known_hosts``; empty: none is written).

Requires root, libvirt-python in Salt's Python, and what :py:mod:`libvirt_disk` requires. VMs' disks are files.
"""

import contextlib
import posixpath
import sys
import time

from salt.exceptions import CommandExecutionError

__virtualname__ = "libvirt_clone"
__func_alias__ = {"list_": "list"}

# How far a clone can be waited for, and what that is called.
STAGES = {"started": "the start", "address": "an address", "name": "the name in DNS", "ssh": "the host key over ssh"}
OPTIONS = {
    "linked": True,
    "pool": None,
    "memory": None,
    "vcpu": None,
    "generation": None,
    "identity": "auto",
    "domain": None,
    "network": None,
    "bridge": None,
    "mac": None,
    "minion": None,
    "autostart": None,
}


def __virtual__():
    if "libvirt_host.domains" not in __salt__:
        return False, (
            "libvirt_clone needs libvirt-python in Salt's Python: salt-pip install libvirt-python "
            "(on Debian after apt-get install libvirt-dev pkg-config gcc)"
        )
    if "libvirt_disk.header" not in __salt__:
        return False, "libvirt_clone needs qemu-img, qemu-storage-daemon, debugfs and setpriv: install qemu-utils"
    return __virtualname__


def clone(template, *names, start=True, until="ssh", timeout=300, **options):
    """
    The VMs exist as clones of the template, each with its own identity, and can be logged into by name.

    A template that was never sealed is sealed first (:py:func:`seal`). Clones that are there already stay as they are;
    unfinished ones are made again. ``salt-call`` tells each step on standard error as it happens.

    template
        The domain to clone. It is off, was shut down cleanly, and was not started since it was sealed; or
        ``generation`` is given.
    names
        The clones: hostnames.
    start
        Start them. Default ``True``.
    until
        Wait for: ``started``, ``address``, ``name`` (DNS answers) or ``ssh`` (sshd shows the new host key); ``None``:
        for nothing. Default ``ssh``.
    timeout
        Seconds for that, all VMs together, and before it for each boot that identity ``ssh`` needs. Default 300.
    linked
        Thin overlays over the sealed generation; ``False``: full copies. Default ``True``.
    pool
        The storage pool for their disks. Default: the one that the template's first disk is in.
    memory, vcpu
        MiB, and number of CPUs. Default: the template's.
    generation
        The sealed generation. Default: the newest.
    identity
        ``disk`` (written onto it), ``nocloud`` (an ISO for cloud-init, and the disk where it can be read), ``ssh`` (it
        boots once for that, and must have the template's host key, see :py:mod:`libvirt_ssh`), ``none``, or ``auto``:
        ``nocloud`` if cloud-init is in the template, else ``disk``, or ``ssh`` where the disk cannot be read. Default
        ``auto``.
    domain
        DNS domain. Default: the one of the first interface's network.
    network, bridge
        Where the first interface is: a libvirt network, or a bridge of this host. Default: where the template's is.
    mac
        The first interface's MAC, for a single clone. Default: always the same for this host and name.
    minion
        Mapping with ``master`` and, if it is not the name, ``id``: the clone is a minion with a key of its own, whose
        public half is returned. Default: none.
    autostart
        Start them with the host. Default: not.

    Returns:
        VM to mapping: ``result``, ``comment``, and what :py:func:`info` answers. A failure makes the return code 1.

    Raises ``CommandExecutionError`` with all reasons before anything is touched.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_clone.clone debian12 virtual1 virtual2 virtual3
        salt-call --local -m . libvirt_clone.clone debian12 virtual4 start=False memory=512

    .. versionadded:: 0.1.0
    """
    options = _options(options)
    _check({"template": template, "names": names, "start": start, "until": until, "timeout": timeout, **options})
    left = __salt__["libvirt_plan.missing"](template, names)
    if left and options["generation"] is None and not __salt__["libvirt_template.source"](template)["generation"]:
        _say(template, f"sealed as generation {seal(template)['generation']}")
    results = make(template, left, options, timeout) if left else {}
    deadline = time.monotonic() + timeout
    for name in names:
        result = results.setdefault(name, {"result": True, "comment": "is there already"})
        with _kept(result):
            if start and result["result"]:
                power_on(name)
    for name in names:
        with _kept(results[name]):
            if start and until and results[name]["result"]:
                wait(name, until=until, timeout=max(0, deadline - time.monotonic()))
    if not all(result["result"] for result in results.values()):
        __context__["retcode"] = 1
    return {name: {**results[name], **(info(name) if results[name]["result"] else {})} for name in names}


def _options(given):
    given = {key: value for key, value in given.items() if not key.startswith("__")}
    return {**OPTIONS, **given}


def _check(arguments):
    names = list(arguments["names"]) if isinstance(arguments["names"], tuple) else arguments["names"]
    found = __salt__["libvirt_identity.faults"]({**arguments, "names": names})
    if arguments.get("mac") and isinstance(names, list) and len(names) > 1:
        found.append({"path": "mac", "fault": "is given for several clones", "remedy": "one clone, or none given"})
    if found:
        raise CommandExecutionError("\n".join(f"{each['path']}: {each['fault']}; {each['remedy']}" for each in found))


@contextlib.contextmanager
def _kept(result):
    """One VM's failure is its own result."""
    try:
        yield
    except CommandExecutionError as err:
        result.update(result=False, comment=str(err))


def _say(name, text):
    """Progress for a person who called salt-call; a minion's return says it all anyway."""
    if __opts__.get("__cli") == "salt-call":
        print(f"{name}: {text}", file=sys.stderr, flush=True)


def make(template, names, options=None, timeout=300):
    """
    The clones are defined and have their identity; none is started. What fails is undone and told, the others go on.

    template, names
        The sealed template, and the list of clones: each absent, or unfinished.
    options
        Mapping of the other arguments of :py:func:`clone`. Default: theirs.
    timeout
        Seconds for each boot that identity ``ssh`` needs. Default 300.

    Returns:
        VM to mapping: ``result`` and ``comment``. One that is a finished clone already has failed, and stays as it is.

    Raises ``CommandExecutionError`` with all reasons before anything is touched.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_clone.make debian12 '[virtual1, virtual2]'

    .. versionadded:: 0.1.0
    """
    options = _options(options or {})
    _check({"template": template, "names": names, "timeout": timeout, **options})
    results = {name: {"result": True, "comment": f"cloned from {template}"} for name in names}
    with __salt__["libvirt_disk.serving"]():
        prepared = __salt__["libvirt_make.prepare"](template, names, options)
        for name in names:
            with _kept(results[name]):
                _say(name, f"cloned, identity: {__salt__['libvirt_make.make'](prepared, name, timeout)}")
    with contextlib.suppress(CommandExecutionError):  # of a libvirtd that is gone, which looks again at its start
        __salt__["libvirt_host.forget_files"](prepared["pool"]["directory"])
    return results


# What is there


def list_():
    """
    The clones on this host: name to what :py:func:`info` answers, without addresses.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_clone.list

    .. versionadded:: 0.1.0
    """
    return {name: _told(found) for name, found in __salt__["libvirt_host.domains"]().items() if found["ours"]}


def info(name):
    """
    What a clone is.

    name
        The clone.

    Returns:
        ``template``, ``generation``, ``state``, ``identity``, ``fqdn``, ``host_key_public``, ``machine_id``, ``files``,
        ``running``, ``autostart``, ``memory``, ``vcpu``, ``macs``, ``address`` (``None`` until it has one), and of a
        minion ``minion_id`` and ``minion_key``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_clone.info virtual1

    .. versionadded:: 0.1.0
    """
    found = __salt__["libvirt_make.own"](name)
    return {**_told(found), "address": __salt__["libvirt_guest.address"](found)}


def _told(found):
    told = {key: found[key] for key in ("autostart", "memory", "vcpu")}
    macs = [interface["mac"] for interface in found["interfaces"]]
    generation = int(found["ours"]["generation"])
    return {**found["ours"], **told, "generation": generation, "running": found["active"], "macs": macs}


def plan(template, *names, **options):
    """
    What :py:func:`clone` would make, as differences from the template; nothing is touched.

    template, names, options
        As for :py:func:`clone`.

    Returns:
        VM to mapping: ``state`` (``absent``, ``unfinished`` or ``ready``) and, unless it is ready, ``xml`` (a unified
        difference), ``files`` (what would be written on its disk, without private keys), ``removed``, ``pinned``
        (sentences: what it would have as its template has it, though one system alone can), ``identity``.

    Raises ``CommandExecutionError`` with all reasons against it; that the template was never
    sealed, which :py:func:`clone` does by itself, is one.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_clone.plan debian12 virtual1

    .. versionadded:: 0.1.0
    """
    options = _options(options)
    _check({"template": template, "names": names, **options})
    left = __salt__["libvirt_plan.missing"](template, names)
    prepared = __salt__["libvirt_make.prepare"](template, left, options) if left else None
    return {
        name: {
            "state": __salt__["libvirt_plan.state"](name, template, __salt__["libvirt_host.domain"](name))[0],
            **(_planned(prepared, name) if name in left else {}),
        }
        for name in names
    }


def _planned(prepared, name):
    wanted, files = __salt__["libvirt_make.wanted"](prepared, name), (prepared["system"] or {}).get("files")
    identity = __salt__["libvirt_make.new_identity"](prepared, wanted)
    edits = __salt__["libvirt_identity.edits"](identity, files) if files else {"write": {}, "remove": []}
    xml = __salt__["libvirt_host.xml"](prepared["template"]["name"])
    return {
        "xml": __salt__["libvirt_xml.difference"](xml, __salt__["libvirt_xml.derive"](xml, wanted)),
        "files": {
            path: "(private)" if held["mode"] & 0o007 == 0 else held["text"] for path, held in edits["write"].items()
        },
        "removed": edits["remove"],
        "pinned": __salt__["libvirt_template.pinned"](prepared["template"], files or {}),
        "identity": wanted["ours"]["identity"],
    }


def wait(*names, until="ssh", timeout=300):
    """
    The clones are reachable; an error says at which step one hangs.

    names
        The clones.
    until
        ``started``, ``address``, ``name`` or ``ssh``. Default, of ``None`` too: ``ssh``.
    timeout
        Seconds, all together. Default 300.

    Returns:
        Name to address.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_clone.wait virtual1 virtual2 until=name

    .. versionadded:: 0.1.0
    """
    until = until or "ssh"
    _check({"names": names, "until": until, "timeout": timeout})
    deadline = time.monotonic() + timeout
    for name in names:
        for stage, what in list(STAGES.items())[: list(STAGES).index(until) + 1]:
            seen = __salt__["onepass.wait"](
                lambda name=name, stage=stage: __salt__["libvirt_guest.reached"](name, stage),
                f"{what} of {name}",
                max(0, deadline - time.monotonic()),
                interval=0.05,
            )
            _say(name, seen)
    return {name: __salt__["libvirt_guest.address"](__salt__["libvirt_make.own"](name)) for name in names}


def power_on(name):
    """
    The clone runs.

    name
        The clone.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_clone.power_on virtual1

    .. versionadded:: 0.1.0
    """
    if not __salt__["libvirt_make.own"](name)["active"]:
        __salt__["libvirt_host.power"](name, True)


# Removing


def destroy(*names):
    """
    Nothing is left of the clones: power, lease and with it the name in DNS, known_hosts line, files, domain.

    Files are those that the clone was made with; a disk that was attached later stays, and so does a file that another
    domain has as well. A name that stands for no domain
    is no error; one that stands for a domain that was not made here is, and then nothing is touched.

    names
        The clones.

    Returns:
        Name to ``destroyed``, which files of it others have and were left, or ``was not there``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_clone.destroy virtual2

    .. versionadded:: 0.1.0
    """
    _check({"names": names})
    there = __salt__["libvirt_host.domains"]()
    own = {name: __salt__["libvirt_make.own"](name)["ours"]["files"] for name in names if name in there}
    users = __salt__["libvirt_template.users"](there)
    for name, files in own.items():
        others = {user for path in files for user in users.get(path, ())} - set(names)
        if others:
            raise CommandExecutionError(f"{', '.join(sorted(others))} was cloned from {name}; destroy that first")
    gone = dict.fromkeys(names, "was not there")
    for name in own:
        spared = __salt__["libvirt_make.remove"](name)
        gone[name] = f"destroyed; another domain has {', '.join(spared)}" if spared else "destroyed"
        _say(name, gone[name])
    return gone


# Templates


def seal(template):
    """
    The template's disks, as they are now, are the generation that clones are made of; the template can be started and
    changed without touching a clone.

    Each disk gets another name and becomes read-only, and an empty overlay takes its place. Sealed again after changes,
    it becomes a new generation, a copy; older clones keep theirs. Nothing happens when nothing was written since.

    template
        The domain, off and cleanly shut down.

    Returns:
        ``generation``, ``changed``, and when it was sealed now ``pinned``: sentences on what every clone would have as
        the template has it, though one system alone can: a static address, another VM's MAC.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_clone.seal debian12

    .. versionadded:: 0.1.0
    """
    return __salt__["libvirt_template.seal"](template)


def gc(template):
    """
    The sealed generations of a template that no domain of this host needs any longer are deleted; never the newest.

    template
        The domain.

    Returns:
        ``removed`` (list of paths) and ``kept`` (generation's path to list of the domains that need it).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_clone.gc debian12

    .. versionadded:: 0.1.0
    """
    return __salt__["libvirt_template.gc"](template)


def flatten(name):
    """
    The clone stands alone: it needs no generation of its template any longer.

    name
        The clone, off.

    Returns:
        List of the disks that were flattened.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_clone.flatten virtual1

    .. versionadded:: 0.1.0
    """
    found = __salt__["libvirt_make.own"](name)
    __salt__["libvirt_template.refuse_in_use"](name, found)
    heads = {path: __salt__["libvirt_disk.header"](path) for path in found["ours"]["files"] if path.endswith(".qcow2")}
    linked = [path for path, head in heads.items() if head["backing"]]
    for path in linked:
        __salt__["libvirt_disk.flatten"](path)
    return linked


# Trust and audit


def known_hosts(*names):
    """
    The lines that make ssh trust clones from the first connection on; without names, of all clones.

    names
        The clones.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_clone.known_hosts | sed '1d; s, *- ,,'

    .. versionadded:: 0.1.0
    """
    found = {name: __salt__["libvirt_make.own"](name)["ours"] for name in names} if names else list_()
    return [__salt__["libvirt_make.line"](name, ours) for name, ours in found.items() if ours.get("host_key_public")]


def audit():
    """
    Domains of this host that share what ought to be one's own: MAC, machine-id, DUID, ssh host key, minion key.

    Read from the disks of all domains, running or not, where :py:mod:`libvirt_disk` knows the filesystem. What this
    host's kernel would have to mount, XFS and btrfs, is read of templates and of clones that are off: the root of a
    guest can write any bytes to its disk.

    Returns:
        ``shared``: list of mappings with ``what`` and ``domains``; ``pinned``: domain to sentences on MACs and
        addresses in its files; ``unread``: domain to why.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_clone.audit

    .. versionadded:: 0.1.0
    """
    holders, pinned, unread, domains = {}, {}, {}, __salt__["libvirt_host.domains"]()
    made = {name: found["ours"]["template"] for name, found in domains.items() if found["ours"]}
    ours = {*made, *made.values()}
    for name, found in domains.items():
        for interface in found["interfaces"]:
            holders.setdefault(f"MAC {interface['mac']}", set()).add(name)
        with _noted(unread, name):
            held, pins = _held(found, mount=name in ours and not found["active"])
            pinned.update({name: pins} if pins else {})
            for what in held:
                holders.setdefault(what, set()).add(name)
    shared = [{"what": what, "domains": sorted(names)} for what, names in sorted(holders.items()) if len(names) > 1]
    return {"shared": shared, "pinned": pinned, "unread": unread}


@contextlib.contextmanager
def _noted(unread, name):
    try:
        yield
    except CommandExecutionError as err:
        unread[name] = str(err)


def _held(found, mount):
    """What a domain's disk holds that should be its own, in words, and what its files pin."""
    own = [disk for disk in found["disks"] if disk["own"] and disk["path"]]
    texts = __salt__["libvirt_identity.audited"]()
    why = "it has no disk"
    for disk in own:
        seen = __salt__["libvirt_disk.inspect"](
            disk["path"],
            disk["format"],
            [*__salt__["libvirt_identity.directories"](), *map(posixpath.dirname, texts)],
            [*__salt__["libvirt_identity.texts"](), *texts],
            mount,
        )
        if seen["offset"] is not None:
            held = {path: seen["files"].get(path, {}).get("text", "").strip() for path in texts}
            macs = [interface["mac"] for interface in found["interfaces"]]
            pins = __salt__["libvirt_identity.pins"](seen["files"], macs)
            return [f"{texts[path]} {_short(text)}" for path, text in held.items() if text], pins
        why = seen["why"]
    raise CommandExecutionError(why)


def _short(text):
    """The first line of a PEM key, else the first two words: no comment, and no file's other lines."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return " ".join(lines[1:2] if text.startswith("-----") else "\n".join(lines).split()[:2])
