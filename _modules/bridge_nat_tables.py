"""
The rules that are loaded: read, brought to their normal form, replaced in one transaction. Only ours, called
``bridge_nat``; everybody else's are looked at and never written to.

.. versionadded:: 0.1.0

There is no normaliser: a text is loaded into a network namespace that nobody sees and listed back by the program
itself, so that what is wanted and what is loaded are compared as equals. The normal form is kept in the files that are
loaded at boot, each with a hash of what it was made from; so a run with nothing to do only lists::

    salt-call --local -m . bridge_nat_tables.loaded

Requires root, and ``nft``, or ``ebtables`` and ``iptables``.
"""

import onepass_lib
import salt.utils.path
from salt.exceptions import CommandExecutionError

onepass_lib.look(__file__)

from onepass_lib.bridge_nat import boot, desired, plan, seen
from onepass_lib.bridge_nat.desired import FAMILIES, NAME, XT

XT_TABLES = {"iptables": "ip nat", "ip6tables": "ip6 nat", "ebtables": "bridge nat"}


def __virtual__():
    return "bridge_nat_tables"


def loaded(way: str = "nft") -> dict:
    """
    Our own rules as they are loaded, without counters.

    way
        ``nft`` (default) or ``ebtables``. With nft, the other programs are only asked when they have a table at all.

    Returns:
        Program (``nft``, ``iptables``, ``ip6tables``, ``ebtables``) to text; without those that have no rules of ours.

    Raises ``CommandExecutionError`` when a program cannot list.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_tables.loaded

    .. versionadded:: 0.1.0
    """
    tables = __salt__["onepass_nft.tables"]() if salt.utils.path.which("nft") else []
    found = {"nft": _nft_listed(tables)}
    for program in XT:
        if way == "ebtables" or XT_TABLES[program] in tables:
            found[program] = seen.own_lines(_saved(program))
    return {program: text for program, text in found.items() if text}


def normal(wanted: dict, role: str, device: str, files: dict | None = None) -> dict:
    """
    Wanted rules as the programs would list them.

    wanted
        What ``onepass_lib.bridge_nat.desired.texts`` answered.
    role
        ``workstation`` or ``gateway``: where the jump to our chain is.
    device
        The uplink, or the gateway's device: made in the namespace, as older kernels want it there.
    files
        Name to text of the files of an earlier run: if they were made from the same input they hold the answer.

    Raises ``CommandExecutionError`` with what the program said when it does not take the rules.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_tables.normal '{iptables: ""}' gateway eth0

    .. versionadded:: 0.1.0
    """
    kept = boot.normal(wanted, role, files or {})
    if kept is not None:
        return kept

    def work():
        __salt__["onepass_host.run"](["ip", "link", "add", device, "type", "bridge"])
        load(desired.with_jumps(wanted, role), {})
        return loaded("nft" if "nft" in wanted else "ebtables")

    return __salt__["onepass_host.in_new_network"](work)


def load(new: dict, old: dict) -> None:
    """
    Replace our own rules; a live session loses nothing. With nft it is one transaction of all families, else one for
    each program, after all of them have been tried without effect.

    new
        Program to text in normal form; a program that is missing loses its rules of ours.
    old
        What :py:func:`loaded` answered.

    Raises ``CommandExecutionError`` with what the program said; nft and a program's first complaint change nothing.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc bridge_nat_tables.load

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    texts = plan.transaction(new, old)
    for program in [each for each in ("iptables", "ip6tables") if each in texts]:
        __salt__["onepass_host.run"]([*plan.restore(program), "--test"], texts[program])
    for program, text in texts.items():
        if program == "nft":
            __salt__["onepass_nft.run"](text)
        else:
            __salt__["onepass_host.run"](plan.restore(program), text)


def probe() -> dict:
    """
    Which ways this host's kernel and programs can go, tried in a network namespace that nobody sees.

    Returns:
        ``nft`` and ``ebtables``: an empty text, or what stands against it.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_tables.probe

    .. versionadded:: 0.1.0
    """
    vm = {"name": "vm", "ip": "192.0.2.17", "mac": "02:00:00:00:00:17", "ip6": None}
    sample = {"uplink": "up0", "port": 22, "vms": [vm]}
    found = {}
    for way in ("nft", "ebtables"):
        wanted = desired.texts("workstation", "br0", sample, way, "02:00:00:00:00:01")
        try:
            listed = normal(wanted, "workstation", "up0")
            found[way] = "" if all(listed.get(program) for program in wanted) else "rules are lost when listed"
        except CommandExecutionError as err:
            found[way] = str(err)
    return found


def counters() -> dict:
    """
    What our rules have counted, and when an address was last asked for or logged in to (nft only).

    Returns:
        ``arp``, ``pulled``, ``redirected``, ``squatters``: packets; ``None`` where it is not counted. ``answered`` and
        ``logins``: address to seconds ago.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_tables.counters

    .. versionadded:: 0.1.0
    """
    if salt.utils.path.which("nft"):
        text = _nft_listed(__salt__["onepass_nft.tables"](), stateful=True)
        if text:
            return seen.nft_counters(text)
    return seen.xt_counters({program: _saved(program, counters=True) for program in XT})


def foreign(way: str, role: str) -> list:
    """
    Rules of others that see a packet before ours do and might decide it.

    way
        ``nft`` or ``ebtables``.
    role
        ``workstation`` or ``gateway``.

    Returns:
        List of texts: a chain or a rule each.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_tables.foreign nft workstation

    .. versionadded:: 0.1.0
    """
    if way == "nft":
        return seen.foreign_chains(__salt__["onepass_nft.run"]("list chains"), role)
    return [f"{program} -t nat {line}" for program in XT for line in seen.before_ours(_saved(program), role)]


def loose(role: str, arguments: dict) -> list:
    """
    The blog's rules for these VMs or this branch, or those made like them, in the nat tables of ebtables and iptables.

    role
        ``workstation`` or ``gateway``.
    arguments
        Those of the state, see :py:func:`branch_pillar.node`.

    Returns:
        List of mappings: ``program``, ``line`` (``-A PREROUTING ...``) and ``number`` (its place in the chain).

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_tables.loose workstation '{vms: [{ip: 10.20.30.17}]}'

    .. versionadded:: 0.1.0
    """
    return [
        rule for program in ("ebtables", "iptables") for rule in seen.loose(program, _saved(program), role, arguments)
    ]


# Programs


def _saved(program: str, counters: bool = False) -> str:
    """The nat table; empty where the program is not installed."""
    if not salt.utils.path.which(program):
        return ""
    text = __salt__["onepass_host.run"]([f"{program}-save", *(["-c"] if counters else []), "-t", "nat"])
    if "' is incompatible" in text:
        raise CommandExecutionError(
            f"{program}-save cannot list the nat table, which nft has written to: {text.strip()}"
        )
    return text


def _nft_listed(tables: list, stateful: bool = False) -> str:
    """Those of the tables that are ours; what a rule remembers of addresses is no part of them.

    One by one: nft 1.0.6 does not find tables of several families in one go.
    """
    own = [f"list table {family} {NAME}" for family in FAMILIES if f"{family} {NAME}" in tables]
    text = "".join(__salt__["onepass_nft.run"](command, stateful) for command in own)
    return text if stateful else seen.remembering_nothing(text)
