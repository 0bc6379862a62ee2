"""The CPC model: encoder, context network and predictor, wired together."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .contexts import CONTEXTS
from .encoders import ENCODERS, Encoder, PlainEncoder
from .initialization import build
from .masks import latent_lengths
from .predictors import LinearPredictor, Predictor
from .registry import register


class CPCOutput(NamedTuple):
    """What a model returns for one direction of prediction.

    Parameters
    ----------
    z : Tensor of shape (B, T', D)
        Latents.
    c : Tensor of shape (B, T', H)
        Contexts.
    predictor : Predictor
        Predicts the latents from the contexts. The loss applies it to the anchors.
    lengths : Tensor of shape (B,)
        Valid latents of each sequence.
    """

    z: Tensor
    c: Tensor
    predictor: Predictor
    lengths: Tensor

    @property
    def predictions(self) -> Tensor:
        """Predicted latents of all positions, of shape (B, T', K, D)."""
        predictions: Tensor = self.predictor(self.c)
        return predictions


class Path(NamedTuple):
    """The latents along which a model predicts, S sequences for each sample.

    Attributes
    ----------
    z : Tensor of shape (..., S, T', D)
        Latents.
    c : Tensor of shape (..., S, T', H)
        Contexts.
    predictor : Predictor
        Predicts the latents from the contexts.
    """

    z: Tensor
    c: Tensor
    predictor: Predictor


class Model(nn.Module, ABC):
    """Base of the models, which predict latents in one or several directions.

    Parameters
    ----------
    encoder : Encoder or nn.Module
        From input to latents. A module of another class is wrapped in a
        `PlainEncoder`; it must not downsample.
    context : nn.Module
        From latents to contexts.
    """

    encoder: Encoder
    context: nn.Module

    def __init__(self, encoder: nn.Module, context: nn.Module) -> None:
        super().__init__()
        if not isinstance(encoder, Encoder):
            encoder = PlainEncoder(encoder)
        self.encoder = encoder
        self.context = context

    @property
    def downsampling(self) -> int:
        """Input steps for each latent."""
        return self.encoder.downsampling

    @property
    def receptive_field(self) -> int | None:
        """Input steps that one latent depends on; None if the encoder does not say."""
        return self.encoder.receptive_field

    @property
    @abstractmethod
    def predictors(self) -> list[Predictor]:
        """The predictor of each direction; all have the same sizes."""

    @property
    def latent_size(self) -> int:
        """Size of the latents."""
        return self.predictors[0].latent_size

    @property
    def context_size(self) -> int:
        """Size of the contexts of one direction."""
        return self.predictors[0].context_size

    @property
    def prediction_steps(self) -> int:
        """Number of steps ahead that are predicted."""
        return self.predictors[0].prediction_steps

    @abstractmethod
    def paths(self, z: Tensor, c: Tensor) -> Iterator[Path]:
        """Yield the path of each direction.

        Parameters
        ----------
        z : Tensor
            Latents, as the encoder returns them, or of one sample.
        c : Tensor
            Contexts, likewise.

        Yields
        ------
        Path
        """

    @abstractmethod
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> list[CPCOutput]:
        """Return the output of each direction.

        Parameters
        ----------
        x : Tensor of shape (B, T, ...)
            Input.
        lengths : Tensor of shape (B,), default=None
            Valid input steps of each sample. None takes all.

        Returns
        -------
        list of CPCOutput
        """


@register
class CPC(Model):
    """Contrastive predictive coding of sequences.

    The call is ``(x, lengths) -> [output]``: a list with a `CPCOutput` for each
    direction of prediction. Sequences have one direction.

    Parameters
    ----------
    encoder : Encoder or nn.Module
        ``(B, T, C) -> (B, T', D)``, causal. A module that is not an `Encoder` must give
        a latent for every step.
    context : nn.Module
        ``(B, T', D) -> (B, T', H)``, causal.
    predictor : Predictor
        ``(B, T', H) -> (B, T', K, D)``.

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
    >>> (output,) = model(torch.randn(8, 50, 3))
    >>> output.predictions.shape
    torch.Size([8, 50, 8, 128])
    """

    def __init__(
        self, encoder: nn.Module, context: nn.Module, predictor: Predictor
    ) -> None:
        super().__init__(encoder, context)
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
    ) -> "CPC":
        """Build a model from names; modules are used as they are.

        torch's global generator draws the initial weights (`torch.manual_seed`).

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

        Returns
        -------
        CPC
        """
        if isinstance(encoder, str):
            sizes = (n_channels, latent_size, n_timesteps)
            encoder = build(ENCODERS[encoder], None, sizes)
        return cls.from_encoder(
            encoder,
            context,
            latent_size=latent_size,
            context_size=context_size,
            prediction_steps=prediction_steps,
        )

    @classmethod
    def from_encoder(
        cls,
        encoder: nn.Module,
        context: str | nn.Module,
        *,
        latent_size: int,
        context_size: int,
        prediction_steps: int,
        generator: torch.Generator | None = None,
    ) -> "CPC":
        """Build a model around an encoder.

        Parameters
        ----------
        encoder : Encoder or nn.Module
            Its latents have the size `latent_size`.
        context : {"gru", "lstm", "conv", "attention"} or nn.Module
            The contexts of a module have the size `context_size`.
        latent_size, context_size : int
            Size of z and of c.
        prediction_steps : int
            Number of latents to predict.
        generator : torch.Generator, default=None
            Draws the initial weights. None is torch's global one.

        Returns
        -------
        CPC
        """
        if isinstance(context, str):
            context = build(CONTEXTS[context], generator, (latent_size, context_size))
        sizes = (context_size, latent_size, prediction_steps)
        return cls(encoder, context, build(LinearPredictor, generator, sizes))

    @property
    def predictors(self) -> list[Predictor]:
        """The predictor along time."""
        return [self.predictor]

    def paths(self, z: Tensor, c: Tensor) -> Iterator[Path]:
        """Yield the one path, along time.

        Parameters
        ----------
        z : Tensor of shape (..., T', D)
            Latents.
        c : Tensor of shape (..., T', H)
            Contexts.

        Yields
        ------
        Path
            With one sequence for each sample.
        """
        yield Path(z.unsqueeze(-3), c.unsqueeze(-3), self.predictor)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> list[CPCOutput]:
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[1])
        z = self.encoder(x)  # (B, T', D)
        c = self.context(z)  # (B, T', H)
        n_latents = latent_lengths(lengths, self.downsampling)
        return [CPCOutput(z, c, self.predictor, n_latents)]
