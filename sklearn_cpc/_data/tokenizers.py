"""Tokenizers: from a text to a list of tokens."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sklearn.feature_extraction.text import CountVectorizer

# Tokens that a byte-level encoding starts with.
N_BYTES = 256


def splitter(tokenizer: Any) -> Callable[[str], list[str]]:
    """Return a function ``text -> list of str`` for a tokenizer.

    Parameters
    ----------
    tokenizer : {"word"}, str or callable
        A str is the JSON of a tokenizer of `tokenizers`.

    Returns
    -------
    callable
    """
    if tokenizer == "word":
        analyzer: Callable[[str], list[str]] = CountVectorizer(
            lowercase=False
        ).build_analyzer()
        return analyzer
    if callable(tokenizer):
        return _checked(tokenizer)
    encode = import_tokenizers().Tokenizer.from_str(tokenizer)
    encode.no_padding()
    encode.no_truncation()
    return lambda text: encode.encode(text, add_special_tokens=False).tokens


def _checked(tokenizer: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    def split(text: str) -> list[str]:
        tokens = tokenizer(text)
        if not isinstance(tokens, list | tuple) or not all(
            isinstance(token, str) for token in tokens
        ):
            raise TypeError(
                "A callable tokenizer must return a list of str, but it returned "
                f"{tokens!r:.80} for {text!r:.40}."
            )
        return list(tokens)

    return split


def train_byte_pairs(texts: list[str], size: int) -> tuple[str, list[str]]:
    """Train a byte-level BPE and return its JSON and its tokens, by their ids."""
    tokenizers = import_tokenizers()
    if size < N_BYTES:
        raise ValueError(
            f"vocabulary_size={size} is less than the {N_BYTES} bytes that a "
            "byte-level BPE starts with. Use a larger one, or tokenizer='word'."
        )
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.pre_tokenizer = byte_level
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=sorted(byte_level.alphabet()),
        show_progress=False,
    )
    with _no_threads():
        tokenizer.train_from_iterator(texts, trainer)
    vocabulary = tokenizer.get_vocab()
    return tokenizer.to_str(), sorted(vocabulary, key=vocabulary.__getitem__)


def import_tokenizers() -> Any:
    """Import the library, or say how to get it."""
    try:
        import tokenizers
    except ImportError:
        raise ImportError(
            "tokenizer='bpe' needs the package tokenizers: "
            'pip install "sklearn-cpc[text]", or use tokenizer="word".'
        ) from None
    return tokenizers


@contextmanager
def _no_threads() -> Iterator[None]:
    """Keep `tokenizers` from starting threads; it would warn at every later fork."""
    name = "TOKENIZERS_PARALLELISM"
    if name in os.environ:
        yield
        return
    os.environ[name] = "false"
    try:
        yield
    finally:
        os.environ.pop(name, None)
