"""The repository's own rules: its layout, every public function documented, every SLS compiles for the example site."""

import ast
import configparser
import inspect
import json
import pickle
import re
from pathlib import Path

import pytest
import salt.loader
import salt.pillar
from salt.state import STATE_INTERNAL_KEYWORDS
from salt.utils.args import format_call

from tree import KINDS, ROOT, library, load, sources

MODULES = [path.relative_to(ROOT) for kind in KINDS for path in sources(kind)]
SLS = {kind: sorted((ROOT / kind).rglob("*.sls")) for kind in ("salt", "orchestrate")}
PASSWORD = "kept-out-of-sight"
# What a site keeps in a pillar root of its own; the example's is not in the repository.
SECRETS = {
    "secrets/mongodb.sls": {
        "mongodb": {"auth": {"keyfile": "a2V5", "admin": {"username": "admin", "password": PASSWORD}}}
    },
    "secrets/mongodb_users.sls": {"mongodb": {"users": {"teller": {"password": PASSWORD}}}},
}
# The master's own, a config server, a set's first member and another, the cluster's router and another, a branch's two.
MINIONS = ["hq", "cfg1.dc", "s1a.dc", "s1b.dc", "r1.dc", "r2.dc", "gw.rosario", "ws017.rosario"]
INSTALLS = [
    {"method": "package"},
    {"method": "archive", "source": "salt://archives/mongodb.tgz", "source_hash": "sha256=" + 64 * "0"},
    {"method": "present"},
]


# Layout


def test_salt_is_a_file_root_and_no_package():
    assert not list((ROOT / "salt").rglob("__init__.py"))
    links = {path.name: path.readlink() for path in (ROOT / "salt").iterdir() if path.is_symlink()}
    assert links == {name: Path("..") / name for name in (*KINDS, "orchestrate")}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_nothing_is_waited_for_without_end(path):
    """Programs have a time to end in; what is started to go on, and libvirt, are bounded where they are."""
    calls = [node for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.Call)]
    named = [(ast.unparse(call.func), {keyword.arg for keyword in call.keywords}) for call in calls]
    assert not [name for name, given in named if name == "subprocess.run" and "timeout" not in given]
    starts = re.compile(r"subprocess\.(?!run)\w+|os\.(system|popen)|libvirt\.open\w*")
    started = [name for name, _ in named if starts.fullmatch(name)]
    bounded = {"bridge_nat_guard": ["subprocess.Popen"], "libvirt_disk": ["subprocess.Popen"]}
    bounded |= {"libvirt_host": ["libvirt.open"]}
    assert started == bounded.get(path.stem if path.parts[0] == "_modules" else "", [])


def test_packaging_is_setup_cfg_and_three_lines():
    assert len((ROOT / "pyproject.toml").read_text().splitlines()) == 3
    assert not (ROOT / "setup.py").exists()
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert f"## [{config['metadata']['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_a_row_of_a_wrong_guess_names_a_test_that_is_there():
    defined = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    rows = [line for line in (ROOT / "docs/parts.md").read_text().splitlines() if line.endswith("` |")]
    named = {name for line in rows for name in re.findall(r"`(test_\w+)`", line)}
    assert len(named) > 10
    assert {name for name in named if f"def {name}(" not in defined} == set()


def anchors(page):
    """The headings of a page as a forge and the site link to them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)", text, re.M)}


def test_the_first_page_is_short_and_leads_somewhere():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 130
    links = re.findall(r'(?:\]\(|href="|src=")(?!https?:)([^)"]*)', text)
    found = [(ROOT / (path or "README.md"), anchor) for path, _, anchor in (link.partition("#") for link in links)]
    assert len(found) > 20
    assert [path for path, anchor in found if not path.exists() or anchor and anchor not in anchors(path)] == []


def test_what_a_page_tells_to_make_is_tried_on_a_new_machine():
    pages = [ROOT / "README.md", ROOT / "tests/lab/README.md", *(ROOT / "docs").glob("*.md")]
    told = {
        target for page in pages for target in re.findall(r"(?:^[#$] |`)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    typed = (ROOT / ".ci/run").read_text() + (ROOT / "Makefile").read_text()
    tried = set(" ".join(re.findall(r"^.*\.ci/commands (.+)$", typed, re.MULTILINE)).replace("-start", "").split())
    by_test, takes_hours = {"docs", "lint", "pictures"}, {"test-faults"}
    makes_the_machine = {"fresh", "fresh-orders", "ci-times"}
    assert told - tried <= by_test | takes_hours | makes_the_machine
    assert len(told & tried) >= 8


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_is_one_file_that_salt_can_sync(path):
    imports = [node for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.ImportFrom)]
    assert not path.name.startswith("_"), "private files of two kinds overwrite each other in sys.modules"
    assert not [node.module for node in imports if node.level], "a synced file has no package to import from"


# Documentation


def public_functions():
    return [
        pytest.param(path, node, id=f"{path}:{node.name}")
        for path in MODULES
        for node in ast.parse((ROOT / path).read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


def parameters(node):
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return {arg.arg for arg in every}


def documented_parameters(doc):
    """The words of a docstring's unindented lines that are names only: ``name``, or ``name, other``."""
    lines = [line for line in doc.splitlines() if re.fullmatch(r"\w+(, \w+)*", line)]
    return {word for line in lines for word in line.split(", ")}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_says_what_it_is_and_since_when(path):
    doc = ast.get_docstring(ast.parse((ROOT / path).read_text())) or ""
    assert ".. versionadded::" in doc


@pytest.mark.parametrize("path, node", public_functions())
def test_a_public_function_is_documented(path, node):
    doc = ast.get_docstring(node) or ""
    assert doc.split("\n\n")[0].endswith("."), "it begins with a sentence"
    assert ".. versionadded::" in doc
    assert parameters(node) <= documented_parameters(doc)
    if node.name == "mod_watch":
        assert ":py:func:`" in doc, "it says which state's hook it is"
    elif path.parent.name == "_states":
        assert ".. code-block:: yaml" in doc
        assert f"{path.stem}.{node.name.rstrip('_')}" in doc.split("code-block")[1]
    else:
        assert "CLI Example:" in doc
        assert ".. code-block:: bash" in doc
        assert f"{path.stem}.{node.name.rstrip('_')}" in doc.split("CLI Example:")[1]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_argument_specifications_can_be_pickled(path):
    """``sys.argspec`` and the master's job both send them on."""
    module = load(path)
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if not name.startswith("_") and function.__module__ == module.__name__:
            pickle.dumps(inspect.getfullargspec(function))


# Every SLS, for every kind of minion in the example site


@pytest.fixture(scope="module")
def grains(minion_opts):
    found = salt.loader.grains(minion_opts)
    return {**found, "os": "Debian", "os_family": "Debian", "oscodename": "bookworm", "osmajorrelease": 12}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    root = tmp_path_factory.mktemp("secrets")
    for name, data in SECRETS.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(json.dumps(data))
    return root


@pytest.fixture(scope="module")
def minion(minion_opts, grains, secrets):
    """Execution modules and states as the minion of an id has them, with the example site's pillar for that id."""

    def loaded(name, local=None):
        (secrets / "local.sls").write_text(json.dumps(local or {}))
        opts = {**minion_opts, "id": name, "grains": {**grains, "id": name}}
        opts["pillar_roots"] = {"base": [str(ROOT / "pillar"), str(secrets)]}
        opts["pillar"] = salt.pillar.get_pillar(opts, opts["grains"], name, saltenv="base").compile_pillar()
        assert "_errors" not in opts["pillar"]
        utils, serializers = salt.loader.utils(opts), salt.loader.serializers(opts)
        modules = salt.loader.minion_mods(opts, utils=utils)
        return modules, salt.loader.states(opts, modules, utils, serializers)

    return loaded


def sls_name(path, root):
    name = ".".join(path.relative_to(root).with_suffix("").parts)
    return name.removesuffix(".init")


def checked(chunks, states):
    """The low chunks, each a state that exists, called with arguments that it has."""
    wrong = [line for line in chunks if not isinstance(line, dict)]
    assert not wrong, "\n".join(map(str, wrong))
    for chunk in chunks:
        function = states[f"{chunk['state']}.{chunk['fun']}"]
        format_call(function, chunk, expected_extra_kws=STATE_INTERNAL_KEYWORDS)
    return chunks


@pytest.mark.parametrize("name", MINIONS)
def test_every_sls_compiles_for(name, minion):
    modules, states = minion(name)
    for path in SLS["salt"]:
        if path.name != "top.sls":
            checked(modules["state.show_low_sls"](sls_name(path, ROOT / "salt")), states)


def test_a_guests_name_is_a_text_whatever_it_looks_like(minion):
    dns = {"name": "8", "domain": "yes", "address": "192.168.150.1/24", "resolver": "resolved"}
    host = {"guests": {"101": {}, "no": {}}, "gone": ["102", "off"], "vm": {"clone": {"template": "12"}}}
    modules, _ = minion("ws001.cordoba", {"branch": {"dns": dns, "hosts": {"ws001": host}}})
    for name in ("branch.guests", "branch.guests.made"):
        chunks = modules["state.show_low_sls"](name)
        names = {chunk["name"] for chunk in chunks if chunk["state"] in ("libvirt_clone", "dnsmasq_fwd")}
        assert names == {"101", "no", "102", "off", "12", "desktop", "win-001", "till-1", "till-2", "8"}
        assert [chunk["domain"] for chunk in chunks if chunk["fun"] == "resolver"] == ["yes"]


@pytest.mark.parametrize("sls", ["branch.guests", "branch.guests.made"])
def test_a_fault_of_the_branchs_pillar_stops_a_run_for_its_guests_first(minion, sls):
    modules, _ = minion("ws001.cordoba", {"branch": {"hosts": {"ws001": {"number": 0}}}})
    first = modules["state.show_low_sls"](sls)[0]
    assert (first["__id__"], first["failhard"]) == ("branch-pillar", True)
    assert [state["result"] for state in modules["state.sls_id"]("branch-pillar", sls).values()] == [False]


@pytest.mark.parametrize("install", INSTALLS, ids=lambda install: install["method"])
def test_every_way_to_install_compiles(install, minion):
    modules, states = minion("s1a.dc", {"mongodb": {"install": install}})
    checked(modules["state.show_low_sls"]("mongodb.install"), states)


@pytest.mark.parametrize("name", MINIONS)
def test_a_highstate_compiles_for(name, minion):
    modules, states = minion(name)
    chunks = checked(modules["state.show_lowstate"](), states)
    assert bool(chunks) is ("." in name)
    ids = [(chunk["state"], chunk["__id__"], chunk["fun"], chunk["name"]) for chunk in chunks]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name, own", [("ws001.cordoba", "branch-workstation"), ("gw.cordoba", "branch-gateway")])
def test_a_branchs_change_is_confirmed_right_after_it(name, own, minion):
    """Its timer runs; what was taken back before it could be confirmed is done again, and a dry run shows it once."""
    modules, _ = minion(name)
    once, again, dry = (
        [chunk["__id__"] for chunk in modules["state.show_low_sls"](sls, test=test)]
        for sls, test in (("branch", False), ("branch.confirmed", False), ("branch.confirmed", True))
    )
    assert once[:3] == again == ["branch-pillar", own, "branch-confirmed"]
    assert dry == ["branch-confirmed"]


def test_every_orchestration_compiles_on_the_master(minion):
    modules, states = minion("hq_master")
    for path in SLS["orchestrate"]:
        assert checked(modules["state.show_low_sls"](sls_name(path, ROOT)), states)


def test_the_openstack_orchestration_runs_on_the_master_or_on_the_minion_that_is_named(minion):
    for local, state in (({}, "neutron_vlan"), ({"openstack": {"minion": "api.dc"}}, "salt")):
        modules, states = minion("hq_master", local)
        chunks = checked(modules["state.show_low_sls"]("orchestrate.openstack"), states)
        assert [chunk["state"] for chunk in chunks if chunk["__id__"] == "openstack-vlans"] == [state]


# The library: what its modules import is below them


def imports_of(path):
    """The library's files that a file imports, by their names from the library's folder on."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("onepass_lib."))
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("onepass_lib"):
            inside = ROOT.joinpath("_modules", *node.module.split("."))
            names = [f"{node.module}.{each.name}" for each in node.names]
            yield from names if inside.is_dir() else [node.module]


def dotted(path):
    return ".".join(path.relative_to(ROOT / "_modules").with_suffix("").parts).removesuffix(".__init__")


ARROWS = {dotted(path): set(imports_of(path)) for path in library()}


def below(name, seen=()):
    assert name not in seen, f"a circle: {' -> '.join([*seen, name])}"
    return {name}.union(*(below(each, (*seen, name)) for each in ARROWS[name]))


def test_imports_of_the_library_end_and_point_to_files_that_there_are():
    assert all(below(name) <= ARROWS.keys() for name in ARROWS)
    assert sum(map(len, ARROWS.values())) > 20


def test_an_area_imports_from_itself_and_the_core_only():
    for name, arrows in ARROWS.items():
        areas = {each.split(".")[1] for each in arrows}
        assert areas <= {"core", *name.split(".")[1:2]}, name


@pytest.mark.parametrize("path", library(), ids=dotted)
def test_the_library_is_plain_python(path):
    """Nothing of Salt's loader in it, its own imports absolute and at the top."""
    parsed = ast.parse(path.read_text())
    names = {node.id for node in ast.walk(parsed) if isinstance(node, ast.Name) and re.fullmatch("__[a-z]+__", node.id)}
    assert names <= ({"__name__", "__file__", "__load__"} if path.name == "__init__.py" else set())
    inner = [node for node in ast.walk(parsed) if isinstance(node, ast.ImportFrom) and node not in parsed.body]
    assert not [node.module for node in inner if str(node.module).startswith("onepass_lib") or node.level]


@pytest.mark.parametrize(
    "path", [path for path in sources("_modules") if "import onepass_lib" in path.read_text()], ids=str
)
def test_a_module_has_the_library_looked_at_before_it_imports_from_it(path):
    lines = [line for line in path.read_text().splitlines() if "onepass_lib" in line]
    assert lines[:2] == ["import onepass_lib", "onepass_lib.look(__file__)"]
    taken = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)]
    functions = {
        each.name
        for node in taken
        if str(node.module).startswith("onepass_lib")
        for each in node.names
        if each.name[0].islower() and f"{node.module}.{each.name}" not in ARROWS
    }
    assert not functions, "Salt's loader would take them for this module's own"


def test_what_a_module_asks_the_loader_for_is_there():
    """Of the bundle's own functions, by their names in the code."""
    there = {
        f"{path.stem}.{node.name.rstrip('_')}"
        for path in map(ROOT.joinpath, MODULES)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    own = {name.partition(".")[0] for name in there}
    asked = {
        name
        for path in map(ROOT.joinpath, MODULES)
        for name in re.findall(r'__salt__\["(\w+\.\w+)"\]', path.read_text())
        if name.partition(".")[0] in own
    }
    assert asked <= there
    assert len(asked) > 200
