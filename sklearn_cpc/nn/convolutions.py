"""Causal convolutions with layer norm, and stacks of them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .kernels import deviations, even_widths, spread_quantiles
from .masks import latent_lengths, step_mask
from .windows import next_windows

# oneDNN 3.12, on CPUs with AMX, computes wrong bfloat16 convolutions for 2 to 12
# channels and kernels of 8 or more; so few channels gain nothing from it anyway.
MIN_BF16_CHANNELS = 16


def low_precision(device: str, n_channels: int) -> torch.autocast:
    """Return the context of a convolution: autocast, where it is on and correct."""
    narrow = device == "cpu" and n_channels < MIN_BF16_CHANNELS
    return torch.autocast(
        device, enabled=torch.is_autocast_enabled(device) and not narrow
    )


class CausalConv(nn.Module):
    """Convolution that sees the past only, then layer norm over channels.

    Several `kernel_sizes` share the output channels evenly, so that one layer
    looks at several time scales. All statistics are per step: nothing but the
    left-padded convolution mixes time steps.

    Parameters
    ----------
    n_in, n_out : int
        Channels of the input and of the output.
    kernel_sizes : sequence of int
        Steps that each branch looks at.
    stride : int, default=1
        Input steps for each output step.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel_sizes: Sequence[int], stride: int = 1
    ) -> None:
        super().__init__()
        widths = even_widths(n_out, len(kernel_sizes))
        self.branches = nn.ModuleList(
            nn.Conv1d(n_in, width, kernel_size, stride)
            for width, kernel_size in zip(widths, kernel_sizes, strict=True)
        )
        self.norm = nn.LayerNorm(n_out)
        self.kernel_sizes = tuple(kernel_sizes)
        self.receptive_field = max(kernel_sizes)
        self.stride = stride

    def forward(self, h: Tensor) -> Tensor:  # (B, T, C) -> (B, ceil(T / stride), D)
        return self.advance(h)[0]

    def advance(
        self, h: Tensor, state: tuple[Tensor, int] | None = None
    ) -> tuple[Tensor, tuple[Tensor, int]]:
        """Go on with a sequence.

        Parameters
        ----------
        h : Tensor of shape (B, T, C)
            The next steps.
        state : tuple of Tensor and int, default=None
            What the last call returned; None begins a sequence.

        Returns
        -------
        output : Tensor of shape (B, T', D)
            One step for every `stride` input steps that have begun.
        state : tuple of Tensor and int
            To be passed to the next call.
        """
        h, state = self._convolve(h, state)
        return self.norm(h), state

    def _convolve(
        self, h: Tensor, state: tuple[Tensor, int] | None = None
    ) -> tuple[Tensor, tuple[Tensor, int]]:
        """Do the same without the layer norm."""
        h, following = next_windows(h, state, self.receptive_field, self.stride)
        if not h.shape[1]:
            return h.new_zeros(h.shape[0], 0, self.norm.weight.shape[0]), following
        h = h.transpose(1, 2)
        with low_precision(h.device.type, n_channels=h.shape[1]):
            if not torch.is_autocast_enabled(h.device.type):
                # What comes from a wide layer may be of low precision.
                h = h.to(next(self.branches.parameters()).dtype)
            h = torch.cat(
                [
                    conv(h[:, :, self.receptive_field - size :])
                    for conv, size in zip(self.branches, self.kernel_sizes, strict=True)
                ],
                dim=1,
            )
        return h.transpose(1, 2), following

    def calibrate(self, h: Tensor, lengths: Tensor) -> None:
        """Give every channel a deviation of 1, and a zero amid its values.

        Before the layer norm, each channel of a kernel size becomes positive at
        another quantile of the data, as the biases of MiniRocket are chosen [1]_.

        Parameters
        ----------
        h : Tensor of shape (B, T, C)
            Inputs of some training sequences.
        lengths : Tensor of shape (B,)
            Their valid steps.

        References
        ----------
        .. [1] A. Dempster, D. F. Schmidt, G. I. Webb (2021), MiniRocket: A Very Fast
           (Almost) Deterministic Transform for Time Series Classification,
           arXiv:2012.08791.
        """
        branches: Any = self.branches
        h, _ = self._convolve(h)
        valid = h[step_mask(latent_lengths(lengths, self.stride), h.shape[1])]  # (n, D)
        widths = [conv.out_channels for conv in branches]
        for conv, values in zip(branches, valid.split(widths, 1), strict=True):
            deviation, zero = deviations(values), spread_quantiles(values)
            conv.weight /= deviation[:, None, None]
            conv.bias.copy_((conv.bias - zero) / deviation)


class ConvStack(nn.Module):
    """Causal convolutions in sequence; the last one gives the latents.

    Parameters
    ----------
    convolutions : sequence of CausalConv or KernelBank
        A ReLU follows each of them.
    """

    def __init__(self, convolutions: Sequence[Any]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)
        self.downsampling, self.receptive_field = 1, 1
        self.layer_downsamplings: list[int] = []
        for conv in convolutions:
            self.receptive_field += (conv.receptive_field - 1) * self.downsampling
            self.downsampling *= conv.stride
            self.layer_downsamplings.append(self.downsampling)

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the output of every convolution.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            Input.

        Returns
        -------
        list of Tensor
            Shapes (B, ceil(T / layer_downsamplings[i]), D_i), the latents last.
        """
        return self.advance(x)[0]

    def advance(
        self, x: Tensor, state: list[Any] | None = None
    ) -> tuple[list[Tensor], list[Any]]:
        """Go on with a sequence; see `CausalConv.advance`.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            The next steps.
        state : list, default=None
            What the last call returned; None begins a sequence.

        Returns
        -------
        outputs : list of Tensor
            New steps of every convolution, the latents last.
        state : list
            To be passed to the next call.
        """
        outputs, following = [], []
        for i, conv in enumerate(self.convolutions):
            x, after = conv.advance(x, state[i] if state else None)  # type: ignore[operator]
            x = F.relu(x)
            outputs.append(x)
            following.append(after)
        return outputs, following

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T', D)
        return self.layers(x)[-1]
