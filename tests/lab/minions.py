"""Print the id of each minion named in the arguments as soon as it answers. The lab runs this on its master."""

import logging
import os
import signal
import sys
import time

SOCKET = "/var/run/salt/master/master_event_pub.ipc"


def await_answers(waiting: set[str]) -> None:
    import salt.client
    import salt.exceptions

    client = salt.client.LocalClient()
    while waiting:
        try:
            job = client.run_job(sorted(waiting), "test.ping", tgt_type="list", listen=True)
        except (salt.exceptions.SaltClientError, salt.exceptions.SaltReqTimeoutError):
            job = None  # the master is not ready
        if not job:
            time.sleep(0.2)
        while job and waiting and (event := client.event.get_event(wait=2, tag="salt/job")):
            if event.get("id") in waiting and event.get("fun") == "test.ping":
                waiting.remove(event["id"])
                print(event["id"], file=answers, flush=True)


answers, sys.stdout = sys.stdout, sys.stderr  # Salt prints of its own accord
logging.disable()  # a master that is not ready yet is no error here
signal.signal(signal.SIGINT, signal.SIG_DFL)
while not os.path.exists(SOCKET):  # importing Salt takes time that the starting master needs
    time.sleep(0.05)
await_answers(set(sys.argv[1:]))
