"""Batches: which windows of which sequences one update sees."""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

# The larger, the more padding, and the more lengths that meet in a batch.
MIXING = 1.5


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

    A sequence longer than `crop_length` gives as many windows an epoch as fit into
    it side by side, at random places. They never overlap, or a step could be its
    own negative. The batches of an epoch differ by at most one window in size.

    Where padding to the longest would more than double the steps, a batch has windows
    of similar lengths: they are sorted by their lengths times a random factor of up to
    `MIXING`, which brings others together in every epoch. The order of the batches is
    random. Windows too short to predict anything in are spread over all batches.

    Several processes that train together share each batch: all of them know the
    whole order, and each reads its own windows only.

    Parameters
    ----------
    source : Source
        Where the values come from.
    batch_size : int
        Largest number of windows in a batch.
    crop_length : int
        Longest window, in steps.
    predictable : int, default=1
        Steps of the shortest window in which there is something to predict.
    rng : numpy.random.Generator
        Source of randomness; advanced by every epoch.
    groups : ndarray of shape (n,), default=None
        Integer group of each sequence. Number and group of the sequence of each
        window go along with a batch, ``(B, 2)``.
    rank, n_ranks : int, default=0 and 1
        Number of this process, and of all that share the batches.
    augment : callable, default=None
        ``(x, rng) -> x`` of the same shape: what is varied at random in training.
    """

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int,
        crop_length: int,
        predictable: int = 1,
        rng: np.random.Generator,
        groups: np.ndarray | None = None,
        rank: int = 0,
        n_ranks: int = 1,
        augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    ) -> None:
        self.source = source
        self.augment = augment
        self.crop_length = crop_length
        self.predictable = predictable
        self.rng = rng
        self.groups = np.zeros(len(source.lengths), int) if groups is None else groups
        n_windows = np.maximum(source.lengths // crop_length, 1)
        self.rows = np.repeat(np.arange(len(n_windows)), n_windows)
        self.spare = np.maximum(source.lengths - n_windows * crop_length, 0)
        first = np.repeat(n_windows.cumsum() - n_windows, n_windows)
        self.place = np.arange(len(self.rows)) - first  # among those of its sequence
        self.n_batches = -(-len(self.rows) // batch_size)
        self.rank, self.n_ranks = rank, n_ranks

    def __len__(self) -> int:
        return self.n_batches

    @property
    def sizes(self) -> list[int]:
        """Number of windows of each batch, of all processes together."""
        batches = np.array_split(self.rows, self.n_batches)
        return [len(batch) for batch in batches]

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        # The steps that no window covers, shared out between the windows.
        before = self.rng.integers(self.spare[self.rows] + 1)
        starts = before[np.lexsort((before, self.rows))]
        starts += self.place * self.crop_length
        for batch in self._batches():
            window = np.array_split(batch, self.n_ranks)[self.rank]
            rows = self.rows[window]
            x, lengths = self.source.batch(rows, starts[window], self.crop_length)
            x = self._pad(x, rows, self.rows[batch])
            if self.augment is not None:
                x = self.augment(x, self._own_rng())
            inputs = {"x": torch.from_numpy(x), "lengths": torch.from_numpy(lengths)}
            yield inputs, torch.from_numpy(np.stack([rows, self.groups[rows]], 1))

    def _batches(self) -> list[np.ndarray]:
        """Return the windows of each batch of an epoch."""
        order = self.rng.permutation(len(self.rows))
        n_steps = np.minimum(self.source.lengths[self.rows], self.crop_length)
        if self.n_batches == 1 or n_steps.max() <= 2 * n_steps.mean():
            return np.array_split(order, self.n_batches)
        short = n_steps < self.predictable
        if not short.all():  # in a batch of their own, they would teach nothing
            n_steps[short] = self.rng.choice(n_steps[~short], short.sum())
        rough = n_steps[order] * self.rng.uniform(1, MIXING, len(order))
        order = order[np.argsort(rough)]
        # `sizes` says how large the batches are that come first.
        turns = self.rng.permutation(self.n_batches)
        ends = np.cumsum(np.take(self.sizes, turns))
        batches = np.split(order, ends[:-1])
        return [batches[i] for i in np.argsort(turns)]

    def _own_rng(self) -> np.random.Generator:
        """Return a generator for what is drawn for the windows of this process."""
        if self.n_ranks == 1:
            return self.rng
        # That of all is advanced alike in all, or their next epochs would differ.
        return np.random.default_rng((self.rank, int(self.rng.integers(2**63))))

    def _pad(self, x: np.ndarray, rows: np.ndarray, all_rows: np.ndarray) -> np.ndarray:
        """Make windows as long as they are with those of the other processes."""
        own, longest = (
            min(self.source.lengths[rows].max(), self.crop_length)
            for rows in (rows, all_rows)
        )
        if own == longest:
            return x
        return np.pad(x, [(0, 0), (0, longest - own)] + [(0, 0)] * (x.ndim - 2))


def even_batches(
    lengths: np.ndarray, max_rows: int, max_steps: int
) -> Iterator[np.ndarray]:
    """Split sequences into batches of similar lengths and of about equal cost.

    They are halved, sorted by their lengths, until each part is small enough. So one
    long sequence makes no other batch small, and none of equal sequences is tiny.

    Parameters
    ----------
    lengths : ndarray of shape (n,)
    max_rows : int
        Largest number of sequences in a batch.
    max_steps : int
        Largest number of steps in a batch, padding included, but for single sequences.

    Yields
    ------
    ndarray of shape (B,)
        Sequences of a batch, the shortest ones first.
    """
    parts = [np.argsort(lengths, kind="stable")]
    while parts:
        part = parts.pop()
        n_steps = len(part) * lengths[part[-1]]
        if len(part) > 1 and (len(part) > max_rows or n_steps > max_steps):
            parts.extend(reversed(np.array_split(part, 2)))
        else:
            yield part
