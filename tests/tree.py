"""The checkout: where it is, and its modules as plain Python, for tests that need no loader."""

import copy
import importlib.util
import inspect
from pathlib import Path

ROOT = Path(__file__).parent.parent
KINDS = ("_modules", "_states", "_runners")


def sources(kind):
    """The files of one kind, ``_modules``, ``_states`` or ``_runners``."""
    return sorted((ROOT / kind).glob("*.py"))


def library():
    """The files of the package that the modules import from."""
    return sorted((ROOT / "_modules/onepass_lib").rglob("*.py"))


def load(path, **dunders):
    """
    Import a file such as ``_modules/mongo_shard.py`` by its path.

    ``dunders`` (``__salt__={...}``) are set as Salt's loader would. Every call gives a new module, under a name of its
    own: modules and states share file names.
    """
    path = ROOT / path
    spec = importlib.util.spec_from_file_location(f"onepass.{path.parent.name}.{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update({"__salt__": {}, **dunders})
    if isinstance(module.__salt__, dict):  # the tests' own functions: who calls them is looked at in test_callers.py
        module.__salt__.setdefault("onepass_host.internal", lambda: None)
    return module


def functions(name, kind="_modules", **dunders):
    """A module's public functions, an execution module's or another's, by the names that ``__salt__`` has for them."""
    public = inspect.getmembers(load(f"{kind}/{name}.py", **dunders), inspect.isfunction)
    return {f"{name}.{function}": called for function, called in public if not function.startswith("_")}


def patched(pillar, case):
    """A copy of a pillar in which a case's paths (``hosts:ws017:vm``) are gone (``delete``), renamed, or ``set``."""
    pillar = copy.deepcopy(pillar)
    for path in [case["delete"]] if isinstance(case.get("delete"), str) else case.get("delete", []):
        holder, last = _holder(pillar, path)
        del holder[last]
    for path, name in case.get("rename", {}).items():
        holder, last = _holder(pillar, path)
        holder[name] = holder.pop(last)
    for path, value in case.get("set", {}).items():
        holder, last = _holder(pillar, path)
        holder[last] = value
    return pillar


def _holder(pillar, path):
    """What holds the last part of a path, and that part as it is looked up there."""
    *steps, last = path.split(":")
    for step in steps:
        pillar = pillar[int(step) if isinstance(pillar, list) else step]
    return pillar, int(last) if isinstance(pillar, list) else last
