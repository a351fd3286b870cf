"""
The backend ``network`` of :py:mod:`dnsmasq_fwd`: a libvirt network whose forwarders and names change while it runs.

.. versionadded:: 0.1.0

libvirt itself cannot change the forwarders of a running network. So they are in a file that its dnsmasq reads again at
SIGHUP (``dnsmasq:option servers-file``); names and reservations go the way of ``virNetworkUpdate``. What only a restart
changes is told apart, and after one every guest's device is a port of the bridge again, which libvirt leaves undone::

    salt-call --local -m . dnsmasq_libvirt.guests default

Requires libvirt's Python binding, root, and iproute2.
"""

import contextlib
import xml.etree.ElementTree as ET

import onepass_lib
from salt.exceptions import CommandExecutionError

onepass_lib.look(__file__)

from onepass_lib.dnsmasq import definition, texts

try:
    import libvirt

    HAS_LIBVIRT = True
except ImportError:
    HAS_LIBVIRT = False

URI = "qemu:///system"
PIDS = "/run/libvirt/network"
WITHIN = 5
# What libvirt writes into the same file before the options.
BESIDE = (
    "strict-order",
    "expand-hosts",
    "pid-file=/run/x.pid",
    "bind-dynamic",
    "dhcp-authoritative",
    "dhcp-lease-max=99",
)


def __virtual__():
    if not HAS_LIBVIRT:
        return False, "dnsmasq_libvirt needs libvirt's binding in Salt's Python: salt-pip install libvirt-python"
    return "dnsmasq_libvirt"


def observe(network):
    """
    All that a plan needs of a libvirt network, its dnsmasq, and its guests.

    network
        A complete network: :py:func:`dnsmasq_model.complete`.

    Returns:
        ``xml`` (the definition, or ``None``), ``defined`` and ``live`` (``definition.read`` of it, or
        ``None``), ``unfit`` (what libvirt's parser says against the wanted one, or ``None``), ``autostart``,
        ``servers`` (the file's text), ``answers`` (whether dnsmasq does), ``served`` (whether it has read the file),
        ``ports`` (of the bridge), ``others`` (what :py:func:`dnsmasq_host.others` answered, of addresses that the
        running network does not have yet) and ``detached`` (taps that should be).

    Raises ``CommandExecutionError`` when libvirt does not answer, and when dnsmasq does not take the options.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc dnsmasq_libvirt.observe

    .. versionadded:: 0.1.0
    """
    name = network["name"]
    with _network(name) as (connection, found):
        xml = found.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE) if found else None
        live = definition.read(found.XMLDesc(0)) if found and found.isActive() else None
        kept = bool(found and found.isPersistent())
        autostart = bool(kept and found.autostart())
        taps = _taps(connection, name) if found else {}
    links = __salt__["dnsmasq_host.links"]()
    bridge = definition.read(xml)["bridge"] if xml else None
    here, has = (live["bridge"], live["frame"]["address"]) if live else (bridge, None)
    wanted = definition.frame(network)["options"]
    if not live or live["frame"]["options"] != wanted:
        __salt__["dnsmasq_host.syntax"](wanted, BESIDE)
    servers = __salt__["onepass_host.read"](definition.servers_file(name))
    address = live and (live["frame"]["address"] or "").partition("/")[0]
    seen = __salt__["dnsmasq_query.upstreams"](address, WITHIN) if address else None
    return {
        "xml": xml,
        "defined": definition.read(xml) if kept else None,
        "live": live,
        "unfit": _unfit(definition.xml(network, xml)),
        "autostart": autostart,
        "servers": servers,
        "answers": seen is not None,
        "served": texts.marked(servers) in (seen or {}),
        "ports": sorted(device for device, link in links.items() if bridge and link["master"] == bridge),
        "others": "" if has == network["address"] else __salt__["dnsmasq_host.others"](network["network"], here),
        "detached": {tap: guest for tap, guest in taps.items() if links.get(tap, {}).get("master") != bridge},
    }


def plan(network, observed, restart=False):
    """
    The steps to the wanted network. Pure.

    network
        A complete network.
    observed
        What :py:func:`observe` answered.
    restart
        A restart of the network is allowed although guests are on it. Default ``False``.

    Returns:
        List of steps: ``do``, ``what``, ``old``, ``new``, ``needs`` (``nothing``, ``a restart of dnsmasq`` or ``a
        restart of the network``), ``act`` and what that needs.

    Raises ``CommandExecutionError`` when the network is of a kind that is not managed, when libvirt would not take the
    result, and when a restart is needed, guests are on the network, and it is not allowed.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc dnsmasq_libvirt.plan

    .. versionadded:: 0.1.0
    """
    _refuse_others(network, observed)
    if observed["unfit"]:
        raise CommandExecutionError(f"libvirt does not take the definition of {network['name']}: {observed['unfit']}")
    if observed["others"]:
        raise CommandExecutionError(
            f"{network['network']} of {network['name']} is in use on this host already, by {observed['others']}: "
            f"give another address"
        )
    xml = definition.xml(network, observed["xml"])
    wanted, live = definition.read(xml), observed["live"]
    again = bool(live) and _restart_step(network["name"], live, wanted, observed["answers"])
    if again and observed["ports"] and not restart:
        raise CommandExecutionError(_refusal(again, observed["ports"]))
    steps = _servers_steps(network, observed, again)
    if live and not again:
        steps += _entry_steps(network["name"], live, wanted, observed["defined"])
    steps += _define_steps(network["name"], observed, wanted, xml)
    if again:
        steps.append(again)
    elif not live:
        steps.append(_step("start", f"network {network['name']}", "stopped", "running", "start"))
    if not observed["autostart"]:
        steps.append(_step("set", f"autostart of {network['name']}", False, True, "autostart"))
    bridge = wanted["bridge"]
    for tap, guest in {} if again else observed["detached"].items():
        step = _step("attach", f"{tap} of {guest}", "on no bridge", bridge, "attach", device=tap, bridge=bridge)
        steps.append(step)
    return [{"name": network["name"], **step} for step in steps]


def plan_absence(name, force=False):
    """
    The steps after which no libvirt network of this name is there, nor its file of forwarders.

    name
        The network.
    force
        Although guests are on it, who lose their link. Default ``False``.

    Returns:
        List of steps as of :py:func:`plan`.

    Raises ``CommandExecutionError`` when guests are on it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_libvirt.plan_absence lab

    .. versionadded:: 0.1.0
    """
    with _network(name) as (_, found):
        active, kept = bool(found and found.isActive()), bool(found and found.isPersistent())
        bridge = found.bridgeName() if active else None
    ports = [device for device, link in __salt__["dnsmasq_host.links"]().items() if bridge and link["master"] == bridge]
    if ports and not force:
        raise CommandExecutionError(f"{', '.join(ports)} are on the network {name}: move them first, or force: True")
    file = definition.servers_file(name)
    text = __salt__["onepass_host.read"](file)
    steps = [_step("stop", f"network {name}", "running", None, "stop")] if active else []
    if kept:
        steps.append(_step("remove", f"definition of {name}", "defined", None, "undefine"))
    if text is not None:
        old = texts.forwarders(text)
        steps.append(_step("remove", f"forwarders of {name}", old, None, "servers", file=file, text=None, mark=None))
    return [{"name": name, **step} for step in steps]


def act(step):
    """
    Execute a step of a plan.

    step
        One of a plan's steps.

    Raises ``CommandExecutionError`` with what libvirt said; a restart that fails brings the network back as it was.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc dnsmasq_libvirt.act

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    ACTS[step["act"]](step)


def guests(name):
    """
    The running guests of a libvirt network, by the device that each has on this host.

    name
        The network.

    Returns:
        Device to ``guest``, ``bridge`` (the network's) and ``master`` (the bridge that it is on, or ``None``).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_libvirt.guests default

    .. versionadded:: 0.1.0
    """
    with _network(name) as (connection, found):
        bridge = found.bridgeName() if found and found.isActive() else None
        taps = _taps(connection, name)
    links = __salt__["dnsmasq_host.links"]()
    return {
        tap: {"guest": guest, "bridge": bridge, "master": links.get(tap, {}).get("master")}
        for tap, guest in taps.items()
    }


def card(name):
    """
    What a libvirt network is at this moment.

    name
        The network.

    Returns:
        ``running``, ``address`` (of its dnsmasq), ``bridge``, ``names``, ``reservations``, ``pending`` (what a restart
        would change), ``servers`` (the file's text) and ``leases`` (list of mappings).

    Raises ``CommandExecutionError`` when there is no such network.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_libvirt.card default

    .. versionadded:: 0.1.0
    """
    with _network(name) as (_, found):
        if not found:
            raise CommandExecutionError(f"libvirt has no network {name}; virsh net-list --all names those that it has")
        running = bool(found.isActive())
        now = definition.read(found.XMLDesc(0))
        defined = definition.read(found.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE))
        leases = found.DHCPLeases() if running else []
    return {
        "running": running,
        "address": (now["frame"]["address"] or "").partition("/")[0] or None,
        "bridge": now["bridge"],
        "domain": now["frame"]["domain"],
        "names": now["entries"]["names"],
        "reservations": now["entries"]["reservations"],
        "pending": _differing(now["frame"], defined["frame"])[1] if running else {},
        "servers": __salt__["onepass_host.read"](definition.servers_file(name)),
        "leases": [{"name": each["hostname"], "address": each["ipaddr"], "mac": each["mac"]} for each in leases],
    }


# libvirt


@contextlib.contextmanager
def _network(name):
    """The connection, and the network or ``None``; libvirt's errors become Salt's."""
    connection = None
    try:
        connection = __salt__["libvirt_host.connect"](URI)
        every = {each.name(): each for each in connection.listAllNetworks()}
        yield connection, every.get(name)
    except libvirt.libvirtError as err:
        raise CommandExecutionError(f"libvirt, network {name}: {err.get_error_message()}") from err
    finally:
        if connection:
            connection.close()


def _taps(connection, name):
    """Device to guest, of running guests whose interface is on this network."""
    found = {}
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        for interface in ET.fromstring(domain.XMLDesc(0)).iter("interface"):
            source, target = interface.find("source"), interface.find("target")
            if source is not None and target is not None and source.get("network") == name:
                found[target.get("dev")] = domain.name()
    return found


# What is refused


def _refuse_others(network, observed):
    """A network of another kind is somebody else's, and so is an address that another MAC has reserved."""
    name, mine = network["name"], {each["mac"]: host for host, each in network["hosts"].items() if each["mac"]}
    for seen in filter(None, (observed["defined"], observed["live"])):
        kind = seen["frame"]["forward"]
        if kind not in (None, "nat"):
            raise CommandExecutionError(
                f"{name} is a network of the kind {kind}, which is not managed: give another name"
            )
        if len(seen["addresses"]) > 1:
            several = ", ".join(seen["addresses"])
            raise CommandExecutionError(
                f"{name} has several IPv4 addresses ({several}), which is not managed: leave one"
            )
        own = {*seen["own"], *network["hosts"]}
        wanted = {network["hosts"][host]["address"]: host for host in mine.values()}
        for mac, (host, address) in seen["entries"]["reservations"].items():
            if address in wanted and mac not in mine and host not in own:
                raise CommandExecutionError(
                    f"{address} of {wanted[address]} is reserved for {mac} in {name} by somebody else: give another "
                    f"address, or remove that reservation"
                )


def _unfit(xml):
    """What libvirt's own parser says against a definition; the driver for tests keeps nothing and starts nothing."""
    with __salt__["onepass_host.workplace"]() as work:
        (work / "node.xml").write_text("<node/>")
        connection = __salt__["libvirt_host.connect"](f"test://{work}/node.xml")
        try:
            connection.networkDefineXML(xml)
        except libvirt.libvirtError as err:
            return err.get_error_message()
        finally:
            connection.close()
    return None


# Steps


def _step(verb, what, old, new, how, needs="nothing", **more):
    return {"do": verb, "what": what, "old": old, "new": new, "needs": needs, "act": how, **more}


def _differing(old, new):
    keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return {key: old.get(key) for key in keys}, {key: new.get(key) for key in keys}


def _refusal(step, ports):
    old, new = step["old"], step["new"]
    changes = "; ".join(f"{key}: {old[key]!r}, not {new[key]!r}" for key in new)
    return (
        f"This needs a restart of the {step['what']}, in which {', '.join(ports)} lose their link for about half a "
        f"second: {changes}. restart: True allows it"
    )


def _servers_steps(network, observed, again):
    name, forwarders = network["name"], texts.forwarders
    text, what = texts.servers(network), f"forwarders of {network['name']}"
    file = definition.servers_file(name)
    mark = texts.marked(text)
    # A dnsmasq that was not started with the file cannot read it again.
    knows = observed["live"] and f"servers-file={file}" in observed["live"]["frame"]["options"]
    mark = mark if knows and not again else None
    more = {"file": file, "mark": mark, "address": network["gateway"]}
    if observed["servers"] != text:
        old = forwarders(observed["servers"]) if observed["servers"] is not None else None
        verb = "create" if old is None else "change"
        return [_step(verb, what, old, forwarders(text), "servers", text=text, **more)]
    if mark and not observed["served"]:
        return [_step("load", what, "not read by dnsmasq yet", forwarders(text), "servers", text=text, **more)]
    return []


def _entry_steps(name, live, wanted, defined):
    """Names, reservations and ranges of the running network; those of others stay."""
    mine = {*wanted["own"], *(defined or wanted)["own"]}
    old, new = live["entries"], wanted["entries"]
    return [
        *_reservation_steps(name, old["reservations"], new["reservations"], mine),
        *_name_steps(name, old["names"], new["names"], mine),
        *_range_steps(name, old["ranges"], new["ranges"]),
    ]


def _reservation_steps(name, old, new, mine):
    """All in one step, that comes back as a whole: what is given up goes first, as libvirt has each address once."""
    differ = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    gone = {key: old[key] for key in differ if key in old and (key in new or old[key][0] in mine)}
    come = {key: new[key] for key in differ if key in new}
    updates = [["remove", "reservations", [key, *each]] for key, each in gone.items()]
    updates += [["add", "reservations", [key, *each]] for key, each in come.items()]
    return [_step("change", f"reservations in {name}", gone, come, "update", updates=updates)] if updates else []


def _name_steps(name, old, new, mine):
    """A name has its new address before it loses the old one."""
    steps = []
    for key in sorted(key for key in {*old, *new} if key in mine and old.get(key) != new.get(key)):
        had, gets = old.get(key, []), new.get(key, [])
        updates = [["add", "names", [each, key]] for each in gets if each not in had]
        updates += [["remove", "names", [each, key]] for each in had if each not in gets]
        verb = "change" if had and gets else "add" if gets else "remove"
        said = [", ".join(each) or None for each in (had, gets)]
        steps.append(_step(verb, f"name {key} in {name}", *said, "update", updates=updates))
    return steps


def _range_steps(name, old, new):
    """A new range comes before the old one goes, unless they differ in the lease only."""
    again = [each for each in old if each not in new and each[:2] in [other[:2] for other in new]]
    updates = [["remove", "ranges", each] for each in again]
    updates += [["add", "ranges", each] for each in new if each not in old]
    updates += [["remove", "ranges", each] for each in old if each not in new and each not in again]
    what = f"dhcp range of {name}"
    return [_step("change", what, old, new, "update", "a restart of dnsmasq", updates=updates)] if updates else []


def _define_steps(name, observed, wanted, xml):
    defined = observed["defined"]
    if defined == wanted:
        return []
    old, new = _differing(_flat(defined), _flat(wanted)) if defined else (None, _flat(wanted))
    verb = "change" if defined else "create"
    return [_step(verb, f"definition of {name}", old, new, "define", xml=xml)]


def _flat(read):
    return {**read["frame"], **read["entries"], "own": read["own"]}


def _restart_step(name, live, wanted, answers):
    """The restart that is needed, or ``None``."""
    old, new = _differing(live["frame"], wanted["frame"])
    if not answers:
        old, new = {**old, "dnsmasq": "does not answer"}, {**new, "dnsmasq": "running"}
    needs, bridge = "a restart of the network", wanted["bridge"]
    return _step("restart", f"network {name}", old, new, "restart", needs, bridge=bridge) if new else None


# Acts


def _servers(step):
    __salt__["onepass_host.write"](step["file"], step["text"])
    if not step["mark"]:
        return
    pid = __salt__["dnsmasq_host.process"](f"{PIDS}/{step['name']}.pid")
    if not pid:
        raise CommandExecutionError(f"The dnsmasq of network {step['name']} does not run; restart the network")
    __salt__["dnsmasq_host.hang_up"](pid)

    def served():
        seen = __salt__["dnsmasq_query.upstreams"](step["address"]) or {}
        return step["mark"] in seen, f"{len(seen)} forwarders of an earlier generation"

    __salt__["onepass.wait"](served, f"the dnsmasq of {step['name']} to have its forwarders", WITHIN, interval=0.01)


def _update(step):
    sections = {
        "names": libvirt.VIR_NETWORK_SECTION_DNS_HOST,
        "reservations": libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST,
        "ranges": libvirt.VIR_NETWORK_SECTION_IP_DHCP_RANGE,
    }
    verbs = {
        "add": libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
        "remove": libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE,
    }
    done = []

    def execute(verb, kind, values):
        whole = values[:1] if (verb, kind) == ("remove", "names") else values  # a name may have another address too
        xml = definition.host_xml(kind, *whole)
        place = -1 if kind == "names" else definition.place(found.XMLDesc(0))
        found.update(verbs[verb], sections[kind], place, xml, libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE)
        done.append((verb, kind, values))

    with _network(step["name"]) as (_, found):
        try:
            for verb, kind, values in step["updates"]:
                each = [[verb, values]] if kind != "names" else _element_updates(found.XMLDesc(0), verb, *values)
                for word, whole in each:
                    execute(word, kind, whole)
        except libvirt.libvirtError:
            for verb, kind, values in reversed(done.copy()):
                execute({"add": "remove", "remove": "add"}[verb], kind, values)
            raise


def _element_updates(xml, verb, address, name):
    """All names of an address are one element for libvirt: it goes, and comes back with those that stay."""
    had = definition.names_of(xml, address)
    gets = [each for each in had if each.lower() != name] + ([name] if verb == "add" else [])
    return [[word, [address, *names]] for word, names in (("remove", had), ("add", gets)) if names]


def _define(step):
    with _network(step["name"]) as (connection, _):
        connection.networkDefineXML(step["xml"])


def _start(step):
    with _network(step["name"]) as (_, found):
        found.create()


def _autostart(step):
    with _network(step["name"]) as (_, found):
        found.setAutostart(True)


def _stop(step):
    with _network(step["name"]) as (_, found):
        found.destroy()


def _undefine(step):
    with _network(step["name"]) as (_, found):
        found.undefine()


def _attach(step):
    __salt__["dnsmasq_host.attach"](step["device"], step["bridge"])


def _restart(step):
    """Down, up, and every port back on the bridge; if it does not come up, as it was before."""
    with _network(step["name"]) as (connection, found):
        before, bridge = found.XMLDesc(0), found.bridgeName()
        taps = _taps(connection, step["name"])
        links = __salt__["dnsmasq_host.links"]()
        ports = sorted({*(device for device, link in links.items() if link["master"] == bridge), *taps})
        found.destroy()
        try:
            found.create()
        except libvirt.libvirtError as err:
            connection.networkDefineXML(before).create()
            _attach_all(ports, bridge)
            said = err.get_error_message()
            raise CommandExecutionError(f"Network {step['name']} runs as before, for it did not start: {said}") from err
        _attach_all(ports, step["bridge"])


def _attach_all(ports, bridge):
    there = __salt__["dnsmasq_host.links"]()
    for device in ports:
        if device in there:
            __salt__["dnsmasq_host.attach"](device, bridge)


ACTS = {
    "servers": _servers,
    "update": _update,
    "define": _define,
    "start": _start,
    "autostart": _autostart,
    "stop": _stop,
    "undefine": _undefine,
    "attach": _attach,
    "restart": _restart,
}
