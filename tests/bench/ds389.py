"""
ds_replica beside 389 Directory Server's own tools, on six replicas; writes docs/benchmarks-ds389.md. Needs root.

    .venv/3008/bin/python tests/bench/ds389.py --rounds 5

Four suppliers in full mesh and two readers, on this host, in a network of their own. All contenders take their turn in
each round, and are compared round by round. Then troubles are made, one after another, and each tool is asked what it
says of them; the lines themselves are kept in build/. A target that is missed is reported as missed; it does not fail
the run.
"""

import argparse
import contextlib
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import ldap3

import bench

sys.path.insert(0, str(bench.ROOT / "tests"))
import clocks  # noqa: E402
import directories  # noqa: E402
import networks  # noqa: E402
from directories import BACKEND, MANAGER, PASSWORD, REPLICA, SUFFIX  # noqa: E402
from networks import until  # noqa: E402

REPORT, LINES = bench.ROOT / "docs/benchmarks-ds389.md", bench.ROOT / "build/ds389-lines.txt"
NAMES = ("one", "two", "three", "four", "five", "six")
WRITERS = NAMES[:4]
ONEPASS, MONITOR, HEALTH = "ds_replica.status", "dsconf replication monitor", "dsctl healthcheck"
TOOLS, PATIENCE = (ONEPASS, MONITOR, HEALTH), 30
# As Debian 12 has it, 2.3.1, it ends with "name 'args_instance' is not defined" wherever there is an agreement.
MENDED = """import runpy, sys
import lib389._constants, lib389.replica
vars(lib389.replica).update({**vars(lib389._constants), "args_instance": {}, **vars(lib389.replica)})
sys.argv[0] = "/usr/sbin/dsconf"
runpy.run_path(sys.argv[0], run_name="__main__")"""
CONFIG = "cn=config"
TASKS = "cn=tasks,cn=config"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--report", type=Path, default=REPORT, help="the page to write (default: the docs')")
    options = parser.parse_args()
    with estate() as (servers, agreements, home):
        sound = {tool: said(words) for tool, words in commands(home).items()}
        figures = bench.gather(a_round(home) for _ in bench.counted("six replicas", options.rounds))
        rows, lines = [], [f"== a sound estate / {tool}\n{text}" for tool, text in sound.items()]
        for make in TROUBLES:
            rows += trouble(make, servers, agreements, home, sound, lines)
    LINES.parent.mkdir(exist_ok=True)
    LINES.write_text("\n".join(lines) + "\n")
    options.report.write_text(report(figures, sorted(rows, key=lambda row: int(row[0] or 99)), options.rounds))
    print(f"Written: {options.report} and {LINES}")


@contextlib.contextmanager
def estate():
    """Six servers that have the same data, by name, their agreements, and a directory where Salt's caches are warm."""
    with tempfile.TemporaryDirectory(prefix="onepass-bench-") as name, networks.host(Path(name)):
        Path("/etc/hosts").write_text(f"127.0.0.1 localhost {' '.join(f'{each}.dc' for each in NAMES)}\n")
        made = directories.servers(*NAMES)
        agreements = directories.fed(*made, readers=2)
        for other in NAMES[1:]:
            made[0].initialise(agreements["one", other])
        for each in made[:4]:
            each.person(f"from-{each.name}")
        until(lambda: all(len(each.names()) == 4 for each in made), 300)
        by_name = {each.name: each for each in made}
        settle(by_name, agreements, 300)
        (Path(name) / "minion").write_text(json.dumps({"root_dir": name, **bench.MINION}))
        yield by_name, agreements, Path(name)


def settle(servers, agreements, seconds):
    """All agreements say that they are well; a trouble's own end may come later than the next one's question."""
    until(lambda: all("Error (0)" in (servers[one].status(dn) or "") for (one, _), dn in agreements.items()), seconds)


def commands(home):
    """The contenders' commands, one after another where a contender needs several."""
    logins = [f"{name}.dc:{3891 + number}:cn=Directory Manager:{PASSWORD}" for number, name in enumerate(NAMES)]
    return {
        ONEPASS: [salt_call(home, "ds_replica.status")],
        MONITOR: [["/usr/bin/python3", "-c", MENDED, "one", "replication", "monitor", "--connections", *logins]],
        HEALTH: [["dsctl", name, "healthcheck"] for name in NAMES],
        bench.EMPTY: [salt_call(home, "test.ping")],
    }


def salt_call(home, *words):
    return [bench.SALT_CALL, "--local", f"--config-dir={home}", f"--module-dirs={bench.ROOT}", *words]


def a_round(home):
    figures = {}
    for tool, words in commands(home).items():
        began = time.monotonic()
        text = said(words)
        figures["all", tool] = time.monotonic() - began
        if re.search("(?m)^(Traceback|Error: )", text) or not text.strip():
            raise SystemExit(f"{tool} failed:\n{text}")
    return figures


def said(commands):
    """What commands print. Their exit codes tell of troubles; one that does not end says nothing more."""
    return "\n".join(_said([str(word) for word in words]) for words in commands)


def _said(words):
    everything = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.Popen(words, env=ENVIRONMENT, start_new_session=True, **everything)
    try:
        return done.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired:
        os.killpg(done.pid, signal.SIGKILL)
        return f"{done.communicate()[0]}\n{HUNG}"


ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": ""}
HUNG = f"no end in {PATIENCE} s"
WRONG = r"(?i)not in sync|reinitialize|Error \([^0]|: session: |Status: Red"

# --- Troubles: made, asked about, unmade. The rows are what is asked: number, words, what names it in whose output ---


def off(servers, agreements, home):
    servers["one"].set(agreements["one", "five"], nsds5ReplicaEnabled="off")
    yield [(9, "an agreement is switched off", "to five: enabled", "Enabled: off", "(?i)disabled")]
    servers["one"].set(agreements["one", "five"], nsds5ReplicaEnabled="on")


def armed(servers, agreements, home):
    """And then stopped: an agreement that sends nothing from then on."""
    one, dn = servers["one"], agreements["one", "five"]
    one.set(dn, nsDS5ReplicaCredentials="wrong")
    one.kick(dn)
    one.person("not-sent")
    says(one, dn, 49)
    one.set(dn, nsds5BeginReplicaRefresh="start")
    yield [(1, "an initialisation could not begin, and will by itself", "is armed", *["(?i)refresh|armed"] * 2)]
    one.set(dn, nsds5BeginReplicaRefresh="stop")
    one.set(dn, nsDS5ReplicaCredentials=PASSWORD)


def stopped(servers, agreements, home):
    """As the last one leaves it."""
    yield [(2, "an initialisation was stopped; nothing is sent since", "was stopped", *["(?i)refresh|stopped"] * 2)]
    servers["one"].kick(agreements["one", "five"])


def imported(servers, agreements, home):
    """A supplier that is blank, and of a generation of its own."""
    one, four = servers["one"], servers["four"]
    file, task = four.home / "ldif/blank.ldif", f"cn=blank,cn=import,{TASKS}"
    file.write_text(f"dn: {SUFFIX}\nobjectClass: domain\ndc: bank\n\n")
    four.ldap.add(task, ["extensibleObject"], {"nsFilename": str(file), "nsInstance": "userroot", "ttl": "600"})
    until(lambda: four.one(task, "nsTaskExitCode") == "0", 90)
    one.person("after-the-import")
    says(one, agreements["one", "four"], 19)
    yield [
        (18, "a server has data of another generation", "another generation", *["(?i)generation|\\(19\\)"] * 2),
        (4, "the one that others would be initialised from is blank", "no entries but", *["(?i)no entries|empty"] * 2),
    ]
    one.initialise(agreements["one", "four"])


def conflict(servers, agreements, home):
    one, two = servers["one"], servers["two"]
    pairs = [(servers[source], dn) for (source, target), dn in agreements.items() if target in ("one", "two")]
    for server, dn in pairs:
        server.set(dn, nsds5ReplicaEnabled="off")
    one.person("both")
    two.person("both")
    for server, dn in pairs:
        server.set(dn, nsds5ReplicaEnabled="on")
    found = ("(&(objectClass=ldapSubEntry)(nsds5ReplConflict=*))", ldap3.SUBTREE, ["cn"])
    until(lambda: one.read(SUFFIX, *found), 90)
    yield [(12, "a conflict", "conflicts: 1", *["(?i)conflict"] * 2)]
    one.ldap.delete(one.read(SUFFIX, *found)[0][0])


def setting(row, words, name, dn, key, value, before, pattern):
    def made(servers, agreements, home):
        servers[name].set(dn, **{key: value})
        yield [(row, words, *[pattern] * 3)]
        servers[name].set(dn, **{key: before})

    return made


def expiring(servers, agreements, home):
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=2)
    servers["two"].set(MANAGER, passwordExpirationTime=soon.strftime("%Y%m%d%H%M%SZ"))
    yield [(10, "a replication manager's password ends in two days", "its password ends", *["(?i)expir"] * 2)]
    servers["two"].set(MANAGER, passwordExpirationTime=[])


def ghost(servers, agreements, home):
    servers["four"].set(REPLICA, nsDS5ReplicaId="44")
    servers["four"].person("of-forty-four")
    until(lambda: "cn=of-forty-four" in servers["one"].names(), 90)
    yield [(13, "an id that was changed: a ghost", "ids 4, 44", *["(?i)ghost|dangling|stale"] * 2)]


def cleaning(servers, agreements, home):
    one, task = servers["one"], f"cn=clean 4,cn=cleanallruv,{TASKS}"
    nowhere = one.agreement(servers["six"], "nowhere", nsDS5ReplicaPort="3999")
    values = {"replica-base-dn": SUFFIX, "replica-id": "4", "replica-force-cleaning": "no"}
    one.ldap.add(task, ["extensibleObject"], values)
    until(lambda: one.one(REPLICA, "nsds5ReplicaCleanRUV"), 90)
    yield [(14, "a task that takes an id out does not end", "cleaning: ", *["(?i)clean"] * 2)]
    one.ldap.delete(nowhere)


def same_id(servers, agreements, home):
    servers["four"].set(REPLICA, nsDS5ReplicaId="3")
    yield [(15, "two suppliers of one id", "another server's too", *["(?i)duplicate|same (replica )?id|\\(11\\)"] * 2)]
    servers["four"].set(REPLICA, nsDS5ReplicaId="44")


def frozen(servers, agreements, home):
    with servers["six"].frozen():
        yield [
            ("", "a server that is frozen", "does not answer", *["(?i)unavailable|unreachable|timed? ?out|contact"] * 2)
        ]


def down(servers, agreements, home):
    servers["six"].stop()
    yield [
        ("", "a server that is off", "does not run", "(?i)unavailable|unreachable|contact", "(?i)not running|contact")
    ]
    servers["six"].launch().wait()


def ahead(servers, agreements, home):
    """At last: what such a server wrote could not be undone."""
    servers["five"].stop()
    servers["five"].launch(environment=clocks.apart(clocks.library(home), 2 * 86400)).wait()
    yield [(8, "a clock that is two days ahead", "clock: ", *["(?i)skew|clock"] * 2)]


def says(server, dn, code):
    """Wait until an agreement has that error."""
    seen = []
    try:
        until(lambda: seen.append(server.status(dn)) or f"({code})" in str(seen[-1]), 120)
    except AssertionError:
        raise SystemExit(f"{dn} does not say {code}, but: {seen[-1]}") from None


TROUBLES = [
    *(off, armed, stopped, imported, conflict, expiring),
    setting(20, "a backend that is read-only", "five", BACKEND, "nsslapd-readonly", "on", "off", "(?i)read-?only"),
    setting(10, "lockout for replication managers", "two", CONFIG, "passwordLockout", "on", "off", "(?i)lockout"),
    setting(17, "a port that waits for a restart", "five", CONFIG, "nsslapd-port", "3999", "3895", "3999"),
    setting(8, "clock skew is ignored", "two", CONFIG, "nsslapd-ignore-time-skew", "on", "off", "(?i)skew"),
    *(ghost, cleaning, same_id, frozen, down, ahead),
]


def trouble(make, servers, agreements, home, sound, lines):
    """A row of the table for each question; what was new in a tool's output goes to ``lines``."""
    made = make(servers, agreements, home)
    asked = next(made)
    print(f"trouble: {asked[0][1]}", flush=True)
    texts = {tool: said(commands(home)[tool]) for tool in TOOLS}
    next(made, None)
    with contextlib.suppress(AssertionError):
        settle(servers, agreements, 30)
    news = {tool: _news(texts[tool], sound[tool]) for tool in TOOLS}
    for tool in TOOLS:
        lines += [f"== {asked[0][1]} / {tool}", *news[tool]]
    return [
        [str(row), words, *(_cell(news[each], by) for each, by in zip(TOOLS, how, strict=True))]
        for row, words, *how in asked
    ]


def _news(text, sound):
    """Lines that a sound estate has not, whatever the times in them."""
    before = {re.sub(r"\d{2,}", "00", line) for line in sound.splitlines()}
    return [line for line in text.splitlines() if re.sub(r"\d{2,}", "00", line) not in before]


def _cell(news, pattern):
    if any(re.search(pattern, line) for line in news):
        return "named"
    if HUNG in news:
        return HUNG
    return "that something is wrong" if any(re.search(WRONG, line) for line in news) else "nothing"


# --- The report ---


def report(figures, rows, rounds):
    def beside(peer):
        return median(one / own for one, own in zip(figures["all", peer], figures["all", ONEPASS], strict=True))

    own = median(a - b for a, b in zip(figures["all", ONEPASS], figures["all", bench.EMPTY], strict=True))
    targets = [bench.target(f"{peer} / {ONEPASS}", "at least", 5, beside(peer)) for peer in (MONITOR, HEALTH)]
    targets.append(bench.target(f"{ONEPASS} beyond {bench.EMPTY}, s", "at most", 1, own))
    load = os.getloadavg()[2]
    head = HEAD.format(date=datetime.date.today(), rounds=rounds, cores=os.cpu_count(), load=load)
    busy = [BUSY] * (load > os.cpu_count())
    told = bench.table(["row", "trouble", *TOOLS], rows)
    seconds = bench.grid("seconds", {"all": "six replicas"}, figures)
    return "\n\n".join([head, *busy, LIST, seconds, bench.table(bench.TARGETS, targets), ROWS, told]) + "\n"


HEAD = """# Benchmarks: 389 Directory Server

Written by `make bench` on {date}; not edited by hand. A figure is the median, with the least and the most, of {rounds}
rounds; targets are medians of what each round gives. {cores} cores, load at the end {load:.1f}."""

BUSY = "**The machine was busy with other things: these seconds are no measure.**"

LIST = f"""Four suppliers in full mesh and two readers, six instances of one host, each asked for all that it says.
Whole commands.

- {ONEPASS}: one `salt-call --local`, by ldapi, without a password.
- {MONITOR}: one command, with a login for each of the six. As Debian 12 has it, 2.3.1, it ends with "name
  'args_instance' is not defined" wherever there is an agreement: measured is one that has that name.
- {HEALTH}: once for each instance, all its checks.
- {bench.EMPTY}: `salt-call --local test.ping`."""

ROWS = f"""## What each says of a trouble

Each trouble is made. `named`: a line of the output has to do with it, and a sound estate's has none like it; `that
something is wrong`: only that an agreement is not in sync, or has an error. A command that has not ended after
{PATIENCE} s is ended."""


if __name__ == "__main__":
    main()
