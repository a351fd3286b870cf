"""
A real Keystone and a real Neutron on loopback, for tests, demos and benchmarks: two processes, two sqlite files.

``make .venv/openstack/done`` fetches them. Nothing is wired into a data plane: there is no switch and no agent, but
every answer of the API is genuine. To have one at hand while a command runs (here a shell)::

    .venv/3008/bin/python tests/clouds.py bash
"""

import contextlib
import hashlib
import ipaddress
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import openstack.config
import openstack.connection

from mongods import HOST, free_ports, listens

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv/openstack"
PYTHON = HOME / "bin/python"
PROGRAM = ROOT / "tests/openstack_api.py"
START_SECONDS = 300
ROLES = ("manager", "member", "reader")  # in the project `demo`, each with a user of its name
LOGINS = {"admin": "admin", **dict.fromkeys(ROLES, "demo")}  # users, each with its project
SECRETS = ("neutron-secret", *(f"{user}-secret" for user in LOGINS))

KEYSTONE_CONF = """[DEFAULT]
log_file = {home}/log
transport_url = fake://
[database]
connection = sqlite:///{home}/keystone.db
[identity]
password_hash_rounds = 4
[fernet_tokens]
key_repository = {home}/fernet-keys
[fernet_receipts]
key_repository = {home}/fernet-keys
[credential]
key_repository = {home}/credential-keys
[cache]
enabled = true
backend = dogpile.cache.memory
"""

NEUTRON_CONF = """[DEFAULT]
core_plugin = ml2
service_plugins = router,segments,trunk,network_segment_range
transport_url = fake://
state_path = {home}/state
log_file = {home}/log
api_paste_config = {paste}
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
global_physnet_mtu = 1500
pagination_max_limit = {page}
# the agent's heartbeat is never renewed
agent_down_time = 2000000
[database]
connection = sqlite:///{home}/neutron.db
[oslo_concurrency]
lock_path = {home}/lock
[oslo_messaging_notifications]
driver = noop
[quotas]
quota_network = {quota}
quota_subnet = {quota}
[keystone_authtoken]
auth_url = {keystone}
auth_type = password
username = neutron
password = neutron-secret
project_name = service
user_domain_id = default
project_domain_id = default
[ml2]
type_drivers = vlan,flat,local
tenant_network_types = vlan
mechanism_drivers = openvswitch,sriovnicswitch
extension_drivers = port_security,dns
[ml2_type_vlan]
network_vlan_ranges = physnet1:100:199,physnet2
[ml2_type_flat]
flat_networks = physflat
"""


class Api:
    """One of the two services; ``home``, ``port`` and ``url`` outlast ``stop()`` and ``start()``."""

    def __init__(self, name: str, home: Path, port: int, environment: dict):
        self.name, self.home, self.port = name, home, port
        self.url = f"http://{HOST}:{port}"
        # Neutron leaves files in the temporary directory that tell the next one that it is not the first of its parent.
        own = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONWARNINGS": "ignore", "TMPDIR": str(home)}
        self._environment = {**os.environ, **own, **environment}
        self._process = None

    def launch(self):
        """Start the process and return at once."""
        words = [PYTHON, PROGRAM, "serve", f"{self.name}.wsgi.api", self.port, self.home]
        with (self.home / "output").open("a") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *map(str, words)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def wait(self):
        """Return when it listens."""
        deadline = time.monotonic() + START_SECONDS
        while not listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not listen:\n{(self.home / 'output').read_text()[-2000:]}")
            time.sleep(0.05)

    def start(self):
        """Start it (again) on the same port and data, and wait until it listens."""
        self.launch()
        self.wait()

    def runs(self):
        return self._process is not None and self._process.poll() is None

    def kill(self):
        """End it as a power cut would, and wait for that."""
        if self.runs():
            self._process.send_signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def calls(self):
        """All requests so far, in their order: ``POST /v2.0/networks``."""
        return (self.home / "calls").read_text().splitlines()

    def fault(self, call: str, **fault):
        """
        Let the next request that begins with ``call`` go wrong: ``status=503`` is answered; ``do="die"``: the service
        ends; ``do="lose"``: it is executed, but 503 is answered; ``do="hold"``: until ``release()``. ``skip=2`` spares
        the first two; ``always=True`` repeats it.
        """
        (self.home / "fault").write_text(json.dumps({"call": call, **fault}))

    def held(self):
        """Whether a request is being held."""
        return (self.home / "held").exists()

    def release(self):
        """Let the held request go on, and forget all faults."""
        for name in ("fault", "held"):
            (self.home / name).unlink(missing_ok=True)


class Cloud:
    """A running cloud: ``keystone`` and ``neutron`` (``Api``), and ``clouds_yaml``, the path of its clouds.yaml."""

    def __init__(self, home: Path, quota: int = 1000, page: int = -1):
        self.home, self.clouds_yaml = home, home / "clouds.yaml"
        ports = free_ports(2, taken=set())
        places = {name: home / name for name in ("keystone", "neutron")}
        configurations = {
            "keystone": {"OS_KEYSTONE_CONFIG_DIR": str(places["keystone"])},
            "neutron": {"OS_NEUTRON_CONFIG_DIR": str(places["neutron"]), "OS_NEUTRON_CONFIG_FILES": "neutron.conf"},
        }
        self.keystone, self.neutron = (
            Api(name, places[name], port, configurations[name]) for name, port in zip(places, ports, strict=True)
        )
        self._lay_out(quota=quota, page=page)

    def start(self):
        """Start both side by side and wait until both listen."""
        for api in (self.keystone, self.neutron):
            api.launch()
        for api in (self.keystone, self.neutron):
            api.wait()
        return self

    def kill(self):
        """End both."""
        for api in (self.neutron, self.keystone):
            api.kill()

    def connect(self, cloud: str = "admin"):
        """An openstacksdk connection of a test's own: ``admin``, or whose name is its role in ``demo``."""
        return connect(self.clouds_yaml, cloud)

    def multiply(self, project: str, rows: dict):
        """Further projects (name to ``vlan`` and ``cidr``), copies of a whole one, past the APIs: 500 take seconds."""
        with (
            sqlite3.connect(self.keystone.home / "keystone.db") as keystone,
            sqlite3.connect(self.neutron.home / "neutron.db") as neutron,
        ):
            model = _row(keystone, "project", name=project)
            network = _row(neutron, "networks", project_id=model["id"])
            inside = {table: _row(neutron, table, network_id=network["id"]) for table in ("networksegments", "subnets")}
            tag = _row(neutron, "tags", standard_attr_id=network["standard_attr_id"])
            for name, row in rows.items():
                number = uuid.uuid4().hex
                _insert(keystone, "project", {**model, "id": number, "name": name})
                copy = _copy(neutron, "networks", network, project_id=number, name=f"{name}-net")
                _insert(neutron, "tags", {**tag, "standard_attr_id": copy["standard_attr_id"]})
                own = {"network_id": copy["id"]}
                _copy(neutron, "networksegments", inside["networksegments"], **own, segmentation_id=row["vlan"])
                gateway = str(ipaddress.ip_network(row["cidr"])[1])
                more = {"project_id": number, "cidr": row["cidr"], "gateway_ip": gateway}
                _copy(neutron, "subnets", inside["subnets"], **own, **more)

    def _lay_out(self, **options):
        for source in _databases().iterdir():
            target = self.home / source.name
            shutil.copytree(source, target)
        auth = f"{self.keystone.url}/v3"
        conf = NEUTRON_CONF.format(
            home=self.neutron.home, keystone=auth, **options, paste=HOME / "etc/neutron/api-paste.ini"
        )
        (self.neutron.home / "neutron.conf").write_text(conf)
        (self.keystone.home / "keystone.conf").write_text(KEYSTONE_CONF.format(home=self.keystone.home))
        with sqlite3.connect(self.keystone.home / "keystone.db") as database:
            for old, new in (("http://neutron", self.neutron.url), ("http://keystone/v3", auth)):
                database.execute("update endpoint set url = ? where url = ?", (new, old))
        self._write_clouds(auth)

    def _write_clouds(self, auth):
        login = {"auth_url": auth, "user_domain_name": "Default", "project_domain_name": "Default"}
        clouds = {
            user: {"auth": {**login, "username": user, "project_name": project}, "region_name": "RegionOne"}
            for user, project in LOGINS.items()
        }
        secure = {user: {"auth": {"password": f"{user}-secret"}} for user in LOGINS}
        self.clouds_yaml.write_text(json.dumps({"clouds": clouds}))
        self.clouds_yaml.with_name("secure.yaml").write_text(json.dumps({"clouds": secure}))


def _row(database, table, **key):
    [(column, value)] = key.items()
    found = database.execute(f"select * from {table} where {column} = ?", (value,))
    return dict(zip([each[0] for each in found.description], found.fetchone(), strict=True))


def _insert(database, table, row):
    marks = ", ".join("?" * len(row))
    return database.execute(f"insert into {table} ({', '.join(row)}) values ({marks})", list(row.values())).lastrowid


def _copy(database, table, model, **changes):
    """A copy of an object of Neutron's, with an id and standard attributes of its own."""
    attributes = {**_row(database, "standardattributes", id=model["standard_attr_id"]), "id": None}
    number = _insert(database, "standardattributes", attributes)
    copy = {**model, "id": str(uuid.uuid4()), "standard_attr_id": number, **changes}
    _insert(database, table, copy)
    return copy


def connect(clouds_yaml, cloud: str = "admin"):
    """An openstacksdk connection to a cloud of a clouds.yaml, whatever the environment says."""
    secure = Path(clouds_yaml).with_name("secure.yaml")
    config = openstack.config.OpenStackConfig(
        config_files=[str(clouds_yaml)], secure_files=[str(secure)], load_envvars=False
    )
    return openstack.connection.Connection(config=config.get_one(cloud=cloud))


@contextlib.contextmanager
def cloud(**options):
    """Yield a running cloud; its processes and files are gone afterwards. Options as for ``Cloud``."""
    home = Path(tempfile.mkdtemp(prefix="cloud-"))
    try:
        made = Cloud(home, **options)
        try:
            yield made.start()
        finally:
            made.kill()
    finally:
        shutil.rmtree(home)


def _databases():
    """The databases of an empty cloud, made once (10 s) for a version of the program and kept; many may ask at once."""
    version = hashlib.sha256((PROGRAM.read_text() + KEYSTONE_CONF).encode()).hexdigest()[:12]
    kept = HOME / f"databases-{version}"
    if not kept.exists():
        making = Path(tempfile.mkdtemp(prefix="making-", dir=HOME))
        try:
            _make_databases(making)
            making.rename(kept)
        except OSError:  # who came second
            if not kept.exists():
                raise
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return kept


def _make_databases(home):
    started = {}
    for name in ("keystone", "neutron"):
        (home / name).mkdir()
        (home / name / "keystone.conf").write_text(KEYSTONE_CONF.format(home=home / name))
        words = [str(PYTHON), str(PROGRAM), f"{name}-databases", str(home / name)]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONWARNINGS": "ignore"}
        with (home / name / "output").open("w") as output:
            started[name] = subprocess.Popen(words, env=environment, stdout=output, stderr=output)
    for name, process in started.items():
        if process.wait():
            raise RuntimeError(f"{name} has no database:\n{(home / name / 'output').read_text()[-2000:]}")


def main(command):
    """Run a command beside a cloud of its own, which it finds in ``ONEPASS_CLOUDS`` (the path of clouds.yaml)."""
    with cloud() as running:
        return subprocess.run(command, env={**os.environ, "ONEPASS_CLOUDS": str(running.clouds_yaml)}).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
