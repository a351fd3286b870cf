"""
Clones of a real Debian template, defined and with an identity, not started; a part of ``make bench``.

    .venv/3008/bin/python tests/bench/clones.py    one round, printed
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from hypervisor import GUEST, Hypervisor  # noqa: E402

ONEPASS, BARE, PEER, EMPTY = "Onepass", "bare commands", "virt-clone", "Salt's own start"
SALT_CALL = Path(sys.executable).parent / "salt-call"
COUNTS = (1, 10)


def round_of_clones():
    """``{(count, contender): seconds}``, and ``{("KiB", "a clone's disk")}`` of one host with a sealed template."""
    with template() as (host, home):
        seconds(onepass(home, "libvirt_clone.seal", "debian12"))
        commands = {
            ONEPASS: lambda names: onepass(home, "libvirt_clone.clone", "debian12", *names, "start=False"),
            BARE: lambda names: [sys.executable, HERE / "bare_clone.py", host.uri, "debian12", host.base, *names],
        }
        figures = {}
        for count in (1, *COUNTS):  # the first time, Python's files are compiled
            for contender, command in commands.items():
                names = [f"vm{number}" for number in range(count)]
                figures[count, contender] = seconds(command(names))
                if contender == ONEPASS:
                    blocks = max((host.pool / f"{name}.qcow2").stat().st_blocks for name in names)
                    figures["KiB", "a clone's disk"] = blocks / 2
                undo(host, names)
            figures[count, EMPTY] = seconds(onepass(home, "test.ping"))
        figures[1, PEER] = seconds(peer(host, "peer"))
        figures["MiB", "salt-call"] = memory(commands[ONEPASS](["vm0"]))
        return figures


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
    return [SALT_CALL, "--local", f"--config-dir={home}", f"--module-dirs={ROOT}", "--out=quiet", *words]


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


if __name__ == "__main__":
    for (group, name), value in round_of_clones().items():
        print(f"{group}\t{name}\t{value:.3f}")
