"""A salt-master of a test's own, without any minion, on this checkout; and what is typed beside it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import salt.config
import salt.utils.event

from mongods import free_ports
from tree import ROOT


class Master:
    """Files and processes below ``root``; ``files`` are its file root, ``pillar`` its pillar root, name to text."""

    def __init__(self, root, files, pillar=None):
        self.root, self.process = root, None
        for folder, texts in (("salt", files), ("pillar", pillar or {})):
            (root / folder).mkdir()
            for name, text in texts.items():
                (root / folder / name).write_text(text)
        publish, ret, tcp = free_ports(3, taken=set())
        config = {
            "root_dir": str(root),
            "interface": "127.0.0.1",
            "publish_port": publish,
            "ret_port": ret,
            "tcp_master_pub_port": tcp,
            "worker_threads": 1,
            "user": "root",
            "file_roots": {"base": [str(root / "salt")]},
            "pillar_roots": {"base": [str(root / "pillar")]},
            "module_dirs": [str(ROOT)],
            "enable_fqdns_grains": False,
            "id": "hq_master",
        }
        (root / "master").write_text(json.dumps(config))
        self.opts = salt.config.master_config(str(root / "master"))

    def start(self):
        self.process = subprocess.Popen([self._program("salt-master"), "-c", self.root], start_new_session=True)

    def stop(self):
        self.process.terminate()
        self.process.wait(120)

    def wait(self):
        """Its event bus can be heard."""
        with salt.utils.event.get_master_event(self.opts, self.opts["sock_dir"], listen=True) as bus:
            deadline = time.monotonic() + 300
            while not bus.connect_pub(timeout=1) or not bus.fire_event({}, "test"):
                assert time.monotonic() < deadline

    def spawn(self, *words):
        """``salt-run`` in a process of its own, both outputs in one pipe."""
        command = [self._program("salt-run"), "-c", self.root, *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *words):
        """Exit code and output of ``salt-run``."""
        return ended(self.spawn(*words))

    def _program(self, name):
        return Path(sys.executable).with_name(name)


def ended(process, seconds=600):
    out, _ = process.communicate(timeout=seconds)
    return process.returncode, out
