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
