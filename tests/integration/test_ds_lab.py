"""389 Directory Server as hosts have it, by dscreate and systemd: what its minions tell the master of it."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from labs import Lab

from segments import wait_until

SUFFIX = "dc=bank,dc=example"
HOSTS = ("ds1.dc", "ds2.dc", "ds3.dc")
INSTANCE = f"""
[general]
full_machine_name = HOST
start = True
[slapd]
instance_name = bank
root_password = not-a-secret-9
self_sign_cert = True
[backend-userroot]
suffix = {SUFFIX}
create_suffix_entry = True
"""
REPLICA = f"""
dsconf bank replication enable --suffix {SUFFIX} --role supplier --replica-id NUMBER \
    --bind-dn 'cn=replication manager,cn=config' --bind-passwd not-a-secret-9
"""
AGREEMENT = f"""
dsconf bank repl-agmt create --suffix {SUFFIX} --host TARGET --port PORT --conn-protocol PROTOCOL --bind-method SIMPLE \
    --bind-dn 'cn=replication manager,cn=config' --bind-passwd not-a-secret-9 MORE 'to TARGET'
"""


class DirectoryLab(Lab):
    def agreement(self, source, target, port=389, protocol="LDAP", more=""):
        words = {"TARGET": target, "PORT": str(port), "PROTOCOL": protocol, "MORE": more}
        script = AGREEMENT
        for key, value in words.items():
            script = script.replace(key, value)
        self.exec(source, script)

    def asked(self, host, function, *words):
        """What a minion answers to the master, whatever its exit code."""
        _, out, err = self.run("salt", "--out=json", "--static", "--timeout=60", host, f"ds_replica.{function}", *words)
        answer = json.loads(out)[host]
        assert isinstance(answer, dict), f"{answer}\n{err}"
        return answer

    def needs(self, host, *words):
        return [line for line in self.asked(host, "status", *words)["needs"] if ": version: " not in line]

    def told(self, host, *words):
        """Wait until a line has all these words; it."""
        found = []

        def look():
            found[:] = [line for line in self.needs(host) if all(word in line for word in words)]
            return found

        assert wait_until(look, 60), self.needs(host)
        return found[0]


@pytest.fixture(scope="module")
def lab():
    """Two suppliers that have the same data; the third host's server is a supplier with data of its own."""
    with DirectoryLab("ds", "ds389.yaml") as built:

        def made(number, host):
            text = INSTANCE.replace("HOST", host)
            script = "cat > /root/bank.inf; dscreate from-file /root/bank.inf"
            built.command("exec", host, "sh", "-ec", script, input=text)
            built.exec(host, REPLICA.replace("NUMBER", str(number)))

        with ThreadPoolExecutor(3) as threads:
            list(threads.map(made, range(1, 4), HOSTS))
        built.agreement("ds1.dc", "ds2.dc", more="--init")
        built.agreement("ds2.dc", "ds1.dc")
        yield built


def test_a_minion_tells_its_own_servers_part_to_the_master(lab):
    assert wait_until(lambda: not lab.needs("ds1.dc") and not lab.needs("ds2.dc"), 60), lab.needs("ds1.dc")
    server = lab.asked("ds1.dc", "status")["servers"]["ds1.dc:389"]
    assert server["address"] == "ldapi:///run/slapd-bank.socket"
    assert (server["suffixes"][SUFFIX]["role"], server["suffixes"][SUFFIX]["id"]) == ("supplier", 1)
    assert server["certificate"] > 300
    assert server["suffixes"][SUFFIX]["agreements"]["to ds2.dc"]["lag"] is None  # its target is on another host


def test_a_certificate_of_dscreates_own_authority_is_trusted_by_no_other_host(lab):
    lab.agreement("ds1.dc", "ds3.dc", 636, "LDAPS")
    assert "ds_replica.check tells" in lab.told("ds1.dc", "to ds3.dc: session", "Can't contact LDAP server")
    said = lab.asked("ds1.dc", "check")[f"ds1.dc:389: {SUFFIX}: to ds3.dc: contact"]
    assert "the certificate's signer is not trusted here" in said["evidence"]


def test_a_port_that_waits_for_a_restart_is_named_until_then(lab):
    lab.exec("ds3.dc", "dsconf bank config replace nsslapd-port=3389")
    assert "nothing listens at 3389" in lab.told("ds3.dc", "ds3.dc:3389: port")
    lab.exec("ds3.dc", "systemctl restart dirsrv@bank")
    assert not [line for line in lab.needs("ds3.dc") if ": port: " in line]


def test_a_server_that_crashed_stays_down_and_is_named_on_both_sides(lab):
    lab.exec("ds2.dc", "systemctl kill -s KILL dirsrv@bank")
    assert "systemctl status dirsrv@INSTANCE" in lab.told("ds2.dc", "slapd-bank.socket does not run")
    time.sleep(3)
    assert lab.exec("ds2.dc", "systemctl is-active dirsrv@bank || true").strip() == "failed"
    lab.exec("ds1.dc", "dsconf bank repl-agmt poke --suffix dc=bank,dc=example 'to ds2.dc' || true")
    lab.told("ds1.dc", "to ds2.dc: session", "Can't contact LDAP server")
    said = lab.asked("ds1.dc", "check")[f"ds1.dc:389: {SUFFIX}: to ds2.dc: contact"]
    assert "nothing listens at that port" in said["evidence"]
    lab.exec("ds2.dc", "systemctl start dirsrv@bank")
    assert wait_until(lambda: not [line for line in lab.needs("ds1.dc") if "ds2.dc" in line], 120)


def test_a_host_that_is_off_costs_its_time_and_is_named(lab):
    lab.command("kill", "ds3.dc")
    began = time.monotonic()
    [line] = lab.needs("ds1.dc", "ldaps://ds3.dc:636", "timeout=4")
    assert time.monotonic() - began < 30
    assert "ldaps://ds3.dc:636" in line and ("does not run" in line or "does not answer in 4 s" in line)
