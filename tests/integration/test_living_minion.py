"""A minion that runs on while the code that it fetches changes: each job after a sync has the new one."""

import shutil
import time
from pathlib import Path

import pytest
from test_ways_in import LEAN, from_checkout, printed

import tree

TABLE = "{projects: {tellers: {}}}"
# A function of the library that the minion's own process has called before the sync.
SCHEDULE = {"look": {"function": "neutron_rules.summary", "args": [TABLE], "seconds": 8, "return_job": False}}
FLAT = '''"""One file, as before there was a library."""


def summary(table=None):
    return {"projects": "flat"}
'''


@pytest.fixture(params=[{"schedule": SCHEDULE}, {"multiprocessing": False}], ids=["scheduled", "threads"])
def estate(request, salt_factories, clone, tmp_path):
    """A master that serves a tree of its own, a minion that has fetched it, and that tree's modules."""
    mine = shutil.copytree(clone, tmp_path / "onepass", symlinks=True, ignore=shutil.ignore_patterns(".git"))
    name = next(iter(request.param))[:3]
    quiet = {"log_level_logfile": "warning"}
    settings = {**from_checkout(mine), **quiet, "fileserver_list_cache_time": 3600}
    master = salt_factories.salt_master_daemon(f"lib{name}", overrides=settings)
    with master.started():
        minion = master.salt_minion_daemon(f"on{name}", overrides={**LEAN, **quiet, **request.param})
        with minion.started():
            yield Estate(master, minion), mine / "_modules"


class Estate:
    def __init__(self, master, minion):
        self.minion, self.salt, self.salt_run = minion, master.salt_cli(timeout=300), master.salt_run_cli(timeout=300)
        self.fetched = Path(minion.config["extension_modules"]) / "modules"

    def sync(self):
        """As the page on upgrades prints it."""
        for function in printed("docs/howto.md, Upgrade"):
            self.salt_run.run(function)
        self.salt.run("saltutil.sync_all", minion_tgt=self.minion.id)

    def told(self):
        return self.salt.run("neutron_rules.summary", TABLE, minion_tgt=self.minion.id).data

    def let_it_run(self):
        """Until what is scheduled has run: the library is in the minion's own process then."""
        if "schedule" in self.minion.config:
            time.sleep(1.5 * SCHEDULE["look"]["seconds"])


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_every_job_after_a_sync_has_the_new_code(estate):
    site, modules = estate
    site.sync()
    assert site.told() == {"projects": 1}
    site.let_it_run()
    desired = modules / "onepass_lib/neutron/desired.py"
    desired.write_text(desired.read_text().replace('{"projects": len(', '{"projects": 1000 + len('))
    site.sync()
    assert site.told() == {"projects": 1001}

    face = (modules / "neutron_rules.py").read_text()
    library = shutil.move(modules / "onepass_lib", modules.parent / "aside")
    put(modules / "neutron_rules.py", FLAT)
    site.let_it_run()
    site.sync()
    assert site.told() == {"projects": "flat"}
    assert not (site.fetched / "onepass_lib").exists()

    shutil.move(library, modules / "onepass_lib")
    put(modules / "neutron_rules.py", face)
    site.let_it_run()
    site.sync()
    assert site.told() == {"projects": 1001}
    assert {path.name for path in (site.fetched / "onepass_lib").rglob("*.py")} == {
        path.name for path in tree.library()
    }
