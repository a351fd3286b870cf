#!/bin/bash
# An initialisation that cannot log in is not over: it fires whenever the password is right again.
#
# `nsds5BeginReplicaRefresh: start`, and the agreement has a wrong password. Expected: nsds5replicaLastInitStatus says
# error 49 and the attempt has ended. Seen: nsds5replicaLastInitStatus is never written (only the status of *updates*
# has the 49), the attribute stays `start`, and once the password is mended, for the sake of updates, the consumer's
# data are replaced by themselves: what was written there in between is gone.
set -eu
. "$(dirname "$0")/ds389.sh"

ds389_run <<'PY'
import time

from ds389 import PASSWORD, servers, until

one, two = servers("one", "two")
one.supplier(1)
two.supplier(2)
one.person("of-one")
agreement = one.agreement(two, password="wrong")
one.set(agreement, nsds5BeginReplicaRefresh="start")
until(lambda: "Error (49)" in (one.status(agreement) or ""), "error 49")
time.sleep(10)
two.person("of-two")
armed, initialisation = one.one(agreement, "nsds5BeginReplicaRefresh"), one.status(agreement, "Init")
print(f"ten seconds later: refresh {armed}, status of the initialisation {initialisation}, of updates {one.status(agreement)}")
assert (armed, initialisation) == ("start", None)
assert two.names() == ["cn=of-two"]

one.set(agreement, nsDS5ReplicaCredentials=PASSWORD)
until(lambda: two.names() == ["cn=of-one"], "the initialisation that nobody asked for again")
print("after the right password:", two.names())
print("As said: the consumer was replaced by an initialisation that seemed to have failed.")
PY
