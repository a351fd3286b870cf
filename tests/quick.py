"""Salt's loaders look through the same folders and packages again and again; here a process does so once.

Every ``state.single`` makes some twenty loaders, each of which lists all folders of modules twice and reads the entry
points of all packages: most of a test's time. What was found is kept as long as no folder has changed.
"""

import os
import sys
import types

import salt.utils.entrypoints
from salt.loader.lazy import LazyLoader

FOUND, POINTS = {}, {}  # what was found, and when its folders had changed last
_look, _read = LazyLoader._refresh_file_mapping, salt.utils.entrypoints.importlib_metadata.entry_points


def _changed(folders):
    """When something was last added to a folder or taken from it, for each."""
    return tuple(os.stat(each).st_mtime_ns if os.path.isdir(each) else None for each in folders)


def _kept_files(loader):
    folders = (*loader.module_dirs, *(os.path.join(each, "__pycache__") for each in loader.module_dirs))
    key = (folders, tuple(loader.static_modules), tuple(loader.disabled), tuple(loader.suffix_order))
    when, found = FOUND.get(key, (None, None))
    if when != (now := _changed(folders)):
        _look(loader)
        found = (loader.file_mapping, loader.suffix_map, loader.suffix_order)
        FOUND[key] = (now, tuple(each.copy() for each in found))
        return
    loader.file_mapping, loader.suffix_map, loader.suffix_order = (each.copy() for each in found)


def _kept_points(**wanted):
    key = (tuple(sys.path), tuple(wanted.items()))
    when, found = POINTS.get(key, (None, None))
    if when != (now := _changed(sys.path)):
        found = _read(**wanted)
        POINTS[key] = (now, found)
    return found


def loaders():
    """From now on."""
    LazyLoader._refresh_file_mapping = _kept_files
    salt.utils.entrypoints.importlib_metadata = types.SimpleNamespace(entry_points=_kept_points)
