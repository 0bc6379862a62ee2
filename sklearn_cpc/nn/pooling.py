"""Pooling: one vector for a sequence from the features of its valid steps.

To add one: write the function and give it a name in `POOLINGS`, and in `MERGES` how
the values of two parts of a sequence become that of both.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def mean(h: Tensor, mask: Tensor) -> Tensor:
    """Mean over the steps."""
    # As a matrix product, a third of the time of a masked sum.
    weight = mask.to(h.dtype) / mask.sum(1, keepdim=True)  # (B, T, 1)
    with torch.autocast(h.device.type, enabled=False):
        return (weight.transpose(1, 2) @ h)[:, 0]


def maximum(h: Tensor, mask: Tensor) -> Tensor:
    """Largest value of each feature."""
    return h.masked_fill(~mask, -torch.inf).amax(1)


def minimum(h: Tensor, mask: Tensor) -> Tensor:
    """Smallest value of each feature."""
    return h.masked_fill(~mask, torch.inf).amin(1)


def std(h: Tensor, mask: Tensor) -> Tensor:
    """Deviation over the steps, 0 for a single one."""
    variance = mean((h - mean(h, mask)[:, None]).square(), mask)
    # The square root has no gradient at 0, where a feature is constant; 0 will do.
    varies = variance != 0
    return torch.where(varies, variance, 1).sqrt() * varies


def ppv(h: Tensor, mask: Tensor) -> Tensor:
    """Proportion of positive values."""
    return ((h > 0) & mask).sum(1) / mask.sum(1)


def last(h: Tensor, mask: Tensor) -> Tensor:
    """Features of the last valid step."""
    index = (mask.sum(1, keepdim=True) - 1).clamp(min=0)  # (B, 1, 1)
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


Values = dict[str, Tensor]


def merged_mean(before: Values, part: Values, share: Tensor) -> Tensor:
    """Mean of both; the part has this share of the steps."""
    return before["mean"] + (part["mean"] - before["mean"]) * share


def merged_ppv(before: Values, part: Values, share: Tensor) -> Tensor:
    """Proportion of positive values of both."""
    return before["ppv"] + (part["ppv"] - before["ppv"]) * share


def merged_std(before: Values, part: Values, share: Tensor) -> Tensor:
    """Deviation of both (Chan, Golub, LeVeque 1979)."""
    apart = (part["mean"] - before["mean"]).square()
    within = before["std"].square() * (1 - share) + part["std"].square() * share
    return (within + apart * share * (1 - share)).sqrt()


# The values of both parts and the share of the second, (B, 1), -> (B, D)
MERGES: dict[str, Callable[[Values, Values, Tensor], Tensor]] = {
    "mean": merged_mean,
    "max": lambda before, part, share: torch.maximum(before["max"], part["max"]),
    "min": lambda before, part, share: torch.minimum(before["min"], part["min"]),
    "std": merged_std,
    "ppv": merged_ppv,
    "last": lambda before, part, share: part["last"],
}


class RunningPooling:
    """Pooling of sequences that come in parts, of which none is kept.

    Parameters
    ----------
    names : sequence of str
        Keys of `POOLINGS`.

    Attributes
    ----------
    values : dict
        From a name to what is pooled so far, ``(B, D)``; the mean is always there.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = {"mean": None, **dict.fromkeys(names)}
        self.values: Values = {}

    def push(self, h: Tensor, mask: Tensor) -> None:
        """Add the next steps.

        Parameters
        ----------
        h : Tensor of shape (B, T, D)
            The first time, with a valid step of every sequence.
        mask : Tensor of shape (B, T, 1)
            False from where a sequence has ended.
        """
        n_steps = mask.sum(1)  # (B, 1)
        part = {name: POOLINGS[name](h, mask) for name in self.names}
        if not self.values:
            self.n_steps, self.values = n_steps, part
            return
        self.n_steps = self.n_steps + n_steps
        share = n_steps / self.n_steps
        self.values = {
            name: torch.where(n_steps > 0, MERGES[name](self.values, part, share), old)
            for name, old in self.values.items()
        }
