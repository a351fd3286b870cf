"""A long wait tells the master's bus what it waits for, for those who follow the run; a short one costs nothing."""

import itertools
import types

import pytest
from salt.exceptions import CommandExecutionError

import tree


@pytest.fixture
def waiting():
    """``waiting(seen, opts)`` waits until ``seen`` is at its end, a second each; what was told of it."""

    def wait(seen, opts=None, timeout=100):
        told, clock = [], itertools.count()
        module = tree.load("_modules/onepass.py", __opts__=opts or {"file_client": "remote"})
        module.__salt__ = {"event.fire_master": lambda data, tag: told.append((tag, data["what"], data["seen"]))}
        # Its own clock: other threads of the tests look at the real one.
        module.time = types.SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda seconds: None)
        looks = iter(seen)
        condition = lambda: (False, look) if (look := next(looks, None)) else (True, "there")  # noqa: E731
        try:
            module.wait(condition, "a primary of s1", timeout)
        except CommandExecutionError as err:
            told.append(str(err))
        return told

    return wait


def test_a_short_wait_tells_nothing(waiting):
    assert waiting(["no primary"]) == []


def test_a_long_wait_is_told_once_and_when_it_is_over(waiting):
    assert waiting(["no primary"] * 8) == [
        ("onepass/wait", "a primary of s1", "no primary"),
        ("onepass/wait", None, None),
    ]


def test_something_else_is_told_again_later(waiting):
    told = waiting(["no primary"] * 5 + ["s1b.dc votes"] * 10)
    assert [seen for _, _, seen in told] == ["no primary", "s1b.dc votes", None]


def test_a_wait_in_vain_is_over_too(waiting):
    assert waiting(["no primary"] * 9, timeout=5)[-2:] == [
        ("onepass/wait", None, None),
        "Waited 5 s for a primary of s1; last seen: no primary",
    ]


@pytest.mark.parametrize("opts", [{"file_client": "local"}, {"file_client": "remote", "__cli": "salt-call"}])
def test_without_a_minion_nobody_is_told(waiting, opts):
    assert waiting(["no primary"] * 8, opts) == []
