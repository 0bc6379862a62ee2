"""Whatever a user passes as sequences, checked or refused with a reason."""

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from .sequences import CHUNK, Sequences, release

FLOAT32_MAX = float(np.finfo(np.float32).max)
FORMS = (
    "Pass an array of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, "
    "n_channels), or a list of arrays of shape (length_i,) or (length_i, n_channels)."
)


class SequenceEstimator(Protocol):
    """An estimator that keeps what it has seen of sequences."""

    n_channels_in_: int
    n_features_in_: int
    feature_names_in_: np.ndarray
    _fitted_on_table: bool


def read_sequences(
    estimator: SequenceEstimator,
    X: Any,
    *,
    channels_first: bool,
    allow_nan: bool,
    reset: bool,
) -> Sequences:
    """Read `X` in any of the accepted forms, and note its features on `estimator`.

    With `reset`, this sets ``n_features_in_``, ``n_channels_in_`` and
    ``feature_names_in_``. Otherwise it compares `X` with them.

    Parameters
    ----------
    estimator : SequenceEstimator
        Named in messages; keeps the numbers of features and channels, and the names.
    X : array, list, or frame
        Two-dimensional (univariate), three-dimensional, a list of arrays, or a
        frame with time steps as columns or with arrays in its cells.
    channels_first : bool
        Whether channels come before time steps.
    allow_nan : bool
        Whether trailing all-NaN steps are padding and other NaNs are missing.
    reset : bool
        Whether this is a fit.

    Returns
    -------
    Sequences

    Raises
    ------
    ValueError, TypeError
        If `X` cannot be read. The message names the input and the accepted forms.
    """
    if getattr(getattr(X, "index", None), "nlevels", 1) > 1:
        raise ValueError(
            "X is a frame with a MultiIndex; its rows are time steps of several "
            "series. Pass one array for each series: "
            "[group.to_numpy() for _, group in X.groupby(level=0)]."
        )
    array_like = hasattr(X, "__len__") or hasattr(X, "__array__")
    is_other = not array_like or isinstance(X, str | bytes | Mapping | Set)
    if is_other and not hasattr(X, "shape"):  # a sparse one: see check_array
        raise TypeError(f"X is of the type {type(X).__name__}. {FORMS}")
    samples = _one_by_one(X)
    if samples is None:
        sequences = _read_array(estimator, X, channels_first)
    else:
        sequences = _read_list(samples, channels_first)
    _note_features(estimator, X, sequences, reset)
    padding = _padding(sequences, allow_nan)
    return replace(sequences, lengths=sequences.lengths - padding)


def _one_by_one(X: Any) -> list[Any] | None:
    """Return one array-like for each sample, or None if `X` is a single array."""
    if hasattr(X, "columns") and hasattr(X, "to_numpy"):  # a pandas or polars frame
        table = X.to_numpy()
        if table.dtype != object or table.size == 0 or np.ndim(table[0, 0]) == 0:
            return None
        return [_join_channels(row, i) for i, row in enumerate(table)]
    if hasattr(X, "to_numpy") and not isinstance(X, np.ndarray):  # a series of arrays
        X = X.to_numpy()
    if isinstance(X, np.ndarray):
        holds_arrays = X.dtype == object and X.ndim == 1 and len(X) and np.ndim(X[0])
        return list(X) if holds_arrays else None
    if not isinstance(X, list | tuple) or len(X) == 0:
        return None
    if any(getattr(x, "shape", ()) for x in X):
        return list(X)
    if all(isinstance(x, list | tuple) for x in X) and len({len(x) for x in X}) > 1:
        return list(X)
    return None  # equally long lists of numbers are an array


def _join_channels(cells: np.ndarray, row: int) -> np.ndarray:
    """Join the cells of a frame's row, one channel each; a single cell has them all."""
    if len(cells) == 1:
        only: np.ndarray = cells[0]
        return only
    lengths = {len(cell) for cell in cells}
    if len(lengths) > 1:
        raise ValueError(
            f"Row {row} of X has cells of different lengths, {sorted(lengths)}: the "
            "channels of a sample must have the same time steps."
        )
    return np.stack([_numbers(cell) for cell in cells], axis=1)


def _read_array(
    estimator: SequenceEstimator, X: Any, channels_first: bool
) -> Sequences:
    # scikit-learn's own messages for sparse, complex, textual and empty input.
    # `_padding` checks finiteness later, in pieces that suit memory maps.
    try:
        array = check_array(
            X,
            estimator=estimator,
            input_name="X",
            dtype="numeric",
            ensure_2d=False,
            allow_nd=True,
            ensure_all_finite=False,
        )
        if array.dtype == object:  # old releases return frames of several dtypes so
            array = array.astype(np.float64)
    except TypeError as error:
        if "NAType" not in str(error):
            raise
        raise ValueError(
            "X has columns of the dtype object that hold pd.NA. Give them a numeric "
            "dtype first: X.astype('Float64')."
        ) from None
    if array.ndim not in (2, 3):
        raise ValueError(
            f"Expected 2D array or 3D array, got {array.ndim}D array instead: "
            f"shape={array.shape}. Reshape your data. {FORMS}"
        )
    if 0 in array.shape:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={array.shape}) while a minimum of "
            f"1 is required by {type(estimator).__name__}."
        )
    form = "table" if array.ndim == 2 else "array"
    if form == "table":
        array = array[:, :, None]
    elif channels_first:
        array = array.transpose(0, 2, 1)
    return Sequences(array, np.full(len(array), array.shape[1]), form)


def _read_list(samples: list[Any], channels_first: bool) -> Sequences:
    arrays: list[np.ndarray] = []
    for i, sample in enumerate(samples):
        array = _numbers(sample)
        if array.dtype.kind not in "biuf":
            try:
                array = array.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise type(error)(f"X[{i}] is not numeric: {error}. {FORMS}") from None
        if array.ndim not in (1, 2) or array.size == 0:
            raise ValueError(f"X[{i}] has the shape {array.shape}. {FORMS}")
        if array.ndim == 1:
            array = array[:, None]
        elif channels_first:
            array = array.T
        if arrays and array.shape[1] != arrays[0].shape[1]:
            raise ValueError(
                f"X[{i}] has {array.shape[1]} channels, but X[0] has "
                f"{arrays[0].shape[1]}: all samples need the same channels. {FORMS}"
            )
        arrays.append(array)
    return Sequences(arrays, np.array([len(array) for array in arrays]), "list")


def _numbers(sample: Any) -> np.ndarray:
    """Return one sample as an array, with NaN for the missing values of pandas."""
    if not hasattr(sample, "iloc"):
        return np.asarray(sample)
    array: np.ndarray = check_array(
        sample,
        dtype=None,
        ensure_2d=False,
        ensure_all_finite=False,
        ensure_min_samples=0,
        ensure_min_features=0,
    )
    return array


def _padding(sequences: Sequences, allow_nan: bool) -> np.ndarray:
    """Count trailing all-NaN steps of each sample; refuse infinity and other NaNs."""
    arrays = sequences.arrays
    if isinstance(arrays, list):
        pieces = [array[None] for array in arrays]
    else:
        n_rows = max(1, CHUNK // arrays[0].size)
        pieces = [arrays[i : i + n_rows] for i in range(0, len(arrays), n_rows)]
    padding: list[int] = []
    for piece in pieces:
        padding.extend(_padding_of_piece(piece, allow_nan, first_row=len(padding)))
        release([piece])
    return np.array(padding)


def _padding_of_piece(array: np.ndarray, allow_nan: bool, first_row: int) -> np.ndarray:
    none = np.zeros(len(array), dtype=np.int64)
    if array.dtype.kind != "f":
        return none
    limit = min(FLOAT32_MAX, float(np.finfo(array.dtype).max))
    n_steps = max(1, CHUNK // (array.shape[0] * array.shape[2]))
    # A comparison with NaN is False: this finds both NaN and infinity.
    for start in range(0, array.shape[1], n_steps):
        if not (np.abs(array[:, start : start + n_steps]) <= limit).all():
            break
        if array.shape[1] > n_steps:
            release([array])
    else:
        return none
    missing = np.isnan(array)  # (n, T, C)
    if not (missing | (np.abs(array) <= limit)).all():
        raise ValueError(
            "Input X contains infinity or a value too large for dtype('float32')."
        )
    if not allow_nan:
        row = first_row + int(missing.any((1, 2)).argmax())
        raise ValueError(
            f"Input X contains NaN, first in sample {row}. With nan_policy='mask', "
            "trailing steps that are all NaN are padding and other NaNs are missing "
            "values."
        )
    present = ~missing.all(2)  # (n, T)
    if not present.any(1).all():
        row = first_row + int((~present.any(1)).argmax())
        raise ValueError(f"Sample {row} of X is NaN throughout: remove it.")
    padding: np.ndarray = present[:, ::-1].argmax(1)
    return padding


def _note_features(
    estimator: SequenceEstimator, X: Any, sequences: Sequences, reset: bool
) -> None:
    """Set or compare the numbers of features and channels, and the names."""
    n_channels = sequences.n_channels
    is_frame = hasattr(X, "columns")
    if reset:
        estimator._fitted_on_table = sequences.form == "table"
        estimator.n_channels_in_ = n_channels
    elif n_channels != estimator.n_channels_in_:
        raise ValueError(
            f"X has {n_channels} channels, but {type(estimator).__name__} is "
            f"expecting {estimator.n_channels_in_} channels as input."
        )
    if sequences.form == "table":
        # scikit-learn's rule: a model that was fitted on a table takes no table of
        # another width. A model of sequences does.
        if estimator._fitted_on_table:
            validate_data(estimator, X, reset=reset, skip_check_array=True)
    elif is_frame and X.shape[1] == n_channels:
        if reset or not estimator._fitted_on_table:
            validate_data(estimator, X, reset=reset, skip_check_array=True)
    elif reset:
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
        estimator.n_features_in_ = n_channels
