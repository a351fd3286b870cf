"""The pictures of README, into docs/_static:  pictures.py LOG [FOLDER]    LOG is what `make demo` said."""

import getpass
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[2]
TYPED = "$ salt-run onepass.run\n"
DONE = re.compile(r"orchestrate\.\w+ is done: ")
CUT = "..."
WIDEST = 84  # columns: more would be too small to read beside the other picture


def main(log, target=ROOT / "docs/_static"):
    recorded = recording(shown(Text.from_ansi(log.read_text(errors="replace")).plain))
    (target / "run.svg").write_text(recorded)
    draw_estate(target / "estate.svg")


def shown(said):
    """The first run, without the middle of what it told as it went; of each later one how it ended."""
    first, *later = [part.partition("\n\n")[0].splitlines() for part in said.split(TYPED)[1:]]
    end = next(number for number, line in enumerate(first) if DONE.match(line))
    live, phases = first[:end], first[end:]
    lines = [TYPED.strip(), *live[:13], CUT, *live[-4:], *phases[:18]]
    for run in later:
        lines += [TYPED.strip(), CUT, *filter(DONE.match, run)]
    return lines


def recording(lines):
    """A terminal as an SVG that takes no font from the network and keeps the spaces at a line's begin."""
    width = min(WIDEST, max(map(len, lines)))
    console = Console(record=True, file=io.StringIO(), width=width, color_system="truecolor")
    for line in lines:
        console.print(Text(line, style=style(line)), no_wrap=True, overflow="ellipsis")
    svg = console.export_svg(title="make demo", unique_id="run")
    svg = svg.replace("Fira Code, ", "").replace("<svg ", '<svg xml:space="preserve" ', 1)
    return re.sub(r"<!--.*?-->|@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)


def style(line):
    if line.startswith("$"):
        return "bold"
    return "bold green" if DONE.match(line) else ""


def draw_estate(path):
    """The example site's, by a master that has nothing but its pillar, and no secrets in it."""
    with tempfile.TemporaryDirectory() as home:
        secrets = Path(home, "pillar/secrets")
        for folder in (secrets, Path(home, "var/cache/salt/master/proc")):
            folder.mkdir(parents=True)
        for name in ("mongodb", "mongodb_users"):
            (secrets / f"{name}.sls").write_text("{}")
        settings = {
            "root_dir": home,
            "user": getpass.getuser(),
            "id": "hq_master",
            "module_dirs": [str(ROOT)],
            "runner_dirs": [str(ROOT / "_runners")],
            "pillar_roots": {"base": [str(ROOT / "pillar"), str(secrets.parent)]},
        }
        Path(home, "master").write_text(yaml.safe_dump(settings))
        salt_run = [Path(sys.executable).with_name("salt-run"), f"--config-dir={home}", f"--log-file={home}/log"]
        subprocess.run([*salt_run, "onepass.graph", path, "title=The bank"], check=True, timeout=120)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
