"""Encoders of waveforms: one latent for 160 samples.

To add one: write the class here and name it in ``encoders/__init__.py``.
"""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ..causal import State
from ..masks import latent_lengths
from ..registry import register
from .convolutions import CausalConv, ConvStack
from .kernels import KernelBank
from .spectra import LogMel


@register
class AudioEncoder(ConvStack):
    """The paper's encoder of raw waveforms.

    Five convolutions with strides 5, 4, 2, 2, 2 and kernels 10, 8, 4, 4, 4: 100
    latents a second at 16 kHz. Left-padded, with layer norm over channels.

    Parameters
    ----------
    n_channels : int
        Channels of the input.
    latent_size : int
        Size of every layer and of the latents.
    n_timesteps : int
        Unused. Encoders that adapt to the length need it.
    """

    crop_length = 20_480
    sampling_rate = 16_000.0
    strides: ClassVar[tuple[int, ...]] = (5, 4, 2, 2, 2)
    kernel_sizes: ClassVar[tuple[int, ...]] = (10, 8, 4, 4, 4)

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
        self.n_channels, self.n_timesteps = n_channels, n_timesteps
        self.latent_size = latent_size
        self.skip_steps, self.prediction_steps = 0, 12  # as in the paper


@register
class LogMelEncoder(ConvStack):
    """Log-mel spectra of raw 16 kHz waveforms, then two causal convolutions.

    The spectra replace what the first layers of `AudioEncoder` would have to learn.
    Training needs less data and a fraction of the time. The encoder expects waveforms
    with a standard deviation of about 1.

    Parameters
    ----------
    n_channels : int
        Channels of the input.
    latent_size : int
        Size of the convolutions and of the latents.
    n_timesteps : int
        Unused. Encoders that adapt to the length need it.
    """

    crop_length = 20_480
    sampling_rate = 16_000.0
    kernel_sizes: ClassVar[tuple[int, ...]] = (4, 4)
    # Mean and standard deviation of the log-mel spectra of speech. Steps are not
    # normalised one by one: loudness distinguishes phones.
    mean: ClassVar[float] = 2.0
    std: ClassVar[float] = 4.0

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
        self.n_channels, self.n_timesteps = n_channels, n_timesteps
        self.latent_size = latent_size
        self.log_mel = LogMel()
        window, hop = LogMel.receptive_field, LogMel.stride
        self.receptive_field = window + (self.receptive_field - 1) * hop
        self.downsampling = hop
        self.layer_downsamplings = [hop] * (1 + len(self.kernel_sizes))

    def advance_layers(
        self, x: Tensor, state: State = None
    ) -> tuple[list[Tensor], State]:
        """Return the new steps of every layer; the first one is the spectra."""
        spectra, after = self.log_mel.advance(x, state[0] if state else None)
        outputs, next_states = super().advance_layers(
            (spectra - self.mean) / self.std, state[1:] if state else None
        )
        return [spectra, *outputs], [after, *next_states]


@register
class SpectralKernelEncoder(LogMelEncoder):
    """A `LogMelEncoder` with a bank of fixed kernels over the spectra, to be read out.

    The bank sees up to 320 ms. Training does not change it: what it shows with many
    labels, the features keep.

    Parameters
    ----------
    n_channels : int
        Channels of the input.
    latent_size : int
        Size of the convolutions and of the latents. The bank is three times as wide.
    n_timesteps : int
        Typical number of samples of a training sequence. It limits the kernels.
    """

    bank_sizes: ClassVar[tuple[int, ...]] = (1, 4, 16, 32)

    def __init__(self, n_channels: int, latent_size: int, n_timesteps: int) -> None:
        super().__init__(n_channels, latent_size, n_timesteps)
        hop = LogMel.stride
        sizes = [size for size in self.bank_sizes if size <= max(4, n_timesteps // hop)]
        width = 3 * max(2, latent_size)
        self.readout = KernelBank(LogMel.n_bands * n_channels, width, sizes)
        self.layer_downsamplings = [hop, *self.layer_downsamplings]
        # As in the paper. The windows of neighbours overlap by 15 ms.
        self.skip_steps, self.prediction_steps = 0, 12

    @torch.no_grad()
    def calibrate(self, x: Tensor, lengths: Tensor) -> None:
        """Scale the bank to the spectra of the data; see `KernelBank`.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            Some of the training sequences.
        lengths : Tensor of shape (B,)
            Their valid steps.
        """
        spectra = (self.log_mel(x) - self.mean) / self.std
        self.readout.calibrate(spectra, latent_lengths(lengths, LogMel.stride))

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T', D)
        return self.advance(x)[0]

    def advance(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Process the next samples without the bank."""
        layers, state = super().advance_layers(x, state)
        return layers[-1], state

    def advance_layers(
        self, x: Tensor, state: State = None
    ) -> tuple[list[Tensor], State]:
        """Return the new steps of every layer: the spectra, the bank, convolutions."""
        before, below = state or (None, None)
        (spectra, *learned), below = super().advance_layers(x, below)
        kernels, before = self.readout.advance((spectra - self.mean) / self.std, before)
        return [spectra, F.relu(kernels, inplace=True), *learned], (before, below)
