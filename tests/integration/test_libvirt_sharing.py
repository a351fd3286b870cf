"""What a clone may not share with its template, on a real libvirtd: refused by name, or its own and gone with it."""

import re

import libvirt
import pytest
import test_libvirt_clone as clones
import yaml
from salt.exceptions import CommandExecutionError
from test_libvirt_clone import left_of, written

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
