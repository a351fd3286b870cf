"""
An orchestration's beginning, end and failures as text for a terminal.

.. versionadded:: 0.1.0

What is shown here is what :py:mod:`orchestration` answers::

    salt-call --local -m . orchestration_text.causes '[]'
"""

import textwrap

__virtualname__ = "orchestration_text"

MANY_NAMES, MANY_LINES = 6, 12
ABOVE, CLEAR, DIM, PLAIN = "\x1b[{}F", "\x1b[J", "\x1b[2m", "\x1b[0m"


def __virtual__():
    return __virtualname__


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


def named(job):
    """
    What a job is called: ``orchestrate.site``, or ``the dry run of orchestrate.site``.

    job
        A job of the runner ``onepass_jobs``: ``jid``, ``name``, ``test``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_text.named '{name: orchestrate.site, test: true}'

    .. versionadded:: 0.1.0
    """
    return f"the dry run of {job['name']}" if job["test"] else job["name"]


def begins(job):
    """
    That a job begins; a dry run that a run has before it says what for.

    job
        A job of the runner ``onepass_jobs``; ``compares`` of one that a run has before it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_text.begins '{jid: "1", name: orchestrate.site, test: true}'

    .. versionadded:: 0.1.0
    """
    if job.get("compares"):
        return f"looking whether the world is still as planned (dry run, job {job['jid']}); then the run begins"
    return f"{named(job)} begins (job {job['jid']})"


def interrupted(job):
    """
    What Ctrl-C has ended, and what goes on.

    job
        A job of the runner ``onepass_jobs``; ``compares`` of one that a run has before it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_text.interrupted '{jid: "1", name: orchestrate.site, test: false}'

    .. versionadded:: 0.1.0
    """
    if job.get("compares"):
        return (
            f"Stopped before the run began: nothing was begun, and nothing was changed\n"
            f"  the dry run (job {job['jid']}) ends by itself"
        )
    goes_on = "; it changes nothing" if job["test"] else ", and so does what its hosts are doing"
    return f"Watching ended; {named(job)} goes on{goes_on}\n  watch it again:\n  salt-run onepass.watch {job['jid']}"


def end(job, found, width=120):
    """
    The end of a job: its phases, and, when it failed, what failed apart from what was not begun and what went on.

    job
        A job of the runner ``onepass_jobs`` that has ended.
    found
        What :py:func:`orchestration.summary` answered.
    width
        Columns of the terminal. Default 120.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_text.end '{jid: "1", name: x, test: false, seconds: 1.5}' \
            '{phases: [], changes: 0, failed: []}'

    .. versionadded:: 0.1.0
    """
    bad, dry = bool(found["failed"]), job["test"]
    time, verb = f"{job['seconds']:.1f} s", "failed" if bad else "is done"
    head = f"{named(job)} {verb}: {_changes(found)} in {time} (job {job['jid']})"
    if dry:
        would = f"it would make {_changes(found)}; nothing was changed"
        head = f"{named(job)} {verb}: {would} ({time}, job {job['jid']})"
    wide = max((len(each["phase"]) for each in found["phases"]), default=0)
    lines = [_phase_line(each, wide) for each in found["phases"]]
    if not bad:
        return "\n".join([*fitting(head, width), *lines])
    words = {
        "failed": "failed",
        "not begun": "not begun, a gate before it failed",
        "done": "done, for it stands on nothing that failed",
    }
    return "\n".join(
        [*fitting(head, width), *(line for kind in words for line in _kind(kind, words[kind], found, wide))]
    )


def fitting(line, width, indent=2):
    """
    A line in as many as the width needs; no word is broken, so that a job's id can be copied.

    line
        The line.
    width
        Columns.
    indent
        Blanks before all lines but the first. Default 2.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_text.fitting 'orchestrate.site begins' 60

    .. versionadded:: 0.1.0
    """
    wrap = textwrap.TextWrapper(width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    return [line] if len(line) <= width else wrap.wrap(line)


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


def screen(lines, footer, before, width, dim=True):
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
    dim
        The footer is dimmed. Default ``True``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_text.screen '[done]' '[]' 0 80

    .. versionadded:: 0.1.0
    """
    up = ABOVE.format(before) if before else ""
    below = [f"{DIM * dim}{_cut(line, width - 1)}{PLAIN * dim}" for line in footer]
    return up + CLEAR + "".join(f"{line}\n" for line in [*lines, *below])


def _phase_line(each, wide):
    return f"  {each['phase']:{wide}}  {each['seconds']:6.1f} s  {_changes(each)}"


def _changes(counted):
    return f"{counted['changes']} change{'s' * (counted['changes'] != 1)}"


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


def _cut(line, width):
    return line if len(line) <= width else line[: width - 3] + "..."
