"""389 Directory Servers on loopback, for the programs that ds389.sh runs: made by dscreate, asked by ldap3."""

import contextlib
import subprocess
import time

import ldap3

SUFFIX = "dc=bank,dc=example"
MAPPING = r"cn=dc\3Dbank\2Cdc\3Dexample,cn=mapping tree,cn=config"
REPLICA = f"cn=replica,{MAPPING}"
MANAGER = "cn=replication manager,cn=config"
PASSWORD = "not-a-secret-9"
INSTANCE = """[general]
config_version = 2
full_machine_name = localhost.localdomain
strict_host_checking = False
[slapd]
instance_name = {name}
port = {port}
root_password = {password}
self_sign_cert = False
[backend-userroot]
suffix = {suffix}
create_suffix_entry = True
"""


class Server:
    """A server with the suffix and its one entry."""

    def __init__(self, name, port):
        self.name, self.port = name, port
        wanted = f"/run/{name}.inf"
        with open(wanted, "w") as file:
            file.write(INSTANCE.format(name=name, port=port, password=PASSWORD, suffix=SUFFIX))
        command("dscreate", "from-file", wanted)
        self.connect()

    def connect(self):
        server = ldap3.Server("127.0.0.1", self.port, get_info=ldap3.NONE)
        self.ldap = ldap3.Connection(
            server, "cn=Directory Manager", PASSWORD, auto_bind=True, raise_exceptions=True, check_names=False
        )

    def read(self, dn, filter="(objectClass=*)", scope=ldap3.BASE, attributes=("*", "+")):
        """Entries as (dn, {attribute: [text]})."""
        self.ldap.search(dn, filter, scope, attributes=list(attributes))
        entries = [found for found in self.ldap.response if found["type"] == "searchResEntry"]
        return [(entry["dn"], texts(entry["raw_attributes"])) for entry in entries]

    def one(self, dn, attribute):
        """An attribute's first value, or None."""
        found = self.read(dn, attributes=[attribute])[0][1]
        return next((values[0] for name, values in found.items() if name.lower() == attribute.lower() and values), None)

    def set(self, dn, **values):
        changes = {k: [(ldap3.MODIFY_REPLACE, v if isinstance(v, list) else [v])] for k, v in values.items()}
        self.ldap.modify(dn, changes)

    def person(self, name, **more):
        self.ldap.add(f"cn={name},{SUFFIX}", ["person"], {"sn": name, **more})

    def names(self):
        """The names below the suffix."""
        return sorted(dn.split(",")[0] for dn, _ in self.read(SUFFIX, scope=ldap3.LEVEL, attributes=["cn"]))

    def vector(self):
        """The update vector, a line for each replica and the generation."""
        rows = "(&(nsuniqueid=ffffffff-ffffffff-ffffffff-ffffffff)(objectClass=nsTombstone))"
        [(_, found)] = self.read(SUFFIX, rows, ldap3.SUBTREE, ["nsds50ruv"])
        return sorted(found["nsds50ruv"])

    def last_change(self, number):
        """The number of a replica's last change, or None."""
        [row] = [row.split() for row in self.vector() if row.startswith(f"{{replica {number} ")]
        return row[4] if len(row) > 4 else None

    def supplier(self, number):
        """A replica that others may write to as the replication manager."""
        self.ldap.add(MANAGER, ["inetUser", "netscapeServer"], {"userPassword": PASSWORD})
        self.ldap.add(
            REPLICA,
            ["nsDS5Replica"],
            {
                "nsDS5ReplicaRoot": SUFFIX,
                "nsDS5ReplicaId": str(number),
                "nsDS5ReplicaType": "3",
                "nsDS5Flags": "1",
                "nsDS5ReplicaBindDN": MANAGER,
            },
        )

    def agreement(self, other, password=PASSWORD, **more):
        """An agreement with another server; its name."""
        dn = f"cn=to {other.name},{REPLICA}"
        values = {
            "nsDS5ReplicaHost": "127.0.0.1",
            "nsDS5ReplicaPort": str(other.port),
            "nsDS5ReplicaRoot": SUFFIX,
            "nsDS5ReplicaBindDN": MANAGER,
            "nsDS5ReplicaCredentials": password,
            "nsDS5ReplicaBindMethod": "SIMPLE",
            "nsDS5ReplicaTransportInfo": "LDAP",
        }
        self.ldap.add(dn, ["nsDS5ReplicationAgreement"], {**values, **more})
        return dn

    def initialise(self, agreement):
        """The other server gets all that this one has; waits for the end."""
        self.set(agreement, nsds5BeginReplicaRefresh="start")
        until(lambda: self.one(agreement, "nsds5BeginReplicaRefresh") is None, "the end of an initialisation")

    def status(self, agreement, of="Update"):
        return self.one(agreement, f"nsds5replicaLast{of}Status")


def texts(attributes):
    return {name: [value.decode(errors="replace") for value in values] for name, values in attributes.items()}


def command(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def until(true, what, seconds=180):
    """Waits until that is true, and answers it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ldap3.core.exceptions.LDAPException):
            if answer := true():
                return answer
        time.sleep(0.3)
    raise SystemExit(f"waited {seconds} s in vain for {what}")


def servers(*names):
    """As many servers; says which version they are of."""
    print(subprocess.run(["ns-slapd", "-v"], capture_output=True, text=True).stdout.split("\n")[1])
    return [Server(name, 3891 + number) for number, name in enumerate(names)]
