#!/bin/bash
# A default write concern of more members than there are is taken, and what replaces it is answered by its error.
#
# The set has one member. Expected: setDefaultRWConcern refuses w: 3, as it refuses the name of a mode that is not there
# (79) and w: 0 (2). Seen: it is taken, and then every write that names no concern fails with code 100, though it is
# done. So does the setDefaultRWConcern that is to replace it: `ok: 0`, and the new default counts all the same. It
# succeeds when it brings a writeConcern of its own.
set -eu
. "$(dirname "$0")/mongod.sh"

mongod_run <<'PY'
from mongod import client, db
from pymongo.errors import OperationFailure, WriteConcernError


def put(w, **more):
    """Error code of setDefaultRWConcern, or None; and the default that counts."""
    code = None
    try:
        client.admin.command("setDefaultRWConcern", defaultWriteConcern={"w": w}, **more)
    except OperationFailure as refusal:
        code = refusal.code
    return code, client.admin.command("getDefaultRWConcern")["defaultWriteConcern"]["w"]


seen = {"no such mode": put("none"), "w: 0": put(0), "w: 3": put(3)}
try:
    db.transfers.insert_one({"amount": 1})
except WriteConcernError as error:
    seen["a write"] = error.code, db.transfers.count_documents({})
seen["replaced"] = put("majority")
put(3)
seen["replaced, with a concern"] = put("majority", writeConcern={"w": "majority"})
print(seen)
assert seen == {
    "no such mode": (79, "majority"),
    "w: 0": (2, "majority"),
    "w: 3": (None, 3),
    "a write": (100, 1),
    "replaced": (100, "majority"),
    "replaced, with a concern": (None, "majority"),
}
print("As said: w: 3 is taken by a set of one, and replacing it fails and is done.")
PY
