"""Whatever a user passes as sequences, checked or refused with a reason."""

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from sklearn.utils.validation import validate_data

from .._warnings import InputWarning, warn
from .arrays import as_frame, is_frame, real_array
from .containers import Samples
from .names import channel_names, frame_names, in_order_of_fit, places
from .plausibility import warn_if_misread
from .sequences import CHUNK, Sequences, release

FLOAT32_MAX = float(np.finfo(np.float32).max)
FORMS = (
    "Pass an array of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, "
    "n_channels), or a list of arrays of shape (length_i,) or (length_i, n_channels)."
)
AXES = (
    " The channels seem to lie along the other axis: use channels_first, or the "
    "transpose, np.swapaxes(x, -1, -2)."
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
    X = as_frame(X)
    _refuse_multi_index(X)
    samples = Samples.of(X, FORMS)
    names = channel_names(samples)
    if not reset and not estimator._fitted_on_table:
        fitted = getattr(estimator, "feature_names_in_", None)
        names = in_order_of_fit(names, fitted, type(estimator).__name__)
    sequences = _sequences(samples, names, channels_first, type(estimator).__name__)
    _note_features(estimator, X, sequences, names, reset)
    if reset:
        n_columns = samples.n_columns
        if n_columns is not None:
            estimator.n_features_in_ = n_columns
        seen = frame_names(X) if sequences.form == "table" else names
        warn_if_misread(sequences, seen, channels_first)
    padding = _padding(sequences, allow_nan)
    return replace(sequences, lengths=sequences.lengths - padding)


def plain_sequences(X: Any, *, channels_first: bool = False) -> Sequences:
    """Read `X` in any of the accepted forms, for no estimator; NaNs stay.

    Parameters
    ----------
    X : array, list, or frame
        See `read_sequences`.
    channels_first : bool, default=False
        Whether channels come before time steps.

    Returns
    -------
    Sequences
    """
    X = as_frame(X)
    _refuse_multi_index(X)
    samples = Samples.of(X, FORMS)
    return _sequences(samples, channel_names(samples), channels_first, "This function")


def _refuse_multi_index(X: Any) -> None:
    if getattr(getattr(X, "index", None), "nlevels", 1) > 1:
        raise ValueError(
            "X is a frame with a MultiIndex; its rows are time steps of several "
            "series. Turn it into one array for each series: "
            "sklearn_cpc.preprocessing.sequences_from_long(X).X."
        )
    n_levels = getattr(getattr(X, "columns", None), "nlevels", 1)
    if n_levels > 1:
        raise ValueError(
            f"X is a frame whose columns have {n_levels} levels, such as channels and "
            "time steps. Pass an array of shape (n_samples, n_timesteps, n_channels): "
            "X.to_numpy().reshape(n_samples, n_channels, n_timesteps).swapaxes(1, 2)."
        )


def _sequences(
    samples: Samples, names: list[str] | None, channels_first: bool, what: str
) -> Sequences:
    """Return checked sequences, channels in the order of `names`."""
    if samples.array is not None:
        return _of_array(samples.array, channels_first, what)
    arrays: list[np.ndarray] = []
    for i, item in enumerate(samples.items):
        array = _sample(item, i, samples, names, channels_first)
        if arrays and array.shape[1] != arrays[0].shape[1]:
            other_axis = AXES if len(array) == len(arrays[0]) else ""
            raise ValueError(
                f"X[{i}] has {array.shape[1]} channels, but X[0] has "
                f"{arrays[0].shape[1]}: all samples need the same channels."
                f"{other_axis} {FORMS}"
            )
        arrays.append(array)
    return Sequences(arrays, np.array([len(array) for array in arrays]), "list")


def _of_array(array: np.ndarray, channels_first: bool, what: str) -> Sequences:
    if array.ndim not in (2, 3):
        if array.shape == (0,):
            raise ValueError(
                f"Found array with 0 sample(s) (shape={array.shape}) while a minimum "
                f"of 1 is required by {what}."
            )
        single = " A single sequence is [X]." if array.ndim == 1 else ""
        raise ValueError(
            f"Expected 2D array or 3D array, got {array.ndim}D array instead: "
            f"shape={array.shape}. Reshape your data.{single} {FORMS}"
        )
    if 0 in array.shape:
        missing = "sample(s)" if len(array) == 0 else "feature(s)"
        raise ValueError(
            f"Found array with 0 {missing} (shape={array.shape}) while a minimum of "
            f"1 is required by {what}."
        )
    form = "table" if array.ndim == 2 else "array"
    if form == "table":
        array = array[:, :, None]
    elif channels_first:
        array = array.transpose(0, 2, 1)
    return Sequences(array, np.full(len(array), array.shape[1]), form)


def _sample(
    item: Any,
    i: int,
    samples: Samples,
    names: list[str] | None,
    channels_first: bool,
) -> np.ndarray:
    """Return one sample, (length, n_channels)."""
    several_columns = samples.n_columns is not None and samples.n_columns > 1
    if several_columns:
        own = samples.names
        array = _join_channels(item, i)
    else:
        own = None if samples.n_columns == 1 or names is None else frame_names(item)
        array = real_array(item, f"X[{i}]")
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"X[{i}] has the shape {array.shape}. {FORMS}")
    if array.ndim == 1:
        return array[:, None]
    # A column with a name is a channel.
    if own is not None and names is not None:
        order = places(own, names)
        return array if order == list(range(len(own))) else array[:, order]
    return array.T if channels_first and not several_columns else array


def _join_channels(cells: list[Any], row: int) -> np.ndarray:
    """Join the cells of a frame's row, one channel each."""
    arrays = [real_array(cell, f"Row {row} of X") for cell in cells]
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise ValueError(
            f"Row {row} of X has cells of different lengths, {sorted(lengths)}: the "
            "channels of a sample must have the same time steps."
        )
    return np.stack(arrays, axis=1)


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
        fine = (missing | (np.abs(array) <= limit)).all((1, 2))
        raise ValueError(
            "Input X contains infinity or a value too large for dtype('float32'), "
            f"first in sample {first_row + int(fine.argmin())}."
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
    estimator: SequenceEstimator,
    X: Any,
    sequences: Sequences,
    names: list[str] | None,
    reset: bool,
) -> None:
    """Set or compare the numbers of features and channels, and the names."""
    n_channels = sequences.n_channels
    if reset:
        estimator._fitted_on_table = sequences.form == "table"
        estimator.n_channels_in_ = n_channels
    elif n_channels != estimator.n_channels_in_:
        raise ValueError(
            f"X has {n_channels} channels, but {type(estimator).__name__} is "
            f"expecting {estimator.n_channels_in_} channels as input."
            f"{_other_reading(sequences, estimator.n_channels_in_)}"
        )
    if sequences.form == "table":
        # scikit-learn's rule: a model that was fitted on a table takes no table of
        # another width. A model of sequences does.
        if estimator._fitted_on_table:
            table = X if is_frame(X) else sequences.arrays
            validate_data(estimator, table, reset=reset, skip_check_array=True)
        elif sequences.lengths[0] == 1:
            warn(
                f"X was read as {len(sequences)} samples of a single time step. A "
                "single sequence is [X].",
                InputWarning,
            )
    elif reset:
        estimator.n_features_in_ = n_channels
        if names is not None:
            estimator.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_


def _other_reading(sequences: Sequences, n_channels: int) -> str:
    """Return what `X` would be with the right number of channels."""
    if (sequences.lengths != n_channels).any():
        return ""
    if sequences.form == "table":
        return " A single sequence of shape (n_timesteps, n_channels) is [X]."
    return AXES
