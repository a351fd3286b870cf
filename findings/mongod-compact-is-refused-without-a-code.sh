#!/bin/bash
# `compact` on a primary is refused without any error code.
#
# Expected: an error with code and codeName, as `reIndex` on the same primary gives (20, IllegalOperation). Seen: the
# reply has `ok: 0` and a text, and neither code nor codeName; PyMongo's OperationFailure has code None. Who tells
# refusals of the server from faults of the connection by the code takes this one for the latter.
set -eu
. "$(dirname "$0")/mongod.sh"

mongod_run <<'PY'
from mongod import db, refused

db.create_collection("transfers")
compact, reindex = refused("compact", "transfers"), refused("reIndex", "transfers")
for reply in (compact, reindex):
    print({key: reply[key] for key in ("ok", "code", "codeName", "errmsg") if key in reply})
assert "active replica set primary" in compact["errmsg"] and not {"code", "codeName"} & set(compact)
assert reindex["code"] == 20
print("As said: compact is refused without a code, reIndex with one.")
PY
