"""
The form of the ``ds389`` pillar, which says what a replicated directory should be: a JSON Schema with its faults in
words.
"""

import copy
import re
from typing import Any

from onepass_lib.core import form
from onepass_lib.core.parts import END, Part, document, listing, number, one_of, part, record, text
from onepass_lib.core.steps import Fault

HOST = rf"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(:[1-9][0-9]{{0,4}})?{END}"
DN = rf"^[A-Za-z][A-Za-z0-9-]* *=[^,=\x00-\x1f]+( *, *[A-Za-z][A-Za-z0-9-]* *=[^,=\x00-\x1f]+)*{END}"
PATH = rf"^/[^\x00-\x1f\x7f'\"$`\\]*{END}"
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


# The schema, from the inside out. Each part's description says what would be right, and is the remedy of its faults.


def _hosts(description: str, each: Part, **constraints: Any) -> Part:
    names = part("a minion's id, with the server's port if it is not the usual one", pattern=HOST)
    return part(description, type="object", propertyNames=names, additionalProperties=each, **constraints)


SERVER = text("a server as it stands among suppliers, hubs or readers", pattern=HOST)
FEEDERS = listing("suppliers or hubs that feed it", SERVER, minItems=1, uniqueItems=True)

TABLE = record(
    "the replicated directory",
    {
        "suffix": text("the suffix that is replicated: dc=bank,dc=example", pattern=DN),
        "suppliers": _hosts(
            "the suppliers, by minion id, each with its replica id",
            number("a replica id, 1 to 65534, which no other replica ever had", 1, 65534),
            minProperties=1,
        ),
        "hubs": _hosts("the hubs, by minion id, each with the list of those that feed it", FEEDERS),
        "readers": _hosts("the read-only replicas, by minion id, each with the list of those that feed it", FEEDERS),
        "topology": {
            "if": {"type": "string"},
            "then": one_of("mesh (default): each supplier feeds all others", "mesh"),
            "else": listing(
                "pairs of suppliers that feed each other: [[ds1.dc, ds2.dc], [ds2.dc, ds3.dc]]",
                listing("two suppliers", SERVER, minItems=2, uniqueItems=True),
                minItems=1,
            ),
        },
        "replication": record(
            "how replicas log in to each other",
            {
                "bind_dn": text("the replication manager, default cn=replication manager,cn=config", pattern=DN),
                "transport": one_of("LDAPS (default), STARTTLS or LDAP", "LDAPS", "STARTTLS", "LDAP"),
                "password_file": text(
                    "path of the file, on each host, that holds the manager's password, default "
                    "/root/replication-manager.password",
                    pattern=PATH,
                ),
            },
        ),
        "purge_delay": text(
            "how long changes are kept for a replica that is away: 7d, 12h or 90m; without it nothing is compared",
            pattern=rf"^[1-9][0-9]{{0,5}}[dhms]{END}",
        ),
        "seed": text("the supplier whose data count, where the servers themselves do not tell", pattern=HOST),
        "discard": listing(
            "servers whose own data may be replaced by the others' data", SERVER, minItems=1, uniqueItems=True
        ),
        "login": record(
            "the account by which servers are asked over TLS",
            {
                "bind_dn": text("its name", pattern=DN),
                "password": text("its password"),
                "ca_file": text("path of the signers' certificates", pattern=PATH),
            },
            required=("bind_dn", "password"),
        ),
    },
    required=("suffix", "suppliers"),
)

SCHEMA = document("ds389", TABLE)


def schema() -> Part:
    """The JSON Schema (draft 2020-12) of the ``ds389`` pillar, each part with its ``description``."""
    return copy.deepcopy(SCHEMA)


def faults(pillar: Any) -> list[Fault]:
    """
    Where a pillar differs from the schema: all faults at once, in no order.

    pillar
        The value of the pillar's key ``ds389``.

    Returns:
        List of mappings with ``path`` (below ``ds389``), ``fault`` and ``remedy``; no password in any of them.
    """
    return form.faults(pillar, SCHEMA, ALIASES, SECRETS)


def sound(pillar: Any) -> Any:
    """
    The pillar without what the schema refuses: unknown keys and servers of no name are left out, malformed values are
    ``None``.

    pillar
        The value of the pillar's key ``ds389``.
    """
    kept = form.sound(pillar, SCHEMA, ALIASES, SECRETS)
    return {key: _named(each) if key in SERVERS else each for key, each in kept.items()}


def _named(servers: Any) -> Any:
    return servers and {name: each for name, each in servers.items() if re.search(HOST, name)}
