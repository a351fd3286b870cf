"""
One project's row against what is in the cloud: its steps, what differs, what is refused and why. Pure.

Here are the decisions of ``plan``, which puts the rows' steps in order: whether a network is created,
compared, moved, adopted or somebody else's; its subnet; its router; with whom it is shared; its project's quota.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any

from onepass_lib.core.steps import Step
from onepass_lib.neutron.client import TAG
from onepass_lib.neutron.desired import meant

INTERFACES = (
    "network:router_interface",
    "network:router_interface_distributed",
    "network:ha_router_replicated_interface",
)
ROUTER_GATEWAY = "network:router_gateway"
# Ports that go with their network or router.
OWN_PORTS = ("network:dhcp", "network:distributed", *INTERFACES)
# How ports are bound whose drivers (SR-IOV, macvtap) cannot follow a network to another VLAN.
PINNED = ("hw_veb", "hostdev_physical", "macvtap")
QUOTAS = {
    "networks": "network",
    "subnets": "subnet",
    "ports": "port",
    "routers": "router",
    "floating_ips": "floatingip",
    "security_groups": "security_group",
    "security_group_rules": "security_group_rule",
    "rbac_policies": "rbac_policy",
}
# What a row itself needs of its project's quota.
COUNTED = ("networks", "subnets", "routers")


def router_owners() -> list[str]:
    """Who owns the ports that tell which router serves a subnet and where it leads to."""
    return [*INTERFACES, ROUTER_GATEWAY]


def judge(rows: list[dict], seen: dict[str, Any], options: dict | None = None) -> list[dict]:
    """
    Every row for itself.

    rows
        The wanted rows, see ``desired.rows``.
    seen
        What is there, see ``plan``.
    options
        As for ``plan.plan``.

    Returns:
        List of mappings, one per row: ``project``, ``result``, ``fields``, ``refusals`` and ``warnings`` (sentences),
        ``steps`` (in no order), ``ports_of`` (ids of the networks that a refusal or a move is about).
    """
    cloud = _Cloud(seen, rows, options or {})
    return [_Row(row, cloud).judge() for row in rows]


class _Cloud:
    """What is there, to be looked up fast."""

    def __init__(self, seen: dict[str, Any], rows: list[dict], options: dict) -> None:
        self.seen, self.options = seen, options
        self.projects = {each["id"]: each for each in seen["projects"]}
        self.by_name = {
            each["name"]: each for each in seen["projects"] if each["domain_id"] == seen.get("domain_id", "default")
        }
        self.networks = {each["id"]: each for each in seen["networks"]}
        self.of_project = _grouped(seen["networks"], "project_id")
        self.subnets = _grouped(seen["subnets"], "network_id")
        self.holders = {
            (segment["physical_network"], segment["vlan"]): each
            for each in seen["networks"]
            for segment in each["segments"] or [each]
            if segment["type"] == "vlan"
        }
        self.ports = _grouped(seen.get("ports") or [], "network_id")
        self.counts = {kind: _counted(seen.get(kind) or []) for kind in COUNTED}
        self._spans: list[tuple] | None = None
        self.listed = {one["id"] for row in rows for one in self.named(row)}
        self.leaving = {one["id"] for row in rows for one in self.named(row) if self._leaves(row, one)}

    def named(self, row: dict) -> list[dict]:
        """The networks of the row's project that have the row's name."""
        project = self.by_name.get(row["project"])
        mine = self.of_project.get(project["id"], []) if project else []
        return [each for each in mine if each["name"] == row["network"]]

    def _leaves(self, row: dict, one: dict) -> bool:
        """Whether the network gives its VLAN up in this run."""
        alone = len(self.named(row)) == 1 and not one["segments"]
        here = one["physical_network"] == row["physical_network"]
        return alone and here and row["on_drift"] == "move" and one["vlan"] != row["vlan"]

    def spans(self) -> list[Any]:
        """Version, first and last address, and the subnet itself, of all subnets on inner networks of a wire."""
        if self._spans is None:
            inner = {
                each["id"]
                for each in self.networks.values()
                if (each["physical_network"] or each["segments"]) and not each["external"]
            }
            self._spans = [(*_span(each["cidr"]), each) for each in self.seen["subnets"] if each["network_id"] in inner]
        return self._spans

    def owner(self, one: dict) -> str:
        """A network in words: whose it is, what it has."""
        project = self.projects.get(one["project_id"])
        whose = f"project {project['name']}" if project else f"a deleted project ({one['project_id'] or 'none'})"
        cidrs = ", ".join(each["cidr"] for each in self.subnets.get(one["id"], [])) or "no subnet"
        return f"network {one['name'] or one['id']} ({one['id']}) of {whose}, {cidrs}{self.hanging(one)}"

    def hanging(self, one: dict) -> str:
        """The ports of a network in words, ``""`` while they have not been read."""
        if self.seen.get("ports") is None:
            return ""
        ports = [each for each in self.ports.get(one["id"], []) if each["owner"] not in OWN_PORTS]
        named = ", ".join(f"{each['owner'] or 'unowned'} {each['id']}" for each in ports[:5])
        more = f" and {len(ports) - 5} more" if len(ports) > 5 else ""
        return f", {len(ports)} ports: {named}{more}" if ports else ", no ports in use"

    def pinned(self, one: dict) -> list[str]:
        """The ports of a network that keep it from moving, in words."""
        ports = [each for each in self.ports.get(one["id"], []) if each["vif_type"] in PINNED]
        return [f"{each['owner'] or 'unowned'} {each['id']} ({each['vif_type']} on {each['host']})" for each in ports]

    def near(self, router: Any, external: dict | None) -> list[dict]:
        """The subnets that a router serves, and those of where it leads or is to lead to."""
        ports = [each for each in self.seen.get("router_ports") or [] if router and each["device_id"] == router]
        served = {number for each in ports if each["owner"] in INTERFACES for number in each["subnets"]}
        outside = {each["network_id"] for each in ports if each["owner"] == ROUTER_GATEWAY}
        outside |= {external["id"]} if external else set()
        return [each for each in self.seen["subnets"] if each["id"] in served or each["network_id"] in outside]


class _Row:
    """One row against the cloud: its steps, and what is refused."""

    def __init__(self, row: dict, cloud: _Cloud) -> None:
        self.row, self.cloud, self.name = row, cloud, row["project"]
        self.what = f"{self.name}/{row['network']}"
        self.steps: list[Step] = []
        self.refusals: list[str] = []
        self.warnings: list[str] = []
        self.ports_of: list[str] = []
        self.fields: dict[str, dict] = {}
        self.result = "same"

    def judge(self) -> Any:
        """All that there is to say of the row, see :py:func:`judge`."""
        project = self._project()
        one = self._network(project)
        if one or not self.refusals:
            found = self._subnet(one)
            self._router(found)
            self._shares(one)
            self._quota(project)
        self._warn_of_overlaps(one)
        return {
            "project": self.name,
            "result": "conflict" if self.refusals and self.result not in ("drift", "adopt") else self.result,
            **{key: getattr(self, key) for key in ("fields", "refusals", "warnings", "steps", "ports_of")},
        }

    def refuse(self, why: str, one: dict | None = None) -> None:
        """Note a reason, and the network that it is about."""
        self.refusals.append(why)
        if one:
            self.ports_of.append(one["id"])

    def step(self, kind: str, do: str, what: str, old: Any, new: Any, **more: Any) -> None:
        """Note a step."""
        self.steps.append({"kind": kind, "do": do, "what": what, "old": old, "new": new, "row": self.name, **more})

    def differ(self, fields: dict) -> None:
        """Note fields that differ: the row has drifted, unless something worse was found."""
        self.fields.update(fields)
        self.result = "drift" if self.result == "same" else self.result

    def _project(self) -> Any:
        project = self.cloud.by_name.get(self.name)
        if project is None and not self.cloud.options.get("create_projects", True):
            close = meant(self.name, self.cloud.by_name)
            self.refuse(f"there is no project {self.name}; {close or 'create it, or say create_projects: true'}")
        elif project is None:
            new = {"domain": self.cloud.seen.get("domain_id")}
            body = {"name": self.name, "domain_id": self.cloud.seen.get("domain_id"), "tags": [TAG]}
            self.step("project", "create", f"project {self.name}", None, new, body=body)
        elif not project["enabled"]:
            self.refuse("the project is disabled; enable it, or take it from the table")
        return project

    def _network(self, project: dict | None) -> Any:
        row, cloud = self.row, self.cloud
        named, holder = cloud.named(row), cloud.holders.get((row["physical_network"], row["vlan"]))
        if len(named) > 1:
            numbers = ", ".join(each["id"] for each in named)
            return self.refuse(f"has {len(named)} networks {row['network']}: {numbers}; keep one")
        one = named[0] if named else None
        if one and one["segments"]:
            each = ", ".join(f"{s['type']} {s['vlan']} on {s['physical_network']}" for s in one["segments"])
            return self.refuse(f"network {row['network']} has several segments: {each}; such one is not managed", one)
        if one and one["type"] and (one["type"], one["physical_network"]) != ("vlan", row["physical_network"]):
            return self._other_wire(one)
        if holder and holder is not one and holder["id"] not in cloud.leaving:
            return self._taken(holder, one, project)
        if one is None:
            return self._create_network()
        return self._compare_network(one)

    def _other_wire(self, one: dict) -> None:
        old = {"network_type": one["type"], "physical_network": one["physical_network"]}
        new = {"network_type": "vlan", "physical_network": self.row["physical_network"]}
        self.differ({key: {"old": old[key], "new": new[key]} for key in old if old[key] != new[key]})
        found = f"is {one['type']} on {one['physical_network']}"
        wanted = f"wanted is vlan on {new['physical_network']}; that cannot be changed in place"
        self.refuse(f"network {one['name']} {found}, {wanted}", one)

    def _taken(self, holder: dict, one: dict | None, project: dict | None) -> Any:
        wanted = f"VLAN {self.row['vlan']} on {self.row['physical_network']}"
        if project and holder["project_id"] == project["id"] and not holder["segments"] and not one:
            return self._adopt(holder)
        if not one:
            self._refuse_overlaps()
        if holder["project_id"] not in self.cloud.projects and holder["project_id"]:
            free = f"openstack network delete {holder['id']}"
            return self.refuse(f"{wanted} is an orphan's, {self.cloud.owner(holder)}; to free it: {free}", holder)
        return self.refuse(f"{wanted} belongs to {self.cloud.owner(holder)}; another id, or free it there", holder)

    def _adopt(self, holder: dict) -> Any:
        row = self.row
        self.fields["name"] = {"old": holder["name"], "new": row["network"]}
        self.result = "adopt"
        if not row["adopt"]:
            why = f"VLAN {row['vlan']} is already there as {self.cloud.owner(holder)}; adopt: true renames it"
            return self.refuse(why, holder)
        changed = {"old": {"name": holder["name"]}, "new": {"name": row["network"]}}
        body = {"name": row["network"]}
        self.step("change", "change", f"network {self.what}", **changed, id=holder["id"], body=body)
        return self._compare_network(holder)

    def _create_network(self) -> None:
        row = self.row
        self.result = "create"
        body = {
            "name": row["network"],
            "provider:network_type": "vlan",
            "provider:physical_network": row["physical_network"],
            "provider:segmentation_id": row["vlan"],
            **({"mtu": row["mtu"]} if row["mtu"] is not None else {}),
        }
        known = self.cloud.seen.get("physical_networks")
        if known and row["physical_network"] not in known:
            listed = ", ".join(sorted(known))
            self.refuse(f"physical network {row['physical_network']} is unknown; the cloud has {listed}")
        new = {"vlan": row["vlan"], "physical_network": row["physical_network"], "tag": TAG}
        new.update({"mtu": row["mtu"]} if row["mtu"] is not None else {})
        self.step("network", "create", f"network {self.what}", None, new, body=body)
        self.step("tag", "tag", f"network {self.what}", None, new, on="networks")

    def _compare_network(self, one: dict) -> Any:
        row = self.row
        if one["vlan"] != row["vlan"]:
            self._move(one)
        if row["mtu"] is not None and one["mtu"] != row["mtu"]:
            changed = {"old": {"mtu": one["mtu"]}, "new": {"mtu": row["mtu"]}}
            self.differ({"mtu": {"old": one["mtu"], "new": row["mtu"]}})
            self.step("change", "change", f"network {self.what}", **changed, id=one["id"], body={"mtu": row["mtu"]})
        if TAG not in one["tags"]:
            self.differ({"tag": {"old": None, "new": TAG}})
            changed = {"old": {"tag": None}, "new": {"tag": TAG}}
            self.step("tag", "tag", f"network {self.what}", **changed, on="networks", id=one["id"])
        return one

    def _move(self, one: dict) -> None:
        row = self.row
        self.differ({"vlan": {"old": one["vlan"], "new": row["vlan"]}})
        self.ports_of.append(one["id"])
        if row["on_drift"] != "move":
            found = f"network {one['name']} has VLAN {one['vlan']}, wanted is {row['vlan']}{self.cloud.hanging(one)}"
            return self.refuse(f"{found}; on_drift: move changes the id in place")
        if pinned := self.cloud.pinned(one):
            move = f"network {one['name']} cannot move from VLAN {one['vlan']} to {row['vlan']}"
            why = f"while ports are bound by SR-IOV or macvtap, which cannot follow: {', '.join(pinned)}"
            return self.refuse(f"{move} {why}; unbind them first")
        body = {"provider:segmentation_id": row["vlan"]}
        changed = {"old": {"vlan": one["vlan"]}, "new": {"vlan": row["vlan"]}}
        return self.step("move", "change", f"network {self.what}", **changed, id=one["id"], body=body)

    def _subnet(self, one: Any) -> dict | None:
        mine = self.cloud.subnets.get(one["id"], []) if one else []
        version = ipaddress.ip_network(self.row["cidr"]).version
        found = next((each for each in mine if each["cidr"] == self.row["cidr"]), None)
        others = [each for each in mine if each is not found and ipaddress.ip_network(each["cidr"]).version == version]
        if found and one and found["project_id"] != one["project_id"]:
            owner = self.cloud.projects.get(found["project_id"], {"name": f"a deleted one, {found['project_id']}"})[
                "name"
            ]
            self.refuse(
                f"subnet {found['cidr']} ({found['id']}) belongs to another project, {owner}; it cannot be given back",
                one,
            )
        elif found:
            self._compare_subnet(found)
        elif others:
            there = ", ".join(f"{each['cidr']} ({each['id']})" for each in others)
            self.differ({"cidr": {"old": others[0]["cidr"], "new": self.row["cidr"]}})
            wanted = f"wanted is {self.row['cidr']}{self.cloud.hanging(one)}; a CIDR cannot be changed in place"
            self.refuse(f"network {one['name']} has {there}, {wanted}", one)
        else:
            self._create_subnet(one)
        return found

    def _create_subnet(self, one: dict) -> None:
        row = self.row
        self._refuse_overlaps()
        self.result = "drift" if one and self.result == "same" else self.result
        body = {"name": row["subnet"], "cidr": row["cidr"], "ip_version": ipaddress.ip_network(row["cidr"]).version}
        body.update(_subnet_body(_said(row)))
        new = {"cidr": row["cidr"], **_said(row)}
        if one:
            self.fields["cidr"] = {"old": None, "new": row["cidr"]}
        self.step("subnet", "create", f"subnet {self.name}/{row['cidr']}", None, new, body=body)

    def _refuse_overlaps(self) -> None:
        if self.cloud.options.get("overlap", "deny") == "deny":
            for said, one in self._overlaps():
                self.refuse(f"{said}; another CIDR, or overlap: warn or allow", one)

    def _warn_of_overlaps(self, own: dict | None) -> None:
        """Of those with the table's own rows ``refuse.warnings`` tells."""
        if self.cloud.options.get("overlap") == "warn":
            known = self.cloud.listed | ({own["id"]} if own else set())
            self.warnings += [said for said, one in self._overlaps() if one["id"] not in known]

    def _overlaps(self) -> Iterator:
        """Subnets on networks of a physical wire that overlap ours, in words, each with its network."""
        version, first, last = _span(self.row["cidr"])
        for kind, low, high, each in self.cloud.spans():
            if kind == version and low <= last and first <= high:
                one = self.cloud.networks[each["network_id"]]
                yield f"{self.row['cidr']} overlaps {each['cidr']} of {self.cloud.owner(one)}", one

    def _compare_subnet(self, found: dict) -> None:
        wanted = _said(self.row)
        leaves = "pools" not in wanted and wanted.get("gateway", found["gateway"]) != found["gateway"]
        if leaves and found["pools"] == _default_pools(found["cidr"], found["gateway"]):
            wanted["pools"] = _default_pools(found["cidr"], wanted["gateway"])
        differing = {key: value for key, value in wanted.items() if found[key] != value}
        if not differing:
            return
        self.differ({key: {"old": found[key], "new": value} for key, value in differing.items()})
        if "ipv6" in differing:
            had = found["ipv6"] or "not said"
            said = f"ipv6 is {had}, wanted is {wanted['ipv6']}, which cannot be changed in place"
            self.refuse(f"subnet {found['cidr']} ({found['id']}): {said}; leave it as it is, or remove the subnet")
            return
        old, body = {key: found[key] for key in differing}, _subnet_body(differing)
        what = f"subnet {self.name}/{found['cidr']}"
        self.step("subnet change", "change", what, old, differing, id=found["id"], body=body)

    def _router(self, found: dict | None) -> None:
        wanted, ports = self.row["router"], self.cloud.seen.get("router_ports")
        if wanted is None:
            return
        external = self._external(wanted["external"])
        if self.refusals or (found and ports is None):
            return
        interface = next(
            (each for each in ports or [] if found and found["id"] in each["subnets"] and each["owner"] in INTERFACES),
            None,
        )
        if interface:
            self._compare_gateway(interface["device_id"], external, ports)
        elif found and not found["gateway"] and not self.row["gateway"]:
            remedy = f"say one, such as gateway: {ipaddress.ip_network(found['cidr'])[1]}"
            self.refuse(f"router: subnet {found['cidr']} has no gateway, which the router would be; {remedy}")
        else:
            self._attach(external)

    def _external(self, name: str) -> dict | None:
        if name is None:
            return None
        named = [each for each in self.cloud.seen["networks"] if each["name"] == name and each["external"]]
        if len(named) != 1:
            there = sorted({each["name"] for each in self.cloud.seen["networks"] if each["external"]})
            known = f"external networks are {', '.join(there)}" if there else "the cloud has none"
            self.refuse(f"router: {len(named) or 'no'} external network{'s' if named else ''} {name}; {known}")
            return None
        return named[0]

    def _refuse_crossing(self, external: dict | None, router: Any = None) -> None:
        """Neutron's routers take no two subnets that overlap, those of the way out among them."""
        version, first, last = _span(self.row["cidr"])
        for each in self.cloud.near(router, external):
            kind, low, high = _span(each["cidr"])
            if kind == version and low <= last and first <= high:
                one = self.cloud.networks[each["network_id"]]
                whose = f"{each['cidr']} of {self.cloud.owner(one)}"
                self.refuse(f"router: {self.row['cidr']} overlaps {whose}, which it serves or leads to", one)

    def _compare_gateway(self, router: Any, external: dict | None, ports: Any) -> None:
        leads = [each for each in ports if each["owner"] == ROUTER_GATEWAY and each["device_id"] == router]
        if external and not leads:
            self._refuse_crossing(external)
        self._gateway(router, external, leads[0]["network_id"] if leads else None)

    def _gateway(self, router: Any, external: dict | None, old: Any) -> None:
        if external is None or old == external["id"]:
            return
        name = self.cloud.networks[old]["name"] if old in self.cloud.networks else old
        if old:
            self.differ({"external": {"old": name, "new": external["name"]}})
            self.refuse(f"router {router} leads to {name}, wanted is {external['name']}; take its gateway away first")
            return
        self.differ({"external": {"old": None, "new": external["name"]}})
        body = {"external_gateway_info": {"network_id": external["id"]}}
        changed = {"old": {"external": None}, "new": {"external": external["name"]}}
        self.step(
            "gateway", "change", f"router {self.name}/{self.row['router']['name']}", **changed, id=router, body=body
        )

    def _attach(self, external: dict | None) -> None:
        name, project = self.row["router"]["name"], self.cloud.by_name.get(self.name)
        there = [
            r
            for r in self.cloud.seen.get("routers") or []
            if project and (r["name"], r["project_id"]) == (name, project["id"])
        ]
        if len(there) > 1:
            return self.refuse(f"has {len(there)} routers {name}: {', '.join(each['id'] for each in there)}; keep one")
        self._refuse_crossing(external, there[0]["id"] if there else None)
        what, inside = f"router {self.name}/{name}", {"interface": self.row["cidr"]}
        self.result = "drift" if self.result == "same" else self.result
        self.fields.update({"router": {"old": there[0]["name"] if there else None, "new": name}})
        if not there:
            new = {"external": external["name"] if external else None, **inside, "tag": TAG}
            info = {"external_gateway_info": {"network_id": external["id"]}} if external else {}
            # None can be created with its tag; until it has it, the description tells it from one that somebody made.
            self.step("router", "create", what, None, new, body={"name": name, "description": TAG, **info})
            return self.step("router", "attach", what, None, new)
        info = there[0].get("external_gateway_info") or {}
        self._gateway(there[0]["id"], external, info.get("network_id"))
        untagged = there[0].get("description") == TAG and TAG not in (there[0].get("tags") or [])
        new = {**inside, **({"tag": TAG} if untagged else {})}
        return self.step("router", "attach", what, dict.fromkeys(new), new, id=there[0]["id"])

    def _shares(self, one: dict | None) -> None:
        known = {(each["object_id"], each["target_tenant"]) for each in self.cloud.seen.get("shares") or []}
        for name in self.row["share_with"]:
            target = self.cloud.by_name.get(name)
            in_table = name in self.cloud.options.get("projects", ())
            if name != "*" and not target and not in_table:
                close = meant(name, self.cloud.by_name)
                self.refuse(
                    f"share_with: there is no project {name}; {close or 'a project of the cloud or of the table'}"
                )
            number = "*" if name == "*" else target and target["id"]
            if one and (one["id"], number) in known:
                continue
            self.result = "drift" if self.result == "same" else self.result
            self.fields[f"share_with {name}"] = {"old": None, "new": "shared"}
            what = f"share {self.what} with {name}"
            self.step("share", "create", what, None, "access_as_shared", target=name)

    def _quota(self, project: Any) -> None:
        quotas = self.cloud.seen.get("quotas")
        if project and quotas is None:
            return
        own = (quotas or {}).get(project["id"], {}) if project else {}
        have = {**(self.cloud.seen.get("default_quota") or {}), **own}
        self._set_quota(project, have)
        for kind in COUNTED if quotas is not None else ():
            self._refuse_full_quota(project, kind, self.row["quota"].get(kind, have.get(QUOTAS[kind], -1)))

    def _set_quota(self, project: dict | None, have: dict) -> None:
        wanted = self.row["quota"]
        old = {key: have.get(QUOTAS[key]) for key in wanted if have.get(QUOTAS[key]) != wanted[key]}
        if old:
            new = {key: wanted[key] for key in old}
            if project:
                self.differ({f"quota {key}": {"old": old[key], "new": new[key]} for key in old})
            body = {QUOTAS[key]: value for key, value in new.items()}
            self.step("quota", "set", f"quota {self.name}", old if project else None, new, body=body)

    def _refuse_full_quota(self, project: dict, kind: str, limit: int) -> None:
        """Refuse new objects that do not fit, and a quota below what is there."""
        new = sum(step["kind"] == QUOTAS[kind] and step["do"] == "create" for step in self.steps)
        there = self.cloud.counts[kind].get(project["id"], 0) if project else 0
        if 0 <= limit < there + new and (new or kind in self.row["quota"]):
            remedy = f"raise quota: {{{kind}: {there + new}}}"
            self.refuse(f"the quota is {limit} {kind}, {there} are there and {new} more needed; {remedy}")


# Forms


def _grouped(objects: list[dict], key: str) -> dict[str, list[dict]]:
    groups: dict[str, list[dict]] = {}
    for each in objects:
        groups.setdefault(each[key], []).append(each)
    return groups


def _counted(objects: list[dict]) -> dict[str, int]:
    return {number: len(group) for number, group in _grouped(objects, "project_id").items()}


def _said(row: dict) -> dict[str, Any]:
    """What the row says of its subnet, so that the rest is left alone."""
    return {key: row[key] for key in ("gateway", "dns_nameservers", "pools", "dhcp", "ipv6") if row[key] is not None}


def _subnet_body(fields: dict) -> dict[str, Any]:
    named = {"dns_nameservers": "dns_nameservers", "dhcp": "enable_dhcp"}
    body = {named[key]: fields[key] for key in named if key in fields}
    if "ipv6" in fields:
        body.update(ipv6_ra_mode=fields["ipv6"], ipv6_address_mode=fields["ipv6"])
    if "gateway" in fields:
        body["gateway_ip"] = fields["gateway"] or None
    if "pools" in fields:
        body["allocation_pools"] = [{"start": first, "end": last} for first, last in fields["pools"]]
    return body


def _span(cidr: str) -> tuple[int, int, int]:
    each = ipaddress.ip_network(cidr)
    return each.version, int(each[0]), int(each[-1])


def _default_pools(cidr: str, gateway: str) -> list[list[str]]:
    """What Neutron makes of a CIDR when it is told no pools: all hosts' addresses but the gateway's."""
    network = ipaddress.ip_network(cidr)
    first, last = int(network[1]), int(network[-2] if network.version == 4 else network[-1])
    middle = int(ipaddress.ip_address(gateway)) if gateway else None
    spans = [(first, last)] if middle is None else [(first, middle - 1), (middle + 1, last)]
    kind = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
    return [[str(kind(low)), str(kind(high))] for low, high in spans if low <= high]
