"""Which of the bundle's files a minion must have: those that the master serves, or those that pip brought to it."""

import shutil

import pytest
import salt.config
from salt.exceptions import CommandExecutionError

import tree
from tree import ROOT


@pytest.fixture
def master(tmp_path):
    """A master that serves ``srv``; its own copy of the bundle is in ``own``, as ``saltutil.sync_all`` brings it."""
    own = tmp_path / "own"
    for kind in tree.KINDS:
        shutil.copytree(ROOT / kind, own / kind[1:], ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "srv").mkdir()
    opts = salt.config.master_config(None)
    opts.update(root_dir=str(tmp_path), cachedir=str(tmp_path / "cache"), file_roots={"base": [str(tmp_path / "srv")]})
    opts["fileserver_list_cache_time"] = -1
    return tree.load(own / "runners/onepass_hosts.py", __opts__=opts)


@pytest.fixture
def serve(tmp_path):
    def copied(*kinds):
        for kind in kinds or tree.KINDS:
            shutil.copytree(ROOT / kind, tmp_path / "srv" / kind, ignore=shutil.ignore_patterns("__pycache__"))
        return tmp_path / "srv"

    return copied


def fingerprint(home, folder):
    """What a minion answers that has the bundle in a folder."""
    return tree.load(home / folder / "onepass.py", __opts__={"hash_type": "sha256"}).fingerprint()


def test_a_minion_with_the_served_files_has_their_fingerprint(master, serve, tmp_path):
    served = serve()
    assert master._fingerprint() == fingerprint(tmp_path, "own/modules")
    (served / "_modules/mine.py").write_text("# of the site's own\n")
    assert master._fingerprint() != fingerprint(tmp_path, "own/modules")
    shutil.copy(served / "_modules/mine.py", tmp_path / "own/modules/mine.py")
    assert master._fingerprint() == fingerprint(tmp_path, "own/modules")


def test_where_the_master_serves_none_of_the_bundle_its_own_counts(master, serve, tmp_path):
    """All minions were told to be as they should, whatever version pip had brought there."""
    (serve("_runners") / "_modules").mkdir()
    (tmp_path / "srv/_modules/mine.py").write_text("# of the site's own\n")
    assert master._fingerprint() == fingerprint(tmp_path, "own/modules") == fingerprint(ROOT, "_modules")
    (tmp_path / "own/states/onepass.py").write_text("# another version\n")
    assert master._fingerprint() != fingerprint(ROOT, "_modules")


def test_a_master_whose_own_files_are_not_those_that_it_serves_is_refused(master, serve):
    """After a git pull alone an old master judged what minions did by new rules."""
    master.refuse_outdated()  # it serves none
    served = serve()
    master.refuse_outdated()
    (served / "_modules/mine.py").write_text("# of the site's own, and not fetched yet\n")
    master.refuse_outdated()
    for name in ("_modules/mongo_shard.py", "_modules/onepass.py", "_runners/onepass.py", "_states/onepass.py"):
        (served / name).write_text("# a new version\n")
    said = "modules/mongo_shard.py, modules/onepass.py, runners/onepass.py, 1 more"
    with pytest.raises(CommandExecutionError, match=f"serves \\({said}\\): salt-run saltutil.sync_all$"):
        master.refuse_outdated()
