"""The accelerator of accelerate, and devices beside the CPU.

The tests that need a GPU have "cuda" in their names: benchmarks/bench_gpu.py runs them.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sklearn_cpc import CPCTransformer
from sklearn_cpc.training.batches import Batch

X = np.random.default_rng(0).normal(size=(20, 60, 2)).cumsum(1)


def cpc(**options):
    options = {"latent_size": 8, "max_epochs": 5, "lr": 5e-3} | options
    return CPCTransformer(random_state=0, **options)


class StandIn:
    """What is used of an Accelerator, counted; runs where accelerate is absent."""

    device = torch.device("cpu")
    process_index, num_processes = 0, 1
    scaler = None

    def __init__(self, kind="NO", n_parts=1):
        self.distributed_type = SimpleNamespace(value=kind)
        self.gradient_accumulation_steps = n_parts
        self.n_backward = 0

    def autocast(self):
        return torch.autocast("cpu", enabled=False)

    def backward(self, loss):
        self.n_backward += 1
        (loss / self.gradient_accumulation_steps).backward()


def test_an_accelerator_takes_over_the_backward_pass():
    accelerator = StandIn()
    fitted = cpc(accelerator=accelerator).fit(X)
    assert accelerator.n_backward == 5
    np.testing.assert_array_equal(fitted.transform(X), cpc().fit(X).transform(X))


class HalfPrecision(StandIn):
    def autocast(self):
        return torch.autocast("cpu", torch.bfloat16)


def test_an_accelerator_decides_on_the_precision():
    curves = [
        cpc(accelerator=accelerator, **options).fit(X).loss_curve_
        for accelerator, options in [
            (None, {}),
            (None, {"precision": "bf16"}),
            (HalfPrecision(), {}),
        ]
    ]
    assert curves[0] != curves[1] == curves[2]


def test_gradient_accumulation_is_the_mean_over_parts_of_a_batch():
    accelerator = StandIn(n_parts=3)
    fitted = cpc(max_epochs=0).fit(X)
    batch = first_batch(fitted)
    net = fitted.net_
    net.history.new_epoch()
    net.history.new_batch()
    state = net.criterion_.generator.get_state()
    for rows in np.array_split(np.arange(len(X)), 3):
        outputs = net.module_(batch.x[rows], batch.lengths[rows])
        (net.criterion_(*outputs).loss / 3).backward()
    learned = [p for p in net.module_.parameters() if p.requires_grad]
    expected = [p.grad.clone() for p in learned]
    net.module_.zero_grad()
    net.criterion_.generator.set_state(state)
    net.accelerator = accelerator
    net.train_step_single(batch)
    assert accelerator.n_backward == 3
    for p, gradient in zip(learned, expected, strict=True):
        torch.testing.assert_close(p.grad, gradient)


def first_batch(fitted):
    x, lengths = fitted._read(X, reset=False).batch(np.arange(len(X)))
    sequences = torch.arange(len(X))
    return Batch(torch.from_numpy(x), torch.from_numpy(lengths), sequences, sequences)


class Scaled(StandIn):
    """Like an Accelerator with float16: the loss is scaled, the update unscaled."""

    def __init__(self, scale):
        super().__init__()
        self.scaler = torch.amp.GradScaler("cpu", init_scale=scale)

    def backward(self, loss):
        self.scaler.scale(loss).backward()


def test_a_scaler_changes_no_gradient():
    scaled = cpc(accelerator=Scaled(2.0**16)).fit(X)
    np.testing.assert_allclose(
        scaled.transform(X), cpc().fit(X).transform(X), atol=1e-5
    )


def test_a_scaler_leaves_out_updates_that_overflow():
    untrained = cpc(max_epochs=0).fit(X).transform(X)
    options = {"max_epochs": 1, "lr": 0.1, "temperature": 1e-3}  # steep
    overflown = cpc(accelerator=Scaled(3e38), **options).fit(X)
    np.testing.assert_array_equal(overflown.transform(X), untrained)


@pytest.mark.parametrize("kind", ["DEEPSPEED", "FSDP", "MEGATRON_LM", "XLA"])
def test_engines_that_split_the_model_are_refused(kind):
    with pytest.raises(ValueError, match=f"distributed_type='{kind}', but training is"):
        cpc(accelerator=StandIn(kind)).fit(X)


# accelerate itself warns of what torch will deprecate.
@pytest.mark.filterwarnings("default")
def test_accelerate():
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    fitted = cpc(accelerator=accelerator).fit(X)
    assert fitted.device_ == "cpu"
    np.testing.assert_array_equal(fitted.transform(X), cpc().fit(X).transform(X))


def test_auto_takes_the_best_device():
    expected = "cpu"
    if torch.cuda.is_available():
        expected = "cuda"
    elif torch.backends.mps.is_available():
        expected = "mps"
    assert cpc(max_epochs=0).fit(X).device_ == expected


needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"
)


def to_the_cpu(fitted):
    """Move a fitted model to the CPU and to float32."""
    fitted.net_.module_.cpu()
    fitted.device_ = "cpu"
    fitted.precision = "float32"


@needs_cuda
@pytest.mark.parametrize("context", ["gru", "lstm", "conv", "attention"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_cuda_learns_and_agrees_with_the_cpu(context, precision):
    fitted = cpc(context=context, precision=precision, device="cuda", max_epochs=20)
    fitted.fit(X)
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]
    on_gpu, scores = fitted.transform(X), fitted.score_samples(X)
    to_the_cpu(fitted)
    tolerance = 1e-3 if precision == "float32" else 0.1
    np.testing.assert_allclose(on_gpu, fitted.transform(X), atol=tolerance)
    np.testing.assert_allclose(scores, fitted.score_samples(X), atol=10 * tolerance)


@needs_cuda
@pytest.mark.parametrize("encoder", ["kernels", "conv", "audio"])
@pytest.mark.parametrize("tf32", ["ieee", "tf32"])
def test_cuda_features_are_those_of_the_cpu_with_tf32_and_without(
    encoder, tf32, monkeypatch
):
    cudnn = torch.backends.cudnn
    for backend in (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn):
        monkeypatch.setattr(backend, "fp32_precision", tf32)
    X = np.random.default_rng(0).normal(size=(20, 4000, 1)).cumsum(1)
    fitted = cpc(encoder=encoder, device="cuda", max_epochs=2).fit(X)
    on_gpu = fitted.transform(X)
    to_the_cpu(fitted)
    np.testing.assert_allclose(on_gpu, fitted.transform(X), atol=1e-3)


@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_cuda_fits_are_bitwise_equal(precision):
    one, other = (
        cpc(precision=precision, device="cuda", max_epochs=20).fit(X) for _ in range(2)
    )
    assert one.loss_curve_ == other.loss_curve_
    np.testing.assert_array_equal(one.transform(X), other.transform(X))
    np.testing.assert_array_equal(one.transform(X), one.transform(X))
