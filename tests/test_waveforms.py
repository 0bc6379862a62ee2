"""Recordings as people have them: int16 or float, of very different lengths."""

import numpy as np
import pytest

from sklearn_cpc import CPCTransformer

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


def test_stereo_and_bfloat16():
    stereo = [np.stack([wave, wave[::-1]], 1) for wave in WAVES]
    exact, low = (
        fit("log_mel", stereo, max_epochs=0, precision=p) for p in ("float32", "bf16")
    )
    assert exact.transform(stereo).shape == (4, 3 * (80 + 24 + 2 * 8) + 5 * 8)
    np.testing.assert_allclose(
        low.transform(stereo), exact.transform(stereo), atol=0.05
    )
