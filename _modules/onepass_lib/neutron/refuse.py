"""
Everything that is wrong with a table of projects and VLANs, known without any cloud.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any

from salt.exceptions import CommandExecutionError

from onepass_lib.core import form
from onepass_lib.core.steps import Fault
from onepass_lib.neutron import schema
from onepass_lib.neutron.desired import OVERRIDABLE, ends, reserved

# A path below the row or the table, a fault and its remedy.
Rule = tuple[str, str, str]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MAX_DNS = 5
MIN_MTU = {4: 68, 6: 1280}


def faults(table: Any) -> list[Fault]:
    """
    Everything that is wrong with a table, sorted by path; an empty list for a good one.

    table
        The value of the pillar's key ``openstack``, in plain types; ``None`` when there is none.
    """
    if table is None:
        return [_fault("openstack", "is missing", "this key in a pillar file that top.sls gives to this minion")]
    found = schema.faults(table)
    if isinstance(table, dict):
        found += judge(schema.sound(table))
    return form.ordered("openstack", found)


def checked(table: Any) -> dict:
    """The table, if nothing is wrong with it; else ``CommandExecutionError`` with a line per fault."""
    found = faults(table)
    if found:
        raise CommandExecutionError(report(found))
    return table


def report(found: list[Fault]) -> str:
    """Faults as one readable block, each with its place in a file where that is known."""
    lines = [f"{each['path']}: {each['fault']}; {each['remedy']}" for each in found]
    places = [f"  {each['place']}: " if "place" in each else "  " for each in found]
    said = [place + line for place, line in zip(places, lines, strict=True)]
    return "\n".join([f"openstack table: {len(found)} fault{'s' if len(found) > 1 else ''}", *said])


def warnings(table: dict) -> list[str]:
    """CIDRs of a table without faults that overlap each other, where ``overlap: warn`` lets them; a sentence each."""
    if table.get("overlap") != "warn":
        return []
    return [f"{name}: {row['cidr']} {how}" for name, row, how in _overlaps(table["projects"])]


def judge(table: dict) -> list[Fault]:
    """
    What no schema can say, of all that the schema has let through.

    table
        A table, malformed values ``None`` (see ``schema.sound``).
    """
    projects = {name: row for name, row in (table.get("projects") or {}).items() if isinstance(row, dict)}
    found = list(_reserved_rule(table))
    for name, row in projects.items():
        merged = {**{key: table.get(key) for key in OVERRIDABLE}, **row}
        for path, fault, remedy in _row_rules(name, merged, table):
            above = path.split(":")[0] in OVERRIDABLE and path.split(":")[0] not in row
            found.append((path if above else f"projects:{name}:{path}", fault, remedy))
        if "physical_network" not in row and "physical_network" not in table:
            found.append(("physical_network", "is missing", "the network that carries the VLANs, here or in each row"))
    rules = (_vlan_rule(table, projects), _name_rule(projects), _overlap_rule(table, projects))
    found += [each for rule in rules for each in rule]
    return [_fault(*each) for each in dict.fromkeys(found)]


# Rules; each yields (path, fault, remedy)


def _row_rules(name: str, row: dict, table: dict) -> Iterator[Rule]:
    if row.get("vlan") in reserved(table):
        yield "vlan", *_reserved_words(row["vlan"], table)
    cidr = row.get("cidr")
    network, wrong = _network(cidr) if cidr is not None else (None, None)
    yield from _dns_rule(row, network)
    yield from _router_rule(row)
    yield from _quota_rule(row)
    if name in (row.get("share_with") or []):
        yield "share_with", f"names the project {name} itself", "other projects"
    if wrong:
        yield "cidr", *wrong
    if network:
        yield from _gateway_rule(row, network)
        yield from _pool_rule(row, network)
        yield from _mtu_rule(row, network)
        yield from _ipv6_rule(row, network)


def _reserved_words(vlan: int, table: dict) -> tuple[str, str]:
    if vlan == 1 and not table.get("allow_vlan_1"):
        return "is 1, the default of switches, in which untagged packets travel", "another id, or allow_vlan_1: true"
    return f"is {vlan}, which is reserved", "an id that is not in openstack:reserved"


def _network(cidr: str) -> tuple[Network | None, tuple[str, str] | None]:
    """The network of a CIDR, or what is wrong with it; with host bits set, both."""
    if "/" not in cidr:
        return None, (f"is {cidr!r}, without a prefix", "the subnet with its prefix: 10.0.12.0/24")
    try:
        network = ipaddress.ip_network(cidr.replace("%", "of a zone"), strict=False)
    except ValueError:
        return None, (f"is {cidr!r}, which is no subnet", "the subnet with its prefix: 10.0.12.0/24")
    if str(network) != cidr and ipaddress.ip_address(cidr.split("/")[0]) != network.network_address:
        return network, (f"is {cidr!r}, which has host bits set", f"did you mean {str(network)!r}?")
    if network.prefixlen == 0 or network.num_addresses < 4:
        return None, (
            f"is {cidr!r}, which has {'no' if network.prefixlen else 'too much'} room",
            "a prefix from 1 to 30 (IPv6: 126)",
        )
    # Those of IPv4 in IPv6 are written in two ways, and Neutron's is not ours.
    of_ipv4 = network.version == 6 and int(network.network_address) >> 32 in (0, 0xFFFF)
    if network.is_multicast or network.is_loopback or of_ipv4 or not int(network.network_address):
        return network, (f"is {cidr!r}, which hosts cannot have", "a subnet for hosts")
    return network, None


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _inside(address: Address, network: Network) -> bool:
    """Whether a host of the network can have the address."""
    if address is None or address not in network:
        return False
    return address != network.network_address and (network.version == 6 or address != network.broadcast_address)


def _gateway_rule(row: dict, network: Network) -> Iterator[Rule]:
    """An IPv6 subnet's first address is that of any router there, and Neutron's own default."""
    gateway = row.get("gateway")
    if gateway is None:
        return
    address = _address(gateway)
    if address is None:
        yield "gateway", f"is {gateway!r}, which is no IP address", f"an address of {network}, or null"
    elif address not in network:
        yield "gateway", f"is {gateway}, which is outside of {network}", f"an address of {network}, or null"
    elif not _inside(address, network) and not (network.version == 6 and address == network[0]):
        yield "gateway", f"is {gateway}, which no host of {network} can have", f"such as {network[1]}"


def _pool_rule(row: dict, network: Network) -> Iterator[Rule]:
    whole, pools = [], row.get("pools") or []
    for number, pool in enumerate(pools):
        path = f"pools:{number}"
        if pool is None:
            continue
        first, last = (_address(part.strip()) for part in pool.split("-"))
        if first is None or last is None:
            yield (
                path,
                f"is {pool!r}, which is no range of addresses",
                f"such as {network[10 % network.num_addresses]}-{network[-2]}",
            )
        elif not (_inside(first, network) and _inside(last, network)):
            yield path, f"is {pool}, which is not inside of {network}", f"addresses of {network}'s hosts"
        elif int(last) < int(first):
            yield path, f"is {pool}, which ends before it begins", f"{last}-{first}"
        else:
            whole.append((int(first), int(last), path, pool))
    whole.sort()
    for one, other in zip(whole, whole[1:], strict=False):
        if other[0] <= one[1]:
            yield other[2], f"is {other[3]}, which overlaps {one[3]}", "pools that do not overlap"
    gateway = _address(row["gateway"]) if row.get("gateway") else (network[1] if "gateway" not in row else None)
    for start, end, path, pool in whole:
        if gateway and start <= int(gateway) <= end:
            yield path, f"is {pool}, which holds the gateway {gateway}", "pools without the gateway"


def _mtu_rule(row: dict, network: Network) -> Iterator[Rule]:
    mtu = row.get("mtu")
    if mtu is not None and mtu < MIN_MTU[network.version]:
        yield "mtu", f"is {mtu}, too little for IPv{network.version}", f"{MIN_MTU[network.version]} or more"


def _ipv6_rule(row: dict, network: Network) -> Iterator[Rule]:
    mode = row.get("ipv6")
    if mode is None:
        return
    if network.version == 4:
        yield "ipv6", f"is {mode}, but {network} is of IPv4", "a subnet of IPv6, or no ipv6"
    elif row.get("dhcp") is False:
        yield "ipv6", f"is {mode}, but dhcp is false", "dhcp: true: it serves router advertisements, too"
    elif mode != "dhcpv6-stateful" and network.prefixlen != 64:
        yield "ipv6", f"is {mode}, in which guests make their addresses of 64 bits", "a cidr of /64, or dhcpv6-stateful"


def _dns_rule(row: dict, network: Network | None) -> Iterator[Rule]:
    servers = [each for each in row.get("dns_nameservers") or [] if each]
    if len(servers) > MAX_DNS:
        yield "dns_nameservers", f"has {len(servers)} entries", f"{MAX_DNS} at most"
    for number, server in enumerate(servers):
        address = None if "%" in server else _address(server)
        if address is None:
            yield f"dns_nameservers:{number}", f"is {server!r}, which is no IP address", "an address such as 9.9.9.9"
        elif address in map(_address, servers[:number]):
            yield f"dns_nameservers:{number}", f"is {server} a second time", "each server once"
        elif network and address.version != network.version:
            other = f"a server's address of IPv{network.version}: Neutron takes no other for {network}"
            yield f"dns_nameservers:{number}", f"is {server}, of another family than {network}", other


def _router_rule(row: dict) -> Iterator[Rule]:
    if row.get("router") is not None and "gateway" in row and row["gateway"] is None:
        yield "router", "is wanted, but gateway is null", "a gateway: the address that the router gets"


def _quota_rule(row: dict) -> Iterator[Rule]:
    quota = row.get("quota") or {}
    needs = {"networks": True, "subnets": True, "routers": row.get("router") is not None}
    for name, needed in needs.items():
        if needed and quota.get(name) == 0:
            yield f"quota:{name}", "is 0, but the row itself needs one", "1 or more, or -1 for no limit"


def _reserved_rule(table: dict) -> Iterator[Rule]:
    for number, entry in enumerate(table.get("reserved") or []):
        if entry is not None and not 1 <= ends(entry)[0] <= ends(entry)[1] <= 4094:
            yield (
                f"reserved:{number}",
                f"is {entry!r}, which is no range of VLAN ids",
                "from 1 to 4094, the lower first",
            )


def _vlan_rule(table: dict, projects: dict) -> Iterator[Rule]:
    holders: dict[tuple[str, int], str] = {}
    for name, row in projects.items():
        physical = row.get("physical_network") or table.get("physical_network")
        if row.get("vlan") is not None and physical:
            first = holders.setdefault((physical, row["vlan"]), name)
            if first != name:
                fault = f"is {row['vlan']}, which {first} has on {physical} already"
                yield f"projects:{name}:vlan", fault, "an id of its own for each project"


def _name_rule(projects: dict) -> Iterator[Rule]:
    lower: dict[str, str] = {}
    for name in projects:
        first = lower.setdefault(name.lower(), name)
        if first != name:
            yield f"projects:{name}", f"differs from {first!r} in case only, which Keystone may refuse", "another name"


def _overlap_rule(table: dict, projects: dict) -> Iterator[Rule]:
    if table.get("overlap") not in ("warn", "allow"):
        for name, _, how in _overlaps(projects):
            yield f"projects:{name}:cidr", how, "a subnet of its own, or overlap: warn or allow"


def _overlaps(projects: dict) -> Iterator:
    """Rows whose CIDR overlaps another row's: the project, its row, and how."""
    spans = []
    for name, row in projects.items():
        network = _network(row["cidr"])[0] if row.get("cidr") else None
        if network:
            spans.append((network.version, int(network[0]), int(network[-1]), name, network))
    for one, other in overlapping(spans):
        yield other[3], projects[other[3]], f"{'is' if one[4] == other[4] else 'overlaps'} {one[4]} of {one[3]}"


def overlapping(spans: list) -> list[tuple]:
    """
    Which spans overlap one that begins before them.

    spans
        List of tuples or lists: the kind, the first and the last number, then anything.
    """
    pairs, widest = [], None
    for span in sorted(spans, key=lambda each: each[:3]):
        if widest and widest[0] == span[0] and span[1] <= widest[2]:
            pairs.append((widest, span))
        if not widest or widest[0] != span[0] or span[2] > widest[2]:
            widest = span
    return pairs


def _fault(path: str, fault: str, remedy: str) -> Fault:
    return {"path": path, "fault": fault, "remedy": remedy}
