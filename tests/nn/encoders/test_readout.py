"""Encoders with a bank of fixed kernels that is read out beside what is learned."""

import pytest
import torch

from sklearn_cpc.nn import (
    FixedKernelEncoder,
    KernelEncoder,
    LogMel,
    LogMelEncoder,
    SpectralKernelEncoder,
)
from sklearn_cpc.nn.encoders.kernels import LOWEST
from sklearn_cpc.nn.initialization import build
from sklearn_cpc.nn.registry import describe, remake

LENGTHS = {FixedKernelEncoder: 300, SpectralKernelEncoder: 4_800}
ENCODERS = pytest.mark.parametrize("cls", LENGTHS)


def encoder_of(cls, n_timesteps=None, n_channels=2, latent_size=8, calibrated=True):
    n_timesteps = n_timesteps or LENGTHS[cls]
    sizes = (n_channels, latent_size, n_timesteps)
    encoder = build(cls, torch.Generator().manual_seed(0), sizes)
    if calibrated:
        x = signal(n_timesteps, 6, n_channels)
        encoder.calibrate(x, torch.full((6,), n_timesteps))
    return encoder


def signal(n_timesteps, n_samples=2, n_channels=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n_samples, n_timesteps, n_channels, generator=generator)


@ENCODERS
def test_latents_do_not_depend_on_the_bank_that_is_read_out(cls):
    encoder, x = encoder_of(cls), signal(LENGTHS[cls])
    before = encoder(x)
    bank = int(cls is SpectralKernelEncoder)  # spectra come before it
    layers = encoder.layers(x)
    for parameter in encoder.readout.parameters():
        parameter.mul_(-2)
    assert torch.equal(encoder(x), before)
    after = encoder.layers(x)
    assert not torch.equal(after[bank], layers[bank])
    for i in set(range(len(layers))) - {bank}:
        assert torch.equal(after[i], layers[i])


@ENCODERS
def test_the_call_gives_the_last_layer_and_trains_no_bank(cls):
    encoder, x = encoder_of(cls), signal(LENGTHS[cls])
    z = encoder(x)
    assert torch.equal(z, encoder.layers(x)[-1])
    z.sum().backward()
    trained = {n for n, p in encoder.named_parameters() if p.grad is not None}
    learned = {n for n, p in encoder.named_parameters() if p.requires_grad}
    assert trained == learned
    assert not any(name.startswith("readout") for name in learned)


@ENCODERS
@pytest.mark.parametrize("size", [1, 7, 500])
@torch.no_grad()
def test_pieces_give_the_layers_of_the_whole(cls, size):
    encoder, x = encoder_of(cls), signal(LENGTHS[cls])
    if cls is SpectralKernelEncoder:
        size *= 100  # few spectra for each piece
    state, latent_state, pieces, latents = None, None, [], []
    for part in x.split(size, 1):
        layers, state = encoder.advance_layers(part, state)
        z, latent_state = encoder.advance(part, latent_state)
        pieces.append(layers)
        latents.append(z)
    for whole, parts in zip(encoder.layers(x), zip(*pieces, strict=True), strict=True):
        torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=1e-4)
    torch.testing.assert_close(torch.cat(latents, 1), encoder(x), rtol=0, atol=1e-4)


@ENCODERS
@torch.no_grad()
def test_the_bank_is_calibrated(cls):
    encoder = encoder_of(cls)
    bank = int(cls is SpectralKernelEncoder)
    layers = encoder.layers(signal(LENGTHS[cls], 6))
    positive = (layers[bank] > 0).float().mean((0, 1))
    assert positive.min() < 0.3
    assert positive.max() > 0.7
    # Layer norm follows the quantiles, which it moves a little.
    assert ((positive > LOWEST / 2) & (positive < 1 - LOWEST / 2)).all()


@ENCODERS
@torch.no_grad()
def test_files_name_the_encoder(cls):
    encoder, x = encoder_of(cls), signal(LENGTHS[cls])
    other = remake(describe(encoder, "encoder", {}), {})
    other.load_state_dict(encoder.state_dict(), assign=True)
    assert type(other) is cls
    for one, same in zip(encoder.layers(x), other.layers(x), strict=True):
        assert torch.equal(one, same)
    for name in ("receptive_field", "downsampling", "skip_steps", "prediction_steps"):
        assert getattr(other, name) == getattr(encoder, name)


@pytest.mark.parametrize("cls", [KernelEncoder, LogMelEncoder])
@torch.no_grad()
def test_files_still_name_the_encoders_of_the_first_release(cls):
    encoder, x = encoder_of(cls, 1_000), signal(1_000)
    other = remake(describe(encoder, "encoder", {}), {})
    other.load_state_dict(encoder.state_dict(), assign=True)
    assert type(other) is cls
    assert torch.equal(other(x), encoder(x))


# ---- FixedKernelEncoder


@pytest.mark.parametrize(
    ("n_timesteps", "downsamplings", "longest"),
    [
        (4, [1, 1], (4, 4)),
        (20, [1, 1], (16, 4)),
        (32, [1, 1], (16, 4)),
        (80, [1, 4], (32, 4)),
        (128, [1, 4], (64, 16)),
        (256, [2, 8], (128, 32)),
        (400, [4, 16], (128, 32)),
        (1024, [4, 16, 32], (128, 32)),
        (5000, [4, 16, 64, 256], (128, 32)),
    ],
)
def test_kernels_and_strides_follow_the_length(n_timesteps, downsamplings, longest):
    encoder = encoder_of(FixedKernelEncoder, n_timesteps)
    assert encoder.layer_downsamplings == downsamplings
    assert encoder.downsampling == downsamplings[-1]
    assert -(-n_timesteps // encoder.downsampling) <= FixedKernelEncoder.n_latents
    below = encoder.convolutions[0]
    assert (encoder.readout.receptive_field, below.receptive_field) == longest
    layers = encoder.layers(signal(n_timesteps))
    assert [h.shape for h in layers] == [
        (2, -(-n_timesteps // factor), 24 if i == 0 else 8)
        for i, factor in enumerate(downsamplings)
    ]


@pytest.mark.parametrize("latent_size", [1, 2, 3])
def test_few_channels(latent_size):
    encoder = encoder_of(FixedKernelEncoder, 100, latent_size=latent_size)
    bank, z = encoder.layers(signal(100))
    assert bank.shape == (2, 100, 3 * max(2, latent_size))
    assert z.shape == (2, 25, latent_size)


@pytest.mark.parametrize("n_timesteps", [16, 40, 80, 100, 300, 400, 1024])
def test_targets_share_no_input_with_their_context(n_timesteps):
    encoder = encoder_of(FixedKernelEncoder, n_timesteps)
    x = signal(2 * n_timesteps, 1).requires_grad_()
    z = encoder(x)
    skipped, every = encoder.skip_steps, encoder.downsampling
    # What comes before the sequence is its first step: beyond that, all are alike.
    for t in (0, 1, (z.shape[1] - skipped) // 2, z.shape[1] - skipped - 2):
        target = z[0, t + skipped + 1]
        (gradient,) = torch.autograd.grad(target @ torch.randn(8), x, retain_graph=True)
        seen = gradient[0].any(-1).nonzero()[:, 0]
        assert t * every < seen.min()
        assert seen.max() <= (t + skipped + 1) * every


# ---- SpectralKernelEncoder


def test_layers_are_spectra_bank_convolutions():
    encoder, x = encoder_of(SpectralKernelEncoder, n_channels=1), signal(1601, 1, 1)
    spectra, bank, hidden, z = encoder.layers(x)
    assert torch.equal(spectra, LogMel()(x))
    assert bank.shape == (1, 11, 24)
    assert hidden.shape == z.shape == (1, 11, 8)
    assert encoder.layer_downsamplings == [160] * 4
    assert encoder.receptive_field == 400 + 6 * 160  # of the latents alone
    assert (encoder.skip_steps, encoder.prediction_steps) == (0, 12)


@pytest.mark.parametrize(
    ("n_timesteps", "longest"), [(160, 4), (800, 4), (2_560, 16), (20_480, 32)]
)
def test_kernels_over_spectra_fit_in_the_sequences(n_timesteps, longest):
    encoder = encoder_of(SpectralKernelEncoder, n_timesteps, calibrated=False)
    assert encoder.readout.receptive_field == longest


@torch.no_grad()
def test_learned_part_is_that_of_the_log_mel_encoder():
    encoder, x = encoder_of(SpectralKernelEncoder), signal(4_800)
    plain = encoder_of(LogMelEncoder, 4_800, calibrated=False)
    plain.load_state_dict(encoder.state_dict(), strict=False)
    assert torch.equal(plain(x), encoder(x))
