#!/bin/bash
# Salt 3008 does not load an execution module that is a package and imports from its own files.
#
# _modules/greet is a package: __init__.py takes a name from words.py beside it by `from .words import HELLO`. Expected:
# `salt-call --local -m DIRECTORY greet.hello` answers, as it does with 3006. Seen with 3008: "No module named
# 'salt.loaded.ext.module.greet'; 'salt.loaded.ext.module' is not a package". A package without such an import is loaded
# by both.
set -eu
. "$(dirname "$0")/salt.sh"

salt_fetch 3006.28 3008.4
mkdir -p "$TEMP/files/_modules/greet" "$TEMP/files/_modules/alone"
echo 'HELLO = "hello"' >"$TEMP/files/_modules/greet/words.py"
printf 'from .words import HELLO\n\n\ndef hello():\n    return HELLO\n' >"$TEMP/files/_modules/greet/__init__.py"
printf 'def hello():\n    return "hello"\n' >"$TEMP/files/_modules/alone/__init__.py"
for version in 3006.28 3008.4; do
    for name in greet alone; do
        salt_of $version salt-call --local -m "$TEMP/files" --out=json $name.hello >"$TEMP/$name-$version"
        echo "$version, $name: $(tail -n 2 "$TEMP/$name-$version" | head -n 1 | cut -c 1-120)"
    done
done
for answer in greet-3006.28 alone-3006.28 alone-3008.4; do
    grep -q '"local": "hello"' "$TEMP/$answer" || { echo "$answer: no answer"; cat "$TEMP/$answer"; exit 1; }
done
grep -q "No module named 'salt.loaded.ext.module.greet'" "$TEMP/greet-3008.4" || { cat "$TEMP/greet-3008.4"; exit 1; }
echo "As said: 3006 loads it, 3008 does not."
