"""
The one way from Onepass to an OpenStack cloud: log in, read lists, write objects. All decisions are made elsewhere.

.. versionadded:: 0.1.0

Try it on any cloud::

    salt-call --local -m . neutron_cloud.login cloud=bank clouds_yaml=/etc/openstack/clouds.yaml

**The login.** Every function of the OpenStack area takes ``cloud``, a name in a clouds.yaml, and ``clouds_yaml``, the
path of that file; a ``secure.yaml`` beside it may hold the passwords. By default these are the pillar's
``openstack:cloud`` and ``openstack:clouds_yaml``, then ``/etc/openstack/clouds.yaml``. The process environment
(``OS_*``), the working directory and home directories are never looked at.

**A list is read once** however long it is: one request per kind of object, further ones only where the cloud hands out
pages. Networks and subnets are written many in one request, which Neutron executes as a whole or not at all.

Requires openstacksdk 4 or later in Salt's Python.
"""

import importlib.util
import os
import re

from salt.exceptions import CommandExecutionError

__virtualname__ = "neutron_cloud"

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


class CloudError(CommandExecutionError):
    """A cloud's refusal, or its silence: ``status`` is HTTP's (0: no answer), ``code`` Neutron's name of the error."""

    def __init__(self, message, status=0, code=""):
        super().__init__(message)
        self.status, self.code = status, code


def __virtual__():
    if importlib.util.find_spec("openstack") is None:
        return False, "The OpenStack modules need openstacksdk in Salt's Python: salt-pip install 'openstacksdk>=4'"
    return __virtualname__


# Reading


def login(cloud=None, clouds_yaml=None):
    """
    Who the cloud takes us for: the login is tried.

    cloud, clouds_yaml
        The login, see the head of this module.

    Returns:
        ``user``, ``project``, ``domain_id`` and ``domain`` (of the project), ``roles``, ``auth_url``.

    Raises ``CommandExecutionError`` when the file, the cloud, Keystone or the login is missing or refused.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_cloud.login cloud=bank

    .. versionadded:: 0.1.0
    """
    connection, access = _connected(cloud, clouds_yaml)
    return {
        "user": access.username,
        "project": access.project_name,
        "domain_id": access.project_domain_id,
        "domain": access.project_domain_name,
        "roles": sorted(access.role_names),
        "auth_url": connection.config.auth["auth_url"],
    }


def rows(kind, query=None, cloud=None, clouds_yaml=None):
    """
    All objects of a kind, as the cloud's API answers them.

    kind
        ``projects``, ``domains``, ``networks``, ``subnets``, ``ports``, ``routers``, ``shares``, ``ranges``, ``agents``
        or ``quotas``.
    query
        Filters of the API; a list asks for any of its values: ``{device_owner: [network:dhcp]}``. Default none.
    cloud, clouds_yaml
        The login, see the head of this module.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_cloud.rows networks '{name: tellers-net}' cloud=bank

    .. versionadded:: 0.1.0
    """
    service, path, plural, _ = KINDS[kind]
    found, parameters = [], dict(query or {})
    while path:
        answer = _ask(service, "get", path, cloud, clouds_yaml, params=parameters)
        if answer.get("truncated"):
            raise CloudError(f"The cloud cuts its list of {kind} short; raise list_limit in its configuration")
        found += answer[plural]
        links = answer.get(f"{plural}_links") or []
        path = next((link["href"] for link in links if link["rel"] == "next"), None)
        path, parameters = path or (answer.get("links") or {}).get("next"), None
    return found


def default_quota(project_id, cloud=None, clouds_yaml=None):
    """
    The quota of a project that has none of its own.

    project_id
        The id of any project, for Neutron's address only.
    cloud, clouds_yaml
        The login, see the head of this module.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . neutron_cloud.default_quota any cloud=bank

    .. versionadded:: 0.1.0
    """
    return _ask("network", "get", f"/quotas/{project_id}/default", cloud, clouds_yaml)["quota"]


# Writing


def create(kind, bodies, cloud=None, clouds_yaml=None):
    """
    Create objects: networks and subnets all in one request, as a whole or not at all, others one after the other.

    kind
        ``projects``, ``networks``, ``subnets``, ``routers`` or ``shares``.
    bodies
        List of mappings, in the API's words.
    cloud, clouds_yaml
        The login, see the head of this module.

    Returns:
        The objects as the cloud answers them.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc neutron_cloud.create

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    service, path, plural, single = KINDS[kind]
    if kind in ("networks", "subnets"):
        return _ask(service, "post", path, cloud, clouds_yaml, json={plural: bodies})[plural]
    return [_ask(service, "post", path, cloud, clouds_yaml, json={single: body})[single] for body in bodies]


def update(kind, number, body, cloud=None, clouds_yaml=None):
    """
    Change fields of one object; only those that are given are sent.

    kind
        ``networks``, ``subnets``, ``routers`` or ``quotas``.
    number
        Its id; of a quota the project's.
    body
        Mapping of fields, in the API's words.
    cloud, clouds_yaml
        The login, see the head of this module.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc neutron_cloud.update

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    service, path, _, single = KINDS[kind]
    return _ask(service, "put", f"{path}/{number}", cloud, clouds_yaml, json={single: body})[single]


def tag(kind, number, cloud=None, clouds_yaml=None):
    """
    Mark an object as ours with the tag ``managed-by=salt``; other tags stay.

    kind
        ``networks`` or ``routers``.
    number
        Its id.
    cloud, clouds_yaml
        The login, see the head of this module.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc neutron_cloud.tag

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    service, path, _, _ = KINDS[kind]
    _ask(service, "put", f"{path}/{number}/tags/{TAG}", cloud, clouds_yaml)


def interface(router, subnet, present=True, cloud=None, clouds_yaml=None):
    """
    Give a router its interface on a subnet, which is the subnet's gateway, or take it away.

    router, subnet
        Their ids.
    present
        ``False`` takes it away. Default ``True``.
    cloud, clouds_yaml
        The login, see the head of this module.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc neutron_cloud.interface

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    verb = "add" if present else "remove"
    path = f"/routers/{router}/{verb}_router_interface"
    _ask("network", "put", path, cloud, clouds_yaml, json={"subnet_id": subnet})


def remove(kind, number, cloud=None, clouds_yaml=None):
    """
    Remove one object; one that is gone already is no error.

    kind
        ``projects``, ``networks``, ``subnets``, ``routers``, ``shares`` or ``quotas`` (back to the default).
    number
        Its id; of a quota the project's.
    cloud, clouds_yaml
        The login, see the head of this module.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc neutron_cloud.remove

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    service, path, _, _ = KINDS[kind]
    try:
        _ask(service, "delete", f"{path}/{number}", cloud, clouds_yaml)
    except CloudError as err:
        if err.status != 404:
            raise


# Talking; openstacksdk takes some tenths of a second to import, which only those pay who talk to a cloud


def _ask(service, method, path, cloud, clouds_yaml, **arguments):
    import keystoneauth1.exceptions
    import openstack.exceptions

    connection, _ = _connected(cloud, clouds_yaml)
    try:
        adapter = getattr(connection, service)
        answer = adapter.request(path, method.upper(), raise_exc=False, **arguments)
    except (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException, OSError) as err:
        raise CloudError(f"{_NAMES[service]} does not serve {method.upper()} {path}: {_first_line(err)}") from None
    if answer.status_code >= 400:
        raise _refusal(service, method, path, answer)
    try:
        return answer.json() if answer.content else {}
    except ValueError:
        what = f"{_NAMES[service]} answers {method.upper()} {path}"
        raise CloudError(f"{what} with no JSON; look at its endpoint in Keystone's catalog") from None


_NAMES = {"identity": "Keystone", "network": "Neutron"}


def _refusal(service, method, path, answer):
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
    text = f"{_NAMES[service]} refuses {method.upper()} {what} ({how}): {words.rstrip('. ')}{needed}"
    return CloudError(text, answer.status_code, code)


def _connected(cloud, clouds_yaml):
    """A connection that is logged in, with what the login says of us; one per cloud and run."""
    path, name = _place(cloud, clouds_yaml)
    key = ("neutron_cloud", path, name, os.path.getmtime(path))
    if key not in __context__:
        __context__[key] = _connect(path, name)
    return __context__[key]


def _place(cloud, clouds_yaml):
    given = __salt__["neutron_rules.given"]() or {}
    given = given if isinstance(given, dict) else {}
    name, path = cloud or given.get("cloud"), clouds_yaml or given.get("clouds_yaml") or CLOUDS_YAML
    if not name:
        raise CommandExecutionError("No cloud is named: give cloud, or openstack:cloud in the pillar")
    if not os.path.isfile(path):
        raise CloudError(f"There is no {path} on {__grains__['id']}: clouds_yaml names the file with cloud {name}")
    return path, name


def _connect(path, name):
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


def _configured(path, name):
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


def _first_line(err):
    """The error in a line, without the nested representations in which a refused connection comes."""
    said = str(err).strip().partition("\n")[0] or type(err).__name__
    head, _, nested = said.partition(": HTTP")
    reason = re.search(r"\[Errno -?\d+\] ([\w ]+)", nested)
    return f"{head}: {reason[1]}" if reason else said
