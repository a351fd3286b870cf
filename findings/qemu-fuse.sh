# shellcheck shell=bash
# Sourced by the qemu-*.sh: a qcow2 image of 1 MiB in a temporary folder, exported as the file `disk` by QEMU's storage daemon.
#
# Debian 12's packages, unpacked. Root is needed, for /dev/fuse in a mount namespace: the export ends with the script.

QEMU="1:7.2+dfsg-7+deb12u18+b3"
QEMU_PACKAGES="qemu-system-common=$QEMU qemu-utils=$QEMU libaio1 libfuse3-3 libglib2.0-0 libnuma1 liburing2"

qemu_fetch() {
    # shellcheck disable=SC2086
    apt-get -qq -o APT::Sandbox::User=root download $QEMU_PACKAGES
    for package in *.deb; do dpkg -x "$package" root; done
    libraries="usr/lib/$(uname -m)-linux-gnu"
    export LD_LIBRARY_PATH="$TEMP/root/$libraries:$TEMP/root/${libraries#usr/}" PATH="$TEMP/root/usr/bin:$PATH"
}

# The export's options come as arguments; the size of `disk` is the image's once it is there.
qemu_export() {
    qemu-storage-daemon --version | head -n 1
    qemu-img create -q -f qcow2 image.qcow2 1M
    touch disk
    qemu-storage-daemon --blockdev driver=file,node-name=file,filename=image.qcow2 \
        --blockdev driver=qcow2,node-name=image,file=file \
        --export "type=fuse,id=disk,node-name=image,mountpoint=$TEMP/disk,$1" &
    for _ in $(seq 100); do [ "$(stat -c %s disk)" = 0 ] || return 0; sleep 0.2; done
    echo "the image was not exported"
    return 1
}

# The script comes by standard input.
qemu_run() {
    TEMP=$(mktemp -d)
    trap 'rm -rf "$TEMP"' EXIT
    cd "$TEMP"
    cat >look
    qemu_fetch
    export TEMP
    export -f qemu_export
    unshare --mount --pid --fork --kill-child --mount-proc bash -eu look
}
