"""
States for networks whose dnsmasq knows every guest by name and asks the right nameserver for all others.

.. versionadded:: 0.1.0

Each state reads what is there, plans, acts, and reads again; ``test=True`` shows the plan that a real run executes.
Forwarders, names and reservations are changed under running guests. What needs a restart of a libvirt network is
refused while guests are on it, unless ``restart`` allows it; then every guest's device is a port of the bridge again.
A network that is there with the other backend is refused too: first it has to be ``absent``.

Requires root, dnspython and jsonschema in Salt's Python, dnsmasq, iproute2, and libvirt's binding (``network``) or nft
(``bridge``).
"""

from salt.exceptions import CommandExecutionError

__virtualname__ = "dnsmasq_fwd"


def __virtual__():
    return __virtualname__


def network(
    name,
    domain,
    address,
    bridge=None,
    local_only=True,
    nat=True,
    dhcp=None,
    forwarders=None,
    hosts=None,
    options=None,
    restart=False,
):
    """
    The libvirt network runs, starts at boot, and its dnsmasq has this domain, these names, and these forwarders.

    Compared are the definition and the running network (all but what the model does not know, which stays: UUID, MAC,
    other addresses, entries of others), and the forwarders by what dnsmasq itself answers. Forwarders, names and
    reservations change without anybody noticing; a range restarts dnsmasq alone.

    name
        The network, ``default``.
    domain
        What guests are called below, ``lab.example``.
    address
        The host's address with the network's length, ``192.168.150.1/24``.
    bridge
        The bridge's name. Default: what the network has, else libvirt's choice.
    local_only
        Names of the domain are never asked of a forwarder. Default ``True``.
    nat
        Guests reach other networks by the host's address. Default ``True``; ``False``: they reach none.
    dhcp
        Mapping with ``start``, ``end`` and ``lease`` (``45m``, ``12h``, ``7d``; default ``1h``). Default: no DHCP.
    forwarders
        List of mappings with ``address`` and, where wanted, ``port`` (53) and ``domain``; all that fit a name are asked
        at once. Default: none, and the host's own resolv.conf is used.
    hosts
        Mapping of name to ``address`` and, for a reservation, ``mac``. Names that others put there stay. Default: none.
    options
        List of further options of dnsmasq's configuration, ``[no-ping]``. Default: none.
    restart
        A restart of the network is allowed although guests are on it. Default ``False``.

    .. code-block:: yaml

        default:
          dnsmasq_fwd.network:
            - domain: lab.example
            - address: 192.168.122.1/24

        branch-network:
          dnsmasq_fwd.network:
            - name: default
            - domain: rosario.bank.example
            - address: 192.168.122.1/24
            - dhcp: {start: 192.168.122.10, end: 192.168.122.250}
            - forwarders: [{address: 9.9.9.9}, {address: 10.0.0.53, domain: bank.example}]
            - hosts: {win-017: {address: 192.168.122.7, mac: '52:54:00:bf:57:bb'}}
            - options: [no-ping]
            - require:
              - service: libvirtd

    .. versionadded:: 0.1.0
    """
    given = {"domain": domain, "address": address, "bridge": bridge, "local_only": local_only, "nat": nat}
    more = {"dhcp": dhcp, "forwarders": forwarders, "hosts": hosts, "options": options}
    return _present(name, "network", {**given, **more}, restart)


def bridge(
    name,
    domain,
    address,
    bridge=None,
    local_only=True,
    nat=True,
    dhcp=None,
    forwarders=None,
    hosts=None,
    options=None,
):
    """
    The same network without libvirt's networking: a bridge, NAT and dnsmasq of our own, and a unit that brings them
    back at boot.

    Compared are the bridge with its address, our own nft table, the files, and what the running dnsmasq answers. A
    change of its configuration restarts dnsmasq alone; guests keep their link. Where systemd does not run the host,
    dnsmasq is started as a daemon, and nothing brings it back at boot.

    name
        The network, and its bridge unless ``bridge`` says otherwise: ``virbr0``.
    domain, address, local_only, nat, dhcp, forwarders, hosts, options
        As for :py:func:`network`; all files are ours. Names of others are files in ``hosts.d`` and ``dhcp-hosts.d`` of
        ``/etc/onepass/dnsmasq_fwd/<name>``.
    bridge
        The bridge's name. Default: the network's. One that has addresses and is not this network's is refused, and so
        is another one than the network has.

    .. code-block:: yaml

        virbr0:
          dnsmasq_fwd.bridge:
            - domain: lab.example
            - address: 192.168.122.1/24

        branch-network:
          dnsmasq_fwd.bridge:
            - name: virbr0
            - domain: rosario.bank.example
            - address: 192.168.122.1/24
            - dhcp: {start: 192.168.122.10, end: 192.168.122.250}
            - forwarders: [{address: 9.9.9.9}, {address: 10.0.0.53, domain: bank.example}]
            - require:
              - pkg: dnsmasq-base

    .. versionadded:: 0.1.0
    """
    given = {"domain": domain, "address": address, "bridge": bridge, "local_only": local_only, "nat": nat}
    more = {"dhcp": dhcp, "forwarders": forwarders, "hosts": hosts, "options": options}
    return _present(name, "bridge", {**given, **more}, False)


def resolver(name, domain, address, way="auto"):
    """
    This host's own programs ask the network's dnsmasq for its names, short ones too (but not by NetworkManager).

    Compared is the one file of the program in charge of the resolver, what systemd-resolved has of the link, and
    what a program of this host finds for a name that each network has for that (with ``nss``: for a lease's). So the
    network has to run. With ``systemd-resolved`` nothing but the network's own names is asked of its dnsmasq, whatever
    ``resolved.conf`` says, and none before a guest runs, as it asks nobody on a bridge without a carrier;
    with ``resolv.conf`` every name is, so it needs a forwarder without a domain. Where another program writes
    ``/etc/resolv.conf`` (resolvconf, netconfig, dhclient, dhcpcd), the state refuses and says how to tell that one.

    name
        The network.
    domain, address
        As for :py:func:`network`.
    way
        ``resolved``, ``NetworkManager``, ``resolv.conf``, ``nss`` (names of libvirt's leases, without DNS) or ``auto``
        (default): the program in charge.

    .. code-block:: yaml

        default:
          dnsmasq_fwd.resolver:
            - domain: lab.example
            - address: 192.168.122.1/24

        branch-resolver:
          dnsmasq_fwd.resolver:
            - name: default
            - domain: rosario.bank.example
            - address: 192.168.122.1/24
            - way: resolved
            - require:
              - dnsmasq_fwd: branch-network

    .. versionadded:: 0.1.0
    """
    return _resolver(name, domain, address, way, True)


def resolver_absent(name, domain, address):
    """
    No program of this host asks the network's dnsmasq any more, whichever way it did.

    Other lines of ``/etc/resolv.conf`` and ``/etc/nsswitch.conf`` are never touched.

    name, domain, address
        As for :py:func:`resolver`.

    .. code-block:: yaml

        default:
          dnsmasq_fwd.resolver_absent:
            - domain: lab.example
            - address: 192.168.122.1/24

        branch-resolver-gone:
          dnsmasq_fwd.resolver_absent:
            - name: default
            - domain: rosario.bank.example
            - address: 192.168.122.1/24
            - require_in:
              - dnsmasq_fwd: branch-network-gone

    .. versionadded:: 0.1.0
    """
    return _resolver(name, domain, address, "auto", False)


def absent(name, backend="network", force=False):
    """
    No network of this name is there: no definition, bridge, NAT, dnsmasq, file or lease of it.

    name
        The network.
    backend
        ``network`` (default) or ``bridge``.
    force
        Although guests are on it, who lose their link. Default ``False``: the state refuses and names them.

    .. code-block:: yaml

        default:
          dnsmasq_fwd.absent

        branch-network-gone:
          dnsmasq_fwd.absent:
            - name: virbr0
            - backend: bridge

    .. versionadded:: 0.1.0
    """
    try:
        wrong = __salt__["dnsmasq_fwd.name_faults"](name)
    except CommandExecutionError as err:
        return {"name": name, "result": False, "changes": {}, "comment": str(err)}
    if backend not in ("network", "bridge"):
        wrong.append(_fault("backend", backend, "network or bridge"))
    if not isinstance(force, bool):
        wrong.append(_fault("force", force, "True or False"))
    if wrong:
        return __salt__["onepass.refuse"](name, f"network {name}", wrong)

    def read():
        return __salt__["dnsmasq_fwd.absence"](name, backend, force)

    def act(step):
        __salt__["dnsmasq_fwd.act"](step, backend)

    def fact(_):
        return f"There is no network {name}"

    return __salt__["onepass.converge"](name, read, lambda steps: steps, act, fact, __opts__["test"])


def _present(name, backend, given, restart):
    wanted = {"name": name, "backend": backend, **{key: value for key, value in given.items() if value is not None}}
    try:
        wrong = __salt__["dnsmasq_fwd.faults"](wanted)
    except CommandExecutionError as err:
        return {"name": name, "result": False, "changes": {}, "comment": str(err)}
    if not isinstance(restart, bool):
        wrong.append(_fault("restart", restart, "True or False"))
    if wrong:
        return __salt__["onepass.refuse"](name, f"network {name}", wrong)

    def read():
        return __salt__["dnsmasq_fwd.steps"](wanted, restart)

    def act(step):
        __salt__["dnsmasq_fwd.act"](step, backend)

    def fact(_):
        return f"The network {name} runs as wanted; its dnsmasq answers at {wanted['address'].partition('/')[0]}"

    return __salt__["onepass.converge"](name, read, lambda steps: steps, act, fact, __opts__["test"])


def _resolver(name, domain, address, way, present):
    given = {"name": name, "domain": domain, "address": address}
    try:
        wrong = __salt__["dnsmasq_fwd.faults"](given)
    except CommandExecutionError as err:
        return {"name": name, "result": False, "changes": {}, "comment": str(err)}
    if way not in ("auto", "resolved", "NetworkManager", "resolv.conf", "nss"):
        wrong.append(_fault("way", way, "auto, resolved, NetworkManager, resolv.conf or nss"))
    if wrong:
        return __salt__["onepass.refuse"](name, f"resolver for {name}", wrong)
    whole = __salt__["dnsmasq_model.complete"](given)
    where = (name, whole["domain"], whole["gateway"], whole["network"])

    def read():
        return __salt__["dnsmasq_resolver.plan"](*where, way, present)

    def fact(_):
        return f"Names of {domain} are {'' if present else 'not '}asked of {whole['gateway']}"

    act = __salt__["dnsmasq_resolver.act"]
    return __salt__["onepass.converge"](name, read, lambda steps: steps, act, fact, __opts__["test"])


def _fault(path, value, remedy):
    return {"path": path, "fault": f"is {value!r}", "remedy": remedy}
