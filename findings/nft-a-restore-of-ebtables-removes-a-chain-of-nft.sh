#!/bin/bash
# `ebtables-save | ebtables-restore` removes a chain that nft has in the table of the same name.
#
# nft has a chain of its own in `bridge filter`, beside those of ebtables. Expected: ebtables leaves alone what it does
# not list; it says "contains incompatible base-chains, use 'nft' tool to list them". Seen: `ebtables -F` empties the
# chain, and a restore of what was just saved removes it, both with exit code 0. iptables and its table `ip filter` do
# the same. So a chain is safe only in a table whose name is none of iptables' and ebtables'.
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

cat >look <<'SH'
nft --version
xtables-nft-multi ebtables --version
for family in bridge ip; do
    program=iptables
    [ $family = ip ] || program=ebtables
    printf 'table %s filter {\n chain bank {\n  type filter hook forward priority 5\n  meta mark 7 drop\n }\n}\n' $family | nft -f -
    xtables-nft-multi $program -L >listed
    if grep 'bank\|0x' listed; then exit 1; fi
    xtables-nft-multi $program -F
    nft list chain $family filter bank >flushed
    grep -q bank flushed
    if grep mark flushed; then exit 1; fi
    xtables-nft-multi $program-save >saved 2>said
    cat said saved
    grep -q 'incompatible base-chains' said saved
    xtables-nft-multi $program-restore <saved
    nft list table $family filter
    if nft list chain $family filter bank 2>/dev/null; then exit 1; fi
done
echo "As said: a chain that is not listed was emptied by -F, and removed by a restore."
SH
unshare --net sh -eu look
