"""Real 389 Directory Servers, two that write and one that reads: each trouble is made, and the status tells of it."""

import contextlib
import os
import re
import socket
import threading
import time
from pathlib import Path

import ldap3
import pytest
from salt.exceptions import CommandExecutionError

import directories
import networks
from directories import BACKEND, MANAGER, PASSWORD, REPLICA, SUFFIX
from networks import until

LOGIN = "cn=onepass,cn=config"
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
# StartTLS to two of them, TLS from the first byte to the third.
REMOTE = [("one", 3891, ""), ("two", 3892, ""), ("three", 3893, "s")]
WRITES = re.compile(r" (ADD|MOD|DEL|MODRDN) ")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return directories.certificates(tmp_path_factory.mktemp("pki"), "one.dc", "two.dc", "three.dc")


@pytest.fixture(scope="module")
def blank(tmp_path_factory, pki):
    """Three servers on this host, in a network of the tests' own; nobody has any other's data yet."""
    if os.geteuid():
        pytest.fail("These tests make namespaces: run them as root", pytrace=False)
    with networks.host(tmp_path_factory.mktemp("host")):
        Path("/etc/hosts").write_text("127.0.0.1 localhost one.dc two.dc three.dc other.dc\n")
        made = {each.name: each for each in directories.servers("one", "two", "three", certificate=pki)}
        yield {**made, "agreements": directories.fed(*made.values(), readers=1)}


@pytest.fixture(scope="module")
def estate(blank):
    """one and two write, three reads, and all have the first one's data."""
    for other in ("two", "three"):
        blank["one"].initialise(blank["agreements"]["one", other])
    return blank


@pytest.fixture
def status(modules, blank):
    """What is said of all servers of this host: (servers, the lines that need somebody but for the old version)."""

    def asked(**options):
        found = modules.ds_replica.status(**{"timeout": 30, **options})
        return found["servers"], [line for line in found["needs"] if ": version: " not in line]

    return asked


def agreement(servers, source, target):
    return servers[f"{source}.dc:{directories.PORTS[source]}"]["suffixes"][SUFFIX]["agreements"][f"to {target}"]


def told(status, *words):
    """Wait until one line has all these words, and answer it."""
    seen = []

    def found():
        seen[:] = status()[1]
        return [line for line in seen if all(word in line for word in words)]

    with tried(seen):
        return until(found, 60)[0]


def well(status):
    """Wait until nothing needs anybody."""
    seen = []

    def quiet():
        seen[:] = status()[1]
        return not seen

    with tried(seen):
        until(quiet, 90)


@contextlib.contextmanager
def tried(seen):
    try:
        yield
    except AssertionError as err:
        raise AssertionError("\n".join([str(err), *seen])) from None


# Before anybody has another's data


def test_servers_with_data_of_their_own_are_of_other_generations(status, blank):
    assert "elsewhere, and it has no entries but the suffix" in told(status, "one.dc", "generation", "replaces all")
    assert "another generation" in told(status, "one.dc", "to two: in sync")
    assert "(19)" in told(status, "one.dc", "to two: session", "initialise the target")


def test_a_replica_that_does_not_know_the_bind_dn(status, blank):
    blank["two"].set(REPLICA, nsDS5ReplicaBindDN="cn=somebody,cn=config")
    blank["one"].kick(blank["agreements"]["one", "two"])
    assert "nsDS5ReplicaBindDN there" in told(status, "one.dc", "to two: session")
    assert "there is no such entry" in told(status, "two.dc", "manager cn=somebody,cn=config")
    blank["two"].set(REPLICA, nsDS5ReplicaBindDN=MANAGER)


# A sound estate


def test_all_is_well_when_all_have_all(status, estate, modules):
    for name in ("one", "two"):
        estate[name].person(f"from-{name}")
    until(lambda: "unseen" not in str(modules.ds_replica.check(timeout=30)), 60)
    well(status)
    servers, _ = status()
    roles = {name: (s["suffixes"][SUFFIX]["role"], s["suffixes"][SUFFIX]["id"]) for name, s in servers.items()}
    assert roles == {
        "one.dc:3891": ("supplier", 1),
        "two.dc:3892": ("supplier", 2),
        "three.dc:3893": ("consumer", 65535),
    }
    assert len({each["suffixes"][SUFFIX]["generation"] for each in servers.values()}) == 1
    assert [each["certificate"] for each in servers.values()] == [90] * 3
    assert agreement(servers, "one", "three")["lag"] == 0
    assert agreement(servers, "one", "three")["enabled"] is True
    assert PASSWORD not in str(servers) and "{AES" not in str(servers)
    states = {each["state"] for name, each in modules.ds_replica.check(timeout=30).items() if ": version" not in name}
    assert states == {"ok"}


def test_nothing_is_written_and_the_old_version_is_named(modules, estate):
    before = {name: len(estate[name].log("access")) for name in directories.PORTS}
    needs = modules.ds_replica.status(timeout=30)["needs"]
    assert len([line for line in needs if "389-Directory/2.3.1" in line and "upgrade to 2.3.5" in line]) == 3
    for name, begin in before.items():
        log = estate[name].log("access")[begin:]
        ours = re.findall(r"conn=(\d+) fd=\d+ slot=\d+ connection from local", log)
        said = [line for line in log.splitlines() if any(f" conn={number} " in line for number in ours)]
        assert [line for line in said if " SRCH " in line]
        assert not [line for line in said if WRITES.search(line)]


def test_the_least_account_sees_the_same_over_tls(modules, estate, pillar, pki, tmp_path):
    pillar({"ds389": {"login": {"bind_dn": LOGIN, "password": PASSWORD, "ca_file": str(pki[0])}}})
    for name in directories.PORTS:
        directories.login_of_the_docs(estate[name], tmp_path, replicated=name == "one")
    there = [f"ldap{secure}://{name}.dc:{port + 1000 * bool(secure)}" for name, port, secure in REMOTE]

    def seen(**where):
        servers = modules.ds_replica.status(timeout=30, **where)["servers"]
        return {name: (each["version"], each["suffixes"]) for name, each in servers.items()}

    until(lambda: seen(servers=there, login="ds389:login") == seen(), 60)
    twice = [*modules.ds_client.local(), *there, "ldaps://one.dc:4891"]
    assert seen(servers=twice, login="ds389:login") == seen(), "however many addresses a server is named by"
    needs = modules.ds_replica.status(twice, "ds389:login", timeout=30)["needs"]
    assert len([line for line in needs if ": version: " in line]) == len(needs) == 3
    nobody = modules.ds_replica.status(there, timeout=30)
    assert [each["version"] for each in nobody["servers"].values()] == ["389-Directory/2.3.1 B2025.016.1616"] * 2 + [
        None
    ]
    assert not [each for each in nobody["servers"].values() if each["suffixes"]]
    assert [
        line for line in nobody["needs"] if line.startswith("ldaps://three.dc:4893: answers: ") and "ca_file" in line
    ]


def test_a_login_is_not_sent_without_tls_that_is_trusted(modules, estate, pillar):
    pillar({"ds389": {"login": {"bind_dn": LOGIN, "password": PASSWORD}}})
    [line] = modules.ds_replica.status("ldap://one.dc:3891", login="ds389:login", timeout=30)["needs"]
    assert "ca_file" in line
    assert "certificate" in line
    pillar({"ds389": {"login": {"bind_dn": LOGIN, "password": "wrong", "ca_file": "/nowhere"}}})
    [line] = modules.ds_replica.status("ldaps://one.dc:4891", login="ds389:login", timeout=30)["needs"]
    assert "/nowhere, the login's ca_file, is no file" in line


def test_a_part_of_an_answer_is_not_taken_for_all(modules, estate, pillar, pki):
    """What is over a login's limit of number ldap3 cuts off, and raises nothing."""
    pillar({"ds389": {"login": {"bind_dn": LOGIN, "password": PASSWORD, "ca_file": str(pki[0])}}})
    one, names = estate["one"], [f"ou=part{number},{SUFFIX}" for number in range(20)]
    for name in names:
        one.ldap.add(name, ["organizationalUnit"])
        one.ldap.add(f"ou=below,{name}", ["organizationalUnit"])

    def entries():
        servers = modules.ds_replica.status("ldaps://one.dc:4891", login="ds389:login", timeout=30)["servers"]
        return servers["one.dc:3891"]["suffixes"][SUFFIX]["entries"]

    all_of_them = entries()
    one.set(LOGIN, nsSizeLimit="15")
    assert (all_of_them > 40, entries()) == (True, None)
    one.set(LOGIN, nsSizeLimit="-1")
    for name in names:
        one.ldap.delete(f"ou=below,{name}")
        one.ldap.delete(name)


def test_a_login_that_is_let_in_and_answered_nothing(modules, estate, pillar, pki):
    one = estate["one"]
    one.set("cn=config", passwordMustChange="on")
    one.ldap.add("cn=new,cn=config", ["person"], {"sn": "new", "userPassword": PASSWORD})
    pillar({"ds389": {"login": {"bind_dn": "cn=new,cn=config", "password": PASSWORD, "ca_file": str(pki[0])}}})
    [line] = modules.ds_replica.status("ldaps://one.dc:4891", login="ds389:login", timeout=30)["needs"]
    assert "answers it nothing: unwillingToPerform; change the login's password, if passwordMustChange is on" in line
    one.set("cn=config", passwordMustChange="off")


def test_root_on_the_host_is_not_safe_enough(modules, estate):
    """nsslapd-minssf lets ldapi in, which counts for 71, and refuses all that it asks."""
    one = estate["one"]
    one.set("cn=config", **{"nsslapd-minssf": "128"})
    server = ldap3.Server("one.dc", 4891, use_ssl=True, get_info=ldap3.NONE)
    [line] = modules.ds_replica.status("ldapi:///run/slapd-one.socket", timeout=30)["needs"]
    with ldap3.Connection(server, "cn=Directory Manager", PASSWORD, raise_exceptions=True) as safe:
        safe.modify("cn=config", {"nsslapd-minssf": [(ldap3.MODIFY_REPLACE, ["0"])]})
    assert "Minimum SSF not met" in line
    assert "nsslapd-localssf" in line
    assert one._connected()
    estate["two"].kick(estate["agreements"]["two", "one"])  # a session that met it has stopped for good


# What is green, and is not well


def test_a_switched_off_agreement_is_green_and_behind(status, estate):
    one, dn = estate["one"], estate["agreements"]["one", "three"]
    two = estate["agreements"]["two", "three"]
    for server, name in ((one, dn), (estate["two"], two)):
        server.set(name, nsds5ReplicaEnabled="off")
    one.person("unseen")
    assert "is disabled" in told(status, "to three: enabled")
    servers, _ = status()
    assert "Error (0)" in agreement(servers, "one", "three")["says"]
    assert agreement(servers, "one", "three")["lag"] != 0
    for server, name in ((one, dn), (estate["two"], two)):
        server.set(name, nsds5ReplicaEnabled="on")
    until(lambda: "cn=unseen" in estate["three"].names())
    well(status)


def test_a_transport_that_does_not_fit_its_port(status, estate):
    """By the settings alone: the agreement never speaks."""
    dn = estate["one"].agreement(estate["three"], "odd", nsDS5ReplicaPort="4893", nsDS5ReplicaEnabled="off")
    assert "LDAP is spoken to port 4893" in told(status, "one.dc", "odd: transport")
    estate["one"].ldap.delete(dn)


def test_changes_that_an_agreement_leaves_out_are_counted(modules, status, estate):
    one, dn = estate["one"], estate["agreements"]["one", "three"]
    estate["two"].set(estate["agreements"]["two", "three"], nsds5ReplicaEnabled="off")
    excluded = {"nsDS5ReplicatedAttributeList": "(objectclass=*) $ EXCLUDE description"}
    one.set(dn, **excluded, nsds5ReplicaStripAttrs="modifiersname modifytimestamp")
    one.kick(dn)
    one.person("described")
    until(lambda: "cn=described" in estate["three"].names())
    time.sleep(1)
    one.set(f"cn=described,{SUFFIX}", description="left out")

    def skipped():
        held = modules.ds_read.observe("ldapi:///run/slapd-one.socket", timeout=30)["suffixes"][SUFFIX]
        return {each["name"]: each["skipped"] for each in held["agreements"]}

    until(lambda: skipped() == {"to two": 0, "to three": 1}, 60)
    found = agreement(status()[0], "one", "three")
    assert found["lag"] > 0
    assert "Error (0)" in found["says"]
    one.set(dn, nsDS5ReplicatedAttributeList=[], nsds5ReplicaStripAttrs=[])
    estate["two"].set(estate["agreements"]["two", "three"], nsds5ReplicaEnabled="on")
    one.kick(dn)
    one.person("after-it")
    well(status)


def test_a_failed_login_is_not_taken_for_a_broken_agreement(status, estate):
    """It is counted, which moves the vector, and not sent, which ends the session."""
    one = estate["one"]
    one.set("cn=config", passwordLockout="on")
    one.person("teller", userPassword=PASSWORD)
    until(lambda: "cn=teller" in estate["three"].names())
    wrong = ldap3.Connection(ldap3.Server("one.dc", one.port, get_info=ldap3.NONE), f"cn=teller,{SUFFIX}", "mistyped")
    assert not wrong.bind()
    line = told(status, "one.dc", "to two: session: Error (16)")
    assert "a login that failed here does that, until the next write here" in line
    one.set("cn=config", passwordLockout="off")
    one.person("next")
    well(status)


@pytest.mark.parametrize(
    "values, cause",
    [
        ({"nsDS5ReplicaPort": "3999"}, "nothing listens at that port"),
        ({"nsDS5ReplicaHost": "nowhere.dc"}, "the name of that host is not known"),
        ({"nsDS5ReplicaPort": "4893", "nsDS5ReplicaTransportInfo": "LDAPS"}, "the certificate is of another name"),
        ({"nsDS5ReplicaTransportInfo": "LDAPS"}, "the port does not speak TLS"),
        ({"nsDS5ReplicaTransportInfo": "TLS"}, "the certificate is of another name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_causes_behind_one_sentence(modules, estate, values, cause):
    """The agreement says of all of them: Can't contact LDAP server, or with StartTLS: Connect error."""
    one = estate["one"]
    dn = one.agreement(estate["three"], "other", **{"nsDS5ReplicaHost": "other.dc", **values})
    until(lambda: re.match(r"Error \((-1|-11)\)", one.status(dn) or ""))
    found = modules.ds_replica.check("ldapi:///run/slapd-one.socket", timeout=10)
    said = found[f"one.dc:3891: {SUFFIX}: other: contact"]
    assert cause in said["evidence"]
    assert said["remedy"]
    one.ldap.delete(dn)


# Settings


SETTINGS = [
    ("three", BACKEND, "nsslapd-readonly", "on", "off", "writable: the backend is read-only"),
    ("two", "cn=config", "nsslapd-ignore-time-skew", "on", "off", "time skew"),
    ("two", "cn=config", "passwordLockout", "on", "off", "passwordLockout is on"),
    ("three", "cn=config", "nsslapd-port", "3993", "3893", "nothing listens at 3993"),
]


@pytest.mark.parametrize("name, dn, key, value, before, words", SETTINGS, ids=[row[2] for row in SETTINGS])
def test_a_setting_that_stops_replication_sooner_or_later(status, estate, name, dn, key, value, before, words):
    estate[name].set(dn, **{key: value})
    assert told(status, f"{name}.dc", words)
    estate[name].set(dn, **{key: before})


def test_a_managers_password_that_ends(status, estate):
    two = estate["two"]
    two.set("cn=config", passwordExp="on", passwordMaxAge=str(3 * 86400))
    two.set(MANAGER, userPassword=PASSWORD)
    assert "its password ends in 2 days" in told(status, "two.dc", f"manager {MANAGER}")
    assert "holds for replication managers too" in told(status, "two.dc", "passwordExp")
    two.set("cn=config", passwordExp="off")
    two.set(MANAGER, passwordExpirationTime=[])
    well(status)


def test_a_locked_manager(status, estate):
    """As an agreement would say it, Error (19), which is also the number of another generation."""
    two = estate["two"]
    two.set("cn=config", passwordLockout="on", passwordMaxFailure="1")
    wrong = ldap3.Connection(ldap3.Server("two.dc", two.port, get_info=ldap3.NONE), MANAGER, "wrong")
    wrong.bind()
    wrong.bind()
    wrong.unbind()
    assert "is locked" in told(status, "two.dc", f"manager {MANAGER}")
    estate["one"].kick(estate["agreements"]["one", "two"])
    estate["one"].person("kept-out")  # with nothing to send it may connect a minute later
    assert "the target has locked the replication manager" in told(status, "one.dc", "to two: session", "(19)")
    two.set("cn=config", passwordLockout="off", passwordMaxFailure="3")
    two.set(MANAGER, accountUnlockTime=[], passwordRetryCount=[], retryCountResetTime=[])
    estate["one"].kick(estate["agreements"]["one", "two"])
    well(status)


def test_clocks_that_are_apart(status, estate, monkeypatch):
    """Seen from a host that is two hours behind all servers."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 7200)
    _, needs = status()
    assert (
        len([line for line in needs if re.search(r": clock: 7(199|200|201) s ahead of the host that asks", line)]) == 3
    )
    assert (
        len([line for line in needs if re.search(r": changes: it has changes from \d{3,4} s in the future", line)]) == 3
    )


def test_a_suffix_that_is_being_initialised(status, estate):
    one, dn = estate["one"], estate["agreements"]["one", "three"]
    one.set(dn, nsds5BeginReplicaRefresh="start")
    line = told(status, "three.dc", f"{SUFFIX}: served")
    assert "it is being initialised" in line
    until(lambda: one.one(dn, "nsds5BeginReplicaRefresh") is None)
    well(status)


# What the servers disagree on


def test_a_conflict_is_found_by_the_filter_that_finds_it(status, estate):
    one, two = estate["one"], estate["two"]
    pairs = [(one, estate["agreements"]["one", "two"]), (two, estate["agreements"]["two", "one"])]
    for server, dn in pairs:
        server.set(dn, nsds5ReplicaEnabled="off")
    one.person("both")
    two.person("both")
    for server, dn in pairs:
        server.set(dn, nsds5ReplicaEnabled="on")
    line = told(status, "one.dc", "conflicts: 1: cn=both+nsuniqueid=")
    assert "repl-conflict" in line
    lost = one.read(SUFFIX, "(&(objectClass=ldapSubEntry)(nsds5ReplConflict=*))", ldap3.SUBTREE, ["cn"])[0][0]
    one.ldap.delete(lost)
    well(status)


def test_an_id_that_was_changed_leaves_a_ghost(status, estate):
    two = estate["two"]
    two.person("of-two")
    two.set(REPLICA, nsDS5ReplicaId="22")
    two.person("of-twenty-two")
    line = told(status, "one.dc", "ghosts")
    assert "ids 2, 22 are of ldap://two.dc:3892" in line
    assert "cleanallruv" in line


def test_two_servers_of_one_id(status, estate):
    estate["two"].set(REPLICA, nsDS5ReplicaId="1")
    estate["one"].kick(estate["agreements"]["one", "two"])
    estate["one"].person("for-two")
    assert "id 1 is another server's too" in told(status, "one.dc", "replica id")
    assert "(11)" in told(status, "one.dc", "to two: session", "the same id")
    estate["two"].set(REPLICA, nsDS5ReplicaId="22")


# Answers


def test_a_server_that_is_off_or_frozen_costs_its_time_once(status, estate):
    one, two, three = (estate[name] for name in ("one", "two", "three"))
    two.stop()
    with three.frozen():
        began = time.monotonic()
        servers, needs = status(timeout=8)
        assert time.monotonic() - began < 20
    assert [line for line in needs if "slapd-two.socket does not run" in line and "systemctl status" in line]
    assert [line for line in needs if "slapd-three.socket is there, but does not answer in 8 s" in line]
    assert servers["one.dc:3891"]["suffixes"][SUFFIX]["id"] == 1
    two.launch().wait()
    assert two.status(estate["agreements"]["two", "one"], "Init") is None
    assert not [line for line in status()[1] if "initialisation" in line]


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x30\x82", b"\x30\x03\x02\x01\x01", b""],
)
def test_another_program_at_that_address_is_told(modules, answer, scheme):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        other = threading.Thread(target=answered, args=[listening, answer])
        other.start()
        began = time.monotonic()
        found = modules.ds_replica.status(f"{scheme}://127.0.0.1:{listening.getsockname()[1]}", timeout=4)
        assert time.monotonic() - began < 20
        listening.shutdown(socket.SHUT_RDWR)
        other.join()
    assert len(found["needs"]) == 1
    assert "127.0.0.1" in found["needs"][0]


def answered(listening, answer):
    with contextlib.suppress(OSError):
        while True:
            client, _ = listening.accept()
            with client:
                client.recv(1000)
                client.sendall(answer)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["ds1.dc"], "no directory server's address"),
        (["http://ds1.dc"], "no directory server's address"),
        (["ldap://ds1.dc:a"], "no directory server's address"),
        (["ldap://ds1.dc/dc=bank"], "no directory server's address"),
        (["ldaps://admin:secret@ds1.dc"], "no directory server's address"),
        (["ldapi://"], "no directory server's address"),
        ([[5]], "a list of addresses is wanted"),
        ([[]], "a list of addresses is wanted"),
        ([{"a": 1}], "a list of addresses is wanted"),
        (["ldaps://ds1.dc", "ds389:nowhere"], "No login at ds389:nowhere"),
        (["ldaps://ds1.dc", None, 0], "seconds are wanted"),
        (["ldaps://ds1.dc", None, "soon"], "seconds are wanted"),
        (["ldaps://ds1.dc", None, True], "seconds are wanted"),
        (["ldaps://ds1.dc", None, 1000], "seconds are wanted"),
    ],
    ids=lambda value: str(value),
)
def test_arguments_that_cannot_be_right(modules, arguments, words):
    for function in (modules.ds_replica.status, modules.ds_replica.check):
        with pytest.raises(CommandExecutionError, match=words) as raised:
            function(*arguments)
        assert "secret" not in str(raised.value)


# Its own words


def test_each_message_that_is_explained_is_in_the_servers_files(modules):
    files = [Path("/usr/sbin/ns-slapd"), *LIBRARIES.glob("dirsrv/plugins/*.so")]
    files += Path("/usr/lib/python3/dist-packages/lib389").rglob("*.py")
    files += [path for pattern in ("libslapd.so*", "libldap-2*.so*") for path in LIBRARIES.rglob(pattern)]
    known = b"".join(path.read_bytes() for path in dict.fromkeys(path.resolve() for path in files))
    known = re.sub(rb" +", b" ", known)
    forms = [form for form, _, _ in modules.onepass_directory_errors.known()["What 389 Directory Server itself says"]]
    pieces = {form: [piece.strip() for piece in form.split("*")] for form in forms}
    assert not [form for form, parts in pieces.items() if not all(part.encode() in known for part in parts)]


def test_what_a_living_agreement_says_is_explained(modules, estate):
    one, solve = estate["one"], modules.onepass_solution.find
    for dn, _ in one.read(REPLICA, "(objectClass=nsDS5ReplicationAgreement)", ldap3.LEVEL, ["cn"]):
        for said in filter(None, (one.status(dn), one.status(dn, "Init"))):
            assert solve(said)[0]["solution"], said


# At last, as a server takes its time to let such an agreement go


def test_an_initialisation_that_cannot_begin_is_armed(status, estate):
    one = estate["one"]
    dn = one.agreement(estate["three"], "armed", nsDS5ReplicaCredentials="wrong", nsDS5ReplicaHost="other.dc")
    until(lambda: "(49)" in (one.status(dn) or ""))
    one.set(dn, nsds5BeginReplicaRefresh="start")
    assert "will, by itself" in told(status, "armed: initialisation")
    assert "succeeded" not in (one.status(dn, "Init") or "")
    assert "bind DN or password" in told(status, "armed: session")
