"""Names of channels: learned in fit, checked and put in order later."""

from typing import Any

import numpy as np

from .arrays import column_names, is_frame
from .containers import Samples


def channel_names(samples: Samples) -> list[str] | None:
    """Return the names of the channels, the same for all samples, in the first order.

    Parameters
    ----------
    samples : Samples

    Returns
    -------
    list of str or None
        None if they have no names.

    Raises
    ------
    ValueError
        If samples have different names.
    """
    if samples.n_columns is not None:
        return samples.names
    first: list[str] | None = None
    for i, item in enumerate(samples.items):
        names = frame_names(item)
        if i == 0:
            first = names
        elif names != first and (
            names is None or first is None or sorted(names) != sorted(first)
        ):
            raise ValueError(
                f"X[{i}] has the channels {_said(names)}, but X[0] has "
                f"{_said(first)}: all samples need the same columns."
            )
    return first


def frame_names(item: Any) -> list[str] | None:
    """Return the names of the columns of a frame, None if there are none."""
    return column_names(item) if is_frame(item) else None


def in_order_of_fit(
    names: list[str] | None, fitted: np.ndarray | None, what: str
) -> list[str] | None:
    """Return the names in the order of fit.

    Parameters
    ----------
    names : list of str or None
        What `channel_names` returned.
    fitted : ndarray of str or None
        The names seen in fit, None if there were none.
    what : str
        Name of the estimator, for messages.

    Returns
    -------
    list of str or None

    Raises
    ------
    ValueError
        If these are other names.
    """
    if names is None or fitted is None or len(fitted) != len(names):
        return names  # a number of channels that differs is refused elsewhere
    wanted = list(fitted)
    if sorted(names) != sorted(wanted):
        raise ValueError(
            f"X has the channels {_said(names)}, but {what} was fitted on "
            f"{_said(wanted)}. Rename or select the columns."
        )
    return wanted


def places(names: list[str], wanted: list[str]) -> list[int]:
    """Return where the wanted names are."""
    if names == wanted:
        return list(range(len(names)))
    if len(set(names)) < len(names):
        raise ValueError(
            f"X has the channels {_said(names)}, some of them twice, in another order "
            f"than {_said(wanted)}. Give each its own name."
        )
    return [names.index(name) for name in wanted]


def _said(names: list[str] | None) -> str:
    return "without names" if names is None else ", ".join(map(repr, names))
