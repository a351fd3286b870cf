"""The site that `make docs` builds from docs/ and from the modules, which are imported as they lie in the checkout."""

import configparser
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE / "_ext"), str(ROOT / "_modules"), str(ROOT / "tests")]

metadata = configparser.ConfigParser()
metadata.read(ROOT / "setup.cfg")

project = "Onepass"
release = metadata["metadata"]["version"]
project_copyright = "the authors of Onepass"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.graphviz", "generated"]
exclude_patterns = ["adopt", "_ext"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
add_module_names = False
graphviz_output_format = "svg"
# What a shell session and an SLS with Jinja hold is not always what their lexers expect.
suppress_warnings = ["misc.highlighting_failure"]
smartquotes = False
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"Onepass {release}"
html_show_sourcelink = False
html_show_copyright = False
