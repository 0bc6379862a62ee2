"""What a file says of a net, compared with the net before torch gets any of it.

Torch's kernels trust the optimizer: moments of another shape would be written past
their end.
"""

import math
import struct
from typing import Any

import torch
from torch import Tensor

# Start of the state of torch's generator on a CPU: seed, numbers left, whether it is
# seeded, place of the next number; and how many numbers it makes at once.
GENERATOR, N_MADE = struct.Struct("=QiiQ"), 624
MOMENTS = ("exp_avg", "exp_avg_sq")


def check_weights(weights: object, model: torch.nn.Module) -> None:
    """Refuse weights of other names, shapes or types, or that are not finite.

    Raises
    ------
    ValueError
        With the reason.
    """
    expected = model.state_dict(keep_vars=True)
    if not isinstance(weights, dict) or weights.keys() != expected.keys():
        raise ValueError("the weights do not suit the model")
    for name, known in expected.items():
        if not _suits(weights[name], known):
            raise ValueError("the weights do not suit the model")
        if isinstance(known, torch.nn.Parameter) and not is_finite(weights[name]):
            raise ValueError(f"{name} is not finite")


def check_moments(moments: object, model: torch.nn.Module, required: set[str]) -> None:
    """Refuse moments of AdamW that do not suit the weights.

    Parameters
    ----------
    moments : dict
        By the number of a weight, as text.
    model : Module
    required : set of str
        Names of weights that must have moments.

    Raises
    ------
    ValueError
        With the reason.
    """
    weights = {str(i): item for i, item in enumerate(model.named_parameters())}
    if not isinstance(moments, dict) or not moments.keys() <= weights.keys():
        raise ValueError("the optimizer has moments of unknown weights")
    for number, state in moments.items():
        name, weight = weights[number]
        if not isinstance(state, dict) or state.keys() != {"step", *MOMENTS}:
            raise ValueError(f"the optimizer has other moments of {name}")
        step = state["step"]
        if not (
            _suits(step, torch.tensor(0.0, dtype=torch.float32))
            and 1 <= float(step) < 2**24
            and float(step).is_integer()
        ):
            raise ValueError(f"the optimizer has no number of updates of {name}")
        for moment in MOMENTS:
            if not _suits(state[moment], weight) or not is_finite(state[moment]):
                raise ValueError(f"the moments of {name} do not suit it")
        if (state["exp_avg_sq"] < 0).any():
            raise ValueError(f"the moments of {name} do not suit it")
    missing = required - {weights[number][0] for number in moments}
    if missing:
        raise ValueError(f"the optimizer has no moments of {min(missing)}")


def check_generator(state: object) -> None:
    """Refuse a state with which torch's generator would read foreign memory.

    Raises
    ------
    ValueError
        With the reason.
    """
    known = torch.Generator().get_state()
    if not isinstance(state, Tensor) or not _suits(state, known):
        raise ValueError("the random generator has another kind of state")
    _, n_left, is_seeded, place = GENERATOR.unpack_from(state.numpy().tobytes())
    if is_seeded != 1 or not 1 <= n_left <= N_MADE or n_left + place > N_MADE + 1:
        raise ValueError("the random generator has an impossible state")


def check_history(history: object) -> None:
    """Refuse a history that is not one of epochs with their losses.

    Raises
    ------
    ValueError
        With the reason.
    """
    if not isinstance(history, list):
        raise ValueError("the history is not a list")
    for number, epoch in enumerate(history, 1):
        if not isinstance(epoch, dict) or "batches" in epoch:
            raise ValueError("the history holds something else than epochs")
        if type(epoch.get("epoch")) is not int or epoch["epoch"] != number:
            raise ValueError(f"the history has no epoch {number}")
        for name, needed in (("train_loss", True), ("valid_score", False)):
            if (needed or name in epoch) and not _is_number(epoch.get(name)):
                raise ValueError(f"epoch {number} has no {name}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _suits(value: Any, known: Tensor) -> bool:
    """Whether a value is a tensor of the same shape and type."""
    return (
        isinstance(value, Tensor)
        and value.shape == known.shape
        and value.dtype == known.dtype
    )


def is_finite(value: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity."""
    return bool(torch.isfinite(value).all())
