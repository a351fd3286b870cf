"""
What a template has that a clone cannot have as well, or that is not known here: each refused by its name.

.. versionadded:: 0.1.0

Pure. A clone's XML is its template's, so all that the template names is the clone's own afterwards
(:py:func:`libvirt_xml.derive` sees to that), shared on purpose, or refused here. Forms that are not listed are refused
as well: a newer libvirt may name a file or a socket in them. What is listed is held against libvirt's own schema by the
tests::

    salt-call --local -m . libvirt_forms.refusals "$(virsh dumpxml --inactive debian12)"
"""

import re
import xml.etree.ElementTree as ET

__virtualname__ = "libvirt_forms"

QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
# Character devices of a VM, and other devices that have one in them.
CHARACTER = ("serial", "console", "parallel", "channel")
WITHIN = ("redirdev", "smartcard[@mode='passthrough']", "rng/backend[@model='egd']")
# Elements that may name anything: it is only read, it is meant for several VMs at a time, or a clone has none of it.
SHARED = """
name uuid genid title description metadata sysinfo launchSecurity resource blkiotune qemu:commandline
os/kernel os/initrd os/cmdline os/dtb os/shim os/acpi
devices/emulator devices/audio devices/filesystem/binary devices/graphics/gl devices/video/model/acceleration
devices/smartcard/certificate devices/smartcard/database
devices/interface/rom devices/interface/script devices/interface/downscript
devices/disk/backingStore devices/disk/mirror
"""
# Elements that name nothing outside of the VM, with all that is in them: no absolute path.
INERT = """
memory currentMemory maxMemory memoryBacking memtune numatune vcpu vcpus cputune cpu iothreads iothreadids
defaultiothread throttlegroups features clock pm perf keywrap seclabel on_poweroff on_reboot on_crash on_lockfailure
os/type os/boot os/bootmenu os/smbios os/bios os/firmware qemu:capabilities qemu:override qemu:deprecation
devices/controller devices/sound devices/memballoon devices/watchdog devices/panic devices/iommu devices/hub
devices/redirfilter devices/nvram devices/crypto devices/vsock devices/input
"""
# The same below any device.
INERT_BELOW = ("acpi", "address", "alias", "boot", "driver")
INERT_IN = {
    "disk": "blockio geometry iotune throttlefilters product serial vendor wwn target readonly shareable transient "
    "privateData",
    "interface": "bandwidth coalesce filterref ip link mac model mtu port route teaming tune virtualport vlan target",
    "graphics": "audio channel clipboard filetransfer image jpeg mouse playback streaming zlib",
    "filesystem": "idmap readonly space_hard_limit space_soft_limit target",
    "tpm": "",
    "memory": "source target uuid",
    "rng": "rate",
    "smartcard": "",
    "redirdev": "",
    "video": "model",
    **dict.fromkeys(CHARACTER, "target protocol"),
}
# Attributes of what is in neither; = is a text.
CHARACTER_SOURCE = "path mode channel append"
KNOWN = {
    "domain": "type id",
    "os": "firmware",
    "os/loader": "= readonly secure stateless type format",
    "os/nvram": "= template templateFormat type format",
    "os/nvram/source": "file index startupPolicy",
    "devices": "",
    "devices/disk": "device model rawio sgio snapshot type",
    "devices/disk/source": "file index startupPolicy",
    "devices/interface": "managed trustGuestRxFilters type",
    "devices/interface/source": "network portgroup bridge macTableManager dev mode address port",
    "devices/interface/backend": "type tap vhost logFile",
    "devices/graphics": "type port autoport tlsPort websocket websocketGenerated listen address socket passwd keymap "
    "passwdValidTo connected sharePolicy powerControl defaultMode display xauth fullscreen multiUser replaceUser p2p "
    "username",
    "devices/graphics/listen": "type address network socket",
    "devices/filesystem": "accessmode dmode fmode model multidevs type",
    "devices/filesystem/source": "dir",
    "devices/tpm": "model",
    "devices/tpm/backend": "type version persistent_state debug",
    "devices/tpm/backend/active_pcr_banks": "",
    **{f"devices/tpm/backend/active_pcr_banks/{bank}": "" for bank in ("sha1", "sha256", "sha384", "sha512")},
    "devices/tpm/backend/encryption": "secret",
    "devices/tpm/backend/profile": "source name removeDisabled",
    "devices/memory": "model access discard",
    "devices/rng": "model",
    "devices/rng/backend": "= model",
    "devices/smartcard": "mode type",
    "devices/redirdev": "bus type",
    "devices/video": "",
    **{f"devices/{kind}": "type tty" for kind in CHARACTER},
    **{f"devices/{kind}/source": CHARACTER_SOURCE for kind in CHARACTER},
    **{f"devices/{kind}/source/clipboard": "copypaste" for kind in CHARACTER},
    **{f"devices/{kind}/source/mouse": "mode" for kind in CHARACTER},
    **{f"devices/{kind}/source/reconnect": "enabled timeout" for kind in CHARACTER},
    **{f"devices/{kind}/log": "file append" for kind in (*CHARACTER, *WITHIN[:1], "smartcard", "rng/backend")},
}
# Which values of a device's kind are known: for another one, what it names is not.
KINDS = {
    "interface": ("type", "network bridge direct user ethernet mcast null"),
    "graphics": ("type", "vnc spice sdl egl-headless dbus rdp desktop"),
    "filesystem": ("type", "mount"),
    "tpm/backend": ("type", "emulator"),
    "memory": ("model", "dimm virtio-mem sgx-epc"),
    "rng/backend": ("model", "random builtin egd"),
    "smartcard": ("mode", "host-certificates passthrough"),
    "input": ("type", "mouse tablet keyboard"),
    "audio": ("type", "none alsa coreaudio jack pipewire pulseaudio sdl spice dbus"),
}
# What belongs to one running domain at a time.
EXCLUSIVE = {
    "hostdev": "a device of the host, or a virtual GPU",
    "lease": "a lock",
    "shmem": "memory that every VM with its name writes",
    "pstore": "a file that the VM writes",
    "memory[@model='nvdimm']": "a persistent memory file",
    "memory[@model='virtio-pmem']": "a persistent memory file",
    "tpm/backend[@type='passthrough']": "the host's TPM",
    "tpm/backend[@type='external']": "the socket of a TPM emulator",
    "tpm/backend[@type='emulator']/source": "the state of a TPM",
    "interface[@type='hostdev']": "a network card of the host",
    "interface[@type='vdpa']": "a network card of the host",
    "interface[@type='direct']/source[@mode='passthrough']": "a network card of the host",
    "interface[@type='vhostuser']": "the socket of a switch's port",
    "interface[@type='server']": "a listening port of the host",
    "interface[@type='client']": "a connection to a program",
    "interface[@type='udp']": "a port of the host",
    "interface/portForward": "a port of the host",
    "interface/target[@managed='no']": "a tap device that somebody made",
    "input[@type='evdev']": "an input device of the host",
    "input[@type='passthrough']": "an input device of the host",
    "smartcard[@mode='host']": "a card reader of the host",
    "filesystem/source[@socket]": "the socket of a virtiofsd",
    "audio[@type='file']": "a file that the VM writes",
    "audio[@type='oss']": "a sound device of the host",
    "graphics[@type='dbus'][@address]": "a place on a bus",
    "disk[@type='nvme']": "a disk controller of the host",
    "disk[@type='vhostuser']": "the socket of a storage program",
    "disk[@type='vhostvdpa']": "a storage device of the host",
}
# Types of character devices; those without a word name nothing, or what QEMU makes and a clone has of its own.
OWN_SOURCES = ("null", "vc", "pty", "file", "stdio", "spicevmc", "spiceport", "qemu-vdagent", "dbus")
SOURCES = {
    "dev": "a port of the host",
    "pipe": "a pipe that somebody made",
    "nmdm": "a null modem of the host",
    "unix": "a socket that another program made",
    "tcp": "a connection to another program",
    "udp": "a port of the host",
    "file": "a file that the VM writes",
}
# Arguments for QEMU that make the VM's own processor, machine and firmware settings, and open nothing but for reading.
ARGUMENTS = ("-cpu", "-machine", "-M", "-global", "-fw_cfg", "-overcommit", "-boot", "-rtc", "-msg", "-no-hpet")
REMOVE = "remove it"


def __virtual__():
    return __virtualname__


def refusals(text: str) -> list:
    """
    What in a template cannot be shared with a clone, cannot be copied, or is not known: each by its name.

    text
        The template's inactive XML.

    Returns:
        List of mappings with ``path``, ``fault`` and ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_forms.refusals "<domain><devices><hostdev type='pci'/></devices></domain>"

    .. versionadded:: 0.1.0
    """
    domain = ET.fromstring(text)
    found = [*_firmware(domain), *_arguments(domain)]
    for device in domain.findall("devices/*"):
        refused = _disk(device) or _exclusive(device) or _character(device) or _kind(device)
        if device.tag == "disk" and not owned(device):
            for child in [each for each in device if each.tag in ("source", "auth", "encryption")]:
                device.remove(child)  # a clone's drive is empty, and a shared disk is shared, wherever it comes from
        found += refused or _unknown(device, f"devices/{device.tag}")
    for element in domain:
        if element.tag != "devices":
            found += _unknown(element, element.tag.replace(QEMU, "qemu:"))
    found += _attributes(domain, "domain")
    return [each for number, each in enumerate(found) if each not in found[:number]]


def _refusal(path: str, fault: str, remedy: str = REMOVE) -> dict:
    return {"path": path, "fault": fault, "remedy": f"{remedy} in the template"}


def _one(path: str, what: str, remedy: str = REMOVE) -> dict:
    return _refusal(path, f"is {what}, which one VM at a time can have", remedy)


def _exclusive(device) -> list:
    holder = ET.Element("devices")
    holder.append(device)
    named = {path: re.sub(r"\[.*?\]", "", path) for path in EXCLUSIVE}
    return [_one(named[path], what) for path, what in EXCLUSIVE.items() for _ in holder.findall(path)]


def _kind(device) -> list:
    """A kind of device that is not known, though its elements may be."""
    for path, (attribute, known) in KINDS.items():
        tag, _, child = path.partition("/")
        for element in ([device] if not child else device.findall(child)) if device.tag == tag else []:
            value = element.get(attribute, "")
            if value not in known.split():
                return [_refusal(path, f"has the {attribute} {value}, which is not known here")]
    return []


def _disk(disk) -> list:
    if disk.tag != "disk" or not owned(disk):
        return []
    source, driver, path = disk.find("source"), disk.find("driver"), f"disk {disk.find('target').get('dev')}"
    image = driver.get("type", "raw") if driver is not None else "raw"
    if disk.get("device") == "lun":
        return [_refusal(path, "is a SCSI device of the host", "a file")]
    if disk.get("type") != "file" or source is None or not source.get("file"):
        return [_refusal(path, f"is of type {disk.get('type')}, not a file", "a qcow2 or raw file, by its path")]
    if disk.find("encryption") is not None or source.find("encryption") is not None:
        return [_refusal(path, "is encrypted, and an overlay over it cannot be", "an image without encryption")]
    if image not in ("qcow2", "raw"):
        return [_refusal(path, f"has the format {image}", "qcow2 or raw: qemu-img convert")]
    if source.find("dataStore") is not None:
        return [_refusal(path, "keeps its data in another file", "one file: qemu-img convert")]
    return []


def owned(disk) -> bool:
    """
    Whether a disk is the VM's own, so that a clone has a copy: neither removable, nor read-only, nor shared.

    disk
        The element.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_forms.owned

    .. versionadded:: 0.1.0
    """
    shared = disk.find("readonly") is not None or disk.find("shareable") is not None
    return disk.get("device", "disk") in ("disk", "lun") and not shared


def _character(device) -> list:
    holder = ET.Element("devices")
    holder.append(device)
    found = []
    for path in (*CHARACTER, *WITHIN):
        for each in holder.findall(path):
            name, kind, source = path.partition("[")[0], each.get("type"), each.find("source")
            listens = source is not None and source.get("mode") == "bind"
            own = path in CHARACTER and (kind in OWN_SOURCES or (kind == "unix" and (source is None or listens)))
            if own or kind == "spicevmc":
                continue
            port = source.get("service") if listens else None
            if port:
                found.append(_refusal(name, f"listens on port {port}, which one VM at a time can have"))
            elif kind in SOURCES:
                found.append(_one(name, SOURCES[kind]))
            else:
                found.append(_refusal(name, f"has the type {kind}, which is not known here"))
    return found


def _firmware(domain) -> list:
    found, loader, nvram = [], domain.find("os/loader"), domain.find("os/nvram")
    if loader is not None and loader.get("type") == "pflash" and loader.get("readonly") != "yes":
        found.append(_one("os/loader", "a file that the VM may write", "readonly='yes' for it"))
    source, kind = (None, "file") if nvram is None else (nvram.find("source"), nvram.get("type", "file"))
    if kind != "file" or (source is not None and not source.get("file")):
        found.append(_refusal("os/nvram", f"is of type {kind}, not a file", "a file, by its path"))
        domain.find("os").remove(nvram)
    return found


def _arguments(domain) -> list:
    """QEMU's own arguments may name anything, so only some are for more than one VM."""
    values = [each.get("value", "") for each in domain.findall(f"{QEMU}commandline/{QEMU}arg")]
    return [
        _refusal("qemu:commandline", f"has the argument {value}, which may be for one VM at a time")
        for value in values
        if value.startswith("-") and value not in ARGUMENTS
    ]


# Forms that are not known


def _unknown(element, path: str) -> list:
    if path in SHARED.split():
        return []
    kind, _, below = path.removeprefix("devices/").partition("/")
    inert = below in INERT_BELOW or below in INERT_IN.get(kind, "").split() or element.tag == "seclabel"
    if path in INERT.split() or inert:
        return _paths(element, path)
    if path not in KNOWN:
        return [_refusal(_said(path), "is not known here, nor whether a clone can have it as well")]
    found = _attributes(element, path)
    for child in element:
        found += _unknown(child, f"{path}/{child.tag}")
    return found


def _attributes(element, path: str) -> list:
    known = KNOWN[path].split()
    found = [
        _refusal(f"{_said(path)}@{name}", "is not known here, nor whether a clone can have it as well")
        for name in element.attrib
        if name not in known
    ]
    if (element.text or "").strip() and "=" not in known:
        found.append(_refusal(_said(path), f"has the text {element.text.strip()}, which is not known here"))
    return found


def _paths(element, path: str) -> list:
    """Absolute paths where none should be."""
    values = [*element.attrib.values(), (element.text or "").strip()]
    found = [
        _refusal(_said(path), f"names {value}, and it is not known here whether a clone can have that as well")
        for value in values
        if value.startswith("/")
    ]
    below = [(child, f"{path}/{child.tag}") for child in element]
    return found + [each for child, where in below if where not in SHARED.split() for each in _paths(child, where)]


def _said(path: str) -> str:
    return path.removeprefix("devices/")
