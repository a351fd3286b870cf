"""A generated estate of branches, as large as one likes, and what one minion's pillar costs there."""

import cProfile
import pstats

import salt.pillar

from tree import ROOT

_TOP = (ROOT / "pillar" / "top.sls").read_text()
# The part of pillar/top.sls that gives a minion its branch.
BRANCH_TOP = "base:\n" + _TOP[_TOP.index("  '?*.{{") : _TOP.index("  # What differs")]


def branch(number, hosts=7):
    """A generated branch, written as people write them."""
    net = f"10.{number // 250}.{number % 250}"
    machines = "".join(
        f"    ws{host:03}: {{number: {host}, vm: {{name: win-{host}, ip: {net}.{10 + host}, "
        f"mac: '52:54:{number // 256:02x}:{number % 256:02x}:00:{host:02x}'}}}}\n"
        for host in range(1, hosts + 1)
    )
    gateway = f"{{host: gw, lan: eth0, ip: {net}.1, public: 192.{number // 250}.2.{number % 250 + 1}}}"
    return f"branch:\n  name: b{number:03}\n  cidr: {net}.0/24\n  gateway: {gateway}\n  hosts:\n{machines}"


def fleet(directory, count):
    """``count`` branches as files of a directory; 700 have 5,000 workstations, and a gateway each."""
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (directory / f"b{number:03}.sls").write_text(branch(number, 7 + (number % 7 == 0)))
    return directory


def compiled(opts, root, minion):
    """The pillar that a master with the folder ``root`` gives to a minion."""
    opts = {**opts, "id": minion, "grains": {"id": minion}, "pillar_roots": {"base": [str(root)]}}
    return salt.pillar.get_pillar(opts, opts["grains"], minion, saltenv="base").compile_pillar()


def calls_to_compile(opts, root, minion):
    """How many functions Python calls for that; a clock would measure the machine too."""
    compiled(opts, root, minion)
    with cProfile.Profile() as profile:
        compiled(opts, root, minion)
    return pstats.Stats(profile).total_calls
