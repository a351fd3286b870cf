#!/bin/bash
# dnsmasq's options `local` and `server` are one option, except in a servers-file.
#
# `local=/bank.example/` keeps a domain's names on this host, and is documented as another name of `server`. Expected in
# a servers-file, which takes `server`: the same, or that dnsmasq does not start, as with a wrong line in its
# configuration. Seen: "illegal option" in the log, the line is left out, dnsmasq starts, and questions for the domain go
# to the upstream server. `dnsmasq --test` with that file says "syntax check OK". `server=/bank.example/` does it.
# Debian 12's dnsmasq, unpacked; traffic stays on loopback.
set -eu

VERSION=2.90-4~deb12u2
TEMP=$(mktemp -d)
trap 'rm -rf "$TEMP"' EXIT
cd "$TEMP"
apt-get -qq -o APT::Sandbox::User=root download dnsmasq-base=$VERSION libnetfilter-conntrack3 libnfnetlink0
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH="$TEMP/root/usr/lib/$(uname -m)-linux-gnu" PATH="$TEMP/root/usr/sbin:$PATH"

cat >ask.py <<'PY'
import os
import socket
import subprocess
import time

QUESTION = b"\0\1\1\0\0\1" + bytes(6) + b"\3atm\4bank\7example\0\0\1\0\1"
OPTIONS = ["--conf-file=/dev/null", "--no-resolv", "--no-hosts", f"--servers-file={os.getcwd()}/servers"]
PLACE = ["--keep-in-foreground", "--listen-address=127.0.0.1", "--bind-interfaces", "--user=", "--pid-file"]


def bound():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(3)
    return sock, sock.getsockname()[1]


def received(sock):
    try:
        return sock.recv(512)
    except TimeoutError:
        return None


def asked(word):
    """The answer's code, whether the upstream was asked, and the log's complaints, with the domain kept by that word."""
    (upstream, above), (client, _), (free, port) = bound(), bound(), bound()
    free.close()
    with open("servers", "w") as file:
        file.write(f"server=127.0.0.1#{above}\n{word}=/bank.example/\n")
    subprocess.run(["dnsmasq", "--test", *OPTIONS], check=True)
    command = ["dnsmasq", f"--port={port}", "--log-facility=-", *PLACE, *OPTIONS]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        time.sleep(3)
        client.sendto(QUESTION, ("127.0.0.1", port))
        answer, question = received(client), received(upstream)
        server.terminate()
        log = server.stderr.read()
    return answer and answer[3] & 15, bool(question), [line for line in log.splitlines() if "illegal" in line]


for word in ("server", "local"):
    code, forwarded, complaints = asked(word)
    print(f"{word}: answered with {code}, upstream asked: {forwarded}", *complaints)
    assert (code, forwarded) == ((3, False) if word == "server" else (None, True))
    assert len(complaints) == (word == "local")
print("As said: the line with `local` was left out.")
PY
dnsmasq --version | head -n 1
/usr/bin/python3 -B ask.py
