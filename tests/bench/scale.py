"""What a large estate costs the master; writes docs/scale.md. Needs root.

    .venv/3008/bin/python tests/bench/scale.py --minions 10 50 200

A real salt-master on loopback with the generated estate of tests/fleets.py, 700 branches, and real minions (farm.py)
for the data centre and for some of the branches. A target that is missed is reported as missed; it does not fail the
run.
"""

import argparse
import base64
import contextlib
import datetime
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import salt.config
import salt.crypt
import yaml

import bench
import fleets

REPORT, TEXT = bench.ROOT / "docs/scale.md", bench.HERE / "files/scale.md"
LARGE = bench.HERE / "files/scale-large.md"
BIN = Path(sys.executable).parent
BRANCHES, MINIONS = 700, 5700  # of fleets.fleet: 5,000 workstations, and a gateway in each branch
HOSTS = 5  # of a branch whose minions run: a gateway and four workstations
RINGS, BYTES = 12, 13  # in the extrapolation; of a minion's id in a list
DATA_CENTRE = [f"{host}.dc" for host in ("cfg1", "cfg2", "cfg3", "s1a", "s1b", "s1c", "s2a", "s2b", "s2c", "r1", "r2")]

PING = ["--timeout=5", "--out=json", "--static"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minions", type=int, nargs="+", default=[10, 50, 200], help="of branches (default 10 50 200)")
    sizes = parser.parse_args().minions
    with tempfile.TemporaryDirectory(prefix="onepass-scale-") as home:
        estate(Path(home))
        figures = {"pillar": pillar_of_one(Path(home)), **running(Path(home), sizes)}
    REPORT.write_text(report(figures))
    print(f"Written: {REPORT.relative_to(bench.ROOT)}")


# --- The estate, as files ---


def estate(home):
    """A master's configuration, the pillar of the whole site, and a key for each of its minions."""
    (home / "files").mkdir()
    (home / "files/_states").mkdir()
    (home / "files/_states/bridge_nat.py").write_text((bench.HERE / "files/bridge_nat.py").read_text())
    master_port, publish_port = free_port(), free_port()
    settings = {
        "id": "hq_master",
        "root_dir": str(home / "root"),
        "interface": "127.0.0.1",
        "ret_port": master_port,
        "publish_port": publish_port,
        "file_roots": {"base": [str(home / "files"), str(bench.ROOT / "salt")]},
        "pillar_roots": {"base": [str(home / "pillar"), str(bench.ROOT / "pillar")]},
        "module_dirs": [str(bench.ROOT)],
        "runner_dirs": [str(bench.ROOT / "_runners")],
        "timeout": 300,  # a blank minion that shares two cores with a hundred others is slow, and not silent
        "gather_job_timeout": 60,
        "enable_fqdns_grains": False,
    }
    (home / "master").write_text(yaml.safe_dump(settings))
    fleets.fleet(home / "pillar/branch", BRANCHES)
    in_rings(home, BRANCHES)
    secret = {
        "secrets/mongodb": {"auth": {"keyfile": base64.b64encode(secrets.token_bytes(756)).decode(), "admin": login()}},
        "secrets/mongodb_users": {"users": {"teller": login()}},
    }
    (home / "pillar/secrets").mkdir()
    for name, part in secret.items():
        (home / f"pillar/{name}.sls").write_text(json.dumps({"mongodb": part}))
    accept(home, [*DATA_CENTRE, *minions_of(home, BRANCHES)])


def login():
    return {"password": secrets.token_urlsafe(24)}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_rings(home, count):
    """The first branch is the canary; all others are one ring."""
    names = [f"b{number:03}" for number in range(count)]
    branches = {"rings": [names[:1], names[1:]], "failures": 0, "directory": str(home / "pillar/branch")}
    (home / "pillar/branches.sls").write_text(json.dumps({"branches": branches}))


def minions_of(home, count):
    found = []
    for path in sorted((home / "pillar/branch").iterdir())[:count]:
        hosts = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["branch"]["hosts"]
        found += [f"{host}.{path.stem}" for host in ("gw", *hosts)]
    return found


def accept(home, minions):
    (home / "pair").mkdir()
    salt.crypt.write_keys(str(home / "pair"), "minion", 2048)
    accepted = Path(salt.config.master_config(str(home / "master"))["pki_dir"]) / "minions"
    accepted.mkdir(parents=True)
    for minion in minions:
        (accepted / minion).write_text((home / "pair/minion.pub").read_text())


# --- The master and its minions ---


@contextlib.contextmanager
def process(*command):
    """A program with its children, gone at the end."""
    words = [str(word) for word in command]
    started = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield started.pid
    finally:
        family = [*psutil.Process(started.pid).children(recursive=True), psutil.Process(started.pid)]
        started.terminate()
        psutil.wait_procs(family, timeout=10)
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        started.wait()


def running(home, sizes):
    """The whole check, and runs of all branches with ever more minions."""
    with process(BIN / "salt-master", "-c", home, "-l", "quiet") as master:
        with farm(home, DATA_CENTRE):
            figures = {"check": measured(salt_run(home, "onepass.check"), master)}
        print(f"check: {json.dumps(figures['check'])}", flush=True)
        for number in range(max(sizes) // HOSTS):
            (home / f"pillar/branch/b{number:03}.sls").write_text(fleets.branch(number, HOSTS - 1))
        return {**figures, "runs": {size: runs(home, size, master) for size in sizes}}


@contextlib.contextmanager
def farm(home, minions):
    """These minions run and answer; they begin with nothing."""
    began = time.monotonic()
    shutil.rmtree(home / "minions", ignore_errors=True)
    with process(sys.executable, bench.HERE / "farm.py", home, *minions) as pid:
        waiting = set(minions)
        while waiting:
            ping = [BIN / "salt", "-c", home, *PING, "-L", ",".join(sorted(waiting)), "test.ping"]
            said = subprocess.run(list(map(str, ping)), capture_output=True, text=True).stdout
            answers = json.loads(said) if said.startswith("{") else {}
            waiting -= {minion for minion, answer in answers.items() if answer is True}
            if time.monotonic() - began > 600 or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                raise SystemExit(f"Silent: {', '.join(sorted(waiting))}")
        print(f"{len(minions)} minions answer after {time.monotonic() - began:.0f} s", flush=True)
        yield


def runs(home, size, master):
    in_rings(home, size // HOSTS)
    with farm(home, minions_of(home, size // HOSTS)):
        found = {turn: orchestrated(home, master) for turn in ("first", "again")}
    print(f"{size} minions: {json.dumps(found)}", flush=True)
    return found


def orchestrated(home, master):
    """What a run costs, and its steps; one that left something undone ends the bench."""
    found = measured(salt_run(home, "--out=json", "state.orchestrate", "orchestrate.branches"), master)
    said = found.pop("said")
    steps = json.loads(said[said.index("{") : said.rindex("}") + 1])["data"]["hq_master"].values()
    return {**found, "steps": len(steps)}


def salt_run(home, *words):
    return [str(word) for word in (BIN / "salt-run", "-c", home, "--log-level=quiet", *words)]


def measured(command, master):
    """Seconds of a command, its CPU and the master's, and the most memory (MiB) that one of its processes had."""
    before, began = cpu(master), time.monotonic()
    with tempfile.TemporaryFile() as said:
        started = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        said.seek(0)
        text = said.read().decode()
    if started.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{text[-4000:]}")
    own = used.ru_utime + used.ru_stime
    return {"seconds": seconds, "own": own, "master": cpu(master) - before, "mib": used.ru_maxrss / 1024, "said": text}


def cpu(pid):
    """CPU seconds of a process and of all below it."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    used = [each.cpu_times() for each in family]
    return sum(sum(each[:4]) for each in used)


# --- One minion's pillar ---


def pillar_of_one(home):
    """Count of branches to milliseconds, the least of ten, and calls."""
    opts = salt.config.minion_config(None, minion_id="bench")
    opts.update(file_client="local", cachedir=str(home / "cache"), enable_fqdns_grains=False)
    found = {}
    for count in (10, BRANCHES):
        root = home / f"of{count}"
        fleets.fleet(root / "branch", count)
        (root / "top.sls").write_text(fleets.BRANCH_TOP)
        calls = fleets.calls_to_compile(opts, root, "ws003.b005")
        found[count] = {"calls": calls, "ms": min(timed(opts, root) for _ in range(10))}
    return found


def timed(opts, root):
    began = time.monotonic()
    fleets.compiled(opts, root, "ws003.b005")
    return 1000 * (time.monotonic() - began)


# --- The report ---


def report(figures):
    check, pillar, runs = figures["check"], figures["pillar"], figures["runs"]
    calls = pillar[BRANCHES]["calls"] / pillar[10]["calls"]
    targets = [
        bench.target("the whole check, in s", "at most", 30, check["seconds"]),
        bench.target("the whole check, in MiB", "at most", 1024, check["mib"]),
        bench.target(f"calls for one minion's pillar, {BRANCHES} branches / 10", "at most", 1.5, calls),
    ]
    pillars = [[str(count), f"{each['ms']:.0f}", f"{each['calls']:,}"] for count, each in pillar.items()]
    rows = [row(size, turn, each) for size, turns in runs.items() for turn, each in turns.items()]
    return TEXT.read_text().format(
        date=datetime.date.today(),
        cores=os.cpu_count(),
        load=os.getloadavg()[0],
        own=check["own"],
        targets=bench.table(bench.TARGETS, targets),
        pillars=bench.table(["branches", "ms", "calls"], pillars),
        runs=bench.table(["minions", "run", "steps", "seconds", "CPU s of salt-run", "CPU s of the master"], rows),
        large=large(runs),
    )


def row(size, turn, each):
    words = {"first": "the modules are fetched", "again": "nothing to do"}[turn]
    return [str(size), words, str(each["steps"]), *(f"{each[what]:.1f}" for what in ("seconds", "own", "master"))]


def large(runs):
    """The two straight lines through the least and the most minions, and where they are for the whole estate."""
    least, most = min(runs), max(runs)
    if least == most:
        return f"One size was measured, {least} minions, so nothing can be said of 5,000."
    steps = 1 + 5 * RINGS
    found = {"least": least, "most": most, "steps": steps, "rings": RINGS, "ring": MINIONS // RINGS}
    for turn in ("first", "again"):
        used = {size: runs[size][turn]["own"] + runs[size][turn]["master"] for size in (least, most)}
        each = (used[most] - used[least]) / (most - least)
        step = (used[least] - each * least) / runs[least][turn]["steps"]
        total = step * steps + each * MINIONS
        found.update({f"{turn}_each": each, f"{turn}_step": step, f"{turn}_total": total})
    found |= {"kib": MINIONS / RINGS * BYTES / 1024, "mib": MINIONS**2 / RINGS * BYTES / 2**20}
    return LARGE.read_text().format(**found).rstrip()


if __name__ == "__main__":
    main()
