"""Fits that are interrupted and resumed from a checkpoint."""

import os
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
from skorch.callbacks import Callback

from faults import Fail, Fault, X, cpc, fault, state
from sklearn_cpc import Checkpoint, ModelFileError

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


# All fits are interrupted within an epoch, and one of them between epochs.
QUICK = [
    *(("on_batch_end", name) for name in FITS),
    ("on_epoch_begin", "plain"),
    ("on_epoch_end", "plain"),
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
    for epoch in (1, 2, 6):
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
    whole._fitted_parameters = resumed._fitted_parameters  # both hold copies of modules
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
        ({"max_epochs": 3}, "the parameters"),
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
    cpc(max_epochs=2, callbacks=[Checkpoint(path, interval=0)]).fit(X)
    before = path.read_bytes()
    data = changed.pop("X", X)
    other = cpc(**{"max_epochs": 2} | changed).fit(data)
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
import torch._dynamo  # for seconds; else each fit does, with its optimizer
torch.set_num_threads(1)
from sklearn_cpc import Checkpoint, CPCTransformer

X = np.random.default_rng(0).normal(size=(24, 40, 2)).cumsum(1)
for line in sys.stdin:
    path, out = line.split()
    child = os.fork()
    if child == 0:
        fitted = CPCTransformer(
            latent_size=8, context_size=8, batch_size=8, max_epochs=30,
            early_stopping=True, n_iter_no_change=30, random_state=0, device="cpu",
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
        assert not run("whole")
        start = time.monotonic()
        assert not run("again")  # without the imports of the server
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
