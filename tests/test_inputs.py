"""Every form of input is the same sequences."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from sklearn_cpc import CPCTransformer
from sklearn_cpc._data.reading import read_sequences

RNG = np.random.default_rng(0)
RAGGED = [RNG.normal(size=(n, 2)) for n in (7, 4, 9)]
STACKED = RNG.normal(size=(3, 6, 2))


def objects(arrays):
    array = np.empty(len(arrays), dtype=object)
    array[:] = arrays
    return array


def read(X, channels_first=False, allow_nan=False, estimator=None, reset=True):
    return read_sequences(
        estimator or CPCTransformer(),
        X,
        channels_first=channels_first,
        allow_nan=allow_nan,
        reset=reset,
    )


def nan_padded(arrays):
    X = np.full((len(arrays), max(map(len, arrays)), 2), np.nan)
    for x, array in zip(X, arrays, strict=True):
        x[: len(array)] = array
    return X


RAGGED_FORMS = {
    "list": RAGGED,
    "tuple": tuple(RAGGED),
    "object array": objects(RAGGED),
    "nested lists": [x.tolist() for x in RAGGED],
    "series": pd.Series(RAGGED),
    "frame of arrays": pd.DataFrame({"signal": objects(RAGGED)}),
    "frame, a column a channel": pd.DataFrame(
        {name: objects([x[:, i] for x in RAGGED]) for i, name in enumerate("ab")}
    ),
    "frame of series": pd.DataFrame(
        {
            name: objects([pd.Series(x[:, i]) for x in RAGGED])
            for i, name in enumerate("ab")
        }
    ),
    "polars frame of lists": pl.DataFrame(
        {name: [x[:, i].tolist() for x in RAGGED] for i, name in enumerate("ab")}
    ),
}
STACKED_FORMS = {
    "array": STACKED,
    "float32": STACKED.astype(np.float32),
    "fortran order": np.asfortranarray(STACKED),
    "list of arrays": list(STACKED),
    "list of tensors": [torch.tensor(x) for x in STACKED],
    "tensor": torch.tensor(STACKED),
    "nested lists": STACKED.tolist(),
    "object array of rank 3": STACKED.astype(object),
}


def assert_holds(sequences, arrays, tolerance=0.0):
    assert sequences.lengths.tolist() == [len(x) for x in arrays]
    for read, length, expected in zip(
        sequences.arrays, sequences.lengths, arrays, strict=True
    ):
        np.testing.assert_allclose(read[:length], expected, rtol=tolerance)


@pytest.mark.parametrize("form", RAGGED_FORMS)
def test_ragged_forms(form):
    assert_holds(read(RAGGED_FORMS[form]), RAGGED)


def test_trailing_nans_are_padding():
    assert_holds(read(nan_padded(RAGGED), allow_nan=True), RAGGED)


@pytest.mark.parametrize("form", STACKED_FORMS)
def test_stacked_forms(form):
    assert_holds(read(STACKED_FORMS[form]), STACKED, tolerance=1e-6)


@pytest.mark.parametrize(
    "X", [STACKED.transpose(0, 2, 1), [x.T for x in STACKED]], ids=["array", "list"]
)
def test_channels_first(X):
    assert_holds(read(X, channels_first=True), STACKED)


UNIVARIATE = STACKED[:, :, 0]


@pytest.mark.parametrize(
    "X",
    [
        UNIVARIATE,
        UNIVARIATE.tolist(),
        list(UNIVARIATE),
        pd.DataFrame(UNIVARIATE),
        pl.DataFrame(UNIVARIATE),
        pd.DataFrame({"signal": list(UNIVARIATE)}),
    ],
    ids=["array", "lists", "list of arrays", "frame", "polars", "nested frame"],
)
def test_univariate_forms(X):
    assert_holds(read(X), UNIVARIATE[:, :, None])


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, np.float16, bool])
def test_real_dtypes(dtype):
    X = (10 * STACKED).astype(dtype)
    assert_holds(read(X), X)


def test_missing_values_stay_and_leading_nans_are_not_padding():
    X = STACKED.copy()
    X[0, :2] = np.nan
    X[1, 3, 0] = np.nan
    X[2, 4:] = np.nan
    sequences = read(X, allow_nan=True)
    assert sequences.lengths.tolist() == [6, 6, 4]
    np.testing.assert_array_equal(sequences.arrays, X)


def test_nothing_is_copied():
    assert np.shares_memory(read(STACKED).arrays, STACKED)
    for read_array, x in zip(read(RAGGED).arrays, RAGGED, strict=True):
        assert np.shares_memory(read_array, x)


def test_memmap_is_read_in_place_and_unchanged(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, STACKED)
    X = np.load(path, mmap_mode="r")
    assert np.shares_memory(read(X).arrays, X)
    cpc = CPCTransformer(max_epochs=1, latent_size=4, random_state=0)
    np.testing.assert_array_equal(cpc.fit_transform(X), cpc.fit_transform(STACKED))
    np.testing.assert_array_equal(np.load(path), STACKED)


def test_read_only_input_is_left_alone():
    X = nan_padded(RAGGED)
    before = X.copy()
    X.flags.writeable = False
    CPCTransformer(max_epochs=1, latent_size=4, nan_policy="mask").fit_transform(X)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize(
    ("X", "n_features", "n_channels"),
    [
        (UNIVARIATE, 6, 1),
        (STACKED, 2, 2),
        (RAGGED, 2, 2),
        (pd.DataFrame(UNIVARIATE), 6, 1),
        (pd.DataFrame({"a": objects(RAGGED)}), 1, 2),
        ([np.arange(4.0), np.arange(6.0)], 1, 1),
    ],
    ids=["2-D", "3-D", "list", "frame", "nested frame", "list of 1-D"],
)
def test_number_of_features(X, n_features, n_channels):
    cpc = CPCTransformer(max_epochs=0, latent_size=4).fit(X)
    assert (cpc.n_features_in_, cpc.n_channels_in_) == (n_features, n_channels)


def test_names_of_columns_and_of_channels():
    table = pd.DataFrame(UNIVARIATE, columns=[f"t{i}" for i in range(6)])
    cpc = CPCTransformer(max_epochs=0, latent_size=4).fit(table)
    assert cpc.feature_names_in_.tolist() == [f"t{i}" for i in range(6)]
    nested = RAGGED_FORMS["frame, a column a channel"]
    cpc.fit(nested)
    assert cpc.feature_names_in_.tolist() == ["a", "b"]
    cpc.fit(STACKED)
    assert not hasattr(cpc, "feature_names_in_")


def test_windows_are_padded_with_nan():
    sequences = read(RAGGED)
    values, lengths = sequences.padded(np.array([2, 1]), np.array([3, 2]), size=4)
    assert lengths.tolist() == [4, 2]
    np.testing.assert_array_equal(values[0], RAGGED[2][3:7])
    np.testing.assert_array_equal(values[1, :2], RAGGED[1][2:])
    assert np.isnan(values[1, 2:]).all()


def test_take_keeps_arrays_and_lengths_together():
    for sequences in (read(RAGGED), read(nan_padded(RAGGED), allow_nan=True)):
        assert_holds(sequences.take(np.array([2, 0])), [RAGGED[2], RAGGED[0]])
