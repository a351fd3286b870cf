"""
The site shows its sources letter by letter and fits its reader's window.

The commands of the documentation and of docstrings: those that need no host, no cloud and no root work as they are
printed; of all others the program, its options, the function, its arguments and the SLS exist.
"""

import functools
import inspect
import itertools
import json
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest
import salt.loader
import salt.utils.args
import salt.utils.parsers

import tree
from tree import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = re.compile(r"^```(bash|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BEGIN = "salt-call --local -m . "
PARSERS = {
    "salt": salt.utils.parsers.SaltCMDOptionParser,
    "salt-call": salt.utils.parsers.SaltCallOptionParser,
    "salt-key": salt.utils.parsers.SaltKeyOptionParser,
    "salt-run": salt.utils.parsers.SaltRunOptionParser,
}
# Of these it is only seen that the files of the bundle which they name are there.
OTHERS = {"cd", "cp", "git", "ldapmodify", "mkdir", "salt-pip", "systemctl"}
# Functions whose first argument is an SLS.
SLS = {"state.apply", "state.sls", "state.orchestrate", "state.orch"}
# Those that the pages print, for a site's own file root.
PRINTED = {name for page in PAGES for name in re.findall(r"^# /srv/salt/(\w+)\.sls$", page.read_text(), re.MULTILINE)}
FIRST_WORDS = (*PARSERS, "make")
NAMESPACES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def commands():
    """Page, prompt and words of each command: those of blocks, and those in the text that name a function or target."""
    for page in PAGES:
        text = page.read_text()
        for kind, block in BLOCKS.findall(text):
            for line in block.splitlines():
                prompt, _, command = line.partition(" ") if kind == "console" else ("#", " ", line)
                if prompt in ("$", "#") and command.strip() and not command.startswith("#"):
                    yield page.name, prompt, shlex.split(command, comments=True)
        for words in map(str.split, re.findall(r"`([^`\n]+)`", BLOCKS.sub("", text))):
            if words[0] in FIRST_WORDS and words[1:] and not words[-1].startswith("-") and words[-1] != ".":
                yield page.name, "", shlex.split(" ".join(words))


def examples():
    """The CLI examples of the docstrings, written as the pages are."""
    for path in (path for kind in tree.KINDS for path in tree.sources(kind)):
        for block in re.findall(r"code-block:: bash\n\n((?: {8,}\S.*\n)+)", path.read_text()):
            for line in re.split(r"\n +(?=salt)", block):
                yield path.name, "", shlex.split(line.replace("\\\n", ""))


ALL = [*commands(), *examples()]
HARMLESS = {
    line: None
    for _, prompt, words in ALL
    if prompt == "$" and (line := shlex.join(words)).startswith(BEGIN) and "connection=" not in line
}


@pytest.mark.parametrize("line", HARMLESS)
def test_a_command_works_as_printed(line, tmp_path):
    program, *arguments = shlex.split(line)
    places = [f"--config-dir={tmp_path}", f"--log-file={tmp_path / 'log'}"]
    (tmp_path / "minion").write_text(f"root_dir: {tmp_path}\nenable_fqdns_grains: false\n")
    command = [str(Path(sys.executable).with_name(program)), *places, "--retcode-passthrough", *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith("local:")


@pytest.fixture(scope="module")
def functions(minion_opts, tmp_path_factory):
    """Salt's own functions, as a minion and a master have them."""
    home = str(tmp_path_factory.mktemp("master"))
    master = {**minion_opts, "sock_dir": home, "cachedir": home, "runner_dirs": [str(ROOT / "_runners")]}
    return {"_modules": salt.loader.minion_mods(minion_opts), "_runners": salt.loader.runner(master)}


@pytest.mark.parametrize("words", {shlex.join(words): words for _, _, words in ALL}.values(), ids=shlex.join)
def test_a_command_names_what_there_is(words, functions):
    assert wrong(words, functions) is None


@pytest.mark.parametrize(
    "line, fault",
    [
        ("make demmo", "make has no target demmo"),
        ("salt-run onepass.chekc", "there is no function onepass.chekc"),
        ("salt-run onepass.run plam=x", "got an unexpected keyword argument 'plam'"),
        ("salt-run state.orchestrate orchestrate.mongo", "there is no SLS orchestrate.mongo"),
        ("salt '*' bridge_nat.chek", "there is no function bridge_nat.chek"),
        ("salt-call state.apply brunch", "there is no SLS brunch"),
        ("salt-call --locl test.ping", "salt-call has no option --locl"),
        ("salt-call test.ping 5", "too many positional arguments"),
        ("salt-call libvirt_host.leases default 52:54:00:00:00:01", "52:54:00:00:00:01 is the number"),
        ("salt-kye -a gw.salta", "nobody checks salt-kye"),
        ("cp docs/adopt/fileroots.conf /etc/salt/master.d/", "there is no docs/adopt/fileroots.conf"),
        ("tests/lab/lab upp", "tests/lab/lab has no upp"),
    ],
)
def test_a_command_that_names_what_there_is_not_is_found(line, fault, functions):
    assert fault in wrong(shlex.split(line), functions)


def wrong(words, functions):
    """What is wrong with a command, or ``None``."""
    program, *rest = itertools.takewhile(lambda word: word != "|", words)
    if program == "make":
        known = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
        return next((f"make has no target {word}" for word in rest if word not in known and "=" not in word), None)
    if program == "tests/lab/lab":
        ran = subprocess.run([ROOT / program, rest[0], "--help"], capture_output=True)
        return f"{program} has no {rest[0]}" if ran.returncode else None
    if program not in {*PARSERS, *OTHERS}:
        return f"nobody checks {program}"
    missing = [word for word in rest if re.match("(docs|pillar|salt|tests)/", word) and not (ROOT / word).exists()]
    if missing:
        return f"there is no {missing[0]}"
    return wrong_salt(program, rest, functions) if program in PARSERS else None


@functools.cache
def parser_of(program):
    return PARSERS[program]()


def wrong_salt(program, words, functions):
    parser, positional = parser_of(program), []
    words = iter(words)
    for word in words:
        option = parser.get_option(word.partition("=")[0]) if word.startswith("-") else None
        if option and option.takes_value() and "=" not in word:
            next(words)
        elif not option and word.startswith("-"):
            return f"{program} has no option {word}"
        elif not option:
            positional.append(word)
    called = positional[1:] if program == "salt" else positional
    if program == "salt-key" or not called:
        return None
    return wrong_call("_runners" if program == "salt-run" else "_modules", *called, functions=functions)


def wrong_call(kind, name, *arguments, functions):
    function = of_the_bundle(kind, name) or (functions[kind][name].func if name in functions[kind] else None)
    if not function:
        return f"there is no function {name}"
    positional, keywords = salt.utils.args.parse_input(arguments, condition=False)
    read = {word: salt.utils.args.yamlify_arg(word) for word in arguments if ":" in word}
    numbers = [f"{word} is the number {value} in YAML" for word, value in read.items() if isinstance(value, int)]
    if numbers:
        return numbers[0]
    signature = inspect.signature(function)
    try:  # one that is only named has no arguments
        (signature.bind if arguments else signature.bind_partial)(*positional, **keywords)
    except TypeError as err:
        return f"{name}: {err}"
    sls = positional[0] if name in SLS and positional else None
    return f"there is no SLS {sls}" if sls and not is_sls(sls) else None


def of_the_bundle(kind, name):
    """From the file itself: the loader has no module whose library is missing here."""
    module, _, function = name.partition(".")
    if not (ROOT / kind / f"{module}.py").exists():
        return None
    loaded = loaded_file(kind, module)
    return getattr(loaded, function, None) or getattr(loaded, f"{function}_", None)


@functools.cache
def loaded_file(kind, module):
    return tree.load(f"{kind}/{module}.py")


@pytest.fixture(scope="module")
def generated():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs/_ext")
        yield tree.load("docs/_ext/generated.py")


@pytest.fixture(scope="module")
def site(generated, tmp_path_factory):
    """The pages of errors and pillar as docs/conf.py has them built, parsed."""
    pytest.importorskip("sphinx", reason="make docs brings it")
    bs4 = pytest.importorskip("bs4")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    pages = {"index": "# Errors\n", "errors": generated._errors_page(), **generated.pillar_pages.pages()}
    for name, text in pages.items():
        (source / f"{name}.md").write_text(text)
    command = [sys.executable, "-m", "sphinx", "-q", "-c", ROOT / "docs", "-D", "extensions=myst_parser", source, out]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return {name: bs4.BeautifulSoup((out / f"{name}.html").read_text(), "html.parser").article for name in pages}


def words(element):
    return " ".join(element.get_text().split())


def test_the_site_shows_messages_and_remedies_as_the_modules_have_them(generated, site):
    parts = {
        **tree.functions("onepass_backend_errors"),
        **tree.functions("onepass_directory_errors"),
        **tree.functions("onepass_pillar_errors"),
    }
    known = tree.functions("onepass_errors", __salt__=parts)["onepass_errors.entries"]()
    found = [[words(part) for part in title.parent.find_all(["h3", "p"])] for title in site["errors"].find_all("h3")]
    shown = [generated._shown(entry) for entry in known]
    wanted = [[each["error"], each["meaning"], f"What to do: {each['solution']}"] for each in shown]
    assert [[text.rstrip("#¶") for text in section] for section in found] == wanted


@pytest.mark.parametrize("area", ["mongodb", "branch", "openstack", "dns"])
def test_the_site_shows_descriptions_of_the_pillar_as_the_schemas_have_them(area, generated, site):
    known = set()
    schema = tree.load(f"_modules/{generated.pillar_pages.AREAS[area]}.py").schema()
    json.loads(json.dumps(schema), object_hook=lambda part: known.add(str(part.get("description"))))
    rows = [[words(cell) for cell in row.find_all("td")] for row in site[f"pillar-{area}"].find_all("tr")[1:]]
    described = {part for row in rows for part in row[3].split(" / ") if part}
    assert described and described - known == set()


def test_what_is_wide_scrolls_for_itself_and_not_the_page():
    css = (ROOT / "docs/_static/site.css").read_text()
    rules = dict(re.findall(r"^([^{/]+) \{ (.*) \}", css, re.MULTILINE))
    assert "min-width: 0;" in rules[".main"] and "min-width: 0;" in rules[".content"]
    fixed = {name for name, rule in rules.items() if re.search(r"(?<!max-)width: [1-9]", rule)}
    assert not {name for name in fixed if not name.startswith("td")}  # a table has a box that scrolls


SAID = """$ salt-run onepass.run
{live}
orchestrate.site is done: 2 changes in 1.0 s (job 1)
  one  0.5 s  2 changes

\033[1mThe same run again changes nothing\033[0m
$ salt-run onepass.run
[   0.1 s] orchestrate.site begins (job 2)
orchestrate.site is done: 0 changes in 0.5 s (job 2)
  one  0.5 s  0 changes
"""


def drawn_texts(picture):
    return [element.text for element in xml.etree.ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")]


def test_the_pictures_are_of_the_example_and_of_a_run_and_fetch_nothing(tmp_path):
    live = [f"[ {second:>5}.0 s] told" for second in range(40)]
    (tmp_path / "log").write_text(SAID.format(live="\n".join(live)))
    script = [sys.executable, ROOT / "docs/_ext/pictures.py", tmp_path / "log", tmp_path]
    ran = subprocess.run(script, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert drawn_texts(tmp_path / "estate.svg") == drawn_texts(ROOT / "docs/_static/estate.svg")
    lines = [text.replace("\xa0", " ") for text in drawn_texts(tmp_path / "run.svg") if text.strip()]
    typed, ended = "$ salt-run onepass.run", "orchestrate.site is done: {} changes in {} s (job {})"
    first = [*live[:13], "...", *live[-4:], ended.format(2, "1.0", 1), "  one  0.5 s  2 changes"]
    assert lines == ["make demo", typed, *first, typed, "...", ended.format(0, "0.5", 2)]
    for picture in [*tmp_path.glob("*.svg"), *(ROOT / "docs/_static").glob("*.svg")]:
        assert set(re.findall(r"\w+://[^\s\"']+", picture.read_text())) <= NAMESPACES
        assert not re.search(r"url\((?!#)|@import|<image", picture.read_text())


def is_sls(name):
    path = ROOT / "salt" / name.replace(".", "/")
    return name in PRINTED or path.with_name(f"{path.name}.sls").exists() or (path / "init.sls").exists()
