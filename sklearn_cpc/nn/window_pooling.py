"""Pooling over a window of the past, at every step, of the whole or piece by piece.

Windows of 2, 4, 8, ... steps are merged from two of half their size. The windows that
are wanted are merged from the ones that the binary digits of their size name: nine
merges make windows of 300 steps at all steps at once. The value at a step comes from
its own window alone, always merged in the same order. So pieces give the same bits as
the whole, and no sum grows with the length of a sequence and loses precision.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from .pooling import POOLINGS, Pooled, Statistics


class Window(NamedTuple):
    """How the steps are pooled.

    Attributes
    ----------
    n_steps : int
        Input steps, the present one included.
    statistics : Statistics
    """

    n_steps: int
    statistics: Statistics


class WindowPooling:
    """Statistics over the last steps, at every step or every few steps.

    Parameters
    ----------
    names : sequence of str
        Keys of `POOLINGS`.
    n_steps : int
        Steps of a window, at least 1. At the beginning of a sequence there are fewer.
    every : int, default=1
        Steps from one window to the next. The first window ends with the first step.
    remember : bool, default=False
        Whether there is more than one call of `push`. Then it remembers windows of the
        last `n_steps` - 1 steps, with room for three times as many.
    """

    def __init__(
        self,
        names: Sequence[str],
        n_steps: int,
        every: int = 1,
        *,
        remember: bool = False,
    ) -> None:
        self.names, self.n_steps, self.every = names, n_steps, every
        self.n_done = 0
        # Windows of 1, 2, 4, ... steps end before the next windows of their size, and
        # before the steps that smaller digits cover.
        top = n_steps.bit_length() - 1
        sizes = [2**level for level in range(top)] + [n_steps - 2**top]
        self._pasts = [Past(size if remember else 0) for size in sizes]

    def push(self, h: Tensor) -> dict[str, Tensor]:
        """Add the next steps and return the values of the windows that end there.

        Parameters
        ----------
        h : Tensor of shape (B, T, D)

        Returns
        -------
        dict of str to Tensor of shape (B, T', D)
            For each statistic.
        """
        # Steps come first below, so that all earlier ones are a slice: (T, B, D).
        windows = self._single_steps(h)
        first = -self.n_done % self.every
        value: Pooled = ()
        n_covered = 0
        for level, past in enumerate(self._pasts):
            size, n_past = 2**level, past.n_rows
            joined = past.extend(windows)
            if self.n_steps & size:
                if n_covered:
                    value = self._merged(
                        joined, n_past, value, (n_covered, size), (first, self.every)
                    )
                else:
                    value = tuple(x[first :: self.every] for x in windows)
                n_covered += size
            if 2 * size <= self.n_steps:
                windows = self._merged(joined, n_past, windows, (size, size), (0, 1))
        self.n_done += h.shape[1]
        return {
            name: POOLINGS[name].finished(value[place.start]).transpose(0, 1)
            for name, place in zip(self.names, self._places, strict=True)
        }

    def _single_steps(self, h: Tensor) -> Pooled:
        """Return windows of one step: what all statistics keep, in a row.

        The shapes are (B, T, D) -> (T, B, D).
        """
        rows = h.transpose(0, 1)
        steps = rows.flatten(0, 1)[:, None]  # sequences of one step
        started = [POOLINGS[name].start(steps, None) for name in self.names]
        ends = accumulate(map(len, started), initial=0)
        self._places = [slice(*place) for place in pairwise(ends)]
        return tuple(
            x.reshape(*rows.shape[:2], x.shape[1]) for kept in started for x in kept
        )

    def _merged(
        self,
        joined: Pooled,
        n_past: int,
        windows: Pooled,
        sizes: tuple[int, int],
        positions: tuple[int, int],
    ) -> Pooled:
        """Return windows, each merged with the one that ends just before it.

        Parameters
        ----------
        joined : tuple of Tensor of shape (n_past + T, B, D)
            Windows that end at the past and at the new steps.
        n_past : int
        windows : tuple of Tensor of shape (T', B, D)
            Windows that end at some of the new steps.
        sizes : tuple of int
            Steps of `windows`, and of the ones before them.
        positions : tuple of int
            The first of the new steps that `windows` end at, and how many there are
            from one to the next.

        Returns
        -------
        tuple of Tensor of shape (T', B, D)
        """
        (n_later, n_before), (first, every) = sizes, positions
        # The first windows of a sequence have nothing before them.
        n_alone = max(0, -((self.n_done + first - n_later) // every))
        first += n_alone * every
        start = n_past + first - n_later
        # Sizes are those of tensors, never Python's, so that a traced graph holds for
        # any number of steps.
        later = [x[n_alone:] for x in windows]
        n_steps, n_samples = later[0].shape[:2]
        before = [x[start::every][:n_steps] for x in joined]
        seen = torch.arange(n_steps, device=later[0].device) * every
        seen = (seen + (self.n_done + first + 1)).clamp(max=n_later + n_before)
        share = (n_later / seen)[:, None, None].expand(-1, n_samples, 1)
        share = share.flatten(0, 1)
        flat_before = tuple(x.flatten(0, 1) for x in before)
        flat_later = tuple(x.flatten(0, 1) for x in later)
        merged = [
            x
            for name, place in zip(self.names, self._places, strict=True)
            for x in POOLINGS[name].merge(flat_before[place], flat_later[place], share)
        ]
        return tuple(
            torch.cat([x[:n_alone], y.reshape(n_steps, n_samples, y.shape[1])])
            if n_alone
            else y.reshape(n_steps, n_samples, y.shape[1])
            for x, y in zip(windows, merged, strict=True)
        )


class Past:
    """The last rows of tensors that come piece by piece.

    Single rows are added in place. Only when there is no more room, the rows that are
    kept are copied. So a row costs the same however many are kept.

    Parameters
    ----------
    size : int
        How many rows to keep. With 0, none.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.n_rows = 0
        self._room: Pooled = ()
        self._end = 0

    def extend(self, rows: Pooled) -> Pooled:
        """Add rows; return them below the ones that were kept, ``(n_rows + T, ...)``.

        The result is valid until the next call.
        """
        if not self.size:
            return rows
        n_new = len(rows[0])
        if n_new >= self.size:
            joined = tuple(
                torch.cat([old, new]) if self.n_rows else new
                for old, new in zip(self._kept() or rows, rows, strict=True)
            )
            self.n_rows = self._end = self.size
            self._room = tuple(x[-self.size :].clone() for x in joined)
            return joined
        if not self._room or self._end + n_new > len(self._room[0]):
            n_room = min(3 * self.size, 2 * (self.n_rows + n_new))
            room = tuple(x.new_empty(n_room, *x.shape[1:]) for x in rows)
            for new_room, old in zip(room, self._kept(), strict=False):
                new_room[: self.n_rows] = old
            self._room, self._end = room, self.n_rows
        for room_, new in zip(self._room, rows, strict=True):
            room_[self._end : self._end + n_new] = new
        start = self._end - self.n_rows
        self._end += n_new
        self.n_rows = min(self.size, self.n_rows + n_new)
        return tuple(x[start : self._end] for x in self._room)

    def _kept(self) -> Pooled:
        """Return the rows that are kept."""
        return tuple(x[self._end - self.n_rows : self._end] for x in self._room)
