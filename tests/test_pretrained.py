"""Models that need no training: shipped, from files, from a hub that is not there."""

import io
import pickle
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

import sklearn_cpc
from sklearn_cpc import (
    Checkpoint,
    CPCImageTransformer,
    CPCTextTransformer,
    CPCTransformer,
    InputWarning,
    ModelFileError,
    _persistence,
)
from sklearn_cpc._base.pretrained import SHIPPED, path_of

RATE = 16_000
FOLDER = Path(sklearn_cpc.__file__).parent / "pretrained"
SMALL = {"latent_size": 8, "context_size": 8, "random_state": 0}
X = np.random.default_rng(0).normal(size=(12, 40, 2)).cumsum(1)


def recordings(n=12, seconds=0.4, rate=RATE):
    """Return buzzes, low ones and high ones, and which they are."""
    rng = np.random.default_rng(0)
    t = np.arange(int(seconds * rate)) / rate
    y = np.arange(n) % 2
    pitch = np.where(y, 250, 110) * rng.uniform(0.9, 1.1, n)
    buzz = np.sign(np.sin(2 * np.pi * pitch[:, None] * t))
    return 0.05 * buzz + 0.005 * rng.normal(size=buzz.shape), y


@pytest.fixture(scope="module")
def speech():
    return CPCTransformer.from_pretrained("speech")


@pytest.fixture(scope="module")
def sounds():
    return recordings()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a fitted estimator and the path of its file."""
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    fitted = CPCTransformer(max_epochs=1, scaling="sample", **SMALL).fit(X)
    fitted.save(path, card={"data": "noise", "hours": 0.5, "numbers": [1, {"a": None}]})
    return fitted, path


# ---- the shipped model


def test_the_shipped_model_is_small_and_loads_at_once():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 5_000_000
    seconds = []
    for _ in range(5):
        begin = time.process_time()
        CPCTransformer.from_pretrained("speech")
        seconds.append(time.process_time() - begin)  # others may be busy
    assert min(seconds) < 0.2


def test_all_that_is_shipped_has_a_card_with_data_and_licences():
    for name in SHIPPED:
        card = CPCTransformer.from_pretrained(name).card_
        assert {"data", "licences", "hours", "updates", "commit"} <= card.keys()


def test_it_transforms_without_a_fit(speech, sounds):
    waveforms, _ = sounds
    features = speech.transform(waveforms)
    assert features.shape == (12, len(speech.get_feature_names_out()))
    steps = speech.transform_steps(waveforms[:1])
    assert steps.shape[:2] == (1, 40)
    stream = speech.stream()
    chunks = [stream.push(chunk) for chunk in np.array_split(waveforms[0], 7)]
    np.testing.assert_allclose(np.concatenate(chunks), steps[0], atol=1e-4)


def test_it_exports_without_a_fit(speech, tmp_path):
    pytest.importorskip("onnxruntime")
    speech.export_onnx(tmp_path / "speech.onnx")  # which compares the features
    assert (tmp_path / "speech.onnx").stat().st_size > 10_000


def test_recordings_of_a_telephone_are_resampled(speech, sounds):
    narrow, _ = recordings(rate=8000)
    telephone = CPCTransformer.from_pretrained("speech", sampling_rate=8000)
    assert telephone.transform_steps(narrow).shape == (
        speech.transform_steps(sounds[0]).shape
    )


def test_integers_are_told_from_floats(speech, sounds):
    with pytest.warns(InputWarning, match="divided by their largest value"):
        speech.transform((sounds[0] * 2**15).astype(np.int16))


def test_a_pipeline_that_fits_leaves_it_as_it_is(speech, sounds):
    waveforms, y = sounds
    pipe = make_pipeline(
        CPCTransformer.from_pretrained("speech"), StandardScaler(), LogisticRegression()
    )
    pipe.fit(waveforms, y)
    np.testing.assert_array_equal(
        pipe[0].transform(waveforms), speech.transform(waveforms)
    )
    assert pipe.score(waveforms, y) == 1


def test_clones_searches_and_validation_start_from_it(speech):
    waveforms, y = recordings(20)
    expected = speech.transform(waveforms)
    copy = clone(speech)
    assert not hasattr(copy, "net_")
    np.testing.assert_array_equal(copy.fit(waveforms).transform(waveforms), expected)
    pipe = make_pipeline(copy, StandardScaler(), LogisticRegression())
    assert cross_val_score(pipe, waveforms, y, cv=4).mean() > 0.8
    grid = {"cpctransformer__features": ["both"]}
    search = GridSearchCV(pipe, grid, cv=4).fit(waveforms, y)
    assert search.best_score_ > 0.8
    assert search.best_estimator_[0].start == "speech"


def test_a_frozen_estimator_holds_it(speech, sounds):
    frozen = pytest.importorskip("sklearn.frozen").FrozenEstimator(speech)
    waveforms, y = sounds
    pipe = make_pipeline(clone(frozen), StandardScaler(), LogisticRegression())
    assert pipe.fit(waveforms, y).score(waveforms, y) == 1


def test_fit_adapts_it(speech, sounds):
    waveforms, _ = sounds
    adapted = CPCTransformer(start="speech", max_epochs=2, random_state=0)
    adapted.fit(waveforms)
    assert adapted.n_epochs_ == speech.n_epochs_ + 2
    assert not np.allclose(adapted.transform(waveforms), speech.transform(waveforms))
    # The fixed kernels and the scaling do not learn.
    for name, weight in speech.net_.module_.state_dict().items():
        if ".readout." in name:
            torch.testing.assert_close(adapted.net_.module_.state_dict()[name], weight)
    assert adapted._scaling.scale == speech._scaling.scale
    assert not hasattr(adapted, "card_")
    assert speech.card_


def test_the_seed_of_the_user_decides_how_it_is_adapted(sounds):
    waveforms, _ = sounds

    def adapted(seed):
        model = CPCTransformer(start="speech", max_epochs=1, random_state=seed)
        return model.fit(waveforms).transform(waveforms)

    np.testing.assert_array_equal(adapted(0), adapted(0))
    assert not np.array_equal(adapted(0), adapted(1))


def test_further_data_adapt_it_too(speech, sounds):
    waveforms, _ = sounds
    model = CPCTransformer(start="speech", random_state=0).partial_fit(waveforms)
    model.partial_fit(waveforms)
    assert model.n_epochs_ == speech.n_epochs_ + 2


# ---- any file


def test_a_path_is_a_start(saved):
    fitted, path = saved
    expected = fitted.transform(X)
    for name in (path, str(path)):
        loaded = CPCTransformer.from_pretrained(name)
        np.testing.assert_array_equal(loaded.transform(X), expected)
        again = clone(loaded).fit(X)
        np.testing.assert_array_equal(again.transform(X), expected)
        assert again.scaling == "sample"


def test_parameters_at_their_defaults_are_those_of_the_file(saved, tmp_path):
    fitted, path = saved
    started = CPCTransformer(start=path, max_epochs=0).fit(X)
    np.testing.assert_array_equal(started.transform(X), fitted.transform(X))
    assert started.latent_size == 128  # fit writes no parameter
    started.save(tmp_path / "again")
    loaded = CPCTransformer.load(tmp_path / "again")
    assert (loaded.latent_size, loaded.scaling, loaded.start) == (8, "sample", None)
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))
    reread = pickle.loads(pickle.dumps(started))  # which has the start
    np.testing.assert_array_equal(reread.transform(X), fitted.transform(X))
    reread.set_params(warm_start=True, max_epochs=1).fit(X)
    assert reread.n_epochs_ == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("latent_size", 16), ("encoder", "conv"), ("context", "gru"), ("scaling", None)],
)
def test_parameters_that_contradict_the_file_are_refused(saved, name, value):
    _, path = saved
    model = CPCTransformer(**{"start": path, name: value})
    message = re.escape(f"{name}={value!r} contradicts start=")
    with pytest.raises(ValueError, match=message):
        model.fit(X)
    assert not hasattr(model, "net_")
    started = CPCTransformer(start=path, max_epochs=0, warm_start=True).fit(X)
    if name != "scaling":
        with pytest.raises(ValueError, match=f"{name} was changed"):
            started.set_params(**{name: value}).fit(X)


def test_other_channels_are_refused_and_nothing_is_changed(saved, sounds):
    _, path = saved
    model = CPCTransformer(max_epochs=0, **SMALL).fit(sounds[0])
    before = model.transform(sounds[0])
    with pytest.raises(ValueError, match=r"X has 1 channels.*expecting 2"):
        model.set_params(start=path).fit(sounds[0])
    np.testing.assert_array_equal(model.transform(sounds[0]), before)
    with pytest.raises(ValueError, match=r"X has 2 channels.*expecting 1"):
        CPCTransformer(start="speech").fit(X)


def test_without_a_start_nothing_of_it_is_left(saved):
    _, path = saved
    model = CPCTransformer(start=path, max_epochs=0).fit(X)
    assert model.card_["data"] == "noise"
    model.set_params(start=None, latent_size=4).fit(X)
    assert not hasattr(model, "card_")
    assert not hasattr(model, "_start_parameters")
    assert model.net_.module_.latent_size == 4


def test_own_modules_are_taken_from_the_estimator(tmp_path):
    encoder = torch.nn.Linear(2, 8)
    fitted = CPCTransformer(encoder=encoder, max_epochs=0, **SMALL).fit(X)
    fitted.save(tmp_path / "own")
    started = CPCTransformer(
        start=tmp_path / "own", encoder=torch.nn.Linear(2, 8), max_epochs=0
    ).fit(X)
    np.testing.assert_array_equal(started.transform(X), fitted.transform(X))
    with pytest.raises(ValueError, match="your own encoder"):
        CPCTransformer(start=tmp_path / "own").fit(X)


def test_images_and_texts_start_from_files(tmp_path):
    images = np.random.default_rng(0).normal(size=(8, 16, 16))
    texts = ["one two three four", "four three two one"] * 8
    for make, data in ((CPCImageTransformer, images), (CPCTextTransformer, texts)):
        fitted = make(max_epochs=1, random_state=0).fit(data)
        fitted.save(tmp_path / make.__name__)
        started = make(start=tmp_path / make.__name__, max_epochs=0).fit(data[:4])
        np.testing.assert_array_equal(started.transform(data), fitted.transform(data))
    with pytest.raises(ModelFileError):
        CPCTextTransformer(start="speech").fit(texts)


class Fault(Exception):
    """What interrupts a fit."""


class Interrupt(Callback):
    """Interrupts a fit in its fourth epoch."""

    active = False

    def on_epoch_end(self, net, **kwargs):
        if self.active and len(net.history) == 4:
            raise Fault


def test_a_checkpoint_resumes_a_fit_that_has_a_start(saved, tmp_path, monkeypatch):
    _, path = saved

    def fit():
        checkpoint = Checkpoint(tmp_path / "run", interval=0)
        model = CPCTransformer(
            start=path,
            max_epochs=4,
            random_state=3,
            callbacks=[Interrupt(), checkpoint],
        )
        return model.fit(X)

    monkeypatch.setattr(Interrupt, "active", True)
    with pytest.raises(Fault):
        fit()
    monkeypatch.undo()
    assert (tmp_path / "run").exists()
    resumed = fit()
    (tmp_path / "run").unlink()
    np.testing.assert_array_equal(resumed.transform(X), fit().transform(X))


@pytest.mark.parametrize("name", ["nothing", "no/such.safetensors", Path("nowhere")])
def test_a_name_of_nothing_is_refused(name):
    with pytest.raises(FileNotFoundError, match="it is not 'speech', not a file"):
        CPCTransformer.from_pretrained(name)
    with pytest.raises(FileNotFoundError):
        CPCTransformer(start=name).fit(X)


def test_the_device_is_that_of_the_user(saved):
    _, path = saved
    started = CPCTransformer(start=path, device=torch.device("cpu"), max_epochs=0)
    assert started.fit(X).device_ == "cpu"


def test_a_start_is_not_in_a_file(saved, tmp_path):
    _, path = saved
    CPCTransformer(start=path, max_epochs=0).fit(X).save(tmp_path / "file")
    assert CPCTransformer.load(tmp_path / "file").start is None
    assert str(path).encode() not in (tmp_path / "file").read_bytes()


# ---- cards


def test_a_card_is_read_as_it_was_written(saved, tmp_path):
    _, path = saved
    card = {"data": "noise", "hours": 0.5, "numbers": [1, {"a": None}]}
    loaded = CPCTransformer.load(path)
    assert loaded.card_ == card
    loaded.save(tmp_path / "again")  # it has not been trained since
    assert CPCTransformer.load(tmp_path / "again").card_ == card
    loaded.set_params(warm_start=True, max_epochs=1).fit(X).save(tmp_path / "trained")
    assert not hasattr(CPCTransformer.load(tmp_path / "trained"), "card_")


@pytest.mark.parametrize(
    "card", ["text", {1: "a"}, {"a": (1, 2)}, {"a": np.zeros(2)}, {"a": float("nan")}]
)
def test_a_card_of_something_else_is_refused(saved, tmp_path, card):
    fitted, _ = saved
    with pytest.raises(TypeError, match="must be a dict of text"):
        fitted.save(tmp_path / "file", card=card)
    assert not (tmp_path / "file").exists()


# ---- files that are damaged or hostile


def changed(change):
    data = path_of("speech").read_bytes()
    content = _persistence.load(io.BytesIO(data), "model", CPCTransformer._classes())
    change(content)
    return _persistence.dump(content, "model", CPCTransformer._classes())


def with_tensor(content):
    content["card"] = {"data": torch.zeros(3)}


def with_text(content):
    content["card"] = "text"


def with_start(content):
    content["parameters"]["start"] = "user/name"


HOSTILE = {
    "half of it": lambda: path_of("speech").read_bytes()[:100_000],
    "a changed byte": lambda: path_of("speech").read_bytes()[:-1] + b"\xff",
    "a pickle": lambda: pickle.dumps({"a": 1}),
    "a card of tensors": lambda: changed(with_tensor),
    "a card that is text": lambda: changed(with_text),
    "a start": lambda: changed(with_start),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_or_damaged_file_is_refused(kind, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(HOSTILE[kind]())
    with pytest.raises(ModelFileError):
        CPCTransformer.from_pretrained(path)
    model = CPCTransformer(start=path)
    with pytest.raises(ModelFileError):
        model.fit(np.zeros((3, 4000)))
    assert not hasattr(model, "net_")
