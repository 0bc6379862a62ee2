"""Training in several processes: which there are, and what must be alike in them."""

import io
import zlib
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from skorch.callbacks import (
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
from torch import Tensor

from .._persistence import dump, load
from ..nn.distributed import Ranks
from .batches import RandomCrops, Source
from .state import net_state, restore

# Callbacks that print or save, for rank 0 alone. All others may change the training
# and have to run everywhere.
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
# Sequences that stand for all others where processes compare what they read.
N_COMPARED = 16


class Alone:
    """What takes the place of an `accelerate.Accelerator` if there is none."""

    gradient_accumulation_steps = 1
    scaler = None

    def autocast(self) -> Any:
        """Leave the precision as it is."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients."""
        loss.backward()


def ranks_of(accelerator: Any) -> Ranks:
    """Return the processes that an accelerator, or None, has."""
    if accelerator is None:
        return Ranks()
    return Ranks(
        accelerator.process_index, accelerator.num_processes, accelerator.device
    )


def check_accelerator(accelerator: Any) -> None:
    """Refuse engines that hold only a part of the model in each process."""
    if accelerator is None:
        return
    kind = accelerator.distributed_type.value
    if kind != "NO" and not kind.startswith("MULTI_"):
        raise ValueError(
            f"accelerator has distributed_type={kind!r}, but training is "
            "data-parallel: every process holds the whole model. Use an Accelerator "
            "for one process, or for several on CPUs or GPUs ('MULTI_CPU', "
            "'MULTI_GPU')."
        )


def check_same_data(ranks: Ranks, source: Source, groups: np.ndarray | None) -> None:
    """Raise, in all processes, unless they read the same sequences in one order."""
    if ranks.size == 1:
        return
    n_samples = len(source.lengths)
    rows = np.linspace(0, n_samples - 1, min(n_samples, N_COMPARED)).astype(np.int64)
    values, _ = source.batch(rows)
    checksum = 0
    for part in (values, source.lengths, np.array(groups, dtype=np.float64)):
        checksum = zlib.crc32(part.tobytes(), checksum)
    checksums, _ = ranks.gather(torch.tensor([checksum]))
    different = (checksums != checksums[0]).nonzero()[:, 0].tolist()
    if different:
        raise ValueError(
            f"X or groups differ between process 0 and the processes {different} that "
            "train together. Pass the same to fit, in the same order, in all of them: "
            "each reads its own share of every batch."
        )


def check_shares(ranks: Ranks, n_parts: int, batches: RandomCrops) -> None:
    """Refuse batches of which some process, or a part of one, would get nothing."""
    smallest = min(batches.sizes)
    if smallest < ranks.size * n_parts:
        raise ValueError(
            f"A batch has {smallest} windows, too few for {ranks.size} processes that "
            f"go through it in {n_parts} parts (gradient_accumulation_steps). Use a "
            f"larger batch_size, more sequences, a smaller crop_length or fewer "
            "processes."
        )


def synchronise(ranks: Ranks, net: Any, rng: np.random.Generator) -> None:
    """Give all processes the weights, history and random states of rank 0."""
    if ranks.size == 1:
        return
    data = dump({"net": net_state(net, optimizer=True), "rng": rng}, "state")
    state = load(io.BytesIO(ranks.first(data)), "state")
    restore(net, state["net"])
    rng.bit_generator.state = state["rng"].bit_generator.state


def callbacks_of_rank(ranks: Ranks, callbacks: Any) -> list[Any]:
    """Return those of the user's callbacks that run in this process."""
    callbacks = list(callbacks or [])
    if ranks.rank == 0:
        return callbacks
    return [
        callback
        for callback in callbacks
        for instance in [callback[1] if isinstance(callback, tuple) else callback]
        if not isinstance(instance, WRITERS)
    ]
