#!/bin/bash
# Two reservations of one address are refused by net-update and taken by net-define; one outside of the network, by both.
#
# Expected: what libvirt knows to be wrong in a running network it refuses in a definition too; and a reservation must be
# within the network, as a range must. Seen: `net-update add dhcp-host` with an address that another MAC has ends with
# "there is an existing dhcp host entry"; a definition with the same two is accepted, and started. A range outside of the
# network is refused ("not entirely within network"), a reservation outside of it is accepted by net-define and by
# net-update. So who edits a network's XML has to look for both.
# Debian 12's virsh and its library, unpacked, with the driver that keeps all in memory: no daemon, no network.
set -eu

VERSION=9.0.0-4+deb12u2
TEMP=$(mktemp -d)
trap 'rm -rf "$TEMP"' EXIT
cd "$TEMP"
apt-get -qq -o APT::Sandbox::User=root download libvirt-clients=$VERSION libvirt0=$VERSION
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH="$TEMP/root/usr/lib/$(uname -m)-linux-gnu" PATH="$TEMP/root/usr/bin:$PATH"

ONE="<host mac='52:54:00:00:00:01' ip='192.168.150.11'/>"
TWO="<host mac='52:54:00:00:00:02' ip='192.168.150.11'/>"
OUTSIDE="<host mac='52:54:00:00:00:03' ip='10.0.0.1'/>"
RANGE="<range start='10.0.0.1' end='10.0.0.9'/>"
# A network with that DHCP, and an update of it, all within one virsh, whose world ends with it.
session() {
    cat >network.xml <<XML
<network>
  <name>lab</name>
  <bridge name='virbr9'/>
  <ip address='192.168.150.1' netmask='255.255.255.0'><dhcp>$1</dhcp></ip>
</network>
XML
    echo "-- defined with $1${2:+, then added $2}"
    virsh -c test:///default "net-define network.xml; net-start lab${2:+; net-update lab add ip-dhcp-host \"$2\" --live}" 2>&1 || true
}

virsh --version
session "$ONE" "$TWO" | tee updated
session "$ONE$TWO" | tee defined
session "$OUTSIDE" | tee outside
session "$ONE" "$OUTSIDE" | tee added
session "$RANGE" | tee range
grep -q "there is an existing dhcp host entry" updated
grep -q "Network lab started" defined
grep -q "Network lab started" outside
grep -q "Updated network lab live state" added
grep -q "not entirely within network" range
echo "As said: the definition took both, and the address outside was taken everywhere."
