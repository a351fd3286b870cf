"""
The table of projects and VLANs, judged: everything that is wrong with it, known without any cloud.

.. versionadded:: 0.1.0

The table is the pillar's key ``openstack``: defaults on top, a row per project below ``projects``. Nothing here asks
the world, so a pillar can be judged in a CI::

    salt-call --local -m . neutron_vlan.lint path=pillar/openstack.sls

A fault is a mapping: ``path``, ``fault`` (what is wrong, with the value found) and ``remedy`` (what would be right).
"""

import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.neutron import desired, refuse

__virtualname__ = "neutron_rules"


def __virtual__():
    return __virtualname__


def faults(table=None):
    """
    Everything that is wrong with a table, sorted by path; an empty list for a good one.

    table
        The table. Default: the pillar's key ``openstack``.

    Returns:
        List of mappings: ``path`` (``openstack:projects:tellers:vlan``), ``fault`` and ``remedy``.

    Requires ``jsonschema`` 4 in Salt's Python.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_rules.faults '{cloud: bank, projects: {tellers: {vlan: 0, cidr: 10.0.12.0}}}'

    .. versionadded:: 0.1.0
    """
    return refuse.faults(_given(table))


def summary(table=None):
    """
    How much a table describes: ``projects``.

    table
        The table. Default: the pillar's key ``openstack``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_rules.summary '{projects: {tellers: {vlan: 12, cidr: 10.0.12.0/24}}}'

    .. versionadded:: 0.1.0
    """
    return desired.summary(_given(table))


def places(table=None):
    """
    Where the table names each minion: minion id to path.

    table
        The table. Default: the pillar's key ``openstack``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_rules.places '{minion: api.dc}'

    .. versionadded:: 0.1.0
    """
    return desired.places(_given(table))


def _given(table):
    return __salt__["onepass.given"]("openstack", table)
