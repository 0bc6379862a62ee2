"""The contract of accelerators: precision, backward pass and processes."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor

from ..nn.distributed import Ranks


class Accelerator(Protocol):
    """What the training uses of an `accelerate.Accelerator`."""

    device: torch.device | str
    process_index: int
    num_processes: int
    gradient_accumulation_steps: int
    distributed_type: Any  # an enumeration of accelerate
    scaler: Any  # torch.amp.GradScaler, or None without float16

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context of the forward pass."""

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients, divided by `gradient_accumulation_steps`."""


class SingleProcess:
    """Takes the place of an `accelerate.Accelerator` if there is none."""

    gradient_accumulation_steps = 1
    scaler = None

    def autocast(self) -> AbstractContextManager[None]:
        """Leave the precision as it is."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients."""
        loss.backward()


# What an accelerator must have.
NEEDED = (*Accelerator.__annotations__, "autocast", "backward")


def ranks_of(accelerator: Accelerator | None) -> Ranks:
    """Return the processes of an accelerator, or the single one without."""
    if accelerator is None:
        return Ranks()
    return Ranks(
        accelerator.process_index, accelerator.num_processes, accelerator.device
    )


def check_accelerator(accelerator: Accelerator | None) -> None:
    """Refuse what is no accelerator, or one that divides the model itself.

    Raises
    ------
    TypeError
        If it lacks an attribute.
    ValueError
        If its processes hold a part of the model each.
    """
    if accelerator is None:
        return
    missing = [name for name in NEEDED if not hasattr(accelerator, name)]
    if missing:
        raise TypeError(
            f"accelerator={type(accelerator).__name__} has no "
            f"{' and no '.join(missing)}. Pass an accelerate.Accelerator, or an object "
            f"with its {', '.join(NEEDED)}."
        )
    kind: str = accelerator.distributed_type.value
    if kind != "NO" and not kind.startswith("MULTI_"):
        raise ValueError(
            f"accelerator has distributed_type={kind!r}, but training is "
            "data-parallel: every process holds the whole model. Use an Accelerator "
            "for one process, or for several on CPUs or GPUs ('MULTI_CPU', "
            "'MULTI_GPU')."
        )
