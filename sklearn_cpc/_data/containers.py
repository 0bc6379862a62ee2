"""Whatever holds samples, as one array or as one array-like for each sample."""

from collections.abc import Iterable, Mapping, Set, Sized
from dataclasses import dataclass
from pathlib import PurePath
from types import NoneType
from typing import Any

import numpy as np

from .arrays import (
    column_names,
    columns,
    has_array,
    is_frame,
    is_sparse,
    is_tensor,
    real_array,
)

TEXTS = {"string", "str", "category"}  # columns that need not be searched for arrays

NOT_NUMBERS = (str, bytes, PurePath, Mapping, NoneType)  # to be refused one by one


@dataclass(frozen=True)
class Samples:
    """What a user passed, taken apart but not yet read.

    Attributes
    ----------
    array : ndarray or None
        All samples, where they are one array of numbers.
    items : list
        Else one entry for each sample: an array-like, or for a frame with several
        columns of arrays a list with the cells of its row.
    names : list of str or None
        Names of the columns of a frame with arrays in its cells.
    n_columns : int or None
        The number of these columns; None without such a frame.
    """

    array: np.ndarray | None = None
    items: tuple[Any, ...] = ()
    names: list[str] | None = None
    n_columns: int | None = None

    @classmethod
    def of(cls, X: Any, forms: str) -> "Samples":
        """Take `X` apart.

        Parameters
        ----------
        X : Any
            What a user passed.
        forms : str
            The accepted forms, for messages.

        Returns
        -------
        Samples

        Raises
        ------
        TypeError, ValueError
            If this is neither an array nor a sized iterable of array-likes.
        """
        if is_sparse(X):
            return cls(real_array(X))  # which refuses it
        if hasattr(X, "get_group"):
            raise TypeError(
                f"X is a {type(X).__name__}, whose items are pairs. Pass the groups "
                f"alone: [group.to_numpy() for _, group in X]. {forms}"
            )
        if isinstance(X, Mapping):
            raise TypeError(
                f"X is of the type {type(X).__name__}. Pass its values, such as "
                f"list(X.values()). {forms}"
            )
        if is_tensor(X) and X.is_nested:
            return cls(items=tuple(X.unbind()))
        if is_frame(X):
            return cls._of_frame(X, forms)
        items = _items(X, forms)
        if items is None:
            return cls(real_array(X))
        if all(_is_row_of_cells(item) for item in items):
            return cls._of_cells(items, None)
        for i, item in enumerate(items):
            _check_item(item, i, forms)
        return cls(items=tuple(items))

    @classmethod
    def _of_frame(cls, frame: Any, forms: str) -> "Samples":
        """Take a frame apart: all numbers, or an array in every cell."""
        labels, all_columns = list(frame.columns), columns(frame)
        nested = [len(frame) > 0 and _holds_arrays(column) for column in all_columns]
        if not any(nested):
            return cls(real_array(frame))
        if not all(nested):
            holding = [label for label, has in zip(labels, nested, strict=True) if has]
            others = [label for label in labels if label not in holding]
            raise ValueError(
                f"X mixes columns of arrays ({_listed(holding)}) with other columns "
                f"({_listed(others)}). Pass the columns of arrays, X[{holding!r}]; a "
                "ColumnTransformer treats each kind by itself."
            )
        cells = [_cells(column) for column in all_columns]
        for label, column in zip(labels, cells, strict=True):
            for row, cell in enumerate(column):
                if not is_many(cell):
                    raise ValueError(
                        f"Row {row} of X has no array in column {label!r} but "
                        f"{cell!r:.60}. Remove the row, or fill it. {forms}"
                    )
        return cls._of_cells(list(zip(*cells, strict=True)), column_names(frame))

    @classmethod
    def _of_cells(cls, rows: list[Any], names: list[str] | None) -> "Samples":
        n_columns = len(rows[0])
        items = [row[0] if n_columns == 1 else list(row) for row in rows]
        return cls(items=tuple(items), names=names, n_columns=n_columns)


def is_many(value: Any) -> bool:
    """Whether a value is an array or a container of values, and not a single one."""
    if isinstance(value, str | bytes | PurePath):
        return False
    if hasattr(value, "__iter__") or has_array(value):
        return bool(getattr(value, "shape", (1,)) != ())
    return False


def _is_row_of_cells(item: Any) -> bool:
    """Whether an item is a row of an object array with arrays in its cells."""
    is_row = isinstance(item, np.ndarray) and item.dtype == object and item.ndim == 1
    return is_row and all(is_many(cell) for cell in item)


def _items(X: Any, forms: str) -> list[Any] | None:
    """Return one entry for each sample, or None if `X` is a single array."""
    if isinstance(X, str | bytes | PurePath | Set):
        raise TypeError(f"X is of the type {type(X).__name__}. {forms}")
    is_series = hasattr(X, "to_numpy") and len(getattr(X, "shape", ())) == 1
    if is_series:
        return _cells(X) if _holds_arrays(X) else None
    if isinstance(X, np.ndarray):
        holds_arrays = X.dtype == object and X.ndim <= 2 and any(map(is_many, X.flat))
        return list(X) if holds_arrays else None
    if has_array(X):
        return None
    if isinstance(X, Sized) and isinstance(X, Iterable):
        items = list(X)
    elif isinstance(X, Sized) and hasattr(X, "__getitem__"):  # the data sets of torch
        items = [X[i] for i in range(len(X))]
    else:
        raise TypeError(f"X is of the type {type(X).__name__}. {forms}")
    _refuse_pairs(X, items, forms)
    if items and all(isinstance(x, list | tuple) for x in items):
        # Equally long lists are an array.
        return items if len({len(x) for x in items}) > 1 else None
    one_by_one = any(is_many(x) or isinstance(x, NOT_NUMBERS) for x in items)
    return items if one_by_one else None


def _holds_arrays(column: Any) -> bool:
    """Whether a column of a frame, or a series, has arrays in its cells."""
    if hasattr(column.dtype, "is_nested"):  # polars
        return bool(column.dtype.is_nested()) or _is_of_arrays(column)
    return column.dtype.kind == "O" and _is_of_arrays(column)


def _is_of_arrays(column: Any) -> bool:
    return str(column.dtype).lower() not in TEXTS and any(map(is_many, column))


def _cells(column: Any) -> list[Any]:
    """Return the cells of a column that holds arrays."""
    if not hasattr(column, "is_null"):
        return list(column)
    cells = list(column.to_numpy())
    for row in np.flatnonzero(column.is_null().to_numpy()):
        cells[row] = None  # old releases of polars have an empty array there
    return cells


def _refuse_pairs(X: Any, items: list[Any], forms: str) -> None:
    """Refuse what loaders return beside the data: labels, rates."""
    if isinstance(X, tuple) and len(X) == 2 and all(map(is_many, X)):
        samples, labels = (list(part) for part in X)
        if (
            len(samples) == len(labels)
            and all(map(is_many, samples))
            and not any(map(is_many, labels))
        ):
            raise ValueError(
                f"X is a pair of {len(samples)} samples and {len(labels)} labels. Pass "
                f"its first part, X[0]. {forms}"
            )
    for i, item in enumerate(items):
        if isinstance(item, tuple) and len(item) == 2:
            single = [value for value in item if not is_many(value)]
            if len(single) == 1:
                names = "_, x" if is_many(item[1]) else "x, _"
                raise ValueError(
                    f"X[{i}] is a pair of an array and {single[0]!r:.40}, such as a "
                    f"rate or a label. Pass the arrays: [x for {names} in X]. {forms}"
                )


def _check_item(item: Any, i: int, forms: str) -> None:
    """Refuse a sample that is not an array-like."""
    if isinstance(item, Mapping):
        arrays = [key for key, value in item.items() if is_many(value)]
        key = repr(arrays[0]) if len(arrays) == 1 else "..."
        raise TypeError(
            f"X[{i}] is a {type(item).__name__} with the keys {_listed(item)}. Pass "
            f"the arrays: [x[{key}] for x in X]. {forms}"
        )
    if isinstance(item, str | bytes | PurePath):
        raise TypeError(
            f"X[{i}] is {item!r:.60} of the type {type(item).__name__}, not an array. "
            f"Read files first: [read(path) for path in X]. {forms}"
        )
    if item is None:
        raise ValueError(f"X[{i}] is None. Remove the sample, or fill it. {forms}")


def _listed(labels: Iterable[Any]) -> str:
    return ", ".join(map(repr, labels))
