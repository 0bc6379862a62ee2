import numpy as np
import pytest
import torch

from sklearn_cpc._data.scaled import ScaledSequences
from sklearn_cpc._data.scaling import NoScaling
from sklearn_cpc._data.sequences import Sequences
from sklearn_cpc.training.inference import Inference, run

LENGTHS = np.array([12, 5, 30, 2, 9])
INFERENCE = Inference("cpu", None, batch_steps=40)


@pytest.fixture
def source():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(n, 2)) for n in LENGTHS]
    return ScaledSequences.of(Sequences(arrays, LENGTHS, "list"), NoScaling())


@pytest.mark.parametrize("batch_steps", [1, 20, 60, 1000])
def test_run_gives_every_row_once(source, batch_steps):
    inference = Inference("cpu", None, batch_steps)
    rows = []
    for index, output in run(lambda x, lengths: x.sum((1, 2)), source, inference):
        for row, total in zip(index, output, strict=True):
            expected = source.sequences.arrays[row].sum()
            assert float(total) == pytest.approx(expected, abs=1e-5)
        rows.extend(index)
    assert sorted(rows) == list(range(5))


def test_run_leaves_the_mode_of_torch_to_the_caller(source):
    for _ in run(lambda x, lengths: x, source, INFERENCE):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
