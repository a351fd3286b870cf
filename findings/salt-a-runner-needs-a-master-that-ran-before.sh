#!/bin/bash
# Salt 3008: salt-run ends with a traceback on a master that was never started.
#
# Runners that ask no minion need no running master. Expected: `salt-run test.arg 1` answers on a machine where Salt
# was just installed, as it does with 3006. Seen with 3008: FileNotFoundError for a file in .../master/proc, a directory
# that only the daemon makes, at its first start. With that directory there it answers.
set -eu
. "$(dirname "$0")/salt.sh"

salt_fetch 3006.28 3008.4
for version in 3006.28 3008.4; do
    salt_of $version salt-run --out=json test.arg 1 >"$TEMP/first-$version"
    echo "$version: $(tail -n 1 "$TEMP/first-$version")"
done
mkdir "$TEMP/root-3008.4/var/cache/salt/master/proc"
salt_of 3008.4 salt-run --out=json test.arg 1 >"$TEMP/then"
grep -q '"args"' "$TEMP/first-3006.28" || { echo "3006 does not answer"; exit 1; }
grep -q 'FileNotFoundError.*/master/proc/' "$TEMP/first-3008.4" || { echo "3008 answers"; cat "$TEMP/first-3008.4"; exit 1; }
grep -q '"args"' "$TEMP/then" || { echo "3008 does not answer with the directory either"; cat "$TEMP/then"; exit 1; }
echo "As said: 3006 answers, 3008 does once the directory is there."
