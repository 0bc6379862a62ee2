"""What all CPC estimators share.

`base.py` has `BaseCPC`: fit, transform, scores. Everything in which the estimators
differ is in `hooks.py`, their shared parameters are in `parameters.py`.
"""

from .base import BaseCPC
from .checking import check_channels, is_count, is_counts
from .parameters import AT_LEAST_1, CROP_LENGTH, Words, names

__all__ = [
    "AT_LEAST_1",
    "CROP_LENGTH",
    "BaseCPC",
    "Words",
    "check_channels",
    "is_count",
    "is_counts",
    "names",
]
