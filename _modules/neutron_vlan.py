"""
OpenStack tenants on VLANs: one project, one VLAN, one network, one subnet, all from one table.

.. versionadded:: 0.1.0

The table is the pillar's key ``openstack`` (:py:mod:`neutron_schema` describes it). It can be judged without any cloud,
planned against a living one, and applied; and the cloud can be asked who has a VLAN, which ones are free, and for a
table of what is there::

    salt-call --local -m . neutron_vlan.lint path=pillar/openstack.sls
    salt-call --local -m . neutron_vlan.owner 12 cloud=bank clouds_yaml=/etc/openstack/clouds.yaml

The VLAN id is compulsory: a network that is made without one gets whatever id Neutron has left, which may be 1. All
three provider fields are always sent, everything is checked before the first write, and nothing is deleted in order to
change it.

The functions that talk to a cloud take ``cloud`` and ``clouds_yaml``, which are explained in :py:mod:`neutron_cloud`;
they need the cloud's admin, because nobody else sees VLAN ids. They require openstacksdk in Salt's Python.
"""

import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.neutron import act, questions, refuse, report, seen, written
from onepass_lib.neutron.client import Client

__virtualname__ = "neutron_vlan"


def __virtual__():
    return __virtualname__


# The table


def lint(table=None, path=None):
    """
    Refuse a bad table with all its faults at once, or answer what a good one describes. No cloud is asked.

    table
        The table. Default: the pillar's key ``openstack``.
    path
        A pillar file instead: it is rendered by Salt, each fault is told with its line, and so is what YAML reads
        otherwise than it is written (``vlan: 012`` is 10). Default none.

    Returns:
        ``projects`` (how many) and ``vlans``: physical network to its ids, ``12-13,100``. ``warnings``, if there are
        any: CIDRs that overlap where ``overlap`` is ``warn``.

    Raises ``CommandExecutionError`` with a line per fault: place, path, fault and remedy.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_vlan.lint path=pillar/openstack.sls

    .. versionadded:: 0.1.0
    """
    return written.lint(_given(table), path, __salt__["slsutil.renderer"])


def plan(table=None):
    """
    What the table would change in the cloud, per project and field; nothing is changed.

    table
        The table. Default: the pillar's key ``openstack``.

    Returns:
        Project to ``result`` (``create``, ``same``, ``drift``, ``conflict`` or ``adopt``), ``fields`` (field to ``old``
        and ``new``), ``why`` (the reasons for which the whole table would be refused) and ``warnings``.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.plan

    .. versionadded:: 0.1.0
    """
    table = refuse.checked(_given(table))
    return act.Run(table, _client(table)).planned()


def apply(table=None, name="openstack", test=None):
    """
    The cloud has every project of the table with its VLAN; or nothing is changed, and all that is in the way is said.

    Compared are the VLAN, its physical network, the CIDR, and what else the table says; what it does not say is left
    alone. When Neutron refuses what no rule foresees (an MTU above its limit, which no API tells), the run takes back
    what it has made. A changed VLAN id (``on_drift: move``) interrupts the project's traffic until its ports are wired
    anew.

    table
        The table. Default: the pillar's key ``openstack``.
    name
        The name in the return. Default ``openstack``.
    test
        Show the steps and execute none. Default: the minion's ``test``.

    Returns:
        A state's return: ``name``, ``result``, ``changes``, ``comment``, and ``warnings`` if there are any.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.apply test=True

    .. versionadded:: 0.1.0
    """
    table = refuse.checked(_given(table))
    return act.apply(table, _client(table), name, __opts__["test"] if test is None else test)


def remove(project, network=None, remove_project=False, force=False, login=None, name=None, test=None):
    """
    The project's network is gone, with its subnets, router and shares; foreign ports are named, and nothing is done.

    Removed are only a network, a router and a project that carry our tag; a router of the project goes when it serves
    nothing else. One that was there before us never has our tag. A project can hold servers and volumes, which Neutron
    does not know of: it stays unless ``remove_project`` is true, and never goes before its networks.

    project
        The project's name.
    network
        The network's name. Default ``<project>-net``.
    remove_project
        Remove the project as well. Default ``False``.
    force
        Remove what does not carry our tag, too; such a router only loses its interface. Default ``False``.
    login
        Mapping with ``cloud``, ``clouds_yaml`` and ``domain``. Default: those of the pillar's key ``openstack``.
    name
        The name in the return. Default: the project.
    test
        Show the steps and execute none. Default: the minion's ``test``.

    Returns:
        A state's return: ``name``, ``result``, ``changes`` and ``comment``.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.remove tellers test=True

    .. versionadded:: 0.1.0
    """
    login = login or _login()
    test = __opts__["test"] if test is None else test
    client = _client(login)
    return act.remove(project, network, remove_project, force, login, client, name or project, test)


# Questions to the cloud


def owner(vlan, physical_network=None, cloud=None, clouds_yaml=None):
    """
    Who has a VLAN.

    vlan
        The VLAN id.
    physical_network
        Only on this one. Default: on all.
    cloud, clouds_yaml
        The login, see :py:mod:`neutron_cloud`.

    Returns:
        List of mappings: ``physical_network``, ``vlan``, ``network``, ``id``, ``project`` (its name, or ``deleted
        project``), ``project_id``, ``cidrs``, ``ports`` (a line each), ``created_at``. Empty when nobody has it.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.owner 12

    .. versionadded:: 0.1.0
    """
    return questions.owner(_client({}, cloud, clouds_yaml), vlan, physical_network)


def free(physical_network=None, start=2, end=4094, count=10, table=None, cloud=None, clouds_yaml=None):
    """
    The next VLAN ids that nobody has: neither in the cloud, nor in the table, nor reserved there.

    physical_network
        Default: the table's.
    start, end
        The first and the last id to look at. Default 2 and 4094.
    count
        How many to answer. Default 10.
    table
        The table. Default: the pillar's key ``openstack``; there may be none.
    cloud, clouds_yaml
        The login, see :py:mod:`neutron_cloud`. Default: the table's.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.free physnet1 start=100 count=3

    .. versionadded:: 0.1.0
    """
    table = _given(table) or {}
    return questions.free(_client(table, cloud, clouds_yaml), table, physical_network, start, end, count)


def orphans(cloud=None, clouds_yaml=None):
    """
    Networks whose project is deleted. Their VLANs stay taken.

    cloud, clouds_yaml
        The login, see :py:mod:`neutron_cloud`.

    Returns:
        List of mappings as of :py:func:`owner`, without ``ports``, and with ``free``: the command that frees it.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.orphans

    .. versionadded:: 0.1.0
    """
    return report.orphans(seen.base(_client({}, cloud, clouds_yaml)))


def audit(table=None):
    """
    What an administrator should know of the cloud's VLANs: orphans, VLAN 1, reserved ids, networks that the table does
    not list, networks without a subnet or shared with all, subnets of another project, explicit ids that Neutron may
    give to anybody first.

    table
        The table. Default: the pillar's key ``openstack``.

    Returns:
        A list of sentences, empty when there is nothing to say.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.audit

    .. versionadded:: 0.1.0
    """
    table = refuse.checked(_given(table))
    return questions.audit(_client(table), table)


def export(physical_network=None, cloud=None, clouds_yaml=None):
    """
    A table of what is there, to begin with in a living cloud: a plan of it has nothing to do but to set our tag.

    physical_network
        Only this one. Default: all.
    cloud, clouds_yaml
        The login, see :py:mod:`neutron_cloud`.

    Returns:
        ``openstack``: the table. ``left_out``: network to the reason for which no row can describe it.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.export --out=yaml

    .. versionadded:: 0.1.0
    """
    given = {"cloud": cloud, "clouds_yaml": clouds_yaml}
    above = {**_login(), **{key: each for key, each in given.items() if each}}
    return questions.export(_client({}, cloud, clouds_yaml), above, physical_network)


def trunk_list(physical_network=None, cloud=None, clouds_yaml=None):
    """
    The VLANs in use, as switches take them: ``12-13,100``.

    physical_network
        Only this one. Default: all.
    cloud, clouds_yaml
        The login, see :py:mod:`neutron_cloud`.

    Returns:
        Physical network to its list.

    CLI Example:

    .. code-block:: bash

        salt-call neutron_vlan.trunk_list

    .. versionadded:: 0.1.0
    """
    return questions.trunk_list(_client({}, cloud, clouds_yaml), physical_network)


def _given(table=None):
    return __salt__["onepass.given"]("openstack", table)


def _login():
    given = _given() or {}
    return {key: given[key] for key in ("cloud", "clouds_yaml", "domain") if given.get(key)}


def _client(table, cloud=None, clouds_yaml=None):
    """The cloud that is named, or else the table's, or else the pillar's."""
    cloud, clouds_yaml = cloud or table.get("cloud"), clouds_yaml or table.get("clouds_yaml")
    return Client.of(_given(), cloud, clouds_yaml, __context__, __grains__["id"])
