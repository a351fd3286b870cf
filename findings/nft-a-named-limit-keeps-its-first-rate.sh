#!/bin/bash
# A file that gives a named limit another rate is loaded without a word, and the old rate stays.
#
# A table with a limit and a quota is loaded; then the same file with other values. Expected: both have the
# new values, or the file is refused ("File exists"). Seen: exit code 0, the quota has its new one, the limit has
# the rate of the first load; so it is with `nft add limit`. A rate that is to change needs the table deleted and added
# in the file's transaction, or another name for the limit.
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
    limit logins { rate 5/second
    }
    quota guests { over 10 mbytes
    }
    chain input { meta l4proto tcp limit name "logins" accept
    }
}
NFT
sed 's/5.second/9\/second/; s/10 mbytes/20 mbytes/; /chain/,/}/d' table >changed
cat >look <<'SH'
nft --version
nft -f table
cat changed
nft -f changed
nft list table inet bank >after
cat after
grep -q 'over 20 mbytes' after
grep -q 'rate 5/second' after
nft add limit inet bank logins rate 9/second
nft list limit inet bank logins | grep -q 'rate 5/second'
(echo 'delete table inet bank'; cat changed) | nft -f -
nft list limit inet bank logins | grep -q 'rate 9/second'
echo "As said: the quota changed, the limit kept its rate, and nothing was said."
SH
unshare --net sh -eu look
