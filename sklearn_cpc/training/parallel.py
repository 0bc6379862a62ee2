"""Training in several processes, and what must be equal in all of them."""

import io
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from skorch.callbacks import (
    Callback,
    Checkpoint,
    MlflowLogger,
    NeptuneLogger,
    PrintLog,
    ProgressBar,
    SacredLogger,
    TensorBoard,
    TrainEndCheckpoint,
    WandbLogger,
)

from .._persistence import dump, load
from ..nn.distributed import Ranks
from .accelerator import Accelerator, check_accelerator, ranks_of
from .batches import RandomCrops
from .groups import TrainingData
from .state import Net, net_state, restore

# Callbacks that print or save run in rank 0 alone. All others may change the training
# and run everywhere.
WRITERS = (
    Checkpoint,
    MlflowLogger,
    NeptuneLogger,
    PrintLog,
    ProgressBar,
    SacredLogger,
    TensorBoard,
    TrainEndCheckpoint,
    WandbLogger,
)
# Sequences with values that the processes compare.
N_COMPARED = 16


def check_processes(accelerator: Accelerator | None, data: TrainingData) -> None:
    """Raise in all processes unless all read the same sequences in the same order."""
    check_accelerator(accelerator)
    ranks = ranks_of(accelerator)
    if ranks.size == 1:
        return
    source, n_samples = data.source, len(data.source)
    rows = np.linspace(0, n_samples - 1, min(n_samples, N_COMPARED)).astype(np.int64)
    values, _ = source.batch(rows)
    checksum = 0
    groups = np.array(data.groups, dtype=np.float64)
    for part in (values, source.lengths, groups):
        checksum = zlib.crc32(part.tobytes(), checksum)
    checksums, _ = ranks.all_gather(torch.tensor([checksum]))
    different = (checksums != checksums[0]).nonzero()[:, 0].tolist()
    if different:
        raise ValueError(
            f"X or groups differ between process 0 and the processes {different} that "
            "train together. Pass the same data in the same order to fit in all of "
            "them: each reads its own share of every batch."
        )


def check_shares(ranks: Ranks, n_parts: int, batches: RandomCrops) -> None:
    """Refuse batches too small to give every process, and every part, a window."""
    smallest = min(batches.sizes)
    if smallest < ranks.size * n_parts:
        raise ValueError(
            f"A batch has {smallest} windows, too few for {ranks.size} processes that "
            f"go through it in {n_parts} parts (gradient_accumulation_steps). Use a "
            f"larger batch_size, more sequences, a smaller crop_length or fewer "
            "processes."
        )


def synchronise(ranks: Ranks, net: Net, rng: np.random.Generator) -> None:
    """Copy the weights, history and random states of rank 0 to all processes."""
    if ranks.size == 1:
        return
    data = dump({"net": net_state(net, optimizer=True), "rng": rng}, "state")
    state = load(io.BytesIO(ranks.broadcast(data)), "state")
    restore(net, state["net"])
    rng.bit_generator.state = state["rng"].bit_generator.state


def callbacks_of_rank(ranks: Ranks, callbacks: Iterable[Any] | None) -> list[Any]:
    """Return the user's callbacks that run in this process.

    Raises
    ------
    TypeError
        If one of them is no callback.
    """
    callbacks = list(callbacks or [])
    for i, given in enumerate(callbacks):
        callback = given[1] if isinstance(given, tuple) and len(given) == 2 else given
        kind = callback if isinstance(callback, type) else type(callback)
        if not issubclass(kind, Callback):
            raise TypeError(
                f"callbacks[{i}] is {given!r:.60}. Each must be a callback of skorch, "
                "or a pair of a name and a callback."
            )
    if ranks.rank == 0:
        return callbacks
    return [
        callback
        for callback in callbacks
        for instance in [callback[1] if isinstance(callback, tuple) else callback]
        if not isinstance(instance, WRITERS)
    ]
