"""
What one state changes, or would change: an object after another with its old and new, and in words for a person.

.. versionadded:: 0.1.0

What is counted as a change, in plans and in runs alike: an object that a state names with ``old`` and ``new``; else,
as Salt's own states name none, the state itself, whatever it says of one file, account or service::

    salt-call --local -m . orchestration_changes.rows '{changes: {rules: {old: null, new: [a, b]}}, comment: ""}'
"""

import contextlib
import itertools
import json
import re

__virtualname__ = "orchestration_changes"

WAIT = "Would wait for"
HOLDERS, DEEPEST, SHOWN = (dict, list, tuple), 100, 3  # levels that may be there, and that are written as words
SHORT, MANY = 60, 6  # characters of a list that is written out; lines and keys that are
PRESENT = ("present", "installed", "created", "written")
SETTING = re.compile(r"\s*(?P<key>[\w.$-]+)\s*[:=]\s*(?P<value>\S.*)")
KERNEL = re.compile(r"Sysctl option (?P<key>\S+) set to be changed to (?P<value>.*)")
# Of a rule of nft: the port that it is for, and what it does.
PORT = re.compile(r"\b(tcp|udp) dport (\S+)")
VERDICT = re.compile(r"\b([sd]nat to \S+|redirect( to \S+)?|masquerade|drop|accept)$")
NEW_FILE = ("newfile", "New file")
# States of Salt's: what they make, and what says that it was not there.
MADE = {
    "user.present": ("account", re.compile("added|New user")),
    "group.present": ("group", re.compile("added|New group")),
    "file.directory": ("directory", re.compile("directory - new|New Dir")),
    "archive.extracted": ("archive in", re.compile("")),
}


def __virtual__():
    return __virtualname__


def rows(state):
    """
    What a state changed, or in a dry run would change, one mapping for each change.

    state
        A state's return, with its ``function`` (``file.managed``).

    Returns:
        List of mappings: ``object``; ``old`` and ``new``, of a file the lines that go and come; ``change``, a line of
        words; ``verb``, ``noun`` and ``thing``, what is done (``new``) to what (``file``, ``mongod-s1.conf``), by which
        others of their kind can be told with it, or ``""``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . orchestration_changes.rows '{changes: {}, comment: Service is set to be started}'

    .. versionadded:: 0.1.0
    """
    changes = state["changes"] or {}
    changes = changes if isinstance(changes, dict) else {"changes": changes}
    pairs = [(str(what), _plain(how["old"]), _plain(how["new"])) for what, how in _pairs(changes)]
    rest = {what: _plain(how) for what, how in changes.items() if not _is_pair(how) and not _is_pairs(how)}
    found = [_row(what, old, new, **_told(what, old, new)) for what, old, new in pairs]
    if rest or (not pairs and state["result"] is None and not str(state.get("comment", "")).startswith(WAIT)):
        found.append(_of_salts(state, rest))
    return found


def _row(what, old, new, change="", verb="", noun="", thing=""):
    change = _line(change or " ".join(filter(None, (verb, noun, thing))))
    row = {"object": what, "old": old, "new": new, "change": change}
    return {**row, "verb": verb, "noun": noun, "thing": _line(thing)}


# What a state names with old and new


def _is_pair(how):
    return isinstance(how, dict) and set(how) == {"old", "new"}


def _is_pairs(how):
    return isinstance(how, dict) and bool(how) and all(map(_is_pair, how.values()))


def _pairs(changes):
    for what, how in changes.items():
        if _is_pair(how):
            yield what, how
        elif _is_pairs(how):
            yield from how.items()


def _told(what, old, new):
    if not old and new in PRESENT:
        return {"verb": "new", "thing": what}
    if new == "restarted":
        return {"verb": "restart", "thing": what.removeprefix("daemon ")}
    if new is None and old is not None:
        return {"verb": "remove", "thing": what if old in PRESENT else f"{what} ({_words(old)})"}
    return {"change": f"{what}: {_difference(old, new)}"}


def _difference(old, new):
    if isinstance(old, dict) and isinstance(new, dict):
        return _of_mappings(old, new)
    if isinstance(old, list) and isinstance(new, list) and sum(len(_words(each)) for each in [*old, *new]) > SHORT:
        return _lines_that_differ(old, new)
    return _words(new) if old is None else f"{_words(old)} -> {_words(new)}"


def _of_mappings(old, new):
    """The keys that differ; those that go the same way together."""
    groups = {}
    for key in [*new, *(key for key in old if key not in new)]:
        if old.get(key) != new.get(key):
            groups.setdefault((_words(old.get(key)), _words(new.get(key))), {})[_base(str(key))] = None
    return ", ".join(f"{_some(list(keys))} {_arrow(*group)}" for group, keys in groups.items())


def _arrow(old, new):
    return new if old == "none" else f"{old} -> {new}"


def _lines_that_differ(old, new):
    lines = [f"- {_words(line)}" for line in old if line not in new] + [
        f"+ {_words(line)}" for line in new if line not in old
    ]
    short = len(lines) <= MANY
    return "; ".join(lines) if short else f"{_number(old, 'line')} -> {_number(new, 'line')}"


# What Salt's own states say


def _of_salts(state, rest):
    """A state of Salt's is one change; what it says of a file that was there is the lines that differ."""
    name, function = str(state.get("name") or state.get("__id__", "")), state.get("function", "")
    comment = str(state.get("comment", ""))
    said = comment.strip().partition("\n")[0]
    noun, new = MADE.get(function, ("", None))
    kernel = KERNEL.match(comment)
    if any(isinstance(each, str) and each in NEW_FILE for each in [*rest, *rest.values()]):
        return _row(name, None, "present", verb="new", noun="file", thing=_base(name))
    if isinstance(rest.get("diff"), str):
        return _of_file(name, rest)
    if new and new.search(comment):
        return _row(name, None, "present", verb="new", noun=noun, thing=name.removesuffix(".part"))
    if kernel:
        return _row(name, None, kernel["value"], verb="set", thing=f"{kernel['key']} {kernel['value']}")
    if function.startswith("service.") and "start" in comment:
        return _row(name, None, "started", verb="start", thing=name)
    how = next(iter(rest.values())) if len(rest) == 1 and name in rest else rest
    return _row(name, None, how or said, f"{name}: {_words(how)}" if how else said)


def _of_file(path, changes):
    gone, come = _lines_of(changes["diff"])
    others = [f"{what} {_words(how)}" for what, how in changes.items() if what != "diff"]
    words = [*(_settings(gone, come) or ["other content"]), *others]
    return _row(path, gone or None, come or None, f"{_base(path)}: {_some(words)}")


def _lines_of(diff):
    """The lines that go and those that come, of a unified diff; what is no diff has none."""
    lines = diff.splitlines()
    body = lines[2:] if diff.startswith("---") else []
    return [[line[1:] for line in body if line.startswith(sign)] for sign in "-+"]


def _settings(gone, come):
    """``key old -> new`` where lines that go and come are settings of one name; else the lines."""
    old, new = _by_key(gone), _by_key(come)
    same = [key for key in new if key and len(new[key]) == len(old.get(key, ()))]
    pairs = [(key, before, after) for key in same for before, after in zip(old[key], new[key], strict=True)]
    told = [f"{key} {before} -> {after}" for key, before, after in pairs if before != after]
    left = [(sign, line) for sign, lines in (("-", gone), ("+", come)) for line in lines if _key(line) not in same]
    return told + [f"{sign} {line.strip()}" for sign, line in left if line.strip()]


def _by_key(lines):
    found = {}
    for line in lines:
        setting = SETTING.fullmatch(line)
        found.setdefault(_key(line), []).append(setting["value"] if setting else line)
    return found


def _key(line):
    setting = SETTING.fullmatch(line)
    return setting["key"] if setting else ""


# Words


def _words(value, level=0):
    """A value on one line, as one would write it by hand; what is nested deeply as JSON."""
    if isinstance(value, str):
        return _line(value) or '""'
    if isinstance(value, list) and level < SHOWN:
        tables = [line[6:].removesuffix(" {") for line in map(str, value) if line.startswith("table ")]
        lines = [_words(each, level + 1) for each in itertools.islice(value, MANY)]
        if tables or len(value) > MANY or sum(map(len, lines)) > 2 * SHORT:
            return _number(value, "line") + f" of table {', '.join(tables)}" * bool(tables) + _verdicts(value)
        return ", ".join(lines) or "none"
    if isinstance(value, dict) and level < SHOWN:
        words = _some([f"{key} {_words(each, level + 1)}" for key, each in itertools.islice(value.items(), MANY + 2)])
        return (f"({words})" if level else words) if value else "none"
    return "none" if value is None else _text(value)


def _verdicts(lines):
    """What rules do with packets: ``: tcp 22 redirect, drop``."""
    found = [(PORT.search(line), VERDICT.search(line)) for line in map(str, lines)]
    words = [" ".join([*(port.groups() if port else ()), verdict[0]]) for port, verdict in found if verdict]
    return f": {_some(list(dict.fromkeys(words)))}" if words else ""


def _line(text):
    return " ".join(text.split())


def _base(path):
    return path.rstrip("/").rpartition("/")[2] or path


def _some(words):
    shown = words if len(words) <= MANY + 1 else words[:MANY]
    return ", ".join(shown) + (f" and {len(words) - len(shown)} more" if len(shown) < len(words) else "")


def _number(things, what):
    return f"{len(things)} {what}{'s' * (len(things) != 1)}"


def _plain(value):
    """A value for JSON; what that cannot hold, or nobody would read, is a text."""
    if isinstance(value, str) or value is None:
        return value
    if not _is_deep(value):
        with contextlib.suppress(TypeError, ValueError):
            json.dumps(value, sort_keys=True)
            return value
    return _text(value)


def _text(value):
    """Of keys that no order is known of, in theirs; what is nested deeper than anybody reads is not shown."""
    if not _is_deep(value):
        with contextlib.suppress(TypeError):
            return json.dumps(value, sort_keys=True, default=str)
        with contextlib.suppress(TypeError):
            return json.dumps(value, default=str)
    return f"a {type(value).__name__} that cannot be shown"


def _is_deep(value):
    """Counted, as each Python ends a recursion at another depth, and some in no error."""
    level = [value]
    for _ in range(DEEPEST + 1):
        held = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, HOLDERS)]
        if not held:
            return False
        level = [each for values in held for each in values]
    return True
