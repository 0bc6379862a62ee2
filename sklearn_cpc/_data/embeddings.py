"""Vectors of tokens from the texts themselves."""

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from .texts import N_RESERVED, Texts

# Tokens that occur within such a window belong together.
WINDOW = 256
# Tokens that are counted, of random windows where there are more.
N_COUNTED = 2**20
# Exponent of the counts of context tokens, against a bias towards rare ones [1]_.
SMOOTHING = 0.75
# Texts that tell what the means of all have in common.
N_MEANS = 2**12
# A token of this share of all tokens has half the weight of a very rare one.
HALF_WEIGHT = 1e-3


def cooccurrence_vectors(
    texts: Texts, n_tokens: int, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Factorise the positive pointwise mutual information of tokens [1]_.

    Parameters
    ----------
    texts : Texts
    n_tokens : int
        Number of different ids.
    size : int
        Size of the vectors.
    rng : numpy Generator
        Draws windows, and the projections of the factorisation.

    Returns
    -------
    ndarray of shape (n_tokens, size), float32
        Their mean square over all counted tokens is 1. Padding and tokens that do not
        occur have zeros, as all have beyond the rank of the information. They are
        rotated at random: each column holds a bit of all components, so that scaling
        the columns does not give the last components, which are mostly noise, the
        weight of the first ones.

    References
    ----------
    .. [1] O. Levy, Y. Goldberg, I. Dagan (2015), Improving Distributional Similarity
       with Lessons Learned from Word Embeddings, TACL 3.
    """
    vectors = np.zeros((n_tokens, size), np.float32)
    ids, windows = _windows(texts, rng)
    once = sparse.coo_matrix(
        (np.ones(len(ids), np.float32), (windows, ids)),
        shape=(windows.max() + 1, n_tokens),
    ).tocsr()
    once.data[:] = 1  # a token that is repeated counts once
    information = _positive_information((once.T @ once).tocoo())
    rank = min(size, n_tokens - N_RESERVED)
    if not information.nnz or rank < 1:
        return vectors
    left, strength, _ = randomized_svd(
        information,
        rank,
        n_iter=2,
        random_state=int(rng.integers(2**31)),
    )
    rotation, _ = np.linalg.qr(rng.normal(size=(rank, rank)))
    vectors[:, :rank] = (left * np.sqrt(strength)) @ rotation
    vectors[information.getnnz(axis=1) == 0] = 0  # and not what rounding made of it
    scale = np.sqrt(np.square(vectors[ids]).mean(dtype=np.float64))
    return vectors / scale if scale > 0 else vectors


def _windows(texts: Texts, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of all tokens to count, and the number of their window."""
    parts = [
        tokens[start : start + WINDOW]
        for tokens in texts.ids
        for start in range(0, len(tokens), WINDOW)
    ]
    order = rng.permutation(len(parts))
    sizes = np.array([len(parts[i]) for i in order])
    order = order[np.cumsum(sizes) - sizes < N_COUNTED]
    chosen = [parts[i] for i in order]
    windows = np.repeat(np.arange(len(chosen)), [len(part) for part in chosen])
    return np.concatenate(chosen), windows


def _positive_information(counts: sparse.coo_matrix) -> sparse.csr_matrix:
    """Return max(0, log(p(i, j) / (p(i) p(j)))) of counts of different tokens."""
    different = counts.row != counts.col
    rows, columns = counts.row[different], counts.col[different]
    data = counts.data[different]
    of_token = np.bincount(rows, data, minlength=counts.shape[0])
    context = of_token**SMOOTHING
    context /= max(context.sum(), 1)
    value = np.log(data / (of_token[rows] * context[columns]))
    positive = value > 0
    return sparse.csr_matrix(
        (value[positive], (rows[positive], columns[positive])), shape=counts.shape
    )


def smooth_inverse_frequencies(texts: Texts, n_tokens: int) -> np.ndarray:
    """Return a weight for each token, a / (a + p), with its share p of all tokens [1]_.

    Parameters
    ----------
    texts : Texts
    n_tokens : int
        Number of different ids.

    Returns
    -------
    ndarray of shape (n_tokens,), float32
        1 for tokens that do not occur.

    References
    ----------
    .. [1] S. Arora, Y. Liang, T. Ma (2017), A Simple but Tough-to-Beat Baseline for
       Sentence Embeddings, ICLR.
    """
    counts = np.bincount(np.concatenate(texts.ids), minlength=n_tokens)
    weights: np.ndarray = HALF_WEIGHT / (HALF_WEIGHT + counts / counts.sum())
    return weights.astype(np.float32)


def common_component(
    texts: Texts, vectors: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the first component of the weighted mean vectors of texts.

    Parameters
    ----------
    texts : Texts
    vectors : ndarray of shape (n_tokens, size)
    weights : ndarray of shape (n_tokens,)

    Returns
    -------
    ndarray of shape (size,), float32
        Of length 1, or zeros if all means are zeros.
    """
    some = texts.ids[:: -(-len(texts.ids) // N_MEANS)]
    means = np.array([weights[ids] @ vectors[ids] / weights[ids].sum() for ids in some])
    lengths, components = np.linalg.eigh(means.T @ means)
    first: np.ndarray = components[:, -1] * (lengths[-1] > 0)
    return first.astype(np.float32)
