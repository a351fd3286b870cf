"""What `make demo` shows, as it shows it: the whole bank on real hosts from blank by one run, proofs, and 0 changes."""

import os
import subprocess
from pathlib import Path

import pytest

from tree import ROOT

LAB = f"demo{os.getpid()}"
SHOWN = (
    "r1.dc took 1000 transfers, r2.dc finds 1000",
    "tellers-net      VLAN 12    10.12.0.0/24",
    "10.20.32.11  http: win-001  ssh: ws001.cordoba",
    "10.20.32.12  http: win-002  ssh: ws002.cordoba",
    "10.20.33.11  http: win-001  ssh: ws001.mendoza",
    "Name:\ttill-2.guests.example",
    "sharded on account: hashed; chunks: 2 on s1, 2 on s2",
    "cordoba  3 as wanted",
    "mendoza  2 as wanted",
)


@pytest.fixture(scope="module")
def demo():
    """What the demo says: by a run of this test's own, or by the one that .ci/commands made here just before."""
    if (said := Path(os.environ.get("ONEPASS_DEMO_SAID", ""))).is_file():
        yield subprocess.CompletedProcess("make demo", 0, said.read_text(), "")
        return
    try:
        yield subprocess.run(
            [ROOT / "tests/lab/demo"], env={**os.environ, "ONEPASS_LAB": LAB}, capture_output=True, text=True
        )
    finally:
        subprocess.run([ROOT / "tests/lab/lab", "down", "--name", LAB], check=True)


def test_the_whole_bank_from_blank_by_one_run(demo):
    assert demo.returncode == 0, demo.stdout + demo.stderr
    for words in SHOWN:
        assert words in demo.stdout


def test_the_same_run_again_changes_nothing(demo):
    runs = [line for line in demo.stdout.splitlines() if line.startswith("orchestrate.site is done")]
    assert [line.split()[3] for line in runs][1:] == ["0"]
    assert int(runs[0].split()[3]) > 180
