"""Encoders of waveforms: one latent for 160 samples.

To add one: write the class here and name it in ``encoders/__init__.py``.
"""

from typing import ClassVar

from torch import Tensor

from ..causal import State
from ..registry import register
from .convolutions import CausalConv, ConvStack
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
