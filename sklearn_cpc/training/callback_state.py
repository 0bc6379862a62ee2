"""What a checkpoint keeps of callbacks, and what may come back from a file."""

import math
from inspect import getattr_static
from numbers import Real
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, EarlyStopping

from .checked_state import check_weights
from .state import Net


def kept(callback: Callback) -> dict[str, Any]:
    """Return the attributes of a callback that belong to its state."""
    return {name: v for name, v in vars(callback).items() if _is_state(name, callback)}


def check_callbacks(saved: object, net: Net) -> None:
    """Refuse states that the callbacks of a net cannot have.

    An attribute has the type that the callback has given it, or is one that it gets
    later. No option, no method, no property can be replaced.

    Parameters
    ----------
    saved : dict
        Attributes by the name of the callback, from a file.
    net : Net
        With the callbacks as they are.

    Raises
    ------
    ValueError
        With the reason.
    """
    callbacks = dict(net.callbacks_)
    if not isinstance(saved, dict) or not saved.keys() <= callbacks.keys():
        raise ValueError("its callbacks are others")
    for name, state in saved.items():
        callback = callbacks[name]
        if not isinstance(state, dict):
            raise ValueError(f"callbacks.{name} has no attributes")
        for attribute, value in state.items():
            if not _is_state(attribute, callback):
                raise ValueError(f"{attribute} is no state of callbacks.{name}")
            present = getattr(callback, attribute, None)
            if present is not None and not _alike(value, present):
                raise ValueError(f"callbacks.{name}.{attribute} has another type")
        if isinstance(callback, EarlyStopping):
            _check_early_stopping(callback, state, net)


def _is_state(name: str, callback: Callback) -> bool:
    """Whether an attribute is the state of a callback: ``name_``, and no method."""
    return (
        name.endswith("_")
        and not name.startswith("_")
        and not hasattr(getattr_static(type(callback), name, None), "__get__")
    )


def _alike(value: Any, present: Any) -> bool:
    """Whether a value of a file can follow the present one."""
    if isinstance(present, str):
        return bool(value == present)  # a path or a name is an option
    for kind in (bool | np.bool_, Real):
        if isinstance(present, kind):
            return isinstance(value, kind)
    if isinstance(present, torch.Tensor | np.ndarray):
        return (
            isinstance(value, type(present))
            and value.dtype == present.dtype
            and value.shape == present.shape
        )
    return type(value) is type(present)


def _check_early_stopping(
    callback: EarlyStopping, state: dict[str, Any], net: Net
) -> None:
    """Refuse what early stopping cannot have counted, and weights of another model."""
    misses = state.get("misses_", 0)
    if type(misses) is not int or not 0 <= misses < callback.patience:
        raise ValueError(f"early stopping cannot have waited for {misses!r:.40} epochs")
    threshold = state.get("dynamic_threshold_", 0.0)
    if not isinstance(threshold, int | float) or math.isnan(threshold):
        raise ValueError("early stopping cannot wait for a score that is no number")
    if state.get("best_model_weights_") is not None:
        check_weights(state["best_model_weights_"], net.module_)
