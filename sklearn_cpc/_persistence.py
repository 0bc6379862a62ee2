"""Plain values and tensors to one safetensors file and back: no code, no pickle.

A file is an ordinary safetensors file. Its header holds JSON under the name
``sklearn_cpc``: the number of the format, a SHA-256 of all bytes of the file (computed
with zeros in its own place), and the content, in which ``{"tensor": name}`` stands for
a tensor. Every other value without a form in JSON is a dictionary with one key, its
kind; see `_encode` and `_decode`.

Formats: 1, the first; 2, with the longest window and the epochs of the last fit.
"""

import glob
import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors.torch
import torch

FORMAT = 2  # raise it when older releases cannot read a file
NAME = "sklearn_cpc"
MAX_HEADER = 100_000_000  # bytes, the limit of the safetensors format
NO_DIGEST = "0" * 64


class ModelFileError(ValueError):
    """A file holds no model or checkpoint that can be loaded.

    It is damaged, of another kind, or from a newer release.
    """


# ---- bytes


def dump(
    content: dict[str, Any],
    kind: str,
    classes: Sequence[type] = (),
    number: int = FORMAT,
) -> bytes:
    """Return the bytes of a file; the same content gives the same bytes.

    Parameters
    ----------
    content : dict
        Nested dictionaries with str keys, lists, tuples, numbers, strings, arrays,
        tensors and random generators of numpy.
    kind : str
        The kind of content, such as a model; `load` asks for it.
    classes : sequence of type
        Further classes; their instances are written by ``__getstate__``.
    number : int, default=FORMAT
        Number of the format.

    Raises
    ------
    TypeError
        If the content holds a value of another type.
    """
    tensors: dict[str, torch.Tensor] = {}
    encoded = _encode(content, "", tensors, classes)
    header = {"format": number, "kind": kind, "sha256": NO_DIGEST, "content": encoded}
    data = safetensors.torch.save(tensors, {NAME: json.dumps(header)})
    digest = hashlib.sha256(data).hexdigest()
    return data.replace(NO_DIGEST.encode(), digest.encode(), 1)


def load(file: BinaryIO, kind: str, classes: Sequence[type] = ()) -> dict[str, Any]:
    """Return the content of a file after checking all of it.

    Nothing is executed, and the memory is in proportion to the file's size.

    Raises
    ------
    ModelFileError
        If anything is wrong.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(8)
    n_header = int.from_bytes(start, "little")
    if len(start) < 8 or n_header > min(size - 8, MAX_HEADER):
        raise ModelFileError("is not a safetensors file, or it is damaged")
    raw = file.read(n_header)
    try:
        header = json.loads(raw)
        info = json.loads(header.pop("__metadata__")[NAME])
        ends = [tensor["data_offsets"][1] for tensor in header.values()]
        expected = 8 + n_header + max(ends, default=0)
        number, digest = info["format"], str(info.get("sha256"))
    except Exception:  # a hostile file may raise anything
        raise ModelFileError(
            "is not a file of sklearn_cpc, or its header is damaged"
        ) from None
    if not isinstance(number, int) or not 1 <= number <= FORMAT:
        raise ModelFileError(
            f"has the format {number!r}, but this release knows up to {FORMAT}. Update "
            "sklearn_cpc, or save the model with this release"
        )
    if size != expected:
        raise ModelFileError(f"is damaged: {size} bytes long instead of {expected}")
    data = file.read()
    without = raw.replace(digest.encode("ascii", "replace"), NO_DIGEST.encode(), 1)
    checksum = hashlib.sha256(start + without)
    checksum.update(data)
    if checksum.hexdigest() != digest:
        raise ModelFileError("is damaged: its checksum does not match")
    if info.get("kind") != kind:
        raise ModelFileError(f"is a {info.get('kind')}, not a {kind}")
    try:
        tensors = safetensors.torch.load(start + raw + data)
        content: dict[str, Any] = _decode(info["content"], tensors, classes)
        if not isinstance(content, dict):
            raise ValueError("it is not a dictionary")
    except Exception as error:  # likewise
        raise ModelFileError(f"does not hold what it should: {error}") from error
    return content


# ---- files


def remove_leftovers(path: Any) -> None:
    """Remove the temporary files of a killed `write_file` beside the file at `path`."""
    path = Path(os.path.realpath(path))
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        leftover.unlink(missing_ok=True)


def read_file(path: Any, kind: str, classes: Sequence[type] = ()) -> dict[str, Any]:
    """Return the content of the file at `path`; errors name it."""
    with open(path, "rb") as file:
        try:
            return load(file, kind, classes)
        except ModelFileError as error:
            raise ModelFileError(f"{os.fspath(path)!r} {error}.") from error.__cause__


def write_file(path: Any, data: bytes) -> None:
    """Write a file completely or not at all, whatever happens.

    The bytes go to a hidden file in the same folder, which then gets the name. If this
    fails, the previous file of that name stays as it was.
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if hasattr(os, "O_DIRECTORY"):  # not on Windows
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


# ---- values


def _encode(value: Any, name: str, tensors: dict[str, Any], classes: Any) -> Any:
    """Return JSON for `value`; its tensors are added under names from `name` on."""

    def inner(value: Any, key: Any) -> Any:
        return _encode(value, f"{name}.{key}" if name else str(key), tensors, classes)

    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return float(value) if math.isfinite(value) else {"float": str(value)}
        case np.bool_() | np.number():
            return inner(value.item(), name)
        case list():
            return [inner(item, i) for i, item in enumerate(value)]
        case tuple():
            return {"tuple": inner(list(value), "")}
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise TypeError(f"{name} has keys that are not strings.")
            return {"dict": {key: inner(item, key) for key, item in value.items()}}
        case torch.Tensor():
            # safetensors refuses tensors that share memory.
            tensors[name] = value.detach().cpu().contiguous().clone()
            return {"tensor": name}
        case np.ndarray() if value.dtype.kind in "biuf":
            tensors[name] = torch.from_numpy(value.copy())
            return {"array": name}
        case np.ndarray() if all(isinstance(item, str) for item in value):
            return {"strings": value.tolist()}
        case np.random.Generator():
            return {"generator": inner(value.bit_generator.state, "")}
        case np.random.RandomState():
            state = value.get_state(legacy=False)
            state["state"] = {
                k: np.asarray(v).tolist() for k, v in state["state"].items()
            }
            return {"random_state": inner(state, "")}
        case _ if type(value) in classes:
            return {"object": [type(value).__name__, inner(value.__getstate__(), "")]}
    raise TypeError(f"{name} is of the type {type(value).__name__}.")


def _decode(value: Any, tensors: dict[str, torch.Tensor], classes: Any) -> Any:
    """Return what `_encode` was given."""

    def inner(value: Any) -> Any:
        return _decode(value, tensors, classes)

    if isinstance(value, list):
        return [inner(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, item),) = value.items()
    match kind:
        case "float":
            return float(item)
        case "tuple":
            return tuple(inner(item))
        case "dict":
            return {key: inner(part) for key, part in item.items()}
        case "tensor":
            return tensors[item]
        case "array":
            return tensors[item].numpy()
        case "strings":
            return np.array(item, dtype=object)
        case "generator":
            generator = np.random.PCG64(0)
            generator.state = inner(item)
            return np.random.Generator(generator)
        case "random_state":
            random_state = np.random.RandomState(0)
            random_state.set_state(inner(item))
            return random_state
        case "object":
            name, state = item
            made: Any = object.__new__({c.__name__: c for c in classes}[name])
            if state is not None:
                made.__setstate__(inner(state))
            return made
    raise ValueError(f"{kind!r} is not a kind of value")
