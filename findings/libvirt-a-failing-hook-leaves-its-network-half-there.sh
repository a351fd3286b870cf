#!/bin/bash
# A network whose hook fails at `started` is off for libvirt, and goes on for the kernel: its bridge and dnsmasq stay.
#
# libvirt runs /etc/libvirt/hooks/network at each step of a network; one that fails at `start` or `started` is to stop
# the start. Expected of both: an error, and nothing is left. Seen: with `start` so it is; with `started` the network is
# not active, but its bridge has its address and dnsmasq serves there. The next start is refused by them, "Network is
# already in use by interface", also once the hook is mended, and `net-destroy` says that the network is not active;
# the bridge has to be deleted by hand. Debian 12's daemon, laid over /usr in namespaces of its own; root is needed.
set -eu

VERSION=9.0.0-4+deb12u2
TEMP=$(mktemp -d)
trap 'rm -rf "$TEMP"' EXIT
mkdir "$TEMP/debs" "$TEMP/root" "$TEMP/layer"
(cd "$TEMP/debs" && apt-get -qq -o APT::Sandbox::User=root download libvirt-daemon=$VERSION libvirt0=$VERSION \
    libvirt-clients=$VERSION dnsmasq-base iptables libapparmor1 libaudit1 libcap-ng0 libdevmapper1.02.1 libfuse3-3 \
    libgnutls30 libjson-c5 libnl-3-200 libnl-route-3-200 libnuma1 libparted2 libpcap0.8 libpciaccess0 librbd1 librados2 \
    libsanlock-client1 libsasl2-2 libselinux1 libssh2-1 libtirpc3 libudev1 libxenmisc4.17 libxml2 libyajl2 \
    libnftnl11 libxtables12 libip4tc2 libip6tc2 libnetfilter-conntrack3 libnfnetlink0 libmnl0 libnftables1 libidn2-0 \
    libnettle8 libhogweed6 libdbus-1-3 libicu72 libtirpc-common libcurl3-gnutls)
for package in "$TEMP"/debs/*.deb; do dpkg -x "$package" "$TEMP/root"; done
[ ! -d "$TEMP/root/lib" ] || cp -a "$TEMP/root/lib/." "$TEMP/root/usr/lib/"
[ ! -d "$TEMP/root/sbin" ] || cp -a "$TEMP/root/sbin/." "$TEMP/root/usr/sbin/"

cat >"$TEMP/network.xml" <<'XML'
<network>
  <name>lab</name>
  <bridge name='lab0' stp='off' delay='0'/>
  <ip address='192.168.99.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.99.10' end='192.168.99.20'/></dhcp>
  </ip>
</network>
XML

within() {
    mount -t tmpfs tmpfs "$TEMP/layer"
    for part in usr etc var; do
        mkdir -p "$TEMP/layer/$part" "$TEMP/layer/work-$part" "$TEMP/root/$part"
        mount -t overlay overlay "/$part" \
            -o "lowerdir=$TEMP/root/$part:/$part,upperdir=$TEMP/layer/$part,workdir=$TEMP/layer/work-$part"
    done
    for place in /run /etc/libvirt /var/lib/libvirt; do
        mkdir -p "$place"
        mount -t tmpfs tmpfs "$place"
    done
    ip link set lo up
    mkdir -p /etc/libvirt/hooks /var/lib/libvirt/dnsmasq /run/libvirt/network
    printf 'auth_unix_rw = "none"\nunix_sock_dir = "/run/libvirt"\n' >/etc/libvirt/libvirtd.conf
    hook() {
        printf '#!/bin/sh\n[ "$2" != "%s" ]\n' "$1" >/etc/libvirt/hooks/network
        chmod 755 /etc/libvirt/hooks/network
    }
    hook nothing
    libvirtd >/run/libvirtd.out 2>&1 &
    ask() { virsh -q -c 'network:///system?socket=/run/libvirt/libvirt-sock' "$@" 2>&1 | sed 's/(LC_ALL.*) //'; }
    for _ in $(seq 100); do [ -S /run/libvirt/libvirt-sock ] && break || sleep 0.2; done
    libvirtd --version
    ask net-define "$TEMP/network.xml"
    there() { ip -br address show dev lab0 2>/dev/null | grep -o '192.168.99.1/24' || echo none; }
    ask net-start lab
    ask net-destroy lab
    [ "$(there)" = none ] || { echo "a network that was stopped is left"; exit 1; }
    hook start
    first=$(ask net-start lab || true)
    echo "with a hook that fails at start: $first; bridge: $(there)"
    [ "$(there)" = none ] || { echo "start leaves a bridge as well"; exit 1; }
    hook started
    second=$(ask net-start lab || true)
    echo "with a hook that fails at started: $second; bridge: $(there); dnsmasq: $(pgrep -c dnsmasq)"
    hook nothing
    third=$(ask net-start lab || true)
    fourth=$(ask net-destroy lab || true)
    echo "with a hook that is mended: $third; net-destroy: $fourth"
    [ "$(there)" = 192.168.99.1/24 ] || { echo "no bridge is left"; exit 1; }
    case $third in *"already in use by interface lab0"*) ;; *) echo "it starts"; exit 1 ;; esac
    case $fourth in *"not active"*) ;; *) echo "it can be stopped"; exit 1 ;; esac
    echo "As said: off for libvirt, and in its own way."
    exit 0
}
export TEMP
export -f within
unshare --mount --net --ipc --pid --fork --kill-child --mount-proc bash -euc within
