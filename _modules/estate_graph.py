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
# Background, words and sign of what is seen; what nobody looked at is plain. Who sees no colours has the signs.
STATES = {
    "ok": ("#c9ecd6", "as wanted", "\u2713"),
    "changed": ("#ffe5a3", "a run would change it", "!"),
    "broken": ("#f8b9b3", "broken", "\u2717"),
    "silent": ("#d5dbe1", "silent", "?"),
}
PLAIN = "#ffffff"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# On a telephone a picture is moved about: its words would be too small otherwise.
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>body {{ margin: 2vmin; background: {paper}; }}
svg {{ width: 100%; min-width: 60rem; height: auto; max-height: 96vh; }}</style>
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
    ``dot``'s SVG, or several pictures one under the other, as a page of its own, for a browser.

    svg
        What ``dot -Tsvg`` printed.
    title
        The page's title.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . estate_graph.page '<svg/>' bank

    .. versionadded:: 0.1.0
    """
    return PAGE.format(title=escaped(title), svg=picture(svg), paper=PAPER)


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


def stacked(pictures):
    """
    Pictures one under the other as a single one.

    pictures
        List of SVGs, each with ``width``, ``height`` and ``viewBox``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . estate_graph.stacked '[]'

    .. versionadded:: 0.1.0
    """
    if len(pictures) == 1:
        return pictures[0]
    sizes = [[float(re.search(rf'\b{side}="([0-9.]+)', each)[1]) for side in ("width", "height")] for each in pictures]
    tops = [0, *itertools.accumulate(height for _, height in sizes)]
    wide, high = max((width for width, _ in sizes), default=0), tops[-1]
    # Within the whole a point is its unit, so that nothing is scaled.
    plain = [re.sub(r'\b(width|height)="([0-9.]+)pt"', r'\1="\2"', each, count=2) for each in pictures]
    placed = [each.replace("<svg ", f'<svg y="{top}" ', 1) for each, top in zip(plain, tops[:-1], strict=True)]
    size = f'width="{wide}pt" height="{high}pt" viewBox="0 0 {wide} {high}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', *placed, "</svg>"])


def look(state):
    """
    A state's colour and sign; of none, those of what nobody looked at.

    state
        ``ok``, ``changed``, ``broken``, ``silent`` or ``None``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . estate_graph.look broken

    .. versionadded:: 0.1.0
    """
    return STATES[state][::2] if state in STATES else (PLAIN, "")


def escaped(text):
    """
    A text as it stands in a page or picture, without control characters, which neither can hold.

    text
        Any text.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . estate_graph.escaped 'a & b'

    .. versionadded:: 0.1.0
    """
    return html.escape(CONTROL.sub("\ufffd", text))


def _title(title, shown):
    colours = "".join(
        f'<TD BGCOLOR="{colour}" CELLPADDING="5"><FONT POINT-SIZE="12" COLOR="{INK}">{sign} {words}</FONT></TD>'
        for colour, words, sign in STATES.values()
    )
    below = f'<TR><TD><TABLE BORDER="0" CELLBORDER="0" CELLSPACING="8"><TR>{colours}</TR></TABLE></TD></TR>'
    return (
        '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="6">'
        f'<TR><TD><FONT POINT-SIZE="30" COLOR="{INK}"><B>{escaped(title)}</B></FONT></TD></TR>'
        f"{below if shown else ''}</TABLE>"
    )


def _area(number, area, states):
    """An area is a box of its own; tables that stand side by side begin at one height."""
    tables, last = area["tables"], _last(area)
    tall = max(len(table["rows"]) for table in tables if table["id"] in last)
    title = f'<FONT POINT-SIZE="18" COLOR="{HEAD}"><B>{escaped(area["title"])}</B></FONT>'
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
        f'<FONT POINT-SIZE="13" COLOR="#ffffff"><B>{escaped(table["title"])}</B></FONT></TD></TR>'
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
        colour, sign = look(state)
        how = f'BGCOLOR="{colour}"' if cell["lines"] else 'BORDER="0"'
        signed = [f"{sign} {line}".lstrip() if not number else line for number, line in enumerate(cell["lines"])]
        yield f'<TD COLSPAN="{span}" {how}>{"<BR/>".join(_words(signed))}</TD>'


def _words(lines, instead=None):
    for number, line in enumerate(lines):
        size, colour = (13, INK) if not number else (11, SOFT)
        yield f'<FONT POINT-SIZE="{size}" COLOR="{colour}">{escaped(instead or line)}</FONT>'


def _quoted(text):
    return '"' + CONTROL.sub("\ufffd", text).replace("\\", "\\\\").replace('"', '\\"') + '"'
