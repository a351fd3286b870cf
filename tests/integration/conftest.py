"""What integration tests share: a fresh clone's twin, a place for Salt's daemons, short as sockets need it, a cloud."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import tenants
from labs import SiteLab

import clouds
from tree import ROOT


@pytest.fixture(scope="session")
def salt_factories_config():
    """Everything that salt-factories writes, in one directory that goes when the session ends."""
    root = tempfile.mkdtemp(prefix="sf-", dir="/tmp")
    yield {"root_dir": root, "start_timeout": 180}
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """What a fresh ``git clone`` would hold, were all of this checkout committed: no caches, no environments."""
    copy = tmp_path_factory.mktemp("clone") / "onepass"
    for name in _files_of_the_checkout():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # it stays one, whatever runs from it
        yield copy


def _files_of_the_checkout():
    listing = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
    ]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [Path(name) for name in names if name and (ROOT / name).is_symlink() or (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def cloud():
    """A real Keystone and a real Neutron on loopback; each test has projects and VLANs of its own in it."""
    if not clouds.PYTHON.exists():
        pytest.fail("No Keystone and Neutron: run `make .venv/openstack/done`", pytrace=False)
    with clouds.cloud() as running:
        yield running


@pytest.fixture(scope="session")
def site_lab():
    """A lab of all areas: blank for ``test_site_faults``, and as that leaves it for ``test_site_runner``."""
    with SiteLab("site", "site.yaml") as lab:
        yield lab


@pytest.fixture
def site(cloud, states, modules):
    yield tenants.Site(cloud, states, modules)
    cloud.keystone.release()
    cloud.neutron.release()


@pytest.fixture
def external(site):
    """The name of an external network with a subnet."""
    name = f"out{site.block}"
    made = site.make_network(15, name=name, is_router_external=True)
    site.sdk.network.create_subnet(network_id=made.id, ip_version=4, cidr=f"172.16.{site.block}.0/24")
    return name
