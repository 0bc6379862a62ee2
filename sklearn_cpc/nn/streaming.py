"""Features of sequences that come in pieces: nothing is computed twice."""

from collections.abc import Iterable
from typing import TypeAlias, cast

import torch
from torch import Tensor

from .causal import CausalModule, State
from .encoders import class_name
from .features import (
    WITH_HIDDEN_LAYERS,
    AlignedSteps,
    Layer,
    PooledFeatures,
    StepFeatures,
    name_layers,
)
from .masks import latent_lengths, step_mask
from .model import Model
from .pooling import RunningPooling
from .window_pooling import Window


def can_advance(model: Model) -> bool:
    """Return whether encoder and context process sequences piece by piece."""
    return all(
        isinstance(part, CausalModule) and part.can_advance
        for part in (model.encoder, model.context)
    )


class LayerStream:
    """The `named_layers` of sequences that come in pieces.

    Parameters
    ----------
    model : Model
        Its encoder and its context can advance; see `CausalModule`.
    features : {"auto", "context", "latent", "both", "all"}
        Which activations.

    Attributes
    ----------
    n_steps : int
        Input steps so far.
    """

    def __init__(self, model: Model, features: str) -> None:
        self.model, self.features = model, features
        self.reset()

    def reset(self) -> None:
        """Start new sequences."""
        self._encoder_state: State = None
        self._context_state: State = None
        self.n_steps = 0

    def push(self, x: Tensor) -> dict[str, Layer]:
        """Return the steps of each layer that the next input steps complete.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            T, at least 1, may differ from call to call. B may not.

        Returns
        -------
        dict of str to Layer
            As `named_layers`. A layer with one step for n input steps returns it with
            the first of them. Without a new latent, there is no context.
        """
        encoder, context = self.model.encoder, cast(CausalModule, self.model.context)
        if self.features in WITH_HIDDEN_LAYERS:
            outputs, self._encoder_state = encoder.advance_layers(
                x, self._encoder_state
            )
        else:
            z, self._encoder_state = encoder.advance(x, self._encoder_state)
            outputs = [z]
        self.n_steps += x.shape[1]
        c = None
        if self.features != "latent" and outputs[-1].shape[1]:
            c, self._context_state = context.advance(outputs[-1], self._context_state)
        return name_layers(self.model, outputs, c, self.features)


class FeatureStream(LayerStream):
    """The `StepFeatures` of sequences that come in pieces.

    Parameters
    ----------
    model : Model
    features : {"auto", "context", "latent", "both", "all"}
        Which activations.
    n_channels : int
        Channels of the input.
    window : Window, default=None
        Pools every layer up to each latent.

    Raises
    ------
    ValueError
        If a part of the model cannot advance.
    """

    def __init__(
        self,
        model: Model,
        features: str,
        n_channels: int,
        window: Window | None = None,
    ) -> None:
        self.window = window
        for role in ("encoder", "context"):
            part = getattr(model, role)
            if not (isinstance(part, CausalModule) and part.can_advance):
                kind = "Encoder" if role == "encoder" else "Context"
                raise ValueError(
                    f"{role}={class_name(part)} cannot process sequences piece by "
                    f"piece. Make it a subclass of sklearn_cpc.nn.{kind} with a method "
                    "advance(x, state) -> (output, state)."
                )
        super().__init__(model, features)
        device = next(model.parameters()).device
        with torch.inference_mode():
            x = torch.zeros(1, 1, n_channels, device=device)
            self.n_features = StepFeatures(model, features, window)(x).shape[-1]

    def reset(self) -> None:
        """Start new sequences."""
        super().reset()
        self._aligned: dict[str, AlignedSteps] = {}

    @torch.inference_mode()
    def push_steps(self, x: Tensor) -> Tensor:
        """Return the features of the latents that the next steps complete.

        Parameters
        ----------
        x : Tensor of shape (B, T, C)
            T may differ from call to call, B may not.

        Returns
        -------
        Tensor of shape (B, T', n_features)
            Features of the latents at the new input steps j * downsampling.
        """
        n_before = self.n_steps
        if not x.shape[1]:
            return x.new_zeros(len(x), 0, self.n_features)
        downsampling = self.model.downsampling
        chosen: list[Tensor] = []
        for name, (h, factor) in self.push(x).items():
            if h.shape[1]:
                if name not in self._aligned:
                    self._aligned[name] = AlignedSteps(
                        downsampling, factor, self.window, name, remember=True
                    )
                chosen += self._aligned[name].push(h).values()
        if -(-n_before // downsampling) == -(-self.n_steps // downsampling):
            return x.new_zeros(len(x), 0, self.n_features)
        return torch.cat(chosen, dim=-1)


# The next steps of sequences, (B, T, C), and how many of them are valid, (B,): 0 where
# a sequence has ended.
Pieces: TypeAlias = Iterable[tuple[Tensor, Tensor]]


def pooled_pieces(extract: PooledFeatures, pieces: Pieces) -> Tensor:
    """Return what `extract` returns for the whole, ``(B, n_features)``."""
    stream = LayerStream(extract.model, extract.features)
    pools: dict[str, RunningPooling] = {}
    for x, lengths in pieces:
        start, weights = stream.n_steps, extract.weights(x, lengths)
        for name, (h, factor) in stream.push(x).items():
            n_valid = latent_lengths(start + lengths, factor) - -(-start // factor)
            if h.shape[1]:
                if name not in pools:
                    pools[name] = RunningPooling(extract.statistics.of_layer(name))
                mask = step_mask(n_valid, h.shape[1])[..., None]
                pools[name].push(h.float(), mask, weights)
    values = [
        extract.finished(layer, statistic, pool.value(statistic))
        for layer, pool in pools.items()
        for statistic in pool.names
    ]
    return torch.cat(values, 1)


def step_pieces(extract: StepFeatures, pieces: Pieces) -> Tensor:
    """Return what `extract` returns for the whole, ``(B, T', n_features)``."""
    stream: FeatureStream | None = None
    parts = []
    for x, _ in pieces:
        stream = stream or FeatureStream(
            extract.model, extract.features, x.shape[-1], extract.window
        )
        parts.append(stream.push_steps(x))
    return torch.cat(parts, 1)


def encoded_pieces(model: Model, pieces: Pieces) -> tuple[Tensor, Tensor, Tensor]:
    """Return latents, contexts, ``(B, T', ...)`` each, and lengths of the whole."""
    stream = LayerStream(model, "both")
    parts, lengths = [], []
    for x, n_valid in pieces:
        parts.append(stream.push(x))
        lengths.append(n_valid)
    z, c = (
        torch.cat([part[layer].values for part in parts if layer in part], 1)
        for layer in ("latent", "context")
    )
    return z, c, torch.stack(lengths).sum(0)
