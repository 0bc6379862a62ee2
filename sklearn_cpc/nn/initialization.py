"""Initial weights from a generator that the caller passes.

`reset_parameters` of torch's layers draws from the global generator only, which
a library must not touch.
"""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)

# Smaller than torch's 1: few updates reach a rare token, and they must move it far.
EMBEDDING_STD = 0.3
# What torch takes for a size, in products of a few.
LARGEST = 2**31
TOO_LARGE = "Use a smaller latent_size or context_size."


def build(
    make: Callable[..., Module],
    generator: torch.Generator | None = None,
    arguments: Sequence[Any] = (),
) -> Module:
    """Make a module and draw its weights from `generator` alone.

    Raises
    ------
    ValueError
        If its weights do not fit into the memory of this machine.
    """
    if any(isinstance(a, int | np.integer) and a > LARGEST for a in arguments):
        raise ValueError(
            f"A model cannot have the sizes {list(arguments)}. {TOO_LARGE}"
        )
    try:
        module = outline(make, arguments)
        n_bytes = sum(w.numel() * w.element_size() for w in module.parameters())
    except RuntimeError as error:  # more than torch can count
        raise ValueError(f"{error} {TOO_LARGE}") from None
    # Training needs gradients and two moments besides.
    if 4 * n_bytes > memory():
        raise ValueError(
            f"The weights and their training would take {4 * n_bytes / 1e9:.0f} GB of "
            f"memory, but this machine has {memory() / 1e9:.0f} GB. {TOO_LARGE}"
        )
    module.to_empty(device="cpu")
    initialize(module, generator)
    return module


def outline(make: Callable[..., Module], arguments: Sequence[Any]) -> Module:
    """Make a module on the meta device: shapes without memory.

    Its constructor draws no random numbers there, so that it does not touch the global
    generator, not even where several threads fit at once.
    """
    # Recurrent layers take no numbers of numpy.
    plain = [a.item() if isinstance(a, np.number) else a for a in arguments]
    with torch.device("meta"):
        return make(*plain)


def memory() -> float:
    """Return the bytes of memory of this machine; infinity if the system cannot say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return math.inf


def initialize(module: nn.Module, generator: torch.Generator | None) -> None:
    """Draw all weights of `module` from `generator`, in a fixed order.

    Weights and biases are uniform within one over the square root of the fan-in, as in
    torch. Embeddings are normal. Normalisations start as the identity.

    Raises
    ------
    TypeError
        If a layer with weights is of a kind that this function does not know.
    """

    def uniform(weight: torch.Tensor, fan_in: int) -> None:
        bound = 1 / math.sqrt(fan_in)
        nn.init.uniform_(weight, -bound, bound, generator=generator)

    for layer in module.modules():
        match layer:
            case nn.Conv1d() | nn.Conv2d() | nn.Linear():
                fan_in = layer.weight[0].numel()
                uniform(layer.weight, fan_in)
                if layer.bias is not None:
                    uniform(layer.bias, fan_in)
            case nn.GRU() | nn.LSTM():
                for weight in layer.parameters():
                    uniform(weight, layer.hidden_size)
            case nn.Embedding():
                nn.init.normal_(layer.weight, std=EMBEDDING_STD, generator=generator)
            case nn.LayerNorm():
                nn.init.ones_(layer.weight)
                nn.init.zeros_(layer.bias)
            case _ if next(layer.parameters(recurse=False), None) is not None:
                raise TypeError(
                    f"initialize does not know {type(layer).__name__}. Build the "
                    "module yourself and pass it as an instance."
                )
