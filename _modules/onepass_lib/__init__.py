"""
What Onepass's modules are made of: plain Python, a package per area, imports at the top and downwards only.

Salt's loader puts a module's folder on ``sys.path`` while it loads the module, and only then. A module of ``_modules``
imports from here at its top, after it has had the package looked at::

    import onepass_lib

    onepass_lib.look(__file__)
    from onepass_lib.core import steps
"""

import contextlib
import importlib
import importlib.util
import sys
from pathlib import Path

__load__: list[str] = []  # nothing in here answers to Salt

HERE = Path(__file__).resolve().parent


def look(module: str) -> None:
    """
    Before a module imports from here: if this is another copy than the one beside it, or if its files have changed
    since this process read them, the module gets its own, newly read.

    A minion whose own process has imported the package would hand the old one to each of its jobs, also after a sync;
    and of a copy that pip has installed and one that a master serves, the first would serve both.

    module
        The module's ``__file__``.
    """
    beside = Path(module).resolve().parent / __name__
    if beside == HERE and _files() == READ:
        return
    for name in [each for each in sys.modules if each == __name__ or each.startswith(f"{__name__}.")]:
        del sys.modules[name]
    for compiled in beside.rglob(
        "*.pyc"
    ):  # Python takes one whose source is of the same second and size for a fresh one
        with contextlib.suppress(OSError):
            compiled.unlink()
    importlib.invalidate_caches()
    spec = importlib.util.spec_from_file_location(__name__, beside / "__init__.py")
    if not spec or not spec.loader:
        raise ImportError(f"{beside} is no package")
    sys.modules[__name__] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


def _files() -> dict[Path, tuple[int, int, int]]:
    """Each file of the package with what tells that it is another one: time of its last change, size, inode."""
    found = {path: path.stat() for path in sorted(HERE.rglob("*.py"))}
    return {path: (its.st_mtime_ns, its.st_size, its.st_ino) for path, its in found.items()}


READ = _files()
