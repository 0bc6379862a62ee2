"""How far ahead a model can predict."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from .figure import axes, check_cpc, pyplot

# Keeps markers from being cut off.
MARGIN = 0.03
# With more steps than this, not every step has a number.
MAX_TICKS = 12


class StepAccuracyDisplay:
    """Contrastive accuracy by distance ahead.

    It is recommended to use `from_estimator` to create one. All parameters are stored
    as attributes.

    Parameters
    ----------
    distance : array-like of shape (n_steps,)
        Distance of each step ahead.
    accuracy : array-like of shape (n_steps,)
        How often the true latent is closest to its prediction; NaN is unknown.
    chance : float, default=None
        The accuracy of guessing.
    unit : str, default="time steps"
        Unit of the distance.
    name : str, default=None
        Name of the model, for the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the accuracy.
    figure_ : matplotlib Figure
        Figure containing them.
    line_ : matplotlib Line2D
        The accuracy.
    chance_line_ : matplotlib Line2D or None
        The accuracy of guessing.

    See Also
    --------
    CPCTransformer.contrastive_accuracy : The values.
    TrainingCurveDisplay : How the training went.

    Examples
    --------
    A trained model beside the same model without training:

    >>> from sklearn_cpc import CPCTransformer, StepAccuracyDisplay
    >>> from sklearn_cpc.datasets import load_japanese_vowels
    >>> X = load_japanese_vowels().data
    >>> X_test = load_japanese_vowels(split="test").data
    >>> untrained = CPCTransformer(max_epochs=0, random_state=0).fit(X)
    >>> trained = CPCTransformer(max_epochs=3, random_state=0).fit(X)
    >>> display = StepAccuracyDisplay.from_estimator(trained, X_test, name="CPC")
    >>> _ = StepAccuracyDisplay.from_estimator(
    ...     untrained, X_test, name="untrained", plot_chance_level=False, ax=display.ax_
    ... )
    """

    def __init__(
        self,
        *,
        distance: Sequence[float] | np.ndarray,
        accuracy: Sequence[float] | np.ndarray,
        chance: float | None = None,
        unit: str = "time steps",
        name: str | None = None,
    ) -> None:
        self.distance = distance
        self.accuracy = accuracy
        self.chance = chance
        self.unit = unit
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        name: str | None = None,
        plot_chance_level: bool = True,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw how often the predictions of a fitted estimator are right.

        Parameters
        ----------
        estimator : CPCTransformer, CPCImageTransformer or CPCTextTransformer
            Fitted.
        X : array, list or frame
            Samples in any of the forms that the estimator accepts, preferably not the
            training samples.
        name : str, default=None
            Name of the model, for the legend. None takes the name of its class.
        plot_chance_level : bool, default=True
            Whether to draw the accuracy of guessing.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot` for the accuracy.

        Returns
        -------
        StepAccuracyDisplay
            Object that stores the values.

        Raises
        ------
        TypeError
            If the estimator is of another kind, such as a pipeline.
        """
        pyplot(cls)
        check_cpc(cls, estimator)
        accuracy = estimator.contrastive_accuracy(X)
        latents = estimator.skip_steps_ + 1 + np.arange(len(accuracy))
        display = cls(
            distance=latents * estimator.downsampling_,
            accuracy=accuracy,
            chance=1 / (1 + len(estimator._references)),
            unit=estimator._step_words().steps,
            name=type(estimator).__name__ if name is None else name,
        )
        return display.plot(ax=ax, plot_chance_level=plot_chance_level, **kwargs)

    def plot(
        self, ax: Any = None, *, plot_chance_level: bool = True, **kwargs: Any
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.
        plot_chance_level : bool, default=True
            Whether to draw the accuracy of guessing.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.plot` for the accuracy.

        Returns
        -------
        StepAccuracyDisplay
            Object that stores the values.
        """
        ax = axes(type(self), ax)
        options = {"marker": "o", "label": self.name} | kwargs
        (self.line_,) = ax.plot(self.distance, self.accuracy, **options)
        self.chance_line_ = None
        if plot_chance_level and self.chance is not None:
            label = f"guessing: {self.chance:.1%}"
            self.chance_line_ = ax.axhline(self.chance, c="0.5", ls="--", label=label)
        ax.set(
            xlabel=f"distance ahead [{self.unit}]",
            ylabel="contrastive accuracy",
            ylim=(-MARGIN, 1 + MARGIN),
        )
        if len(self.distance) <= MAX_TICKS:
            ax.set_xticks(self.distance)
        if ax.get_legend_handles_labels()[1]:
            ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
