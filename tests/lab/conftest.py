import pytest
import yaml
from labtool import lab, new_name


def pytest_configure(config):
    config.addinivalue_line("markers", "lab: boots hosts: needs root, Debian 12, and minutes if there is no image yet")


@pytest.fixture
def fresh():
    """The name of a lab of this test's own. What the test leaves of it is removed."""
    name = new_name()
    yield name
    lab(name, "down")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A master and one more host."""
    hosts = {"hq": {"roles": ["master"]}, "s1a.dc": {"roles": ["shard"]}}
    path = tmp_path_factory.mktemp("site") / "site.yaml"
    path.write_text(yaml.safe_dump({"network": "10.77.0.0/24", "mongodb": {"archive": True}, "hosts": hosts}))
    return path
