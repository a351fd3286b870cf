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

import hashlib
import re
import shlex

import salt.utils.path
from salt.exceptions import CommandExecutionError

NAME = "bridge_nat"
LINK_LOCAL = "169.254.0.0/16"
FAMILIES = ("netdev", "bridge", "ip", "ip6")
XT = ("iptables", "ip6tables", "ebtables")  # in this order, so that a frame that is pulled out finds its redirect
HOOKS = {"workstation": "PREROUTING", "gateway": "POSTROUTING"}
XT_TABLES = {"iptables": "ip nat", "ip6tables": "ip6 nat", "ebtables": "bridge nat"}
REMEMBERED = re.compile(r"(\t\ttimeout \w+\n)\t\telements = \{[^}]*\}\n")
POLICY_COUNTERS = re.compile(r" \[[0-9:]+\]$")
FILES = {"rules.nft": "nft", "uplink.nft": "nft", **{f"rules.{program}": program for program in XT}}


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
            found[program] = _own_lines(_saved(program))
    return {program: text for program, text in found.items() if text}


def normal(wanted: dict, role: str, device: str, files: dict | None = None) -> dict:
    """
    Wanted rules as the programs would list them.

    wanted
        What :py:func:`bridge_nat_rules.texts` answered.
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
    kept = _from_files(wanted, role, files or {})
    if kept is not None:
        return kept

    def work():
        __salt__["onepass_host.run"](["ip", "link", "add", device, "type", "bridge"])
        load(_with_jumps(wanted, role), {})
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
    texts = _transaction(new, old)
    for program in [each for each in ("iptables", "ip6tables") if each in texts]:
        __salt__["onepass_host.run"]([*_restore(program), "--test"], texts[program])
    for program, text in texts.items():
        if program == "nft":
            __salt__["onepass_nft.run"](text)
        else:
            __salt__["onepass_host.run"](_restore(program), text)


def replay(old: dict, new: dict) -> list:
    """
    Commands that bring our rules back to the old ones, whatever is loaded by then: for a rollback.

    old
        Program to text in normal form, as :py:func:`loaded` answered it.
    new
        Program to text of what is going to be loaded.

    Returns:
        List of mappings: ``argv``, ``stdin`` and ``may_fail``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_tables.replay '{}' '{}'

    .. versionadded:: 0.1.0
    """
    commands = []
    if "nft" in old or "nft" in new:
        commands.append({"argv": ["nft", "-f", "-"], "stdin": _emptied(FAMILIES) + old.get("nft", "")})
    for program in [each for each in XT if each in old or each in new]:
        nat = [program, "-t", "nat"]
        words = [[*nat, "-D", hook, "-j", NAME] for hook in _jumps(old.get(program, new.get(program, "")))]
        words += [] if program in old else [[*nat, "-F", NAME], [*nat, "-X", NAME]]
        commands += [{"argv": argv, "stdin": "", "may_fail": True} for argv in words]
        if program in old:
            commands.append({"argv": _restore(program), "stdin": _boot_text(old[program], program)})
    return commands


def files(new: dict, wanted: dict) -> dict:
    """
    What is loaded at boot: file name to text, with the hashes by which :py:func:`normal` trusts it.

    new
        The normal form.
    wanted
        What it was made from.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_tables.files '{}' '{}'

    .. versionadded:: 0.1.0
    """
    parts = {f"rules.{program}": _boot_text(text, program) for program, text in new.items() if program != "nft"}
    if "nft" in new:
        tables = _tables(new["nft"])
        for name, families in {"uplink.nft": ("netdev",), "rules.nft": ("bridge", "ip", "ip6")}.items():
            own = {family: tables[family] for family in families if family in tables}
            if own:
                parts[name] = _emptied(own) + "".join(own.values())
    digest = __salt__["bridge_nat_rules.digest"](wanted)
    return {name: f"# {NAME} {digest} {_hash(text)}\n{text}" for name, text in parts.items()}


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
        wanted = __salt__["bridge_nat_rules.texts"]("workstation", "br0", sample, way, "02:00:00:00:00:01")
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
            return _nft_counters(text)
    return _xt_counters()


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
        return _foreign_chains(__salt__["onepass_nft.run"]("list chains"), role)
    found = []
    for program in XT:
        lines = [line for line in _saved(program).splitlines() if line.startswith(f"-A {HOOKS[role]} ")]
        jump = next((number for number, line in enumerate(lines) if line.split()[-2:] == ["-j", NAME]), 0)
        found += [f"{program} -t nat {line}" for line in lines[:jump]]
    return found


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
    found = []
    for program in ("ebtables", "iptables"):
        lines = [line for line in _saved(program).splitlines() if line.startswith(f"-A {HOOKS[role]} ")]
        each = [{"program": program, "line": line, "number": number} for number, line in enumerate(lines, 1)]
        found += [rule for rule in each if _is_loose(rule["line"], role, arguments)]
    return found


def plan_loose(rules: list) -> list:
    """
    The step that deletes loose rules; undone, each is where it was. Pure.

    rules
        What :py:func:`loose` answered.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . bridge_nat_tables.plan_loose '[]'

    .. versionadded:: 0.1.0
    """
    if not rules:
        return []
    commands, undo = [], []
    for rule in rules:
        argv = [rule["program"], *_wait(rule["program"]), "-t", "nat"]
        _, chain, *words = shlex.split(rule["line"])
        commands.append([*argv, "-D", chain, *words])
        undo.append([*argv, "-I", chain, str(rule["number"]), *words])
    old = [f"{rule['program']} {rule['line']}" for rule in rules]
    return [{"do": "remove", "what": "loose rules", "old": old, "new": None, "commands": commands, "undo": undo}]


# Programs


def _restore(program: str) -> list:
    return [f"{program}-restore", "--noflush", *_wait(program)]


def _wait(program: str) -> list:
    """For who else is changing the tables; ebtables has no word for it."""
    return ["-w"] if program != "ebtables" else []


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


# nft


def _nft_listed(tables: list, stateful: bool = False) -> str:
    """Those of the tables that are ours; what a rule remembers of addresses is no part of them.

    One by one: nft 1.0.6 does not find tables of several families in one go.
    """
    own = [f"list table {family} {NAME}" for family in FAMILIES if f"{family} {NAME}" in tables]
    text = "".join(__salt__["onepass_nft.run"](command, stateful) for command in own)
    return text if stateful else REMEMBERED.sub(r"\1", text)


def _tables(text: str) -> dict:
    """Family to text of the table."""
    parts = re.split(r"^(?=table )", text, flags=re.MULTILINE)
    return {part.split()[1]: part for part in parts if part}


def _emptied(families) -> str:
    """A table is there, thus can be deleted, thus can be made anew: all in the transaction of what follows."""
    return "".join(f"table {family} {NAME}\ndelete table {family} {NAME}\n" for family in families)


def _nft_counters(text: str) -> dict:
    packets = {
        "arp": r"counter packets (\d+) bytes \d+ fwd to iif",
        "pulled": r"ether daddr set \S+ counter packets (\d+)",
        "redirected": r"counter packets (\d+) bytes \d+ redirect",
        "squatters": r"counter packets (\d+) bytes \d+ comment",
    }
    counted = {name: sum(map(int, re.findall(pattern, text))) for name, pattern in packets.items()}
    return {**counted, "answered": _remembered(text, "answered"), "logins": _remembered(text, "logins")}


def _remembered(text: str, name: str) -> dict:
    """Address to seconds since the set was last given it."""
    sets = re.findall(rf"\tset {name} \{{\n(.*?)\n\t\}}", text, flags=re.DOTALL)
    entries = re.findall(r"([0-9a-f.:]+)(?: timeout \w+)? expires (\w+)", "\n".join(sets))
    whole = _seconds("30d")
    return {address: max(0, whole - _seconds(left)) for address, left in entries}


def _seconds(text: str) -> int:
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)(ms|[dhms])", text))


def _foreign_chains(text: str, role: str) -> list:
    """Base chains at our hooks with a priority before ours."""
    ours = {
        "workstation": {("netdev", "ingress"): 0, ("bridge", "prerouting"): -310, ("ip", "nat prerouting"): -105},
        "gateway": {("ip", "nat postrouting"): 95},
    }[role]
    found, table = [], ()
    chain = ""
    for line in text.splitlines():
        if match := re.match(r"table (\S+) (\S+) \{", line):
            table = match.groups()
        elif match := re.match(r"\tchain (\S+) \{", line):
            chain = match[1]
        elif match := re.search(r"type (\w+) hook (\w+).* priority (-?\d+);", line):
            kind, hook, priority = match.groups()
            limit = ours.get((table[0], hook), ours.get((table[0], f"{kind} {hook}")))
            if table[1] != NAME and limit is not None and int(priority) <= limit:
                found.append(f"table {' '.join(table)}, chain {chain}: {kind} {hook}, priority {priority}")
    return found


# ebtables and iptables


def _own_lines(text: str) -> str:
    """Our chain, its rules and the jumps to it, of what ``*-save`` printed."""
    kept = [line for line in text.splitlines() if _is_own(line)]
    return "".join(f"{POLICY_COUNTERS.sub('', line).rstrip()}\n" for line in kept)


def _is_own(line: str) -> bool:
    return line.startswith((f":{NAME} ", f"-A {NAME} ")) or line.split()[-2:] == ["-j", NAME]


def _with_jumps(wanted: dict, role: str) -> dict:
    return {
        program: text if program == "nft" else f"-A {HOOKS[role]} -j {NAME}\n{text}" for program, text in wanted.items()
    }


def _transaction(new: dict, old: dict) -> dict:
    """Program to the text that brings our rules from the old to the new ones."""
    texts = {}
    if "nft" in new or "nft" in old:
        texts["nft"] = _emptied(_tables(old.get("nft", ""))) + new.get("nft", "")
    for program in XT:
        if program in new or program in old:
            texts[program] = _xt_change(new.get(program, ""), old.get(program, ""), program)
    return texts


def _xt_change(new: str, old: str, program: str) -> str:
    """A restore that fills our chain anew, or removes it, and leaves exactly the wanted jumps."""
    wanted, there = _jumps(new), _jumps(old)
    lines = [f"-D {hook} -j {NAME}" for hook in there for _ in range(there[hook] - wanted.get(hook, 0))]
    lines += [f"-I {hook} 1 -j {NAME}" for hook in wanted for _ in range(wanted[hook] - there.get(hook, 0))]
    if not wanted:
        return "\n".join(["*nat", *lines, f"-F {NAME}", f"-X {NAME}", "COMMIT", ""])
    return "\n".join(["*nat", *_chain_lines(new, program), *lines, "COMMIT", ""])


def _chain_lines(text: str, program: str) -> list:
    policy = f":{NAME} {'RETURN' if program == 'ebtables' else '-'}"
    return [policy, *(line for line in text.splitlines() if line.startswith(f"-A {NAME} "))]


def _jumps(text: str) -> dict:
    hooks = [line.split()[1] for line in text.splitlines() if line.split()[-2:] == ["-j", NAME]]
    return {hook: hooks.count(hook) for hook in hooks}


def _boot_text(text: str, program: str) -> str:
    """For a start from nothing, or after the jump was removed."""
    jumps = [f"-I {hook} 1 -j {NAME}" for hook in _jumps(text)]
    return "\n".join(["*nat", *_chain_lines(text, program), *jumps, "COMMIT", ""])


def _xt_counters() -> dict:
    saved = {program: _saved(program, counters=True) for program in ("iptables", "ip6tables", "ebtables")}
    frames = saved["ebtables"]

    def packets(text, target):
        rules = [line for line in text.splitlines() if f"-A {NAME} " in line and f"-j {target}" in line]
        return sum(int(re.search(r"\[(\d+):|-c (\d+) |pcnt = (\d+)", line)[1] or 0) for line in rules if "[" in line)

    return {
        "arp": packets(frames, "arpreply"),
        "pulled": packets(frames, "redirect"),
        "redirected": packets(saved["iptables"], "REDIRECT") + packets(saved["ip6tables"], "REDIRECT"),
        "squatters": None,
        "answered": {},
        "logins": {},
    }


def _is_loose(line: str, role: str, arguments: dict) -> bool:
    if role == "gateway":
        ours = (f"-d {arguments['network']} ", f"-s {LINK_LOCAL} ")
        return " -j SNAT " in line and any(each in line for each in ours)
    addresses = {vm["ip"] for vm in arguments["vms"]} & {word.removesuffix("/32") for word in line.split()}
    return bool(addresses and re.search(r"-j (arpreply|redirect|REDIRECT)\b", line))


# The files that are loaded at boot


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _from_files(wanted: dict, role: str, texts: dict) -> dict | None:
    """The normal form that files hold, or ``None`` if one is missing or made from other input or by other hands."""
    head = f"# {NAME} {__salt__['bridge_nat_rules.digest'](wanted)} "
    bodies = {}
    for name, program in FILES.items():
        if name not in texts:
            continue
        first, _, body = texts[name].partition("\n")
        if first != head + _hash(body):
            return None
        bodies.setdefault(program, {})[name] = body
    whole = {"rules.nft", "uplink.nft"} if role == "workstation" else {"rules.nft"}
    if set(bodies) != set(wanted) or "nft" in wanted and set(bodies["nft"]) != whole:
        return None
    return {program: _body(program, role, parts) for program, parts in bodies.items()}


def _body(program: str, role: str, parts: dict) -> str:
    if program != "nft":
        lines = parts[f"rules.{program}"].splitlines()
        policy = f":{NAME} {'RETURN' if program == 'ebtables' else '-'}"
        rules = [line for line in lines if line.startswith(f"-A {NAME} ")]
        jump = f"-A {HOOKS[role]} -j {NAME}"
        return "\n".join([policy, jump, *rules, ""])
    text = "".join(parts[name] for name in ("uplink.nft", "rules.nft") if name in parts)
    return re.sub(rf"^(delete )?table \w+ {NAME}\n", "", text, flags=re.MULTILINE)
