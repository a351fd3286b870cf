"""
Neutron's own rules, row by row as its API answers them, and what neutron_vlan makes of the same wish.

Some cannot concern it: ``update_network(obj)`` re-sends what failed before, but here every request is a body of its own
for an id; the ports' DNS names, a network's ``vlan_transparent`` and trunks' own ids are no part of the table.
"""

import openstack.exceptions
import pytest
from onepass_lib.neutron import desired, plan, seen
from tenants import TAG

import clouds


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


def provider(**fields):
    return {f"provider_{key}": value for key, value in fields.items()}


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
    body = provider(**{key: value for key, value in wish.items() if value is not None})
    assert refused(site.sdk.network.create_network, **body) == (400, "InvalidInput")
    refused_unasked(site, site.one(**table), words)


@pytest.mark.parametrize(
    "body,row,words",
    [
        ({"network_type": "vlan", "segmentation_id": None}, {"vlan": None}, "vlan: is null, not an integer"),
        ({"network_type": None}, {"network_type": None}, "network_type: is an unknown key"),
        ({"network_type": "vxlun"}, {"network_type": "vxlun"}, "network_type: is an unknown key"),
        ({"network_type": "flat", "physical_network": "physflat"}, {"network_type": "flat"}, "is an unknown key"),
        ({"network_type": "local", "physical_network": None}, {"network_type": "local"}, "is an unknown key"),
    ],
    ids=["no id", "no type", "unknown type", "flat with an id", "local with an id"],
)
def test_types_that_neutron_refuses_and_no_row_can_say(site, body, row, words):
    wish = {"physical_network": "physnet1", "segmentation_id": site.first, **body}
    sent = {f"provider:{key}": value for key, value in wish.items() if value is not None or key == "segmentation_id"}
    answer = site.sdk.network.post("/networks", json={"network": {"name": "x", **sent}})
    assert (answer.status_code, answer.json()["NeutronError"]["type"]) == (400, "InvalidInput")
    refused_unasked(site, site.one(**row), words)


def test_a_physical_network_that_neutron_does_not_know(site):
    wish = provider(network_type="vlan", physical_network="physnet9", segmentation_id=site.first)
    assert refused(site.sdk.network.create_network, **wish) == (400, "InvalidInput")
    said = site.refuses({**site.one(), "physical_network": "physnet9"}, "physical network physnet9 is unknown")
    assert "the cloud has physnet1, physnet2" in said


def test_a_vlan_that_is_in_use_also_of_a_deleted_project(site):
    owner = site.sdk.identity.create_project(name=f"owner{site.block}", domain_id="default")
    held = site.make_network(0, owner.id)
    assert refused(site.make_network, 0) == (409, "VlanIdInUse")
    site.sdk.identity.delete_project(owner.id)
    assert refused(site.make_network, 0) == (409, "VlanIdInUse")
    site.refuses(site.one(), "is an orphan's", held.id)


def test_a_full_quota_is_seen_before_neutron_is_asked(site):
    project = site.sdk.identity.create_project(name=site.name(), domain_id="default")
    site.sdk.network.update_quota(project.id, networks=0)
    assert refused(site.make_network, 0, project.id) == (409, "OverQuota")
    site.refuses(site.one(), "the quota is 0 networks, 0 are there and 1 more needed")


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


def test_a_cidr_of_the_other_version_is_sent_as_what_it_is(site):
    wide = f"2001:db8:{site.block:x}::/64"
    assert refused(subnet_of, site, site.make_network(1), cidr=wide, ip_version=4) == (400, "InvalidInput")
    site.has(site.one(cidr=wide))
    assert (site.subnet().cidr, site.subnet().ip_version) == (wide, 6)


def test_a_second_subnet_that_overlaps_the_first(site):
    site.has(site.one())
    half = f"10.{site.block}.0.128/25"
    assert refused(subnet_of, site, site.network(), cidr=half) == (400, "InvalidInput")
    site.refuses({**site.one(cidr=half), "overlap": "allow"}, "a CIDR cannot be changed in place")


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


def test_a_pool_of_ids_that_is_empty(site):
    """Neutron has no id left to give; a row's id is its own, and a range is no limit for it."""
    wire = f"wire{site.block}"
    ends = {"minimum": site.first, "maximum": site.first, "physical_network": wire, "network_type": "vlan"}
    made = site.sdk.network.create_network_segment_range(name=wire, shared=True, **ends)
    body = provider(network_type="vlan", physical_network=wire)
    assert site.sdk.network.create_network(name="the last", **body).provider_segmentation_id == site.first
    assert refused(site.sdk.network.create_network, **body) == (503, "NoNetworkAvailable")
    asked = [{key.replace("_", ":", 1): value for key, value in body.items()}]
    with pytest.raises(
        Exception, match=r"refuses POST /networks \(503 NoNetworkAvailable\): .*available for allocation"
    ):
        site.client().create("networks", asked)
    assert site.modules.neutron_vlan.free(wire, start=site.first, count=1, **site.login) == [site.first + 1]
    site.converges({**site.one(vlan=site.first + 1), "physical_network": wire})
    assert site.network().provider_segmentation_id == site.first + 1
    assert site.sdk.network.get_network_segment_range(made.id).used.keys() == {str(site.first)}
    said = site.modules.neutron_vlan.trunk_list(wire, **site.login)
    assert said == {wire: f"{site.first}-{site.first + 1}"}, "also what is outside of the range"


def test_a_subnet_of_the_admins_escapes_the_projects_quota(site):
    network = by_hand(site)
    site.sdk.network.update_quota(network.project_id, subnets=0)
    assert refused(subnet_of, site, network) == (409, "OverQuota")
    admin = site.sdk.identity.find_project("admin").id
    assert subnet_of(site, network, project_id=admin).project_id == admin
    site.refuses(site.one(), "belongs to another project, admin")


def test_a_quota_is_answered_for_a_project_that_never_was(site):
    assert site.sdk.network.get_quota("a-project-that-never-was").networks == 1000
    table = {**site.one(quota={"networks": 1000}), "create_projects": False}
    site.refuses(table, f"there is no project {site.name()}")


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


def test_a_vlan_does_not_move_under_ports_of_sr_iov(site):
    site.has(site.one())
    number = site.network().id
    bound = {"binding_vnic_type": "direct", "binding_host_id": "nic", "device_owner": "compute:nova"}
    port = site.sdk.network.create_port(network_id=number, **bound)
    assert port.binding_vif_type == "hw_veb"
    assert refused(site.sdk.network.update_network, number, provider_segmentation_id=site.first + 1)[0] == 400
    table = site.table(
        projects={site.name(): site.row(vlan=site.first + 1, on_drift="move"), site.name(1): site.row(2)}
    )
    site.refuses(table, f"cannot move from VLAN {site.first} to {site.first + 1}", f"{port.id} (hw_veb on nic)")
    assert not site.project(1), "all or nothing"
    site.sdk.network.delete_port(port.id)
    site.converges(table)


@pytest.mark.parametrize("fields", [{"network_type": "flat"}, {"physical_network": "physnet2"}], ids=str)
def test_a_network_never_changes_its_wire(site, fields):
    site.has(site.one())
    move = site.sdk.network.update_network
    assert refused(move, site.network().id, **provider(**fields)) == (400, "InvalidInput")
    same = {"network": {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}}
    assert site.sdk.network.put(f"/networks/{site.network().id}", json=same).status_code == 200
    words = "is vlan on physnet1, wanted is vlan on physnet2; that cannot be changed in place"
    site.refuses({**site.one(on_drift="move"), "physical_network": "physnet2"}, words)


def test_a_network_of_several_segments_keeps_its_ids(site):
    project = site.sdk.identity.create_project(name=site.name(), domain_id="default")
    wires = [
        {"provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": vlan}
        for vlan in (site.first, site.first + 1)
    ]
    one = site.sdk.network.create_network(name=f"{site.name()}-net", project_id=project.id, segments=wires)
    assert one.provider_segmentation_id is None
    assert [each.id for each in site.sdk.network.networks(provider_segmentation_id=site.first + 1)] == [one.id]
    assert refused(site.sdk.network.update_network, one.id, provider_segmentation_id=site.first + 2)[0] == 400
    segment = next(site.sdk.network.segments(network_id=one.id))
    for method, path, body in (
        ("PUT", f"/segments/{segment.id}", {"segment": {"segmentation_id": site.first + 2}}),
        ("GET", f"/segments?segmentation_id={site.first}", None),
    ):
        assert site.sdk.network.request(path, method, json=body).status_code == 400
    site.refuses(site.one(vlan=site.first + 2, on_drift="move"), "has several segments", "such one is not managed")
    owners = [site.modules.neutron_vlan.owner(site.first + number, **site.login) for number in range(2)]
    assert [owner["id"] for [owner] in owners] == [one.id, one.id]


def test_a_trunks_tags_are_no_vlans_of_the_wire(site):
    """A subport's id is the tag inside of the VM: nobody's VLAN; one that is inherited stays when its network moves."""
    site.has(site.table(2))
    parent, own, inherits = (site.sdk.network.create_port(network_id=site.network(n).id) for n in (0, 1, 1))
    inner = {"port_id": own.id, "segmentation_type": "vlan", "segmentation_id": site.first + 7}
    trunk = site.sdk.network.create_trunk(port_id=parent.id, sub_ports=[inner])
    site.sdk.network.add_trunk_subports(trunk, [{"port_id": inherits.id, "segmentation_type": "inherit"}])
    assert site.modules.neutron_vlan.owner(site.first + 7, **site.login) == []
    site.nothing_to_do(site.table(2))
    table = site.table(2, on_drift="move")
    table["projects"][site.name(1)]["vlan"] = site.first + 7
    site.converges(table)
    tags = {each["port_id"]: each["segmentation_id"] for each in site.sdk.network.get_trunk(trunk.id).sub_ports}
    assert tags == {own.id: site.first + 7, inherits.id: site.first + 1}
    for number, ports in ((0, [parent]), (1, [own, inherits])):
        ret = site.absent(number)
        assert (ret.result, ret.changes) == (False, {})
        assert all(port.id in ret.comment for port in ports)


# What is read-only, and what is not ours


@pytest.mark.parametrize("field", ["cidr", "ip_version", "network_id", "project_id"])
def test_what_a_subnet_never_changes(site, field):
    site.has(site.one())
    other = site.make_network(1)
    values = {
        "cidr": f"10.{site.block}.1.0/24",
        "ip_version": 6,
        "network_id": other.id,
        "project_id": other.project_id,
    }
    body = {"subnet": {field: values[field]}}
    answer = site.sdk.network.put(f"/subnets/{site.subnet().id}", json=body)
    read_only = field.replace("project_id", "tenant_id")
    assert (answer.status_code, answer.json()["NeutronError"]["message"]) == (
        400,
        f"Cannot update read-only attribute {read_only}",
    )
    assert site.apply(site.one(cidr=f"10.{site.block}.1.0/24")).changes == {}
    site.converges(site.one(dns_nameservers=["9.9.9.9"]))


def test_a_network_never_changes_its_project(site):
    network = by_hand(site)
    other = site.sdk.identity.create_project(name=site.name(1), domain_id="default")
    answer = site.sdk.network.put(f"/networks/{network.id}", json={"network": {"project_id": other.id}})
    assert (answer.status_code, answer.json()["NeutronError"]["message"]) == (
        400,
        "Cannot update read-only attribute tenant_id",
    )
    row = {**site.row(), "network": network.name}
    site.refuses(site.table(projects={site.name(1): row}), f"belongs to network {network.name} ({network.id})")


def test_a_dns_domain_is_left_as_it_is(site):
    assert refused(by_hand, site, dns_domain="bank.example")[0] == 400
    site.has(site.one())
    site.sdk.network.update_network(site.network().id, dns_domain="bank.example.")
    site.nothing_to_do(site.one())
    site.converges(site.one(vlan=site.first + 1, on_drift="move", mtu=1400))
    assert (site.network().dns_domain, site.network().mtu) == ("bank.example.", 1400)
    refused_unasked(site, site.one(dns_domain="bank.example."), "dns_domain: is an unknown key")


def test_an_id_of_a_private_range_of_another_project(site):
    demo = site.sdk.identity.find_project("demo").id
    ends = {"minimum": site.first, "maximum": site.first + 1, "physical_network": "physnet2", "network_type": "vlan"}
    made = site.sdk.network.create_network_segment_range(shared=False, project_id=demo, **ends)
    again = site.sdk.network.create_network_segment_range
    assert refused(again, name="again", shared=True, **ends) == (409, "NetworkSegmentRangeOverlaps")
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


def test_a_router_that_was_there_serves_and_does_not_become_ours(site):
    site.has(site.one())
    made = site.sdk.network.create_router(name=f"{site.name()}-router", project_id=site.project().id)
    attached = {"old": {"interface": None}, "new": {"interface": site.row()["cidr"]}}
    assert list(site.converges(site.one(router={})).values()) == [attached]
    assert site.sdk.network.get_router(made.id).tags == []
    kept = site.absent(remove_project=False)
    assert (kept.result, kept.changes) == (False, {})
    assert f"is used by network:router_interface {made.id}; remove it first, or force: true takes it" in kept.comment
    gone = site.absent(remove_project=False, force=True)
    assert (gone.result, site.network()) == (True, None), gone.comment
    assert site.sdk.network.get_router(made.id).name == made.name


def test_a_router_takes_no_subnets_that_overlap(site):
    site.has(site.one())
    router = site.sdk.network.create_router(name=f"{site.name()}-router", project_id=site.project().id)
    wide = subnet_of(site, site.make_network(1, name="wide"), cidr=f"10.{site.block}.0.0/16")
    site.sdk.network.add_interface_to_router(router.id, subnet_id=wide.id)
    attach = site.sdk.network.add_interface_to_router
    assert refused(attach, router.id, subnet_id=site.subnet().id) == (400, "BadRequest")
    table = {**site.one(router={}), "overlap": "allow"}
    port = site.sdk.network.create_port(network_id=wide.network_id, device_owner="compute:nova")
    said = f"router: {site.row()['cidr']} overlaps {wide.cidr} of network wide ({wide.network_id}) of project admin"
    used = f"{said}, {wide.cidr}, 1 ports: compute:nova {port.id}"
    site.refuses(table, used)
    site.has({**table, "projects": {site.name(1): site.row(2)}})
    drifted = {site.name(1): {**site.row(2), "vlan": site.first + 3}, **table["projects"]}
    site.refuses({**table, "projects": drifted}, "on_drift: move", used)
    site.sdk.network.delete_port(port.id)
    site.sdk.network.remove_interface_from_router(router.id, subnet_id=wide.id)
    site.converges(table)


@pytest.mark.parametrize("there", [False, True], ids=["new", "attached already"])
def test_a_router_whose_way_out_overlaps(site, external, there):
    outside = site.sdk.network.find_network(external)
    row = {"cidr": f"172.16.{site.block}.0/25", "network": "inside"}
    site.has(site.one(**row, **({"router": {}} if there else {})))
    network = site.sdk.network.find_network("inside", project_id=site.project().id)
    if there:
        router = site.sdk.network.find_router(f"{site.name()}-router", project_id=site.project().id)
        leads = {"external_gateway_info": {"network_id": outside.id}}
        assert refused(site.sdk.network.update_router, router.id, **leads) == (400, "BadRequest")
    site.refuses(site.one(**row, router={"external": external}), f"overlaps 172.16.{site.block}.0/24 of network")
    assert site.sdk.network.get_network(network.id)


def test_a_router_in_use_goes_after_its_interfaces(site):
    site.has(site.one(router={}))
    router = site.sdk.network.find_router(f"{site.name()}-router", project_id=site.project().id)
    assert refused(site.sdk.network.delete_router, router.id) == (409, "RouterInUse")
    assert site.absent().result is True
    assert not list(site.sdk.network.routers(name=router.name))


def test_a_share_is_for_a_projects_id_and_leaves_the_network_unshared(site):
    site.has(site.one())
    body = {"object_type": "network", "object_id": site.network().id, "action": "access_as_shared"}
    share = site.sdk.network.create_rbac_policy
    assert refused(share, **body, target_project_id="demo") == (400, "InvalidInput")
    site.converges(site.one(share_with=["demo"]))
    [policy] = site.sdk.network.rbac_policies(object_id=site.network().id)
    assert policy.target_project_id == site.sdk.identity.find_project("demo").id
    assert site.network().is_shared is False, "as the admin sees it"


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
    found = [seen.network(each) for each in site.client("member").rows("networks")]
    own = [each for each in found if each["project_id"] == demo]
    assert own and all((each["type"], each["vlan"]) == (None, None) for each in own)
    base = {"domain_id": "default", "projects": [], "networks": own, "subnets": []}
    found = plan.plan(desired.rows(site.table()), base)
    assert found["steps"] == []
    assert "The login does not see the networks' VLANs" in found["refusals"][0]


@pytest.mark.parametrize("role", clouds.ROLES)
def test_only_an_admin_may_write_what_we_write(site, role):
    demo = site.sdk.identity.find_project("demo").id
    user = site.cloud.connect(role).network
    fields = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": site.first}
    body = {f"provider:{key}": value for key, value in fields.items()}
    made = user.post("/networks", json={"networks": [{"name": "mine", "project_id": demo, **body}]})
    assert (made.status_code, made.json()["NeutronError"]["type"]) == (403, "PolicyNotAuthorized")
    with pytest.raises(Exception, match=r"refuses POST /networks \(403 PolicyNotAuthorized\).*has to be an admin's"):
        site.client(role).create("networks", [{"name": "mine", "project_id": demo, **body}])


def test_a_member_neither_makes_nor_sees_what_is_anothers(site):
    member = site.cloud.connect("member").network
    other = site.make_network(0)
    asked = member.post("/networks", json={"network": {"name": "mine", "project_id": other.project_id}})
    assert (asked.status_code, "'project_id' other than" in asked.text) == (400, True)
    assert (asked := member.get(f"/networks/{other.id}")).status_code == 404
    assert asked.json()["NeutronError"]["type"] == "NetworkNotFound"
    with pytest.raises(Exception, match=r"refuses PUT /networks/\S+ \(404 NetworkNotFound\)"):
        site.client("member").update("networks", other.id, {"mtu": 1400})
    assert site.sdk.network.get_network(other.id).mtu == 1500


@pytest.mark.parametrize("kind", ["networks", "subnets"])
def test_a_quota_below_what_is_there(site, kind):
    site.has(site.one())
    lower = site.sdk.network.update_quota
    assert refused(lower, site.project().id, **{kind: 0})[0] == 400
    assert getattr(lower(site.project().id, force=True, **{kind: 0}), kind) == 0
    used = getattr(site.sdk.network.get_quota(site.project().id, details=True), kind)
    assert (used["limit"], used["used"]) == (0, 1)
    lower(site.project().id, **{kind: 2})
    spare = site.make_network(1, site.project().id)
    subnet_of(site, spare, cidr=f"10.{site.block}.1.0/24")
    said = site.refuses(site.one(quota={kind: 1}), f"the quota is 1 {kind}, 2 are there and 0 more needed")
    assert f"raise quota: {{{kind}: 2}}" in said


# Absent


def test_absent_asks_for_nothing_that_neutron_refuses(site):
    site.has(site.one())
    port = site.sdk.network.create_port(network_id=site.network().id)
    assert refused(site.sdk.network.delete_subnet, site.subnet().id, ignore_missing=False) == (409, "SubnetInUse")
    assert refused(site.sdk.network.delete_network, site.network().id) == (409, "NetworkInUse")
    before = site.count()
    ret = site.absent()
    assert (ret.result, ret.changes, site.since(before)[1]) == (False, {}, [])
    assert port.id in ret.comment


def test_absent_takes_the_projects_quota_with_it(site):
    site.has(site.one(quota={"networks": 5}))
    project = site.project().id
    assert project in {each["project_id"] for each in site.client().rows("quotas")}
    assert site.absent().result is True
    assert project not in {each["project_id"] for each in site.client().rows("quotas")}


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
