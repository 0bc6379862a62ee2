"""Checkpoints belong to a fit: whatever changes its result is in the digest."""

import functools

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EpochScoring, LRScheduler

from sklearn_cpc import Checkpoint, CPCImageTransformer, CPCTransformer, ModelFileError
from sklearn_cpc.training.fingerprint import describe

X = np.random.default_rng(0).normal(size=(12, 40, 2)).cumsum(1)
IMAGES = np.random.default_rng(0).normal(size=(12, 10, 10))
SMALL = {"latent_size": 4, "context_size": 4, "random_state": 0, "max_epochs": 3}


class Fault(Exception):
    """What interrupts a fit."""


class Interrupt(Callback):
    """Interrupts a fit after its second epoch."""

    active = True

    def on_epoch_begin(self, net, **kwargs):
        if self.active and len(net.history) == 3:
            raise Fault


class Noise(Callback):
    """Has options of all kinds."""

    def __init__(self, scale, function=None):
        self.scale, self.function = scale, function


class Own(torch.nn.Linear):
    """An encoder with a hyperparameter that is no weight."""

    def __init__(self, slope):
        super().__init__(2, 4)
        self.slope = slope
        torch.nn.init.constant_(self.weight, 0.1)
        torch.nn.init.zeros_(self.bias)

    def forward(self, x):
        return torch.nn.functional.leaky_relu(super().forward(x), self.slope)


def half(x):
    return x / 2


def fit(path, active, kind, data, options):
    Interrupt.active = active
    callbacks = [Checkpoint(path, interval=0), Interrupt()]
    options = SMALL | options
    callbacks += options.pop("callbacks", [])
    return kind(callbacks=callbacks, **options).fit(data)


OF_SERIES, OF_IMAGES = (CPCTransformer, X), (CPCImageTransformer, IMAGES)
OTHERS = {
    "numbers of numpy": (
        *OF_SERIES,
        {"n_negatives": np.int64(3)},
        {"n_negatives": np.int64(60)},
        "parameters",
    ),
    "augmentation": (
        *OF_IMAGES,
        {"augmentation": "crop"},
        {"augmentation": ("crop", "flip")},
        "parameters",
    ),
    "no augmentation": (*OF_IMAGES, {}, {"augmentation": None}, "parameters"),
    "an array of a callback": (
        *OF_SERIES,
        {"callbacks": [Noise(np.arange(3.0))]},
        {"callbacks": [Noise(np.arange(3.0) + 1)]},
        "callbacks",
    ),
    "a number of numpy of a callback": (
        *OF_SERIES,
        {"callbacks": [Noise(np.float32(0.5))]},
        {"callbacks": [Noise(np.float32(0.25))]},
        "callbacks",
    ),
    "a function of a callback": (
        *OF_SERIES,
        {"callbacks": [Noise(1, lambda x: x + 1)]},
        {"callbacks": [Noise(1, lambda x: x + 2)]},
        "callbacks",
    ),
    "an own module": (
        *OF_SERIES,
        {"encoder": Own(0.1)},
        {"encoder": Own(0.2)},
        "modules",
    ),
    "threads": (*OF_SERIES, {"n_jobs": 1}, {"n_jobs": 2}, "n_jobs"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_checkpoint_of_another_fit_is_refused(name, tmp_path):
    kind, data, before, after, match = OTHERS[name]
    with pytest.raises(Fault):
        fit(tmp_path / "run", True, kind, data, before)
    with pytest.raises(ModelFileError, match=f"another fit: .*{match}.* differ"):
        fit(tmp_path / "run", False, kind, data, after)
    resumed = fit(tmp_path / "run", False, kind, data, before)
    whole = fit(tmp_path / "whole", False, kind, data, before)
    np.testing.assert_array_equal(resumed.transform(data), whole.transform(data))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"verbose": 0}, {"verbose": 1}),
        ({"n_negatives": 9}, {"n_negatives": np.int64(9)}),
        ({"lr": 0.01}, {"lr": np.float64(0.01)}),
        ({"encoder": Own(0.1)}, {"encoder": Own(0.1)}),
        ({"callbacks": [Noise(1, half)]}, {"callbacks": [Noise(1, half)]}),
    ],
)
def test_what_changes_nothing_is_no_other_fit(before, after, tmp_path, capsys):
    with pytest.raises(Fault):
        fit(tmp_path / "run", True, *OF_SERIES, before)
    assert fit(tmp_path / "run", False, *OF_SERIES, after).n_epochs_ == 3


def test_descriptions():
    assert describe(np.int64(3)) == describe(3) != describe(3.5)
    assert describe(np.arange(2)) != describe(np.arange(2.0))
    assert describe(torch.arange(2)) == describe(torch.arange(2)) != describe([0, 1])
    assert describe(functools.partial(half, 1)) != describe(functools.partial(half, 2))
    assert describe(torch.float16) != describe(torch.bfloat16)
    assert describe({"a": {1, 2}}) == describe({"a": {2, 1}})
    scheduler = LRScheduler("StepLR", step_size=2)
    assert describe(scheduler) == describe(LRScheduler("StepLR", step_size=2))
    assert describe(scheduler) != describe(LRScheduler("StepLR", step_size=3))
    assert describe(EpochScoring(half)) != describe(EpochScoring(describe))
    loop = Noise(1)
    loop.scale = loop
    assert describe(loop) == describe(loop)  # it comes to an end
