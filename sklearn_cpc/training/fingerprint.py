"""Digests of all that determines the result of a fit, for checkpoints."""

import functools
import hashlib
import json
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from .._data.source import Source
from .._persistence import dump
from .batches import RandomCrops
from .callbacks import EpochProgress, FitTasks
from .state import Net, net_state
from .validation import Validation

# Format of the bytes behind the digest of the start. With another one, no older
# checkpoint would match.
DIGEST_FORMAT = 1
BATCH_SIZE = 32  # windows read at once for the digest of the data
# Objects within each other that are looked at.
DEPTH = 8
START = "random_state (which must be an int) or the model at the start"


def fingerprint(
    net: Net, batches: RandomCrops, validation: Validation | None, ignored: type
) -> dict[str, str]:
    """Return a digest of each part of a fit, by words for a message.

    Parameters
    ----------
    net : Net
    batches : RandomCrops
    validation : Validation or None
    ignored : type
        A class of callbacks that change nothing.

    Returns
    -------
    dict of str to str
    """
    harmless = (ignored, EpochProgress, FitTasks)
    parameters = {
        "loss": describe(net.criterion_),
        "training": [describe(part) for part in _training(net, batches)],
        "augmentation": describe(batches.augment),
        "modules": [
            (name, describe(part)) for name, part in net.module_.named_modules()
        ],
        "callbacks": [
            (name, describe(callback))
            for name, callback in net.callbacks_
            if not isinstance(callback, harmless)
        ],
    }
    return {
        "the data": _data_digest(batches, validation),
        "the parameters, callbacks or modules": _digest(parameters),
        "device or n_jobs (the number of threads)": _digest(
            [torch.device(net.device).type, torch.get_num_threads()]
        ),
        START: _start_digest(net, batches),
    }


def first_fingerprint(
    net: Net, batches: RandomCrops, known: dict[str, str], ignored: type
) -> dict[str, str]:
    """Return the digests of a checkpoint of the first format.

    Parameters
    ----------
    net : Net
    batches : RandomCrops
    known : dict of str to str
        What `fingerprint` returned.
    ignored : type
        A class of callbacks that change nothing.

    Returns
    -------
    dict of str to str
    """
    loss = _options(net.criterion_)
    if loss["n_anchors"] is None:
        del loss["n_anchors"]  # checkpoints of the first format have all anchors
    parameters = [
        *_training(net, batches),
        loss,
        *(
            (name, _options(callback))
            for name, callback in net.callbacks_
            if not isinstance(callback, ignored)
        ),
    ]
    digest = hashlib.sha256(repr(parameters).encode()).hexdigest()
    return {
        "the data": known["the data"],
        "the parameters": digest,
        START: known[START],
    }


def describe(value: object, depth: int = DEPTH) -> Any:
    """Describe a value, whatever its type, so that equal ones have equal JSON.

    Numbers of numpy are those of Python, arrays their bytes, functions their code and
    what it refers to, other objects their class and their public attributes.

    Parameters
    ----------
    value : object
    depth : int
        Objects within each other that are looked at.

    Returns
    -------
    object
        Strings, lists and None.
    """

    def inner(value: Any) -> Any:
        return describe(value, depth - 1)

    match value:
        case _ if depth < 0:
            return None
        case None | str():
            return value
        case np.bool_() | np.number():
            return inner(value.item())
        case bool() | int() | float() | complex():
            return repr(value)
        case bytes():
            return value.hex()
        case list() | tuple():
            return [inner(item) for item in value]
        case set() | frozenset():
            return sorted(json.dumps(inner(item)) for item in value)
        case dict():
            return [[inner(key), inner(item)] for key, item in value.items()]
        case np.ndarray() | torch.Tensor():
            array = np.asarray(
                value.detach().cpu() if torch.is_tensor(value) else value
            )
            data = repr(array.tolist()) if array.dtype == object else array.tobytes()
            return [str(array.dtype), list(array.shape), _digest(str(data))]
        case functools.partial():
            return [inner(value.func), inner(value.args), inner(value.keywords)]
        case types.CodeType():
            return [value.co_code.hex(), inner(value.co_consts), inner(value.co_names)]
        case types.FunctionType():
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            return [inner(value.__code__), inner(value.__defaults__), inner(cells)]
        case types.MethodType():
            return inner(value.__func__)
        case type():
            return f"{value.__module__}.{value.__qualname__}"
    if not hasattr(value, "__dict__"):
        text = repr(value)  # unless it tells an address
        return [inner(type(value)), None if " at 0x" in text else text]
    public = {
        name: item
        for name, item in vars(value).items()
        if name.strip("_") == name
        and name != "training"  # of modules: the net sets it
        and not (isinstance(item, types.MethodType) and item.__self__ is value)
    }
    return [inner(type(value)), inner(public)]


def _digest(described: Any) -> str:
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _training(net: Net, batches: RandomCrops) -> list[tuple[Any, ...]]:
    """Return the numbers of the training."""
    (group,) = net.optimizer_.param_groups
    return [
        (net.lr, group["weight_decay"], net.max_epochs, net.autocast),
        (len(batches), batches.crop_length),
    ]


def _start_digest(net: Net, batches: RandomCrops) -> str:
    start = {"net": net_state(net, optimizer=True), "rng": batches.rng}
    return hashlib.sha256(dump(start, "start", number=DIGEST_FORMAT)).hexdigest()


def _data_digest(batches: RandomCrops, validation: Validation | None) -> str:
    held_out = [] if validation is None else [validation.source]
    data = hashlib.sha256()
    for source in (batches.source, *held_out):
        for values in _windows(source, batches.crop_length):
            data.update(values.tobytes())
    data.update(batches.groups.tobytes())
    return data.hexdigest()


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
