"""Contrastive predictive coding for scikit-learn pipelines."""

from ._image import CPCImageTransformer
from ._sequence import CPCTransformer

__all__ = ["CPCImageTransformer", "CPCTransformer"]
__version__ = "0.1.0"
