"""What of a template a clone has as well: held against libvirt's own schema, and against domains written after it."""

import random
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

import libvirt_schema
from tree import load

CASES = Path(__file__).with_name("cases")
QEMU = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
TEMPLATE = (CASES / "template.xml").read_text().replace("<domain ", f"<domain {QEMU} ")
BAD = yaml.safe_load((CASES / "refused_devices.yaml").read_text())
FORMS = load("_modules/libvirt_forms.py")
MAKE = load("_modules/libvirt_make.py")  # which the loader has only where libvirt's binding is
# What a clone shares with its template on purpose, beside all that FORMS.SHARED lists: networks, and what is only read.
ON_PURPOSE = {
    *(f"devices/interface/source@{name}" for name in ("network", "bridge", "dev", "portgroup", "address", "port")),
    *("devices/interface/backend@tap", "devices/interface/backend@vhost", "devices/filesystem/source@dir"),
    *(
        "os/loader",
        "os/nvram@template",
        "os/nvram@templateFormat",
        "devices/rng/backend",
        "devices/tpm/backend/encryption@secret",
    ),
    *(f"devices/graphics@{name}" for name in ("listen", "address", "display", "xauth", "keymap", "passwd")),
    *("devices/graphics@passwdValidTo", "devices/graphics/listen@address", "devices/graphics/listen@network"),
    "devices/interface/source@mode",
    *(
        f"devices/{kind}/source{form}"
        for kind in FORMS.CHARACTER
        for form in ("@channel", "@mode", "/reconnect@timeout")
    ),
}
# Forms of the schema that were looked at, and are refused: by a sentence of their own, or as not known.
REFUSED = (
    *("bootloader", "bootloader_args", "commandline", "datacenterpath", "idmap", "namespace"),
    *("os/init", "os/root", "os/nvram/source", "devices/hostdev", "devices/lease", "devices/shmem"),
    *("devices/disk/backenddomain", "devices/disk/source", "devices/disk/auth", "devices/disk/encryption"),
    *("devices/filesystem/source@", "devices/tpm/backend/device", "devices/tpm/backend/source"),
    *("devices/interface/backenddomain", "devices/interface/guest", "devices/interface/portForward"),
    *("devices/interface/source/", "devices/interface/source@"),
    *(f"devices/{kind}/source" for kind in (*FORMS.CHARACTER, "redirdev", "smartcard", "rng/backend")),
    *("devices/redirdev/protocol", "devices/rng/backend/protocol", "devices/rng/backend@type"),
    *("devices/smartcard/protocol", "devices/smartcard/target"),
)


def is_inert(path):
    """Whether the element is, or is below, one that names nothing outside of the VM."""
    parts = path.split("/")
    above = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    below = {"/".join(parts[2 : number + 1]) for number in range(2, len(parts))} if parts[0] == "devices" else set()
    known = {*FORMS.INERT_BELOW, *FORMS.INERT_IN.get(parts[1] if len(parts) > 1 else "", "").split()}
    return bool({*above} & {*FORMS.INERT.split()} or below & known or "seclabel" in parts)


def is_shared(path):
    parts = path.split("/")
    return any("/".join(parts[: number + 1]) in FORMS.SHARED.split() for number in range(len(parts)))


@pytest.fixture(scope="module")
def schema():
    if not libvirt_schema.SCHEMA.exists():
        pytest.skip("no schema of libvirt's on this host: apt-get install libvirt0")
    return libvirt_schema


def test_every_form_of_libvirts_schema_was_looked_at(schema):
    new = []
    for form in sorted(schema.forms()):
        path, _, attribute = form.partition("@")
        known = FORMS.KNOWN.get(path or "domain")
        listed = known is not None and (not attribute or attribute in known.split())
        if not (listed or is_inert(path) or is_shared(path) or form.startswith(REFUSED)):
            new.append(form)
    assert not new, "decide in libvirt_forms what a clone does with these"


def kinds():
    """Every element whose forms may name something, by its path."""
    devices = {form.split("/")[1].partition("@")[0] for form in libvirt_schema.forms() if form.startswith("devices/")}
    return [*(f"devices/{kind}" for kind in sorted(devices - {"emulator"})), "os/nvram", "os/loader"]


@pytest.mark.parametrize("seed", range(10))
def test_a_clone_shares_nothing_with_its_template_but_what_is_listed(schema, modules, seed):
    """Of each kind of device some at random: whatever is not refused is the clone's own, or listed above."""
    writer, made = schema.Writer(random.Random(seed)), set()
    for path in kinds() * 3:
        element = writer.element(path)
        text = domain(element, path)
        if modules.libvirt_forms.refusals(text):
            continue
        made.add(path)
        clone, wanted = cloned(modules, text)
        shared = {where for where in named(clone) & named(text) if not (on_purpose(where[0]) or is_shared_disk(text))}
        assert {where for where in shared if where[1] in writer.values} == set(), ET.tostring(element)
        read = modules.libvirt_xml.read
        vm, theirs = {**read(clone), "ours": wanted["ours"]}, dict.fromkeys(read(text)["paths"], "tpl")
        removed, spared = MAKE.removable(vm, theirs)
        assert (spared, {*removed} & {*theirs}) == ([], set())
    assert len(made) > 12


def domain(element, path):
    """A domain with this element, a disk, and nothing else."""
    holder = ET.fromstring(
        "<domain type='kvm'><name>tpl</name><uuid>11111111-1111-1111-1111-111111111111</uuid><os><type>hvm</type></os>"
        "<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/images/tpl.qcow2'/>"
        "<target dev='vda'/></disk></devices></domain>"
    )
    holder.find(path.rpartition("/")[0]).append(element)
    return ET.tostring(holder, encoding="unicode")


def cloned(modules, text):
    """The XML of the clone vm1, and what it was made from: as libvirt_make does."""
    read, own_path = modules.libvirt_xml.read(text), modules.libvirt_xml.own_path
    disks = {each["target"]: f"/images/vm1-{each['target']}.qcow2" for each in read["disks"] if each["own"]}
    nvram = own_path(read["nvram"], "tpl", "vm1") if read["nvram"] else None
    files = [*disks.values(), *([nvram] if nvram else []), *(own_path(each, "tpl", "vm1") for each in read["written"])]
    wanted = {
        "name": "vm1",
        "uuid": "22222222-2222-2222-2222-222222222222",
        "macs": [f"52:54:00:00:00:{number:02x}" for number, _ in enumerate(read["interfaces"])],
        "disks": disks,
        "nvram": nvram,
        "ours": {"template": "tpl", "generation": 1, "state": "unfinished", "files": files},
    }
    return modules.libvirt_xml.derive(text, wanted), wanted


def named(text):
    """(path, value) of every attribute and text."""

    def walk(element, path):
        yield path, (element.text or "").strip()
        yield from ((f"{path}@{name}", value) for name, value in element.attrib.items())
        for child in element:
            yield from walk(child, f"{path}/{child.tag}".lstrip("/"))

    return set(walk(ET.fromstring(text), ""))


def on_purpose(where):
    path = where.partition("@")[0]
    return where in ON_PURPOSE or is_shared(path) or is_inert(path)


def is_shared_disk(text):
    disks = ET.fromstring(text).findall("devices/disk")
    return len(disks) > 1 and not FORMS.owned(disks[-1])


@pytest.mark.parametrize("case", BAD, ids=[f"{number} {case['refused']}" for number, case in enumerate(BAD)])
def test_what_a_clone_cannot_have_is_refused_by_name(modules, case):
    place = f"</{case.get('in', 'devices')}>"
    template = re.sub("<(loader|nvram).*>", "", TEMPLATE) if place == "</os>" else TEMPLATE
    found = modules.libvirt_forms.refusals(template.replace(place, case["xml"] + place))
    assert {each["path"] for each in found} == {case["refused"]}


# What templates have, and none of it is anybody's but the VM's, or it is meant for several: not refused.
FINE = {
    "domain": [
        "<qemu:commandline><qemu:arg value='-cpu'/><qemu:arg value='max'/></qemu:commandline>",
        "<qemu:commandline><qemu:env name='PULSE_SERVER' value='/run/pulse'/></qemu:commandline>",
        "<cpu mode='custom'><model fallback='allow'>EPYC</model><maxphysaddr mode='passthrough' limit='40'/></cpu>",
        "<resource><partition>/machine/desks</partition></resource>",
        "<clock offset='timezone' timezone='Europe/Berlin'><timer name='rtc' tickpolicy='catchup'/></clock>",
        "<iothreadids><iothread id='1'><poll max='9'/></iothread></iothreadids>",
        "<launchSecurity type='sev'><session>/8eR</session></launchSecurity>",
    ],
    "devices": [
        "<tpm model='tpm-crb'><backend type='emulator' version='2.0'><profile name='default-v1'/></backend></tpm>",
        "<serial type='unix'><source mode='bind' path='/run/com.sock'/><target port='3'/></serial>",
        "<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>",
        "<channel type='qemu-vdagent'><source><clipboard copypaste='yes'/><mouse mode='client'/></source></channel>",
        "<redirdev bus='usb' type='spicevmc'/>",
        "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
        "<filesystem type='mount'><driver type='virtiofs'/><source dir='/srv'/><target dir='srv'/></filesystem>",
        "<filesystem type='mount'><idmap><uid start='0' target='9' count='9'/></idmap></filesystem>",
        "<interface type='direct'><source dev='eth0' mode='bridge'/><link state='up'/><mtu size='9000'/></interface>",
        "<interface type='ethernet'><script path='/etc/up'/></interface>",
        "<interface type='mcast'><source address='230.0.0.1' port='5558'/></interface>",
        "<video><model type='virtio' blob='on'><acceleration rendernode='/dev/dri/renderD128'/></model></video>",
        "<crypto model='virtio' type='qemu'><backend model='builtin' queues='1'/></crypto>",
        "<disk type='network' device='cdrom'><source protocol='https' name='a'/><target dev='sdz'/><readonly/></disk>",
        "<graphics type='vnc' port='-1' autoport='yes'><listen type='network' network='default'/></graphics>",
        "<memory model='virtio-mem'><target><size unit='KiB'>1</size><block unit='KiB'>1</block></target></memory>",
        "<hub type='usb'/>",
    ],
}


@pytest.mark.parametrize("place, xml", [(place, xml) for place, rows in FINE.items() for xml in rows])
def test_what_is_known_is_not_refused(modules, place, xml):
    assert modules.libvirt_forms.refusals(TEMPLATE.replace(f"</{place}>", f"{xml}</{place}>")) == []
