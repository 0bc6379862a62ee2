"""CPCTextTransformer: what holds for every estimator, on texts."""

import copy
import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    check_get_params_invariance,
    check_mixin_order,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
    check_set_params,
    check_valid_tag_types,
)

from sklearn_cpc import CPCTextTransformer, CPCTransformer

LOADERS = [load_iris, load_wine, load_diabetes, load_breast_cancer]
DESCRIPTIONS = [load().DESCR for load in LOADERS]
# Their paragraphs; y tells which of the four a paragraph is from.
X, y = map(
    list,
    zip(
        *[
            (paragraph, i)
            for i, text in enumerate(DESCRIPTIONS)
            for paragraph in text.split("\n\n")
            if len(paragraph) > 40
        ],
        strict=True,
    ),
)
HARD = [
    "",
    "word",
    "😀🎉 🏳️‍🌈",
    "東京は晴れ。明日は雨。",
    "مرحبا بالعالم",
    "\x00\n\t",
    "x" * 5000,
]


def cpc(**options):
    small = {"latent_size": 8, "context_size": 8, "max_epochs": 1, "n_jobs": 1}
    small |= {"tokenizer": "word", "random_state": 0}
    return CPCTextTransformer(**small | options)


KINDS = {
    "words": {},
    "byte pairs": {"tokenizer": "bpe", "vocabulary_size": 400},
    "sentences": {"unit": "sentence"},
    "sentences of byte pairs": {
        "unit": "sentence",
        "tokenizer": "bpe",
        "vocabulary_size": 400,
    },
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def corpus(kind):
    return DESCRIPTIONS if kind.get("unit") == "sentence" else X


# ---- what scikit-learn asks of estimators


@pytest.mark.parametrize(
    "check",
    [
        check_get_params_invariance,
        check_mixin_order,
        check_no_attributes_set_in_init,
        check_parameters_default_constructible,
        check_set_params,
        check_valid_tag_types,
    ],
)
def test_checks_without_data(check):
    check("CPCTextTransformer", CPCTextTransformer())


def test_tags_are_those_of_the_vectorizers():
    ours, theirs = get_tags(CPCTextTransformer()), get_tags(TfidfVectorizer())
    assert ours.input_tags == theirs.input_tags
    assert ours.requires_fit


def test_parameters_are_shared_not_copied():
    own = {"unit", "tokenizer", "vocabulary_size", "lowercase", "embeddings"}
    sequence = {"encoder", "scaling", "nan_policy", "channels_first"}
    sequence |= {"step_window", "sampling_rate"}
    params = set(CPCTextTransformer().get_params())
    assert params - own == set(CPCTransformer().get_params()) - sequence
    for name in params - own:
        assert (
            CPCTextTransformer._parameter_constraints[name]
            is CPCTransformer._parameter_constraints[name]
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("unit", "word"),
        ("tokenizer", "wordpiece"),
        ("tokenizer", 3),
        ("vocabulary_size", 0),
        ("vocabulary_size", 2**24),
        ("lowercase", "yes"),
        ("crop_length", 1),
    ],
)
def test_bad_parameters(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of CPCTextTransformer"):
        cpc(**{name: value}).fit(X)


def test_fit_returns_itself_and_changes_no_parameter(kind):
    estimator = cpc(**kind)
    params = copy.copy(estimator.get_params())
    assert estimator.fit(corpus(kind)) is estimator
    assert estimator.get_params() == params
    attributes = {name for name in vars(estimator) if name not in params}
    assert all(name.endswith("_") or name.startswith("_") for name in attributes)
    assert not hasattr(estimator, "n_features_in_")


def test_not_fitted():
    for method in ("transform", "transform_steps", "score", "score_samples"):
        with pytest.raises(NotFittedError):
            getattr(cpc(), method)(X)
    with pytest.raises(NotFittedError):
        cpc().get_feature_names_out()


def test_refusal_changes_nothing(kind):
    fitted = cpc(**kind).fit(corpus(kind))
    before = fitted.transform(X)
    for bad in ("a text", [], [None]):
        for method in (fitted.fit, fitted.partial_fit, fitted.transform, fitted.score):
            with pytest.raises(
                ValueError, match=r"string object|0 sample|X\[0\] is None"
            ):
                method(bad)
    with pytest.raises(ValueError, match="at least 2 latent steps"):
        fitted.fit(["", ""])
    np.testing.assert_array_equal(fitted.transform(X), before)


def test_clone_pickle_and_equal_fits(kind):
    fitted = cpc(**kind).fit(corpus(kind))
    expected = fitted.transform(HARD)
    again = clone(fitted)
    assert not hasattr(again, "net_")
    np.testing.assert_array_equal(again.fit(corpus(kind)).transform(HARD), expected)
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.transform(HARD), expected)
    json.dumps(vars(fitted._reader))


def test_global_generators_stay(kind):
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fitted = cpc(**kind).fit(corpus(kind))
    fitted.transform(X)
    fitted.score(corpus(kind))
    assert torch.equal(states[0], torch.get_rng_state())
    np.testing.assert_array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002


# ---- features


def test_output(kind):
    fitted = cpc(**kind).fit(corpus(kind))
    features = fitted.transform(X)
    names = fitted.get_feature_names_out()
    assert features.dtype == np.float32
    assert features.shape == (len(X), len(names)) == (len(X), len(set(names)))
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(fitted.get_feature_names_out(["ignored"]), names)
    for form, frame_type in (("pandas", pd.DataFrame), ("polars", pl.DataFrame)):
        frame = clone(fitted).set_output(transform=form).fit_transform(corpus(kind))
        assert isinstance(frame, frame_type)
        assert list(frame.columns) == list(names)


def test_every_form_gives_the_same():
    expected = cpc().fit(X).transform(X)
    for form in (tuple, np.array, pd.Series, pl.Series, lambda X: (x for x in X)):
        np.testing.assert_array_equal(cpc().fit_transform(form(X)), expected)
        np.testing.assert_array_equal(cpc().fit(form(X)).transform(form(X)), expected)


def test_hard_texts(kind):
    for fitted in (cpc(**kind).fit(corpus(kind)), cpc(**kind).fit(HARD * 3)):
        features = fitted.transform(HARD)
        assert np.isfinite(features).all()
        for text, row in zip(HARD, features, strict=True):
            np.testing.assert_allclose(
                fitted.transform([text])[0], row, rtol=1e-4, atol=1e-5
            )


def test_other_texts_and_their_order_change_no_features(kind):
    fitted = cpc(**kind).fit(corpus(kind))
    texts = X + DESCRIPTIONS
    features = fitted.transform(texts)
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = fitted.transform([texts[i] for i in order])
    np.testing.assert_allclose(shuffled, features[order], rtol=1e-5, atol=1e-6)
    alone = fitted.transform(texts[5:6])
    np.testing.assert_allclose(alone[0], features[5], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("unit", "end"), [("token", " "), ("sentence", ". ")])
def test_steps_depend_on_no_later_text(unit, end):
    text = f"the iris data set{end}is a classic"
    fitted = cpc(unit=unit, features="both").fit(DESCRIPTIONS)
    short, longer = fitted.transform_steps([text, f"{text}. And more words. Many."])
    assert len(short) == (6 if unit == "token" else 2)  # "a" is too short for a word
    assert len(longer) == (10 if unit == "token" else 4)
    assert short.shape[1] == 16
    if unit == "token":
        np.testing.assert_allclose(longer[: len(short)], short, rtol=1e-4, atol=1e-5)


def test_unseen_words_are_all_the_same():
    fitted = cpc().fit(X)
    one, other, known = fitted.transform(["zyxxy iris", "qwertz iris", "wine iris"])
    np.testing.assert_array_equal(one, other)
    assert not np.allclose(one, known)
    np.testing.assert_array_equal(*fitted.transform(["", "zyxxy"]))


def test_case_matters_if_asked_for():
    lower, cased = cpc(lowercase=True).fit(X), cpc().fit(X)
    np.testing.assert_array_equal(*lower.transform(["Iris data", "iris data"]))
    assert not np.allclose(*cased.transform(["Data set", "data set"]))


def test_vocabulary():
    fitted = cpc(vocabulary_size=20).fit(X)
    assert len(fitted.vocabulary_) == 20
    assert fitted.net_.module_.encoder.embedding.num_embeddings == 22
    assert "the" in fitted.vocabulary_


# ---- training and scores


def test_learns_what_comes_next():
    rng = np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(30)])
    starts = rng.integers(30, size=100)
    texts = [" ".join(words[(s + np.arange(12)) % 30]) for s in starts]
    options = {"latent_size": 32, "context_size": 32, "prediction_steps": 1}
    trained = cpc(max_epochs=60, lr=5e-3, **options).fit(texts)
    untrained = cpc(max_epochs=0, **options).fit(texts)
    assert trained.score(texts) > untrained.score(texts) + 1
    assert trained.contrastive_accuracy(texts)[0] > 0.9
    shuffled = [" ".join(rng.permutation(text.split())) for text in texts]
    assert trained.score(shuffled) < trained.score(texts) - 1


@pytest.mark.parametrize("unit", ["token", "sentence"])
def test_texts_too_short_to_predict(unit):
    fitted = cpc(unit=unit).fit(DESCRIPTIONS)
    assert np.isfinite(fitted.score([DESCRIPTIONS[0], ""]))
    with pytest.raises(ValueError, match=f"has 1 {unit}s: nothing to predict"):
        fitted.score_samples([DESCRIPTIONS[0], ""])
    message = rf"at least 2 latent steps, but .* gives 1 \(1 {unit}s\)"
    with pytest.raises(ValueError, match=message):
        cpc(unit=unit).fit(["word", "", "word"])


def test_short_texts_train_beside_long_ones():
    fitted = cpc(prediction_steps=3).fit(["a word", "", *X[:5], "word"])
    assert fitted.transform(["", "word"]).shape[0] == 2


def test_partial_fit_keeps_the_vocabulary():
    fitted = cpc().partial_fit(X[:20])
    vocabulary = dict(fitted.vocabulary_)
    before = fitted.transform(X)
    fitted.partial_fit(X[20:])
    assert fitted.vocabulary_ == vocabulary
    assert fitted.n_epochs_ == 2
    assert not np.allclose(fitted.transform(X), before)


def test_warm_start_goes_on_and_refuses_another_shape():
    longer = cpc(max_epochs=3).fit(X)
    resumed = cpc(warm_start=True).fit(X)
    resumed.set_params(max_epochs=2).fit(X)
    np.testing.assert_array_equal(resumed.transform(X), longer.transform(X))
    for name, value in {"unit": "sentence", "lowercase": True}.items():
        with pytest.raises(ValueError, match=f"{name} was changed"):
            clone(cpc(warm_start=True)).fit(X).set_params(**{name: value}).fit(X)


def test_setting_parameters_of_the_input_waits_for_fit(kind):
    fitted = cpc(**kind).fit(corpus(kind))
    before = fitted.transform(X)
    fitted.set_params(unit="token", tokenizer=str.split, lowercase=False)
    np.testing.assert_array_equal(fitted.transform(X), before)


def test_early_stopping_and_groups():
    fitted = cpc(early_stopping=True, negatives="same_group", max_epochs=2)
    fitted.fit(X, groups=y)
    assert len(fitted.validation_scores_) == 2


def test_gibberish_warns():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice([f"w{i}" for i in range(50)], 8)) for _ in range(64)]
    with pytest.warns(ConvergenceWarning, match="never left log N"):
        cpc(max_epochs=25, batch_size=16, lr=1e-5).fit(texts)


# ---- among scikit-learn's tools


def test_pipeline_search_and_cross_validation():
    pipe = make_pipeline(
        cpc(max_epochs=10, lr=5e-3),
        StandardScaler(),
        LogisticRegression(max_iter=1000),
    )
    rng = np.random.default_rng(0)
    words = np.array(["one", "two", "three", "four"]), np.array(["un", "deux", "trois"])
    kind = np.arange(40) % 2
    texts = [" ".join(rng.choice(words[k], 10)) for k in kind]
    assert cross_val_score(pipe, texts, kind, cv=3).mean() > 0.95
    grid = {"cpctexttransformer__tokenizer": ["word", "bpe"]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, y)
    assert search.predict(X[:3]).shape == (3,)


def test_search_without_labels():
    grid = {"max_epochs": [0, 15]}
    search = GridSearchCV(cpc(lr=5e-3), grid, cv=KFold(2), error_score="raise").fit(X)
    assert search.best_params_ == {"max_epochs": 15}


def test_a_column_of_a_frame():
    frame = pd.DataFrame({"text": X, "length": [len(x) for x in X]})
    columns = ColumnTransformer(
        [("text", cpc(), "text"), ("length", "passthrough", ["length"])]
    )
    features = columns.fit(frame).transform(frame)
    assert features.shape == (len(X), 1 + len(cpc().fit(X).get_feature_names_out()))
    assert "text__context_direction_0" in columns.get_feature_names_out()


def test_ready_tokenizer_survives_clone_and_pickle():
    from tokenizers import Tokenizer, models, pre_tokenizers

    ready = Tokenizer(models.WordLevel({"[UNK]": 0, "data": 1, "wine": 2}, "[UNK]"))
    ready.pre_tokenizer = pre_tokenizers.Whitespace()
    fitted = clone(cpc(tokenizer=ready)).fit(X)
    assert set(fitted.vocabulary_) == {"[UNK]", "data", "wine"}
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))


# ---- files


def split_words(text):
    """A tokenizer of the user's own."""
    return text.split()


def test_a_file_has_the_same_features(kind, tmp_path):
    texts = corpus(kind)
    fitted = cpc(**kind).fit(texts)
    fitted.save(tmp_path / "model")
    loaded = CPCTextTransformer.load(tmp_path / "model")
    assert loaded.vocabulary_ == fitted.vocabulary_
    np.testing.assert_array_equal(loaded.transform(texts), fitted.transform(texts))
    assert loaded.score(texts) == fitted.score(texts)


def test_a_file_asks_for_the_tokenizer_that_it_cannot_hold(tmp_path):
    fitted = cpc(tokenizer=split_words).fit(X)
    fitted.save(tmp_path / "model")
    with pytest.raises(
        ValueError, match=r"your own tokenizer \(function\).*load\(path, tokenizer="
    ):
        CPCTextTransformer.load(tmp_path / "model")
    loaded = CPCTextTransformer.load(tmp_path / "model", tokenizer=split_words)
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))
    pickled = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(pickled.transform(X), fitted.transform(X))
