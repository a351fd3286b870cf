"""
States for branch offices: hosts that are reachable through the address of their virtual machine.

.. versionadded:: 0.1.0

Each state reads what is there, plans, acts, and reads again; ``test=True`` shows the plan that a real run executes. The
arguments of ``workstation`` and ``gateway`` follow from the pillar (:py:func:`branch_pillar.node`).

Requires root, jsonschema 4 in Salt's Python, iproute2, and nft, or ebtables and iptables; conntrack on a gateway.
"""

from salt.exceptions import CommandExecutionError

__virtualname__ = "bridge_nat"


def __virtual__():
    return __virtualname__


def workstation(name, uplink, link_local, gateway, network, vms, port=22, network6=None, way="auto", within=120):
    """
    One TCP port of its VMs' addresses leads to this host, whether they run or not; all other ports to the VMs.

    Compared are the bridge with its MAC, port, link-local address and routes, our own rules, and the files that bring
    all of it back at boot. Addresses that the uplink has of its own are removed when it becomes a port of the bridge,
    which can cut connections to them. Rules are replaced in one transaction; no session is lost. Rules of others are
    never touched. Unless :py:func:`confirmed` follows within ``within`` seconds, all of it is taken back.

    name
        The bridge, ``virbr0``; made when it is missing. Not that of a libvirt network.
    uplink
        The device towards the branch, ``eth0``.
    link_local
        This host's own address, ``169.254.0.27``.
    gateway
        The gateway's link-local address, ``169.254.0.1``.
    network
        The branch's network, ``10.20.30.0/24``.
    vms
        List of mappings: ``name`` (of the libvirt domain), ``ip``, ``mac`` and, if it has one, ``ip6``.
    port
        The TCP port that belongs to the host. Default 22.
    network6
        The branch's IPv6 network. Default none.
    way
        ``nft``, ``ebtables`` or ``auto``: what runs is kept, else what works is taken. Default ``auto``.
    within
        Seconds until an unconfirmed change is taken back; 0: never. Default 120.

    .. code-block:: yaml

        virbr0:
          bridge_nat.workstation:
            - uplink: eth0
            - link_local: 169.254.0.27
            - gateway: 169.254.0.1
            - network: 10.20.30.0/24
            - vms: [{name: win-017, ip: 10.20.30.17, mac: '52:54:00:bf:57:bb'}]

        branch-confirmed:
          bridge_nat.confirmed:
            - require:
              - bridge_nat: virbr0

    .. versionadded:: 0.1.0
    """
    given = {"uplink": uplink, "link_local": link_local, "gateway": gateway, "network": network, "vms": vms}
    return _present("workstation", name, {**given, "port": port, "network6": network6, "way": way}, within)


def gateway(name, link_local, public, network, port=22, network6=None, neighbours=None, way="auto", within=120):
    """
    This gateway translates: what headquarters sends to the hosts' port, and what the hosts send out of the branch.

    Compared are the link-local address, kernel settings (forwarding, ARP, redirects), permanent neighbour entries for
    IPv6, our own rules, and the files that bring them back at boot. Flows of hosts and to their port that began before
    the rules are deleted, as they would stay untranslated for ever; no other flow is touched, nor anybody else's
    neighbour entry.

    name
        The device towards the branch, ``eth0``.
    link_local
        Its link-local address, the hosts' gateway: ``169.254.0.1``.
    public
        The gateway's own address towards headquarters; hosts are seen with it there.
    network
        The branch's network, ``10.20.30.0/24``.
    port
        The TCP port that belongs to the hosts. Default 22.
    network6
        The branch's IPv6 network. Default none.
    neighbours
        IPv6 address to MAC of the branch's VMs, ``{'2001:db8:5::17': '52:54:00:bf:57:bb'}``: the gateway then need not
        ask for one that is down. Default none.
    way
        ``nft``, ``ebtables`` (here: iptables) or ``auto``. Default ``auto``.
    within
        Seconds until an unconfirmed change is taken back; 0: never. Default 120.

    .. code-block:: yaml

        eth0:
          bridge_nat.gateway:
            - link_local: 169.254.0.1
            - public: 192.0.2.30
            - network: 10.20.30.0/24

        branch-confirmed:
          bridge_nat.confirmed:
            - require:
              - bridge_nat: eth0

    .. versionadded:: 0.1.0
    """
    given = {"link_local": link_local, "public": public, "network": network, "port": port}
    return _present("gateway", name, {**given, "network6": network6, "neighbours": neighbours, "way": way}, within)


def confirmed(name, reach=None, timeout=5):
    """
    A pending change stays, because a new connection proves that this host is still reachable; else the state fails,
    and the timer takes the change back.

    name
        Any text.
    reach
        List of ``address:port`` at headquarters, ``192.0.2.10:22`` or ``[2001:db8::10]:22``, one of which has to take a
        new connection. Default: the master.
    timeout
        Seconds for each connection, 0.1 to 3600. Default 5.

    .. code-block:: yaml

        branch-confirmed:
          bridge_nat.confirmed

        branch-confirmed-by-hq:
          bridge_nat.confirmed:
            - reach: ['192.0.2.10:22']
            - require:
              - bridge_nat: virbr0

    .. versionadded:: 0.1.0
    """

    refused = _refused("confirmed", name, "confirmation", {"reach": reach, "timeout": timeout})
    if refused:
        return refused

    def act(step):
        __salt__["bridge_nat.confirm"](reach, timeout)

    def plan(pending):
        what = "the change"
        return [{"do": "confirm", "what": what, "old": "pending", "new": "confirmed"}] if pending else []

    def fact(_):
        return "No change waits to be confirmed"

    read = __salt__["bridge_nat_guard.pending"]
    return __salt__["onepass.converge"](name, read, plan, act, fact, __opts__["test"])


def absent(name, bridge=False):
    """
    Nothing of ours is on this host: no rules, no boot files, and no bridge if that is asked for.

    Kernel settings stay as they are until the next boot. The uplink gets no address back.

    name
        The bridge, or the gateway's device.
    bridge
        Remove the bridge too. Default ``False``.

    .. code-block:: yaml

        virbr0:
          bridge_nat.absent

        branch-gone:
          bridge_nat.absent:
            - name: virbr0
            - bridge: True

    .. versionadded:: 0.1.0
    """

    def read():
        return __salt__["bridge_nat.plan_absence"](name if bridge else None)

    def plan(steps):
        return steps

    def fact(_):
        return "Nothing of ours is there"

    return __salt__["onepass.converge"](name, read, plan, __salt__["bridge_nat.act"], fact, __opts__["test"])


def _refused(state, name, what, arguments):
    """The return of a state whose arguments cannot be right, or cannot be judged; else ``None``."""
    try:
        wrong = __salt__["branch_pillar.argument_faults"](state, name, arguments)
    except CommandExecutionError as err:
        return {"name": name, "result": False, "changes": {}, "comment": str(err)}
    return __salt__["onepass.refuse"](name, what, wrong) if wrong else None


def _present(role, name, arguments, within):
    refused = _refused(role, name, f"{role} {name}", {**arguments, "within": within})
    if refused:
        return refused
    arguments["vms"] = [{**vm, "mac": vm["mac"].lower()} for vm in arguments.get("vms", ())]

    def read():
        return __salt__["bridge_nat.observe"](role, name, arguments)

    def plan(observed):
        return __salt__["bridge_nat.plan"](role, name, arguments, observed)

    def act(step):
        __salt__["bridge_nat.act"](step, within)

    def fact(observed):
        return f"The {role} is as wanted, by {observed['way']}"

    ret = __salt__["onepass.converge"](name, read, plan, act, fact, __opts__["test"])
    pending = __salt__["bridge_nat_guard.pending"]()
    if pending:
        ret["comment"] += f". Will be taken back in {pending['seconds']:.0f} s unless it is confirmed"
    return ret
