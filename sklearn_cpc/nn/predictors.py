"""Predictors: from a context to the latents of the steps ahead."""

from torch import Tensor, nn

from .registry import register


class Predictor(nn.Module):
    """From contexts to predicted latents, ``(..., H) -> (..., K, D)``.

    Attributes
    ----------
    context_size, latent_size : int
        Size of the contexts, H, and of the latents, D.
    prediction_steps : int
        Number of steps ahead, K.
    """

    context_size: int
    latent_size: int
    prediction_steps: int


@register
class LinearPredictor(Predictor):
    """A different matrix ``W_k`` for each of the K steps ahead (paper, eq. 3).

    Parameters
    ----------
    context_size, latent_size : int
        Size of the contexts and of the latents.
    prediction_steps : int
        Number of steps ahead, K.
    """

    def __init__(
        self, context_size: int, latent_size: int, prediction_steps: int
    ) -> None:
        super().__init__()
        self.context_size, self.latent_size = context_size, latent_size
        self.prediction_steps = prediction_steps
        self.linear = nn.Linear(
            context_size, prediction_steps * latent_size, bias=False
        )

    def forward(self, c: Tensor) -> Tensor:  # (B, T', H) -> (B, T', K, D)
        steps: Tensor = self.linear(c).unflatten(-1, (self.prediction_steps, -1))
        return steps
