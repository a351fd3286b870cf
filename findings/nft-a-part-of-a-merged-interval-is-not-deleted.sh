#!/bin/bash
# An element that nft itself finds in a set with auto-merge does not exist when it is to be deleted.
#
# 10.0.0.1, 10.0.0.2 and 10.0.0.3 are added to an interval set with `auto-merge`, which lists 10.0.0.1-10.0.0.3 then.
# Expected of deleting 10.0.0.2: the interval is split. Seen: "element does not exist", exit code 1, though `nft get
# element` finds it; only the whole interval can be deleted. So what was added one by one cannot be taken back one by
# one: replace the content of such a set, in one transaction, or do without auto-merge.
# Debian 12's nftables, unpacked; root is needed, for a network namespace of its own.
set -eu

VERSION=1.0.6-2+deb12u2
TEMP=$(mktemp -d)
trap 'rm -rf "$TEMP"' EXIT
cd "$TEMP"
apt-get -qq -o APT::Sandbox::User=root download nftables=$VERSION libnftables1=$VERSION libnftnl11=1.2.4-2
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH="$TEMP/root/usr/lib/$(uname -m)-linux-gnu" PATH="$TEMP/root/usr/sbin:$PATH"

cat >table <<'NFT'
table inet bank {
    set merged { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.0.1, 10.0.0.2, 10.0.0.3 }
    }
    set plain { type ipv4_addr; flags interval; elements = { 10.0.0.1, 10.0.0.2, 10.0.0.3 }
    }
}
NFT
cat >look <<'SH'
nft --version
nft -f table
nft list table inet bank
nft get element inet bank merged '{ 10.0.0.2 }' >/dev/null && echo "get: 10.0.0.2 is in the merged set"
if nft delete element inet bank merged '{ 10.0.0.2 }'; then echo "it was deleted from the merged set"; exit 1; fi
nft list set inet bank merged | grep -q '10.0.0.1-10.0.0.3'
nft delete element inet bank merged '{ 10.0.0.1-10.0.0.3 }'
nft delete element inet bank plain '{ 10.0.0.2 }'
echo "As said: a part of a merged interval is found and not deleted; the whole one, and an element of a plain set, is."
SH
unshare --net sh -eu look
