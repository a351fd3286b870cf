"""
The form of the ``openstack`` pillar, which is the table of projects and VLANs: a JSON Schema.

.. versionadded:: 0.1.0

What no schema can say (two projects on one VLAN, a gateway outside its CIDR) is told by :py:mod:`neutron_rules`, whose
``faults`` has both. To see the schema::

    salt-call --local -m . neutron_schema.schema --out=json
"""

import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.neutron import schema as form

__virtualname__ = "neutron_schema"


def __virtual__():
    return __virtualname__


def schema():
    """
    The JSON Schema (draft 2020-12) of the ``openstack`` pillar, each part with its ``description``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_schema.schema --out=json

    .. versionadded:: 0.1.0
    """
    return form.schema()
