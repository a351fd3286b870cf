#!/bin/bash
# ldap3 raises nothing for an answer that the server cut off at a limit, also with raise_exceptions=True.
#
# An account may read ten entries at a time, and asks for all twenty. The server answers ten, and result 4,
# sizeLimitExceeded. Expected of a connection that raises an exception for each result that is no success: one for that
# too, as for other refusals. Seen: none; ten entries, as if that were all. Only the connection's result tells it.
set -eu
. "$(dirname "$0")/ds389.sh"

ds389_run <<'PY'
import ldap3
import ldap3.core.exceptions

from ds389 import PASSWORD, SUFFIX, servers

[one] = servers("one")
one.person("reader", userPassword=PASSWORD)
everything = f'(targetattr="*")(version 3.0; acl "all"; allow(read,search) userdn="ldap:///cn=reader,{SUFFIX}";)'
one.ldap.modify(SUFFIX, {"aci": [(ldap3.MODIFY_ADD, [everything])]})
one.set(f"cn=reader,{SUFFIX}", nsSizeLimit="10")
for number in range(19):
    one.person(f"teller{number}")

server = ldap3.Server("127.0.0.1", one.port, get_info=ldap3.NONE)
asked = ldap3.Connection(server, f"cn=reader,{SUFFIX}", PASSWORD, auto_bind=True, raise_exceptions=True)
try:
    asked.search("cn=nowhere," + SUFFIX, "(objectClass=*)")
    raise SystemExit("a base that is not there raised nothing")
except ldap3.core.exceptions.LDAPNoSuchObjectResult as err:
    print("a base that is not there raises", type(err).__name__)
asked.search(SUFFIX, "(objectClass=person)", ldap3.SUBTREE)
print("ldap3", ldap3.__version__, "-", len(asked.response), "of 20 entries:", asked.result["description"])
assert len(asked.response) == 10
assert asked.result["result"] == 4
print("As said: half of the entries, and no exception.")
PY
