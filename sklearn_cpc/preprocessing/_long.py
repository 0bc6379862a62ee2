"""Long tables, a row for each time step of each series, as sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._data.arrays import is_frame, real_array
from .._data.groups import first_missing, group_codes

# A step that is longer than this many usual ones is a gap.
GAP = 1.5


@dataclass(frozen=True)
class Recordings:
    """Sequences from a long table; see `sequences_from_long`.

    Parameters
    ----------
    X : list of ndarray of shape (length_i, n_channels)
        The sequences, in the order of `ids`.
    y : ndarray of shape (n,), list of ndarray of shape (length_i,), or None
        A label for each sequence, if all steps of each sequence have the same label;
        otherwise one for each step.
    groups : ndarray of shape (n,) or None
        The group of each sequence.
    ids : ndarray of shape (n,) or None
        The id of each sequence, sorted.
    times : list of ndarray of shape (length_i,), or None
        The time of each step.
    channels : list
        Names of the channels.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_cpc.preprocessing import sequences_from_long
    >>> table = pd.DataFrame({"name": ["b", "b", "a"], "t": [1, 0, 0], "x": [5, 3, 1]})
    >>> sequences_from_long(table, "name", time="t").ids
    array(['a', 'b'], dtype=object)
    """

    X: list[np.ndarray]
    y: np.ndarray | list[np.ndarray] | None
    groups: np.ndarray | None
    ids: np.ndarray | None
    times: list[np.ndarray] | None
    channels: list[Any]

    def __len__(self) -> int:
        return len(self.X)


def sequences_from_long(
    frame: Any,
    series: str | None = None,
    *,
    time: str | None = None,
    channels: Sequence[str] | None = None,
    label: str | None = None,
    group: str | None = None,
    every: str | None = None,
) -> Recordings:
    """Turn a table with a row for each time step into one array for each series.

    Series are sorted by their ids, rows by their times.

    Parameters
    ----------
    frame : DataFrame of pandas or polars
        A row for each time step. With a MultiIndex of pandas and no `series`, its first
        level is the id of the series and the second one the time.
    series : str, default=None
        Column with the id of the series. None takes the table as one series.
    time : str, default=None
        Column with the times, numbers or dates. None takes the rows in their order.
    channels : list of str, default=None
        Columns of numbers. None takes all that are not named otherwise.
    label : str, default=None
        Column with labels.
    group : str, default=None
        Column with the group of the series, such as the person.
    every : str, default=None
        Resample dates to this interval, such as "20ms", with pandas or polars. Channels
        are the mean of the rows in each interval, or NaN if there are none (see
        `nan_policy` of `CPCTransformer`); labels and groups are the last ones so far.
        None takes the rows as they are and refuses gaps: steps longer than one and a
        half times the median step.

    Returns
    -------
    Recordings
        Sequences, labels, groups, ids and times.

    Raises
    ------
    ValueError
        If a column is missing or holds no numbers, a time comes twice in a series, a
        time or id is missing, there are gaps, or a series has several groups.
    TypeError
        If `frame` is not a frame.

    See Also
    --------
    sliding_windows : Windows of them.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_cpc.preprocessing import sequences_from_long
    >>> table = pd.DataFrame(
    ...     {
    ...         "subject": ["eve", "bob", "bob", "eve", "eve"],
    ...         "time": [2, 0, 1, 1, 0],
    ...         "x": [0.3, 1.0, 2.0, 0.2, 0.1],
    ...         "state": ["ill", "well", "well", "ill", "ill"],
    ...     }
    ... )
    >>> recordings = sequences_from_long(table, "subject", time="time", label="state")
    >>> recordings.ids, recordings.y
    (array(['bob', 'eve'], dtype=object), array(['well', 'ill'], dtype=object))
    >>> recordings.X[1]
    array([[0.1],
           [0.2],
           [0.3]])
    """
    if not is_frame(frame):
        raise TypeError(
            f"frame is of the type {type(frame).__name__}, not a DataFrame of pandas "
            "or polars."
        )
    frame, series, time = _without_multi_index(frame, series, time)
    named = {"series": series, "time": time, "label": label, "group": group}
    known = {k: v for k, v in named.items() if v is not None}
    if channels is None:
        channels = [c for c in frame.columns if c not in known.values()]
    _check_columns(frame, known, channels)
    if len(frame) == 0:
        raise ValueError("frame has no rows.")
    if every is not None:
        if time is None:
            raise ValueError(f"every={every!r} needs the column of the time.")
        keys = [known[key] for key in ("label", "group") if key in known]
        frame = _resampled(frame, known.get("series"), time, (channels, keys), every)
    codes, ids = _codes(frame, series)
    order, times = _order(frame, time, codes)
    bounds = np.flatnonzero(np.diff(codes[order])) + 1
    values = np.column_stack([_numbers(frame, name) for name in channels])
    recordings = Recordings(
        X=np.split(values[order], bounds),
        y=_labels(frame, label, order, bounds),
        groups=_groups(frame, group, order, bounds),
        ids=ids,
        times=None if times is None else np.split(times[order], bounds),
        channels=list(channels),
    )
    if every is None:
        _refuse_gaps(recordings)
    return recordings


def _without_multi_index(
    frame: Any, series: str | None, time: str | None
) -> tuple[Any, str | None, str | None]:
    """Turn the levels of a MultiIndex into columns."""
    n_levels = getattr(getattr(frame, "index", None), "nlevels", 1)
    if n_levels == 1:
        return frame, series, time
    named = [f"level_{i}" if n is None else n for i, n in enumerate(frame.index.names)]
    frame = frame.reset_index(names=named)
    if series is None and time is None:
        if n_levels > 2:
            raise ValueError(
                f"frame has an index of {n_levels} levels, {named}: name the columns "
                "of the series and of the time."
            )
        series, time = named
    return frame, series, time


def _check_columns(frame: Any, known: dict[str, str], channels: Sequence[str]) -> None:
    if isinstance(channels, str) or not len(channels):
        raise ValueError(
            f"channels={channels!r} must be a list of at least one column."
        )
    columns = list(frame.columns)
    for role, name in (*known.items(), *(("channels", name) for name in channels)):
        if name not in columns:
            raise ValueError(
                f"{role}={name!r} is no column of frame. There are "
                f"{', '.join(map(repr, columns))}."
            )


def _numbers(frame: Any, name: str) -> np.ndarray:
    return real_array(frame[name], f"Column {name!r} of frame")


def _codes(frame: Any, series: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the number of the series of each row, and the ids, sorted."""
    if series is None:
        return np.zeros(len(frame), np.int64), None
    labels = frame[series].to_numpy()
    codes = group_codes(labels, len(frame), f"Column {series!r}")
    _, first = np.unique(codes, return_index=True)
    return codes, labels[first]


def _order(
    frame: Any, time: str | None, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the order of the rows, by series and time, and the times."""
    if time is None:
        return np.argsort(codes, kind="stable"), None
    times = _times(frame, time)
    order = np.lexsort((times, codes))
    same = (np.diff(codes[order]) == 0) & (times[order][1:] == times[order][:-1])
    if same.any():
        row = order[int(same.argmax())]
        raise ValueError(
            f"The time {times[row]} comes twice in a series. Join such rows first, for "
            "instance by their mean: frame.groupby([series, time]).mean(), in polars "
            "frame.group_by(series, time).mean()."
        )
    return order, times


def _times(frame: Any, time: str) -> np.ndarray:
    column = frame[time]
    if getattr(column.dtype, "tz", None) is not None:  # as UTC
        times = column.to_numpy(dtype="datetime64[ns]")
    else:
        times = column.to_numpy()
    if times.dtype.kind not in "mMiuf":
        raise ValueError(
            f"Column {time!r} of frame holds {column.dtype}, not times. Turn it into "
            "dates first: pandas.to_datetime, in polars str.to_datetime."
        )
    missing = first_missing(times)
    if missing is not None:
        raise ValueError(f"Column {time!r} of frame has no time in row {missing}.")
    array: np.ndarray = times
    return array


def _labels(
    frame: Any, label: str | None, order: np.ndarray, bounds: np.ndarray
) -> np.ndarray | list[np.ndarray] | None:
    """Return one label for each series, else for each step."""
    if label is None:
        return None
    steps = np.split(frame[label].to_numpy()[order], bounds)
    if all((part == part[0]).all() for part in steps):
        return np.array([part[0] for part in steps], dtype=steps[0].dtype)
    return steps


def _groups(
    frame: Any, group: str | None, order: np.ndarray, bounds: np.ndarray
) -> np.ndarray | None:
    if group is None:
        return None
    parts = np.split(frame[group].to_numpy()[order], bounds)
    for part in parts:
        if first_missing(part) is not None or (part != part[0]).any():
            raise ValueError(
                f"Column {group!r} of frame has several groups in one series, "
                f"{part[0]!r} and others, or none: a series has one group."
            )
    return np.array([part[0] for part in parts], dtype=parts[0].dtype)


def _refuse_gaps(recordings: Recordings) -> None:
    """Refuse a step that is longer than usual, over all series."""
    if recordings.times is None:
        return
    steps = [np.diff(times) for times in recordings.times]
    usual = np.median(np.concatenate(steps)) if any(map(len, steps)) else 0
    for i, (times, lengths) in enumerate(zip(recordings.times, steps, strict=True)):
        wide = lengths / usual > GAP if len(lengths) else np.zeros(0, bool)
        if wide.any():
            row = int(wide.argmax())
            name = "" if recordings.ids is None else f" {recordings.ids[i]!r}"
            raise ValueError(
                f"Series{name} has a gap after the time {times[row]}: the next step "
                f"is {lengths[row]} later, the usual one {usual}. Resample dates by "
                "every='...', which puts NaN into gaps, or split the series there."
            )


def _resampled(
    frame: Any,
    series: str | None,
    time: str,
    columns: tuple[Sequence[str], list[str]],
    every: str,
) -> Any:
    """Return a long table with a row for each interval of each series."""
    channels, keys = columns
    for name in channels:
        _numbers(frame, name)  # refuse what has no mean
    _times(frame, time)
    if series is not None:
        group_codes(frame[series].to_numpy(), len(frame), f"Column {series!r}")
    try:
        if hasattr(frame, "iloc"):
            return _resampled_by_pandas(frame, series, time, (channels, keys), every)
        return _resampled_by_polars(frame, series, time, (channels, keys), every)
    except Exception as error:  # polars has many of its own
        raise ValueError(
            f"every={every!r} cannot resample the times in column {time!r}: {error}"
        ) from None


def _resampled_by_pandas(
    frame: Any,
    series: str | None,
    time: str,
    columns: tuple[Sequence[str], list[str]],
    every: str,
) -> Any:
    channels, keys = columns
    rules = dict.fromkeys(channels, "mean") | dict.fromkeys(keys, "last")
    parts = [(None, frame)] if series is None else frame.groupby(series, observed=True)
    tables = []
    for name, part in parts:
        table = part.resample(every, on=time).agg(rules).reset_index()
        table[keys] = table[keys].ffill()
        if series is not None:
            table[series] = name
        tables.append(table)
    from pandas import concat

    return concat(tables, ignore_index=True)


def _resampled_by_polars(
    frame: Any,
    series: str | None,
    time: str,
    columns: tuple[Sequence[str], list[str]],
    every: str,
) -> Any:
    import polars as pl

    channels, keys = columns
    last = [pl.col(name).last() for name in keys]
    parts = [frame] if series is None else frame.partition_by(series)
    tables = []
    for part in parts:
        table = (
            part.sort(time)
            .group_by_dynamic(time, every=every)
            .agg([*(pl.col(name).mean() for name in channels), *last])
            .upsample(time, every=every)
            .with_columns([pl.col(name).forward_fill() for name in keys])
        )
        if series is not None:
            table = table.with_columns(pl.lit(part[series][0]).alias(series))
        tables.append(table)
    return pl.concat(tables)
