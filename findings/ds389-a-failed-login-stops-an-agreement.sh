#!/bin/bash
# With passwordLockout on, one login with a wrong password makes the agreements of that server fail, until its next write.
#
# Two suppliers are in sync, and lock accounts that fail too often; each counts for itself, which is the default.
# Somebody mistypes a password. Expected: the counter is this server's own affair, replication goes on as before. Seen:
# the count moves the server's update vector and is not in its changelog, so the agreement ends with "Error (16) ...
# Incremental update connection error. Backing off", and the other one's vector is behind, as long as nothing else is
# written: the keep-alive entry, once an hour, is the next thing that is. An entry brings all back within seconds.
set -eu
. "$(dirname "$0")/ds389.sh"

ds389_run <<'PY'
import time

import ldap3

from ds389 import PASSWORD, SUFFIX, servers, until


def equal():
    return one.last_change(1) == two.last_change(1)


one, two = servers("one", "two")
one.supplier(1)
two.supplier(2)
agreement = one.agreement(two)
one.initialise(agreement)
for server in (one, two):
    server.set("cn=config", passwordLockout="on")
one.person("teller", userPassword=PASSWORD)
time.sleep(40)  # the keep-alive entry is written half a minute after a start
until(equal, "equal vectors")
print("before:", one.status(agreement))
assert "Incremental update succeeded" in one.status(agreement)

wrong = ldap3.Connection(ldap3.Server("127.0.0.1", one.port, get_info=ldap3.NONE), f"cn=teller,{SUFFIX}", "mistyped")
assert not wrong.bind()
for seconds in (5, 60):
    time.sleep(seconds)
    print("after the wrong password:", one.status(agreement), one.vector(), two.vector(), sep="\n  ")
    assert "Error (16)" in one.status(agreement)
    assert not equal()

one.person("next")
until(equal, "equal vectors", 30)
until(lambda: "Incremental update succeeded" in one.status(agreement), "a good status", 60)
print("As said: a wrong password, a failing agreement, and the next write mends it.")
PY
