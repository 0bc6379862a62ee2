"""Features of a trained model: pooled over a sequence, or step by step."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .masks import latent_lengths, step_mask
from .model import Model
from .pooling import POOLINGS, Statistics
from .tracing import is_tracing
from .window_pooling import Window, WindowPooling

FEATURES = ("auto", "context", "latent", "both", "all")
# Those that need more of the encoder than its latents.
WITH_HIDDEN_LAYERS = ("auto", "all")


class Layer(NamedTuple):
    """Activations of a layer.

    Attributes
    ----------
    values : Tensor of shape (B, T_i, D_i), or (B, R, Q, D_i) for images
    downsampling : int
        Input steps for each of the layer's steps.
    """

    values: Tensor
    downsampling: int


def name_layers(
    model: Model, outputs: Sequence[Tensor], c: Tensor | None, features: str
) -> dict[str, Layer]:
    """Name the layers that `features` asks for.

    Parameters
    ----------
    model : Model
    outputs : sequence of Tensor
        Layers of the encoder, the latents last; with features that are not among
        `WITH_HIDDEN_LAYERS`, the latents alone.
    c : Tensor or None
        Contexts.
    features : {"auto", "context", "latent", "both", "all"}

    Returns
    -------
    dict of str to Layer
        Such as "layer1", "latent", "context".
    """
    *hidden, z = outputs
    downsamplings = model.encoder.layer_downsamplings
    if downsamplings is None:
        downsamplings = [model.downsampling] * len(outputs)
    layers = {
        f"layer{i}": Layer(h, downsamplings[i - 1]) for i, h in enumerate(hidden, 1)
    }
    if features != "context":
        layers["latent"] = Layer(z, model.downsampling)
    chosen = model.encoder.feature_layers
    if features == "auto" and chosen is not None:
        layers = {name: layers[name] for name in chosen}
    if c is not None:
        layers["context"] = Layer(c, model.downsampling)
    return layers


def named_layers(model: Model, x: Tensor, features: str) -> dict[str, Layer]:
    """Return the activations that `features` asks for.

    Parameters
    ----------
    model : Model
    x : Tensor of shape (B, T, C)
    features : {"auto", "context", "latent", "both", "all"}
        "all" adds the hidden layers of the encoder to the latents and the contexts,
        "auto" is the contexts and the `Encoder.feature_layers`.

    Returns
    -------
    dict of str to Layer
    """
    encoder = model.encoder
    outputs = encoder.layers(x) if features in WITH_HIDDEN_LAYERS else [encoder(x)]
    c = None if features == "latent" else model.context(outputs[-1])
    return name_layers(model, outputs, c, features)


class PooledFeatures(nn.Module):
    """``(x, lengths) -> (B, n_features)``: every layer pooled by every statistic.

    Parameters
    ----------
    model : Model
    features : {"auto", "context", "latent", "both", "all"}
    pooling : str, sequence of str or Statistics
        "auto", or keys of `POOLINGS`.
    """

    def __init__(
        self, model: Model, features: str, pooling: str | Sequence[str] | Statistics
    ) -> None:
        super().__init__()
        self.model, self.features = model, features
        self.statistics = Statistics.of(pooling)
        names = {*self.statistics.layers, *self.statistics.context}
        self.weighted = any(POOLINGS[name].weighted for name in names)
        if self.weighted and model.encoder.sif is None:
            raise ValueError(
                "pooling='sif' needs the frequencies of tokens, which only models of "
                "texts have, and no older file: fit again."
            )

    def weights(self, x: Tensor, lengths: Tensor) -> Tensor | None:
        """Return how much each step counts, (B, T, 1); None if nothing asks for it."""
        sif = self.model.encoder.sif
        if not self.weighted or sif is None:
            return None
        return sif.of_steps(x) * step_mask(lengths, x.shape[1])[..., None]

    def finished(self, layer: str, statistic: str, pooled: Tensor) -> Tensor:
        """Return a feature, (B, D): the pooling "sif" ends with two more steps."""
        sif = self.model.encoder.sif
        if statistic != "sif" or sif is None:
            return pooled
        if layer == "layer1":
            pooled = sif.without_component(pooled)
        return F.normalize(pooled, dim=-1)

    def named(self, x: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Return the pooled features of each layer and statistic, ``(B, D)``."""
        pooled = {}
        # A GPU would have to wait for the answer, and a graph holds for any lengths.
        full = (
            x.device.type == "cpu"
            and not is_tracing()
            and bool((lengths >= x.shape[1]).all())
        )
        weights = self.weights(x, lengths)
        for layer, (h, factor) in named_layers(self.model, x, self.features).items():
            mask = None
            if not full:
                mask = step_mask(latent_lengths(lengths, factor), h.shape[1])[..., None]
            for region, part, valid in self.regions(h.float(), mask):
                for statistic in self.statistics.of_layer(layer):
                    pool = POOLINGS[statistic]
                    value = pool(part, weights if pool.weighted else valid)
                    pooled[f"{layer}_{statistic}{region}"] = self.finished(
                        layer, statistic, value
                    )
        return pooled

    def regions(
        self, h: Tensor, mask: Tensor | None
    ) -> Iterator[tuple[str, Tensor, Tensor | None]]:
        """Yield name, activations and mask of each region to pool; here, only one."""
        yield "", h, mask

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return torch.cat(list(self.named(x, lengths).values()), dim=1)


class PooledGridFeatures(PooledFeatures):
    """The same for images: every region of the grid of patches pooled by itself.

    Parameters
    ----------
    model : Model
    features : {"auto", "context", "latent", "both", "all"}
    pooling : str, sequence of str or Statistics
        "auto", or keys of `POOLINGS`.
    n_regions : int
        Regions along each side, of sizes as equal as the grid allows; at most as many
        as there are patches.
    """

    def __init__(
        self,
        model: Model,
        features: str,
        pooling: str | Sequence[str] | Statistics,
        n_regions: int,
    ) -> None:
        super().__init__(model, features, pooling)
        self.n_regions = n_regions

    def regions(
        self, h: Tensor, mask: Tensor | None
    ) -> Iterator[tuple[str, Tensor, Tensor | None]]:
        """Yield name, activations and mask of each region, its patches in a row."""
        n_rows, n_columns = (min(self.n_regions, n) for n in h.shape[1:3])
        for i, rows in enumerate(h.tensor_split(n_rows, 1)):  # (B, R, Q, D)
            for j, part in enumerate(rows.tensor_split(n_columns, 2)):
                name = f"_{i}_{j}" if n_rows * n_columns > 1 else ""
                yield name, part.flatten(1, 2), None  # images have no padding


class AlignedSteps:
    """From the steps of a layer to the latents, of the whole or piece by piece.

    Latent j is aligned with step j * downsampling / factor of a layer.

    Parameters
    ----------
    downsampling : int
        Input steps for each latent.
    factor : int
        Input steps for each step of the layer.
    window : Window or None
        What is pooled up to each latent. None takes the aligned step alone.
    layer : str
        The name of the layer.
    remember : bool, default=False
        Whether there is more than one call of `push`.
    """

    def __init__(
        self,
        downsampling: int,
        factor: int,
        window: Window | None,
        layer: str,
        *,
        remember: bool = False,
    ) -> None:
        self.n_done, self.every = 0, downsampling // factor
        self.pool: WindowPooling | None = None
        if window is not None:
            n_steps = -(-window.n_steps // factor)
            self.pool = WindowPooling(
                window.statistics.of_layer(layer),
                n_steps,
                self.every,
                remember=remember,
            )

    def push(self, h: Tensor) -> dict[str, Tensor]:
        """Add the layer's next steps, ``(B, T, D)``.

        Returns
        -------
        dict of str to Tensor of shape (B, T', D)
            Features of the latents that are aligned with some of them, by the end of
            their names: "_max", or nothing without a window.
        """
        first = -self.n_done % self.every
        self.n_done += h.shape[1]
        h = h.float()
        if self.pool is None:
            return {"": h[:, first :: self.every]}
        return {f"_{name}": part for name, part in self.pool.push(h).items()}


class StepFeatures(nn.Module):
    """``(x, lengths) -> (B, T', n_features)``: every layer at the steps of the latents.

    Lengths are not needed, because padding never changes a step before it.

    Parameters
    ----------
    model : Model
    features : {"auto", "context", "latent", "both", "all"}
    window : Window, default=None
        Pools every layer up to each latent. None takes the latents' own steps.
    """

    def __init__(
        self, model: Model, features: str, window: Window | None = None
    ) -> None:
        super().__init__()
        self.model, self.features, self.window = model, features, window

    def named(self, x: Tensor) -> dict[str, Tensor]:
        """Return the features of each layer, ``(B, T', D)``."""
        return {
            name + ending: part
            for name, (h, factor) in named_layers(self.model, x, self.features).items()
            for ending, part in AlignedSteps(
                self.model.downsampling, factor, self.window, name
            )
            .push(h)
            .items()
        }

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return torch.cat(list(self.named(x).values()), dim=-1)


def column_names(layers: Mapping[str, Tensor]) -> list[str]:
    """Return a name for every column of activations side by side."""
    return [f"{name}_{i}" for name, h in layers.items() for i in range(h.shape[-1])]
