"""Files that somebody has made to hurt: each value is checked before it is used."""

import copy
import hashlib
import io
import json
import os
import re
import resource
import stat
from contextlib import suppress

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sklearn_cpc import (
    Checkpoint,
    CPCImageTransformer,
    CPCTextTransformer,
    CPCTransformer,
    ModelFileError,
    _persistence,
)
from sklearn_cpc._data.tokenizers import import_tokenizers
from sklearn_cpc.training.checked_state import GENERATOR

X = np.random.default_rng(0).normal(size=(16, 40, 2)).cumsum(1)
SMALL = {"latent_size": 8, "context_size": 8, "random_state": 0}


class Fault(Exception):
    """What interrupts a fit."""


class Interrupt(Callback):
    """Interrupts a fit in its fourth epoch; keeps numbers and a name."""

    active = False
    count_ = 0

    def on_train_begin(self, net, **kwargs):
        self.name_ = "a path"

    def on_epoch_end(self, net, **kwargs):
        self.count_ += 1
        self.late_ = [1.5]
        if self.active and len(net.history) == 4:
            raise Fault


def changed(data, kind, change, classes=()):
    """Return a file with another content, and a right checksum."""
    content = _persistence.load(io.BytesIO(data), kind, classes)
    change(content)
    return _persistence.dump(content, kind, classes)


# ---- models


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the bytes of a file with the state of the optimizer."""
    path = tmp_path_factory.mktemp("files") / "model"
    random_state = np.random.RandomState(0)
    options = SMALL | {"warm_start": True, "random_state": random_state}
    CPCTransformer(max_epochs=2, **options).fit(X).save(path)
    return path.read_bytes()


def moments(**replaced):
    def change(content):
        for state in content["fitted"]["net"]["optimizer"].values():
            state.update({name: new(state) for name, new in replaced.items()})

    return change


def in_net(name, new):
    def change(content):
        content["fitted"]["net"][name] = new(content["fitted"]["net"][name])

    return change


def generator(**numbers):
    """Return the state of torch's generator with other numbers at its start."""

    def new(state):
        raw = bytearray(state.numpy().tobytes())
        fields = dict(
            zip(
                ("seed", "left", "seeded", "next"),
                GENERATOR.unpack_from(raw),
                strict=True,
            )
        )
        GENERATOR.pack_into(raw, 0, *(fields | numbers).values())
        return torch.frombuffer(raw, dtype=torch.uint8)

    return new


def attribute(name, value):
    def change(content):
        content["fitted"]["attributes"][name] = value

    return change


def part(role, *description):
    def change(content):
        content["fitted"]["model"]["parts"][role] = description

    return change


def loss(**options):
    def change(content):
        content["fitted"]["loss"][1].update(options)

    return change


LINEAR = ("LinearPredictor", 8, 8, 4)
NATIVE = {
    "a moment of another shape": moments(exp_avg=lambda s: torch.zeros(1)),
    "another moment of another shape": moments(exp_avg_sq=lambda s: torch.zeros(1)),
    "moments in float64": moments(exp_avg=lambda s: s["exp_avg"].double()),
    "moments of NaN": moments(exp_avg=lambda s: torch.full_like(s["exp_avg"], np.nan)),
    "negative squares": moments(exp_avg_sq=lambda s: -s["exp_avg_sq"] - 1),
    "moments that are lists": moments(exp_avg=lambda s: s["exp_avg"].tolist()),
    "a further moment": moments(max_exp_avg_sq=lambda s: torch.zeros(1)),
    "steps of another shape": moments(step=lambda s: torch.zeros(3)),
    "a negative step": moments(step=lambda s: torch.tensor(-5.0)),
    "half a step": moments(step=lambda s: torch.tensor(1.5)),
    "moments of no weight": in_net(
        "optimizer", lambda o: {"99": next(iter(o.values()))}
    ),
    "weights in float64": in_net(
        "weights", lambda w: {n: t.double() for n, t in w.items()}
    ),
    "a generator beyond its numbers": in_net(
        "generator", generator(left=624, next=624)
    ),
    "a generator without a seed": in_net("generator", generator(seeded=0)),
    "a short generator": in_net("generator", lambda state: state[:100]),
    "a generator of floats": in_net("generator", lambda state: state.float()),
    "references of NaN": attribute("_references", torch.full((4, 8), np.nan)),
    "references of another size": attribute("_references", torch.zeros(4, 9)),
    "references in float64": attribute("_references", torch.zeros(4, 8).double()),
    "a history without losses": in_net("history", lambda h: [{"epoch": 1}]),
    "a history with batches": in_net(
        "history", lambda h: [{"epoch": 1, "train_loss": 1.0, "batches": 3}]
    ),
    "a loss of NaN": in_net(
        "history", lambda h: [{"epoch": 1, "train_loss": float("nan")}]
    ),
    "a temperature of infinity": loss(temperature=np.inf),
    "a strategy that is none": loss(negatives="any"),
    "an option that is none": loss(generator=3),
    "half an anchor": loss(n_anchors=0.5),
    "a bool for a number": attribute("n_channels_in_", True),
    "names of other features": attribute(
        "feature_names_in_", np.array(["a", "b", "c"], dtype=object)
    ),
    "another output": attribute("_sklearn_output_config", {"transform": "os"}),
    "a loss for a model": lambda c: c["fitted"]["model"].update({"class": "CPCLoss"}),
    "callbacks": lambda c: c["parameters"].update(callbacks=["Checkpoint"]),
    "a type that is none": lambda c: c["own"].update(lr="x\x1b[2J"),
}
SIZES = {
    "many channels": attribute("n_channels_in_", 3 * 10**7),
    "a text times a number": part("predictor", "LinearPredictor", 8, "ab", 2**31 - 1),
    "text for a size": part("encoder", "ConvEncoder", 2, "ab", 40),
    "thousands of parts": part("predictor", "ModuleList", *[LINEAR] * 5000),
    "parts within parts": part(
        "predictor", *["ModuleList", ["ModuleList", ["ModuleList"]]] * 500
    ),
    "a huge layer": part("context", "LSTMContext", 2**30, 2**30),
    "a huge predictor": part("predictor", "LinearPredictor", 8, 8, 2**30),
    "a window of years": part("encoder", "FixedKernelEncoder", 2, 8, 2**31 - 1),
    "no size": part("predictor", "LinearPredictor", 8, 8, 0),
    "another number of arguments": part("predictor", *LINEAR, 3),
    "one weight twice": lambda c: c["fitted"]["net"].update(
        weights=dict.fromkeys(c["fitted"]["net"]["weights"], torch.zeros(8))
    ),
}


def peak():
    """Return the most memory that this process has had since the last call, in MB."""
    with open("/proc/self/status") as file:
        high = next(line for line in file if line.startswith("VmHWM"))
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return int(high.split()[1]) / 1024


def load_refused(path, data, kind=CPCTransformer):
    """Check that a file is refused by name, in little memory and time."""
    path.write_bytes(data)
    peak()
    start = peak()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with pytest.raises(ModelFileError, match=str(path)):
        kind.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 2
    assert peak() - start < 10 * len(data) / 2**20 + 50


@pytest.mark.parametrize("name", NATIVE)
def test_nothing_unchecked_is_handed_to_native_code(name, model, tmp_path):
    load_refused(
        tmp_path / "bad",
        changed(model, "model", NATIVE[name], CPCTransformer._classes()),
    )


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_compared_with_the_file(name, model, tmp_path):
    load_refused(
        tmp_path / "bad",
        changed(model, "model", SIZES[name], CPCTransformer._classes()),
    )


def resigned(data, old, new):
    """Return a file with another header, with its right size and checksum."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = data[8:end].replace(old, new)
    digest = re.search(rb'sha256\\": \\"([0-9a-f]{64})', header).group(1)
    header = header.replace(digest, b"0" * 64)
    start = len(header).to_bytes(8, "little")
    right = hashlib.sha256(start + header + data[end:]).hexdigest().encode()
    return start + header.replace(b"0" * 64, right, 1) + data[end:]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (rb"pos\": ", rb"pos\": 99"),
        (rb"pos\": ", rb"pos\": -"),
        (rb"has_gauss\": ", rb"has_gauss\": 7"),
        (rb"\"gauss\": ", rb"\"gauss\": 1e999, \"g\": "),
        (rb"\"key\": [", rb"\"key\": [-"),
        (rb"\"key\": [", rb"\"key\": [1, "),
        (rb"\"inc\": ", rb"\"inc\": 99999999999999"),
        (rb"\"uinteger\": ", rb"\"uinteger\": 99999999999999"),
        (rb"MT19937", rb"PCG64"),
    ],
)
def test_random_states_that_would_read_foreign_memory(old, new, model, tmp_path):
    assert CPCTransformer.load(write(tmp_path / "good", resigned(model, b"", b"")))
    assert old in model
    load_refused(tmp_path / "bad", resigned(model, old, new))


@pytest.mark.parametrize("unit", [b"[],", b"{},", b'"ab",', b"1,", b"[[],", b"7" * 99])
def test_json_takes_memory_in_proportion(unit, tmp_path):
    """Such a list would take up to thirty times its bytes."""
    raw = b'{"__metadata__": {"x": ""}, "a": [' + unit * (8_000_000 // len(unit))
    load_refused(tmp_path / "bad", len(raw).to_bytes(8, "little") + raw)


def write(path, data):
    path.write_bytes(data)
    return path


# ---- images and texts

IMAGES = np.random.default_rng(0).normal(size=(8, 12, 12))
TEXTS = ["one two three four", "two three four one", "three four one two"] * 3
OF_IMAGES = {
    "a huge image": attribute("image_shape_", (10**6, 10**6, 1)),
    "a huge grid": attribute("grid_shape_", (10**5, 10**5)),
    "a huge patch": attribute("patch_size_", 10**5),
    "no stride": attribute("patch_stride_", 0),
    "sizes of text": attribute("image_shape_", ("a", "b", "c")),
    "many channels": attribute("n_channels_in_", 10**7),
    "many overlapping rows": lambda c: c["fitted"]["model"]["parts"][
        "encoder"
    ].__setitem__(2, 10**9),
}


def of_reader(**values):
    def change(content):
        vars(content["fitted"]["attributes"]["_reader"]).update(values)

    return change


OF_TEXTS = {
    "tokens beyond the embedding": lambda c: (
        of_reader(vocabulary={"one": 2, "two": 3, "x": 4, "y": 5, "z": 6})(c),
        attribute("vocabulary_", {"one": 2, "two": 3, "x": 4, "y": 5, "z": 6})(c),
    ),
    "two vocabularies": attribute("vocabulary_", {"one": 2}),
    "another unit": of_reader(unit="sentence"),
    "a unit that is none": of_reader(unit="page"),
    "a method": of_reader(read="x"),
    "case": of_reader(lowercase=3),
}


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Return the bytes of files of images and of texts."""
    folder = tmp_path_factory.mktemp("others")
    options = SMALL | {"max_epochs": 1}
    CPCImageTransformer(**options).fit(IMAGES).save(folder / "images")
    CPCTextTransformer(tokenizer="word", **options).fit(TEXTS).save(folder / "texts")
    options["vocabulary_size"] = 280
    CPCTextTransformer(tokenizer="bpe", **options).fit(TEXTS).save(folder / "bpe")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", OF_IMAGES)
def test_sizes_of_images(name, others, tmp_path):
    kind = CPCImageTransformer
    data = changed(others["images"], "model", OF_IMAGES[name], kind._classes())
    load_refused(tmp_path / "bad", data, kind)


@pytest.mark.parametrize("name", OF_TEXTS)
def test_vocabularies(name, others, tmp_path):
    kind = CPCTextTransformer
    data = changed(others["texts"], "model", OF_TEXTS[name], kind._classes())
    load_refused(tmp_path / "bad", data, kind)


def with_json(change):
    """Return a change of the JSON of a tokenizer."""

    def change_reader(content):
        reader = content["fitted"]["attributes"]["_reader"]
        state = json.loads(reader.tokenizer)
        change(state)
        vars(reader)["tokenizer"] = json.dumps(state)

    return change_reader


BOMB = {"type": "Replace", "pattern": {"String": "e"}, "content": "e" * 1000}
ENDLESS = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}
BROKEN = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
TOKENIZERS = {
    "a bomb": lambda s: s.update(
        normalizer={"type": "Sequence", "normalizers": [BOMB] * 10}
    ),
    "an endless expression": lambda s: s.update(
        pre_tokenizer=ENDLESS | {"invert": False}
    ),
    "a panic": lambda s: s.update(normalizer=BROKEN),
    "dropout": lambda s: s["model"].update(dropout=0.5),
    "a long prefix": lambda s: s["model"].update(continuing_subword_prefix="x" * 9**5),
    "another model": lambda s: s.update(
        model={"type": "WordPiece", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}
    ),
    "tokens beyond the embedding": lambda s: s["model"]["vocab"].update(zzz=9999),
    "an id twice": lambda s: s["model"]["vocab"].update(a=0),
    "a merge of nothing": lambda s: s["model"]["merges"].append(["no", "token"]),
    "merges that are none": lambda s: s["model"].update(merges=3),
    "a vocabulary that is none": lambda s: s["model"].update(vocab=[1, 2]),
    "no model": lambda s: s.pop("model"),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_of_tokenizers_only_byte_pairs_come_from_files(name, others, tmp_path):
    kind = CPCTextTransformer
    change = with_json(TOKENIZERS[name])
    data = others["bpe"]
    content = _persistence.load(io.BytesIO(data), "model", kind._classes())
    # As it is without a look at it: the reader of the content would refuse to hold it.
    reader = content["fitted"]["attributes"]["_reader"]
    before = reader.tokenizer
    change(content)
    old, new = (json.dumps(json.dumps(text)) for text in (before, reader.tokenizer))
    assert old[1:-1].encode() in data
    load_refused(
        tmp_path / "bad", resigned(data, old[1:-1].encode(), new[1:-1].encode()), kind
    )


def test_a_ready_tokenizer_is_the_one_of_the_fit(tmp_path):
    """Its JSON is in no file; what draws tokens at random is switched off."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    def ready(**options):
        tokens = {"[UNK]": 0, "o": 1, "n": 2, "e": 3, "on": 4, "one": 5}
        merges = [("o", "n"), ("on", "e")]
        made = Tokenizer(models.BPE(tokens, merges, unk_token="[UNK]", **options))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        return made

    fitted = CPCTextTransformer(
        tokenizer=ready(dropout=0.5), max_epochs=1, **SMALL
    ).fit(TEXTS)
    features = fitted.transform(TEXTS)
    np.testing.assert_array_equal(fitted.transform(TEXTS), features)
    fitted.save(tmp_path / "model")
    assert b"merges" not in (tmp_path / "model").read_bytes()
    loaded = CPCTextTransformer.load(tmp_path / "model", tokenizer=ready())
    np.testing.assert_array_equal(loaded.transform(TEXTS), features)
    np.testing.assert_array_equal(
        copy.deepcopy(fitted).set_params(tokenizer="word").transform(TEXTS), features
    )
    other = Tokenizer(models.WordLevel({"[UNK]": 0, "one": 1}, "[UNK]"))
    with pytest.raises(ValueError, match="Tokenizer is not the one of the fit"):
        CPCTextTransformer.load(tmp_path / "model", tokenizer=other)


class PanicException(BaseException):
    """As Rust raises it: no `Exception`."""


def test_a_tokenizer_that_panics_is_an_error_with_a_name(monkeypatch):
    library = import_tokenizers()

    class Broken:
        def encode(self, *args, **kwargs):
            raise PanicException("index out of bounds")

    made = CPCTextTransformer(max_epochs=0, vocabulary_size=260, **SMALL).fit(TEXTS)
    monkeypatch.setattr(library.Tokenizer, "from_str", lambda text: Broken())
    with pytest.raises(
        ValueError, match=r"The tokenizer fails on 'one two.*: index out"
    ):
        made.transform(TEXTS)


# ---- checkpoints


def fit(path, active=False, **options):
    callbacks = [Interrupt(), Checkpoint(path, interval=0)]
    Interrupt.active = active
    options = SMALL | {"max_epochs": 6, "early_stopping": True} | options
    return CPCTransformer(callbacks=callbacks, **options).fit(X)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return the bytes of a checkpoint after three of six epochs."""
    path = tmp_path_factory.mktemp("checkpoints") / "run"
    with pytest.raises(Fault):
        fit(path, active=True)
    return path.read_bytes()


def of_callback(name, **values):
    return lambda content: content["callbacks"][name].update(values)


def in_state(name, new):
    def change(content):
        content["net"][name] = new(content["net"][name])

    return change


def longer(history):
    return [*history, *({**history[-1], "epoch": n} for n in (4, 5, 6, 7))]


CHECKPOINTS = {
    "another file": of_callback("Checkpoint", path="/etc/passwd"),
    "the interval": of_callback("Checkpoint", interval=9.0),
    "a method": of_callback("Interrupt", on_epoch_end="x"),
    "a class": of_callback("Interrupt", __class__="x"),
    "a name": of_callback("Interrupt", name_="/etc/passwd"),
    "a count of text": of_callback("Interrupt", count_="3"),
    "patience": of_callback("early_stopping", patience=1),
    "a wait that is over": of_callback("early_stopping", misses_=99),
    "a threshold of NaN": of_callback("early_stopping", dynamic_threshold_=np.nan),
    "a threshold of text": of_callback("early_stopping", dynamic_threshold_="x"),
    "best weights of another shape": of_callback(
        "early_stopping", best_model_weights_={"x": torch.zeros(3)}
    ),
    "another callback": lambda c: c["callbacks"].update(other={}),
    "attributes that are none": lambda c: c["callbacks"].update(Interrupt=3),
    "no callbacks": lambda c: c.update(callbacks=[1]),
    "no fit": lambda c: c.pop("fit"),
    "no digest": lambda c: c["fit"].pop("the data"),
    "a further part": lambda c: c.update(more=1),
    "no net": lambda c: c.update(net=3),
    "no generator": lambda c: c.update(rng=3),
    "a random state": lambda c: c.update(rng=np.random.RandomState(0)),
    "no history": in_state("history", lambda history: []),
    "a history longer than the fit": in_state("history", longer),
    "a history of strings": in_state("history", lambda history: ["x"]),
    "weights in float64": in_state(
        "weights", lambda w: {n: t.double() for n, t in w.items()}
    ),
    "weights of NaN": in_state(
        "weights", lambda w: {n: t * np.nan for n, t in w.items()}
    ),
    "an empty optimizer": in_state("optimizer", lambda moments: {}),
    "moments of another shape": in_state(
        "optimizer",
        lambda o: {n: m | {"exp_avg": torch.zeros(1)} for n, m in o.items()},
    ),
    "a generator beyond its numbers": in_state(
        "generator", generator(left=624, next=624)
    ),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_hostile_checkpoints(name, checkpoint, tmp_path):
    path = tmp_path / "run"
    path.write_bytes(changed(checkpoint, "checkpoint", CHECKPOINTS[name]))
    with pytest.raises(ModelFileError, match=str(path)):
        fit(path)
    assert os.listdir(tmp_path) == ["run"]


def test_no_checkpoint_overwrites_another_file(checkpoint, tmp_path):
    """Not even if a callback comes to have its name later."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    for callback in ("Checkpoint", "Interrupt", "train_loss"):
        for name in ("path", "path_", "_path", "_write", "on_epoch_begin"):
            change = of_callback(callback, **{name: str(precious)})
            data = changed(checkpoint, "checkpoint", change)
            (tmp_path / "run").write_bytes(data)
            with suppress(ModelFileError):
                fit(tmp_path / "run")
    assert precious.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["precious", "run"]


def test_states_of_callbacks_come_back(checkpoint, tmp_path):
    """Class attributes with a default, and attributes that come late, too."""
    (tmp_path / "run").write_bytes(checkpoint)
    callbacks = [Interrupt(), Checkpoint(tmp_path / "run", interval=0)]
    Interrupt.active = False
    options = SMALL | {"max_epochs": 6, "early_stopping": True}
    CPCTransformer(callbacks=callbacks, **options).fit(X)
    assert callbacks[0].count_ == 6


# ---- devices, pipes and names


def test_only_files_are_written_and_read(tmp_path):
    fitted = CPCTransformer(max_epochs=0, **SMALL).fit(X)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for path in (pipe, tmp_path / "link", "/dev/null"):
        with pytest.raises(FileExistsError, match="A device, a pipe or a socket"):
            fitted.save(path)
        with pytest.raises(ModelFileError, match="is a device, a pipe or a socket"):
            CPCTransformer.load(path)  # nobody writes: it would wait
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(TypeError, match="int"):
        CPCTransformer.load(0)


@pytest.mark.parametrize("length", [1, 200, 250, 255])
def test_names_of_any_length(length, tmp_path):
    fitted = CPCTransformer(max_epochs=0, **SMALL).fit(X)
    path = tmp_path / ("m" * length)
    fitted.save(path)
    assert os.listdir(tmp_path) == [path.name]
    with pytest.raises(OSError, match="File name too long"):
        fitted.save(tmp_path / ("m" * 256))


@pytest.mark.parametrize("name", ["model", "m" * 250])
def test_leftovers_are_removed_and_files_being_written_are_not(
    name, tmp_path, monkeypatch
):
    path = tmp_path / name
    with monkeypatch.context() as patch:
        patch.setattr(_persistence.os, "unlink", lambda path: None)
        patch.setattr(_persistence.os, "fsync", stopped)
        with pytest.raises(KeyboardInterrupt):
            _persistence.write_file(path, b"1")
    assert len(os.listdir(tmp_path)) == 1  # as after a kill
    with _persistence._temporary(path) as other:
        _persistence.write_file(path, b"2")
        assert len(os.listdir(tmp_path)) == 2
        os.replace(other.name, path)
    assert os.listdir(tmp_path) == [name]


def stopped(*args):
    raise KeyboardInterrupt


def test_a_folder_that_cannot_be_read_reports_no_failure(tmp_path, monkeypatch):
    real = os.open

    def refuse(path, *args, **kwargs):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(_persistence.os, "open", refuse)
    monkeypatch.setattr(_persistence.os, "listdir", refuse)
    _persistence.write_file(tmp_path / "model", b"1")
    assert (tmp_path / "model").read_bytes() == b"1"


def test_no_text_of_a_file_hides_the_message(model, tmp_path):
    """Nothing that a terminal would obey is printed, and nothing long."""
    for change in (
        lambda c: c.update({"class": "\x1b[2J" * 100}),
        lambda c: c["parameters"].update({"\x1b[2J" * 100: 1}),
        lambda c: c["parameters"].update(features="\x1b[2J" * 5),
        lambda c: c["own"].update(lr="\x1b[2J"),
    ):
        path = write(
            tmp_path / "bad",
            changed(model, "model", change, CPCTransformer._classes()),
        )
        with pytest.raises(ModelFileError) as caught:
            CPCTransformer.load(path)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < len(str(path)) + 300


def test_what_a_model_is_made_of_cannot_be_replaced(model, tmp_path):
    path = write(tmp_path / "model", model)
    for passed in (
        {"latent_size": 99},
        {"scaling": "sample"},
        {"encoder": "conv"},
        {"context": torch.nn.Linear(8, 8)},
        {"prediction_steps": 2},
    ):
        (name,) = passed
        with pytest.raises(ValueError, match=f"{name}=.* cannot replace"):
            CPCTransformer.load(path, **passed)
    same = {"latent_size": np.int64(8), "scaling": "channel", "device": "cpu"}
    assert CPCTransformer.load(path, features="latent", **same).features == "latent"
