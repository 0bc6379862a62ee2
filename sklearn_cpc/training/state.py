"""The state of a net as tensors and plain values, and back into a net."""

from typing import Any, Protocol, cast

import torch
from skorch.history import History

from ..nn.distributed import Ranks
from ..nn.loss import CPCLoss
from ..nn.model import Model


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


def restore(net: Net, state: dict[str, Any]) -> None:
    """Put a `net_state` into an initialized net of the same architecture.

    Without moments, the optimizer starts again, with a new warm-up.

    Raises
    ------
    Exception
        Of any kind, if the state does not suit the net.
    """
    net.module_.load_state_dict(state["weights"])
    if name := not_finite(net.module_):
        raise ValueError(f"{name} is not finite")
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
        if not torch.isfinite(weight).all():
            return name
    return None


def n_updates(optimizer: torch.optim.Optimizer) -> int:
    """Return the number of updates an optimizer has made."""
    return max((int(state["step"]) for state in optimizer.state.values()), default=0)
