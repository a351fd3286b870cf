"""
States for the master's side of an orchestration.

.. versionadded:: 0.1.0
"""

from salt.exceptions import CommandExecutionError

__virtualname__ = "onepass"


def __virtual__():
    return __virtualname__


def checked(name, areas=None):
    """
    The site's pillar has no fault, its hosts have accepted keys and answer; else the run stops, naming all faults.

    The runner :py:func:`onepass.check` as a state: it looks in a dry run too, and it never changes anything.

    name
        Any text.
    areas
        Parts of the pillar to check, for example ``[mongodb]``. Default: all that are there.

    .. code-block:: yaml

        preflight:
          onepass.checked

        mongodb-preflight:
          onepass.checked:
            - areas: [mongodb]
            - failhard: True

    .. versionadded:: 0.1.0
    """
    ret = {"name": name, "result": False, "changes": {}, "comment": ""}
    try:
        found = __salt__["saltutil.runner"]("onepass.check", areas=areas, full_return=True)
    except CommandExecutionError as err:
        return dict(ret, comment=str(err))
    said = found["return"]
    if not found["success"]:
        return dict(ret, comment=str(said))
    return dict(ret, result=True, comment="\n".join(f"{area}: {line}" for area, line in said.items()))
