"""Features of one sequence over time, below the sequence itself."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Self

import numpy as np

from .._sequence import CPCTransformer
from .figure import axes, check_cpc, pyplot

# Parts of the height that the signal and the gap below it take.
SIGNAL, GAP = 0.27, 0.04
# Features further from their mean than this many standard deviations look the same.
LIMIT = 3
# With more channels than this, there is no legend.
NAMED_CHANNELS = 6


class StepFeaturesDisplay:
    """Features of a sequence step by step, below its values.

    It is recommended to use `from_estimator` to create one. All parameters are stored
    as attributes.

    Parameters
    ----------
    values : ndarray of shape (n_timesteps, n_channels)
        The sequence, in its own units.
    features : ndarray of shape (n_steps, n_features)
        Features of each step.
    layers : array-like of shape (n_features,), default=None
        Name of the layer of each feature, neighbours together.
    downsampling : int, default=1
        Time steps for each step of the features.
    sampling_rate : float, default=None
        Time steps in a second. None counts time in steps.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that hold the others.
    signal_ax_ : matplotlib Axes
        Axes with the sequence.
    features_ax_ : matplotlib Axes
        Axes with the features, over the same time.
    figure_ : matplotlib Figure
        Figure containing them.
    lines_ : list of matplotlib Line2D
        The channels.
    image_ : matplotlib AxesImage
        The features.

    See Also
    --------
    CPCTransformer.transform_steps : The features.

    Notes
    -----
    Step ``j`` is drawn from time step ``j * downsampling``, the last one it depends on,
    until the next step begins. Each feature is standardised over the steps shown.

    Examples
    --------
    >>> from sklearn_cpc import CPCTransformer, StepFeaturesDisplay
    >>> from sklearn_cpc.datasets import load_japanese_vowels
    >>> X = load_japanese_vowels().data
    >>> cpc = CPCTransformer(max_epochs=3, features="both", random_state=0).fit(X)
    >>> display = StepFeaturesDisplay.from_estimator(cpc, X, sample=3)
    >>> display.image_.get_array().shape  # latents and contexts at 20 steps
    (256, 20)
    """

    def __init__(
        self,
        *,
        values: np.ndarray,
        features: np.ndarray,
        layers: Sequence[str] | None = None,
        downsampling: int = 1,
        sampling_rate: float | None = None,
    ) -> None:
        self.values = values
        self.features = features
        self.layers = layers
        self.downsampling = downsampling
        self.sampling_rate = sampling_rate

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        sample: int = 0,
        sampling_rate: float | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Compute the features of a sequence and draw them.

        Parameters
        ----------
        estimator : CPCTransformer
            Fitted.
        X : array, list or frame
            Sequences in any of the forms that the estimator accepts.
        sample : int, default=0
            Which of the sequences to draw.
        sampling_rate : float, default=None
            Time steps in a second. None counts time in steps.
        ax : matplotlib Axes, default=None
            Axes to draw within. None creates a figure.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.imshow` for the features.

        Returns
        -------
        StepFeaturesDisplay
            Object that stores the values.

        Raises
        ------
        TypeError
            If it is another estimator, such as one of images or texts, or a pipeline.
        IndexError
            If this sample does not exist.
        """
        pyplot(cls)
        check_cpc(cls, estimator, CPCTransformer)  # as sequences of values have
        source = estimator._read_fitted(X)
        if not -len(source) <= sample < len(source):
            raise IndexError(f"sample={sample}, but X has {len(source)} samples.")
        source = source.take(np.arange(len(source))[[sample]])
        display = cls(
            values=np.asarray(source.sequences.arrays[0][: source.lengths[0]]),
            features=estimator._features_of_steps(source)[0],
            layers=[n.rsplit("_", 1)[0] for n in estimator._step_feature_names()],
            downsampling=estimator.downsampling_,
            sampling_rate=sampling_rate,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw within. None creates a figure.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.imshow` for the features.

        Returns
        -------
        StepFeaturesDisplay
            Object that stores the values.
        """
        ax = axes(type(self), ax, figsize=(7, 5))
        ax.set_axis_off()
        below = ax.inset_axes([0, 0, 1, 1 - SIGNAL - GAP])
        above = ax.inset_axes([0, 1 - SIGNAL, 1, SIGNAL], sharex=below)
        self._plot_signal(above)
        self._plot_features(below, kwargs)
        bar = ax.figure.colorbar(
            self.image_,
            cax=ax.inset_axes([1.02, 0, 0.02, 1 - SIGNAL - GAP]),
            extend="both",
        )
        bar.set_label("standard deviations from the mean")
        self.ax_, self.signal_ax_, self.features_ax_ = ax, above, below
        self.figure_ = ax.figure
        return self

    def _plot_signal(self, ax: Any) -> None:
        n_timesteps, n_channels = self.values.shape
        time = np.arange(n_timesteps) / (self.sampling_rate or 1)
        self.lines_ = ax.plot(time, self.values, lw=1)
        ax.set_ylabel("value")
        ax.tick_params(labelbottom=False)
        if 1 < n_channels <= NAMED_CHANNELS:
            names = [f"channel {i}" for i in range(n_channels)]
            ax.legend(self.lines_, names, loc="center left", bbox_to_anchor=(1, 0.5))

    def _plot_features(self, ax: Any, options: dict[str, Any]) -> None:
        n_steps, n_features = self.features.shape
        end = n_steps * self.downsampling / (self.sampling_rate or 1)
        options = {"cmap": "RdBu_r", "vmin": -LIMIT, "vmax": LIMIT} | options
        self.image_ = ax.imshow(
            _standardised(self.features).T,
            aspect="auto",
            interpolation="nearest",
            origin="upper",
            extent=(0, end, n_features, 0),
            **options,
        )
        ax.xaxis.get_major_locator().set_params(integer=self.sampling_rate is None)
        unit = "time steps" if self.sampling_rate is None else "s"
        ax.set(xlabel=f"time [{unit}]", ylabel="feature")
        if self.layers is not None:
            sizes = {name: len(list(part)) for name, part in groupby(self.layers)}
            ends = np.cumsum(list(sizes.values()))
            ax.set_yticks(ends - np.array(list(sizes.values())) / 2, list(sizes))
            for boundary in ends[:-1]:
                ax.axhline(boundary, c="k", lw=1)


def _standardised(features: np.ndarray) -> np.ndarray:
    """Return each column standardised; a constant column is 0."""
    features = features - features.mean(0, dtype=np.float64)
    std = features.std(0)
    standardised: np.ndarray = features / np.where(std > 0, std, 1)
    return standardised
