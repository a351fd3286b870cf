"""
A network with names: the one data model that both backends of :py:mod:`dnsmasq_fwd` are made from, and all that can be
wrong with it.

.. versionadded:: 0.1.0

Nothing here asks the world. To judge a network without any host::

    salt-call --local -m . dnsmasq_model.faults '{name: lab, domain: lab.example, address: 192.168.150.1/24}'

Requires ``jsonschema`` 4 in Salt's Python.
"""

import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.dnsmasq import desired, refuse
from onepass_lib.dnsmasq import schema as form

__virtualname__ = "dnsmasq_model"


def __virtual__():
    return __virtualname__


def schema() -> dict:
    """
    The JSON Schema (draft 2020-12) of a network, each part with its ``description``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_model.schema --out=json

    .. versionadded:: 0.1.0
    """
    return form.schema()


def faults(network) -> list:
    """
    Everything that is wrong with a network, sorted by path; an empty list for a good one.

    network
        Mapping with ``name``, ``domain`` and ``address``, and any of ``backend``, ``bridge``, ``local_only``, ``nat``,
        ``dhcp``, ``forwarders``, ``hosts``, ``options`` and ``resolver``: see the states of :py:mod:`dnsmasq_fwd`.

    Returns:
        List of mappings: ``path`` (``forwarders:1:address``), ``fault`` and ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_model.faults '{name: lab, domain: my lab, address: 192.168.150.0/24}'

    .. versionadded:: 0.1.0
    """
    return refuse.faults(network)


def complete(network: dict) -> dict:
    """
    A good network with its defaults filled in and its values in normal form: lower case, hosts without the domain.

    network
        As for :py:func:`faults`, which found nothing.

    Returns:
        The same keys, all of them, and ``network`` (``192.168.150.0/24``), ``gateway`` (``192.168.150.1``),
        ``netmask``, ``reverse`` (the reverse zone, or ``None``) and ``lines`` (dnsmasq's options, ours among them).
        Each of ``hosts`` has ``address`` and ``mac`` (or ``None``), each of ``forwarders`` ``address``, ``port`` and
        ``domain`` (or ``None``).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . dnsmasq_model.complete '{name: lab, domain: lab.example, address: 192.168.150.1/24}'

    .. versionadded:: 0.1.0
    """
    return desired.complete(network)
