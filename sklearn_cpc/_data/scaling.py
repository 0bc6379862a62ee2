"""Scaling: values minus a mean, divided by a scale.

All computation is in float64. So large offsets cost no precision, and equal values give
equal results in every dtype.

To add one: write the class and name it in `SCALINGS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from .sequences import CHUNK, Sequences, release

# What a StandardScaler has learned.
MOMENTS = ("mean_", "var_", "scale_", "n_samples_seen_")


class Scaling(ABC):
    """Learns mean and scale from training sequences."""

    @abstractmethod
    def partial_fit(self, sequences: Sequences) -> None:
        """Extend the statistics by these sequences."""

    @abstractmethod
    def statistics(self, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the scale of each sequence, ``(n, 1, C)`` each."""


class ChannelScaling(Scaling):
    """Mean and standard deviation of each channel over all training steps so far."""

    def __init__(self) -> None:
        self.scaler = StandardScaler()

    def partial_fit(self, sequences: Sequences) -> None:
        """Add the steps of `sequences` to the statistics."""
        for steps in _chunks_of_steps(sequences):
            known = {
                name: np.copy(getattr(self.scaler, name, unknown))
                for name, unknown in (("mean_", 0.0), ("var_", 0.0), ("scale_", np.nan))
            }
            with np.errstate(divide="ignore", invalid="ignore"):
                self.scaler.partial_fit(steps)
            # A channel without a value in this chunk is NaN now; it would stay NaN.
            for name, before in known.items():
                moment = getattr(self.scaler, name)
                np.copyto(moment, before, where=np.isnan(moment))

    def __getstate__(self) -> dict[str, Any]:
        return {name: np.asarray(getattr(self.scaler, name)) for name in MOMENTS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        mean, var, scale, n_seen = (np.asarray(state[name]) for name in MOMENTS)
        if not mean.shape == var.shape == scale.shape == (mean.size,):
            raise ValueError("the statistics of the scaling do not fit together")
        self.scaler = StandardScaler()
        self.scaler.mean_, self.scaler.var_, self.scaler.scale_ = mean, var, scale
        self.scaler.n_samples_seen_ = n_seen[()]  # a number, or one for each channel
        self.scaler.n_features_in_ = mean.size

    def statistics(self, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
        """Return the same mean and scale for every sequence."""
        mean = self.scaler.mean_
        scale = np.nan_to_num(self.scaler.scale_, nan=1.0)
        shape = (len(sequences), 1, len(mean))
        return np.broadcast_to(mean, shape), np.broadcast_to(scale, shape)


class SampleScaling(Scaling):
    """Mean and standard deviation of each channel of each sequence by itself."""

    def partial_fit(self, sequences: Sequences) -> None:
        """Do nothing: a sequence is scaled by itself."""

    def statistics(self, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the scale of each sequence."""
        moments = []
        for row in range(len(sequences)):
            moments.append(_moments(sequences, row))
            release([sequences.arrays[row]])
        mean, scale = np.array(moments).swapaxes(0, 1)[:, :, None]  # (n, 1, C)
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


def _moments(sequences: Sequences, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale of the channels of one sequence, ``(C,)`` each."""
    n_observed, total, squares = np.zeros((3, sequences.n_channels))
    for values in sequences.pieces(row):
        n_observed = n_observed + (~np.isnan(values)).sum(0)
        total = total + np.nansum(values, 0, dtype=np.float64)
    n_observed = np.maximum(n_observed, 1)
    mean = total / n_observed
    for values in sequences.pieces(row):
        squares = squares + np.nansum((values - mean) ** 2, 0)
    std = np.sqrt(squares / n_observed)
    # Rounding alone gives a constant channel a standard deviation above 0.
    constant = std <= n_observed * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(constant, 1.0, std)


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
