"""Windows of recordings, their labels, and scores of windows as scores of steps."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from .._data.containers import is_many
from .._data.groups import first_missing
from .._data.reading import plain_sequences
from .._data.sequences import Sequences
from .._warnings import InputWarning, warn

LABELS = ("majority", "last", "equal")
HOW = ("mean", "min", "max", "last")


@dataclass(frozen=True)
class Windows:
    """Windows of recordings; see `sliding_windows`.

    Parameters
    ----------
    X : list of ndarray of shape (size, n_channels)
        Views of the recordings: nothing is copied.
    y : ndarray of shape (n_windows,) or None
        The label of each window.
    groups : ndarray of shape (n_windows,)
        The group of each window: of its recording, or the number of the recording.
    recording : ndarray of shape (n_windows,)
        The number of the recording that each window belongs to.
    start : ndarray of shape (n_windows,)
        First time step of each window in its recording.
    size : int
        Time steps of a window.
    lengths : ndarray of shape (n_recordings,)
        Time steps of each recording.

    Examples
    --------
    >>> from sklearn_cpc.preprocessing import sliding_windows
    >>> windows = sliding_windows([[0.0, 1.0, 2.0, 3.0, 4.0]], size=2)
    >>> windows.per_step([0.5, 0.25])
    [array([0.5 , 0.5 , 0.25, 0.25,  nan])]
    """

    X: list[np.ndarray]
    y: np.ndarray | None
    groups: np.ndarray
    recording: np.ndarray
    start: np.ndarray
    size: int
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.X)

    def per_step(self, scores: Any, how: str = "mean") -> list[np.ndarray]:
        """Turn a score for each window into a score for each time step.

        Parameters
        ----------
        scores : array-like of shape (n_windows,) or (n_windows, n_columns)
            Such as from ``score_samples``.
        how : {"mean", "min", "max", "last"}, default="mean"
            The score of a step: the mean, lowest or highest score of the windows
            that contain it. "last" takes the last window that had ended by this step,
            the score that was known at the time.

        Returns
        -------
        list of ndarray of shape (length_i,) or (length_i, n_columns), float64
            One array for each recording. NaN where no window is.

        Raises
        ------
        ValueError
            If there is not one score for each window, or `how` is unknown.
        """
        if how not in HOW:
            raise ValueError(f"how={how!r} must be one of {', '.join(map(repr, HOW))}.")
        values = np.asarray(scores, dtype=np.float64)
        if values.ndim not in (1, 2) or len(values) != len(self):
            raise ValueError(
                f"scores has the shape {values.shape}, but there are {len(self)} "
                "windows: pass one score for each of them."
            )
        rows = np.arange(len(self.lengths) + 1)
        bounds = np.searchsorted(self.recording, rows)  # windows are in order
        return [
            _spread(values[a:b], self.start[a:b], self.size, length, how)
            for a, b, length in zip(
                bounds, bounds[1:], self.lengths.tolist(), strict=False
            )
        ]


def sliding_windows(
    X: Any,
    size: float,
    step: float | None = None,
    *,
    sampling_rate: float | None = None,
    y: Any = None,
    groups: Any = None,
    labels: str = "majority",
) -> Windows:
    """Cut recordings of any lengths into windows of one size.

    This is a function and not a transformer, because a step of a scikit-learn pipeline
    cannot change the number of samples. Cut first, then fit and cross-validate with the
    groups, which keep all windows of a recording in the same fold.

    Parameters
    ----------
    X : list of array-like of shape (length_i,) or (length_i, n_channels)
        The recordings, in any form that `CPCTransformer` accepts; a single one is
        ``[recording]``. A memory map is not copied.
    size : int or float
        Length of a window: time steps, or seconds if there is a `sampling_rate`.
    step : int or float, default=None
        From the start of a window to the next one, in the same unit. None is `size`:
        windows side by side.
    sampling_rate : float, default=None
        Time steps in a second, in hertz.
    y : array-like of shape (n_recordings,), or list of arrays (length_i,), default=None
        A label for each recording, or for each of its time steps.
    groups : array-like of shape (n_recordings,), default=None
        A group for each recording, such as the person. None makes each recording a
        group.
    labels : {"majority", "last", "equal"}, default="majority"
        The label of a window if steps have labels: the most frequent label (the first
        in order if there are several) or the label of the last step. "equal" drops
        windows with several labels.

    Returns
    -------
    Windows
        The windows, their labels, groups and positions. Steps at the end of a recording
        that do not fill a window are left out.

    Raises
    ------
    ValueError, TypeError
        If something does not fit together, or no recording is as long as a window.

    Warns
    -----
    InputWarning
        If some recordings are shorter than a window, and so have none.

    See Also
    --------
    sequences_from_long : Recordings from a long table.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_cpc.preprocessing import sliding_windows
    >>> recordings = [np.arange(10.0), np.arange(7.0)]
    >>> states = [np.repeat(["rest", "walk"], 5), np.repeat(["walk"], 7)]
    >>> windows = sliding_windows(recordings, size=4, step=3, y=states)
    >>> windows.start, windows.recording, windows.y
    (array([0, 3, 6, 0, 3]), array([0, 0, 0, 1, 1]), array(['rest', 'rest', 'walk',
    'walk', 'walk'], dtype='<U4'))
    >>> windows.X[1][:, 0]
    array([3., 4., 5., 6.])
    """
    if labels not in LABELS:
        options = ", ".join(map(repr, LABELS))
        raise ValueError(f"labels={labels!r} must be one of {options}.")
    n_steps = _in_steps("size", size, sampling_rate)
    every = n_steps if step is None else _in_steps("step", step, sampling_rate)
    sequences = plain_sequences(X)
    recording, start = _positions(sequences, n_steps, every)
    label = None
    if y is not None:
        label, kept = _labels(y, sequences, (recording, start, n_steps), labels)
        label, recording, start = label[kept], recording[kept], start[kept]
        if not len(label):
            raise ValueError(
                "labels='equal' leaves no window: every one has several labels. Use a "
                "smaller size, or labels='majority'."
            )
    group = (
        np.arange(len(sequences)) if groups is None else _one_each(groups, sequences)
    )
    views = [
        sequences.arrays[row][first : first + n_steps]
        for row, first in zip(recording.tolist(), start.tolist(), strict=True)
    ]
    return Windows(
        views, label, group[recording], recording, start, n_steps, sequences.lengths
    )


def _in_steps(name: str, value: float, sampling_rate: float | None) -> int:
    """Return a duration in time steps."""
    is_number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    if sampling_rate is None:
        if not is_number or not isinstance(value, Integral) or value < 1:
            raise ValueError(
                f"{name}={value!r} must be a number of time steps, an int of at least "
                "1. For seconds, pass the sampling_rate."
            )
        return int(value)
    if not isinstance(sampling_rate, Real) or not sampling_rate > 0:
        raise ValueError(f"sampling_rate={sampling_rate!r} must be above 0, in hertz.")
    n_steps = round(float(value) * float(sampling_rate)) if is_number else 0
    if n_steps < 1:
        raise ValueError(
            f"{name}={value!r} must be a number of seconds that holds at least one of "
            f"the {sampling_rate:g} time steps in a second."
        )
    return n_steps


def _positions(
    sequences: Sequences, size: int, every: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the recording and the first step of each window."""
    starts = [np.arange(0, n - size + 1, every) for n in sequences.lengths.tolist()]
    counts = np.array([len(s) for s in starts])
    if not counts.any():
        raise ValueError(
            f"The longest recording has {sequences.lengths.max()} time steps, fewer "
            f"than size={size}: there is no window."
        )
    if not counts.all():
        row = int(counts.argmin())
        warn(
            f"{(counts == 0).sum()} of {len(counts)} recordings are shorter than a "
            f"window of {size} time steps and are left out, the first is recording "
            f"{row} with {sequences.lengths[row]}.",
            InputWarning,
        )
    return np.repeat(np.arange(len(counts)), counts), np.concatenate(starts)


def _one_each(values: Any, sequences: Sequences, name: str = "groups") -> np.ndarray:
    """Return one value for each recording."""
    listed = list(values)
    if len(listed) != len(sequences):
        raise ValueError(
            f"{name} has {len(listed)} entries, but X has {len(sequences)} recordings."
        )
    missing = first_missing(listed)
    if missing is not None:
        raise ValueError(f"{name}[{missing}] is missing ({listed[missing]!r}).")
    if any(isinstance(value, tuple) for value in listed):
        array = np.empty(len(listed), dtype=object)
        array[:] = listed
        return array
    return np.asarray(listed)


def _labels(
    y: Any, sequences: Sequences, windows: tuple[np.ndarray, np.ndarray, int], rule: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the label of each window, and which windows to keep."""
    recording, start, size = windows
    listed = list(y)
    if not any(is_many(labels) for labels in listed):
        return _one_each(y, sequences, "y")[recording], np.full(len(start), True)
    if len(listed) != len(sequences):
        raise ValueError(
            f"y has {len(listed)} entries, but X has {len(sequences)} recordings."
        )
    steps = [np.asarray(labels) for labels in listed]
    for i, (labels, length) in enumerate(zip(steps, sequences.lengths, strict=True)):
        if labels.shape != (length,):
            raise ValueError(
                f"y[{i}] has the shape {labels.shape}, but recording {i} has {length} "
                "time steps: pass one label for each recording or for each step."
            )
        missing = first_missing(labels)
        if missing is not None:
            raise ValueError(
                f"y[{i}][{missing}] is missing ({labels[missing]!r}). Give such steps "
                "a label of their own."
            )
    names, codes = np.unique(np.concatenate(steps), return_inverse=True)
    offset = np.concatenate([[0], np.cumsum(sequences.lengths)[:-1]])
    first = start + offset[recording]
    last = first + size - 1
    if rule == "last":
        return names[codes[last]], np.full(len(start), True)
    if rule == "equal":
        changes = np.concatenate([[0], np.cumsum(codes[1:] != codes[:-1])])
        return names[codes[last]], changes[first] == changes[last]
    chosen, most = np.zeros(len(start), np.int64), np.zeros(len(start), np.int64)
    for code in range(len(names)):
        seen = np.concatenate([[0], np.cumsum(codes == code)])
        count = seen[last + 1] - seen[first]
        chosen = np.where(count > most, code, chosen)
        most = np.maximum(count, most)
    return names[chosen], np.full(len(start), True)


def _spread(
    scores: np.ndarray, starts: np.ndarray, size: int, length: int, how: str
) -> np.ndarray:
    """Return the scores of the steps of one recording; windows in order."""
    steps = np.full((length, *scores.shape[1:]), np.nan)
    if how == "last":
        ends = [*(starts + size - 1).tolist(), length]
        for score, first, stop in zip(scores, ends, ends[1:], strict=False):
            steps[first:stop] = score
        return steps
    if how != "mean":
        join = np.fmin if how == "min" else np.fmax
        for score, start in zip(scores, starts.tolist(), strict=True):
            part = steps[start : start + size]
            join(part, score, out=part)
        return steps
    total, count = np.zeros_like(steps), np.zeros(length)
    for score, start in zip(scores, starts.tolist(), strict=True):
        total[start : start + size] += score
        count[start : start + size] += 1
    covered = count > 0
    shape = (-1, *[1] * (scores.ndim - 1))
    steps[covered] = total[covered] / count[covered].reshape(shape)
    return steps
