"""What a fit says when its training cannot work or has not worked."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .metrics import effective_rank

# Fewer updates than this say nothing about how training ends.
MIN_UPDATES = 50
# The loss of a model that has learned something is below this part of log N.
LEARNED = 0.99
# Latents of fewer directions than this are all the same.
COLLAPSED = 1.05
# A target that shares more than this part of its input with its context is a copy.
TRIVIAL = 0.9
# From here to the caller of fit: fit_model, _fit, fit, and two decorators.
STACKLEVEL = 7


def warn_if_trivial(
    receptive_field: int | None,
    downsampling: int,
    skip_steps: int,
    n_ahead: int,
    step_name: str,
) -> None:
    """Warn if even the farthest target is nearly a copy of what the context has seen.

    Parameters
    ----------
    receptive_field : int or None
        Time steps that a latent depends on; None is not known.
    downsampling : int
        Time steps for each latent.
    skip_steps, n_ahead : int
        Latents that are skipped and predicted.
    step_name : str
        What a step of the input is called.
    """
    if receptive_field is None:
        return
    farthest = (skip_steps + n_ahead) * downsampling
    shared = 1 - farthest / receptive_field
    if shared > TRIVIAL:
        warnings.warn(
            f"The farthest of the latents to predict shares {shared:.0%} of the "
            f"{receptive_field} {step_name} it depends on with its context, which "
            f"makes it too easy to teach much. Increase skip_steps (now {skip_steps}) "
            f"or prediction_steps (now {n_ahead}).",
            UserWarning,
            stacklevel=STACKLEVEL,
        )


def warn_if_failed(history: Any, n_batches: int, latents: np.ndarray) -> None:
    """Warn if the latents collapsed, or the loss stayed or ended where guessing is.

    Parameters
    ----------
    history : list of dict
        The epochs of this fit.
    n_batches : int
        Updates of an epoch.
    latents : ndarray of shape (n, D)
        Latents of many sequences, L2-normalised.
    """
    if len(history) * n_batches < MIN_UPDATES:
        return
    last = history[-1]
    best = min(history, key=lambda epoch: epoch["train_loss"])
    guessing = f"log N = {last['train_chance']:.2f}, which is guessing"
    if latents.shape[1] > 1 and effective_rank(latents) < COLLAPSED:
        message = (
            "The latents collapsed: they are the same at all steps of all sequences. "
            "Use a lower lr, scaling='channel' or 'sample', or check that the "
            "sequences vary."
        )
    elif best["train_loss"] > LEARNED * best["train_chance"]:
        message = (
            f"The loss never left {guessing} (best epoch {best['train_loss']:.2f}). "
            "Train longer (max_epochs), use a higher lr, or predict nearer steps "
            "(prediction_steps, skip_steps). Noise cannot be predicted at all."
        )
    elif last["train_loss"] > LEARNED * last["train_chance"]:
        message = (
            f"The training diverged: the loss had come down to "
            f"{best['train_loss']:.2f}, but ended at {last['train_loss']:.2f}, above "
            f"{guessing}. Use a lower lr or early_stopping=True."
        )
    else:
        return
    warnings.warn(message, ConvergenceWarning, stacklevel=STACKLEVEL)
