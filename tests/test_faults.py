"""What goes wrong while a fit or a transform runs, and what is left then."""

import copy
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from skorch.callbacks import Callback

from sklearn_cpc import Checkpoint, CPCTransformer, ModelFileError
from sklearn_cpc.nn.features import PooledFeatures
from sklearn_cpc.training import inference

X = np.random.default_rng(0).normal(size=(24, 40, 2)).cumsum(1)


def cpc(**options):
    options = {
        "latent_size": 8,
        "context_size": 8,
        "max_epochs": 7,
        "batch_size": 8,
        "lr": 0.01,
    } | options
    return CPCTransformer(**{"random_state": 0} | options)


class Fault(Exception):
    """What the tests raise."""


class Fail(Callback):
    """Raises an error, or does something else, in an epoch."""

    def __init__(self, method, action):
        self._action = action
        setattr(self, method, self._act)

    epoch = 0  # set on the class: the same callback, in a fit that goes on

    def _act(self, net, **kwargs):
        if len(net.history) == Fail.epoch:
            self._action(net)


def fault(net):
    raise Fault


def state(fitted):
    """Return all that a fitted estimator is made of."""
    return pickle.dumps(fitted), fitted.transform(X).tobytes()


# ---- checkpoints

FITS = {
    "plain": {},
    "early stopping": {
        "early_stopping": True,
        "n_iter_no_change": 3,
        "validation_fraction": 0.3,
        "max_epochs": 40,
        "lr": 0.1,
    },
    "crops and groups": {"crop_length": 15, "negatives": "same_group"},
    "own module": {"encoder": torch.nn.Linear(2, 4), "context": "conv"},
}


def fit(path, options, epoch=0, method="on_batch_end"):
    Fail.epoch = epoch
    callbacks = [Fail(method, fault), Checkpoint(path, interval=0)]
    groups = np.arange(len(X)) // 6
    return cpc(callbacks=callbacks, **options).fit(X, groups=groups)


# All fits are interrupted within an epoch, and two of them between epochs.
QUICK = [
    *(("on_batch_end", name) for name in FITS),
    ("on_epoch_begin", "plain"),
    ("on_epoch_end", "early stopping"),
]
SLOW = [
    pytest.param(method, name, marks=pytest.mark.slow)
    for method in ("on_epoch_begin", "on_epoch_end")
    for name in FITS
    if (method, name) not in QUICK
]


@pytest.mark.parametrize(("method", "name"), [*QUICK, *SLOW])
def test_an_interrupted_fit_ends_as_an_uninterrupted_one(method, name, tmp_path):
    options = FITS[name]
    whole = fit(tmp_path / "whole", options)
    for epoch in (1, 2, 5, 6):
        with pytest.raises(Fault):
            fit(tmp_path / "run", options, epoch, method)
    resumed = fit(tmp_path / "run", options)
    if name == "early stopping":
        assert whole.n_epochs_ < 40
    assert resumed.loss_curve_ == whole.loss_curve_
    assert resumed.validation_scores_ == whole.validation_scores_
    without = {"callbacks": None}
    resumed.set_params(**without)
    whole.set_params(**without, **{k: resumed.get_params()[k] for k in options})
    whole._fitted_parameters = resumed._fitted_parameters  # copies of an own module
    assert state(resumed) == state(whole)
    for go_on in (resumed, whole):
        go_on.partial_fit(X, groups=np.arange(len(X)) // 6)
    assert state(resumed) == state(whole)


def test_only_what_is_left_is_trained(tmp_path):
    epochs = []

    class Count(Callback):
        def on_epoch_end(self, net, **kwargs):
            epochs.append(len(net.history))

    callbacks = [Count(), Checkpoint(tmp_path / "run", interval=0)]
    assert cpc(callbacks=callbacks).fit(X).n_epochs_ == 7
    assert epochs == [1, 2, 3, 4, 5, 6, 7]
    epochs.clear()
    assert cpc(callbacks=callbacks).fit(X).n_epochs_ == 7
    assert epochs == [7]  # only the last is in no checkpoint


def test_a_warm_start_can_be_resumed_too(tmp_path):
    def start():
        return cpc(warm_start=True).fit(X)

    whole = start().fit(X)
    Fail.epoch = 10
    callbacks = [Fail("on_batch_end", fault), Checkpoint(tmp_path / "run", interval=0)]
    with pytest.raises(Fault):
        start().set_params(callbacks=callbacks).fit(X)
    Fail.epoch = 0
    resumed = start().set_params(callbacks=callbacks).fit(X)
    assert resumed.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(resumed.transform(X), whole.transform(X))


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"lr": 0.02}, "the parameters"),
        ({"max_epochs": 8}, "the parameters"),
        ({"n_negatives": 7}, "the parameters"),
        ({"batch_size": 24}, "the parameters"),
        ({"random_state": 1}, "random_state .which must be an int. or the model"),
        ({"latent_size": 4}, "random_state .which must be an int. or the model"),
        ({"X": X[:, ::-1]}, "the data"),
        ({"X": X[:20]}, "the data"),
        ({"X": X[:, :-1]}, "the data"),
    ],
)
def test_the_checkpoint_of_another_fit_is_refused(changed, differs, tmp_path):
    path = tmp_path / "run"
    cpc(callbacks=[Checkpoint(path, interval=0)]).fit(X)
    before = path.read_bytes()
    data = changed.pop("X", X)
    other = cpc(**changed).fit(data)
    known = state(other) if data is X else None
    other.set_params(callbacks=[Checkpoint(path, interval=0)])
    message = f"run' is the checkpoint of another fit: .*{differs}.* differ. Fit as bef"
    with pytest.raises(ModelFileError, match=message):
        other.fit(data)
    assert path.read_bytes() == before
    if known:
        assert state(other.set_params(callbacks=None)) == known


def test_without_a_seed_no_fit_is_the_same(tmp_path):
    estimator = cpc(
        random_state=None, callbacks=[Checkpoint(tmp_path / "run", interval=0)]
    )
    estimator.fit(X)
    with pytest.raises(ModelFileError, match=r"random_state \(which must be an int\)"):
        estimator.fit(X)


def test_a_search_fits_copies():
    copied = clone(cpc(callbacks=[Checkpoint("run", interval=3)])).callbacks[0]
    assert (copied.path, copied.interval) == ("run", 3)


def test_the_bar_shows_what_is_done(tmp_path, capsys):
    callbacks = [Fail("on_batch_end", fault), Checkpoint(tmp_path / "run", interval=0)]
    Fail.epoch = 5
    with pytest.raises(Fault):
        cpc(callbacks=callbacks, verbose=1).fit(X)
    Fail.epoch = 0
    cpc(callbacks=callbacks, verbose=1).fit(X)
    assert "7/7" in capsys.readouterr().err


def test_files_that_are_no_checkpoint(tmp_path):
    cpc().fit(X).save(tmp_path / "model")
    (tmp_path / "text").write_text("hello")
    for name, message in [
        ("model", "is a model, not a checkpoint"),
        ("text", "is not a safetensors"),
    ]:
        with pytest.raises(ModelFileError, match=f"{name}' {message}"):
            cpc(callbacks=[Checkpoint(tmp_path / name)]).fit(X)


def test_the_interval_is_kept(tmp_path):
    path = tmp_path / "run"
    cpc(callbacks=[Checkpoint(path)]).fit(X)
    assert not path.exists()
    cpc(callbacks=[Checkpoint(path, interval=0)]).partial_fit(X)
    assert not path.exists()


def test_training_goes_on_if_the_disk_is_full(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.warns(UserWarning, match="Training continues, .*File too large"):
            fitted = cpc(callbacks=[Checkpoint(tmp_path / "run", interval=0)]).fit(X)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    np.testing.assert_array_equal(fitted.transform(X), cpc().fit(X).transform(X))
    assert os.listdir(tmp_path) == []


def test_a_callback_whose_state_cannot_be_kept(tmp_path):
    class Locked(Callback):
        def on_train_begin(self, net, **kwargs):
            self.lock_ = threading.Lock()

    callbacks = [Locked(), Checkpoint(tmp_path / "run", interval=0)]
    with pytest.raises(TypeError, match=r"callbacks.Locked.lock_ is of the type lock"):
        cpc(callbacks=callbacks).fit(X)


# A server forks a process for each fit, so that a kill costs no new imports.
SERVER = """
import os, sys
import numpy as np
import torch
torch.set_num_threads(1)
from sklearn_cpc import Checkpoint, CPCTransformer

X = np.random.default_rng(0).normal(size=(24, 40, 2)).cumsum(1)
for line in sys.stdin:
    path, out = line.split()
    child = os.fork()
    if child == 0:
        fitted = CPCTransformer(
            latent_size=32, batch_size=4, max_epochs=30, early_stopping=True,
            n_iter_no_change=30, random_state=0, device="cpu",
            callbacks=[Checkpoint(path, interval=0)],
        ).fit(X)
        fitted.set_params(callbacks=None, warm_start=True).save(out)
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.mark.slow
def test_kill_9_at_random_moments(tmp_path):
    """The result is that of an uninterrupted fit, over 20 kills."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )

    def run(name, delay=None):
        """Fit in a process of its own; return whether it was killed."""
        server.stdin.write(f"{tmp_path}/{name}.run {tmp_path}/{name}\n")
        server.stdin.flush()
        child = int(server.stdout.readline())
        if delay is not None:
            time.sleep(delay)
            with suppress(ProcessLookupError):  # it has ended
                os.kill(child, signal.SIGKILL)
        status = int(server.stdout.readline())
        assert status in (0, signal.SIGKILL)
        return status == signal.SIGKILL

    try:
        start = time.monotonic()
        assert not run("whole")
        duration = time.monotonic() - start
        whole = (tmp_path / "whole").read_bytes()
        rng = np.random.default_rng()
        n_kills, n_ends, resumed = 0, 0, False
        while n_kills < 20 or not resumed:
            resumed = resumed or (tmp_path / f"fit{n_ends}.run").exists()
            if run(f"fit{n_ends}", rng.uniform(0, 0.5 * duration)):
                n_kills += 1
            else:
                assert (tmp_path / f"fit{n_ends}").read_bytes() == whole
                n_ends += 1
        run(f"fit{n_ends}")
        assert (tmp_path / f"fit{n_ends}").read_bytes() == whole
        leftovers = [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
        assert len(leftovers) <= n_ends  # at most that of the last kill of each
    finally:
        server.__exit__(None, None, None)


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
