"""What a file says of a fitted estimator, checked before anything is made of it."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from ..nn.encoders import (
    AudioEncoder,
    ConvEncoder,
    ConvPatchEncoder,
    DictionaryPatchEncoder,
    FixedKernelEncoder,
    KernelEncoder,
    LogMelEncoder,
)
from ..nn.loss import CPCLoss
from ..nn.model import Model
from ..nn.negatives import NEGATIVES
from ..nn.registry import LARGEST
from ..training.scores import N_REFERENCES

# What scikit-learn's `set_output` knows.
OUTPUTS = ("default", "pandas", "polars")
# Encoders that know the number of their channels, and a number that a file may claim
# for others.
KNOWN_CHANNELS = (
    AudioEncoder,
    ConvEncoder,
    ConvPatchEncoder,
    DictionaryPatchEncoder,
    FixedKernelEncoder,
    KernelEncoder,
    LogMelEncoder,
)
MANY_CHANNELS = 10**5


def is_count(value: object, least: int = 1) -> bool:
    """Whether a value of a file is a number of things, and no bool."""
    return type(value) is int and least <= value < LARGEST


def is_counts(value: object, length: int) -> bool:
    """Whether a value of a file is a tuple of such numbers."""
    return (
        isinstance(value, tuple) and len(value) == length and all(map(is_count, value))
    )


def check_kinds(attributes: object, kinds: Mapping[str, Any]) -> None:
    """Refuse attributes that are missing, of another type, or unknown.

    Parameters
    ----------
    attributes : dict
        From a file.
    kinds : mapping of str to type
        See `SavingMixin._fitted_types`.

    Raises
    ------
    ValueError
        With the reason.
    """
    if not isinstance(attributes, dict):
        raise ValueError("its attributes are missing")
    for name, kind in kinds.items():
        value = attributes.get(name)
        # A bool is an int, but no number of anything.
        if not isinstance(value, kind) or (
            isinstance(value, bool) and kind is not bool
        ):
            raise ValueError(f"{name} is missing or of another type")
    if unknown := attributes.keys() - kinds.keys():
        raise ValueError(f"{sorted(unknown)} are not known to this release")


def check_attributes(attributes: dict[str, Any], model: Model) -> None:
    """Refuse attributes of all estimators that do not suit the model.

    Raises
    ------
    ValueError
        With the reason.
    """
    references = attributes["_references"]
    if (
        references.dtype != torch.float32
        or references.ndim != 2
        or not 1 <= len(references) <= N_REFERENCES
        or references.shape[1] != model.latent_size
        or not torch.isfinite(references).all()
    ):
        raise ValueError("_references do not suit the model")
    for name, least in (
        ("n_channels_in_", 1),
        ("n_features_in_", 1),
        ("crop_length_", 1),
        ("max_epochs_", 0),
    ):
        value = attributes.get(name)
        if value is not None and not is_count(value, least):
            raise ValueError(f"{name} cannot be {value!r}")
    names = attributes.get("feature_names_in_")
    if names is not None and (
        names.dtype != object or names.shape != (attributes.get("n_features_in_"),)
    ):
        raise ValueError("feature_names_in_ are not the names of the features")
    output = attributes.get("_sklearn_output_config")
    if output is not None and not (
        output.keys() <= {"transform"} and all(o in OUTPUTS for o in output.values())
    ):
        raise ValueError(f"_sklearn_output_config cannot be {output!r:.100}")


def remade_loss(described: object) -> CPCLoss:
    """Return the loss that a file describes, with a generator of its own.

    Raises
    ------
    ValueError
        If the description has another class or other options.
    """
    match described:
        case ["CPCLoss", dict(options)]:
            pass
        case _:
            raise ValueError("it describes no loss")
    allowed: dict[str, Any] = {
        "n_negatives": lambda value: value == "all" or is_count(value),
        "negatives": lambda value: value in NEGATIVES,
        "n_anchors": lambda value: value is None or is_count(value),
        "skip_steps": lambda value: is_count(value, 0),
        "temperature": lambda value: (
            isinstance(value, int | float) and value > 0 and math.isfinite(value)
        ),
        "normalize": lambda value: isinstance(value, bool),
    }
    for name, value in options.items():
        if name not in allowed or not allowed[name](value):
            raise ValueError(f"the loss cannot have {name}={value!r:.100}")
    return CPCLoss(**options, generator=torch.Generator())


def check_channels(
    encoder: torch.nn.Module, n_channels: int, n_scaled: int | None
) -> None:
    """Refuse a number of channels that other parts of the file contradict.

    Parameters
    ----------
    encoder : Module
        Encoders of this package know their channels.
    n_channels : int
        What the file says.
    n_scaled : int or None
        Channels of its scaling. None scales any number.

    Raises
    ------
    ValueError
        If they differ, or nothing tells that there are so many.
    """
    known = {n_channels if n_scaled is None else n_scaled}
    if isinstance(encoder, KNOWN_CHANNELS):
        known.add(encoder.n_channels)
    elif n_scaled is None and n_channels > MANY_CHANNELS:
        raise ValueError(f"nothing tells that there are {n_channels} channels")
    if known != {n_channels}:
        raise ValueError(f"its parts do not have {n_channels} channels")
