"""Displays: that what is drawn is what was computed."""

import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_cpc import (
    CPCImageTransformer,
    CPCTextTransformer,
    CPCTransformer,
    EmbeddingDisplay,
    StepAccuracyDisplay,
    StepFeaturesDisplay,
    TrainingCurveDisplay,
)

RNG = np.random.default_rng(0)
X = [RNG.normal(size=(n, 2)).cumsum(0) for n in RNG.integers(400, 500, 30)]
IMAGES = RNG.normal(size=(12, 16, 16))
TEXTS = [" ".join(RNG.choice(list("abcdef"), 20)) for _ in range(12)]
SMALL = {"latent_size": 4, "context_size": 4, "random_state": 0}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def cpc():
    estimator = CPCTransformer(max_epochs=3, early_stopping=True, **SMALL)
    return estimator.fit(X)


@pytest.fixture(scope="module")
def others():
    """Estimators of images and of texts, and what they take."""
    images = CPCImageTransformer(max_epochs=1, **SMALL).fit(IMAGES)
    texts = CPCTextTransformer(tokenizer=str.split, max_epochs=1, **SMALL).fit(TEXTS)
    return {"images": (images, IMAGES), "texts": (texts, TEXTS)}


def drawn(line):
    return np.asarray(line.get_ydata(), dtype=float)


# ---- training


def test_training_curve_shows_the_history(cpc):
    display = TrainingCurveDisplay.from_estimator(cpc)
    loss, chance, accuracy, score = display.lines_
    np.testing.assert_array_equal(drawn(loss), cpc.loss_curve_)
    np.testing.assert_array_equal(drawn(score), cpc.validation_scores_)
    np.testing.assert_allclose(drawn(chance), np.log(129))
    np.testing.assert_array_equal(
        drawn(accuracy), [epoch["train_accuracy"] for epoch in cpc.net_.history]
    )
    np.testing.assert_array_equal(loss.get_xdata(), [1, 2, 3])
    assert accuracy.axes is display.accuracy_ax_
    assert {line.axes for line in (loss, chance, score)} == {display.ax_}
    assert display.ax_.get_xlabel() == "epoch"
    assert "nats" in display.ax_.get_ylabel()
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == [line.get_label() for line in display.lines_]


def test_training_curve_of_a_loaded_model(cpc, tmp_path):
    cpc.save(tmp_path / "model")
    loaded = CPCTransformer.load(tmp_path / "model")
    before, after = map(TrainingCurveDisplay.from_estimator, (cpc, loaded))
    for one, other in zip(before.lines_, after.lines_, strict=True):
        np.testing.assert_array_equal(drawn(one), drawn(other))


def test_training_curve_with_epochs_that_were_not_validated():
    estimator = CPCTransformer(max_epochs=2, warm_start=True, **SMALL).fit(X)
    assert len(TrainingCurveDisplay.from_estimator(estimator).lines_) == 3
    estimator.set_params(early_stopping=True).fit(X)
    score = TrainingCurveDisplay.from_estimator(estimator).lines_[3]
    assert np.isnan(drawn(score)).tolist() == [True, True, False, False]


def test_no_training_no_curve():
    untrained = CPCTransformer(max_epochs=0, **SMALL).fit(X)
    with pytest.raises(ValueError, match="max_epochs=0: there is no training"):
        TrainingCurveDisplay.from_estimator(untrained)


@pytest.mark.parametrize("kind", ["images", "texts"])
def test_training_curve_of_other_estimators(others, kind):
    estimator, _ = others[kind]
    loss = TrainingCurveDisplay.from_estimator(estimator).lines_[0]
    np.testing.assert_array_equal(drawn(loss), estimator.loss_curve_)


# ---- accuracy


def test_step_accuracy(cpc):
    display = StepAccuracyDisplay.from_estimator(cpc, X, color="k")
    np.testing.assert_array_equal(drawn(display.line_), cpc.contrastive_accuracy(X))
    assert display.line_.get_color() == "k"
    assert display.line_.get_label() == "CPCTransformer"
    # The nearest is the third latent, in steps of the input.
    expected = (3 + np.arange(4)) * cpc.downsampling_
    assert cpc.downsampling_ > 1
    np.testing.assert_array_equal(display.line_.get_xdata(), expected)
    assert display.ax_.get_xlabel() == "distance ahead [time steps]"
    # 256 others, one of which may be the latent itself.
    np.testing.assert_allclose(drawn(display.chance_line_), 1 / 257)


def test_step_accuracy_of_two_models_on_the_same_axes(cpc):
    first = StepAccuracyDisplay.from_estimator(cpc, X, name="a")
    second = StepAccuracyDisplay.from_estimator(
        cpc, X, name="b", ax=first.ax_, plot_chance_level=False
    )
    assert second.ax_ is first.ax_
    assert second.chance_line_ is None
    labels = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert labels == ["a", "guessing: 0.4%", "b"]


@pytest.mark.parametrize(
    ("kind", "unit", "first"),
    [("images", "rows of patches", 2), ("texts", "tokens", 1)],
)
def test_step_accuracy_of_other_estimators(others, kind, unit, first):
    display = StepAccuracyDisplay.from_estimator(*others[kind])
    assert display.ax_.get_xlabel() == f"distance ahead [{unit}]"
    assert display.line_.get_xdata()[0] == first


def test_step_accuracy_of_plain_numbers():
    display = StepAccuracyDisplay(distance=[1, 2], accuracy=[0.5, np.nan]).plot()
    assert display.chance_line_ is None
    assert display.ax_.get_legend() is None


# ---- step features


def test_step_features_lie_below_what_they_were_computed_from(cpc):
    display = StepFeaturesDisplay.from_estimator(cpc, X, sample=-2)
    values, steps = X[-2], cpc.transform_steps(X)[-2]
    for line, channel in zip(display.lines_, values.T, strict=True):
        np.testing.assert_array_equal(drawn(line), channel)
        np.testing.assert_array_equal(line.get_xdata(), np.arange(len(values)))
    np.testing.assert_allclose(display.features, steps, atol=1e-5)
    shown = display.image_.get_array()
    assert shown.shape == steps.T.shape
    expected = (steps - steps.mean(0)) / np.where(steps.std(0) > 0, steps.std(0), 1)
    np.testing.assert_allclose(shown, expected.T, atol=1e-4)
    # Step j begins at time step j * downsampling.
    left, right, *_ = display.image_.get_extent()
    edges = np.linspace(left, right, len(steps) + 1)
    np.testing.assert_allclose(edges[:-1], np.arange(len(steps)) * cpc.downsampling_)
    above, below = display.signal_ax_, display.features_ax_
    assert above.get_xlim() == below.get_xlim()
    assert below.get_xlabel() == "time [time steps]"
    ticks = [text.get_text() for text in below.get_yticklabels()]
    assert ticks == ["layer1", "context"]


def test_a_jump_is_drawn_where_it_is(cpc):
    """The first column that changes begins at the time of the change, not before."""
    flat = np.zeros((400, 2))
    jump = flat.copy()
    when = 10 * cpc.downsampling_
    jump[when:] = 5
    before, after = (
        StepFeaturesDisplay.from_estimator(cpc, [x], cmap="gray") for x in (flat, jump)
    )
    changed = (before.features != after.features).any(1)
    left, right, *_ = after.image_.get_extent()
    assert changed.argmax() * (right - left) / len(changed) == when
    assert after.image_.get_cmap().name == "gray"


def test_time_in_seconds(cpc):
    display = StepFeaturesDisplay.from_estimator(cpc, X, sampling_rate=100)
    n_steps = len(display.features)
    assert display.image_.get_extent()[1] == n_steps * cpc.downsampling_ / 100
    assert display.lines_[0].get_xdata()[1] == 0.01
    assert display.features_ax_.get_xlabel() == "time [s]"


def test_step_features_of_padded_sequences_with_channels_first():
    padded = np.full((6, 2, 60), np.nan)
    for i, row in enumerate(padded):
        row[:, : 60 - i] = X[i].T[:, : 60 - i]
    estimator = CPCTransformer(
        max_epochs=0, channels_first=True, nan_policy="mask", **SMALL
    ).fit(padded)
    display = StepFeaturesDisplay.from_estimator(estimator, padded, sample=5)
    np.testing.assert_array_equal(display.values, padded[5, :, :55].T)
    assert len(display.features) == 28  # a latent for two steps


@pytest.mark.parametrize("kind", ["images", "texts"])
def test_step_features_are_for_sequences(others, kind):
    with pytest.raises(TypeError, match="sequences of values over time"):
        StepFeaturesDisplay.from_estimator(*others[kind])


def test_a_sample_that_is_not_there(cpc):
    with pytest.raises(IndexError, match="sample=30, but X has 30 samples"):
        StepFeaturesDisplay.from_estimator(cpc, X, sample=30)


# ---- embedding


def test_embedding_is_the_principal_components_by_class(cpc):
    y = np.array(["b", "a", "c"] * 10)
    display = EmbeddingDisplay.from_estimator(cpc, X, y, s=7)
    features = cpc.transform(X).astype(np.float64)
    features -= features.mean(0)
    features /= np.where(features.std(0) > 0, features.std(0), 1)
    u, s, _ = np.linalg.svd(features, full_matrices=False)
    expected = u[:, :2] * s[:2]
    sign = np.sign((expected * display.points).sum(0))
    np.testing.assert_allclose(display.points, expected * sign, atol=1e-3)
    for scatter, name in zip(display.scatters_, "abc", strict=True):
        assert scatter.get_label() == name
        np.testing.assert_allclose(scatter.get_offsets(), display.points[y == name])
        assert scatter.get_sizes() == [7]
    part = s[0] ** 2 / (s**2).sum()
    assert display.ax_.get_xlabel() == f"PCA 1 ({part:.0%} of the variance)"
    assert display.ax_.get_aspect() == 1


def test_embedding_with_another_reducer(cpc):
    reducer = TruncatedSVD(2, random_state=0)
    display = EmbeddingDisplay.from_estimator(cpc, X, reducer=reducer)
    expected = TruncatedSVD(2, random_state=0).fit_transform(cpc.transform(X))
    np.testing.assert_array_equal(display.points, expected)
    assert not hasattr(reducer, "components_")
    assert len(display.scatters_) == 1
    with pytest.raises(ValueError, match=r"shape \(30, 3\).*n_components=2"):
        EmbeddingDisplay.from_estimator(cpc, X, reducer=TruncatedSVD(3))


def test_embedding_coloured_by_values(cpc):
    for y in (np.linspace(0, 1, 30), np.arange(30)):
        display = EmbeddingDisplay.from_estimator(cpc, X, y)
        (scatter,) = display.scatters_
        np.testing.assert_array_equal(scatter.get_array(), y)
        assert len(display.figure_.axes) == 2  # with a colour bar


def test_embedding_of_more_classes_than_colours(cpc):
    y = np.repeat([f"class {i}" for i in range(15)], 2)
    scatters = EmbeddingDisplay.from_estimator(cpc, X, y).scatters_
    assert len({tuple(scatter.get_facecolor()[0]) for scatter in scatters}) == 15


@pytest.mark.parametrize("kind", ["images", "texts"])
def test_embedding_of_other_estimators_and_pipelines(others, kind):
    estimator, samples = others[kind]
    direct = EmbeddingDisplay.from_estimator(estimator, samples)
    piped = EmbeddingDisplay.from_estimator(make_pipeline(estimator), samples)
    np.testing.assert_array_equal(piped.points, direct.points)


def test_an_embedding_of_many_columns_is_the_same_again():
    """PCA starts at random there; the global generator would give another picture."""
    texts = [" ".join(RNG.choice(list("abcdef"), 20)) for _ in range(40)]
    wide = CountVectorizer(analyzer=lambda text: [text[i:] for i in range(15)])
    wide = make_pipeline(wide, FunctionTransformer(lambda Z: Z.toarray())).fit(texts)
    one, other = (EmbeddingDisplay.from_estimator(wide, texts) for _ in range(2))
    np.testing.assert_array_equal(one.points, other.points)


def test_embedding_refuses_labels_of_another_length(cpc):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        EmbeddingDisplay.from_estimator(cpc, X, np.arange(29))


# ---- all of them

DISPLAYS = {
    TrainingCurveDisplay: lambda cpc, **options: TrainingCurveDisplay.from_estimator(
        cpc, **options
    ),
    StepAccuracyDisplay: lambda cpc, **options: StepAccuracyDisplay.from_estimator(
        cpc, X, **options
    ),
    StepFeaturesDisplay: lambda cpc, **options: StepFeaturesDisplay.from_estimator(
        cpc, X, **options
    ),
    EmbeddingDisplay: lambda cpc, **options: EmbeddingDisplay.from_estimator(
        cpc, X, **options
    ),
}


@pytest.mark.parametrize("display", DISPLAYS.values(), ids=lambda d: d.__name__)
def test_existing_axes_are_used(cpc, display):
    figure, (_, ax) = plt.subplots(1, 2, layout="constrained")
    drawn = display(cpc, ax=ax)
    assert drawn.ax_ is ax
    assert drawn.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    figure.canvas.draw()
    again = drawn.plot()
    assert again is drawn
    assert drawn.figure_ is not figure


@pytest.mark.parametrize("kind", list(DISPLAYS)[:3], ids=lambda kind: kind.__name__)
def test_other_estimators_are_refused(cpc, kind):
    with pytest.raises(TypeError, match=r"Of a pipeline pass the step"):
        DISPLAYS[kind](make_pipeline(cpc))
    with pytest.raises(NotFittedError):
        DISPLAYS[kind](CPCTransformer())


@pytest.mark.parametrize("kind", DISPLAYS, ids=lambda kind: kind.__name__)
def test_without_matplotlib_the_extra_is_named(cpc, kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.setattr(matplotlib, "pyplot", None)
    with pytest.raises(
        ImportError, match=rf"{kind.__name__} needs.*sklearn-cpc\[plot\]"
    ):
        DISPLAYS[kind](cpc)
