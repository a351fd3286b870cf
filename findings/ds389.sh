# shellcheck shell=bash
# Sourced by the ds389-*.sh: runs a Python program beside 389 Directory Servers of Debian 12, without installing them.
#
# The packages are unpacked into a temporary folder and laid over /usr, /etc and /var in a mount namespace. That has
# its own /run, loopback and processes: all of it ends with the program. Root is needed.

DS389=2.3.1+dfsg1-1+deb12u1
DS389_PACKAGES="389-ds-base=$DS389 389-ds-base-libs=$DS389 python3-lib389=$DS389 acl libcrack2 libjemalloc2 liblmdb0
  libnspr4 libnss3 libnss3-tools libpci3 libsnmp-base libsnmp40 libwrap0 python3-argcomplete python3-dateutil
  python3-distro python3-ldap python3-ldap3=2.9.1-2 python3-packaging python3-pyasn1 python3-pyasn1-modules"
DS389_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

ds389_fetch() {
    mkdir "$TEMP/debs" "$TEMP/root"
    # shellcheck disable=SC2086
    (cd "$TEMP/debs" && apt-get -qq -o APT::Sandbox::User=root download $DS389_PACKAGES)
    for package in "$TEMP"/debs/*.deb; do dpkg -x "$package" "$TEMP/root"; done
}

ds389_lay_over() {
    mount -t tmpfs tmpfs "$TEMP/layer"
    for part in usr etc var; do
        mkdir -p "$TEMP/layer/$part" "$TEMP/layer/work-$part"
        mount -t overlay overlay "/$part" \
            -o "lowerdir=$TEMP/root/$part:/$part,upperdir=$TEMP/layer/$part,workdir=$TEMP/layer/work-$part"
    done
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /dev/shm
    sed -i 's/^with_systemd = 1/with_systemd = 0/' /usr/share/dirsrv/inf/defaults.inf
    id dirsrv >/dev/null 2>&1 || useradd --system --user-group --no-create-home dirsrv
    install -d -o dirsrv -g dirsrv /run/dirsrv /run/lock/dirsrv /var/lib/dirsrv /var/log/dirsrv
    ip link set lo up
}

# The shell stays the first process: dscreate waits for servers that it stopped, and somebody must reap them.
ds389_within() {
    ds389_lay_over
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$DS389_HERE /usr/bin/python3 "$TEMP/program.py" || exit
    exit 0
}

# The program comes by standard input; `from ds389 import ...` is there for it.
ds389_run() {
    TEMP=$(mktemp -d)
    trap 'rm -rf "$TEMP"' EXIT
    cat >"$TEMP/program.py"
    mkdir "$TEMP/layer"
    ds389_fetch
    export TEMP DS389_HERE
    export -f ds389_lay_over
    export -f ds389_within
    unshare --mount --net --ipc --pid --fork --kill-child --mount-proc bash -euc ds389_within
}
