#!/bin/bash
# `net-update delete dns-host` that names one name of an address removes all names of that address.
#
# A running network has one dns-host with the names api and api-int. Expected of deleting `api-int`: api stays, or the
# request is refused, as the element is not the same. Seen: accepted, and both names are gone. A second element for
# the address, with a name of its own, is refused at adding. So to take one name back is to delete all, add the rest.
# Debian 12's virsh and its library, unpacked, with the driver that keeps all in memory: no daemon, no network.
set -eu

VERSION=9.0.0-4+deb12u2
TEMP=$(mktemp -d)
trap 'rm -rf "$TEMP"' EXIT
cd "$TEMP"
apt-get -qq -o APT::Sandbox::User=root download libvirt-clients=$VERSION libvirt0=$VERSION
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH="$TEMP/root/usr/lib/$(uname -m)-linux-gnu" PATH="$TEMP/root/usr/bin:$PATH"

cat >network.xml <<'XML'
<network>
  <name>lab</name>
  <bridge name='virbr9'/>
  <dns><host ip='192.168.150.5'><hostname>api</hostname><hostname>api-int</hostname></host></dns>
  <ip address='192.168.150.1' netmask='255.255.255.0'/>
</network>
XML
# All within one virsh, whose world ends with it.
session() { virsh -c test:///default "net-define network.xml; net-start lab; $1; net-dumpxml lab" 2>&1 || true; }
update() { echo "net-update lab $1 dns-host \"<host ip='192.168.150.5'><hostname>$2</hostname></host>\" --live"; }

virsh --version
deleted=$(session "$(update delete api-int)")
added=$(session "$(update add web)")
printf '%s\n' "-- api-int deleted" "$deleted" "-- web added" "$added"
case $deleted in *"Updated network lab live state"*) ;; *) echo "the deletion was refused"; exit 1 ;; esac
case $deleted in *"<hostname>"*) echo "a name is left"; exit 1 ;; esac
case $added in *"already at least one DNS HOST record"*) ;; *) echo "a second element was taken"; exit 1 ;; esac
echo "As said: one name was to go, and all names of its address went."
