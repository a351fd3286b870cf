"""Values that a pillar can hold and its readers cannot: refused with words; all others reach an SLS as they were."""

import datetime
import string

import pytest
import yaml
from test_branch_pillar import SALT

quoted, given, faults = SALT["onepass.quoted"], SALT["onepass.given"], SALT["pillar_form.faults"]
STRANGE = [chr(number) for number in (*range(1, 0xA1), 0x2028, 0x2029, 0xFEFF, 0xFFFD, 0xFFFF, 0x1F600, 0x10FFFF)]
TEXTS = [
    *STRANGE,
    "".join(STRANGE),
    string.printable,
    "x:",
    "x: y",
    "a #b",
    "{{ x }}",
    "yes",
    "012",
    "1.10",
    "",
    "<&'>",
]
READERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])]
ANYTHING = {"description": "a mapping", "type": "object", "additionalProperties": {}}


@pytest.mark.parametrize("reader", READERS)
def test_yaml_reads_back_what_stands_in_an_sls(reader):
    for text in TEXTS:
        line = f"{quoted(text)}:\n  a.b:\n    - name: {quoted({text: [text, 1, 2.5, True, None]})}\n"
        assert yaml.load(line, Loader=reader) == {text: {"a.b": [{"name": {text: [text, 1, 2.5, True, None]}}]}}
    assert list(yaml.load(quoted({"b": 1, "a": 2}), Loader=reader)) == ["b", "a"]


@pytest.mark.parametrize("reader", READERS)
def test_a_number_is_a_number_however_small_or_large(reader):
    numbers = [1e-05, -1e16, 5e-324, 1.5e300, 2**63, 0.1, -0.0, {"1e-05": "1e-05, 'x\\\"1e-05'"}]
    assert yaml.load(f"a: {quoted(numbers)}\n", Loader=reader) == {"a": numbers}


@pytest.mark.parametrize(
    "value, fault",
    [
        (datetime.date(2024, 1, 1), "is the date 2024-01-01, not a string"),
        (b"x", "is the bytes b'x', not a string"),
        ({1}, "is the set {1}, not a string"),
        (float("nan"), "is the number nan"),
        (float("inf"), "is the number inf"),
    ],
)
def test_what_no_json_holds_is_a_fault_wherever_it_stands(value, fault):
    found = faults({"a": {"b": [value]}}, ANYTHING)
    assert [(each["path"], each["fault"]) for each in found] == [("a:b:0", fault)]
    hidden = faults({"a": {"b": [value]}}, ANYTHING, secrets=["a"])
    assert str(value) not in hidden[0]["fault"].removeprefix("is a ")
    assert yaml.safe_load(quoted(value)) is not None, "it renders, so that the check can tell of it"


def test_half_a_character_renders_so_that_the_check_can_tell_of_it():
    assert yaml.safe_load(quoted("cfg1.dc\ud800")) == "cfg1.dc\ufffd"


@pytest.mark.parametrize("number", ["minimum", "maximum"])
def test_no_number_is_no_number_between_two(number):
    schema = {"description": "1 to 5", "type": "number", number: 3}
    assert [each["fault"] for each in faults(float("nan"), schema)] == ["is the number nan"]


def test_a_value_in_a_circle_or_too_deep_is_a_fault():
    circle, deep = {}, {}
    circle["again"] = [circle]
    for _ in range(1000):
        deep = {"a": deep}
    for value, path in ((circle, "x:again:0"), (deep, "x" + ":a" * 99)):
        found = faults(given("branch", {"x": value}), ANYTHING)
        assert [each["path"] for each in found] == [path]
        assert "of more than 100 levels, in a circle, or" in found[0]["fault"]
    assert given("branch", {"a": [circle] * 0, "b": {"c": 1}}) == {"a": [], "b": {"c": 1}}


@pytest.mark.parametrize(
    "value, fault",
    [
        ("a\ud800b", "has half of a character in it, a surrogate"),
        (16**6000, "is the number of more than 64 bits, not a string"),
        ({"\udfff": 1}, "is a key with half of a character in it, a surrogate"),
        ({"x" * 1100: 1}, "is a key of 1100 characters"),
        ({"\x7f" * 255: 1}, "is a key of 255 characters"),
        ({"1" * 5000: 1}, "is a key of 5000 characters"),
    ],
    ids=["half", "number", "half-key", "long-key", "escaped-key", "number-key"],
)
def test_what_no_file_or_no_sls_holds_is_a_fault_that_can_be_printed(value, fault):
    """A key in an SLS has 1024 characters at most, and several of them stand for one that YAML would read otherwise."""
    found = SALT["pillar_form.ordered"]("x", faults({"a": [value]}, ANYTHING))
    assert [each["fault"] for each in found] == [fault]
    assert SALT["pillar_form.report"]("x", found).encode()
    [hidden] = faults({"a": value}, ANYTHING, secrets=["a"])
    assert "1111" not in str(hidden)


def test_a_fault_stands_on_a_line_of_its_own():
    found = SALT["pillar_form.ordered"]("x", [{"path": "a\nb", "fault": "is \x1b[31m", "remedy": "\u00e9"}])
    assert found == [{"path": "x:a\\nb", "fault": "is \\x1b[31m", "remedy": "\u00e9"}]


def test_a_schema_takes_a_value_that_nobody_has_looked_through():
    circle = {}
    circle["a"] = [circle]
    assert "in a circle" in faults(circle, ANYTHING)[0]["fault"]
    assert SALT["pillar_form.sound"](circle, ANYTHING) == {"a": [None]}
    bomb = []
    for _ in range(9):
        bomb = [bomb] * 9
    assert len(faults({"a": bomb}, ANYTHING)) <= 9 * 9


@pytest.mark.parametrize("text", ["!!int ''", "!!bool x", "!!timestamp x", "0x_", "{? [a] : b}", "? {a: 1}\n: b"])
def test_a_value_that_is_not_what_its_tag_says_costs_no_other_file(tmp_path, text):
    (tmp_path / "a.sls").write_text(text)
    (tmp_path / "b.sls").write_text("branch: {name: b, colour: red}")
    found = SALT["branch_fleet.clashes"](str(tmp_path))
    [fault] = [each["fault"] for each in found if each["path"].startswith("a.sls")]
    assert fault.startswith("is no plain YAML: ")
    assert any(each["path"].startswith("b.sls") for each in found)


def test_a_branchs_file_that_holds_itself_costs_no_other(tmp_path):
    (tmp_path / "a.sls").write_text("branch: &x {name: a, hosts: *x}")
    (tmp_path / "b.sls").write_text("branch: " + "[" * 3000)
    (tmp_path / "c.sls").write_text("branch: {name: c, colour: red}")
    found = SALT["branch_fleet.clashes"](str(tmp_path))
    by_file = {name: [each["fault"] for each in found if each["path"].startswith(name)] for name in ("a", "b", "c")}
    assert any("in a circle" in fault for fault in by_file["a"])
    [deep] = by_file["b"]
    assert deep.startswith(("is nested too deep, or holds itself", "is no plain YAML: ")), "as libyaml has it"
    assert "is an unknown key" in by_file["c"]
