"""
Who feeds whom, as a picture of rings: who takes writes in the middle, then who passes on, then who only reads.

.. versionadded:: 0.1.0

What is drawn comes from the area (:py:func:`ds_estate.drawn`); this module knows circles and lines only. 150 names are
read as well as three: where a ring has many, its names stand like the hours of a clock's face::

    salt-call --local -m . estate_ring.picture '{title: bank, rings: [], links: []}'
"""

import cmath
import itertools
import math

__virtualname__ = "estate_ring"

INK, SOFT, LINE, PAPER, FONT = "#1f2933", "#52606d", "#9fb3c8", "#ffffff", "Helvetica,Arial,sans-serif"
MEANINGS = {"ok": "as wanted", "changed": "needs you soon", "broken": "broken", "silent": "silent"}
BAD = {"broken": "#b42318", "changed": "#b7791f", "silent": "#52606d"}
SIZE, WIDTH, HIGH = 13, 7.4, 26  # of a letter, on the average, and of a box
MANY, STEP, GAP = 24, 17, 110  # names in boxes; room of a name that stands radially; from ring to ring


def __virtual__():
    return __virtualname__


def picture(drawn, states=None):
    """
    An SVG of the rings.

    drawn
        ``title``, ``rings`` (list of mappings with ``title`` and ``nodes``, each with ``id`` and ``text``, from the
        middle outwards) and ``links`` (list of pairs of ids).
    states
        Id, or ``id > id`` of a link, to ``ok``, ``changed``, ``broken`` or ``silent``; a link that has none is dashed.
        Default: nobody looked.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . estate_ring.picture '{title: bank, rings: [], links: []}'

    .. versionadded:: 0.1.0
    """
    rings = _placed([ring["nodes"] for ring in drawn["rings"] if ring["nodes"]], drawn["links"])
    places = {node["id"]: at for ring in rings for node, at in ring["nodes"]}
    reach = max((ring["reach"] for ring in rings), default=0) + 20
    head = 90 if states is not None else 60
    wide, high = max(2 * reach, 560), 2 * reach + head
    shown = [*_links(drawn["links"], places, states), *(line for ring in rings for line in _nodes(ring, states))]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}pt" height="{high:.0f}pt" '
            f'viewBox="0 0 {wide:.0f} {high:.0f}" font-family="{FONT}" font-size="{SIZE}">',
            f'<rect width="100%" height="100%" fill="{PAPER}"/>',
            *_heading(drawn["title"], wide, states is not None),
            f'<g transform="translate({wide / 2:.0f} {head + reach:.0f})">',
            *shown,
            "</g></svg>",
        ]
    )


# Places, as numbers of the plane


def _placed(rings, links):
    """Each ring with its radius; who is fed stands near who feeds it, so that lines are short."""
    found, places, radius = [], {}, 0
    for nodes in rings:
        boxed = len(nodes) <= MANY
        longest = max(len(node["text"]) for node in nodes) * WIDTH + 30
        room = longest + 14 if boxed else STEP
        inner = radius + (GAP if found else 0) + (0 if boxed or not found else longest / 8)
        radius = max(inner, len(nodes) * room / math.tau if len(nodes) > 1 else inner)
        angles = _angles(nodes, links, places)
        own = [(node, cmath.rect(radius, angle)) for node, angle in angles]
        places.update({node["id"]: at for node, at in own})
        reach = radius + (longest / 2 + HIGH if boxed else longest)
        found.append({"nodes": own, "boxed": boxed, "reach": reach})
        radius = radius + (HIGH if boxed else longest)
    return found


def _angles(nodes, links, places):
    """Evenly, in the order of their feeders; the whole ring is turned towards them."""
    fed = {}
    for source, target in links:
        if source in places:
            fed.setdefault(target, []).append(places[source])
    toward = {node["id"]: _angle(fed.get(node["id"], [])[:1]) for node in nodes}
    ordered = sorted(nodes, key=lambda node: (toward[node["id"]] % math.tau, _natural(node["text"])))
    step = math.tau / len(nodes)
    turned = [cmath.rect(1, toward[node["id"]] - step * number) for number, node in enumerate(ordered)]
    first = cmath.phase(sum(turned)) if places and abs(sum(turned)) > 1e-6 else -math.pi / 2
    return [(node, first + step * number) for number, node in enumerate(ordered)]


def _angle(points):
    return cmath.phase(sum(points)) if points and abs(sum(points)) > 1e-6 else 0.0


def _natural(text):
    parts = ["".join(part) for _, part in itertools.groupby(text, str.isdecimal)]
    return [(part.isdecimal(), len(part) if part.isdecimal() else 0, part) for part in parts]


# Lines of SVG


def _heading(title, wide, legend):
    yield f'<text x="{wide / 2:.0f}" y="34" font-size="20" text-anchor="middle" fill="{INK}">{_escaped(title)}</text>'
    meanings = MEANINGS if legend else {}
    left = wide / 2 - 130 * len(meanings) / 2
    for number, (state, words) in enumerate(meanings.items()):
        x, (colour, sign) = left + 130 * number, __salt__["estate_graph.look"](state)
        yield f'<rect x="{x:.0f}" y="50" width="124" height="22" rx="4" fill="{colour}" stroke="{LINE}"/>'
        yield f'<text x="{x + 62:.0f}" y="65" font-size="11" text-anchor="middle" fill="{INK}">{sign} {words}</text>'


def _links(links, places, states):
    """Those that are well below, those that are not above; the sign stands near the source."""
    ways = [(_state(f"{source} > {target}", states), source, target) for source, target in links]
    ways = [way for way in ways if way[1] in places and way[2] in places]
    for state, source, target in sorted(ways, key=lambda way: way[0] in BAD):
        yield from _link(state, places[source], places[target], states is not None)


def _link(state, start, end, looked):
    colour, width = BAD.get(state, LINE), 2.5 if state in BAD else 1
    dashed = ' stroke-dasharray="4 4"' if looked and state is None else ""
    ends = f'x1="{start.real:.1f}" y1="{start.imag:.1f}" x2="{end.real:.1f}" y2="{end.imag:.1f}"'
    yield f'<line {ends} stroke="{colour}" stroke-width="{width}" stroke-opacity="0.7"{dashed}/>'
    if state in BAD:
        at, sign = start + (end - start) * 0.4, __salt__["estate_graph.look"](state)[1]
        place = f'x="{at.real:.1f}" y="{at.imag + 5:.1f}" text-anchor="middle" fill="{colour}"'
        halo = f'stroke="{PAPER}" stroke-width="4" paint-order="stroke"'
        yield f'<text {place} font-size="15" font-weight="bold" {halo}>{sign}</text>'


def _nodes(ring, states):
    for node, at in ring["nodes"]:
        colour, sign = __salt__["estate_graph.look"](_state(node["id"], states))
        yield (_box if ring["boxed"] else _hour)(_escaped(node["text"]), sign, colour, at)


def _box(text, sign, colour, at):
    words = f"{sign} {text}".strip()
    wide = len(words) * WIDTH + 20
    x, y = at.real - wide / 2, at.imag - HIGH / 2
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{HIGH}" rx="6" fill="{colour}" stroke="{SOFT}"/>'
        f'<text x="{at.real:.1f}" y="{at.imag + 4.5:.1f}" text-anchor="middle" fill="{INK}">{words}</text>'
    )


def _hour(text, sign, colour, at):
    """A point with its sign in it, and the name outwards, never upside down."""
    angle, left = math.degrees(cmath.phase(at)), at.real < 0
    turned = f"rotate({angle + 180 * left:.1f})"
    side, anchor = (-11, "end") if left else (11, "start")
    return (
        f'<g transform="translate({at.real:.1f} {at.imag:.1f})">'
        f'<circle r="7.5" fill="{colour}" stroke="{SOFT}"/>'
        f'<text y="4" font-size="11" text-anchor="middle" fill="{INK}">{sign}</text>'
        f'<text transform="{turned}" x="{side}" y="4.5" text-anchor="{anchor}" fill="{INK}">{text}</text></g>'
    )


def _state(name, states):
    return (states or {}).get(name)


def _escaped(text):
    return __salt__["estate_graph.escaped"](text)
