"""Sizes and steps of a fit, with every "auto" resolved."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from ..nn.encoders import Encoder
from ..nn.model import Model

# Latents of a training window with crop_length="auto", where the encoder declares none.
CROP_LATENTS = 128
# What max_epochs="auto" gives at most.
MAX_EPOCHS = 100
MIN_UPDATES = 20  # the rate rises for as long

Auto: TypeAlias = Literal["auto"]


class AutoDefaults(NamedTuple):
    """What "auto" aims at; every estimator has its own.

    Attributes
    ----------
    updates : int
        Least number of updates of a fit. Small sets need a number of updates, not of
        epochs.
    updates_within : int
        The same with negatives from the group or the recording, with which more
        updates go on to help.
    epochs : int
        Epochs of a fit of a larger set.
    most_updates : int
        Updates after which no other epoch begins.
    steps_per_update : int
        Steps that the training set must have for each update. Of fewer, the model would
        learn no more than which they are.
    prediction_steps : int
        Latents to predict.
    skip_steps : int
        Latents to skip, because the nearest ones share most of their input with the
        context. An encoder may declare another number.
    negatives_within : str
        Where negatives come from if most samples give several training windows. From
        other samples, the model would learn to tell the samples apart.
    """

    updates: int = 100
    updates_within: int = 400
    epochs: int = 2
    most_updates: int = 1_000
    steps_per_update: int = 8
    prediction_steps: int = 4
    skip_steps: int = 3
    negatives_within: str = "same_sequence"

    def max_epochs(self, n_batches: int, n_steps: int, within: bool = False) -> int:
        """Return the epochs of a fit with so many batches an epoch and steps in all.

        `within` says whether negatives come from the group or the recording.
        """
        least = self.updates_within if within else self.updates
        least = min(least, max(MIN_UPDATES, n_steps // self.steps_per_update))
        n_updates = min(max(least, self.epochs * n_batches), self.most_updates)
        return min(-(-n_updates // n_batches), MAX_EPOCHS)


class StepWords(NamedTuple):
    """Words for messages about steps.

    Attributes
    ----------
    steps : str
        The name of the input's steps.
    remedy : str
        What helps if a sample has too few of them.
    single : str
        What to add if there is a single step.
    """

    steps: str = "time steps"
    remedy: str = "longer sequences, or an encoder with smaller strides"
    single: str = ""


class Kind(NamedTuple):
    """What a fit has to know of the kind of data."""

    auto: AutoDefaults
    words: StepWords


class StepParameters(NamedTuple):
    """The parameters about steps, as the user set them."""

    prediction_steps: int | Auto
    skip_steps: int | Auto
    crop_length: int | Auto | None


@dataclass(frozen=True)
class Architecture:
    """The sizes and steps of one fit.

    Attributes
    ----------
    latent_size, context_size : int
        Size of the latents and of the contexts.
    downsampling : int
        Input steps for each latent.
    receptive_field : int or None
        Input steps that one latent depends on. None is unknown.
    prediction_steps : int
        Latents to predict.
    skip_steps : int
        Latents between the context and the first one to predict.
    crop_length : int or None
        Steps of the longest training window. None is unknown, after loading a file of
        the first format.
    """

    latent_size: int
    context_size: int
    downsampling: int
    receptive_field: int | None
    prediction_steps: int
    skip_steps: int
    crop_length: int | None

    @classmethod
    def of(
        cls, model: Model, skip_steps: int, crop_length: int | None
    ) -> "Architecture":
        """Return the architecture of a model."""
        return cls(
            model.latent_size,
            model.context_size,
            model.downsampling,
            model.receptive_field,
            model.prediction_steps,
            skip_steps,
            crop_length,
        )

    @property
    def n_predictable(self) -> int:
        """Input steps of the shortest sequence in which there is something to predict.

        It has one latent beyond the skipped ones.
        """
        return (self.skip_steps + 1) * self.downsampling + 1


def longest_window(
    crop_length: int | Auto | None,
    encoder: Encoder | type[Encoder],
    lengths: np.ndarray,
) -> int:
    """Return the number of steps of the longest training window.

    Parameters
    ----------
    crop_length : int, "auto" or None
        The parameter.
    encoder : Encoder or its class
        Knows what "auto" is.
    lengths : ndarray of shape (n,)
        Steps of each sample.

    Returns
    -------
    int
    """
    longest = int(lengths.max())
    if crop_length is None:
        return longest
    if crop_length == "auto":
        crop_length = encoder.crop_length or CROP_LATENTS * encoder.downsampling
    return min(int(crop_length), longest)


def resolve(
    parameters: StepParameters,
    kind: Kind,
    encoder: Encoder,
    sizes: tuple[int, int],
    lengths: np.ndarray,
) -> Architecture:
    """Return the architecture of a new model.

    Parameters
    ----------
    parameters : StepParameters
    kind : Kind
    encoder : Encoder
    sizes : tuple of two int
        Size of the latents and of the contexts.
    lengths : ndarray of shape (n,)
        Steps of each sample.

    Returns
    -------
    Architecture

    Raises
    ------
    ValueError
        If the samples are too short for the steps asked for.
    """
    crop_length = longest_window(parameters.crop_length, encoder, lengths)
    n_latents = -(-crop_length // encoder.downsampling)
    if parameters.skip_steps == "auto":
        wanted = encoder.skip_steps
        if wanted is None:
            wanted = min(kind.auto.skip_steps, n_latents // 4)
        skip_steps = max(0, min(wanted, n_latents - 1 - _n_wanted(parameters)))
    else:
        skip_steps = int(parameters.skip_steps)
    if parameters.prediction_steps == "auto":
        n_possible = n_latents - 1 - skip_steps
        wanted = encoder.prediction_steps or kind.auto.prediction_steps
        prediction_steps = min(wanted, n_possible)
    else:
        prediction_steps = int(parameters.prediction_steps)
    architecture = Architecture(
        *sizes,
        encoder.downsampling,
        encoder.receptive_field,
        prediction_steps,
        skip_steps,
        crop_length,
    )
    _check_steps(architecture, parameters, kind.words)
    return architecture


def resume(
    fitted: Architecture,
    parameters: StepParameters,
    kind: Kind,
    encoder: Encoder,
    lengths: np.ndarray,
) -> Architecture:
    """Return the architecture for a fit that continues with a fitted model.

    The model keeps its sizes. `skip_steps` and `crop_length` may change; "auto" keeps
    the fitted `skip_steps`.

    Parameters
    ----------
    fitted : Architecture
    parameters : StepParameters
    kind : Kind
    encoder : Encoder
        Of the fitted model.
    lengths : ndarray of shape (n,)
        Steps of each sample.

    Returns
    -------
    Architecture

    Raises
    ------
    ValueError
        If the samples are too short for the steps asked for.
    """
    architecture = replace(
        fitted, crop_length=longest_window(parameters.crop_length, encoder, lengths)
    )
    if parameters.skip_steps != "auto":
        architecture = replace(architecture, skip_steps=int(parameters.skip_steps))
    _check_steps(architecture, parameters, kind.words)
    return architecture


def _n_wanted(parameters: StepParameters) -> int:
    """Return the steps that must be there to predict."""
    steps = parameters.prediction_steps
    return 1 if steps == "auto" else int(steps)


def _check_steps(
    architecture: Architecture, parameters: StepParameters, words: StepWords
) -> None:
    """Refuse steps for which the longest training window is too short."""
    n_timesteps, skip_steps = architecture.crop_length or 0, architecture.skip_steps
    n_latents = -(-n_timesteps // architecture.downsampling)
    n_possible, n_wanted = n_latents - 1 - skip_steps, _n_wanted(parameters)
    if n_possible >= n_wanted:
        return
    single = words.single if n_timesteps == 1 else ""
    raise ValueError(
        f"prediction_steps={parameters.prediction_steps!r} with "
        f"skip_steps={parameters.skip_steps!r} needs at least "
        f"{n_wanted + 1 + skip_steps} latent steps, but the longest training window "
        f"gives {n_latents} ({n_timesteps} {words.steps}{single}). Use "
        + (f"prediction_steps <= {n_possible}, " if n_possible > 0 else "")
        + f"{words.remedy}."
    )
