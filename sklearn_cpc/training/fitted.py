"""Where a fit starts, and what it makes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from .architecture import Architecture
from .net import CPCNet


@dataclass(frozen=True)
class Start:
    """Where a fit starts: a new model, or a copy of the fitted one.

    Attributes
    ----------
    net : CPCNet
        Trained in place.
    rng : numpy.random.Generator
        Draws the batches; advanced in place.
    architecture : Architecture
    """

    net: CPCNet
    rng: np.random.Generator
    architecture: Architecture


@dataclass(frozen=True)
class Fitted:
    """What a fit makes.

    Attributes
    ----------
    net : CPCNet
    rng : numpy.random.Generator
    architecture : Architecture
    max_epochs : int
        Epochs of this fit, unless something stopped it early.
    n_batches : int
        Updates of an epoch.
    epochs : list of dict
        The history of this fit.
    references : Tensor of shape (R, D)
        Latents of training samples, for scores.
    """

    net: CPCNet
    rng: np.random.Generator
    architecture: Architecture
    max_epochs: int
    n_batches: int
    epochs: list[dict[str, Any]]
    references: Tensor


def net_attributes(net: CPCNet, architecture: Architecture) -> dict[str, Any]:
    """Return the attributes of a fitted estimator that follow from its net."""
    valid_scores = [epoch.get("valid_score") for epoch in net.history]
    return {
        "net_": net,
        "_architecture": architecture,
        "prediction_steps_": architecture.prediction_steps,
        "skip_steps_": architecture.skip_steps,
        "negatives_": net.criterion_.negatives,
        "downsampling_": architecture.downsampling,
        "receptive_field_": architecture.receptive_field,
        "device_": str(net.device),
        "n_epochs_": len(net.history),
        "loss_curve_": [float(epoch["train_loss"]) for epoch in net.history],
        "validation_scores_": [float(s) for s in valid_scores if s is not None],
    }
