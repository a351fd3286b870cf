#!/bin/bash
# A host answers ARP for the address of an interface that it has taken down.
#
# An address is on an interface that `ip link set down` took down; somebody asks for it at another interface of the host.
# Expected: no answer, as nothing can be sent or received by that interface, and its routes are gone. Seen: an answer,
# before and after. The address's own route stays in the table `local` until the address is removed, and Linux answers for
# every address that is local. `arp_ignore=1` at the interface that is asked ends it.
# Linux 6.18; root is needed, for network namespaces of its own.
set -eu

TEMP=$(mktemp -d)
trap 'rm -rf "$TEMP"' EXIT
cat >"$TEMP/ask.py" <<'PY'
import socket
import struct

TARGET = socket.inet_aton("192.0.2.1")
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as wire:
    wire.bind(("asks", 0))
    wire.settimeout(0.5)
    mac = wire.getsockname()[4]
    head = b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
    answers = 0
    for _ in range(6):
        wire.send(head + mac + socket.inet_aton("198.51.100.2") + bytes(6) + TARGET)
        try:
            while not answers:
                frame = wire.recv(100)
                answers = frame[20:22] == b"\0\2" and frame[28:32] == TARGET
        except TimeoutError:
            pass
print("answered" if answers else "not answered")
PY
cat >"$TEMP/look" <<'SH'
uname -r
ip link add asks type veth peer name asked
unshare --net sleep 600 &
trap "kill $!" EXIT
until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.2; done
ip link set asked netns $!
host="nsenter --target $! --net"
ip address add 198.51.100.2/24 dev asks
ip link set asks up
$host ip link set asked up
$host ip address add 198.51.100.1/24 dev asked
$host ip link add inner type veth peer name outer
$host ip address add 192.0.2.1/24 dev inner
$host ip link set outer up
$host ip link set inner up
up=$(/usr/bin/python3 ask.py)
$host ip link set inner down
down=$(/usr/bin/python3 ask.py)
$host ip -brief address show inner
$host ip route show table local dev inner
$host sysctl -q -w net.ipv4.conf.asked.arp_ignore=1
ignored=$(/usr/bin/python3 ask.py)
echo "up: $up; down: $down; down, and arp_ignore=1: $ignored"
[ "$up, $down, $ignored" = "answered, answered, not answered" ]
echo "As said: the address of a link that is down is answered for."
SH
cd "$TEMP"
unshare --net bash -eu look
