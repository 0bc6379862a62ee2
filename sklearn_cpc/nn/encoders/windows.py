"""Windows over the past of sequences that come whole or piece by piece."""

from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

# The last steps, and how many of them the next window does not see.
WindowState: TypeAlias = tuple[Tensor, int]


def next_windows(
    x: Tensor, state: WindowState | None, size: int, stride: int
) -> tuple[Tensor, WindowState]:
    """Return the steps that the next windows cover.

    Window ``j`` ends with the step ``j * stride``. Zeros precede the sequence.

    Parameters
    ----------
    x : Tensor of shape (B, T, C)
        The next steps.
    state : tuple of Tensor and int, or None
        What the last call returned. None starts new sequences.
    size, stride : int
        Steps of a window, and from one to the next.

    Returns
    -------
    x : Tensor of shape (B, T', C)
        The first `size` steps are the first window that `x` completes. There are no
        steps if it completes none.
    state : tuple of Tensor and int
        To be passed to the next call.
    """
    n_past = size - 1
    past, drop = state or (x.new_zeros(x.shape[0], n_past, x.shape[2]), 0)
    x = torch.cat([past, x], dim=1)
    n_new = x.shape[1] - n_past - drop
    n_windows = max(0, -(-n_new // stride))
    next_state = x[:, x.shape[1] - n_past :], n_windows * stride - n_new
    return x[:, drop if n_windows else x.shape[1] :], next_state


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1
) -> Tensor:
    """Convolve over time, without a copy in another order of the axes.

    Steps with their channels side by side are an image of one row in the order
    "channels last", which the libraries of convolutions take and return as it is.

    Parameters
    ----------
    x : Tensor of shape (B, T, C)
    weight : Tensor of shape (D, C, size)
    bias : Tensor of shape (D,), default=None
    stride : int, default=1

    Returns
    -------
    Tensor of shape (B, T', D)
        Without padding: ``T' = (T - size) // stride + 1``.
    """
    image = x.transpose(1, 2).unsqueeze(2)  # (B, C, 1, T)
    output = F.conv2d(image, weight.unsqueeze(2), bias, (1, stride))
    return output.squeeze(2).transpose(1, 2)
