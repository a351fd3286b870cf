"""Networks with names on real parts: a libvirtd of our own, real dnsmasqs, real nameservers, guests that ask for leases.

All of it in network and mount namespaces that this process makes for itself: see tests/networks.py.
"""

import pytest

import networks


@pytest.fixture(scope="module", autouse=True)
def host(tmp_path_factory):
    with networks.host(tmp_path_factory.mktemp("host")):
        yield


@pytest.fixture(scope="module")
def libvirt(host):
    with networks.libvirtd() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def upstreams(host, tmp_path_factory):
    return networks.Nameservers(tmp_path_factory.mktemp("upstreams"))


LAB = {
    "domain": "lab.example",
    "address": "192.168.150.1/24",
    "dhcp": {"start": "192.168.150.10", "end": "192.168.150.200"},
    "hosts": {"web": {"address": "192.168.150.5", "mac": "52:54:00:bf:57:bb"}},
    "options": ["no-ping"],
}


@pytest.mark.parametrize("backend", ["network", "bridge"])
def test_try(backend, libvirt, upstreams, states, modules):
    given = {"name": "lab", "bridge": f"virbr-{backend}", **LAB, "forwarders": [{"address": upstreams.start(9)}]}
    state = getattr(states.dnsmasq_fwd, backend)
    dry = state(**given, test=True)
    print(dry)
    real = state(**given)
    print(real.comment)
    assert real.result, real.comment
    assert dry.changes == real.changes
    again = state(**given)
    assert (again.result, again.changes) == (True, {}), again
    assert networks.dig("web.lab.example", "192.168.150.1") == ["192.168.150.5"]
    assert networks.dig("www.example.org", "192.168.150.1") == ["203.0.113.9"]
    guest = networks.Guest("one", f"virbr-{backend}")
    print(guest.lease())
    print(networks.dig("one.lab.example", "192.168.150.1"))
    print(modules.dnsmasq_fwd.check("lab", backend))
    print(modules.dnsmasq_fwd.hosts("lab", backend))
    guest.remove()
    gone = states.dnsmasq_fwd.absent(name="lab", backend=backend)
    print(gone)
    assert gone.result
