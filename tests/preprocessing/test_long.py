"""Long tables as sequences, the same from pandas and polars."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_cpc import CPCTransformer
from sklearn_cpc.preprocessing import sequences_from_long, sliding_windows

RNG = np.random.default_rng(0)
LENGTHS = {"eve": 30, "bob": 25, "zoe": 40}
START = pd.Timestamp("2024-05-01 12:00")


def table(dates=True):
    """Return a shuffled table of three people, two channels, one label."""
    parts = []
    for number, (name, n) in enumerate(LENGTHS.items()):
        t = np.arange(n) * 2
        part = pd.DataFrame({"person": name, "t": t, "x": RNG.normal(size=n)})
        part["y"] = part["x"] * 2 + 1
        part["state"] = ["ill", "well", "ill"][number]
        part["site"] = number // 2
        if dates:
            part["t"] = START + pd.to_timedelta(t, unit="s")
        parts.append(part)
    return pd.concat(parts).sample(frac=1, random_state=0).reset_index(drop=True)


def to_polars(frame):  # from_pandas needs pyarrow for texts
    plain = {
        name: column.to_numpy() if column.dtype.kind in "iufM" else column.to_list()
        for name, column in frame.items()
    }
    return pl.DataFrame(plain)


LIBRARIES = {"pandas": lambda frame: frame, "polars": to_polars}
OPTIONS = {"time": "t", "channels": ["x", "y"]}


@pytest.fixture(params=LIBRARIES)
def library(request):
    return LIBRARIES[request.param]


@pytest.mark.parametrize("dates", [True, False])
def test_series_are_sorted_by_id_and_time(library, dates):
    frame = table(dates)
    found = sequences_from_long(
        library(frame), "person", **OPTIONS, label="state", group="site"
    )
    assert found.ids.tolist() == ["bob", "eve", "zoe"]
    assert found.y.tolist() == ["well", "ill", "ill"]
    assert found.groups.tolist() == [0, 0, 1]
    assert found.channels == ["x", "y"]
    for name, x, times in zip(found.ids, found.X, found.times, strict=True):
        expected = frame[frame.person == name].sort_values("t")
        np.testing.assert_array_equal(x, expected[["x", "y"]])
        np.testing.assert_array_equal(times, expected["t"])
    CPCTransformer(max_epochs=1, latent_size=4).fit(found.X, groups=found.groups)


def test_the_order_of_rows_does_not_matter(library):
    frame = table()
    one, other = (
        sequences_from_long(library(f), "person", **OPTIONS)
        for f in (frame, frame[::-1])
    )
    for a, b in zip(one.X, other.X, strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_other_columns_are_channels(library):
    frame = library(table().drop(columns=["state"]))
    found = sequences_from_long(frame, "person", time="t", group="site")
    assert found.channels == ["x", "y"]


def test_labels_of_steps(library):
    frame = table()
    frame["state"] = np.where(frame["t"] < START + pd.Timedelta("20s"), "a", "b")
    found = sequences_from_long(library(frame), "person", **OPTIONS, label="state")
    assert [labels.tolist() for labels in found.y] == [
        ["a"] * 10 + ["b"] * (n - 10) for n in (25, 30, 40)
    ]
    windows = sliding_windows(found.X, 10, y=found.y, groups=found.ids)
    assert windows.y.tolist() == ["a", "b", "a", "b", "b", "a", "b", "b", "b"]


def test_one_series_without_times(library):
    frame = table().query("person == 'bob'")
    found = sequences_from_long(library(frame), channels=["x"])
    assert (found.ids, found.times, found.y, found.groups) == (None,) * 4
    np.testing.assert_array_equal(found.X[0][:, 0], frame["x"])


def test_a_multi_index():
    frame = table()[["person", "t", "x", "y"]].set_index(["person", "t"])
    found = sequences_from_long(frame)
    expected = sequences_from_long(frame.reset_index(), "person", time="t")
    for a, b in zip(found.X, expected.X, strict=True):
        np.testing.assert_array_equal(a, b)
    nameless = frame.rename_axis([None, None])
    assert sequences_from_long(nameless).ids.tolist() == found.ids.tolist()
    with pytest.raises(ValueError, match=r"sequences_from_long\(X\)\.X"):
        CPCTransformer().fit(frame)
    with pytest.raises(ValueError, match="3 levels"):
        sequences_from_long(frame.set_index("y", append=True))


def test_time_zones_and_missing_values_stay():
    frame = table()
    frame["t"] = frame["t"].dt.tz_localize("Europe/Berlin")
    frame.loc[3, "x"] = np.nan
    frame["y"] = frame["y"].astype("Float32").mask(frame["y"] > 2)
    found = sequences_from_long(frame, "person", **OPTIONS)
    first = np.datetime64("2024-05-01T10:00")
    assert all(times[0] == first for times in found.times)  # UTC
    missing = np.isnan(np.concatenate(found.X)).sum(0)
    assert missing.tolist() == [1, frame["y"].isna().sum()]


# ---- resampling


def test_resampling_is_that_of_the_library(library):
    frame = table()
    frame = frame[frame["t"] != START + pd.Timedelta("8s")]  # a hole in each
    found = sequences_from_long(
        library(frame), "person", **OPTIONS, every="4s", label="state", group="site"
    )
    assert [len(x) for x in found.X] == [13, 15, 20]
    assert found.y.tolist() == ["well", "ill", "ill"]
    assert found.groups.tolist() == [0, 0, 1]
    for name, x, times in zip(found.ids, found.X, found.times, strict=True):
        part = frame[frame.person == name]
        expected = part.resample("4s", on="t")[["x", "y"]].mean()
        np.testing.assert_allclose(x, expected)
        np.testing.assert_array_equal(times, expected.index)


def test_intervals_without_rows_are_nan_and_keep_the_label(library):
    frame = pd.DataFrame(
        {
            "t": START + pd.to_timedelta([0, 1, 5], unit="s"),
            "x": [1.0, 2.0, 3.0],
            "state": ["a", "b", "c"],
        }
    )
    found = sequences_from_long(library(frame), time="t", label="state", every="1s")
    np.testing.assert_array_equal(found.X[0][:, 0], [1, 2, np.nan, np.nan, np.nan, 3])
    assert found.y[0].tolist() == ["a", "b", "b", "b", "b", "c"]
    assert len(found.times[0]) == 6


# ---- refusals


def changed(**columns):
    frame = table()
    for name, change in columns.items():
        frame[name] = change(frame[name].copy())
    return frame


def with_hole(column):
    hole = column.astype(object)
    hole[7] = None
    return hole


REFUSED = {
    "a time twice": (
        pd.concat([table(), table()[:1]]),
        {},
        r"comes twice in a series.*groupby.*group_by",
    ),
    "a gap": (
        table()[table()["t"] != START + pd.Timedelta("8s")],
        {},
        r"Series 'bob' has a gap after the time 2024-05-01T12:00:06.*every=",
    ),
    "an id that is missing": (
        changed(person=with_hole),
        {},
        r"'person'\[7\] is missing",
    ),
    "times that are missing": (
        changed(t=lambda t: t.mask(t.index == 7)),
        {},
        "no time in row 7",
    ),
    "times as text": (
        changed(t=lambda t: t.astype(str)),
        {},
        r"'t' of frame holds .*not times.*pandas\.to_datetime.*str\.to_datetime",
    ),
    "a channel of text": (
        table(),
        {"channels": ["x", "state"]},
        "Column 'state' of frame holds text",
    ),
    "all other columns": (table(), {"channels": None}, "'state' of frame holds text"),
    "no such column": (
        table(),
        {"label": "status"},
        r"label='status' is no column.*'x'",
    ),
    "no such channel": (table(), {"channels": ["z"]}, "channels='z' is no column"),
    "a single channel": (table(), {"channels": "x"}, "must be a list"),
    "no rows": (table()[:0], {}, "no rows"),
    "several groups in a series": (table(), {"group": "x"}, "several groups in one"),
    "an interval without times": (
        table(),
        {"time": None, "every": "1s"},
        "every='1s' needs the column of the time",
    ),
    "an interval of numbers": (
        table(dates=False),
        {"every": "1s"},
        "every='1s' cannot resample",
    ),
    "no interval": (table(), {"every": "often"}, "every='often' cannot resample"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name, library):
    frame, options, message = REFUSED[name]
    if library is to_polars and name == "no interval" and pl.__version__ == "1.0.0":
        pytest.skip("polars 1.0 panics")
    with pytest.raises(ValueError, match=message):
        sequences_from_long(library(frame), "person", **OPTIONS | options)


def test_what_is_no_frame():
    with pytest.raises(TypeError, match="type ndarray, not a DataFrame"):
        sequences_from_long(np.zeros((3, 2)))
