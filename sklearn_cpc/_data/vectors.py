"""Vectors of tokens that the user has: a mapping, a matrix, or a library's model."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import safetensors

from .texts import N_RESERVED


class Lookup(Protocol):
    """What gives a vector for a token: a mapping, a model of gensim or fastText."""

    def __contains__(self, token: Any) -> bool: ...

    def __getitem__(self, token: str) -> Any: ...


class Table:
    """Vectors by the numbers of tokens.

    Parameters
    ----------
    vector : callable
        From the number of a token to its vector.
    numbers : mapping of str to int
        The number of each token.
    """

    def __init__(
        self, vector: Callable[[int], np.ndarray], numbers: Mapping[str, int]
    ) -> None:
        self.vector, self.numbers = vector, numbers

    def __contains__(self, token: str) -> bool:
        return token in self.numbers

    def __getitem__(self, token: str) -> np.ndarray:
        return self.vector(self.numbers[token])


def vectors_of(vocabulary: Mapping[str, int], embeddings: Any) -> np.ndarray:
    """Return the user's vectors of known tokens, by id.

    Parameters
    ----------
    vocabulary : mapping of str to int
        The ids of tokens.
    embeddings : Lookup, tuple or model2vec.StaticModel
        See `CPCTextTransformer`.

    Returns
    -------
    ndarray of shape (n_tokens, size), float32
        Zeros for tokens without a vector.

    Raises
    ------
    ValueError
        If no token has a vector, if their sizes differ or values are not finite, or if
        a matrix does not suit its tokens.
    """
    vectors = _lookup(embeddings)
    found = {
        i: np.asarray(vectors[token], dtype=np.float32)
        for token, i in vocabulary.items()
        if token in vectors
    }
    if not found:
        raise ValueError(
            f"embeddings has no vector for any of the {len(vocabulary)} tokens, such "
            f"as {sorted(vocabulary)[:3]}. Choose a tokenizer with the same tokens."
        )
    shapes = {vector.shape for vector in found.values()}
    if len(shapes) > 1 or len(shapes.copy().pop()) != 1 or shapes == {(0,)}:
        raise ValueError(
            "embeddings must have vectors of one size, got the shapes "
            f"{', '.join(map(str, sorted(shapes)[:3]))}."
        )
    (size,) = shapes.pop()
    result = np.zeros((len(vocabulary) + N_RESERVED, size), np.float32)
    for i, vector in found.items():
        result[i] = vector
    if not np.isfinite(result).all():
        raise ValueError("embeddings has a vector that is not finite.")
    return result


def _lookup(embeddings: Any) -> Lookup:
    """Return what gives a vector for a token."""
    if isinstance(embeddings, tuple):
        return _pair(embeddings)
    if hasattr(embeddings, "tokenizer") and hasattr(embeddings, "embedding"):
        return _static_model(embeddings)
    lookup: Lookup = embeddings
    return lookup


def _static_model(model: Any) -> Table:
    """Return the vectors of a `StaticModel` of model2vec, weighted as there."""
    # Earlier releases have neither.
    rows, weights = (getattr(model, n, None) for n in ("token_mapping", "weights"))

    def vector(number: int) -> np.ndarray:
        row = number if rows is None else rows[number]
        weight = 1 if weights is None else weights[number]
        scaled: np.ndarray = model.embedding[row] * np.float32(weight)
        return scaled

    return Table(vector, model.tokenizer.get_vocab())


def _pair(pair: tuple[Any, ...]) -> Table:
    """Return the rows of a matrix, by token."""
    if len(pair) != 2:
        raise ValueError(
            f"embeddings must be a pair (vectors, tokens), got {len(pair)} parts."
        )
    matrix, tokens = _matrix(pair[0]), pair[1]
    if not isinstance(tokens, Mapping):
        if isinstance(tokens, str) or not isinstance(tokens, Iterable):
            raise ValueError(
                f"The tokens of embeddings, {tokens!r:.60}, must be a list of str, in "
                "the order of the vectors, or a mapping from token to row."
            )
        tokens = {token: row for row, token in enumerate(tokens)}
        if len(tokens) != len(matrix):
            raise ValueError(
                f"embeddings has {len(matrix)} vectors for {len(tokens)} different "
                "tokens. There must be one for each."
            )
    for token, row in tokens.items():
        if not isinstance(row, int | np.integer) or not 0 <= row < len(matrix):
            raise ValueError(
                f"The token {token!r:.40} of embeddings has the row {row!r:.40}, but "
                f"rows are numbers from 0 to {len(matrix) - 1}."
            )
    return Table(matrix.__getitem__, tokens)


def _matrix(vectors: Any) -> np.ndarray:
    """Return the matrix of an array or of a safetensors file."""
    if isinstance(vectors, str | os.PathLike):
        vectors = _from_file(vectors)
    matrix = np.asarray(vectors)
    if matrix.ndim != 2 or not len(matrix) or matrix.dtype.kind not in "fiu":
        raise ValueError(
            "The vectors of embeddings must be an array of shape (n_tokens, size) of "
            f"numbers, got the shape {matrix.shape} and the type {matrix.dtype}."
        )
    return matrix


def _from_file(path: Any) -> np.ndarray:
    """Return the only matrix of a safetensors file."""
    name = f"{os.fspath(path)!r}"
    try:
        with safetensors.safe_open(path, "np") as file:
            shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
            matrices = [key for key, shape in shapes.items() if len(shape) == 2]
            if len(matrices) != 1:
                raise ValueError(
                    f"{name} has {len(matrices)} matrices among its tensors, but "
                    "embeddings needs one. Read the file yourself, and pass one of "
                    f"{', '.join(map(repr, shapes)):.200}."
                )
            matrix: np.ndarray = file.get_tensor(matrices[0])
            return matrix
    except safetensors.SafetensorError as error:
        raise ValueError(f"{name} is not a safetensors file: {error}") from None
    except TypeError as error:  # such as bfloat16, which numpy does not know
        raise ValueError(
            f"numpy cannot read the vectors in {name}: {error}. Convert them to "
            "float32 or float16."
        ) from None
