"""The contract between the data and the training: samples that give batches."""

from typing import Protocol, Self

import numpy as np


class Source(Protocol):
    """Checked samples that give padded windows, batch by batch.

    A sample is a sequence of steps: time steps, rows of patches, tokens or sentences.
    """

    def __len__(self) -> int:
        """Return the number of samples, n."""

    @property
    def lengths(self) -> np.ndarray:
        """Number of steps of each sample, ``(n,)``, int64."""

    @property
    def ragged(self) -> bool:
        """Whether features of steps are returned as a list, one array a sample."""

    def take(self, rows: np.ndarray) -> Self:
        """Return some of the samples, in this order; values need not be copied."""

    def batch(
        self,
        rows: np.ndarray,
        starts: np.ndarray | None = None,
        size: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return windows of some samples.

        Parameters
        ----------
        rows : ndarray of shape (B,)
            Which samples; a sample may come more than once.
        starts : ndarray of shape (B,), default=None
            First step of each window. None starts at 0. A window that starts after the
            end of its sample has no steps.
        size : int, default=None
            Longest window. None takes all steps.

        Returns
        -------
        values : ndarray of shape (B, T, ...), float32
            Padded with zeros to the longest window.
        lengths : ndarray of shape (B,), int64
            Steps of each window.
        """
