"""Where the vectors of tokens come from."""

import numpy as np
import pytest

from sklearn_cpc import CPCTextTransformer
from sklearn_cpc._data.embeddings import WINDOW, cooccurrence_vectors
from sklearn_cpc._data.texts import TextReader

SMALL = {"tokenizer": "word", "latent_size": 6, "context_size": 6, "random_state": 0}
SEA = ["boat", "sail", "wave", "shore"]
KITCHEN = ["oven", "flour", "dough", "bread"]


def texts(n=60, n_words=12, seed=0):
    """Half of them are about the sea, half about the kitchen; all have small words."""
    rng = np.random.default_rng(seed)
    return [
        " ".join(rng.choice([*(SEA, KITCHEN)[i % 2], "and", "the"], n_words))
        for i in range(n)
    ]


def read(X):
    options = {"unit": "token", "lowercase": False, "tokenizer": "word", "size": 100}
    reader = TextReader.learn(X, **options)
    return reader.read(X), reader.vocabulary


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_tokens_of_the_same_texts_have_similar_vectors():
    source, vocabulary = read(texts())
    vectors = cooccurrence_vectors(source, 12, 2, np.random.default_rng(0))
    of = {token: vectors[i] for token, i in vocabulary.items()}
    assert not vectors[:2].any()  # padding, and the unknown token, which does not occur
    within = [
        cosine(of[a], of[b]) for topic in (SEA, KITCHEN) for a in topic for b in topic
    ]
    across = [cosine(of[a], of[b]) for a in SEA for b in KITCHEN]
    assert min(within) > max(across)


def test_the_product_is_the_information_where_the_rank_suffices():
    """Of two topics without common words: log of 1 over the share of the texts."""
    X = ["boat sail"] * 3 + ["oven flour"] * 3
    source, vocabulary = read(X)
    vectors = cooccurrence_vectors(source, 6, 4, np.random.default_rng(0))
    # Each token has one other: p(i, j) = 1/4, p(i) = 1/4, smoothed p(j) = 1/4.
    gram = np.abs(vectors.astype(np.float64) @ vectors.T)
    boat, sail, oven, flour = (vocabulary[t] for t in ("boat", "sail", "oven", "flour"))
    assert gram[boat, boat] == pytest.approx(gram[oven, oven], rel=1e-5)
    assert gram[boat, oven] == pytest.approx(0, abs=1e-6)
    assert gram[sail, flour] == pytest.approx(0, abs=1e-6)
    squares = np.square(vectors[2:]).sum(1)
    np.testing.assert_allclose(squares, squares[0], rtol=1e-5)
    assert np.square(vectors[source.ids[0]]).mean() == pytest.approx(1, rel=1e-5)


def test_tokens_far_apart_in_a_text_do_not_occur_together():
    far = " ".join(["boat", *["and", "the"] * WINDOW, "oven"])
    source, vocabulary = read([far] * 3 + texts())
    vectors = cooccurrence_vectors(source, 12, 4, np.random.default_rng(0))
    boat, oven, sail = (vectors[vocabulary[t]] for t in ("boat", "oven", "sail"))
    assert cosine(boat, sail) > cosine(boat, oven)


@pytest.mark.parametrize("X", [["one"], ["one one", "two two"], ["", "."]])
def test_nothing_occurs_together(X):
    source, vocabulary = read(X)
    n_tokens = len(vocabulary) + 2
    vectors = cooccurrence_vectors(source, n_tokens, 4, np.random.default_rng(0))
    assert vectors.shape == (n_tokens, 4)
    assert not vectors.any()


def weights(fitted):
    return fitted.net_.module_.encoder.embedding.weight.detach().numpy().copy()


@pytest.mark.parametrize("unit", ["token", "sentence"])
def test_training_changes_random_ones_only(unit):
    X = [f"{a}. {b}. {a}" for a, b in zip(texts(), texts(seed=1), strict=True)]
    for embeddings, fixed in [("cooccurrence", True), ("random", False)]:
        cpc = CPCTextTransformer(
            unit=unit, embeddings=embeddings, max_epochs=0, warm_start=True, **SMALL
        ).fit(X)
        before = weights(cpc)
        after = weights(cpc.set_params(max_epochs=2).fit(X))
        assert np.array_equal(before, after) == fixed
        assert before.std() > 0.01


def test_a_file_keeps_them_fixed(tmp_path):
    X = texts()
    cpc = CPCTextTransformer(max_epochs=1, warm_start=True, **SMALL).fit(X)
    cpc.save(tmp_path / "model")
    loaded = CPCTextTransformer.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), cpc.transform(X))
    before = weights(loaded)
    np.testing.assert_array_equal(weights(loaded.fit(X)), before)


def test_own_vectors(tmp_path):
    own = {token: np.arange(3) + i for i, token in enumerate([*SEA, "elsewhere"])}
    options = {"embeddings": own, "max_epochs": 0, **SMALL}
    cpc = CPCTextTransformer(**options).fit(texts())
    vectors = weights(cpc)
    assert vectors.shape == (12, 3)
    for token, i in cpc.vocabulary_.items():
        np.testing.assert_array_equal(vectors[i], own.get(token, np.zeros(3)))
    names = cpc.get_feature_names_out()
    assert sum(name.startswith("layer1_mean") for name in names) == 3
    cpc.save(tmp_path / "model")
    with pytest.raises(ValueError, match="saved with your own embeddings"):
        CPCTextTransformer.load(tmp_path / "model")
    loaded = CPCTextTransformer.load(tmp_path / "model", embeddings=own)
    np.testing.assert_array_equal(loaded.transform(texts()), cpc.transform(texts()))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"elsewhere": [1.0]}, "no vector for any of the 10 tokens, such as"),
        ({"boat": [1.0], "sail": [1.0, 2.0]}, "vectors of one size, got the shapes"),
        ({"boat": [[1.0]]}, "vectors of one size"),
        ({"boat": []}, "vectors of one size"),
        ({"boat": [np.nan]}, "not finite"),
        ("glove", "'embeddings' parameter .* must be"),
    ],
)
def test_bad_vectors(own, message):
    with pytest.raises(ValueError, match=message):
        CPCTextTransformer(embeddings=own, max_epochs=0, **SMALL).fit(texts())


def test_equal_fits_are_equal():
    one, other = (CPCTextTransformer(max_epochs=0, **SMALL).fit(texts()) for _ in "ab")
    np.testing.assert_array_equal(weights(one), weights(other))
