"""
States for OpenStack tenants on VLANs: a whole table of projects, or one project.

.. versionadded:: 0.1.0

Each state reads the cloud, plans, acts, and reads again; ``test=True`` shows the plan that a real run executes. Before
the first write everything is checked; what is in the way is said all at once, with its owner, and then nothing is
changed. The cloud's login stands in a clouds.yaml, which is explained in :py:mod:`neutron_cloud`; it has to be an
admin's.

Requires openstacksdk 4 and jsonschema 4 in Salt's Python, on the minion that talks to the cloud or on the master.
"""

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "neutron_vlan"


def __virtual__():
    if "neutron_cloud.login" not in __salt__:
        return False, "The OpenStack states need openstacksdk in Salt's Python: salt-pip install 'openstacksdk>=4'"
    return __virtualname__


def table(name, table=None):
    """
    The cloud has every project of the table, each with its VLAN, network and subnet; or nothing is changed at all.

    Compared are VLAN, physical network, CIDR and what else the table says; what it does not say is left alone. Nothing
    is deleted in order to change it. Traffic is interrupted only by a VLAN that is moved (``on_drift: move``).

    name
        Any text.
    table
        The table, see :py:mod:`neutron_schema`. Default: the pillar's key ``openstack``.

    .. code-block:: yaml

        bank:
          neutron_vlan.table

        openstack-table:
          neutron_vlan.table:
            - table:
                cloud: bank
                physical_network: physnet1
                projects:
                  tellers: {vlan: 12, cidr: 10.0.12.0/24}
                  vault: {vlan: 13, cidr: 10.0.13.0/24, gateway: null}
            - require:
              - file: /etc/openstack/clouds.yaml

    .. versionadded:: 0.1.0
    """
    with __salt__["onepass.step"](name, globals().get("__orchestration_jid__")):
        return _converged(name, "openstack", table)


def present(
    name,
    vlan,
    cidr,
    physical_network=None,
    network=None,
    gateway="",
    dns_nameservers=None,
    pools=None,
    dhcp=None,
    ipv6=None,
    mtu=None,
    router=None,
    quota=None,
    share_with=None,
    on_drift="refuse",
    adopt=False,
    cloud=None,
    clouds_yaml=None,
    domain=None,
    create_projects=True,
    overlap="deny",
    allow_vlan_1=False,
    rollback=False,
):
    """
    The project exists, with its network on this VLAN and its subnet.

    What is not said is left alone, and is the cloud's choice at the creation. The pillar's ``openstack:reserved`` holds
    here too. For many projects :py:func:`table` does
    the same with a fraction of the requests.

    name
        The project's name.
    vlan
        The VLAN id, 1 to 4094; always sent, never left to Neutron.
    cidr
        The subnet: ``10.0.12.0/24``.
    physical_network
        The physical network that carries the VLAN. Default: the pillar's ``openstack:physical_network``.
    network
        The network's name. Default ``<project>-net``.
    gateway
        The gateway's address; ``None`` for none. Default: the first address.
    dns_nameservers
        Up to five addresses in their order.
    pools
        List of ranges: ``10.0.12.10-10.0.12.99``. Default: all addresses but the gateway's.
    dhcp
        Whether Neutron serves DHCP. Default: as it is; ``True`` for a new subnet.
    ipv6
        ``slaac``, ``dhcpv6-stateless`` or ``dhcpv6-stateful``: how guests of an IPv6 subnet get their addresses. Fixed
        once the subnet is there. Default: as it is; guests of a new subnet are told nothing.
    mtu
        Bytes. Default: the physical network's.
    router
        Mapping: ``external`` (name of the external network), ``name`` (default ``<project>-router``). The project's
        router of that name, if there is one, serves, and does not become ours. Default: no router.
    quota
        Mapping: ``networks``, ``subnets``, ``ports``, ``routers``...; others are left alone.
    share_with
        Names of projects that may use the network; ``*`` for all. Others are left alone.
    on_drift
        ``refuse``, or ``move``: change the VLAN id of the living network in place. Default ``refuse``.
    adopt
        Take over, and rename, the project's network that has the VLAN already. Default ``False``.
    cloud
        The cloud's name in clouds.yaml. Default: the pillar's ``openstack:cloud``.
    clouds_yaml
        Path of clouds.yaml. Default: the pillar's ``openstack:clouds_yaml``, then ``/etc/openstack/clouds.yaml``.
    domain
        The project's domain, by name or id. Default: that of the login's project.
    create_projects
        Create the project if it is missing. Default ``True``.
    overlap
        ``deny``, ``warn`` of, or ``allow`` a CIDR that overlaps another project's. Default ``deny``.
    allow_vlan_1
        Allow VLAN 1. Default ``False``.
    rollback
        When the run fails, whatever the reason, remove what it has created; when Neutron refuses the row, that is
        done in any case. Default ``False``.

    .. code-block:: yaml

        tellers:
          neutron_vlan.present:
            - vlan: 12
            - cidr: 10.0.12.0/24
            - physical_network: physnet1
            - cloud: bank

        openstack-vault:
          neutron_vlan.present:
            - name: vault
            - vlan: 13
            - cidr: 10.0.13.0/24
            - router: {external: internet}
            - require:
              - neutron_vlan: tellers

    .. versionadded:: 0.1.0
    """
    given = _pillar()
    above = {
        "cloud": cloud or given.get("cloud"),
        "clouds_yaml": clouds_yaml or given.get("clouds_yaml"),
        "physical_network": physical_network or given.get("physical_network"),
        "domain": domain,
        "reserved": given.get("reserved"),
        "create_projects": create_projects,
        "overlap": overlap,
        "allow_vlan_1": allow_vlan_1,
        "rollback": rollback,
    }
    row = {
        "vlan": vlan,
        "cidr": cidr,
        "network": network,
        "dns_nameservers": dns_nameservers,
        "pools": pools,
        "dhcp": dhcp,
        "ipv6": ipv6,
        "mtu": mtu,
        "router": router,
        "quota": quota,
        "share_with": share_with,
        "on_drift": on_drift,
        "adopt": adopt,
    }
    row = {**_without_none(row), **({} if gateway == "" else {"gateway": gateway})}
    return _converged(name, f"project {name}", {**_without_none(above), "projects": {name: row}})


def absent(name, network=None, remove_project=False, force=False, cloud=None, clouds_yaml=None, domain=None):
    """
    The project's network is gone, with its subnets, router and shares; the project too, if that is asked for.

    Refused, with a list of them, while ports are in use, a router's that has not our tag among them, and for a network
    that has not our tag. A project is never removed before its networks, which would be orphans.

    name
        The project's name.
    network
        The network's name. Default ``<project>-net``.
    remove_project
        Remove the project, if it is ours and nothing else of Neutron is in it; its servers and volumes are not looked
        at. Default ``False``.
    force
        Remove what has not our tag, too; such a router only loses its interface. Default ``False``.
    cloud, clouds_yaml, domain
        As for :py:func:`present`.

    .. code-block:: yaml

        tellers:
          neutron_vlan.absent

        openstack-vault-gone:
          neutron_vlan.absent:
            - name: vault
            - remove_project: True
            - require:
              - neutron_vlan: tellers

    .. versionadded:: 0.1.0
    """
    given = _pillar()
    login = {
        "cloud": cloud or given.get("cloud"),
        "clouds_yaml": clouds_yaml or given.get("clouds_yaml"),
        "domain": domain,
    }
    flags = {"remove_project": remove_project, "force": force}
    faults = [
        {"path": key, "fault": f"is {value!r}", "remedy": "True or False"}
        for key, value in flags.items()
        if not isinstance(value, bool)
    ]
    texts = {"network": network, **login}
    faults += [
        {"path": key, "fault": f"is {value!r}", "remedy": "a text that is not empty"}
        for key, value in texts.items()
        if value is not None and (not isinstance(value, str) or not value)
    ]
    if not login["cloud"]:
        faults.append({"path": "cloud", "fault": "is missing", "remedy": "the cloud's name in clouds.yaml"})
    if faults:
        return __salt__["onepass.refuse"](name, f"project {name}", faults)
    return __salt__["neutron_vlan.remove"](
        name, network, remove_project, force, _without_none(login), name, __opts__["test"]
    )


def _converged(name, what, table):
    try:
        faults = __salt__["neutron_rules.faults"](table)
    except (CommandExecutionError, SaltInvocationError) as err:
        return {"name": name, "result": False, "changes": {}, "comment": str(err)}
    if faults:
        return __salt__["onepass.refuse"](name, what, [_short(each, name) for each in faults])
    return __salt__["neutron_vlan.apply"](table, name, __opts__["test"])


def _short(fault, project):
    """A path as the arguments of ``present`` know it."""
    path = fault["path"].removeprefix("openstack:").removeprefix(f"projects:{project}:")
    return {**fault, "path": path}


def _pillar():
    given = __salt__["onepass.given"]("openstack")
    return given if isinstance(given, dict) else {}


def _without_none(fields):
    return {key: value for key, value in fields.items() if value is not None}
