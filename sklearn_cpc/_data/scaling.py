"""Scaling: values minus a mean, divided by a scale.

All computation is in float64, on differences from the first value. So large offsets
cost no precision, and equal values give equal results in every dtype.

To add one: write the class and name it in `SCALINGS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from .sequences import CHUNK, Sequences, release

# The names of the moments in files.
MOMENTS = ("mean_", "var_", "scale_", "n_samples_seen_")
# A standard deviation of so many units in the last place of the mean is rounding.
ROUNDING = 10 * np.finfo(np.float64).eps


class Moments:
    """Number, mean and variance of each channel, of steps that come piece by piece.

    Parameters
    ----------
    n_channels : int
    """

    def __init__(self, n_channels: int) -> None:
        self.n_seen = np.zeros(n_channels, np.int64)
        self.mean, self.var = np.zeros((2, n_channels))

    def add(self, steps: np.ndarray) -> None:
        """Add steps ``(n, C)``, which may hold NaN for missing values."""
        steps = steps.astype(np.float64)
        observed = ~np.isnan(steps)
        n_new = observed.sum(0)
        first = np.take_along_axis(steps, observed.argmax(0)[None], 0)[0]
        first[n_new == 0] = 0
        steps -= first
        steps[~observed] = 0
        mean = steps.sum(0) / np.maximum(n_new, 1)
        steps -= mean
        steps[~observed] = 0
        squares = np.square(steps, out=steps).sum(0)
        # Chan, Golub, LeVeque (1979)
        total = np.maximum(self.n_seen + n_new, 1)
        known, share = self.n_seen / total, n_new / total
        ahead = (first - self.mean) + mean
        self.var = self.var * known + squares / total + ahead**2 * share * known
        merged = np.where(self.n_seen, self.mean + ahead * share, first + mean)
        self.mean = np.where(n_new, merged, self.mean)
        self.n_seen = self.n_seen + n_new

    @property
    def scale(self) -> np.ndarray:
        """The standard deviation, or 1 where rounding alone explains it."""
        std = np.sqrt(self.var)
        scale: np.ndarray = np.where(std <= ROUNDING * np.abs(self.mean), 1.0, std)
        return scale


class Scaling(ABC):
    """Learns mean and scale from training sequences."""

    @property
    def n_channels(self) -> int | None:
        """The number of channels that it has learned; None takes any number."""
        return None

    @abstractmethod
    def partial_fit(self, sequences: Sequences) -> None:
        """Extend the statistics by these sequences."""

    @abstractmethod
    def statistics(self, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the scale of each sequence, ``(n, 1, C)`` each."""


class ChannelScaling(Scaling):
    """Mean and standard deviation of each channel over all training steps so far."""

    def __init__(self) -> None:
        self.moments = Moments(0)
        self.scale = self.moments.scale

    @property
    def n_channels(self) -> int:
        """The number of channels."""
        return len(self.scale)

    def partial_fit(self, sequences: Sequences) -> None:
        """Add the steps of `sequences` to the statistics."""
        if not self.n_channels:
            self.moments = Moments(sequences.n_channels)
        for steps in _chunks_of_steps(sequences):
            self.moments.add(steps)
        self.scale = self.moments.scale

    def __getstate__(self) -> dict[str, Any]:
        moments = self.moments
        values = (moments.mean, moments.var, self.scale, moments.n_seen)
        return dict(zip(MOMENTS, values, strict=True))

    def __setstate__(self, state: dict[str, Any]) -> None:
        mean, var, scale, n_seen = (np.asarray(state[name]) for name in MOMENTS)
        scale = np.nan_to_num(scale, nan=1.0)  # of channels that were never seen
        kinds = "".join(moment.dtype.kind for moment in (mean, var, scale, n_seen))
        if (
            not mean.shape == var.shape == scale.shape == (mean.size,)
            or n_seen.shape not in {(), mean.shape}
            or kinds[:3] != "fff"
            or kinds[3] not in "iuf"
            or not mean.size
        ):
            raise ValueError("the statistics of the scaling do not fit together")
        fine = np.isfinite(mean) & np.isfinite(var) & (var >= 0) & (n_seen >= 0)
        if not (fine & np.isfinite(scale) & (scale > 0)).all():
            raise ValueError("the scaling has statistics that no data can have")
        self.moments = Moments(mean.size)
        self.moments.mean, self.moments.var = mean.astype(float), var.astype(float)
        self.moments.n_seen = np.full(mean.size, n_seen, np.int64)
        self.scale = scale.astype(float)

    def statistics(self, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
        """Return the same mean and scale for every sequence."""
        shape = (len(sequences), 1, self.n_channels)
        return (
            np.broadcast_to(self.moments.mean, shape),
            np.broadcast_to(self.scale, shape),
        )


class SampleScaling(Scaling):
    """Mean and standard deviation of each channel of each sequence by itself."""

    def partial_fit(self, sequences: Sequences) -> None:
        """Do nothing: a sequence is scaled by itself."""

    def statistics(self, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the scale of each sequence."""
        mean, scale = np.empty((2, len(sequences), 1, sequences.n_channels))
        for row in range(len(sequences)):
            moments = Moments(sequences.n_channels)
            for values in sequences.pieces(row):
                moments.add(values)
            mean[row], scale[row] = moments.mean, moments.scale
            release([sequences.arrays[row]])
        return mean, scale


class NoScaling(Scaling):
    """Values as they are."""

    def partial_fit(self, sequences: Sequences) -> None:
        """Do nothing."""

    def statistics(self, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
        """Return zeros and ones."""
        shape = (len(sequences), 1, sequences.n_channels)
        return np.broadcast_to(0.0, shape), np.broadcast_to(1.0, shape)


SCALINGS: dict[str | None, type[Scaling]] = {
    "channel": ChannelScaling,
    "sample": SampleScaling,
    None: NoScaling,
}


def _chunks_of_steps(sequences: Sequences) -> Iterator[np.ndarray]:
    """Yield all steps as ``(n_steps, C)`` arrays of a bounded size."""
    waiting: list[np.ndarray] = []
    n_values = 0
    for row in range(len(sequences)):
        for steps in sequences.pieces(row):
            if waiting and n_values + steps.size > CHUNK:
                yield np.concatenate(waiting, dtype=np.float64)
                release(waiting)
                waiting, n_values = [], 0
            waiting.append(steps)
            n_values += steps.size
    yield np.concatenate(waiting, dtype=np.float64)
    release(waiting)
