"""Containers of samples: read if they hold array-likes, else refused with a way out."""

import array
from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cpc import CPCImageTransformer, CPCTextTransformer, CPCTransformer
from sklearn_cpc._data.groups import group_codes
from sklearn_cpc._data.reading import read_sequences

RNG = np.random.default_rng(0)
X = [RNG.normal(size=30 + i) for i in range(8)]
SIGNALS = RNG.normal(size=(8, 40, 3)) * [1, 10, 100]
IMAGES = RNG.normal(size=(8, 16, 16))
SMALL = {"max_epochs": 1, "latent_size": 8, "context_size": 8, "random_state": 0}


def read(X, **options):
    options = {"channels_first": False, "allow_nan": False, "reset": True} | options
    return read_sequences(CPCTransformer(), X, **options)


def objects(cells, *shape):
    made = np.empty(len(cells), dtype=object)
    made[:] = cells
    return made.reshape(shape or (-1,))


class Sized:
    """What torch calls a data set: it has a length and items, and no iterator."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


class Iterable(Sized):
    def __iter__(self):
        return iter(self.items)


CONTAINERS = {
    "values of a dict": dict(enumerate(X)).values(),
    "deque": deque(X),
    "deques": [deque(x) for x in X],
    "array.array": [array.array("d", x) for x in X],
    "memoryviews": [memoryview(x) for x in X],
    "length and items": Sized(X),
    "length and iterator": Iterable(X),
    "index of objects": pd.Index(objects(X)),
    "column of objects": objects(X, 8, 1),
    "polars series": pl.Series([x.tolist() for x in X]),
    "polars frame": pl.DataFrame({"x": [x.tolist() for x in X]}),
    "series of lists": pd.Series([x.tolist() for x in X]),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_sized_iterables_of_array_likes_are_read(name):
    sequences = read(CONTAINERS[name])
    assert sequences.form == "list"
    assert len(sequences) == len(X)
    for one, x in zip(sequences.arrays, X, strict=True):
        np.testing.assert_array_equal(one[:, 0], x)


def test_nested_lists_of_polars_have_all_channels():
    frame = pl.DataFrame({"x": [x.tolist() for x in SIGNALS]})
    assert frame.schema["x"] == pl.List(pl.List(pl.Float64))
    np.testing.assert_array_equal(np.stack(read(frame).arrays), SIGNALS)


LONG = pd.DataFrame(
    {"id": np.repeat(range(8), [len(x) for x in X]), "v": np.concatenate(X)}
)
FRAME = pd.DataFrame({"left": X, "right": X, "age": range(8), "name": list("abcdefgh")})
HOLE = pd.DataFrame({"left": X, "right": [*X[:3], None, *X[4:]]})
REFUSED = {
    "samples and labels": ((X, np.arange(8)), r"8 samples and 8 labels.*X\[0\]"),
    "pairs with rates": ([(16000, x) for x in X], r"X\[0\].*16000.*for _, x in X"),
    "pairs with labels": ([(x, "a") for x in X], r"X\[0\].*'a'.*for x, _ in X"),
    "a data set of pairs": (Sized([(x, 1) for x in X]), "for x, _ in X"),
    "groups of a series": (LONG.groupby("id")["v"], "for _, group in X"),
    "groups of a frame": (LONG.groupby("id"), "for _, group in X"),
    "dicts": (
        [{"array": x, "sampling_rate": 8000} for x in X],
        r"X\[0\] is a dict with the keys 'array', 'sampling_rate'.*x\['array'\] for x",
    ),
    "a dict": (dict(enumerate(X)), r"type dict.*list\(X\.values\(\)\)"),
    "a set": ({1.0, 2.0}, "type set"),
    "a path": (Path("a.wav"), "type PosixPath|type WindowsPath"),
    "paths": ([Path("a.wav")] * 3, r"X\[0\] is .*a\.wav.*Read files first"),
    "names of files": (["a.wav", "b.wav"], r"X\[0\] is 'a\.wav'.*Read files first"),
    "a name among arrays": ([X[0], "b.wav"], r"X\[1\] is 'b\.wav'"),
    "a generator": ((x for x in X), "type generator.*Pass an array"),
    "signals and numbers": (
        FRAME[["left", "age"]],
        r"arrays \('left'\) with other columns \('age'\).*X\[\['left'\]\]",
    ),
    "numbers and signals": (FRAME[["age", "left"]], r"\('left'\).*\('age'\)"),
    "signals and texts": (FRAME[["left", "name"]], r"\('left'\).*\('name'\)"),
    "a missing cell": (HOLE, r"Row 3 of X has no array in column 'right' but None"),
    "the first cell": (
        HOLE.iloc[[3, 0, 1]].reset_index(drop=True),
        "Row 0 of X has no array in column 'right'",
    ),
    "a missing item": ([X[0], None, X[2]], r"X\[1\] is None"),
    "a missing cell of polars": (
        pl.DataFrame({"x": [[1.0, 2.0], None]}),
        "Row 1 of X has no array in column 'x'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_holds_no_arrays_is_refused_with_a_way_out(name):
    bad, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        read(bad)
    assert "Pass" in str(caught.value)


# ---- orientation and names


def nested(names="abc"):
    return pd.DataFrame({c: list(SIGNALS[:, :, i]) for i, c in enumerate(names)})


@pytest.mark.parametrize("channels_first", [False, True])
def test_a_column_is_a_channel_whatever_the_order_of_arrays(channels_first):
    frames = [pd.DataFrame(x, columns=list("abc")) for x in SIGNALS]
    of_polars = [pl.from_pandas(frame) for frame in frames]
    single = pd.DataFrame({"a": list(SIGNALS[:, :, 0])})
    for X in (nested(), frames, of_polars):
        read_ones = read(X, channels_first=channels_first).arrays
        np.testing.assert_array_equal(np.stack(read_ones), SIGNALS)
    alone = np.stack(read(single, channels_first=channels_first).arrays)
    np.testing.assert_array_equal(alone, SIGNALS[:, :, :1])


def test_cells_and_frames_without_names_follow_channels_first():
    turned = SIGNALS.transpose(0, 2, 1)
    for X in (
        pd.DataFrame({"signal": list(turned)}),
        [pd.DataFrame(x) for x in turned],  # as aeon's
    ):
        read_ones = read(X, channels_first=True).arrays
        np.testing.assert_array_equal(np.stack(read_ones), SIGNALS)


NAMES = ["ax", "ay", "az"]
FRAMES = [pd.DataFrame(x, columns=NAMES) for x in SIGNALS]
OTHER = [frame[["az", "ax", "ay"]] for frame in FRAMES]
FORMS = {
    "frames": (FRAMES, OTHER),
    "polars": tuple([pl.from_pandas(f) for f in X] for X in (FRAMES, OTHER)),
    "nested": (nested(NAMES), nested(NAMES)[["az", "ax", "ay"]]),
    "frames, then nested": (FRAMES, nested(NAMES)[["az", "ax", "ay"]]),
    "nested, then frames": (nested(NAMES), OTHER),
}


@pytest.mark.parametrize("form", FORMS)
def test_channels_are_put_in_the_order_of_fit(form):
    first, other = FORMS[form]
    cpc = CPCTransformer(**SMALL).fit(first)
    assert cpc.feature_names_in_.tolist() == NAMES
    np.testing.assert_array_equal(cpc.transform(other), cpc.transform(first))
    np.testing.assert_array_equal(cpc.transform(other), cpc.transform(SIGNALS))
    renamed = [frame.rename(columns={"ax": "heat"}) for frame in FRAMES]
    with pytest.raises(ValueError, match=r"channels 'heat', 'ay', 'az', but .* 'ax'"):
        cpc.transform(renamed)
    with pytest.raises(ValueError, match="'heat'"):
        cpc.partial_fit(renamed)
    np.testing.assert_array_equal(cpc.transform(other), cpc.transform(first))


def test_channels_are_put_in_order_within_one_fit():
    mixed = read(FRAMES[:4] + OTHER[4:])
    np.testing.assert_array_equal(np.stack(mixed.arrays), SIGNALS)
    for bad in (FRAMES[0][["ax", "ay"]], FRAMES[0].rename(columns={"ax": "b"})):
        with pytest.raises(ValueError, match=r"X\[1\] has the channels .*X\[0\] has"):
            read([FRAMES[0], bad])
    with pytest.raises(ValueError, match=r"X\[1\] has the channels without names"):
        read([FRAMES[0], SIGNALS[1]])
    twice = [frame.set_axis(["a", "a", "b"], axis=1) for frame in FRAMES]
    np.testing.assert_array_equal(np.stack(read(twice).arrays), SIGNALS)
    with pytest.raises(ValueError, match="some of them twice"):
        read([twice[0], twice[1].set_axis(["a", "b", "a"], axis=1)])


def test_columns_of_one_name_are_two_channels():
    frame = nested().set_axis(list("aab"), axis=1)
    read_ones = read(frame).arrays
    np.testing.assert_array_equal(np.stack(read_ones), SIGNALS)


def test_streams_put_channels_in_order():
    cpc = CPCTransformer(**SMALL).fit(FRAMES)
    expected = cpc.stream().push(SIGNALS[0])
    np.testing.assert_array_equal(cpc.stream().push(OTHER[0]), expected)
    with pytest.raises(ValueError, match="channels 'a', 'b', 'c'"):
        cpc.stream().push(FRAMES[0].set_axis(list("abc"), axis=1))


# ---- frames with arrays in cells


@pytest.mark.parametrize(
    ("estimator", "cells"),
    [(CPCTransformer(**SMALL), SIGNALS), (CPCImageTransformer(**SMALL), IMAGES)],
    ids=["signals", "images"],
)
def test_columns_of_arrays_in_a_column_transformer(estimator, cells):
    index = list("stuvwxyz")
    frame = pd.DataFrame({"cell": list(cells), "age": range(8)}, index=index)
    both = ColumnTransformer(
        [("cpc", estimator, ["cell"]), ("num", StandardScaler(), ["age"])]
    )
    values = both.fit_transform(frame)
    names = both.get_feature_names_out()
    assert values.shape == (8, len(names))
    assert names[-1] == "num__age"
    inner = both.named_transformers_["cpc"]
    assert (inner.n_features_in_, inner.feature_names_in_.tolist()) == (1, ["cell"])
    np.testing.assert_array_equal(values[:, :-1], inner.transform(cells))
    table = both.set_output(transform="pandas").fit_transform(frame)
    assert table.columns.tolist() == names.tolist()
    assert table.index.tolist() == index
    np.testing.assert_array_equal(table, values)


@pytest.mark.parametrize(
    "X",
    [
        pd.Series(list(IMAGES)),
        pd.DataFrame({"image": list(IMAGES)}),
        pl.DataFrame({"image": IMAGES.tolist()}),
        objects(list(IMAGES)),
        objects(list(IMAGES), 8, 1),
        deque(IMAGES),
        dict(enumerate(IMAGES)).values(),
    ],
    ids=["series", "frame", "polars", "objects", "column", "deque", "dict values"],
)
def test_images_in_containers(X):
    cpc = CPCImageTransformer(encoder="conv", **SMALL)
    expected = cpc.fit(IMAGES).transform(IMAGES)
    np.testing.assert_array_equal(cpc.fit(X).transform(X), expected)


def test_two_columns_of_images_are_refused():
    frame = pd.DataFrame({"left": list(IMAGES), "right": list(IMAGES)})
    with pytest.raises(ValueError, match=r"2 columns of images.*ColumnTransformer"):
        CPCImageTransformer(**SMALL).fit(frame)


def test_texts_of_a_set_are_refused():
    texts = ["one text", "another text", "a third one"]
    for bad in (set(texts), frozenset(texts), dict.fromkeys(texts).keys()):
        with pytest.raises(TypeError, match="no order"):
            CPCTextTransformer(**SMALL).fit(bad)
    make_pipeline(CPCTextTransformer(**SMALL, tokenizer="word")).fit(deque(texts))


def test_infinity_names_the_sample():
    bad = [x.copy() for x in X]
    bad[5][3] = np.inf
    for form in (bad, np.stack([x[:30] for x in bad])):
        with pytest.raises(ValueError, match=r"infinity.*first in sample 5"):
            read(form)
        with pytest.raises(ValueError, match=r"infinity.*first in sample 5"):
            read(form, allow_nan=True)


# ---- groups

GROUPS = {
    "NaN": [np.nan] * 4 + [1, 1, 2, 2],
    "NA": pd.array([1, 1, 2, 2] + [None] * 4, dtype="Int64"),
    "None": [None, "a"] * 4,
    "NaT": np.array(["2020-01-01", "NaT"] * 4, "M8[D]"),
    "masked": np.ma.masked_array([1, 2] * 4, [0, 1] * 4),
    "polars": pl.Series([1, 2, None, 1, 2, 1, 2, 1]),
    "series": pd.Series(["a", "b", None, "a", "b", "a", "b", "a"]),
}


@pytest.mark.parametrize("name", GROUPS)
def test_missing_groups_are_refused(name):
    with pytest.raises(ValueError, match=r"groups\[\d\] is missing"):
        CPCTransformer(**SMALL).fit(X, groups=GROUPS[name])


@pytest.mark.parametrize(
    "groups",
    [
        ["b", "a"] * 4,
        np.array([[7.5], [-1.0]] * 4),
        [("a", 1), ("b", 2)] * 4,
        [("a", 1), ("b",)] * 4,
        ["1", 1] * 4,
        pd.Series(["x", "y"] * 4, dtype="category"),
        pd.DataFrame({"g": ["x", "y"] * 4}),
        pl.Series(["x", "y"] * 4),
        np.array(["2020", "2021"] * 4, "M8[Y]"),
        [True, False] * 4,
    ],
    ids=str,
)
def test_groups_of_any_kind_are_the_same_groups(groups):
    codes = group_codes(groups, 8)
    assert codes.tolist() in ([0, 1] * 4, [1, 0] * 4)
    CPCTransformer(**SMALL, negatives="same_group").fit(X, groups=groups)


@pytest.mark.parametrize("groups", ["abcdefgh", 3, np.zeros((8, 2)), [[1]] * 8])
def test_groups_that_are_none(groups):
    with pytest.raises(ValueError, match="groups must be a 1d array"):
        CPCTransformer(**SMALL).fit(X, groups=groups)
