import pytest
import torch

from sklearn_cpc.nn import CPC
from sklearn_cpc.nn.contexts import GRUContext
from sklearn_cpc.nn.encoders.series import FixedKernelEncoder
from sklearn_cpc.nn.features import FEATURES, PooledFeatures, StepFeatures, named_layers
from sklearn_cpc.nn.initialization import initialize
from sklearn_cpc.nn.pooling import UNWEIGHTED
from sklearn_cpc.nn.predictors import LinearPredictor
from sklearn_cpc.nn.streaming import pooled_pieces


@pytest.fixture
def model():
    model = CPC.build(n_channels=1, n_timesteps=1000, latent_size=6, context_size=5)
    initialize(model, torch.Generator().manual_seed(0))
    return model.eval()


@pytest.fixture
def x():
    return torch.randn(2, 50, 1, generator=torch.Generator().manual_seed(1))


LAYERS = {
    "auto": ["layer1", "latent", "context"],
    "context": ["context"],
    "latent": ["latent"],
    "both": ["latent", "context"],
    "all": ["layer1", "latent", "context"],
}


@pytest.mark.parametrize("features", FEATURES)
def test_layers_by_name(model, x, features):
    layers = named_layers(model, x, features)
    assert list(layers) == LAYERS[features]
    (output,) = model(x)
    expected = {"latent": output.z, "context": output.c}
    for name, (h, downsampling) in layers.items():
        assert h.shape[1] == -(-50 // downsampling)
        if name in expected:
            torch.testing.assert_close(h, expected[name])


@pytest.mark.parametrize("n_channels", [1, 3])
def test_auto_leaves_out_what_the_encoder_learns_below_the_contexts(n_channels):
    encoder = FixedKernelEncoder(n_channels, latent_size=6, n_timesteps=600)
    model = CPC(encoder, GRUContext(6, 5), LinearPredictor(5, 6, 2))
    x = torch.randn(2, 600, n_channels, generator=torch.Generator().manual_seed(0))
    every, chosen = (named_layers(model, x, name) for name in ("all", "auto"))
    assert list(every) == ["layer1", "layer2", "latent", "context"]
    assert list(chosen) == ["layer1", "context"]
    for name, layer in chosen.items():
        assert torch.equal(layer.values, every[name].values)


def test_encoder_without_layers_has_latents_and_contexts(model, x):
    plain = CPC(torch.nn.Linear(1, 6), model.context, model.predictor)
    assert list(named_layers(plain, x, "all")) == ["latent", "context"]


def test_pooled_features_are_named_in_their_order(model, x):
    extract = PooledFeatures(model, "both", ("max", "last"))
    lengths = torch.tensor([50, 20])
    named = extract.named(x, lengths)
    assert list(named) == ["latent_max", "latent_last", "context_max", "context_last"]
    assert torch.equal(extract(x, lengths), torch.cat(list(named.values()), 1))


def test_auto_takes_more_statistics_of_the_contexts(model, x):
    extract = PooledFeatures(model, "all", "auto")
    lengths = torch.tensor([50, 20])
    named = extract.named(x, lengths)
    assert list(named) == [
        f"{layer}_{statistic}"
        for layer in ("layer1", "latent")
        for statistic in ("max", "std", "ppv")
    ] + [f"context_{statistic}" for statistic in ("max", "std", "ppv", "mean", "min")]
    explicit = PooledFeatures(model, "all", ("max", "std", "ppv", "mean", "min"))
    for name, values in named.items():
        assert torch.equal(values, explicit.named(x, lengths)[name])


@pytest.mark.parametrize("size", [1, 7, 16, 50])
@torch.no_grad()
def test_pieces_have_the_features_of_the_whole(model, x, size):
    """Also with statistics that differ from layer to layer."""
    lengths = torch.tensor([50, 20])
    for pooling in ("auto", UNWEIGHTED):
        extract = PooledFeatures(model, "all", pooling)
        starts = torch.arange(0, 50, size)
        pieces = [
            (part, (lengths - start).clamp(0, part.shape[1]))
            for start, part in zip(starts, x.split(size, 1), strict=True)
        ]
        whole = extract(x, lengths)
        torch.testing.assert_close(
            pooled_pieces(extract, pieces), whole, rtol=0, atol=1e-5
        )


def test_hidden_layers_are_masked_at_their_own_resolution(model, x):
    extract = PooledFeatures(model, "all", ("mean",))
    lengths = torch.tensor([50, 19])
    alone = extract(x[1:, :19], lengths[1:])
    torch.testing.assert_close(extract(x, lengths)[1:], alone, rtol=0, atol=1e-6)


def test_step_features_are_aligned_with_the_latents(model, x):
    steps = StepFeatures(model, "all")(x)
    layers = named_layers(model, x, "all")
    assert model.downsampling > layers["layer1"][1]
    ratio = model.downsampling // layers["layer1"][1]
    assert steps.shape == (2, -(-50 // model.downsampling), 6 + 6 + 5)
    for j in range(steps.shape[1]):
        torch.testing.assert_close(steps[:, j, :6], layers["layer1"][0][:, j * ratio])
        torch.testing.assert_close(steps[:, j, 6:12], layers["latent"][0][:, j])
