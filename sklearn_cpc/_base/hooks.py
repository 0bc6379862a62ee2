"""The hooks of the estimators: what differs between kinds of data.

A new kind of data is a subclass of `BaseCPC` that writes the first two methods. All
else has a default.
"""

import inspect
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import nn

from .._data.source import Source
from ..nn.encoders import Encoder
from ..nn.features import PooledFeatures, StepFeatures
from ..nn.model import CPC, Model
from ..nn.pooling import UNWEIGHTED, Statistics
from ..training.architecture import Architecture, AutoDefaults, StepWords
from ..training.batches import Augmentation
from ..training.net import CPCNet
from .links import DocumentationLink
from .parameters import SharedParameters, Words, names


class Hooks(DocumentationLink, SharedParameters, ABC):
    """What the subclasses of `BaseCPC` must and may override."""

    # Fitted attributes. `_read` sets the first one.
    n_channels_in_: int
    net_: CPCNet
    _rng: np.random.Generator
    _architecture: Architecture
    _fitted_parameters: dict[str, Any]
    # Parameters that the model of `start` is made of; no attribute without a start.
    _start_parameters: dict[str, Any]

    # Parameters that a fitted model cannot change.
    _architecture_parameters: ClassVar[tuple[str, ...]] = (
        "context",
        "latent_size",
        "context_size",
        "prediction_steps",
    )
    # Parameters besides these that a fitted model is made of.
    _kept_parameters: ClassVar[tuple[str, ...]] = ()
    # What "auto" aims at.
    _auto_defaults: ClassVar[AutoDefaults] = AutoDefaults()
    # Words for the docstring.
    _words: ClassVar[Words] = Words()
    # What `pooling` may be.
    _poolings: ClassVar[tuple[str, ...]] = UNWEIGHTED
    # Longest training window of estimators without this parameter: whole samples.
    crop_length: int | Literal["auto"] | None = None

    @abstractmethod
    def _read(self, X: Any, *, reset: bool, update: bool = False) -> Source:
        """Check what the user passed, and return a source of batches.

        Parameters
        ----------
        X : Any
            What the user passed.
        reset : bool
            Whether this is a new fit. It sets ``n_channels_in_`` and, if there is one,
            ``n_features_in_``, and learns the scaling or the vocabulary.
        update : bool, default=False
            Whether to extend the scaling or the vocabulary, for `partial_fit`.

        Returns
        -------
        Source
        """

    @abstractmethod
    def _build_encoder(self, source: Source, generator: torch.Generator) -> Encoder:
        """Build a new encoder that suits the samples.

        Parameters
        ----------
        source : Source
            The training samples.
        generator : torch.Generator
            Draws the initial weights; see `sklearn_cpc.nn.initialization.build`.

        Returns
        -------
        Encoder
            With its `latent_size`.
        """

    def _build_model(
        self,
        encoder: Encoder,
        context: str | nn.Module,
        architecture: Architecture,
        generator: torch.Generator,
    ) -> Model:
        """Build a model around an encoder.

        Parameters
        ----------
        encoder : Encoder
            What `_build_encoder` returned.
        context : str or nn.Module
            A name, or a copy of the user's module.
        architecture : Architecture
        generator : torch.Generator
            Draws the initial weights.

        Returns
        -------
        Model
        """
        return CPC.from_encoder(
            encoder,
            context,
            latent_size=architecture.latent_size,
            context_size=architecture.context_size,
            prediction_steps=architecture.prediction_steps,
            generator=generator,
        )

    def _augmentation(self) -> Augmentation | None:
        """Return a random variation ``(x, rng) -> x`` of training batches, or None."""
        return None

    def _pooled_features(self) -> PooledFeatures:
        """Return the module that `transform` runs."""
        return PooledFeatures(self.net_.module_, self.features, self._statistics())

    def _step_features(self) -> StepFeatures:
        """Return the module that `transform_steps` runs."""
        return StepFeatures(self.net_.module_, self.features)

    def _smallest_input(self) -> tuple[int, ...]:
        """Return the shape (T, ...) of the shortest sample that has all features."""
        return 1, self.n_channels_in_

    def _single_step(self) -> tuple[int, ...]:
        """Return the shape (1, ...) of the sample that a file's model is tried with."""
        return self._smallest_input()

    def _check_restored(self, attributes: dict[str, Any], model: Model) -> None:
        """Refuse fitted attributes of a file that do not suit the model.

        Parameters
        ----------
        attributes : dict
            By name, of the types of `_fitted_types`.
        model : Model
            Its weights have not been read yet.

        Raises
        ------
        ValueError
            With the reason.
        """

    def _contradicts(self, name: str, known: Any) -> bool:
        """Whether a parameter asks for another model than the one with `known`.

        Its default does not, in a model that came from `start`.
        """
        value, allowed = getattr(self, name), [known]
        if hasattr(self, "_start_parameters"):
            allowed.append(inspect.signature(type(self)).parameters[name].default)
        return not any(value is v or value == v for v in allowed)

    def _step_words(self) -> StepWords:
        """Return words for messages about steps."""
        return StepWords()

    def _nothing_to_predict(self, row: int, length: int) -> str:
        """Return why a sample has no score."""
        needed = self._architecture.n_predictable - 1
        return (
            f"Sample {row} of X has {length} {self._step_words().steps}: nothing to "
            f"predict. A score needs more than {needed}."
        )

    def _statistics(self) -> Statistics:
        if self.pooling != "auto":
            names("pooling", self.pooling, self._poolings)
        return Statistics.of(self.pooling)
