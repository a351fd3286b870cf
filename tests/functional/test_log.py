"""A daemon's log: written by a real mongod, and rotated by a real logrotate with the formula's file."""

import getpass
import grp
import os
import shutil
import subprocess
import time

import jinja2
import pytest

import tree

LOGROTATE = jinja2.Template((tree.ROOT / "salt/mongodb/files/logrotate").read_text(), keep_trailing_newline=True)


@pytest.mark.skipif(not shutil.which("logrotate", path="/usr/sbin:/usr/bin"), reason="no logrotate")
def test_a_log_that_logrotate_takes_away_is_opened_anew(mongods, tmp_path):
    [member] = mongods(args=["--logRotate", "reopen"])
    log = member.log
    own = f"su {getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name}"
    text = LOGROTATE.render(daemons=[{"log": log, "name": "mongod-s1"}]).replace("su mongodb mongodb", own)
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.write_text(f'#!/bin/sh\n[ "$*" != "kill --signal=SIGUSR1 mongod-s1" ] || kill -USR1 {member.pid}\n')
    systemctl.chmod(0o755)
    (tmp_path / "conf").write_text(text)
    environment = {**os.environ, "PATH": f"{tmp_path}/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    first = log.read_text()
    command = ["logrotate", "--force", "--state", str(tmp_path / "state"), str(tmp_path / "conf")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    deadline = time.monotonic() + 60
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (log.parent / "log.1").read_text().startswith(first)
    assert log.exists() and first not in log.read_text()
    assert sorted(each.name for each in log.parent.glob("log*")) == ["log", "log.1"]
