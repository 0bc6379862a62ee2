"""What surrounds a fit in its process: settings of torch, forks, standard error."""

import contextlib
import io
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from sklearn_cpc import CPCImageTransformer, CPCTransformer
from sklearn_cpc.training.runtime import MAX_THREADS, n_threads, own_settings

X = np.random.default_rng(0).normal(size=(16, 40, 2)).cumsum(1)
IMAGES = np.random.default_rng(0).normal(size=(8, 10, 10))
SMALL = {"latent_size": 4, "context_size": 4, "random_state": 0, "max_epochs": 2}


@contextlib.contextmanager
def put_back(get, put, value):
    before = get()
    put(value)
    try:
        yield
        assert get() == value
    finally:
        put(before)


AROUND = {
    "float64": lambda: put_back(
        torch.get_default_dtype, torch.set_default_dtype, torch.float64
    ),
    "products": lambda: put_back(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"
    ),
    "inference": torch.inference_mode,
    "no gradients": torch.no_grad,
    "device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


def outcome(kind, data, path):
    """Return all that a fit and its file give."""
    fitted = kind(**SMALL).fit(data)
    fitted.save(path)
    content = path.read_bytes()
    loaded = kind.load(path)
    loaded.partial_fit(data)  # what was loaded can be trained
    results = [fitted.transform(data), fitted.score_samples(data)]
    results += [loaded.transform(data), fitted.transform_steps(data)]
    names = fitted.get_feature_names_out().tolist()
    if kind is CPCTransformer:
        results.append(fitted.stream().push(data[0]))
    return content, names, [result.tobytes() for result in results]


DATA = {CPCTransformer: X, CPCImageTransformer: IMAGES}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What comes out where nothing surrounds it."""
    path = tmp_path_factory.mktemp("models") / "model"
    return {kind: outcome(kind, data, path) for kind, data in DATA.items()}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("kind", DATA)
def test_results_do_not_depend_on_what_surrounds_them(kind, around, expected, tmp_path):
    with AROUND[around]():
        assert outcome(kind, DATA[kind], tmp_path / "model") == expected[kind]
    with AROUND[around]():
        loaded = kind.load(tmp_path / "model")
    features = loaded.transform(DATA[kind])
    again = kind.load(tmp_path / "model").transform(DATA[kind])
    np.testing.assert_array_equal(features, again)


def test_settings_that_overlap_are_put_back_by_the_last():
    with put_back(torch.get_default_dtype, torch.set_default_dtype, torch.float64):
        first, second = own_settings(None), own_settings(None)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float32
        second.__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float64


# ---- threads and forks


def test_threads_have_an_end(tmp_path):
    """Twenty thousand would end the interpreter."""
    assert n_threads(20_000) == n_threads(10**30) == MAX_THREADS
    assert n_threads(np.int64(2)) == 2
    assert 1 <= n_threads(-1) <= MAX_THREADS
    with pytest.raises(ValueError, match="n_jobs == 0"):
        CPCTransformer(n_jobs=0, **SMALL).fit(X)


FORK = """
import multiprocessing, os, signal, sys, warnings
import numpy as np
from joblib import Parallel, delayed
warnings.simplefilter("ignore")
from sklearn_cpc import CPCTransformer

X = np.random.default_rng(0).normal(size=(32, 100, 2)).cumsum(1)
def fit(n_jobs):
    options = {"latent_size": 32, "context_size": 32, "max_epochs": 1}
    return CPCTransformer(n_jobs=n_jobs, random_state=0, **options).fit(X)

fitted, expected = fit(2), fit(1)
fitted.set_params(n_jobs=None if sys.argv[1] == "None" else int(sys.argv[1]))
child = os.fork()
if not child:
    signal.alarm(100)
    fitted.transform(X)
    same = np.array_equal(fit(2).transform(X), expected.transform(X))
    os._exit(0 if same else 3)
assert os.waitpid(child, 0)[1] == 0
with multiprocessing.get_context("fork").Pool(1) as pool:
    features = pool.apply_async(fitted.transform, (X,)).get(100)
assert np.allclose(features, fitted.transform(X), atol=1e-4)
scores = Parallel(n_jobs=2, backend="multiprocessing", timeout=100)(
    delayed(fitted.score)(X) for _ in range(2)
)
assert scores[0] == scores[1]
print("went on")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("n_jobs", ["2", "None"])
@pytest.mark.slow
def test_a_fork_after_a_fit_with_two_threads(n_jobs):
    """The child has one thread: it does not wait for those of its parent."""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", FORK, n_jobs],
        capture_output=True,
        text=True,
        env=environment,
        timeout=400,
    )
    assert done.stdout == "went on\n", done.stderr


# ---- standard error


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")

    flush = write


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, closed(), Broken(), object()])
def test_a_bar_is_never_worth_a_fit(stream, monkeypatch):
    expected = CPCTransformer(**SMALL).fit_transform(X)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        fitted = CPCTransformer(verbose=1, **SMALL).fit(X)
    np.testing.assert_array_equal(fitted.transform(X), expected)


# ---- numbers of numpy


@pytest.mark.parametrize("context", ["gru", "lstm", "conv", "attention"])
def test_numbers_of_numpy_work_everywhere(context, tmp_path):
    numbers = {
        "latent_size": 4,
        "context_size": 4,
        "prediction_steps": 2,
        "skip_steps": 1,
        "n_negatives": 5,
        "n_anchors": 40,
        "crop_length": 30,
        "max_epochs": 2,
        "batch_size": 8,
        "n_iter_no_change": 3,
        "step_window": 4,
        "random_state": 0,
        "n_jobs": 1,
    }
    plain = CPCTransformer(context=context, early_stopping=True, **numbers).fit(X)
    numbers = {name: np.int64(n) for name, n in numbers.items()}
    other = CPCTransformer(
        context=context,
        early_stopping=np.True_,
        **numbers,
        **{"lr": np.float64(2e-3), "temperature": np.float64(0.1)},
    ).fit(X)
    other.save(tmp_path / "model")
    for fitted in (other, CPCTransformer.load(tmp_path / "model")):
        np.testing.assert_array_equal(fitted.transform(X), plain.transform(X))
        np.testing.assert_array_equal(
            fitted.transform_steps(X), plain.transform_steps(X)
        )
    chunk = np.stack([X[0], X[1]])
    assert plain.stream(np.int64(2)).push(chunk).shape[0] == 2


def test_numbers_of_numpy_for_images():
    numbers = {"patch_size": 4, "patch_stride": 2, "directions": 4, "n_regions": 2}
    plain = CPCImageTransformer(**SMALL, **numbers).fit_transform(IMAGES)
    numbers = {name: np.int32(n) for name, n in numbers.items()}
    other = CPCImageTransformer(**SMALL, **numbers).fit_transform(IMAGES)
    np.testing.assert_array_equal(other, plain)
