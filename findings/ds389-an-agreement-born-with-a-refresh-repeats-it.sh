#!/bin/bash
# An agreement that is added with `nsds5BeginReplicaRefresh: start` initialises its consumer more than once.
#
# Expected: the same as an agreement that is added, and then modified: one initialisation. Seen: when its own supplier
# is initialised later, by a third server, it initialises its consumer again by itself, and what was written there
# in between is gone. Added first and modified then, it does not.
set -eu
. "$(dirname "$0")/ds389.sh"

ds389_run <<'PY'
import time

from ds389 import servers, until

top, middle, end = servers("top", "middle", "end")
for number, server in enumerate((top, middle, end), 1):
    server.supplier(number)
agreement = middle.agreement(end, nsds5BeginReplicaRefresh="start")
until(lambda: middle.one(agreement, "nsds5BeginReplicaRefresh") is None, "the initialisation")
end.person("of-end")
assert end.names() == ["cn=of-end"]
top.person("of-top")
top.initialise(top.agreement(middle))
until(lambda: end.names() == ["cn=of-top"], "an initialisation that nobody asked for")
print("after top -> middle, end has", end.names())

middle.ldap.delete(agreement)
agreement = middle.agreement(end)
middle.initialise(agreement)
end.person("again")
top.initialise(f"cn=to middle,{agreement.split(',', 1)[1]}")
time.sleep(30)
print("with an agreement that was added, then modified, end keeps", end.names())
assert "cn=again" in end.names()
print("As said: only the first of the two repeats itself.")
PY
