"""Contrastive predictive coding for scikit-learn pipelines."""

from ._sequence import CPCTransformer
from ._text import CPCTextTransformer

__all__ = ["CPCTextTransformer", "CPCTransformer"]
__version__ = "0.1.0"
