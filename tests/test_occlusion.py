"""OcclusionDisplay: which parts of a sequence a judgement rests on."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_cpc import CPCImageTransformer, CPCTransformer, OcclusionDisplay

RNG = np.random.default_rng(0)
X = [RNG.normal(size=(n, 2)).cumsum(0) for n in RNG.integers(400, 500, 30)]
IMAGES = RNG.normal(size=(12, 16, 16))
SMALL = {"latent_size": 4, "context_size": 4, "random_state": 0}

# Two channels of noise; in the second, an event in the middle makes the class.
N_STEPS, EVENT = 60, slice(24, 36)
CLASSES = np.arange(40) % 2
EVENTS = RNG.normal(size=(40, N_STEPS, 2))
EVENTS[CLASSES == 1, EVENT, 1] += 8 * np.sin(np.arange(12))


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def judged():
    """Features of sequences with an event, and a classifier that knows it."""
    cpc = CPCTransformer(max_epochs=0, **SMALL).fit(EVENTS)
    classifier = make_pipeline(StandardScaler(), LogisticRegression())
    return cpc, classifier.fit(cpc.transform(EVENTS), CLASSES)


def test_occlusion_finds_what_makes_the_class(judged):
    display = OcclusionDisplay.from_estimator(*judged, EVENTS[1:2], window=6)
    assert display.target == 1
    assert display.importance.shape == (10, 2)
    window, channel = np.unravel_index(display.importance.argmax(), (10, 2))
    assert channel == 1
    assert window in {4, 5}
    assert display.importance[4:6, 1].sum() > np.abs(display.importance[:, 0]).max()


def test_occlusion_is_the_fall_of_the_score(judged):
    """Each value, by hand, through the methods that everyone has."""
    cpc, classifier = judged
    display = OcclusionDisplay.from_estimator(*judged, EVENTS[3:4], window=25)
    mean = EVENTS.mean((0, 1))
    (score,) = classifier.decision_function(cpc.transform(EVENTS[3:4]))
    assert display.score == pytest.approx(score, rel=1e-4)
    for i, part in enumerate((slice(0, 25), slice(25, 50), slice(50, 60))):
        for channel in range(2):
            hidden = EVENTS[3:4].copy()
            hidden[0, part, channel] = mean[channel]
            (fallen,) = classifier.decision_function(cpc.transform(hidden))
            expected = score - fallen
            assert display.importance[i, channel] == pytest.approx(expected, abs=1e-3)


def test_occlusion_of_the_other_class_has_the_other_sign(judged):
    one, other = (
        OcclusionDisplay.from_estimator(*judged, EVENTS[1:2], target=target)
        for target in (1, 0)
    )
    np.testing.assert_allclose(one.importance, -other.importance, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"scaling": "sample"}, {"scaling": None}, {"channels_first": True}]
)
def test_occlusion_of_sequences_of_different_lengths(options):
    """More copies than fit into one batch, and the form of the data does not matter."""
    first = options.get("channels_first", False)
    sequences = [x.T if first else x for x in X]
    cpc = CPCTransformer(max_epochs=0, **SMALL, **options).fit(sequences)
    y = np.arange(len(X)) % 3
    judge = LogisticRegression(max_iter=1000).fit(cpc.transform(sequences), y)
    display = OcclusionDisplay.from_estimator(cpc, judge, sequences[:1], window=10)
    assert display.values.shape == X[0].shape
    assert display.importance.shape == (-(-len(X[0]) // 10), 2)
    expected = judge.decision_function(cpc.transform(sequences[:1]))[0]
    assert display.score == pytest.approx(expected.max(), rel=1e-3, abs=1e-3)
    assert display.image_.get_array().shape == (2, len(X[0]))


def test_occlusion_on_a_table_and_with_other_judges():
    table = EVENTS[:, :, 1]
    cpc = CPCTransformer(max_epochs=0, **SMALL).fit(table)
    cpc.set_output(transform="pandas")
    Z = cpc.transform(table)
    forest = RandomForestClassifier(20, random_state=0).fit(Z, CLASSES)
    display = OcclusionDisplay.from_estimator(cpc, forest, table[1:2], window=6)
    assert 0.5 < display.score <= 1
    assert display.importance.argmax() in {4, 5}
    ridge = Ridge().fit(Z, CLASSES)
    display = OcclusionDisplay.from_estimator(cpc, ridge, table[1:2], window=6)
    assert display.target is None
    assert display.importance.argmax() in {4, 5}


def test_occlusion_of_missing_values(judged):
    _, judge = judged
    gaps = EVENTS.copy()
    gaps[:, 8:12, 0] = np.nan
    gaps[1, 50:] = np.nan  # a shorter one
    cpc = CPCTransformer(max_epochs=0, nan_policy="mask", **SMALL).fit(gaps)
    display = OcclusionDisplay.from_estimator(cpc, judge, gaps[1:2], window=4)
    assert display.importance.shape == (13, 2)
    assert np.isfinite(display.importance).all()
    assert display.importance[2, 0] == pytest.approx(0, abs=1e-6)  # missing already
    assert abs(display.importance[3, 0]) > 1e-6


def test_occlusion_says_what_is_wrong(judged):
    cpc, judge = judged
    for options, error, message in (
        ({"target": "x"}, ValueError, r"target='x' must be a class.*0, 1"),
        ({"window": 0}, ValueError, "window=0 must be"),
        ({"window": 1.5}, ValueError, "window=1.5 must be"),
        ({"window": "long"}, ValueError, "window='long' must be"),
    ):
        with pytest.raises(error, match=message):
            OcclusionDisplay.from_estimator(cpc, judge, EVENTS[:1], **options)
    with pytest.raises(ValueError, match=r"X has 40 samples.*X\[:1\]"):
        OcclusionDisplay.from_estimator(cpc, judge, EVENTS)
    with pytest.raises(NotFittedError):
        OcclusionDisplay.from_estimator(cpc, LogisticRegression(), EVENTS)
    images = CPCImageTransformer(max_epochs=0, **SMALL).fit(IMAGES)
    with pytest.raises(TypeError, match="sequences of values"):
        OcclusionDisplay.from_estimator(images, judge, IMAGES[:1])
    three = np.arange(40) % 4
    one_on_one = SVC(decision_function_shape="ovo").fit(cpc.transform(EVENTS), three)
    with pytest.raises(ValueError, match=r"SVC gives.*\(1, 6\).*ovr"):
        OcclusionDisplay.from_estimator(cpc, one_on_one, EVENTS[:1])


def test_occlusion_in_seconds_with_names(judged):
    display = OcclusionDisplay(
        values=EVENTS[0],
        importance=np.ones((10, 2)),
        window=6,
        sampling_rate=20,
        channel_names=["force", "torque"],
    ).plot()
    labels = [label.get_text() for label in display.importance_ax_.get_yticklabels()]
    assert labels == ["force", "torque"]
    assert display.importance_ax_.get_xlabel() == "time [s]"
    assert display.importance_ax_.get_xlim() == (0, 3)
