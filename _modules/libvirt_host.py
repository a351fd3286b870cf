"""
The libvirt of this host: its domains, volumes and networks, read and changed one at a time.

.. versionadded:: 0.1.0

Thin: no decisions here, they are :py:mod:`libvirt_clone`'s. A lost connection (libvirtd restarted) is made again::

    salt-call --local -m . libvirt_host.domains

Configuration: ``libvirt_clone:uri``, default ``qemu:///system``. Requires libvirt-python in Salt's Python.
"""

import contextlib
import os
import threading
import xml.etree.ElementTree as ET

from salt.exceptions import CommandExecutionError

try:
    import libvirt

    HAS_LIBVIRT = True
except ImportError:
    HAS_LIBVIRT = False

__virtualname__ = "libvirt_host"

EVENTS = "onepass-libvirt-events"
ANSWER = 10  # seconds that libvirtd has to answer
KEEPALIVE = 5, 3  # every so many seconds it is asked for a sign of life; so many in a row may be missing


def __virtual__():
    if not HAS_LIBVIRT:
        return False, (
            "libvirt_host needs libvirt-python in Salt's Python: salt-pip install libvirt-python "
            "(on Debian after apt-get install libvirt-dev pkg-config gcc)"
        )
    return __virtualname__


def uri() -> str:
    """
    Where libvirt is reached.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_host.uri

    .. versionadded:: 0.1.0
    """
    return __salt__["config.get"]("libvirt_clone:uri", "qemu:///system")


def _host():
    host = __context__.get("libvirt_host.connection")
    if host is not None:
        with contextlib.suppress(libvirt.libvirtError):
            host.getLibVersion()  # isAlive() notices a restarted libvirtd only after a failure
            return host
    __context__["libvirt_host.connection"] = connect(uri())
    return __context__["libvirt_host.connection"]


def connect(place: str):
    """
    A connection to a libvirtd, or an error when that hangs; one whose libvirtd stops answering later ends within 20 s.

    place
        Its URI.

    Raises ``libvirtError``, and ``CommandExecutionError`` when nothing answers within 10 s.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_host.connect

    .. versionadded:: 0.1.0
    """
    libvirt.registerErrorHandler(lambda *_: None, None)  # else the library prints every error itself
    _attend()
    found = []
    opening = threading.Thread(target=_open, args=(place, found), daemon=True)
    opening.start()
    opening.join(ANSWER)
    if not found:
        raise CommandExecutionError(f"libvirtd at {place} takes connections, but did not answer for {ANSWER} s")
    if isinstance(found[0], libvirt.libvirtError):
        raise found[0]
    with contextlib.suppress(libvirt.libvirtError):  # a driver without a daemon has none
        found[0].setKeepAlive(*KEEPALIVE)
    return found[0]


def _open(place: str, found: list):
    try:
        found.append(libvirt.open(place))
    except libvirt.libvirtError as err:
        found.append(err)


def _attend():
    """One thread of this process runs libvirt's events: without it, a daemon that stopped is waited for without end."""
    if EVENTS not in [each.name for each in threading.enumerate()]:
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_events, name=EVENTS, daemon=True).start()


def _events():
    while True:
        libvirt.virEventRunDefaultImpl()


@contextlib.contextmanager
def _libvirt(what: str):
    """The connection; libvirt's errors become Salt's, and say what was tried."""
    try:
        yield _host()
    except libvirt.libvirtError as err:
        raise CommandExecutionError(f"Cannot {what}: {err.get_error_message() or err}") from err


def uuid() -> str:
    """
    The host's UUID.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_host.uuid

    .. versionadded:: 0.1.0
    """
    with _libvirt("read the host's UUID") as host:
        return ET.fromstring(host.getCapabilities()).findtext("host/uuid")


def domains() -> dict:
    """
    All domains of this host, by name; libvirt's own order is anybody's.

    Returns:
        Name to what :py:func:`libvirt_xml.read` answers, with ``active``, ``autostart`` and ``saved``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_host.domains

    .. versionadded:: 0.1.0
    """
    with _libvirt("list domains") as host:
        return {each.name(): _facts(each) for each in sorted(host.listAllDomains(), key=lambda each: each.name())}


def domain(name: str) -> dict | None:
    """
    One domain, as in :py:func:`domains`, or ``None``.

    name
        The domain.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_host.domain debian12

    .. versionadded:: 0.1.0
    """
    with _libvirt(f"read {name}") as host:
        found = _lookup(host, name)
        return found and _facts(found)


def _lookup(host, name: str):
    try:
        return host.lookupByName(name)
    except libvirt.libvirtError as err:
        if err.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return None


def _facts(domain) -> dict:
    """What it will be at its next start."""
    return {
        **__salt__["libvirt_xml.read"](domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)),
        "active": bool(domain.isActive()),
        "autostart": bool(domain.autostart()),
        "saved": bool(domain.hasManagedSaveImage()),
    }


def opened() -> dict:
    """
    The paths that running domains have now, whatever they will have at their next start: name to list of paths.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_host.opened

    .. versionadded:: 0.1.0
    """
    with _libvirt("list domains") as host:
        running = host.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        return {each.name(): __salt__["libvirt_xml.read"](each.XMLDesc())["paths"] for each in running}


def xml(name: str, secrets: bool = False) -> str:
    """
    A domain's inactive XML.

    name
        The domain.
    secrets
        With the passwords of its consoles: to define another from it, and not for any eye or log. Default ``False``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_host.xml

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE | (libvirt.VIR_DOMAIN_XML_SECURE if secrets else 0)
    with _libvirt(f"read {name}") as host:
        return host.lookupByName(name).XMLDesc(flags)


def define(xml: str):
    """
    The domain is defined; one of that name but with another UUID is an error.

    xml
        Its XML.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_host.define

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    with _libvirt("define the domain") as host:
        host.defineXML(xml)


def refuse(xml: str, like: str, what: str):
    """
    Nothing happens, if libvirt would make a domain of this XML: it is asked for QEMU's command line.

    xml
        The XML to be defined later.
    like
        The XML of a domain that there is. Where libvirt makes no command line of that either, nothing can be told.
    what
        In words, what the XML is, for the error.

    Raises ``CommandExecutionError`` with libvirt's own reason.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_host.refuse

    .. versionadded:: 0.1.0
    """
    with _libvirt("ask libvirt for its version") as host:
        try:
            host.domainXMLToNative("qemu-argv", xml)
        except libvirt.libvirtError as err:
            with contextlib.suppress(libvirt.libvirtError):
                host.domainXMLToNative("qemu-argv", like)
                raise CommandExecutionError(f"libvirt would not make {what}: {err.get_error_message()}") from err


def mark(name: str, ours: dict):
    """
    The domain's metadata holds our element with these values.

    name
        The domain.
    ours
        As for :py:func:`libvirt_xml.metadata`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_host.mark

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    text = __salt__["libvirt_xml.metadata"](ours)
    namespace = __salt__["libvirt_xml.namespace"]()
    with _libvirt(f"mark {name}") as host:
        found = host.lookupByName(name)
        flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG | (libvirt.VIR_DOMAIN_AFFECT_LIVE if found.isActive() else 0)
        found.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, "onepass", namespace, flags)


def undefine(name: str, nvram: bool = False, tpm: bool = False):
    """
    The domain is gone, with its saved state and the metadata of snapshots. It is off.

    name
        The domain.
    nvram, tpm
        The file of its firmware's variables, and the state of its TPM, go as well. Default: both stay.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_host.undefine

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    wanted = ["MANAGED_SAVE", "SNAPSHOTS_METADATA", "CHECKPOINTS_METADATA"]
    wanted += ["NVRAM" if nvram else "KEEP_NVRAM", "TPM" if tpm else "KEEP_TPM"]
    flags = sum(getattr(libvirt, f"VIR_DOMAIN_UNDEFINE_{flag}", 0) for flag in wanted)
    with _libvirt(f"undefine {name}") as host:
        host.lookupByName(name).undefineFlags(flags)


def power(name: str, on: bool):
    """
    The domain runs, or is off, as if its plug had been pulled.

    name
        The domain.
    on
        ``True`` or ``False``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_host.power

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    with _libvirt(f"{'start' if on else 'stop'} {name}") as host:
        found = host.lookupByName(name)
        if on and not found.isActive():
            found.create()
        elif not on and found.isActive():
            found.destroy()


def change(name: str, what: str, value):
    """
    One setting of a domain is changed, from its next start on.

    name
        The domain.
    what
        ``memory`` (MiB), ``vcpu`` or ``autostart``.
    value
        The new value.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_host.change

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    with _libvirt(f"change {what} of {name}") as host:
        found = host.lookupByName(name)
        if what == "autostart":
            found.setAutostart(int(value))
        else:
            text = found.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
            host.defineXML(__salt__["libvirt_xml.resize"](text, **{what: value}))


# Volumes


def pool(name: str | None, path: str) -> dict:
    """
    A storage pool of files: the named one, or the one that a file is in.

    name
        The pool, or ``None``.
    path
        The file.

    Returns:
        ``name`` and ``directory``.

    Raises ``CommandExecutionError`` when there is no such pool, or it is not active, or has no directory.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_host.pool

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    with _libvirt(f"use the storage pool {name}" if name else "read the storage pools") as host:
        pools = {each.name(): each for each in host.listAllStoragePools()}
        directories = {each: ET.fromstring(found.XMLDesc()).findtext("target/path") for each, found in pools.items()}
        if name is None:
            here = os.path.dirname(path)
            name = next((each for each, directory in directories.items() if directory == here), None)
            if name is None:
                remedy = f"virsh pool-create-as images dir --target {here}, or give pool"
                raise CommandExecutionError(f"No storage pool is on {here}, where the template's disk is; {remedy}")
        if name not in pools:
            raise CommandExecutionError(f"No storage pool {name}; there are: {', '.join(sorted(pools)) or 'none'}")
        if not pools[name].isActive():
            raise CommandExecutionError(f"Storage pool {name} is not active; virsh pool-start {name}")
        if not os.path.isdir(directories[name] or ""):
            raise CommandExecutionError(f"Storage pool {name} is no directory of this host; use one that is")
        return {"name": name, "directory": directories[name]}


def forget_files(directory: str):
    """
    The pool on a directory sees that files were removed, or made, behind its back.

    directory
        The pool's directory.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_host.forget_files

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    with _libvirt("refresh the storage pools") as host:
        for each in host.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            if ET.fromstring(each.XMLDesc()).findtext("target/path") == directory:
                each.refresh()


# Networks


def network(name: str) -> dict | None:
    """
    A libvirt network, or ``None``.

    name
        The network.

    Returns:
        ``bridge``, ``domain``, ``server`` (its IPv4 address) and ``active``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_host.network default

    .. versionadded:: 0.1.0
    """
    with _libvirt(f"read the network {name}") as host:
        found = next((each for each in host.listAllNetworks() if each.name() == name), None)
        if found is None:
            return None
        xml = ET.fromstring(found.XMLDesc())
        bridge, domain = xml.find("bridge"), xml.find("domain")
        servers = [each.get("address") for each in xml.findall("ip") if each.get("family") != "ipv6"]
        return {
            "bridge": bridge.get("name") if bridge is not None else None,
            "domain": domain.get("name") if domain is not None else None,
            "server": next(iter(servers), None),
            "active": bool(found.isActive()),
        }


def leases(name: str, mac: str) -> list:
    """
    The IPv4 leases of a MAC in a libvirt network.

    name
        The network.
    mac
        The interface's MAC.

    Returns:
        List of mappings: ``address``, ``hostname``, ``client_id``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_host.leases default 52:54:00:bf:57:bb

    .. versionadded:: 0.1.0
    """
    with _libvirt(f"read the leases of the network {name}") as host:
        found = host.networkLookupByName(name).DHCPLeases(mac)
    ipv4 = [each for each in found if each["type"] == libvirt.VIR_IP_ADDR_TYPE_IPV4]
    return [
        {"address": each["ipaddr"], "hostname": each["hostname"], "client_id": each["clientid"]}
        for each in sorted(ipv4, key=lambda each: each["expirytime"])
    ]


def addresses(name: str, mac: str) -> list:
    """
    The IPv4 addresses of a running domain's interface that is in no libvirt network: its agent's word, or ARP's.

    name
        The domain.
    mac
        The interface's MAC.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_host.addresses virtual1 52:54:00:bf:57:bb

    .. versionadded:: 0.1.0
    """
    with _libvirt(f"read {name}") as host:
        found = host.lookupByName(name)
    for source in (libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP):
        with contextlib.suppress(libvirt.libvirtError):
            interfaces = found.interfaceAddresses(source)
            own = [each["addrs"] or [] for each in interfaces.values() if each["hwaddr"] == mac]
            ipv4 = [each["addr"] for held in own for each in held if each["type"] == libvirt.VIR_IP_ADDR_TYPE_IPV4]
            if ipv4:
                return ipv4
    return []
