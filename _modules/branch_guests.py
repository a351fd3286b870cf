"""
The virtual machines of a branch's hosts that are clones of a template: what follows from the pillar, and its faults.

.. versionadded:: 0.1.0

Nothing here asks the world. ``branch:guests`` says what a branch's VMs are cloned from. A host's own VM (``vm``) is on
the bridge that :py:mod:`bridge_nat` has made, with the MAC that stands there already; further guests of a host
(``guests``) are on the network ``branch:dns``, in which they have names. What was a guest and is listed in ``gone`` is
destroyed. A guest that is a minion has the id ``<name>.<branch>``, so no host can claim another's::

    salt-call --local -m . --pillar-root pillar --id ws001.cordoba branch_guests.node
"""

import ipaddress
import re
from collections.abc import Iterator

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
BRIDGE = "virbr0"
WAITS = ("until", "timeout")
KEYS = {"minions": "accepted", "minions_pre": "pending", "minions_rejected": "rejected", "minions_denied": "denied"}
NOBODY = {"templates": [], "guests": [], "gone": []}


def __virtual__():
    return "branch_guests"


def node(minion_id: str | None = None, pillar: dict | None = None) -> dict:
    """
    The guests of one host.

    minion_id
        The host's minion id, ``ws001.cordoba``. Default: this minion's.
    pillar
        The value of the pillar's key ``branch``. Default: this minion's.

    Returns:
        ``templates`` (list of domains), ``gone`` (list of guests), and ``guests``: list of mappings with ``name``,
        ``clone`` (arguments of the state ``libvirt_clone.present``) and ``wait`` (``until`` and ``timeout``). All are
        empty while the pillar has a fault.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws001.cordoba branch_guests.node

    .. versionadded:: 0.1.0
    """
    pillar = __salt__["onepass.given"]("branch", pillar)
    if not pillar or __salt__["branch_pillar.faults"](pillar):
        return NOBODY
    host = (minion_id or __grains__["id"]).removesuffix(f".{pillar['name']}")
    if host not in pillar["hosts"]:
        return NOBODY
    guests = [_arguments(pillar, name, given) for name, given in _guests(pillar, host)]
    templates = sorted({guest["clone"]["template"] for guest in guests})
    return {"templates": templates, "guests": guests, "gone": pillar["hosts"][host].get("gone", [])}


def keys(pillar: dict | None = None) -> dict:
    """
    The guests that are minions, and those that are gone and may have been; one that moved is its new host's.

    pillar
        The value of the pillar's key ``branch``. Default: this minion's.

    Returns:
        Minion id to mapping: ``host`` (the minion id of the host that makes it), ``name``, and ``wanted``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws001.cordoba branch_guests.keys

    .. versionadded:: 0.1.0
    """
    pillar = __salt__["onepass.given"]("branch", pillar)
    branch, found = pillar["name"], {}
    for host, spec in pillar["hosts"].items():
        for name in spec.get("gone", []):
            found.setdefault(f"{name}.{branch}", {"host": f"{host}.{branch}", "name": name, "wanted": False})
        for name in [name for name, given in _guests(pillar, host) if "minion" in given]:
            found[f"{name}.{branch}"] = {"host": f"{host}.{branch}", "name": name, "wanted": True}
    return found


def concerned(pillar: dict | None = None) -> list:
    """
    The hosts that have guests, a network for them, or guests that are to go: minion ids, sorted.

    pillar
        The value of the pillar's key ``branch``. Default: this minion's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws001.cordoba branch_guests.concerned

    .. versionadded:: 0.1.0
    """
    pillar = __salt__["onepass.given"]("branch", pillar)
    every = pillar.get("dns") is not None
    hosts = [host for host, spec in pillar["hosts"].items() if every or spec.get("gone") or any(_guests(pillar, host))]
    return sorted(f"{host}.{pillar['name']}" for host in hosts)


def places(pillar: dict | None = None) -> dict:
    """
    Where the pillar names each guest that is a minion, or is gone and may have been one: minion id to path.

    pillar
        The value of the pillar's key ``branch``. Default: this minion's.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . --pillar-root pillar --id ws001.cordoba branch_guests.places

    .. versionadded:: 0.1.0
    """
    pillar = __salt__["onepass.given"]("branch", pillar)
    branch, wanted = pillar["name"], {minion for minion, each in keys(pillar).items() if each["wanted"]}
    gone = [
        (f"{name}.{branch}", f"branch:hosts:{host}:gone:{number}")
        for host, spec in pillar["hosts"].items()
        for number, name in enumerate(spec.get("gone", []))
    ]
    there = [(f"{name}.{branch}", f"branch:{place}") for _, place, _, name, _ in _named(pillar)]
    return {**dict(gone), **{minion: place for minion, place in there if minion in wanted}}


def key_steps(keys: dict, told: dict, held: dict, test: bool = False, named: dict | None = None) -> list:
    """
    The steps from the keys that a master holds to those of the guests.

    keys
        What :py:func:`keys` answers.
    told
        Host to what its ``libvirt_clone.list`` answered; a host that is missing was silent.
    held
        Minion id to ``state`` (``minions``, ``minions_pre``...), ``key`` and ``own`` (whether the guest has had that
        key), of the keys that the master holds.
    test
        A guest that is still to be made counts as made. Default ``False``.
    named
        Minion ids in small letters that are no guests', to who has them: ``{r1.dc: mongodb:routers:0}``. Default: none.

    Returns:
        List of steps: ``do`` (``accept`` or ``withdraw``), ``what``, ``old``, ``new``, ``id``, ``key`` and ``refused``:
        why the step must not be done, or ``None``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . branch_guests.key_steps '{}' '{}' '{}'

    .. versionadded:: 0.1.0
    """
    steps = [
        _key_step(minion, each["wanted"], told[each["host"]].get(each["name"]), held.get(minion), test)
        for minion, each in sorted(keys.items())
        if each["host"] in told
    ]
    return [{**step, "refused": _refused(step, held.get(step["id"]), named or {})} for step in steps if step]


def _refused(step: dict, held: dict | None, named: dict) -> str | None:
    """An id belongs to whom the pillar gives it, and an accepted key to the guest that has had it."""
    minion, fault = step["id"], None
    if minion.lower() in named:
        fault = f"{minion} is no guest's id, as {named[minion.lower()]} has it; another name for the guest"
    elif held and held["state"] == "minions" and not held["own"]:
        fault = f"the accepted key of {minion} was never the guest's; if nothing else uses it: salt-key -d {minion}"
    return fault


def _key_step(minion: str, wanted: bool, clone: dict | None, held: dict | None, test: bool) -> dict | None:
    """A clone that is not there yet has a key that nobody has seen."""
    ready = clone is not None and clone["state"] == "ready"
    key = clone.get("minion_key") if ready else None
    if wanted and (key or (test and not ready)):
        same = held and held["key"].strip() == key
        old = held and (KEYS[held["state"]] if same else "another's")
        step = {"do": "accept", "what": f"key of {minion}", "old": old, "new": "accepted", "id": minion, "key": key}
        return step if old != "accepted" else None
    if held and (clone is None or (test and not wanted)):
        return {
            "do": "withdraw",
            "what": f"key of {minion}",
            "old": KEYS[held["state"]],
            "new": None,
            "id": minion,
            "key": None,
        }
    return None


def _guests(pillar: dict, host: str) -> Iterator[tuple]:
    """Name and settings of a host's guests, its own VM first; the settings say where a guest is."""
    spec, common = pillar["hosts"][host], pillar.get("guests")
    vm = spec["vm"]
    own = vm.get("clone", {} if common is not None else False)
    if own is not False:
        place = {
            "bridge": spec.get("bridge", pillar.get("bridge", BRIDGE)),
            "mac": vm["mac"].lower(),
            "until": "started",
        }
        yield vm["name"], {**place, **(common or {}), **own}
    for name, given in spec.get("guests", {}).items():
        yield name, {**_network(pillar["dns"]), "until": "name", **(common or {}), **given}


def _network(dns: dict) -> dict:
    if dns.get("backend") == "bridge":
        return {"bridge": dns.get("bridge") or dns["name"], "domain": dns["domain"]}
    return {"network": dns["name"]}


def _arguments(pillar: dict, name: str, given: dict) -> dict:
    clone = {"autostart": True, **{key: value for key, value in given.items() if key not in WAITS}}
    if "minion" in clone:
        clone["minion"] = {**clone["minion"], "id": f"{name}.{pillar['name']}"}
    return {"name": name, "clone": clone, "wait": {key: given[key] for key in WAITS if key in given}}


# What is wrong, of all that the schema has let through


def rules(sound: dict) -> Iterator[tuple]:
    """
    What no schema can say of guests: tuples of path (below ``branch``), fault and remedy.

    sound
        A branch's pillar as the schema lets it through.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc branch_guests.rules

    .. versionadded:: 0.1.0
    """
    named = list(_named(sound))
    yield from _template_rule(sound, named)
    yield from _minion_rule(sound, named)
    yield from _name_rule(sound, named)
    yield from _gone_rule(sound, named)
    yield from _mac_rule(sound)
    yield from _network_rule(sound)


def _mapping(value) -> dict:
    return value if isinstance(value, dict) else {}


def _hosts(sound: dict) -> Iterator[tuple]:
    for host, spec in _mapping(sound.get("hosts")).items():
        yield host, _mapping(spec)


def _named(sound: dict) -> Iterator[tuple]:
    """Path, the path of its name, host, name and settings of all guests."""
    for host, spec in _hosts(sound):
        vm, path = _mapping(spec.get("vm")), f"hosts:{host}:vm"
        own = vm.get("clone", False if sound.get("guests") is None else {})
        if vm.get("name") and isinstance(own, dict):
            yield path, f"{path}:name", host, vm["name"], own
        for name, given in _mapping(spec.get("guests")).items():
            path = f"hosts:{host}:guests:{name}"
            yield path, path, host, name, _mapping(given)


def _template_rule(sound: dict, named: list) -> Iterator[tuple]:
    common = _mapping(sound.get("guests")).get("template")
    for path, place, _, name, given in named:
        template = given.get("template") or common
        if not template:
            yield path, "has no template", "template, here or in branch:guests"
        elif template == name:
            yield place, f"is {name!r}, its template", "a name of its own"


def _minion_rule(sound: dict, named: list) -> Iterator[tuple]:
    common = _mapping(sound.get("guests"))
    for path, _, _, _, given in named:
        clone = {**common, **given}
        if clone.get("minion") and clone.get("identity") == "none":
            yield path, "is a minion with identity none, which writes no key", "another identity for it"


def _name_rule(sound: dict, named: list) -> Iterator[tuple]:
    """A name is one guest's, and no host's: it is the hostname, and the minion's."""
    gateway = _mapping(sound.get("gateway")).get("host")
    seen = {host.lower(): f"hosts:{host}" for host in _mapping(sound.get("hosts"))} | (
        {gateway.lower(): "gateway:host"} if gateway else {}
    )
    for _, place, _, name, _ in named:
        if not LABEL.fullmatch(name):
            yield place, f"is {name!r}, no hostname, which a clone needs", "1 to 63 of a to z, 0 to 9 and -"
        elif seen.setdefault(name, place) != place:
            yield place, f"is {name}, as branch:{seen[name]} is", "a name of its own"


def _gone_rule(sound: dict, named: list) -> Iterator[tuple]:
    there = {(host, name): place for _, place, host, name, _ in named}
    gateway = _mapping(sound.get("gateway")).get("host")
    hosts = {host.lower() for host in (*_mapping(sound.get("hosts")), gateway) if host}
    for host, spec in _hosts(sound):
        for number, name in enumerate(spec.get("gone") or []):
            path = f"hosts:{host}:gone:{number}"
            if (host, name) in there:
                yield path, f"is {name}, which branch:{there[host, name]} wants", "one of the two"
            elif name in hosts:
                yield path, f"is {name}, a host of the branch", "the name of a guest"


def _mac_rule(sound: dict) -> Iterator[tuple]:
    seen = {str(_mapping(spec.get("vm")).get("mac")).lower(): f"hosts:{host}:vm:mac" for host, spec in _hosts(sound)}
    for host, spec in _hosts(sound):
        for name, given in _mapping(spec.get("guests")).items():
            path, mac = f"hosts:{host}:guests:{name}:mac", (_mapping(given).get("mac") or "").lower()
            if mac and int(mac[1], 16) & 1:
                yield path, f"is {mac}, a multicast address", "six pairs of hex digits, the first of them even"
            elif mac and seen.setdefault(mac, path) != path:
                yield path, f"is {mac}, as branch:{seen[mac]} is", "one of its own"


def _network_rule(sound: dict) -> Iterator[tuple]:
    """Guests need a network, and it is another one than the branch's."""
    dns = sound.get("dns")
    for host, spec in _hosts(sound):
        if spec.get("guests") and dns is None:
            yield f"hosts:{host}:guests", "have no network to be on", "branch:dns, the network of the hosts' guests"
    if not isinstance(dns, dict):
        return
    own = dns.get("bridge") or (dns.get("name") if dns.get("backend") == "bridge" else None)
    bridges = {spec.get("bridge") or sound.get("bridge") or BRIDGE for _, spec in _hosts(sound)}
    if isinstance(own, str) and own in bridges:
        path = "dns:bridge" if dns.get("bridge") else "dns:name"
        yield path, f"is {own}, the bridge that joins the VMs to the branch", "a bridge of its own"
    try:
        guests, branch = (
            ipaddress.ip_interface(dns.get("address") or "").network,
            ipaddress.ip_network(sound.get("cidr")),
        )
    except (TypeError, ValueError):
        return
    if guests.version == branch.version and guests.overlaps(branch):
        yield "dns:address", f"is in {guests}, which overlaps the branch's {branch}", "a network of its own"
