"""One function turns anything into a checked real array; every reader uses it."""

import array
import datetime
from collections import deque
from decimal import Decimal
from fractions import Fraction
from importlib.util import find_spec

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from scipy import sparse

from sklearn_cpc import CPCImageTransformer, CPCTransformer
from sklearn_cpc._data.arrays import real_array

RNG = np.random.default_rng(0)
VALUES = RNG.integers(-8, 8, (3, 4)) / 4  # exact in every float
GAPS = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, np.nan]])
MASK = np.isnan(GAPS)


def frame_of_gaps(dtype):
    frame = pd.DataFrame(GAPS).astype(object).where(~MASK, None)
    return frame.astype(dtype)


READ = {
    "array": VALUES,
    "float32": VALUES.astype(np.float32),
    "float16": VALUES.astype(np.float16),
    "lists": VALUES.tolist(),
    "tuples": tuple(map(tuple, VALUES)),
    "list of arrays": list(VALUES),
    "list of array.array": [array.array("d", row) for row in VALUES],
    "list of memoryviews": [memoryview(row) for row in VALUES],
    "deque of deques": deque(deque(row) for row in VALUES),
    "values of a dict": dict(enumerate(VALUES)).values(),
    "objects": VALUES.astype(object),
    "decimals": [[Decimal(x) for x in row] for row in VALUES.tolist()],
    "fractions": [[Fraction(x) for x in row] for row in VALUES.tolist()],
    "pandas": pd.DataFrame(VALUES),
    "pandas, several dtypes": pd.DataFrame(VALUES).astype({0: "Float32", 1: object}),
    "polars": pl.DataFrame(VALUES),
    "tensor": torch.tensor(VALUES),
    "tensor with a gradient": torch.tensor(VALUES, requires_grad=True),
    "bfloat16": torch.tensor(VALUES, dtype=torch.bfloat16),
    "nested tensor": torch.nested.nested_tensor(
        list(torch.tensor(VALUES)), layout=torch.jagged
    ),
    "list of tensors with gradients": list(torch.tensor(VALUES, requires_grad=True)),
    "negated view": torch.imag(torch.tensor(-1j * VALUES).conj()),
    "matrix": np.asmatrix(VALUES),
}


@pytest.mark.parametrize("form", READ)
def test_numbers_in_any_form(form):
    read = real_array(READ[form])
    assert type(read) is np.ndarray or form == "matrix"
    assert read.dtype.kind in "biuf"
    np.testing.assert_array_equal(read, VALUES)


@pytest.mark.parametrize("dtype", list("?bBhHilqefdg"))
def test_real_dtypes_stay_and_nothing_is_copied(dtype):
    values = np.ones((3, 4), dtype)
    assert real_array(values) is values
    assert np.shares_memory(real_array(np.ma.masked_array(values)), values)


MISSING = {
    "masked": np.ma.masked_array(np.where(MASK, -9999.0, GAPS), MASK),
    "masked float32": np.ma.masked_array(np.where(MASK, 7, GAPS), MASK, "f4"),
    "masked integers": np.ma.masked_array(np.where(MASK, 7, GAPS), MASK, int),
    "list of masked": list(np.ma.masked_array(np.where(MASK, 7, GAPS), MASK)),
    "list of lists of masked": [
        [np.ma.masked_array(x, m) for x, m in zip(row, mask, strict=True)]
        for row, mask in zip(np.nan_to_num(GAPS), MASK, strict=True)
    ],
    "masked constants": [
        [np.ma.masked if m else x for x, m in zip(row, mask, strict=True)]
        for row, mask in zip(GAPS.tolist(), MASK, strict=True)
    ],
    "masked objects": np.ma.masked_array(np.nan_to_num(GAPS).astype(object), MASK),
    "None": [[None if np.isnan(x) else x for x in row] for row in GAPS.tolist()],
    "Float64": frame_of_gaps("Float64"),
    "Int64": frame_of_gaps("Int64"),
    "Float32 and floats": frame_of_gaps("Float64").astype({1: "Float32", 2: float}),
    "polars nulls": pl.DataFrame(GAPS, nan_to_null=True),
    "polars integers": pl.DataFrame(GAPS, nan_to_null=True).cast(pl.Int32),
}


@pytest.mark.parametrize("form", MISSING)
def test_what_is_missing_is_nan(form):
    np.testing.assert_array_equal(real_array(MISSING[form]), GAPS)


COMPLEX = VALUES + 1j
TIMES = np.datetime64("2020-01-01", "s") + np.arange(12).reshape(3, 4)
SPANS = TIMES - TIMES[0, 0]
TEXT = VALUES.astype(str)
DATE = datetime.date(2020, 1, 1)
REFUSED = {
    "complex": (COMPLEX, "Complex data not supported.*np.abs"),
    "complex objects": (COMPLEX.astype(object), "Complex data not supported"),
    "complex tensor": (torch.tensor(COMPLEX), "Complex data not supported"),
    "times": (TIMES, "holds times.*datetime64.*Drop them"),
    "dates": ([[DATE] * 4] * 3, "holds times"),
    "time stamps": (TIMES.astype(object), "holds times"),
    "spans": (SPANS, "holds time spans.*np.timedelta64"),
    "spans as objects": ([[datetime.timedelta(1)] * 4] * 3, "holds time spans"),
    "numpy spans as objects": (
        np.array([[np.timedelta64(1, "s"), 1.0]], object),
        "holds time spans",
    ),
    "text": (TEXT, r"holds text.*Convert your data.*astype\(float\)"),
    "text as objects": (TEXT.astype(object), "holds text"),
    "bytes": (TEXT.astype("S"), "holds text"),
    "one text among numbers": ([[1.0, 2.0], [3.0, "4"]], "holds text"),
    "structured": (np.zeros(3, [("a", float)]), "structured_to_unstructured"),
    "a category": (pd.DataFrame({"a": pd.Categorical(["u", "v"])}), "'a'.*holds text"),
    "a column of times": (
        pd.DataFrame({"t": pd.date_range("2020", periods=3), "v": 1.0}),
        "Column 't' of X holds times",
    ),
    "a column of times with a zone": (
        pd.DataFrame({"t": pd.date_range("2020", periods=3, tz="UTC"), "v": 1.0}),
        "Column 't' of X holds times",
    ),
    "a polars column of times": (
        pl.DataFrame({"t": [DATE] * 3, "v": [1.0] * 3}),
        "Column 't' of X holds times",
    ),
    "a polars column of text": (
        pl.DataFrame({"t": ["1", "2"], "v": [1.0, 2.0]}),
        "Column 't' of X holds text",
    ),
    "sparse": (sparse.csr_array(VALUES), "is sparse.*toarray"),
    "a sparse matrix": (sparse.dok_matrix(VALUES), "is sparse.*toarray"),
    "a sparse frame": (
        pd.DataFrame(VALUES).astype(pd.SparseDtype(float, 0.0)),
        r"is sparse.*X\.sparse\.to_dense\(\)",
    ),
    "a sparse tensor": (torch.tensor(VALUES).to_sparse(), r"is sparse.*x\.to_dense"),
    "objects": (np.array([[object()]]), "type object.*real number"),
    "a huge integer": ([[10**400]], "integer that is too large"),
    "different lengths": ([[1.0, 2.0], [3.0]], r"X\[1\] has the shape \(1,\)"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_is_not_real_numbers_is_refused(form):
    values, message = REFUSED[form]
    with pytest.raises((ValueError, TypeError), match=message):
        real_array(values)


# ---- every reader

SERIES = RNG.normal(size=(8, 40))
SMALL = {"max_epochs": 1, "latent_size": 8, "context_size": 8, "random_state": 0}


@pytest.fixture(scope="module")
def fitted():
    return CPCTransformer(**SMALL).fit(SERIES)


BAD = {
    "complex": SERIES + 1j,
    "times": np.datetime64("2020-01-01", "s") + np.arange(40) + np.zeros((8, 1), int),
    "text": SERIES.astype(str),
    "text as objects": SERIES.astype(str).astype(object),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("form", [np.asarray, list, pd.DataFrame])
def test_sequences(kind, form, fitted):
    bad = form(BAD[kind])
    for method in (CPCTransformer(**SMALL).fit, fitted.transform):
        with pytest.raises(ValueError, match=r"Complex data|holds times|holds text"):
            method(bad)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("form", [np.asarray, list])
def test_images(kind, form):
    bad = form(BAD[kind].reshape(5, 8, 8))
    with pytest.raises(ValueError, match=r"Complex data|holds times|holds text"):
        CPCImageTransformer(**SMALL).fit(bad)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("form", [np.asarray, list])
def test_streams(kind, form, fitted):
    stream = fitted.stream()
    with pytest.raises(ValueError, match=r"chunk holds|Complex.*chunk"):
        stream.push(form(BAD[kind][0]))
    assert stream.n_steps_seen == 0


def test_streams_refuse_what_fit_refuses(fitted):
    for chunk, message in (
        (np.ma.masked_array([1.0, 2.0], [False, True]), "contains NaN"),
        ([1e300], "too large for"),
        ([np.inf], "infinity"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.stream().push(chunk)


def masked_and_nan():
    gap = np.zeros(SERIES.shape, bool)
    gap[2, 5:9] = True
    return np.ma.masked_array(np.where(gap, -9999.0, SERIES), gap), np.where(
        gap, np.nan, SERIES
    )


@pytest.mark.parametrize("form", [lambda X: X, list, lambda X: X[:, :, None]])
def test_masks_are_honoured_as_nan_is(form):
    masked, nan = masked_and_nan()
    options = SMALL | {"nan_policy": "mask"}
    one, other = (CPCTransformer(**options).fit(form(X)) for X in (masked, nan))
    np.testing.assert_array_equal(one.transform(form(masked)), other.transform(nan))
    stream, chunk = one.stream(), masked[2]
    np.testing.assert_array_equal(stream.push(chunk), one.stream().push(nan[2]))
    with pytest.raises(ValueError, match="NaN, first in sample 2"):
        CPCTransformer(**SMALL).fit(form(masked))


def test_masks_of_images():
    images = np.ma.masked_array(RNG.normal(size=(6, 16, 16)))
    CPCImageTransformer(**SMALL).fit(images)
    images[3, 2, 2] = np.ma.masked
    for form in (images, list(images)):
        with pytest.raises(ValueError, match="NaN, first in sample 3"):
            CPCImageTransformer(**SMALL).fit(form)


@pytest.mark.parametrize("dispatch", [False, True])
def test_tensors_with_and_without_array_api(dispatch):
    rows, images = torch.tensor(SERIES), torch.rand(6, 16, 16)
    plain = CPCTransformer(**SMALL).fit_transform(SERIES)
    of_images = CPCImageTransformer(**SMALL).fit_transform(images.numpy())
    groups = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    if dispatch and find_spec("sklearn.externals.array_api_compat") is None:
        pytest.importorskip("array_api_compat")  # part of later releases
    with sklearn.config_context(array_api_dispatch=dispatch):
        features = CPCTransformer(**SMALL).fit_transform(rows)
        np.testing.assert_array_equal(features, plain)
        features = CPCImageTransformer(**SMALL).fit_transform(images)
        np.testing.assert_array_equal(features, of_images)
        CPCTransformer(**SMALL).fit(rows, groups=groups)


def test_nested_tensors_of_any_lengths():
    lists = [torch.randn(n, 2) for n in (30, 25, 40)]
    nested = torch.nested.nested_tensor(lists, layout=torch.jagged)
    one, other = (CPCTransformer(**SMALL).fit_transform(X) for X in (nested, lists))
    np.testing.assert_array_equal(one, other)
