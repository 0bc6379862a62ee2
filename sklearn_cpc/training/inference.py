"""Run a trained model on many sequences, batch by batch."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from .._data.source import Source
from ..nn.encoders import Encoder
from .batches import even_batches
from .progress import Progress

# Convolutions and matrix products of fewer rows take other code paths and round
# differently. With at least 16 rows (torch's threshold for oneDNN), the features of a
# sample have the same bits beside any other samples. Long or wide sequences are not
# repeated: the copies would cost too much.
MIN_ROWS, MIN_ROWS_STEPS = 16, 1024
# Sequences of a batch. A GPU is fastest with as many as its memory holds, a CPU with as
# few as its caches hold; recurrent networks gain from some more.
MAX_ROWS, MAX_ROWS_OF_GPU = 96, 1024
# Steps of a batch, and values of a batch with many channels.
BATCH_STEPS, BATCH_VALUES = 2**17, 2**23
# Steps of the first layer in a batch of a CPU.
CACHED_STEPS = 2**13
# Batches of shorter steps would have too few rows for the recurrent network.
SMALLEST_STRIDE = 4
# Longer sequences go through the model in pieces of this length, if it can advance: the
# memory does not grow with their length.
PIECE = 2**14

# A tensor or a list with one entry for each sample.
Output = TypeVar("Output", Tensor, list)  # type: ignore[type-arg]


@dataclass(frozen=True)
class Inference:
    """How a model runs.

    Attributes
    ----------
    device : str
    autocast : torch.dtype or None
        Lower precision of the forward pass; None is float32.
    batch_steps : int
        Steps of a batch at most, padding included. A single sequence may have more.
    progress : bool
        Whether work of more than a second shows a bar.
    """

    device: str
    autocast: torch.dtype | None
    batch_steps: int = BATCH_STEPS
    progress: bool = False


def batch_steps(n_values: int, n_channels: int, encoder: Encoder | None) -> int:
    """Return the input steps of a batch.

    Parameters
    ----------
    n_values : int
        Values of a step.
    n_channels : int
        Channels of the input; a step of an image has many pixels of each.
    encoder : Encoder or None
        What a CPU runs: its caches should hold the first layer, or `transform` takes
        up to 1.7 times as long. None sets no such limit.

    Returns
    -------
    int
    """
    n_steps = min(BATCH_STEPS * n_channels, BATCH_VALUES) // n_values
    if encoder is not None:
        first = (encoder.layer_downsamplings or [1])[0]
        n_steps = min(n_steps, CACHED_STEPS * max(SMALLEST_STRIDE, first))
    return max(1, n_steps)


def run(
    function: Callable[[Tensor, Tensor], Output],
    source: Source,
    inference: Inference,
    *,
    rows: np.ndarray | None = None,
    size: int | None = None,
    in_pieces: Callable[[Iterator[tuple[Tensor, Tensor]]], Output] | None = None,
) -> Iterator[tuple[np.ndarray, Output]]:
    """Yield the rows and the outputs of `function` for every batch of `source`.

    If a GPU runs out of memory, all remaining batches are halved.

    Parameters
    ----------
    function : callable
        ``(x, lengths) -> output``, with a row or an entry for each sample.
    source : Source
    inference : Inference
    rows : ndarray, default=None
        Sequences to run on. None takes all.
    size : int, default=None
        Steps of each sequence to run on. None takes all.
    in_pieces : callable, default=None
        Returns the same as `function` when it gets the sequences in pieces: pairs of
        ``x`` and ``lengths``, 0 where a sequence has ended. None runs on sequences as a
        whole.

    Yields
    ------
    rows : ndarray of shape (B,)
    output : Tensor or list
        Of B samples, in the order of `rows`.
    """
    device, autocast = inference.device, inference.autocast
    kind = torch.device(device).type
    if rows is None:
        rows = np.arange(len(source))
    lengths = source.lengths if size is None else np.minimum(source.lengths, size)
    n_steps = int(lengths[rows].sum())
    bar = Progress(n_steps, "step", delay=1, shown=inference.progress)

    def read(
        batch: np.ndarray, starts: np.ndarray | None, size: int | None
    ) -> tuple[Tensor, Tensor]:
        x, lengths = source.batch(batch, starts, size)
        return torch.from_numpy(x).to(device), torch.from_numpy(lengths).to(device)

    def pieces(batch: np.ndarray, n: int) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, lengths[batch].max(), PIECE):
            yield read(batch, np.full(len(batch), start), PIECE)
            bar.advance(int(np.clip(lengths[batch[:n]] - start, 0, PIECE).sum()))

    def output_of(batch: np.ndarray) -> Output:
        longest = lengths[batch].max()
        n_rows = len(batch)
        if longest <= min(MIN_ROWS_STEPS, inference.batch_steps // MIN_ROWS):
            batch = np.resize(batch, max(n_rows, MIN_ROWS))  # repeats
        # inference_mode and autocast end before the caller gets control.
        with (
            torch.inference_mode(),
            torch.autocast(kind, autocast, autocast is not None),
        ):
            if in_pieces is not None and longest > PIECE:
                return in_pieces(pieces(batch, n_rows))[:n_rows]
            output = function(*read(batch, None, size))[:n_rows]
            bar.advance(int(lengths[batch[:n_rows]].sum()))
            return output

    at_once = lengths[rows] if in_pieces is None else np.minimum(lengths[rows], PIECE)
    max_rows = MAX_ROWS if kind == "cpu" else MAX_ROWS_OF_GPU
    batches: deque[np.ndarray] = deque(
        rows[i] for i in even_batches(at_once, max_rows, inference.batch_steps)
    )
    try:
        while batches:
            batch = batches.popleft()
            output: Output | None = None
            try:
                output = output_of(batch)
            except torch.cuda.OutOfMemoryError:
                if len(batch) == 1:
                    raise
            if output is None:  # outside of `except`, which keeps what was allocated
                torch.cuda.empty_cache()
                batches = deque(half for b in (batch, *batches) for half in _halves(b))
                continue
            yield batch, output
    finally:
        bar.close()


def _halves(batch: np.ndarray) -> list[np.ndarray]:
    """Return the first and the second half, without an empty one."""
    middle = len(batch) // 2
    return [half for half in (batch[:middle], batch[middle:]) if len(half)]
