"""
The pillar of a branch office: everything that is wrong with it, and what follows from it for each of its minions.

.. versionadded:: 0.1.0

Nothing here asks the world. :py:mod:`branch_schema` knows the pillar's form; here is what no schema can say, and the
derivation: of a host only its number and its virtual machine are given. A minion's branch is the end of its id:
``ws017.rosario``. To check a branch without a master::

    salt-call --local -m . --pillar-root pillar --id ws017.rosario branch_pillar.check

The branches together are judged by :py:mod:`branch_fleet`.
"""

import ipaddress
import re
import socket
from collections.abc import Iterator

import onepass_lib
from salt.exceptions import CommandExecutionError

onepass_lib.look(__file__)

from onepass_lib.branch import schema
from onepass_lib.core import form

LINK_LOCAL = ipaddress.ip_network("169.254.0.0/16")
METADATA = ipaddress.ip_address("169.254.169.254")
FIRST_HOST = 10
DEFAULTS = {"port": 22, "bridge": "virbr0", "uplink": "eth0", "way": "auto"}
GATEWAY = "169.254.0.1"
WITHIN = 120


def __virtual__():
    return "branch_pillar"


def check(pillar: dict | None = None) -> dict:
    """
    Refuse a bad pillar with all its faults at once, or answer what a good one describes.

    pillar
        The value of the pillar's key ``branch``. Default: this minion's.

    Returns:
        How many ``gateways`` and ``hosts``.

    Raises ``CommandExecutionError`` with one line per fault: path, fault and remedy.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws017.rosario branch_pillar.check

    .. versionadded:: 0.1.0
    """
    found = faults(pillar)
    if found:
        raise CommandExecutionError(form.report("branch", found))
    return summary(pillar)


def faults(pillar: dict | None = None) -> list:
    """
    Everything that is wrong with the pillar, sorted by path; an empty list for a good one.

    pillar
        The value of the pillar's key ``branch``. Default: this minion's.

    Returns:
        List of mappings: ``path`` (``branch:hosts:ws017:vm:ip``), ``fault`` and ``remedy``.

    Requires ``jsonschema`` 4 in Salt's Python.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws017.rosario branch_pillar.faults

    .. versionadded:: 0.1.0
    """
    pillar = _pillar(pillar)
    if pillar is None:
        remedy = "this key in a pillar file that top.sls gives to this minion"
        return [{"path": "branch", "fault": "is missing", "remedy": remedy}]
    found = schema.faults(pillar)
    sound = schema.sound(pillar) if found else pillar
    if isinstance(sound, dict):
        rules = [*_rules(sound), *__salt__["branch_guests.rules"](sound)]
        found += [dict(zip(("path", "fault", "remedy"), each, strict=True)) for each in rules]
        dns = __salt__["dnsmasq_fwd.faults"](sound["dns"]) if sound.get("dns") is not None else []
        found += [{**each, "path": f"dns:{each['path']}".rstrip(":")} for each in dns]
    return form.ordered("branch", found)


def node(minion_id: str | None = None, pillar: dict | None = None) -> dict:
    """
    What one minion is in its branch, with all that the states of :py:mod:`bridge_nat` need.

    minion_id
        The minion's id, ``ws017.rosario``. Default: this minion's.
    pillar
        The value of the pillar's key ``branch``. Default: this minion's.

    Returns:
        ``role``: ``workstation``, ``gateway`` or ``None`` (also while the pillar has a fault). ``name`` (the bridge, or
        the gateway's device towards the branch) and ``arguments`` of that state. ``confirm``: ``within`` and ``reach``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws017.rosario branch_pillar.node

    .. versionadded:: 0.1.0
    """
    pillar = _pillar(pillar)
    nobody = {"role": None, "name": None, "arguments": {}, "confirm": {}}
    if not pillar or faults(pillar):
        return nobody
    here = minion_id or __grains__["id"]
    host = here.removesuffix(f".{pillar['name']}")
    if host == here:
        return nobody
    if host == pillar["gateway"]["host"]:
        return {"role": "gateway", **_gateway(pillar)}
    return {"role": "workstation", **_workstation(pillar, pillar["hosts"][host])} if host in pillar["hosts"] else nobody


def hosts(pillar: dict | None = None) -> dict:
    """
    The branch's minions by what they are: targets of an orchestration.

    pillar
        The value of the pillar's key ``branch``. Default: this minion's.

    Returns:
        ``gateway`` (a minion id) and ``workstations`` (a sorted list).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws017.rosario branch_pillar.hosts

    .. versionadded:: 0.1.0
    """
    pillar = _pillar(pillar)
    name = pillar["name"]
    return {
        "gateway": f"{pillar['gateway']['host']}.{name}",
        "workstations": sorted(f"{host}.{name}" for host in pillar["hosts"]),
    }


def places(pillar: dict | None = None) -> dict:
    """
    Where the pillar names each minion: minion id to path.

    pillar
        The value of the pillar's key ``branch``. Default: this minion's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws017.rosario branch_pillar.places

    .. versionadded:: 0.1.0
    """
    pillar = _pillar(pillar)
    found = {f"{pillar['gateway']['host']}.{pillar['name']}": "branch:gateway:host"}
    return {**found, **{f"{host}.{pillar['name']}": f"branch:hosts:{host}" for host in pillar["hosts"]}}


def summary(pillar: dict | None = None) -> dict:
    """
    How much a pillar describes: ``gateways`` and ``hosts``.

    pillar
        The value of the pillar's key ``branch``. Default: this minion's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws017.rosario branch_pillar.summary

    .. versionadded:: 0.1.0
    """
    return {"gateways": 1, "hosts": len(_pillar(pillar)["hosts"])}


def addresses(sound: dict) -> dict:
    """
    What no other branch may have as well, each with its path: for the check of all branches together.

    sound
        A branch's pillar as the schema lets it through; what is malformed is left out.

    Returns:
        Lists of ``[value, path]``: ``name``, ``network``, ``public``, ``address`` and ``mac`` (of virtual machines).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_pillar.addresses '{name: rosario, cidr: 10.20.30.0/24}'

    .. versionadded:: 0.1.0
    """
    vms = list(_vms(sound))
    network = _network(sound)
    return {
        "name": [[sound["name"], "name"]] if sound.get("name") else [],
        "network": [[str(network), "cidr"]] if network else [],
        "public": [[ip, "gateway:public"] for ip in [_mapping(sound.get("gateway")).get("public")] if ip],
        "address": [[vm[key], f"{path}:{key}"] for path, vm in vms for key in ("ip", "ip6") if vm.get(key)],
        "mac": [[vm["mac"].lower(), f"{path}:mac"] for path, vm in vms if vm.get("mac")],
    }


def argument_faults(role: str, name: str, arguments: dict) -> list:
    """
    Everything that is wrong with the arguments of a state of :py:mod:`bridge_nat`; an empty list when nothing is.

    role
        The state: ``workstation``, ``gateway`` or ``confirmed``.
    name
        The bridge, the gateway's device, or any text.
    arguments
        Argument to value.

    Returns:
        List of mappings: ``path`` (``vms:0:ip``), ``fault`` and ``remedy``.

    Requires ``jsonschema`` 4 in Salt's Python.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_pillar.argument_faults gateway eth0 '{public: 169.254.0.7}'

    .. versionadded:: 0.1.0
    """
    found = schema.argument_faults(role, {"name": name, **arguments})
    if found or role == "confirmed":
        return found
    neighbours = arguments.get("neighbours") or {}
    vms = arguments.get("vms", [{"ip6": address, "mac": mac} for address, mac in neighbours.items()])
    own = [f"neighbours:{address}" for address in neighbours] or [f"vms:{number}" for number in range(len(vms))]
    part = r"hosts:(\d+):vm" if role == "workstation" else r"hosts:(\d+):vm:\w+"
    described = {
        "cidr": arguments["network"],
        "cidr6": arguments["network6"],
        "gateway": {"link_local": arguments.get("gateway", arguments["link_local"]), "public": arguments.get("public")},
        "hosts": {number: {"vm": vm} for number, vm in enumerate(vms)},
    }
    if role == "workstation":
        described["hosts"][0]["link_local"] = arguments["link_local"]
        described.update(bridge=name, uplink=arguments["uplink"])
    paths = {"cidr": "network", "cidr6": "network6", "gateway:public": "public", "hosts:0:link_local": "link_local"}
    paths.update({"bridge": "name", "gateway:link_local": "gateway" if role == "workstation" else "link_local"})
    for path, fault, remedy in _rules(described):
        place = paths.get(path, re.sub(f"^{part}", lambda match: own[int(match[1])], path))
        said = re.sub(f"branch:{part}", lambda match: own[int(match[1])], fault)
        said = said.replace("branch:gateway:link_local", "gateway")
        found.append({"path": place, "fault": said, "remedy": remedy})
    return found


# The pillar in plain types, however malformed it is


def _pillar(pillar):
    return __salt__["onepass.given"]("branch", pillar)


def _mapping(value) -> dict:
    return value if isinstance(value, dict) else {}


def _network(sound: dict, key: str = "cidr"):
    """The network, or ``None`` while it is malformed or has host bits."""
    try:
        return ipaddress.ip_network(sound.get(key) or "")
    except ValueError:
        return None


def _address(value):
    try:
        return ipaddress.ip_address(value or "")
    except ValueError:
        return None


def _host_numbers(network) -> range:
    """The addresses that hosts of a good IPv4 network can have, as numbers; none of any other network."""
    if not network or network.version == 6 or network.is_multicast or network.is_loopback or network.is_link_local:
        return range(0)
    return range(int(network.network_address) + 1, int(network.broadcast_address))


def _number(value: str) -> int:
    try:
        return int.from_bytes(socket.inet_aton(value), "big")
    except OSError:
        return -1


def _vms(sound: dict) -> Iterator[tuple]:
    for host, spec in _mapping(sound.get("hosts")).items():
        yield f"hosts:{host}:vm", _mapping(_mapping(spec).get("vm"))


def _host_address(spec: dict) -> str | None:
    if spec.get("link_local"):
        return spec["link_local"]
    return str(LINK_LOCAL[FIRST_HOST + spec["number"]]) if spec.get("number") else None


# What follows for a minion


def _common(pillar: dict) -> dict:
    return {
        "network": pillar["cidr"],
        "network6": pillar.get("cidr6"),
        "port": pillar.get("port", DEFAULTS["port"]),
        "way": pillar.get("way", DEFAULTS["way"]),
    }


def _confirm(pillar: dict) -> dict:
    given = pillar.get("confirm", {})
    return {"within": given.get("within", WITHIN), "reach": given.get("reach", [])}


def _gateway(pillar: dict) -> dict:
    gateway = pillar["gateway"]
    neighbours = {vm["ip6"]: vm["mac"].lower() for _, vm in _vms(pillar) if vm.get("ip6")}
    own = {"link_local": gateway.get("link_local", GATEWAY), "public": gateway["public"], "neighbours": neighbours}
    given = {**own, **_common(pillar)}
    return {"name": gateway["lan"], "arguments": given, "confirm": _confirm(pillar)}


def _workstation(pillar: dict, host: dict) -> dict:
    vm = {key: value for key, value in host["vm"].items() if key != "clone"} | {"mac": host["vm"]["mac"].lower()}
    given = {
        "uplink": host.get("uplink", pillar.get("uplink", DEFAULTS["uplink"])),
        "link_local": _host_address(host),
        "gateway": pillar["gateway"].get("link_local", GATEWAY),
        "vms": [vm],
        **_common(pillar),
    }
    name = host.get("bridge", pillar.get("bridge", DEFAULTS["bridge"]))
    return {"name": name, "arguments": given, "confirm": _confirm(pillar)}


# What is wrong, of all that the schema has let through; a rule yields (path, fault, remedy)


def _rules(sound: dict) -> Iterator[tuple]:
    yield from _network_rule(sound)
    yield from _gateway_rule(sound)
    yield from _vm_rule(sound)
    yield from _link_local_rule(sound)
    yield from _once_rule(sound)
    yield from _device_rule(sound)


def _network_rule(sound: dict) -> Iterator[tuple]:
    for key in ("cidr", "cidr6"):
        given = sound.get(key)
        if not given:
            continue
        network = _network(sound, key)
        if not network:
            try:
                yield key, f"is {given!r}, which has host bits", f"{ipaddress.ip_network(given, strict=False)}"
            except ValueError:
                yield key, f"is {given!r}, which is no network", "a network such as '2001:db8:5::/64'"
        elif network.overlaps(LINK_LOCAL) if network.version == 4 else network.is_link_local:
            yield key, f"is {given}, which is link-local: every branch has it", "the branch's own network"
        elif network.is_multicast or network.is_loopback or network.is_unspecified:
            yield key, f"is {given}, which no host can have", "the branch's own network"


def _outside(address, network) -> tuple | None:
    """Why an address cannot be a host's in that network, as (fault, remedy)."""
    if address == METADATA:
        return f"is {address}, the address of cloud metadata", f"an address of {network}"
    if address.is_multicast or address.is_loopback or address.is_unspecified or address.is_link_local:
        kind = next(k for k in ("multicast", "loopback", "unspecified", "link_local") if getattr(address, f"is_{k}"))
        return f"is {address}, which is {kind.replace('_', '-')}", f"an address of {network}"
    if not network or address.version != network.version:
        return None
    if address not in network:
        return f"is {address}, outside of {network}", f"an address of {network}"
    if network.version == 4 and address == network.network_address:
        return f"is {address}, the address of the network itself", f"another address of {network}"
    if network.version == 4 and address == network.broadcast_address:
        return f"is {address}, the broadcast address of {network}", f"another address of {network}"
    return None


def _gateway_rule(sound: dict) -> Iterator[tuple]:
    gateway, network = _mapping(sound.get("gateway")), _network(sound)
    address, public = _address(gateway.get("ip")), _address(gateway.get("public"))
    wrong = address and _outside(address, network)
    if wrong:
        yield "gateway:ip", *wrong
    if public:
        wrong = _outside(public, None)
        if wrong:
            yield "gateway:public", wrong[0], "the gateway's own address towards headquarters"
        elif network and public in network:
            yield "gateway:public", f"is {public}, inside of the branch", "the gateway's address towards headquarters"
    name = gateway.get("host")
    if name and name in _mapping(sound.get("hosts")):
        yield "gateway:host", f"is {name!r}, a workstation as well", "a name of its own"


def _vm_rule(sound: dict) -> Iterator[tuple]:
    networks = {"ip": _network(sound), "ip6": _network(sound, "cidr6")}
    gateway, good = _mapping(sound.get("gateway")), _host_numbers(networks["ip"])
    for path, vm in _vms(sound):
        for key, network in networks.items():
            if not vm.get(key) or (_number(vm[key]) in good and vm[key] != gateway.get(key)):
                continue
            address = _address(vm[key])
            if not address:
                yield f"{path}:{key}", f"is {vm[key]!r}, which is no address", "an address such as '2001:db8:5::17'"
            wrong = address and _outside(address, network)
            if wrong:
                yield f"{path}:{key}", *wrong
            if address and vm[key] == gateway.get(key):
                yield f"{path}:{key}", f"is {address}, the gateway's", "an address of its own"
        if vm.get("ip6") and not sound.get("cidr6"):
            yield f"{path}:ip6", "is given, but the branch has no cidr6", "branch:cidr6, or no ip6"
        if vm.get("mac"):
            yield from _mac_rule(f"{path}:mac", vm["mac"])


def _mac_rule(path: str, mac: str) -> Iterator[tuple]:
    remedy = "the MAC of the domain's interface (virsh domiflist)"
    if set(mac) <= {"0", ":"}:
        yield path, f"is {mac}, which is no card's", remedy
    elif int(mac[1], 16) & 1:
        kind = "broadcast" if set(mac.lower()) <= {"f", ":"} else "multicast"
        yield path, f"is {mac}, a {kind} address", remedy


def _link_local_rule(sound: dict) -> Iterator[tuple]:
    remedy = f"an address of {LINK_LOCAL}, best of its first or last 256: no machine chooses those by itself"
    for path, given, _ in _link_locals(sound):
        address = _address(given)
        if address not in LINK_LOCAL:
            yield path, f"is {address}, outside of {LINK_LOCAL}", remedy
        elif address == METADATA:
            yield path, f"is {address}, the address of cloud metadata", remedy
        elif address in (LINK_LOCAL.network_address, LINK_LOCAL.broadcast_address):
            yield path, f"is {address}, the first or last of {LINK_LOCAL}", remedy


def _link_locals(sound: dict) -> Iterator[tuple]:
    """Path, link-local address and whose it is: the gateway's first."""
    yield "gateway:link_local", _mapping(sound.get("gateway")).get("link_local") or GATEWAY, "the gateway"
    for host, spec in _mapping(sound.get("hosts")).items():
        address = _host_address(_mapping(spec))
        if address:
            key = "link_local" if spec.get("link_local") else "number"
            yield f"hosts:{host}:{key}", address, host


def _once_rule(sound: dict) -> Iterator[tuple]:
    """What each host of a branch has for itself."""
    vms, seen = list(_vms(sound)), {}
    entries = [(path, "link-local address", address) for path, address, _ in _link_locals(sound)]
    for key, what in (("ip", "IP"), ("ip6", "IP"), ("mac", "MAC")):
        entries += [(f"{path}:{key}", what, vm[key]) for path, vm in vms if vm.get(key)]
    for path, what, value in entries:
        first = seen.setdefault((what, value.lower()), path)
        if first is not path:
            yield path, f"makes the {what} {value}, as branch:{first} does", "one of its own"


def _device_rule(sound: dict) -> Iterator[tuple]:
    own = [(f"hosts:{host}:", spec) for host, spec in _mapping(sound.get("hosts")).items() if _names_device(spec)]
    for path, given in [("", sound), *own]:
        named = {key: given.get(key) or sound.get(key) or DEFAULTS[key] for key in ("bridge", "uplink")}
        if named["bridge"] == named["uplink"]:
            yield f"{path}bridge", f"is {named['bridge']}, the uplink as well", "a bridge's own name, such as virbr0"


def _names_device(spec) -> bool:
    return bool(_mapping(spec).get("bridge") or _mapping(spec).get("uplink"))
