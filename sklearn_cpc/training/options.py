"""What a fit is told: the objective, and how to train."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from sklearn.base import BaseEstimator

from ..nn.loss import CPCLoss
from .accelerator import Accelerator
from .architecture import Architecture
from .runtime import autocast_type


@dataclass(frozen=True)
class _Parameters:
    """Parameters of an estimator that a fit needs, by their names."""

    @classmethod
    def of(cls, estimator: BaseEstimator) -> Self:
        """Take the parameters from an estimator."""
        return cls(**{f.name: getattr(estimator, f.name) for f in fields(cls)})


@dataclass(frozen=True)
class Objective(_Parameters):
    """The parameters of the loss; see `CPCLoss`."""

    n_negatives: int | str
    negatives: str
    temperature: float

    def apply(self, loss: CPCLoss, architecture: Architecture) -> None:
        """Set the parameters of a loss, of a new or a fitted model."""
        loss.n_negatives = self.n_negatives
        loss.negatives = self.negatives
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
