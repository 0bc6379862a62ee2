"""Contrastive predictive coding for scikit-learn pipelines."""

from ._displays import (
    EmbeddingDisplay,
    OcclusionDisplay,
    StepAccuracyDisplay,
    StepFeaturesDisplay,
    TrainingCurveDisplay,
)
from ._image import CPCImageTransformer
from ._persistence import ModelFileError
from ._sequence import CPCTransformer
from ._text import CPCTextTransformer
from ._warnings import InputWarning
from .training.checkpoint import Checkpoint

__all__ = [
    "CPCImageTransformer",
    "CPCTextTransformer",
    "CPCTransformer",
    "Checkpoint",
    "EmbeddingDisplay",
    "InputWarning",
    "ModelFileError",
    "OcclusionDisplay",
    "StepAccuracyDisplay",
    "StepFeaturesDisplay",
    "TrainingCurveDisplay",
]
__version__ = "0.1.0"
