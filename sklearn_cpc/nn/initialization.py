"""Initial weights from a generator of their own.

`reset_parameters` of torch's layers draws from the global generator only, which
a library must not touch.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

# Smaller than torch's 1: rare tokens see few updates, which have to move them far.
EMBEDDING_STD = 0.3


def build(
    make: Callable[..., nn.Module],
    generator: torch.Generator | None = None,
    arguments: Sequence[Any] = (),
) -> nn.Module:
    """Make a module whose weights are drawn from `generator` alone.

    If `make` is a class, the module keeps its `arguments`, numbers and strings, so
    that a file can say how to make it again.
    """
    module = outline(make, arguments)
    module.to_empty(device="cpu")
    initialize(module, generator)
    return module


def outline(make: Callable[..., nn.Module], arguments: Sequence[Any]) -> nn.Module:
    """Make a module on the meta device: shapes without memory.

    Its constructor draws no random numbers there: the global generator is not
    touched, not even by fits in parallel threads.
    """
    with torch.device("meta"):
        module = make(*arguments)
    if make is type(module):
        module.arguments = tuple(arguments)  # type: ignore[assignment]
    return module


def initialize(module: nn.Module, generator: torch.Generator | None) -> None:
    """Draw all weights of `module` from `generator`, in a fixed order.

    The distributions are torch's own, uniform within one over the square root of the
    fan-in, but for embeddings; normalisations start as the identity.
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
                raise TypeError(f"initialize does not know {type(layer).__name__}.")
