"""
Values and filters as MongoDB has them, said in YAML: what is one, and which two are the same to it.

.. versionadded:: 0.1.0

YAML has no dates and no decimals; MongoDB's extended JSON says them: ``{$date: '2026-01-01T00:00:00Z'}``,
``{$numberDecimal: '9.99'}``, ``{$oid: ...}``. A text that looks like a date is a text. Pure: no server is asked,
PyMongo is not needed. What is wrong with a partial index's filter::

    salt-call --local -m . mongo_values.filter_faults '{when: {$gt: {$date: yesterday}}}'
"""

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation

NUMBERS = ("$numberInt", "$numberLong", "$numberDouble", "$numberDecimal")
# The operators of a partial index's filter; MongoDB refuses all others there.
COMPARISONS = ("$eq", "$gt", "$gte", "$lt", "$lte")
OPERATORS = (*COMPARISONS, "$in", "$all", "$exists", "$type", "$geoWithin", "$within", "$geoIntersects")
LISTS = ("$and", "$or")
MAX_DEPTH = 4  # internalPartialFilterExpressionMaxDepth
REGULAR = ("$regularExpression", "$regex")
# Shapes that $geoWithin knows beside GeoJSON, and GeoJSON's types.
SHAPES = ("$box", "$center", "$centerSphere", "$polygon")
AREAS = ("Polygon", "MultiPolygon")
GEOMETRIES = (*AREAS, "Point", "LineString", "MultiPoint", "MultiLineString", "GeometryCollection")
# BSON's types by number, as $type takes them too.
TYPES = {
    **dict(enumerate(["double", "string", "object", "array", "binData", "undefined", "objectId", "bool", "date"], 1)),
    **dict(enumerate(["null", "regex", "dbPointer", "javascript", "symbol", "javascriptWithScope", "int"], 10)),
    **dict(enumerate(["timestamp", "long", "decimal"], 17)),
    -1: "minKey",
    127: "maxKey",
}


def __virtual__():
    return "mongo_values"


def filter_faults(condition: dict) -> list:
    """
    Why MongoDB would refuse this filter of a partial index.

    condition
        The filter, its values in YAML's types or in extended JSON.

    Returns:
        List of mappings: ``path`` (below the filter), ``fault`` and ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_values.filter_faults '{closed: {$exists: false}}'

    .. versionadded:: 0.1.0
    """
    found = list(_filter_rule(condition)) or list(_depth_rule(condition))
    return [{"path": path, "fault": fault, "remedy": remedy} for path, fault, remedy in found]


def comparable(value):
    """
    A value in a form that is equal for two values that MongoDB takes for the same: ``1`` and ``1.0`` are, ``1`` and
    ``true`` are not; the order of an embedded document's fields counts.

    value
        The value, in YAML's types or in extended JSON.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_values.comparable '{$numberLong: "5"}'

    .. versionadded:: 0.1.0
    """
    if isinstance(value, (list, tuple)):
        return ("list", tuple(map(comparable, value)))
    if isinstance(value, dict):
        number = _number(value)
        return ("number", number) if number is not None else ("document", _fields(value))
    kind = "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__
    return (kind, value)


def comparable_filter(condition: dict):
    """
    A filter in a form that is equal for two filters that MongoDB takes for the same: neither the order of conditions
    counts, nor whether they stand side by side or in ``$and``.

    condition
        As for :py:func:`filter_faults`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_values.comparable_filter '{a: 1, b: {$gt: 2}}'

    .. versionadded:: 0.1.0
    """
    return frozenset(_conditions(condition))


# What is the same


def _number(value: dict):
    (name, said), *more = value.items() or [("", "")]
    try:
        return Decimal(str(said)) if name in NUMBERS and not more and str(said) != "NaN" else None
    except InvalidOperation:
        return None


def _fields(value: dict) -> tuple:
    return tuple((name, comparable(each)) for name, each in value.items())


def _conditions(condition: dict) -> Iterator[tuple]:
    for field, wanted in condition.items():
        listed = field in LISTS and isinstance(wanted, list) and all(isinstance(each, dict) for each in wanted)
        if listed and (field == "$and" or len(wanted) == 1):
            for each in wanted:
                yield from _conditions(each)
        elif listed:
            yield field, frozenset(map(comparable_filter, wanted))
        elif _is_operators(wanted):
            for operator, value in wanted.items():
                yield (field, *_operator(operator, value))
        else:
            yield (field, *_operator("$eq", wanted))


def _operator(name: str, value) -> tuple:
    if name == "$exists":
        return name, bool(value)
    if name == "$type":
        listed = value if isinstance(value, list) else [value]
        return name, frozenset(comparable(TYPES.get(each, each)) for each in listed)
    if name in ("$in", "$all") and isinstance(value, list):
        values = frozenset(map(comparable, value))
        return ("$eq", *values) if len(values) == 1 and name == "$in" else (name, values)
    return name, comparable(value)


def _is_operators(value) -> bool:
    """A mapping that begins with an operator, and is no value in extended JSON."""
    first = next(iter(value), "") if isinstance(value, dict) else ""
    reference = isinstance(value, dict) and {"$ref", "$id"} <= set(value)
    return isinstance(first, str) and first.startswith("$") and first not in EXTENDED and not reference


# What is wrong; each yields (path, fault, remedy)


def _filter_rule(condition: dict, path: str = "") -> Iterator[tuple]:
    for field, wanted in condition.items():
        below = f"{path}:{field}".strip(":")
        if field in LISTS:
            yield from _list_rule(below, wanted)
        elif field == "$comment":  # anything
            yield from _value_rule(below, wanted)
        elif isinstance(field, str) and field.startswith("$"):
            yield below, "is no operator that MongoDB knows in a partial index", f"fields, {' or '.join(LISTS)}"
        elif _is_operators(wanted):
            for operator, value in wanted.items():
                yield from _operator_rule(f"{below}:{operator}", operator, value)
        elif _is_regular(wanted):
            yield from _operator_rule(f"{below}:{_name(wanted)}", _name(wanted), None)
        else:
            yield from _value_rule(below, wanted)


def _list_rule(path: str, wanted) -> Iterator[tuple]:
    if not isinstance(wanted, list) or not wanted or not all(isinstance(each, dict) for each in wanted):
        yield path, "is no list of filters", "a list with a filter at least, such as [{status: open}]"
        return
    for number, each in enumerate(wanted):
        yield from _filter_rule(each, f"{path}:{number}")


def _depth_rule(condition: dict) -> Iterator[tuple]:
    depth = _depth(condition)
    if depth > MAX_DEPTH:
        yield "", f"is {depth} levels deep, which MongoDB does not take", f"{MAX_DEPTH} levels at most of $and and $or"


def _depth(condition: dict) -> int:
    """As MongoDB counts: conditions side by side are an ``$and``, one alone is none."""
    below = [each for field, wanted in condition.items() if field != "$comment" for each in _depths(field, wanted)]
    return below[0] if len(below) == 1 else 1 + max(below, default=0)


def _depths(field: str, wanted) -> list:
    if field in LISTS:
        return [1 + max(map(_depth, wanted))]
    return [2 if name == "$all" else 1 for name in (wanted if _is_operators(wanted) else ("$eq",))]


def _operator_rule(path: str, operator: str, value) -> Iterator[tuple]:
    if operator not in OPERATORS:
        yield path, "is no operator that MongoDB knows in a partial index", f"one of {', '.join(OPERATORS)}"
    elif operator == "$exists" and (value is None or value is False or value == 0):
        yield path, "is false, which MongoDB does not take in a partial index", "$exists: true"
    elif operator in ("$in", "$all"):
        yield from _among_rule(path, operator, value)
    elif operator in ("$geoWithin", "$within", "$geoIntersects"):
        yield from _shape_rule(path, operator, value)
    elif operator == "$type":
        yield from _type_rule(path, value)
    elif operator in COMPARISONS[1:] and _is_regular(value):
        yield path, "is a regular expression, which has no place in an order", "a text"
    else:
        yield from _value_rule(path, value)


def _is_regular(value) -> bool:
    return isinstance(value, dict) and _name(value) in REGULAR


def _among_rule(path: str, operator: str, values) -> Iterator[tuple]:
    if not isinstance(values, list):
        yield path, "is no list", "a list of values"
    elif operator == "$all" and not values:
        yield path, "is empty, which MongoDB does not take in a partial index", "a value at least"
    for number, each in enumerate(values if isinstance(values, list) else ()):
        if _is_operators(each):
            yield f"{path}:{number}", "is a condition, not a value", "a value"
        elif operator == "$all" and _is_regular(each):
            yield f"{path}:{number}", "is a regular expression, which MongoDB does not take here", "a text"
        else:
            yield from _value_rule(f"{path}:{number}", each)


def _shape_rule(path: str, operator: str, value) -> Iterator[tuple]:
    crossing = operator == "$geoIntersects"
    known = ("$geometry",) if crossing else ("$geometry", *SHAPES)
    shape = value if isinstance(value, dict) else {}
    geometry = shape.get("$geometry", {})
    if len(shape) != 1 or not set(shape) <= set(known):
        yield path, "is no shape", "a mapping such as {$geometry: {type: Polygon, coordinates: ...}}"
    elif "$geometry" in shape and (
        not isinstance(geometry, dict) or geometry.get("type") not in (GEOMETRIES if crossing else AREAS)
    ):
        yield f"{path}:$geometry", "is no shape", f"type: {' or '.join(GEOMETRIES if crossing else AREAS)}"
    elif geometry.get("type") == "Polygon" and not _is_closed(geometry.get("coordinates")):
        yield f"{path}:$geometry:coordinates", "is no shape", "a list of rings, each of which ends where it begins"


def _is_closed(rings) -> bool:
    listed = isinstance(rings, list) and rings and all(isinstance(ring, list) for ring in rings)
    return bool(listed and all(len(ring) > 3 and ring[0] == ring[-1] for ring in rings))


def _type_rule(path: str, value) -> Iterator[tuple]:
    known = {*TYPES.values(), "number"}
    listed = value if isinstance(value, list) else [value]
    unknown = [each for each in listed if isinstance(each, (list, dict, bool)) or TYPES.get(each, each) not in known]
    if unknown or not listed:
        yield path, "is no type of MongoDB's", "a type's name or number such as string, or a list of them"


def _value_rule(path: str, value) -> Iterator[tuple]:
    """Of values in extended JSON, wherever they are in a value."""
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from _value_rule(f"{path}:{number}", each)
    elif isinstance(value, dict):
        name = _name(value)
        if name and (len(value) > 1 + ("$options" in value) or not EXTENDED[name][0](value[name])):
            yield f"{path}:{name}", "is no value that MongoDB has", EXTENDED[name][1]
        for field, each in value.items() if not name else ():
            yield from _value_rule(f"{path}:{field}", each)


def _name(value: dict) -> str:
    """The type that a mapping of extended JSON is of; empty for a document."""
    return next((field for field in value if field in EXTENDED), "")


def _like(pattern: str):
    return lambda value: isinstance(value, (str, int)) and bool(re.fullmatch(pattern, str(value)))


def _is_long(value) -> bool:
    return not isinstance(value, bool) and _like("-?[0-9]+")(value) and -(2**63) <= int(value) < 2**63


def _is_double(value) -> bool:
    try:
        return not isinstance(value, bool) and float(value) is not None
    except (TypeError, ValueError):
        return False


def _is_decimal(value) -> bool:
    try:
        return isinstance(value, str) and Decimal(value) is not None
    except InvalidOperation:
        return False


def _is_date(value) -> bool:
    if isinstance(value, dict):
        return list(value) == ["$numberLong"] and _is_long(value["$numberLong"])
    try:
        return _is_long(value) or bool(DATE.fullmatch(value) and datetime.fromisoformat(value[:19]))
    except (TypeError, ValueError):
        return False


def _is_made_of(**forms):
    return lambda value: (
        isinstance(value, dict) and set(value) == set(forms) and all(forms[key](value[key]) for key in forms)
    )


def _is_one(value) -> bool:
    return value == 1 and not isinstance(value, bool)


DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?(Z|[+-]\d\d(:?\d\d)?)")
_text = _like("(?s).*")
EXTENDED = {
    "$date": (_is_date, "a point in time with its zone, such as {$date: '2026-01-01T00:00:00Z'}"),
    "$oid": (_like("[0-9a-fA-F]{24}"), "24 hex digits in quotes"),
    "$numberInt": (_is_long, "a whole number in quotes"),
    "$numberLong": (_is_long, "a whole number of 64 bits in quotes"),
    "$numberDouble": (_is_double, "a number in quotes"),
    "$numberDecimal": (_is_decimal, "a decimal number in quotes"),
    "$uuid": (_like("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"), "a UUID in quotes"),
    "$binary": (
        _is_made_of(
            base64=_like("([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}(==|[A-Za-z0-9+/]=))?"), subType=_like("[0-9a-fA-F]{1,2}")
        ),
        "base64 and subType in quotes, such as {base64: aGk=, subType: '00'}",
    ),
    "$timestamp": (_is_made_of(t=_like("[0-9]{1,9}"), i=_like("[0-9]{1,9}")), "t (seconds since 1970) and i"),
    "$minKey": (_is_one, "{$minKey: 1}"),
    "$maxKey": (_is_one, "{$maxKey: 1}"),
    "$regularExpression": (_is_made_of(pattern=_text, options=_text), "pattern and options"),
    "$regex": (_text, "a pattern"),
    "$symbol": (_text, "a text"),
    "$code": (_text, "a text"),
    "$undefined": (lambda value: value is True, "{$undefined: true}"),
}
