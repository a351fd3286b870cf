#!/bin/bash
# An initialisation that is called off by `stop` takes the agreement's ordinary updates with it.
#
# `nsds5BeginReplicaRefresh: start` waits for a consumer that cannot be logged in to, and is called off by `stop`.
# Expected: the agreement is as before the start, and sends its updates once the password is right. Seen: the attribute
# keeps the value `stop`, and nothing is sent any more, until the agreement is switched off and on again.
set -eu
. "$(dirname "$0")/ds389.sh"

ds389_run <<'PY'
import time

from ds389 import PASSWORD, servers, until

one, two = servers("one", "two")
one.supplier(1)
two.supplier(2)
agreement = one.agreement(two)
one.initialise(agreement)
one.person("first")
until(lambda: two.names() == ["cn=first"], "an ordinary update")
one.set(agreement, nsDS5ReplicaCredentials="wrong")
one.set(agreement, nsds5BeginReplicaRefresh="start")
until(lambda: "Error (49)" in (one.status(agreement) or ""), "error 49")
one.set(agreement, nsds5BeginReplicaRefresh="stop")
one.set(agreement, nsDS5ReplicaCredentials=PASSWORD)
one.person("second")
time.sleep(60)
print("a minute later: refresh", one.one(agreement, "nsds5BeginReplicaRefresh"), "- the consumer has", two.names())
assert two.names() == ["cn=first"]
one.set(agreement, nsds5ReplicaEnabled="off")
one.set(agreement, nsds5ReplicaEnabled="on")
until(lambda: two.names() == ["cn=first", "cn=second"], "the update after off and on")
print("As said: the agreement was dead until it was switched off and on.")
PY
