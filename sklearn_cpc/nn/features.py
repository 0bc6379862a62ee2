"""Features of a trained model: pooled over a sequence, or step by step."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .masks import latent_lengths, step_mask
from .model import CPC
from .pooling import POOLINGS

FEATURES = ("context", "latent", "both", "all")


def named_layers(model: CPC, x: Tensor, features: str) -> dict[str, tuple[Tensor, int]]:
    """Return the activations that `features` asks for.

    Parameters
    ----------
    model : CPC
    x : Tensor of shape (B, T, C)
    features : {"context", "latent", "both", "all"}
        "all" adds the hidden layers of the encoder, where it has a method
        ``layers``, to the latents and the contexts.

    Returns
    -------
    dict
        From the layer's name to its activations, ``(B, T_i, D_i)``, or ``(B, R, Q,
        D_i)`` for images, and the number of input steps for each of their steps.
    """
    encoder: Any = model.encoder
    hidden: list[Tensor] = []
    downsamplings: list[int] = []
    if features == "all" and hasattr(encoder, "layers"):
        *hidden, z = encoder.layers(x)
        downsamplings = getattr(encoder, "layer_downsamplings", [1] * len(hidden))
    else:
        z = encoder(x)
    layers = {
        f"layer{i}": (h, downsampling)
        for i, (h, downsampling) in enumerate(
            zip(hidden, downsamplings, strict=False), start=1
        )
    }
    if features != "context":
        layers["latent"] = (z, model.downsampling)
    if features != "latent":
        layers["context"] = (model.context(z), model.downsampling)
    return layers


class PooledFeatures(nn.Module):
    """``(x, lengths) -> (B, n_features)``: every layer pooled in every way.

    Parameters
    ----------
    model : CPC
    features : {"context", "latent", "both", "all"}
    pooling : sequence of str
        Keys of `POOLINGS`.
    """

    def __init__(self, model: CPC, features: str, pooling: Sequence[str]) -> None:
        super().__init__()
        self.model, self.features, self.pooling = model, features, pooling

    def named(self, x: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Return the pooled features of each layer and statistic, ``(B, D)``."""
        pooled = {}
        for layer, (h, factor) in named_layers(self.model, x, self.features).items():
            mask = step_mask(latent_lengths(lengths, factor), h.shape[1])  # (B, T)
            for region, part, valid in self.regions(h.float(), mask):
                for statistic in self.pooling:
                    pooled[f"{layer}_{statistic}{region}"] = POOLINGS[statistic](
                        part, valid[..., None]
                    )
        return pooled

    def regions(self, h: Tensor, mask: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield name, activations and mask of each part that is pooled: here one."""
        yield "", h, mask

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return torch.cat(list(self.named(x, lengths).values()), dim=1)


class PooledGridFeatures(PooledFeatures):
    """The same of images: every region of the grid of patches pooled by itself.

    Parameters
    ----------
    model : GridCPC
    features : {"context", "latent", "both", "all"}
    pooling : sequence of str
    n_regions : int
        Regions along each side, of as equal sizes as the grid allows, and at most as
        many as it has patches there.
    """

    def __init__(
        self, model: CPC, features: str, pooling: Sequence[str], n_regions: int
    ) -> None:
        super().__init__(model, features, pooling)
        self.n_regions = n_regions

    def regions(self, h: Tensor, mask: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield name, activations and mask of each region, its patches in a row."""
        n_rows, n_columns = (min(self.n_regions, n) for n in h.shape[1:3])
        for i, rows in enumerate(h.tensor_split(n_rows, 1)):  # (B, R, Q, D)
            for j, part in enumerate(rows.tensor_split(n_columns, 2)):
                patches = part.flatten(1, 2)
                valid = torch.ones_like(patches[..., 0], dtype=torch.bool)
                name = f"_{i}_{j}" if n_rows * n_columns > 1 else ""
                yield name, patches, valid


class StepFeatures(nn.Module):
    """``(x, lengths) -> (B, T', n_features)``: every layer at the steps of the latents.

    Lengths are not needed, for padding never changes a step before it.

    Parameters
    ----------
    model : CPC
    features : {"context", "latent", "both", "all"}
    """

    def __init__(self, model: CPC, features: str) -> None:
        super().__init__()
        self.model, self.features = model, features

    def named(self, x: Tensor) -> dict[str, Tensor]:
        """Return the features of each layer, ``(B, T', D)``."""
        # Latent j is aligned with step j * downsampling / factor of a layer.
        return {
            name: h[:, :: self.model.downsampling // factor].float()
            for name, (h, factor) in named_layers(self.model, x, self.features).items()
        }

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return torch.cat(list(self.named(x).values()), dim=-1)
