"""389 Directory Servers of the tests' own: started without systemd inside of ``networks.host``, and gone with it."""

import base64
import contextlib
import datetime
import hashlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import ldap3
import ldap3.core.exceptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from networks import run, until
from tree import ROOT

SUFFIX = "dc=bank,dc=example"
MAPPING = f'cn="{SUFFIX}",cn=mapping tree,cn=config'
REPLICA = f"cn=replica,{MAPPING}"
MANAGER = "cn=replication manager,cn=config"
PORTS = {"one": 3891, "two": 3892, "three": 3893}
BACKEND = "cn=userroot,cn=ldbm database,cn=plugins,cn=config"
CHANGELOG = "cn=changelog,cn=userroot,cn=ldbm database,cn=plugins,cn=config"
PASSWORD = "not-a-secret-9"
HASHED = "{SHA}" + base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
DATA = Path("/usr/share/dirsrv/data")
# Small ones: what a server takes by itself grows with the machine.
SMALL = {"nsslapd-cachememsize": "10000000"}


class Server:
    """A server with the suffix and its one entry: plain LDAP at ``port``, TLS at ``port + 1000``, and ldapi."""

    def __init__(self, name, port, certificate=None):
        self.name, self.port, self.certificate = name, port, certificate
        self.home, self.config = Path("/run/ds", name), Path("/etc/dirsrv", f"slapd-{name}")
        self.socket, self.process, self.ldap = f"/run/slapd-{name}.socket", None, None
        self._lay_out()

    def _lay_out(self):
        for place in ("db", "home", "log", "run", "lock", "tmp", "ldif", "bak"):
            (self.home / place).mkdir(parents=True)
        shutil.copytree("/etc/dirsrv/schema", self.config / "schema")
        for file in ("slapd-collations.conf", "certmap.conf"):
            shutil.copy(f"/etc/dirsrv/config/{file}", self.config)
        (self.config / "dse.ldif").write_text(self._settings())
        if self.certificate:
            self._keep(*self.certificate)

    def _settings(self):
        text = (DATA / "template-dse.ldif").read_text()
        for key, value in self._values().items():
            text = text.replace(f"%{key}%", str(value))
        return text

    def _values(self):
        places = {f"{name}_dir": self.home / name for name in ("log", "run", "lock", "tmp", "ldif", "bak", "db")}
        return {
            **places,
            "inst_dir": self.home,
            "db_home_dir": self.home / "home",
            "schema_dir": self.config / "schema",
            "cert_dir": self.config,
            "config_dir": self.config,
            "fqdn": f"{self.name}.dc",
            "ds_port": self.port,
            "ds_user": "root",
            "rootdn": "cn=Directory Manager",
            "ds_passwd": HASHED,
            "ds_suffix": SUFFIX,
            "ldapi_enabled": "on",
            "ldapi": self.socket,
            "ldapi_autobind": "on",
            "db_lib": "bdb",
        }

    def _keep(self, authority, pkcs12):
        """A certificate, its key and who signed it, where a server looks for them."""
        store = ["-d", f"sql:{self.config}"]
        run("certutil", "-N", *store, "--empty-password")
        run("certutil", "-A", *store, "-n", "authority", "-t", "CT,,", "-i", authority)
        run("pk12util", "-i", pkcs12, *store, "-W", PASSWORD, "-K", "")
        text = (self.config / "dse.ldif").read_text()
        on = f"nsslapd-security: on\nnsslapd-secureport: {self.port + 1000}\n"
        (self.config / "dse.ldif").write_text(text.replace("cn: config\n", f"cn: config\n{on}", 1))

    def launch(self, *before, environment=()):
        """Start the process and return at once."""
        with (self.home / "out").open("w") as out:
            words = [*before, "/usr/sbin/ns-slapd", "-D", self.config, "-i", self.home / "run/pid", "-d", "0"]
            env = {**os.environ, **dict(environment)}
            self.process = subprocess.Popen([*map(str, words)], stdout=out, stderr=out, env=env)
        return self

    def wait(self):
        """Return when it answers, with its suffix's entry made."""
        until(self._connected)
        return self

    def _connected(self):
        assert self.process.poll() is None, (self.home / "out").read_text() + self.log("errors")
        with contextlib.suppress(ldap3.core.exceptions.LDAPException, OSError):
            server = ldap3.Server(f"ldapi://{self.socket}", get_info=ldap3.NONE, connect_timeout=2)
            self.ldap = ldap3.Connection(
                server,
                authentication=ldap3.SASL,
                sasl_mechanism=ldap3.EXTERNAL,
                sasl_credentials="",
                raise_exceptions=True,
                check_names=False,
                auto_referrals=False,
                receive_timeout=120,
            )
            return self.ldap.bind()

    def blank(self):
        """As dscreate leaves a server, with the suffix's one entry; small caches, a log that has each line at once."""
        self.set("cn=config", **{"nsslapd-accesslog-logbuffering": "off"})
        self.ldap.add(BACKEND, ["nsBackendInstance", "extensibleObject"], {"nsslapd-suffix": SUFFIX, **SMALL})
        self.ldap.add(
            MAPPING, ["nsMappingTree", "extensibleObject"], {"nsslapd-state": "backend", "nsslapd-backend": "userroot"}
        )
        self.ldap.add(SUFFIX, ["domain"])
        return self

    def stop(self):
        self.process.terminate()
        self.process.wait(180)

    def kill(self):
        """As it ends by itself: it stays down, and begins anew with what its disk has."""
        self.process.kill()
        self.process.wait(60)

    def signal(self, number):
        os.kill(self.process.pid, number)

    @contextlib.contextmanager
    def frozen(self):
        """The process is stopped: the system takes connections for it, and nobody answers."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def log(self, kind):
        """All of it, also what a new day has set aside."""
        files = [*sorted((self.home / "log").glob(f"{kind}.2*")), self.home / "log" / kind]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def sessions(self):
        """The lines of each connection in the access log; each start of the server numbers them anew."""
        found, open_now = [], {}
        for line in self.log("access").splitlines():
            told = re.search(r" conn=(\d+) (fd=)?", line)
            if told and told[2]:
                found.append([])
                open_now[told[1]] = found[-1]
            elif told and told[1] in open_now:
                open_now[told[1]].append(line)
        return found

    def read(self, dn, filter="(objectClass=*)", scope=ldap3.BASE, attributes=("*", "+")):
        """Entries as (dn, {attribute in small letters: [text]})."""
        self.ldap.search(dn, filter, scope, attributes=list(attributes))
        entries = [found for found in self.ldap.response if found["type"] == "searchResEntry"]
        return [(entry["dn"], _texts(entry["raw_attributes"])) for entry in entries]

    def one(self, dn, attribute):
        """An attribute's first value, or None."""
        return (self.read(dn, attributes=[attribute])[0][1].get(attribute.lower()) or [None])[0]

    def set(self, dn, **values):
        changes = {k: [(ldap3.MODIFY_REPLACE, v if isinstance(v, list) else [v])] for k, v in values.items()}
        self.ldap.modify(dn, changes)

    def add(self, dn, **values):
        self.ldap.modify(dn, {name: [(ldap3.MODIFY_ADD, [value])] for name, value in values.items()})

    def person(self, name, **more):
        self.ldap.add(f"cn={name},{SUFFIX}", ["person"], {"sn": name, **more})

    def names(self):
        """The names below the suffix."""
        return sorted(dn.split(",")[0] for dn, _ in self.read(SUFFIX, scope=ldap3.LEVEL, attributes=["cn"]))

    def replica(self, number, kind="3", **more):
        """A replica that others may write to as the replication manager."""
        self.ldap.add(MANAGER, ["inetUser", "netscapeServer"], {"userPassword": PASSWORD})
        values = {
            "nsDS5ReplicaRoot": SUFFIX,
            "nsDS5ReplicaId": str(number),
            "nsDS5ReplicaType": kind,
            "nsDS5Flags": "1" if kind == "3" else "0",
            "nsDS5ReplicaBindDN": MANAGER,
        }
        self.ldap.add(REPLICA, ["nsDS5Replica"], {**values, **more})

    def agreement(self, other, name=None, **more):
        """An agreement with another server; its name."""
        dn = f"cn={name or f'to {other.name}'},{REPLICA}"
        values = {
            "nsDS5ReplicaHost": f"{other.name}.dc",
            "nsDS5ReplicaPort": str(other.port),
            "nsDS5ReplicaRoot": SUFFIX,
            "nsDS5ReplicaBindDN": MANAGER,
            "nsDS5ReplicaCredentials": PASSWORD,
            "nsDS5ReplicaBindMethod": "SIMPLE",
            "nsDS5ReplicaTransportInfo": "LDAP",
        }
        self.ldap.add(dn, ["nsDS5ReplicationAgreement"], {**values, **more})
        return dn

    def initialise(self, agreement):
        """The other server gets all that this one has; waits for the end. Dropped, as it is busy, it begins anew."""
        said = "Error (1)"
        while said.startswith("Error (1)"):
            self.set(agreement, nsds5BeginReplicaRefresh="start")
            until(lambda: self.one(agreement, "nsds5BeginReplicaRefresh") is None)
            said = self.status(agreement, "Init") or ""

    def kick(self, agreement):
        """Off and on: a session begins anew, whatever the last one waits for."""
        self.set(agreement, nsds5ReplicaEnabled="off")
        self.set(agreement, nsds5ReplicaEnabled="on")

    def status(self, agreement, of="Update"):
        return self.one(agreement, f"nsds5replicaLast{of}Status")


def login_of_the_docs(server, folder, replicated=False):
    """The account and the ACIs of the docs' page, by its own file and command; the replicated part on one server."""
    page = (ROOT / "docs/ds_replica.md").read_text()
    ldif = re.search(r"```\n(dn: cn=onepass,cn=config\n.*?)```", page, re.DOTALL)[1].replace("...", PASSWORD)
    command = re.search(r"^# (ldapmodify .*)$", page, re.MULTILINE)[1].replace("bank.socket", f"{server.name}.socket")
    (folder / "onepass.ldif").write_text(ldif if replicated else ldif[: ldif.index(f"dn: {SUFFIX}")])
    run("bash", "-c", command, cwd=folder)


def servers(*names, certificate=None):
    """As many servers, started side by side."""
    made = [Server(name, 3891 + number, certificate) for number, name in enumerate(names)]
    for each in made:
        each.launch()
    return [each.wait().blank() for each in made]


def fed(*made, readers=0):
    """Replicas, and agreements from each that writes to all others, by (source, target); nothing is initialised."""
    writers = made[: len(made) - readers]
    for number, each in enumerate(made, 1):
        each.replica(*(number, "3") if each in writers else (65535, "2"))
    pairs = [(one, other) for one in writers for other in made if other is not one]
    return {(one.name, other.name): one.agreement(other) for one, other in pairs}


def _texts(attributes):
    return {name.lower(): [value.decode(errors="replace") for value in values] for name, values in attributes.items()}


def certificates(folder, *names):
    """An authority, and a certificate of hers for these hosts: the files that a ``Server`` is given."""
    authority = _signed(folder / "ca", "authority", None, [])
    _signed(folder / "server", names[0], authority, names)
    return folder / "ca.pem", folder / "server.p12"


def _signed(path, name, issuer, names):
    key, subject = rsa.generate_private_key(65537, 2048), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, signed_by = issuer or (key, subject)
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder(signed_by, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=90, hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if names:
        known = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
        builder = builder.add_extension(known, critical=False)
    made = builder.sign(signer, hashes.SHA256())
    path.with_suffix(".pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = serialization.BestAvailableEncryption(PASSWORD.encode())
    kept = pkcs12.serialize_key_and_certificates(b"Server-Cert", key, made, None, secret)
    path.with_suffix(".p12").write_bytes(kept)
    return key, subject
