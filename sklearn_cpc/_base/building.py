"""The model that a fit starts from: a new one, or a copy of the fitted one."""

import copy

import numpy as np
import torch

from .._data.source import Source
from ..nn.checks import check_context
from ..nn.loss import CPCLoss
from ..training.architecture import (
    Kind,
    StepParameters,
    longest_window,
    resolve,
    resume,
)
from ..training.fitted import Start
from ..training.groups import TrainingData
from ..training.net import make_net
from ..training.options import Objective
from ..training.runtime import autocast_type, resolve_device, spawn_seeds
from .hooks import Hooks


def new_start(estimator: Hooks, source: Source) -> Start:
    """Build a model that suits the samples, and random generators from the seed."""
    accelerator = estimator.accelerator
    device = (
        resolve_device(str(estimator.device))
        if accelerator is None
        else accelerator.device
    )
    weights, batches, negatives = spawn_seeds(estimator.random_state, 3)
    generator = torch.Generator().manual_seed(weights)
    encoder = estimator._build_encoder(source, generator)
    latent_size = encoder.latent_size
    if latent_size is None:
        raise TypeError(f"{type(encoder).__name__} does not declare its latent_size.")
    context, context_size = estimator.context, estimator.context_size
    if isinstance(context, torch.nn.Module):
        context = copy.deepcopy(context).cpu()
        n_timesteps = longest_window(estimator.crop_length, encoder, source.lengths)
        n_latents = -(-n_timesteps // encoder.downsampling)
        context_size = check_context(context, latent_size, n_latents)
    architecture = resolve(
        _step_parameters(estimator),
        kind_of(estimator),
        encoder,
        (latent_size, context_size),
        source.lengths,
    )
    model = estimator._build_model(encoder, context, architecture, generator)
    net = make_net(
        model,
        CPCLoss(generator=torch.Generator().manual_seed(negatives)),
        device=device,
        lr=estimator.lr,
        autocast=autocast_type(estimator.precision),
    )
    return Start(net, np.random.default_rng(batches), architecture)


def resumed_start(estimator: Hooks, source: Source) -> Start:
    """Copy the fitted model; refuse parameters that it cannot change."""
    for name, fitted in estimator._fitted_parameters.items():
        if estimator._contradicts(name, fitted):
            value = getattr(estimator, name)
            raise ValueError(
                f"{name} was changed from {fitted!r} to {value!r}, but the fitted "
                "model cannot change its shape. Fit with warm_start=False, or set it "
                "back."
            )
    net, rng = copy.deepcopy((estimator.net_, estimator._rng))
    architecture = resume(
        estimator._architecture,
        _step_parameters(estimator),
        kind_of(estimator),
        net.module_.encoder,
        source.lengths,
    )
    return Start(net, rng, architecture)


def apply_objective(
    objective: Objective, estimator: Hooks, start: Start, data: TrainingData
) -> None:
    """Give the objective to the loss, with every "auto" resolved for the data."""
    objective = objective.resolve(
        estimator._auto_defaults, start.architecture, data.source.lengths, data.groups
    )
    objective.apply(start.net.criterion_, start.architecture)


def kind_of(estimator: Hooks) -> Kind:
    """Return what a fit has to know of the kind of data."""
    return Kind(estimator._auto_defaults, estimator._step_words())


def _step_parameters(estimator: Hooks) -> StepParameters:
    return StepParameters(
        estimator.prediction_steps, estimator.skip_steps, estimator.crop_length
    )
