"""Checkpoints: an interrupted fit resumes where it stopped."""

import hashlib
import os
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from skorch.callbacks import Callback

from .._data.source import Source
from .._persistence import (
    ModelFileError,
    dump,
    read_file,
    remove_leftovers,
    write_file,
)
from .batches import RandomCrops
from .state import Net, net_state, not_finite, restore
from .validation import Validation

# Format of the bytes behind a digest. With another one, no older checkpoint would
# match.
DIGEST_FORMAT = 1
BATCH_SIZE = 32  # windows read at once for the digest of the data


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
    they must be numbers, strings, arrays, tensors, or lists and dictionaries of them.
    It holds no code. If the file cannot be written, a warning says so, and training
    continues. `partial_fit`, which trains for one epoch, neither reads nor writes it.

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
        self._fit = _fingerprint(net, batches, validation)
        self._rng = batches.rng
        content = None
        if net.ranks.rank == 0:  # of several processes, the first one reads
            remove_leftovers(self.path)
            if os.path.exists(self.path):
                content = self._read()
        content = net.ranks.broadcast(content)
        if content is not None:
            self._resume(net, content)

    def _read(self) -> dict[str, Any]:
        content = read_file(self.path, "checkpoint")
        saved = content["fit"]
        differ = [part for part, digest in self._fit.items() if saved[part] != digest]
        if differ:
            raise ModelFileError(
                f"{os.fspath(self.path)!r} is the checkpoint of another fit: "
                f"{' and '.join(differ)} differ. Fit as before to resume, delete the "
                "file to train again, or use another path."
            )
        return content

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
        for name, callback in net.callbacks_:  # rank 0 has more than the others
            vars(callback).update(self._saved_callbacks.get(name, {}))
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
                f"Training continues, but its checkpoint could not be written: {error}",
                stacklevel=2,
            )


def _fingerprint(
    net: Net, batches: RandomCrops, validation: Validation | None
) -> dict[str, str]:
    """Return digests of everything that determines the result of a fit."""
    (group,) = net.optimizer_.param_groups
    loss = _options(net.criterion_)
    if loss["n_anchors"] is None:
        del loss["n_anchors"]  # checkpoints of the first format have all anchors
    parameters = [
        (net.lr, group["weight_decay"], net.max_epochs, net.autocast),
        (len(batches), batches.crop_length),
        loss,
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
            hashlib.sha256(dump(start, "start", number=DIGEST_FORMAT)).hexdigest()
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


def _options(part: object) -> dict[str, Any]:
    """Return the plain options of the loss or of a callback."""
    return {
        name: value
        for name, value in vars(part).items()
        if isinstance(value, str | int | float | None) and name.strip("_") == name
    }
