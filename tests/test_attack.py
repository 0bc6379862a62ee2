"""The standing attack: files that were changed in all ways, loaded and used.

Each case changes a file of a fitted model, or a checkpoint, and gives it a right
checksum again, as somebody would who means it. What may come of it: a `ModelFileError`,
in little memory and time; or a model, which then gives finite features of the promised
shape, or a ValueError or TypeError that says why, in every method. Nothing else.

Run as a script, this file prints a table: ``python tests/test_attack.py``.
"""

import copy
import hashlib
import io
import json
import os
import pickle
import sys
import tempfile
import time
import warnings
from collections import Counter
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from sklearn_cpc import (
    Checkpoint,
    CPCImageTransformer,
    CPCTextTransformer,
    CPCTransformer,
    ModelFileError,
)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SEED = int(os.environ.get("ATTACK_SEED", "0"))
# Chunks that workers of pytest-xdist share, and cases of each.
MODELS, CHECKPOINTS = (15, 400), (5, 400)
# What a file of n bytes may take.
SECONDS, BYTES, TIMES = 2, 50 * 2**20, 10

RNG = np.random.default_rng(0)
SERIES = RNG.normal(size=(6, 24, 2)).cumsum(1)
TABLE = pd.DataFrame(SERIES[:, :, 0], columns=[f"t{i}" for i in range(24)])
IMAGES = RNG.normal(size=(6, 8, 8))
TEXTS = ["one two three four one", "two three four one two", "three four one"] * 2
SMALL = {"latent_size": 4, "context_size": 4, "max_epochs": 1, "random_state": 0}
BASES = {
    "series": (CPCTransformer, SERIES, {}),
    "a table, to be trained further": (
        CPCTransformer,
        TABLE,
        {
            "encoder": "conv",
            "context": "gru",
            "warm_start": True,
            "random_state": np.random.RandomState(0),
            "pooling": ("max", "last"),
        },
    ),
    "images": (CPCImageTransformer, IMAGES, {"prediction_steps": 1}),
    "words": (CPCTextTransformer, TEXTS, {"tokenizer": "word"}),
    "byte pairs": (CPCTextTransformer, TEXTS, {"vocabulary_size": 260}),
}

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

# ---- what is measured


def peak():
    """Return the most bytes that this process has had since the last call."""
    with open("/proc/self/status") as file:
        high = next(line for line in file if line.startswith("VmHWM"))
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return int(high.split()[1]) * 1024


class Measured:
    """Raises if the block takes too much memory or time for a file of a size."""

    def __init__(self, n_bytes):
        self.n_bytes = n_bytes

    def __enter__(self):
        peak()
        self.before, self.start = peak(), time.process_time()

    def __exit__(self, *args):
        seconds = time.process_time() - self.start
        n_bytes = peak() - self.before
        assert seconds < SECONDS, f"{seconds:.1f} seconds"
        most = TIMES * self.n_bytes + BYTES
        assert n_bytes < most, f"{n_bytes} bytes for {self.n_bytes}"


# ---- models


@cache
def base(name):
    """Return the bytes of the file of a fitted model."""
    kind, X, options = BASES[name]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "model")
        kind(**SMALL | options).fit(X).save(path)
        kind.load(path).transform(X)  # what is imported once is not measured
        return path.read_bytes()


def methods(model, X, folder):
    """Yield all that a model can do, by name."""
    yield "transform", lambda: model.transform(X)
    yield (
        "transform_steps",
        lambda: np.concatenate(
            [steps.reshape(-1, steps.shape[-1]) for steps in model.transform_steps(X)]
        ),
    )
    yield "score", lambda: model.score(X)
    yield "score_samples", lambda: model.score_samples(X)
    yield "contrastive_accuracy", lambda: np.nan_to_num(model.contrastive_accuracy(X))
    yield "names", lambda: len(model.get_feature_names_out())
    yield "repr", lambda: len(repr(model))
    yield "clone", lambda: len(clone(model).get_params())
    yield "pickle", lambda: pickle.loads(pickle.dumps(model)).transform(X)
    yield "deepcopy", lambda: copy.deepcopy(model).transform(X)
    yield "save", lambda: save_and_load(model, folder).transform(X)
    if isinstance(model, CPCTransformer):
        chunk = np.asarray(X)[0]
        yield "stream", lambda: model.stream().push(chunk)
    yield "partial_fit", lambda: copy.deepcopy(model).partial_fit(X).transform(X)


def save_and_load(model, folder):
    model.save(folder / "again")
    return type(model).load(folder / "again")


def use(model, X, folder):
    """Use a model once in every method: finite numbers, or a reason."""
    model.set_params(n_jobs=None)  # threads would be waited for
    features = None
    for name, call in methods(model, X, folder):
        try:
            result = call()
        except (ValueError, TypeError):
            continue
        assert np.isfinite(np.asarray(result, dtype=float)).all(), name
        if name == "transform":
            features = result
            assert result.ndim == 2
            assert len(result) == len(X)
        if features is not None:
            if name == "names":
                assert result == features.shape[1], name
            if name in {"pickle", "deepcopy", "save"}:
                np.testing.assert_array_equal(result, features)


def attack_models(chunk, n_cases, counts):
    """Try some cases; count what came of them, and return the faults."""
    rng = np.random.default_rng((SEED, chunk))
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "precious").write_text("precious")
        for number in range(n_cases):
            name = list(BASES)[rng.integers(len(BASES))]
            change = list(CHANGES)[number % len(CHANGES)]
            kind, X, _ = BASES[name]
            before = base(name)
            data = CHANGES[change](before, rng)
            (folder / "model").write_bytes(data)
            case = f"case {number} of chunk {chunk}: {change} of {name}"
            try:
                with Measured(len(data)):
                    outcome = load(kind, folder / "model")
                if isinstance(outcome, kind):
                    assert change != "bytes" or data == before, "damage was loaded"
                    use(outcome, X, folder)
                    outcome = "loaded and used"
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                outcome = "fault"
                faults.append(f"{case}: {type(error).__name__}: {error}"[:500])
            counts[f"models: {change}", outcome] += 1
        assert (folder / "precious").read_text() == "precious"
        assert {p.name for p in folder.iterdir()} <= {"precious", "model", "again"}
    return faults


ASKED = "no file holds their code", "must be as in the fit that"


def load(kind, path):
    """Return the model of a file, or why there is none."""
    reason = ""
    try:
        return kind.load(path)
    except ModelFileError as error:
        reason = str(error)
    except ValueError as error:  # it claims to have a part of the user
        reason = str(error)
        if not any(words in reason for words in ASKED):
            raise
    assert str(path) in reason, "the file is not named"
    return "refused by name"


# ---- checkpoints


class Fault(Exception):
    """What interrupts a fit."""


class Interrupt(Callback):
    """Interrupts a fit in its fourth epoch, and keeps a count."""

    active = False

    def on_train_begin(self, net, **kwargs):
        self.count_, self.name_ = 0, "name"

    def on_epoch_end(self, net, **kwargs):
        self.count_ += 1
        if self.active and len(net.history) == 4:
            raise Fault


def resumed(path, active=False):
    Interrupt.active = active
    callbacks = [Interrupt(), Checkpoint(path, interval=0)]
    options = SMALL | {"max_epochs": 5, "early_stopping": True}
    options |= {"validation_fraction": 0.3, "encoder": "conv", "scaling": None}
    return CPCTransformer(callbacks=callbacks, **options).fit(SERIES)


@cache
def checkpoint():
    """Return the bytes of a checkpoint after three of five epochs."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(Fault):
            resumed(Path(folder, "run"), active=True)
        return Path(folder, "run").read_bytes()


def attack_checkpoints(chunk, n_cases, counts):
    """Resume from changed checkpoints: a whole fit, or an error by name."""
    rng = np.random.default_rng((SEED, 1000 + chunk))
    before, faults = checkpoint(), []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "precious").write_text("precious")
        for number in range(n_cases):
            change = list(CHANGES)[number % len(CHANGES)]
            data = CHANGES[change](before, rng)
            (folder / "run").write_bytes(data)
            try:
                with Measured(len(data)):
                    outcome = resume(folder / "run")
                assert change != "bytes" or data == before or outcome != "resumed"
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                outcome = "fault"
                case = f"case {number} of chunk {chunk}: {change} of a checkpoint"
                faults.append(f"{case}: {type(error).__name__}: {error}"[:500])
            counts[f"checkpoints: {change}", outcome] += 1
        assert (folder / "precious").read_text() == "precious"
        assert sorted(p.name for p in folder.iterdir()) == ["precious", "run"]
    return faults


def resume(path):
    fitted, reason = None, ""
    try:
        fitted = resumed(path)
    except ValueError as error:
        reason = str(error)
    if fitted is None:
        # Its weights may be finite, and those of no training.
        reasons = (str(path), "Use a smaller lr", "scores that are not finite")
        assert any(words in reason for words in reasons), reason
        return "refused by name"
    assert np.isfinite(fitted.transform(SERIES)).all()
    assert 4 <= fitted.n_epochs_ <= 5
    return "resumed"


# ---- all of it


@pytest.mark.parametrize("chunk", range(MODELS[0]))
def test_models(chunk):
    counts = Counter()
    faults = attack_models(chunk, MODELS[1], counts)
    print(table(counts))
    assert not faults, "\n".join(faults)
    assert counts.total() == MODELS[1]
    assert sum(n for (_, outcome), n in counts.items() if "used" in outcome) > 10


@pytest.mark.parametrize("chunk", range(CHECKPOINTS[0]))
def test_checkpoints(chunk):
    counts = Counter()
    faults = attack_checkpoints(chunk, CHECKPOINTS[1], counts)
    print(table(counts))
    assert not faults, "\n".join(faults)
    assert counts["checkpoints: bytes", "refused by name"] > 30


def test_the_attack_finds_what_it_looks_for():
    """Without any change, models load and are equal, and fits are resumed."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (kind, X, _) in BASES.items():
            info, tensors = unpack(base(name))
            path = Path(folder, "model")
            path.write_bytes(pack(info, tensors))
            use(kind.load(path), X, Path(folder))
        path.write_bytes(checkpoint())
        whole = resumed(Path(folder, "whole"))
        assert resume(path) == "resumed"
        path.write_bytes(checkpoint())
        np.testing.assert_array_equal(
            resumed(path).transform(SERIES), whole.transform(SERIES)
        )
    assert len(io.BytesIO(checkpoint()).getvalue()) < 10**6


def table(counts):
    """Return what was tried and what came of it, as text."""
    kinds = sorted({kind for kind, _ in counts})
    outcomes = ["refused by name", "loaded and used", "resumed", "fault"]
    rows = [[kind, *(counts[kind, outcome] for outcome in outcomes)] for kind in kinds]
    rows.append(["all", *(sum(row[i] for row in rows) for i in range(1, 5))])
    lines = [f"{'kind':24}{'cases':>8}" + "".join(f"{o:>18}" for o in outcomes)]
    for kind, *numbers in rows:
        cells = "".join(f"{number:18}" for number in numbers)
        lines.append(f"{kind:24}{sum(numbers):8}{cells}")
    return "\n".join(lines)


def main():
    """Run the whole attack and print its table."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    start, counts, faults = time.process_time(), Counter(), []
    for (n_chunks, n_cases), attack in (
        (MODELS, attack_models),
        (CHECKPOINTS, attack_checkpoints),
    ):
        for chunk in range(n_chunks):
            faults += attack(chunk, n_cases, counts)
            print(f"{len(faults)} faults", file=sys.stderr, flush=True)
    print(f"{table(counts)}\n{time.process_time() - start:.0f} seconds of a CPU")
    print("\n".join(faults))


if __name__ == "__main__":
    main()
