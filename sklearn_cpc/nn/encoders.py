"""Encoders: input steps to latents, ``z = encoder(x)``.

An encoder is a module with the call ``(B, T, C) -> (B, ceil(T / downsampling), D)``
in which latent ``j`` depends on the input steps up to ``j * downsampling`` only.
It may also have a method ``layers(x)`` that returns the output of every layer,
the latents last, and ``layer_downsamplings`` to go with it.

To add one: write the class and give it a name in `ENCODERS`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .convolutions import CausalConv, ConvStack
from .kernels import KernelBank
from .masks import latent_lengths
from .spectra import LogMel


def strided(n_in: int, latent_size: int, strides: list[int]) -> list[CausalConv]:
    """Return a convolution for each stride, whose kernel overlaps with the next."""
    widths = [n_in] + [latent_size] * len(strides)
    return [
        CausalConv(width, latent_size, [max(4, 2 * stride)], stride)
        for width, stride in zip(widths, strides, strict=False)
    ]


def calibrate_layers(stack: ConvStack, x: Tensor, lengths: Tensor) -> None:
    """Scale each layer to what the layers before it make of the data."""
    convolutions: Any = stack.convolutions
    for conv in convolutions:
        conv.calibrate(x, lengths)
        x, lengths = F.relu(conv(x)), latent_lengths(lengths, conv.stride)


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
        bottom = CausalConv(n_channels, latent_size, first, strides[0])
        super().__init__([bottom, *strided(latent_size, latent_size, strides[1:])])

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
        calibrate_layers(self, x, lengths)

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


class KernelEncoder(ConvStack):
    """A bank of fixed kernels, then the convolutions of `ConvEncoder`.

    Parameters
    ----------
    n_channels : int
        Channels of the input.
    latent_size : int
        Size of the latents and of every layer but the first, which is twice as wide.
    n_timesteps : int
        Typical number of time steps of a training sequence; see `ConvEncoder`.
    """

    crop_length = ConvEncoder.crop_length
    # Latents far enough ahead to share little input with the context.
    n_skipped = 12

    def __init__(self, n_channels: int, latent_size: int, n_timesteps: int) -> None:
        strides = ConvEncoder.strides_for(n_timesteps)
        sizes = [k for k in ConvEncoder.kernel_sizes if k <= max(n_timesteps, 4)]
        width = 2 * latent_size
        bank = KernelBank(n_channels, width, sizes, strides[0])
        super().__init__([bank, *strided(width, latent_size, strides[1:])])
        n_latents = -(-n_timesteps // self.downsampling)
        self.skip_steps = min(self.n_skipped, n_latents // 4)

    @torch.no_grad()
    def calibrate(self, x: Tensor, lengths: Tensor) -> None:
        """Scale all layers to the data.

        See `KernelBank.calibrate` and `CausalConv.calibrate`.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            Some of the training sequences.
        lengths : Tensor of shape (B,)
            Their valid steps.
        """
        calibrate_layers(self, x, lengths)


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


ENCODERS = {
    "conv": ConvEncoder,
    "kernels": KernelEncoder,
    "audio": AudioEncoder,
    "log_mel": LogMelEncoder,
}
