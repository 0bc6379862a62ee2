"""Checkpoints: a fit that was killed goes on where it was."""

import hashlib
import os
import time
import warnings
from collections.abc import Iterator
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
from .batches import RandomCrops, Source
from .state import net_state, not_finite, restore

BATCH_SIZE = 32  # windows whose values are looked at at once


class Checkpoint(Callback):
    """Write the state of a fit to a file, and go on from it.

    Give it to an estimator as ``callbacks=[Checkpoint("run.safetensors")]``. If the
    file is there when `fit` is called with the same data and parameters, training
    goes on after the last epoch in it and ends bit by bit where it would have
    without the interruption. The file stays when the fit has ended; delete it to
    train anew.

    Parameters
    ----------
    path : str or path-like
        The file, one for each fit: the fits of a search cannot share it. It is there
        as a whole or not at all, whenever the process is killed.
    interval : float, default=60.0
        Seconds between checkpoints at least; each is written at the end of an epoch.
        0 writes one after every epoch but the last.

    Notes
    -----
    `random_state` must be an int: with None no fit is the same as another. The file
    holds the weights, the state of the optimizer and of all random generators, the
    history, and of every callback the attributes that end with an underscore; they
    must be numbers, strings, arrays, tensors, or lists and dictionaries of such. It
    holds no code. If it cannot be written, a warning says so and training goes on.
    `partial_fit`, which trains for one epoch, neither reads nor writes it.

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

    def on_train_begin(self, net: Any, X: Any = None, **kwargs: Any) -> None:
        """Go on from the file, if there is one.

        Parameters
        ----------
        net : CPCNet
            The net that is trained.
        X : tuple of RandomCrops and Validation
            What it is trained and validated on.
        **kwargs : dict
            Unused.

        Raises
        ------
        ModelFileError
            If the file is damaged, of another kind, or from another fit.
        """
        batches, validation = X
        self._saved_callbacks: dict[str, Any] = {}
        self._n_before = len(net.history)
        self._written = time.monotonic()
        if net.max_epochs == 1:
            return  # there is nothing to write, nor to go on with: a `partial_fit`
        self._fit = _fingerprint(net, batches, validation)
        self._rng = batches.rng
        content = None
        if net.ranks.rank == 0:  # where several processes train together
            remove_leftovers(self.path)
            if os.path.exists(self.path):
                content = self._read()
        content = net.ranks.first(content)
        if content is not None:
            self._resume(net, content)

    def _read(self) -> dict[str, Any]:
        content = read_file(self.path, "checkpoint")
        saved = content["fit"]
        differ = [part for part, digest in self._fit.items() if saved[part] != digest]
        if differ:
            raise ModelFileError(
                f"{os.fspath(self.path)!r} is the checkpoint of another fit: "
                f"{' and '.join(differ)} differ. Fit as before to go on, delete the "
                "file to train anew, or use another path."
            )
        return content

    def _resume(self, net: Any, content: dict[str, Any]) -> None:
        restore(net, content["net"])
        self._rng.bit_generator.state = content["rng"].bit_generator.state
        self._saved_callbacks = content["callbacks"]
        net.max_epochs -= len(net.history) - self._n_before

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Write what was done before this epoch.

        Only now have all callbacks seen the end of the last one; and after an
        interruption, only now have all begun, so that their state can be put back.

        Parameters
        ----------
        net : CPCNet
            The net that is trained.
        **kwargs : dict
            Unused.
        """
        for name, callback in net.callbacks_:  # rank 0 has more than the others
            vars(callback).update(self._saved_callbacks.get(name, {}))
        self._saved_callbacks = {}
        n_done = len(net.history) - 1 - self._n_before
        if n_done and time.monotonic() - self._written >= self.interval:
            self._write(net)
            self._written = time.monotonic()

    def _write(self, net: Any) -> None:
        if net.ranks.rank or not_finite(net.module_):
            return  # rank 0 writes; the next loss says so
        content = {
            "fit": self._fit,
            "net": net_state(net, optimizer=True),
            "rng": self._rng,
            "callbacks": {
                name: {k: v for k, v in vars(callback).items() if k.endswith("_")}
                for name, callback in net.callbacks_
            },
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
                f"Training goes on, but its checkpoint could not be written: {error}",
                stacklevel=2,
            )


def _fingerprint(net: Any, batches: RandomCrops, validation: Any) -> dict[str, str]:
    """Return digests of all that decides how a fit ends."""
    (group,) = net.optimizer_.param_groups
    parameters = [
        (net.lr, group["weight_decay"], net.max_epochs, net.autocast),
        (len(batches), batches.crop_length),
        _options(net.criterion_),
        *(
            (name, _options(callback))
            for name, callback in net.callbacks_
            if not isinstance(callback, Checkpoint)
        ),
    ]
    start = {"net": net_state(net, optimizer=True), "rng": batches.rng}
    held_out = [] if validation is None else [validation.source]
    data = hashlib.sha256()
    for source in (batches.source, *held_out):
        for values in _windows(source, batches.crop_length):
            data.update(values.tobytes())
    data.update(batches.groups.tobytes())
    return {
        "the data": data.hexdigest(),
        "the parameters": hashlib.sha256(repr(parameters).encode()).hexdigest(),
        "random_state (which must be an int) or the model at the start": (
            hashlib.sha256(dump(start, "start")).hexdigest()
        ),
    }


def _windows(source: Source, size: int) -> Iterator[np.ndarray]:
    """Yield the lengths and all values of the sequences, in bounded pieces."""
    yield source.lengths
    n_windows = -(-source.lengths // size)
    rows = np.repeat(np.arange(len(n_windows)), n_windows)
    place = np.arange(len(rows)) - np.repeat(n_windows.cumsum() - n_windows, n_windows)
    for start in range(0, len(rows), BATCH_SIZE):
        part = slice(start, start + BATCH_SIZE)
        yield source.batch(rows[part], place[part] * size, size)[0]


def _options(part: Any) -> dict[str, Any]:
    """Return the plain values that a part was made with."""
    return {
        name: value
        for name, value in vars(part).items()
        if isinstance(value, str | int | float | None) and name.strip("_") == name
    }
