"""Plain values and tensors to one safetensors file and back: no code, no pickle.

A file is an ordinary safetensors file. Its header holds JSON under the name
``sklearn_cpc``: the number of the format, a SHA-256 of all bytes of the file (computed
with zeros in its own place), and the content, in which ``{"tensor": name}`` stands for
a tensor. Every other value without a form in JSON is a dictionary with one key, its
kind; see `sklearn_cpc._values`.

Formats: 1, the first; 2, with the longest window and the epochs of the last fit.
"""

import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch

from ._values import Decoder, encode

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

FORMAT = 2  # raise it when older releases cannot read a file
NAME = "sklearn_cpc"
MAX_HEADER = 100_000_000  # bytes, the limit of the safetensors format
NO_DIGEST = "0" * 64
# What a header may hold of lists, dictionaries and their entries, for each of its
# bytes: a few bytes of JSON could take hundreds in memory.
MANY, BYTES_OF_LIST, BYTES_OF_ENTRY = 1_000, 16, 6
# Bytes of a name to which a temporary file adds its own; systems allow 255.
MAX_NAME = 200


class ModelFileError(ValueError):
    """A file holds no model or checkpoint that can be loaded.

    It is damaged, of another kind, or from a newer release.
    """


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
    encoded = encode(content, "", tensors, classes)
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
    _check_counts(raw)
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
            f"has the format {number!r:.50}, but this release knows up to {FORMAT}. "
            "Update sklearn_cpc, or save the model with this release"
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
        raise ModelFileError(f"is a {word(info.get('kind'))}, not a {kind}")
    try:
        tensors = safetensors.torch.load(start + raw + data)
        content: dict[str, Any] = Decoder(tensors, classes).decode(info["content"])
        if not isinstance(content, dict):
            raise ValueError("it is not a dictionary")
    except Exception as error:  # likewise
        raise ModelFileError(f"does not hold what it should: {error}") from error
    return content


def word(value: object) -> str:
    """Return a word of a file for a message; other text could hide it."""
    is_word = isinstance(value, str) and value.isidentifier()
    return f"{value}"[:50] if is_word else f"{value!r:.50}"


def _check_counts(raw: bytes) -> None:
    """Refuse a header that would take memory out of proportion to its size."""
    n_lists = raw.count(b"[") + raw.count(b"{")
    if (
        n_lists > MANY + len(raw) // BYTES_OF_LIST
        or raw.count(b",") > MANY + len(raw) // BYTES_OF_ENTRY
    ):
        raise ModelFileError("is not a file of sklearn_cpc, or its header is damaged")


# ---- files


def read_file(path: Any, kind: str, classes: Sequence[type] = ()) -> dict[str, Any]:
    """Return the content of the file at `path`; errors name it."""
    path = os.fspath(path)
    with open(path, "rb", opener=_open_at_once) as file:
        try:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ModelFileError("is a device, a pipe or a socket, not a file")
            return load(file, kind, classes)
        except ModelFileError as error:
            raise ModelFileError(f"{path!r} {error}.") from error.__cause__


def write_file(path: Any, data: bytes) -> None:
    """Write a file completely or not at all, whatever happens.

    The bytes go to a hidden file in the same folder, which then gets the name. If this
    fails, the previous file of that name stays as it was. What a killed call has left
    is removed.

    Raises
    ------
    OSError
        If the file cannot be written, or something else than a file has its name.
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    if path.exists() and not path.is_file() and not path.is_dir():
        raise FileExistsError(
            17, "A device, a pipe or a socket has this name, not a file", str(path)
        )
    remove_leftovers(path)
    with _temporary(path) as temporary:
        temporary.write(data)
        temporary.flush()
        os.fsync(temporary.fileno())
        if path.exists():
            shutil.copymode(path, temporary.name)
        if fcntl is None:  # Windows renames no open file
            temporary.close()
        os.replace(temporary.name, path)
    if hasattr(os, "O_DIRECTORY"):  # not on Windows
        # The file is there; not every folder can be read or synchronised.
        with suppress(OSError):
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def remove_leftovers(path: Any) -> None:
    """Remove the temporary files of a killed `write_file` beside the file at `path`.

    One that is still being written is locked and stays.
    """
    path = Path(os.path.realpath(path))
    start = f".{_label(path)}."
    with suppress(OSError):  # a folder that cannot be read has no leftovers to see
        for name in os.listdir(path.parent):
            if name.startswith(start) and name.endswith(".tmp"):
                with suppress(OSError), open(path.parent / name, "rb") as file:
                    _lock(file)
                    os.unlink(file.name)


@contextmanager
def _temporary(path: Path) -> Iterator[BinaryIO]:
    """Open a hidden file beside `path`, locked while it is written."""
    name = path.with_name(f".{_label(path)}.{uuid.uuid4().hex}.tmp")
    with open(name, "xb") as file:
        try:
            with suppress(OSError):  # some file systems have no locks
                _lock(file)
            yield file
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise


def _label(path: Path) -> str:
    """Return the name of a file, or, of a long one, what stands for it."""
    name = os.fsencode(path.name)
    return path.name if len(name) <= MAX_NAME else hashlib.sha256(name).hexdigest()


def _lock(file: BinaryIO) -> None:
    """Lock an open file; an OSError says that another process has done so."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to would be waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
