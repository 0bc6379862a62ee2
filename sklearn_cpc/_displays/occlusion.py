"""Which steps and channels a classifier used: what changes if they are hidden."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.utils._set_output import _wrap_data_with_container
from sklearn.utils.validation import check_is_fitted

from .._sequence import CPCTransformer
from .figure import axes, check_cpc, pyplot

# Parts of the height that the signal and the gap below it take.
SIGNAL, GAP = 0.45, 0.05
# With "auto", a sequence has so many windows.
N_WINDOWS = 20
# Hidden copies of a sequence that are transformed together.
N_COPIES = 64
# With more channels than this, they have no names.
NAMED_CHANNELS = 20


class OcclusionDisplay:
    """Which steps and channels of a sequence a classifier used.

    It is recommended to use `from_estimator` to create one. All parameters are stored
    as attributes.

    Parameters
    ----------
    values : ndarray of shape (n_timesteps, n_channels)
        The sequence, in its own units.
    importance : ndarray of shape (n_windows, n_channels)
        By how much the score of the target falls if this window of this channel is
        hidden. Positive values support the target.
    window : int
        Time steps of each window; the last one may be shorter.
    target : object, default=None
        The class that the score is for. None for a regressor.
    score : float, default=None
        The score of the target for the whole sequence.
    sampling_rate : float, default=None
        Time steps in a second. None counts time in steps.
    channel_names : list of str, default=None
        Names of the channels. None numbers them.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that hold the others.
    signal_ax_ : matplotlib Axes
        Axes with the sequence.
    importance_ax_ : matplotlib Axes
        Axes with the importance, over the same time.
    figure_ : matplotlib Figure
        Figure containing them.
    lines_ : list of matplotlib Line2D
        The channels.
    image_ : matplotlib AxesImage
        The importance.

    See Also
    --------
    StepFeaturesDisplay : Features of one sequence over time.
    sklearn.inspection.permutation_importance : Importance over a whole data set.

    Notes
    -----
    A hidden window gets the value of a missing one: the mean of the channel in the
    training set, or in the sequence with ``scaling="sample"``. Contexts look back, so
    a window also counts for the later steps whose features it changes. If two windows
    carry the same information, hiding one of them changes little.

    References
    ----------
    M. Zeiler, R. Fergus (2014), Visualizing and Understanding Convolutional Networks,
    arXiv:1311.2901.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_cpc import CPCTransformer, OcclusionDisplay
    >>> from sklearn_cpc.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(return_X_y=True)
    >>> cpc = CPCTransformer(max_epochs=3, random_state=0).fit(X)
    >>> classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    >>> classifier = classifier.fit(cpc.transform(X), y)
    >>> display = OcclusionDisplay.from_estimator(cpc, classifier, X[40:41])
    >>> int(display.target), display.importance.shape  # speaker; windows and channels
    (2, (17, 12))
    """

    def __init__(
        self,
        *,
        values: np.ndarray,
        importance: np.ndarray,
        window: int,
        target: Any = None,
        score: float | None = None,
        sampling_rate: float | None = None,
        channel_names: Sequence[str] | None = None,
    ) -> None:
        self.values = values
        self.importance = importance
        self.window = window
        self.target = target
        self.score = score
        self.sampling_rate = sampling_rate
        self.channel_names = channel_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        classifier: Any,
        X: Any,
        *,
        target: Any = None,
        window: int | str = "auto",
        sampling_rate: float | None = None,
        ax: Any = None,
    ) -> Self:
        """Hide each window of a sequence and draw how the score of a class changes.

        Parameters
        ----------
        estimator : CPCTransformer
            Fitted.
        classifier : classifier or regressor
            Fitted on the features of `estimator`, such as a pipeline of a scaler and a
            linear model. Its score is its `decision_function`, else the probability of
            the target, else its prediction.
        X : array, list or frame
            The sequence, as the only sample in any of the forms that the estimator
            accepts: ``X[:1]``.
        target : object, default=None
            The class whose score is explained. None is the predicted class.
        window : int or "auto", default="auto"
            Time steps to hide at once. "auto" makes about 20 windows.
        sampling_rate : float, default=None
            Time steps in a second. None counts time in steps.
        ax : matplotlib Axes, default=None
            Axes to draw within. None creates a figure.

        Returns
        -------
        OcclusionDisplay
            Object that stores the values.

        Raises
        ------
        TypeError
            If the estimator is another one, such as one of images, or a pipeline.
        ValueError
            If there are several sequences, the window is no number of steps, the
            classifier does not know the target, or its values are no scores of its
            classes.
        """
        pyplot(cls)
        check_cpc(cls, estimator, CPCTransformer)  # as sequences of values have
        check_is_fitted(classifier)
        source = estimator._read_fitted(X)
        if len(source) != 1:
            raise ValueError(
                f"X has {len(source)} samples, but a map explains one sequence. Pass "
                "it as the only sample, X[:1]."
            )
        values = np.asarray(source.sequences.arrays[0][: source.lengths[0]], float)
        size = _window_size(window, len(values))

        def features(copies: list[np.ndarray]) -> Any:
            output = estimator._features_of_samples(_with_values(source, copies))
            return _wrap_data_with_container("transform", output, output, estimator)

        whole = features([values])
        if target is None and hasattr(classifier, "classes_"):
            target = classifier.predict(whole)[0]
        (score,) = _scores(classifier, whole, target)
        hidden = _hidden(values, size, source.mean[0, 0])
        scores = np.concatenate(
            [_scores(classifier, features(copies), target) for copies in hidden]
        )
        display = cls(
            values=values,
            importance=score - scores.reshape(-1, values.shape[1]),
            window=size,
            target=target,
            score=float(score),
            sampling_rate=sampling_rate,
            channel_names=_channel_names(estimator, values.shape[1]),
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw within. None creates a figure.
        **kwargs : dict
            Passed to :meth:`matplotlib.axes.Axes.imshow` for the importance.

        Returns
        -------
        OcclusionDisplay
            Object that stores the values.
        """
        ax = axes(type(self), ax, figsize=(7, 5))
        ax.set_axis_off()
        below = ax.inset_axes([0, 0, 1, 1 - SIGNAL - GAP])
        above = ax.inset_axes([0, 1 - SIGNAL, 1, SIGNAL], sharex=below)
        rate = self.sampling_rate or 1
        n_timesteps = len(self.values)
        self.lines_ = above.plot(np.arange(n_timesteps) / rate, self.values, lw=1)
        above.set_ylabel("value")
        above.tick_params(labelbottom=False)
        if self.target is not None:
            above.set_title(f"Evidence for class {self.target}", fontsize="medium")
        limit = float(np.abs(self.importance).max()) or 1.0
        options = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit} | kwargs
        # A row of pixels for each channel and a column for each step: the last window
        # may be shorter.
        steps = np.repeat(self.importance, self.window, axis=0)[:n_timesteps]
        self.image_ = below.imshow(
            steps.T,
            aspect="auto",
            interpolation="nearest",
            extent=(0, n_timesteps / rate, steps.shape[1] - 0.5, -0.5),
            **options,
        )
        unit = "time steps" if self.sampling_rate is None else "s"
        below.set(xlabel=f"time [{unit}]", ylabel="channel")
        if steps.shape[1] <= NAMED_CHANNELS:
            names = self.channel_names or [str(i) for i in range(steps.shape[1])]
            below.set_yticks(np.arange(steps.shape[1]), names)
        bar = ax.figure.colorbar(
            self.image_, cax=ax.inset_axes([1.02, 0, 0.02, 1 - SIGNAL - GAP])
        )
        bar.set_label("fall of the score if hidden")
        self.ax_, self.signal_ax_, self.importance_ax_ = ax, above, below
        self.figure_ = ax.figure
        return self


def _window_size(window: int | str, n_timesteps: int) -> int:
    """Return the time steps of a window."""
    if isinstance(window, str) and window == "auto":
        return max(1, round(n_timesteps / N_WINDOWS))
    if isinstance(window, str | bool) or int(window) != window or window < 1:
        raise ValueError(
            f'window={window!r} must be "auto" or a number of time steps, an int of at '
            "least 1."
        )
    return min(int(window), n_timesteps)


def _with_values(source: Any, copies: list[np.ndarray]) -> Any:
    """Return a source of copies of its only sequence, scaled as the sequence is."""
    rows = np.zeros(len(copies), dtype=np.int64)
    sequences = replace(
        source.sequences,
        arrays=copies,
        lengths=np.array([len(values) for values in copies]),
    )
    return replace(
        source, sequences=sequences, mean=source.mean[rows], scale=source.scale[rows]
    )


def _hidden(
    values: np.ndarray, size: int, mean: np.ndarray
) -> Iterator[list[np.ndarray]]:
    """Yield lists of copies, each with a window hidden: channels change fastest."""
    copies = []
    for start in range(0, len(values), size):
        for channel in range(values.shape[1]):
            copy = values.copy()
            copy[start : start + size, channel] = mean[channel]
            copies.append(copy)
            if len(copies) == N_COPIES:
                yield copies
                copies = []
    if copies:
        yield copies


def _channel_names(estimator: CPCTransformer, n_channels: int) -> list[str] | None:
    """Return the names of the channels, if the estimator has learned them."""
    names = getattr(estimator, "feature_names_in_", ())
    return list(names) if len(names) == n_channels > 1 else None


def _scores(classifier: Any, features: Any, target: Any) -> np.ndarray:
    """Return the score of the target for each row of features."""
    classes = getattr(classifier, "classes_", None)
    scores: np.ndarray
    if classes is None:
        scores = np.asarray(classifier.predict(features), float)
    else:
        known = np.asarray(classes).tolist()  # numpy compares no text with numbers
        column = [i for i, label in enumerate(known) if label == target]
        if len(column) != 1:
            raise ValueError(
                f"target={target!r} must be a class of the classifier: "
                f"{', '.join(map(repr, known))}."
            )
        if hasattr(classifier, "decision_function"):
            scores = np.asarray(classifier.decision_function(features), float)
        else:
            scores = np.asarray(classifier.predict_proba(features), float)
        if scores.ndim == 1:  # two classes: the score of the second
            scores = scores if column[0] == 1 else -scores
        elif scores.shape[1:] == (len(classes),):
            scores = scores[:, column[0]]
    if scores.ndim != 1:
        raise ValueError(
            f"{type(classifier).__name__} gives an array of the shape {scores.shape}, "
            "but one score of each class, or one value, is needed. For an SVC, set "
            'decision_function_shape="ovr".'
        )
    return scores
