"""Checked sequences, in the user's own arrays."""

import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

CHUNK = 2**22  # values looked at in one go: a memory map is never in memory as a whole


@dataclass(frozen=True)
class Sequences:
    """Checked sequences; nothing is copied from the user's arrays.

    Attributes
    ----------
    arrays : ndarray of shape (n, T, C), or list of n arrays of shape (length_i, C)
        The values, of any real dtype; NaN where a value is missing.
    lengths : ndarray of shape (n,), dtype int64
        Valid steps of each sequence, at most the length of its array.
    form : {"table", "array", "list"}
        The user's form: 2-D, 3-D, or one by one.
    """

    arrays: np.ndarray | list[np.ndarray]
    lengths: np.ndarray
    form: str

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_channels(self) -> int:
        """Number of channels, the same for all sequences."""
        n_channels: int = self.arrays[0].shape[1]
        return n_channels

    def take(self, rows: np.ndarray) -> "Sequences":
        """Return some of the sequences; their values are not copied."""
        arrays = [self.arrays[row] for row in rows]
        return Sequences(arrays, self.lengths[rows], self.form)

    def pieces(self, row: int) -> Iterator[np.ndarray]:
        """Yield the valid steps of a sequence, at most `CHUNK` values at once."""
        array, length = self.arrays[row], int(self.lengths[row])
        size = max(1, CHUNK // array.shape[1])
        for start in range(0, length, size):
            yield array[start : min(start + size, length)]
            if length > size:
                release([array])

    def padded(
        self,
        rows: np.ndarray,
        starts: np.ndarray | None = None,
        size: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Copy windows of some sequences into one array, padded on the right.

        Parameters
        ----------
        rows : ndarray of shape (B,)
        starts : ndarray of shape (B,), default=None
            First step of each window. None starts at 0.
        size : int, default=None
            Longest window. None takes whole sequences.

        Returns
        -------
        values : ndarray of shape (B, T, C), float64
            T is the length of the longest window; padding is NaN.
        lengths : ndarray of shape (B,)
            Valid steps of each window.
        """
        if starts is None:
            starts = np.zeros(len(rows), dtype=np.int64)
        lengths = np.maximum(self.lengths[rows] - starts, 0)
        if size is not None:
            lengths = np.minimum(lengths, size)
        values = np.full((len(rows), lengths.max(), self.n_channels), np.nan)
        for window, row, start, length in zip(
            values, rows, starts, lengths, strict=True
        ):
            window[:length] = self.arrays[row][start : start + length]
        release(self.arrays[row] for row in rows)
        return values, lengths


def release(arrays: Iterable[np.ndarray]) -> None:
    """Let the system drop the pages of memory maps that are open for reading only.

    It would drop them when memory runs short. Until then, every page that was ever read
    would count as memory of this process. A later access maps the pages again.
    """
    maps = {}
    for array in arrays:
        base: object = array
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, mmap.mmap):
            maps[id(base)] = base
    for mapped in maps.values() if hasattr(mmap, "MADV_DONTNEED") else ():
        with memoryview(mapped) as view:
            read_only = view.readonly
        if read_only:  # changes of a private copy would be lost
            mapped.madvise(mmap.MADV_DONTNEED)
