"""Windows over the past of sequences that come whole, or go on piece by piece."""

import torch
from torch import Tensor


def next_windows(
    x: Tensor, state: tuple[Tensor, int] | None, size: int, stride: int
) -> tuple[Tensor, tuple[Tensor, int]]:
    """Return what the next windows see; before the beginning there are zeros.

    Window ``j`` ends with the step ``j * stride``.

    Parameters
    ----------
    x : Tensor of shape (B, T, C)
        The next steps.
    state : tuple of Tensor and int, or None
        What the last call returned; None begins a sequence.
    size, stride : int
        Steps of a window, and from one to the next.

    Returns
    -------
    x : Tensor of shape (B, T', C)
        The first `size` steps are those of the first window that `x` completes;
        without steps, if it completes none.
    state : tuple of Tensor and int
        The last steps, and how many of them the next window does not see.
    """
    n_past = size - 1
    past, drop = state or (x.new_zeros(x.shape[0], n_past, x.shape[2]), 0)
    x = torch.cat([past, x], dim=1)
    n_new = x.shape[1] - n_past - drop
    n_windows = max(0, -(-n_new // stride))
    following = x[:, x.shape[1] - n_past :], n_windows * stride - n_new
    return x[:, drop if n_windows else x.shape[1] :], following
