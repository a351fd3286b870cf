"""
What makes a virtual machine itself: its name, MAC, host key, machine-id, and the files on its disk that hold them.

.. versionadded:: 0.1.0

Pure: nothing here reads or writes the world. :py:mod:`libvirt_disk` reads what a template has and executes the edits,
:py:mod:`libvirt_clone` puts the two together::

    salt-call --local -m . libvirt_identity.mac 00000000-0000-0000-0000-000000000000 virtual1

Requires ``cryptography``, which Salt brings.
"""

import contextlib
import hashlib
import ipaddress
import json
import posixpath
import re
import uuid

import onepass_lib
import salt.utils.yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

onepass_lib.look(__file__)

from onepass_lib.core.parts import DEVICE

__virtualname__ = "libvirt_identity"

# Files that say who a system is. A clone that keeps one of them is mistaken for its template, or for another clone.
CARRIERS = (
    "/etc/ssh/ssh_host_*_key",
    "/etc/ssh/ssh_host_*_key.pub",
    "/etc/salt/minion_id",
    "/etc/salt/pki/minion/*",
    "/etc/udev/rules.d/70-persistent-net.rules",
    "/etc/hostid",
    "/etc/dhcpcd.duid",
    "/var/lib/systemd/random-seed",
    "/var/lib/dhcp/*",
    "/var/lib/dhclient/*",
    "/var/lib/dhcpcd/*",
    "/var/lib/NetworkManager/*.lease",
    "/var/lib/NetworkManager/secret_key",
    "/var/lib/NetworkManager/seen-bssids",
)
# Files that pin an interface to a MAC or an address, or a service to a name; and names of one initiator or NVMe host.
PINNING = (
    "/etc/netplan/*.yaml",
    "/etc/sysconfig/network-scripts/ifcfg-*",
    "/etc/sysconfig/network/ifcfg-*",
    "/etc/NetworkManager/system-connections/*",
    "/etc/systemd/network/*",
    "/etc/network/interfaces",
    "/etc/network/interfaces.d/*",
    "/etc/udev/rules.d/*.rules",
    "/etc/cloud/cloud.cfg.d/*.cfg",
    "/etc/salt/minion",
    "/etc/salt/minion.d/*.conf",
    "/etc/zabbix/zabbix_agent*.conf",
    "/etc/postfix/main.cf",
)
INITIATORS = {
    "/etc/iscsi/initiatorname.iscsi": "InitiatorName=iqn.2016-04.com.open-iscsi:{0.hex}\n",
    "/etc/nvme/hostnqn": "nqn.2014-08.org.nvmexpress:uuid:{0}\n",
    "/etc/nvme/hostid": "{0}\n",
}
# Keys by which others know this system, and which only they can give anew: an agent's, a directory's.
ENROLLED = {
    "/etc/krb5.keytab": "the realm that it has joined",
    "/etc/chef/client.pem": "Chef",
    "/etc/puppetlabs/puppet/ssl/private_keys/*": "Puppet",
    "/var/lib/puppet/ssl/private_keys/*": "Puppet",
    "/etc/pki/consumer/key.pem": "the subscription's service",
    "/var/lib/tailscale/tailscaled.state": "Tailscale",
    "/var/ossec/etc/client.keys": "Wazuh",
}
# A template's own NoCloud seeds: cloud-init takes the instance id of these, and only the rest from the clone's ISO.
SEEDS = tuple(f"/var/lib/cloud/seed/{each}/meta-data" for each in ("nocloud", "nocloud-net"))
# Files whose contents the edits depend on, and files whose presence they depend on.
READ = ("/etc/hostname", "/etc/hosts", "/etc/machine-id", *PINNING, *INITIATORS, *SEEDS)
SEEN = ("/etc/os-release", "/etc/passwd", "/etc/mailname", "/etc/selinux/config", "/etc/cloud/cloud.cfg")
MACHINE_ID = "rm -f /etc/machine-id && echo %s > /etc/machine-id"
DBUS_ID = "/var/lib/dbus/machine-id"
AUDITED = {
    "/etc/machine-id": "machine-id",
    "/etc/ssh/ssh_host_ed25519_key.pub": "host key",
    "/etc/ssh/ssh_host_ecdsa_key.pub": "host key",
    "/etc/ssh/ssh_host_rsa_key.pub": "host key",
    "/etc/salt/minion_id": "minion id",
    "/etc/salt/pki/minion/minion.pub": "minion key",
    "/etc/dhcpcd.duid": "DUID",
    "/var/lib/dhcpcd/duid": "DUID",
    "/etc/iscsi/initiatorname.iscsi": "iSCSI initiator",
    "/etc/nvme/hostnqn": "NVMe host",
}
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
MACS = re.compile(r"(?i)(?<![0-9a-f:-])[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}(?![0-9a-f:-])")
# A line that gives an interface an address, or this host a name; an address among a nameserver's has no prefix.
ADDRESS = re.compile(
    r"""(?im)^\s*(?:-?\s*(?:ipaddr|ipv6addr|address)\d*\s*[:= ]\s*["']?([0-9a-f:.]+(?:/\d+)?)|"""
    r"""(?:-\s+|-?\s*addresses\s*[:=]\s*\[?\s*)["']?([0-9a-f:.]+/\d+))"""
)
OWN_NAME = (
    r"""(?m)^(\s*(?:DHCP_HOSTNAME|dhcp-hostname|Hostname|myhostname|id)\s*[:=]\s*["']?)"""
    r"""%s(\.[A-Za-z0-9.-]+)?(["']?[ \t]*)$"""
)


def __virtual__():
    return __virtualname__


def directories() -> list:
    """
    The directories in which a disk's identity is looked for.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_identity.directories

    .. versionadded:: 0.1.0
    """
    places = {posixpath.dirname(path) for path in (*CARRIERS, *ENROLLED, *READ, *SEEN, DBUS_ID)}
    return sorted(places | {"/etc/salt", "/etc/salt/pki", "/etc/salt/minion.d"})


def texts() -> list:
    """
    The files that are read before a disk is edited.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_identity.texts

    .. versionadded:: 0.1.0
    """
    return list(READ)


def audited() -> dict:
    """
    The files, none of them secret, by which two systems are found to have one identity: path to what it is.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_identity.audited

    .. versionadded:: 0.1.0
    """
    return dict(AUDITED)


def mac(host: str, name: str, number: int = 0) -> str:
    """
    The MAC of a clone's interface: always the same one for a name on a host, so that a VM made again keeps its lease.

    host
        The host's UUID, as libvirt tells it.
    name
        The clone.
    number
        The interface, counted from 0. Default 0.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_identity.mac 00000000-0000-0000-0000-000000000000 virtual1

    .. versionadded:: 0.1.0
    """
    digest = hashlib.sha256(f"{host} {name} {number}".encode()).hexdigest()
    return ":".join(["52:54:00", digest[:2], digest[2:4], digest[4:6]])


def new(name: str, domain: str | None = None, minion: dict | None = None) -> dict:
    """
    A new identity. It holds private keys: not for logs or returns.

    name
        The clone.
    domain
        Its DNS domain. Default: none.
    minion
        ``master`` and, if it is not the name, ``id`` of the Salt minion in it. Default: no minion.

    Returns:
        ``name``, ``fqdn``, ``machine_id``, ``host_key`` (private), ``host_key_public``, and with a minion ``minion``:
        ``id``, ``master``, ``key`` (private), ``key_public``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_identity.new

    .. versionadded:: 0.1.0
    """
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return {
        "name": name,
        "fqdn": f"{name}.{domain}" if domain else name,
        "machine_id": uuid.uuid4().hex,
        "host_key": private.decode(),
        "host_key_public": public.decode(),
        **({"minion": _minion(name, minion)} if minion else {}),
    }


def _minion(name: str, minion: dict) -> dict:
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {
        "id": minion.get("id", name),
        "master": minion["master"],
        "key": private.decode(),
        "key_public": public.decode().strip(),
    }


def edits(identity: dict, found: dict) -> dict:
    """
    What is to be written to and removed from a copy of a template's disk, so that it is this identity's.

    identity
        What :py:func:`new` answered.
        With ``macs`` (the template's to the clone's), these are replaced where a file pins an interface to one. With
        ``instance``, the instance id on its ISO, the template's own seeds of cloud-init say this one too.
    found
        What is on the template's disk: path to mapping with ``kind`` (``file``, ``link`` or ``directory``) and, of
        :py:data:`READ`, ``text`` and ``mode``.

    Returns:
        ``write`` (path to mapping with ``text`` and ``mode``) and ``remove`` (list of paths, none of which is written).
        Holds private keys.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_identity.edits

    .. versionadded:: 0.1.0
    """
    name, fqdn = identity["name"], identity["fqdn"]
    old = found.get("/etc/hostname", {}).get("text", "").strip()
    write = {
        "/etc/hostname": (f"{name}\n", 0o644),
        "/etc/hosts": (hosts(found.get("/etc/hosts", {}).get("text", ""), old, name, fqdn), 0o644),
        "/etc/machine-id": (identity["machine_id"] + "\n", 0o444),
    }
    if "/etc/ssh" in found:
        write["/etc/ssh/ssh_host_ed25519_key"] = (identity["host_key"], 0o600)
        write["/etc/ssh/ssh_host_ed25519_key.pub"] = (f"{identity['host_key_public']} root@{name}\n", 0o644)
    if found.get(DBUS_ID, {}).get("kind") == "file":
        write[DBUS_ID] = write["/etc/machine-id"]
    if "/etc/mailname" in found:
        write["/etc/mailname"] = (f"{fqdn}\n", 0o644)
    if "/etc/selinux/config" in found:
        write["/.autorelabel"] = ("", 0o600)
    own = uuid.UUID(identity["machine_id"])
    write.update({path: (text.format(own), 0o644) for path, text in INITIATORS.items() if path in found})
    write.update(_unpinned(identity, found, old))
    write.update(_seeded(identity, found))
    write.update(_minion_files(identity.get("minion")))
    stale = [path for path, held in found.items() if held["kind"] != "directory" and _carries(path)]
    return {
        "write": {path: {"text": text, "mode": mode} for path, (text, mode) in write.items()},
        "remove": sorted(set(stale) - set(write)),
    }


def _seeded(identity: dict, found: dict) -> dict:
    """The template's own seeds as they are but for who the instance is: path to text and mode."""
    if not identity.get("instance"):
        return {}
    own = {"instance-id": identity["instance"], "local-hostname": identity["name"]}
    seeds = {path: found[path] for path in SEEDS if "text" in found.get(path, {})}
    return {
        path: (json.dumps({**_mapping(held["text"]), **own}, default=str) + "\n", held.get("mode", 0o600))
        for path, held in seeds.items()
    }


def _mapping(text: str) -> dict:
    """What cloud-init makes of it: a text that is no mapping says nothing."""
    with contextlib.suppress(salt.utils.yaml.YAMLError):
        read = salt.utils.yaml.safe_load(text)
        return read if isinstance(read, dict) else {}
    return {}


def _pinning(found: dict) -> dict:
    """The files that may pin something, and stay: path to mapping with their text."""
    texts = {path: held for path, held in found.items() if "text" in held and not _carries(path)}
    return {path: held for path, held in texts.items() if any(_matches(path, each) for each in PINNING)}


def _matches(path: str, pattern: str) -> bool:
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", "[^/]*"), path))


def _unpinned(identity: dict, found: dict, old: str) -> dict:
    """Files in which the template's MACs and name stood: path to text with the clone's, and mode."""
    macs = identity.get("macs") or {}
    changed = {}
    for path, held in _pinning(found).items():
        text = MACS.sub(lambda match: _moved(match[0], macs), held["text"])
        if old and old != "localhost":
            text = re.sub(OWN_NAME % re.escape(old), lambda match: _renamed(match, identity), text)
        if text != held["text"]:
            changed[path] = (text, held.get("mode", 0o600))
    return changed


def _moved(mac: str, macs: dict) -> str:
    """The clone's MAC for one of the template's, as that is written; any other stays."""
    new = macs.get(mac.lower().replace("-", ":"), mac)
    new = new.upper() if mac != mac.lower() else new
    return new.replace(":", "-") if "-" in mac else new


def _renamed(match, identity: dict) -> str:
    minion = identity.get("minion") if match[1].strip().startswith("id") else None
    return match[1] + (minion["id"] if minion else identity["fqdn"] if match[2] else identity["name"]) + match[3]


def pins(found: dict, macs: list) -> list:
    """
    What the files of a system pin that no other system can have, and a clone gets as it is: in sentences.

    found
        As for :py:func:`edits`.
    macs
        The MACs of the system's own interfaces, which are replaced in a clone.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_identity.pins '{/etc/krb5.keytab: {kind: file}}' '[]'

    .. versionadded:: 0.1.0
    """
    said = []
    for path, held in sorted(_pinning(found).items()):
        lines = "\n".join(line for line in held["text"].splitlines() if not line.lstrip().startswith("#"))
        foreign = {mac.lower().replace("-", ":") for mac in MACS.findall(lines)} - {each.lower() for each in macs}
        said += [f"{path} names the MAC {mac}, which no interface of this VM has" for mac in sorted(foreign)]
        said += [f"{path} gives an interface the address {address}" for address in _addresses(lines)]
    for pattern, whose in ENROLLED.items():
        keys = sorted(path for path, held in found.items() if held["kind"] == "file" and _matches(path, pattern))
        said += [f"{path} is the key by which {whose} knows this system; enrol each clone anew" for path in keys]
    return said


def _addresses(text: str) -> list:
    """The addresses that a network's configuration gives to interfaces of the host itself."""
    found = [keyed or listed for keyed, listed in ADDRESS.findall(text)]
    return [each for each in dict.fromkeys(found) if _is_address(each)]


def _is_address(text: str) -> bool:
    try:
        return not ipaddress.ip_interface(text).is_loopback
    except ValueError:
        return False


def _minion_files(minion: dict | None) -> dict:
    if not minion:
        return {}
    return {
        "/etc/salt/minion_id": (minion["id"] + "\n", 0o644),
        "/etc/salt/minion.d/onepass-master.conf": (f"master: {minion['master']}\n", 0o644),
        "/etc/salt/pki/minion/minion.pem": (minion["key"], 0o400),
        "/etc/salt/pki/minion/minion.pub": (minion["key_public"] + "\n", 0o644),
    }


def _carries(path: str) -> bool:
    return any(_matches(path, each) for each in CARRIERS)


def cidata(identity: dict, instance: str) -> dict:
    """
    The files of a NoCloud ISO that gives a system with cloud-init this identity. They hold private keys.

    identity
        What :py:func:`new` answered.
    instance
        The instance id: the clone's UUID.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc libvirt_identity.cidata

    .. versionadded:: 0.1.0
    """
    user_data = {
        "hostname": identity["name"],
        "fqdn": identity["fqdn"],
        "manage_etc_hosts": "localhost",
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": identity["host_key"], "ed25519_public": identity["host_key_public"]},
        "bootcmd": [["cloud-init-per", "instance", "machine-id", "sh", "-c", MACHINE_ID % identity["machine_id"]]],
    }
    files = [
        {"path": path, "content": text, "permissions": f"{mode:04o}"}
        for path, (text, mode) in _minion_files(identity.get("minion")).items()
    ]
    if files:
        user_data["write_files"] = files
    return {
        "meta-data": json.dumps({"instance-id": instance, "local-hostname": identity["name"]}) + "\n",
        "user-data": "#cloud-config\n" + json.dumps(user_data) + "\n",
    }


def hosts(text: str, old: str, name: str, fqdn: str) -> str:
    """
    A hosts file in which the clone stands where its template stood; every other line stays.

    text
        The template's ``/etc/hosts``.
    old
        The template's hostname.
    name, fqdn
        The clone's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_identity.hosts '127.0.1.1 debian12' debian12 virtual1 virtual1.lab.test

    .. versionadded:: 0.1.0
    """
    own = " ".join(dict.fromkeys(["127.0.1.1", fqdn, name]))
    old = "" if old == "localhost" else old
    lines, placed = [], False
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if address != "127.0.1.1" and not (old and _names(old, names)):
            lines.append(line)
        elif address.startswith("127.") and not _loopback(names):
            lines += [] if placed else [own]
            placed = True
        else:
            kept = [each for each in names if not (old and _names(old, [each]))]
            lines += [" ".join([address, *kept])] if kept else []
    return "\n".join([*lines, *([] if placed else [own])]) + "\n"


def _names(old: str, names: list) -> bool:
    return any(each == old or each.startswith(f"{old}.") for each in names)


def _loopback(names: list) -> bool:
    return any(each.startswith("localhost") for each in names)


def known_hosts(name: str, fqdn: str, key: str, mark: str) -> str:
    """
    The line that makes ssh trust a clone from the first connection on.

    name, fqdn
        The clone's.
    key
        Its public host key.
    mark
        The line's comment, by which it is found again.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_identity.known_hosts vm1 vm1.lab.test 'ssh-ed25519 AAAA' onepass:1234

    .. versionadded:: 0.1.0
    """
    return f"{','.join(dict.fromkeys([name, fqdn]))} {key} {mark}"


# Arguments


def faults(arguments: dict) -> list:
    """
    All that is wrong with the arguments of a clone, known by their names in :py:func:`libvirt_clone.clone`.

    arguments
        Mapping of argument to value; ``names`` is the list of clones.

    Returns:
        List of mappings with ``path``, ``fault`` and ``remedy``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . libvirt_identity.faults '{template: debian12, names: [virtual_1, virtual1, virtual1]}'

    .. versionadded:: 0.1.0
    """
    found = []
    for argument, value in arguments.items():
        if argument == "names":
            found += _names_faults(value, arguments.get("template"))
        elif argument not in FORMS:
            found.append(_fault(argument, "is an unknown argument", f"known are {', '.join(FORMS)}"))
        elif not (value is None and argument in OPTIONAL) and not FORMS[argument][0](value):
            found.append(_fault(argument, f"is {value!r}", FORMS[argument][1]))
    if arguments.get("network") and arguments.get("bridge"):
        found.append(_fault("bridge", "is given, and network as well", "one of the two"))
    if arguments.get("minion") and arguments.get("identity") == "none":
        found.append(_fault("minion", "is given, and identity none, which writes no key", "another identity"))
    return found


def _names_faults(names, template) -> list:
    if not isinstance(names, (list, tuple)) or not names:
        return [_fault("names", f"is {names!r}", "list of at least one name")]
    found = []
    for number, name in enumerate(names):
        if not (isinstance(name, str) and LABEL.fullmatch(name)):
            remedy = "a hostname: 1 to 63 of a to z, 0 to 9 and -, in quotes if it looks like a number"
            found.append(_fault(f"names:{number}", f"is {name!r}", remedy))
        elif name in names[:number]:
            found.append(_fault(f"names:{number}", f"is {name!r} again", "each name once"))
        elif name == template:
            found.append(_fault(f"names:{number}", f"is {name!r}, the template", "another name"))
    return found


def _fault(path: str, fault: str, remedy: str) -> dict:
    return {"path": path, "fault": fault, "remedy": remedy}


def _is_text(value) -> bool:
    return isinstance(value, str) and value != "" and value == value.strip() and "/" not in value


def _is_number(lowest, highest):
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _is_one_of(*values):
    return lambda value: isinstance(value, str) and value in values


def _is_domain(value) -> bool:
    return isinstance(value, str) and len(value) <= 190 and all(LABEL.fullmatch(each) for each in value.split("."))


def _is_mac(value) -> bool:
    return isinstance(value, str) and bool(MAC.fullmatch(value.lower())) and not int(value[:2], 16) & 1


def _is_minion(value) -> bool:
    return (
        isinstance(value, dict)
        and set(value) <= {"master", "id"}
        and "master" in value
        and all(_is_text(each) and not any(char.isspace() for char in each) for each in value.values())
    )


def _is_bool(value) -> bool:
    return isinstance(value, bool)


def _is_timeout(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 86400


def _is_device(value) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(DEVICE, value))


OPTIONAL = (
    *("autostart", "pool", "memory", "vcpu", "generation"),
    *("domain", "network", "bridge", "mac", "minion", "until"),
)
FORMS = {
    "template": (_is_text, "the name of a domain"),
    "start": (_is_bool, "true or false"),
    "autostart": (_is_bool, "true or false"),
    "linked": (_is_bool, "true or false"),
    "pool": (_is_text, "the name of a storage pool"),
    "memory": (_is_number(16, 1 << 24), "MiB, at least 16"),
    "vcpu": (_is_number(1, 4096), "1 or more"),
    "generation": (_is_number(1, 1 << 20), "1 or more"),
    "identity": (_is_one_of("auto", "disk", "nocloud", "ssh", "none"), "auto, disk, nocloud, ssh or none"),
    "domain": (_is_domain, "a DNS domain: labels of a to z, 0 to 9 and - with dots between them"),
    "network": (_is_text, "the name of a libvirt network"),
    "bridge": (_is_device, "a device's name: 1 to 15 letters, digits, dots, hyphens and underscores"),
    "mac": (_is_mac, "six pairs of hexadecimal digits with colons, the first pair even"),
    "minion": (_is_minion, "a mapping with master and, if it is not the name, id"),
    "until": (_is_one_of("started", "address", "name", "ssh"), "started, address, name or ssh"),
    "timeout": (_is_timeout, "seconds, 0 to 86400"),
}
