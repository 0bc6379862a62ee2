import pytest
import torch

from sklearn_cpc.nn.masks import latent_lengths, step_mask
from sklearn_cpc.nn.pooling import POOLINGS, UNWEIGHTED, Statistics

REFERENCES = {
    "mean": lambda h: h.mean(0),
    "max": lambda h: h.max(0).values,
    "min": lambda h: h.min(0).values,
    "std": lambda h: h.std(0, correction=0),
    "ppv": lambda h: (h > 0).float().mean(0),
    "last": lambda h: h[-1],
    "direction": lambda h: h.mean(0) / h.mean(0).norm(),
}


@pytest.mark.parametrize("name", UNWEIGHTED)
def test_pools_the_valid_steps_only(name):
    h = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([6, 1, 4])
    pooled = POOLINGS[name](h, step_mask(lengths, 6)[..., None])
    for row, length in enumerate(lengths):
        expected = REFERENCES[name](h[row, :length])
        torch.testing.assert_close(pooled[row], expected, rtol=0, atol=1e-6)


def test_steps_count_by_their_weights():
    h = torch.tensor([[[1.0, 0.0], [3.0, 4.0], [9.0, 9.0]]])
    weights = torch.tensor([[[0.25], [0.75], [0.0]]])
    assert POOLINGS["sif"](h, weights).tolist() == [[2.5, 3.0]]
    assert POOLINGS["sif"](h, 100 * weights).tolist() == [[2.5, 3.0]]


@pytest.mark.parametrize("name", UNWEIGHTED)
def test_without_a_mask_the_bits_are_those_of_a_full_mask(name):
    h = torch.randn(20, 37, 8, generator=torch.Generator().manual_seed(0))
    full = torch.ones(20, 37, 1, dtype=torch.bool)
    assert torch.equal(POOLINGS[name](h, None), POOLINGS[name](h, full))
    for fast, masked in zip(
        POOLINGS[name].start(h, None), POOLINGS[name].start(h, full), strict=True
    ):
        assert torch.equal(fast, masked)


@pytest.mark.parametrize("name", sorted({*UNWEIGHTED} - {"ppv"}))  # has no gradient
def test_gradients_of_constant_features_are_finite(name):
    h = torch.zeros(2, 6, 4, requires_grad=True)
    mask = step_mask(torch.tensor([6, 3]), 6)[..., None]
    POOLINGS[name](h, mask).sum().backward()
    assert h.grad.isfinite().all()


def test_a_deviation_of_what_is_no_number_is_none():
    h = torch.full((1, 3, 2), torch.nan)
    assert POOLINGS["std"](h, torch.ones(1, 3, 1, dtype=torch.bool)).isnan().all()


def test_latent_lengths_round_up():
    lengths = latent_lengths(torch.tensor([1, 4, 5, 8]), 4)
    assert lengths.tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize("pooling", ["mean", ("mean",), ["mean"]])
def test_names_hold_for_all_layers(pooling):
    statistics = Statistics.of(pooling)
    assert statistics == Statistics(("mean",), ("mean",))
    assert Statistics.of(statistics) is statistics


def test_auto_takes_more_statistics_of_the_contexts():
    statistics = Statistics.of("auto")
    for layer in ("layer1", "layer12", "latent"):
        assert statistics.of_layer(layer) == ("max", "std", "ppv")
    assert set(statistics.of_layer("context")) == {"max", "std", "ppv", "mean", "min"}
