"""
libvirt's XML of a network with names: made, read to a normal form, changed without losing what others put there.

A network is what ``desired.complete`` answers; the forwarders are not in the XML but in a file that it names
(``texts``).
"""

import hashlib
import ipaddress
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

from onepass_lib.dnsmasq.desired import MARK

FILES = "/var/lib/libvirt/dnsmasq"
METADATA = "urn:onepass:dnsmasq_fwd"
DNSMASQ = "http://libvirt.org/schemas/network/dnsmasq/1.0"
SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
DEFAULT_LEASE = 3600

ET.register_namespace("dnsmasq", DNSMASQ)
ET.register_namespace("onepass", METADATA)


def servers_file(name: str) -> str:
    """Where a libvirt network's forwarders are: in the one directory that its dnsmasq may read under AppArmor too."""
    return f"{FILES}/{name}.servers"


def frame(network: dict) -> dict[str, Any]:
    """
    What of a libvirt network can only be changed by its restart, in normal form.

    network
        A complete network.

    Returns:
        ``address``, ``bridge``, ``dns``, ``domain``, ``forward``, ``local_only``, ``local_reverse`` and ``options``.
    """
    return {
        "address": network["address"],
        "bridge": network["bridge"],
        "dns": True,
        "domain": network["domain"],
        "forward": "nat" if network["nat"] else None,
        "local_only": network["local_only"],
        "local_reverse": bool(network["local_only"] and network["reverse"]),
        "options": [f"servers-file={servers_file(network['name'])}", *network["lines"], _who(network)],
    }


def entries(network: dict) -> dict[str, Any]:
    """
    What of a libvirt network can be changed while it runs, in normal form.

    network
        A complete network.

    Returns:
        ``names`` (name to a list of addresses), ``reservations`` (MAC to ``[name, address]``) and ``ranges`` (list of
        ``[start, end, seconds]``).
    """
    dhcp, hosts = network["dhcp"], network["hosts"]
    return {
        "names": {name: [host["address"]] for name, host in hosts.items()},
        "reservations": {host["mac"]: [name, host["address"]] for name, host in hosts.items() if host["mac"]},
        "ranges": [[dhcp["start"], dhcp["end"], dhcp["seconds"]]] if dhcp else [],
    }


def read(xml: str) -> dict[str, Any]:
    """
    A libvirt network's XML in the same normal form.

    xml
        What libvirt answered, of the running network or of its definition.

    Returns:
        ``frame`` (as ``frame``, with ``forwarders`` if the XML itself has some), ``entries`` (as
        ``entries``), ``own`` (the names that a state of ours put there), ``bridge`` and ``addresses`` (all of
        IPv4). What is of IPv6 is not read.
    """
    root = ET.fromstring(xml)
    domain, address, dns = root.find("domain"), _own_ip(root), root.find("dns")
    forward, bridge = root.find("forward"), root.find("bridge")
    return {
        "bridge": bridge.get("name") if bridge is not None else None,
        "own": json.loads(root.findtext(f"metadata/{{{METADATA}}}own") or "[]"),
        "addresses": [_interface(each) for each in root.findall("ip") if _is_ipv4(each)],
        "frame": {
            "address": _interface(address) if address is not None else None,
            "bridge": bridge.get("name") if bridge is not None else None,
            "dns": dns is None or dns.get("enable") != "no",
            "domain": domain.get("name") if domain is not None else None,
            "forward": forward.get("mode", "nat") if forward is not None else None,
            "local_only": domain is not None and domain.get("localOnly") == "yes",
            "local_reverse": bool(address is not None and address.get("localPtr") == "yes"),
            "options": [each.get("value") for each in root.findall(f"{{{DNSMASQ}}}options/{{{DNSMASQ}}}option")],
            **({"forwarders": "in the XML"} if root.findall("dns/forwarder") else {}),
        },
        "entries": {
            "names": _names(root),
            "reservations": dict(map(_reservation, address.findall("dhcp/host") if address is not None else ())),
            "ranges": [_range(each) for each in address.findall("dhcp/range")] if address is not None else [],
        },
    }


def xml(network: dict, existing: str | None = None) -> str:
    """
    The XML of a libvirt network. Of an existing one, everything that the model does not know stays.

    network
        A complete network.
    existing
        The definition to change. Default: a new one, with the spanning tree protocol off.
    """
    root = ET.fromstring(existing) if existing else _blank(network)
    had = read(existing)["own"] if existing else []
    _put(root, "forward", {"mode": "nat"} if network["nat"] else None)
    if network["bridge"]:
        _put(root, "bridge", {"name": network["bridge"]})
    _put(root, "domain", {"name": network["domain"], "localOnly": "yes" if network["local_only"] else "no"})
    _put_names(root, network, had)
    _put_address(root, network, had)
    _put_options(root, frame(network)["options"])
    _put_metadata(root, sorted(network["hosts"]))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def host_xml(kind: str, *values: str) -> str:
    """
    One entry of a libvirt network, as ``virNetworkUpdate`` takes it.

    kind
        ``names`` (address, names; without a name it stands for all of that address), ``reservations`` (MAC, name,
        address) or ``ranges`` (start, end, seconds).
    values
        The entry's values.
    """
    return ET.tostring(ELEMENTS[kind](*values), encoding="unicode")


def names_of(xml: str, address: str) -> list[str | None]:
    """
    The names that an address has in a libvirt network: they are one element, and change together.

    xml
        What libvirt answered, of the running network or of its definition.
    address
        The address.
    """
    hosts = [each for each in ET.fromstring(xml).findall("dns/host") if each.get("ip") == address]
    return [name.text for host in hosts for name in host.findall("hostname")]


def place(xml: str) -> int:
    """
    Which of a libvirt network's addresses, counted from 0, is that of IPv4: ranges and reservations stand below it.

    xml
        What libvirt answered, of the running network or of its definition.
    """
    return [_is_ipv4(each) for each in ET.fromstring(xml).findall("ip")].index(True)


def _who(network: dict) -> str:
    """A record that this dnsmasq alone has: a forwarder that knows it sends everything back here."""
    told = json.dumps([network["name"], network["address"]])
    return f"txt-record={MARK},{hashlib.sha256(told.encode()).hexdigest()[:32]}"


def _blank(network: dict) -> ET.Element:
    root = ET.Element("network")
    ET.SubElement(root, "name").text = network["name"]
    ET.SubElement(root, "bridge", stp="off", delay="0")
    return root


def _is_ipv4(element: Any) -> bool:
    return element.get("family", "ipv4") == "ipv4"


def _own_ip(root: Any) -> Any:
    return next(filter(_is_ipv4, root.findall("ip")), None)


def _names(root: Any) -> dict[str, Any]:
    """Name to its IPv4 addresses."""
    found: dict[str, list] = {}
    for host in root.findall("dns/host"):
        if ":" not in host.get("ip"):
            for name in host.findall("hostname"):
                found.setdefault(name.text.lower(), []).append(host.get("ip"))
    return {name: sorted(addresses) for name, addresses in found.items()}


def _interface(element: Any) -> str:
    length = element.get("prefix") or ipaddress.ip_network(f"0.0.0.0/{element.get('netmask')}").prefixlen
    return f"{element.get('address')}/{length}"


def _reservation(element: Any) -> tuple[str, list]:
    """By its MAC or, as others' may have none, by its name."""
    return (element.get("mac") or element.get("name")).lower(), [element.get("name"), element.get("ip")]


def _range(element: Any) -> list:
    lease = element.find("lease")
    seconds = int(lease.get("expiry")) * SECONDS[lease.get("unit", "minutes")] if lease is not None else DEFAULT_LEASE
    return [element.get("start"), element.get("end"), seconds]


def _put(root: Any, tag: str, attributes: dict | None) -> None:
    """Set attributes of a part, made if it is missing; ``None`` removes the part."""
    found = root.find(tag)
    if attributes is None:
        if found is not None:
            root.remove(found)
        return
    if found is not None and tag == "forward" and found.get("mode", "nat") != attributes["mode"]:
        root.remove(found)
        found = None
    if found is None:
        found = ET.SubElement(root, tag)
    found.attrib.update(attributes)


def _put_names(root: Any, network: dict, had: list) -> None:
    dns: Any = root.find("dns")
    dns = ET.SubElement(root, "dns") if dns is None else dns
    dns.attrib.pop("enable", None)
    for each in dns.findall("forwarder"):
        dns.remove(each)
    mine = {*had, *network["hosts"]}
    hosts = {host.get("ip"): host for host in dns.findall("host") if ":" not in host.get("ip")}
    for host in dns.findall("host"):
        for name in host.findall("hostname") if ":" not in host.get("ip") else ():
            if name.text.lower() in mine:
                host.remove(name)
    for name, host in network["hosts"].items():
        if host["address"] not in hosts:
            hosts[host["address"]] = ET.SubElement(dns, "host", ip=host["address"])
        ET.SubElement(hosts[host["address"]], "hostname").text = name
    for host in dns.findall("host"):
        if not host.findall("hostname"):
            dns.remove(host)


def _put_address(root: Any, network: dict, had: list) -> None:
    address: Any = _own_ip(root)
    address = ET.SubElement(root, "ip") if address is None else address
    address.attrib.pop("prefix", None)
    address.attrib.pop("localPtr", None)
    address.attrib.update(address=network["gateway"], netmask=network["netmask"])
    if frame(network)["local_reverse"]:
        address.set("localPtr", "yes")
    dhcp: Any = address.find("dhcp")
    if dhcp is None and network["dhcp"]:
        dhcp = ET.SubElement(address, "dhcp")
    if dhcp is not None and not network["dhcp"]:
        address.remove(dhcp)
    if not network["dhcp"]:
        return
    wanted = entries(network)
    mine, macs = {*had, *network["hosts"]}, wanted["reservations"]
    gone = [each for each in dhcp.findall("host") if each.get("name") in mine or _reservation(each)[0] in macs]
    for each in [*dhcp.findall("range"), *gone]:
        dhcp.remove(each)
    for place, each in enumerate(wanted["ranges"]):
        dhcp.insert(place, _range_element(*each))
    dhcp.extend(_reservation_element(mac, *each) for mac, each in macs.items())


def _put_options(root: Any, options: list) -> None:
    for each in root.findall(f"{{{DNSMASQ}}}options"):
        root.remove(each)
    holder = ET.SubElement(root, f"{{{DNSMASQ}}}options")
    for option in options:
        ET.SubElement(holder, f"{{{DNSMASQ}}}option", value=option)


def _put_metadata(root: Any, names: list) -> None:
    holder = root.find("metadata")
    if holder is None:
        holder = ET.Element("metadata")
        root.insert(1 + (root.find("uuid") is not None), holder)
    for each in holder.findall(f"{{{METADATA}}}own"):
        holder.remove(each)
    ET.SubElement(holder, f"{{{METADATA}}}own").text = json.dumps(names)


def _name_element(address: str, *names: str) -> ET.Element:
    element = ET.Element("host", ip=address)
    for name in names:
        ET.SubElement(element, "hostname").text = name
    return element


def _reservation_element(mac: str, name: str | None, address: str) -> ET.Element:
    """Others' reservations may have no name, or no MAC."""
    given = {"mac": mac if ":" in mac else None, "name": name, "ip": address}
    return ET.Element("host", {key: value for key, value in given.items() if value})


def _range_element(start: str, end: str, seconds: int) -> ET.Element:
    element = ET.Element("range", start=start, end=end)
    if int(seconds) != DEFAULT_LEASE:
        ET.SubElement(element, "lease", expiry=str(int(seconds) // 60), unit="minutes")
    return element


ELEMENTS: dict[str, Callable[..., Any]] = {
    "names": _name_element,
    "reservations": _reservation_element,
    "ranges": _range_element,
}
