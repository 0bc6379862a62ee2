"""Scaling: which mean and deviation are taken off the values of a sequence.

A scaling has `partial_fit(sequences)` and `statistics(sequences)`, which returns
the mean and the deviation, broadcastable to ``(n, 1, C)``. Everything is
computed in float64, so that large offsets cost no precision, and so that equal
values give equal results whatever dtype they came in.

To add one: write the class and give it a name in `SCALINGS`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from ._inputs import CHUNK, Sequences, release

# Scaled values are cut off here: far outside of all training data, but small
# enough that no layer overflows.
LIMIT = 1e6
# What a StandardScaler has learned.
MOMENTS = ("mean_", "var_", "scale_", "n_samples_seen_")


class ChannelScaling:
    """Mean and deviation of each channel over all training steps so far."""

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
            # A channel without a value in this chunk is NaN now, and would stay so.
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
        """Return the same mean and deviation for every sequence."""
        mean = self.scaler.mean_
        deviation = np.nan_to_num(self.scaler.scale_, nan=1.0)
        shape = (len(sequences), 1, len(mean))
        return np.broadcast_to(mean, shape), np.broadcast_to(deviation, shape)


class SampleScaling:
    """Mean and deviation of each channel of each sequence by itself."""

    def partial_fit(self, sequences: Sequences) -> None:
        """Do nothing: a sequence is scaled by itself."""

    def statistics(self, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and deviation of each sequence."""
        moments = []
        for row in range(len(sequences)):
            moments.append(_moments(sequences, row))
            release([sequences.arrays[row]])
        mean, deviation = np.array(moments).swapaxes(0, 1)[:, :, None]  # (n, 1, C)
        return mean, deviation


class NoScaling:
    """Values as they are."""

    def partial_fit(self, sequences: Sequences) -> None:
        """Do nothing."""

    def statistics(self, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
        """Return zeros and ones."""
        shape = (len(sequences), 1, sequences.n_channels)
        return np.broadcast_to(0.0, shape), np.broadcast_to(1.0, shape)


SCALINGS: dict[str | None, Any] = {
    "channel": ChannelScaling,
    "sample": SampleScaling,
    None: NoScaling,
}


@dataclass(frozen=True)
class ScaledSequences:
    """Sequences that are scaled when they are read, batch by batch."""

    sequences: Sequences
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, sequences: Sequences, scaling: Any) -> "ScaledSequences":
        """Attach the statistics of a fitted scaling."""
        return cls(sequences, *scaling.statistics(sequences))

    def __len__(self) -> int:
        return len(self.sequences)

    def take(self, rows: np.ndarray) -> "ScaledSequences":
        """Return some of the sequences."""
        return ScaledSequences(
            self.sequences.take(rows), self.mean[rows], self.deviation[rows]
        )

    @property
    def ragged(self) -> bool:
        """Whether they came one by one, or have different lengths."""
        lengths = self.lengths
        return self.sequences.form == "list" or bool((lengths != lengths[0]).any())

    @property
    def lengths(self) -> np.ndarray:
        """Valid steps of each sequence, ``(n,)``."""
        return self.sequences.lengths

    def batch(
        self,
        rows: np.ndarray,
        starts: np.ndarray | None = None,
        size: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return scaled windows, ``(B, T, C)`` float32, and their lengths.

        Parameters are those of `Sequences.padded`. Missing values and padding
        are 0, the mean.
        """
        values, lengths = self.sequences.padded(rows, starts, size)
        values -= self.mean[rows]
        values /= self.deviation[rows]
        np.clip(values, -LIMIT, LIMIT, out=values)
        return np.nan_to_num(values, copy=False).astype(np.float32), lengths


def _moments(sequences: Sequences, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of the channels of one sequence, ``(C,)`` each."""
    n_observed: Any = 0
    total: Any = 0.0
    squares: Any = 0.0
    for values in sequences.pieces(row):
        n_observed = n_observed + (~np.isnan(values)).sum(0)
        total = total + np.nansum(values, 0, dtype=np.float64)
    n_observed = np.maximum(n_observed, 1)
    mean = total / n_observed
    for values in sequences.pieces(row):
        squares = squares + np.nansum((values - mean) ** 2, 0)
    deviation = np.sqrt(squares / n_observed)
    # What rounding leaves of a constant channel is no deviation.
    constant = deviation <= n_observed * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(constant, 1.0, deviation)


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
