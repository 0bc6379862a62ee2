"""Scripts of the benchmarks that nothing else runs."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_results_of_other_defaults_are_noticed(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import measuring
    import stale

    record = measuring.machine()
    assert record["defaults"]["CPCTransformer"]["batch_size"] == "32"
    assert stale.changes(record) == []
    record["defaults"]["CPCTransformer"]["batch_size"] = "64"
    assert stale.changes(record) == ["CPCTransformer: batch_size was 64, is 32"]
    del record["defaults"]["CPCTransformer"]["batch_size"]
    assert stale.changes(record) == ["CPCTransformer: batch_size was absent, is 32"]
    del record["defaults"]
    assert stale.changes(record) == ["the defaults are not recorded"]


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
