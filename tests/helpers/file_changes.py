"""Changes of files of models and checkpoints, at random, with a right checksum."""

import copy
import hashlib
import json
from contextlib import suppress

import numpy as np
import safetensors.torch
import torch

# ---- files as JSON and tensors


def unpack(data):
    """Return the information in the header, and the tensors."""
    end = 8 + int.from_bytes(data[:8], "little")
    info = json.loads(json.loads(data[8:end])["__metadata__"]["sklearn_cpc"])
    return info, safetensors.torch.load(data)


def pack(info, tensors):
    """Return the bytes of a file with a right checksum."""
    info = {**info, "sha256": "0" * 64}
    raw = safetensors.torch.save(tensors, {"sklearn_cpc": json.dumps(info)})
    digest = hashlib.sha256(raw).hexdigest().encode()
    return raw.replace(b"0" * 64, digest, 1)


def places(value, path=()):
    """Yield the paths to all values within JSON."""
    yield path
    items = enumerate(value) if isinstance(value, list) else ()
    items = value.items() if isinstance(value, dict) else items
    for key, item in items:
        yield from places(item, (*path, key))


def at(value, path):
    """Return the value at a path."""
    for key in path:
        value = value[key]
    return value


# ---- changes: (data, rng) -> data

VALUES = [
    *(None, True, False, 0, 1, -1, 2, 7, 2**31 - 1, 2**31, 2**62, 2**63, -(2**40)),
    *(0.5, -1.5, 1e-300, 1e300, 1e999, float("nan"), "", "x", "x" * 2000, "../../x"),
    *([], [[]], [0] * 50, {}, {"a": 1}, {"dict": {}}, {"tuple": []}, {"float": "nan"}),
    {"tensor": "fitted.net.generator"},
    {"array": "fitted.net.generator"},
    {"strings": ["a", "b"]},
    {"object": ["ChannelScaling", {"dict": {}}]},
    {"object": ["TextReader", {"dict": {}}]},
    {"own": "encoder"},
    *("all", "auto", "batch", "cuda:5", "meta", "mean", "bpe", "\ud800", "\x00"),
]


def change_bytes(data, rng):
    """Damage, without a right checksum: it is always refused."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        place = rng.integers(len(data))
        match rng.integers(3):
            case 0:
                data[place] ^= 1 << rng.integers(8)
            case 1:
                del data[place : place + rng.integers(1, 100)]
            case 2:
                data[place:place] = rng.bytes(rng.integers(1, 100))
    return bytes(data)


def change_header(data, rng):
    """Other sizes, names and offsets of tensors; other metadata."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    body = data[end:]
    match rng.integers(5):
        case 0:
            change_at_random(header, rng)
        case 1:
            body = body[: rng.integers(len(body))]
        case 2:
            name = str(rng.choice([n for n in header if n != "__metadata__"]))
            header[name]["shape"] = [int(rng.choice([0, 1, 3, 2**20, 2**40]))]
        case 3:
            name = str(rng.choice([n for n in header if n != "__metadata__"]))
            header[name]["dtype"] = str(
                rng.choice(["F64", "I8", "BF16", "BOOL", "C64"])
            )
        case 4:
            header["__metadata__"]["sklearn_cpc"] = "[" * rng.integers(1, 5000)
    raw = json.dumps(header).encode("utf-8", "replace")
    start = len(raw).to_bytes(8, "little")
    with suppress(KeyError, TypeError, ValueError, RecursionError):
        digest = json.loads(header["__metadata__"]["sklearn_cpc"])["sha256"].encode()
        plain = raw.replace(digest, b"0" * 64, 1)
        right = hashlib.sha256(start + plain + body).hexdigest().encode()
        raw = plain.replace(b"0" * 64, right, 1)
    return start + raw + body


def change_at_random(value, rng):
    """Replace, remove, add or exchange a value within JSON."""
    paths = [path for path in places(value) if path]
    if not paths:
        return
    path = paths[rng.integers(len(paths))]
    parent, key = at(value, path[:-1]), path[-1]
    match rng.integers(5):
        case 0 | 1:
            parent[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
        case 2:
            del parent[key]
        case 3 if isinstance(parent, dict):
            parent[str(rng.choice(["path", "transform", "__class__", "x"]))] = parent[
                key
            ]
        case 3:
            parent *= int(rng.choice([2, 20]))
        case 4:
            other = paths[rng.integers(len(paths))]
            with suppress(KeyError, IndexError, TypeError):
                parent[key] = copy.deepcopy(at(value, other))


def change_content(data, rng):
    """One to three other values anywhere."""
    info, tensors = unpack(data)
    for _ in range(rng.integers(1, 4)):
        change_at_random(info["content"], rng)
    return pack(info, tensors)


def change_values(data, rng):
    """One other parameter, attribute, option or argument: what most likely loads."""
    info, tensors = unpack(data)
    content = info["content"]
    paths = [
        path
        for path in places(content)
        if path and not isinstance(at(content, path), dict | list)
    ]
    # Not the thousands of numbers of a vocabulary or of a random state.
    paths = [path for path in paths if len(path) < 14 or rng.random() < 0.05]
    path = paths[rng.integers(len(paths))]
    before = at(content, path)
    new = VALUES[rng.integers(len(VALUES))]
    if isinstance(before, int | float) and rng.random() < 0.7:
        factor = rng.choice([-1, 0, 2, 1000, 1e9, 0.5])
        new = type(before)(before * factor) if rng.random() < 0.8 else before + 0.5
    at(content, path[:-1])[path[-1]] = copy.deepcopy(new)
    return pack(info, tensors)


def change_tensors(data, rng):
    """Another shape, type or values of a tensor, or none, or two exchanged."""
    info, tensors = unpack(data)
    names = sorted(tensors)
    name, other = (names[i] for i in rng.integers(len(names), size=2))
    tensor = tensors[name].clone()
    match rng.integers(8):
        case 0:
            tensor = tensor.reshape(-1)[: rng.integers(max(1, tensor.numel()))]
        case 1:
            types = [torch.float64, torch.float16, torch.int64, torch.bool, torch.uint8]
            tensor = tensor.to(types[rng.integers(len(types))])
        case 2 | 3:
            values = [np.nan, np.inf, 1e38, -1e38, 0, -1, 255, 1e-40]
            flat = tensor.reshape(-1)
            where = rng.integers(max(1, len(flat)), size=rng.choice([1, 9]))
            value = values[rng.integers(len(values))]
            if not tensor.is_floating_point():
                value = int(np.nan_to_num(value)) % 256
            with suppress(IndexError):
                flat[torch.from_numpy(where)] = torch.tensor(value).to(tensor.dtype)
        case 4:
            tensor = tensors[other].clone()
        case 5:
            tensor = tensor[None] if rng.random() < 0.5 else tensor.T.contiguous()
        case 6:
            tensor = (tensor.float() * float(rng.choice([-1, 1e6, 1e20]))).to(
                tensor.dtype
            )
        case 7:
            del tensors[name]
            return pack(info, tensors)
    tensors[name] = tensor.contiguous()
    return pack(info, tensors)


CHANGES = {
    "bytes": change_bytes,
    "headers": change_header,
    "contents": change_content,
    "values": change_values,
    "tensors": change_tensors,
}
