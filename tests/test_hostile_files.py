"""Files that somebody has made to hurt: each value is checked before it is used."""

import numpy as np
import pytest
import torch

from hostile import (
    SMALL,
    X,
    attribute,
    changed,
    generator,
    load_refused,
    resigned,
    write,
)
from sklearn_cpc import CPCTransformer, ModelFileError


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
