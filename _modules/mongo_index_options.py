"""
What MongoDB refuses of an index's options: collations, languages of text, projections of wildcard indexes.

.. versionadded:: 0.1.0

Pure, a part of :py:mod:`mongo_rules`::

    salt-call --local -m . mongo_index_options.faults '{keys: {a: 1}, collation: {locale: xx_YY}}'
"""

import difflib
from collections.abc import Iterator

ALL_LOCALES = """
af am ar as az be bg bn bo bs bs_Cyrl ca chr cs cy da de de_AT dsb dz ee el en en_US en_US_POSIX eo es et fa fa_AF fi
fil fo fr fr_CA ga gl gu ha haw he hi hr hsb hu hy id ig is it ja ka kk kl km kn ko kok ky lb lkt ln lo lt lv mk ml mn
mr ms mt my nb ne nl nn om or pa pl ps pt ro ru se si sk sl smn sq sr sr_Latn sv sw ta te th to tr ug uk ur vi wae yi yo
zh zh_Hant zu simple
"""
LOCALES = ALL_LOCALES.split()
LANGUAGES = (
    *("danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "norwegian", "portuguese"),
    *("romanian", "russian", "spanish", "swedish", "turkish"),
)
CODES = ("da", "nl", "en", "fi", "fr", "de", "hu", "it", "nb", "pt", "ro", "ru", "es", "sv", "tr", "none", "")
SEVERAL_FIELDS_FROM = (7, 0)


def __virtual__():
    return "mongo_index_options"


def faults(index: dict, version: str | None = None) -> list:
    """
    Why MongoDB would refuse these options of an index.

    index
        Mapping of ``keys`` and options.
    version
        MongoDB's series, such as ``8.0``. Default: any.

    Returns:
        List of mappings: ``path``, ``fault`` and ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . mongo_index_options.faults '{keys: {a: 1}, collation: {locale: xx_YY}}'

    .. versionadded:: 0.1.0
    """
    rules = (_collation_rule(index), _language_rule(index), _projection_rule(index), _fields_rule(index, version))
    return [{"path": path, "fault": fault, "remedy": remedy} for rule in rules for path, fault, remedy in rule]


def _collation_rule(index: dict) -> Iterator[tuple]:
    given = index.get("collation") or {}
    locale, strength = str(given.get("locale", "simple")), given.get("strength", 3)
    if locale.partition("@")[0] not in LOCALES:
        close = difflib.get_close_matches(locale, LOCALES, n=1, cutoff=0.5)
        yield "collation:locale", f"is {locale!r}", f"did you mean {close[0]!r}?" if close else "a locale of MongoDB's"
    if locale == "simple":  # MongoDB does not look at the rest
        return
    if given.get("caseFirst", "off") != "off" and strength < 3 and not given.get("caseLevel"):
        found = f"is {given['caseFirst']!r} at strength {strength}, which does not look at case"
        yield "collation:caseFirst", found, "caseLevel: true, or strength: 3"
    if given.get("backwards") and strength == 1:
        yield "collation:backwards", "is true at strength 1, which does not look at accents", "strength: 2 or more"
    if "2d" in index["keys"].values():
        yield "collation", f"is {locale!r}, but 2d indexes have none", "no collation, or locale: simple"


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
    for field, value in given.items():
        if not isinstance(value, (int, float, dict)):
            yield f"wildcardProjection:{field}", f"is {value!r}", "0 or 1"
        elif any(part.startswith("$") or not part for part in field.split(".")):
            yield f"wildcardProjection:{field}", "is no field's name", "a field's name, dots between its parts"
    if len({bool(value) for field, value in _leaves(given) if field != "_id"}) > 1:
        yield "wildcardProjection", "has both 0 and 1", "only 0, or only 1; _id alone may differ"


def _leaves(given: dict) -> Iterator[tuple]:
    """The fields of a projection, with those of its mappings."""
    for field, value in given.items():
        yield from _leaves(value) if isinstance(value, dict) else [(field, value)]


def _fields_rule(index: dict, version: str | None) -> Iterator[tuple]:
    wild = any(field.split(".")[-1] == "$**" and kind != "text" for field, kind in index["keys"].items())
    parts = tuple(int(part) for part in str(version or "").split(".") if part.isdigit())
    if wild and len(index["keys"]) > 1 and parts and parts < SEVERAL_FIELDS_FROM:
        yield "keys", f"has '$**' beside other fields, which MongoDB {version} does not take", "an index on '$**' alone"
