"""Texts: what a user passes, cut into tokens or sentences, as ids in batches."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

# Ids that no token has; id 0 fills up what is shorter.
UNKNOWN, N_RESERVED = 1, 2
N_BYTES = 256
# A sentence ends after . ! ? or an ellipsis before white space, after the full
# stops of East Asian scripts, and where a paragraph ends.
SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n\s*\n")  # noqa: RUF001
# A longer sentence goes on as the next one: it would pad all others of a batch.
MAX_SENTENCE = 64


def read_texts(X: Any, name: str) -> list[str]:
    """Return the texts of an iterable, or say why they are none.

    Parameters
    ----------
    X : iterable of str
    name : str
        Of the estimator, for messages.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If `X` is a single text, or holds none or anything else.
    TypeError
        If `X` is of a type whose items are not texts.
    """
    if isinstance(X, str):  # the words of scikit-learn's vectorizers
        raise ValueError(
            "Iterable over raw text documents expected, string object received."
        )
    if hasattr(X, "columns") or isinstance(X, Mapping):
        raise TypeError(
            f"X is of the type {type(X).__name__}, whose items are its names. Pass one "
            "column of texts, such as X['text']."
        )
    try:
        texts = list(X)
    except TypeError:
        raise TypeError(
            f"X is of the type {type(X).__name__}. Pass an iterable of str, such as a "
            "list, an array or a series of texts."
        ) from None
    if not texts:
        raise ValueError(
            "Found array with 0 sample(s) (shape=(0,)) while a minimum of 1 is "
            f"required by {name}."
        )
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"X[{i}] is {text!r:.60} of the type {type(text).__name__}, but every "
                "text must be a str. Decode bytes, and replace missing texts by ''."
            )
    return texts


@dataclass(frozen=True)
class TextReader:
    """Cuts texts into steps of token ids; what it has learned is plain values.

    Attributes
    ----------
    unit : {"token", "sentence"}
        What a step is.
    lowercase : bool
        Whether texts are lowercased first.
    tokenizer : str or callable
        "word", the JSON of a tokenizer of `tokenizers`, or ``text -> list of str``;
        the last is not kept in copies and files.
    vocabulary : dict
        From token to id, those from `N_RESERVED` on.
    """

    unit: str
    lowercase: bool
    tokenizer: str | Callable[[str], list[str]]
    vocabulary: dict[str, int]

    @classmethod
    def learn(
        cls, texts: list[str], *, unit: str, lowercase: bool, tokenizer: Any, size: int
    ) -> "TextReader":
        """Learn a vocabulary of at most `size` tokens from texts.

        Parameters
        ----------
        texts : list of str
        unit : {"token", "sentence"}
        lowercase : bool
        tokenizer : {"bpe", "word"}, tokenizers.Tokenizer or callable
        size : int

        Returns
        -------
        TextReader
        """
        texts = [_clean(text, lowercase) for text in texts]
        if tokenizer == "bpe":
            state, tokens = train_byte_pairs(texts, size)
        else:
            state = tokenizer.to_str() if hasattr(tokenizer, "to_str") else tokenizer
            split = splitter(state)
            counts = Counter(token for text in texts for token in split(text))
            # The most frequent, ties by the token: nothing depends on the order of X.
            tokens = sorted(counts, key=lambda token: (-counts[token], token))[:size]
        vocabulary = {token: i for i, token in enumerate(tokens, N_RESERVED)}
        return cls(unit, lowercase, state, vocabulary)

    def __getstate__(self) -> dict[str, Any]:
        kept = self.tokenizer if isinstance(self.tokenizer, str) else None
        return {**vars(self), "tokenizer": kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        ids = sorted(state["vocabulary"].values())
        if ids != list(range(N_RESERVED, N_RESERVED + len(ids))):
            raise ValueError("the ids of the vocabulary are not consecutive")
        vars(self).update(state)

    def read(self, texts: list[str]) -> "Texts":
        """Return the texts as ids; one without a token is an unknown token."""
        split = splitter(self.tokenizer)
        documents = []
        for text in texts:
            text = _clean(text, self.lowercase)
            parts = [text] if self.unit == "token" else SENTENCE_END.split(text)
            ids = [self._ids(split(part)) for part in parts]
            documents.append([part for part in ids if len(part)] or [_UNKNOWN_ONLY])
        ids = [np.concatenate(parts) for parts in documents]
        if self.unit == "token":
            sizes = [np.broadcast_to(np.int64(1), len(tokens)) for tokens in ids]
        else:
            sizes = [_sentence_sizes(parts) for parts in documents]
        return Texts(ids, sizes)

    def _ids(self, tokens: list[str]) -> np.ndarray:
        vocabulary = self.vocabulary
        return np.array([vocabulary.get(t, UNKNOWN) for t in tokens], dtype=np.int32)


_UNKNOWN_ONLY = np.array([UNKNOWN], dtype=np.int32)


def _clean(text: str, lowercase: bool) -> str:
    # Half of a surrogate pair is no character: no encoding has it.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text.lower() if lowercase else text


def _sentence_sizes(sentences: list[np.ndarray]) -> np.ndarray:
    """Return the numbers of tokens of sentences, the long ones cut up."""
    sizes = []
    for sentence in sentences:
        whole, rest = divmod(len(sentence), MAX_SENTENCE)
        sizes += [MAX_SENTENCE] * whole + [rest] * (rest > 0)
    return np.array(sizes)


@dataclass(frozen=True)
class Texts:
    """Texts as token ids, in steps of one or several tokens.

    Attributes
    ----------
    ids : list of ndarray
        All tokens of each text.
    sizes : list of ndarray
        Number of tokens of each step of each text.
    """

    ids: list[np.ndarray]
    sizes: list[np.ndarray]

    ragged = True

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Steps of each text, ``(n,)``."""
        return np.array([len(sizes) for sizes in self.sizes])

    def take(self, rows: np.ndarray) -> "Texts":
        """Return some of the texts."""
        return Texts([self.ids[i] for i in rows], [self.sizes[i] for i in rows])

    def batch(
        self,
        rows: np.ndarray,
        starts: np.ndarray | None = None,
        size: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return windows of ids, padded with 0, and their lengths.

        Parameters
        ----------
        rows : ndarray of shape (B,)
        starts : ndarray of shape (B,), default=None
            First step of each window; None starts at 0.
        size : int, default=None
            Longest window; None takes whole texts.

        Returns
        -------
        ids : ndarray of shape (B, T, L), float32
            L is the number of tokens of the longest step.
        lengths : ndarray of shape (B,)
        """
        if starts is None:
            starts = np.zeros(len(rows), dtype=np.int64)
        stop = self.lengths[rows] if size is None else starts + size
        sizes = [
            self.sizes[row][a:b] for row, a, b in zip(rows, starts, stop, strict=True)
        ]
        lengths = np.array([len(steps) for steps in sizes])
        width = max(int(steps.max()) for steps in sizes)
        ids = np.zeros((len(rows), lengths.max(), width), np.float32)
        place = np.arange(width)
        for window, row, start, steps in zip(ids, rows, starts, sizes, strict=True):
            first = self.sizes[row][:start].sum()
            tokens = self.ids[row][first : first + steps.sum()]
            window[: len(steps)][place < steps[:, None]] = tokens
        return ids, lengths


# ---- tokenizers


def splitter(tokenizer: Any) -> Callable[[str], list[str]]:
    """Return the function ``text -> list of str`` that a fitted tokenizer is."""
    if tokenizer == "word":
        return CountVectorizer(lowercase=False).build_analyzer()
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
            "byte-level BPE begins with. Use a larger one, or tokenizer='word'."
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
    """Keep `tokenizers` from starting threads: it warns at every later fork."""
    name = "TOKENIZERS_PARALLELISM"
    if name in os.environ:
        yield
        return
    os.environ[name] = "false"
    try:
        yield
    finally:
        os.environ.pop(name, None)
