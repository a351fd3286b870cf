"""A branch with KVM hosts, from blank to guests reached by name and address: one run, a second one, repairs. And a host
with systemd-resolved under its own systemd.
"""

import base64
import json
import subprocess

import pytest
from labs import BranchLab, Lab

from tree import ROOT

VMS = {"10.20.32.11": ("win-001", "ws001.cordoba"), "10.20.32.12": ("win-002", "ws002.cordoba")}
TILLS = {
    "dns": {
        "backend": "bridge",
        "name": "tills",
        "domain": "tills.example",
        "address": "192.168.151.1/24",
        "dhcp": {"start": "192.168.151.100", "end": "192.168.151.199"},
    },
    "hosts": {"ws002": {"guests": {"till-3": {"memory": 128}}}},
}
PILLAR, OURS = "/srv/onepass/pillar/branch/cordoba.sls", "/srv/lab/cordoba.sls"
WEB = "192.168.150.5"
GUESTS = ["till-1.cordoba", "till-2.cordoba", "win-001.cordoba", "win-002.cordoba"]
MODULES = "/var/cache/salt/minion/extmods/modules"  # beside the bundle's own, which alone may read a disk


class KvmLab(BranchLab):
    """The lab whose workstations are KVM hosts."""

    def accepted(self):
        return json.loads(self.run("salt-key", "-l", "accepted", "--out=json")[1])["minions"]


@pytest.fixture(scope="module")
def lab():
    with KvmLab("kv", "kvm.yaml") as built:
        built.world("wan")
        built.world("dhcp", "cordoba")
        for host in ("ws001.cordoba", "ws002.cordoba"):
            built.exec(host, "make-template desktop")
        code, changes = built.orchestrate("test=True")
        assert code == 0
        assert built.exec("ws001.cordoba", "virsh list --all --name").split() == ["desktop"], "a dry run made something"
        code, built.changes = built.orchestrate()
        assert code == 0, built.changes
        yield built


def test_one_run_brings_the_guests_of_all_hosts(lab):
    assert {f"branches-canary-{phase}" for phase in ("guests-made", "guests-keys", "guests")} <= lab.changes.keys()
    keys = lab.changes["branches-canary-guests-keys"]
    assert keys == {f"key of {minion}": {"old": None, "new": "accepted"} for minion in GUESTS}


def test_a_vm_is_reached_by_its_address_through_the_branch_and_ssh_there_lands_on_its_host(lab):
    for address, (name, host) in VMS.items():
        assert lab.page(address, "hostname") == name
        assert lab.world("ssh", address) == host


def test_further_guests_know_each_other_by_name(lab):
    info = lab.salt("ws001.cordoba", "libvirt_clone.info", "till-1")
    other = lab.salt("ws001.cordoba", "libvirt_clone.info", "till-2")
    assert lab.page(info["address"], "hostname", "ws001.cordoba") == "till-1"
    seen = lab.page(info["address"], "cgi-bin/lookup?till-2.guests.example", "ws001.cordoba")
    assert other["address"] in seen


def test_a_minion_with_a_guests_key_is_let_in_at_once(lab):
    """The key on the guest's disk is the one that the master has accepted: a minion that has it gets its pillar."""
    pki, pem = "/etc/salt/guest/pki", "/etc/salt/pki/minion/minion.pem"
    lab.exec(
        "ws001.cordoba",
        f"""
        mkdir -p -m 700 {pki}
        cat > {MODULES}/guest_file.py <<'END'
def text(image, path):
    place = path.rpartition("/")[0]
    return __salt__["libvirt_disk.inspect"](image, "qcow2", [place], [path])["files"][path]["text"]
END
        salt-call --local --out=json guest_file.text /var/lib/libvirt/images/till-1.qcow2 {pem} |
            python3 -c 'import json, sys; print(json.load(sys.stdin)["local"], end="")' > {pki}/minion.pem
        rm {MODULES}/guest_file.py
        chmod 400 {pki}/minion.pem
        openssl pkey -in {pki}/minion.pem -pubout -out {pki}/minion.pub
        cp /etc/salt/minion /etc/salt/guest/minion
        printf '%s: %s\\n' id till-1.cordoba pki_dir {pki} cachedir /var/cache/guest sock_dir /run/guest \\
            pidfile /run/guest.pid log_file /var/log/guest >> /etc/salt/guest/minion""",
    )
    pillar = lab.exec("ws001.cordoba", "salt-call -c /etc/salt/guest --out=json pillar.ls")
    assert "branch" in json.loads(pillar)["local"]


def test_the_second_run_changes_nothing(lab):
    assert lab.orchestrate() == (0, {})


def test_a_guest_that_was_destroyed_loses_its_key_and_an_interrupted_run_is_finished(lab):
    assert lab.salt("ws001.cordoba", "libvirt_clone.destroy", "till-2") == {"till-2": "destroyed"}
    code, out, err = lab.run("salt-run", "--out=json", "onepass.guest_keys")
    assert [step["what"] for step in json.loads(out)["steps"]] == ["key of till-2.cordoba"], err
    assert "till-2.cordoba" not in lab.accepted()
    lab.salt("ws001.cordoba", "state.apply", "branch.guests.made")  # and there the run was cut
    code, changes = lab.orchestrate()
    assert code == 0
    assert set(changes) == {"branches-canary-guests-keys", "branches-canary-guests"}
    assert "till-2.cordoba" in lab.accepted()


def traces(lab, name, info):
    """What ws001 and the master have of a guest."""
    script = f"""
        virsh list --all --name | grep -x {name} || true
        ls /var/lib/libvirt/images | grep ^{name} || true
        virsh net-dhcp-leases guests | grep -o {info["macs"][0]} || true
        grep -o onepass:{name} /etc/ssh/ssh_known_hosts || true"""
    found = lab.exec("ws001.cordoba", script).split()
    found += lab.salt("ws001.cordoba", "libvirt_guest.query", info["fqdn"], "192.168.150.1")
    return {*found, *(key for key in lab.accepted() if key == f"{name}.cordoba")}


def test_a_guest_that_the_pillar_lists_as_gone_is_withdrawn_and_nobody_else(lab):
    infos = {name: lab.salt("ws001.cordoba", "libvirt_clone.info", name) for name in ("till-1", "till-2")}
    has = {
        name: {name, f"{name}.qcow2", info["macs"][0], f"onepass:{name}", info["address"], f"{name}.cordoba"}
        for name, info in infos.items()
    }
    assert {name: traces(lab, name, info) for name, info in infos.items()} == has
    edit = "s/, till-2: {} }/ }\\n      gone: [till-2]/"
    lab.exec("hq", f"sed '{edit}' {PILLAR} > {OURS} && mount --bind {OURS} {PILLAR}")
    code, changes = lab.orchestrate()
    assert code == 0
    key = {"key of till-2.cordoba": {"old": "accepted", "new": None}}
    assert changes.pop("branches-canary-guests-keys") == key
    assert set(changes) == {"branches-canary-guests-made"}
    assert {name: traces(lab, name, info) for name, info in infos.items()} == {**has, "till-2": set()}
    assert lab.page(infos["till-1"]["address"], "hostname", "ws001.cordoba") == "till-1"


def test_after_a_plain_highstate_a_guest_runs_and_its_key_is_accepted_when_the_master_looks(lab):
    lab.exec("hq", f"umount {PILLAR}")
    states = lab.salt("ws001.cordoba", "state.highstate")
    assert all(state["result"] for state in states.values())
    changed = [state["__id__"] for state in states.values() if state["changes"]]
    assert changed == ["branch-guest-till-2"]
    assert (
        lab.page(lab.salt("ws001.cordoba", "libvirt_clone.info", "till-2")["address"], "hostname", "ws001.cordoba")
        == "till-2"
    )
    assert "till-2.cordoba" not in lab.accepted()
    out = lab.run("salt-run", "--out=json", "onepass.guest_keys")[1]
    assert [(step["what"], step["new"]) for step in json.loads(out)["steps"]] == [("key of till-2.cordoba", "accepted")]


def test_guests_of_a_host_whose_dnsmasq_stands_alone(lab):
    """A guest on a bridge, with a name in it: libvirt's networking has no part in it."""
    states = lab.salt("ws002.cordoba", "state.apply", "branch.guests", f"pillar={json.dumps({'branch': TILLS})}")
    assert all(state["result"] for state in states.values()), states
    info = lab.salt("ws002.cordoba", "libvirt_clone.info", "till-3")
    address = info["address"]
    assert address.startswith("192.168.151.1") and info["fqdn"] == "till-3.tills.example"
    assert lab.salt("ws002.cordoba", "libvirt_guest.query", info["fqdn"], "192.168.151.1") == [address]
    assert lab.page(address, "hostname", "ws002.cordoba") == "till-3"
    assert address in lab.page(address, f"cgi-bin/lookup?{info['fqdn']}", "ws002.cordoba")
    assert "tills" not in lab.exec("ws002.cordoba", "virsh net-list --all --name")
    assert lab.salt("ws002.cordoba", "libvirt_clone.destroy", "till-3") == {"till-3": "destroyed"}
    assert lab.salt("ws002.cordoba", "libvirt_guest.query", info["fqdn"], "192.168.151.1") == []


# A laptop with systemd-resolved

NETWORK = {"name": "lab", "domain": "lab.example", "address": "192.168.150.1/24", "hosts": {"web": {"address": WEB}}}
OUTSIDE = """
systemd-run --quiet --unit=outside dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts \\
    --port=5353 --listen-address=127.0.0.1 --bind-interfaces --address=/#/203.0.113.8
ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf"""
RESOLVED = """
systemd-sysusers
printf '[Resolve]\\nDNS=127.0.0.1:5353\\nLLMNR=no\\n' > /etc/systemd/resolved.conf
systemctl reload dbus
systemctl enable --quiet --now systemd-resolved"""
GUEST = """
ip link add port0 type veth peer name port1
for end in port0 port1; do ip link set $end up; done
ip link set port0 master virbr1
timeout 20 sh -c 'until resolvectl status virbr1 | grep -q "Scopes: DNS"; do sleep 0.1; done' || true"""
TOLD = {
    "virbr1 in systemd-resolved": {
        "old": {"dns": "", "domain": ""},
        "new": {"dns": "192.168.150.1", "domain": "lab.example ~150.168.192.in-addr.arpa"},
    }
}


@pytest.fixture(scope="module")
def laptop():
    """Its systemd-resolved has a nameserver of the administrator's, which has an answer for every name."""
    with Lab("rs", "laptop.yaml") as built:
        packed = subprocess.run(["tar", "-C", ROOT / ".venv/resolved", "-c", "."], capture_output=True, check=True)
        unpack = ["sh", "-c", "base64 -d | tar -C / -x --keep-directory-symlink"]
        built.command("exec", "hq", *unpack, input=base64.b64encode(packed.stdout).decode())
        built.exec("hq", RESOLVED + OUTSIDE)
        yield built


def applied(lab, function, **arguments):
    """What a state changes there."""
    words = [f"{key}={json.dumps(value)}" for key, value in arguments.items()]
    code, out, err = lab.run(
        "salt-call", "--local", "--module-dirs=/srv/onepass", "--out=json", "state.single", function, *words
    )
    assert code == 0, out + err
    (state,) = json.loads(out)["local"].values()
    return state["changes"]


def resolver(lab):
    changes = applied(lab, "dnsmasq_fwd.resolver", **{key: NETWORK[key] for key in ("name", "domain", "address")})
    assert applied(lab, "dnsmasq_fwd.resolver", **{key: NETWORK[key] for key in ("name", "domain", "address")}) == {}
    return changes


def names(lab):
    """The network's name, and one of the world's."""
    script = "for name in web.lab.example www.example.org; do getent ahostsv4 $name | head -n 1; done"
    return [line.split()[0] for line in lab.exec("hq", script).splitlines()]


def test_systemd_resolved_is_told_of_a_network_again_whenever_its_link_is_new(laptop):
    """By the next run after a restart of the network and after a boot, as no udev tells a container's systemd."""
    assert applied(laptop, "dnsmasq_fwd.network", **NETWORK)
    assert list(resolver(laptop)) == ["/etc/systemd/system/onepass-resolver-lab@.service"]
    laptop.exec("hq", GUEST)
    assert (resolver(laptop), names(laptop)) == ({}, [WEB, "203.0.113.8"])
    laptop.exec("hq", "virsh net-destroy lab; virsh net-start lab; ip link delete port0")
    assert resolver(laptop) == TOLD
    laptop.command("reboot", "hq")
    laptop.exec("hq", OUTSIDE + GUEST)
    assert names(laptop) == ["203.0.113.8"] * 2
    lookup = {"lookup of onepass-test.lab.example": {"old": "203.0.113.8", "new": "192.168.150.1"}}
    assert (resolver(laptop), names(laptop)) == ({**TOLD, **lookup}, [WEB, "203.0.113.8"])
    laptop.exec("hq", "systemctl restart systemd-resolved")
    assert (resolver(laptop), names(laptop)) == ({}, [WEB, "203.0.113.8"])
