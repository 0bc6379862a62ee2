"""Speech of the synthesizer Flite: twelve speakers, and the phone of every moment.

Needs Debian's package `flite` (``apt-get install flite``; BSD-like licence). The
sentences are those of `bench_text`. What was synthesized is kept in the cache folder.
"""

import itertools
import re
import shutil
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
from bench_text import CACHE, load

RATE = 16_000
SILENCE = "pau"
# Pitch and duration, relative to what the voice was made for. The voice rms keeps its
# pitch whatever it is told: its three speakers differ in how fast they speak.
VOICES = ("awb", "kal16", "rms", "slt")
SETTINGS = ((0.85, 1.2), (1.0, 1.0), (1.2, 0.85))
SPEAKERS = [(voice, *setting) for voice in VOICES for setting in SETTINGS]


def sentences(n, seed=0):
    """Return `n` different sentences of 6 to 12 words."""
    texts, _, _ = load()
    plain = [" ".join(text.split()) for text in texts]
    found = sorted(
        {
            text
            for text in plain
            if 6 <= len(text.split()) <= 12 and re.fullmatch(r"[A-Za-z' ,.!?]+", text)
        }
    )
    order = np.random.default_rng(seed).permutation(len(found))
    if n > len(found):
        raise SystemExit(f"There are {len(found)} sentences, not {n}.")
    return [found[i] for i in order[:n]]


def say(text, voice, pitch, duration, folder):
    """Return the int16 waveform at `RATE`, and the (end in seconds, name) of phones."""
    path = Path(folder) / "utterance.wav"
    options = ["-voice", voice, "-psdur", "-o", str(path), "-t", text]
    options += ["--setf", f"f0_shift={pitch}", "--setf", f"duration_stretch={duration}"]
    printed = subprocess.run(
        ["flite", *options], check=True, capture_output=True, text=True
    ).stdout
    with wave.open(str(path)) as file:
        if file.getframerate() != RATE or file.getnchannels() != 1:
            raise SystemExit(f"flite wrote {file.getparams()}, not {RATE} Hz, mono.")
        waveform = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    pairs = [segment.rsplit(":", 1) for segment in printed.split()]
    names, ends = zip(*pairs, strict=True)
    # kal16 leaves out the second half of the last pause; all else is in its place.
    return waveform, list(zip(map(float, ends), names, strict=True))


def utterances(n_each, seed=0):
    """Let every speaker say `n_each` sentences, no sentence twice.

    Returns
    -------
    waveforms : list of ndarray (n_samples,), int16
    speakers : ndarray of int (n,)
        Speaker by speaker in turn.
    phones : list of list of (end in seconds, name)
    """
    path = CACHE / f"flite-{n_each}-{seed}.npz"
    if not path.exists():
        if shutil.which("flite") is None:
            raise SystemExit("flite is missing: apt-get install flite")
        with tempfile.TemporaryDirectory() as folder:
            said = [
                say(text, *SPEAKERS[i % len(SPEAKERS)], folder)
                for i, text in enumerate(sentences(n_each * len(SPEAKERS), seed))
            ]
        waveforms, phones = zip(*said, strict=True)
        ends, names = zip(*(pair for p in phones for pair in p), strict=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part.npz")
        np.savez(
            unfinished,
            waveform=np.concatenate(waveforms),
            lengths=[len(w) for w in waveforms],
            ends=ends,
            names=names,
            n_phones=[len(p) for p in phones],
        )
        unfinished.rename(path)
    with np.load(path) as file:
        waveforms = np.split(file["waveform"], np.cumsum(file["lengths"])[:-1])
        pairs = list(zip(file["ends"].tolist(), file["names"].tolist(), strict=True))
        bounds = np.append(0, np.cumsum(file["n_phones"]))
    phones = [pairs[a:b] for a, b in itertools.pairwise(bounds)]
    return waveforms, np.arange(len(waveforms)) % len(SPEAKERS), phones


def phone_at(phones, seconds):
    """Return the name of the phone at each of some moments."""
    ends, names = zip(*phones, strict=True)
    index = np.searchsorted(ends, seconds, side="right")
    return np.array(names)[np.minimum(index, len(names) - 1)]
