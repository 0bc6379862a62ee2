import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, normalize

from sklearn_cpc import CPCTransformer, metrics
from sklearn_cpc.metrics import (
    alignment,
    effective_rank,
    effective_rank_score,
    uniformity,
)


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(60, 7)) + 0.3


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_effective_rank_counts_equal_directions(rank):
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.normal(size=(40, rank)))[0]
    right = np.linalg.qr(rng.normal(size=(9, rank)))[0]
    assert effective_rank(left @ right.T) == pytest.approx(rank)


def test_effective_rank_is_the_entropy_of_the_singular_values():
    features = np.diag([3.0, 1.0])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert effective_rank(features) == pytest.approx(np.exp(entropy))
    assert effective_rank(5 * features) == pytest.approx(np.exp(entropy))


def test_effective_rank_of_nothing_is_zero():
    assert effective_rank(np.zeros((4, 3))) == 0


def test_alignment_is_the_mean_squared_distance(features):
    other = np.random.default_rng(1).normal(size=features.shape)
    expected = ((normalize(features) - normalize(other)) ** 2).sum(1).mean()
    assert alignment(features, other) == pytest.approx(expected)
    assert alignment(features, 3 * features) == pytest.approx(0)
    assert alignment(features, -features) == pytest.approx(4)


def test_alignment_needs_the_same_samples(features):
    with pytest.raises(ValueError, match=r"\(60, 7\), but positives \(59, 7\)"):
        alignment(features, features[1:])


@pytest.mark.parametrize("block", [7, 1024])
def test_uniformity_is_over_all_pairs(monkeypatch, features, block):
    monkeypatch.setattr(metrics, "BLOCK", block)
    features[3] = 0  # stays at the origin
    squared = pdist(normalize(features), "sqeuclidean")
    assert uniformity(features) == pytest.approx(np.log(np.exp(-2 * squared).mean()))


def test_uniformity_is_zero_for_a_collapse_and_lower_for_a_spread(features):
    assert uniformity(np.ones((5, 3))) == pytest.approx(0)
    assert uniformity(features - features.mean(0)) < uniformity(features + 2) < 0


@pytest.mark.parametrize("metric", [effective_rank, uniformity])
def test_no_numbers_no_metric(metric):
    with pytest.raises(ValueError, match="NaN"):
        metric(np.array([[np.nan, 1.0], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="2D array"):
        metric(np.ones(4))


def test_effective_rank_scores_transformers_and_pipelines():
    X = np.random.default_rng(0).normal(size=(30, 40)).cumsum(1)
    cpc = CPCTransformer(latent_size=8, context_size=8, max_epochs=1, random_state=0)
    score = effective_rank_score(cpc.fit(X), X)
    assert score == effective_rank(StandardScaler().fit_transform(cpc.transform(X)))
    pipe = make_pipeline(FunctionTransformer(), cpc).fit(X)
    assert effective_rank_score(pipe, X) == score


def test_a_search_by_effective_rank_takes_the_highest():
    X = np.random.default_rng(0).normal(size=(30, 40)).cumsum(1)
    cpc = CPCTransformer(max_epochs=1, random_state=0)
    everything = np.arange(30)
    search = GridSearchCV(
        cpc,
        {"latent_size": [2, 32], "context_size": [2, 32]},
        scoring=effective_rank_score,
        cv=[(everything, everything)],
    ).fit(X)
    assert search.best_params_ == {"latent_size": 32, "context_size": 32}
    best = effective_rank_score(search.best_estimator_, X)
    assert search.best_score_ == pytest.approx(best)
