"""Data that are hardly what was meant: each rule speaks, and is quiet elsewhere."""

import warnings

import numpy as np
import pandas as pd
import pytest

from sklearn_cpc import CPCImageTransformer, CPCTransformer, InputWarning
from sklearn_cpc.datasets import load_electrocardiogram, load_japanese_vowels

RNG = np.random.default_rng(0)
SMALL = {"max_epochs": 0, "latent_size": 4, "context_size": 4, "random_state": 0}


def cpc(**options):
    return CPCTransformer(**SMALL | options)


def recording(n_steps, n_channels, seed=0):
    """Return a walk with other units in every channel."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(n_steps, n_channels)).cumsum(0)
    return steps * np.logspace(-1, 2, n_channels) + np.arange(n_channels) * 100


def series(n_samples, n_steps, noise=0.5):
    """Return independent noisy waves."""
    phase = RNG.uniform(0, 6, (n_samples, 1))
    waves = np.sin(phase + np.arange(n_steps) * 0.4)
    return waves + noise * RNG.normal(size=waves.shape)


# ---- recordings and long tables as X

VOWELS = load_japanese_vowels()
ECG = load_electrocardiogram().data
ONE_SEQUENCE = {
    "many samples of few steps": RNG.normal(size=(1000, 3)),
    "sixteen steps": RNG.normal(size=(5000, 16)),
    "a recording of six channels": recording(400, 6),
    "a recording of forty channels": recording(600, 40),
    "a frame": pd.DataFrame(recording(400, 6)),
    "integers": recording(400, 6).astype(int),
}


@pytest.mark.parametrize("name", ONE_SEQUENCE)
def test_a_recording_as_X(name):
    X = ONE_SEQUENCE[name]
    n_samples, n_steps = X.shape
    message = rf"read as {n_samples} samples of {n_steps} time steps.*pass \[X\]"
    with pytest.warns(InputWarning, match=message):
        cpc().fit(X)


SERIES = {
    "few samples of few steps": RNG.normal(size=(999, 3)),
    "many samples of some steps": series(1000, 17),
    "smooth series": series(400, 40, noise=0),
    "walks": RNG.normal(size=(400, 24)).cumsum(1),
    "one shape with noise": np.sin(np.arange(40)) + 0.01 * series(300, 40),
    "sorted by class": np.sort(np.repeat(RNG.normal(size=(6, 30)), 50, 0), 0)
    + 0.5 * RNG.normal(size=(300, 30)),
    "a recording, cut": ECG[: 300 * 120].reshape(300, 120),
    "a recording, cut with overlap": np.lib.stride_tricks.sliding_window_view(
        ECG[:3000], 60
    )[::10],
    "constant": np.ones((300, 20)),
    "a recording in a list": [recording(400, 6)],
    "channels": RNG.normal(size=(20, 30, 6)),
    "more channels than steps": RNG.normal(size=(20, 10, 60)),
    "sentences": RNG.normal(size=(30, 9, 300)),
    "walks of many channels": RNG.normal(size=(5, 20, 40)).cumsum(1),
    "spectra": RNG.normal(size=(5, 40, 80)).cumsum(1).cumsum(2),
    "real speech": VOWELS.data,
    "short real speech": [x[:9] for x in VOWELS.data],
}


@pytest.mark.parametrize("name", SERIES)
def test_series_are_no_recording(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        cpc().fit(SERIES[name])


@pytest.mark.parametrize("key", ["id", "Time", "subject_id", "timestamp", "date"])
def test_columns_named_like_ids_or_times(key):
    message = rf"columns named '{key}'.*sequences_from_long"
    frame = pd.DataFrame(series(9, 30)).rename(columns=lambda i: f"t{i}")
    with pytest.warns(InputWarning, match=message):
        cpc().fit(frame.rename(columns={"t0": key}))
    with pytest.warns(InputWarning, match=message):
        cpc().fit([pd.DataFrame(recording(40, 2), columns=[key, "x"])] * 3)
    with pytest.warns(InputWarning, match=message):
        cpc().fit(pd.DataFrame({key: list(series(9, 30)), "x": list(series(9, 30))}))


def test_columns_named_otherwise():
    names = ["t", "timeout", "valid", "x_time_step", "grid", "person_height"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        cpc().fit([pd.DataFrame(recording(40, 6), columns=names)] * 3)


def test_one_sequence_of_many():
    fitted = cpc().fit(RNG.normal(size=(6, 40, 3)))
    message = r"X has 1 channels.*expecting 3.*A single sequence.* is \[X\]"
    with pytest.raises(ValueError, match=message):
        fitted.transform(RNG.normal(size=(50, 3)))
    with pytest.raises(ValueError, match=r"got 1D array.*A single sequence is \[X\]"):
        cpc().fit(series(6, 40)).transform(series(6, 40)[0])
    fitted = cpc().fit(RNG.normal(size=(6, 40, 1)))
    with pytest.warns(InputWarning, match=r"50 samples of a single.*sequence is \[X\]"):
        fitted.transform(RNG.normal(size=(50, 1)))


# ---- swapped axes

STEREO = [recording(3000, 2, i).T for i in range(4)]
SWAPPED = {
    "of aeon": RNG.normal(size=(40, 6, 100)),
    "of aeon, smooth": np.stack([recording(144, 9, i).T for i in range(5)]),
    "of aeon, many channels": np.stack(
        [RNG.normal(size=(20, 200)).cumsum(1) for _ in range(5)]
    ),
    "stereo": STEREO,
}


@pytest.mark.parametrize("name", SWAPPED)
def test_swapped_axes(name):
    X = SWAPPED[name]
    n_channels = len(X[0])
    message = f"{n_channels} time steps and .* channels_first=True, or the transpose"
    with pytest.warns(InputWarning, match=message):
        cpc().fit(X)
    right = [np.swapaxes(x, -1, -2) for x in X]
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        fitted = cpc(channels_first=True).fit(X)
        assert fitted.n_channels_in_ == n_channels
        np.testing.assert_array_equal(
            cpc().fit(right).transform(right), fitted.transform(X)
        )
    with pytest.warns(InputWarning, match="channels_first=False, or the transpose"):
        cpc(channels_first=True).fit(right)


def test_swapped_axes_of_different_lengths():
    X = [x[:, : 2000 + 9 * i] for i, x in enumerate(STEREO)]
    with pytest.raises(
        ValueError, match=r"X\[1\] has 2009 .*other axis: use channels_f"
    ):
        cpc().fit(X)
    assert cpc(channels_first=True).fit(X).n_channels_in_ == 2


def test_mono_with_an_axis_in_front():
    mono = [recording(3000, 1, i).T for i in range(4)]
    with (
        pytest.warns(InputWarning, match="1 time steps and 3000 channels.*transpose"),
        pytest.raises(ValueError, match="at least 2 latent steps"),
    ):
        cpc().fit(mono)
    fitted = cpc().fit([x.T for x in mono])
    with pytest.raises(ValueError, match=r"3000 channels.*other axis.*np\.swapaxes"):
        fitted.transform(mono)


BANDS = RNG.normal(size=(6, 13, 32, 32))


def images():
    return CPCImageTransformer(encoder="conv", **SMALL)


@pytest.mark.parametrize(
    "X", [BANDS, BANDS[:, :8], RNG.normal(size=(6, 6, 24, 40))], ids=np.shape
)
def test_images_with_bands_first(X):
    with pytest.warns(InputWarning, match=r"channels seem to come first.*transpose"):
        images().fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        images().fit(X.transpose(0, 2, 3, 1))


def test_one_colour_image():
    with pytest.raises(ValueError, match=r"32 images of a width of 3.*X\[np.newaxis\]"):
        images().fit(BANDS[0, :3].transpose(1, 2, 0))
    with pytest.raises(ValueError, match="channels seem to come first"):
        images().fit(BANDS[:, :3])
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        images().fit(RNG.normal(size=(6, 9, 9, 30)))  # many bands of small images


# ---- scale

PCM = [
    (8000 * np.sin(0.05 * (1 + i) * np.arange(4000)) + 300).astype(np.int16)
    for i in range(6)
]
UNIT = [x / np.float32(32768) for x in PCM]
PIXELS = RNG.integers(0, 256, (6, 16, 16), dtype=np.uint8)


@pytest.mark.parametrize(
    ("estimator", "one", "other"),
    [
        (cpc(encoder="audio"), PCM, UNIT),
        (cpc(encoder="log_mel"), PCM, UNIT),
        (cpc(), PCM, UNIT),
        (cpc(), np.stack(PCM), np.stack(UNIT)),
        (images(), PIXELS, PIXELS / 255),
    ],
    ids=["audio", "log_mel", "list", "table", "images"],
)
def test_another_scale_than_in_fit(estimator, one, other):
    for first, second in ((one, other), (other, one)):
        estimator.fit(first)
        for method in (estimator.transform, estimator.score_samples):
            with pytest.warns(InputWarning, match="another scale than the data of fit"):
                method(second)
        with warnings.catch_warnings():
            warnings.simplefilter("error", InputWarning)
            estimator.transform(first)
            estimator.transform(first[:1])


def test_another_offset_than_in_fit():
    X = series(20, 40)
    with pytest.warns(InputWarning, match="another scale"):
        cpc().fit(X).transform(X + 1000)


QUIET = {
    "another loudness": [x // 40 for x in PCM],
    "a louder one": [x.astype(float) * 40 for x in PCM],
    "a silent one": [np.full(4000, 300)],
    "a spike": [np.where(np.arange(4000) == 7, 32000, PCM[0])],
    "a moment": [PCM[0][1000:1002]],
    "a constant with rounding": [np.full(333, 0.1) * 3e4],
    "as floats": [x.astype(np.float32) for x in PCM],
}


@pytest.mark.parametrize("name", QUIET)
def test_the_same_scale(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        cpc().fit(PCM).transform(QUIET[name])


def test_a_moment_of_a_slow_signal_is_no_other_scale():
    slow = [20 + 5 * np.sin(np.arange(5000) / 500 + i) for i in range(6)]
    fitted = cpc().fit(slow)
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        for start in range(0, 5000, 100):
            fitted.transform([slow[0][start : start + 20]])


def test_one_dead_channel_is_no_other_scale():
    X = RNG.normal(size=(8, 40, 3))
    dead = X * [1, 1e-6, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        cpc().fit(X).transform(dead)
        cpc(scaling="sample").fit(X).transform(X * 1e6)  # does not matter there


def test_warnings_point_to_the_line_of_the_user():
    with pytest.warns(InputWarning) as caught:
        cpc().fit(RNG.normal(size=(1000, 3)))
    assert caught[0].filename == __file__
