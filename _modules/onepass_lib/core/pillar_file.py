"""
Pillar files as they are written: the line in which something stands, and what YAML does not read as it was meant.

A file with Jinja in it is not plain YAML, and one in Latin-1 is no text to Salt: of such ones nothing is
said. Nothing here judges what a pillar means; that is for the areas' modules.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml
from salt.exceptions import CommandExecutionError

from onepass_lib.core.steps import Fault

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Thousands of branches, each with a file, are fewer.
MOST = 50_000
PLAIN = re.compile(r"[-+]?(0|[1-9][0-9]*)$")
# What PyYAML raises for a text that is none, or none of the kind that its tag says.
UNREAD = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError)


def located(faults: list[Fault], files: list[str]) -> list[Fault]:
    """
    Faults with the place in which their path stands in a file, if it stands in exactly one of them.

    faults
        List of mappings with ``path``.
    files
        Paths of pillar files.

    Returns:
        The faults, with ``place`` (``/srv/pillar/openstack.sls:14``) where it is known. A path that stands nowhere,
        such as that of a missing key, is placed at the innermost part of it that does.
    """
    trees = {path: tree for path in files if (tree := _readable(path)) is not None}
    return [{**fault, **_place(fault["path"], trees)} for fault in faults]


def unreadable(path: str) -> dict[str, str] | None:
    """
    Where and why YAML cannot read a file; ``None`` when it can, and for one with Jinja in it.

    path
        Path of a pillar file.

    Returns:
        ``place`` (``/srv/pillar/openstack.sls:14:3``, line and column) and ``reason``.
    """
    try:
        with open(path, encoding="utf-8") as text:
            written = text.read()
        if "{{" not in written and "{%" not in written:
            yaml.compose(written, yaml.SafeLoader)
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark
        return {"place": f"{path}:{mark.line + 1}:{mark.column + 1}", "reason": reason(err)} if mark else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return None


def unread(files: Iterable[str]) -> list[str]:
    """Each of these files that YAML cannot read, as a line with its place and the reason."""
    found = []
    for each in filter(None, map(unreadable, files)):
        fault = f"{each['place']}: YAML cannot read this: {each['reason']}"
        found.append(fault)
    return found


def reason(err: Exception) -> str:
    """What YAML did not understand, by what PyYAML raised, in words."""
    problem = str(getattr(err, "problem", None) or "a value that is not what it looks like")
    return "a tab, where blanks are wanted" if "'\\t'" in problem else problem


def oddities(path: str) -> list[Fault]:
    """
    What YAML, or Salt, reads otherwise than it is written: ``012`` and ``12:30`` as numbers, a key given twice.

    path
        Path of a pillar file.

    Returns:
        List of mappings: ``path``, ``fault``, ``remedy`` and ``place``.

    Raises ``OSError`` when there is no such file.
    """
    tree = _tree(path)
    return [dict(each, place=f"{path}:{line}") for line, each in _odd(tree, (), set())] if tree is not None else []


def below(roots: Iterable[str]) -> list[str]:
    """
    All pillar files below some folders. Folders that are links, or hidden as ``.git`` is, are passed over.

    Raises ``CommandExecutionError`` for a folder with more in it than a site's pillar, such as ``/``.
    """
    return sorted(filter(os.path.isfile, (path for root in roots for path in _below(root))))


def _below(root: str) -> Iterator[str]:
    seen = 0
    for folder, folders, names in os.walk(root):
        folders[:] = [each for each in folders if not each.startswith(".")]
        seen += len(folders) + len(names)
        if seen > MOST:
            raise CommandExecutionError(
                f"{root} holds more than {MOST} files and folders: it is no folder of pillar files alone"
            )
        yield from (os.path.join(folder, name) for name in names if name.endswith(".sls"))


def _readable(path: str) -> Any:
    with contextlib.suppress(OSError):
        return _tree(path)


def _tree(path: str) -> Any:
    with open(path, encoding="utf-8") as text:
        try:
            return yaml.compose(text, Loader=LOADER)
        except UNREAD:
            return None


def _place(path: str, trees: dict[str, Any]) -> dict[str, str]:
    found = {name: _walk(tree, path.split(":")) for name, tree in trees.items()}
    deepest = max((depth for depth, _ in found.values()), default=0)
    best = [f"{name}:{line}" for name, (depth, line) in found.items() if depth == deepest]
    return {"place": best[0]} if deepest and len(best) == 1 else {}


def _walk(node: Any, parts: list[str]) -> tuple[int, int]:
    """How many parts of the path stand in the file, and the line of the last one that does."""
    depth, line = 0, 1
    for part in parts:
        key, node = _child(node, part)
        if key is None:
            break
        depth, line = depth + 1, key.start_mark.line + 1
    return depth, line


def _child(node: Any, part: str) -> Any:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == part), (None, None))
    if isinstance(node, yaml.SequenceNode) and part.isdecimal() and len(part) < 9 and int(part) < len(node.value):
        return node.value[int(part)], node.value[int(part)]
    return None, None


def _odd(node: Any, where: tuple, told: set[int]) -> Iterator[tuple[int, Fault]]:
    """What is odd in a node; one that has several places, by an alias, is told of at the first."""
    if id(node) in told:
        return
    told.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key.value, str) and key.value in seen:
                yield _said(key, (*where, key.value), "is given twice", "each key once")
            seen.add(key.value if isinstance(key.value, str) else None)
            yield from _odd(value, (*where, str(key.value)), told)
    elif isinstance(node, yaml.SequenceNode):
        for number, each in enumerate(node.value):
            yield from _odd(each, (*where, str(number)), told)
    elif node.tag == "tag:yaml.org,2002:int" and not PLAIN.match(node.value):
        read = _read(node)
        plain = node.value.lstrip("0") if node.value.isdecimal() else None
        fault = f"is written {node.value}, which YAML reads as {read}"
        yield _said(node, where, fault, f"{plain}, or {read}, as a plain decimal number" if plain else str(read))


def _read(node: Any) -> Any:
    """The number that YAML makes of it."""
    with contextlib.suppress(*UNREAD):
        return yaml.SafeLoader("").construct_yaml_int(node)
    return "no number"


def _said(node: Any, where: tuple, fault: str, remedy: str) -> tuple[int, Fault]:
    return node.start_mark.line + 1, {"path": ":".join(where), "fault": fault, "remedy": remedy}
