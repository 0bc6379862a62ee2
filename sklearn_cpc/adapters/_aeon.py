"""CPC as a collection transformer of aeon."""

from typing import Any, ClassVar

import numpy as np
from aeon.transformations.collection import BaseCollectionTransformer
from sklearn.base import clone

from .._sequence import CPCTransformer


class CPCCollectionTransformer(BaseCollectionTransformer):
    """A `CPCTransformer` in pipelines of aeon, for series of any lengths.

    Parameters
    ----------
    cpc : CPCTransformer, default=None
        `fit` uses a copy of it. None is one with default parameters. Its parameters are
        also those of the adapter: ``cpc__latent_size``.

    Attributes
    ----------
    cpc_ : CPCTransformer
        The fitted copy, with all methods of a `CPCTransformer`, such as ``save``. It
        takes aeon's collections, channels first.

    See Also
    --------
    sklearn_cpc.CPCTransformer : What does the work.

    Examples
    --------
    >>> from aeon.pipeline import make_pipeline
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_cpc import CPCTransformer
    >>> from sklearn_cpc.adapters import CPCCollectionTransformer
    >>> cpc = CPCCollectionTransformer(CPCTransformer(max_epochs=5, random_state=0))
    >>> pipe = make_pipeline(cpc, LogisticRegression())  # doctest: +SKIP
    """

    _tags: ClassVar[dict[str, Any]] = {
        "X_inner_type": ["np-list", "numpy3D"],
        "output_data_type": "Tabular",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "algorithm_type": "deeplearning",
    }

    def __init__(self, cpc: CPCTransformer | None = None) -> None:
        self.cpc = cpc
        super().__init__()

    def _fit(self, X: Any, y: Any = None) -> "CPCCollectionTransformer":
        cpc = CPCTransformer() if self.cpc is None else clone(self.cpc)
        self.cpc_ = cpc.set_params(channels_first=True).fit(X)
        return self

    def _transform(self, X: Any, y: Any = None) -> np.ndarray:
        features: np.ndarray = self.cpc_.transform(X)
        return features

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        small = {"latent_size": 4, "context_size": 4, "max_epochs": 1}
        return {"cpc": CPCTransformer(**small, random_state=0)}
