"""
A table judged as it stands in a pillar file, each fault with its line. No cloud is asked.
"""

from collections.abc import Callable
from typing import Any

from salt.exceptions import CommandExecutionError, SaltRenderError

from onepass_lib.core import pillar_file
from onepass_lib.core.plain import plain
from onepass_lib.neutron import desired, refuse, report


def lint(table: Any, path: str | None, render: Callable) -> dict[str, Any]:
    """
    How many ``projects`` a good table has, its ``vlans`` and its ``warnings``; a bad one is refused.

    table
        A table, or ``None``.
    path
        A pillar file that holds the table instead.
    render
        Salt's ``slsutil.renderer``.
    """
    found: list = []
    if isinstance(table, str) and not path:
        raise CommandExecutionError(f"{table!r} is no table; did you mean path={table}?")
    if path:
        table = plain(_rendered(path, render))
        table = {} if table is None else table
        found = pillar_file.oddities(path)
    found += pillar_file.located(refuse.faults(table), [path] if path else [])
    if found:
        raise CommandExecutionError(refuse.report(sorted(found, key=_line)))
    rows, warnings = desired.rows(table), refuse.warnings(table)
    return {"projects": len(rows), "vlans": report.compressed(rows), **({"warnings": warnings} if warnings else {})}


def _rendered(path: str, render: Callable) -> Any:
    """The table of a pillar file, rendered as a minion's pillar is."""
    try:
        with open(path, encoding="utf-8") as text:
            pillar = render(string=text.read() or "{}", default_renderer="jinja|yaml")
    except OSError as err:
        raise CommandExecutionError(f"{path} cannot be read: {err.strerror}") from None
    except (CommandExecutionError, SaltRenderError) as err:
        if unread := pillar_file.unread([path]):
            raise CommandExecutionError(unread[0]) from None
        raise CommandExecutionError(f"{path} cannot be rendered: {err}") from None
    if not isinstance(pillar, dict) or "openstack" not in pillar:
        there = (
            f"its keys are {', '.join(map(str, pillar))}" if isinstance(pillar, dict) and pillar else "it has no key"
        )
        raise CommandExecutionError(f"{path} has no key openstack, which holds the table; {there}")
    return pillar["openstack"]


def _line(fault: dict) -> int:
    return int(fault.get("place", ":0").rpartition(":")[2])
