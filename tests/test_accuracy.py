"""The promise: better features than raw values and than the untrained model."""

import runpy
import time
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def run(monkeypatch):
    """Return a function that gives the names in a benchmark."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return lambda name: runpy.run_path(str(BENCHMARKS / name))


@pytest.mark.slow
def test_japanese_vowels(run):
    from sklearn_cpc import CPCTransformer

    benchmark = run("bench_japanese_vowels.py")
    evaluate = benchmark["evaluate"]
    raw = evaluate(lambda seed: benchmark["PaddedValues"]())
    untrained = evaluate(lambda seed: CPCTransformer(max_epochs=0, random_state=seed))
    begin = time.process_time()  # of the CPU: other work on the machine does not count
    trained = evaluate(lambda seed: CPCTransformer(random_state=seed))
    seconds = (time.process_time() - begin) / len(trained["fit_seconds"])
    assert np.mean(trained["all_labels"]) >= 0.98
    few = [np.mean(result["few_labels"]) for result in (raw, untrained, trained)]
    assert few[2] > max(few[:2])
    assert seconds < 30


@pytest.mark.slow
def test_images(run):
    benchmark = run("bench_images.py")
    parts = benchmark["digits"]()
    found = {
        name: {
            n: np.mean(accuracies)
            for n, accuracies in benchmark["evaluate"](name, 0, *parts)[
                "accuracy"
            ].items()
        }
        for name in benchmark["METHODS"]
    }
    trained = found.pop("CPC")
    assert trained["10"] > max(other["10"] for other in found.values())
    assert trained["all"] >= 0.98
