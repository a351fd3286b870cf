#!/bin/bash
# A search for entries with nsds5ReplConflict finds no conflict.
#
# Two suppliers are apart, and each gets an entry of the same name. Once they are together again one entry keeps the
# name, and the other one carries nsds5ReplConflict. Expected: `(nsds5ReplConflict=*)` finds it, as a presence filter
# finds any entry with the attribute. Seen: nothing is found, also by Directory Manager; it is found when the filter
# asks for its class as well: `(&(objectClass=ldapSubEntry)(nsds5ReplConflict=*))`.
set -eu
. "$(dirname "$0")/ds389.sh"

ds389_run <<'PY'
import ldap3

from ds389 import SUFFIX, servers, until

one, two = servers("one", "two")
one.supplier(1)
two.supplier(2)
agreements = (one, one.agreement(two)), (two, two.agreement(one))
one.initialise(agreements[0][1])
for server, agreement in agreements:
    server.set(agreement, nsds5ReplicaEnabled="off")
one.person("same", description="of one")
two.person("same", description="of two")
for server, agreement in agreements:
    server.set(agreement, nsds5ReplicaEnabled="on")


def found(server, filter):
    return [dn for dn, _ in server.read(SUFFIX, filter, ldap3.SUBTREE, ["nsds5ReplConflict"])]


with_class = "(&(objectClass=ldapSubEntry)(nsds5ReplConflict=*))"
for server in (one, two):
    until(lambda: found(server, with_class), f"the conflict on {server.name}")
    print(server.name, "by the attribute:", found(server, "(nsds5ReplConflict=*)"), "with its class:", found(server, with_class))
    assert found(server, "(nsds5ReplConflict=*)") == []
    assert found(server, with_class)[0].startswith("cn=same+nsuniqueid=")
print("As said: the attribute is there, and a search for it finds nothing.")
PY
