"""From what a user passes to token ids."""

import json
import os
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_cpc._data.texts import (
    MAX_SENTENCE,
    N_RESERVED,
    UNKNOWN,
    TextReader,
    read_texts,
    splitter,
)

TEXTS = ["A cat sat on the mat.", "The dog sat. The cat ran! Why?", "", "東京は。晴れ"]
FORMS = {
    "list": list,
    "tuple": tuple,
    "generator": iter,
    "array of str": np.array,
    "object array": lambda X: np.array(X, dtype=object),
    "pandas": pd.Series,
    "pandas, other index": lambda X: pd.Series(X, index=[7, 5, 3, 1]),
    "polars": lambda X: pl.Series(X),
}


@pytest.mark.parametrize("form", FORMS)
def test_any_iterable_of_str(form):
    assert read_texts(FORMS[form](TEXTS), "") == TEXTS


BAD = {
    "one text": ("one text", ValueError, "^Iterable over raw text documents expected"),
    "none": (None, TypeError, "X is of the type NoneType. Pass an iterable of str"),
    "number": (3, TypeError, "X is of the type int"),
    "frame": (pd.DataFrame({"a": TEXTS}), TypeError, r"DataFrame.*one column.*X\['te"),
    "mapping": ({"a": "b"}, TypeError, "X is of the type dict"),
    "empty": ([], ValueError, r"0 sample\(s\).*required by CPC"),
    "missing": (["a", None], ValueError, r"X\[1\] is None of the type NoneType.*by ''"),
    "NaN": (["a", "b", np.nan], ValueError, r"X\[2\] is nan of the type float"),
    "bytes": ([b"a"], ValueError, r"X\[0\] is b'a' of the type bytes.*Decode bytes"),
    "bytes alone": (b"a", ValueError, r"X\[0\] is 97 of the type int"),
    "2-D": (np.array([TEXTS]), ValueError, r"X\[0\] is array.* of the type ndarray"),
    "tokens": ([["a", "b"]], ValueError, r"X\[0\] is \['a', 'b'\] of the type list"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_texts(name):
    bad, error, message = BAD[name]
    with pytest.raises(error, match=message):
        read_texts(bad, "CPC")


def reader(texts=TEXTS, **options):
    defaults = {"unit": "token", "lowercase": True, "tokenizer": "word", "size": 1000}
    return TextReader.learn(texts, **defaults | options)


def words(reader, texts=TEXTS):
    """Return the tokens that the ids of each text stand for."""
    names = {i: token for token, i in reader.vocabulary.items()} | {UNKNOWN: None}
    return [[names[i] for i in text] for text in reader.read(texts).ids]


def test_words_are_those_of_the_vectorizers():
    assert words(reader())[:2] == [
        ["cat", "sat", "on", "the", "mat"],
        ["the", "dog", "sat", "the", "cat", "ran", "why"],
    ]
    assert "The" in reader(lowercase=False).vocabulary


def test_vocabulary_keeps_the_most_frequent():
    vocabulary = reader(size=3).vocabulary
    assert vocabulary == {"the": 2, "cat": 3, "sat": 4}
    assert reader(TEXTS[::-1], size=3).vocabulary == vocabulary


def test_vocabulary_leaves_out_rare_words_unless_all_are():
    assert set(reader(rarest=2).vocabulary) == {"the", "cat", "sat"}
    assert set(reader(rarest=3).vocabulary) == {"the"}
    assert reader(rarest=9).vocabulary == reader().vocabulary


def test_unseen_words_and_empty_texts_are_unknown():
    assert words(reader(), ["the zebra", "", "!?"]) == [["the", None], [None], [None]]


def test_byte_pairs_give_back_every_text():
    fitted = reader(tokenizer="bpe", lowercase=False, size=300)
    hard = ["Ünïcode 東京 😀\n\ttabs", "مرحبا", "a" * 10_000, "\x00", " "]
    for text, tokens in zip(hard, words(fitted, hard), strict=True):
        assert None not in tokens
        decoded = bytes(BYTES[c] for c in "".join(tokens)).decode()
        assert decoded in (text, " " + text)


def byte_of_character():
    """Return GPT-2's table: visible bytes are themselves, others follow from 256."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in visible]
    table = {chr(b): b for b in visible}
    return table | {chr(256 + i): b for i, b in enumerate(others)}


BYTES = byte_of_character()


def test_byte_pairs_are_the_same_in_another_order():
    assert reader(tokenizer="bpe") == reader(TEXTS[::-1], tokenizer="bpe")


def test_byte_pairs_grow_with_the_vocabulary():
    texts = ["the cat sat on the mat"] * 20
    n_tokens = [
        len(reader(texts, tokenizer="bpe", size=size).read(texts).ids[0])
        for size in (256, 262, 400)
    ]
    assert n_tokens[0] == 23  # its bytes, and the space in front
    assert n_tokens[0] > n_tokens[1] > n_tokens[2] == 6


def test_rare_byte_pairs_are_no_tokens():
    texts = ["seldom"] * 7 + ["often"] * 8
    vocabulary = reader(texts, tokenizer="bpe", size=400).vocabulary
    assert "Ġoften" in vocabulary
    assert not any("sel" in token for token in vocabulary)


def test_byte_pairs_begin_with_the_bytes():
    assert len(reader(tokenizer="bpe", size=256).vocabulary) == 256
    with pytest.raises(ValueError, match=r"vocabulary_size=255 .* 256 bytes .*'word'"):
        reader(tokenizer="bpe", size=255)


def test_half_a_surrogate_pair_is_a_question_mark():
    fitted = reader(tokenizer="bpe")
    assert words(fitted, ["a\ud800b"]) == words(fitted, ["a?b"])


def test_callable():
    fitted = reader(tokenizer=str.split, lowercase=False)
    assert words(fitted, ["The dog sat."]) == [["The", "dog", "sat."]]


@pytest.mark.parametrize("result", ["text", {"input_ids": [1]}, [1, 2], None])
def test_callable_that_gives_no_tokens(result):
    with pytest.raises(TypeError, match="must return a list of str, but it returned"):
        reader(tokenizer=lambda text: result)


def test_ready_tokenizer_without_its_special_tokens_and_padding():
    import tokenizers

    ready = tokenizers.Tokenizer(
        tokenizers.models.WordLevel(
            {"[UNK]": 0, "[CLS]": 1, "sat": 2, "mat": 3}, "[UNK]"
        )
    )
    ready.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    ready.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 1)]
    )
    ready.enable_padding(length=40)
    ready.enable_truncation(3)
    fitted = reader(tokenizer=ready)
    assert words(fitted, ["a mat sat there"]) == [["[UNK]", "mat", "sat", "[UNK]"]]
    assert ready.padding["length"] == 40


def test_what_was_learned_is_plain():
    for tokenizer in ("word", "bpe"):
        fitted = reader(tokenizer=tokenizer)
        copy = TextReader(**json.loads(json.dumps(vars(fitted))))
        assert copy == fitted
        assert words(copy) == words(fitted)


SENTENCES = {
    "One two. Three four!": [2, 2],
    "What? Yes… no": [1, 1, 1],
    "Version 2.10 is out": [4],
    "a line\nof this sentence": [5],
    "a title\n \na text": [2, 2],
    "今日は。明日は？": [1, 1],  # noqa: RUF001
    "": [1],
    "...": [1],
}


@pytest.mark.parametrize("text", SENTENCES)
def test_sentences(text):
    def split(text):
        return [w for w in text.replace("?", " ").split() if w != "..."]

    fitted = reader(list(SENTENCES), unit="sentence", tokenizer=split)
    assert fitted.read([text]).sizes[0].tolist() == SENTENCES[text]


def test_long_sentences_go_on():
    text = "word " * (2 * MAX_SENTENCE + 3)
    (sizes,) = reader(unit="sentence").read([text]).sizes
    assert sizes.tolist() == [MAX_SENTENCE, MAX_SENTENCE, 3]


def test_batches_hold_windows_of_the_ids():
    texts = ["aa bb cc. dd ee. ff gg hh ii.", "bb cc. dd"]
    tokens = reader(texts, tokenizer="word").read(texts)
    x, lengths = tokens.batch(np.array([0, 1]), np.array([2, 1]), size=4)
    assert x.dtype == np.float32
    assert lengths.tolist() == [4, 2]
    assert x[0, :, 0].tolist() == tokens.ids[0][2:6].tolist()
    assert x[1, :, 0].tolist() == [*tokens.ids[1][1:], 0, 0]
    sentences = reader(texts, unit="sentence").read(texts)
    x, lengths = sentences.batch(np.array([1, 0]), np.array([0, 1]))
    assert lengths.tolist() == [2, 2]
    dd, ee, ff = (sentences.ids[0][i] for i in (3, 4, 5))
    assert x[0].tolist() == [[*sentences.ids[1][:2], 0, 0], [dd, 0, 0, 0]]
    assert x[1, 0].tolist() == [dd, ee, 0, 0]
    assert x[1, 1, 0] == ff
    taken = sentences.take(np.array([1]))
    assert len(taken) == 1
    assert taken.lengths.tolist() == [2]


def test_ids_are_consecutive_and_leave_room():
    for tokenizer in ("word", "bpe"):
        ids = sorted(reader(tokenizer=tokenizer).vocabulary.values())
        assert ids == list(range(N_RESERVED, N_RESERVED + len(ids)))


def test_the_environment_stays_as_it_was(monkeypatch):
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    reader(tokenizer="bpe")
    assert "TOKENIZERS_PARALLELISM" not in os.environ
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    reader(tokenizer="bpe")
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"


def test_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r'pip install "sklearn-cpc\[text\]"'):
        reader(tokenizer="bpe")
    assert words(reader())


def test_word_splitter_needs_no_state():
    assert splitter("word")("One, two; a 3.") == ["One", "two"]
