"""
Real 389 Directory Servers, blank ones: what ``ds_replica.plan`` prints is typed as it is printed, and then nothing
differs from the pillar any more.
"""

import os
import re
import shutil
import sys
from pathlib import Path

import ldap3
import pytest
from salt.exceptions import CommandExecutionError

import directories
import networks
from directories import MANAGER, PASSWORD, REPLICA, SUFFIX
from networks import run, until
from tree import ROOT

PASSWORD_FILE = "/run/replication manager.password"
PILLAR = {
    "suffix": SUFFIX,
    "suppliers": {"one.dc:4891": 1, "two.dc:4892": 2},
    "readers": {"three.dc:4893": ["one.dc:4891", "two.dc:4892"]},
    "replication": {"password_file": PASSWORD_FILE},
    "purge_delay": "7d",
}
LOGIN = "cn=onepass,cn=config"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return directories.certificates(tmp_path_factory.mktemp("pki"), "one.dc", "two.dc", "three.dc")


@pytest.fixture(scope="module")
def servers(tmp_path_factory, pki):
    """Three servers on this host, in a network of the tests' own, without any replica."""
    if os.geteuid():
        pytest.fail("These tests make namespaces: run them as root", pytrace=False)
    with networks.host(tmp_path_factory.mktemp("host")):
        Path("/etc/hosts").write_text("127.0.0.1 localhost one.dc two.dc three.dc\n")
        Path(PASSWORD_FILE).write_text(f"{PASSWORD}\n")
        yield {each.name: each for each in directories.servers("one", "two", "three", certificate=pki)}


@pytest.fixture
def plan(modules):
    return lambda **more: modules.ds_replica.plan(timeout=60, pillar={**PILLAR, **more})


@pytest.fixture
def wrong(modules):
    """What is not as the pillar has it, or is broken; but for the old version of Debian's server."""

    def asked(**more):
        found = modules.ds_replica.check(timeout=60, pillar={**PILLAR, **more})
        return [f"{name}: {each['evidence']}" for name, each in found.items() if _counts(name, each)]

    return asked


def _counts(name, each):
    return each["state"] == "broken" and not name.endswith(": version")


def typed(found):
    """Each command in a shell, as it is printed, its comment included."""
    assert found["refused"] == []
    for line in found["commands"]:
        assert PASSWORD not in line
        said = re.search(r"again until it says '([^']+)'$", line)
        until(lambda line=line, said=said: not said or said[1] in run("bash", "-c", line), 120)
        if not said:
            run("bash", "-c", line)
    return found["commands"]


def test_two_who_have_data_are_refused_until_the_pillar_decides(servers, plan, wrong):
    for name in ("one", "two"):
        servers[name].person(f"from-{name}")
    [line] = plan()["refused"]
    assert "one.dc:4891 2 entries, two.dc:4892 2 entries" in line
    assert plan()["commands"] == []
    assert [line for line in wrong() if "it is not replicated" in line]
    assert plan(seed="one.dc:4891", discard=["two.dc:4892"])["refused"] == []
    servers["two"].ldap.delete(f"cn=from-two,{SUFFIX}")


def test_blank_servers_become_what_the_pillar_says(servers, plan, wrong, modules):
    done = typed(plan())
    assert len([line for line in done if " repl-agmt init " in line]) == 2
    until(lambda: wrong() == [], 60)
    assert plan() == {"refused": [], "commands": []}
    assert "cn=from-one" in servers["three"].names()
    servers["two"].person("later")
    until(lambda: all("cn=later" in each.names() for each in servers.values()))
    found = modules.ds_replica.status(timeout=60)["servers"].values()
    assert len({each["suffixes"][SUFFIX]["entries"] for each in found}) == 1
    for name, each in servers.items():
        counted = len(each.read(SUFFIX, "(objectClass=*)", ldap3.SUBTREE, ["1.1"]))
        [seen] = [
            one["suffixes"][SUFFIX]["entries"] for one in found if one["address"].endswith(f"slapd-{name}.socket")
        ]
        assert seen == counted


def test_a_reader_refers_writes_to_a_supplier_and_that_is_no_fault(servers, wrong):
    """By ldapi and by TCP, the directory's manager too: nothing can be judged by a try."""
    three = servers["three"]
    there = ldap3.Server("three.dc", three.port, get_info=ldap3.NONE)
    with ldap3.Connection(there, "cn=Directory Manager", PASSWORD, auto_referrals=False, check_names=False) as remote:
        for connection in (three.ldap, remote):
            connection.add(f"cn=refused,{SUFFIX}", ["person"], {"sn": "refused"})
            assert connection.result["description"] == "referral"
            assert re.search(r"ldaps?://(one|two)\.dc", str(connection.result["referrals"]))
    assert "cn=refused" not in three.names()
    assert wrong() == []


def test_an_agreement_that_is_gone_off_or_of_another_transport(servers, plan, wrong):
    one, two = servers["one"], servers["two"]
    one.ldap.delete(f"cn=to three.dc:4893,{REPLICA}")
    two.set(f"cn=to three.dc:4893,{REPLICA}", nsds5ReplicaEnabled="off")
    one.set(f"cn=to two.dc:4892,{REPLICA}", nsDS5ReplicaTransportInfo="LDAP", nsDS5ReplicaPort="3892")
    said = "\n".join(wrong())
    for words in ("nobody feeds it", "it has none with three.dc:4893", "is disabled", "it speaks LDAP"):
        assert words in said
    assert len(typed(plan())) == 3
    until(lambda: wrong() == [], 60)


def test_who_may_replicate_and_how_long_changes_are_kept(servers, plan, wrong):
    servers["two"].set(REPLICA, nsDS5ReplicaBindDN=[], nsds5ReplicaPurgeDelay="60")
    said = "\n".join(wrong())
    assert "may not replicate to it" in said
    assert "changes are kept 60 s" in said
    assert len(typed(plan())) == 2
    until(lambda: wrong() == [], 60)


def test_a_server_that_was_made_anew_gets_the_data_only_while_it_is_blank(servers, plan, wrong, pki):
    """What was written to it alone is not thrown away unasked."""
    before = servers["three"]
    before.stop()
    for folder in (before.home, before.config):
        shutil.rmtree(folder)
    servers["three"] = three = directories.Server("three", before.port, pki).launch().wait().blank()
    assert [line for line in plan()["commands"] if " repl-agmt init " in line]
    three.person("alone")
    [line] = plan()["refused"]
    assert line.startswith("three.dc:4893 has entries of its own (three.dc:4893 2 entries)")
    typed(plan(discard=["three.dc:4893"]))
    until(lambda: wrong(discard=["three.dc:4893"]) == [], 60)
    assert "cn=alone" not in three.names()
    assert not [line for line in plan(discard=["three.dc:4893"])["commands"] if " init " in line]


def test_an_armed_initialisation_stops_the_plan(servers, plan):
    one = servers["one"]
    dn = one.agreement(servers["three"], "armed", nsDS5ReplicaCredentials="wrong", nsDS5ReplicaPort="3999")
    one.set(dn, nsds5BeginReplicaRefresh="start")
    [line] = plan()["refused"]
    assert "an initialisation of three.dc:3999 is armed" in line
    one.ldap.delete(dn)


def test_a_parent_that_replication_made_anew_is_a_conflict(servers, wrong):
    one, two = servers["one"], servers["two"]
    pairs = [(one, f"cn=to two.dc:4892,{REPLICA}"), (two, f"cn=to one.dc:4891,{REPLICA}")]
    for server, dn in pairs:  # one that failed before waits for minutes
        server.kick(dn)
    one.ldap.add(f"ou=gone,{SUFFIX}", ["organizationalUnit"])
    until(lambda: "ou=gone" in two.names(), 180)
    for server, dn in pairs:
        server.set(dn, nsds5ReplicaEnabled="off")
    one.ldap.delete(f"ou=gone,{SUFFIX}")
    two.ldap.add(f"cn=child,ou=gone,{SUFFIX}", ["person"], {"sn": "child"})
    for server, dn in pairs:
        server.set(dn, nsds5ReplicaEnabled="on")
    until(lambda: [line for line in wrong() if "conflicts: 1: ou=gone" in line], 180)
    one.ldap.delete(f"cn=child,ou=gone,{SUFFIX}")  # its parent goes with it


def test_the_account_of_the_docs_sees_all_and_may_write_nothing(servers, modules, pillar, pki, tmp_path):
    """By the file and the command that the page shows; by TLS, and each server's own log has no write of it."""
    for name, each in servers.items():
        directories.login_of_the_docs(each, tmp_path, replicated=name == "one")
    pillar({"ds389": {"login": {"bind_dn": LOGIN, "password": PASSWORD, "ca_file": str(pki[0])}}})
    there = [f"ldaps://{name}.dc:{each.port + 1000}" for name, each in servers.items()]

    def seen(**where):
        found = modules.ds_replica.status(timeout=60, **where)["servers"]
        return {name: (each["version"], each["suffixes"]) for name, each in found.items()}

    until(lambda: seen(servers=there, login="ds389:login") == seen(), 60)
    assert modules.ds_replica.plan(there, "ds389:login", 60, PILLAR) == {"refused": [], "commands": []}
    for function in (modules.ds_replica.check, modules.ds_replica.graph):
        function(there, "ds389:login", 60)
    for name, each in servers.items():
        done = _done(each.log("access"), f'BIND dn="{LOGIN}"')
        assert {kind for _, kind in done} <= {"BIND", "SRCH", "RESULT", "UNBIND"}, name
        assert len([kind for _, kind in done if kind == "SRCH"]) > 40
        assert len({number for number, _ in done}) >= 4
    server = ldap3.Server("one.dc", 3891, get_info=ldap3.NONE)
    with ldap3.Connection(server, LOGIN, PASSWORD, check_names=False) as account:
        for dn in (SUFFIX, REPLICA, "cn=config", MANAGER):
            account.modify(dn, {"description": [(ldap3.MODIFY_ADD, ["x"])]})
            assert account.result["description"] == "insufficientAccessRights", dn
        account.search(MANAGER, "(userPassword=*)", attributes=["userPassword"])
        assert account.entries == []


def _done(log, first):
    """(connection, kind) of each operation of the connections whose lines have those words; all by TLS."""
    ours = {re.search(r"conn=(\d+) ", line)[1] for line in log.splitlines() if first in line}
    secure = set(re.findall(r"conn=(\d+) TLS1\.\d ", log))
    assert ours <= secure
    return [each for each in re.findall(r"conn=(\d+) op=\d+ ([A-Z]+)", log) if each[0] in ours]


def test_the_picture_of_what_is_there(servers, modules):
    page = modules.ds_replica.graph(timeout=60)
    assert page.startswith("<!doctype html>")
    for words in ("one.dc (1)", "two.dc (2)", "three.dc", "as wanted"):
        assert words in page
    with servers["three"].frozen():
        assert "\u2717" in modules.ds_replica.graph(timeout=5)


def test_a_pillar_with_faults_is_refused_with_all_of_them(modules):
    with pytest.raises(CommandExecutionError, match=r"ds389 pillar: 2 faults\n.*\n.*did you mean 'suppliers'"):
        modules.ds_replica.plan(pillar={"suffix": "bank", "supliers": {"one.dc": 1}})


def test_salt_call_prints_the_page(servers, tmp_path):
    """As on a clone, by a shell."""
    call = f"{Path(sys.executable).parent}/salt-call --local -m {ROOT} --config-dir {tmp_path} --log-level quiet"
    page = run("bash", "-c", f"{call} ds_replica.graph timeout=60 | sed 1d", cwd=tmp_path)
    assert page.lstrip().startswith("<!doctype html>")
