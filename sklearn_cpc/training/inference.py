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
# are the same bits beside any others. Long or wide sequences are left alone: the copies
# would cost too much.
MIN_ROWS, MIN_ROWS_STEPS = 16, 1024
# Sequences, and their steps, that go through a model at once. A CPU is fastest with as
# few as its caches hold, a GPU with as many as its memory.
MAX_ROWS, MAX_ROWS_OF_GPU = 64, 1024
# Of many channels, fewer steps go at once: no more values than these.
BATCH_STEPS, BATCH_VALUES = 2**17, 2**23
# Longer sequences go through it piece by piece, if it can go on from where it was:
# memory does not grow with their length.
PIECE = 2**14


def run(
    function: Callable[[Tensor, Tensor], Any],
    source: Source,
    *,
    device: str,
    autocast: torch.dtype | None,
    rows: np.ndarray | None = None,
    size: int | None = None,
    batch_steps: int = BATCH_STEPS,
    in_pieces: Callable[[Iterator[tuple[Tensor, Tensor]]], Any] | None = None,
) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield the rows and the outputs of `function` on every batch of `source`.

    If a GPU runs out of memory, all batches that are left are halved.

    Parameters
    ----------
    function : callable
        ``(x, lengths) -> output`` on `device`, one row a sample.
    source : Source
    device : str
    autocast : torch.dtype or None
    rows : ndarray, default=None
        Sequences to run on; None takes all.
    size : int, default=None
        Steps of each sequence to run on; None takes all.
    batch_steps : int, default=BATCH_STEPS
        Steps of a batch, padding included, at most; a single sequence may have more.
    in_pieces : callable, default=None
        Returns the same as `function`, given pieces of the sequences in turn: pairs of
        ``x`` and ``lengths``, 0 where one has ended. None takes sequences whole.

    Yields
    ------
    rows : ndarray of shape (B,)
    output : Tensor or tuple of Tensor
        Of at least B rows, in the order of `rows`.
    """
    kind = torch.device(device).type
    if rows is None:
        rows = np.arange(len(source.lengths))

    def read(batch: np.ndarray, *window: Any) -> list[Tensor]:
        parts = source.batch(batch, *window)
        return [torch.from_numpy(part).to(device) for part in parts]

    def pieces(batch: np.ndarray, longest: int) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, longest, PIECE):
            x, lengths = read(batch, np.full(len(batch), start), PIECE)
            yield x, lengths

    def output_of(batch: np.ndarray) -> Any:
        longest = lengths[batch].max()
        if longest <= min(MIN_ROWS_STEPS, batch_steps // MIN_ROWS):
            batch = np.resize(batch, max(len(batch), MIN_ROWS))  # repeats
        # inference_mode and autocast are left before control goes to the caller.
        with (
            torch.inference_mode(),
            torch.autocast(kind, autocast, autocast is not None),
        ):
            if in_pieces is not None and longest > PIECE:
                return in_pieces(pieces(batch, longest))
            return function(*read(batch, None, size))

    lengths = source.lengths if size is None else np.minimum(source.lengths, size)
    at_once = lengths[rows] if in_pieces is None else np.minimum(lengths[rows], PIECE)
    max_rows = MAX_ROWS if kind == "cpu" else MAX_ROWS_OF_GPU
    batches = deque(rows[i] for i in even_batches(at_once, max_rows, batch_steps))
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
