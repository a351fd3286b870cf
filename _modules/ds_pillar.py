"""
What the ``ds389`` pillar says that a replicated directory should be: everything that is wrong with it, known without
any server, and its replicas and agreements in one form.

.. versionadded:: 0.1.0

Nothing here asks the world. A server is named by its minion's id, with its port if that is not the usual one of the
transport (636 of LDAPS, else 389)::

    salt-call --local -m . ds_pillar.wanted '{suffix: "dc=bank", suppliers: {ds1.dc: 1}, readers: {ds2.dc: [ds1.dc]}}'

A fault is a mapping: ``path``, ``fault`` (what is wrong, with the value found) and ``remedy`` (what would be right).
"""

import difflib
import itertools

import onepass_lib
from salt.exceptions import CommandExecutionError

onepass_lib.look(__file__)

from onepass_lib.core import form
from onepass_lib.ds import schema

__virtualname__ = "ds_pillar"

MOST_SUPPLIERS = 20  # what the vendor supports
MANAGER, PASSWORD_FILE = "cn=replication manager,cn=config", "/root/replication-manager.password"
SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
KINDS = ("suppliers", "hubs", "readers")


def __virtual__():
    return __virtualname__


def faults(pillar=None):
    """
    Everything that is wrong with a pillar, sorted by path; an empty list for a good one.

    pillar
        The pillar. Default: this minion's key ``ds389``.

    Returns:
        List of mappings: ``path`` (``ds389:suppliers:ds1.dc``), ``fault`` and ``remedy``.

    Requires ``jsonschema`` 4 in Salt's Python.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_pillar.faults '{suffix: "dc=bank", suppliers: {ds1.dc: 1, ds2.dc: 1}}'

    .. versionadded:: 0.1.0
    """
    pillar = given(pillar)
    if pillar is None:
        remedy = "this key in a pillar file that top.sls gives to this minion"
        return [{"path": "ds389", "fault": "is missing", "remedy": remedy}]
    found = schema.faults(pillar)
    if isinstance(pillar, dict):
        found += judge(schema.sound(pillar))
    return form.ordered("ds389", found)


def summary(pillar=None):
    """
    How much a pillar describes: ``suppliers``, ``hubs`` and ``readers``.

    pillar
        The pillar. Default: this minion's key ``ds389``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_pillar.summary '{suppliers: {ds1.dc: 1}}'

    .. versionadded:: 0.1.0
    """
    return {kind: len(_mapping(_mapping(given(pillar)).get(kind))) for kind in KINDS}


def places(pillar=None):
    """
    Where the pillar names each minion: minion id to path.

    pillar
        The pillar. Default: this minion's key ``ds389``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_pillar.places '{suppliers: {"ds1.dc:1389": 1}}'

    .. versionadded:: 0.1.0
    """
    table = _mapping(given(pillar))
    found = {}
    for kind in KINDS:
        for name in filter(_is_text, _mapping(table.get(kind))):
            found.setdefault(name.partition(":")[0], f"ds389:{kind}:{name}")
    return found


def given(pillar=None):
    """
    A pillar in plain types.

    pillar
        The pillar. Default: this minion's key ``ds389``, ``None`` when there is none.

    CLI Example:

    .. code-block:: bash

        salt-call ds_pillar.given

    .. versionadded:: 0.1.0
    """
    return __salt__["onepass.given"]("ds389", pillar)


def topology(pillar=None):
    """
    What a pillar says of the replicas, whether it was checked or not: without what is malformed. ``None`` where it says
    nothing of them, as one that has a login only.

    pillar
        The pillar. Default: this minion's key ``ds389``.

    Returns:
        See :py:func:`wanted`.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_pillar.topology '{login: {}}'

    .. versionadded:: 0.1.0
    """
    pillar = given(pillar)
    if not isinstance(pillar, dict) or not {"suffix", *KINDS} & {*pillar}:
        return None
    try:
        return wanted(schema.sound(pillar))
    except CommandExecutionError:  # without jsonschema a host is looked at, and compared with nothing
        return None


def wanted(pillar):
    """
    A pillar's replicas and agreements in one form, the defaults filled in.

    pillar
        A pillar without faults.

    Returns:
        ``suffix``, ``replicas`` (server to ``host``, ``port``, ``role``, ``id``), ``edges`` (list of pairs of servers,
        who feeds whom), ``bind_dn``, ``transport``, ``password_file``, ``purge_delay`` (seconds, or ``None``), ``seed``
        (a server, or ``None``) and ``discard`` (list of servers). A server is ``host:port``, in small letters.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_pillar.wanted '{suffix: "dc=bank", suppliers: {ds1.dc: 1, ds2.dc: 2}}'

    .. versionadded:: 0.1.0
    """
    how = _mapping(pillar.get("replication"))
    transport = how.get("transport") or "LDAPS"
    roles = zip(KINDS, ("supplier", "hub", "consumer"), strict=True)
    replicas = {
        _server(name, transport): {
            **_address(name, transport),
            "role": role,
            "id": number if role == "supplier" else None,
        }
        for kind, role in roles
        for name, number in _mapping(pillar.get(kind)).items()
    }
    return {
        "suffix": __salt__["ds_values.dn"](pillar.get("suffix") or ""),
        "replicas": replicas,
        "edges": [*_edges(pillar)],
        "bind_dn": how.get("bind_dn") or MANAGER,
        "transport": transport,
        "password_file": how.get("password_file") or PASSWORD_FILE,
        "purge_delay": _seconds(pillar["purge_delay"]) if pillar.get("purge_delay") else None,
        "seed": _server(pillar["seed"], transport) if pillar.get("seed") else None,
        "discard": [_server(name, transport) for name in pillar.get("discard") or [] if name],
    }


def judge(pillar):
    """
    What no schema can say, of all that the schema has let through.

    pillar
        A pillar, malformed values ``None``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . ds_pillar.judge '{suppliers: {ds1.dc: 1}, readers: {ds2.dc: [ds3.dc]}}'

    .. versionadded:: 0.1.0
    """
    if not _mapping(pillar.get("suppliers")):
        return []
    rules = (_id_rule, _twice_rule, _many_rule, _feeder_rule, _pairs_rule, _reached_rule, _named_rule, _manager_rule)
    found = dict.fromkeys(each for rule in rules for each in rule(pillar))
    return [{"path": path, "fault": fault, "remedy": remedy} for path, fault, remedy in found]


# Rules; each yields (path, fault, remedy)


def _id_rule(pillar):
    holders = {}
    for name, number in _mapping(pillar.get("suppliers")).items():
        first = holders.setdefault(number, name)
        if number is not None and first != name:
            yield f"suppliers:{name}", f"is {number}, which {first} has already", "an id of its own for each supplier"


def _twice_rule(pillar):
    """One server under two names or in two roles."""
    transport, first = _transport(pillar), {}
    for kind in KINDS:
        for name in _mapping(pillar.get(kind)):
            before = first.setdefault(_server(name, transport), f"{kind}:{name}")
            if before != f"{kind}:{name}":
                yield f"{kind}:{name}", f"is the server of {before} again", "each server once, in one role"
            if ":" in name and not 1 <= int(name.partition(":")[2]) <= 65535:
                yield f"{kind}:{name}", f"has the port {name.partition(':')[2]}", "a port, 1 to 65535"


def _many_rule(pillar):
    count = len(_mapping(pillar.get("suppliers")))
    if count > MOST_SUPPLIERS:
        remedy = f"{MOST_SUPPLIERS} at most, which is what the vendor supports; others as hubs and readers"
        yield "suppliers", f"has {count} suppliers", remedy


def _feeder_rule(pillar):
    transport = _transport(pillar)
    feed = [*_mapping(pillar.get("suppliers")), *_mapping(pillar.get("hubs"))]
    servers = {_server(each, transport) for each in feed}
    readers = {_server(each, transport) for each in _mapping(pillar.get("readers"))}
    for kind in ("hubs", "readers"):
        for name, feeders in _mapping(pillar.get(kind)).items():
            for number, each in enumerate(feeders or []):
                server, path = each and _server(each, transport), f"{kind}:{name}:{number}"
                if server == _server(name, transport):
                    yield path, f"is {each}, the server itself", "another supplier or hub"
                elif server in readers and server not in servers:
                    yield path, f"is {each}, a reader, which feeds nobody", "a supplier or hub"
                elif server and server not in servers:
                    yield path, f"is {each}, which is no supplier and no hub", _meant(each, feed)


def _pairs_rule(pillar):
    pairs = pillar.get("topology")
    suppliers, told = [*_mapping(pillar.get("suppliers"))], {}
    known = _servers(suppliers, pillar)
    for number, pair in enumerate(pairs if isinstance(pairs, list) else ()):
        path = f"topology:{number}"
        if pair and len(pair) > 2:
            yield path, f"has {len(pair)} servers", "two: a pair"
        for place, each in enumerate(pair or ()):
            if each is not None and _servers([each], pillar)[0] not in known:
                yield f"{path}:{place}", f"is {each}, which is no supplier", _meant(each, suppliers)
        first = told.setdefault(frozenset(_servers(filter(None, pair or ()), pillar) or [number]), number)
        if first != number:
            yield path, f"is the pair of topology:{first} again", "each pair once: both feed each other"


def _reached_rule(pillar):
    """Everybody gets what any supplier was told, by some way; judged when nothing else is wrong with the names."""
    if next(itertools.chain(_feeder_rule(pillar), _pairs_rule(pillar), _twice_rule(pillar)), None):
        return
    edges = list(_edges(pillar))
    reached = {each: _below(_servers([each], pillar)[0], edges) for each in _mapping(pillar.get("suppliers"))}
    for kind in KINDS:
        for name, feeders in _mapping(pillar.get(kind)).items():
            missing = [each for each, below in reached.items() if _servers([name], pillar)[0] not in below]
            if missing and (feeders or kind == "suppliers"):
                remedy = "a pair or a feeder that leads to it from each supplier"
                path = f"{kind}:{name}"
                yield path, f"is reached by no changes of {', '.join(missing[:3])}", remedy


def _named_rule(pillar):
    """The servers of seed and discard."""
    suppliers = [*_mapping(pillar.get("suppliers"))]
    everybody = [name for kind in KINDS for name in _mapping(pillar.get(kind))]
    seed = pillar.get("seed")
    if seed and not {*_servers([seed], pillar)} & {*_servers(suppliers, pillar)}:
        yield "seed", f"is {seed}, which is no supplier", _meant(seed, suppliers)
    for number, name in enumerate(pillar.get("discard") or []):
        if name and seed and _servers([name], pillar) == _servers([seed], pillar):
            yield f"discard:{number}", f"is {name}, the seed itself", "servers whose data do not count"
        elif name and not {*_servers([name], pillar)} & {*_servers(everybody, pillar)}:
            yield f"discard:{number}", f"is {name}, which is no supplier, hub or reader", _meant(name, everybody)


def _manager_rule(pillar):
    """The one who may do all is no replication manager: its password would stand in each agreement."""
    name = _mapping(pillar.get("replication")).get("bind_dn")
    if name and __salt__["ds_values.dn"](name) == "cn=directory manager":
        fault = f"is {name}, which may do everything everywhere"
        yield "replication:bind_dn", fault, f"an entry of its own, such as {MANAGER}"


# Forms


def _edges(pillar):
    """Who feeds whom, as servers."""
    pairs = pillar.get("topology")
    if isinstance(pairs, list):
        for pair in pairs:
            if pair and len(pair) == 2 and None not in pair:
                yield from itertools.permutations(_servers(pair, pillar), 2)
    else:
        yield from itertools.permutations(_servers(_mapping(pillar.get("suppliers")), pillar), 2)
    for kind in ("hubs", "readers"):
        for name, feeders in _mapping(pillar.get(kind)).items():
            yield from itertools.product(_servers(filter(None, feeders or ()), pillar), _servers([name], pillar))


def _below(name, edges):
    """All that a server's changes get to, itself included."""
    found, new = {name}, [name]
    after = {}
    for source, target in edges:
        after.setdefault(source, []).append(target)
    while new:
        new = [each for source in new for each in after.get(source, ()) if each not in found]
        found.update(new)
    return found


def _meant(name, known):
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"such as {', '.join(known[:3]) or 'one that is listed above'}"


def _transport(pillar):
    return _mapping(pillar.get("replication")).get("transport") or "LDAPS"


def _address(name, transport):
    host, _, port = name.lower().partition(":")
    return {"host": host, "port": int(port or (636 if transport == "LDAPS" else 389))}


def _server(name, transport):
    return "{host}:{port}".format(**_address(name, transport))


def _servers(names, pillar):
    return [_server(name, _transport(pillar)) for name in names]


def _seconds(text):
    return int(text[:-1]) * SECONDS[text[-1]]


def _is_text(value):
    return isinstance(value, str)


def _mapping(value):
    return value if isinstance(value, dict) else {}
