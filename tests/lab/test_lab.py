"""The lab itself: labs side by side, hosts that fail, and that nothing is left of a lab, whatever ended it."""

import importlib.machinery
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import machine
import pytest
import yaml
from labtool import command, lab, new_name, succeed, traces

from segments import wait_until

HERE = Path(__file__).resolve().parent

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def two_labs(site):
    """Two labs of one site, brought up at the same time."""
    names = [new_name(), new_name()]
    ups = [subprocess.Popen(command(name, "up", "--site", site), stdout=subprocess.PIPE, text=True) for name in names]
    outputs = [up.communicate(timeout=900)[0] for up in ups]
    assert [up.returncode for up in ups] == [0, 0], outputs
    yield names
    for name in names:
        lab(name, "down")


@pytest.fixture(scope="module")
def module():
    """The lab's functions."""
    loader = importlib.machinery.SourceFileLoader("onepass_lab", str(HERE / "lab"))
    loaded = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = loaded
    loader.exec_module(loaded)
    return loaded


# --- Hosts that work ---


@pytest.mark.lab
@needs_root
def test_every_minion_answers_under_its_own_name(two_labs):
    answers = yaml.safe_load(succeed(two_labs[0], "run", "salt", "*", "grains.get", "host", "--static", "--out=yaml"))
    names = succeed(two_labs[0], "run", "salt", "*", "cmd.run", "hostname", "--static", "--out=yaml")
    assert sorted(answers) == ["hq", "s1a.dc"]
    assert yaml.safe_load(names) == {name: name for name in answers}


@pytest.mark.lab
@needs_root
def test_exec_passes_input_output_and_exit_code_through(two_labs):
    done = lab(two_labs[0], "exec", "s1a.dc", "sh", "-c", "cat; echo err >&2; exit 7", input="in")
    assert (done.returncode, done.stdout, done.stderr) == (7, "in", "err\n")
    assert "no host nope" in lab(two_labs[0], "exec", "nope", "true").stderr


@pytest.mark.lab
@needs_root
def test_the_master_serves_the_checkout_and_the_archive_and_keeps_its_secrets(two_labs):
    secret = "/srv/lab/pillar/secrets/mongodb.sls"
    assert succeed(two_labs[0], "run", "stat", "-c", "%a", "/srv/lab/pillar", secret).split() == ["700", "600"]
    assert lab(two_labs[0], "run", "touch", "/srv/onepass/x").returncode != 0
    local = yaml.safe_load(succeed(two_labs[0], "run", "cat", "/srv/lab/pillar/local.sls"))["mongodb"]
    digest = succeed(two_labs[0], "run", "sha256sum", "/srv/lab/files/archives/mongodb-lab.tgz").split()[0]
    assert local["install"]["source_hash"] == f"sha256={digest}"
    assert succeed(two_labs[0], "run", "cat", secret) != succeed(two_labs[1], "run", "cat", secret)


@pytest.mark.lab
@needs_root
def test_a_host_that_was_killed_or_rebooted_comes_back_with_its_disk(two_labs, site):
    name = two_labs[0]
    succeed(name, "exec", "s1a.dc", "sh", "-c", "echo kept > /root/note; sync")
    succeed(name, "kill", "s1a.dc")
    assert re.search(r"s1a\.dc .* off", succeed(name, "list"))
    assert lab(name, "exec", "s1a.dc", "true").returncode == 255
    succeed(name, "up", "--site", site)
    beside = subprocess.Popen(["nsenter", f"--net=/run/onepass-lab/{name}/s1a.dc.net", "sleep", "300"])
    try:
        succeed(name, "reboot", "s1a.dc")
        assert beside.poll() == -signal.SIGKILL  # in the network that was replaced nobody would find it
    finally:
        beside.kill()
    assert succeed(name, "exec", "s1a.dc", "cat", "/root/note") == "kept\n"
    assert succeed(name, "run", "salt", "s1a.dc", "test.ping", "--out=txt") == "s1a.dc: True\n"


@pytest.mark.lab
@needs_root
def test_a_cable_that_was_cut_carries_nothing_until_it_is_mended(two_labs):
    ping = ["run", "ping", "-c1", "-W1", "-q", "s1a.dc"]
    succeed(two_labs[0], *ping)
    succeed(two_labs[0], "cut", "s1a.dc")
    assert lab(two_labs[0], *ping).returncode == 1
    succeed(two_labs[0], "mend", "s1a.dc")
    succeed(two_labs[0], *ping)


@pytest.mark.lab
@needs_root
def test_a_larger_site_adds_hosts_to_a_running_lab(two_labs, site, tmp_path):
    smaller = yaml.safe_load(site.read_text())
    larger = tmp_path / "larger.yaml"
    larger.write_text(yaml.safe_dump(smaller | {"hosts": {"s0.dc": {"roles": ["shard"]}, **smaller["hosts"]}}))
    before = succeed(two_labs[0], "list").splitlines()
    secrets = succeed(two_labs[0], "run", "cat", "/srv/lab/pillar/secrets/mongodb.sls")
    succeed(two_labs[0], "up", "--site", larger)
    assert succeed(two_labs[0], "list").splitlines()[:-1] == before
    assert secrets == succeed(two_labs[0], "run", "cat", "/srv/lab/pillar/secrets/mongodb.sls")
    succeed(two_labs[0], "exec", "s1a.dc", "ping", "-c1", "-W1", "-q", "s0.dc")


@pytest.mark.lab
@needs_root
def test_down_leaves_nothing_and_does_not_touch_another_lab(two_labs):
    succeed(two_labs[0], "down")
    assert traces(two_labs[0]) == []
    assert succeed(two_labs[1], "run", "salt", "*", "test.ping", "--out=txt").count("True") == 2
    succeed(two_labs[1], "down")
    assert traces(two_labs[1]) == []
    succeed(two_labs[1], "down")


# --- Labs that were interrupted ---


@pytest.mark.lab
@needs_root
@pytest.mark.parametrize("seconds", [0.2, 0.4, 0.7, 1.5, 4])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_after_an_interrupted_up(fresh, two_labs, site, number, seconds):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    up = subprocess.Popen(command(fresh, "up", "--site", site), start_new_session=True, **pipes)
    time.sleep(seconds)
    os.killpg(up.pid, number)  # as a terminal does
    said, hint = up.communicate(timeout=120)
    if said and number == signal.SIGINT:  # else Python itself was not yet there
        assert (up.returncode, hint.count("lab down removes what there is")) == (130, 1)
    succeed(fresh, "down")
    assert traces(fresh) == []


@pytest.mark.lab
@needs_root
def test_an_interrupted_build_leaves_no_process_and_no_mount(fresh, tmp_path):
    cache = {"env": os.environ | {"XDG_CACHE_HOME": str(tmp_path)}}
    up = subprocess.Popen(command(fresh, "up"), stdout=subprocess.PIPE, text=True, **cache)
    for line in up.stdout:
        if "Debian packages" in line:
            break
    time.sleep(3)
    up.kill()
    up.wait()

    def left():
        return [trace for trace in traces(str(tmp_path)) if not trace.startswith("/tmp")]

    assert wait_until(lambda: left() == []), left()
    assert not list((tmp_path / "onepass-lab").glob("?" * 12))


@pytest.mark.lab
@needs_root
def test_up_and_down_after_the_machine_was_switched_off(fresh, site):
    for remedy in (["up", "--site", site], ["down"]):
        succeed(fresh, "up", "--site", site)
        switch_machine_off(fresh)
        succeed(fresh, *remedy)
    assert traces(fresh) == []


def switch_machine_off(name):
    """What a machine that was switched off keeps of a lab: its disks. Processes, mounts and /run are gone."""
    for host in ("hq", "s1a.dc"):
        succeed(name, "kill", host)
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    subprocess.run(["umount", *[point for point in points if f"/{name}/" in point]], check=True)
    subprocess.run(["rm", "-r", f"/run/onepass-lab/{name}"], check=True)
    assert Path(f"/var/lib/onepass-lab/{name}/hq/upper/etc").exists()


# --- What needs no host ---


def test_all_that_is_missing_is_named_at_once_with_the_remedy(monkeypatch):
    monkeypatch.setattr(machine, "KERNEL", {"bridge": "false", "veth": "true", "overlayfs": "false"})
    monkeypatch.setattr(machine, "PACKAGES", ["no-such-package"])
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0)
    with pytest.raises(machine.Trouble) as trouble:
        machine.prepare_machine()
    said = str(trouble.value).splitlines()
    for start in ("bridge in", "overlayfs in", "package no-such-package: apt-get"):
        assert any(line.strip().startswith(start) for line in said), said
    assert "veth" not in str(trouble.value)


def test_a_feature_is_asked_for_once_the_program_that_asks_is_installed(monkeypatch):
    probe = {"bridge": "unshare --net no-such-program link add lab type bridge"}
    monkeypatch.setattr(machine, "KERNEL", probe)
    monkeypatch.setattr(machine, "PACKAGES", ["no-such-package"])
    monkeypatch.setattr(machine, "run", lambda *_: probe.update(bridge="false"))
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0)
    with pytest.raises(machine.Trouble, match="bridge in the kernel"):
        machine.prepare_machine()


def test_a_low_limit_is_raised_and_said_so(monkeypatch, tmp_path, capsys):
    limit = tmp_path / "max_user_instances"
    limit.write_text("128")
    monkeypatch.setattr(machine, "INOTIFY_LIMIT", limit)
    monkeypatch.setattr(machine, "PACKAGES", [])
    monkeypatch.setattr(machine, "missing_features", list)
    machine.prepare_machine()
    assert limit.read_text() == "1024"
    assert f"raising {limit} to 1024" in capsys.readouterr().out
    limit.write_text("4096")
    machine.prepare_machine()
    assert limit.read_text() == "4096"


def test_without_root_up_says_so(monkeypatch):
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000)
    with pytest.raises(machine.Trouble, match="root: run this as root"):
        machine.prepare_machine()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"network": "10.77.0.0/31"}, "no room for 2 hosts"),
        ({"network": "10.77.0.1/24"}, "has host bits set"),
        ({"hosts": {"s1a.dc": {"roles": []}}}, "there is no host hq"),
        ({"hosts": {"hq": {}}}, "KeyError: 'roles'"),
        ({"hosts": {"hq": {"roles": []}, "bad_name": {"roles": []}}}, "bad_name is not a host name"),
        ({"hosts": None}, "not a site file"),
    ],
)
def test_a_wrong_site_file_is_refused(module, site, tmp_path, change, expected):
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(site.read_text()) | change))
    with pytest.raises(module.Trouble, match=re.escape(expected)):
        module.read_site(path)


def test_the_sites_are_the_bank_its_data_centre_and_the_growth_of_that(module):
    names = ("bank", "datacentre", "growth")
    bank, centre, growth = (list(module.read_site(HERE / "sites" / f"{name}.yaml").roles) for name in names)
    assert (len(bank), len(centre)) == (17, 12)
    assert bank[:12] == centre
    assert growth == [*centre, "s3a.dc", "s3b.dc", "s3c.dc", "s1d.dc"]
