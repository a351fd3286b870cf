"""What a clone may not share with its template, on a real libvirtd: refused by name, or its own and gone with it."""

import re
import subprocess

import libvirt
import pytest
import test_libvirt_clone as clones
import yaml
from salt.exceptions import CommandExecutionError
from test_libvirt_clone import left_of, written

from hypervisor import system
from tree import ROOT

hypervisor, minion_overrides = clones.hypervisor, clones.minion_overrides
clean, template = clones.clean, clones.template

QEMU = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"


def redefine(hypervisor, name, *changes):
    """The domain with these texts replaced."""
    with hypervisor.connection() as host:
        text = host.lookupByName(name).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        host.defineXML(text)


def nvram_of(hypervisor, form, path):
    """Give the domain tiny firmware with its variables at the path."""
    code = hypervisor.pool / "CODE.fd"
    code.write_bytes(b"\0" * 65536)
    path.write_text("the template's boot order")
    nvram = {"text": f"<nvram>{path}</nvram>", "element": f"<nvram type='file'><source file='{path}'/></nvram>"}[form]
    redefine(hypervisor, "tiny", ("</os>", f"<loader readonly='yes' type='pflash'>{code}</loader>{nvram}</os>"))


@pytest.mark.parametrize("form", ["text", "element"])
def test_the_variables_of_the_firmware_are_copied_and_the_templates_stay(hypervisor, modules, template, form):
    path = hypervisor.pool / "tiny_VARS.fd"
    nvram_of(hypervisor, form, path)
    vm = modules.libvirt_clone.clone("tiny", "vm1", start=False)["vm1"]
    own = hypervisor.pool / "vm1_VARS.fd"
    assert (vm["result"], own.read_text(), str(own) in vm["files"]) == (True, path.read_text(), True)
    with hypervisor.connection() as host:
        text = host.lookupByName("vm1").XMLDesc()
    assert str(own) in text and str(path) not in text
    assert modules.libvirt_clone.destroy("vm1") == {"vm1": "destroyed"}
    assert left_of(hypervisor, "vm1") == []
    assert path.read_text() == "the template's boot order"


def test_what_another_domain_names_stays_when_a_clone_goes(hypervisor, modules, template):
    """A clone as an older build made it, on the template's variables; and a disk of it that another VM was given."""
    path = hypervisor.pool / "tiny_VARS.fd"
    nvram_of(hypervisor, "element", path)
    vm = modules.libvirt_clone.clone("tiny", "vm1", start=False)["vm1"]
    disk, own = hypervisor.pool / "vm1.qcow2", str(hypervisor.pool / "vm1_VARS.fd")
    redefine(hypervisor, "vm1", (f"file='{own}'", f"file='{path}'"))
    hypervisor.template("other")
    link = hypervisor.root / "elsewhere"
    link.symlink_to(hypervisor.pool)
    redefine(hypervisor, "other", (str(hypervisor.pool / "other.img"), str(link / "vm1.qcow2")))
    before = written(path, disk)
    said = modules.libvirt_clone.destroy("vm1")["vm1"]
    assert said == f"destroyed; another domain has {disk}"
    assert written(path, disk) == before
    assert left_of(hypervisor, "vm1") == ["vm1.qcow2"]
    assert vm["result"]
    link.unlink()


def test_a_file_that_another_domain_only_names_is_no_clones(hypervisor, modules, states, template):
    hypervisor.template("other")
    log = hypervisor.root / "consoles" / "vm1.log"
    redefine(hypervisor, "other", (str(hypervisor.root / "consoles" / "other.log"), str(log)))
    before = sorted(hypervisor.pool.iterdir())
    with pytest.raises(CommandExecutionError, match=f"vm1: {log} is other's; use another name or pool"):
        modules.libvirt_clone.clone("tiny", "vm1", start=False)
    assert states.libvirt_clone.present(name="vm1", template="tiny", test=True).result is False
    assert sorted(hypervisor.pool.iterdir()) == before


REFUSED = yaml.safe_load((ROOT / "tests" / "unit" / "cases" / "refused_devices.yaml").read_text())


def test_what_libvirt_takes_and_a_clone_cannot_have_is_refused_by_name(hypervisor, modules, states, template):
    """All of the table that this libvirt keeps; nothing is sealed, made or changed for one of them."""
    with hypervisor.connection() as host:
        plain = (
            host.lookupByName("tiny").XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE).replace("<domain ", f"<domain {QEMU} ")
        )
        before, taken = written(*hypervisor.pool.iterdir()), []
        for case in REFUSED:
            place = f"</{case.get('in', 'devices')}>"
            try:
                host.defineXML(plain.replace(place, case["xml"] + place))
            except libvirt.libvirtError:
                continue
            text = host.lookupByName("tiny").XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            if any(not re.search(rf"[<' ]{word}\b", text) for word in re.findall(r"[<' ]([^<'= ]+)\b", case["xml"])):
                continue  # libvirt 9 drops what it does not know
            taken.append(case["xml"])
            for tried, names in (("seal", []), ("plan", ["vm1"]), ("clone", ["vm1"])):
                with pytest.raises(CommandExecutionError, match=f"tiny: {re.escape(case['refused'])} "):
                    modules[f"libvirt_clone.{tried}"]("tiny", *names)
            assert states.libvirt_clone.present(name="vm1", template="tiny", test=True).result is False
        host.defineXML(plain)
    assert len(taken) > 20, taken
    assert written(*hypervisor.pool.iterdir()) == before
    assert left_of(hypervisor, "vm1") == []


VCPU = "<vcpu placement='static'>1</vcpu>"
HOTPLUG = (
    "<vcpu placement='static' current='2'>4</vcpu><vcpus><vcpu id='0' enabled='yes' hotpluggable='no'/>"
    "<vcpu id='1' enabled='yes' hotpluggable='yes'/><vcpu id='2' enabled='no' hotpluggable='yes'/>"
    "<vcpu id='3' enabled='no' hotpluggable='yes'/></vcpus>"
)
NUMA = "<numa><cell id='0' cpus='0-3' memory='114688' unit='KiB'/></numa></cpu>"


def test_another_number_of_cpus_than_a_list_for_hot_plugging_has(hypervisor, states, template):
    redefine(hypervisor, "tiny", (VCPU, HOTPLUG))
    for vcpu in (3, 4, 1):
        given = {"name": "vm1", "template": "tiny", "vcpu": vcpu, "memory": 100 + vcpu}
        dry, real = states.libvirt_clone.present(**given, test=True), states.libvirt_clone.present(**given)
        assert (dry.result, real.result, dry.changes) == (None, True, real.changes), real.comment
        assert states.libvirt_clone.present(**given).changes == {}
        with hypervisor.connection() as host:
            vm = host.lookupByName("vm1")
            assert (vm.vcpusFlags(libvirt.VIR_DOMAIN_AFFECT_CONFIG), vm.maxMemory() >> 10) == (vcpu, 100 + vcpu)


@pytest.mark.parametrize(
    "change, given, said",
    [
        (
            [(VCPU, "<vcpu>4</vcpu>"), ("</cpu>", NUMA)],
            {"vcpu": 2},
            "tiny has NUMA cells, which say what vcpu there is",
        ),
        ([(VCPU, "<vcpu>4</vcpu>"), ("</cpu>", NUMA)], {"memory": 4096}, "tiny has NUMA cells, which say what memory"),
        ([], {"vcpu": 4000}, "libvirt would not make vm1 of tiny: .*Maximum CPUs greater than"),
        (
            [(VCPU, "<vcpu>4</vcpu><cputune><vcpusched vcpus='3' scheduler='fifo' priority='1'/></cputune>")],
            {"vcpu": 2},
            "libvirt would not make vm1 of tiny: .*vCPU '3' is not present",
        ),
    ],
)
def test_a_size_that_cannot_be_is_refused_before_anything_is_made(hypervisor, states, template, change, given, said):
    redefine(hypervisor, "tiny", *change)
    for test in (True, False):
        ret = states.libvirt_clone.present(name="vm1", template="tiny", test=test, **given)
        assert (ret.result, ret.changes) == (False, {})
        assert re.search(said, ret.comment)
    assert left_of(hypervisor, "vm1") == []


def test_a_size_that_a_clone_cannot_have_is_refused_before_it_is_changed(hypervisor, modules, states, template):
    modules.libvirt_clone.clone("tiny", "vm1", start=False)
    ret = states.libvirt_clone.present(name="vm1", template="tiny", vcpu=4000, memory=200, test=True)
    assert (ret.result, ret.changes) == (False, {})
    assert "libvirt would not make vm1 with memory 200 and vcpu 4000: " in ret.comment
    assert states.libvirt_clone.present(name="vm1", template="tiny", vcpu=4000, memory=200).changes == {}
    assert modules.libvirt_clone.info("vm1")["memory"] == 112


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_a_mac_in_the_templates_files_becomes_the_clones(hypervisor, modules, filesystem, tmp_path):
    mac = "52:54:00:ab:cd:ef"
    wired = "/etc/NetworkManager/system-connections/Wired connection 1.nmconnection"
    files = {
        "etc/netplan/50-cloud-init.yaml": (f"match: {{macaddress: '{mac}'}}\naddresses: [192.0.2.7/24]\n", 0o600),
        wired.lstrip("/"): (f"mac-address={mac.upper()}\n", 0o600),
    }
    path = hypervisor.template(files=files)["vda"]
    with hypervisor.connection() as host:
        text = host.lookupByName("tiny").XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        host.defineXML(re.sub("<mac address='[^']*'/>", f"<mac address='{mac}'/>", text))
    if filesystem == "xfs":
        _as_xfs(path, {**system("tiny"), **files}, tmp_path)
    pinned = ["/etc/netplan/50-cloud-init.yaml gives an interface the address 192.0.2.7/24"]
    assert modules.libvirt_clone.seal("tiny")["pinned"] == pinned
    planned = modules.libvirt_clone.plan("tiny", "vm1")["vm1"]
    assert (planned["pinned"], planned["files"][wired]) == (pinned, "(private)")
    vm = modules.libvirt_clone.clone("tiny", "vm1", start=False)["vm1"]
    assert vm["result"], vm["comment"]
    seen = modules.libvirt_disk.inspect(
        str(hypervisor.pool / "vm1.qcow2"),
        "qcow2",
        modules.libvirt_identity.directories(),
        modules.libvirt_identity.texts(),
    )["files"]
    own = vm["macs"][0]
    assert seen[wired] == {"kind": "file", "text": f"mac-address={own.upper()}\n", "mode": 0o600}
    assert seen["/etc/netplan/50-cloud-init.yaml"]["text"].startswith(f"match: {{macaddress: '{own}'}}\n")
    assert modules.libvirt_clone.audit() == {
        "shared": [],
        "pinned": {"tiny": pinned, "vm1": pinned},
        "unread": {},
    }


def _as_xfs(path, files, work):
    """An image of one XFS in the place of the template's disk, with these files."""
    tree, disk, mount = work / "tree", work / "disk", work / "mount"
    for name, (text, mode) in files.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
    mount.mkdir()
    with open(disk, "wb") as image:
        image.truncate(320 << 20)
    subprocess.run(["mkfs.xfs", "-q", disk], check=True)
    copy = 'mount -o loop "$1" "$2"; cp -a "$3/." "$2"; umount "$2"'
    subprocess.run(["unshare", "--mount", "sh", "-ec", copy, "sh", disk, mount, tree], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", disk, path], check=True)


def test_that_a_clones_tpm_is_new_is_said(modules):
    found = {"interfaces": [], "tpm": True}
    assert modules.libvirt_template.pinned(found, {})[0].startswith("A clone's TPM is new: ")
    assert modules.libvirt_template.pinned({**found, "tpm": False}, {}) == []


def test_an_initiators_name_is_the_clones_own(hypervisor, modules, states):
    name = "InitiatorName=iqn.1993-08.org.debian:01:aaaa"
    files = {
        "etc/iscsi/initiatorname.iscsi": (f"## DO NOT EDIT\n{name}\n", 0o600),
        "etc/network/interfaces": ("iface eth1 inet static\n  address 192.0.2.7\n", 0o644),
    }
    for template in ("tiny", "copy"):
        hypervisor.template(template, files=files)
    dry, real = (states.libvirt_clone.template_sealed(name="tiny", test=test) for test in (True, False))
    assert dry.changes == real.changes
    assert real.changes["template tiny"]["new"] == (
        "generation 1; /etc/network/interfaces gives an interface the address 192.0.2.7"
    )
    modules.libvirt_clone.clone("tiny", "vm1", start=False)
    shared = {each["what"]: each["domains"] for each in modules.libvirt_clone.audit()["shared"]}
    assert shared[f"iSCSI initiator {name}"] == ["copy", "tiny"]
    assert all("vm1" not in domains for domains in shared.values())


def test_a_template_with_snapshots_in_its_disk_is_not_cut_off_from_them(hypervisor, modules, states):
    path = hypervisor.template()["vda"]
    with hypervisor.connection() as host:
        template = host.lookupByName("tiny")
        snapshot = template.snapshotCreateXML("<domainsnapshot><name>clean</name></domainsnapshot>")
        before = written(path)
        with pytest.raises(CommandExecutionError, match=f"tiny: snapshots are in {path}, and sealing would leave them"):
            modules.libvirt_clone.clone("tiny", "vm1")
        assert states.libvirt_clone.template_sealed(name="tiny", test=True).result is False
        assert (written(path), sorted(hypervisor.pool.iterdir())) == (before, [path])
        template.revertToSnapshot(snapshot)
        snapshot.delete()
    assert modules.libvirt_clone.seal("tiny")["generation"] == 1
