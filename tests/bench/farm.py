"""Many real minions, forked from one Python that has loaded Salt, so that each is small; until it is killed.

    farm.py HOME ID...

HOME is the folder of the master that scale.py has made, and of the key pair that all of them share.
"""

import contextlib
import logging
import os
import shutil
import signal
import sys
from pathlib import Path

import salt.config
import salt.minion
import yaml

LEAN = {"enable_gpu_grains": False, "enable_fqdns_grains": False, "verify_env": False}


def main():
    home, *minions = sys.argv[1:]
    logging.disable()
    children = [born(options(Path(home), minion)) for minion in minions]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        signal.pause()
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def options(home, minion):
    """The configuration of a minion in a folder of its own, its key pair and Salt's folders being there."""
    root = home / "minions" / minion
    master = yaml.safe_load((home / "master").read_text())
    ports = {"master": "127.0.0.1", "master_port": master["ret_port"], "publish_port": master["publish_port"]}
    root.mkdir(parents=True)
    (root / "minion").write_text(yaml.safe_dump({"id": minion, "root_dir": str(root), **ports, **LEAN}))
    opts = salt.config.minion_config(str(root / "minion"))
    shutil.copytree(home / "pair", opts["pki_dir"])
    for folder in (opts["sock_dir"], f"{opts['cachedir']}/proc", opts["extension_modules"]):
        os.makedirs(folder, exist_ok=True)
    return opts


def born(opts):
    child = os.fork()
    if not child:
        salt.minion.MinionManager(opts).tune_in()
        os._exit(0)
    return child


if __name__ == "__main__":
    main()
