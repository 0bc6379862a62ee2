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

from ._diagnostics import warn_if_failed, warn_if_trivial
from ._runtime import autocast_type, resolve_device, run_options, spawn_seeds
from .nn.checks import output_size
from .nn.loss import CPCLoss
from .nn.model import CPC
from .nn.negatives import WITHOUT_POSITIVE
from .training.batches import RandomCrops
from .training.callbacks import EpochProgress, FitTasks, WarmUp
from .training.net import CPCNet
from .training.scores import reference_latents
from .training.validation import Validation

# What max_epochs="auto" gives at most; see BaseCPC for what it aims at.
MAX_EPOCHS = 100
# Latents of one training window, where the encoder does not say its length.
CROP_LATENTS = 128


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
    if resume:
        _check_architecture(cpc)
        net, rng = copy.deepcopy((cpc.net_, cpc._rng))
    else:
        net, rng = new_net(cpc, source, build_encoder)
    n_before = len(net.history)
    batches, held_out = _batches(cpc, net, rng, source, groups)
    max_epochs = 1 if fit_data is None else cpc.max_epochs
    if max_epochs == "auto":
        max_epochs = min(-(-cpc._automatic["updates"] // len(batches)), MAX_EPOCHS)

    def fitted_attributes(net: CPCNet) -> dict[str, Any]:
        return {
            "_architecture": {name: getattr(cpc, name) for name in cpc._shaping},
            "_rng": rng,
            **_fitted_attributes(cpc, net, batches),
        }

    for name in ("n_negatives", "negatives", "skip_steps", "temperature"):
        if getattr(cpc, name) != "auto":  # what that is was settled with the model
            setattr(net.criterion_, name, getattr(cpc, name))
    if max_epochs:
        model, skip_steps = net.module_, net.criterion_.skip_steps
        warn_if_trivial(
            model.receptive_field,
            model.downsampling,
            skip_steps,
            model.prediction_steps,
        )
    tasks = []
    if fit_data is not None and hasattr(cpc, "_init_callback_context"):  # 1.9
        context = cpc._init_callback_context(max_subtasks=max_epochs)
        context.call_on_fit_task_begin(estimator=cpc, X=fit_data[0], y=fit_data[1])
        tasks.append(FitTasks(context, cpc, fit_data, fitted_attributes))
    train(cpc, net, batches, held_out, max_epochs, tasks)
    fitted = fitted_attributes(net)
    for task in tasks:
        task.end(task.context, fitted)
    if fit_data is not None:
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
    latent_size, context_size = cpc.latent_size, cpc.context_size
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
    skip_steps, n_ahead = _steps_to_predict(cpc, n_latents, n_timesteps)
    module = CPC.build(
        n_channels=cpc.n_channels_in_,
        n_timesteps=n_timesteps,
        encoder=encoder,
        context=context,
        latent_size=latent_size,
        context_size=context_size,
        prediction_steps=n_ahead,
        generator=generator,
    )
    net = CPCNet(
        module,
        CPCLoss(
            skip_steps=skip_steps,
            generator=torch.Generator().manual_seed(negatives),
        ),
        optimizer=torch.optim.AdamW,
        lr=cpc.lr,
        autocast=autocast_type(cpc.precision),
        device=device,
        train_split=None,
        verbose=0,
    )
    return net.initialize(), np.random.default_rng(batches)


def _batches(
    cpc: Any,
    net: CPCNet,
    rng: np.random.Generator,
    source: Any,
    groups: np.ndarray | None,
) -> tuple[RandomCrops, Any]:
    """Return the batches, and the sequences set aside for validation or None."""
    train, held_out, groups = _split(cpc, source, groups, rng)
    batches = RandomCrops(
        train,
        batch_size=cpc.batch_size,
        crop_length=longest_window(cpc.crop_length, net.module_.encoder, train),
        rng=rng,
        groups=groups,
    )
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
    callbacks = _callbacks(cpc)
    net.callbacks = tasks + callbacks
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
    # Not part of the model: a process's own, and what holds the training data.
    net.accelerator = None
    net.callbacks = callbacks
    net.callbacks_ = [pair for pair in net.callbacks_ if pair[1] not in tasks]


def _fitted_attributes(cpc: Any, net: CPCNet, batches: RandomCrops) -> dict[str, Any]:
    model, device = net.module_, str(net.device)
    options = run_options(batches.crop_length, device, cpc.precision)
    valid_scores = [epoch.get("valid_score") for epoch in net.history]
    return {
        "net_": net,
        "device_": device,
        "downsampling_": model.downsampling,
        "receptive_field_": model.receptive_field,
        "n_epochs_": len(net.history),
        "loss_curve_": [float(epoch["train_loss"]) for epoch in net.history],
        "validation_scores_": [float(s) for s in valid_scores if s is not None],
        "_references": reference_latents(
            model, batches.source, size=batches.crop_length, **options
        ),
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
    if cpc.verbose:
        callbacks.append(("progress", EpochProgress()))
    callbacks += cpc.callbacks or []
    if cpc.early_stopping:
        stop = EarlyStopping(
            "valid_score",
            patience=cpc.n_iter_no_change,
            threshold=0,
            lower_is_better=False,
            load_best=True,
            sink=lambda _: None,
        )
        callbacks.append(("early_stopping", stop))
    return callbacks


def check_accelerator(accelerator: Any) -> None:
    """Refuse what the plain training loop does not do."""
    if accelerator is None:
        return
    for name in ("num_processes", "gradient_accumulation_steps"):
        number = getattr(accelerator, name, 1)
        if number != 1:
            raise ValueError(
                f"accelerator has {name}={number}, but training runs in one process "
                "and updates after every batch: use an Accelerator with 1."
            )


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


def _steps_to_predict(cpc: Any, n_latents: int, n_timesteps: int) -> tuple[int, int]:
    """Return how many latents to skip and to predict, or say why it cannot be done."""
    skip_steps, n_ahead = cpc.skip_steps, cpc.prediction_steps
    n_wanted = 1 if n_ahead == "auto" else n_ahead
    if skip_steps == "auto":
        spare = n_latents - 1 - n_wanted
        skip_steps = max(0, min(cpc._automatic["skip_steps"], n_latents // 4, spare))
    n_possible = n_latents - 1 - skip_steps
    if n_possible >= n_wanted:
        automatic = min(cpc._automatic["prediction_steps"], n_possible)
        return skip_steps, automatic if n_ahead == "auto" else n_ahead
    n_features = getattr(cpc, "n_features_in_", None)
    table = ", n_features = 1" if n_features == n_timesteps == 1 else ""
    raise ValueError(
        f"prediction_steps={n_ahead!r} with skip_steps={cpc.skip_steps!r} needs at "
        f"least {n_wanted + 1 + skip_steps} latent steps, but the longest training "
        f"window gives {n_latents} ({n_timesteps} {cpc._steps}{table}). Use "
        + (f"prediction_steps <= {n_possible}, " if n_possible > 0 else "")
        + "longer sequences, or an encoder with smaller strides."
    )
