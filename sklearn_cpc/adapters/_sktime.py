"""CPC as a panel transformer of sktime."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import clone
from sktime.transformations.base import BaseTransformer

from .._sequence import CPCTransformer


class CPCPanelTransformer(BaseTransformer):
    """A `CPCTransformer` in pipelines of sktime, for panels with series of any lengths.

    Parameters
    ----------
    cpc : CPCTransformer, default=None
        `fit` uses a copy of it. None is one with default parameters. Its parameters are
        also those of the adapter: ``cpc__latent_size``.

    Attributes
    ----------
    cpc_ : CPCTransformer
        The fitted copy, with all methods of a `CPCTransformer`, such as ``save``. It
        takes arrays with time steps first, (n_timesteps, n_channels).

    See Also
    --------
    sklearn_cpc.CPCTransformer : What does the work.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_cpc import CPCTransformer
    >>> from sklearn_cpc.adapters import CPCPanelTransformer
    >>> cpc = CPCPanelTransformer(CPCTransformer(max_epochs=5, random_state=0))
    >>> pipe = cpc * LogisticRegression()  # doctest: +SKIP
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": ["sklearn_cpc developers"],
        "scitype:transform-input": "Series",
        "scitype:transform-output": "Primitives",
        "scitype:instancewise": False,
        "X_inner_mtype": "df-list",
        "y_inner_mtype": "None",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:missing_values": False,
        "capability:categorical_in_X": False,
        "fit_is_empty": False,
    }

    def __init__(self, cpc: CPCTransformer | None = None) -> None:
        self.cpc = cpc
        super().__init__()

    def _fit(self, X: Any, y: Any = None) -> "CPCPanelTransformer":
        cpc = CPCTransformer() if self.cpc is None else clone(self.cpc)
        self.cpc_ = cpc.set_params(channels_first=False).fit(_arrays(X))
        return self

    def _transform(self, X: Any, y: Any = None) -> pd.DataFrame:
        features = self.cpc_.transform(_arrays(X))
        return pd.DataFrame(features, columns=self.cpc_.get_feature_names_out())

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for the checks of sktime.

        Parameters
        ----------
        parameter_set : str, default="default"
            There is one only.

        Returns
        -------
        list of dict
            Parameters of two small models.
        """
        small = {"latent_size": 4, "context_size": 4, "max_epochs": 1}
        return [
            {"cpc": CPCTransformer(**small, random_state=0, encoder=encoder)}
            for encoder in ("kernels", "conv")
        ]


def _arrays(frames: list[pd.DataFrame]) -> list[np.ndarray]:
    """Return what is in a df-list: sktime gives channels other names in other types."""
    return [frame.to_numpy() for frame in frames]
