"""The standing attack: files that were changed in all ways, loaded and used.

Each case changes a file of a fitted model, or a checkpoint, and gives it a right
checksum again, as somebody would who means it. What may come of it: a `ModelFileError`,
in little memory and time; or a model, which then gives finite features of the promised
shape, or a ValueError or TypeError that says why, in every method. Nothing else.
"""

import copy
import io
import os
import pickle
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
from sklearn.base import clone
from skorch.callbacks import Callback

from file_changes import CHANGES, pack, unpack
from hostile import peak
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

# ---- what is measured


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
