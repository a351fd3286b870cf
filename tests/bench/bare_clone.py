"""Linked clones with an identity, by the commands that it takes: bare_clone.py URI TEMPLATE BASE NAME..."""

import json
import os
import subprocess
import sys
import tempfile
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path

import libvirt


def main(uri, template, base, *names):
    host = libvirt.open(uri)
    text = host.lookupByName(template).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    for name in names:
        path = Path(base).with_name(f"{name}.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", path], check=True)
        edit(path, name)
        host.defineXML(renamed(text, name, path))


def renamed(text, name, path):
    domain = ET.fromstring(text)
    domain.find("name").text = name
    domain.remove(domain.find("uuid"))
    domain.find("devices/disk/source").set("file", str(path))
    for interface in domain.findall("devices/interface"):
        interface.remove(interface.find("mac"))
    return ET.tostring(domain, encoding="unicode")


def edit(path, name):
    with tempfile.TemporaryDirectory() as work:
        key, device = Path(work, "key"), Path(work, "disk")
        device.touch()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        node = {"driver": "qcow2", "node-name": "q", "file": {"driver": "file", "filename": str(path)}}
        share = {"type": "fuse", "id": "e", "node-name": "q", "mountpoint": str(device), "writable": True}
        words = ["--blockdev", json.dumps(node), "--export", json.dumps(share)]
        server = subprocess.Popen(["qemu-storage-daemon", *words])
        while not os.stat(device).st_size:
            pass
        texts = {
            "/etc/hostname": f"{name}\n",
            "/etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {name}\n",
            "/etc/machine-id": f"{uuid.uuid4().hex}\n",
            "/etc/ssh/ssh_host_ed25519_key": key.read_text(),
            "/etc/ssh/ssh_host_ed25519_key.pub": Path(f"{key}.pub").read_text(),
        }
        script = ""
        for number, (target, text) in enumerate(texts.items()):
            Path(work, str(number)).write_text(text)
            script += f"rm {target}\nwrite {work}/{number} {target}\n"
        words = ["/sbin/debugfs", "-w", "-f", "-", f"{device}?offset=1048576"]
        subprocess.run(words, input=script, text=True, capture_output=True, check=True)
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
