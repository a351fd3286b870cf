#!/usr/bin/python3
"""
The estate's state for Prometheus: standard input is `salt-run onepass.status --out=json`, standard output a file for
node_exporter's textfile collector. From cron on the master, each five minutes:

    salt-run onepass.status --out=json 2>/dev/null | onepass_metrics.py > /var/lib/node_exporter/.onepass \
        && mv /var/lib/node_exporter/.onepass /var/lib/node_exporter/onepass.prom

Input that is no JSON (the master is off) ends it with an error, and the old file stays: alert on its age as well
(node_textfile_mtime_seconds).
"""

import json
import sys

READY = ("PRIMARY", "SECONDARY", "ARBITER")


def numbers(status):
    """Metric, its labels and its number, one after another."""
    yield "status_code", {}, status["code"]
    areas = {name: each for name, each in status.items() if isinstance(each, dict)}
    for kind in ("faults", "silent", "behind"):
        for name, area in areas.items():
            yield kind, {"area": name}, len(area[kind])
    for name, replset in status.get("mongodb", {}).get("sets", {}).items():
        for member, each in replset["members"].items():
            labels = {"set": name, "member": member}
            yield "mongodb_member_ready", labels, int(each["state"] in READY)
            if each["lag"] is not None:
                yield "mongodb_member_lag_seconds", labels, each["lag"]
    for branch, counts in status.get("branches", {}).get("branches", {}).items():
        for state, count in counts.items():
            yield "branch_hosts", {"branch": branch, "state": state}, count


def line(metric, labels, number):
    """One line of Prometheus' text format; names of minions, sets and branches hold nothing that has to be escaped."""
    inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"onepass_{metric}{{{inside}}} {number}" if inside else f"onepass_{metric} {number}"


if __name__ == "__main__":
    print("\n".join(line(*each) for each in numbers(json.load(sys.stdin))))
