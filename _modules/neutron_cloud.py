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

import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.neutron.client import Client

__virtualname__ = "neutron_cloud"


def __virtual__():
    if importlib.util.find_spec("openstack") is None:
        return False, "The OpenStack modules need openstacksdk in Salt's Python: salt-pip install 'openstacksdk>=4'"
    return __virtualname__


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
    return _client(cloud, clouds_yaml).login()


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
    return _client(cloud, clouds_yaml).rows(kind, query)


def _client(cloud, clouds_yaml):
    return Client.of(__salt__["onepass.given"]("openstack"), cloud, clouds_yaml, __context__, __grains__["id"])
