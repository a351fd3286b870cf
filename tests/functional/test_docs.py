"""The documentation's commands that need no host, no cloud and no root work as they are printed."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tree import ROOT

BEGIN = "$ salt-call --local -m . "
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands():
    """Each once, without those that name a database of the reader's."""
    lines = [line.partition("  #")[0].strip() for page in PAGES for line in page.read_text().splitlines()]
    return dict.fromkeys(line for line in lines if line.startswith(BEGIN) and "connection=" not in line)


@pytest.mark.parametrize("line", commands())
def test_a_command_works_as_printed(line, tmp_path):
    program, *arguments = shlex.split(line.removeprefix("$ "))
    places = [f"--config-dir={tmp_path}", f"--log-file={tmp_path / 'log'}"]
    (tmp_path / "minion").write_text(f"root_dir: {tmp_path}\nenable_fqdns_grains: false\n")
    command = [str(Path(sys.executable).with_name(program)), *places, "--retcode-passthrough", *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith("local:")
