#!/bin/bash
# iptables-save tells a rule of nft's own without its set: "from these addresses" becomes "from everybody".
#
# nft and iptables-nft share the table `ip filter` when its chains have the names and priorities of iptables, as in
# a ruleset that iptables-restore-translate made. Expected: of what iptables cannot say it says so ("is incompatible, use
# 'nft' tool"), as it does of `ct state established`. Seen: exit code 0 and no warning; a named set, a set in braces and
# a list of ports are left out, and a range is its last address. So whoever reads, or restores, what iptables-save wrote
# has other rules than the kernel has.
# Debian 12's nftables and iptables, unpacked; root is needed, for a network namespace of its own.
set -eu

NFT=1.0.6-2+deb12u2
IPTABLES=1.8.9-2
TEMP=$(mktemp -d)
trap 'rm -rf "$TEMP"' EXIT
cd "$TEMP"
apt-get -qq -o APT::Sandbox::User=root download nftables=$NFT libnftables1=$NFT libnftnl11=1.2.4-2 iptables=$IPTABLES \
    libxtables12=$IPTABLES libip4tc2=$IPTABLES libip6tc2=$IPTABLES libnetfilter-conntrack3 libnfnetlink0
for package in *.deb; do dpkg -x "$package" root; done
libraries="$TEMP/root/usr/lib/$(uname -m)-linux-gnu"
export LD_LIBRARY_PATH="$libraries" XTABLES_LIBDIR="$libraries/xtables" PATH="$TEMP/root/usr/sbin:$PATH"

cat >rules <<'NFT'
table ip filter {
    set bank { type ipv4_addr; elements = { 192.0.2.1 }
    }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        ip saddr @bank accept
        ip daddr { 192.0.2.3, 192.0.2.5 } drop
        tcp dport { 22, 80 } accept
        ip saddr 192.0.2.8-192.0.2.9 accept
        udp dport 53 accept
    }
}
NFT
cat >told <<'TOLD'
-A FORWARD -j ACCEPT
-A FORWARD -j DROP
-A FORWARD -p tcp -j ACCEPT
-A FORWARD -s 192.0.2.9/32 -j ACCEPT
-A FORWARD -p udp -m udp --dport 53 -j ACCEPT
TOLD
cat >look <<'SH'
nft --version
xtables-nft-multi iptables --version
nft -f rules
nft list chain ip filter FORWARD
xtables-nft-multi iptables-save >saved 2>warnings
cat saved
[ ! -s warnings ]
grep -e -A saved | diff told -
xtables-nft-multi iptables-restore <saved
nft list chain ip filter FORWARD >restored
grep -q 'packets 0 bytes 0 accept$' restored
if grep '@bank\|192.0.2.[358]' restored; then exit 1; fi
nft add rule ip filter FORWARD ct state established accept
xtables-nft-multi iptables-save | grep "is incompatible, use 'nft' tool"
echo "As said: iptables-save told other rules, and restored them."
SH
unshare --net sh -eu look
