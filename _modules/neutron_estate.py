"""
The OpenStack area as it is: what to ask of whom, what the answer means, and how the tenants are drawn.

.. versionadded:: 0.1.0

The three functions that every area has, see :py:mod:`mongo_estate`. Nothing here asks::

    salt-call --local -m . --pillar-root pillar --id hq_master neutron_estate.drawn
"""

import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.neutron import estate

__virtualname__ = "neutron_estate"


def __virtual__():
    return __virtualname__


def questions(pillar=None):
    """
    What the master has to ask in order to know how the tenants' networks are.

    pillar
        The value of the pillar's key ``openstack``. Default: this minion's.

    Returns:
        As for :py:func:`mongo_estate.questions`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_estate.questions '{cloud: bank, projects: {}}'

    .. versionadded:: 0.1.0
    """
    return estate.questions(_given(pillar))


def seen(answers, pillar=None):
    """
    What the answer means: each project in a line.

    answers
        Minion (``""`` is the master) to answer, for each question.
    pillar
        The value of the pillar's key ``openstack``. Default: this minion's.

    Returns:
        As for :py:func:`mongo_estate.seen`. ``data`` has ``projects``: project to its ``vlan`` and ``result``
        (``same``, ``create``, ``adopt``, ``drift`` or ``conflict``).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_estate.seen '[{}]' '{cloud: bank, projects: {}}'

    .. versionadded:: 0.1.0
    """
    return estate.seen(answers, _given(pillar), __salt__["estate_status.lacks"])


def drawn(pillar=None):
    """
    The tenants as a table of VLAN, project and network.

    pillar
        The value of the pillar's key ``openstack``. Default: this minion's.

    Returns:
        ``title``, ``tables`` and ``links``, see :py:func:`estate_graph.dot`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id hq_master neutron_estate.drawn

    .. versionadded:: 0.1.0
    """
    return estate.drawn(_given(pillar), __salt__["estate_graph.grid"])


def _given(pillar):
    return __salt__["onepass.given"]("openstack", pillar)
