"""Make the weights that come with the package: `CPCTransformer.from_pretrained`.

    python benchmarks/pretrain_speech.py [--out FILE] [--sources NAME ...] [--quick]

Needs the extra `benchmark`, Babel, and Debian's ``apt-get install festival
festvox-kdlpc16k festlex-cmu festlex-poslex open-jtalk open-jtalk-mecab-naist-jdic``;
`many_voices.py` says what is said by whom, and under which licences. One thread.

The model is that of `CPCTransformer(encoder="log_mel")`; the group of an utterance is
its voice, so that negatives share the voice. Its targets are latents of the clean
recording. Its context hears it with noise and an echo, through another microphone, and
from a vocal tract of another length. That the context alone is varied is after E.
Kharitonov et al. (2020), arXiv:2007.00991.

The same command makes the same bytes on the same machine, also if it was interrupted: a
checkpoint beside the file is resumed.
"""

import argparse
import tempfile
import time
from pathlib import Path

import many_voices
import numpy as np
import torch
from measuring import commit
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import fftconvolve
from skorch.callbacks import Callback
from torch import nn

from sklearn_cpc import Checkpoint, CPCTransformer
from sklearn_cpc.nn.encoders.audio import SpectralKernelEncoder
from sklearn_cpc.nn.encoders.spectra import (
    FLOOR,
    HOP,
    N_FFT,
    N_MELS,
    WINDOW,
    _matrices,
)
from sklearn_cpc.nn.initialization import build
from sklearn_cpc.nn.masks import latent_lengths
from sklearn_cpc.nn.model import CPC, CPCOutput
from sklearn_cpc.training.state import n_updates

RATE = many_voices.RATE
OUT = Path(__file__).parent.parent / "sklearn_cpc" / "pretrained" / "speech.safetensors"
EPOCHS = 30
PARAMETERS = {"encoder": "log_mel", "random_state": 0}
QUICK = {"espeak": (4, 3)}
VIEWS = 2  # noisy ones of each recording
# Of the windows that a context sees: how many are left clean, and how many of the
# others have an echo.
CLEAN, ECHO = 0.2, 0.4
NOISE = (3.0, 30.0)  # signal to noise, decibels
REVERBERATION = (0.08, 0.6)  # seconds until an echo is 60 dB softer
BANDS = np.arange(N_MELS)
WARP = 0.15  # of the bands: how much longer or shorter a vocal tract is, as a logarithm
MICROPHONE = 0.7  # deviation of the loudness of bands, in nats, as a smooth curve
CURVES = np.cos(np.pi * np.outer([0, 1, 2], (BANDS + 0.5) / N_MELS))
SLOPES = (-2.0, 0.0)  # exponents of the power of a noise: from brown to white


# ---- what the context hears


def noise(rng, n_samples):
    """Return a noise of a random colour, of power 1."""
    size = next_fast_len(n_samples, real=True)
    bands = np.arange(1, size // 2 + 2) ** (rng.uniform(*SLOPES) / 2)
    phases = np.exp(2j * np.pi * rng.random(len(bands)))
    sound = irfft(bands * phases, size)[:n_samples]
    return sound / np.sqrt(np.square(sound).mean())


def echo(rng):
    """Return an impulse response: the sound itself, then decaying noise."""
    times = np.arange(int(REVERBERATION[1] * RATE)) / RATE
    decay = np.exp(-np.log(1000) * times / rng.uniform(*REVERBERATION))
    taps = rng.standard_normal(len(times)) * decay
    taps *= rng.uniform(0.2, 1) / np.linalg.norm(taps)
    taps[0] = 1
    return taps


def heard(waveform, rng):
    """Return a waveform with an echo, in some cases, and with noise."""
    past = waveform
    if rng.random() < ECHO:
        past = fftconvolve(past, echo(rng))[: len(waveform)]
    ratio = 10 ** (-rng.uniform(*NOISE) / 20)
    loudness = ratio * np.sqrt(np.square(past).mean())
    return past + loudness * noise(rng, len(waveform))


def log_mel(waveform):
    """Return what `LogMel` gives, by an FFT: for hours of speech it is faster."""
    fourier, mel = (matrix.numpy() for matrix in _matrices(torch.device("cpu")))
    n_frames = -(-len(waveform) // HOP)
    padded = np.concatenate([np.zeros(WINDOW - 1), waveform]).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    bands = rfft(windows[:n_frames] * fourier[:, 0], N_FFT)  # its column 0: the window
    power = np.square(bands.real) + np.square(bands.imag)
    return np.log(power @ mel + FLOOR)


def spectra(waveforms, scale, seed=0):
    """Return log-mel spectra (T, 40 V), float16: clean ones, and `VIEWS` noisy ones."""
    rng, found = np.random.default_rng(seed), []
    for waveform in waveforms:
        x = waveform / scale
        views = [x, *(heard(x, rng) for _ in range(VIEWS))]
        found.append(np.hstack([log_mel(view) for view in views]).astype(np.float16))
    return found


def two_views(x, rng):
    """Return clean spectra and, behind them, those that the context hears (B, T, 80).

    The latter are a noisy view, of a vocal tract of another length and through another
    microphone.
    """
    views = x.reshape(*x.shape[:2], -1, N_MELS)  # (B, T, V, 40)
    n_windows, _, n_views, _ = views.shape
    chosen = rng.integers(1, n_views, n_windows)
    chosen[rng.random(n_windows) < CLEAN] = 0
    past = views[np.arange(n_windows), :, chosen]
    factor = rng.uniform(-WARP, WARP, (n_windows, 1))
    places = np.clip(BANDS * np.exp(factor), 0, N_MELS - 1.001)  # (B, 40)
    low = places.astype(int)
    rest = np.float32(places - low)[:, None]
    rows, steps = np.ogrid[:n_windows, : x.shape[1]]
    index = rows[..., None], steps[..., None]
    past = past[(*index, low[:, None])] * (1 - rest) + (
        past[(*index, low[:, None] + 1)] * rest
    )
    curve = rng.normal(0, MICROPHONE, (n_windows, 3)) @ CURVES
    past += np.float32(curve)[:, None]
    return np.concatenate([views[:, :, 0], past], axis=2)


# ---- the model in training


class Frames(nn.Module):
    """In the place of the log-mel spectra, which have been computed before."""

    def advance(self, x, state):
        """Return the clean spectra."""
        return x[..., :N_MELS], None


class OfSpectra(SpectralKernelEncoder):
    """The encoder of the package, of log-mel spectra instead of waveforms."""

    crop_length, sampling_rate = 128, None

    def __init__(self, n_channels, latent_size, n_timesteps):
        super().__init__(1, latent_size, n_timesteps * HOP)
        self.log_mel = Frames()
        self.downsampling, self.layer_downsamplings = 1, [1] * 4
        self.receptive_field = 1 + sum(size - 1 for size in self.kernel_sizes)

    def calibrate(self, x, lengths):
        """Leave the bank, which is not trained, to the waveforms."""


class TwoViews(CPC):
    """A model whose contexts, in training, hear another recording than its targets."""

    def forward(self, x, lengths=None):
        """Return latents of the first spectra and contexts of the others."""
        if not self.training:
            return super().forward(x, lengths)
        z, past = self.encoder(torch.cat(x.chunk(2, dim=2))).chunk(2)
        n_latents = latent_lengths(lengths, self.downsampling)
        return [CPCOutput(z, self.context(past), self.predictor, n_latents)]


class OnSpectra(CPCTransformer):
    """A `CPCTransformer` that trains on two views of spectra."""

    def _augmentation(self):
        return two_views

    def _expected_rate(self, reset):
        return None

    def _build_encoder(self, source, generator):
        return build(OfSpectra, generator, (1, self.latent_size, 128))

    def _build_model(self, encoder, context, architecture, generator):
        return TwoViews.from_encoder(
            encoder,
            context,
            latent_size=architecture.latent_size,
            context_size=architecture.context_size,
            prediction_steps=architecture.prediction_steps,
            generator=generator,
        )


class Cosine(Callback):
    """Lets the learning rate fall to nothing, epoch by epoch."""

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def on_epoch_begin(self, net, **kwargs):
        """Set the rate of this epoch, which its number alone decides."""
        done = (len(net.history) - 1) / self.n_epochs
        for group in net.optimizer_.param_groups:
            group["lr"] = net.lr * (1 + np.cos(np.pi * done)) / 2


def pretrained(waveforms, voices, checkpoint, n_epochs):
    """Return a `CPCTransformer` with weights from waveforms in [-1, 1], and updates."""
    model = CPCTransformer(**PARAMETERS, max_epochs=0)
    model.fit(waveforms)  # learns the scaling, and scales the bank of kernels
    print(f"scaled, {time.ctime()}", flush=True)
    frames = spectra(waveforms, model._scaling.scale[0])
    print(f"{sum(map(len, frames))} frames, {time.ctime()}", flush=True)
    callbacks = [Cosine(n_epochs), checkpoint, EpochPrinter()]
    learner = OnSpectra(
        **PARAMETERS, scaling=None, max_epochs=n_epochs, callbacks=callbacks
    )
    learner.fit(frames, groups=voices)
    weights = learner.net_.module_.state_dict()
    learned = {n: w for n, w in weights.items() if ".readout." not in n}
    model.net_.module_.load_state_dict(learned, strict=False)
    model.net_.history_ = learner.net_.history_
    return model, n_updates(learner.net_.optimizer_)


class EpochPrinter(Callback):
    """Prints what an epoch has reached."""

    def on_epoch_end(self, net, **kwargs):
        """Print loss and contrastive accuracy."""
        epoch = net.history[-1]
        loss, accuracy = epoch["train_loss"], epoch["train_accuracy"]
        print(
            f"{len(net.history)} {loss:.3f} {accuracy:.3f} {time.ctime()}", flush=True
        )


def main():
    """Train, and write the file with its card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument(
        "--sources", nargs="+", choices=many_voices.AMOUNTS, default=many_voices.AMOUNTS
    )
    parser.add_argument("--quick", action="store_true", help="a few words, to try it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    begun = commit()
    amounts = {name: many_voices.AMOUNTS[name] for name in options.sources}
    if options.quick:
        amounts = QUICK
    waveforms, voices, names = many_voices.recordings(amounts)
    waveforms = [np.float32(waveform) / 2**15 for waveform in waveforms]
    hours = sum(map(len, waveforms)) / RATE / 3600
    print(f"{len(waveforms)} utterances, {hours:.2f} hours, {len(names)} voices")
    run = options.out.with_suffix(".checkpoint")
    model, n_done = pretrained(waveforms, voices, Checkpoint(run), options.epochs)
    last = model.net_.history[-1]
    card = {
        "data": many_voices.SAID_BY,
        "licences": many_voices.LICENCES,
        "languages": many_voices.LANGUAGES,
        "hours": round(hours, 2),
        "voices": {
            source: sum(n.startswith(source) for n in names) for source in amounts
        },
        "updates": n_done,
        "numbers": {
            "loss of the last epoch, nats": round(last["train_loss"], 3),
            "contrastive accuracy of it": round(last["train_accuracy"], 3),
        },
        "not heard": "Chinese; voices of flite, Asterisk, gcin-voice, Hedgewars",
        "script": "benchmarks/pretrain_speech.py",
        "commit": begun,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        model.save(path)
        # A start finds new references for scores.
        model = CPCTransformer(**PARAMETERS, start=path, max_epochs=0)
        model.fit(waveforms, groups=voices)
    model.set_params(random_state=None, start=None)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    model.save(options.out, card=card)
    run.unlink(missing_ok=True)
    print(f"{options.out}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
