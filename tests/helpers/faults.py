"""Fits that fail on purpose."""

import pickle

import numpy as np
from skorch.callbacks import Callback

from sklearn_cpc import CPCTransformer

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
