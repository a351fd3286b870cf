"""
The form of the ``ds389`` pillar, which says what a replicated directory should be: a JSON Schema with its faults in
words.

.. versionadded:: 0.1.0

What no schema can say (two suppliers of one id, a hub that nobody feeds) is told by :py:mod:`ds_pillar`, whose
``faults`` brings both together. To see the schema::

    salt-call --local -m . ds_schema.schema --out=json

Requires ``jsonschema`` 4 in Salt's Python (see :py:mod:`pillar_form`).
"""

import copy
import re

__virtualname__ = "ds_schema"

END = r"$(?!\n)"
HOST = rf"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(:[1-9][0-9]{{0,4}})?{END}"
DN = rf"^[A-Za-z][A-Za-z0-9-]* *=[^,=\x00-\x1f]+( *, *[A-Za-z][A-Za-z0-9-]* *=[^,=\x00-\x1f]+)*{END}"
# Keys that people know from elsewhere.
ALIASES = {
    "base": "suffix",
    "basedn": "suffix",
    "masters": "suppliers",
    "consumers": "readers",
    "purge": "purge_delay",
    "nsds5replicapurgedelay": "purge_delay",
    "protocol": "transport",
    "conn_protocol": "transport",
    "binddn": "bind_dn",
    "passwd_file": "password_file",
}
# Below these no value is shown.
SECRETS = ("login",)
SERVERS = ("suppliers", "hubs", "readers")


def __virtual__():
    if "pillar_form.faults" not in __salt__:
        return False, "ds_schema needs jsonschema 4 in Salt's Python: salt-pip install 'jsonschema>=4.17'"
    return __virtualname__


# The schema, from the inside out. Each part's description says what would be right, and is the remedy of its faults.


def _text(description, **constraints):
    return {"description": description, "type": "string", "minLength": 1, **constraints}


def _list(description, items, **constraints):
    return {"description": description, "type": "array", "items": items, "minItems": 1, **constraints}


def _object(description, properties, required=()):
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _hosts(description, each, **constraints):
    names = {"description": "a minion's id, with the server's port if it is not the usual one", "pattern": HOST}
    return {
        "description": description,
        "type": "object",
        "propertyNames": names,
        "additionalProperties": each,
        **constraints,
    }


SERVER = _text("a server as it stands among suppliers, hubs or readers", pattern=HOST)
FEEDERS = _list("suppliers or hubs that feed it", SERVER, uniqueItems=True)
PATH = rf"^/[^\x00-\x1f\x7f'\"$`\\]*{END}"

TABLE = _object(
    "the replicated directory",
    {
        "suffix": _text("the suffix that is replicated: dc=bank,dc=example", pattern=DN),
        "suppliers": _hosts(
            "the suppliers, by minion id, each with its replica id",
            {
                "description": "a replica id, 1 to 65534, which no other replica ever had",
                "type": "integer",
                "minimum": 1,
                "maximum": 65534,
            },
            minProperties=1,
        ),
        "hubs": _hosts("the hubs, by minion id, each with the list of those that feed it", FEEDERS),
        "readers": _hosts("the read-only replicas, by minion id, each with the list of those that feed it", FEEDERS),
        "topology": {
            "if": {"type": "string"},
            "then": {"description": "mesh (default): each supplier feeds all others", "enum": ["mesh"]},
            "else": _list(
                "pairs of suppliers that feed each other: [[ds1.dc, ds2.dc], [ds2.dc, ds3.dc]]",
                _list("two suppliers", SERVER, minItems=2, uniqueItems=True),
            ),
        },
        "replication": _object(
            "how replicas log in to each other",
            {
                "bind_dn": _text("the replication manager, default cn=replication manager,cn=config", pattern=DN),
                "transport": {
                    "description": "LDAPS (default), STARTTLS or LDAP",
                    "enum": ["LDAPS", "STARTTLS", "LDAP"],
                },
                "password_file": _text(
                    "path of the file, on each host, that holds the manager's password, default "
                    "/root/replication-manager.password",
                    pattern=PATH,
                ),
            },
        ),
        "purge_delay": _text(
            "how long changes are kept for a replica that is away: 7d, 12h or 90m; without it nothing is compared",
            pattern=rf"^[1-9][0-9]{{0,5}}[dhms]{END}",
        ),
        "seed": _text("the supplier whose data count, where the servers themselves do not tell", pattern=HOST),
        "discard": _list("servers whose own data may be replaced by the others' data", SERVER, uniqueItems=True),
        "login": _object(
            "the account by which servers are asked over TLS",
            {
                "bind_dn": _text("its name", pattern=DN),
                "password": _text("its password"),
                "ca_file": _text("path of the signers' certificates", pattern=PATH),
            },
            required=("bind_dn", "password"),
        ),
    },
    required=("suffix", "suppliers"),
)

SCHEMA = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "ds389", **TABLE}


def schema():
    """
    The JSON Schema (draft 2020-12) of the ``ds389`` pillar, each part with its ``description``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_schema.schema --out=json

    .. versionadded:: 0.1.0
    """
    return copy.deepcopy(SCHEMA)


def faults(pillar):
    """
    Where a pillar differs from the schema: all faults at once, in no order.

    pillar
        The value of the pillar's key ``ds389``.

    Returns:
        List of mappings with ``path`` (below ``ds389``), ``fault`` and ``remedy``; no password in any of them.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_schema.faults '{suffix: bank, supplier: {}}'

    .. versionadded:: 0.1.0
    """
    return __salt__["pillar_form.faults"](pillar, SCHEMA, ALIASES, SECRETS)


def sound(pillar):
    """
    The pillar without what the schema refuses: unknown keys and servers of no name are left out, malformed values are
    ``None``.

    pillar
        The value of the pillar's key ``ds389``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_schema.sound '{suffix: "dc=bank", suppliers: {ds1.dc: 0, ds2.dc: 2}}'

    .. versionadded:: 0.1.0
    """
    kept = __salt__["pillar_form.sound"](pillar, SCHEMA, ALIASES, SECRETS)
    return {key: _named(each) if key in SERVERS else each for key, each in kept.items()}


def _named(servers):
    return servers and {name: each for name, each in servers.items() if re.search(HOST, name)}
