"""The order of a fit: batches, callbacks, training, and what it leaves behind."""

from dataclasses import replace
from typing import Any

from skorch.callbacks import EarlyStopping
from skorch.utils import noop

from ..nn.negatives import NEGATIVES
from .accelerator import SingleProcess, ranks_of
from .architecture import Kind, longest_window
from .batches import Augmentation, RandomCrops
from .callbacks import EpochProgress, FitTasks, WarmUp
from .diagnostics import warn_if_trivial
from .fitted import Fitted, Start
from .groups import TrainingData, hold_out
from .inference import Inference
from .net import REMEDY, CPCNet
from .options import TrainingOptions
from .parallel import callbacks_of_rank, check_shares, synchronise
from .scores import check_outputs, reference_latents
from .validation import Validation


def fit(
    start: Start,
    data: TrainingData,
    options: TrainingOptions,
    inference: Inference,
    kind: Kind,
    augment: Augmentation | None = None,
    tasks: FitTasks | None = None,
) -> Fitted:
    """Train a model.

    Parameters
    ----------
    start : Start
        The model, trained in place.
    data : TrainingData
    options : TrainingOptions
    inference : Inference
        How the model runs for scores.
    kind : Kind
    augment : callable, default=None
        Random variation of training batches.
    tasks : FitTasks, default=None
        For scikit-learn's callbacks.

    Returns
    -------
    Fitted
    """
    net, rng, architecture = start.net, start.rng, start.architecture
    ranks = ranks_of(options.accelerator)
    synchronise(ranks, net, rng)
    train, held_out = hold_out(data, options, rng)
    train = replace(train, gather=NEGATIVES[net.criterion_.negatives].gathers)
    batches = RandomCrops(
        train,
        batch_size=options.batch_size,
        crop_length=longest_window(
            architecture.crop_length, net.module_.encoder, train.source.lengths
        ),
        predictable=architecture.n_predictable,
        rng=rng,
        ranks=ranks,
        augment=augment,
    )
    accelerator = options.accelerator or SingleProcess()
    check_shares(ranks, accelerator.gradient_accumulation_steps, batches)
    if options.max_epochs == "auto":
        n_steps = int(train.source.lengths.sum())
        within = train.gather is not None
        max_epochs = kind.auto.max_epochs(len(batches), n_steps, within)
    else:
        max_epochs = int(options.max_epochs)

    def fitted(net: CPCNet) -> Fitted:
        references = reference_latents(
            net.module_, train.source, inference, size=batches.crop_length
        )
        epochs, n_batches = net.history[n_before:], len(batches)
        return Fitted(net, rng, architecture, max_epochs, n_batches, epochs, references)

    n_before = len(net.history)
    if max_epochs and ranks.rank == 0:
        warn_if_trivial(architecture, kind.words)
    if tasks is not None:
        tasks.begin(max_epochs, fitted)
    validation = None if held_out is None else Validation(batches, held_out, inference)
    _train(net, (batches, validation), max_epochs, options, tasks)
    synchronise(ranks, net, rng)  # a callback of rank 0 may have chosen other weights
    try:
        check_outputs(net.module_, train.source, inference, size=batches.crop_length)
    except ValueError as error:
        raise ValueError(f"{error} {REMEDY}") from None
    result = fitted(net)
    if tasks is not None:
        tasks.end(result)
    return result


def _train(
    net: CPCNet,
    data: tuple[RandomCrops, Validation | None],
    max_epochs: int,
    options: TrainingOptions,
    tasks: FitTasks | None,
) -> None:
    """Train `net` in place."""
    net.max_epochs = max_epochs
    net.autocast = options.autocast
    net.set_params(lr=options.lr, optimizer__weight_decay=options.weight_decay)
    net.accelerator = options.accelerator
    net.callbacks = [*([] if tasks is None else [tasks]), *_callbacks(options)]
    net.initialize_callbacks()
    if max_epochs:
        net.partial_fit(data)
    # The model keeps nothing that belongs to a process, holds the training data or
    # cannot be copied.
    net.accelerator = None
    net.callbacks, net.callbacks_ = None, []


def _callbacks(options: TrainingOptions) -> list[Any]:
    """Return the callbacks of the training."""
    callbacks: list[Any] = [("warm_up", WarmUp())]
    ranks = ranks_of(options.accelerator)
    if options.verbose and ranks.rank == 0:
        callbacks.append(("progress", EpochProgress()))
    callbacks += callbacks_of_rank(ranks, options.callbacks)
    if options.early_stopping:
        stop = EarlyStopping(
            "valid_score",
            patience=options.n_iter_no_change,
            threshold=0,
            lower_is_better=False,
            load_best=True,
            sink=noop,
        )
        callbacks.append(("early_stopping", stop))
    return callbacks
