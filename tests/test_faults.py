"""What goes wrong while a fit or a transform runs, and what is left then."""

import copy
import os
import pickle
import signal
import threading

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV, KFold
from skorch.callbacks import Callback

from faults import Fail, X, cpc, state
from sklearn_cpc import Checkpoint, CPCTransformer
from sklearn_cpc.nn.features import PooledFeatures
from sklearn_cpc.training import inference

# ---- a loss that is not finite


@torch.no_grad()
def poison(net):
    next(net.module_.parameters()).fill_(torch.nan)


@pytest.mark.parametrize(
    ("method", "epoch", "message"),
    [
        ("on_epoch_begin", 3, r"loss became nan in epoch 3\. Use a smaller lr"),
        ("on_epoch_end", 7, r"last update made encoder.* infinite or NaN\. Use a sm"),
    ],
)
def test_nan(method, epoch, message, tmp_path):
    path = tmp_path / "run"
    fitted = cpc().fit(X)
    before = state(fitted)
    Fail.epoch = epoch
    fitted.set_params(callbacks=[Fail(method, poison), Checkpoint(path, interval=0)])
    with pytest.raises(ValueError, match=message):
        fitted.fit(X)
    assert state(fitted.set_params(callbacks=None)) == before
    Fail.epoch = 0
    resumed = cpc(callbacks=[Fail(method, poison), Checkpoint(path, interval=0)]).fit(X)
    np.testing.assert_array_equal(resumed.transform(X), fitted.transform(X))


# ---- memory


def test_out_of_memory_in_transform_halves_the_batch(monkeypatch):
    monkeypatch.setattr(inference, "MAX_ROWS", 1024)
    fitted = cpc(max_epochs=1).fit(X)
    many = np.random.default_rng(1).normal(size=(300, 40, 2))
    expected = fitted.transform(many)
    sizes = []
    forward = PooledFeatures.forward

    def limited(self, x, lengths):
        sizes.append(len(x))
        if len(x) > 80:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return forward(self, x, lengths)

    monkeypatch.setattr(PooledFeatures, "forward", limited)
    np.testing.assert_allclose(fitted.transform(many), expected, atol=1e-6)
    assert sizes == [300, 150, 75, 75, 75, 75]


def test_out_of_memory_with_one_sample_is_an_error(monkeypatch):
    fitted = cpc(max_epochs=1).fit(X)
    before = state(fitted)

    def full(self, x, lengths):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    with monkeypatch.context() as patched:
        patched.setattr(PooledFeatures, "forward", full)
        with pytest.raises(torch.cuda.OutOfMemoryError):
            fitted.transform(X)
    assert state(fitted) == before


def test_out_of_memory_in_training_leaves_the_estimator():
    fitted = cpc(warm_start=True).fit(X)
    before = state(fitted)

    def full(net):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    Fail.epoch = 9
    fitted.set_params(callbacks=[Fail("on_batch_end", full)])
    with pytest.raises(torch.cuda.OutOfMemoryError):
        fitted.fit(X)
    assert state(fitted.set_params(callbacks=None)) == before


# ---- processes and signals


@pytest.mark.slow
def test_a_worker_that_dies_ends_a_search_and_nothing_else():
    class Die(Callback):  # local: it is sent to the workers by value
        def on_batch_end(self, net, **kwargs):
            os.kill(os.getpid(), signal.SIGKILL)

    grid, options = {"lr": [1e-3, 1e-2]}, {"cv": KFold(2), "n_jobs": 2}
    dying = GridSearchCV(cpc(callbacks=[Die()], max_epochs=1), grid, **options)
    with pytest.raises(
        RuntimeError, match="worker process managed by the executor was"
    ):
        dying.fit(X)
    assert not hasattr(dying, "best_estimator_")
    search = GridSearchCV(cpc(max_epochs=1), grid, **options).fit(X)
    alone = GridSearchCV(cpc(max_epochs=1), grid, cv=KFold(2)).fit(X)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )


def test_ctrl_c():
    """A real signal, in the middle of an update."""
    # A process in the background of a shell ignores it.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    fitted = cpc(warm_start=True).fit(X)
    before = state(fitted)
    Fail.epoch = 9
    interrupt = Fail("on_batch_begin", lambda net: signal.raise_signal(signal.SIGINT))
    fitted.set_params(callbacks=[interrupt])
    try:
        with pytest.raises(KeyboardInterrupt):
            fitted.fit(X)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert state(fitted.set_params(callbacks=None)) == before
    assert torch.is_grad_enabled()
    Fail.epoch = 0
    assert fitted.fit(X).n_epochs_ == 14


@pytest.mark.parametrize("handler", [signal.default_int_handler, None])
def test_ctrl_c_at_the_end_of_an_epoch_is_no_wish_of_a_callback(handler):
    """skorch's callbacks stop a training by the same exception as Ctrl-C."""

    def own_handler(*args):
        raise KeyboardInterrupt

    def interrupt(net):
        signal.raise_signal(signal.SIGINT)

    def stop(net):
        raise KeyboardInterrupt

    handler = handler or own_handler
    previous = signal.signal(signal.SIGINT, handler)
    try:
        Fail.epoch = 3
        with pytest.raises(KeyboardInterrupt):
            cpc(callbacks=[Fail("on_epoch_end", interrupt)]).fit(X)
        assert signal.getsignal(signal.SIGINT) is handler
        assert cpc(callbacks=[Fail("on_epoch_end", stop)]).fit(X).n_epochs_ == 3
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, previous)


def test_a_fit_whose_features_are_not_finite_fails():
    """The weights may be finite and large; what they make is not."""
    fitted = cpc().fit(X)
    before = state(fitted)
    fitted.set_params(lr=1e10, max_epochs=20)
    with pytest.raises(ValueError, match=r"infinite or NaN.*Use a smaller lr|loss"):
        fitted.fit(X)
    assert state(fitted.set_params(lr=0.01, max_epochs=7)) == before


def test_nan_is_not_taken_for_too_short():
    fitted = cpc(max_epochs=1).fit(X)
    with torch.no_grad():
        fitted.net_.module_.predictor.linear.weight.fill_(torch.inf)
    for score in (fitted.score, fitted.score_samples, fitted.contrastive_accuracy):
        with pytest.raises(ValueError, match="s that are not finite"):
            score(X)
    with torch.no_grad():
        for weight in fitted.net_.module_.context.parameters():
            weight.fill_(torch.nan)
    for features in (fitted.transform, fitted.transform_steps):
        with pytest.raises(ValueError, match="features that are not finite"):
            features(X)
    with pytest.raises(ValueError, match="features that are not finite"):
        fitted.stream().push(X[0])


def test_a_callback_that_cannot_be_pickled(tmp_path):
    """The model can be saved and goes on; a pickle says what is in its way."""

    class Locked(Callback):
        def __init__(self):
            self.lock = threading.Lock()

    fitted = cpc(callbacks=[Locked()], warm_start=True).fit(X)
    with pytest.raises((TypeError, AttributeError), match=r"pickle"):
        pickle.dumps(fitted)
    fitted.save(tmp_path / "model")
    loaded = CPCTransformer.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))
    np.testing.assert_array_equal(
        fitted.fit(X).transform(X), loaded.fit(X).transform(X)
    )
    with pytest.raises(TypeError, match="pickle"):
        copy.deepcopy(fitted)
    assert np.isfinite(fitted.transform(X)).all()
