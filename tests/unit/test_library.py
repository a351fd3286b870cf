"""Which copy of the library a module gets, when there are several of it, or when its files change under a process."""

import os
import shutil
import sys

import pytest
import salt.loader

from tree import ROOT

FACE = """import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.core import {part}


def said():
    return {part}.{word}
"""


class Copy:
    """A folder of modules with a copy of the library in it, and a module ``face`` that tells what it has got."""

    def __init__(self, folder, word):
        self.folder = folder / "modules"
        shutil.copytree(ROOT / "_modules/onepass_lib", self.folder / "onepass_lib")
        self.say(word)

    def say(self, word, part="told"):
        self.write(f"onepass_lib/core/{part}.py", f"WORD = {word!r}\n")
        self.write("face.py", FACE.format(part=part, word="WORD"))

    def write(self, path, text):
        """As Salt's sync does: a new file in the place of the old one."""
        fresh = self.folder / f"{path}.fresh"
        fresh.write_text(text)
        os.replace(fresh, self.folder / path)

    def loaded(self, opts):
        """A new loader, as a minion makes one after a sync."""
        return salt.loader.LazyLoader([str(self.folder)], opts, tag="module")


@pytest.fixture(autouse=True)
def own_library():
    """The tests' own copy goes on afterwards."""
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "onepass_lib"}
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "onepass_lib"]:
        del sys.modules[name]
    sys.modules.update(kept)


@pytest.fixture
def copy(tmp_path):
    return lambda word: Copy(tmp_path / word, word)


def test_a_changed_file_is_read_again_by_a_process_that_had_read_it(copy, minion_opts):
    place = copy("old")
    assert place.loaded(minion_opts)["face.said"]() == "old"
    place.say("new")
    assert place.loaded(minion_opts)["face.said"]() == "new"


def test_an_unchanged_library_is_read_once(copy, minion_opts):
    place = copy("once")
    place.loaded(minion_opts)["face.said"]()
    before = sys.modules["onepass_lib.core.told"]
    place.loaded(minion_opts)["face.said"]()
    assert sys.modules["onepass_lib.core.told"] is before


def test_a_file_that_is_new_and_one_that_is_gone(copy, minion_opts):
    place = copy("first")
    place.loaded(minion_opts)["face.said"]()
    place.say("second", part="later")
    (place.folder / "onepass_lib/core/told.py").unlink()
    assert place.loaded(minion_opts)["face.said"]() == "second"
    assert "onepass_lib.core.told" not in sys.modules


@pytest.mark.parametrize("order", [("synced", "installed"), ("installed", "synced")])
def test_of_two_copies_each_module_has_its_own(copy, minion_opts, order):
    first, second = map(copy, order)
    loaded = [first.loaded(minion_opts), second.loaded(minion_opts)]
    assert [each["face.said"]() for each in (*loaded, first.loaded(minion_opts))] == [*order, order[0]]
    assert loaded[0]["face.said"]() == order[0], "what was loaded before goes on with what it has"


def test_a_module_whose_library_does_not_load_is_absent_and_the_others_are_there(copy, minion_opts):
    place = copy("broken")
    place.write("onepass_lib/core/told.py", "WORD = (\n")
    place.write("other.py", "def said():\n    return 'other'\n")
    loaded = place.loaded(minion_opts)
    assert loaded["other.said"]() == "other"
    assert "face.said" not in loaded


def test_the_library_itself_answers_to_nobody(modules):
    assert not [name for name in modules if name.startswith(("onepass_lib.", "core.", "neutron."))]
