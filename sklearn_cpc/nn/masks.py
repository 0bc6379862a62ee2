"""Which steps of a padded batch are real."""

import torch
from torch import Tensor


def latent_lengths(lengths: Tensor, downsampling: int) -> Tensor:
    """Return the number of latents of sequences of `lengths` input steps.

    Latent ``j`` is aligned with input step ``j * downsampling`` and sees
    nothing after it, so a sequence of one step already has one latent.
    """
    return torch.div(lengths + (downsampling - 1), downsampling, rounding_mode="floor")


def step_mask(lengths: Tensor, n_steps: int) -> Tensor:
    """Return a ``(B, T)`` boolean mask, True where a step is not padding."""
    return torch.arange(n_steps, device=lengths.device) < lengths[:, None]
