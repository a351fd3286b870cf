"""An identity over ssh goes to who has the template's host key, and to nobody else."""

import contextlib
import os
import shutil
import socket
import subprocess

import pytest
from salt.exceptions import CommandExecutionError

import tree

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
HOST = tree.functions("onepass_host")
IMAGES = [{"path": "/debian12.g1.qcow2", "format": "qcow2"}]


def unread(*_):
    raise CommandExecutionError("there is no system on it")


def keypair(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    config = {
        "libvirt_clone:known_hosts": str(tmp_path / "known_hosts"),
        "libvirt_clone:ssh_key": str(tmp_path / "root"),
    }
    salt = {**HOST, "config.get": lambda name, default=None: config.get(name, default), "libvirt_disk.inspect": unread}
    module = tree.load("_modules/libvirt_ssh.py", __salt__=salt)
    monkeypatch.setattr(module, "ROOTS_OWN", str(tmp_path / "roots_own"))
    return module


def test_host_keys_are_those_on_the_disk(ssh, tmp_path):
    key = keypair(tmp_path / "key")
    (tmp_path / "known_hosts").write_text(f"debian12 {keypair(tmp_path / 'old')}\n")
    files = {"/etc/ssh/ssh_host_ed25519_key.pub": {"text": f"{key} root@debian12\n"}, "/etc/ssh/ssh_config": {}}
    asked = []
    ssh.__salt__["libvirt_disk.inspect"] = lambda *given: asked.append(given) or {"files": files}
    assert ssh.host_keys("debian12", IMAGES) == [key]
    assert asked == [("/debian12.g1.qcow2", "qcow2", ["/etc/ssh"], ["/etc/ssh/ssh_host_*_key.pub"])]


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("name", ["known_hosts", "roots_own"])
def test_host_keys_are_those_that_root_trusts(ssh, tmp_path, name, hashed):
    key, path = keypair(tmp_path / "key"), tmp_path / name
    others = (
        f"@revoked debian12 {keypair(tmp_path / 'gone')}\n@cert-authority * {key}\nother {keypair(tmp_path / 'two')}"
    )
    path.write_text(f"# a comment\n{others}\ndebian12,192.0.2.7 {key} root@debian12\n")
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
        assert "debian12," not in path.read_text()
    assert ssh.host_keys("debian12", IMAGES) == [key]


def test_without_its_host_key_a_template_has_no_identity_over_ssh(ssh, tmp_path):
    said = f"debian12: its host key is not known here.*add to {tmp_path}/known_hosts: debian12 ssh-ed25519 AAAA"
    with pytest.raises(CommandExecutionError, match=said):
        ssh.host_keys("debian12", IMAGES)


@contextlib.contextmanager
def an_sshd(tmp_path):
    """On port 22 of loopback in a network namespace of its own, which this thread is in; root logs in by ``root``."""
    HOST["onepass_host.run"](["ip", "link", "set", "dev", "lo", "up"])
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    trusted = tmp_path / "trusted"
    trusted.write_text(keypair(tmp_path / "root"))
    lines = ["ListenAddress 127.0.0.1:22", f"HostKey {tmp_path}/host", f"AuthorizedKeysFile {trusted}", "UsePAM no"]
    lines += ["StrictModes no", "PermitRootLogin prohibit-password", "PidFile none"]
    (tmp_path / "sshd_config").write_text("\n".join(lines) + "\n")
    with subprocess.Popen(
        [SSHD, "-D", "-e", "-f", tmp_path / "sshd_config"], stderr=subprocess.PIPE, text=True
    ) as daemon:
        try:
            while daemon.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 22), 1):
                    break
            yield daemon
        finally:
            daemon.terminate()


@pytest.mark.skipif(os.geteuid() != 0 or not SSHD, reason="sshd is openssh-server's; port 22 is root's")
def test_who_has_another_host_key_is_told_nothing(ssh, tmp_path):
    own, another = keypair(tmp_path / "host"), keypair(tmp_path / "another")
    ssh.__salt__ |= {
        "libvirt_make.own": lambda name: {"active": True},
        "libvirt_guest.address": lambda vm: "127.0.0.1",
        "libvirt_identity.directories": lambda: [str(tmp_path)],
        "libvirt_identity.texts": lambda: [str(tmp_path / "trusted")],
    }

    def looked(trusted):
        with ssh._ssh(trusted) as session:
            return ssh._look("vm1", session)

    def trial():
        with an_sshd(tmp_path) as daemon:
            (address, files), _ = looked([another, own])
            assert (address, files[str(tmp_path / "trusted")]["text"]) == (
                "127.0.0.1",
                (tmp_path / "trusted").read_text(),
            )
            with pytest.raises(
                CommandExecutionError, match="vm1: who answers at 127.0.0.1 has not its template's host key"
            ):
                looked([another])
            daemon.terminate()
            return daemon.stderr.read()

    said = HOST["onepass_host.in_new_network"](trial)
    assert said.count("Accepted publickey for root") == 1
