"""Log-mel spectra against the definition, written as loops."""

import math
import pickle

import numpy as np
import torch

from sklearn_cpc.nn import LogMel, LogMelEncoder
from sklearn_cpc.nn.initialization import build

RNG = np.random.default_rng(0)


def naive_log_mel(waveform):
    """Return the spectra, one window, frequency and band after the other."""

    def mel(hertz):
        return 2595 * math.log10(1 + hertz / 700)

    corners = np.linspace(mel(0), mel(8000), 42)
    spectra = []
    for end in range(0, len(waveform), 160):
        window = [waveform[t] if t >= 0 else 0.0 for t in range(end - 399, end + 1)]
        hann = [math.sin(math.pi * i / 401) ** 2 for i in range(1, 401)]
        power = np.abs(np.fft.fft(np.multiply(window, hann), 512)) ** 2
        bands = []
        for band in range(40):
            left, centre, right = (
                700 * (10 ** (corner / 2595) - 1) for corner in corners[band : band + 3]
            )
            total = 0.0
            for k in range(257):
                hertz = k * 16_000 / 512
                if left < hertz <= centre:
                    total += power[k] * (hertz - left) / (centre - left)
                elif centre < hertz < right:
                    total += power[k] * (right - hertz) / (right - centre)
            bands.append(math.log(total + 1e-6))
        spectra.append(bands)
    return np.array(spectra)


def test_spectra_are_those_of_the_definition():
    t = np.arange(1700) / 16_000
    tones = np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 3000 * t)
    waveform = np.where(t < 0.02, 0, tones) + 0.01 * RNG.normal(size=len(t))
    x = torch.tensor(waveform, dtype=torch.float32)[None, :, None]
    np.testing.assert_allclose(LogMel()(x)[0], naive_log_mel(waveform), atol=1e-4)


def test_every_band_sees_some_frequency_and_white_noise_fills_all():
    spectra = LogMel()(torch.randn(1, 16_000, 1, generator=torch.manual_seed(0)))
    assert (spectra[0, 3:].mean(0) > 0).all()  # window and band both sum up more than 1


def test_silence_is_finite():
    assert torch.equal(
        LogMel()(torch.zeros(1, 500, 1)), torch.full((1, 4, 40), math.log(1e-6))
    )


def test_channels_are_side_by_side():
    x = torch.randn(2, 1000, 2)
    both = LogMel()(x)
    assert both.shape == (2, 7, 80)
    for channel in range(2):
        alone = LogMel()(x[:, :, channel : channel + 1])
        part = both[:, :, 40 * channel : 40 * (channel + 1)]
        torch.testing.assert_close(part, alone, rtol=0, atol=1e-5)


def test_bfloat16_leaves_the_spectra_alone():
    x = torch.randn(2, 1000, 1)
    with torch.autocast("cpu", torch.bfloat16):
        low = LogMel()(x)
    assert low.dtype == torch.float32
    assert torch.equal(low, LogMel()(x))


def test_a_first_use_without_gradients_does_not_spoil_training():
    from sklearn_cpc.nn.encoders import spectra

    spectra._matrices.cache_clear()
    x = torch.randn(1, 500, 1)
    with torch.inference_mode():
        LogMel()(x)
    y = x.clone().requires_grad_()
    LogMel()(y).sum().backward()
    assert torch.isfinite(y.grad).all()


def test_encoder_knows_what_it_sees():
    encoder = build(LogMelEncoder, torch.Generator().manual_seed(0), (1, 8, 20_480))
    assert encoder.downsampling == 160
    assert encoder.receptive_field == 400 + 6 * 160  # windows of 7 spectra
    spectra, hidden, latents = encoder.layers(torch.randn(1, 1601, 1))
    assert spectra.shape == (1, 11, 40)
    assert hidden.shape == latents.shape == (1, 11, 8)


def test_nothing_but_what_is_learned_is_stored():
    encoder = build(LogMelEncoder, torch.Generator().manual_seed(0), (1, 8, 20_480))
    assert sum(p.numel() for p in encoder.state_dict().values()) == sum(
        4 * n_in * 8 + 8 + 2 * 8 for n_in in (40, 8)
    )
    copy = pickle.loads(pickle.dumps(encoder))
    x = torch.randn(1, 900, 1)
    assert torch.equal(copy(x), encoder(x))
