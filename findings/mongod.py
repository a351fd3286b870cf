"""A mongod on loopback that is the only member of its replica set, for the programs that mongod.sh runs."""

import os
import time

import pymongo
from pymongo.errors import OperationFailure

ADDRESS = os.environ["MONGOD_ADDRESS"]
client = pymongo.MongoClient(ADDRESS, directConnection=True, serverSelectionTimeoutMS=120_000)
client.admin.command("replSetInitiate", {"_id": "bank", "members": [{"_id": 0, "host": ADDRESS}]})
while not client.admin.command("hello")["isWritablePrimary"]:
    time.sleep(0.3)
db = client.bank
print("mongod", client.server_info()["version"])


def refused(*command):
    """The reply of a command that the server refuses."""
    try:
        db.command(*command)
    except OperationFailure as refusal:
        return refusal.details
    raise SystemExit(f"{command} was not refused")
