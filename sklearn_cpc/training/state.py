"""What a net has learned, as tensors and plain values, and back into a net."""

from typing import Any

import torch
from skorch.history import History


def net_state(net: Any, *, optimizer: bool) -> dict[str, Any]:
    """Return all that a net needs to go on.

    Parameters
    ----------
    net : CPCNet
    optimizer : bool
        Whether the moments of the optimizer belong to it, twice the weights.

    Returns
    -------
    dict
        For `restore`. It shares its tensors with the net.
    """
    return {
        "weights": dict(net.module_.state_dict()),
        "generator": net.criterion_.generator.get_state(),
        "optimizer": {
            str(key): dict(moments)
            for key, moments in net.optimizer_.state_dict()["state"].items()
            if optimizer
        },
        "history": [
            {name: value for name, value in epoch.items() if name != "batches"}
            for epoch in net.history
            if "train_loss" in epoch  # one that has only begun is done anew
        ],
    }


def restore(net: Any, state: dict[str, Any]) -> None:
    """Put a `net_state` into an initialized net of the same architecture.

    Without moments, the optimizer starts anew, with its warm-up.

    Raises
    ------
    Exception
        Of any kind, if the state does not suit the net.
    """
    net.module_.load_state_dict(state["weights"])
    if name := not_finite(net.module_):
        raise ValueError(f"{name} is not finite")
    net.criterion_.generator.set_state(state["generator"])
    optimizer = net.optimizer_.state_dict()
    optimizer["state"] = {int(key): m for key, m in state["optimizer"].items()}
    net.optimizer_.load_state_dict(optimizer)
    net.history_ = History({"batches": [], **epoch} for epoch in state["history"])


def not_finite(model: torch.nn.Module) -> str | None:
    """Return the name of a weight that has a NaN or an infinity, if there is one."""
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            return name
    return None


def n_updates(optimizer: torch.optim.Optimizer) -> int:
    """Return the number of updates an optimizer has made."""
    return max((int(state["step"]) for state in optimizer.state.values()), default=0)
