"""Other programs that rule a host's network, the real ones: docker, firewalld and NetworkManager on a D-Bus of our own.

Their packages are only unpacked (``make .venv/neighbours/done``), as installing them would take over the machine. A
process that is within ``networks.host()`` lays them over ``/usr``; all ends with it.
"""

import contextlib
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from networks import run, until
from tree import ROOT

PACKAGES = ROOT / ".venv/neighbours"
DOCKER = Path("/run/docker-of-ours")
DOCKER_CLI = "/usr/bin/docker"  # not one that the machine may have of its own
BUS = """<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
</policy></busconfig>
"""
# No device is managed unless a test says so: no carrier, DHCP or default route of its making.
NETWORK_MANAGER = """[main]
plugins=keyfile
no-auto-default=*
auth-polkit=root-only
"""


def lay_over():
    """The programs are there, with their default configuration."""
    if not (PACKAGES / "done").exists():
        pytest.fail("No docker, firewalld and NetworkManager: run `make .venv/neighbours/done`", pytrace=False)
    packages = PACKAGES.resolve()
    run("mount", "-t", "overlay", "-o", f"ro,lowerdir={packages}/usr:/usr", "overlay", "/usr")
    run("cp", "-a", f"{packages}/etc/.", "/etc")


@contextlib.contextmanager
def started(words, ready):
    """A daemon that is ready when that is true; its output in a file of /run if it is not."""
    said = Path(f"/run/{words[0]}.out")
    with said.open("w") as out:
        daemon = subprocess.Popen([*map(str, words)], stdout=out, stderr=out)
    try:
        until(lambda: daemon.poll() is not None or ready(), 300)
        assert daemon.poll() is None, said.read_text()
        yield daemon
    finally:
        daemon.terminate()
        daemon.wait(120)


def bus():
    """A system bus that lets everybody do everything, and starts nobody by itself."""
    place = Path("/run/dbus")
    place.mkdir()
    (place / "bus.conf").write_text(BUS)
    return started(["dbus-daemon", f"--config-file={place}/bus.conf", "--nofork"], (place / "system_bus_socket").exists)


def firewalld():
    """firewalld as installed: nftables, zone public, ssh allowed."""
    return started(["firewalld", "--nofork", "--nopid"], lambda: said("firewall-cmd", "--state") == "running")


def network_manager():
    """NetworkManager, which answers nmcli."""
    Path("/etc/NetworkManager/NetworkManager.conf").write_text(NETWORK_MANAGER)
    asks = ["nmcli", "-t", "-f", "RUNNING", "general"]
    return started(["NetworkManager", "--no-daemon"], lambda: said(*asks) == "running")


@contextlib.contextmanager
def dockerd():
    """dockerd as installed, with files and control groups of its own."""
    if not os.path.ismount("/sys/fs/cgroup"):
        run("mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
    group = Path(f"/sys/fs/cgroup/onepass-docker-{os.getpid()}")
    DOCKER.mkdir(exist_ok=True)
    places = [f"--data-root={DOCKER}/data", f"--exec-root={DOCKER}/exec", f"--pidfile={DOCKER}/pid"]
    lean = ["--storage-driver=vfs", "--exec-opt=native.cgroupdriver=cgroupfs", f"--cgroup-parent=/{group.name}"]
    asks = [DOCKER_CLI, "info", "--format={{.ServerVersion}}"]
    try:
        with started(["dockerd", *places, *lean], lambda: said(*asks)) as daemon:
            yield daemon
    finally:
        if group.exists():
            group.rmdir()


def container(name, port, greeting):
    """A container at a published port, which greets whoever connects."""
    with tarfile.open("/run/image.tar", "w") as image:
        image.add(PACKAGES / "bin/busybox", "busybox")
    docker("import", "/run/image.tar", "greeter")
    listen = ["/busybox", "nc", "-ll", "-p", "80", "-e", "/busybox", "echo", greeting]
    life = ["--detach", "--restart=always", "--stop-signal=KILL"]
    docker("run", f"--name={name}", f"--publish={port}:80", *life, "greeter", *listen)


def docker(*words):
    return run(DOCKER_CLI, *words)


def said(*words):
    """What a program prints, without blanks; empty when it fails."""
    return run(*words, check=False, timeout=120).strip()
