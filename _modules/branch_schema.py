"""
The form of the ``branch`` pillar: a JSON Schema.

.. versionadded:: 0.1.0

What no schema can say is told by :py:mod:`branch_pillar`, whose ``faults`` and ``check`` bring all of it together.
To see the schema::

    salt-call --local -m . branch_schema.schema --out=json
"""

import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.branch import schema as form

__virtualname__ = "branch_schema"


def __virtual__():
    return __virtualname__


def schema():
    """
    The JSON Schema (draft 2020-12) of the ``branch`` pillar, each part with its ``description``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_schema.schema --out=json

    .. versionadded:: 0.1.0
    """
    return form.schema()
