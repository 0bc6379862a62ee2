"""What new processes show: equal bits, no network, no import in vain.

A process spends seconds on imports, far more than on what is asked here. So two of
them do all of it; other_process.py says what.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sklearn_cpc import CPCTransformer

SCRIPT = Path(__file__).with_name("other_process.py")
OPTIONAL = {
    "IPython",
    "accelerate",
    "dask",
    "distributed",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "pandas",
    "polars",
    "rich",
    "skops",
    "tokenizers",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of two processes that order sets of str differently."""
    folder = tmp_path_factory.mktemp("models")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment.pop("TOKENIZERS_PARALLELISM", None)
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, folder / seed],
            env=environment | {"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    printed = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    return [(json.loads(stdout), stderr) for stdout, stderr in printed]


def test_two_fits_are_bitwise_equal_here_and_in_other_processes(results):
    X = np.random.default_rng(0).normal(size=(20, 50, 2)).cumsum(1)
    options = {"latent_size": 8, "max_epochs": 3, "early_stopping": True}
    features = [
        CPCTransformer(**options, random_state=7).fit_transform(X) for _ in range(2)
    ]
    hashes = {hashlib.sha256(f.tobytes()).hexdigest() for f in features}
    assert hashes == {found["sequences"] for found, _ in results}


@pytest.mark.parametrize("job", ["texts", "byte pairs"])
def test_texts_and_byte_pairs_are_equal_in_all_processes(results, job):
    (one, _), (other, _) = results
    assert one[job] == other[job]


def test_importing_the_package_imports_nothing_optional(results):
    for found, _ in results:
        assert "sklearn_cpc" in found["new modules"]
        assert not set(found["new modules"]) & OPTIONAL
        assert not found["has tokenizers"]


def test_the_network_is_not_used(results):
    """A fit, a file and a pickle; a process that asks for the network ends at once."""
    assert all(found["files"] for found, _ in results)


def test_no_warning_after_a_fork(results):
    for found, stderr in results:
        assert found["status of the fork"] == 0
        assert stderr == ""


def test_freed_memory_is_used_again(results):
    """Blocks that the kernel makes anew for every batch cost a quarter of the time."""
    if results[0][0]["mapped"] is None:
        pytest.skip("The allocator is not a recent glibc.")
    assert [found["mapped"] for found, _ in results] == [0, 0]
