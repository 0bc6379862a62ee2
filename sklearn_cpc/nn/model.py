"""The CPC model: encoder, context network and predictor, wired together."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .contexts import CONTEXTS
from .encoders import ENCODERS
from .initialization import build
from .masks import latent_lengths
from .predictors import LinearPredictor


class CPCOutput(NamedTuple):
    """What the model gives for a batch; `CPCLoss` takes it whole."""

    z: Tensor  # latents (B, T', D)
    c: Tensor  # contexts (B, T', H)
    predictions: Tensor  # predicted latents (B, T', K, D)
    lengths: Tensor  # valid latents of each sample (B,)


class CPC(nn.Module):
    """Contrastive predictive coding of sequences.

    Parameters
    ----------
    encoder : nn.Module
        ``(B, T, C) -> (B, T', D)``, causal. Its attribute `downsampling` (1 if
        it has none) gives T' = ceil(T / downsampling).
    context : nn.Module
        ``(B, T', D) -> (B, T', H)``, causal.
    predictor : nn.Module
        ``(B, T', H) -> (B, T', K, D)``. Its attribute `prediction_steps` is K.

    See Also
    --------
    CPCLoss : The objective to train it with.

    References
    ----------
    van den Oord, Li, Vinyals (2018), Representation Learning with Contrastive
    Predictive Coding, arXiv:1807.03748.

    Examples
    --------
    >>> import torch
    >>> from sklearn_cpc.nn import CPC
    >>> model = CPC.build(n_channels=3, n_timesteps=50)
    >>> z, c, predictions, lengths = model(torch.randn(8, 50, 3))
    >>> predictions.shape
    torch.Size([8, 50, 8, 128])
    """

    def __init__(
        self, encoder: nn.Module, context: nn.Module, predictor: nn.Module
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.context = context
        self.predictor = predictor

    @classmethod
    def build(
        cls,
        *,
        n_channels: int,
        n_timesteps: int,
        encoder: str | nn.Module = "conv",
        context: str | nn.Module = "gru",
        latent_size: int = 128,
        context_size: int = 128,
        prediction_steps: int = 8,
        generator: torch.Generator | None = None,
    ) -> "CPC":
        """Build a model from names; modules are used as they are.

        Parameters
        ----------
        n_channels : int
            Channels of the input.
        n_timesteps : int
            Typical length of a training sequence.
        encoder : {"conv", "kernels", "audio", "log_mel"} or nn.Module, default="conv"
            The latents of a module have the size `latent_size`.
        context : {"gru", "lstm", "conv", "attention"} or nn.Module, default="gru"
            The contexts of a module have the size `context_size`.
        latent_size, context_size : int, default=128
            Size of z and of c.
        prediction_steps : int, default=8
            Number of latents to predict.
        generator : torch.Generator, default=None
            Source of the initial weights. None uses torch's global one.

        Returns
        -------
        CPC
        """
        if not isinstance(encoder, nn.Module):
            encoder = build(
                ENCODERS[encoder], generator, (n_channels, latent_size, n_timesteps)
            )
        if not isinstance(context, nn.Module):
            context = build(CONTEXTS[context], generator, (latent_size, context_size))
        predictor = build(
            LinearPredictor, generator, (context_size, latent_size, prediction_steps)
        )
        return cls(encoder, context, predictor)

    @property
    def downsampling(self) -> int:
        """Input steps for each latent."""
        return getattr(self.encoder, "downsampling", 1)

    @property
    def receptive_field(self) -> int | None:
        """Input steps that one latent depends on; None if a module does not say."""
        return getattr(self.encoder, "receptive_field", None)

    @property
    def prediction_steps(self) -> int:
        """Number of steps ahead that are predicted."""
        steps: Any = self.predictor.prediction_steps
        return steps

    def paths(self, z: Tensor, c: Tensor) -> Iterator[tuple[Tensor, Tensor, nn.Module]]:
        """Yield what is predicted along: here time, elsewhere several directions.

        Parameters
        ----------
        z : Tensor of shape (..., T', D)
            Latents.
        c : Tensor of shape (..., T', H)
            Contexts.

        Yields
        ------
        z : Tensor of shape (..., S, T', D)
            Latents of S sequences for each sample.
        c : Tensor of shape (..., S, T', H)
            Their contexts.
        predictor : nn.Module
            Predicts the latents of these sequences from the contexts.
        """
        yield z.unsqueeze(-3), c.unsqueeze(-3), self.predictor

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> CPCOutput:
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[1])
        z = self.encoder(x)  # (B, T', D)
        c = self.context(z)  # (B, T', H)
        predictions = self.predictor(c)  # (B, T', K, D)
        return CPCOutput(z, c, predictions, latent_lengths(lengths, self.downsampling))
