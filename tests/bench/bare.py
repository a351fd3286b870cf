"""What PyMongo alone needs for the same work in the same way: ``bare.py '{"s1": ["host:port", ...]}'``."""

import json
import sys
import time

from pymongo import MongoClient


def main(replsets):
    clients = {member: connect(member) for members in replsets.values() for member in members}
    for name, members in replsets.items():
        grow(clients[members[0]], name, members)
    while not all(ready(client) for client in clients.values()):
        time.sleep(0.05)


def connect(member):
    host, port = member.split(":")
    return MongoClient(host, int(port), directConnection=True)


def grow(client, name, members):
    """Let the set be born with its first member; add the others one by one."""
    if not client.admin.command("hello").get("setName"):
        client.admin.command("replSetInitiate", {"_id": name, "members": [{"_id": 0, "host": members[0]}]})
    while not client.admin.command("hello").get("isWritablePrimary"):
        time.sleep(0.02)
    config = client.admin.command("replSetGetConfig")["config"]
    for member in members[len(config["members"]) :]:
        config["version"] += 1
        config["members"].append({"_id": len(config["members"]), "host": member})
        client.admin.command("replSetReconfig", config)
        config = client.admin.command("replSetGetConfig")["config"]


def ready(client):
    said = client.admin.command("hello")
    return said.get("setName") and (said.get("isWritablePrimary") or said.get("secondary"))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
