"""Vectors of tokens that other libraries have trained or read."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from sklearn_cpc import CPCTextTransformer
from topics import KITCHEN, SEA

NEEDED = "needs the extra interop"
TEXTS = [" ".join(topic) for topic in (SEA, KITCHEN) for _ in range(30)]
WORDS = [*SEA, *KITCHEN]


def fit(embeddings, **options):
    options = {"tokenizer": "word", "latent_size": 4, "context_size": 4} | options
    cpc = CPCTextTransformer(
        embeddings=embeddings, random_state=0, **{"max_epochs": 1} | options
    )
    return cpc.fit(TEXTS)


def words_and_unknown():
    """Return a tokenizer with nine tokens."""
    numbers = {word: i for i, word in enumerate(["[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def vector_of(cpc, token):
    embedding = cpc.net_.module_.encoder.embedding.weight.detach().numpy()
    return embedding[cpc.vocabulary_[token]]


def test_gensim():
    models = pytest.importorskip("gensim.models", reason=NEEDED)
    sentences = [text.split() for text in TEXTS]
    trained = models.Word2Vec(
        sentences, vector_size=6, min_count=1, workers=1, seed=0
    ).wv
    cpc = fit(trained)
    for word in WORDS:
        np.testing.assert_array_equal(vector_of(cpc, word), trained[word])


def test_a_file_of_fasttext(tmp_path):
    """It has vectors of words that it has never seen, too, by their parts."""
    fasttext = pytest.importorskip("gensim.models.fasttext", reason=NEEDED)
    path = str(tmp_path / "vectors.bin")
    seen = [text.replace("bread", "breads").split() for text in TEXTS]
    model = fasttext.FastText(seen, vector_size=6, min_count=1, workers=1, seed=0)
    fasttext.save_facebook_model(model, path)
    read = fasttext.load_facebook_vectors(path)
    cpc = fit(read)
    assert "bread" not in read.key_to_index
    assert vector_of(cpc, "bread").any()
    for word in WORDS:
        np.testing.assert_array_equal(vector_of(cpc, word), read[word])


def test_a_folder_of_model2vec(tmp_path):
    model2vec = pytest.importorskip("model2vec", reason=NEEDED)
    tokenizer = words_and_unknown()
    vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    model2vec.StaticModel(vectors, tokenizer).save_pretrained(tmp_path / "model")
    read = model2vec.StaticModel.from_pretrained(tmp_path / "model")
    cpc = fit(read, tokenizer=read.tokenizer, max_epochs=0)
    names = cpc.get_feature_names_out()
    of_vectors = [name.startswith("layer1_direction") for name in names]
    means = cpc.set_params(pooling="mean").transform(TEXTS)[:, of_vectors]
    np.testing.assert_allclose(means, read.encode(TEXTS), rtol=0, atol=1e-6)


def test_shared_vectors_of_model2vec():
    """Clusters of tokens share a vector; each token has a weight of its own."""
    model2vec = pytest.importorskip("model2vec", reason=NEEDED)
    tokenizer = words_and_unknown()
    model = model2vec.StaticModel(
        np.eye(3, dtype=np.float32),
        tokenizer,
        weights=np.linspace(0.5, 2, 9),
        token_mapping=np.arange(9) % 3,
    )
    cpc = fit(model, tokenizer=tokenizer)
    for word in WORDS:
        expected = model.encode([word], max_length=None)[0]
        np.testing.assert_allclose(vector_of(cpc, word), expected, rtol=1e-6)
