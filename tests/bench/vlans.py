"""
Projects with a VLAN each: Onepass beside openstack.cloud and bare openstacksdk; writes docs/benchmarks-openstack.md.

    .venv/3008/bin/python tests/bench/vlans.py --rounds 3

Every contender works on a cloud of its own (tests/clouds.py), new in each round; that each project has its network
with the wanted VLAN is checked there. A target that is missed is reported as missed; it does not fail the run.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median

from bench import EMPTY, MINION, PEER, ROOT, TARGETS, counted, gather, grid, output, salt_call, seconds, table, target

sys.path.insert(0, str(ROOT / "tests"))

import clouds  # noqa: E402

REPORT = ROOT / "docs/benchmarks-openstack.md"
HERE = Path(__file__).resolve().parent
ONEPASS, COLLECTION, BARE = "Onepass", "openstack.cloud", "bare openstacksdk"
SMALL, LARGE = 20, 100


def main():
    options = parse()
    with tempfile.TemporaryDirectory(prefix="onepass-bench-") as home:
        (Path(home) / "minion").write_text(json.dumps({"root_dir": home, **MINION}))
        seconds(salt_call(Path(home), "empty"), home)  # what is compiled once is no part of any figure
        peers = [not options.without_peer, *[False] * (options.rounds - 1)]
        rounds = zip(peers, counted("projects", options.rounds), strict=True)
        figures = gather(one_round(Path(home), peer) for peer, _ in rounds)
        calls = {count: lists(Path(home), count) for count in (10, 100, 500)}
    REPORT.write_text(report(figures, calls, options))
    print(f"Written: {REPORT.relative_to(ROOT)}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--without-peer", action="store_true", help="leave openstack.cloud out, which takes minutes")
    return parser.parse_args()


def rows(count):
    return {f"p{n:03}": {"vlan": 200 + n, "cidr": f"10.{n // 250}.{n % 250}.0/24"} for n in range(count)}


def one_round(home, peer):
    """``{(turn, contender): seconds}``; the peer takes part in the first round only."""
    figures = {}
    for count in (SMALL, LARGE):
        peers = {COLLECTION: collection} if peer else {}
        for contender, command in {ONEPASS: onepass, BARE: bare, **peers}.items():
            with clouds.cloud() as cloud:
                words, environment = command(home, cloud, rows(count))
                for turn in ("first", "again"):
                    figures[f"{turn} {count}", contender] = timed(words, home, environment)
                    check(contender, cloud, count)
        for turn in ("first", "again"):
            figures[f"{turn} {count}", EMPTY] = seconds(salt_call(home, "empty"), home)
    return figures


def timed(words, home, environment):
    with contextlib.ExitStack() as stack:
        for name, value in environment.items():
            os.environ[name] = value
            stack.callback(os.environ.pop, name)
        return seconds(words, home)


def onepass(home, cloud, projects):
    pillar = {"cloud": "admin", "clouds_yaml": str(cloud.clouds_yaml), "physical_network": "physnet1"}
    return salt_call(home, "vlans", f"pillar={json.dumps({'openstack': {**pillar, 'projects': projects}})}"), {}


def bare(home, cloud, projects):
    return [sys.executable, HERE / "bare_vlans.py", cloud.clouds_yaml, json.dumps(projects)], {}


def collection(home, cloud, projects):
    inventory = {"ansible_python_interpreter": str(PEER / "python"), "projects": projects}
    secure = cloud.clouds_yaml.with_name("secure.yaml")
    files = {"OS_CLIENT_CONFIG_FILE": str(cloud.clouds_yaml), "OS_CLIENT_SECURE_FILE": str(secure)}
    words = [PEER / "ansible-playbook", "--inventory=localhost,", f"--extra-vars={json.dumps(inventory)}"]
    return [*words, HERE / "play_vlans.yaml"], files


def check(contender, cloud, count):
    sdk = cloud.connect()
    names = {each.id: each.name for each in sdk.identity.projects()}
    subnets = {each.network_id: each.cidr for each in sdk.network.subnets()}
    found = {
        names[each.project_id]: {"vlan": each.provider_segmentation_id, "cidr": subnets.get(each.id)}
        for each in sdk.network.networks()
    }
    if found != rows(count):
        raise SystemExit(f"{contender} has ended, but of {count} projects the cloud has {len(found)}: {found}")


def lists(home, count):
    """How many lists Onepass reads when there is nothing to do; all projects but the first are copies of it."""
    with clouds.cloud() as cloud:
        first, *others = rows(count)
        seconds(onepass(home, cloud, {first: rows(count)[first]})[0], home)
        cloud.multiply(first, {name: rows(count)[name] for name in others})
        words, _ = onepass(home, cloud, rows(count))
        before = len(cloud.keystone.calls()), len(cloud.neutron.calls())
        duration = seconds(words, home)
        calls = cloud.keystone.calls()[before[0] :] + cloud.neutron.calls()[before[1] :]
        calls = [each for each in calls if each.split("/")[-1] in ("projects", "networks", "subnets")]
        return len(calls), duration, [each for each in calls if not each.startswith("GET ")]


def report(figures, calls, options):
    middle = {figure: median(values) for figure, values in figures.items()}
    turns = {f"{turn} {count}": f"{count}, {words}" for count in (SMALL, LARGE) for turn, words in TURNS.items()}
    targets = [
        target(
            f"({ONEPASS} - {EMPTY}) / {BARE}, {count} projects, first run",
            "at most",
            1.3,
            (middle[f"first {count}", ONEPASS] - middle[f"first {count}", EMPTY]) / middle[f"first {count}", BARE],
        )
        for count in (SMALL, LARGE)
    ]
    for count in (SMALL, LARGE):
        if (f"again {count}", COLLECTION) in middle:
            peer, whole, start = (middle[f"again {count}", each] for each in (COLLECTION, ONEPASS, EMPTY))
            for what, took in {ONEPASS: whole, f"({ONEPASS} - {EMPTY})": whole - start}.items():
                ratio = f"{COLLECTION} / {what}, {count} projects, nothing to do"
                targets.append(target(ratio, "at least", 50, peer / took))
    numbers = [[str(count), str(number), f"{duration:.2f}"] for count, (number, duration, _) in calls.items()]
    flat = table(["projects", "lists read", "seconds"], numbers)
    head = HEAD.format(machine=machine(), date=datetime.date.today(), rounds=options.rounds)
    return "\n\n".join([head, grid("seconds", turns, figures), table(TARGETS, targets), FLAT, flat]) + "\n"


def machine():
    installed = json.loads(output([PEER / "ansible-galaxy", "collection", "list", COLLECTION, "--format=json"]))
    peer = next(iter(installed.values()))[COLLECTION]["version"]
    return (
        f"{os.cpu_count()} cores, Linux {platform.release()}; load at the end {os.getloadavg()[2]:.1f}.\n"
        f"Python {platform.python_version()}, Salt {version('salt')}, openstacksdk {version('openstacksdk')}, "
        f"{COLLECTION} {peer}."
    )


TURNS = {"first": "first run", "again": "nothing to do"}
HEAD = f"""# Benchmarks: projects with a VLAN each

Written by `tests/bench/vlans.py` on {{date}}; not edited by hand. A figure is the median, with the least and the
most, of {{rounds}} rounds. A project has a network on a VLAN of its own, and a subnet; Keystone and Neutron are real,
on loopback.

{{machine}}

- {ONEPASS}: one `salt-call --local state.apply`, one `neutron_vlan.table`. Networks are tagged as well.
- {COLLECTION}: one play, three tasks, each with a loop over the projects; one round, since it takes minutes.
- {BARE}: a Python process that reads three lists and creates what is missing, one by one.
- {EMPTY}: `salt-call --local state.apply` with one `test.nop`."""
FLAT = f"""## Lists read

What {ONEPASS} reads when there is nothing to do, however many projects there are."""


if __name__ == "__main__":
    main()
