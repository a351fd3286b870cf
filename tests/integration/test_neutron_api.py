"""Neutron's own rules, row by row as its API answers them, and what neutron_vlan makes of the same wish."""

import openstack.exceptions
import pytest
from tenants import TAG


def refused(call, *words, **more):
    """Status and name of the error with which Neutron refuses a call."""
    with pytest.raises(openstack.exceptions.HttpException) as caught:
        call(*words, **more)
    return caught.value.status_code, caught.value.response.json()["NeutronError"]["type"]


def refused_unasked(site, table, words):
    """The same is refused by us before any call."""
    before = site.calls()
    ret = site.apply(table)
    assert (ret.result, ret.changes) == (False, {})
    assert words in ret.comment
    assert site.calls() == before


def by_hand(site, **more):
    """The network of the site's first project, as somebody else would make it."""
    project = site.sdk.identity.create_project(name=site.name(), domain_id="default")
    return site.make_network(0, project.id, name=f"{site.name()}-net", **more)


def subnet_of(site, network, **more):
    given = {"ip_version": 4, "cidr": site.row()["cidr"], "project_id": network.project_id, **more}
    return site.sdk.network.create_subnet(network_id=network.id, **given)


# What Neutron refuses, and we before it


@pytest.mark.parametrize(
    "fields,table,words",
    [
        ({"segmentation_id": 0}, {"vlan": 0}, "vlan: is the number 0; a VLAN id, 1 to 4094"),
        ({"segmentation_id": -1}, {"vlan": -1}, "vlan: is the number -1; a VLAN id"),
        ({"segmentation_id": 4095}, {"vlan": 4095}, "vlan: is the number 4095; a VLAN id"),
        ({"segmentation_id": 70000}, {"vlan": 70000}, "vlan: is the number 70000; a VLAN id"),
        ({"segmentation_id": "12x"}, {"vlan": "12x"}, "vlan: is '12x', not an integer"),
        ({"physical_network": None}, {"physical_network": None}, "physical_network: is null, not a string"),
        ({"physical_network": ""}, {"physical_network": ""}, "physical_network: is ''"),
    ],
    ids=str,
)
def test_provider_fields_that_neutron_refuses(site, fields, table, words):
    wish = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": site.first, **fields}
    body = {f"provider_{key}": value for key, value in wish.items() if value is not None}
    assert refused(site.sdk.network.create_network, **body) == (400, "InvalidInput")
    refused_unasked(site, site.one(**table), words)


@pytest.mark.parametrize(
    "wish,status,row,words",
    [
        ({"cidr": "10.{}.0.0"}, 400, {"cidr": "10.{}.0.0"}, "cidr: is '10.{}.0.0', without a prefix"),
        ({"cidr": "10.{}.0.1/32"}, 400, {"cidr": "10.{}.0.1/32"}, "cidr: is '10.{}.0.1/32', which has no room"),
        ({"gateway_ip": "10.{}.0.0"}, 400, {"gateway": "10.{}.0.0"}, "gateway: is 10.{}.0.0, which no host of"),
        ({"gateway_ip": "10.{}.0.255"}, 400, {"gateway": "10.{}.0.255"}, "gateway: is 10.{}.0.255, which no host of"),
        ({"pools": ["10.99.0.2-10.99.0.9"]}, 400, {}, "pools:0: is 10.99.0.2-10.99.0.9, which is not inside of"),
        ({"pools": ["10.{}.0.9-10.{}.0.2"]}, 400, {}, "pools:0: is 10.{}.0.9-10.{}.0.2, which ends before it begins"),
        ({"pools": ["10.{}.0.2-10.{}.0.9", "10.{}.0.9-10.{}.0.12"]}, 409, {}, "pools:1: is 10.{}.0.9-10.{}.0.12, wh"),
        ({"pools": ["10.{}.0.1-10.{}.0.9"]}, 409, {}, "which holds the gateway 10.{}.0.1"),
        ({"dns_nameservers": [f"9.9.9.{n}" for n in range(6)]}, 400, {}, "dns_nameservers: has 6 entries; 5 at most"),
        ({"dns_nameservers": ["9.9.9.9", "9.9.9.9"]}, 400, {}, "dns_nameservers:1: is 9.9.9.9 a second time"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_subnets_that_neutron_refuses(site, wish, status, row, words):
    wish, row, words = (filled(each, site.block) for each in (wish, row or wish, words))
    body = {key: value for key, value in wish.items() if key != "pools"}
    if "pools" in wish:
        ends = [pool.split("-") for pool in wish["pools"]]
        body["allocation_pools"] = [{"start": first, "end": last} for first, last in ends]
    network = site.make_network(0)
    assert refused(subnet_of, site, network, **body)[0] == status
    refused_unasked(site, site.one(**row), words)


def filled(value, block):
    if isinstance(value, dict):
        return {key: filled(each, block) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, block) for each in value]
    return value.replace("{}", str(block))


# What Neutron lets pass, and we do not


@pytest.mark.parametrize(
    "body,row,words",
    [
        ({"gateway_ip": "10.99.0.1"}, {"gateway": "10.99.0.1"}, "gateway: is 10.99.0.1, which is outside of"),
        ({"cidr": "10.{}.0.5/24"}, {"cidr": "10.{}.0.5/24"}, "which has host bits set; did you mean '10.{}.0.0/24'?"),
    ],
    ids=["gateway outside of the CIDR", "host bits"],
)
def test_subnets_that_neutron_lets_pass(site, body, row, words):
    body, row, words = (filled(each, site.block) for each in (body, row, words))
    assert subnet_of(site, site.make_network(0), **body).cidr == f"10.{site.block}.0.0/24"
    refused_unasked(site, site.one(**row), words)


def test_an_mtu_with_which_no_subnet_can_be_made(site):
    network = site.make_network(0, mtu=20)
    assert refused(subnet_of, site, network)[0] == 409
    refused_unasked(site, site.one(mtu=60), "mtu: is the number 60; bytes, 68 to 65535")


def test_a_network_without_an_id_gets_any(site):
    made = site.sdk.network.create_network(
        name="any", provider_network_type="vlan", provider_physical_network="physnet1"
    )
    assert 100 <= made.provider_segmentation_id <= 199
    table = site.one()
    del table["projects"][site.name()]["vlan"]
    refused_unasked(site, table, "vlan: is missing")
    site.sdk.network.delete_network(made.id)


def test_a_network_for_a_disabled_project_and_for_none(site):
    project = site.sdk.identity.create_project(name=site.name(), domain_id="default", is_enabled=False)
    assert site.make_network(1, project.id)
    unknown = site.make_network(2, "a-project-that-never-was")
    site.refuses(site.one(), "the project is disabled")
    site.refuses(site.table(projects={site.name(5): site.row(2)}), "is an orphan's", unknown.id)


# A VLAN that changes


def test_an_id_is_sent_only_if_it_differs(site):
    table = site.one(on_drift="move")
    site.has(table)
    move = site.sdk.network.update_network
    assert refused(move, site.network().id, provider_segmentation_id=site.first) == (409, "VlanIdInUse")
    site.nothing_to_do(table)


def test_segments_are_taken_and_ignored_by_neutron(site):
    site.has(site.one())
    segment = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": site.first + 1}
    body = {"segments": [{f"provider:{key}": value for key, value in segment.items()}]}
    assert site.sdk.network.put(f"/networks/{site.network().id}", json={"network": body}).status_code == 200
    assert site.network().provider_segmentation_id == site.first
    site.converges(site.one(vlan=site.first + 1, on_drift="move"))
    assert site.network().provider_segmentation_id == site.first + 1


def test_a_vlan_moves_whatever_its_ports_are(site):
    site.has(site.one(router={}))
    for bound, kind in ({}, "unbound"), ({"binding_host_id": "nowhere"}, "binding_failed"):
        assert site.sdk.network.create_port(network_id=site.network().id, **bound).binding_vif_type == kind
    site.converges(site.one(router={}, vlan=site.first + 1, on_drift="move"))
    assert site.network().provider_segmentation_id == site.first + 1


def test_an_id_of_a_private_range_of_another_project(site):
    demo = site.sdk.identity.find_project("demo").id
    ends = {"minimum": site.first, "maximum": site.first + 1, "physical_network": "physnet2", "network_type": "vlan"}
    made = site.sdk.network.create_network_segment_range(shared=False, project_id=demo, **ends)
    site.converges({**site.one(), "physical_network": "physnet2"})
    assert site.network().provider_segmentation_id == site.first
    assert site.absent().result is True
    site.sdk.network.delete_network_segment_range(made.id)


# Subnets, routers, shares that are there already


def test_pools_change_in_place_below_used_addresses(site):
    ten = f"10.{site.block}.0"
    site.has(site.one())
    port = site.sdk.network.create_port(network_id=site.network().id, fixed_ips=[{"ip_address": f"{ten}.7"}])
    before = site.subnet().id
    site.converges(site.one(pools=[f"{ten}.100-{ten}.200"]))
    assert (site.subnet().id, site.subnet().allocation_pools) == (
        before,
        [{"start": f"{ten}.100", "end": f"{ten}.200"}],
    )
    assert site.sdk.network.get_port(port.id).fixed_ips[0]["ip_address"] == f"{ten}.7"


def test_the_subnet_is_known_by_its_cidr_whatever_its_name(site):
    network = by_hand(site)
    subnet_of(site, network, name="another")
    assert list(site.converges(site.one()).values()) == [{"old": {"tag": None}, "new": {"tag": TAG}}]
    assert site.subnet().name == "another"


def test_sharing_with_all_keeps_the_network(site):
    site.has(site.one())
    before = site.network().id
    site.has(site.one(share_with=["*"]))
    assert (site.network().id, site.network().is_shared) == (before, True)
    assert site.apply(site.one(share_with=["*"])).changes == {}


def test_what_is_shared_by_hand_is_not_shared_again(site):
    site.has(site.one())
    site.sdk.network.update_network(site.network().id, is_shared=True)
    body = {"object_type": "network", "object_id": site.network().id, "action": "access_as_shared"}
    body["target_project_id"] = "*"
    assert refused(site.sdk.network.create_rbac_policy, **body) == (409, "DuplicateRbacPolicy")
    assert site.apply(site.one(share_with=["*"])).changes == {}


def test_a_router_of_another_name_serves_as_well(site):
    site.has(site.one())
    made = site.sdk.network.create_router(name="by-hand", project_id=site.project().id)
    site.sdk.network.add_interface_to_router(made.id, subnet_id=site.subnet().id)
    second = site.sdk.network.create_router(name="second", project_id=site.project().id)
    attach = site.sdk.network.add_interface_to_router
    assert refused(attach, made.id, subnet_id=site.subnet().id)[0] == 400
    assert refused(attach, second.id, subnet_id=site.subnet().id) == (409, "IpAddressAlreadyAllocated")
    site.nothing_to_do(site.one(router={}))


def test_a_router_for_a_subnet_without_a_gateway(site):
    site.has(site.one(gateway=None))
    made = site.sdk.network.create_router(name="by-hand", project_id=site.project().id)
    assert refused(site.sdk.network.add_interface_to_router, made.id, subnet_id=site.subnet().id)[0] == 400
    ten = f"10.{site.block}.0"
    site.refuses(site.one(router={}), f"router: subnet {ten}.0/24 has no gateway", f"gateway: {ten}.1")
    site.converges(site.one(router={}, gateway=f"{ten}.1"))


def test_a_way_out_that_is_not_external(site):
    site.has(site.one())
    outside = site.make_network(5, name=f"inner{site.block}")
    body = {"external_gateway_info": {"network_id": outside.id}}
    assert refused(site.sdk.network.create_router, name="x", **body)[0] == 400
    site.refuses(site.one(router={"external": outside.name}), f"router: no external network {outside.name}")


# Rights and quotas


def test_a_member_sees_networks_and_no_vlan_and_nothing_is_concluded_of_it(site):
    demo = site.sdk.identity.find_project("demo").id
    site.make_network(0, demo)
    login = {**site.login, "cloud": "member"}
    seen = [site.modules.neutron_read.network(each) for each in site.modules.neutron_cloud.rows("networks", **login)]
    own = [each for each in seen if each["project_id"] == demo]
    assert own and all((each["type"], each["vlan"]) == (None, None) for each in own)
    rows = site.modules.neutron_rules.rows(site.table())
    base = {"domain_id": "default", "projects": [], "networks": own, "subnets": []}
    found = site.modules.neutron_plan.plan(rows, base)
    assert found["steps"] == []
    assert "The login does not see the networks' VLANs" in found["refusals"][0]


def test_a_member_may_not_write_what_we_write(site):
    demo = site.sdk.identity.find_project("demo").id
    member = site.cloud.connect("member").network
    fields = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": site.first}
    body = {f"provider:{key}": value for key, value in fields.items()}
    made = member.post("/networks", json={"networks": [{"name": "mine", "project_id": demo, **body}]})
    assert (made.status_code, made.json()["NeutronError"]["type"]) == (403, "PolicyNotAuthorized")
    login = {**site.login, "cloud": "member"}
    with pytest.raises(Exception, match=r"refuses POST /networks \(403 PolicyNotAuthorized\).*has to be an admin's"):
        site.modules.neutron_cloud.create("networks", [{"name": "mine", "project_id": demo, **body}], **login)


@pytest.mark.parametrize("kind", ["networks", "subnets"])
def test_a_quota_below_what_is_there(site, kind):
    site.has(site.one())
    assert refused(site.sdk.network.update_quota, site.project().id, **{kind: 0})[0] == 400
    spare = site.make_network(1, site.project().id)
    subnet_of(site, spare, cidr=f"10.{site.block}.1.0/24")
    said = site.refuses(site.one(quota={kind: 1}), f"the quota is 1 {kind}, 2 are there and 0 more needed")
    assert f"raise quota: {{{kind}: 2}}" in said


# Absent


def test_absent_takes_the_projects_quota_with_it(site):
    site.has(site.one(quota={"networks": 5}))
    project = site.project().id
    assert project in {each["project_id"] for each in site.modules.neutron_cloud.rows("quotas", **site.login)}
    assert site.absent().result is True
    assert project not in {each["project_id"] for each in site.modules.neutron_cloud.rows("quotas", **site.login)}


def test_absent_refuses_while_a_project_that_it_is_shared_with_uses_it(site):
    site.has(site.one(share_with=["demo"]))
    demo = site.sdk.identity.find_project("demo").id
    port = site.sdk.network.create_port(network_id=site.network().id, project_id=demo)
    [policy] = site.sdk.network.rbac_policies(object_id=site.network().id)
    assert refused(site.sdk.network.delete_rbac_policy, policy.id) == (409, "RbacPolicyInUse")
    ret = site.absent()
    assert (ret.result, ret.changes) == (False, {})
    assert port.id in ret.comment
    assert list(site.sdk.network.rbac_policies(object_id=site.network().id))
    site.sdk.network.delete_port(port.id)
    assert site.absent().result is True
