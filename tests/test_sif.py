"""Pooling by smooth inverse frequency: rare tokens count more."""

import copy
from pathlib import Path

import numpy as np
import pytest

from sklearn_cpc import CPCImageTransformer, CPCTextTransformer, CPCTransformer
from sklearn_cpc.training import inference
from topics import texts

SMALL = {"tokenizer": "word", "latent_size": 6, "context_size": 5, "random_state": 0}
OLD = Path(__file__).parent / "data" / "texts_v1.safetensors"


def fit(X, **options):
    options = {"pooling": "sif", "max_epochs": 0, **SMALL} | options
    return CPCTextTransformer(**options).fit(X)


def weights_of(cpc, text):
    """Return the weights of the tokens of a text, as the model has them."""
    weights = cpc.net_.module_.encoder.sif.weights.numpy()
    return weights[[cpc.vocabulary_[token] for token in text.split()]]


def by_hand(X, cpc):
    """Return directions of the weighted means, without their first component."""
    tokens = [text.split() for text in X]
    shares = {t: sum(part.count(t) for part in tokens) for t in cpc.vocabulary_}
    n_tokens = sum(shares.values())
    vectors = cpc.net_.module_.encoder.embedding.weight.detach().numpy()
    means = []
    for part in tokens:
        weights = np.array([1e-3 / (1e-3 + shares[t] / n_tokens) for t in part])
        of_tokens = vectors[[cpc.vocabulary_[t] for t in part]]
        means.append((weights[:, None] * of_tokens).sum(0) / weights.sum())
    means = np.array(means)
    first = np.linalg.svd(means)[2][0]
    means -= np.outer(means @ first, first)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def test_is_the_formula_of_the_paper():
    X = texts()
    cpc = fit(X)
    names = cpc.get_feature_names_out()
    assert names[0] == "layer1_sif_0"
    assert names[-1] == "context_sif_4"
    of_vectors = [name.startswith("layer1") for name in names]
    features = cpc.transform(X)[:, of_vectors]
    np.testing.assert_allclose(features, by_hand(X, cpc), rtol=0, atol=1e-5)
    plain = fit(X, pooling="mean").transform(X)[:, of_vectors]
    assert np.abs(features - plain).max() > 0.1
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)


def test_contexts_are_weighted_likewise():
    X = ["the the boat", "the oven the"]
    cpc = fit([*texts(40), *["the"] * 400, *X])
    for text, weighted in zip(X, cpc.transform(X)[:, -5:], strict=True):
        contexts = cpc.transform_steps([text])[0][:, -5:]
        weights = weights_of(cpc, text)
        assert weights.max() > 10 * weights.min()
        expected = weights @ contexts
        expected /= np.linalg.norm(expected)
        np.testing.assert_allclose(weighted, expected, rtol=0, atol=1e-6)


def test_beside_other_statistics():
    X = texts()
    both = fit(X, pooling=("mean", "sif"))
    n = 6
    one, other = (fit(X, pooling=p).transform(X) for p in ("mean", "sif"))
    features = both.transform(X)
    np.testing.assert_array_equal(features[:, :n], one[:, :n])
    np.testing.assert_array_equal(features[:, n : 2 * n], other[:, :n])


@pytest.mark.parametrize("options", [{}, {"unit": "sentence"}, {"tokenizer": "bpe"}])
def test_neither_padding_nor_other_texts_nor_pieces_matter(monkeypatch, options):
    X = ["Boat. The sail.", "and. and bread! the flour. of the oven?", ""]
    X += ["unseen. and the unseen and the bread " * 30]
    cpc = fit([*X, *texts()], vocabulary_size=300, **{**SMALL, **options})
    whole = cpc.transform(X)
    assert np.isfinite(whole).all()
    alone = [cpc.transform([text])[0] for text in X]
    np.testing.assert_allclose(alone, whole, rtol=0, atol=1e-5)
    monkeypatch.setattr(inference, "PIECE", 3)
    np.testing.assert_allclose(cpc.transform(X), whole, rtol=0, atol=1e-5)


def test_random_vectors_lose_no_component():
    """It would be one of vectors that training changes."""
    cpc = fit(texts(), embeddings="random", max_epochs=1)
    assert not cpc.net_.module_.encoder.sif.component.any()
    assert np.isfinite(cpc.transform(texts())).all()


def test_files_and_copies_keep_the_frequencies(tmp_path):
    X = texts()
    cpc = fit(X, max_epochs=1)
    cpc.save(tmp_path / "model")
    loaded = CPCTextTransformer.load(tmp_path / "model")
    for other in (loaded, copy.deepcopy(cpc)):
        np.testing.assert_array_equal(other.transform(X), cpc.transform(X))
    more = loaded.partial_fit(texts(seed=1))
    kept = more.net_.module_.encoder.sif.weights
    assert kept.equal(cpc.net_.module_.encoder.sif.weights)


def test_a_fitted_model_takes_it_up():
    X = texts()
    cpc = fit(X, pooling="mean").set_params(pooling="sif")
    np.testing.assert_array_equal(cpc.transform(X), fit(X).transform(X))


def test_a_file_of_an_earlier_release_says_what_it_lacks():
    old = CPCTextTransformer.load(OLD)
    with pytest.raises(ValueError, match="no older file: fit again"):
        old.set_params(pooling="sif").transform(["A text."])


@pytest.mark.parametrize(
    ("estimator", "X"),
    [
        (CPCTransformer(pooling="sif"), np.zeros((4, 20))),
        (CPCImageTransformer(pooling=("mean", "sif")), np.zeros((4, 8, 8))),
    ],
)
def test_is_for_texts(estimator, X):
    with pytest.raises(ValueError, match="must be one or several different ones of"):
        estimator.fit(X + np.arange(4).reshape(-1, *[1] * (X.ndim - 1)))
