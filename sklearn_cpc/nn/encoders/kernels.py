"""A fixed first layer for time series: kernels scaled to the data, not learned."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..causal import CausalModule
from ..masks import latent_lengths, step_mask
from ..tracing import is_tracing
from .windows import WindowState, convolve, next_windows

# Channels that vary less are not scaled to 1: that would show rounding only.
MIN_STD = 1e-3
# Channels become positive between this quantile of the data and its opposite.
LOWEST = 0.05
# Added to the variance that the shape channels are divided by: rounding stays small.
MIN_VARIANCE = 1e-2
# Values that are processed together: with their temporary copies, they stay in a cache.
IN_CACHE = 2**15
# Ratio of the standard deviation to the median absolute deviation of normal values.
NORMAL = 1.4826


def even_widths(n_channels: int, n_branches: int) -> list[int]:
    """Return the channels of each branch. The first one takes the remainder."""
    widths = [n_channels // n_branches] * n_branches
    widths[0] += n_channels - sum(widths)
    return widths


def spread_quantiles(values: Tensor) -> Tensor:
    """Return a low quantile of the first channel up to a high one of the last.

    The shapes are (n, D) -> (D,).
    """
    quantiles = torch.linspace(LOWEST, 1 - LOWEST, values.shape[1])
    rows = (quantiles * (len(values) - 1)).long()
    return values.sort(0).values.gather(0, rows[None])[0]


def channel_std(values: Tensor) -> Tensor:
    """Return the standard deviation of each channel, (n, D) -> (D,)."""
    return values.std(0, correction=0).clamp(min=MIN_STD)


def robust_std(values: Tensor) -> Tensor:
    """Return a standard deviation that a few large values hardly change."""
    median = values.median(0).values
    absolute = (values - median).abs().median(0).values * NORMAL
    return torch.minimum(channel_std(values), absolute.clamp(min=MIN_STD))


def asinh(h: Tensor) -> Tensor:
    """Return the inverse hyperbolic sine; `h` may be overwritten."""
    if h.requires_grad or is_tracing():
        # Operations that have gradients and that ONNX can export.
        rest = h.square() / (1 + (h.square() + 1).sqrt())
        return h.sign() * torch.log1p(h.abs() + rest)
    # The same bits, ten times faster: memory is what costs.
    size = IN_CACHE if h.device.type == "cpu" else max(1, h.numel())
    for part in h.view(-1).split(size):
        rest = part.square()
        root = (rest + 1).sqrt_()
        rest.div_(root.add_(1)).add_(torch.abs(part, out=root)).log1p_()
        torch.copysign(rest, part, out=part)
    return h


class KernelBank(CausalModule):
    """Fixed convolutions over the past, with kernels of several sizes.

    Half of the channels see the size of the input. The other half see its shape alone:
    they are divided by the standard deviation over the channels of their kernel size.
    An inverse hyperbolic sine compresses large values. Layer norm over all channels
    follows. The first value of a sequence is repeated before its beginning. The kernels
    are random; `calibrate` scales them to the data, and training does not change them.

    Parameters
    ----------
    n_in, n_out : int
        Channels of the input and of the output, at least two of the latter.
    kernel_sizes : sequence of int
        Steps that the kernels see, at least one of them several. Both halves have
        kernels of several steps; the first half has kernels of one step, too.
    stride : int, default=1
        Input steps for each output step.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel_sizes: Sequence[int], stride: int = 1
    ) -> None:
        super().__init__()
        half = n_out // 2
        several = [size for size in kernel_sizes if size > 1][-half:]
        sizes = list(kernel_sizes)[-(n_out - half) :]
        self.levels = nn.ModuleList(
            nn.Conv1d(n_in, width, size, stride)
            for width, size in zip(
                even_widths(n_out - half, len(sizes)), sizes, strict=True
            )
        )
        widths = even_widths(half, len(several))
        self.shapes = nn.ModuleList(
            nn.Conv1d(n_in, width, size, stride, bias=False)
            for width, size in zip(widths, several, strict=True)
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(width, eps=MIN_VARIANCE) for width in widths
        )
        self.n_channels = n_out
        self.receptive_field, self.stride = max(kernel_sizes), stride
        self.requires_grad_(False)

    def forward(self, h: Tensor) -> Tensor:  # (B, T, C) -> (B, ceil(T / stride), D)
        return self.advance(h)[0]

    def advance(
        self, h: Tensor, state: WindowState | None = None
    ) -> tuple[Tensor, WindowState | None]:
        """Process the next steps of sequences; see `CausalConv.advance`."""
        h, state = self._windows(h, state)
        if not h.shape[1]:
            return h.new_zeros(h.shape[0], 0, self.n_channels), state
        with torch.autocast(h.device.type, enabled=False):
            h = asinh(self._channels(h))
            return F.layer_norm(h, (self.n_channels,)), state

    @torch.no_grad()
    def calibrate(self, x: Tensor, lengths: Tensor) -> None:
        """Make the kernels see changes, and scale them to the data.

        The weights of kernels of several steps then sum to zero. Each channel gets a
        standard deviation of 1. The channels of a kernel size become positive at
        different quantiles of the data, as MiniRocket chooses its biases [1]_.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            Some of the training sequences.
        lengths : Tensor of shape (B,)
            Their valid steps.

        References
        ----------
        .. [1] A. Dempster, D. F. Schmidt, G. I. Webb (2021), MiniRocket: A Very Fast
           (Almost) Deterministic Transform for Time Series Classification,
           arXiv:2012.08791.
        """
        windows, _ = self._windows(x, None)
        n_steps = -(-x.shape[1] // self.stride)
        valid = step_mask(latent_lengths(lengths, self.stride), n_steps)
        levels = [cast(nn.Conv1d, conv) for conv in self.levels]
        shapes = [cast(nn.Conv1d, conv) for conv in self.shapes]
        norms = [cast(nn.LayerNorm, norm) for norm in self.norms]
        for conv in (*levels, *shapes):
            if conv.kernel_size[0] > 1:
                # The weights of the changes from step to step.
                zero_sum = conv.weight - conv.weight.mean(2, keepdim=True)
                conv.weight.copy_(zero_sum - zero_sum.cumsum(2))
            std = robust_std(self._outputs([conv], windows)[valid])
            conv.weight /= std[:, None, None]
        for conv in levels:
            bias = cast(Tensor, conv.bias)
            bias.zero_()
            bias -= spread_quantiles(self._outputs([conv], windows)[valid])
        for conv, norm in zip(shapes, norms, strict=True):
            values = self._outputs([conv], windows)[valid]
            shape = F.layer_norm(values, list(norm.weight.shape), eps=norm.eps)
            norm.weight.copy_(1 / robust_std(shape))
            norm.bias.copy_(-spread_quantiles(shape) * norm.weight)

    def _windows(
        self, x: Tensor, state: WindowState | None
    ) -> tuple[Tensor, WindowState | None]:
        """Return the steps that the next windows cover; see `next_windows`."""
        if state is None:
            if not x.shape[1]:
                return x, None
            state = x[:, :1].expand(-1, self.receptive_field - 1, -1), 0
        return next_windows(x, state, self.receptive_field, self.stride)

    def _channels(self, h: Tensor) -> Tensor:
        """Return all channels as they are scaled, (B, T, C) -> (B, T', D)."""
        kernels = cast("list[nn.Conv1d]", [*self.levels, *self.shapes])
        sizes = [kernel.kernel_size[0] for kernel in kernels]
        outputs = dict.fromkeys(range(len(kernels)), h)
        for size in sorted(set(sizes)):
            # Kernels of one size are one convolution.
            alike = [i for i, other in enumerate(sizes) if other == size]
            joined = self._outputs([kernels[i] for i in alike], h)
            widths = [kernels[i].out_channels for i in alike]
            outputs.update(zip(alike, joined.split(widths, 2), strict=True))
        n_levels = len(self.levels)
        for i, norm in enumerate(self.norms, n_levels):
            outputs[i] = norm(outputs[i])
        return torch.cat(list(outputs.values()), 2)

    def _outputs(self, kernels: Sequence[nn.Conv1d], h: Tensor) -> Tensor:
        """Return the outputs of kernels of one size, (B, T, C) -> (B, T', D)."""
        weight = torch.cat([kernel.weight for kernel in kernels])
        biases = [
            weight.new_zeros(kernel.out_channels)
            if kernel.bias is None
            else kernel.bias
            for kernel in kernels
        ]
        h = h[:, self.receptive_field - weight.shape[2] :]
        if weight.shape[2] > 1:
            # Differences keep their precision at any level.
            h, weight = h[:, 1:] - h[:, :-1], weight[..., 1:]
        return convolve(h.to(weight.dtype), weight, torch.cat(biases), self.stride)
