"""A private KVM host for tests: libvirtd, QEMU under TCG and dnsmasq in namespaces of their own, and tiny guests."""

import ctypes
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import libvirt

from tree import ROOT

GUEST = ROOT / ".venv" / "guest"
TEMPLATE_ID = "0123456789abcdef0123456789abcdef"
PRIVATE = {"run": "/run/libvirt", "lib": "/var/lib/libvirt", "cache": "/var/cache/libvirt", "log": "/var/log/libvirt"}
DOMAIN = "guests.test"
GATEWAY = "192.168.77.1"

NETWORK = f"""
<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>
  <name>guests</name><bridge name='guests0' stp='off' delay='0'/><domain name='{DOMAIN}' localOnly='yes'/>
  <ip address='{GATEWAY}' netmask='255.255.255.0' localPtr='yes'>
    <dhcp><range start='192.168.77.10' end='192.168.77.250'/></dhcp>
  </ip>
  <dnsmasq:options><dnsmasq:option value='no-ping'/></dnsmasq:options>
</network>"""

TEMPLATE = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>112</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type><kernel>{guest}/vmlinux</kernel><initrd>{guest}/initrd.gz</initrd>
    <cmdline>console=ttyS0 quiet panic=-1</cmdline></os>
  <features><acpi/><tcg><tb-cache unit='MiB'>32</tb-cache></tcg></features>
  <on_poweroff>destroy</on_poweroff>
  <devices>{disks}
    <interface type='network'><source network='guests'/><model type='virtio'/><rom enabled='no'/></interface>
    <controller type='usb' model='none'/>
    <serial type='file'><source path='{console}'/></serial><memballoon model='none'/>
  </devices></domain>"""

DISK = """<disk type='file' device='disk'><driver name='qemu' type='{format}' cache='unsafe'/>
  <source file='{path}'/><target dev='{target}' bus='virtio'/></disk>"""

# Mounts that are not ours (a lab's hosts): we would hold them beyond their end.
OTHERS = '$5 ~ "^/(run|var/lib/onepass-lab)/"'
libvirt.registerErrorHandler(lambda *_: None, None)
# When the tests were killed, what is left in the network namespace ends too.
END = """
ours=$(readlink /proc/$$/ns/net)
for process in /proc/[0-9]*; do
    if [ "$(readlink $process/ns/net)" = "$ours" ] && [ ${process#/proc/} != $$ ]; then kill -9 ${process#/proc/}; fi
done"""

_libc = ctypes.CDLL(None, use_errno=True)


class Hypervisor:
    """One host: ``start`` it, enter its network with ``inside``, ``stop`` it. Its files are below ``root``."""

    def __init__(self):
        self.root = Path(tempfile.mkdtemp(prefix="onepass-kvm-", dir="/var/tmp"))
        self.root.chmod(0o711)  # QEMU runs as a user of its own
        self.pool = self.root / "pool"
        self.uri = f"qemu+unix:///system?socket={self.root}/run/libvirt-sock"
        self.holder = self.daemon = None

    def start(self):
        for name in (*PRIVATE, "etc", "pool", "small", "consoles", "guest"):
            (self.root / name).mkdir(mode=0o755)
        (self.root / "no-kvm").touch(mode=0o600)
        for name in ("vmlinux", "initrd.gz"):
            shutil.copy(GUEST / name, self.root / "guest" / name)  # libvirt makes it QEMU's
        (self.root / "etc/libvirtd.conf").write_text('auth_unix_rw = "none"\nlog_level = 3\n')
        (self.root / "etc/qemu.conf").write_text('security_driver = "none"\nstdio_handler = "file"\nnamespaces = []\n')
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "small", self.root / "small"], check=True)
        self.holder = self._hold()
        self.start_daemon()
        with self.connection() as host:
            host.networkDefineXML(NETWORK).create()
            for name, path in (("images", self.pool), ("small", self.root / "small")):
                pool = f"<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
                host.storagePoolDefineXML(pool).create()

    def _hold(self):
        """A process that holds the namespaces: its standard input's end is its own."""
        binds = [f"mkdir -p {place}; mount --bind {self.root}/{name} {place}" for name, place in PRIVATE.items()]
        binds.append(f"mount --bind {self.root}/etc /etc/libvirt")
        script = [
            "mount --make-rprivate /",
            # In a container some mounts are listed twice, and gone once.
            f"awk '{OTHERS} {{print $5}}' /proc/self/mountinfo | sort -r | xargs -r -n 1 umount --lazy || true",
            "mount -t tmpfs none /run",
            *binds,
            "ip link set lo up",
            f"test ! -e /dev/kvm || mount --bind {self.root}/no-kvm /dev/kvm",
            "echo ready",
            "read end || true",
            END,
        ]
        holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "sh", "-ec", "\n".join(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout.readline() == "ready\n", "no namespaces: root?"
        return holder

    def run(self, *argv, **options):
        """Start a program in the host's namespaces."""
        enter = ["nsenter", "--target", str(self.holder.pid), "--mount", "--net", "--"]
        return subprocess.Popen([*enter, *argv], **options)

    def start_daemon(self):
        with open(self.root / "libvirtd.log", "ab") as log:
            self.daemon = self.run("libvirtd", stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while True:
            with suppress(libvirt.libvirtError):
                return libvirt.open(self.uri).close()
            assert self.daemon.poll() is None and time.monotonic() < deadline, (self.root / "libvirtd.log").read_text()
            time.sleep(0.05)

    def stop_daemon(self):
        """libvirtd alone: guests and dnsmasq go on."""
        self.daemon.terminate()
        self.daemon.wait(120)

    def stop(self):
        """End everything that lives in the host's network, by process id, and remove its files."""
        inside = os.stat(f"/proc/{self.holder.pid}/ns/net").st_ino
        own = {self.holder.pid, os.getpid()}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.stat(process / "ns/net").st_ino == inside and int(process.name) not in own:
                    os.kill(int(process.name), signal.SIGKILL)
        self.daemon.wait(120)
        self.holder.communicate()
        subprocess.run(["umount", self.root / "small"], check=True)
        shutil.rmtree(self.root)

    @contextmanager
    def connection(self):
        host = libvirt.open(self.uri)
        try:
            yield host
        finally:
            host.close()

    @contextmanager
    def inside(self):
        """This thread's new sockets, and what it starts, are in the host's network."""
        with open("/proc/self/ns/net") as before, open(f"/proc/{self.holder.pid}/ns/net") as there:
            _enter(there)
            try:
                yield
            finally:
                _enter(before)

    def template(self, name="tiny", disks=("vda",), image_format="qcow2", files=None):
        """Define a template whose first disk holds a little system, with an identity of its own; its disks' paths."""
        paths = {
            target: self.pool / f"{name}{'' if not number else f'-{target}'}.img" for number, target in enumerate(disks)
        }
        for number, path in enumerate(paths.values()):
            make_disk(
                path, system(name, files) if not number else {"data": ("the template's data\n", 0o644)}, image_format
            )
        disks = "".join(DISK.format(path=path, target=target, format=image_format) for target, path in paths.items())
        text = TEMPLATE.format(
            name=name, guest=self.root / "guest", console=self.root / "consoles" / f"{name}.log", disks=disks
        )
        with self.connection() as host:
            host.storagePoolLookupByName("images").refresh()
            host.defineXML(text)
        return paths

    def clear(self):
        """Remove every domain and file that a test left; where it failed, what its guests said last is shown."""
        for console in (self.root / "consoles").iterdir():
            print(f"{console.name}:\n{console.read_text(errors='replace')[-1500:]}")
        with self.connection() as host:
            for domain in host.listAllDomains():
                if domain.isActive():
                    domain.destroy()
                domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
            for path in (each for place in ("pool", "small", "consoles") for each in (self.root / place).iterdir()):
                path.unlink()
            for pool in host.listAllStoragePools():
                pool.refresh()
        (self.root / "known_hosts").unlink(missing_ok=True)


def _enter(namespace):
    if _libc.setns(namespace.fileno(), 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")


def system(name, more=None):
    """The files of a template's first disk: path to content and mode."""
    files = {
        "etc/hostname": (f"{name}\n", 0o644),
        "etc/hosts": (f"127.0.0.1 localhost\n127.0.1.1 {name}.old.test {name}\n192.0.2.9 printer\n", 0o644),
        "etc/machine-id": (TEMPLATE_ID + "\n", 0o444),
        "etc/os-release": ("ID=tiny\n", 0o644),
        "etc/ssh/ssh_host_ed25519_key": ("the template's own\n", 0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": ("ssh-ed25519 AAAAtemplate root@template\n", 0o644),
        "etc/ssh/ssh_host_rsa_key": ("the template's own\n", 0o600),
        "etc/ssh/sshd_config": ("# all defaults\n", 0o644),
        "etc/salt/minion_id": (f"{name}.old.test\n", 0o644),
        "etc/salt/pki/minion/minion.pem": ("the template's own\n", 0o400),
        "var/lib/dbus/machine-id": (TEMPLATE_ID + "\n", 0o644),
        "var/lib/systemd/random-seed": ("not random\n", 0o600),
        "var/lib/dhcp/dhclient.eth0.leases": ("lease {}\n", 0o644),
        **(more or {}),
    }
    return {path: held for path, held in files.items() if held}


def make_disk(path, files, image_format="qcow2", size=48):
    """A disk of ``size`` MiB with one ext4 partition from 1 MiB on, which holds the files."""
    with tempfile.TemporaryDirectory() as work:
        tree, raw = Path(work, "tree"), Path(work, "raw")
        for name, (text, mode) in files.items():
            file = tree / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(mode)
        with open(raw, "wb") as disk:
            disk.truncate(size << 20)
            disk.seek(446)
            disk.write(struct.pack("<B3sB3sII", 0, b"", 0x83, b"", 2048, (size - 1) * 2048))
            disk.seek(510)
            disk.write(b"\x55\xaa")
        make = ["mke2fs", "-q", "-t", "ext4", "-d", str(tree), "-E", "offset=1048576", str(raw), f"{size - 1}m"]
        subprocess.run(make, check=True)
        subprocess.run(["qemu-img", "convert", "-O", image_format, str(raw), str(path)], check=True)
        path.chmod(0o644)


def read(address, path, timeout=180):
    """What a guest serves at a path, waited for until it does."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/{path}", timeout=2) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
