"""scikit-learn's checks for estimators whose input is not two-dimensional.

`check_estimator` makes two-dimensional data. What it asks is asked here of data that
suit the estimator; a further one is a further line in `CASES`.
"""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from sklearn_cpc import CPCImageTransformer, CPCTextTransformer

RNG = np.random.default_rng(0)
SMALL = {"latent_size": 8, "context_size": 8, "max_epochs": 2, "batch_size": 8}
WORDS = ["the", "old", "river", "winds", "slowly", "through", "green", "hills."]
TEXTS = [" ".join(RNG.choice(WORDS, 12)).capitalize() for _ in range(16)]

# name: (estimator, samples: an array or a list, what fit must refuse)
CASES = {
    "images": (
        CPCImageTransformer(**SMALL, random_state=0),
        RNG.integers(0, 256, (16, 12, 14), dtype=np.uint8),
        np.full((16, 12, 14), np.nan),
    ),
    "images, colour, one direction": (
        CPCImageTransformer(
            **SMALL,
            random_state=0,
            encoder="conv",
            directions=1,
            augmentation=("crop", "flip", "grey"),
            early_stopping=True,
        ),
        RNG.normal(size=(16, 12, 12, 3)),
        RNG.normal(size=(16, 432)),
    ),
    "images, a list": (
        CPCImageTransformer(**SMALL, encoder="conv", random_state=0),
        list(RNG.normal(size=(16, 12, 12))),
        [np.zeros((12, 12)), np.zeros((12, 14))],
    ),
    "texts, words": (
        CPCTextTransformer(**SMALL, random_state=0, tokenizer="word"),
        TEXTS,
        [*TEXTS[:-1], None],
    ),
    "texts, sentences of byte pairs": (
        CPCTextTransformer(
            **SMALL, random_state=0, unit="sentence", vocabulary_size=300
        ),
        np.array([". ".join(RNG.permutation(TEXTS)[:4]) for _ in range(16)]),
        "a single text",
    ),
}
METHODS = ("transform", "transform_steps", "score_samples")
Y = np.arange(16) % 2


def take(X, rows):
    """Return some samples in the form that they came in."""
    return X[rows] if isinstance(X, np.ndarray) else [X[row] for row in rows]


def assert_equal(one, other):
    """Compare arrays or lists of arrays bit by bit."""
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def state(estimator):
    """Return copies of the weights and of the states of the generators."""
    net = estimator.net_
    weights = [w.numpy().copy() for w in net.module_.state_dict().values()]
    draws = net.criterion_.generator.get_state().numpy().copy()
    return [*weights, draws, estimator._rng.bit_generator.state]


@pytest.fixture(params=CASES)
def name(request):
    return request.param


@pytest.fixture
def case(name):
    estimator, X, bad = CASES[name]
    return clone(estimator), copy.deepcopy(X), bad


@pytest.fixture(scope="module")
def fitted_cases():
    return {name: clone(est).fit(X) for name, (est, X, _) in CASES.items()}


@pytest.fixture
def fitted(name, fitted_cases):
    return copy.deepcopy(fitted_cases[name]), CASES[name][1]


@pytest.fixture
def expected(name, fitted_cases):
    """The features after a fit."""
    return fitted_cases[name].transform(CASES[name][1])


@pytest.mark.parametrize(
    "check",
    [
        "check_do_not_raise_errors_in_init_or_set_params",
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_param_validation",
        "check_parameters_default_constructible",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
@pytest.mark.parametrize("name", CASES)
def test_checks_of_scikit_learn_that_need_no_data(name, check):
    estimator = CASES[name][0]
    getattr(estimator_checks, check)(type(estimator).__name__, type(estimator)())


def test_fit_returns_self_and_changes_no_parameter(case):
    estimator, X, _ = case
    before = estimator.get_params()
    assert estimator.fit(X) is estimator
    after = estimator.get_params()
    assert all(after[name] is value for name, value in before.items())
    added = set(vars(estimator)) - set(before)
    assert all(name.startswith("_") or name.endswith("_") for name in added)


def test_y_is_ignored(case, expected):
    estimator, X, _ = case
    np.testing.assert_array_equal(estimator.fit(X, Y).transform(X), expected)


def test_unfitted_estimators_say_so(case):
    estimator, X, _ = case
    for method in (*METHODS, "score", "contrastive_accuracy"):
        with pytest.raises(NotFittedError):
            getattr(estimator, method)(X)
    with pytest.raises(NotFittedError):
        estimator.get_feature_names_out()


def test_a_second_fit_is_the_first(case, expected):
    estimator, X, _ = case
    estimator.fit(take(X, range(8)))  # which the next one forgets
    np.testing.assert_array_equal(estimator.fit(X).transform(X), expected)
    np.testing.assert_array_equal(clone(estimator).fit_transform(X), expected)


def test_seeds_decide(case):
    estimator, X, _ = case
    one, other = (
        clone(estimator).set_params(random_state=seed).fit(X).transform(X)
        for seed in (1, 2)
    )
    assert not np.allclose(one, other)


def test_round_trip(fitted):
    estimator, X = fitted
    estimator.partial_fit(X)  # from here on, what is pickled goes on exactly
    copied = pickle.loads(pickle.dumps(estimator))
    for method in METHODS:
        assert_equal(getattr(copied, method)(X), getattr(estimator, method)(X))
    again, once_more = estimator.partial_fit(X), copied.partial_fit(X)
    np.testing.assert_array_equal(again.transform(X), once_more.transform(X))


def test_no_state_changes_after_fit(fitted):
    estimator, X = fitted
    attributes, before = dict(vars(estimator)), state(estimator)
    for method in (*METHODS, "score", "contrastive_accuracy"):
        getattr(estimator, method)(X)
    estimator.get_feature_names_out()
    assert set(vars(estimator)) == set(attributes)
    assert all(vars(estimator)[name] is value for name, value in attributes.items())
    for value, known in zip(state(estimator), before, strict=True):
        np.testing.assert_equal(value, known)


def test_samples_do_not_depend_on_each_other(fitted):
    estimator, X = fitted
    rows = np.random.default_rng(1).permutation(len(X))
    for method in METHODS:
        whole = getattr(estimator, method)(X)
        turned = getattr(estimator, method)(take(X, rows))
        for row, a in zip(rows, turned, strict=True):
            np.testing.assert_allclose(a, whole[row], rtol=1e-7)
        for row in rows[:4]:
            (alone,) = getattr(estimator, method)(take(X, [row]))
            np.testing.assert_allclose(alone, whole[row], rtol=1e-4, atol=1e-6)


def test_input_is_not_changed_and_may_be_read_only(case, expected, tmp_path):
    estimator, X, _ = case
    before = copy.deepcopy(X)
    estimator.fit(X).transform(X)
    assert_equal(X, before)
    if isinstance(X, np.ndarray):
        np.save(tmp_path / "X.npy", X)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
        np.testing.assert_array_equal(estimator.fit(X).transform(X), expected)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output(fitted, library):
    estimator, X = fitted
    values = estimator.transform(X)
    frame = estimator.set_output(transform=library).transform(X)
    assert list(frame.columns) == list(estimator.get_feature_names_out())
    np.testing.assert_array_equal(frame.to_numpy(), values)


def test_feature_names_belong_to_the_columns(fitted):
    estimator, X = fitted
    for features in ("context", "latent", "both", "all"):
        estimator.set_params(features=features, pooling=("mean", "std"))
        names = estimator.get_feature_names_out()
        assert names.dtype == object
        assert len(set(names)) == len(names) == estimator.transform(X).shape[1]


def test_output_is_float32_and_finite(fitted):
    estimator, X = fitted
    features = estimator.transform(X)
    assert features.dtype == np.float32
    assert features.shape[0] == len(X)
    assert np.isfinite(features).all()
    assert np.isfinite(estimator.score_samples(X)).all()


def test_score_is_the_mean_over_samples(fitted):
    estimator, X = fitted
    assert estimator.score(X) == pytest.approx(estimator.score_samples(X).mean())


def test_errors_leave_the_estimator_as_it_was(case):
    estimator, X, bad = case
    with pytest.raises((ValueError, TypeError)):
        estimator.fit(bad)
    assert set(vars(estimator)) == set(estimator.get_params())
    expected = estimator.fit(X).transform(X)
    for method in ("fit", "partial_fit", "transform", "score"):
        with pytest.raises((ValueError, TypeError)):
            getattr(estimator, method)(bad)
    np.testing.assert_array_equal(estimator.transform(X), expected)


@pytest.mark.parametrize("bad", [None, 3.0, "text", {"a": 1}, []])
def test_what_is_no_data_is_refused(case, bad):
    with pytest.raises((ValueError, TypeError)):
        case[0].fit(bad)


def test_warm_start_and_partial_fit_go_on(case):
    estimator, X, _ = case
    estimator.set_params(early_stopping=False, warm_start=True).fit(X).fit(X)
    assert estimator.n_epochs_ == len(estimator.loss_curve_) == 4
    longer = clone(estimator).set_params(max_epochs=4).fit(X)
    np.testing.assert_array_equal(estimator.transform(X), longer.transform(X))
    assert estimator.partial_fit(X).n_epochs_ == 5


def test_untrained_and_global_generators(case):
    import torch

    estimator, X, _ = case
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    torch_state = torch.get_rng_state()
    untrained = clone(estimator).set_params(max_epochs=0).fit(X)
    assert untrained.n_epochs_ == 0
    trained = estimator.fit(X)
    assert not np.allclose(trained.transform(X), untrained.transform(X))
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_pipelines_unions_and_searches(case):
    estimator, X, _ = case
    estimator.set_params(max_epochs=1)
    pipe = make_pipeline(estimator, StandardScaler(), LogisticRegression())
    assert make_union(estimator).fit(X).transform(X).shape[0] == 16
    assert cross_val_score(pipe, X, Y, cv=2).shape == (2,)
    grid, half = {"context": ["gru", "conv"]}, ShuffleSplit(1, random_state=0)
    search = GridSearchCV(estimator, grid, cv=half, error_score="raise").fit(X)
    assert np.isfinite(search.best_score_)
