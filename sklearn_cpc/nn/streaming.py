"""Features of sequences that go on: state in, state out, nothing computed twice."""

from typing import Any

import torch
from torch import Tensor

from .features import StepFeatures
from .model import CPC


class FeatureStream:
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
        self.model, self.features = model, features
        device = next(model.parameters()).device
        with torch.inference_mode():
            x = torch.zeros(1, 1, n_channels, device=device)
            self.n_features = StepFeatures(model, features)(x).shape[-1]
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._encoder_state: Any = None
        self._context_state: Any = None
        self._n_steps = 0

    @torch.inference_mode()
    def push(self, x: Tensor) -> Tensor:
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
        model: Any = self.model
        layers, self._encoder_state = model.encoder.advance(x, self._encoder_state)
        n_before, self._n_steps = self._n_steps, self._n_steps + x.shape[1]
        *hidden, z = layers
        if not z.shape[1]:
            return x.new_zeros(len(x), 0, self.n_features)
        chosen = []
        if self.features == "all":
            # Of the steps of a layer, those at the input steps of the latents.
            for h, factor in zip(
                hidden, model.encoder.layer_downsamplings, strict=False
            ):
                every = model.downsampling // factor
                n_done = -(-n_before // factor)
                chosen.append(h[:, -n_done % every :: every])
        if self.features != "context":
            chosen.append(z)
        if self.features != "latent":
            c, self._context_state = model.context.advance(z, self._context_state)
            chosen.append(c)
        return torch.cat([h.float() for h in chosen], dim=-1)
