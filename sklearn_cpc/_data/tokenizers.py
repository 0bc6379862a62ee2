"""Tokenizers: from a text to a list of tokens.

A tokenizer of the library `tokenizers` is kept as its JSON. From a file, only the
vocabulary and the merges of byte pairs are taken: the other parts of a tokenizer can
make gigabytes of a line, or not come to an end.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sklearn.feature_extraction.text import CountVectorizer

# Tokens that a byte-level encoding starts with.
N_BYTES = 256
# A pair of byte pairs that is rarer does not become a token: little could be learned of
# it. With 500 texts, the features are 1 to 18 points better than with all pairs.
RAREST_PAIR = 8
# What the digest of a tokenizer starts with.
DIGEST = "sha256:"


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

    def split(text: str) -> list[str]:
        with _no_panic(f"on {text!r:.40}"):
            tokens: list[str] = encode.encode(text, add_special_tokens=False).tokens
        return tokens

    return split


@contextmanager
def _no_panic(where: str) -> Iterator[None]:
    """Turn a panic of Rust, which is no `Exception`, into an error with a name."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"The tokenizer fails {where}: {error}") from None


def as_state(tokenizer: Any) -> Any:
    """Return the JSON of a tokenizer of `tokenizers`, and others as they are.

    Nothing in it is random, cuts or pads texts, or adds tokens.
    """
    if not hasattr(tokenizer, "to_str"):
        return tokenizer
    return _reduced(tokenizer.to_str())


def _reduced(text: str) -> str:
    """Return the JSON of a tokenizer without what is switched off."""
    state = json.loads(text)
    state |= dict.fromkeys(("truncation", "padding", "post_processor", "decoder"))
    if "dropout" in state["model"]:
        state["model"]["dropout"] = None
    return json.dumps(state)


def in_files(tokenizer: Any) -> str | None:
    """Return what files hold of a state: all, the digest, or None of a callable."""
    if not isinstance(tokenizer, str):
        return None
    if tokenizer == "word" or is_digest(tokenizer):
        return tokenizer
    state = json.loads(tokenizer)
    model = state.pop("model")
    known = json.loads(_byte_pairs({}, []).to_str())
    known_model = known.pop("model")
    if state == known and model | {"vocab": {}, "merges": []} == known_model:
        return tokenizer
    return DIGEST + hashlib.sha256(_reduced(tokenizer).encode()).hexdigest()


def is_digest(tokenizer: str) -> bool:
    """Whether a file holds the digest of a tokenizer alone."""
    return tokenizer.startswith(DIGEST)


def from_file(tokenizer: str | None, vocabulary: dict[str, int]) -> str | None:
    """Return the state of a tokenizer that a file holds.

    Parameters
    ----------
    tokenizer : str or None
        "word", the digest of a user's tokenizer, or JSON with byte pairs. Of all other
        JSON, the digest is returned: the user has to pass the tokenizer.
    vocabulary : dict of str to int
        Of the same file.

    Returns
    -------
    str or None

    Raises
    ------
    ValueError
        If the byte pairs do not suit the vocabulary.
    """
    kept = in_files(tokenizer)
    if kept is None or kept == "word" or is_digest(kept):
        return kept
    model = json.loads(kept)["model"]
    # Old releases of the library write a merge as one text.
    merges = [
        tuple(merge.split(" ") if isinstance(merge, str) else merge)
        for merge in model["merges"]
    ]
    first = min(vocabulary.values(), default=0)
    if {token: i + first for token, i in model["vocab"].items()} != vocabulary:
        raise ValueError("the byte pairs do not suit the vocabulary")
    with _no_panic("on its byte pairs"):
        rebuilt: str = _byte_pairs(model["vocab"], merges).to_str()
    return rebuilt


def _byte_pairs(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Any:
    """Return a tokenizer of byte pairs."""
    tokenizers = import_tokenizers()
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    return tokenizer


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
    tokenizer = _byte_pairs({}, [])
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=int(size),
        min_frequency=RAREST_PAIR,
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
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
