"""Groups of samples, such as persons, as integers."""

from typing import Any

import numpy as np

from .arrays import is_frame, is_tensor


def group_codes(groups: Any, n_samples: int, name: str = "groups") -> np.ndarray:
    """Return an integer for the group of each sample.

    Parameters
    ----------
    groups : array-like of shape (n_samples,)
        Numbers, texts, dates, or anything else that can be compared for equality, such
        as tuples.
    n_samples : int
    name : str, default="groups"
        Named in messages.

    Returns
    -------
    ndarray of shape (n_samples,)
        From 0 on, in the order of the groups where they have one, else as they come.

    Raises
    ------
    ValueError
        If there are more or fewer than samples, or if one is missing.
    """
    labels = _one_dimensional(groups, name)
    if len(labels) != n_samples:
        raise ValueError(
            f"{name} has {len(labels)} entries, but X has {n_samples} samples."
        )
    missing = first_missing(labels)
    if missing is not None:
        raise ValueError(
            f"{name}[{missing}] is missing ({labels[missing]!r}). All samples without "
            "a group would become one: give each its own, or leave them out."
        )
    array = _sortable(labels)
    if array is not None:
        return np.unique(array, return_inverse=True)[1]
    try:
        codes = {label: i for i, label in enumerate(dict.fromkeys(labels))}
        return np.array([codes[label] for label in labels])
    except TypeError:
        raise ValueError(
            f"{name} must be a 1d array with one label for each sample, such as a "
            f"number or a text; {name}[0] is {labels[0]!r:.60}."
        ) from None


def first_missing(labels: np.ndarray | list[Any]) -> int | None:
    """Return the place of the first label that is None, NaN, NaT, NA or masked."""
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "biufUSMm":
        absent = np.ma.getmaskarray(labels).copy()
        if labels.dtype.kind in "fMm":
            values = np.ma.getdata(labels)
            absent |= values != values  # NaN and NaT differ from themselves
        return int(absent.argmax()) if absent.any() else None
    for i, label in enumerate(labels):
        if _is_missing(label):
            return i
    return None


def _is_missing(label: Any) -> bool:
    if label is None or label is np.ma.masked or type(label).__name__ == "NAType":
        return True
    if isinstance(label, tuple | str):
        return False
    different = label != label
    return isinstance(different, bool | np.bool_) and bool(different)


def _sortable(labels: np.ndarray | list[Any]) -> np.ndarray | None:
    """Return labels of one kind as an array, None where they have no order."""
    if isinstance(labels, list):
        kinds = {type(label) for label in labels}
        if any(issubclass(kind, tuple) for kind in kinds):
            return None
        # Together with texts, numbers would become texts: 1 and "1" are two groups.
        if len(kinds) > 1 and any(issubclass(kind, str | bytes) for kind in kinds):
            return None
        labels = np.array(labels)
    return labels if labels.ndim == 1 and labels.dtype.kind in "biufUSMm" else None


def _one_dimensional(groups: Any, name: str) -> np.ndarray | list[Any]:
    """Return the labels; a frame or an array of one column has them, too."""
    if is_frame(groups):
        if groups.shape[1] != 1:
            raise ValueError(
                f"{name} must be a 1d array, but it is a frame with "
                f"{groups.shape[1]} columns."
            )
        groups = groups.to_numpy().ravel()
    if is_tensor(groups):
        groups = groups.detach().cpu().numpy()
    if isinstance(groups, str) or not hasattr(groups, "__iter__"):
        raise ValueError(f"{name} must be a 1d array, but it is {groups!r:.60}.")
    shape: tuple[int, ...] = tuple(getattr(groups, "shape", ()))
    if len(shape) == 2 and shape[1] == 1:
        groups = np.ma.ravel(groups) if np.ma.isMA(groups) else np.ravel(groups)
    elif len(shape) > 1:
        raise ValueError(
            f"{name} must be a 1d array, but it is an array of shape {shape}."
        )
    plain = isinstance(groups, np.ndarray) and groups.dtype.kind in "biufUSMm"
    return groups if plain else list(groups)
