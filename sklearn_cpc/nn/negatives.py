"""Negatives: the latents of a batch that each prediction is compared with.

A strategy says which positions may serve as negatives for each sample. Samples with the
same positions share a pool. The draw itself is the same for all strategies. Positions
index the latents of a batch flattened to ``(B * T', D)``, so that only the candidates
are gathered.

To add one: write a class and name it in `NEGATIVES`.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor


class Origin(NamedTuple):
    """Where the samples of a batch come from; both tensors are on the CPU.

    Parameters
    ----------
    sequences : Tensor of shape (B,)
        Number of the sequence that each sample is a window of.
    groups : Tensor of shape (B,)
        Group of each sample, such as its speaker.
    """

    sequences: Tensor
    groups: Tensor

    @classmethod
    def separate(cls, n_samples: int) -> "Origin":
        """Return the origin of samples of different sequences in one group.

        Parameters
        ----------
        n_samples : int
            Number of samples.

        Returns
        -------
        Origin
        """
        return cls(torch.arange(n_samples), torch.zeros(n_samples, dtype=torch.int64))


class Negatives(ABC):
    """A strategy: the pool of positions from which each sample draws its negatives.

    Attributes
    ----------
    needs_groups : bool
        Whether the user has to pass groups.
    may_hold_positive : bool
        Whether a pool holds positions of the sample's own sequence, the positives among
        them.
    gathers : str or None
        The field of `Origin` by which batches should gather their samples, so that
        pools are large. None mixes all samples.
    """

    needs_groups = False
    may_hold_positive = True
    gathers: str | None = None

    def label(self, origin: Origin) -> Tensor:
        """Return the label of each sample. Samples with equal labels share a pool.

        Parameters
        ----------
        origin : Origin
            Sequence and group of each sample.

        Returns
        -------
        Tensor of shape (B,)
            By default, the number of the sequence.
        """
        return origin.sequences

    @abstractmethod
    def pool(self, samples: Tensor, row: Tensor, origin: Origin) -> Tensor:
        """Return the pools of some samples.

        Parameters
        ----------
        samples : Tensor of shape (G,)
            One sample for each label.
        row : Tensor of shape (P,)
            The sample that each valid position belongs to.
        origin : Origin
            Sequence and group of each sample.

        Returns
        -------
        Tensor of shape (G, P), dtype bool
            True where a position belongs to the pool.
        """


class AnyPosition(Negatives):
    """Any other position of the batch."""

    def label(self, origin: Origin) -> Tensor:
        return torch.zeros_like(origin.sequences)

    def pool(self, samples: Tensor, row: Tensor, origin: Origin) -> Tensor:
        return torch.ones(len(samples), len(row), dtype=torch.bool)


class OtherSequences(Negatives):
    """Positions of other sequences."""

    may_hold_positive = False

    def pool(self, samples: Tensor, row: Tensor, origin: Origin) -> Tensor:
        return ~_same(origin.sequences, samples, row)


class SameSequence(Negatives):
    """Other positions of the same sequence."""

    gathers = "sequences"

    def pool(self, samples: Tensor, row: Tensor, origin: Origin) -> Tensor:
        return _same(origin.sequences, samples, row)


class SameGroup(Negatives):
    """Other positions of sequences of the same group."""

    needs_groups = True
    gathers = "groups"

    def label(self, origin: Origin) -> Tensor:
        return origin.groups

    def pool(self, samples: Tensor, row: Tensor, origin: Origin) -> Tensor:
        return _same(origin.groups, samples, row)


class SameGroupOtherSequences(Negatives):
    """Positions of other sequences of the same group."""

    needs_groups = True
    may_hold_positive = False
    gathers = "groups"

    def pool(self, samples: Tensor, row: Tensor, origin: Origin) -> Tensor:
        same_group = _same(origin.groups, samples, row)
        return same_group & ~_same(origin.sequences, samples, row)


def _same(label: Tensor, samples: Tensor, row: Tensor) -> Tensor:
    """Return where a position has the label of a sample, (G, P)."""
    return label[row] == label[samples][:, None]


NEGATIVES: dict[str, Negatives] = {
    "batch": AnyPosition(),
    "other_sequences": OtherSequences(),
    "same_sequence": SameSequence(),
    "same_group": SameGroup(),
    "same_group_other_sequences": SameGroupOtherSequences(),
}


class Candidates(NamedTuple):
    """Positions drawn from G pools.

    Attributes
    ----------
    position : Tensor of shape (G, N)
        Rows of the flattened latents, without repetition.
    mask : Tensor of shape (G, N) or None
        True where the position is in the pool; None if all are. The last column
        may be spare: it takes the score of a positive that was not drawn, so
        that every anchor has the same number of negatives.
    pool : Tensor of shape (B,)
        The pool of each sample.
    """

    position: Tensor
    mask: Tensor | None
    pool: Tensor


def first_of_each(label: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first row of each distinct label, and the label's number by row."""
    distinct, number = label.unique(return_inverse=True)
    rows = torch.arange(len(label)).flip(0)
    first = rows.new_empty(len(distinct)).scatter(0, number.flip(0), rows)
    return first, number


def sample_anchors(
    lengths: Tensor,
    n_steps: int,
    *,
    skip_steps: int = 0,
    n_anchors: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw the anchors of one batch: positions with something to predict.

    They are evenly spaced, with a random start, over the positions of all samples side
    by side. So each position has the same probability, and a sample gets its share of
    the anchors.

    Parameters
    ----------
    lengths : Tensor of shape (B,)
        Number of latents of each sample, on the CPU.
    n_steps : int
        Number of latents of a padded sample, T'.
    skip_steps : int, default=0
        Latents between an anchor and its first positive.
    n_anchors : int, default=None
        Anchors to draw; fewer if the batch has fewer. None takes all.
    generator : torch.Generator, default=None
        Source of randomness, on the CPU. None uses torch's global one.

    Returns
    -------
    Tensor of shape (A,)
        Rows of the flattened latents, in ascending order.
    """
    has_target = torch.arange(n_steps) + 1 + skip_steps < lengths[:, None]  # (B, T')
    position = has_target.flatten().nonzero()[:, 0]
    if n_anchors is None or len(position) <= n_anchors:
        return position
    start = torch.rand((), generator=generator, dtype=torch.float64)
    chosen = (torch.arange(n_anchors) + start) * (len(position) / n_anchors)
    return position[chosen.long()]


def sample_candidates(
    lengths: Tensor,
    n_steps: int,
    *,
    strategy: str = "batch",
    n_negatives: int | str = 128,
    origin: Origin | None = None,
    generator: torch.Generator | None = None,
) -> Candidates:
    """Draw the candidates of one batch, uniformly and without replacement.

    Padding is never drawn. With strategies that include a sample's own sequence, the
    positive of an anchor may be among the candidates; the loss replaces it, see
    `positive_columns`. Therefore one candidate more than `n_negatives` is drawn.

    Parameters
    ----------
    lengths : Tensor of shape (B,)
        Number of latents of each sample, on the CPU.
    n_steps : int
        Number of latents of a padded sample, T'.
    strategy : str, default="batch"
        A key of `NEGATIVES`.
    n_negatives : int or "all", default=128
        Negatives for each anchor; fewer if the pool is smaller.
    origin : Origin, default=None
        Sequence and group of each sample. None takes each sample for a sequence and
        puts all into one group.
    generator : torch.Generator, default=None
        Source of randomness, on the CPU. None uses torch's global one.

    Returns
    -------
    Candidates
    """
    valid = torch.arange(n_steps) < lengths[:, None]  # (B, T')
    position = valid.flatten().nonzero()[:, 0]  # (P,)
    negatives = NEGATIVES[strategy]
    origin = origin or Origin.separate(len(lengths))
    samples, pool_of = first_of_each(negatives.label(origin))  # (G,), (B,)
    pool = negatives.pool(samples, position // n_steps, origin)  # (G, P)
    pool_size = pool.sum(1)
    n_drawn = int(pool_size.max())
    if n_negatives != "all":
        n_drawn = min(n_drawn, int(n_negatives) + negatives.may_hold_positive)
    if len(pool) == 1:
        drawn = torch.randperm(len(position), generator=generator)[None, :n_drawn]
    else:
        keys = torch.rand(pool.shape, generator=generator).masked_fill(~pool, -1.0)
        drawn = keys.topk(n_drawn).indices
    index = position[drawn]  # (G, N)
    mask = torch.arange(n_drawn) < pool_size[:, None]
    if not negatives.may_hold_positive:
        index = torch.nn.functional.pad(index, (0, 1))
        mask = torch.nn.functional.pad(mask, (0, 1))
    return Candidates(index, None if mask.all() else mask, pool_of)


def positive_columns(
    positives: Tensor, pool: Tensor, index: Tensor, n_positions: int
) -> Tensor:
    """Return the column that holds the positive of each prediction, or the last one.

    Parameters
    ----------
    positives : Tensor of shape (M,)
        Flattened position of each prediction's positive.
    pool : Tensor of shape (M,)
        The pool of each prediction.
    index : Tensor of shape (G, N)
        Flattened positions of the candidates of each pool.
    n_positions : int
        Number of flattened positions, padding included.

    Returns
    -------
    Tensor of shape (M,)
    """
    n_pools, n_candidates = index.shape
    column = torch.arange(n_candidates, device=index.device).expand(n_pools, -1)
    # Every position that was not drawn points to the last column.
    column_of = index.new_full((n_pools, n_positions), n_candidates - 1)
    return column_of.scatter(1, index, column)[pool, positives]
