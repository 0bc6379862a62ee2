"""Checkpoints: an interrupted fit resumes where it stopped."""

import os
import time
import warnings
from typing import Any

import numpy as np
from skorch.callbacks import Callback

from .._persistence import (
    ModelFileError,
    dump,
    read_file,
    remove_leftovers,
    write_file,
)
from .batches import RandomCrops
from .callback_state import check_callbacks, kept
from .fingerprint import fingerprint, first_fingerprint
from .state import Net, check_state, net_state, not_finite, restore
from .validation import Validation

# What a checkpoint holds.
PARTS = {"fit", "net", "rng", "callbacks"}


class Checkpoint(Callback):
    """Write the state of a fit to a file, and resume from it.

    Give it to an estimator as ``callbacks=[Checkpoint("run.safetensors")]``. If the
    file exists when `fit` is called with the same data and parameters, training
    continues after the last epoch in it. The result is bit by bit the same as without
    the interruption. The file stays when the fit has ended; delete it to train again.

    Parameters
    ----------
    path : str or path-like
        The file, one for each fit: the fits of a search cannot share it. It is always
        complete, whenever the process is killed.
    interval : float, default=60.0
        Least number of seconds between checkpoints, which are written between epochs. 0
        writes one after every epoch but the last.

    Notes
    -----
    `random_state` must be an int: with None, no two fits are the same. The file holds
    the weights, the state of the optimizer and of all random generators, and the
    history. It also holds the attributes of every callback that end with an underscore;
    they must be numbers, strings, arrays, tensors, or lists and dictionaries of them,
    and get back values of their types only. It holds no code. If the file cannot be
    written, a warning says so, and training continues. `partial_fit`, which trains for
    one epoch, neither reads nor writes it.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn_cpc import Checkpoint, CPCTransformer
    >>> from sklearn_cpc.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(return_X_y=True)
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> checkpoint = Checkpoint(path, interval=0)
    >>> cpc = CPCTransformer(max_epochs=2, random_state=0, callbacks=[checkpoint])
    >>> cpc.fit(X).n_epochs_
    2
    >>> os.path.exists(path)
    True
    """

    def __init__(self, path: Any, *, interval: float = 60.0) -> None:
        self.path = path
        self.interval = interval

    def on_train_begin(
        self,
        net: Net,
        X: tuple[RandomCrops, Validation | None] | None = None,
        **kwargs: Any,
    ) -> None:
        """Resume from the file, if there is one.

        Parameters
        ----------
        net : CPCNet
            The net to train.
        X : tuple of RandomCrops and Validation
            The data to train and to validate on.
        **kwargs : dict
            Unused.

        Raises
        ------
        ModelFileError
            If the file is damaged, of another kind, or from another fit.
        """
        if X is None:
            raise ValueError("Checkpoint needs the batches that the net is trained on.")
        batches, validation = X
        self._saved_callbacks: dict[str, Any] = {}
        self._n_before = len(net.history)
        self._written = time.monotonic()
        if net.max_epochs == 1:
            return  # a `partial_fit` has nothing to write and nothing to resume
        self._fit = fingerprint(net, batches, validation, Checkpoint)
        self._rng = batches.rng
        content = None
        if net.ranks.rank == 0:  # of several processes, the first one reads
            remove_leftovers(self.path)
            if os.path.exists(self.path):
                content = read_file(self.path, "checkpoint")
                first = first_fingerprint(net, batches, self._fit, Checkpoint)
                self._check(net, content, first)
        content = net.ranks.broadcast(content)
        if content is not None:
            self._resume(net, content)

    def _check(self, net: Net, content: Any, first: dict[str, str]) -> None:
        """Refuse the checkpoint of another fit, or one that no fit has written."""
        name = f"{os.fspath(self.path)!r}"
        saved = content.get("fit")
        if content.keys() != PARTS or not isinstance(saved, dict):
            raise ModelFileError(f"{name} does not hold a checkpoint.")
        # The first format has fewer digests.
        wanted = first if saved.keys() == first.keys() else self._fit
        differ = [part for part, digest in wanted.items() if saved.get(part) != digest]
        if differ:
            raise ModelFileError(
                f"{name} is the checkpoint of another fit: "
                f"{' and '.join(differ)} differ. Fit as before to resume, delete the "
                "file to train again, or use another path."
            )
        try:
            check_state(net, content["net"], in_training=True)
            n_epochs = len(content["net"]["history"]) - self._n_before
            if not 0 < n_epochs < net.max_epochs:
                raise ValueError(f"it has {n_epochs} epochs of {net.max_epochs}")
            if not isinstance(content["rng"], np.random.Generator):
                raise ValueError("it has no random generator of the batches")
            check_callbacks(content["callbacks"], net)
        except Exception as error:  # a hostile file may raise anything
            raise ModelFileError(f"{name} cannot be resumed: {error}.") from error

    def _resume(self, net: Net, content: dict[str, Any]) -> None:
        restore(net, content["net"])
        self._rng.bit_generator.state = content["rng"].bit_generator.state
        self._saved_callbacks = content["callbacks"]
        net.max_epochs -= len(net.history) - self._n_before

    def on_epoch_begin(self, net: Net, **kwargs: Any) -> None:
        """Write the state before this epoch.

        Only now have all callbacks seen the end of the last epoch. After an
        interruption, only now have all of them begun, so that their state can be put
        back.

        Parameters
        ----------
        net : CPCNet
            The net to train.
        **kwargs : dict
            Unused.
        """
        # All have begun: now it shows whether the types are theirs. Rank 0 has more
        # callbacks than the others.
        callbacks, saved = dict(net.callbacks_), self._saved_callbacks
        saved = {name: saved[name] for name in saved if name in callbacks}
        try:
            check_callbacks(saved, net)
        except Exception as error:  # likewise
            path = f"{os.fspath(self.path)!r}"
            raise ModelFileError(f"{path} cannot be resumed: {error}.") from error
        for name, state in saved.items():
            vars(callbacks[name]).update(state)
        self._saved_callbacks = {}
        n_done = len(net.history) - 1 - self._n_before
        if n_done and time.monotonic() - self._written >= self.interval:
            self._write(net)
            self._written = time.monotonic()

    def _write(self, net: Net) -> None:
        if net.ranks.rank or not_finite(net.module_):
            return  # rank 0 writes; weights that are not finite raise later
        content = {
            "fit": self._fit,
            "net": net_state(net, optimizer=True),
            "rng": self._rng,
            "callbacks": {name: kept(callback) for name, callback in net.callbacks_},
        }
        try:
            data = dump(content, "checkpoint")
        except TypeError as error:
            raise TypeError(
                f"Checkpoint keeps plain values only, but {error} Leave one of the two "
                "callbacks out."
            ) from None
        try:
            write_file(self.path, data)
        except OSError as error:
            warnings.warn(
                f"Training continues, but its checkpoint could not be written: {error}",
                stacklevel=2,
            )
