"""Steps with the statistics of a window of the past: the same in every way there is."""

import json
import pickle
import time

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_cpc import CPCTransformer
from sklearn_cpc.nn.features import FEATURES, named_layers
from sklearn_cpc.nn.pooling import UNWEIGHTED
from sklearn_cpc.nn.window_pooling import WindowPooling
from sklearn_cpc.training import inference

RNG = np.random.default_rng(0)
X = [100 + RNG.normal(size=(n, 2)).cumsum(0) for n in (400, 300, 1, 350, 333)]


def fit(**options):
    options = {"latent_size": 8, "context_size": 6, "max_epochs": 0} | options
    return CPCTransformer(random_state=0, **options).fit([x for x in X if len(x) > 1])


def statistic(name, h):
    """Return a statistic of the rows of `h`, by numpy."""
    return {
        "mean": lambda: h.mean(0),
        "max": lambda: h.max(0),
        "min": lambda: h.min(0),
        "std": lambda: h.std(0),
        "ppv": lambda: (h > 0).mean(0),
        "last": lambda: h[-1],
        "direction": lambda: (
            h.mean(0) / np.linalg.norm(h.mean(0), axis=-1, keepdims=True)
        ),
    }[name]()


def activations(cpc, x):
    """Return each layer of one sequence, float64, and its downsampling."""
    scaled = cpc._read_fitted([x]).batch(np.arange(1))[0]
    with torch.inference_mode():
        layers = named_layers(cpc.net_.module_, torch.from_numpy(scaled), "all")
    return {
        name: (layer.values[0].double().numpy(), layer.downsampling)
        for name, layer in layers.items()
    }


def expected_steps(cpc, x):
    """Return the columns of `transform_steps` of one sequence, window by window."""
    columns = []
    for layer, (h, factor) in activations(cpc, x).items():
        n = -(-cpc.step_window // factor)
        ends = range(0, len(h), cpc.downsampling_ // factor)
        columns += [
            np.stack([statistic(name, h[max(0, i + 1 - n) : i + 1]) for i in ends])
            for name in cpc._statistics().of_layer(layer)
        ]
    return np.concatenate(columns, 1)


@pytest.mark.parametrize("step_window", [1, 2, 7, 64, 100, 5_000])
@pytest.mark.parametrize(
    ("encoder", "downsamplings"),
    [("kernels", [4, 16, 32, 32]), ("audio", [5, 20, 40, 80, 160, 160])],
)
def test_steps_are_the_statistics_of_their_windows(encoder, downsamplings, step_window):
    n_channels = 1 if encoder == "audio" else 2
    samples = [np.tile(x[:, :n_channels], (3, 1)) for x in X]
    cpc = CPCTransformer(
        encoder=encoder,
        features="all",
        latent_size=4,
        context_size=4,
        max_epochs=0,
        random_state=0,
    ).fit(samples)
    assert [f for _, f in activations(cpc, samples[0]).values()] == downsamplings
    for pooling in (UNWEIGHTED, "auto"):
        cpc.set_params(pooling=pooling, step_window=step_window)
        for steps, x in zip(cpc.transform_steps(samples), samples, strict=True):
            wanted = expected_steps(cpc, x)
            np.testing.assert_allclose(steps, wanted, rtol=0, atol=2e-5)


@pytest.mark.parametrize("every", [1, 3, 4])
@pytest.mark.parametrize("name", UNWEIGHTED)
def test_pieces_give_the_bits_of_the_whole_and_the_values_of_a_loop(name, every):
    h = torch.randn(3, 50, 4, generator=torch.Generator().manual_seed(0)) + 1
    steps = h.double().transpose(0, 1).numpy()  # (T, B, D)
    for n_steps in (1, 3, 8, 64):
        whole = WindowPooling([name], n_steps, every).push(h)[name]
        looped = [
            statistic(name, steps[max(0, t + 1 - n_steps) : t + 1])
            for t in range(0, 50, every)
        ]
        np.testing.assert_allclose(whole, np.stack(looped, 1), rtol=0, atol=1e-6)
        for size in (1, 7, 16):
            pool = WindowPooling([name], n_steps, every, remember=True)
            parts = [pool.push(part)[name] for part in h.split(size, 1)]
            assert torch.equal(torch.cat(parts, 1), whole)


def test_large_values_keep_their_deviation():
    """A running sum of squares would have nothing left of it."""
    h = 1e4 + torch.randn(1, 20_000, 3, generator=torch.Generator().manual_seed(0))
    std = WindowPooling(["std"], 300).push(h)["std"]
    wanted = h.double().unfold(1, 300, 1).std(-1, correction=0)
    np.testing.assert_allclose(std[:, 299:], wanted, rtol=2e-3)


def test_a_stream_remembers_no_more_than_its_window():
    pool = WindowPooling(["max", "std"], 300, remember=True)
    for n_steps in (5_000, *[1] * 400, 700, 40):
        pool.push(torch.zeros(2, n_steps, 3))
        rows = sum(len(room) for past in pool._pasts for room in past._room)
        assert rows <= 3 * 3 * 300  # maxima, standard deviations and means


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("pooling", ["mean", ("max", "std", "ppv"), "auto"])
def test_names_are_those_of_transform(features, pooling):
    cpc = fit(features=features, pooling=pooling, step_window=20)
    names = cpc._step_feature_names()
    np.testing.assert_array_equal(names, cpc.get_feature_names_out())
    assert cpc.transform_steps(X)[0].shape == (25, len(names))
    assert cpc.stream().push(X[0]).shape == (25, len(names))
    assert cpc.stream().push(X[0][:0]).shape == (0, len(names))


def test_the_last_step_of_a_long_window_is_the_feature_of_the_sequence():
    cpc = fit(step_window=10**9, pooling=UNWEIGHTED)
    ends = X[0][:385], X[1][:289]  # a latent is their last step
    last = [steps[-1] for steps in cpc.transform_steps(list(ends))]
    np.testing.assert_allclose(last, cpc.transform(list(ends)), atol=1e-5)


@pytest.mark.parametrize(
    ("context", "pooling"),
    [("gru", UNWEIGHTED), ("conv", UNWEIGHTED), ("lstm", "auto")],
)
@pytest.mark.parametrize(("size", "n"), [(1, 150), (33, 400), (300, 400)])
def test_streams_give_the_steps_of_the_whole(context, pooling, size, n):
    cpc = fit(context=context, pooling=pooling, step_window=50)
    x = X[0][:n]
    (whole,) = cpc.transform_steps([x])
    stream = cpc.stream()
    first = [stream.push(x[i : i + size]) for i in range(0, n // 2, size)]
    stream = pickle.loads(pickle.dumps(stream))
    done = stream.n_steps_seen
    rest = [stream.push(x[i : i + size]) for i in range(done, n, size)]
    streamed = np.concatenate(first + rest)
    np.testing.assert_allclose(streamed, whole, rtol=0, atol=2e-5)
    stream.reset()
    np.testing.assert_array_equal(stream.push(x[:size]), first[0])


def test_pieces_of_long_sequences(monkeypatch):
    cpc = fit(step_window=50)
    whole = cpc.transform_steps(X)
    monkeypatch.setattr(inference, "PIECE", 77)
    for one, other in zip(cpc.transform_steps(X), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_no_step_sees_the_future():
    cpc = fit(step_window=30)
    changed = X[0].copy()
    changed[200:] += 50
    before, after = (cpc.transform_steps([x])[0] for x in (X[0], changed))
    assert cpc.downsampling_ == 16
    np.testing.assert_array_equal(before[:13], after[:13])
    assert (before[13] != after[13]).any()


@pytest.mark.parametrize("step_window", [1, 37, 64])
def test_onnx(step_window, tmp_path):
    pytest.importorskip("onnx", reason="needs the extra onnx")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    cpc = fit(step_window=step_window, pooling=UNWEIGHTED)
    cpc.export_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for x in (X[0], X[1][:3], X[2]):
        inputs = {"values": x[None].astype(np.float32), "lengths": np.array([len(x)])}
        (steps,) = session.run(["steps"], inputs)
        wanted = cpc.transform_steps([x.astype(np.float32)])
        np.testing.assert_allclose(steps, wanted, atol=1e-4)
    names = session.get_modelmeta().custom_metadata_map["step_feature_names"]
    assert json.loads(names) == cpc._step_feature_names().tolist()


def test_it_is_read_out_alone_and_can_change_after_a_fit(tmp_path):
    cpc = fit()
    plain, pooled = cpc.transform_steps(X), cpc.transform(X)
    cpc.set_params(step_window=9)
    wanted = fit(step_window=9).transform_steps(X)
    cpc.save(tmp_path / "model.safetensors")
    copies = (
        cpc,
        CPCTransformer.load(tmp_path / "model.safetensors"),
        pickle.loads(pickle.dumps(cpc)),
        clone(cpc).fit(X),
    )
    for copy in copies[:3]:
        np.testing.assert_array_equal(copy.transform_steps(X)[0], wanted[0])
        np.testing.assert_array_equal(copy.transform(X), pooled)
    assert [copy.step_window for copy in copies] == [9] * 4
    cpc.set_params(step_window=None)
    np.testing.assert_array_equal(cpc.transform_steps(X)[0], plain[0])


def test_pickles_of_earlier_releases_have_no_window():
    cpc = fit()
    state = cpc.__getstate__()
    del state["step_window"]
    old = object.__new__(CPCTransformer)
    old.__setstate__(state)
    assert old.step_window is None
    np.testing.assert_array_equal(old.transform_steps(X)[0], cpc.transform_steps(X)[0])


@pytest.mark.parametrize("bad", [0, -3, 2.5, "8", (4,)])
def test_what_is_no_number_of_steps_is_refused(bad):
    with pytest.raises(ValueError, match="step_window"):
        fit(step_window=bad)
    cpc = fit().set_params(step_window=bad)
    for call in (lambda: cpc.transform_steps(X), cpc.stream):
        with pytest.raises(
            ValueError, match=r"step_window=.* must be None or a number"
        ):
            call()


class LastStep(CPCTransformer):
    """One row for each sample: its last step."""

    def transform(self, X):
        return np.stack([steps[-1] for steps in self.transform_steps(X)])


def test_a_search_over_it():
    waves = np.stack([np.sin(np.arange(60) * f) for f in (0.1, 0.8)] * 12)
    waves += 0.1 * np.random.default_rng(0).normal(size=waves.shape)
    pipe = make_pipeline(
        LastStep(latent_size=8, context_size=8, max_epochs=0, random_state=0),
        LogisticRegression(),
    )
    search = GridSearchCV(pipe, {"laststep__step_window": [None, 8, 40]}, cv=2)
    search.fit(waves, np.tile([0, 1], 12))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.9


def test_the_cost_hardly_grows_with_the_window():
    """A loop over windows would take five hundred times as long."""
    h = torch.randn(4, 5_000, 16)
    seconds = {8: [], 4_096: []}
    for _ in range(5):
        for n_steps, taken in seconds.items():
            begin = time.perf_counter()
            WindowPooling(["std"], n_steps).push(h)
            taken.append(time.perf_counter() - begin)
    assert np.median(seconds[4_096]) < 20 * np.median(seconds[8])
