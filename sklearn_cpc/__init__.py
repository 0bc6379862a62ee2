"""Contrastive predictive coding for scikit-learn pipelines."""

from ._sequence import CPCTransformer

__all__ = ["CPCTransformer"]
__version__ = "0.1.0"
