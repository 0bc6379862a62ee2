"""CPCTransformer among scikit-learn's tools."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_cpc import CPCTransformer
from sklearn_cpc.datasets import load_japanese_vowels

X, y = load_japanese_vowels(return_X_y=True)
X, y = X[::5], y[::5]


def cpc(**options):
    options = {"latent_size": 8, "context_size": 8, "max_epochs": 1} | options
    return CPCTransformer(random_state=0, **options)


def pipeline(transformer=None, **options):
    steps = [
        ("cpc", transformer or cpc()),
        ("scale", StandardScaler()),
        ("classify", LogisticRegression(max_iter=1000)),
    ]
    return Pipeline(steps, **options)


def stacked():
    return np.stack([x[:7] for x in X])


def nested():
    return pd.DataFrame(
        {f"lpc{i}": [pd.Series(x[:, i]) for x in X] for i in range(X[0].shape[1])}
    )


@pytest.mark.parametrize("form", [lambda: X, stacked, nested])
def test_cross_validation_of_every_form(form):
    scores = cross_val_score(
        pipeline(cpc(max_epochs=5, latent_size=24)), form(), y, cv=3
    )
    assert scores.min() > 0.5  # guessing gives 1/9


# On a busy machine joblib complains of a worker that it sent home too early.
@pytest.mark.filterwarnings("ignore:A worker stopped while some jobs:UserWarning")
@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_grid_search_of_its_own_parameters_with_labels(n_jobs):
    grid = {
        "cpc__prediction_steps": [1, 2],
        "cpc__context": ["gru", "conv"],
        "cpc__latent_size": [4, 8],
        "cpc__lr": [1e-3],
    }
    search = GridSearchCV(pipeline(), grid, cv=2, n_jobs=n_jobs, error_score="raise")
    search.fit(X, y)
    assert len(search.cv_results_["params"]) == 8
    assert search.best_score_ > 1 / 9
    assert search.predict(X[:4]).shape == (4,)


def test_grid_search_without_labels_finds_the_model_that_learned():
    grid = {"max_epochs": [0, 20]}
    search = GridSearchCV(cpc(lr=5e-3), grid, cv=KFold(2), error_score="raise").fit(X)
    assert search.best_params_ == {"max_epochs": 20}
    assert search.transform(X).shape == (len(X), 3 * 24 + 5 * 8)


class CountFits(Callback):
    """Appends to a file whenever training starts, in whatever process."""

    def __init__(self, path):
        self.path = path

    def on_train_begin(self, net, **kwargs):
        with open(self.path, "a") as file:
            file.write("x")


# On a busy machine joblib complains of the half second that it takes to write X.
@pytest.mark.filterwarnings("ignore:Persisting input arguments took:UserWarning")
def test_memory_spares_the_second_fit(tmp_path):
    log = tmp_path / "fits"
    pipe = pipeline(
        cpc(callbacks=[CountFits(str(log))]), memory=str(tmp_path / "cache")
    )
    pipe.set_params(classify__C=1.0).fit(X, y)
    assert log.read_text() == "x"
    pipe.set_params(classify__C=0.1).fit(X, y)
    assert log.read_text() == "x"
    pipe.set_params(cpc__lr=1e-3).fit(X, y)
    assert log.read_text() == "xx"


def test_feature_union():
    union = FeatureUnion(
        [
            ("cpc", cpc()),
            ("length", LengthAndMean()),
        ]
    )
    features = union.fit(X).transform(X)
    assert features.shape == (len(X), 3 * 24 + 5 * 8 + 1)
    pipe = make_pipeline(union, StandardScaler(), LogisticRegression(max_iter=1000))
    assert pipe.fit(X, y).score(X, y) > 0.8


class LengthAndMean:
    """The shortest thing a FeatureUnion takes."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.array([[len(x)] for x in X])


def test_downstream_clustering_and_pca():
    pipe = make_pipeline(cpc(), PCA(3), KMeans(2, n_init=1, random_state=0))
    assert set(pipe.fit_predict(X)) == {0, 1}


def test_pretrained_and_frozen():
    pretrained = cpc(max_epochs=3).fit(X)
    expected = pretrained.transform(X)
    few, _, y_few, _ = train_test_split(X, y, train_size=18, random_state=0, stratify=y)
    pipe = pipeline(FrozenEstimator(pretrained)).fit(few, y_few)
    np.testing.assert_array_equal(pretrained.transform(X), expected)
    assert pipe.score(X, y) > 0.5
    refit = clone(pipe).fit(few, y_few)
    np.testing.assert_array_equal(refit[0].transform(X), expected)


def test_set_output():
    plain = cpc().fit(X)
    expected, names = plain.transform(X), plain.get_feature_names_out()
    frame = clone(plain).set_output(transform="pandas").fit(X).transform(X)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(names)
    np.testing.assert_array_equal(frame, expected)
    frame = clone(plain).set_output(transform="polars").fit(X).transform(X)
    assert isinstance(frame, pl.DataFrame)
    assert frame.columns == list(names)


def test_pandas_output_keeps_the_index_of_a_nested_frame():
    frame = nested().set_index(np.arange(100, 100 + len(X)))
    output = cpc().set_output(transform="pandas").fit(frame).transform(frame)
    assert output.index.tolist() == frame.index.tolist()


def test_clone_is_unfitted_and_fits_alike():
    fitted = cpc(pooling=("mean", "last"), crop_length=20).fit(X)
    cloned = clone(fitted)
    assert not hasattr(cloned, "net_")
    np.testing.assert_array_equal(cloned.fit(X).transform(X), fitted.transform(X))


def test_labels_are_ignored():
    np.testing.assert_array_equal(
        cpc().fit(X, y).transform(X), cpc().fit(X).transform(X)
    )


GROUPS = np.arange(len(X)) % 6


def test_groups_reach_fit_through_pipeline_and_search():
    with sklearn.config_context(enable_metadata_routing=True):
        grouped = cpc(negatives="same_group", early_stopping=True)
        grouped.set_fit_request(groups=True)
        pipe = pipeline(grouped)
        pipe.fit(X, y, groups=GROUPS)
        search = GridSearchCV(
            pipe, {"cpc__lr": [1e-3, 1e-2]}, cv=GroupKFold(2), error_score="raise"
        )
        search.fit(X, y, groups=GROUPS)
        assert search.score(X, y) > 1 / 9
        scores = cross_val_score(
            pipe,
            X,
            y,
            cv=GroupKFold(2),
            params={"groups": GROUPS},
            error_score="raise",
        )
        assert len(scores) == 2


def test_groups_reach_fit_without_routing():
    grouped = cpc(negatives="same_group")
    direct = grouped.fit(X, groups=GROUPS).transform(X)
    pipe = pipeline(clone(grouped)).fit(X, y, cpc__groups=GROUPS)
    np.testing.assert_array_equal(pipe[0].transform(X), direct)
    scores = cross_val_score(
        pipeline(clone(grouped)),
        X,
        y,
        cv=3,
        params={"cpc__groups": GROUPS},
        error_score="raise",
    )
    assert len(scores) == 3
    search = GridSearchCV(clone(pipe), {"cpc__lr": [1e-2]}, cv=2, error_score="raise")
    search.fit(X, y, cpc__groups=GROUPS)
    expected = clone(grouped).set_params(lr=1e-2).fit(X, groups=GROUPS).transform(X)
    np.testing.assert_array_equal(search.best_estimator_[0].transform(X), expected)


def test_representation_shows_the_changed_parameters():
    assert repr(CPCTransformer(lr=0.1)) == "CPCTransformer(lr=0.1)"
    assert "CPCTransformer" in CPCTransformer()._repr_html_()
