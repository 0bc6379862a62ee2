import copy

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV, KFold
from skorch.callbacks import Callback

from sklearn_cpc import CPCTransformer


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(20, 30, 2)).cumsum(1)


def cpc(**options):
    options = {"latent_size": 8, "context_size": 8, "max_epochs": 5} | options
    return CPCTransformer(random_state=0, **options)


class RatesOfUpdates(Callback):
    """Notes the learning rate of every update."""

    def on_train_begin(self, net, **kwargs):
        self.rates_ = []

    def on_batch_begin(self, net, training, **kwargs):
        self.rates_.append(net.optimizer_.param_groups[0]["lr"])


def test_history_has_loss_accuracy_and_chance(X):
    net = cpc(n_negatives=16).fit(X).net_
    assert len(net.history) == 5
    for epoch in net.history:
        assert 0 < epoch["train_loss"] < 20
        assert 0 <= epoch["train_accuracy"] <= 1
        assert epoch["train_chance"] == pytest.approx(np.log(17))
        assert epoch["batches"] == []


def test_rate_rises_over_20_updates_of_all_fits_and_stays(X):
    note = RatesOfUpdates()
    options = {"batch_size": 10, "lr": 0.01, "callbacks": [note]}
    estimator = cpc(max_epochs=6, warm_start=True, **options).fit(X)
    np.testing.assert_allclose(note.rates_, 0.01 * np.arange(1, 13) / 20)
    estimator.set_params(max_epochs=5).fit(X)
    expected = 0.01 * np.minimum(np.arange(13, 23) / 20, 1)
    np.testing.assert_allclose(note.rates_, expected)
    estimator.set_params(lr=0.001).partial_fit(X)
    assert note.rates_ == [0.001, 0.001]


def test_loss_that_is_not_finite_stops_with_the_remedy(X):
    with pytest.raises(ValueError, match=r"loss became .* in epoch 1.*smaller lr"):
        cpc(callbacks=[Poison()]).fit(X)


class Poison(Callback):
    """Spoils a weight as training starts."""

    def on_train_begin(self, net, **kwargs):
        with torch.no_grad():
            next(net.module_.parameters()).fill_(torch.nan)


class Interrupt(Callback):
    """Does what Ctrl-C does, or how skorch's callbacks end the training."""

    def __init__(self, method):
        setattr(self, method, self.interrupt)

    def interrupt(self, net, **kwargs):
        raise KeyboardInterrupt


def test_keyboard_interrupt_passes_through(X):
    estimator = cpc(callbacks=[Interrupt("on_batch_end")])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X)
    assert not hasattr(estimator, "net_")


class InterruptBatch(Callback):
    """The same, for searches, which copy it."""

    def on_batch_end(self, net, **kwargs):
        raise KeyboardInterrupt


def test_keyboard_interrupt_ends_a_search(X):
    interrupted = cpc(callbacks=[InterruptBatch()])
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(interrupted, {"lr": [1e-3, 1e-2]}, cv=KFold(2)).fit(X)


def test_keyboard_interrupt_leaves_a_fitted_estimator_as_it_was(X):
    estimator = cpc(warm_start=True).fit(X)
    before = estimator.transform(X)
    estimator.set_params(callbacks=[Interrupt("on_batch_end")])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X)
    np.testing.assert_array_equal(estimator.transform(X), before)


def test_callbacks_stop_the_training_as_in_skorch(X):
    assert cpc(callbacks=[Interrupt("on_epoch_end")]).fit(X).n_epochs_ == 1


def test_verbose_shows_loss_and_accuracy(X, capsys):
    cpc(verbose=1).fit(X)
    shown = capsys.readouterr().err
    assert "5/5" in shown
    assert "loss=" in shown
    assert "accuracy=" in shown


def test_silent_by_default(X, capsys):
    cpc(early_stopping=True).fit(X)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_callbacks_run_and_stay_the_users(X):
    note = RatesOfUpdates()
    first = cpc(callbacks=[note]).fit(X)
    assert len(note.rates_) == 5
    assert first.callbacks == [note]


class Weights(Callback):
    """Keeps the weights of every epoch."""

    def on_train_begin(self, net, **kwargs):
        self.epochs_ = []

    def on_epoch_end(self, net, **kwargs):
        self.epochs_.append(copy.deepcopy(net.module_.state_dict()))


def test_early_stopping_returns_to_the_best_weights(X):
    weights = Weights()
    estimator = cpc(
        early_stopping=True,
        n_iter_no_change=3,
        max_epochs=60,
        lr=0.03,
        validation_fraction=0.3,
        callbacks=[weights],
    ).fit(X)
    scores = estimator.validation_scores_
    assert len(scores) == estimator.n_epochs_ < 60
    best = int(np.argmax(scores))
    assert len(scores) - 1 - best == 3
    kept = estimator.net_.module_.state_dict()
    for name, expected in weights.epochs_[best].items():
        torch.testing.assert_close(kept[name], expected, rtol=0, atol=0)
