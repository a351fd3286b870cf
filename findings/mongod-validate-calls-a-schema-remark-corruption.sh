#!/bin/bash
# `validate` calls a collection corrupt when only its schema is not met.
#
# A document is older than the collection's validator: legal, and collMod takes the validator. Expected of `validate`:
# valid, with a warning, and all indexes looked at. Seen, with the default validationAction "error": not valid, the
# advice speaks of a corrupt namespace, no index is counted, and PyMongo raises CollectionInvalid. With the action
# "warn", same data: valid. So `valid: false` alone is no reason for a repair: see nNonCompliantDocuments first.
set -eu
. "$(dirname "$0")/mongod.sh"

mongod_run <<'PY'
from mongod import db
from pymongo.errors import CollectionInvalid


def validated(action):
    """What validate says of a sound collection with an index and a document that its validator would not take now."""
    name = f"transfers_{action}"
    db[name].insert_one({"amount": "ten"})
    db[name].create_index("amount")
    db.command("collMod", name, validator={"amount": {"$type": "int"}}, validationAction=action)
    reply = db.command("validate", name)
    keys = ["valid", "errors", "warnings", "advice", "nIndexes", "nNonCompliantDocuments", "corruptRecords"]
    print(action, {key: reply.get(key) for key in keys})
    return reply


def pymongo_raises(name):
    try:
        db.validate_collection(name)
    except CollectionInvalid:
        return True
    return False


error, warn = validated("error"), validated("warn")
assert (error["valid"], error["nIndexes"], error["nNonCompliantDocuments"]) == (False, 0, 1)
assert "corrupt namespace" in error["advice"] and error["errors"] and not error["corruptRecords"]
assert (warn["valid"], warn["nIndexes"], warn["nNonCompliantDocuments"]) == (True, 2, 1)
assert pymongo_raises("transfers_error") and not pymongo_raises("transfers_warn")
print("As said: one remark on the schema, and the collection counts as corrupt.")
PY
