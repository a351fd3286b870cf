"""A run on a branch host that is killed anywhere: the next one finishes it, and what nobody confirms is taken back."""

import branches
import pytest
from branches import Branch

import kills
from segments import Segment


@pytest.fixture
def branch(minion_opts, tmp_path_factory):
    roots = {name: tmp_path_factory.mktemp(name) for name in ("gw", "h1", "h2")}
    with Segment() as segment:
        yield Branch(segment, branches.minions(minion_opts, roots), "nft")


@pytest.mark.parametrize("name", ["h1", "gw"])
def test_a_run_that_is_killed_anywhere_is_finished_by_the_next_or_taken_back(branch, name):
    def blank():
        branch.next_job(name)
        return uncabled(branch, name)

    before = blank()
    for _ in kills.everywhere(blank, lambda _: branch.present(name, within=60), step=9):
        branch.next_job(name)
        ret = branch.present(name, within=60)
        assert ret.result is True, ret.comment
        assert branch.present(name, within=60).changes == {}
        assert branch.call(name, "bridge_nat.rollback")["errors"] == []
        assert uncabled(branch, name) == before


def uncabled(branch, name):
    """What is loaded and set on a host, and its files."""
    files = sorted(str(path) for path in (branch.root(name) / "etc").rglob("*") if not path.is_dir())
    links = branch.segment.link(name, "-br", "link").split()
    return files, branch.segment.ruleset(name), links, branch.segment.link(name, "-4", "route")
