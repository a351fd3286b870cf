#!/bin/bash
# A new password gives a user back the mechanisms that were taken from it.
#
# A user is created with `mechanisms: ["SCRAM-SHA-256"]`. Expected of `updateUser` with a new `pwd` and nothing else:
# the field that is not named stays. Seen: the user has SCRAM-SHA-1 as well, as if it were born without the field. So
# whoever changes a password names the user's mechanisms again.
set -eu
. "$(dirname "$0")/mongod.sh"

mongod_run <<'PY'
from mongod import db


def mechanisms():
    return db.command("usersInfo", "teller")["users"][0]["mechanisms"]


db.command("createUser", "teller", pwd="first", roles=["read"], mechanisms=["SCRAM-SHA-256"])
born = mechanisms()
db.command("updateUser", "teller", roles=["readWrite"])
other_field = mechanisms()
db.command("updateUser", "teller", pwd="second")
new_password = mechanisms()
db.command("updateUser", "teller", pwd="third", mechanisms=["SCRAM-SHA-256"])
both = mechanisms()
print(f"born {born}, other roles {other_field}, a new password {new_password}, a password with the field {both}")
assert born == other_field == both == ["SCRAM-SHA-256"]
assert sorted(new_password) == ["SCRAM-SHA-1", "SCRAM-SHA-256"]
print("As said: SCRAM-SHA-1 is back after a change of the password.")
PY
