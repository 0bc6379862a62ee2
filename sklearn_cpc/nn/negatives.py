"""Negatives: which latents of a batch each prediction is compared with.

A strategy says which positions belong to the pool of each sample, from the row that
each position is in; a sample may be one of several windows of a sequence. The draw is
the same for all. Positions index the latents of a batch flattened to
``(B * T', D)``, so that nothing is copied before the one gather of candidates.

To add one: write a function that returns a pool and name it in `POOLS`.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Candidates(NamedTuple):
    """Positions drawn for G groups of anchors: the whole batch or one sample each.

    Attributes
    ----------
    position : Tensor of shape (G, N)
        Rows of the flattened latents, without repetition.
    mask : Tensor of shape (G, N) or None
        True where the position is in the pool; None if all are. The last column
        may be spare: it takes the score of a positive that was not drawn, so
        that every anchor has the same number of negatives.
    """

    position: Tensor
    mask: Tensor | None


def any_position(row: Tensor, sequences: Tensor, groups: Tensor) -> Tensor:
    """Any other position of the batch."""
    return torch.ones(1, len(row), dtype=torch.bool)


def other_sequences(row: Tensor, sequences: Tensor, groups: Tensor) -> Tensor:
    """Positions of the other sequences."""
    return ~same_sequence(row, sequences, groups)


def same_sequence(row: Tensor, sequences: Tensor, groups: Tensor) -> Tensor:
    """Other positions of the same sequence."""
    return sequences[row] == sequences[:, None]


def same_group(row: Tensor, sequences: Tensor, groups: Tensor) -> Tensor:
    """Other positions of sequences of the same group, such as one speaker."""
    return groups[row] == groups[:, None]


def same_group_other_sequences(
    row: Tensor, sequences: Tensor, groups: Tensor
) -> Tensor:
    """Positions of the other sequences of the same group."""
    same = same_group(row, sequences, groups)
    return same & other_sequences(row, sequences, groups)


POOLS = {
    "batch": any_position,
    "other_sequences": other_sequences,
    "same_sequence": same_sequence,
    "same_group": same_group,
    "same_group_other_sequences": same_group_other_sequences,
}
WITHOUT_POSITIVE = frozenset({"other_sequences", "same_group_other_sequences"})


def sample_candidates(
    lengths: Tensor,
    n_steps: int,
    *,
    strategy: str = "batch",
    n_negatives: int | str = 128,
    sequences: Tensor | None = None,
    groups: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Candidates:
    """Draw the candidates of one batch, uniformly and without replacement.

    Padding is never drawn. The positive of an anchor may be among the
    candidates (for strategies that include its own sequence): it is the loss
    that replaces it, see `positive_columns`. One more candidate than
    `n_negatives` is therefore drawn.

    Parameters
    ----------
    lengths : Tensor of shape (B,)
        Number of latents of each sample, on the CPU.
    n_steps : int
        Number of latents of a padded sample, T'.
    strategy : str, default="batch"
        A key of `POOLS`.
    n_negatives : int or "all", default=128
        Negatives for each anchor; fewer if the pool is smaller.
    sequences : Tensor of shape (B,), default=None
        Number of the sequence that each sample is a window of, on the CPU. None
        takes each sample for a sequence.
    groups : Tensor of shape (B,), default=None
        Group of each sample, on the CPU. None puts all into one group.
    generator : torch.Generator, default=None
        Source of randomness, on the CPU. None uses torch's global one.

    Returns
    -------
    Candidates
    """
    valid = torch.arange(n_steps) < lengths[:, None]  # (B, T')
    position = valid.flatten().nonzero()[:, 0]  # (P,)
    if sequences is None:
        sequences = torch.arange(len(lengths))
    if groups is None:
        groups = torch.zeros_like(lengths)
    pool = POOLS[strategy](position // n_steps, sequences, groups)  # (G, P)
    pool_size = pool.sum(1)
    n_drawn = int(pool_size.max())
    if n_negatives != "all":
        n_drawn = min(n_drawn, int(n_negatives) + (strategy not in WITHOUT_POSITIVE))
    if len(pool) == 1:
        drawn = torch.randperm(len(position), generator=generator)[None, :n_drawn]
    else:
        keys = torch.rand(pool.shape, generator=generator).masked_fill(~pool, -1.0)
        drawn = keys.topk(n_drawn).indices
    index = position[drawn]  # (G, N)
    mask = torch.arange(n_drawn) < pool_size[:, None]
    if strategy in WITHOUT_POSITIVE:
        index = torch.nn.functional.pad(index, (0, 1))
        mask = torch.nn.functional.pad(mask, (0, 1))
    return Candidates(index, None if mask.all() else mask)


def positive_columns(positives: Tensor, index: Tensor, n_positions: int) -> Tensor:
    """Return the column that holds the positive of each anchor, or the last one.

    Parameters
    ----------
    positives : Tensor of shape (G, M)
        Flattened position of each anchor's positive.
    index : Tensor of shape (G, N)
        Flattened positions of the candidates.
    n_positions : int
        Number of flattened positions, padding included.

    Returns
    -------
    Tensor of shape (G, M)
    """
    n_groups, n_candidates = index.shape
    column = torch.arange(n_candidates, device=index.device).expand(n_groups, -1)
    # Every position that was not drawn points to the last column.
    column_of = index.new_full((n_groups, n_positions), n_candidates - 1)
    return column_of.scatter(1, index, column).gather(1, positives)
