"""Inside Keystone's and Neutron's own environment: make their databases, and serve either API. See tests/clouds.py."""

import datetime
import importlib
import json
import os
import sqlite3
import sys
import threading
import time
import uuid
from pathlib import Path

ENDPOINT = "http://neutron"  # in the databases that are kept; a cloud's own address takes its place
USERS = (("service", "neutron", "service"), *(("demo", role, role) for role in ("reader", "member", "manager")))


def main(command, *words):
    sys.argv = ["openstack_api"]  # oslo.config reads the command line
    {"keystone-databases": keystone_databases, "neutron-databases": neutron_databases, "serve": serve}[command](*words)


# Databases


def keystone_databases(home):
    from cryptography.fernet import Fernet

    for name in ("fernet-keys/0", "fernet-keys/1", "credential-keys/0", "credential-keys/1"):
        key = Path(home, name)
        key.parent.mkdir(mode=0o700, exist_ok=True)
        key.write_bytes(Fernet.generate_key())
        key.chmod(0o600)
    from keystone import server
    from keystone.cmd import bootstrap
    from keystone.common.sql import upgrades

    server.configure(config_files=[str(Path(home, "keystone.conf"))])
    upgrades.offline_sync_database_to_version()
    made = bootstrap.Bootstrapper()
    made.admin_username = made.project_name = made.admin_role_name = "admin"
    made.admin_password = "admin-secret"
    made.bootstrap()
    _add_users()
    _add_endpoints()


def _add_users():
    from keystone.common.provider_api import ProviderAPIs as api

    roles = {role["name"]: role["id"] for role in api.role_api.list_roles()}
    projects = {project: uuid.uuid4().hex for project, _, _ in USERS}
    for project, number in projects.items():
        body = {"id": number, "name": project, "domain_id": "default", "enabled": True}
        api.resource_api.create_project(number, body)
    for project, user, role in USERS:
        body = {"name": user, "password": f"{user}-secret", "domain_id": "default", "enabled": True}
        made = api.identity_api.create_user(body)
        api.assignment_api.create_grant(roles[role], user_id=made["id"], project_id=projects[project])


def _add_endpoints():
    from keystone.common.provider_api import ProviderAPIs as api

    body = {"region_id": None, "description": "", "parent_region_id": None, "id": "RegionOne"}
    api.catalog_api.create_region({key: body[key] for key in ("id", "description", "parent_region_id")})
    for kind, url in (("network", ENDPOINT), ("identity", "http://keystone/v3")):
        service = uuid.uuid4().hex
        api.catalog_api.create_service(service, {"id": service, "type": kind, "name": kind, "enabled": True})
        for interface in ("public", "internal"):
            endpoint = uuid.uuid4().hex
            body = {"id": endpoint, "interface": interface, "region_id": "RegionOne", "service_id": service}
            api.catalog_api.create_endpoint(endpoint_id=endpoint, endpoint_ref={**body, "url": url, "enabled": True})


def neutron_databases(home):
    """From the models, as Neutron's own unit tests do: its migrations alter constraints, which sqlite cannot."""
    import sqlalchemy
    from neutron.db.migration.models import head  # noqa: F401
    from neutron_lib.db import model_base

    url = f"sqlite:///{home}/neutron.db"
    model_base.BASEV2.metadata.create_all(sqlalchemy.create_engine(url))
    _add_agents(f"{home}/neutron.db")


def _add_agents(database):
    """Live agents, so that ports can be bound there: Open vSwitch's on the host ``compute``, SR-IOV's on ``nic``."""
    switch = {
        "bridge_mappings": {"physnet1": "br-1", "physnet2": "br-2"},
        "datapath_type": "system",
        "tunnel_types": [],
        "ovs_capabilities": {"datapath_types": [], "iface_types": []},
    }
    card = {"device_mappings": {"physnet1": ["eth1"]}}
    agents = (
        ("Open vSwitch agent", "neutron-openvswitch-agent", "compute", switch),
        ("NIC Switch agent", "neutron-sriov-nic-agent", "nic", card),
    )
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None).isoformat(" ")
    with sqlite3.connect(database) as connection:
        for kind, binary, host, configuration in agents:
            connection.execute(
                "insert into agents (id, agent_type, binary, topic, host, admin_state_up, load, created_at, started_at,"
                " heartbeat_timestamp, configurations) values (?, ?, ?, 'N/A', ?, ?, ?, ?, ?, ?, ?)",
                (str(uuid.uuid4()), kind, binary, host, True, 0, now, now, now, json.dumps(configuration)),
            )


# Serving


def serve(module, port, home):
    """Serve the API on loopback; requests are logged to ``calls``, and the file ``fault`` tells what goes wrong."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"
        log_request = lambda self, *_: None  # noqa: E731

    application = Traced(importlib.import_module(module).application, Path(home))
    make_server("127.0.0.1", int(port), application, threaded=True, request_handler=Quiet).serve_forever()


class Traced:
    """A WSGI application behind one lock (sqlite has one writer), with a log of its calls and faults on request."""

    def __init__(self, application, home):
        self.application, self.home = application, home
        self.one, self.log = threading.Lock(), (home / "calls").open("a", buffering=1)

    def __call__(self, environ, start_response):
        call = f"{environ['REQUEST_METHOD']} {environ.get('SCRIPT_NAME', '')}{environ['PATH_INFO']}"
        fault = self.fault(call)
        self.log.write(f"{call}?{environ['QUERY_STRING']}\n".replace("?\n", "\n"))
        if fault.get("do") == "hold":
            while (self.home / "held").exists():
                time.sleep(0.01)
        if fault.get("do") == "die":
            os._exit(1)
        if fault.get("status"):
            return self.refused(fault["status"], start_response)
        lost = fault.get("do") == "lose"
        with self.one:
            body = self.application(environ, (lambda *_: None) if lost else start_response)
            try:
                answer = list(body)
            finally:
                getattr(body, "close", lambda: None)()
        return self.refused(503, start_response) if lost else answer

    def refused(self, status, start_response):
        start_response(f"{status} Fault", [("Content-Type", "text/plain")])
        return [b"asked for by the test"]

    def fault(self, call):
        """The fault that is due for this call, which ``skip`` counts down; each fault is due once."""
        path = self.home / "fault"
        with self.one:
            if not path.exists():
                return {}
            fault = json.loads(path.read_text())
            if not call.startswith(fault["call"]):
                return {}
            if fault.get("skip"):
                path.write_text(json.dumps({**fault, "skip": fault["skip"] - 1}))
                return {}
            if fault.get("do") == "hold":
                (self.home / "held").touch()
            if not fault.get("always"):
                path.unlink()
            return fault


if __name__ == "__main__":
    main(*sys.argv[1:])
