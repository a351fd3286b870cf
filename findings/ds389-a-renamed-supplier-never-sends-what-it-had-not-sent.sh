#!/bin/bash
# A supplier whose nsslapd-localhost changes never sends the changes that it had not sent before.
#
# While its agreement is off a supplier gets an entry; it is given another name in its settings, as when a host is
# renamed, and restarted, and the agreement is switched on. Expected: the entry arrives, as it does after a restart
# without another name. Seen: it never does. The server takes its own last change out of its update vector together
# with the old address; the next entry arrives, the vectors are the same, the agreement says that its update
# succeeded, and only a comparison of the data tells that one entry is missing at the consumer.
set -eu
. "$(dirname "$0")/ds389.sh"

ds389_run <<'PY'
import time

from ds389 import command, servers, until


def restarted(server, **settings):
    """An entry that is not sent, the settings, a restart, and the agreement is on again."""
    server.set(agreement, nsds5ReplicaEnabled="off")
    server.person("before-" + "-".join(settings.values() or ["plain"]))
    if settings:
        server.set("cn=config", **settings)
    command("dsctl", server.name, "restart")
    server.connect()
    print("after the restart:", server.vector())
    server.set(agreement, nsds5ReplicaEnabled="on")


one, two = servers("one", "two")
one.supplier(1)
two.supplier(2)
agreement = one.agreement(two)
one.initialise(agreement)

restarted(one)
until(lambda: "cn=before-plain" in two.names(), "the entry that was written before a plain restart")
restarted(one, **{"nsslapd-localhost": "renamed.example"})
assert one.last_change(1) is None
one.person("after")
until(lambda: "cn=after" in two.names(), "the entry that was written after the restart")
until(lambda: one.last_change(1) == two.last_change(1), "the same last change")
time.sleep(20)
for server in (one, two):
    print(server.name, server.names(), server.vector())
print(one.status(agreement))
assert "Incremental update succeeded" in one.status(agreement)
assert "cn=before-renamed.example" in one.names()
assert "cn=before-renamed.example" not in two.names()
print("As said: vectors are the same, all is green, and an entry is missing.")
PY
