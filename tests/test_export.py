"""ONNX: that the graph gives the features of the estimator, for any sizes."""

import json
import os
import sys

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from sklearn_cpc import CPCTransformer, _export
from sklearn_cpc.nn.contexts import CONTEXTS
from sklearn_cpc.nn.encoders import ENCODERS
from sklearn_cpc.nn.pooling import UNWEIGHTED

RNG = np.random.default_rng(0)
# Far from zero, as raw values are.
X = [
    (100 + 5 * RNG.normal(size=(n, 2)).cumsum(0)).astype(np.float32)
    for n in (400, 25, 1, 330, 47)
]
SMALL = {"latent_size": 8, "context_size": 8, "max_epochs": 1, "random_state": 0}


def needs_onnx():
    pytest.importorskip("onnx", reason="needs the extra onnx")
    return pytest.importorskip("onnxruntime", reason="needs the extra onnx")


def fitted(**options):
    return CPCTransformer(**SMALL | options).fit([x for x in X if len(x) > 1])


def run(path, samples, filling=np.nan):
    """Return what onnxruntime makes of samples that are padded with anything."""
    lengths = np.array([len(x) for x in samples])
    shape = len(samples), lengths.max(), samples[0].shape[1]
    values = np.full(shape, filling, np.float32)
    for row, x in zip(values, samples, strict=True):
        row[: len(x)] = x
    session = needs_onnx().InferenceSession(path)
    return session.run(None, {"values": values, "lengths": lengths})


def assert_same_features(estimator, path, samples, **options):
    features, steps, step_lengths = run(path, samples, **options)
    expected = estimator.transform_steps(samples)
    np.testing.assert_allclose(features, estimator.transform(samples), atol=1e-5)
    np.testing.assert_array_equal(step_lengths, [len(h) for h in expected])
    for h, wanted in zip(steps, expected, strict=True):
        np.testing.assert_allclose(h[: len(wanted)], wanted, atol=1e-5)


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_and_context(encoder, context, tmp_path):
    needs_onnx()
    # Of waveforms, 160 steps make a latent: up to 250. They have one channel.
    n_channels = 2 if ENCODERS[encoder].sampling_rate is None else 1
    samples = [
        RNG.normal(size=(100 * len(x), n_channels)).astype(np.float32) for x in X
    ]
    samples = X if encoder == "conv" else samples
    estimator = CPCTransformer(
        encoder=encoder, context=context, **SMALL | {"max_epochs": 0}
    ).fit(samples)
    path = tmp_path / "model.onnx"
    estimator.export_onnx(path)
    assert_same_features(estimator, path, samples)
    assert_same_features(estimator, path, samples[2:3])
    assert_same_features(estimator, path, [samples[0][:1]])


@pytest.mark.parametrize("scaling", ["channel", "sample", None])
def test_scaling_is_in_the_graph(scaling, tmp_path):
    needs_onnx()
    estimator = fitted(scaling=scaling, pooling=UNWEIGHTED)
    path = tmp_path / "model.onnx"
    estimator.export_onnx(path)
    constant = np.full((30, 2), 5, np.float32)
    for filling in (np.nan, np.inf, 1e30):  # padding, whatever it holds
        assert_same_features(estimator, path, [*X, constant], filling=filling)


@pytest.mark.parametrize("features", ["context", "latent", "both"])
def test_metadata(features, tmp_path):
    onnxruntime = needs_onnx()
    estimator = fitted(features=features)
    path = tmp_path / "model.onnx"
    estimator.export_onnx(path)
    session = onnxruntime.InferenceSession(path)
    metadata = session.get_modelmeta().custom_metadata_map
    metadata = {name: json.loads(value) for name, value in metadata.items()}
    assert metadata["feature_names"] == estimator.get_feature_names_out().tolist()
    assert metadata["downsampling"] == estimator.downsampling_ == 8
    layers = ["latent", "context"] if features == "both" else [features]
    names = [f"{layer}_{i}" for layer in layers for i in range(8)]
    assert metadata["step_feature_names"] == names
    shapes = {part.name: part.shape for part in session.get_inputs()}
    assert shapes == {
        "values": ["n_samples", "n_timesteps", 2],
        "lengths": ["n_samples"],
    }


def test_missing_values(tmp_path):
    needs_onnx()
    holes = [x.copy() for x in X]
    holes[0][5:9, 1] = np.nan
    holes[3][7] = np.nan
    estimator = fitted(nan_policy="mask")
    path = tmp_path / "model.onnx"
    estimator.export_onnx(path)
    assert_same_features(estimator, path, holes)


class Past(nn.Module):
    """The mean of each step and the one before."""

    def forward(self, x):
        return (x + torch.cat([x[:, :1], x[:, :-1]], 1)) / 2


class FixedLength(nn.Module):
    """Right for any length in torch, but not in a graph."""

    def forward(self, x):
        return x * torch.linspace(1, 2, 2000)[: int(x.shape[1]), None]


class Unknown(nn.Module):
    """Does what ONNX has no operation for."""

    def forward(self, x):
        return torch.special.bessel_j0(x)


def test_own_modules(tmp_path):
    needs_onnx()
    estimator = fitted(encoder=nn.Sequential(nn.Linear(2, 8), Past()), context=Past())
    path = tmp_path / "model.onnx"
    estimator.export_onnx(path)
    assert_same_features(estimator, path, X)


@pytest.mark.parametrize(
    ("context", "message"),
    [(FixedLength(), "onnxruntime fails on 1 samples"), (Unknown(), "bessel_j0")],
)
def test_own_modules_that_cannot_be_exported(context, message, tmp_path):
    needs_onnx()
    estimator = fitted(context=context)
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match=message) as caught:
        estimator.export_onnx(path)
    name = type(context).__name__
    assert f"context={name} cannot be exported to ONNX" in str(caught.value)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_exporting_changes_nothing(tmp_path):
    needs_onnx()
    estimator = fitted()
    before = estimator.transform(X)
    state = torch.random.get_rng_state()
    names = set(vars(estimator))
    estimator.export_onnx(tmp_path / "a.onnx")
    estimator.export_onnx(str(tmp_path / "b.onnx"))
    a, b = ((tmp_path / name).read_bytes() for name in ("a.onnx", "b.onnx"))
    assert a == b
    np.testing.assert_array_equal(estimator.transform(X), before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert set(vars(estimator)) == names


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    needs_onnx()
    estimator = fitted()
    path = tmp_path / "model.onnx"
    estimator.export_onnx(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        fitted(features="latent").export_onnx(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_not_fitted(tmp_path):
    with pytest.raises(NotFittedError):
        CPCTransformer().export_onnx(tmp_path / "model.onnx")


def test_without_onnx_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"sklearn-cpc\[onnx\]"):
        fitted().export_onnx(tmp_path / "model.onnx")
    assert not os.listdir(tmp_path)


def test_the_example_is_longer_than_what_attention_looks_back_to():
    """Or the graph would have the shorter way of attention only."""
    from sklearn_cpc.nn.contexts import WINDOW

    assert _export.EXAMPLE[1] > 2 * WINDOW
    assert max(n for _, n in _export.TRIALS) > 2 * WINDOW
