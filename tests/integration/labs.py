"""The lab as tests use it: hosts, orchestrations with their states, pymongo on hq."""

import json
import os
import subprocess
from pathlib import Path

from tree import ROOT

LAB = ROOT / "tests/lab/lab"
SITES = ROOT / "tests/lab/sites"
OVERLAY = "/srv/lab/pillar/local.sls"
PHASES = ["daemons", "replica-sets", "routers", "shards", "collections", "verify"]
PRELUDE = """
import json, yaml, pymongo
places = [f"/srv/lab/pillar/secrets/{name}.sls" for name in ("mongodb", "mongodb_users")]
secrets = [yaml.safe_load(open(place))["mongodb"] for place in places]
login = secrets[0]["auth"]["admin"]
def connect(host, **options):
    return pymongo.MongoClient(host, 27017, **{**login, "directConnection": True, **options})
router = connect("r1.dc")
"""


class Lab:
    """A lab of a test's own; blank at first, gone at the end of the block."""

    def __init__(self, name, site):
        self.name = f"{name}{os.getpid()}"
        self.site = site

    def __enter__(self):
        try:
            self.up(self.site)
        except BaseException:
            self.command("down")
            raise
        return self

    def __exit__(self, *_):
        self.command("down")

    def up(self, site):
        self.command("up", "--site", str(SITES / site))

    def command(self, verb, *words, **options):
        """One ``lab`` command; its output. A failure raises, with what it printed."""
        done = subprocess.run(self._words(verb, *words), capture_output=True, text=True, **options)
        if done.returncode:
            raise RuntimeError(
                f"lab {verb} {' '.join(words)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done.stdout

    def exec(self, host, script):
        """A shell script in a host; its output."""
        return self.command("exec", host, "sh", "-ec", script)

    def run(self, *words):
        """A command on hq: exit code, standard output, standard error."""
        done = subprocess.run(self._words("run", *words), capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def spawn(self, *words):
        """A command on hq that goes on by itself; what it prints can be read line by line."""
        return subprocess.Popen(
            self._words("run", *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def python(self, code):
        """Python on hq, where ``router`` and ``connect(host)`` are logged in; the JSON that it prints."""
        return json.loads(self.command("run", "/opt/salt/bin/python", "-", input=PRELUDE + code))

    def orchestrate(self, *words):
        """``state.orchestrate orchestrate.mongodb``: exit code, and ``{(minion, state id): return}`` of all minions."""
        code, out, err = self.run("salt-run", "--out=json", "state.orchestrate", "orchestrate.mongodb", *words)
        if not out.startswith("{"):
            raise RuntimeError(f"state.orchestrate: exit code {code}\n{out}\n{err}")
        return code, minion_states(next(iter(json.loads(out)["data"].values())))

    def highstate(self):
        """``salt '*.dc' state.highstate``: exit code, and the states as ``orchestrate`` gives them."""
        code, out, _ = self.run("salt", "--out=json", "--static", "--timeout=300", "*.dc", "state.highstate")
        return code, _flat(json.loads(out))

    def disturb(self, step, disturbance, sls="orchestrate.mongodb"):
        """Begin an orchestration, let ``disturbance()`` loose when the step begins, wait for the run; its exit code."""
        watch = self.spawn("salt-run", "onepass.watch", "every=600")
        _read_until(watch, "waiting for an orchestration")
        run = self.spawn("salt-run", "state.orchestrate", sls)
        _read_until(watch, step)
        disturbance()
        run.communicate()
        self.exec("hq", "pkill -KILL -f [o]nepass.watch || true")
        watch.communicate()
        return run.returncode

    def blank(self):
        """Take the cluster's data and configuration from all hosts; the programs stay."""
        wipe = "systemctl stop 'mongod-*' mongos; rm -rf /var/lib/mongodb/* /etc/mongodb"
        code, out, err = self.run("salt", "*.dc", "cmd.run", wipe)
        if code:
            raise RuntimeError(f"{out}\n{err}")

    def overlay(self, **pillar):
        """Lay something over the pillar that the lab's master serves."""
        text = json.loads(self.exec("hq", f"cat {OVERLAY}"))
        text["mongodb"].update(pillar)
        self.command("run", "sh", "-c", f"cat > {OVERLAY}", input=json.dumps(text))

    def _words(self, verb, *words):
        return [str(LAB), verb, "--name", self.name, *words]


class BranchLab(Lab):
    """A lab of branches."""

    def world(self, *words):
        """What tests/lab/branch does; its output, empty when it fails."""
        done = subprocess.run([ROOT / "tests/lab/branch", self.name, *words], capture_output=True, text=True)
        return done.stdout.strip() if not done.returncode else ""

    def orchestrate(self, *words):
        """The orchestration's exit code, and what changed on each host."""
        code, out, err = self.run("salt-run", "--out=json", "state.orchestrate", "orchestrate.branches", *words)
        steps = json.loads(out)["data"]["hq_master"].values()
        return code, {step["__id__"]: step["changes"] for step in steps if step["changes"]}

    def order(self, rings, failures=0):
        """The rings of the master's pillar, and the failures it allows; the rest is as tests/lab/branch made it."""
        pillar = {
            "branch": {"uplink": "lan0", "gateway": {"lan": "lan0"}},
            "branches": {"rings": rings, "failures": failures},
        }
        self.command("run", "sh", "-c", f"cat > {OVERLAY}", input=json.dumps(pillar))

    def has_rules(self, host):
        return "ip bridge_nat" in self.exec(host, "nft list tables")


def minion_states(steps):
    """``{(minion, state id): return}`` of all states that ran in an orchestration's steps, quiet ones included."""
    found = {}
    for step in steps.values():
        found.update(_flat(step.get("changes", {}).get("ret", {})))
    return found


def changed(states):
    """Those of the states that changed something."""
    return {key: state["changes"] for key, state in states.items() if state["changes"]}


def failed(states):
    """Those of the states that failed, with their words."""
    return {key: state["comment"] for key, state in states.items() if state["result"] is False}


def command_lines():
    """The command lines of all processes on this machine, the lab's hosts included."""
    lines = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.add(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return lines


def _flat(minions):
    return {
        (minion, state["__id__"]): state
        for minion, states in minions.items()
        if isinstance(states, dict)
        for state in states.values()
        if isinstance(state, dict)
    }


def _read_until(process, words):
    said = []
    for line in process.stdout:
        said.append(line)
        if words in line:
            return
    raise RuntimeError(f"{process.args} ended without saying {words!r}, but:\n{''.join(said)}")
