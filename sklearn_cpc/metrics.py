"""Measures of a representation that need no labels."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, gen_batches

__all__ = ["alignment", "effective_rank", "effective_rank_score", "uniformity"]

# Rows compared at once: memory grows with the number of samples, not its square.
BLOCK = 1024


def effective_rank(features: ArrayLike) -> float:
    r"""Return how many dimensions the features use: RankMe.

    It is the exponential of the entropy of the singular values: 1 if all rows point in
    the same direction (a collapse), and n if n directions are used equally.

    Parameters
    ----------
    features : array-like of shape (n_samples, n_features)
        Such as the output of `CPCTransformer.transform`. Columns with an offset or
        with larger values dominate the others: standardise them first, as a
        classifier would.

    Returns
    -------
    float
        Between 1 and min(n_samples, n_features); 0 if all features are zero.

    References
    ----------
    Q. Garrido, R. Balestriero, L. Najman, Y. LeCun (2023), RankMe: Assessing the
    Downstream Performance of Pretrained Self-Supervised Representations by Their
    Rank, ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_cpc.metrics import effective_rank
    >>> round(effective_rank(np.eye(4)), 6)
    4.0
    >>> round(effective_rank(np.ones((5, 3))), 6)
    1.0
    """
    checked: np.ndarray = check_array(features, dtype=np.float64)
    values = np.linalg.svd(checked, compute_uv=False)
    if not values[0] > 0:
        return 0.0
    p = values / values.sum()
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def effective_rank_score(estimator: Any, X: Any, y: Any = None) -> float:
    """Score a fitted transformer by the effective rank of its features.

    Pass it as ``scoring=`` to scikit-learn's searches. Of the criteria without labels,
    it agrees best with the accuracy of a linear classifier on the features; see the
    user guide.

    Parameters
    ----------
    estimator : transformer
        A fitted `CPCTransformer`, or a pipeline that ends with one.
    X : array, list or frame
        The sequences. The effective rank cannot exceed their number, so compare
        estimators on the same sequences, and on many: the folds of ``cv=3`` would
        leave a third.
    y : Ignored
        Not used; present for scikit-learn's searches.

    Returns
    -------
    float
        `effective_rank` of the standardised features: higher is better.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_cpc import CPCTransformer
    >>> from sklearn_cpc.metrics import effective_rank_score
    >>> X = np.random.default_rng(0).normal(size=(20, 30)).cumsum(1)
    >>> everything = np.arange(len(X))  # there are no labels to overfit
    >>> search = GridSearchCV(
    ...     CPCTransformer(max_epochs=1, random_state=0),
    ...     {"latent_size": [4, 64]},
    ...     scoring=effective_rank_score,
    ...     cv=[(everything, everything)],
    ... )
    >>> search.fit(X).best_params_
    {'latent_size': 64}
    """
    return effective_rank(StandardScaler().fit_transform(estimator.transform(X)))


def alignment(features: ArrayLike, positives: ArrayLike) -> float:
    """Return how far apart the features of two views of a sequence are.

    Parameters
    ----------
    features : array-like of shape (n_samples, n_features)
        Features of one view, such as the first half of each sequence.
    positives : array-like of shape (n_samples, n_features)
        Features of another view of the same sequences.

    Returns
    -------
    float
        Mean squared distance of the L2-normalised rows: 0 is best, 4 is opposite.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    T. Wang, P. Isola (2020), Understanding Contrastive Representation Learning
    through Alignment and Uniformity on the Hypersphere, ICML.

    Examples
    --------
    >>> from sklearn_cpc.metrics import alignment
    >>> alignment([[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [0.0, 1.0]])
    0.0
    """
    a, b = _unit_rows(features), _unit_rows(positives)
    if a.shape != b.shape:
        raise ValueError(
            f"features has the shape {a.shape}, but positives {b.shape}: they must be "
            "the features of two views of the same samples."
        )
    return float(((a - b) ** 2).sum(1).mean())


def uniformity(features: ArrayLike) -> float:
    """Return how evenly the features spread over the sphere.

    Parameters
    ----------
    features : array-like of shape (n_samples, n_features)
        At least two rows. Standardise them first, as for `effective_rank`.

    Returns
    -------
    float
        Log of the mean of ``exp(-2 d^2)`` over all pairs of L2-normalised rows at
        distance d: 0 if all are the same, lower is more even, at least -8.

    References
    ----------
    T. Wang, P. Isola (2020), Understanding Contrastive Representation Learning
    through Alignment and Uniformity on the Hypersphere, ICML.

    Examples
    --------
    >>> from sklearn_cpc.metrics import uniformity
    >>> round(uniformity([[1.0, 0.0], [-1.0, 0.0]]), 6)
    -8.0
    """
    unit = _unit_rows(features, ensure_min_samples=2)
    norms = (unit**2).sum(1)  # 1, or 0 for a row of zeros
    n, total = len(unit), 0.0
    for block in gen_batches(n, BLOCK):
        squared = norms[block, None] + norms - 2 * unit[block] @ unit.T
        total += np.exp(-2 * squared.clip(min=0)).sum()
    return float(np.log((total - n) / (n * (n - 1))))  # without each with itself


def _unit_rows(features: ArrayLike, **options: Any) -> np.ndarray:
    features = check_array(features, dtype=np.float64, **options)
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit: np.ndarray = features / np.where(norms > 0, norms, 1)
    return unit
