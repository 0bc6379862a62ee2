"""Encoders of images: each patch of a grid by itself to one latent.

To add one: write a patch encoder here and name it in ``encoders/__init__.py``.
"""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import register
from .base import Encoder
from .convolutions import low_precision

# Layer norm over very few channels leaves nothing; one channel is always 0.
MIN_WIDTH = 8


class PatchEncoder(nn.Module):
    """From patches to latents, ``(N, C, P, P) -> (N, D)``, without batch statistics.

    Attributes
    ----------
    feature_layers : sequence of str or None, default=None
        Layers that ``features="auto"`` returns beside the contexts; see `Encoder`.
    n_calibration : int, default=32
        Images for `calibrate`.
    """

    feature_layers: Sequence[str] | None = None
    n_calibration: int = 32

    def __init__(self) -> None:  # without arguments
        super().__init__()

    @property
    def needs_calibration(self) -> bool:
        """Whether the encoder overrides `calibrate`."""
        return type(self).calibrate is not PatchEncoder.calibrate

    def calibrate(self, x: Tensor) -> None:
        """Adapt the initial weights to the data; called once, before training.

        Parameters
        ----------
        x : Tensor of shape (N, C, P, P)
            Patches of some of the training images.
        """

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return one vector for every layer, the latents last.

        Parameters
        ----------
        x : Tensor of shape (N, C, P, P)
            Patches.

        Returns
        -------
        list of Tensor
            Shapes (N, D_i). Without an override, the latents alone.
        """
        return [self(x)]


class PatchConv(nn.Module):
    """A convolution, layer norm over the channels of each pixel, and a ReLU.

    Parameters
    ----------
    n_in, n_out : int
        Channels of the input and of the output.
    kernel_size : int
        Side of the kernel.
    stride : int, default=1
        Input pixels for each output pixel.
    padding : int, default=0
        Zeros around the patch.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel_size: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, kernel_size, stride, padding)
        self.norm = nn.LayerNorm(n_out)

    def forward(self, h: Tensor) -> Tensor:  # (N, C, P, P) -> (N, D, P', P')
        with low_precision(h.device.type, n_channels=h.shape[1]):
            h = self.conv(h)
        return F.relu(self.norm(h.movedim(1, -1))).movedim(-1, 1)


@register
class ConvPatchEncoder(PatchEncoder):
    """Small convolutional net that halves a patch until 3 pixels or fewer are left.

    Parameters
    ----------
    n_channels : int
        Channels of the images.
    latent_size : int
        Size of the latents. The layers below are narrower.
    patch_size : int
        Side of a patch, in pixels. From 16 on, the first layer halves it, too.
    """

    def __init__(self, n_channels: int, latent_size: int, patch_size: int) -> None:
        super().__init__()
        self.n_channels, self.latent_size = n_channels, latent_size
        self.patch_size = patch_size
        stride = 1 if patch_size < 16 else 2
        side, width = -(-patch_size // stride), max(MIN_WIDTH, latent_size // 4)
        convolutions = [PatchConv(n_channels, width, 3, stride, padding=1)]
        while side > 3:
            n_in, width = width, max(MIN_WIDTH, latent_size // 2)
            convolutions.append(PatchConv(n_in, width, 3, stride=2, padding=1))
            side = -(-side // 2)
        convolutions.append(PatchConv(width, latent_size, side))
        self.convolutions = nn.ModuleList(convolutions)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, P, P) -> (N, D)
        for conv in self.convolutions:
            x = conv(x)
        return x.flatten(1)

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the output of every convolution, averaged over the patch.

        Parameters
        ----------
        x : Tensor of shape (N, C, P, P)
            Patches.

        Returns
        -------
        list of Tensor
            Shapes (N, D_i), the latents last.
        """
        outputs = []
        for conv in self.convolutions:
            x = conv(x)
            outputs.append(x.mean((2, 3)))
        return outputs


@register
class GridEncoder(Encoder):
    """A patch encoder for whole grids of patches.

    Parameters
    ----------
    encoder : PatchEncoder or nn.Module
        ``(N, C, P, P) -> (N, D)``. A module of another class has its latents
        as its only layer.
    n_overlapping : int
        Rows of the grid that share pixels with a row, itself included.
    latent_size : int
        Size of the latents, D.
    """

    def __init__(
        self, encoder: nn.Module, n_overlapping: int, latent_size: int
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.n_overlapping = self.receptive_field = n_overlapping
        self.skip_steps = n_overlapping - 1
        self.latent_size = latent_size
        if isinstance(encoder, PatchEncoder):
            self.feature_layers = encoder.feature_layers
            self.n_calibration = encoder.n_calibration

    @property
    def needs_calibration(self) -> bool:
        """Whether the patch encoder overrides `PatchEncoder.calibrate`."""
        return isinstance(self.encoder, PatchEncoder) and self.encoder.needs_calibration

    def calibrate(self, x: Tensor, lengths: Tensor) -> None:
        """Let the patch encoder adapt to all patches of some images.

        Parameters
        ----------
        x : Tensor of shape (B, R, Q, C, P, P)
            Rows and columns of patches.
        lengths : Tensor of shape (B,)
            Rows; all are valid.
        """
        cast(PatchEncoder, self.encoder).calibrate(x.flatten(0, 2))

    def forward(self, x: Tensor) -> Tensor:  # (B, R, Q, C, P, P) -> (B, R, Q, D)
        z: Tensor = self.encoder(x.flatten(0, 2)).unflatten(0, x.shape[:3])
        return z

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the output of every layer of the patch encoder.

        Parameters
        ----------
        x : Tensor of shape (B, R, Q, C, P, P)
            R rows and Q columns of patches.

        Returns
        -------
        list of Tensor
            Shapes (B, R, Q, D_i), the latents last.
        """
        if not isinstance(self.encoder, PatchEncoder):
            return [self(x)]
        outputs = self.encoder.layers(x.flatten(0, 2))
        return [h.unflatten(0, x.shape[:3]) for h in outputs]
