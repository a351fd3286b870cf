"""Clones, without any libvirt: the XML derived from a template's, the identity's files, the steps, bad arguments."""

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from salt.exceptions import CommandExecutionError

from tree import functions, load

CASES = Path(__file__).with_name("cases")
BAD = yaml.safe_load((CASES / "bad_clone_arguments.yaml").read_text())

TEMPLATE = (CASES / "template.xml").read_text()
CLONE = {
    "name": "virtual1",
    "uuid": "11111111-2222-3333-4444-555555555555",
    "macs": ["52:54:00:00:00:01", "52:54:00:00:00:02"],
    "disks": {"vda": "/images/virtual1.qcow2", "vdb": "/images/virtual1-vdb.qcow2"},
    "nvram": "/nvram/virtual1_VARS.fd",
    "cidata": None,
    "memory": 512,
    "vcpu": None,
    "ours": {"template": "debian12", "generation": 2, "state": "unfinished", "files": ["/images/virtual1.qcow2"]},
}


def pure(modules):
    """What of libvirt_plan needs no binding of libvirt's."""
    return load("_modules/libvirt_plan.py", __salt__=modules)


@pytest.fixture
def derived(modules):
    return ET.fromstring(modules.libvirt_xml.derive(TEMPLATE, CLONE))


# XML


# What is in the clone at a path of the template's: an element's text, or an attribute's after @; None: nothing there.
CHECKLIST = [
    ("name", "virtual1"),
    ("uuid", CLONE["uuid"]),
    ("title", None),
    ("genid", ""),
    ("sysinfo/system/entry[@name='uuid']", CLONE["uuid"]),
    ("sysinfo/system/entry[@name='product']", "desk"),
    ("metadata/{urn:other}vm", None),
    ("metadata/{http://libosinfo.org/xmlns/libvirt/domain/1.0}libosinfo", "\n      "),
    ("metadata/{urn:saltext-onepass:libvirt_clone:1}clone@generation", "2"),
    ("memory", "512"),
    ("memory@unit", "MiB"),
    ("currentMemory", "512"),
    ("vcpu", "2"),
    ("os/nvram", "/nvram/virtual1_VARS.fd"),
    ("os/nvram@template", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("os/loader", "/usr/share/OVMF/OVMF_CODE.fd"),
    ("devices/disk[1]/source@file", "/images/virtual1.qcow2"),
    ("devices/disk[1]/source@index", None),
    ("devices/disk[1]/source/seclabel", None),
    ("devices/disk[1]/backingStore", None),
    ("devices/disk[1]/driver@type", "qcow2"),
    ("devices/disk[1]/driver@cache", "none"),
    ("devices/disk[1]/boot@order", "1"),
    ("devices/disk[1]/serial", "disk-0"),
    ("devices/disk[2]/source@file", "/images/virtual1-vdb.qcow2"),
    ("devices/disk[2]/driver@type", "qcow2"),
    ("devices/disk[3]/source", None),
    ("devices/disk[3]/target@dev", "sda"),
    ("devices/disk[4]/source@file", "/images/shared.iso"),
    ("devices/interface[1]/mac@address", "52:54:00:00:00:01"),
    ("devices/interface[1]/target", None),
    ("devices/interface[1]/source@network", "default"),
    ("devices/interface[1]/filterref@filter", "clean-traffic"),
    ("devices/interface[1]/filterref/parameter[@name='IP']", None),
    ("devices/interface[1]/filterref/parameter[@name='DHCPSERVER']@value", "192.0.2.1"),
    ("devices/interface[2]/mac@address", "52:54:00:00:00:02"),
    ("devices/interface[2]/virtualport/parameters@interfaceid", None),
    ("devices/interface[2]/virtualport@type", "openvswitch"),
    ("devices/serial[1]/source@path", "/var/log/virtual1-console.log"),
    ("devices/serial[2]/source", None),
    ("devices/serial[2]/log@file", "/var/log/boot-virtual1.log"),
    ("devices/channel[1]/source", None),
    ("devices/channel[1]/target@name", "org.qemu.guest_agent.0"),
    ("devices/graphics[1]@port", "-1"),
    ("devices/graphics[1]@autoport", "yes"),
    ("devices/graphics[1]@passwd", "secret"),
    ("devices/graphics[1]@websocket", "-1"),
    ("devices/graphics[2]@socket", None),
    ("devices/graphics[2]/listen@socket", None),
    ("devices/vsock/cid@auto", "yes"),
    ("devices/vsock/cid@address", None),
    ("devices/tpm/backend@type", "emulator"),
    ("seclabel[@type='static']", None),
    ("seclabel[@type='none']@model", "apparmor"),
]


@pytest.mark.parametrize("path, wanted", CHECKLIST, ids=[path for path, _ in CHECKLIST])
def test_the_clones_xml(derived, path, wanted):
    path, _, attribute = path.partition("@") if "[@" not in path else _split(path)
    element = derived.find(path)
    if wanted is None:
        assert element is None or (attribute and element.get(attribute) is None)
    else:
        assert element is not None
        assert (element.get(attribute) if attribute else element.text or "") == wanted


def _split(path):
    """At the @ of an attribute behind the last bracket."""
    head, bracket, tail = path.rpartition("]")
    tail, at, attribute = tail.partition("@")
    return head + bracket + tail, at, attribute


def test_every_path_of_the_checklist_is_in_the_template():
    template = ET.fromstring(TEMPLATE)
    for path, wanted in CHECKLIST:
        if wanted is None:
            element, _, attribute = path.partition("@") if "[@" not in path else _split(path)
            found = template.find(element)
            assert found is not None and (not attribute or found.get(attribute) is not None), path


def test_other_cpus_than_the_templates_have_no_topology(modules):
    text = TEMPLATE.replace(
        "<devices>", "<cpu mode='host-model'><topology sockets='1' cores='2' threads='1'/></cpu><devices>"
    )
    for vcpu, kept in ((None, 1), (4, 0)):
        domain = ET.fromstring(modules.libvirt_xml.derive(text, {**CLONE, "vcpu": vcpu}))
        assert (len(domain.findall("cpu/topology")), domain.find("cpu").get("mode")) == (kept, "host-model")


@pytest.mark.parametrize("port", ["tlsPort='5999'", "port='5999'", "websocket='5999'", "port='5998' tlsPort='5999'"])
def test_a_fixed_port_of_a_screen_is_left_to_libvirt(modules, port):
    screen = f"<graphics type='spice' {port}/></devices>"
    made = ET.fromstring(modules.libvirt_xml.derive(TEMPLATE.replace("</devices>", screen), CLONE))
    assert not {"5998", "5999"} & set(made.findall("devices/graphics")[-1].attrib.values())


def test_nothing_of_the_template_is_left_in_the_clone(modules):
    text = modules.libvirt_xml.derive(TEMPLATE, {**CLONE, "ours": {**CLONE["ours"], "template": "-"}})
    kept = ("/usr/share/OVMF", "seabios")
    for word in ("debian12", "11:22:33", "aaaaaaaa", "vnet3", "5907"):
        assert word not in "\n".join(line for line in text.splitlines() if not any(each in line for each in kept))


def test_derived_xml_reads_back(modules):
    seen = modules.libvirt_xml.read(modules.libvirt_xml.derive(TEMPLATE, CLONE))
    assert seen["ours"] == {**CLONE["ours"], "generation": "2"}
    assert seen["memory"] == 512
    assert seen["written"] == ["/var/log/boot-virtual1.log", "/var/log/virtual1-console.log"]
    assert [interface["mac"] for interface in seen["interfaces"]] == CLONE["macs"]
    assert [disk["path"] for disk in seen["disks"] if disk["own"]] == list(CLONE["disks"].values())


REFUSED = [
    ("<hostdev type='pci'/>", "hostdev", "a device of the host"),
    ("<interface type='hostdev'/>", "interface", "a network card of the host"),
    ("<memory model='nvdimm'/>", "memory", "a persistent memory file"),
    ("<tpm><backend type='passthrough'/></tpm>", "tpm/backend", "the host's TPM"),
    ("<lease/>", "lease", "a lock"),
    ("<serial type='tcp'><source mode='bind' host='::' service='4555'/></serial>", "serial", "port 4555"),
    ("<disk type='block'><source dev='/dev/sda'/><target dev='vdz'/></disk>", "disk vdz", "of type block"),
    ("<disk type='volume'><source pool='p' volume='v'/><target dev='vdz'/></disk>", "disk vdz", "of type volume"),
    ("<disk type='file'><target dev='vdz'/></disk>", "disk vdz", "of type file"),
    ("<disk type='block' device='lun'><source dev='/dev/sda'/><target dev='sdz'/></disk>", "disk sdz", "SCSI device"),
    (
        "<disk type='file'><driver type='vmdk'/><source file='/a'/><target dev='vdz'/></disk>",
        "disk vdz",
        "the format vmdk",
    ),
]


@pytest.mark.parametrize("device, path, fault", REFUSED, ids=[path + " " + fault for _, path, fault in REFUSED])
def test_what_cannot_be_shared_is_refused_by_name(modules, device, path, fault):
    assert modules.libvirt_forms.refusals(TEMPLATE) == []
    found = modules.libvirt_forms.refusals(TEMPLATE.replace("</devices>", f"{device}</devices>"))
    assert [each["path"] for each in found] == [path]
    assert fault in found[0]["fault"]


def test_shared_disks_may_be_of_any_kind(modules):
    shared = "<disk type='block'><source dev='/dev/sda'/><target dev='vdz'/><shareable/></disk></devices>"
    assert modules.libvirt_forms.refusals(TEMPLATE.replace("</devices>", shared)) == []


@pytest.mark.parametrize(
    "path, own",
    [
        ("/var/log/debian12.log", "/var/log/virtual1.log"),
        ("/nvram/debian12_VARS.fd", "/nvram/virtual1_VARS.fd"),
        ("/debian12/console.log", "/debian12/console-virtual1.log"),
        ("/var/log/console", "/var/log/console-virtual1"),
    ],
)
def test_own_paths(modules, path, own):
    assert modules.libvirt_xml.own_path(path, "debian12", "virtual1") == own


# Identity


HOSTS = [
    ("", "debian12", "127.0.1.1 vm1.lab.test vm1"),
    ("127.0.1.1 debian12", "debian12", "127.0.1.1 vm1.lab.test vm1"),
    (
        "127.0.0.1 localhost\n127.0.1.1\tdebian12.old debian12 # mine",
        "debian12",
        "127.0.0.1 localhost|127.0.1.1 vm1.lab.test vm1",
    ),
    ("127.0.0.1 localhost debian12", "debian12", "127.0.0.1 localhost|127.0.1.1 vm1.lab.test vm1"),
    ("127.0.1.1 other", "debian12", "127.0.1.1 vm1.lab.test vm1"),
    ("192.0.2.5 debian12 db\n192.0.2.6 debian12", "debian12", "192.0.2.5 db|127.0.1.1 vm1.lab.test vm1"),
    ("192.0.2.5 debian123 # debian12", "debian12", "192.0.2.5 debian123 # debian12|127.0.1.1 vm1.lab.test vm1"),
    ("# debian12\n\n::1 localhost", "debian12", "# debian12||::1 localhost|127.0.1.1 vm1.lab.test vm1"),
    ("127.0.0.1 localhost", "", "127.0.0.1 localhost|127.0.1.1 vm1.lab.test vm1"),
    ("127.0.0.1 localhost", "localhost", "127.0.0.1 localhost|127.0.1.1 vm1.lab.test vm1"),
]


@pytest.mark.parametrize("text, old, wanted", HOSTS)
def test_hosts(modules, text, old, wanted):
    made = modules.libvirt_identity.hosts(text, old, "vm1", "vm1.lab.test")
    assert made.splitlines() == wanted.split("|")
    assert modules.libvirt_identity.hosts(made, "vm1", "vm1", "vm1.lab.test") == made


FOUND = {
    "/etc": {"kind": "directory"},
    "/etc/ssh": {"kind": "directory"},
    "/etc/hostname": {"kind": "file", "text": "debian12\n"},
    "/etc/hosts": {"kind": "file", "text": "127.0.1.1 debian12\n"},
    "/etc/machine-id": {"kind": "file", "text": "0\n"},
    "/etc/ssh/sshd_config": {"kind": "file"},
    "/etc/ssh/ssh_host_ed25519_key": {"kind": "file"},
    "/etc/ssh/ssh_host_ecdsa_key": {"kind": "file"},
    "/etc/ssh/ssh_host_ecdsa_key.pub": {"kind": "file"},
    "/etc/salt/pki/minion/minion.pem": {"kind": "file"},
    "/etc/salt/pki/minion/minion_master.pub": {"kind": "file"},
    "/var/lib/dhcp/dhclient.leases": {"kind": "file"},
    "/var/lib/NetworkManager/eth0.lease": {"kind": "file"},
    "/var/lib/NetworkManager/NetworkManager.state": {"kind": "file"},
    "/var/lib/dbus/machine-id": {"kind": "link"},
}


def test_edits_replace_and_remove_what_carries_the_templates_identity(modules):
    identity = modules.libvirt_identity.new("vm1", "lab.test")
    edits = modules.libvirt_identity.edits(identity, FOUND)
    assert {path: f"{held['mode']:o}" for path, held in edits["write"].items()} == {
        "/etc/hostname": "644",
        "/etc/hosts": "644",
        "/etc/machine-id": "444",
        "/etc/ssh/ssh_host_ed25519_key": "600",
        "/etc/ssh/ssh_host_ed25519_key.pub": "644",
    }
    assert edits["remove"] == [
        "/etc/salt/pki/minion/minion.pem",
        "/etc/salt/pki/minion/minion_master.pub",
        "/etc/ssh/ssh_host_ecdsa_key",
        "/etc/ssh/ssh_host_ecdsa_key.pub",
        "/var/lib/NetworkManager/eth0.lease",
        "/var/lib/dhcp/dhclient.leases",
    ]


def test_edits_for_a_minion_and_for_what_the_template_has(modules):
    identity = modules.libvirt_identity.new("vm1", None, {"master": "salt.test", "id": "vm1.rosario"})
    more = {"/etc/selinux/config": {"kind": "file"}, "/etc/mailname": {"kind": "file"}}
    found = {**FOUND, **more, "/var/lib/dbus/machine-id": {"kind": "file"}}
    write = modules.libvirt_identity.edits(identity, found)["write"]
    assert write["/etc/salt/minion_id"]["text"] == "vm1.rosario\n"
    assert write["/etc/salt/minion.d/onepass-master.conf"]["text"] == "master: salt.test\n"
    assert write["/etc/salt/pki/minion/minion.pem"]["mode"] == 0o400
    assert write["/.autorelabel"]["text"] == ""
    assert write["/etc/mailname"]["text"] == "vm1\n"
    assert write["/var/lib/dbus/machine-id"] == write["/etc/machine-id"]


SEED = "/var/lib/cloud/seed/nocloud-net/meta-data"
SEEDED = [  # the template's own seed, the instance id on the clone's ISO, the clone's seed
    (
        "instance-id: template\npublic-keys: [one]\n",
        "1111",
        {"instance-id": "1111", "public-keys": ["one"], "local-hostname": "vm1"},
    ),
    ("made: 2026-01-01", "1111", {"made": "2026-01-01", "instance-id": "1111", "local-hostname": "vm1"}),
    ("instance-id: [template", "1111", {"instance-id": "1111", "local-hostname": "vm1"}),
    ("template", "1111", {"instance-id": "1111", "local-hostname": "vm1"}),
    ("instance-id: template\n", None, None),
]


@pytest.mark.parametrize("text, instance, wanted", SEEDED)
def test_a_templates_own_seed_names_the_clones_instance(modules, text, instance, wanted):
    identity = {**modules.libvirt_identity.new("vm1"), "instance": instance}
    found = {**FOUND, SEED: {"kind": "file", "text": text, "mode": 0o600}}
    held = modules.libvirt_identity.edits(identity, found)["write"].get(SEED)
    assert (held and json.loads(held["text"])) == wanted
    assert SEED in modules.libvirt_identity.texts()
    assert SEED.rpartition("/")[0] in modules.libvirt_identity.directories()


def test_an_identity_knows_the_instance_id_of_an_iso_alone(modules):
    prepared = {"domain": None, "options": {"minion": None}, "template": {"interfaces": [{"mac": "a"}, {"mac": "b"}]}}
    new = functions("libvirt_make", __salt__=modules)["libvirt_make.new_identity"]
    assert new(prepared, {**CLONE, "cidata": "/images/virtual1-cidata.iso"})["instance"] == CLONE["uuid"]
    assert new(prepared, CLONE)["instance"] is None


def test_keys_are_pairs_and_never_twice_the_same(modules):
    one, two = (modules.libvirt_identity.new("vm1", "lab.test", {"master": "salt"}) for _ in range(2))
    for private, public in ((one["host_key"], one["host_key_public"]),):
        key = serialization.load_ssh_private_key(private.encode(), None)
        form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        assert key.public_key().public_bytes(*form).decode() == public
    key = serialization.load_pem_private_key(one["minion"]["key"].encode(), None)
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    assert key.public_key().public_bytes(*form).decode().strip() == one["minion"]["key_public"]
    for own in ("machine_id", "host_key", "minion"):
        assert one[own] != two[own]


def test_macs_are_known_beforehand_and_apart(modules):
    mac = modules.libvirt_identity.mac
    assert mac("host", "vm1") == mac("host", "vm1") == "52:54:00:f3:80:62"
    macs = {mac(host, name, number) for host in "ab" for name in ("vm1", "vm2") for number in range(3)}
    assert len(macs) == 12


# Over ssh


def test_a_guest_without_tar_is_told_from_one_that_answers(tmp_path):
    ssh = load("_modules/libvirt_ssh.py")
    tmp_path.joinpath("find").symlink_to(shutil.which("find"))
    script = ["/bin/sh", "-c", ssh._reading(["/etc"], ["/etc/hostname"])]
    printed = subprocess.run(script, stdout=subprocess.PIPE, env={"PATH": str(tmp_path)}).stdout
    with pytest.raises(CommandExecutionError, match="No archive of the guest's files came back"):
        ssh._files(printed)


def test_a_guest_that_is_silent_while_logged_into_is_given_up():
    options = [f"-o{option}" for option in load("_modules/libvirt_ssh.py").OPTIONS]
    shown = subprocess.run(["ssh", "-F", "none", "-G", *options, "guest"], capture_output=True, text=True).stdout
    assert "serveraliveinterval 5" in shown.splitlines()


# Steps


READY = {"template": "debian12", "state": "ready"}
VM = {"ours": READY, "active": False, "memory": 512, "vcpu": 1, "autostart": False}
STEPS = [
    (None, {}, ["clone"]),
    (None, {"start": True}, ["clone", "start"]),
    ({**VM, "ours": {**READY, "state": "unfinished"}}, {"start": True}, ["clone", "start"]),
    ({**VM, "ours": {**READY, "state": "unfinished"}, "active": True}, {"start": True}, ["clone", "start"]),
    (VM, {}, []),
    (VM, {"start": True}, ["start"]),
    ({**VM, "active": True}, {"start": True}, []),
    ({**VM, "active": True}, {}, []),
    (VM, {"memory": 512, "vcpu": 1, "autostart": False}, []),
    (VM, {"memory": 256, "vcpu": 2, "autostart": True}, ["change", "change", "change"]),
    (VM, {"memory": 256, "start": True}, ["change", "start"]),
    (None, {"memory": 256}, ["clone"]),
]


@pytest.mark.parametrize("vm, wanted, done", STEPS)
def test_steps(modules, vm, wanted, done):
    assert [step["do"] for step in pure(modules).steps("vm1", "debian12", wanted, vm)] == done


@pytest.mark.parametrize(
    "vm, kind",
    [
        (None, "absent"),
        (VM, "ready"),
        ({**VM, "ours": {**READY, "state": "unfinished"}}, "unfinished"),
        ({**VM, "ours": None}, "foreign"),
        ({**VM, "ours": {**READY, "template": "other"}}, "foreign"),
    ],
)
def test_what_a_name_stands_for(modules, vm, kind):
    found, why = pure(modules).state("vm1", "debian12", vm)
    assert found == kind
    assert (why is not None) == (kind == "foreign")


# Arguments


@pytest.mark.parametrize("case", BAD, ids=[case["case"] for case in BAD])
def test_bad_arguments_are_all_named(modules, case):
    given = {"template": "debian12", "names": ["virtual1"], **case["given"]}
    found = modules.libvirt_identity.faults(given)
    assert {each["path"] for each in found} == set(case["faults"])
    for each in found:
        assert case["faults"][each["path"]] in each["remedy"]


def test_good_arguments_have_no_fault(modules):
    good = {"template": "debian12", "names": ["virtual1", "a", "0x"], "memory": 512, "mac": "52:54:00:AA:00:01"}
    more = {"domain": "lab.test", "minion": {"master": "salt"}, "pool": None, "until": "ssh", "timeout": 0.5}
    assert modules.libvirt_identity.faults({**good, **more}) == []


# Sizes

HOTPLUG = "<vcpu current='2'>4</vcpu><vcpus><vcpu id='0' enabled='yes'/><vcpu id='3' enabled='no'/></vcpus>"
SIZES = [
    ("<vcpu>4</vcpu><cpu><topology cores='4'/></cpu>", {"vcpu": 4}, "<vcpu>4</vcpu><cpu><topology cores='4'/></cpu>"),
    ("<vcpu>4</vcpu><cpu><topology cores='4'/></cpu>", {"vcpu": 2}, "<vcpu>2</vcpu><cpu/>"),
    (HOTPLUG, {"vcpu": 2}, "<vcpu>2</vcpu>"),
    (HOTPLUG, {"vcpu": 4}, "<vcpu>4</vcpu>"),
    (HOTPLUG, {}, HOTPLUG),
    (
        "<vcpu>4</vcpu><cputune><vcpupin vcpu='1' cpuset='0'/><vcpupin vcpu='2' cpuset='1'/></cputune>",
        {"vcpu": 2},
        "<vcpu>2</vcpu><cputune><vcpupin vcpu='1' cpuset='0'/></cputune>",
    ),
    ("<memory unit='GiB'>1</memory>", {"memory": 512}, "<memory unit='MiB'>512</memory>"),
    (
        "<memory unit='MiB'>64</memory><cpu><numa><cell/></numa></cpu>",
        {"memory": 64},
        "<memory unit='MiB'>64</memory><cpu><numa><cell/></numa></cpu>",
    ),
]


@pytest.mark.parametrize("old, size, new", SIZES)
def test_another_size_takes_what_hangs_on_it_along(modules, old, size, new):
    made = modules.libvirt_xml.resize(f"<domain>{old}</domain>", **size)
    assert ET.canonicalize(made) == ET.canonicalize(f"<domain>{new}</domain>")


@pytest.mark.parametrize("size", [{"memory": 128}, {"vcpu": 1}])
def test_numa_cells_have_the_size_that_they_have(modules, size):
    text = (
        "<domain><name>tpl</name><memory unit='MiB'>64</memory><vcpu>2</vcpu><cpu><numa><cell/></numa></cpu></domain>"
    )
    with pytest.raises(CommandExecutionError, match="tpl has NUMA cells, which say what"):
        modules.libvirt_xml.resize(text, **size)


OPEN_VSWITCH = "<virtualport type='openvswitch'/><vlan><tag id='100'/></vlan>"
PASST = "<backend type='passt' logFile='/l'/><ip address='192.0.2.3' prefix='24'/>"


@pytest.mark.parametrize("old", [OPEN_VSWITCH, PASST, "<source dev='eth0' mode='bridge'/>", "<script path='/etc/up'/>"])
def test_an_interface_that_moves_leaves_behind_what_belongs_to_its_old_place(modules, old):
    text = re.sub(
        "<interface .*</interface>",
        f"<interface type='x'>{old}<model type='virtio'/></interface>",
        TEMPLATE,
        flags=re.S,
    )
    clone = {**CLONE, "macs": CLONE["macs"][:1], "place": ("network", "lab")}
    interface = ET.fromstring(modules.libvirt_xml.derive(text, clone)).find("devices/interface")
    assert [(each.tag, each.attrib) for each in interface] == [
        ("model", {"type": "virtio"}),
        ("mac", {"address": "52:54:00:00:00:01"}),
        ("source", {"network": "lab"}),
    ]


# What is pinned

OLD, NEW = "52:54:00:1e:22:33", "52:54:00:aa:bb:01"
PINNED = [
    (
        "/etc/netplan/50-cloud-init.yaml",
        f"eth0: {{match: {{macaddress: '{OLD}'}}, set-name: enp1s0}}\n",
        f"eth0: {{match: {{macaddress: '{NEW}'}}, set-name: enp1s0}}\n",
    ),
    ("/etc/sysconfig/network-scripts/ifcfg-eth0", f"HWADDR={OLD.upper()}\n", "HWADDR=52:54:00:AA:BB:01\n"),
    ("/etc/sysconfig/network-scripts/ifcfg-eth0", "DHCP_HOSTNAME=debian12\n", "DHCP_HOSTNAME=vm1\n"),
    ("/etc/sysconfig/network/ifcfg-eth0", f"LLADDR='{OLD}'\n", f"LLADDR='{NEW}'\n"),
    (
        "/etc/NetworkManager/system-connections/Wired 1.nmconnection",
        f"mac-address={OLD.replace(':', '-')}\ndhcp-hostname=debian12.lan\n",
        f"mac-address={NEW.replace(':', '-')}\ndhcp-hostname=vm1.lab.test\n",
    ),
    ("/etc/systemd/network/10-lan.link", f"[Match]\nMACAddress={OLD}\n", f"[Match]\nMACAddress={NEW}\n"),
    ("/etc/network/interfaces", f"  hwaddress ether {OLD}\n", f"  hwaddress ether {NEW}\n"),
    ("/etc/udev/rules.d/75-mine.rules", f'ATTR{{address}}=="{OLD}"\n', f'ATTR{{address}}=="{NEW}"\n'),
    ("/etc/cloud/cloud.cfg.d/50-net.cfg", f"mac_address: {OLD}\n", f"mac_address: {NEW}\n"),
    ("/etc/salt/minion", "id: debian12\nmaster: debian12\n", "id: vm1\nmaster: debian12\n"),
    ("/etc/salt/minion.d/id.conf", "id: 'debian12.lan'  \n", "id: 'vm1.lab.test'  \n"),
    ("/etc/zabbix/zabbix_agentd.conf", "Hostname=debian12\nServer=z\n", "Hostname=vm1\nServer=z\n"),
    ("/etc/postfix/main.cf", "myhostname = debian12.lan\n", "myhostname = vm1.lab.test\n"),
    ("/etc/netplan/a.yaml", "macaddress: 02:00:00:00:00:01\n", None),
    ("/etc/network/interfaces", "iface debian12 inet dhcp\n", None),
    ("/etc/netplan/README", f"{OLD}\n", None),
    ("/etc/udev/rules.d/70-persistent-net.rules", OLD, None),
]


@pytest.mark.parametrize("path, text, wanted", PINNED, ids=[f"{path} {text.split()[0]}" for path, text, _ in PINNED])
def test_macs_and_names_of_the_template_are_replaced(modules, path, text, wanted):
    identity = {**modules.libvirt_identity.new("vm1", "lab.test"), "macs": {OLD: NEW}}
    edits = modules.libvirt_identity.edits(identity, {**FOUND, path: {"kind": "file", "text": text, "mode": 0o640}})
    assert edits["write"].get(path) == (wanted and {"text": wanted, "mode": 0o640})


def test_a_minions_id_is_the_one_that_was_asked_for(modules):
    identity = modules.libvirt_identity.new("vm1", "lab.test", {"master": "salt", "id": "vm1.rosario"})
    held = {"/etc/salt/minion": {"kind": "file", "text": "id: debian12\n", "mode": 0o644}}
    assert modules.libvirt_identity.edits(identity, {**FOUND, **held})["write"]["/etc/salt/minion"]["text"] == (
        "id: vm1.rosario\n"
    )


def test_names_of_initiators_are_new(modules):
    paths = ("/etc/iscsi/initiatorname.iscsi", "/etc/nvme/hostnqn", "/etc/nvme/hostid")
    found = {path: {"kind": "file", "text": "old", "mode": 0o600} for path in paths}
    one, two = (modules.libvirt_identity.edits(modules.libvirt_identity.new(name), found)["write"] for name in "ab")
    assert one["/etc/iscsi/initiatorname.iscsi"]["text"].startswith("InitiatorName=iqn.2016-04.com.open-iscsi:")
    assert one["/etc/nvme/hostnqn"]["text"] == f"nqn.2014-08.org.nvmexpress:uuid:{one['/etc/nvme/hostid']['text']}"
    assert all(one[path] != two[path] for path in paths)
    assert not set(paths) & set(modules.libvirt_identity.edits(modules.libvirt_identity.new("a"), {})["write"])


LEFT = [
    ("/etc/netplan/a.yaml", "addresses: [192.0.2.7/24]", "gives an interface the address 192.0.2.7/24"),
    ("/etc/netplan/a.yaml", "addresses:\n  - '2001:db8::7/64'", "gives an interface the address 2001:db8::7/64"),
    ("/etc/netplan/a.yaml", "nameservers: {}\naddresses: [192.0.2.53]\n- to: 192.0.2.0/24", None),
    ("/etc/netplan/a.yaml", "# addresses: [192.0.2.7/24]", None),
    ("/etc/sysconfig/network-scripts/ifcfg-eth0", "IPADDR=192.0.2.7\nGATEWAY=192.0.2.1", "the address 192.0.2.7"),
    ("/etc/sysconfig/network/ifcfg-eth0", "IPADDR='192.0.2.7/24'", "the address 192.0.2.7/24"),
    ("/etc/NetworkManager/system-connections/a", "address1=192.0.2.7/24,192.0.2.1\ndns=192.0.2.5;", "192.0.2.7/24"),
    ("/etc/systemd/network/a.network", "Address=192.0.2.7/24\nGateway=192.0.2.1", "the address 192.0.2.7/24"),
    ("/etc/network/interfaces", "iface eth0 inet static\n  address 192.0.2.7\n", "the address 192.0.2.7"),
    ("/etc/network/interfaces", "iface lo inet static\n  address 127.0.0.2\n", None),
    ("/etc/systemd/network/a.link", "MACAddress=02:00:00:00:00:01", "names the MAC 02:00:00:00:00:01, which no"),
    ("/etc/systemd/network/a.link", f"MACAddress={OLD}", None),
    ("/etc/hosts", "192.0.2.7 printer", None),
    ("/etc/krb5.keytab", "", "is the key by which the realm that it has joined knows this system"),
    ("/etc/puppetlabs/puppet/ssl/private_keys/debian12.lab.test.pem", "", "by which Puppet knows this system"),
    ("/etc/puppetlabs/puppet/ssl/certs/ca.pem", "", None),
]


@pytest.mark.parametrize("path, text, said", LEFT)
def test_what_one_system_alone_can_have_is_named(modules, path, text, said):
    found = modules.libvirt_identity.pins({path: {"kind": "file", "text": text}}, [OLD])
    assert len(found) == (1 if said else 0)
    assert not said or (found[0].startswith(f"{path} ") and said in found[0])


# What is asked of libvirt


class Running:
    """A running domain that counts how often its XML is read."""

    def __init__(self, name):
        self.read = []
        self.name = lambda: name
        self.isActive = self.autostart = self.hasManagedSaveImage = lambda: 1

    def XMLDesc(self, flags=0):  # noqa: N802
        self.read.append(flags)
        return f"/{self.name()}/{flags}"


def test_a_domains_xml_is_read_once_for_what_it_is_and_once_for_what_it_has_open():
    domains = [Running("one"), Running("two")]
    host = SimpleNamespace(getLibVersion=int, listAllDomains=lambda *_: domains)
    salt = {"libvirt_xml.read": lambda text: {"paths": [text]}}
    module = load("_modules/libvirt_host.py", __salt__=salt, __context__={"libvirt_host.connection": host})
    flags = {"VIR_DOMAIN_XML_INACTIVE": 2, "VIR_CONNECT_LIST_DOMAINS_ACTIVE": 1}
    module.libvirt = SimpleNamespace(libvirtError=OSError, **flags)
    assert {name: found["paths"] for name, found in module.domains().items()} == {"one": ["/one/2"], "two": ["/two/2"]}
    assert [each.read for each in domains] == [[2], [2]]
    assert module.opened() == {"one": ["/one/0"], "two": ["/two/0"]}
