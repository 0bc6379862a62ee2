"""Sequences that are scaled when they are read, batch by batch."""

from dataclasses import dataclass

import numpy as np

from .scaling import Scaling
from .sequences import Sequences

# Scaled values are clipped here: far outside of all training data, but small enough
# that no layer overflows.
LIMIT = 1e6


@dataclass(frozen=True)
class ScaledSequences:
    """A `Source` of scaled sequences.

    Attributes
    ----------
    sequences : Sequences
        The values as the user passed them.
    mean, scale : ndarray of shape (n, 1, C)
        Each sequence minus its mean is divided by its scale.
    """

    sequences: Sequences
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, sequences: Sequences, scaling: Scaling) -> "ScaledSequences":
        """Attach the statistics of a fitted scaling."""
        return cls(sequences, *scaling.statistics(sequences))

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def lengths(self) -> np.ndarray:
        """Valid steps of each sequence, ``(n,)``."""
        return self.sequences.lengths

    @property
    def ragged(self) -> bool:
        """Whether they came one by one, or have different lengths."""
        lengths = self.lengths
        return self.sequences.form == "list" or bool((lengths != lengths[0]).any())

    def take(self, rows: np.ndarray) -> "ScaledSequences":
        """Return some of the sequences."""
        return ScaledSequences(
            self.sequences.take(rows), self.mean[rows], self.scale[rows]
        )

    def batch(
        self,
        rows: np.ndarray,
        starts: np.ndarray | None = None,
        size: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return scaled windows; see `Source.batch`.

        Missing values and padding are 0, the mean.
        """
        values, lengths = self.sequences.padded(rows, starts, size)
        values -= self.mean[rows]
        values /= self.scale[rows]
        np.clip(values, -LIMIT, LIMIT, out=values)
        return np.nan_to_num(values, copy=False).astype(np.float32), lengths
