"""Headers of images, which a guest's root can write on a raw disk, and chains of images that do not end."""

import struct

import pytest

import tree

HOST = tree.functions("onepass_host")
DISK = tree.functions("libvirt_disk", __salt__={**HOST})


def qcow2(path, backing="", **numbers):
    """A header as of an image that was never written to, with other numbers in it if they are given."""
    told = {"name": 112, "length": len(backing), "entries": 1, "table": 4096, **numbers}
    head = struct.pack(
        ">4sIQIIQIIQ", b"QFI\xfb", 3, told["name"], told["length"], 16, 1 << 30, 0, told["entries"], told["table"]
    )
    path.write_bytes(head.ljust(112, b"\0") + backing.encode().ljust(8192, b"\0"))
    return str(path)


@pytest.mark.parametrize(
    "numbers", [{"length": 1 << 31}, {"entries": (1 << 32) - 1}, {"name": (1 << 64) - 1}, {"table": (1 << 64) - 1}]
)
def test_what_only_begins_as_a_qcow2_is_raw(tmp_path, numbers):
    """All of it would be read at once: as much of the host's memory as the guest's disk is large."""
    path = tmp_path / "disk"
    assert DISK["libvirt_disk.header"](qcow2(path))["format"] == "qcow2"
    found = DISK["libvirt_disk.header"](qcow2(path, **numbers))
    assert (found["format"], found["size"], found["backing"]) == ("raw", path.stat().st_size, None)


@pytest.mark.parametrize("length", [0, 4, 71])
def test_a_file_that_ends_in_its_header_is_raw(tmp_path, length):
    path = tmp_path / "disk"
    path.write_bytes(b"QFI\xfb".ljust(71, b"\0")[:length])
    assert DISK["libvirt_disk.header"](str(path))["format"] == "raw"


@pytest.mark.parametrize("backing", ["two", "./one", "../{}/two"])
def test_a_chain_that_comes_back_to_itself_ends(tmp_path, backing):
    one = qcow2(tmp_path / "one", backing.format(tmp_path.name))
    qcow2(tmp_path / "two", "one")
    template = tree.functions("libvirt_template", __salt__={**DISK})
    found = template["libvirt_template.users"]({"vm1": {"disks": [{"path": one}]}})
    assert set().union(*found.values()) == {"vm1"}
