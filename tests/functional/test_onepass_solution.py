"""``salt-run onepass.solution`` through Salt's loader: for people, for programs, and for a sentence of nobody's."""

import pytest
import salt.config
import salt.loader
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
