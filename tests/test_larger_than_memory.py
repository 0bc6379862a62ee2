"""Memory maps are read in pieces, and what was read does not stay in memory."""

import mmap
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sklearn_cpc import _data
from sklearn_cpc._data.scaled import ScaledSequences
from sklearn_cpc._data.scaling import SCALINGS
from sklearn_cpc._data.sequences import Sequences, release

pytestmark = pytest.mark.skipif(
    not (Path("/proc/self/statm").exists() and hasattr(mmap, "MADV_DONTNEED")),
    reason="resident memory is read from /proc, and released by madvise",
)
MIB = 2**20
# Prints by how many bytes the peak memory of a process grows with a fit.
FIT = """
import sys
from pathlib import Path
import numpy as np, torch
from sklearn_cpc import CPCTransformer

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])

torch.set_num_threads(1)
X = np.load(sys.argv[1], mmap_mode="r")
small = {"latent_size": 4, "context_size": 4, "max_epochs": 1, "random_state": 0}
cpc = CPCTransformer(**small, **eval(sys.argv[2]))
cpc.fit(np.random.default_rng(0).normal(size=(40, *X.shape[1:])).astype(np.float32))
before = peak()
cpc.fit(X)
cpc.transform(X[:100])
print(peak() - before)
"""


def resident():
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def write(path, shape):
    """Write a sparse file of zeros, which takes no room on the disk."""
    array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    array[0] = np.random.default_rng(0).normal(size=shape[1:])
    return path


def growth(path, **options):
    """Return by how much the memory of a process grows that fits the file."""
    command = [sys.executable, "-c", FIT, str(path), repr(options)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(run.stdout)


@pytest.mark.slow
def test_a_fit_on_2_gib_takes_less_than_500_mib(tmp_path):
    path = write(tmp_path / "X.npy", (2048, 64, 4096))
    assert path.stat().st_size > 2048 * MIB
    assert growth(path) < 500 * MIB


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"early_stopping": True}, {"scaling": "sample"}, {"n_jobs": 1}]
)
def test_a_fit_on_1_gib(tmp_path, options):
    path = write(tmp_path / "X.npy", (1024, 64, 4096))
    assert growth(path, crop_length=64, **options) < 500 * MIB


def test_pages_of_a_map_are_released(tmp_path):
    path = write(tmp_path / "X.npy", (64, MIB // 4, 1))  # 64 MiB
    X = np.load(path, mmap_mode="r")
    before = resident()
    assert np.asarray(X[1:]).sum() == 0
    assert resident() - before > 50 * MIB
    release([np.asarray(X)[3], X[5]])
    assert resident() - before < 20 * MIB
    assert X[0].any()


def test_what_was_written_to_a_private_copy_is_kept(tmp_path):
    path = write(tmp_path / "X.npy", (4, 10, 1))
    X = np.load(path, mmap_mode="c")
    X[1] = 7
    release([X])
    assert (X[1] == 7).all()


def test_whatever_is_no_map_is_left_alone():
    release([np.ones(3), np.ones((2, 2))[0], np.frombuffer(b"1234", np.uint8)])


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("chunk", [1, 7, 50, 10_000])
def test_statistics_in_pieces_are_those_of_the_whole(monkeypatch, scaling, chunk):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(n, 2)) + 5 for n in (3, 40, 1, 17, 9)]
    arrays[1][4, 0] = np.nan
    lengths = np.array([3, 35, 1, 17, 8])
    sequences = Sequences(arrays, lengths, "list")

    def batch():
        learned = SCALINGS[scaling]()
        learned.partial_fit(sequences)
        return ScaledSequences.of(sequences, learned).batch(np.arange(5))[0]

    expected = batch()
    for module in (_data.reading, _data.scaling, _data.sequences):
        monkeypatch.setattr(module, "CHUNK", chunk)
    np.testing.assert_allclose(batch(), expected, rtol=0, atol=1e-5)


def test_a_part_of_the_sequences_shares_their_memory(tmp_path):
    X = np.load(write(tmp_path / "X.npy", (6, 10, 1)), mmap_mode="r")
    part = Sequences(X, np.full(6, 10), "array").take(np.array([4, 1]))
    assert all(np.shares_memory(array, X) for array in part.arrays)
    np.testing.assert_array_equal(part.arrays[1], X[1])
