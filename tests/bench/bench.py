"""
Onepass beside its peers, and beside Salt that has nothing to do; writes docs/benchmarks.md.

    make bench
    .venv/3008/bin/python tests/bench/bench.py --rounds 5 --lab-rounds 3

All contenders take their turn in each round, on fresh mongods or in a fresh lab, so that noise hits everybody alike;
a figure is the median of the rounds. What a contender claims is checked on the members themselves. A target that is
missed is reported as missed; it does not fail the run.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import mongods  # noqa: E402

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # on a user's host Python compiles a module once
REPORT = ROOT / "docs/benchmarks.md"
MONGOD = Path(os.environ.get("ONEPASS_MONGOD") or ROOT / ".venv/mongod/mongod")
SALT_CALL = Path(sys.executable).parent / "salt-call"
PEER = ROOT / ".venv/bench/bin"
LAB = [ROOT / "tests/lab/lab", f"--name=bench{os.getpid()}"]
SITE = ROOT / "tests/lab/sites/datacentre.yaml"
MINION = {"id": "bench", "enable_gpu_grains": False, "enable_fqdns_grains": False}  # as lean as the lab's minions
ONEPASS, COMMUNITY, BARE, EMPTY = "Onepass", "community.mongodb", "bare PyMongo", "Salt's own start"
WHOLE = "the whole command"


def main():
    options = parse()
    with tempfile.TemporaryDirectory(prefix="onepass-bench-") as home:
        prepare(Path(home))
        births = gather(round_of_births(Path(home)) for _ in counted("replica sets", options.rounds))
    labs = gather(round_of_lab() for _ in counted("lab", options.lab_rounds))
    REPORT.write_text(report(births, labs, options))
    print(f"Written: {REPORT.relative_to(ROOT)}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of nine mongods (default 5)")
    parser.add_argument("--lab-rounds", type=int, default=3, help="labs to boot (default 3; 0 leaves the lab out)")
    return parser.parse_args()


def counted(what, rounds):
    for number in range(rounds):
        print(f"{what}: round {number + 1} of {rounds}", flush=True)
        yield number


def gather(rounds):
    """``{(group, name): [value in each round]}`` from a ``{(group, name): value}`` of each round."""
    figures = {}
    for each in rounds:
        for figure, value in each.items():
            figures.setdefault(figure, []).append(value)
    return figures


# --- Nine empty mongods become three sets ---


def prepare(home):
    (home / "minion").write_text(json.dumps({"root_dir": str(home), **MINION}))
    round_of_births(home)  # what is compiled or cached once is no part of any figure


def round_of_births(home):
    """``{(turn, contender): seconds}``, the turns being ``first``, ``votes`` (all members have one) and ``again``."""
    figures = {}
    for contender, command in {ONEPASS: onepass, COMMUNITY: community, BARE: bare}.items():
        with mongods.factory(MONGOD) as start:
            sets = {name: start(3, replset=name) for name in ("s1", "s2", "s3")}
            words = command(home, {name: [member.address for member in members] for name, members in sets.items()})
            for turn in "first", "again":
                figures[turn, contender] = seconds(words, home)
                check_ready(contender, sets)
                if turn == "first":
                    figures["votes", contender] = figures[turn, contender] + seconds_until_all_vote(sets)
    return {**figures, **{(turn, EMPTY): seconds(salt_call(home, "empty"), home) for turn in ("first", "again")}}


def onepass(home, sets):
    return salt_call(home, "replsets", f"pillar={json.dumps({'replsets': sets})}")


def salt_call(home, sls, *words):
    places = [f"--config-dir={home}", f"--module-dirs={ROOT}", f"--file-root={HERE / 'files'}"]
    return [SALT_CALL, "--local", *places, "--retcode-passthrough", "state.apply", sls, *words]


def community(home, sets):
    python = {"ansible_python_interpreter": str(PEER / "python")}
    hosts = {name: {"members": sets[name], "port": sets[name][0].split(":")[1], **python} for name in sets}
    inventory = home / "inventory.yaml"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    return [PEER / "ansible-playbook", f"--inventory={inventory}", HERE / "play.yaml"]


def bare(home, sets):
    return [sys.executable, HERE / "bare.py", json.dumps(sets)]


def check_ready(contender, sets):
    for name, members in sets.items():
        for member in members:
            with member.client() as client:
                said = client.admin.command("hello")
            if said.get("setName") != name or not (said["isWritablePrimary"] or said["secondary"]):
                raise SystemExit(f"{contender} has ended, but {member} is not ready: {said}")


def seconds_until_all_vote(sets):
    """A member that was added later counts as passive until its primary has given it its vote."""
    began = time.monotonic()
    for member in (member for members in sets.values() for member in members):
        with member.client() as client:
            while client.admin.command("hello").get("passive"):
                time.sleep(0.02)
    return time.monotonic() - began


# --- Blank hosts become a cluster ---


def round_of_lab():
    """``{(turn, step): seconds}`` and ``{(when, role): MiB}`` of one lab, which is gone afterwards."""
    try:
        figures = {("lab", "up"): seconds([*LAB, "up", f"--site={SITE}"]), **memory("before")}
        figures.update(orchestrate("orchestrate.mongodb", "first"))
        install_empty_steps()
        for _ in range(2):  # the second time counts: by then all files are cached
            figures.update(orchestrate("bench.steps", "empty"))
            figures.update(orchestrate("orchestrate.mongodb", "again"))
        return {**figures, **memory("after")}
    finally:
        seconds([*LAB, "down"])


def orchestrate(sls, turn):
    """Seconds of the whole command and of each step. A failure ends the bench; so does a change where none is due."""
    began = time.monotonic()
    steps = on_hq("salt-run", "--out=json", "state.orchestrate", sls)["data"]["hq_master"].values()
    whole = time.monotonic() - began
    changed = [step["__id__"] for step in steps if step["changes"]]
    if changed and turn == "again":
        raise SystemExit(f"{sls}, once more with nothing to change, changes something in {', '.join(changed)}")
    return {(turn, WHOLE): whole, **{(turn, step["__id__"]): step["duration"] / 1000 for step in steps}}


def install_empty_steps():
    """The orchestration's twin is on hq: the same steps on the same hosts, each with one ``test.nop``."""
    steps = on_hq("salt-run", "--out=json", "state.orchestrate_show_sls", "orchestrate.mongodb")["hq_master"]
    everybody = max((options_of(body).get("tgt", []) for body in steps.values()), key=len)
    twin = {name: empty_twin(body, everybody) for name, body in steps.items()}
    for name, text in {"steps": json.dumps(twin), "nop": (HERE / "files/empty.sls").read_text()}.items():
        write = f"mkdir -p /srv/lab/files/bench && cat > /srv/lab/files/bench/{name}.sls"
        subprocess.run([*LAB, "run", "sh", "-c", write], input=text, text=True, check=True)
    on_hq("salt-run", "--out=json", "fileserver.clear_file_list_cache")


def empty_twin(body, everybody):
    """A state of minions becomes a state of theirs that does nothing; the preflight, which asks all of them, a ping."""
    options = options_of(body)
    if "sls" not in options:
        return {"salt.function": [{"name": "test.ping"}, {"tgt": everybody}, {"tgt_type": "list"}, {"order": "first"}]}
    kept = [{name: options[name]} for name in ("tgt", "tgt_type", "queue", "order")]
    return {"salt.state": [*kept, {"sls": "bench.nop"}]}


def options_of(body):
    return {name: value for part in body.get("salt", []) if isinstance(part, dict) for name, value in part.items()}


def memory(when):
    """The MiB of a host, the median by role: the sum of its processes' PSS."""
    pss = "cat /proc/[0-9]*/smaps_rollup 2>/dev/null | awk '/^Pss:/ {sum += $2} END {print sum / 1024}'"
    sizes = {}
    for line in output([*LAB, "list"]).splitlines():
        host, _, _, role = line.split()
        sizes.setdefault(role, []).append(float(output([*LAB, "exec", host, "sh", "-c", pss])))
    return {(when, role): median(found) for role, found in sizes.items()}


def on_hq(*command):
    return json.loads(output([*LAB, "run", *command]))


# --- Running commands ---


def seconds(command, home=None):
    """How long a command took."""
    began = time.monotonic()
    output(command, **({"HOME": str(home)} if home else {}))
    return time.monotonic() - began


def output(command, **environment):
    """What a command printed; one that fails ends the bench. Compiled Python is kept, as on any user's machine."""
    words = [str(word) for word in command]
    env = {**os.environ, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "", **environment}
    done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


# --- The report ---


def report(births, labs, options):
    head = HEAD.format(machine=machine(), date=datetime.date.today(), **vars(options))
    parts = [head, *(births_report(births) if births else [])]
    parts += lab_report(labs) if labs else []
    return "\n\n".join(parts) + "\n"


def births_report(figures):
    middle = {figure: median(values) for figure, values in figures.items()}
    turns = {"first": "first run", "again": "nothing to do", "votes": "first run, until all members vote"}

    def peer(turn):
        return middle[turn, COMMUNITY] / middle[turn, ONEPASS]

    def overhead(turn):
        return (middle[turn, ONEPASS] - middle[turn, EMPTY]) / middle[turn, BARE]

    targets = [
        target(f"{COMMUNITY} / {ONEPASS}, first run", "at least", 4, peer("first")),
        target(f"{COMMUNITY} / {ONEPASS}, nothing to do", "at least", 3, peer("again")),
        target(f"({ONEPASS} - {EMPTY}) / {BARE}, first run", "at most", 1.5, overhead("first")),
        target(f"({ONEPASS} - {EMPTY}) / {BARE}, nothing to do", "at most", 1.5, overhead("again")),
    ]
    return [BIRTHS, grid("seconds", turns, figures), table(TARGETS, targets)]


def lab_report(figures):
    middle = {figure: median(values) for figure, values in figures.items()}
    first, again, empty = (middle[turn, WHOLE] for turn in ("first", "again", "empty"))
    turns = {"first": "blank hosts", "again": "nothing to change", "empty": "empty steps"}
    boot = middle["lab", "up"]
    share = f"Salt itself is {empty / first:.0%} of the first run. Booting the lab took {boot:.0f} seconds."
    targets = [target("nothing to change / empty steps", "at most", 1.3, again / empty)]
    sizes = grid("MiB per host", {"before": "idle, before", "after": "idle, after"}, figures)
    return [LABS, grid("seconds", turns, figures), share, table(TARGETS, targets), MEMORY, sizes]


def target(what, bound, wanted, found):
    met = found >= wanted if bound == "at least" else found <= wanted
    return [what, f"{bound} {wanted}", f"{found:.2f}", "met" if met else "**missed**"]


def grid(corner, groups, figures):
    """A table of medians, with least and most: a column per group, a row per name."""
    names = dict.fromkeys(name for group, name in figures if group in groups)
    rows = [[name, *(cell(figures.get((group, name))) for group in groups)] for name in names]
    return table([corner, *groups.values()], rows)


def cell(values):
    if not values:
        return ""
    spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
    return f"{median(values):.2f}{spread}"


def table(head, rows):
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def machine():
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    listed = json.loads(output([PEER / "ansible-galaxy", "collection", "list", COMMUNITY, "--format=json"]))
    collection = next(iter(listed.values()))[COMMUNITY]["version"]
    core = output([PEER / "ansible", "--version"]).split("]")[0].split()[-1]
    mongod = output([MONGOD, "--version"]).split()[2].lstrip("v")
    load = os.getloadavg()[2]
    return (
        f"{os.cpu_count()} cores, {gib:.0f} GiB, Linux {platform.release()}; load at the end {load:.1f}.\n"
        f"Python {platform.python_version()}, Salt {version('salt')}, PyMongo {version('pymongo')}, mongod {mongod},\n"
        f"{COMMUNITY} {collection} on ansible-core {core}."
    )


TARGETS = ["target", "wanted", "found", ""]

HEAD = """# Benchmarks

Written by `make bench` on {date}; not edited by hand. A figure is the median, with the least and the most, of {rounds}
rounds of replica sets and {lab_rounds} of the lab. In each round all contenders take their turn.

{machine}"""

BIRTHS = f"""## Nine empty mongods to three ready sets

The mongods listen already. Done is when every member is primary or secondary. Without auth. A set that was born with
one member gives the others their votes at its next heartbeats, two seconds apart; until then the first alone is its
majority. `mongo_shard.cluster_healthy`, with which the orchestration ends, waits for that too.

- {ONEPASS}: one `salt-call --local state.apply`, three `mongo_replset.replset_present`, nine `member_ready`.
- {COMMUNITY}: one play on three hosts at once, `mongodb_replicaset` and then `mongodb_status`, which looks every second
  (in its documentation: every ten), without gathering facts.
- {BARE}: a Python process that works as {ONEPASS} does: a set is born with one member, the others are added one by one.
- {EMPTY}: `salt-call --local state.apply` with one `test.nop`."""

LABS = """## Blank hosts to a sharded collection

`salt-run state.orchestrate orchestrate.mongodb` in the lab of `tests/lab/sites/datacentre.yaml`: twelve hosts on this
machine, with auth. The empty steps are the same steps on the same hosts, each with one `test.nop`; the preflight's is a
ping."""

MEMORY = """The memory of a host is the sum of its processes' PSS, in which a page that several share counts once."""


if __name__ == "__main__":
    main()
