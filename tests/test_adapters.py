"""The adapters to aeon and sktime, by the checks, loaders and pipelines of these.

They need an older numpy than the tested set has: CI has an environment for them.
"""

import re
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCTransformer, adapters
from sklearn_cpc.datasets import load_japanese_vowels

ROOT = Path(__file__).parent.parent
NEEDED = "needs the extra "
SMALL = {"latent_size": 8, "context_size": 8, "max_epochs": 2, "random_state": 0}
OURS = load_japanese_vowels()


@contextmanager
def their_own_warnings():
    """Ignore what other libraries warn of in each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def library(name):
    with their_own_warnings():
        return pytest.importorskip(name, reason=NEEDED + name.split(".")[0])


def classifier():
    return LogisticRegression(max_iter=1000)


@pytest.mark.parametrize("name", adapters.__all__)
def test_a_library_that_is_missing(name, monkeypatch):
    needed = adapters.LIBRARIES[name]

    def refuse(module):
        raise ImportError(module)

    monkeypatch.setattr(adapters, "import_module", refuse)
    with pytest.raises(ImportError, match=rf'pip install "sklearn-cpc\[{needed}\]"'):
        getattr(adapters, name)


def test_nothing_else_is_there():
    with pytest.raises(AttributeError, match="no attribute 'CPCForecaster'"):
        adapters.CPCForecaster  # noqa: B018


# ---- aeon


def aeon_transformer(**options):
    library("aeon")
    with their_own_warnings():
        return adapters.CPCCollectionTransformer(CPCTransformer(**SMALL | options))


def test_checks_of_aeon():
    checking = library("aeon.testing.estimator_checking")
    with their_own_warnings():
        results = checking.check_estimator(type(aeon_transformer()))
    assert len(results) >= 20
    assert {name: r for name, r in results.items() if r != "PASSED"} == {}


def test_loaders_of_aeon():
    """Series of different lengths, channels first, and of one length."""
    datasets = library("aeon.datasets")
    with their_own_warnings():
        X, y = datasets.load_japanese_vowels(split="train")
        cpc = aeon_transformer()
        features = cpc.fit_transform(X, y)
    expected = CPCTransformer(**SMALL).fit_transform([x.T for x in X])
    np.testing.assert_array_equal(features, expected)
    plain = CPCTransformer(**SMALL, channels_first=True).fit_transform(X)
    np.testing.assert_array_equal(features, plain)
    with their_own_warnings():
        X, _ = datasets.load_basic_motions(split="train")
        features = aeon_transformer().fit_transform(X)
    assert X.shape == (40, 6, 100)
    plain = CPCTransformer(**SMALL).fit_transform(X.transpose(0, 2, 1))
    np.testing.assert_array_equal(features, plain)


def code_of_the_docs(name):
    """Return the block of code for a library."""
    page = (ROOT / "docs" / "interop.md").read_text(encoding="utf-8")
    _, _, rest = page.partition(f"**{name}** (extra")
    lines = re.search(r"```python\n(.*?)```", rest, re.DOTALL)[1].splitlines()
    assert len(lines) < 25
    return "\n".join(lines)


def accuracy_of_the_docs(name):
    names = {}
    with their_own_warnings():
        exec(code_of_the_docs(name), names)
    return names["accuracy"]


def test_a_pipeline_of_aeon():
    library("aeon")
    assert accuracy_of_the_docs("aeon") > 0.9
    assert aeon_transformer().get_params()["cpc__latent_size"] == 8


# ---- sktime


def sktime_transformer(**options):
    library("sktime")
    with their_own_warnings():
        return adapters.CPCPanelTransformer(CPCTransformer(**SMALL | options))


@pytest.mark.slow
def test_checks_of_sktime():
    checks = library("sktime.utils.estimator_checks")
    with their_own_warnings():
        results = checks.check_estimator(type(sktime_transformer()), verbose=False)
    assert len(results) > 100
    assert {name: r for name, r in results.items() if r != "PASSED"} == {}


@pytest.mark.parametrize(
    "mtype", ["nested_univ", "df-list", "pd-multiindex", "numpy3D"]
)
def test_loaders_and_panels_of_sktime(mtype):
    datasets = library("sktime.datasets")
    types = library("sktime.datatypes")
    with their_own_warnings():
        if mtype == "numpy3D":
            X, _ = datasets.load_basic_motions(split="train", return_type=mtype)
            expected = X.transpose(0, 2, 1)
        else:
            X, _ = datasets.load_japanese_vowels(split="train")
            expected = [frame.to_numpy() for frame in types.convert_to(X, "df-list")]
            X = types.convert_to(X, mtype)
        features = sktime_transformer().fit_transform(X)
    cpc = CPCTransformer(**SMALL).fit(expected)
    np.testing.assert_array_equal(features, cpc.transform(expected))
    assert features.columns.tolist() == cpc.get_feature_names_out().tolist()


def test_a_pipeline_of_sktime():
    library("sktime")
    assert accuracy_of_the_docs("sktime") > 0.9
    assert sktime_transformer().get_params()["cpc__latent_size"] == 8


# ---- tslearn needs no adapter


def test_data_sets_of_tslearn():
    """Series of different lengths end with NaN."""
    utils = library("tslearn.utils")
    with their_own_warnings():
        X = utils.to_time_series_dataset(OURS.data[::9])
    assert np.isnan(X).any()
    features = CPCTransformer(**SMALL, nan_policy="mask").fit_transform(X)
    expected = CPCTransformer(**SMALL).fit_transform(OURS.data[::9])
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_loaders_of_tslearn():
    datasets = library("tslearn.datasets")
    with their_own_warnings():
        X, y, X_test, _ = datasets.CachedDatasets().load_dataset("Trace")
    assert X.shape == (100, 275, 1)
    cpc = CPCTransformer(**SMALL).fit(X)
    pipe = classifier().fit(StandardScaler().fit_transform(cpc.transform(X)), y)
    assert pipe.classes_.tolist() == [1, 2, 3, 4]
    assert cpc.transform(X_test).shape[0] == 100
