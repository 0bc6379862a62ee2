"""Files that are damaged, foreign or hostile, and disks that are full."""

import hashlib
import io
import json
import os
import pickle
import resource
import tracemalloc

import cloudpickle
import joblib
import numpy as np
import pytest
import safetensors.numpy
import torch

from sklearn_cpc import Checkpoint, CPCTransformer, ModelFileError, _persistence

X = np.random.default_rng(0).normal(size=(16, 40, 2)).cumsum(1)
NOT_OURS = "damaged|not a safetensors file|not a file of sklearn_cpc"


def cpc(**options):
    options = {"latent_size": 8, "context_size": 8, "max_epochs": 2} | options
    return CPCTransformer(random_state=0, **options)


@pytest.fixture(scope="module")
def fitted():
    return cpc().fit(X)


@pytest.fixture
def data(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    return (tmp_path / "model").read_bytes()


def refused(path, data, match):
    """Check that bytes are refused by name, and take little memory for it."""
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=match) as caught:
            CPCTransformer.load(path)
        assert str(path) in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(data) + 1_000_000
    finally:
        tracemalloc.stop()


# ---- damaged


def test_truncated_at_every_percent(data, tmp_path):
    for percent in range(100):
        part = data[: len(data) * percent // 100]
        refused(tmp_path / "bad", part, NOT_OURS)
    refused(tmp_path / "bad", data[:-1], f"damaged: {len(data) - 1} bytes long instead")
    refused(tmp_path / "bad", data + b"\0", "bytes long instead")


def test_flipped_bits(data, tmp_path):
    rng = np.random.default_rng(0)
    n_header = int.from_bytes(data[:8], "little")
    in_header = rng.integers(8, n_header, 100)
    for place in (*range(8), *in_header, *rng.integers(len(data), size=100)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << rng.integers(8)
        refused(tmp_path / "bad", bytes(flipped), "bad")


# ---- of another kind


def foreign(header, tensors=b""):
    """Return the bytes of a safetensors file with any header."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + tensors


def with_info(**info):
    return foreign({"__metadata__": {"sklearn_cpc": json.dumps(info)}})


WEIGHT_ONLY = {"weight": np.zeros(3)}
FOREIGN = {
    "empty": b"",
    "zeros": bytes(1000),
    "text": b"Not a model at all, but something that someone has written down.",
    "huge header": (2**63).to_bytes(8, "little") + bytes(1000),
    "long header": (10**9).to_bytes(8, "little") + bytes(1000),
    "no JSON": foreign(b"{"),
    "deep JSON": foreign(b"[" * 100_000),
    "a list": foreign([1, 2]),
    "no metadata": safetensors.numpy.save(WEIGHT_ONLY),
    "other metadata": safetensors.numpy.save(WEIGHT_ONLY, {"sklearn_cpc": "1"}),
    "no checksum": with_info(format=1, content={}),
    "wrong checksum": with_info(format=1, sha256="0" * 64, content={}),
    "no number": foreign(
        {
            "__metadata__": {"sklearn_cpc": '{"format": 1, "sha256": ""}'},
            "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, "4"]},
        }
    ),
    "odd checksum": with_info(format=1, sha256="\ud800", content={}),
    "huge tensor": foreign(
        {
            "__metadata__": {"sklearn_cpc": '{"format": 1, "sha256": ""}'},
            "w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]},
        }
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_kinds(name, tmp_path):
    refused(tmp_path / "bad", FOREIGN[name], NOT_OURS)


class LeavesAFile:
    """A pickle that does something if it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_pickles_are_not_loaded(fitted, tmp_path):
    for dumps in (pickle.dumps, cloudpickle.dumps):
        for victim in (LeavesAFile(str(tmp_path / "executed")), fitted):
            refused(tmp_path / "bad", dumps(victim), NOT_OURS)
    joblib.dump(fitted, tmp_path / "model.joblib")
    torch.save(fitted.net_.module_.state_dict(), tmp_path / "model.pt")
    for name in ("model.joblib", "model.pt"):
        with pytest.raises(ModelFileError, match=NOT_OURS):
            CPCTransformer.load(tmp_path / name)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("number", [3, 10**9, 0, -1, 1.5, "1", None])
def test_files_of_other_formats(tmp_path, number):
    changed = with_info(format=number, sha256="", content={})
    match = "has the format .*, but this release knows up to 2. Update sklearn_cpc"
    refused(tmp_path / "bad", changed, match)


def test_a_checkpoint_is_no_model(tmp_path):
    cpc(callbacks=[Checkpoint(tmp_path / "run", interval=0)]).fit(X)
    with pytest.raises(ModelFileError, match="run' is a checkpoint, not a model"):
        CPCTransformer.load(tmp_path / "run")


# ---- with a right checksum all the same: made on purpose


def signed(change, data):
    """Return a changed file with a checksum that is right again."""
    classes = CPCTransformer._classes()
    content = _persistence.load(io.BytesIO(data), "model", classes)
    change(content)
    return _persistence.dump(content, "model", classes)


def set_at(*path, to):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = to

    return change


def without(*path):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


WEIGHT = ("fitted", "net", "weights", "predictor.linear.weight")
PARTS = ("fitted", "model", "parts")
ENCODER = (*PARTS, "encoder")
HOSTILE = {
    "no class": (without("class"), "does not say its class"),
    "no names": (set_at("own", to=3), "does not say its own"),
    "other class": (
        set_at("class", to="CPCTextTransformer"),
        "saved by CPCTextTransformer: use CPCTextTransformer.load",
    ),
    "unknown parameter": (
        set_at("parameters", "future", to=1),
        "parameters that this release does not know: future",
    ),
    "NaN weight": (
        set_at(*WEIGHT, to=torch.full((32, 8), torch.nan)),
        "predictor.linear.weight is not finite",
    ),
    "infinite weight": (
        set_at(*WEIGHT, to=torch.full((32, 8), torch.inf)),
        "predictor.linear.weight is not finite",
    ),
    "wrong shape": (set_at(*WEIGHT, to=torch.zeros(8, 32)), "weights do not suit"),
    "huge shape": (
        set_at(*PARTS, "predictor", to=("LinearPredictor", 2**30, 2**30, 8)),
        "no usable model",
    ),
    "no tensor": (set_at(*WEIGHT, to="open"), "no usable model"),
    "missing weight": (without(*WEIGHT), "weights do not suit"),
    "missing part": (without(*PARTS, "predictor"), "no usable model"),
    "a function": (
        set_at(*ENCODER, to=("info_nce", 1, 2)),
        "'info_nce' is not a part of a model",
    ),
    "any name": (
        set_at("fitted", "model", "class", to="os.system"),
        "'os.system' is not a part of a model",
    ),
    "infinite argument": (
        set_at(*ENCODER, to=("ConvEncoder", 2, 8, np.inf)),
        "cannot have the argument inf",
    ),
    "huge argument": (
        set_at(*ENCODER, to=("ConvEncoder", 2, 8, 2**60)),
        "cannot have the argument 11529",
    ),
    "no scaling": (without("fitted", "attributes", "_scaling"), "_scaling is missing"),
    "any attribute": (
        set_at("fitted", "attributes", "transform", to=1),
        "'transform'. are not known",
    ),
    "channels": (set_at("fitted", "attributes", "n_channels_in_", to=3), "no usable"),
    "generator": (set_at("fitted", "net", "generator", to=torch.zeros(9)), "no usable"),
    "history": (set_at("fitted", "net", "history", to=[{"epoch": 1}]), "no usable"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_content(name, data, tmp_path):
    change, match = HOSTILE[name]
    refused(tmp_path / "bad", signed(change, data), match)


def test_hostile_parameters(data, tmp_path):
    change = set_at("parameters", "features", to="x")
    (tmp_path / "bad").write_bytes(signed(change, data))
    with pytest.raises(ValueError, match="'features' parameter of CPCTransformer must"):
        CPCTransformer.load(tmp_path / "bad")


@pytest.mark.parametrize("content", [[1, torch.ones(2)], ("text", torch.ones(2))])
def test_content_of_another_type(content, tmp_path):
    data = _persistence.dump(content, "model")
    refused(tmp_path / "bad", data, "is not a dictionary")


@pytest.mark.parametrize(
    "value",
    [
        {"object": ["StandardScaler", {}]},
        {"eval": "1 + 1"},
        {"tensor": "nowhere"},
        {"generator": {"dict": {}}},
        {"random_state": {"dict": {}}},
        {"array": ["x"]},
        {"a": 1, "b": 2},
        {},
    ],
)
def test_hostile_kinds_of_values(value, tmp_path):
    content = {"dict": {"class": value}}
    header = {"format": 1, "kind": "model", "sha256": "0" * 64, "content": content}
    raw = safetensors.numpy.save(WEIGHT_ONLY, {"sklearn_cpc": json.dumps(header)})
    digest = hashlib.sha256(raw).hexdigest().encode()
    bad = raw.replace(b"0" * 64, digest, 1)
    refused(tmp_path / "bad", bad, "does not hold what it should")


# ---- writing


def stopped(*args):
    raise KeyboardInterrupt


def read_only(*args):
    raise OSError(30, "Read-only file system")


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("error", [stopped, read_only])
def test_a_failed_save_leaves_the_previous_file(
    function, error, data, tmp_path, monkeypatch
):
    monkeypatch.setattr(_persistence.os, function, error)
    with pytest.raises((OSError, KeyboardInterrupt)):
        cpc(max_epochs=0).fit(X).save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == data
    assert os.listdir(tmp_path) == ["model"]


def test_a_full_disk_leaves_the_previous_file(fitted, data, tmp_path):
    """A limit on the size of files fails in the middle of writing, as a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(data) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            fitted.save(tmp_path / "model")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "model").read_bytes() == data
    assert os.listdir(tmp_path) == ["model"]


def test_paths_that_cannot_be_written(fitted, tmp_path):
    for path in (tmp_path / "nowhere" / "model", tmp_path, "/proc/model"):
        with pytest.raises(OSError, match=r"\[Errno"):
            fitted.save(path)
    assert os.listdir(tmp_path) == []


def test_links_and_permissions_are_kept(fitted, data, tmp_path):
    (tmp_path / "model").chmod(0o640)
    (tmp_path / "link").symlink_to("model")
    fitted.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o640
    assert CPCTransformer.load(tmp_path / "link").n_epochs_ == 2


def test_values_that_no_file_can_hold():
    with pytest.raises(TypeError, match="x is of the type complex"):
        _persistence.dump({"x": 1j}, "model")
    with pytest.raises(TypeError, match="keys that are not strings"):
        _persistence.dump({"x": {1: 2}}, "model")
