"""Recordings as people have them: int16 or float, of very different lengths."""

import copy

import numpy as np
import pytest

from sklearn_cpc import CPCTransformer, nn

RNG = np.random.default_rng(0)
N_SAMPLES = (30_000, 1_000, 161, 12_345)
WAVES = [(3000 * RNG.normal(size=n)).astype(np.int16) for n in N_SAMPLES]


def fit(encoder, X=WAVES, **options):
    options = {"latent_size": 8, "context_size": 8, "max_epochs": 1} | options
    options |= {"skip_steps": 0, "prediction_steps": 4, "random_state": 0}
    return CPCTransformer(encoder=encoder, **options).fit(X)


@pytest.fixture(scope="module", params=["audio", "log_mel"])
def cpc(request):
    return fit(request.param)


def test_a_hundred_features_a_second(cpc):
    steps = cpc.transform_steps(WAVES)
    assert [len(h) for h in steps] == [-(-n // 160) for n in N_SAMPLES]
    assert cpc.downsampling_ == 160


def test_the_type_of_the_samples_does_not_matter(cpc):
    floats = [wave.astype(np.float64) for wave in WAVES]
    np.testing.assert_array_equal(cpc.transform(floats), cpc.transform(WAVES))


def test_a_recording_is_the_same_beside_any_other(cpc):
    together = cpc.transform(WAVES)
    for wave, features in zip(WAVES, together, strict=True):
        np.testing.assert_allclose(cpc.transform([wave])[0], features, atol=1e-5)


def test_a_file_holds_the_model(cpc, tmp_path):
    cpc.save(tmp_path / "model.safetensors")
    loaded = CPCTransformer.load(tmp_path / "model.safetensors")
    assert loaded.receptive_field_ == cpc.receptive_field_
    np.testing.assert_array_equal(loaded.transform(WAVES), cpc.transform(WAVES))


def test_names_of_the_spectra_and_of_the_bank_come_first():
    cpc = fit("log_mel", pooling="mean")
    names = cpc.get_feature_names_out()
    assert [
        sum(n.startswith(f"{part}_") for n in names)
        for part in ("layer1", "layer2", "layer3", "latent", "context")
    ] == [40, 24, 8, 8, 8]


@pytest.mark.parametrize("size", [1, 160, 333, 5_000])
def test_streams_give_the_steps_of_the_whole(cpc, size):
    wave = WAVES[-1][: 30 * size]
    stream = cpc.stream()
    steps = [stream.push(wave[i : i + size]) for i in range(0, len(wave), size)]
    expected = cpc.transform_steps([wave])[0]
    np.testing.assert_allclose(np.concatenate(steps), expected, atol=1e-4)


def test_steps_of_the_paper_are_the_default():
    for encoder in ("audio", "log_mel"):
        cpc = CPCTransformer(
            encoder=encoder, latent_size=4, context_size=4, max_epochs=0
        ).fit(WAVES)
        assert (cpc.skip_steps_, cpc.prediction_steps_) == (0, 12)


def test_bfloat16():
    exact, low = (
        fit("log_mel", max_epochs=0, precision=p) for p in ("float32", "bf16")
    )
    assert exact.transform(WAVES).shape == (4, 3 * (40 + 24 + 2 * 8) + 5 * 8)
    np.testing.assert_allclose(low.transform(WAVES), exact.transform(WAVES), atol=0.05)


@pytest.mark.parametrize("encoder", ["audio", "log_mel"])
def test_several_channels_are_refused_with_a_way_out(encoder):
    X = [np.stack([wave, wave[::-1]], 1) for wave in WAVES]
    with pytest.raises(ValueError, match="takes recordings of one channel") as caught:
        fit(encoder, X)
    way_out = str(caught.value).partition("Average them, ")[2].partition(", or")[0]
    mono = eval(way_out, {"X": X})
    np.testing.assert_array_equal(mono[0], (X[0][:, 0] / 2 + X[0][:, 1] / 2))
    assert fit(encoder, mono).n_channels_in_ == 1


# ---- sampling rates


def tones(rate, frequencies=(300, 440, 700, 1000), seconds=1.0):
    """Return tones that fade in and out, at any rate."""
    t = np.arange(round(seconds * rate)) / rate
    return [
        np.sin(2 * np.pi * f * t) * np.sin(np.pi * t / seconds) for f in frequencies
    ]


def spectral_features(cpc, X):
    steps = np.stack(cpc.transform_steps(X))[:, 4:-4]
    return steps / np.abs(steps).max()


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 48_000.0])
@pytest.mark.parametrize("encoder", ["audio", "log_mel"])
def test_recordings_of_any_rate_sound_the_same(encoder, rate):
    """The model hears a tone of 440 Hz, whatever the rate of the recording."""
    cpc = fit(encoder, tones(16_000), max_epochs=0)
    expected = spectral_features(cpc, tones(16_000))
    cpc.set_params(sampling_rate=rate)
    features = spectral_features(cpc, tones(rate))
    assert features.shape == expected.shape
    # The mean: logarithms of bands without sound differ without meaning.
    difference = np.abs(features - expected).mean()
    assert difference < 0.03
    if rate != 16_000:
        unheard = spectral_features(cpc.set_params(sampling_rate=None), tones(rate))
        n_steps = min(unheard.shape[1], expected.shape[1])
        wrong = np.abs(unheard[:, :n_steps] - expected[:, :n_steps]).mean()
        assert wrong > 2 * difference


def test_fit_resamples_too():
    stereo = [(3000 * x).astype(np.int16) for x in tones(48_000, seconds=0.5)]
    cpc = fit("log_mel", stereo, sampling_rate=48_000)
    assert [len(h) for h in cpc.transform_steps(stereo)] == [50] * 4
    table = np.stack(stereo)  # a table keeps its number of columns
    assert cpc.fit(table).n_features_in_ == table.shape[1]
    assert cpc.transform_steps(table).shape[:2] == (4, 50)


def test_encoders_without_a_rate_ignore_it():
    one, other = (fit("kernels", sampling_rate=r).transform(WAVES) for r in (None, 50))
    np.testing.assert_array_equal(one, other)


class Thinned(nn.Encoder):
    sampling_rate = 100.0
    downsampling = 10

    def forward(self, x):
        return x[:, ::10].repeat(1, 1, 3)


def test_own_encoders_may_expect_a_rate():
    X = [np.stack([x, -x], 1) for x in tones(200, frequencies=(1, 2, 3, 4))]
    cpc = fit(Thinned(), X, sampling_rate=200, max_epochs=0)
    assert [len(h) for h in cpc.transform_steps(X)] == [10] * 4


def test_streams_refuse_to_resample(cpc):
    cpc = copy.deepcopy(cpc)
    assert cpc.set_params(sampling_rate=16_000).stream().push(WAVES[0]).size
    with pytest.raises(ValueError, match=r"sampling_rate=8000 needs resampling .*None"):
        cpc.set_params(sampling_rate=8000).stream()


def test_missing_values_cannot_be_resampled():
    X = [wave.astype(float) for wave in WAVES]
    X[2][50] = np.nan
    options = {"nan_policy": "mask", "sampling_rate": 8000}
    with pytest.raises(ValueError, match="Sample 2 of X has missing values"):
        fit("log_mel", X, **options)
    X[2] = np.append(WAVES[2].astype(float), [np.nan] * 99)  # padding
    cpc = fit("log_mel", X, **options)
    assert len(cpc.transform_steps(X)[2]) == -(-2 * len(WAVES[2]) // 160)
