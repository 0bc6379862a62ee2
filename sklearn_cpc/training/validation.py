"""Validation: how well a net predicts sequences that it is not trained on."""

from dataclasses import dataclass

import numpy as np

from .._data.source import Source
from .batches import RandomCrops
from .inference import Inference
from .scores import reference_latents, score_samples
from .state import Net


@dataclass(frozen=True)
class Validation:
    """The sequences held out for validation, and how they are scored.

    Attributes
    ----------
    batches : RandomCrops
        The training part; predictions compete with its latents.
    source : Source
        The sequences held out.
    inference : Inference
    """

    batches: RandomCrops
    source: Source
    inference: Inference

    def score(self, net: Net) -> float:
        """Return the mean score with the present weights of `net`."""
        references = reference_latents(
            net.module_,
            self.batches.source,
            self.inference,
            size=self.batches.crop_length,
        )
        scores = score_samples(
            net.module_,
            self.source,
            references,
            self.inference,
            skip_steps=net.criterion_.skip_steps,
            temperature=net.criterion_.temperature,
        )
        if np.isnan(scores).all():
            raise ValueError(
                f"None of the {len(scores)} sequences set aside for early_stopping is "
                "long enough for a single prediction. Use a larger "
                "validation_fraction, fewer skip_steps, or longer sequences."
            )
        return float(np.nanmean(scores))
