"""Checkpoints that somebody has made to hurt."""

import os
from contextlib import suppress

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from hostile import SMALL, X, changed, generator
from sklearn_cpc import Checkpoint, CPCTransformer, ModelFileError


class Fault(Exception):
    """What interrupts a fit."""


class Interrupt(Callback):
    """Interrupts a fit in its fourth epoch; keeps numbers and a name."""

    active = False
    count_ = 0

    def on_train_begin(self, net, **kwargs):
        self.name_ = "a path"

    def on_epoch_end(self, net, **kwargs):
        self.count_ += 1
        self.late_ = [1.5]
        if self.active and len(net.history) == 4:
            raise Fault


def fit(path, active=False, **options):
    callbacks = [Interrupt(), Checkpoint(path, interval=0)]
    Interrupt.active = active
    options = SMALL | {"max_epochs": 6, "early_stopping": True} | options
    return CPCTransformer(callbacks=callbacks, **options).fit(X)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return the bytes of a checkpoint after three of six epochs."""
    path = tmp_path_factory.mktemp("checkpoints") / "run"
    with pytest.raises(Fault):
        fit(path, active=True)
    return path.read_bytes()


def of_callback(name, **values):
    return lambda content: content["callbacks"][name].update(values)


def in_state(name, new):
    def change(content):
        content["net"][name] = new(content["net"][name])

    return change


def longer(history):
    return [*history, *({**history[-1], "epoch": n} for n in (4, 5, 6, 7))]


CHECKPOINTS = {
    "another file": of_callback("Checkpoint", path="/etc/passwd"),
    "the interval": of_callback("Checkpoint", interval=9.0),
    "a method": of_callback("Interrupt", on_epoch_end="x"),
    "a class": of_callback("Interrupt", __class__="x"),
    "a name": of_callback("Interrupt", name_="/etc/passwd"),
    "a count of text": of_callback("Interrupt", count_="3"),
    "patience": of_callback("early_stopping", patience=1),
    "a wait that is over": of_callback("early_stopping", misses_=99),
    "a threshold of NaN": of_callback("early_stopping", dynamic_threshold_=np.nan),
    "a threshold of text": of_callback("early_stopping", dynamic_threshold_="x"),
    "best weights of another shape": of_callback(
        "early_stopping", best_model_weights_={"x": torch.zeros(3)}
    ),
    "another callback": lambda c: c["callbacks"].update(other={}),
    "attributes that are none": lambda c: c["callbacks"].update(Interrupt=3),
    "no callbacks": lambda c: c.update(callbacks=[1]),
    "no fit": lambda c: c.pop("fit"),
    "no digest": lambda c: c["fit"].pop("the data"),
    "a further part": lambda c: c.update(more=1),
    "no net": lambda c: c.update(net=3),
    "no generator": lambda c: c.update(rng=3),
    "a random state": lambda c: c.update(rng=np.random.RandomState(0)),
    "no history": in_state("history", lambda history: []),
    "a history longer than the fit": in_state("history", longer),
    "a history of strings": in_state("history", lambda history: ["x"]),
    "weights in float64": in_state(
        "weights", lambda w: {n: t.double() for n, t in w.items()}
    ),
    "weights of NaN": in_state(
        "weights", lambda w: {n: t * np.nan for n, t in w.items()}
    ),
    "an empty optimizer": in_state("optimizer", lambda moments: {}),
    "moments of another shape": in_state(
        "optimizer",
        lambda o: {n: m | {"exp_avg": torch.zeros(1)} for n, m in o.items()},
    ),
    "a generator beyond its numbers": in_state(
        "generator", generator(left=624, next=624)
    ),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_hostile_checkpoints(name, checkpoint, tmp_path):
    path = tmp_path / "run"
    path.write_bytes(changed(checkpoint, "checkpoint", CHECKPOINTS[name]))
    with pytest.raises(ModelFileError, match=str(path)):
        fit(path)
    assert os.listdir(tmp_path) == ["run"]


def test_no_checkpoint_overwrites_another_file(checkpoint, tmp_path):
    """Not even if a callback comes to have its name later."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    for callback in ("Checkpoint", "Interrupt", "train_loss"):
        for name in ("path", "path_", "_path", "_write", "on_epoch_begin"):
            change = of_callback(callback, **{name: str(precious)})
            data = changed(checkpoint, "checkpoint", change)
            (tmp_path / "run").write_bytes(data)
            with suppress(ModelFileError):
                fit(tmp_path / "run")
    assert precious.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["precious", "run"]


def test_states_of_callbacks_come_back(checkpoint, tmp_path):
    """Class attributes with a default, and attributes that come late, too."""
    (tmp_path / "run").write_bytes(checkpoint)
    callbacks = [Interrupt(), Checkpoint(tmp_path / "run", interval=0)]
    Interrupt.active = False
    options = SMALL | {"max_epochs": 6, "early_stopping": True}
    CPCTransformer(callbacks=callbacks, **options).fit(X)
    assert callbacks[0].count_ == 6
