"""
The one way from Onepass to an OpenStack cloud: log in, read lists, write objects. All decisions are made elsewhere.

**A list is read once** however long it is: one request per kind of object, further ones only where the cloud hands out
pages. Networks and subnets are written many in one request, which Neutron executes as a whole or not at all.

Requires openstacksdk 4 or later.
"""

import os
import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from salt.exceptions import CommandExecutionError

CLOUDS_YAML = "/etc/openstack/clouds.yaml"
TAG = "managed-by=salt"
TIMEOUT = 60
KINDS = {
    "projects": ("identity", "/projects", "projects", "project"),
    "domains": ("identity", "/domains", "domains", "domain"),
    "networks": ("network", "/networks", "networks", "network"),
    "subnets": ("network", "/subnets", "subnets", "subnet"),
    "ports": ("network", "/ports", "ports", "port"),
    "routers": ("network", "/routers", "routers", "router"),
    "shares": ("network", "/rbac-policies", "rbac_policies", "rbac_policy"),
    "ranges": ("network", "/network_segment_ranges", "network_segment_ranges", "network_segment_range"),
    "agents": ("network", "/agents", "agents", "agent"),
    "quotas": ("network", "/quotas", "quotas", "quota"),
}

NAMES = {"identity": "Keystone", "network": "Neutron"}


class CloudError(CommandExecutionError):
    """A cloud's refusal, or its silence: ``status`` is HTTP's (0: no answer), ``code`` Neutron's name of the error."""

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Client:
    """
    A cloud, by its name in a clouds.yaml; the first request logs in.

    cloud
        The cloud's name there.
    clouds_yaml
        Path of the clouds.yaml; a ``secure.yaml`` beside it may hold the passwords. The process environment (``OS_*``),
        the working directory and home directories are never looked at.
    kept
        Where the connection is kept for who asks later in the same run: a module's ``__context__``.
    host
        The name of this host, for messages.
    """

    def __init__(self, cloud: str | None, clouds_yaml: str | None, kept: MutableMapping, host: str) -> None:
        self.cloud, self.clouds_yaml, self.kept, self.host = cloud, clouds_yaml or CLOUDS_YAML, kept, host

    @classmethod
    def of(cls, table: Any, cloud: str | None, clouds_yaml: str | None, kept: MutableMapping, host: str) -> "Client":
        """The cloud that is named, or else the one of the pillar's table, of whatever form."""
        given = table if isinstance(table, dict) else {}
        return cls(cloud or given.get("cloud"), clouds_yaml or given.get("clouds_yaml"), kept, host)

    def login(self) -> dict[str, Any]:
        """
        Who the cloud takes us for: ``user``, ``project``, ``domain_id`` and ``domain`` (of the project), ``roles``,
        ``auth_url``.

        Raises ``CommandExecutionError`` when the file, the cloud, Keystone or the login is missing or refused.
        """
        connection, access = self._connected()
        return {
            "user": access.username,
            "project": access.project_name,
            "domain_id": access.project_domain_id,
            "domain": access.project_domain_name,
            "roles": sorted(access.role_names),
            "auth_url": connection.config.auth["auth_url"],
        }

    def rows(self, kind: str, query: Mapping | None = None) -> list[dict]:
        """
        All objects of one of ``KINDS``, as the cloud's API answers them.

        query
            Filters of the API; a list asks for any of its values: ``{device_owner: [network:dhcp]}``.
        """
        service, path, plural, _ = KINDS[kind]
        found: list[dict] = []
        page: str | None = path
        parameters: dict | None = dict(query or {})
        while page:
            answer = self._ask(service, "get", page, params=parameters)
            if answer.get("truncated"):
                raise CloudError(f"The cloud cuts its list of {kind} short; raise list_limit in its configuration")
            found += answer[plural]
            links = answer.get(f"{plural}_links") or []
            page = next((link["href"] for link in links if link["rel"] == "next"), None)
            page, parameters = page or (answer.get("links") or {}).get("next"), None
        return found

    def default_quota(self) -> dict[str, int]:
        """The quota of a project that has none of its own."""
        return self._ask("network", "get", "/quotas/any/default")["quota"]

    def create(self, kind: str, bodies: list[dict]) -> list[dict]:
        """
        Create objects, and answer them as the cloud does: networks and subnets all in one request, as a whole or not at
        all, others one after the other.
        """
        service, path, plural, single = KINDS[kind]
        if kind in ("networks", "subnets"):
            return self._ask(service, "post", path, json={plural: bodies})[plural]
        return [self._ask(service, "post", path, json={single: body})[single] for body in bodies]

    def update(self, kind: str, number: str, body: dict) -> dict:
        """Change fields of one object, by its id (of a quota the project's); only those that are given are sent."""
        service, path, _, single = KINDS[kind]
        return self._ask(service, "put", f"{path}/{number}", json={single: body})[single]

    def tag(self, kind: str, number: str) -> None:
        """Mark a network or router as ours with the tag ``managed-by=salt``; other tags stay."""
        service, path, _, _ = KINDS[kind]
        self._ask(service, "put", f"{path}/{number}/tags/{TAG}")

    def interface(self, router: str, subnet: str, present: bool = True) -> None:
        """Give a router its interface on a subnet, which is the subnet's gateway, or take it away."""
        verb = "add" if present else "remove"
        self._ask("network", "put", f"/routers/{router}/{verb}_router_interface", json={"subnet_id": subnet})

    def remove(self, kind: str, number: str) -> None:
        """Remove one object, or reset a project's quota; one that is gone already is no error."""
        service, path, _, _ = KINDS[kind]
        try:
            self._ask(service, "delete", f"{path}/{number}")
        except CloudError as err:
            if err.status != 404:
                raise

    def _ask(self, service: str, method: str, path: str, **arguments: Any) -> dict:
        import keystoneauth1.exceptions
        import openstack.exceptions

        connection, _ = self._connected()
        try:
            adapter = getattr(connection, service)
            answer = adapter.request(path, method.upper(), raise_exc=False, **arguments)
        except (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException, OSError) as err:
            raise CloudError(f"{NAMES[service]} does not serve {method.upper()} {path}: {_first_line(err)}") from None
        if answer.status_code >= 400:
            raise _refusal(service, method, path, answer)
        try:
            return answer.json() if answer.content else {}
        except ValueError:
            what = f"{NAMES[service]} answers {method.upper()} {path}"
            raise CloudError(f"{what} with no JSON; look at its endpoint in Keystone's catalog") from None

    def _connected(self) -> tuple[Any, Any]:
        """A connection that is logged in, with what the login says of us; one per cloud and run."""
        if not self.cloud:
            raise CommandExecutionError("No cloud is named: give cloud, or openstack:cloud in the pillar")
        if not os.path.isfile(self.clouds_yaml):
            there = f"There is no {self.clouds_yaml} on {self.host}"
            raise CloudError(f"{there}: clouds_yaml names the file with cloud {self.cloud}")
        key = ("neutron", self.clouds_yaml, self.cloud, os.path.getmtime(self.clouds_yaml))
        if key not in self.kept:
            self.kept[key] = _connect(self.clouds_yaml, self.cloud)
        return self.kept[key]


# Talking; openstacksdk takes some tenths of a second to import, which only those pay who talk to a cloud


def _refusal(service: str, method: str, path: str, answer: Any) -> CloudError:
    try:
        said = answer.json()
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    error = said.get("NeutronError") or said.get("error") or {}
    error = error if isinstance(error, dict) else {"message": str(error)}
    code = error.get("type") or error.get("title") or ""
    words = error.get("message") or answer.reason or "no reason given"
    what = path.partition("/v2.0")[2] or path
    how = f"{answer.status_code} {code}".rstrip()
    needed = ". The login has to be an admin's" if answer.status_code == 403 else ""
    text = f"{NAMES[service]} refuses {method.upper()} {what} ({how}): {words.rstrip('. ')}{needed}"
    return CloudError(text, answer.status_code, code)


def _connect(path: str, name: str) -> tuple[Any, Any]:
    import keystoneauth1.exceptions
    import openstack.connection
    import openstack.exceptions

    try:
        region = _configured(path, name)
        region.config["api_timeout"] = region.config.get("api_timeout") or TIMEOUT
        connection = openstack.connection.Connection(config=region)
        connection.cache_enabled = False  # clouds.yaml may ask for it, but what was written has to be read again
        return connection, connection.session.auth.get_access(connection.session)
    except keystoneauth1.exceptions.Unauthorized:
        remedy = "look at its user, password and project there, and in secure.yaml beside it"
        raise CloudError(f"Keystone refuses the login of cloud {name} in {path}; {remedy}", 401) from None
    except (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException, OSError) as err:
        raise CloudError(f"No login to cloud {name} of {path}: {_first_line(err)}") from None


def _configured(path: str, name: str) -> Any:
    import openstack.config

    folder = os.path.dirname(path)
    config = openstack.config.OpenStackConfig(
        config_files=[path],
        secure_files=[os.path.join(folder, "secure.yaml")],
        vendor_files=[os.path.join(folder, "clouds-public.yaml")],
        load_envvars=False,
        app_name="onepass",
    )
    known = config.get_cloud_names()
    if name not in known:
        named = ", ".join(sorted(set(known) - {"defaults"}))  # what the SDK makes of none
        raise CloudError(f"There is no cloud {name} in {path}; it has {named or 'none, or is no YAML'}")
    return config.get_one(cloud=name)


def _first_line(err: Exception) -> str:
    """The error in a line, without the nested representations in which a refused connection comes."""
    said = str(err).strip().partition("\n")[0] or type(err).__name__
    head, _, nested = said.partition(": HTTP")
    reason = re.search(r"\[Errno -?\d+\] ([\w ]+)", nested)
    return f"{head}: {reason[1]}" if reason else said
