"""
The form of a pillar: where it differs from a JSON Schema, in an administrator's words.

.. versionadded:: 0.1.0

Shared by the areas' schemas (:py:mod:`mongo_schema`, :py:mod:`neutron_schema`, :py:mod:`branch_schema`), in which
every part's ``description`` says what would be right and becomes the remedy of its faults::

    salt-call --local -m . pillar_form.faults '{prot: 1}' '{type: object, properties: {port: {}}, required: [],
        additionalProperties: false}'

Requires ``jsonschema`` 4 in Salt's Python.
"""

from collections.abc import Iterable

import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.core import form


def __virtual__():
    if not form.HAS_JSONSCHEMA:
        return False, "pillar_form needs jsonschema 4 in Salt's Python: salt-pip install 'jsonschema>=4.17'"
    return "pillar_form"


def faults(
    pillar, schema: dict, aliases: dict | None = None, secrets: Iterable = (), shown: dict | None = None
) -> list:
    """
    Where a pillar differs from its schema: all faults at once, in no order.

    pillar
        The value to judge.
    schema
        JSON Schema (draft 2020-12); each part with a ``description`` of what would be right.
    aliases
        Keys that people know from elsewhere, to the right ones. Default none.
    secrets
        Top keys below which no value is shown, and a strange key only if it looks like a known one. Default none.
    shown
        Exceptions from ``secrets``: top key to a list of keys of its entries, ``{users: [roles]}``. Default none.

    Returns:
        List of mappings with ``path``, ``fault`` and ``remedy``; no secret in any of them.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . pillar_form.faults 5 '{type: string, description: a text}'

    .. versionadded:: 0.1.0
    """
    return form.faults(pillar, schema, aliases, secrets, shown)


def sound(pillar, schema: dict, aliases: dict | None = None, secrets: Iterable = (), shown: dict | None = None) -> dict:
    """
    The pillar without what the schema refuses: unknown keys are left out; a malformed entry of a list is ``None``, and
    so is any other malformed value. Holds the pillar's secrets.

    pillar, schema, aliases, secrets, shown
        As for :py:func:`faults`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . pillar_form.sound '{a: 5}' '{type: object, properties: {}, additionalProperties: false}'

    .. versionadded:: 0.1.0
    """
    return form.sound(pillar, schema, aliases, secrets, shown)


def ordered(area: str, found: list) -> list:
    """
    Faults with their whole path, in the order in which people count.

    area
        The pillar's key, which becomes the beginning of each path.
    found
        List of mappings with ``path``, ``fault`` and ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . pillar_form.ordered branch '[{path: port, fault: is 0, remedy: 1 to 65535}]'

    .. versionadded:: 0.1.0
    """
    return form.ordered(area, found)


def report(area: str, found: list) -> str:
    """
    Faults as one readable block, a line for each of the first hundred.

    area
        The pillar's key.
    found
        What an area's ``faults`` answered.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . pillar_form.report branch '[{path: "branch:port", fault: is 0, remedy: 1 to 65535}]'

    .. versionadded:: 0.1.0
    """
    return form.report(area, found)
