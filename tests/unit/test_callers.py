"""What runs programs or writes at its caller's will answers the bundle alone; no such function is forgotten."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import salt.executors.direct_call
import yaml
from salt.exceptions import CommandExecutionError

import tree
from tree import ROOT

GUARDS = ('__salt__["onepass_host.internal"]()', "internal()")
REFUSED = "is not for callers from outside: only Onepass's own functions may call it"
# Arguments that name a thing, which the function looks up itself, or that say how long and how: all that a caller can
# reach by these are the bundle's own acts. Whatever else an argument is called, it may say what is run or written.
NAMES = {
    *("name", "names", "template", "options", "start", "until", "timeout", "interval", "test", "force", "restart"),
    *("within", "reach", "bridge", "take", "backend", "way", "cloud", "clouds_yaml", "connection", "hosts", "members"),
    *(
        "replset",
        "replsets",
        "database",
        "primary_shard",
        "key",
        "unique",
        "concern",
        "remove_extra",
        "turn",
        "written",
    ),
    *("table", "network", "project", "remove_project", "login", "role", "arguments", "keys", "admin", "config_server"),
    *("vm", "interface", "address", "server", "kind", "port", "ports", "mac", "domain", "present", "pillar", "answers"),
}
# Of those that take other arguments, the ones that only read or compute.
READ = {
    *("bridge_nat_check.conditions", "bridge_nat_flows.stale", "bridge_nat_tables.normal"),
    *("dnsmasq_host.has_ended", "dnsmasq_host.process", "libvirt_disk.header", "libvirt_guest.reached"),
    *("libvirt_host.refuse", "libvirt_make.wanted", "libvirt_plan.observe", "libvirt_template.users"),
    *("libvirt_xml.derive", "libvirt_xml.own_path", "mongo_config.settings", "mongo_daemon.observe"),
    *("mongo_index.indexes", "mongo_replset.observe", "mongo_shard.shard_hosts"),
    *("mongo_user.observe", "neutron_vlan.lint", "pillar_files.located", "pillar_files.oddities"),
    *(
        "ds_plan.steps",
        "ds_read.all_of",
        "ds_replica.graph",
        "ds_replica.plan",
        "ds_replica.check",
        "ds_replica.status",
        "ds_report.servers",
        "ds_rules.conditions",
        "ds_rules.initialisation",
    ),
    *(
        "mongo_arguments.refusal",
        "mongo_daemon.extras",
        "mongo_daemon.set_of",
        "mongo_members.refuse_kind",
        "mongo_members.refuse_twice",
    ),
    *("mongo_members.seen", "mongo_place.loopback", "mongo_place.refuse", "mongo_replset.refusal"),
    *(
        "mongo_members.own_state",
        "mongo_units.needed",
        "mongo_units.observe",
        "orchestration.causes",
        "orchestration.plan",
        "orchestration.summary",
    ),
    *("orchestration_changes.rows", "orchestration_told.ended", "orchestration_told.explained"),
    *("orchestration_told.planned", "pillar_files.unread", "pillar_files.unreadable"),
}
SYSTEM = re.compile(
    r"subprocess\.\w+|os\.(unlink|remove|rmdir|replace|rename|link|chmod|chown|kill|makedirs|open)|shutil\.(rmtree|copyfile)|open"
    r"|.*\.(write_text|write_bytes|unlink|mkdir|touch|symlink_to|atomic_open|sendto|defineXML|undefineFlags|refresh)"
)
SALTS_OWN = re.compile(r"(cmd|service|file|pkg|group|user|sysctl)\.[a-z_]+")


def parsed(paths):
    """Each function by its file's name and its own, also a class's, and each table that they look others up in."""
    found = {}
    for path in paths:
        tops = ast.parse(path.read_text()).body
        for node in [*tops, *(each for top in tops if isinstance(top, ast.ClassDef) for each in top.body)]:
            if isinstance(node, ast.FunctionDef):
                found[f"{path.stem}.{node.name}"] = node
            elif isinstance(node, ast.Assign):
                found |= {f"{path.stem}.{each.id}": node for each in node.targets if isinstance(each, ast.Name)}
    return found


FACES = parsed(tree.sources("_modules"))
FUNCTIONS = parsed(tree.library()) | FACES


def named(function):
    """What a function's text names: calls, strings such as those that ``__salt__`` has, and names of its own module."""
    home = function.partition(".")[0]
    for node in ast.walk(FUNCTIONS[function]):
        if isinstance(node, ast.Call):
            yield ".".join(ast.unparse(node.func).split(".")[-2:])
        if isinstance(node, ast.Name):
            yield f"{home}.{node.id}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        if isinstance(node, ast.JoinedStr) and re.fullmatch(r"\.\w+", str(getattr(node.values[-1], "value", ""))):
            first = node.values[0].value if isinstance(node.values[0], ast.Constant) else home.partition("_")[0]
            yield from (each for each in FUNCTIONS if each.startswith(first) and each.endswith(node.values[-1].value))


def acts(function, seen):
    """Whether a function reaches a program, a file, or what is guarded itself."""
    if function in seen:
        return False
    seen.add(function)
    for name in named(function):
        if SYSTEM.fullmatch(name) or SALTS_OWN.fullmatch(name):
            return True
        if name in FUNCTIONS and (guarded(name) or acts(name, seen)):
            return True
    return False


def guarded(function):
    body = getattr(FUNCTIONS[function], "body", ())
    return len(body) > 1 and ast.unparse(body[1]).replace("'", '"') in GUARDS


def steered(function):
    """The arguments by which a caller may say what is run or written."""
    given = FUNCTIONS[function].args
    return {each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)} - NAMES


PUBLIC = [name for name, node in FACES.items() if isinstance(node, ast.FunctionDef) and name.split(".")[1][0] != "_"]


def test_no_function_does_what_any_caller_says():
    able = {function for function in PUBLIC if steered(function) and acts(function, set())}
    assert {function for function in able if not guarded(function)} == READ
    assert len({function for function in PUBLIC if guarded(function)}) > 40


def test_what_answers_with_a_password_answers_the_bundle_alone():
    docs = {name: ast.get_docstring(FUNCTIONS[name]) or "" for name in PUBLIC}
    holders = {name for name, text in docs.items() if "Holds the password" in text}
    assert len(holders) > 1 and {name for name in holders if not guarded(name)} == set()


def by_a_job(modules, function, *arguments, **named):
    """As a minion executes a job of its master, and ``salt-call`` its command."""
    return salt.executors.direct_call.execute(modules.opts, {}, modules[function], arguments, named)


@pytest.mark.parametrize(
    "function, arguments",
    [
        ("onepass_host.run", [["touch", "PATH"]]),
        ("onepass_host.read", ["/etc/hostname"]),
        ("onepass_host.write", ["PATH", "text"]),
        ("bridge_nat_guard.put", ["PATH", "text"]),
        ("dnsmasq_host.attach", ["no-device", "no-bridge"]),
        ("mongo_client.command", [{"ping": 1}]),
        ("onepass_nft.run", ["list tables"]),
    ],
)
def test_a_job_is_refused(modules, tmp_path, function, arguments):
    path = tmp_path / "written"
    arguments = [yaml.safe_load(yaml.safe_dump(each).replace("PATH", str(path))) for each in arguments]
    with pytest.raises(CommandExecutionError, match=f"^{function} {REFUSED}$"):
        by_a_job(modules, function, *arguments)
    assert not path.exists()


@pytest.mark.skipif(not shutil.which("ip"), reason="iproute2 is missing")
def test_what_stands_for_it_answers_a_job(modules):
    assert "lo" in by_a_job(modules, "dnsmasq_host.links")  # by onepass_host.run and read


CALLER = "def asked():\n    return __salt__['onepass_host.read']('/proc/version')\n"


@pytest.mark.parametrize("way", ["synced", "folder", "installed", "elsewhere"])
@pytest.mark.parametrize("name", ["dnsmasq_host", "onepass_lib/core/steps", "sites_own"])
def test_another_copy_of_the_bundle_is_no_outsider(minion_opts, tmp_path, monkeypatch, way, name):
    """As when a package is installed where Salt has synced modules too: each is loaded from where it is found first."""
    place = {"installed": "saltext/onepass/modules"}.get(way, "modules")
    path = tmp_path / place / f"{name}.py"
    path.parent.mkdir(parents=True)
    path.write_text(CALLER)
    monkeypatch.syspath_prepend(str(tmp_path) if way == "installed" else str(tmp_path / "none"))
    opts = {**minion_opts, "grains": {}, "extension_modules": str(tmp_path if way == "synced" else tmp_path / "none")}
    opts["module_dirs"] = [*([str(tmp_path)] if way == "folder" else []), str(tree.ROOT)]
    host = tree.functions("onepass_host", __opts__=opts)
    caller = tree.load(path, __salt__=host)
    if way == "elsewhere" or name == "sites_own":
        with pytest.raises(CommandExecutionError, match=f"^onepass_host.read {REFUSED}$"):
            caller.asked()
    else:
        assert caller.asked()


@pytest.mark.skipif(not shutil.which("ip"), reason="iproute2 is missing")
def test_a_state_is_served_and_another_state_of_salts_is_not(states, modules, tmp_path):
    path = tmp_path / "written"
    ret = states.module.run(name="onepass_host.write", path=str(path), text="text")
    assert (ret.result, path.exists()) == (False, False)
    assert f"onepass_host.write {REFUSED}" in ret.comment
    ret = states.dnsmasq_fwd.absent(name="nothing", backend="bridge", test=True)
    assert (ret.result, ret.changes) == (True, {})


def test_a_template_is_refused(modules):
    with pytest.raises(Exception, match=REFUSED):
        modules.slsutil.renderer(string="{{ salt['onepass_host.read']('/etc/hostname') }}", default_renderer="jinja")


@pytest.mark.skipif(not Path(sys.prefix, "bin/salt-call").exists(), reason="no salt-call beside this Python")
def test_salt_call_shows_the_refusal_alone(tmp_path):
    (tmp_path / "minion").write_text(f"root_dir: {tmp_path}\nenable_fqdns_grains: false\n")
    words = ["--local", "-m", ".", f"--config-dir={tmp_path}", f"--log-file={tmp_path / 'log'}"]
    command = [f"{sys.prefix}/bin/salt-call", *words, "onepass_host.run", f"[touch, {tmp_path / 'written'}]"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode != 0
    assert f"onepass_host.run {REFUSED}" in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
    assert not (tmp_path / "written").exists()
