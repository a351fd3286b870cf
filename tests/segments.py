"""A branch in network namespaces: headquarters, gateway, switch, two blank workstations, and their VMs.

    HQ 192.0.2.10 --- wan0[ gw ]eth0 ---+--- switch --- eth0[ h1 ] --- vnet0 --- VM1 10.1.5.11
                      192.0.2.1  10.1.5.1 |
                                          +------------ eth0[ h2 ] --- vnet0 --- VM2 10.1.5.12

The hosts have no address, no bridge and no rules: that is what the tests are about. Headquarters has a route to the
branch and none to 169.254.0.0/16. Nothing outside of the namespaces is touched; all is gone at the end of the block.
"""

import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
NAMES = ("hq", "gw", "switch", "h1", "h2", "vm1", "vm2")
SERVER = """
import socket, sys, threading
name, *ports = sys.argv[1:]
def talk(connection, peer, port):
    with connection:
        connection.sendall(f"{name}:{port} from {peer}\\n".encode())
        while data := connection.recv(999):
            connection.sendall(data)
def serve(port):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    print("ready", flush=True)
    while True:
        connection, peer = listener.accept()
        peer = peer[0].removeprefix("::ffff:")
        threading.Thread(target=talk, args=(connection, peer, port), daemon=True).start()
for port in ports:
    threading.Thread(target=serve, args=(int(port),)).start()
"""
libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(path):
    """This thread, and what it starts, in the network namespace of that path."""
    with open("/proc/thread-self/ns/net") as home, open(path) as there:
        _enter(there)
        try:
            yield
        finally:
            _enter(home)


def _enter(namespace):
    if libc.setns(namespace.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns; this needs root")


class Segment:
    """The branch; ``mac(1)`` and ``ip(1)`` are those of VM1."""

    def __init__(self):
        self.prefix = f"bn{os.getpid()}"
        self.servers = {}

    def __enter__(self):
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_):
        self._remove()

    @staticmethod
    def mac(number):
        return f"52:54:00:00:05:1{number}"

    @staticmethod
    def ip(number):
        return f"10.1.5.1{number}"

    def inside(self, name):
        return inside(f"/run/netns/{self.prefix}-{name}")

    def run(self, name, *words, text=None, check=True):
        """A command in a namespace; its output."""
        return self._done(name, ["ip", "netns", "exec", f"{self.prefix}-{name}", *words], text, check)

    def link(self, name, *words, text=None):
        """``ip`` in a namespace."""
        return self._done(name, ["ip", "-n", f"{self.prefix}-{name}", *words], text)

    def links(self, name, *lines):
        """Several at once."""
        self.link(name, "-batch", "-", text="".join(f"{line}\n" for line in lines))

    @staticmethod
    def _done(name, command, text=None, check=True):
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError(f"{name}: {' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def set(self, name, **values):
        """Kernel settings; a double underscore stands for a dot."""
        self.run(name, "sysctl", "-qw", *[f"{key.replace('__', '.')}={value}" for key, value in values.items()])

    def serve(self, name, *ports):
        """A server in a namespace that says its name and the client's address, and then echoes."""
        server = self._launch(name, *ports)
        for _ in ports:
            server.stdout.readline()

    def _launch(self, name, *ports):
        program = [sys.executable, "-S", "-c", SERVER, name.upper(), *map(str, ports)]
        command = ["ip", "netns", "exec", f"{self.prefix}-{name}", *program]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.servers.setdefault(name, []).append(server)
        return server

    def get(self, name, address, port, timeout=5):
        """What a new connection from a namespace is greeted with; ``None`` when nobody answers in time."""
        self._done("gw", ["ip", "-n", f"{self.prefix}-gw", "neigh", "flush", "all"], check=False)
        with contextlib.suppress(OSError), self.connect(name, address, port, timeout) as connection:
            return connection.recv(99).decode().strip()

    def connect(self, name, address, port, timeout=5):
        with self.inside(name):
            return socket.create_connection((address, port), timeout)

    def vm_up(self, number, bridge="virbr0"):
        """The tap appears on the bridge, and the VM behind it has its address."""
        host, vm = f"h{number}", f"vm{number}"
        peer = ["peer", "name", "eth0", "address", self.mac(number), "netns", f"{self.prefix}-{vm}"]
        self.link(host, "link", "add", "vnet0", "type", "veth", *peer)
        self.link(host, "link", "set", "vnet0", "master", bridge, "up")
        address = f"address add {self.ip(number)}/24 dev eth0"
        self.links(vm, "link set eth0 up", address, "route add default via 10.1.5.1")
        if vm not in self.servers:
            self.serve(vm, 22, 3389)

    def vm_down(self, number):
        """The tap goes, with its learned MAC."""
        self.link(f"h{number}", "link", "del", "vnet0")

    def new_uplink(self, number, bridge="virbr0"):
        """The uplink's device is made anew: another index, another MAC."""
        host = f"h{number}"
        self.link(host, "link", "del", "eth0")
        self._cable(host, "eth0", "switch", f"to-{host}")
        self.link("switch", "link", "set", f"to-{host}", "master", "sw0")
        self.link(host, "link", "set", "eth0", "master", bridge)

    def ruleset(self, name):
        """All that is loaded in a namespace, as nft lists it."""
        return self.run(name, "nft", "list", "ruleset")

    def _build(self):
        for name in NAMES:
            subprocess.run(["ip", "netns", "add", f"{self.prefix}-{name}"], check=True)
            self.link(name, "link", "set", "lo", "up")
        starting = [self._launch(name, port) for name, port in (("h1", 22), ("h2", 22), ("hq", 80))]
        self._cable("hq", "wan0", "gw", "wan0")
        self.links("hq", "address add 192.0.2.10/24 dev wan0", "route add 10.1.5.0/24 via 192.0.2.1")
        for name in ("gw", "h1", "h2"):
            self._cable(name, "eth0", "switch", f"to-{name}")
        ports = [f"link set to-{name} master sw0" for name in ("gw", "h1", "h2")]
        self.links("switch", "link add sw0 up type bridge", *ports)
        self.links("gw", "address add 192.0.2.1/24 dev wan0", "address add 10.1.5.1/24 dev eth0")
        for name in ("switch", "h1", "h2"):
            self.set(name, **{"net__bridge__bridge-nf-call-iptables": 0, "net__bridge__bridge-nf-call-ip6tables": 0})
        for server in starting:
            server.stdout.readline()

    def _cable(self, one, device, other, peer):
        pair = f"type veth peer name {peer} netns {self.prefix}-{other}"
        self.links(one, f"link add {device} {pair}", f"link set {device} up")
        self.link(other, "link", "set", peer, "up")

    def _remove(self):
        for server in [each for servers in self.servers.values() for each in servers]:
            server.kill()
            server.wait()
            server.stdout.close()
        for name in NAMES:
            place = f"{self.prefix}-{name}"
            for pid in subprocess.run(["ip", "netns", "pids", place], capture_output=True, text=True).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), 9)
            subprocess.run(["ip", "netns", "del", place], capture_output=True)


def wait_until(condition, timeout=60):
    """Look until the condition holds; whether it did."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
