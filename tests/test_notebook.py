"""What a notebook shows: diagrams, bars, representations."""

import re
import subprocess
import sys
import types
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


class Shown:
    """What a notebook shows: one output for each call of `display`."""

    def __init__(self):
        self.outputs = []

    def display(self, data, *, raw, display_id):
        assert raw
        assert display_id
        place = len(self.outputs)
        self.outputs.append(data["text/plain"])

        class Handle:
            def update(_, data, *, raw):
                self.outputs[place] = data["text/plain"]

        return Handle()


@pytest.fixture
def notebook(monkeypatch):
    shown, ipython = Shown(), types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(config={"IPKernelApp": {}})
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display = shown.display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    return shown


def test_a_bar_is_one_line_of_a_notebook(notebook, capsys):
    """Exported notebooks would keep each state of a bar with carriage returns."""
    cpc = CPCTransformer(max_epochs=3, latent_size=4, verbose=1).fit(X)
    (line,) = notebook.outputs
    assert line.startswith("CPC: 100%")
    assert "3/3" in line
    assert "loss=" in line
    assert "\r" not in line
    cpc.transform(X)  # takes no second, and so shows nothing
    assert len(notebook.outputs) == 1
    assert capsys.readouterr().err == ""


def test_a_notebook_that_cannot_be_reached_ends_no_fit(notebook, monkeypatch):
    def display(*args, **options):
        raise RuntimeError("the connection is closed")

    monkeypatch.setattr(sys.modules["IPython.display"], "display", display)
    assert CPCTransformer(max_epochs=1, latent_size=4, verbose=1).fit(X).n_epochs_ == 1


def test_the_package_is_typed():
    assert (Path(sklearn_cpc.__file__).parent / "py.typed").exists()
