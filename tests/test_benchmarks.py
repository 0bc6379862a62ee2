"""Scripts of the benchmarks that nothing else runs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sklearn_cpc import CPCTransformer
from sklearn_cpc.nn import LogMel

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_results_of_other_defaults_are_noticed(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import measuring
    import stale

    series = ["CPCTransformer"]
    assert stale.measured("recordings") == stale.measured("speech_1") == series
    assert stale.measured("images") == ["CPCImageTransformer"]
    texts = ["CPCTextTransformer"]
    assert stale.measured("documents") == stale.measured("sections") == texts
    for path in measuring.RESULTS.glob("*.json"):
        assert stale.measured(path.stem) or path.stem == "import"
    record = measuring.machine()
    old = record["defaults"]["CPCTransformer"]
    assert old["batch_size"] == "32"
    assert stale.changes(record, series) == []
    old["batch_size"] = "64"
    assert stale.changes(record, series) == ["CPCTransformer: batch_size was 64, is 32"]
    assert stale.changes(record, ["CPCImageTransformer"]) == []
    del old["batch_size"], old["start"]
    changed = ["CPCTransformer: batch_size was absent, is 32"]
    assert stale.changes(record, series) == changed
    del record["defaults"]
    assert stale.changes(record, series) == ["the defaults are not recorded"]


def test_all_losses_of_the_benchmarks_run_and_have_gradients(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import bench_scaling
    import bench_step
    import step_losses

    for with_matrices in (True, False):
        step = bench_step.loss_step(step_losses.own_loss, with_matrices)
        assert all(gradient.abs().sum() > 0 for gradient in step())
    assert all(part.abs().sum() > 0 for part in bench_scaling.loss_step(16)())


@pytest.mark.slow
def test_the_script_for_gpus_runs_with_tiny_sizes_on_a_cpu():
    """So that the minutes of a GPU are not lost to a slip."""
    written = sorted((BENCHMARKS / "results").iterdir())
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "bench_gpu.py", "--quick", "--device", "cpu"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for row in ("audio, float32", "audio, bf16", "default, float32", "default, bf16"):
        (cells,) = [
            line.split(" | ")[1:]
            for line in done.stdout.splitlines()
            if line.startswith(f"| {row} | ")
        ]
        _, rate, _, busy = (float(cell.rstrip("| ")) for cell in cells)
        assert rate > 0
        assert 0 < busy <= 1
    assert "features from the CPU's" in done.stdout
    assert sorted((BENCHMARKS / "results").iterdir()) == written


@pytest.mark.slow
def test_the_script_of_the_weights_makes_the_same_bytes_twice(tmp_path):
    pytest.importorskip("espeakng_loader")
    pytest.importorskip("babel")
    files = []
    for name in ("one", "two"):
        path = tmp_path / name / "speech.safetensors"
        command = [sys.executable, BENCHMARKS / "pretrain_speech.py", "--quick"]
        done = subprocess.run(
            [*command, "--epochs", "2", "--out", path],
            env=os.environ | {"SKLEARN_CPC_DATA": str(tmp_path / name / "data")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        files.append(path.read_bytes())
    assert files[0] == files[1]
    model = CPCTransformer.from_pretrained(path)
    assert model.n_epochs_ == 2
    assert model.card_["updates"] == 2
    assert model.transform([np.zeros(4000)]).shape[0] == 1
    assert sorted(p.name for p in path.parent.iterdir()) == ["data", path.name]


def test_the_fast_spectra_of_the_weights_are_those_of_the_model(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    pretrain_speech = pytest.importorskip("pretrain_speech")
    waveform = np.random.default_rng(0).normal(size=3333)
    x = torch.from_numpy(np.float32(waveform))[None, :, None]
    expected = LogMel()(x)[0].numpy()
    np.testing.assert_allclose(pretrain_speech.log_mel(waveform), expected, atol=1e-3)


def test_the_context_alone_hears_the_noise(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    pretrain_speech = pytest.importorskip("pretrain_speech")
    rng = np.random.default_rng(0)
    waveform = rng.normal(size=8000)
    (frames,) = pretrain_speech.spectra([waveform], scale=1.0)
    assert frames.shape == (50, 40 * (1 + pretrain_speech.VIEWS))
    x = np.float32(np.stack([frames] * 8))
    views = pretrain_speech.two_views(x, rng)
    np.testing.assert_array_equal(views[..., :40], x[..., :40])
    assert len({view.tobytes() for view in views[..., 40:]}) == 8
