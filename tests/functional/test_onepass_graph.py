"""``salt-run onepass.graph`` through Salt's loader: the example site's picture, by the real dot."""

import html
import xml.etree.ElementTree

import pytest
import salt.config
import salt.exceptions
import salt.loader
import yaml
from salt.exceptions import CommandExecutionError

from tree import ROOT, functions, load


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    """The runners of a master that has the example site's pillar."""
    root = tmp_path_factory.mktemp("master")
    opts = salt.config.master_config(None)
    pillar = {}
    for name in ("mongodb", "openstack", "branches"):
        pillar.update(yaml.safe_load((ROOT / f"pillar/{name}.sls").read_text()))
    opts.update(
        root_dir=str(root),
        cachedir=str(root / "cache"),
        sock_dir=str(root / "run"),
        module_dirs=[str(ROOT)],
        pillar_roots={"base": [str(ROOT / "pillar")]},
        pillar=pillar,
        grains={"os": "Debian"},
    )
    return salt.loader.runner(opts)


def test_a_page_for_a_browser(runner, tmp_path):
    page = tmp_path / "estate.html"
    assert runner["onepass.graph"](str(page), title="The bank") == {"written": str(page)}
    text = html.unescape(page.read_text())
    assert text.startswith("<!doctype html>")
    for words in ("The bank", "shard s2", "rosario", "win-017", "tellers"):
        assert words in text


def test_a_picture_by_itself(runner, tmp_path):
    picture = tmp_path / "estate.svg"
    runner["onepass.graph"](str(picture))
    assert xml.etree.ElementTree.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_an_area_that_cannot_be_looked_at_fails_with_the_page_written(runner, tmp_path):
    with pytest.raises(
        CommandExecutionError, match=r"(?s)written +/.*fault +the cluster cannot be looked at from r1.dc"
    ):
        runner["onepass.graph"](str(tmp_path / "estate.svg"), state=True)
    assert (tmp_path / "estate.svg").exists()


def test_looking_loads_no_module_but_those_that_look(runner, tmp_path, caplog):
    """All of Salt's are many, and each that does not fit the master would say so on the terminal."""
    runner["onepass.status"](timeout=1)
    assert "Module will not be loaded" not in caplog.text
    has = {area: functions(name).keys() for area, name in load("_runners/onepass.py").ESTATES.items()}
    for table, name in (("DOUBTING", "doubts"), ("ASKING_AGAIN", "again")):
        found = [area for area, known in has.items() if any(each.endswith(f".{name}") for each in known)]
        assert [*getattr(load("_runners/onepass.py"), table)] == found


def test_without_dot_it_is_said_what_to_install(runner, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandExecutionError, match="apt-get install graphviz"):
        runner["onepass.graph"](str(tmp_path / "estate.svg"))


@pytest.mark.parametrize("path, why", [("", "Is a directory"), ("file/estate.svg", "File exists|Not a directory")])
def test_a_file_that_cannot_be_written_is_named(path, why, runner, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(salt.exceptions.NotImplemented, match=rf"cannot be written: {tmp_path}.*: ({why})"):
        runner["onepass.graph"](f"{tmp_path}/{path}")
