"""What the parameters may be that several CPC estimators share."""

from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from torch.nn import Module

from ._compat import HasMethods, Interval, StrOptions
from .nn.contexts import CONTEXTS
from .nn.features import FEATURES
from .nn.negatives import POOLS
from .nn.pooling import POOLINGS

# Where samples may be longer than what an update should see of them.
CROP_LENGTH = [StrOptions({"auto"}), Interval(Integral, 2, None, closed="left"), None]

SHARED: dict[str, Any] = {
    "context": [StrOptions(set(CONTEXTS)), Module],
    "latent_size": [Interval(Integral, 1, None, closed="left")],
    "context_size": [Interval(Integral, 1, None, closed="left")],
    "prediction_steps": [
        StrOptions({"auto"}),
        Interval(Integral, 1, None, closed="left"),
    ],
    "skip_steps": [
        StrOptions({"auto"}),
        Interval(Integral, 0, None, closed="left"),
    ],
    "n_negatives": [
        StrOptions({"all"}),
        Interval(Integral, 1, None, closed="left"),
    ],
    "negatives": [StrOptions(set(POOLS))],
    "temperature": [Interval(Real, 0, None, closed="neither")],
    "features": [StrOptions(set(FEATURES))],
    "pooling": [StrOptions(set(POOLINGS)), tuple, list],
    "max_epochs": [
        StrOptions({"auto"}),
        Interval(Integral, 0, None, closed="left"),
    ],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "early_stopping": ["boolean"],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "callbacks": [list, tuple, None],
    "accelerator": [HasMethods(["autocast", "backward"]), None],
    "device": [str],
    "precision": [StrOptions({"float32", "bf16"})],
    "n_jobs": [Integral, None],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def names(parameter: str, value: Any, options: Collection[str]) -> tuple[str, ...]:
    """Return the names in `value`, one or several different ones of `options`.

    Parameters
    ----------
    parameter : str
        Named in the message.
    value : str or iterable of str
        What the user chose.
    options : collection of str
        What there is.

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        If there are none, or one twice, or unknown ones.
    """
    chosen = (value,) if isinstance(value, str) else tuple(value)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(options):
        raise ValueError(
            f"{parameter}={value!r} must be one or several different ones of "
            f"{', '.join(map(repr, options))}."
        )
    return chosen
