"""Branches on real hosts with systemd and sshd: one run, a second one, reboots, services that flush, a lock-out."""

import json

import pytest
from labs import BranchLab, changed, failed

from segments import wait_until

VMS = {"ws017.rosario": "10.20.30.17", "ws018.rosario": "10.20.30.18", "ws001.salta": "10.20.31.11"}


@pytest.fixture(scope="module")
def lab():
    with BranchLab("br", "branch.yaml") as built:
        assert built.world("wan") == ""
        code, changes = built.orchestrate()
        assert code == 0
        assert "branches-ring-1-hosts" in changes
        yield built


def landed(lab):
    return {address: lab.world("ssh", address) for address in VMS.values()}


def test_ssh_to_the_address_of_each_vm_lands_on_its_host(lab):
    wanted = {address: host for host, address in VMS.items()}
    assert landed(lab) == wanted
    lab.world("vm-up", "ws017.rosario")
    assert landed(lab) == wanted
    page = "import urllib.request as u; print(u.urlopen('http://10.20.30.17:3389', timeout=20).read().decode())"
    assert lab.run("python3", "-c", page)[1].strip() == "the VM of ws017.rosario"
    lab.world("vm-down", "ws017.rosario")
    assert landed(lab) == wanted


def test_the_second_run_changes_nothing(lab):
    assert lab.orchestrate() == (0, {})


def test_a_highstate_changes_nothing_either(lab):
    code, states = lab.highstate("*.rosario")
    assert (code, failed(states), changed(states)) == (0, {}, {})
    assert {host for host, _ in states} == {"gw.rosario", "ws017.rosario", "ws018.rosario", "ws019.rosario"}


def test_hosts_reach_headquarters_through_the_gateway(lab):
    assert "via 169.254.0.1 dev virbr0" in lab.exec("ws018.rosario", "ip route get 192.0.2.10")
    assert lab.exec("ws018.rosario", "ping -c 1 -W 2 192.0.2.10")


def test_a_rebooted_host_is_reachable_before_salt_has_done_anything(lab):
    lab.exec("ws018.rosario", "systemctl enable --now nftables")
    lab.command("reboot", "ws018.rosario")
    assert lab.lands(VMS["ws018.rosario"], "ws018.rosario")
    active = "systemctl is-active --quiet bridge-nat && systemctl is-active --quiet nftables"
    assert wait_until(lambda: lab.exec("ws018.rosario", f"{active} && echo yes || true"), 60)


@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_a_service_that_flushes_all_rules_is_followed_by_ours(lab, verb):
    lab.exec("ws018.rosario", "systemctl enable --now nftables")
    lab.exec("ws018.rosario", f"systemctl {verb} nftables")
    assert wait_until(lambda: lab.has_rules("ws018.rosario"))
    assert lab.lands(VMS["ws018.rosario"], "ws018.rosario")


def test_a_host_that_loses_its_link_for_a_moment_is_waited_for(lab):
    lab.exec("ws017.rosario", "nft flush ruleset")

    def blink():
        lab.command("cut", "ws017.rosario")
        lab.command("mend", "ws017.rosario")

    assert lab.disturb({"branches-canary-hosts": blink}, "orchestrate.branches") == (0, [])
    assert lab.has_rules("ws017.rosario")
    assert lab.orchestrate() == (0, {})


def test_failures_stop_the_rings_once_their_budget_is_spent_and_a_rerun_skips_what_is_done(lab):
    lab.patience(20)
    lab.exec("ws001.salta", "nft flush ruleset")
    lab.command("kill", "ws018.rosario")
    code, _ = lab.orchestrate()
    assert code == 1
    assert not lab.has_rules("ws001.salta")  # the canary failed
    lab.order([["salta"], ["rosario"]], failures=1)
    code, changes = lab.orchestrate()
    assert code == 0
    assert lab.has_rules("ws001.salta")
    lab.up("branch.yaml")  # with a new card, whose MAC the rules hold
    lab.order([["rosario"], ["salta"]])
    code, changes = lab.orchestrate()
    assert (code, changed_hosts(changes)) == (0, {"ws018.rosario"})


def changed_hosts(changes):
    returns = [returned for step in changes.values() for returned in step["ret"].items()]
    return {host for host, states in returns if any(state["changes"] for state in states.values())}


def lock_out(lab, within):
    """The pillar moves the host's port away, so that nobody reaches its sshd any more."""
    pillar = json.dumps({"branch": {"port": 2222, "confirm": {"within": within}}})
    code, out, err = lab.run("salt", "ws001.salta", "state.apply", "branch.host", f"pillar={pillar}")
    assert code == 0, out + err
    assert lab.world("ssh", VMS["ws001.salta"]) == ""


def test_a_lock_out_is_taken_back_by_the_timer(lab):
    lock_out(lab, 12)
    assert "bridge-nat-" in lab.exec("ws001.salta", "systemctl list-timers --all 'bridge-nat-*'")
    assert lab.lands(VMS["ws001.salta"], "ws001.salta")


def test_a_lock_out_is_taken_back_by_a_reboot(lab):
    lock_out(lab, 3600)
    lab.command("reboot", "ws001.salta")
    assert lab.lands(VMS["ws001.salta"], "ws001.salta")


def test_an_absence_that_was_cut_is_finished_by_the_next(lab):
    """Before or after a reboot, by which systemd forgets a unit that has no file."""
    unit = "/etc/systemd/system/bridge-nat.service"
    wants = "/etc/systemd/system/multi-user.target.wants/bridge-nat.service"
    for left in (f"rm {unit}", f"ln -s {unit} {wants}"):
        lab.exec("ws018.rosario", f"{left}; systemctl daemon-reload")
        code, out, err = lab.run("salt", "ws018.rosario", "state.single", "bridge_nat.absent", "virbr0")
        assert code == 0, out + err
        assert lab.exec("ws018.rosario", "find /etc -name 'bridge-nat*'") == ""
        assert lab.exec("ws018.rosario", "systemctl is-active bridge-nat || true").strip() == "inactive"
