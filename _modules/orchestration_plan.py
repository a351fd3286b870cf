"""
A plan for people: what would be told to a colleague, or each change by itself; for a terminal, or for a ticket.

.. versionadded:: 0.1.0

What is shown here is what :py:func:`orchestration.plan` answers::

    salt-call --local -m . orchestration_plan.told orchestrate.site '{hash: a, rows: [], done: [], unknown: []}'

Changes are told together when they differ in nothing but a name: the host's, or that of a set in the ids of the states.
"""

import html
import itertools
import re
import textwrap

__virtualname__ = "orchestration_plan"

FORMS = ("text", "markdown", "html")
NARROW, LONGEST, MANY, MANY_LINES, FEW = 100, 300, 6, 12, 3
# What stands for a host's name, for another name in the ids of states, and for addresses that each host has of its own.
HOST, NAME, OWN = "HOST", "*", "ADDRESS"
WORDS = ("state", "change", "thing")
ADDRESS = re.compile(r"\b(?:(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|\d+(?:\.\d+){3})\b")
MARKS = re.compile(r"([\\`*_{}\[\]<>|#~])")
MODULES = re.compile(r"modules( of .*)?")


def __virtual__():
    return __virtualname__


def forms():
    """
    The names of the forms that a plan can have.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_plan.forms

    .. versionadded:: 0.1.0
    """
    return FORMS


def told(name, found, width=120, form="text", full=False):
    """
    A plan as a table of phase, hosts and changes.

    name
        The orchestration: ``orchestrate.site``.
    found
        What :py:func:`orchestration.plan` answered; ``beside``, a sentence, when a run goes on at the same time.
    width
        Columns of the terminal; below 100 phase and hosts have lines of their own. Default 120.
    form
        ``text``, ``markdown`` or ``html``. Default ``text``.
    full
        A line for each change of each host. Default ``False``: what is alike is told once.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_plan.told orchestrate.site '{hash: a, rows: [], done: [], unknown: []}'

    .. versionadded:: 0.1.0
    """
    groups = list(_each(found["rows"]) if full else _together(found["rows"]))
    parts = {"head": _head(name, found), "groups": groups, **_after(name, found, form != "text" or full)}
    parts["notes"] = [each for each in (found.get("beside"), parts.pop("done")) if each]
    return {"text": _as_text, "markdown": _as_markdown, "html": _as_html}[form](parts, width)


def _head(name, found):
    rows = found["rows"]
    if not rows:
        return f"{name} would change nothing" + " of what was looked at" * bool(found["unknown"])
    return f"{name} would make {_number(len(rows), 'change')} on {_number(len({row['host'] for row in rows}), 'host')}"


def _after(name, found, everything):
    """What is below the table: title to lines."""
    lines = list(_unknown(found["unknown"]))
    shown = lines if everything or len(lines) <= MANY_LINES + 1 else lines[:MANY_LINES]
    more = [f"and {len(lines) - len(shown)} more: full=True"] if len(shown) < len(lines) else []
    command = f"salt-run onepass.run {name} plan={found['hash']}"
    return {
        "done": _done(found["done"]) if found["done"] else "",
        "unknown": [*shown, *more],
        "command": command if found["rows"] else "",
    }


def _unknown(rows):
    for row, hosts, names in _alike(rows):
        who = ": ".join(filter(None, (row["phase"], _names(hosts))))
        yield f"{who}: {row['change']}" + (f" (* is {_names(names)})" if names else "")


def _done(rows):
    hosts = _names(sorted({row["host"] or row["object"].removeprefix("modules of ") for row in rows}))
    if all(MODULES.fullmatch(row["object"]) for row in rows):
        return f"Brought already, since no host can look without them: the master's modules, to {hosts}"
    return f"Done already, in spite of the dry run: {_names([row['change'] for row in rows])} on {hosts}"


# Changes that are told together


def _each(rows):
    """Phase, how many changes, hosts and lines: each change by itself."""
    for phase, of_phase in itertools.groupby(rows, lambda row: row["phase"]):
        of_phase = list(of_phase)
        number = len(of_phase)
        for host, own in itertools.groupby(of_phase, lambda row: row["host"]):
            yield phase, number, host or "the master", [f"{row['state']}: {row['change']}" for row in own]


def _together(rows):
    """Phase, how many changes, hosts and lines: those that differ only by names once, and those of a kind in a line."""
    for phase, of_phase in itertools.groupby(rows, lambda row: row["phase"]):
        of_phase = list(of_phase)
        blocks = {}
        for row, hosts, names in _alike(of_phase):
            blocks.setdefault(hosts, []).append((row, names))
        for hosts, told in blocks.items():
            yield phase, len(of_phase), _names(hosts) or "the master", list(_lines(told))


def _alike(rows):
    """Each row that stands for all that differ from it only by names or addresses, their hosts, and sets' names."""
    groups = {}
    for row, (name, key) in zip(rows, _keys(rows), strict=True):
        groups.setdefault(key, []).append((row, name))
    return [_shown(alike) for alike in _with_own_addresses(groups)]


def _keys(rows):
    """
    For each row the part of its state's id by which it differs from most others, and what is the same in all of these.

    Of ``mongod-s1-unit`` the part is ``s1`` where another row says the same of ``s2`` in ``mongod-s2-unit``.
    """
    found, parts = [list(_candidates(row)) for row in rows], {}
    for part, key in itertools.chain(*found):
        parts.setdefault(key, set()).add(part)
    return [max(candidates, key=lambda each: len(parts[each[1]])) for candidates in found]


def _candidates(row):
    hostless = _replaced(row, _host_names(row), HOST)
    yield "", _key(hostless)
    parts = dict.fromkeys(row["state"].split("-"))
    for part in parts if len(parts) > 1 else ():
        yield part, _key(_replaced(hostless, [part], NAME))


def _key(row):
    return row["state"], row["change"]


def _with_own_addresses(groups):
    """Groups; those of one host each, that differ in an address of its own, are one where they are many."""
    singles = {}
    for key, alike in groups.items():
        own = len({row["host"] for row, _ in alike}) == 1
        singles.setdefault(tuple(ADDRESS.sub(OWN, part) for part in key) if own else key, []).append(alike)
    for several in singles.values():
        if len({row["host"] for alike in several for row, _ in alike}) > FEW and len(several) > 1:
            yield [(_addressless(row), name) for alike in several for row, name in alike]
        else:
            yield from several


def _shown(alike):
    (row, name), hosts = alike[0], tuple(dict.fromkeys(row["host"] for row, _ in alike))
    names = list(dict.fromkeys(name for _, name in alike))
    shown = _replaced(row, _host_names(row), HOST) if len(hosts) > 1 else row
    nameless = _replaced(shown, [name], NAME) if len(names) > 1 else shown
    return nameless, hosts, names if nameless["change"] != shown["change"] else []


def _host_names(row):
    """A host's name, whole and short; many have the short one in names of other things."""
    return [name for name in (row["host"], row["host"].partition(".")[0]) if name]


def _replaced(row, names, mark):
    found = {part: row.get(part, "") for part in WORDS}
    for name in names:
        pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        found = {part: pattern.sub(mark, text) for part, text in found.items()}
    return {**row, **found}


def _addressless(row):
    return {**row, **{part: ADDRESS.sub(OWN, row.get(part, "")) for part in WORDS}}


def _lines(told):
    """A line for all that is done in one way to things of a kind; what has no kind has a line of its own."""
    groups = {}
    for row, names in told:
        kind = row["verb"] or row["change"]
        groups.setdefault((kind, tuple(names)), []).append(row)
    for (verb, names), rows in groups.items():
        said = f"{verb}: {_things(rows)}" if rows[0]["verb"] else verb
        yield _cut(said, LONGEST) + (f" (* is {_names(names)})" if names else "")


def _things(rows):
    """``directories a, b; account mongodb``"""
    nouns = {}
    for row in rows:
        nouns.setdefault(row["noun"], []).append(row["thing"])
    return "; ".join(f"{_noun(noun, things)}{_names(things)}" for noun, things in nouns.items())


def _noun(noun, things):
    many = {"directory": "directories", "archive in": "archives in"}.get(noun, f"{noun}s") if len(things) > 1 else noun
    return f"{many} " if noun else ""


# Layouts


def _as_text(parts, width):
    rows = _narrow(parts["groups"], width) if width < NARROW else _wide(parts["groups"], width)
    lines = [parts["head"], *rows]
    for note in parts["notes"]:
        lines += ["", *_wrapped(note, width, "")]
    if parts["unknown"]:
        lines += [
            "",
            "What a dry run cannot know:",
            *(line for each in parts["unknown"] for line in _wrapped(each, width)),
        ]
    if parts["command"]:
        lines += ["", *_command("To run exactly this:", parts["command"], width)]
    return "\n".join(lines)


def _command(words, command, width):
    line = f"{words} {command}"
    return [line] if len(line) <= width else [words, f"  {command}"]


def _narrow(groups, width):
    """Phase and hosts have lines of their own, and changes the whole width."""
    for (phase, number), blocks in itertools.groupby(groups, lambda group: group[:2]):
        yield from ["", f"{phase}: {_number(number, 'change')}"]
        for *_, hosts, lines in blocks:
            yield from _wrapped(hosts, width)
            yield from (part for line in lines for part in _wrapped(line, width, "    ", "      "))


def _wide(groups, width):
    """Three columns; phase and hosts are written where they change."""
    if not groups:
        return
    wide = max(5, *(len(phase) for phase, *_ in groups))
    hosts_wide = max(5, min(30, max(len(hosts) for *_, hosts, _ in groups)))
    room, last = width - wide - hosts_wide - 4, None
    yield from ["", f"{'phase':{wide}}  {'hosts':{hosts_wide}}  change"]
    for phase, number, hosts, lines in groups:
        phases = [phase, f"  {_number(number, 'change')}"] if phase != last else []
        cells = [part for line in lines for part in _wrapped(line, room, "", "  ")]
        columns = itertools.zip_longest(phases, _wrapped(hosts, hosts_wide, ""), cells, fillvalue="")
        yield from (f"{first:{wide}}  {host:{hosts_wide}}  {change}".rstrip() for first, host, change in columns)
        last = phase


def _wrapped(text, width, indent="  ", later=None):
    later = f"{indent}  " if later is None and indent else later or ""
    wrap = textwrap.TextWrapper(max(width, 20), initial_indent=indent, subsequent_indent=later, break_on_hyphens=False)
    return wrap.wrap(text) or [""]


def _as_markdown(parts, _):
    lines = [f"**{_marked(parts['head'])}**"]
    if parts["groups"]:
        lines += ["", "| phase | hosts | change |", "| --- | --- | --- |"]
        lines += [f"| {' | '.join(map(_marked, cells))} |" for cells in _cells(parts["groups"])]
    for note in parts["notes"]:
        lines += ["", _marked(note)]
    if parts["unknown"]:
        lines += ["", "What a dry run cannot know:", "", *(f"- {_marked(each)}" for each in parts["unknown"])]
    lines += ["", f"To run exactly this: `{parts['command']}`"] * bool(parts["command"])
    return "\n".join(lines)


def _as_html(parts, _):
    lines = [f"<p><b>{html.escape(parts['head'])}</b></p>"]
    if parts["groups"]:
        cells = [[html.escape(cell) for cell in row] for row in _cells(parts["groups"])]
        rows = ["<tr><th>phase</th><th>hosts</th><th>change</th></tr>"]
        rows += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in cells]
        lines += ["<table>", *rows, "</table>"]
    lines += [f"<p>{html.escape(note)}</p>" for note in parts["notes"]]
    if parts["unknown"]:
        points = [f"<li>{html.escape(each)}</li>" for each in parts["unknown"]]
        lines += ["<p>What a dry run cannot know:</p>", "<ul>", *points, "</ul>"]
    lines += [f"<p>To run exactly this: <code>{html.escape(parts['command'])}</code></p>"] * bool(parts["command"])
    return "\n".join(lines)


def _cells(groups):
    """Three cells for each line; phase and hosts are written where they change."""
    last = None
    for phase, number, hosts, lines in groups:
        for place, line in enumerate(lines):
            first = f"{phase}: {_number(number, 'change')}" if phase != last else ""
            yield first, hosts if not place else "", line
            last = phase


def _marked(text):
    return MARKS.sub(r"\\\1", text)


# Words


def _names(names):
    names = [name for name in names if name]
    shown = names if len(names) <= MANY + 1 else names[:MANY]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(shown) < len(names) else "")


def _number(number, what):
    return f"{number} {what}{'s' * (number != 1)}"


def _cut(line, longest):
    return line if len(line) <= longest else line[: longest - 3] + "..."
