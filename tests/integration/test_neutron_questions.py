"""What neutron_vlan reads and how much of it, and what it answers on a cloud."""

import pytest
import tenants

import clouds

# Numbers


@pytest.mark.parametrize("count", [1, 12])
def test_lists_do_not_grow_with_the_table(site, count):
    table = site.table(count)
    before = site.count()
    assert site.apply(table, test=True).result is None
    assert len(site.since(before)[0]) == 7  # the three, and for a creation: ranges, agents, quotas, the default quota
    before = site.count()
    assert site.apply(table).result is True
    writes = site.since(before)[1]
    assert len([call for call in writes if call == "POST /v2.0/networks"]) == 1
    assert len([call for call in writes if call == "POST /v2.0/subnets"]) == 1
    before = site.count()
    site.nothing_to_do(table)
    assert len(site.since(before)[0]) == 3


def test_500_projects_need_no_more_calls_than_10(states, modules):
    with clouds.cloud() as own:
        site = tenants.Site(own, states, modules)
        rows = {f"p{n:03}": {"vlan": 200 + n, "cidr": f"10.{n // 250}.{n % 250}.0/24"} for n in range(500)}
        there = 1
        site.has(site.table(projects=dict(list(rows.items())[:1])))
        for count in (10, 100, 500):
            own.multiply("p000", dict(list(rows.items())[there:count]))
            there = count
            before = site.count()
            ret = site.nothing_to_do(site.table(projects=dict(list(rows.items())[:count])))
            assert f"All {count} projects have their networks" in ret.comment
            assert len(site.since(before)[0]) == 3


def test_lists_that_come_in_pages_are_read_to_their_end(states, modules):
    with clouds.cloud(page=2) as paged:
        site = tenants.Site(paged, states, modules)
        first = site.apply(site.table(5))
        assert first.result is True, first.comment
        assert site.apply(site.table(5)).changes == {}
        assert len(site.client().rows("networks")) == 5


# Questions


def test_the_trap_of_the_seed(site):
    """Neutron gives a network without an id the lowest one on a wire without a range: 1."""
    made = site.sdk.network.create_network(
        name="no-id", provider_network_type="vlan", provider_physical_network="physnet2"
    )
    assert made.provider_segmentation_id == 1
    said = site.modules.neutron_vlan.audit(site.table())
    assert "VLAN 1 on physnet2 (network no-id of admin) is the switches' default VLAN" in said
    site.sdk.network.delete_network(made.id)


def test_owner_free_and_trunk_list(site):
    site.converges(site.table(3))
    port = site.sdk.network.create_port(network_id=site.network(1).id, device_owner="compute:nova")
    [found] = site.modules.neutron_vlan.owner(site.first + 1, **site.login)
    assert (found["project"], found["network"]) == (site.name(1), f"{site.name(1)}-net")
    assert found["cidrs"] == [f"10.{site.block}.1.0/24"]
    assert found["ports"] == [f"compute:nova {port.fixed_ips[0]['ip_address']}"]
    assert site.modules.neutron_vlan.owner(4001, **site.login) == []
    table = {**site.table(5), "reserved": [site.first + 6]}
    free = site.modules.neutron_vlan.free("physnet1", start=site.first, count=2, table=table)
    assert free == [site.first + 5, site.first + 7]
    spans = site.modules.neutron_vlan.trunk_list("physnet1", **site.login)["physnet1"].split(",")
    assert f"{site.first}-{site.first + 2}" in spans


def test_audit(site):
    site.converges(site.one(vlan=150 if site.first != 150 else 151))
    owner = site.sdk.identity.create_project(name=f"lost{site.block}", domain_id="default")
    site.make_network(3, owner.id, name="lost")
    site.make_network(4, name="open", is_shared=True)
    site.sdk.identity.delete_project(owner.id)
    said = "\n".join(site.modules.neutron_vlan.audit(site.one(vlan=150)))
    lost = f"VLAN {site.first + 3} on physnet1 (network lost of deleted project)"
    assert f"{lost} is an orphan, its project is deleted" in said
    assert f"{lost} is not in the table" in said
    assert f"VLAN {site.first + 4} on physnet1 (network open of admin) is shared with all projects" in said
    assert f"VLAN {site.first + 4} on physnet1 (network open of admin) has no subnet" in said
    assert f"({site.name()} in the table) is inside of 100-199, from which Neutron serves anybody" in said
    assert site.absent().result is True


def test_export_then_plan_is_empty(site):
    """Of the whole cloud, whatever other tests have left there: at most our tag is to be set."""
    table = site.table(3, dns_nameservers=["9.9.9.9", "1.1.1.1"])
    table["projects"][site.name(1)].update(gateway=None, dhcp=False, network="by another name")
    table["projects"][site.name(2)].update(gateway=f"10.{site.block}.2.254")
    assert site.apply(table).result is True
    site.make_network(9, site.project().id, name="second")
    owner, low = site.sdk.identity.create_project(name=site.name(10)).id, f"2001:db8:{site.block}::"
    first, six = site.make_network(10, owner, name="first"), {"cidr": f"{low}/64", "gateway_ip": low}
    site.sdk.network.create_subnet(network_id=first.id, project_id=owner, ip_version=6, **six)
    owner, out = site.sdk.identity.create_project(name=site.name(11)).id, f"10.{site.block}.12.1"
    odd = site.make_network(11, owner, name="odd")
    cidr = f"10.{site.block}.11.0/24"
    site.sdk.network.create_subnet(network_id=odd.id, project_id=owner, ip_version=4, cidr=cidr, gateway_ip=out)
    exported = site.modules.neutron_vlan.export(**site.login)
    reason = "its project has several VLAN networks"
    assert exported["left_out"].items() >= {f"{site.name()}-net": reason, "second": reason}.items()
    assert exported["left_out"]["odd"] == f"a table refuses its gateway: is {out}, which is outside of {cidr}"
    plan = site.modules.neutron_vlan.plan(exported["openstack"])
    assert {site.name(1), site.name(2), site.name(10)} <= set(plan)
    assert not {name: row for name, row in plan.items() if row["why"] or set(row["fields"]) - {"tag"}}


def test_plan_tells_every_field_and_changes_nothing(site):
    site.converges(site.table(2))
    table = site.table(3, dns_nameservers=["9.9.9.9"])
    table["projects"][site.name(1)]["vlan"] = site.first + 9
    before = site.count()
    plan = site.modules.neutron_vlan.plan(table)
    assert site.since(before)[1] == []
    assert [plan[site.name(n)]["result"] for n in range(3)] == ["drift", "drift", "create"]
    assert plan[site.name(0)]["fields"] == {"dns_nameservers": {"old": [], "new": ["9.9.9.9"]}}
    assert plan[site.name(1)]["fields"] == {
        "vlan": {"old": site.first + 1, "new": site.first + 9},
        "dns_nameservers": {"old": [], "new": ["9.9.9.9"]},
    }
    assert "on_drift: move" in plan[site.name(1)]["why"][0]
