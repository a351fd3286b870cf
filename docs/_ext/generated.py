"""Pages that are made from the code at each build: the functions, the states, the pillar and the errors."""

import ast
import itertools
import sys
from pathlib import Path

import pillar_pages

from tree import KINDS, functions, load, sources

TITLES = {"_states": "States", "_runners": "Runners", "_modules": "Execution modules"}


def setup(app):
    app.connect("builder-inited", _write_all)
    app.connect("autodoc-process-docstring", _quote_names)
    return {"parallel_read_safe": True}


def _write_all(app):
    target = Path(app.srcdir) / "reference"
    pages = {"index": _index()}
    for kind in KINDS:
        pages.update({f"{kind[1:]}-{path.stem}": _module_page(kind, path) for path in sources(kind)})
    pages.update(pillar_pages.pages())
    pages["errors"] = _errors_page()
    target.mkdir(exist_ok=True)
    for name, text in pages.items():
        _write(target / f"{name}.md", text)
    for left in set(target.glob("*.md")) - {target / f"{name}.md" for name in pages}:
        left.unlink()


def _quote_names(app, what, name, obj, options, lines):
    """A parameter such as ``class_`` would be a link in RST."""
    lines[:] = [f"``{line}``" if line.isidentifier() and line.endswith("_") else line for line in lines]


def _write(path, text):
    """Only what differs: Sphinx reads again what is new."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _module_page(kind, path):
    name = _importable(kind, path)
    what = {"_states": " (states)", "_runners": " (runner)"}.get(kind, "")
    return f"# {path.stem}{what}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n"


def _importable(kind, path):
    """States and runners share names with execution modules, which have theirs by ``sys.path``."""
    if kind == "_modules":
        return path.stem
    name = f"{kind[1:]}.{path.stem}"
    module = load(path)
    module.__name__ = name
    for each in vars(module).values():
        if getattr(each, "__module__", None) == f"onepass.{kind}.{path.stem}":
            each.__module__ = name
    sys.modules.setdefault(kind[1:], type(sys)(kind[1:]))
    sys.modules[name] = module
    return name


def _index():
    parts = [_listed(kind) for kind in ("_states", "_runners", "_modules")]
    pillar = "\n".join(f"pillar-{key}" for key in pillar_pages.AREAS)
    return f"# Reference\n\n## Pillar\n\n```{{toctree}}\n{pillar}\n```\n\n" + "\n\n".join(parts) + "\n"


def _listed(kind):
    """A kind's modules with their first sentences, by area: the first word of their names."""
    lines = [f"## {TITLES[kind]}\n"]
    for area, paths in itertools.groupby(sources(kind), lambda path: path.stem.split("_")[0]):
        paths = list(paths)
        if kind == "_modules":
            lines.append(f"### {area}\n")
        lines += [f"- [{path.stem}]({kind[1:]}-{path.stem}.md): {_first_sentence(path)}" for path in paths] + [""]
    names = "\n".join(f"{kind[1:]}-{path.stem}" for path in sources(kind))
    return "\n".join(lines) + f"\n```{{toctree}}\n:hidden:\n:caption: {TITLES[kind]}\n{names}\n```"


def _errors_page():
    """A section per message, by area; Sphinx makes its anchor from the title."""
    parts = {
        **functions("onepass_backend_errors"),
        **functions("onepass_directory_errors"),
        **functions("onepass_pillar_errors"),
    }
    known = functions("onepass_errors", __salt__=parts)["onepass_errors.entries"]()
    lines = ["# Errors and solutions\n", "… stands for what differs from case to case. The same from a terminal:\n"]
    lines.append("```console\n# salt-run onepass.solution 'the message'\n```\n")
    for area, entries in itertools.groupby(known, lambda entry: entry["area"]):
        lines.append(f"## {area}\n")
        for entry in entries:
            shown = {key: pillar_pages.escape_markdown(text) for key, text in _shown(entry).items()}
            lines.append("### {error}\n\n{meaning}\n\n**What to do:** {solution}\n".format(**shown))
    return "\n".join(lines)


def _shown(entry):
    """An entry as its reader sees it: ``*``, for what differs, is … there; a remedy is to be copied as it is."""
    differs = {key: entry[key].replace("*", "…") for key in ("error", "meaning")}
    return {**differs, "solution": entry["solution"]}


def _first_sentence(path):
    doc = ast.get_docstring(ast.parse(path.read_text()))
    return " ".join(doc.split("\n\n")[0].split()).replace(":py:mod:", "").replace("``", "`")
