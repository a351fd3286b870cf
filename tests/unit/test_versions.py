"""What is pinned, what setup.cfg lets in, and what docs/support.md and README say of both."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tree import ROOT

ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| (tested|should work|not) \| ([^|]*) \|$", re.MULTILINE)
PAGE = (ROOT / "docs" / "support.md").read_text()
TABLE = [tuple(cell.strip() for cell in row) for row in ROW.findall(PAGE)]
PACKAGES = [
    "Salt",
    "jsonschema",
    "PyMongo",
    "libvirt-python",
    "pycdlib",
    "dnspython",
    "Keystone",
    "Neutron",
    "openstacksdk",
]
DEBIAN = {
    "dnsmasq": "dnsmasq-base",
    "docker": "docker.io",
    "ebtables": "ebtables",
    "firewalld": "firewalld",
    "iptables": "iptables",
    "libvirt": "libvirt-daemon",
    "NetworkManager": "network-manager",
    "nscd": "nscd",
    "nftables": "nftables",
    "Python": "python3",
    "QEMU": "qemu-system-x86",
    "systemd": "systemd",
    "systemd-resolved": "systemd-resolved",
}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name.lower())


def pins():
    """(package, version, file) of every pin."""
    return {
        (canonical(name), version, str(path.relative_to(ROOT)))
        for path in (ROOT / "tests").rglob("*.txt")
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", path.read_text(), re.MULTILINE)
    }


def versions(part, state):
    return {version for name, version, found, _ in TABLE if (name, found) == (part, state)}


def setup_cfg():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def lowest():
    """The lowest version of each requirement that setup.cfg lets in."""
    config = setup_cfg()
    lists = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    return dict(re.findall(r"([\w-]+) >=([\d.]+)", "\n".join(lists)))


def test_a_package_has_one_version_in_all_files():
    """Except for what has to differ: two Salts, and the peer's openstacksdk."""
    found = {}
    for name, version, path in pins():
        if name != "salt" and (name, path) != ("openstacksdk", "tests/bench/requirements.txt"):
            found.setdefault(name, set()).add(version)
    assert {name: several for name, several in found.items() if len(several) > 1} == {}


def test_every_row_of_the_support_tables_is_read():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| part", "| ---"))]
    assert len(rows) == len(TABLE)


@pytest.mark.parametrize("part", PACKAGES)
def test_the_tested_versions_are_the_pinned_ones(part):
    pinned = {version for name, version, path in pins() if name == part.lower() and "bench" not in path}
    assert versions(part, "tested") == pinned


def test_the_tested_mongod_is_the_labs():
    [version] = re.findall(
        r"^release=mongodb-lab-([\d.]+)$", (ROOT / "tests/lab/archive/build").read_text(), re.MULTILINE
    )
    assert versions("mongod", "tested") == {version}
    assert f"(tested with {version})" in (ROOT / "README.md").read_text()


def test_what_should_work_is_what_setup_cfg_lets_in():
    parts = {part.lower(): part for part in PACKAGES}
    for name, version in lowest().items():
        assert f"{version} and later" in versions(parts[name], "should work"), name


def test_the_pythons_of_all_files_agree():
    oldest = setup_cfg()["options"]["python_requires"].removeprefix(">=")
    tested = versions("Python", "tested")
    readme, makefile = ((ROOT / name).read_text() for name in ("README.md", "Makefile"))
    assert versions("Python", "should work") == {f"{oldest} and later"}
    assert f"Python {oldest} and later (tested with {' and '.join(sorted(tested))})" in readme
    assert f"--target={oldest}-" in makefile
    assert f'target-version = "py{oldest.replace(".", "")}"' in (ROOT / ".ruff.toml").read_text()
    assert set(re.findall(r"Python :: (3\.\d+)", setup_cfg()["metadata"]["classifiers"])) == tested
    assert set(re.findall(r"--python-version (\S+)", (ROOT / "tests/python313").read_text())) <= tested


def test_a_tested_row_names_runs_that_there_are():
    targets = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    for part, version, state, where in TABLE:
        runs = re.findall(r"`(?:make )?((?:test|demo)[\w-]*)`", where)
        assert set(runs) <= set(targets), part
        assert bool(runs) or state != "tested" or part == "Debian", (part, version)


def test_the_debian_packages_are_of_the_tested_versions():
    """Where this machine is a Debian 12 whose lists of packages are there."""
    release = Path("/etc/os-release")
    if "bookworm" not in (release.read_text() if release.exists() else "") or not shutil.which("apt-cache"):
        pytest.skip("no Debian 12")
    shown = subprocess.run(["apt-cache", "policy", *DEBIAN.values()], capture_output=True, text=True).stdout
    offered = dict(re.findall(r"^(\S+):\n.*\n  Candidate: (?:\d+:)?(\d[^-+~\n]*)", shown, re.MULTILINE))
    for part, package in DEBIAN.items():
        has = offered.get(package)
        assert not has or any(f"{has}.".startswith(f"{version}.") for version in versions(part, "tested")), (part, has)
