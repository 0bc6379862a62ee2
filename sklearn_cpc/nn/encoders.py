"""Encoders: input steps to latents, ``z = encoder(x)``.

An encoder is a module with the call ``(B, T, C) -> (B, ceil(T / downsampling), D)``
in which latent ``j`` depends on the input steps up to ``j * downsampling`` only.
It may also have a method ``layers(x)`` that returns the output of every layer,
the latents last, and ``layer_downsamplings`` to go with it.

To add one: write the class and give it a name in `ENCODERS`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .masks import latent_lengths, step_mask
from .spectra import LogMel
from .windows import next_windows

# oneDNN 3.12, on CPUs with AMX, computes wrong bfloat16 convolutions for 2 to 12
# channels and kernels of 8 or more; so few channels gain nothing from it anyway.
MIN_BF16_CHANNELS = 16
# Calibration: outputs that vary less are not made to vary by 1, lest rounding is all
# that they show; and channels become positive between this quantile and its opposite.
MIN_DEVIATION = 1e-3
LOWEST = 0.05


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
        n_branches = len(kernel_sizes)
        widths = [n_out // n_branches] * n_branches
        widths[0] += n_out - sum(widths)
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
            deviation = values.std(0, correction=0).clamp(min=MIN_DEVIATION)
            quantiles = torch.linspace(LOWEST, 1 - LOWEST, conv.out_channels)
            rows = (quantiles * (len(values) - 1)).long()
            zero = values.sort(0).values.gather(0, rows[None])[0]
            conv.weight /= deviation[:, None, None]
            conv.bias.copy_((conv.bias - zero) / deviation)


class ConvStack(nn.Module):
    """Causal convolutions in sequence; the last one gives the latents.

    Parameters
    ----------
    convolutions : sequence of CausalConv
        A ReLU follows each of them.
    """

    def __init__(self, convolutions: Sequence[CausalConv]) -> None:
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


class ConvEncoder(ConvStack):
    """Multi-scale convolutional encoder whose strides follow the length.

    Parameters
    ----------
    n_channels : int
        Channels of the input.
    latent_size : int
        Size of every layer and of the latents.
    n_timesteps : int
        Typical number of time steps of a training sequence. The strides are
        chosen so that it gives at most `max_latents` latents, and no kernel of
        the first layer is longer than it.
    """

    max_latents = 128
    crop_length = 1_024
    kernel_sizes = (1, 4, 16, 32)

    def __init__(self, n_channels: int, latent_size: int, n_timesteps: int) -> None:
        strides = self.strides_for(n_timesteps)
        first = [k for k in self.kernel_sizes if k <= max(n_timesteps, 4)]
        first = first[-latent_size:]  # a channel for each, at least
        convolutions = [CausalConv(n_channels, latent_size, first, strides[0])]
        convolutions += [
            CausalConv(latent_size, latent_size, [max(4, 2 * stride)], stride)
            for stride in strides[1:]
        ]
        super().__init__(convolutions)

    @torch.no_grad()
    def calibrate(self, x: Tensor, lengths: Tensor) -> None:
        """Start from what the data are like, not from what they might be.

        In the first layer, each kernel of several steps is made to sum to zero: it
        sees change, where a kernel of random weights mostly sees the level. Then all
        layers are scaled to the data; see `CausalConv.calibrate`.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            Some of the training sequences.
        lengths : Tensor of shape (B,)
            Their valid steps.
        """
        convolutions: Any = self.convolutions
        for branch in convolutions[0].branches:
            if branch.kernel_size[0] > 1:
                branch.weight -= branch.weight.mean(2, keepdim=True)
        for conv in convolutions:
            conv.calibrate(x, lengths)
            x, lengths = F.relu(conv(x)), latent_lengths(lengths, conv.stride)

    @classmethod
    def strides_for(cls, n_timesteps: int) -> list[int]:
        """Choose the strides for sequences of a length.

        Parameters
        ----------
        n_timesteps : int
            Typical number of time steps.

        Returns
        -------
        list of int
            At least two, each 1, 2 or 4, the larger ones first.
        """
        factor = 1
        while n_timesteps > cls.max_latents * factor:
            factor *= 2
        strides = []
        while factor > 1:
            strides.append(min(4, factor))
            factor //= strides[-1]
        return strides + [1] * (2 - len(strides))


class AudioEncoder(ConvStack):
    """The paper's raw-waveform encoder: one latent per 160 samples.

    Five convolutions with strides 5, 4, 2, 2, 2 and kernels 10, 8, 4, 4, 4: 100
    latents a second at 16 kHz. Left-padded, with layer norm over channels.

    Parameters
    ----------
    n_channels : int
        Channels of the input.
    latent_size : int
        Size of every layer and of the latents.
    n_timesteps : int
        Unused; encoders that adapt to the length need it.
    """

    crop_length = 20_480
    strides = (5, 4, 2, 2, 2)
    kernel_sizes = (10, 8, 4, 4, 4)

    def __init__(self, n_channels: int, latent_size: int, n_timesteps: int) -> None:
        widths = [n_channels] + [latent_size] * len(self.strides)
        super().__init__(
            [
                CausalConv(n_in, n_out, [kernel_size], stride)
                for n_in, n_out, kernel_size, stride in zip(
                    widths, widths[1:], self.kernel_sizes, self.strides, strict=False
                )
            ]
        )


class LogMelEncoder(ConvStack):
    """Log-mel spectra of raw 16 kHz waveforms, then two causal convolutions.

    One latent per 160 samples, as with `AudioEncoder`, but what the first layers would
    have to learn is given: it trains with less data in a fraction of the time. The
    spectra are those of waveforms of about unit deviation.

    Parameters
    ----------
    n_channels : int
        Channels of the input.
    latent_size : int
        Size of the convolutions and of the latents.
    n_timesteps : int
        Unused; encoders that adapt to the length need it.
    """

    crop_length = 20_480
    kernel_sizes = (4, 4)
    # Of the spectra of speech of unit deviation: how loud it is tells phones, so that
    # steps are not normalised one by one.
    mean, deviation = 2.0, 4.0

    def __init__(self, n_channels: int, latent_size: int, n_timesteps: int) -> None:
        n_bands = LogMel.n_bands * n_channels
        widths = [n_bands] + [latent_size] * len(self.kernel_sizes)
        super().__init__(
            [
                CausalConv(n_in, n_out, [kernel_size])
                for n_in, n_out, kernel_size in zip(
                    widths, widths[1:], self.kernel_sizes, strict=False
                )
            ]
        )
        self.log_mel = LogMel()
        window, hop = LogMel.receptive_field, LogMel.stride
        self.receptive_field = window + (self.receptive_field - 1) * hop
        self.downsampling = hop
        self.layer_downsamplings = [hop] * (1 + len(self.kernel_sizes))

    def advance(
        self, x: Tensor, state: list[Any] | None = None
    ) -> tuple[list[Tensor], list[Any]]:
        """Go on with a sequence; the first of the outputs are the spectra."""
        spectra, after = self.log_mel.advance(x, state[0] if state else None)
        outputs, following = super().advance(
            (spectra - self.mean) / self.deviation, state[1:] if state else None
        )
        return [spectra, *outputs], [after, *following]


ENCODERS = {"conv": ConvEncoder, "audio": AudioEncoder, "log_mel": LogMelEncoder}
