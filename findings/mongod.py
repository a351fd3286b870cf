"""A mongod on loopback that is the only member of its replica set, for the programs that mongod.sh runs."""

import atexit
import os
import socket
import subprocess
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


def another():
    """The address of a further mongod of the set, which nobody has added yet; it ends with the program."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = os.path.join(os.environ["TEMP"], str(port))
    os.mkdir(folder)
    options = ["--bind_ip", "127.0.0.1", "--replSet", "bank", "--oplogSize", "64", "--nounixsocket"]
    command = [os.environ["MONGOD"], "--dbpath", folder, "--port", str(port), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    atexit.register(process.wait)
    atexit.register(process.kill)
    address = f"127.0.0.1:{port}"
    pymongo.MongoClient(address, directConnection=True, serverSelectionTimeoutMS=120_000).admin.command("ping")
    return address
