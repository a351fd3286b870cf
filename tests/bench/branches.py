"""bridge_nat beside its peers, in network namespaces; writes docs/benchmarks-branches.md. Needs root.

    .venv/3008/bin/python tests/bench/branches.py --rounds 3

All contenders take their turn in each round, each in a namespace of its own. Ansible takes part in the first one only:
it needs more than a minute. A target that is missed is reported as missed; it does not fail the run.
"""

import argparse
import contextlib
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import own

import bench

sys.path.insert(0, str(bench.ROOT / "_modules"))
from onepass_lib.bridge_nat import desired  # noqa: E402

REPORT = bench.ROOT / "docs/benchmarks-branches.md"
OWN, ONEPASS, SALT, ANSIBLE = "bridge_nat's own time", "bridge_nat by salt-call", "Salt's iptables.append", "Ansible"
TURNS = {"first": "first apply", "again": "nothing to do"}
TARGETS = ["target", "wanted", "found", ""]
HEAD = """# Benchmarks: branches

Written by `make bench` on {date}; not edited by hand. A figure is the median, with the least and the most, of {rounds}
rounds (Ansible: of one). {cores} cores, load at the end {load:.1f}.

One host with 100, and with 1000 virtual machines. `nft -f` loads the same rules as bridge_nat does. bridge_nat's own
time is that of its state in one process, without Salt's start; by salt-call it is the whole command, as for
`iptables.append` and Ansible's `iptables`, which only make the redirects, a third of the rules."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    rounds = parser.parse_args().rounds
    figures = bench.gather(a_round(ansible=not number) for number in bench.counted("branches", rounds))
    REPORT.write_text(report(figures, rounds))
    print(f"Written: {REPORT.relative_to(bench.ROOT)}")


@contextlib.contextmanager
def namespace():
    """Words that run a command in a new network namespace with an uplink."""
    name = f"bench{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        inside = ["ip", "netns", "exec", name]
        words = "ip link add eth0 type veth peer name peer0"
        subprocess.run([*inside, *words.split()], check=True)
        yield inside
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def a_round(ansible):
    """``{(turn, contender): seconds}``."""
    figures = {}
    for count in (100, 1000):
        own_time = json.loads(bench.output(["unshare", "--net", sys.executable, bench.HERE / "own.py", str(count)]))
        figures.update({(turn, f"{OWN}, {count}"): own_time[turn] for turn in TURNS})
        figures.update(bare(count))
    figures.update(whole(ONEPASS, "branch"))
    figures.update(whole(SALT, "append"))
    figures.update(whole(bench.EMPTY, "empty"))
    return {**figures, **(by_ansible() if ansible else {})}


def bare(count):
    arguments = {**own.workstation(count), "port": 22, "network6": None}
    text = desired.texts("workstation", "virbr0", arguments, "nft", "02:00:00:00:00:01")["nft"]
    tables = "".join(f"table {family} bridge_nat\ndelete table {family} bridge_nat\n" for family in desired.FAMILIES)
    with namespace() as inside, tempfile.NamedTemporaryFile("w", suffix=".nft") as file:
        file.write(tables + text)
        file.flush()
        return {(turn, f"nft -f, {count}"): bench.seconds([*inside, "nft", "-f", file.name]) for turn in TURNS}


def whole(contender, sls):
    with namespace() as inside, tempfile.TemporaryDirectory(prefix="onepass-bench-") as home:
        (Path(home) / "minion").write_text(json.dumps({"root_dir": home, **bench.MINION}))
        pillar = json.dumps({"workstation": own.workstation(100)})
        words = [*inside, *bench.salt_call(home, sls, f"pillar={pillar}")]
        bench.output([*inside, *bench.salt_call(home, "empty")])  # what is cached once is no part of any figure
        return {(turn, contender if sls == "empty" else f"{contender}, 100"): bench.seconds(words) for turn in TURNS}


def by_ansible():
    python = {"ansible_python_interpreter": str(bench.PEER / "python"), "vms": own.workstation(100)["vms"]}
    with namespace() as inside, tempfile.TemporaryDirectory(prefix="onepass-bench-") as home:
        words = [bench.PEER / "ansible-playbook", "--extra-vars", json.dumps(python), bench.HERE / "append.yaml"]
        return {(turn, f"{ANSIBLE}, 100"): bench.seconds([*inside, *words], Path(home)) for turn in TURNS}


def report(figures, rounds):
    middle = {figure: median(values) for figure, values in figures.items()}

    def net(turn, contender):
        return middle[turn, contender] - middle[turn, bench.EMPTY]

    targets = [
        bench.target(f"own time, {n}, first apply, in ms", "at most", bound(middle, n), ms(middle, "first", n))
        for n in (100, 1000)
    ]
    targets.append(bench.target("own time, 1000, nothing to do, in ms", "at most", 30, ms(middle, "again", 1000)))
    for turn, words in TURNS.items():
        times = net(turn, f"{SALT}, 100") / middle[turn, f"{OWN}, 100"]
        targets.append(bench.target(f"{SALT} / own time, without Salt's start, {words}", "at least", 20, times))
    head = HEAD.format(date=datetime.date.today(), rounds=rounds, cores=os.cpu_count(), load=os.getloadavg()[0])
    note = "The bound of a first apply is three times bare `nft -f` and 20 ms."
    return "\n\n".join([head, bench.grid("seconds", TURNS, figures), bench.table(TARGETS, targets), note]) + "\n"


def bound(middle, count):
    return round(3000 * middle["first", f"nft -f, {count}"] + 20)


def ms(middle, turn, count):
    return 1000 * middle[turn, f"{OWN}, {count}"]


if __name__ == "__main__":
    main()
