"""Pillars that nobody thought of: the examples with some of their values, keys and shapes otherwise."""

import copy
import datetime
import itertools

from hypothesis import strategies as st

LONG, DEEP = "x" * 1100, 60
ODD = (
    *("", " ", "x: y", "a #b", "x:", "- a", "{{ 1 }}", "{% raw %}", "'", '"', "\\", "%n", "$HOME", "*", "&a", "!x"),
    *("yes", "012", "1.10", "2024-01-01", "~", "null", "a\nb", "a\rb", "\t", "\x00", "\x1b[31m", "a\x85b", "a\u2028b"),
    *("\ufeff", "\ud800", "a\udfffb", "\U0001f600", "\uffff", "t\u00e9ller", "\u0663", "\u00b2", "x" * 64, "x" * 300),
    *(
        LONG,
        "\x7f" * 255,
        "../x",
        "/",
        "/a b",
        "a.b",
        ".",
        "a:b",
        "a:b:c",
        "0.0.0.0/0",
        "::",
        "fe80::1%eth0",
        "1" * 5000,
    ),
    *("1" * 5000, "$external", "admin", "config", "localhost", "$where", "a[1]", "a*", "<&>", "]]>", "]", "}"),
)
NUMBERS = (0, 1, -1, 2, 12, 255, 65535, 65536, 2**31, 2**63, 10**400, 16**6000, 0.5, 1e308, -0.0)
DAY, MOMENT = datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1)
OTHERS = (None, True, False, [], {}, [[]], {"a": {}}, DAY, MOMENT, b"\x00x", {1}, float("nan"), float("inf"))
KEYS = (None, True, 1, 1.5, (1, 2), DAY, b"x")

texts = st.one_of(st.sampled_from(ODD), st.text(max_size=12))
values = st.one_of(texts, st.sampled_from(NUMBERS), st.integers(-5, 70000), st.sampled_from(OTHERS)).map(copy.deepcopy)


def places(value, here=()):
    """The paths below a value, down to as many levels and entries as people write."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, each in itertools.islice(steps, 50 if len(here) < 9 else 0):
        yield (*here, step)
        yield from places(each, (*here, step))


def at(value, path):
    for step in path:
        value = value[step]
    return value


@st.composite
def mutated(draw, good, most=3):
    """A copy of a good pillar that differs from it in some places, and rarely is of another shape."""
    pillar = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, most))):
        paths = list(places(pillar))
        if paths:
            *above, last = draw(st.sampled_from(paths))
            holder = at(pillar, above)
            draw(st.sampled_from(CHANGES))(draw, pillar, holder, last)
    return pillar


def _another(draw, pillar, holder, last):
    holder[last] = draw(values)


def _text(draw, pillar, holder, last):
    """Where a text stands, another one: what passes most."""
    given = holder[last]
    holder[last] = draw(texts) if not isinstance(given, str) or draw(st.booleans()) else given + draw(texts)


def _copied(draw, pillar, holder, last):
    holder[last] = at(pillar, draw(st.sampled_from(list(places(pillar)))))


def _gone(draw, pillar, holder, last):
    del holder[last]


def _named(draw, pillar, holder, last):
    """Another key, or one more entry."""
    if isinstance(holder, list):
        holder.insert(last, draw(st.one_of(values, st.just(holder[last]))))
        return
    name = draw(
        st.one_of(texts, texts, st.sampled_from(KEYS), st.sampled_from([str(last).upper(), f"{last}2", f"{last}."]))
    )
    holder[name] = holder.pop(last) if draw(st.booleans()) else holder[last]


def _nested(draw, pillar, holder, last):
    for _ in range(draw(st.sampled_from([1, 1, DEEP, 120, 2000]))):
        holder[last] = {"a": holder[last]} if isinstance(holder, dict) else [holder[last]]


def _many(draw, pillar, holder, last):
    """A list, or a mapping, of thousands."""
    number, wide = draw(st.sampled_from([200, 5000])), draw(values)
    holder[last] = draw(st.sampled_from([lambda: [wide] * number, lambda: {f"k{n}": wide for n in range(number)}]))()


def _circle(draw, pillar, holder, last):
    holder[last] = draw(st.sampled_from([holder, pillar, [holder]]))


CHANGES = (*[_text] * 4, *[_another] * 3, *[_named] * 3, _copied, _gone, _nested, _many, _circle)
