"""
libvirt_clone beside its peers, on a private KVM host; writes docs/benchmarks-clones.md. Needs root.

    .venv/3008/bin/python tests/bench/clones.py --rounds 5

All contenders take their turn in each round, with the same sealed Debian template. virt-sysprep takes part, in the
first round only, where its Debian is (`make .venv/sysprep/done`: packages in a folder, nothing is installed here). A
target that is missed is reported as missed; it does not fail the run.
"""

import argparse
import datetime
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import yaml

import bench

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import tree  # noqa: E402
from hypervisor import DOMAIN, GATEWAY, GUEST, Hypervisor  # noqa: E402

REPORT = ROOT / "docs/benchmarks-clones.md"
ONEPASS, BARE, PEER, EMPTY = "Onepass", "bare commands", "virt-clone", "Salt's own start"
SYSPREP = "virt-sysprep"
APPLIANCE = ["LIBGUESTFS_BACKEND=direct", "LIBGUESTFS_BACKEND_SETTINGS=force_tcg"]
LEAST = ["--operations=machine-id,ssh-hostkeys,customize", "--hostname=peer"]
SALT_CALL = Path(sys.executable).parent / "salt-call"
TURNS = {1: "1 clone", 10: "10 clones"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--sysprep", type=Path, default=ROOT / ".venv/sysprep", help="a Debian with virt-sysprep")
    given = parser.parse_args()
    rounds, debian = given.rounds, given.sysprep if (given.sysprep / "usr/bin" / SYSPREP).exists() else None
    figures = bench.gather(a_round(not number and debian) for number in bench.counted("clones", rounds))
    REPORT.write_text(report(figures, rounds))
    print(f"Written: {REPORT.relative_to(ROOT)}")


def a_round(sysprep):
    """``{(count, contender): seconds}``, and other figures by their unit, of one host with a sealed template."""
    with template() as (host, home):
        seconds(onepass(home, "libvirt_clone.seal", "debian12"))
        seconds(onepass(home, "libvirt_clone.clone", "debian12", "first", "start=False"))  # Python's files are compiled
        figures = {}
        for count in TURNS:
            figures.update(defined(host, home, [f"vm{number}" for number in range(count)]))
        figures[1, PEER] = seconds(peer(host, "peer"))
        if sysprep:
            figures[1, SYSPREP] = prepared(sysprep, host.pool / "peer")
        figures["MiB", ONEPASS] = memory(onepass(home, "libvirt_clone.clone", "debian12", "vm0", "start=False"))
        figures["MiB", EMPTY] = memory(onepass(home, "test.ping"))
        return {**figures, **named(host, home)}


def defined(host, home, names):
    """Clones that are defined and have their identity, by each contender, and Salt's start beside them."""
    count, figures = len(names), {}
    commands = {
        ONEPASS: onepass(home, "libvirt_clone.clone", "debian12", *names, "start=False"),
        BARE: [sys.executable, HERE / "bare_clone.py", host.uri, "debian12", host.base, *names],
    }
    for contender, command in commands.items():
        figures[count, contender] = seconds(command)
        if contender == ONEPASS:
            figures["KiB", ONEPASS] = max((host.pool / f"{name}.qcow2").stat().st_blocks for name in names) / 2
        undo(host, names)
    return {**figures, (count, EMPTY): seconds(onepass(home, "test.ping"))}


def prepared(debian, disk):
    """virt-sysprep in a Debian of its own; its appliance is there already."""
    inside = ["chroot", debian, "env", *APPLIANCE]
    seconds([*inside, "guestfish", "--add", "/dev/null", "run"])
    copy = debian / "tmp/peer"
    shutil.copy(disk, copy)
    try:
        return seconds([*inside, SYSPREP, "--add", "/tmp/peer", *LEAST])
    finally:
        copy.unlink()


def named(host, home):
    """From the start of a tiny guest until its name answers: as salt-call tells it, and by starting it and asking."""
    host.template("tiny")
    words = ["libvirt_clone.clone", "tiny", "own", "until=name"]
    process = subprocess.Popen(
        list(map(str, onepass(home, *words))), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    moments = [time.monotonic() for line in process.stderr if line.startswith("own: ")]
    if process.wait():
        raise SystemExit(f"{words} failed")
    seconds(onepass(home, "libvirt_clone.clone", "tiny", "bare", "start=False"))
    ask = tree.load("_modules/dnsmasq_query.py").ask
    began = time.monotonic()
    with host.connection() as connection:
        connection.lookupByName("bare").create()
    while not ask(f"bare.{DOMAIN}", GATEWAY, timeout=0.5)["answers"]:
        time.sleep(0.02)
    return {("name", ONEPASS): moments[-1] - moments[1], ("name", BARE): time.monotonic() - began}


@contextmanager
def template():
    host = Hypervisor()
    try:
        host.start()
        for name in ("plain", "debian12"):
            path = host.template(name)["vda"]
            shutil.copy(GUEST / "debian.qcow2", path)
            grow(path)
        host.base = path.with_name("debian12.g1.img")
        with tempfile.TemporaryDirectory(prefix="onepass-bench-") as home, host.inside():
            config = {"root_dir": home, "id": "bench", "enable_gpu_grains": False, "enable_fqdns_grains": False}
            ours = {"uri": host.uri, "known_hosts": f"{home}/known_hosts"}
            Path(home, "minion").write_text(yaml.safe_dump({**config, "libvirt_clone": ours}))
            yield host, home
    finally:
        host.stop()


def grow(path):
    """The template has a GiB of data, as one that was in use for a while."""
    subprocess.run(["qemu-img", "resize", "-q", path, "1400M"], check=True)
    subprocess.run(["qemu-io", "-c", "write -q -P 7 620M 770M", path], check=True, stdout=subprocess.DEVNULL)


def onepass(home, *words):
    return [SALT_CALL, "--local", f"--config-dir={home}", f"--module-dirs={ROOT}", *words]


def peer(host, name):
    return [
        "virt-clone",
        f"--connect={host.uri}",
        "--original=plain",
        f"--name={name}",
        f"--file={host.pool / name}",
    ]


def seconds(command):
    began = time.monotonic()
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    )
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stdout}\n{done.stderr}")
    return time.monotonic() - began


def memory(command):
    """The most that a command and its children had, in MiB."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return os.wait4(process.pid, 0)[2].ru_maxrss / 1024


def undo(host, names):
    with host.connection() as connection:
        for name in names:
            connection.lookupByName(name).undefine()
            (host.pool / f"{name}.qcow2").unlink()
        connection.storagePoolLookupByName("images").refresh()


def report(figures, rounds):
    middle = {figure: median(values) for figure, values in figures.items()}
    own = {count: middle[count, ONEPASS] - middle[count, EMPTY] for count in TURNS}
    targets = [
        bench.target(f"({ONEPASS} - {EMPTY}) / {BARE}, {turn}", "at most", 2, own[count] / middle[count, BARE])
        for count, turn in TURNS.items()
    ]
    each = own[10] / 10
    targets.append(bench.target(f"{PEER} / {ONEPASS}, each of ten", "at least", 20, middle[1, PEER] / each))
    if (1, SYSPREP) in middle:
        both = middle[1, PEER] + middle[1, SYSPREP]
        targets.append(bench.target(f"{PEER} and {SYSPREP} / {ONEPASS}, each of ten", "at least", 100, both / each))
    late = middle["name", ONEPASS] - middle["name", BARE]
    targets.append(bench.target("seconds until its name answers, over the guest's own", "at most", 0.5, late))
    targets.append(bench.target("KiB of a clone's disk", "at most", 1024, middle["KiB", ONEPASS]))
    targets.append(bench.target("MiB of the salt-call", "at most", 100, middle["MiB", ONEPASS]))
    head = HEAD.format(date=datetime.date.today(), rounds=rounds, cores=os.cpu_count(), load=os.getloadavg()[0])
    columns = {**TURNS, "name": "start to name answers"}
    grid = bench.grid("seconds", columns, figures)
    parts = [head, grid, bench.grid("", {"MiB": "MiB of memory"}, figures), bench.table(bench.TARGETS, targets)]
    return "\n\n".join([*parts, *([] if (1, SYSPREP) in middle else [WITHOUT])]) + "\n"


HEAD = f"""# Benchmarks: clones

Written by `make bench` on {{date}}; not edited by hand. A figure is the median, with the least and the most, of
{{rounds}} rounds. {{cores}} cores, load at the end {{load:.1f}}; no KVM, guests run under TCG.

A sealed Debian template with a GiB of data. Done is when the clones are defined and have their identity on their disks;
they are not started. The last column is a tiny guest, from its start until DNS answers with its address.

- {ONEPASS}: one `salt-call --local libvirt_clone.clone`; the last column is between two of its lines.
- {BARE}: a Python process: `qemu-img create`, `ssh-keygen`, `qemu-storage-daemon`, `debugfs`, define; in the last
  column a start, and a query every 20 ms.
- {PEER}: one full copy of the same template, without any identity: its time grows with the template's data, that of a
  linked clone does not.
- {SYSPREP}: machine-id, host keys and hostname of one such copy, nothing else; its appliance was made before.
- {EMPTY}: `salt-call --local test.ping`."""

WITHOUT = "virt-sysprep did not take part: `make .venv/sysprep/done` was not run."

if __name__ == "__main__":
    main()
