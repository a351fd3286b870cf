"""
ds_replica beside 389 Directory Server's own tools, on six replicas; writes docs/benchmarks-ds389.md. Needs root.

    .venv/3008/bin/python tests/bench/ds389.py --rounds 5

Four suppliers in full mesh and two readers, on this host, in a network of their own. All contenders take their turn in
each round. Then troubles are made, one after another, and each tool is asked what it says of them. A target that is
missed is reported as missed; it does not fail the run.
"""

import argparse
import contextlib
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import ldap3

import bench

sys.path.insert(0, str(bench.ROOT / "tests"))
import directories  # noqa: E402
import networks  # noqa: E402
from directories import BACKEND, MANAGER, PASSWORD, REPLICA, SUFFIX  # noqa: E402
from networks import until  # noqa: E402

REPORT = bench.ROOT / "docs/benchmarks-ds389.md"
NAMES = ("one", "two", "three", "four", "five", "six")
ONEPASS, MONITOR, HEALTH = "ds_replica.status", "dsconf replication monitor", "dsctl healthcheck"
TURNS = {"all": "six replicas"}
SAID = {True: "named", False: "nothing"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    rounds = parser.parse_args().rounds
    with estate() as (servers, agreements, home):
        warm = {tool: said(words) for tool, words in commands(home).items()}
        figures = bench.gather(a_round(home) for _ in bench.counted("six replicas", rounds))
        troubles = [trouble(each, servers, agreements, home, warm) for each in TROUBLES]
    REPORT.write_text(report(figures, troubles, rounds))
    print(f"Written: {REPORT.relative_to(bench.ROOT)}")


@contextlib.contextmanager
def estate():
    """Six servers that have the same data, by name, their agreements, and a directory where Salt's caches are warm."""
    with tempfile.TemporaryDirectory(prefix="onepass-bench-") as name, networks.host(Path(name)):
        Path("/etc/hosts").write_text(f"127.0.0.1 localhost {' '.join(f'{each}.dc' for each in NAMES)}\n")
        servers = directories.servers(*NAMES)
        agreements = directories.fed(*servers, readers=2)
        for other in NAMES[1:]:
            servers[0].initialise(agreements["one", other])
        for each in servers[:4]:
            each.person(f"from-{each.name}")
        until(lambda: all(len(each.names()) == 4 for each in servers), 120)
        (Path(name) / "minion").write_text(json.dumps({"root_dir": name, **bench.MINION}))
        yield {each.name: each for each in servers}, agreements, Path(name)


def commands(home):
    """The contenders' commands, one after another where a contender needs several."""
    logins = [f"{name}.dc:{3891 + number}:cn=Directory Manager:{PASSWORD}" for number, name in enumerate(NAMES)]
    return {
        ONEPASS: [salt_call(home, "ds_replica.status")],
        MONITOR: [["dsconf", "one", "replication", "monitor", "--connections", *logins]],
        HEALTH: [["dsctl", name, "healthcheck"] for name in NAMES],
        bench.EMPTY: [salt_call(home, "test.ping")],
    }


def salt_call(home, *words):
    return [bench.SALT_CALL, "--local", f"--config-dir={home}", f"--module-dirs={bench.ROOT}", *words]


def a_round(home):
    figures = {}
    for tool, words in commands(home).items():
        began = time.monotonic()
        said(words)
        figures["all", tool] = time.monotonic() - began
    return figures


def said(commands):
    """What commands print. Their exit codes tell of troubles, and are no failures of theirs."""
    done = [subprocess.run([*map(str, words)], capture_output=True, text=True, env=ENVIRONMENT) for words in commands]
    texts = [each.stdout + each.stderr for each in done]
    if wrong := [text for text in texts if "Traceback" in text or not text.strip()]:
        raise SystemExit(f"{commands[0]} failed:\n{wrong[0]}")
    return "\n".join(texts)


ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": ""}

# --- What each says of a trouble ---


def off(servers, agreements):
    servers["one"].set(agreements["one", "five"], nsds5ReplicaEnabled="off")
    yield
    servers["one"].set(agreements["one", "five"], nsds5ReplicaEnabled="on")


def armed(servers, agreements):
    one, dn = servers["one"], agreements["one", "five"]
    one.set(dn, nsDS5ReplicaCredentials="wrong")
    kick(one, dn)
    until(lambda: "(49)" in (one.status(dn) or ""))
    one.set(dn, nsds5BeginReplicaRefresh="start")
    yield
    one.set(dn, nsds5BeginReplicaRefresh="stop")
    one.set(dn, nsDS5ReplicaCredentials=PASSWORD)


def stopped(servers, agreements):
    """As the last one leaves it."""
    yield
    kick(servers["one"], agreements["one", "five"])


def conflict(servers, agreements):
    one, two = servers["one"], servers["two"]
    pairs = [(servers[source], dn) for (source, target), dn in agreements.items() if target in ("one", "two")]
    for server, dn in pairs:
        server.set(dn, nsds5ReplicaEnabled="off")
    one.person("both")
    two.person("both")
    for server, dn in pairs:
        server.set(dn, nsds5ReplicaEnabled="on")
    found = ("(&(objectClass=ldapSubEntry)(nsds5ReplConflict=*))", ldap3.SUBTREE, ["cn"])
    until(lambda: one.read(SUFFIX, *found))
    yield
    one.ldap.delete(one.read(SUFFIX, *found)[0][0])


def setting(name, dn, key, value, before):
    def made(servers, agreements):
        servers[name].set(dn, **{key: value})
        yield
        servers[name].set(dn, **{key: before})

    return made


def expiring(servers, agreements):
    servers["two"].set(MANAGER, passwordExpirationTime="20261201000000Z")
    yield
    servers["two"].set(MANAGER, passwordExpirationTime=[])


def ghost(servers, agreements):
    servers["four"].set(REPLICA, nsDS5ReplicaId="44")
    servers["four"].person("of-forty-four")
    until(lambda: "cn=of-forty-four" in servers["one"].names())
    yield


def down(servers, agreements):
    servers["six"].stop()
    yield
    servers["six"].launch().wait()


def kick(server, dn):
    server.set(dn, nsds5ReplicaEnabled="off")
    server.set(dn, nsds5ReplicaEnabled="on")


CONFIG = "cn=config"
# Words; what makes and unmakes it; what names it in the output of ours, of monitor's and of healthcheck's.
TROUBLES = [
    ("an agreement is switched off", off, "to five: enabled", "(?i)disabled", "(?i)disabled"),
    ("an armed initialisation", armed, "is armed", "(?i)refresh|armed", "(?i)refresh|armed"),
    ("an initialisation that was stopped", stopped, "was stopped", "(?i)refresh|stop", "(?i)refresh|stop"),
    ("a conflict", conflict, "conflicts: 1", "(?i)conflict", "(?i)conflict"),
    (
        "a backend that is read-only",
        setting("five", BACKEND, "nsslapd-readonly", "on", "off"),
        *["(?i)read-?only"] * 3,
    ),
    (
        "lockout for replication managers",
        setting("two", CONFIG, "passwordLockout", "on", "off"),
        *["(?i)lockout"] * 3,
    ),
    ("a replication manager's password ends", expiring, "its password ends", "(?i)expir", "(?i)expir"),
    ("a port that waits for a restart", setting("five", CONFIG, "nsslapd-port", "3999", "3895"), *["3999"] * 3),
    ("clock skew is ignored", setting("two", CONFIG, "nsslapd-ignore-time-skew", "on", "off"), *["(?i)skew"] * 3),
    ("an id that was changed: a ghost", ghost, "ids 4, 44", "(?i)ghost|dangling", "(?i)ghost|dangling"),
    ("a server that is off", down, "does not run", "(?i)unavailable|contact|not running", "(?i)not running|contact"),
]


def trouble(row, servers, agreements, home, warm):
    words, make, *patterns = row
    print(f"trouble: {words}", flush=True)
    made = make(servers, agreements)
    next(made)
    cells = [words]
    for (tool, command), pattern in zip(list(commands(home).items())[:3], patterns, strict=True):
        cells.append(SAID[bool(news(said(command), warm[tool], pattern))])
    next(made, None)
    return cells


def news(text, before, pattern):
    """Lines that name it, and that a sound estate has not."""
    return [line for line in text.splitlines() if re.search(pattern, line) and line not in before]


def report(figures, troubles, rounds):
    middle = {figure: median(values) for figure, values in figures.items()}
    targets = [
        bench.target(f"{peer} / {ONEPASS}", "at least", 5, middle["all", peer] / middle["all", ONEPASS])
        for peer in (MONITOR, HEALTH)
    ]
    own = middle["all", ONEPASS] - middle["all", bench.EMPTY]
    targets.append(bench.target(f"seconds of {ONEPASS} beyond Salt's start", "at most", 1, own))
    head = HEAD.format(date=datetime.date.today(), rounds=rounds, cores=os.cpu_count(), load=os.getloadavg()[0])
    told = bench.table(["", ONEPASS, MONITOR, HEALTH], troubles)
    parts = [head, bench.grid("seconds", TURNS, figures), bench.table(bench.TARGETS, targets), ROWS, told]
    return "\n\n".join(parts) + "\n"


HEAD = f"""# Benchmarks: 389 Directory Server

Written by `make bench` on {{date}}; not edited by hand. A figure is the median, with the least and the most, of
{{rounds}} rounds. {{cores}} cores, load at the end {{load:.1f}}.

Four suppliers in full mesh and two readers, six instances of one host, each asked for all that it says. Whole commands.

- {ONEPASS}: one `salt-call --local`, by ldapi, without a password.
- {MONITOR}: one command, with a login for each of the six.
- {HEALTH}: once for each instance, all its checks.
- {bench.EMPTY}: `salt-call --local test.ping`."""

ROWS = """What each says of a trouble that is made: `named`, when a line of its output has to do with it, and was not in
the output of a sound estate."""

if __name__ == "__main__":
    main()
