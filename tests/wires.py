"""Two namespaces of the tests' own, and a wire between them that loses frames and takes its time; as root.

The kernels of many machines have no netem: the wire is a process between two taps.
"""

import contextlib
import fcntl
import os
import struct
import subprocess
import sys

from segments import inside

HERE, THERE = "10.66.0.1", "10.66.0.2"
TUNSETIFF, TAP_WITHOUT_INFORMATION = 0x400454CA, 0x0002 | 0x1000
WIRE = """
import heapq, itertools, os, random, select, sys, time
one, other = ends = [int(word) for word in sys.argv[1:3]]
seconds, loss = map(float, sys.argv[3:])
under_way, number = [], itertools.count()
while True:
    wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
    for end in select.select(ends, [], [], wait)[0]:
        frame = os.read(end, 65536)
        if random.random() >= loss:
            heapq.heappush(under_way, (time.monotonic() + seconds, next(number), other if end == one else one, frame))
    while under_way and under_way[0][0] <= time.monotonic():
        _, _, end, frame = heapq.heappop(under_way)
        os.write(end, frame)
"""


class Wire:
    """``here`` and ``there`` with an address each; ``is_bad(seconds, loss)``: what every frame takes, one way."""

    def __init__(self):
        self.prefix, self.ends, self.process = f"wire{os.getpid()}", [], None

    def __enter__(self):
        try:
            for name, address in (("here", HERE), ("there", THERE)):
                self._ip("netns", "add", f"{self.prefix}-{name}")
                with self.inside(name):
                    self.ends.append(self._tap())
                self._ip("-n", f"{self.prefix}-{name}", "address", "add", f"{address}/24", "dev", "wire0")
                for device in ("lo", "wire0"):
                    self._ip("-n", f"{self.prefix}-{name}", "link", "set", device, "up")
            self.is_good()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._cut()
        for end in self.ends:
            os.close(end)
        for name in ("here", "there"):
            with contextlib.suppress(RuntimeError):
                self._ip("netns", "del", f"{self.prefix}-{name}")

    def inside(self, name):
        """This thread, and what it starts, is in a namespace."""
        return inside(f"/run/netns/{self.prefix}-{name}")

    def run(self, name, *words, text=None):
        return self._ip("netns", "exec", f"{self.prefix}-{name}", *words, text=text)

    def is_bad(self, seconds=0.0, loss=0.0):
        self._cut()
        words = [sys.executable, "-S", "-c", WIRE, *map(str, (*self.ends, seconds, loss))]
        self.process = subprocess.Popen(words, pass_fds=self.ends)

    def is_good(self):
        self.is_bad()

    def _cut(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    @staticmethod
    def _tap():
        end = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH", b"wire0", TAP_WITHOUT_INFORMATION))
        return end

    @staticmethod
    def _ip(*words, text=None):
        done = subprocess.run(["ip", *words], input=text, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"ip {' '.join(words)}: {done.stderr}")
        return done.stdout
