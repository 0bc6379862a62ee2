"""The features of samples as points in two dimensions."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_consistent_length

from .figure import axes, pyplot

# With more different numbers than this, they are values and not classes.
MAX_CLASSES = 20
# Area of a point, and of all points together, in square points.
MIN_SIZE, MAX_SIZE, AREA = 4, 30, 4000
# Colours of the style; with more classes, a colour map replaces them.
CYCLE = 10


class EmbeddingDisplay:
    """Scatter plot of the features of samples in two dimensions.

    It is recommended to use `from_estimator` to create one. All parameters are stored
    as attributes.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        Coordinates of the samples.
    y : array-like of shape (n_samples,), default=None
        Class or value of each sample, its colour.
    axis_names : tuple of two str, default=("", "")
        Labels of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the points.
    figure_ : matplotlib Figure
        Figure containing them.
    scatters_ : list of matplotlib PathCollection
        The points of every class, or of all samples.

    Examples
    --------
    >>> from sklearn_cpc import CPCTransformer, EmbeddingDisplay
    >>> from sklearn_cpc.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(return_X_y=True)
    >>> cpc = CPCTransformer(max_epochs=3, random_state=0).fit(X)
    >>> display = EmbeddingDisplay.from_estimator(cpc, X, y)
    >>> len(display.scatters_)  # speakers
    9

    Any transformer of scikit-learn can take the place of the principal components:

    >>> from sklearn.manifold import TSNE
    >>> tsne = TSNE(random_state=0)
    >>> _ = EmbeddingDisplay.from_estimator(cpc, X[::3], y[::3], reducer=tsne)
    """

    def __init__(
        self, *, points: np.ndarray, y: Any = None, axis_names: Sequence[str] = ("", "")
    ) -> None:
        self.points = points
        self.y = y
        self.axis_names = axis_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        reducer: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Compute features, reduce them to two dimensions, and draw them.

        Parameters
        ----------
        estimator : transformer
            Fitted: any CPC estimator, or a pipeline that ends with a transformer.
        X : array, list or frame
            Samples in any of the forms that the estimator accepts.
        y : array-like of shape (n_samples,), default=None
            Class or value of each sample, its colour.
        reducer : transformer, default=None
            From features to two dimensions; a clone is fitted. None standardises the
            features and takes their first two principal components.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.scatter`.

        Returns
        -------
        EmbeddingDisplay
            Object that stores the values.

        Raises
        ------
        ValueError
            If `y` has another length than `X`, or the reducer gives another number of
            dimensions.
        """
        pyplot(cls)
        features = np.asarray(estimator.transform(X))
        check_consistent_length(features, y)
        reducer = (
            make_pipeline(StandardScaler(), PCA(2, random_state=0))
            if reducer is None
            else reducer
        )
        reducer = clone(reducer)
        points = np.asarray(reducer.fit_transform(features))
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(
                f"{type(reducer).__name__} gives an array of the shape {points.shape}, "
                "but a picture needs two columns. Set its n_components=2."
            )
        display = cls(points=points, y=y, axis_names=_axis_names(reducer))
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.scatter`.

        Returns
        -------
        EmbeddingDisplay
            Object that stores the values.
        """
        plt = pyplot(type(self))
        ax = axes(type(self), ax)
        size = float(np.clip(AREA / len(self.points), MIN_SIZE, MAX_SIZE))
        options = {"s": size, "alpha": 0.8, "linewidths": 0} | kwargs
        if self.y is None:
            self.scatters_ = [ax.scatter(*self.points.T, **options)]
        elif _is_classes(y := column_or_1d(self.y)):
            classes, member = np.unique(y, return_inverse=True)
            colours = [f"C{i}" for i in range(CYCLE)]
            if len(classes) > CYCLE:
                colours = plt.get_cmap("turbo")(np.linspace(0, 1, len(classes)))
            self.scatters_ = [
                ax.scatter(
                    *self.points[member == i].T,
                    **{"color": colour, "label": c} | options,
                )
                for i, (c, colour) in enumerate(zip(classes, colours, strict=False))
            ]
            ax.legend(
                loc="center left",
                bbox_to_anchor=(1, 0.5),
                ncols=-(-len(classes) // MAX_CLASSES),
                markerscale=(MAX_SIZE / size) ** 0.5,
                handletextpad=0,
            )
        else:
            self.scatters_ = [ax.scatter(*self.points.T, **{"c": y} | options)]
            ax.figure.colorbar(self.scatters_[0], ax=ax, label="y")
        # The values have no meaning, but with different scales distances would deceive.
        ax.set(aspect="equal", xticks=[], yticks=[])
        ax.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1])
        ax.set_adjustable("datalim")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _is_classes(y: np.ndarray) -> bool:
    """Return whether every value of `y` gets a colour."""
    if y.dtype.kind not in "iuf":
        return True
    return len(np.unique(y)) <= MAX_CLASSES and bool((y == np.round(y)).all())


def _axis_names(reducer: Any) -> tuple[str, str]:
    """Name the dimensions by their reducer and the variance they explain."""
    last = reducer[-1] if hasattr(reducer, "steps") else reducer
    names = [f"{type(last).__name__} {i}" for i in (1, 2)]
    explained = getattr(last, "explained_variance_ratio_", None)
    if explained is not None:
        pairs = zip(names, explained, strict=True)
        names = [f"{name} ({part:.0%} of the variance)" for name, part in pairs]
    return names[0], names[1]
