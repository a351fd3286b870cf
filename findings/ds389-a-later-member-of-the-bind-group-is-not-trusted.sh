#!/bin/bash
# Who joins a replica's bind group later may not send updates, not even with a new connection.
#
# A replica trusts the members of a group (nsDS5ReplicaBindDNGroup); the replication manager becomes a member after that.
# Expected: from the next session on its updates are taken, as the group is read when somebody logs in. Seen: "Error (3)
# permission denied" goes on, also after the agreement was switched off and on: the group was read once, when it was
# named. Only nsDS5ReplicaBindDnGroupCheckInterval, which is not set by default, makes the replica read it again.
set -eu
. "$(dirname "$0")/ds389.sh"

ds389_run <<'PY'
import time

import ldap3
from ds389 import MANAGER, REPLICA, SUFFIX, servers, until

GROUP = f"cn=suppliers,{SUFFIX}"
one, two = servers("one", "two")
one.supplier(1)
two.supplier(2)
one.ldap.add(GROUP, ["groupOfNames"])
agreement = one.agreement(two)
one.initialise(agreement)
two.set(REPLICA, nsDS5ReplicaBindDN=[], nsDS5ReplicaBindDNGroup=GROUP)
two.ldap.modify(GROUP, {"member": [(ldap3.MODIFY_ADD, [MANAGER])]})
one.person("first")
time.sleep(30)
one.set(agreement, nsds5ReplicaEnabled="off")
one.set(agreement, nsds5ReplicaEnabled="on")
time.sleep(30)
print("the group's member:", two.one(GROUP, "member"))
print("a minute later:", one.status(agreement))
print("the consumer has", two.names())
assert "Error (3)" in one.status(agreement) and two.names() == ["cn=suppliers"]
two.set(REPLICA, nsDS5ReplicaBindDnGroupCheckInterval="0")
until(lambda: "cn=first" in two.names(), "the update after the interval was set")
print("As said: a member of the group was not trusted until an interval was set.")
PY
