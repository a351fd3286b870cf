#!/bin/bash
# A replSetReconfig that is not forced adds two voting members at once, and removes no two.
#
# Expected, as documented since 4.4: "can only add or remove at most 1 voting member". Seen: adding two to a set of one is
# taken, as each counts as no voter while it is new (`newlyAdded`), and both have a vote a little later; removing the two
# is refused with 103. So a program that adds members by ones does so for nothing, and one that goes back the way it came
# is refused.
set -eu
. "$(dirname "$0")/mongod.sh"

mongod_run <<'PY'
import time

from mongod import another, client
from pymongo.errors import OperationFailure


def configuration():
    return client.admin.command("replSetGetConfig")["config"]


def reconfigured(members):
    """Error code and text, or None."""
    try:
        client.admin.command("replSetReconfig", {**config, "version": config["version"] + 1, "members": members})
    except OperationFailure as refusal:
        return refusal.code, refusal.details["errmsg"]


new = [{"_id": number, "host": another()} for number in (1, 2)]
config = configuration()
added = reconfigured([*config["members"], *new])
print("two added:", added)
deadline = time.monotonic() + 120
while client.admin.command("replSetGetStatus")["votingMembersCount"] != 3:
    assert time.monotonic() < deadline, configuration()
    time.sleep(0.3)
config = configuration()
removed = reconfigured(config["members"][:1])
print("two removed:", removed)
assert added is None
assert removed[0] == 103 and "at most 1 voting member" in removed[1]
print("As said: two voters were added at once, and are not removed at once.")
PY
