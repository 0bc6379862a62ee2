"""What a notebook shows: diagrams, bars, representations."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

import sklearn_cpc
from sklearn_cpc import CPCTransformer

X = np.random.default_rng(0).normal(size=(10, 30)).cumsum(1)


def test_a_diagram_links_to_the_page_of_each_estimator():
    html = estimator_html_repr(make_pipeline(CPCTransformer(lr=0.1), StandardScaler()))
    assert "Documentation for StandardScaler" in html
    links = re.findall(r'href="([^"]*sklearn_cpc[^"]*)"[^>]*>[^<]*<span>Docum', html)
    address = "https://sklearn-cpc.github.io/sklearn-cpc/generated/"
    assert links == [address + "sklearn_cpc.CPCTransformer.html"]


def test_an_estimator_of_somebody_else_has_no_link():
    class Own(CPCTransformer):
        pass

    assert "Documentation for Own" not in estimator_html_repr(Own())


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
for verbose in (0, 1):
    print("verbose", verbose, file=sys.stderr)
    CPCTransformer(max_epochs=2, latent_size=4, verbose=verbose).fit(X)
from tqdm.notebook import IProgress
assert IProgress is None  # there are no widgets
"""


@pytest.mark.slow
def test_a_notebook_without_widgets_gets_a_bar_of_text_and_no_warning():
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    silent, loud = done.stderr.removeprefix("verbose 0\n").split("verbose 1\n")
    assert silent == ""
    assert "CPC: 100%" in loud
    assert "loss=" in loud
    assert "Warning" not in loud


def test_the_package_is_typed():
    assert (Path(sklearn_cpc.__file__).parent / "py.typed").exists()
