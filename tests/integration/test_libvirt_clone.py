"""Clones on a real libvirtd with real guests: what a guest sees of itself, what is left after failures and removals."""

import functools
import hashlib
import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import libvirt
import pycdlib
import pytest
import yaml
from salt.exceptions import CommandExecutionError

from hypervisor import DISK, DOMAIN, GATEWAY, GUEST, TEMPLATE_ID, Hypervisor, make_disk, read
from tree import ROOT


@pytest.fixture(scope="module")
def hypervisor():
    """A KVM host of the tests' own; whatever lives in it ends with the module."""
    host = Hypervisor()
    try:
        host.start()
        yield host
    finally:
        host.stop()


@pytest.fixture(scope="module")
def minion_overrides(hypervisor):
    own = {"known_hosts": str(hypervisor.root / "known_hosts"), "ssh_key": str(hypervisor.root / "root_key")}
    return {"libvirt_clone": {"uri": hypervisor.uri, **own}}


@pytest.fixture(autouse=True)
def clean(hypervisor):
    """Each test is in the host's network, and leaves the host empty."""
    with hypervisor.inside():
        yield
    hypervisor.clear()


@pytest.fixture
def template(hypervisor, modules):
    """The sealed template ``tiny``: the path of its disk."""
    path = hypervisor.template()["vda"]
    modules.libvirt_clone.seal("tiny")
    return path


@contextmanager
def broken(modules, function, instead):
    """A function of a module replaced: what is called through ``__salt__`` meets ``instead(real, *args)``."""
    loader = modules.pack["__salt__"]
    assert function in loader
    real = loader._dict[function]
    loader._dict[function] = functools.wraps(real)(lambda *args, **kwargs: instead(real, *args, **kwargs))
    try:
        yield
    finally:
        loader._dict[function] = real


def left_of(hypervisor, *names):
    """Domains and files of these names."""
    with hypervisor.connection() as host:
        domains = [domain.name() for domain in host.listAllDomains() if domain.name() in names]
    places = [hypervisor.root / place for place in ("pool", "small", "consoles")]
    return domains + sorted(path.name for place in places for path in place.iterdir() if path.name.startswith(names))


def written(*paths):
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def length(image):
    """As long as the guest sees its disk."""
    words = ["qemu-img", "info", "--force-share", "--output=json", image]
    return json.loads(subprocess.run(words, check=True, capture_output=True).stdout)["virtual-size"]


def trusted(hypervisor):
    path = hypervisor.root / "known_hosts"
    return path.read_text().splitlines() if path.exists() else []


def test_one_thread_attends_to_libvirt_whatever_salt_forgets(modules, loaders):
    """As a minion's process does that takes its modules anew and runs no job in a process of its own."""
    for _ in range(3):
        modules.libvirt_host.domains()
        loaders.reset_state()
    assert [each.name for each in threading.enumerate()].count("onepass-libvirt-events") == 1


# What a clone is


def test_a_clone_is_itself_in_the_running_guest(hypervisor, modules):
    path = hypervisor.template()["vda"]
    before = written(path)[str(path)]
    made = modules.libvirt_clone.clone("tiny", "vm1", "vm2", until="name", timeout=300)
    assert {name: (vm["result"], vm["comment"]) for name, vm in made.items()} == {
        "vm1": (True, "cloned from tiny"),
        "vm2": (True, "cloned from tiny"),
    }
    for name, vm in made.items():
        hosts = f"127.0.0.1 localhost\n127.0.1.1 {name}.{DOMAIN} {name}\n192.0.2.9 printer\n"
        key = f"{vm['host_key_public']} root@{name}\n"
        assert vm["identity"] == "disk (ext at 1048576 of vda)"
        assert modules.libvirt_guest.query(f"{name}.{DOMAIN}", GATEWAY) == [vm["address"]]
        assert read(vm["address"], "hostname") == f"{name}\n"
        assert read(vm["address"], "disk/etc/hosts") == hosts
        assert read(vm["address"], "disk/etc/machine-id") == vm["machine_id"] + "\n"
        assert read(vm["address"], "disk/var/lib/dbus/machine-id") == vm["machine_id"] + "\n"
        assert read(vm["address"], "disk/etc/ssh/ssh_host_ed25519_key.pub") == key
        assert vm["host_key_public"] in trusted(hypervisor)[int(name[-1]) - 1]
        for gone in ("etc/ssh/ssh_host_rsa_key", "etc/salt/minion_id", "var/lib/dhcp/dhclient.eth0.leases"):
            with pytest.raises(OSError, match="404"):
                read(vm["address"], f"disk/{gone}")
    one, two = made.values()
    for own in ("machine_id", "host_key_public", "macs", "address", "fqdn"):
        assert one[own] != two[own]
    assert one["machine_id"] != TEMPLATE_ID
    base = hypervisor.pool / "tiny.g1.img"
    assert written(base)[str(base)] == before, "the template was written to"
    assert {length(hypervisor.pool / f"{name}.qcow2") for name in made} == {length(base)}
    assert all((hypervisor.pool / f"{name}.qcow2").stat().st_blocks * 512 < 1 << 20 for name in made)
    assert modules.libvirt_clone.audit() == {"shared": [], "pinned": {}, "unread": {}}
    assert modules.libvirt_clone.known_hosts() == modules.libvirt_clone.known_hosts("vm1", "vm2") == trusted(hypervisor)
    assert set(modules.libvirt_clone.list()) == {"vm1", "vm2"}


def test_destroy_withdraws_all_of_it_and_the_same_name_comes_back_with_its_address(hypervisor, modules, template):
    vm = modules.libvirt_clone.clone("tiny", "vm1", until="name", timeout=300)["vm1"]
    assert modules.libvirt_clone.destroy("vm1", "never") == {"vm1": "destroyed", "never": "was not there"}
    assert left_of(hypervisor, "vm1") == []
    assert trusted(hypervisor) == []
    assert modules.libvirt_host.leases("guests", vm["macs"][0]) == []
    assert modules.libvirt_guest.query(f"vm1.{DOMAIN}", GATEWAY) == []
    again = modules.libvirt_clone.clone("tiny", "vm1", until="address", timeout=300)["vm1"]
    assert (again["macs"], again["address"]) == (vm["macs"], vm["address"])
    assert again["machine_id"] != vm["machine_id"]


def test_all_disks_are_cloned_over_a_raw_template(hypervisor, modules):
    paths = hypervisor.template(disks=("vda", "vdb"), image_format="raw")
    vm = modules.libvirt_clone.clone("tiny", "vm1", until="address", timeout=300)["vm1"]
    assert vm["result"], vm["comment"]
    heads = {path: modules.libvirt_disk.header(path) for path in vm["files"] if path.endswith("qcow2")}
    assert [head["backing"] for head in heads.values()] == [
        str(hypervisor.pool / name) for name in ("tiny.g1.img", "tiny-vdb.g1.img")
    ]
    assert read(vm["address"], "hostname") == "vm1\n"
    with hypervisor.connection() as host:
        host.lookupByName("tiny").create()  # as qcow2, which its disks are now
    assert modules.libvirt_disk.header(str(paths["vdb"]))["format"] == "qcow2"


def test_a_full_copy_and_a_flattened_clone_need_no_generation(hypervisor, modules, template):
    modules.libvirt_clone.clone("tiny", "full", start=False, linked=False)
    modules.libvirt_clone.clone("tiny", "thin", start=False)
    assert modules.libvirt_clone.flatten("thin") == [str(hypervisor.pool / "thin.qcow2")]
    for name in ("full", "thin"):
        assert modules.libvirt_disk.header(str(hypervisor.pool / f"{name}.qcow2"))["backing"] is None
    vm = modules.libvirt_clone.clone("tiny", "full", until="address", timeout=300)["full"]
    assert read(vm["address"], "hostname") == "full\n"


def test_a_new_generation_leaves_old_clones_alone_and_gc_removes_what_nobody_needs(hypervisor, modules, template):
    modules.libvirt_clone.clone("tiny", "old", start=False)
    change(modules, template, "/etc/motd", "second")
    with pytest.raises(CommandExecutionError, match=r"changed since it was sealed; seal it again.*generation=1"):
        modules.libvirt_clone.clone("tiny", "new", start=False)
    assert modules.libvirt_clone.clone("tiny", "older", start=False, generation=1)["older"]["generation"] == 1
    assert modules.libvirt_clone.seal("tiny") == {"generation": 2, "changed": True, "pinned": []}
    assert modules.libvirt_clone.seal("tiny") == {"generation": 2, "changed": False, "pinned": []}
    modules.libvirt_clone.clone("tiny", "new", start=False)
    assert {name: motd(hypervisor, modules, name) for name in ("old", "older", "new")} == {
        "old": None,
        "older": None,
        "new": "second",
    }
    assert modules.libvirt_clone.gc("tiny")["removed"] == []
    modules.libvirt_clone.destroy("old", "older")
    assert modules.libvirt_clone.gc("tiny")["removed"] == [str(hypervisor.pool / "tiny.g1.img")]
    assert motd(hypervisor, modules, "new") == "second"


def change(modules, path, file, text):
    """What a template's own run would do to its disk."""
    seen = modules.libvirt_disk.inspect(str(path), directories=[os.path.dirname(file)])
    edits = {"write": {file: {"text": text, "mode": 0o644}}, "remove": []}
    modules.libvirt_disk.edit(str(path), seen["offset"], seen["filesystem"], edits, seen["files"])


def motd(hypervisor, modules, name):
    path = str(hypervisor.pool / f"{name}.qcow2")
    return modules.libvirt_disk.inspect(path, texts=["/etc/motd"])["files"].get("/etc/motd", {}).get("text")


def test_cloud_init_gets_an_iso_as_well(hypervisor, modules):
    hypervisor.template(files={"etc/cloud/cloud.cfg": ("# cloud-init\n", 0o644)})
    vm = modules.libvirt_clone.clone("tiny", "vm1", until="address", timeout=300, minion={"master": "salt.test"})["vm1"]
    assert vm["identity"] == "nocloud (cloud-init and ext at 1048576 of vda)"
    image = pycdlib.PyCdlib()
    image.open(str(hypervisor.pool / "vm1-cidata.iso"))
    assert image.pvd.volume_identifier.strip() == b"cidata"
    texts = {}
    for name in ("user-data", "meta-data"):
        held = io.BytesIO()
        image.get_file_from_iso_fp(held, rr_path=f"/{name}")
        texts[name] = yaml.safe_load(held.getvalue())
    image.close()
    with hypervisor.connection() as host:
        assert texts["meta-data"] == {"instance-id": host.lookupByName("vm1").UUIDString(), "local-hostname": "vm1"}
    assert texts["user-data"]["fqdn"] == f"vm1.{DOMAIN}"
    assert texts["user-data"]["ssh_keys"]["ed25519_public"] == vm["host_key_public"]
    assert read(vm["address"], "hostname") == "vm1\n"
    assert read(vm["address"], "disk/etc/salt/minion.d/onepass-master.conf") == "master: salt.test\n"
    assert read(vm["address"], "disk/etc/salt/pki/minion/minion.pub").strip() == vm["minion_key"]
    assert "PRIVATE" not in str(vm)
    modules.libvirt_clone.destroy("vm1")
    assert left_of(hypervisor, "vm1") == []


def test_a_clone_that_needs_an_iso_is_refused_where_none_can_be_made(hypervisor, modules, states, monkeypatch):
    hypervisor.template(files={"etc/cloud/cloud.cfg": ("# cloud-init\n", 0o644)})
    modules.libvirt_clone.seal("tiny")
    monkeypatch.setitem(sys.modules, "pycdlib", None)  # as if it were not installed
    dry = states.libvirt_clone.present(name="vm1", template="tiny", test=True)
    assert (dry.result, dry.comment.partition(":")[0]) == (False, "NoCloud needs pycdlib in Salt's Python")


def test_a_clone_has_other_cpus_than_its_templates_topology(hypervisor, modules):
    hypervisor.template()
    with hypervisor.connection() as host:
        topology = "<cpu><topology sockets='1' cores='1' threads='1'/></cpu>"
        text = re.sub("<cpu .*</cpu>", topology, host.lookupByName("tiny").XMLDesc(), flags=re.DOTALL)
        host.defineXML(text)
    vm = modules.libvirt_clone.clone("tiny", "vm1", until="started", vcpu=2)["vm1"]
    assert vm["result"], vm["comment"]
    assert vm["vcpu"] == 2


def test_a_clone_without_a_network_is_not_waited_for(hypervisor, modules):
    hypervisor.template()
    with hypervisor.connection() as host:
        text = host.lookupByName("tiny").XMLDesc()
        host.defineXML(re.sub("<interface.*</interface>", "", text, flags=re.DOTALL))
    modules.libvirt_clone.seal("tiny")
    with pytest.raises(CommandExecutionError, match="tiny has no network interface for 52:54:00:bf:57:bb"):
        modules.libvirt_clone.clone("tiny", "vm1", mac="52:54:00:bf:57:bb")
    assert modules.libvirt_clone.clone("tiny", "vm1", until="started")["vm1"]["result"] is True
    with pytest.raises(CommandExecutionError, match="vm1 has no network interface; wait until=started"):
        modules.libvirt_clone.wait("vm1", until="name")


def test_an_xfs_is_mounted_to_be_written(hypervisor, modules, tmp_path):
    path = hypervisor.template()["vda"]
    with open(tmp_path / "disk", "wb") as disk:
        disk.truncate(320 << 20)
    proto = ["-", "0 0", "d--755 0 0", "etc d--755 0 0", f"hostname ---644 0 0 {tmp_path}/hostname"]
    proto += [f"ssh d--755 0 0\nssh_host_rsa_key ---600 0 0 {tmp_path}/hostname\n$", "host l--777 0 0 /etc", "$", "$"]
    (tmp_path / "hostname").write_text("tiny\n")
    (tmp_path / "proto").write_text("\n".join(proto) + "\n")
    subprocess.run(["mkfs.xfs", "-q", "-p", tmp_path / "proto", tmp_path / "disk"], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", tmp_path / "disk", path], check=True)
    vm = modules.libvirt_clone.clone("tiny", "vm1", start=False)["vm1"]
    assert (vm["result"], vm.get("identity")) == (True, "disk (xfs at 0 of vda)"), vm["comment"]
    written_to = str(hypervisor.pool / "vm1.qcow2")
    keys = ["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub"]
    files = modules.libvirt_disk.inspect(written_to, "qcow2", ["/etc/ssh"], ["/etc/hostname", *keys])["files"]
    assert files["/etc/hostname"]["text"] == "vm1\n"
    assert sorted(each for each in files if each.startswith("/etc/ssh/")) == keys
    assert files[keys[1]]["text"] == f"{vm['host_key_public']} root@vm1\n"
    assert files["/etc/host"] == {"kind": "link"}
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


def test_a_consoles_password_goes_to_the_clone_and_is_shown_nowhere(hypervisor, modules, states, template):
    with hypervisor.connection() as host:
        graphics = "<graphics type='vnc' port='5901' autoport='no' passwd='hush'/></devices>"
        host.defineXML(host.lookupByName("tiny").XMLDesc().replace("</devices>", graphics))
        shown = [
            modules.libvirt_clone.plan("tiny", "vm1"),
            modules.libvirt_host.domains(),
            modules.libvirt_host.xml("tiny"),
        ]
        shown += [modules.libvirt_template.source("tiny"), modules.libvirt_clone.clone("tiny", "vm1", start=False)]
        shown.append(states.libvirt_clone.present(name="vm2", template="tiny").raw)
        assert "hush" not in str(shown)
        assert "passwd='hush'" in host.lookupByName("vm1").XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)


def test_the_nvram_is_the_clones_own(hypervisor, modules, template):
    nvram = hypervisor.pool / "tiny_VARS.fd"
    nvram.write_text("variables")
    with hypervisor.connection() as host:
        text = host.lookupByName("tiny").XMLDesc()
        boot = f"<loader readonly='yes' type='pflash'>/usr/share/OVMF/CODE.fd</loader><nvram>{nvram}</nvram></os>"
        host.defineXML(text.replace("</os>", boot))
    vm = modules.libvirt_clone.clone("tiny", "vm1", start=False)["vm1"]
    assert (vm["result"], (hypervisor.pool / "vm1_VARS.fd").read_text()) == (True, "variables")
    modules.libvirt_clone.destroy("vm1")
    assert left_of(hypervisor, "vm1") == []
    assert nvram.read_text() == "variables"


def test_a_libvirtd_that_hangs_is_named_and_waited_for_no_longer(hypervisor, modules, template):
    assert list(modules.libvirt_host.domains()) == ["tiny"]  # by a connection that is there from now on
    hypervisor.daemon.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    try:
        with pytest.raises(
            CommandExecutionError, match="libvirtd at .* takes connections, but did not answer for 10 s"
        ):
            modules.libvirt_host.domains()
    finally:
        hypervisor.daemon.send_signal(signal.SIGCONT)
    assert time.monotonic() - begun < 60
    assert list(modules.libvirt_host.domains()) == ["tiny"]


def test_audit_finds_what_two_domains_share_and_a_clone_shares_none_of_it(hypervisor, modules):
    duid, key = "00:01:00:01:2c:aa:bb:cc:52:54:00:00:00:01", "-----BEGIN PUBLIC KEY-----\nMIIBtemplate"
    ecdsa, minion = f"ecdsa-sha2-nistp256 {'A' * 140}", f"{'tiny.' * 13}test"
    files = {"var/lib/dhcpcd/duid": (f"{duid}\n", 0o644), "etc/salt/pki/minion/minion.pub": (f"{key}\n", 0o644)}
    files |= {
        "etc/ssh/ssh_host_ecdsa_key.pub": (f"{ecdsa} root@template\n", 0o644),
        "etc/salt/minion_id": (minion, 0o644),
    }
    for name in ("tiny", "copy"):
        hypervisor.template(name, files=files)
    modules.libvirt_clone.clone("tiny", "vm1", start=False)
    found = modules.libvirt_clone.audit()
    held = [f"DUID {duid}", f"host key {ecdsa}", "host key ssh-ed25519 AAAAtemplate", f"machine-id {TEMPLATE_ID}"]
    held += [f"minion id {minion}", "minion key MIIBtemplate"]
    shared = [{"what": what, "domains": ["copy", "tiny"]} for what in held]
    assert found == {"shared": shared, "pinned": {}, "unread": {}}


def gpt(start=2, count=128, size=128):
    """A disk's first sectors, with a partition table of these numbers."""
    protective = bytes(446) + struct.pack("<4xB3xII", 0xEE, 1, 99) + bytes(48) + b"\x55\xaa"
    return protective + struct.pack("<72xQII4x", start, count, size)


NO_SYSTEM = "no system on it, but nothing known"
ODD_DISKS = {
    "short": (b"\x55\xaa" * 512, NO_SYSTEM),
    "empty": (b"", NO_SYSTEM),
    "beyond": (bytes(446) + struct.pack("<4xB3xII", 0x83, 2**32 - 1, 9) + bytes(48) + b"\x55\xaa", NO_SYSTEM),
    "none": (gpt(size=0), "a partition table of 128 entries of 0 bytes at sector 2 is none"),
    "many": (gpt(count=2**32 - 1), "a partition table of 4294967295 entries of 128 bytes at sector 2 is none"),
    "far": (gpt(start=2**40), "a partition table of 128 entries of 128 bytes at sector 1099511627776 is none"),
    "farther": (gpt() + bytes(420) + (b"\xff" * 40).ljust(128, b"\0"), NO_SYSTEM),
}


def test_a_disk_that_its_guest_has_written_ends_nobodys_audit(hypervisor, modules, template, tmp_path):
    modules.libvirt_clone.clone("tiny", "vm1", start=False)
    for name, (content, _) in ODD_DISKS.items():
        path = hypervisor.template(name, image_format="raw")["vda"]
        path.write_bytes(content.ljust(4096, b"\0") if content and name != "short" else content)
    large = hypervisor.template("large", image_format="raw")["vda"]
    subprocess.run(
        ["debugfs", "-w", "-R", f"sif /etc/machine-id size {1 << 30}", f"{large}?offset=1048576"], check=True
    )
    xfs = hypervisor.template("xfs", image_format="raw")["vda"]
    os.truncate(xfs, 320 << 20)
    subprocess.run(["mkfs.xfs", "-q", "-f", xfs], check=True)
    found = modules.libvirt_clone.audit()
    unread = {name: why for name, (_, why) in ODD_DISKS.items()}
    unread["large"] = f"its /etc/machine-id has {1 << 30} bytes; at most {16 << 20} are read of a disk"
    unread["xfs"] = "its xfs would have to be mounted here"
    assert {name: why.partition(", nothing known")[0] for name, why in found["unread"].items()} == unread
    assert found["shared"] == []


def test_plan_shows_the_difference_and_touches_nothing(hypervisor, modules, template):
    before = sorted(hypervisor.pool.iterdir()), written(*hypervisor.pool.iterdir())
    shown = modules.libvirt_clone.plan("tiny", "vm1", memory=256, minion={"master": "hq"})["vm1"]
    assert shown["state"] == "absent"
    assert "-  <name>tiny</name>" in shown["xml"] and "+  <name>vm1</name>" in shown["xml"]
    assert shown["files"]["/etc/hostname"] == "vm1\n"
    assert shown["files"]["/etc/ssh/ssh_host_ed25519_key"] == "(private)"
    assert shown["files"]["/etc/salt/minion_id"] == "vm1\n"
    assert shown["files"]["/etc/salt/pki/minion/minion.pem"] == "(private)"
    assert "/etc/ssh/ssh_host_rsa_key" in shown["removed"] and "/etc/salt/minion_id" not in shown["removed"]
    assert (sorted(hypervisor.pool.iterdir()), written(*hypervisor.pool.iterdir())) == before
    assert left_of(hypervisor, "vm1") == []


@pytest.fixture
def debian(hypervisor, modules):
    """A real Debian as template, which trusts the key at ``root_key``."""
    path = hypervisor.template("debian12")["vda"]
    shutil.copy(GUEST / "debian.qcow2", path)
    with hypervisor.connection() as host:
        options = "panic=-1 realroot systemd.journald.forward_to_console=1"  # shown where a test fails
        xml = host.lookupByName("debian12").XMLDesc().replace("panic=-1", options)
        host.defineXML(xml.replace("114688", "393216"))
    key = hypervisor.root / "root_key"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    change(modules, path, "/root/.ssh/authorized_keys", key.with_suffix(".pub").read_text())
    return path


def in_a_logical_partition(hypervisor, path):
    """The Debian's root is vda5, where a disk is not looked for a system."""
    root = struct.pack("<4xB3xII", 0x83, 1024, 599 * 2048)
    extended = struct.pack("<4xB3xII", 0x05, 1024, 600 * 2048)
    for sector, entry in ((0, extended), (1024, root)):
        new = hypervisor.root / "sector"
        new.write_bytes(bytes(446) + entry.ljust(64, b"\0") + b"\x55\xaa")
        command = f"write -q -s {new} {sector * 512} 512"
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", command, path], check=True)
    init = 'realroot rdinit=/bin/busybox -- sh -c "busybox sed s/vda1/vda5/ /init >/i; exec busybox sh /i"'
    with hypervisor.connection() as host:
        host.defineXML(host.lookupByName("debian12").XMLDesc().replace("realroot", init))


def is_logged_into_by_its_name(hypervisor, vm):
    options = ["StrictHostKeyChecking=yes", f"UserKnownHostsFile={hypervisor.root}/known_hosts", "BatchMode=yes"]
    options += ["HostKeyAlias=vm1", f"HostName={vm['address']}"]
    argv = ["ssh", "-F", "none", "-i", hypervisor.root / "root_key", *(f"-o{option}" for option in options), "root@vm1"]
    script = "hostname; hostname -f; cat /etc/machine-id /var/lib/dbus/machine-id; ls /etc/ssh"
    seen = subprocess.run([*argv, script], capture_output=True, text=True)
    lines = seen.stdout.splitlines()
    assert lines[:4] == ["vm1", f"vm1.{DOMAIN}", vm["machine_id"], vm["machine_id"]], seen.stderr
    assert [line for line in lines if "host_" in line] == ["ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"]


def test_a_real_debian_boots_as_itself_and_one_that_does_not_let_us_in_is_undone(hypervisor, modules, debian):
    modules.libvirt_clone.clone("debian12", "vm1", until="started")  # the two boot side by side
    with another_key(hypervisor):
        denied = modules.libvirt_clone.clone("debian12", "vm2", identity="ssh", timeout=900)["vm2"]
    assert denied["result"] is False
    assert "Permission denied" in denied["comment"] and "root must trust" in denied["comment"]
    assert left_of(hypervisor, "vm2") == []
    modules.libvirt_clone.wait("vm1", until="ssh", timeout=900)
    vm = modules.libvirt_clone.info("vm1")
    assert vm["identity"] == "disk (ext at 1048576 of vda)"
    is_logged_into_by_its_name(hypervisor, vm)


@contextmanager
def another_key(hypervisor):
    """This host's root has a key that the template does not trust."""
    pair = [hypervisor.root / name for name in ("root_key", "root_key.pub")]
    kept = [each.read_text() for each in pair]
    pair[0].unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", pair[0]], check=True)
    yield
    for each, text in zip(pair, kept, strict=True):
        each.write_text(text)


@contextmanager
def trusting(hypervisor, line):
    """Root trusts a template's host key under the template's name."""
    path = hypervisor.root / "known_hosts"
    path.write_text(f"{line}\n")
    yield
    path.write_text(path.read_text().replace(f"{line}\n", ""))


def test_a_disk_that_cannot_be_read_is_given_its_identity_over_ssh(hypervisor, modules, debian):
    place = "/etc/ssh/ssh_host_ed25519_key.pub"
    key = modules.libvirt_disk.inspect(str(debian), "qcow2", ["/etc/ssh"], [place])["files"][place]["text"]
    in_a_logical_partition(hypervisor, debian)
    with trusting(hypervisor, f"debian12 ssh-ed25519 {key.split()[1][:-8]}AAAAAAAA"):
        other = modules.libvirt_clone.clone("debian12", "vm1", timeout=900)["vm1"]
    assert other["result"] is False
    assert "has not its template's host key, and was told nothing" in other["comment"]
    assert left_of(hypervisor, "vm1") == []
    with trusting(hypervisor, f"debian12 {key.strip()}"):
        vm = modules.libvirt_clone.clone("debian12", "vm1", until="ssh", timeout=900)["vm1"]
    assert vm["result"], vm["comment"]
    assert vm["identity"] == "ssh (vda: no system on it, but nothing known)"
    is_logged_into_by_its_name(hypervisor, vm)
    with hypervisor.connection() as host:
        leases = host.networkLookupByName("guests").DHCPLeases(vm["macs"][0])
    assert [lease["hostname"] for lease in leases] == ["vm1"], "its lease as the template is gone"


def test_a_login_over_ssh_is_waited_for_as_long_as_is_said(hypervisor, modules, template):
    hypervisor.root.joinpath("root_key").touch()
    vm = modules.libvirt_clone.clone("tiny", "vm1", identity="ssh", timeout=1)["vm1"]
    assert vm["result"] is False
    assert "Waited 1 s for root's login on vm1 as its template" in vm["comment"]
    assert left_of(hypervisor, "vm1") == []


# States


def test_states_dry_and_real_say_the_same_and_a_second_run_changes_nothing(hypervisor, modules, states):
    hypervisor.template()
    runs = [
        ("template_sealed", {"name": "tiny"}, "seal", "Template"),
        ("present", {"name": "vm1", "template": "tiny"}, None, None),
        ("present", {"name": "vm1", "template": "tiny", "memory": 128, "autostart": True}, None, None),
        ("running", {"name": "vm1", "template": "tiny", "timeout": 120}, None, None),
        ("absent", {"name": "vm1"}, None, None),
    ]
    for function, arguments, *_ in runs:
        state = getattr(states.libvirt_clone, function)
        dry = state(**arguments, test=True)
        assert dry.result is None, dry.comment
        real = state(**arguments)
        assert real.result is True, real.comment
        assert dry.changes == real.changes != {}
        again = state(**arguments)
        assert (again.result, again.changes) == (True, {}), again.comment
        assert state(**arguments, test=True).result is True
    assert left_of(hypervisor, "vm1") == []


def test_a_running_vm_is_seen_by_its_state_from_a_blank_host(hypervisor, states):
    hypervisor.template()
    dry = states.libvirt_clone.running(name="vm1", template="tiny", test=True)
    assert dry.result is None and "if tiny is sealed by then" in dry.comment
    assert states.libvirt_clone.template_sealed(name="tiny").result is True
    real = states.libvirt_clone.running(name="vm1", template="tiny", memory=120, timeout=300)
    assert real.result is True, real.comment
    assert real.changes == dry.changes == {"VM vm1": {"old": None, "new": "clone of tiny, running"}}
    with hypervisor.connection() as host:
        vm = host.lookupByName("vm1")
        assert vm.isActive() and vm.maxMemory() == 120 << 10
        vm.destroy()
    repaired = states.libvirt_clone.running(name="vm1", template="tiny", timeout=300)
    assert repaired.changes == {"VM vm1": {"old": "clone of tiny, off", "new": "clone of tiny, running"}}


# What is refused


def test_a_running_template_is_refused_with_the_remedy(hypervisor, modules, states, template):
    with hypervisor.connection() as host:
        host.lookupByName("tiny").create()
    with pytest.raises(CommandExecutionError, match=r"tiny is running; shut it down and seal it"):
        modules.libvirt_clone.clone("tiny", "vm1", start=False)
    change_refused = states.libvirt_clone.present(name="vm1", template="tiny")
    assert change_refused.result is False and "tiny is running" in change_refused.comment
    assert left_of(hypervisor, "vm1") == []


def test_an_unclean_template_is_refused_with_the_remedy(hypervisor, modules):
    path = hypervisor.template(image_format="raw")["vda"]
    with open(path, "r+b") as disk:
        disk.seek((1 << 20) + 1024 + 96)
        flags = disk.read(1)[0]
        disk.seek(-1, os.SEEK_CUR)
        disk.write(bytes([flags | 4]))  # the journal needs recovery
    with pytest.raises(CommandExecutionError, match="not unmounted; start it and shut it down cleanly"):
        modules.libvirt_clone.clone("tiny", "vm1", start=False)
    assert [each.name for each in hypervisor.pool.iterdir()] == ["tiny.img"]


def test_a_template_that_cannot_be_copied_is_refused_by_the_devices_names(hypervisor, modules, template):
    with hypervisor.connection() as host:
        text = host.lookupByName("tiny").XMLDesc()
        device = "<hostdev mode='subsystem' type='pci'><source><address bus='6' slot='0'/></source></hostdev></devices>"
        host.defineXML(text.replace("</devices>", device))
    with pytest.raises(CommandExecutionError, match="tiny: hostdev is a device of the host"):
        modules.libvirt_clone.clone("tiny", "vm1")


@pytest.mark.parametrize(
    "taken, said",
    [
        ({"template": "no-such"}, "There is no domain no-such to clone; there are: foreign, tiny"),
        ({"names": ["vm1", "foreign"]}, "foreign is a domain that was not made here"),
        ({"names": ["vm1", "tiny2"], "pool": "none"}, "No storage pool none; there are: images, small"),
        ({"mac": "52:54:00:00:00:07"}, "vm1: the MAC 52:54:00:00:00:07 is foreign's; give another by mac"),
        ({"names": ["taken"]}, r"taken: \S*/taken.qcow2 is there already, and no clone's"),
        ({"names": ["auth"]}, r"auth: \S*/auth.log is there already, and no clone's"),
        ({"generation": 9}, "tiny has no generation 9 of vda"),
    ],
    ids=["template", "foreign", "pool", "mac", "file", "log", "generation"],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(hypervisor, modules, template, taken, said):
    with hypervisor.connection() as host:
        interface = "<interface type='network'><source network='guests'/><mac address='52:54:00:00:00:07'/></interface>"
        host.defineXML(
            "<domain type='qemu'><name>foreign</name><memory>65536</memory><os><type>hvm</type></os>"
            f"<devices>{interface}</devices></domain>"
        )
    taken_files = [hypervisor.pool / "taken.qcow2", hypervisor.root / "consoles" / "auth.log"]
    for path in taken_files:
        path.write_text("somebody's")
    before = sorted(hypervisor.pool.iterdir())
    given = {"template": "tiny", "names": ["vm1"], **taken}
    with pytest.raises(CommandExecutionError, match=said):
        modules.libvirt_clone.clone(given.pop("template"), *given.pop("names"), start=False, **given)
    assert sorted(hypervisor.pool.iterdir()) == before
    assert left_of(hypervisor, "vm1") == []
    assert [path.read_text() for path in taken_files] == ["somebody's"] * 2


def test_a_foreign_domain_is_not_destroyed(hypervisor, modules, states, template):
    modules.libvirt_clone.clone("tiny", "vm1", start=False)
    with pytest.raises(CommandExecutionError, match="tiny is a domain that was not made here; it stays as it is"):
        modules.libvirt_clone.destroy("vm1", "tiny")
    assert states.libvirt_clone.absent(name="tiny").result is False
    assert "vm1" in left_of(hypervisor, "vm1") and "tiny" in left_of(hypervisor, "tiny")


def test_a_clone_that_is_there_is_not_made_again(hypervisor, modules, template):
    made = modules.libvirt_clone.clone("tiny", "vm1", until="started")["vm1"]
    again = modules.libvirt_clone.make("tiny", ["vm1"])["vm1"]
    assert again == {"result": False, "comment": "vm1 is a clone already; libvirt_clone.destroy vm1 first"}
    found = modules.libvirt_clone.info("vm1")
    assert (found["running"], found["machine_id"]) == (True, made["machine_id"])


def test_names_of_one_call_that_would_share_a_file_are_refused(hypervisor, modules):
    hypervisor.template(disks=("vda", "vdb"))
    modules.libvirt_clone.seal("tiny")
    with pytest.raises(CommandExecutionError, match=r"a-vdb: \S*/a-vdb.qcow2 would be a's as well; choose another"):
        modules.libvirt_clone.clone("tiny", "a", "a-vdb", start=False)
    assert left_of(hypervisor, "a") == []


def test_a_system_that_cannot_be_read_needs_a_word(hypervisor, modules):
    path = hypervisor.template()["vda"]
    make_disk(path, {"data": ("no system\n", 0o644)})
    key = hypervisor.root / "root_key"
    key.unlink(missing_ok=True)
    with pytest.raises(CommandExecutionError, match=r"no disk to write an identity on.*identity=none"):
        modules.libvirt_clone.clone("tiny", "vm1", start=False)
    vm = modules.libvirt_clone.clone("tiny", "vm1", start=False, identity="none")["vm1"]
    assert vm["identity"] == "none (as asked)"
    key.touch()
    with pytest.raises(CommandExecutionError, match="tiny: its host key is not known here"):
        modules.libvirt_clone.plan("tiny", "vm2")
    with trusting(hypervisor, "tiny ssh-ed25519 AAAAtemplate"):
        way = modules.libvirt_clone.plan("tiny", "vm2")["vm2"]["identity"]
    assert way == "ssh (vda: no system on it, but nothing known, ext)"
    key.unlink()


def test_bad_arguments_are_named_all_at_once(modules):
    with pytest.raises(CommandExecutionError) as err:
        modules.libvirt_clone.clone("tiny", "vm_1", "vm2", "vm2", memroy=5, mac="52:54:00:00:00:01")
    assert len(str(err.value).splitlines()) == 4
    for names in ("vm1", ("vm_1",), 17):
        with pytest.raises(CommandExecutionError, match="^names"):
            modules.libvirt_clone.make("tiny", names, {"mac": "52:54:00:00:00:01"})


# Interrupted


STEPS = [
    "libvirt_host.define",
    "libvirt_disk.write",
    "libvirt_disk.edit",
    "libvirt_host.change",
    "libvirt_host.mark",
    "libvirt_host.power",
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_stopped_at_any_step_and_run_again(hypervisor, modules, states, template, step, when):
    def stop(real, *args, **kwargs):
        if when == "after":
            real(*args, **kwargs)
        raise KeyboardInterrupt

    arguments = {"name": "vm1", "template": "tiny", "until": "started"}
    with broken(modules, step, stop), pytest.raises(KeyboardInterrupt):
        make_and_start(modules)
    assert states.libvirt_clone.running(**arguments).result is True
    assert left_of(hypervisor, "vm1") == ["vm1", "vm1.log", "vm1.qcow2"]
    assert len(trusted(hypervisor)) == 1
    assert states.libvirt_clone.running(**arguments).changes == {}


def make_and_start(modules):
    modules.libvirt_clone.clone("tiny", "vm1", until="started", autostart=True)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["libvirt_host.mark", "libvirt_host.undefine"])
def test_a_removal_that_stopped_anywhere_is_known(hypervisor, modules, states, template, step, when):
    def stop(real, *args, **kwargs):
        if when == "after":
            real(*args, **kwargs)
        raise KeyboardInterrupt

    arguments = {"name": "vm1", "template": "tiny", "until": "started"}
    make_and_start(modules)
    with broken(modules, step, stop), pytest.raises(KeyboardInterrupt):
        modules.libvirt_clone.destroy("vm1")
    assert states.libvirt_clone.running(**arguments).result is True
    assert left_of(hypervisor, "vm1") == ["vm1", "vm1.log", "vm1.qcow2"]


@pytest.mark.parametrize("step", STEPS[:-1])
def test_a_failure_at_any_step_leaves_nothing_half_made(hypervisor, modules, template, step):
    def fail(real, *args, **kwargs):
        real(*args, **kwargs)
        if not undoes(args):
            raise CommandExecutionError("the backend's error")

    def undoes(args):
        return step == "libvirt_host.mark" and args[1]["state"] == "unfinished"

    with broken(modules, step, fail):
        made = modules.libvirt_clone.clone("tiny", "vm1", "vm2", start=False, autostart=True)
    assert {name: (vm["result"], vm["comment"]) for name, vm in made.items()} == {
        "vm1": (False, "the backend's error"),
        "vm2": (False, "the backend's error"),
    }
    assert left_of(hypervisor, "vm1", "vm2") == []
    assert trusted(hypervisor) == []


def test_killed_in_the_middle_of_many_and_run_again(hypervisor, modules, template, minion_opts, tmp_path):
    config = {key: minion_opts[key] for key in ("libvirt_clone", "root_dir", "module_dirs", "file_client")}
    (tmp_path / "minion").write_text(yaml.safe_dump({**config, "id": "host", "enable_fqdns_grains": False}))
    names = [f"vm{number}" for number in range(1, 7)]
    call = shutil.which("salt-call", path=os.path.dirname(sys.executable))
    argv = [
        call,
        "--local",
        f"--config-dir={tmp_path}",
        "-m",
        str(ROOT),
        "libvirt_clone.clone",
        "tiny",
        *names,
        "start=False",
    ]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("vm2: cloned"):
            break
    time.sleep(0.02)  # somewhere in the third
    process.send_signal(signal.SIGKILL)
    process.communicate()
    there = set(modules.libvirt_clone.list())
    assert {"vm1", "vm2"} <= there and "vm6" not in there
    made = modules.libvirt_clone.clone("tiny", *names, start=False)
    assert all(vm["result"] for vm in made.values()), made
    assert made["vm1"]["comment"] == "is there already"
    assert left_of(hypervisor, "vm") == sorted(f"{name}.qcow2" for name in names)
    assert {vm["state"] for vm in modules.libvirt_clone.list().values()} == {"ready"}
    assert len(trusted(hypervisor)) == len(names)


def test_a_full_disk_leaves_nothing_half_made(hypervisor, modules, template):
    with open(hypervisor.root / "small" / "filler", "wb") as filler:
        filler.write(bytes(3 << 20))
    made = modules.libvirt_clone.clone("tiny", *(f"vm{number}" for number in range(1, 9)), start=False, pool="small")
    results = [vm["result"] for vm in made.values()]
    assert results[0] is True and results[-1] is False
    said = made["vm8"]["comment"]
    assert "No space left on device" in said or "is the disk full?" in said
    good = [name for name, vm in made.items() if vm["result"]]
    assert sorted(modules.libvirt_clone.list()) == good
    assert left_of(hypervisor, "vm") == [f"{name}.qcow2" for name in good]


def test_libvirtd_restarted_in_the_middle(hypervisor, modules, template):
    def restart(real, *args, **kwargs):
        hypervisor.stop_daemon()
        hypervisor.start_daemon()
        return real(*args, **kwargs)

    with broken(modules, "libvirt_disk.write", restart):
        made = modules.libvirt_clone.clone("tiny", "vm1", start=False)["vm1"]
    assert made["result"], made["comment"]
    assert left_of(hypervisor, "vm1") == ["vm1", "vm1.qcow2"]


def test_libvirtd_gone_in_the_middle(hypervisor, modules, template):
    def stop(real, *args, **kwargs):
        hypervisor.stop_daemon()
        return real(*args, **kwargs)

    with (
        broken(modules, "libvirt_disk.write", stop),
        broken(
            modules, "onepass.wait", lambda real, condition, what, timeout, **more: real(condition, what, 0.5, **more)
        ),
    ):
        made = modules.libvirt_clone.make("tiny", ["vm1"])["vm1"]
    hypervisor.start_daemon()
    assert made["result"] is False
    assert "Not undone, the next run will" in made["comment"]
    assert modules.libvirt_clone.clone("tiny", "vm1", start=False)["vm1"]["result"] is True
    assert left_of(hypervisor, "vm1") == ["vm1", "vm1.qcow2"]


def test_sealing_is_repaired_wherever_it_stopped(hypervisor, modules):
    paths = hypervisor.template(disks=("vda", "vdb"))

    def stop_after_first(real, *args):
        real(*args)
        raise KeyboardInterrupt

    with broken(modules, "libvirt_disk.seal", stop_after_first), pytest.raises(KeyboardInterrupt):
        modules.libvirt_clone.seal("tiny")
    assert modules.libvirt_clone.seal("tiny") == {"generation": 1, "changed": True, "pinned": []}
    os.remove(paths["vda"])
    os.rename(hypervisor.pool / "tiny.g1.img", paths["vda"])
    os.link(paths["vda"], hypervisor.pool / "tiny.g1.img")  # as after the first half of a seal
    assert modules.libvirt_clone.seal("tiny") == {"generation": 1, "changed": True, "pinned": []}
    assert sorted(path.name for path in hypervisor.pool.iterdir()) == [
        "tiny-vdb.g1.img",
        "tiny-vdb.img",
        "tiny.g1.img",
        "tiny.img",
    ]


def test_sealing_never_writes_over_a_generation_that_clones_may_have(hypervisor, modules):
    paths = hypervisor.template(disks=("vda", "vdb"))
    with hypervisor.connection() as host:
        host.lookupByName("tiny").detachDeviceFlags(DISK.format(path=paths["vdb"], target="vdb", format="qcow2"), 2)
        modules.libvirt_clone.clone("tiny", "old", start=False)
        host.lookupByName("tiny").attachDeviceFlags(DISK.format(path=paths["vdb"], target="vdb", format="qcow2"), 2)
    base = hypervisor.pool / "tiny.g1.img"
    before = written(base)
    change(modules, paths["vda"], "/etc/motd", "second")
    assert modules.libvirt_clone.seal("tiny") == {"generation": 2, "changed": True, "pinned": []}
    assert (written(base), motd(hypervisor, modules, "old")) == (before, None)
    modules.libvirt_clone.clone("tiny", "new", start=False)
    assert motd(hypervisor, modules, "new") == "second"
    os.remove(paths["vdb"])
    make_disk(paths["vdb"], {"data": ("another disk\n", 0o644)})  # and tiny-vdb.g2.img is of the one before
    assert modules.libvirt_clone.seal("tiny") == {"generation": 3, "changed": True, "pinned": []}


def test_a_raw_template_whose_sealing_stopped_before_its_last_step_is_finished_by_the_next(hypervisor, modules, states):
    hypervisor.template(image_format="raw")

    def stop(real, *args):
        raise KeyboardInterrupt

    with broken(modules, "libvirt_host.define", stop), pytest.raises(KeyboardInterrupt):
        modules.libvirt_clone.seal("tiny")
    assert modules.libvirt_host.domain("tiny")["disks"][0]["format"] == "raw"
    repaired = states.libvirt_clone.template_sealed(name="tiny")
    assert repaired.result is True and repaired.changes, repaired.comment
    assert modules.libvirt_host.domain("tiny")["disks"][0]["format"] == "qcow2"
    assert states.libvirt_clone.template_sealed(name="tiny").changes == {}
    assert [path.name for path in hypervisor.pool.glob("*.g*")] == ["tiny.g1.img"]


def test_the_network_is_down(hypervisor, modules, template):
    with hypervisor.connection() as host:
        network = host.networkLookupByName("guests")
        network.destroy()
        try:
            made = modules.libvirt_clone.clone("tiny", "vm1", until="name")["vm1"]
            assert made["result"] is False
            assert made["comment"].startswith("Cannot start vm1: ") and "not active" in made["comment"]
            assert modules.libvirt_clone.destroy("vm1") == {"vm1": "destroyed"}
        finally:
            network.create()
    assert left_of(hypervisor, "vm1") == []


def test_waiting_says_at_which_step_it_hangs(hypervisor, modules, states, template):
    modules.libvirt_clone.clone("tiny", "vm1", until="started")
    with pytest.raises(CommandExecutionError, match="for an address of vm1; last seen: it runs, and no DHCP server"):
        modules.libvirt_clone.wait("vm1", until=None, timeout=0)
    state = states.libvirt_clone.running(name="vm1", template="tiny", until=None, timeout=0)
    assert state.result is False and "for an address of vm1" in state.comment
