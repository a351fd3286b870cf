"""
What the areas' JSON Schemas are made of: their parts, and patterns of what is written everywhere.

Each part's ``description`` says what would be right, and is the remedy of its faults (see ``form``). A pattern is
without its ends.
"""

from collections.abc import Iterable
from typing import Any

Part = dict[str, Any]

END = r"$(?!\n)"
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4 = rf"{OCTET}(\.{OCTET}){{3}}"
IPV6 = "[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*"
PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
DEVICE = r"(?!\.{1,2}$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}"


def part(description: str, **constraints: Any) -> Part:
    """Any part, by JSON Schema's own keywords."""
    return {"description": description, **constraints}


def text(description: str, **constraints: Any) -> Part:
    """A text that is not empty."""
    return part(description, type="string", **{"minLength": 1, **constraints})


def matching(description: str, pattern: str) -> Part:
    """A text that is of a pattern, as a whole."""
    return part(description, type="string", pattern=f"^({pattern}){END}")


def number(description: str, lowest: float, highest: float, whole: bool = True) -> Part:
    """A number with its bounds, an integer unless ``whole`` is false."""
    return part(description, type="integer" if whole else "number", minimum=lowest, maximum=highest)


def flag(description: str) -> Part:
    """True or false."""
    return part(description, type="boolean")


def one_of(description: str, *values: Any) -> Part:
    """One of some values."""
    return part(description, enum=list(values))


def listing(description: str, items: Part, **constraints: Any) -> Part:
    """A list of entries of one form."""
    return part(description, type="array", items=items, **constraints)


def mapping(description: str, values: Part, **constraints: Any) -> Part:
    """A mapping whose keys are names, to values of one form."""
    return part(description, type="object", additionalProperties=values, **constraints)


def record(description: str, properties: dict[str, Part], required: Iterable[str] = ()) -> Part:
    """A mapping with these keys and no others."""
    return part(description, type="object", properties=properties, required=list(required), additionalProperties=False)


def or_null(other: Part) -> Part:
    """A part, or null."""
    return {**part(other["description"]), "if": {"type": "null"}, "else": other}


def document(title: str, whole: Part, **more: Any) -> Part:
    """The JSON Schema of a pillar's key, or of whatever else is judged as a whole."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **whole, **more}


MAC = matching("six pairs of hex digits in quotes, such as '52:54:00:bf:57:bb'", "([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")


def device(default: str = "") -> Part:
    """The name of a network device, with what is said of its default."""
    return matching(f"a device's name: 1 to 15 letters, digits, dots, hyphens and underscores{default}", DEVICE)
