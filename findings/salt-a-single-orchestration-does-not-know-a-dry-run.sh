#!/bin/bash
# `salt-run state.orchestrate_single ... test=True` is no dry run: it does what it was to show.
#
# One state is run from the master with test=True, as `state.orchestrate` takes it. Expected: "would", and nothing is
# done. Seen: it is done, and the answer is True. The runner has an argument of that name, and passes another value on;
# so does state.orchestrate_high. `state.orchestrate` of a file with the same state is a dry run. 3006.30 and 3008.5 do the same.
set -eu
. "$(dirname "$0")/salt.sh"

VERSION=3008.4
salt_fetch $VERSION
mkdir -p "$TEMP/root-$VERSION/srv/salt" "$TEMP/root-$VERSION/var/cache/salt/master/proc"
printf '%s:\n  file.touch: []\n' "$TEMP/by-a-file" >"$TEMP/root-$VERSION/srv/salt/touch.sls"

salt_of $VERSION salt-run --version
salt_of $VERSION salt-run state.orchestrate touch test=True
salt_of $VERSION salt-run state.orchestrate_single fun=file.touch "name=$TEMP/single" test=True
salt_of $VERSION salt-run state.orchestrate_high "{$TEMP/high: {file: [touch]}}" test=True
[ ! -e "$TEMP/by-a-file" ] || { echo "orchestrate is no dry run either"; exit 1; }
[ -e "$TEMP/single" ] || { echo "orchestrate_single is a dry run"; exit 1; }
[ -e "$TEMP/high" ] || { echo "orchestrate_high is a dry run"; exit 1; }
echo "As said: both have done it, and the file's states were only shown."
