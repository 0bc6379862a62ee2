"""Texts: read, and cut into tokens or sentences."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from .tokenizers import (
    as_state,
    from_file,
    in_files,
    is_digest,
    splitter,
    train_byte_pairs,
)

# Ids that no token has; id 0 is padding.
UNKNOWN, N_RESERVED = 1, 2
# A sentence ends after . ! ? or an ellipsis before white space, after the full
# stops of East Asian scripts, and where a paragraph ends.
SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n\s*\n")  # noqa: RUF001
# Tokens of a sentence; a longer one is cut, because it would pad all others of a batch.
MAX_SENTENCE = 64


def read_texts(X: Any, name: str) -> list[str]:
    """Return the texts of an iterable, or raise an error with the reason.

    Parameters
    ----------
    X : iterable of str
    name : str
        Name of the estimator, for messages.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If `X` is a single text, is empty, or holds anything but texts.
    TypeError
        If the items of `X` cannot be texts.
    """
    if isinstance(X, str):  # the message of scikit-learn's vectorizers
        raise ValueError(
            "Iterable over raw text documents expected, string object received."
        )
    if hasattr(X, "columns") or isinstance(X, Mapping):
        raise TypeError(
            f"X is of the type {type(X).__name__}; its items are names. Pass one "
            "column of texts, such as X['text']."
        )
    if isinstance(X, Set):
        raise TypeError(
            f"X is of the type {type(X).__name__}, which has no order: nobody could "
            "tell whose features are whose. Pass a list."
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
    """Cuts texts into steps of token ids. Its attributes are plain values.

    Attributes
    ----------
    unit : {"token", "sentence"}
        The step.
    lowercase : bool
        Whether texts are lowercased first.
    tokenizer : str or callable
        "word", the JSON of a tokenizer of `tokenizers`, or ``text -> list of str``.
        Copies and files keep byte pairs, the digest of another tokenizer, and nothing
        of a callable.
    vocabulary : dict
        From token to id. The ids start at `N_RESERVED`.
    """

    unit: str
    lowercase: bool
    tokenizer: str | Callable[[str], list[str]]
    vocabulary: dict[str, int]

    @classmethod
    def learn(
        cls,
        texts: list[str],
        *,
        unit: str,
        lowercase: bool,
        tokenizer: Any,
        size: int,
        rarest: int = 1,
    ) -> "TextReader":
        """Learn a vocabulary of at most `size` tokens from texts.

        Parameters
        ----------
        texts : list of str
        unit : {"token", "sentence"}
        lowercase : bool
        tokenizer : {"bpe", "word"}, tokenizers.Tokenizer or callable
        size : int
        rarest : int, default=1
            How often a word must occur, if any does; byte pairs have a limit of their
            own.

        Returns
        -------
        TextReader
        """
        texts = [_clean(text, lowercase) for text in texts]
        if tokenizer == "bpe":
            state, tokens = train_byte_pairs(texts, size)
        else:
            state = as_state(tokenizer)
            split = splitter(state)
            counts = Counter(token for text in texts for token in split(text))
            # Ties are broken by the token, so that the order of X does not matter.
            tokens = sorted(counts, key=lambda token: (-counts[token], token))[:size]
            tokens = [t for t in tokens if counts[t] >= rarest] or tokens
        vocabulary = {token: i for i, token in enumerate(tokens, N_RESERVED)}
        return cls(unit, lowercase, state, vocabulary)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "tokenizer": in_files(self.tokenizer)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        kinds = {
            "unit": str,
            "lowercase": bool,
            "tokenizer": str | None,
            "vocabulary": dict,
        }
        if state.keys() != kinds.keys() or not all(
            isinstance(state[name], kind) for name, kind in kinds.items()
        ):
            raise ValueError("it does not say how to read texts")
        ids = sorted(state["vocabulary"].values())
        if ids != list(range(N_RESERVED, N_RESERVED + len(ids))):
            raise ValueError("the ids of the vocabulary are not consecutive")
        if state["unit"] not in {"token", "sentence"}:
            raise ValueError(f"texts have no unit {state['unit']!r:.40}")
        tokenizer = from_file(state["tokenizer"], state["vocabulary"])
        vars(self).update(state, tokenizer=tokenizer)

    def __deepcopy__(self, memo: dict[int, Any]) -> "TextReader":
        """Keep a tokenizer that no file keeps."""
        return replace(self, vocabulary=dict(self.vocabulary))

    def with_tokenizer(self, tokenizer: Any) -> "TextReader":
        """Return a reader with the user's tokenizer where no file keeps it.

        Parameters
        ----------
        tokenizer : tokenizers.Tokenizer or callable
            As in the fit.

        Returns
        -------
        TextReader

        Raises
        ------
        ValueError
            If it is another tokenizer than the one of the fit.
        """
        if isinstance(self.tokenizer, str) and not is_digest(self.tokenizer):
            return self
        if callable(self.tokenizer):
            return self
        if isinstance(tokenizer, str):
            raise ValueError(f"tokenizer={tokenizer!r} is not the one of the fit")
        given = as_state(tokenizer)
        if isinstance(self.tokenizer, str) and in_files(given) != self.tokenizer:
            raise ValueError(
                f"tokenizer={type(tokenizer).__name__} is not the one of the fit. Pass "
                "that one: tokenizer=..."
            )
        return replace(self, tokenizer=given)

    def read(self, texts: list[str]) -> "Texts":
        """Return the texts as ids; a text without tokens gets an unknown token."""
        split = splitter(self.tokenizer)
        ids, sizes = [], []
        for text in texts:
            text = _clean(text, self.lowercase)
            parts = [text] if self.unit == "token" else SENTENCE_END.split(text)
            sentences = [self._ids(split(part)) for part in parts]
            sentences = [part for part in sentences if len(part)] or [_UNKNOWN_ONLY]
            tokens = np.concatenate(sentences)
            ids.append(tokens)
            if self.unit == "token":
                sizes.append(np.broadcast_to(np.int64(1), len(tokens)))
            else:
                sizes.append(_sentence_sizes(sentences))
        return Texts(ids, sizes)

    def _ids(self, tokens: list[str]) -> np.ndarray:
        vocabulary = self.vocabulary
        return np.array([vocabulary.get(t, UNKNOWN) for t in tokens], dtype=np.int32)


_UNKNOWN_ONLY = np.array([UNKNOWN], dtype=np.int32)


def _clean(text: str, lowercase: bool) -> str:
    # No encoding has a single half of a surrogate pair.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text.lower() if lowercase else text


def _sentence_sizes(sentences: list[np.ndarray]) -> np.ndarray:
    """Return the numbers of tokens of sentences; long sentences are cut."""
    sizes = []
    for sentence in sentences:
        whole, rest = divmod(len(sentence), MAX_SENTENCE)
        sizes += [MAX_SENTENCE] * whole + [rest] * (rest > 0)
    return np.array(sizes)


@dataclass(frozen=True)
class Texts:
    """A `Source` of texts as token ids, in steps of one or several tokens.

    Attributes
    ----------
    ids : list of ndarray
        All tokens of each text.
    sizes : list of ndarray
        Number of tokens of each step of each text.
    """

    ids: list[np.ndarray]
    sizes: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Steps of each text, ``(n,)``."""
        return np.array([len(sizes) for sizes in self.sizes])

    @property
    def ragged(self) -> bool:
        """True: texts come one by one."""
        return True

    def take(self, rows: np.ndarray) -> "Texts":
        """Return some of the texts."""
        return Texts([self.ids[i] for i in rows], [self.sizes[i] for i in rows])

    def batch(
        self,
        rows: np.ndarray,
        starts: np.ndarray | None = None,
        size: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return windows of ids ``(B, T, L)``, L tokens in the longest step.

        See `Source.batch`.
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
