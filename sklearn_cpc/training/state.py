"""The state of a net as tensors and plain values, and back into a net."""

from typing import Any, Protocol, cast

import torch
from skorch.history import History

from ..nn.distributed import Ranks
from ..nn.loss import CPCLoss
from ..nn.model import Model
from .checked_state import (
    check_generator,
    check_history,
    check_moments,
    check_weights,
    is_finite,
)


class Net(Protocol):
    """What callbacks, checkpoints and files use of a `CPCNet`."""

    module_: Model
    criterion_: CPCLoss
    optimizer_: torch.optim.Optimizer
    history: History
    history_: History
    callbacks_: list[tuple[str, Any]]
    max_epochs: int
    lr: float
    device: str
    autocast: torch.dtype | None

    @property
    def ranks(self) -> Ranks:
        """The processes that train the net together."""


def net_state(net: Net, *, optimizer: bool) -> dict[str, Any]:
    """Return all that a net needs to continue.

    Parameters
    ----------
    net : Net
    optimizer : bool
        Whether to include the moments of the optimizer, twice the size of the weights.

    Returns
    -------
    dict
        For `restore`. It shares its tensors with the net.
    """
    return {
        "weights": dict(net.module_.state_dict()),
        "generator": _generator(net).get_state(),
        "optimizer": {
            str(key): dict(moments)
            for key, moments in net.optimizer_.state_dict()["state"].items()
            if optimizer
        },
        "history": [
            {name: value for name, value in epoch.items() if name != "batches"}
            for epoch in net.history
            if "train_loss" in epoch  # an epoch that was interrupted is repeated
        ],
    }


def check_state(net: Net, state: object, *, in_training: bool = False) -> None:
    """Refuse a `net_state` that does not suit an initialized net.

    Parameters
    ----------
    net : Net
    state : dict
        From a file, which may hold anything.
    in_training : bool, default=False
        Whether it is from the middle of a fit, when the optimizer has moments.

    Raises
    ------
    ValueError
        With the reason.
    """
    parts = {"weights", "generator", "optimizer", "history"}
    if not isinstance(state, dict) or state.keys() != parts:
        raise ValueError("the state of the net is not complete")
    check_weights(state["weights"], net.module_)
    check_generator(state["generator"])
    # Every update changes the predictors, which are never modules of the user.
    changed = [p for part in net.module_.predictors for p in part.parameters()]
    required = {
        name
        for name, weight in net.module_.named_parameters()
        if in_training and any(weight is other for other in changed)
    }
    check_moments(state["optimizer"], net.module_, required)
    check_history(state["history"])


def restore(net: Net, state: dict[str, Any]) -> None:
    """Put a `net_state` into an initialized net of the same architecture.

    Without moments, the optimizer starts again, with a new warm-up. States of files
    have to pass `check_state` before.
    """
    net.module_.load_state_dict(state["weights"])
    _generator(net).set_state(state["generator"])
    optimizer = net.optimizer_.state_dict()
    optimizer["state"] = {int(key): m for key, m in state["optimizer"].items()}
    net.optimizer_.load_state_dict(optimizer)
    net.history_ = History({"batches": [], **epoch} for epoch in state["history"])


def _generator(net: Net) -> torch.Generator:
    """Return the generator that draws negatives; every net has one."""
    return cast(torch.Generator, net.criterion_.generator)


def not_finite(model: torch.nn.Module) -> str | None:
    """Return the name of a weight that holds NaN or infinity, or None."""
    for name, weight in model.named_parameters():
        if not is_finite(weight):
            return name
    return None


def n_updates(optimizer: torch.optim.Optimizer) -> int:
    """Return the number of updates an optimizer has made."""
    return max((int(state["step"]) for state in optimizer.state.values()), default=0)
