"""What all tests share: a real mongod's path, and Salt's own loader over this checkout."""

import json
import os
import platform
import signal
import subprocess
from pathlib import Path

import pytest
import salt._logging
import salt.config
from hypothesis import HealthCheck, settings
from saltfactories.utils.functional import Loaders

import quick
from tree import ROOT

# It keeps messages until a program of Salt's sets up its logging, and prints them after pytest's last line.
salt._logging.shutdown_temp_handler()
quick.loaders()
# How long a value takes to generate is the machine's load.
settings.register_profile("any machine", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("any machine")
# A shell that starts the tests in the background has them and their children ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Of every minion; were there none, Salt would look for its pillar anew in every state.
ALWAYS = {"given_to": "all minions of the tests"}
FETCHED_MONGOD = ROOT / ".venv" / "mongod" / "mongod"


def pytest_addoption(parser):
    parser.addoption("--every-phase", action="store_true", help="test_site_faults.py: each disaster at each step")


@pytest.fixture(scope="session")
def mongod_binary():
    """The path of a mongod: ``ONEPASS_MONGOD`` if it is set, else the one that make fetched."""
    binary = Path(os.environ.get("ONEPASS_MONGOD") or FETCHED_MONGOD)
    if not binary.exists():
        pytest.fail(_no_mongod(binary), pytrace=False)
    missing = [line.split()[0] for line in _ldd(binary) if line.endswith("not found")]
    if missing:
        pytest.fail(f"{binary} needs {', '.join(missing)}: on Debian, apt-get install libcurl4 libssl3", pytrace=False)
    return binary


@pytest.fixture(scope="module")
def minion_overrides():
    """Minion configuration that a module of tests wants otherwise, ``{"id": "s1a.dc"}``: define this fixture there."""
    return {}


@pytest.fixture(scope="module")
def minion_opts(tmp_path_factory, minion_overrides):
    """The configuration of a masterless minion on this checkout, all its files in a temporary directory."""
    root = tmp_path_factory.mktemp("minion")
    pillar = root / "pillar"
    pillar.mkdir()
    (pillar / "top.sls").write_text("base: {'*': [given]}")
    (pillar / "given.sls").write_text(json.dumps(ALWAYS))
    opts = salt.config.minion_config(None, minion_id="minion")
    places = {
        "cachedir": root / "cache",
        "pki_dir": root / "pki",
        "sock_dir": root / "run",
        "conf_file": root / "minion",
    }
    opts.update({key: str(path) for key, path in places.items()})
    opts.update(
        root_dir=str(root),
        file_client="local",
        module_dirs=[str(ROOT)],
        file_roots={"base": [str(ROOT / "salt")]},
        pillar_roots={"base": [str(pillar)]},
        enable_gpu_grains=False,
        enable_fqdns_grains=False,
    )
    opts.update({"pillar": ALWAYS, "__cli": "salt-call", **minion_overrides})
    return opts


@pytest.fixture(scope="module")
def module_loaders(minion_opts):
    """Salt's loaders over this checkout, made once per module of tests; a test takes ``modules`` or ``states``."""
    return Loaders(minion_opts)


@pytest.fixture
def loaders(module_loaders):
    """The loaders; what a test left in ``__context__`` and the cache is forgotten after it."""
    yield module_loaders
    module_loaders.reset_state()


@pytest.fixture
def modules(loaders):
    """Execution modules as a minion has them: ``modules.mongo_client.hello(...)``."""
    return loaders.modules


@pytest.fixture
def states(loaders):
    """States through ``state.single``: ``states.mongo_shard.shard_present(name="s1", test=True).changes``."""
    return loaders.states


@pytest.fixture
def pillar(loaders):
    """Give the minion its pillar: ``pillar({"mongodb": {...}})``, for modules and states alike. Gone after the test."""
    root = Path(loaders.opts["pillar_roots"]["base"][0])

    def give(data):
        data = {**ALWAYS, **data}
        (root / "given.sls").write_text(json.dumps(data))
        seen = loaders.modules.pack["__pillar__"]
        for key in list(seen):
            del seen[key]
        seen.update(data)

    yield give
    give({})


@pytest.fixture(params=[True, False], ids=["dry", "real"])
def testmode(request):
    """The test runs twice: as a dry run (True), then for real (False)."""
    return request.param


def _no_mongod(binary):
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "No mongod: the one that make fetches is for Linux on x86_64. Set ONEPASS_MONGOD to the path of yours."
    return f"No mongod at {binary}: run `make environments`, or set ONEPASS_MONGOD to the path of yours."


def _ldd(binary):
    return subprocess.run(["ldd", str(binary)], capture_output=True, text=True).stdout.splitlines()
