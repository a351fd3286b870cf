"""
What minions returned and told, judged before it is used: of the form that the runners read, small, and fit to be shown.

.. versionadded:: 0.1.0

A minion may run other code than it should, and answer anything. What has not the form of its function's answer becomes
a text that says so, as an error of the minion's own is one; the answers of the others are as they were::

    salt-run onepass_answers.judged libvirt_clone.list '{ws001.cordoba: {win-001: {}}}'
"""

import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

# Characters of a text, of a name and of a public key; entries of a list or mapping.
LONGEST, LONGEST_NAME, LONGEST_KEY, MOST = 16384, 1024, 4096, 10000
# All but tabulator and newline that moves a terminal's cursor or changes its state, or the order of what is read.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
JID = re.compile(r"[0-9]{20}(_[0-9]+)?")
ANY = object()
NAMES = {bool: "true or false", int: "a whole number", str: "a text", list: "a list", dict: "a mapping"}


def __virtual__():
    return "onepass_answers"


# A form is a type, a mapping of keys to forms (``key?`` may be missing, ``ANY`` is each key), a list with the form of
# its entries, several forms of which one fits, or a function that answers what is wrong.


def _text(value) -> str | None:
    if not isinstance(value, str):
        return "is no text"
    if len(value) > LONGEST:
        return f"has {len(value)} characters"
    return "has control characters" if CONTROL.search(value) else None


def _key(value) -> str | None:
    if not isinstance(value, str) or len(value) > LONGEST_KEY:
        return f"is no text of at most {LONGEST_KEY} characters"
    try:
        serialization.load_pem_public_key(value.encode())
    except (ValueError, UnsupportedAlgorithm):
        return "is no public key"
    return None


def _change(value) -> str | None:
    return None if isinstance(value, str) and re.fullmatch("[0-9a-f]{20}", value) else "is no change's number"


def _finite(value) -> str | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return None if is_number and abs(value) < 2**53 else "is no number of seconds"


def _jid(value) -> str | None:
    return None if isinstance(value, str) and JID.fullmatch(value) else "is no job's id"


NOTHING = type(None)
SET = {
    "members": {ANY: _text},
    "primary?": (_text, NOTHING),
    "lag?": {ANY: int},
    "seeds?": [_text],
    "unlike?": [_text],
}
TOLD = (_text, NOTHING)
COUNT = (int, NOTHING)
SAID = ({**dict.fromkeys(("ldap", "replication", "connection"), COUNT), "message": _text}, NOTHING)
AGREEMENT = {
    **dict.fromkeys(("name", "host", "transport"), _text),
    "port": int,
    "enabled": bool,
    "refresh": TOLD,
    "update": SAID,
    "initial": SAID,
    **dict.fromkeys(("update_began?", "initial_began?", "skipped?"), COUNT),
}
# A suffix of a directory server.
HELD = {
    "state": _text,
    "fault": TOLD,
    "readonly": (bool, NOTHING),
    "entries": COUNT,
    "empty": bool,
    "conflicts": [_text],
    "hidden?": TOLD,
    "replica": (
        {"id": int, "role": _text, "managers": [_text], "cleaning": [_text], "purge_delay": COUNT},
        NOTHING,
    ),
    "ruv": ({"generation": TOLD, "replicas": [{"id": int, "url": TOLD, "max": (_change, NOTHING)}]}, NOTHING),
    "agreements": [AGREEMENT],
}
SERVER = {
    "server": _text,
    "fault": TOLD,
    "kind": TOLD,
    "version": TOLD,
    "now": _finite,
    "clock": (_finite, NOTHING),
    "settings": (
        dict.fromkeys(
            (*("host", "port", "secure_port", "security", "certificates"), *("expiry", "lockout", "ignore_skew")), TOLD
        ),
        NOTHING,
    ),
    "ports": [{"number": int, "kind": _text, "evidence": _text}],
    "certificate": ({"days": int, "subject": _text}, NOTHING),
    "managers": {ANY: ({"expires": COUNT, "locked": bool}, NOTHING)},
    "suffixes": {ANY: HELD},
}
ONE = (_text, bool, int, float, NOTHING)
ROW = (*ONE, [ONE], {ANY: ONE})
FIELD = (*ROW, [ROW], {ANY: ROW})
FORMS = {
    "test.ping": bool,
    "onepass.fingerprint": _text,
    "libvirt_clone.list": {ANY: {"state": _text, "minion_key?": (_key, NOTHING)}},
    "bridge_nat.check": {ANY: {"state": _text, "evidence": _text}},
    "mongo_shard.topology": {
        "config": SET,
        "shards": {ANY: SET},
        "collections": {ANY: {"key": {ANY: (_text, int, float)}, "chunks": {ANY: int}}},
    },
    "mongo_daemon.extras": {ANY: [_text]},
    "mongo_units.there": {
        ANY: {
            "active": bool,
            "replset": (_text, NOTHING),
            "port": (int, NOTHING),
            "data": (_text, NOTHING),
        }
    },
    "ds_replica.observed": [SERVER],
    "neutron_vlan.plan": {
        ANY: {
            "result": _text,
            "fields?": ({ANY: {"old": FIELD, "new": FIELD}}, NOTHING),
            "why?": (_text, [_text], NOTHING),
        }
    },
}
STATE = {"result": (bool, NOTHING), "__run_num__?": int, "__id__?": str, "__sls__?": str}
EVENTS = {
    "new": {"jid": _jid, "fun": _text, "fun_args": list},
    "args": {"name": _text, "tgt?": (_text, [_text], NOTHING), "args?": ({"arg?": list}, NOTHING)},
    "ret": {"fun_args": list, "return": object, "success": bool},
    "wait": {"id": _text, "data": {"what": (_text, NOTHING), "seen": (_text, NOTHING)}},
    "job": {"id": _text, "fun": (_text, [_text]), "fun_args?": list},
}
KINDS = (
    ("wait", re.compile(r"onepass/wait")),
    ("job", re.compile(r"salt/job/.*/ret/.*", re.DOTALL)),
    *((kind, re.compile(rf"salt/run/[^/]*/{kind}")) for kind in ("new", "args", "ret")),
)


def judged(function: str | list, answers: dict) -> dict:
    """
    The answers of minions; one that has not the form of its function's answer is a text that says so.

    function
        The execution function, or a list of several.
    answers
        Minion to answer; of several functions, to a mapping of function to answer.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_answers.judged test.ping '{s1a.dc: true}'

    .. versionadded:: 0.1.0
    """
    if isinstance(function, str):
        return {minion: _judged(function, answer) for minion, answer in answers.items()}
    several = {minion: answer if isinstance(answer, dict) else {} for minion, answer in answers.items()}
    return {minion: {each: _judged(each, told.get(each)) for each in function} for minion, told in several.items()}


def states(answers: dict) -> dict:
    """
    What minions returned of states that they applied; what is no return of states is a text that says so.

    answers
        Minion to what it returned.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_answers.states '{s1a.dc: {}}'

    .. versionadded:: 0.1.0
    """
    return {minion: _states(answer) for minion, answer in answers.items()}


def is_event(tag: str, data) -> bool:
    """
    Whether an event of the master's bus has the form that its tag promises; minions can send any.

    tag, data
        The event.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_answers.is_event onepass/wait '{id: s1a.dc, data: {what: null, seen: null}}'

    .. versionadded:: 0.1.0
    """
    kind = next((kind for kind, form in KINDS if form.fullmatch(tag)), None)
    return isinstance(data, dict) and (kind is None or next(_faults(data, EVENTS[kind], ""), None) is None)


def printable(text: str) -> str:
    """
    A text in which characters that would drive a terminal are written as their numbers.

    text
        Any text.

    CLI Example:

    .. code-block:: bash

        salt-run onepass_answers.printable 'a text'

    .. versionadded:: 0.1.0
    """
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def _judged(function: str, answer):
    if function not in FORMS or answer is None or answer is False:
        return answer
    if isinstance(answer, str) and FORMS[function] is not _text:
        return printable(_cut(answer))
    why = next(_faults(answer, FORMS[function], ""), None)
    fault = f"its answer to {function} has not the form of one: {why}"
    return fault if why else answer


def _states(answer):
    if isinstance(answer, (list, tuple)):
        return [_cut(str(each)) for each in answer[:MOST]]
    if not isinstance(answer, dict):
        return _cut(answer) if isinstance(answer, str) else answer
    why = f"has {len(answer)} entries" if len(answer) > MOST else next(_state_faults(answer), None)
    fault = f"its return has not the form of states: {why}"
    return fault if why else {tag: _shortened(each) for tag, each in answer.items()}


def _state_faults(answer: dict):
    for tag, state in answer.items():
        if not isinstance(tag, str):
            yield f"{tag!r} is no text"
        elif isinstance(state, dict) and "changes" in state:
            yield from _faults(state, STATE, tag)


def _shortened(state):
    if not isinstance(state, dict) or not isinstance(state.get("comment"), str):
        return state
    return {**state, "comment": _cut(state["comment"])}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def _faults(value, form, where: str):
    """What is wrong with a value, the first of it first."""
    if isinstance(form, tuple):
        found = [next(_faults(value, each, where), None) for each in form]
        yield from found[:1] if all(found) else ()
    elif isinstance(form, (dict, list)):
        yield from _parts_faults(value, form, where)
    elif not isinstance(form, type):
        fault = form(value)
        yield from [f"{where} {fault}".lstrip()] if fault else []
    elif not isinstance(value, form) or (form is int and isinstance(value, bool)):
        yield f"{where} is not {NAMES.get(form, form.__name__)}".lstrip()


def _parts_faults(value, form, where: str):
    if not isinstance(value, type(form)):
        yield f"{where} is not {NAMES[type(form)]}".lstrip()
    elif len(value) > MOST:
        yield f"{where} has {len(value)} entries".lstrip()
    elif isinstance(form, list):
        for number, each in enumerate(value):
            yield from _faults(each, form[0], _below(where, number))
    else:
        yield from _mapping_faults(value, form, where)


def _mapping_faults(value: dict, form: dict, where: str):
    for key, each in form.items():
        if key is ANY:
            yield from _any_faults(value, each, where)
        elif key.removesuffix("?") in value:
            yield from _faults(value[key.removesuffix("?")], each, _below(where, key.removesuffix("?")))
        elif not key.endswith("?"):
            yield f"{_below(where, key)} is missing"


def _any_faults(value: dict, form, where: str):
    for name, each in value.items():
        if not isinstance(name, str) or len(name) > LONGEST_NAME or CONTROL.search(name):
            yield f"{where} has a name that is no text of at most {LONGEST_NAME} characters".lstrip()
        else:
            yield from _faults(each, form, _below(where, name))


def _below(where: str, name) -> str:
    return f"{where}:{name}".lstrip(":")
