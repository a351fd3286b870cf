#!/bin/bash
# The id of a living replica can be changed by a modify, and stays behind in the update vectors of the others.
#
# A replica's id is part of every change number that it gave. Expected of `nsDS5ReplicaId: 2 -> 22` on a supplier that
# has written: refused, or refused until it is initialised anew. Seen: accepted at once and without a restart, writes
# go on under the new id, and the other server lists two replicas at one and the same address from then on.
set -eu
. "$(dirname "$0")/ds389.sh"

ds389_run <<'PY'
import ldap3

from ds389 import REPLICA, SUFFIX, servers, until

one, two = servers("one", "two")
one.supplier(1)
two.supplier(2)
one.initialise(one.agreement(two))
two.agreement(one)
two.person("before")
until(lambda: "cn=before" in one.names(), "the first entry")
two.set(REPLICA, nsDS5ReplicaId="22")
two.person("after")
until(lambda: "cn=after" in one.names(), "an entry under the new id")


def vector(server):
    """Id to address, of the replicas in the server's update vector."""
    tombstone = "(&(nsuniqueid=ffffffff-ffffffff-ffffffff-ffffffff)(objectClass=nsTombstone))"
    held = server.read(SUFFIX, tombstone, ldap3.SUBTREE, ["nsds50ruv"])[0][1]["nsds50ruv"]
    words = [line.strip("{}").replace("}", "").split() for line in held if line.startswith("{replica ")]
    return {each[1]: each[2] for each in words}


print("one lists", vector(one), "- two lists", vector(two))
assert vector(one)["2"] == vector(one)["22"]
assert "2" not in vector(two)
print("As said: one replica, two ids, and one of them will never be heard of again.")
PY
