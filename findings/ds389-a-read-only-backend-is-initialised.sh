#!/bin/bash
# A backend that is read-only refuses each single update, and takes an initialisation that replaces all of it.
#
# nsslapd-readonly is switched on at a consumer. Expected: neither clients nor suppliers change it, and the status of the
# agreement says why. Seen: a client's write is refused with "database is read-only", a supplier's update with "Error
# (16) ... connection error", which says nothing of it; and an initialisation goes through, "Total update succeeded",
# and the entry that only the consumer had is gone. The switch protects no data from a supplier.
set -eu
. "$(dirname "$0")/ds389.sh"

ds389_run <<'PY'
import ldap3
from ds389 import servers, until

BACKEND = "cn=userroot,cn=ldbm database,cn=plugins,cn=config"
one, two = servers("one", "two")
one.supplier(1)
two.supplier(2)
agreement = one.agreement(two)
one.initialise(agreement)
two.person("own")
two.set(BACKEND, **{"nsslapd-readonly": "on"})
try:
    two.person("another")
except ldap3.core.exceptions.LDAPUnwillingToPerformResult as refusal:
    print("a client:", refusal)
else:
    raise SystemExit("a client's write was taken")
one.person("first")
until(lambda: "Error (16)" in one.status(agreement), "error 16")
print("a supplier's update:", one.status(agreement))
assert "read-only" not in one.status(agreement) and two.names() == ["cn=own"]
one.initialise(agreement)
print("an initialisation:", one.status(agreement, "Init"), "- the consumer has", two.names())
assert two.one(BACKEND, "nsslapd-readonly") == "on" and two.names() == ["cn=first"]
print("As said: what may not be changed was replaced.")
PY
