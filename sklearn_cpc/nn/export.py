"""One graph from raw values to features: scaling, padding and the model.

`transform` scales and pads with numpy. Here the same happens with tensors, so that the
traced graph holds for any number of samples and steps.
"""

import torch
from torch import Tensor, nn

from .features import PooledFeatures, StepFeatures
from .masks import latent_lengths, step_mask


class FixedStatistics(nn.Module):
    """Mean and scale of each channel, the same for every sample.

    Parameters
    ----------
    mean, scale : Tensor of shape (C,), float64
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean, self.scale


class SampleStatistics(nn.Module):
    """Mean and standard deviation of each channel of each sample by itself."""

    def forward(self, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        # (B, T, C), float64 and bool -> (B, 1, C)
        n_observed = observed.sum(1, keepdim=True).double().clamp(min=1)
        # Differences from the first value keep their precision at any offset.
        place = observed.long().argmax(1, keepdim=True)
        first = torch.nan_to_num(x.gather(1, place))
        shifted = torch.where(observed, x - first, 0.0)
        mean = shifted.sum(1, keepdim=True) / n_observed
        centred = torch.where(observed, shifted - mean, 0.0)
        std = (centred.square().sum(1, keepdim=True) / n_observed).sqrt()
        mean = first + mean
        # Rounding alone gives a constant channel a standard deviation above 0.
        rounding = 10 * torch.finfo(torch.float64).eps * mean.abs()
        return mean, torch.where(std <= rounding, 1.0, std)


class Scale(nn.Module):
    """``(values, mask) -> x``: from raw values to the input of a model.

    Parameters
    ----------
    statistics : nn.Module
        ``(x, observed) -> mean, scale``.
    limit : float
        Scaled values are clipped here.
    """

    def __init__(self, statistics: nn.Module, limit: float) -> None:
        super().__init__()
        self.statistics, self.limit = statistics, limit

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:  # (B, T, C), (B, T, 1)
        observed = mask & ~torch.isnan(values)
        x = values.double()
        mean, scale = self.statistics(x, observed)
        scaled = ((x - mean) / scale).clamp(-self.limit, self.limit)
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
