"""neutron_vlan on a real Keystone and a real Neutron, seen through openstacksdk: what is promised of every state."""

import pytest
from tenants import TAG

# The contract of the states


def test_a_table_from_nothing(site):
    table = site.table(3, dns_nameservers=["9.9.9.9", "1.1.1.1"])
    changes = site.converges(table)
    assert len(changes) == 9
    for number in range(3):
        project, network, subnet = site.project(number), site.network(number), site.subnet(number)
        assert network.project_id == subnet.project_id == project.id
        assert network.provider_network_type == "vlan"
        assert network.provider_physical_network == "physnet1"
        assert network.provider_segmentation_id == site.first + number
        assert (network.tags, network.is_shared) == ([TAG], False)
        assert subnet.cidr == f"10.{site.block}.{number}.0/24"
        assert subnet.gateway_ip == f"10.{site.block}.{number}.1"
        assert subnet.dns_nameservers == ["9.9.9.9", "1.1.1.1"]


def test_everything_that_a_row_can_say(site, external):
    ten = f"10.{site.block}.0"
    row = {
        "network": "bank",
        "gateway": f"{ten}.254",
        "dns_nameservers": ["9.9.9.9"],
        "pools": [f"{ten}.100-{ten}.120", f"{ten}.10-{ten}.20"],
        "dhcp": False,
        "mtu": 1400,
        "router": {"external": external},
        "quota": {"networks": 3, "ports": 77},
        "share_with": ["demo"],
    }
    table = site.one(**row)
    dry = site.apply(table, test=True)
    real = site.apply(table)
    assert (real.result, real.changes) == (True, dry.changes), real.comment
    project = site.project()
    network = site.sdk.network.find_network("bank", project_id=project.id)
    subnet = next(site.sdk.network.subnets(network_id=network.id))
    assert (network.mtu, subnet.gateway_ip, subnet.is_dhcp_enabled) == (1400, f"{ten}.254", False)
    assert sorted(pool["start"] for pool in subnet.allocation_pools) == [f"{ten}.10", f"{ten}.100"]
    router = site.sdk.network.find_router(f"{site.name()}-router", project_id=project.id)
    outside = site.sdk.network.find_network(external)
    assert router.external_gateway_info["network_id"] == outside.id
    assert [
        p.fixed_ips[0]["subnet_id"] for p in site.sdk.network.ports(device_id=router.id, network_id=network.id)
    ] == [subnet.id]
    quota = site.sdk.network.get_quota(project.id)
    assert (quota.networks, quota.ports, quota.subnets) == (3, 77, 1000)
    demo = site.sdk.identity.find_project("demo").id
    assert [p.target_project_id for p in site.sdk.network.rbac_policies(object_id=network.id)] == [demo]
    before = site.count()
    again = site.apply(table)
    assert (again.result, again.changes) == (True, {}), again.comment
    lists, writes = site.since(before)
    assert writes == []
    assert len([call for call in lists if "/default" not in call]) == 6  # four, one for the quota, one for the sharing
    gone = site.absent(network="bank")
    assert gone.result is True, gone.comment
    assert not site.project()
    assert not list(site.sdk.network.networks(name="bank"))
    assert not list(site.sdk.network.routers(project_id=project.id))


def test_ipv6(site):
    wide = f"2001:db8:{site.block:x}"
    row = {"cidr": f"{wide}::/64", "gateway": f"{wide.upper()}:0::1", "dns_nameservers": ["2620:FE::FE"]}
    site.converges(site.one(**row))
    subnet = site.subnet()
    assert (subnet.ip_version, subnet.gateway_ip, subnet.dns_nameservers) == (6, f"{wide}::1", ["2620:fe::fe"])
    site.converges(site.one(**{**row, "gateway": f"{wide}::ff"}))
    assert site.subnet().gateway_ip == f"{wide}::ff"


def test_a_router_costs_one_list_more(site, external):
    site.converges(site.one(router={"external": external}))


def test_absent_undoes_present(site):
    table = site.table(1)
    site.converges(table)
    project = site.project().id
    dry = site.absent(test=True)
    assert site.network()
    real = site.absent()
    assert (real.result, real.changes) == (True, dry.changes), real.comment
    assert not site.project()
    assert not list(site.sdk.network.networks(project_id=project))
    assert not list(site.sdk.network.subnets(project_id=project))
    again = site.absent()
    assert (again.result, again.changes) == (True, {})


def test_present_for_one_project(site):
    arguments = {"name": site.name(), **site.row(), "physical_network": "physnet1", **site.login}
    dry = site.states.neutron_vlan.present(**arguments, test=True)
    real = site.states.neutron_vlan.present(**arguments)
    assert (dry.result, real.result, real.changes) == (None, True, dry.changes)
    assert site.network().provider_segmentation_id == site.first
    again = site.states.neutron_vlan.present(**arguments)
    assert (again.result, again.changes) == (True, {})


def test_the_formula_takes_the_table_from_the_pillar(site, pillar):
    pillar({"openstack": site.table(2)})
    done = site.modules.state.apply("openstack")
    assert all(state["result"] for state in done.raw.values()), done.raw
    assert site.network(1).provider_segmentation_id == site.first + 1


BAD = [
    ({"vlan": 0}, "vlan: is the number 0; a VLAN id, 1 to 4094"),
    ({"vlan": "12"}, "vlan: is '12', not an integer"),
    ({"vlan": True}, "vlan: is true, not an integer"),
    ({"vlan": 1}, "vlan: is 1, the default of switches"),
    ({"cidr": "10.0.0.5/24"}, "cidr: is '10.0.0.5/24', which has host bits set; did you mean '10.0.0.0/24'?"),
    ({"gateway": "10.99.0.1"}, "gateway: is 10.99.0.1, which is outside of"),
    ({"dns_nameservers": "9.9.9.9"}, "dns_nameservers: is '9.9.9.9', not a list"),
    ({"router": {"extern": "x"}}, "router:extern: is an unknown key; did you mean 'external'?"),
    ({"on_drift": "delete"}, "on_drift: is 'delete'"),
    ({"cloud": 5}, "cloud: is the number 5"),
    ({"overlap": "maybe"}, "overlap: is 'maybe'"),
]


@pytest.mark.parametrize("changes,said", BAD, ids=lambda value: str(value)[:40])
def test_bad_arguments_are_refused_before_the_cloud_is_asked(site, changes, said):
    arguments = {"name": site.name(), **site.row(), "physical_network": "physnet1", **site.login, **changes}
    before = site.calls()
    ret = site.states.neutron_vlan.present(**arguments)
    assert (ret.result, ret.changes) == (False, {})
    assert f"Project {site.name()}: {said}" in ret.comment
    assert site.calls() == before


def test_all_bad_arguments_are_told_at_once(site):
    every = {key: value for changes, _ in BAD[4:] for key, value in changes.items()}
    ret = site.states.neutron_vlan.present(**{"name": site.name(), **site.row(), **site.login, "vlan": 0, **every})
    for _, said in [BAD[0], *BAD[4:]]:
        assert said in ret.comment
    ret = site.states.neutron_vlan.absent(name=site.name(), force="yes", network=5)
    assert len(ret.comment.splitlines()) == 3


# Cut anywhere, then run again

WRITES = [
    ("keystone", "POST /v3/projects", 0),
    ("neutron", "PUT /v2.0/quotas", 0),
    ("neutron", "POST /v2.0/networks", 0),
    ("neutron", "PUT /v2.0/networks", 0),
    ("neutron", "POST /v2.0/subnets", 0),
    ("neutron", "POST /v2.0/routers", 0),
    ("neutron", "PUT /v2.0/routers", 0),
    ("neutron", "PUT /v2.0/routers", 1),
    ("neutron", "POST /v2.0/rbac-policies", 0),
]


@pytest.mark.parametrize("answer", [{"status": 503}, {"do": "lose"}], ids=["before", "after"])
@pytest.mark.parametrize("service,call,skip", WRITES, ids=lambda value: str(value))
def test_a_run_that_is_cut_is_finished_by_the_next(site, service, call, skip, answer):
    """A write is refused, or executed and its answer lost, which leaves what a cut there would leave."""
    table = site.one(quota={"networks": 5}, router={}, share_with=["demo"])
    getattr(site.cloud, service).fault(call, skip=skip, **answer)
    cut = site.apply(table)
    assert cut.result is False
    assert "503" in cut.comment
    done = [line for line in cut.comment.split(". ") if line.startswith("Done before: ")]
    assert bool(done) is bool(cut.changes)
    finished = site.apply(table)
    assert finished.result is True, finished.comment
    assert site.apply(table).changes == {}
    assert site.network().tags == [TAG]
    assert len(list(site.sdk.network.networks(project_id=site.project().id))) == 1
    assert len(list(site.sdk.network.routers(project_id=site.project().id))) == 1
    assert site.absent().result is True
    assert not site.project()


def test_a_run_that_fails_can_take_back_what_it_made(site):
    table = site.table(2, rollback=True)
    table["projects"][site.name()]["quota"] = {"networks": 5}
    quotas = site.client().rows("quotas")
    site.cloud.neutron.fault("POST /v2.0/subnets", status=503)
    ret = site.apply(table)
    assert (ret.result, ret.changes) == (False, {})
    assert "Rolled back: 5 objects" in ret.comment
    assert site.client().rows("quotas") == quotas
    assert not site.project(0) and not site.project(1)
    assert site.apply(table).result is True


# Drift


def test_a_vlan_that_differs_is_refused_and_moved_on_request(site):
    site.converges(site.table())
    before = site.network()
    port = site.sdk.network.create_port(network_id=before.id, binding_host_id="compute", device_owner="compute:nova")
    assert port.binding_vif_type == "ovs"
    said = site.refuses(site.one(vlan=site.first + 7), f"has VLAN {site.first}, wanted is {site.first + 7}")
    assert f"1 ports: compute:nova {port.id}" in said
    changes = site.converges(site.one(vlan=site.first + 7, on_drift="move"))
    assert changes == {
        f"network {site.name()}/{site.name()}-net": {"old": {"vlan": site.first}, "new": {"vlan": site.first + 7}}
    }
    after = site.network()
    assert (after.id, after.provider_segmentation_id) == (before.id, site.first + 7)
    assert site.sdk.network.get_port(port.id).network_id == before.id


def test_moves_that_wait_for_each_other_take_one_run(site):
    site.converges(site.table(3))
    table = site.table(3, on_drift="move")
    for number in range(3):
        table["projects"][site.name(number)]["vlan"] += 1
    site.converges(table)
    assert [site.network(n).provider_segmentation_id - site.first for n in range(3)] == [1, 2, 3]


def test_a_created_network_gets_the_id_that_another_leaves(site):
    site.converges(site.table(1))
    table = site.table(2, on_drift="move")
    table["projects"][site.name(0)]["vlan"], table["projects"][site.name(1)]["vlan"] = site.first + 5, site.first
    site.converges(table)
    assert site.network(1).provider_segmentation_id == site.first


def test_fields_drift_is_mended_in_place(site):
    ten = f"10.{site.block}.0"
    wanted = {"dns_nameservers": ["9.9.9.9", "1.1.1.1"], "gateway": f"{ten}.1", "dhcp": True, "mtu": 1450}
    site.converges(site.one(**wanted))
    network, subnet = site.network(), site.subnet()
    site.sdk.network.update_subnet(subnet.id, dns_nameservers=["1.1.1.1", "9.9.9.9"], is_dhcp_enabled=False)
    site.sdk.network.update_network(network.id, mtu=1300)
    changes = site.converges(site.one(**wanted))
    assert changes[f"subnet {site.name()}/{ten}.0/24"] == {
        "old": {"dns_nameservers": ["1.1.1.1", "9.9.9.9"], "dhcp": False},
        "new": {"dns_nameservers": ["9.9.9.9", "1.1.1.1"], "dhcp": True},
    }
    assert (site.network().id, site.subnet().id, site.network().mtu) == (network.id, subnet.id, 1450)


@pytest.mark.parametrize("gateway", ["254", None])
def test_the_gateway_changes_and_the_pools_make_room(site, gateway):
    site.converges(site.one())
    before, ten = site.subnet(), f"10.{site.block}.0"
    site.converges(site.one(gateway=gateway and f"{ten}.{gateway}"))
    after = site.subnet()
    assert (after.id, after.gateway_ip) == (before.id, gateway and f"{ten}.{gateway}")
    assert after.allocation_pools == [{"start": f"{ten}.1", "end": f"{ten}.{'253' if gateway else '254'}"}]


def test_a_cidr_is_never_changed_by_deleting(site):
    site.converges(site.one())
    network, subnet = site.network(), site.subnet()
    site.sdk.network.create_port(network_id=network.id, device_owner="compute:nova")
    site.refuses(site.one(cidr=f"10.{site.block}.9.0/24"), "a CIDR cannot be changed in place", "1 ports: compute:nova")
    assert (site.network().id, site.subnet().id, site.subnet().cidr) == (network.id, subnet.id, subnet.cidr)


def test_what_the_table_does_not_say_is_left_alone(site):
    site.converges(site.one())
    site.sdk.network.update_subnet(site.subnet().id, dns_nameservers=["8.8.8.8"], is_dhcp_enabled=False)
    site.sdk.network.update_network(site.network().id, description="by hand", is_shared=True)
    site.sdk.network.set_tags(site.network(), [TAG, "gold"])
    site.nothing_to_do(site.one())
    assert (site.network().description, sorted(site.network().tags)) == ("by hand", ["gold", TAG])


def test_a_missing_tag_is_healed(site):
    site.converges(site.one())
    site.sdk.network.set_tags(site.network(), ["gold"])
    changes = site.converges(site.one())
    assert list(changes.values()) == [{"old": {"tag": None}, "new": {"tag": TAG}}]
    assert sorted(site.network().tags) == ["gold", TAG]


# What others have


def test_a_vlan_of_another_project_is_told_with_its_owner(site):
    owner = site.sdk.identity.create_project(name=f"owner{site.block}", domain_id="default")
    held = site.make_network(0, owner.id, name="theirs")
    site.sdk.network.create_subnet(
        network_id=held.id, ip_version=4, cidr=f"10.{site.block}.77.0/24", project_id=owner.id
    )
    said = site.refuses(site.table(3), f"VLAN {site.first} on physnet1 belongs to network theirs ({held.id})")
    assert f"of project owner{site.block}, 10.{site.block}.77.0/24, no ports in use" in said
    assert not site.project(1), "all or nothing"


def test_an_orphan_is_told_with_the_command_that_frees_it_and_never_deleted(site):
    owner = site.sdk.identity.create_project(name=f"lost{site.block}", domain_id="default")
    held = site.make_network(0, owner.id)
    site.sdk.identity.delete_project(owner.id)
    site.refuses(site.one(), "is an orphan's", f"to free it: openstack network delete {held.id}")
    assert site.sdk.network.get_network(held.id)
    mine = [each for each in site.modules.neutron_vlan.orphans(**site.login) if each["id"] == held.id]
    assert mine[0]["project"] == "deleted project"
    assert mine[0]["free"] == f"openstack network delete {held.id}"


def test_a_network_under_another_name_is_adopted_on_request(site):
    project = site.sdk.identity.create_project(name=site.name(), domain_id="default")
    held = site.make_network(0, project.id, name="old")
    site.refuses(site.one(), f"VLAN {site.first} is already there as network old", "adopt: true renames it")
    site.converges(site.one(adopt=True))
    assert (site.network().id, site.network().name) == (held.id, f"{site.name()}-net")
    assert site.subnet().cidr == f"10.{site.block}.0.0/24"


def test_two_networks_of_the_name(site):
    project = site.sdk.identity.create_project(name=site.name(), domain_id="default")
    ids = [site.make_network(n, project.id, name=f"{site.name()}-net").id for n in range(2)]
    site.refuses(site.one(), "has 2 networks", *ids)


def test_a_network_of_several_segments_is_never_managed(site):
    project = site.sdk.identity.create_project(name=site.name(), domain_id="default")
    segments = [
        {"provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": vlan}
        for vlan in (site.first, site.first + 1)
    ]
    site.sdk.network.create_network(name=f"{site.name()}-net", project_id=project.id, segments=segments)
    site.refuses(site.one(), "has several segments")
    other = site.table(projects={site.name(5): site.row(1)})
    site.refuses(other, f"VLAN {site.first + 1} on physnet1 belongs to network {site.name()}-net")


def test_a_flat_network_and_one_on_another_wire(site):
    project = site.sdk.identity.create_project(name=site.name(), domain_id="default")
    site.make_network(0, project.id, name=f"{site.name()}-net", physnet="physnet2")
    site.refuses(site.one(), "is vlan on physnet2, wanted is vlan on physnet1; that cannot be changed in place")


def test_the_id_on_another_physical_network_is_free(site):
    site.make_network(0, physnet="physnet2")
    site.converges(site.one())


@pytest.mark.parametrize("vlan", [4093, 4094])
def test_ids_outside_of_all_ranges_are_taken_as_they_are_given(site, vlan):
    """Ranges (physnet1: 100 to 199) only steer what Neutron allocates by itself."""
    site.converges(site.one(vlan=vlan))
    assert site.network().provider_segmentation_id == vlan
    assert site.absent().result is True


def test_vlan_1_only_if_it_is_allowed(site):
    table = site.one(vlan=1)
    assert "the default of switches" in site.apply(table).comment
    site.converges({**table, "allow_vlan_1": True})
    assert site.absent().result is True


def test_an_overlap_with_the_cloud(site):
    other = site.make_network(5, name="elsewhere")
    site.sdk.network.create_subnet(network_id=other.id, ip_version=4, cidr=f"10.{site.block}.0.128/25")
    site.refuses(site.one(), f"10.{site.block}.0.0/24 overlaps 10.{site.block}.0.128/25 of network elsewhere")
    warned = {**site.one(), "overlap": "warn"}
    for test in (True, False, False):  # also when there is nothing to do any more
        ret = site.apply(warned, test)
        assert ret.result is not False
        [said] = ret.warnings
        assert said.startswith(f"{site.name()}: 10.{site.block}.0.0/24 overlaps 10.{site.block}.0.128/25 of network")
    allowed = site.nothing_to_do({**site.one(), "overlap": "allow"})
    assert not allowed.warnings


def test_a_subnet_of_another_project_is_seen(site):
    project = site.sdk.identity.create_project(name=site.name(), domain_id="default")
    network = site.make_network(0, project.id, name=f"{site.name()}-net")
    site.sdk.network.create_subnet(network_id=network.id, ip_version=4, cidr=site.row()["cidr"])
    site.refuses(site.one(), "belongs to another project, admin")


@pytest.mark.parametrize(
    "table,said",
    [
        ({"physical_network": "physnet9"}, "physical network physnet9 is unknown; the cloud has physnet1, physnet2"),
        ({"create_projects": False}, "there is no project"),
        ({"domain": "nowhere"}, "There is no domain nowhere; known are Default"),
    ],
    ids=["physical network", "project", "domain"],
)
def test_names_that_are_not_there(site, table, said):
    site.refuses({**site.table(), **table}, said)


def test_an_external_network_and_a_project_to_share_with_that_are_not_there(site):
    table = site.table(2)
    table["projects"][site.name(0)]["router"] = {"external": "nowhere"}
    table["projects"][site.name(1)]["share_with"] = ["nobody"]
    site.refuses(table, "no external network nowhere", "share_with: there is no project nobody")


def test_a_disabled_project(site):
    site.sdk.identity.create_project(name=site.name(), domain_id="default", is_enabled=False)
    site.refuses(site.one(), "the project is disabled")


def test_a_project_of_the_same_name_in_another_domain(site):
    domain = site.sdk.identity.create_domain(name=f"domain{site.block}")
    other = site.sdk.identity.create_project(name=site.name(), domain_id=domain.id)
    site.converges(site.one())
    mine = [p for p in site.sdk.identity.projects(name=site.name()) if p.domain_id == "default"]
    assert len(mine) == 1
    there = {**site.one(vlan=site.first + 1, cidr=f"10.{site.block}.1.0/24"), "domain": f"domain{site.block}"}
    assert site.apply(there).result is True
    assert len(list(site.sdk.network.networks(project_id=other.id))) == 1


def test_a_full_quota_is_refused_before_the_first_write(site):
    project = site.sdk.identity.create_project(name=site.name(), domain_id="default")
    site.sdk.network.update_quota(project.id, networks=0)
    said = site.refuses(site.table(2), "the quota is 0 networks, 0 are there and 1 more needed")
    assert "raise quota: {networks: 1}" in said
    assert not site.project(1)
    assert site.apply(site.one(quota={"networks": 1})).result is True


def test_what_only_neutron_knows_is_told_in_its_words(site):
    ret = site.apply(site.one(mtu=9000))
    assert ret.result is False
    assert "Neutron refuses POST /networks (400" in ret.comment
    assert "maximum is 1500" in ret.comment
    assert (ret.changes, site.project()) == ({}, None), "nothing is left of the run"
    assert f"Done before: created project {site.name()}" in ret.comment
    assert "Rolled back: 1 object" in ret.comment


def test_an_mtu_that_is_too_much_for_a_network_that_there_is_undoes_what_came_with_it(site):
    """Neutron's limit is in its refusal alone: neither its extensions nor a network, which may have less, tell it."""
    site.has(site.one())
    table = site.table(2)
    table["projects"][site.name()]["mtu"] = 9000
    ret = site.apply(table)
    assert ret.result is False
    assert "Neutron refuses PUT /networks" in ret.comment and "maximum is 1500" in ret.comment
    assert (ret.changes, site.network().mtu, site.project(1)) == ({}, 1500, None), ret.comment
    site.nothing_to_do(site.one())


def test_a_gateway_that_a_router_holds_cannot_change(site):
    site.converges(site.one(router={}))
    ret = site.apply(site.one(gateway=f"10.{site.block}.0.254", router={}))
    assert ret.result is False
    assert "GatewayIpInUse" in ret.comment
    assert site.subnet().gateway_ip == f"10.{site.block}.0.1"


# Absent


def test_absent_names_foreign_ports_and_refuses(site):
    site.converges(site.one())
    port = site.sdk.network.create_port(network_id=site.network().id, device_owner="compute:nova", device_id="vm-7")
    ret = site.absent()
    assert (ret.result, ret.changes) == (False, {})
    assert port.id in ret.comment and "compute:nova vm-7" in ret.comment
    assert site.absent(force=True).result is False
    site.sdk.network.delete_port(port.id)
    assert site.absent().result is True


def test_absent_leaves_what_is_not_ours_unless_forced(site):
    project = site.sdk.identity.create_project(name=site.name(), domain_id="default")
    site.make_network(0, project.id, name=f"{site.name()}-net")
    said = site.absent().comment
    assert f"has not the tag {TAG}" in said and f"project {site.name()} has not the tag" in said
    assert site.network()
    assert site.absent(force=True).result is True
    assert not site.project()


def test_a_project_never_goes_before_its_networks(site):
    site.converges(site.one())
    other = site.make_network(5, site.project().id, name="other")
    said = site.absent().comment
    assert f"has network other ({other.id}), which would be an orphan" in said
    assert site.network()
    assert site.absent(remove_project=False).result is True
    assert site.project() and not site.network()


def test_absent_keeps_a_router_that_serves_others(site):
    site.converges(site.one(router={}))
    router = site.sdk.network.find_router(f"{site.name()}-router", project_id=site.project().id)
    second = site.make_network(5, site.project().id, name="second")
    subnet = site.sdk.network.create_subnet(network_id=second.id, ip_version=4, cidr=f"10.{site.block}.5.0/24")
    site.sdk.network.add_interface_to_router(router.id, subnet_id=subnet.id)
    assert site.absent(remove_project=False).result is True
    assert not site.network()
    assert site.sdk.network.get_router(router.id)
