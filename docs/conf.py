"""Sphinx configuration: `sphinx-build -W docs docs/_build/html`."""

# For the gallery, which looks examples up before it runs them.
from sklearn.experimental import enable_halving_search_cv  # noqa: F401

import sklearn_cpc

project = "sklearn_cpc"
author = "sklearn_cpc developers"
version = release = sklearn_cpc.__version__

extensions = [
    "myst_parser",  # for the tables of the benchmarks, in Markdown
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = "sklearn_cpc"
html_theme_options = {"show_prev_next": False}
# Pages without pages below them have nothing to show in a sidebar.
html_sidebars = {
    page: [] for page in ("index", "getting_started", "benchmarks", "comparison")
}
html_static_path = ["_static"]
html_css_files = ["tables.css"]

autosummary_generate = True
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

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "abort_on_example_error": True,
    "within_subsection_order": "ExampleTitleSortKey",
}
