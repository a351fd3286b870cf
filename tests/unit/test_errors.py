"""Errors and solutions: every message that the bundle raises is explained, and no explanation is left over."""

import ast
import re

import pytest
from salt.exceptions import CommandExecutionError

from tree import KINDS, functions, load, sources

RAISED = ("CommandExecutionError", "SaltInvocationError", "CloudError", "Refusal")
ENTRIES = functions("onepass_errors", __salt__=functions("onepass_backend_errors"))["onepass_errors.entries"]()
SOLUTION = load("_modules/onepass_solution.py", __salt__={"onepass_errors.entries": lambda: ENTRIES})


def template(node):
    """A message's text with … for what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(template, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left) + template(node.right)
    return "…"


def texts():
    """(where, text) of each message; one that only hands on another's words is that other's."""
    for kind in KINDS:
        for path in sources(kind):
            for node in ast.walk(ast.parse(path.read_text())):
                found = message(node)
                if found is not None and any(character.isalpha() for character in template(found)):
                    yield f"{path.name}:{node.lineno}", " ".join(template(found).split()), isinstance(node, ast.Raise)


def message(node):
    """What a raise says, or the fault of a rule: the middle of (path, fault, remedy), or of a Finding."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
        return node.exc.args[0] if getattr(node.exc.func, "id", None) in RAISED else None
    if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 3:
        return node.value.elts[1]
    is_finding = isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Finding"
    return node.args[1] if is_finding else None


TEXTS = list(texts())
RAISES = [pytest.param(text, id=where) for where, text, raised in TEXTS if raised]
FORMS = [entry["error"] for entry in ENTRIES if not entry["error"].startswith("Lesson: ")]


@pytest.mark.parametrize("text", RAISES)
def test_a_message_is_explained(text):
    assert [entry for entry in ENTRIES if SOLUTION.matches(entry["error"], text)], f"not in onepass_errors: {text}"


@pytest.mark.parametrize("form", FORMS)
def test_an_explanation_has_its_message(form):
    assert [text for _, text, _ in TEXTS if SOLUTION.matches(form, text)]


def test_a_solution_names_functions_that_there_are():
    there = {
        f"{path.stem}.{node.name.rstrip('_')}" for kind in KINDS for path in sources(kind) for node in defined(path)
    }
    areas = {name.split(".")[0] for name in there}
    named = {name for entry in ENTRIES for name in re.findall(r"\b[a-z]+(?:_[a-z]+)*\.[a-z_]+", entry["solution"])}
    assert {name for name in named if name.split(".")[0] in areas} <= there


def defined(path):
    return [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]


def test_a_pasted_message_finds_the_entry_that_fits_best():
    found = SOLUTION.find("Result: web1 is running; shut it down and\n  seal it: libvirt_clone.seal web1, done")
    assert found[0]["error"] == "is running; shut it down"
    with pytest.raises(CommandExecutionError, match="No message of the bundle"):
        SOLUTION.find("a sentence of somebody else's")
