"""Several processes train one model; see rank.py for what each of them runs."""

import os
import pickle
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sklearn_cpc import CPCTransformer

RANK = Path(__file__).with_name("rank.py")
rng = np.random.default_rng(0)
X = [rng.normal(size=(n, 2)).cumsum(0) for n in rng.integers(8, 60, 41)]
OPTIONS = {
    "latent_size": 16,
    "context_size": 16,
    "batch_size": 20,
    "crop_length": 40,
    "random_state": 0,
}


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def start(folder, n_ranks=2, *, X=X, engine="stand-in", **job):
    """Start the processes and return them."""
    job = {
        "X": X,
        "engine": engine,
        "engine_options": {},
        "groups": None,
        "method": "fit",
        "n_fits": 1,
        "reverse_on": None,
        **job,
    }
    job["options"] = OPTIONS | job.get("options", {})
    (folder / "job").write_bytes(pickle.dumps(job))
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(n_ranks),
    }
    return [
        subprocess.Popen(
            [sys.executable, RANK, folder / "job", folder / str(rank)],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(n_ranks)
    ]


def finish(processes, folder, timeout=120):
    """Return what each process wrote (None if nothing) and printed."""
    end = time.monotonic() + timeout
    try:
        printed = [
            process.communicate(timeout=end - time.monotonic()) for process in processes
        ]
    finally:
        for process in processes:
            process.kill()
    results = [
        pickle.loads(path.read_bytes()) if path.exists() else None
        for path in (folder / str(rank) for rank in range(len(processes)))
    ]
    return results, printed


def run(folder, *args, **options):
    """Run the processes; all must succeed, with equal weights and curves."""
    results, printed = finish(start(folder, *args, **options), folder)
    for result, (_, err) in zip(results, printed, strict=True):
        assert result is not None, err
        assert "error" not in result, result["error"]
    for result in results[1:]:
        for name in ("loss_curve", "accuracy", "validation_scores"):
            assert result[name] == results[0][name]
        for name, weight in result["weights"].items():
            np.testing.assert_array_equal(weight, results[0]["weights"][name])
        np.testing.assert_array_equal(result["features"], results[0]["features"])
    return results


def assert_same_weights(result, expected, atol=1e-5):
    for name, weight in expected.net_.module_.state_dict().items():
        np.testing.assert_allclose(
            result["weights"][name], weight.numpy(), rtol=0, atol=atol, err_msg=name
        )


@pytest.mark.parametrize(
    ("n_ranks", "options"),
    [
        (2, {}),
        (3, {"negatives": "other_sequences", "max_epochs": 17, "n_negatives": 16}),
    ],
)
def test_weights_are_those_of_one_process_with_the_combined_batch(
    tmp_path, n_ranks, options
):
    """50 updates of 3 batches of 16 to 18 windows, of unequal lengths and shares."""
    options = {"max_epochs": 17} | options
    alone = CPCTransformer(**OPTIONS | options).fit(X)
    assert sum(e["train_batch_count"] for e in alone.net_.history) >= 50
    result, *_ = run(tmp_path, n_ranks, options=options)
    assert_same_weights(result, alone)
    np.testing.assert_allclose(result["loss_curve"], alone.loss_curve_, atol=1e-5)
    accuracy = [epoch["train_accuracy"] for epoch in alone.net_.history]
    np.testing.assert_allclose(result["accuracy"], accuracy, atol=1e-3)
    np.testing.assert_allclose(result["features"], alone.transform(X), atol=1e-4)
