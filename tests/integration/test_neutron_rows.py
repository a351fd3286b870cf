"""What the table's lint lets pass, a real Neutron takes; how guests of IPv6 get their addresses."""

import ipaddress
import random

import pytest

ROWS = 12
MODES = ("slaac", "dhcpv6-stateless", "dhcpv6-stateful")
SERVERS = {
    4: ["9.9.9.9", "1.1.1.1", "10.0.0.53"],
    6: ["2620:fe::fe", "2001:db8::1", "2001:DB8:0::2"],
}


def network(random_, block, number):
    """A subnet of the test's own, of any family and length."""
    if random_.random() < 0.5:
        return ipaddress.ip_network(f"10.{block}.{number}.0/{random_.choice([24, 25, 28, 30])}")
    return ipaddress.ip_network(f"2001:db8:{block:x}:{number:x}::/{random_.choice([64, 64, 80, 112, 126])}")


def row(random_, site, number):
    """A row with some of all that can be said; whether it is right, the lint decides."""
    subnet = network(random_, site.block, number)
    wishes = {
        "gateway": random_.choice([None, str(subnet[1]), str(subnet[-2]), str(subnet[0]), str(subnet[-1])]),
        "dns_nameservers": random_.sample(SERVERS[4] + SERVERS[6], random_.randint(0, 2)),
        "dhcp": random_.choice([True, False]),
        "ipv6": random_.choice(MODES),
        "mtu": random_.choice([68, 1279, 1280, 1450, 1500]),
        "pools": [f"{subnet[2]}-{subnet[random_.choice([2, 3])]}"],
    }
    said = random_.sample(sorted(wishes), random_.randint(0, 4))
    return {"vlan": site.first + number, "cidr": str(subnet), **{key: wishes[key] for key in said}}


@pytest.mark.parametrize("seed", range(6))
def test_what_the_lint_lets_pass_neutron_takes(site, seed):
    random_ = random.Random(seed)
    projects = {}
    while len(projects) < ROWS:
        name, each = site.name(len(projects)), row(random_, site, len(projects))
        if not site.modules.neutron_rules.faults(site.table(projects={name: each})):
            projects[name] = each
    table = site.table(projects=projects)
    dry, real = site.apply(table, test=True), site.apply(table)
    assert real.result is True, real.comment
    assert dry.changes == real.changes
    assert site.apply(table).changes == {}


@pytest.mark.parametrize("mode", MODES)
def test_guests_of_ipv6_are_told_their_addresses(site, mode):
    cidr = f"2001:db8:{site.block:x}::/64"
    site.has(site.one(cidr=cidr, ipv6=mode))
    assert (site.subnet().ipv6_ra_mode, site.subnet().ipv6_address_mode) == (mode, mode)
    assert site.apply(site.one(cidr=cidr)).changes == {}
    found = site.modules.neutron_vlan.export(**site.login)
    assert f"'ipv6': '{mode}'" in str(found)


def test_how_guests_get_addresses_is_not_changed_in_place(site):
    cidr = f"2001:db8:{site.block:x}::/64"
    site.has(site.one(cidr=cidr, ipv6="slaac"))
    for test in (True, False):
        ret = site.apply(site.one(cidr=cidr, ipv6="dhcpv6-stateful"), test=test)
        assert (ret.result, ret.changes) == (False, {})
        assert "ipv6 is slaac, wanted is dhcpv6-stateful, which cannot be changed in place" in ret.comment
    assert site.subnet().ipv6_ra_mode == "slaac"
