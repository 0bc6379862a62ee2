"""Checks of parameters that scikit-learn's constraints cannot express."""

from collections.abc import Collection
from typing import Any


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
