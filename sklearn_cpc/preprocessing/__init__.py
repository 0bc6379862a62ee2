"""Before and after a model: recordings, windows and tables; features without groups."""

from ._long import Recordings, sequences_from_long
from ._projection import GroupProjection
from ._windows import Windows, sliding_windows

__all__ = [
    "GroupProjection",
    "Recordings",
    "Windows",
    "sequences_from_long",
    "sliding_windows",
]
