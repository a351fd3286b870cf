#!/bin/bash
# gitfs lists a link to a directory as a file, and has nothing of what is behind it; the same tree as file_roots has it.
#
# A repository has _modules at its top and salt/_modules, a link to it, so that salt/ can be the root of the file server.
# Expected of gitfs with gitfs_root: salt: the module is there, as with file_roots on a checkout, which follows links by
# default. Seen: the list has `_modules` itself as a file, saltutil.sync_modules brings nothing and says nothing. A link
# to a file is followed. A second entry of gitfs_remotes with the root _modules and a mountpoint mends it. Needs git.
set -eu
. "$(dirname "$0")/salt.sh"

VERSION=3008.4
salt_fetch $VERSION
"$TEMP/$VERSION/bin/pip" -q install GitPython==3.1.45 2>"$TEMP/pip" || { cat "$TEMP/pip"; exit 1; }
mkdir -p "$TEMP/work/salt" "$TEMP/work/_modules"
cd "$TEMP/work"
echo 'content' >top.txt
ln -s ../top.txt salt/top.txt
printf 'def hello():\n    return "hello"\n' >_modules/greet.py
ln -s ../_modules salt/_modules
git init -q -b main
git add -A
git -c user.name=somebody -c user.email=somebody@example.com commit -q -m first

files() { salt_of $VERSION salt-call --local --out=json "$@"; }
settings="$TEMP/conf-$VERSION/minion"
printf '{root_dir: %s, file_client: local, id: here, log_level: error, %s}\n' "$TEMP/root-$VERSION" \
    "fileserver_backend: [gitfs], gitfs_provider: gitpython, gitfs_base: main, gitfs_root: salt,
     gitfs_remotes: ['file://$TEMP/work']" >"$settings"
listed=$(files cp.list_master)
synced=$(files saltutil.sync_modules)
read=$(files cp.get_file_str salt://top.txt)
printf '{root_dir: %s, file_client: local, id: here, log_level: error, %s}\n' "$TEMP/root-$VERSION" \
    "file_roots: {base: [$TEMP/work/salt]}" >"$settings"
plain=$(files cp.list_master)
printf '%s\n' "gitfs:" "$listed" "$synced" "$read" "file_roots:" "$plain"
case $listed in *'"_modules"'*) ;; *) echo "the link is not listed"; exit 1 ;; esac
case $listed$synced in *greet*) echo "the module is there"; exit 1 ;; esac
case $read in *content*) ;; *) echo "a link to a file is not followed either"; exit 1 ;; esac
case $plain in *"_modules/greet.py"*) ;; *) echo "file_roots does not follow it either"; exit 1 ;; esac
echo "As said: file_roots has the module, gitfs has a file of the directory's name."
