"""A replica set that speaks TLS only, and its administrator by certificate: every option is PyMongo's own."""

import base64
import datetime
import ipaddress
import os
from urllib.parse import quote_plus

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KEYFILE = base64.b64encode(os.urandom(96)).decode()
ADMIN = "CN=admin,O=clients"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """``ca.pem``, ``server.pem`` for 127.0.0.1, and ``client.pem`` of the administrator."""
    home = tmp_path_factory.mktemp("tls")
    authority = certificate(home / "ca.pem", "ca", "onepass", None)
    certificate(home / "server.pem", "127.0.0.1", "servers", authority)
    certificate(home / "client.pem", "admin", "clients", authority)
    return home


def certificate(path, name, organization, issuer):
    """Write a key with its certificate, signed by the issuer or by itself; answer both."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    signer, signed_by = issuer or (key, subject)
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder(signed_by, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if organization == "servers":
        address = x509.IPAddress(ipaddress.ip_address(name))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(text + builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return key, subject


@pytest.fixture
def member(mongods, pillar, certificates):
    """One member that takes TLS alone, and how its administrator reaches it: by certificate, without any password."""
    pillar({"mongodb": {"auth": {"admin": {"username": ADMIN, "authMechanism": "MONGODB-X509"}}}})
    options = ["--tlsMode", "requireTLS", "--tlsCAFile", str(certificates / "ca.pem")]
    options += ["--tlsCertificateKeyFile", str(certificates / "server.pem")]
    options += ["--tlsAllowConnectionsWithoutCertificates"]
    [member] = mongods(1, replset="s1", role="shardsvr", keyfile=KEYFILE, args=options)
    tls = {
        "tls": True,
        "tlsCAFile": str(certificates / "ca.pem"),
        "tlsCertificateKeyFile": str(certificates / "client.pem"),
    }
    return member, {"host": "127.0.0.1", "port": member.port, **tls, "credentials": "mongodb:auth:admin"}


def test_a_set_is_born_and_ruled_over_tls_by_certificate(states, modules, member):
    server, connection = member
    wanted = {"name": "s1", "members": [server.address], "connection": connection, "timeout": 20}
    dry = states.mongo_replset.replset_present(**wanted, test=True)
    real = states.mongo_replset.replset_present(**wanted)
    assert (real.result, real.changes) == (True, dry.changes), real.comment
    again = states.mongo_replset.replset_present(**wanted)
    assert (again.result, again.changes) == (True, {})
    options = {key: value for key, value in connection.items() if key not in ("credentials", "host", "port")}
    with server.client(**options, authMechanism="MONGODB-X509") as client:
        known = client["$external"].command("usersInfo")["users"]
    assert [(user["user"], user["db"]) for user in known] == [(ADMIN, "$external")]
    given = "&".join(f"{key}={quote_plus(str(value).lower())}" for key, value in options.items())
    uri = f"mongodb://{quote_plus(ADMIN)}@{server.address}/?{given}&authMechanism=MONGODB-X509"
    assert modules.mongo_client.login_works(uri)
    assert modules.mongo_client.hello(modules.mongo_client.at(server.address, uri))["isWritablePrimary"]
    assert modules.mongo_replset.observe("s1", [server.address], uri)["primary"] == server.address


def test_the_formulas_last_word_is_asked_for_over_tls(states, modules, member, pillar):
    server, connection = member
    wanted = {"name": "s1", "members": [server.address], "connection": connection, "timeout": 20}
    assert states.mongo_replset.replset_present(**wanted).result is True
    paths = {"CAFile": connection["tlsCAFile"], "certificateKeyFile": connection["tlsCertificateKeyFile"]}
    replsets = {"s1": {"role": "shard", "members": [server.address]}}
    tls = {"mode": "requireTLS", **paths}
    pillar({"mongodb": {"replsets": replsets, "routers": ["minion"], "tls": tls, "timeout": 3}})
    applied = modules.state.sls_id("mongodb-healthy", "mongodb.verify")
    assert applied.result is True, applied


def test_without_tls_the_server_is_told_not_to_answer(modules, member):
    server, connection = member
    plain = {"host": "127.0.0.1", "port": server.port, "serverSelectionTimeoutMS": 500}
    with pytest.raises(Exception, match="nothing answers hello"):
        modules.mongo_client.hello(plain)
    assert modules.mongo_client.hello(connection)["isWritablePrimary"] is False


def test_a_living_member_whose_port_and_tls_change_together_is_refused(states, member, certificates, tmp_path):
    """Over the TLS that it has, as its file says; and one without TLS that is to have it."""
    server, connection = member
    wanted = {"name": "s1", "members": [server.address], "connection": connection, "timeout": 20}
    assert states.mongo_replset.replset_present(**wanted).result is True
    file, host = tmp_path / "mongod-s1.conf", {"host": "127.0.0.1", "credentials": "mongodb:auth:admin"}
    tls = {
        "mode": "requireTLS",
        "CAFile": connection["tlsCAFile"],
        "certificateKeyFile": connection["tlsCertificateKeyFile"],
    }
    net = {"net": {"port": server.port, "tls": tls}, "replication": {"replSetName": "s1"}}
    file.write_text(yaml.safe_dump(net))
    ret = judged(states, file, "s1", {**host, "port": 1})
    assert (ret.result, ret.changes) == (False, {})
    assert f"is at port {server.port}, not 1" in ret.comment
    ret = judged(states, file, "s2", {**host, "port": server.port})
    assert "is a living member of replica set s1, so s2 cannot be there" in ret.comment


def judged(states, file, name, connection):
    """What is said of another port or set for a member, which is on this host alone."""
    return states.mongo_daemon.in_place(
        name=f"mongod-{name}",
        file=str(file),
        configuration={"net": {"port": connection["port"]}, "replication": {"replSetName": name}},
        replsets={name: [f"127.0.0.1:{connection['port']}"]},
        connection=connection,
    )


def test_a_living_member_that_gets_tls_at_another_port_is_refused(states, mongods, certificates, tmp_path):
    [server] = mongods(1, replset="s1")
    plain = {"host": "127.0.0.1", "port": server.port}
    wanted = {"name": "s1", "members": [server.address], "connection": plain, "timeout": 20}
    assert states.mongo_replset.replset_present(**wanted).result is True
    file = tmp_path / "mongod-s1.conf"
    file.write_text(yaml.safe_dump({"net": {"port": server.port}, "replication": {"replSetName": "s1"}}))
    tls = {"tls": True, "tlsCAFile": str(certificates / "ca.pem")}
    ret = judged(states, file, "s1", {**plain, **tls, "port": 1})
    assert f"is at port {server.port}, not 1" in ret.comment
