"""Every refusal names what came, what is allowed, and changes nothing."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import NotFittedError
from torch import nn

from sklearn_cpc import CPCTransformer
from sklearn_cpc.datasets import load_japanese_vowels

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 30, 2))


def cpc(**options):
    options = {"latent_size": 4, "context_size": 4, "max_epochs": 1} | options
    return CPCTransformer(random_state=0, **options)


def with_value(value, *index):
    changed = X.copy()
    changed[index] = value
    return changed


def objects(cells):
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


BAD_X = {
    "none": (None, TypeError, r"X is of the type NoneType\. Pass an array of shape"),
    "scalar": (3.0, TypeError, "X is of the type float"),
    "1-D": (np.arange(5.0), ValueError, "got 1D array"),
    "4-D": (X[None], ValueError, r"got 4D array.*\(n_samples, n_timesteps\)"),
    "no samples": (X[:0], ValueError, r"0 sample\(s\)"),
    "no steps": (X[:, :0], ValueError, r"0 feature\(s\)"),
    "no channels": (X[:, :, :0], ValueError, r"0 feature\(s\)"),
    "empty list": ([], ValueError, r"0 sample\(s\)"),
    "string": ("speech", TypeError, "X is of the type str"),
    "strings": (
        np.array([["a", "b"]]),
        ValueError,
        "Convert your data to numeric values",
    ),
    "strings in a list": ([X[0], ["a", "b"]], ValueError, r"X\[1\] holds text"),
    "complex": (X + 1j, ValueError, "Complex data not supported"),
    "sparse": (sparse.csr_array(X[:, :, 0]), TypeError, "[Ss]parse"),
    "mapping": ({"a": X}, TypeError, "X is of the type dict"),
    "empty sequence": ([X[0], X[1, :0]], ValueError, r"X\[1\] has the shape \(0, 2\)"),
    "scalar in a list": ([X[0], 3.0], ValueError, r"X\[1\] has the shape \(\)"),
    "image in a list": ([X[0], X], ValueError, r"X\[1\] has the shape \(12, 30, 2\)"),
    "other channels": (
        [X[0], X[1, :, :1]],
        ValueError,
        r"X\[1\] has 1 channels, but X\[0\] has 2",
    ),
    "cells of different lengths": (
        pd.DataFrame({"a": objects([X[0, :, 0]]), "b": objects([X[0, :9, 1]])}),
        ValueError,
        r"Row 0 of X has cells of different lengths, \[9, 30\]",
    ),
    "long format": (
        pd.DataFrame(
            X.reshape(-1, 2), index=pd.MultiIndex.from_product([range(12), range(30)])
        ),
        ValueError,
        r"MultiIndex.*preprocessing\.sequences_from_long\(X\)",
    ),
    "columns of two levels": (
        pd.DataFrame(
            X.reshape(12, 60),
            columns=pd.MultiIndex.from_product([range(30), list("ab")]),
        ),
        ValueError,
        r"columns have 2 levels.*\(n_samples, n_timesteps, n_channels\)",
    ),
    "NaN": (with_value(np.nan, 7, 3, 1), ValueError, "NaN, first in sample 7.*'mask'"),
    "NaN in a list": (
        list(with_value(np.nan, 7, 3, 1)),
        ValueError,
        "NaN, first in sample 7",
    ),
    "infinity": (with_value(np.inf, 2), ValueError, "infinity or a value too large"),
    "minus infinity": (with_value(-np.inf, 2, 1), ValueError, "infinity"),
    "too large": (with_value(1e300, 2, 1), ValueError, "too large for dtype"),
    "too short to predict": (
        X[:, :1],
        ValueError,
        r"prediction_steps='auto'.*at least 2 latent steps.*gives 1 \(1 time steps\)",
    ),
}


@pytest.mark.parametrize("name", BAD_X)
def test_input_that_is_not_sequences(name):
    bad, error, message = BAD_X[name]
    with pytest.raises(error, match=message):
        cpc().fit(bad)
    fitted = cpc().fit(X)
    before = fitted.transform(X)
    with pytest.raises(error, match=message):
        fitted.fit(bad)
    np.testing.assert_array_equal(fitted.transform(X), before)
    if name != "too short to predict":
        with pytest.raises(error, match=message):
            fitted.transform(bad)


MASKED = {
    "all missing": (
        with_value(np.nan, 4),
        "Sample 4 of X is NaN throughout: remove it",
    ),
    "infinity": (with_value(np.inf, 4, 3), "infinity"),
}


@pytest.mark.parametrize("name", MASKED)
def test_input_that_cannot_be_masked(name):
    bad, message = MASKED[name]
    for form in (bad, list(bad)):
        with pytest.raises(ValueError, match=message):
            cpc(nan_policy="mask").fit(form)


BAD_PARAMETERS = {
    "encoder": ("resnet", r"'encoder' .* must be .*'audio'.*Got 'resnet'"),
    "context": ("rnn", "'context' .* must be .*'gru'"),
    "latent_size": (0, "'latent_size' .* must be an int in the range"),
    "context_size": (1.5, "'context_size' .* must be an int"),
    "prediction_steps": (0, "'prediction_steps' .* must be .*'auto'"),
    "skip_steps": (-1, "'skip_steps'"),
    "n_negatives": (0, "'n_negatives' .* must be .*'all'"),
    "negatives": ("hard", "'negatives' .* must be .*'same_sequence'"),
    "n_anchors": (0, "'n_anchors' .* must be .*'all'"),
    "temperature": (0.0, "'temperature' .* must be a float in the range"),
    "features": ("latents", "'features' .* must be .*'both'"),
    "pooling": ("median", "'pooling' .* must be .*'max'"),
    "step_window": (0, "'step_window' .* must be .*None"),
    "scaling": ("standard", "'scaling' .* must be .*'channel'"),
    "nan_policy": ("omit", "'nan_policy' .* must be .*'mask'"),
    "sampling_rate": (0, "'sampling_rate' .* must be a float in the range"),
    "channels_first": ("yes", "'channels_first' .* must be .*bool"),
    "crop_length": (1, "'crop_length' .* must be .*'auto'"),
    "max_epochs": (-1, "'max_epochs'"),
    "batch_size": (0, "'batch_size'"),
    "lr": (0.0, "'lr' .* must be a float in the range"),
    "weight_decay": (-1.0, "'weight_decay'"),
    "validation_fraction": (1.0, "'validation_fraction'"),
    "early_stopping": (None, "'early_stopping'"),
    "n_iter_no_change": (0, "'n_iter_no_change'"),
    "callbacks": ("print", "'callbacks'"),
    "accelerator": ("gpu", "'accelerator'"),
    "device": (0, "'device' .* must be an instance of 'str'"),
    "precision": ("float16", "'precision' .* must be .*'bf16'"),
    "n_jobs": (1.5, "'n_jobs'"),
    "warm_start": ("no", "'warm_start'"),
    "start": (3, "'start'"),
    "random_state": ("seed", "'random_state'"),
    "verbose": (-1, "'verbose'"),
}


def test_every_parameter_is_checked():
    assert set(BAD_PARAMETERS) == set(CPCTransformer().get_params())


@pytest.mark.parametrize("name", BAD_PARAMETERS)
def test_bad_parameters(name):
    value, message = BAD_PARAMETERS[name]
    with pytest.raises(ValueError, match=message):
        cpc().set_params(**{name: value}).fit(X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"pooling": ("mean", "median")},
            r"pooling=\('mean', 'median'\) must be one or several different ones of "
            "'mean', 'max', 'min', 'std', 'ppv', 'last'",
        ),
        ({"pooling": ()}, "must be one or several"),
        ({"pooling": ("mean", "mean")}, "must be one or several different"),
        ({"device": "tpu"}, "device='tpu' cannot be used here.*Use 'auto', 'cpu'"),
        ({"device": "cuda:99"}, "device='cuda:99' cannot be used here"),
        (
            {"prediction_steps": 30},
            "prediction_steps=30 .* needs at least 31 latent .* gives 30 .30 time steps"
            ".*prediction_steps <= 29, longer sequences, or",
        ),
        (
            {"prediction_steps": 9, "skip_steps": 25},
            "prediction_steps=9 with skip_steps=25 .*<= 4, longer",
        ),
        (
            {"skip_steps": 40},
            r"skip_steps=40 .*\(30 time steps\)\. Use longer sequences, or",
        ),
        ({"negatives": "same_group"}, "negatives='same_group' needs groups: fit"),
        (
            {"negatives": "other_sequences", "batch_size": 1},
            "needs other sequences in a batch, but batch_size=1",
        ),
        (
            {"encoder": nn.Linear(5, 3)},
            r"encoder=Linear fails on input .*\(2, 30, 2\)",
        ),
        ({"context": nn.GRU(4, 3)}, "context=GRU must turn"),
        (
            {"early_stopping": True, "validation_fraction": 0.99},
            "validation_fraction=0.99 leaves no sample on one side, of 12",
        ),
    ],
)
def test_parameters_that_do_not_suit_the_data(options, message):
    fitted = cpc().fit(X)
    before, attributes = fitted.transform(X), set(vars(fitted))
    fitted_params = fitted.get_params()
    with pytest.raises(ValueError, match=message):
        fitted.set_params(**options).fit(X)
    assert set(vars(fitted)) == attributes
    fitted.set_params(**{name: fitted_params[name] for name in options})
    np.testing.assert_array_equal(fitted.transform(X), before)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.zeros(11), "groups has 11 entries, but X has 12 samples"),
        (np.zeros((12, 2)), "1d array"),
        (range(12), "at most 1 sequences could"),
    ],
)
def test_groups_that_do_not_suit_the_data(groups, message):
    with pytest.raises(ValueError, match=message):
        cpc(negatives="same_group_other_sequences").fit(X, groups=groups)


def test_channels_that_differ_from_fit():
    fitted = cpc().fit(X)
    for method in (fitted.transform, fitted.score, fitted.transform_steps):
        with pytest.raises(ValueError, match=r"X has 1 channels, but .* expecting 2"):
            method(X[:, :, :1])
    before = fitted.transform(X)
    with pytest.raises(ValueError, match="X has 3 channels"):
        fitted.partial_fit(RNG.normal(size=(3, 30, 3)))
    np.testing.assert_array_equal(fitted.transform(X), before)


def test_before_fit():
    for method in (
        "transform",
        "transform_steps",
        "score",
        "score_samples",
    ):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(cpc(), method)(X)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        cpc().get_feature_names_out()


def test_nothing_held_out_is_long_enough():
    groups = np.arange(12) >= 6
    mixed = [x if long else x[:2] for x, long in zip(X, groups, strict=True)]
    messages = set()
    for seed in range(8):
        estimator = cpc(early_stopping=True, validation_fraction=0.5)
        try:
            estimator.set_params(random_state=seed).fit(mixed, groups=groups)
        except ValueError as error:
            messages.add(str(error)[:60])
    assert messages >= {
        "None of the 6 sequences set aside for early_stopping is long"[:60]
    }


@pytest.mark.parametrize("scaling", ["channel", "sample", None])
def test_constant_samples_and_channels_are_fine(scaling):
    constant = X.copy()
    constant[3] = 7.0
    constant[:, :, 1] = -2.0
    features = cpc(scaling=scaling).fit_transform(constant)
    assert np.isfinite(features).all()
    features = cpc(scaling=scaling).fit_transform(np.ones((5, 20, 1)))
    assert np.isfinite(features).all()


def test_very_large_and_very_small_values_are_fine():
    for factor in (1e30, 1e-30):
        assert np.isfinite(cpc().fit_transform(factor * X)).all()


def test_a_single_sequence_is_enough():
    assert cpc().fit_transform(X[:1]).shape[0] == 1


def test_unknown_split():
    with pytest.raises(ValueError, match="split must be 'train', 'test' or 'all'"):
        load_japanese_vowels(split="validation")


# ---- values of other kinds


class NoAccelerator:
    """Has the methods of an accelerator, and nothing else."""

    def autocast(self):
        """Do nothing."""

    def backward(self, loss):
        """Do nothing."""


OTHER_KINDS = {
    "meta": ({"device": "meta"}, ValueError, "device='meta' cannot be used here"),
    "hpu": ({"device": "hpu"}, ValueError, "device='hpu' cannot be used here"),
    "empty": ({"device": ""}, ValueError, "device='' cannot be used here"),
    "callbacks": ({"callbacks": [1]}, TypeError, r"callbacks\[0\] is 1.*of skorch"),
    "pairs": ({"callbacks": [("a", 1)]}, TypeError, r"callbacks\[0\] is \('a', 1\)"),
    "accelerator": (
        {"accelerator": NoAccelerator()},
        TypeError,
        "accelerator=NoAccelerator has no device and no process_index",
    ),
    "pooling": ({"pooling": [["mean"]]}, ValueError, "pooling=.*must be one or"),
    "numbers": ({"pooling": (1, 2)}, ValueError, "pooling=.*must be one or"),
    "huge": ({"latent_size": 10**7}, ValueError, "GB.*Use a smaller latent_size"),
    "huger": ({"context_size": 10**9}, ValueError, "Use a smaller latent_size"),
    "hugest": ({"context_size": 2**62}, ValueError, "Use a smaller latent_size"),
}


@pytest.mark.parametrize("name", OTHER_KINDS)
def test_values_of_other_kinds(name):
    options, error, match = OTHER_KINDS[name]
    cpc = CPCTransformer(**{"max_epochs": 1, "latent_size": 4} | options)
    with pytest.raises(error, match=match):
        cpc.fit(np.random.default_rng(0).normal(size=(8, 20)))


@pytest.mark.parametrize("device", ["cpu:1", torch.device("cpu")])
def test_any_name_of_the_cpu(device, tmp_path):
    X = np.random.default_rng(0).normal(size=(8, 20))
    options = {"max_epochs": 1, "latent_size": 4, "random_state": 0}
    fitted = CPCTransformer(device=device, **options).fit(X)
    assert fitted.device_ == "cpu"
    fitted.save(tmp_path / "model")
    expected = CPCTransformer(device="cpu", **options).fit_transform(X)
    for other in (fitted, CPCTransformer.load(tmp_path / "model")):
        np.testing.assert_array_equal(other.transform(X), expected)


def test_numbers_of_streams():
    cpc = CPCTransformer(max_epochs=0, latent_size=4).fit(np.ones((4, 20)))
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="must be None or a number of recordings"):
            cpc.stream(wrong)
    for wrong in (1.5, "2", True):
        with pytest.raises(TypeError, match="must be None or a number of recordings"):
            cpc.stream(wrong)
