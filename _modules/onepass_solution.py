"""
Errors and solutions: what a message of the bundle means, and what to do.

.. versionadded:: 0.1.0

The explanations themselves are :py:mod:`onepass_errors`. To look up a message, as it was pasted from a terminal::

    salt-call --local -m . onepass_solution.find 'Waited 60 s for a writable primary of s1; last seen: no answer'
"""

import re

from salt.exceptions import CommandExecutionError


def __virtual__():
    return "onepass_solution"


def find(message: str) -> list:
    """
    The explanations of a message, the one that fits best first.

    message
        The message, or any text with it inside, such as a state's whole comment.

    Returns:
        List of mappings: ``error`` (the message's form, ``*`` for what differs from case to case), ``area``,
        ``meaning`` and ``solution``.

    Raises ``CommandExecutionError`` when no message of the bundle is in the text.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass_solution.find 'virtual1 is not sealed; libvirt_clone.seal virtual1'

    .. versionadded:: 0.1.0
    """
    text = " ".join(message.split())
    fitting = [entry for entry in __salt__["onepass_errors.entries"]() if matches(entry["error"], text)]
    if not fitting:
        raise CommandExecutionError(
            "No message of the bundle is in this text; give the whole line in which it says what is wrong, in quotes"
        )
    return sorted(fitting, key=lambda entry: len(entry["error"].replace("*", "")), reverse=True)


def matches(error: str, text: str) -> bool:
    """
    Whether a message of this form is in a text.

    error
        The message's form, with ``*`` for what differs from case to case.
    text
        The text.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass_solution.matches 'There is no domain *' 'There is no domain web1'

    .. versionadded:: 0.1.0
    """
    return bool(re.search(".*?".join(map(re.escape, error.split("*"))), text))
