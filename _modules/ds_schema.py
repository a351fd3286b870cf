"""
The form of the ``ds389`` pillar, which says what a replicated directory should be: a JSON Schema.

.. versionadded:: 0.1.0

What no schema can say (two suppliers of one id, a hub that nobody feeds) is told by :py:mod:`ds_pillar`, whose
``faults`` brings both together. To see the schema::

    salt-call --local -m . ds_schema.schema --out=json
"""

import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.ds import schema as form

__virtualname__ = "ds_schema"


def __virtual__():
    return __virtualname__


def schema():
    """
    The JSON Schema (draft 2020-12) of the ``ds389`` pillar, each part with its ``description``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_schema.schema --out=json

    .. versionadded:: 0.1.0
    """
    return form.schema()
