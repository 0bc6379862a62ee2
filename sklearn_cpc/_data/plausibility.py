"""Data that can be read, but hardly as they were meant: rules and their warnings.

Each rule compares two readings and speaks where one of them is absurd.
"""

from collections.abc import Iterable

import numpy as np

from .._warnings import InputWarning, warn
from .scaling import ChannelScaling, Scaling
from .sequences import Sequences, release

# A table of so many samples of so few steps is a recording, or a long table.
MANY_SAMPLES, FEW_STEPS = 1000, 16
# Neighbours in time are alike, neighbours in any other direction need not be.
ALIKE, UNLIKE = 0.95, 0.5
# So few steps of so many times more channels have their axes swapped.
SWAPPED_STEPS, SWAPPED_RATIO = 8, 10
# Samples, and steps and channels of each, that are looked at.
N_ROWS, N_SIDE = 32, 512
# Data of another scale deviate so many times more, or less, than those of fit did.
OTHER_SCALE = 100.0
# Names of columns that tell a sample or a moment, and are no signal.
KEYS = {
    *("case", "id", "ids", "index", "instance", "series", "uuid"),
    *("device", "patient", "person", "subject", "user"),
    *("date", "datetime", "time", "timepoint", "timestamp"),
}


def warn_if_misread(
    sequences: Sequences, names: Iterable[str] | None, channels_first: bool
) -> None:
    """Warn if the training data look like something else than sequences.

    Parameters
    ----------
    sequences : Sequences
    names : iterable of str or None
        Names of the columns of a frame or of the frames.
    channels_first : bool
        As the user said.
    """
    _warn_of_keys(names or ())
    if sequences.form == "table":
        _warn_of_rows(sequences)
    else:
        _warn_of_axes(sequences, channels_first)


def _warn_of_keys(names: Iterable[str]) -> None:
    keys = [n for n in names if n.lower() in KEYS or n.lower().endswith("_id")]
    if keys:
        warn(
            f"X has columns named {', '.join(map(repr, keys))}, which were read as "
            "part of the signal. If they tell samples or times apart, drop them; a "
            "long table becomes sequences by "
            "sklearn_cpc.preprocessing.sequences_from_long.",
            InputWarning,
        )


def _warn_of_rows(sequences: Sequences) -> None:
    """Warn if the rows of a table are the steps of one recording."""
    n_samples, n_steps = len(sequences), int(sequences.lengths.max())
    short = n_samples >= MANY_SAMPLES and n_steps <= FEW_STEPS
    if short or (n_samples >= 200 and n_steps <= 64 and _is_recording(sequences)):
        warn(
            f"X was read as {n_samples} samples of {n_steps} time steps each. If it is "
            "one recording of shape (n_timesteps, n_channels), pass [X], or cut it by "
            "sklearn_cpc.preprocessing.sliding_windows([X], size); a long table "
            "becomes sequences by sklearn_cpc.preprocessing.sequences_from_long.",
            InputWarning,
        )


def _is_recording(sequences: Sequences) -> bool:
    """Whether rows follow each other smoothly, and columns do not."""
    if not isinstance(sequences.arrays, np.ndarray):
        return False
    table = sequences.arrays[: 4 * N_SIDE, :, 0].astype(np.float64)
    release([sequences.arrays])
    # A shape that all rows have in common says nothing.
    table = table - table.mean(0)
    table /= np.where(table.std(0) > 0, table.std(0), 1)
    return _likeness([table], 0) > ALIKE and _likeness([table], 1) < UNLIKE


def _warn_of_axes(sequences: Sequences, channels_first: bool) -> None:
    """Warn if channels were taken for steps."""
    n_channels, n_steps = sequences.n_channels, int(np.median(sequences.lengths))
    if n_channels <= n_steps:
        return
    absurd = n_steps <= SWAPPED_STEPS and n_channels >= SWAPPED_RATIO * n_steps
    if not absurd:
        some = range(min(N_ROWS, len(sequences)))
        corners = [
            sequences.arrays[i][: min(N_SIDE, sequences.lengths[i]), :N_SIDE]
            for i in some
        ]
        absurd = _likeness(corners, 1) > ALIKE and _likeness(corners, 0) < UNLIKE
        release([sequences.arrays[i] for i in some])
    if absurd:
        now, other = (
            ("before", "channels_first=False")
            if channels_first
            else ("after", "channels_first=True")
        )
        warn(
            f"X was read as samples of {n_steps} time steps and {n_channels} channels, "
            f"with the channels {now} the steps. If it is the other way round, use "
            f"{other}, or the transpose: np.swapaxes(x, -1, -2).",
            InputWarning,
        )


def _likeness(arrays: list[np.ndarray], axis: int) -> float:
    """Return the correlation of neighbours along an axis, NaN if there is none."""
    pairs = []
    for array in arrays:
        x = np.moveaxis(array.astype(np.float64), axis, 0)
        pairs.append(np.stack([x[:-1].ravel(), x[1:].ravel()]))
    one, other = np.concatenate(pairs, axis=1)
    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < 2 or min(one[known].std(), other[known].std()) == 0:
        return np.nan
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.corrcoef(one[known], other[known])[0, 1])


def warn_if_other_scale(sequences: Sequences, scaling: Scaling) -> None:
    """Warn if values are far larger, or far smaller, than those of fit.

    This is so where in all channels that varied in fit the root of the mean square is
    more than a hundred times as large, or less than a hundredth and not zero, or the
    mean is as many deviations away.

    Parameters
    ----------
    sequences : Sequences
        Some of them are looked at.
    scaling : Scaling
        As fitted. Only the one by channels knows the scale.
    """
    if not isinstance(scaling, ChannelScaling):
        return
    varied = scaling.moments.var > 0
    mean, variance = scaling.moments.mean[varied], scaling.scale[varied] ** 2
    rows = np.unique(np.linspace(0, len(sequences) - 1, N_ROWS).astype(int))
    n_steps = np.minimum(sequences.lengths[rows], N_SIDE**2 // N_ROWS)
    values = [sequences.arrays[i][:n] for i, n in zip(rows, n_steps, strict=True)]
    steps = np.concatenate(values).astype(np.float64)[:, varied]
    release(values)
    if not steps.size:
        return
    count = np.maximum((~np.isnan(steps)).sum(0), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        centre = np.nansum(steps, 0) / count
        ratio = np.sqrt(np.nansum(steps**2, 0) / count / (mean**2 + variance))
        offset = np.abs(centre - mean) / np.sqrt(variance)
    smaller = (ratio > 0) & (ratio < 1 / OTHER_SCALE)
    if smaller.all() or (ratio > OTHER_SCALE).all() or (offset > OTHER_SCALE).all():
        warn(
            "X has another scale than the data of fit. Its first channel has the mean "
            f"{centre[0]:.3g} and is {ratio[0]:.3g} times as large; the mean in fit "
            f"was {mean[0]:.3g}, the deviation {variance[0] ** 0.5:.3g}. Features will "
            "hardly tell samples apart. Pass data in the units of fit: integers of "
            "audio, or pixels, divided by their largest value in both or in neither.",
            InputWarning,
        )
