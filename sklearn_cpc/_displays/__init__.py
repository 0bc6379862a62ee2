"""Plots of fitted estimators, in the form of scikit-learn's displays.

`from_estimator` computes and draws, `__init__` stores the values, `plot` draws them
again. matplotlib is imported when something is drawn.
"""

from .accuracy import StepAccuracyDisplay
from .embedding import EmbeddingDisplay
from .occlusion import OcclusionDisplay
from .steps import StepFeaturesDisplay
from .training import TrainingCurveDisplay

__all__ = [
    "EmbeddingDisplay",
    "OcclusionDisplay",
    "StepAccuracyDisplay",
    "StepFeaturesDisplay",
    "TrainingCurveDisplay",
]
