"""Pooling: one vector for a sequence from the features of its valid steps.

To add one: write a class and name it in `POOLINGS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

# What a pooling keeps of the steps so far, its value first; shapes (B, D).
Pooled: TypeAlias = tuple[Tensor, ...]


class Pooling(ABC):
    """A statistic over the valid steps that can be merged from parts of a sequence.

    The call is ``(h, mask) -> (B, D)``, with `h` of shape (B, T, D) and a boolean mask
    of shape (B, T, 1). None says that all steps are valid, which is faster.

    Attributes
    ----------
    weighted : bool, default=False
        Whether the mask holds weights of the steps instead, 0 where one is not valid.
    """

    weighted: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, h: Tensor, mask: Tensor | None) -> Tensor:
        """Return the value over all valid steps."""

    def start(self, h: Tensor, mask: Tensor | None) -> Pooled:
        """Return what `merge` needs to know of a part, the value first."""
        return (self(h, mask),)

    def finished(self, value: Tensor) -> Tensor:
        """Return the feature for a value of `start` or `merge`."""
        return value

    @abstractmethod
    def merge(self, before: Pooled, part: Pooled, share: Tensor) -> Pooled:
        """Return what two parts have together.

        Parameters
        ----------
        before, part : tuple of Tensor
            What `start` or `merge` returned for each of them, in their order in time.
        share : Tensor of shape (B, 1)
            The second part's share of the steps, or of their weights.

        Returns
        -------
        tuple of Tensor
        """


def masked_sum(h: Tensor, mask: Tensor | None) -> Tensor:
    """Return the sum over the valid steps, (B, T, D) -> (B, D)."""
    # A matrix product takes a third of the time of a masked sum.
    weight = torch.ones_like(h[..., :1]) if mask is None else mask.to(h.dtype)
    return _weighted_sum(h, weight)


def masked_mean(h: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean over the valid steps, (B, T, D) -> (B, D)."""
    if mask is None:
        return _weighted_sum(h, torch.ones_like(h[..., :1]) / h.shape[1])
    return _weighted_sum(h, mask.to(h.dtype) / mask.sum(1, keepdim=True))


def _weighted_sum(h: Tensor, weight: Tensor) -> Tensor:
    with torch.autocast(h.device.type, enabled=False):
        return (weight.transpose(1, 2) @ h)[:, 0]


def merged_mean(before: Tensor, part: Tensor, share: Tensor) -> Tensor:
    """Return the mean of both parts."""
    return before + (part - before) * share


class Mean(Pooling):
    """Mean over the steps."""

    def __call__(self, h: Tensor, mask: Tensor | None) -> Tensor:
        return masked_mean(h, mask)

    def merge(self, before: Pooled, part: Pooled, share: Tensor) -> Pooled:
        return (merged_mean(before[0], part[0], share),)


class WeightedMean(Mean):
    """Mean over the steps, which count by their weights."""

    weighted = True


class Direction(Mean):
    """Mean over the steps, divided by its length."""

    def __call__(self, h: Tensor, mask: Tensor | None) -> Tensor:
        return self.finished(masked_mean(h, mask))

    def start(self, h: Tensor, mask: Tensor | None) -> Pooled:
        return (masked_mean(h, mask),)

    def finished(self, value: Tensor) -> Tensor:
        return F.normalize(value, dim=-1)


class Max(Pooling):
    """Largest value of each feature."""

    def __call__(self, h: Tensor, mask: Tensor | None) -> Tensor:
        return (h if mask is None else h.masked_fill(~mask, -torch.inf)).amax(1)

    def merge(self, before: Pooled, part: Pooled, share: Tensor) -> Pooled:
        return (torch.maximum(before[0], part[0]),)


class Min(Pooling):
    """Smallest value of each feature."""

    def __call__(self, h: Tensor, mask: Tensor | None) -> Tensor:
        return (h if mask is None else h.masked_fill(~mask, torch.inf)).amin(1)

    def merge(self, before: Pooled, part: Pooled, share: Tensor) -> Pooled:
        return (torch.minimum(before[0], part[0]),)


class Std(Pooling):
    """Standard deviation over the steps, 0 for a single step."""

    def __call__(self, h: Tensor, mask: Tensor | None) -> Tensor:
        return self._deviation(h, mask, masked_mean(h, mask))

    def _deviation(self, h: Tensor, mask: Tensor | None, mean: Tensor) -> Tensor:
        centred = h - mean[:, None]
        # Gradients need what would be overwritten.
        squares = centred.square() if centred.requires_grad else centred.square_()
        variance = masked_mean(squares, mask)
        # The square root has no gradient at 0, where a feature is constant: use 0.
        varies = variance != 0
        return torch.where(varies, variance, 1).sqrt() * varies

    def start(self, h: Tensor, mask: Tensor | None) -> Pooled:
        mean = masked_mean(h, mask)
        return self._deviation(h, mask, mean), mean

    def merge(self, before: Pooled, part: Pooled, share: Tensor) -> Pooled:
        # Chan, Golub, LeVeque (1979)
        (std, mean), (part_std, part_mean) = before, part
        between = (part_mean - mean).square() * share * (1 - share)
        within = std.square() * (1 - share) + part_std.square() * share
        return (within + between).sqrt(), merged_mean(mean, part_mean, share)


class PPV(Pooling):
    """Proportion of positive values."""

    def __call__(self, h: Tensor, mask: Tensor | None) -> Tensor:
        n_positive = masked_sum(h.sign().relu_(), mask)
        return n_positive / (h.shape[1] if mask is None else mask.sum(1))

    def merge(self, before: Pooled, part: Pooled, share: Tensor) -> Pooled:
        return (merged_mean(before[0], part[0], share),)


class Last(Pooling):
    """Features of the last valid step."""

    def __call__(self, h: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return h[:, -1]
        index = (mask.sum(1, keepdim=True) - 1).clamp(min=0)  # (B, 1, 1)
        return h.gather(1, index.expand(-1, -1, h.shape[-1]))[:, 0]

    def merge(self, before: Pooled, part: Pooled, share: Tensor) -> Pooled:
        return part


POOLINGS: dict[str, Pooling] = {
    "mean": Mean(),
    "max": Max(),
    "min": Min(),
    "std": Std(),
    "ppv": PPV(),
    "last": Last(),
    "direction": Direction(),
    "sif": WeightedMean(),
}
# Those that any sequence has; the others need weights, which tokens have.
UNWEIGHTED = tuple(name for name, pooling in POOLINGS.items() if not pooling.weighted)


@dataclass(frozen=True)
class Statistics:
    """Which statistics of a layer become features.

    Attributes
    ----------
    layers : tuple of str
        Keys of `POOLINGS`, for the layers of the encoder.
    context : tuple of str
        Likewise for the contexts.
    """

    layers: tuple[str, ...]
    context: tuple[str, ...]

    @classmethod
    def of(cls, pooling: "str | Sequence[str] | Statistics") -> "Statistics":
        """Return the statistics that a parameter `pooling` asks for.

        Parameters
        ----------
        pooling : str, sequence of str or Statistics
            "auto", or names for all layers.

        Returns
        -------
        Statistics
        """
        if isinstance(pooling, Statistics):
            return pooling
        if pooling == "auto":
            # A classifier should not see the contexts, which are learned, drown in the
            # more numerous layers below them.
            return cls(("max", "std", "ppv"), ("max", "std", "ppv", "mean", "min"))
        names = (pooling,) if isinstance(pooling, str) else tuple(pooling)
        return cls(names, names)

    def of_layer(self, name: str) -> tuple[str, ...]:
        """Return the statistics of a layer by its name, such as "layer1"."""
        return self.context if name == "context" else self.layers


class RunningPooling:
    """Pooling of sequences that come in parts; no part is kept.

    Parameters
    ----------
    names : sequence of str
        Keys of `POOLINGS`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._pooled: dict[str, Pooled] = {}
        self._seen: dict[str, Tensor] = {}  # steps, or their weights, (B, 1)

    def push(self, h: Tensor, mask: Tensor, weights: Tensor | None = None) -> None:
        """Add the next steps.

        Parameters
        ----------
        h : Tensor of shape (B, T, D)
            The first call must have a valid step of every sequence.
        mask : Tensor of shape (B, T, 1)
            False from where a sequence has ended.
        weights : Tensor of shape (B, T, 1), default=None
            For weighted statistics; 0 where the mask is False. Without them, all steps
            count the same.
        """
        for name in self.names:
            pooling = POOLINGS[name]
            counts = weights if pooling.weighted and weights is not None else mask
            part, new = pooling.start(h, counts), counts.sum(1)
            if name not in self._pooled:
                self._pooled[name], self._seen[name] = part, new
                continue
            self._seen[name] = self._seen[name] + new
            before = self._pooled[name]
            merged = pooling.merge(before, part, new / self._seen[name])
            self._pooled[name] = tuple(
                torch.where(new > 0, after, old)
                for after, old in zip(merged, before, strict=True)
            )

    def value(self, name: str) -> Tensor:
        """Return the statistic over all steps so far, ``(B, D)``."""
        return POOLINGS[name].finished(self._pooled[name][0])
