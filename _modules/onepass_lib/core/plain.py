"""
Values in plain types, as they come from a pillar, and as they stand in an SLS file.
"""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

# Levels of a pillar, and values in it, that are read; bits of a number, as it goes from master to minion.
DEEPEST, MOST, BITS = 100, 300000, 64
# What JSON may hold as it is and YAML not, or not as the same: libyaml refuses JSON's pairs for what is beyond U+FFFF.
UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]|[^\x00-\uffff]")
# A number that JSON writes without a dot is a text to YAML: 1e-05. In a string it is none.
EXPONENT = re.compile(r'("(?:[^"\\]|\\.)*")|(?<![.0-9])([0-9]+)(e[-+][0-9]+)')


def plain(value: Any) -> Any:
    """
    A value in plain types. What is too deep, too large, in a circle, or one of too many is no value: the form of a
    pillar refuses it.

    value
        Any value.
    """
    return _plain(value, (), itertools.count())


def quoted(value: Any) -> str:
    """
    A value as it stands in an SLS file, on one line: YAML reads it back as it was, whatever characters are in it. Half
    of a character, a surrogate by itself, is none to YAML: it becomes U+FFFD.

    value
        Text, number, list, mapping, true, false or null. What YAML alone knows, such as a date, is written as text.
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    return UNSAFE.sub(_escaped, EXPONENT.sub(lambda found: found[1] or f"{found[2]}.0{found[3]}", text))


def _escaped(found: re.Match) -> str:
    """By the number of eight digits that YAML has and JSON has not, so only where JSON's four are too few."""
    number = 0xFFFD if "\ud800" <= found[0] <= "\udfff" else ord(found[0])
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


class Nesting:
    """In place of a value that no pillar has: too deep, inside of itself, or one of too many. Its form refuses it."""

    def __str__(self) -> str:
        return f"of more than {DEEPEST} levels, in a circle, or beyond {MOST} values"


class Number:
    """In place of a number that no pillar has, and that neither Salt nor Python's own texts take."""

    def __str__(self) -> str:
        return f"of more than {BITS} bits"


def _plain(value: Any, within: tuple[int, ...], count: Iterator[int]) -> Any:
    """A copy in plain types; ``within`` are the values that it is a part of."""
    if isinstance(value, int) and value.bit_length() > BITS:
        return Number()
    if not isinstance(value, (dict, list)):
        return value
    if len(within) >= DEEPEST or id(value) in within or next(count) > MOST:
        return Nesting()
    within = (*within, id(value))
    if isinstance(value, dict):
        return {key: _plain(each, within, count) for key, each in value.items()}
    return [_plain(each, within, count) for each in value]
