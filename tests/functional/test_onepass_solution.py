"""``salt-run onepass.solution`` through Salt's loader: for people, for programs, and for a sentence of nobody's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import salt.config
import salt.loader
import salt.version
from salt.exceptions import CommandExecutionError

from tree import ROOT

MESSAGE = "  mongodb:routers:1 (/srv/pillar/bank.sls:2): no minion has the id 'r9.dc'; did you mean 'r2.dc'?"


@pytest.fixture
def solution(tmp_path):
    """The function as ``salt-run`` calls it."""

    def called(message, **options):
        opts = salt.config.master_config(None)
        opts.update(root_dir=str(tmp_path), cachedir=str(tmp_path), module_dirs=[str(ROOT)], grains={"os": "Debian"})
        return salt.loader.runner({**opts, "fun": "onepass.solution", **options})["onepass.solution"](message)

    return called


def test_people_read_what_it_means_and_what_to_do(solution):
    head, *below = solution(MESSAGE).splitlines()
    assert head == "The pillar and its minions: no minion has the id"
    means, to_do = " ".join("\n".join(below).split()).split(" to do ")
    assert means.startswith("means The pillar names a host")
    assert to_do.endswith("accept its key.")


def test_programs_get_all_of_it(solution):
    found = solution(MESSAGE, output="json")
    assert found[0]["error"] == "no minion has the id"
    assert set(found[0]) == {"error", "area", "meaning", "solution"}


def test_what_is_not_the_bundles_is_an_error(solution):
    with pytest.raises(CommandExecutionError, match="No message of the bundle"):
        solution("a sentence of somebody else's")


def test_without_a_master_the_same_is_answered(modules):
    assert modules.onepass.solution(MESSAGE)["error"] == "no minion has the id"


def test_a_master_that_never_ran_is_told_by_salts_own_words(modules, tmp_path):
    """Salt 3006 answers all the same."""
    (tmp_path / "master").write_text(json.dumps({"root_dir": str(tmp_path), "user": "root", "log_level": "error"}))
    words = [Path(sys.executable).with_name("salt-run"), "-c", tmp_path, "--out=json", "test.arg", "1"]
    said = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout.strip()
    last = said.splitlines()[-1]
    if salt.version.__saltstack_version__ >= "3008":
        assert modules.onepass.solution(last)["solution"] == "Start salt-master once."
    else:
        assert '"args"' in said


@pytest.mark.parametrize("level", ["warning", "error"])
def test_salts_own_last_words_are_told_to_be_harmless(level, modules, tmp_path):
    (tmp_path / "master").write_text(json.dumps({"root_dir": str(tmp_path), "user": "root", "log_level": level}))
    (tmp_path / "var/cache/salt/master/proc").mkdir(parents=True)
    words = [Path(sys.executable).with_name("salt-run"), "-c", tmp_path, "--out=json", "test.arg", "1"]
    said = subprocess.run(words, capture_output=True, text=True).stderr
    unclosed = [line for line in said.splitlines() if line.startswith("unclosed ") and "destroy()" in line]
    for line in unclosed:
        assert modules.onepass.solution(line)["solution"].startswith("Nothing; log_level: error")
    assert bool(unclosed) == (level == "warning" and salt.version.__saltstack_version__ >= "3008.5")
