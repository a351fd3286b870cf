"""
What MongoDB refuses of an index's options: collations, languages of text, projections of wildcard indexes, 2d ranges.

.. versionadded:: 0.1.0

Pure, a part of :py:mod:`mongo_rules`::

    salt-call --local -m . mongo_index_options.faults '{keys: {a: 1}, collation: {locale: xx_YY}}'
"""

import difflib
import itertools
from collections.abc import Iterator

ALL_LOCALES = """
af am ar as az be bg bn bo bs bs_Cyrl ca chr cs cy da de de_AT dsb dz ee el en en_US en_US_POSIX eo es et fa fa_AF fi
fil fo fr fr_CA ga gl gu ha haw he hi hr hsb hu hy id ig is it ja ka kk kl km kn ko kok ky lb lkt ln lo lt lv mk ml mn
mr ms mt my nb ne nl nn om or pa pl ps pt ro ru se si sk sl smn sq sr sr_Latn sv sw ta te th to tr ug uk ur vi wae yi yo
zh zh_Hant zu simple
"""
LOCALES = ALL_LOCALES.split()
# Behind the locale, as in de@collation=phonebook: of nearly all of them, and of some.
VARIANTS = ("search", "eor", "emoji")
OWN_VARIANTS = {
    **dict.fromkeys(("de", "de_AT"), ("phonebook",)),
    **dict.fromkeys(("bn", "es", "fi", "kn", "vi"), ("traditional",)),
    "ar": ("compat",),
    "ja": ("unihan",),
    "ko": ("searchjl", "unihan"),
    "ln": ("phonetic",),
    "si": ("dictionary",),
    "sv": ("standard",),
    "zh": ("standard", "zhuyin", "unihan", "big5han", "gb2312han"),
    "zh_Hant": ("standard", "pinyin", "zhuyin", "unihan", "big5han", "gb2312han"),
}
COLLATION = {
    "strength": 3,
    "caseLevel": False,
    "caseFirst": "off",
    "numericOrdering": False,
    "alternate": "non-ignorable",
    "maxVariable": "punct",
    "normalization": False,
    "backwards": False,
}
# What some locales have instead; the variants eor and emoji have none of it, and search is normalized in all of them.
NORMALIZED = """
as bn el fa fa_AF gu he hi ig km kn kok mr my or pa ps si ta te th vi yi yo
"""
OWN_COLLATION = {
    **{locale: {"normalization": True} for locale in NORMALIZED.split()},
    **dict.fromkeys(("da", "mt"), {"caseFirst": "upper"}),
    "fr_CA": {"backwards": True},
    "th": {"normalization": True, "alternate": "shifted"},
}
LANGUAGES = (
    *("danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "norwegian", "portuguese"),
    *("romanian", "russian", "spanish", "swedish", "turkish"),
)
CODES = ("da", "nl", "en", "fi", "fr", "de", "hu", "it", "nb", "pt", "ro", "ru", "es", "sv", "tr", "none", "")
SEVERAL_FIELDS_FROM = (7, 0)
TWO_D_OPTIONS = ("bits", "min", "max")


def __virtual__():
    return "mongo_index_options"


def faults(index: dict, version: str | None = None) -> list:
    """
    Why MongoDB would refuse these options of an index.

    index
        Mapping of ``keys`` and options.
    version
        MongoDB's series, such as ``8.0``; empty when it is not known. Default: any.

    Returns:
        List of mappings: ``path``, ``fault`` and ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_index_options.faults '{keys: {a: 1}, collation: {locale: xx_YY}}'

    .. versionadded:: 0.1.0
    """
    rules = [_locale_rule(index), _collation_rule(index), _language_rule(index), _weights_rule(index)]
    rules += [_projection_rule(index), _fields_rule(index, version), _two_d_rule(index)]
    return [{"path": path, "fault": fault, "remedy": remedy} for rule in rules for path, fault, remedy in rule]


def collation(given: dict) -> dict:
    """
    A collation with MongoDB's defaults where nothing is said; some locales have their own.

    given
        The collation.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_index_options.collation '{locale: da}'

    .. versionadded:: 0.1.0
    """
    base, _, variant = str(given.get("locale", "simple")).partition("@collation=")
    own = {"normalization": True} if variant.startswith("search") else OWN_COLLATION.get(base, {})
    return {**COLLATION, **(own if variant not in ("eor", "emoji") else {}), **given}


def _locale_rule(index: dict) -> Iterator[tuple]:
    locale = str((index.get("collation") or {}).get("locale", "simple"))
    base, at, variant = locale.partition("@")
    variants = [*OWN_VARIANTS.get(base, ()), *VARIANTS] if base != "simple" else []
    if base not in LOCALES:
        close = difflib.get_close_matches(locale, LOCALES, n=1, cutoff=0.5)
        yield "collation:locale", f"is {locale!r}", f"did you mean {close[0]!r}?" if close else "a locale of MongoDB's"
    elif at and variant not in [f"collation={each}" for each in variants]:
        known = " or ".join([base, *(f"{base}@collation={each}" for each in variants)])
        yield "collation:locale", "is a variant that MongoDB does not have", known


def _collation_rule(index: dict) -> Iterator[tuple]:
    given = index.get("collation") or {}
    locale, whole = str(given.get("locale", "simple")), collation(given)
    if locale == "simple":  # MongoDB does not look at the rest
        return
    if whole["caseFirst"] != "off" and whole["strength"] < 3 and not whole["caseLevel"]:
        found = f"is {_shown('caseFirst', given)} at strength {whole['strength']}, which does not look at case"
        yield "collation:caseFirst", found, "'off' (in quotes), caseLevel: true, or strength: 3"
    if whole["backwards"] and whole["strength"] == 1:
        found = f"is {_shown('backwards', given)} at strength 1, which does not look at accents"
        yield "collation:backwards", found, "false, or strength: 2 or more"
    if "2d" in index["keys"].values():
        yield "collation", f"is {locale!r}, but 2d indexes have none", "no collation, or locale: simple"


def _shown(option: str, given: dict) -> str:
    value = collation(given)[option]
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if option in given else f"not given, thus {shown} in {given['locale']},"


def _language_rule(index: dict) -> Iterator[tuple]:
    language, field = index.get("default_language"), index.get("language_override")
    if isinstance(language, str) and language.lower() not in (*LANGUAGES, *CODES):
        close = difflib.get_close_matches(language.lower(), LANGUAGES, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"none, or one of {', '.join(LANGUAGES)}"
        yield "default_language", f"is {language!r}, which MongoDB does not know", remedy
    if isinstance(field, str) and ("." in field or field.startswith("$")):
        yield "language_override", f"is {field!r}, which MongoDB does not take", "the name of a field of the document"


def _projection_rule(index: dict) -> Iterator[tuple]:
    given = index.get("wildcardProjection")
    if not isinstance(given, dict) or not any(field.split(".")[-1] == "$**" for field in index["keys"]):
        return
    if not given:
        yield "wildcardProjection", "is empty", "fields, each 0 or 1, or no wildcardProjection"
    if "$**" not in index["keys"]:
        yield "wildcardProjection", "is given for a part of the document only", "an index on '$**', or no projection"
    leaves = list(_leaves(given))
    for path, value in leaves:
        if any(part.startswith("$") or not part for part in path.split(".")):
            yield f"wildcardProjection:{path}", "is no field's name", "a field's name, dots between its parts"
        elif not isinstance(value, (int, float)):
            yield f"wildcardProjection:{path}", f"is {value!r}", "0 or 1"
    for one, other in itertools.combinations(sorted(path for path, _ in leaves), 2):
        if f"{other}.".startswith(f"{one}."):
            yield f"wildcardProjection:{other}", f"is named beside {one}, which has it already", "one of the two"
    if len({bool(value) for path, value in leaves if path != "_id"}) > 1:
        yield "wildcardProjection", "has both 0 and 1", "only 0, or only 1; _id alone may differ"


def _leaves(given: dict, above: str = "") -> Iterator[tuple]:
    """The paths of a projection, those below its mappings among them."""
    for field, value in given.items():
        nested = isinstance(value, dict) and value
        yield from _leaves(value, f"{above}{field}.") if nested else [(f"{above}{field}", value)]


def _fields_rule(index: dict, version: str | None) -> Iterator[tuple]:
    wild = any(field.split(".")[-1] == "$**" and kind != "text" for field, kind in index["keys"].items())
    parts = tuple(int(part) for part in str(version or "").split(".") if part.isdigit())
    if not wild or len(index["keys"]) == 1 or version is None:
        return
    if not parts:
        found = "has '$**' beside other fields, which MongoDB takes from 7.0 on, and mongodb:version is not given"
        yield "keys", found, "mongodb:version, or an index on '$**' alone"
    elif parts < SEVERAL_FIELDS_FROM:
        yield "keys", f"has '$**' beside other fields, which MongoDB {version} does not take", "an index on '$**' alone"


def _weights_rule(index: dict) -> Iterator[tuple]:
    for field in index.get("weights") or {}:
        if field != "$**" and any(part.startswith("$") or not part for part in field.split(".")):
            yield f"weights:{field}", "is no field's name", "a field's name, dots between its parts"


def _two_d_rule(index: dict) -> Iterator[tuple]:
    given = [option for option in TWO_D_OPTIONS if option in index]
    if "2d" not in index["keys"].values():
        for option in given:
            yield option, "is given for an index without a 2d field", f"no {option}"
        return
    wrong = [
        option for option in given if isinstance(index[option], bool) or not isinstance(index[option], (int, float))
    ]
    for option in wrong:
        yield option, f"is {index[option]!r}", "a number"
    if "bits" not in wrong and not 1 <= index.get("bits", 26) <= 32:
        yield "bits", f"is {index['bits']}", "1 to 32"
    lowest, highest = index.get("min", -180), index.get("max", 180)
    if not {"min", "max"}.intersection(wrong) and lowest >= highest:
        yield "min" if "min" in index else "max", f"is no range: {lowest} to {highest}", "min below max"
