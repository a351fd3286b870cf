"""
Connections through a branch's gateway that are older than its rules: a flow stays as it began, untranslated, for ever.

.. versionadded:: 0.1.0

Nobody else's flow is looked at::

    salt-call --local -m . bridge_nat_flows.stale '{network: 10.20.30.0/24, network6: null, port: 22}'

Requires root and ``conntrack``; without that program no flow is found.
"""

import onepass_lib
import salt.utils.path
from salt.exceptions import CommandExecutionError

onepass_lib.look(__file__)

from onepass_lib.bridge_nat import seen
from onepass_lib.bridge_nat.desired import LINK_LOCAL


def __virtual__():
    return "bridge_nat_flows"


def stale(arguments: dict, links: dict | None = None) -> list:
    """
    Flows of hosts that leave the branch, and flows to the hosts' port, that are not translated.

    arguments
        Those of the state ``bridge_nat.gateway``; ``network``, ``network6`` and ``port`` are looked at.
    links
        Those of :py:func:`bridge_nat_host.observe`: what ends at the gateway itself is never translated. Default none.

    Returns:
        List of mappings: ``family``, ``protocol``, ``src``, ``dst`` and, if there are any, ``sport`` and ``dport``.

    Raises ``CommandExecutionError`` with what conntrack said.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_flows.stale '{network: 10.20.30.0/24, network6: null, port: 22}'

    .. versionadded:: 0.1.0
    """
    if not salt.utils.path.which("conntrack"):
        return []
    port = ["-p", "tcp", "--dport", str(arguments["port"])]
    leaving = _untranslated("ipv4", "--orig-src", LINK_LOCAL)
    coming = _untranslated("ipv4", "--orig-dst", arguments["network"], *port)
    if arguments["network6"]:
        coming += _untranslated("ipv6", "--orig-dst", arguments["network6"], *port)
    return seen.stale(leaving, coming, links or {})


def delete(flows: list) -> None:
    """
    These flows are deleted; one that has ended by itself meanwhile is none to complain of.

    flows
        What :py:func:`stale` answered.

    Raises ``CommandExecutionError`` with what conntrack said.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc bridge_nat_flows.delete

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    for words in dict.fromkeys(tuple(_words(flow)) for flow in flows):  # two pings are told by the same words
        try:
            __salt__["onepass_host.run"](["conntrack", "-D", *words])
        except CommandExecutionError as err:
            if "0 flow entries have been deleted" not in str(err):
                raise


def _untranslated(family: str, *words: str) -> list:
    return seen.untranslated(family, __salt__["onepass_host.run"](["conntrack", "-L", "-f", family, *words]))


def _words(flow: dict) -> list:
    words = ["-f", flow["family"], "-p", flow["protocol"], "--orig-src", flow["src"], "--orig-dst", flow["dst"]]
    return words + [word for key in ("sport", "dport") if key in flow for word in (f"--{key}", flow[key])]
