#!/bin/bash
# nsslapd-minssf above 71 lets root in by ldapi, and refuses all that root asks there.
#
# A server is told to answer nobody whose connection is weaker than 128 bits. Expected: the local socket, which nobody
# else can read, goes on, as it does with nsslapd-require-secure-binds. Seen: the login by EXTERNAL is taken, and the
# first search ends with "Minimum SSF not met": a local socket counts for 71 bits, unless nsslapd-localssf says more.
# So tools that need no password, by ldapi, need one by TLS from then on.
set -eu
. "$(dirname "$0")/ds389.sh"

ds389_run <<'PY'
import ldap3

from ds389 import servers

[one] = servers("one")
socket = "ldapi:///run/slapd-one.socket"


def asked():
    """What the login and a search by the local socket answer."""
    server = ldap3.Server(socket, get_info=ldap3.NONE)
    way = {"authentication": ldap3.SASL, "sasl_mechanism": ldap3.EXTERNAL, "sasl_credentials": ""}
    connection = ldap3.Connection(server, **way)
    bound = connection.bind()
    connection.search("cn=config", "(objectClass=*)", ldap3.BASE, attributes=["nsslapd-localssf"])
    return bound, connection.result["description"], connection.result["message"]


print("as it is:", asked())
one.set("cn=config", **{"nsslapd-require-secure-binds": "on"})
secure = asked()
print("nsslapd-require-secure-binds on:", secure)
assert secure[:2] == (True, "success")
one.set("cn=config", **{"nsslapd-minssf": "128"})
refused = asked()
print("nsslapd-minssf 128:", refused)
assert refused == (True, "unwillingToPerform", "Minimum SSF not met.")
print("As said: the login is taken, and nothing is answered.")
PY
