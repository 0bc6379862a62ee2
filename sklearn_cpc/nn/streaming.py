"""Features of sequences that go on: state in, state out, nothing computed twice."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .features import PooledFeatures, StepFeatures
from .masks import latent_lengths, step_mask
from .model import CPC
from .pooling import RunningPooling


def can_advance(model: CPC) -> bool:
    """Return whether all parts of a model can go on from where they were."""
    return all(hasattr(part, "advance") for part in (model.encoder, model.context))


class LayerStream:
    """The `named_layers` of sequences that come in pieces.

    Parameters
    ----------
    model : CPC
        Its encoder and its context have a method `advance`, as those of this package.
    features : {"context", "latent", "both", "all"}
        Which activations.

    Attributes
    ----------
    n_steps : int
        Input steps so far.
    """

    def __init__(self, model: CPC, features: str) -> None:
        self.model, self.features = model, features
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._encoder_state: Any = None
        self._context_state: Any = None
        self.n_steps = 0

    def push(self, x: Tensor) -> dict[str, tuple[Tensor, int]]:
        """Return the steps of each layer that the next input steps complete.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            T may differ from call to call, B may not.

        Returns
        -------
        dict
            As of `named_layers`. A layer with one step for n input steps gives it as
            soon as the first of them has come; without a new latent, no context.
        """
        model: Any = self.model
        layers, self._encoder_state = model.encoder.advance(x, self._encoder_state)
        self.n_steps += x.shape[1]
        *hidden, z = layers
        named = {}
        if self.features == "all":
            factors = model.encoder.layer_downsamplings
            for i, h in enumerate(hidden):
                named[f"layer{i + 1}"] = (h, factors[i])
        if self.features != "context":
            named["latent"] = (z, model.downsampling)
        if self.features != "latent" and z.shape[1]:
            c, self._context_state = model.context.advance(z, self._context_state)
            named["context"] = (c, model.downsampling)
        return named


class FeatureStream(LayerStream):
    """The `StepFeatures` of sequences that come in pieces.

    Parameters
    ----------
    model : CPC
        Its encoder and its context have a method `advance`, as those of this package.
    features : {"context", "latent", "both", "all"}
        Which activations.
    n_channels : int
        Channels of the input.

    Raises
    ------
    ValueError
        If a part of the model has no `advance`.
    """

    def __init__(self, model: CPC, features: str, n_channels: int) -> None:
        for role in ("encoder", "context"):
            part = getattr(model, role)
            if not hasattr(part, "advance"):
                raise ValueError(
                    f"{role}={type(part).__name__} cannot go on from where it was. "
                    "Give it a method advance(x, state) that returns its output and "
                    "the state for the next call, like those of sklearn_cpc.nn."
                )
        super().__init__(model, features)
        device = next(model.parameters()).device
        with torch.inference_mode():
            x = torch.zeros(1, 1, n_channels, device=device)
            self.n_features = StepFeatures(model, features)(x).shape[-1]

    @torch.inference_mode()
    def push(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Return the features of the latents that the next steps complete.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            T may differ from call to call, B may not.

        Returns
        -------
        Tensor of shape (B, T', n_features)
            Of the latents at the input steps j * downsampling that have now come.
        """
        n_before = self.n_steps
        layers = super().push(x)
        downsampling = self.model.downsampling
        if -(-n_before // downsampling) == -(-self.n_steps // downsampling):
            return x.new_zeros(len(x), 0, self.n_features)
        chosen = []
        for h, factor in layers.values():
            # Of the steps of a layer, those at the input steps of the latents.
            every = downsampling // factor
            n_done = -(-n_before // factor)
            chosen.append(h[:, -n_done % every :: every].float())
        return torch.cat(chosen, dim=-1)


# Pieces of sequences: their next steps, (B, T, C), and how many of them are valid,
# (B,), 0 where a sequence has ended.
Pieces = Iterable[tuple[Tensor, Tensor]]


def pooled_pieces(extract: PooledFeatures, pieces: Pieces) -> Tensor:
    """Return what `extract` gives of the whole, ``(B, n_features)``."""
    stream = LayerStream(extract.model, extract.features)
    pools: dict[str, RunningPooling] = {}
    for x, lengths in pieces:
        start = stream.n_steps
        for layer, (h, factor) in stream.push(x).items():
            n_valid = latent_lengths(start + lengths, factor) - -(-start // factor)
            if h.shape[1]:
                pool = pools.setdefault(layer, RunningPooling(extract.pooling))
                pool.push(h.float(), step_mask(n_valid, h.shape[1])[..., None])
    return torch.cat(
        [pool.values[name] for pool in pools.values() for name in extract.pooling], 1
    )


def step_pieces(extract: StepFeatures, pieces: Pieces) -> Tensor:
    """Return what `extract` gives of the whole, ``(B, T', n_features)``."""
    stream: FeatureStream | None = None
    parts = []
    for x, _ in pieces:
        stream = stream or FeatureStream(extract.model, extract.features, x.shape[-1])
        parts.append(stream.push(x))
    return torch.cat(parts, 1)


def encoded_pieces(model: CPC, pieces: Pieces) -> tuple[Tensor, Tensor, Tensor]:
    """Return latents, contexts, ``(B, T', ...)`` each, and lengths of the whole."""
    stream = LayerStream(model, "both")
    parts, lengths = [], []
    for x, n_valid in pieces:
        parts.append(stream.push(x))
        lengths.append(n_valid)
    z, c = (
        torch.cat([part[layer][0] for part in parts if layer in part], 1)
        for layer in ("latent", "context")
    )
    return z, c, torch.stack(lengths).sum(0)
