"""What `transform` promises: padding, batches and the future change nothing."""

import numpy as np
import pytest

from sklearn_cpc import CPCTransformer
from sklearn_cpc.nn.features import FEATURES
from sklearn_cpc.nn.pooling import UNWEIGHTED

RNG = np.random.default_rng(0)
X = [RNG.normal(size=(n, 2)).cumsum(0) for n in (40, 7, 150, 23, 60, 1, 90, 30)]


def fit(X=X, **options):
    options = {"latent_size": 8, "context_size": 6, "max_epochs": 2} | options
    return CPCTransformer(random_state=0, **options).fit(X)


@pytest.mark.parametrize(
    ("context", "scaling"),
    [
        ("lstm", "channel"),
        ("lstm", "sample"),
        ("lstm", None),
        ("gru", "channel"),
        ("conv", "channel"),
        ("attention", "channel"),
    ],
)
def test_alone_padded_or_beside_others_a_sample_has_the_same_features(context, scaling):
    cpc = fit(context=context, scaling=scaling, nan_policy="mask", pooling=UNWEIGHTED)
    together = cpc.transform(X)
    padded = np.full((len(X), 200, 2), np.nan)
    for row, x in zip(padded, X, strict=True):
        row[: len(x)] = x
    alone = np.concatenate([cpc.transform([x]) for x in X])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    np.testing.assert_allclose(together, cpc.transform(padded), rtol=0, atol=1e-5)
    np.testing.assert_allclose(together, cpc.transform(X[::-1])[::-1], atol=1e-5)


@pytest.mark.parametrize("n_channels", [1, 6])
@pytest.mark.parametrize("context", ["gru", "lstm", "conv", "attention"])
def test_any_number_of_sequences_gives_the_same_bits(context, n_channels):
    waves = np.random.default_rng(0).normal(size=(70, 130, n_channels)).cumsum(1)
    cpc = fit(waves, context=context, max_epochs=0, latent_size=64, context_size=64)
    together = cpc.transform(waves)
    for n_samples in (1, 5, 17, 33, 49):
        few = cpc.transform(waves[:n_samples])
        np.testing.assert_array_equal(few, together[:n_samples])


@pytest.mark.parametrize("context", ["gru", "lstm", "conv", "attention"])
def test_the_future_changes_no_step(context):
    cpc = fit(context=context)
    x = RNG.normal(size=(300, 2))
    whole = cpc.transform_steps([x])[0]
    for t in (1, 2, 17, 150):
        changed = x.copy()
        changed[t:] += 3
        steps = cpc.transform_steps([changed])[0]
        known = -(-t // cpc.downsampling_)
        np.testing.assert_allclose(steps[:known], whole[:known], rtol=0, atol=1e-5)
        prefix = cpc.transform_steps([x[:t]])[0]
        np.testing.assert_allclose(prefix, whole[:known], rtol=0, atol=1e-5)


def test_steps_pooled_are_the_features():
    cpc = fit(features="both", pooling=("mean", "max", "last"))
    features = cpc.transform(X)
    for row, steps in zip(features, cpc.transform_steps(X), strict=True):
        latent, context = steps[:, :8], steps[:, 8:]
        expected = [
            statistic(h)
            for h in (latent, context)
            for statistic in (
                lambda h: h.mean(0),
                lambda h: h.max(0),
                lambda h: h[-1],
            )
        ]
        np.testing.assert_allclose(row, np.concatenate(expected), atol=1e-5)


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("pooling", ["mean", ("std", "last"), ["min"]])
def test_names_tell_the_columns(features, pooling):
    cpc = fit(features=features, pooling=pooling, max_epochs=0)
    names = cpc.get_feature_names_out()
    assert cpc.transform(X).shape == (len(X), len(names))
    assert len(set(names)) == len(names)
    statistics = [pooling] if isinstance(pooling, str) else list(pooling)
    found = dict.fromkeys(name.rsplit("_", 1)[0] for name in names)
    layers = {
        "auto": ["layer1", "context"],
        "context": ["context"],
        "latent": ["latent"],
        "both": ["latent", "context"],
        "all": ["layer1", "latent", "context"],
    }[features]
    assert list(found) == [
        f"{h}_{statistic}" for h in layers for statistic in statistics
    ]


@pytest.mark.parametrize("features", FEATURES)
def test_auto_pools_the_contexts_by_more_statistics(features):
    cpc = fit(features=features, max_epochs=0)
    assert cpc.pooling == "auto"
    names = cpc.get_feature_names_out()
    assert cpc.transform(X).shape == (len(X), len(names))
    layers = {
        "auto": ["layer1"],
        "context": [],
        "latent": ["latent"],
        "both": ["latent"],
        "all": ["layer1", "latent"],
    }[features]
    expected = [f"{h}_{name}" for h in layers for name in ("max", "std", "ppv")]
    if features != "latent":
        several = ("max", "std", "ppv", "mean", "min")
        expected += [f"context_{name}" for name in several]
    assert list(dict.fromkeys(name.rsplit("_", 1)[0] for name in names)) == expected
    columns = cpc.transform(X)
    cpc.set_params(pooling=("max", "std", "ppv", "mean", "min"))
    place = {name: i for i, name in enumerate(cpc.get_feature_names_out())}
    same = cpc.transform(X)[:, [place[name] for name in names]]
    np.testing.assert_array_equal(columns, same)


def test_output_is_float32_and_finite():
    features = fit(pooling=UNWEIGHTED).transform(X)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_steps_of_an_array_are_an_array_and_of_a_list_a_list():
    array = RNG.normal(size=(4, 300, 2))
    cpc = fit(array)
    assert cpc.downsampling_ == 16
    steps = cpc.transform_steps(array)
    assert steps.shape == (4, 19, 24 + 6)
    assert steps.dtype == np.float32
    as_list = cpc.transform_steps(list(array))
    assert isinstance(as_list, list)
    np.testing.assert_allclose(np.stack(as_list), steps, atol=1e-5)
    lengths = [len(h) for h in cpc.transform_steps([array[0, :n] for n in (1, 16, 17)])]
    assert lengths == [1, 1, 2]


def test_options_of_the_output_can_change_without_a_new_fit():
    cpc = fit(features="context", pooling="mean")
    expected = fit(features="latent", pooling="max").transform(X)
    cpc.set_params(features="latent", pooling="max")
    np.testing.assert_array_equal(cpc.transform(X), expected)


def test_training_changes_the_features():
    untrained, trained = fit(max_epochs=0), fit(max_epochs=2)
    assert untrained.n_epochs_ == 0
    assert untrained.loss_curve_ == []
    assert not np.allclose(untrained.transform(X), trained.transform(X), atol=1e-3)


def test_bfloat16_is_close():
    cpc = fit(latent_size=32)  # narrow convolutions are float32 on a CPU
    expected = cpc.transform(X)
    low = cpc.set_params(precision="bf16").transform(X)
    assert low.dtype == np.float32
    assert not np.array_equal(low, expected)
    np.testing.assert_allclose(low, expected, atol=0.1)


def test_bfloat16_trains():
    phases = RNG.uniform(0, 6, size=(40, 1))
    waves = np.sin(np.arange(100) * RNG.uniform(0.1, 0.6, size=(40, 1)) + phases)
    cpc = fit(waves, precision="bf16", max_epochs=20, lr=2e-3)
    assert cpc.loss_curve_[-1] < 0.9 * cpc.loss_curve_[0]


def test_audio_encoder_and_receptive_field():
    waves = RNG.normal(size=(6, 1600))
    cpc = fit(waves, encoder="audio", max_epochs=1)
    assert (cpc.downsampling_, cpc.receptive_field_) == (160, 465)
    assert cpc.transform_steps(waves).shape == (6, 10, 4 * 8 + 8 + 6)


def test_modules_of_the_user_are_copied_not_trained():
    from torch import nn

    from sklearn_cpc.nn import ConvContext

    encoder, context = nn.Linear(2, 12), ConvContext(12, 5)
    before = encoder.weight.detach().clone()
    cpc = fit(encoder=encoder, context=context)
    assert (encoder.weight == before).all()
    assert cpc.receptive_field_ is None
    assert cpc.transform(X).shape == (len(X), 3 * 12 + 5 * 5)
