"""Whether a graph is being recorded."""

import torch


def is_tracing() -> bool:
    """Return whether torch records a graph, for ONNX or otherwise.

    A graph has what was done with one example. So there must be no shortcuts that hold
    for some values or sizes only.
    """
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]
