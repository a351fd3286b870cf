"""Print the id of each minion named in the arguments as soon as it answers. The lab runs this on its master."""

import contextlib
import io
import logging
import os
import signal
import sys
import time

SOCKET = "/var/run/salt/master/master_event_pub.ipc"


def await_answers(waiting: set[str]) -> None:
    import salt.client

    client = salt.client.LocalClient()
    while waiting:
        if not ping(client, sorted(waiting)):
            time.sleep(0.3)
            continue
        while waiting and (event := client.event.get_event(wait=2, tag="salt/job")):
            if event.get("id") in waiting and event.get("fun") == "test.ping":
                waiting.remove(event["id"])
                print(event["id"], flush=True)


def ping(client, minions: list[str]) -> bool:
    """Whether a ping went out. None does before the master is ready and has a key; Salt's complaints are noise then."""
    import salt.exceptions

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return bool(client.run_job(minions, "test.ping", tgt_type="list", listen=True))
        except (salt.exceptions.SaltClientError, salt.exceptions.SaltReqTimeoutError):
            return False


logging.disable()
signal.signal(signal.SIGINT, signal.SIG_DFL)
while not os.path.exists(SOCKET):  # importing Salt takes time that the starting master needs
    time.sleep(0.05)
await_answers(set(sys.argv[1:]))
