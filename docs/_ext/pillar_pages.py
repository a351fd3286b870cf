"""The pillar's reference: a row for each key of the JSON Schemas, with its value in the example site."""

import re

import yaml

from tree import ROOT, load

AREAS = {
    "mongodb": "mongo_schema",
    "branch": "branch_schema",
    "openstack": "neutron_schema",
    "ds389": "ds_schema",
    "dns": "dnsmasq_model",
}
# A default as the descriptions name it: "a port, 1 to 65535, default 22", "auto (default), nft or ebtables".
DEFAULT = re.compile(r"(\S+) \((?:[^)]*, )?default\)|[,;] default ([^,;)]+)")
INTRODUCTION = """---
hide-toc: true
---

# Pillar: `{area}`

Every key, read from the schema that `onepass.check` judges by. `<name>` stands for a name of yours, `[]` for each entry
of a list. **Bold** keys are required where what they belong to is given. `{module}.schema` answers the same to a
program.

| key | type | default | meaning | example |
| --- | --- | --- | --- | --- |
"""


def pages():
    """Page names and texts, one for each part of the pillar."""
    example = _examples()
    return {f"pillar-{area}": _page(area, module, example) for area, module in AREAS.items()}


def escape_markdown(text):
    """A text that Markdown shows letter by letter: ``<name>`` is no tag, ``*`` no emphasis."""
    return re.sub(r"([\\`*_\[\]{}<>#&~$])", r"\\\1", text)


def _page(area, module, examples):
    schema = load(f"_modules/{module}.py").schema()
    given = examples.get(area)
    shared = schema.get("$defs", {})
    rows = [_row(*each, shared) for each in _keys(schema, shared, area, [given], False)]
    return INTRODUCTION.format(area=area, module=module) + "\n".join(rows) + "\n"


def _examples():
    """The example site's values; files with Jinja in them are left out, a branch stands for all."""
    found = {}
    for path in sorted((ROOT / "pillar").rglob("*.sls")):
        text = path.read_text()
        if path.name != "top.sls" and "{%" not in text and "{{" not in text:
            found = {**yaml.safe_load(text), **found}
    return {**found, "dns": (found.get("branch") or {}).get("dns")}


def _keys(part, shared, path, values, required):
    """(path, part, value, required) of a part and of all below it, each form of it that has keys."""
    yield path, part, next((each for each in values if each is not None), None), required
    for form in _forms(part, shared):
        for name, below in form.get("properties", {}).items():
            found = [each.get(name) for each in values if isinstance(each, dict)]
            yield from _keys(below, shared, f"{path}:{name}", found, name in form.get("required", ()))
        if isinstance(form.get("additionalProperties"), dict) and form["additionalProperties"]:
            found = [value for each in values if isinstance(each, dict) for value in each.values()]
            yield from _keys(form["additionalProperties"], shared, f"{path}:<name>", found, False)
        if "items" in form:
            found = [value for each in values if isinstance(each, list) for value in each]
            yield from _keys(form["items"], shared, f"{path}[]", found, False)


def _forms(part, shared):
    """A part itself, or the forms that it may have: a short and a long one, or null."""
    if "$ref" in part:
        return _forms(shared[part["$ref"].rsplit("/", 1)[-1]], shared)
    branches = [part[key] for key in ("then", "else") if key in part]
    return [form for each in branches for form in _forms(each, shared)] if branches else [part]


def _row(path, part, value, required, shared):
    forms = _forms(part, shared)
    meaning = part.get("description") or " / ".join(form["description"] for form in forms if "description" in form)
    default = DEFAULT.search(meaning)
    cells = [
        f"**`{path}`**" if required else f"`{path}`",
        " or ".join(dict.fromkeys(_type(form) for form in forms)),
        escape_markdown(next(filter(None, default.groups()))) if default else "",
        escape_markdown(meaning),
        f"`{value}`" if value is not None and not isinstance(value, (dict, list)) else "",
    ]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _type(form):
    if "enum" in form:
        return ", ".join("null" if each is None else f"`{each}`" for each in form["enum"])
    kind = form.get("type", "any")
    return " or ".join([kind] if isinstance(kind, str) else kind)
