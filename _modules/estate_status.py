"""
What was seen of the estate, as a table for a terminal, as numbers for a monitor, and as one exit code.

.. versionadded:: 0.1.0

What goes in is what ``seen`` of each area's module answers, see :py:func:`mongo_estate.seen`::

    salt-call --local -m . estate_status.told '{}'
"""

import re

__virtualname__ = "estate_status"

# What Salt answers for a minion that does not have a function.
NOT_THERE = re.compile(r"'[\w.]+' is not available\.")

# The exit codes, the worst first; 0: all is as wanted.
CODES = {"faults": 1, "silent": 2, "behind": 3}


def __virtual__():
    return __virtualname__


def told(seen):
    """
    Areas as they were seen: as data with one code for all of them, and as text.

    seen
        Area to what its module's ``seen`` answered.

    Returns:
        ``text``, and ``data``: ``code`` (0: all is as wanted; 1: there is a fault; 2: a host is silent; 3: something is
        behind, or a run would change it; the first of them that is so), ``faults``, ``silent`` and ``behind`` (how
        many), and each area with the same three as lists beside its own mappings.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . estate_status.told '{}'

    .. versionadded:: 0.1.0
    """
    areas = {area: {**each["data"], **_lists(each)} for area, each in seen.items()}
    numbers = {kind: sum(len(each[kind]) for each in areas.values()) for kind in CODES}
    code = next((code for kind, code in CODES.items() if numbers[kind]), 0)
    text = "\n".join(line for area, each in seen.items() for line in [area, *_lines(each)])
    return {"text": text, "data": {"code": code, **numbers, **areas}}


def lacks(answer):
    """
    Whether a minion has answered that it does not have what it was asked with: no run has brought it the modules yet.

    answer
        What it answered.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . estate_status.lacks "'bridge_nat.check' is not available."

    .. versionadded:: 0.1.0
    """
    return isinstance(answer, str) and bool(NOT_THERE.fullmatch(answer))


def _lists(each):
    cannot = [each["fault"]] if each["fault"] else []
    return {"faults": cannot + each["broken"], "silent": each["silent"], "behind": each["behind"]}


def _lines(each):
    """What a line above has named already stands there only; all else has a line each."""
    more = [("fault", line) for line in _lists(each)["faults"] if line not in each["named"]]
    more += [("behind", line) for line in each["behind"] if line not in each["named"]]
    silent = [minion for minion in each["silent"] if minion not in each["named"]]
    more += [("silent", ", ".join(silent))] * bool(silent)
    rows = [*each["lines"].items(), *more]
    wide = max((len(what) for what, _ in rows), default=0)
    return [f"  {what:{wide}}  {words}" for what, words in rows]
