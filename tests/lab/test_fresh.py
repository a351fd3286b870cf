"""What makes a new machine for CI, and what it says at the end. That the machine works is seen by each run of CI."""

import importlib.machinery
import importlib.util
import subprocess

import pytest

from tree import ROOT

SAID = """\
a new machine 21 s
test-3008: ================== 3013 passed in 120.40s (0:02:00) ===================
==> what passed
make demo              312 s  passed
make test             2431 s  FAILED, exit code 2
make demo: orchestrate.site is done: 198 changes in 88.3 s (job 20261124215351475852)
test-3008: ================== 3013 passed in 120.40s (0:02:00) ===================
test-labs: ============ 1 failed, 243 passed in 1912.00s (0:31:52) =============
"""


def program(name):
    loader = importlib.machinery.SourceFileLoader(f"ci_{name}", str(ROOT / ".ci" / name))
    loaded = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def fresh():
    return program("fresh")


def git(folder, *words):
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example", *words], cwd=folder, check=True)


def test_the_clone_has_what_is_not_committed_and_nothing_ignored(fresh, monkeypatch, tmp_path):
    checkout, root = tmp_path / "checkout", tmp_path / "root"
    checkout.mkdir()
    git(checkout, "init", "--quiet")
    for name, text in {"kept": "1", "changed": "1", "gone": "1", ".gitignore": "/.venv\n"}.items():
        (checkout / name).write_text(text)
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message=x")
    (checkout / "changed").write_text("2")
    (checkout / "gone").unlink()
    (checkout / "new").mkdir()
    (checkout / "new/link").symlink_to("../kept")
    (checkout / ".venv").write_text("this machine's")
    monkeypatch.setattr(fresh, "CHECKOUT", checkout)
    fresh.clone(root)
    made = root / fresh.CLONE.relative_to("/")
    assert sorted(path.name for path in made.iterdir()) == [".git", ".gitignore", "changed", "kept", "new"]
    assert ((made / "changed").read_text(), (made / "new/link").is_symlink()) == ("2", True)


def test_the_new_machine_is_told_of_pips_registry_and_of_no_folder_of_this_machine(fresh, monkeypatch):
    monkeypatch.setattr(fresh.configparser.ConfigParser, "read", lambda self, _: self.read_string(PIP_CONF))
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/opt/wheels")
    monkeypatch.delenv("PIP_CERT", raising=False)
    monkeypatch.delenv("PIP_DEFAULT_TIMEOUT", raising=False)
    assert fresh.pip_settings() == {
        "proxy": "http://proxy.example:3128",
        "index-url": "https://packages.example/simple",
    }


PIP_CONF = (
    "[global]\nproxy = http://proxy.example:3128\nextra-index-url = file:///opt/simple\nfind-links = /opt/wheels\n"
)


def test_the_times_are_read_from_what_a_run_said():
    assert program("times").rows(SAID) == [
        "| a new machine | made | 0:00:21 |",
        "| `make demo` | passed | 0:05:12 |",
        "| of it `orchestrate.site` | 198 changes | 88.3 s |",
        "| `make test` | FAILED, exit code 2 | 0:40:31 |",
        "| of it `test-3008` | 3013 passed | 0:02:00 |",
        "| of it `test-labs` | 1 failed, 243 passed | 0:31:52 |",
    ]
