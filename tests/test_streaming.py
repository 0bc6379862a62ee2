"""Features chunk by chunk are those of the whole."""

import pickle

import numpy as np
import pytest
from torch import nn

from sklearn_cpc import CPCTransformer
from sklearn_cpc.nn.contexts import CONTEXTS

RNG = np.random.default_rng(0)
X = [RNG.normal(size=(n, 2)).cumsum(0) for n in (400, 300, 350, 333)]
x = RNG.normal(size=(700, 2)).cumsum(0)


def fit(X=X, **options):
    options = {"latent_size": 8, "context_size": 8, "max_epochs": 0} | options
    return CPCTransformer(random_state=0, **options).fit(X)


def chunks(x, size):
    """Split `x` into chunks of a size, or of random sizes, some of them empty."""
    sizes = RNG.integers(0, 40, size=len(x)) if size is None else [size] * len(x)
    return np.split(x, np.cumsum(sizes)[np.cumsum(sizes) < len(x)])


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize(
    ("size", "n_steps"), [(1, 100), (16, 700), (100, 700), (700, 700), (None, 700)]
)
def test_any_chunks_give_the_features_of_the_whole(context, size, n_steps):
    cpc = fit(context=context)
    assert cpc.downsampling_ == 16
    stream = cpc.stream()
    streamed = [stream.push(chunk) for chunk in chunks(x[:n_steps], size)]
    whole = cpc.transform_steps([x[:n_steps]])[0]
    np.testing.assert_allclose(np.concatenate(streamed), whole, rtol=0, atol=1e-5)
    assert stream.n_steps_seen == n_steps


@pytest.mark.parametrize("encoder", ["audio", "log_mel"])
@pytest.mark.parametrize("features", ["context", "latent", "both", "all"])
@pytest.mark.parametrize("size", [50, None])
def test_waveforms(encoder, features, size):
    waves = RNG.normal(size=(3, 2000))
    cpc = fit(waves, encoder=encoder, features=features)
    stream = cpc.stream()
    streamed = np.concatenate([stream.push(part) for part in chunks(waves[0], size)])
    whole = cpc.transform_steps(waves[:1])[0]
    np.testing.assert_allclose(streamed, whole, rtol=0, atol=1e-5)


def test_a_step_is_given_as_soon_as_its_first_time_step_has_come():
    stream = fit().stream()
    counts = [len(stream.push(x[i : i + 1])) for i in range(33)]
    assert counts == [1, *[0] * 15, 1, *[0] * 15, 1]


def test_streams_side_by_side():
    cpc = fit(context="lstm", scaling=None)
    both = np.stack([x, -x])
    stream = cpc.stream(n_streams=2)
    streamed = [stream.push(both[:, i : i + 30]) for i in range(0, 700, 30)]
    np.testing.assert_allclose(
        np.concatenate(streamed, axis=1), cpc.transform_steps(both), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_pickled_stream_goes_on_and_a_reset_one_begins_anew(context):
    stream = fit(context=context).stream()
    first = stream.push(x[:333])
    copy = pickle.loads(pickle.dumps(stream))
    np.testing.assert_array_equal(copy.push(x[333:]), stream.push(x[333:]))
    stream.reset()
    assert stream.n_steps_seen == 0
    np.testing.assert_array_equal(stream.push(x[:333]), first)


def test_missing_values_and_channels_first():
    cpc = fit([part.T for part in X], channels_first=True, nan_policy="mask")
    holes = x.copy()
    holes[::7, 0] = np.nan
    stream = cpc.stream()
    streamed = [stream.push(part.T) for part in (holes[:101], holes[101:])]
    whole = cpc.transform_steps([holes.T])[0]
    np.testing.assert_allclose(np.concatenate(streamed), whole, rtol=0, atol=1e-5)


def test_a_chunk_that_is_refused_changes_nothing():
    cpc = fit()
    stream = cpc.stream()
    first = stream.push(x[:50])
    for bad in (x[:5, :1], x[None], [["a", "b"]], np.full((3, 2), np.nan), x[0, 0]):
        with pytest.raises(ValueError, match=r"chunk|could not convert"):
            stream.push(bad)
    streamed = np.concatenate([first, stream.push(x[50:])])
    whole = cpc.transform_steps([x])[0]
    np.testing.assert_allclose(streamed, whole, rtol=0, atol=1e-5)


def test_what_cannot_stream_says_so():
    with pytest.raises(ValueError, match="scaling='sample' needs whole sequences"):
        fit(scaling="sample").stream()
    own = fit(encoder=nn.Linear(2, 8))
    with pytest.raises(ValueError, match=r"encoder=Linear cannot process .*advance"):
        own.stream()
