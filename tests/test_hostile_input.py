"""Whatever comes: finite features of the promised shape, or a ValueError."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from sklearn_cpc import CPCTransformer
from sklearn_cpc.nn.features import FEATURES
from sklearn_cpc.nn.negatives import POOLS
from sklearn_cpc.nn.pooling import POOLINGS

DTYPES = (np.float64, np.float32, np.float16, np.int8, np.int64, np.uint16, np.bool_)
SPECIAL = (0.0, 1.0, -1.0, 1e-40, 1e-300, 1e20, -1e30, 3e38, 1e300, np.nan, np.inf)
OPTIONS = {
    "encoder": st.sampled_from(["conv", "audio"]),
    "context": st.sampled_from(["gru", "lstm", "conv", "attention"]),
    "latent_size": st.integers(1, 6),
    "context_size": st.integers(1, 6),
    "prediction_steps": st.sampled_from(["auto", 1, 2, 5]),
    "skip_steps": st.sampled_from(["auto", 0, 1, 4]),
    "n_negatives": st.sampled_from(["all", 1, 3, 1000]),
    "negatives": st.sampled_from(sorted(POOLS)),
    "temperature": st.sampled_from([1e-3, 0.1, 10.0]),
    "features": st.sampled_from(FEATURES),
    "pooling": st.lists(st.sampled_from(sorted(POOLINGS)), min_size=1, unique=True),
    "scaling": st.sampled_from(["channel", "sample", None]),
    "nan_policy": st.sampled_from(["raise", "mask"]),
    "crop_length": st.sampled_from(["auto", None, 2, 7]),
    "max_epochs": st.integers(0, 2),
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


def refusal(method, *args, **kwargs):
    """Return the message of a refusal, or None."""
    try:
        method(*args, **kwargs)
    except (ValueError, TypeError) as error:
        return str(error)
    return None


def check(X, options):
    """Fit and use everything: it works, or is refused and leaves no trace."""
    cpc = CPCTransformer(random_state=0, **options)
    groups = np.arange(len(X)) // 2
    message = refusal(cpc.fit, X, groups=groups)
    if message is not None:
        assert len(message) > 20
        assert not any(name.endswith("_") for name in vars(cpc))
        return
    features = cpc.transform(X)
    assert features.shape == (len(X), len(cpc.get_feature_names_out()))
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    steps = cpc.transform_steps(X)
    assert len(steps) == len(X)
    assert all(np.isfinite(h).all() for h in steps)
    message = refusal(cpc.score_samples, X)
    if message is None:
        scores = cpc.score_samples(X)
        assert np.isfinite(scores).all()
        assert (scores <= np.log(1024)).all()
    else:
        assert "nothing to predict" in message
    cpc.partial_fit(X, groups=groups)
    assert np.isfinite(cpc.transform(X)).all()


SETTINGS = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# A task that is too easy, or not learned, is worth a warning but no failure.
pytestmark = [
    pytest.mark.filterwarnings(
        f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__name__}"
    ),
    pytest.mark.filterwarnings("ignore:The farthest of the latents:UserWarning"),
]


@settings(SETTINGS, max_examples=30)
@given(X=inputs(), options=st.fixed_dictionaries({}, optional=OPTIONS))
def test_features_or_a_reason(X, options):
    check(X, options)


@pytest.mark.slow
@settings(SETTINGS, max_examples=200)
@given(X=inputs(), options=st.fixed_dictionaries({}, optional=OPTIONS))
def test_features_or_a_reason_at_length(X, options):
    check(X, options)
