"""From recordings and long tables to samples, and from scores back to time steps."""

from ._long import Recordings, sequences_from_long
from ._windows import Windows, sliding_windows

__all__ = ["Recordings", "Windows", "sequences_from_long", "sliding_windows"]
