"""Causal convolutions with layer norm, and stacks of them."""

from collections.abc import Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..causal import CausalModule, State
from ..masks import latent_lengths, step_mask
from .base import Encoder
from .kernels import KernelBank, channel_std, even_widths, spread_quantiles
from .windows import WindowState, next_windows

# oneDNN 3.12 computes wrong bfloat16 convolutions on CPUs with AMX, for 2 to 12
# channels and kernels of 8 or more. So few channels gain nothing from bfloat16 anyway.
MIN_BF16_CHANNELS = 16


def low_precision(device: str, n_channels: int) -> torch.autocast:
    """Return a context for a convolution: autocast if it is on and correct here."""
    narrow = device == "cpu" and n_channels < MIN_BF16_CHANNELS
    return torch.autocast(
        device, enabled=torch.is_autocast_enabled(device) and not narrow
    )


class CausalConv(CausalModule):
    """Convolution over the past, then layer norm over the channels of each step.

    Several `kernel_sizes` share the output channels evenly, so that one layer sees
    several time scales. Only the left-padded convolution mixes time steps.

    Parameters
    ----------
    n_in, n_out : int
        Channels of the input and of the output.
    kernel_sizes : sequence of int
        Steps that each branch sees.
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
        self, h: Tensor, state: WindowState | None = None
    ) -> tuple[Tensor, WindowState]:
        """Process the next steps of sequences.

        Parameters
        ----------
        h : Tensor of shape (B, T, C)
            The next steps.
        state : tuple of Tensor and int, default=None
            What the last call returned. None starts new sequences.

        Returns
        -------
        output : Tensor of shape (B, T', D)
            One step for every `stride` input steps that begin within `h`.
        state : tuple of Tensor and int
            To be passed to the next call.
        """
        h, state = self._convolve(h, state)
        return self.norm(h), state

    def _convolve(
        self, h: Tensor, state: WindowState | None = None
    ) -> tuple[Tensor, WindowState]:
        """Do the same without the layer norm."""
        h, next_state = next_windows(h, state, self.receptive_field, self.stride)
        if not h.shape[1]:
            return h.new_zeros(h.shape[0], 0, self.norm.weight.shape[0]), next_state
        h = h.transpose(1, 2)
        with low_precision(h.device.type, n_channels=h.shape[1]):
            if not torch.is_autocast_enabled(h.device.type):
                # The layer below may have returned low precision.
                h = h.to(next(self.branches.parameters()).dtype)
            h = torch.cat(
                [
                    conv(h[:, :, self.receptive_field - size :])
                    for conv, size in zip(self.branches, self.kernel_sizes, strict=True)
                ],
                dim=1,
            )
        return h.transpose(1, 2), next_state

    def calibrate(self, h: Tensor, lengths: Tensor) -> None:
        """Scale every channel to a standard deviation of 1, with zero among its values.

        The channels of a kernel size become positive at different quantiles of the
        data, as MiniRocket chooses its biases [1]_. All this holds before the layer
        norm.

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
        branches = [cast(nn.Conv1d, conv) for conv in self.branches]
        h, _ = self._convolve(h)
        valid = h[step_mask(latent_lengths(lengths, self.stride), h.shape[1])]  # (n, D)
        widths = [conv.out_channels for conv in branches]
        for conv, values in zip(branches, valid.split(widths, 1), strict=True):
            std, zero = channel_std(values), spread_quantiles(values)
            conv.weight /= std[:, None, None]
            bias = cast(Tensor, conv.bias)
            bias.copy_((bias - zero) / std)


Layer: TypeAlias = CausalConv | KernelBank


class ConvStack(Encoder):
    """Causal convolutions in sequence. The last one returns the latents.

    Parameters
    ----------
    convolutions : sequence of CausalConv or KernelBank
        A ReLU follows each of them.
    """

    receptive_field: int
    layer_downsamplings: list[int]

    def __init__(self, convolutions: Sequence[Layer]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)
        self.downsampling, self.receptive_field = 1, 1
        self.layer_downsamplings = []
        for conv in convolutions:
            self.receptive_field += (conv.receptive_field - 1) * self.downsampling
            self.downsampling *= conv.stride
            self.layer_downsamplings.append(self.downsampling)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T', D)
        return self.layers(x)[-1]

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
        return self.advance_layers(x)[0]

    def advance(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Process the next steps of sequences; see `Encoder.advance`."""
        layers, state = self.advance_layers(x, state)
        return layers[-1], state

    def advance_layers(
        self, x: Tensor, state: State = None
    ) -> tuple[list[Tensor], State]:
        """Return the new steps of every convolution; see `Encoder.advance_layers`."""
        outputs, next_states = [], []
        for i, conv in enumerate(cast("list[Layer]", self.convolutions)):
            x, next_state = conv.advance(x, state[i] if state else None)
            # Layer norms do not need their output again, also not for gradients.
            x = F.relu(x, inplace=True)
            outputs.append(x)
            next_states.append(next_state)
        return outputs, next_states
