"""Where something stands in a pillar file, and what YAML reads otherwise than it is written."""

import pytest
from onepass_lib.core import pillar_file as files
from salt.exceptions import CommandExecutionError

TEXT = "a:\n  b: [1, {c: 012}]\n  d: 12:30\n  d: 1\n  e: 0x1f\n  f: '012'\n"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "one.sls").write_text(TEXT)
    return str(tmp_path / "one.sls")


@pytest.mark.parametrize(
    "place,line",
    [("a", 1), ("a:b", 2), ("a:b:1:c", 2), ("a:e", 5), ("a:missing", 1), ("a:e:deeper", 5), ("z", None)],
)
def test_a_path_is_located_at_its_innermost_part_that_is_there(path, place, line):
    [found] = files.located([{"path": place}], [path])
    assert found == {"path": place, **({"place": f"{path}:{line}"} if line else {})}


def test_a_path_in_two_files_is_located_in_none(path, tmp_path):
    (tmp_path / "two.sls").write_text("a: {b: 1}")
    both = files.below([str(tmp_path)])
    assert files.located([{"path": "a:b"}], both) == [{"path": "a:b"}]
    assert files.located([{"path": "a:e"}], both)[0]["place"] == f"{path}:5"


def test_a_file_with_jinja_is_passed_over(tmp_path):
    (tmp_path / "jinja.sls").write_text("{% if x %}\na: 012\n{% endif %}")
    assert files.located([{"path": "a"}], files.below([str(tmp_path)])) == [{"path": "a"}]
    assert files.oddities(str(tmp_path / "jinja.sls")) == []


def test_a_file_that_is_no_text_and_a_link_to_nowhere_are_passed_over(path, tmp_path):
    (tmp_path / "latin.sls").write_bytes("a: {b: é}".encode("latin-1"))
    (tmp_path / ".#one.sls").symlink_to("somebody@a.dc.4711")
    assert files.below([str(tmp_path)]) == [str(tmp_path / "latin.sls"), path]
    every = [str(tmp_path / name) for name in ("latin.sls", ".#one.sls", "one.sls")]
    assert files.located([{"path": "a:b"}], every) == [{"path": "a:b", "place": f"{path}:2"}]
    assert files.oddities(every[0]) == []


@pytest.mark.parametrize("text", ["a: &x {b: *x}", "a: " + "[" * 3000, "a: &x [*x, *x]", "\x00", "!!set {a, *b}"])
def test_a_file_that_holds_itself_or_is_too_deep_is_looked_at_as_far_as_it_goes(tmp_path, text):
    (tmp_path / "one.sls").write_text(text)
    every = [str(tmp_path / "one.sls")]
    assert files.oddities(every[0]) == []
    assert files.located([{"path": "a:b"}, {"path": "1" * 5000}], every)


def test_what_stands_in_several_places_is_told_of_once(tmp_path):
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 9))
    (tmp_path / "one.sls").write_text(f"l0: &l0 012\n{levels}")
    assert [each["path"] for each in files.oddities(str(tmp_path / "one.sls"))] == ["l0"]


@pytest.mark.parametrize("text", ["0x_", "0b_", "!!int x", "!!int ''"])
def test_a_number_that_is_none_is_told_as_such(tmp_path, text):
    (tmp_path / "one.sls").write_text(f"a: {text}")
    [found] = files.oddities(str(tmp_path / "one.sls"))
    assert found["fault"].endswith("which YAML reads as no number")


def test_oddities(path):
    found = {(each["path"], each["place"], each["fault"]) for each in files.oddities(path)}
    assert found == {
        ("a:b:1:c", f"{path}:2", "is written 012, which YAML reads as 10"),
        ("a:d", f"{path}:3", "is written 12:30, which YAML reads as 750"),
        ("a:d", f"{path}:4", "is given twice"),
        ("a:e", f"{path}:5", "is written 0x1f, which YAML reads as 31"),
    }


def test_a_folder_of_everything_is_no_folder_of_pillar_files(tmp_path, monkeypatch):
    for name in ("a/b.sls", "c.sls", "d.txt", ".git/e.sls"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "nowhere.sls").symlink_to("gone")
    assert files.below([str(tmp_path)]) == [f"{tmp_path}/a/b.sls", f"{tmp_path}/c.sls"]
    monkeypatch.setattr(files, "MOST", 4)
    with pytest.raises(CommandExecutionError, match=f"^{tmp_path} holds more than 4 files and folders: "):
        files.below([str(tmp_path)])
