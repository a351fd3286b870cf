#!/bin/bash
# A file that is copied onto a FUSE export of an image leaves the end of what was there before.
#
# An export with `growable=on` grows as a file does. Expected of `cp short disk`, as of any file: the disk is as long and
# the same as the file copied; and of `: >disk`: it is empty. Seen: exit code 0, and the size stays: what cp and the
# shell ask for when they open the file (O_TRUNC) is not done, so the old content goes on behind the new one. An image
# that must be replaced is cut first (truncate does it), or written by qemu-img convert.
set -eu
. "$(dirname "$0")/qemu-fuse.sh"

qemu_run <<'SH'
qemu_export writable=on,growable=on
size() { stat -c %s disk; }
yes old | head --bytes 2097152 >long
yes new | head --bytes 524288 >short
cp long disk
echo "after a file of 2 MiB: $(size)"
cmp long disk
: >disk
echo "after : >disk $(size)"
[ "$(size)" = 2097152 ]
cp short disk
echo "after a file of half a MiB: $(size), its end: $(tail --bytes 4 disk)"
[ "$(size)" = 2097152 ] && [ "$(tail --bytes 4 disk)" = old ]
truncate --size 0 disk
cp short disk
cmp short disk
echo "As said: the copy kept the old end, until the export was cut first."
SH
