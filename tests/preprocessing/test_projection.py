import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import _num_samples

from sklearn_cpc import CPCTransformer
from sklearn_cpc.preprocessing import GroupProjection

RNG = np.random.default_rng(0)


class Halves(GroupProjection):
    """With groups of its own, for checks that pass none."""

    def fit(self, X, y=None):
        """Fit to every other sample as a group."""
        return super().fit(X, groups=np.arange(_num_samples(X)) % 2)


@parametrize_with_checks([Halves()])
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def people(n_people, n_samples=40, n_features=20, rng=RNG):
    """Features of two classes, groups and classes: people differ more than classes."""
    offsets = 5 * rng.normal(size=(n_people, 4)) @ rng.normal(size=(4, n_features))
    groups = np.repeat(np.arange(n_people), n_samples)
    y = np.tile(np.arange(n_samples) % 2, n_people)
    X = rng.normal(size=(len(y), n_features)) + offsets[groups]
    X[:, 3] += 3 * y
    return X, groups, y


def test_the_means_of_groups_become_equal():
    X, groups, _ = people(3)
    Z = GroupProjection().fit_transform(X, groups=groups)
    means = [Z[groups == group].mean(0) for group in range(3)]
    np.testing.assert_allclose(means[1:], means[:-1], atol=1e-9)
    assert np.ptp([X[groups == group].mean(0) for group in range(3)], 0).max() > 5


def test_what_is_orthogonal_to_the_differences_stays():
    X, groups, _ = people(3)
    projection = GroupProjection().fit(X, groups=groups)
    assert projection.components_.shape == (2, 20)
    removed = X - projection.transform(X)
    np.testing.assert_allclose(
        projection.components_ @ projection.components_.T, np.eye(2), atol=1e-12
    )
    # The mean stays, and a second pass changes nothing.
    np.testing.assert_allclose(removed.mean(0), 0, atol=1e-9)
    Z = projection.transform(X)
    np.testing.assert_allclose(projection.transform(Z), Z, atol=1e-9)
    assert np.linalg.matrix_rank(removed, tol=1e-6) == 2


def test_a_classifier_with_few_labels_knows_new_people():
    """Of one label of each class: the distances are those between people before."""
    X, groups, y = people(30, rng=np.random.default_rng(1))
    known = groups < 20
    scores = {}
    for name, features in {
        "as it is": X,
        "projected": GroupProjection(n_components=4)
        .fit(X[known], groups=groups[known])
        .transform(X),
    }.items():
        scores[name] = np.mean(
            [
                LogisticRegression()
                .fit(features[rows], y[rows])
                .score(features[~known], y[~known])
                for i in range(20)
                for rows in [[40 * i, (40 * i + 41) % 800]]
            ]
        )
    assert scores["projected"] > scores["as it is"] + 0.1, scores


@pytest.mark.parametrize(
    ("n_components", "n_groups", "expected"),
    [
        (None, 2, 1),
        (None, 9, 2),
        (1, 9, 1),
        (8, 9, 8),
        (50, 9, 8),
        (0, 9, 0),
        (5, 1, 0),
    ],
)
def test_how_many_directions(n_components, n_groups, expected):
    X, groups, _ = people(n_groups)
    projection = GroupProjection(n_components).fit(X, groups=groups)
    assert projection.components_.shape == (expected, 20)
    assert projection.transform(X).shape == X.shape


def test_groups_count_alike_whatever_their_sizes():
    X, groups, _ = people(3)
    some = np.r_[0:40, 40:45, 80:120]
    mean = GroupProjection().fit(X[some], groups=groups[some]).mean_
    np.testing.assert_allclose(
        mean, np.mean([X[some][groups[some] == g].mean(0) for g in range(3)], 0)
    )


def test_groups_of_any_kind():
    X, groups, _ = people(3)
    expected = GroupProjection().fit_transform(X, groups=groups)
    names = np.array(["ann", "bob", "cid"])[groups]
    for same in (names, list(names), pd.Series(names), groups[:, None]):
        Z = GroupProjection().fit_transform(X, groups=same)
        np.testing.assert_array_equal(Z, expected)


def test_float32_stays_and_frames_are_named():
    X, groups, _ = people(3)
    projection = GroupProjection().fit(np.float32(X), groups=groups)
    assert projection.transform(np.float32(X)).dtype == np.float32
    frame = pd.DataFrame(X).add_prefix("x")
    named = GroupProjection().set_output(transform="pandas").fit(frame, groups=groups)
    assert list(named.transform(frame).columns) == list(frame.columns)
    assert list(named.get_feature_names_out()) == list(frame.columns)
    with pytest.raises(ValueError, match="feature names"):
        named.transform(frame[frame.columns[::-1]])


def test_clones_and_pickles():
    X, groups, _ = people(3)
    projection = GroupProjection(1).fit(X, groups=groups)
    again = pickle.loads(pickle.dumps(projection))
    np.testing.assert_array_equal(again.transform(X), projection.transform(X))
    assert clone(projection).get_params() == {"n_components": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs groups"),
        ({"groups": [0, 1]}, "has 2 entries, but X has 120"),
        ({"groups": [None] * 120}, "is missing"),
    ],
)
def test_bad_groups(options, message):
    X, _, _ = people(3)
    with pytest.raises(ValueError, match=message):
        GroupProjection().fit(X, **options)


@pytest.mark.parametrize("n_components", [-1, 1.5, "auto"])
def test_bad_parameter(n_components):
    X, groups, _ = people(3)
    with pytest.raises(ValueError, match="n_components"):
        GroupProjection(n_components).fit(X, groups=groups)


def test_bad_features():
    X, groups, _ = people(3)
    projection = GroupProjection().fit(X, groups=groups)
    with pytest.raises(ValueError, match="20 features"):
        projection.transform(X[:, :3])
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        GroupProjection().fit(X, groups=groups)


def test_in_a_pipeline_with_groups_for_two_steps():
    X = RNG.normal(size=(24, 30, 2)).cumsum(1)
    y, groups = np.arange(24) % 2, np.arange(24) // 6
    cpc = CPCTransformer(max_epochs=1, latent_size=8, random_state=0)
    steps = cpc, StandardScaler(), GroupProjection(), PCA(0.95), LogisticRegression()
    pipe = make_pipeline(*steps)
    pipe.fit(X, y, cpctransformer__groups=groups, groupprojection__groups=groups)
    assert pipe.predict(X).shape == (24,)
    with config_context(enable_metadata_routing=True):
        pipe = make_pipeline(
            cpc.set_fit_request(groups=True),
            StandardScaler(),
            GroupProjection().set_fit_request(groups=True),
            LogisticRegression(),
        )
        scores = cross_val_score(
            pipe, X, y, params={"groups": groups}, cv=GroupKFold(2), error_score="raise"
        )
    assert scores.shape == (2,)
