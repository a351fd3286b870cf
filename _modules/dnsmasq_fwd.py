"""
Networks whose dnsmasq knows every guest by name and asks the right nameserver for all others.

.. versionadded:: 0.1.0

One data model, two backends: ``network`` (libvirt's own, :py:mod:`dnsmasq_libvirt`) and ``bridge`` (our own bridge, NAT
and dnsmasq, :py:mod:`dnsmasq_bridge`). A switch of backend is a change of one word, once the network of the old one is
absent. The network of a branch's hosts is in the pillar at ``branch:dns``; on a laptop it is given as an argument::

    salt-call --local -m . dnsmasq_fwd.plan '{name: lab, domain: lab.example, address: 192.168.150.1/24,
        forwarders: [{address: 9.9.9.9}, {address: 10.0.0.53, domain: bank.example}]}'
    salt-call --local -m . dnsmasq_fwd.check lab

Requires root, dnspython and jsonschema in Salt's Python, dnsmasq, iproute2, and libvirt's binding or nft.
"""

import contextlib
import ipaddress
import json
import socket

import onepass_lib
from salt.exceptions import CommandExecutionError

onepass_lib.look(__file__)

from onepass_lib.core import form
from onepass_lib.dnsmasq import definition, desired, texts
from onepass_lib.dnsmasq import refuse as rules

__virtualname__ = "dnsmasq_fwd"

MODULES = {"network": "dnsmasq_libvirt", "bridge": "dnsmasq_bridge"}
REACHED = ("REACHABLE", "STALE", "DELAY", "PERMANENT")
WITHIN = 4
DISCARD = 9


def __virtual__():
    return __virtualname__


def settings():
    """
    The network of this minion's pillar, ``branch:dns``; ``None`` where there is none.

    Returns:
        The pillar's keys, with ``backend`` and ``resolver`` in any case; ``{}`` while it has a fault.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_fwd.settings

    .. versionadded:: 0.1.0
    """
    given = _pillar()
    if given is None:
        return None
    return {} if faults(given) else {"backend": "network", "resolver": None, **given}


def refuse():
    """
    Refuse a network of this minion's pillar that cannot be, with all that is wrong with it.

    Raises ``CommandExecutionError`` with one line per fault: path, fault and remedy.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_fwd.refuse

    .. versionadded:: 0.1.0
    """
    given = _pillar()
    if given is not None:
        _refuse(given, "branch:dns")


def faults(network):
    """
    Everything that is wrong with a network, and with its choice of a backend; an empty list for a good one.

    network
        As for :py:func:`dnsmasq_model.faults`; with the backend ``bridge``, its name is the bridge's unless ``bridge``
        says otherwise.

    Returns:
        List of mappings: ``path``, ``fault`` and ``remedy``.

    Raises ``CommandExecutionError`` when jsonschema is missing.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_fwd.faults '{name: lab, domain: my lab}'

    .. versionadded:: 0.1.0
    """
    found = rules.faults(network)
    if isinstance(network, dict) and network.get("backend") == "bridge" and not network.get("bridge"):
        name = network.get("name")
        if isinstance(name, str) and len(name) > 15:
            remedy = "bridge: a device's name of 15 characters at most"
            found.append({"path": "name", "fault": f"is {name!r}, too long for a bridge", "remedy": remedy})
    return found


def name_faults(name):
    """
    What is wrong with a network's name; an empty list for a good one.

    name
        The name.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_fwd.name_faults ../lab

    .. versionadded:: 0.1.0
    """
    good = {"domain": "lab.example", "address": "192.0.2.1/24"}
    return [each for each in faults({"name": name, **good}) if each["path"] == "name"]


def render(network=None):
    """
    What a network becomes: all texts, nothing is asked or written.

    network
        Mapping as for :py:func:`faults`. Default: the pillar's.

    Returns:
        Path to text; the definition of a libvirt network as ``network.xml``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_fwd.render '{name: lab, domain: lab.example, address: 192.168.150.1/24}'

    .. versionadded:: 0.1.0
    """
    whole = _wanted(network)
    if whole["backend"] == "bridge":
        return texts.files(whole)
    servers = texts.servers(whole)
    return {
        "network.xml": definition.xml(whole),
        definition.servers_file(whole["name"]): servers,
    }


def steps(network, restart=False):
    """
    The steps to a network as the state executes them: :py:func:`plan` shows them to people.

    network
        Mapping as for :py:func:`faults`.
    restart
        A restart of a libvirt network is allowed although guests are on it. Default ``False``.

    Raises ``CommandExecutionError`` when the network is there with the other backend.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc dnsmasq_fwd.steps

    .. versionadded:: 0.1.0
    """
    whole = _wanted(network)
    module = _module(whole["backend"])
    _refuse_both(whole)
    return __salt__[f"{module}.plan"](whole, __salt__[f"{module}.observe"](whole), restart)


def absence(name, backend="network", force=False):
    """
    The steps after which a network is gone.

    name
        The network.
    backend
        ``network`` (default) or ``bridge``.
    force
        Although guests are on it. Default ``False``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc dnsmasq_fwd.absence

    .. versionadded:: 0.1.0
    """
    return __salt__[f"{_module(backend)}.plan_absence"](_checked(name), force)


def act(step, backend="network"):
    """
    Execute a step of a plan.

    step
        One of :py:func:`steps` or :py:func:`absence`.
    backend
        ``network`` (default) or ``bridge``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc dnsmasq_fwd.act

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    __salt__[f"{_module(backend)}.act"](step)


def plan(network=None, restart=True):
    """
    What would be changed, and what each change needs; nothing is written.

    network
        Mapping as for :py:func:`faults`. Default: the pillar's.
    restart
        Show a restart of the network as well. Default ``True``; ``False`` refuses one while guests are on it, as the
        state does.

    Returns:
        List of mappings: ``do``, ``what``, ``old``, ``new`` and ``needs`` (``nothing``: no guest notices; ``a restart
        of dnsmasq``: no answers for some 0.2 s; ``a restart of the network``: no link for about half a second).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_fwd.plan '{name: lab, domain: lab.example, address: 192.168.150.1/24}'

    .. versionadded:: 0.1.0
    """
    keys = ("do", "what", "old", "new", "needs")
    return [{key: step[key] for key in keys} for step in steps(_given(network), restart)]


def apply(network=None, restart=False, test=False):
    """
    The network is as described, and runs.

    network
        Mapping as for :py:func:`faults`. Default: the pillar's.
    restart
        A restart of a libvirt network is allowed although guests are on it. Default ``False``.
    test
        Answer what would be changed. Default ``False``.

    Returns:
        ``{object: {old, new}}``, empty when nothing had to be done.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_fwd.apply '{name: lab, domain: lab.example, address: 192.168.150.1/24}' test=True

    .. versionadded:: 0.1.0
    """
    whole = _wanted(network)
    planned = steps(_given(network), restart)
    for step in () if test else planned:
        act(step, whole["backend"])
    return __salt__["onepass.changes"](planned)


def status(name=None, backend=None):
    """
    What a network is at this moment, by its own answers.

    name
        The network. Default: the pillar's.
    backend
        ``network`` or ``bridge``. Default: the pillar's, else ``network``.

    Returns:
        ``backend``, ``running``, ``bridge``, ``address``, ``domain``, ``forwarders`` (as lines), ``answers`` (whether
        dnsmasq does), ``read`` (whether it has read the file of forwarders), ``names``, ``leases``, and ``pending``
        (what a restart would change).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_fwd.status lab

    .. versionadded:: 0.1.0
    """
    backend, card = _card(name, backend)
    upstreams = __salt__["dnsmasq_query.upstreams"](card["address"]) if card["running"] else None
    mark = texts.marked(card["servers"])
    return {
        "backend": backend,
        **{key: card[key] for key in ("running", "bridge", "address", "domain")},
        "forwarders": texts.forwarders(card["servers"]),
        "answers": upstreams is not None,
        "read": bool(mark and mark in (upstreams or {})),
        **{key: card[key] for key in ("names", "leases", "pending")},
    }


def forwarders(name=None, backend=None, timeout=2.0):
    """
    The forwarders of a network, each asked for itself.

    name, backend
        As for :py:func:`status`.
    timeout
        Seconds for each. Default 2.

    Returns:
        Forwarder (``10.0.0.53#5353 for bank.example``) to ``alive``, ``evidence``, ``seconds``, ``loop`` (it sends
        every name back here), and ``queries`` and ``failed`` as the running dnsmasq counted them.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_fwd.forwarders lab

    .. versionadded:: 0.1.0
    """
    _, card = _card(name, backend)
    counted = __salt__["dnsmasq_query.upstreams"](card["address"]) or {} if card["running"] else {}
    own = __salt__["dnsmasq_query.config"](card["address"]) if card["running"] else None
    return {line: _forwarder(line, own, counted, timeout) for line in texts.forwarders(card["servers"])}


def hosts(name=None, backend=None):
    """
    The names of a network, each with what its dnsmasq answers.

    name, backend
        As for :py:func:`status`.

    Returns:
        Name to ``given`` (address; several where others gave them; or ``None``), ``lease`` (address, or ``None``),
        ``mac`` and ``answer`` (addresses).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_fwd.hosts lab

    .. versionadded:: 0.1.0
    """
    _, card = _card(name, backend)
    leases = {each["name"].lower(): each for each in card["leases"] if each["name"]}
    macs = {host: mac for mac, (host, _) in card["reservations"].items()}
    found = {}
    for host in sorted({*card["names"], *leases}):
        lease = leases.get(host, {})
        asked = host if "." in host else f"{host}.{card['domain']}"
        answer = __salt__["dnsmasq_query.ask"](asked, card["address"])["answers"] if card["running"] else []
        mac = macs.get(host) or lease.get("mac")
        found[host] = {
            "given": ", ".join(card["names"].get(host, [])) or None,
            "lease": lease.get("address"),
            "mac": mac,
            "answer": answer,
        }
    return found


def resolver(network=None, way="auto", test=True):
    """
    This host's own programs ask the network's dnsmasq for its names.

    network
        Mapping as for :py:func:`faults`. Default: the pillar's.
    way
        ``auto`` (default), ``resolved``, ``NetworkManager``, ``resolv.conf`` or ``nss``.
    test
        Answer what would be changed. Default ``True``.

    Returns:
        ``{object: {old, new}}``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_fwd.resolver '{name: lab, domain: lab.example, address: 192.168.150.1/24}'

    .. versionadded:: 0.1.0
    """
    whole = _wanted(network)
    planned = __salt__["dnsmasq_resolver.plan"](whole["name"], whole["domain"], whole["gateway"], whole["network"], way)
    for step in () if test else planned:
        __salt__["dnsmasq_resolver.act"](step)
    return __salt__["onepass.changes"](planned)


def check(name=None, backend=None):
    """
    Every condition of a network, each proven by a real query, ``ok`` or ``broken``.

    Looked for are a dnsmasq that does not answer or has not read its files, another program on its port, changes that
    wait for a restart, guests that are off the bridge, dead forwarders, loops, and names whose address nobody has.

    name, backend
        As for :py:func:`status`.

    Returns:
        Condition to ``state``, ``evidence`` and, unless it is ok, ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_fwd.check lab

    .. versionadded:: 0.1.0
    """
    now = status(name, backend)
    name = name or settings()["name"]
    found = {"dnsmasq": _daemon_condition(now), "port": _port_condition(now)}
    if now["pending"]:
        found["pending"] = _broken(f"not in force yet: {now['pending']}", "the state with restart: True")
    if now["backend"] == "network":
        found.update(_guest_conditions(name))
    if now["answers"]:
        found.update(_forwarder_conditions(forwarders(name, now["backend"])))
        found.update(_name_conditions(hosts(name, now["backend"]), now["bridge"]))
    return found


# The network that is meant


def _given(network):
    if network is not None:
        return network
    found = settings()
    if not found:
        raise CommandExecutionError("No network is given, and the pillar has none at branch:dns")
    return found


def _wanted(network):
    return _complete(_given(network))


def _pillar():
    branch = __salt__["onepass.given"]("branch")
    return branch.get("dns") if isinstance(branch, dict) else None


def _refuse(network, area):
    found = faults(network)
    if found:
        below = [dict(each, path=f"{area}:{each['path']}".rstrip(":")) for each in found]
        raise CommandExecutionError(form.report(area, below))


def _complete(network):
    _refuse(network, "network")
    whole = desired.complete(network)
    if whole["backend"] == "bridge" and not whole["bridge"]:
        whole["bridge"] = whole["name"]
    return whole


def _refuse_both(network):
    """One address on two bridges cuts guests off; each backend has a file as long as a network of its is there."""
    name = network["name"]
    files = {
        "network": definition.servers_file(name),
        "bridge": f"{texts.place(name)}/dnsmasq.conf",
    }
    for backend, path in files.items():
        if backend != network["backend"] and __salt__["onepass_host.read"](path) is not None:
            how = f"dnsmasq_fwd.absent with backend: {backend} first"
            raise CommandExecutionError(f"{name} is there with the backend {backend} ({path}): {how}")


def _checked(name):
    """The name, fit to become a part of paths."""
    wrong = name_faults(name)
    if wrong:
        raise CommandExecutionError(form.report("network", wrong))
    return name


def _module(backend):
    if backend not in [*MODULES]:  # whatever its type
        raise CommandExecutionError(f"backend is {backend!r}; network or bridge")
    if f"{MODULES[backend]}.plan" not in __salt__:
        raise CommandExecutionError("This needs libvirt's binding in Salt's Python: salt-pip install libvirt-python")
    return MODULES[backend]


def _card(name, backend):
    given = settings() if name is None else {}
    if given is None:
        raise CommandExecutionError("No network is named, and the pillar has none at branch:dns")
    backend = backend or given.get("backend") or "network"
    return backend, __salt__[f"{_module(backend)}.card"](given["name"] if name is None else _checked(name))


# Conditions


def _ok(evidence):
    return {"state": "ok", "evidence": evidence}


def _broken(evidence, remedy):
    return {"state": "broken", "evidence": evidence, "remedy": remedy}


def _forwarder(line, own, counted, timeout):
    upstream, _, domain = line.partition(" for ")
    address, _, port = upstream.partition("#")
    health = __salt__["dnsmasq_query.health"](address, int(port), domain or ".", timeout)
    loop = False
    if health["evidence"] != "no answer" and own and not domain:
        said = __salt__["dnsmasq_query.ask"](desired.MARK, address, "TXT", port=int(port), timeout=timeout)
        loop = said["answers"] == [own]
    return {**health, "loop": loop, **counted.get(upstream, {"queries": None, "failed": None})}


def _daemon_condition(now):
    if not now["running"]:
        return _broken("the network is down", "the state, or virsh net-start")
    if not now["answers"]:
        return _broken(f"nothing answers at {now['address']} port 53", "look for its dnsmasq in the journal")
    if not now["read"]:
        return _broken("the running dnsmasq has not read its file of forwarders", "the state")
    return _ok(f"answers at {now['address']} and has its {len(now['forwarders'])} forwarders")


def _port_condition(now):
    clash = [
        each
        for each in __salt__["dnsmasq_host.listeners"]()
        if each["address"] == "0.0.0.0" or each["address"] == now["address"] and each["program"] != "dnsmasq"
    ]
    if clash:
        first = clash[0]
        evidence = f"{first['program']} ({first['pid']}) listens on {first['address']} port 53"
        return _broken(evidence, "let it listen on its own addresses only (dnsmasq: bind-dynamic)")
    return _ok("nobody else listens there")


def _guest_conditions(name):
    found = {}
    for tap, seen in __salt__["dnsmasq_libvirt.guests"](name).items():
        right = seen["master"] == seen["bridge"]
        evidence = f"{tap} is on {seen['master'] or 'no bridge'}"
        found[f"guest {seen['guest']}"] = _ok(evidence) if right else _broken(evidence, "the state attaches it")
    return found


def _forwarder_conditions(seen):
    found = {}
    for line, each in seen.items():
        what = f"forwarder {line}"
        if each["loop"]:
            found[what] = _broken("it sends every name back here: a loop", "a forwarder that does not ask this host")
        elif each["alive"]:
            found[what] = _ok(f"{each['evidence']} in {each['seconds']} s")
        else:
            found[what] = _broken(each["evidence"], "another forwarder; the living ones answer meanwhile")
    return found


def _name_conditions(names, bridge):
    addresses = {address for each in names.values() for address in each["answer"]}
    networks = [ipaddress.ip_interface(each) for each in __salt__["dnsmasq_host.links"]()[bridge]["addresses"]]
    near = {each for each in addresses if any(ipaddress.ip_address(each) in one.network for one in networks)}
    own = {str(each.ip) for each in networks}
    there = _answering(near - own, bridge) | own
    found = {}
    for name, each in names.items():
        what, answer = f"name {name}", each["answer"]
        wanted = each["given"] or each["lease"]
        if ", ".join(answer) != wanted:
            remedy = "the state; what is too much there is in options, or in files of others (hosts.d)"
            found[what] = _broken(f"is answered with {answer}, not {wanted}", remedy)
        elif each["lease"] and each["lease"] not in answer:
            evidence = f"is answered with {answer}, but the guest was given {each['lease']}"
            found[what] = _broken(evidence, "a reservation with its MAC, or no address in hosts")
        elif not near & set(answer):
            found[what] = _ok(f"{answer[0]} is outside of {bridge}")
        elif not there & set(answer):
            found[what] = _broken(f"nobody has {answer[0]}", "start the guest, or let go of the name or the lease")
        else:
            found[what] = _ok(f"{answer[0]} is there")
    return found


def _answering(addresses, bridge):
    """Those that answer to ARP on the bridge."""
    if not addresses:
        return set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for address in addresses:
            probe.sendto(b"", (address, DISCARD))

    def states():
        lines = json.loads(__salt__["onepass_host.run"](["ip", "-j", "neigh", "show", "dev", bridge]) or "[]")
        return {each["dst"]: set(each.get("state", ())) for each in lines if each["dst"] in addresses}

    def settled():
        seen = states()
        return all(seen.get(each, set()) & {*REACHED, "FAILED"} for each in addresses), f"{seen}"

    with contextlib.suppress(CommandExecutionError):  # one that has said nothing until then is not there
        __salt__["onepass.wait"](settled, f"ARP on {bridge}", WITHIN)
    return {address for address, state in states().items() if state & set(REACHED)}
