"""Features without the directions in which groups differ."""

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from .._compat import Interval
from .._data.groups import group_codes

# At most one direction for so many features is taken out.
FEATURES_FOR_EACH = 10


class GroupProjection(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Take out of features what tells groups apart, such as persons.

    The means of the groups differ in a few directions. `transform` removes these
    directions from all samples, also in groups that `fit` has not seen. This is
    nuisance attribute projection [1]_. Put it between a scaler and a classifier. If
    labels are few, fit it on all sequences, with or without labels.

    All groups should contain the same classes: otherwise the differences between
    classes are removed, too.

    Parameters
    ----------
    n_components : int, default=None
        Number of directions, those in which the groups differ most. None is one less
        than there are groups, but at most a tenth of the features.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The directions, orthogonal and of length 1; none if there is a single group.
    mean_ : ndarray of shape (n_features,)
        The mean of the means of the groups, which stays.
    n_features_in_ : int
        Number of features.

    See Also
    --------
    sklearn_cpc.CPCTransformer : With `groups`, it learns little about them.
    sklearn.model_selection.GroupKFold : Folds in which groups are new.

    References
    ----------
    .. [1] A. Solomonoff, C. Quillen, W. M. Campbell (2004), Channel Compensation for
       SVM Speaker Recognition, Odyssey.

    Examples
    --------
    >>> from sklearn_cpc.preprocessing import GroupProjection
    >>> X = [[0.0, 1.0], [0.2, 2.0], [5.0, 1.0], [5.2, 2.0]]
    >>> projection = GroupProjection().fit(X, groups=["ann", "ann", "bob", "bob"])
    >>> projection.transform([[9.0, 1.0], [9.2, 2.0]])
    array([[2.6, 1. ],
           [2.6, 2. ]])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [Interval(Integral, 0, None, closed="left"), None]
    }

    def __init__(self, n_components: int | None = None) -> None:
        self.n_components = n_components

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> "GroupProjection":
        """Find the directions in which the groups differ.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, such as scaled ones of `CPCTransformer.transform`.
        y : Ignored
            Not used; present for scikit-learn's pipelines.
        groups : array-like of shape (n_samples,)
            The group of each sample.

        Returns
        -------
        GroupProjection
            The fitted transformer.

        Raises
        ------
        ValueError
            If `groups` is missing, or does not suit `X`.
        """
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        if groups is None:
            raise ValueError(
                "GroupProjection needs groups, one for each sample: "
                "fit(X, groups=people), or pipe.fit(X, groupprojection__groups=people)."
            )
        codes = group_codes(groups, len(X))
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        sizes = np.diff(starts, append=len(X))
        means = np.add.reduceat(X[order], starts, axis=0) / sizes[:, None].astype(
            X.dtype
        )
        self.mean_ = means.mean(0)
        most = min(len(means) - 1, X.shape[1])
        n_components = self.n_components
        if n_components is None:
            n_components = max(1, X.shape[1] // FEATURES_FOR_EACH)
        _, _, directions = np.linalg.svd(means - self.mean_, full_matrices=False)
        self.components_ = directions[: min(n_components, most)]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Remove the directions from features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features of any groups.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In float32 or float64, as they came.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        inside = (X - self.mean_) @ self.components_.T
        result: np.ndarray = X - inside @ self.components_
        return result
