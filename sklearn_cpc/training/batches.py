"""Batches: the windows of sequences that one update sees."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..nn.distributed import Ranks
from ..nn.negatives import Origin
from .groups import TrainingData

# A larger factor mixes more lengths in a batch and adds more padding.
MIXING = 1.5
# Labels of a batch that gathers its windows: enough negatives for each of them, and
# still something to compare.
LABELS = 2

# (x, rng) -> x of the same shape: random variation of a training batch.
Augmentation: TypeAlias = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Batch(NamedTuple):
    """Windows of sequences, and where they come from.

    Attributes
    ----------
    x : Tensor of shape (B, T, ...)
        Padded windows.
    lengths : Tensor of shape (B,)
        Steps of each window.
    sequences : Tensor of shape (B,)
        Number of the sequence that each window belongs to.
    groups : Tensor of shape (B,)
        Group of this sequence.
    """

    x: Tensor
    lengths: Tensor
    sequences: Tensor
    groups: Tensor

    @property
    def origin(self) -> Origin:
        """Sequence and group of each window, for the loss."""
        return Origin(self.sequences, self.groups)

    def split(self, n_parts: int) -> Iterator["Batch"]:
        """Yield parts of about equal sizes."""
        for part in zip(*(t.tensor_split(n_parts) for t in self), strict=True):
            yield Batch(*part)


class RandomCrops:
    """Batches of random windows. Every pass over it is an epoch in a new order.

    A sequence longer than `crop_length` gives as many windows an epoch as fit into
    it side by side, at random places. They never overlap, because a step could become
    its own negative. The batches of an epoch differ by at most one window in size.

    If padding to the longest window would more than double the steps, a batch gets
    windows of similar lengths. They are sorted by their lengths times a random factor
    of up to `MIXING`, so that every epoch combines other windows. The order of the
    batches is random. Windows too short to predict anything in are spread over all
    batches.

    Strategies for negatives may ask for batches that gather the windows of a sequence
    or of a group. Then the windows of each label come in runs of half a batch, and the
    order of the runs is random.

    Several processes that train together share each batch. Each of them knows the
    whole order and reads its own windows only.

    Parameters
    ----------
    data : TrainingData
        Sequences, groups, and what the windows of a batch should share.
    batch_size : int
        Largest number of windows in a batch.
    crop_length : int
        Longest window, in steps.
    predictable : int, default=1
        Steps of the shortest window in which there is something to predict.
    rng : numpy.random.Generator
        Source of randomness. Every epoch advances it.
    ranks : Ranks, default=Ranks()
        The processes that share the batches.
    augment : callable, default=None
        ``(x, rng) -> x`` of the same shape: random variation in training.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        batch_size: int,
        crop_length: int,
        predictable: int = 1,
        rng: np.random.Generator,
        ranks: Ranks = Ranks(),  # noqa: B008 (it is frozen)
        augment: Augmentation | None = None,
    ) -> None:
        self.source = source = data.source
        self.groups = np.zeros(len(source), int) if data.groups is None else data.groups
        self.augment = augment
        self.crop_length = crop_length
        self.predictable = predictable
        self.rng = rng
        self.ranks = ranks
        n_windows = np.maximum(source.lengths // crop_length, 1)
        self.rows = np.repeat(np.arange(len(n_windows)), n_windows)
        self.spare = np.maximum(source.lengths - n_windows * crop_length, 0)
        first = np.repeat(n_windows.cumsum() - n_windows, n_windows)
        self.place = np.arange(len(self.rows)) - first  # within its sequence
        self.n_batches = -(-len(self.rows) // batch_size)
        self.run_length = -(-batch_size // LABELS)
        labels = {None: None, "sequences": self.rows, "groups": self.groups[self.rows]}
        self.labels = labels[data.gather]

    def __len__(self) -> int:
        return self.n_batches

    @property
    def sizes(self) -> list[int]:
        """Number of windows of each batch, over all processes."""
        batches = np.array_split(self.rows, self.n_batches)
        return [len(batch) for batch in batches]

    def __iter__(self) -> Iterator[Batch]:
        # The windows of a sequence share the steps that none of them covers.
        before = self.rng.integers(self.spare[self.rows] + 1)
        starts = before[np.lexsort((before, self.rows))]
        starts += self.place * self.crop_length
        for batch in self._batches():
            window = np.array_split(batch, self.ranks.size)[self.ranks.rank]
            rows = self.rows[window]
            x, lengths = self.source.batch(rows, starts[window], self.crop_length)
            x = self._pad(x, rows, self.rows[batch])
            if self.augment is not None:
                x = self.augment(x, self._own_rng())
            arrays = (x, lengths, rows, self.groups[rows])
            yield Batch(*(torch.from_numpy(array) for array in arrays))

    def _batches(self) -> list[np.ndarray]:
        """Return the windows of each batch of an epoch."""
        order = self.rng.permutation(len(self.rows))
        n_steps = np.minimum(self.source.lengths[self.rows], self.crop_length)
        if self.n_batches == 1:
            return [order]
        if n_steps.max() <= 2 * n_steps.mean():
            return np.array_split(self._in_runs(order), self.n_batches)
        short = n_steps < self.predictable
        if not short.all():  # a batch of short windows alone would teach nothing
            n_steps[short] = self.rng.choice(n_steps[~short], short.sum())
        rough = n_steps * self.rng.uniform(1, MIXING, len(n_steps))
        order = self._in_runs(np.argsort(rough), rough)
        # The batches have the sizes that `sizes` announces, in this order.
        turns = self.rng.permutation(self.n_batches)
        ends = np.cumsum(np.take(self.sizes, turns))
        batches = np.split(order, ends[:-1])
        return [batches[i] for i in np.argsort(turns)]

    def _in_runs(
        self, order: np.ndarray, rough: np.ndarray | None = None
    ) -> np.ndarray:
        """Put windows of the same label side by side, in runs of about equal sizes.

        The runs are in a random order, or in the order of the mean of `rough`.
        """
        if self.labels is None:
            return order
        order = order[np.argsort(self.labels[order], kind="stable")]
        number, n_windows = np.unique(
            self.labels[order], return_inverse=True, return_counts=True
        )[1:]
        place = np.arange(len(order)) - (n_windows.cumsum() - n_windows)[number]
        n_runs = -(-n_windows // self.run_length)
        run = (n_runs.cumsum() - n_runs)[number] + (
            place * n_runs[number] // n_windows[number]
        )
        if rough is None:
            rank = self.rng.permutation(n_runs.sum())
        else:
            rank = np.bincount(run, rough[order]) / np.bincount(run)
        return order[np.argsort(rank[run], kind="stable")]

    def _own_rng(self) -> np.random.Generator:
        """Return a generator for the windows of this process."""
        if self.ranks.size == 1:
            return self.rng
        # All processes advance the shared generator alike, or their epochs would
        # differ.
        return np.random.default_rng((self.ranks.rank, int(self.rng.integers(2**63))))

    def _pad(self, x: np.ndarray, rows: np.ndarray, all_rows: np.ndarray) -> np.ndarray:
        """Pad windows to the longest one of all processes."""
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

    Sorted by their lengths, they are halved until each part is small enough. So a long
    sequence does not make other batches small, and equal sequences give no tiny batch.

    Parameters
    ----------
    lengths : ndarray of shape (n,)
    max_rows : int
        Largest number of sequences in a batch.
    max_steps : int
        Largest number of steps in a batch, padding included. A single sequence may have
        more.

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
