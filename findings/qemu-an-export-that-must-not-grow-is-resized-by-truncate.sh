#!/bin/bash
# A FUSE export with `growable=off` is grown, and cut, by truncate.
#
# A qcow2 image of 1 MiB is exported as a file, writable and with growable=off. Expected: its size stays, whatever is
# done to the file. Seen: only a write past the end is refused (EIO, not ENOSPC); `truncate` makes the image 2 MiB, and
# then half a MiB, exit code 0 both times, and what stood behind is gone. `growable` is a rule for writes alone: a
# program that sets a file's length before it writes changes the disk's size under a guest.
set -eu
. "$(dirname "$0")/qemu-fuse.sh"

qemu_run <<'SH'
qemu_export writable=on,growable=off
size() { stat -c %s disk; }
echo "exported: $(size)"
if dd if=/dev/zero of=disk bs=4096 seek=256 count=1 conv=notrunc status=none 2>refused; then exit 1; fi
cat refused
[ "$(size)" = 1048576 ]
printf last | dd of=disk bs=1 seek=1048572 conv=notrunc status=none
truncate --size 2M disk
echo "after truncate --size 2M: $(size)"
[ "$(size)" = 2097152 ]
truncate --size 512K disk
echo "after truncate --size 512K: $(size)"
[ "$(size)" = 524288 ]
truncate --size 1M disk
[ "$(tail --bytes 4 disk | tr -d '\0')" = "" ]
echo "As said: a write may not grow the export, a truncate may, and may cut it."
SH
