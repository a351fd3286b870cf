"""What is planned for a row, from what the row says and what the cloud has: the decision table, and each field."""

import pytest
from onepass_lib.neutron import desired
from onepass_lib.neutron import plan as plans
from onepass_lib.neutron import seen as read

TAG = "managed-by=salt"
PROJECTS = [{"id": f"p-{n}", "name": n, "domain_id": "default", "enabled": True, "tags": []} for n in ("demo", "shop")]


def network(number, name="demo-net", project="p-demo", vlan=12, **more):
    """As the API answers it, in our words."""
    answer = {
        "id": number,
        "name": name,
        "project_id": project,
        "tags": [TAG],
        "mtu": 1500,
        "provider:network_type": "vlan",
        "provider:physical_network": "physnet1",
        "provider:segmentation_id": vlan,
    }
    return read.network({**answer, **more})


def subnet(number, network_id, cidr="10.0.12.0/24", project="p-demo", **more):
    answer = {
        "id": number,
        "network_id": network_id,
        "project_id": project,
        "cidr": cidr,
        "enable_dhcp": True,
        "gateway_ip": cidr.replace("0/24", "1"),
        "allocation_pools": [{"start": cidr.replace("0/24", "2"), "end": cidr.replace("0/24", "254")}],
        "dns_nameservers": [],
    }
    return read.subnet({**answer, **more})


def port(number, network_id, subnet_id="s1", kind="ovs", host="", owner="", device=""):
    fixed = [{"subnet_id": subnet_id, "ip_address": "10.0.12.9"}]
    answer = {"id": number, "network_id": network_id, "fixed_ips": fixed, "device_owner": owner, "device_id": device}
    return read.port({**answer, "binding:vif_type": kind, "binding:host_id": host})


def world(networks=(), subnets=(), **more):
    base = {"domain_id": "default", "projects": PROJECTS, "networks": list(networks), "subnets": list(subnets)}
    known = {"router_ports": [], "routers": [], "ports": [], "shares": [], "physical_networks": ["physnet1"]}
    return {**base, **known, "quotas": {}, "default_quota": {"network": 10, "subnet": 10, "router": 10}, **more}


def rows(**changes):
    row = {"vlan": 12, "cidr": "10.0.12.0/24", **changes}
    return desired.rows({"physical_network": "physnet1", "projects": {"demo": row}})


def plan(seen, options=None, **changes):
    return plans.plan(rows(**changes), seen, options)


MULTI = {
    "segments": [
        {"provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": vlan}
        for vlan in (12, 20)
    ]
}
OUTSIDE = network("out", "internet", "p-shop", vlan=21, **{"router:external": True})
SAME = world([network("n1")], [subnet("s1", "n1")])
# VLAN held by, network by name: the result, a part of what is said, and the steps when nothing is in the way.
DECISIONS = {
    "nobody, none: create": (world(), {}, "create", "", ["create network", "tag network", "create subnet"]),
    "same network, same: nothing": (SAME, {}, "same", "", []),
    "nobody, has another VLAN: drift": (
        world([network("n1", vlan=13)], [subnet("s1", "n1")]),
        {},
        "drift",
        "network demo-net has VLAN 13, wanted is 12, no ports in use; on_drift: move",
        [],
    ),
    "nobody, has another VLAN, move": (
        world([network("n1", vlan=13)], [subnet("s1", "n1")]),
        {"on_drift": "move"},
        "drift",
        "",
        ["change network"],
    ),
    "nobody, has another VLAN, move, but a port of SR-IOV's is bound": (
        world(
            [network("n1", vlan=13)],
            [subnet("s1", "n1")],
            ports=[port("a1", "n1", host="h1"), port("a2", "n1", kind="hw_veb", host="h2")],
        ),
        {"on_drift": "move"},
        "drift",
        "from VLAN 13 to 12 while ports are bound by SR-IOV or macvtap, which cannot follow: unowned a2 (hw_veb on h2)",
        [],
    ),
    "same project under another name: adopt": (
        world([network("n1", name="old")], [subnet("s1", "n1")]),
        {},
        "adopt",
        "VLAN 12 is already there as network old (n1) of project demo, 10.0.12.0/24, no ports in use; adopt: true",
        [],
    ),
    "same project under another name, adopted": (
        world([network("n1", name="old", tags=[])], [subnet("s1", "n1")]),
        {"adopt": True},
        "adopt",
        "",
        ["change network", "tag network"],
    ),
    "other project": (
        world([network("n2", "shop-net", "p-shop")], [subnet("s2", "n2", project="p-shop")]),
        {"cidr": "10.0.99.0/24"},
        "conflict",
        "VLAN 12 on physnet1 belongs to network shop-net (n2) of project shop, 10.0.12.0/24, no ports in use",
        [],
    ),
    "other project, network by name has another VLAN": (
        world([network("n1", vlan=13), network("n2", "shop-net", "p-shop")]),
        {"on_drift": "move"},
        "conflict",
        "belongs to network shop-net (n2) of project shop",
        [],
    ),
    "same project, other name, and the name has another VLAN": (
        world([network("n1", vlan=13), network("n2", "old")]),
        {"adopt": True, "on_drift": "move"},
        "conflict",
        "belongs to network old (n2) of project demo",
        [],
    ),
    "deleted project: orphan": (
        world([network("n3", "lost-net", "gone")]),
        {},
        "conflict",
        "is an orphan's, network lost-net (n3) of a deleted project (gone), no subnet, no ports in use; "
        "to free it: openstack network delete n3",
        [],
    ),
    "two of that name": (
        world([network("n1"), network("n2", vlan=13)]),
        {},
        "conflict",
        "has 2 networks demo-net: n1, n2; keep one",
        [],
    ),
    "multi-segment network": (
        world([network("n1", **MULTI)]),
        {},
        "conflict",
        "has several segments: vlan 12 on physnet1, vlan 20 on physnet1",
        [],
    ),
    "held by a segment of a multi-segment network": (
        world([network("n2", "wide", **MULTI)]),
        {"adopt": True},
        "conflict",
        "VLAN 12 on physnet1 belongs to network wide (n2)",
        [],
    ),
    "another type": (
        world([network("n1", **{"provider:network_type": "flat", "provider:segmentation_id": None})]),
        {},
        "drift",
        "is flat on physnet1, wanted is vlan on physnet1; that cannot be changed in place",
        [],
    ),
    "another physical network": (
        world([network("n1", **{"provider:physical_network": "physnet2"})]),
        {},
        "drift",
        "is vlan on physnet2, wanted is vlan on physnet1",
        [],
    ),
    "the id on another physical network is nobody's": (
        world([network("n2", "shop-net", "p-shop", **{"provider:physical_network": "physnet2"})]),
        {},
        "create",
        "",
        ["create network", "tag network", "create subnet"],
    ),
    "no tag: healed": (
        world([network("n1", tags=["gold"])], [subnet("s1", "n1")]),
        {},
        "drift",
        "",
        ["tag network"],
    ),
    "no subnet: finished": (world([network("n1")]), {}, "drift", "", ["create subnet"]),
    "another CIDR": (
        world([network("n1")], [subnet("s1", "n1", "10.0.13.0/24")]),
        {},
        "drift",
        "network demo-net has 10.0.13.0/24 (s1), wanted is 10.0.12.0/24, no ports in use; a CIDR cannot be changed",
        [],
    ),
    "subnet of another project": (
        world([network("n1")], [subnet("s1", "n1", project="p-shop")]),
        {},
        "conflict",
        "subnet 10.0.12.0/24 (s1) belongs to another project, shop",
        [],
    ),
    "a cidr that overlaps one of the cloud": (
        world([network("n2", "shop-net", "p-shop", vlan=20)], [subnet("s2", "n2", "10.0.12.0/24", "p-shop")]),
        {"cidr": "10.0.0.0/16"},
        "conflict",
        "10.0.0.0/16 overlaps 10.0.12.0/24 of network shop-net (n2) of project shop",
        [],
    ),
    "unknown physical network": (
        world(physical_networks=["physnet2"]),
        {},
        "conflict",
        "physical network physnet1 is unknown; the cloud has physnet2",
        [],
    ),
    "unknown external network": (
        SAME,
        {"router": {"external": "internet"}},
        "conflict",
        "no external network internet; the cloud has none",
        [],
    ),
    "a router that serves an overlapping subnet": (
        world(
            [network("n1"), network("n2", "wide", vlan=20)],
            [subnet("s1", "n1"), subnet("s2", "n2", "10.0.0.0/16", gateway_ip="10.0.0.1", allocation_pools=[])],
            routers=[{"id": "r1", "name": "demo-router", "project_id": "p-demo"}],
            router_ports=[port("a1", "n2", "s2", owner="network:router_interface", device="r1")],
        ),
        {"router": {}},
        "drift",
        "router: 10.0.12.0/24 overlaps 10.0.0.0/16 of network wide (n2) of project demo, 10.0.0.0/16",
        [],
    ),
    "a router whose way out overlaps": (
        world([OUTSIDE], [subnet("s2", "out", "10.0.0.0/16", gateway_ip="10.0.0.1", allocation_pools=[])]),
        {"router": {"external": "internet"}},
        "conflict",
        "router: 10.0.12.0/24 overlaps 10.0.0.0/16 of network internet (out)",
        [],
    ),
    "share with a project that is not there": (
        SAME,
        {"share_with": ["shopp"]},
        "drift",
        "share_with: there is no project shopp; did you mean 'shop'?",
        [],
    ),
}


@pytest.mark.parametrize("case", DECISIONS.values(), ids=list(DECISIONS))
def test_decision_table(case):
    seen, changes, result, said, steps = case
    found = plan(seen, **changes)
    verdict = found["rows"]["demo"]
    assert verdict["result"] == result
    assert [f"{step['do']} {step['what'].split()[0]}" for step in found["steps"]] == steps
    if said:
        assert any(said in why for why in verdict["why"]), verdict["why"]
        assert found["refusals"] == [f"demo: {why}" for why in verdict["why"]]
    else:
        assert verdict["why"] == []


@pytest.mark.parametrize(
    "changes,fields",
    [
        ({"gateway": "10.0.12.1"}, {}),
        ({"dhcp": False}, {"dhcp": (True, False)}),
        ({"dns_nameservers": ["9.9.9.9", "1.1.1.1"]}, {"dns_nameservers": ([], ["9.9.9.9", "1.1.1.1"])}),
        ({"mtu": 1400}, {"mtu": (1500, 1400)}),
        (
            {"pools": ["10.0.12.10-10.0.12.20"]},
            {"pools": ([["10.0.12.2", "10.0.12.254"]], [["10.0.12.10", "10.0.12.20"]])},
        ),
        (
            {"gateway": None},
            {"gateway": ("10.0.12.1", ""), "pools": ([["10.0.12.2", "10.0.12.254"]], [["10.0.12.1", "10.0.12.254"]])},
        ),
        (
            {"gateway": "10.0.12.254"},
            {
                "gateway": ("10.0.12.1", "10.0.12.254"),
                "pools": ([["10.0.12.2", "10.0.12.254"]], [["10.0.12.1", "10.0.12.253"]]),
            },
        ),
        ({"quota": {"networks": 10}}, {}),
        ({"quota": {"networks": 5}}, {"quota networks": (10, 5)}),
    ],
    ids=str,
)
def test_what_is_said_is_compared_and_the_rest_left_alone(changes, fields):
    verdict = plan(SAME, **changes)["rows"]["demo"]
    assert verdict["fields"] == {key: {"old": old, "new": new} for key, (old, new) in fields.items()}
    assert verdict["result"] == ("drift" if fields else "same")


def test_the_order_of_name_servers_is_part_of_the_wish():
    seen = world([network("n1")], [subnet("s1", "n1", dns_nameservers=["1.1.1.1", "9.9.9.9"])])
    assert plan(seen, dns_nameservers=["1.1.1.1", "9.9.9.9"])["steps"] == []
    assert plan(seen, dns_nameservers=["9.9.9.9", "1.1.1.1"])["steps"][0]["new"] == {
        "dns_nameservers": ["9.9.9.9", "1.1.1.1"]
    }


def test_all_three_provider_fields_are_always_sent():
    body = plan(world())["steps"][0]["body"]
    assert {key.partition(":")[2]: value for key, value in body.items() if ":" in key} == {
        "network_type": "vlan",
        "physical_network": "physnet1",
        "segmentation_id": 12,
    }


def test_no_step_ever_deletes():
    for seen, changes, *_ in DECISIONS.values():
        assert not [step for step in plan(seen, **changes)["steps"] if step["do"] in ("remove", "delete", "replace")]


def test_all_that_is_in_the_way_of_a_row_is_told_at_once():
    held = [network("n2", "shop-net", "p-shop")]
    taken = plan(world(held, [subnet("s2", "n2", project="p-shop")]))["refusals"]
    assert len(taken) == 2 and "overlaps" in taken[0] and "belongs to" in taken[1]
    drifted = plan(world([network("n1", vlan=13)], [subnet("s1", "n1", "10.0.13.0/24")]), router={"external": "x"})
    assert ["VLAN 13" in drifted["refusals"][0], "CIDR" in drifted["refusals"][1]] == [True, True]
    assert "no external network x" in drifted["refusals"][2]


def test_a_login_that_sees_no_vlan_concludes_nothing():
    blind = {f"provider:{key}": None for key in ("network_type", "physical_network", "segmentation_id")}
    found = plan(world([network("n2", "other", **blind)]))
    assert found["steps"] == []
    assert found["refusals"][0].startswith("The login does not see the networks' VLANs: it is no admin's")


@pytest.mark.parametrize(
    "own,changes,said",
    [
        ({}, {}, ""),
        ({"p-demo": {"network": 0}}, {}, "demo: the quota is 0 networks, 0 are there and 1 more needed; raise quota"),
        ({"p-demo": {"subnet": 0}}, {}, "the quota is 0 subnets"),
        ({"p-demo": {"router": 0}}, {"router": {}}, "the quota is 0 routers"),
        ({"p-demo": {"network": 0}}, {"quota": {"networks": 1}}, ""),
        ({"p-demo": {"network": -1}}, {}, ""),
    ],
)
def test_the_quota_is_looked_at_first(own, changes, said):
    refusals = plan(world(quotas=own), **changes)["refusals"]
    assert (said in refusals[0]) if said else not refusals


def test_projects_are_created_only_if_they_may_be():
    seen = world(projects=[])
    assert [step["do"] for step in plan(seen)["steps"]][0] == "create"
    refusal = plan(world(projects=[{**PROJECTS[0], "name": "demos"}]), {"create_projects": False})["refusals"]
    assert refusal == ["demo: there is no project demo; did you mean 'demos'?"]


def test_a_disabled_project_and_one_of_another_domain():
    disabled = world(projects=[{**PROJECTS[0], "enabled": False}])
    assert "the project is disabled" in plan(disabled)["refusals"][0]
    elsewhere = world(projects=[{**PROJECTS[0], "domain_id": "other"}])
    assert plan(elsewhere)["steps"][0]["what"] == "project demo"


def moving(wanted, have):
    """Projects with their wanted ids, on networks that have others."""
    table = {name: {"vlan": vlan, "cidr": f"10.{number}.0.0/24"} for number, (name, vlan) in enumerate(wanted.items())}
    projects = [{**PROJECTS[0], "id": f"p-{name}", "name": name} for name in wanted]
    networks = [network(f"n-{name}", f"{name}-net", f"p-{name}", have[name]) for name in wanted]
    subnets = [subnet(f"s-{name}", f"n-{name}", table[name]["cidr"], f"p-{name}") for name in wanted]
    made = desired.rows({"physical_network": "physnet1", "on_drift": "move", "projects": table})
    return plans.plan(made, world(networks, subnets, projects=projects))


def test_moves_wait_for_each_other():
    found = moving({"a": 13, "b": 14, "c": 15}, {"a": 12, "b": 13, "c": 14})
    assert [(step["row"], step["new"]["vlan"]) for step in found["steps"]] == [("c", 15), ("b", 14), ("a", 13)]


def test_an_exchange_of_vlans_is_refused():
    found = moving({"a": 13, "b": 12, "c": 16}, {"a": 12, "b": 13, "c": 15})
    assert found["steps"] == []
    assert found["refusals"] == ["a, b: these exchange VLANs; move one of them to a free id first"]


ROUTER_PORT = {
    "id": "i1",
    "network_id": "n1",
    "device_id": "r1",
    "owner": "network:router_interface",
    "subnets": ["s1"],
    "addresses": ["10.0.12.1"],
}
OUTSIDE = network("x1", "internet", "p-shop", 900, **{"router:external": True})
GATEWAY_PORT = {**ROUTER_PORT, "id": "i2", "network_id": "x1", "owner": "network:router_gateway", "subnets": []}


@pytest.mark.parametrize(
    "ports,routers,result,steps",
    [
        ([], [], "drift", ["create", "attach"]),
        ([], [{"id": "r1", "name": "demo-router", "project_id": "p-demo"}], "drift", ["change", "attach"][::-1]),
        ([ROUTER_PORT], [], "drift", ["change"]),
        ([ROUTER_PORT, GATEWAY_PORT], [], "same", []),
    ],
    ids=["no router", "a router, not attached", "attached, leads nowhere", "all there"],
)
def test_router(ports, routers, result, steps):
    seen = world([network("n1"), OUTSIDE], [subnet("s1", "n1")], router_ports=ports, routers=routers)
    found = plan(seen, router={"external": "internet"})
    assert found["rows"]["demo"]["result"] == result
    assert [step["do"] for step in found["steps"]] == steps


@pytest.mark.parametrize(
    "router,new",
    [
        ({}, {}),
        ({"description": "by hand"}, {}),
        ({"description": TAG}, {"tag": TAG}),
        ({"description": TAG, "tags": [TAG]}, {}),
    ],
    ids=str,
)
def test_only_a_router_that_we_have_created_gets_our_tag(router, new):
    there = {"id": "r1", "name": "demo-router", "project_id": "p-demo", **router}
    [step] = plan(world([network("n1")], [subnet("s1", "n1")], routers=[there]), router={})["steps"]
    assert (step["do"], step["new"]) == ("attach", {"interface": "10.0.12.0/24", **new})
    assert step["old"] == dict.fromkeys(step["new"])


def test_a_router_that_leads_elsewhere_is_not_turned():
    other = {**OUTSIDE, "id": "x2", "name": "wan", "vlan": 901}
    seen = world([network("n1"), OUTSIDE, other], [subnet("s1", "n1")], router_ports=[ROUTER_PORT, GATEWAY_PORT])
    assert "router r1 leads to internet, wanted is wan" in plan(seen, router={"external": "wan"})["refusals"][0]


@pytest.mark.parametrize("overlap,said", [("warn", 1), ("allow", 0)])
def test_an_overlap_is_told_on_every_run_or_not_at_all(overlap, said):
    shop = network("n2", "shop-net", "p-shop", vlan=20), subnet("s2", "n2", "10.0.12.0/24", "p-shop")
    for mine in ([], [(network("n1"), subnet("s1", "n1"))]):
        networks, subnets = zip(shop, *mine, strict=True)
        found = plan(world(networks, subnets), {"overlap": overlap})
        assert found["refusals"] == []
        assert bool(found["steps"]) is not bool(mine)
        words = "10.0.12.0/24 overlaps 10.0.12.0/24 of network shop-net (n2) of project shop, 10.0.12.0/24"
        assert found["rows"]["demo"]["warnings"] == [f"{words}, no ports in use"] * said
        assert found["warnings"] == [f"demo: {words}, no ports in use"] * said


def test_ports_are_read_once_all_networks_that_are_in_the_way_are_known():
    table = {"demo": {"vlan": 12, "cidr": "10.0.12.0/24"}, "shop": {"vlan": 20, "cidr": "10.0.20.0/24", "router": {}}}
    wanted = desired.rows({"physical_network": "physnet1", "projects": table})
    wide = subnet("s3", "n3", "10.0.0.0/16", "p-shop", gateway_ip="10.0.0.1", allocation_pools=[])
    seen = world(
        [network("n1", vlan=13), network("n2", "shop-net", "p-shop", 20), network("n3", "wide", "p-shop", 21)],
        [subnet("s1", "n1"), subnet("s2", "n2", "10.0.20.0/24", "p-shop"), wide],
        router_ports=[port("a1", "n3", "s3", owner="network:router_interface", device="r1")],
        routers=[{"id": "r1", "name": "shop-router", "project_id": "p-shop"}],
    )
    known, asked = {**seen, **dict.fromkeys(("router_ports", "routers", "ports"))}, []
    while more := plans.needs(wanted, known):
        asked.append(more)
        known.update({kind: seen[kind] for kind in more})
    assert asked[-1] == {"ports": {"network_id": ["n1", "n3"]}}


@pytest.mark.parametrize("count", [1, 10, 100])
def test_what_is_read_does_not_depend_on_the_number_of_rows(count):
    table = {f"p{n}": {"vlan": 2 + n, "cidr": f"10.{n}.0.0/24"} for n in range(count)}
    fresh = desired.rows({"physical_network": "physnet1", "projects": table})
    base = {"domain_id": "default", "projects": [], "networks": [], "subnets": []}
    assert sorted(plans.needs(fresh, base)) == ["physical_networks", "quotas"]
    assert plans.needs(rows(), {key: SAME[key] for key in base}) == {}
