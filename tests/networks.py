"""A host of the tests' own: this very process moves into new network and mount namespaces, and comes back.

Nothing of the machine is touched: its devices are not seen, and the directories that libvirt and dnsmasq write to are
covered by empty ones. What runs there ends with it.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import dns.message
import dns.query

CLONE_FS, CLONE_NEWNS, CLONE_NEWNET = 0x00000200, 0x00020000, 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
COVERED = ("/etc/libvirt", "/run", "/var/lib/libvirt", "/var/lib/misc", "/var/cache/libvirt", "/var/log/libvirt")
OTHERS = (*COVERED, "/var/lib/onepass-lab")  # below these are mounts that are not ours
MARK = "ONEPASS_TEST_HOST"
UPSTREAM = "198.51.100"
LIBVIRTD = """
listen_tls = 0
listen_tcp = 0
auth_unix_rw = "none"
"""
QEMU = """
cgroup_controllers = []
namespaces = []
security_driver = "none"
user = "root"
group = "root"
stdio_handler = "file"
"""


def run(*words, check=True, **more):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, **more)
    assert not (check and done.returncode), f"{' '.join(map(str, words))}: {done.stderr.strip()}"
    return done.stdout


def until(condition, seconds=60):
    """Wait for a true value and answer it."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{condition} did not come true in {seconds} s"
        time.sleep(0.02)
    return value


@contextlib.contextmanager
def host(folder):
    """This process on a host without network, with a copy of /etc and empty directories; back again at the end."""
    names = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("mnt", "net")]
    here, os.environ[MARK] = os.getcwd(), str(folder)
    try:
        _checked(LIBC.unshare(CLONE_NEWNS | CLONE_NEWNET))
        run("mount", "--make-rprivate", "/")
        _let_go()
        run("mount", "-t", "sysfs", "sysfs", "/sys")
        run("cp", "-a", "/etc", folder / "etc")
        run("mount", "--bind", folder / "etc", "/etc")
        for path in COVERED:
            run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", path)
        run("ip", "link", "set", "lo", "up")
        yield
    finally:
        _end_all(str(folder))
        del os.environ[MARK]
        _checked(LIBC.unshare(CLONE_FS))  # with libvirt's thread, which stays
        for handle in names:
            _checked(LIBC.setns(handle, 0))
            os.close(handle)
        os.chdir(here)


def _let_go():
    """What others have mounted, a lab its hosts' disks, is not held by us when they unmount it."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in reversed([each for each in points if each.startswith(tuple(f"{place}/" for place in OTHERS))]):
        run("umount", "--lazy", point, check=False)


def _checked(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _end_all(mark):
    """Every process that was started there, by its number: it has our mount namespace, or our mark."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        for pid in _processes(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, kind)
        with contextlib.suppress(AssertionError):
            until(lambda: not _processes(mark), 3)


def _processes(mark):
    mine, sought, found = os.readlink("/proc/self/ns/mnt"), f"{MARK}={mark}".encode(), []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            ours = os.readlink(path / "ns/mnt") == mine or sought in (path / "environ").read_bytes().split(b"\0")
            if ours and int(path.name) != os.getpid() and not _is_zombie(path.name):
                found.append(int(path.name))
    return found


def _is_zombie(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


@contextlib.contextmanager
def libvirtd():
    """A libvirtd of our own behind the usual socket."""
    for name in ("qemu", "qemu/networks/autostart", "qemu/autostart", "nwfilter"):
        Path("/etc/libvirt", name).mkdir(parents=True, exist_ok=True)
    Path("/etc/libvirt/libvirtd.conf").write_text(LIBVIRTD)
    Path("/etc/libvirt/qemu.conf").write_text(QEMU)
    with open("/var/log/libvirt/out", "w") as log:
        daemon = subprocess.Popen(["libvirtd"], stdout=log, stderr=log)
    try:
        until(lambda: Path("/run/libvirt/libvirt-sock").exists() or daemon.poll() is not None)
        assert daemon.poll() is None, Path("/var/log/libvirt/out").read_text()
        yield daemon
    finally:
        daemon.terminate()
        daemon.wait(120)


class Nameservers:
    """Real upstream nameservers behind a wire, each a dnsmasq that answers every name with an address of its own."""

    def __init__(self, folder):
        self.folder, self.running = folder, {}
        namespace("upstream")
        wire("up0", "upstream", "eth0", f"{UPSTREAM}.2/24")
        run("ip", "address", "add", f"{UPSTREAM}.1/24", "dev", "up0")
        run("ip", "link", "set", "up0", "up")

    def start(self, number, *options):
        """The one at .number; by default it answers every name with 203.0.113.number."""
        address = f"{UPSTREAM}.{number}"
        if number in self.running:
            self.stop(number)
        here = number == 1  # the host itself
        if not here:
            within("upstream", "ip", "address", "replace", f"{address}/24", "dev", "eth0")
        pid = self.folder / f"{number}.pid"
        pid.unlink(missing_ok=True)
        words = [
            "--no-hosts",
            "--no-resolv",
            "--bind-interfaces",
            f"--listen-address={address}",
            "--except-interface=lo",
        ]
        words += options or [f"--address=/#/203.0.113.{number}"]
        words = ["dnsmasq", "--conf-file=/dev/null", f"--pid-file={pid}", "--user=root", *words]
        run(*words) if here else within("upstream", *words)
        self.running[number] = int(until(lambda: pid.exists() and pid.read_text().strip()))
        return address

    def stop(self, number):
        pid = self.running.pop(number)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda: _is_zombie(pid))


def namespace(name):
    Path("/run/netns").mkdir(exist_ok=True)
    run("ip", "netns", "add", name)
    within(name, "ip", "link", "set", "lo", "up")


def within(name, *words, **more):
    return run("ip", "netns", "exec", name, *words, **more)


def wire(near, name, far, address=None):
    run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
    if address:
        within(name, "ip", "address", "add", address, "dev", far)
    within(name, "ip", "link", "set", far, "up")


VM = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><interface type='network'><source network='{network}'/>
<model type='virtio'/><rom enabled='no'/></interface><controller type='usb' model='none'/><memballoon model='none'/>
</devices></domain>
"""


@contextlib.contextmanager
def domain(name, network):
    """A running domain of libvirt's with no disk and one device on the network; answers that device."""
    file = Path(f"/run/{name}.xml")
    file.write_text(VM.format(name=name, network=network))
    run("virsh", "-q", "create", "--paused", file)
    try:
        yield re.search(r"(vnet\d+)", run("virsh", "-q", "domiflist", name)).group(1)
    finally:
        run("virsh", "-q", "destroy", name)


@contextlib.contextmanager
def resolved(binary):
    """A real systemd-resolved, which answers at 127.0.0.53."""
    for file, line in (
        ("passwd", "systemd-resolve:x:990:990::/:/usr/sbin/nologin"),
        ("group", "systemd-resolve:x:990:"),
    ):
        text = Path("/etc", file).read_text()
        if "systemd-resolve:" not in text:
            Path("/etc", file).write_text(f"{text}{line}\n")
    Path("/run/systemd/resolve").mkdir(parents=True, exist_ok=True)
    shutil.chown("/run/systemd/resolve", "systemd-resolve", "systemd-resolve")
    daemon = subprocess.Popen([binary], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: "127.0.0.53%lo:53" in run("ss", "-Hlnu"))
        yield
    finally:
        daemon.terminate()
        daemon.wait(120)


class Guest:
    """A guest on a bridge, as seen from inside: a namespace with a real DHCP client."""

    def __init__(self, name, bridge, mac=None):
        self.name, self.tap = name, f"t-{name}"
        namespace(name)
        wire(self.tap, name, "eth0")
        if mac:
            within(name, "ip", "link", "set", "eth0", "address", mac)
        run("ip", "link", "set", self.tap, "master", bridge, "up")

    def lease(self):
        """Ask for an address under our name, and take it; answers it."""
        script = Path("/run/dhcp-script")
        if not script.exists():
            script.write_text(
                '#!/bin/sh\n[ "$1" = bound ] || exit 0\nip address replace "$ip/$mask" dev "$interface"\n'
                '[ -z "$router" ] || ip route replace default via "$router"\n'
            )
            script.chmod(0o755)
        words = ("-i", "eth0", "-n", "-q", "-f", "-t", "10", "-T", "1", "-x", f"hostname:{self.name}", "-s", script)
        within(self.name, "busybox", "udhcpc", *words, timeout=60)
        return re.search(r"inet ([0-9.]+)/", within(self.name, "ip", "-4", "address", "show", "dev", "eth0")).group(1)

    def ping(self, address):
        """
        Ping a hundred times a second, from the first reply until the result is asked for, and ten times at least: a
        function that answers (received, lost).
        """
        words = ["ip", "netns", "exec", self.name, "ping", "-n", "-i", "0.01", "-W", "1", "-w", "300", address]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        begun = next(line for line in process.stdout if "icmp_seq=" in line)

        def result():
            seen = [begun]
            while len(seen) < 10 and (line := process.stdout.readline()):
                seen += [line] if "icmp_seq=" in line else []
            process.send_signal(signal.SIGINT)
            numbers = [int(each) for each in re.findall(r"icmp_seq=(\d+)", "".join(seen) + process.stdout.read())]
            process.wait(120)
            return len(numbers), max(numbers) - len(numbers)  # the last one may still be on its way

        return result

    def remove(self):
        run("ip", "link", "delete", self.tap)
        run("ip", "netns", "delete", self.name)


def dig(name, server, kind="A", timeout=5.0):
    """What a nameserver says: sorted texts, or the name of what it said instead."""
    query = dns.message.make_query(name, kind)
    said, _ = dns.query.udp_with_fallback(query, server, timeout=timeout)
    answers = sorted(item.to_text().strip('"') for rrset in said.answer for item in rrset)
    return answers or dns.rcode.to_text(said.rcode())


def dnsmasqs():
    """The dnsmasqs of our own network namespace that go on: number to command line. Each forks for its scripts."""

    def still():
        found = _dnsmasqs()
        time.sleep(0.1)
        return found == _dnsmasqs() and [found]

    return until(still)[0]


def _dnsmasqs():
    mine, found = os.readlink("/proc/self/ns/net"), {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().decode().split("\0")
            if words[0].endswith("dnsmasq") and os.readlink(path / "ns/net") == mine:
                found[int(path.name)] = words
    return found


def kill_dnsmasqs():
    """libvirt's are pairs: the second may end by itself when the first dies."""
    for pid in dnsmasqs():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not dnsmasqs())


def master(device):
    return (re.search(r" master (\S+)", run("ip", "-o", "link", "show", "dev", device)) or [None, None])[1]
