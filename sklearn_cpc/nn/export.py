"""A model and what goes before it as one graph, from raw values to features.

What is Python in `transform` is tensors here, so that a graph can be traced that holds
for any number of samples and steps: scaling, missing values, and padding.
"""

import torch
from torch import Tensor, nn

from .features import PooledFeatures, StepFeatures
from .masks import latent_lengths, step_mask


class FixedStatistics(nn.Module):
    """Mean and deviation of each channel, the same for every sample.

    Parameters
    ----------
    mean, deviation : Tensor of shape (C,), float64
    """

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        mean, deviation = self.mean, self.deviation
        return mean, deviation  # type: ignore[return-value]


class SampleStatistics(nn.Module):
    """Mean and deviation of each channel of each sample by itself."""

    def forward(self, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        # (B, T, C), float64 and bool -> (B, 1, C)
        n_observed = observed.sum(1, keepdim=True).double().clamp(min=1)
        mean = torch.where(observed, x, 0.0).sum(1, keepdim=True) / n_observed
        apart = torch.where(observed, x - mean, 0.0)
        deviation = (apart.square().sum(1, keepdim=True) / n_observed).sqrt()
        # What rounding leaves of a constant channel is no deviation.
        rounding = n_observed * torch.finfo(torch.float64).eps * mean.abs()
        return mean, torch.where(deviation <= rounding, 1.0, deviation)


class Scale(nn.Module):
    """``(values, mask) -> x``: what a model is given for raw values.

    Parameters
    ----------
    statistics : nn.Module
        ``(x, observed) -> mean, deviation``.
    limit : float
        Scaled values are cut off here.
    """

    def __init__(self, statistics: nn.Module, limit: float) -> None:
        super().__init__()
        self.statistics, self.limit = statistics, limit

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:  # (B, T, C), (B, T, 1)
        observed = mask & ~torch.isnan(values)
        x = values.double()
        mean, deviation = self.statistics(x, observed)
        scaled = ((x - mean) / deviation).clamp(-self.limit, self.limit)
        return torch.where(observed, scaled.float(), 0.0)


class SequenceGraph(nn.Module):
    """``(values, lengths) -> features, steps, step_lengths``.

    Parameters
    ----------
    scale : Scale
    pooled : PooledFeatures
    steps : StepFeatures
    """

    def __init__(
        self, scale: Scale, pooled: PooledFeatures, steps: StepFeatures
    ) -> None:
        super().__init__()
        self.scale, self.pooled, self.steps = scale, pooled, steps

    def forward(
        self, values: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:  # (B, T, C), (B,)
        mask = step_mask(lengths, values.shape[1])[..., None]
        x = self.scale(values, mask)
        n_steps = latent_lengths(lengths, self.steps.model.downsampling)
        return self.pooled(x, lengths), self.steps(x), n_steps
