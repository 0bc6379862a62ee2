"""Run a trained model on many sequences, batch by batch."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .batches import Source, even_batches

# Convolutions and matrix products of fewer rows take other code paths and round
# differently: with at least 16 (torch's threshold for oneDNN), a sample's features
# are the same bits beside any others. Long sequences are left alone: the copies would
# cost too much.
MIN_ROWS, MIN_ROWS_STEPS = 16, 1024


def run(
    function: Callable[[Tensor, Tensor], Any],
    source: Source,
    *,
    batch_size: int,
    device: str,
    autocast: torch.dtype | None,
    rows: np.ndarray | None = None,
    size: int | None = None,
) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield the rows and the outputs of `function` on every batch of `source`.

    Parameters
    ----------
    function : callable
        ``(x, lengths) -> output`` on `device`, one row a sample.
    source : Source
    batch_size : int
    device : str
    autocast : torch.dtype or None
    rows : ndarray, default=None
        Sequences to run on; None takes all.
    size : int, default=None
        Steps of each sequence to run on; None takes all.

    Yields
    ------
    rows : ndarray of shape (B,)
    output : Tensor or tuple of Tensor
        Of at least B rows, in the order of `rows`.
    """
    kind = torch.device(device).type
    if rows is None:
        rows = np.arange(len(source.lengths))
    for index in even_batches(source.lengths[rows], batch_size):
        batch = rows[index]
        n_rows = len(batch)
        if source.lengths[batch].max() <= MIN_ROWS_STEPS:
            batch = np.resize(batch, max(n_rows, MIN_ROWS))  # repeats
        x, lengths = (torch.from_numpy(part) for part in source.batch(batch, size=size))
        # inference_mode and autocast are left before control goes to the caller.
        with (
            torch.inference_mode(),
            torch.autocast(kind, autocast, autocast is not None),
        ):
            output = function(x.to(device), lengths.to(device))
        yield batch[:n_rows], output
