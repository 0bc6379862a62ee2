"""Sphinx configuration: `sphinx-build -W docs docs/_build/html`. Needs no network."""

import sys
from pathlib import Path

# For the gallery, which looks examples up before it runs them.
from sklearn.experimental import enable_halving_search_cv  # noqa: F401

import sklearn_cpc

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
import inventories
import site_pages

project = "sklearn_cpc"
author = "sklearn_cpc developers"
version = release = sklearn_cpc.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "site_pages",
]
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = f"sklearn_cpc {release}"
html_theme_options = {
    "show_prev_next": False,
    "icon_links": [
        {
            "name": "Source",
            "url": site_pages.repository(),
            "icon": "fa-brands fa-github",
        }
    ],
}
# Pages without pages below them have nothing to show in a sidebar.
html_sidebars = {
    page: []
    for page in (
        "index",
        "install",
        "getting_started",
        "benchmarks",
        "comparison",
        "faq",
        "glossary",
        "changelog",
    )
}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

intersphinx_mapping = inventories.mapping()
intersphinx_disabled_reftypes = ["std:*"]
autodoc_default_options = {"members": True}
autodoc_typehints = "none"  # the docstrings have the types
# They need an older numpy than the docs are built with.
autodoc_mock_imports = ["aeon", "sktime"]
default_role = "code"
# A reference to a public name of this package must find it; others are not looked up.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!sklearn_cpc\.[^_]).*")]
toc_object_entries_show_parents = "hide"
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False

# Neither prompts nor outputs are copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_selector = "div:not(.sphx-glr-script-out) > div.highlight > pre"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "abort_on_example_error": True,
    "within_subsection_order": "site_pages.order_of_examples",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_cpc",),
    "reference_url": {"sklearn_cpc": None},
}
