import pytest
import torch

from sklearn_cpc import CPCTransformer
from sklearn_cpc.nn.encoders.kernels import IN_CACHE, LOWEST, KernelBank, asinh
from sklearn_cpc.nn.encoders.windows import convolve
from sklearn_cpc.nn.initialization import build

N_LEVELS = 16  # the first channels; the others see the shape alone
N_ONE_STEP = 8  # the first of those: kernels of one step


def waves(n_samples=20, n_timesteps=200):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n_samples, n_timesteps, 2, generator=generator).cumsum(1)


def bank_for(x, stride=1, n_out=2 * N_LEVELS):
    bank = build(
        lambda: KernelBank(x.shape[2], n_out, (1, 8), stride),
        torch.Generator().manual_seed(0),
    )
    bank.calibrate(x, torch.full((len(x),), x.shape[1]))
    return bank


def channels(bank, x):
    """Return the channels before large values are compressed."""
    return bank._channels(bank._windows(x, None)[0])


def test_channels_open_at_spread_quantiles():
    x = 100 + waves()
    h = channels(bank_for(x), x).flatten(0, 1)
    positive = (h > 0).float().mean(0)
    for of_size in positive.split([N_ONE_STEP, N_LEVELS - N_ONE_STEP, N_LEVELS]):
        assert (of_size.diff() < 0).all()
        assert abs(of_size[0] - (1 - LOWEST)) < 0.01
        assert abs(of_size[-1] - LOWEST) < 0.01


def test_kernels_of_several_steps_do_not_see_the_level():
    x = waves()
    bank = bank_for(x)
    low, high = (channels(bank, x + add) for add in (0, 100))
    torch.testing.assert_close(
        low[..., N_ONE_STEP:], high[..., N_ONE_STEP:], rtol=0, atol=1e-3
    )
    assert ((high - low)[..., :N_ONE_STEP].abs() > 1).all()


def test_one_half_does_not_see_how_large_the_input_is():
    x = waves()
    bank = bank_for(x)
    small, large = (channels(bank, x * factor) for factor in (10, 1000))
    assert (large - small)[..., N_LEVELS:].abs().mean() < 0.01
    ratio = large[..., :N_LEVELS].std((0, 1)) / small[..., :N_LEVELS].std((0, 1))
    torch.testing.assert_close(ratio, torch.full((N_LEVELS,), 100.0), rtol=1e-3, atol=0)


def test_few_large_sequences_do_not_drown_the_others():
    x = waves(50)
    as_they_are = channels(bank_for(x), x)
    x[-2:] *= 1000
    with_large_ones = channels(bank_for(x), x)
    for h in (as_they_are, with_large_ones):
        assert 0.5 < h[:-2, :, :N_LEVELS].std((0, 1)).median() < 2


@pytest.mark.parametrize("stride", [1, 4])
def test_a_sequence_begins_as_if_its_first_value_had_always_been(stride):
    x = waves(3)
    bank = bank_for(x, stride)
    n_before = 4 * stride * bank.receptive_field
    longer = torch.cat([x[:, :1].expand(-1, n_before, -1), x], 1)
    torch.testing.assert_close(
        bank(longer)[:, n_before // stride :], bank(x), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("stride", [1, 4])
def test_pieces_give_what_the_whole_gives(stride):
    x = waves(3, 50)
    bank = bank_for(x, stride)
    state, parts = None, []
    for piece in x.split([0, 1, 2, 0, 17, 30], dim=1):
        part, state = bank.advance(piece, state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), bank(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("n_out", [2, 4, 6, 32])
def test_fewer_channels_than_kernels(n_out):
    x = waves()
    assert bank_for(x, n_out=n_out)(x).shape == (20, 200, n_out)


def test_training_leaves_the_kernels_as_they_are():
    X = waves().numpy()
    untrained, trained = (
        CPCTransformer(
            encoder="kernels", latent_size=8, max_epochs=n, random_state=0
        ).fit(X)
        for n in (0, 2)
    )
    models = [cpc.net_.module_.encoder.convolutions for cpc in (untrained, trained)]
    for before, after in zip(
        *(m[0].state_dict().values() for m in models), strict=True
    ):
        assert torch.equal(before, after)
    assert not torch.equal(*(m[1].branches[0].weight for m in models))


def test_the_fast_inverse_hyperbolic_sine_has_the_bits_of_the_differentiable_one():
    h = torch.randn(3 * IN_CACHE // 2, generator=torch.Generator().manual_seed(0))
    h *= torch.logspace(-8, 8, len(h))
    h[:2] = torch.tensor([0.0, -0.0])
    slow = asinh(h.clone().requires_grad_()).detach()
    assert torch.equal(asinh(h.clone()), slow)
    torch.testing.assert_close(slow, torch.asinh(h))


@pytest.mark.parametrize(("n_in", "size", "stride"), [(1, 1, 1), (2, 4, 3), (9, 3, 1)])
def test_convolutions_without_transposing_are_convolutions(n_in, size, stride):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 11, n_in, generator=generator, requires_grad=True)
    weight = torch.randn(5, n_in, size, generator=generator, requires_grad=True)
    bias = torch.randn(5, generator=generator)
    ours = convolve(x, weight, bias, stride)
    theirs = torch.nn.functional.conv1d(x.transpose(1, 2), weight, bias, stride)
    torch.testing.assert_close(ours, theirs.transpose(1, 2))
    for one, other in zip(
        torch.autograd.grad(ours.square().sum(), [x, weight]),
        torch.autograd.grad(theirs.square().sum(), [x, weight]),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
