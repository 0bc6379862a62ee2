import numpy as np
import pytest
import torch

from sklearn_cpc import CPCTransformer
from sklearn_cpc._data.scaled import ScaledSequences
from sklearn_cpc._data.scaling import NoScaling
from sklearn_cpc._data.sequences import Sequences
from sklearn_cpc.nn.encoders import ENCODERS
from sklearn_cpc.training.inference import BATCH_STEPS, Inference, batch_steps, run

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


@pytest.mark.parametrize(
    ("name", "n_timesteps", "n_steps"),
    [
        ("kernels", 100, 2**15),  # a first layer of stride 1
        ("kernels", 5000, 2**15),  # of stride 4
        ("audio", 20_480, 5 * 2**13),
        ("log_mel", 20_480, BATCH_STEPS),
    ],
)
def test_a_batch_of_a_cpu_has_a_first_layer_that_its_caches_hold(
    name, n_timesteps, n_steps
):
    assert batch_steps(1, 1, ENCODERS[name](1, 16, n_timesteps)) == n_steps


@pytest.mark.parametrize(
    ("device", "expected"), [("cpu", 2**15), ("cuda", BATCH_STEPS)]
)
def test_a_gpu_takes_larger_batches(device, expected):
    cpc = CPCTransformer(latent_size=8, max_epochs=0).fit(np.zeros((2, 100, 1)))
    cpc.device_ = device
    assert cpc._inference().batch_steps == expected
