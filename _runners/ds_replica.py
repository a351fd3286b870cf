"""
389 Directory Server from the master: what an administrator would type so that it becomes what the pillar says.

.. versionadded:: 0.1.0

Each server is asked by its own host's minion; nothing is changed::

    salt-run ds_replica.plan
"""

import salt.exceptions
import salt.loader
from salt.exceptions import CommandExecutionError


class Refusal(CommandExecutionError, salt.exceptions.NotImplemented):
    """A runner's error that Salt shows as it is; of any other it shows a traceback first."""


def __virtual__():
    return "ds_replica"


def plan(timeout: int | None = None) -> dict:
    """
    The ``dsconf`` commands, in an order in which nobody's data are lost, or the reasons why there are none.

    The pillar is the master's own, its key ``ds389``.

    timeout
        Seconds that minions have for their answer. Default: the master's ``timeout``, and 15 at least.

    Returns:
        See the execution module's :py:func:`ds_replica.plan`.

    Raises ``CommandExecutionError`` with all faults of the pillar.

    CLI Example:

    .. code-block:: bash

        salt-run ds_replica.plan

    .. versionadded:: 0.1.0
    """
    opts = {**__opts__, "enable_fqdns_grains": False}
    opts["grains"] = opts.get("grains") or salt.loader.grains(opts)
    modules = salt.loader.minion_mods(opts, utils=salt.loader.utils(opts))
    pillar = __salt__["pillar.show_pillar"](__opts__["id"]).get("ds389")
    faults = modules["ds_pillar.faults"](pillar or {})
    if faults:
        raise Refusal(modules["pillar_form.report"]("ds389", faults))
    asked = modules["ds_estate.questions"](pillar)
    told = [__salt__["onepass_hosts.ask"](each["minions"], each["function"], each["arg"], timeout) for each in asked]
    return modules["ds_estate.planned"](told, pillar)
