"""Files, pickles and copies: the same features, or an error that says why."""

import copy
import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback
from torch import nn

from sklearn_cpc import Checkpoint, CPCTransformer
from sklearn_cpc._compat import HAS_CALLBACKS
from sklearn_cpc.nn import KernelEncoder, LogMelEncoder
from sklearn_cpc.nn.encoders import ENCODERS

DATA = Path(__file__).parent / "data"
X = np.random.default_rng(0).normal(size=(16, 40, 2)).cumsum(1)
WAVES = np.repeat(X, 8, axis=1)[:, :, :1]


def cpc(**options):
    options = {"latent_size": 8, "context_size": 8, "max_epochs": 2} | options
    return CPCTransformer(**{"random_state": 0} | options)


class Own(nn.Module):
    """An encoder of the user's, with a buffer that is not finite."""

    downsampling = 2

    def __init__(self, size=4):
        super().__init__()
        self.linear = nn.Linear(2, size)
        self.register_buffer("limit", torch.tensor(torch.inf))

    def forward(self, x):
        return self.linear(x[:, ::2]).clamp(max=self.limit)


# ---- all ways there and back


def saved(fitted, folder):
    fitted.save(folder / "model.safetensors")
    return CPCTransformer.load(folder / "model.safetensors")


def pickled(fitted, folder):
    return pickle.loads(pickle.dumps(fitted))


def oldest_pickle(fitted, folder):
    return pickle.loads(pickle.dumps(fitted, protocol=2))


def compressed(fitted, folder):
    joblib.dump(fitted, folder / "model.joblib", compress=3)
    return joblib.load(folder / "model.joblib")


def memory_mapped(fitted, folder):
    joblib.dump(fitted, folder / "model.joblib")
    return joblib.load(folder / "model.joblib", mmap_mode="r")


def cloudpickled(fitted, folder):
    return pickle.loads(cloudpickle.dumps(fitted))


def skopsed(fitted, folder):
    import skops.io  # here, because it imports all of scikit-learn

    data = skops.io.dumps(fitted)
    trusted = skops.io.get_untrusted_types(data=data)
    assert trusted == ["sklearn_cpc._sequence.CPCTransformer"]
    return skops.io.loads(data, trusted=trusted)


def deepcopied(fitted, folder):
    return copy.deepcopy(fitted)


WAYS = [
    saved,
    pickled,
    oldest_pickle,
    compressed,
    memory_mapped,
    cloudpickled,
    skopsed,
    deepcopied,
    lambda fitted, folder: copy.copy(fitted),
]
MODELS = {
    "default": {"latent_size": 128, "context_size": 128},
    "gru": {"context": "gru", "scaling": "sample", "pooling": "mean"},
    "audio": {"encoder": "audio", "scaling": None, "prediction_steps": 1},
    "log_mel": {"encoder": "log_mel", "scaling": None, "prediction_steps": 1},
    "untrained": {"max_epochs": 0, "context": "conv", "pooling": ["max", "std"]},
    "early": {"early_stopping": True, "warm_start": True, "features": "both"},
}


def given(fitted, data):
    """Return features, steps and scores."""
    steps = fitted.transform_steps(data)
    return fitted.transform(data), fitted.score_samples(data), *steps


@cache
def of_model(name):
    """Return a fitted model, its data and what it gives; nothing may change it."""
    data = WAVES if name in {"audio", "log_mel"} else X
    fitted = cpc(**MODELS[name]).fit(data)
    return fitted, data, given(fitted, data)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_every_way_gives_the_same_estimator(way, name, tmp_path):
    fitted, data, expected = of_model(name)
    other = way(fitted, tmp_path)
    for mine, yours in zip(given(other, data), expected, strict=True):
        np.testing.assert_array_equal(mine, yours)
    assert other.get_params() == fitted.get_params()
    assert set(vars(other)) == set(vars(fitted))
    for attribute in ("loss_curve_", "validation_scores_", "n_features_in_"):
        assert getattr(other, attribute) == getattr(fitted, attribute)
    assert clone(other).get_params() == fitted.get_params()


@pytest.mark.parametrize("way", WAYS)
def test_parameters_keep_their_types(way, tmp_path):
    random_state = np.random.RandomState(3)
    random_state.normal()  # keeps a second normal number for the next call
    options = {"lr": np.float64(1e-3), "batch_size": np.int64(8)}
    options |= {"pooling": ("max", "std", "ppv"), "random_state": random_state}
    fitted = cpc(**options)
    other = way(fitted.fit(X), tmp_path)
    assert other.pooling == ("max", "std", "ppv")
    assert (other.lr, other.batch_size, other.scaling) == (1e-3, 8, "channel")
    if other.random_state is not random_state:
        assert other.random_state.normal() == random_state.normal()
    assert other.fit(X).n_epochs_ == 2


@pytest.mark.parametrize("way", WAYS)
def test_names_and_output_of_frames_survive(way, tmp_path):
    frame = pd.DataFrame(X[:, :, 0], columns=[f"t{i}" for i in range(40)])
    fitted = cpc().set_output(transform="pandas").fit(frame)
    other = way(fitted, tmp_path)
    pd.testing.assert_frame_equal(other.transform(frame), fitted.transform(frame))
    assert other.feature_names_in_.tolist() == frame.columns.tolist()
    with pytest.raises(ValueError, match="feature names should match"):
        other.transform(frame.rename(columns={"t0": "other"}))


@pytest.mark.parametrize("way", [saved, pickled, skopsed, deepcopied])
def test_training_goes_on_exactly_where_it_was(way, tmp_path):
    """With warm_start, or after partial_fit: the state of the optimizer is there."""
    fitted = cpc(warm_start=True, batch_size=4).fit(X)
    other = way(fitted, tmp_path)
    np.testing.assert_array_equal(other.fit(X).transform(X), fitted.fit(X).transform(X))
    fitted = cpc(batch_size=4).partial_fit(X).partial_fit(X + 1)
    other = way(fitted, tmp_path)
    fitted.partial_fit(X - 1)
    other.partial_fit(X - 1)
    np.testing.assert_array_equal(other.transform(X), fitted.transform(X))
    assert other.loss_curve_ == fitted.loss_curve_


class Rates(Callback):
    """Notes the learning rate of the last update."""

    def on_batch_begin(self, net, **kwargs):
        self.last_ = net.optimizer_.param_groups[0]["lr"]


@pytest.mark.parametrize("way", [saved, pickled])
def test_else_it_goes_on_with_a_new_optimizer_and_warm_up(way, tmp_path):
    fitted = cpc(batch_size=4, max_epochs=8).fit(X)
    other = way(fitted, tmp_path)
    assert len(fitted.net_.optimizer_.state) > 0
    assert len(other.net_.optimizer_.state) == 0
    rates = Rates()
    other.set_params(callbacks=[rates]).partial_fit(X)
    assert other.n_epochs_ == 9
    assert rates.last_ == pytest.approx(other.lr * 4 / 20)  # 4 updates of 20
    fitted.set_params(callbacks=[rates]).partial_fit(X)
    assert rates.last_ == fitted.lr


def test_a_pickle_is_little_larger_than_the_weights():
    fitted = cpc(latent_size=128, context_size=128, max_epochs=100).fit(X[:, :12])
    n_bytes = sum(4 * p.numel() for p in fitted.net_.module_.parameters())
    assert len(pickle.dumps(fitted)) < 1.2 * n_bytes
    with_optimizer = pickle.dumps(fitted.set_params(warm_start=True))
    assert 3 * n_bytes < len(with_optimizer) < 3.2 * n_bytes


def test_pickles_and_files_of_the_same_model_are_the_same_bytes(tmp_path):
    one, other = cpc().fit(X), cpc().fit(X)
    assert pickle.dumps(one) == pickle.dumps(other)
    one.save(tmp_path / "one")
    other.save(tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_pipeline_can_be_pickled():
    y = np.arange(16) % 2
    pipe = make_pipeline(cpc(), LogisticRegression()).fit(X, y)
    other = pickle.loads(pickle.dumps(pipe))
    np.testing.assert_array_equal(other.predict_proba(X), pipe.predict_proba(X))


def test_an_unfitted_estimator():
    other = pickle.loads(pickle.dumps(cpc(lr=0.5)))
    assert other.get_params() == cpc(lr=0.5).get_params()
    with pytest.raises(NotFittedError):
        other.transform(X)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        cpc().save("nowhere")


def test_parameters_can_be_changed_at_load(tmp_path):
    fitted = cpc(verbose=0).fit(X)
    fitted.save(tmp_path / "model")
    other = CPCTransformer.load(tmp_path / "model", n_jobs=1, features="latent")
    assert other.n_jobs == 1
    np.testing.assert_array_equal(
        other.transform(X), fitted.set_params(features="latent").transform(X)
    )
    with pytest.raises(ValueError, match="Invalid parameter 'feature'"):
        CPCTransformer.load(tmp_path / "model", feature="latent")


def test_what_belongs_to_a_process_is_not_saved(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run")
    fitted = cpc(callbacks=[checkpoint]).fit(X)
    assert saved(fitted, tmp_path).callbacks is None


# ---- own modules


@pytest.mark.parametrize("way", [saved, pickled, cloudpickled, deepcopied])
def test_own_modules(way, tmp_path):
    encoder, context = Own(), nn.Sequential(nn.Linear(4, 6), nn.Tanh())
    fitted = cpc(encoder=encoder, context=context).fit(X)
    if way is saved:
        path = tmp_path / "model"
        fitted.save(path)
        message = (
            r"your own context \(Sequential\) and encoder \(Own\); no file holds their "
            r"code\. Pass it again: CPCTransformer\.load\(path, context=\.\.\., enc"
        )
        with pytest.raises(ValueError, match=message):
            CPCTransformer.load(path)
        parts = {"encoder": Own(), "context": copy.deepcopy(context)}
        before = copy.deepcopy(parts["encoder"].state_dict())
        other = CPCTransformer.load(path, **parts)
        torch.testing.assert_close(parts["encoder"].state_dict(), before)
        for wrong in (Own(size=5), nn.Linear(2, 4)):
            with pytest.raises(ValueError, match="context and encoder must be as in"):
                CPCTransformer.load(path, encoder=wrong, context=context)
    else:
        other = way(fitted, tmp_path)
    np.testing.assert_array_equal(other.transform(X), fitted.transform(X))
    assert other.set_params(warm_start=True).fit(X).n_epochs_ == 4


# ---- devices


def test_a_model_of_another_device_loads(tmp_path):
    """device="auto" finds what is here; what is not here is replaced by the CPU."""
    fitted = cpc().fit(X)
    expected = fitted.transform(X)
    fitted.device_ = "cuda"  # as if it had been there
    assert pickled(fitted, tmp_path).device_ != "cuda:0"
    np.testing.assert_allclose(
        pickled(fitted, tmp_path).transform(X), expected, atol=1e-4
    )
    fitted.set_params(device="cuda:77")
    for way in (saved, pickled):
        with pytest.warns(UserWarning, match=r"runs on the CPU: device='cuda:77' can"):
            other = way(fitted, tmp_path)
        assert other.device_ == "cpu"
        np.testing.assert_array_equal(other.transform(X), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_of_a_gpu_works_without_one(tmp_path):
    fitted = cpc(warm_start=True).fit(X)
    assert fitted.device_.startswith("cuda")
    fitted.save(tmp_path / "model")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(fitted))
    np.save(tmp_path / "x.npy", X)
    script = """
import pickle, sys, numpy as np
from sklearn_cpc import CPCTransformer
folder = sys.argv[1]
X = np.load(folder + "/x.npy")
for model in (
    CPCTransformer.load(folder + "/model"),
    pickle.load(open(folder + "/model.pkl", "rb")),
):
    assert model.device_ == "cpu"
    np.save(folder + "/features.npy", model.transform(X))
    model.fit(X)
"""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=environment, check=True
    )
    features = np.load(tmp_path / "features.npy")
    np.testing.assert_allclose(features, fitted.transform(X), atol=1e-3)


# ---- formats


def test_files_of_the_first_format_still_load():
    """The file was written by tests/data/make_model_v1.py."""
    known = np.load(DATA / "model_v1.npz")
    sequences = [known[f"x{i}"] for i in range(4)]
    fitted = CPCTransformer.load(DATA / "model_v1.safetensors")
    np.testing.assert_allclose(
        fitted.transform(sequences), known["features"], 1e-4, 1e-5
    )
    np.testing.assert_allclose(fitted.score_samples(sequences), known["scores"], 1e-4)
    assert fitted.loss_curve_ == known["loss_curve"].tolist()
    assert fitted.fit(sequences).n_epochs_ == 6


SPEC = importlib.util.spec_from_file_location("files_v1", DATA / "make_files_v1.py")
V1 = importlib.util.module_from_spec(SPEC)
sys.modules["files_v1"] = V1  # copies of a net look the own module up
SPEC.loader.exec_module(V1)


@pytest.mark.parametrize("name", V1.CASES)
def test_more_files_of_the_first_format_still_load(name):
    """Images, texts, and an own module with a stride that the file does not say."""
    make, samples, options = V1.CASES[name]
    own = {"encoder": options["encoder"]} if name == "own" else {}
    fitted = make.load(DATA / f"{name}_v1.safetensors", **own)
    known = np.load(DATA / "files_v1.npz")
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(
        fitted.transform(samples), known[f"{name}_features"], **close
    )
    # The latents of the own module hardly differ. Its scores are known by the present
    # definition, in which references close to the positive count in part.
    np.testing.assert_allclose(
        fitted.score_samples(samples), known[f"{name}_scores"], **close
    )
    assert (fitted.crop_length_, fitted.max_epochs_) == (None, 2)
    steps = {"images": (3, 3, 1), "texts": (3, 0, 1), "own": (8, 3, 2)}[name]
    found = (fitted.prediction_steps_, fitted.skip_steps_, fitted.downsampling_)
    assert found == steps
    fitted.set_params(warm_start=True).fit(samples)
    assert fitted.n_epochs_ == 4
    assert fitted.crop_length_ is not None


@pytest.mark.skipif(
    not HAS_CALLBACKS, reason="the checkpoint was made with scikit-learn's callbacks"
)
def test_a_checkpoint_of_the_first_format_can_be_resumed(tmp_path):
    path = tmp_path / "run"
    shutil.copy(DATA / "checkpoint_v1.safetensors", path)
    fitted = V1.resumable(path).fit(V1.SERIES)
    known = np.load(DATA / "files_v1.npz")
    assert len(fitted.loss_curve_) == 5
    np.testing.assert_allclose(fitted.loss_curve_, known["checkpoint_losses"], 1e-4)
    np.testing.assert_allclose(
        fitted.transform(V1.SERIES), known["checkpoint_features"], 1e-3, 1e-4
    )
    assert V1.Interrupt.n_trained == 2  # three epochs are in the file


@pytest.mark.parametrize(
    ("name", "former"), [("kernels", KernelEncoder), ("log_mel", LogMelEncoder)]
)
@pytest.mark.parametrize("way", [saved, pickled])
def test_models_of_the_former_encoders_stay_what_they_are(
    name, former, way, tmp_path, monkeypatch
):
    data = WAVES if name == "log_mel" else np.repeat(X, 8, axis=1)
    with monkeypatch.context() as patch:
        patch.setitem(ENCODERS, name, former)
        fitted = cpc(encoder=name, prediction_steps=1, warm_start=True).fit(data)
    other = way(fitted, tmp_path)
    assert type(other.net_.module_.encoder) is former
    np.testing.assert_array_equal(other.transform(data), fitted.transform(data))
    np.testing.assert_array_equal(other.score_samples(data), fitted.score_samples(data))
    other.fit(data)  # goes on with the model that is there
    assert type(other.net_.module_.encoder) is former
    assert other.n_epochs_ == 4


def test_other_tools_can_read_a_file(tmp_path):
    cpc().fit(X).save(tmp_path / "model")
    with safetensors.safe_open(tmp_path / "model", "np") as file:
        header = json.loads(file.metadata()["sklearn_cpc"])
        weight = file.get_tensor("fitted.net.weights.predictor.linear.weight")
    assert header["format"] == 2
    assert weight.shape == (4 * 8, 8)
