"""Anything that holds numbers, as a checked array of real numbers.

Every reader goes through `real_array`: nothing is cast that would lose its meaning.
"""

import datetime
import numbers
from collections.abc import Iterable, Mapping, Set, Sized
from decimal import Decimal
from types import NoneType
from typing import Any

import numpy as np

REAL = "biuf"  # kinds of dtypes: booleans, integers, floats
REFUSED = {
    "c": (
        "Complex data not supported",
        "Take the magnitude, np.abs, or both parts as channels, "
        "np.stack([x.real, x.imag], axis=-1)",
    ),
    "M": ("times", "Drop them, or pass the numbers that they belong to"),
    "m": ("time spans", "Turn them into numbers first: x / np.timedelta64(1, 's')"),
    "text": ("text", "Convert your data to numeric values first: x.astype(float)"),
    "V": (
        "a structured array",
        "Its fields become channels by "
        "numpy.lib.recfunctions.structured_to_unstructured(x)",
    ),
}
TEXT = "UST"


def real_array(values: Any, name: str = "X") -> np.ndarray:
    """Return values as an array of booleans, integers or floats.

    A real array is returned as it is, without a copy. What is missing is NaN: masked
    values, None, the missing values of pandas and polars.

    Parameters
    ----------
    values : Any
        An array, a tensor, a series, a frame of numbers, or nested lists.
    name : str, default="X"
        Named in messages.

    Returns
    -------
    ndarray
        Of a dtype of the kinds "biuf".

    Raises
    ------
    ValueError, TypeError
        If the values are not real numbers, or not an array.
    """
    if is_sparse(values):
        raise TypeError(
            f"{name} is sparse, but sequences and images have to be dense: "
            f"{_to_dense(values)}."
        )
    if is_frame(values):
        return _of_frame(values, name)
    if hasattr(values, "iloc") and hasattr(values, "dtype"):
        return _of_series(values, name)
    if is_tensor(values):
        return _of_tensor(values, name)
    if isinstance(values, np.ma.MaskedArray):
        return _of_masked(values, name)
    if isinstance(values, str | bytes | Mapping | Set):
        raise TypeError(f"{name} is of the type {type(values).__name__}, not numbers.")
    if (
        not has_array(values)
        and isinstance(values, Iterable)
        and isinstance(values, Sized)
    ):
        return _of_items(list(values), name)
    if hasattr(values, "to_numpy"):  # a series of polars, an array of xarray
        values = values.to_numpy()
    try:
        array = np.asarray(values)
    except Exception as error:  # every library has its own
        raise TypeError(f"{name} cannot be read as an array: {error}.") from None
    return _checked(array, name)


def is_sparse(values: Any) -> bool:
    """Whether values are sparse: a matrix, an array, or a column of a frame."""
    if is_tensor(values):
        return "sparse" in str(values.layout)
    if any(type(dtype).__name__ == "SparseDtype" for dtype in dtypes(values)):
        return True
    return hasattr(values, "tocoo") or hasattr(values, "todense")


def is_frame(values: Any) -> bool:
    """Whether values are a frame of pandas or polars."""
    return hasattr(values, "columns") and hasattr(values, "to_numpy")


def as_frame(values: Any) -> Any:
    """Return a table of Arrow as a frame of pandas, all else as it is."""
    is_table = hasattr(values, "to_pandas") and hasattr(values, "column_names")
    return values.to_pandas() if is_table else values


def is_tensor(values: Any) -> bool:
    """Whether values are a tensor of torch."""
    return hasattr(values, "detach") and hasattr(values, "layout")


def has_array(values: Any) -> bool:
    """Whether values are an array of some library, and not one by one."""
    if hasattr(values, "shape") or hasattr(values, "__array__"):
        return True
    if hasattr(values, "__array_interface__"):
        return True
    try:
        memoryview(values)
    except TypeError:
        return False
    return not isinstance(values, bytes | bytearray)


def dtypes(values: Any) -> list[Any]:
    """Return the dtypes of the columns of a frame or of a series."""
    if is_frame(values):
        return list(values.dtypes)
    return [values.dtype] if hasattr(values, "iloc") else []


def columns(frame: Any) -> list[Any]:
    """Return the columns of a frame as series."""
    if hasattr(frame, "iloc"):
        return [frame.iloc[:, i] for i in range(frame.shape[1])]
    return list(frame.get_columns())


def column_names(frame: Any) -> list[str] | None:
    """Return the names of the columns of a frame, None unless all are texts."""
    names = list(frame.columns)
    return names if all(isinstance(name, str) for name in names) else None


def _to_dense(values: Any) -> str:
    if is_tensor(values):
        return "x.to_dense()"
    return "X.sparse.to_dense()" if dtypes(values) else "X.toarray()"


def _of_frame(frame: Any, name: str) -> np.ndarray:
    kinds = {getattr(dtype, "kind", "") for dtype in dtypes(frame)}
    if (
        kinds
        and kinds <= set(REAL)
        and all(isinstance(dtype, np.dtype) for dtype in dtypes(frame))
    ):
        array: np.ndarray = frame.to_numpy()  # without a copy where there is one block
        return array
    arrays = [
        real_array(column, f"Column {label!r} of {name}")
        for label, column in zip(frame.columns, columns(frame), strict=True)
    ]
    if not arrays:
        return np.empty(frame.shape)
    return np.column_stack(arrays)


def _of_series(series: Any, name: str) -> np.ndarray:
    """Return a series of pandas, NaN where it has NA."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype) or dtype.kind not in REAL:
        return _checked(series.to_numpy(), name)
    numpy_dtype = np.dtype(getattr(dtype, "numpy_dtype", np.float64))
    array: np.ndarray
    if not series.isna().any():
        array = series.to_numpy(dtype=numpy_dtype)
    else:
        dtype = numpy_dtype if numpy_dtype.kind == "f" else np.dtype(np.float64)
        array = series.to_numpy(dtype=dtype, na_value=np.nan)
    return array


def _of_tensor(tensor: Any, name: str) -> np.ndarray:
    """Return a tensor, of any device, with or without a gradient."""
    if tensor.is_nested:
        return _of_items(list(tensor.unbind()), name)
    if tensor.is_complex():
        raise _refusal("c", name, str(tensor.dtype))
    tensor = tensor.detach().cpu()
    try:
        array: np.ndarray = tensor.resolve_neg().numpy()
    except TypeError:  # numpy has no bfloat16
        array = tensor.float().numpy()
    return _checked(array, name)


def _of_masked(array: np.ma.MaskedArray, name: str) -> np.ndarray:
    values = _checked(array.data, name)
    mask = np.ma.getmaskarray(array)
    if array.dtype.kind == "V" or not mask.any():
        return values
    dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    filled = values.astype(dtype)
    filled[mask] = np.nan
    return filled


def _of_items(items: list[Any], name: str) -> np.ndarray:
    """Return nested lists as one array; what is within keeps its masks and gaps."""
    if not any(_is_nested(item) for item in items):
        items = [
            np.nan if isinstance(item, np.ma.MaskedArray) and item.mask else item
            for item in items
        ]
        try:
            return _checked(np.asarray(items), name)
        except OverflowError:
            raise ValueError(f"{name} holds an integer that is too large.") from None
    arrays = [real_array(item, f"{name}[{i}]") for i, item in enumerate(items)]
    shapes = [array.shape for array in arrays]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"{name}[{i}] has the shape {shape}, but {name}[0] has {shapes[0]}."
            )
    return np.stack(arrays)


def _is_nested(item: Any) -> bool:
    if isinstance(item, str | bytes) or item is np.ma.masked:
        return False
    return isinstance(item, Iterable) and getattr(item, "shape", (1,)) != ()


def _checked(array: np.ndarray, name: str) -> np.ndarray:
    """Return a real array, or say why it is not one."""
    kind = array.dtype.kind
    if kind in REAL:
        return array
    if kind == "O":
        return _of_objects(array, name)
    is_plain = kind == "V" and array.dtype.names is None
    if is_plain and np.can_cast(array.dtype, np.float32):  # bfloat16 of other libraries
        return array.astype(np.float32)
    raise _refusal("text" if kind in TEXT else kind, name, str(array.dtype))


def _of_objects(array: np.ndarray, name: str) -> np.ndarray:
    """Return an array of Python numbers as floats, None as NaN."""
    kinds = {type(value) for value in array.flat}
    if any(issubclass(kind, np.ndarray | list | tuple) for kind in kinds):
        return _of_items(list(array), name)
    for kind in sorted(kinds, key=lambda kind: kind.__name__):
        if kind.__name__ == "NAType":
            raise ValueError(
                f"{name} is of the dtype object and holds pd.NA. Give it a numeric "
                "dtype first: X.astype('Float64')."
            )
        if issubclass(kind, str | bytes):
            raise _refusal("text", name, "object")
        if issubclass(kind, datetime.date | np.datetime64):
            raise _refusal("M", name, kind.__name__)
        if issubclass(kind, datetime.timedelta | np.timedelta64):
            raise _refusal("m", name, kind.__name__)
        if issubclass(kind, numbers.Complex) and not issubclass(kind, numbers.Real):
            raise _refusal("c", name, kind.__name__)
        if not issubclass(kind, numbers.Real | np.bool_ | Decimal | NoneType):
            raise TypeError(
                f"{name} holds objects of the type {kind.__name__}. The argument must "
                "be an array of numbers, not of strings or other objects: a real "
                "number in each place."
            )
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise ValueError(f"{name} holds an integer that is too large.") from None


def _refusal(kind: str, name: str, dtype: str) -> ValueError:
    if kind not in REFUSED:
        return ValueError(
            f"{name} is of the dtype {dtype}, which are not real numbers."
        )
    what, advice = REFUSED[kind]
    if kind == "c":
        return ValueError(f"{what}: {name} is {dtype}. {advice}.")
    return ValueError(f"{name} holds {what} ({dtype}), not numbers. {advice}.")
