"""
The form of a pillar: where it differs from a JSON Schema, in an administrator's words.

Shared by the areas' schemas, in which every part's ``description`` says what would be right and becomes the remedy of
its faults. Requires ``jsonschema`` 4.
"""

import difflib
import functools
import math
import re
from collections import namedtuple
from collections.abc import Iterable
from types import NoneType
from typing import Any

from salt.exceptions import CommandExecutionError

from onepass_lib.core.plain import plain, quoted
from onepass_lib.core.steps import Fault

try:
    import jsonschema

    HAS_JSONSCHEMA = True
except ImportError:
    HAS_JSONSCHEMA = False

Finding = namedtuple("Finding", "where fault remedy stray", defaults=[False])
# What a finding is put into words with: other names of keys, and where no value may be shown.
Words = namedtuple("Words", "aliases secrets shown")
MOST = 100  # faults that are written out
# Of a key as it stands in an SLS; YAML ends at 1024, and names of states begin with words of ours.
LONGEST = 900
HALF = re.compile("[\ud800-\udfff]")


def faults(
    pillar: Any, schema: dict, aliases: dict | None = None, secrets: Iterable = (), shown: dict | None = None
) -> list[Fault]:
    """
    Where a pillar differs from its schema: all faults at once, in no order.

    pillar
        The value to judge.
    schema
        JSON Schema (draft 2020-12); each part with a ``description`` of what would be right.
    aliases
        Keys that people know from elsewhere, to the right ones. Default none.
    secrets
        Top keys below which no value is shown, and a strange key only if it looks like a known one. Default none.
    shown
        Exceptions from ``secrets``: top key to a list of keys of its entries, ``{users: [roles]}``. Default none.

    Returns:
        List of mappings with ``path``, ``fault`` and ``remedy``; no secret in any of them.
    """
    return [
        {"path": ":".join(map(str, finding.where)), "fault": finding.fault, "remedy": finding.remedy}
        for finding in _findings(pillar, schema, Words(aliases or {}, tuple(secrets), shown or {}))
    ]


def sound(
    pillar: Any, schema: dict, aliases: dict | None = None, secrets: Iterable = (), shown: dict | None = None
) -> dict:
    """
    The pillar without what the schema refuses: unknown keys are left out; a malformed entry of a list is ``None``, and
    so is any other malformed value. Holds the pillar's secrets.

    pillar, schema, aliases, secrets, shown
        As for :py:func:`faults`.
    """
    if not isinstance(pillar, dict):
        return {}
    words = Words(aliases or {}, tuple(secrets), shown or {})
    kept = _with_string_keys(plain(pillar), (), [], words)
    for finding in _findings(pillar, schema, words):
        _drop(kept, finding)
    return kept


def ordered(area: str, found: list) -> list[Fault]:
    """
    Faults with their whole path, in the order in which people count.

    area
        The pillar's key, which becomes the beginning of each path.
    found
        List of mappings with ``path``, ``fault`` and ``remedy``.
    """
    whole = [{key: _printed(text) for key, text in each.items()} for each in found]
    whole = [dict(each, path=f"{area}:{each['path']}".rstrip(":")) for each in whole]
    return sorted(whole, key=lambda each: (_natural(each["path"]), each["fault"]))


def report(area: str, found: list) -> str:
    """
    Faults as one readable block, a line for each of the first hundred.

    area
        The pillar's key.
    found
        What an area's ``faults`` answered.
    """
    lines = [f"  {each['path']}: {each['fault']}; {each['remedy']}" for each in found]
    if len(lines) > MOST:
        lines[MOST:] = [f"  and {len(lines) - MOST} more"]
    return "\n".join([f"{area} pillar: {len(found)} fault{'s' if len(found) > 1 else ''}", *lines])


def _natural(path: str) -> list:
    """Numbers by their size, as far as Python reads them."""
    parts = [(part.isdecimal() and len(part) < 20, part) for part in path.split(":")]
    return [(number, int(part) if number else part) for number, part in parts]


def _findings(pillar: Any, schema: dict, words: Words) -> list:
    if not HAS_JSONSCHEMA:
        raise CommandExecutionError("This needs jsonschema 4 in Salt's Python: salt-pip install 'jsonschema>=4.17'")
    found: list[Finding] = []
    checked = _with_string_keys(plain(pillar), (), found, words)
    for error in _dialect()(schema).iter_errors(checked):
        found += EXPLAIN[error.validator](error, words)
    told = {finding.where for finding in found}
    found += [finding for finding in _strangers(checked, (), words) if finding.where not in told]
    return list(dict.fromkeys(found))


def _strangers(value: Any, where: tuple, words: Words) -> Iterable:
    """Values that no schema of ours names, as no file but YAML's can hold them: dates, bytes, a number that is none."""
    if isinstance(value, (dict, list)):
        yield from _strange_keys(value, where, words) if isinstance(value, dict) else ()
        for step, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _strangers(each, (*where, step), words)
    elif isinstance(value, str) and HALF.search(value):
        yield Finding(where, "has half of a character in it, a surrogate", "text that can be written as UTF-8")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Finding(where, f"is {_kind(value, not _is_secret(where, words))}", "a number")
    elif not isinstance(value, (str, int, float, NoneType)):
        fault = f"is {_kind(value, not _is_secret(where, words))}, not a string"
        yield Finding(where, fault, "in quotes; in a filter of documents MongoDB's {$date: ...} or {$binary: ...}")


def _strange_keys(value: dict, where: tuple, words: Words) -> Iterable:
    for key in value:
        if HALF.search(key):
            fault = "is a key with half of a character in it, a surrogate"
            remedy = "text that can be written as UTF-8"
        elif 10 * len(key) > LONGEST and len(quoted(key)) > LONGEST:
            fault = f"is a key of {len(key)} characters"
            remedy = "a shorter one"
        else:
            continue
        if _is_secret(where, words):
            yield Finding(where, fault.replace("is", "has", 1), remedy)
        else:
            yield Finding((*where, key), fault, remedy, stray=True)


@functools.cache
def _dialect() -> Any:
    """JSON Schema takes 27017.0 for an integer; configuration files do not."""
    base = jsonschema.Draft202012Validator
    types = base.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    return jsonschema.validators.extend(base, type_checker=types)


def _with_string_keys(value: Any, where: tuple, found: list, words: Words) -> Any:
    """A copy in which every key is a string; the others are told in ``found``."""
    if isinstance(value, list):
        return [_with_string_keys(each, (*where, number), found, words) for number, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    copied = {}
    for key, each in value.items():
        if isinstance(key, str):
            copied[key] = _with_string_keys(each, (*where, key), found, words)
        elif _is_secret(where, words):
            found.append(Finding(where, f"has a key that is {_kind(key)}, not a string", "the key in quotes"))
        else:
            fault = f"is {_kind(key, shown=True)} as a key, not a string"
            found.append(Finding((*where, key), fault, "the key in quotes", stray=True))
    return copied


def _drop(kept: dict, finding: Finding) -> None:
    """Take a malformed value out of the pillar, with the entry of the innermost list that it is a part of."""
    *parents, last = finding.where
    holder: Any = kept
    item = None
    for step in parents:
        if isinstance(holder, list):
            item = holder, step
        holder = holder[step] if isinstance(holder, list) else (holder or {}).get(step)
    if finding.stray:
        if isinstance(holder, dict):
            holder.pop(last, None)
    elif isinstance(holder, list):
        holder[last] = None
    elif item:
        item[0][item[1]] = None
    elif holder is not None:
        holder[last] = None


# The schema's faults in words; each function takes jsonschema's error


def _wrong_type(error: Any, words: Words) -> list:
    known = error.schema.get("properties")
    remedy = f"a mapping with {', '.join(sorted(known))}" if known else None
    return [_finding(error, f"is {_seen(error, words)}, not {TYPES[error.validator_value]}", remedy)]


def _wrong_value(error: Any, words: Words) -> list:
    if _is_secret(error.absolute_path, words):
        return [_finding(error, "does not fit")]
    close = None
    if error.validator == "enum" and isinstance(error.instance, str):
        close = _closest(error.instance, [each for each in error.validator_value if isinstance(each, str)], words)
    remedy = error.schema["description"]
    return [_finding(error, f"is {_seen(error, words)}", f"did you mean {close!r}? {remedy}" if close else remedy)]


def _wrong_size(error: Any, words: Words) -> list:
    size = len(error.instance)
    return [_finding(error, f"has {size} entries" if size else "is empty")]


def _missing(error: Any, words: Words) -> list:
    known = error.schema["properties"]
    meant = {_closest(key, known, words) for key in _strange(error)}
    return [
        Finding((*error.absolute_path, key), "is missing", known[key].get("description", "to be given"))
        for key in error.validator_value
        if key not in error.instance and key not in meant
    ]


def _unknown(error: Any, words: Words) -> list:
    known, where = error.schema["properties"], tuple(error.absolute_path)
    return [_unknown_key(where, key, _closest(key, known, words), known, words) for key in _strange(error)]


def _unknown_key(where: tuple, key: str, close: str | None, known: dict, words: Words) -> Finding:
    if close:
        return Finding((*where, key), "is an unknown key", f"did you mean {close!r}?", stray=True)
    remedy = f"known are {', '.join(sorted(known))}"
    if _is_secret(where, words):
        return Finding(where, "has an unknown key", remedy)
    return Finding((*where, key), "is an unknown key", remedy, stray=True)


def _repeated(error: Any, words: Words) -> list:
    again = next(each for number, each in enumerate(error.instance) if each in error.instance[:number])
    shown = _kind(again, shown=not _is_secret(error.absolute_path, words))
    return [_finding(error, f"lists {shown} twice", "each entry once")]


EXPLAIN = {
    "type": _wrong_type,
    "enum": _wrong_value,
    "pattern": _wrong_value,
    "minimum": _wrong_value,
    "maximum": _wrong_value,
    "minLength": _wrong_size,
    "minItems": _wrong_size,
    "minProperties": _wrong_size,
    "maxProperties": _wrong_size,
    "required": _missing,
    "additionalProperties": _unknown,
    "uniqueItems": _repeated,
}
TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
}


def _finding(error: Any, fault: str, remedy: str | None = None) -> Finding:
    where = tuple(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        where = (*where, error.instance)
    return Finding(where, fault, remedy or error.schema["description"])


def _strange(error: Any) -> list:
    return [key for key in error.instance if key not in error.schema["properties"]]


def _closest(key: str, known: Iterable[str], words: Words) -> str | None:
    by_lower = {each.lower(): each for each in (*known, *(old for old, new in words.aliases.items() if new in known))}
    close = difflib.get_close_matches(key.lower(), by_lower, n=1)
    return words.aliases.get(by_lower[close[0]], by_lower[close[0]]) if close else None


def _is_secret(where: Iterable, words: Words) -> bool:
    """Whether a value there is not to be shown."""
    place, *below = *where, None
    return place in words.secrets and not (below[1:2] and below[1] in words.shown.get(place, ()))


def _seen(error: Any, words: Words) -> str:
    where = error.absolute_path
    return _kind(error.instance, shown=bool(where) and not _is_secret(where, words))


def _kind(value: Any, shown: bool = False) -> str:
    """A value in words: what kind it is and, where it may be shown, the value itself."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower() if shown else "true or false"
    if isinstance(value, (int, float)):
        return f"the number {value}" if shown else "a number"
    if not isinstance(value, str):
        return f"the {type(value).__name__.lower()} {value}" if shown else f"a {type(value).__name__.lower()}"
    return _quoted(value) if shown else "a string"


def _printed(text: str) -> str:
    """On one line, whatever characters are in it."""
    return text if text.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _quoted(value: str) -> str:
    """A string in quotes, cut short, without the password of a URL."""
    value = re.sub("://[^/@]*@", "://***@", value)
    return repr(value if len(value) <= 60 else value[:57] + "...")
