"""The tutorial's pillar, as it is printed, is good, and gives each of its minions what the tutorial says."""

import re

import pytest
import test_branch_pillar as branches
import yaml

from fleets import compiled
from tree import ROOT

BLOCK = re.compile(r"^```yaml\n(# /srv/pillar/(\S+)\n.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def pillar(tmp_path_factory):
    root = tmp_path_factory.mktemp("pillar")
    for text, name in BLOCK.findall((ROOT / "docs/tutorial.md").read_text()):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_masters_pillar_has_no_fault(pillar, minion_opts):
    given = compiled(minion_opts, pillar, "hq_master")
    assert branches.SALT["branch_fleet.faults"]({**given["branches"], "directory": str(pillar / "branch")}) == []
    assert branches.SALT["branch_fleet.check"](str(pillar / "branch")) == {"branches": 1, "hosts": 2}


@pytest.mark.parametrize("minion, role", [("gw.salta", "gateway"), ("ws002.salta", "workstation"), ("r1.dc", None)])
def test_each_minion_is_given_its_role(minion, role, pillar, minion_opts):
    given = compiled(minion_opts, pillar, minion).get("branch")
    assert branches.node(minion, given)["role"] == role


def test_the_faults_are_those_that_are_shown(pillar, tmp_path):
    text = (pillar / "branch/salta.sls").read_text().replace("10.20.31.12", "10.20.30.12").replace("uplink:", "uplnk:")
    (tmp_path / "salta.sls").write_text(text)
    shown = (ROOT / "docs/tutorial.md").read_text()
    found = branches.SALT["branch_fleet.clashes"](str(tmp_path))
    assert len(found) == 2
    for each in found:
        assert f"  {each['path']}: {each['fault']}; {each['remedy']}\n" in shown


def test_the_adopted_configuration_serves_nobody_the_examples_pillar():
    adopted = yaml.safe_load((ROOT / "docs/adopt/file_roots.conf").read_text())
    assert adopted["pillar_roots"] == {"base": ["/srv/pillar"]}
