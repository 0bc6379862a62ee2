"""The course of a training."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from .figure import axes, check_cpc, pyplot

# Up to this many epochs, each is marked.
MARKED = 30
# Height of the axes relative to the lines.
HEADROOM = 1.25


class TrainingCurveDisplay:
    """Loss, contrastive accuracy and validation score by epoch.

    It is recommended to use `from_estimator` to create one. All parameters are stored
    as attributes.

    Parameters
    ----------
    loss : array-like of shape (n_epochs,)
        InfoNCE, in nats.
    chance : array-like of shape (n_epochs,)
        The loss of guessing among N candidates: log N, in nats.
    accuracy : array-like of shape (n_epochs,)
        How often the true latent is closer to its prediction than all negatives.
    validation_score : array-like of shape (n_epochs,), default=None
        Score on the validation part, in nats; NaN where it is missing.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with loss, chance and validation score, in nats.
    accuracy_ax_ : matplotlib Axes
        Axes with the accuracy, on the right-hand side.
    figure_ : matplotlib Figure
        Figure containing them.
    lines_ : list of matplotlib Line2D
        Loss, chance, accuracy, and the validation score if there is one.

    See Also
    --------
    StepAccuracyDisplay : The accuracy by how far ahead is predicted.

    Notes
    -----
    With a loss at the dashed line, the model has learned nothing. A loss of 0 with an
    accuracy of 1 in the first epochs means that the task is too easy: increase
    `skip_steps`. Loss and score have different N; the score is ``log N - InfoNCE`` at N
    = 1024 on sequences held out from training. If the score falls while the loss still
    falls, the model overfits.

    Examples
    --------
    >>> from sklearn_cpc import CPCTransformer, TrainingCurveDisplay
    >>> from sklearn_cpc.datasets import load_japanese_vowels
    >>> X = load_japanese_vowels().data
    >>> cpc = CPCTransformer(max_epochs=3, early_stopping=True, random_state=0).fit(X)
    >>> display = TrainingCurveDisplay.from_estimator(cpc)
    >>> [line.get_label() for line in display.lines_]
    ['loss', 'guessing: log N', 'accuracy', 'validation score']
    """

    def __init__(
        self,
        *,
        loss: Sequence[float] | np.ndarray,
        chance: Sequence[float] | np.ndarray,
        accuracy: Sequence[float] | np.ndarray,
        validation_score: Sequence[float] | np.ndarray | None = None,
    ) -> None:
        self.loss = loss
        self.chance = chance
        self.accuracy = accuracy
        self.validation_score = validation_score

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : CPCTransformer, CPCImageTransformer or CPCTextTransformer
            Fitted, with at least one epoch; it may have been saved and loaded.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.

        Returns
        -------
        TrainingCurveDisplay
            Object that stores the values.

        Raises
        ------
        TypeError
            If the estimator is of another kind, such as a pipeline.
        ValueError
            If the estimator was not trained.
        """
        pyplot(cls)
        check_cpc(cls, estimator)
        if not estimator.n_epochs_:
            raise ValueError(
                f"{type(estimator).__name__} was fitted with max_epochs=0: there is "
                "no training to draw."
            )
        epochs = estimator.net_.history
        score = np.array([epoch.get("valid_score", np.nan) for epoch in epochs])
        display = cls(
            loss=np.array([epoch["train_loss"] for epoch in epochs]),
            chance=np.array([epoch["train_chance"] for epoch in epochs]),
            accuracy=np.array([epoch["train_accuracy"] for epoch in epochs]),
            validation_score=None if np.isnan(score).all() else score,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.

        Returns
        -------
        TrainingCurveDisplay
            Object that stores the values.
        """
        ax = axes(type(self), ax)
        right = ax.twinx()
        epoch = np.arange(1, len(self.loss) + 1)
        marker = {"marker": "."} if len(epoch) <= MARKED else {}
        self.lines_ = [
            *ax.plot(epoch, self.loss, "C0", label="loss", **marker),
            *ax.plot(epoch, self.chance, "0.5", ls="--", label="guessing: log N"),
            *right.plot(epoch, self.accuracy, "C1", label="accuracy", **marker),
        ]
        if self.validation_score is not None:
            self.lines_ += ax.plot(
                epoch, self.validation_score, "C2", label="validation score", **marker
            )
        ax.set(xlabel="epoch", ylabel="loss, validation score [nats]")
        ax.xaxis.get_major_locator().set_params(integer=True)
        right.set_ylabel("contrastive accuracy", color="C1")
        right.tick_params(axis="y", colors="C1")
        right.set_yticks(np.linspace(0, 1, 6))
        # Room for the legend above all lines.
        values = np.concatenate([line.get_ydata() for line in ax.lines])
        ax.set_ylim(min(0, np.nanmin(values)), HEADROOM * np.nanmax(values))
        right.set_ylim(0, HEADROOM)
        ax.legend(handles=self.lines_, loc="upper center", ncols=2)
        self.ax_, self.accuracy_ax_, self.figure_ = ax, right, ax.figure
        return self
