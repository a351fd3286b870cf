"""The lab as tests use it: hosts, orchestrations with their states, pymongo on hq."""

import contextlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from segments import wait_until
from tree import ROOT

LAB = ROOT / "tests/lab/lab"
SITES = ROOT / "tests/lab/sites"
OVERLAY = "/srv/lab/pillar/local.sls"
PHASES = ["daemons", "replica-sets", "routers", "shards", "collections", "verify"]
WRITER = """
import sys, time, pymongo
teller = {"username": "teller", "password": sys.stdin.read().strip(), "authSource": "bank"}
concern = pymongo.WriteConcern(sys.argv[2] if sys.argv[2].isalpha() else int(sys.argv[2]), j=True)
transfers = pymongo.MongoClient(sys.argv[1], 27017, **teller).bank.transfers.with_options(write_concern=concern)
number = 0
with open("/root/acknowledged", "w") as acknowledged:
    while True:
        number += 1
        try:
            transfers.insert_one({"_id": number, "account": number % 997, "text": "x" * 2000})
            print(number, file=acknowledged, flush=True)
        except pymongo.errors.PyMongoError:
            pass
        time.sleep(float(sys.argv[3]))
"""
GOES_ON = """
now=$(wc -l < /root/acknowledged)
timeout 60 sh -c "until [ \\$(wc -l < /root/acknowledged) -gt $((now + 50)) ]; do sleep 0.1; done"
"""
READ = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=30).read().decode())"
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

    def patience(self, seconds):
        """How long the master waits for hosts from now on: for an answer, and for word of a job that goes on."""
        waits = f"timeout: {seconds}\ngather_job_timeout: {seconds}\n"
        self.command("run", "sh", "-c", "mkdir -p /etc/salt/master.d; cat > /etc/salt/master.d/wait.conf", input=waits)

    def python(self, code):
        """Python on hq, where ``router`` and ``connect(host)`` are logged in; the JSON that it prints."""
        return json.loads(self.command("run", "/opt/salt/bin/python", "-", input=PRELUDE + code))

    def orchestrate(self, *words):
        """``state.orchestrate orchestrate.mongodb``: exit code, and ``{(minion, state id): return}`` of all minions."""
        code, out, err = self.run("salt-run", "--out=json", "state.orchestrate", "orchestrate.mongodb", *words)
        if not out.startswith("{"):
            raise RuntimeError(f"state.orchestrate: exit code {code}\n{out}\n{err}")
        return code, minion_states(next(iter(json.loads(out)["data"].values())))

    def highstate(self, target="*.dc"):
        """``salt '*.dc' state.highstate``: exit code, and the states as ``orchestrate`` gives them."""
        code, out, _ = self.run("salt", "--out=json", "--static", "--timeout=300", target, "state.highstate")
        return code, flat(json.loads(out))

    def disturb(self, disturbances, sls="orchestrate.mongodb"):
        """Run an orchestration, let each disturbance loose when its step begins; exit code, and steps that did not."""
        left, loose, watch = dict(disturbances), [], self.spawn("salt-run", "onepass.watch", "every=600")
        _read_until(watch, "waiting for an orchestration")
        run = self.spawn("salt-run", "state.orchestrate", sls)
        with ThreadPoolExecutor(1 + len(left)) as threads:
            reading = threads.submit(
                lambda: [loose.append(threads.submit(left.pop(step))) for step in _begun(watch, left)]
            )
            run.communicate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                watch.wait(5)
            self.exec("hq", "pkill -KILL -f [o]nepass.watch || true")
            reading.result()
        for each in loose:
            each.result()
        return run.returncode, list(left)

    def write(self, host, router, concern, every=0.02):
        """From now on a client on a host writes a document every so many s, and notes those that are acknowledged."""
        password = self.python("print(json.dumps(secrets[1]['users']['teller']['password']))")
        self.command("exec", host, "sh", "-c", "cat > /root/writer.py", input=WRITER)
        self.command("exec", host, "sh", "-c", "umask 077; cat > /root/password", input=password)
        writer = f"/opt/salt/bin/python /root/writer.py {router} {concern} {every} < /root/password"
        self.exec(host, f"systemd-run --quiet --unit=writer sh -c '{writer}'")

    def acknowledged(self, host):
        """That client goes on writing, and stops; the numbers of the documents that were acknowledged."""
        self.exec(host, GOES_ON)
        self.exec(host, "systemctl stop writer")
        return [int(line) for line in self.exec(host, "cat /root/acknowledged").split()]

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

    def lands(self, address, host):
        """A login lands on a host; a gateway that booted has a new card, for which its neighbours look some eight s."""
        return wait_until(lambda: self.world("ssh", address) == host, 120)

    def page(self, address, path, host="hq"):
        """What a guest serves, read from a host of the lab."""
        return self.command("exec", host, "python3", "-c", READ, f"http://{address}/{path}").strip()

    def salt(self, host, *words):
        """What a minion answers to the master."""
        code, out, err = self.run("salt", "--out=json", "--static", host, *words)
        assert code == 0, out + err
        return json.loads(out)[host]

    def order(self, rings, failures=0):
        """The rings of the master's pillar, and the failures it allows; the rest is as tests/lab/branch made it."""
        pillar = {
            "branch": {"uplink": "lan0", "gateway": {"lan": "lan0"}},
            "branches": {"rings": rings, "failures": failures},
        }
        self.command("run", "sh", "-c", f"cat > {OVERLAY}", input=json.dumps(pillar))

    def has_rules(self, host):
        return "ip bridge_nat" in self.exec(host, "nft list tables")


class SiteLab(BranchLab):
    """A lab of all areas, and what a bank has already: the branch's network and template, and a cloud."""

    MEMBERS = {"cfg": "r1.dc:27019", "s1": "r1.dc:27018", "s2": "r1.dc:27020"}
    MONGODB = {
        "replsets": {name: {"members": [member]} for name, member in MEMBERS.items()},
        "routers": ["r1.dc"],
        "default_rw_concern": {"write": 1, "read": "local"},
    }
    TENANTS = {"tellers-net": "VLAN 12", "vault-net": "VLAN 13", "cashpoints-net": "VLAN 14"}
    VMS = {"10.20.32.11": ("win-001", "ws001.cordoba"), "10.20.32.12": ("win-002", "ws002.cordoba")}

    def __enter__(self):
        lab = super().__enter__()
        try:
            self.world("wan")
            self.world("dhcp", "cordoba")
            for _, host in self.VMS.values():
                self.exec(host, "make-template desktop")
            self.cloud("up")
            pillar = json.loads(self.exec("hq", f"cat {OVERLAY}"))
            pillar["mongodb"].update(self.MONGODB)
            self.pillar(pillar)
        except BaseException:
            self.command("down")
            raise
        return lab

    def pillar(self, overlay):
        """What the master lays over the examples' pillar."""
        self.command("run", "sh", "-c", f"cat > {OVERLAY}", input=json.dumps(overlay))

    def cloud(self, command):
        """What tests/lab/cloud does; its output."""
        words = [sys.executable, ROOT / "tests/lab/cloud", self.name, command]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    def onepass(self, command, *words):
        """A command of the runner as a program calls it: exit code and what it answered."""
        code, out, err = self.run("salt-run", "--out=json", f"onepass.{command}", *words)
        try:
            found = json.loads(out)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise RuntimeError(f"onepass.{command}: exit code {code}\n{out}\n{err}")
        return code, found

    def seen(self, command, *words):
        """The same as somebody at a terminal calls it: exit code, what it says, and its progress."""
        return self.run("salt-run", f"onepass.{command}", *words)

    def assert_all_areas_are_there(self):
        """What a client, a tenant's network, headquarters and a guest see."""
        shards = self.python("print(json.dumps(sorted(each['_id'] for each in router.config.shards.find())))")
        assert shards == ["s1", "s2"]
        networks = self.cloud("show")
        for name, vlan in self.TENANTS.items():
            assert [line for line in networks.splitlines() if name in line and vlan in line], networks
        for address, (name, host) in self.VMS.items():
            assert self.page(address, "hostname") == name
            assert self.lands(address, host), f"ssh to {address}"
        one, two = (self.salt("ws001.cordoba", "libvirt_clone.info", name)["address"] for name in ("till-1", "till-2"))
        assert two in self.page(one, "cgi-bin/lookup?till-2.guests.example", "ws001.cordoba")


def minion_states(steps):
    """``{(minion, state id): return}`` of an orchestration's states, quiet ones included, and its own that failed."""
    found = {("", step["__id__"]): {**step, "changes": {}} for step in steps.values() if step["result"] is False}
    for step in steps.values():
        found.update(flat(step.get("changes", {}).get("ret", {})))
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


def flat(minions):
    return {
        (minion, state["__id__"]): state
        for minion, states in minions.items()
        if isinstance(states, dict)
        for state in states.values()
        if isinstance(state, dict)
    }


def _begun(watch, steps):
    """Those of the steps that a watch sees begin, one by one."""
    for line in watch.stdout:
        name = line.rpartition("] ")[2].partition(":")[0].strip()
        if name in steps:
            yield name


def _read_until(process, *words):
    """The first line from now on that has one of the words."""
    said = []
    for line in process.stdout:
        said.append(line)
        if any(each in line for each in words):
            return line
    raise RuntimeError(f"{process.args} ended without saying {' or '.join(words)}, but:\n{''.join(said)}")
