"""Whatever comes: finite features of the promised shape, or a ValueError."""

import os
import pickle
import subprocess
import sys
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from sklearn_cpc import CPCTransformer, InputWarning
from sklearn_cpc.nn.features import FEATURES
from sklearn_cpc.nn.negatives import NEGATIVES
from sklearn_cpc.nn.pooling import UNWEIGHTED

DTYPES = (np.float64, np.float32, np.float16, np.int8, np.int64, np.uint16, np.bool_)
SPECIAL = (0.0, 1.0, -1.0, 1e-40, 1e-300, 1e20, -1e30, 3e38, 1e300, np.nan, np.inf)
OPTIONS = {
    "encoder": st.sampled_from(["kernels", "conv", "audio"]),
    "context": st.sampled_from(["gru", "lstm", "conv", "attention"]),
    "latent_size": st.integers(1, 6),
    "context_size": st.integers(1, 6),
    "prediction_steps": st.sampled_from(["auto", 1, 2, 5]),
    "skip_steps": st.sampled_from(["auto", 0, 1, 4]),
    "n_negatives": st.sampled_from(["all", 1, 3, 1000]),
    "negatives": st.sampled_from(sorted(NEGATIVES)),
    "temperature": st.sampled_from([1e-3, 0.1, 10.0]),
    "features": st.sampled_from(FEATURES),
    "pooling": st.lists(st.sampled_from(sorted(UNWEIGHTED)), min_size=1, unique=True),
    "scaling": st.sampled_from(["channel", "sample", None]),
    "nan_policy": st.sampled_from(["raise", "mask"]),
    "crop_length": st.sampled_from(["auto", None, 2, 7]),
    "batch_size": st.integers(1, 5),
    "early_stopping": st.booleans(),
    "validation_fraction": st.sampled_from([0.1, 0.5, 0.9]),
    "warm_start": st.booleans(),
}


@st.composite
def inputs(draw):
    """Sequences of any form, with special values here and there."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    n_samples, n_channels = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(1, 30), min_size=n_samples, max_size=n_samples))
    dtype = draw(st.sampled_from(DTYPES))
    specials = draw(st.lists(st.sampled_from(SPECIAL), max_size=3))
    arrays = []
    for length in lengths:
        array = rng.normal(scale=3, size=(length, n_channels))
        for special in specials:
            where = rng.random(array.shape) < draw(st.sampled_from([0.01, 0.2, 1.0]))
            array[where] = special
        if np.dtype(dtype).kind != "f":
            array = np.clip(np.nan_to_num(array), 0, 100)
        with np.errstate(over="ignore"):
            arrays.append(array.astype(dtype))
    form = draw(st.sampled_from(["list", "array", "table", "flat"]))
    shortest = min(lengths)
    if form == "list":
        return arrays
    if form == "flat":
        return [array[:, 0] for array in arrays]
    stacked = np.stack([array[:shortest] for array in arrays])
    return stacked if form == "array" else stacked[:, :, 0]


@contextmanager
def few_warnings():
    """Let no more through than a reader would read, and none by numpy or torch."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert len(caught) <= 3
    for warning in caught:
        # A task that is too easy, or not learned, is worth a warning but no failure.
        # So are data of another scale than those of fit.
        too_easy = str(warning.message).startswith("The farthest of the latents")
        expected = warning.category in (ConvergenceWarning, InputWarning)
        assert too_easy or expected, warning


def tried(method, *args, **kwargs):
    """Return the result and None, or None and the message of a refusal."""
    result = message = None
    try:
        with few_warnings():
            result = method(*args, **kwargs)
    except (ValueError, TypeError) as error:
        message = str(error)
    assert message is None or len(message) > 20
    return result, message


def check_use(fitted, X, groups, methods):
    """Use everything, then fit again: it works, or is refused and leaves no trace."""
    with warnings.catch_warnings():
        # `tried` looks at warnings; the calls beside it repeat them.
        warnings.simplefilter("ignore", InputWarning)
        _check_use(fitted, X, groups, methods)


def _check_use(fitted, X, groups, methods):
    before = pickle.dumps(fitted)
    features, message = tried(fitted.transform, X)
    if message is None:
        assert features.shape == (len(X), len(fitted.get_feature_names_out()))
        assert features.dtype == np.float32
        assert np.isfinite(features).all()
        steps = fitted.transform_steps(X)
        assert len(steps) == len(X)
        assert all(np.isfinite(h).all() for h in steps)
        scores, message = tried(fitted.score_samples, X)
        if message is None:
            assert np.isfinite(scores).all()
            assert (scores <= np.log(1024)).all()
        else:
            assert "nothing to predict" in message
    assert pickle.dumps(fitted) == before
    for method in methods:
        _, message = tried(getattr(fitted, method), X, groups=groups)
        if message is None:
            assert np.isfinite(fitted.transform(X)).all()
            before = pickle.dumps(fitted)
        else:
            assert pickle.dumps(fitted) == before


def check_fit(X, options):
    """Fit and use: it works, or is refused and leaves no trace."""
    cpc = CPCTransformer(random_state=0, **options)
    groups = np.arange(len(X)) // 2
    _, message = tried(cpc.fit, X, groups=groups)
    if message is None:
        check_use(cpc, X, groups, ["fit" if cpc.warm_start else "partial_fit"])
    else:
        assert not any(name.endswith("_") for name in vars(cpc))


def check_another(X, Z, options):
    """Fit one thing and use it on another."""
    cpc = CPCTransformer(random_state=0, **options | {"max_epochs": 0})
    _, message = tried(cpc.fit, X, groups=np.arange(len(X)) // 2)
    if message is None:
        check_use(cpc, Z, np.arange(len(Z)) // 2, ["fit", "partial_fit"])


SETTINGS = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
options = st.fixed_dictionaries({"max_epochs": st.integers(0, 2)}, optional=OPTIONS)


@settings(SETTINGS, max_examples=15)
@given(X=inputs(), options=options)
def test_features_or_a_reason(X, options):
    check_fit(X, options)


@settings(SETTINGS, max_examples=15)
@given(X=inputs(), Z=inputs(), options=options)
def test_features_of_others_or_a_reason(X, Z, options):
    check_another(X, Z, options)


def at_length(check, chunk):
    """Run a check on cases of its own; the chunks are shared by several workers."""
    long = settings(SETTINGS, derandomize=False, database=None, max_examples=200)
    seed(chunk)(long(check))()


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(3))
def test_features_or_a_reason_at_length(chunk):
    at_length(given(X=inputs(), options=options)(check_fit), chunk)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(7))
def test_features_of_others_or_a_reason_at_length(chunk):
    at_length(given(X=inputs(), Z=inputs(), options=options)(check_another), chunk)


# ---- sizes

SIZES = {
    # What X is, options, seconds of a CPU, and megabytes beside X.
    "a short one among long ones": (
        "[rng.normal(size=(1, 1)), rng.normal(size=(1_000_000, 1))]",
        {"max_epochs": 1},
        120,
        1500,
    ),
    "many channels": (
        "rng.normal(size=(6, 20, 100_000)).astype(np.float32)",
        {"max_epochs": 1, "latent_size": 8},
        120,
        1500,
    ),
    "many samples": (
        "rng.normal(size=(30_000, 4))",
        {"max_epochs": 1, "batch_size": 1000, "latent_size": 8},
        120,
        1500,
    ),
    "all negatives of a large batch": (
        "rng.normal(size=(100, 200))",
        {
            "max_epochs": 1,
            "batch_size": 100,
            "negatives": "other_sequences",
            "n_negatives": "all",
            "latent_size": 8,
        },
        120,
        1500,
    ),
}
MEASURE = """
import resource, sys, time
import numpy as np
import torch
torch.set_num_threads(1)
from sklearn_cpc import CPCTransformer

def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

CPCTransformer(max_epochs=1).fit_transform(np.zeros((4, 10)))
rng = np.random.default_rng(0)
X = eval(sys.argv[1])
before, start = megabytes(), time.process_time()
cpc = CPCTransformer(random_state=0, **eval(sys.argv[2])).fit(X)
assert np.isfinite(cpc.transform(X)).all()
assert np.isfinite(cpc.score(X))
print(time.process_time() - start, megabytes() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_bounded_in_time_and_memory(name):
    X, options, most_seconds, most_megabytes = SIZES[name]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURE, X, repr(options)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, megabytes = map(float, done.stdout.split())
    print(f"{name}: {seconds:.1f} s, {megabytes:.0f} MB")
    assert seconds < most_seconds
    assert megabytes < most_megabytes


VALUES = {
    "constant": np.full((6, 30, 2), 3.0),
    "zero": np.zeros((6, 30, 2)),
    "one constant sample": np.stack([np.full((30, 2), 5.0), *np.ones((5, 30, 2))]),
    "denormal": np.random.default_rng(0).normal(size=(6, 30, 2)) * 1e-310,
    "denormal in float32": (
        np.random.default_rng(0).normal(size=(6, 30, 2)) * 1e-40
    ).astype(np.float32),
    "large": np.random.default_rng(0).normal(size=(6, 30, 2)) * 1e30,
    "large and small": np.random.default_rng(0).normal(size=(6, 30, 2))
    * np.logspace(-30, 30, 30)[:, None],
    "large offset": np.random.default_rng(0).normal(size=(6, 30, 2)) + 1e12,
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("scaling", ["channel", "sample", None])
def test_extreme_values(name, scaling):
    check_fit(VALUES[name], {"scaling": scaling, "latent_size": 4, "max_epochs": 1})
