"""Errors and solutions: every message that the bundle raises is explained, and no explanation is left over."""

import ast
import re

import pytest
import test_branch_pillar as branches
import test_dnsmasq_model as networks
import test_ds_pillar as directories
import test_mongo_pillar as databases
import test_neutron_rules as projects
import yaml
from salt.exceptions import CommandExecutionError

from tree import KINDS, functions, library, load, sources

# Functions that make a fault, and which argument of theirs is its text.
MAKERS = {"Finding": 1, "_fault": -2, "_said": -2, "_refusal": 1}
RAISED = ("CommandExecutionError", "SaltInvocationError", "Unusable", "CloudError", "Refusal", "Silence")
PARTS = {
    **functions("onepass_backend_errors"),
    **functions("onepass_directory_errors"),
    **functions("onepass_pillar_errors"),
}
ENTRIES = functions("onepass_errors", __salt__=PARTS)["onepass_errors.entries"]()
SOLUTION = load("_modules/onepass_solution.py", __salt__={"onepass_errors.entries": lambda: ENTRIES})


def template(node):
    """A message's text with … for what is filled in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else "…"
    if isinstance(node, ast.JoinedStr):
        return "".join(map(template, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left) + template(node.right)
    return "…"


def texts():
    """(where, text) of each message; one that only hands on another's words is that other's."""
    for path in (*library(), *(path for kind in KINDS for path in sources(kind))):
        for node in ast.walk(ast.parse(path.read_text())):
            found = message(node)
            if found is not None and any(map(str.isalpha, template(found).removeprefix("is "))):
                yield f"{path.name}:{node.lineno}", " ".join(template(found).split()), isinstance(node, ast.Raise)


def message(node):
    """What a raise says, or the fault of a rule: the middle of (path, fault, remedy), or a fault that is made."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
        return node.exc.args[0] if getattr(node.exc.func, "id", None) in RAISED else None
    if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 3:
        return node.value.elts[1]
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant) and "; " in str(node.value.value):
        return node.value
    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "fault":
        return node.value
    if isinstance(node, ast.Dict):
        keys = [getattr(key, "value", None) for key in node.keys]
        return node.values[keys.index("fault")] if "fault" in keys else None
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) in MAKERS and len(node.args) > 1:
        return node.args[MAKERS[node.func.id]]
    return None


TEXTS = list(texts())
OUTSIDE = ("What 389 Directory Server itself says", "What Salt itself says", "What libvirt itself says")
FORMS = [e["error"] for e in ENTRIES if e["area"] not in OUTSIDE and not e["error"].startswith("Lesson: ")]


@pytest.mark.parametrize(
    "text", [pytest.param(text if raised else f"{text};", id=where) for where, text, raised in TEXTS]
)
def test_a_message_is_explained(text):
    assert [entry for entry in ENTRIES if SOLUTION.matches(entry["error"], text)], f"not in onepass_errors: {text}"


@pytest.fixture(scope="module")
def told(module_loaders):
    """All faults of all cases of pillars and arguments that cannot be right, as they are printed."""
    modules = module_loaders.modules
    found = [fault for case in branches.CASES for fault in branches.faults(branches.patched(case))]
    found += [fault for case in projects.CASES for fault in projects.refuse.faults(projects.patched(case))]
    found += [fault for case in directories.CASES for fault in directories.rules.faults(directories.patched(case))]
    found += [
        fault for case in networks.CASES for fault in modules.dnsmasq_fwd.faults(networks.changed(case["change"]))
    ]
    for case in yaml.safe_load((databases.CASES / "bad_mongodb_pillar.yaml").read_text()):
        found += modules.mongo_pillar.faults(databases.patched(case))
    return list(dict.fromkeys(f"{each['path']}: {each['fault']}; {each['remedy']}" for each in found))


def test_a_fault_of_a_pillar_is_explained(told):
    unexplained = [fault for fault in told if not any(SOLUTION.matches(each["error"], fault) for each in ENTRIES)]
    assert not unexplained
    assert len(told) > 300


def test_an_explanation_has_its_message(told):
    texts = [f"{text};" for _, text, _ in TEXTS] + told
    assert not [form for form in FORMS if not any(SOLUTION.matches(form, text) for text in texts)]


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
