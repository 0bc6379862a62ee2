"""What a notebook shows: diagrams with links, bars, representations."""

import subprocess
import sys
from email.message import Message
from pathlib import Path

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

import sklearn_cpc
from sklearn_cpc import CPCImageTransformer, CPCTransformer, _documentation
from sklearn_cpc._base import BaseCPC

X = np.random.default_rng(0).normal(size=(10, 30)).cumsum(1)


def metadata(*urls):
    """Return a function that takes the place of `importlib.metadata.metadata`."""
    message = Message()
    for url in urls:
        message["Project-URL"] = url
    return lambda name: message


def test_diagram_links_to_the_page_of_the_estimator(monkeypatch):
    site = metadata(
        "Source, https://a.test/code", "Documentation, https://a.test/docs/"
    )
    monkeypatch.setattr(_documentation, "metadata", site)
    monkeypatch.setattr(BaseCPC, "_doc_link_template", _documentation.page_template())
    html = estimator_html_repr(make_pipeline(CPCTransformer(lr=0.1), StandardScaler()))
    assert (
        'href="https://a.test/docs/generated/sklearn_cpc.CPCTransformer.html"' in html
    )
    assert "Documentation for CPCTransformer" in html
    html = estimator_html_repr(CPCImageTransformer())
    assert "/generated/sklearn_cpc.CPCImageTransformer.html" in html


@pytest.mark.parametrize("urls", [(), ("Source, https://a.test/code",)])
def test_no_address_no_link(monkeypatch, urls):
    monkeypatch.setattr(_documentation, "metadata", metadata(*urls))
    monkeypatch.setattr(BaseCPC, "_doc_link_template", _documentation.page_template())
    html = estimator_html_repr(CPCTransformer(lr=0.1))
    assert "generated/sklearn_cpc" not in html
    assert 'href="https://scikit-learn.org' not in html


def test_the_page_is_one_that_the_docs_build():
    """autosummary names it after the module in docs/api.rst."""
    api = Path(__file__).parent.parent / "docs" / "api.rst"
    module, _, names = (
        api.read_text().partition(".. currentmodule:: ")[2].partition("\n")
    )
    assert module == "sklearn_cpc"
    assert ":toctree: generated" in names.partition("CPCTransformer")[0]


def test_representation_of_a_stream():
    stream = CPCTransformer(max_epochs=0).fit(X).stream()
    stream.push(X[0, :7])
    assert repr(stream) == "Stream(n_streams=None, n_steps_seen=7)"


NOTEBOOK = """
import sys, types

class Shell:
    config = {"IPKernelApp": {}}

ipython = types.ModuleType("IPython")
ipython.get_ipython = Shell
sys.modules["IPython"] = ipython
sys.modules["ipykernel.zmqshell"] = types.ModuleType("ipykernel.zmqshell")
sys.modules["ipywidgets"] = sys.modules["IPython.html.widgets"] = None

import numpy as np
from sklearn_cpc import CPCTransformer

X = np.random.default_rng(0).normal(size=(10, 30)).cumsum(1)
CPCTransformer(max_epochs=2, latent_size=4, verbose=VERBOSE).fit(X)
from tqdm.notebook import IProgress
assert IProgress is None  # there are no widgets
"""


@pytest.mark.parametrize("verbose", [0, 1])
def test_a_notebook_without_widgets_gets_a_bar_of_text_and_no_warning(verbose):
    code = NOTEBOOK.replace("VERBOSE", str(verbose))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert ("CPC: 100%" in done.stderr) == bool(verbose)
    assert ("loss=" in done.stderr) == bool(verbose)
    assert "Warning" not in done.stderr


def test_the_package_is_typed():
    assert (Path(sklearn_cpc.__file__).parent / "py.typed").exists()
