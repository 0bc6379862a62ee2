"""What a fit is told: the objective, and how to train."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator

from ..nn.loss import CPCLoss
from .accelerator import Accelerator
from .architecture import Architecture, AutoDefaults
from .runtime import autocast_type

# Anchors of each training window with n_anchors="auto". Neighbours are so alike that
# more of them teach little.
ANCHORS = 16


@dataclass(frozen=True)
class _Parameters:
    """Parameters of an estimator that a fit needs, by their names."""

    @classmethod
    def of(cls, estimator: BaseEstimator) -> Self:
        """Take the parameters from an estimator, numbers of numpy as Python's."""
        values = {f.name: getattr(estimator, f.name) for f in fields(cls)}
        return cls(
            **{
                name: value.item() if isinstance(value, np.generic) else value
                for name, value in values.items()
            }
        )


@dataclass(frozen=True)
class Objective(_Parameters):
    """The parameters of the loss; see `CPCLoss`."""

    n_negatives: int | str
    negatives: str
    n_anchors: int | str
    temperature: float
    batch_size: int

    def resolve(
        self,
        auto: AutoDefaults,
        architecture: Architecture,
        lengths: np.ndarray,
        groups: np.ndarray | None,
    ) -> Self:
        """Replace every "auto".

        Negatives come from the group if there are groups. Without groups, they come
        from where `auto` says if most samples give two or more training windows, and
        else from the batch. Every window gets `ANCHORS` anchors.

        Parameters
        ----------
        auto : AutoDefaults
        architecture : Architecture
        lengths : ndarray of shape (n,)
            Steps of each sample.
        groups : ndarray of shape (n,) or None
            Group of each sample, if the user passed groups.

        Returns
        -------
        Objective
        """
        negatives, n_anchors = self.negatives, self.n_anchors
        if negatives == "auto":
            n_windows = np.maximum(lengths // (architecture.crop_length or 1), 1)
            if groups is not None:
                negatives = "same_group"
            elif np.median(n_windows) >= 2:
                negatives = auto.negatives_within
            else:
                negatives = "batch"
        if n_anchors == "auto":
            n_anchors = ANCHORS * self.batch_size
        return replace(self, negatives=negatives, n_anchors=n_anchors)

    def apply(self, loss: CPCLoss, architecture: Architecture) -> None:
        """Set the parameters of a loss, of a new or a fitted model."""
        loss.n_negatives = self.n_negatives
        loss.negatives = self.negatives
        loss.n_anchors = None if self.n_anchors == "all" else int(self.n_anchors)
        loss.temperature = self.temperature
        loss.skip_steps = architecture.skip_steps


@dataclass(frozen=True)
class TrainingOptions(_Parameters):
    """The parameters of the training; see `CPCTransformer`."""

    max_epochs: int | str
    batch_size: int
    lr: float
    weight_decay: float
    validation_fraction: float
    early_stopping: bool
    n_iter_no_change: int
    callbacks: Sequence[Any] | None
    accelerator: Accelerator | None
    precision: str
    verbose: int

    @property
    def autocast(self) -> torch.dtype | None:
        """Lower precision of the forward pass; None is float32."""
        return autocast_type(self.precision)
