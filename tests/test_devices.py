"""The accelerator of accelerate, and devices beside the CPU."""

import numpy as np
import pytest
import torch

from sklearn_cpc import CPCTransformer

X = np.random.default_rng(0).normal(size=(20, 60, 2)).cumsum(1)


def cpc(**options):
    options = {"latent_size": 8, "max_epochs": 5, "lr": 5e-3} | options
    return CPCTransformer(random_state=0, **options)


class StandIn:
    """What is used of an Accelerator, counted; runs where accelerate is absent."""

    device = torch.device("cpu")

    def __init__(self, **numbers):
        vars(self).update(numbers)
        self.n_backward = 0

    def autocast(self):
        return torch.autocast("cpu", enabled=False)

    def backward(self, loss):
        self.n_backward += 1
        loss.backward()


def test_an_accelerator_takes_over_the_backward_pass():
    accelerator = StandIn()
    fitted = cpc(accelerator=accelerator).fit(X)
    assert accelerator.n_backward == 5
    np.testing.assert_array_equal(fitted.transform(X), cpc().fit(X).transform(X))


@pytest.mark.parametrize("name", ["num_processes", "gradient_accumulation_steps"])
def test_an_accelerator_of_several(name):
    with pytest.raises(ValueError, match=f"accelerator has {name}=2, but training"):
        cpc(accelerator=StandIn(**{name: 2})).fit(X)


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("context", ["gru", "lstm", "conv", "attention"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_cuda_learns_and_agrees_with_the_cpu(context, precision):
    fitted = cpc(context=context, precision=precision, device="cuda", max_epochs=20)
    fitted.fit(X)
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]
    on_gpu, scores = fitted.transform(X), fitted.score_samples(X)
    fitted.net_.module_.cpu()
    fitted.device_ = "cpu"
    fitted.precision = "float32"
    tolerance = 1e-3 if precision == "float32" else 0.1
    np.testing.assert_allclose(on_gpu, fitted.transform(X), atol=tolerance)
    np.testing.assert_allclose(scores, fitted.score_samples(X), atol=10 * tolerance)
