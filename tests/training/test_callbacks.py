"""The learning rate: a warm-up, and whatever schedule a user adds."""

import numpy as np
import pytest
from skorch.callbacks import Callback, LRScheduler
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, StepLR

from sklearn_cpc import CPCTransformer

X = np.random.default_rng(0).normal(size=(20, 30, 2)).cumsum(1)
LR = 0.01
WARM_UP = np.minimum(np.arange(1, 41) / 20, 1)


class Rates(Callback):
    """Notes the learning rate of every update, and after every epoch."""

    def on_train_begin(self, net, **kwargs):
        self.updates_, self.epochs_ = [], []

    def on_batch_begin(self, net, **kwargs):
        self.updates_.append(net.optimizer_.param_groups[0]["lr"])

    def on_epoch_end(self, net, **kwargs):
        self.epochs_.append(net.optimizer_.param_groups[0]["lr"])


def fit(*callbacks, n_epochs=10, **options):
    """Fit with four updates an epoch; return the rates and the estimator."""
    rates = Rates()
    options = {"latent_size": 4, "context_size": 4, "random_state": 0} | options
    estimator = CPCTransformer(
        batch_size=5,
        lr=LR,
        max_epochs=n_epochs,
        callbacks=[*callbacks, rates],
        **options,
    ).fit(X)
    return rates, estimator


def test_without_a_schedule_the_rate_rises_and_stays():
    rates, _ = fit()
    np.testing.assert_allclose(rates.updates_, LR * WARM_UP)
    assert rates.epochs_ == [LR] * 10


SCHEDULES = {
    "halved every two epochs": (
        lambda: LRScheduler(StepLR, step_size=2, gamma=0.5),
        lambda update: 0.5 ** (update // 4 // 2),
    ),
    "cosine by updates": (
        lambda: LRScheduler(CosineAnnealingLR, T_max=40, step_every="batch"),
        lambda update: (1 + np.cos(np.pi * update / 40)) / 2,
    ),
    "any function of the update": (
        lambda: LRScheduler(
            LambdaLR, lr_lambda=lambda n: 1 / (1 + n), step_every="batch"
        ),
        lambda update: 1 / (1 + update),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_multiplied_with_the_warm_up(name):
    schedule, factor = SCHEDULES[name]
    rates, _ = fit(schedule())
    expected = LR * WARM_UP * factor(np.arange(40))
    np.testing.assert_allclose(rates.updates_, expected, rtol=1e-6)


def test_a_schedule_changes_what_is_learned():
    _, constant = fit()
    _, stopped = fit(LRScheduler(LambdaLR, lr_lambda=lambda epoch: float(epoch < 5)))
    _, short = fit(n_epochs=5)
    same = stopped.transform(X)
    np.testing.assert_allclose(same, short.transform(X), rtol=0, atol=1e-6)
    assert np.abs(same - constant.transform(X)).max() > 1e-3


def test_every_fit_starts_with_its_own_rate():
    _, estimator = fit(LRScheduler(StepLR, step_size=1, gamma=0.1), warm_start=True)
    rates = Rates()
    estimator.set_params(callbacks=[rates], lr=0.3).fit(X)
    assert rates.updates_ == [0.3] * 40
