"""
An orchestration's plan, end and failures as text for a terminal.

.. versionadded:: 0.1.0

What is shown here is what :py:mod:`orchestration` answers::

    salt-call --local -m . orchestration_text.causes '[]'
"""

import itertools
import re
import textwrap

__virtualname__ = "orchestration_text"

MANY_NAMES, MANY_LINES = 6, 12
ABOVE, CLEAR, DIM, PLAIN = "\x1b[{}F", "\x1b[J", "\x1b[2m", "\x1b[0m"


def __virtual__():
    return __virtualname__


def plan(name, found, width=120):
    """
    A plan as a table of phase, host and change; hosts that would change alike share their lines.

    name
        The orchestration: ``orchestrate.site``.
    found
        What :py:func:`orchestration.plan` answered.
    width
        Columns of the terminal. Default 120.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_text.plan orchestrate.site '{hash: 0, rows: [], done: [], unknown: []}'

    .. versionadded:: 0.1.0
    """
    hosts = {row["host"] for row in found["rows"]}
    head = f"{name} would change nothing"
    if found["rows"]:
        head = f"{name} would change {_number(found['rows'], 'thing')} on {_number(hosts, 'host')}"
    parts = [head, *_table(found["rows"], width)]
    if found["done"]:
        said = f"{row['host'] or 'the master'} ({row['change'].partition(':')[0]})" if (row := found["done"][0]) else ""
        parts += ["", f"Done already, in spite of the dry run: {said}{_more(found['done'], 1)}"]
    if found["unknown"]:
        parts += ["", "What a dry run cannot know:", *_some(found["unknown"], width)]
    if found["rows"]:
        parts += ["", f"To run exactly this: salt-run onepass.run {name} plan={found['hash']}"]
    return "\n".join(parts)


def moved(old, new, width=120):
    """
    What is in one plan and not in the other, as lines with ``-`` and ``+``.

    old, new
        Rows of plans. ``old`` may be ``None``: it is not known any more.
    width
        Columns of the terminal. Default 120.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_text.moved '[]' '[]'

    .. versionadded:: 0.1.0
    """
    if old is None:
        return ["  that plan is not in the master's job cache any more, so what moved is not known"]
    texts = [[f"{row['phase']}: {row['host']}: {row['change']}" for row in rows] for rows in (old, new)]
    gone = [f"- {line}" for line in texts[0] if line not in texts[1]]
    come = [f"+ {line}" for line in texts[1] if line not in texts[0]]
    return _some([*gone, *come], width, "")


def end(name, found, seconds, jid):
    """
    The end of a run: its phases, and, when it failed, what failed apart from what was not begun and what went on.

    name
        The orchestration.
    found
        What :py:func:`orchestration.summary` answered.
    seconds
        How long it took.
    jid
        Its job id.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_text.end orchestrate.site '{phases: [], changes: 0, failed: []}' 1.5 1

    .. versionadded:: 0.1.0
    """
    bad = bool(found["failed"])
    changes = f"{found['changes']} change{'s' * (found['changes'] != 1)}"
    head = f"{name} {'failed' if bad else 'is done'}: {changes} in {seconds:.1f} s (job {jid})"
    wide = max((len(each["phase"]) for each in found["phases"]), default=0)
    lines = [_phase_line(each, wide) for each in found["phases"]]
    if not bad:
        return "\n".join([head, *lines])
    words = {
        "failed": "failed",
        "not begun": "not begun, a gate before it failed",
        "done": "done, for it stands on nothing that failed",
    }
    return "\n".join([head, *(line for kind in words for line in _kind(kind, words[kind], found, wide))])


def causes(found, width=120):
    """
    The first causes of failures, a paragraph for hosts that failed alike.

    found
        What :py:func:`orchestration.causes` answered.
    width
        Columns of the terminal. Default 120.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_text.causes '[]'

    .. versionadded:: 0.1.0
    """
    return "\n\n".join(_paragraph(cause, width) for cause in found)


def screen(lines, footer, before, width):
    """
    What to write to a terminal so that new lines stand above a footer that is drawn anew.

    lines
        New lines, which stay.
    footer
        The lines of the footer now.
    before
        How many lines it has on the terminal.
    width
        Columns; the footer's lines are cut to them.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_text.screen '[done]' '[]' 0 80

    .. versionadded:: 0.1.0
    """
    up = ABOVE.format(before) if before else ""
    below = [f"{DIM}{_cut(line, width - 1)}{PLAIN}" for line in footer]
    return up + CLEAR + "".join(f"{line}\n" for line in [*lines, *below])


def _table(rows, width):
    """Phase and hosts are written where they change."""
    groups = list(_alike(rows))
    if not groups:
        return
    wide = max(len(phase) for phase, *_ in groups)
    hosts_wide = max(8, min(40, max(len(hosts) for _, hosts, _ in groups)))
    yield ""
    last = None
    for phase, hosts, changes in [("phase", "hosts", ["change"]), *groups]:
        named = textwrap.wrap(hosts, hosts_wide, break_long_words=False)
        for number, (host, change) in enumerate(itertools.zip_longest(named, changes, fillvalue="")):
            first = phase if not number and phase != last else ""
            yield _cut(f"{first:{wide}}  {host:{hosts_wide}}  {change}", width).rstrip()
        last = phase


def _alike(rows):
    """Phase, hosts and changes; hosts whose changes differ in nothing but their own name stand together."""
    for phase, of_phase in itertools.groupby(rows, lambda row: row["phase"]):
        groups = {}
        for host, own in itertools.groupby(of_phase, lambda row: row["host"]):
            groups.setdefault(tuple(f"{row['state']}: {_blank(host, row['change'])}" for row in own), []).append(host)
        for changes, hosts in groups.items():
            alone = hosts[0] if len(hosts) == 1 else "*"
            yield phase, _names(hosts) or "the master", [change.replace("{host}", alone) for change in changes]


def _blank(host, change):
    return re.sub(rf"\b{re.escape(host)}\b", "{host}", change) if host else change


def _phase_line(each, wide):
    changes = f"{each['changes']} change{'s' * (each['changes'] != 1)}"
    return f"  {each['phase']:{wide}}  {each['seconds']:6.1f} s  {changes}"


def _kind(kind, words, found, wide):
    phases = [each for each in found["phases"] if each["result"] == kind]
    if phases:
        yield f"  {words}"
    for each in phases:
        yield f"    {each['phase']}" if kind == "not begun" else f"  {_phase_line(each, wide)}"


def _paragraph(cause, width):
    hosts = f" on {_names(cause['hosts'])}" if cause["hosts"] else ""
    count = f" ({len(cause['hosts'])} hosts alike)" if len(cause["hosts"]) > 1 else ""
    allowed = ", as many as the phase allows" if cause["tolerated"] else ""
    rows = {key: cause[key] for key in ("state", "wanted", "seen", "next") if cause[key]}
    lines = [line for key, text in rows.items() for line in _field(key, text, width)]
    return "\n".join([f"{cause['phase']}{hosts}{count}{allowed}", *lines])


def _field(key, text, width):
    """A name and its text, wrapped below itself; a command stays on one line."""
    paragraphs = text.splitlines() or [""]
    indent = " " * 10
    wrapped = [
        line
        for paragraph in paragraphs
        for line in (textwrap.wrap(paragraph, max(40, width - 10), break_long_words=False) or [""])
    ]
    wrapped = paragraphs if key == "next" else wrapped
    return [f"  {key:8}{wrapped[0]}", *(f"{indent}{line}" for line in wrapped[1:])]


def _some(lines, width, hint="; all with --out=json"):
    shown = lines if len(lines) <= MANY_LINES + 1 else lines[:MANY_LINES]
    more = [f"  and {len(lines) - len(shown)} more{hint}"] if len(shown) < len(lines) else []
    return [_cut(f"  {line}", width) for line in shown] + more


def _names(names):
    shown = names if len(names) <= MANY_NAMES + 1 else names[:MANY_NAMES]
    return ", ".join(filter(None, shown)) + _more(names, len(shown))


def _more(names, shown):
    return f" and {len(names) - shown} more" if len(names) > shown else ""


def _number(things, what):
    return f"{len(things)} {what}{'s' * (len(things) != 1)}"


def _cut(line, width):
    return line if len(line) <= width else line[: width - 3] + "..."
