"""Tasks of newcomers, at the size that they have. The docs show them smaller."""

import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import wavfile

from sklearn_cpc import CPCTransformer
from sklearn_cpc.preprocessing import sequences_from_long, sliding_windows

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_a_log_of_a_million_rows_to_the_times_of_anomalies(tmp_path):
    rng = np.random.default_rng(0)
    n, odd = 1_000_000, slice(810_000, 812_000)
    phase = np.cumsum(rng.normal(0.6, 0.05, n))
    values = np.stack([np.sin(phase), np.cos(phase / 2)], axis=1)
    values += 0.1 * rng.normal(size=values.shape)
    values[odd] = rng.normal(size=(2_000, 2))
    times = pd.date_range("2024-05-01", periods=n, freq="100ms")
    log = pd.DataFrame(values.round(4), columns=["force", "torque"])
    log.insert(0, "time", times)
    log.to_csv(tmp_path / "log.csv", index=False)

    start = time.process_time()
    log = pd.read_csv(tmp_path / "log.csv", parse_dates=["time"])
    data = sequences_from_long(log, time="time")
    windows = sliding_windows(data.X, 10.0, 5.0, sampling_rate=10)
    cpc = CPCTransformer(latent_size=32, context_size=32, max_epochs=1, random_state=0)
    cpc.fit([w for w, s in zip(windows.X, windows.start, strict=True) if s < 300_000])
    scores = cpc.score_samples(windows.X)
    known = (windows.start >= 300_000) & (windows.start < 500_000)
    threshold = np.quantile(scores[known], 0.001) - 0.5
    alarms = data.times[0][windows.start[scores < threshold]]
    (score,) = windows.per_step(scores)
    seconds = time.process_time() - start
    print(f"{len(windows)} windows, {len(alarms)} alarms, {seconds:.0f} s of a CPU")

    first, last = times[odd][0], times[odd][-1]
    assert ((alarms > first - pd.Timedelta("10s")) & (alarms <= last)).all()
    assert len(alarms) >= 38  # of 40 windows
    assert (score[odd] < threshold).mean() > 0.95
    assert not (score[: odd.start - 100] < threshold).any()
    assert seconds < 300


# ---- audio files


def voices(folder, rate=44_100):
    """Write stereo files of four made-up speakers; return their paths."""
    rng = np.random.default_rng(0)
    t = np.arange(rate // 4) / rate
    for i in range(8):
        buzz = np.sign(np.sin(2 * np.pi * (110 + 40 * (i % 4)) * t))
        wave = 3000 * buzz + 300 * rng.normal(size=len(t))
        stereo = np.stack([wave, 0.5 * wave], axis=1).astype(np.int16)
        wavfile.write(folder / f"{i % 4}_{i}.wav", rate, stereo)
    return sorted(folder.glob("*.wav"))


def features(X):
    cpc = CPCTransformer(
        encoder="log_mel",
        sampling_rate=44_100,
        latent_size=8,
        context_size=8,
        max_epochs=0,
        random_state=0,
    )
    return cpc.fit_transform(X)


def test_readers_of_files_give_the_same_features(tmp_path):
    """The line of the docs for soundfile, beside the one for scipy."""
    soundfile = pytest.importorskip("soundfile", reason="needs the extra interop")
    paths = voices(tmp_path)
    page = (ROOT / "docs" / "speech.md").read_text(encoding="utf-8")
    line = re.search(r"X = (\[soundfile.*\])\n", page)[1]
    X = eval(line, {"soundfile": soundfile, "paths": paths})
    assert [x.shape for x in X] == [(11_025,)] * 8
    integers = [wavfile.read(path)[1].mean(axis=1) for path in paths]
    np.testing.assert_allclose(features(X), features(integers), atol=1e-3)


def test_stereo_as_it_is_read_is_refused(tmp_path):
    X = [wavfile.read(path)[1] for path in voices(tmp_path)]
    with pytest.raises(ValueError, match=r"one channel.*has 2.*x\.mean\(axis=1\)"):
        features(X)
    with pytest.raises(ValueError, match=r"X\[0\] is a pair.*44100.*for _, x in X"):
        features([wavfile.read(path) for path in voices(tmp_path)])
