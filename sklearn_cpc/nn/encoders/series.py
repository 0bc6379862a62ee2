"""Encoders of time series: their strides follow the length of the sequences.

To add one: write the class here and name it in ``encoders/__init__.py``.
"""

from typing import ClassVar, cast

import torch
from torch import Tensor
from torch.nn import Conv1d
from torch.nn import functional as F

from ..causal import State
from ..masks import latent_lengths
from ..registry import register
from .convolutions import CausalConv, ConvStack, Layer
from .kernels import KernelBank


class SeriesEncoder(ConvStack):
    """A first layer of several kernel sizes, and strided convolutions above it.

    Subclasses make the first layer. They share the sizes of the kernels, the strides
    and the calibration.
    """

    crop_length = 1_024
    max_latents: ClassVar[int] = 128
    kernel_sizes: ClassVar[tuple[int, ...]] = (1, 4, 16, 32)

    def __init__(
        self,
        bottom: Layer,
        width: int,
        latent_size: int,
        strides: list[int],
        overlap: int = 2,
    ) -> None:
        widths = [width] + [latent_size] * len(strides)
        above = [
            CausalConv(n_in, latent_size, [max(4, overlap * stride)], stride)
            for n_in, stride in zip(widths, strides, strict=False)
        ]
        super().__init__([bottom, *above])

    @torch.no_grad()
    def calibrate(self, x: Tensor, lengths: Tensor) -> None:
        """Scale each layer to the output of the layer below, for these data.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            Some of the training sequences.
        lengths : Tensor of shape (B,)
            Their valid steps.
        """
        for conv in cast("list[Layer]", self.convolutions):
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
            At least two strides of 1, 2 or 4, the larger ones first. The sequences get
            at most `max_latents` latents.
        """
        factor = 1
        while n_timesteps > cls.max_latents * factor:
            factor *= 2
        strides = []
        while factor > 1:
            strides.append(min(4, factor))
            factor //= strides[-1]
        return strides + [1] * (2 - len(strides))

    @classmethod
    def sizes_for(cls, n_timesteps: int) -> list[int]:
        """Choose the kernel sizes that do not exceed sequences of a length.

        Parameters
        ----------
        n_timesteps : int
            Typical number of time steps.

        Returns
        -------
        list of int
            Steps, the smallest kernel first.
        """
        return [size for size in cls.kernel_sizes if size <= max(n_timesteps, 4)]


@register
class ConvEncoder(SeriesEncoder):
    """Multi-scale convolutional encoder; all layers are learned.

    Parameters
    ----------
    n_channels : int
        Channels of the input.
    latent_size : int
        Size of every layer and of the latents.
    n_timesteps : int
        Typical number of time steps of a training sequence. It determines the strides
        and the largest kernel.
    """

    def __init__(self, n_channels: int, latent_size: int, n_timesteps: int) -> None:
        strides = self.strides_for(n_timesteps)
        first = self.sizes_for(n_timesteps)[-latent_size:]  # a channel for each
        bottom = CausalConv(n_channels, latent_size, first, strides[0])
        super().__init__(bottom, latent_size, latent_size, strides[1:])
        self.skip_steps = self.disjoint_steps
        self.n_channels, self.n_timesteps = n_channels, n_timesteps
        self.latent_size = latent_size

    @torch.no_grad()
    def calibrate(self, x: Tensor, lengths: Tensor) -> None:
        """Make the first layer see changes, then scale all layers to the data.

        A random kernel sees mostly the level of its input. The mean is subtracted from
        each kernel of several steps, so that the level cancels out.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            Some of the training sequences.
        lengths : Tensor of shape (B,)
            Their valid steps.
        """
        for branch in cast(
            "list[Conv1d]", cast(CausalConv, self.convolutions[0]).branches
        ):
            if branch.kernel_size[0] > 1:
                branch.weight -= branch.weight.mean(2, keepdim=True)
        super().calibrate(x, lengths)


@register
class FixedKernelEncoder(SeriesEncoder):
    """Two banks of fixed kernels: one is read out, one is below the latents.

    The first bank sees up to 128 steps, at most half of a sequence; its output is a
    layer of its own. The second sees at most 32 steps and a sixth of a sequence.
    Learned convolutions above it give at most 32 latents. So a target shares no input
    with its context after few skipped latents.

    Parameters
    ----------
    n_channels : int
        Channels of the input.
    latent_size : int
        Size of the latents and of every layer but the first, which is three times as
        wide.
    n_timesteps : int
        Typical number of time steps of a training sequence. It determines the strides
        and the kernels.
    """

    kernel_sizes = (1, 4, 16, 32, 64, 128)
    n_latents: ClassVar[int] = 32
    # What is learned below the contexts costs accuracy with few labels and adds little.
    feature_layers = ("layer1",)

    def __init__(self, n_channels: int, latent_size: int, n_timesteps: int) -> None:
        stride = self.strides_for(n_timesteps)[0]
        width = max(2, latent_size)
        below = KernelBank(
            n_channels, width, self.sizes_up_to(min(n_timesteps // 6, 32)), stride
        )
        strides = self.strides_above(n_timesteps, stride)
        super().__init__(below, width, latent_size, strides, overlap=1)
        longest = max(n_timesteps // 2, min(n_timesteps, 16))
        sizes = self.sizes_up_to(longest)
        self.readout = KernelBank(n_channels, 3 * width, sizes, stride)
        self.skip_steps = self.disjoint_steps
        self.n_channels, self.n_timesteps = n_channels, n_timesteps
        self.latent_size = latent_size

    @classmethod
    def sizes_up_to(cls, longest: int) -> list[int]:
        """Return the kernel sizes up to a number of steps, at least two of them.

        Parameters
        ----------
        longest : int
            Steps that a kernel may see.

        Returns
        -------
        list of int
            Steps, the smallest kernel first.
        """
        return [size for size in cls.kernel_sizes if size <= max(longest, 4)]

    @classmethod
    def strides_above(cls, n_timesteps: int, stride: int) -> list[int]:
        """Choose the strides of the convolutions above the bank.

        Parameters
        ----------
        n_timesteps : int
            Typical number of time steps.
        stride : int
            The stride of the bank.

        Returns
        -------
        list of int
            At least one stride of 1, 2 or 4, the larger ones first.
        """
        factor, strides = 1, []
        while n_timesteps > cls.n_latents * stride * factor:
            factor *= 2
        while factor > 1:
            strides.append(min(4, factor))
            factor //= strides[-1]
        return strides or [1]

    def calibrate(self, x: Tensor, lengths: Tensor) -> None:
        """Scale both banks and the convolutions to the data.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            Some of the training sequences.
        lengths : Tensor of shape (B,)
            Their valid steps.
        """
        self.readout.calibrate(x, lengths)
        super().calibrate(x, lengths)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, T', D)
        return self.advance(x)[0]

    def advance(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Process the next steps without the bank that is read out."""
        layers, state = super().advance_layers(x, state)
        return layers[-1], state

    def advance_layers(
        self, x: Tensor, state: State = None
    ) -> tuple[list[Tensor], State]:
        """Return the new steps of the bank that is read out, and of every convolution.

        See `Encoder.advance_layers`.
        """
        before, below = state or (None, None)
        kernels, before = self.readout.advance(x, before)
        (_, *learned), below = super().advance_layers(x, below)
        return [F.relu(kernels, inplace=True), *learned], (before, below)


@register
class KernelEncoder(SeriesEncoder):
    """The encoder "kernels" of the first release, for its files.

    A bank of fixed kernels, then the convolutions of `ConvEncoder`. Its latents see all
    kernels, so that neighbours share most of their input.

    Parameters
    ----------
    n_channels : int
        Channels of the input.
    latent_size : int
        Size of the latents and of every layer but the first, which is twice as wide.
    n_timesteps : int
        Typical number of time steps of a training sequence; see `ConvEncoder`.
    """

    # Latents that were skipped.
    n_skipped: ClassVar[int] = 12

    def __init__(self, n_channels: int, latent_size: int, n_timesteps: int) -> None:
        strides = self.strides_for(n_timesteps)
        width = 2 * latent_size
        bank = KernelBank(n_channels, width, self.sizes_for(n_timesteps), strides[0])
        super().__init__(bank, width, latent_size, strides[1:])
        self.n_channels, self.n_timesteps = n_channels, n_timesteps
        self.latent_size = latent_size
        n_latents = -(-n_timesteps // self.downsampling)
        self.skip_steps = min(self.n_skipped, n_latents // 4)
