"""A daemon's configuration and its log: read by a real mongod, and rotated by a real logrotate."""

import getpass
import grp
import os
import shutil
import subprocess
import time

import jinja2
import pytest
import salt.serializers.yaml
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import tree

PATHS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20).map(lambda name: f"/{name}")
LOGROTATE = jinja2.Template((tree.ROOT / "salt/mongodb/files/logrotate").read_text(), keep_trailing_newline=True)
pillars = st.fixed_dictionaries(
    {},
    optional={
        "cache_gib": st.floats(0.25, 10000),
        "oplog_mb": st.integers(990, 2**30),
        "shutdown_timeout_ms": st.integers(0, 2**31 - 1),
        "tls": st.fixed_dictionaries({"mode": st.just("requireTLS"), "certificateKeyFile": PATHS, "CAFile": PATHS}),
        "options": st.fixed_dictionaries(
            {}, optional={"storage": st.fixed_dictionaries({"dbPath": PATHS}), "security": st.just({})}
        ),
    },
)


@settings(max_examples=8, derandomize=True, database=None)
@given(pillar=pillars, port=st.integers(1, 65535))
def test_mongod_reads_the_configuration_that_is_meant(module_loaders, mongod_binary, tmp_path_factory, pillar, port):
    wanted = module_loaders.modules.mongo_config.mongod(pillar, {"name": "s1", "role": "shard", "port": port})
    path = tmp_path_factory.mktemp("config") / "mongod.conf"
    path.write_text(salt.serializers.yaml.serialize(wanted, default_flow_style=False))
    words = [str(mongod_binary), "--config", str(path), "--outputConfig"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    told = yaml.safe_load(done.stdout)
    for section, options in wanted.items():
        for key, value in options.items():
            assert told[section][key] == value or str(told[section][key]) == str(value), (section, key, told)


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
