"""bridge_nat without root: plans of the host as a table, the rules' texts, the guard's files."""

import contextlib
import copy
import os
import sys
from pathlib import Path

import pytest
import yaml
from onepass_lib.bridge_nat import desired, plan, report
from salt.exceptions import CommandExecutionError

import tree

CASES = yaml.safe_load(Path(__file__).with_name("cases").joinpath("bridge_nat_plans.yaml").read_text())
VM = {"name": "win-017", "ip": "10.20.30.17", "mac": "52:54:00:bf:57:bb"}
HOST = {
    "uplink": "eth0",
    "link_local": "169.254.0.27",
    "gateway": "169.254.0.1",
    "network": "10.20.30.0/24",
    "network6": None,
    "port": 22,
    "vms": [VM],
}
GATEWAY = {
    "link_local": "169.254.0.1",
    "public": "192.0.2.30",
    "network": "10.20.30.0/24",
    "network6": None,
    "port": 22,
}
LINK = {"mac": "02:00:00:00:00:01", "kind": None, "master": None, "up": True, "addresses": [], "addresses6": []}


def observed(case):
    gateway = case.get("role") == "gateway"
    links = {"eth0": {**LINK, "master": "virbr0"}, "virbr0": {**LINK, "kind": "bridge"}}
    links["virbr0"]["addresses"] = [["169.254.0.27", 16, "global"]]
    if gateway:
        links = {"eth0": {**LINK, "addresses": [["10.20.30.1", 24, "global"], ["169.254.0.1", 16, "global"]]}}
    for name, over in case.get("links", {}).items():
        links[name] = over and {**links[name], **over}
    routes = [{"dst": "default", "gateway": "169.254.0.1", "dev": "virbr0"}, {"dst": "10.20.30.0/24", "dev": "virbr0"}]
    return {
        "links": {name: link for name, link in links.items() if link},
        "routes": case.get("routes", routes),
        "sysctl": {**desired.sysctls("eth0"), **case.get("sysctl", {})},
        "neighbours": case.get("neighbours", []),
        "libvirt": case.get("libvirt", []),
    }


def planned(case):
    arguments = {**(GATEWAY if case.get("role") == "gateway" else HOST), **case.get("arguments", {})}
    if case.get("role") == "gateway":
        return plan.gateway("eth0", arguments, observed(case))
    return plan.workstation("virbr0", arguments, observed(case))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_plan(case):
    if "error" in case:
        with pytest.raises(CommandExecutionError, match=case["error"]):
            planned(case)
        return
    assert [f"{step['do']} {step['what']}" for step in planned(case)] == case["steps"]


@pytest.mark.parametrize("case", [case for case in CASES if case.get("steps")], ids=lambda case: case["case"])
def test_every_step_is_argument_lists_and_can_be_undone(case):
    for step in planned(case):
        assert step["old"] != step["new"]
        assert step["commands"]
        for argv in step["commands"] + step["undo"]:
            assert argv[0] in ("ip", "sysctl")
            assert all(isinstance(word, str) for word in argv)
        assert step["undo"] or step["old"] is None


def test_a_plan_does_not_change_what_it_is_made_from():
    case = CASES[1]
    seen = observed(case)
    before = copy.deepcopy(seen)
    plan.workstation("virbr0", HOST, seen)
    assert seen == before


@pytest.mark.parametrize("way,programs", [("nft", ["nft"]), ("ebtables", ["ebtables", "iptables"])])
def test_texts_hold_each_vm_once_where_it_belongs(way, programs):
    found = desired.texts("workstation", "virbr0", HOST, way, "02:00:00:00:00:01")
    assert list(found) == programs
    for text in found.values():
        assert "10.20.30.17" in text
    other = desired.texts("workstation", "virbr0", {**HOST, "port": 2222}, way, "x")
    assert desired.digest(found) == desired.digest(dict(reversed(found.items())))
    assert desired.digest(found) != desired.digest(other)


def test_the_blogs_own_lines():
    assert report.blog("workstation", "virbr0", HOST) == [
        "ebtables -t nat -A PREROUTING -p arp --arp-opcode Request --arp-ip-dst 10.20.30.17 -j arpreply "
        "--arpreply-mac 52:54:00:bf:57:bb",
        "iptables -t nat -A PREROUTING -i virbr0 -p tcp -d 10.20.30.17 --dport 22 -j REDIRECT",
    ]
    assert report.blog("gateway", "eth0", GATEWAY) == [
        "iptables -t nat -A POSTROUTING -o eth0 -d 10.20.30.0/24 -p tcp --dport 22 -j SNAT --to 169.254.0.1",
        "iptables -t nat -A POSTROUTING ! -o eth0 -s 169.254.0.0/16 -j SNAT --to 192.0.2.30",
    ]


@pytest.fixture
def guard(tmp_path, monkeypatch):
    told = {"onepass_host.told": tree.load("_modules/onepass_host.py").told}
    module = tree.load("_modules/bridge_nat_guard.py", __opts__={"root_dir": str(tmp_path)}, __salt__=told)
    monkeypatch.setattr(module, "_start_timer", lambda *_: None)
    return module


@pytest.mark.parametrize("mode", [0o600, 0o755])
def test_a_file_keeps_its_owner_and_its_mode(guard, tmp_path, mode):
    note, owner = tmp_path / "note", 65534 if os.geteuid() == 0 else os.geteuid()
    note.write_text("old")
    os.chown(note, owner, -1)
    note.chmod(mode)
    guard.arm("first", {"commands": [], "files": {str(note): "old"}}, 60)
    guard.put(str(note), "new")
    assert (note.stat().st_mode & 0o7777, note.stat().st_uid) == (mode, owner)
    guard.rollback()
    assert (note.stat().st_mode & 0o7777, note.stat().st_uid, note.read_text()) == (mode, owner, "old")


def test_what_was_there_is_put_back_in_reverse_order(guard, tmp_path):
    note, link = tmp_path / "note", tmp_path / "link"
    note.write_text("old")
    guard.arm("first", {"commands": [], "files": {str(note): "old", str(link): None}}, 60)
    guard.put(str(note), "between")
    guard.arm("second", {"commands": [], "files": {str(note): "between"}}, 60)
    guard.put(str(note), "new")
    guard.put(str(link), "symlink to /nowhere")
    assert guard.pending()["steps"] == ["first", "second"]
    assert guard.rollback()["undone"] == ["second", "first"]
    assert (note.read_text(), link.is_symlink()) == ("old", False)
    assert (guard.pending(), guard.rollback()) == (None, None)


def test_a_step_that_cannot_be_undone_keeps_none_of_the_others_back(guard, tmp_path, monkeypatch):
    note, blocked = tmp_path / "note", tmp_path / "file" / "below"
    note.write_text("new")
    blocked.parent.write_text("no directory")
    tried = [{"argv": ["no-such-program"], "may_fail": True}, {"argv": ["no-such-program"]}, {"argv": ["sysctl", "-V"]}]
    guard.arm("first", {"commands": [], "files": {str(note): "old"}}, 60)
    guard.arm("second", {"commands": tried, "files": {str(blocked): "x", str(tmp_path / "other"): "x"}}, 60)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # as after su without its dash
    errors = guard.rollback()["errors"]
    assert [error.split(": ")[0] for error in errors] == ["no-such-program", str(blocked)]
    assert (note.read_text(), (tmp_path / "other").read_text()) == ("old", "x")
    assert (guard.pending(), guard.last()["errors"]) == (None, errors)


def test_a_taking_back_that_was_cut_is_settled_by_the_next_confirmation(guard, tmp_path, monkeypatch):
    note = tmp_path / "note"
    guard.arm("cut", {"commands": [], "files": {str(note): "old"}}, 60)
    guard._taken(guard._home(), "rolling")  # and then the timer is killed
    guard.arm("repaired", {"commands": [], "files": {}}, 60)
    assert guard.confirm() is True
    assert guard.pending() is None
    monkeypatch.setattr(guard, "_boot", lambda: "another")
    guard._at_boot(guard._home())
    assert not note.exists()


def lines_of(*functions):
    for code in (function.__code__ for function in functions):
        yield from ((code, line) for line in sorted({line for *_, line in code.co_lines() if line}))


def killed_at(code, line):
    """A tracer: what runs ends where that line is reached."""

    def trace(frame, event, _):
        if event == "line" and (frame.f_code, frame.f_lineno) == (code, line):
            raise KeyboardInterrupt
        return trace

    return trace


def test_no_step_is_ever_without_a_timer_wherever_the_run_before_was_killed(guard, tmp_path, monkeypatch):
    for run, (code, line) in enumerate(lines_of(guard.arm, guard._write), 1):
        guard.__opts__, timers = {"root_dir": str(tmp_path / str(run))}, []
        monkeypatch.setattr(guard, "_start_timer", lambda _, token, within, seen=timers: seen.append((token, within)))
        monkeypatch.setattr(guard.os, "getpid", lambda: 1)
        with contextlib.suppress(KeyboardInterrupt):
            sys.settrace(killed_at(code, line))
            try:
                guard.arm("first", {"files": {}}, 60)
            finally:
                sys.settrace(None)
        timers.clear()  # it is gone with the run, or by another's hand
        monkeypatch.setattr(guard.os, "getpid", lambda: 2)
        guard.arm("second", {"files": {}}, 60)
        guard.arm("third", {"files": {}}, 60)
        pending = guard.pending()
        assert pending["steps"][-2:] == ["second", "third"], line
        assert [token for token, _ in timers] == [pending["token"]], line
        assert 50 < pending["seconds"] <= 60 and 50 < timers[0][1] <= 60, line
    assert run > 10


def test_a_change_that_is_overdue_has_its_time_again_with_the_next_step(guard, monkeypatch):
    guard.arm("first", {"files": {}}, 0.0)
    assert guard.pending()["seconds"] == 0
    monkeypatch.setattr(guard.os, "getpid", lambda: 2)
    guard.arm("second", {"files": {}}, 60)
    assert guard.pending()["steps"] == ["first", "second"] and guard.pending()["seconds"] > 50


@pytest.mark.parametrize("held", ["", "[1]", "7", "null", '{"token": '])
def test_a_note_that_is_no_change_is_none(guard, held):
    guard.arm("first", {"files": {}}, 60)
    (guard._home() / "pending" / "change.json").write_text(held)
    assert (guard.pending(), guard.rollback()) == (None, None)
    guard.arm("second", {"files": {}}, 60)
    assert guard.pending()["steps"] == ["second"]


def test_who_comes_first_wins(guard):
    guard.arm("step", {"commands": [], "files": {}}, 60)
    token = guard.pending()["token"]
    assert guard.confirm() is True
    assert guard.confirm() is False
    assert guard._take_back(guard._home(), token) is None


def test_a_timer_takes_back_only_its_own_change(guard):
    guard.arm("step", {"commands": [], "files": {}}, 60)
    assert guard._take_back(guard._home(), "another") is None
    assert guard.pending()["steps"] == ["step"]


def test_a_boot_takes_back_what_an_earlier_boot_left(guard, monkeypatch):
    guard.arm("step", {"commands": [], "files": {}}, 60)
    guard._at_boot(guard._home())
    assert guard.pending()
    monkeypatch.setattr(guard, "_boot", lambda: "another")
    guard._at_boot(guard._home())
    assert guard.pending() is None
    assert guard.last()["undone"] == ["step"]


def test_a_kernel_whose_namespaces_have_no_switches_of_their_own_has_the_hosts(tmp_path, monkeypatch):
    """Before Linux 5.3; and what the system refuses is a message."""
    trial = tree.load("_modules/bridge_nat_trial.py")
    monkeypatch.setattr(trial, "SWITCHES", str(tmp_path))
    trial._cross()
    (tmp_path / "bridge-nf-call-iptables").mkdir()
    host = tree.functions("onepass_host")
    trial.__salt__ = {**host, "onepass_host.in_new_network": lambda _: trial._cross()}
    with pytest.raises(CommandExecutionError, match="bridge-nf-call-iptables: Is a directory"):
        trial.passes("virbr0", "eth0", [], {})


def test_a_libvirtd_that_hangs_costs_the_hosts_rules_ten_seconds(tmp_path, monkeypatch):
    asked = []

    def run(argv, timeout):
        asked.append(timeout)
        raise CommandExecutionError(f"{' '.join(argv)} was ended after {timeout} s without an answer")

    salt, opts = {"onepass_host.run": run}, {"root_dir": str(tmp_path)}
    module = tree.load("_modules/bridge_nat.py", __salt__=salt, __opts__=opts)
    monkeypatch.setattr(module.salt.utils.path, "which", lambda program: program)
    (tmp_path / "run/libvirt").mkdir(parents=True)
    (tmp_path / "run/libvirt/libvirt-sock").touch()
    assert module._refuse_wrong_macs([VM, {**VM, "name": "win-018"}]) is None
    assert asked == [10]
