"""Where the vectors of tokens come from."""

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from sklearn.base import clone

from sklearn_cpc import CPCTextTransformer
from sklearn_cpc._data.embeddings import WINDOW, cooccurrence_vectors
from sklearn_cpc._data.texts import TextReader
from topics import KITCHEN, SEA, texts

SMALL = {"tokenizer": "word", "latent_size": 6, "context_size": 6, "random_state": 0}


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


def test_no_column_is_a_component_of_its_own():
    """Scaling columns would give the noise of the last ones the weight of the first."""
    source, _ = read(texts(n_words=30))
    vectors = cooccurrence_vectors(source, 12, 8, np.random.default_rng(0))
    gram = vectors.T @ vectors  # of components, it would be diagonal
    squares = np.diag(gram)
    assert np.abs(gram - np.diag(squares)).max() > 0.1 * squares.max()


def test_sizes_beyond_memory_are_refused():
    cpc = CPCTextTransformer(**SMALL | {"latent_size": 10**6})
    with pytest.raises(ValueError, match=r"would take .* GB of memory"):
        cpc.fit(texts())


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
    assert sum(name.startswith("layer1_direction") for name in names) == 3
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
        ([[1.0, 2.0]], "'embeddings' parameter .* must be"),
        (3, "'embeddings' parameter .* must be"),
        ((np.eye(2),), r"a pair \(vectors, tokens\), got 1 parts"),
        ((np.eye(2), ["boat"]), "2 vectors for 1 different tokens"),
        ((np.eye(2), ["boat", "boat"]), "2 vectors for 1 different tokens"),
        ((np.eye(2), {"boat": 2}), "has the row 2, but rows are numbers from 0 to 1"),
        ((np.eye(2), {"boat": -1}), "has the row -1, but"),
        ((np.eye(2), {"boat": "1"}), "has the row '1', but"),
        ((np.eye(2), "boat"), "must be a list of str"),
        ((np.eye(2), 3), "must be a list of str"),
        ((np.ones(2), ["boat", "sail"]), r"got the shape \(2,\)"),
        ((np.ones((0, 2)), []), r"got the shape \(0, 2\)"),
        (([["a"], ["b"]], ["boat", "sail"]), "of numbers, got"),
    ],
)
def test_bad_vectors(own, message):
    with pytest.raises(ValueError, match=message):
        CPCTextTransformer(embeddings=own, max_epochs=0, **SMALL).fit(texts())


def test_a_word_that_occurs_once_needs_a_vector():
    X = [*texts(), "boat rope"]
    unknown = CPCTextTransformer(max_epochs=0, **SMALL).fit(X)
    assert "rope" not in unknown.vocabulary_
    own = {"rope": np.ones(3), "boat": np.zeros(3)}
    known = CPCTextTransformer(embeddings=own, max_epochs=0, **SMALL).fit(X)
    assert weights(known)[known.vocabulary_["rope"]].tolist() == [1, 1, 1]


def expected_of(pair):
    """Return the features with the same vectors as a mapping."""
    matrix, tokens = pair
    own = dict(zip(tokens, matrix, strict=True))
    cpc = CPCTextTransformer(embeddings=own, max_epochs=0, **SMALL)
    return cpc.fit_transform(texts())


TOKENS = [*KITCHEN, "elsewhere", *SEA]
MATRIX = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)


def files(folder):
    """Return a matrix as an array, a memory map, and in files of safetensors."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "matrix.npy", MATRIX)
    alone = {"vectors": MATRIX}
    safetensors.numpy.save_file(alone, folder / "alone.safetensors")
    beside = {"weights": MATRIX[:, 0], "vectors": MATRIX, "scale": np.ones((1, 1, 1))}
    safetensors.numpy.save_file(beside, folder / "beside.safetensors")
    return {
        "array": MATRIX,
        "list": MATRIX.tolist(),
        "memory map": np.load(folder / "matrix.npy", mmap_mode="r"),
        "file": folder / "alone.safetensors",
        "beside others": str(folder / "beside.safetensors"),
    }


@pytest.mark.parametrize(
    "form", ["array", "list", "memory map", "file", "beside others"]
)
def test_a_matrix_and_its_tokens(form, tmp_path):
    vectors = files(tmp_path)[form]
    expected = expected_of((MATRIX, TOKENS))
    rows = {token: row for row, token in enumerate(TOKENS) if token != "elsewhere"}
    for tokens in (TOKENS, tuple(TOKENS), np.array(TOKENS), rows):
        cpc = CPCTextTransformer(embeddings=(vectors, tokens), max_epochs=0, **SMALL)
        np.testing.assert_array_equal(clone(cpc).fit_transform(texts()), expected)


def test_a_model_file_asks_for_the_pair_again(tmp_path):
    """It holds a copy of the vectors, and no path of this machine."""
    pair = str(files(tmp_path)["file"]), TOKENS
    cpc = CPCTextTransformer(embeddings=pair, max_epochs=0, **SMALL).fit(texts())
    cpc.save(tmp_path / "model")
    assert str(tmp_path).encode() not in (tmp_path / "model").read_bytes()
    with pytest.raises(ValueError, match=r"your own embeddings \(tuple\)"):
        CPCTextTransformer.load(tmp_path / "model")
    loaded = CPCTextTransformer.load(tmp_path / "model", embeddings=pair)
    np.testing.assert_array_equal(loaded.transform(texts()), cpc.transform(texts()))


def test_bad_files(tmp_path):
    two = {"a": MATRIX, "b": MATRIX}
    safetensors.numpy.save_file(two, tmp_path / "two.safetensors")
    half = {"vectors": torch.from_numpy(MATRIX).bfloat16()}
    safetensors.torch.save_file(half, tmp_path / "half.safetensors")
    (tmp_path / "text.safetensors").write_text("boat 1 2 3")
    for name, error, message in [
        ("two", ValueError, "has 2 matrices among its tensors.* one of 'a', 'b'"),
        ("half", ValueError, "numpy cannot read .* Convert them to float32"),
        ("text", ValueError, "is not a safetensors file"),
        ("none", FileNotFoundError, "No such file"),
    ]:
        pair = tmp_path / f"{name}.safetensors", TOKENS
        with pytest.raises(error, match=message):
            CPCTextTransformer(embeddings=pair, max_epochs=0, **SMALL).fit(texts())


def test_equal_fits_are_equal():
    one, other = (CPCTextTransformer(max_epochs=0, **SMALL).fit(texts()) for _ in "ab")
    np.testing.assert_array_equal(weights(one), weights(other))
