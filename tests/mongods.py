"""Real mongods on loopback for tests and benchmarks: started side by side, gone with the process that started them."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pymongo

HOST = "127.0.0.1"
PORTS = range(20000, 32000)  # below the kernel's ephemeral ports, so no client's own port is ever in the way
START_SECONDS = 60
ROLES = {None: [], "shardsvr": ["--shardsvr"], "configsvr": ["--configsvr"]}
SMALL_AND_QUICK = [
    *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"),
    *("--wiredTigerEngineConfigString", "log=(file_max=8MB,prealloc=false)"),
    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
]


class Mongod:
    """One mongod; ``host``, ``port``, ``address``, ``dbpath``, ``log`` outlast ``stop()`` and ``start()``."""

    def __init__(self, binary, port: int, home: Path, options: list, keyfile: str | None = None, host: str = HOST):
        self.host = host
        self.port = port
        self.address = f"{host}:{port}"
        self.dbpath = home / "db"
        self.log = home / "log"
        self.dbpath.mkdir(parents=True)
        self._command = [
            *("setpriv", "--pdeathsig", "KILL", str(binary), "--nounixsocket"),
            *("--bind_ip", ",".join(dict.fromkeys((HOST, host)))),
            *("--port", str(port), "--dbpath", str(self.dbpath), "--logappend", "--logpath", str(self.log)),
            *SMALL_AND_QUICK,
            *options,
            *(("--keyFile", str(_secret_file(home / "keyfile", keyfile))) if keyfile else ()),
        ]
        self._process = None

    @property
    def pid(self):
        """The process id, or None while it is down."""
        return self._process.pid if self.running else None

    @property
    def running(self):
        """True from ``launch()`` until the process has ended, for whatever reason."""
        return self._process is not None and self._process.poll() is None

    def launch(self):
        """Start the process and return at once."""
        with self.log.open("a") as log:  # a bad option is told on stderr, before the log is opened
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def wait(self):
        """Return when it listens; raise with the end of its log if it ended or took too long."""
        deadline = time.monotonic() + START_SECONDS
        while not listens(self.port, self.host):
            if not self.running or time.monotonic() > deadline:
                raise RuntimeError(f"mongod on {self.address} does not listen. The end of its log:\n{self._log_tail()}")
            time.sleep(0.01)

    def start(self):
        """Start it (again) on the same port and data, and wait until it listens."""
        self.launch()
        self.wait()

    def move(self, port):
        """Have it listen elsewhere when it is started again; its set does not know it there."""
        self._command[self._command.index("--port") + 1] = str(port)
        self.port, self.address = port, f"{self.host}:{port}"

    def stop(self):
        """End it in good order (SIGTERM) and wait for that."""
        self._end(signal.SIGTERM)

    def kill(self):
        """End it as a power cut would (SIGKILL) and wait for that."""
        self._end(signal.SIGKILL)

    def client(self, **options):
        """A pymongo client of this member alone; two seconds to find it, unless told otherwise."""
        defaults = {"directConnection": True, "serverSelectionTimeoutMS": 2000}
        return pymongo.MongoClient(self.host, self.port, **{**defaults, **options})

    def _end(self, how):
        if self.running:
            self._process.send_signal(how)
        if self._process is not None:
            self._process.wait()

    def _log_tail(self):
        return "\n".join(self.log.read_text().splitlines()[-15:])

    def __repr__(self):
        return f"<mongod {self.address} pid {self.pid}>"


@contextlib.contextmanager
def factory(binary):
    """Yield ``mongods(n, replset, role, keyfile, args, host)``; all that it starts is killed, and its data deleted."""
    home = Path(tempfile.mkdtemp(prefix="mongods-"))
    started = []

    def mongods(n=1, replset=None, role=None, keyfile=None, args=(), host=HOST):
        options = [*(["--replSet", replset] if replset else []), *ROLES[role], *args]
        ports = free_ports(n, taken={member.port for member in started})
        members = [Mongod(binary, port, home / str(port), options, keyfile, host) for port in ports]
        started.extend(members)
        for member in members:
            member.launch()
        for member in members:
            member.wait()
        return members

    try:
        yield mongods
    finally:
        for member in started:
            member.kill()
        shutil.rmtree(home)


def _secret_file(path, text):
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as out:
        out.write(text)
    return path


def free_ports(n, taken):
    ports = []
    for port in random.sample(PORTS, len(PORTS)):
        if len(ports) == n:
            break
        if port not in taken and _is_free(port):
            ports.append(port)
    return ports


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return True
    return False


def listens(port, host=HOST):
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False
