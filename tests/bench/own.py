"""What bridge_nat itself takes, in one process, without Salt's start: ``own.py N`` in a network namespace of its own.

Prints, as JSON, the seconds of a first apply and of runs with nothing to do, for a host with N virtual machines.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import salt.config
import salt.loader

ROOT = Path(__file__).resolve().parents[2]


def main(count):
    with tempfile.TemporaryDirectory(prefix="onepass-bench-") as root:
        state = loaded(root)
        subprocess.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "peer0"], check=True)
        arguments = workstation(count)
        state(**{**arguments, "vms": arguments["vms"][:1]})  # the bridge is there, and what is loaded once
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        first = timed(state, arguments, changed=True)
        again = [timed(state, arguments, changed=False) for _ in range(7)]
        print(json.dumps({"first": first, "again": statistics.median(again)}))


def loaded(root):
    opts = salt.config.minion_config(None, minion_id="bench")
    lean = {"enable_gpu_grains": False, "enable_fqdns_grains": False, "cachedir": f"{root}/cache"}
    opts.update(root_dir=root, file_client="local", module_dirs=[str(ROOT)], test=False, **lean)
    opts["grains"] = salt.loader.grains(opts)
    modules = salt.loader.minion_mods(opts)
    return salt.loader.states(opts, modules, salt.loader.utils(opts), salt.loader.serializers(opts))[
        "bridge_nat.workstation"
    ]


def workstation(count):
    """A host with that many virtual machines, as arguments of its state."""
    vms = [
        {"name": f"vm{n}", "ip": f"10.1.{n // 250}.{n % 250 + 2}", "mac": f"52:54:00:00:{n // 256:02x}:{n % 256:02x}"}
        for n in range(count)
    ]
    own = {"uplink": "eth0", "link_local": "169.254.0.11", "gateway": "169.254.0.1", "network": "10.1.0.0/16"}
    return {"name": "virbr0", **own, "vms": vms, "way": "nft", "within": 0}


def timed(state, arguments, changed):
    began = time.monotonic()
    ret = state(**arguments)
    seconds = time.monotonic() - began
    if ret["result"] is not True or bool(ret["changes"]) is not changed:
        raise SystemExit(f"bridge_nat.workstation: {ret['comment']}")
    return seconds


if __name__ == "__main__":
    main(int(sys.argv[1]))
