"""What all CPC estimators share.

`base.py` has `BaseCPC`: fit, transform, scores. Everything in which the estimators
differ is in `hooks.py`, their shared parameters are in `parameters.py`.
"""

from .base import BaseCPC
from .parameters import CROP_LENGTH, Words, names

__all__ = ["CROP_LENGTH", "BaseCPC", "Words", "names"]
