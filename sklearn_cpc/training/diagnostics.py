"""Warnings of a fit that cannot work or has not worked."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .._warnings import warn
from ..metrics import effective_rank
from .architecture import Architecture, StepWords

# Fewer updates than this say nothing about how training ends.
MIN_UPDATES = 50
# A model that has learned something has a loss below this part of log N.
LEARNED = 0.99
# Latents that use fewer directions than this are all the same.
COLLAPSED = 1.05
# A target that shares more than this part of its input with its context is a copy.
TRIVIAL = 0.9


def warn_if_trivial(architecture: Architecture, words: StepWords) -> None:
    """Warn if even the farthest target is nearly a copy of what the context has seen.

    Parameters
    ----------
    architecture : Architecture
    words : StepWords
        Names the steps of the input.
    """
    receptive_field = architecture.receptive_field
    if receptive_field is None:
        return
    skip_steps, prediction_steps = (
        architecture.skip_steps,
        architecture.prediction_steps,
    )
    farthest = (skip_steps + prediction_steps) * architecture.downsampling
    shared = 1 - farthest / receptive_field
    if shared > TRIVIAL:
        warn(
            f"The farthest of the latents to predict shares {shared:.0%} of the "
            f"{receptive_field} {words.steps} of its input with its context. This "
            "makes the task too easy to teach much. Increase skip_steps (now "
            f"{skip_steps}) or prediction_steps (now {prediction_steps}).",
            UserWarning,
        )


def warn_if_failed(
    epochs: Iterable[Mapping[str, Any]], n_batches: int, latents: np.ndarray
) -> None:
    """Warn if the latents collapsed, or if the loss stayed or ended near guessing.

    Parameters
    ----------
    epochs : iterable of mappings
        The epochs of this fit.
    n_batches : int
        Updates of an epoch.
    latents : ndarray of shape (n, D)
        Latents of many sequences, L2-normalised.
    """
    epochs = list(epochs)
    if len(epochs) * n_batches < MIN_UPDATES:
        return
    last = epochs[-1]
    best = min(epochs, key=lambda epoch: float(epoch["train_loss"]))
    loss, chance = last["train_loss"], last["train_chance"]
    guessing = f"log N = {chance:.2f}, the loss of guessing"
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
    elif loss > LEARNED * chance:
        where = "above" if loss > chance else "near"
        message = (
            f"The training diverged: the loss had come down to "
            f"{best['train_loss']:.2f}, but ended at {loss:.2f}, {where} {guessing}. "
            "Use a lower lr or early_stopping=True."
        )
    else:
        return
    warn(message, ConvergenceWarning)
