"""Run a trained model on many sequences, batch by batch."""

from collections import deque
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

    If a GPU runs out of memory, all batches that are left are halved.

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

    def output_of(batch: np.ndarray) -> Any:
        if source.lengths[batch].max() <= MIN_ROWS_STEPS:
            batch = np.resize(batch, max(len(batch), MIN_ROWS))  # repeats
        x, lengths = (torch.from_numpy(part) for part in source.batch(batch, size=size))
        # inference_mode and autocast are left before control goes to the caller.
        with (
            torch.inference_mode(),
            torch.autocast(kind, autocast, autocast is not None),
        ):
            return function(x.to(device), lengths.to(device))

    batches = deque(rows[i] for i in even_batches(source.lengths[rows], batch_size))
    while batches:
        batch = batches.popleft()
        try:
            output = output_of(batch)
        except torch.cuda.OutOfMemoryError:
            if len(batch) == 1:
                raise
            output = None  # what is left of the attempt goes with the error
        if output is None:
            torch.cuda.empty_cache()
            batches = deque(half for b in (batch, *batches) for half in _halves(b))
            continue
        yield batch, output


def _halves(batch: np.ndarray) -> list[np.ndarray]:
    """Return the first and the second half, without what is empty."""
    middle = len(batch) // 2
    return [half for half in (batch[:middle], batch[middle:]) if len(half)]
