"""How a fit goes: a model that suits the data, batches, callbacks, warnings.

The functions read the parameters of the estimator, `cpc`, and write nothing on it.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit
from sklearn.utils.validation import column_or_1d
from skorch.callbacks import EarlyStopping
from skorch.utils import noop

from ._diagnostics import warn_if_failed, warn_if_trivial
from ._runtime import autocast_type, resolve_device, spawn_seeds
from .nn.checks import output_size
from .nn.loss import CPCLoss
from .nn.model import CPC
from .nn.negatives import WITHOUT_POSITIVE
from .training.batches import RandomCrops
from .training.callbacks import EpochProgress, FitTasks, WarmUp
from .training.net import CPCNet
from .training.parallel import (
    callbacks_of_rank,
    check_accelerator,
    check_same_data,
    check_shares,
    ranks_of,
    synchronise,
)
from .training.scores import reference_latents
from .training.validation import Validation

# What max_epochs="auto" gives at most; see BaseCPC for what it aims at.
MAX_EPOCHS = 100
# Devices on which AdamW has a fused kernel in all supported releases of torch.
FUSED = ("cpu", "cuda")
# Latents of one training window, where the encoder does not say its length.
CROP_LATENTS = 128
# From how many sequences a new encoder is calibrated, how many steps of each, and how
# many values in all, where there are many channels.
N_CALIBRATION, LENGTH_CALIBRATION, VALUES_CALIBRATION = 32, 4_096, 2**23


def fit_model(
    cpc: Any,
    source: Any,
    groups: Any,
    resume: bool,
    build_encoder: Callable[[Any, torch.Generator], Any],
    fit_data: tuple[Any, Any] | None = None,
) -> dict[str, Any]:
    """Train a new model, or a copy of the fitted one, and return what it makes.

    Parameters
    ----------
    cpc : BaseCPC
    source : Source
        The sequences.
    groups : array-like or None
        What the user passed.
    resume : bool
        Whether to go on with the fitted model.
    build_encoder : callable
        ``(source, generator) -> encoder``.
    fit_data : tuple of X and y, default=None
        What `fit` got, for scikit-learn's callbacks. None is a `partial_fit`: one
        epoch.

    Returns
    -------
    dict
        The attributes of the fitted estimator, but for those of the input.
    """
    groups = check_groups(cpc, groups, len(source))
    check_accelerator(cpc.accelerator)
    ranks = ranks_of(cpc.accelerator)
    check_same_data(ranks, source, groups)
    if resume:
        _check_architecture(cpc)
        net, rng = copy.deepcopy((cpc.net_, cpc._rng))
    else:
        net, rng = new_net(cpc, source, build_encoder)
    for name in ("n_negatives", "negatives", "skip_steps", "temperature"):
        if getattr(cpc, name) != "auto":  # what that is was settled with the model
            setattr(net.criterion_, name, getattr(cpc, name))
    synchronise(ranks, net, rng)
    n_before = len(net.history)
    batches, held_out = _batches(cpc, net, rng, source, groups)
    max_epochs = 1 if fit_data is None else cpc.max_epochs
    if max_epochs == "auto":
        max_epochs = min(-(-cpc._automatic["updates"] // len(batches)), MAX_EPOCHS)

    def fitted_attributes(net: CPCNet) -> dict[str, Any]:
        return {
            "_architecture": {name: getattr(cpc, name) for name in cpc._shaping},
            "_rng": rng,
            "_references": reference_latents(
                net.module_,
                batches.source,
                size=batches.crop_length,
                **cpc._run_options(str(net.device)),
            ),
            "_partially_fitted": fit_data is None,
            **net_attributes(net),
        }

    if max_epochs and ranks.rank == 0:
        model, skip_steps = net.module_, net.criterion_.skip_steps
        warn_if_trivial(
            model.receptive_field,
            model.downsampling,
            skip_steps,
            model.prediction_steps,
            cpc._step_name,
        )
    tasks = []
    has_tasks = hasattr(cpc, "_init_callback_context")  # scikit-learn 1.9
    if fit_data is not None and has_tasks and ranks.rank == 0:
        context = cpc._init_callback_context(max_subtasks=max_epochs)
        context.call_on_fit_task_begin(estimator=cpc, X=fit_data[0], y=fit_data[1])
        tasks.append(FitTasks(context, cpc, fit_data, fitted_attributes))
    train(cpc, net, batches, held_out, max_epochs, tasks)
    synchronise(ranks, net, rng)  # a callback of rank 0 may have chosen other weights
    fitted = fitted_attributes(net)
    for task in tasks:
        task.end(task.context, fitted)
    if fit_data is not None and ranks.rank == 0:
        latents = fitted["_references"].numpy()
        warn_if_failed(net.history[n_before:], len(batches), latents)
    return fitted


def new_net(
    cpc: Any, source: Any, build_encoder: Callable[[Any, torch.Generator], Any]
) -> tuple[CPCNet, np.random.Generator]:
    """Build a model that suits the sequences, and a generator for the batches."""
    accelerator = cpc.accelerator
    device = resolve_device(cpc.device) if accelerator is None else accelerator.device
    weights, batches, negatives = spawn_seeds(cpc.random_state, 3)
    generator = torch.Generator().manual_seed(weights)
    encoder = build_encoder(source, generator)
    downsampling = getattr(encoder, "downsampling", 1)
    n_timesteps = longest_window(cpc.crop_length, encoder, source)
    n_latents = -(-n_timesteps // downsampling)
    latent_size = getattr(encoder, "latent_size", cpc.latent_size)
    context_size = cpc.context_size
    if "encoder" in cpc._shaping and encoder is cpc.encoder:
        # The user's own stays as it is.
        encoder = copy.deepcopy(encoder).cpu()
        latent_size = output_size(
            encoder, "encoder", cpc.n_channels_in_, n_timesteps, downsampling
        )
    context = cpc.context
    if isinstance(context, torch.nn.Module):
        context = copy.deepcopy(context).cpu()
        context_size = output_size(context, "context", latent_size, n_latents)
    default = min(cpc._automatic["skip_steps"], n_latents // 4)
    default = getattr(encoder, "skip_steps", default)
    skip_steps, n_ahead = _steps_to_predict(cpc, n_latents, n_timesteps, default)
    module = cpc._assemble(
        n_channels=cpc.n_channels_in_,
        n_timesteps=n_timesteps,
        encoder=encoder,
        context=context,
        latent_size=latent_size,
        context_size=context_size,
        prediction_steps=n_ahead,
        generator=generator,
    )
    loss = CPCLoss(
        skip_steps=skip_steps, generator=torch.Generator().manual_seed(negatives)
    )
    return make_net(cpc, module, loss, device), np.random.default_rng(batches)


def make_net(cpc: Any, module: CPC, loss: CPCLoss, device: str) -> CPCNet:
    """Return an initialized net with a new optimizer."""
    return CPCNet(
        module,
        loss,
        optimizer=torch.optim.AdamW,
        # One pass over the weights instead of a dozen.
        optimizer__fused=torch.device(device).type in FUSED,
        lr=cpc.lr,
        autocast=autocast_type(cpc.precision),
        device=device,
        train_split=None,
        verbose=0,
    ).initialize()


def _batches(
    cpc: Any,
    net: CPCNet,
    rng: np.random.Generator,
    source: Any,
    groups: np.ndarray | None,
) -> tuple[RandomCrops, Any]:
    """Return the batches, and the sequences set aside for validation or None."""
    train, held_out, groups = _split(cpc, source, groups, rng)
    ranks = ranks_of(cpc.accelerator)
    batches = RandomCrops(
        train,
        batch_size=cpc.batch_size,
        crop_length=longest_window(cpc.crop_length, net.module_.encoder, train),
        # With a latent beyond those that are skipped.
        predictable=(net.criterion_.skip_steps + 1) * net.module_.downsampling + 1,
        rng=rng,
        groups=groups,
        rank=ranks.rank,
        n_ranks=ranks.size,
        augment=cpc._augment(),
    )
    n_parts = getattr(cpc.accelerator, "gradient_accumulation_steps", 1)
    check_shares(ranks, n_parts, batches)
    return batches, held_out


def train(
    cpc: Any,
    net: CPCNet,
    batches: RandomCrops,
    held_out: Any,
    max_epochs: int,
    tasks: list[FitTasks],
) -> None:
    """Train `net` in place with the parameters of `cpc`."""
    net.max_epochs = max_epochs
    net.set_params(lr=cpc.lr, optimizer__weight_decay=cpc.weight_decay)
    net.callbacks = tasks + _callbacks(cpc)
    net.initialize_callbacks()
    validation = None
    if held_out is not None:
        options = {
            "skip_steps": net.criterion_.skip_steps,
            "temperature": cpc.temperature,
        }
        validation = Validation(batches, held_out, options)
    net.accelerator = cpc.accelerator
    if max_epochs:
        net.partial_fit((batches, validation))
    # Not part of the model: a process's own, and what holds the training data or
    # cannot be copied.
    net.accelerator = None
    net.callbacks, net.callbacks_ = None, []


def net_attributes(net: CPCNet) -> dict[str, Any]:
    """Return the attributes of a fitted estimator that follow from its net."""
    model = net.module_
    valid_scores = [epoch.get("valid_score") for epoch in net.history]
    return {
        "net_": net,
        "device_": str(net.device),
        "downsampling_": model.downsampling,
        "receptive_field_": model.receptive_field,
        "n_epochs_": len(net.history),
        "loss_curve_": [float(epoch["train_loss"]) for epoch in net.history],
        "validation_scores_": [float(s) for s in valid_scores if s is not None],
    }


def _check_architecture(cpc: Any) -> None:
    """Refuse to go on with a model that has another shape than asked for."""
    for name, value in cpc._architecture.items():
        if getattr(cpc, name) != value:
            raise ValueError(
                f"{name} was changed from {value!r} to {getattr(cpc, name)!r}, but the "
                "fitted model cannot change its shape. Fit with warm_start=False, or "
                "set it back."
            )


def _split(cpc: Any, source: Any, groups: Any, rng: Any) -> tuple[Any, Any, Any]:
    """Set a part aside for validation, whole groups if there are groups."""
    if not cpc.early_stopping:
        return source, None, groups
    n_samples = len(source)
    splitter = GroupShuffleSplit(
        1, test_size=cpc.validation_fraction, random_state=int(rng.integers(2**31))
    )
    try:
        ((train, valid),) = splitter.split(
            np.empty(n_samples),
            groups=np.arange(n_samples) if groups is None else groups,
        )
    except ValueError as error:
        raise ValueError(
            f"validation_fraction={cpc.validation_fraction} leaves no sample on "
            f"one side, of {n_samples} samples: {error}"
        ) from None
    train_groups = None if groups is None else groups[train]
    return source.take(train), source.take(valid), train_groups


def _callbacks(cpc: Any) -> list[Any]:
    """Return what runs along with the training."""
    callbacks: list[Any] = [("warm_up", WarmUp())]
    ranks = ranks_of(cpc.accelerator)
    if cpc.verbose and ranks.rank == 0:
        callbacks.append(("progress", EpochProgress()))
    callbacks += callbacks_of_rank(ranks, cpc.callbacks)
    if cpc.early_stopping:
        stop = EarlyStopping(
            "valid_score",
            patience=cpc.n_iter_no_change,
            threshold=0,
            lower_is_better=False,
            load_best=True,
            sink=noop,
        )
        callbacks.append(("early_stopping", stop))
    return callbacks


def check_groups(cpc: Any, groups: Any, n_samples: int) -> np.ndarray | None:
    """Return integer groups, or None; refuse strategies that leave no negatives."""
    if groups is not None:
        groups = column_or_1d(groups)
        if len(groups) != n_samples:
            raise ValueError(
                f"groups has {len(groups)} entries, but X has {n_samples} samples."
            )
        groups = np.unique(groups, return_inverse=True)[1]
    elif "group" in cpc.negatives:
        raise ValueError(
            f"negatives={cpc.negatives!r} needs groups: fit(X, groups=...)."
        )
    if cpc.negatives in WITHOUT_POSITIVE:
        together = n_samples if groups is None else np.bincount(groups).max()
        if min(together, cpc.batch_size) < 2:
            raise ValueError(
                f"negatives={cpc.negatives!r} needs other sequences in a batch, but "
                f"batch_size={cpc.batch_size} and at most {together} sequences could "
                "be in one. Use negatives='batch' or 'same_sequence', a larger "
                "batch_size, or more sequences."
            )
    return groups


def longest_window(crop_length: int | str | None, encoder: Any, source: Any) -> int:
    """Return the number of steps of the longest training window."""
    longest = int(source.lengths.max())
    if crop_length is None:
        return longest
    if crop_length == "auto":
        default = CROP_LATENTS * getattr(encoder, "downsampling", 1)
        crop_length = getattr(encoder, "crop_length", default)
    return min(int(crop_length), longest)


def some_windows(
    source: Any, n_channels: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values and lengths of random windows, to calibrate an encoder with."""
    rows = torch.randperm(len(source), generator=generator)[:N_CALIBRATION].numpy()
    size = min(LENGTH_CALIBRATION, -(-VALUES_CALIBRATION // (len(rows) * n_channels)))
    spare = np.maximum(source.lengths[rows] - size, 0)
    starts = np.int64(torch.rand(len(rows), generator=generator).numpy() * (spare + 1))
    x, lengths = source.batch(rows, np.minimum(starts, spare), size)
    return torch.from_numpy(x), torch.from_numpy(lengths)


def _steps_to_predict(
    cpc: Any, n_latents: int, n_timesteps: int, default_skip: int
) -> tuple[int, int]:
    """Return how many latents to skip and to predict, or say why it cannot be done."""
    skip_steps, n_ahead = cpc.skip_steps, cpc.prediction_steps
    n_wanted = 1 if n_ahead == "auto" else n_ahead
    if skip_steps == "auto":
        spare = n_latents - 1 - n_wanted
        skip_steps = max(0, min(default_skip, spare))
    n_possible = n_latents - 1 - skip_steps
    if n_possible >= n_wanted:
        automatic = min(cpc._automatic["prediction_steps"], n_possible)
        return skip_steps, automatic if n_ahead == "auto" else n_ahead
    is_table = getattr(cpc, "_fitted_on_table", False)
    table = ", n_features = 1" if is_table and n_timesteps == 1 else ""
    raise ValueError(
        f"prediction_steps={n_ahead!r} with skip_steps={cpc.skip_steps!r} needs at "
        f"least {n_wanted + 1 + skip_steps} latent steps, but the longest training "
        f"window gives {n_latents} ({n_timesteps} {cpc._step_name}{table}). Use "
        + (f"prediction_steps <= {n_possible}, " if n_possible > 0 else "")
        + f"{cpc._more_steps}."
    )
