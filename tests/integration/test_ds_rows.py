"""What fails silently or misleads in 389 Directory Server, made on real servers: what the status then says of it.

Each test has a suffix of its own on the same three servers; only what concerns a whole server comes last.
"""

import contextlib
import itertools
import os
import re
import socket
import threading
import time
from pathlib import Path

import dns.message
import dns.rrset
import ldap3
import pytest
from ldap3.core.exceptions import LDAPOperationResult

import clocks
import directories
import networks
from directories import MANAGER, PASSWORD
from networks import until

NUMBERS = itertools.count(1)
LDBM = "cn=ldbm database,cn=plugins,cn=config"
TASKS = "cn=tasks,cn=config"
AGREEMENTS = "(objectClass=nsDS5ReplicationAgreement)"
WRITES = re.compile(r"conn=(\d+) op=\d+ (ADD|MOD|DEL|MODRDN) ")
OURS = re.compile(r'conn=(\d+) op=\d+ SRCH base="" .* attrs="vendorversion"', re.IGNORECASE)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return directories.certificates(tmp_path_factory.mktemp("pki"), "one.dc", "two.dc", "three.dc")


@pytest.fixture(scope="module")
def estate(tmp_path_factory, pki):
    """Three servers on this host, in a network of the tests' own, with a manager who may replicate to them."""
    if os.geteuid():
        pytest.fail("These tests make namespaces: run them as root", pytrace=False)
    with networks.host(tmp_path_factory.mktemp("host")):
        Path("/etc/hosts").write_text("127.0.0.1 localhost one.dc two.dc three.dc other.dc\n")
        made = directories.servers("one", "two", "three", certificate=pki)
        for each in made:
            each.ldap.add(MANAGER, ["inetUser", "netscapeServer"], {"userPassword": PASSWORD})
        yield made


class Tree:
    """A suffix of its own on some servers; what is said of it."""

    def __init__(self, name, modules, servers):
        self.name, self.suffix, self.modules, self.servers = name, f"dc={name}", modules, servers
        self.mapping = f'cn="{self.suffix}",cn=mapping tree,cn=config'
        self.backend, self.replica = f"cn={name},{LDBM}", f"cn=replica,{self.mapping}"
        for each in servers:
            suffix = {"nsslapd-suffix": self.suffix, **directories.SMALL}
            each.ldap.add(self.backend, ["nsBackendInstance", "extensibleObject"], suffix)
            state = {"nsslapd-state": "backend", "nsslapd-backend": name}
            each.ldap.add(self.mapping, ["nsMappingTree", "extensibleObject"], state)
            each.ldap.add(self.suffix, ["domain"])

    def end(self):
        """Its agreements go, so that nothing is sent, or told, of it any more."""
        for each in self.servers:
            for dn, _ in each.read(self.mapping, AGREEMENTS, ldap3.SUBTREE, ["cn"]):
                each.ldap.delete(dn)

    def replicate(self, server, number, kind="3", **more):
        values = {
            "nsDS5ReplicaRoot": self.suffix,
            "nsDS5ReplicaId": str(number),
            "nsDS5ReplicaType": kind,
            "nsDS5Flags": "1" if kind == "3" else "0",
            "nsDS5ReplicaBindDN": MANAGER,
        }
        server.ldap.add(self.replica, ["nsDS5Replica"], {**values, **more})

    def suppliers(self, *servers):
        for number, each in enumerate(servers, 1):
            self.replicate(each, number)

    def agree(self, source, target, name=None, **more):
        dn = f"cn={name or f'to {target.name}'},{self.replica}"
        values = {
            "nsDS5ReplicaHost": f"{target.name}.dc",
            "nsDS5ReplicaPort": str(target.port),
            "nsDS5ReplicaRoot": self.suffix,
            "nsDS5ReplicaBindDN": MANAGER,
            "nsDS5ReplicaCredentials": PASSWORD,
            "nsDS5ReplicaBindMethod": "SIMPLE",
            "nsDS5ReplicaTransportInfo": "LDAP",
        }
        source.ldap.add(dn, ["nsDS5ReplicationAgreement"], {**values, **more})
        return dn

    def joined(self, *servers):
        """Suppliers in full mesh that have the first one's data; the agreements by (source, target)."""
        self.suppliers(*servers)
        pairs = [(one, other) for one in servers for other in servers if one is not other]
        made = {(one.name, other.name): self.agree(one, other) for one, other in pairs}
        for each in servers[1:]:
            servers[0].initialise(made[servers[0].name, each.name])
        return made

    def person(self, server, *names):
        for name in names:
            server.ldap.add(f"cn={name},{self.suffix}", ["person"], {"sn": name})

    def people(self, server):
        entries = server.read(self.suffix, "(objectClass=person)", ldap3.SUBTREE, ["cn"])
        return sorted(values["cn"][0] for _, values in entries)

    def arrives(self, server, name):
        try:
            until(lambda: name in self.people(server), 90)
        except AssertionError as err:
            raise AssertionError("\n".join([str(err), *self.status()[1]])) from None

    def served(self, server):
        """Not while it is being initialised: then a search is referred elsewhere, or finds nothing."""
        with contextlib.suppress(LDAPOperationResult):
            return bool(server.read(self.suffix, attributes=["dc"]))
        return False

    def status(self, **options):
        """The servers' own parts of the answer for this suffix, and the lines of it that need somebody."""
        found = self.modules.ds_replica.status(**{"timeout": 30, **options})
        parts = {name.partition(".")[0]: each["suffixes"].get(self.suffix) for name, each in found["servers"].items()}
        return parts, [line for line in found["needs"] if f" {self.suffix}: " in line]

    def told(self, *words):
        """Wait until one line of the suffix has all these words; the line."""
        seen = []

        def found():
            seen[:] = self.status()[1]
            return [line for line in seen if all(word in line for word in words)]

        with explained(seen):
            return until(found, 90)[0]

    def quiet(self):
        """Wait until nothing of the suffix needs anybody."""
        seen = []

        def found():
            seen[:] = self.status()[1]
            return not seen

        with explained(seen):
            until(found, 90)


@contextlib.contextmanager
def explained(seen):
    try:
        yield
    except AssertionError as err:
        raise AssertionError("\n".join([str(err), *seen])) from None


@pytest.fixture
def tree(estate, modules):
    made = Tree(f"row{next(NUMBERS)}", modules, estate)
    yield made
    made.end()


@contextlib.contextmanager
def half_way(tree, source, dn, target):
    """An initialisation that has begun and does not go on: its source is stopped; at the end it has succeeded."""

    def begun():
        if source.one(dn, "nsds5BeginReplicaRefresh") is None:  # also when it was dropped, as the target was busy
            source.set(dn, nsds5BeginReplicaRefresh="start")
        return not tree.served(target)

    until(begun)
    with source.frozen():
        yield
    until(lambda: source.one(dn, "nsds5BeginReplicaRefresh") is None)
    assert "Total update succeeded" in source.status(dn, "Init")


# 1 to 6: initialisations


def test_1_an_armed_initialisation_replaces_the_target_when_its_password_is_mended(tree, estate):
    one, two, _ = estate
    tree.suppliers(one, two)
    tree.person(one, "of-one")
    tree.person(two, "of-two")
    dn = tree.agree(one, two, nsDS5ReplicaCredentials="wrong")
    until(lambda: "(49)" in (one.status(dn) or ""))
    one.set(dn, nsds5BeginReplicaRefresh="start")
    assert "replacing all that the target has then" in tree.told("one.dc", "to two: initialisation: is armed")
    assert tree.people(two) == ["of-two"]
    one.set(dn, nsDS5ReplicaCredentials=PASSWORD)
    until(lambda: tree.served(two) and tree.people(two) == ["of-one"], 90)
    tree.quiet()


def test_2_a_stopped_initialisation_leaves_an_agreement_that_sends_nothing(tree, estate):
    one, two, _ = estate
    dn = tree.joined(one, two)["one", "two"]
    one.set(dn, nsDS5ReplicaCredentials="wrong")
    one.kick(dn)
    until(lambda: "(49)" in (one.status(dn) or ""))
    one.set(dn, nsds5BeginReplicaRefresh="start")
    one.set(dn, nsds5BeginReplicaRefresh="stop")
    one.set(dn, nsDS5ReplicaCredentials=PASSWORD)
    tree.person(one, "kept-back")
    line = tree.told("one.dc", "to two: initialisation: was stopped", "nothing is sent at all")
    assert "repl-agmt disable, then enable" in line
    assert "kept-back" not in tree.people(two)
    one.kick(dn)
    tree.arrives(two, "kept-back")
    tree.quiet()


def test_3_an_initialisation_in_the_agreements_own_entry_comes_again_and_is_told_while_it_runs(tree, estate):
    """That it will come again cannot be seen beforehand: the target is of its source's generation, all is well."""
    one, two, three = estate
    tree.suppliers(one, two, three)
    tree.person(one, "of-one")
    tree.agree(two, three, nsds5BeginReplicaRefresh="start")
    until(lambda: "Total update succeeded" in (two.status(f"cn=to three,{tree.replica}", "Init") or ""))
    tree.person(three, "of-three")
    generations = {name: part["generation"] for name, part in tree.status()[0].items()}
    assert generations["two"] == generations["three"] != generations["one"]
    one.initialise(tree.agree(one, two))
    until(lambda: tree.served(three) and tree.people(three) == ["of-one"], 90)
    until(lambda: len({part["generation"] for part in tree.status()[0].values()}) == 1)  # told after its entries came


def test_4_a_blank_source_is_named_before_it_replaces_all_and_nothing_can_tell_afterwards(tree, estate):
    one, two, _ = estate
    tree.suppliers(one, two)
    tree.person(two, "a", "b", "c")
    dn = tree.agree(one, two)
    assert "it has no entries but the suffix" in tree.told("one.dc", "generation")
    assert "it has no entries" not in tree.told("two.dc", "generation")
    assert "replaces all that they have" in tree.told("two.dc", "generation")
    one.initialise(dn)
    assert "Error (0)" in one.status(dn, "Init")
    assert tree.people(two) == []
    tree.quiet()


def test_5_a_second_initialisation_is_dropped_and_what_it_left_undone_is_named(tree, estate):
    one, two, three = estate
    tree.suppliers(one, two, three)
    tree.person(two, "of-two")
    second = tree.agree(two, three)
    with half_way(tree, one, tree.agree(one, three), three):
        two.set(second, nsds5BeginReplicaRefresh="start")
        until(lambda: "(1)" in (two.status(second, "Init") or ""), 90)
        until(lambda: two.one(second, "nsds5BeginReplicaRefresh") is None, 90)
        _, needs = tree.status(timeout=10)
        assert [line for line in needs if line.startswith("three.dc") and "it is being initialised" in line]
    assert "of-two" not in tree.people(three)
    line = tree.told("two.dc", "to three: in sync", "another generation", "of the last initialisation it is said")
    assert "Error (1)" in line


def test_6_a_server_that_is_being_initialised_cannot_initialise_others(tree, estate):
    one, two, three = estate
    tree.suppliers(one, two, three)
    tree.person(one, "of-one")
    onward = tree.agree(two, three)
    with half_way(tree, one, tree.agree(one, two), two):
        until(lambda: "Suffix is disabled" in refusal(two, onward), 60)
        _, needs = tree.status(timeout=10)
        assert [line for line in needs if line.startswith("two.dc") and "it is being initialised" in line]
    line = tree.told("two.dc", "to three: in sync", "another generation")
    assert two.status(onward, "Init") is None or "said: Error (12) Total update aborted" in line
    assert tree.people(three) == []


def refusal(server, dn):
    """Why an initialisation cannot be asked for; one that was asked for a moment too early is aborted."""
    try:
        server.set(dn, nsds5BeginReplicaRefresh="start")
    except LDAPOperationResult as err:
        return str(err)
    return ""


# 7 to 11: sessions


def test_7_a_replica_that_was_taken_away_and_made_anew_keeps_its_generation_and_stops_agreements(tree, estate):
    one, two, three = estate
    made = tree.joined(one, two, three)
    for dn, _ in two.read(tree.replica, AGREEMENTS, ldap3.LEVEL, ["cn"]):
        two.ldap.delete(dn)
    two.ldap.delete(tree.replica)
    for source in (one, three):
        tree.person(source, f"of-{source.name}")
        until(lambda source=source: "(6)" in (source.status(made[source.name, "two"]) or ""), 90)
    assert "no replica of the suffix" in tree.told("one.dc", "to two: in sync")
    tree.replicate(two, 2)
    three.kick(made["three", "two"])
    tree.arrives(two, "of-one")
    line = tree.told("one.dc", "to two: session", "(6)")
    assert "mend the cause at the target" in line and "repl-agmt disable, then enable" in line
    parts, needs = tree.status()
    assert parts["one"]["agreements"]["to two"]["lag"] == 0
    assert not [each for each in needs if ": generation: " in each or ": in sync: " in each]
    one.kick(made["one", "two"])
    tree.quiet()


def test_9_a_target_of_other_data_is_named_while_its_agreement_is_green(tree, estate):
    one, two, three = estate
    dn = tree.joined(one, two)["one", "two"]
    tree.person(one, "first")
    tree.arrives(two, "first")
    tree.replicate(three, 3)
    three.initialise(tree.agree(three, two))
    assert "Error (0)" in one.status(dn)
    assert "another generation" in tree.told("one.dc", "to two: in sync")
    assert tree.people(two) == []


def test_9_plain_ldap_to_a_port_of_tls(tree, estate):
    one, two, _ = estate
    tree.suppliers(one, two)
    tree.agree(one, two, nsDS5ReplicaPort="4892", nsDS5ReplicaEnabled="off")  # a server takes minutes to let it go
    assert "LDAP is spoken to port 4892" in tree.told("one.dc", "to two: transport")
    assert tree.modules.ds_probe.port("two.dc", 4892, "LDAP", timeout=5)["kind"] == "tls"


def test_10_an_expired_password_shows_at_the_next_connection_and_is_no_wrong_one(tree, estate):
    one, two, _ = estate
    manager = f"cn=manager of {tree.name},cn=config"
    two.ldap.add(manager, ["inetUser", "netscapeServer"], {"userPassword": PASSWORD})
    tree.suppliers(one, two)
    two.set(tree.replica, nsDS5ReplicaBindDN=manager)
    dn = tree.agree(one, two, nsDS5ReplicaBindDN=manager)
    one.initialise(dn)
    two.set("cn=config", passwordExp="on")
    two.set(manager, passwordExpirationTime="20260101000000Z")
    try:
        assert "has ended" in server_line(tree, "two.dc", f"manager {manager}")
        one.kick(dn)
        line = tree.told("one.dc", "to two: session", "(49)")
        assert "or the password expired" in line
    finally:
        two.set("cn=config", passwordExp="off")
    two.set(manager, passwordExpirationTime=[])
    one.kick(dn)
    tree.quiet()


def test_11_a_signer_that_is_not_trusted(tree, estate):
    """Trust is in the files beside the configuration, not in the database of certificates."""
    one, two, _ = estate
    tree.suppliers(one, two)
    files = [*one.config.glob("*.pem"), *one.config.glob("*.crt")]
    assert files
    for file in files:
        file.rename(file.with_name(f"{file.name}.away"))
    try:
        dn = tree.agree(one, two, nsDS5ReplicaPort="4892", nsDS5ReplicaTransportInfo="LDAPS")
        until(lambda: "Can't contact LDAP server" in (one.status(dn) or ""), 90)
        found = tree.modules.ds_replica.check(str(f"ldapi://{one.socket}"), timeout=10)
        said = found[f"one.dc:3891: {tree.suffix}: to two: contact"]
        assert "signer is not trusted" in said["evidence"]
        assert "ca-certificate add" in said["remedy"]
    finally:
        for file in files:
            file.with_name(f"{file.name}.away").rename(file)


def server_line(tree, *words):
    """A line of a server, which has no suffix in it."""

    def found():
        needs = tree.modules.ds_replica.status(timeout=30)["needs"]
        return [line for line in needs if all(word in line for word in words)]

    return until(found, 60)[0]


# 15 to 23


def test_15_an_agreement_to_itself(tree, estate):
    one, *_ = estate
    tree.replicate(one, 1)
    tree.agree(one, one)
    tree.person(one, "somebody")
    assert "the same id" in tree.told("one.dc", "to one: session", "(11)")


def test_18_an_import_makes_another_generation(tree, estate):
    one, two, _ = estate
    dn = tree.joined(one, two)["two", "one"]
    tree.person(one, "before")
    tree.arrives(two, "before")
    file = one.home / "ldif" / f"{tree.name}.ldif"
    file.write_text(f"dn: {tree.suffix}\nobjectClass: domain\ndc: {tree.name}\n\n")
    task = f"cn={tree.name},cn=import,{TASKS}"
    one.ldap.add(task, ["extensibleObject"], {"nsFilename": str(file), "nsInstance": tree.name, "ttl": "600"})
    until(lambda: one.one(task, "nsTaskExitCode") == "0", 90)
    assert "elsewhere" in tree.told("one.dc", "generation")
    tree.person(two, "after")
    assert "initialise the target" in tree.told("two.dc", "to one: session", "(19)")
    assert two.status(dn)


def test_20_what_a_server_wrote_before_its_initialisation_is_told_before_it_goes(tree, estate):
    """Afterwards nothing tells of it."""
    one, two, _ = estate
    tree.suppliers(one, two)
    tree.person(one, "of-one")
    tree.person(two, "of-two")
    dn = tree.agree(one, two)
    for name in ("one.dc", "two.dc"):
        assert "no entries but the suffix" not in tree.told(name, "generation", "decide whose data count")
    one.initialise(dn)
    assert tree.people(two) == ["of-one"]
    tree.quiet()


def test_21_a_bind_dn_that_is_put_right_heals_by_itself(tree, estate):
    one, two, _ = estate
    tree.suppliers(one, two)
    two.set(tree.replica, nsDS5ReplicaBindDN="cn=somebody,cn=config")
    tree.agree(one, two)
    assert "nsDS5ReplicaBindDN there" in tree.told("one.dc", "to two: session", "(3)")
    two.set(tree.replica, nsDS5ReplicaBindDN=MANAGER)
    assert "initialise the target" in tree.told("one.dc", "to two: session", "(19)")


def test_22_what_was_written_between_initialisation_and_agreement_is_not_lost(tree, estate):
    one, two, _ = estate
    tree.suppliers(one, two)
    one.initialise(tree.agree(one, two))
    tree.person(two, "in-between")
    tree.agree(two, one)
    tree.arrives(one, "in-between")
    tree.quiet()


# Bounded times


def test_silent_ports_are_asked_side_by_side(modules, estate):
    """One after the other they would cost four seconds each."""
    with socket.create_server(("127.0.0.1", 3999)):
        began = time.monotonic()
        found = modules.ds_probe.ports([["three.dc", 3999, "LDAP", None]] * 20, timeout=2)
        assert time.monotonic() - began < 40
    assert {each["kind"] for each in found} == {"silent"}


def test_a_frozen_servers_port_is_no_contact(modules, estate):
    """The system takes connections for it; only an answer counts."""
    three = estate[2]
    assert modules.ds_probe.port("three.dc", three.port, "LDAP", timeout=10)["kind"] == "ok"
    with three.frozen():
        assert modules.ds_probe.port("three.dc", three.port, "LDAP", timeout=2)["kind"] == "silent"


@contextlib.contextmanager
def nameserver(answers=True):
    """The host's nameserver: it knows every name as 127.0.0.1, or is silent; each question's number and its name."""
    before = Path("/etc/resolv.conf").read_text() if Path("/etc/resolv.conf").exists() else ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 53))
        listening.settimeout(0.1)
        asked, end = {}, threading.Event()
        thread = threading.Thread(target=_answer_names, args=[listening, asked, answers, end])
        thread.start()
        Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:9 attempts:3\n")
        try:
            yield asked
        finally:
            Path("/etc/resolv.conf").write_text(before)
            end.set()
            thread.join()


def _answer_names(listening, asked, answers, end):
    while not end.is_set():
        with contextlib.suppress(TimeoutError):
            said, whom = listening.recvfrom(4096)
            query = dns.message.from_wire(said)
            [question], reply = query.question, dns.message.make_response(query)
            if question.rdtype == dns.rdatatype.A:
                asked[query.id] = str(question.name).rstrip(".")
                reply.answer = [dns.rrset.from_text(question.name, 0, "IN", "A", "127.0.0.1")]
            if answers:
                listening.sendto(reply.to_wire(), whom)


def test_a_name_is_looked_up_once(modules, estate):
    """The second look-up would have no time."""
    with nameserver() as asked:
        assert modules.ds_replica.status("ldap://ds1.elsewhere:3891", timeout=8)["servers"]
        assert [*asked.values()] == ["ds1.elsewhere"]
        assert modules.ds_probe.port("ds2.elsewhere", 4891, "LDAP", timeout=2)["kind"] == "tls"
        assert modules.ds_probe.certificate("ds3.elsewhere", 4891, timeout=8)["days"] == 90
        assert [*asked.values()] == ["ds1.elsewhere", "ds2.elsewhere", "ds3.elsewhere"]


def test_a_name_service_that_is_silent_costs_its_time(modules, estate):
    with nameserver(answers=False):
        began = time.monotonic()
        [line] = modules.ds_replica.status("ldap://silent.elsewhere", timeout=2)["needs"]
        assert time.monotonic() - began < 20
    assert "the name service does not answer in 2 s" in line


def test_a_name_of_two_addresses_that_are_both_dead_costs_its_time_once(modules, estate):
    networks.run("ip", "link", "add", "dead", "type", "veth", "peer", "name", "deaf")
    networks.run("ip", "address", "add", "198.18.0.1/24", "dev", "dead")
    for device in ("dead", "deaf"):
        networks.run("ip", "link", "set", device, "up")
    for address in ("198.18.0.2", "198.18.0.3"):
        neighbour = ["neighbour", "add", address, "lladdr", "02:00:00:00:00:99", "dev", "dead"]
        networks.run("ip", *neighbour)
        with Path("/etc/hosts").open("a") as hosts:
            hosts.write(f"{address} dead.dc\n")
    assert len(modules.ds_probe.addresses("dead.dc", 389)["found"]) == 2
    began = time.monotonic()
    [line] = modules.ds_replica.status("ldap://dead.dc", timeout=3)["needs"]
    assert modules.ds_probe.port("dead.dc", 389, timeout=2)["kind"] == "silent"
    assert time.monotonic() - began < 9
    assert "ldap://dead.dc is there, but does not answer in 3 s" in line


@contextlib.contextmanager
def answering_late(port, seconds):
    """A way to a port by which each answer comes later; its own port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        accept = threading.Thread(target=_forward, args=[listening, port, seconds])
        accept.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        accept.join()


def _forward(listening, port, seconds):
    with contextlib.suppress(OSError):
        while True:
            client, _ = listening.accept()
            server = socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=_pipe, args=[client, server, 0], daemon=True).start()
            threading.Thread(target=_pipe, args=[server, client, seconds], daemon=True).start()


def _pipe(source, target, seconds):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            time.sleep(seconds)
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def test_a_server_that_answers_late_costs_its_time_and_what_it_told_is_kept(modules, estate):
    with answering_late(estate[2].port, 1) as port:
        began = time.monotonic()
        found = modules.ds_replica.status(f"ldap://127.0.0.1:{port}", timeout=6)
        assert time.monotonic() - began < 11
    assert [line for line in found["needs"] if f"127.0.0.1:{port} is there, but does not answer in 6 s" in line]
    assert [each["version"] for each in found["servers"].values()] == ["389-Directory/2.3.1 B2025.016.1616"]


# At last what concerns whole servers


def test_14_an_id_that_is_taken_out_while_a_replica_is_off_goes_on_for_ever(tree, estate):
    one, two, _ = estate
    tree.joined(one, two)
    gone = tree.agree(one, two, "gone", nsDS5ReplicaPort="3999")
    task = f"cn=clean {tree.name},cn=cleanallruv,{TASKS}"
    values = {"replica-base-dn": tree.suffix, "replica-id": "77", "replica-force-cleaning": "no"}
    one.ldap.add(task, ["extensibleObject"], values)
    line = tree.told("one.dc", "cleaning: goes on", "77")
    assert "find the one that is not" in line
    one.ldap.delete(gone)
    until(lambda: not [line for line in tree.status()[1] if "cleaning" in line], 120)


@pytest.fixture(scope="module")
def joined(estate):
    """A suffix that all three write to and have, and its agreements."""
    made = Tree("mesh", None, estate)
    return made, made.joined(*estate)


@pytest.fixture
def mesh(joined, modules):
    tree, agreements = joined
    tree.modules = modules
    return tree, agreements


def test_23_busy_is_no_fault_and_a_frozen_source_costs_its_time_once(mesh, estate):
    one, two, three = estate
    tree, made = mesh
    with half_way(tree, one, made["one", "three"], three):
        tree.person(two, "waits")
        until(lambda: '"repl_rc": "1"' in two.one(made["two", "three"], "nsds5replicaLastUpdateStatusJSON"), 90)
        began = time.monotonic()
        parts, needs = tree.status(timeout=8)
        assert time.monotonic() - began < 20
        assert "(1)" in parts["two"]["agreements"]["to three"]["says"]
        assert not [line for line in needs if line.startswith("two.dc") and "to three: session" in line]
        assert [line for line in needs if line.startswith("three.dc") and "it is being initialised" in line]
    tree.arrives(three, "waits")
    tree.quiet()


def test_16_a_restart_forgets_the_last_initialisation_and_nothing_is_said_of_that(mesh, estate):
    one, two, _ = estate
    tree, made = mesh
    assert "Total update succeeded" in one.status(made["one", "two"], "Init")
    one.kill()
    needs = tree.modules.ds_replica.status(timeout=10)["needs"]
    assert [line for line in needs if "slapd-one.socket does not run" in line and "systemctl status" in line]
    one.launch().wait()
    assert one.status(made["one", "two"], "Init") is None
    tree.quiet()
    parts, _ = tree.status()
    assert parts["one"]["generation"] == parts["two"]["generation"]
    assert parts["one"]["agreements"]["to two"]["initialisation"] is None


def test_8_a_clock_two_days_ahead_is_named_though_its_own_agreements_are_green_and_so_are_refused_writes(
    mesh, estate, tmp_path
):
    one, two, _ = estate
    tree, made = mesh
    two.kill()
    two.launch(environment=clocks.apart(clocks.library(tmp_path), 2 * 86400)).wait()
    assert re.search(r"clock: 17(27|28)\d\d s ahead of", server_line(tree, "two.dc:3892: clock"))
    tree.person(one, "from-now")
    with contextlib.suppress(LDAPOperationResult):
        tree.person(two, "from-the-future")
    assert "2, 8: clocks" in tree.told("one.dc", "to two: session", "(2)")
    assert "Error (0)" in two.status(made["two", "one"])
    two.stop()  # in order: it keeps how far its changes are ahead
    two.launch().wait()
    with pytest.raises(LDAPOperationResult, match="(?i)operations"):
        tree.person(two, "refused")
    assert "ignore-time-skew: on where writes are refused" in tree.told("two.dc", "changes", "s in the future")
    two.set("cn=config", **{"nsslapd-ignore-time-skew": "on"})
    tree.person(two, "again")
    assert "clocks count no more" in tree.told("two.dc", "time skew")


def test_none_of_all_these_looks_wrote_anything(estate):
    """Each of our sessions begins with the same search; the tests' own writes are of other connections."""
    looks = 0
    for each in estate:
        sessions = ["\n".join(lines) for lines in each.sessions()]
        ours = [session for session in sessions if OURS.search(session)]
        looks += len(ours)
        assert not [session for session in ours if WRITES.search(session)]
        assert [session for session in sessions if WRITES.search(session)], "the log shows writes"
    assert looks > 30
