"""
The estate as a picture: boxes, tables and links in Graphviz's language, and the page around what ``dot`` makes of it.

.. versionadded:: 0.1.0

What is drawn comes from the areas (``mongo_estate.drawn`` and its like); this module knows shapes and colours only::

    salt-call --local -m . estate_graph.dot bank '[]'

The page needs nothing from the network.
"""

import html
import itertools
import re

__virtualname__ = "estate_graph"

FONT = "Helvetica,Arial,sans-serif"
INK, SOFT, LINE, HEAD, PAPER = "#1f2933", "#52606d", "#9fb3c8", "#334e68", "#ffffff"
AREA_COLOURS = ("#eef4fa", "#f6f1e7", "#eef6ee")
# Background and words of what is seen; what nobody looked at is plain.
STATES = {
    "ok": ("#c9ecd6", "as wanted"),
    "changed": ("#ffe5a3", "a run would change it"),
    "broken": ("#f8b9b3", "broken"),
    "silent": ("#d5dbe1", "silent"),
}
PLAIN = "#ffffff"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ margin: 2vmin; background: {paper}; }} svg {{ width: 100%; height: auto; max-height: 96vh; }}</style>
</head><body>
{svg}
</body></html>
"""


def __virtual__():
    return __virtualname__


def dot(title, areas, states=None):
    """
    The estate in Graphviz's language.

    title
        What stands above it.
    areas
        List of mappings: ``title``, ``tables`` and ``links`` (pairs of tables' ids). A table has ``id``, ``title`` and
        ``rows``, lists of cells, none of them empty; a cell has ``lines`` and ``ids`` (whose state it shows; the first
        that has one).
    states
        Id to ``ok``, ``changed``, ``broken`` or ``silent``. Default: nobody looked.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . estate_graph.dot bank '[]'

    .. versionadded:: 0.1.0
    """
    drawn = [area for area in areas if area["tables"]]
    lines = [
        "digraph estate {",
        f'  graph [fontname="{FONT}", bgcolor="{PAPER}", splines=line, nodesep=0.4, ranksep=0.55, pad=0.5];',
        f'  node [fontname="{FONT}", shape=plain];',
        f'  edge [color="{LINE}", dir=none, penwidth=2, tailport=s, headport=n];',
        f"  labelloc=t; label=<{_title(title, states is not None)}>;",
    ]
    lines += [line for number, area in enumerate(drawn) for line in _area(number, area, states or {})]
    return "\n".join([*lines, *itertools.starmap(_below, itertools.pairwise(drawn)), "}"])


def grid(cells, across):
    """
    Cells in rows of equal length, the last one filled up with room.

    cells
        List of cells, see :py:func:`dot`.
    across
        How many stand in a row.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . estate_graph.grid '[{lines: [rosario]}]' 5

    .. versionadded:: 0.1.0
    """
    rows = [cells[start : start + across] for start in range(0, len(cells), across)]
    room = {"lines": [], "ids": []}
    return [row + [room] * (across - len(row)) for row in rows] if len(rows) > 1 else rows


def page(svg, title):
    """
    ``dot``'s SVG as a page of its own, for a browser.

    svg
        What ``dot -Tsvg`` printed.
    title
        The page's title.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . estate_graph.page '<svg/>' bank

    .. versionadded:: 0.1.0
    """
    return PAGE.format(title=_escaped(title), svg=picture(svg), paper=PAPER)


def picture(svg):
    """
    ``dot``'s SVG without the address of its document type, which a viewer might want to fetch.

    svg
        What ``dot -Tsvg`` printed.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . estate_graph.picture '<svg/>'

    .. versionadded:: 0.1.0
    """
    return re.sub(r"^.*?(?=<svg)", "", svg, count=1, flags=re.DOTALL)


def _title(title, legend):
    colours = "".join(
        f'<TD BGCOLOR="{colour}" CELLPADDING="5"><FONT POINT-SIZE="12" COLOR="{INK}">{words}</FONT></TD>'
        for colour, words in STATES.values()
    )
    below = f'<TR><TD><TABLE BORDER="0" CELLBORDER="0" CELLSPACING="8"><TR>{colours}</TR></TABLE></TD></TR>'
    return (
        '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="6">'
        f'<TR><TD><FONT POINT-SIZE="30" COLOR="{INK}"><B>{_escaped(title)}</B></FONT></TD></TR>'
        f"{below if legend else ''}</TABLE>"
    )


def _area(number, area, states):
    """An area is a box of its own; tables that stand side by side begin at one height."""
    tables, last = area["tables"], _last(area)
    tall = max(len(table["rows"]) for table in tables if table["id"] in last)
    title = f'<FONT POINT-SIZE="18" COLOR="{HEAD}"><B>{_escaped(area["title"])}</B></FONT>'
    yield f"  subgraph cluster_{number} {{"
    yield f'    labeljust=l; label=<<TABLE BORDER="0" CELLPADDING="8"><TR><TD>{title}</TD></TR></TABLE>>;'
    yield f'    style="filled,rounded"; color="{AREA_COLOURS[number % len(AREA_COLOURS)]}"; margin=18;'
    for table in tables:
        missing = tall - len(table["rows"]) if table["id"] in last else 0
        yield f"    {_quoted(table['id'])} [label=<{_table(table, missing, states)}>];"
    for tail, head in area["links"]:
        yield f"    {_quoted(tail)} -> {_quoted(head)};"
    for left, right in itertools.pairwise(last):
        yield f"    {{ rank=same; {_quoted(left)} -> {_quoted(right)} [style=invis]; }}"
    yield "  }"


def _first(area):
    return [table["id"] for table in area["tables"] if table["id"] not in [head for _, head in area["links"]]]


def _last(area):
    return [table["id"] for table in area["tables"] if table["id"] not in [tail for tail, _ in area["links"]]]


def _below(above, below):
    """Two areas one under the other, their middles more or less on one line."""
    ends = dict.fromkeys((_last(above)[end], _first(below)[end]) for end in (0, -1))
    return "\n".join(f"  {_quoted(tail)} -> {_quoted(head)} [style=invis, weight=9];" for tail, head in ends)


def _table(table, missing, states):
    """A table, and below it as much room as the rows that it lacks."""
    across = max((len(row) for row in table["rows"]), default=1)
    head = (
        f'<TR><TD COLSPAN="{across}" BGCOLOR="{HEAD}" CELLPADDING="7">'
        f'<FONT POINT-SIZE="13" COLOR="#ffffff"><B>{_escaped(table["title"])}</B></FONT></TD></TR>'
    )
    rows = "".join(f"<TR>{''.join(_cells(row, across, states))}</TR>" for row in table["rows"])
    last = table["rows"][-1][-1]["lines"] if table["rows"] else [""]
    room = f'<TR><TD COLSPAN="{across}" BORDER="0">{"<BR/>".join(_words(last, " "))}</TD></TR>'
    return (
        f'<TABLE BORDER="0" CELLBORDER="1" COLOR="{LINE}" CELLSPACING="0" CELLPADDING="6">'
        f"{head}{rows}{room * missing}</TABLE>"
    )


def _cells(row, across, states):
    """The last cell of a short row takes the room that is left; one without lines is room only."""
    for place, cell in enumerate(row):
        span = across - place if place == len(row) - 1 else 1
        state = next((states[each] for each in cell.get("ids", ()) if each in states), None)
        look = f'BGCOLOR="{STATES[state][0] if state else PLAIN}"' if cell["lines"] else 'BORDER="0"'
        yield f'<TD COLSPAN="{span}" {look}>{"<BR/>".join(_words(cell["lines"]))}</TD>'


def _words(lines, instead=None):
    for number, line in enumerate(lines):
        size, colour = (13, INK) if not number else (11, SOFT)
        yield f'<FONT POINT-SIZE="{size}" COLOR="{colour}">{_escaped(instead or line)}</FONT>'


def _escaped(text):
    """No page and no picture can hold a control character."""
    return html.escape(CONTROL.sub("\ufffd", text))


def _quoted(text):
    return '"' + CONTROL.sub("\ufffd", text).replace("\\", "\\\\").replace('"', '\\"') + '"'
