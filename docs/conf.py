# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
How Sphinx builds this documentation.

The examples with figures are run while it is built, against a MMODA of its own on this machine (see
``local_service.py``); its environment is made by ``python -m tests.local_mmoda.environment``.
"""

import atexit
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

# before astropy is imported: examples write a configuration, a journal and caches of their own
_PLACE = Path(tempfile.mkdtemp(prefix="astroquery-mmoda-docs-"))
atexit.register(shutil.rmtree, _PLACE, ignore_errors=True)
for _name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
    os.environ[_name] = str(_PLACE / _name.lower())
    (_PLACE / _name.lower() / "astropy").mkdir(parents=True)
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
os.environ.pop("ODA_TOKEN", None)

from importlib.metadata import metadata  # noqa: E402

from sphinx.util import logging  # noqa: E402
from sphinx_astropy.conf.v2 import *  # noqa: E402, F403
from sphinx_astropy.conf.v2 import extensions, html_theme_options  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.local_tap.server import missing  # noqa: E402

_about = metadata("astroquery_mmoda")
project = "astroquery_mmoda"
author = "The astroquery_mmoda developers"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name for it
version = release = _about["Version"]

extensions += ["sphinx.ext.extlinks", "sphinx_design"]
templates_path = ["_templates"]
exclude_patterns = ["_build", "examples"]
needs_sphinx = "7.0"

# ---- links to other projects: not where there is no network

if os.environ.get("CI"):
    intersphinx_mapping = {}
else:
    nitpicky = True
    intersphinx_mapping = {
        name: (f"https://{address}/", None)
        for name, address in {
            "python": "docs.python.org/3",
            "numpy": "numpy.org/doc/stable",
            "astropy": "docs.astropy.org/en/stable",
            "astroquery": "astroquery.readthedocs.io/en/latest",
            "matplotlib": "matplotlib.org/stable",
            "pyvo": "pyvo.readthedocs.io/en/latest",
            "requests": "requests.readthedocs.io/en/latest",
        }.items()
    }
    nitpick_ignore_regex = [
        # words of numpydoc sections that are no classes
        ("py:.*", r"(optional|pair|path-like|sequence|iterable|callable|mapping)"),
        # text of docstrings that quotes a name of the service
        ("py:obj", r"(isgri|jemx|spi_acs).*"),
    ]

extlinks = {"doi": ("https://doi.org/%s", "doi:%s")}
linkcheck_ignore = [r"http://(localhost|127\.0\.0\.1).*"]

# ---- the reference

numpydoc_xref_param_type = False
numpydoc_show_class_members = False
automodsumm_inherited_members = False
suppress_warnings = ["app.add_directive", "config.cache"]

# ---- how it looks

html_theme_options = html_theme_options | {
    "navbar_align": "left",
    # all sections of the site, none of them under "More"
    "header_links_before_dropdown": 6,
    # in the column at the side: the pages of every section, that of the present page unfolded
    "navigation_depth": 2,
    "collapse_navigation": False,
    "show_nav_level": 1,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}
html_sidebars = {"index": [], "**": ["grouped-navigation"]}
html_static_path = ["_static"]
html_css_files = ["mmoda.css"]
html_title = project
html_show_sourcelink = False
htmlhelp_basename = project

# ---- examples with figures

plot_include_source = True
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = [("png", 110)]
plot_rcparams = {"figure.dpi": 110, "savefig.bbox": "tight"}
plot_apply_rcparams = True
plot_working_directory = str(_PLACE)


def _without_archive(app, docname, source):
    """Show the examples of the archive as text where nothing would answer them, and say so."""
    lacking = docname == "user_guide/archive" and missing()
    if lacking:
        note = f"This page was built without an archive, so its figure is left out: {lacking} is missing."
        logging.getLogger(__name__).info(note)
        examples = re.sub(r"(?m)^\.\. plot::(\n +:.*)*", ".. code-block:: pycon", source[0])
        source[0] = re.sub(r"(?m)^===+$", rf"\g<0>\n\n.. note::\n   {note}", examples, count=1)


def _start_service(app):
    """Let the examples of all pages ask a MMODA on this machine."""
    from astroquery import log

    from astroquery_mmoda import conf
    from docs.local_service import documented_service

    app.local_service = documented_service()
    conf.server = app.local_service.__enter__().url
    log.setLevel("WARNING")


def _stop_service(app, error):
    app.local_service.__exit__(None, None, None)


def setup(app):
    """Tie the service's life to that of a build that runs examples."""
    if app.tags.has("noexamples"):
        return
    app.connect("builder-inited", _start_service)
    app.connect("source-read", _without_archive)
    app.connect("build-finished", _stop_service)
