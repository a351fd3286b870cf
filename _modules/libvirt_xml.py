"""
A clone's domain XML from its template's, and what a domain's XML says about it.

.. versionadded:: 0.1.0

Pure: text in, text out. Our own element in the domain's metadata says whether a domain is ours, which template it came
from, and which files it owns; its name says nothing::

    salt-call --local -m . libvirt_xml.read "$(virsh dumpxml --inactive debian12)"
"""

import copy
import difflib
import posixpath
import xml.etree.ElementTree as ET

from salt.exceptions import CommandExecutionError

__virtualname__ = "libvirt_xml"

NAMESPACE = "urn:saltext-onepass:libvirt_clone:1"
KEPT_METADATA = ("http://libosinfo.org/xmlns/libvirt/domain/1.0",)
QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
CHARACTER = ("serial", "console", "parallel", "channel")

for prefix, uri in (("onepass", NAMESPACE), ("qemu", QEMU), ("libosinfo", KEPT_METADATA[0])):
    ET.register_namespace(prefix, uri)


def __virtual__():
    return __virtualname__


def read(text: str) -> dict:
    """
    What a domain's XML says.

    text
        The domain's inactive XML.

    Returns:
        ``name``, ``uuid``, ``memory`` (MiB), ``vcpu``, ``disks`` (list of mappings: ``target``, ``device``, ``path``,
        ``format``, ``own``), ``interfaces`` (list: ``mac``, ``type``, ``source``), ``nvram`` (a file), ``tpm`` (whether
        libvirt itself keeps the state of one), ``written`` (files and sockets that QEMU makes for it), ``paths`` (every
        absolute path in it), ``ours``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_xml.read "<domain><name>vm1</name><memory unit='MiB'>64</memory></domain>"

    .. versionadded:: 0.1.0
    """
    domain = ET.fromstring(text)
    return {
        "name": domain.findtext("name"),
        "uuid": domain.findtext("uuid"),
        "memory": _mebibytes(domain.find("memory")),
        "vcpu": int(domain.findtext("vcpu") or 1),
        "disks": [_disk(each) for each in domain.findall("devices/disk")],
        "interfaces": [_interface(each) for each in domain.findall("devices/interface")],
        "nvram": _nvram(domain),
        "tpm": domain.find("devices/tpm/backend[@type='emulator']") is not None
        and domain.find("devices/tpm/backend/source") is None,
        "written": sorted({element.get(attribute) for element, attribute in _written(domain)}),
        "paths": _paths(domain),
        "ours": _ours(domain.find(f"metadata/{{{NAMESPACE}}}clone")),
    }


def _mebibytes(element) -> int | None:
    if element is None:
        return None
    unit = {"b": 1, "bytes": 1, "MiB": 1 << 20, "GiB": 1 << 30}.get(element.get("unit"), 1 << 10)
    return int(element.text) * unit >> 20


def _disk(disk) -> dict:
    source, driver = disk.find("source"), disk.find("driver")
    return {
        "target": disk.find("target").get("dev"),
        "device": disk.get("device", "disk"),
        "type": disk.get("type"),
        "path": source.get("file") if source is not None else None,
        "format": driver.get("type", "raw") if driver is not None else "raw",
        "own": __salt__["libvirt_forms.owned"](disk),
    }


def _interface(interface) -> dict:
    source, mac = interface.find("source"), interface.find("mac")
    kind = interface.get("type")
    return {
        "mac": mac.get("address").lower() if mac is not None else None,
        "type": kind,
        "source": source.get({"direct": "dev"}.get(kind, kind)) if source is not None else None,
    }


def _nvram(domain) -> str | None:
    """The file of its variables: a text, or since libvirt 8.5 in an element of its own."""
    nvram = domain.find("os/nvram")
    if nvram is None or nvram.get("type", "file") != "file":
        return None
    source = nvram.find("source")
    return source.get("file") if source is not None else (nvram.text or "").strip() or None


def _written(domain) -> list:
    """Where files and sockets are named that QEMU makes for the VM: elements and their attributes."""
    found = [(each, "file") for each in domain.findall("devices//log[@file]")]
    found += [(each, "logFile") for each in domain.findall("devices/interface/backend[@logFile]")]
    for device in (each for kind in CHARACTER for each in domain.findall(f"devices/{kind}")):
        source, bound = device.find("source[@path]"), device.find("source[@mode='bind']")
        made = device.get("type") == "file" or (device.get("type") == "unix" and device.tag != "channel")
        if source is not None and made and (device.get("type") == "file" or bound is not None):
            found.append((source, "path"))
    return found


def _paths(domain) -> list:
    """Every absolute path but those in metadata, which nobody opens."""
    named = [each for child in domain if child.tag != "metadata" for each in child.iter()]
    values = {value for each in named for value in (*each.attrib.values(), (each.text or "").strip())}
    return sorted(value for value in values if value.startswith("/"))


def _ours(element) -> dict | None:
    if element is None:
        return None
    return {**element.attrib, "files": [each.text for each in element.findall(f"{{{NAMESPACE}}}file")]}


def metadata(ours: dict) -> str:
    """
    Our element in a domain's metadata, as libvirt wants it: without its namespace.

    ours
        Mapping of texts, ``files`` being a list: the files that the domain owns, and nobody else.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_xml.metadata '{template: debian12, state: ready, files: [/images/vm1.qcow2]}'

    .. versionadded:: 0.1.0
    """
    return ET.tostring(_element(ours, ""), encoding="unicode")


def _element(ours: dict, namespace: str = f"{{{NAMESPACE}}}"):
    held = {key: str(value) for key, value in ours.items() if key != "files" and value is not None}
    element = ET.Element(f"{namespace}clone", held)
    for path in ours["files"]:
        ET.SubElement(element, f"{namespace}file").text = path
    return element


def derive(text: str, clone: dict) -> str:
    """
    The clone's XML: all of the template's but what may exist once.

    New are name, UUID (in the SMBIOS too), generation id, MACs, the paths of its own disks, NVRAM, and of what its
    serial devices write. Left to libvirt are the names of taps, sockets, ports and labels, and the topology of another
    number of CPUs. Removable drives are empty.
    The metadata of other programs is dropped, but not libosinfo's.

    text
        The template's inactive XML.
    clone
        ``name``, ``uuid``, ``macs`` (list), ``place`` (of the first interface: ``network`` or ``bridge`` and its name,
        or ``None``: the template's), ``disks`` (target to path), ``nvram`` (path or ``None``), ``memory`` (MiB) and
        ``vcpu`` or ``None``, ``cidata`` (path of an ISO, or ``None``), and ``ours`` (see :py:func:`metadata`).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_xml.derive

    .. versionadded:: 0.1.0
    """
    domain = ET.fromstring(text)
    old = domain.findtext("name")
    _identify(domain, clone)
    _size(domain, clone)
    _store(domain, clone)
    for interface, mac in zip(domain.findall("devices/interface"), clone["macs"], strict=True):
        _connect(interface, mac)
    if clone.get("place"):
        _place(domain.find("devices/interface"), *clone["place"])
    for kind in CHARACTER:
        for device in domain.findall(f"devices/{kind}"):
            _leave_to_libvirt(device)
    for element, attribute in _written(domain):
        element.set(attribute, own_path(element.get(attribute), old, clone["name"]))
    for graphics in domain.findall("devices/graphics"):
        _listen(graphics)
    for cid in domain.findall("devices/vsock/cid"):
        cid.attrib = {"auto": "yes"}
    for label in domain.findall("seclabel[@type='static']"):
        domain.remove(label)
    ET.indent(domain)
    return ET.tostring(domain, encoding="unicode")


def _set(parent, tag: str, text: str):
    element = parent.find(tag)
    if element is None:
        element = ET.SubElement(parent, tag)
    element.text = text
    return element


def _drop(parent, *paths: str):
    for path in paths:
        holder, _, tag = path.rpartition("/")
        for each in parent.findall(holder) if holder else [parent]:
            for child in each.findall(tag):
                each.remove(child)


def _identify(domain, clone: dict):
    _set(domain, "name", clone["name"])
    _set(domain, "uuid", clone["uuid"])
    for entry in domain.findall("sysinfo/system/entry[@name='uuid']"):
        entry.text = clone["uuid"]
    for generation in domain.findall("genid"):
        generation.text = None
    _drop(domain, "title")
    old = domain.find("metadata")
    kept = [each for each in ([] if old is None else old) if each.tag.partition("}")[0].strip("{") in KEPT_METADATA]
    _drop(domain, "metadata")
    element = ET.SubElement(domain, "metadata")
    element.extend([*map(copy.deepcopy, kept), _element(clone["ours"])])


def _size(domain, clone: dict):
    if clone.get("memory"):
        for tag in ("memory", "currentMemory"):
            if domain.find(tag) is not None:
                _set(domain, tag, str(clone["memory"])).set("unit", "MiB")
    old = domain.find("vcpu")
    if clone.get("vcpu") and (old is None or old.get("current") or int(old.text) != clone["vcpu"]):
        _set(domain, "vcpu", str(clone["vcpu"])).attrib.pop("current", None)
        _drop(domain, "cpu/topology", "vcpus")
        for pin in domain.findall("cputune/vcpupin"):
            if int(pin.get("vcpu")) >= clone["vcpu"]:
                domain.find("cputune").remove(pin)


def resize(text: str, memory: int | None = None, vcpu: int | None = None) -> str:
    """
    The domain with another size; the topology and the hot-plug list of other CPUs are left to libvirt.

    text
        The domain's inactive XML.
    memory, vcpu
        MiB, and number of CPUs; ``None``: as it is.

    Raises ``CommandExecutionError`` when the domain has NUMA cells, which say both for themselves.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_xml.resize '<domain><vcpu>1</vcpu></domain>' vcpu=2

    .. versionadded:: 0.1.0
    """
    domain, old = ET.fromstring(text), read(text)
    for key, value in (("memory", memory), ("vcpu", vcpu)):
        if value not in (None, old[key]) and domain.find("cpu/numa") is not None:
            raise CommandExecutionError(
                f"{old['name']} has NUMA cells, which say what {key} there is: {old[key]}, not {value}; "
                f"leave {key} out, or remove cpu/numa from it"
            )
    _size(domain, {"memory": memory, "vcpu": vcpu})
    return ET.tostring(domain, encoding="unicode")


def _store(domain, clone: dict, eject: bool = True):
    for disk in domain.findall("devices/disk"):
        _drop(disk, "backingStore", "mirror")
        path = clone["disks"].get(disk.find("target").get("dev"))
        if path:
            source, driver = disk.find("source"), disk.find("driver")
            source.attrib = {"file": path}
            _drop(source, "seclabel")
            driver = ET.SubElement(disk, "driver", {"name": "qemu"}) if driver is None else driver
            driver.set("type", "qcow2")
        elif eject and disk.get("device") in ("cdrom", "floppy"):
            _drop(disk, "source", "auth", "encryption")
    if clone.get("nvram"):
        nvram = domain.find("os/nvram")
        if nvram.find("source") is None:
            nvram.text = clone["nvram"]
        else:
            _drop(nvram, "source")
            ET.SubElement(nvram, "source", {"file": clone["nvram"]})
    if clone.get("cidata"):
        domain.find("devices").append(_cidata(domain, clone["cidata"]))


def _cidata(domain, path: str):
    """A drive for the NoCloud ISO, on a bus that every machine type has."""
    used = {each.get("dev") for each in domain.findall("devices/disk/target")}
    target = next(f"sd{letter}" for letter in "zyxwvutsrq" if f"sd{letter}" not in used)
    disk = ET.Element("disk", {"type": "file", "device": "cdrom"})
    ET.SubElement(disk, "driver", {"name": "qemu", "type": "raw"})
    ET.SubElement(disk, "source", {"file": path})
    ET.SubElement(disk, "target", {"dev": target, "bus": "sata"})
    ET.SubElement(disk, "readonly")
    return disk


def _connect(interface, mac: str):
    element = interface.find("mac")
    if element is None:
        element = ET.SubElement(interface, "mac")
    element.attrib = {"address": mac}
    _drop(interface, "target", "alias")
    for parameters in interface.findall("virtualport/parameters"):
        parameters.attrib.pop("interfaceid", None)
        parameters.attrib.pop("instanceid", None)
    for reference in interface.findall("filterref"):
        _drop(reference, "parameter[@name='IP']", "parameter[@name='MAC']")


def _place(interface, kind: str, name: str):
    interface.set("type", kind)
    _drop(interface, "source", "virtualport", "vlan", "backend", "ip", "route", "script", "downscript")
    ET.SubElement(interface, "source", {kind: name})


def _leave_to_libvirt(device):
    """Terminals, and the sockets of channels, are made and named by libvirt."""
    source = device.find("source")
    device.attrib.pop("tty", None)
    if device.get("type") == "pty" or (device.tag == "channel" and source is not None and source.get("mode") == "bind"):
        _drop(device, "source")
    elif source is not None and device.get("type") not in ("file", "unix"):
        source.attrib = {name: value for name, value in source.attrib.items() if name not in ("mode", "path")}


def _listen(graphics):
    if any(graphics.get(name) is not None for name in ("port", "autoport", "tlsPort", "websocket")):
        graphics.attrib.update(port="-1", autoport="yes")
        graphics.attrib.pop("tlsPort", None)
        if graphics.get("websocket"):
            graphics.set("websocket", "-1")
    if graphics.attrib.pop("socket", None):
        _drop(graphics, "listen[@type='socket']")
    for listen in graphics.findall("listen[@type='socket']"):
        listen.attrib.pop("socket", None)


def reformat(text: str, overlays: dict) -> str:
    """
    The domain with qcow2 as the format of these disks, for raw ones that became overlays.

    text
        The domain's inactive XML.
    overlays
        Mapping of target to path.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_xml.reformat

    .. versionadded:: 0.1.0
    """
    domain = ET.fromstring(text)
    _store(domain, {"disks": overlays}, eject=False)
    return ET.tostring(domain, encoding="unicode")


def own_path(path: str, old: str, name: str) -> str:
    """
    The clone's own file, for one of the template's: named after the clone, in the same directory.

    path
        The template's file.
    old, name
        The template's and the clone's name.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_xml.own_path /var/log/debian12-console.log debian12 virtual1

    .. versionadded:: 0.1.0
    """
    directory, file = posixpath.split(path)
    stem, dot, suffix = file.rpartition(".")
    added = f"{stem}-{name}.{suffix}" if dot else f"{file}-{name}"
    return posixpath.join(directory, file.replace(old, name) if old in file else added)


def difference(old: str, new: str) -> str:
    """
    What differs between two domains' XML, as a unified difference.

    old, new
        Two XML texts.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_xml.difference '<domain id="1"/>' '<domain id="2"/>'

    .. versionadded:: 0.1.0
    """
    texts = []
    for text in (old, new):
        domain = ET.fromstring(text)
        ET.indent(domain)
        texts.append(ET.tostring(domain, encoding="unicode").splitlines())
    return "\n".join(difflib.unified_diff(*texts, "template", "clone", lineterm="", n=1))


def namespace() -> str:
    """
    The XML namespace of our element.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_xml.namespace

    .. versionadded:: 0.1.0
    """
    return NAMESPACE
