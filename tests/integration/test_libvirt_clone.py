"""Clones on a real libvirtd with real guests: what a guest sees of itself, what is left after failures and removals."""

import pytest

from hypervisor import DOMAIN, Hypervisor, read


@pytest.fixture(scope="session")
def hypervisor():
    """A KVM host of the tests' own; whatever lives in it ends with the session."""
    host = Hypervisor()
    try:
        host.start()
        yield host
    finally:
        host.stop()


@pytest.fixture(scope="module")
def minion_overrides(hypervisor):
    return {"libvirt_clone": {"uri": hypervisor.uri, "known_hosts": str(hypervisor.root / "known_hosts")}}


@pytest.fixture(autouse=True)
def clean(hypervisor):
    """Each test begins on an empty host, and in its network."""
    with hypervisor.inside():
        yield
    hypervisor.clear()


def test_a_clone_is_itself_in_the_running_guest(hypervisor, modules):
    hypervisor.template()
    made = modules.libvirt_clone.clone("tiny", "vm1", "vm2", until="name", timeout=120)
    assert {name: (vm["result"], vm["comment"]) for name, vm in made.items()} == {
        "vm1": (True, "cloned from tiny"),
        "vm2": (True, "cloned from tiny"),
    }
    for name, vm in made.items():
        assert read(vm["address"], "hostname") == f"{name}\n"
        assert (
            read(vm["address"], "disk/etc/hosts")
            == f"127.0.0.1 localhost\n127.0.1.1 {name}.{DOMAIN} {name}\n192.0.2.9 printer\n"
        )
        assert read(vm["address"], "disk/etc/machine-id") == vm["machine_id"] + "\n"
        assert read(vm["address"], "disk/etc/ssh/ssh_host_ed25519_key.pub") == f"{vm['host_key_public']} root@{name}\n"
    assert made["vm1"]["machine_id"] != made["vm2"]["machine_id"]
