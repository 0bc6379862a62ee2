"""Windows of recordings: positions, labels, groups, memory, and the way back."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold

from sklearn_cpc import CPCTransformer, InputWarning
from sklearn_cpc.preprocessing import sliding_windows

RNG = np.random.default_rng(0)
LENGTHS = (50, 33, 71)
X = [RNG.normal(size=(n, 2)) for n in LENGTHS]


@pytest.mark.parametrize(("size", "step"), [(10, None), (10, 3), (7, 20), (33, 1)])
def test_windows_are_where_they_say(size, step):
    windows = sliding_windows(X, size, step)
    expected = [
        (row, start)
        for row, x in enumerate(X)
        for start in range(0, len(x) - size + 1, step or size)
    ]
    places = list(zip(windows.recording.tolist(), windows.start.tolist(), strict=True))
    assert places == expected
    assert len(windows) == len(expected)
    for view, (row, start) in zip(windows.X, expected, strict=True):
        np.testing.assert_array_equal(view, X[row][start : start + size])
        assert np.shares_memory(view, X[row])
    np.testing.assert_array_equal(windows.groups, windows.recording)


@pytest.mark.parametrize(
    "form",
    [
        lambda X: [x[:, 0] for x in X],
        lambda X: [pd.DataFrame(x) for x in X],
        lambda X: [x.tolist() for x in X],
        lambda X: np.stack([x[:33] for x in X]),
        lambda X: pd.DataFrame({c: [x[:, i] for x in X] for i, c in enumerate("ab")}),
    ],
    ids=["univariate", "frames", "lists", "array", "nested frame"],
)
def test_recordings_of_any_form(form):
    windows = sliding_windows(form(X), 10)
    for view, row, start in zip(
        windows.X, windows.recording, windows.start, strict=True
    ):
        expected = X[row][start : start + 10, : view.shape[1]]
        np.testing.assert_array_equal(view, expected)


def test_seconds():
    in_seconds = sliding_windows(X, 0.5, 0.2, sampling_rate=20)
    in_steps = sliding_windows(X, 10, 4)
    assert in_seconds.size == 10
    np.testing.assert_array_equal(in_seconds.start, in_steps.start)


def test_a_memory_map_is_not_copied(tmp_path):
    np.save(tmp_path / "x.npy", X[2])
    recording = np.load(tmp_path / "x.npy", mmap_mode="r")
    windows = sliding_windows([recording], 20, 5)
    assert all(np.shares_memory(view, recording) for view in windows.X)
    cpc = CPCTransformer(max_epochs=1, latent_size=4, random_state=0).fit(windows.X)
    np.testing.assert_array_equal(
        cpc.transform(windows.X), cpc.transform(np.stack(windows.X))
    )


def test_many_windows_cost_little_memory():
    recording = np.zeros((10**6, 8), np.float32)
    windows = sliding_windows([recording], 1000, 10)
    assert len(windows) == 99_901
    assert all(view.base is recording for view in windows.X[::1000])


# ---- labels

STATES = [np.repeat(["b", "a", "c"], [20, 20, 10]), np.full(33, "a"), np.full(71, "c")]


def test_labels_of_recordings():
    windows = sliding_windows(X, 10, 5, y=["u", "v", "u"], groups=[7, 9, 9])
    np.testing.assert_array_equal(windows.y, np.array(list("uvu"))[windows.recording])
    np.testing.assert_array_equal(
        windows.groups, np.array([7, 9, 9])[windows.recording]
    )
    for train, test in GroupKFold(2).split(windows.X, windows.y, windows.groups):
        assert not set(windows.groups[train]) & set(windows.groups[test])


def majority(labels):
    names, counts = np.unique(labels, return_counts=True)
    return names[counts.argmax()]


RULES = {"majority": majority, "last": lambda labels: labels[-1]}


@pytest.mark.parametrize("rule", RULES)
def test_labels_of_steps(rule):
    windows = sliding_windows(X, 12, 5, y=STATES, labels=rule)
    expected = [
        RULES[rule](STATES[row][start : start + 12])
        for row, start in zip(windows.recording, windows.start, strict=True)
    ]
    assert windows.y.tolist() == expected
    assert len(set(expected)) == 3


def test_windows_of_several_labels_are_left_out():
    every = sliding_windows(X, 12, 5)
    windows = sliding_windows(X, 12, 5, y=STATES, labels="equal", groups=[0, 0, 1])
    kept = [
        (row, start)
        for row, start in zip(every.recording, every.start, strict=True)
        if len(set(STATES[row][start : start + 12])) == 1
    ]
    assert list(zip(windows.recording, windows.start, strict=True)) == kept
    assert len(windows.X) == len(windows.y) == len(windows.groups) == len(kept)
    assert len(kept) < len(every)
    for view, label, (row, start) in zip(windows.X, windows.y, kept, strict=True):
        assert label == STATES[row][start]
        np.testing.assert_array_equal(view, X[row][start : start + 12])


def test_labels_of_steps_in_an_array():
    y = np.repeat([[0, 1], [1, 2]], 10, axis=1)
    windows = sliding_windows(np.zeros((2, 20)), 10, 5, y=y)
    assert windows.y.tolist() == [0, 0, 1, 1, 1, 2]


# ---- back again


@pytest.mark.parametrize("how", ["mean", "min", "max", "last"])
@pytest.mark.parametrize("step", [3, 10, 12])
def test_scores_of_steps(how, step):
    windows = sliding_windows(X, 10, step)
    scores = RNG.normal(size=len(windows))
    steps = windows.per_step(scores, how)
    for row, x in enumerate(X):
        mine = windows.recording == row
        assert steps[row].shape == (len(x),)
        for t in range(len(x)):
            start = windows.start[mine]
            over = scores[mine][(start <= t) & (t < start + 10)]
            ended = scores[mine][start + 9 <= t]
            if how == "last":
                expected = ended[-1] if len(ended) else np.nan
            else:
                expected = getattr(np, how)(over) if len(over) else np.nan
            np.testing.assert_allclose(steps[row][t], expected)


def test_several_scores_of_steps():
    windows = sliding_windows(X, 10, 3)
    scores = RNG.normal(size=(len(windows), 2))
    for how in ("mean", "min", "max", "last"):
        both = windows.per_step(scores, how)
        for column in range(2):
            alone = windows.per_step(scores[:, column], how)
            for one, other in zip(both, alone, strict=True):
                np.testing.assert_array_equal(one[:, column], other)


def test_recordings_without_windows_have_no_scores():
    with pytest.warns(InputWarning, match=r"1 of 3.*recording 1 with 33"):
        windows = sliding_windows(X, 40)
    assert windows.recording.tolist() == [0, 2]
    steps = windows.per_step([1.0, 2.0])
    assert np.isnan(steps[1]).all()
    assert [len(s) for s in steps] == list(LENGTHS)


# ---- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size=0 must be a number of time steps"),
        ({"size": 2.5}, r"size=2\.5.*For seconds, pass the sampling_rate"),
        ({"size": True}, "size=True"),
        ({"size": 10, "step": 0}, "step=0"),
        ({"size": 0.01, "sampling_rate": 20}, "at least one of the 20 time steps"),
        ({"size": 1, "sampling_rate": 0}, "sampling_rate=0 must be above 0"),
        ({"size": 100}, r"longest recording has 71.*fewer than size=100"),
        ({"size": 10, "labels": "first"}, "labels='first' must be one of 'majority'"),
        ({"size": 10, "y": [1, 2]}, "y has 2 entries, but X has 3 recordings"),
        ({"size": 10, "y": [1, None, 2]}, r"y\[1\] is missing"),
        ({"size": 10, "groups": [1, np.nan, 2]}, r"groups\[1\] is missing"),
        ({"size": 10, "groups": [1]}, "groups has 1 entries"),
        ({"size": 10, "y": [s[:-1] for s in STATES]}, r"y\[0\] has the shape \(49,\)"),
        (
            {"size": 10, "y": [np.full(n, np.nan) for n in LENGTHS]},
            r"y\[0\]\[0\] is missing",
        ),
        (
            {"size": 30, "y": [np.arange(n) for n in LENGTHS], "labels": "equal"},
            "leaves no window",
        ),
    ],
)
def test_refusals(options, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        with pytest.raises(ValueError, match=message):
            sliding_windows(X, **options)


def test_refused_scores():
    windows = sliding_windows(X, 10)
    with pytest.raises(ValueError, match=rf"\(3,\), but there are {len(windows)} win"):
        windows.per_step([1, 2, 3])
    with pytest.raises(ValueError, match="how='sum' must be one of 'mean'"):
        windows.per_step(np.zeros(len(windows)), how="sum")
