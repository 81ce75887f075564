"""How the documentation is built; the command is in the README under *Develop*."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import spikehouse

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).parent
BUILD = DOCS / "_build"
PACKAGE = Path(spikehouse.__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))

project = "spikehouse"
author = "The spikehouse developers"
copyright = f"2026, {author}"
version = release = spikehouse.__version__

# what pages and examples compute from is simulated once, into one folder for all of them
os.environ |= {
    "XDG_CACHE_HOME": str(BUILD / "cache"),
    "SPIKEHOUSE_PROGRESS": "0",
    "MATPLOTLIBRC": str(DOCS / "matplotlibrc"),
}

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "parameter_types",
    "pages_from_code",
    "pages_from_results",
    "sphinx_design",
    "sphinx_copybutton",
    "notfound.extension",
    "sphinxext.opengraph",
    "sphinx_sitemap",
    "texts_for_models",
    "sphinx_llms_txt",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = [
    "_*",
    "examples",
    # the gallery's downloads are no pages
    *("gallery/*.ipynb", "gallery/*.py", "**sg_execution_times.rst"),
]
templates_path = ["_templates"]
nitpicky = True
smartquotes = False  # --help is not –help
default_role = "code"
toc_object_entries_show_parents = "hide"

# kernels do not read the user's settings, and say errors only
_profile = BUILD / "ipython" / "profile_default"
_profile.mkdir(parents=True, exist_ok=True)
(_profile / "ipython_kernel_config.py").write_text('get_config().IPKernelApp.log_level = "ERROR"\n')
os.environ["IPYTHONDIR"] = str(_profile.parent)

# -- pages -----------------------------------------------------------------------------------------
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "substitution"]
myst_substitutions = {"version": version}
myst_heading_anchors = 3

# results, those of the gallery too, are kept for this very source of the package
_source = hashlib.sha256()
for _path in sorted(PACKAGE.rglob("*.py")):
    _source.update(_path.read_bytes())
_executed = BUILD / "executed" / _source.hexdigest()[:16]
if not _executed.exists():
    shutil.rmtree(_executed.parent, ignore_errors=True)
    shutil.rmtree(DOCS / "gallery", ignore_errors=True)
nb_execution_mode = "cache"
nb_execution_cache_path = str(_executed)
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_in_temp = True  # what a page writes is not kept
nb_merge_streams = True

# -- the gallery -----------------------------------------------------------------------------------
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "backreferences_dir": "gallery/of",
    "doc_module": "spikehouse",
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "plot_gallery": True,
    "parallel": True,  # as -j says
    "capture_repr": (),
    "within_subsection_order": "gallery_order.BySubject",
    "min_reported_time": 1e9,
}

# -- the reference ---------------------------------------------------------------------------------
autodoc_typehints = "none"  # parameter_types writes them into the docstrings
autosummary_generate = True
autosummary_generate_overwrite = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# -- the site --------------------------------------------------------------------------------------
# where the site will be; unless told, a server of `python -m http.server` on this machine
html_baseurl = os.environ.get("SPIKEHOUSE_DOCS_URL", "http://localhost:8000/").rstrip("/") + "/"
html_theme = "pydata_sphinx_theme"
html_title = "spikehouse"
html_logo = html_favicon = str(PACKAGE / "explore" / "static" / "icon.svg")
html_static_path = [
    *("_static", "figures/explore-unit.png"),
    str(PACKAGE / "explore" / "static" / "vendor" / "inter"),
]
html_css_files = ["site.css"]
html_domain_indices = False
html_copy_source = True
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "spikehouse"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "pygments_light_style": "github-light-colorblind",
    "pygments_dark_style": "github-dark-colorblind",
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_context = {"default_mode": "auto"}
# pages without others below them
html_sidebars = dict.fromkeys(("index", "start", "published-results", "changelog", "cite"), ())

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

notfound_urls_prefix = urlsplit(html_baseurl).path
ogp_site_url = html_baseurl
ogp_image = "_static/explore-unit.png"
ogp_social_cards = {"enable": False}
sitemap_url_scheme = "{link}"
sitemap_excludes = ["404.html", "genindex.html", "search.html"]
llms_txt_summary = (
    "spikehouse is a Python library and command for the Allen Brain Observatory's Neuropixels "
    "recordings: open a session, align spikes to stimuli, compute tuning metrics, decode, plot."
)


def remove_pages(
    app: Sphinx, _env: object, _new: object, _changed: object, gone: set[str]
) -> set[str]:
    """Remove what an earlier build made of pages that are no longer there."""
    for name in gone:
        (app.outdir / f"{name}.html").unlink(missing_ok=True)
    return set()


def setup(app: Sphinx) -> None:
    """Tell Sphinx what to do besides."""
    app.connect("env-get-outdated", remove_pages)
