"""Pooling: one vector for a sequence from the features of its valid steps.

To add one: write the function and give it a name in `POOLINGS`.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def mean(h: Tensor, mask: Tensor) -> Tensor:
    """Mean over the steps."""
    return (h * mask).sum(1) / mask.sum(1)


def maximum(h: Tensor, mask: Tensor) -> Tensor:
    """Largest value of each feature."""
    return h.masked_fill(~mask, -torch.inf).amax(1)


def minimum(h: Tensor, mask: Tensor) -> Tensor:
    """Smallest value of each feature."""
    return h.masked_fill(~mask, torch.inf).amin(1)


def std(h: Tensor, mask: Tensor) -> Tensor:
    """Deviation over the steps, 0 for a single one."""
    deviation = (h - mean(h, mask)[:, None]) * mask
    return (deviation.square().sum(1) / mask.sum(1)).sqrt()


def ppv(h: Tensor, mask: Tensor) -> Tensor:
    """Proportion of positive values."""
    return ((h > 0) & mask).sum(1) / mask.sum(1)


def last(h: Tensor, mask: Tensor) -> Tensor:
    """Features of the last valid step."""
    index = mask.sum(1, keepdim=True) - 1  # (B, 1, 1)
    return h.gather(1, index.expand(-1, -1, h.shape[-1]))[:, 0]


# (B, T, D) and a (B, T, 1) mask -> (B, D)
POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": mean,
    "max": maximum,
    "min": minimum,
    "std": std,
    "ppv": ppv,
    "last": last,
}
