"""Batches: which windows of which sequences one update sees."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Source(Protocol):
    """Anything that gives padded windows of its sequences."""

    @property
    def lengths(self) -> np.ndarray:
        """Number of steps of each sequence, ``(n,)``."""

    def batch(
        self,
        rows: np.ndarray,
        starts: np.ndarray | None = None,
        size: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return float32 values ``(B, T, C)`` and the lengths ``(B,)``."""


class RandomCrops:
    """Batches of random windows; every pass over it is an epoch in a new order.

    A sequence longer than `crop_length` gives as many windows an epoch as it
    takes to cover it, at random places. The batches of an epoch differ by at
    most one window in size.

    Parameters
    ----------
    source : Source
        Where the values come from.
    batch_size : int
        Largest number of windows in a batch.
    crop_length : int
        Longest window, in steps.
    rng : numpy.random.Generator
        Source of randomness; advanced by every epoch.
    groups : ndarray of shape (n,), default=None
        Integer group of each sequence, passed on with each batch.
    """

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int,
        crop_length: int,
        rng: np.random.Generator,
        groups: np.ndarray | None = None,
    ) -> None:
        self.source = source
        self.crop_length = crop_length
        self.rng = rng
        self.groups = np.zeros(len(source.lengths), int) if groups is None else groups
        n_windows = -(-source.lengths // crop_length)
        self.rows = np.repeat(np.arange(len(n_windows)), n_windows)
        self.n_batches = -(-len(self.rows) // batch_size)

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        order = self.rng.permutation(self.rows)
        for rows in np.array_split(order, self.n_batches):
            spare = np.maximum(self.source.lengths[rows] - self.crop_length, 0)
            starts = self.rng.integers(spare + 1)
            x, lengths = self.source.batch(rows, starts, self.crop_length)
            inputs = {"x": torch.from_numpy(x), "lengths": torch.from_numpy(lengths)}
            yield inputs, torch.from_numpy(self.groups[rows])


def even_batches(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Split sequences into batches of similar lengths and almost equal sizes.

    A tiny last batch would take other code paths in matrix products, and give a
    sample other last bits than its place in a full batch.
    """
    order = np.argsort(lengths, kind="stable")
    yield from np.array_split(order, -(-len(order) // batch_size))
